"""Lenders, the agencies they list, and the agencies' collectors over HTTP."""

from datetime import date
from typing import Annotated, Any, Literal

from chalice.app import Blueprint
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from chalicelib import wiring
from chalicelib.domain.cases.organisations import Agency, Collector, Lender
from chalicelib.domain.errors import (
    FieldError,
    InvalidQuery,
    Misdirected,
    NotFound,
    PreconditionFailed,
    PreconditionRequired,
)
from chalicelib.domain.principals import Principal, Role, TenantScope, founding_scope, scope_of
from chalicelib.domain.residency import REGION_PATTERN
from chalicelib.edge.callers import caller_of, context_of, org_of, scopes_for
from chalicelib.edge.entity_tags import version_in_if_match
from chalicelib.edge.http import Answer, Request, route
from chalicelib.settings import region
from chalicelib.usecases import assignment, organisations
from chalicelib.usecases.organisations import Put

bp = Blueprint(__name__)

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,80}$")]
Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
Region = Annotated[str, Field(pattern=r"^[A-Z]{2}-[A-Z0-9]{1,3}$")]
AwsRegion = Annotated[str, Field(pattern=f"^{REGION_PATTERN}$")]
Zone = Annotated[str, Field(pattern=r"^[A-Za-z]+(/[A-Za-z0-9_+-]+){0,2}$", max_length=60)]
Phone = Annotated[str, Field(pattern=r"^\+?[0-9]{3,20}$")]
Names = Annotated[dict[Literal["zh", "en"], Annotated[str, Field(min_length=1, max_length=200)]], Field(min_length=1)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LenderBody(_Model):
    """A lender. ``zone`` is the IANA zone of its business day, ``pay_to`` its official way to pay by country.

    ``home_region`` is where its data lie: the region that answers, which is also what is meant when nothing is said.
    """

    name: Names
    country: Country
    zone: Zone
    home_region: AwsRegion | None = None
    creditor_kind: Literal["auto_finance", "bank", "finance_company", "dealer"]
    licensed: bool = True
    pay_to: dict[Country, Annotated[str, Field(min_length=1, max_length=200)]]
    complaint_line: Phone
    recall_window_hours: Annotated[int, Field(strict=True, ge=0, le=720)] = 24


class AgencyBody(_Model):
    """An agency as the lender lists it. ``listed_to`` is the last day; empty stages, countries, regions mean all."""

    name: Names
    listed_from: date | None
    listed_to: date | None = None
    suspended: bool = False
    inspected_on: date | None = None
    licensed: bool = True
    share: Annotated[int, Field(strict=True, ge=0, le=1_000)] = 1
    result_weight: Annotated[int, Field(strict=True, ge=0, le=1_000, description="Percent.")] = 100
    stages: tuple[Annotated[str, Field(max_length=20)], ...] = ()
    countries: tuple[Country, ...] = ()
    regions: tuple[Region, ...] = ()
    cases_per_collector: Annotated[int, Field(strict=True, ge=1, le=10_000)] = 200
    callback: Phone
    sms_line: Phone | None = None
    email_from: Annotated[str, Field(pattern=r"^[^@\s]{1,64}@[^@\s]{1,190}$")] | None = None
    address: Annotated[str, Field(min_length=1, max_length=300)] | None = None


class CollectorBody(_Model):
    """A collector, an opaque id and a staff number: no name. Where they may act is what their certificates say."""

    staff_no: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")]
    no_contact_with: tuple[Id, ...] = ()
    left: bool = False


class BalancesConfirmed(_Model):
    """The lender has posted every payment that it received up to this instant."""

    confirmed_at: AwareDatetime


class HighRiskThreshold(_Model):
    """From which chance of rolling into a later bucket within 30 days an account is high risk (closed)."""

    permille: Annotated[int, Field(strict=True, ge=1, le=1_000)]


class LenderView(LenderBody):
    """A lender as it stands."""

    id: str
    home_region: str
    balances_confirmed_at: str | None
    high_risk_permille: int
    version: int


class AgencyView(AgencyBody):
    """An agency as ``lender`` lists it."""

    id: str
    lender: str
    version: int


class AgencyList(_Model):
    """Every agency that the lender ever listed; for an agency, its own listing with each lender."""

    items: list[AgencyView]


class CollectorView(CollectorBody):
    """A collector as ``lender`` knows them. ``certified`` gives the last day (closed) of the certificate for each country."""

    certified: dict[Country, date]
    id: str
    org: str
    lender: str
    version: int


class CollectorList(_Model):
    """The collectors of an agency."""

    items: list[CollectorView]


class ListingQuery(_Model):
    """Which lender's listing an agency asks for; needed where several lenders list it."""

    lender: Id | None = None


def _put(put: Put, view: BaseModel, location: str) -> Answer:
    return Answer(view, version=put.body.version, status=201 if put.created else 200, location=location)


def _lender_view(lender: Lender) -> LenderView:
    return LenderView(**_known(lender, LenderView))


def _agency_view(agency: Agency, lender: str) -> AgencyView:
    return AgencyView(**_known(agency, AgencyView), lender=lender)


def _collector_view(collector: Collector, lender: str) -> CollectorView:
    return CollectorView(**_known(collector, CollectorView), lender=lender)


def _known(body: BaseModel, view: type[BaseModel]) -> dict[str, Any]:
    """Return what the view shows of a stored body; a field added to the body is shown once the view names it."""
    return body.model_dump(include=set(view.model_fields))


@route(
    bp,
    "PUT",
    "/v1/lenders/{lender_id}",
    scope="lenders:write",
    body=LenderBody,
    response=LenderView,
    errors=[Misdirected, PreconditionFailed, PreconditionRequired],
    summary="Register a lender, or change what is known of it (the platform only)",
)
def put_lender(principal: Principal, request: Request[LenderBody, None]) -> Answer:
    """Changing one that exists needs ``If-Match``."""
    scope = founding_scope(principal, request.path["lender_id"])
    known = wiring.store().lender(scope)
    # What the lender itself has said stays as it is.
    own = known.model_dump(include={"balances_confirmed_at", "high_risk_permille"}) if known is not None else {}
    body = request.body.model_dump(exclude={"home_region"})
    lender = Lender(**body, **own, id=scope.tenant, home_region=request.body.home_region or region())
    put = organisations.put_lender(
        wiring.store(),
        scope,
        lender,
        caller_of(principal),
        context_of(request),
        here=region(),
        expected=version_in_if_match(request.headers),
    )
    return _put(put, _lender_view(put.body), f"/v1/lenders/{scope.tenant}")


@route(
    bp,
    "GET",
    "/v1/lenders/{lender_id}",
    scope="organisations:read",
    response=LenderView,
    summary="Read a lender: oneself, or one that lists the caller's agency",
)
def read_lender(principal: Principal, request: Request[None, None]) -> Answer:
    """A lender that has nothing to do with the caller is unknown."""
    lender = organisations.get_lender(wiring.store(), _scope_within(principal, request.path["lender_id"]))
    return Answer(_lender_view(lender), version=lender.version)


def _scope_within(principal: Principal, lender: str) -> TenantScope:
    if principal.role is Role.ADMIN:
        return wiring.at_home(founding_scope(principal, lender))
    for scope in scopes_for(principal):
        if scope.tenant == lender:
            return scope
    raise NotFound("lender", lender)


@route(
    bp,
    "PUT",
    "/v1/lenders/{lender_id}/balances-confirmation",
    scope="payments:write",
    body=BalancesConfirmed,
    response=LenderView,
    summary="Say up to when every payment received has been posted",
)
def confirm_balances(principal: Principal, request: Request[BalancesConfirmed, None]) -> Answer:
    """A message may name a balance only if it is known to be fresh. An earlier instant than the last changes nothing."""
    lender = organisations.confirm_balances(
        wiring.store(),
        _scope_within(principal, request.path["lender_id"]),
        caller_of(principal),
        context_of(request),
        confirmed_at=request.body.confirmed_at,
    )
    return Answer(_lender_view(lender), version=lender.version)


@route(
    bp,
    "PUT",
    "/v1/lenders/{lender_id}/high-risk-threshold",
    scope="organisations:write",
    body=HighRiskThreshold,
    response=LenderView,
    summary="Say from which chance of rolling into a later bucket an account is high risk",
)
def put_high_risk_threshold(principal: Principal, request: Request[HighRiskThreshold, None]) -> Answer:
    """It counts from the next reading on; putting the same again changes nothing."""
    lender = organisations.put_high_risk_threshold(
        wiring.store(),
        _scope_within(principal, request.path["lender_id"]),
        caller_of(principal),
        context_of(request),
        permille=request.body.permille,
    )
    return Answer(_lender_view(lender), version=lender.version)


@route(
    bp,
    "PUT",
    "/v1/agencies/{agency_id}",
    scope="organisations:write",
    body=AgencyBody,
    response=AgencyView,
    errors=[PreconditionFailed, PreconditionRequired],
    summary="List an agency, or change its listing",
)
def put_agency(principal: Principal, request: Request[AgencyBody, None]) -> Answer:
    """Changing one that exists needs ``If-Match``. Cases that found no agency are tried again."""
    scope = scope_of(principal)
    agency = Agency(**request.body.model_dump(), id=request.path["agency_id"])
    put = organisations.put_agency(
        wiring.store(),
        wiring.feed_repository(),
        scope,
        agency,
        caller_of(principal),
        context_of(request),
        expected=version_in_if_match(request.headers),
    )
    assignment.retry_unassigned(wiring.store(), wiring.feed_repository(), wiring.queues(), scope)
    return _put(put, _agency_view(put.body, scope.tenant), f"/v1/agencies/{agency.id}")


@route(
    bp,
    "GET",
    "/v1/agencies",
    scope="organisations:read",
    response=AgencyList,
    content_tag=True,
    summary="List the lender's agencies, or an agency's own listings",
)
def list_agencies(principal: Principal, request: Request[None, None]) -> AgencyList:
    """An agency sees itself only, once for each lender that lists it."""
    own = org_of(principal)
    items = []
    for scope in scopes_for(principal):
        if own is None:
            items += [
                _agency_view(agency, scope.tenant) for agency in organisations.list_agencies(wiring.store(), scope)
            ]
        else:
            items.append(_agency_view(organisations.get_agency(wiring.store(), scope, own), scope.tenant))
    return AgencyList(items=items)


@route(
    bp,
    "GET",
    "/v1/agencies/{agency_id}",
    scope="organisations:read",
    query=ListingQuery,
    response=AgencyView,
    summary="Read an agency's listing",
)
def read_agency(principal: Principal, request: Request[None, ListingQuery]) -> Answer:
    """An agency reads its own, and says with which lender where there are several."""
    org = request.path["agency_id"]
    scope = one_scope(principal, org, request.query.lender)
    agency = organisations.get_agency(wiring.store(), scope, org)
    return Answer(_agency_view(agency, scope.tenant), version=agency.version)


def one_scope(principal: Principal, org: str, lender: str | None) -> TenantScope:
    """Return the scope in which a caller may look at an agency. Raises NotFound, InvalidQuery where there are several."""
    if org_of(principal) not in (None, org):
        raise NotFound("agency", org)
    scopes = [scope for scope in scopes_for(principal) if lender in (None, scope.tenant)]
    if not scopes:
        raise NotFound("agency", org)
    if len(scopes) > 1:
        raise InvalidQuery([FieldError("lender", "required", "several lenders list the agency: name one", "query")])
    return scopes[0]


@route(
    bp,
    "PUT",
    "/v1/agencies/{agency_id}/collectors/{collector_id}",
    scope="collectors:write",
    body=CollectorBody,
    query=ListingQuery,
    response=CollectorView,
    errors=[PreconditionFailed, PreconditionRequired],
    summary="Name a collector of an agency, or change the entry",
)
def put_collector(principal: Principal, request: Request[CollectorBody, ListingQuery]) -> Answer:
    """The agency names its people and says who left. Certificates are recorded apart. Changes need ``If-Match``."""
    org = request.path["agency_id"]
    scope = one_scope(principal, org, request.query.lender)
    collector = Collector(**request.body.model_dump(), id=request.path["collector_id"], org=org)
    put = organisations.put_collector(
        wiring.store(),
        scope,
        collector,
        caller_of(principal),
        context_of(request),
        expected=version_in_if_match(request.headers),
    )
    assignment.retry_unassigned(wiring.store(), wiring.feed_repository(), wiring.queues(), scope)
    return _put(put, _collector_view(put.body, scope.tenant), f"/v1/agencies/{org}/collectors/{collector.id}")


@route(
    bp,
    "GET",
    "/v1/agencies/{agency_id}/collectors",
    scope="collectors:read",
    query=ListingQuery,
    response=CollectorList,
    content_tag=True,
    summary="List the collectors of an agency",
)
def list_collectors(principal: Principal, request: Request[None, ListingQuery]) -> CollectorList:
    """By id, those who left included."""
    org = request.path["agency_id"]
    scope = one_scope(principal, org, request.query.lender)
    found = organisations.list_collectors(wiring.store(), scope, org)
    return CollectorList(items=[_collector_view(collector, scope.tenant) for collector in found])


@route(
    bp,
    "GET",
    "/v1/agencies/{agency_id}/collectors/{collector_id}",
    scope="collectors:read",
    query=ListingQuery,
    response=CollectorView,
    summary="Read a collector's entry",
)
def read_collector(principal: Principal, request: Request[None, ListingQuery]) -> Answer:
    """With the last day of each certificate."""
    org = request.path["agency_id"]
    scope = one_scope(principal, org, request.query.lender)
    collector = organisations.get_collector(wiring.store(), scope, org, request.path["collector_id"])
    return Answer(_collector_view(collector, scope.tenant), version=collector.version)
