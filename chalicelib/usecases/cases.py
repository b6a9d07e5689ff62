"""What lenders and agencies do to a case: recall and objection, holds, transitions, payments, promises; and reading it.

``org`` is the agency on whose behalf a call is made, None for the lender's side. Every command reads, decides, and
commits once; on a conflict it runs again from its reads. ``expected`` is the version the caller last saw, if it said.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from chalicelib.domain import keys
from chalicelib.domain.cases import repayment
from chalicelib.domain.cases.case import Case, Promise
from chalicelib.domain.cases.lifecycle import FINAL, CaseEvent, CaseState, answer
from chalicelib.domain.cases.masking import visible
from chalicelib.domain.cases.organisations import Lender
from chalicelib.domain.cases.repayment_ledger import DEFERRAL, FREEZE, Pause, Payment
from chalicelib.domain.concurrency import retrying
from chalicelib.domain.errors import InvalidInput, NotFound, PreconditionFailed, StateConflict
from chalicelib.domain.events import Actor, EventType
from chalicelib.domain.instants import from_text, local_date, to_seconds_text, to_text
from chalicelib.domain.money.accounts import MoneyBook, balances, faults_of, journal, refundable
from chalicelib.domain.people.person import ContactLedger, HoldEntry, Person
from chalicelib.domain.state_table import Move
from chalicelib.usecases.case_draft import CaseDraft, find_case
from chalicelib.usecases.one_person import records_of
from chalicelib.usecases.ports import Scope, Store

CLOCK = Actor("system", "release_due", "role")
MOST_OPEN_PROMISES = 12

LENDER_EVENTS: Mapping[str, CaseEvent] = {
    "settle": CaseEvent.SETTLE,
    "refer_to_legal": CaseEvent.REFER_TO_LEGAL,
    "write_off": CaseEvent.WRITE_OFF,
    "dispute": CaseEvent.DISPUTE,
    "resolve_dispute": CaseEvent.RESOLVE_DISPUTE,
    "end_plan": CaseEvent.END_PLAN,
}
"""The transitions that a lender may ask for by name."""

AGENCY_EVENTS: Mapping[str, CaseEvent] = {
    "dispute": CaseEvent.DISPUTE,
    "agree_plan": CaseEvent.AGREE_PLAN,
    "end_plan": CaseEvent.END_PLAN,
}
"""The transitions that the agency may ask for by name."""

AGENCY_HOLDS = frozenset(
    {
        "attorney",
        "bankruptcy",
        "cease",
        "complaint",
        "debt_adviser",
        "deceased",
        "dispute",
        "hardship",
        "identity_theft",
        "serious_illness",
    }
)
"""The holds that an agency may place. It may release none: what stopped it is not its to judge."""

LENDER_HOLDS = AGENCY_HOLDS | {
    "breathing_space",
    "breathing_space_mental_health",
    "detention",
    "disaster",
    "legal_review",
    "military_service",
    "original_creditor_request",
    "police_no_contact",
}


@dataclass(frozen=True, slots=True)
class Caller:
    """On whose behalf a command runs: ``org`` is the agency, None for the lender's side."""

    actor: Actor
    org: str | None = None
    collector: str | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """The instant and the request of a command."""

    now: datetime
    req: str


def _command(
    store: Store,
    scope: Scope,
    case_id: str,
    caller: Caller,
    context: Context,
    change: Callable[[CaseDraft], None],
    *,
    expected: int | None = None,
) -> Case:
    """Run one change of one case until it commits; return the case as written."""

    def once() -> Case:
        case = find_case(store, scope, case_id, org=caller.org)
        if expected is not None and case.version != expected:
            raise PreconditionFailed(case.version)
        draft = CaseDraft(store, scope, case, actor=caller.actor, now=context.now, req=context.req)
        change(draft)
        return draft.commit()

    return retrying(once)


def lender_of(store: Store, scope: Scope) -> Lender:
    """Return the lender's record. Raises NotFound when it never registered."""
    lender = store.lender(scope)
    if lender is None:
        raise NotFound("lender", scope.tenant)
    return lender


# Recall


