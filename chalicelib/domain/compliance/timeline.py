"""Local time by integer arithmetic: zones of the pinned zone data, local dates, windows and calendars.

An instant is a whole number of seconds since 1970-01-01T00:00:00Z, a local date a whole number of days since
1970-01-01, both plain ints. Zone data comes from the ``tzdata`` package alone, never from the machine, so that the same
dossier gives the same ruling everywhere.
"""

import io
import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from datetime import UTC, date, datetime
from functools import lru_cache
from importlib import resources
from zoneinfo import ZoneInfo

import tzdata  # type: ignore[import-untyped]

DAY = 86_400
HORIZON_DAYS = 120
NEVER = 1 << 60
"""An instant that never comes: the end of what has no known end."""

LAST = 253_370_764_800
"""9999-01-01T00:00:00Z: what ends later has no end that could be written down."""

_WEEK = 7 * DAY
_AHEAD = 15 * 3600
"""Seconds that no clock is ahead of UTC."""

_MOST = 4_096
_NO_DAYS = (0, 0)
_MAGIC = b"TZif"
_HEADER = struct.Struct(">20x6l")
_INSTANT = struct.Struct(">q")
_KIND = struct.Struct(">lBB")

_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()

ZONE_DATA: str = tzdata.IANA_VERSION
"""Version of the pinned zone data, as ``2026f``."""


def _transitions(data: bytes) -> tuple[list[int], list[int]]:
    """Return the instants from which the offsets of a TZif file hold, and the offsets; the first holds since ever.

    A zone that never changes again ends with NEVER, one with a yearly rule with its last listed change (RFC 8536).
    """
    # The second header stands behind a block of 32-bit times, which says nothing that its own block does not.
    start = data.index(_MAGIC, len(_MAGIC))
    if not data.startswith(_MAGIC):
        raise ValueError("not zone data")
    *_, times, types, _ = _HEADER.unpack_from(data, start)
    start += _HEADER.size
    instants = [-NEVER, *struct.unpack_from(f">{times}q", data, start)]
    start += times * _INSTANT.size
    kinds = data[start : start + times]
    start += times
    offsets = [offset for offset, _, _ in _KIND.iter_unpack(data[start : start + types * _KIND.size])]
    _, _, footer = data.rstrip().rpartition(b"\n")
    if b"," not in footer:
        instants.append(NEVER)
    return instants, [next(iter(offsets)), *map(offsets.__getitem__, kinds)]


class UnknownZone(LookupError):
    """A zone name that the pinned zone data does not hold."""


