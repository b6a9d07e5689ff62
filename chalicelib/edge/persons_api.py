"""Personal data over HTTP: one value in clear for a reason, a copy for the person, and erasure."""

from datetime import date
from typing import Annotated, Any, Literal

from chalice.app import Blueprint
from pydantic import BaseModel, ConfigDict, Field

from chalicelib import wiring
from chalicelib.domain.cases.unmasking import Target
from chalicelib.domain.errors import StateConflict, TooManyRequests
from chalicelib.domain.people import export
from chalicelib.domain.people.erasure import REASONS, ErasureRequest, Outcome
from chalicelib.domain.people.person import HoldEntry
from chalicelib.domain.principals import Principal, scope_of
from chalicelib.edge.callers import actor_of, caller_of, context_of, org_of, scope_of_case
from chalicelib.edge.http import Answer, Request, route
from chalicelib.usecases import cases, erasure, exporting, holding, unmasking

bp = Blueprint(__name__)

Reference = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,80}$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class UnmaskWish(_Model):
    """Which value, and why. ``person`` is a party (default: the borrower), ``point`` one of their contact points.

    ``vehicle`` counts from 0 in the order of the case. ``text`` is kept, sealed.
    """

    field: Literal["contract_no", "name", "name_local", "national_id", "contact_point", "vin", "plate"]
    reason: Literal[
        "identify_right_party",
        "verify_identity",
        "answer_request",
        "investigate_complaint",
        "correct_data",
        "prepare_proceedings",
    ]
    text: Annotated[str, Field(min_length=10, max_length=500)]
    person: Reference | None = None
    point: Reference | None = None
    vehicle: Annotated[int, Field(strict=True, ge=0, le=99)] | None = None


class UnmaskedView(_Model):
    """The value in clear: once. The same request again, or read later, gives no value any more."""

    id: str
    field: str
    value: str | None
    left_today: int


class LegalHoldWish(_Model):
    """Why evidence is preserved, and the reference of the matter."""

    reason: holding.Reason
    matter: Reference


class LegalHoldView(_Model):
    """A legal hold on a person's evidence."""

    id: str
    person: str
    placed_at: str
    released_at: str | None


class ExportWish(_Model):
    """At whose request, and where the check of the requester's identity is on file."""

    requested_by: Literal["person", "representative"]
    identity_check: Reference


class ExportView(_Model):
    """An export: its document can be fetched by who asked until ``expires_at`` (open)."""

    id: str
    person: str
    requested_by: str
    identity_check: str
    created_at: str
    expires_at: str
    document: str
    page_zh: str
    page_en: str


