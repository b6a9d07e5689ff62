"""What keeps a strategy from being one: every fault with its pointer, before anybody is asked to approve it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from chalicelib.domain.faults import Fault
from chalicelib.domain.strategies.facts import FACTS, Stage
from chalicelib.domain.strategies.strategy import BestAct, Condition, MessageAct, Path, Step, Strategy, Window


@dataclass(frozen=True, slots=True)
class KnownTemplate:
    """A template of the lender that may be sent now: by which channel, and what for."""

    channel: str
    purpose: str


def strategy_faults(strategy: Strategy, templates: Mapping[str, KnownTemplate]) -> list[Fault]:
    """Return every fault of a strategy; ``templates`` are the lender's in force. Nothing when it is sound."""
    return list(_faults(strategy, templates))


def _faults(strategy: Strategy, templates: Mapping[str, KnownTemplate]) -> Iterator[Fault]:
    yield from _doubled("/paths", [path.id for path in strategy.paths], "a path has an id of its own")
    yield from _window("/hours", strategy.hours)
    budgets = [f"{each.channel} {each.of}" for each in strategy.budgets]
    yield from _doubled("/budgets", budgets, "a channel has one budget of the lender and one of each agency")
    for place, path in enumerate(strategy.paths):
        at = f"/paths/{place}"
        if place and not strategy.paths[place - 1].segment:
            yield Fault(at, "unreachable_path", "the path before takes every case that comes so far")
        yield from _conditions(f"{at}/segment", path.segment)
        yield from _conditions(f"{at}/stop_while", path.stop_while)
        yield from _doubled(f"{at}/steps", [step.id for step in path.steps], "a step has an id of its own in its path")
        for number, step in enumerate(path.steps):
            yield from _step(f"{at}/steps/{number}", path, number, step, templates)


def _step(at: str, path: Path, number: int, step: Step, templates: Mapping[str, KnownTemplate]) -> Iterator[Fault]:
    yield from _conditions(f"{at}/when", step.when)
    if step.window is not None:
        yield from _window(f"{at}/window", step.window)
    if step.wait.from_ == "step_before" and number == 0:
        yield Fault(f"{at}/wait/from", "no_step_before", "the first step of a path has none before it")
    if step.wait.from_ != "due_day" and step.wait.days < 0:
        yield Fault(f"{at}/wait/days", "out_of_range", "only the due day of the debt can lie ahead")
    earlier = [each.wait.days for each in path.steps[:number] if each.wait.from_ == step.wait.from_]
    if step.wait.from_ != "step_before" and earlier and step.wait.days < earlier[-1]:
        yield Fault(f"{at}/wait/days", "out_of_order", "a step is not due before one that stands above it")
    for pointer, channel, name in _templates(at, step):
        known = templates.get(name)
        if known is None:
            yield Fault(pointer, "unknown_template", "the lender has no such template in force")
            continue
        if known.channel != channel:
            yield Fault(pointer, "other_channel", f"that template is for {known.channel}")
        if _may_be_early(path, step) and known.purpose != "reminder":
            yield Fault(
                pointer, "reminder_needed", "before the due day nothing is demanded: the template is a reminder"
            )


def _templates(at: str, step: Step) -> list[tuple[str, str, str]]:
    if isinstance(step.act, MessageAct):
        return [(f"{at}/act/template", step.act.channel, step.act.template)]
    if isinstance(step.act, BestAct):
        return [(f"{at}/act/templates/{channel}", channel, name) for channel, name in step.act.templates.items()]
    return []


def _may_be_early(path: Path, step: Step) -> bool:
    """Tell whether the step can be due while nothing is overdue: its day is, or the segment says so and nothing else."""
    if step.wait.from_ == "due_day":
        return step.wait.days <= 0
    return any(each.fact == "stage" and each.one_of == (Stage.BEFORE_DUE.value,) for each in path.segment)


def _conditions(at: str, conditions: Sequence[Condition]) -> Iterator[Fault]:
    for place, condition in enumerate(conditions):
        yield from _condition(f"{at}/{place}", condition)


def _condition(at: str, condition: Condition) -> Iterator[Fault]:
    fact = FACTS.get(condition.fact)
    if fact is None:
        yield Fault(f"{at}/fact", "unknown_fact", f"facts are {', '.join(FACTS)}")
        return
    fits = {"integer": ("at_least", "at_most"), "code": ("one_of",), "codes": ("one_of",), "boolean": ("equals",)}
    given = [name for name in ("at_least", "at_most", "one_of", "equals") if getattr(condition, name) is not None]
    if not given:
        yield Fault(at, "missing_key", f"state what it must be: {' or '.join(fits[fact.kind])}")
    for name in given:
        if name not in fits[fact.kind]:
            yield Fault(f"{at}/{name}", "wrong_kind", f"this fact takes {' and '.join(fits[fact.kind])}")
    if condition.one_of is not None and fact.values:
        for place, value in enumerate(condition.one_of):
            if value not in fact.values:
                yield Fault(f"{at}/one_of/{place}", "unknown_value", f"values are {', '.join(fact.values)}")
    if condition.at_least is not None and condition.at_most is not None and condition.at_least > condition.at_most:
        yield Fault(at, "empty_range", "at_least is above at_most: no case can meet it")


def _window(at: str, window: Window) -> Iterator[Fault]:
    if window.from_ >= window.to:
        yield Fault(at, "empty_window", "from comes before to, on the same day")


def _doubled(at: str, names: Sequence[str], message: str) -> Iterator[Fault]:
    for place, name in enumerate(names):
        if name in names[:place]:
            yield Fault(f"{at}/{place}", "duplicate", message)
