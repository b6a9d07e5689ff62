"""Surveys over HTTP: rules drafted by one person and approved by another; who was asked, and what they answered."""

from typing import Annotated, Literal

from chalice.app import Blueprint
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from chalicelib import wiring
from chalicelib.domain.errors import NotFound, StateConflict
from chalicelib.domain.feedback.survey import Survey, SurveyState
from chalicelib.domain.feedback.survey_rules import RulesVersion, SurveyRules, in_force
from chalicelib.domain.principals import Principal, scope_of
from chalicelib.edge.callers import told_by
from chalicelib.edge.http import Answer, Page, Request, route
from chalicelib.usecases import surveys

bp = Blueprint(__name__)

NUMBER = {"number": r"[1-9][0-9]{0,4}"}
Reason = Annotated[str, Field(min_length=10, max_length=2_000)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SurveyRulesDecision(_Model):
    """A compliance officer's decision on a draft; approved, it draws from ``effective_from`` (default: now) on."""

    decision: Literal["approve", "reject"]
    reason: Reason
    effective_from: AwareDatetime | None = None


class SurveyRulesView(_Model):
    """A version of the rules. ``sha256`` is the digest of what it says, which never changes."""

    number: int
    state: Literal["draft", "approved", "rejected"]
    rules: SurveyRules
    sha256: str
    author: str
    drafted_at: str
    decided_by: str | None
    decided_at: str | None
    reason: str | None
    effective_from: str | None
    version: int


class SurveyRulesList(_Model):
    """The versions of the lender's rules by number. ``current`` is the one that holds now, null when none does."""

    current: int | None
    items: list[SurveyRulesView]


class SurveyFilter(Page):
    """Which surveys: those of one status."""

    status: Literal["waiting", "asked", "sent", "answered", "lapsed", "not_sent"] = "sent"


class SurveyView(_Model):
    """A survey. ``agency`` held the case at the occasion, and ``reason`` says why it ended unanswered.

    ``answers_until`` is exclusive. The words of an answer stand with the item of feedback that the answer opened.
    """

    id: str
    status: Literal["waiting", "asked", "sent", "answered", "lapsed", "not_sent"]
    trigger: Literal["case_settled", "complaint_closed", "promise_kept", "call_ended"]
    person: str
    case: str
    agency: str | None
    rules: int
    drawn_at: str
    ask_at: str
    message: str | None
    channel: str | None
    asked_at: str | None
    sent_at: str | None
    answers_until: str | None
    score: int | None
    answered_at: str | None
    answers: int
    reason: str | None
    version: int


class SurveyList(_Model):
    """A page of surveys by the instant at which they were drawn."""

    items: list[SurveyView]
    next_cursor: str | None


def _rules_view(version: RulesVersion) -> SurveyRulesView:
    return SurveyRulesView(**version.model_dump(mode="json"), sha256=version.rules.sha256)


def _view(survey: Survey) -> SurveyView:
    body = survey.model_dump(mode="json", exclude={"tenant", "occasion", "heard", "has_item"})
    message = survey.message if survey.asked_at is not None or survey.sent_at is not None else None
    return SurveyView(**body, message=message, answers=len(survey.heard))


@route(
    bp,
    "POST",
    "/v1/survey-rules",
    scope="surveys:write",
    body=SurveyRules,
    response=SurveyRulesView,
    status=201,
    errors=[StateConflict],
    summary="Draft the next version of the rules for surveys: after what, which share of persons, with which texts",
)
def draft_survey_rules(principal: Principal, request: Request[SurveyRules, None]) -> Answer:
    """Nobody is asked until somebody else approves it. A version without occasions ends the asking."""
    told = told_by(principal, request)
    version = surveys.draft_rules(wiring.survey_ports(), scope_of(principal), request.body, *told)
    return Answer(_rules_view(version), version=version.version, location=f"/v1/survey-rules/{version.number}")


@route(
    bp,
    "GET",
    "/v1/survey-rules",
    scope="feedback:read",
    response=SurveyRulesList,
    content_tag=True,
    summary="List the versions of the rules for surveys, and which one holds",
)
def list_survey_rules(principal: Principal, request: Request[None, None]) -> SurveyRulesList:
    """``current`` depends on the present instant."""
    versions = wiring.survey_ports().surveys.versions(scope_of(principal))
    held = in_force(versions, wiring.now())
    return SurveyRulesList(
        current=None if held is None else held.number, items=[_rules_view(each) for each in versions]
    )


@route(
    bp,
    "GET",
    "/v1/survey-rules/{number}",
    scope="feedback:read",
    response=SurveyRulesView,
    path_patterns=NUMBER,
    summary="Read a version of the rules for surveys",
)
def read_survey_rules(principal: Principal, request: Request[None, None]) -> Answer:
    """What it says never changes."""
    version = surveys.get_rules(wiring.survey_ports(), scope_of(principal), int(request.path["number"]))
    return Answer(_rules_view(version), version=version.version)


@route(
    bp,
    "POST",
    "/v1/survey-rules/{number}/approvals",
    scope="surveys:approve",
    body=SurveyRulesDecision,
    response=SurveyRulesView,
    status=201,
    errors=[NotFound, StateConflict],
    path_patterns=NUMBER,
    summary="Approve or reject a draft of the rules for surveys, as compliance officer and never as its author",
)
def decide_survey_rules(principal: Principal, request: Request[SurveyRulesDecision, None]) -> Answer:
    """Approved, it takes the place of the version before it; surveys that were drawn before keep theirs."""
    body = request.body
    version = surveys.decide_rules(
        wiring.survey_ports(),
        scope_of(principal),
        int(request.path["number"]),
        *told_by(principal, request),
        approve=body.decision == "approve",
        reason=body.reason,
        effective_from=body.effective_from,
    )
    return Answer(_rules_view(version), version=version.version, location=f"/v1/survey-rules/{version.number}")


@route(
    bp,
    "GET",
    "/v1/surveys",
    scope="feedback:read",
    query=SurveyFilter,
    response=SurveyList,
    summary="List surveys of a status: who is to be asked, was asked, answered or did not",
)
def list_surveys(principal: Principal, request: Request[None, SurveyFilter]) -> SurveyList:
    """By the instant of the draw, the oldest first; those that were sent unless another status is asked for."""
    last = request.after()
    found, following = surveys.list_surveys(
        wiring.survey_ports(),
        scope_of(principal),
        status=SurveyState(request.query.status),
        after=None if last is None else str(last["place"]),
        limit=request.query.limit,
    )
    next_cursor = None if following is None else request.cursor({"place": following})
    return SurveyList(items=[_view(each) for each in found], next_cursor=next_cursor)


@route(
    bp,
    "GET",
    "/v1/surveys/{survey_id}",
    scope="feedback:read",
    response=SurveyView,
    summary="Read a survey: whom it asked after what, what became of its message, and the answer that counts",
)
def read_survey(principal: Principal, request: Request[None, None]) -> Answer:
    """The message itself is read under ``/v1/messages``."""
    survey = surveys.get_survey(wiring.survey_ports(), scope_of(principal), request.path["survey_id"])
    return Answer(_view(survey), version=survey.version)
