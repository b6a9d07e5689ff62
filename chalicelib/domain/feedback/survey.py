"""One survey: somebody was drawn, is asked by a message that passed the gate, and answers with a digit, or does not.

A total table over state and event, who may not be asked, and how an answer is read. Not answering is no score. An answer counts
when it is the first one and comes within the time to answer; every other one is kept, and counts nowhere.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from chalicelib.domain.cases.case import Case
from chalicelib.domain.cases.lifecycle import CaseState
from chalicelib.domain.feedback.item import LOW_SCORE
from chalicelib.domain.feedback.survey_rules import SURVEY, Trigger
from chalicelib.domain.instants import from_text, to_text
from chalicelib.domain.people.person import ConsentEntry, ContactEntry, HoldEntry, Person
from chalicelib.domain.state_table import Move, Reply, StateTable, Stay

DAYS_BETWEEN = 90
"""A person is asked at most once in so many dates; rule HOUSE-SURVEY of the gate counts them exactly."""

ANSWER_DAYS = 14
"""An answer counts up to so many days (open) after the survey was sent."""

UNKNOWN_DAYS = 3
"""So many days longer the clock waits for a message of which nobody knows whether it left."""

MOST_ANSWERS = 5
"""So many answers to one survey are kept as such; further messages are messages."""


class SurveyState(StrEnum):
    """Where a survey stands. The last three are final."""

    WAITING = "waiting"
    ASKED = "asked"
    SENT = "sent"
    ANSWERED = "answered"
    LAPSED = "lapsed"
    NOT_SENT = "not_sent"


class SurveyEvent(StrEnum):
    """What can happen to a survey. ``fail`` is what keeps the message from reaching the person, at whatever stage."""

    ASK = "ask"
    REFUSE = "refuse"
    SEND = "send"
    FAIL = "fail"
    ANSWER = "answer"
    LAPSE = "lapse"


class Reason(StrEnum):
    """Why a survey ended without an answer that counts. ``docs/feedback.md`` says what each means."""

    LOCKED = "locked"
    ERASED = "erased"
    CASE_STATE = "case_state"
    REPRESENTED = "represented"
    STOPPED = "stopped"
    HELD = "held"
    TOO_SOON = "too_soon"
    NO_TEXT = "no_text"
    NOT_REQUESTED = "not_requested"
    DENIED = "denied"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    UNDELIVERED = "undelivered"
    UNKNOWN = "unknown"
    NO_ANSWER = "no_answer"


_S, _E = SurveyState, SurveyEvent

_MOVES: dict[SurveyEvent, dict[SurveyState, SurveyState]] = {
    _E.ASK: {_S.WAITING: _S.ASKED},
    _E.REFUSE: {_S.WAITING: _S.NOT_SENT},
    # A carrier's word may overtake the note that the message was asked for.
    _E.SEND: dict.fromkeys((_S.WAITING, _S.ASKED), _S.SENT),
    _E.FAIL: dict.fromkeys((_S.WAITING, _S.ASKED, _S.SENT), _S.NOT_SENT),
    # Who answers was reached, whatever the carrier has said so far.
    _E.ANSWER: dict.fromkeys((_S.WAITING, _S.ASKED, _S.SENT), _S.ANSWERED),
    _E.LAPSE: {_S.SENT: _S.LAPSED, _S.ASKED: _S.NOT_SENT},
}


def _rule(state: SurveyState, event: SurveyEvent) -> Reply[SurveyState]:
    target = _MOVES[event].get(state)
    return Stay(f"{event} changes nothing when {state}") if target is None else Move(target)


TABLE = StateTable.ruled(SurveyState, SurveyEvent, _rule)
answer = TABLE.answer


class Survey(BaseModel):
    """One survey; ids, codes and instants (RFC 3339), nothing personal. The words of an answer are sealed in its event.

    ``agency`` is the one that held the case at the occasion; ``rules`` the number of the version that drew the person.
    ``heard`` are the inbound events that were read as answers; ``answers_until`` is the end of the time to answer (open).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    tenant: str
    person: str
    case: str
    agency: str | None
    trigger: Trigger
    occasion: str
    rules: int
    drawn_at: str
    ask_at: str
    status: SurveyState = SurveyState.WAITING
    channel: str | None = None
    asked_at: str | None = None
    sent_at: str | None = None
    answers_until: str | None = None
    score: int | None = Field(default=None, ge=1, le=5)
    answered_at: str | None = None
    heard: tuple[str, ...] = ()
    has_item: bool = False
    reason: Reason | None = None
    version: int = 1

    @property
    def message(self) -> str:
        """Return the id of its message, whether or not that was asked for."""
        return f"msg_{self.id.removeprefix('srv_')}"

    @property
    def due_at(self) -> str | None:
        """Return when the clock must look at it again, or None."""
        if self.status is SurveyState.WAITING:
            return self.ask_at
        if self.status is SurveyState.ASKED and self.asked_at is not None:
            return to_text(from_text(self.asked_at) + timedelta(days=ANSWER_DAYS + UNKNOWN_DAYS))
        return self.answers_until if self.status is SurveyState.SENT else None

    @property
    def listed_at(self) -> str:
        """Return the instant by which lists are ordered."""
        return self.drawn_at

    def sent(self, at: datetime) -> "Survey":
        """Return the survey as sent at an instant: the time to answer begins."""
        until = to_text(at + timedelta(days=ANSWER_DAYS))
        return self.model_copy(update={"status": _S.SENT, "sent_at": to_text(at), "answers_until": until})


