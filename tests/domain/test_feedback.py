"""Feedback on its own: a total table held against a plain model, what closes without an answer, and what masks leave."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.duties.catalogue import rule_of
from chalicelib.domain.feedback.item import (
    DUTY_KIND,
    DUTY_RULE,
    OUTCOMES,
    SEVERITY,
    WAITING,
    FeedbackEvent,
    FeedbackItem,
    Kind,
    Source,
    Status,
    answer,
    feedback_id,
    item_of_clock,
    masked_words,
)
from chalicelib.domain.state_table import Move, Refuse

PAIRS = list(itertools.product(Status, FeedbackEvent))


class Plain:
    """The life of an item told another way: three facts, and no table."""

    def __init__(self) -> None:
        self.closed = self.answered = self.owned = False

    @property
    def status(self) -> Status:
        if self.closed:
            return Status.CLOSED
        if self.answered:
            return Status.ANSWERED
        return Status.ASSIGNED if self.owned else Status.OPEN

    def may(self, event: FeedbackEvent) -> bool:
        if event in (FeedbackEvent.ASSIGN, FeedbackEvent.ANSWER):
            return not self.closed
        if event is FeedbackEvent.CLOSE:
            return self.answered or self.closed
        if event is FeedbackEvent.DISMISS:
            return self.closed or not self.answered
        if event is FeedbackEvent.REOPEN:
            return self.closed or self.answered
        return True

    def take(self, event: FeedbackEvent) -> None:
        if not self.may(event):
            return
        if event is FeedbackEvent.REOPEN:
            self.closed = self.answered = self.owned = False
        elif event is FeedbackEvent.ASSIGN:
            self.owned = True
        elif event is FeedbackEvent.ANSWER:
            self.answered = True
        elif event in (FeedbackEvent.CLOSE, FeedbackEvent.DISMISS):
            self.closed = True


@given(st.lists(st.sampled_from(FeedbackEvent), max_size=12))
def test_table_agrees_with_the_plain_model_on_every_history(events: list[FeedbackEvent]) -> None:
    plain, status = Plain(), Status.OPEN
    for event in events:
        reply = answer(status, event)
        assert isinstance(reply, Refuse) == (not plain.may(event))
        plain.take(event)
        status = reply.to if isinstance(reply, Move) else status
        assert status is plain.status


def test_plain_model_reaches_every_pair() -> None:
    seen = set()
    for events in itertools.product(FeedbackEvent, repeat=3):
        plain = Plain()
        for event in events:
            seen.add((plain.status, event))
            plain.take(event)
    assert seen == set(PAIRS)


def test_only_what_needs_no_answer_closes_without_one() -> None:
    for outcome, event in OUTCOMES.items():
        for status in WAITING:
            closes = isinstance(answer(status, event), Move)
            assert closes == (outcome in ("duplicate", "withdrawn", "not_feedback"))


def test_clock_runs_48_hours_escalates_at_36_and_raises_no_legal_risk() -> None:
    rule = rule_of(DUTY_RULE, DUTY_KIND)
    assert rule is not None
    assert (rule.due.hours, rule.escalate, rule.lapse_is_risk_event) == (48, ["12h", "4h"], False)


def test_every_kind_has_a_severity_and_complaints_the_highest() -> None:
    assert set(SEVERITY) == set(Kind)
    assert [kind for kind, severity in SEVERITY.items() if severity == "high"] == [Kind.COMPLAINT]


def an_item(**changes: object) -> FeedbackItem:
    told = {
        "id": "fb_1",
        "tenant": "auto-fin",
        "kind": Kind.COMPLAINT,
        "source": Source.CUSTOMER,
        "severity": "high",
        "person": "per_1",
        "subject": "fb_1",
        "received_at": "2026-11-23T02:00:00.000Z",
        "due_at": "2026-11-25T02:00:00.000Z",
    }
    return FeedbackItem.model_validate({**told, **changes})


@pytest.mark.parametrize(("now", "overdue"), [("2026-11-25T01:59:59.999Z", False), ("2026-11-25T02:00:00.000Z", True)])
def test_the_due_instant_itself_is_overdue(now: str, overdue: bool) -> None:
    assert an_item().is_overdue(now) is overdue
    assert an_item(status=Status.ANSWERED).is_overdue(now) is False
    assert an_item(due_at=None).is_overdue(now) is False


@pytest.mark.parametrize("number", [1, 2, 17])
@pytest.mark.parametrize("subject", ["in_sms-1", "hold_act_1"])
def test_clock_of_every_round_leads_back_to_its_item(number: int, subject: str) -> None:
    opened = feedback_id("auto-fin", subject, person="per_1")
    for item in (an_item(round=number), an_item(id=opened, subject=subject, round=number)):
        assert item_of_clock("auto-fin", item.clock_subject, person="per_1") == item.id
    assert feedback_id("auto-fin", subject, person="per_2") != opened


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("请打13812345678", "请打*******5678"),
        ("ID 31010119880412123X!", "ID **************123X!"),
        ("+1 312-555-0142", "***********0142"),
        ("write to zhang@mail.test please", "write to *** please"),
        ("paid 1,200 on 2026-11", "paid 1,200 on 2026-11"),
    ],
)
def test_long_numbers_and_addresses_are_masked_and_words_are_not(text: str, shown: str) -> None:
    assert masked_words(text) == shown
