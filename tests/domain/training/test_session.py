"""Sessions: minutes follow from confirmed slices, joining and leaving, and from nothing else; checks open once a slice."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.instants import to_text
from chalicelib.domain.training.session import (
    OPEN,
    SLICE,
    Attendance,
    Kind,
    Session,
    SessionState,
    counted_minutes,
)

NOW = datetime(2026, 11, 23, 2, tzinfo=UTC)


def a_session(minutes: int | None = 120, **deviations: Any) -> Session:
    usual: dict[str, Any] = {
        "id": "ses_1", "tenant": "lender", "org": "agency-a", "kind": Kind.COURSE, "course": "law-cn", "seed": "5",
        "planned_from": to_text(NOW), "planned_to": to_text(NOW + timedelta(hours=2)), "started_at": to_text(NOW),
        "state": SessionState.RUNNING if minutes is None else SessionState.ENDED,
        "stopped_at": None if minutes is None else to_text(NOW + timedelta(minutes=minutes)),
    }  # fmt: skip
    return Session(**{**usual, **deviations})


def attended(*confirmed: int, joined: float = 0, left: float | None = None) -> Attendance:
    return Attendance(
        session="ses_1", tenant="lender", org="agency-a", collector="col_1", confirmed=confirmed,
        joined_at=to_text(NOW + timedelta(minutes=joined)),
        left_at=None if left is None else to_text(NOW + timedelta(minutes=left)),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("attendance", "minutes"),
    [
        (attended(*range(6)), 120),
        (attended(), 0),
        (attended(0, 2), 40),
        (attended(0, 0), 20),
        (attended(0, joined=5), 15),
        (attended(0, 1, left=30), 30),
        (attended(5, left=30), 0),
        (attended(0, joined=19.5), 0),
        (attended(7), 0),
    ],
)
def test_minutes_count_in_confirmed_slices_between_joining_and_leaving(attendance: Attendance, minutes: int) -> None:
    assert counted_minutes(a_session(), attendance) == minutes


def test_a_slice_that_the_end_cuts_off_counts_up_to_the_end() -> None:
    assert counted_minutes(a_session(minutes=50), attended(0, 1, 2)) == 50
    assert counted_minutes(a_session(minutes=None), attended(0, 1, 2)) == 0, "nothing counts while it runs"


@given(
    confirmed=st.sets(st.integers(0, 30)),
    length=st.integers(1, 480),
    joined=st.floats(0, 500),
    stay=st.floats(0, 500),
)
def test_never_more_than_was_attended_and_never_more_than_was_confirmed(
    confirmed: set[int], length: int, joined: float, stay: float
) -> None:
    session, attendance = a_session(length), attended(*confirmed, joined=joined, left=joined + stay)
    minutes = counted_minutes(session, attendance)
    assert 0 <= minutes <= max(0, min(length, joined + stay) - joined) + 1e-6
    assert minutes <= 20 * len(confirmed)
    more = counted_minutes(session, attended(*range(31), joined=joined, left=joined + stay))
    assert minutes <= more


@given(seed=st.text(min_size=1, max_size=20))
def test_one_check_a_slice_opens_and_closes_within_it_at_instants_of_its_own(seed: str) -> None:
    session = a_session(minutes=None, seed=seed)
    for place in range(24):
        first, opens = NOW + place * SLICE, session.check_at(place)
        assert first + timedelta(minutes=5) <= opens and opens + OPEN <= first + SLICE
        assert session.open_check(opens) == place == session.open_check(opens + OPEN - timedelta(milliseconds=1))
        assert session.open_check(opens - timedelta(milliseconds=1)) is None
        assert session.open_check(opens + OPEN) is None
    assert len({session.check_at(place) - NOW - place * SLICE for place in range(24)}) > 6


def test_no_check_is_open_before_the_start_or_after_the_end() -> None:
    session = a_session()
    assert session.open_check(session.check_at(0)) is None
    planned = a_session(minutes=None, state=SessionState.PLANNED, started_at=None)
    assert planned.open_check(NOW) is None and planned.checks() == 0
    assert session.checks() == 6
