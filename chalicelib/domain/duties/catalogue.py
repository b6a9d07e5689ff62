"""The catalogue of duties: dated data that says what opens a duty, who owes it, by when, and what discharges it.

A new duty is a TOML entry with its citation; nothing here knows a single one. A fact that an entry asks about and that
is not on file opens the duty all the same and is named among its doubts: a duty too many is looked at by a person, one
too few by a court.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from chalicelib.domain.duties import clock
from chalicelib.domain.duties.clock import Due
from chalicelib.domain.events import EventType

DIRECTORY = Path(__file__).resolve().parents[2] / "duties"
"""Where the entries lie: one TOML file a country or group of states."""

Code = Annotated[str, Field(pattern=r"^[a-z][a-z_]{1,39}$")]
Facts = Mapping[str, Any]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Words(_Value):
    """A text in Chinese and English."""

    zh: str = Field(min_length=1)
    en: str = Field(min_length=1)


class Trigger(BaseModel):
    """What opens or discharges a duty: a type of event whose facts have these values, a ruling, or a report by hand."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: EventType | None = None
    ruling: bool = False
    report: Code | None = None

    @model_validator(mode="after")
    def _one(self) -> "Trigger":
        if sum((self.type is not None, self.ruling, self.report is not None)) != 1:
            raise ValueError("a trigger is an event, a ruling or a report")
        if any(not isinstance(values, list) or not values for values in self.wanted.values()):
            raise ValueError("a fact is compared with a list of values")
        return self

    @property
    def wanted(self) -> dict[str, list[Any]]:
        """Return the values that each fact of the event must have one of."""
        return dict(self.model_extra or {})

    def doubts(self, event: EventType, facts: Facts) -> tuple[str, ...] | None:
        """Return None when the event is another; else which of the facts asked about are not on file."""
        if self.type is not event:
            return None
        unknown = [name for name in self.wanted if facts.get(name) is None]
        if any(facts[name] not in values for name, values in self.wanted.items() if name not in unknown):
            return None
        return tuple(unknown)


class Clock(_Value):
    """How long there is: exactly one of these. ``days_before`` and ``business_days_before`` count from a stated date."""

    hours: Annotated[int, Field(gt=0)] | None = None
    days: Annotated[int, Field(ge=0)] | None = None
    months: Annotated[int, Field(gt=0)] | None = None
    business_days: Annotated[int, Field(gt=0)] | None = None
    days_before: Annotated[int, Field(ge=0)] | None = None
    business_days_before: Annotated[int, Field(gt=0)] | None = None
    calendar: str | None = None

    @model_validator(mode="after")
    def _one(self) -> "Clock":
        spans = (self.hours, self.days, self.months, self.business_days, self.days_before, self.business_days_before)
        if sum(span is not None for span in spans) != 1:
            raise ValueError("a clock has one span")
        counts_business_days = self.business_days is not None or self.business_days_before is not None
        if counts_business_days != (self.calendar is not None):
            raise ValueError("business days need a calendar, and nothing else has one")
        if self.calendar is not None:
            clock.holidays(self.calendar)
        return self

    @property
    def is_stated(self) -> bool:
        """Tell whether it counts back from a date that the report states."""
        return self.days_before is not None or self.business_days_before is not None

    def due(self, opened: datetime, *, stated: date | None, zones: Iterable[str]) -> Due:
        """Return when it is due. Raises ValueError where a date must be stated and is not."""
        if self.hours is not None:
            return clock.after_hours(opened, self.hours)
        if self.days is not None:
            return clock.after_days(opened, self.days, zones=zones)
        if self.months is not None:
            return clock.after_months(opened, self.months, zones=zones)
        if self.business_days is not None:
            return clock.after_business_days(opened, self.business_days, calendar=self.calendar or "", zones=zones)
        if stated is None:
            raise ValueError("this clock counts back from a stated date")
        if self.days_before is not None:
            return clock.before_days(stated, self.days_before, zones=zones)
        return clock.before_business_days(
            stated, self.business_days_before or 0, calendar=self.calendar or "", zones=zones
        )


class Extension(_Value):
    """A longer term that a compliance officer may grant; ``days`` count from the opening like the first term's."""

    name: Code
    days: Annotated[int, Field(gt=0)]


