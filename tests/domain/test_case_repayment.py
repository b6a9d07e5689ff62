"""Money on a case: the order of application, reversals, and promises judged the same in any order of arrival."""

from datetime import UTC, date, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.cases.case import Payment, Promise
from chalicelib.domain.cases.lifecycle import CaseState
from chalicelib.domain.cases.repayment import (
    ORDERS,
    OTHERWISE,
    PARTS,
    after_payment,
    after_reversal,
    judge,
    lapse_of,
    split_of,
)
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


def test_in_china_costs_come_first_then_interest_then_principal() -> None:
    owed = {"principal": 500, "interest": 100, "penalty": 50, "late_fee": 20, "management_fee": 10, "other": 5}
    assert split_of(owed, 100, country="CN") == {"other": 5, "management_fee": 10, "late_fee": 20, "interest": 65}
    assert split_of(owed, 200, country="CN")["principal"] == 15


def test_elsewhere_the_instalment_comes_before_charges() -> None:
    owed = {"principal": 500, "interest": 100, "penalty": 50, "late_fee": 20, "management_fee": 10, "other": 5}
    assert split_of(owed, 600, country="US") == {"interest": 100, "principal": 500}


def test_every_order_names_every_part_once() -> None:
    for order in (*ORDERS.values(), OTHERWISE):
        assert sorted(order) == sorted(PARTS)


@given(
    parts=st.dictionaries(st.sampled_from(PARTS), st.integers(0, 10**9)),
    amount=st.integers(1, 10**10),
    country=st.sampled_from(["CN", "US", "DE"]),
)
def test_a_payment_settles_no_more_than_is_owed_and_all_it_can(
    parts: dict[str, int], amount: int, country: str
) -> None:
    split = split_of(parts, amount, country=country)
    assert sum(split.values()) == min(amount, sum(parts.values()))
    assert all(0 < minor <= parts[part] for part, minor in split.items())


@given(amounts=st.lists(st.integers(1, 400_000), min_size=1, max_size=5))
def test_reversing_every_payment_restores_what_was_owed(amounts: list[int]) -> None:
    case = before = a_case()
    for number, amount in enumerate(amounts):
        paid = payment(amount, number=number, split=split_of(case.owed, amount, country="CN"))
        case = after_payment(case, paid, as_of=AS_OF)
        assert (
            case.amount_due_minor
            == sum(case.owed.values())
            == before.amount_due_minor - sum(sum(known.split.values()) for known in case.payments)
        )
    for original in case.payments:
        back = original.model_copy(update={"id": f"rev_{original.id}", "reversal_of": original.id})
        case = after_reversal(case, original, back, as_of=AS_OF)
    assert case.owed == before.owed
    assert case.amount_due_minor == before.amount_due_minor


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
