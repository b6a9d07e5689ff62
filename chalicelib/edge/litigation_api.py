"""Limitation and litigation over HTTP: until when a claim can be sued for, and what breaks the period."""

from datetime import date
from typing import Annotated, Any, Literal

from chalice.app import Blueprint
from pydantic import BaseModel, ConfigDict, Field

from chalicelib import wiring
from chalicelib.domain.errors import InvalidInput, StateConflict
from chalicelib.domain.litigation.limitation import Entry, Kind, Proof
from chalicelib.domain.principals import Principal
from chalicelib.edge.callers import actor_of, org_of, scope_of_case
from chalicelib.edge.compliance_api import Bilingual
from chalicelib.edge.http import Answer, Request, route
from chalicelib.usecases import litigation
from chalicelib.usecases.cases import Caller, Context
from chalicelib.usecases.litigation import Standing

bp = Blueprint(__name__)

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,80}$")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LimitationEntryReport(_Model):
    """What broke or stopped the period, on the lender's days, and what shows it.

    ``until`` is when a procedure ended or an obstacle went; ``dropped`` says that a procedure was withdrawn or not admitted;
    ``rest_waived`` that a demand gave up the rest; ``supersedes`` names the entry that this one takes the place of.
    """

    kind: Kind
    on: date
    until: date | None = None
    proof: Proof
    party: Id | None = None
    dropped: bool = False
    rest_waived: bool = False
    reference: Id | None = None
    sha256: Digest | None = None
    supersedes: Id | None = None


class LimitationStep(_Model):
    """What one entry did, and the end after it. ``effect`` is starts, breaks, renews, weighed, or why it did nothing."""

    entry: str | None
    kind: str
    on: date
    effect: str
    expires_on: date
    citation: str


class LimitationLaw(_Model):
    """The law that was applied. ``provisional``: it was not read in its source yet."""

    place: str
    title: Bilingual
    years: int
    citation: str
    source: str
    confidence: str
    provisional: bool
    checked: date
    note: Bilingual


class GuaranteeView(_Model):
    """Where a guarantor stands. ``starts_on`` is the day from which the claim against them is limited."""

    person: str
    state: Literal["open", "claimed", "freed", "unknown"]
    ends_on: date | None
    claimed_on: date | None
    starts_on: date | None
    doubts: list[str]


class LimitationView(_Model):
    """Until when the claim can be sued for, as seen on the lender's day ``today``.

    ``expires_on`` is the last day (in time) that is certain, None when it is unknown: a question for a person. ``may_reach_to``
    is the last day that could be argued for with what is not proven. ``days_left`` is less than 0 after the end.
    """

    case: str
    today: date
    place: str
    basis: Literal["computed", "stated", "unknown"]
    starts_on: date | None
    expires_on: date | None
    may_reach_to: date | None
    is_barred: bool | None
    days_left: int | None
    pending: bool
    steps: list[LimitationStep]
    doubts: list[str]
    law: LimitationLaw | None
    guarantees: list[GuaranteeView]
    version: int


def _caller(principal: Principal) -> Caller:
    return Caller(actor_of(principal), org_of(principal), principal.collector)


def _context(request: Request[Any, Any]) -> Context:
    return Context(wiring.now(), request.id)


def _limitation(standing: Standing) -> Answer:
    claim, law = standing.claim, standing.claim.law
    view = LimitationView(
        case=standing.case.id,
        today=standing.today,
        place=claim.place,
        basis=claim.basis,
        starts_on=claim.starts_on,
        expires_on=claim.expires_on,
        may_reach_to=claim.may_reach_to,
        is_barred=claim.is_barred(standing.today),
        days_left=claim.days_left(standing.today),
        pending=claim.pending,
        steps=[LimitationStep.model_validate(step, from_attributes=True) for step in claim.steps],
        doubts=list(claim.doubts),
        law=LimitationLaw(**law.model_dump(include=set(LimitationLaw.model_fields))) if law is not None else None,
        guarantees=[
            GuaranteeView(
                person=person,
                state=stands.state,
                ends_on=stands.ends_on,
                claimed_on=stands.claimed_on,
                starts_on=stands.starts_on,
                doubts=list(stands.doubts),
            )
            for person, stands in standing.guarantees
        ],
        version=standing.case.version,
    )
    return Answer(view, version=standing.case.version)


@route(
    bp,
    "GET",
    "/v1/cases/{case_id}/limitation",
    scope="litigation:read",
    response=LimitationView,
    summary="Read until when the case's claim can be sued for, with every step and doubt",
)
def read_limitation(principal: Principal, request: Request[None, None]) -> Answer:
    """Computed anew from the case, its contacts and the ledger; an agency reads those of its own cases."""
    case = request.path["case_id"]
    scope = scope_of_case(principal, case)
    return _limitation(litigation.get_limitation(wiring.store(), scope, case, _context(request), org=org_of(principal)))


@route(
    bp,
    "POST",
    "/v1/cases/{case_id}/limitation/entries",
    scope="litigation:write",
    body=LimitationEntryReport,
    response=LimitationView,
    status=201,
    errors=[StateConflict],
    summary="Enter what broke or stopped the limitation period, with what shows it",
)
def record_limitation_entry(principal: Principal, request: Request[LimitationEntryReport, None]) -> Answer:
    """Entries may come late and in any order. Payments, promises and delivered demands are counted without being entered."""
    told = request.body.model_dump(exclude={"supersedes"})
    if request.body.until is not None and request.body.until < request.body.on:
        raise InvalidInput("/until", "before_the_beginning", "it ends on the day it begins, or later")
    case = request.path["case_id"]
    standing = litigation.record_limitation_entry(
        wiring.store(),
        scope_of_case(principal, case),
        case,
        _caller(principal),
        _context(request),
        Entry(id=request.derived_id("lim"), **told),
        supersedes=request.body.supersedes,
        expected=request.expected_version,
    )
    return _limitation(standing)
