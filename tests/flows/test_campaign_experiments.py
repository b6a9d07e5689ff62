"""A small form of ``make campaign-experiments``: a larger effect, fewer runs, the same looks and the same judgement."""

import pytest

from chalicelib.domain.experiments import results, sequential
from scripts import campaign_experiments as campaign

RUNS = 60
AA, BETTER, _, BETTER_SHARE, LOSSES = campaign.scenarios(effect=4_000, lost=0.5)


def _lived(scenario: campaign.Scenario) -> list[campaign.Run]:
    return [campaign.lived(number, scenario=scenario, seed=7) for number in range(RUNS)]


def test_equal_arms_raise_no_more_alarms_than_stated_however_often_somebody_looks() -> None:
    runs = _lived(AA)
    alarms, ordinary, mismatches = campaign.judged(AA, runs)
    assert alarms.judged and mismatches.judged
    # What the boundary is there for: the same looks at an ordinary interval cry wolf many times as often.
    assert ordinary.count >= 3 * max(alarms.count, 3)


def test_ordinary_interval_in_the_place_of_the_boundary_fails_the_campaign(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequential, "multiplier", lambda n, *, planned, alpha: campaign.ORDINARY_Z)
    assert not campaign.judged(AA, _lived(AA))[0].judged


@pytest.mark.parametrize("scenario", [BETTER, BETTER_SHARE], ids=["paid", "collected share"])
def test_stated_effect_is_found_with_the_stated_power(scenario: campaign.Scenario) -> None:
    assert all(rate.judged for rate in campaign.judged(scenario, _lived(scenario)))


def test_plan_for_a_third_of_the_persons_fails_the_campaign(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = campaign.planned_persons
    for module in (campaign, results):
        monkeypatch.setattr(module, "planned_persons", lambda design: whole(design) // 3)
    assert not campaign.judged(BETTER, _lived(BETTER))[0].judged


def test_lost_outcomes_are_noticed() -> None:
    assert campaign.judged(LOSSES, _lived(LOSSES))[0].judged


def test_a_rate_fails_only_when_its_whole_interval_is_on_the_wrong_side() -> None:
    assert campaign.Rate("alarms", 6, 60, at_most=0.05).judged
    assert not campaign.Rate("alarms", 12, 60, at_most=0.05).judged
    assert campaign.Rate("found", 44, 60, at_least=0.8).judged
    assert not campaign.Rate("found", 30, 60, at_least=0.8).judged
    assert campaign.Rate("found", 30, 60, at_least=0.8).line().endswith("FAILS")
