"""Limitation and litigation over HTTP: who may, what is answered, what is left behind."""

import json
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from chalicelib import wiring
from chalicelib.domain import keys
from chalicelib.domain.cases.lifecycle import CaseState
from chalicelib.domain.litigation.limitation import Entry, Proof
from chalicelib.domain.outreach.attempt import AttemptState
from chalicelib.store.duty_repository import DutyRepository
from chalicelib.store.feed_repository import FeedRepository
from chalicelib.store.repository import Store
from chalicelib.store.tables import Record, View
from chalicelib.usecases import duties, feeds
from tests.builders import (
    AGENCY,
    CASE,
    LENDER,
    NOW,
    PERSON,
    Scope,
    a_case,
    a_lender,
    a_person,
    an_agency,
    an_attempt,
    stored,
)
from tests.flows.test_cases_api import Api, body_of
from tests.flows.test_erasure import Clock, clock
from tests.flows.test_erasure import api as edge

__all__ = ["clock", "edge"]

SCOPE = Scope(LENDER)
LIMITATION = f"/v1/cases/{CASE}/limitation"
SIGNED = {"kind": "acknowledgement", "on": "2026-11-05", "proof": "signed", "sha256": "ab" * 32}


@pytest.fixture
def api(edge: Api, store: Store, clock: Clock) -> Iterator[Api]:
    stored(store, a_lender(), an_agency(), a_person(), a_case(loan={"terms": {"maturity_date": "2023-11-10"}}))
    FeedRepository().listing_record(LENDER, an_agency()).save()
    yield edge


def test_an_entry_moves_the_end_and_is_an_event(api: Api, store: Store) -> None:
    before = body_of(api.get("lender", LIMITATION))
    assert (before["expires_on"], before["is_barred"], before["days_left"]) == ("2026-11-10", True, -13)
    assert before["law"]["place"] == "CN" and before["basis"] == "computed"
    answer = api.call("counsel", "POST", f"{LIMITATION}/entries", SIGNED)
    after = body_of(answer)
    assert answer.status_code == 201 and answer.headers["ETag"] == f'"{after["version"]}"'
    assert (after["expires_on"], after["is_barred"]) == ("2029-11-05", False)
    told = [event for event in store.events(SCOPE, f"T#{LENDER}#CASE#{CASE}") if event.type == "limitation.recorded"]
    assert [event.data["expires_on"] for event in told] == ["2029-11-05"]
    # What was approved on the old ground is stale.
    assert store.ledger(SCOPE, PERSON).stop_epoch == 1


def test_a_superseded_entry_counts_no_more(api: Api) -> None:
    pending = {"kind": "suit", "on": "2026-11-03", "proof": "official"}
    first = body_of(api.call("lender", "POST", f"{LIMITATION}/entries", pending))
    assert first["pending"] is True and first["expires_on"] == "2029-11-23"
    entry = first["steps"][-1]["entry"]
    ended = {**pending, "until": "2026-11-20", "supersedes": entry}
    after = body_of(api.call("lender", "POST", f"{LIMITATION}/entries", ended))
    assert (after["pending"], after["expires_on"], len(after["steps"])) == (False, "2029-11-20", 2)


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"on": "2026-11-24"}, 422, "in_the_future"),
        ({"until": "2026-11-24"}, 422, "in_the_future"),
        ({"until": "2026-11-04"}, 422, "before_the_beginning"),
        ({"party": "per_nobody"}, 404, "not_found"),
        ({"supersedes": "lim_nobody"}, 404, "not_found"),
        ({"kind": "wish"}, 422, "literal_error"),
    ],
)
def test_an_entry_that_cannot_be_is_refused(api: Api, changes: dict[str, Any], status: int, code: str) -> None:
    answer = api.call("lender", "POST", f"{LIMITATION}/entries", {**SIGNED, **changes})
    told = body_of(answer)
    assert answer.status_code == status
    assert code in {told["code"], *(each["code"] for each in told.get("errors", []))}


def test_only_the_lenders_side_enters_and_a_foreign_case_is_no_case(api: Api) -> None:
    assert api.call("agency", "POST", f"{LIMITATION}/entries", SIGNED).status_code == 403
    assert api.call("collector", "GET", LIMITATION).status_code == 403
    assert api.get("lender", "/v1/cases/case_nobody/limitation").status_code == 404


def test_a_ledger_that_is_full_refuses_the_next(api: Api, store: Store) -> None:
    many = tuple(Entry(id=f"lim_{n}", kind="demand", on=date(2026, 11, 1), proof=Proof.NONE) for n in range(100))
    stored(store, a_case(id="case_full", account="acct-full", limitation_entries=many))
    answer = api.call("lender", "POST", "/v1/cases/case_full/limitation/entries", SIGNED)
    assert (answer.status_code, body_of(answer)["code"]) == (409, "too_many_entries")


# The suit

LITIGATION = f"/v1/cases/{CASE}/litigation"
FILING = (
    "loan_contract",
    "disbursement_record",
    "repayment_record",
    "claim_calculation",
    "debtor_identity",
    "complaint",
)


