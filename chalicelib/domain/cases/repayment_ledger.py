"""What is owed on a contract and since when: computed from its instalments and from the set of what was booked on them.

Payments, reversals and pauses arrive late, twice and in any order. Nothing here is kept pre-added: the standing on a day
follows from the set of entries alone, so that equal sets give equal figures whatever order they came in.

Counting. Days past due = business date - oldest unpaid contractual due date, 0 when there is none: the due day itself is
day 0, the day after it day 1, and no days of grace are given. This is the count of auto loan servicers and of the
delinquency buckets (OCC Comptroller's Handbook, Retail Lending; China M1 = day 1 to 30). A charge has no due date of its own: it
is owed, and never makes an instalment look unpaid. A placement of charges alone counts from the due date it states.

Pauses. A ``deferral`` moves every due date that lies in it to the day after it. A ``freeze`` leaves due dates as they are and
takes its days out of the count. Whoever books one says that the contract provides for it; no other days are removed.

Appropriation. Money settles what is due on the day it was received, in the order of the country's law, within a part the
oldest instalment first; the rest settles what falls due next. A reversal takes its payment out from the day on which
that was received: the debt was never settled. A waiver takes what the lender gave up out of what is left on its day, after
the money of that day; money that comes later finds less to settle.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from pydantic import BaseModel, ConfigDict

from chalicelib.domain.cases.appropriation import PARTS, order_in


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


DEFERRAL, FREEZE = "deferral", "freeze"

Span = tuple[date, date]
"""First and last day, both closed."""


class Instalment(_Value):
    """What falls due on one day, in minor units by part."""

    due_on: date
    owed: dict[str, int]


class Payment(_Value):
    """Money received, or a reversal of it (``reversal_of`` names the payment). ``amount_minor`` is always above 0.

    ``received_on`` is the value date, ``posted_at`` the instant of booking. ``stated_split`` is the lender's word on which parts
    it settles; ``split`` is what it settles as the ledger stands, nothing once it is reversed. What it exceeds that by
    was not owed.
    """

    id: str
    amount_minor: int
    currency: str
    received_on: date
    posted_at: str | None = None
    method: str | None = None
    reversal_of: str | None = None
    commissionable: bool = True
    stated_split: dict[str, int] | None = None
    split: dict[str, int] = {}


class Pause(_Value):
    """A deferral or a freeze of the days ``paused_from`` to ``paused_to`` (closed), or its end (``cancels`` names it).

    A cancelled pause never was.
    """

    id: str
    kind: str
    paused_from: date
    paused_to: date
    posted_at: str | None = None
    cancels: str | None = None


WAIVED_FIRST = ("late_fee", "management_fee", "other", "penalty", "interest", "principal")
"""The order in which a waiver takes: what was added to the debt first, the principal last."""


class Waiver(_Value):
    """What the lender gave up of the debt (above 0) on ``granted_on``, or its end (``cancels`` names it).

    A cancelled waiver never was. One that is for more than is left takes what is left.
    """

    id: str
    amount_minor: int
    granted_on: date
    posted_at: str | None = None
    cancels: str | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """How a contract stands on ``as_of``. Amounts are minor units.

    ``oldest_unpaid_due_on`` is the due date, as deferred, of the oldest instalment that is not settled, None when all are;
    it may lie ahead. ``overdue_minor`` is what fell due before ``as_of``, charges included, ``balance_minor`` what is
    owed in all, by part in ``owed``. ``unpaid_periods`` counts unsettled instalments that fell due before ``as_of``.
    ``splits`` says by payment what it settles, ``unapplied_minor`` how much money found nothing to settle. ``settlements`` are the
    due dates, as deferred, in order, each with the value date of the payment that settled it, None while it is unsettled.
    ``waived`` says by waiver what it took.
    """

    as_of: date
    oldest_unpaid_due_on: date | None
    days_past_due: int
    bucket: str
    overdue_minor: int
    balance_minor: int
    owed: Mapping[str, int]
    unpaid_periods: int
    splits: Mapping[str, Mapping[str, int]]
    unapplied_minor: int
    frozen: tuple[Span, ...]
    settlements: tuple[tuple[date, date | None], ...]
    waived: Mapping[str, Mapping[str, int]]

    def days_past_due_on(self, day: date) -> int:
        """Return the days past due on a day up to ``as_of``, as it is known now.

        Payments settle in the order of their value dates, so what was settled by a day is settled by payments up to it.
        """
        unpaid = (due for due, settled_on in self.settlements if settled_on is None or settled_on > day)
        oldest = min(unpaid, default=None)
        return 0 if oldest is None else days_past_due(oldest, day, frozen=self.frozen)


@dataclass(frozen=True, slots=True)
class RepaymentLedger:
    """A contract's instalments and charges, and what was booked on them."""

    country: str
    instalments: tuple[Instalment, ...]
    charges: Mapping[str, int]
    payments: tuple[Payment, ...] = ()
    pauses: tuple[Pause, ...] = ()
    waivers: tuple[Waiver, ...] = ()

    def with_payment(self, payment: Payment) -> "RepaymentLedger":
        """Return the ledger with the payment or reversal booked; one whose id is there already changes nothing."""
        if any(known.id == payment.id for known in self.payments):
            return self
        return replace(self, payments=(*self.payments, payment))

    def with_pause(self, pause: Pause) -> "RepaymentLedger":
        """Return the ledger with the pause or its end booked; one whose id is there already changes nothing."""
        if any(known.id == pause.id for known in self.pauses):
            return self
        return replace(self, pauses=(*self.pauses, pause))

    def with_waiver(self, waiver: Waiver) -> "RepaymentLedger":
        """Return the ledger with the waiver or its end booked; one whose id is there already changes nothing."""
        if any(known.id == waiver.id for known in self.waivers):
            return self
        return replace(self, waivers=(*self.waivers, waiver))

    def standing(self, as_of: date, *, known_by: str | None = None) -> Standing:
        """Return how the contract stands on a business date.

        ``known_by`` (an instant in the form of ``posted_at``) leaves out what was booked later: so the standing is as
        it was believed to be then. Without it everything booked counts.
        """
        pauses = _in_force(self.pauses, known_by)
        deferred = merged((pause.paused_from, pause.paused_to) for pause in pauses if pause.kind == DEFERRAL)
        frozen = merged((pause.paused_from, pause.paused_to) for pause in pauses if pause.kind == FREEZE)
        book = _Book(self, deferred)
        known = [payment for payment in self.payments if _is_known(payment.posted_at, known_by)]
        waivers = [each for each in standing_waivers(self.waivers, known_by) if each.granted_on <= as_of]
        for payment in standing_payments(known):
            if payment.received_on <= as_of:
                while waivers and waivers[0].granted_on < payment.received_on:
                    book.waive(waivers.pop(0))
                book.settle(payment)
        for waiver in waivers:
            book.waive(waiver)
        unpaid = [due for due, left in zip(book.due, book.left, strict=True) if any(left.values())]
        oldest = min(unpaid, default=None)
        days = 0 if oldest is None else days_past_due(oldest, as_of, frozen=frozen)
        owed = book.owed()
        balance = sum(owed.values())
        return Standing(
            as_of=as_of,
            oldest_unpaid_due_on=oldest,
            days_past_due=days,
            bucket=bucket_of(days, country=self.country),
            overdue_minor=balance - book.due_from(as_of),
            balance_minor=balance,
            owed=owed,
            unpaid_periods=sum(due < as_of for due in unpaid),
            splits=book.splits,
            unapplied_minor=book.unapplied,
            frozen=frozen,
            settlements=tuple(zip(book.due, book.settled_on, strict=True)),
            waived=book.waived,
        )


