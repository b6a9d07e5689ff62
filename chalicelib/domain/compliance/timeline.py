"""Local time by integer arithmetic: zones of the pinned zone data, local dates, windows and calendars.

An instant is a whole number of seconds since 1970-01-01T00:00:00Z, a local date a whole number of days since
1970-01-01, both plain ints. Zone data comes from the ``tzdata`` package alone, never from the machine, so that the same
dossier gives the same ruling everywhere.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from functools import lru_cache
from importlib import resources
from zoneinfo import ZoneInfo

import tzdata

DAY = 86_400
HORIZON_DAYS = 120
NEVER = 1 << 60
"""An instant that never comes: the end of what has no known end."""

_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()

ZONE_DATA: str = tzdata.IANA_VERSION
"""Version of the pinned zone data, as ``2026f``."""


class UnknownZone(LookupError):
    """A zone name that the pinned zone data does not hold."""


@lru_cache(maxsize=65_536)
def instant_of(text: str) -> int:
    """Return the second that an RFC 3339 text lies in; fractions are cut."""
    return int(datetime.fromisoformat(text).timestamp() // 1)


@lru_cache(maxsize=16_384)
def day_of(text: str) -> int:
    """Return the day number of a date text ``YYYY-MM-DD``."""
    return date.fromisoformat(text).toordinal() - _EPOCH_ORDINAL


def date_text(day: int) -> str:
    """Return ``YYYY-MM-DD`` of a day number.

    >>> date_text(20_615)
    '2026-06-11'
    """
    return date.fromordinal(day + _EPOCH_ORDINAL).isoformat()


def instant_text(instant: int) -> str:
    """Return ``YYYY-MM-DDTHH:MM:SSZ`` of an instant."""
    return f"{datetime.fromtimestamp(instant, UTC):%Y-%m-%dT%H:%M:%SZ}"


def weekday_of(day: int) -> int:
    """Return the ISO weekday of a day number, Monday 1 to Sunday 7."""
    return (day + 3) % 7 + 1


def year_of(day: int) -> int:
    """Return the calendar year of a day number."""
    return date.fromordinal(day + _EPOCH_ORDINAL).year


def month_end(day: int) -> int:
    """Return the day number of the first of the month after the given day."""
    then = date.fromordinal(day + _EPOCH_ORDINAL)
    after = date(then.year + then.month // 12, then.month % 12 + 1, 1)
    return after.toordinal() - _EPOCH_ORDINAL


def month_start(day: int) -> int:
    """Return the day number of the first of the month that holds the given day."""
    return day - date.fromordinal(day + _EPOCH_ORDINAL).day + 1


class Zone:
    """One IANA zone: offsets looked up once per stretch of constant offset, then plain arithmetic."""

    __slots__ = ("_end", "_info", "_offset", "_start", "name")

    def __init__(self, name: str) -> None:
        parts = name.split("/")
        try:
            with resources.files("tzdata").joinpath("zoneinfo", *parts).open("rb") as stream:
                self._info = ZoneInfo.from_file(stream, key=name)
        except (OSError, ValueError) as error:
            raise UnknownZone(name) from error
        self.name = name
        self._start = self._end = self._offset = 0

    def _raw(self, instant: int) -> int:
        offset = datetime.fromtimestamp(instant, self._info).utcoffset()
        assert offset is not None  # a ZoneInfo always has one
        return int(offset.total_seconds())

    def offset(self, instant: int) -> int:
        """Return the seconds that local time is ahead of UTC at an instant."""
        if not self._start <= instant < self._end:
            self._find(instant)
        return self._offset

    def _find(self, instant: int) -> None:
        offset = self._raw(instant)
        low = instant
        for _ in range(370):
            if self._raw(low - DAY) != offset:
                low = self._edge(low - DAY, low)
                break
            low -= DAY
        high = instant
        for _ in range(370):
            if self._raw(high + DAY) != offset:
                high = self._edge(high, high + DAY)
                break
            high += DAY
        else:
            high += 1
        self._start, self._end, self._offset = low, high, offset

    def _edge(self, before: int, after: int) -> int:
        """Return the first instant in (before, after] that has the offset of ``after``."""
        wanted = self._raw(after)
        while after - before > 1:
            middle = (before + after) // 2
            if self._raw(middle) == wanted:
                after = middle
            else:
                before = middle
        return after

    def local(self, instant: int) -> int:
        """Return local seconds since 1970-01-01T00:00:00 local: ``// DAY`` is the date, ``% DAY`` the time of day."""
        return instant + (self._offset if self._start <= instant < self._end else self.offset(instant))

    def day(self, instant: int) -> int:
        """Return the local day number at an instant."""
        return self.local(instant) // DAY

    def first_at(self, local: int) -> int:
        """Return the first instant whose local time is at or past ``local``, which a clock change may skip."""
        before = local - self.offset(local - self.offset(local) - 3 * 3600)
        after = local - self.offset(local - self.offset(local) + 3 * 3600)
        for candidate in sorted((before, after)):
            if self.local(candidate) >= local:
                return candidate
        return max(before, after)

    def midnight(self, day: int) -> int:
        """Return the first instant of a local date."""
        return self.first_at(day * DAY)


