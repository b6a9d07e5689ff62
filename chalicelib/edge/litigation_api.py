"""Litigation over HTTP: until when a claim can be sued for, what breaks the period, and the suit itself."""

from datetime import date
from typing import Annotated, Literal

from chalice.app import Blueprint
from pydantic import BaseModel, ConfigDict, Field

from chalicelib import wiring
from chalicelib.domain.cases.case import Case
from chalicelib.domain.errors import InvalidInput, StateConflict
from chalicelib.domain.litigation.limitation import Entry, Kind, Proof
from chalicelib.domain.litigation.matter import Matter
from chalicelib.domain.litigation.procedure import MatterEvent, procedure_of
from chalicelib.domain.principals import Principal, scope_of
from chalicelib.edge.callers import caller_of, context_of, org_of, scope_of_case
from chalicelib.edge.compliance_api import Bilingual
from chalicelib.edge.http import Answer, Request, route
from chalicelib.usecases import litigation
from chalicelib.usecases.litigation import Standing, Told

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
    return _limitation(
        litigation.get_limitation(wiring.store(), scope, case, context_of(request), org=org_of(principal))
    )


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
        caller_of(principal),
        context_of(request),
        Entry(id=request.derived_id("lim"), **told),
        supersedes=request.body.supersedes,
        expected=request.expected_version,
    )
    return _limitation(standing)


# The matter


class MatterRequest(_Model):
    """The wish to sue. ``urgent``: little of the limitation period is left, and the suit goes ahead at once."""

    urgent: bool = False


class MatterEventReport(_Model):
    """What happened in the matter, on the lender's day ``on``.

    ``amount_minor`` stands on judge, settle and pay_cost; ``until`` on preserve (the end of the measure) and settle (the day of
    performance); ``cost_kind`` on pay_cost; ``contact`` on send_letter: the message that the gate let out.
    """

    event: MatterEvent
    on: date
    amount_minor: Annotated[int, Field(ge=0, le=10**15)] | None = None
    until: date | None = None
    contact: Id | None = None
    cost_kind: (
        Literal["court_fee", "preservation_fee", "enforcement_fee", "counsel_fee", "service_fee", "other"] | None
    ) = None
    court: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    docket_no: Annotated[str, Field(min_length=1, max_length=80)] | None = None
    note: Annotated[str, Field(min_length=1, max_length=2_000)] | None = None


class DocumentReport(_Model):
    """A document: its kind, the SHA-256 of its content, and the name under which the lender's own store keeps it."""

    kind: Annotated[str, Field(pattern=r"^[a-z_]{2,40}$")]
    sha256: Digest
    storage: Annotated[str, Field(pattern=r"^[A-Za-z0-9._/:-]{1,300}$")]
    dated_on: date | None = None


class StageView(_Model):
    """A stage with its name."""

    stage: str
    title: Bilingual


class HappenedView(_Model):
    """What happened, and the stage after it."""

    id: str
    event: str
    on: date
    stage: str
    recorded_at: str
    amount_minor: int | None
    until: date | None
    contact: str | None
    cost_kind: str | None


class DocumentView(_Model):
    """A document on file."""

    id: str
    kind: str
    sha256: str
    storage: str
    filed_at: str
    dated_on: date | None


class EvidenceView(_Model):
    """What must be on file before an event, and whether it is."""

    kind: str
    title: Bilingual
    before: str
    on_file: bool


class MatterView(_Model):
    """A suit. ``possible`` are the events that can happen next; amounts are minor units of ``currency``.

    ``court``, ``docket_no``, ``documents`` and ``costs_minor`` are the lender's alone: an agency sees none of them.
    """

    id: str
    case: str
    lender: str
    country: str
    procedure: Bilingual
    citation: str
    stage: StageView
    currency: str
    claim_minor: int
    judged_minor: int | None
    settled_minor: int | None
    costs_minor: int | None
    urgent: bool
    opened_at: str
    court: str | None
    docket_no: str | None
    happened: list[HappenedView]
    documents: list[DocumentView]
    evidence: list[EvidenceView]
    possible: list[str]
    version: int