def request_recall(
    store: Store,
    scope: Scope,
    case_id: str,
    caller: Caller,
    context: Context,
    *,
    reason: str,
    final: bool = False,
    expected: int | None = None,
) -> Case:
    """Take a case back: the agency may object until ``recall_due_at``, then the clock finishes the recall.

    Nothing is sent from the moment of the request. A case that no agency holds, and a ``final`` request, is recalled
    at once. Repeating the request changes nothing.
    """
    window = timedelta(hours=lender_of(store, scope).recall_window_hours)

    def change(draft: CaseDraft) -> None:
        if draft.case.state is CaseState.PLACED:
            draft.move(CaseEvent.RECALL, reason)
            return
        moved = draft.move(CaseEvent.REQUEST_RECALL, reason)
        if final and draft.case.state is CaseState.RECALL_REQUESTED:
            draft.move(CaseEvent.RECALL, reason)
        elif moved:
            draft.change(recall_due_at=to_text(context.now + window))

    return _command(store, scope, case_id, caller, context, change, expected=expected)


def object_to_recall(
    store: Store, scope: Scope, case_id: str, caller: Caller, context: Context, *, code: str, reason: str
) -> Case:
    """Let the agency object before ``recall_due_at`` (exclusive): the case goes back to work, the lender is told why."""

    def change(draft: CaseDraft) -> None:
        due = draft.case.recall_due_at
        if due is not None and context.now >= from_text(due):
            raise StateConflict("window_over", "the time to object is over")
        draft.change(recall_due_at=None)
        draft.move(CaseEvent.OBJECT_TO_RECALL, code)
        draft.emit(
            EventType.ACTIVITY_RECORDED,
            _note(draft, caller, "recall_objection", code),
            subject=draft.case.debtor,
            secret={"text": reason},
        )

    return _command(store, scope, case_id, caller, context, change)


def _note(draft: CaseDraft, caller: Caller, action: str, result: str) -> dict[str, Any]:
    return {
        "activity": draft.new_id("act"),
        "action": action,
        "result": result,
        "attempt": False,
        "connect": False,
        "right_party": False,
        "contact": None,
        "person": draft.case.debtor,
        "org": caller.org,
        "collector": caller.collector,
        "agency": draft.case.agency,
    }


def finish_recall(store: Store, scope: Scope, case_id: str, *, now: datetime, req: str = "req_clock") -> Case | None:
    """Recall the case when its objection window is over; None when there was nothing to finish."""

    def once() -> Case | None:
        case = store.case(scope, case_id)
        if case is None or case.recall_due_at is None or from_text(case.recall_due_at) > now:
            return None
        draft = CaseDraft(store, scope, case, actor=CLOCK, now=now, req=req)
        draft.change(recall_due_at=None)
        if case.state is CaseState.RECALL_REQUESTED:
            draft.move(CaseEvent.RECALL, "the objection window is over")
        return draft.commit()

    return retrying(once)


def finish_due(store: Store, scope: Scope, case_id: str, *, now: datetime, req: str = "req_clock") -> str | None:
    """Do what the clock owes a case: finish its recall, break its unpaid promises. Return the kind of move, or None."""
    recalled = finish_recall(store, scope, case_id, now=now, req=req)
    if recalled is not None:
        return "recalled" if recalled.state is CaseState.RECALLED else "recall_dropped"
    zone = lender_of(store, scope).zone

    def once() -> str | None:
        case = store.case(scope, case_id)
        if case is None or case.state in FINAL:
            return None
        draft = CaseDraft(store, scope, case, actor=CLOCK, now=now, req=req)
        changed = _judge(draft, today=local_date(now, zone))
        if not changed:
            return None
        draft.commit()
        return "promise_judged"

    return retrying(once)


# Holds and transitions


def place_hold(
    store: Store,
    scope: Scope,
    case_id: str,
    caller: Caller,
    context: Context,
    *,
    kind: str,
    reason: str,
    person: str | None = None,
    until: str | None = None,
    amount_minor: int | None = None,
    written: bool | None = None,
    chapter: int | None = None,
    hold_id: str | None = None,
) -> tuple[Case, HoldEntry]:
    """Put a hold on the case or, when its kind is about the person, on all of the person's cases with this lender.

    What was approved for any party goes stale in the same transaction. A ``hold_id`` that is there already is the same
    hold. ``reason`` is free text: it is sealed, and the case moves because of the hold's kind. Raises InvalidInput for
    a kind that the caller may not place, NotFound for a person who is no party.
    """
    if kind not in (LENDER_HOLDS if caller.org is None else AGENCY_HOLDS):
        raise InvalidInput("/kind", "unknown_hold", "no hold of that kind may be placed here")
    placed: list[HoldEntry] = []

    def change(draft: CaseDraft) -> None:
        held = _party(draft.case, person)
        details: dict[str, Any] = {"until": until, "amount_minor": amount_minor, "written": written}
        details |= {"chapter": chapter} | ({"id": hold_id} if hold_id is not None else {})
        placed[:] = [draft.place_hold(kind, held, kind, note=reason, **details)]

    case = _command(store, scope, case_id, caller, context, change)
    return case, placed[0]


