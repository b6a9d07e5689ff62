"""Experiments over the real store: who starts them, who is assigned and when, what is measured, and what is answered."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest

from chalicelib import wiring
from chalicelib.domain import keys
from chalicelib.domain.cases.case import Payment
from chalicelib.domain.experiments.design import Metric
from chalicelib.domain.experiments.experiment import Experiment, Trial
from chalicelib.domain.experiments.outcomes import outcome_of
from chalicelib.domain.experiments.results import ArmCounts
from chalicelib.store.repository import Store
from chalicelib.usecases import experiments, review_packs
from tests.builders import LENDER, NOW, PERSON, Scope, a_case, stored
from tests.every_route import HOLDOUT
from tests.flows.test_cases_api import Api, api, body_of
from tests.flows.test_plans import CASES, Clock, plan_of, settled
from tests.flows.test_strategies import REASON, activated, approved, drafted

__all__ = ["api"]

WHY = {"reason": "size and horizon agreed with the agencies"}
PATH = "/v1/experiments"
SCOPE = Scope(LENDER)
PAID = Payment(id="p1", amount_minor=50_000, currency="CNY", received_on=date(2026, 12, 1))


@pytest.fixture
def clock(api: Api, store: Store) -> Iterator[Clock]:
    yield Clock(store)


def in_force(api: Api) -> None:
    assert [drafted(api).status_code, approved(api).status_code, activated(api).status_code] == [201, 201, 201]


def designed(api: Api, **changes: Any) -> Any:
    return api.post("lender", PATH, {"name": "Self-cure", "design": {**HOLDOUT, **changes}})


def started(api: Api, **changes: Any) -> str:
    in_force(api)
    made = designed(api, **changes)
    assert made.status_code == 201
    identity = str(body_of(made)["id"])
    assert api.post("officer-2", f"{PATH}/{identity}/start", WHY).status_code == 200
    return identity


def shares(champion: int) -> list[dict[str, Any]]:
    first, second = HOLDOUT["arms"]  # type: ignore[misc]
    return [{**first, "share": champion}, {**second, "share": 10_000 - champion}]


def events_of(store: Store, trial: str) -> list[tuple[str, Any]]:
    return [(e.type.value, e.data) for e in store.events(SCOPE, keys.trial_pk(LENDER, trial))]


def test_design_says_how_many_persons_it_needs_and_faults_are_told(api: Api) -> None:
    told = body_of(designed(api))
    assert (told["state"], told["results"], told["planned"] > 20_000) == ("draft", None, True)
    refused = body_of(designed(api, metric="collected_share"))
    assert [(each["pointer"], each["code"]) for each in refused["errors"]] == [("/design/deviation", "missing_key")]


def test_nobody_starts_an_experiment_of_their_own_and_agencies_see_none(api: Api) -> None:
    in_force(api)
    identity = body_of(designed(api))["id"]
    own = api.post("officer", f"{PATH}/{identity}/start", WHY)
    assert (own.status_code, body_of(own)["code"]) == (403, "own_draft")
    assert api.post("lender", f"{PATH}/{identity}/start", WHY).status_code == 403
    assert [api.get(token, PATH).status_code for token in ("agency", "collector", "counsel")] == [403] * 3
    assert api.get("other-lender", f"{PATH}/{identity}").status_code == 404


def test_only_fit_arms_are_started_and_one_experiment_runs_on_a_version(api: Api) -> None:
    identity = body_of(designed(api))["id"]
    start = f"{PATH}/{identity}/start"
    assert body_of(api.post("officer-2", start, WHY))["code"] == "arm_not_approved"
    drafted(api)
    approved(api)
    assert body_of(api.post("officer-2", start, WHY))["code"] == "champion_not_in_force"
    activated(api)
    assert api.post("officer-2", start, WHY).status_code == 200
    assert body_of(api.post("officer-2", start, WHY))["code"] == "already_started"
    other = body_of(designed(api))["id"]
    assert body_of(api.post("officer-2", f"{PATH}/{other}/start", WHY))["code"] == "already_on_trial"


def test_person_is_assigned_once_with_one_event_and_one_count(api: Api, clock: Clock, store: Store) -> None:
    identity = started(api)
    clock.until(NOW.replace(hour=10), every=timedelta(hours=1))
    trial = experiments.trial_id(identity, PERSON)
    ((name, data),) = events_of(store, trial)
    assert (name, data["person"], data["ends_on"]) == ("experiment.assigned", PERSON, "2026-12-23")
    told = body_of(api.get("lender", f"{PATH}/{identity}"))["results"]
    # Three cases, one borrower.
    assert sum(arm["assigned"] for arm in told["arms"]) == 1
    assert told["comparisons"][0]["answer"] == "not_enough_data"
    assert told["comparisons"][0]["because"] == "too_few_measured"


@pytest.mark.parametrize(("champion", "is_held_out"), [(9_900, False), (100, True)])
def test_holdout_gets_no_step_and_follows_again_when_the_experiment_ends(
    api: Api, clock: Clock, store: Store, champion: int, is_held_out: bool
) -> None:
    identity = started(api, arms=shares(champion))
    experiment = wiring.experiment_ports().experiments.experiment(SCOPE, identity)
    assert isinstance(experiment, Experiment)
    assert (experiments.arm_for(experiment, PERSON).name == "holdout") is is_held_out
    clock.until(NOW.replace(hour=10))
    assert bool(settled(store)) is not is_held_out
    if is_held_out:
        assert (plan_of().standing, plan_of().due_at) == ("held_out", None)
        assert api.post("lender", f"{PATH}/{identity}/end", REASON).status_code == 200
        clock.until(NOW.replace(hour=10) + timedelta(days=1))
        assert settled(store)[0] == ("first-text", "requested", None)


def test_person_is_measured_when_the_horizon_is_over_and_once(api: Api, clock: Clock, store: Store) -> None:
    identity = started(api)
    clock.run()
    clock.run()
    for name in CASES:
        case = store.case(SCOPE, name)
        assert case is not None
        stored(store, case.model_copy(update={"payments": (PAID,)}))
    trial = experiments.trial_id(identity, PERSON)
    ports = wiring.experiment_ports()
    known = ports.experiments.trial(SCOPE, trial)
    assert isinstance(known, Trial) and known.due_at == "2026-12-23T16:00:00.000Z"
    early = NOW.replace(month=12, hour=15, minute=59)
    assert experiments.measure(ports, SCOPE, trial, now=early) is None
    assert experiments.measure(ports, SCOPE, trial, now=early + timedelta(minutes=1)) == "trial_measured"
    assert experiments.measure(ports, SCOPE, trial, now=early + timedelta(days=1)) is None
    assert [name for name, _ in events_of(store, trial)] == ["experiment.assigned", "experiment.measured"]
    counted = ports.experiments.counts(SCOPE, identity)[known.arm]
    assert counted == ArmCounts(1, 1, 1, 1, 1)


def test_erased_person_is_lost_to_the_experiment(api: Api, clock: Clock, store: Store, monkeypatch: Any) -> None:
    identity = started(api)
    clock.run()
    clock.run()
    ports, trial = wiring.experiment_ports(), experiments.trial_id(identity, PERSON)
    monkeypatch.setattr(ports.store, "person", lambda scope, person: None)
    assert experiments.measure(ports, SCOPE, trial, now=NOW + timedelta(days=40)) == "trial_lost"
    told = list(ports.experiments.counts(SCOPE, identity).values())
    assert (sum(each.assigned for each in told), sum(each.measured for each in told)) == (1, 0)


def test_two_arms_that_differ_are_told_apart(api: Api) -> None:
    identity = started(api, arms=shares(5_000))
    counted(identity, champion=(10_000, 2_500), holdout=(10_000, 1_500))
    told = body_of(api.get("officer", f"{PATH}/{identity}"))["results"]
    (found,) = told["comparisons"]
    assert (found["arm"], found["answer"], found["goal"]) == ("holdout", "worse", "missed")
    assert (found["difference"]["estimate"], found["lift"]["estimate"]) == ("-0.100000", "-0.400000")
    assert float(found["difference"]["high"]) < 0
    assert (told["assigned"]["alarm"], told["measured"]["chi_square"]) == (False, "0.000000")


def test_scoreboard_and_weekly_pack_are_told_what_each_challenger_is_worth(api: Api) -> None:
    in_force(api)
    assert [drafted(api, name={"zh": "晚间", "en": "Evenings"}).status_code, approved(api, 2).status_code] == [201, 201]
    arms = [
        {"name": "champion", "role": "champion", "share": 4_500, "strategy": "early@1"},
        {"name": "evening", "role": "challenger", "share": 4_500, "strategy": "early@2"},
        {"name": "holdout", "role": "holdout", "share": 1_000},
    ]
    identity = str(body_of(designed(api, arms=arms))["id"])
    assert wiring.lifts(SCOPE) == []
    assert api.post("officer-2", f"{PATH}/{identity}/start", WHY).status_code == 200
    [line] = lift_lines(api)
    assert (line["state"], [each["because"] for each in line["lifts"]]) == ("not_enough_data", ["too_few_measured"])
    counted(identity, champion=(45_000, 11_250), evening=(45_000, 14_850), holdout=(10_000, 1_500))
    [line] = lift_lines(api)
    [lift] = line["lifts"]
    assert (lift["strategy"], lift["answer"], lift["goal"], line["state"]) == ("early@2", "better", "met", "met")
    [told] = [
        each
        for each in body_of(api.get("officer", f"{PATH}/{identity}"))["results"]["comparisons"]
        if each["arm"] == "evening"
    ]
    assert {name: lift[name] for name in ("value", "low", "high")} == {
        name: told["lift"][of] for name, of in (("value", "estimate"), ("low", "low"), ("high", "high"))
    }
    pack = review_packs.gather(wiring.pack_ports(), SCOPE, "2026-W48", now=NOW)
    assert pack["strategies"] == line["lifts"]


def lift_lines(api: Api) -> list[Any]:
    [board] = body_of(api.get("lender", "/v1/scoreboard"))["scoreboards"]
    return [line for line in board["lines"] if line["id"] == "strategy_lift"]


def counted(identity: str, **arms: tuple[int, int]) -> None:
    """Put the counts of the arms: persons measured, and how many of them with a yes."""
    ports = wiring.experiment_ports()
    for arm, (persons, yes) in arms.items():
        trial = Trial(
            id=f"tri_{arm}", experiment=identity, person="p", arm=arm, case="c", owed_minor=1,
            assigned_at="2026-11-23T02:00:00Z", assigned_on="2026-11-23", ends_on="2026-12-23",
        )  # fmt: skip
        ports.experiments.part_record(SCOPE, trial, ArmCounts(persons, persons, yes, yes, yes), version=1).save()


# Outcomes


def measured(metric: Metric, *payments: Payment, **case: Any) -> int:
    held = a_case(payments=payments, **case)
    told: dict[str, Any] = {"owed_minor": 200_000, "after": date(2026, 11, 23), "until": date(2026, 12, 23)}
    return outcome_of(metric, [held], **told, was_reached=False, has_complained=False)


@pytest.mark.parametrize(
    ("on", "counts"),
    [(date(2026, 11, 23), 0), (date(2026, 11, 24), 1), (date(2026, 12, 23), 1), (date(2026, 12, 24), 0)],
)
def test_money_counts_from_the_day_after_assignment_to_the_last_day(on: date, counts: int) -> None:
    assert measured(Metric.PAID, PAID.model_copy(update={"received_on": on})) == counts


def test_reversed_money_is_none() -> None:
    back = PAID.model_copy(update={"id": "r1", "reversal_of": "p1"})
    assert measured(Metric.PAID, PAID, back) == 0
    assert measured(Metric.COLLECTED_SHARE, PAID, back) == 0


def test_share_is_of_what_was_owed_and_never_more_than_all() -> None:
    assert measured(Metric.COLLECTED_SHARE, PAID) == 2_500
    assert measured(Metric.COLLECTED_SHARE, PAID.model_copy(update={"amount_minor": 900_000})) == 10_000


def test_cured_is_nothing_owed() -> None:
    assert (measured(Metric.CURED), measured(Metric.CURED, amount_due_minor=0)) == (0, 1)
