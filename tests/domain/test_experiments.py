"""Experiments: the lot, the boundary, sample sizes, mismatch and answers, against hand vectors and published tables."""

import math
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from chalicelib.domain.experiments import sequential
from chalicelib.domain.experiments.assignment import SHARES, arm_of, lot_of
from chalicelib.domain.experiments.design import Design, design_faults, planned_pair, planned_persons
from chalicelib.domain.experiments.mismatch import CONCENTRATION, mismatch
from chalicelib.domain.experiments.results import Answer, ArmCounts, Because, Comparison, Goal, results, text_of
from chalicelib.domain.experiments.sequential import Sample, best_x, difference, multiplier, needed, ratio

PERSONS = [f"per_{number}" for number in range(20_000)]
HALVES = (("champion", 5_000), ("challenger", 5_000))
ARMS: list[dict[str, Any]] = [
    {"name": "champion", "role": "champion", "share": 5_000, "strategy": "early@1"},
    {"name": "challenger", "role": "challenger", "share": 5_000, "strategy": "early@2"},
]


def a_design(**changes: Any) -> Design:
    return Design.model_validate({"metric": "paid", "horizon_days": 30, "baseline": 2_500, "arms": ARMS, **changes})


def counts(n: int, yes: int, *, assigned: int | None = None) -> ArmCounts:
    return ArmCounts(n if assigned is None else assigned, n, yes, yes, yes)


def compared(design: Design, champion: ArmCounts, challenger: ArmCounts) -> Comparison:
    return results(design, {"champion": champion, "challenger": challenger}).comparisons[0]


# The lot


def test_lot_is_the_documented_hash() -> None:
    # printf 'forbear/experiment/1\nsalt\nper_1' | sha256sum begins 127d316a68...; 0x127d316a / 2^32 = 0.07222.
    assert lot_of("salt", "per_1") == 722


