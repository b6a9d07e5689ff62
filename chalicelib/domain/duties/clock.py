"""When a duty is due: plain days, business days of a named calendar, hours, and days before a stated date.

A due instant is exclusive: what was done before it was done in time. A span in days ends with its last local day; of
several zones that a person may be in the one whose day ends first counts, which is the stricter reading.
"""

import tomllib
from calendar import monthrange
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

CALENDARS = Path(__file__).resolve().parents[2] / "rulepacks" / "calendars"
"""Where the calendars lie that rules and duties name: holidays by year."""

WEEKDAYS = "weekdays"
"""The calendar of Monday to Friday without any holiday."""


@dataclass(frozen=True, slots=True)
class Due:
    """The instant, and what could not be known about it: the years that a calendar does not list."""

    at: datetime
    doubts: tuple[str, ...] = ()


@cache
def holidays(calendar: str) -> Mapping[int, frozenset[date]]:
    """Return the holidays of a calendar by year. Raises KeyError for a calendar that there is not."""
    if calendar == WEEKDAYS:
        return {}
    path = CALENDARS / f"{calendar}.toml"
    if not path.is_file():
        raise KeyError(calendar)
    years = tomllib.loads(path.read_text(encoding="utf-8"))["years"]
    return {int(year): frozenset(dates) for year, dates in years.items()}


def after_hours(opened: datetime, hours: int) -> Due:
    """Return the instant so many hours later."""
    return Due(opened + timedelta(hours=hours))


def after_days(opened: datetime, days: int, *, zones: Iterable[str]) -> Due:
    """Return the end of the local day so many plain days after the day of ``opened``; 0 is that day itself.

    >>> from datetime import datetime, UTC
    >>> after_days(datetime(2026, 11, 23, 2, tzinfo=UTC), 5, zones=["Asia/Shanghai"]).at.isoformat()
    '2026-11-28T16:00:00+00:00'
    """
    return Due(min(_midnight(_date(opened, zone) + timedelta(days=days + 1), zone) for zone in zones))


def months_after(day: date, months: int) -> date:
    """Return the corresponding day so many months later, or that month's end where it has none (Civil Code art. 202).

    >>> months_after(date(2024, 2, 29), 36).isoformat()
    '2027-02-28'
    """
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def after_months(opened: datetime, months: int, *, zones: Iterable[str]) -> Due:
    """Return the end of the corresponding local day so many months after the day of ``opened``."""
    days = ((months_after(_date(opened, zone), months) + timedelta(days=1), zone) for zone in zones)
    return Due(min(_midnight(day, zone) for day, zone in days))


def after_business_days(opened: datetime, days: int, *, calendar: str, zones: Iterable[str]) -> Due:
    """Return the end of the local business day that is so many after the day of ``opened``.

    A year that the calendar does not list is taken to have no holidays, so the duty is due earlier, and is named among
    the doubts.
    """
    ends, doubts = [], set[str]()
    for zone in zones:
        day, unknown = _counted(_date(opened, zone), days, calendar, step=1)
        ends.append(_midnight(day + timedelta(days=1), zone))
        doubts.update(unknown)
    return Due(min(ends), tuple(sorted(doubts)))


def before_days(stated: date, days: int, *, zones: Iterable[str]) -> Due:
    """Return the end of the local day so many days before a stated date; with 0 the date's own beginning."""
    return Due(min(_midnight(stated - timedelta(days=max(0, days - 1)), zone) for zone in zones))


def before_business_days(stated: date, days: int, *, calendar: str, zones: Iterable[str]) -> Due:
    """Return the end of the local business day that is so many before a stated date.

    A year that the calendar does not list is named among the doubts: a holiday in it would make the day an earlier one.
    """
    day, doubts = _counted(stated, days, calendar, step=-1)
    return Due(min(_midnight(day + timedelta(days=1), zone) for zone in zones), doubts)


def _counted(day: date, count: int, calendar: str, *, step: int) -> tuple[date, tuple[str, ...]]:
    listed, doubts, left = holidays(calendar), set[str](), count
    while left:
        day += timedelta(days=step)
        if day.isoweekday() > 5:
            continue
        if calendar != WEEKDAYS and day.year not in listed:
            doubts.add(f"calendar.{calendar}.{day.year}")
        left -= day not in listed.get(day.year, ())
    return day, tuple(sorted(doubts))


def _date(instant: datetime, zone: str) -> date:
    return instant.astimezone(ZoneInfo(zone)).date()


def _midnight(day: date, zone: str) -> datetime:
    return datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)
