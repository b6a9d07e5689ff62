"""Roll rates: where a pool of cases stood on one day, and where the same cases stand on another.

A case's place on a day follows from its events alone, through its repayment ledger: what was booked late, reversed or
paused changes the past it belongs to, in whatever order it came. Money is minor units; a tracked matrix moves the balance
that a case had on the first day.

Two forms, which differ when cases come, go or pay down: the tracked form follows each case (every row sums to 1 with
the ways out as columns); the flow form divides what stands in the next bucket on the second day by what stood in
this one on the first (Investopedia, roll rate). Chained, flow rates are 催收乘数, the net flow to the last bucket.

A month closes ``LATE_DAYS`` days after its last one: what is booked by then still counts, what is booked later does not, so
the figures of a closed month never change and anyone can make them again from the events up to that instant.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from chalicelib.domain.cases.lifecycle import FINAL
from chalicelib.domain.cases.repayment_ledger import Instalment, Pause, Payment, RepaymentLedger, bucket_of
from chalicelib.domain.events import Event, EventType
from chalicelib.domain.instants import to_text
from chalicelib.domain.kpi.periods import local_day, month_span

ORDERS: Mapping[bool, tuple[str, ...]] = {
    True: tuple(f"M{number}" for number in range(8)),
    False: ("current", "1-29", "30-59", "60-89", "90-119", "120+"),
}
"""The buckets in order: of China (True), and elsewhere."""


LATE_DAYS = 3
"""How many days after a month's last one what is booked still counts in its figures."""


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


class Move(NamedTuple):
    """Where cases of a currency and kind of buckets (``CN`` or ``US``) went; ``before`` is None for those that came between."""

    currency: str
    buckets: str
    before: str | None
    after: str


class Moved(NamedTuple):
    """How many cases made a move, and what they owed on the first day and on the second, in minor units."""

    cases: int
    before_minor: int
    after_minor: int


Moves = dict[Move, Moved]


