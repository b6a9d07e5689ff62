"""The design of an experiment: everything that is named before it starts and cannot be changed afterwards."""

import hashlib
import json
import math
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from chalicelib.domain.experiments.assignment import SHARES
from chalicelib.domain.experiments.sequential import needed
from chalicelib.domain.faults import Fault

MOST_ARMS = 5
"""Arms that one experiment may have, the champion included."""

FEWEST_MEASURED = 100
"""Measured persons that an arm needs before a difference is told: the boundary is asymptotic."""

FEWEST_EVENTS = 10
"""Outcomes other than 0 that an arm needs as well, and outcomes below the most where an outcome is yes or no."""


class Metric(StrEnum):
    """What is measured of each person over the horizon, as a whole number. See ``docs/experiments.md``."""

    PAID = "paid"
    CURED = "cured"
    RIGHT_PARTY = "right_party"
    COMPLAINED = "complained"
    COLLECTED_SHARE = "collected_share"

    @property
    def most(self) -> int:
        """Return the greatest outcome: 1 of a yes or no, 10,000 of a share."""
        return SHARES if self is Metric.COLLECTED_SHARE else 1

    @property
    def is_share_of_persons(self) -> bool:
        """Tell whether the outcome of a person is yes (1) or no (0)."""
        return self.most == 1

    @property
    def more_is_better(self) -> bool:
        """Tell which direction is the better one."""
        return self is not Metric.COMPLAINED


class ArmRole(StrEnum):
    """What an arm is there for."""

    CHAMPION = "champion"
    CHALLENGER = "challenger"
    HOLDOUT = "holdout"


class Arm(BaseModel):
    """One arm: its share of the persons in ten-thousandths, and its strategy version; a holdout has none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,29}$")]
    role: ArmRole
    share: Annotated[int, Field(ge=100, le=SHARES - 100)]
    strategy: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,39}@[1-9][0-9]{0,5}$")] | None = None


class Design(BaseModel):
    """What an experiment measures, on whom, and what it must be able to tell, named before it starts.

    ``baseline`` is the champion's expected mean and ``deviation`` the expected standard deviation, in ten-thousandths of
    the greatest outcome (a share of persons has its deviation from the mean, so none is given). ``effect`` is the
    smallest relative change that must be found, ``alpha`` the rate of false alarms over all looks and comparisons and
    ``power`` the probability of finding the effect, all in ten-thousandths. ``horizon_days`` is how long after
    assignment an outcome counts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: Metric
    horizon_days: Annotated[int, Field(ge=1, le=180)]
    baseline: Annotated[int, Field(ge=1, le=SHARES - 1)]
    deviation: Annotated[int, Field(ge=1, le=SHARES)] | None = None
    effect: Annotated[int, Field(ge=100, le=SHARES)] = 1_000
    alpha: Annotated[int, Field(ge=10, le=2_000)] = 500
    power: Annotated[int, Field(ge=5_000, le=9_900)] = 8_000
    arms: Annotated[tuple[Arm, ...], Field(min_length=2, max_length=MOST_ARMS)]

    @property
    def champion(self) -> Arm:
        """Return the arm that the others are compared with. Raises StopIteration without one."""
        return next(arm for arm in self.arms if arm.role is ArmRole.CHAMPION)

    @property
    def others(self) -> tuple[Arm, ...]:
        """Return the arms that are compared with the champion."""
        return tuple(arm for arm in self.arms if arm.role is not ArmRole.CHAMPION)

    @property
    def shares(self) -> tuple[tuple[str, int], ...]:
        """Return (name, ten-thousandths) of each arm, in order."""
        return tuple((arm.name, arm.share) for arm in self.arms)

    @property
    def alpha_of_each(self) -> float:
        """Return the rate of false alarms that one comparison may have: Bonferroni's share of the whole."""
        return self.alpha / SHARES / len(self.others)

    @property
    def sha256(self) -> str:
        """Return the digest of the design: equal for equal designs, different for different ones."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def arm(self, name: str) -> Arm:
        """Return the arm of that name. Raises KeyError."""
        found = {arm.name: arm for arm in self.arms}
        return found[name]


def design_faults(design: Design) -> list[Fault]:
    """Return what keeps a design from being one, with the pointer of each field; nothing when it is sound."""
    faults = []
    if sum(arm.share for arm in design.arms) != SHARES:
        faults.append(Fault("/arms", "shares_do_not_add_up", "the shares of the arms add up to 10,000"))
    if len({arm.name for arm in design.arms}) != len(design.arms):
        faults.append(Fault("/arms", "duplicate", "each arm has a name of its own"))
    roles = [arm.role for arm in design.arms]
    if roles.count(ArmRole.CHAMPION) != 1:
        faults.append(Fault("/arms", "one_champion", "exactly one arm is the champion"))
    if roles.count(ArmRole.HOLDOUT) > 1:
        faults.append(Fault("/arms", "one_holdout", "at most one arm is a holdout"))
    for place, arm in enumerate(design.arms):
        if (arm.strategy is None) != (arm.role is ArmRole.HOLDOUT):
            code = "strategy_needed" if arm.strategy is None else "holdout_has_no_strategy"
            faults.append(Fault(f"/arms/{place}/strategy", code, "a holdout has no strategy, any other arm has one"))
    tried = [arm.strategy for arm in design.arms if arm.strategy is not None]
    if len(set(tried)) != len(tried):
        faults.append(Fault("/arms", "same_strategy", "two arms with one strategy version cannot differ"))
    if (design.deviation is None) != design.metric.is_share_of_persons:
        code = "unknown_key" if design.metric.is_share_of_persons else "missing_key"
        faults.append(Fault("/deviation", code, "a deviation is stated for a mean, and never for a yes or no"))
    if design.metric.more_is_better and design.baseline * (SHARES + design.effect) > SHARES * SHARES:
        faults.append(Fault("/effect", "out_of_range", "the baseline with the effect would be more than everything"))
    return faults


def planned_persons(design: Design) -> int:
    """Return how many persons the whole experiment needs so that each comparison has the stated power at the plan.

    A challenger is expected to be off by the effect in the better direction. Rounded up, at least 100 in the smallest
    arm. Defined for a design without faults.
    """
    most = design.metric.most
    base = design.baseline / SHARES * most
    sign = 1 if design.metric.more_is_better else -1
    champion, wanted = design.champion, math.ceil(FEWEST_MEASURED * SHARES / min(arm.share for arm in design.arms))
    for arm in design.others:
        pair = champion.share + arm.share
        moved = base * (1 + sign * design.effect / SHARES)
        both = needed(
            variance0=_variance(design, base),
            variance1=_variance(design, moved),
            share0=champion.share / pair,
            share1=arm.share / pair,
            effect=moved - base,
            alpha=design.alpha_of_each,
            power=design.power / SHARES,
        )
        wanted = max(wanted, math.ceil(both * SHARES / pair))
    return wanted


def planned_pair(design: Design, arm: Arm) -> int:
    """Return how many of the planned persons fall to the champion and this arm together."""
    return math.ceil(planned_persons(design) * (design.champion.share + arm.share) / SHARES)


def _variance(design: Design, mean: float) -> float:
    if design.deviation is None:
        return mean * (1 - mean)
    return (design.deviation / SHARES * design.metric.most) ** 2
