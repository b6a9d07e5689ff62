"""Erasing a person through the whole edge and the clock, over real tables: what goes, what stays, and who copes."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from chalicelib import wiring
from chalicelib.domain import keys
from chalicelib.domain.cases.case import CaseParty
from chalicelib.domain.cases.lifecycle import CaseState
from chalicelib.domain.concurrency import Conflict
from chalicelib.domain.errors import NotFound
from chalicelib.domain.events import Event, EventType
from chalicelib.domain.outreach.attempt import AttemptState
from chalicelib.domain.outreach.provider_events import ProviderEvent
from chalicelib.domain.people.person import ContactEntry, HoldEntry
from chalicelib.store.feed_repository import FeedRepository
from chalicelib.store.portfolio_repository import PortfolioRepository
from chalicelib.store.repository import Store
from chalicelib.store.tables import Record, SubjectKey, View
from chalicelib.usecases import activities, cases, compliance, dispatch, due, feeds
from chalicelib.usecases import provider_events as carriers_word
from chalicelib.usecases.cases import Caller, Context
from tests.builders import (
    AGENCY,
    CASE,
    LENDER,
    NOW,
    PERSON,
    TEST_ACTOR,
    Scope,
    a_case,
    a_ledger,
    a_lender,
    a_person,
    a_point,
    an_agency,
    an_attempt,
    stored,
)
from tests.flows.test_cases_api import Api, FakeVerifier, body_of

SCOPE = Scope(LENDER)
GUARANTOR = "per_2"
WISH = {"reason": "purpose_met", "requested_by": "person", "identity_check": "file-77"}
ROUTE = f"/v1/persons/{PERSON}/erasure-requests"
SPOKEN = ContactEntry(
    id="old", at="2026-06-15T02:00:00Z", direction="out", channel="call", party=PERSON, outcome="none"
)


class Clock:
    """The business clock of a test."""

    def __init__(self) -> None:
        self.now: datetime = NOW


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(wiring, "now", lambda: made.now)
    return made


@pytest.fixture
def api(store: Store, queues: list[str], clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    from chalice.test import Client

    from app import app
    from chalicelib.edge import authorizer

    monkeypatch.setattr(authorizer, "verifier", FakeVerifier)
    # One process: what the edge reads and what the test reads goes through the same keys.
    monkeypatch.setattr(wiring, "store", lambda: store)
    guarantor = a_person(id=GUARANTOR, name="李娜", points=(a_point(id="pt_2", value="+8613900000002"),))
    stored(store, a_lender(), an_agency(), a_person(), a_ledger(history=(SPOKEN,)), guarantor)
    FeedRepository().listing_record(LENDER, an_agency()).save()
    with Client(app) as client:
        yield Api(client, store)


def placed(store: Store, **changes: Any) -> None:
    """Store a case as a portfolio would leave it: with its events, its rows, and its persons' rows."""
    case = a_case(
        **{
            "state": CaseState.SETTLED,
            "amount_due_minor": 0,
            "parties": (CaseParty(person=PERSON, role="debtor"), CaseParty(person=GUARANTOR, role="guarantor_joint")),
            **changes,
        }
    )
    stored(store, case)
    unit = store.unit(SCOPE, actor=TEST_ACTOR, req="req_0", now=NOW - timedelta(days=90))
    pk = keys.case_pk(LENDER, case.id)
    unit.emit(pk, EventType.CASE_PLACED, {"country": "CN", "region": "CN-SH"}, fresh=True)
    unit.commit()
    repository = PortfolioRepository(store)
    persons = store.persons(SCOPE, [party.person for party in case.parties])
    repository.write_points(SCOPE, persons.values())
    repository.write_parties(SCOPE, [(party.person, case.id) for party in case.parties])
    told = store.events(SCOPE, pk)
    assert feeds.project_feeds(FeedRepository(), store, told, scope_for=Scope) == []


def ask(api: Api, **changes: Any) -> Any:
    response = api.post("officer", ROUTE, {**WISH, **changes})
    assert response.status_code == 202, response.body
    return body_of(response)


