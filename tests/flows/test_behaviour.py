"""Behaviour over the API: who sees which part of a profile, that it follows what is on file, and the lender's threshold."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from chalicelib.domain.behaviour.profile import SHOWN, risk_of
from chalicelib.domain.behaviour.records import history_of
from chalicelib.domain.behaviour.scorecard import cards
from chalicelib.domain.cases.feed import row_of
from chalicelib.domain.cases.lifecycle import CaseState
from chalicelib.domain.people.person import ContactEntry, HoldEntry
from chalicelib.edge import behaviour_api
from chalicelib.edge.routes import API
from chalicelib.store.feed_repository import FeedRepository
from chalicelib.store.repository import Store
from chalicelib.store.tables import View
from tests.builders import AGENCY, CASE, LENDER, NOW, PERSON, a_case, a_ledger, a_lender, a_person, an_agency, stored
from tests.flows.test_cases_api import Api, body_of
from tests.flows.test_erasure import api as edge
from tests.flows.test_erasure import clock
from tests.house import ROOT

__all__ = ["clock", "edge"]

PATH = f"/v1/cases/{CASE}/behaviour"
INSIDE = {"features", "scores", "high_risk", "high_risk_permille"}


def called(number: int, outcome: str) -> ContactEntry:
    told = {"direction": "out", "channel": "call", "party": PERSON}
    return ContactEntry(id=f"c{number}", at=f"2026-11-{number:02d}T02:00:00Z", outcome=outcome, **told)


SILENT = tuple(called(number, "no_answer") for number in range(2, 22))


@pytest.fixture
def api(edge: Api, store: Store) -> Iterator[Api]:
    stored(store, a_lender(), an_agency(), a_person(), a_case(), a_ledger(history=SILENT))
    FeedRepository().listing_record(LENDER, an_agency()).save()
    row = row_of(a_case(), seq=0, org=AGENCY).as_json()
    View(f"A#{AGENCY}#CASES", CASE, s="in_work", d=json.dumps(row)).save()
    yield edge


def profile(api: Api, token: str = "lender") -> dict[str, Any]:
    response = api.get(token, PATH)
    assert response.status_code == 200, response.body
    found: dict[str, Any] = body_of(response)
    return found


def feature(told: dict[str, Any], name: str) -> Any:
    return next(each["value"] for each in told["features"] if each["feature"] == f"{name}@1")


def test_the_lender_reads_features_scores_and_reasons(api: Api) -> None:
    told = profile(api)
    assert (told["bucket"], told["days_past_due"], told["route"]) == ("M2", 35, "strategy")
    assert feature(told, "attempts_since_right_party_contact") == 20
    assert [each["card"] for each in told["scores"]] == ["cure-30d@1", "roll-30d@1"]
    roll = told["scores"][1]
    assert told["high_risk"] is (roll["chance_permille"] >= 600)
    assert "attempts_since_right_party_contact" in {reason["code"] for reason in roll["reasons"]}
    assert all(reason["zh"] and reason["en"] and reason["below_typical"] > 0 for reason in roll["reasons"])


@pytest.mark.parametrize("token", ["officer", "counsel"])
def test_the_lenders_officers_read_all_of_it(api: Api, token: str) -> None:
    assert profile(api, token) == profile(api)


@pytest.mark.parametrize("token", ["agency", "collector"])
def test_an_agency_reads_no_score_and_no_feature(api: Api, token: str) -> None:
    told = profile(api, token)
    assert {name for name, value in told.items() if value is None} == INSIDE
    assert (told["bucket"], told["route"]) == ("M2", "strategy")
    assert "chance" not in json.dumps(told)


def test_what_no_line_of_the_table_names_is_shown_to_nobody(api: Api) -> None:
    whole = set(behaviour_api.BehaviourView.model_fields)
    assert set(SHOWN) == whole
    assert {name for name in SHOWN if "agency" not in SHOWN[name]} == INSIDE


@pytest.mark.parametrize("token", ["other-lender", "other-agency"])
def test_a_foreign_case_is_an_unknown_case(api: Api, token: str) -> None:
    foreign, unknown = api.get(token, PATH), api.get(token, "/v1/cases/case_none/behaviour")
    assert foreign.status_code == unknown.status_code == 404


def test_an_agency_whose_mandate_is_over_reads_nothing(api: Api, store: Store) -> None:
    assert api.get("agency", PATH).status_code == 200
    stored(store, a_case(placed_to="2026-11-22"))
    assert api.get("agency", PATH).status_code == 404
    stored(store, a_case(state=CaseState.RETURNED))
    assert api.get("agency", PATH).status_code == 404
    assert api.get("lender", PATH).status_code == 200


def test_a_locked_borrower_is_shown_to_compliance_officers_only(api: Api, store: Store) -> None:
    stored(store, a_case(state=CaseState.RETURNED), a_person(locked_since="2026-11-20T00:00:00Z"))
    assert [api.get(token, PATH).status_code for token in ("lender", "officer")] == [404, 200]


def test_hardship_goes_to_people_and_into_no_score(api: Api, store: Store) -> None:
    before = profile(api)
    hold = HoldEntry(**{"id": "h", "kind": "hardship", "from": "2026-11-20T02:00:00Z"})
    stored(store, a_case(holds=(hold,)))
    after = profile(api)
    assert (after["route"], after["scores"]) == ("people", before["scores"])
    assert profile(api, "agency")["route"] == "people"


def test_a_profile_follows_the_money_at_once(api: Api) -> None:
    paid = {"amount_minor": 1_234_567, "currency": "CNY", "received_on": "2026-11-23"}
    assert api.post("lender", f"/v1/cases/{CASE}/payments", paid).status_code == 201
    told = profile(api)
    assert (told["days_past_due"], told["bucket"], told["scores"], told["high_risk"]) == (0, "M0", [], False)
    assert feature(told, "payments_90d") == 1


def test_the_threshold_is_the_lenders_own(api: Api) -> None:
    chance = profile(api)["scores"][1]["chance_permille"]
    for permille, flagged in ((chance, True), (chance + 1, False)):
        put = api.call("lender", "PUT", f"/v1/lenders/{LENDER}/high-risk-threshold", {"permille": permille})
        assert (put.status_code, body_of(put)["high_risk_permille"]) == (200, permille)
        told = profile(api)
        assert (told["high_risk"], told["high_risk_permille"]) == (flagged, permille)


@pytest.mark.parametrize("permille", [0, 1_001, 0.5, "600"])
def test_a_threshold_that_is_no_chance_is_refused(api: Api, permille: Any) -> None:
    put = api.call("lender", "PUT", f"/v1/lenders/{LENDER}/high-risk-threshold", {"permille": permille})
    assert put.status_code == 422


def test_the_platform_changes_a_lender_and_leaves_its_threshold(api: Api) -> None:
    from tests.flows.test_organisations_api import LENDER_BODY

    path = f"/v1/lenders/{LENDER}"
    api.call("lender", "PUT", f"{path}/high-risk-threshold", {"permille": 432})
    put = api.call("platform", "PUT", path, LENDER_BODY, If_Match='"2"')
    assert (put.status_code, body_of(put)["high_risk_permille"]) == (200, 432)
    assert body_of(put)["balances_confirmed_at"] == "2026-11-23T01:00:00Z"


@pytest.mark.parametrize("token", ["agency", "other-lender", "counsel"])
def test_nobody_else_sets_the_threshold(api: Api, token: str) -> None:
    put = api.call(token, "PUT", f"/v1/lenders/{LENDER}/high-risk-threshold", {"permille": 1})
    assert put.status_code in (403, 404)
    assert profile(api)["high_risk_permille"] == 600


def listed(api: Api, query: str = "", token: str = "lender") -> dict[str, Any]:
    response = api.get(token, f"/v1/behaviour{query}")
    assert response.status_code == 200, response.body
    found: dict[str, Any] = body_of(response)
    return found


@pytest.fixture
def many(api: Api, store: Store) -> Api:
    """Five cases beside the first: one settled, one not past due, three like the first."""
    told: dict[str, Any] = {
        "case_2": {"state": CaseState.SETTLED},
        "case_3": {"owed": {"principal": 1}, "amount_due_minor": 1, "oldest_unpaid_due_on": NOW.date()},
        "case_4": {},
        "case_5": {},
        "case_6": {},
    }
    made = [a_case(id=identity, account=f"acct-{identity}", **fields) for identity, fields in told.items()]
    stored(store, *made)
    FeedRepository().put_lender_rows([row_of(case, seq=1, org=None) for case in (a_case(), *made)])
    return api


def test_the_list_holds_live_cases_with_the_chances_of_their_profiles(many: Api) -> None:
    items = listed(many)["items"]
    assert [item["case"] for item in items] == ["case_1", "case_3", "case_4", "case_5", "case_6"]
    chances = {each["card"]: each["chance_permille"] for each in profile(many)["scores"]}
    assert (items[0]["roll_permille"], items[0]["cure_permille"]) == (chances["roll-30d@1"], chances["cure-30d@1"])
    assert (items[1]["roll_permille"], items[1]["high_risk"], items[1]["bucket"]) == (None, False, "M0")


def test_the_list_filters_by_risk_and_goes_on_over_pages_that_hold_nothing(many: Api) -> None:
    chance = listed(many)["items"][0]["roll_permille"]
    many.call("lender", "PUT", f"/v1/lenders/{LENDER}/high-risk-threshold", {"permille": chance})
    risky, found, cursor = listed(many, "?high_risk=true")["items"], [], ""
    assert [item["case"] for item in risky] == ["case_1", "case_4", "case_5", "case_6"]
    for _ in range(8):
        page = listed(many, f"?high_risk=false&limit=1{cursor}")
        found += [item["case"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert (found, page["next_cursor"]) == (["case_3"], None)


@pytest.mark.parametrize("token", ["agency", "collector"])
def test_the_list_is_the_lenders_sides(many: Api, store: Store, token: str) -> None:
    assert many.get(token, "/v1/behaviour").status_code == 403
    stored(store, a_lender(id="bank-b"), tenant="bank-b")
    assert listed(many, token="other-lender")["items"] == []


def test_the_page_tells_the_routes() -> None:
    page = (ROOT / "docs" / "behaviour.md").read_text(encoding="utf-8")
    ours = {route.key for route in API if hasattr(behaviour_api, route.name)}
    assert ours == {"GET /v1/cases/{case_id}/behaviour", "GET /v1/behaviour"}
    assert all(f"`{key}" in page for key in ours)


def test_the_band_that_strategies_read_follows_the_lenders_threshold(api: Api) -> None:
    case = a_case()
    history = history_of(case, a_ledger(history=SILENT), zone="Asia/Shanghai")
    chance = next(each["chance_permille"] for each in profile(api)["scores"] if each["card"] == "roll-30d@1")

    def band(threshold: int, at: datetime = NOW) -> str:
        return risk_of(case, history, cards(), at=at, high_risk_permille=threshold)

    assert (band(chance), band(chance + 1)) == ("high", "medium")
    assert (band(2 * chance), band(2 * chance + 1)) == ("medium", "low")
    assert band(1, NOW - timedelta(days=40)) == "unknown"
