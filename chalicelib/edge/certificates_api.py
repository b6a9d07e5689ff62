"""Certificates over HTTP: recorded and revoked by the lender, seen by the agency, and by each collector their own."""

from datetime import date
from typing import Annotated, Any

from chalice.app import Blueprint
from pydantic import BaseModel, ConfigDict, Field

from chalicelib import wiring
from chalicelib.domain.errors import NotFound, StateConflict
from chalicelib.domain.principals import Principal, scope_of
from chalicelib.domain.training.certificate import Certificate
from chalicelib.edge.callers import told_by
from chalicelib.edge.http import Answer, Request, route
from chalicelib.edge.organisations_api import ListingQuery, one_scope
from chalicelib.usecases import assignment, certificates

bp = Blueprint(__name__)

COUNTRY_PATTERN = {"country": r"[A-Z]{2}"}
Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
Short = Annotated[str, Field(pattern=r"^[^\x00-\x1f]{1,100}$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CertificateEntry(_Model):
    """What the lender was shown of training elsewhere. ``valid_to`` is the last day; ``evidence_sha256`` of the document."""

    country: Country
    issuer: Short
    reference: Short | None = None
    evidence_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    issued_on: date
    valid_to: date


class CertificateRevocation(_Model):
    """Why it is revoked: ``conduct``, ``evidence_rejected``, ``entry_error``, ``exam_fraud`` or ``lender_request``."""

    reason: Annotated[str, Field(pattern=r"^[a-z_]{2,40}$")]


class CertificateView(_Model):
    """A certificate of a collector for a country. ``valid_to`` is its last day (closed) in the lender's zone.

    ``source`` is ``exams`` or ``external``. ``warned`` are the warnings given, in days before it lapses.
    """

    lender: str
    org: str
    collector: str
    country: str
    source: str
    issuer: str | None
    reference: str | None
    evidence_sha256: str
    exams: list[str]
    issued_on: date
    valid_to: date
    state: str
    warned: list[int]
    revoked_at: str | None
    revocation: str | None
    version: int


class CertificateList(_Model):
    """Certificates by their last day."""

    items: list[CertificateView]


class CertificateFilter(ListingQuery):
    """``ending_by``: those whose last day is that day or before."""

    ending_by: date | None = None


def _view(certificate: Certificate) -> CertificateView:
    body = certificate.model_dump(exclude={"tenant", "evidence", "zone", "exams", "warned"})
    lists: dict[str, Any] = {"exams": list(certificate.exams), "warned": list(certificate.warned)}
    return CertificateView(**body, **lists, lender=certificate.tenant, evidence_sha256=certificate.evidence)


@route(
    bp,
    "POST",
    "/v1/agencies/{agency_id}/collectors/{collector_id}/certificates",
    scope="certificates:write",
    body=CertificateEntry,
    response=CertificateView,
    status=201,
    errors=[NotFound, StateConflict],
    summary="Record a certificate of training outside Forbear, with the digest of its evidence",
)
def record_certificate(principal: Principal, request: Request[CertificateEntry, None]) -> Answer:
    """The lender's own staff are recorded under the lender's id. Cases that found no agency are tried again."""
    scope, org, body = scope_of(principal), request.path["agency_id"], request.body
    shown = certificates.Shown(
        body.country, body.issuer, body.reference, body.evidence_sha256, body.issued_on, body.valid_to
    )
    ports = wiring.certificate_ports()
    found = certificates.record_certificate(
        ports, scope, org, request.path["collector_id"], shown, *told_by(principal, request)
    )
    assignment.retry_unassigned(wiring.store(), wiring.feed_repository(), wiring.queues(), scope)
    return Answer(_view(found), version=found.version)


@route(
    bp,
    "POST",
    "/v1/agencies/{agency_id}/collectors/{collector_id}/certificates/{country}/revocations",
    scope="certificates:write",
    body=CertificateRevocation,
    response=CertificateView,
    status=201,
    errors=[NotFound, StateConflict],
    path_patterns=COUNTRY_PATTERN,
    summary="Revoke a certificate: no clearance and no assignment from now on",
)
def revoke_certificate(principal: Principal, request: Request[CertificateRevocation, None]) -> Answer:
    """It can be issued anew on new evidence or new exams."""
    path = request.path
    found = certificates.revoke_certificate(
        wiring.certificate_ports(),
        scope_of(principal),
        path["agency_id"],
        path["collector_id"],
        path["country"],
        *told_by(principal, request),
        reason=request.body.reason,
    )
    return Answer(_view(found), version=found.version)


@route(
    bp,
    "GET",
    "/v1/agencies/{agency_id}/certificates",
    scope="training:read",
    query=CertificateFilter,
    response=CertificateList,
    errors=[NotFound],
    content_tag=True,
    summary="List the certificates of an agency's collectors by their last day, with the warnings that were given",
)
def list_certificates(principal: Principal, request: Request[None, CertificateFilter]) -> CertificateList:
    """A collector sees their own only."""
    org, asked = request.path["agency_id"], request.query
    scope = one_scope(principal, org, asked.lender)
    found = certificates.list_certificates(wiring.certificate_ports(), scope, org, collector=principal.collector)
    shown = [each for each in found if asked.ending_by is None or each.valid_to <= asked.ending_by]
    return CertificateList(items=[_view(each) for each in shown])