def events_of(store: Store) -> list[Event]:
    return store.events(SCOPE, keys.person_pk(LENDER, PERSON))


def types(store: Store) -> list[str]:
    return [event.type.value for event in events_of(store)]


def tick(store: Store, clock: Clock) -> dict[str, int]:
    """Let the clock do what is due now."""

    def failed(key: str, error: Exception) -> None:
        raise AssertionError(key) from error

    report = due.release_due(
        store, wiring.queues(), Scope, wiring.due_handlers(), now=clock.now, req="req_due", on_failure=failed
    )
    return report.moved


# What goes and what stays


def test_profile_goes_at_once_and_evidence_when_its_time_is_over(api: Api, store: Store, clock: Clock) -> None:
    placed(store)
    told = ask(api)
    assert (told["outcome"], told["profile"], told["evidence"]) == ("held", "destroyed", "locked")
    # The case's placement, 90 days before, is later than the call in June.
    assert told["evidence_until"] == "2033-08-25"
    assert [duty["id"] for duty in told["duties"]][0] == "HOUSE-RETENTION"
    assert told["reasons"][0]["zh"] and told["reasons"][0]["en"]
    assert types(store) == ["erasure.requested", "erasure.decided", "person.keys_destroyed"]
    assert (events_of(store)[-1].data["purposes"], events_of(store)[-1].data["cases"]) == (["ops"], [CASE])
    assert store.person(SCOPE, PERSON) is None and store.case(SCOPE, CASE) is None
    assert store.ledger(SCOPE, PERSON).history == (SPOKEN,)
    assert store.person(SCOPE, GUARANTOR) is not None
    clock.now = datetime.fromisoformat("2033-08-25T15:59:59+00:00")
    assert tick(store, clock) == {}
    clock.now += timedelta(seconds=1)
    assert tick(store, clock) == {"erasure_erased": 1}
    assert types(store)[3:] == ["erasure.decided", "person.keys_destroyed"]
    assert events_of(store)[-1].data["purposes"] == ["evidence"]
    assert store.ledger(SCOPE, PERSON).is_erased
    item = SubjectKey.get(f"T#{LENDER}#{PERSON}", "KEYS")
    assert (item.ops, item.evidence) == (None, None)
    assert item.ops_gone.startswith("2026-11-23") and item.evidence_gone.startswith("2033-08-25")
    read = body_of(api.get("officer", f"{ROUTE}/{told['id']}"))
    assert (read["outcome"], read["evidence"], read["next_look_at"]) == ("erased", "destroyed", None)
    assert tick(store, clock) == {}


def test_no_row_leads_to_an_erased_person_any_more(api: Api, store: Store) -> None:
    placed(store)
    index = store.blind_index(SCOPE, label="mobile", value="+8613812345678")
    assert store.persons_at_point(SCOPE, index) == [(PERSON, "pt_1")]
    assert store.cases_of(SCOPE, PERSON) == [CASE]
    ask(api)
    assert store.persons_at_point(SCOPE, index) == []
    assert store.cases_of(SCOPE, PERSON) == []
    other = store.blind_index(SCOPE, label="mobile", value="+8613900000002")
    assert store.persons_at_point(SCOPE, other) == [(GUARANTOR, "pt_2")]


def test_the_lenders_list_loses_the_case_when_the_stream_tells(api: Api, store: Store) -> None:
    placed(store)
    assert [item["case"] for item in body_of(api.get("lender", "/v1/cases"))["items"]] == [CASE]
    ask(api)
    assert feeds.project_feeds(FeedRepository(), store, events_of(store), scope_for=Scope) == []
    assert body_of(api.get("lender", "/v1/cases"))["items"] == []
    # An event of the case that comes late, or again, neither fails nor brings the line back.
    late = store.events(SCOPE, keys.case_pk(LENDER, CASE))
    assert feeds.project_feeds(FeedRepository(), store, late, scope_for=Scope) == []
    assert body_of(api.get("lender", "/v1/cases"))["items"] == []


