"""Intervals for a difference or ratio of two means that stay valid however often, and whenever, somebody looks.

The boundary is the asymptotic confidence sequence of I. Waudby-Smith, D. Arbour, R. Sinha, E. H. Kennedy and A. Ramdas,
"Time-uniform central limit theory and asymptotic confidence sequences", Annals of Statistics 52 (2024), theorem 2.2
(arXiv:2103.06476): after n observations the estimate lies within

    sd / sqrt(n) * sqrt((1 + 1/x) * ln((1 + x) / alpha^2)),    x = n * rho^2,

of the truth at all n at once with probability 1 - alpha (two-sided; asymptotic in the first n that is looked at, so the
caller asks for a minimum). It is Robbins' normal mixture (1970) with the variance estimated. ``rho`` is chosen so that
the interval is narrowest at the planned n (their section 2.4): x* solves 1 + x = alpha^2 * e^x.

For two arms that were drawn by lot the estimate is the difference of their means, whose standard error is
sqrt(s1^2/n1 + s0^2/n0), the influence-function form of their section 3 with the arms' means as only regressors.
The interval of the ratio r of two means inverts the same statement on mean1 - r * mean0 (Fieller's theorem), so that
it excludes 1 exactly when the interval of the difference excludes 0.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist


@dataclass(frozen=True, slots=True)
class Sample:
    """What was measured in one arm: ``n`` persons, the sum of their outcomes and of the squares, exact integers."""

    n: int
    total: int
    squares: int

    @property
    def mean(self) -> float:
        """Return the mean; ``n`` is above 0."""
        return self.total / self.n

    @property
    def variance(self) -> float:
        """Return the variance with divisor n, by exact integers before the one division."""
        return (self.n * self.squares - self.total * self.total) / (self.n * self.n)


@dataclass(frozen=True, slots=True)
class Interval:
    """A closed interval around an estimate."""

    estimate: float
    low: float
    high: float

    def excludes(self, value: float) -> bool:
        """Tell whether the value lies outside."""
        return not self.low <= value <= self.high


def best_x(alpha: float) -> float:
    """Return x* with 1 + x = alpha^2 * e^x, for which the boundary is narrowest; alpha in (0, 1).

    >>> round(best_x(0.05), 6)
    8.211968
    """
    x = 1.0
    while True:
        following = math.log1p(x) - 2 * math.log(alpha)
        # A contraction with factor 1 / (1 + x): it ends when floating point does not move it any more.
        if abs(following - x) <= 1e-13 * following:
            return following
        x = following


def multiplier(n: int, *, planned: int, alpha: float) -> float:
    """Return by how many standard errors the interval reaches to either side after n of the planned observations.

    It falls to about 3.03 at the plan with alpha 0.05, and grows slowly afterwards; one look alone would need 1.96.
    """
    x = best_x(alpha) * n / planned
    return math.sqrt((1 + 1 / x) * (math.log1p(x) - 2 * math.log(alpha)))


def difference(control: Sample, treated: Sample, *, planned: int, alpha: float) -> Interval:
    """Return the interval of (treated - control); ``planned`` counts both arms together. Both have n above 0."""
    reach = multiplier(control.n + treated.n, planned=planned, alpha=alpha)
    estimate = treated.mean - control.mean
    half = reach * math.sqrt(treated.variance / treated.n + control.variance / control.n)
    return Interval(estimate, estimate - half, estimate + half)


def ratio(control: Sample, treated: Sample, *, planned: int, alpha: float) -> Interval | None:
    """Return the interval of treated / control; None while the control's mean may be 0, which makes it unbounded."""
    reach2 = multiplier(control.n + treated.n, planned=planned, alpha=alpha) ** 2
    spread0, spread1 = reach2 * control.variance / control.n, reach2 * treated.variance / treated.n
    a, b, c = control.mean**2 - spread0, control.mean * treated.mean, treated.mean**2 - spread1
    if a <= 0:
        return None
    root = math.sqrt(max(b * b - a * c, 0.0))
    return Interval(treated.mean / control.mean, (b - root) / a, (b + root) / a)


def needed(
    *, variance0: float, variance1: float, share0: float, share1: float, effect: float, alpha: float, power: float
) -> int:
    """Return how many persons both arms need together to tell an effect apart from none with the power, at the plan.

    Shares are of the two arms together and add up to 1; ``effect`` is the absolute difference, not 0. At the plan the
    estimate must lie further from 0 than the boundary, which it does with the power when the effect is (multiplier + z)
    standard errors. Looks before the plan can only add to the power.
    """
    reach = math.sqrt(1 + best_x(alpha)) + NormalDist().inv_cdf(power)
    return math.ceil(reach**2 * (variance0 / share0 + variance1 / share1) / effect**2)
