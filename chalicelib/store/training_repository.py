"""Courses with their question banks, exams, training records and certificates: no personal data, plain JSON.

- ``T#<lender>`` | ``COURSE#<id>``: a course; ``T#<lender>#COURSE#crs_<id>`` | ``V#<nnnnn>``: a version with its question bank
- ``T#<lender>#TRAINING#<id>`` | ``SESSION``, ``ATT#<trainee>``: a session, which the due index wakes, and who attends it
- ``T#<lender>#EXAM#<id>`` | ``EXAM``: an exam; the due index wakes it when its time is over
- ``T#<lender>#TRAINEE#<id>`` | ``TRAINEE``: a collector's training record
- the same | ``CERT#<country>``: a certificate; the due index wakes it before it lapses
"""

import json
from collections.abc import Sequence
from typing import TypeVar

from pydantic import BaseModel

from chalicelib.domain import keys
from chalicelib.domain.training.certificate import Certificate, trainee_id
from chalicelib.domain.training.course import Course, CourseVersion
from chalicelib.domain.training.exam import Exam, Trainee
from chalicelib.domain.training.session import Attendance, Session
from chalicelib.store.repository import ForeignItem, Scope
from chalicelib.store.tables import Record

_BATCH_GET = 100


class TrainingRepository:
    """Implements ``Certificates``, ``Courses``, ``Exams`` and ``Sessions`` of the use cases."""

    def session(self, scope: Scope, session: str) -> Session | None:
        """Return a session by a strongly consistent read, or None."""
        return _get(keys.training_pk(scope.tenant, session), "SESSION", Session, scope)

    def session_record(self, session: Session) -> Record:
        """Return the record of the session at its version, in the due index while the clock has something to do."""
        pk = keys.training_pk(session.tenant, session.id)
        record = _record(pk, "SESSION", session, session.version, state=session.state.value)
        if session.due_at is not None:
            record.due_shard, record.due_at = keys.due_shard(session.id), session.due_at
        return record

    def attendance(self, scope: Scope, session: str, trainee: str) -> Attendance | None:
        """Return a collector's attendance of a session by a strongly consistent read, or None."""
        return _get(keys.training_pk(scope.tenant, session), keys.attendance_sk(trainee), Attendance, scope)

    def attendances(self, scope: Scope, session: str) -> list[Attendance]:
        """Return every attendance of a session, by when they joined."""
        prefix = Record.sk.startswith(keys.attendance_sk(""))
        items = Record.query(keys.training_pk(scope.tenant, session), prefix, consistent_read=True)
        found = [_opened(item, Attendance, scope) for item in items]
        return sorted(found, key=lambda each: (each.joined_at, each.collector))

    def attendance_record(self, attendance: Attendance) -> Record:
        """Return the record of the attendance at its version."""
        pk = keys.training_pk(attendance.tenant, attendance.session)
        sk = keys.attendance_sk(trainee_id(attendance.org, attendance.collector))
        return _record(pk, sk, attendance, attendance.version)

    def course(self, scope: Scope, course: str) -> Course | None:
        """Return a course by a strongly consistent read, or None."""
        return _get(keys.tenant_pk(scope.tenant), keys.course_sk(course), Course, scope)

    def courses(self, scope: Scope) -> list[Course]:
        """Return every course of the lender, by id."""
        prefix = Record.sk.startswith(keys.course_sk(""))
        found = Record.query(keys.tenant_pk(scope.tenant), prefix, consistent_read=True)
        return [_opened(item, Course, scope) for item in found]

    def course_version(self, scope: Scope, course: str, number: int) -> CourseVersion | None:
        """Return a version with its content, or None."""
        pk, sk = keys.course_pk(scope.tenant, course), keys.course_version_sk(number)
        return _get(pk, sk, CourseVersion, scope)

    def course_record(self, scope: Scope, course: Course) -> Record:
        """Return the record of a course at its version."""
        return _record(keys.tenant_pk(scope.tenant), keys.course_sk(course.id), course, course.version)

    def course_version_record(self, scope: Scope, version: CourseVersion) -> Record:
        """Return the record of a version of a course."""
        pk, sk = keys.course_pk(scope.tenant, version.course), keys.course_version_sk(version.number)
        return _record(pk, sk, version, version.version, state=version.state.value)

    def exam(self, scope: Scope, exam: str) -> Exam | None:
        """Return an exam by a strongly consistent read, or None."""
        return _get(keys.exam_pk(scope.tenant, exam), "EXAM", Exam, scope)

    def exam_record(self, exam: Exam) -> Record:
        """Return the record of the exam at its version, in the due index while it runs."""
        record = _record(keys.exam_pk(exam.tenant, exam.id), "EXAM", exam, exam.version, state=exam.state.value)
        if exam.due_at is not None:
            record.due_shard, record.due_at = keys.due_shard(exam.id), exam.due_at
        return record

    def trainee(self, scope: Scope, org: str, collector: str) -> Trainee:
        """Return a collector's training record by a strongly consistent read, an empty one of version 0 where there is none."""
        found = _get(keys.trainee_pk(scope.tenant, trainee_id(org, collector)), keys.TRAINEE_SK, Trainee, scope)
        return found or Trainee(tenant=scope.tenant, org=org, collector=collector)

    def trainee_record(self, trainee: Trainee) -> Record:
        """Return the training record at its version."""
        pk = keys.trainee_pk(trainee.tenant, trainee_id(trainee.org, trainee.collector))
        return _record(pk, keys.TRAINEE_SK, trainee, trainee.version)

    def certificate(self, scope: Scope, trainee: str, country: str) -> Certificate | None:
        """Return a collector's certificate for a country by a strongly consistent read, or None."""
        pk, sk = keys.trainee_pk(scope.tenant, trainee), keys.certificate_sk(country)
        return _get(pk, sk, Certificate, scope)

    def certificates(self, scope: Scope, trainee: str) -> list[Certificate]:
        """Return every certificate of a collector, by country."""
        pk, prefix = keys.trainee_pk(scope.tenant, trainee), Record.sk.startswith(keys.certificate_sk(""))
        return [_opened(item, Certificate, scope) for item in Record.query(pk, prefix, consistent_read=True)]

    def certificates_of(self, scope: Scope, wanted: Sequence[tuple[str, str]]) -> list[Certificate]:
        """Return those certificates (trainee, country) that there are."""
        places = [(keys.trainee_pk(scope.tenant, trainee), keys.certificate_sk(country)) for trainee, country in wanted]
        found: list[Certificate] = []
        for start in range(0, len(places), _BATCH_GET):
            items = Record.batch_get(places[start : start + _BATCH_GET], consistent_read=True)
            found += [_opened(item, Certificate, scope) for item in items]
        return found

    def certificate_record(self, certificate: Certificate) -> Record:
        """Return the record of the certificate at its version, in the due index while it is valid."""
        pk, sk = keys.trainee_pk(certificate.tenant, certificate.trainee), keys.certificate_sk(certificate.country)
        record = _record(pk, sk, certificate, certificate.version, state=certificate.state.value)
        if certificate.wakes_at is not None:
            record.due_shard, record.due_at = keys.due_shard(certificate.trainee), certificate.wakes_at
        return record


_Model = TypeVar("_Model", bound=BaseModel)


def _record(pk: str, sk: str, model: BaseModel, version: int, *, state: str | None = None) -> Record:
    return Record(pk, sk, v=version, s=state, d=model.model_dump_json(exclude_defaults=True, exclude={"version"}))


def _get(pk: str, sk: str, model: type[_Model], scope: Scope) -> _Model | None:
    try:
        return _opened(Record.get(pk, sk, consistent_read=True), model, scope)
    except Record.DoesNotExist:
        return None


def _opened(item: Record, model: type[_Model], scope: Scope) -> _Model:
    if keys.tenant_of(item.pk) != scope.tenant:
        raise ForeignItem(f"an item of another lender answered a read of {scope.tenant}")
    return model.model_validate({**json.loads(item.d), "version": item.v})
