"""Cases over HTTP: lists and the agencies' change feed, reading one, and everything that is done to one."""

import time
from datetime import date
from typing import Annotated, Any, Literal

from chalice.app import Blueprint
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from chalicelib import wiring
from chalicelib.domain.cases.activity_codes import CODES
from chalicelib.domain.cases.case import Case
from chalicelib.domain.cases.feed import RETENTION_DAYS, Expired
from chalicelib.domain.cases.feed import Page as ChangePage
from chalicelib.domain.cursors import MAX_LENGTH, open_cursor, seal_cursor
from chalicelib.domain.errors import CursorExpired, CursorRejected, NotPermitted, StateConflict
from chalicelib.domain.instants import local_date
from chalicelib.domain.principals import Principal
from chalicelib.edge.callers import caller_of, context_of, org_of, scope_of_case, scopes_for
from chalicelib.edge.entity_tags import entity_tag, version_in_if_match
from chalicelib.edge.http import Answer, Page, Request, route
from chalicelib.usecases import activities, cases, feeds
from chalicelib.usecases.activities import Report

bp = Blueprint(__name__)

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,80}$")]
Code = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{1,39}$", description="A close or objection code.")]
Text = Annotated[str, Field(min_length=1, max_length=2_000)]
Minor = Annotated[int, Field(strict=True, gt=0, le=10**13, description="Minor units of the currency.")]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
Day = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]

FULL_LIST = "/v1/cases"
FEED_SECONDS = RETENTION_DAYS * 86_400


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


# What is sent


class CaseFilter(Page):
    """A list's place and length, and the state that its cases are in."""

    state: Annotated[str, Field(pattern=r"^[a-z_]{1,20}$")] | None = None


class FeedPlace(_Model):
    """Where the feed goes on, how much of it, and how many seconds the answer may wait for something new."""

    cursor: Annotated[str, Field(max_length=MAX_LENGTH)] | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 100
    wait: Annotated[float, Field(ge=0, le=feeds.LONGEST_WAIT)] = 0


class RecallRequest(_Model):
    """A recall; a ``final`` one leaves the agency no time to object."""

    reason: Code
    final: bool = False


class RecallObjection(_Model):
    """Why the agency should keep the case."""

    code: Code
    reason: Text


class HoldRequest(_Model):
    """A hold: its kind, the person (default: the borrower), and what the law ties to it."""

    kind: Annotated[str, Field(pattern=r"^[a-z_]{1,40}$")]
    reason: Text
    person: Id | None = None
    until: Day | None = None
    amount_minor: Minor | None = None
    written: bool | None = None
    chapter: Literal[7, 11, 12, 13] | None = None


class Reason(_Model):
    """Why something is done."""

    reason: Text


class CloseRequest(_Model):
    """The close reason with which an agency returns a case."""

    reason: Code


class TransitionRequest(_Model):
    """A step of the lender's, by name."""

    event: Literal["settle", "refer_to_legal", "write_off", "dispute", "resolve_dispute", "end_plan"]
    reason: Code


class ProgressRequest(_Model):
    """A step of the agency's, by name."""

    event: Literal["dispute", "agree_plan", "end_plan"]
    reason: Code


class ActivityReport(_Model):
    """What was done, when, on whom, with what result. ``contact`` is the clearance or message it happened under."""

    code: Annotated[str, Field(pattern=r"^[A-Z0-9-]{2,20}$")]
    channel: Literal["call", "visit", "sms", "email", "wechat", "letter", "none"]
    at: AwareDatetime
    person: Id | None = None
    point: Id | None = None
    contact: Id | None = None
    note: Annotated[str, Field(max_length=2_000)] | None = None
    written: bool | None = None
    chapter: Literal[7, 11, 12, 13] | None = None


class PromiseReport(_Model):
    """A promise to pay an amount by a day; ``person`` is the payer (default: the borrower)."""

    amount_minor: Minor
    currency: Currency
    due_on: date
    person: Id | None = None


