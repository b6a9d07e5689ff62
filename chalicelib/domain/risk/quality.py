"""Quality checks: which contacts are drawn, what the machine finds on them, and how people score them, as data
and a total table.

Who is drawn follows from the plan and the contact's id alone, so that anybody who has both can say what was to be checked.
"""

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, model_validator

from chalicelib.domain.instants import from_text, to_text
from chalicelib.domain.risk.register import Code, Named, Words, register
from chalicelib.domain.state_table import Move, Refuse, Reply, StateTable

QUALITY = Path(__file__).resolve().parents[2] / "risks" / "quality.toml"
"""Where forms, limits and the default share lie."""

Channel = Literal["call", "visit", "sms", "email", "wechat", "letter"]
Share = Annotated[int, Field(strict=True, ge=0, le=1_000)]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Limits(_Value):
    """What a reported call can look like, in seconds; each bound is closed."""

    shortest_talk_seconds: int
    shortest_promise_seconds: int
    longest_unanswered_seconds: int
    longest_talk_seconds: int


class End(_Value):
    """The local time at which a running contact must be over in a country; ``rows`` say so."""

    country: str
    at: str
    rows: tuple[str, ...]

    @property
    def local(self) -> time:
        """Return the time of day."""
        return time.fromisoformat(self.at)


class Finding(_Value):
    """What the machine can find. ``line`` is the line of the register that it crosses, if any."""

    id: Code
    name: Words
    line: Code | None = None


class Item(_Value):
    """One thing that people look at: what it is worth, and the line of the register that failing it crosses."""

    id: Code
    points: Annotated[int, Field(gt=0, le=100)]
    line: Code
    name: Words


class Form(_Value):
    """What people look at on a channel; its points add up to 100."""

    id: Code
    version: Annotated[int, Field(gt=0)]
    channels: tuple[Channel, ...]
    name: Words
    items: tuple[Item, ...]

    @property
    def reference(self) -> str:
        """Return ``<id>@<version>``."""
        return f"{self.id}@{self.version}"


class Standards(_Value):
    """All of the data. Raises ValueError where a form does not add up, a channel has no form, or a line is not
    in the register.
    """

    checked: date
    default_permille: Share
    check_hours: Annotated[int, Field(gt=0)]
    call: Limits
    ends: tuple[End, ...]
    finding: tuple[Finding, ...]
    form: tuple[Form, ...]
    void: tuple[Named, ...]

    @model_validator(mode="after")
    def _sound(self) -> "Standards":
        if any(sum(item.points for item in form.items) != 100 for form in self.form):
            raise ValueError("the points of a form add up to 100")
        named = [channel for form in self.form for channel in form.channels]
        if sorted(named) != sorted(("call", "visit", "sms", "email", "wechat", "letter")):
            raise ValueError("each channel has one form")
        lines = {item.line for form in self.form for item in form.items}
        lines |= {finding.line for finding in self.finding if finding.line is not None}
        if not lines <= register().lines.keys():
            raise ValueError("a line is not in the register")
        if {finding.id for finding in self.finding} != set(FINDINGS):
            raise ValueError("the machine finds other things")
        return self

    @cached_property
    def findings(self) -> Mapping[str, Finding]:
        """Return what the machine can find, by code."""
        return {each.id: each for each in self.finding}

    @cached_property
    def voids(self) -> frozenset[str]:
        """Return why a check can be void."""
        return frozenset(each.id for each in self.void)

    def form_of(self, channel: str) -> Form:
        """Return the form of a channel. Raises KeyError."""
        return {name: form for form in self.form for name in form.channels}[channel]  # type: ignore[index]

    def form_named(self, reference: str) -> Form:
        """Return the form ``<id>@<version>``. Raises KeyError."""
        return {form.reference: form for form in self.form}[reference]


RECORDING_MISSING, DURATION_MISSING, ENDED_TOO_LATE = "recording_missing", "duration_missing", "ended_too_late"
TALK_TOO_SHORT, TALK_TOO_LONG, UNANSWERED_TOO_LONG = "talk_too_short", "talk_too_long", "unanswered_too_long"
FORBIDDEN_WORDS = "forbidden_words"
FINDINGS = (
    RECORDING_MISSING,
    DURATION_MISSING,
    TALK_TOO_SHORT,
    TALK_TOO_LONG,
    UNANSWERED_TOO_LONG,
    ENDED_TOO_LATE,
    FORBIDDEN_WORDS,
)
"""Everything that the machine can find."""


@cache
def standards() -> Standards:
    """Return the data. Raises ValueError for malformed ones."""
    return Standards.model_validate(tomllib.loads(QUALITY.read_text(encoding="utf-8")))


# The plan


class QualityPlan(_Value):
    """Which share of an agency's contacts people check, per mille by channel. Another ``draw`` draws other contacts.

    A channel that is not named has the default share.
    """

    agency: str
    shares: dict[Channel, Share] = {}
    draw: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")] = "1"
    set_by: str | None = None
    set_at: str | None = None
    version: int = 0

    def draws(self, tenant: str, contact: str, channel: str) -> bool:
        """Tell whether people check the contact: the same plan and contact, the same answer."""
        share = self.shares.get(channel, standards().default_permille)  # type: ignore[call-overload]
        return bool(place_of(tenant, self.agency, contact, self.draw) < share)


