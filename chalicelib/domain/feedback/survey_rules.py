"""Whom a lender asks how satisfied they are: after which occasions, which share of the persons, with which texts.

One person drafts a version and another approves it. Who is asked follows from the rules and the person's id alone, so that
anybody who has both can say who was to be asked.
"""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

import rfc8785
from pydantic import BaseModel, ConfigDict, Field

from chalicelib.domain.cases.lifecycle import CaseState
from chalicelib.domain.events import Event, EventType
from chalicelib.domain.feedback.item import OUTCOMES, FeedbackEvent, Kind
from chalicelib.domain.instants import from_text
from chalicelib.domain.outreach.templates import LANGUAGE, TEMPLATE_ID, base_language
from chalicelib.domain.people.person import Person

SURVEY = "survey"
"""The purpose under which a survey is ruled on."""

MOST_VERSIONS = 200
MOST_WAIT_HOURS = 720


class Trigger(StrEnum):
    """After what a person may be asked. A case is settled here when everything that was overdue is paid: it is cured."""

    CASE_SETTLED = "case_settled"
    COMPLAINT_CLOSED = "complaint_closed"
    PROMISE_KEPT = "promise_kept"
    CALL_ENDED = "call_ended"


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Occasion(_Value):
    """A trigger, which share of persons it asks (per mille, 0 to 1,000), and how many hours later."""

    trigger: Trigger
    share_permille: Annotated[int, Field(strict=True, ge=0, le=1_000)]
    wait_hours: Annotated[int, Field(strict=True, ge=0, le=MOST_WAIT_HOURS)] = 24


class Text(_Value):
    """An approved text of the purpose ``survey``. Of those that fit a person the first is taken."""

    channel: Literal["sms", "email", "wechat"]
    language: Annotated[str, Field(pattern=LANGUAGE)]
    template: Annotated[str, Field(pattern=TEMPLATE_ID)]


class SurveyRules(_Value):
    """What one version says. Without occasions nobody is asked. Another ``draw`` asks other persons at the same shares."""

    occasions: Annotated[tuple[Occasion, ...], Field(max_length=len(Trigger))] = ()
    texts: Annotated[tuple[Text, ...], Field(max_length=30)] = ()
    draw: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")] = "1"

    @property
    def sha256(self) -> str:
        """Return the SHA-256 (hex) over the RFC 8785 form of everything above."""
        return hashlib.sha256(rfc8785.dumps(self.model_dump(mode="json"))).hexdigest()

    def occasion(self, trigger: Trigger) -> Occasion | None:
        """Return what the rules say of a trigger, or None."""
        return next((each for each in self.occasions if each.trigger is trigger), None)

    def asks(self, tenant: str, person: str, trigger: Trigger) -> bool:
        """Tell whether the person is among those whom the trigger asks: the same person, rules and trigger, the same answer."""
        occasion = self.occasion(trigger)
        return occasion is not None and place_of(tenant, person, trigger, self.draw) < occasion.share_permille


def place_of(tenant: str, person: str, trigger: Trigger, draw: str) -> int:
    """Return the person's place in 0 to 999: SHA-256 of ``survey|<lender>|<draw>|<trigger>|<person>``, its first eight bytes
    as an integer modulo 1,000. A person's places for two triggers or two draws have nothing to do with each other.

    >>> place_of("lender", "per_1", Trigger.PROMISE_KEPT, "1")
    791
    """
    told = "|".join((SURVEY, tenant, draw, trigger.value, person))
    return int.from_bytes(hashlib.sha256(told.encode()).digest()[:8]) % 1_000


class RulesState(StrEnum):
    """Where a version stands. Only ``approved`` asks anybody."""

    DRAFT = "draft"
    APPROVED = "approved"
    REJECTED = "rejected"


class RulesVersion(_Value):
    """One version of a lender's rules: its content never changes, and it holds from ``effective_from`` (closed) until the
    next approved version does."""

    number: int
    rules: SurveyRules
    state: RulesState = RulesState.DRAFT
    author: str
    drafted_at: str
    decided_by: str | None = None
    decided_at: str | None = None
    reason: str | None = None
    effective_from: str | None = None
    version: int = 1


