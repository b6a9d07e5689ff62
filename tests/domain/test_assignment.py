"""Which agency gets a case: eligibility on both sides of each boundary, capacity, shares, stability."""

from datetime import date, timedelta
from typing import Any

import pytest

from chalicelib.domain.cases.assignment import (
    Assigned,
    Standing,
    Unassigned,
    assign,
    capacity,
    ineligible,
    is_certified,
    past_due_from,
)
from chalicelib.domain.cases.case import Case
from chalicelib.domain.cases.lifecycle import CaseState
from chalicelib.domain.cases.repayment_ledger import Pause
from tests.builders import a_case, a_collector, an_agency

TODAY = date(2026, 11, 23)


def standing(org: str = "agency-a", *, load: int = 0, collectors: int = 1, **deviations: Any) -> Standing:
    people = tuple(a_collector(id=f"{org}-{number}", org=org) for number in range(collectors))
    return Standing(an_agency(id=org, **deviations), people, load)


def placed(number: int = 1, **deviations: Any) -> Case:
    return a_case(id=f"case_{number}", state=CaseState.PLACED, agency=None, **deviations)


@pytest.mark.parametrize(
    ("deviation", "reason"),
    [
        ({}, None),
        ({"listed_from": None}, "not_listed"),
        ({"listed_from": TODAY + timedelta(days=1)}, "not_listed"),
        ({"listed_from": TODAY}, None),
        ({"listed_to": TODAY}, None),
        ({"listed_to": TODAY - timedelta(days=1)}, "listing_ended"),
        ({"listed_to": None}, None),
        ({"suspended": True}, "suspended"),
        ({"licensed": False}, "not_licensed"),
        ({"inspected_on": None}, "not_inspected"),
        ({"inspected_on": TODAY - timedelta(days=365)}, None),
        ({"inspected_on": TODAY - timedelta(days=366)}, "not_inspected"),
        ({"share": 0}, "no_share"),
        ({"result_weight": 0}, "no_share"),
        ({"stages": ("M2",)}, None),
        ({"stages": ("1",)}, None),
        ({"stages": ("M3", "2")}, "other_stage"),
        ({"countries": ("CN", "US")}, None),
        ({"countries": ("US",)}, "other_country"),
        ({"regions": ("CN-SH",)}, None),
        ({"regions": ("CN-BJ",)}, "other_region"),
    ],
)
def test_an_agency_is_eligible_exactly_within_its_listing(deviation: dict[str, Any], reason: str | None) -> None:
    assert ineligible(an_agency(**deviation), placed(), today=TODAY) == reason


@pytest.mark.parametrize(
    ("deviation", "certified"),
    [
        ({}, True),
        ({"certified": {"CN": TODAY}}, True),
        ({"certified": {"CN": TODAY - timedelta(days=1)}}, False),
        ({"certified": {}}, False),
        ({"certified": {"US": TODAY}}, False),
        ({"left": True}, False),
    ],
)
def test_only_collectors_with_a_valid_certificate_count(deviation: dict[str, Any], certified: bool) -> None:
    assert is_certified(a_collector(**deviation), country="CN", today=TODAY) is certified


def test_capacity_is_certified_collectors_times_cases_each_minus_the_load() -> None:
    assert capacity(standing(collectors=3, load=50, cases_per_collector=20), country="CN", today=TODAY) == 10
    assert capacity(standing(collectors=3, load=50, cases_per_collector=20), country="US", today=TODAY) == -50


def test_the_last_place_is_given_and_the_next_case_stays_placed() -> None:
    answers = assign([placed(1), placed(2)], [standing(cases_per_collector=10, load=9)], today=TODAY)
    assert answers[0] == Assigned("case_1", "agency-a")
    assert answers[1] == Unassigned("case_2", "agencies_full", {"agency-a": "full"})


def test_without_an_eligible_agency_the_case_stays_placed_and_each_reason_is_told() -> None:
    agencies = [standing("agency-a", suspended=True), standing("agency-b", countries=("US",))]
    (answer,) = assign([placed()], agencies, today=TODAY)
    reasons = {"agency-a": "suspended", "agency-b": "other_country"}
    assert answer == Unassigned("case_1", "no_eligible_agency", reasons)


def test_the_answer_does_not_depend_on_the_order_of_agencies_or_cases() -> None:
    agencies = [standing(f"agency-{letter}", collectors=50) for letter in "abc"]
    cases = [placed(number) for number in range(60)]
    forward = assign(cases, agencies, today=TODAY)
    backward = assign(cases[::-1], agencies[::-1], today=TODAY)
    assert {(a.case, a.agency) for a in forward if isinstance(a, Assigned)} == {
        (a.case, a.agency) for a in backward if isinstance(a, Assigned)
    }


def counts(weights: dict[str, dict[str, int]], number: int = 3_000) -> dict[str, int]:
    agencies = [standing(org, collectors=1, cases_per_collector=10_000, **weight) for org, weight in weights.items()]
    got = dict.fromkeys(weights, 0)
    for answer in assign([placed(n) for n in range(number)], agencies, today=TODAY):
        assert isinstance(answer, Assigned)
        got[answer.agency] += 1
    return got


def test_each_agency_gets_its_share_of_many_cases() -> None:
    got = counts({"agency-a": {"share": 1}, "agency-b": {"share": 3}})
    # 3,000 draws at 1/4: five standard deviations are 119.
    assert abs(got["agency-a"] - 750) < 119


def test_results_scale_the_share() -> None:
    got = counts({"agency-a": {"share": 1, "result_weight": 50}, "agency-b": {"share": 1, "result_weight": 100}})
    assert abs(got["agency-a"] - 1_000) < 130


def test_only_the_cases_of_a_suspended_agency_move() -> None:
    names = ["agency-a", "agency-b", "agency-c"]
    cases = [placed(number) for number in range(300)]
    room = {"collectors": 1, "cases_per_collector": 1_000}
    before = {a.case: a for a in assign(cases, [standing(n, **room) for n in names], today=TODAY)}
    after = assign(cases, [standing(n, suspended=n == "agency-b", **room) for n in names], today=TODAY)
    for answer in after:
        assert isinstance(answer, Assigned)
        previous = before[answer.case]
        assert isinstance(previous, Assigned)
        assert answer == previous or previous.agency == "agency-b"


@pytest.mark.parametrize(("due_on", "reason"), [(TODAY, "not_past_due"), (TODAY - timedelta(days=1), None)])
def test_a_case_goes_to_an_agency_from_the_day_after_its_due_day(due_on: date, reason: str | None) -> None:
    [answer] = assign([placed(oldest_unpaid_due_on=due_on)], [standing()], today=TODAY)
    assert getattr(answer, "reason", None) == reason


def test_a_case_that_is_not_past_due_is_looked_at_when_it_will_be() -> None:
    early = placed(oldest_unpaid_due_on=TODAY + timedelta(days=3))
    assert past_due_from(early, today=TODAY) == TODAY + timedelta(days=4)
    freeze = Pause(id="p", kind="freeze", paused_from=TODAY - timedelta(days=9), paused_to=TODAY + timedelta(days=9))
    frozen = placed(oldest_unpaid_due_on=TODAY - timedelta(days=9), pauses=(freeze,))
    [answer] = assign([frozen], [standing()], today=TODAY)
    assert isinstance(answer, Unassigned) and answer.reason == "not_past_due"
    assert past_due_from(frozen, today=TODAY) == TODAY + timedelta(days=1)
