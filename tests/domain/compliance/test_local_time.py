"""Local time by arithmetic agrees with the zone data, over changes of the clock too."""

import io
from datetime import UTC, datetime, timedelta
from importlib import resources
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chalicelib.domain.compliance.timeline import (
    DAY,
    NEVER,
    Calendar,
    UnknownZone,
    YearMissing,
    Zone,
    _transitions,
    clock,
    date_text,
    day_of,
    ends,
    ends_first,
    instant_of,
    instant_text,
    merged,
    month_end,
    month_start,
    rounded_up,
    starts,
    starts_last,
    weekday_of,
    year_of,
    zone,
)

NAMES = [
    "America/New_York", "America/Chicago", "Asia/Shanghai", "Europe/London", "Europe/Dublin", "Australia/Sydney",
    "America/Vancouver", "Asia/Kolkata", "America/St_Johns", "Africa/Casablanca", "Pacific/Apia", "America/Sao_Paulo",
    "Australia/Lord_Howe", "Etc/UTC",
]  # fmt: skip


def pinned(name: str) -> ZoneInfo:
    """Return the zone from the pinned package: the machine's own zone data may be older."""
    return ZoneInfo.from_file(io.BytesIO(resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()))


@given(st.sampled_from(NAMES), st.integers(0, 2**32))
@example("Africa/Casablanca", 3_427_668_000)
def test_offset_is_the_zone_datas(name: str, instant: int) -> None:
    wanted = datetime.fromtimestamp(instant, pinned(name)).utcoffset()
    assert timedelta(seconds=zone(name).offset(instant)) == wanted


@given(st.sampled_from(NAMES), st.integers(5_000, 30_000))
def test_midnight_is_the_first_instant_of_a_local_date(name: str, day: int) -> None:
    there = zone(name)
    first = there.midnight(day)
    # Apia skipped a whole date once: its first instant is that of the next.
    assert there.day(first) in (day, day + 1)
    assert there.day(first - 1) < day


def test_the_hour_that_the_clock_skips_begins_when_it_is_skipped() -> None:
    there = zone("America/New_York")
    assert instant_text(there.first_at(day_of("2027-03-14") * DAY + 9000)) == "2027-03-14T07:00:00Z"


def around(name: str, first: int, last: int) -> list[int]:
    """Return the first instants of other offsets in a zone, by the machine's way of reading the pinned data."""
    info = pinned(name)

    def offset(instant: int) -> timedelta | None:
        return datetime.fromtimestamp(instant, info).utcoffset()

    changes = []
    for start in range(first, last, 7 * DAY):
        low, high = start, start + 7 * DAY
        if offset(low) == offset(high):
            continue
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if offset(middle) == offset(low) else (low, middle)
        changes.append(high)
    return changes


@pytest.mark.parametrize(
    ("name", "year"),
    [
        ("America/New_York", 2005), ("America/New_York", 2031), ("America/Sao_Paulo", 2018), ("Australia/Lord_Howe", 2030),
        ("Europe/Dublin", 2044), ("Pacific/Apia", 2011), ("Africa/Cairo", 2031), ("Asia/Kolkata", 2026),
    ],
)  # fmt: skip
def test_each_side_of_a_change_has_its_offset_whichever_is_asked_first(name: str, year: int) -> None:
    info = pinned(name)
    changes = around(name, instant_of(f"{year}-01-01T00:00:00Z"), instant_of(f"{year + 1}-01-01T00:00:00Z"))
    assert changes or name == "Asia/Kolkata"
    for change in changes:
        for order in ((-1, 0), (0, -1), (-86_400, 0, -1), (90 * DAY, -1, 0), (-90 * DAY, 0)):
            there = Zone(name)
            for step in order:
                wanted = datetime.fromtimestamp(change + step, info).utcoffset()
                assert timedelta(seconds=there.offset(change + step)) == wanted
        there = Zone(name)
        assert there.next_change(change - 1) == change
        assert there.next_change(change) > change


