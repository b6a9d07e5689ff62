"""The cases API through the whole edge: tokens, scopes, masks, cursors, tags, and that foreign ids are unknown ids."""

import json
import time
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from chalicelib import wiring
from chalicelib.domain import keys
from chalicelib.domain.cases.lifecycle import CaseState
from chalicelib.domain.principals import Principal, principal_from
from chalicelib.edge import authorizer
from chalicelib.gateways.oidc import TokenRefused
from chalicelib.store.feed_repository import FeedRepository, entry_sk, feed_pk
from chalicelib.store.repository import Store, event_of
from chalicelib.store.tables import Record, View
from chalicelib.usecases import feeds
from chalicelib.usecases.assignment import assign_cases
from tests.builders import (
    AGENCY,
    COLLECTOR,
    LENDER,
    NOW,
    PERSON,
    Scope,
    a_case,
    a_collector,
    a_lender,
    a_person,
    an_agency,
    approved,
    stored,
)

OTHER_LENDER, OTHER_AGENCY = "bank-b", "agency-b"
SECRETS = ("张伟", "13812345678", "310101198804121232", "LSVAU2180C2123456", "沪A12312")


def a_token(role: str, org: str, subject: str = "user-1", tenant: str | None = None) -> Principal:
    return principal_from(
        subject=subject,
        role=role,
        org=org,
        tenant=tenant,
        asked=None,
        token_id="tok-1",
        expires_at=int(time.time()) + 3_600,
    )


TOKENS = {
    "lender": a_token("lender", LENDER, tenant=LENDER),
    "other-lender": a_token("lender", OTHER_LENDER, tenant=OTHER_LENDER),
    "officer": a_token("compliance", LENDER, tenant=LENDER),
    "counsel": a_token("counsel", LENDER, subject="counsel-1", tenant=LENDER),
    "officer-2": a_token("compliance", LENDER, subject="user-2", tenant=LENDER),
    "other-officer": a_token("compliance", OTHER_LENDER, tenant=OTHER_LENDER),
    "agency": a_token("agency", AGENCY),
    "collector": a_token("collector", AGENCY, subject=COLLECTOR),
    "other-agency": a_token("agency", OTHER_AGENCY),
    "platform": a_token("admin", "forbear"),
}


class FakeVerifier:
    """Knows the tokens of this test by name."""

    def principal(self, token: str) -> Principal:
        if token not in TOKENS:
            raise TokenRefused("unknown")
        return TOKENS[token]


class Api:
    """The app behind its test client, with the stream played by hand."""

    def __init__(self, client: Any, store: Store) -> None:
        self.client, self.store, self.seen = client, store, set[tuple[str, int]]()
        self.numbers = count()

    def call(self, token: str, method: str, path: str, body: Any = None, **headers: str) -> Any:
        sent = {"Authorization": f"Bearer {token}", **{k.replace("_", "-"): v for k, v in headers.items()}}
        if body is not None:
            sent["Content-Type"] = "application/json"
        if method == "POST":
            sent.setdefault("Idempotency-Key", f"key-{next(self.numbers)}")
        octets = b"" if body is None else json.dumps(body).encode()
        return self.client.http.request(method, path, headers=sent, body=octets)

    def get(self, token: str, path: str, **headers: str) -> Any:
        return self.call(token, "GET", path, **headers)

    def post(self, token: str, path: str, body: Any, **headers: str) -> Any:
        return self.call(token, "POST", path, body, **headers)

    def deliver(self) -> None:
        items = [item for item in Record.scan() if item.e is not None]
        items.sort(key=lambda item: (item.pk, item.sk))
        events = [event_of(item.e, tenant=keys.tenant_of(item.pk)) for item in items]
        fresh = [event for event in events if (event.stream, event.seq) not in self.seen]
        self.seen |= {(event.stream, event.seq) for event in fresh}
        assert feeds.project_feeds(FeedRepository(), self.store, fresh, scope_for=Scope) == []