class PaymentReport(_Model):
    """Money that the lender received. ``reference`` is the lender's own number of the payment: the same is the same."""

    amount_minor: Minor
    currency: Currency
    received_on: date
    reference: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,60}$")] | None = None
    method: Annotated[str, Field(pattern=r"^[a-z_]{1,30}$")] | None = None
    commissionable: bool = True
    split: dict[Annotated[str, Field(pattern=r"^[a-z_]{1,20}$")], Minor] | None = None


class ReversalReport(_Model):
    """A payment that did not hold; ``received_on`` is the day on which it was taken back."""

    received_on: date


class PauseRequest(_Model):
    """A pause that the contract provides for, from its first day to its last (closed), also one that is over.

    A deferral moves the due dates in it to the day after it; a freeze takes its days out of the days past due.
    """

    kind: Literal["deferral", "freeze"]
    paused_from: date
    paused_to: date
    reason: Text


# What is answered


class CaseSummary(_Model):
    """A case in a list: no personal data."""

    case: str
    lender: str
    agency: str | None
    state: str
    version: int
    currency: str
    amount_due_minor: int
    days_past_due: int
    bucket: str
    placed_to: str
    product: str


class CaseList(_Model):
    """A page of cases by id. An agency's first page has the cursor with which its change feed follows on the list."""

    items: list[CaseSummary]
    next_cursor: str | None
    changes_cursor: str | None = None


class FeedEntry(_Model):
    """A change: ``upsert`` says how the case stands now, ``tombstone`` that it is the agency's no longer."""

    seq: int
    kind: Literal["upsert", "tombstone"]
    event: str
    type: str
    at: str
    reason: str
    case: str
    lender: str
    state: str
    version: int
    currency: str
    amount_due_minor: int
    bucket: str
    placed_to: str
    recall_due_at: str | None


class Changes(_Model):
    """A page of the feed. ``next_cursor`` is always there; ``more`` says that the next page would not be empty."""

    items: list[FeedEntry]
    next_cursor: str
    more: bool


class CaseView(BaseModel):
    """A case as the caller may see it; what the caller's role may not see is left out or masked."""

    model_config = ConfigDict(extra="allow", frozen=True)

    id: str
    lender: str
    agency: str | None
    state: str
    version: int
    currency: str
    owed: dict[str, int]
    amount_due_minor: int
    amount_as_of: str
    days_past_due: int
    bucket: str
    placed_from: str
    placed_to: str
    recall_due_at: str | None
    parties: list[dict[str, Any]]
    vehicles: list[dict[str, Any]]
    promises: list[dict[str, Any]]
    payments: list[dict[str, Any]]
    pauses: list[dict[str, Any]]
    holds: list[dict[str, Any]]
    next_actions: list[str]


class CaseState(_Model):
    """How the case stands after a command; ``id`` is what the command made, if it made something."""

    case: str
    state: str
    version: int
    currency: str
    amount_due_minor: int
    recall_due_at: str | None
    id: str | None = None


class ActivityRecorded(CaseState):
    """The activity, the holds that it placed, and the risk event if it was a breach."""

    activity: str
    holds: list[str]
    risk_event: str | None


class ActivityCodeView(_Model):
    """A result code and what it counts as and sets off."""

    code: str
    zh: str
    en: str
    attempt: bool
    connect: bool
    right_party: bool
    channel: str | None
    places_hold: str | None
    reported_by: str


class ActivityCodeList(_Model):
    """Every result code."""

    items: list[ActivityCodeView]


def _standing(case: Case, made: str | None = None) -> Answer:
    return Answer(CaseState(**_state_of(case), id=made))


def _state_of(case: Case) -> dict[str, Any]:
    return {
        "case": case.id,
        "state": case.state.value,
        "version": case.version,
        "currency": case.currency,
        "amount_due_minor": case.amount_due_minor,
        "recall_due_at": case.recall_due_at,
    }