def _party(case: Case, person: str | None) -> str:
    wanted = person or case.debtor
    if case.role_of(wanted) is None:
        raise NotFound("person", wanted)
    return wanted


def release_hold(
    store: Store, scope: Scope, case_id: str, hold_id: str, caller: Caller, context: Context, *, reason: str
) -> Case:
    """End a hold; the case goes on when it was the last one. Repeating it changes nothing. Raises NotFound."""

    def change(draft: CaseDraft) -> None:
        draft.release_hold(hold_id, "hold_released", note=reason)

    return _command(store, scope, case_id, caller, context, change)


def return_case(
    store: Store,
    scope: Scope,
    case_id: str,
    caller: Caller,
    context: Context,
    *,
    reason: str,
    expected: int | None = None,
) -> Case:
    """Give the case back to the lender, for one of the close reasons."""

    def change(draft: CaseDraft) -> None:
        draft.move(CaseEvent.RETURN, reason)

    return _command(store, scope, case_id, caller, context, change, expected=expected)


def transition(
    store: Store,
    scope: Scope,
    case_id: str,
    caller: Caller,
    context: Context,
    *,
    event: str,
    reason: str,
    expected: int | None = None,
) -> Case:
    """Move the case by name. A dispute is also a hold, and its resolution ends the dispute holds on this case."""
    known = (LENDER_EVENTS if caller.org is None else AGENCY_EVENTS).get(event)
    if known is None:
        raise InvalidInput("/event", "unknown_event", "no such transition for this caller")

    def change(draft: CaseDraft) -> None:
        if known is CaseEvent.DISPUTE:
            reply = answer(draft.case.state, known)
            if isinstance(reply, Move):
                draft.place_hold("dispute", draft.case.debtor, reason)
            else:
                draft.move(known, reason)
            return
        if known is CaseEvent.RESOLVE_DISPUTE:
            for hold in draft.case.holds:
                if hold.kind == "dispute" and hold.released_at is None:
                    draft.release_hold(hold.id, reason)
            if draft.case.state is not CaseState.DISPUTED:
                return
        draft.move(known, reason)

    return _command(store, scope, case_id, caller, context, change, expected=expected)


# Promises and payments


def make_promise(
    store: Store,
    scope: Scope,
    case_id: str,
    caller: Caller,
    context: Context,
    *,
    amount_minor: int,
    currency: str,
    due_on: date,
    person: str | None = None,
    promise_id: str | None = None,
) -> tuple[Case, str]:
    """Record a promise to pay and return the case and the promise's id; a ``promise_id`` that is there is the same one.

    Raises InvalidInput when the amount exceeds what is owed, the currency is another, or the day lies in the past,
    more than 30 days ahead, or after the mandate's end; NotFound for a payer who is no party.
    """
    zone = lender_of(store, scope).zone
    today = local_date(context.now, zone)
    made: list[str] = []

    def change(draft: CaseDraft) -> None:
        case = draft.case
        if any(promise.id == promise_id for promise in case.promises):
            made[:] = [str(promise_id)]
            return
        payer = _party(case, person)
        if currency != case.currency:
            raise InvalidInput("/currency", "other_currency", f"the case is in {case.currency}")
        if not 0 < amount_minor <= case.amount_due_minor:
            raise InvalidInput("/amount_minor", "not_owed", "a promise is for more than 0 and at most what is owed")
        if not today <= due_on <= today + timedelta(days=repayment.PROMISE_LIMIT_DAYS):
            raise InvalidInput("/due_on", "out_of_range", f"at most {repayment.PROMISE_LIMIT_DAYS} days ahead")
        if due_on.isoformat() > case.placed_to[:10]:
            raise InvalidInput("/due_on", "after_mandate", "the mandate ends before that day")
        if sum(promise.state == "open" for promise in case.promises) >= MOST_OPEN_PROMISES:
            raise StateConflict("too_many_promises", "too many promises are open")
        identity = promise_id or draft.new_id("prm")
        made[:] = [identity]
        promise = repayment.a_promise(
            identity,
            person=payer,
            amount_minor=amount_minor,
            currency=currency,
            due_on=due_on,
            now=context.now,
            today=today,
            zone=zone,
        )
        if case.state is not CaseState.ON_PLAN:
            draft.move(CaseEvent.PROMISE, "promise_made")
        draft.change(promises=(*draft.case.promises, promise))
        draft.emit(EventType.PROMISE_MADE, _promise_data(draft, promise))
        # No demand while a promise is alive; its reminder is the rules' affair.
        draft.place_hold("promise_alive", payer, "promise_made", id=_alive(identity), until=due_on.isoformat())

    return _command(store, scope, case_id, caller, context, change), made[0]


