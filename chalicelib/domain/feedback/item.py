"""One item of feedback: who says what about whom, who answers it, how it ends; a total table over state and event.

The words stand in sealed events only; an item holds ids, codes and instants. Its clock is a duty (``PLAN-FEEDBACK-48H``),
one for each round: who is not content with an answer opens the item again, and the clock starts anew.
"""

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from chalicelib.domain.state_table import Move, Refuse, Reply, StateTable, Stay

DUTY_RULE = "PLAN-FEEDBACK-48H"
DUTY_KIND = "feedback_answer"
"""The entry of the catalogue of duties that is the clock."""

LOW_SCORE = 2
"""A score up to this (closed) on the scale of 1 to 5 is answered like a complaint; a better one is only counted."""


class Kind(StrEnum):
    """What kind of feedback it is."""

    COMPLAINT = "complaint"
    SUGGESTION = "suggestion"
    QUALITY_CHECK = "quality_check"
    SURVEY = "survey"


class Source(StrEnum):
    """Whose words they are; who enters them may be somebody else."""

    CUSTOMER = "customer"
    AGENCY = "agency"
    COLLECTOR = "collector"
    LENDER = "lender"


class Severity(StrEnum):
    """How grave it is."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


SEVERITY: dict[Kind, Severity] = {
    Kind.COMPLAINT: Severity.HIGH,
    Kind.QUALITY_CHECK: Severity.MEDIUM,
    Kind.SURVEY: Severity.MEDIUM,
    Kind.SUGGESTION: Severity.LOW,
}
"""How grave a kind is taken to be when nobody says so."""


class Status(StrEnum):
    """Where an item stands. ``open`` and ``assigned`` wait for an answer."""

    OPEN = "open"
    ASSIGNED = "assigned"
    ANSWERED = "answered"
    CLOSED = "closed"


WAITING = frozenset({Status.OPEN, Status.ASSIGNED})
"""The states in which somebody still waits for the first answer of the round."""


class FeedbackEvent(StrEnum):
    """What can happen to an item. ``dismiss`` closes what needs no answer: a duplicate, something withdrawn."""

    ASSIGN = "assign"
    ANSWER = "answer"
    CLOSE = "close"
    DISMISS = "dismiss"
    REOPEN = "reopen"
    ESCALATE = "escalate"


_S, _E = Status, FeedbackEvent
_REPLIES: dict[tuple[Status, FeedbackEvent], Reply[Status]] = {
    (_S.OPEN, _E.ASSIGN): Move(_S.ASSIGNED),
    (_S.OPEN, _E.ANSWER): Move(_S.ANSWERED),
    (_S.OPEN, _E.CLOSE): Refuse("nobody has answered it"),
    (_S.OPEN, _E.DISMISS): Move(_S.CLOSED),
    (_S.OPEN, _E.REOPEN): Refuse("it is open"),
    (_S.OPEN, _E.ESCALATE): Move(_S.OPEN),
    (_S.ASSIGNED, _E.ASSIGN): Move(_S.ASSIGNED),
    (_S.ASSIGNED, _E.ANSWER): Move(_S.ANSWERED),
    (_S.ASSIGNED, _E.CLOSE): Refuse("nobody has answered it"),
    (_S.ASSIGNED, _E.DISMISS): Move(_S.CLOSED),
    (_S.ASSIGNED, _E.REOPEN): Refuse("it is open"),
    (_S.ASSIGNED, _E.ESCALATE): Move(_S.ASSIGNED),
    # Whoever takes over an answered item sees it to its end; a second answer adds to the first.
    (_S.ANSWERED, _E.ASSIGN): Move(_S.ANSWERED),
    (_S.ANSWERED, _E.ANSWER): Move(_S.ANSWERED),
    (_S.ANSWERED, _E.CLOSE): Move(_S.CLOSED),
    (_S.ANSWERED, _E.DISMISS): Refuse("it was answered: close it with what came of it"),
    (_S.ANSWERED, _E.REOPEN): Move(_S.OPEN),
    (_S.ANSWERED, _E.ESCALATE): Stay("it was answered"),
    (_S.CLOSED, _E.ASSIGN): Refuse("it is closed"),
    (_S.CLOSED, _E.ANSWER): Refuse("it is closed"),
    (_S.CLOSED, _E.CLOSE): Stay("it was closed before"),
    (_S.CLOSED, _E.DISMISS): Stay("it was closed before"),
    (_S.CLOSED, _E.REOPEN): Move(_S.OPEN),
    (_S.CLOSED, _E.ESCALATE): Stay("it is closed"),
}


TABLE = StateTable(Status, FeedbackEvent, _REPLIES)
answer = TABLE.answer


OUTCOMES: dict[str, FeedbackEvent] = {
    "upheld": FeedbackEvent.CLOSE,
    "partly_upheld": FeedbackEvent.CLOSE,
    "not_upheld": FeedbackEvent.CLOSE,
    "resolved": FeedbackEvent.CLOSE,
    "adopted": FeedbackEvent.CLOSE,
    "declined": FeedbackEvent.CLOSE,
    "duplicate": FeedbackEvent.DISMISS,
    "withdrawn": FeedbackEvent.DISMISS,
    "not_feedback": FeedbackEvent.DISMISS,
}
"""What may come of an item, and whether that needs an answer first."""

RECORDED = "recorded"
"""The outcome of a survey answer that is only counted; nobody closes an item with it."""

ROOT_CAUSES = frozenset(
    {
        "amount",
        "conduct",
        "contact_frequency",
        "data_quality",
        "disclosure",
        "none_found",
        "payment_handling",
        "process",
        "product",
        "system",
        "training",
        "wrong_person",
    }
)
"""Why it came to the feedback, as found."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Step(_Value):
    """What was done: ``words`` is the number of the event of the item's stream that the words are sealed in, if any were."""

    did: str
    at: str
    by: str
    words: int | None = None


