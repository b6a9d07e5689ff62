"""How long the archive's objects stay locked, and how far the job that sees to it has come.

Each object is locked for seven years as it is put. A log must also stay for three years after the last activity on any
case that it tells of (12 CFR 1006.100(a)), and that end moves: locks are lengthened, never shortened.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from pydantic import BaseModel, ConfigDict

from chalicelib.domain.people.retention import plus_years

RETENTION = timedelta(days=7 * 366)
"""How long every object is locked as it is put: seven years, none of them shorter than a leap year."""

AFTER_ACTIVITY_YEARS = 3
MARGIN = timedelta(days=92)
"""How much longer than that: a case may have left the lender's list between two monthly looks, with its last activity."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Activity(_Value):
    """What a lender's cases say of its logs: by year, the last activity on any case that the year's log tells of.

    ``known`` is from the last complete look, in ``month``; ``fresh`` from the one under way in ``looking``, up to the case ``after``.
    """

    known: dict[str, date] = {}
    month: str = ""
    fresh: dict[str, date] = {}
    looking: str = ""
    after: str | None = None
    version: int = 0


class Shard(_Value):
    """Where the job stands with the objects under one prefix of the archive.

    ``until`` is the day until which every version was found or made locked, ``held`` whether all of them are under legal hold,
    ``day`` the last day of a whole pass. ``aim`` names the pass under way, which goes on after (``key``, ``version_id``); ``extended``,
    ``holds`` and ``failed`` are its counts so far, ``hidden`` the names that lie behind a delete marker, as (key, version).
    """

    until: date | None = None
    held: bool = False
    day: str = ""
    aim: str = ""
    key: str | None = None
    version_id: str | None = None
    extended: int = 0
    holds: int = 0
    failed: int = 0
    hidden: tuple[tuple[str, str], ...] = ()
    told: tuple[tuple[str, str], ...] = ()
    version: int = 0


class LogHold(_Value):
    """A legal hold on a lender's log of one year: nothing of it may expire or become unreadable while it is ``on``."""

    year: str
    on: bool
    reason: str
    matter: str
    placed_at: str
    placed_by: str
    released_at: str | None = None
    released_by: str | None = None
    version: int = 1


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an object: key, version id, and when it was put."""

    key: str
    version_id: str
    put_at: datetime


@dataclass(frozen=True, slots=True)
class VersionPage:
    """Versions in the order of the listing.

    ``hidden`` are delete markers that stand on top, ``after`` is where the next page begins.
    """

    versions: Sequence[Version]
    hidden: Sequence[tuple[str, str]]
    after: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class Lock:
    """How a version is locked: until when in compliance mode (None: it is not), and whether a legal hold is on it."""

    until: datetime | None
    held: bool


def folded(by_year: Mapping[str, date], first: date, last: date) -> dict[str, date]:
    """Return the last activities with those of a case between its first and last day (both closed)."""
    found = dict(by_year)
    for year in range(first.year, last.year + 1):
        name = f"{year:04d}"
        found[name] = max(last, found.get(name, last))
    return found


def kept_until(year: str, by_year: Mapping[str, date]) -> date | None:
    """Return the last day (closed) until which activity keeps the log of a year; None when no case says so."""
    last = by_year.get(year)
    return None if last is None else plus_years(last, AFTER_ACTIVITY_YEARS) + MARGIN


def as_instant(day: date) -> datetime:
    """Return the first instant (UTC) after the day."""
    return datetime.combine(day + timedelta(days=1), time(0), UTC)


def surely_locked_until(year: str) -> date:
    """Return the last day on which everything put into a year's log is locked by its own put."""
    return date(int(year), 1, 1) + RETENTION - timedelta(days=1)
