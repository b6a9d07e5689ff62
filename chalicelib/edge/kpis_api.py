"""Key figures over HTTP: each with numerator, denominator, interval, n and the version of its definition."""

from datetime import date
from typing import Annotated, Any, Literal

from chalice.app import Blueprint
from pydantic import BaseModel, ConfigDict, Field

from chalicelib import wiring
from chalicelib.domain.errors import NotFound
from chalicelib.domain.instants import local_date
from chalicelib.domain.kpi.definitions import DEFINITIONS
from chalicelib.domain.kpi.not_measured import NOT_MEASURED
from chalicelib.domain.principals import Principal, scope_of
from chalicelib.edge.callers import org_of, scopes_for
from chalicelib.edge.http import Page, Request, route
from chalicelib.usecases import kpis, month_close, scoreboard

bp = Blueprint(__name__)


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Span(_Model):
    """The span of local days (both closed; today when left out)."""

    from_day: Annotated[date | None, Field(alias="from")] = None
    to_day: Annotated[date | None, Field(alias="to")] = None


class KpiQuery(Span):
    """The span, and for a lender whom the figures are about: one agency, one slice of its cases, or one report for each.

    An agency always reads its own figures; its only slices are its collectors (``collector:<agency>/<id>``).
    """

    agency: Annotated[str | None, Field(pattern=r"^[A-Za-z0-9_-]{1,80}$")] = None
    slice: Annotated[str | None, Field(pattern=r"^(stage|region|strategy|collector):[A-Za-z0-9_+/@-]{1,170}$")] = None
    by: Literal["span", "day", "week", "month"] = "span"
    each: Literal["agency", "collector", "stage", "region", "strategy"] | None = None


class KpiReportView(_Model):
    """Figures of one lender; ``agency`` and ``slice`` null means the lender as a whole.

    ``newest_event_at`` is the instant of the newest event that was counted: how fresh the figures are.
    """

    lender: str
    from_day: Annotated[str, Field(alias="from")]
    to_day: Annotated[str, Field(alias="to")]
    agency: str | None
    slice: str | None
    confidence: str
    newest_event_at: str | None
    figures: list[dict[str, Any]]
    definitions: list[dict[str, Any]]


class KpiReportList(_Model):
    """Reports of a lender, or of each lender that lists the agency."""

    reports: list[KpiReportView]


class DefinitionList(_Model):
    """Every version of every figure's definition, and what is not measured yet with the reason."""

    items: list[dict[str, Any]]
    not_measured: list[dict[str, Any]]


class CountedQuery(Page):
    """Which figure is followed to its cases: its id and key, a part, whom it is about, and the span."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    from_day: Annotated[date | None, Field(alias="from")] = None
    to_day: Annotated[date | None, Field(alias="to")] = None
    kpi: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,60}$")]
    key: Annotated[str | None, Field(pattern=r"^[ -~]{1,120}$")] = None
    part: Literal["numerator", "denominator"] = "numerator"
    agency: Annotated[str | None, Field(pattern=r"^[A-Za-z0-9_-]{1,80}$")] = None
    slice: Annotated[str | None, Field(pattern=r"^(stage|region|strategy|collector):[A-Za-z0-9_+/@-]{1,170}$")] = None
    by: Literal["day", "week", "month"] = "month"


class CountedList(_Model):
    """Events that moved the figure's part, in order; ``case`` is the id of a case, or of a person for what has no case."""

    items: list[dict[str, Any]]
    next_cursor: str | None


class KpiExport(_Model):
    """The counters as projected, in the form that ``scripts.recompute_kpis --against`` compares."""

    model_config = ConfigDict(extra="allow", frozen=True)


@route(
    bp,
    "GET",
    "/v1/kpis",
    scope="kpis:read",
    query=KpiQuery,
    response=KpiReportList,
    summary="Read key figures with definitions, numerators, denominators and intervals",
)
def read_kpis(principal: Principal, request: Request[None, KpiQuery]) -> KpiReportList:
    """A rate without enough data has no value: that is an answer."""
    query, reports, ports = request.query, [], wiring.kpi_ports()
    who = _who(principal, query.agency, query.slice)
    for scope in scopes_for(principal):
        first, last = _span(scope, query.from_day, query.to_day)
        if query.each is not None:
            found = kpis.get_kpis_of_each(ports, scope, first, last, query.each)
            found = [each for each in found if _may_read(principal, each.who or "")]
        elif query.by != "span":
            found = kpis.get_kpi_series(ports, scope, first, last, who, by=query.by)
        else:
            found = [kpis.get_kpis(ports, scope, first, last, who)]
        newest = ports.repository.newest(scope.tenant)
        reports += [
            KpiReportView(lender=scope.tenant, newest_event_at=newest, **_named(each.as_json())) for each in found
        ]
    return KpiReportList(reports=reports)


def _named(report: dict[str, Any]) -> dict[str, Any]:
    return {**report, "confidence": str(report["confidence"])}


@route(
    bp,
    "GET",
    "/v1/kpis/definitions",
    scope="kpis:read",
    response=DefinitionList,
    summary="Read how each key figure is made, in Chinese and English, and which are not measured yet",
)
def list_kpi_definitions(principal: Principal, request: Request[None, None]) -> DefinitionList:
    """The meaning of a version never changes; a new meaning is a new version beside it."""
    return DefinitionList(
        items=[each.as_json() for each in DEFINITIONS], not_measured=[each.as_json() for each in NOT_MEASURED]
    )


