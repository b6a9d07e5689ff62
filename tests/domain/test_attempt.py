"""The attempt's machine: every pair has an answer, and the answers that keep a borrower safe are these."""

import itertools

import pytest

from chalicelib.domain.outreach.attempt import RESERVED, AttemptEvent, AttemptState, answer
from chalicelib.domain.state_table import Move, Stay

PAIRS = list(itertools.product(AttemptState, AttemptEvent, (True, False)))
BACK_TO_WORK = {
    (AttemptState.DEFERRED, AttemptEvent.RELEASE),
    (AttemptState.APPROVED, AttemptEvent.RELEASE),
}
AFTER_THE_CLAIM = {
    AttemptState.SENDING,
    AttemptState.SENT,
    AttemptState.DELIVERED,
    AttemptState.FAILED,
    AttemptState.REJECTED,
    AttemptState.UNKNOWN,
}


def test_nothing_that_a_carrier_says_is_refused() -> None:
    assert all(isinstance(answer(state, event, human=human), Move | Stay) for state, event, human in PAIRS)


def test_nothing_that_was_claimed_can_be_approved_or_claimed_again() -> None:
    for state, event, human in PAIRS:
        found = answer(state, event, human=human)
        if state in AFTER_THE_CLAIM and isinstance(found, Move):
            assert found.to in AFTER_THE_CLAIM


def test_only_an_approved_message_can_be_claimed() -> None:
    claimable = {state for state in AttemptState if isinstance(answer(state, AttemptEvent.CLAIM, human=False), Move)}
    assert claimable == {AttemptState.APPROVED}


def test_only_a_requested_attempt_can_be_ruled_on() -> None:
    rulings = (AttemptEvent.ALLOW, AttemptEvent.DEFER, AttemptEvent.REVIEW, AttemptEvent.DENY)
    for state, event in itertools.product(AttemptState, rulings):
        assert isinstance(answer(state, event, human=False), Move) == (state is AttemptState.REQUESTED)


def test_only_waiting_attempts_come_back_for_a_new_ruling() -> None:
    back = {
        (state, event)
        for state, event, human in PAIRS
        if answer(state, event, human=human) == Move(AttemptState.REQUESTED)
    }
    assert back == BACK_TO_WORK


def test_a_delivery_that_overtakes_our_own_settling_counts() -> None:
    assert answer(AttemptState.SENDING, AttemptEvent.DELIVERED, human=False) == Move(AttemptState.DELIVERED)
    assert answer(AttemptState.UNKNOWN, AttemptEvent.DELIVERED, human=False) == Move(AttemptState.DELIVERED)


@pytest.mark.parametrize(
    "state", [AttemptState.DENIED, AttemptState.CANCELLED, AttemptState.REJECTED, AttemptState.REPORTED]
)
def test_what_is_over_stays_over(state: AttemptState) -> None:
    assert all(isinstance(answer(state, event, human=False), Stay) for event in AttemptEvent)


def test_a_clearance_is_never_claimed_or_delivered_but_reported_even_late() -> None:
    assert isinstance(answer(AttemptState.APPROVED, AttemptEvent.CLAIM, human=True), Stay)
    assert answer(AttemptState.EXPIRED, AttemptEvent.REPORT, human=True) == Move(AttemptState.REPORTED)
    assert isinstance(answer(AttemptState.APPROVED, AttemptEvent.REPORT, human=False), Stay)


def test_what_may_have_reached_the_borrower_counts_as_reserved() -> None:
    assert {AttemptState.SENDING, AttemptState.UNKNOWN, AttemptState.SENT, AttemptState.DELIVERED} <= RESERVED
