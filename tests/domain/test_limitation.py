"""The limitation calculator: hand-worked ends, a day-by-day count as the oracle, guarantors, and the data it reads."""

import tomllib
from calendar import monthrange
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from chalicelib.domain.duties.clock import months_after
from chalicelib.domain.litigation import limitation as limits
from chalicelib.domain.litigation.limitation import (
    Entry,
    Guarantee,
    Limitation,
    Proof,
    Stated,
    guarantee,
    last_day,
    law_of,
    laws,
    limitation,
    rest_days,
    start_of,
)

TODAY = date(2026, 11, 28)
CASES = tomllib.loads((Path(__file__).parent / "limitation_cases.toml").read_text(encoding="utf-8"))["case"]


def an_entry(kind: str, on: date, proof: str = "delivered", identity: str = "e1", **more: Any) -> Entry:
    return Entry.model_validate({"id": identity, "kind": kind, "on": on, "proof": proof, **more})


def computed(
    entries: list[Entry], *, start: date | None, place: str = "CN", today: date = TODAY, stated: Stated | None = None
) -> Limitation:
    country, _, region = place.partition("-")
    return limitation(
        entries, country=country, region=place if region else None, today=today, start=start, stated=stated
    )


# The table


def test_the_table_is_large_and_names_its_sources() -> None:
    assert len(CASES) >= 60
    assert len({case["name"] for case in CASES}) == len(CASES)
    assert all(case["source"] for case in CASES)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_the_end_is_the_one_that_was_worked_out_by_hand(case: dict[str, Any]) -> None:
    entries = [Entry(id=f"e{i}", **entry) for i, entry in enumerate(case.get("entries", []), 1)]
    stated = Stated(**case["stated"]) if "stated" in case else None
    for ledger in (entries, entries[::-1]):
        found = computed(
            ledger,
            start=case.get("start"),
            place=case.get("place", "CN"),
            today=case.get("today", TODAY),
            stated=stated,
        )
        assert found.expires_on == case.get("expires")
        assert found.may_reach_to == case.get("reaches", case.get("expires"))
        assert list(found.doubts) == case.get("doubts", [])
        assert found.basis == case.get("basis", "computed")
        assert found.pending is case.get("pending", False)


def test_the_last_day_itself_is_in_time() -> None:
    found = computed([], start=date(2023, 6, 10))
    assert found.is_barred(date(2026, 6, 10)) is False and found.days_left(date(2026, 6, 10)) == 0
    assert found.is_barred(date(2026, 6, 11)) is True and found.days_left(date(2026, 6, 11)) == -1
    nothing = computed([], start=None)
    assert nothing.is_barred(TODAY) is None and nothing.days_left(TODAY) is None


# The oracle counts days one by one


def _rests(day: date) -> bool:
    known = rest_days("cn-public")
    off, working = known.off.get(day.year), known.working.get(day.year, frozenset())
    return off is not None and (day in off or (day.isoweekday() > 5 and day not in working))


@cache
def _counted(start: date, months: int) -> date:
    """Walk from the day after ``start`` to the last day of so many months, then over the days of rest."""
    day, left = start, months
    while left:
        day += timedelta(days=1)
        days = monthrange(day.year, day.month)[1]
        left -= day.day == min(start.day, days) and (day.year, day.month) != (start.year, start.month)
    while _rests(day):
        day += timedelta(days=1)
    return day


def _walked(start: date, entries: list[Entry], today: date) -> date:
    """Live through every day: what breaks the period, and at the end of the last day whether an obstacle lasts on."""
    day = min([start, *(entry.on for entry in entries)])
    begin, end = start, _counted(start, 36)
    cut = _counted(start, 240)
    while True:
        end = min(end, cut)
        for entry in entries:
            if entry.kind == "obstacle" or entry.on != day or entry.on > today or day > end:
                continue
            begins = (entry.until or today) if entry.kind == "suit" else day
            if begins > begin:
                begin, end = begins, min(cut, max(end, _counted(begins, 36)))
        if day >= end:
            gone = [
                entry.until or today
                for entry in entries
                if entry.kind == "obstacle"
                and entry.on <= min(end, today)
                and any(months_after(end, -6) < d <= (entry.until or today) for d in _days(entry, end, today))
            ]
            later = max([end, *(_counted(each, 6) for each in gone if each > begin)])
            if min(later, cut) <= end:
                return end
            end = min(later, cut)
        day += timedelta(days=1)


