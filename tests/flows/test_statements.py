"""Commission over HTTP: terms made by one side and accepted by the other, lines from payments, statements, objections."""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from chalicelib import wiring
from chalicelib.domain import keys
from chalicelib.store.money_repository import MoneyRepository
from chalicelib.store.repository import Store, event_of
from chalicelib.store.tables import Record
from chalicelib.usecases import statements
from tests.builders import AGENCY, LENDER, NOW, a_case, stored
from tests.flows.test_cases_api import Api, api, body_of

__all__ = ["api"]

PLACE = f"/v1/lenders/{LENDER}/agencies/{AGENCY}"
TERMS = {
    "currency": "CNY",
    "rates": [{"id": "all", "tiers": [{"above_minor": 0, "rate_basis_points": 1_000}]}],
    "claw_back_days": 30,
}
NEXT_MONTH = datetime(2026, 12, 1, 2, 0, tzinfo=UTC)


@pytest.fixture
def desk(api: Api, buckets: list[str], store: Store) -> Iterator[Api]:
    stored(store, a_case(id="case_9", account="acct-9"))
    yield api


def enter(desk: Api) -> None:
    """Let the projection enter all money there is, as the stream would."""
    items = [item for item in Record.scan() if item.e is not None]
    events = [event_of(item.e, tenant=keys.tenant_of(item.pk)) for item in items]
    assert statements.project_money(wiring.statement_ports(), events) == []


def agreed(desk: Api, **deviations: Any) -> None:
    offer = {"terms": {**TERMS, **deviations}, "effective_from": "2026-11-01"}
    made = desk.post("lender", f"{PLACE}/commission-terms", offer)
    assert made.status_code == 201, made.body
    number = body_of(made)["number"]
    decided = desk.post("agency", f"{PLACE}/commission-terms/{number}/decision", {"decision": "accept"})
    assert (decided.status_code, body_of(decided)["state"]) == (200, "accepted")


def pay(desk: Api, amount: int, **deviations: Any) -> str:
    body = {"amount_minor": amount, "currency": "CNY", "received_on": "2026-11-20", **deviations}
    made = desk.post("lender", "/v1/cases/case_9/payments", body)
    assert made.status_code == 201, made.body
    return str(body_of(made)["id"])


def reverse(desk: Api, payment: str, on: str = "2026-11-23") -> None:
    answer = desk.post("lender", f"/v1/cases/case_9/payments/{payment}/reversal", {"received_on": on})
    assert answer.status_code == 201


def month_of(desk: Api, month: str = "2026-11", token: str = "lender") -> dict[str, Any]:
    enter(desk)
    [one] = body_of(desk.get(token, f"{PLACE}/statements/{month}"))["items"]
    return dict(one)


# Terms


def test_nobody_accepts_what_they_offered_and_nothing_binds_before_it_is_accepted(desk: Api) -> None:
    offer = {"terms": TERMS, "effective_from": "2026-11-01"}
    assert desk.post("agency", f"{PLACE}/commission-terms", offer).status_code == 404
    assert desk.post("lender", f"{PLACE}/commission-terms", offer).status_code == 201
    path = f"{PLACE}/commission-terms/1/decision"
    assert desk.post("lender", path, {"decision": "accept"}).status_code == 403
    pay(desk, 1_000)
    before = month_of(desk)
    assert (before["terms"], before["lines"][0]["why"], before["totals"]["payable_minor"]) == (None, "no_terms", 0)
    assert desk.post("agency", path, {"decision": "accept"}).status_code == 200
    assert desk.post("agency", path, {"decision": "accept"}).status_code == 200, "the same decision again"
    assert desk.post("agency", path, {"decision": "decline"}).status_code == 409
    assert desk.post("lender", path, {"decision": "withdraw"}).status_code == 409
    one = month_of(desk)
    assert (one["terms"], one["totals"]["payable_minor"]) == (1, 100)


@pytest.mark.parametrize("begins", ["2026-10-01", "2026-11-02", "2028-01-01"])
def test_terms_bind_from_the_first_of_a_month_that_is_not_over(desk: Api, begins: str) -> None:
    answer = desk.post("lender", f"{PLACE}/commission-terms", {"terms": TERMS, "effective_from": begins})
    assert (answer.status_code, body_of(answer)["errors"][0]["code"]) == (422, "out_of_range")


