"""Exams: marked by exactly the right options, on both sides of the pass mark; one at a time, so many, with a wait between."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.instants import to_text
from chalicelib.domain.training.course import CourseContent
from chalicelib.domain.training.exam import (
    Exam,
    ExamEvent,
    ExamState,
    MayNotSit,
    MaySit,
    Sitting,
    Trainee,
    answer,
    answers_digest,
    mark,
    may_sit,
)
from tests.builders import a_course

CONTENT = CourseContent.model_validate(a_course())
NOW = datetime(2026, 11, 23, 2, tzinfo=UTC)
ASKED = ("q0", "q1", "q2", "q3")


def an_exam(**deviations: Any) -> Exam:
    usual = {
        "id": "exm_1", "tenant": "lender", "org": "agency-a", "collector": "col_1", "course": "law-cn", "number": 1,
        "bank": CONTENT.sha256, "seed": "5", "questions": ASKED, "attempt": 1, "started_at": to_text(NOW),
        "ends_at": to_text(NOW + timedelta(minutes=30)),
    }  # fmt: skip
    return Exam(**{**usual, **deviations})


def a_sitting(number: int, state: ExamState, began: datetime, **deviations: Any) -> Sitting:
    ended = None if state is ExamState.RUNNING else to_text(began + timedelta(minutes=20))
    usual = {"exam": f"exm_{number}", "course": "law-cn", "attempt": 1, "started_at": to_text(began), "asked": 4}
    return Sitting(**{**usual, "state": state, "ended_at": ended, **deviations})


def trainee(*sittings: Sitting) -> Trainee:
    return Trainee(tenant="lender", org="agency-a", collector="col_1", sittings=sittings)


@pytest.mark.parametrize(
    ("right", "event"), [(4, ExamEvent.PASS), (3, ExamEvent.PASS), (2, ExamEvent.FAIL), (0, ExamEvent.FAIL)]
)
def test_three_of_four_pass_and_two_do_not(right: int, event: ExamEvent) -> None:
    answers = {each: ("b",) if place < right else ("a",) for place, each in enumerate(ASKED)}
    found = mark(CONTENT, an_exam(answers=answers))
    assert (found.right, found.asked, found.event) == (right, 4, event)


@pytest.mark.parametrize("chosen", [(), ("a",), ("a", "b"), ("a", "b", "c")])
def test_only_exactly_the_right_options_are_right(chosen: tuple[str, ...]) -> None:
    assert mark(CONTENT, an_exam(answers={"q0": chosen})).right == 0
    assert mark(CONTENT, an_exam(answers={"q0": ("b",)})).right == 1


def test_what_was_not_asked_counts_for_nothing() -> None:
    assert mark(CONTENT, an_exam(questions=("q0", "q1"), answers={"q4": ("b",), "q5": ("b",)})).right == 0


@given(st.lists(st.sampled_from(ExamEvent), max_size=8))
def test_whatever_comes_it_is_marked_at_most_once(events: list[ExamEvent]) -> None:
    state, marks = ExamState.RUNNING, 0
    for event in events:
        reply = answer(state, event)
        if hasattr(reply, "to"):
            marks += reply.to in (ExamState.PASSED, ExamState.FAILED)
            assert state is ExamState.RUNNING, "nothing moves an exam that is over"
            state = reply.to
    assert marks <= 1


def test_an_answer_at_the_end_counts_no_more() -> None:
    exam = an_exam()
    assert exam.is_open(NOW + timedelta(minutes=30, milliseconds=-1))
    assert not exam.is_open(NOW + timedelta(minutes=30))


def test_the_digest_does_not_depend_on_the_order_of_options() -> None:
    assert answers_digest({"q0": ("a", "b"), "q1": ()}) == answers_digest({"q1": (), "q0": ("b", "a")})
    assert answers_digest({"q0": ("a",)}) != answers_digest({"q0": ("b",)})


def test_one_exam_at_a_time() -> None:
    running = a_sitting(1, ExamState.RUNNING, NOW - timedelta(days=2))
    refused = may_sit(trainee(running), "law-cn", CONTENT.exam, now=NOW)
    assert isinstance(refused, MayNotSit) and refused.code == "exam_running"
    assert may_sit(trainee(running), "another", CONTENT.exam, now=NOW) == MaySit(1)


def test_a_failure_asks_for_a_day_of_learning() -> None:
    failed = trainee(a_sitting(1, ExamState.FAILED, NOW))
    again = NOW + timedelta(hours=24, minutes=20)
    refused = may_sit(failed, "law-cn", CONTENT.exam, now=again - timedelta(milliseconds=1))
    assert isinstance(refused, MayNotSit) and refused.until == to_text(again)
    assert may_sit(failed, "law-cn", CONTENT.exam, now=again) == MaySit(2)


def test_the_fourth_attempt_of_365_days_waits_for_the_first_to_be_a_year_old() -> None:
    failures = [a_sitting(number, ExamState.FAILED, NOW + timedelta(days=10 * number)) for number in range(3)]
    year = NOW + timedelta(days=365)
    refused = may_sit(trainee(*failures), "law-cn", CONTENT.exam, now=year - timedelta(milliseconds=1))
    assert isinstance(refused, MayNotSit) and (refused.code, refused.until) == ("no_attempts_left", to_text(year))
    assert may_sit(trainee(*failures), "law-cn", CONTENT.exam, now=year) == MaySit(4)


def test_after_a_pass_attempts_are_counted_anew_and_voided_ones_never() -> None:
    sittings = [
        a_sitting(1, ExamState.FAILED, NOW),
        a_sitting(2, ExamState.PASSED, NOW + timedelta(days=2), valid_to=date(2027, 11, 25)),
        a_sitting(3, ExamState.VOIDED, NOW + timedelta(days=3)),
    ]
    assert may_sit(trainee(*sittings), "law-cn", CONTENT.exam, now=NOW + timedelta(days=3, hours=1)) == MaySit(1)
    assert trainee(*sittings).passed("law-cn") == sittings[1]
    assert trainee(*sittings).passed("law-cn", after=to_text(NOW + timedelta(days=2, minutes=20))) is None