def _is_known(posted_at: str | None, known_by: str | None) -> bool:
    return known_by is None or posted_at is None or posted_at <= known_by


def standing_payments(payments: Iterable[Payment]) -> list[Payment]:
    """Return the payments that were not reversed, by date received and then id."""
    known = list(payments)
    reversed_ids = {payment.reversal_of for payment in known}
    kept = [payment for payment in known if payment.reversal_of is None and payment.id not in reversed_ids]
    return sorted(kept, key=lambda payment: (payment.received_on, payment.id))


def standing_waivers(waivers: Iterable[Waiver], known_by: str | None = None) -> list[Waiver]:
    """Return the waivers that were not cancelled, by day and then id."""
    known = [waiver for waiver in waivers if _is_known(waiver.posted_at, known_by)]
    cancelled = {waiver.cancels for waiver in known}
    kept = [waiver for waiver in known if waiver.cancels is None and waiver.id not in cancelled]
    return sorted(kept, key=lambda waiver: (waiver.granted_on, waiver.id))


def _in_force(pauses: Iterable[Pause], known_by: str | None) -> list[Pause]:
    known = [pause for pause in pauses if _is_known(pause.posted_at, known_by)]
    cancelled = {pause.cancels for pause in known}
    return [pause for pause in known if pause.cancels is None and pause.id not in cancelled]