@pytest.fixture
def suing(edge: Api, store: Store, clock: Clock) -> Iterator[Api]:
    stored(store, a_lender(), an_agency(), a_person(), a_case())
    FeedRepository().listing_record(LENDER, an_agency()).save()
    row = feeds.row_of(a_case(), seq=0, org=AGENCY).as_json()
    View(f"A#{AGENCY}#CASES", CASE, s="in_work", d=json.dumps(row)).save()
    yield edge


def begun(api: Api, **told: Any) -> dict[str, Any]:
    answer = api.call("counsel", "POST", LITIGATION, {"urgent": False, **told})
    assert answer.status_code == 201, answer.body
    return dict(body_of(answer))


def happen(api: Api, matter: dict[str, Any], event: str, status: int = 201, **told: Any) -> dict[str, Any]:
    path = f"/v1/litigation/{matter['id']}/events"
    answer = api.call("counsel", "POST", path, {"event": event, "on": "2026-11-23", **told})
    assert answer.status_code == status, answer.body
    return dict(body_of(answer))


def put_on_file(api: Api, matter: dict[str, Any], *kinds: str) -> None:
    for number, kind in enumerate(kinds):
        told = {"kind": kind, "sha256": f"{number + 1:064x}", "storage": f"vault/{kind}.pdf"}
        answer = api.call("counsel", "POST", f"/v1/litigation/{matter['id']}/documents", told)
        assert answer.status_code == 201, answer.body


def test_a_suit_is_filed_with_its_evidence_and_takes_the_case_out_of_collection(suing: Api, store: Store) -> None:
    matter = begun(suing)
    assert matter["stage"]["stage"] == "assessment" and matter["claim_minor"] == 1_234_567
    assert happen(suing, matter, "file", 409)["code"] == "evidence_missing"
    put_on_file(suing, matter, *FILING)
    case = store.case(SCOPE, CASE)
    assert case is not None and case.is_workable
    filed = happen(suing, matter, "file", court="上海市长宁区人民法院", docket_no="(2026)沪0105民初1号")
    assert filed["stage"]["stage"] == "filed" and all(each["on_file"] for each in filed["evidence"][:6])
    case = store.case(SCOPE, CASE)
    assert case is not None and case.state == "legal" and not case.is_workable
    assert store.ledger(SCOPE, PERSON).stop_epoch == 1
    limitation = body_of(suing.get("lender", LIMITATION))
    assert limitation["steps"][-1]["kind"] == "suit"
    # Neither the court nor the docket number lies open in the table.
    assert all("沪0105" not in str(item.attribute_values) for item in Record.scan())


def test_what_a_suit_costs_and_brings_is_counted(suing: Api) -> None:
    matter = begun(suing)
    put_on_file(suing, matter, *FILING)
    for event, told in (
        ("file", {}),
        ("pay_cost", {"amount_minor": 5_000, "cost_kind": "court_fee"}),
        ("pay_cost", {"amount_minor": 2_500, "cost_kind": "preservation_fee"}),
        ("preserve", {"until": "2027-11-22"}),
        ("admit", {}),
        ("hear", {}),
        ("judge", {"amount_minor": 1_200_000}),
        ("settle", {"amount_minor": 1_000_000, "until": "2027-01-31"}),
    ):
        matter = happen(suing, matter, event, **told)
    assert (matter["costs_minor"], matter["judged_minor"], matter["settled_minor"]) == (7_500, 1_200_000, 1_000_000)
    assert "satisfy" in matter["possible"] and "hear" not in matter["possible"]
    done = happen(suing, matter, "satisfy")
    assert done["possible"] == [] and happen(suing, matter, "satisfy")["version"] == done["version"]
    assert happen(suing, matter, "judge", 409, amount_minor=1)["code"] == "invalid_transition"


@pytest.mark.parametrize(
    ("event", "told", "status", "code"),
    [
        ("drop", {"on": "2026-11-24"}, 422, "in_the_future"),
        ("pay_cost", {"cost_kind": "court_fee"}, 422, "amount_of_event"),
        ("drop", {"amount_minor": 5}, 422, "amount_of_event"),
        ("preserve", {}, 422, "until_of_event"),
        ("pay_cost", {"amount_minor": 5}, 422, "cost_of_event"),
        ("send_letter", {}, 422, "letter_of_event"),
        ("send_letter", {"contact": "msg_nobody"}, 404, "not_found"),
        ("judge", {"amount_minor": 5}, 409, "invalid_transition"),
        ("serve", {}, 409, "invalid_transition"),
    ],
)
def test_an_event_that_cannot_be_is_refused(
    suing: Api, event: str, told: dict[str, Any], status: int, code: str
) -> None:
    answer = happen(suing, begun(suing), event, status, **told)
    assert code in {answer["code"], *(each["code"] for each in answer.get("errors", []))}


