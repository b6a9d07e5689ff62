"""Exams: drawn by a recorded seed from the bank in force, answered in time by the server's clock, marked once.

A collector's training record is written by every start and every marking, so no two exams of a course run at once, however
many ask; and the exam's own version makes its marking happen once. Who has passed all that the lender requires of a country is
certified in the transaction of the last mark.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from chalicelib.domain import keys
from chalicelib.domain.concurrency import retrying
from chalicelib.domain.errors import InvalidInput, NotFound, NotPermitted, StateConflict
from chalicelib.domain.events import Actor, EventType
from chalicelib.domain.instants import from_text, local_date, to_text
from chalicelib.domain.state_table import Move, Refuse
from chalicelib.domain.training.certificate import Certificate, CertificateState, Source, trainee_id
from chalicelib.domain.training.course import CourseContent
from chalicelib.domain.training.draw import draw
from chalicelib.domain.training.exam import (
    VOIDS,
    Exam,
    ExamEvent,
    ExamState,
    MayNotSit,
    Sitting,
    Trainee,
    answer,
    answers_digest,
    mark,
    may_sit,
)
from chalicelib.usecases.cases import CLOCK, Caller, Context, lender_of
from chalicelib.usecases.certificates import CertificatePorts, Certificates, add_issue, collector_of
from chalicelib.usecases.courses import CoursePorts, Courses, get_course, get_version
from chalicelib.usecases.ports import Scope, Store


class Exams(Protocol):
    """Exams and training records. See ``chalicelib.store.training_repository``."""

    def exam(self, scope: Scope, exam: str) -> Exam | None:
        """Return an exam by a strongly consistent read."""
        ...

    def exam_record(self, exam: Exam) -> Any:
        """Return the record of the exam at its version."""

    def trainee(self, scope: Scope, org: str, collector: str) -> Trainee:
        """Return a collector's training record, an empty one of version 0 where there is none."""
        ...

    def trainee_record(self, trainee: Trainee) -> Any:
        """Return the training record at its version."""


@dataclass(frozen=True, slots=True)
class ExamPorts:
    """What exams need."""

    store: Store
    exams: Exams
    courses: Courses
    certificates: Certificates

    @property
    def of_courses(self) -> CoursePorts:
        """Return what courses need."""
        return CoursePorts(self.store, self.courses)

    @property
    def of_certificates(self) -> CertificatePorts:
        """Return what certificates need."""
        return CertificatePorts(self.store, self.certificates)


def start_exam(
    ports: ExamPorts, scope: Scope, course_id: str, caller: Caller, context: Context, *, exam: str, seed: str
) -> Exam:
    """Draw an exam for the collector who asks; its time begins now. The same id again gives the exam that there is.

    Raises NotFound for a course without a version in force, StateConflict when they may not sit it now.
    """
    if caller.org is None or caller.collector is None:
        raise NotPermitted("exams are taken by collectors", code="own_only")
    org, who = caller.org, caller.collector

    def once() -> Exam:
        known = ports.exams.exam(scope, exam)
        if known is not None:
            return own_exam(known, caller)
        collector_of(ports.store, scope, org, who)
        course = get_course(ports.of_courses, scope, course_id)
        if course.in_force is None:
            raise NotFound("course", course_id)
        version = get_version(ports.of_courses, scope, course_id, course.in_force)
        rules = version.content.exam
        trainee = ports.exams.trainee(scope, org, who)
        verdict = may_sit(trainee, course_id, rules, now=context.now)
        if isinstance(verdict, MayNotSit):
            raise StateConflict("exam_not_open", _why(verdict))
        made = Exam(
            id=exam,
            tenant=scope.tenant,
            org=org,
            collector=who,
            course=course_id,
            number=version.number,
            bank=version.sha256,
            seed=seed,
            questions=draw(version.content.questions, bank=version.sha256, seed=seed, count=rules.asked),
            attempt=verdict.attempt,
            started_at=to_text(context.now),
            ends_at=to_text(context.now + timedelta(minutes=rules.minutes)),
        )
        unit = ports.store.unit(scope, actor=caller.actor, req=context.req, now=context.now)
        unit.create(ports.exams.exam_record(made))
        after = trainee.with_sitting(_sitting(made))
        unit.replace(ports.exams.trainee_record(after), expected=trainee.version)
        drawn = {"sha256": made.bank, "seed": seed, "asked": len(made.questions), "ends_at": made.ends_at}
        unit.emit(_stream(scope, made), EventType.EXAM_STARTED, {**_data(made), **drawn})
        unit.commit()
        return made

    return retrying(once)


