"""Quality checks over HTTP: the plan of each agency, forms, what waits to be checked, results."""

from datetime import datetime
from typing import Annotated, Literal

from chalice.app import Blueprint
from pydantic import BaseModel, ConfigDict, Field

from chalicelib import wiring
from chalicelib.domain.errors import NotFound, StateConflict
from chalicelib.domain.feedback.item import masked_words
from chalicelib.domain.instants import to_text
from chalicelib.domain.principals import Principal, Role, scope_of
from chalicelib.domain.risk.quality import Answer as ItemAnswer
from chalicelib.domain.risk.quality import (
    Channel,
    Finding,
    Form,
    Limits,
    QualityCheck,
    QualityPlan,
    Share,
    standards,
)
from chalicelib.domain.risk.register import Named
from chalicelib.edge.callers import told_by
from chalicelib.edge.http import Answer, Page, Request, route
from chalicelib.usecases import quality

bp = Blueprint(__name__)

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,80}$")]
Code = Annotated[str, Field(pattern=r"^[a-z][a-z_]{1,39}$")]
Words = Annotated[str, Field(min_length=2, max_length=4_000)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class QualityStandards(_Model):
    """The forms that people fill in, what the machine finds and by which limits, and why a check can be void."""

    default_permille: int
    check_hours: int
    call: Limits
    findings: list[Finding]
    forms: list[Form]
    voids: list[Named]


class QualityPlanWish(_Model):
    """Which share of the agency's contacts people check, per mille by channel; a channel that is not named has
    the default share.

    Another ``draw`` draws other contacts at the same shares.
    """

    shares: dict[Channel, Share] = {}
    draw: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")] = "1"


class QualityPlanView(_Model):
    """An agency's plan; at version 0 it is the default one."""

    agency: str
    shares: dict[Channel, int]
    default_permille: int
    draw: str
    set_by: str | None
    set_at: str | None
    version: int


class QualityFilter(Page):
    """Which checks: those of one status, of one agency where it is named."""

    status: Literal["waiting", "checked", "void"] = "waiting"
    agency: Id | None = None


class QualityResult(_Model):
    """What somebody found on each item of the check's form, and words if there are any."""

    answers: Annotated[dict[Code, ItemAnswer], Field(max_length=40)]
    text: Words | None = None


class QualityVoid(_Model):
    """Why the check cannot be made, by a code of the standards."""

    reason: Code


class QualityView(_Model):
    """A check of one contact. ``due_at`` is exclusive; ``score`` is what was passed of what applies, in points of 100.

    ``text`` is shown when one check is read; long numbers are masked but for compliance officers.
    """

    id: str
    lender: str
    contact: str
    channel: str
    case: str
    person: str
    agency: str
    collector: str | None
    happened_at: str
    drawn: bool
    findings: list[str]
    form: str
    due_at: str
    overdue: bool
    status: str
    answers: dict[str, ItemAnswer]
    failed: list[str]
    score: int | None
    faultless: bool
    checked_by: str | None
    checked_at: str | None
    void_reason: str | None
    text: str | None
    version: int


class QualityList(_Model):
    """A page of checks by due instant."""

    items: list[QualityView]
    next_cursor: str | None


def _view(check: QualityCheck, now: datetime, text: str | None = None) -> QualityView:
    body = check.model_dump(exclude={"tenant", "status", "is_drawn", "words"})
    return QualityView(
        **body,
        lender=check.tenant,
        status=check.status.value,
        drawn=check.is_drawn,
        failed=[item.id for item in check.failed],
        faultless=check.is_faultless,
        overdue=check.is_overdue(to_text(now)),
        text=text,
    )


def _plan(plan: QualityPlan) -> Answer:
    view = QualityPlanView(**plan.model_dump(), default_permille=standards().default_permille)
    return Answer(view, version=plan.version)


def _answer(check: QualityCheck) -> Answer:
    view = _view(check, wiring.now())
    return Answer(view, version=check.version, location=f"/v1/quality-checks/{check.id}")


@route(
    bp,
    "GET",
    "/v1/quality-standards",
    scope="quality:read",
    response=QualityStandards,
    summary="Read the forms of quality checks, what the machine finds, and by which limits",
)
def read_quality_standards(principal: Principal, request: Request[None, None]) -> QualityStandards:
    """In Chinese and English. An item names the line of the register that failing it crosses."""
    known = standards()
    return QualityStandards(
        default_permille=known.default_permille,
        check_hours=known.check_hours,
        call=known.call,
        findings=list(known.finding),
        forms=list(known.form),
        voids=list(known.void),
    )


@route(
    bp,
    "GET",
    "/v1/agencies/{agency_id}/quality-plan",
    scope="quality:read",
    response=QualityPlanView,
    errors=[NotFound],
    summary="Read which share of an agency's contacts people check",
)
def read_quality_plan(principal: Principal, request: Request[None, None]) -> Answer:
    """The default one where none was set."""
    return _plan(quality.get_plan(wiring.quality_ports(), scope_of(principal), request.path["agency_id"]))


@route(
    bp,
    "PUT",
    "/v1/agencies/{agency_id}/quality-plan",
    scope="quality:plan",
    body=QualityPlanWish,
    response=QualityPlanView,
    errors=[NotFound],
    if_match=True,
    summary="Set which share of an agency's contacts people check from now on",
)
def set_quality_plan(principal: Principal, request: Request[QualityPlanWish, None]) -> Answer:
    """What was drawn before stays drawn."""
    plan = quality.set_plan(
        wiring.quality_ports(),
        scope_of(principal),
        request.path["agency_id"],
        *told_by(principal, request),
        shares=request.body.shares,  # type: ignore[arg-type]
        draw=request.body.draw,
        expected=request.expected_version,
    )
    return _plan(plan)


@route(
    bp,
    "GET",
    "/v1/quality-checks",
    scope="quality:read",
    query=QualityFilter,
    response=QualityList,
    summary="List quality checks by due instant: what waits, was checked or is void, of all agencies or of one",
)
def list_quality_checks(principal: Principal, request: Request[None, QualityFilter]) -> QualityList:
    """What waits unless another list is asked for."""
    asked, last, now = request.query, request.after(), wiring.now()
    found, following = quality.list_checks(
        wiring.quality_ports(),
        scope_of(principal),
        status=asked.status,
        agency=asked.agency,
        after=None if last is None else str(last["place"]),
        limit=asked.limit,
    )
    cursor = None if following is None else request.cursor({"place": following})
    return QualityList(items=[_view(check, now) for check in found], next_cursor=cursor)


@route(
    bp,
    "GET",
    "/v1/quality-checks/{check_id}",
    scope="quality:read",
    response=QualityView,
    errors=[NotFound],
    summary="Read a quality check with what was written about it",
)
def read_quality_check(principal: Principal, request: Request[None, None]) -> Answer:
    """The words of a person who was erased are gone. Compliance officers read them as they are, others with masks."""
    ports, scope = wiring.quality_ports(), scope_of(principal)
    check = quality.get_check(ports, scope, request.path["check_id"])
    text = quality.words_of(ports, scope, check)
    if text is not None and principal.role is not Role.COMPLIANCE:
        text = masked_words(text)
    return Answer(_view(check, wiring.now(), text), version=check.version)


@route(
    bp,
    "POST",
    "/v1/quality-checks/{check_id}/results",
    scope="quality:check",
    body=QualityResult,
    response=QualityView,
    status=201,
    errors=[NotFound, StateConflict],
    summary="Record the result of a quality check; a failed item whose line is red raises a legal-risk event",
)
def score_quality_check(principal: Principal, request: Request[QualityResult, None]) -> Answer:
    """Each item of the form is answered with pass, fail or not_applicable."""
    check = quality.score_check(
        wiring.quality_ports(),
        scope_of(principal),
        request.path["check_id"],
        *told_by(principal, request),
        answers=request.body.answers,
        text=request.body.text,
        expected=request.expected_version,
    )
    return _answer(check)


@route(
    bp,
    "POST",
    "/v1/quality-checks/{check_id}/voids",
    scope="quality:check",
    body=QualityVoid,
    response=QualityView,
    status=201,
    errors=[NotFound, StateConflict],
    summary="End a quality check that cannot be made",
)
def void_quality_check(principal: Principal, request: Request[QualityVoid, None]) -> Answer:
    """It counts nowhere; what the machine found stays."""
    check = quality.void_check(
        wiring.quality_ports(),
        scope_of(principal),
        request.path["check_id"],
        *told_by(principal, request),
        reason=request.body.reason,
        expected=request.expected_version,
    )
    return _answer(check)
