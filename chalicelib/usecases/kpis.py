"""Key figures: folding events, publishing figures, reading them, and proving that they follow from the events."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol, cast

from chalicelib.domain.errors import FieldError, InvalidQuery
from chalicelib.domain.events import Event
from chalicelib.domain.instants import to_text
from chalicelib.domain.kpi import counters as kpi
from chalicelib.domain.kpi import periods
from chalicelib.domain.kpi.counters import EVER, NO_AGENCY, OF_WHOLE, WHOLE_LENDER, Counters, Counts, is_slice
from chalicelib.domain.kpi.definitions import COLLECTOR_DAYS, IN_SCOPE, MADE, Definition, Level, Period, current
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

    def newest(self, tenant: str) -> str | None:
        """Return the instant of the newest of the lender's events that were folded, None before the first."""
        ...

    def due(self, limit: int) -> list[Any]:
        """Return periods (``DuePeriod``) whose counters changed since their figures were made."""
        ...

    def done(self, due: Any) -> bool:
        """Take a period off the list, unless it changed again."""
        ...

    def counters(self, tenant: str, period: str) -> dict[str, Counts]:
        """Return the counters of a lender's period by who: agency, slice, or ``*`` for the lender as a whole."""
        ...

    def rows(self, tenant: str, period: str, *, after: str | None, limit: int) -> list[tuple[str, list[Any]]]:
        """Return what each event added to a period, in the order of (stream, number)."""
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

    def reading_once(self) -> "KpiPorts":
        """Return ports for one answer of many figures: each period is read once, so the figures agree with each other."""
        return KpiPorts(cast(KpiRepository, _ReadOnce(self.repository)))


class _ReadOnce:
    """A repository that remembers the counters that were read; all else is the repository's own."""

    def __init__(self, repository: KpiRepository) -> None:
        self._repository = repository
        self._known: dict[tuple[str, str], dict[str, Counts]] = {}

    def counters(self, tenant: str, period: str) -> dict[str, Counts]:
        """Return a period's counters by who. Callers do not change them."""
        if (tenant, period) not in self._known:
            self._known[tenant, period] = self._repository.counters(tenant, period)
        return self._known[tenant, period]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._repository, name)


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
    """Figures of one ``who`` (None: of the lender as a whole) over a span of local days (both closed)."""

    first_day: str
    last_day: str
    who: str | None
    figures: tuple[SpanFigure, ...]

    @property
    def definitions(self) -> tuple[Definition, ...]:
        """Return the definition of every figure in the report, each once."""
        return tuple({each.figure.definition.reference: each.figure.definition for each in self.figures}.values())

    def as_json(self) -> dict[str, Any]:
        """Return a report of ``GET /v1/kpis``; ``agency`` is the agency, or ``slice`` the slice, that it is about."""
        is_agency = self.who is not None and not is_slice(self.who)
        return {
            "from": self.first_day,
            "to": self.last_day,
            "agency": self.who if is_agency else None,
            "slice": None if is_agency else self.who,
            "confidence": CONFIDENCE,
            "figures": [each.as_json() for each in self.figures],
            "definitions": [each.as_json() for each in self.definitions],
        }


@dataclass(frozen=True, slots=True, order=True)
class Difference:
    """One counter of one cell in which projection and recomputation differ."""

    tenant: str
    who: str
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
            counters = repository.counters(due.tenant, due.period)
            # A slice's figures are made when somebody asks: there are many, and few are looked at.
            own = {who: counts for who, counts in counters.items() if not is_slice(who)}
            made = figures_of(own, period=due.period)
            changed += repository.publish(due.tenant, due.period, made, as_of=to_text(now))
            repository.done(due)
        except Exception as error:
            # Raised below, after the other lenders had their turn.
            failures.append(error)
    if failures:
        raise ExceptionGroup("figures could not be published", failures)
    return changed


def figures_of(counters: Mapping[str, Counts], *, period: str) -> dict[str, list[Figure]]:
    """Return the figures that counters of one period make: for each who, and for the lender as ``*``.

    A figure about cases in scope is made where the counters say how many those were (``in_scope``).
    """
    cells = {**counters, WHOLE_LENDER: _whole(counters)}
    return {
        who: [figure for kind in _kinds(period) for figure in figures(counts, level=level_of(who), period=kind)]
        for who, counts in cells.items()
    }


def level_of(who: str) -> Level:
    """Return which definitions are about a who: a slice of cases is a lender in small, a collector or strategy an agency.

    A case may follow several strategies one after another, so there is no pool of cases that is one's own.
    """
    return Level.LENDER if who == WHOLE_LENDER or who.startswith(("stage:", "region:", "portfolio:")) else Level.AGENCY


