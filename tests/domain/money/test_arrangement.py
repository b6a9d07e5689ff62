"""Arrangements: every state and event answered, approvals by the lender's limits, kept and broken by the ledger alone."""

from datetime import date, timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from chalicelib.domain.cases.repayment_ledger import Payment
from chalicelib.domain.money.arrangement import (
    LIVING,
    ApprovalPolicy,
    Approved,
    Arrangement,
    ArrangementEvent,
    ArrangementState,
    answer,
    approve,
    judge,
    lapses_on,
)
from chalicelib.domain.state_table import Move, Refuse, Stay

S, E = ArrangementState, ArrangementEvent
TODAY = date(2026, 11, 23)
FIRST, SECOND = date(2026, 12, 1), date(2027, 1, 1)
DAY = timedelta(days=1)


def an_arrangement(**deviations: Any) -> Arrangement:
    """A settlement of 1,000.00: 400.00 and 300.00 in two parts, 300.00 given up; proposed by the agency, active."""
    fields = {
        "id": "arr_1",
        "case": "case_1",
        "kind": "settlement",
        "state": "active",
        "currency": "CNY",
        "balance_minor": 100_000,
        "parts": ({"due_on": FIRST, "amount_minor": 40_000}, {"due_on": SECOND, "amount_minor": 30_000}),
        "proposed_by": "agent-1",
        "proposed_for": "agency-a",
        "proposed_at": "2026-11-23T02:00:00Z",
        "proposed_on": TODAY,
        "agreed_on": TODAY,
        **deviations,
    }
    return Arrangement.model_validate(fields)


def paid(amount: int, on: date, number: int = 1, **deviations: Any) -> Payment:
    fields = {"id": f"pay_{number}", "amount_minor": amount, "currency": "CNY", "received_on": on}
    return Payment(**{**fields, **deviations})


# The machine


PLAIN: dict[tuple[str, str], str] = {
    ("proposed", "approve"): "approved",
    ("proposed", "reject"): "rejected",
    ("proposed", "withdraw"): "withdrawn",
    ("approved", "agree"): "active",
    ("approved", "withdraw"): "withdrawn",
    ("active", "withdraw"): "withdrawn",
    ("active", "keep"): "kept",
    ("active", "break"): "broken",
    ("kept", "break"): "broken",
    ("kept", "reopen"): "active",
    ("broken", "keep"): "kept",
    ("broken", "reopen"): "active",
}
"""Every move there is, written out once more by hand."""


@pytest.mark.parametrize(("state", "event"), list(product(S, E)))
def test_every_state_and_event_has_an_answer_and_only_these_move(state: S, event: E) -> None:
    reply = answer(state, event)
    target = PLAIN.get((state.value, event.value))
    if target is not None:
        assert reply == Move(S(target))
    else:
        assert isinstance(reply, Stay | Refuse)
        assert reply.reason


def test_what_comes_again_changes_nothing_and_what_comes_too_late_is_refused() -> None:
    assert isinstance(answer(S.ACTIVE, E.AGREE), Stay)
    assert isinstance(answer(S.REJECTED, E.APPROVE), Refuse)
    assert isinstance(answer(S.PROPOSED, E.AGREE), Refuse), "nobody agrees to what was not approved"
    assert isinstance(answer(S.WITHDRAWN, E.BREAK), Stay), "a judgement may come late"
    assert {state for state in S if isinstance(answer(state, E.WITHDRAW), Move)} == LIVING


class Life(RuleBasedStateMachine):
    """Random events against the plain table."""

    def __init__(self) -> None:
        super().__init__()
        self.state, self.plain, self.past = S.PROPOSED, "proposed", ["proposed"]

    @rule(event=st.sampled_from(E))
    def happen(self, event: E) -> None:
        reply = answer(self.state, event)
        self.state = reply.to if isinstance(reply, Move) else self.state
        self.plain = PLAIN.get((self.plain, event.value), self.plain)
        self.past.append(self.plain)

    @invariant()
    def both_stand_in_the_same_state(self) -> None:
        assert self.state.value == self.plain

    @invariant()
    def nothing_is_active_that_was_not_approved(self) -> None:
        if "active" in self.past:
            assert "approved" in self.past[: self.past.index("active")]


Life.TestCase.settings = settings(max_examples=60, deadline=None)
TestLife = Life.TestCase


# Who approves


def limit(basis_points: int, minor: int, approvals: int, parts: int = 12, days: int = 365) -> dict[str, int]:
    return {
        "max_discount_basis_points": basis_points,
        "max_discount_minor": minor,
        "max_parts": parts,
        "max_days": days,
        "approvals": approvals,
    }


POLICY = ApprovalPolicy.model_validate({"limits": {"settlement": (limit(1_000, 20_000, 1), limit(3_000, 10**9, 2))}})


def test_above_a_limit_a_second_person_must_approve() -> None:
    proposed = an_arrangement(state="proposed")
    first = approve(POLICY, proposed, by="head-1", is_lender=True)
    assert first == Approved(("head-1",), False)
    again = proposed.model_copy(update={"approved_by": ("head-1",)})
    assert approve(POLICY, again, by="head-1", is_lender=True) == Approved(("head-1",), False), "the same person twice"
    assert approve(POLICY, again, by="head-2", is_lender=True) == Approved(("head-1", "head-2"), True)


