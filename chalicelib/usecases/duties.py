"""Duties with clocks: opened by what happened, discharged by what was done, escalated before they lapse.

Duties follow from the event stream and not from the commands: no command needs to know them, a duty's id is derived from
its occasion, so an event that comes twice opens it once, and the delay of a projection is nothing beside clocks of hours
and days. A discharge that came before the duty was seen is found in the records when it is opened.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from chalicelib.domain import keys
from chalicelib.domain.cases.case import Case
from chalicelib.domain.cases.organisations import Lender
from chalicelib.domain.concurrency import retrying
from chalicelib.domain.duties import catalogue
from chalicelib.domain.duties.catalogue import DutyRule, Opening
from chalicelib.domain.duties.duty import (
    Duty,
    DutyEvent,
    DutyState,
    Evidence,
    Row,
    Step,
    answer,
    duty_id,
)
from chalicelib.domain.errors import InvalidInput, NotFound, StateConflict
from chalicelib.domain.events import Actor, Event, EventType
from chalicelib.domain.instants import from_text, local_date, to_text
from chalicelib.domain.outreach.dossier import zones_of
from chalicelib.domain.people.person import Person
from chalicelib.domain.risk.event import Source, derived_id, raised, raised_data, stream_pk
from chalicelib.domain.risk.register import DUTY_IN_TIME, Severity
from chalicelib.domain.state_table import Move, Refuse
from chalicelib.usecases.case_draft import find_case
from chalicelib.usecases.cases import CLOCK, Caller, Context
from chalicelib.usecases.ports import Scope, Store

PROJECTOR = Actor("system", "project_events", "role")

DUTY_TYPES = frozenset(
    {
        EventType.DUTY_OPENED,
        EventType.DUTY_FULFILLED,
        EventType.DUTY_ESCALATED,
        EventType.DUTY_EXTENDED,
        EventType.DUTY_LAPSED,
        EventType.DUTY_WAIVED,
    }
)
ACT_TYPES = frozenset(
    {EventType.CONTACT_SENT, EventType.CONTACT_UNKNOWN, EventType.CONTACT_DELIVERED, EventType.CONTACT_REPORTED}
)
"""What says that an act was, or may have been, done; its ruling's obligations are then owed."""

CONCERNED = DUTY_TYPES | ACT_TYPES | catalogue.OPENING | catalogue.DISCHARGING
"""Every type of event that duties are made from."""

Cities = Callable[[Person], frozenset[str | None]]
"""Returns the regions and cities of a person's residences, with None where one is not known."""


class Duties(Protocol):
    """Duties and the lists that they are found by. See ``chalicelib.store.duty_repository``."""

    def duty(self, scope: Scope, duty: str) -> Duty | None:
        """Return the duty by a strongly consistent read."""
        ...

    def many(self, scope: Scope, duties: Sequence[str]) -> list[Duty]:
        """Return those duties that exist, in the order of their ids."""
        ...

    def record(self, duty: Duty) -> Any:
        """Return the record of the duty at its version."""

    def index(self, duty: Duty, *, was_due: str | None) -> None:
        """Bring the lists up to the duty; ``was_due`` is its due instant before it was extended."""

    def open_about(self, scope: Scope, subject: str) -> list[str]:
        """Return the ids of the duties about a case or person that may still be discharged."""
        ...

    def lender_page(self, scope: Scope, state: str, *, before: str | None, after: str | None, limit: int) -> list[Row]:
        """Return a page of the lender's duties in a state by due instant."""
        ...

    def agency_page(self, org: str, state: str, *, before: str | None, after: str | None, limit: int) -> list[Row]:
        """Return a page of an agency's own duties in a state by due instant."""
        ...


@dataclass(frozen=True, slots=True)
class DutyPorts:
    """What duties need."""

    store: Store
    duties: Duties
    places: Cities


@dataclass(frozen=True, slots=True)
class _Occasion:
    """What happened to whom, as far as a duty needs it."""

    lender: Lender
    case: Case | None
    person: Person
    subject: str
    opened_by: str
    opened_at: datetime
    agency: str | None
    stated: date | None = None


# From events


