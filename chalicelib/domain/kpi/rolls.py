"""Roll rates: where a pool of cases stood on one day, and where the same cases stand on another.

A case's place on a day follows from its events alone, through its repayment ledger: what was booked late, reversed or
paused changes the past it belongs to, in whatever order it came. Money is minor units; a tracked matrix moves the balance
that a case had on the first day.

Two forms, which differ when cases come, go or pay down: the tracked form follows each case (every row sums to 1 with
the ways out as columns); the flow form divides what stands in the next bucket on the second day by what stood in
this one on the first (Investopedia, roll rate). Chained, flow rates are 催收乘数, the net flow to the last bucket.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from chalicelib.domain.cases.lifecycle import FINAL
from chalicelib.domain.cases.repayment_ledger import Instalment, Pause, Payment, RepaymentLedger, bucket_of
from chalicelib.domain.events import Event, EventType
from chalicelib.domain.kpi.periods import local_day

ORDERS: Mapping[bool, tuple[str, ...]] = {
    True: tuple(f"M{number}" for number in range(8)),
    False: ("current", "1-29", "30-59", "60-89", "90-119", "120+"),
}
"""The buckets in order: of China (True), and elsewhere."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a case stands on a day: a bucket of days past due, or the final state it came to. ``balance_minor`` is owed."""

    case: str
    at: str
    balance_minor: int
    currency: str
    china: bool

    @property
    def is_out(self) -> bool:
        """Tell whether the case has ended."""
        return self.at in FINAL


def place_of(events: Sequence[Event], day: date, *, zone: str) -> Place | None:
    """Return where the case of this stream stood on a local day, by everything that is known now; None before it came.

    Raises KeyError when an event lacks a datum that its type always carries.
    """
    placed = next((event for event in events if event.type is EventType.CASE_PLACED), None)
    if placed is None or local_day(placed.at, zone) > day.isoformat():
        return None
    china = placed.data["country"] == "CN"
    stands = ledger_of(events).standing(day)
    ended = next(
        (
            event.data["to"]
            for event in events
            if event.type is EventType.CASE_CHANGED
            and event.data["to"] in FINAL
            and local_day(event.at, zone) <= day.isoformat()
        ),
        None,
    )
    at = str(ended) if ended is not None else bucket_of(stands.days_past_due, country=placed.data["country"])
    return Place(placed.stream, at, stands.balance_minor, placed.data["currency"], china)


def ledger_of(events: Iterable[Event]) -> RepaymentLedger:
    """Return the repayment ledger that a case's events book. Raises KeyError when an event lacks a datum."""
    country, charges = "", {}
    instalments: tuple[Instalment, ...] = ()
    payments: list[Payment] = []
    pauses: list[Pause] = []
    for event in events:
        data = event.data
        match event.type:
            case EventType.CASE_PLACED:
                country, charges = data["country"], dict(data["charges"])
                instalments = tuple(Instalment.model_validate(each) for each in data["instalments"])
            case EventType.PAYMENT_POSTED | EventType.PAYMENT_REVERSED:
                payments.append(
                    Payment(
                        id=data["payment"],
                        amount_minor=data["amount_minor"],
                        currency=data["currency"],
                        received_on=date.fromisoformat(data["received_on"]),
                        reversal_of=data["reversal_of"],
                        stated_split=data["stated_split"],
                    )
                )
            case EventType.PAUSE_RECORDED | EventType.PAUSE_CANCELLED:
                cancels = data["pause"] if event.type is EventType.PAUSE_CANCELLED else None
                pauses.append(
                    Pause(
                        id=event.id if cancels is not None else data["pause"],
                        kind=data["pause_kind"],
                        paused_from=date.fromisoformat(data["paused_from"]),
                        paused_to=date.fromisoformat(data["paused_to"]),
                        cancels=cancels,
                    )
                )
    return RepaymentLedger(country, instalments, charges, tuple(payments), tuple(pauses))


