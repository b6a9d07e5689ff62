"""Local time by integer arithmetic: zones of the pinned zone data, local dates, windows and calendars.

An instant is a whole number of seconds since 1970-01-01T00:00:00Z, a local date a whole number of days since
1970-01-01, both plain ints. Zone data comes from the ``tzdata`` package alone, never from the machine, so that the same
dossier gives the same ruling everywhere.
"""

import io
import struct
from bisect import bisect_right
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

_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()

ZONE_DATA: str = tzdata.IANA_VERSION
"""Version of the pinned zone data, as ``2026f``."""


def _transitions(data: bytes) -> tuple[list[int], list[int]]:
    """Return the instants at which a TZif file changes the offset, and the offset before each and after the last.

    A zone that never changes again ends with NEVER, one with a yearly rule with its last listed change (RFC 8536).
    """
    counts = struct.unpack(">6l", data[20:44])
    if data[:4] != b"TZif" or data[4:5] < b"2":
        raise ValueError("zone data of the second version is needed")
    utc, std, leaps, times, types, chars = counts
    start = 44 + times * 5 + types * 6 + chars + leaps * 8 + std + utc
    utc, std, leaps, times, types, chars = struct.unpack(">6l", data[start + 20 : start + 44])
    start += 44
    instants = list(struct.unpack(f">{times}q", data[start : start + 8 * times]))
    start += 8 * times
    kinds = data[start : start + times]
    start += times
    offsets = [struct.unpack(">l", data[start + 6 * kind : start + 6 * kind + 4])[0] for kind in range(types)]
    footer = data[start + 6 * types + chars + leaps * 12 + std + utc :].strip()
    if b"," not in footer:
        instants.append(NEVER)
    return instants, [offsets[0], *(offsets[kind] for kind in kinds)]


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
    """One IANA zone: its table of offsets read once, then plain arithmetic."""

    __slots__ = ("_end", "_info", "_midnights", "_offset", "_offsets", "_start", "_stretches", "_times", "name")

    def __init__(self, name: str) -> None:
        try:
            data = resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()
            self._times, self._offsets = _transitions(data)
            self._info = ZoneInfo.from_file(io.BytesIO(data), key=name)
        except (OSError, ValueError, struct.error) as error:
            raise UnknownZone(name) from error
        self.name = name
        self._start = self._end = self._offset = 0
        self._stretches: dict[int, tuple[tuple[int, int, int], ...]] = {}
        self._midnights: dict[int, int] = {}

    def offset(self, instant: int) -> int:
        """Return the seconds that local time is ahead of UTC at an instant."""
        if self._start <= instant < self._end:
            return self._offset
        times = self._times
        index = bisect_right(times, instant)
        if index == len(times):
            self._start, self._end, self._offset = self._stretch(instant)
            return self._offset
        self._start = times[index - 1] if index else -NEVER
        self._end = times[index]
        self._offset = self._offsets[index]
        return self._offset

    def _raw(self, instant: int) -> int:
        offset = datetime.fromtimestamp(min(instant, LAST), self._info).utcoffset()
        assert offset is not None  # a ZoneInfo always has one
        return int(offset.total_seconds())

    def _stretch(self, instant: int) -> tuple[int, int, int]:
        """Return start, end and offset of the stretch that holds an instant past the table, looked up once a quarter.

        Past the table only the zone's yearly rule is left, whose two changes lie weeks apart.
        """
        quarter = instant // (91 * DAY)
        found = self._stretches.get(quarter)
        if found is None:
            first, last = quarter * 91 * DAY, (quarter + 1) * 91 * DAY
            edges = [first]
            for step in range(first, last, 7 * DAY):
                after = min(step + 7 * DAY, last)
                if self._raw(step) != self._raw(after):
                    edges.append(self._change(step, after))
            edges.append(last)
            found = tuple(
                (start, end, self._raw(start)) for start, end in zip(edges, edges[1:], strict=False) if start < end
            )
            self._stretches[quarter] = found
        return next(each for each in found if each[0] <= instant < each[1])

    def _change(self, before: int, after: int) -> int:
        wanted = self._raw(after)
        while after - before > 1:
            middle = (before + after) // 2
            if self._raw(middle) == wanted:
                after = middle
            else:
                before = middle
        return after

    def next_change(self, instant: int) -> int:
        """Return the end of the stretch of one offset that holds an instant; past the table it may be no real change."""
        self.offset(instant)
        return self._end

    def local(self, instant: int) -> int:
        """Return local seconds since 1970-01-01T00:00:00 local: ``// DAY`` is the date, ``% DAY`` the time of day."""
        if self._start <= instant < self._end:
            return instant + self._offset
        return instant + self.offset(instant)

    def day(self, instant: int) -> int:
        """Return the local day number at an instant."""
        return self.local(instant) // DAY

    def first_at(self, local: int) -> int:
        """Return the first instant whose local time is at or past ``local``, which a clock change may skip."""
        before = local - self.offset(local - self.offset(local) - 3 * 3600)
        after = local - self.offset(local - self.offset(local) + 3 * 3600)
        for candidate in sorted((before, after)):
            if self.local(candidate) >= local:
                # A time that the clock skips has come when the skipping is done.
                self.offset(candidate)
                change = self._start
                return change if change > -NEVER and self.local(change) >= local else candidate
        return max(before, after)

    def ahead(self, instant: int, seconds: int) -> int:
        """Return the instant at which the local clock stands so many seconds past where it stands at an instant."""
        local = self.local(instant)
        later = instant + seconds
        return later if later < self._end else self.first_at(local + seconds)

    def midnight(self, day: int) -> int:
        """Return the first instant of a local date."""
        found = self._midnights.get(day)
        if found is None:
            if len(self._midnights) >= 4096:
                self._midnights.clear()
            found = self._midnights[day] = self.first_at(day * DAY)
        return found


@lru_cache(maxsize=1024)
def zone(name: str) -> Zone:
    """Return the zone of an IANA name; raises UnknownZone when the pinned data has none of that name."""
    return Zone(name)


Zones = tuple[Zone, ...]


@lru_cache(maxsize=16_384)
def starts(text: str, zones: Zones) -> int:
    """Return the earliest instant at which an instant or a whole local day begins in any of the zones."""
    if len(text) > 10:
        return instant_of(text)
    day = day_of(text)
    return min(each.midnight(day) for each in zones)


@lru_cache(maxsize=16_384)
def starts_last(text: str, zones: Zones) -> int:
    """Return the instant from which an instant or a local day has begun in all of the zones."""
    if len(text) > 10:
        return _rounded_up(text)
    day = day_of(text)
    return max(each.midnight(day) for each in zones)


@lru_cache(maxsize=16_384)
def ends(text: str, zones: Zones) -> int:
    """Return the instant from which an end has passed in all of the zones; a date lasts its whole day."""
    if len(text) > 10:
        return _rounded_up(text)
    day = day_of(text) + 1
    return max(each.midnight(day) for each in zones)


@lru_cache(maxsize=16_384)
def ends_first(text: str, zones: Zones) -> int:
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
        return self._years[0] if self._years else (0, 0)

    def __contains__(self, day: int) -> bool:
        if day in self.days:
            return True
        for start, end in self._years:
            if start <= day < end:
                return False
        raise YearMissing(self.name, year_of(day))