def merged(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Return the same days as disjoint spans in order, none of which touches the next.

    >>> merged([(date(2026, 1, 4), date(2026, 1, 6)), (date(2026, 1, 1), date(2026, 1, 3))])
    ((datetime.date(2026, 1, 1), datetime.date(2026, 1, 6)),)
    """
    found: list[Span] = []
    for first, last in sorted(spans):
        if found and first <= found[-1][1] + timedelta(days=1):
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return tuple(found)


def days_past_due(due_on: date, today: date, *, frozen: Sequence[Span] = ()) -> int:
    """Return the days after ``due_on`` up to and including ``today`` that lie in no frozen span; 0 when it is ahead.

    ``frozen`` are disjoint spans.
    """
    counted = (today - due_on).days
    for first, last in frozen:
        counted -= max(0, (min(last, today) - max(first, due_on + timedelta(days=1))).days + 1)
    return max(0, counted)


BUCKETS: Mapping[str, tuple[str, ...]] = {"CN": ("M0", "M1", "M2", "M3", "M4", "M5", "M6", "M7")}
BUCKETS_OTHERWISE = ("current", "1-29", "30-59", "60-89", "90-119", "120+")
"""Every bucket of a country, and elsewhere, from the best to the worst."""


def rank_of(days_past_due: int, *, country: str) -> int:
    """Return how many buckets are better than the one of these days past due: 0 for an account that is not past due."""
    return BUCKETS.get(country, BUCKETS_OTHERWISE).index(bucket_of(days_past_due, country=country))


def bucket_of(days_past_due: int, *, country: str) -> str:
    """Return the bucket's label: China M1 = 1-30 and so on to M7 = 181+; elsewhere 1-29, 30-59, 60-89, 90-119, 120+."""
    if country == "CN":
        return f"M{min(7, -(-days_past_due // 30))}"
    if days_past_due <= 0:
        return "current"
    for low, high in ((1, 29), (30, 59), (60, 89), (90, 119)):
        if low <= days_past_due <= high:
            return f"{low}-{high}"
    return "120+"


class _Book:
    """What is left of each instalment while payments are applied in the order of their value dates."""

    def __init__(self, ledger: RepaymentLedger, deferred: Sequence[Span]) -> None:
        self._order = order_in(ledger.country)
        instalments = sorted(ledger.instalments, key=lambda each: each.due_on)
        self.due = [_deferred(each.due_on, deferred) for each in instalments]
        self.left = [dict(each.owed) for each in instalments]
        self.settled_on: list[date | None] = [None if any(left.values()) else due for due, left in self._rows()]
        self._charges = dict(ledger.charges)
        self.splits: dict[str, dict[str, int]] = {}
        self.waived: dict[str, dict[str, int]] = {}
        self.unapplied = 0

    def settle(self, payment: Payment) -> None:
        """Apply a payment: the stated split as far as it fits, what remains of it in the order of the law."""
        split: dict[str, int] = {}
        money = payment.amount_minor
        due = [left for on, left in self._rows() if on <= payment.received_on]
        later = [left for on, left in self._rows() if on > payment.received_on]
        if payment.stated_split is not None:
            # Beyond what the lender says it settles, the money was for something that is not in this ledger.
            money = sum(payment.stated_split.values())
            for part, stated in payment.stated_split.items():
                money -= _take([*due, self._charges, *later], part, stated, split)
        for part in self._order:
            money -= _take([*due, self._charges], part, money, split)
        for left in later:
            for part in self._order:
                money -= _take([left], part, money, split)
        self.splits[payment.id] = split
        self.unapplied += payment.amount_minor - sum(split.values())
        self._close_settled(payment.received_on)

    def waive(self, waiver: Waiver) -> None:
        """Take a waiver out of what is left, in the order of ``WAIVED_FIRST``, within a part the oldest instalment first."""
        split: dict[str, int] = {}
        left = waiver.amount_minor
        for part in WAIVED_FIRST:
            left -= _take([*self.left, self._charges], part, left, split)
        self.waived[waiver.id] = split
        self._close_settled(waiver.granted_on)

    def _close_settled(self, on: date) -> None:
        for at, left in enumerate(self.left):
            if self.settled_on[at] is None and not any(left.values()):
                self.settled_on[at] = on

    def _rows(self) -> Iterator[tuple[date, dict[str, int]]]:
        return zip(self.due, self.left, strict=True)

    def owed(self) -> dict[str, int]:
        """Return what is left by part; every part is named."""
        return {part: sum(each.get(part, 0) for each in (*self.left, self._charges)) for part in PARTS}

    def due_from(self, day: date) -> int:
        """Return what is left of the instalments that fall due on the day or after it."""
        return sum(sum(left.values()) for due, left in zip(self.due, self.left, strict=True) if due >= day)


def _deferred(due_on: date, deferred: Sequence[Span]) -> date:
    # Merged spans do not touch, so the day after one lies in no other.
    return next((last + timedelta(days=1) for first, last in deferred if first <= due_on <= last), due_on)


def _take(holders: Iterable[dict[str, int]], part: str, most: int, split: dict[str, int]) -> int:
    """Take up to ``most`` of a part out of the holders in turn; return how much there was, which ``split`` gains."""
    taken = 0
    for left in holders:
        piece = min(most - taken, left.get(part, 0))
        if piece > 0:
            left[part] -= piece
            taken += piece
    if taken:
        split[part] = split.get(part, 0) + taken
    return taken