@route(
    bp,
    "GET",
    "/v1/kpis/cases",
    scope="kpis:read",
    query=CountedQuery,
    response=CountedList,
    summary="Follow a figure to the cases that it is made of, a page at a time",
)
def list_kpi_cases(principal: Principal, request: Request[None, CountedQuery]) -> CountedList:
    """Each item is an event that was counted, for 400 days; a case may stand there more than once."""
    query, scopes = request.query, scopes_for(principal)
    if not scopes:
        return CountedList(items=[], next_cursor=None)
    last_key = request.after()
    place = int(last_key["lender"]) if last_key is not None else 0
    after = (str(last_key["period"]), str(last_key["place"])) if last_key is not None and "place" in last_key else None
    scope = scopes[min(place, len(scopes) - 1)]
    first, last = _span(scope, query.from_day, query.to_day)
    found, following = kpis.list_counted(
        wiring.kpi_ports(),
        scope,
        first,
        last,
        name=query.kpi,
        key=query.key,
        part=query.part,
        who=_who(principal, query.agency, query.slice),
        by=query.by,
        after=after,
        limit=query.limit,
    )
    onward: dict[str, Any] | None = None
    if following is not None:
        onward = {"lender": place, "period": following[0], "place": following[1]}
    elif place + 1 < len(scopes):
        onward = {"lender": place + 1}
    return CountedList(
        items=[each.as_json() for each in found], next_cursor=None if onward is None else request.cursor(onward)
    )


@route(
    bp,
    "GET",
    "/v1/kpis/export",
    scope="audit:read",
    query=Span,
    response=KpiExport,
    summary="Export the counters, so that a program of your own can recompute them from the archive",
)
def export_kpis(principal: Principal, request: Request[None, Span]) -> KpiExport:
    """``python -m scripts.recompute_kpis ARCHIVE --against FILE`` lists every cell that differs."""
    scope = scopes_for(principal)[0]
    first, last = _span(scope, request.query.from_day, request.query.to_day)
    projected = kpis.export_projection(wiring.kpi_ports(), scope, first, last, zone=wiring.zone_of(scope.tenant))
    return KpiExport(**projected, rolls=month_close.export_moves(wiring.month_ports(), scope, first, last))


class RollQuery(_Model):
    """The month; the newest closed one when left out."""

    month: Annotated[str | None, Field(pattern=r"^[12][0-9]{3}-(0[1-9]|1[0-2])$")] = None


class RollView(_Model):
    """A month's roll tables, one a currency; none before ``closed_at``. What was written by ``cutoff`` counts."""

    lender: str
    month: str
    from_day: Annotated[str, Field(alias="from")]
    to_day: Annotated[str, Field(alias="to")]
    cutoff: str
    closed_at: str | None
    cases: int
    tables: list[dict[str, Any]]


@route(
    bp,
    "GET",
    "/v1/kpis/rolls",
    scope="kpis:read",
    query=RollQuery,
    response=RollView,
    errors=[NotFound],
    summary="Read the roll rates of a month: where each bucket's cases went, by count and by balance",
)
def read_rolls(principal: Principal, request: Request[None, RollQuery]) -> RollView:
    """A lender's alone. Every row sums to 1 with the ways out as columns; a closed month never changes."""
    scope = scope_of(principal)
    return RollView(
        lender=scope.tenant, **month_close.get_rolls(wiring.month_ports(), scope, request.query.month).as_json()
    )


class ScoreboardQuery(_Model):
    """The last local day that the scoreboard looks at (today when left out), and for a lender one agency of theirs."""

    to_day: Annotated[date | None, Field(alias="to")] = None
    agency: Annotated[str | None, Field(pattern=r"^[A-Za-z0-9_-]{1,80}$")] = None


class ScoreboardView(_Model):
    """The plan's targets beside what the figures say, of one lender."""

    lender: str
    to_day: Annotated[str, Field(alias="to")]
    agency: str | None
    newest_event_at: str | None
    lines: list[dict[str, Any]]


class ScoreboardList(_Model):
    """One scoreboard a lender."""

    scoreboards: list[ScoreboardView]


@route(
    bp,
    "GET",
    "/v1/scoreboard",
    scope="kpis:read",
    query=ScoreboardQuery,
    response=ScoreboardList,
    summary="Read the plan's targets, what the figures say about each, and whether that is enough to tell",
)
def read_scoreboard(principal: Principal, request: Request[None, ScoreboardQuery]) -> ScoreboardList:
    """Over the last 28 days; a rise is over the lender's first month. Not enough data is an answer."""
    found = []
    for scope in scopes_for(principal):
        _, last = _span(scope, None, request.query.to_day)
        who = org_of(principal) or request.query.agency
        lines = scoreboard.get_scoreboard(
            wiring.kpi_ports(), scope, last, who, lifts=wiring.lifts, coverage=wiring.coverage
        )
        shown = [line.as_json() for line in lines]
        newest = wiring.kpi_ports().repository.newest(scope.tenant)
        found.append(
            ScoreboardView(
                lender=scope.tenant, to_day=last.isoformat(), agency=who, newest_event_at=newest, lines=shown
            )
        )
    return ScoreboardList(scoreboards=found)


def _who(principal: Principal, agency: str | None, part: str | None) -> str | None:
    """Return whom the figures are about: an agency's caller sees itself and its collectors, whatever it asks for."""
    own = org_of(principal)
    if own is None:
        return part or agency
    return part if part is not None and _may_read(principal, part) else own


def _may_read(principal: Principal, who: str) -> bool:
    own = org_of(principal)
    return own is None or who == own or who.startswith(f"collector:{own}/")


def _span(scope: Any, first: date | None, last: date | None) -> tuple[date, date]:
    today = local_date(wiring.now(), wiring.zone_of(scope.tenant))
    until = last or first or today
    return first or until, until