def survey_id(tenant: str, occasion: str) -> str:
    """Return the id of the survey that an event gives occasion to: the same event, the same survey."""
    return f"srv_{hashlib.sha256(f'{tenant}|{occasion}'.encode()).hexdigest()[:32]}"


def survey_of_message(message: str) -> str:
    """Return the id of the survey whose message has this id, if it is a survey's."""
    return f"srv_{message.removeprefix('msg_')}"


# Who may not be asked

_ASKED_IN = frozenset(
    {CaseState.SETTLED, CaseState.ASSIGNED, CaseState.IN_WORK, CaseState.PROMISED, CaseState.ON_PLAN, CaseState.PLACED}
)
_HARMLESS = frozenset({"promise_alive", "recall"})
"""Holds that say nothing against asking: the person promised, or the case changes hands."""


def refusal(
    case: Case,
    person: Person,
    *,
    history: Iterable[ContactEntry],
    holds: Iterable[HoldEntry],
    today: date,
) -> Reason | None:
    """Return the code of why a person must not be asked about a case now, or None.

    ``history`` and ``holds`` are the person's, those of merged records included. It is looked at before a message is asked for and
    never opens anything: the gate rules on the message all the same (HOUSE-SURVEY holds caps and holds there).
    """
    if person.locked_since is not None:
        return Reason.LOCKED
    if case.state not in _ASKED_IN or case.litigation is not None:
        return Reason.CASE_STATE
    if person.attorney is not None:
        return Reason.REPRESENTED
    if person.stop_requested_at is not None:
        return Reason.STOPPED
    if any(_is_in_force(hold, today) and hold.kind not in _HARMLESS for hold in (*case.holds, *holds)):
        return Reason.HELD
    return Reason.TOO_SOON if was_asked(history, today=today) else None


def _is_in_force(hold: HoldEntry, today: date) -> bool:
    return hold.released_at is None and (hold.until is None or hold.until[:10] >= today.isoformat())


def was_asked(history: Iterable[ContactEntry], *, today: date) -> bool:
    """Tell whether a contact of the last 90 dates was a survey, or may have been one: its purpose is not on file."""
    first = (today - timedelta(days=DAYS_BETWEEN)).isoformat()
    return any(
        entry.direction == "out" and entry.purpose in (None, SURVEY) and entry.at[:10] >= first for entry in history
    )


def closed_channels(consents: Iterable[ConsentEntry]) -> frozenset[str]:
    """Return the channels by which the person once asked to hear nothing more; a later consent opens none for a survey."""
    stopped = {entry.medium for entry in consents if entry.event in ("withdrawn", "stop_medium")}
    return frozenset({"sms", "email", "wechat"} if stopped & {"all", None} else stopped - {None})  # type: ignore[arg-type]


# Answers


class Said(NamedTuple):
    """An answer as it was written: the score, and whether words stand beside it."""

    score: int
    has_words: bool


_SCORE = re.compile(r"\s*([1-5])\s*(?:分|星|/\s*5)?\s*(?:$|[.,;:!?。，、；：！？\-\n\r](?!\d)(?P<words>.*))", re.DOTALL)


def score_in(text: str) -> Said | None:
    """Return the score in a message, None when it is no answer to a survey.

    The message is a digit from 1 to 5 (full width, with ``分`` or ``/5``), alone or before a mark or a new line and then words.
    Nothing is guessed: "2 days ago I paid" is a message like any other.

    >>> score_in("５"), score_in("2，态度很差"), score_in("2 days ago I paid")
    (Said(score=5, has_words=False), Said(score=2, has_words=True), None)
    """
    found = _SCORE.match(unicodedata.normalize("NFKC", text))
    return None if found is None else Said(int(found[1]), bool((found["words"] or "").strip()))


def last_asked(history: Iterable[ContactEntry], *, channel: str, at: datetime) -> ContactEntry | None:
    """Return the newest survey's message to the person by a channel up to an instant (closed), or None."""
    asked = [
        entry
        for entry in history
        if entry.direction == "out"
        and entry.purpose == SURVEY
        and entry.channel == channel
        and from_text(entry.at) <= at
    ]
    return max(asked, key=lambda entry: (entry.at, entry.id), default=None)


class Heard(NamedTuple):
    """What an answer does: the survey after it, whether it counts, and whether somebody must answer it within 48 hours."""

    survey: Survey
    counts: bool
    clocked: bool


def hear(survey: Survey, event: str, said: Said, *, at: datetime, complains: bool) -> Heard | None:
    """Return what an inbound event that answers the survey does, None when it was heard before or is one too many.

    The first answer within the time to answer counts. A low score must be answered, counted or not, but once a survey, and
    not beside a message that ``complains``: that is a complaint with its own clock already.
    """
    if event in survey.heard or len(survey.heard) >= MOST_ANSWERS:
        return None
    in_time = survey.answers_until is None or at < from_text(survey.answers_until)
    counts = in_time and isinstance(answer(survey.status, SurveyEvent.ANSWER), Move)
    clocked = said.score <= LOW_SCORE and not survey.has_item and not complains
    changes: dict[str, object] = {"heard": (*survey.heard, event), "has_item": survey.has_item or clocked}
    if counts:
        changes |= {"status": SurveyState.ANSWERED, "score": said.score, "answered_at": to_text(at)}
    return Heard(survey.model_copy(update=changes), counts, clocked)