def project_duties(
    ports: DutyPorts, events: Sequence[Event], *, scope_for: Callable[[str], Scope], now: datetime
) -> list[str]:
    """Open and discharge the duties that the events call for, and bring the lists up to date; return failed events.

    Safe to repeat. Raises Conflict when rivals won every run.
    """
    for event in events:
        if event.type not in CONCERNED:
            continue
        scope = scope_for(event.tenant)
        if event.type in DUTY_TYPES:
            _index(ports, scope, event)
            continue
        facts = _facts(ports, scope, event)
        if event.type in ACT_TYPES:
            _open_obligations(ports, scope, event, now)
        if event.type in catalogue.OPENING:
            _open_by_event(ports, scope, event, facts, now)
        if event.type in catalogue.DISCHARGING:
            _discharge(ports, scope, event, facts, now)
    return []


def _index(ports: DutyPorts, scope: Scope, event: Event) -> None:
    duty = ports.duties.duty(scope, event.data["duty"])
    if duty is not None:
        ports.duties.index(duty, was_due=event.data.get("was_due_at"))


def _facts(ports: DutyPorts, scope: Scope, event: Event) -> dict[str, Any]:
    """Return what an event says, with what only the hold itself says (was it written)."""
    facts = dict(event.data)
    if event.type is EventType.HOLD_PLACED:
        case = ports.store.case(scope, event.stream)
        hold = next((hold for hold in case.holds if hold.id == facts["hold"]), None) if case is not None else None
        facts["written"] = hold.written if hold is not None else None
    return facts


def _open_by_event(ports: DutyPorts, scope: Scope, event: Event, facts: Mapping[str, Any], now: datetime) -> None:
    person, at = facts.get("person"), from_text(event.at)
    openings = catalogue.opened_by_event(event.type, facts, on=at.date())
    if not openings or person is None:
        return
    subject = str(facts.get("subject") or facts.get("hold") or facts.get("complaint") or event.id)
    occasion = _occasion(ports, scope, event, person, subject=subject, at=at)
    if occasion is not None:
        _open_all(ports, scope, openings, occasion, now=now, actor=PROJECTOR, req=event.req)


def _open_obligations(ports: DutyPorts, scope: Scope, event: Event, now: datetime) -> None:
    if event.data.get("outcome") == "not_made":
        return
    attempt = ports.store.attempt(scope, event.data["contact"])
    ruling = ports.store.ruling(scope, attempt) if attempt is not None else None
    obligations = ruling["obligations"] if ruling is not None else ()
    for obligation in obligations:
        if attempt is None or catalogue.is_event_duty(obligation["rule"]):
            continue
        at = from_text(event.at)
        openings = catalogue.opened_by_ruling(obligation["rule"], on=at.date())
        occasion = _occasion(ports, scope, event, attempt.person, subject=attempt.case, at=at)
        if occasion is not None:
            _open_all(ports, scope, openings, occasion, now=now, actor=PROJECTOR, req=event.req)


def _occasion(
    ports: DutyPorts, scope: Scope, event: Event, person_id: str, *, subject: str, at: datetime
) -> _Occasion | None:
    lender, person = ports.store.lender(scope), ports.store.person(scope, person_id)
    case = ports.store.case(scope, event.stream) if event.stream != person_id else None
    at = _happened_at(lender, event, at)
    if lender is None or person is None:
        # A person who was erased is owed nothing that could still be sent to them.
        return None
    return _Occasion(lender, case, person, subject, event.id, at, event.data.get("agency"))


def _happened_at(lender: Lender | None, event: Event, at: datetime) -> datetime:
    """Return when it happened: terms of a court run from its day, not from when somebody recorded it."""
    if lender is None or event.type is not EventType.LITIGATION_CHANGED:
        return at
    return datetime.combine(date.fromisoformat(event.data["happened_on"]), time(), ZoneInfo(lender.zone)).astimezone(
        UTC
    )


def _open_all(
    ports: DutyPorts,
    scope: Scope,
    openings: Iterable[Opening],
    occasion: _Occasion,
    *,
    now: datetime,
    actor: Actor,
    req: str,
) -> list[Duty]:
    opened = []
    countries = frozenset(residence.country for residence in occasion.person.residences)
    if not countries:
        countries = frozenset({occasion.case.country if occasion.case is not None else occasion.lender.country})
    places = ports.places(occasion.person)
    for opening in openings:
        doubts = opening.rule.reaches(countries, places)
        if doubts is None:
            continue
        duty = _duty(scope, opening.rule, occasion, (*opening.doubts, *doubts))
        opened.append(_open(ports, scope, opening.rule, duty, now=now, actor=actor, req=req))
    return opened


