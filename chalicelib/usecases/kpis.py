"""Key figures: folding events, publishing figures, reading them, and proving that they follow from the events."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol

from chalicelib.domain.errors import FieldError, InvalidQuery
from chalicelib.domain.events import Event
from chalicelib.domain.instants import to_text
from chalicelib.domain.kpi import counters as kpi
from chalicelib.domain.kpi.counters import WHOLE_LENDER, Counters, Counts
from chalicelib.domain.kpi.definitions import Definition, Level, Period
from chalicelib.domain.kpi.figures import CONFIDENCE, Figure, figures
from chalicelib.usecases.ports import Scope

MOST_DAYS = 366
"""The longest span that one request may ask for, in days."""

PERIODS_A_RUN = 2_000
"""How many (lender, period) pairs one run of the schedule publishes at most; the next run goes on."""


class DuePeriod(Protocol):
    """A lender's period whose figures must be made anew."""

    @property
    def tenant(self) -> str:
        """Return the lender's id."""
        ...

    @property
    def period(self) -> str:
        """Return the local day or month."""
        ...


class KpiRepository(Protocol):
    """Counters and published figures. See ``chalicelib.store.kpi_repository``."""

    def fold(self, events: Sequence[Event]) -> list[str]:
        """Add the events to the counters, each exactly once; return the ids of those that could not be added."""
        ...

    def due(self, limit: int) -> list[Any]:
        """Return periods (``DuePeriod``) whose counters changed since their figures were made."""
        ...

    def done(self, due: Any) -> bool:
        """Take a period off the list, unless it changed again."""
        ...

    def counters(self, tenant: str, period: str) -> dict[str, Counts]:
        """Return the counters of a lender's period by agency."""
        ...

    def publish(self, tenant: str, period: str, figures: Mapping[str, Sequence[Figure]], *, as_of: str) -> int:
        """Publish figures; return how many changed."""
        ...

    def published(self, tenant: str, period: str, agency: str) -> list[dict[str, Any]]:
        """Return the figures published for an agency and period."""
        ...


@dataclass(frozen=True, slots=True)
class KpiPorts:
    """What the use cases of this module need."""

    repository: KpiRepository


@dataclass(frozen=True, slots=True)
class SpanFigure:
    """A figure with the span of local days that it covers (both closed)."""

    figure: Figure
    first_day: str
    last_day: str

    def as_json(self) -> dict[str, Any]:
        """Return the figure's JSON object with its span."""
        return {**self.figure.as_json(), "from": self.first_day, "to": self.last_day}


@dataclass(frozen=True, slots=True)
class KpiReport:
    """Figures of one agency (None: of the lender as a whole) over a span of local days (both closed)."""

    first_day: str
    last_day: str
    agency: str | None
    figures: tuple[SpanFigure, ...]

    @property
    def definitions(self) -> tuple[Definition, ...]:
        """Return the definition of every figure in the report, each once."""
        return tuple({each.figure.definition.reference: each.figure.definition for each in self.figures}.values())

    def as_json(self) -> dict[str, Any]:
        """Return the body of ``GET /v1/kpis``."""
        return {
            "from": self.first_day,
            "to": self.last_day,
            "agency": self.agency,
            "confidence": CONFIDENCE,
            "figures": [each.as_json() for each in self.figures],
            "definitions": [
                {
                    "kpi": each.id,
                    "version": each.version,
                    "name": dict(each.name),
                    "formula": dict(each.formula),
                    "unit": each.unit.value,
                    "key": each.key,
                    "period": each.period.value,
                }
                for each in self.definitions
            ],
        }


@dataclass(frozen=True, slots=True, order=True)
class Difference:
    """One counter of one cell in which projection and recomputation differ."""

    tenant: str
    agency: str
    period: str
    counter: str
    projected: int
    recomputed: int


def project_kpis(repository: KpiRepository, events: Sequence[Event]) -> list[str]:
    """Fold the events into the counters and return the ids of those that must be delivered again."""
    return repository.fold(events)


def compute_kpis(ports: KpiPorts, now: datetime) -> int:
    """Publish the figures of every lender, agency and period whose counters changed; return how many figures changed.

    A period that fails does not keep the others from being published; it stays due, and the failures are raised
    together at the end as an ExceptionGroup.
    """
    repository, changed, failures = ports.repository, 0, []
    for due in repository.due(PERIODS_A_RUN):
        try:
            made = figures_of(repository.counters(due.tenant, due.period), period=due.period)
            changed += repository.publish(due.tenant, due.period, made, as_of=to_text(now))
            repository.done(due)
        except Exception as error:
            # Raised below, after the other lenders had their turn.
            failures.append(error)
    if failures:
        raise ExceptionGroup("figures could not be published", failures)
    return changed


def figures_of(counters: Mapping[str, Counts], *, period: str) -> dict[str, list[Figure]]:
    """Return the figures that counters of one period make: for each agency, and for the lender as ``*``."""
    kind = Period.MONTH if kpi.is_month(period) else Period.DAY
    cells = {**counters, WHOLE_LENDER: _whole(counters, kind)}
    return {
        agency: figures(counts, level=Level.LENDER if agency == WHOLE_LENDER else Level.AGENCY, period=kind)
        for agency, counts in cells.items()
    }


