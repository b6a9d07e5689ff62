"""Quality checks: contacts of agencies drawn by a plan, looked at by machine, scored by people.

Every call and visit that an agency reports is looked at by machine, with the note on it; a text when it is drawn, because the
gate read each text before it let it out. What crosses a red line raises a legal-risk event, which two people judge.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from chalicelib.domain import keys
from chalicelib.domain.cases.case import Case
from chalicelib.domain.concurrency import retrying
from chalicelib.domain.errors import InvalidInput, NotFound, PreconditionFailed, StateConflict
from chalicelib.domain.events import Event, EventType
from chalicelib.domain.instants import from_text, to_text
from chalicelib.domain.kpi.counters import NOT_MADE, PROMISE_RESULTS
from chalicelib.domain.outreach.attempt import Attempt
from chalicelib.domain.outreach.dossier import zones_of
from chalicelib.domain.risk.event import RiskEvent, Source, derived_id, raised, raised_data
from chalicelib.domain.risk.quality import (
    FORBIDDEN_WORDS,
    Answer,
    CheckAct,
    Metadata,
    QualityCheck,
    QualityPlan,
    Row,
    answer,
    check_id,
    due_at,
    findings_of,
    score_of,
    standards,
)
from chalicelib.domain.risk.register import register
from chalicelib.domain.state_table import Move
from chalicelib.usecases.cases import Caller, Context
from chalicelib.usecases.duties import PROJECTOR
from chalicelib.usecases.ports import Scope, Store

CHECK_TYPES = frozenset({EventType.QUALITY_DRAWN, EventType.QUALITY_CHECKED, EventType.QUALITY_VOIDED})
CONCERNED = CHECK_TYPES | {EventType.CONTACT_REPORTED, EventType.CONTACT_SENT}
"""Every type of event that checks are made from or listed by."""


class Checks(Protocol):
    """Plans, checks and their lists. See ``chalicelib.store.quality_repository``."""

    def plan(self, scope: Scope, agency: str) -> QualityPlan | None:
        """Return the plan of an agency by a strongly consistent read."""
        ...

    def check(self, scope: Scope, check: str) -> QualityCheck | None:
        """Return the check by a strongly consistent read."""
        ...

    def many(self, scope: Scope, checks: Sequence[str]) -> list[QualityCheck]:
        """Return those checks that exist, in the order asked for."""
        ...

    def index(self, check: QualityCheck) -> None:
        """Bring the lists up to the check."""

    def page(self, scope: Scope, status: str, *, agency: str | None, after: str | None, limit: int) -> list[Row]:
        """Return a page of a list by due instant."""
        ...

    def words(self, scope: Scope, check: QualityCheck) -> Event | None:
        """Return the event that seals what was written."""
        ...


Forbidden = Callable[[str, str, datetime], bool]
"""Tells whether a text holds words that a country's rules forbid on a day."""


@dataclass(frozen=True, slots=True)
class QualityPorts:
    """What quality checks need."""

    store: Store
    checks: Checks
    forbidden: Forbidden


# The plan


def get_plan(ports: QualityPorts, scope: Scope, agency: str) -> QualityPlan:
    """Return the agency's plan, or the default one at version 0. Raises NotFound for an agency that is not listed."""
    if ports.store.agency(scope, agency) is None:
        raise NotFound("agency", agency)
    return ports.checks.plan(scope, agency) or QualityPlan(agency=agency)


def set_plan(
    ports: QualityPorts,
    scope: Scope,
    agency: str,
    caller: Caller,
    context: Context,
    *,
    shares: Mapping[str, int],
    draw: str,
    expected: int | None,
) -> QualityPlan:
    """Set which share of the agency's contacts people check from now on; the same again changes nothing.

    Raises NotFound, PreconditionFailed when the plan moved on from ``expected``.
    """

    def once() -> QualityPlan:
        known = get_plan(ports, scope, agency)
        if expected is not None and expected != known.version:
            raise PreconditionFailed(known.version)
        told = {"agency": agency, "shares": dict(shares), "draw": draw}
        if known.version and (known.shares, known.draw) == (told["shares"], draw):
            return known
        by = {"set_by": caller.actor.id, "set_at": to_text(context.now), "version": known.version + 1}
        plan = QualityPlan.model_validate({**told, **by})
        pk, sk = keys.tenant_pk(scope.tenant), keys.quality_plan_sk(agency)
        unit = ports.store.unit(scope, actor=caller.actor, req=context.req, now=context.now)
        unit.replace(ports.store.plain_record(pk, sk, plan, version=plan.version), expected=known.version)
        data = {"agency": agency, "shares": dict(plan.shares), "draw": draw, "version": plan.version}
        unit.emit(keys.org_pk(scope.tenant, agency), EventType.QUALITY_PLAN_SET, data)
        unit.commit()
        return plan

    return retrying(once)


# From events


