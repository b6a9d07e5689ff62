"""Behaviour over HTTP: features, scores and plan of contact of a case's borrower; the lender's accounts by risk."""

from typing import Literal

from chalice.app import Blueprint
from pydantic import BaseModel, ConfigDict

from chalicelib import wiring
from chalicelib.domain.principals import Principal, scope_of
from chalicelib.edge.callers import org_of, scope_of_case
from chalicelib.edge.http import Page, Request, route
from chalicelib.usecases import behaviour

bp = Blueprint(__name__)


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FeatureView(_Model):
    """A feature: ``feature`` is ``id@version``; None is no value, where the history has nothing to say."""

    feature: str
    value: int | None
    unit: Literal["days", "months", "count", "percent", "channel", "hour"]
    zh: str
    en: str


class ReasonView(_Model):
    """What weighed against the account: its points, and how many fewer they are than those of the average account."""

    code: str
    value: int | None
    points: int
    below_typical: int
    zh: str
    en: str


class ScoreView(_Model):
    """A score of a card: more points are the better prospect; ``chance_permille`` is that of the card's target."""

    card: str
    sha256: str
    zh: str
    en: str
    score: int
    chance_permille: int
    reasons: list[ReasonView]


class PlanView(_Model):
    """By which channel, and from which local hour to which (half-open), the borrower answered most; null is unknown."""

    channel: str | None
    from_hour: int | None
    to_hour: int | None


class BehaviourView(_Model):
    """The profile of a case's borrower. Features, scores and the risk flag are there for the lender's side only."""

    case: str
    as_of: str
    business_date: str
    days_past_due: int
    bucket: str
    route: Literal["people", "strategy"]
    plan: PlanView
    features: list[FeatureView] | None = None
    scores: list[ScoreView] | None = None
    high_risk: bool | None = None
    high_risk_permille: int | None = None


class BehaviourFilter(Page):
    """A list's place and length (at most 50), and whether its accounts are high risk."""

    high_risk: bool | None = None


class BehaviourSummary(_Model):
    """An account in the list: chances in per mille, null where it is not past due and so not scored."""

    case: str
    agency: str | None
    as_of: str
    days_past_due: int
    bucket: str
    roll_permille: int | None
    cure_permille: int | None
    high_risk: bool
    route: Literal["people", "strategy"]


class BehaviourList(_Model):
    """A page of the lender's live cases by id; with a filter it may hold fewer than asked for and have a next."""

    items: list[BehaviourSummary]
    next_cursor: str | None


@route(
    bp,
    "GET",
    "/v1/behaviour",
    scope="portfolios:read",
    query=BehaviourFilter,
    response=BehaviourList,
    summary="List the lender's live cases with their chances, all or those at high risk",
)
def list_behaviour(principal: Principal, request: Request[None, BehaviourFilter]) -> BehaviourList:
    """The lender's side only. Every chance is that of now."""
    last = request.after()
    items, following = behaviour.list_behaviour(
        wiring.store(),
        wiring.feed_repository(),
        scope_of(principal),
        after=None if last is None else str(last["case"]),
        limit=request.query.limit,
        high_risk=request.query.high_risk,
        now=wiring.now(),
    )
    return BehaviourList(
        items=[BehaviourSummary(**item) for item in items],
        next_cursor=None if following is None else request.cursor({"case": following}),
    )


@route(
    bp,
    "GET",
    "/v1/cases/{case_id}/behaviour",
    scope="cases:read",
    response=BehaviourView,
    summary="Read how a case's borrower pays and answers, with scores and their reasons",
)
def read_behaviour(principal: Principal, request: Request[None, None]) -> BehaviourView:
    """Computed from what is on file now; nothing is stored. Agencies read the bucket, the route and the plan."""
    case_id = request.path["case_id"]
    profile = behaviour.behaviour_of(
        wiring.store(),
        scope_of_case(principal, case_id),
        case_id,
        org=org_of(principal),
        role=principal.role.value,
        now=wiring.now(),
    )
    return BehaviourView(**profile)
