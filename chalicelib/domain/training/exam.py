"""An exam: started, answered, marked once; a total table over state and event, the marking, and when one may sit again."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

import rfc8785
from pydantic import BaseModel, ConfigDict

from chalicelib.domain.instants import from_text, to_text
from chalicelib.domain.state_table import Move, Refuse, Reply, StateTable, Stay
from chalicelib.domain.training.course import CourseContent, ExamRules
from chalicelib.domain.training.session import Credit

YEAR = timedelta(days=365)


class ExamState(StrEnum):
    """Where an exam stands. The last three are final."""

    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"
    VOIDED = "voided"


class ExamEvent(StrEnum):
    """What can happen to an exam; ``pass`` and ``fail`` are what its marking comes to."""

    ANSWER = "answer"
    PASS = "pass"
    FAIL = "fail"
    VOID = "void"


_S, _E = ExamState, ExamEvent
_REPLIES: dict[tuple[ExamState, ExamEvent], Reply[ExamState]] = {
    (_S.RUNNING, _E.ANSWER): Move(_S.RUNNING),
    (_S.RUNNING, _E.PASS): Move(_S.PASSED),
    (_S.RUNNING, _E.FAIL): Move(_S.FAILED),
    (_S.RUNNING, _E.VOID): Move(_S.VOIDED),
    # It is marked once: who asks again is told what it came to.
    (_S.PASSED, _E.ANSWER): Refuse("the exam is over"),
    (_S.PASSED, _E.PASS): Stay("it was marked before"),
    (_S.PASSED, _E.FAIL): Stay("it was marked before"),
    (_S.PASSED, _E.VOID): Refuse("it was marked: revoke the certificate instead"),
    (_S.FAILED, _E.ANSWER): Refuse("the exam is over"),
    (_S.FAILED, _E.PASS): Stay("it was marked before"),
    (_S.FAILED, _E.FAIL): Stay("it was marked before"),
    (_S.FAILED, _E.VOID): Refuse("it was marked"),
    (_S.VOIDED, _E.ANSWER): Refuse("the exam does not count"),
    (_S.VOIDED, _E.PASS): Stay("it does not count"),
    (_S.VOIDED, _E.FAIL): Stay("it does not count"),
    (_S.VOIDED, _E.VOID): Stay("it does not count already"),
}
TABLE = StateTable(ExamState, ExamEvent, _REPLIES)
answer = TABLE.answer

VOIDS = frozenset({"technical_fault", "identity_in_doubt", "entry_error"})
"""Why an exam may be taken back while it runs: it then never was an attempt."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Exam(_Value):
    """One exam of one collector. ``questions`` are those drawn, in order; ``bank`` is the digest of the version's content.

    Answers count that came before ``ends_at`` (open) by the server's clock. ``attempt`` counts from 1 since the last pass.
    ``due_at`` is when the clock marks it, None once it is over.
    """

    id: str
    tenant: str
    org: str
    collector: str
    course: str
    number: int
    bank: str
    seed: str
    questions: tuple[str, ...]
    attempt: int
    started_at: str
    ends_at: str
    state: ExamState = ExamState.RUNNING
    answers: dict[str, tuple[str, ...]] = {}
    right: int | None = None
    marked_at: str | None = None
    voided: str | None = None
    version: int = 1

    @property
    def due_at(self) -> str | None:
        """Return the instant at which the clock marks it, None when it is over."""
        return self.ends_at if self.state is ExamState.RUNNING else None

    def is_open(self, now: datetime) -> bool:
        """Tell whether an answer that comes now counts."""
        return self.state is ExamState.RUNNING and now < from_text(self.ends_at)


@dataclass(frozen=True, slots=True)
class Mark:
    """How many answers were right, and what that comes to."""

    right: int
    asked: int
    event: ExamEvent


def mark(content: CourseContent, exam: Exam) -> Mark:
    """Return the mark of the answers that were kept: an answer is right when exactly the right options are chosen."""
    right = sum(set(exam.answers.get(each, ())) == set(content.question(each).right) for each in exam.questions)
    asked = len(exam.questions)
    passed = right * 100 >= content.exam.pass_percent * asked
    return Mark(right, asked, ExamEvent.PASS if passed else ExamEvent.FAIL)


def answers_digest(answers: Mapping[str, Sequence[str]]) -> str:
    """Return the SHA-256 (hex) of what was answered, whatever the order in which options were named."""
    return hashlib.sha256(rfc8785.dumps({each: sorted(chosen) for each, chosen in answers.items()})).hexdigest()


class Sitting(_Value):
    """An exam as the training record keeps it. ``valid_to`` is the last day (closed) on which a pass counts."""

    exam: str
    course: str
    attempt: int
    started_at: str
    state: ExamState = ExamState.RUNNING
    ended_at: str | None = None
    right: int | None = None
    asked: int
    valid_to: date | None = None


class Trainee(_Value):
    """A collector's training record: every exam they sat, oldest first, and the minutes that count of sessions they attended.

    ``attending`` is the session that they attend now: one at a time.
    """

    tenant: str
    org: str
    collector: str
    sittings: tuple[Sitting, ...] = ()
    credits: tuple[Credit, ...] = ()
    attending: str | None = None
    version: int = 0

    def of(self, course: str) -> list[Sitting]:
        """Return the sittings of a course that count: voided ones were no attempts."""
        return [each for each in self.sittings if each.course == course and each.state is not ExamState.VOIDED]

    def with_sitting(self, sitting: Sitting) -> "Trainee":
        """Return the record with the sitting in its place, as the next version."""
        others = [each for each in self.sittings if each.exam != sitting.exam]
        kept = sorted((*others, sitting), key=lambda each: (each.started_at, each.exam))
        return self.model_copy(update={"sittings": tuple(kept), "version": self.version + 1})

    def passed(self, course: str, *, after: str | None = None) -> Sitting | None:
        """Return the pass of the course that counts longest, of those that ended after an instant; None without one."""
        found = [each for each in self.of(course) if each.state is ExamState.PASSED and each.valid_to is not None]
        counted = [each for each in found if after is None or (each.ended_at or "") > after]
        return max(counted, key=lambda each: each.valid_to or date.min, default=None)


@dataclass(frozen=True, slots=True)
class MaySit:
    """The collector may sit the exam, as attempt so and so (1: the first since the last pass)."""

    attempt: int


@dataclass(frozen=True, slots=True)
class MayNotSit:
    """The collector may not sit it now: why, and from when on (RFC 3339), where that is known."""

    code: str
    reason: str
    until: str | None = None


def may_sit(trainee: Trainee, course: str, rules: ExamRules, *, now: datetime) -> MaySit | MayNotSit:
    """Return whether the collector may sit the exam now: one at a time, so many attempts, and a wait after a failure."""
    sittings = trainee.of(course)
    if any(each.state is ExamState.RUNNING for each in sittings):
        return MayNotSit("exam_running", "an exam of the course is under way")
    since = max((place for place, each in enumerate(sittings, 1) if each.state is ExamState.PASSED), default=0)
    failed = sittings[since:]
    recent = [each for each in failed if from_text(each.started_at) > now - YEAR]
    if len(recent) >= rules.attempts:
        again = from_text(recent[-rules.attempts].started_at) + YEAR
        return MayNotSit("no_attempts_left", "all attempts of 365 days are used up", to_text(again))
    if failed:
        again = from_text(failed[-1].ended_at or failed[-1].started_at) + timedelta(hours=rules.wait_hours)
        if now < again:
            return MayNotSit("wait_after_failure", "the next attempt needs time to learn", to_text(again))
    return MaySit(len(failed) + 1)