def _duty(scope: Scope, rule: DutyRule, occasion: _Occasion, doubts: tuple[str, ...]) -> Duty:
    zones = zones_of(occasion.person) if rule.zone == "person" else []
    due = rule.due.due(occasion.opened_at, stated=occasion.stated, zones=zones or [occasion.lender.zone])
    agency = occasion.agency or (occasion.case.agency if occasion.case is not None else None)
    return Duty(
        id=duty_id(scope.tenant, rule.rule, rule.kind, person=occasion.person.id, subject=occasion.subject),
        tenant=scope.tenant,
        rule=rule.rule,
        kind=rule.kind,
        case=occasion.case.id if occasion.case is not None else None,
        person=occasion.person.id,
        subject=occasion.subject,
        opened_by=occasion.opened_by,
        opened_at=to_text(occasion.opened_at),
        due_at=to_text(due.at),
        owner=agency if rule.owner == "agency" and agency is not None else scope.tenant,
        agency=agency,
        severity=rule.severity,
        steps=_steps(rule, occasion.opened_at, due.at),
        doubts=tuple(sorted({*doubts, *due.doubts})),
    )


def _steps(rule: DutyRule, opened: datetime, due: datetime) -> tuple[Step, ...]:
    return tuple(Step(step=step, at=to_text(at)) for step, at in rule.steps(opened, due))


def _open(ports: DutyPorts, scope: Scope, rule: DutyRule, duty: Duty, *, now: datetime, actor: Actor, req: str) -> Duty:
    """Write a duty that is not there yet, fulfilled at once where that is so, and return it as it stands."""

    def once() -> Duty:
        known = ports.duties.duty(scope, duty.id)
        if known is not None:
            return known
        done = _done_before(ports, scope, rule, duty)
        made = duty if done is None else _fulfilled(duty, done, version=1)
        unit = ports.store.unit(scope, actor=actor, req=req, now=now)
        unit.create(ports.duties.record(made))
        opened = {"case": duty.case, "subject": duty.subject, "opened_by": duty.opened_by, "doubts": list(duty.doubts)}
        unit.emit(_stream(scope, duty), EventType.DUTY_OPENED, {**_data(duty), **opened})
        if done is not None:
            unit.emit(_stream(scope, duty), EventType.DUTY_FULFILLED, {**_data(made), **_evidence(made, done)})
        unit.commit()
        return made

    made = retrying(once, attempts=20)
    # Found from now on by whatever discharges it, also in this very batch of events.
    ports.duties.index(made, was_due=None)
    return made


def _done_before(ports: DutyPorts, scope: Scope, rule: DutyRule, duty: Duty) -> Evidence | None:
    """Return what discharged the duty before it was seen here, as far as the records show it."""
    if rule.fulfilled_on_opening:
        return Evidence(kind="system", at=duty.opened_at, event=duty.opened_by)
    case = ports.store.case(scope, duty.case) if duty.case is not None else None
    for trigger in rule.discharged_by:
        if trigger.type is EventType.HOLD_RELEASED and case is not None:
            hold = next((hold for hold in case.holds if hold.id == duty.subject), None)
            if hold is not None and hold.released_at is not None:
                return Evidence(kind="system", at=to_text(from_text(hold.released_at)), reference=hold.id)
        if trigger.type is EventType.CONTACT_SENT:
            for entry in ports.store.ledger(scope, duty.person).history:
                sent = entry.direction == "out" and entry.outcome in ("sent", "delivered")
                later = from_text(entry.at) >= from_text(duty.opened_at) - _SECOND
                if sent and later and entry.purpose in trigger.wanted.get("purpose", ()):
                    return Evidence(kind="message", at=to_text(from_text(entry.at)), reference=entry.id)
    return None


_SECOND = timedelta(seconds=1)
"""The ledger keeps whole seconds."""


def _discharge(ports: DutyPorts, scope: Scope, event: Event, facts: Mapping[str, Any], now: datetime) -> None:
    about = {event.stream, facts.get("person")} - {None}
    for identity in sorted({duty for subject in about for duty in ports.duties.open_about(scope, str(subject))}):

        def once(identity: str = identity) -> None:
            duty = ports.duties.duty(scope, identity)
            rule = catalogue.rule_of(duty.rule, duty.kind, on=from_text(duty.opened_at).date()) if duty else None
            if duty is None or rule is None or not catalogue.discharges(rule, event.type, facts):
                return
            if not _same_subject(duty, event, facts) or isinstance(answer(duty.state, DutyEvent.FULFIL), Refuse):
                return
            kind = "message" if event.type is EventType.CONTACT_SENT else "system"
            reference = facts.get("contact") or facts.get("hold")
            at = _happened_at(ports.store.lender(scope), event, from_text(event.at))
            done = Evidence(kind=kind, at=to_text(at), event=event.id, reference=reference)
            _fulfil(ports, scope, duty, done, actor=PROJECTOR, now=now, req=event.req, note=None)

        retrying(once, attempts=20)