class PersonDocument(BaseModel):
    """Everything that the lender holds about one person."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: str
    export: str
    created_at: str
    person: dict[str, Any]
    cases: list[dict[str, Any]]
    contacts: list[dict[str, Any]]
    consents: list[dict[str, Any]]
    holds: list[dict[str, Any]]
    messages: list[dict[str, Any]]
    events: list[dict[str, Any]]


class PageLanguage(_Model):
    """The language of a page."""

    language: Literal["zh", "en"] = "zh"


class ErasureWish(_Model):
    """Why, at whose request, and where the check of the requester's identity is on file (a reference, no copy of it).

    ``claims_waived`` is the lender's word that no claim from an ended case will be brought any more.
    """

    reason: Literal[
        "consent_withdrawn", "purpose_met", "no_longer_needed", "objection", "unlawful_processing", "mandate_ended"
    ]
    requested_by: Literal["person", "representative", "lender", "regulator"]
    identity_check: Reference
    claims_waived: bool = False


class ErasureReason(_Model):
    """Why something is kept, in Chinese and English; ``until`` is the last day on which that holds, where it is known."""

    code: str
    zh: str
    en: str
    until: date | None


class RetentionDuty(_Model):
    """A duty to keep the evidence, with the last day on which it runs."""

    id: str
    citation: str
    until: date


class ErasureView(_Model):
    """A request and what became of it: ``held`` is erased but for the evidence, which goes after ``evidence_until``.

    ``profile`` and ``evidence`` say what became of either: kept, locked (stored only) or destroyed.
    """

    id: str
    person: str
    outcome: Literal["postponed", "locked", "held", "erased"]
    profile: Literal["kept", "locked", "destroyed"]
    evidence: Literal["kept", "locked", "destroyed"]
    evidence_until: date | None
    reason: str
    requested_by: str
    identity_check: str
    claims_waived: bool
    reasons: list[ErasureReason]
    duties: list[RetentionDuty]
    requested_at: str
    decided_at: str
    next_look_at: str | None


_STANDING: dict[Outcome, tuple[Any, Any]] = {
    Outcome.POSTPONED: ("kept", "kept"),
    Outcome.LOCKED: ("locked", "locked"),
    Outcome.HELD: ("destroyed", "locked"),
    Outcome.ERASED: ("destroyed", "destroyed"),
}


def _view(request: ErasureRequest) -> ErasureView:
    profile, evidence = _STANDING[request.outcome]
    reasons = [(block, REASONS[block.code]) for block in request.blocks]
    return ErasureView(
        id=request.id,
        person=request.person,
        outcome=request.outcome.value,
        profile=profile,
        evidence=evidence,
        evidence_until=request.evidence_until,
        reason=request.reason,
        requested_by=request.requested_by,
        identity_check=request.identity_check,
        claims_waived=request.claims_waived,
        reasons=[ErasureReason(code=block.code, zh=zh, en=en, until=block.until) for block, (zh, en) in reasons],
        duties=[RetentionDuty(id=each.id, citation=each.citation, until=each.until) for each in request.duties],
        requested_at=request.requested_at,
        decided_at=request.decided_at,
        next_look_at=request.due_at,
    )


def _answer(request: ErasureRequest, *, location: str | None = None) -> Answer:
    return Answer(_view(request), version=request.version, location=location)


@route(
    bp,
    "POST",
    "/v1/persons/{person_id}/erasure-requests",
    scope="erasures:write",
    body=ErasureWish,
    response=ErasureView,
    status=202,
    errors=[StateConflict],
    summary="Ask for a person's data to be erased; what may be destroyed is destroyed at once",
)
def request_erasure(principal: Principal, request: Request[ErasureWish, None]) -> Answer:
    """The answer says what was destroyed, what is kept and why. The clock goes on with what is left.

    A new request takes the place of one that was postponed or locked; after a destruction it is a conflict.
    """
    wish, person_id = request.body, request.path["person_id"]
    taken = erasure.request_erasure(
        wiring.store(),
        scope_of(principal),
        person_id,
        erasure.Wish(wish.reason, wish.requested_by, wish.identity_check, wish.claims_waived),
        erasure_id=request.derived_id("era"),
        actor=actor_of(principal),
        now=wiring.now(),
        req=request.id,
    )
    return _answer(taken, location=f"/v1/persons/{person_id}/erasure-requests/{taken.id}")


@route(
    bp,
    "GET",
    "/v1/persons/{person_id}/erasure-requests/{erasure_id}",
    scope="erasures:write",
    response=ErasureView,
    summary="Read what became of a request for erasure",
)
def read_erasure(principal: Principal, request: Request[None, None]) -> Answer:
    """It stays readable after everything else about the person is gone: it holds references and days only."""
    found = erasure.find_request(
        wiring.store(), scope_of(principal), request.path["person_id"], request.path["erasure_id"]
    )
    return _answer(found)


@route(
    bp,
    "POST",
    "/v1/persons/{person_id}/legal-holds",
    scope="legal_holds:write",
    body=LegalHoldWish,
    response=LegalHoldView,
    status=201,
    summary="Put a person's evidence under legal hold, also when the profile is gone",
)
def place_legal_hold(principal: Principal, request: Request[LegalHoldWish, None]) -> Answer:
    """Nothing that is left of the person is destroyed as long as it holds. Where nothing is left it is a conflict."""
    person_id, wish = request.path["person_id"], request.body
    hold = holding.place_person_hold(
        wiring.store(),
        scope_of(principal),
        person_id,
        hold_id=request.derived_id("hold"),
        reason=wish.reason,
        matter=wish.matter,
        actor=actor_of(principal),
        now=wiring.now(),
        req=request.id,
    )
    return Answer(_hold_view(person_id, hold), location=f"/v1/persons/{person_id}/legal-holds/{hold.id}")


@route(
    bp,
    "POST",
    "/v1/persons/{person_id}/legal-holds/{hold_id}/release",
    scope="legal_holds:write",
    response=LegalHoldView,
    summary="End a legal hold on a person's evidence",
)
def release_legal_hold(principal: Principal, request: Request[None, None]) -> LegalHoldView:
    """What waited for it is looked at again by the clock, within a week."""
    hold = holding.release_person_hold(
        wiring.store(),
        scope_of(principal),
        request.path["person_id"],
        request.path["hold_id"],
        actor=actor_of(principal),
        now=wiring.now(),
        req=request.id,
    )
    return _hold_view(request.path["person_id"], hold)


def _hold_view(person: str, hold: HoldEntry) -> LegalHoldView:
    return LegalHoldView(id=hold.id, person=person, placed_at=hold.from_, released_at=hold.released_at)


@route(
    bp,
    "POST",
    "/v1/cases/{case_id}/unmaskings",
    scope="personal_data:unmask",
    body=UnmaskWish,
    response=UnmaskedView,
    status=201,
    errors=[TooManyRequests],
    summary="See one masked value in clear, once, for a recorded reason",
)
def unmask_field(principal: Principal, request: Request[UnmaskWish, None]) -> Answer:
    """At most 20 values a caller and day of the lender. Who saw which field, and why, stands in the audit log.

    Telephone numbers, addresses and identity numbers are for compliance officers; agencies see names and plates.
    """
    case_id, wish = request.path["case_id"], request.body
    scope, store = scope_of_case(principal, case_id), wiring.store()
    target = Target(
        wish.field,
        wish.person or cases.debtor_of(store, scope, case_id, org=org_of(principal)),
        wish.point,
        wish.vehicle,
    )
    identity = request.derived_id("unm")
    seen = unmasking.unmask(
        store,
        scope,
        case_id,
        target,
        unmasking.Why(wish.reason, wish.text),
        caller_of(principal),
        context_of(request),
        role=principal.role.value,
        client=f"{principal.org}#{principal.subject}",
        unmasking_id=identity,
    )
    told = {"id": identity, "field": wish.field, "left_today": seen.left_today}
    return Answer(UnmaskedView(value=seen.value, **told), kept=UnmaskedView(value=None, **told))


@route(
    bp,
    "POST",
    "/v1/persons/{person_id}/exports",
    scope="personal_data:export",
    body=ExportWish,
    response=ExportView,
    status=202,
    summary="Have a copy of a person's data made for that person",
)
def request_export(principal: Principal, request: Request[ExportWish, None]) -> Answer:
    """The copy is made when it is fetched, for 24 hours and by who asked; it is stored nowhere."""
    person_id = request.path["person_id"]
    job = exporting.request_export(
        wiring.store(),
        scope_of(principal),
        person_id,
        requested_by=request.body.requested_by,
        identity_check=request.body.identity_check,
        export_id=request.derived_id("exp"),
        actor=actor_of(principal),
        now=wiring.now(),
        req=request.id,
    )
    document = f"/v1/persons/{person_id}/exports/{job.id}"
    view = ExportView(
        id=job.id,
        person=job.person,
        requested_by=job.requested_by,
        identity_check=job.identity_check,
        created_at=job.created_at,
        expires_at=job.expires_at,
        document=document,
        page_zh=f"{document}/page?language=zh",
        page_en=f"{document}/page?language=en",
    )
    return Answer(view, location=document)


def _export(principal: Principal, request: Request[Any, Any]) -> dict[str, Any]:
    return exporting.find_export(
        wiring.store(),
        scope_of(principal),
        request.path["person_id"],
        request.path["export_id"],
        by=principal.subject,
        now=wiring.now(),
    )


@route(
    bp,
    "GET",
    "/v1/persons/{person_id}/exports/{export_id}",
    scope="personal_data:export",
    response=PersonDocument,
    summary="Fetch a person's data as JSON",
)
def read_export(principal: Principal, request: Request[None, None]) -> PersonDocument:
    """Who did not ask for the export, or asks for it too late, finds nothing."""
    return PersonDocument(**_export(principal, request))


@route(
    bp,
    "GET",
    "/v1/persons/{person_id}/exports/{export_id}/page",
    scope="personal_data:export",
    query=PageLanguage,
    content_type="text/html; charset=utf-8",
    summary="Fetch a person's data as a page in Chinese or English",
)
def read_export_page(principal: Principal, request: Request[None, PageLanguage]) -> Answer:
    """The page loads nothing and runs nothing, so it can be handed over as it is."""
    return Answer(export.page(_export(principal, request), request.query.language))
