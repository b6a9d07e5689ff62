"""Month close: every case is looked at once by the events up to the close, and the moves are counted.

A case's place at a month's end follows from its events, so the walk may stop anywhere, go on in the next run, and come to the
same tables whoever takes it up: after each page the counts and the place in the list are put in one write, or neither.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Protocol

from chalicelib.domain import keys
from chalicelib.domain.errors import NotFound
from chalicelib.domain.events import Event
from chalicelib.domain.instants import from_text, local_date, to_text
from chalicelib.domain.kpi import periods, rolls
from chalicelib.domain.kpi.rolls import MonthClose
from chalicelib.usecases.ports import Scope

CASES_A_PAGE = 100
CASES_A_RUN = 10_000
"""How many cases one run of the schedule looks at; the next one goes on."""

SETTLING = timedelta(hours=1)
"""How long after a month's cutoff its walk begins, so that whatever was written before the cutoff can be read."""


class Rolls(Protocol):
    """Months. See ``chalicelib.store.roll_repository``."""

    def of(self, tenant: str, month: str) -> MonthClose | None:
        """Return what is known of a month."""
        ...

    def all(self, tenant: str) -> list[MonthClose]:
        """Return every month that closed or closes, the newest first."""
        ...

    def keep(self, tenant: str, close: MonthClose) -> bool:
        """Put a month as its next version; False when somebody else did."""
        ...


class CaseList(Protocol):
    """A lender's cases in order. See ``chalicelib.store.feed_repository``."""

    def lender_page(self, tenant: str, *, after: str | None, limit: int, state: str | None) -> Sequence[Any]:
        """Return rows of cases after an id."""
        ...


class Streams(Protocol):
    """The record. See ``chalicelib.store.repository``."""

    def events(self, scope: Scope, aggregate_pk: str) -> list[Event]:
        """Return the events of a stream in order."""
        ...


@dataclass(frozen=True, slots=True)
class MonthPorts:
    """What closing months needs."""

    rolls: Rolls
    cases: CaseList
    streams: Streams
    zone_of: Callable[[str], str]
    scope_for: Callable[[str], Scope]


def close_months(ports: MonthPorts, lenders: Iterable[str], now: datetime, *, limit: int = CASES_A_RUN) -> int:
    """Walk on over each lender's last month, and over months before it that are not closed; return how many cases.

    At most about ``limit`` cases (a page more at most). A month is closed once, some time after its cutoff.
    """
    seen = 0
    for lender in lenders:
        for month in _due(ports, lender, now):
            while seen < limit:
                walked = _walk(ports, lender, month, now)
                if walked is None:
                    break
                seen += walked
    return seen


def _due(ports: MonthPorts, lender: str, now: datetime) -> list[str]:
    """Return the months that are to be walked, the oldest first."""
    zone = ports.zone_of(lender)
    known = ports.rolls.all(lender)
    last = rolls.ends_of(local_date(now, zone).isoformat()[:7])[0].isoformat()[:7]
    if from_text(rolls.cutoff_of(last, zone=zone)) + SETTLING > now:
        last = rolls.ends_of(last)[0].isoformat()[:7]
    unfinished = {close.month for close in known if close.closed_at is None}
    return sorted(unfinished | ({last} - {close.month for close in known}))


def _walk(ports: MonthPorts, lender: str, month: str, now: datetime) -> int | None:
    """Count one page of cases; return how many, None when the month is over or somebody else counted that page."""
    zone = ports.zone_of(lender)
    known = ports.rolls.of(lender, month) or MonthClose(month, rolls.cutoff_of(month, zone=zone))
    if known.closed_at is not None:
        return None
    rows = ports.cases.lender_page(lender, after=known.after, limit=CASES_A_PAGE, state=None)
    moves, scope = dict(known.moves), ports.scope_for(lender)
    first, last = rolls.ends_of(month)
    for row in rows:
        events = ports.streams.events(scope, keys.case_pk(lender, row.case))
        rolls.count_move(moves, rolls.known_by(events, known.cutoff), first, last, zone=zone)
    is_over = len(rows) < CASES_A_PAGE
    moved = replace(
        known,
        after=rows[-1].case if rows else known.after,
        cases=known.cases + len(rows),
        moves=moves,
        closed_at=to_text(now) if is_over else None,
        version=known.version + 1,
    )
    return len(rows) if ports.rolls.keep(lender, moved) else None


def get_rolls(ports: MonthPorts, scope: Scope, month: str | None = None) -> MonthClose:
    """Return a month as far as it is known, or the newest one that is closed. Raises NotFound."""
    if month is not None:
        found = ports.rolls.of(scope.tenant, month)
    else:
        found = next((close for close in ports.rolls.all(scope.tenant) if close.closed_at is not None), None)
    if found is None:
        raise NotFound("month", month or "closed")
    return found


def export_moves(ports: MonthPorts, scope: Scope, first: date, last: date) -> dict[str, list[list[Any]]]:
    """Return the moves of each closed month that the span touches, in the form that ``scripts/recompute_kpis.py`` checks."""
    wanted = periods.months_between(first, last)
    return {
        close.month: [[*move, *moved] for move, moved in sorted(close.moves.items(), key=str)]
        for close in ports.rolls.all(scope.tenant)
        if close.month in wanted and close.closed_at is not None
    }
