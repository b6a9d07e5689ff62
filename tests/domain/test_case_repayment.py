"""Money on a case: booking it, and promises judged the same in any order of arrival."""

from datetime import UTC, date, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.cases.case import Promise
from chalicelib.domain.cases.lifecycle import CaseState
from chalicelib.domain.cases.repayment import after_payment, judge, lapse_of
from chalicelib.domain.cases.repayment_ledger import Payment
from tests.builders import PERSON, a_case

DUE = date(2026, 12, 1)
MADE = date(2026, 11, 23)
AS_OF = "2026-11-23T02:00:00Z"


def promise(number: int = 1, **deviations: Any) -> Promise:
    fields = {"amount_minor": 10_000, "currency": "CNY", "due_on": DUE, "made_at": f"2026-11-23T0{number}:00:00.000Z"}
    return Promise(**{"id": f"prm_{number}", "person": PERSON, **fields, "made_on": MADE, **deviations})


def payment(amount: int = 10_000, received_on: date = DUE, number: int = 1, **deviations: Any) -> Payment:
    fields = {"id": f"pay_{number}", "amount_minor": amount, "currency": "CNY", "received_on": received_on}
    return Payment(**{**fields, **deviations})


def states(promises: list[Promise], payments: list[Payment], today: date) -> list[str]:
    return [judged.state for judged in judge(promises, payments, today=today).promises]


@given(amounts=st.lists(st.integers(1, 400_000), min_size=1, max_size=5))
def test_reversing_every_payment_restores_what_was_owed(amounts: list[int]) -> None:
    case = before = a_case()
    for number, amount in enumerate(amounts):
        case = after_payment(case, payment(amount, number=number), as_of=AS_OF)
        assert (
            case.amount_due_minor
            == sum(case.owed.values())
            == before.amount_due_minor - sum(sum(known.split.values()) for known in case.payments)
        )
    for original in case.payments:
        back = original.model_copy(update={"id": f"rev_{original.id}", "reversal_of": original.id})
        case = after_payment(case, back, as_of=AS_OF)
    assert case.owed == before.owed
    assert case.amount_due_minor == before.amount_due_minor
    assert case.oldest_unpaid_due_on == before.oldest_unpaid_due_on


def test_money_beyond_the_debt_settles_it_when_an_earlier_payment_falls_away() -> None:
    case = after_payment(a_case(), payment(1_234_567, number=1), as_of=AS_OF)
    case = after_payment(case, payment(50_000, number=2), as_of=AS_OF)
    assert (case.amount_due_minor, case.payments[1].split) == (0, {})
    back = payment(1_234_567, number=3, reversal_of="pay_1")
    case = after_payment(case, back, as_of=AS_OF)
    assert case.amount_due_minor == 1_184_567
    assert [sum(known.split.values()) for known in case.payments] == [0, 50_000, 0]


def test_a_case_without_unpaid_instalment_is_not_past_due() -> None:
    case = after_payment(a_case(), payment(1_234_567), as_of=AS_OF)
    assert (case.oldest_unpaid_due_on, case.days_past_due(DUE), case.bucket(DUE)) == (None, 0, "M0")


@pytest.mark.parametrize(
    ("received_on", "state"),
    [
        (MADE - timedelta(days=1), "broken"),
        (MADE, "kept"),
        (DUE, "kept"),
        (DUE + timedelta(days=3), "kept"),
        (DUE + timedelta(days=4), "broken"),
    ],
)
def test_a_promise_is_kept_from_the_day_it_was_made_to_the_third_day_of_grace(received_on: date, state: str) -> None:
    assert states([promise()], [payment(received_on=received_on)], DUE + timedelta(days=10)) == [state]


@pytest.mark.parametrize(("days", "state"), [(0, "open"), (3, "open"), (4, "broken")])
def test_an_unpaid_promise_is_broken_when_grace_is_over(days: int, state: str) -> None:
    assert states([promise()], [], DUE + timedelta(days=days)) == [state]


def test_one_minor_unit_short_is_not_kept() -> None:
    late = DUE + timedelta(days=9)
    assert states([promise()], [payment(9_999)], late) == ["broken"]
    assert states([promise()], [payment(9_999), payment(1, number=2)], late) == ["kept"]


def test_the_same_money_keeps_one_promise_only() -> None:
    promises = [promise(1), promise(2, due_on=DUE + timedelta(days=1))]
    assert states(promises, [payment(15_000)], DUE + timedelta(days=20)) == ["kept", "broken"]
    assert states(promises, [payment(20_000)], DUE + timedelta(days=20)) == ["kept", "kept"]


def test_a_reversed_payment_keeps_nothing() -> None:
    paid = payment()
    back = payment(number=2, reversal_of=paid.id)
    assert states([promise()], [paid, back], DUE) == ["open"]
    assert states([promise()], [paid, back], DUE + timedelta(days=4)) == ["broken"]


def test_the_judgement_does_not_depend_on_the_order_in_which_payments_arrive() -> None:
    promises = [promise(1), promise(2, due_on=DUE + timedelta(days=7))]
    payments = [
        payment(6_000, DUE - timedelta(days=2), 1),
        payment(6_000, DUE + timedelta(days=2), 2),
        payment(9_000, DUE + timedelta(days=8), 3),
        payment(6_000, DUE + timedelta(days=2), 4, reversal_of="pay_2"),
    ]
    judgements = {tuple(states(promises, list(order), DUE + timedelta(days=30))) for order in permutations(payments)}
    assert len(judgements) == 1


def test_only_what_changed_is_told() -> None:
    judged = judge([promise(1, state="broken")], [], today=DUE + timedelta(days=9))
    assert judged.changed == ()


def test_a_promise_lapses_at_the_lenders_midnight_after_grace() -> None:
    assert lapse_of(DUE, zone="Asia/Shanghai") == datetime(2026, 12, 4, 16, tzinfo=UTC)
    assert lapse_of(date(2026, 10, 30), zone="America/New_York") == datetime(2026, 11, 3, 5, tzinfo=UTC)


def test_the_clock_looks_at_a_case_at_its_nearest_end() -> None:
    lapses = "2026-12-04T16:00:00.000Z"
    case = a_case(promises=(promise(lapses_at=lapses),))
    assert case.next_due_at() == lapses
    assert (
        case.model_copy(update={"recall_due_at": "2026-11-24T00:00:00.000Z"}).next_due_at()
        == "2026-11-24T00:00:00.000Z"
    )
    assert case.model_copy(update={"state": CaseState.RECALLED}).next_due_at() is None
    assert a_case().next_due_at() is None