def project_quality(ports: QualityPorts, events: Sequence[Event], *, scope_for: Callable[[str], Scope]) -> list[str]:
    """Draw contacts, look at them by machine, and bring the lists up to date. Safe to repeat.

    Raises Conflict when rivals won every run.
    """
    plans: dict[tuple[str, str], QualityPlan] = {}
    for event in events:
        if event.type in CHECK_TYPES:
            scope = scope_for(event.tenant)
            check = ports.checks.check(scope, event.data["check"])
            if check is not None:
                ports.checks.index(check)
        elif event.type in CONCERNED and event.data["org"] != event.tenant:
            _look(ports, scope_for(event.tenant), event, plans)
    return []


def _look(ports: QualityPorts, scope: Scope, event: Event, plans: dict[tuple[str, str], QualityPlan]) -> None:
    data, agency = event.data, event.data["org"]
    if event.type is EventType.CONTACT_REPORTED and data["outcome"] == NOT_MADE:
        return
    if (scope.tenant, agency) not in plans:
        plans[scope.tenant, agency] = ports.checks.plan(scope, agency) or QualityPlan(agency=agency)
    is_drawn = plans[scope.tenant, agency].draws(scope.tenant, data["contact"], data["channel"])
    if event.type is EventType.CONTACT_SENT and not is_drawn:
        return
    attempt, case = ports.store.attempt(scope, data["contact"]), ports.store.case(scope, event.stream)
    if attempt is None or case is None:
        return
    findings = _findings(ports, scope, event, attempt, case)
    if is_drawn or findings:
        _draw(ports, scope, event, is_drawn=is_drawn, findings=findings)


def _findings(ports: QualityPorts, scope: Scope, event: Event, attempt: Attempt, case: Case) -> tuple[str, ...]:
    data, at = event.data, from_text(event.at)
    if event.type is EventType.CONTACT_SENT:
        return (FORBIDDEN_WORDS,) if ports.forbidden(attempt.body or "", case.country, at) else ()
    person = ports.store.person(scope, attempt.person)
    lender = ports.store.lender(scope)
    home = [lender.zone] if lender is not None else []
    told = Metadata(
        channel=data["channel"],
        begun_at=from_text(data["attempted_at"]),
        connected=data["connected"],
        promised=data["result"] in PROMISE_RESULTS,
        recorded=bool(attempt.act.get("recorded")),
        duration_seconds=data["duration_seconds"],
        recording_sha256=data["recording_sha256"],
        country=case.country,
        zones=tuple((zones_of(person) if person is not None else []) or home),
    )
    note = (ports.store.opened(scope, event) or {}).get("note") if event.sealed is not None else None
    has_words = note is not None and ports.forbidden(str(note), case.country, at)
    return (*findings_of(told), FORBIDDEN_WORDS) if has_words else findings_of(told)


def _draw(ports: QualityPorts, scope: Scope, event: Event, *, is_drawn: bool, findings: tuple[str, ...]) -> None:
    data = event.data
    identity = check_id(scope.tenant, data["contact"])
    known_findings = standards().findings

    def once() -> None:
        if ports.checks.check(scope, identity) is not None:
            return
        check = QualityCheck(
            id=identity,
            tenant=scope.tenant,
            contact=data["contact"],
            channel=data["channel"],
            case=event.stream,
            person=data["person"],
            agency=data["org"],
            collector=data["collector"],
            happened_at=event.at,
            is_drawn=is_drawn,
            findings=findings,
            form=standards().form_of(data["channel"]).reference,
            due_at=due_at(event.at),
        )
        unit = ports.store.unit(scope, actor=PROJECTOR, req=event.req, now=from_text(event.at))
        unit.create(_record(ports, scope, check))
        told = {**_data(check), "drawn": is_drawn, "findings": list(findings), "due_at": check.due_at}
        unit.emit(keys.case_pk(scope.tenant, check.case), EventType.QUALITY_DRAWN, told)
        for each in findings:
            _raise(ports, unit, scope, check, each, known_findings[each].line, at=event.at, by=PROJECTOR.id)
        unit.commit()
        ports.checks.index(check)

    retrying(once, attempts=20)


# By people


def score_check(
    ports: QualityPorts,
    scope: Scope,
    check: str,
    caller: Caller,
    context: Context,
    *,
    answers: Mapping[str, Answer],
    text: str | None,
    expected: int | None = None,
) -> QualityCheck:
    """Record what somebody found on each item of the form; a failed item whose line is red raises a legal-risk event.

    Raises NotFound, InvalidInput unless each item is answered and no other, StateConflict, PreconditionFailed.
    """

    def change(known: QualityCheck) -> dict[str, Any]:
        form = standards().form_named(known.form)
        if set(answers) != {item.id for item in form.items}:
            raise InvalidInput("/answers", "items_differ", "each item of the form is answered, and no other")
        done = {"checked_by": caller.actor.id, "checked_at": to_text(context.now)}
        return {**done, "answers": dict(answers), "score": score_of(form, answers)}

    return _apply(ports, scope, check, CheckAct.SCORE, caller, context, change, text=text, expected=expected)


