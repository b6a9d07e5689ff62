"""Messages and clearances: asking for one, reading it, reporting a call or visit, passing a review."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import Enum
from typing import Any

from chalicelib.domain import keys
from chalicelib.domain.cases.assignment import is_certified
from chalicelib.domain.cases.case import Case
from chalicelib.domain.errors import InvalidInput, NotFound, StateConflict
from chalicelib.domain.events import Actor, EventType
from chalicelib.domain.instants import from_text, local_date, to_text
from chalicelib.domain.outreach import attempt as machine
from chalicelib.domain.outreach.attempt import Attempt, AttemptEvent, AttemptState
from chalicelib.domain.outreach.carrying import content_digest
from chalicelib.domain.outreach.dossier import balance_as_of
from chalicelib.domain.outreach.templates import (
    TEXT_FAULTS,
    Template,
    TemplateRefused,
    disclosures_in,
    fault_of_text,
    render,
    values_for,
)
from chalicelib.domain.people.person import ContactPoint, Person
from chalicelib.domain.state_table import Move
from chalicelib.usecases.cases import lender_of, locked_for, mandate_is_over
from chalicelib.usecases.compliance import Facts, event_data, in_force
from chalicelib.usecases.dispatch import WAKE_UP
from chalicelib.usecases.one_person import person_as_one
from chalicelib.usecases.ports import Queues, Scope, Store

MESSAGE_LIFE = timedelta(hours=72)
"""How long a requested message may wait for its hour; then it expires unsent."""

CLEARANCE_REQUEST_LIFE = timedelta(hours=1)
"""How long a requested clearance may wait for its ruling."""

POINT_KINDS: Mapping[str, tuple[str, ...]] = {
    "sms": ("mobile",),
    "email": ("email",),
    "wechat": ("wechat",),
    "letter": ("address",),
    "call": ("mobile", "landline"),
    "visit": ("address",),
}
"""The kinds of contact point that each channel can use, the preferred first."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a caller asks for. ``to`` defaults to the debtor, ``point`` to the person's preferred one.

    ``strategy`` is the version (``<id>@<n>``) whose step asks, None where a person or another part of the system does.
    """

    channel: str
    template: str | None
    parameters: Mapping[str, str]
    purpose: str | None
    to: str | None
    point: str | None
    reply_to: str | None
    dialler: str | None = None
    recorded: bool | None = None
    visit: Mapping[str, Any] | None = None
    text: str | None = None
    subject: str | None = None
    strategy: str | None = None


FREE_PURPOSES = ("reply", "complaint_answer")
"""What a text of one's own may be for: answers to what somebody wrote. Everything else is said by approved texts."""


def request_message(
    store: Store,
    scope: Scope,
    case_id: str,
    wish: Wish,
    *,
    message_id: str,
    org: str,
    collector: str | None,
    human: bool,
    actor: Actor,
    now: datetime,
    req: str,
) -> Attempt:
    """Write down the wish to contact one person, rendered and hashed, and return the attempt as ``requested``.

    A wish with a ``text`` of its own answers what somebody wrote, and a person reads it before it may leave (CN-HOUSE-TEXT).

    ``message_id`` is derived from the caller's idempotency key, so that the same request made again after a crash finds
    what it wrote. Nothing is decided here: the compliance function rules on it, woken by the event of this commit. Raises NotFound
    for a case or person that is not the caller's, InvalidInput for a wish that cannot be rendered or addressed, and
    StateConflict when the case is not workable.
    """
    written = store.attempt(scope, message_id)
    if written is not None and written.case == case_id:
        return written
    if wish.text is not None:
        _check_free(wish)
    facts = drafted(
        store,
        scope,
        case_id,
        wish,
        message_id=message_id,
        org=org,
        collector=collector,
        human=human,
        now=now,
        text=wish.text,
    )
    attempt, case = facts.attempt, facts.case
    data = {
        **event_data(attempt),
        "content": attempt.content,
        "template": attempt.template,
        "reply_to": attempt.reply_to,
        "agency": case.agency,
    }
    if wish.strategy is not None:
        data |= {"strategy": wish.strategy}
    unit = store.unit(scope, actor=actor, req=req, now=now)
    unit.create(store.attempt_record(scope, attempt))
    unit.emit(keys.case_pk(scope.tenant, case.id), EventType.CONTACT_REQUESTED, data)
    unit.commit()
    return attempt


