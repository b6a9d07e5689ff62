"""Periods of a lender's calendar: the local day of an instant, ISO weeks, months, and the spans between them.

A period is a text: ``yyyy-mm-dd`` (a local day), ``yyyy-Www`` (an ISO 8601 week, Monday to Sunday) or ``yyyy-mm``.
"""

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo


def local_day(at: str, zone: str) -> str:
    """Return the local date (``yyyy-mm-dd``) that an event's instant (RFC 3339, UTC, ``Z``) has in an IANA zone.

    >>> local_day("2026-11-22T16:00:00.000Z", "Asia/Shanghai")
    '2026-11-23'
    """
    if not at.endswith("Z"):
        raise ValueError("an event's instant is UTC and ends in Z")
    return _local_day_of_minute(at[:16], zone)


@lru_cache(maxsize=8192)
def _local_day_of_minute(minute: str, zone: str) -> str:
    # No zone has changed its offset within a minute since 1972, so a minute lies in one local day.
    instant = datetime.fromisoformat(minute).replace(tzinfo=UTC)
    return instant.astimezone(ZoneInfo(zone)).date().isoformat()


def month_of(day: str) -> str:
    """Return the month of a day."""
    return day[:7]


@lru_cache(maxsize=4096)
def week_of(day: str) -> str:
    """Return the ISO week of a day.

    >>> week_of("2027-01-03")
    '2026-W53'
    """
    year, week, _ = date.fromisoformat(day).isocalendar()
    return f"{year}-W{week:02d}"


def days_between(first: date, last: date) -> list[str]:
    """Return every day from ``first`` to ``last`` (both closed) as text.

    >>> days_between(date(2026, 2, 28), date(2026, 3, 1))
    ['2026-02-28', '2026-03-01']
    """
    return [(first + timedelta(days=number)).isoformat() for number in range((last - first).days + 1)]


def months_between(first: date, last: date) -> list[str]:
    """Return every month (``yyyy-mm``) that has a day from ``first`` to ``last`` (both closed)."""
    return sorted({month_of(day) for day in days_between(first, last)})


def weeks_between(first: date, last: date) -> list[str]:
    """Return every ISO week that has a day from ``first`` to ``last`` (both closed)."""
    return sorted({week_of(day) for day in days_between(first, last)})


def month_span(month: str) -> tuple[str, str]:
    """Return the first and the last day of a month (``yyyy-mm``).

    >>> month_span("2028-02")
    ('2028-02-01', '2028-02-29')
    """
    first = date.fromisoformat(f"{month}-01")
    return first.isoformat(), first.replace(day=monthrange(first.year, first.month)[1]).isoformat()


def span_of(period: str) -> tuple[str, str]:
    """Return the first and the last day of a period (both closed).

    >>> span_of("2026-W53")
    ('2026-12-28', '2027-01-03')
    """
    if is_month(period):
        return month_span(period)
    if is_week(period):
        monday = date.fromisocalendar(int(period[:4]), int(period[6:]), 1)
        return monday.isoformat(), (monday + timedelta(days=6)).isoformat()
    return period, period


def is_month(period: str) -> bool:
    """Tell whether a period is a month (``yyyy-mm``)."""
    return len(period) == len("yyyy-mm")


def is_week(period: str) -> bool:
    """Tell whether a period is an ISO week (``yyyy-Www``)."""
    return len(period) == len("yyyy-Www")


def days_later(day: str, days: int) -> str:
    """Return the day so many days later."""
    return (date.fromisoformat(day) + timedelta(days=days)).isoformat()


def days_from(first: str, last: str) -> int:
    """Return how many days ``last`` lies after ``first``; below 0 when before."""
    return (date.fromisoformat(last) - date.fromisoformat(first)).days