def place_of(tenant: str, agency: str, contact: str, draw: str) -> int:
    """Return the contact's place in 0 to 999: SHA-256 of ``quality|<lender>|<agency>|<draw>|<contact>``, its
    first eight bytes as
    an integer modulo 1,000.

    >>> place_of("lender", "agency-a", "msg_1", "1")
    902
    """
    told = "|".join(("quality", tenant, agency, draw, contact))
    return int.from_bytes(hashlib.sha256(told.encode()).digest()[:8]) % 1_000


# What the machine finds


@dataclass(frozen=True, slots=True)
class Metadata:
    """What was reported of a call or visit. ``zones`` are where the person may be, ``country`` whose law the case is under."""

    channel: str
    begun_at: datetime
    connected: bool
    promised: bool
    recorded: bool
    duration_seconds: int | None
    recording_sha256: str | None
    country: str
    zones: tuple[str, ...]


def findings_of(told: Metadata) -> tuple[str, ...]:
    """Return what does not fit together about a call or visit, in the order of ``FINDINGS``."""
    limits, seconds, found = standards().call, told.duration_seconds, set()
    if told.connected and told.recorded and told.recording_sha256 is None:
        found.add(RECORDING_MISSING)
    if told.channel == "call" and told.connected:
        if seconds is None:
            found.add(DURATION_MISSING)
        else:
            shortest = limits.shortest_promise_seconds if told.promised else limits.shortest_talk_seconds
            if seconds < shortest:
                found.add(TALK_TOO_SHORT)
            if seconds > limits.longest_talk_seconds:
                found.add(TALK_TOO_LONG)
    if told.channel == "call" and not told.connected and (seconds or 0) > limits.longest_unanswered_seconds:
        found.add(UNANSWERED_TOO_LONG)
    if told.connected and seconds is not None and _runs_late(told, seconds):
        found.add(ENDED_TOO_LATE)
    return tuple(each for each in FINDINGS if each in found)


def _runs_late(told: Metadata, seconds: int) -> bool:
    """Tell whether the contact began in time and went on beyond the end of its day, in any zone where the person may be."""
    end = next((each for each in standards().ends if each.country == told.country), None)
    if end is None:
        return False
    for zone in told.zones:
        begun = told.begun_at.astimezone(ZoneInfo(zone))
        last = datetime.combine(begun.date(), end.local, tzinfo=begun.tzinfo)
        if begun < last < begun + timedelta(seconds=seconds):
            return True
    return False


# A check


class CheckState(StrEnum):
    """Where a check stands."""

    WAITING = "waiting"
    CHECKED = "checked"
    VOID = "void"


class CheckAct(StrEnum):
    """What can be done with a check."""

    SCORE = "score"
    VOID = "void"


_OVER = {CheckState.CHECKED: "it was checked", CheckState.VOID: "it is void"}


def _reply(state: CheckState, act: CheckAct) -> Reply[CheckState]:
    if state is not CheckState.WAITING:
        return Refuse(_OVER[state])
    return Move(CheckState.CHECKED if act is CheckAct.SCORE else CheckState.VOID)


TABLE = StateTable.ruled(CheckState, CheckAct, _reply)
answer = TABLE.answer


Answer = Literal["pass", "fail", "not_applicable"]


class QualityCheck(_Value):
    """One contact that is looked at: drawn by the plan (``is_drawn``), or because the machine found something, or both.

    ``score`` is what was passed of what applies, in points of 100, rounded down; None when nothing applied. ``due_at`` is open.
    """

    id: str
    tenant: str
    contact: str
    channel: Channel
    case: str
    person: str
    agency: str
    collector: str | None
    happened_at: str
    is_drawn: bool
    findings: tuple[str, ...] = ()
    form: str
    due_at: str
    status: CheckState = CheckState.WAITING
    answers: dict[str, Answer] = {}
    score: int | None = None
    checked_by: str | None = None
    checked_at: str | None = None
    void_reason: str | None = None
    words: int | None = None
    version: int = 1

    @property
    def failed(self) -> tuple[Item, ...]:
        """Return the items that were failed, in the order of the form."""
        return tuple(item for item in standards().form_named(self.form).items if self.answers.get(item.id) == "fail")

    @property
    def is_faultless(self) -> bool:
        """Tell whether it was checked and neither people nor machine found a fault."""
        return self.status is CheckState.CHECKED and not self.failed and not self.findings

    def is_overdue(self, now: str) -> bool:
        """Tell whether it should have been checked by ``now`` (RFC 3339, milliseconds)."""
        return self.status is CheckState.WAITING and self.due_at <= now


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a list: where it stands in it, and which check."""

    place: str
    check: str


def due_at(happened_at: str) -> str:
    """Return by when (open) a contact is to be checked."""
    return to_text(from_text(happened_at) + timedelta(hours=standards().check_hours))


def check_id(tenant: str, contact: str) -> str:
    """Return the id of the check of a contact: there is at most one."""
    return f"chk_{hashlib.sha256(f'{tenant}|{contact}'.encode()).hexdigest()[:32]}"


def score_of(form: Form, answers: Mapping[str, Answer]) -> int | None:
    """Return the points passed of those that apply, of 100, rounded down; None when nothing applies."""
    applies = sum(item.points for item in form.items if answers[item.id] != "not_applicable")
    passed = sum(item.points for item in form.items if answers[item.id] == "pass")
    return passed * 100 // applies if applies else None
