"""Lenders, agencies and collectors through the whole edge, and that an agency's scopes come from stored listings."""

import json
from typing import Any

import boto3
import pytest

from chalicelib.store.feed_repository import FeedRepository
from chalicelib.store.repository import Store
from tests.builders import AGENCY, COLLECTOR, LENDER, NOW, Scope
from tests.flows.test_cases_api import OTHER_LENDER, Api, FakeVerifier, body_of

LENDER_BODY = {
    "name": {"zh": "安行汽车金融", "en": "Anxing Auto Finance"},
    "country": "CN",
    "zone": "Asia/Shanghai",
    "creditor_kind": "auto_finance",
    "pay_to": {"CN": "安行汽车金融 尾号0001"},
    "complaint_line": "+864008000001",
}
CERTIFICATE = {
    "country": "CN",
    "issuer": "Training desk",
    "evidence_sha256": "5" * 64,
    "issued_on": "2026-01-05",
    "valid_to": "2026-12-31",
}

AGENCY_BODY = {
    "name": {"zh": "诚达", "en": "Chengda"},
    "listed_from": "2026-01-01",
    "inspected_on": "2026-06-01",
    "callback": "+864008000002",
}


@pytest.fixture
def api(store: Store, queues: list[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    from chalice.test import Client

    from app import app
    from chalicelib import wiring
    from chalicelib.edge import authorizer

    monkeypatch.setattr(authorizer, "verifier", FakeVerifier)
    monkeypatch.setattr(wiring, "now", lambda: NOW)
    with Client(app) as client:
        yield Api(client, store)


def register(api: Api) -> None:
    assert api.call("platform", "PUT", f"/v1/lenders/{LENDER}", LENDER_BODY).status_code == 201
    assert api.call("lender", "PUT", f"/v1/agencies/{AGENCY}", AGENCY_BODY).status_code == 201


def test_the_platform_registers_lenders_and_nobody_else(api: Api) -> None:
    path = f"/v1/lenders/{LENDER}"
    for token in ("lender", "agency", "officer"):
        assert api.call(token, "PUT", path, LENDER_BODY).status_code == 403
    made = api.call("platform", "PUT", path, LENDER_BODY)
    assert (made.status_code, made.headers["ETag"]) == (201, '"1"')
    assert body_of(api.get("lender", path))["zone"] == "Asia/Shanghai"
    assert api.get("other-lender", path).status_code == 404


def test_changing_what_exists_needs_the_version_that_was_read(api: Api) -> None:
    register(api)
    path, changed = f"/v1/agencies/{AGENCY}", {**AGENCY_BODY, "suspended": True}
    assert api.call("lender", "PUT", path, changed).status_code == 428
    assert api.call("lender", "PUT", path, changed, If_Match='"9"').status_code == 412
    done = api.call("lender", "PUT", path, changed, If_Match='"1"')
    assert (done.status_code, done.headers["ETag"], body_of(done)["suspended"]) == (200, '"2"', True)
    events = api.store.events(Scope(LENDER), f"T#{LENDER}#ORG#{AGENCY}")
    assert [(event.type.value, event.data["version"]) for event in events] == [
        ("agency.listed", 1),
        ("agency.listed", 2),
    ]


def test_putting_the_same_again_changes_nothing(api: Api) -> None:
    register(api)
    again = api.call("lender", "PUT", f"/v1/agencies/{AGENCY}", AGENCY_BODY, If_Match='"1"')
    assert again.headers["ETag"] == '"1"'
    assert len(api.store.events(Scope(LENDER), f"T#{LENDER}#ORG#{AGENCY}")) == 1


def test_a_listing_opens_the_lender_to_the_agency_and_to_no_other(api: Api) -> None:
    register(api)
    assert FeedRepository().listings(AGENCY)[0]["lender"] == LENDER
    assert [item["lender"] for item in body_of(api.get("agency", "/v1/agencies"))["items"]] == [LENDER]
    assert api.get("agency", f"/v1/lenders/{LENDER}").status_code == 200
    assert api.get("agency", f"/v1/lenders/{OTHER_LENDER}").status_code == 404
    assert body_of(api.get("other-agency", "/v1/agencies"))["items"] == []
    assert api.get("other-agency", f"/v1/lenders/{LENDER}").status_code == 404
    assert api.get("other-agency", f"/v1/agencies/{AGENCY}").status_code == 404


def test_a_listing_that_ends_before_it_begins_is_refused(api: Api) -> None:
    api.call("platform", "PUT", f"/v1/lenders/{LENDER}", LENDER_BODY)
    refused = api.call("lender", "PUT", f"/v1/agencies/{AGENCY}", {**AGENCY_BODY, "listed_to": "2025-12-31"})
    assert (refused.status_code, body_of(refused)["errors"][0]["pointer"]) == (422, "/listed_to")


def test_the_agency_names_people_and_the_lender_certifies_them(api: Api) -> None:
    register(api)
    path = f"/v1/agencies/{AGENCY}/collectors/{COLLECTOR}"
    refused = api.call("agency", "PUT", path, {"staff_no": "A001", "certified": {"CN": "2026-12-31"}})
    assert (refused.status_code, body_of(refused)["errors"][0]["pointer"]) == (422, "/certified")
    assert api.call("agency", "PUT", path, {"staff_no": "A001"}).status_code == 201
    assert api.call("agency", "POST", f"{path}/certificates", CERTIFICATE).status_code == 403
    assert body_of(api.call("lender", "POST", f"{path}/certificates", CERTIFICATE))["state"] == "valid"
    left = api.call("agency", "PUT", path, {"staff_no": "A001", "left": True}, If_Match='"2"')
    assert (body_of(left)["left"], body_of(left)["certified"]) == (True, {"CN": "2026-12-31"})
    assert api.call("other-agency", "PUT", path, {"staff_no": "A001"}).status_code == 404
    listed = body_of(api.get("lender", f"/v1/agencies/{AGENCY}/collectors"))["items"]
    assert [(item["id"], item["left"]) for item in listed] == [(COLLECTOR, True)]


def test_the_lender_names_its_own_staff_under_its_own_id_and_nobody_else_does(api: Api) -> None:
    register(api)
    path = f"/v1/agencies/{LENDER}/collectors/staff-1"
    assert api.call("agency", "PUT", path, {"staff_no": "S001"}).status_code == 404
    assert api.call("lender", "PUT", path, {"staff_no": "S001"}).status_code == 201
    assert api.call("lender", "POST", f"{path}/certificates", CERTIFICATE).status_code == 201
    assert body_of(api.get("lender", path))["certified"] == {"CN": "2026-12-31"}


def test_cases_that_waited_are_enqueued_when_an_agency_is_listed(api: Api) -> None:
    api.call("platform", "PUT", f"/v1/lenders/{LENDER}", LENDER_BODY)
    from chalicelib.domain.cases.lifecycle import CaseState
    from chalicelib.usecases.assignment import assign_cases
    from tests.builders import CASE, a_case, a_person, stored

    stored(api.store, a_person(), a_case(state=CaseState.PLACED, agency=None))
    assign_cases(api.store, FeedRepository(), Scope(LENDER), [CASE], now=NOW, req="req_test")
    api.call("lender", "PUT", f"/v1/agencies/{AGENCY}", AGENCY_BODY)
    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName="forbear-test-assignments")["QueueUrl"]
    bodies = [json.loads(message["Body"]) for message in sqs.receive_message(QueueUrl=url).get("Messages", [])]
    assert bodies == [{"cases": [CASE], "tenant": LENDER}]


def test_the_lender_confirms_balances_and_the_confirmation_never_goes_back(api: Api) -> None:
    register(api)
    path = f"/v1/lenders/{LENDER}/balances-confirmation"
    first = api.call("lender", "PUT", path, {"confirmed_at": "2026-11-23T01:30:00Z"})
    assert body_of(first)["balances_confirmed_at"] == "2026-11-23T01:30:00Z"
    earlier = api.call("lender", "PUT", path, {"confirmed_at": "2026-11-22T01:30:00Z"})
    assert body_of(earlier)["balances_confirmed_at"] == "2026-11-23T01:30:00Z"
    assert api.call("lender", "PUT", path, {"confirmed_at": "2026-11-24T00:00:00Z"}).status_code == 422
    assert api.call("agency", "PUT", path, {"confirmed_at": "2026-11-23T01:30:00Z"}).status_code == 403


def test_a_lenders_zone_does_not_change(api: Api) -> None:
    register(api)
    path = f"/v1/lenders/{LENDER}"
    moved = api.call("platform", "PUT", path, {**LENDER_BODY, "zone": "Asia/Tokyo"}, If_Match='"1"')
    assert moved.status_code == 422
    assert body_of(moved)["errors"][0]["code"] == "fixed"


def test_an_agency_cannot_have_the_lenders_own_id(api: Api) -> None:
    register(api)
    assert api.call("lender", "PUT", f"/v1/agencies/{LENDER}", AGENCY_BODY).status_code == 422


@pytest.mark.parametrize("ended", [{"listed_to": "2026-11-22"}, {"suspended": True}])
def test_a_listing_that_ended_or_is_suspended_opens_nothing(api: Api, ended: dict[str, Any]) -> None:
    register(api)
    assert api.get("agency", f"/v1/lenders/{LENDER}").status_code == 200
    changed = api.call("lender", "PUT", f"/v1/agencies/{AGENCY}", {**AGENCY_BODY, **ended}, If_Match='"1"')
    assert changed.status_code == 200
    assert api.get("agency", f"/v1/lenders/{LENDER}").status_code == 404
