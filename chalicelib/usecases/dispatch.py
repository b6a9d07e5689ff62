"""The dispatcher: claims an approved attempt, sends it once, and writes down what became of it.

A borrower contacted once too often is a breach; a lost reminder harms nobody. So nothing is ever sent twice: an
attempt that was claimed is never claimed again, and what nobody knows the end of counts as sent.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from chalicelib.domain import keys
from chalicelib.domain.concurrency import Conflict, retrying
from chalicelib.domain.events import Actor, EventType
from chalicelib.domain.instants import from_text, to_text
from chalicelib.domain.outreach import attempt as machine
from chalicelib.domain.outreach.approval import Invalid, Valid
from chalicelib.domain.outreach.attempt import Attempt, AttemptEvent, AttemptState
from chalicelib.domain.outreach.carrying import Accepted, Ambiguous, Outbound, Refused
from chalicelib.domain.state_table import Move
from chalicelib.usecases import compliance
from chalicelib.usecases.compliance import event_data
from chalicelib.usecases.ports import Scope, Store

DISPATCHER = Actor("system", "dispatch_messages", "role")
REAPER = Actor("system", "release_due", "role")
SENDING_LIMIT = timedelta(minutes=5)
"""How long an attempt may stay ``sending``: the function's time-out plus clock skew. After it nobody knows."""


class Carrier(Protocol):
    """One way out. At most one network call, never a retry."""

    def send(self, outbound: Outbound) -> Accepted | Refused | Ambiguous:
        """Hand the message over once and say what is known."""
        ...


class Verifier(Protocol):
    """Verifies approvals against the root key."""

    def __call__(
        self,
        approval: Mapping[str, Any],
        *,
        now: datetime,
        contact: str,
        recipient: str,
        content: str | None,
        template: tuple[str | None, str | None],
    ) -> Valid | Invalid:
        """Tell whether the approval may be acted on."""
        ...


@dataclass(frozen=True, slots=True)
class NotSent:
    """Nothing left, and why that is right."""

    reason: str


def dispatch(
    store: Store,
    carriers: Mapping[str, Carrier],
    verifier: Verifier,
    scope: Scope,
    message: str,
    *,
    clock: Callable[[], datetime],
    req: str,
) -> Attempt | NotSent:
    """Send one approved message, once, and return the attempt as settled; or say why nothing left.

    Safe to repeat: only an ``approved`` attempt is claimed, and the claim is one conditional write.
    """
    now = clock()
    attempt = store.attempt(scope, message)
    if attempt is None or attempt.human:
        return NotSent("no such message")
    if attempt.state is not AttemptState.APPROVED:
        return NotSent(f"the message is {attempt.state}")
    unit = store.unit(scope, actor=DISPATCHER, req=req, now=now)
    unit.watch(keys.case_pk(scope.tenant, attempt.case))
    try:
        facts = compliance.gather(store, scope, attempt, now=now)
    except compliance.CaseGone:
        if not store.erased_cases(scope, [attempt.case]):
            raise
        return _withdraw(store, scope, message, compliance.ERASED, now=now, req=req)
    doubt = _doubt(store, verifier, scope, facts, now)
    if doubt is not None:
        return _withdraw(store, scope, message, doubt, now=now, req=req)
    try:
        claimed = _claim(store, scope, attempt, unit)
    except Conflict:
        # A stop, a change of the case, or another worker came between; the ruling no longer stands as it was.
        return _withdraw(store, scope, message, "the facts changed after the ruling", now=now, req=req)
    outcome = carriers[claimed.channel].send(_outbound(facts))
    return settle(store, scope, claimed.id, outcome, clock=clock, req=req)


