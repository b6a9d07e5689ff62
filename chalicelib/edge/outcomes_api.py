"""The lender's feed of outcomes over HTTP."""

from typing import Any, Literal

from chalice.app import Blueprint
from pydantic import BaseModel, ConfigDict

from chalicelib import wiring
from chalicelib.domain.errors import CursorExpired
from chalicelib.domain.principals import Principal, scope_of
from chalicelib.edge.cases_api import FeedPlace, follow
from chalicelib.edge.http import Request, route

bp = Blueprint(__name__)


class OutcomeEntry(BaseModel):
    """An outcome: the open data of its event. ``about`` is the case, or the person where it is about no case."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seq: int
    kind: Literal["activity", "promise", "payment", "hold", "state", "feedback"]
    event: str
    type: str
    at: str
    about: str
    agency: str | None
    data: dict[str, Any]


class Outcomes(BaseModel):
    """A page of the feed. ``next_cursor`` is always there; ``more`` says that the next page would not be empty."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    items: list[OutcomeEntry]
    next_cursor: str
    more: bool


@route(
    bp,
    "GET",
    "/v1/outcomes",
    scope="outcomes:read",
    query=FeedPlace,
    response=Outcomes,
    errors=[CursorExpired],
    summary="Follow the outcomes of the lender's cases: ordered, without gaps, each at least once",
)
def read_outcomes(principal: Principal, request: Request[None, FeedPlace]) -> Outcomes:
    """Activities, promises, payments, holds, states, feedback. Without a cursor it starts at the oldest entry (35 days)."""
    lender = scope_of(principal).tenant
    page, following = follow(wiring.outcome_repository(), lender, request.query, name="outcomes")
    items = [OutcomeEntry(**entry) for entry in page.entries]
    return Outcomes(items=items, next_cursor=following, more=page.more)
