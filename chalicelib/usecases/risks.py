"""Legal-risk events: raised by people or by what happened, judged by two people, put right, closed.

What the system raises by itself comes from commands (a call without a clearance, a duty that lapsed: see ``activities`` and
``duties``) or from the event stream: a complaint that was upheld, contacts that were denied again and again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from chalicelib.domain import keys
from chalicelib.domain.concurrency import retrying
from chalicelib.domain.errors import InvalidInput, NotFound, NotPermitted, PreconditionFailed, StateConflict
from chalicelib.domain.events import Event, EventType
from chalicelib.domain.feedback.item import masked_words
from chalicelib.domain.instants import from_text, local_date, to_text
from chalicelib.domain.risk.event import (
    PEOPLES,
    Action,
    Found,
    RiskAct,
    RiskEvent,
    RiskState,
    Row,
    Source,
    Step,
    acted_by,
    answer,
    are_too_many,
    derived_id,
    raised,
    raised_data,
    second_person,
    stream_pk,
)
from chalicelib.domain.risk.register import COMPLAINT_UPHELD, PRESSING, Severity, register
from chalicelib.domain.state_table import Move
from chalicelib.usecases.case_draft import find_case
from chalicelib.usecases.cases import Caller, Context
from chalicelib.usecases.duties import PROJECTOR
from chalicelib.usecases.ports import Scope, Store

RISK_TYPES = frozenset(
    {
        EventType.RISK_EVENT_RAISED,
        EventType.RISK_EVENT_FOUND,
        EventType.RISK_EVENT_DISPUTED,
        EventType.RISK_EVENT_CONFIRMED,
        EventType.RISK_EVENT_DISMISSED,
        EventType.RISK_EVENT_ACTION_SET,
        EventType.RISK_EVENT_ACTION_FINISHED,
        EventType.RISK_EVENT_ACTION_RETURNED,
        EventType.RISK_EVENT_CLOSED,
    }
)
CONCERNED = RISK_TYPES | {EventType.FEEDBACK_CLOSED, EventType.CONTACT_DECIDED}
"""Every type of event that legal-risk events are made from or listed by."""

UPHELD = frozenset({"upheld", "partly_upheld"})
"""Outcomes of a complaint that say that it was right."""


class Risks(Protocol):
    """Legal-risk events and their lists. See ``chalicelib.store.risk_repository``."""

    def risk(self, scope: Scope, risk: str) -> RiskEvent | None:
        """Return the event by a strongly consistent read."""
        ...

    def many(self, scope: Scope, risks: Sequence[str]) -> list[RiskEvent]:
        """Return those events that exist, in the order asked for."""
        ...

    def index(self, risk: RiskEvent) -> None:
        """Bring the lists up to the event."""

    def page(self, scope: Scope, name: str, *, agency: str | None, after: str | None, limit: int) -> list[Row]:
        """Return a page of a list by the instant at which the events were raised."""
        ...

    def words(self, scope: Scope, risk: RiskEvent) -> dict[int, Event]:
        """Return the events that seal what was written, by their numbers."""
        ...

    def enter_denied(self, scope: Scope, case: str, *, day: str, agency: str, contact: str, most: int) -> list[str]:
        """Note a denied contact; return those of the case that were denied to the agency on the day, at most so many."""
        ...


@dataclass(frozen=True, slots=True)
class RiskPorts:
    """What legal-risk events need."""

    store: Store
    risks: Risks


@dataclass(frozen=True, slots=True)
class Suspicion:
    """What somebody raises. Name the case or person that it is about, or the agency alone where it is about no person."""

    line: str
    source: Source
    text: str
    severity: Severity | None = None
    case: str | None = None
    person: str | None = None
    agency: str | None = None
    collector: str | None = None
    contact: str | None = None


# Raising


def raise_risk(
    ports: RiskPorts, scope: Scope, told: Suspicion, caller: Caller, context: Context, *, risk: str
) -> RiskEvent:
    """Raise what an audit, counsel, a provider or a regulator says; running it again with the same id returns what there is.

    Raises InvalidInput, NotFound.
    """
    if told.line not in register().lines:
        raise InvalidInput("/line", "unknown_line", "no such line in the register")
    if told.source not in PEOPLES:
        raise InvalidInput("/source", "not_a_persons", "the system itself raises what comes from this source")

    def once() -> RiskEvent:
        known = ports.risks.risk(scope, risk)
        if known is not None:
            return known
        person, agency = _about(ports, scope, told)
        made = raised(
            risk=risk,
            tenant=scope.tenant,
            line=told.line,
            source=told.source,
            severity=told.severity,
            at=to_text(context.now),
            by=caller.actor.id,
            case=told.case,
            person=person,
            org=agency or scope.tenant,
            agency=agency,
            collector=told.collector,
            contact=told.contact,
        )
        unit = ports.store.unit(scope, actor=caller.actor, req=context.req, now=context.now)
        sealed = _sealed(ports, scope, made, told.text)
        event = unit.emit(stream_pk(made), EventType.RISK_EVENT_RAISED, raised_data(made), **sealed)
        made = made.model_copy(update={"steps": (_step(made, "raised", event, told.text, sealed),)})
        unit.create(_record(ports, scope, made))
        unit.commit()
        return made

    return retrying(once)


def _about(ports: RiskPorts, scope: Scope, told: Suspicion) -> tuple[str | None, str | None]:
    """Return the person and the agency that a suspicion is about. Raises InvalidInput, NotFound."""
    if told.case is None and told.person is None and told.agency is None:
        raise InvalidInput("/case", "required", "name the case, person or agency that it is about")
    person, agency = told.person, told.agency
    if told.case is not None:
        case = find_case(ports.store, scope, told.case, org=None)
        person, agency = person or case.debtor, agency or case.agency
        if case.role_of(person) is None:
            raise NotFound("person", person)
    if person is not None and ports.store.person(scope, person) is None:
        raise NotFound("person", person)
    if agency is not None and ports.store.agency(scope, agency) is None:
        raise NotFound("agency", agency)
    if told.collector is not None and (agency is None or ports.store.collector(scope, agency, told.collector) is None):
        raise NotFound("collector", told.collector)
    if told.contact is not None:
        attempt = ports.store.attempt(scope, told.contact)
        if attempt is None or attempt.case != told.case:
            raise NotFound("contact", told.contact)
    return person, agency


# Judging


@dataclass(frozen=True, slots=True)
class Finding:
    """What the first person found. A breach names line, severity and root cause, which may differ from what was raised."""

    breach: bool
    text: str
    line: str | None = None
    severity: Severity | None = None
    root_cause: str | None = None


def find(
    ports: RiskPorts,
    scope: Scope,
    risk: str,
    finding: Finding,
    caller: Caller,
    context: Context,
    *,
    expected: int | None = None,
) -> RiskEvent:
    """Record what the first person found; it decides nothing until somebody else agrees.

    Raises NotFound, InvalidInput, StateConflict, PreconditionFailed when the event moved on from ``expected``.
    """
    if finding.breach and finding.root_cause is None:
        raise InvalidInput("/root_cause", "required", "say why it came to the breach")
    if finding.root_cause is not None and finding.root_cause not in register().roots:
        raise InvalidInput("/root_cause", "unknown_root_cause", "no such root cause")
    if finding.line is not None and finding.line not in register().lines:
        raise InvalidInput("/line", "unknown_line", "no such line in the register")

    def change(known: RiskEvent) -> dict[str, Any]:
        found = Found(
            breach=finding.breach,
            line=finding.line or known.line,
            severity=finding.severity or known.severity,
            root_cause=finding.root_cause if finding.breach else None,
            by=caller.actor.id,
            at=to_text(context.now),
        )
        return {"finding": found}

    act = RiskAct.FIND_BREACH if finding.breach else RiskAct.FIND_NO_BREACH
    return _apply(ports, scope, risk, act, caller, context, change, text=finding.text, expected=expected)


def decide(
    ports: RiskPorts,
    scope: Scope,
    risk: str,
    caller: Caller,
    context: Context,
    *,
    agrees: bool,
    text: str,
    expected: int | None = None,
) -> RiskEvent:
    """Record whether a second person agrees with the finding: then the event is confirmed or dismissed, else judged anew.

    Raises NotFound, NotPermitted for whoever made the finding, StateConflict, PreconditionFailed.
    """

    def change(known: RiskEvent) -> dict[str, Any]:
        if not agrees:
            return {"finding": None}
        now, found = to_text(context.now), _finding(known)
        decided: dict[str, Any] = {"decided_by": caller.actor.id, "decided_at": now}
        if not found.breach:
            return {**decided, "due_at": None}
        named = {"line": found.line, "severity": found.severity, "root_cause": found.root_cause}
        return {**decided, **named, "due_at": acted_by(now, found.severity)}

    act = RiskAct.AGREE if agrees else RiskAct.DISAGREE
    return _apply(ports, scope, risk, act, caller, context, change, text=text, expected=expected)


# Putting right


def set_action(
    ports: RiskPorts,
    scope: Scope,
    risk: str,
    caller: Caller,
    context: Context,
    *,
    measure: str,
    owner: str,
    due_at: datetime,
    text: str,
    expected: int | None = None,
) -> RiskEvent:
    """Set what is to be done about a confirmed event, by whom and by when; set again, it takes the place of the one before.

    Raises NotFound, InvalidInput, StateConflict, PreconditionFailed.
    """
    if measure not in register().measures:
        raise InvalidInput("/measure", "unknown_measure", "no such corrective action")
    if due_at <= context.now:
        raise InvalidInput("/due_at", "in_the_past", "a corrective action is due later than now")

    def change(known: RiskEvent) -> dict[str, Any]:
        action = Action(measure=measure, owner=owner, due_at=to_text(due_at), set_by=caller.actor.id)
        return {"action": action, "due_at": action.due_at}

    return _apply(ports, scope, risk, RiskAct.SET_ACTION, caller, context, change, text=text, expected=expected)


def finish_action(
    ports: RiskPorts,
    scope: Scope,
    risk: str,
    caller: Caller,
    context: Context,
    *,
    evidence_sha256: str | None,
    text: str,
    expected: int | None = None,
) -> RiskEvent:
    """Record that the corrective action was done, with the digest of what shows it, if anything does.

    Raises NotFound, StateConflict, PreconditionFailed.
    """

    def change(known: RiskEvent) -> dict[str, Any]:
        now = to_text(context.now)
        done = {"done_by": caller.actor.id, "done_at": now, "evidence_sha256": evidence_sha256}
        return {"action": _action(known).model_copy(update=done), "due_at": acted_by(now, known.severity)}

    return _apply(ports, scope, risk, RiskAct.FINISH_ACTION, caller, context, change, text=text, expected=expected)


def close(
    ports: RiskPorts,
    scope: Scope,
    risk: str,
    caller: Caller,
    context: Context,
    *,
    accepts: bool,
    text: str,
    expected: int | None = None,
) -> RiskEvent:
    """Accept the corrective action, which closes the event, or send it back to be done.

    Raises NotFound, NotPermitted for whoever said that it was done, StateConflict, PreconditionFailed.
    """

    def change(known: RiskEvent) -> dict[str, Any]:
        if accepts:
            return {"closed_at": to_text(context.now), "due_at": None}
        undone = dict.fromkeys(("done_by", "done_at", "evidence_sha256"))
        due = max(_action(known).due_at, acted_by(to_text(context.now), known.severity))
        return {"action": _action(known).model_copy(update={**undone, "due_at": due}), "due_at": due}

    act = RiskAct.ACCEPT if accepts else RiskAct.SEND_BACK
    return _apply(ports, scope, risk, act, caller, context, change, text=text, expected=expected)


def _action(risk: RiskEvent) -> Action:
    if risk.action is None:
        raise LookupError(f"{risk.id} is {risk.status} and has no corrective action")
    return risk.action


def _finding(risk: RiskEvent) -> Found:
    if risk.finding is None:
        raise LookupError(f"{risk.id} is {risk.status} and has no finding")
    return risk.finding


def _apply(
    ports: RiskPorts,
    scope: Scope,
    risk: str,
    act: RiskAct,
    caller: Caller,
    context: Context,
    change: Callable[[RiskEvent], dict[str, Any]],
    *,
    text: str,
    expected: int | None,
) -> RiskEvent:
    def once() -> RiskEvent:
        known = get_risk(ports, scope, risk)
        if expected is not None and known.version != expected:
            raise PreconditionFailed(known.version)
        reply = answer(known.status, act)
        if not isinstance(reply, Move):
            raise StateConflict("risk_event_state", reply.reason)
        if second_person(known, act) == caller.actor.id:
            raise NotPermitted("whoever took the step before does not decide on it", code="same_person")
        after = known.model_copy(update={**change(known), "status": reply.to, "version": known.version + 1})
        unit = ports.store.unit(scope, actor=caller.actor, req=context.req, now=context.now)
        sealed = _sealed(ports, scope, known, text)
        event = _emit(unit, known, after, act, sealed)
        after = after.model_copy(update={"steps": (*after.steps, _step(after, act.value, event, text, sealed))})
        unit.replace(_record(ports, scope, after), expected=known.version)
        unit.commit()
        return after

    return retrying(once, attempts=20)


# From events


def project_risks(ports: RiskPorts, events: Sequence[Event], *, scope_for: Callable[[str], Scope]) -> list[str]:
    """Raise what the events call for, and bring the lists up to date. Safe to repeat.

    Raises Conflict when rivals won every run.
    """
    for event in events:
        if event.type not in CONCERNED:
            continue
        scope = scope_for(event.tenant)
        if event.type in RISK_TYPES:
            risk = ports.risks.risk(scope, event.data["risk"])
            if risk is not None:
                ports.risks.index(risk)
        elif event.type is EventType.FEEDBACK_CLOSED:
            _heed_complaint(ports, scope, event)
        elif event.decision is not None and event.decision["outcome"] == "deny":
            _heed_denial(ports, scope, event)
    return []


def _heed_complaint(ports: RiskPorts, scope: Scope, event: Event) -> None:
    """Raise a complaint that was closed as upheld, once for each round of it."""
    data = event.data
    if data["feedback_kind"] != "complaint" or data["outcome"] not in UPHELD:
        return
    line = register().complaints.get(data["root_cause"], COMPLAINT_UPHELD)
    _raise_once(
        ports,
        scope,
        event,
        raised(
            risk=derived_id(scope.tenant, "complaint", data["feedback"], str(data["round"])),
            tenant=scope.tenant,
            line=line,
            source=Source.COMPLAINT,
            at=event.at,
            by=PROJECTOR.id,
            subject=data["feedback"],
            case=data["about_case"],
            person=data["person"],
            org=data["agency"] or scope.tenant,
            agency=data["agency"],
            collector=data["about_collector"],
        ),
    )


def _heed_denial(ports: RiskPorts, scope: Scope, event: Event) -> None:
    """Raise it once a day when an agency's wishes for one case are denied again and again. One denial is no breach."""
    data, agency = event.data, event.data["org"]
    if agency == scope.tenant:
        return
    lender = ports.store.lender(scope)
    day = local_date(from_text(event.at), lender.zone if lender is not None else "UTC").isoformat()
    told: dict[str, Any] = {"day": day, "agency": agency, "contact": data["contact"], "most": register().denials}
    if not are_too_many(ports.risks.enter_denied(scope, event.stream, **told)):
        return
    _raise_once(
        ports,
        scope,
        event,
        raised(
            risk=derived_id(scope.tenant, "denials", event.stream, agency, day),
            tenant=scope.tenant,
            line=PRESSING,
            source=Source.DENIALS,
            at=event.at,
            by=PROJECTOR.id,
            subject=data["contact"],
            case=event.stream,
            person=data["person"],
            org=agency,
            agency=agency,
            collector=data["collector"],
            contact=data["contact"],
        ),
    )


