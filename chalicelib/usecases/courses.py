"""Courses and their question banks: one person drafts a version, a compliance officer decides, the newest approved counts."""

from dataclasses import dataclass
from typing import Any, Protocol

from chalicelib.domain import keys
from chalicelib.domain.concurrency import retrying
from chalicelib.domain.errors import InvalidInput, NotFound, NotPermitted, StateConflict
from chalicelib.domain.events import EventType
from chalicelib.domain.instants import to_text
from chalicelib.domain.training.course import (
    MOST_BYTES,
    Course,
    CourseContent,
    CourseVersion,
    Subject,
    VersionState,
    longest_valid_days,
)
from chalicelib.usecases.cases import Caller, Context
from chalicelib.usecases.ports import Scope, Store

MOST_COURSES = 200
"""Courses that one lender may have: all of them are read where a certificate is issued."""


class Courses(Protocol):
    """Courses and their versions. See ``chalicelib.store.training_repository``."""

    def course(self, scope: Scope, course: str) -> Course | None:
        """Return a course by a strongly consistent read."""
        ...

    def courses(self, scope: Scope) -> list[Course]:
        """Return every course of the lender, by id."""
        ...

    def course_version(self, scope: Scope, course: str, number: int) -> CourseVersion | None:
        """Return a version with its content."""
        ...

    def course_record(self, scope: Scope, course: Course) -> Any:
        """Return the record of a course at its version."""

    def course_version_record(self, scope: Scope, version: CourseVersion) -> Any:
        """Return the record of a version."""


@dataclass(frozen=True, slots=True)
class CoursePorts:
    """What courses need."""

    store: Store
    courses: Courses


@dataclass(frozen=True, slots=True)
class Draft:
    """What somebody proposes: a new course, or the next version of one."""

    course: str
    subject: Subject
    country: str
    content: CourseContent


def draft_course(ports: CoursePorts, scope: Scope, wanted: Draft, caller: Caller, context: Context) -> CourseVersion:
    """Write down a version that nobody is examined on yet.

    Raises InvalidInput for content that no exam can be made of, StateConflict for another subject or country than the
    course has, or one course too many.
    """
    _check(wanted)

    def once() -> CourseVersion:
        known = ports.courses.course(scope, wanted.course)
        if known is None and len(ports.courses.courses(scope)) >= MOST_COURSES:
            raise StateConflict("too_many_courses", f"a lender has at most {MOST_COURSES} courses")
        course = known or Course(id=wanted.course, subject=wanted.subject, country=wanted.country)
        if (course.subject, course.country) != (wanted.subject, wanted.country):
            raise StateConflict("other_course", "a course keeps its subject and country; a new id is needed")
        number = course.drafted + 1
        version = CourseVersion(
            course=course.id,
            number=number,
            content=wanted.content,
            sha256=wanted.content.sha256,
            author=caller.actor.id,
            drafted_at=to_text(context.now),
        )
        after = course.model_copy(update={"drafted": number, "version": course.version + 1})
        unit = ports.store.unit(scope, actor=caller.actor, req=context.req, now=context.now)
        unit.replace(ports.courses.course_record(scope, after), expected=course.version)
        unit.create(ports.courses.course_version_record(scope, version))
        told = {"subject": course.subject.value, "country": course.country, "questions": len(version.content.questions)}
        unit.emit(keys.course_pk(scope.tenant, course.id), EventType.COURSE_DRAFTED, {**_data(version), **told})
        unit.commit()
        return version

    return retrying(once)


def _check(wanted: Draft) -> None:
    content = wanted.content
    if len({each.id for each in content.questions}) < len(content.questions):
        raise InvalidInput("/content/questions", "repeated", "two questions have one id")
    for place, question in enumerate(content.questions):
        options = {each.id for each in question.options}
        where = f"/content/questions/{place}"
        if len(options) < len(question.options):
            raise InvalidInput(f"{where}/options", "repeated", "two options have one id")
        if not set(question.right) < options:
            raise InvalidInput(f"{where}/right", "no_such_answer", "some of the options are right, and not all of them")
    if content.exam.asked > len(content.questions):
        raise InvalidInput("/content/exam/asked", "out_of_range", "the bank has fewer questions")
    if content.exam.valid_days > longest_valid_days(wanted.country):
        raise InvalidInput("/content/exam/valid_days", "too_long", "the country's rules let no test count so long")
    if len(content.canonical()) > MOST_BYTES:
        raise InvalidInput("/content", "too_large", f"a version has at most {MOST_BYTES} bytes")


def decide_course(
    ports: CoursePorts,
    scope: Scope,
    course_id: str,
    number: int,
    caller: Caller,
    context: Context,
    *,
    approve: bool,
    reason: str,
) -> CourseVersion:
    """Approve or reject a draft, as somebody else than its author; approved, exams are drawn from it from now on.

    Raises NotFound, NotPermitted for the author, StateConflict for what is no draft.
    """

    def once() -> CourseVersion:
        course, version = get_course(ports, scope, course_id), get_version(ports, scope, course_id, number)
        if version.author == caller.actor.id:
            raise NotPermitted("whoever wrote a version does not decide on it", code="own_draft")
        if version.state is not VersionState.DRAFT:
            raise StateConflict("already_decided", f"the version is {version.state}")
        state = VersionState.APPROVED if approve else VersionState.REJECTED
        decided = {"state": state, "decided_by": caller.actor.id, "decided_at": to_text(context.now), "reason": reason}
        after = version.model_copy(update={**decided, "version": version.version + 1})
        unit = ports.store.unit(scope, actor=caller.actor, req=context.req, now=context.now)
        unit.replace(ports.courses.course_version_record(scope, after), expected=version.version)
        if approve:
            content = version.content
            known = {"in_force": number, "title": content.title, "exam": content.exam, "required": content.required}
            counts = {**known, "materials": content.materials, "version": course.version + 1}
            unit.replace(ports.courses.course_record(scope, course.model_copy(update=counts)), expected=course.version)
        event = EventType.COURSE_APPROVED if approve else EventType.COURSE_REJECTED
        unit.emit(keys.course_pk(scope.tenant, course_id), event, _data(after))
        unit.commit()
        return after

    return retrying(once)


def get_course(ports: CoursePorts, scope: Scope, course: str) -> Course:
    """Return a course. Raises NotFound."""
    found = ports.courses.course(scope, course)
    if found is None:
        raise NotFound("course", course)
    return found


def get_version(ports: CoursePorts, scope: Scope, course: str, number: int) -> CourseVersion:
    """Return a version with its answers: for those who write and approve banks alone. Raises NotFound."""
    found = ports.courses.course_version(scope, course, number)
    if found is None:
        raise NotFound("course", f"{course}/{number}")
    return found


def _data(version: CourseVersion) -> dict[str, Any]:
    return {"course": version.course, "number": version.number, "sha256": version.sha256}