@dataclass(frozen=True, slots=True)
class Matrix:
    """A pool's moves, by (bucket before, place after): how many cases, and the balance they had before."""

    cases: Mapping[tuple[str, str], int]
    minor: Mapping[tuple[str, str], int]

    def row(self, before: str, *, by_balance: bool = False) -> dict[str, Fraction]:
        """Return which share of a bucket went where; the shares sum to 1. Empty for a bucket that held nothing."""
        moves = self.minor if by_balance else self.cases
        total = sum(weight for (first, _), weight in moves.items() if first == before)
        if total <= 0:
            return {}
        return {
            after: Fraction(weight, total) for (first, after), weight in moves.items() if first == before and weight
        }

    def parts(self, *, by_balance: bool = False) -> dict[str, Fraction]:
        """Return the shares of the whole pool that rolled forward, stayed, rolled back, cured or left; they sum to 1.

        Cured: no days past due any more, or settled. Out: any other final state.
        """
        moves = self.minor if by_balance else self.cases
        total = sum(moves.values())
        counted: Counter[str] = Counter()
        for (before, after), weight in moves.items():
            counted[_kind(before, after)] += weight
        return {kind: Fraction(counted[kind], total) for kind in KINDS} if total > 0 else {}


KINDS = ("forward", "stable", "back", "cured", "out")


def _kind(before: str, after: str) -> str:
    if after in FINAL:
        return "cured" if after == "settled" else "out"
    order = ORDERS[before.startswith("M")]
    first, second = order.index(before), order.index(after)
    if second == 0 and first > 0:
        return "cured"
    return "stable" if first == second else "forward" if second > first else "back"


def tracked(before: Iterable[Place], after: Mapping[str, Place]) -> Matrix:
    """Return the matrix of the cases that were open on the first day; ``after`` gives each one's place on the second.

    Raises KeyError for a case that has no place on the second day: nothing leaves the system.
    """
    cases: Counter[tuple[str, str]] = Counter()
    minor: Counter[tuple[str, str]] = Counter()
    for place in before:
        if not place.is_out:
            move = (place.at, after[place.case].at)
            cases[move] += 1
            minor[move] += place.balance_minor
    return Matrix(cases, minor)


def flow(before: Iterable[Place], after: Iterable[Place], *, china: bool) -> dict[str, Fraction]:
    """Return the flow rates ``<bucket>><next>``: balance in the next bucket on the second day ÷ in this one on the first.

    >>> one, two = Place("c", "30-59", 100, "USD", False), Place("c", "60-89", 40, "USD", False)
    >>> flow([one], [two], china=False)["30-59>60-89"]
    Fraction(2, 5)
    """
    first, second = _balances(before, china=china), _balances(after, china=china)
    order = ORDERS[china]
    return {
        f"{bucket}>{following}": Fraction(second[following], first[bucket])
        for bucket, following in zip(order, order[1:], strict=False)
        if first[bucket] > 0
    }


def chained(rates: Mapping[str, Fraction], *, china: bool) -> Fraction | None:
    """Return the product of the flow rates from the first overdue bucket to the last (催收乘数); None when one is missing."""
    order = ORDERS[china][1:]
    product = Fraction(1)
    for bucket, following in zip(order, order[1:], strict=False):
        if f"{bucket}>{following}" not in rates:
            return None
        product *= rates[f"{bucket}>{following}"]
    return product


def shares(places: Iterable[Place], *, china: bool) -> dict[str, Fraction]:
    """Return which share of the open balance stands in each bucket; they sum to 1. Empty when nothing is owed."""
    balances = _balances(places, china=china)
    total = sum(balances.values())
    return {bucket: Fraction(balances[bucket], total) for bucket in ORDERS[china]} if total > 0 else {}


def _balances(places: Iterable[Place], *, china: bool) -> Counter[str]:
    found: Counter[str] = Counter()
    for place in places:
        if place.china == china and not place.is_out:
            found[place.at] += place.balance_minor
    return found