def test_an_event_of_a_day_before_the_last_step_is_refused(suing: Api) -> None:
    matter = begun(suing)
    happen(suing, matter, "preserve", until="2027-01-01")
    answer = happen(suing, matter, "drop", 422, on="2026-11-22")
    assert answer["errors"][0]["code"] == "before_the_last_step"


def test_a_letter_before_action_is_a_message_that_the_gate_let_out(suing: Api, store: Store) -> None:
    matter = begun(suing)
    letter = {"channel": "letter", "template": "cn-letter-demand"}
    stored(
        store,
        an_attempt(id="msg_sent", state=AttemptState.DELIVERED, **letter),
        an_attempt(id="msg_denied", state=AttemptState.DENIED, **letter),
        an_attempt(id="msg_free", state=AttemptState.DELIVERED, channel="letter"),
        an_attempt(id="msg_other", state=AttemptState.DELIVERED, **{**letter, "case": "case_other"}),
    )
    for contact, status in (("msg_denied", 409), ("msg_free", 409), ("msg_other", 404), ("msg_sent", 201)):
        happen(suing, matter, "send_letter", status, contact=contact)
    assert body_of(suing.get("agency", LITIGATION))["stage"]["stage"] == "pre_action"


@pytest.mark.parametrize(
    ("over", "code"),
    [
        ({"limitation_expires_on": date(2026, 11, 22)}, "limitation_over"),
        ({"limitation_expires_on": None}, "limitation_unknown"),
        ({"limitation_expires_on": date(2026, 12, 22)}, "limitation_near"),
        ({"amount_due_minor": 99_999}, "claim_too_small"),
        ({"country": "GB", "region": "GB-ENG"}, "no_procedure"),
        ({"state": CaseState.SETTLED}, "invalid_transition"),
    ],
)
def test_what_stands_against_suing_is_told(suing: Api, store: Store, over: dict[str, Any], code: str) -> None:
    stored(store, a_case(**over))
    answer = suing.call("counsel", "POST", LITIGATION, {"urgent": False})
    assert (answer.status_code, body_of(answer)["code"]) == (409, code)


def test_a_bankruptcy_stops_the_filing_of_a_suit_that_is_open(suing: Api, store: Store, clock: Clock) -> None:
    matter = begun(suing)
    put_on_file(suing, matter, *FILING)
    held = {"kind": "bankruptcy", "reason": "a notice of the court came in"}
    assert suing.call("lender", "POST", f"/v1/cases/{CASE}/holds", held).status_code == 201
    assert happen(suing, matter, "file", 409)["code"] == "claim_on_hold"


def test_one_suit_at_a_time_and_the_agency_reads_only_how_far_it_is(suing: Api) -> None:
    matter = begun(suing)
    put_on_file(suing, matter, "loan_contract")
    again = suing.call("lender", "POST", LITIGATION, {"urgent": False})
    assert (again.status_code, body_of(again)["code"]) == (409, "matter_open")
    seen = body_of(suing.get("agency", LITIGATION))
    assert seen["id"] == matter["id"] and seen["documents"] == [] and seen["costs_minor"] is None
    assert suing.call("agency", "POST", LITIGATION, {"urgent": False}).status_code == 403
    assert suing.call("agency", "POST", f"/v1/litigation/{matter['id']}/events", {}).status_code == 403
    assert (
        suing.call(
            "counsel", "POST", "/v1/litigation/lit_nobody/events", {"event": "drop", "on": "2026-11-23"}
        ).status_code
        == 404
    )
    happen(suing, matter, "drop")
    assert begun(suing)["id"] != matter["id"]


def test_terms_run_from_the_day_in_court_and_are_discharged_by_the_next_step(suing: Api, store: Store) -> None:
    matter = begun(suing)
    put_on_file(suing, matter, *FILING, "judgment")
    for event, told in (("file", {}), ("admit", {}), ("judge", {"amount_minor": 1_200_000})):
        matter = happen(suing, matter, event, on="2026-11-10", **told)
    seen: set[str] = set()

    def deliver() -> dict[str, Any]:
        events = store.events(SCOPE, keys.case_pk(LENDER, CASE))
        fresh = [event for event in events if event.id not in seen]
        seen.update(event.id for event in events)
        assert duties.project_duties(wiring.duty_ports(), fresh, scope_for=Scope, now=NOW) == []
        ids = [item.pk.rsplit("#", 1)[1] for item in Record.scan() if item.sk == "DUTY"]
        return {duty.kind: duty for duty in DutyRepository().many(SCOPE, ids)}

    # Judged on 10 November: 15 days end with the 25th in Shanghai.
    assert deliver()["appeal_decision"].due_at == "2026-11-25T16:00:00.000Z"
    happen(suing, matter, "become_final", on="2026-11-20")
    found = deliver()
    assert found["appeal_decision"].state == "fulfilled" and not found["appeal_decision"].is_late
    assert found["enforcement_application"].due_at == "2028-11-20T16:00:00.000Z"
    happen(suing, matter, "apply_enforcement", on="2026-11-21")
    assert deliver()["enforcement_application"].state == "fulfilled"