def test_what_holds_nothing_goes_whole(api: Api, store: Store, clock: Clock) -> None:
    placed(store)
    clock.now = NOW + timedelta(days=8 * 366)
    told = ask(api)
    assert (told["outcome"], told["reasons"], told["duties"]) == ("erased", [], [])
    assert store.sealer.standing(LENDER, PERSON) == frozenset()
    assert events_of(store)[-1].data["purposes"] == ["ops", "evidence"]


# What keeps, and what comes of it later


def test_an_open_case_postpones_and_the_clock_goes_on_when_it_has_ended(api: Api, store: Store, clock: Clock) -> None:
    placed(store, state=CaseState.IN_WORK, amount_due_minor=100)
    told = ask(api)
    assert (told["outcome"], [reason["code"] for reason in told["reasons"]]) == (
        "postponed",
        ["open_case", "limitation_running"],
    )
    assert store.person(SCOPE, PERSON) is not None
    clock.now += timedelta(days=1)
    assert tick(store, clock) == {"erasure_postponed": 1}
    assert types(store) == ["erasure.requested", "erasure.decided"], "an unchanged answer is not told again"
    stored(store, a_case(state=CaseState.SETTLED, amount_due_minor=0, version=2))
    clock.now += timedelta(days=1)
    assert tick(store, clock) == {"erasure_held": 1}
    assert types(store)[2:] == ["erasure.decided", "person.keys_destroyed"]
    assert store.person(SCOPE, PERSON) is None


def test_a_claim_locks_and_a_waiver_with_a_new_request_opens(api: Api, store: Store, clock: Clock) -> None:
    placed(store, state=CaseState.RETURNED, amount_due_minor=100)
    first = ask(api)
    assert (first["outcome"], first["profile"], first["reasons"][0]["until"]) == ("locked", "locked", "2029-10-19")
    person = store.person(SCOPE, PERSON)
    assert person is not None and person.locked_since is not None
    second = ask(api, claims_waived=True)
    assert second["outcome"] == "held"
    assert api.get("officer", f"{ROUTE}/{first['id']}").status_code == 404
    assert api.post("officer", ROUTE, WISH).status_code == 409


def test_a_lock_opens_by_itself_when_the_claim_is_time_barred(api: Api, store: Store, clock: Clock) -> None:
    placed(store, state=CaseState.RETURNED, amount_due_minor=100)
    ask(api)
    clock.now = datetime.fromisoformat("2029-10-20T02:00:00+00:00")
    assert tick(store, clock) == {"erasure_held": 1}


def test_a_legal_hold_keeps_evidence_past_its_time(api: Api, store: Store, clock: Clock) -> None:
    placed(store)
    ask(api)
    ledger = store.ledger(SCOPE, PERSON)
    hold = {"id": "hold_1", "kind": "legal_review", "from": "2027-01-01T00:00:00Z", "party": PERSON}
    store.ledger_record(SCOPE, ledger.model_copy(update={"holds": (HoldEntry(**hold),)})).save()
    clock.now = datetime.fromisoformat("2033-08-26T02:00:00+00:00")
    assert tick(store, clock) == {"erasure_held": 1}
    assert store.sealer.standing(LENDER, PERSON) == {"evidence"}
    store.ledger_record(SCOPE, ledger.model_copy(update={"holds": ()})).save()
    clock.now += timedelta(days=7)
    assert tick(store, clock) == {"erasure_erased": 1}


def test_a_complaint_in_the_stream_postpones(api: Api, store: Store) -> None:
    placed(store)
    unit = store.unit(SCOPE, actor=TEST_ACTOR, req="req_1", now=NOW - timedelta(days=3))
    data = {"complaint": "cmp_1", "category": "inbound", "person": PERSON, "agency": AGENCY}
    unit.emit(keys.case_pk(LENDER, CASE), EventType.COMPLAINT_RECEIVED, data)
    unit.commit()
    told = ask(api)
    assert (told["outcome"], told["reasons"][0]["code"]) == ("postponed", "open_complaint")
    assert told["reasons"][0]["until"] == "2027-01-19"


# Races