def _why(verdict: MayNotSit) -> str:
    return verdict.reason if verdict.until is None else f"{verdict.reason}, until {verdict.until}"


def save_answers(
    ports: ExamPorts, scope: Scope, exam: str, answers: Mapping[str, Sequence[str]], caller: Caller, context: Context
) -> Exam:
    """Keep answers to questions of the exam; a later answer to a question takes the place of an earlier one.

    Raises NotFound, InvalidInput for what was not asked, StateConflict for an exam that is over: at its end and after it nothing
    counts.
    """

    def once() -> Exam:
        known = own_exam(get_exam(ports, scope, exam), caller)
        reply = answer(known.state, ExamEvent.ANSWER)
        if isinstance(reply, Refuse) or not known.is_open(context.now):
            raise StateConflict("exam_over", "the exam is over: nothing that comes now counts")
        content = _content(ports, scope, known)
        for question, chosen in answers.items():
            if question not in known.questions:
                raise InvalidInput("/answers", "not_asked", "the exam does not ask that question")
            if not set(chosen) <= {each.id for each in content.question(question).options}:
                raise InvalidInput("/answers", "no_such_option", "the question has no such option")
        kept = {**known.answers, **{each: tuple(sorted(set(chosen))) for each, chosen in answers.items()}}
        if kept == known.answers:
            return known
        after = known.model_copy(update={"answers": kept, "version": known.version + 1})
        unit = ports.store.unit(scope, actor=caller.actor, req=context.req, now=context.now)
        unit.replace(ports.exams.exam_record(after), expected=known.version)
        unit.commit()
        return after

    return retrying(once)


def submit_exam(ports: ExamPorts, scope: Scope, exam: str, caller: Caller, context: Context) -> Exam:
    """End the exam and mark it; one that was marked is returned as it is. Raises NotFound."""
    return retrying(
        lambda: _mark(
            ports,
            scope,
            own_exam(get_exam(ports, scope, exam), caller),
            actor=caller.actor,
            req=context.req,
            now=context.now,
        )
    )


def finish_due(ports: ExamPorts, scope: Scope, exam: str, *, now: datetime) -> str | None:
    """Mark an exam whose time is over by the answers that were kept; None when there is nothing to do."""

    def once() -> str | None:
        known = ports.exams.exam(scope, exam)
        if known is None or known.due_at is None or from_text(known.due_at) > now:
            return None
        marked = _mark(ports, scope, known, actor=CLOCK, req=f"req_{exam}", now=now)
        return f"exam_{marked.state.value}"

    return retrying(once)


def void_exam(ports: ExamPorts, scope: Scope, exam: str, caller: Caller, context: Context, *, reason: str) -> Exam:
    """Take back a running exam: it was no attempt. Raises NotFound, InvalidInput, StateConflict once it is marked."""
    if reason not in VOIDS:
        raise InvalidInput("/reason", "unknown_reason", "no such reason")

    def once() -> Exam:
        known = get_exam(ports, scope, exam)
        reply = answer(known.state, ExamEvent.VOID)
        if isinstance(reply, Refuse):
            raise StateConflict("exam_over", reply.reason)
        if not isinstance(reply, Move):
            return known
        after = known.model_copy(update={"state": reply.to, "voided": reason, "version": known.version + 1})
        unit = ports.store.unit(scope, actor=caller.actor, req=context.req, now=context.now)
        unit.replace(ports.exams.exam_record(after), expected=known.version)
        trainee = ports.exams.trainee(scope, known.org, known.collector)
        noted = trainee.with_sitting(_sitting(after, ended_at=to_text(context.now)))
        unit.replace(ports.exams.trainee_record(noted), expected=trainee.version)
        unit.emit(_stream(scope, after), EventType.EXAM_VOIDED, {**_data(after), "void_reason": reason})
        unit.commit()
        return after

    return retrying(once)


