"""The attempt's machine: every pair has an answer, and the answers that keep a borrower safe are these."""

import itertools

import pytest

from chalicelib.domain.outreach.attempt import RESERVED, AttemptEvent, AttemptState, Become, Stay, answer

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


def test_every_state_and_event_has_an_answer() -> None:
    answers = [answer(state, event, human=human) for state, event, human in PAIRS]
    assert len(answers) == 14 * 14 * 2
    assert all(isinstance(found, Become | Stay) for found in answers)


def test_nothing_that_was_claimed_can_be_approved_or_claimed_again() -> None:
    for state, event, human in PAIRS:
        found = answer(state, event, human=human)
        if state in AFTER_THE_CLAIM and isinstance(found, Become):
            assert found.to in AFTER_THE_CLAIM


def test_only_an_approved_message_can_be_claimed() -> None:
    claimable = {state for state in AttemptState if isinstance(answer(state, AttemptEvent.CLAIM, human=False), Become)}
    assert claimable == {AttemptState.APPROVED}


def test_only_a_requested_attempt_can_be_ruled_on() -> None:
    rulings = (AttemptEvent.ALLOW, AttemptEvent.DEFER, AttemptEvent.REVIEW, AttemptEvent.DENY)
    for state, event in itertools.product(AttemptState, rulings):
        assert isinstance(answer(state, event, human=False), Become) == (state is AttemptState.REQUESTED)


def test_only_waiting_attempts_come_back_for_a_new_ruling() -> None:
    back = {
        (state, event)
        for state, event, human in PAIRS
        if answer(state, event, human=human) == Become(AttemptState.REQUESTED)
    }
    assert back == BACK_TO_WORK


def test_a_delivery_that_overtakes_our_own_settling_counts() -> None:
    assert answer(AttemptState.SENDING, AttemptEvent.DELIVERED, human=False) == Become(AttemptState.DELIVERED)
    assert answer(AttemptState.UNKNOWN, AttemptEvent.DELIVERED, human=False) == Become(AttemptState.DELIVERED)


@pytest.mark.parametrize(
    "state", [AttemptState.DENIED, AttemptState.CANCELLED, AttemptState.REJECTED, AttemptState.REPORTED]
)
def test_what_is_over_stays_over(state: AttemptState) -> None:
    assert all(isinstance(answer(state, event, human=False), Stay) for event in AttemptEvent)


def test_a_clearance_is_never_claimed_or_delivered_but_reported_even_late() -> None:
    assert isinstance(answer(AttemptState.APPROVED, AttemptEvent.CLAIM, human=True), Stay)
    assert answer(AttemptState.EXPIRED, AttemptEvent.REPORT, human=True) == Become(AttemptState.REPORTED)
    assert isinstance(answer(AttemptState.APPROVED, AttemptEvent.REPORT, human=False), Stay)


def test_what_may_have_reached_the_borrower_counts_as_reserved() -> None:
    assert {AttemptState.SENDING, AttemptState.UNKNOWN, AttemptState.SENT, AttemptState.DELIVERED} <= RESERVED
