"""Money on a case: booking it, and which promises it kept.

Everything is integer minor units and follows from the entries of the case's ledger, so late and reversed payments come
out the same in any order of arrival.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from chalicelib.domain.cases.case import Case, Promise
from chalicelib.domain.cases.repayment_ledger import Pause, Payment, RepaymentLedger, standing_payments
from chalicelib.domain.instants import to_text

GRACE_DAYS = 3
"""A promise is kept by money received up to this many days after its due date (closed)."""

PROMISE_LIMIT_DAYS = 30
"""A promise may lie at most this many days ahead (closed)."""


@dataclass(frozen=True, slots=True)
class Judged:
    """The promises as judged, and those whose state changed."""

    promises: tuple[Promise, ...]
    changed: tuple[Promise, ...]


def after_payment(case: Case, payment: Payment, *, as_of: str) -> Case:
    """Return the case with a payment or a reversal booked, and what is owed and settled as it stands then."""
    return _standing_after(case, case.ledger.with_payment(payment), as_of)


def after_pause(case: Case, pause: Pause, *, as_of: str) -> Case:
    """Return the case with a pause or its end booked, and what is owed and settled as it stands then."""
    return _standing_after(case, case.ledger.with_pause(pause), as_of)


def _standing_after(case: Case, ledger: RepaymentLedger, as_of: str) -> Case:
    # Money is posted once it has arrived, so every entry lies before the last of days.
    stands = ledger.standing(date.max)
    payments = tuple(
        payment.model_copy(update={"split": dict(stands.splits.get(payment.id, {}))}) for payment in ledger.payments
    )
    return case.model_copy(
        update={
            "owed": dict(stands.owed),
            "amount_due_minor": stands.balance_minor,
            "oldest_unpaid_due_on": stands.oldest_unpaid_due_on,
            "amount_as_of": max(case.amount_as_of, as_of),
            "payments": payments,
            "pauses": ledger.pauses,
        }
    )


def lapse_of(due_on: date, *, zone: str) -> datetime:
    """Return the instant (UTC) from which a promise due on that day is broken: midnight after the last day of grace."""
    first_day_late = due_on + timedelta(days=GRACE_DAYS + 1)
    return datetime.combine(first_day_late, time(), tzinfo=ZoneInfo(zone)).astimezone(UTC)


def judge(promises: Sequence[Promise], payments: Iterable[Payment], *, today: date) -> Judged:
    """Return what became of each promise by ``today`` (the lender's date).

    Money counts once, for the earliest promise whose span, from the day it was made to the end of grace (closed), it
    falls into. A promise whose payment was reversed is open or broken again.
    """
    left = {payment.id: payment.amount_minor for payment in standing_payments(payments)}
    received = {payment.id: payment.received_on for payment in standing_payments(payments)}
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