def _alive(promise_id: str) -> str:
    return f"hold_{promise_id}"


def _promise_data(draft: CaseDraft, promise: Promise) -> dict[str, Any]:
    return {
        "promise": promise.id,
        "amount_minor": promise.amount_minor,
        "paid_minor": promise.paid_minor,
        "currency": promise.currency,
        "due_on": promise.due_on.isoformat(),
        "person": promise.person,
        "agency": draft.case.agency,
    }


def post_payment(
    store: Store,
    scope: Scope,
    case_id: str,
    caller: Caller,
    context: Context,
    *,
    amount_minor: int,
    currency: str,
    received_on: date,
    reference: str | None = None,
    method: str | None = None,
    commissionable: bool = True,
    split: Mapping[str, int] | None = None,
    payment_id: str | None = None,
) -> tuple[Case, Payment]:
    """Record money that the lender received; what it settles is no longer owed, and at 0 the case is settled.

    The amount is applied in the country's order unless the lender states the split; by its value date ``received_on``,
    so that one that is told late stands where it belongs (``repayment_ledger``). A ``reference`` that is already on the case
    with the same amount and day is the same payment. Raises InvalidInput, StateConflict.
    """
    zone = lender_of(store, scope).zone
    today = local_date(context.now, zone)
    posted: list[Payment] = []

    def change(draft: CaseDraft) -> None:
        case = draft.case
        _check_money(case, currency, received_on, today)
        if amount_minor <= 0:
            raise InvalidInput("/amount_minor", "not_positive", "a payment is for more than 0")
        identity = f"pay_{reference}" if reference is not None else payment_id or draft.new_id("pay")
        known = next((payment for payment in case.payments if payment.id == identity), None)
        if known is not None:
            if (known.amount_minor, known.received_on) != (amount_minor, received_on):
                raise StateConflict("payment_differs", "another payment has that reference")
            posted[:] = [known]
            return
        payment = Payment(
            id=identity,
            amount_minor=amount_minor,
            currency=currency,
            received_on=received_on,
            posted_at=to_seconds_text(context.now),
            method=method,
            commissionable=commissionable,
            stated_split=_checked_split(case, amount_minor, split),
        )
        draft.case = repayment.after_payment(case, payment, as_of=to_seconds_text(context.now))
        posted[:] = [payment := _payment(draft.case, payment.id)]
        left_on = _left_on(store, scope, case, zone)
        data = _payment_data(draft, payment, applied_minor=sum(payment.split.values()))
        draft.emit(EventType.PAYMENT_POSTED, data | _commission_data(case, payment, left_on))
        _judge(draft, today=today)
        if draft.case.amount_due_minor == 0 and draft.case.state not in FINAL:
            draft.move(CaseEvent.SETTLE, "PAID_FULL")

    return _command(store, scope, case_id, caller, context, change), posted[0]


def _check_money(case: Case, currency: str, received_on: date, today: date) -> None:
    if currency != case.currency:
        raise InvalidInput("/currency", "other_currency", f"the case is in {case.currency}")
    if received_on > today:
        raise InvalidInput("/received_on", "in_the_future", "money is posted once it has arrived")


def _payment(case: Case, payment_id: str) -> Payment:
    return next(payment for payment in case.payments if payment.id == payment_id)


def _checked_split(case: Case, amount_minor: int, split: Mapping[str, int] | None) -> dict[str, int] | None:
    if split is None:
        return None
    fits = all(part in case.owed and 0 < minor <= case.owed[part] for part, minor in split.items())
    if not fits or sum(split.values()) > amount_minor:
        raise InvalidInput(
            "/split", "does_not_fit", "each part is at most what is owed of it, together at most the amount"
        )
    return dict(split)


