"""Activities: what an agency did on a case, with what result, and what the result sets off by itself.

Stop means stop: a dispute, a cease request, an attorney, a death holds the case in the transaction that records it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from chalicelib.domain import keys
from chalicelib.domain.cases.activity_codes import ActivityCode, code_of
from chalicelib.domain.cases.case import Case
from chalicelib.domain.cases.lifecycle import CaseEvent
from chalicelib.domain.concurrency import retrying
from chalicelib.domain.errors import InvalidInput, NotFound
from chalicelib.domain.events import Actor, Event, EventType
from chalicelib.domain.instants import from_text, to_seconds_text, to_text
from chalicelib.domain.outreach.attempt import Attempt
from chalicelib.domain.people.person import Attorney, ConsentEntry, ContactEntry
from chalicelib.domain.risk.event import RiskEvent, Source, crossed, raised, raised_data
from chalicelib.domain.risk.register import CLEARANCE
from chalicelib.usecases.case_draft import CaseDraft, find_case
from chalicelib.usecases.cases import Caller, Context
from chalicelib.usecases.ports import Scope, Store

CHANNELS = frozenset({"call", "visit", "sms", "email", "wechat", "letter", "none"})
CLEARED_CHANNELS = frozenset({"call", "visit"})
"""What a person does by themselves and may do only under a clearance."""

OLDEST_REPORT = timedelta(days=30)
"""An activity may be reported at most this long after it happened (closed)."""

CLEARANCE_RULE, WINDOW_RULE = "contact_without_clearance", "contact_outside_clearance"


@dataclass(frozen=True, slots=True)
class Report:
    """An activity as reported. ``contact`` is the clearance or message it happened under, if any."""

    code: str
    channel: str
    person: str
    at: datetime
    point: str | None = None
    contact: str | None = None
    note: str | None = None
    written: bool | None = None
    chapter: int | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was recorded: the case as written, the activity's id, the holds it placed, and a breach if it was one."""

    case: Case
    activity: str
    holds: tuple[str, ...]
    risk: str | None


def record_activity(
    store: Store,
    scope: Scope,
    case_id: str,
    report: Report,
    caller: Caller,
    context: Context,
    *,
    activity_id: str | None = None,
) -> Recorded:
    """Record an activity and do what its result calls for, in one transaction.

    An outbound call or visit without a clearance, or outside the times of the one that it names, raises a risk event, and the
    contact enters the person's ledger all the same, because it happened. Raises InvalidInput, NotFound.
    """
    code = code_of(report.code)
    if code is None or code.source != "collector":
        raise InvalidInput("/code", "unknown_code", "no such result code, or one that only the system writes")
    channel = _channel(code, report)
    if report.at > context.now:
        raise InvalidInput("/at", "in_the_future", "an activity is reported after it happened")
    if report.at < context.now - OLDEST_REPORT:
        raise InvalidInput("/at", "too_old", f"at most {OLDEST_REPORT.days} days after it happened")

    def once() -> Recorded:
        case = find_case(store, scope, case_id, org=caller.org)
        if case.role_of(report.person) is None:
            raise NotFound("person", report.person)
        attempt = _attempt(store, scope, case, report, caller)
        draft = CaseDraft(store, scope, case, actor=caller.actor, now=context.now, req=context.req)
        activity = activity_id or draft.new_id("act")
        org = caller.org or scope.tenant
        line = None
        if code.attempt and channel in CLEARED_CHANNELS:
            line = crossed(attempt, channel, to_text(report.at))
        if line is not None:
            _enter(draft, activity, code, channel, report, caller, org)
        if code.code == "INB":
            _enter_inbound(draft, activity, channel, report)
        draft.emit(
            EventType.ACTIVITY_RECORDED,
            {
                "activity": activity,
                "action": channel,
                "result": code.code,
                "attempt": code.attempt,
                "connect": code.connect,
                "right_party": code.right_party,
                # What was not cleared, or not then, happened under no clearance.
                "contact": report.contact if line is None else None,
                "person": report.person,
                "org": org,
                "collector": caller.collector,
                "agency": case.agency,
                "at": to_seconds_text(report.at),
            },
            subject=report.person if report.note else None,
            secret={"text": report.note} if report.note else None,
        )
        risk = None
        if line is not None:
            made = _risk(draft, scope, line, activity, report, caller)
            risk = made.id
            draft.emit(EventType.RISK_EVENT_RAISED, raised_data(made))
            pk = keys.risk_pk(scope.tenant, made.id)
            draft.put(
                store.plain_record(pk, keys.RISK_SK, made, version=made.version, state=made.status.value), expected=None
            )
        if code.attempt or code.right_party:
            draft.move_if_possible(CaseEvent.WORK, "first_activity")
        holds = _apply_effect(draft, code, report, channel, source=activity)
        return Recorded(draft.commit(), activity, holds, risk)

    return retrying(once)


