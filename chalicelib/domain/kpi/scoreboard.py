"""The founding plan's targets, and what the figures say about each: met, not met, or not enough data to say.

A share is judged by its whole 95 % interval: met when all of it lies on the right side of the bound, not met when all of it
lies on the wrong one. Anything else is not enough data, which is an answer. What no event tells yet is not measured.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Any

from chalicelib.domain.experiments.results import Answer, Because, Goal
from chalicelib.domain.kpi.figures import PLACES


class State(StrEnum):
    """What is known about a target."""

    MET = "met"
    NOT_MET = "not_met"
    NOT_ENOUGH_DATA = "not_enough_data"
    NOT_MEASURED = "not_measured"


class Sense(StrEnum):
    """How a bound is meant: a share at least or at most so much, every item, a mean at least so much, a rise over the base."""

    AT_LEAST = "at_least"
    AT_MOST = "at_most"
    EVERY = "every"
    MEAN = "mean"
    RISE = "rise"


@dataclass(frozen=True, slots=True)
class Target:
    """One number of the plan. ``kpi`` is the figure that tells, None where none does; ``measure`` the plan's measure, 1 to 5."""

    id: str
    measure: int
    name: Mapping[str, str]
    sense: Sense
    bound: str
    kpi: str | None
    missing: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Lift:
    """What an experiment says of one challenger: its answer, and the relative change of the named metric.

    ``interval`` is (estimate, low, high) as decimal texts and holds at all looks at once; None while too little is known to
    tell one. ``n`` persons were measured in the champion and this arm, of ``planned``. ``goal`` knows which way is better.
    """

    experiment: str
    strategy: str
    metric: str
    answer: Answer
    because: Because | None
    interval: tuple[str, str, str] | None
    goal: Goal
    n: int
    planned: int

    def as_json(self) -> dict[str, Any]:
        """Return the lift as the scoreboard and the weekly pack give it."""
        value, low, high = self.interval or (None, None, None)
        return {
            "experiment": self.experiment,
            "strategy": self.strategy,
            "metric": self.metric,
            "answer": self.answer.value,
            "because": None if self.because is None else self.because.value,
            "value": value,
            "low": low,
            "high": high,
            "goal": self.goal.value,
            "n": self.n,
            "planned": self.planned,
        }


class Alarm(StrEnum):
    """How loud an early warning is: ``watch`` points ahead, ``warning`` says that the bound is passed already."""

    NONE = "none"
    WATCH = "watch"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class EarlyWarning:
    """What speaks before the whole interval lies beyond an upper bound.

    ``because`` names what spoke: ``rate_above_bound`` (the share itself), ``trend_reaches_bound`` (the line through the weeks, so
    many weeks ahead), ``undecided_would_exceed`` (were every undecided event confirmed). ``projected`` and ``with_undecided`` are
    those shares, None where there is too little to say.
    """

    alarm: Alarm
    because: tuple[str, ...]
    undecided: int
    projected: str | None
    with_undecided: str | None

    def as_json(self) -> dict[str, Any]:
        """Return the warning as the scoreboard gives it."""
        told = {"alarm": self.alarm.value, "because": list(self.because), "undecided": self.undecided}
        return {**told, "projected": self.projected, "with_undecided": self.with_undecided}