def test_an_agency_never_approves_and_nobody_approves_their_own() -> None:
    proposed = an_arrangement(state="proposed")
    assert isinstance(approve(POLICY, proposed, by="agent-2", is_lender=False), Refuse)
    assert isinstance(approve(POLICY, proposed, by="agent-1", is_lender=True), Refuse)


@pytest.mark.parametrize(
    ("to_pay", "approvals"), [(90_000, 1), (89_999, 2), (70_000, 2), (69_999, None), (100_000, 1), (1, None)]
)
def test_limits_are_closed_and_beyond_the_last_nobody_approves(to_pay: int, approvals: int | None) -> None:
    one = an_arrangement(parts=({"due_on": FIRST, "amount_minor": to_pay},))
    assert POLICY.approvals_for(one) == approvals


def test_without_a_policy_for_its_kind_nothing_is_approved() -> None:
    hardship = an_arrangement(kind="hardship", state="proposed")
    assert isinstance(approve(POLICY, hardship, by="head-1", is_lender=True), Refuse)
    assert ApprovalPolicy(limits={}).approvals_for(an_arrangement()) is None


def test_number_of_parts_and_their_span_are_limited_too() -> None:
    days = (SECOND - TODAY).days
    for parts, span, approvals in ((2, days, 1), (1, days, None), (2, days - 1, None)):
        narrow = {"limits": {"plan": (limit(0, 0, 1, parts, span),)}}
        assert ApprovalPolicy.model_validate(narrow).approvals_for(an_arrangement(kind="plan")) == approvals


def test_only_a_settlement_gives_anything_up() -> None:
    assert an_arrangement().discount_minor == 30_000
    assert [an_arrangement(kind=kind).discount_minor for kind in ("plan", "hardship")] == [0, 0]


# Kept and broken


@pytest.mark.parametrize(
    ("money", "today", "event"),
    [
        ([], FIRST + 3 * DAY, None),
        ([], FIRST + 4 * DAY, E.BREAK),
        ([(40_000, FIRST + 3 * DAY)], FIRST + 4 * DAY, None),
        ([(40_000, FIRST + 4 * DAY)], FIRST + 4 * DAY, E.BREAK),
        ([(39_999, FIRST)], FIRST + 4 * DAY, E.BREAK),
        ([(70_000, TODAY)], TODAY, E.KEEP),
        ([(70_000, TODAY - DAY)], TODAY, None),
        ([(40_000, FIRST), (30_000, SECOND)], SECOND + 9 * DAY, E.KEEP),
        ([(40_000, FIRST), (30_000, SECOND + 4 * DAY)], SECOND + 9 * DAY, E.BREAK),
    ],
)
def test_it_is_kept_or_broken_by_the_money_alone(money: list[tuple[int, date]], today: date, event: E | None) -> None:
    payments = [paid(amount, on, number) for number, (amount, on) in enumerate(money)]
    assert judge(an_arrangement(), payments, today=today).event is event


def test_a_reversal_breaks_what_was_kept_and_late_news_mends_what_was_broken() -> None:
    whole = paid(70_000, TODAY)
    kept = an_arrangement(state="kept")
    gone = [whole, paid(70_000, FIRST, 2, reversal_of="pay_1")]
    assert judge(kept, [whole], today=FIRST).event is None
    assert judge(kept, gone, today=FIRST).event is E.REOPEN
    assert judge(kept, gone, today=SECOND).event is E.BREAK
    assert judge(an_arrangement(state="broken"), [whole], today=SECOND).event is E.KEEP


@pytest.mark.parametrize("state", ["proposed", "approved", "rejected", "withdrawn"])
def test_what_was_not_agreed_or_ended_is_not_judged(state: str) -> None:
    assert judge(an_arrangement(state=state, agreed_on=None), [paid(70_000, TODAY)], today=SECOND).event is None


def test_it_lapses_the_day_after_grace_of_the_first_part_that_is_short() -> None:
    assert lapses_on(an_arrangement(), [], today=TODAY) == FIRST + 4 * DAY
    assert lapses_on(an_arrangement(), [paid(40_000, TODAY)], today=TODAY) == SECOND + 4 * DAY
    assert lapses_on(an_arrangement(), [paid(70_000, TODAY)], today=TODAY) is None


@settings(max_examples=100, deadline=None)
@given(
    money=st.lists(st.tuples(st.integers(1, 50_000), st.integers(0, 60)), max_size=6),
    today=st.integers(0, 80),
    order=st.randoms(),
)
def test_the_order_in_which_money_is_told_changes_nothing(money: list[tuple[int, int]], today: int, order: Any) -> None:
    payments = [paid(amount, TODAY + after * DAY, number) for number, (amount, after) in enumerate(money)]
    told = judge(an_arrangement(), payments, today=TODAY + today * DAY)
    order.shuffle(payments)
    assert judge(an_arrangement(), payments, today=TODAY + today * DAY) == told


def test_days_of_parts_rise() -> None:
    part = {"due_on": FIRST, "amount_minor": 1}
    with pytest.raises(ValueError, match="rise"):
        an_arrangement(parts=(part, part))
