"""Messages and clearances over HTTP: ask, read, report, review, cancel."""

import time
from typing import Annotated, Any, Literal

from chalice.app import Blueprint
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from chalicelib import wiring
from chalicelib.domain.cases.activity_codes import code_of
from chalicelib.domain.errors import InvalidInput, NotFound, StateConflict
from chalicelib.domain.outreach.attempt import Attempt, AttemptState
from chalicelib.domain.outreach.sms_parts import is_gsm7, sms_parts
from chalicelib.domain.principals import Principal, TenantScope, scope_of
from chalicelib.edge.callers import actor_of, org_of, scope_of_case, scopes_for
from chalicelib.edge.http import Answer, Request, route
from chalicelib.usecases import activities, messages
from chalicelib.usecases.messages import Wish

bp = Blueprint(__name__)

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,80}$")]
PRINTABLE = r"^[^\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]*$"
"""No control characters but line feeds, and nothing that turns the direction of reading."""

ONE_LINE = r"^[^\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]*$"
NOT_MADE = "NOT-MADE"
"""The result of a clearance that nobody used; its reservation is given back."""

LONGEST_WAIT_SECONDS = 20.0


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MessageRequest(_Model):
    """A wish to send one message. ``to`` defaults to the borrower, ``point`` to their first.

    Either ``template`` names an approved template, or ``text`` (with ``subject`` on mail and letters) answers in one's own
    words what somebody wrote: ``purpose`` and ``reply_to`` are then needed, and a compliance officer reads it first.
    """

    channel: Literal["sms", "email", "wechat", "letter"]
    template: Id | None = None
    text: Annotated[str, Field(min_length=1, max_length=20_000, pattern=PRINTABLE)] | None = None
    subject: Annotated[str, Field(min_length=1, max_length=400, pattern=ONE_LINE)] | None = None
    purpose: Literal["reply", "complaint_answer"] | None = None
    parameters: dict[Annotated[str, Field(max_length=40)], Annotated[str, Field(max_length=200)]] = {}
    to: Id | None = None
    point: Id | None = None
    reply_to: Id | None = None


class VisitPlan(_Model):
    """How a visit is to be made. What is not known stays out; a person then judges."""

    staff: Annotated[int, Field(strict=True, ge=1, le=20)]
    place: Literal["home", "work", "other"]
    entry_consent: bool | None = None
    workplace_consent: bool | None = None
    plan_approved: bool | None = None


class ClearanceRequest(_Model):
    """A wish to call or visit a person. A clearance is an approval: it names one person and point, and ends soon."""

    channel: Literal["call", "visit"]
    template: Id | None = None
    parameters: dict[Annotated[str, Field(max_length=40)], Annotated[str, Field(max_length=200)]] = {}
    purpose: Literal["demand", "reminder", "reply", "locate", "relay", "complaint_answer", "survey"] | None = None
    to: Id | None = None
    point: Id | None = None
    dialler: Literal["manual", "auto", "prerecorded", "ai_voice"] = "manual"
    recorded: bool = False
    visit: VisitPlan | None = None
    reply_to: Id | None = None


class ClearanceWait(_Model):
    """``wait``: how many seconds the answer may take so that it can hold the ruling already."""

    wait: Annotated[float, Field(ge=0, le=LONGEST_WAIT_SECONDS)] = 0


class OutcomeReport(_Model):
    """What became of a cleared call or visit: a result code, or NOT-MADE when the clearance was not used.

    ``duration_seconds`` is how long the line was open, or the visit lasted; ``recording_sha256`` the digest of the recording.
    """

    result: Annotated[str, Field(max_length=20)]
    attempted_at: AwareDatetime
    duration_seconds: Annotated[int, Field(strict=True, ge=0, le=86_400)] | None = None
    recording_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    note: Annotated[str, Field(max_length=2_000)] | None = None


class ReviewDecision(_Model):
    """A compliance officer's decision on an attempt that the rules leave to a person; the reason is recorded."""

    decision: Literal["approve", "deny"]
    reason: Annotated[str, Field(min_length=10, max_length=2_000)]


class Reasons(_Model):
    """The ruling in words, one sentence for each rule that fired."""

    zh: list[str]
    en: list[str]


class MessageView(_Model):
    """A message or clearance as its sender may see it. ``ruling`` is the whole ruling last given, ``approval`` its id.

    ``sms_parts`` and ``sms_encoding`` tell in how many parts a text message is carried, and in which alphabet.
    """

    id: str
    case: str
    person: str
    point: str | None
    channel: str
    purpose: str
    kind: Literal["message", "clearance"]
    state: str
    template: str | None
    template_sha256: str | None
    subject: str | None
    text: str | None
    sms_parts: int | None
    sms_encoding: Literal["gsm7", "ucs2"] | None
    content_sha256: str | None
    requested_at: str
    expires_at: str
    verdict: str | None
    next_allowed_at: str | None
    not_after: str | None
    approval: str | None
    ruling: dict[str, Any] | None
    reasons: Reasons | None
    reason: str | None
    provider: str | None
    sent_at: str | None
    outcome: dict[str, Any] | None