def _payment_data(draft: CaseDraft, payment: Payment, *, applied_minor: int) -> dict[str, Any]:
    return {
        "payment": payment.id,
        "amount_minor": payment.amount_minor,
        "applied_minor": applied_minor,
        "stated_split": payment.stated_split,
        "currency": payment.currency,
        "received_on": payment.received_on.isoformat(),
        "reversal_of": payment.reversal_of,
        "commissionable": payment.commissionable,
        "agency": draft.case.agency,
    }


def _commission_data(case: Case, payment: Payment, left_on: date | None) -> dict[str, Any]:
    """Return what commission rests on, as it stood before the payment: so every line can be reckoned from the event alone."""
    return {
        "method": payment.method,
        "placement_stage": case.placement_stage,
        "product": case.product,
        "bucket": case.bucket(payment.received_on),
        "placed_to": case.placed_to[:10],
        "left_on": None if left_on is None else left_on.isoformat(),
    }


def _left_on(store: Store, scope: Scope, case: Case, zone: str) -> date | None:
    """Return the lender's local date on which the case came to its end, None while it is open."""
    if case.state not in FINAL:
        return None
    changes = [e for e in store.events(scope, keys.case_pk(scope.tenant, case.id)) if e.type is EventType.CASE_CHANGED]
    ends = [from_text(each.at) for each in changes if each.data["to"] == case.state.value]
    return local_date(ends[-1], zone) if ends else None


def reverse_payment(
    store: Store,
    scope: Scope,
    case_id: str,
    payment_id: str,
    caller: Caller,
    context: Context,
    *,
    received_on: date,
) -> tuple[Case, Payment]:
    """Take back a payment that did not hold: it is as if it had never come, and the promises it kept are judged anew.

    ``received_on`` is the day on which it was taken back; the debt counts as unsettled from the day it was paid. A case that was settled stays settled; the lender places it again. Reversing twice is the same reversal. Raises
    NotFound, InvalidInput.
    """
    today = local_date(context.now, lender_of(store, scope).zone)
    posted: list[Payment] = []

    def change(draft: CaseDraft) -> None:
        case = draft.case
        original = next((p for p in case.payments if p.id == payment_id and p.reversal_of is None), None)
        if original is None:
            raise NotFound("payment", payment_id)
        done = next((p for p in case.payments if p.reversal_of == payment_id), None)
        if done is not None:
            posted[:] = [done]
            return
        _check_money(case, original.currency, received_on, today)
        reversal = Payment(
            id=draft.new_id("pay"),
            amount_minor=original.amount_minor,
            currency=original.currency,
            received_on=received_on,
            posted_at=to_seconds_text(context.now),
            method=original.method,
            reversal_of=original.id,
            commissionable=original.commissionable,
        )
        posted[:] = [reversal]
        draft.case = repayment.after_payment(case, reversal, as_of=to_seconds_text(context.now))
        taken_back = sum(original.split.values())
        draft.emit(EventType.PAYMENT_REVERSED, _payment_data(draft, reversal, applied_minor=taken_back))
        _judge(draft, today=today)

    return _command(store, scope, case_id, caller, context, change), posted[0]


def accounts_of(store: Store, scope: Scope, case_id: str, *, org: str | None) -> dict[str, Any]:
    """Return the money of a case in double entry: entries, balances by account, what may be paid back, what does not balance.

    A write-off stands on the day on which the case was written off. Raises NotFound.
    """
    case = find_case(store, scope, case_id, org=org)
    written_off = case.state is CaseState.WRITTEN_OFF
    zone = lender_of(store, scope).zone
    book = MoneyBook(case.ledger, _left_on(store, scope, case, zone) if written_off else None)
    entries = journal(book)
    return {
        "case": case.id,
        "currency": case.currency,
        "entries": [
            {
                "on": None if entry.on == date.min else entry.on,
                "kind": entry.kind,
                "source": entry.source,
                "postings": dict(entry.postings),
            }
            for entry in entries
        ],
        "balances": balances(entries),
        "refundable_minor": refundable(book),
        "faults": faults_of(book),
    }


# Pauses

PAUSES = (DEFERRAL, FREEZE)
LONGEST_PAUSE = timedelta(days=3 * 366)
"""From a pause's first day to its last; a longer one is a typing error."""