class FeedbackItem(_Value):
    """One item. ``stream`` is the case or person whose stream its events stand in, and ``person`` whose key seals the words.

    ``subject`` is what its first clock is about: the complaint or hold that opened it, or the item itself. ``due_at`` is the end
    of the clock of the present round (open), None where nobody need answer; ``due_before`` those of earlier rounds.
    ``agency`` and ``collector`` are whom it is about. Instants are RFC 3339 texts.
    """

    id: str
    tenant: str
    kind: Kind
    source: Source
    severity: Severity
    person: str
    case: str | None = None
    agency: str | None = None
    collector: str | None = None
    channel: str | None = None
    score: int | None = Field(default=None, ge=1, le=5)
    subject: str
    received_at: str
    due_at: str | None
    due_before: tuple[str, ...] = ()
    status: Status = Status.OPEN
    round: int = 1
    owner: str | None = None
    answered_at: str | None = None
    escalated_at: str | None = None
    outcome: str | None = None
    root_cause: str | None = None
    steps: tuple[Step, ...] = ()
    version: int = 1

    @property
    def stream(self) -> str:
        """Return the id of the aggregate in whose stream the item's events stand."""
        return self.case or self.person

    @property
    def clock_subject(self) -> str:
        """Return what the duty of the present round is about."""
        return self.subject if self.round == 1 else f"{self.subject}-r{self.round}"

    @property
    def is_waiting(self) -> bool:
        """Tell whether somebody waits for an answer."""
        return self.status in WAITING

    @property
    def listed_at(self) -> str:
        """Return the instant by which lists are ordered: the end of the clock, or the receipt where there is no clock."""
        return self.due_at or self.received_at

    def is_overdue(self, now: str) -> bool:
        """Tell whether the answer is due at ``now`` (RFC 3339, milliseconds) and has not been given."""
        return self.is_waiting and self.due_at is not None and self.due_at <= now


def feedback_id(tenant: str, subject: str, *, person: str) -> str:
    """Return the id of the item that a complaint or hold opens: the same occasion always names the same item."""
    told = "|".join((tenant, person, subject))
    return f"fb_{hashlib.sha256(told.encode()).hexdigest()[:32]}"


_ROUND = re.compile(r"-r[0-9]+$")


def item_of_clock(tenant: str, clock_subject: str, *, person: str) -> str:
    """Return the id of the item whose clock is about ``clock_subject``, in whatever round.

    >>> item_of_clock("lender", "fb_1-r2", person="per_1")
    'fb_1'
    """
    subject = _ROUND.sub("", clock_subject)
    return subject if subject.startswith("fb_") else feedback_id(tenant, subject, person=person)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a list: where it stands in it, and which item."""

    place: str
    feedback: str


_LONG_NUMBER = re.compile(r"\+?[0-9Xx](?:[ -]?[0-9Xx]){6,}")
_MAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+")


def masked_words(text: str) -> str:
    """Return the text with long numbers (telephone, identity, account) but for their last four, and e-mail addresses, hidden.

    >>> masked_words("call 13812345678 or a@b.example")
    'call *******5678 or ***'
    """
    return _MAIL.sub("***", _LONG_NUMBER.sub(lambda found: f"{'*' * (len(found[0]) - 4)}{found[0][-4:]}", text))