def test_lots_are_spread_evenly() -> None:
    tenths = Counter(lot_of("even", person) // 1_000 for person in PERSONS)
    assert mismatch([tenths[each] for each in range(10)], [1] * 10).p_value > 0.001


def test_arm_is_the_same_whoever_asks_and_in_whatever_order() -> None:
    forward = [arm_of("s", person, HALVES) for person in PERSONS[:500]]
    backward = [arm_of("s", person, HALVES) for person in reversed(PERSONS[:500])]
    assert forward == backward[::-1]


def test_experiments_with_different_salts_are_independent() -> None:
    both = Counter((arm_of("one", person, HALVES), arm_of("two", person, HALVES)) for person in PERSONS)
    assert len(both) == 4
    assert mismatch(list(both.values()), [1] * 4).p_value > 0.001


def test_arms_get_their_shares() -> None:
    shares = (("champion", 7_000), ("challenger", 2_500), ("holdout", 500))
    seen = Counter(arm_of("shares", person, shares) for person in PERSONS)
    assert not mismatch([seen[name] for name, _ in shares], [share for _, share in shares]).alarm
    assert {name for name, _ in shares} == set(seen)


def test_shares_that_do_not_add_up_assign_nobody() -> None:
    with pytest.raises(ValueError, match="10,000"):
        arm_of("s", "per_1", (("champion", 5_000), ("challenger", 4_999)))


# The boundary


@pytest.mark.parametrize("alpha", [0.001, 0.01, 0.025, 0.05, 0.2])
def test_best_x_solves_its_equation_and_is_where_the_boundary_is_narrowest(alpha: float) -> None:
    x = best_x(alpha)
    assert 1 + x == pytest.approx(alpha**2 * math.exp(x), rel=1e-9)
    at_plan = multiplier(1_000_000, planned=1_000_000, alpha=alpha)
    assert at_plan == pytest.approx(math.sqrt(1 + x), rel=1e-12)

    def with_other_plan(planned: int) -> float:
        return multiplier(1_000_000, planned=planned, alpha=alpha)

    assert at_plan < with_other_plan(900_000)
    assert at_plan < with_other_plan(1_100_000)


def test_boundary_is_robbins_mixture_as_published() -> None:
    # Theorem 2.2 as printed: sqrt(2 (n rho^2 + 1) / (n^2 rho^2) * ln(sqrt(n rho^2 + 1) / alpha)), in standard deviations.
    n, planned, alpha = 700, 1_000, 0.05
    rho2 = best_x(alpha) / planned
    printed = math.sqrt(2 * (n * rho2 + 1) / (n**2 * rho2) * math.log(math.sqrt(n * rho2 + 1) / alpha))
    assert multiplier(n, planned=planned, alpha=alpha) / math.sqrt(n) == pytest.approx(printed, rel=1e-12)


def test_difference_by_hand() -> None:
    # 250 and 300 of 1,000: variances 0.1875 and 0.21; standard error sqrt(0.3975 / 1000).
    found = difference(Sample(1_000, 250, 250), Sample(1_000, 300, 300), planned=2_000, alpha=0.05)
    half = math.sqrt(1 + best_x(0.05)) * math.sqrt(0.3975 / 1_000)
    assert found.estimate == pytest.approx(0.05)
    assert (found.low, found.high) == (pytest.approx(0.05 - half), pytest.approx(0.05 + half))


sizes = st.integers(100, 50_000)


@given(n0=sizes, n1=sizes, part0=st.floats(0.01, 0.99), part1=st.floats(0.01, 0.99), planned=st.integers(200, 90_000))
def test_ratio_excludes_one_exactly_when_the_difference_excludes_nothing(
    n0: int, n1: int, part0: float, part1: float, planned: int
) -> None:
    yes0, yes1 = round(n0 * part0), round(n1 * part1)
    control, treated = Sample(n0, yes0, yes0), Sample(n1, yes1, yes1)
    apart = difference(control, treated, planned=planned, alpha=0.05)
    times = ratio(control, treated, planned=planned, alpha=0.05)
    near = min(abs(apart.low), abs(apart.high)) < 1e-9
    if times is not None and not near:
        assert times.excludes(1) == apart.excludes(0)
        assert times.low <= times.estimate <= times.high


def test_ratio_has_no_interval_while_the_champion_may_have_nothing() -> None:
    assert ratio(Sample(200, 2, 2), Sample(200, 20, 20), planned=400, alpha=0.05) is None


def test_variance_is_exact_for_large_money() -> None:
    # Two outcomes that differ by 1 at 10^12: the textbook formula in floating point gives 0 or worse.
    a, b = 10**12, 10**12 + 1
    assert Sample(2, a + b, a * a + b * b).variance == 0.25


# Sample sizes


def test_needed_by_hand() -> None:
    # (3.0351 + 0.8416)^2 * (0.1875 / 0.5 + 0.199375 / 0.5) / 0.025^2 = 15.029 * 0.77375 / 0.000625
    wanted = needed(variance0=0.1875, variance1=0.199375, share0=0.5, share1=0.5, effect=0.025, alpha=0.05, power=0.8)
    assert wanted == pytest.approx(18_606, abs=2)
    assert planned_persons(a_design()) == wanted


def test_plan_grows_with_what_is_asked_of_it() -> None:
    base = planned_persons(a_design())
    assert planned_persons(a_design(effect=500)) > 3.5 * base
    assert planned_persons(a_design(power=9_000)) > base
    assert planned_persons(a_design(alpha=100)) > base
    assert planned_persons(a_design(baseline=4_000)) < base


def test_plan_of_three_arms_shares_the_alarms_between_the_comparisons() -> None:
    arms = [
        {"name": "champion", "role": "champion", "share": 6_000, "strategy": "early@1"},
        {"name": "challenger", "role": "challenger", "share": 3_000, "strategy": "early@2"},
        {"name": "holdout", "role": "holdout", "share": 1_000},
    ]
    design = a_design(arms=arms)
    assert design_faults(design) == []
    assert design.alpha_of_each == 0.025
    # The holdout is the smallest arm, so it decides; each comparison counts its own two arms.
    assert planned_pair(design, design.arm("holdout")) == math.ceil(planned_persons(design) * 0.7)


def test_share_of_money_plans_with_its_stated_deviation() -> None:
    design = a_design(metric="collected_share", baseline=1_250, deviation=2_700)
    assert design_faults(design) == []
    assert planned_persons(design) == pytest.approx(15.029 * 4 * 0.27**2 / 0.0125**2, rel=0.001)


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"arms": [{**ARMS[0], "share": 4_000}, ARMS[1]]}, "/arms", "shares_do_not_add_up"),
        ({"arms": [ARMS[0], {**ARMS[1], "name": "champion"}]}, "/arms", "duplicate"),
        ({"arms": [ARMS[0], {**ARMS[1], "role": "champion"}]}, "/arms", "one_champion"),
        ({"arms": [{**ARMS[0], "role": "challenger"}, ARMS[1]]}, "/arms", "one_champion"),
        ({"arms": [ARMS[0], {**ARMS[1], "role": "holdout"}]}, "/arms/1/strategy", "holdout_has_no_strategy"),
        ({"arms": [ARMS[0], {**ARMS[1], "strategy": None}]}, "/arms/1/strategy", "strategy_needed"),
        ({"arms": [ARMS[0], {**ARMS[1], "strategy": "early@1"}]}, "/arms", "same_strategy"),
        ({"metric": "collected_share"}, "/deviation", "missing_key"),
        ({"deviation": 2_000}, "/deviation", "unknown_key"),
        ({"baseline": 9_500}, "/effect", "out_of_range"),
    ],
)
def test_each_fault_of_a_design_is_told_where_it_is(changes: dict[str, Any], pointer: str, code: str) -> None:
    assert (pointer, code) in [(fault.pointer, fault.code) for fault in design_faults(a_design(**changes))]


