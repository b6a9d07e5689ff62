"""Duties with clocks over HTTP: lists by due instant, what opens one by hand, fulfilment, waiver, a longer term."""

from datetime import date
from typing import Annotated, Any, Literal

from chalice.app import Blueprint
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from chalicelib import wiring
from chalicelib.domain.duties.catalogue import DutyRule, duty_rules, rule_of
from chalicelib.domain.duties.duty import Duty
from chalicelib.domain.errors import NotFound, StateConflict
from chalicelib.domain.instants import from_text
from chalicelib.domain.principals import Principal, TenantScope, scope_of
from chalicelib.edge.callers import caller_of, context_of, org_of, scope_of_case, scopes_for
from chalicelib.edge.compliance_api import SHIPPED, Bilingual
from chalicelib.edge.http import Answer, Page, Request, route
from chalicelib.usecases import duties
from chalicelib.usecases.duties import Fulfilment

bp = Blueprint(__name__)

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,80}$")]
Code = Annotated[str, Field(pattern=r"^[a-z][a-z_]{1,39}$")]
Reason = Annotated[str, Field(min_length=10, max_length=2_000)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DutyFilter(Page):
    """The state that the duties are in, and the instant before which they are due (exclusive)."""

    state: Literal["open", "fulfilled", "lapsed", "waived"] = "open"
    due_before: AwareDatetime | None = None


class DutyReport(_Model):
    """Something that happened outside and opens duties. ``stated_on`` is the date that some of them count back from."""

    case: Id
    report: Code
    at: AwareDatetime
    stated_on: date | None = None


class FulfilmentReport(_Model):
    """When the duty was done and what shows it: the kind of thing, its number, the digest of its content."""

    at: AwareDatetime
    evidence: Literal["message", "letter", "document", "call", "other"]
    reference: Id | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    note: Annotated[str, Field(max_length=2_000)] | None = None


class Waiver(_Model):
    """Why the duty need not be done; the reason is recorded."""

    reason: Reason


class LongerTerm(_Model):
    """A longer term by its name in the catalogue, and why it is granted."""

    extension: Code
    reason: Reason


class StepView(_Model):
    """An escalation: a share of the time, or hours before the end."""

    step: str
    at: str


class EvidenceView(_Model):
    """What shows that the duty was done; ``event`` is the event that did it."""

    kind: str
    at: str
    reference: str | None
    sha256: str | None
    event: str | None


class DutyView(_Model):
    """A duty. ``due_at`` is exclusive; ``doubts`` are facts that were not on file, so a person should look at it."""

    id: str
    lender: str
    rule: str
    kind: str
    title: Bilingual
    citation: str
    grade: str
    confidence: str
    note: Bilingual
    case: str | None
    person: str
    subject: str
    owner: str
    agency: str | None
    severity: str
    state: Literal["open", "fulfilled", "lapsed", "waived"]
    opened_by: str
    opened_at: str
    due_at: str
    extension: str | None
    escalations: list[StepView]
    next_escalation: StepView | None
    doubts: list[str]
    evidence: EvidenceView | None
    late: bool
    lapsed_at: str | None
    version: int


class DutyList(_Model):
    """A page of duties by due instant."""

    items: list[DutyView]
    next_cursor: str | None


class DutiesOpened(_Model):
    """The duties that a report opened, as they stand."""

    items: list[DutyView]


class DutyRuleView(_Model):
    """An entry of the catalogue: what opens the duty, who owes it, by when, what discharges it."""

    rule: str
    kind: str
    title: Bilingual
    where: dict[str, list[str]]
    opens: list[dict[str, Any]]
    discharged_by: list[dict[str, Any]]
    owner: str
    due: dict[str, Any]
    zone: str
    extensions: list[dict[str, Any]]
    escalate: list[str]
    severity: str
    lapse_is_risk_event: bool
    citation: str
    source: str
    grade: str
    confidence: str
    effective_from: str | None
    effective_to: str | None
    checked: str
    note: Bilingual


class DutyRuleList(_Model):
    """Every entry, by rule and kind."""

    items: list[DutyRuleView]


def _view(duty: Duty) -> DutyView:
    rule = rule_of(duty.rule, duty.kind, on=from_text(duty.opened_at).date())
    if rule is None:
        raise LookupError(f"{duty.id} follows an entry that the catalogue lost")
    body = duty.model_dump(mode="json", exclude={"tenant", "steps"})
    return DutyView(
        **body,
        lender=duty.tenant,
        title=Bilingual(**rule.title.model_dump()),
        citation=rule.citation,
        grade=rule.grade,
        confidence=rule.confidence,
        note=Bilingual(**rule.note.model_dump()),
        next_escalation=StepView(**duty.steps[0].model_dump()) if duty.steps else None,
        late=duty.is_late,
    )


def _rule_view(rule: DutyRule) -> DutyRuleView:
    body = rule.model_dump(mode="json", exclude={"from_", "to", "fulfilled_on_opening"}, exclude_none=True)
    return DutyRuleView(
        **body,
        effective_from=rule.from_.isoformat() if rule.from_ else None,
        effective_to=rule.to.isoformat() if rule.to else None,
    )


def _found(principal: Principal, duty: str) -> tuple[TenantScope, Duty]:
    """Return the caller's duty with the scope of its lender. Raises NotFound, for a foreign one as for none."""
    for scope in scopes_for(principal):
        try:
            return scope, duties.get_duty(wiring.duty_ports(), scope, duty, org=org_of(principal))
        except NotFound:
            continue
    raise NotFound("duty", duty)


@route(
    bp,
    "GET",
    "/v1/duties",
    scope="duties:read",
    query=DutyFilter,
    response=DutyList,
    summary="List duties by due instant: a lender's, or what the agency owes",
)
def list_duties(principal: Principal, request: Request[None, DutyFilter]) -> DutyList:
    """Open ones unless another state is asked for. What an agency owes a lender that no longer lists it is not shown."""
    asked, last = request.query, request.after()
    found, following = duties.list_duties(
        wiring.duty_ports(),
        scopes_for(principal),
        org=org_of(principal),
        state=asked.state,
        due_before=asked.due_before,
        after=None if last is None else str(last["place"]),
        limit=asked.limit,
    )
    return DutyList(
        items=[_view(duty) for duty in found],
        next_cursor=None if following is None else request.cursor({"place": following}),
    )


@route(
    bp,
    "POST",
    "/v1/duties",
    scope="duties:write",
    body=DutyReport,
    response=DutiesOpened,
    status=201,
    errors=[NotFound],
    summary="Report something that happened outside and obliges somebody, and get the duties that it opens",
)
def report_duty(principal: Principal, request: Request[DutyReport, None]) -> Answer:
    """What the system learns by itself opens its duties by itself; the catalogue says which reports there are."""
    body = request.body
    opened = duties.report(
        wiring.duty_ports(),
        scope_of_case(principal, body.case),
        body.case,
        body.report,
        caller_of(principal),
        context_of(request),
        at=body.at,
        stated=body.stated_on,
        report_id=request.derived_id("rep"),
    )
    return Answer(DutiesOpened(items=[_view(duty) for duty in opened]))


@route(
    bp,
    "GET",
    "/v1/duties/{duty_id}",
    scope="duties:read",
    response=DutyView,
    summary="Read a duty with its law, its escalations and its evidence",
)
def read_duty(principal: Principal, request: Request[None, None]) -> Answer:
    """An agency reads what it owes itself."""
    _, duty = _found(principal, request.path["duty_id"])
    return Answer(_view(duty), version=duty.version)


@route(
    bp,
    "POST",
    "/v1/duties/{duty_id}/fulfilments",
    scope="duties:write",
    body=FulfilmentReport,
    response=DutyView,
    status=201,
    errors=[StateConflict],
    summary="Record that a duty was done, with what shows it",
)
def fulfil_duty(principal: Principal, request: Request[FulfilmentReport, None]) -> Answer:
    """A duty that was done before stays as it is; what is done late is recorded as late, and its lapse stands."""
    scope, known = _found(principal, request.path["duty_id"])
    body = request.body
    done = Fulfilment(body.evidence, body.at, body.reference, body.sha256, body.note)
    duty = duties.fulfil(wiring.duty_ports(), scope, known.id, done, caller_of(principal), context_of(request))
    return Answer(_view(duty), version=duty.version)


@route(
    bp,
    "POST",
    "/v1/duties/{duty_id}/waiver",
    scope="duties:waive",
    body=Waiver,
    response=DutyView,
    errors=[StateConflict],
    summary="Waive a duty, as compliance officer, with a reason",
)
def waive_duty(principal: Principal, request: Request[Waiver, None]) -> Answer:
    """Only an open one: what has lapsed cannot be undone by words."""
    duty = duties.waive(
        wiring.duty_ports(),
        scope_of(principal),
        request.path["duty_id"],
        caller_of(principal),
        context_of(request),
        reason=request.body.reason,
    )
    return Answer(_view(duty), version=duty.version)


@route(
    bp,
    "POST",
    "/v1/duties/{duty_id}/extension",
    scope="duties:waive",
    body=LongerTerm,
    response=DutyView,
    errors=[StateConflict],
    summary="Grant a longer term that the law knows, as compliance officer, with a reason",
)
def extend_duty(principal: Principal, request: Request[LongerTerm, None]) -> Answer:
    """The term counts from the opening, as the first one did."""
    duty = duties.extend(
        wiring.duty_ports(),
        scope_of(principal),
        request.path["duty_id"],
        caller_of(principal),
        context_of(request),
        extension=request.body.extension,
        reason=request.body.reason,
    )
    return Answer(_view(duty), version=duty.version)


@route(
    bp,
    "GET",
    "/v1/compliance/duty-rules",
    scope="rules:read",
    response=DutyRuleList,
    content_tag=True,
    cache=SHIPPED,
    summary="Read the catalogue of duties: what opens each, who owes it, by when, under which law",
)
def list_duty_rules(principal: Principal, request: Request[None, None]) -> DutyRuleList:
    """Dated data like the rules; ``report`` names what can be reported by hand."""
    return DutyRuleList(items=[_rule_view(rule) for rule in duty_rules()])
