"""Legal risk over HTTP: the register, and events from their raising to their end."""

from datetime import datetime
from typing import Annotated, Literal

from chalice.app import Blueprint
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from chalicelib import wiring
from chalicelib.domain.errors import NotFound, NotPermitted, StateConflict
from chalicelib.domain.feedback.item import masked_words
from chalicelib.domain.instants import to_text
from chalicelib.domain.principals import Principal, Role, scope_of
from chalicelib.domain.risk.event import Action, RiskEvent, Source
from chalicelib.domain.risk.register import Level, Line, Named, Severity, register
from chalicelib.edge.callers import told_by
from chalicelib.edge.http import Answer, Page, Request, route
from chalicelib.usecases import risks

bp = Blueprint(__name__)

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,80}$")]
Code = Annotated[str, Field(pattern=r"^[a-z][a-z_]{1,39}$")]
Words = Annotated[str, Field(min_length=2, max_length=4_000)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Grave = Literal["low", "medium", "high", "critical"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RiskRegister(_Model):
    """The lines that must not be crossed, with the severities, root causes and corrective actions that are known."""

    checked: str
    denials: int
    levels: list[Level]
    lines: list[Line]
    root_causes: list[Named]
    measures: list[Named]


class RiskEntry(_Model):
    """What an audit, counsel, a provider or a regulator says. Name the case or person, or the agency alone.

    ``severity`` is the line's own unless it is said here.
    """

    line: Code
    source: Literal["audit", "counsel", "provider", "regulator"]
    text: Words
    severity: Grave | None = None
    case: Id | None = None
    person: Id | None = None
    agency: Id | None = None
    collector: Id | None = None
    contact: Id | None = None


class RiskFilter(Page):
    """Which events: by status, ``undecided``, or ``open`` (neither dismissed nor closed); of one agency, where it is named."""

    status: Literal[
        "open",
        "undecided",
        "raised",
        "breach_found",
        "no_breach_found",
        "confirmed",
        "dismissed",
        "acting",
        "done",
        "closed",
    ] = "open"
    agency: Id | None = None


class RiskFinding(_Model):
    """What the first person found. A breach has a root cause; its line and severity are those raised unless
    they are named here.
    """

    finding: Literal["breach", "no_breach"]
    text: Words
    line: Code | None = None
    severity: Grave | None = None
    root_cause: Code | None = None


class RiskOpinion(_Model):
    """Whether a second person agrees with the finding, and why."""

    agrees: bool
    text: Words


class RiskAction(_Model):
    """What is to be done, by whom (an agency's id, or one of the lender's people), and by when (open)."""

    measure: Code
    owner: Id
    due_at: AwareDatetime
    text: Words


class RiskActionDone(_Model):
    """That it was done; ``evidence_sha256`` is the digest of what shows it."""

    text: Words
    evidence_sha256: Sha256 | None = None


class RiskClosure(_Model):
    """Whether the corrective action is accepted, which closes the event, or sent back; and why."""

    accepts: bool
    text: Words


class RiskStep(_Model):
    """What was done, by whom. ``text`` is shown when one event is read; long numbers are masked but for compliance officers."""

    did: str
    at: str
    by: str
    text: str | None = None


class RiskFound(_Model):
    """What the first person found."""

    breach: bool
    line: str
    severity: Severity
    root_cause: str | None
    by: str
    at: str


class RiskView(_Model):
    """A legal-risk event. ``due_at`` (open) is by when the present step must be done; null where none is left."""

    id: str
    lender: str
    line: str
    source: Source
    severity: Severity
    status: str
    rule: str | None
    subject: str | None
    person: str | None
    case: str | None
    org: str | None
    agency: str | None
    collector: str | None
    contact: str | None
    activity: str | None
    raised_at: str
    raised_by: str
    due_at: str | None
    overdue: bool
    finding: RiskFound | None
    root_cause: str | None
    decided_by: str | None
    decided_at: str | None
    action: Action | None
    closed_at: str | None
    steps: list[RiskStep]
    version: int


class RiskList(_Model):
    """A page of events by the instant at which they were raised."""

    items: list[RiskView]
    next_cursor: str | None


def _view(risk: RiskEvent, now: datetime, words: dict[int, str] | None = None) -> RiskView:
    texts = words or {}
    body = risk.model_dump(exclude={"tenant", "steps", "status"})
    steps = [
        RiskStep(did=step.did, at=step.at, by=step.by, text=step.text or texts.get(step.words or 0))
        for step in risk.steps
    ]
    overdue = risk.is_overdue(to_text(now))
    return RiskView(**body, status=risk.status.value, lender=risk.tenant, overdue=overdue, steps=steps)


def _answer(risk: RiskEvent) -> Answer:
    view = _view(risk, wiring.now())
    return Answer(view, version=risk.version, location=f"/v1/risk-events/{risk.id}")


@route(
    bp,
    "GET",
    "/v1/risk-register",
    scope="risk_events:read",
    response=RiskRegister,
    summary="Read the register: red lines and standards with their law, severities, root causes, corrective actions",
)
def read_risk_register(principal: Principal, request: Request[None, None]) -> RiskRegister:
    """In Chinese and English; `rows` are rows of the table of Chinese law that the compliance check is written from."""
    known = register()
    return RiskRegister(
        checked=known.checked.isoformat(),
        denials=known.denials,
        levels=list(known.level),
        lines=list(known.line),
        root_causes=list(known.root),
        measures=list(known.measure),
    )


@route(
    bp,
    "POST",
    "/v1/risk-events",
    scope="risk_events:raise",
    body=RiskEntry,
    response=RiskView,
    status=201,
    errors=[NotFound],
    summary="Raise a legal-risk event: what an audit, counsel, a provider or a regulator says",
)
def raise_risk_event(principal: Principal, request: Request[RiskEntry, None]) -> Answer:
    """It counts nowhere until two people have found that a line was crossed."""
    body = request.body
    told = risks.Suspicion(
        line=body.line,
        source=Source(body.source),
        text=body.text,
        severity=None if body.severity is None else Severity(body.severity),
        case=body.case,
        person=body.person,
        agency=body.agency,
        collector=body.collector,
        contact=body.contact,
    )
    scope, who = scope_of(principal), told_by(principal, request)
    return _answer(risks.raise_risk(wiring.risk_ports(), scope, told, *who, risk=request.derived_id("risk")))


@route(
    bp,
    "GET",
    "/v1/risk-events",
    scope="risk_events:read",
    query=RiskFilter,
    response=RiskList,
    summary="List legal-risk events by the instant at which they were raised, of all agencies or of one",
)
def list_risk_events(principal: Principal, request: Request[None, RiskFilter]) -> RiskList:
    """Those that are open unless another list is asked for; the words are read one by one."""
    asked, last, now = request.query, request.after(), wiring.now()
    found, following = risks.list_risks(
        wiring.risk_ports(),
        scope_of(principal),
        name=asked.status,
        agency=asked.agency,
        after=None if last is None else str(last["place"]),
        limit=asked.limit,
    )
    cursor = None if following is None else request.cursor({"place": following})
    return RiskList(items=[_view(risk, now) for risk in found], next_cursor=cursor)


@route(
    bp,
    "GET",
    "/v1/risk-events/{risk_id}",
    scope="risk_events:read",
    response=RiskView,
    errors=[NotFound],
    summary="Read a legal-risk event with its steps and what was written about it",
)
def read_risk_event(principal: Principal, request: Request[None, None]) -> Answer:
    """The words of a person who was erased are gone. Compliance officers read them as they are, others with masks."""
    ports, scope = wiring.risk_ports(), scope_of(principal)
    risk = risks.get_risk(ports, scope, request.path["risk_id"])
    words = risks.words_of(ports, scope, risk)
    if principal.role is not Role.COMPLIANCE:
        words = {number: masked_words(text) for number, text in words.items()}
    return Answer(_view(risk, wiring.now(), words), version=risk.version)


@route(
    bp,
    "POST",
    "/v1/risk-events/{risk_id}/findings",
    scope="risk_events:decide",
    body=RiskFinding,
    response=RiskView,
    status=201,
    errors=[NotFound, StateConflict],
    summary="Record what the first person found: a breach or none",
)
def find_risk_event(principal: Principal, request: Request[RiskFinding, None]) -> Answer:
    """It decides nothing until somebody else agrees."""
    body = request.body
    finding = risks.Finding(
        breach=body.finding == "breach",
        text=body.text,
        line=body.line,
        severity=None if body.severity is None else Severity(body.severity),
        root_cause=body.root_cause,
    )
    risk = risks.find(
        wiring.risk_ports(),
        scope_of(principal),
        request.path["risk_id"],
        finding,
        *told_by(principal, request),
        expected=request.expected_version,
    )
    return _answer(risk)


@route(
    bp,
    "POST",
    "/v1/risk-events/{risk_id}/opinions",
    scope="risk_events:decide",
    body=RiskOpinion,
    response=RiskView,
    status=201,
    errors=[NotFound, NotPermitted, StateConflict],
    summary="Agree with the finding, which confirms or dismisses the event, or disagree: never whoever made it",
)
def decide_risk_event(principal: Principal, request: Request[RiskOpinion, None]) -> Answer:
    """Only a confirmed event counts among the legal-risk events of the plan."""
    risk = risks.decide(
        wiring.risk_ports(),
        scope_of(principal),
        request.path["risk_id"],
        *told_by(principal, request),
        agrees=request.body.agrees,
        text=request.body.text,
        expected=request.expected_version,
    )
    return _answer(risk)


@route(
    bp,
    "POST",
    "/v1/risk-events/{risk_id}/actions",
    scope="risk_events:write",
    body=RiskAction,
    response=RiskView,
    status=201,
    errors=[NotFound, StateConflict],
    summary="Set the corrective action of a confirmed event, or set it anew while it is not done",
)
def set_risk_action(principal: Principal, request: Request[RiskAction, None]) -> Answer:
    """The one that was set before is over."""
    body = request.body
    risk = risks.set_action(
        wiring.risk_ports(),
        scope_of(principal),
        request.path["risk_id"],
        *told_by(principal, request),
        measure=body.measure,
        owner=body.owner,
        due_at=body.due_at,
        text=body.text,
        expected=request.expected_version,
    )
    return _answer(risk)


@route(
    bp,
    "POST",
    "/v1/risk-events/{risk_id}/actions/results",
    scope="risk_events:write",
    body=RiskActionDone,
    response=RiskView,
    status=201,
    errors=[NotFound, StateConflict],
    summary="Record that the corrective action was done",
)
def finish_risk_action(principal: Principal, request: Request[RiskActionDone, None]) -> Answer:
    """Somebody else accepts it or sends it back."""
    risk = risks.finish_action(
        wiring.risk_ports(),
        scope_of(principal),
        request.path["risk_id"],
        *told_by(principal, request),
        evidence_sha256=request.body.evidence_sha256,
        text=request.body.text,
        expected=request.expected_version,
    )
    return _answer(risk)


@route(
    bp,
    "POST",
    "/v1/risk-events/{risk_id}/closures",
    scope="risk_events:decide",
    body=RiskClosure,
    response=RiskView,
    status=201,
    errors=[NotFound, NotPermitted, StateConflict],
    summary="Accept the corrective action, which closes the event, or send it back: never whoever did it",
)
def close_risk_event(principal: Principal, request: Request[RiskClosure, None]) -> Answer:
    """What was sent back has until its old end or the hours of its severity, whichever is later."""
    risk = risks.close(
        wiring.risk_ports(),
        scope_of(principal),
        request.path["risk_id"],
        *told_by(principal, request),
        accepts=request.body.accepts,
        text=request.body.text,
        expected=request.expected_version,
    )
    return _answer(risk)
