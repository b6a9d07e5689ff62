"""Targets: what an interval says about a bound, and what is no answer yet."""

from typing import Any

import pytest

from chalicelib.domain.experiments.results import Answer, Goal
from chalicelib.domain.kpi import scoreboard
from chalicelib.domain.kpi.figures import ratio, wilson
from chalicelib.domain.kpi.scoreboard import TARGETS, Lift, State

BY_ID = {target.id: target for target in TARGETS}


def _share(numerator: int, n: int) -> dict[str, Any]:
    interval = wilson(numerator, n)
    return {
        "numerator": numerator,
        "denominator": n,
        "value": ratio(numerator, n),
        "interval": None if interval is None else list(interval),
    }


@pytest.mark.parametrize(
    ("events", "attempts", "state"),
    [
        (0, 400, State.MET),  # up to 0.95 %
        (0, 300, State.NOT_ENOUGH_DATA),  # up to 1.26 %
        (2, 100, State.NOT_ENOUGH_DATA),  # 0.6 to 7.0 %
        (30, 1000, State.NOT_MET),  # from 2.1 %
        (0, 0, State.NOT_ENOUGH_DATA),
    ],
)
def test_risk_events_are_judged_by_their_whole_interval(events: int, attempts: int, state: State) -> None:
    assert scoreboard.of_share(BY_ID["risk_event_rate"], _share(events, attempts)) is state


def test_what_no_event_tells_is_not_measured() -> None:
    assert {target.id for target in TARGETS if target.missing is not None} == {
        "data_freshness",
    }


@pytest.mark.parametrize(
    ("hours", "state"), [("40.000000", State.MET), ("39.999999", State.NOT_MET), (None, State.NOT_ENOUGH_DATA)]
)
def test_the_mean_of_everybodys_hours_must_reach_forty(hours: str | None, state: State) -> None:
    assert scoreboard.of_mean(BY_ID["training_hours"], {"value": hours}) is state
    assert scoreboard.of_mean(BY_ID["training_hours"], None) is State.NOT_ENOUGH_DATA


@pytest.mark.parametrize(("passed", "state"), [(400, State.MET), (370, State.NOT_ENOUGH_DATA), (300, State.NOT_MET)])
def test_of_400_first_attempts_the_whole_interval_must_lie_beyond_ninety_percent(passed: int, state: State) -> None:
    assert scoreboard.of_share(BY_ID["training_pass_rate"], _share(passed, 400)) is state


@pytest.mark.parametrize(
    ("answered", "received", "late", "overdue", "state"),
    [
        (3, 3, 0, 0, State.MET),
        (2, 3, 0, 0, State.NOT_ENOUGH_DATA),
        (2, 3, 1, 0, State.NOT_MET),
        (2, 3, 0, 1, State.NOT_MET),
        (0, 0, 0, 0, State.NOT_ENOUGH_DATA),
    ],
)
def test_every_item_of_feedback_must_be_in_time(
    answered: int, received: int, late: int, overdue: int, state: State
) -> None:
    assert scoreboard.of_every(_share(answered, received), late=late, overdue=overdue) is state


@pytest.mark.parametrize(
    ("now", "base", "state"),
    [
        ((900, 1000), (500, 1000), State.MET),
        ((500, 1000), (500, 1000), State.NOT_MET),
        ((13, 20), (10, 20), State.NOT_ENOUGH_DATA),
    ],
)
def test_a_rise_is_met_when_its_lowest_bound_reaches_it(
    now: tuple[int, int], base: tuple[int, int], state: State
) -> None:
    change = scoreboard.rise(_share(*now), _share(*base))
    assert scoreboard.of_rise(BY_ID["contact_success"], change) is state


def test_bounds_of_a_rise_hold_the_rise_between_the_ends_of_both_intervals() -> None:
    change = scoreboard.rise(_share(60, 100), _share(50, 100))
    # Wilson: 60 of 100 is 0.502003 to 0.690599, 50 of 100 is 0.403832 to 0.596168.
    assert change is not None
    expected = (0.6 / 0.5 - 1, 0.502003 / 0.596168 - 1, 0.690599 / 0.403832 - 1)
    assert [float(each) for each in change] == pytest.approx(expected, abs=1e-4)


def test_a_base_of_nothing_makes_no_rise() -> None:
    assert scoreboard.rise(_share(5, 10), _share(0, 10)) is None
    assert scoreboard.rise(_share(5, 10), None) is None
    assert scoreboard.of_rise(BY_ID["contact_success"], None) is State.NOT_ENOUGH_DATA


def _lift(goal: Goal) -> Lift:
    interval = ("0.150000", "0.110000", "0.300000")
    return Lift("exp_1", "evening@2", "paid", Answer.BETTER, None, interval, goal, 4_000, 6_000)


def test_every_change_of_strategy_must_reach_the_goal() -> None:
    assert scoreboard.of_lifts([]) is State.NOT_ENOUGH_DATA
    assert scoreboard.of_lifts([_lift(Goal.MET)]) is State.MET
    assert scoreboard.of_lifts([_lift(Goal.MET), _lift(Goal.OPEN)]) is State.NOT_ENOUGH_DATA
    assert scoreboard.of_lifts([_lift(Goal.MET), _lift(Goal.MISSED)]) is State.NOT_MET