def _kinds(period: str) -> tuple[Period, ...]:
    if periods.is_month(period):
        return (Period.MONTH, Period.EACH)
    return (Period.WEEK, Period.EACH) if periods.is_week(period) else (Period.DAY, Period.EACH)


def get_kpis(ports: KpiPorts, scope: Scope, from_day: date, to_day: date, who: str | None = None) -> KpiReport:
    """Return the figures of the span (both days closed, in the lender's calendar) from the counters as they are now.

    ``who`` is an agency or a slice (``stage:M2``, ``region:CN-31``, ``strategy:<id>@<n>``, ``collector:<agency>/<id>``);
    None is the lender as a whole. Figures that do not add up are given for each calendar month that the span touches, and cover the whole month;
    for a span of one day also for that day. Raises InvalidQuery when the span is empty or longer than 366 days.
    """
    return _span_report(_Read(ports.repository, scope.tenant), who, _days(from_day, to_day))


def get_kpi_series(
    ports: KpiPorts, scope: Scope, from_day: date, to_day: date, who: str | None = None, *, by: str
) -> list[KpiReport]:
    """Return a report for each ``day``, ``week`` or ``month`` (``by``) that the span touches, whole ones, in order.

    Raises InvalidQuery when the span is empty or longer than 366 days.
    """
    days = _days(from_day, to_day)
    wanted = {
        "day": days,
        "week": periods.weeks_between(from_day, to_day),
        "month": periods.months_between(from_day, to_day),
    }
    read = _Read(ports.repository, scope.tenant)
    return [_period_report(read, who, period) for period in wanted[by]]


def get_kpis_of_each(ports: KpiPorts, scope: Scope, from_day: date, to_day: date, dimension: str) -> list[KpiReport]:
    """Return a report of the span for each member of one of ``DIMENSIONS`` that has any figure.

    Raises InvalidQuery when the span is empty or longer than 366 days.
    """
    days = _days(from_day, to_day)
    read = _Read(ports.repository, scope.tenant)
    members = {who for day in days for who in read.of(day) if _dimension(who) == dimension}
    return [_span_report(read, who, days) for who in sorted(members)]


DIMENSIONS = ("agency", "collector", "stage", "region", "strategy")
"""What the lender's figures can be split by."""


def _dimension(who: str) -> str | None:
    return None if who in (WHOLE_LENDER, NO_AGENCY) else who.partition(":")[0] if is_slice(who) else "agency"


def _span_report(read: "_Read", who: str | None, days: list[str]) -> KpiReport:
    level = level_of(who or WHOLE_LENDER)
    total = read.total(who, days)
    found = [SpanFigure(each, days[0], days[-1]) for each in figures(total, level=level, period=Period.DAY)]
    if len(days) == 1:
        single = read.cell(who, days[0]) | read.scope(who, days[0], days[0])
        found += [SpanFigure(each, days[0], days[0]) for each in figures(single, level=level, period=Period.EACH)]
    for month in periods.months_between(date.fromisoformat(days[0]), date.fromisoformat(days[-1])):
        found += _distinct(read, who, month)
    return KpiReport(days[0], days[-1], who, tuple(found))


def _period_report(read: "_Read", who: str | None, period: str) -> KpiReport:
    first, last = periods.span_of(period)
    level, days = (
        level_of(who or WHOLE_LENDER),
        periods.days_between(date.fromisoformat(first), date.fromisoformat(last)),
    )
    total = figures(read.total(who, days), level=level, period=Period.DAY)
    return KpiReport(
        first, last, who, (*(SpanFigure(each, first, last) for each in total), *_distinct(read, who, period))
    )


def _distinct(read: "_Read", who: str | None, period: str) -> list[SpanFigure]:
    """Return the figures of one day, week or month that do not add up."""
    first, last = periods.span_of(period)
    counts = read.cell(who, period) | read.scope(who, first, last)
    made = [
        figure
        for kind in _kinds(period)
        if kind is not Period.DAY
        for figure in figures(counts, level=level_of(who or WHOLE_LENDER), period=kind)
    ]
    return [SpanFigure(each, first, last) for each in made]


def counts_of(counters: Mapping[str, Counts], who: str | None) -> Counts:
    """Return the counters of one who out of a period's, or those of the lender as a whole (None)."""
    return _whole(counters) if who is None else dict(counters.get(who, {}))