def test_two_holdouts_are_a_fault() -> None:
    third = {"name": "third", "role": "holdout", "share": 2_500}
    arms = [ARMS[0], {"name": "second", "role": "holdout", "share": 2_500}, third]
    assert [fault.code for fault in design_faults(a_design(arms=arms))] == ["one_holdout"]


def test_design_cannot_be_changed_and_its_digest_tells_another_one() -> None:
    design = a_design()
    with pytest.raises(ValidationError):
        design.effect = 2_000  # type: ignore[misc]
    assert design.sha256 == a_design().sha256
    assert design.sha256 != a_design(effect=2_000).sha256


# Mismatch


@pytest.mark.parametrize(("chi", "degrees"), [(3.841459, 1), (5.991465, 2), (7.814728, 3), (9.487729, 4)])
def test_chi_square_meets_its_published_five_percent_points(chi: float, degrees: int) -> None:
    from chalicelib.domain.experiments.mismatch import _survival

    assert _survival(chi, degrees) == pytest.approx(0.05, abs=1e-6)


def test_chi_square_by_hand() -> None:
    # 5,150 and 4,850: 150^2 / 5,000 twice.
    assert mismatch([5_150, 4_850], [1, 1]).chi_square == pytest.approx(9.0)


def test_evidence_is_the_product_of_what_was_predicted_person_by_person() -> None:
    order, shares, log = [0, 0, 1, 0, 1, 0, 0, 0, 1, 0], (0.7, 0.3), 0.0
    seen = [0, 0]
    for arm in order:
        predicted = (CONCENTRATION * shares[arm] + seen[arm]) / (CONCENTRATION + sum(seen))
        log += math.log(predicted / shares[arm])
        seen[arm] += 1
    assert mismatch(seen, [7_000, 3_000]).log_evidence == pytest.approx(log, abs=1e-9)


def test_alarm_needs_a_thousand_to_one() -> None:
    assert not mismatch([5_150, 4_850], [1, 1]).alarm
    assert mismatch([5_250, 4_750], [1, 1]).alarm
    assert not mismatch([0, 0], [1, 1]).alarm


# Answers


def test_a_difference_is_told_before_the_plan_when_it_is_plain() -> None:
    found = compared(a_design(), counts(3_000, 750), counts(3_000, 1_050))
    assert (found.answer, found.because, found.goal) == (Answer.BETTER, None, Goal.MET)
    assert found.difference is not None and found.difference.estimate == pytest.approx(0.1)
    assert found.lift is not None and found.lift.estimate == pytest.approx(0.4)