def _same_subject(duty: Duty, event: Event, facts: Mapping[str, Any]) -> bool:
    """Tell whether the event is about what the duty is about: that hold, that feedback, that person, that case."""
    if event.type is EventType.HOLD_RELEASED:
        return bool(facts["hold"] == duty.subject)
    if event.type in (EventType.FEEDBACK_ANSWERED, EventType.FEEDBACK_CLOSED):
        return bool(facts["subject"] == duty.subject)
    if event.type is EventType.CONTACT_SENT:
        return bool(facts["person"] == duty.person and duty.case in (None, event.stream))
    return duty.case == event.stream


# From people


@dataclass(frozen=True, slots=True)
class Fulfilment:
    """What shows that a duty was done: when, by what kind of thing, which of them, with which content."""

    kind: str
    at: datetime
    reference: str | None
    sha256: str | None
    note: str | None


def report(
    ports: DutyPorts,
    scope: Scope,
    case_id: str,
    what: str,
    caller: Caller,
    context: Context,
    *,
    at: datetime,
    stated: date | None,
    report_id: str,
) -> list[Duty]:
    """Open the duties that follow from something that happened outside, and return them as they stand.

    Raises NotFound for a case that is not the caller's, InvalidInput for an instant in the future, a report that opens
    nothing where the borrower lives, and a clock that counts back from a date which is not stated.
    """
    case = find_case(ports.store, scope, case_id, org=caller.org)
    lender, person = ports.store.lender(scope), ports.store.person(scope, case.debtor)
    if lender is None or person is None:
        raise NotFound("case", case_id)
    if at > context.now:
        raise InvalidInput("/at", "in_the_future", "a report is made after it happened")
    openings = catalogue.opened_by_report(what, on=local_date(at, lender.zone))
    if stated is None and any(opening.rule.due.is_stated for opening in openings):
        raise InvalidInput("/stated_on", "required", "the duty counts back from a date: state it")
    occasion = _Occasion(lender, case, person, report_id, report_id, at, case.agency, stated)
    opened = _open_all(ports, scope, openings, occasion, now=context.now, actor=caller.actor, req=context.req)
    if not opened:
        raise InvalidInput("/report", "not_applicable", "nothing follows from this where the borrower lives")
    return opened


def fulfil(
    ports: DutyPorts, scope: Scope, identity: str, fulfilment: Fulfilment, caller: Caller, context: Context
) -> Duty:
    """Record that a duty was done, with what shows it. What was done late is recorded as late.

    Raises NotFound for a duty that is not the caller's, InvalidInput for an instant outside its life, StateConflict when
    it was waived.
    """

    def once() -> Duty:
        duty = get_duty(ports, scope, identity, org=caller.org)
        if fulfilment.at > context.now:
            raise InvalidInput("/at", "in_the_future", "a fulfilment is recorded after it happened")
        if fulfilment.at < from_text(duty.opened_at):
            raise InvalidInput("/at", "before_opening", "the duty did not exist then")
        if duty.state is DutyState.WAIVED:
            raise StateConflict("duty_over", "the duty was waived")
        done = Evidence(
            kind=fulfilment.kind,
            at=to_text(fulfilment.at),
            reference=fulfilment.reference,
            sha256=fulfilment.sha256,
        )
        return _fulfil(
            ports, scope, duty, done, actor=caller.actor, now=context.now, req=context.req, note=fulfilment.note
        )

    return retrying(once)


def waive(ports: DutyPorts, scope: Scope, identity: str, caller: Caller, context: Context, *, reason: str) -> Duty:
    """Let a compliance officer waive an open duty; the reason is kept, sealed. Repeating it changes nothing.

    Raises NotFound, StateConflict when it was fulfilled or has lapsed.
    """

    def once() -> Duty:
        duty = get_duty(ports, scope, identity, org=None)
        reply = answer(duty.state, DutyEvent.WAIVE)
        if isinstance(reply, Refuse):
            raise StateConflict("duty_over", reply.reason)
        if not isinstance(reply, Move):
            return duty
        waived = duty.model_copy(update={"state": reply.to, "steps": (), "version": duty.version + 1})
        unit = ports.store.unit(scope, actor=caller.actor, req=context.req, now=context.now)
        unit.replace(ports.duties.record(waived), expected=duty.version)
        told = {"subject": duty.person, "secret": {"text": reason}}
        unit.emit(_stream(scope, duty), EventType.DUTY_WAIVED, _data(waived), **told)
        unit.commit()
        return waived

    return retrying(once)