@pytest.mark.parametrize(
    ("name", "day", "first"),
    [
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00:00Z"),
        ("America/Sao_Paulo", "2018-02-17", "2018-02-17T02:00:00Z"),
        ("America/Sao_Paulo", "2018-02-18", "2018-02-18T03:00:00Z"),
        ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00:00Z"),
        ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00:00Z"),
        ("Pacific/Kiritimati", "2026-06-10", "2026-06-09T10:00:00Z"),
        ("Africa/Cairo", "2031-04-25", "2031-04-24T22:00:00Z"),
        ("America/New_York", "2031-11-02", "2031-11-02T04:00:00Z"),
        ("America/New_York", "2031-11-03", "2031-11-03T05:00:00Z"),
    ],
)
def test_a_date_begins_with_its_first_instant(name: str, day: str, first: str) -> None:
    assert instant_text(zone(name).midnight(day_of(day))) == first


def test_a_clock_that_is_put_back_is_past_a_time_at_the_first_of_two_such_times() -> None:
    there = zone("America/New_York")
    half_past_one = day_of("2026-11-01") * DAY + 5400
    assert instant_text(there.first_at(half_past_one)) == "2026-11-01T05:30:00Z"
    again = instant_of("2026-11-01T06:30:00Z")
    assert there.local(again) == half_past_one
    assert instant_text(there.ahead(again, 900)) == "2026-11-01T06:45:00Z"
    assert instant_text(there.ahead(again - 3600, 1800)) == "2026-11-01T07:00:00Z"
    assert instant_text(there.ahead(again - 3600, 1799)) == "2026-11-01T05:59:59Z"


def test_a_zone_has_an_offset_before_its_first_change_and_after_its_last() -> None:
    there = zone("America/New_York")
    assert there.offset(instant_of("1800-01-01T00:00:00Z")) == -17_762
    assert there.offset(instant_of("9998-07-01T00:00:00Z")) == -4 * 3600
    assert there.offset(1 << 50) == -5 * 3600
    assert zone("Asia/Shanghai").offset(1 << 59) == 8 * 3600
    assert zone("Asia/Shanghai").next_change(instant_of("2026-06-10T00:00:00Z")) == NEVER


@pytest.mark.parametrize("cut", ["first header", "second header"])
def test_zone_data_of_another_form_is_refused(cut: str) -> None:
    data = resources.files("tzdata").joinpath("zoneinfo", "Europe", "London").read_bytes()
    broken = (
        b"TZxx" + data[4:] if cut == "first header" else data.replace(b"TZif", b"TZxx").replace(b"TZxx", b"TZif", 1)
    )
    with pytest.raises(ValueError, match="zone data" if cut == "first header" else "not found"):
        _transitions(broken)


def test_every_zone_that_is_shipped_has_the_offsets_of_the_zone_data() -> None:
    names = [name for name in resources.files("tzdata").joinpath("zones").read_text().split() if "/" in name]
    assert len(names) > 400
    for name in names:
        info = pinned(name)
        for text in ("1950-07-01", "1999-12-01", "2026-06-10", "2033-12-10"):
            instant = day_of(text) * DAY
            wanted = datetime.fromtimestamp(instant, info).utcoffset()
            assert timedelta(seconds=Zone(name).offset(instant)) == wanted, name


def test_a_time_on_file_begins_and_ends_by_the_clocks_of_all_zones() -> None:
    east, west = zone("America/New_York"), zone("America/Los_Angeles")
    for order in ((east, west), (west, east)):
        told = [instant_text(ask("2026-06-10", order)) for ask in (starts, starts_last, ends_first, ends)]
        assert told == ["2026-06-10T04:00:00Z", "2026-06-10T07:00:00Z", "2026-06-11T04:00:00Z", "2026-06-11T07:00:00Z"]
        told = [
            instant_text(ask("2026-06-10T04:00:00.000001Z", order)) for ask in (starts, starts_last, ends_first, ends)
        ]
        assert told == ["2026-06-10T04:00:00Z", "2026-06-10T04:00:01Z", "2026-06-10T04:00:00Z", "2026-06-10T04:00:01Z"]