def void_check(
    ports: QualityPorts,
    scope: Scope,
    check: str,
    caller: Caller,
    context: Context,
    *,
    reason: str,
    expected: int | None = None,
) -> QualityCheck:
    """End a check that cannot be made, for a reason by code; it counts nowhere.

    Raises NotFound, InvalidInput, StateConflict, PreconditionFailed.
    """
    if reason not in standards().voids:
        raise InvalidInput("/reason", "unknown_reason", "no check is void for that")

    def change(known: QualityCheck) -> dict[str, Any]:
        return {"checked_by": caller.actor.id, "checked_at": to_text(context.now), "void_reason": reason}

    return _apply(ports, scope, check, CheckAct.VOID, caller, context, change, text=None, expected=expected)


def _apply(
    ports: QualityPorts,
    scope: Scope,
    check: str,
    act: CheckAct,
    caller: Caller,
    context: Context,
    change: Callable[[QualityCheck], dict[str, Any]],
    *,
    text: str | None,
    expected: int | None,
) -> QualityCheck:
    def once() -> QualityCheck:
        known = get_check(ports, scope, check)
        if expected is not None and known.version != expected:
            raise PreconditionFailed(known.version)
        reply = answer(known.status, act)
        if not isinstance(reply, Move):
            raise StateConflict("quality_check_state", reply.reason)
        after = known.model_copy(update={**change(known), "status": reply.to, "version": known.version + 1})
        unit = ports.store.unit(scope, actor=caller.actor, req=context.req, now=context.now)
        pk = keys.case_pk(scope.tenant, known.case)
        if act is CheckAct.VOID:
            unit.emit(pk, EventType.QUALITY_VOIDED, {**_data(after), "void_reason": after.void_reason})
        else:
            is_kept = text is not None and ports.store.person(scope, known.person) is not None
            sealed: dict[str, Any] = {"subject": known.person, "secret": {"text": text}} if is_kept else {}
            told = {
                **_data(after),
                "score": after.score,
                "faultless": after.is_faultless,
                "failed": [item.id for item in after.failed],
            }
            event = unit.emit(pk, EventType.QUALITY_CHECKED, told, **sealed)
            after = after.model_copy(update={"words": event.seq if sealed else None})
            at, by = to_text(context.now), caller.actor.id
            for item in after.failed:
                _raise(ports, unit, scope, after, item.id, item.line, at=at, by=by)
        unit.replace(_record(ports, scope, after), expected=known.version)
        unit.commit()
        return after

    return retrying(once, attempts=20)


def _raise(
    ports: QualityPorts,
    unit: Any,
    scope: Scope,
    check: QualityCheck,
    occasion: str,
    line: str | None,
    *,
    at: str,
    by: str,
) -> None:
    """Add to a unit that a red line was crossed; a standard that was not kept counts in the score alone."""
    if line is None or not register().lines[line].is_red:
        return
    risk: RiskEvent = raised(
        risk=derived_id(scope.tenant, "quality", check.id, occasion),
        tenant=scope.tenant,
        line=line,
        source=Source.QUALITY,
        at=at,
        by=by,
        subject=check.id,
        case=check.case,
        person=check.person,
        org=check.agency,
        agency=check.agency,
        collector=check.collector,
        contact=check.contact,
    )
    pk = keys.risk_pk(scope.tenant, risk.id)
    unit.create(ports.store.plain_record(pk, keys.RISK_SK, risk, version=risk.version, state=risk.status.value))
    unit.emit(keys.case_pk(scope.tenant, check.case), EventType.RISK_EVENT_RAISED, raised_data(risk))


# Reading


def get_check(ports: QualityPorts, scope: Scope, check: str) -> QualityCheck:
    """Return the check. Raises NotFound, for a foreign one as for none."""
    found = ports.checks.check(scope, check)
    if found is None:
        raise NotFound("quality check", check)
    return found


def words_of(ports: QualityPorts, scope: Scope, check: QualityCheck) -> str | None:
    """Return what was written about the check; None for nothing, and of a person who was erased."""
    event = ports.checks.words(scope, check)
    found = None if event is None else ports.store.opened(scope, event)
    return None if found is None else str(found["text"])


def list_checks(
    ports: QualityPorts, scope: Scope, *, status: str, agency: str | None, after: str | None, limit: int
) -> tuple[list[QualityCheck], str | None]:
    """Return a page of the checks of a status by due instant, and the place to go on after, None at the end.

    A row that is behind its check by a moment is left out.
    """
    rows = ports.checks.page(scope, status, agency=agency, after=after, limit=limit)
    found = ports.checks.many(scope, [row.check for row in rows])
    shown = [check for check in found if check.status.value == status]
    return shown, rows[-1].place if len(rows) == limit else None


def _record(ports: QualityPorts, scope: Scope, check: QualityCheck) -> Any:
    pk = keys.quality_pk(scope.tenant, check.id)
    return ports.store.plain_record(pk, keys.QUALITY_SK, check, version=check.version, state=check.status.value)


def _data(check: QualityCheck) -> dict[str, Any]:
    return {
        "check": check.id,
        "contact": check.contact,
        "channel": check.channel,
        "person": check.person,
        "agency": check.agency,
        "collector": check.collector,
        "form": check.form,
        "version": check.version,
    }