def _raise_once(ports: RiskPorts, scope: Scope, event: Event, made: RiskEvent) -> None:
    def once() -> None:
        if ports.risks.risk(scope, made.id) is not None:
            return
        unit = ports.store.unit(scope, actor=PROJECTOR, req=event.req, now=from_text(event.at))
        unit.emit(stream_pk(made), EventType.RISK_EVENT_RAISED, raised_data(made))
        unit.create(_record(ports, scope, made))
        unit.commit()
        ports.risks.index(made)

    retrying(once, attempts=20)


# Reading


def get_risk(ports: RiskPorts, scope: Scope, risk: str) -> RiskEvent:
    """Return the event. Raises NotFound, for a foreign one as for none."""
    found = ports.risks.risk(scope, risk)
    if found is None:
        raise NotFound("risk event", risk)
    return found


def words_of(ports: RiskPorts, scope: Scope, risk: RiskEvent) -> dict[int, str]:
    """Return what was written, by the numbers in the event's steps; of a person who was erased it is gone."""
    opened = {number: ports.store.opened(scope, event) for number, event in ports.risks.words(scope, risk).items()}
    return {number: str(found["text"]) for number, found in opened.items() if found is not None and found.get("text")}


def list_risks(
    ports: RiskPorts, scope: Scope, *, name: str, agency: str | None, after: str | None, limit: int
) -> tuple[list[RiskEvent], str | None]:
    """Return a page of a list by the instant at which the events were raised, and the place to go on after, None at the end.

    ``name`` is a status, ``undecided`` or ``open``; ``agency`` limits it to those about one agency. A row that is behind its
    event by a moment is left out.
    """
    rows = ports.risks.page(scope, name, agency=agency, after=after, limit=limit)
    found = ports.risks.many(scope, [row.risk for row in rows])
    return [risk for risk in found if _belongs(risk, name)], rows[-1].place if len(rows) == limit else None


