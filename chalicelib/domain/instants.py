"""Instants: aware UTC datetimes in memory, RFC 3339 with exactly three decimals and ``Z`` on paper."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo


def to_text(instant: datetime) -> str:
    """Return ``2026-11-23T08:00:00.123Z``; the instant must be aware. Microseconds are cut, never rounded up."""
    utc = instant.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}Z"


def to_seconds_text(instant: datetime) -> str:
    """Return ``2026-11-23T08:00:00Z``, the form that a dossier and a ruling use; fractions are cut."""
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def from_text(text: str) -> datetime:
    """Return the aware UTC instant that an RFC 3339 text names.

    Raises ValueError when the text has no zone or is malformed.
    """
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("an instant needs a zone")
    return instant.astimezone(UTC)


def epoch_ms(instant: datetime) -> int:
    """Return Unix milliseconds, cut towards the past."""
    return int((instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1))


def local_date(instant: datetime, zone: str) -> date:
    """Return the calendar date that the instant has in an IANA zone."""
    return instant.astimezone(ZoneInfo(zone)).date()