# Reading


@route(
    bp,
    "GET",
    "/v1/cases",
    scope="cases:read",
    query=CaseFilter,
    response=CaseList,
    summary="List cases by id: the lender's, or those that the agency holds",
)
def list_cases(principal: Principal, request: Request[None, CaseFilter]) -> CaseList:
    """An agency that starts, or starts anew, reads the whole list and goes on in the feed with ``changes_cursor``."""
    org, last = org_of(principal), request.after()
    # Read before the list: what changes while the list is read comes again in the feed, and nothing falls between.
    head = wiring.feed_repository().head(org) if org is not None and last is None else None
    zones = {scope.tenant: _zone(scope) for scope in scopes_for(principal)}
    now = wiring.now()
    items, following = feeds.list_cases(
        wiring.feed_repository(),
        tenant=principal.tenant,
        org=org,
        after=None if last is None else str(last["case"]),
        limit=request.query.limit,
        state=request.query.state,
        today_of=lambda lender: local_date(now, zones.get(lender, "UTC")),
    )
    return CaseList(
        items=[CaseSummary(**item) for item in items],
        next_cursor=None if following is None else request.cursor({"case": following}),
        changes_cursor=None if head is None or org is None else _feed_cursor("feed", org, head),
    )


def _zone(scope: Any) -> str:
    lender = wiring.store().lender(scope)
    return lender.zone if lender is not None else "UTC"


@route(
    bp,
    "GET",
    "/v1/cases/changes",
    scope="assignments:read",
    query=FeedPlace,
    response=Changes,
    errors=[CursorExpired],
    summary="Follow the changes of the agency's cases: ordered, without gaps, each at least once",
)
def read_changes(principal: Principal, request: Request[None, FeedPlace]) -> Changes:
    """Without a cursor the feed starts at the oldest entry that is kept (35 days). 410: list the cases anew."""
    page, following = follow(wiring.feed_repository(), principal.org, request.query, name="feed")
    items = [FeedEntry(**entry) for entry in page.entries]
    return Changes(items=items, next_cursor=following, more=page.more)


def follow(feed: feeds.Feed, owner: str, place: FeedPlace, *, name: str) -> tuple[ChangePage, str]:
    """Return a page of an owner's feed and the cursor to go on with; ``name`` says which feed the cursors are for.

    Raises CursorRejected for a cursor of another feed, CursorExpired when entries after it are no longer kept.
    """
    page = feeds.changes(
        feed,
        owner,
        after=_feed_place(name, owner, place.cursor),
        limit=place.limit,
        wait=place.wait,
        sleep=time.sleep,
    )
    if isinstance(page, Expired):
        raise CursorExpired(FULL_LIST)
    return page, _feed_cursor(name, owner, page.next_seq)


def _feed_cursor(name: str, owner: str, seq: int) -> str:
    # Bound to the agency or lender and to nothing else: every caller of it may go on where another stopped.
    expires = int(time.time()) + FEED_SECONDS
    return seal_cursor(wiring.cursor_key(), {"seq": seq}, scope=f"{name}|{owner}", filters="", expires_at=expires)


def _feed_place(name: str, owner: str, cursor: str | None) -> int | None:
    if cursor is None:
        return None
    place = open_cursor(wiring.cursor_key(), cursor, scope=f"{name}|{owner}", filters="", now=int(time.time()))
    if place is None:
        raise CursorRejected
    if place.is_expired:
        raise CursorExpired(FULL_LIST)
    return int(place.last["seq"])


@route(
    bp,
    "GET",
    "/v1/cases/{case_id}",
    scope="cases:read",
    response=CaseView,
    summary="Read a case with parties, contact points, money, holds and what can be done next",
)
def read_case(principal: Principal, request: Request[None, None]) -> Answer:
    """Fields are shown, masked or left out by the caller's role; what no table names is shown to nobody."""
    case_id = request.path["case_id"]
    shown = cases.case_view(
        wiring.store(),
        scope_of_case(principal, case_id),
        case_id,
        org=org_of(principal),
        role=principal.role.value,
        now=wiring.now(),
    )
    view = CaseView(**shown)
    return Answer(view, tag=entity_tag(view.version, view.model_dump_json(by_alias=True)))


