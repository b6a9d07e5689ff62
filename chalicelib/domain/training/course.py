"""Courses: what is taught for a country, the question bank of a version, and the rules of its exam.

A version's content never changes. One person drafts it, another decides; the newest approved one is in force. Which answers
are right stands in the content and in nothing that a collector, or an agency, can read.
"""

import hashlib
from enum import StrEnum
from typing import Annotated

import rfc8785
from pydantic import BaseModel, ConfigDict, Field

from chalicelib.domain.training.certificate import LONGEST_DAYS, LONGEST_DAYS_ELSEWHERE

MOST_BYTES = 300_000
"""The most canonical bytes of a version's content: it is one item of the table."""


class Subject(StrEnum):
    """What a course is about."""

    COLLECTION_LAW = "collection_law"
    PSYCHOLOGY = "psychology_and_de_escalation"
    NEGOTIATION = "strategy_and_negotiation"
    DATA_PROTECTION = "data_protection"


class VersionState(StrEnum):
    """Where a version stands; of the approved ones the newest is in force."""

    DRAFT = "draft"
    APPROVED = "approved"
    REJECTED = "rejected"


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


Id = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,40}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Words(_Value):
    """A text in Chinese and English."""

    zh: Annotated[str, Field(min_length=1, max_length=600)]
    en: Annotated[str, Field(min_length=1, max_length=1_200)]


class Option(_Value):
    """An answer to choose."""

    id: Id
    text: Words


class Question(_Value):
    """A question: exactly the options in ``right`` are to be chosen."""

    id: Id
    text: Words
    options: Annotated[tuple[Option, ...], Field(min_length=2, max_length=8)]
    right: Annotated[tuple[Id, ...], Field(min_length=1, max_length=8)]


class Material(_Value):
    """What is read or watched: its title, and the SHA-256 (hex) of the file."""

    title: Words
    sha256: Sha256


class ExamRules(_Value):
    """How the exam goes. ``asked`` questions are drawn; at least ``pass_percent`` of them (closed) must be right.

    There are ``minutes`` for it. At most ``attempts`` are made within 365 days and since the last pass, the next one not before
    ``wait_hours`` after a failure. A pass counts for ``valid_days`` after its day (closed).
    """

    asked: Annotated[int, Field(strict=True, ge=1, le=100)]
    pass_percent: Annotated[int, Field(strict=True, ge=60, le=100)]
    minutes: Annotated[int, Field(strict=True, ge=5, le=240)]
    attempts: Annotated[int, Field(strict=True, ge=1, le=10)]
    wait_hours: Annotated[int, Field(strict=True, ge=0, le=720)]
    valid_days: Annotated[int, Field(strict=True, ge=1, le=LONGEST_DAYS_ELSEWHERE)]


class CourseContent(_Value):
    """A version's content. ``required`` says that nobody is certified for the country without it."""

    title: Words
    required: bool = True
    materials: Annotated[tuple[Material, ...], Field(max_length=50)] = ()
    exam: ExamRules
    questions: Annotated[tuple[Question, ...], Field(min_length=1, max_length=200)]

    def canonical(self) -> bytes:
        """Return the RFC 8785 bytes."""
        return rfc8785.dumps(self.model_dump(mode="json"))

    @property
    def sha256(self) -> str:
        """Return the SHA-256 (hex) of the canonical bytes."""
        return hashlib.sha256(self.canonical()).hexdigest()

    def question(self, identity: str) -> Question:
        """Return the question of that id. Raises LookupError."""
        for each in self.questions:
            if each.id == identity:
                return each
        raise LookupError(identity)


class CourseVersion(_Value):
    """A version of a course and its life."""

    course: str
    number: int
    content: CourseContent
    sha256: str
    state: VersionState = VersionState.DRAFT
    author: str
    drafted_at: str
    decided_by: str | None = None
    decided_at: str | None = None
    reason: str | None = None
    version: int = 1


class Course(_Value):
    """A course: subject and country never change. ``in_force`` is the number of the version that counts, if any.

    What of that version anybody may know stands here too: title, rules of the exam, whether it is required.
    """

    id: str
    subject: Subject
    country: str
    drafted: int = 0
    in_force: int | None = None
    title: Words | None = None
    exam: ExamRules | None = None
    required: bool = False
    materials: tuple[Material, ...] = ()
    version: int = 0


def longest_valid_days(country: str) -> int:
    """Return how many days a pass may count in a country (closed)."""
    return LONGEST_DAYS.get(country, LONGEST_DAYS_ELSEWHERE)