def _matter(case: Case, matter: Matter, *, is_agency: bool = False) -> Answer:
    procedure = procedure_of(matter.country)
    if procedure is None:
        raise LookupError(f"{matter.id} follows a procedure that the data lost")
    kinds = {document.kind for document in matter.documents}
    happened = [each for each in matter.happened if not (is_agency and each.event is MatterEvent.PAY_COST)]
    view = MatterView(
        id=matter.id,
        case=matter.case,
        lender=matter.tenant,
        country=matter.country,
        procedure=Bilingual(**procedure.title.model_dump()),
        citation=procedure.citation,
        stage=StageView(stage=matter.stage.value, title=Bilingual(**procedure.stages[matter.stage].model_dump())),
        currency=matter.currency,
        claim_minor=matter.claim_minor,
        judged_minor=matter.judged_minor,
        settled_minor=matter.settled_minor,
        costs_minor=None if is_agency else matter.costs_minor,
        urgent=matter.is_urgent,
        opened_at=matter.opened_at,
        court=None if is_agency else matter.court,
        docket_no=None if is_agency else matter.docket_no,
        happened=[HappenedView(**each.model_dump()) for each in happened],
        documents=[] if is_agency else [DocumentView(**each.model_dump()) for each in matter.documents],
        evidence=[]
        if is_agency
        else [
            EvidenceView(
                kind=rule.kind,
                title=Bilingual(**rule.title.model_dump()),
                before=rule.before.value,
                on_file=rule.kind in kinds,
            )
            for rule in procedure.evidence
            if rule.concerns(case)
        ],
        possible=[event.value for event in procedure.possible(matter.stage)],
        version=matter.version,
    )
    return Answer(view, version=matter.version)


@route(
    bp,
    "POST",
    "/v1/cases/{case_id}/litigation",
    scope="litigation:write",
    body=MatterRequest,
    response=MatterView,
    status=201,
    errors=[StateConflict],
    summary="Open the suit for a case's claim, at its assessment",
)
def open_litigation(principal: Principal, request: Request[MatterRequest, None]) -> Answer:
    """Refused while something stands against suing: limitation, the size of the claim, a hold, another matter."""
    case, matter = litigation.open_matter(
        wiring.store(),
        scope_of(principal),
        request.path["case_id"],
        caller_of(principal),
        context_of(request),
        matter_id=request.derived_id("lit"),
        is_urgent=request.body.urgent,
        expected=request.expected_version,
    )
    return _matter(case, matter)


@route(
    bp,
    "GET",
    "/v1/cases/{case_id}/litigation",
    scope="litigation:read",
    response=MatterView,
    summary="Read the newest suit for a case's claim",
)
def read_litigation(principal: Principal, request: Request[None, None]) -> Answer:
    """An agency reads how far the suits of the cases are that it holds, not what they cost or what is on file."""
    org, case_id = org_of(principal), request.path["case_id"]
    case, matter = litigation.get_matter_of_case(wiring.store(), scope_of_case(principal, case_id), case_id, org=org)
    return _matter(case, matter, is_agency=org is not None)


@route(
    bp,
    "POST",
    "/v1/litigation/{matter_id}/events",
    scope="litigation:write",
    body=MatterEventReport,
    response=MatterView,
    status=201,
    errors=[StateConflict],
    summary="Record what happened in a suit",
)
def record_litigation_event(principal: Principal, request: Request[MatterEventReport, None]) -> Answer:
    """What the procedure of the country does not allow at this stage is refused; what ended the suit before changes nothing."""
    scope = scope_of(principal)
    matter = litigation.record_event(
        wiring.store(),
        scope,
        request.path["matter_id"],
        caller_of(principal),
        context_of(request),
        Told(**request.body.model_dump()),
        event_id=request.derived_id("lev"),
        expected=request.expected_version,
    )
    return _matter(litigation.case_of(wiring.store(), scope, matter), matter)


@route(
    bp,
    "POST",
    "/v1/litigation/{matter_id}/documents",
    scope="litigation:write",
    body=DocumentReport,
    response=MatterView,
    status=201,
    errors=[StateConflict],
    summary="Put a document on a suit's file, by its digest",
)
def file_litigation_document(principal: Principal, request: Request[DocumentReport, None]) -> Answer:
    """The content stays where the lender keeps it; the digest proves later that it is the same."""
    scope = scope_of(principal)
    matter = litigation.file_document(
        wiring.store(),
        scope,
        request.path["matter_id"],
        caller_of(principal),
        context_of(request),
        document_id=request.derived_id("doc"),
        expected=request.expected_version,
        **request.body.model_dump(),
    )
    return _matter(litigation.case_of(wiring.store(), scope, matter), matter)