class _Read:
    """Counters of one lender, each period read once."""

    def __init__(self, repository: KpiRepository, tenant: str) -> None:
        self._repository, self._tenant = repository, tenant
        self._known: dict[str, dict[str, Counts]] = {}

    def of(self, period: str) -> dict[str, Counts]:
        """Return a period's counters by who."""
        if period not in self._known:
            self._known[period] = self._repository.counters(self._tenant, period)
        return self._known[period]

    def cell(self, who: str | None, period: str) -> Counts:
        """Return the counters of one who, or of the lender as a whole."""
        return counts_of(self.of(period), who)

    def total(self, who: str | None, days: Sequence[str]) -> Counts:
        """Return what adds up over days, and how many cases were in scope."""
        total: Counts = {}
        for day in days:
            kpi.add(total, {name: count for name, count in self.cell(who, day).items() if name not in OF_WHOLE})
        return total | self.scope(who, days[0], days[-1])

    def scope(self, who: str | None, first: str, last: str) -> Counts:
        """Return what is made of all that came and left before: cases in scope, and days that collectors worked there."""
        return self.cases(who, first, last) | self.staff(who, first, last)

    def staff(self, who: str | None, first: str, last: str) -> Counts:
        """Return on how many local days of the span a collector worked there; nothing where nobody ever did."""
        who = None if who == WHOLE_LENDER else who
        ever, month = counts_of(self.of(EVER), who), periods.month_of(first)
        there = sum(
            count if name.startswith("collectors_joined:") else -count
            for name, count in ever.items()
            if name.startswith(("collectors_joined:", "collectors_left:")) and name.partition(":")[2] < month
        )
        worked = 0
        for day in periods.days_between(date.fromisoformat(f"{month}-01"), date.fromisoformat(last)):
            counts = self.cell(who, day)
            there += counts.get("collectors_joined", 0)
            worked += there if day >= first else 0
            there -= counts.get("collectors_left", 0)
        return {COLLECTOR_DAYS: worked} if worked else {}

    def cases(self, who: str | None, first: str, last: str) -> Counts:
        """Return how many cases were open when the span began or came within it; nothing where that is not counted."""
        name = WHOLE_LENDER if who is None else who
        ever = self.of(EVER).get(name)
        # A batch's cell of all time tells when it was placed; nobody counts what leaves a batch.
        if (
            ever is None
            or name.startswith("portfolio:")
            or not any(each.startswith(("entered:", "left:")) for each in ever)
        ):
            return {}
        month = periods.month_of(first)
        open_before = sum(
            count if counter.startswith("entered:") else -count
            for counter, count in ever.items()
            if counter.startswith(("entered:", "left:")) and counter.partition(":")[2] < month
        )
        since = periods.days_between(date.fromisoformat(f"{month}-01"), date.fromisoformat(last))
        for day in since:
            counts = self.of(day).get(name, {})
            open_before += counts.get("entered", 0) - (counts.get("left", 0) if day < first else 0)
        return {IN_SCOPE: open_before}


@dataclass(frozen=True, slots=True)
class CountedEvent:
    """An event that moved a figure's counters: its stream (a case, or a person), its number there, and by how much."""

    stream: str
    seq: int
    period: str
    counts: Counts

    def as_json(self) -> dict[str, Any]:
        """Return an item of ``GET /v1/kpis/cases``."""
        return {"case": self.stream, "seq": self.seq, "period": self.period, "counts": self.counts}


def list_counted(
    ports: KpiPorts,
    scope: Scope,
    from_day: date,
    to_day: date,
    *,
    name: str,
    key: str | None = None,
    part: str = "numerator",
    who: str | None = None,
    by: str = "month",
    after: tuple[str, str] | None = None,
    limit: int,
) -> tuple[list[CountedEvent], tuple[str, str] | None]:
    """Return the events that a figure's numerator or denominator is the sum of, a page of at most ``limit``.

    ``after`` is the (period, sort key) at which the page before ended; the second value is where this one ends, None at the
    end. ``by`` says in which kind of period a figure that does not add up is looked for. Raises InvalidQuery for a figure
    that does not exist, and for a part that is made of no events of its own (cases in scope, distinct persons).
    """
    definition = next((each for each in current() if each.id == name), None)
    if definition is None:
        raise InvalidQuery([FieldError("kpi", "unknown_figure", "there is no such figure", source="query")])
    if (key is None) != (definition.key is None):
        raise InvalidQuery(
            [FieldError("key", "figure_key", "a figure with a key needs it, another has none", source="query")]
        )
    terms = definition.numerator if part == "numerator" else definition.denominator
    wanted = {term.name(key) for term in terms}
    if not wanted or any(each in MADE or each.startswith("persons_") for each in wanted):
        raise InvalidQuery(
            [FieldError("part", "not_listed", "this part is no sum over events of cases", source="query")]
        )
    found: list[CountedEvent] = []
    for period in _periods_of(definition, _days(from_day, to_day), by):
        if after is not None and period < after[0]:
            continue
        place = after[1] if after is not None and period == after[0] else None
        while True:
            page = ports.repository.rows(scope.tenant, period, after=place, limit=ROWS_A_READ)
            for place, told in page:
                counts = _told_of(told, who, wanted)
                if counts:
                    stream, _, seq = place.rpartition("#")
                    found.append(CountedEvent(stream, int(seq), period, counts))
                    if len(found) == limit:
                        return found, (period, place)
            if len(page) < ROWS_A_READ:
                break
    return found, None


