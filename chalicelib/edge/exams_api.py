"""Exams over HTTP: a collector starts, answers and submits their own; what is right is told to nobody here."""

from typing import Annotated

from chalice.app import Blueprint
from pydantic import BaseModel, ConfigDict, Field

from chalicelib import wiring
from chalicelib.domain.errors import NotFound, StateConflict
from chalicelib.domain.ids import new_id
from chalicelib.domain.instants import epoch_ms
from chalicelib.domain.principals import Principal, Role, TenantScope, scope_of
from chalicelib.domain.training.course import Option, Words
from chalicelib.domain.training.draw import options_of
from chalicelib.domain.training.exam import Exam
from chalicelib.edge.callers import told_by
from chalicelib.edge.http import Answer, Request, route
from chalicelib.edge.organisations_api import ListingQuery, one_scope
from chalicelib.usecases import assignment, exams

bp = Blueprint(__name__)

Id = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,40}$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ExamStart(_Model):
    """The course to be examined on."""

    course: Id


class ExamAnswers(_Model):
    """Answers by question: the options that are chosen. A later answer to a question takes the place of an earlier one."""

    answers: Annotated[dict[Id, Annotated[tuple[Id, ...], Field(max_length=8)]], Field(min_length=1, max_length=100)]


class ExamVoid(_Model):
    """Why a running exam is taken back: ``technical_fault``, ``identity_in_doubt`` or ``entry_error``."""

    reason: Annotated[str, Field(pattern=r"^[a-z_]{2,40}$")]


class AskedQuestion(_Model):
    """A question as it is asked, its options in the order of this exam, and what was chosen so far."""

    id: str
    text: Words
    options: list[Option]
    chosen: list[str]


class ExamView(_Model):
    """An exam. Answers count before ``ends_at`` (open). ``right`` is how many were, once it is marked.

    ``questions`` are shown to the collector while the exam runs; ``seed`` and ``bank`` (the digest of the version that it was drawn
    from) to the lender's side, which can make the draw again.
    """

    id: str
    lender: str
    org: str
    collector: str
    course: str
    number: int
    attempt: int
    started_at: str
    ends_at: str
    state: str
    asked: int
    right: int | None
    marked_at: str | None
    questions: list[AskedQuestion] | None
    seed: str | None
    bank: str | None
    version: int


def _scope(principal: Principal, lender: str | None) -> TenantScope:
    return one_scope(principal, principal.org, lender) if principal.is_agency_side else scope_of(principal)


def _view(principal: Principal, scope: TenantScope, exam: Exam) -> ExamView:
    shown: list[AskedQuestion] | None = None
    if principal.role is Role.COLLECTOR and exam.is_open(wiring.now()):
        shown = []
        content = exams.content_of(wiring.exam_ports(), scope, exam)
        for question in map(content.question, exam.questions):
            options = list(options_of(question, bank=exam.bank, seed=exam.seed))
            chosen = list(exam.answers.get(question.id, ()))
            shown.append(AskedQuestion(id=question.id, text=question.text, options=options, chosen=chosen))
    keep = {"id", "org", "collector", "course", "number", "attempt", "started_at", "ends_at", "state", "right"}
    return ExamView(
        **exam.model_dump(include=keep | {"marked_at", "version"}),
        lender=exam.tenant,
        asked=len(exam.questions),
        questions=shown,
        seed=None if principal.is_agency_side else exam.seed,
        bank=None if principal.is_agency_side else exam.bank,
    )


@route(
    bp,
    "POST",
    "/v1/exams",
    scope="exams:take",
    body=ExamStart,
    query=ListingQuery,
    response=ExamView,
    status=201,
    errors=[NotFound, StateConflict],
    summary="Start an exam: questions are drawn by a recorded seed, and the time begins",
)
def start_exam(principal: Principal, request: Request[ExamStart, ListingQuery]) -> Answer:
    """One exam of a course at a time, with a wait after a failure and so many attempts a year as the course says."""
    scope = _scope(principal, request.query.lender)
    found = exams.start_exam(
        wiring.exam_ports(),
        scope,
        request.body.course,
        *told_by(principal, request),
        exam=request.derived_id("exm"),
        seed=new_id("seed", epoch_ms=epoch_ms(wiring.now())),
    )
    view = _view(principal, scope, found)
    return Answer(view, kept=view.model_copy(update={"questions": None}), version=found.version)


@route(
    bp,
    "GET",
    "/v1/exams/{exam_id}",
    scope="training:read",
    query=ListingQuery,
    response=ExamView,
    errors=[NotFound],
    summary="Read an exam: the collector their own with its questions while it runs, the others how it went",
)
def read_exam(principal: Principal, request: Request[None, ListingQuery]) -> Answer:
    """Which answers are right is in no view of an exam."""
    scope = _scope(principal, request.query.lender)
    known = exams.get_exam(wiring.exam_ports(), scope, request.path["exam_id"])
    found = exams.own_exam(known, told_by(principal, request)[0])
    return Answer(_view(principal, scope, found), version=found.version)


@route(
    bp,
    "PUT",
    "/v1/exams/{exam_id}/answers",
    scope="exams:take",
    body=ExamAnswers,
    query=ListingQuery,
    response=ExamView,
    errors=[NotFound, StateConflict],
    summary="Keep answers of a running exam; from its end on, by the server's clock, nothing counts",
)
def save_answers(principal: Principal, request: Request[ExamAnswers, ListingQuery]) -> Answer:
    """They can be changed until the exam is submitted or its time is over."""
    scope = _scope(principal, request.query.lender)
    ports, answers = wiring.exam_ports(), request.body.answers
    found = exams.save_answers(ports, scope, request.path["exam_id"], answers, *told_by(principal, request))
    return Answer(_view(principal, scope, found), version=found.version)


@route(
    bp,
    "POST",
    "/v1/exams/{exam_id}/submissions",
    scope="exams:take",
    query=ListingQuery,
    response=ExamView,
    status=201,
    errors=[NotFound],
    summary="End the exam: it is marked at once, and once; a pass may complete a certificate",
)
def submit_exam(principal: Principal, request: Request[None, ListingQuery]) -> Answer:
    """An exam that nobody submits is marked by the clock, by what was answered in time."""
    scope = _scope(principal, request.query.lender)
    found = exams.submit_exam(wiring.exam_ports(), scope, request.path["exam_id"], *told_by(principal, request))
    assignment.retry_unassigned(wiring.store(), wiring.feed_repository(), wiring.queues(), scope)
    return Answer(_view(principal, scope, found), version=found.version)


@route(
    bp,
    "POST",
    "/v1/exams/{exam_id}/voids",
    scope="courses:write",
    body=ExamVoid,
    response=ExamView,
    status=201,
    errors=[NotFound, StateConflict],
    summary="Take back a running exam after a fault: it was no attempt",
)
def void_exam(principal: Principal, request: Request[ExamVoid, None]) -> Answer:
    """What was marked is not taken back: a certificate can be revoked."""
    scope = scope_of(principal)
    ports, reason = wiring.exam_ports(), request.body.reason
    found = exams.void_exam(ports, scope, request.path["exam_id"], *told_by(principal, request), reason=reason)
    return Answer(_view(principal, scope, found), version=found.version)