def view_of(attempt: Attempt, ruling: dict[str, Any] | None, *, text: bool = True) -> MessageView:
    """Return the attempt with its ruling as its sender may see it; without ``text`` nothing that somebody wrote is in it."""
    outcome = attempt.outcome
    if outcome is not None and not text:
        outcome = {name: value for name, value in outcome.items() if name != "note"}
    is_sms = attempt.channel == "sms" and attempt.body is not None
    return MessageView(
        id=attempt.id,
        case=attempt.case,
        person=attempt.person,
        point=attempt.point,
        channel=attempt.channel,
        purpose=attempt.purpose,
        kind="clearance" if attempt.human else "message",
        state=attempt.state.value,
        template=attempt.template,
        template_sha256=attempt.template_sha256,
        subject=attempt.subject if text else None,
        text=attempt.body if text else None,
        sms_parts=sms_parts(attempt.body or "") if is_sms else None,
        sms_encoding=None if not is_sms else "gsm7" if is_gsm7(attempt.body or "") else "ucs2",
        content_sha256=attempt.content,
        requested_at=attempt.requested_at,
        expires_at=attempt.expires_at,
        verdict=None if ruling is None else ruling["verdict"],
        next_allowed_at=None if ruling is None else ruling["next_allowed_at"],
        not_after=None if attempt.approved is None else attempt.approved.not_after,
        approval=None if attempt.approved is None else attempt.approved.id,
        ruling=ruling,
        reasons=None if ruling is None else _reasons(ruling, attempt.tenant),
        reason=attempt.reason,
        provider=attempt.provider,
        sent_at=attempt.sent_at,
        outcome=outcome,
    )


def _reasons(ruling: dict[str, Any], tenant: str) -> Reasons:
    return Reasons(zh=wiring.explain(ruling, "zh", tenant=tenant), en=wiring.explain(ruling, "en", tenant=tenant))


@route(
    bp,
    "POST",
    "/v1/cases/{case_id}/messages",
    scope="messages:write",
    body=MessageRequest,
    response=MessageView,
    status=202,
    errors=[StateConflict],
    summary="Ask for a message to a borrower; it leaves only if the compliance check allows it",
)
def request_message(principal: Principal, request: Request[MessageRequest, None]) -> Answer:
    """The answer says that the wish is recorded. Read the message to see the ruling and what became of it."""
    wish = request.body
    return _ask(
        principal,
        request,
        Wish(
            channel=wish.channel,
            template=wish.template,
            parameters=wish.parameters,
            purpose=wish.purpose,
            to=wish.to,
            point=wish.point,
            reply_to=wish.reply_to,
            text=wish.text,
            subject=wish.subject,
        ),
        human=False,
    )


@route(
    bp,
    "POST",
    "/v1/cases/{case_id}/clearances",
    scope="messages:write",
    body=ClearanceRequest,
    query=ClearanceWait,
    response=MessageView,
    status=202,
    errors=[StateConflict],
    summary="Ask for clearance to call or visit; the person calling waits for it",
)
def request_clearance(principal: Principal, request: Request[ClearanceRequest, ClearanceWait]) -> Answer:
    """A clearance that is not used and not reported counts as an attempt that was made."""
    wish = request.body
    answer = _ask(
        principal,
        request,
        Wish(
            channel=wish.channel,
            template=wish.template,
            parameters=wish.parameters,
            purpose=wish.purpose,
            to=wish.to,
            point=wish.point,
            reply_to=wish.reply_to,
            dialler=wish.dialler,
            recorded=wish.recorded,
            visit=wish.visit.model_dump(exclude_none=True) if wish.visit is not None else None,
        ),
        human=True,
    )
    deadline = time.monotonic() + request.query.wait
    scope = scope_of_case(principal, request.path["case_id"])
    while isinstance(answer.body, MessageView) and answer.body.state == "requested" and time.monotonic() < deadline:
        time.sleep(0.1)
        attempt = messages.get_message(wiring.store(), scope, answer.body.id, org=None)
        answer = _told(scope, attempt, location=answer.location)
    return answer


def _ask(principal: Principal, request: Request[Any, Any], wish: Wish, *, human: bool) -> Answer:
    case_id = request.path["case_id"]
    scope = scope_of_case(principal, case_id)
    attempt = messages.request_message(
        wiring.store(),
        scope,
        case_id,
        wish,
        message_id=request.derived_id("msg"),
        org=org_of(principal) or scope.tenant,
        collector=principal.collector,
        human=human,
        actor=actor_of(principal),
        now=wiring.now(),
        req=request.id,
    )
    location = f"/v1/messages/{attempt.id}"
    return _told(scope, attempt, location=location)