def record_pause(
    store: Store,
    scope: Scope,
    case_id: str,
    caller: Caller,
    context: Context,
    *,
    kind: str,
    paused_from: date,
    paused_to: date,
    reason: str,
    pause_id: str | None = None,
) -> tuple[Case, Pause]:
    """Book a deferral or a freeze that the contract provides for, from its first day to its last (closed), also a past one.

    What was approved before may state other days, so it goes stale. A ``pause_id`` that is there is the same pause. ``reason``
    is free text and is sealed. Raises InvalidInput.
    """
    if kind not in PAUSES:
        raise InvalidInput("/kind", "unknown_pause", "a pause is a deferral or a freeze")
    if not paused_from <= paused_to <= paused_from + LONGEST_PAUSE:
        raise InvalidInput("/paused_to", "out_of_range", f"from paused_from to {LONGEST_PAUSE.days} days after it")
    booked: list[Pause] = []

    def change(draft: CaseDraft) -> None:
        known = next((pause for pause in draft.case.pauses if pause.id == pause_id), None)
        if known is not None:
            booked[:] = [known]
            return
        pause = Pause(
            id=pause_id or draft.new_id("pause"),
            kind=kind,
            paused_from=paused_from,
            paused_to=paused_to,
            posted_at=to_seconds_text(context.now),
        )
        booked[:] = [pause]
        _book_pause(draft, pause)
        told = {"subject": draft.case.debtor, "secret": {"text": reason}}
        draft.emit(EventType.PAUSE_RECORDED, _pause_data(draft, pause, pause.id), **told)

    return _command(store, scope, case_id, caller, context, change), booked[0]


def cancel_pause(
    store: Store, scope: Scope, case_id: str, pause_id: str, caller: Caller, context: Context, *, reason: str
) -> Case:
    """Take a pause back as if it had never been. Repeating it changes nothing. Raises NotFound."""

    def change(draft: CaseDraft) -> None:
        original = next((p for p in draft.case.pauses if p.id == pause_id and p.cancels is None), None)
        if original is None:
            raise NotFound("pause", pause_id)
        if any(pause.cancels == pause_id for pause in draft.case.pauses):
            return
        told = {"id": draft.new_id("pause"), "cancels": pause_id, "posted_at": to_seconds_text(context.now)}
        _book_pause(draft, original.model_copy(update=told))
        data = _pause_data(draft, original, pause_id)
        draft.emit(EventType.PAUSE_CANCELLED, data, subject=draft.case.debtor, secret={"text": reason})

    return _command(store, scope, case_id, caller, context, change)


def _book_pause(draft: CaseDraft, pause: Pause) -> None:
    draft.stop()
    draft.case = repayment.after_pause(draft.case, pause, as_of=draft.case.amount_as_of)


def _pause_data(draft: CaseDraft, pause: Pause, pause_id: str) -> dict[str, Any]:
    return {
        "pause": pause_id,
        "pause_kind": pause.kind,
        "paused_from": pause.paused_from.isoformat(),
        "paused_to": pause.paused_to.isoformat(),
        "agency": draft.case.agency,
    }


# Judging promises


def _judge(draft: CaseDraft, *, today: date) -> bool:
    """Judge the promises by the payments on the case; False when nothing became of any."""
    before = {promise.id: promise.state for promise in draft.case.promises}
    judged = repayment.judge(draft.case.promises, draft.case.payments, today=today)
    if judged.promises == draft.case.promises:
        return False
    draft.change(promises=judged.promises)
    for promise in judged.changed:
        if promise.state != "open":
            event = EventType.PROMISE_KEPT if promise.state == "kept" else EventType.PROMISE_BROKEN
            # A late or reversed payment can turn a judgment round; the figures must know which one it replaces.
            draft.emit(event, {**_promise_data(draft, promise), "was": before[promise.id]})
        _end_promise_hold(draft, promise)
    ended = [promise for promise in judged.changed if promise.state != "open"]
    if ended and not any(promise.state == "open" for promise in judged.promises):
        kept = ended[-1].state == "kept"
        step = CaseEvent.KEEP_PROMISE if kept else CaseEvent.BREAK_PROMISE
        draft.move_if_possible(step, f"promise_{ended[-1].state}")
    return True


def _end_promise_hold(draft: CaseDraft, promise: Promise) -> None:
    alive = next((hold for hold in draft.case.holds if hold.id == _alive(promise.id)), None)
    if alive is not None and alive.released_at is None and promise.state != "open":
        draft.release_hold(alive.id, f"promise_{promise.state}")