@pytest.fixture
def api(store: Store, queues: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    from chalice.test import Client

    from app import app

    monkeypatch.setattr(authorizer, "verifier", FakeVerifier)
    monkeypatch.setattr(wiring, "now", lambda: NOW)
    for agency in (an_agency(), an_agency(id=OTHER_AGENCY)):
        stored(store, agency)
        FeedRepository().listing_record(LENDER, agency).save()
    stored(store, a_lender(), a_collector(), a_person(), a_lender(id=OTHER_LENDER))
    stored(store, *approved("cn-sms-demand", "cn-call-demand", "cn-visit-demand"))
    ids = [f"case_{number}" for number in range(3)]
    for case in ids:
        stored(store, a_case(id=case, state=CaseState.PLACED, agency=None))
    assign_cases(store, FeedRepository(), Scope(LENDER), ids, now=NOW, req="req_assign")
    with Client(app) as client:
        made = Api(client, store)
        made.deliver()
        yield made


def body_of(response: Any) -> Any:
    return json.loads(response.body)


def test_an_agency_lists_its_cases_and_reads_on_by_cursor(api: Api) -> None:
    first = body_of(api.get("agency", "/v1/cases?limit=2"))
    assert [item["case"] for item in first["items"]] == ["case_0", "case_1"]
    second = body_of(api.get("agency", f"/v1/cases?limit=2&cursor={first['next_cursor']}"))
    assert [item["case"] for item in second["items"]] == ["case_2"]
    assert second["next_cursor"] is None
    assert first["items"][0]["days_past_due"] == 35


def test_a_list_can_be_limited_to_a_state(api: Api) -> None:
    assert len(body_of(api.get("lender", "/v1/cases?state=assigned"))["items"]) == 3
    assert body_of(api.get("lender", "/v1/cases?state=settled"))["items"] == []
    assert api.get("lender", "/v1/cases?limit=101").status_code == 400


def test_another_callers_cursor_is_no_cursor(api: Api) -> None:
    cursor = body_of(api.get("agency", "/v1/cases?limit=1"))["next_cursor"]
    assert api.get("lender", f"/v1/cases?limit=1&cursor={cursor}").status_code == 400
    assert api.get("other-agency", f"/v1/cases?limit=1&cursor={cursor}").status_code == 400
    feed = body_of(api.get("agency", "/v1/cases/changes"))["next_cursor"]
    assert api.get("other-agency", f"/v1/cases/changes?cursor={feed}").status_code == 400
    assert api.get("agency", f"/v1/cases?cursor={feed}").status_code == 400


def test_what_an_agency_must_not_know_is_the_same_whether_it_exists_or_not(api: Api) -> None:
    for token in ("other-agency", "other-lender"):
        for method, rest, body in (
            ("GET", "", None),
            ("POST", "/activities", {"code": "RPC-NEG", "channel": "call", "at": "2026-11-23T01:00:00Z"}),
            ("POST", "/recall", {"reason": "RECALLED"}),
        ):
            foreign = api.call(token, method, f"/v1/cases/case_0{rest}", body)
            unknown = api.call(token, method, f"/v1/cases/case_none{rest}", body)
            assert foreign.status_code == unknown.status_code
            assert foreign.status_code in (403, 404)
            told = [json.loads(response.body) for response in (foreign, unknown)]
            for problem in told:
                problem.pop("request_id")
            assert told[0] == told[1]
            shown = [{k: v for k, v in r.headers.items() if k != "X-Request-Id"} for r in (foreign, unknown)]
            assert shown[0] == shown[1]


def test_the_lender_reads_in_clear_and_the_agency_reads_masked(api: Api) -> None:
    clear = api.get("lender", "/v1/cases/case_0").body.decode()
    assert all(secret in clear for secret in SECRETS)
    for token in ("agency", "collector", "officer"):
        masked = api.get(token, "/v1/cases/case_0")
        assert masked.status_code == 200
        assert not [secret for secret in SECRETS if secret in masked.body.decode()]
        assert "138****5678" in masked.body.decode()


def test_a_case_has_a_strong_tag_that_a_step_can_be_conditioned_on(api: Api) -> None:
    tag = api.get("lender", "/v1/cases/case_0").headers["ETag"]
    assert api.get("lender", "/v1/cases/case_0", If_None_Match=tag).status_code == 304
    assert api.get("agency", "/v1/cases/case_0").headers["ETag"] != tag, "another role sees another representation"
    held = api.post("lender", "/v1/cases/case_0/holds", {"kind": "hardship", "reason": "asked"})
    assert held.status_code == 201
    stale = api.post("lender", "/v1/cases/case_0/recall", {"reason": "RECALLED"}, If_Match=tag)
    assert stale.status_code == 412
    fresh = api.get("lender", "/v1/cases/case_0").headers["ETag"]
    assert api.post("lender", "/v1/cases/case_0/recall", {"reason": "RECALLED"}, If_Match=fresh).status_code == 200
    assert api.post("lender", "/v1/cases/case_0/recall", {"reason": "R1"}, If_Match='"abc"').status_code == 412


def test_the_feed_goes_on_where_it_stopped_whatever_else_is_asked(api: Api) -> None:
    first = body_of(api.get("agency", "/v1/cases/changes?limit=2"))
    assert [(entry["seq"], entry["kind"]) for entry in first["items"]] == [(1, "upsert"), (2, "upsert")]
    assert first["more"] is True
    rest = body_of(api.get("collector", f"/v1/cases/changes?limit=50&cursor={first['next_cursor']}"))
    assert [entry["seq"] for entry in rest["items"]] == [3]
    empty = body_of(api.get("agency", f"/v1/cases/changes?wait=0&cursor={rest['next_cursor']}"))
    assert (empty["items"], empty["more"]) == ([], False)
    assert empty["next_cursor"]


def test_the_list_gives_the_cursor_with_which_the_feed_follows_on_it(api: Api) -> None:
    cursor = body_of(api.get("agency", "/v1/cases"))["changes_cursor"]
    api.post("lender", "/v1/cases/case_1/recall", {"reason": "RECALLED", "final": True})
    api.deliver()
    page = body_of(api.get("agency", f"/v1/cases/changes?cursor={cursor}"))
    told = {(entry["kind"], entry["case"], entry["state"], entry["reason"]) for entry in page["items"]}
    assert told == {("tombstone", "case_1", "recalled", "RECALLED")}
    assert api.get("agency", "/v1/cases/case_1").status_code == 404
    assert api.get("lender", "/v1/cases/case_1").status_code == 200


def test_a_cursor_that_the_feed_no_longer_reaches_is_gone_and_says_where_to_start_anew(api: Api) -> None:
    cursor = body_of(api.get("agency", "/v1/cases/changes?limit=1"))["next_cursor"]
    View(feed_pk(AGENCY), entry_sk(2)).delete()
    gone = api.get("agency", f"/v1/cases/changes?cursor={cursor}")
    assert gone.status_code == 410
    assert gone.headers["Link"] == '</v1/cases>; rel="resync"'


def test_only_agencies_have_a_feed(api: Api) -> None:
    assert api.get("lender", "/v1/cases/changes").status_code == 403


def test_a_collector_works_a_case_from_call_to_promise_and_the_lender_posts_the_money(api: Api) -> None:
    done = api.post(
        "collector",
        "/v1/cases/case_0/activities",
        {"code": "INB", "channel": "call", "at": "2026-11-23T01:59:00Z", "note": "来电询问"},
    )
    assert done.status_code == 201
    assert body_of(done)["risk_event"] is None
    promise = {"amount_minor": 100_000, "currency": "CNY", "due_on": "2026-12-01"}
    promised = api.post("collector", "/v1/cases/case_0/promises", promise)
    assert (promised.status_code, body_of(promised)["state"]) == (201, "promised")
    payment = {"amount_minor": 100_000, "currency": "CNY", "received_on": "2026-11-23", "reference": "b-1"}
    assert api.post("collector", "/v1/cases/case_0/payments", payment).status_code == 403
    paid = api.post("lender", "/v1/cases/case_0/payments", payment)
    assert (body_of(paid)["id"], body_of(paid)["amount_due_minor"], body_of(paid)["state"]) == (
        "pay_b-1",
        1_134_567,
        "in_work",
    )
    reversal = api.post("lender", "/v1/cases/case_0/payments/pay_b-1/reversal", {"received_on": "2026-11-23"})
    assert body_of(reversal)["amount_due_minor"] == 1_234_567


def test_the_same_key_makes_one_promise(api: Api) -> None:
    promise = {"amount_minor": 100_000, "currency": "CNY", "due_on": "2026-12-01"}
    first = api.post("agency", "/v1/cases/case_0/promises", promise, Idempotency_Key="once")
    again = api.post("agency", "/v1/cases/case_0/promises", promise, Idempotency_Key="once")
    assert first.body == again.body
    assert len(api.store.case(Scope(LENDER), "case_0").promises) == 1  # type: ignore[union-attr]
    other = api.post("agency", "/v1/cases/case_0/promises", {**promise, "amount_minor": 1}, Idempotency_Key="once")
    assert other.status_code == 422


def test_a_call_without_clearance_is_answered_with_its_risk_event(api: Api) -> None:
    report = {"code": "RPC-DISP", "channel": "call", "at": "2026-11-23T01:00:00Z", "person": PERSON}
    told = body_of(api.post("collector", "/v1/cases/case_0/activities", report))
    assert told["risk_event"] is not None
    assert told["state"] == "disputed"
    assert len(told["holds"]) == 1


def test_an_agency_releases_no_hold(api: Api) -> None:
    placed = api.post("agency", "/v1/cases/case_0/holds", {"kind": "hardship", "reason": "asked"})
    hold = body_of(placed)["id"]
    path = f"/v1/cases/case_0/holds/{hold}/release"
    assert api.post("agency", path, {"reason": "-"}).status_code == 403
    released = api.post("officer", path, {"reason": "resolved"})
    assert (released.status_code, body_of(released)["state"]) == (200, "in_work")


def test_an_agency_objects_to_a_recall_and_returns_what_it_cannot_work(api: Api) -> None:
    api.post("lender", "/v1/cases/case_0/recall", {"reason": "RECALLED"})
    objection = {"code": "PROMISE_PENDING", "reason": "借款人已承诺"}
    kept = api.post("agency", "/v1/cases/case_0/recall/objection", objection)
    assert body_of(kept)["state"] == "in_work"
    assert body_of(api.post("agency", "/v1/cases/case_0/return", {"reason": "UNTRACEABLE"}))["state"] == "returned"
    again = api.post("lender", "/v1/cases/case_0/transitions", {"event": "settle", "reason": "SETTLED"})
    assert (again.status_code, body_of(again)["code"]) == (409, "invalid_transition")


def test_the_result_codes_are_served_in_both_languages(api: Api) -> None:
    codes = {code["code"]: code for code in body_of(api.get("collector", "/v1/activity-codes"))["items"]}
    assert (codes["RPC-PTP"]["zh"], codes["RPC-PTP"]["en"]) == ("承诺还款", "promises to pay")
    assert codes["DEC"]["places_hold"] == "deceased"


def test_the_assignment_queue_takes_one_case_or_many_and_names_what_failed(api: Api) -> None:
    stored(api.store, a_case(id="case_7", state=CaseState.PLACED, agency=None))
    stored(api.store, a_case(id="case_8", state=CaseState.PLACED, agency=None))
    bodies = [
        json.dumps({"tenant": LENDER, "case": "case_7"}),
        json.dumps({"tenant": LENDER, "cases": ["case_7", "case_8", "case_none"]}),
        json.dumps({"tenant": "nobody", "case": "case_7"}),
    ]
    event = api.client.events.generate_sqs_event(message_bodies=bodies, queue_name="forbear-test-assignments")
    for number, record in enumerate(event["Records"]):
        record["messageId"] = f"message-{number}"
    answer = api.client.lambda_.invoke("assign_cases", event).payload
    assert answer == {"batchItemFailures": [{"itemIdentifier": "message-2"}]}
    for case in ("case_7", "case_8"):
        assert api.store.case(Scope(LENDER), case).state is CaseState.ASSIGNED  # type: ignore[union-attr]