@lru_cache(maxsize=1024)
def zone(name: str) -> Zone:
    """Return the zone of an IANA name; raises UnknownZone when the pinned data has none of that name."""
    return Zone(name)


Zones = tuple[Zone, ...]


def starts(text: str, zones: Iterable[Zone]) -> int:
    """Return the earliest instant at which an instant or a whole local day begins in any of the zones."""
    if len(text) > 10:
        return instant_of(text)
    day = day_of(text)
    return min(each.midnight(day) for each in zones)


def starts_last(text: str, zones: Iterable[Zone]) -> int:
    """Return the instant from which an instant or a local day has begun in all of the zones."""
    if len(text) > 10:
        return _rounded_up(text)
    day = day_of(text)
    return max(each.midnight(day) for each in zones)


def ends(text: str, zones: Iterable[Zone]) -> int:
    """Return the instant from which an end has passed in all of the zones; a date lasts its whole day."""
    if len(text) > 10:
        return _rounded_up(text)
    day = day_of(text) + 1
    return max(each.midnight(day) for each in zones)


def ends_first(text: str, zones: Iterable[Zone]) -> int:
    """Return the instant from which an end has passed in one of the zones; a date lasts its whole day."""
    if len(text) > 10:
        return instant_of(text)
    day = day_of(text) + 1
    return min(each.midnight(day) for each in zones)


@lru_cache(maxsize=16_384)
def _rounded_up(text: str) -> int:
    whole = instant_of(text)
    return whole + 1 if "." in text and text.rstrip("Z").partition(".")[2].strip("0") else whole


Span = tuple[int, int]
"""Seconds of a local day, half-open."""


def clock(text: str) -> int:
    """Return the second of the day of ``HH:MM``; ``24:00`` is the end of the day.

    >>> clock("21:50")
    78600
    """
    return int(text[:2]) * 3600 + int(text[3:]) * 60


def merged(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Return the union of spans as ordered spans that neither touch nor overlap."""
    result: list[Span] = []
    for start, end in sorted(spans):
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        elif start < end:
            result.append((start, end))
    return tuple(result)


class YearMissing(LookupError):
    """A calendar holds no dates for the year of a day that was asked about."""

    def __init__(self, calendar: str, year: int) -> None:
        super().__init__(f"{calendar} {year}")
        self.calendar = calendar
        self.year = year


class Calendar:
    """Named local dates by year; a year without dates is unknown, not empty."""

    __slots__ = ("_days", "_spans", "name")

    def __init__(self, name: str, years: dict[str, list[str]]) -> None:
        self.name = name
        self._days = frozenset(day_of(text) for dates in years.values() for text in dates)
        self._spans = frozenset(first for year in years for first in (day_of(f"{int(year):04d}-01-01"),))

    def __contains__(self, day: int) -> bool:
        if day in self._days:
            return True
        year = year_of(day)
        if day_of(f"{year:04d}-01-01") not in self._spans:
            raise YearMissing(self.name, year)
        return False