def drafted(
    store: Store,
    scope: Scope,
    case_id: str,
    wish: Wish,
    *,
    message_id: str,
    org: str,
    collector: str | None,
    human: bool,
    now: datetime,
    text: str | None = None,
) -> Facts:
    """Return the attempt that a wish would become, rendered, with what it was made from; nothing is written.

    ``text`` stands in the place of a template. Raises as ``request_message`` does.
    """
    case = store.case(scope, case_id)
    lender = store.lender(scope)
    if case is None or lender is None or org not in (case.agency, scope.tenant):
        raise NotFound("case", case_id)
    if not case.admits(org, wish.purpose, human=human):
        raise StateConflict("case_not_workable", f"the case is {case.state}")
    person = _addressee(store, scope, case, wish)
    point = _point(person, wish)
    life = CLEARANCE_REQUEST_LIFE if human else MESSAGE_LIFE
    attempt = Attempt(
        id=message_id,
        tenant=scope.tenant,
        case=case.id,
        person=person.id,
        point=point.id if point is not None else None,
        channel=wish.channel,
        purpose=wish.purpose or "demand",
        human=human,
        org=org,
        collector=collector,
        requested_at=to_text(now),
        reply_to=wish.reply_to,
        act=_act(wish, human=human),
        parameters=dict(wish.parameters),
        due_at=to_text(now + WAKE_UP),
        expires_at=to_text(now + life),
    )
    facts = Facts(
        attempt=attempt,
        case=case,
        lender=lender,
        agency=None if org == scope.tenant else store.agency(scope, org),
        collector=store.collector(scope, org, collector) if collector else None,
        persons={person.id: person},
        ledgers={},
    )
    if text is not None:
        return replace(facts, attempt=_worded(facts, text, wish.subject, now))
    if wish.template is not None:
        facts = replace(facts, template=in_force(store, scope, wish.template, now=now))
    return replace(facts, attempt=_rendered(facts, wish, now))


def writer_of(store: Store, scope: Scope, case: Case, org: str, *, today: date) -> str | None:
    """Return the collector in whose name an agency or the lender writes: certified, and the same for a case each time."""
    fit = sorted(
        each.id
        for each in store.collectors(scope, org)
        if is_certified(each, country=case.country, today=today) and case.debtor not in each.no_contact_with
    )
    return fit[int(hashlib.sha256(case.id.encode()).hexdigest(), 16) % len(fit)] if fit else None


def _check_free(wish: Wish) -> None:
    if wish.template is not None:
        raise InvalidInput("/text", "not_both", "give a template or a text")
    if wish.parameters:
        raise InvalidInput("/parameters", "unknown_parameter", "a text of one's own has nothing to fill in")
    if wish.purpose not in FREE_PURPOSES:
        raise InvalidInput("/purpose", "template_required", "only an answer may be a text of one's own")
    if wish.reply_to is None:
        raise InvalidInput("/reply_to", "required", "an answer names what it answers")
    if (wish.subject is not None) != (wish.channel in ("email", "letter")):
        raise InvalidInput("/subject", "subject_needed", "mail and letters have a subject, nothing else has")


def _worded(facts: Facts, text: str, subject: str | None, now: datetime) -> Attempt:
    attempt, language = facts.attempt, facts.case.language
    code = fault_of_text(attempt.channel, subject=subject or "", body=text, in_china=facts.case.country == "CN")
    if code is not None:
        raise InvalidInput("/subject" if code.startswith("subject") else "/text", code, TEXT_FAULTS[code])
    said = disclosures_in(text, _values(facts, language, now), language)
    named = "amount_due" in said
    return attempt.model_copy(
        update={
            "language": language,
            "subject": subject,
            "body": text,
            "content": content_digest(subject, text),
            "disclosures": said,
            "amount_minor": facts.case.amount_due_minor if named else None,
            "amount_as_of": balance_as_of(facts.case, facts.lender) if named else None,
        }
    )


def _values(facts: Facts, language: str, now: datetime) -> dict[str, str]:
    return values_for(
        facts.case,
        facts.persons[facts.attempt.person],
        facts.lender,
        facts.agency,
        facts.collector,
        today=local_date(now, facts.lender.zone),
        language=language,
    )


def _addressee(store: Store, scope: Scope, case: Case, wish: Wish) -> Person:
    wanted = wish.to or case.debtor
    if case.role_of(wanted) is None:
        raise NotFound("person", wanted)
    person = person_as_one(store, scope, wanted)
    if person is None:
        raise NotFound("person", wanted)
    return person