# The lender's side


@route(
    bp,
    "POST",
    "/v1/cases/{case_id}/recall",
    scope="cases:recall",
    body=RecallRequest,
    response=CaseState,
    errors=[StateConflict],
    summary="Take a case back; the agency may object until recall_due_at",
)
def request_recall(principal: Principal, request: Request[RecallRequest, None]) -> Answer:
    """Nothing is sent on the case from now on. When the window is over, the clock finishes the recall."""
    case_id = request.path["case_id"]
    case = cases.request_recall(
        wiring.store(),
        scope_of_case(principal, case_id),
        case_id,
        caller_of(principal),
        context_of(request),
        reason=request.body.reason,
        final=request.body.final,
        expected=version_in_if_match(request.headers),
    )
    return _standing(case)


@route(
    bp,
    "POST",
    "/v1/cases/{case_id}/transitions",
    scope="cases:write",
    body=TransitionRequest,
    response=CaseState,
    errors=[StateConflict],
    summary="Settle a case, refer it to court, write it off, dispute it or resolve the dispute",
)
def change_case(principal: Principal, request: Request[TransitionRequest, None]) -> Answer:
    """A step that cannot be taken in the present state is a conflict; one that was taken already changes nothing."""
    return _step(principal, request, request.body.event, request.body.reason)


def _step(principal: Principal, request: Request[Any, Any], event: str, reason: str) -> Answer:
    case_id = request.path["case_id"]
    case = cases.transition(
        wiring.store(),
        scope_of_case(principal, case_id),
        case_id,
        caller_of(principal),
        context_of(request),
        event=event,
        reason=reason,
        expected=version_in_if_match(request.headers),
    )
    return _standing(case)


@route(
    bp,
    "POST",
    "/v1/cases/{case_id}/payments",
    scope="payments:write",
    body=PaymentReport,
    response=CaseState,
    status=201,
    errors=[StateConflict],
    summary="Record money that the lender received",
)
def post_payment(principal: Principal, request: Request[PaymentReport, None]) -> Answer:
    """It is applied in the country's order unless a split is stated; at 0 the case is settled."""
    case_id, body = request.path["case_id"], request.body
    case, payment = cases.post_payment(
        wiring.store(),
        scope_of_case(principal, case_id),
        case_id,
        caller_of(principal),
        context_of(request),
        amount_minor=body.amount_minor,
        currency=body.currency,
        received_on=body.received_on,
        reference=body.reference,
        method=body.method,
        commissionable=body.commissionable,
        split=body.split,
        payment_id=request.derived_id("pay"),
    )
    return _standing(case, payment.id)


@route(
    bp,
    "POST",
    "/v1/cases/{case_id}/payments/{payment_id}/reversal",
    scope="payments:write",
    body=ReversalReport,
    response=CaseState,
    status=201,
    errors=[StateConflict],
    summary="Take back a payment that did not hold",
)
def reverse_payment(principal: Principal, request: Request[ReversalReport, None]) -> Answer:
    """It is as if it had never come: days past due, balances and the promises it kept are judged anew."""
    case_id = request.path["case_id"]
    case, reversal = cases.reverse_payment(
        wiring.store(),
        scope_of_case(principal, case_id),
        case_id,
        request.path["payment_id"],
        caller_of(principal),
        context_of(request),
        received_on=request.body.received_on,
    )
    return _standing(case, reversal.id)


