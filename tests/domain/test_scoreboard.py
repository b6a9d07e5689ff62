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


@pytest.mark.parametrize(
    ("events", "attempts", "weeks", "undecided", "alarm", "because"),
    [
        (0, 400, [(0, 100)] * 4, 0, "none", ()),
        # 1 % exactly is within the bound, and one more is not.
        (4, 400, [(1, 100)] * 4, 0, "none", ()),
        (5, 400, [(1, 100)] * 3 + [(2, 100)], 0, "warning", ("rate_above_bound", "trend_reaches_bound")),
        # 0, 1, 2, 3 in 1,000 each week: the line reaches 7 in 1,000 four weeks on; 0, 2, 4, 6 reaches 14.
        (6, 4_000, [(0, 1_000), (1, 1_000), (2, 1_000), (3, 1_000)], 0, "none", ()),
        (12, 4_000, [(0, 1_000), (2, 1_000), (4, 1_000), (6, 1_000)], 0, "watch", ("trend_reaches_bound",)),
        # Two weeks make no line, and a falling one never goes below nothing.
        (3, 2_000, [(0, 0), (0, 0), (0, 1_000), (3, 1_000)], 0, "none", ()),
        (9, 3_000, [(9, 1_000), (0, 1_000), (0, 1_000), (0, 0)], 0, "none", ()),
        (1, 400, [(1, 100), (0, 100), (0, 100), (0, 100)], 3, "none", ()),
        (1, 400, [(1, 100), (0, 100), (0, 100), (0, 100)], 4, "watch", ("undecided_would_exceed",)),
        (0, 0, [(0, 0)] * 4, 3, "none", ()),
    ],
)
def test_a_warning_comes_before_the_whole_interval_lies_beyond_the_bound(
    events: int, attempts: int, weeks: list[tuple[int, int]], undecided: int, alarm: str, because: tuple[str, ...]
) -> None:
    target = BY_ID["risk_event_rate"]
    told = scoreboard.early_warning(target, _share(events, attempts), weeks, undecided=undecided)
    assert (told.alarm, told.because) == (alarm, because)
    assert scoreboard.of_share(target, _share(events, attempts)) is not State.NOT_MET


def test_the_line_through_the_weeks_weighs_each_by_its_attempts() -> None:
    target, figure = BY_ID["risk_event_rate"], _share(6, 4_000)
    even = scoreboard.early_warning(target, figure, [(0, 1_000), (1, 1_000), (2, 1_000), (3, 1_000)], undecided=2)
    # 0.001 more each week, from the mean 0.0015 in the middle: 0.0015 + 5.5 x 0.001.
    assert (even.projected, even.with_undecided) == ("0.007000", "0.002000")
    # Weeks of 3,000, 1,000 and 1,000 attempts at 0, 1 and 2 per mille: middle 0.6, mean 0.0006, so 0.0006 + 5.4 x 0.001.
    uneven = scoreboard.early_warning(target, figure, [(0, 3_000), (1, 1_000), (2, 1_000)], undecided=0)
    assert uneven.projected == "0.006000"
    assert scoreboard.early_warning(target, None, [], undecided=1).as_json() == {
        "alarm": "none",
        "because": [],
        "undecided": 1,
        "projected": None,
        "with_undecided": None,
    }


@pytest.mark.parametrize(
    ("value", "score"),
    [("0.000000", "100.000000"), ("12.500000", "87.500000"), ("250.000000", "0.000000"), (None, None)],
)
def test_the_conduct_score_is_what_the_points_leave_of_a_hundred(value: str | None, score: str | None) -> None:
    assert scoreboard.conduct_score({"value": value}) == score
    assert scoreboard.conduct_score(None) is None


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