def _mark(ports: ExamPorts, scope: Scope, known: Exam, *, actor: Actor, req: str, now: datetime) -> Exam:
    content = _content(ports, scope, known)
    found = mark(content, known)
    reply = answer(known.state, found.event)
    if not isinstance(reply, Move):
        return known
    zone = lender_of(ports.store, scope).zone
    over = min(now, from_text(known.ends_at))
    changes = {"state": reply.to, "right": found.right, "marked_at": to_text(now), "version": known.version + 1}
    after = known.model_copy(update=changes)
    valid_to = None
    if reply.to is ExamState.PASSED:
        valid_to = local_date(over, zone) + timedelta(days=content.exam.valid_days)
    sitting = _sitting(after, ended_at=to_text(over)).model_copy(update={"valid_to": valid_to})
    trainee = ports.exams.trainee(scope, known.org, known.collector)
    noted = trainee.with_sitting(sitting)
    unit = ports.store.unit(scope, actor=actor, req=req, now=now)
    unit.replace(ports.exams.exam_record(after), expected=known.version)
    unit.replace(ports.exams.trainee_record(noted), expected=trainee.version)
    told = {"right": found.right, "asked": found.asked, "passed": reply.to is ExamState.PASSED}
    digest = {"answers_sha256": answers_digest(known.answers)}
    unit.emit(_stream(scope, after), EventType.EXAM_MARKED, {**_data(after), **told, **digest})
    if reply.to is ExamState.PASSED:
        _certify(ports, unit, scope, after, noted, zone=zone, now=now)
    unit.commit()
    return after


def _certify(
    ports: ExamPorts, unit: Any, scope: Scope, exam: Exam, trainee: Trainee, *, zone: str, now: datetime
) -> None:
    """Add a certificate to the unit when the collector has passed all that their country requires.

    One that counts longer already stays as it is; after a revocation only what was passed since then counts.
    """
    courses = ports.courses.courses(scope)
    country = next(each.country for each in courses if each.id == exam.course)
    required = [each.id for each in courses if each.country == country and each.required and each.in_force is not None]
    known = ports.certificates.certificate(scope, trainee_id(exam.org, exam.collector), country)
    after = known.revoked_at if known is not None and known.state is CertificateState.REVOKED else None
    passes = [each for course in required if (each := trainee.passed(course, after=after)) is not None]
    collector = ports.store.collector(scope, exam.org, exam.collector)
    if not required or len(passes) < len(required) or collector is None or collector.left:
        return
    valid_to = min(each.valid_to for each in passes if each.valid_to is not None)
    counts_longer = known is not None and known.state is CertificateState.VALID and known.valid_to >= valid_to
    if counts_longer or valid_to < local_date(now, zone):
        return
    told = "|".join(f"{each.exam} {each.right}/{each.asked} {each.ended_at}" for each in passes)
    issued = Certificate(
        tenant=scope.tenant,
        org=exam.org,
        collector=exam.collector,
        country=country,
        source=Source.EXAMS,
        evidence=hashlib.sha256(told.encode()).hexdigest(),
        exams=tuple(each.exam for each in passes),
        issued_on=local_date(now, zone),
        valid_to=valid_to,
        zone=zone,
        version=1 if known is None else known.version + 1,
    )
    add_issue(ports.of_certificates, unit, scope, collector, known, issued)


def get_exam(ports: ExamPorts, scope: Scope, exam: str) -> Exam:
    """Return an exam. Raises NotFound."""
    found = ports.exams.exam(scope, exam)
    if found is None:
        raise NotFound("exam", exam)
    return found


def own_exam(exam: Exam, caller: Caller) -> Exam:
    """Return the exam when it is the caller's to see: an agency's people, a collector's own. Raises NotFound."""
    if caller.org not in (None, exam.org) or caller.collector not in (None, exam.collector):
        raise NotFound("exam", exam.id)
    return exam


def content_of(ports: ExamPorts, scope: Scope, exam: Exam) -> CourseContent:
    """Return the content that the exam was drawn from; what of it is shown is the edge's business."""
    return _content(ports, scope, exam)


def _content(ports: ExamPorts, scope: Scope, exam: Exam) -> CourseContent:
    return get_version(ports.of_courses, scope, exam.course, exam.number).content


def _sitting(exam: Exam, *, ended_at: str | None = None) -> Sitting:
    return Sitting(
        exam=exam.id,
        course=exam.course,
        attempt=exam.attempt,
        started_at=exam.started_at,
        state=exam.state,
        ended_at=ended_at,
        right=exam.right,
        asked=len(exam.questions),
    )


def _stream(scope: Scope, exam: Exam) -> str:
    return keys.trainee_pk(scope.tenant, trainee_id(exam.org, exam.collector))


def _data(exam: Exam) -> dict[str, Any]:
    return {
        "exam": exam.id,
        "collector": exam.collector,
        "agency": None if exam.org == exam.tenant else exam.org,
        "course": exam.course,
        "number": exam.number,
        "exam_attempt": exam.attempt,
    }
