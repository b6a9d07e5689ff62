"""The plan of one case: which step of its path comes next, on which day, and what was left out on the way and why.

A step is due on its local day, at most two days late, and taken at most once a case. Of several that are due the last
one is taken and the others are left out, so that a plan that stood still does not catch up with a flood.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field

from chalicelib.domain.instants import from_text
from chalicelib.domain.strategies.facts import CaseFacts
from chalicelib.domain.strategies.strategy import Path, Step, Window

GRACE_DAYS = 2
"""How many local days after its own a step may still be taken."""

LAST_LOOK = timedelta(minutes=5)
"""How long before the end of its window a step is due at the latest: the clock looks every minute, and may be late.

A slot is the same on each day, so one that the clock cannot reach before the window is over would be missed on every one.
"""


class Outcome(StrEnum):
    """What became of a step."""

    REQUESTED = "requested"
    TASK = "task"
    REFERRED = "referred"
    LEFT_OUT = "left_out"


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Settled(_Value):
    """A step that is over: how, when, and the contact that it asked for or the code of why it was left out."""

    path: str
    step: str
    outcome: Outcome
    at: str
    on: str
    contact: str | None = None
    channel: str | None = None
    reason: str | None = None


class Asking(_Value):
    """A step for which room in the budget is taken and a message is being asked for: what a crash leaves to be finished."""

    path: str
    step: str
    on: str
    contact: str
    channel: str
    template: str
    org: str
    collector: str | None = None


class Scheduled(_Value):
    """A step's instant, once it is fixed: where in the day's window it falls."""

    path: str
    step: str
    at: str


class Override(_Value):
    """What a person decided instead of the plan. Why is sealed in the event; ``until`` is the last day of a pause."""

    decision: str
    by: str
    at: str
    step: str | None = None
    until: str | None = None
    channel: str | None = None


class CasePlan(_Value):
    """Where one case stands in its strategy: ids, codes and instants, nothing of a person.

    ``settled`` is keyed by path and step, whatever the version: what was done once is not done again under the next one.
    """

    case: str
    strategy: str | None = None
    number: int | None = None
    path: str | None = None
    entered_at: str | None = None
    settled: Annotated[tuple[Settled, ...], Field(max_length=2_000)] = ()
    asking: Asking | None = None
    scheduled: Scheduled | None = None
    overrides: tuple[Override, ...] = ()
    channels: dict[str, str] = {}
    paused_until: str | None = None
    standing: str = "waiting"
    due_at: str | None = None
    version: int = 0

    def of(self, path: str, step: str) -> Settled | None:
        """Return what became of a step, None while it is open."""
        return next((each for each in self.settled if (each.path, each.step) == (path, step)), None)


@dataclass(frozen=True, slots=True)
class Open:
    """A step that is not over, and the local day that it is due on."""

    step: Step
    on: date


@dataclass(frozen=True, slots=True)
class Turn:
    """What one look at a plan finds: what may be taken today, what is left out (with the reason's code), what comes next."""

    due: Open | None
    left_out: tuple[tuple[Open, str], ...]
    following: Open | None


def turn(path: Path, plan: CasePlan, facts: CaseFacts, *, today: date, zone: str) -> Turn:
    """Return what today brings on a path; ``zone`` is the lender's, in which days are counted."""
    open_steps = _open_steps(path, plan, facts, today=today, zone=zone)
    due = [each for each in open_steps if each.on <= today]
    following = next((each for each in open_steps if each.on > today), None)
    left_out = [(each, "overtaken") for each in due[:-1]]
    if not due:
        return Turn(None, (), following)
    last = due[-1]
    if (today - last.on).days > GRACE_DAYS:
        return Turn(None, (*left_out, (last, "too_late")), following)
    reason = _held_back(path, last.step, facts)
    if reason == "not_met":
        return Turn(None, (*left_out, (last, reason)), following)
    if reason is not None:
        # It may be over tomorrow: the step waits out its grace.
        return Turn(None, tuple(left_out), Open(last.step, today + timedelta(days=1)))
    return Turn(last, tuple(left_out), following)


def _held_back(path: Path, step: Step, facts: CaseFacts) -> str | None:
    if facts.is_on_hold or any(each.is_met(facts) for each in path.stop_while):
        return "stopped"
    return None if all(each.is_met(facts) for each in step.when) else "not_met"


def _open_steps(path: Path, plan: CasePlan, facts: CaseFacts, *, today: date, zone: str) -> list[Open]:
    due_day = today - timedelta(days=facts.days_past_due)
    entered = from_text(plan.entered_at).astimezone(ZoneInfo(zone)).date() if plan.entered_at else today
    before, found = entered, []
    for step in path.steps:
        base = {"due_day": due_day, "entry": entered, "step_before": before}[step.wait.from_]
        on = base + timedelta(days=step.wait.days)
        over = plan.of(path.id, step.id)
        before = date.fromisoformat(over.on) if over is not None else max(on, before)
        if over is None:
            found.append(Open(step, on))
    return found


def slot(day: date, window: Window, zones: Sequence[str], *, seed: str, after: datetime) -> datetime | None:
    """Return the instant (UTC) of a local day at which a step is taken, None once its window is over.

    It lies inside the window in every zone, spread by the seed: equal seeds give equal instants, and over many seeds
    they lie evenly over what is left of the window less its last minutes (``LAST_LOOK``), so that work and messages do.
    Where no instant of the day lies in the window of every zone, the first zone decides.
    """
    start, end = _span(day, window, zones)
    start = max(start, after)
    if start >= end:
        return None
    part = int.from_bytes(hashlib.sha256(f"forbear/slot/1\n{seed}".encode()).digest()[:8], "big") / 2**64
    room = max(timedelta(0), end - start - LAST_LOOK)
    return start + timedelta(seconds=int(room.total_seconds() * part))


def is_open(now: datetime, day: date, window: Window, zones: Sequence[str]) -> bool:
    """Tell whether an instant lies in the window (half-open) of that local day, in every zone or else in the first."""
    start, end = _span(day, window, zones)
    return start <= now < end


def _span(day: date, window: Window, zones: Sequence[str]) -> tuple[datetime, datetime]:
    spans = [(_at(day, window.from_, zone), _at(day, window.to, zone)) for zone in zones]
    start, end = max(span[0] for span in spans), min(span[1] for span in spans)
    return (start, end) if start < end else spans[0]


def _at(day: date, clock: str, zone: str) -> datetime:
    local = datetime.combine(day, time.fromisoformat(clock), tzinfo=ZoneInfo(zone))
    return local.astimezone(UTC)


def contact_id(tenant: str, case: str, strategy: str, path: str, step: str) -> str:
    """Return the id of the message that a step asks for: the same however often and wherever the step is taken."""
    named = "\n".join(("forbear/plan/1", tenant, case, strategy, path, step))
    return f"msg_p{hashlib.sha256(named.encode()).hexdigest()[:25]}"


def with_settled(plan: CasePlan, settled: Sequence[Settled]) -> CasePlan:
    """Return the plan with these steps over."""
    return plan.model_copy(update={"settled": (*plan.settled, *settled)})


class Enrolment(_Value):
    """The walk over a lender's cases that gives each a plan when a version is activated: twice, for what came meanwhile."""

    strategy: str
    number: int
    after: str | None = None
    passes: int = 0
    due_at: str | None = None
    version: int = 1