def _belongs(risk: RiskEvent, name: str) -> bool:
    if name == "open":
        return risk.is_open
    return risk.decided_at is None if name == "undecided" else risk.status.value == name


# Writing


def _record(ports: RiskPorts, scope: Scope, risk: RiskEvent) -> Any:
    return ports.store.plain_record(
        keys.risk_pk(scope.tenant, risk.id), keys.RISK_SK, risk, version=risk.version, state=risk.status.value
    )


def _sealed(ports: RiskPorts, scope: Scope, risk: RiskEvent, text: str) -> dict[str, Any]:
    """Return what seals the words under the person's key; nothing where there is no person, or one who was erased."""
    if risk.person is None or ports.store.person(scope, risk.person) is None:
        return {}
    return {"subject": risk.person, "secret": {"text": text}}


def _step(risk: RiskEvent, did: str, event: Event, text: str, sealed: Mapping[str, Any]) -> Step:
    """Return the step; the words of what is about no person are kept in it, masked, and those about an erased one nowhere."""
    kept = masked_words(text) if risk.person is None else None
    return Step(did=did, at=event.at, by=event.actor.id, words=event.seq if sealed else None, text=kept)


def _data(risk: RiskEvent) -> dict[str, Any]:
    return {
        "risk": risk.id,
        "line": risk.line,
        "severity": risk.severity.value,
        "person": risk.person,
        "about_case": risk.case,
        "agency": risk.agency,
        "collector": risk.collector,
        "version": risk.version,
    }