def _point(person: Person, wish: Wish) -> ContactPoint | None:
    kinds = POINT_KINDS[wish.channel]
    if wish.point is not None:
        point = person.point(wish.point)
        if point is None or point.kind not in kinds:
            raise InvalidInput("/point", "unknown_contact_point", f"no such contact point for {wish.channel}")
        if point.retired_at is not None:
            raise InvalidInput("/point", "retired_contact_point", "the contact point was retired")
        return point
    for kind in kinds:
        point = person.first_point(kind)
        if point is not None:
            return point
    raise InvalidInput("/point", "no_contact_point", f"the person has no usable contact point for {wish.channel}")


def _act(wish: Wish, *, human: bool) -> dict[str, Any]:
    act: dict[str, Any] = {}
    if wish.channel == "call":
        act |= {"dialler": wish.dialler or "manual", "recorded": bool(wish.recorded)}
    if wish.channel == "visit":
        act |= {"recorded": bool(wish.recorded), "visit": dict(wish.visit or {})}
    if human and wish.channel not in ("call", "visit"):
        raise InvalidInput("/channel", "not_a_clearance", "a clearance is for a call or a visit")
    if not human and wish.channel in ("call", "visit"):
        raise InvalidInput("/channel", "not_a_message", "a call or visit needs a clearance")
    return act


def _rendered(facts: Facts, wish: Wish, now: datetime) -> Attempt:
    attempt = facts.attempt
    if wish.template is None:
        if not attempt.human:
            raise InvalidInput("/template", "template_required", "a message needs an approved template or a text")
        return attempt
    template = facts.template.content if facts.template is not None else None
    if template is None or template.channel != wish.channel:
        raise InvalidInput("/template", "unknown_template", f"no approved template of that id for {wish.channel}")
    if wish.purpose not in (None, template.purpose):
        # The purpose opens exemptions, so it is the approved text's to say and never the caller's.
        raise InvalidInput("/purpose", "not_the_templates", "the template has another purpose")
    return _with_content(facts, template, wish.parameters, now=now)


def _with_content(facts: Facts, template: Template, parameters: Mapping[str, str], *, now: datetime) -> Attempt:
    attempt = facts.attempt
    if facts.case.role_of(attempt.person) not in template.audience:
        raise InvalidInput("/template", "wrong_audience", "the template is not approved for that person's role")
    if facts.case.country not in template.jurisdictions:
        raise InvalidInput("/template", "wrong_jurisdiction", "the template is not approved for the case's country")
    values = _values(facts, template.language, now)
    rendered = render(template, values, parameters)
    if isinstance(rendered, TemplateRefused):
        raise InvalidInput(f"/parameters/{rendered.field}", rendered.code, "the template cannot be filled in")
    named = "amount_due" in rendered.disclosures
    return attempt.model_copy(
        update={
            "template": rendered.template,
            "template_sha256": template.sha256,
            "purpose": template.purpose,
            "language": rendered.language,
            "disclosures": rendered.disclosures,
            "claims": rendered.claims,
            "subject": None if attempt.human else rendered.subject,
            "body": None if attempt.human else rendered.body,
            "content": None if attempt.human else rendered.content_sha256,
            "amount_minor": facts.case.amount_due_minor if named else None,
            "amount_as_of": balance_as_of(facts.case, facts.lender) if named else None,
        }
    )


def refresh_content(facts: Facts, now: datetime) -> Attempt:
    """Return the attempt as it must be said at ``now``.

    It is rendered anew from the version of its template in force when that is another than the one it was rendered
    from, or when the balance that it names has moved on. Raises InvalidInput when it cannot be said any more.
    """
    attempt = facts.attempt
    named = attempt.amount_minor is not None
    said = (attempt.amount_minor, attempt.amount_as_of)
    balance = (facts.case.amount_due_minor, balance_as_of(facts.case, facts.lender)) if named else (None, None)
    if facts.template is None:
        if said[0] != balance[0]:
            raise InvalidInput("/text", "amount_moved_on", "the text names an amount that is no longer owed")
        return attempt.model_copy(update={"amount_as_of": balance[1]})
    template = facts.template.content
    if (attempt.template_sha256, *said) == (template.sha256, *balance):
        return attempt
    if (template.channel, template.purpose) != (attempt.channel, attempt.purpose):
        raise InvalidInput("/template", "not_the_templates", "the version in force is for another purpose")
    return _with_content(facts, template, attempt.parameters, now=now)


