"""The scoreboard: the plan's targets beside the figures of the last four weeks."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from chalicelib.domain.kpi import periods, scoreboard
from chalicelib.domain.kpi.counters import EVER, WHOLE_LENDER
from chalicelib.domain.kpi.scoreboard import TARGETS, Lift, Line, Sense, State, Target
from chalicelib.usecases import kpis
from chalicelib.usecases.kpis import KpiPorts, KpiReport
from chalicelib.usecases.ports import Scope

WEEKS = 4
"""How many weeks the figures of the scoreboard are made of, and its trend shows."""

RISK = "risk_event_rate"
"""The target, and the figure, of legal-risk events."""

Lifts = Callable[[Scope], Sequence[Lift]]
"""What experiments say about changes of strategy. See ``chalicelib.usecases.experiments.lifts_of``."""


Coverage = Callable[[Scope, str | None], Mapping[str, Any] | None]
"""The share of customers whose data are up to date, of the lender or of one agency; None where nobody counts them."""


def no_coverage(scope: Scope, who: str | None) -> Mapping[str, Any] | None:
    """Return nothing: nobody counts the customers."""
    return None


def get_scoreboard(
    ports: KpiPorts,
    scope: Scope,
    today: date,
    who: str | None = None,
    *,
    lifts: Lifts,
    coverage: Coverage = no_coverage,
) -> list[Line]:
    """Return a line for each target of the plan: the last 28 days, or the month for what is counted by persons.

    The rise of the contact success rate is over the lender's first month. ``who`` is an agency; None the lender. Strategies
    and their experiments are the lender's: an agency is told nothing of them.
    """
    ports = ports.reading_once()
    first = today - timedelta(days=7 * WEEKS - 1)
    span = kpis.get_kpis(ports, scope, first, today, who)
    weeks = [
        kpis.get_kpis(ports, scope, first + timedelta(days=7 * n), first + timedelta(days=7 * n + 6), who)
        for n in range(WEEKS)
    ]
    return [_line(target, ports, scope, today, who, span, weeks, lifts, coverage) for target in TARGETS]


def _line(
    target: Target,
    ports: KpiPorts,
    scope: Scope,
    today: date,
    who: str | None,
    span: KpiReport,
    weeks: Sequence[KpiReport],
    lifts: Lifts,
    coverage: Coverage,
) -> Line:
    if target.id == "data_freshness":
        covered = coverage(scope, who)
        return Line(target, scoreboard.of_coverage(target, covered), covered)
    if target.id == "strategy_lift":
        if who is not None:
            return Line(target, State.NOT_MEASURED)
        found = tuple(lifts(scope))
        return Line(target, scoreboard.of_lifts(found), lifts=found)
    if target.kpi is None:
        return Line(target, State.NOT_MEASURED)
    if target.sense is Sense.RISE:
        return _risen(target, ports, scope, today, who)
    figure = _figure(span, target.kpi)
    trend = [
        {"from": week.first_day, "to": week.last_day, "value": each["value"], "n": each["n"]}
        for week in weeks
        if (each := _figure(week, target.kpi)) is not None
    ]
    if target.sense is Sense.EVERY:
        late, overdue = _unanswered(ports, scope, today, who)
        return Line(target, scoreboard.of_every(figure, late=late, overdue=overdue), figure, trend=trend)
    if target.sense is Sense.MEAN:
        return Line(target, scoreboard.of_mean(target, figure), figure, trend=trend)
    state = scoreboard.of_share(target, figure)
    if target.id != RISK:
        return Line(target, state, figure, trend=trend)
    risks = [each for week in weeks if (each := _figure(week, RISK)) is not None]
    seen = [(int(each["numerator"]), int(each["denominator"] or 0)) for each in risks]
    warning = scoreboard.early_warning(target, figure, seen, undecided=_undecided(ports, scope, today, who))
    conduct = scoreboard.conduct_score(_figure(span, "conduct_deduction"))
    return Line(target, state, figure, trend=trend, warning=warning, conduct=conduct)


def _undecided(ports: KpiPorts, scope: Scope, today: date, who: str | None) -> int:
    """Return how many legal-risk events more were raised in the last 28 days than were decided on, at least 0."""
    undecided = 0
    for back in range(7 * WEEKS):
        cells = ports.repository.counters(scope.tenant, (today - timedelta(days=back)).isoformat())
        counts = kpis.counts_of(cells, who)
        decided = counts.get("risk_events_confirmed", 0) + counts.get("risk_events_dismissed", 0)
        undecided += counts.get("risk_events", 0) - decided
    return max(0, undecided)


def _risen(target: Target, ports: KpiPorts, scope: Scope, today: date, who: str | None) -> Line:
    month = today.isoformat()[:7]
    ever = ports.repository.counters(scope.tenant, EVER).get(who or WHOLE_LENDER, {})
    first = min((name.partition(":")[2] for name in ever if name.startswith("entered:")), default=month)
    figure, base = (_of_month(ports, scope, each, who, target.kpi or "") for each in (month, first))
    change = None if first == month else scoreboard.rise(figure, base)
    shown = None if first == month else base
    return Line(target, scoreboard.of_rise(target, change), figure, base=shown, change=change)


def _of_month(ports: KpiPorts, scope: Scope, month: str, who: str | None, name: str) -> Mapping[str, Any] | None:
    first, last = (date.fromisoformat(day) for day in periods.month_span(month))
    [report] = kpis.get_kpi_series(ports, scope, first, last, who, by="month")
    return _figure(report, name)


def _figure(report: KpiReport, name: str) -> dict[str, Any] | None:
    found = (each.as_json() for each in report.figures if each.figure.definition.id == name)
    return next(found, None)


def _unanswered(ports: KpiPorts, scope: Scope, today: date, who: str | None) -> tuple[int, int]:
    """Return how many items of the last 28 days were answered late, and how many wait beyond their 48 hours."""
    late, overdue = 0, 0
    for back in range(7 * WEEKS):
        day = (today - timedelta(days=back)).isoformat()
        cells = ports.repository.counters(scope.tenant, day)
        counts = kpis.counts_of(cells, who)
        late += counts.get("items_late", 0)
        if back > 2:
            # Received three local days ago or earlier, so more than 48 hours are over.
            answered = counts.get("items_in_48h", 0) + counts.get("items_late", 0)
            overdue += counts.get("items_received", 0) - answered
    return late, overdue
