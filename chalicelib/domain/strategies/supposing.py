"""A strategy over recorded traffic: what of it the what-if can suppose, as its own steps.

The what-if runs over wishes that were really made, so it can tell which would have gone by another channel, at another
hour or not at all. It knows of a wish its stage, channel, purpose, agency and country; a path whose segment asks for
more cannot be supposed and is named in ``left_out``.
"""

from dataclasses import dataclass
from typing import Any

from chalicelib.domain.strategies.facts import BUCKETS, MESSAGE_CHANNELS, Stage
from chalicelib.domain.strategies.strategy import BestAct, Condition, MessageAct, Path, Strategy

_BUCKETS_OF = {
    Stage.BEFORE_DUE.value: ("M0", "current"),
    Stage.EARLY.value: ("M1", "1-29"),
    Stage.MIDDLE.value: ("M2", "M3", "30-59", "60-89"),
    Stage.LATE.value: ("M4", "M5", "M6", "M7", "90-119", "120+"),
}
"""Which buckets a stage holds; where they do not agree to the day (30, 90) the bucket decides."""

MOST_STEPS = 50
"""Steps that one what-if takes; a path whose steps do not fit any more is left out."""

PURPOSES = ("demand", "reminder")
"""Wishes that a strategy would have made; answers and notices are not its to change."""


@dataclass(frozen=True, slots=True)
class Supposed:
    """The ``strategy`` part of a what-if wish, None when no path can be supposed; and the paths that are left out."""

    part: dict[str, Any] | None
    left_out: tuple[str, ...]


def supposed(strategy: Strategy, number: int) -> Supposed:
    """Return what the what-if is asked for.

    Per path, wishes by channels that it does not use go by its first one, or fall away where it has none. Wishes by a channel that the path does use wait for its window. Once a path is left out nothing can be said of what
    the paths below it would get, unless their segments are apart; they are supposed as if the path above took none.
    """
    steps: list[dict[str, Any]] = []
    left_out = []
    for path in strategy.paths:
        met = _filter(path)
        if met is None:
            left_out.append(path.id)
            continue
        wanted = _steps(path, met, strategy)
        if len(steps) + len(wanted) > MOST_STEPS:
            left_out.append(path.id)
            continue
        steps += wanted
    if not steps:
        return Supposed(None, tuple(left_out))
    return Supposed({"format": 1, "name": strategy.id, "version": number, "steps": steps}, tuple(left_out))


def _filter(path: Path) -> dict[str, list[str]] | None:
    met: dict[str, list[str]] = {}
    for condition in path.segment:
        listed = _listed(condition)
        if listed is None:
            return None
        name, values = listed
        met[name] = [each for each in met.get(name, values) if each in values]
    return met


def _listed(condition: Condition) -> tuple[str, list[str]] | None:
    if condition.one_of is None:
        return None
    if condition.fact == "bucket":
        return "stage", [each for each in BUCKETS if each in condition.one_of]
    if condition.fact == "stage" and Stage.LEGAL.value not in condition.one_of:
        return "stage", [bucket for stage in condition.one_of for bucket in _BUCKETS_OF[stage]]
    return ("country", list(condition.one_of)) if condition.fact == "country" else None


def _steps(path: Path, met: dict[str, list[str]], strategy: Strategy) -> list[dict[str, Any]]:
    used: dict[str, dict[str, str]] = {}
    for step in path.steps:
        window = (step.window or strategy.hours).model_dump(mode="json", by_alias=True)
        for channel in _channels(step.act):
            used.setdefault(channel, window)
    found: list[dict[str, Any]] = [
        {"when": {**met, "channel": [channel], "purpose": list(PURPOSES)}, "then": {"window": window}}
        for channel, window in used.items()
    ]
    others = [channel for channel in MESSAGE_CHANNELS if channel not in used]
    if others:
        then: dict[str, Any] = {"channel": next(iter(used))} if used else {"drop": True}
        found.append({"when": {**met, "channel": others, "purpose": list(PURPOSES)}, "then": then})
    return found


def _channels(act: Any) -> list[str]:
    if isinstance(act, MessageAct):
        return [act.channel]
    return list(act.texts) if isinstance(act, BestAct) else []
