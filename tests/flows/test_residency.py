"""A lender is served in its home region only: over HTTP, by workers, and when it is registered."""

import json

import pytest

from chalicelib import wiring
from chalicelib.domain.errors import Misdirected
from chalicelib.edge.routes import API
from chalicelib.store.repository import Store
from chalicelib.store.tables import Record
from tests.builders import LENDER, a_lender, stored
from tests.conftest import REGION
from tests.flows.test_cases_api import OTHER_LENDER, Api, api, body_of
from tests.flows.test_organisations_api import LENDER_BODY

__all__ = ["api"]

ELSEWHERE = "cn-north-1"
PATH = f"/v1/lenders/{LENDER}"


@pytest.fixture
def foreign(api: Api, store: Store) -> Api:
    """Let the tables hold a lender's record whose home is elsewhere, as tables that were restored or copied from there would."""
    stored(store, a_lender(home_region=ELSEWHERE))
    wiring._homes().clear()
    return api


@pytest.mark.parametrize("token", ["lender", "officer", "agency", "collector"])
def test_no_route_serves_a_lender_of_another_region(foreign: Api, token: str) -> None:
    before = {(item.pk, item.sk, item.v) for item in Record.scan()}
    answers = []
    for route in API:
        if route.scope is None:
            continue
        body = None if route.method == "GET" else {"note": "a"}
        answer = foreign.call(token, route.method, route.path.format(**dict.fromkeys(route.parameters, "x_1")), body)
        told = json.loads(answer.body)
        assert (answer.status_code, told["code"]) in {(421, "other_region"), (403, "scope_missing")}, (route.key, told)
        answers.append(told["code"])
    assert answers.count("other_region") >= 5
    assert {(item.pk, item.sk, item.v) for item in Record.scan()} == before


def test_the_refusal_names_the_region_and_nothing_else(foreign: Api) -> None:
    answer = foreign.get("lender", "/v1/cases/case_0")
    told = body_of(answer)
    assert (answer.status_code, told["type"]) == (421, "urn:forbear:problem:other_region")
    assert told["detail"] == f"this lender is served in {ELSEWHERE}"
    assert "case_0" not in json.dumps(told)
    assert foreign.get("other-lender", PATH).status_code == 404, "nobody else hears where a lender lives"


def test_no_worker_touches_a_lender_of_another_region(foreign: Api) -> None:
    with pytest.raises(Misdirected):
        wiring.worker_scope(LENDER)
    assert wiring.worker_scope(OTHER_LENDER).tenant == OTHER_LENDER
    bodies = [json.dumps({"tenant": LENDER, "case": "case_0"})]
    event = foreign.client.events.generate_sqs_event(message_bodies=bodies, queue_name="forbear-test-assignments")
    answer = foreign.client.lambda_.invoke("assign_cases", event).payload
    assert len(answer["batchItemFailures"]) == 1, "it comes back, and waits among the dead letters in the end"


def test_schedules_and_carriers_words_go_over_the_lenders_that_are_at_home(api: Api) -> None:
    created = {
        tenant: api.call("platform", "PUT", f"/v1/lenders/{tenant}", LENDER_BODY) for tenant in ("len-a", "len-b")
    }
    assert {answer.status_code for answer in created.values()} == {201}
    assert {"len-a", "len-b"} <= set(wiring.lenders())
    stored(api.store, a_lender(id="len-b", home_region=ELSEWHERE), tenant="len-b")
    wiring._homes().clear()
    assert "len-a" in wiring.lenders() and "len-b" not in wiring.lenders()
    assert "len-b" not in {scope.tenant for scope in wiring.scopes_of_lenders()}


def test_a_lender_is_registered_where_it_is_at_home_and_stays_there(api: Api) -> None:
    path = "/v1/lenders/len-new"
    refused = api.call("platform", "PUT", path, {**LENDER_BODY, "home_region": ELSEWHERE})
    assert (refused.status_code, body_of(refused)["code"]) == (421, "other_region")
    assert api.get("platform", path).status_code == 404
    made = api.call("platform", "PUT", path, LENDER_BODY)
    assert (made.status_code, body_of(made)["home_region"]) == (201, REGION)
    moved = api.call("platform", "PUT", path, {**LENDER_BODY, "home_region": ELSEWHERE}, If_Match='"1"')
    assert (moved.status_code, body_of(moved)["code"]) == (421, "other_region")
    again = api.call("platform", "PUT", path, {**LENDER_BODY, "home_region": REGION}, If_Match='"1"')
    assert (again.status_code, body_of(again)["home_region"]) == (200, REGION)


def test_the_platform_changes_no_lender_of_another_region(foreign: Api) -> None:
    for body in (LENDER_BODY, {**LENDER_BODY, "home_region": REGION}):
        answer = foreign.call("platform", "PUT", PATH, body, If_Match='"1"')
        assert (answer.status_code, body_of(answer)["code"]) == (421, "other_region")
    assert foreign.get("platform", PATH).status_code == 421


def test_each_event_of_a_registration_names_the_home(api: Api) -> None:
    assert api.call("platform", "PUT", "/v1/lenders/len-new", LENDER_BODY).status_code == 201
    (told,) = api.store.events(wiring.worker_scope("len-new"), "T#len-new#ORG#len-new")
    assert told.data["home_region"] == REGION
