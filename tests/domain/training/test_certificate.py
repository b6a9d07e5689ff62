"""Certificates: they end at 00:00 after their last day, are told of 30, 14 and 3 days before, each once."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.instants import from_text
from chalicelib.domain.state_table import Move, Refuse
from chalicelib.domain.training.certificate import (
    Certificate,
    CertificateEvent,
    CertificateState,
    Source,
    answer,
    due,
    last_day,
    trainee_id,
)

S, E = CertificateState, CertificateEvent
LAST = date(2026, 12, 31)
MIDNIGHT = datetime(2026, 12, 31, 16, tzinfo=UTC)
"""00:00 of 1 January 2027 in Shanghai."""


def a_certificate(**deviations: Any) -> Certificate:
    return Certificate(
        **{
            "tenant": "lender",
            "org": "agency-a",
            "collector": "col_1",
            "country": "CN",
            "source": Source.EXTERNAL,
            "evidence": "5" * 64,
            "issued_on": date(2026, 1, 5),
            "valid_to": LAST,
            "zone": "Asia/Shanghai",
            **deviations,
        }
    )


def test_the_last_day_counts_and_the_next_midnight_ends_it() -> None:
    assert a_certificate().lapses_at == MIDNIGHT
    warned = a_certificate(warned=(30, 14, 3))
    assert due(warned, MIDNIGHT - timedelta(milliseconds=1)) is None
    lapsed = due(warned, MIDNIGHT)
    assert lapsed is not None and (lapsed.event, lapsed.after.state, lapsed.days_left) == (E.LAPSE, S.LAPSED, 0)


@pytest.mark.parametrize("days", [30, 14, 3])
def test_each_warning_comes_at_midnight_so_many_days_before(days: int) -> None:
    before = tuple(each for each in (30, 14, 3) if each > days)
    known, at = a_certificate(warned=before), MIDNIGHT - timedelta(days=days)
    assert known.wakes_at is not None and from_text(known.wakes_at) == at
    assert due(known, at - timedelta(milliseconds=1)) is None
    told = due(known, at)
    assert told is not None and (told.event, told.days_left, told.after.warned) == (E.WARN, days, (*before, days))
    assert due(told.after, at) is None


@given(st.lists(st.integers(0, 400 * 24), min_size=1, max_size=12))
def test_however_seldom_the_clock_looks_it_tells_each_warning_at_most_once_and_lapses_once(hours: list[int]) -> None:
    known, told = a_certificate(), []
    for hour in sorted(hours):
        now = MIDNIGHT + timedelta(hours=hour - 300 * 24)
        while (found := due(known, now)) is not None:
            told.append(found.event)
            known = found.after
        assert (known.state is S.LAPSED) == (now >= MIDNIGHT)
        assert known.wakes_at is None or from_text(known.wakes_at) > now
    assert told.count(E.WARN) <= 3 and told.count(E.LAPSE) <= 1
    assert E.LAPSE not in told[:-1], "nothing is told of what has lapsed"


def test_what_was_missed_is_told_once_with_the_days_that_are_left() -> None:
    late = due(a_certificate(), MIDNIGHT - timedelta(days=9, hours=2))
    assert late is not None and (late.days_left, late.after.warned) == (10, (30, 14))


def test_a_revoked_one_is_never_looked_at_again_and_can_be_issued_anew() -> None:
    assert a_certificate(state=S.REVOKED).wakes_at is None
    assert due(a_certificate(state=S.REVOKED), MIDNIGHT) is None
    assert answer(S.REVOKED, E.ISSUE) == answer(S.LAPSED, E.ISSUE) == Move(S.VALID)
    assert isinstance(answer(S.LAPSED, E.REVOKE), Refuse)


def test_a_test_counts_for_a_year_in_china() -> None:
    assert last_day("CN", date(2026, 1, 5)) == date(2027, 1, 5)
    assert last_day("US", date(2026, 1, 5)) == date(2029, 1, 5)


def test_people_of_two_agencies_with_one_id_are_two_trainees() -> None:
    assert len({trainee_id("a", "b_c"), trainee_id("a_b", "c"), trainee_id("a-b", "c")}) == 3