def _channel(code: ActivityCode, report: Report) -> str:
    if report.channel not in CHANNELS:
        raise InvalidInput("/channel", "unknown_channel", "no such channel")
    if code.channel is not None and report.channel != code.channel:
        raise InvalidInput("/channel", "other_channel", f"the code is about a {code.channel}")
    if report.channel == "none" and (code.attempt or code.code in ("INB", "OPTOUT")):
        raise InvalidInput("/channel", "channel_required", "the code is about a contact")
    return report.channel


def _attempt(store: Store, scope: Scope, case: Case, report: Report, caller: Caller) -> Attempt | None:
    if report.contact is None:
        return None
    attempt = store.attempt(scope, report.contact)
    org = caller.org or scope.tenant
    if attempt is None or attempt.case != case.id or attempt.org != org or attempt.person != report.person:
        raise NotFound("contact", report.contact)
    return attempt


def _enter(
    draft: CaseDraft, activity: str, code: ActivityCode, channel: str, report: Report, caller: Caller, org: str
) -> None:
    """Put an outbound contact that nobody cleared into the ledger, so that it counts against every cap."""
    met = "visited_met" if channel == "visit" else "conversation"
    entry = ContactEntry(
        id=activity,
        at=to_seconds_text(report.at),
        direction="out",
        channel=channel,
        purpose="demand",
        party=report.person,
        point=report.point,
        org=org,
        collector=caller.collector,
        debts=(draft.case.id,),
        outcome=met if code.right_party else code.outcome or "connected",
    )
    draft.set_ledger(draft.ledger(report.person).with_contact(entry))


def _enter_inbound(draft: CaseDraft, activity: str, channel: str, report: Report) -> None:
    at = to_seconds_text(report.at)
    ledger = draft.ledger(report.person).with_contact(
        ContactEntry(
            id=activity,
            at=at,
            direction="in",
            channel=channel,
            party=report.person,
            point=report.point,
            outcome="received",
        )
    )
    used = ConsentEntry(at=at, party=report.person, point=report.point, medium=channel, event="used", direct=True)
    draft.set_ledger(ledger.with_consent(used, stops=False))


def _risk(draft: CaseDraft, scope: Scope, line: str, activity: str, report: Report, caller: Caller) -> RiskEvent:
    return raised(
        risk=draft.new_id("risk"),
        tenant=scope.tenant,
        line=line,
        source=Source.CONTACT,
        at=to_text(draft.now),
        by=caller.actor.id,
        rule=CLEARANCE_RULE if line == CLEARANCE else WINDOW_RULE,
        subject=activity,
        case=draft.case.id,
        person=report.person,
        org=caller.org or scope.tenant,
        agency=draft.case.agency,
        collector=caller.collector,
        contact=report.contact,
        activity=activity,
    )