def _emit(unit: Any, before: RiskEvent, after: RiskEvent, act: RiskAct, sealed: dict[str, Any]) -> Event:
    pk = stream_pk(after)
    data = _data(after)
    if act in (RiskAct.FIND_BREACH, RiskAct.FIND_NO_BREACH):
        found = _finding(after)
        named = {"line": found.line, "severity": found.severity.value, "root_cause": found.root_cause}
        event = unit.emit(pk, EventType.RISK_EVENT_FOUND, {**data, **named, "breach": found.breach}, **sealed)
    elif act is RiskAct.DISAGREE:
        event = unit.emit(pk, EventType.RISK_EVENT_DISPUTED, {**data, "found_by": _finding(before).by}, **sealed)
    elif after.status is RiskState.CONFIRMED:
        points = register().levels[after.severity].points
        told = {**data, "found_by": _finding(after).by, "root_cause": after.root_cause, "points": points}
        event = unit.emit(pk, EventType.RISK_EVENT_CONFIRMED, told, **sealed)
    elif after.status is RiskState.DISMISSED:
        event = unit.emit(pk, EventType.RISK_EVENT_DISMISSED, {**data, "found_by": _finding(after).by}, **sealed)
    elif act is RiskAct.SET_ACTION:
        action = _action(after)
        told = {**data, "measure": action.measure, "owner": action.owner, "due_at": action.due_at}
        event = unit.emit(pk, EventType.RISK_EVENT_ACTION_SET, told, **sealed)
    elif act is RiskAct.FINISH_ACTION:
        action = _action(after)
        told = {**data, "measure": action.measure, "evidence_sha256": action.evidence_sha256}
        event = unit.emit(pk, EventType.RISK_EVENT_ACTION_FINISHED, told, **sealed)
    elif act is RiskAct.SEND_BACK:
        action = _action(after)
        told = {**data, "measure": action.measure, "due_at": action.due_at}
        event = unit.emit(pk, EventType.RISK_EVENT_ACTION_RETURNED, told, **sealed)
    else:
        event = unit.emit(pk, EventType.RISK_EVENT_CLOSED, {**data, "measure": _action(after).measure}, **sealed)
    return event  # type: ignore[no-any-return]
