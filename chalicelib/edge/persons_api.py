"""What a person may ask of the lender about their data, over HTTP: erasure."""

from datetime import date
from typing import Annotated, Any, Literal

from chalice.app import Blueprint
from pydantic import BaseModel, ConfigDict, Field

from chalicelib import wiring
from chalicelib.domain.errors import StateConflict
from chalicelib.domain.people.erasure import REASONS, ErasureRequest, Outcome
from chalicelib.domain.principals import Principal, scope_of
from chalicelib.edge.callers import actor_of
from chalicelib.edge.http import Answer, Request, route
from chalicelib.usecases import erasure

bp = Blueprint(__name__)

Reference = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,80}$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


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