def apply_reported(
    store: Store, scope: Scope, attempt: Attempt, result: str, *, actor: Actor, now: datetime, req: str
) -> tuple[str, ...]:
    """Do what the result of a cleared call or visit calls for; return the ids of the holds that it placed.

    Safe to repeat: what a result sets off is named after the contact that it is the result of. An unknown result, one
    like NOT-MADE that says nothing of the person, and a case that is gone set off nothing.
    """
    code = code_of(result)
    if code is None:
        return ()

    def once() -> tuple[str, ...]:
        case = store.case(scope, attempt.case)
        if case is None or case.role_of(attempt.person) is None:
            return ()
        draft = CaseDraft(store, scope, case, actor=actor, now=now, req=req)
        report = Report(code=code.code, channel=attempt.channel, person=attempt.person, at=now, point=attempt.point)
        draft.move_if_possible(CaseEvent.WORK, "first_activity")
        holds = _apply_effect(draft, code, report, attempt.channel, source=attempt.id)
        draft.commit()
        return holds

    return retrying(once)


def project_reports(store: Store, events: Sequence[Event], *, scope_for: Callable[[str], Scope]) -> list[str]:
    """Make sure that every reported outcome had its effect, from the event stream; return the events that failed."""
    failed = []
    for event in events:
        if event.type is not EventType.CONTACT_REPORTED:
            continue
        scope = scope_for(event.tenant)
        attempt = store.attempt(scope, event.data["contact"])
        if attempt is None:
            failed.append(event.id)
            continue
        at, result = from_text(event.at), str(event.data["result"])
        apply_reported(store, scope, attempt, result, actor=event.actor, now=at, req=event.req)
    return failed


def _apply_effect(
    draft: CaseDraft, code: ActivityCode, report: Report, channel: str, *, source: str
) -> tuple[str, ...]:
    effect, at, placed = code.effect, to_seconds_text(draft.now), []
    if effect.stop_medium is not None:
        medium = channel if effect.stop_medium == "used" else effect.stop_medium
        stop = ConsentEntry(
            at=at,
            party=report.person,
            point=report.point,
            medium=medium,
            event="stop_medium",
            scope="medium" if effect.stop_medium == "used" else "all",
            direct=True,
            written=report.written,
        )
        if not _stopped(draft, report.person, medium):
            draft.stop()
            draft.set_ledger(draft.ledger(report.person).with_consent(stop, stops=False))
            data = {"person": report.person, "medium": medium, "event": "stop_medium", "scope": stop.scope}
            draft.emit(EventType.CONSENT_CHANGED, data)
    if effect.hold is not None:
        details: dict[str, Any] = {"id": f"hold_{source}"[:80], "written": report.written}
        if effect.hold == "bankruptcy":
            details["chapter"] = report.chapter
        if effect.hold == "complaint":
            # What the person complains of goes with the hold, which opens their feedback.
            details["note"] = report.note
        placed.append(draft.place_hold(effect.hold, report.person, code.code, **details).id)
    elif effect.event is not None:
        draft.move_if_possible(effect.event, code.code)
    _learn(draft, code, report, at)
    return tuple(placed)


def _stopped(draft: CaseDraft, person: str, medium: str) -> bool:
    """Tell whether the medium is stopped already: a later ``granted`` or ``used`` would have reopened it."""
    said = [entry for entry in draft.ledger(person).consents if entry.medium in (medium, "all")]
    return bool(said) and said[-1].event == "stop_medium" and said[-1].party == person


def _learn(draft: CaseDraft, code: ActivityCode, report: Report, at: str) -> None:
    """Write what the result says about the person or the number into the person's record."""
    if code.effect.hold == "attorney":
        person = draft.person(report.person)
        draft.set_person(person.model_copy(update={"attorney": person.attorney or Attorney(since=at)}))
    if code.effect.hold == "cease":
        person = draft.person(report.person)
        since = person.stop_requested_at or at
        draft.set_person(person.model_copy(update={"stop_requested_at": since}))
    if code.effect.point_status is not None and report.point is not None:
        record = draft.record_with_point(report.person, report.point)
        point = None if record is None else record.point(report.point)
        if record is None or point is None:
            raise InvalidInput("/point", "unknown_contact_point", "the person has no such contact point")
        draft.set_person(record.with_point(point.model_copy(update={"status": code.effect.point_status})))