def get_message(store: Store, scope: Scope, message: str, *, org: str | None) -> Attempt:
    """Return the attempt; ``org`` limits it to one organisation's own. Raises NotFound."""
    attempt = store.attempt(scope, message)
    if attempt is None or (org is not None and attempt.org != org):
        raise NotFound("message", message)
    return attempt


class Access(Enum):
    """How much of a message a caller may read."""

    WHOLE = "whole"
    WITHOUT_TEXT = "without_text"
    NONE = "none"


def access_to(store: Store, scope: Scope, attempt: Attempt, *, role: str, org: str | None, now: datetime) -> Access:
    """Return how much of the message a caller may read who is its sender, or on the lender's side.

    What was written to a person who was erased, or whose data are locked, is for compliance officers; an agency whose
    mandate is over keeps the fact and not the words.
    """
    if role == "compliance":
        return Access.WHOLE
    person = store.person(scope, attempt.person)
    case = store.case(scope, attempt.case)
    if person is None or case is None or locked_for(role, case, {person.id: person}):
        return Access.NONE
    today = local_date(now, lender_of(store, scope).zone)
    return Access.WITHOUT_TEXT if mandate_is_over(case, org, today=today) else Access.WHOLE


def wake(store: Store, queues: Queues, scope: Scope, attempt: Attempt, *, now: datetime, req: str) -> bool:
    """Enqueue a requested attempt again that got no ruling: a queue may lose a message, the table does not.

    An attempt whose time is over is enqueued all the same; the compliance check ends it.
    """
    later = attempt.model_copy(update={"due_at": to_text(now + WAKE_UP), "version": attempt.version + 1})
    unit = store.unit(scope, actor=Actor("system", "release_due", "role"), req=req, now=now)
    unit.replace(store.attempt_record(scope, later), expected=attempt.version)
    unit.commit()
    body = {"tenant": scope.tenant, "message": attempt.id}
    dedup = hashlib.sha256(f"{attempt.id}|{later.version}".encode()).hexdigest()
    queues.send_grouped("compliance.fifo", [(f"{scope.tenant}.{attempt.person}", dedup, body)])
    return True


def expire(store: Store, scope: Scope, message: str, *, now: datetime, req: str) -> bool:
    """End an attempt that nobody reviewed in time. False when it has moved on."""
    return _finish(
        store,
        scope,
        message,
        AttemptEvent.EXPIRE,
        EventType.CONTACT_EXPIRED,
        "nobody reviewed it in time",
        actor=Actor("system", "release_due", "role"),
        now=now,
        req=req,
    )


def cancel_message(
    store: Store, scope: Scope, message: str, *, reason: str, actor: Actor, now: datetime, req: str
) -> bool:
    """Withdraw an attempt that has not been claimed. False when it is too late or already over."""
    return _finish(
        store, scope, message, AttemptEvent.CANCEL, EventType.CONTACT_CANCELLED, reason, actor=actor, now=now, req=req
    )


def _finish(
    store: Store,
    scope: Scope,
    message: str,
    event: AttemptEvent,
    event_type: EventType,
    reason: str,
    *,
    actor: Actor,
    now: datetime,
    req: str,
) -> bool:
    attempt = store.attempt(scope, message)
    if attempt is None:
        return False
    answer = machine.answer(attempt.state, event, human=attempt.human)
    if not isinstance(answer, Move):
        return False
    unit = store.unit(scope, actor=actor, req=req, now=now)
    if attempt.state is AttemptState.APPROVED:
        ledger = store.ledger(scope, attempt.person)
        given_back = ledger.without_contact(attempt.id).model_copy(update={"version": ledger.version + 1})
        unit.replace(store.ledger_record(scope, given_back), expected=ledger.version)
    ended = attempt.model_copy(
        update={"state": answer.to, "reason": reason, "due_at": None, "version": attempt.version + 1}
    )
    unit.replace(store.attempt_record(scope, ended), expected=attempt.version)
    data = {**event_data(attempt), "reason": reason, "agency": attempt.org}
    unit.emit(keys.case_pk(scope.tenant, attempt.case), event_type, data)
    unit.commit()
    return True


