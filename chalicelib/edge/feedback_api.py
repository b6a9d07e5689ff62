"""Feedback over HTTP: enter it, list what waits, assign, answer, close, open again."""

from datetime import datetime, timedelta
from typing import Annotated, Literal

from chalice.app import Blueprint
from pydantic import BaseModel, ConfigDict, Field

from chalicelib import wiring
from chalicelib.domain.errors import NotFound, StateConflict
from chalicelib.domain.feedback.item import FeedbackItem, Kind, Severity, Source, masked_words
from chalicelib.domain.instants import to_text
from chalicelib.domain.principals import Principal, Role, scope_of
from chalicelib.edge.callers import scope_of_case, told_by
from chalicelib.edge.http import Answer, Page, Request, route
from chalicelib.usecases import feedback

bp = Blueprint(__name__)

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,80}$")]
Code = Annotated[str, Field(pattern=r"^[a-z][a-z_]{1,39}$")]
Words = Annotated[str, Field(min_length=2, max_length=4_000)]
Channel = Literal["call", "visit", "sms", "email", "wechat", "letter", "web", "message"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FeedbackEntry(_Model):
    """Feedback as somebody enters it. ``source`` is whose words they are; name the case, or the person where there is none.

    A ``survey`` has a ``score`` of 1 (very dissatisfied) to 5 (very satisfied) and words if there are any; the others have words.
    """

    kind: Literal["complaint", "suggestion", "quality_check", "survey"]
    source: Literal["customer", "agency", "collector", "lender"]
    text: Words | None = None
    score: Annotated[int, Field(ge=1, le=5)] | None = None
    case: Id | None = None
    person: Id | None = None
    agency: Id | None = None
    collector: Id | None = None
    severity: Literal["low", "medium", "high"] | None = None
    channel: Channel | None = None


class FeedbackFilter(Page):
    """Which items: by status, those that wait (open or assigned), or those that were escalated; ``overdue`` beyond their time."""

    status: Literal["waiting", "escalated", "open", "assigned", "answered", "closed"] = "waiting"
    overdue: bool = False


class FeedbackAssignment(_Model):
    """Who is to answer: the opaque id of one of the lender's people."""

    owner: Id


class FeedbackAnswer(_Model):
    """The answer as it was given to whoever gave the feedback."""

    text: Words


class FeedbackClosure(_Model):
    """What came of it, and why it came to it. ``duplicate``, ``withdrawn`` and ``not_feedback`` need no answer."""

    outcome: Code
    root_cause: Code
    text: Words


class FeedbackReopening(_Model):
    """Why it is opened again."""

    text: Words


class FeedbackStep(_Model):
    """What was done, by whom. ``text`` is shown when one item is read; long numbers are masked but for compliance officers."""

    did: str
    at: str
    by: str
    text: str | None = None


class FeedbackView(_Model):
    """An item of feedback. ``due_at`` is exclusive, and null where nobody need answer; a new round starts the clock anew."""

    id: str
    lender: str
    kind: Kind
    source: Source
    severity: Severity
    status: str
    person: str
    case: str | None
    agency: str | None
    collector: str | None
    channel: str | None
    score: int | None
    received_at: str
    due_at: str | None
    overdue: bool
    round: int
    owner: str | None
    answered_at: str | None
    escalated_at: str | None
    outcome: str | None
    root_cause: str | None
    steps: list[FeedbackStep]
    version: int


class FeedbackList(_Model):
    """A page of feedback by due instant."""

    items: list[FeedbackView]
    next_cursor: str | None


def _view(item: FeedbackItem, now: datetime, words: dict[int, str] | None = None) -> FeedbackView:
    texts = words or {}
    body = item.model_dump(exclude={"tenant", "subject", "due_before", "steps", "status"})
    steps = [FeedbackStep(did=step.did, at=step.at, by=step.by, text=texts.get(step.words or 0)) for step in item.steps]
    overdue = item.is_overdue(to_text(now))
    return FeedbackView(**body, status=item.status.value, lender=item.tenant, overdue=overdue, steps=steps)


_NEXT = timedelta(milliseconds=1)
"""Instants are kept to the millisecond, and what is due now is overdue."""


def _answer(item: FeedbackItem) -> Answer:
    view = _view(item, wiring.now())
    return Answer(view, version=item.version, location=f"/v1/feedback/{item.id}")


@route(
    bp,
    "POST",
    "/v1/feedback",
    scope="feedback:write",
    body=FeedbackEntry,
    response=FeedbackView,
    status=201,
    errors=[NotFound],
    summary="Enter feedback: a complaint, a suggestion, the finding of a quality check, a customer's score; its 48 hours begin",
)
def enter_feedback(principal: Principal, request: Request[FeedbackEntry, None]) -> Answer:
    """An agency names a case that it holds. A complaint also opens the duties of the place where the borrower lives."""
    body = request.body
    scope = scope_of_case(principal, body.case or "") if principal.is_agency_side else scope_of(principal)
    wish = feedback.Wish(
        kind=Kind(body.kind),
        source=Source(body.source),
        text=body.text,
        case=body.case,
        person=body.person,
        agency=body.agency,
        collector=body.collector,
        severity=None if body.severity is None else Severity(body.severity),
        channel=body.channel,
        score=body.score,
    )
    told = told_by(principal, request)
    item = feedback.receive(wiring.feedback_ports(), scope, wish, *told, feedback=request.derived_id("fb"))
    return _answer(item)


@route(
    bp,
    "GET",
    "/v1/feedback",
    scope="feedback:read",
    query=FeedbackFilter,
    response=FeedbackList,
    summary="List feedback by due instant: what waits, what was escalated, what is overdue",
)
def list_feedback(principal: Principal, request: Request[None, FeedbackFilter]) -> FeedbackList:
    """What waits unless another list is asked for; the words are read one by one."""
    asked, last, now = request.query, request.after(), wiring.now()
    found, following = feedback.list_feedback(
        wiring.feedback_ports(),
        scope_of(principal),
        name=asked.status,
        due_before=now + _NEXT if asked.overdue else None,
        after=None if last is None else str(last["place"]),
        limit=asked.limit,
    )
    shown = [_view(item, now) for item in found if not asked.overdue or item.is_overdue(to_text(now))]
    return FeedbackList(items=shown, next_cursor=None if following is None else request.cursor({"place": following}))


@route(
    bp,
    "GET",
    "/v1/feedback/{feedback_id}",
    scope="feedback:read",
    response=FeedbackView,
    summary="Read an item of feedback with its steps and its words",
)
def read_feedback(principal: Principal, request: Request[None, None]) -> Answer:
    """The words of a person who was erased are gone. Compliance officers read them as they are, others with masks."""
    ports, scope = wiring.feedback_ports(), scope_of(principal)
    item = feedback.get_feedback(ports, scope, request.path["feedback_id"])
    words = feedback.words_of(ports, scope, item)
    if principal.role is not Role.COMPLIANCE:
        words = {number: masked_words(text) for number, text in words.items()}
    return Answer(_view(item, wiring.now(), words), version=item.version)


@route(
    bp,
    "POST",
    "/v1/feedback/{feedback_id}/assignments",
    scope="feedback:handle",
    body=FeedbackAssignment,
    response=FeedbackView,
    status=201,
    errors=[NotFound, StateConflict],
    summary="Assign an item to whoever is to answer it, never to whom it complains about",
)
def assign_feedback(principal: Principal, request: Request[FeedbackAssignment, None]) -> Answer:
    """An item that was answered may change hands; a closed one may not."""
    item = feedback.assign(
        wiring.feedback_ports(),
        scope_of(principal),
        request.path["feedback_id"],
        *told_by(principal, request),
        owner=request.body.owner,
        expected=request.expected_version,
    )
    return _answer(item)


@route(
    bp,
    "POST",
    "/v1/feedback/{feedback_id}/answers",
    scope="feedback:handle",
    body=FeedbackAnswer,
    response=FeedbackView,
    status=201,
    errors=[NotFound, StateConflict],
    summary="Record the answer that was given: the first one ends the clock",
)
def answer_feedback(principal: Principal, request: Request[FeedbackAnswer, None]) -> Answer:
    """An answer that is sent as a message of the purpose ``complaint_answer`` answers the complaint by itself."""
    item = feedback.give_answer(
        wiring.feedback_ports(),
        scope_of(principal),
        request.path["feedback_id"],
        *told_by(principal, request),
        text=request.body.text,
        expected=request.expected_version,
    )
    return _answer(item)


@route(
    bp,
    "POST",
    "/v1/feedback/{feedback_id}/closures",
    scope="feedback:handle",
    body=FeedbackClosure,
    response=FeedbackView,
    status=201,
    errors=[NotFound, StateConflict],
    summary="Close an item with its outcome, its root cause and what was done",
)
def close_feedback(principal: Principal, request: Request[FeedbackClosure, None]) -> Answer:
    """What was not answered can only be closed as a duplicate, as withdrawn or as no feedback."""
    body = request.body
    item = feedback.close(
        wiring.feedback_ports(),
        scope_of(principal),
        request.path["feedback_id"],
        *told_by(principal, request),
        outcome=body.outcome,
        root_cause=body.root_cause,
        text=body.text,
        expected=request.expected_version,
    )
    return _answer(item)


@route(
    bp,
    "POST",
    "/v1/feedback/{feedback_id}/reopenings",
    scope="feedback:handle",
    body=FeedbackReopening,
    response=FeedbackView,
    status=201,
    errors=[NotFound, StateConflict],
    summary="Open an answered or closed item again: a new round with 48 hours of its own",
)
def reopen_feedback(principal: Principal, request: Request[FeedbackReopening, None]) -> Answer:
    """The next answer must be assigned anew."""
    item = feedback.reopen(
        wiring.feedback_ports(),
        scope_of(principal),
        request.path["feedback_id"],
        *told_by(principal, request),
        text=request.body.text,
        expected=request.expected_version,
    )
    return _answer(item)