ROWS_A_READ = 200
"""How many rows are read at a time when a figure is followed to its cases."""


def _periods_of(definition: Definition, days: list[str], by: str) -> list[str]:
    first, last = date.fromisoformat(days[0]), date.fromisoformat(days[-1])
    kinds = {Period.DAY: "day", Period.WEEK: "week", Period.MONTH: "month"}
    match kinds.get(definition.period, by):
        case "week":
            return periods.weeks_between(first, last)
        case "month":
            return periods.months_between(first, last)
        case _:
            return days


def _told_of(told: list[Any], who: str | None, wanted: set[str]) -> Counts:
    """Return what a row says about a who; of the lender as a whole what its agencies and its own cell say."""
    total: Counts = {}
    for whos, counts in told:
        for each in whos:
            if who is not None:
                mine = {n: c for n, c in counts.items() if n in wanted} if each == who else {}
            elif each == WHOLE_LENDER:
                mine = {n: c for n, c in counts.items() if n in wanted and n in OF_WHOLE}
            elif is_slice(each):
                mine = {}
            else:
                mine = {n: c for n, c in counts.items() if n in wanted and n not in OF_WHOLE}
            kpi.add(total, mine)
    return total


def get_published_figures(
    ports: KpiPorts, scope: Scope, from_day: date, to_day: date, agency: str | None = None
) -> dict[str, list[dict[str, Any]]]:
    """Return, by local day, week and month of the span, the figures as last published with their ``as_of``.

    Raises InvalidQuery when the span is empty or longer than 366 days.
    """
    found = {
        period: ports.repository.published(scope.tenant, period, agency or WHOLE_LENDER)
        for period in _all_periods(from_day, to_day)
    }
    return {period: published for period, published in found.items() if published}


def export_projection(ports: KpiPorts, scope: Scope, from_day: date, to_day: date, *, zone: str) -> dict[str, Any]:
    """Return the counters of the span and the figures they make, in the form that ``scripts/recompute_kpis.py`` checks.

    Weeks and months that the span touches are exported whole. Raises InvalidQuery when the span is empty or longer than
    366 days.
    """
    days, read = _days(from_day, to_day), _Read(ports.repository, scope.tenant)
    found = {period: read.of(period) for period in _all_periods(from_day, to_day)}
    return {
        "v": 2,
        "tenant": scope.tenant,
        "zone": zone,
        "from": days[0],
        "to": days[-1],
        "counters": {period: by_who for period, by_who in found.items() if by_who},
        "figures": {
            period: made for period, by_who in found.items() if by_who and (made := _as_json(read, by_who, period))
        },
    }


def _all_periods(from_day: date, to_day: date) -> list[str]:
    weeks, months = periods.weeks_between(from_day, to_day), periods.months_between(from_day, to_day)
    return [*_days(from_day, to_day), *weeks, *months]


def _as_json(read: "_Read", by_who: Mapping[str, Counts], period: str) -> dict[str, dict[str, Any]]:
    first, last = periods.span_of(period)
    with_scope = {who: by_who.get(who, {}) | read.scope(who, first, last) for who in by_who.keys() | {WHOLE_LENDER}}
    return {
        who: {each.reference: each.as_json() for each in made}
        for who, made in figures_of(with_scope, period=period).items()
        if made
    }


def recompute(events: Iterable[Event], *, zone_of: Callable[[str], str]) -> Counters:
    """Return the counters that the events make from nothing, each event counted once; ``zone_of`` gives a lender's zone."""
    return kpi.fold(events, zone_of=zone_of)


def projected_counters(ports: KpiPorts, scope: Scope, wanted: Iterable[str]) -> Counters:
    """Return the projection's counters of those periods, in the shape of ``recompute``."""
    return {
        kpi.Cell(scope.tenant, who, period): counts
        for period in wanted
        for who, counts in ports.repository.counters(scope.tenant, period).items()
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
    return periods.days_between(from_day, to_day)


def _bad_span(code: str, detail: str) -> InvalidQuery:
    return InvalidQuery([FieldError("to", code, detail, source="query")])


def _whole(counters: Mapping[str, Counts]) -> Counts:
    """Return the lender's counters of a period: the sum over its agencies, and what it has in a cell of its own.

    What is made of all that came and left before is made for the lender itself: an agency that nothing happened at within
    the period has no cell here, so that a sum over cells would leave out who worked there.
    """
    total: Counts = {}
    for who, counts in counters.items():
        if who != WHOLE_LENDER and not is_slice(who):
            kpi.add(total, {name: count for name, count in counts.items() if name not in OF_WHOLE | MADE})
    return total | counters.get(WHOLE_LENDER, {})