def report_outcome(
    store: Store,
    scope: Scope,
    message: str,
    *,
    org: str,
    outcome: str,
    result: str,
    attempted_at: datetime,
    connected: bool,
    right_party: bool,
    note: str | None,
    duration_seconds: int | None = None,
    recording_sha256: str | None = None,
    actor: Actor,
    now: datetime,
    req: str,
) -> Attempt:
    """Record what became of a cleared call or visit; ``outcome`` is a dossier's history outcome, or ``not_made``.

    ``recording_sha256`` is the digest of the recording. A clearance that was not used gives its reservation back; one that nobody
    reports on stays counted as made. Raises
    NotFound, InvalidInput when the time lies outside the clearance, StateConflict when it was not open.
    """
    attempt = get_message(store, scope, message, org=org)
    answer = machine.answer(attempt.state, AttemptEvent.REPORT, human=attempt.human)
    if not isinstance(answer, Move) or attempt.approved is None:
        raise StateConflict("not_cleared", f"the attempt is {attempt.state}")
    inside = from_text(attempt.approved.not_before) <= attempted_at < from_text(attempt.approved.not_after)
    if not inside and outcome != "not_made":
        raise InvalidInput("/attempted_at", "outside_clearance", "the call or visit lies outside its clearance")
    if attempted_at > now:
        raise InvalidInput("/attempted_at", "in_the_future", "the call or visit lies in the future")
    ledger = store.ledger(scope, attempt.person)
    after = ledger.without_contact(attempt.id) if outcome == "not_made" else ledger.with_outcome(attempt.id, outcome)
    details: dict[str, Any] = {"outcome": outcome, "result": result, "attempted_at": to_text(attempted_at)}
    details |= {"connected": connected, "right_party": right_party}
    details |= {"duration_seconds": duration_seconds, "recording_sha256": recording_sha256}
    reported = attempt.model_copy(
        update={
            "state": answer.to,
            "due_at": None,
            "outcome": {**details, "note": note} if note else details,
            "version": attempt.version + 1,
        }
    )
    unit = store.unit(scope, actor=actor, req=req, now=now)
    unit.replace(store.attempt_record(scope, reported), expected=attempt.version)
    unit.replace(
        store.ledger_record(scope, after.model_copy(update={"version": ledger.version + 1})), expected=ledger.version
    )
    unit.emit(
        keys.case_pk(scope.tenant, attempt.case),
        EventType.CONTACT_REPORTED,
        {**event_data(attempt), **details, "approval": attempt.approved.id, "agency": attempt.org},
        subject=attempt.person,
        secret={"note": note} if note else None,
    )
    unit.commit()
    return reported


def review_message(
    store: Store, scope: Scope, message: str, *, decision: str, reason: str, actor: Actor, now: datetime, req: str
) -> Attempt:
    """Let a compliance officer pass or end an attempt whose ruling was ``review``; the reason is kept, sealed.

    Passing covers exactly the rules and missing facts that the ruling named: the attempt is ruled on again, and
    anything new stops it again. Raises NotFound, StateConflict when the attempt does not wait for a review.
    """
    attempt = get_message(store, scope, message, org=None)
    ruling = store.ruling(scope, attempt)
    if attempt.state is not AttemptState.IN_REVIEW or ruling is None:
        raise StateConflict("not_in_review", f"the attempt is {attempt.state}")
    passed = decision == "approve"
    update: dict[str, Any] = {
        "review": {
            "decision": decision,
            "by": actor.id,
            "at": to_text(now),
            "rules": sorted({rule["id"] for rule in ruling["rules"] if rule["effect"] == "review"}),
            "missing": list(ruling["missing"]),
        },
        "state": AttemptState.REQUESTED if passed else AttemptState.CANCELLED,
        "due_at": to_text(now + WAKE_UP) if passed else None,
        "version": attempt.version + 1,
    }
    reviewed = attempt.model_copy(update=update)
    unit = store.unit(scope, actor=actor, req=req, now=now)
    unit.replace(store.attempt_record(scope, reviewed), expected=attempt.version)
    data = {**event_data(attempt), "agency": attempt.org, "review": decision}
    if passed:
        data |= {"content": attempt.content, "template": attempt.template, "reply_to": attempt.reply_to}
    else:
        data |= {"reason": "a reviewer ended it"}
    unit.emit(
        keys.case_pk(scope.tenant, attempt.case),
        EventType.CONTACT_REQUESTED if passed else EventType.CONTACT_CANCELLED,
        data,
        subject=attempt.person,
        secret={"review": {"decision": decision, "reason": reason}},
    )
    unit.commit()
    return reviewed
