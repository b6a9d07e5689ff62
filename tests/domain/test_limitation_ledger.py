"""What a case shows by itself breaks the period, and rulings see the calculator's end."""

from datetime import date
from typing import Any

import pytest

from chalicelib.domain.cases.case import Case, CaseParty, Promise
from chalicelib.domain.cases.repayment_ledger import Payment
from chalicelib.domain.litigation.ledger import entries_of, guarantees_of, limitation_of
from chalicelib.domain.litigation.limitation import Entry, Limitation, Proof
from chalicelib.domain.outreach import dossier
from chalicelib.domain.people.person import ContactEntry
from tests.builders import CASE, NOW, PERSON, a_case, a_ledger, a_lender, a_person, an_attempt

TODAY = date(2026, 11, 23)
SHANGHAI = "Asia/Shanghai"


def due_on(maturity: str, **more: Any) -> Case:
    return a_case(loan={"terms": {"maturity_date": maturity}}, limitation_expires_on=None, **more)


def found(case: Case, *contacts: ContactEntry) -> Limitation:
    return limitation_of(case, contacts, zone=SHANGHAI, today=TODAY)


def a_demand(at: str, outcome: str = "delivered", **over: Any) -> ContactEntry:
    told: dict[str, Any] = {"id": "msg_1", "direction": "out", "channel": "sms", "purpose": "demand", "debts": (CASE,)}
    return ContactEntry(**{**told, "at": at, "party": PERSON, "outcome": outcome, **over})


def a_payment(identity: str, on: str, **over: Any) -> Payment:
    told = {"amount_minor": 100, "currency": "CNY", "posted_at": "2026-11-20T00:00:00Z", **over}
    return Payment(id=identity, received_on=date.fromisoformat(on), **told)


def test_a_delivered_demand_counts_on_the_lenders_day() -> None:
    case = due_on("2023-12-10")
    assert found(case).expires_on == date(2026, 12, 10)
    # 16:30 in UTC is the next day in Shanghai.
    assert found(case, a_demand("2026-11-01T16:30:00Z")).expires_on == date(2029, 11, 2)


@pytest.mark.parametrize(
    "over",
    [
        {"outcome": "sent"},
        {"outcome": "failed"},
        {"purpose": "reminder"},
        {"channel": "call", "outcome": "conversation"},
        {"direction": "in"},
        {"debts": ("case_other",)},
        {"party": "per_guarantor"},
    ],
)
def test_what_is_no_written_demand_that_reached_the_debtor_proves_nothing(over: dict[str, Any]) -> None:
    case = due_on("2023-12-10", parties=(CaseParty(person=PERSON, role="debtor"),))
    assert found(case, a_demand("2026-11-01T02:00:00Z", **over)).expires_on == date(2026, 12, 10)


def test_a_payment_breaks_the_period_unless_it_was_reversed() -> None:
    paid = a_payment("pay_1", "2026-11-05")
    assert found(due_on("2023-12-10", payments=(paid,))).expires_on == date(2029, 11, 5)
    back = a_payment("pay_2", "2026-11-09", reversal_of="pay_1")
    assert found(due_on("2023-12-10", payments=(paid, back))).expires_on == date(2026, 12, 10)


def test_a_promise_that_only_we_recorded_is_a_claim_and_no_proof() -> None:
    promise = Promise(
        id="prm_1",
        person=PERSON,
        amount_minor=100,
        currency="CNY",
        due_on=date(2026, 11, 20),
        made_at="2026-11-10T02:00:00Z",
    )
    told = found(due_on("2023-12-10", promises=(promise,)))
    assert (told.expires_on, told.may_reach_to) == (date(2026, 12, 10), date(2029, 11, 10))
    assert "entry.prm_1.not_proven" in told.doubts


def test_an_accelerated_loan_runs_from_the_oldest_unpaid_instalment() -> None:
    case = due_on("2028-12-10", oldest_unpaid_due_on=date(2024, 1, 10))
    assert found(case).expires_on == date(2031, 12, 10)
    terms = {"terms": {"maturity_date": "2028-12-10", "accelerated": True}}
    assert found(case.model_copy(update={"loan": terms})).expires_on == date(2027, 1, 10)


def test_the_lenders_date_is_a_statement_as_of_the_upload_and_the_earlier_end_counts() -> None:
    case = due_on("2023-12-10").model_copy(update={"limitation_expires_on": date(2026, 11, 30)})
    assert (found(case).expires_on, found(case).basis) == (date(2026, 11, 30), "stated")
    assert found(case, a_demand("2026-10-30T02:00:00Z")).expires_on == date(2026, 11, 30)
    assert found(case, a_demand("2026-11-20T02:00:00Z")).expires_on == date(2029, 11, 20)


def test_a_guarantor_asked_by_a_delivered_demand_is_claimed_from() -> None:
    parties = (CaseParty(person=PERSON, role="debtor"), CaseParty(person="per_g", role="guarantor_joint"))
    case = due_on("2026-06-10", parties=parties)
    told = {"zone": SHANGHAI, "today": TODAY}
    [(person, stands)] = guarantees_of(case, [a_demand("2026-11-01T02:00:00Z", party="per_g")], **told)  # type: ignore[arg-type]
    assert (person, stands.state, stands.claimed_on) == ("per_g", "claimed", date(2026, 11, 1))
    [(_, stands)] = guarantees_of(case, [a_demand("2026-11-01T02:00:00Z")], **told)  # type: ignore[arg-type]
    assert (stands.state, stands.ends_on) == ("open", date(2026, 12, 10))
    assert limitation_of(case, [a_demand("2026-11-01T02:00:00Z", party="per_g")], **told).steps[1:] == ()  # type: ignore[arg-type]


def fact(case: Case, *contacts: ContactEntry) -> Any:
    ledgers = {PERSON: a_ledger(history=contacts)}
    built = dossier.build(
        an_attempt(),
        case=case,
        lender=a_lender(),
        agency=None,
        collector=None,
        persons={PERSON: a_person()},
        ledgers=ledgers,
        now=NOW,
    )
    return built["debts"][CASE].get("limitation_expires_on")


def test_rulings_see_the_computed_end_and_not_what_was_uploaded() -> None:
    assert fact(due_on("2023-11-10")) == "2026-11-10"
    late = due_on("2023-11-10").model_copy(update={"limitation_expires_on": date(2029, 1, 1)})
    assert fact(late) == "2026-11-10"
    assert fact(late, a_demand("2026-11-09T02:00:00Z")) == "2029-11-09"
    signed = Entry(id="lim_1", kind="acknowledgement", on=date(2026, 11, 15), proof=Proof.SIGNED)
    assert fact(late.model_copy(update={"limitation_entries": (signed,)})) == "2029-11-15"


def test_an_end_that_nobody_knows_is_no_fact() -> None:
    assert fact(a_case(limitation_expires_on=None)) is None
    unknown = {"country": "US", "region": "US-FL", "limitation_expires_on": None}
    assert fact(due_on("2023-11-10").model_copy(update=unknown)) is None
    assert entries_of(a_case(), (), zone=SHANGHAI) == []
