"""Courses over HTTP: drafted by one person, decided on by another; their questions are read by nobody else."""

from typing import Annotated, Literal

from chalice.app import Blueprint
from pydantic import BaseModel, ConfigDict, Field

from chalicelib import wiring
from chalicelib.domain.errors import NotFound, NotPermitted, StateConflict
from chalicelib.domain.principals import Principal, scope_of
from chalicelib.domain.training.course import Course, CourseContent, CourseVersion, ExamRules, Material, Subject, Words
from chalicelib.edge.callers import scopes_for, told_by
from chalicelib.edge.http import Answer, Request, route
from chalicelib.usecases import courses

bp = Blueprint(__name__)

COURSE_PATTERN = {"course_id": r"[a-z0-9_-]{1,40}", "number": r"[1-9][0-9]{0,4}"}
CourseId = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,40}$")]
Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
MAX_BYTES = 400_000


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CourseDraft(_Model):
    """A new course, or the next version of one; its subject and country stay what they are."""

    course: CourseId
    subject: Subject
    country: Country
    content: CourseContent


class CourseDecision(_Model):
    """What somebody else than the author decides."""

    decision: Literal["approve", "reject"]
    reason: Annotated[str, Field(min_length=3, max_length=1_000)]


class CourseVersionView(_Model):
    """A version with its questions and the answers that are right."""

    course: str
    number: int
    content: CourseContent
    sha256: str
    state: str
    author: str
    drafted_at: str
    decided_by: str | None
    decided_at: str | None
    reason: str | None
    version: int


class CourseView(_Model):
    """A course as everybody may know it: no question stands in it. ``exam`` and ``materials`` are of the version in force."""

    lender: str
    id: str
    subject: str
    country: str
    title: Words
    required: bool
    in_force: int
    exam: ExamRules
    materials: list[Material]


class CourseList(_Model):
    """The courses in force of each lender that the caller belongs to or works for."""

    items: list[CourseView]


def _version(version: CourseVersion) -> CourseVersionView:
    return CourseVersionView(**{name: getattr(version, name) for name in CourseVersionView.model_fields})


def _course(lender: str, course: Course) -> CourseView:
    told = course.model_dump(exclude={"drafted", "version", "materials"})
    return CourseView(**told, lender=lender, materials=list(course.materials))


@route(
    bp,
    "POST",
    "/v1/courses",
    scope="courses:write",
    body=CourseDraft,
    response=CourseVersionView,
    status=201,
    errors=[StateConflict],
    max_bytes=MAX_BYTES,
    summary="Draft a course, or its next version, with its question bank and the rules of its exam",
)
def draft_course(principal: Principal, request: Request[CourseDraft, None]) -> Answer:
    """Nobody is examined on it before somebody else has approved it."""
    body = request.body
    wanted = courses.Draft(body.course, body.subject, body.country, body.content)
    found = courses.draft_course(
        wiring.exam_ports().of_courses, scope_of(principal), wanted, *told_by(principal, request)
    )
    return Answer(_version(found), version=found.version)


@route(
    bp,
    "GET",
    "/v1/courses",
    scope="training:read",
    response=CourseList,
    content_tag=True,
    summary="List the courses in force: subject, country, rules of the exam, materials; never a question",
)
def list_courses(principal: Principal, request: Request[None, None]) -> CourseList:
    """An agency and its collectors see those of each lender that lists them."""
    ports = wiring.exam_ports()
    found = [(scope.tenant, each) for scope in scopes_for(principal) for each in ports.courses.courses(scope)]
    return CourseList(items=[_course(lender, each) for lender, each in found if each.in_force is not None])


@route(
    bp,
    "GET",
    "/v1/courses/{course_id}/versions/{number}",
    scope="courses:read",
    response=CourseVersionView,
    errors=[NotFound],
    path_patterns=COURSE_PATTERN,
    summary="Read a version with its questions and right answers: for the lender and its compliance officers",
)
def read_course_version(principal: Principal, request: Request[None, None]) -> Answer:
    """No agency and no collector has this scope."""
    path = request.path
    ports = wiring.exam_ports().of_courses
    found = courses.get_version(ports, scope_of(principal), path["course_id"], int(path["number"]))
    return Answer(_version(found), version=found.version)


@route(
    bp,
    "POST",
    "/v1/courses/{course_id}/versions/{number}/decisions",
    scope="courses:approve",
    body=CourseDecision,
    response=CourseVersionView,
    status=201,
    errors=[NotFound, NotPermitted, StateConflict],
    path_patterns=COURSE_PATTERN,
    summary="Approve or reject a draft, as somebody else than its author",
)
def decide_course(principal: Principal, request: Request[CourseDecision, None]) -> Answer:
    """Exams that began before keep the version that they were drawn from."""
    path, body = request.path, request.body
    found = courses.decide_course(
        wiring.exam_ports().of_courses,
        scope_of(principal),
        path["course_id"],
        int(path["number"]),
        *told_by(principal, request),
        approve=body.decision == "approve",
        reason=body.reason,
    )
    return Answer(_version(found), version=found.version)