def extend(
    ports: DutyPorts,
    scope: Scope,
    identity: str,
    caller: Caller,
    context: Context,
    *,
    extension: str,
    reason: str,
) -> Duty:
    """Let a compliance officer grant a longer term that the catalogue knows; the reason is kept, sealed.

    Raises NotFound, InvalidInput for a term that the duty does not have or that is no longer than the present one,
    StateConflict when it is not open any more.
    """

    def once() -> Duty:
        duty = get_duty(ports, scope, identity, org=None)
        reply = answer(duty.state, DutyEvent.EXTEND)
        if isinstance(reply, Refuse):
            raise StateConflict("duty_over", reply.reason)
        opened = from_text(duty.opened_at)
        rule = catalogue.rule_of(duty.rule, duty.kind, on=opened.date())
        term = next((each for each in rule.extensions if each.name == extension), None) if rule is not None else None
        if rule is None or term is None:
            raise InvalidInput("/extension", "unknown_extension", "the duty has no such longer term")
        if duty.extension == extension:
            return duty
        due = _extended(ports, scope, rule, duty, term.days)
        if to_text(due) <= duty.due_at:
            raise InvalidInput("/extension", "not_longer", "the present term is as long")
        steps = tuple(step for step in _steps(rule, opened, due) if from_text(step.at) > context.now)
        changes = {"due_at": to_text(due), "steps": steps, "extension": extension, "version": duty.version + 1}
        extended = duty.model_copy(update=changes)
        unit = ports.store.unit(scope, actor=caller.actor, req=context.req, now=context.now)
        unit.replace(ports.duties.record(extended), expected=duty.version)
        unit.emit(
            _stream(scope, duty),
            EventType.DUTY_EXTENDED,
            {**_data(extended), "extension": extension, "was_due_at": duty.due_at},
            subject=duty.person,
            secret={"text": reason},
        )
        unit.commit()
        return extended

    return retrying(once)


def _extended(ports: DutyPorts, scope: Scope, rule: DutyRule, duty: Duty, days: int) -> datetime:
    lender, person = ports.store.lender(scope), ports.store.person(scope, duty.person)
    zones = zones_of(person) if rule.zone == "person" and person is not None else []
    clock = catalogue.Clock(days=days)
    home = lender.zone if lender is not None else "UTC"
    return clock.due(from_text(duty.opened_at), stated=None, zones=zones or [home]).at


# The clock


def finish_due(ports: DutyPorts, scope: Scope, identity: str, *, now: datetime, req: str = "req_clock") -> str | None:
    """Do what the clock owes a duty: escalate it, or let it lapse. Return the kind of move, or None.

    A lapse of what the law obliges to is a legal-risk event as well. Escalations that were slept through are told once, as the last of them.
    """

    def once() -> str | None:
        duty = ports.duties.duty(scope, identity)
        if duty is None or duty.wakes_at is None or from_text(duty.wakes_at) > now:
            return None
        if now >= from_text(duty.due_at):
            _lapse(ports, scope, duty, now=now, req=req)
            return "duty_lapsed"
        passed = duty.passed(now)
        step = Step(step=passed[-1].step, at=to_text(now))
        changes = {
            "steps": tuple(each for each in duty.steps if each not in passed),
            "escalations": (*duty.escalations, step),
            "version": duty.version + 1,
        }
        escalated = duty.model_copy(update=changes)
        unit = ports.store.unit(scope, actor=CLOCK, req=req, now=now)
        unit.replace(ports.duties.record(escalated), expected=duty.version)
        unit.emit(_stream(scope, duty), EventType.DUTY_ESCALATED, {**_data(escalated), "step": step.step})
        unit.commit()
        return "duty_escalated"

    return retrying(once)