def test_an_offer_lapses_with_its_month(desk: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.post("lender", f"{PLACE}/commission-terms", {"terms": TERMS, "effective_from": "2026-11-01"})
    monkeypatch.setattr(wiring, "now", lambda: NEXT_MONTH)
    answer = desk.post("agency", f"{PLACE}/commission-terms/1/decision", {"decision": "accept"})
    assert (answer.status_code, body_of(answer)["code"]) == (409, "offer_lapsed")


def test_another_lender_and_another_agency_learn_nothing(desk: Api) -> None:
    agreed(desk)
    for token in ("other-lender", "other-agency"):
        for rest in ("commission-terms", "statements", "statements/2026-11", "objections"):
            foreign = desk.get(token, f"{PLACE}/{rest}")
            unknown = desk.get(token, f"/v1/lenders/nobody/agencies/nobody/{rest}")
            assert foreign.status_code == unknown.status_code == 404


# Lines


def test_a_payment_earns_and_its_reversal_claws_it_back(desk: Api) -> None:
    agreed(desk)
    first, _ = pay(desk, 100_000), pay(desk, 50_005)
    reverse(desk, first)
    one = month_of(desk, token="agency")
    told = [(line["payment"], line["amount_minor"], line["commission_minor"], line["why"]) for line in one["lines"]]
    assert [each[1:] for each in told] == [
        (100_000, 10_000, "earned"), (50_005, 5_000, "earned"), (-100_000, -10_000, "clawed_back"),
    ]  # fmt: skip
    assert told[2][0] == first
    assert one["totals"] == {
        "received_minor": 150_005,
        "taken_back_minor": -100_000,
        "earned_minor": 15_000,
        "clawed_back_minor": -10_000,
        "adjusted_minor": 0,
        "payable_minor": 5_000,
    }
    assert (one["ties"], one["final"]) == (True, False)


def test_money_that_comes_after_the_case_left_earns_nothing(desk: Api) -> None:
    agreed(desk)
    desk.post("lender", "/v1/cases/case_9/recall", {"reason": "RECALLED", "final": True})
    late, early = pay(desk, 1_000, received_on="2026-11-23"), pay(desk, 1_000)
    monday = {line["payment"]: line["why"] for line in month_of(desk)["lines"]}
    assert monday == {late: "earned", early: "earned"}, "the day on which it left still counts"


def test_the_same_event_twice_is_one_line(desk: Api) -> None:
    agreed(desk)
    pay(desk, 1_000)
    assert month_of(desk) == month_of(desk)
    assert len(month_of(desk)["lines"]) == 1


# Statements


def test_a_statement_is_made_once_the_month_is_over_and_never_changes(
    desk: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    agreed(desk)
    payment = pay(desk, 100_000)
    enter(desk)
    ports = wiring.statement_ports()
    assert statements.make_due_statements(ports, [LENDER], NOW) == 0, "the month runs"
    monkeypatch.setattr(wiring, "now", lambda: NEXT_MONTH)
    assert statements.make_due_statements(ports, [LENDER], NEXT_MONTH) == 1
    assert statements.make_due_statements(ports, [LENDER], NEXT_MONTH) == 0, "once"
    [known] = body_of(desk.get("agency", f"{PLACE}/statements"))["items"]
    assert (known["month"], known["totals"]["payable_minor"], known["ties"]) == ("2026-11", 10_000, True)
    reverse(desk, payment, on="2026-12-01")
    assert month_of(desk)["totals"]["payable_minor"] == 10_000
    december = month_of(desk, "2026-12")
    assert [(line["why"], line["commission_minor"]) for line in december["lines"]] == [("clawed_back", -10_000)]


class _Stopped(Exception):
    """The run ends here, as by a timeout."""


def test_a_run_that_stopped_between_two_currencies_is_finished_by_the_next(desk: Api, store: Store) -> None:
    stored(store, a_case(id="case_usd", account="acct-usd", currency="USD"))
    agreed(desk)
    pay(desk, 100_000)
    dollars = {"amount_minor": 5_000, "currency": "USD", "received_on": "2026-11-20"}
    assert desk.post("lender", "/v1/cases/case_usd/payments", dollars).status_code == 201
    enter(desk)
    ports = wiring.statement_ports()

    def stops_at_dollars(statement: Mapping[str, Any], language: str, kind: str) -> bytes:
        if statement["currency"] == "USD":
            raise _Stopped
        return bytes(ports.render(statement, language, kind))

    with pytest.raises(_Stopped):
        statements.make_due_statements(replace(ports, render=stops_at_dollars), [LENDER], NEXT_MONTH)
    [first] = body_of(desk.get("agency", f"{PLACE}/statements"))["items"]
    assert first["currency"] == "CNY"
    later = NEXT_MONTH.replace(hour=3)
    assert statements.make_due_statements(ports, [LENDER], later) == 1
    made = {each["currency"]: each for each in body_of(desk.get("agency", f"{PLACE}/statements"))["items"]}
    assert set(made) == {"CNY", "USD"}
    assert made["CNY"]["made_at"] == first["made_at"], "what was made is not made again"


def test_a_month_whose_statements_are_made_is_not_reckoned_again(desk: Api) -> None:
    class Counting(MoneyRepository):
        reckoned = 0

        def booked(self, tenant: str, month: str, agency: str) -> list[dict[str, Any]]:
            self.reckoned += 1
            return super().booked(tenant, month, agency)

    money = Counting()
    ports = replace(wiring.statement_ports(), money=money)
    statements.make_due_statements(ports, [LENDER], NEXT_MONTH)
    once = money.reckoned
    assert once > 0, "an empty month is looked at once"
    assert statements.make_due_statements(ports, [LENDER], NEXT_MONTH) == 0
    assert money.reckoned == once


@pytest.mark.parametrize(("language", "kind"), [("zh", "csv"), ("en", "xlsx"), ("zh", "pdf"), ("en", "pdf")])
def test_its_files_are_downloaded_in_both_languages(desk: Api, language: str, kind: str) -> None:
    agreed(desk)
    pay(desk, 100_000)
    enter(desk)
    statements.make_due_statements(wiring.statement_ports(), [LENDER], NEXT_MONTH)
    path = f"{PLACE}/statements/2026-11/file?currency=CNY&language={language}&kind={kind}"
    answer = desk.get("agency", path, Accept="application/octet-stream")
    assert answer.status_code == 200
    assert answer.headers["Content-Disposition"].endswith(f'-{language}.{kind}"')
    if kind == "csv":
        rows = list(csv.reader(io.StringIO(answer.body.decode("utf-8-sig"))))
        assert ["应付佣金", "100.00"] in rows
    if kind == "xlsx":
        from openpyxl import load_workbook

        book = load_workbook(io.BytesIO(answer.body))
        assert book.worksheets[-1]["F2"].value == "1000.00"
    if kind == "pdf":
        assert answer.body.startswith(b"%PDF-")
    assert desk.get("agency", path.replace("CNY", "USD")).status_code == 404


def test_an_objection_is_answered_and_adjusts_the_next_statement(desk: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    agreed(desk)
    payment = pay(desk, 100_000)
    enter(desk)
    monkeypatch.setattr(wiring, "now", lambda: NEXT_MONTH)
    statements.make_due_statements(wiring.statement_ports(), [LENDER], NEXT_MONTH)
    body = {"currency": "CNY", "source": payment, "reason": "The rate of the second stage applies."}
    path = f"{PLACE}/statements/2026-11/objections"
    assert desk.post("lender", path, body).status_code == 403
    assert desk.post("agency", path, {**body, "source": "pay_none"}).status_code == 404
    made = body_of(desk.post("agency", path, body))
    assert body_of(desk.post("agency", path, body))["id"] == made["id"], "the same line is the same objection"
    path = f"{PLACE}/objections/{made['id']}/answer"
    grant = {"decision": "grant", "answer": "It was the second placement.", "granted_minor": 2_500}
    assert desk.post("agency", path, grant).status_code == 403
    assert desk.post("lender", path, {**grant, "granted_minor": 0}).status_code == 422
    assert body_of(desk.post("lender", path, grant))["adjusted_in"] == "2026-12"
    assert desk.post("lender", path, grant).status_code == 200, "the same answer again"
    refuse = {"decision": "refuse", "answer": "It was not, after all."}
    assert desk.post("lender", path, refuse).status_code == 409
    december = month_of(desk, "2026-12")
    assert (december["totals"]["adjusted_minor"], december["totals"]["payable_minor"]) == (2_500, 2_500)
    assert [each["state"] for each in body_of(desk.get("lender", f"{PLACE}/objections"))["items"]] == ["granted"]


# Reconciliation


def test_each_side_compares_its_record_and_every_break_is_told(desk: Api) -> None:
    first, second = pay(desk, 100_000), pay(desk, 50_000, received_on="2026-11-15")
    enter(desk)
    row = {
        "reference": first,
        "case": "case_9",
        "amount_minor": 100_000,
        "currency": "CNY",
        "received_on": "2026-11-20",
    }
    path = f"{PLACE}/statements/2026-11/reconciliations"
    for token in ("lender", "agency"):
        rows = [row, {**row, "reference": "pay_unknown", "amount_minor": 7}]
        told = body_of(desk.post(token, path, {"rows": rows}))
        assert (told["agreed"], told["unexplained_minor"]) == (1, {})
        assert [(each["kind"], each["difference_minor"], each["age"]) for each in told["breaks"]] == [
            ("missing_there", -50_000, "8-30"), ("missing_here", 7, "2-7"),
        ]  # fmt: skip
        assert told["breaks"][0]["our_reference"] == second
        assert set(told["breaks"][0]["explanation"]) == {"zh", "en"}
    assert desk.post("other-agency", path, {"rows": []}).status_code == 404


# Accounts


def test_the_accounts_of_a_case_balance(desk: Api) -> None:
    reverse(desk, pay(desk, 100_000))
    pay(desk, 50_000)
    told = body_of(desk.get("lender", "/v1/cases/case_9/accounts"))
    assert told["faults"] == []
    assert sum(told["balances"].values()) == 0
    assert (told["balances"]["cash"], told["balances"]["returned"]) == (50_000, 0)
    assert all(sum(entry["postings"].values()) == 0 for entry in told["entries"])
    assert desk.get("other-lender", "/v1/cases/case_9/accounts").status_code == 404
