"""Money on a case: which part of the debt a payment settles, what a reversal restores, which promises were kept.

Everything is integer minor units and counted from the payments themselves, so late and reversed payments come out the
same in any order of arrival.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from chalicelib.domain.cases.case import Case, Payment, Promise
from chalicelib.domain.instants import to_text

PARTS = ("principal", "interest", "penalty", "late_fee", "management_fee", "other")
"""The parts of what is owed, as a case keeps them."""

ORDERS: Mapping[str, tuple[str, ...]] = {
    # Costs, then interest, then the principal debt, unless the parties agreed otherwise: PRC Civil Code art. 561.
    # Default interest counts as interest.
    "CN": ("other", "management_fee", "late_fee", "interest", "penalty", "principal"),
}
OTHERWISE = ("interest", "principal", "penalty", "late_fee", "management_fee", "other")
"""The order elsewhere: the instalment first, charges last, so that a charge never makes an instalment look unpaid."""

GRACE_DAYS = 3
"""A promise is kept by money received up to this many days after its due date (closed)."""

PROMISE_LIMIT_DAYS = 30
"""A promise may lie at most this many days ahead (closed)."""


@dataclass(frozen=True, slots=True)
class Judged:
    """The promises as judged, and those whose state changed."""

    promises: tuple[Promise, ...]
    changed: tuple[Promise, ...]


def split_of(owed: Mapping[str, int], amount_minor: int, *, country: str) -> dict[str, int]:
    """Return what of each part the amount settles, in the country's order; their sum is at most the amount.

    >>> split_of({"principal": 500, "interest": 100}, 150, country="US")
    {'interest': 100, 'principal': 50}
    """
    left, split = amount_minor, {}
    for part in ORDERS.get(country, OTHERWISE):
        settled = min(left, max(0, owed.get(part, 0)))
        if settled:
            split[part] = settled
            left -= settled
    return split


def after_payment(case: Case, payment: Payment, *, as_of: str) -> Case:
    """Return the case with the payment on it and what it settled no longer owed."""
    owed = {part: minor - payment.split.get(part, 0) for part, minor in case.owed.items()}
    return _with_balance(case, owed, payment, as_of)


def after_reversal(case: Case, original: Payment, reversal: Payment, *, as_of: str) -> Case:
    """Return the case with the reversal on it and what the original payment had settled owed again."""
    owed = {part: case.owed.get(part, 0) + original.split.get(part, 0) for part in {**case.owed, **original.split}}
    return _with_balance(case, owed, reversal, as_of)


def _with_balance(case: Case, owed: dict[str, int], payment: Payment, as_of: str) -> Case:
    return case.model_copy(
        update={
            "owed": owed,
            "amount_due_minor": sum(owed.values()),
            "amount_as_of": max(case.amount_as_of, as_of),
            "payments": (*case.payments, payment),
        }
    )


def standing(payments: Iterable[Payment]) -> list[Payment]:
    """Return the payments that were not reversed, by date received and then id."""
    known = list(payments)
    reversed_ids = {payment.reversal_of for payment in known}
    kept = [payment for payment in known if payment.reversal_of is None and payment.id not in reversed_ids]
    return sorted(kept, key=lambda payment: (payment.received_on, payment.id))


def lapse_of(due_on: date, *, zone: str) -> datetime:
    """Return the instant (UTC) from which a promise due on that day is broken: midnight after the last day of grace."""
    first_day_late = due_on + timedelta(days=GRACE_DAYS + 1)
    return datetime.combine(first_day_late, time(), tzinfo=ZoneInfo(zone)).astimezone(UTC)


def judge(promises: Sequence[Promise], payments: Iterable[Payment], *, today: date) -> Judged:
    """Return what became of each promise by ``today`` (the lender's date).

    Money counts once, for the earliest promise whose span, from the day it was made to the end of grace (closed), it
    falls into. A promise whose payment was reversed is open or broken again.
    """
    left = {payment.id: payment.amount_minor for payment in standing(payments)}
    received = {payment.id: payment.received_on for payment in standing(payments)}
    results: dict[str, Promise] = {}
    for promise in sorted(promises, key=lambda p: (p.due_on, p.made_at, p.id)):
        last_day = promise.due_on + timedelta(days=GRACE_DAYS)
        paid = 0
        for payment_id in left:
            if (promise.made_on or date.min) <= received[payment_id] <= last_day:
                used = min(left[payment_id], promise.amount_minor - paid)
                left[payment_id] -= used
                paid += used
        unpaid = "broken" if today > last_day else "open"
        state = "kept" if paid >= promise.amount_minor else unpaid
        results[promise.id] = promise.model_copy(update={"state": state, "paid_minor": paid})
    judged = tuple(results[promise.id] for promise in promises)
    changed = tuple(new for old, new in zip(promises, judged, strict=True) if new.state != old.state)
    return Judged(judged, changed)


def a_promise(
    promise_id: str,
    *,
    person: str,
    amount_minor: int,
    currency: str,
    due_on: date,
    now: datetime,
    today: date,
    zone: str,
) -> Promise:
    """Return an open promise made at ``now``."""
    return Promise(
        id=promise_id,
        person=person,
        amount_minor=amount_minor,
        currency=currency,
        due_on=due_on,
        made_at=to_text(now),
        made_on=today,
        lapses_at=to_text(lapse_of(due_on, zone=zone)),
    )
