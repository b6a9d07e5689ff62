"""The days to the last of which evidence is kept: each duty on both sides of its end, and the longest counts."""

import re
from datetime import date, timedelta
from typing import Any

import pytest

from chalicelib.domain.people.retention import Duty, Ended, duties, kept, plus_years
from tests.house import ROOT

LAST, END, LIMIT = date(2026, 6, 15), date(2026, 3, 31), date(2029, 10, 19)
STARTS = {"last_activity": LAST, "case_end": END, "year_end": date(2026, 12, 31), "limitation_end": LIMIT}


def ended(**changes: Any) -> Ended:
    usual = {"place": "CN", "region": None, "last_activity": LAST, "case_end": END, "limitation_end": LIMIT}
    return Ended(**{**usual, **changes})


def at(duty: Duty) -> Ended:
    where = duty.where[0]
    country, _, part = where.partition("-")
    return ended(place="XX" if where == "*" else country, region=where if part else None)


@pytest.mark.parametrize("duty", duties(), ids=lambda duty: duty.id)
def test_a_duty_runs_to_its_last_day_and_no_longer(duty: Duty) -> None:
    last = plus_years(STARTS[duty.from_], duty.years)
    assert (duty.id, last) in {(each.duty.id, each.until) for each in kept([at(duty)], today=last)}
    assert duty.id not in {each.duty.id for each in kept([at(duty)], today=last + timedelta(days=1))}


@pytest.mark.parametrize("duty", [each for each in duties() if "*" not in each.where], ids=lambda duty: duty.id)
def test_a_duty_binds_nobody_elsewhere(duty: Duty) -> None:
    assert duty.id not in {each.duty.id for each in kept([ended(place="ZZ", region="ZZ-1")], today=LAST)}


def test_the_longest_duty_comes_first_and_the_house_rule_is_there_everywhere() -> None:
    assert [each.until.year for each in kept([ended(place="ZZ")], today=LAST)] == [2033]
    # In China proof of an interrupted limitation is kept until 2029 + 3; the house rule is longer.
    assert [(each.duty.id, each.until.isoformat()) for each in kept([ended()], today=LAST)] == [
        ("HOUSE-RETENTION", "2033-06-15"),
        ("CN-REC-2-LIMITATION", "2032-10-19"),
        ("CN-REC-2", "2031-03-31"),
    ]
    assert kept([ended(place="JP")], today=LAST)[0].until == date(2036, 3, 31)
    assert kept([ended(place="DE")], today=LAST)[0].until == date(2036, 12, 31)


def test_of_several_cases_the_latest_end_counts() -> None:
    cases = [ended(case_end=END, limitation_end=None), ended(case_end=END + timedelta(days=400), limitation_end=None)]
    assert {each.duty.id: each.until for each in kept(cases, today=LAST)}["CN-REC-2"] == date(2032, 5, 5)


def test_what_is_not_in_force_yet_binds_nobody() -> None:
    (eu,) = [duty for duty in duties() if duty.id == "EU-RETENTION"]
    assert eu.effective is not None
    before = eu.effective - timedelta(days=1)
    case = ended(place="FR", last_activity=before, case_end=before)
    assert "EU-RETENTION" not in {each.duty.id for each in kept([case], today=before)}
    assert "EU-RETENTION" in {each.duty.id for each in kept([case], today=eu.effective)}


def test_nothing_has_to_be_kept_of_a_person_without_cases() -> None:
    assert kept([], today=LAST) == ()


@pytest.mark.parametrize(("day", "after"), [("2024-02-29", "2031-03-01"), ("2026-02-28", "2033-02-28")])
def test_a_leap_day_is_kept_a_day_longer(day: str, after: str) -> None:
    assert plus_years(date.fromisoformat(day), 7) == date.fromisoformat(after)


def test_every_duty_has_a_name_of_its_own_a_source_and_a_row_on_the_page() -> None:
    names = [duty.id for duty in duties()]
    assert len(set(names)) == len(names) >= 20
    page = (ROOT / "docs" / "privacy.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([A-Z0-9-]+)` \| ([^|]+) \|", page, flags=re.MULTILINE))
    assert set(rows) == set(names)
    for duty in duties():
        assert duty.citation and rows[duty.id].startswith(f"{duty.years} years")
        assert duty.grade == "house" or duty.doubt or duty.effective, duty.id