class DutyRule(_Value):
    """One entry: a rule may have several, each of its own ``kind``. ``from_`` and ``to`` are local dates in force.

    ``lapse_is_risk_event`` is false for what a plan promises and no law obliges to.
    """

    rule: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9-]{2,59}$")]
    kind: Code
    title: Words
    where: dict[Literal["country", "region"], list[str]]
    opens: list[Trigger] = Field(min_length=1)
    discharged_by: list[Trigger] = []
    fulfilled_on_opening: bool = False
    owner: Literal["lender", "agency"]
    due: Clock
    zone: Literal["person", "lender"]
    extensions: list[Extension] = []
    escalate: list[Annotated[str, Field(pattern=r"^([1-9][0-9]?%|[1-9][0-9]{0,2}h)$")]]
    severity: Literal["low", "medium", "high"]
    lapse_is_risk_event: bool = True
    citation: str = Field(min_length=1)
    source: str = Field(min_length=1)
    grade: Literal["statute", "regulation", "standard", "self-regulation", "guideline", "house"]
    confidence: Literal["source", "memory", "memory-weak", "infer"]
    from_: Annotated[date | None, Field(alias="from")] = None
    to: date | None = None
    checked: date
    note: Words

    @model_validator(mode="after")
    def _consistent(self) -> "DutyRule":
        if self.due.is_stated and any(trigger.report is None for trigger in self.opens):
            raise ValueError("only a report states a date")
        if self.confidence == "memory-weak" and "reading" not in self.note.en:
            raise ValueError("weakly remembered law is kept only where the note says on which reading")
        return self

    @property
    def key(self) -> str:
        """Return ``rule/kind``, which names the entry."""
        return f"{self.rule}/{self.kind}"

    def in_force(self, day: date) -> bool:
        """Tell whether the entry is in force on a local day; both ends are closed."""
        return (self.from_ is None or self.from_ <= day) and (self.to is None or day <= self.to)

    def reaches(self, countries: frozenset[str], places: frozenset[str | None]) -> tuple[str, ...] | None:
        """Return None when the entry does not reach a person of these places; else what is not on file about it.

        ``places`` are regions and cities, with None where one is not known.
        """
        wanted = self.where.get("country")
        if wanted is not None and countries.isdisjoint(wanted):
            return None
        regions = self.where.get("region")
        if regions is None or not places.isdisjoint(regions):
            return ()
        return ("residence.region",) if None in places or not places else None

    def steps(self, opened: datetime, due: datetime) -> tuple[tuple[str, datetime], ...]:
        """Return the escalations before ``due`` in order: a share of the time, or so many hours before the end."""
        found = []
        for step in self.escalate:
            if step.endswith("%"):
                at = opened + (due - opened) * int(step[:-1]) / 100
            else:
                at = due - timedelta(hours=int(step[:-1]))
            if opened < at < due:
                found.append((step, at))
        return tuple(sorted(found, key=lambda each: (each[1], each[0])))


@dataclass(frozen=True, slots=True)
class Opening:
    """An entry that an event, ruling or report opens, and what is not on file about that."""

    rule: DutyRule
    doubts: tuple[str, ...]


@cache
def duty_rules() -> tuple[DutyRule, ...]:
    """Return every entry, by key. Raises ValueError for malformed data and for two entries of one key at one time."""
    found: list[DutyRule] = []
    for path in sorted(DIRECTORY.glob("*.toml")):
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        if data.keys() != {"defaults", "duty"}:
            raise ValueError(f"{path.name}: defaults and duties, nothing else")
        found += [DutyRule.model_validate({**data["defaults"], **entry}) for entry in data["duty"]]
    found.sort(key=lambda rule: (rule.key, rule.from_ or date.min))
    for earlier, later in zip(found, found[1:], strict=False):
        if earlier.key == later.key and (earlier.to is None or later.from_ is None or earlier.to >= later.from_):
            raise ValueError(f"{later.key}: two entries in force at one time")
    return tuple(found)


def rule_of(rule: str, kind: str, *, on: date | None = None) -> DutyRule | None:
    """Return the entry of a duty: the one in force on a day, or else the newest; None for an unknown one."""
    found = [each for each in duty_rules() if (each.rule, each.kind) == (rule, kind)]
    dated = [each for each in found if on is not None and each.in_force(on)]
    return next(reversed(dated or found), None)


OPENING: frozenset[EventType] = frozenset(
    trigger.type for rule in duty_rules() for trigger in rule.opens if trigger.type is not None
)
"""The types of event that may open a duty."""

DISCHARGING: frozenset[EventType] = frozenset(
    trigger.type for rule in duty_rules() for trigger in rule.discharged_by if trigger.type is not None
)
"""The types of event that may discharge one."""

REPORTS: frozenset[str] = frozenset(
    trigger.report for rule in duty_rules() for trigger in rule.opens if trigger.report is not None
)
"""What can be reported by hand, because nothing else here learns of it."""


def opened_by_event(event: EventType, facts: Facts, *, on: date) -> list[Opening]:
    """Return the entries in force on a local day that an event with these facts opens, wherever the person lives."""
    found = []
    for rule in duty_rules():
        doubts = _first_doubts(rule.opens, event, facts)
        if doubts is not None and rule.in_force(on):
            found.append(Opening(rule, doubts))
    return found


def _first_doubts(triggers: Iterable[Trigger], event: EventType, facts: Facts) -> tuple[str, ...] | None:
    told = (trigger.doubts(event, facts) for trigger in triggers)
    return next((doubts for doubts in told if doubts is not None), None)


def opened_by_report(report: str, *, on: date) -> list[Opening]:
    """Return the entries in force on a local day that a report opens."""
    return [
        Opening(rule, ())
        for rule in duty_rules()
        if rule.in_force(on) and any(trigger.report == report for trigger in rule.opens)
    ]


def opened_by_ruling(rule: str, *, on: date) -> list[Opening]:
    """Return the entries in force on a local day that an act creates whose ruling obliges under this rule."""
    return [
        Opening(each, ())
        for each in duty_rules()
        if each.rule == rule and each.in_force(on) and any(trigger.ruling for trigger in each.opens)
    ]


def is_event_duty(rule: str) -> bool:
    """Tell whether an obligation of this rule is opened by the event itself, so that rulings need not open it again."""
    return any(each.rule == rule and not any(trigger.ruling for trigger in each.opens) for each in duty_rules())


def discharges(rule: DutyRule, event: EventType, facts: Facts) -> bool:
    """Tell whether an event with these facts discharges a duty of the entry; a fact that is not on file does not."""
    return any(trigger.doubts(event, facts) == () for trigger in rule.discharged_by)