def _lapse(ports: DutyPorts, scope: Scope, duty: Duty, *, now: datetime, req: str) -> None:
    changes = {"state": DutyState.LAPSED, "steps": (), "lapsed_at": to_text(now), "version": duty.version + 1}
    lapsed = duty.model_copy(update=changes)
    unit = ports.store.unit(scope, actor=CLOCK, req=req, now=now)
    unit.replace(ports.duties.record(lapsed), expected=duty.version)
    unit.emit(_stream(scope, duty), EventType.DUTY_LAPSED, _data(lapsed))
    rule = catalogue.rule_of(duty.rule, duty.kind, on=from_text(duty.opened_at).date())
    if rule is not None and not rule.lapse_is_risk_event:
        unit.commit()
        return
    risk = raised(
        risk=derived_id(scope.tenant, "duty", duty.id),
        tenant=scope.tenant,
        line=DUTY_IN_TIME,
        source=Source.DUTY,
        severity=Severity(duty.severity),
        at=to_text(now),
        by=CLOCK.id,
        rule=duty.rule,
        subject=duty.id,
        case=duty.case,
        person=duty.person,
        org=duty.owner,
        agency=duty.agency,
    )
    pk = keys.risk_pk(scope.tenant, risk.id)
    unit.create(ports.store.plain_record(pk, keys.RISK_SK, risk, version=risk.version, state=risk.status.value))
    unit.emit(stream_pk(risk), EventType.RISK_EVENT_RAISED, raised_data(risk))
    unit.commit()


# Reading


def get_duty(ports: DutyPorts, scope: Scope, identity: str, *, org: str | None) -> Duty:
    """Return the duty; ``org`` limits it to those that this agency owes. Raises NotFound."""
    duty = ports.duties.duty(scope, identity)
    if duty is None or (org is not None and duty.owner != org):
        raise NotFound("duty", identity)
    return duty


def list_duties(
    ports: DutyPorts,
    scopes: Sequence[Scope],
    *,
    org: str | None,
    state: str,
    due_before: datetime | None,
    after: str | None,
    limit: int,
) -> tuple[list[Duty], str | None]:
    """Return a page of duties in a state by due instant, and the place to go on after, None at the end.

    ``org`` lists what that agency owes to the lenders in ``scopes``, which have listed it; otherwise all of the one
    lender's. ``due_before`` is exclusive. A row that is behind its duty by a moment is left out.
    """
    before = None if due_before is None else to_text(due_before)
    if org is not None:
        rows = ports.duties.agency_page(org, state, before=before, after=after, limit=limit)
    else:
        rows = ports.duties.lender_page(scopes[0], state, before=before, after=after, limit=limit)
    found: dict[str, Duty] = {}
    for scope in scopes:
        own = [row.duty for row in rows if row.lender == scope.tenant]
        found |= {duty.id: duty for duty in ports.duties.many(scope, own)} if own else {}
    shown = [found[row.duty] for row in rows if row.duty in found and found[row.duty].state.value == state]
    return shown, rows[-1].place if len(rows) == limit else None


# Events


def _fulfil(
    ports: DutyPorts,
    scope: Scope,
    duty: Duty,
    done: Evidence,
    *,
    actor: Actor,
    now: datetime,
    req: str,
    note: str | None,
) -> Duty:
    reply = answer(duty.state, DutyEvent.FULFIL)
    if not isinstance(reply, Move):
        return duty
    fulfilled = _fulfilled(duty, done, version=duty.version + 1)
    unit = ports.store.unit(scope, actor=actor, req=req, now=now)
    unit.replace(ports.duties.record(fulfilled), expected=duty.version)
    unit.emit(
        _stream(scope, duty),
        EventType.DUTY_FULFILLED,
        {**_data(fulfilled), **_evidence(fulfilled, done)},
        subject=duty.person if note else None,
        secret={"text": note} if note else None,
    )
    unit.commit()
    return fulfilled


def _fulfilled(duty: Duty, done: Evidence, *, version: int) -> Duty:
    changes = {"state": DutyState.FULFILLED, "evidence": done, "steps": (), "version": version}
    return duty.model_copy(update=changes)


def _stream(scope: Scope, duty: Duty) -> str:
    """Return the stream that the duty's events stand in: its case's, or its person's where there is no case."""
    if duty.case is not None:
        return keys.case_pk(scope.tenant, duty.case)
    return keys.person_pk(scope.tenant, duty.person)


def _data(duty: Duty) -> dict[str, Any]:
    return {
        "duty": duty.id,
        "rule": duty.rule,
        "duty_kind": duty.kind,
        "person": duty.person,
        "owner": duty.owner,
        "agency": duty.agency,
        "due_at": duty.due_at,
        "version": duty.version,
    }


def _evidence(duty: Duty, done: Evidence) -> dict[str, Any]:
    return {
        "evidence": done.kind,
        "done_at": done.at,
        "reference": done.reference,
        "document": done.sha256,
        "discharged_by": done.event,
        "late": duty.is_late,
    }
