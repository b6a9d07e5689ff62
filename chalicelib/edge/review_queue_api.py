"""Counsel's queue over HTTP: what waits for a decision of counsel or a compliance officer."""

from datetime import timedelta
from typing import Literal

from chalice.app import Blueprint
from pydantic import BaseModel, ConfigDict

from chalicelib import wiring
from chalicelib.domain.instants import to_text
from chalicelib.domain.principals import Principal, scope_of
from chalicelib.domain.risk.queue import Kind, Waiting, terms
from chalicelib.domain.risk.register import Words
from chalicelib.edge.http import Page, Request, route
from chalicelib.usecases import review_queue

bp = Blueprint(__name__)

_NEXT = timedelta(milliseconds=1)
"""Instants are kept to the millisecond, and what is due now is overdue."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ReviewFilter(Page):
    """Which kind, and only what is ``overdue``."""

    kind: Literal["template", "strategy", "house_rules", "survey_rules", "course", "contact", "risk_event"] | None = (
        None
    )
    overdue: bool = False


class ReviewView(_Model):
    """Something that waits. ``due_at`` is exclusive; ``maker`` wrote the draft or made the finding and may not decide on it.

    ``stage`` is ``decision``, or for a legal-risk event ``finding`` and then ``opinion``; ``number`` is a draft's version.
    ``may_decide`` tells whether the caller may.
    """

    kind: Kind
    name: Words
    id: str
    number: int | None
    stage: str
    since: str | None
    due_at: str | None
    overdue: bool
    maker: str | None
    case: str | None
    agency: str | None
    may_decide: bool


class ReviewList(_Model):
    """A page of what waits, by due instant."""

    items: list[ReviewView]
    next_cursor: str | None


def _view(waiting: Waiting, principal: Principal, now: str) -> ReviewView:
    term = terms()[waiting.kind]
    return ReviewView(
        **waiting.model_dump(exclude={"seq"}),
        name=term.name,
        overdue=waiting.is_overdue(now),
        may_decide=principal.may(term.scope) and principal.subject != waiting.maker,
    )


@route(
    bp,
    "GET",
    "/v1/review-queue",
    scope="reviews:read",
    query=ReviewFilter,
    response=ReviewList,
    summary="List what waits for counsel or a compliance officer by due instant: drafts, contacts left to a person, legal risk",
)
def list_review_queue(principal: Principal, request: Request[None, ReviewFilter]) -> ReviewList:
    """Decisions are made where each thing is: with their reasons, by somebody else than its maker."""
    asked, last, now = request.query, request.after(), wiring.now()
    found, following = review_queue.list_queue(
        wiring.review_queue_ports(),
        scope_of(principal),
        kind=None if asked.kind is None else Kind(asked.kind),
        due_before=now + _NEXT if asked.overdue else None,
        after=None if last is None else str(last["place"]),
        limit=asked.limit,
    )
    shown = [_view(each, principal, to_text(now)) for each in found]
    return ReviewList(items=shown, next_cursor=None if following is None else request.cursor({"place": following}))
