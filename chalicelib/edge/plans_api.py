"""The plan of a case over HTTP: what comes next and why, and what a person decides instead."""

from datetime import date
from typing import Annotated, Literal

from chalice.app import Blueprint
from pydantic import BaseModel, ConfigDict, Field

from chalicelib import wiring
from chalicelib.domain.errors import NotFound, StateConflict
from chalicelib.domain.principals import Principal
from chalicelib.domain.strategies.next_action import REASONS
from chalicelib.edge.callers import caller_of, org_of, scope_of_case
from chalicelib.edge.http import Answer, Request, route
from chalicelib.usecases import plans
from chalicelib.usecases.cases import Context
from chalicelib.usecases.plans import Action, Read

bp = Blueprint(__name__)


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class PlanOverride(_Model):
    """What a person decides instead of the plan, and why.

    ``skip`` leaves the next step out, ``pause`` takes none until the local day ``until`` is over, ``resume`` ends a pause,
    ``channel`` sends the next step by another of its channels.
    """

    decision: Literal["skip", "pause", "resume", "channel"]
    reason: Annotated[str, Field(min_length=10, max_length=2_000)]
    until: date | None = None
    channel: Literal["wechat", "sms", "email", "letter"] | None = None


class PlanReasons(_Model):
    """Why, a sentence each."""

    zh: list[str]
    en: list[str]


class PlanWindow(_Model):
    """A span of the recipient's local day, half-open."""

    from_: Annotated[str, Field(alias="from")]
    to: str


class NextAction(_Model):
    """What comes next: ``owner`` is an organisation, or ``lender``, ``compliance``, ``counsel`` where a person takes over.

    ``kind`` is message, task (a call or visit of a collector) or refer. ``at`` is the instant once it is fixed.
    """

    step: str | None
    kind: Literal["message", "task", "refer"]
    channel: str | None
    template: str | None
    window: PlanWindow | None
    on: str
    at: str | None
    owner: str
    reasons: PlanReasons


class SettledStep(_Model):
    """A step that is over: requested (with the message), task, referred, or left_out with the code of why."""

    path: str
    step: str
    outcome: Literal["requested", "task", "referred", "left_out"]
    at: str
    on: str
    contact: str | None
    channel: str | None
    reason: str | None


class OverrideView(_Model):
    """What a person decided. Why is on record and not repeated here."""

    decision: str
    by: str
    at: str
    step: str | None
    until: str | None
    channel: str | None


class PlanView(_Model):
    """Where a case stands: the version and path that it follows (null: none has a path for it), and what comes next.

    ``standing`` is waiting (the clock has not looked yet), running, paused, held_out (an experiment's holdout), over_budget, without_agency, with_people,
    no_strategy, finished or ended. A plan sends nothing: each message is ruled on when it is asked for.
    """

    case: str
    strategy: str | None
    version: int | None
    path: str | None
    stage: str
    risk: str
    standing: str
    paused_until: str | None
    next: NextAction | None
    settled: list[SettledStep]
    overrides: list[OverrideView]


def _next(read: Read) -> NextAction | None:
    action: Action | None = read.action
    if action is None:
        return None
    fixed = read.sight.plan.scheduled
    is_fixed = fixed is not None and (fixed.path, fixed.step) == (read.sight.plan.path, action.step)
    window = action.window
    return NextAction(
        step=action.step,
        kind=action.kind,
        channel=action.channel,
        template=action.template,
        window=None if window is None else PlanWindow(from_=window.from_, to=window.to),
        on=action.on.isoformat(),
        at=fixed.at if fixed is not None and is_fixed else None,
        owner=action.owner,
        reasons=PlanReasons(
            zh=[REASONS[code].zh for code in action.reasons], en=[REASONS[code].en for code in action.reasons]
        ),
    )


def _answer(read: Read, *, status: int | None = None, location: str | None = None) -> Answer:
    sight = read.sight
    plan = sight.plan
    is_followed = sight.path is not None
    view = PlanView(
        case=plan.case,
        strategy=plan.strategy if is_followed else None,
        version=plan.number if is_followed else None,
        path=plan.path if is_followed else None,
        stage=sight.facts.stage,
        risk=sight.facts.risk,
        standing=plan.standing,
        paused_until=plan.paused_until,
        next=_next(read),
        settled=[SettledStep(**each.model_dump(mode="json")) for each in plan.settled],
        overrides=[OverrideView(**each.model_dump()) for each in plan.overrides],
    )
    return Answer(view, status=status, location=location)


@route(
    bp,
    "GET",
    "/v1/cases/{case_id}/plan",
    scope="cases:read",
    response=PlanView,
    content_tag=True,
    errors=[NotFound],
    summary="Read what comes next for a case, and why",
)
def read_plan(principal: Principal, request: Request[None, None]) -> Answer:
    """Computed from the records as they are now: stage, risk, preference, and what the person has answered to."""
    case = request.path["case_id"]
    scope = scope_of_case(principal, case)
    return _answer(plans.read_plan(wiring.plan_ports(), scope, case, org=org_of(principal), now=wiring.now()))


@route(
    bp,
    "POST",
    "/v1/cases/{case_id}/plan/overrides",
    scope="messages:write",
    body=PlanOverride,
    response=PlanView,
    status=201,
    errors=[StateConflict, NotFound],
    summary="Decide instead of the plan, with a reason that is recorded",
)
def override_plan(principal: Principal, request: Request[PlanOverride, None]) -> Answer:
    """The reason is sealed under the borrower's key. Holds and the compliance check stand above any decision here."""
    case, body = request.path["case_id"], request.body
    scope, now = scope_of_case(principal, case), wiring.now()
    caller = caller_of(principal)
    plans.override_plan(
        wiring.plan_ports(),
        scope,
        case,
        caller,
        Context(now, request.id),
        decision=body.decision,
        reason=body.reason,
        until=body.until,
        channel=body.channel,
    )
    read = plans.read_plan(wiring.plan_ports(), scope, case, org=org_of(principal), now=now)
    return _answer(read, location=f"/v1/cases/{case}/plan")