def _doubt(store: Store, verifier: Verifier, scope: Scope, facts: compliance.Facts, now: datetime) -> str | None:
    """Return why the approval must not be acted on now, or None."""
    attempt, person = facts.attempt, facts.persons.get(facts.attempt.person)
    point = person.point(attempt.point) if person is not None and attempt.point else None
    if point is None or not point.is_usable:
        return "the contact point may not be used any more"
    if facts.agency is None and attempt.org != scope.tenant:
        return "the agency is not listed any more"
    if facts.agency is not None and facts.agency.suspended:
        return "the agency is suspended"
    if not facts.case.admits(attempt.org, attempt.purpose, human=attempt.human):
        return f"the case is {facts.case.state} with {facts.case.agency or 'nobody'}"
    template = (attempt.template, attempt.template_sha256)
    now_in_force = facts.template.content if facts.template is not None else None
    if attempt.template is not None and (
        now_in_force is None or (now_in_force.reference, now_in_force.sha256) != template
    ):
        return "its version of the template is no longer in force"
    if facts.case.version != attempt.case_version:
        return "the case changed after the ruling"
    decided = store.decided(scope, attempt)
    if decided is None:
        return "there is no ruling"
    ruled_under = {sha256 for _, _, sha256 in decided.data["rule_set"]["packs"]}
    if any(ref.sha256 not in ruled_under for ref in facts.house_at(now)):
        return "the lender's house rules changed after the ruling"
    verdict = verifier(
        decided.data["approval"] or {},
        now=now,
        contact=attempt.id,
        recipient=compliance.recipient_of(store, scope, facts),
        content=attempt.content,
        template=template,
    )
    return verdict.reason if isinstance(verdict, Invalid) else None


def _claim(store: Store, scope: Scope, attempt: Attempt, unit: Any) -> Attempt:
    """Consume the approval: one conditional write that holds the attempt, the stops and the case to the ruling.

    The unit has watched the stream of the case since before the case was read and found to be as it was ruled on.
    """
    claimed = attempt.model_copy(
        update={
            "state": AttemptState.SENDING,
            "due_at": to_text(unit.now + SENDING_LIMIT),
            "version": attempt.version + 1,
        }
    )
    unit.replace(store.attempt_record(scope, claimed), expected=attempt.version)
    unit.check_stop_epoch(attempt.person, attempt.stop_epoch or 0)
    for other, stop_epoch in attempt.other_stop_epochs.items():
        unit.check_stop_epoch(other, stop_epoch)
    unit.emit(
        keys.case_pk(scope.tenant, attempt.case),
        EventType.CONTACT_CLAIMED,
        {**event_data(attempt), "approval": _approval_id(attempt), "content": attempt.content},
    )
    unit.commit()
    return claimed


def _outbound(facts: compliance.Facts) -> Outbound:
    attempt = facts.attempt
    point = facts.persons[attempt.person].point(attempt.point or "")
    if point is None or attempt.body is None or attempt.content is None or attempt.approved is None:
        raise ValueError(f"{attempt.id} was approved without body or contact point")
    agency = facts.agency
    return Outbound(
        contact=attempt.id,
        channel=attempt.channel,
        to=point.value,
        body=attempt.body,
        subject=attempt.subject,
        sender=agency.sms_line if agency is not None and attempt.channel == "sms" else None,
        content=attempt.content,
        not_after=attempt.approved.not_after,
        language=attempt.language or facts.case.language,
        reference=f"{facts.case.tenant}/{attempt.id}",
    )


def settle(
    store: Store,
    scope: Scope,
    message: str,
    outcome: Accepted | Refused | Ambiguous,
    *,
    clock: Callable[[], datetime],
    req: str,
) -> Attempt | NotSent:
    """Write down what the carrier said. An ambiguous answer changes nothing: the reaper will call it ``unknown``."""
    if isinstance(outcome, Ambiguous):
        return NotSent(f"{outcome.provider} left it open: {outcome.reason}")

    def once() -> Attempt | NotSent:
        attempt = store.attempt(scope, message)
        if attempt is None:
            return NotSent("no such message")
        event = AttemptEvent.ACCEPTED if isinstance(outcome, Accepted) else AttemptEvent.REFUSED
        answer = machine.answer(attempt.state, event, human=False)
        if not isinstance(answer, Move):
            return NotSent(answer.reason)
        now = clock()
        changes: dict[str, Any] = {"state": answer.to, "due_at": None, "provider": outcome.provider}
        unit = store.unit(scope, actor=DISPATCHER, req=req, now=now)
        ledger = store.ledger(scope, attempt.person)
        data = {**event_data(attempt), "approval": _approval_id(attempt), "content": attempt.content}
        data |= {"provider": outcome.provider, "agency": attempt.org}
        if isinstance(outcome, Accepted):
            changes |= {"provider_id": outcome.provider_id, "sent_at": to_text(now)}
            data |= {
                "provider_id": outcome.provider_id,
                "recipient": attempt.approved.recipient if attempt.approved is not None else None,
            }
            after = ledger.with_outcome(attempt.id, "sent")
            event_type = EventType.CONTACT_SENT
        else:
            changes |= {"reason": outcome.reason}
            data |= {"provider_id": None, "reason": outcome.reason}
            # Nothing was handed over, so the reservation is given back.
            after = ledger.without_contact(attempt.id)
            event_type = EventType.CONTACT_REJECTED
        settled = attempt.model_copy(update={**changes, "version": attempt.version + 1})
        unit.replace(store.attempt_record(scope, settled), expected=attempt.version)
        unit.replace(
            store.ledger_record(scope, after.model_copy(update={"version": ledger.version + 1})),
            expected=ledger.version,
        )
        unit.emit(keys.case_pk(scope.tenant, attempt.case), event_type, data)
        unit.commit()
        return settled

    return retrying(once, attempts=20)


