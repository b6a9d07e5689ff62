"""Strategies over HTTP: who may, what is refused, what is looked at before activation, and from when a version is followed."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from chalicelib import wiring
from chalicelib.domain.instants import to_text
from chalicelib.store.repository import Store
from tests.builders import LENDER, NOW, Scope, a_case, a_strategy, stored
from tests.flows.test_cases_api import OTHER_LENDER, TOKENS, Api, a_token, api, body_of
from tests.flows.test_simulations import Cloud, decide

__all__ = ["api"]

PATH = "/v1/strategies"
VERSION = f"{PATH}/early/versions"
REASON = {"reason": "looked at together with the agencies"}
SCOPE = Scope(LENDER)


@pytest.fixture(autouse=True)
def _tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        TOKENS, "other-officer", a_token("compliance", OTHER_LENDER, subject="user-3", tenant=OTHER_LENDER)
    )
    monkeypatch.setitem(TOKENS, "lender-2", a_token("lender", LENDER, subject="user-4", tenant=LENDER))


@pytest.fixture
def cloud(api: Api, store: Store) -> Iterator[Cloud]:
    stored(store, a_case())
    yield Cloud(store)


def drafted(api: Api, **changes: Any) -> Any:
    return api.post("lender", PATH, {"content": a_strategy(**changes).as_json()})


def approved(api: Api, number: int = 1) -> Any:
    return api.post("officer-2", f"{VERSION}/{number}/approvals", {"decision": "approve", **REASON})


def activated(api: Api, number: int = 1, **body: Any) -> Any:
    return api.post("lender", f"{VERSION}/{number}/activations", {**REASON, **body})


def standing(api: Api, number: int = 1) -> str:
    return str(body_of(api.get("lender", f"{VERSION}/{number}"))["life"]["standing"])


def types(api: Api) -> list[str]:
    return [event.type.value for event in api.store.events(SCOPE, f"T#{LENDER}#STRAT#str_early")]


def test_a_strategy_is_drafted_approved_activated_and_ended(api: Api) -> None:
    made = drafted(api)
    assert (made.status_code, made.headers["Location"]) == (201, f"{VERSION}/1")
    assert body_of(made)["content"] == a_strategy().as_json()
    assert standing(api) == "draft"
    assert approved(api).status_code == 201
    assert standing(api) == "approved"
    assert body_of(api.get("lender", f"{PATH}/early"))["current"] is None
    assert activated(api).status_code == 201
    assert standing(api) == "in_force"
    assert body_of(api.get("officer", PATH))["items"][0]["current"] == 1
    assert api.post("lender", f"{VERSION}/1/end", REASON).status_code == 200
    assert standing(api) == "ended"
    assert body_of(api.get("lender", f"{PATH}/early"))["current"] is None
    assert types(api) == [f"strategy.{each}" for each in ("drafted", "approved", "activated", "ended")]


def test_faults_are_told_with_their_pointers(api: Api) -> None:
    content = a_strategy().as_json()
    content["paths"][0]["steps"][0]["act"]["template"] = "cn-sms-unheard-of"
    content["paths"][0]["segment"] = [{"fact": "mood", "equals": True}]
    refused = api.post("lender", PATH, {"content": content})
    assert refused.status_code == 422
    assert {(each["pointer"], each["code"]) for each in body_of(refused)["errors"]} == {
        ("/content/paths/0/steps/0/act/template", "unknown_template"),
        ("/content/paths/0/segment/0/fact", "unknown_fact"),
    }
    assert types(api) == []


def test_nobody_approves_a_version_of_their_own(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    drafted(api)
    author = body_of(api.get("lender", f"{VERSION}/1"))["life"]["author"]
    monkeypatch.setitem(TOKENS, "both", a_token("compliance", LENDER, subject=author, tenant=LENDER))
    refused = api.post("both", f"{VERSION}/1/approvals", {"decision": "approve", **REASON})
    assert (refused.status_code, body_of(refused)["code"]) == (403, "own_draft")
    assert standing(api) == "draft"


@pytest.mark.parametrize("token", ["lender", "agency", "collector", "counsel", "platform"])
def test_only_compliance_officers_approve(api: Api, token: str) -> None:
    drafted(api)
    assert api.post(token, f"{VERSION}/1/approvals", {"decision": "approve", **REASON}).status_code == 403


@pytest.mark.parametrize("token", ["agency", "collector", "counsel", "platform"])
def test_others_neither_read_nor_write(api: Api, token: str) -> None:
    drafted(api)
    assert api.get(token, PATH).status_code == 403
    assert api.post(token, PATH, {"content": a_strategy().as_json()}).status_code == 403


def test_another_lender_sees_nothing_of_it(api: Api) -> None:
    drafted(api)
    assert body_of(api.get("other-officer", PATH))["items"] == []
    unknown, foreign = api.get("other-officer", f"{PATH}/nothing"), api.get("other-officer", f"{PATH}/early")
    assert (foreign.status_code, body_of(foreign)["detail"]) == (404, body_of(unknown)["detail"])
    assert api.post("other-officer", f"{VERSION}/1/approvals", {"decision": "approve", **REASON}).status_code == 404


def test_only_what_is_approved_is_activated_and_only_once(api: Api) -> None:
    drafted(api)
    refused = activated(api)
    assert (refused.status_code, body_of(refused)["code"]) == (409, "not_approved")
    assert api.post("officer-2", f"{VERSION}/1/approvals", {"decision": "reject", **REASON}).status_code == 201
    assert body_of(activated(api))["code"] == "not_approved"
    assert body_of(approved(api))["code"] == "already_decided"


def test_activation_needs_a_simulation_or_a_reason_and_lies_ahead(api: Api) -> None:
    drafted(api)
    approved(api)
    path = f"{VERSION}/1/activations"
    assert body_of(api.post("lender", path, {}))["errors"][0]["code"] == "one_of_two"
    past = to_text(NOW - timedelta(minutes=1))
    assert body_of(activated(api, active_from=past))["errors"][0]["code"] == "in_the_past"
    other = body_of(api.post("lender", path, {"simulation": "sim_unheard_of"}))
    assert other["errors"][0]["code"] == "not_of_this_version"


def test_version_is_run_over_recorded_traffic_before_it_is_activated(api: Api, cloud: Cloud, store: Store) -> None:
    decide(store, NOW)
    for number, changes in ((1, {"hours": {"from": "14:00", "to": "18:00"}}), (2, {})):
        drafted(api, **changes)
        approved(api, number)
    asked = api.post("lender", f"{VERSION}/1/simulations", {"to": "2026-11-24"})
    assert asked.status_code == 202
    told = body_of(asked)
    assert told["left_out"] == []
    assert (told["simulation"]["from"], told["simulation"]["to"]) == ("2026-10-25", "2026-11-24")
    running = {"simulation": told["simulation"]["id"]}
    early = api.post("lender", f"{VERSION}/1/activations", running)
    assert body_of(early)["errors"][0]["code"] == "not_of_this_version"
    cloud.run()
    result = body_of(api.get("lender", asked.headers["Location"]))["result"]
    # The text of ten in the morning would have waited for two in the afternoon.
    assert (result["counts"]["decisions"], result["counts"]["shifted"]) == (1, 1)
    wrong = api.post("lender", f"{VERSION}/2/activations", running)
    assert body_of(wrong)["errors"][0]["code"] == "not_of_this_version"
    right = api.post("lender", f"{VERSION}/1/activations", running)
    assert right.status_code == 201
    assert body_of(right)["life"]["simulation"] == running["simulation"]


def test_what_recorded_traffic_cannot_tell_is_not_simulated(api: Api) -> None:
    path = {**a_strategy().as_json()["paths"][0], "segment": [{"fact": "risk", "one_of": ["high"]}]}
    drafted(api, paths=[path])
    refused = api.post("lender", f"{VERSION}/1/simulations", {})
    assert (refused.status_code, body_of(refused)["code"]) == (409, "nothing_to_suppose")


def test_next_version_takes_the_place_of_the_one_before_at_its_instant(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2):
        drafted(api)
        approved(api, number)
    activated(api, 1)
    later = NOW + timedelta(days=2)
    activated(api, 2, active_from=to_text(later))
    assert [standing(api, number) for number in (1, 2)] == ["in_force", "scheduled"]
    monkeypatch.setattr(wiring, "now", lambda: later - timedelta(seconds=1))
    assert standing(api, 1) == "in_force"
    monkeypatch.setattr(wiring, "now", lambda: later)
    assert [standing(api, number) for number in (1, 2)] == ["superseded", "in_force"]
    assert body_of(api.get("lender", f"{PATH}/early"))["current"] == 2


def test_version_whose_template_was_retired_is_not_activated(api: Api) -> None:
    drafted(api)
    approved(api)
    retired = api.post("officer", "/v1/templates/cn-sms-demand/versions/1/retirement", REASON)
    assert retired.status_code == 200
    assert body_of(activated(api))["code"] == "no_longer_sound"


def test_rank_orders_the_strategies(api: Api) -> None:
    for name, rank in (("zulu", 1), ("alpha", None), ("mike", 2)):
        assert api.post("lender", PATH, {"content": a_strategy(id=name).as_json(), "rank": rank}).status_code == 201
    assert [each["id"] for each in body_of(api.get("lender", PATH))["items"]] == ["zulu", "mike", "alpha"]


def test_same_key_drafts_one_version(api: Api) -> None:
    body = {"content": a_strategy().as_json()}
    for _ in range(2):
        api.post("lender", PATH, body, Idempotency_Key="once")
    assert len(body_of(api.get("lender", f"{PATH}/early"))["versions"]) == 1
