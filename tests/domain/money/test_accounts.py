"""The money of a case in double entry, by example and by chance: whatever is booked in whatever order, it balances."""

import random
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.cases.repayment_ledger import Instalment, Payment, RepaymentLedger, Waiver
from chalicelib.domain.money import accounts
from chalicelib.domain.money.accounts import (
    Commission,
    CommissionPaid,
    MoneyBook,
    Refund,
    balances,
    faults_of,
    journal,
    refundable,
)
from scripts import campaign_money

DUE, DAY = date(2026, 1, 10), timedelta(days=1)


def contract(*payments: Payment) -> RepaymentLedger:
    """100 fen of principal, 10 of interest, 5 of penalty, due on one day, and a late fee of 20; in China."""
    owed = {"principal": 100, "interest": 10, "penalty": 5}
    return RepaymentLedger("CN", (Instalment(due_on=DUE, owed=owed),), {"late_fee": 20}, payments)


def paid(amount: int, on: date = DUE, identity: str = "pay_1", **deviations: object) -> Payment:
    return Payment(id=identity, amount_minor=amount, currency="CNY", received_on=on, **deviations)  # type: ignore[arg-type]


def held(book: MoneyBook) -> dict[str, int]:
    assert faults_of(book) == []
    return {account: minor for account, minor in balances(journal(book)).items() if minor}


def test_what_was_placed_is_receivable_by_component() -> None:
    assert held(MoneyBook(contract())) == {
        "receivable:costs": 20, "receivable:interest": 10, "receivable:penalty": 5, "receivable:principal": 100,
        "placed": -135,
    }  # fmt: skip


def test_a_short_payment_settles_costs_then_interest_then_principal() -> None:
    assert held(MoneyBook(contract(paid(40)))) == {
        "receivable:principal": 95, "cash": 40, "placed": -135,
    }  # fmt: skip


def test_what_nobody_owed_is_the_borrowers_until_it_is_paid_back() -> None:
    book = MoneyBook(contract(paid(150)))
    assert held(book) == {"cash": 150, "over_payment": -15, "placed": -135}
    assert refundable(book) == 15
    book = replace(book, refunds=(Refund("ref_1", 15, DUE + DAY),))
    assert (held(book), refundable(book)) == ({"cash": 135, "placed": -135}, 0)


def test_money_for_something_else_is_no_over_payment() -> None:
    book = MoneyBook(contract(paid(150, stated_split={"penalty": 5})))
    assert (held(book)["elsewhere"], refundable(book)) == (-145, 0)


def test_a_reversed_payment_settles_nothing_and_leaves_no_cash() -> None:
    back = paid(40, DUE + 9 * DAY, "rev_1", reversal_of="pay_1")
    assert held(MoneyBook(contract(paid(40), back))) == held(MoneyBook(contract()))


def test_a_refund_of_money_that_did_not_hold_is_owed_back_by_the_borrower() -> None:
    back = paid(150, DUE + 9 * DAY, "rev_1", reversal_of="pay_1")
    book = MoneyBook(contract(paid(150), back), refunds=(Refund("ref_1", 15, DUE + DAY),))
    assert (held(book)["over_payment"], refundable(book)) == (15, 0)


def test_a_write_off_moves_what_is_left_and_money_after_it_lessens_it() -> None:
    book = MoneyBook(contract(paid(35), paid(30, DUE + 9 * DAY, "pay_2")), written_off_on=DUE + 5 * DAY)
    assert held(book) == {"write_off:principal": 70, "cash": 65, "placed": -135}
    early = balances(journal(book, as_of=DUE + 4 * DAY))
    assert (early["receivable:principal"], early.get("write_off:principal", 0)) == (100, 0)


def test_a_waiver_is_a_loss_of_its_own() -> None:
    given_up = contract(paid(60)).with_waiver(Waiver(id="wv_1", amount_minor=75, granted_on=DUE + DAY))
    assert held(MoneyBook(given_up)) == {"waived": 75, "cash": 60, "placed": -135}


def test_commission_is_payable_until_it_is_paid_and_a_claw_back_lessens_it() -> None:
    lines = (Commission("com_1", 12, DUE, "pay_1"), Commission("com_2", -4, DUE + DAY, "pay_1"))
    book = MoneyBook(contract(), commissions=lines, commission_paid=(CommissionPaid("cp_1", 5, DUE + 2 * DAY),))
    found = held(book)
    assert (found["commission"], found["commission_payable"], found["cash"]) == (8, -3, -5)


def test_an_entry_that_does_not_sum_to_0_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(accounts.COMPONENTS, "penalty", "interest")  # type: ignore[arg-type]
    assert faults_of(MoneyBook(contract())) == []
    monkeypatch.setattr(accounts, "_settled", lambda split: tuple((f"receivable:{part}", -1) for part in split))
    assert faults_of(MoneyBook(contract(paid(40)))) != []


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_every_operation_balances_in_any_order(seed: int) -> None:
    assert [fault for fault in campaign_money.faults(random.Random(seed)) if fault is not None] == []


def test_the_made_up_cases_hold_every_operation() -> None:
    """A campaign without reversals told first, write-offs or waivers would prove nothing."""
    kinds: set[str] = set()
    for seed in range(60):
        chance = random.Random(seed)
        made = campaign_money.contract(chance)
        payments = [each for each in made.entries if isinstance(each, Payment)]
        operations = campaign_money.operations_of(chance, payments)
        kinds |= {type(each).__name__ for each in operations}
        ids = [getattr(each, "id", None) for each in operations]
        for each in payments:
            if each.reversal_of is not None and ids.index(each.id) < ids.index(each.reversal_of):
                kinds.add("reversal first")
    assert kinds == {"Payment", "Waiver", "Refund", "Commission", "CommissionPaid", "date", "reversal first"}


def test_the_campaign_ends_with_0_when_all_balances(capsys: pytest.CaptureFixture[str]) -> None:
    assert campaign_money.main(["--operations", "50", "--seed", "3"]) == 0
    assert "0 faults" in capsys.readouterr().out