def _days(entry: Entry, end: date, today: date) -> list[date]:
    last = entry.until or today
    return [entry.on, last, min(end, last)]


UNHURRIED = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
DAYS = st.integers(0, 9 * 365).map(lambda n: date(2019, 1, 1) + timedelta(days=n))
NOWS = DAYS.map(lambda day: day + timedelta(days=2 * 366))
"""Days on which the Civil Code is in force."""


@st.composite
def ledgers(draw: st.DrawFn) -> list[Entry]:
    found = []
    for number in range(draw(st.integers(0, 5))):
        kind, on = draw(st.sampled_from(["demand", "demand", "suit", "obstacle"])), draw(DAYS)
        until = None
        if kind != "demand" and draw(st.booleans()):
            until = on + timedelta(days=draw(st.integers(0, 700)))
        found.append(an_entry(kind, on, "official", f"e{number}", until=until))
    return found


@UNHURRIED
@given(start=DAYS, months=st.sampled_from([1, 6, 36, 240]))
def test_months_and_days_of_rest_are_counted_day_by_day(start: date, months: int) -> None:
    assert last_day(months_after(start, months), "cn-public")[0] == _counted(start, months)


@UNHURRIED
@given(start=DAYS, entries=ledgers(), today=NOWS)
def test_the_end_is_the_one_that_living_through_every_day_finds(start: date, entries: list[Entry], today: date) -> None:
    assert computed(entries, start=start, today=today).expires_on == _walked(start, entries, today)


@UNHURRIED
@given(start=DAYS, entries=ledgers(), today=NOWS, data=st.data())
def test_the_order_of_arrival_does_not_matter(
    start: date, entries: list[Entry], today: date, data: st.DataObject
) -> None:
    told = data.draw(st.permutations(entries))
    assert computed(told, start=start, today=today) == computed(entries, start=start, today=today)


@UNHURRIED
@given(start=DAYS, entries=ledgers(), today=NOWS)
def test_an_entry_never_makes_the_end_earlier(start: date, entries: list[Entry], today: date) -> None:
    for gone in range(len(entries)):
        fewer = computed(entries[:gone] + entries[gone + 1 :], start=start, today=today).expires_on
        assert fewer is not None
        assert computed(entries, start=start, today=today).expires_on >= fewer  # type: ignore[operator]


PROOFS = st.sampled_from(list(Proof))


@UNHURRIED
@given(start=DAYS, entries=ledgers(), today=NOWS, proofs=st.lists(PROOFS, min_size=5, max_size=5), stated=DAYS)
def test_what_is_only_claimed_reaches_at_least_as_far_as_what_is_proven(
    start: date, entries: list[Entry], today: date, proofs: list[Proof], stated: date
) -> None:
    told = [entry.model_copy(update={"proof": proof}) for entry, proof in zip(entries, proofs, strict=False)]
    found = computed(told, start=start, today=today, stated=Stated(stated, start))
    alone = computed(told, start=start, today=today)
    assert found.expires_on is not None and alone.expires_on is not None and found.may_reach_to is not None
    assert found.expires_on <= found.may_reach_to
    # Of the stated and the computed end the stricter wins.
    assert found.expires_on <= alone.expires_on


# Where it begins


CN, NY = law_of("CN", None, on=TODAY), law_of("US", "US-NY", on=TODAY)


@pytest.mark.parametrize(
    ("is_accelerated", "accelerated_on", "expected"),
    [
        (False, None, date(2028, 4, 10)),
        (True, date(2025, 5, 5), date(2025, 5, 5)),
        (True, None, date(2024, 2, 10)),
        (True, date(2029, 1, 1), date(2028, 4, 10)),
    ],
)
def test_an_acceleration_makes_the_period_begin_earlier(
    is_accelerated: bool, accelerated_on: date | None, expected: date
) -> None:
    assert CN is not None and NY is not None
    on_file: dict[str, Any] = {
        "last_due_on": date(2028, 4, 10),
        "oldest_unpaid_due_on": date(2024, 2, 10),
        "is_accelerated": is_accelerated,
        "accelerated_on": accelerated_on,
    }
    assert start_of(CN, **on_file) == expected
    # Where each instalment's own day is argued for, the oldest unpaid one is the start.
    assert start_of(NY, **on_file) == date(2024, 2, 10)


def test_a_due_date_that_is_not_on_file_is_not_guessed() -> None:
    assert CN is not None
    assert start_of(CN, last_due_on=None, oldest_unpaid_due_on=date(2024, 2, 10)) is None