def test_a_fraction_of_a_second_counts_up_and_none_does_not() -> None:
    for text, up in (("00Z", 0), ("00.000Z", 0), ("00.000001Z", 1), ("00.9Z", 1)):
        assert rounded_up(f"2026-06-10T04:00:{text}") == instant_of("2026-06-10T04:00:00Z") + up
    assert instant_of("1969-12-31T23:59:59.5Z") == -1


def test_a_time_of_day_is_read_in_seconds() -> None:
    assert [clock(text) for text in ("00:00", "09:05", "21:50", "24:00")] == [0, 32_700, 78_600, 86_400]


def test_british_columbia_no_longer_changes_its_clock() -> None:
    assert zone("America/Vancouver").offset(instant_of("2026-12-01T12:00:00Z")) == -7 * 3600
    assert zone("America/Los_Angeles").offset(instant_of("2026-12-01T12:00:00Z")) == -8 * 3600


@pytest.mark.parametrize("name", ["Mars/Base", "", "../etc/passwd", "America"])
def test_a_zone_that_the_data_does_not_hold_is_unknown(name: str) -> None:
    with pytest.raises(UnknownZone):
        zone(name)


def test_dates_months_and_weekdays() -> None:
    assert date_text(day_of("2024-02-29")) == "2024-02-29"
    assert [weekday_of(day_of(text)) for text in ("2026-11-23", "2026-11-29")] == [1, 7]
    assert date_text(month_start(day_of("2026-12-31"))) == "2026-12-01"
    assert date_text(month_end(day_of("2026-12-31"))) == "2027-01-01"
    assert date_text(month_end(day_of("2028-02-29"))) == "2028-03-01"
    assert date_text(month_end(day_of("2026-11-01"))) == "2026-12-01"
    assert [year_of(day_of(text)) for text in ("2026-01-01", "2026-12-31")] == [2026, 2026]
    assert (day_of("1970-01-02"), date_text(-1)) == (1, "1969-12-31")


def test_fractions_of_a_second_are_cut() -> None:
    assert instant_of("2026-06-10T13:59:59.999999Z") == instant_of("2026-06-10T13:59:59Z")


def test_spans_merge_where_they_touch() -> None:
    assert merged([(5, 9), (1, 3), (3, 4), (8, 12), (20, 20)]) == ((1, 4), (5, 12))
    assert merged([(1, 9), (2, 3), (9, 10), (12, 13)]) == ((1, 10), (12, 13))


def test_a_calendar_knows_which_years_it_does_not_know() -> None:
    calendar = Calendar("feasts", {"2026": ["2026-05-01"]})
    assert day_of("2026-05-01") in calendar
    assert day_of("2026-05-02") not in calendar
    assert day_of("2026-01-01") not in calendar and day_of("2026-12-31") not in calendar
    with pytest.raises(YearMissing) as caught:
        _ = day_of("2027-05-01") in calendar
    assert (caught.value.calendar, caught.value.year) == ("feasts", 2027)
    with pytest.raises(YearMissing, match="feasts 2025"):
        _ = day_of("2025-12-31") in calendar
    with pytest.raises(YearMissing, match="feasts 2027"):
        _ = day_of("2027-01-01") in calendar


def test_what_a_calendar_knows_is_its_first_run_of_years() -> None:
    years: dict[str, list[str]] = {"2027": [], "2026": [], "2030": []}
    assert Calendar("feasts", years).known == (day_of("2026-01-01"), day_of("2028-01-01"))
    assert Calendar("none", {}).known == (0, 0)


def test_now_is_never_asked() -> None:
    assert instant_of(f"{datetime(2026, 6, 10, tzinfo=UTC):%Y-%m-%dT%H:%M:%SZ}") == 1_781_049_600
