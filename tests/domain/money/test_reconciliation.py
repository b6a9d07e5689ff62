"""Two records of the same money: what agrees, every kind of break, its age, and that breaks explain the difference."""

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.money.reconciliation import EXPLANATIONS, Kind, Row, age_of, compare

TODAY = date(2026, 11, 23)


def row(number: int = 1, **deviations: Any) -> Row:
    fields = {"number": number, "reference": f"ref_{number}", "case": "case_1", "amount_minor": 100, "currency": "CNY"}
    return Row(**{**fields, "on": TODAY, **deviations})


def kinds(ours: list[Row], theirs: list[Row]) -> list[Kind]:
    return [each.kind for each in compare(ours, theirs, today=TODAY).breaks]


def test_equal_files_have_no_breaks() -> None:
    found = compare([row(1), row(2)], [row(2), row(1)], today=TODAY)
    assert (found.agreed, found.breaks, found.unexplained_minor) == (2, (), {})


@pytest.mark.parametrize(
    ("ours", "theirs", "kind", "difference"),
    [
        ([], [row()], Kind.MISSING_HERE, 100),
        ([row()], [], Kind.MISSING_THERE, -100),
        ([row()], [row(amount_minor=99)], Kind.AMOUNT_DIFFERS, -1),
        ([row()], [row(case="case_2")], Kind.AMOUNT_DIFFERS, 0),
        ([row()], [row(on=TODAY - timedelta(days=1))], Kind.DATE_DIFFERS, 0),
        ([row()], [row(), row()], Kind.DUPLICATE, 100),
        ([row()], [row(reference="other")], Kind.OTHER_REFERENCE, 0),
    ],
)
def test_each_kind_of_break(ours: list[Row], theirs: list[Row], kind: Kind, difference: int) -> None:
    [found] = compare(ours, theirs, today=TODAY).breaks
    assert (found.kind, found.difference_minor) == (kind, difference)


def test_money_is_the_same_under_another_reference_only_once() -> None:
    assert kinds([row(1)], [row(2, reference="x"), row(3, reference="y")]) == [Kind.MISSING_HERE, Kind.OTHER_REFERENCE]


@pytest.mark.parametrize(
    ("days", "age"), [(0, "0-1"), (1, "0-1"), (2, "2-7"), (7, "2-7"), (8, "8-30"), (30, "8-30"), (31, "31+")]
)
def test_a_break_is_aged_by_the_day_of_the_money(days: int, age: str) -> None:
    [found] = compare([row(on=TODAY - timedelta(days=days))], [], today=TODAY).breaks
    assert (found.age_days, found.age, age_of(days)) == (days, age, age)


def test_every_kind_is_explained_in_both_languages() -> None:
    assert set(EXPLANATIONS) == set(Kind)
    assert all(set(each) == {"zh", "en"} for each in EXPLANATIONS.values())


_row = st.builds(
    row,
    st.integers(1, 8),
    amount_minor=st.integers(-3, 3).filter(bool),
    currency=st.sampled_from(["CNY", "USD"]),
    case=st.sampled_from(["case_1", "case_2"]),
    on=st.dates(TODAY - timedelta(days=3), TODAY),
)


@settings(max_examples=200, deadline=None)
@given(ours=st.lists(_row, max_size=8, unique_by=lambda each: each.reference), theirs=st.lists(_row, max_size=10))
def test_breaks_explain_every_cent_of_the_difference_and_every_row_is_told_once(
    ours: list[Row], theirs: list[Row]
) -> None:
    found = compare(ours, theirs, today=TODAY)
    assert found.unexplained_minor == {}
    told = found.agreed + sum(each.theirs is not None for each in found.breaks)
    assert told == len(theirs)
    mine = found.agreed + sum(each.ours is not None and each.kind is not Kind.DUPLICATE for each in found.breaks)
    assert mine == len(ours)


def test_a_difference_that_no_break_explains_is_told() -> None:
    found = compare([row(1)], [row(1), row(2)], today=TODAY)
    assert type(found)(found.agreed, (), found.ours_minor, found.theirs_minor).unexplained_minor == {"CNY": 100}
