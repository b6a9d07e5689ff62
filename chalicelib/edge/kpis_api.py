"""Key figures over HTTP: each with numerator, denominator, interval, n and the version of its definition."""

from datetime import date
from typing import Annotated, Any

from chalice.app import Blueprint
from pydantic import BaseModel, ConfigDict, Field

from chalicelib import wiring
from chalicelib.domain.instants import local_date
from chalicelib.domain.principals import Principal
from chalicelib.edge.callers import org_of, scopes_for
from chalicelib.edge.http import Request, route
from chalicelib.usecases import kpis

bp = Blueprint(__name__)


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class KpiQuery(_Model):
    """The span of local days (both closed; today when left out), and for a lender one agency of theirs."""

    from_day: Annotated[date | None, Field(alias="from")] = None
    to_day: Annotated[date | None, Field(alias="to")] = None
    agency: Annotated[str | None, Field(pattern=r"^[A-Za-z0-9_-]{1,80}$")] = None


class KpiReportView(_Model):
    """Figures of one lender; ``agency`` null means the lender as a whole."""

    lender: str
    from_day: Annotated[str, Field(alias="from")]
    to_day: Annotated[str, Field(alias="to")]
    agency: str | None
    confidence: str
    figures: list[dict[str, Any]]
    definitions: list[dict[str, Any]]


class KpiReportList(_Model):
    """One report a lender: a lender sees its own, an agency one for each lender that lists it."""

    reports: list[KpiReportView]


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
    reports = []
    for scope in scopes_for(principal):
        first, last = _span(scope, request.query)
        agency = org_of(principal) or request.query.agency
        found = kpis.get_kpis(wiring.kpi_ports(), scope, first, last, agency).as_json()
        reports.append(KpiReportView(lender=scope.tenant, **{**found, "confidence": str(found["confidence"])}))
    return KpiReportList(reports=reports)


@route(
    bp,
    "GET",
    "/v1/kpis/export",
    scope="audit:read",
    query=KpiQuery,
    response=KpiExport,
    summary="Export the counters, so that a program of your own can recompute them from the archive",
)
def export_kpis(principal: Principal, request: Request[None, KpiQuery]) -> KpiExport:
    """``python -m scripts.recompute_kpis ARCHIVE --against FILE`` lists every cell that differs."""
    scope = scopes_for(principal)[0]
    first, last = _span(scope, request.query)
    return KpiExport(
        **kpis.export_projection(wiring.kpi_ports(), scope, first, last, zone=wiring.zone_of(scope.tenant))
    )


def _span(scope: Any, query: KpiQuery) -> tuple[date, date]:
    today = local_date(wiring.now(), wiring.zone_of(scope.tenant))
    last = query.to_day or query.from_day or today
    return query.from_day or last, last
