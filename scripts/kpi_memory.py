"""Key figures kept in dictionaries, with the manners of the repository in the table: for campaigns, measures and tests."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chalicelib.domain.events import Event
from chalicelib.domain.kpi import counters as kpi
from chalicelib.domain.kpi.counters import Cell, Counts
from chalicelib.domain.kpi.definitions import definition_of
from chalicelib.domain.kpi.figures import Figure, UndefinedFigure
from chalicelib.domain.kpi.past import past_from


@dataclass(frozen=True, slots=True)
class MemoryDue:
    """A period whose figures must be made anew."""

    tenant: str
    period: str
    token: int


class MemoryKpiRepository:
    """Counters and figures in dictionaries, with the manners of the real repository."""

    def __init__(self, zone_of: Callable[[str], str]) -> None:
        """Take what gives a lender's zone."""
        self._zone_of = zone_of
        self._folded: dict[tuple[str, str], int] = {}
        self._newest: dict[str, str] = {}
        self._cells: kpi.Counters = {}
        self._persons: dict[tuple[Cell, str], int] = {}
        self._due: dict[tuple[str, str], int] = {}
        self._figures: dict[tuple[str, str], dict[tuple[str, str], dict[str, Any]]] = {}
        self._folds = 0
        self._pasts: dict[tuple[str, str], str] = {}
        self._rows: dict[tuple[str, str], dict[str, list[Any]]] = {}

    def fold(self, events: Sequence[Event]) -> list[str]:
        """Add events to the counters, each once; return the ids of those that could not be added."""
        failed, blocked = [], set()
        unique = {(event.tenant, event.stream, event.seq): event for event in reversed(events)}
        for identity in sorted(unique):
            event, stream = unique[identity], identity[:2]
            last = self._folded.get(stream, 0)
            if event.seq <= last:
                continue
            if stream in blocked or event.seq != last + 1 or not self._count(event):
                blocked.add(stream)
                failed.append(event.id)
                continue
            self._folded[stream] = event.seq
            self._newest[event.tenant] = max(event.at, self._newest.get(event.tenant, ""))
        return failed

    def newest(self, tenant: str) -> str | None:
        """Return the instant of the newest event folded, or None."""
        return self._newest.get(tenant)

    def _count(self, event: Event) -> bool:
        stream = (event.tenant, event.stream)
        try:
            # Through its text, as it is kept in the table.
            before = past_from(self._pasts.get(stream, ""))
            told, past = kpi.tried(event, before, zone=self._zone_of(event.tenant))
        except KeyError:
            return False
        self._pasts[stream] = past.as_text()
        added = list(told.counts.items())
        for mark in told.marks:
            flags = self._persons.get((mark.cell, mark.person), 0)
            self._persons[mark.cell, mark.person] = flags | mark.flag
            added.append((mark.cell, kpi.person_counts(flags, flags | mark.flag)))
        for cell, counts in added:
            if counts:
                kpi.add(self._cells.setdefault(cell, {}), counts)
                self._folds += 1
                if cell.period != kpi.EVER:
                    self._due[cell.tenant, cell.period] = self._folds
        for cell, moved in told.counts.items():
            counts = {name: count for name, count in moved.items() if name not in ("entered", "left")}
            if not counts or cell.who.startswith("portfolio:"):
                continue
            row = self._rows.setdefault((cell.tenant, cell.period), {})
            row.setdefault(f"{event.stream}#{event.seq:08d}", []).append([[cell.who], counts])
        return True

    def rows(self, tenant: str, period: str, *, after: str | None, limit: int) -> list[tuple[str, list[Any]]]:
        """Return what each event added to a period, after a place."""
        found = sorted(self._rows.get((tenant, period), {}).items())
        return [(place, told) for place, told in found if after is None or place > after][:limit]

    def due(self, limit: int) -> list[MemoryDue]:
        """Return periods whose counters changed."""
        return [MemoryDue(*key, token) for key, token in sorted(self._due.items())][:limit]

    def done(self, due: MemoryDue) -> bool:
        """Take a period off the list unless it changed again."""
        unchanged = self._due.get((due.tenant, due.period)) == due.token
        if unchanged:
            del self._due[due.tenant, due.period]
        return unchanged

    def counters(self, tenant: str, period: str) -> dict[str, Counts]:
        """Return the counters of a period by who."""
        return {
            cell.who: dict(counts)
            for cell, counts in self._cells.items()
            if (cell.tenant, cell.period) == (tenant, period) and counts
        }

    def publish(self, tenant: str, period: str, figures: Mapping[str, Sequence[Figure]], *, as_of: str) -> int:
        """Keep figures; return how many changed. Raises UndefinedFigure."""
        standing = self._figures.setdefault((tenant, period), {})
        changed = 0
        for agency, of_agency in figures.items():
            for figure in of_agency:
                if definition_of(figure.definition.reference) != figure.definition:
                    raise UndefinedFigure(figure.definition.reference)
                before = standing.get((agency, figure.reference), {})
                if {**before, "as_of": None} != {**figure.as_json(), "as_of": None}:
                    standing[agency, figure.reference] = {**figure.as_json(), "as_of": as_of}
                    changed += 1
        return changed

    def published(self, tenant: str, period: str, agency: str) -> list[dict[str, Any]]:
        """Return the figures kept for an agency and period."""
        standing = self._figures.get((tenant, period), {})
        return [body for (of_agency, _), body in sorted(standing.items()) if of_agency == agency]
