"""A strategy as versioned data: which recorded wishes would have been other acts, or none.

Steps are tried in order and the first whose ``when`` meets the wish applies: the act is dropped, goes by another
channel, or waits for a local time of day. What no step meets stays as it was.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from chalicelib.domain.cases.repayment_ledger import bucket_of
from chalicelib.domain.compliance.case import Atlas, Case, resolve
from chalicelib.domain.compliance.hours import is_open, next_open
from chalicelib.domain.compliance.timeline import NEVER, UnknownZone, Zones, clock, instant_of, instant_text
from chalicelib.domain.outreach.dossier import LINE_KINDS

_POINTS = {"sms": ("mobile",), "email": ("email",), "wechat": ("wechat",), "letter": ("address",)}
"""Kinds of contact point that a message by each channel goes to."""

_Code = Annotated[str, Field(pattern=r"^[A-Za-z0-9_+-]{1,80}$")]
_Clock = Annotated[str, Field(pattern=r"^(?:[01][0-9]|2[0-3]):[0-5][0-9]$")]
Message = Literal["sms", "email", "wechat", "letter"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Filter(_Model):
    """Which wishes a step meets: every list that is given must hold the wish's value. An empty filter meets all."""

    stage: tuple[_Code, ...] | None = None
    channel: tuple[_Code, ...] | None = None
    purpose: tuple[_Code, ...] | None = None
    agency: tuple[_Code, ...] | None = None
    country: tuple[_Code, ...] | None = None


class Window(_Model):
    """A span of the recipient's local day, half-open; ``from`` comes before ``to``."""

    from_: Annotated[_Clock, Field(alias="from")]
    to: _Clock

    @model_validator(mode="after")
    def _in_order(self) -> "Window":
        if self.from_ >= self.to:
            raise ValueError("from comes before to")
        return self


class Change(_Model):
    """What becomes of a wish: exactly one of these. ``channel`` names a message channel; people make calls and visits."""

    drop: Literal[True] | None = None
    channel: Message | None = None
    window: Window | None = None

    @model_validator(mode="after")
    def _one(self) -> "Change":
        if sum(each is not None for each in (self.drop, self.channel, self.window)) != 1:
            raise ValueError("exactly one of drop, channel and window")
        return self


class Step(_Model):
    """One step of a strategy."""

    when: Filter = Filter()
    then: Change


class Strategy(_Model):
    """A strategy: ``format`` is the form of this data, ``version`` the strategy's own."""

    format: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,60}$")]
    version: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=50)]


@dataclass(frozen=True, slots=True)
class Traits:
    """By what a recorded wish is counted and met: never a fact about a person."""

    agency: str
    stage: str
    channel: str
    purpose: str
    country: str


@dataclass(frozen=True, slots=True)
class Act:
    """What a strategy makes of a wish. ``dossier`` is None when the act is dropped or cannot be made.

    ``change`` is dropped, unreachable (no contact point for the channel, or no such hour within the horizon),
    rechannelled, shifted, or None.
    """

    dossier: Mapping[str, Any] | None
    change: str | None = None


def traits_of(dossier: Mapping[str, Any], *, country: str) -> Traits:
    """Return the traits of a dossier's act; the stage is the bucket of days past due of its first debt."""
    act = dossier["act"]
    named = act.get("debts") or sorted(dossier["debts"])
    days = dossier["debts"][named[0]].get("days_past_due") if named else None
    stage = "unknown" if days is None else bucket_of(max(0, days), country=country)
    return Traits(act["org"], stage, act["channel"], act.get("purpose", "demand"), country)


def apply(strategy: Strategy | None, dossier: Mapping[str, Any], traits: Traits, atlas: Atlas) -> Act:
    """Return the act that a strategy makes of a recorded wish."""
    step = next((each for each in strategy.steps if _meets(each.when, traits)), None) if strategy else None
    if step is None:
        return Act(dossier)
    if step.then.drop:
        return Act(None, "dropped")
    if step.then.channel is not None:
        return _by(step.then.channel, dossier)
    return _within(step.then.window, dossier, atlas) if step.then.window is not None else Act(dossier)


def _meets(wanted: Filter, traits: Traits) -> bool:
    return all(
        listed is None or getattr(traits, name) in listed
        for name, listed in ((name, getattr(wanted, name)) for name in Filter.model_fields)
    )


def _by(channel: str, dossier: Mapping[str, Any]) -> Act:
    act = dossier["act"]
    if act["channel"] == channel:
        return Act(dossier)
    points = dossier["points"]
    fit = sorted(
        ident
        for ident, point in points.items()
        if point["party"] == act["to"]
        and point["kind"] in _POINTS[channel]
        and point.get("status", "ok") in ("ok", "unverified")
    )
    if not fit:
        return Act(None, "unreachable")
    changed = {key: value for key, value in act.items() if key not in ("dialler", "recorded", "visit", "from")}
    changed |= {"channel": channel, "point": fit[0]}
    if channel in LINE_KINDS:
        line = f"line_{act['org']}_{channel}"
        facts = {"personal_device": False, "registered_line": True, "corporate_account": True}
        points = {**points, line: {"party": act["org"], "kind": LINE_KINDS[channel], **facts}}
        changed["from"] = line
    return Act({**dossier, "act": changed, "points": points}, "rechannelled")


def _within(window: Window, dossier: Mapping[str, Any], atlas: Atlas) -> Act:
    at = instant_of(dossier["at"])
    try:
        zones = resolve(Case(dossier).zone_names(atlas))
    except UnknownZone:
        zones = ()
    moved = _moved(at, zones, (clock(window.from_), clock(window.to)))
    if moved is None:
        return Act(None, "unreachable")
    if moved == at:
        return Act(dossier)
    later = moved - at
    act = dict(dossier["act"])
    if "content" in act:
        act["content"] = _as_fresh(act["content"], later)
    debts = {ident: _as_fresh(debt, later) for ident, debt in dossier["debts"].items()}
    return Act({**dossier, "at": instant_text(moved), "act": act, "debts": debts}, "shifted")


def _moved(at: int, zones: Zones, span: tuple[int, int]) -> int | None:
    """Return the first instant from ``at`` on that lies in the span in every zone, None when there is none."""
    if not zones:
        return None
    for _ in range(20):
        shut = [zone for zone in zones if not is_open(lambda zone, day: (span,), zone, at)]
        if not shut:
            return at
        at = max(next_open(lambda zone, day: (span,), zone, at) for zone in shut)
        if at >= NEVER:
            break
    return None


def _as_fresh(facts: Mapping[str, Any], later: int) -> dict[str, Any]:
    """Return the facts with the balance as old at the later instant as it was: a message is rendered when it is sent."""
    stated = facts.get("amount_as_of")
    if stated is None or len(stated) == 10:
        return dict(facts)
    return {**facts, "amount_as_of": instant_text(instant_of(stated) + later)}