@dataclass(frozen=True, slots=True)
class Line:
    """A target with what is known: the figure's JSON with its span, for a rise also the base's, and earlier values.

    ``conduct`` is the conduct score of whom the line is about, and ``warning`` what speaks early; both for legal risk alone.
    """

    target: Target
    state: State
    figure: Mapping[str, Any] | None = None
    base: Mapping[str, Any] | None = None
    change: tuple[str, str, str] | None = None
    trend: Sequence[Mapping[str, Any]] = ()
    lifts: Sequence[Lift] = ()
    warning: EarlyWarning | None = None
    conduct: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the line as ``GET /v1/scoreboard`` gives it; ``change`` is (value, low, high)."""
        return {
            "id": self.target.id,
            "measure": self.target.measure,
            "name": dict(self.target.name),
            "sense": self.target.sense.value,
            "bound": self.target.bound,
            "state": self.state.value,
            "figure": None if self.figure is None else dict(self.figure),
            "base": None if self.base is None else dict(self.base),
            "change": None if self.change is None else list(self.change),
            "trend": [dict(each) for each in self.trend],
            "lifts": [each.as_json() for each in self.lifts],
            "warning": None if self.warning is None else self.warning.as_json(),
            "conduct": self.conduct,
            "missing": None if self.target.missing is None or self.figure is not None else dict(self.target.missing),
        }


def _words(zh: str, en: str) -> Mapping[str, str]:
    return {"zh": zh, "en": en}


TARGETS: tuple[Target, ...] = (
    Target(
        "data_freshness", 1, _words("三个月内更新客户数据的客户比例", "customers whose data were updated within three months"),
        Sense.AT_LEAST, "0.95", None,
        _words("需要各项客户数据的核实时间", "needs when each part of a customer's data was last verified"),
    ),
    Target(
        "contact_success", 2, _words("触达成功率一年内提升", "rise of the contact success rate within a year"),
        Sense.RISE, "0.20", "contact_success",
    ),
    Target(
        "satisfaction", 2, _words("客户满意度", "customer satisfaction"), Sense.AT_LEAST, "0.80", "satisfaction",
    ),
    Target(
        "training_hours", 3, _words("人均全年培训学时", "hours of training per collector and year"),
        Sense.MEAN, "40", "training_hours_per_collector",
    ),
    Target(
        "training_pass_rate", 3, _words("考核一次通过率", "first attempts that pass the test"), Sense.AT_LEAST, "0.90",
        "first_attempt_pass_rate",
    ),
    Target("risk_event_rate", 4, _words("法律风险事件率", "legal-risk events"), Sense.AT_MOST, "0.01", "risk_event_rate"),
    Target(
        "strategy_lift", 5, _words("每次策略调整提升效率", "lift of each change of strategy"), Sense.RISE, "0.10", None
    ),
    Target("feedback_in_48h", 5, _words("反馈48小时内处理", "feedback handled within 48 hours"), Sense.EVERY, "1", "feedback_in_48h"),
)  # fmt: skip
"""Every target that the plan states as a number."""


def of_share(target: Target, figure: Mapping[str, Any] | None) -> State:
    """Return what a share with its interval says about an upper or lower bound."""
    if target.kpi is None:
        return State.NOT_MEASURED
    if figure is None or figure["interval"] is None:
        return State.NOT_ENOUGH_DATA
    low, high = (Decimal(bound) for bound in figure["interval"])
    return _beyond(low, high, Decimal(target.bound), upwards=target.sense is Sense.AT_LEAST)


WEEKS_AHEAD = 4
"""How many weeks ahead the line through the weeks is read."""

LEAST_WEEKS = 3
"""Fewer weeks with attempts make no line."""


def early_warning(
    target: Target, figure: Mapping[str, Any] | None, weeks: Sequence[tuple[int, int]], *, undecided: int
) -> EarlyWarning:
    """Return what speaks early about a share with an upper bound.

    ``weeks`` are (events, attempts) of each week, the oldest first; ``undecided`` how many events of the span nobody has decided
    on. The line through the weeks is that of least squares, each week weighted by its attempts; a share below 0 is 0.
    """
    bound, because = Fraction(target.bound), []
    attempts = 0 if figure is None else int(figure["denominator"] or 0)
    events = 0 if figure is None else int(figure["numerator"])
    with_undecided = Fraction(events + undecided, attempts) if attempts else None
    projected = _projected(weeks)
    is_above = attempts > 0 and Fraction(events, attempts) > bound
    if is_above:
        because.append("rate_above_bound")
    if projected is not None and projected > bound:
        because.append("trend_reaches_bound")
    if undecided and with_undecided is not None and with_undecided > bound:
        because.append("undecided_would_exceed")
    alarm = Alarm.WARNING if is_above else Alarm.WATCH if because else Alarm.NONE
    return EarlyWarning(alarm, tuple(because), undecided, _text(projected), _text(with_undecided))


def _projected(weeks: Sequence[tuple[int, int]]) -> Fraction | None:
    """Return the share that the line through the weeks reaches ``WEEKS_AHEAD`` weeks after the last; None without a line."""
    known = [(place, Fraction(events, n), n) for place, (events, n) in enumerate(weeks) if n]
    if len(known) < LEAST_WEEKS:
        return None
    total = sum(n for _, _, n in known)
    middle = Fraction(sum(place * n for place, _, n in known), total)
    mean = sum((share * n for _, share, n in known), Fraction(0)) / total
    spread = sum((n * (place - middle) ** 2 for place, _, n in known), Fraction(0))
    together = sum((n * (place - middle) * (share - mean) for place, share, n in known), Fraction(0))
    return max(Fraction(0), mean + together / spread * (len(weeks) - 1 + WEEKS_AHEAD - middle))


def conduct_score(deduction: Mapping[str, Any] | None) -> str | None:
    """Return 100 less the points taken per 1,000 attempts, at least 0; None where nothing was attempted.

    >>> conduct_score({"value": "12.500000"})
    '87.500000'
    """
    if deduction is None or deduction["value"] is None:
        return None
    return str(max(Decimal(0), 100 - Decimal(deduction["value"])).quantize(PLACES))


def _text(share: Fraction | None) -> str | None:
    if share is None:
        return None
    return str((Decimal(share.numerator) / share.denominator).quantize(PLACES, rounding=ROUND_HALF_EVEN))


def of_mean(target: Target, figure: Mapping[str, Any] | None) -> State:
    """Return what a mean over everybody says about its lower bound: it is of all, not of a sample, and has no interval.

    >>> of_mean(TARGETS[3], {"value": "40.000000"}).value
    'met'
    """
    if figure is None or figure["value"] is None:
        return State.NOT_ENOUGH_DATA
    return State.MET if Decimal(figure["value"]) >= Decimal(target.bound) else State.NOT_MET


def of_coverage(target: Target, figure: Mapping[str, Any] | None) -> State:
    """Return what the share of customers whose data are up to date says; they are counted as they stand, not by events.

    >>> of_coverage(TARGETS[0], {"interval": ["0.951000", "0.990000"]}).value
    'met'
    """
    if figure is None:
        return State.NOT_MEASURED
    low, high = (Decimal(bound) for bound in figure["interval"])
    return _beyond(low, high, Decimal(target.bound), upwards=True)


def _beyond(low: Decimal, high: Decimal, bound: Decimal, *, upwards: bool) -> State:
    if low >= bound if upwards else high <= bound:
        return State.MET
    return State.NOT_MET if (high < bound if upwards else low > bound) else State.NOT_ENOUGH_DATA


def of_every(figure: Mapping[str, Any] | None, *, late: int, overdue: int) -> State:
    """Return what is known when every item must be in time: ``late`` were not, ``overdue`` wait beyond their time."""
    if late or overdue:
        return State.NOT_MET
    if figure is None or not figure["denominator"] or figure["numerator"] < figure["denominator"]:
        # Some still wait, within their time.
        return State.NOT_ENOUGH_DATA
    return State.MET


def rise(figure: Mapping[str, Any] | None, base: Mapping[str, Any] | None) -> tuple[str, str, str] | None:
    """Return the relative change of a share over its base, with bounds; None without both, or for a base of nothing.

    The bounds divide the ends of the two Wilson intervals, so they hold with more than 95 %: conservative on purpose.

    >>> rise({"value": "0.6", "interval": ["0.5", "0.7"]}, {"value": "0.5", "interval": ["0.4", "0.6"]})
    ('0.200000', '-0.166667', '0.750000')
    """
    if figure is None or base is None or figure["interval"] is None or base["interval"] is None:
        return None
    (low, high), (base_low, base_high) = ([Decimal(end) for end in each["interval"]] for each in (figure, base))
    if base_low <= 0 or Decimal(base["value"]) <= 0:
        return None
    ends = (Decimal(figure["value"]) / Decimal(base["value"]), low / base_high, high / base_low)
    value, lowest, highest = (str((end - 1).quantize(PLACES, rounding=ROUND_HALF_EVEN)) for end in ends)
    return value, lowest, highest


def of_rise(target: Target, change: tuple[str, str, str] | None) -> State:
    """Return what a relative change with its bounds says about the rise that is wanted."""
    if change is None:
        return State.NOT_ENOUGH_DATA
    return _beyond(Decimal(change[1]), Decimal(change[2]), Decimal(target.bound), upwards=True)


def of_lifts(lifts: Sequence[Lift]) -> State:
    """Return what the experiments say: each change of strategy must reach the goal with its whole interval."""
    goals = {each.goal for each in lifts}
    if Goal.MISSED in goals:
        return State.NOT_MET
    return State.MET if goals == {Goal.MET} else State.NOT_ENOUGH_DATA