# Guarantors

DUE = date(2025, 3, 10)


def guaranteed(role: Any, entries: list[Entry], **more: Any) -> Guarantee:
    told: dict[str, Any] = {"main_due_on": DUE, "agreed_until": None, "today": TODAY, **more}
    return guarantee(entries, country="CN", role=role, **told)


@pytest.mark.parametrize(
    ("main", "agreed", "ends"),
    [
        (DUE, None, date(2025, 9, 10)),
        (date(2025, 8, 31), None, date(2026, 2, 28)),
        # 2025-10-05 lies in the October holiday, which lasts to the 8th.
        (date(2025, 4, 5), None, date(2025, 10, 9)),
        (DUE, date(2027, 3, 10), date(2027, 3, 10)),
        # Not after the main due date is as good as not agreed (art. 692(2)).
        (DUE, DUE, date(2025, 9, 10)),
        (None, date(2027, 3, 10), date(2027, 3, 10)),
        (None, None, None),
    ],
)
def test_the_guarantee_period_is_the_agreed_one_or_six_months(
    main: date | None, agreed: date | None, ends: date | None
) -> None:
    assert guaranteed("guarantor_joint", [], main_due_on=main, agreed_until=agreed).ends_on == ends


@pytest.mark.parametrize(
    ("entries", "today", "state", "starts_on"),
    [
        ([], date(2025, 9, 10), "open", None),
        ([], date(2025, 9, 11), "freed", None),
        ([an_entry("demand", date(2025, 9, 10))], TODAY, "claimed", date(2025, 9, 10)),
        ([an_entry("demand", date(2025, 9, 11))], TODAY, "freed", None),
        ([an_entry("demand", date(2025, 9, 1), "sent")], TODAY, "freed", None),
        ([an_entry("suit", date(2025, 9, 1), "official")], TODAY, "claimed", date(2025, 9, 1)),
        ([an_entry("suit", date(2025, 9, 1), "official", dropped=True)], TODAY, "freed", None),
    ],
)
def test_a_joint_guarantor_is_freed_unless_asked_in_time(
    entries: list[Entry], today: date, state: str, starts_on: date | None
) -> None:
    found = guaranteed("guarantor_joint", entries, today=today)
    assert (found.state, found.starts_on) == (state, starts_on)


def test_a_general_guarantor_is_freed_unless_the_debtor_is_sued_in_time() -> None:
    asked, sued = an_entry("demand", date(2025, 9, 1)), an_entry("suit", date(2025, 9, 1), "official", "e2")
    assert guaranteed("guarantor_general", [asked]).state == "freed"
    claimed = guaranteed("guarantor_general", [asked, sued])
    assert (claimed.state, claimed.starts_on) == ("claimed", None)
    assert guaranteed("guarantor_general", [sued], exhausted_on=date(2026, 5, 6)).starts_on == date(2026, 5, 6)


def test_a_country_without_an_entry_on_guarantees_is_unknown() -> None:
    told: dict[str, Any] = {"main_due_on": DUE, "agreed_until": None, "today": TODAY}
    assert guarantee([], country="US", role="guarantor_joint", **told).state == "unknown"


# The data


def test_every_law_names_its_source_and_what_is_remembered_is_provisional() -> None:
    assert {law.place for law in laws()} == {"CN", "US-NY", "US-CA", "US-TX"}
    for law in laws():
        assert law.citation and law.source and law.checked <= TODAY
        assert law.provisional or law.confidence == "source"


@pytest.mark.parametrize(
    "changes",
    [
        {"confidence": "memory", "provisional": False},
        {"calendar": "atlantis"},
        {"years": 0},
        {"interruption": [{"kind": "demand", "after_expiry": "nothing", "citation": "x"}] * 2},
    ],
)
def test_a_law_that_says_nothing_sound_is_refused(changes: dict[str, Any]) -> None:
    assert CN is not None
    with pytest.raises((ValidationError, FileNotFoundError)):
        limits.Law.model_validate({**CN.model_dump(by_alias=True), **changes})


def test_what_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(ValidationError):
        an_entry("suit", date(2025, 9, 2), until=date(2025, 9, 1))


def test_working_weekends_of_the_calendar_are_weekends_and_no_days_off() -> None:
    known = rest_days("cn-public")
    for year, days in known.working.items():
        assert days and all(day.isoweekday() > 5 and day.year == year for day in days)
        assert not days & known.off[year]