def in_force(versions: Iterable[RulesVersion], at: datetime) -> RulesVersion | None:
    """Return the version that holds at an instant: of the approved ones that have begun the last one, then the newest."""
    begun = [
        each
        for each in versions
        if each.state is RulesState.APPROVED
        and each.effective_from is not None
        and from_text(each.effective_from) <= at
    ]
    return max(begun, key=lambda each: (each.effective_from or "", each.number), default=None)


def faults_of(rules: SurveyRules, templates: Mapping[str, tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """Return (pointer, code, sentence) of everything that keeps the rules from use.

    ``templates`` are the lender's texts in force by id: channel, purpose, language.
    """
    faults = []
    named = [each.trigger for each in rules.occasions]
    faults += [
        (f"/occasions/{index}/trigger", "named_twice", "an occasion stands once")
        for index, trigger in enumerate(named)
        if trigger in named[:index]
    ]
    if rules.occasions and not rules.texts:
        faults.append(("/texts", "required", "whoever is asked is asked with an approved text"))
    for index, text in enumerate(rules.texts):
        known = templates.get(text.template)
        at = f"/texts/{index}/template"
        if known is None:
            faults.append((at, "unknown_template", "no version of the template is in force"))
        elif known[0] != text.channel:
            faults.append((at, "other_channel", "the template is for another channel"))
        elif known[1] != SURVEY:
            faults.append((at, "other_purpose", "the template is for another purpose"))
        elif known[2] != text.language:
            faults.append((at, "other_language", "the template is in another language"))
    return faults


def text_for(rules: SurveyRules, person: Person, *, language: str, closed: frozenset[str]) -> Text | None:
    """Return the text to ask with: in the person's language, by a channel that reaches them and is not ``closed``.

    The person's preferred channel goes first, then the order of the rules. None when no text fits.
    """
    kinds = {"sms": "mobile", "email": "email", "wechat": "wechat"}
    fitting = [
        each
        for each in rules.texts
        if each.channel not in closed
        and base_language(each.language) == base_language(language)
        and person.first_point(kinds[each.channel]) is not None
    ]
    wished = person.preferences.channel if person.preferences is not None else None
    return min(fitting, key=lambda each: each.channel != wished, default=None)


def trigger_of(event: Event) -> tuple[Trigger, str] | None:
    """Return the trigger that an event is, with the case that it is about; None for every other event.

    A call has ended when somebody spoke to the person sought; one that was made under a clearance is told by its own event
    and not by the activity that names it.
    """
    data = event.data
    match event.type:
        case EventType.CASE_CHANGED if data["to"] == CaseState.SETTLED:
            return Trigger.CASE_SETTLED, event.stream
        case EventType.PROMISE_KEPT:
            return Trigger.PROMISE_KEPT, event.stream
        case EventType.CONTACT_REPORTED if data["channel"] == "call" and data["right_party"]:
            return Trigger.CALL_ENDED, event.stream
        case EventType.ACTIVITY_RECORDED if data["action"] == "call" and data["right_party"] and not data["contact"]:
            return Trigger.CALL_ENDED, event.stream
        case EventType.FEEDBACK_CLOSED if data["feedback_kind"] == Kind.COMPLAINT and data["about_case"]:
            answered = OUTCOMES[data["outcome"]] is FeedbackEvent.CLOSE
            return (Trigger.COMPLAINT_CLOSED, str(data["about_case"])) if answered else None
        case _:
            return None


TRIGGERING: frozenset[EventType] = frozenset(
    {
        EventType.CASE_CHANGED,
        EventType.PROMISE_KEPT,
        EventType.CONTACT_REPORTED,
        EventType.ACTIVITY_RECORDED,
        EventType.FEEDBACK_CLOSED,
    }
)
"""The types of event that may be a trigger."""


def rules_data(version: RulesVersion) -> dict[str, Any]:
    """Return the open data of the events about a version."""
    return {"number": version.number, "sha256": version.rules.sha256}
