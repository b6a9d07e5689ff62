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
    Calendar,
    UnknownZone,
    YearMissing,
    date_text,
    day_of,
    instant_of,
    instant_text,
    merged,
    month_end,
    month_start,
    weekday_of,
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


def test_fractions_of_a_second_are_cut() -> None:
    assert instant_of("2026-06-10T13:59:59.999999Z") == instant_of("2026-06-10T13:59:59Z")


def test_spans_merge_where_they_touch() -> None:
    assert merged([(5, 9), (1, 3), (3, 4), (8, 12), (20, 20)]) == ((1, 4), (5, 12))


def test_a_calendar_knows_which_years_it_does_not_know() -> None:
    calendar = Calendar("feasts", {"2026": ["2026-05-01"]})
    assert day_of("2026-05-01") in calendar
    assert day_of("2026-05-02") not in calendar
    with pytest.raises(YearMissing) as caught:
        _ = day_of("2027-05-01") in calendar
    assert (caught.value.calendar, caught.value.year) == ("feasts", 2027)


def test_now_is_never_asked() -> None:
    assert instant_of(f"{datetime(2026, 6, 10, tzinfo=UTC):%Y-%m-%dT%H:%M:%SZ}") == 1_781_049_600
