"""Results: what the counts of an experiment's arms say under its design, at any look."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum

from chalicelib.domain.experiments.design import (
    FEWEST_EVENTS,
    FEWEST_MEASURED,
    Arm,
    ArmRole,
    Design,
    planned_pair,
    planned_persons,
)
from chalicelib.domain.experiments.mismatch import Mismatch, mismatch
from chalicelib.domain.experiments.sequential import Interval, Sample, difference, ratio

GOAL = 0.10
"""What the plan asks of each change of strategy: a relative improvement of 10 % (founding plan, measure 5)."""

_PLACES = Decimal("0.000001")


class Answer(StrEnum):
    """What a comparison says."""

    NOT_ENOUGH_DATA = "not_enough_data"
    BETTER = "better"
    WORSE = "worse"
    NO_DIFFERENCE_FOUND = "no_difference_found"


class Because(StrEnum):
    """Why there is not enough data."""

    SAMPLE_RATIO_MISMATCH = "sample_ratio_mismatch"
    TOO_FEW_MEASURED = "too_few_measured"
    PLAN_NOT_REACHED = "plan_not_reached"


class Goal(StrEnum):
    """Whether the change reaches the +10 % goal: open while the interval of the lift holds both answers."""

    MET = "met"
    MISSED = "missed"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class ArmCounts:
    """The counts of one arm: persons assigned and measured, and of their outcomes how many are not 0, sum and squares."""

    assigned: int = 0
    measured: int = 0
    nonzero: int = 0
    total: int = 0
    squares: int = 0

    def plus(self, outcome: int) -> "ArmCounts":
        """Return the counts with one person measured more."""
        return ArmCounts(
            self.assigned,
            self.measured + 1,
            self.nonzero + (outcome != 0),
            self.total + outcome,
            self.squares + outcome * outcome,
        )

    def merged(self, other: "ArmCounts") -> "ArmCounts":
        """Return the counts of both together."""
        return ArmCounts(
            self.assigned + other.assigned,
            self.measured + other.measured,
            self.nonzero + other.nonzero,
            self.total + other.total,
            self.squares + other.squares,
        )

    @property
    def sample(self) -> Sample:
        """Return what the intervals are made from."""
        return Sample(self.measured, self.total, self.squares)


@dataclass(frozen=True, slots=True)
class Comparison:
    """An arm beside the champion.

    ``difference`` and ``lift`` (relative) are None while too few are measured or a sample ratio mismatch forbids to
    tell; ``lift`` also while the champion's mean may be 0. Their intervals hold at all looks at once.
    """

    arm: str
    role: ArmRole
    answer: Answer
    because: Because | None
    difference: Interval | None
    lift: Interval | None
    goal: Goal
    measured: int
    planned: int


@dataclass(frozen=True, slots=True)
class Results:
    """What an experiment says at one look: every comparison, and whether the arms have the sizes that they should."""

    arms: Mapping[str, ArmCounts]
    comparisons: tuple[Comparison, ...]
    assigned_mismatch: Mismatch
    measured_mismatch: Mismatch
    planned: int

    @property
    def has_mismatch(self) -> bool:
        """Tell whether the results must not be believed."""
        return self.assigned_mismatch.alarm or self.measured_mismatch.alarm


def results(design: Design, arms: Mapping[str, ArmCounts]) -> Results:
    """Return what the counts say under the design; an arm that is not named has none.

    Persons are counted in the arm they were assigned to, whatever happened to them (intention to treat), and measured
    when the horizon is over for them. Looking early, late or often changes nothing about the rate of false alarms.
    """
    counts = {arm.name: arms.get(arm.name, ArmCounts()) for arm in design.arms}
    shares = [arm.share for arm in design.arms]
    assigned = mismatch([counts[arm.name].assigned for arm in design.arms], shares)
    measured = mismatch([counts[arm.name].measured for arm in design.arms], shares)
    wrong = assigned.alarm or measured.alarm
    return Results(
        arms=counts,
        comparisons=tuple(_comparison(design, counts, arm, wrong=wrong) for arm in design.others),
        assigned_mismatch=assigned,
        measured_mismatch=measured,
        planned=planned_persons(design),
    )


def text_of(value: float) -> str:
    """Return a figure to six decimals, half to even.

    >>> text_of(0.1)
    '0.100000'
    """
    return str(Decimal(value).quantize(_PLACES, rounding=ROUND_HALF_EVEN) + 0)


def _comparison(design: Design, counts: Mapping[str, ArmCounts], arm: Arm, *, wrong: bool) -> Comparison:
    control, treated = counts[design.champion.name], counts[arm.name]
    planned, seen = planned_pair(design, arm), control.measured + treated.measured
    untold = Comparison(
        arm.name, arm.role, Answer.NOT_ENOUGH_DATA, Because.TOO_FEW_MEASURED, None, None, Goal.OPEN, seen, planned
    )
    if wrong:
        return _because(untold, Because.SAMPLE_RATIO_MISMATCH)
    if not (_is_enough(design, control) and _is_enough(design, treated)):
        return untold
    alpha, most = design.alpha_of_each, design.metric.most
    apart = difference(control.sample, treated.sample, planned=planned, alpha=alpha)
    times = ratio(control.sample, treated.sample, planned=planned, alpha=alpha)
    lift = Interval(times.estimate - 1, times.low - 1, times.high - 1) if times is not None else None
    if apart.excludes(0):
        gained = (apart.estimate > 0) == design.metric.more_is_better
        answer, because = (Answer.BETTER if gained else Answer.WORSE), None
    elif seen >= planned:
        answer, because = Answer.NO_DIFFERENCE_FOUND, None
    else:
        answer, because = Answer.NOT_ENOUGH_DATA, Because.PLAN_NOT_REACHED
    return Comparison(
        arm.name,
        arm.role,
        answer,
        because,
        Interval(apart.estimate / most, apart.low / most, apart.high / most),
        lift,
        _goal(design, lift),
        seen,
        planned,
    )


def _because(untold: Comparison, because: Because) -> Comparison:
    return Comparison(
        untold.arm, untold.role, untold.answer, because, None, None, Goal.OPEN, untold.measured, untold.planned
    )


def _is_enough(design: Design, counts: ArmCounts) -> bool:
    if counts.measured < FEWEST_MEASURED or counts.nonzero < FEWEST_EVENTS:
        return False
    return not design.metric.is_share_of_persons or counts.measured - counts.nonzero >= FEWEST_EVENTS


def _goal(design: Design, lift: Interval | None) -> Goal:
    if lift is None:
        return Goal.OPEN
    low, high = (lift.low, lift.high) if design.metric.more_is_better else (-lift.high, -lift.low)
    if low >= GOAL:
        return Goal.MET
    return Goal.MISSED if high < GOAL else Goal.OPEN