@route(
    bp,
    "POST",
    "/v1/cases/{case_id}/pauses",
    scope="cases:write",
    body=PauseRequest,
    response=CaseState,
    status=201,
    summary="Defer due dates, or freeze the days past due, as the contract provides",
)
def record_pause(principal: Principal, request: Request[PauseRequest, None]) -> Answer:
    """Days past due follow from the pause at once, also for days that are over; what was approved before goes stale."""
    case_id, body = request.path["case_id"], request.body
    case, pause = cases.record_pause(
        wiring.store(),
        scope_of_case(principal, case_id),
        case_id,
        caller_of(principal),
        context_of(request),
        kind=body.kind,
        paused_from=body.paused_from,
        paused_to=body.paused_to,
        reason=body.reason,
        pause_id=request.derived_id("pause"),
    )
    return _standing(case, pause.id)


@route(
    bp,
    "POST",
    "/v1/cases/{case_id}/pauses/{pause_id}/cancellation",
    scope="cases:write",
    body=Reason,
    response=CaseState,
    summary="Take a pause back as if it had never been",
)
def cancel_pause(principal: Principal, request: Request[Reason, None]) -> Answer:
    """Days past due count as they would have without it."""
    case_id, pause_id = request.path["case_id"], request.path["pause_id"]
    case = cases.cancel_pause(
        wiring.store(),
        scope_of_case(principal, case_id),
        case_id,
        pause_id,
        caller_of(principal),
        context_of(request),
        reason=request.body.reason,
    )
    return _standing(case, pause_id)


# Both sides


@route(
    bp,
    "POST",
    "/v1/cases/{case_id}/holds",
    scope="holds:write",
    body=HoldRequest,
    response=CaseState,
    status=201,
    errors=[StateConflict],
    summary="Put a hold on a case, or on a person for all their cases with this lender",
)
def place_hold(principal: Principal, request: Request[HoldRequest, None]) -> Answer:
    """Everything that is queued for any party of the case goes stale in the same transaction."""
    case_id, body = request.path["case_id"], request.body
    case, hold = cases.place_hold(
        wiring.store(),
        scope_of_case(principal, case_id),
        case_id,
        caller_of(principal),
        context_of(request),
        kind=body.kind,
        reason=body.reason,
        person=body.person,
        until=body.until,
        amount_minor=body.amount_minor,
        written=body.written,
        chapter=body.chapter,
        hold_id=request.derived_id("hold"),
    )
    return _standing(case, hold.id)


@route(
    bp,
    "POST",
    "/v1/cases/{case_id}/holds/{hold_id}/release",
    scope="holds:write",
    body=Reason,
    response=CaseState,
    errors=[StateConflict],
    summary="End a hold; the case goes on when it was the last",
)
def release_hold(principal: Principal, request: Request[Reason, None]) -> Answer:
    """The lender's side only: what stopped an agency is not the agency's to judge."""
    case_id = request.path["case_id"]
    scope = scope_of_case(principal, case_id)
    if principal.is_agency_side:
        raise NotPermitted("an agency releases no holds", code="lender_only")
    case = cases.release_hold(
        wiring.store(),
        scope,
        case_id,
        request.path["hold_id"],
        caller_of(principal),
        context_of(request),
        reason=request.body.reason,
    )
    return _standing(case, request.path["hold_id"])


# The agency's side


@route(
    bp,
    "POST",
    "/v1/cases/{case_id}/recall/objection",
    scope="cases:return",
    body=RecallObjection,
    response=CaseState,
    errors=[StateConflict],
    summary="Object to a recall while its window is open",
)
def object_to_recall(principal: Principal, request: Request[RecallObjection, None]) -> Answer:
    """The case goes back to work, and the lender reads why; a final recall cannot be objected to."""
    case_id = request.path["case_id"]
    case = cases.object_to_recall(
        wiring.store(),
        scope_of_case(principal, case_id),
        case_id,
        caller_of(principal),
        context_of(request),
        code=request.body.code,
        reason=request.body.reason,
    )
    return _standing(case)