def test_a_placement_at_the_same_moment_and_an_erasure_do_not_both_happen(api: Api, store: Store) -> None:
    """Whoever rewrites the person, or relies on them, in between makes the other run again."""
    placed(store)
    person = store.person(SCOPE, PERSON)
    assert person is not None
    rival = store.unit(SCOPE, actor=TEST_ACTOR, req="req_1", now=NOW)
    rival.check_version(keys.person_pk(LENDER, PERSON), "PERSON", person.version)
    rival.create(store.case_record(SCOPE, a_case(id="case_9", state=CaseState.PLACED, agency=None)))
    rival.emit(keys.case_pk(LENDER, "case_9"), EventType.CASE_PLACED, {}, fresh=True)
    ask(api)
    with pytest.raises(Conflict):
        rival.commit()
    assert store.erased_cases(SCOPE, ["case_9"]) == set()


def test_an_interrupted_erasure_leaves_everything_as_it_was(
    api: Api, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed(store)
    monkeypatch.setattr("chalicelib.store.unit.TransactWrite", _Broken)
    assert api.post("officer", ROUTE, WISH, Idempotency_Key="one").status_code == 500
    monkeypatch.undo()
    assert store.person(SCOPE, PERSON) is not None
    assert store.erasure(SCOPE, PERSON) is None and events_of(store) == []


class _Broken:
    def __init__(self, **told: Any) -> None:
        raise ConnectionError


# Those who read what is gone


def test_everybody_who_reads_an_erased_borrower_hears_that_it_is_unknown(api: Api, store: Store) -> None:
    placed(store)
    stored(store, an_attempt(state=AttemptState.DELIVERED))
    ask(api)
    reads = [(token, f"/v1/cases/{CASE}") for token in ("lender", "officer", "agency", "collector")]
    reads += [(token, "/v1/messages/msg_1") for token in ("lender", "agency", "collector")]
    assert {api.get(token, path).status_code for token, path in reads} == {404}
    assert api.get("officer", "/v1/messages/msg_1").status_code == 200
    money = {"amount_minor": 100, "currency": "CNY", "received_on": "2026-11-20"}
    assert api.post("lender", f"/v1/cases/{CASE}/payments", money).status_code == 404
    hold = {"kind": "hardship", "reason": "told on the telephone"}
    assert api.post("lender", f"/v1/cases/{CASE}/holds", hold).status_code == 404
    wish = {"channel": "sms", "template": "cn-sms-demand"}
    assert api.post("agency", f"/v1/cases/{CASE}/messages", wish).status_code == 404


def test_a_case_of_an_erased_guarantor_goes_on_without_them(api: Api, store: Store, clock: Clock) -> None:
    placed(store)
    response = api.post("officer", f"/v1/persons/{GUARANTOR}/erasure-requests", WISH)
    assert response.status_code == 202, response.body
    shown = body_of(api.get("lender", f"/v1/cases/{CASE}"))
    assert shown["parties"][1] == {
        "person": GUARANTOR,
        "role": "guarantor_joint",
        "relation": None,
        "erased": True,
        "points": [],
    }
    assert shown["parties"][0]["name"] == "张伟"
    hold = {"reason": "told on the telephone", "kind": "hardship"}
    assert api.post("lender", f"/v1/cases/{CASE}/holds", hold).status_code == 201
    # Everything of the guarantor is gone: nothing can be written down about them, and that is no fault.
    clock.now = NOW + timedelta(days=8 * 366)
    assert tick(store, clock) == {"erasure_erased": 1}
    assert api.post("lender", f"/v1/cases/{CASE}/holds", {**hold, "person": GUARANTOR}).status_code == 404
    assert api.post("lender", f"/v1/cases/{CASE}/holds", hold).status_code == 201


@pytest.mark.parametrize("state", [AttemptState.REQUESTED, AttemptState.APPROVED, AttemptState.DEFERRED])
def test_a_wish_that_outlived_its_borrower_ends(api: Api, store: Store, clock: Clock, state: AttemptState) -> None:
    placed(store)
    stored(store, an_attempt(state=state, due_at="2026-11-23T02:00:00.000Z"))
    ask(api)
    told: dict[str, Any] = {"clock": lambda: NOW, "req": "req_1"}
    if state is AttemptState.APPROVED:
        outcome = dispatch.dispatch(store, {}, lambda *a, **k: None, SCOPE, "msg_1", **told)  # type: ignore[arg-type, return-value]
        assert isinstance(outcome, dispatch.NotSent)
    if state is AttemptState.DEFERRED:
        assert tick(store, clock) == {"released": 1}
    done = compliance.check(store, None, None, SCOPE, "msg_1", refresh=lambda facts, at: facts.attempt, **told)  # type: ignore[arg-type]
    assert not isinstance(done, compliance.Skipped)
    assert (done.state, done.reason) == (AttemptState.CANCELLED, compliance.ERASED)


def test_the_clock_leaves_what_it_cannot_read_any_more(api: Api, store: Store, clock: Clock) -> None:
    placed(store)
    stored(store, an_attempt(state=AttemptState.DEFERRED, due_at="2026-11-23T02:00:00.000Z"))
    clock.now = NOW + timedelta(days=8 * 366)
    assert ask(api)["outcome"] == "erased"
    assert tick(store, clock) == {"erased": 1}
    assert tick(store, clock) == {}


def test_carriers_and_borrowers_are_heard_without_fault(api: Api, store: Store) -> None:
    placed(store)
    stored(store, an_attempt(state=AttemptState.SENT, provider="sns", provider_id="sns-1"))
    ask(api)
    told: dict[str, Any] = {"clock": lambda: NOW, "req": "req_1"}
    bounce = ProviderEvent("bounced", "sns", "d-1", contact="msg_1", provider_id="sns-1")
    assert carriers_word.settle_delivery(store, SCOPE, bounce, **told).attempts == 1
    reply = ProviderEvent("inbound", "sns", "in-1", recipient="+8613812345678", text="STOP")
    heard = carriers_word.receive(store, SCOPE, reply, channel="sms", kind="mobile", **told)
    assert heard.persons == 0


def test_a_report_of_an_erased_borrower_has_no_effect_and_no_fault(api: Api, store: Store) -> None:
    placed(store)
    attempt = an_attempt(state=AttemptState.REPORTED, channel="call", human=True)
    stored(store, attempt)
    ask(api)
    assert activities.apply_reported(store, SCOPE, attempt, "RPC-DISP", actor=TEST_ACTOR, now=NOW, req="req_1") == ()
    with pytest.raises(NotFound):
        cases.request_recall(store, SCOPE, CASE, Caller(TEST_ACTOR), Context(NOW, "req_1"), reason="RECALLED")


# Who may ask


def test_only_the_lenders_own_officers_ask(api: Api, store: Store) -> None:
    placed(store)
    assert {
        token: api.post(token, ROUTE, WISH).status_code for token in ("lender", "agency", "collector", "platform")
    } == (dict.fromkeys(("lender", "agency", "collector", "platform"), 403))
    assert api.post("other-officer", ROUTE, WISH).status_code == 404
    assert api.post("officer", "/v1/persons/per_nobody/erasure-requests", WISH).status_code == 404
    assert store.person(SCOPE, PERSON) is not None


def test_the_same_request_again_is_the_same_request(api: Api, store: Store) -> None:
    placed(store)
    first = api.post("officer", ROUTE, WISH, Idempotency_Key="one")
    again = api.post("officer", ROUTE, WISH, Idempotency_Key="one")
    assert body_of(first) == body_of(again)
    assert len(types(store)) == 3


def test_nothing_of_a_request_is_personal(api: Api, store: Store) -> None:
    placed(store)
    ask(api)
    item = Record.get(keys.person_pk(LENDER, PERSON), "ERASURE")
    assert "张" not in item.d and "138" not in json.dumps(json.loads(item.d)["identity_check"])
    left = Record.get(keys.person_pk(LENDER, PERSON), "PERSON")
    assert (left.b, left.d, left.s) == (None, None, "erased")
    assert [item for item in View.scan() if PERSON in f"{item.pk}{item.sk}"] == []