def test_a_worse_challenger_is_told_to_be_worse() -> None:
    found = compared(a_design(), counts(3_000, 750), counts(3_000, 450))
    assert (found.answer, found.goal) == (Answer.WORSE, Goal.MISSED)


def test_fewer_complaints_are_better() -> None:
    design = a_design(metric="complained", baseline=500, effect=5_000)
    found = compared(design, counts(9_000, 450), counts(9_000, 200))
    assert found.answer is Answer.BETTER
    assert found.goal is Goal.MET
    assert found.lift is not None and found.lift.high < -0.1


def test_before_the_plan_the_same_means_are_not_enough_data() -> None:
    found = compared(a_design(), counts(3_000, 750), counts(3_000, 760))
    assert (found.answer, found.because) == (Answer.NOT_ENOUGH_DATA, Because.PLAN_NOT_REACHED)
    assert found.goal is Goal.OPEN


def test_at_the_plan_no_difference_was_found() -> None:
    assert compared(a_design(), counts(9_304, 2_326), counts(9_304, 2_340)).answer is Answer.NO_DIFFERENCE_FOUND


@pytest.mark.parametrize(
    ("champion", "challenger"),
    [
        (counts(99, 20), counts(120, 90)),
        (counts(150, 9), counts(150, 90)),
        (counts(150, 20), counts(150, 141)),
        (ArmCounts(), ArmCounts()),
    ],
)
def test_too_few_persons_or_events_are_not_enough_data(champion: ArmCounts, challenger: ArmCounts) -> None:
    found = compared(a_design(), champion, challenger)
    assert (found.answer, found.because) == (Answer.NOT_ENOUGH_DATA, Because.TOO_FEW_MEASURED)
    assert found.difference is None and found.lift is None


@pytest.mark.parametrize(
    ("champion", "challenger"),
    [
        (counts(3_000, 750, assigned=5_250), counts(3_000, 1_050, assigned=4_750)),
        (counts(5_250, 1_300, assigned=5_300), counts(4_750, 1_600, assigned=5_300)),
    ],
)
def test_arms_of_the_wrong_size_are_not_believed(champion: ArmCounts, challenger: ArmCounts) -> None:
    found = results(a_design(), {"champion": champion, "challenger": challenger})
    assert found.has_mismatch
    only = found.comparisons[0]
    assert (only.answer, only.because) == (Answer.NOT_ENOUGH_DATA, Because.SAMPLE_RATIO_MISMATCH)
    assert only.difference is None and only.lift is None


def test_goal_is_missed_when_the_whole_lift_lies_below_it() -> None:
    found = compared(a_design(), counts(200_000, 50_000), counts(200_000, 51_000))
    assert (found.answer, found.goal) == (Answer.BETTER, Goal.MISSED)


def test_difference_of_a_share_of_money_is_told_as_a_share() -> None:
    design = a_design(metric="collected_share", baseline=1_250, deviation=2_700)
    champion = ArmCounts(15_000, 15_000, 3_750, 3_750 * 5_000, 3_750 * 5_000**2)
    challenger = ArmCounts(15_000, 15_000, 4_500, 4_500 * 5_000, 4_500 * 5_000**2)
    found = compared(design, champion, challenger)
    assert found.answer is Answer.BETTER
    assert found.difference is not None and text_of(found.difference.estimate) == "0.025000"


def test_counts_take_one_outcome_more() -> None:
    assert ArmCounts(3, 2, 1, 5, 25).plus(4) == ArmCounts(3, 3, 2, 9, 41)
    assert ArmCounts(3, 2, 1, 5, 25).plus(0) == ArmCounts(3, 3, 1, 5, 25)


def test_a_boundary_of_one_look_would_be_narrower() -> None:
    # The price of looking as often as one likes: 1.55 times the width at the plan.
    assert sequential.multiplier(SHARES, planned=SHARES, alpha=0.05) / 1.959964 == pytest.approx(1.5486, abs=1e-3)