@dataclass(frozen=True, slots=True)
class MonthClose:
    """A lender's month: counted up to the case ``after``, and over once there is ``closed_at``; ``cutoff`` is an instant.

    ``cases`` were looked at, ``moves`` is what they did.
    """

    month: str
    cutoff: str
    after: str | None = None
    cases: int = 0
    moves: Moves = field(default_factory=dict)
    closed_at: str | None = None
    version: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the month as ``GET /v1/kpis/rolls`` gives it: no tables before the walk is over."""
        first, last = ends_of(self.month)
        return {
            "month": self.month,
            "from": first.isoformat(),
            "to": last.isoformat(),
            "cutoff": self.cutoff,
            "closed_at": self.closed_at,
            "cases": self.cases,
            "tables": [] if self.closed_at is None else tables(self.moves),
        }


def known_by(events: Iterable[Event], cutoff: str) -> list[Event]:
    """Return the events that were written by an instant (closed), in their order."""
    return [event for event in events if event.at <= cutoff]


def cutoff_of(month: str, *, zone: str) -> str:
    """Return the instant by which a month's bookings count: the local midnight after its late days.

    >>> cutoff_of("2026-11", zone="Asia/Shanghai")
    '2026-12-03T16:00:00.000Z'
    """
    day = date.fromisoformat(month_span(month)[1]) + timedelta(days=LATE_DAYS + 1)
    return to_text(datetime.combine(day, time(), tzinfo=ZoneInfo(zone)).astimezone(UTC))


def ends_of(month: str) -> tuple[date, date]:
    """Return the days between which a month's cases are followed: the last of the month before, and its own last.

    >>> ends_of("2026-03")
    (datetime.date(2026, 2, 28), datetime.date(2026, 3, 31))
    """
    first, last = (date.fromisoformat(day) for day in month_span(month))
    return first - timedelta(days=1), last


def count_move(moves: Moves, events: Sequence[Event], first: date, last: date, *, zone: str) -> None:
    """Add what the case of this stream did between two days; one that had not come, or had ended before, adds nothing.

    Raises KeyError when an event lacks a datum that its type always carries.
    """
    after = place_of(events, last, zone=zone)
    before = place_of(events, first, zone=zone)
    if after is None or (before is not None and before.is_out):
        return
    move = Move(after.currency, "CN" if after.china else "US", None if before is None else before.at, after.at)
    known = moves.get(move, Moved(0, 0, 0))
    owed = 0 if before is None else before.balance_minor
    moves[move] = Moved(known.cases + 1, known.before_minor + owed, known.after_minor + after.balance_minor)


def tables(moves: Mapping[Move, Moved]) -> list[dict[str, Any]]:
    """Return one table a currency and kind of buckets, as ``GET /v1/kpis/rolls`` gives it; shares have six decimals.

    Every row of a matrix, the parts and the standing sum to 1, but for rounding; counts and balances are whole.
    """
    return [
        _table({move: moved for move, moved in moves.items() if move[:2] == kind}, *kind)
        for kind in sorted({move[:2] for move in moves})
    ]


def _table(moves: Mapping[Move, Moved], currency: str, buckets: str) -> dict[str, Any]:
    china = buckets == "CN"
    pool = {(move.before, move.after): moved for move, moved in moves.items() if move.before is not None}
    matrix = Matrix(
        {move: moved.cases for move, moved in pool.items()}, {move: moved.before_minor for move, moved in pool.items()}
    )
    first: Counter[str] = Counter()
    second: Counter[str] = Counter()
    for move, moved in moves.items():
        first[move.before or ""] += moved.before_minor
        second[move.after] += 0 if move.after in FINAL else moved.after_minor
    rates = _rates(first, second, china=china)
    chain = chained(rates, china=china)
    held = [bucket for bucket in ORDERS[china] if matrix.row(bucket)]
    return {
        "currency": currency,
        "buckets": buckets,
        "cases": sum(matrix.cases.values()),
        "balance_minor": sum(matrix.minor.values()),
        "entered_cases": sum(moved.cases for move, moved in moves.items() if move.before is None),
        "by_count": {bucket: _shown(matrix.row(bucket)) for bucket in held},
        "by_balance": {bucket: _shown(matrix.row(bucket, by_balance=True)) for bucket in held},
        "parts": _shown(matrix.parts()),
        "flow": _shown(rates),
        "chain": None if chain is None else f"{float(chain):.6f}",
        "standing": _shown(_shares(second, china=china)),
    }


def _shown(rates: Mapping[str, Fraction]) -> dict[str, str]:
    return {name: f"{float(rate):.6f}" for name, rate in rates.items()}


def flow(before: Iterable[Place], after: Iterable[Place], *, china: bool) -> dict[str, Fraction]:
    """Return the flow rates ``<bucket>><next>``: balance in the next bucket on the second day ÷ in this one on the first.

    >>> one, two = Place("c", "30-59", 100, "USD", False), Place("c", "60-89", 40, "USD", False)
    >>> flow([one], [two], china=False)["30-59>60-89"]
    Fraction(2, 5)
    """
    return _rates(_balances(before, china=china), _balances(after, china=china), china=china)


def _rates(first: Mapping[str, int], second: Mapping[str, int], *, china: bool) -> dict[str, Fraction]:
    order = ORDERS[china]
    return {
        f"{bucket}>{following}": Fraction(second.get(following, 0), first[bucket])
        for bucket, following in zip(order, order[1:], strict=False)
        if first.get(bucket, 0) > 0
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
    return _shares(_balances(places, china=china), china=china)


def _shares(balances: Mapping[str, int], *, china: bool) -> dict[str, Fraction]:
    order = ORDERS[china]
    total = sum(balances.get(bucket, 0) for bucket in order)
    return {bucket: Fraction(balances.get(bucket, 0), total) for bucket in order} if total > 0 else {}


def _balances(places: Iterable[Place], *, china: bool) -> Counter[str]:
    found: Counter[str] = Counter()
    for place in places:
        if place.china == china and not place.is_out:
            found[place.at] += place.balance_minor
    return found
