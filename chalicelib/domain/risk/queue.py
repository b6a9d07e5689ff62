"""What waits for counsel or a compliance officer: one list over templates, strategies, rules, courses,
contacts and legal risk.

An event puts a thing on the list, changes it there or takes it off; nothing is ever looked for. What a thing is on the list
follows from its last event alone, so an event that comes again changes nothing.
"""

import tomllib
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from chalicelib.domain.events import Event, EventType
from chalicelib.domain.instants import from_text, to_text
from chalicelib.domain.risk.register import Words

QUEUE = Path(__file__).resolve().parents[2] / "risks" / "queue.toml"
"""Where the hours lie."""


class Kind(StrEnum):
    """What waits."""

    TEMPLATE = "template"
    STRATEGY = "strategy"
    HOUSE_RULES = "house_rules"
    SURVEY_RULES = "survey_rules"
    COURSE = "course"
    CONTACT = "contact"
    RISK_EVENT = "risk_event"


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Terms(_Value):
    """How long a kind may wait, None where each brings its own end; and the scope that decides on it."""

    id: Kind
    hours: Annotated[int, Field(gt=0)] | None = None
    scope: str
    name: Words


@cache
def terms() -> Mapping[Kind, Terms]:
    """Return the terms of every kind. Raises ValueError for malformed data and for a kind that is missing or stands twice."""
    found = [Terms.model_validate(each) for each in tomllib.loads(QUEUE.read_text(encoding="utf-8"))["kind"]]
    if [each.id for each in found] != list(Kind):
        raise ValueError("each kind has its terms, in their order")
    return {each.id: each for each in found}


class Waiting(_Value):
    """A thing as its last event left it. ``due_at`` (open) is None when it waits no more.

    ``stage`` is what is asked for: ``decision``, or for a legal-risk event ``finding`` and then ``opinion``. ``maker`` is who wrote
    the draft or made the finding, and so may not decide on it. ``number`` is a draft's version.
    """

    kind: Kind
    id: str
    seq: int
    number: int | None = None
    stage: str = "decision"
    since: str | None = None
    due_at: str | None = None
    maker: str | None = None
    case: str | None = None
    agency: str | None = None

    @property
    def name(self) -> str:
        """Return what tells it from every other thing: kind, id and number."""
        return (
            f"{self.kind.value}#{self.id}" if self.number is None else f"{self.kind.value}#{self.id}#{self.number:06d}"
        )

    def is_overdue(self, now: str) -> bool:
        """Tell whether it should have been decided on by ``now`` (RFC 3339, milliseconds)."""
        return self.due_at is not None and self.due_at <= now


_DRAFTS: Mapping[EventType, tuple[Kind, str]] = {
    EventType.TEMPLATE_DRAFTED: (Kind.TEMPLATE, "template"),
    EventType.STRATEGY_DRAFTED: (Kind.STRATEGY, "strategy"),
    EventType.HOUSE_RULES_DRAFTED: (Kind.HOUSE_RULES, "house"),
    EventType.SURVEY_RULES_DRAFTED: (Kind.SURVEY_RULES, ""),
    EventType.COURSE_DRAFTED: (Kind.COURSE, "course"),
}
_DECIDED: Mapping[EventType, tuple[Kind, str]] = {
    EventType.TEMPLATE_APPROVED: (Kind.TEMPLATE, "template"),
    EventType.TEMPLATE_REJECTED: (Kind.TEMPLATE, "template"),
    EventType.TEMPLATE_RETIRED: (Kind.TEMPLATE, "template"),
    EventType.STRATEGY_APPROVED: (Kind.STRATEGY, "strategy"),
    EventType.STRATEGY_REJECTED: (Kind.STRATEGY, "strategy"),
    EventType.STRATEGY_ENDED: (Kind.STRATEGY, "strategy"),
    EventType.HOUSE_RULES_APPROVED: (Kind.HOUSE_RULES, "house"),
    EventType.HOUSE_RULES_REJECTED: (Kind.HOUSE_RULES, "house"),
    EventType.HOUSE_RULES_RETIRED: (Kind.HOUSE_RULES, "house"),
    EventType.SURVEY_RULES_APPROVED: (Kind.SURVEY_RULES, ""),
    EventType.SURVEY_RULES_REJECTED: (Kind.SURVEY_RULES, ""),
    EventType.COURSE_APPROVED: (Kind.COURSE, "course"),
    EventType.COURSE_REJECTED: (Kind.COURSE, "course"),
}
LEAVING = frozenset({EventType.CONTACT_REQUESTED, EventType.CONTACT_CANCELLED, EventType.CONTACT_EXPIRED})
"""What takes a contact off the list, if it stood there."""

_RISKS: Mapping[EventType, str | None] = {
    EventType.RISK_EVENT_RAISED: "finding",
    EventType.RISK_EVENT_FOUND: "opinion",
    EventType.RISK_EVENT_DISPUTED: "finding",
    EventType.RISK_EVENT_CONFIRMED: None,
    EventType.RISK_EVENT_DISMISSED: None,
}

CONCERNED = frozenset({*_DRAFTS, *_DECIDED, *_RISKS, *LEAVING, EventType.CONTACT_DECIDED})
"""Every type of event that the list is made from."""


def waiting_after(event: Event, *, due_at: str | None = None) -> Waiting | None:
    """Return what an event makes of the thing that it is about; None for an event that says nothing about the list.

    ``due_at`` is the end that a contact or legal-risk event brings along.
    """
    if event.type in _DRAFTS:
        kind, key = _DRAFTS[event.type]
        hours = terms()[kind].hours or 0
        due = to_text(from_text(event.at) + timedelta(hours=hours))
        return _draft(event, kind, key).model_copy(update={"since": event.at, "due_at": due, "maker": event.actor.id})
    if event.type in _DECIDED:
        return _draft(event, *_DECIDED[event.type])
    if event.type in _RISKS:
        told = Waiting(kind=Kind.RISK_EVENT, id=event.data["risk"], seq=event.seq)
        stage = _RISKS[event.type]
        if stage is None or due_at is None:
            return told
        maker = event.actor.id if stage == "opinion" else None
        about = {"case": event.data["about_case"], "agency": event.data["agency"]}
        return told.model_copy(update={"stage": stage, "since": event.at, "due_at": due_at, "maker": maker, **about})
    if event.type in LEAVING:
        return Waiting(kind=Kind.CONTACT, id=event.data["contact"], seq=event.seq)
    if event.type is EventType.CONTACT_DECIDED and event.decision is not None:
        told = Waiting(kind=Kind.CONTACT, id=event.data["contact"], seq=event.seq)
        if event.decision["outcome"] != "review":
            return told
        agency = event.data["org"] if event.data["org"] != event.tenant else None
        return told.model_copy(update={"since": event.at, "due_at": due_at, "case": event.stream, "agency": agency})
    return None


def _draft(event: Event, kind: Kind, key: str) -> Waiting:
    if kind is Kind.TEMPLATE:
        # A template is named with its version: ``<id>@<number>``.
        identity, _, number = str(event.data[key]).rpartition("@")
        return Waiting(kind=kind, id=identity, seq=event.seq, number=int(number))
    return Waiting(kind=kind, id=event.data[key] if key else kind.value, seq=event.seq, number=event.data["number"])