@route(
    bp,
    "POST",
    "/v1/cases/{case_id}/return",
    scope="cases:return",
    body=CloseRequest,
    response=CaseState,
    errors=[StateConflict],
    summary="Give a case back to the lender",
)
def return_case(principal: Principal, request: Request[CloseRequest, None]) -> Answer:
    """The case ends with its close reason; the lender may place the account again."""
    case_id = request.path["case_id"]
    case = cases.return_case(
        wiring.store(),
        scope_of_case(principal, case_id),
        case_id,
        caller_of(principal),
        context_of(request),
        reason=request.body.reason,
        expected=version_in_if_match(request.headers),
    )
    return _standing(case)


@route(
    bp,
    "POST",
    "/v1/cases/{case_id}/progress",
    scope="cases:work",
    body=ProgressRequest,
    response=CaseState,
    errors=[StateConflict],
    summary="Record that the borrower disputes the debt, or that a plan was agreed or has ended",
)
def record_progress(principal: Principal, request: Request[ProgressRequest, None]) -> Answer:
    """A dispute is a hold as well: demands rest until the lender has resolved it."""
    return _step(principal, request, request.body.event, request.body.reason)


@route(
    bp,
    "POST",
    "/v1/cases/{case_id}/activities",
    scope="cases:work",
    body=ActivityReport,
    response=ActivityRecorded,
    status=201,
    errors=[StateConflict],
    summary="Record what was done on a case, with its result code",
)
def record_activity(principal: Principal, request: Request[ActivityReport, None]) -> Answer:
    """Results like RPC-DISP, RPC-CEASE or DEC stop work at once. A call or visit without clearance is a breach."""
    case_id, body = request.path["case_id"], request.body
    scope = scope_of_case(principal, case_id)
    report = Report(
        code=body.code,
        channel=body.channel,
        person=body.person or cases.debtor_of(wiring.store(), scope, case_id, org=org_of(principal)),
        at=body.at,
        point=body.point,
        contact=body.contact,
        note=body.note,
        written=body.written,
        chapter=body.chapter,
    )
    done = activities.record_activity(
        wiring.store(),
        scope,
        case_id,
        report,
        caller_of(principal),
        context_of(request),
        activity_id=request.derived_id("act"),
    )
    return Answer(
        ActivityRecorded(
            **_state_of(done.case),
            id=done.activity,
            activity=done.activity,
            holds=list(done.holds),
            risk_event=done.risk,
        )
    )


@route(
    bp,
    "POST",
    "/v1/cases/{case_id}/promises",
    scope="cases:work",
    body=PromiseReport,
    response=CaseState,
    status=201,
    errors=[StateConflict],
    summary="Record a promise to pay",
)
def make_promise(principal: Principal, request: Request[PromiseReport, None]) -> Answer:
    """At most what is owed, at most 30 days ahead, within the mandate. Demands rest while it is alive."""
    case_id, body = request.path["case_id"], request.body
    case, promise = cases.make_promise(
        wiring.store(),
        scope_of_case(principal, case_id),
        case_id,
        caller_of(principal),
        context_of(request),
        amount_minor=body.amount_minor,
        currency=body.currency,
        due_on=body.due_on,
        person=body.person,
        promise_id=request.derived_id("prm"),
    )
    return _standing(case, promise)


@route(
    bp,
    "GET",
    "/v1/activity-codes",
    scope="cases:read",
    response=ActivityCodeList,
    content_tag=True,
    summary="Read the result codes in Chinese and English, with what each counts as and sets off",
)
def list_activity_codes(principal: Principal, request: Request[None, None]) -> ActivityCodeList:
    """Codes reported by carrier or payments are written by the system alone."""
    return ActivityCodeList(
        items=[
            ActivityCodeView(
                code=code.code,
                zh=code.zh,
                en=code.en,
                attempt=code.attempt,
                connect=code.connect,
                right_party=code.right_party,
                channel=code.channel,
                places_hold=code.effect.hold,
                reported_by=code.source,
            )
            for code in CODES.values()
        ]
    )
