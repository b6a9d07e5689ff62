"""Sample ratio mismatch: whether the arms have the sizes that the lot gives them, watched from the first person on.

A ratio that is off means that assignment, exposure or measurement treats the arms differently, and that no result of
the experiment can be believed. The alarm is sequential: the Bayes factor of a Dirichlet-multinomial against the stated
shares is a martingale while these hold, so by Ville's inequality it ever reaches 1/alpha with probability alpha at most
(M. Lindon and A. Malek, "Anytime-valid inference for multinomial count data", NeurIPS 2022, arXiv:2011.03567). This
holds exactly, at any sample size. Pearson's chi-square is given beside it, and is valid for one look only.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

ALARM_ALPHA = 0.001
"""Probability of an alarm, over all looks together, while the shares hold."""

CONCENTRATION = 1_000
"""Weight of the prior in persons: deviations of one or two points of a share are what it looks for first."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """What the arms' sizes say. ``chi_square`` and its ``p_value`` are for one look, ``alarm`` for all of them."""

    chi_square: float
    p_value: float
    log_evidence: float
    alarm: bool


def mismatch(counts: Sequence[int], shares: Sequence[int]) -> Mismatch:
    """Return what the persons counted in each arm say about its share; shares are positive, in any common unit."""
    n, whole = sum(counts), sum(shares)
    expected = [n * share / whole for share in shares]
    chi = sum((seen - due) ** 2 / due for seen, due in zip(counts, expected, strict=True)) if n else 0.0
    prior = [CONCENTRATION * share / whole for share in shares]
    evidence = math.lgamma(CONCENTRATION) - math.lgamma(CONCENTRATION + n)
    for seen, weight, share in zip(counts, prior, shares, strict=True):
        evidence += math.lgamma(weight + seen) - math.lgamma(weight) - seen * math.log(share / whole)
    return Mismatch(chi, _survival(chi, len(shares) - 1), evidence, evidence >= -math.log(ALARM_ALPHA))


def _survival(chi: float, degrees: int) -> float:
    """Return P(X >= chi) of the chi-square distribution, by its finite sums (Abramowitz and Stegun 26.4.4 and 26.4.5)."""
    half = chi / 2
    if degrees % 2:
        total, term, first = math.erfc(math.sqrt(half)), math.sqrt(chi) * math.sqrt(2 / math.pi) * math.exp(-half), 3
    else:
        total, term, first = math.exp(-half), half * math.exp(-half), 4
    for each in range(first, degrees + 1, 2):
        total += term
        term *= chi / each
    return min(total, 1.0)