def get_kpis(ports: KpiPorts, scope: Scope, from_day: date, to_day: date, agency: str | None = None) -> KpiReport:
    """Return the figures of the span (both days closed, in the lender's calendar) from the counters as they are now.

    Without ``agency`` they are the lender's as a whole. Figures about distinct persons do not add up over months, so
    there is one for each calendar month that the span touches, and it covers the whole month. Raises InvalidQuery when
    the span is empty or longer than 366 days.
    """
    days = _days(from_day, to_day)
    level = Level.LENDER if agency is None else Level.AGENCY
    total: Counts = {}
    for day in days:
        kpi.add(total, _of(ports.repository.counters(scope.tenant, day), agency, Period.DAY))
    found = [SpanFigure(each, days[0], days[-1]) for each in figures(total, level=level, period=Period.DAY)]
    for month in kpi.months_between(from_day, to_day):
        counts = _of(ports.repository.counters(scope.tenant, month), agency, Period.MONTH)
        first, last = kpi.month_span(month)
        found += [SpanFigure(each, first, last) for each in figures(counts, level=level, period=Period.MONTH)]
    return KpiReport(days[0], days[-1], agency, tuple(found))


def get_published_figures(
    ports: KpiPorts, scope: Scope, from_day: date, to_day: date, agency: str | None = None
) -> dict[str, list[dict[str, Any]]]:
    """Return, by local day and month of the span, the figures as last published with their ``as_of``.

    Raises InvalidQuery when the span is empty or longer than 366 days.
    """
    periods = [*_days(from_day, to_day), *kpi.months_between(from_day, to_day)]
    found = {period: ports.repository.published(scope.tenant, period, agency or WHOLE_LENDER) for period in periods}
    return {period: published for period, published in found.items() if published}


def export_projection(ports: KpiPorts, scope: Scope, from_day: date, to_day: date, *, zone: str) -> dict[str, Any]:
    """Return the counters of the span and the figures they make, in the form that ``scripts/recompute_kpis.py`` checks.

    Months that the span touches are exported whole. Raises InvalidQuery when the span is empty or longer than 366 days.
    """
    days, months = _days(from_day, to_day), kpi.months_between(from_day, to_day)
    found = {period: ports.repository.counters(scope.tenant, period) for period in [*days, *months]}
    return {
        "v": 1,
        "tenant": scope.tenant,
        "zone": zone,
        "from": days[0],
        "to": days[-1],
        "counters": {period: by_agency for period, by_agency in found.items() if by_agency},
        "figures": {period: made for period, by_agency in found.items() if (made := _as_json(by_agency, period))},
    }


def _as_json(by_agency: Mapping[str, Counts], period: str) -> dict[str, dict[str, Any]]:
    made = figures_of(by_agency, period=period)
    return {
        agency: {each.reference: each.as_json() for each in of_agency}
        for agency, of_agency in made.items()
        if of_agency
    }


def recompute(events: Iterable[Event], *, zone_of: Callable[[str], str]) -> Counters:
    """Return the counters that the events make from nothing, each event counted once; ``zone_of`` gives a lender's zone."""
    return kpi.fold(events, zone_of=zone_of)


def projected_counters(ports: KpiPorts, scope: Scope, periods: Iterable[str]) -> Counters:
    """Return the projection's counters of those local days and months, in the shape of ``recompute``."""
    return {
        kpi.Cell(scope.tenant, agency, period): counts
        for period in periods
        for agency, counts in ports.repository.counters(scope.tenant, period).items()
    }


def diff(projection: Counters, recomputed: Counters) -> list[Difference]:
    """Return every counter in which the two differ, in order; an absent counter is 0, and no difference is []."""
    return sorted(
        Difference(*cell, counter, projected, fresh)
        for cell in projection.keys() | recomputed.keys()
        for counter in projection.get(cell, {}).keys() | recomputed.get(cell, {}).keys()
        if (projected := projection.get(cell, {}).get(counter, 0))
        != (fresh := recomputed.get(cell, {}).get(counter, 0))
    )


def _days(from_day: date, to_day: date) -> list[str]:
    length = (to_day - from_day).days + 1
    if length < 1:
        raise _bad_span("span_is_empty", "the last day lies before the first")
    if length > MOST_DAYS:
        raise _bad_span("span_too_long", f"a span has at most {MOST_DAYS} days")
    return kpi.days_between(from_day, to_day)


def _bad_span(code: str, detail: str) -> InvalidQuery:
    return InvalidQuery([FieldError("to", code, detail, source="query")])


def _of(counters: Mapping[str, Counts], agency: str | None, period: Period) -> Counts:
    return _whole(counters, period) if agency is None else dict(counters.get(agency, {}))


def _whole(counters: Mapping[str, Counts], period: Period) -> Counts:
    """Return the lender's counters: of a day the sum of all cells, of a month the cell in which each person is one."""
    if period is Period.MONTH:
        return dict(counters.get(WHOLE_LENDER, {}))
    total: Counts = {}
    for counts in counters.values():
        kpi.add(total, counts)
    return total