# Reading


def debtor_of(store: Store, scope: Scope, case_id: str, *, org: str | None) -> str:
    """Return the person id of the case's borrower. Raises NotFound."""
    return find_case(store, scope, case_id, org=org).debtor


def case_view(store: Store, scope: Scope, case_id: str, *, org: str | None, role: str, now: datetime) -> dict[str, Any]:
    """Return the case in its outer form as the role may see it: parties with contact points, money, holds, next steps.

    Days past due and bucket are those of today in the lender's zone. Raises NotFound; an agency sees its own cases
    until they end, and nothing personal in them once its mandate is over. Persons whose data are locked are shown to
    the lender's officers only.
    """
    case = find_case(store, scope, case_id, org=org)
    if org is not None and case.state in FINAL:
        raise NotFound("case", case_id)
    people = [party.person for party in case.parties]
    known = records_of(store, scope, people)
    persons = known.persons
    today = local_date(now, lender_of(store, scope).zone)
    locked = locked_for(role, case, persons)
    whole = outer_form(
        case, persons, {**known.others, **known.ledgers}, today=today, agency=org is not None, locked=locked
    )
    return visible(whole, role=role, withheld=case.debtor in locked or mandate_is_over(case, org, today=today))


def locked_for(role: str, case: Case, persons: Mapping[str, Person]) -> frozenset[str]:
    """Return the persons whose data this role does not see, because they are locked; an open case opens the lock."""
    if role == "compliance" or case.state not in FINAL:
        return frozenset()
    return frozenset(person.id for person in persons.values() if person.locked_since is not None)


def mandate_is_over(case: Case, org: str | None, *, today: date) -> bool:
    """Tell whether an agency has no mandate for the case (any more): it keeps nothing then (CN-PI-6, PIPL art. 21)."""
    if org is None:
        return False
    return case.agency != org or case.state in FINAL or today.isoformat() > case.placed_to[:10]


def outer_form(
    case: Case,
    persons: Mapping[str, Person],
    ledgers: Mapping[str, ContactLedger],
    *,
    today: date,
    agency: bool,
    locked: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """Return everything that the API can say about a case, unmasked; of ``locked`` persons no more than that."""
    form = case.model_dump(
        mode="json",
        by_alias=True,
        exclude={"tenant", "parties", "holds", "promises", "debt_facts", "loan", "payment_history", "notices"},
    )
    holds = [*case.holds, *(hold for ledger in ledgers.values() for hold in ledger.holds)]
    return {
        **form,
        "lender": case.tenant,
        "days_past_due": case.days_past_due(today),
        "bucket": case.bucket(today),
        "parties": [
            {**party.model_dump(mode="json"), **_person_form(persons.get(party.person), locked)}
            for party in case.parties
        ],
        "promises": [promise.model_dump(mode="json") for promise in case.promises],
        "holds": [hold.model_dump(mode="json", by_alias=True, exclude_none=True) for hold in holds],
        "notices": [notice.model_dump(mode="json", exclude_none=True) for notice in case.notices],
        "next_actions": next_actions(case, agency=agency),
    }


def _person_form(person: Person | None, locked: frozenset[str]) -> dict[str, Any]:
    if person is None:
        return {"erased": True, "points": []}
    if person.id in locked:
        return {"locked": True, "points": []}
    form = person.model_dump(
        mode="json", include={"name", "name_local", "birth_date", "national_id", "language", "zones"}, exclude_none=True
    )
    return {**form, "points": [point.model_dump(mode="json", exclude_none=True) for point in person.points]}


def next_actions(case: Case, *, agency: bool) -> list[str]:
    """Return what the caller may do to the case in its state, by name, sorted."""
    named: dict[str, CaseEvent] = dict(AGENCY_EVENTS if agency else LENDER_EVENTS)
    named["return"] = CaseEvent.RETURN
    named["promise"] = CaseEvent.PROMISE
    if agency:
        named["object_to_recall"] = CaseEvent.OBJECT_TO_RECALL
    else:
        named["recall"] = CaseEvent.RECALL if case.state is CaseState.PLACED else CaseEvent.REQUEST_RECALL
    possible = {name for name, event in named.items() if isinstance(answer(case.state, event), Move)}
    if case.state not in FINAL:
        possible |= {"activity", "hold"} if agency else {"hold", "payment"}
    if agency and case.is_workable:
        possible |= {"message", "clearance"}
    return sorted(possible)