@lru_cache(maxsize=65_536)
def instant_of(text: str) -> int:
    """Return the second that an RFC 3339 text lies in; fractions are cut."""
    return int(datetime.fromisoformat(text).timestamp() // 1)


def is_instant(text: str) -> bool:
    """Tell whether a time on file is an instant; otherwise it is a date."""
    return "T" in text


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
    """One IANA zone: its table of offsets read once, then plain arithmetic."""

    __slots__ = ("_end", "_info", "_offset", "_offsets", "_start", "_times", "_weeks", "midnight", "name")

    def __init__(self, name: str) -> None:
        try:
            data = resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()
            self._times, self._offsets = _transitions(data)
            self._info = ZoneInfo.from_file(io.BytesIO(data), key=name)
        except (OSError, ValueError, struct.error) as error:
            raise UnknownZone(name) from error
        self.name = name
        # The stretch of one offset that was looked at last; none yet.
        self._start = self._end = self._offset = NEVER
        self.midnight = lru_cache(maxsize=_MOST)(self._midnight)
        self._weeks = lru_cache(maxsize=_MOST)(self._week)

    def offset(self, instant: int) -> int:
        """Return the seconds that local time is ahead of UTC at an instant."""
        if not self._start <= instant < self._end:
            index = bisect_right(self._times, instant)
            if index < len(self._times):
                self._start, self._end = self._times[index - 1], self._times[index]
                self._offset = self._offsets[index - 1]
            else:
                week = instant // _WEEK
                change, before, after = self._weeks(week)
                if instant < change:
                    self._start, self._end, self._offset = week * _WEEK, change, before
                else:
                    self._start, self._end, self._offset = change, (week + 1) * _WEEK, after
        return self._offset

    def _raw(self, instant: int) -> int:
        offset = datetime.fromtimestamp(min(instant, LAST), self._info).utcoffset()
        assert offset is not None  # a ZoneInfo always has one
        return int(offset.total_seconds())

    def _week(self, week: int) -> tuple[int, int, int]:
        """Return when the offset changes in a week past the table, or the week's end, and the offsets before and from then.

        Past the table only the zone's yearly rule is left, whose two changes lie weeks apart. (Called as ``_weeks``, which
        remembers.)
        """
        start, end = week * _WEEK, (week + 1) * _WEEK
        before, after = self._raw(start), self._raw(end)
        if before == after:
            return end, before, after
        return bisect_left(range(end), True, lo=start, key=lambda moment: self._raw(moment) == after), before, after

    def next_change(self, instant: int) -> int:
        """Return the end of the stretch of one offset that holds an instant; past the table it may be no real change."""
        self.offset(instant)
        return self._end

    def local(self, instant: int) -> int:
        """Return local seconds since 1970-01-01T00:00:00 local: ``// DAY`` is the date, ``% DAY`` the time of day."""
        return instant + self.offset(instant)

    def day(self, instant: int) -> int:
        """Return the local day number at an instant."""
        return self.local(instant) // DAY

    def first_at(self, local: int) -> int:
        """Return the first instant whose local time is at or past ``local``, which a clock change may skip."""
        instant = local - _AHEAD
        while True:
            # A time that the clock skips has come when the skipping is done.
            found = max(instant, local - self.offset(instant))
            if found < self._end:
                return found
            instant = self._end

    def ahead(self, instant: int, seconds: int) -> int:
        """Return the instant at which the local clock stands so many seconds past where it stands at an instant."""
        local = self.local(instant)
        later = instant + seconds
        return later if later < self._end else self.first_at(local + seconds)

    def _midnight(self, day: int) -> int:
        """Return the first instant of a local date. (Called as ``midnight``, which remembers.)"""
        return self.first_at(day * DAY)


@lru_cache(maxsize=1024)
def zone(name: str) -> Zone:
    """Return the zone of an IANA name; raises UnknownZone when the pinned data has none of that name."""
    return Zone(name)


Zones = tuple[Zone, ...]


@lru_cache(maxsize=16_384)
def starts(text: str, zones: Zones) -> int:
    """Return the earliest instant at which an instant or a whole local day begins in any of the zones."""
    if is_instant(text):
        return instant_of(text)
    day = day_of(text)
    return min(each.midnight(day) for each in zones)


@lru_cache(maxsize=16_384)
def starts_last(text: str, zones: Zones) -> int:
    """Return the instant from which an instant or a local day has begun in all of the zones."""
    if is_instant(text):
        return rounded_up(text)
    day = day_of(text)
    return max(each.midnight(day) for each in zones)


@lru_cache(maxsize=16_384)
def ends(text: str, zones: Zones) -> int:
    """Return the instant from which an end has passed in all of the zones; a date lasts its whole day."""
    if is_instant(text):
        return rounded_up(text)
    day = day_of(text) + 1
    return max(each.midnight(day) for each in zones)


@lru_cache(maxsize=16_384)
def ends_first(text: str, zones: Zones) -> int:
    """Return the instant from which an end has passed in one of the zones; a date lasts its whole day."""
    if is_instant(text):
        return instant_of(text)
    day = day_of(text) + 1
    return min(each.midnight(day) for each in zones)


@lru_cache(maxsize=16_384)
def rounded_up(text: str) -> int:
    """Return the first whole second that is not before the instant of an RFC 3339 text."""
    return instant_of(text) + bool(datetime.fromisoformat(text).microsecond)


Span = tuple[int, int]
"""Seconds of a local day, half-open."""


@lru_cache(maxsize=1_441)
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

    __slots__ = ("_years", "days", "name")

    def __init__(self, name: str, years: dict[str, list[str]]) -> None:
        self.name = name
        self.days = frozenset(day_of(text) for dates in years.values() for text in dates)
        self._years = merged((day_of(f"{int(year):04d}-01-01"), day_of(f"{int(year) + 1:04d}-01-01")) for year in years)

    @property
    def known(self) -> Span:
        """The first run of days without a gap of which the calendar knows whether they are listed, half-open."""
        return next(iter(self._years), _NO_DAYS)

    def __contains__(self, day: int) -> bool:
        if day in self.days:
            return True
        for start, end in self._years:
            if start <= day < end:
                return False
        raise YearMissing(self.name, year_of(day))