def _told(scope: TenantScope, attempt: Attempt, *, location: str | None = None) -> Answer:
    ruling = wiring.store().ruling(scope, attempt)
    kept = view_of(attempt, ruling, text=False)
    return Answer(view_of(attempt, ruling), kept=kept, version=attempt.version, location=location)


def _find(principal: Principal, message: str) -> tuple[TenantScope, Attempt]:
    for scope in scopes_for(principal):
        attempt = wiring.store().attempt(scope, message)
        if attempt is not None and org_of(principal) in (None, attempt.org):
            return scope, attempt
    raise NotFound("message", message)


@route(
    bp,
    "GET",
    "/v1/messages/{message_id}",
    scope="messages:read",
    response=MessageView,
    summary="Read a message or clearance with its ruling and reasons in Chinese and English",
)
def read_message(principal: Principal, request: Request[None, None]) -> Answer:
    """Agencies see their own, lenders and compliance officers all of the lender's.

    What was written to a person whose data are erased or locked is read by the lender's officers only, and an agency
    reads no text any more when its mandate is over.
    """
    scope, attempt = _find(principal, request.path["message_id"])
    access = messages.access_to(
        wiring.store(), scope, attempt, role=principal.role.value, org=org_of(principal), now=wiring.now()
    )
    if access is messages.Access.NONE:
        raise NotFound("message", attempt.id)
    ruling = wiring.store().ruling(scope, attempt)
    return Answer(view_of(attempt, ruling, text=access is messages.Access.WHOLE), version=attempt.version)


@route(
    bp,
    "POST",
    "/v1/messages/{message_id}/outcome",
    scope="messages:write",
    body=OutcomeReport,
    response=MessageView,
    errors=[StateConflict],
    summary="Report what became of a cleared call or visit",
)
def report_message_outcome(principal: Principal, request: Request[OutcomeReport, None]) -> Answer:
    """The time must lie inside the clearance. NOT-MADE gives the reservation back.

    What the result calls for (a stop, a hold, a dispute) is done before the answer is given.
    """
    scope, attempt = _find(principal, request.path["message_id"])
    report = request.body
    outcome, connected, right_party = _outcome(report.result, attempt.channel)
    reported = messages.report_outcome(
        wiring.store(),
        scope,
        attempt.id,
        org=attempt.org,
        outcome=outcome,
        result=report.result,
        attempted_at=report.attempted_at,
        connected=connected,
        right_party=right_party,
        note=report.note,
        duration_seconds=report.duration_seconds,
        recording_sha256=report.recording_sha256,
        actor=actor_of(principal),
        now=wiring.now(),
        req=request.id,
    )
    activities.apply_reported(
        wiring.store(),
        scope,
        reported,
        report.result,
        actor=actor_of(principal),
        now=wiring.now(),
        req=request.id,
    )
    return _told(scope, reported)


def _outcome(result: str, channel: str) -> tuple[str, bool, bool]:
    """Return (outcome in a dossier's words, connected, right party) of a result code on this channel."""
    if result == NOT_MADE:
        return "not_made", False, False
    code = code_of(result)
    if code is None or not code.attempt or code.source != "collector" or code.channel not in (None, channel):
        raise InvalidInput("/result", "unknown_code", f"no result code for a {channel} of that name")
    outcome = code.outcome or "connected"
    if channel == "visit" and outcome == "conversation":
        outcome = "visited_met"
    return outcome, code.connect, code.right_party


@route(
    bp,
    "POST",
    "/v1/messages/{message_id}/review",
    scope="messages:review",
    body=ReviewDecision,
    response=MessageView,
    errors=[StateConflict],
    summary="Decide, as compliance officer, on an attempt that the rules leave to a person",
)
def review_message(principal: Principal, request: Request[ReviewDecision, None]) -> Answer:
    """An approval covers exactly the rules and missing facts that the ruling named; anything new stops it again."""
    reviewed = messages.review_message(
        wiring.store(),
        scope_of(principal),
        request.path["message_id"],
        decision=request.body.decision,
        reason=request.body.reason,
        actor=actor_of(principal),
        now=wiring.now(),
        req=request.id,
    )
    return _told(scope_of(principal), reviewed)


@route(
    bp,
    "POST",
    "/v1/messages/{message_id}/cancellation",
    scope="messages:write",
    response=MessageView,
    errors=[StateConflict],
    summary="Withdraw a message or clearance that has not been sent or used",
)
def cancel_message(principal: Principal, request: Request[None, None]) -> Answer:
    """What was claimed by the dispatcher cannot be called back."""
    scope, attempt = _find(principal, request.path["message_id"])
    done = messages.cancel_message(
        wiring.store(),
        scope,
        attempt.id,
        reason="withdrawn by its sender",
        actor=actor_of(principal),
        now=wiring.now(),
        req=request.id,
    )
    _, after = _find(principal, attempt.id)
    if not done and after.state is not AttemptState.CANCELLED:
        raise StateConflict("too_late", f"the attempt is {after.state}")
    return _told(scope, after)