def _withdraw(store: Store, scope: Scope, message: str, reason: str, *, now: datetime, req: str) -> NotSent:
    """Take an approval back before it was claimed: the wish is ruled on again, or ends when its time is over."""
    retrying(lambda: release(store, scope, message, reason, actor=DISPATCHER, now=now, req=req))
    return NotSent(reason)


def release(
    store: Store, scope: Scope, message: str, reason: str, *, actor: Actor, now: datetime, req: str
) -> Attempt | None:
    """Let a deferred or approved attempt be ruled on anew; a reservation is given back. None when it has moved on.

    An attempt whose own time is over expires instead; so does one that was released too often to be reasonable.
    """
    attempt = store.attempt(scope, message)
    if attempt is None or attempt.state not in (AttemptState.DEFERRED, AttemptState.APPROVED):
        return None
    over = attempt.human or now >= from_text(attempt.expires_at) or attempt.releases >= MOST_RELEASES
    event = AttemptEvent.EXPIRE if over else AttemptEvent.RELEASE
    answer = machine.answer(attempt.state, event, human=attempt.human)
    if not isinstance(answer, Move):
        return None
    unit = store.unit(scope, actor=actor, req=req, now=now)
    if attempt.state is AttemptState.APPROVED and not attempt.human:
        ledger = store.ledger(scope, attempt.person)
        given_back = ledger.without_contact(attempt.id).model_copy(update={"version": ledger.version + 1})
        unit.replace(store.ledger_record(scope, given_back), expected=ledger.version)
    released = attempt.model_copy(
        update={
            "state": answer.to,
            "approved": None,
            "reason": reason,
            "releases": attempt.releases + (0 if over else 1),
            "due_at": None if over else to_text(now + WAKE_UP),
            "version": attempt.version + 1,
        }
    )
    unit.replace(store.attempt_record(scope, released), expected=attempt.version)
    data = {**event_data(attempt), "reason": reason, "agency": attempt.org}
    if over:
        unit.emit(keys.case_pk(scope.tenant, attempt.case), EventType.CONTACT_EXPIRED, data)
    else:
        data |= {"content": attempt.content, "template": attempt.template, "reply_to": attempt.reply_to}
        data |= {"release": released.releases}
        unit.emit(keys.case_pk(scope.tenant, attempt.case), EventType.CONTACT_REQUESTED, data)
    unit.commit()
    return released


MOST_RELEASES = 20
"""How often one wish may be ruled on again."""

WAKE_UP = timedelta(minutes=5)
"""After this long without a ruling the clock enqueues the attempt again: a queue may lose, the table does not."""


def reap(store: Store, scope: Scope, message: str, *, now: datetime, req: str) -> Attempt | None:
    """Turn an attempt that has been ``sending`` for too long into ``unknown``; it counts, and is never resent."""
    attempt = store.attempt(scope, message)
    if attempt is None or attempt.state is not AttemptState.SENDING or now < from_text(attempt.due_at or ""):
        return None
    lost = attempt.model_copy(update={"state": AttemptState.UNKNOWN, "due_at": None, "version": attempt.version + 1})
    unit = store.unit(scope, actor=REAPER, req=req, now=now)
    unit.replace(store.attempt_record(scope, lost), expected=attempt.version)
    data = {**event_data(attempt), "reason": "no answer from the carrier was recorded", "provider_id": None}
    unit.emit(keys.case_pk(scope.tenant, attempt.case), EventType.CONTACT_UNKNOWN, data)
    unit.commit()
    return lost


def _approval_id(attempt: Attempt) -> str | None:
    return None if attempt.approved is None else attempt.approved.id
