"""The case machine: every pair of state and event has an answer, and the answers agree with each other."""

from itertools import product

import pytest

from chalicelib.domain.cases.lifecycle import FINAL, WORKABLE, CaseEvent, CaseState, answer
from chalicelib.domain.state_table import Move, Refuse, Stay

S, E = CaseState, CaseEvent
PAIRS = list(product(CaseState, CaseEvent))

STOPS = (E.SETTLE, E.RECALL, E.RETURN, E.REFER_TO_LEGAL, E.WRITE_OFF)


@pytest.mark.parametrize(("state", "event"), [pair for pair in PAIRS if pair[0] in FINAL])
def test_nothing_moves_a_final_case(state: CaseState, event: CaseEvent) -> None:
    assert not isinstance(answer(state, event), Move)


@pytest.mark.parametrize(("state", "event"), PAIRS)
def test_an_event_that_moved_a_case_does_no_harm_when_it_comes_again(state: CaseState, event: CaseEvent) -> None:
    first = answer(state, event)
    if isinstance(first, Move):
        again = answer(first.to, event)
        # An objection to a recall is answered once; the second has nothing to object to.
        assert isinstance(again, Stay) or again == first or event is E.OBJECT_TO_RECALL


@pytest.mark.parametrize("state", [state for state in CaseState if state not in FINAL])
@pytest.mark.parametrize("event", [E.SETTLE, E.REFER_TO_LEGAL, E.WRITE_OFF])
def test_the_lender_can_end_every_open_case(state: CaseState, event: CaseEvent) -> None:
    reply = answer(state, event)
    assert isinstance(reply, Move)
    assert reply.to in FINAL


@pytest.mark.parametrize("state", [state for state in CaseState if state not in FINAL])
def test_every_open_case_can_be_taken_back(state: CaseState) -> None:
    steps = [E.RECALL] if state in (S.PLACED, S.RECALL_REQUESTED) else [E.REQUEST_RECALL, E.RECALL]
    for step in steps:
        reply = answer(state, step)
        assert isinstance(reply, Move)
        state = reply.to
    assert state is S.RECALLED


def test_every_state_can_be_reached_from_placed() -> None:
    reached, frontier = {S.PLACED}, [S.PLACED]
    while frontier:
        state = frontier.pop()
        for event in CaseEvent:
            reply = answer(state, event)
            if isinstance(reply, Move) and reply.to not in reached:
                reached.add(reply.to)
                frontier.append(reply.to)
    assert reached == set(CaseState)


def test_a_case_whose_recall_is_requested_is_not_workable() -> None:
    assert S.RECALL_REQUESTED not in WORKABLE
    assert S.PLACED not in WORKABLE
    assert not WORKABLE & FINAL


def test_a_promise_cannot_be_made_on_a_disputed_case() -> None:
    assert isinstance(answer(S.DISPUTED, E.PROMISE), Refuse)


@pytest.mark.parametrize("state", [S.IN_WORK, S.ON_HOLD, S.DISPUTED, S.RECALL_REQUESTED, *sorted(FINAL)])
@pytest.mark.parametrize("event", [E.BREAK_PROMISE, E.KEEP_PROMISE])
def test_a_late_word_on_a_promise_is_ignored(state: CaseState, event: CaseEvent) -> None:
    assert isinstance(answer(state, event), Stay)


@pytest.mark.parametrize("event", STOPS)
def test_ending_a_case_twice_in_the_same_way_is_not_an_error(event: CaseEvent) -> None:
    start = S.RECALL_REQUESTED
    reply = answer(start, event)
    assert isinstance(reply, Move)
    assert isinstance(answer(reply.to, event), Stay)
    other = next(stop for stop in STOPS if stop is not event)
    assert isinstance(answer(reply.to, other), Refuse)
