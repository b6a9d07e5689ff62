"""Strategies over HTTP: draft, look at over recorded traffic, approve, activate, end; each version is kept for good."""

from datetime import date, timedelta
from typing import Annotated, Any, Literal

from chalice.app import Blueprint
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from chalicelib import wiring
from chalicelib.domain.errors import StateConflict
from chalicelib.domain.instants import from_text
from chalicelib.domain.principals import Principal, TenantScope, scope_of
from chalicelib.domain.strategies.book import StrategyBook, StrategyVersion
from chalicelib.domain.strategies.strategy import STRATEGY_ID, Strategy
from chalicelib.edge.callers import caller_of, context_of
from chalicelib.edge.http import Answer, Request, route
from chalicelib.edge.simulations_api import SimulationView
from chalicelib.edge.simulations_api import view_of as simulation_view
from chalicelib.usecases import strategies
from chalicelib.usecases.strategies import Versioned

bp = Blueprint(__name__)

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,80}$")]
Reason = Annotated[str, Field(min_length=10, max_length=2_000)]
STRATEGY = {"strategy_id": STRATEGY_ID.strip("^$")}
VERSION = {**STRATEGY, "number": r"[1-9][0-9]{0,4}"}
LAST_MONTH_DAYS = 31


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class StrategyDraft(_Model):
    """A version of a strategy. ``rank`` places it among the lender's strategies: of those in force the lowest comes first."""

    content: Strategy
    rank: Annotated[int, Field(strict=True, ge=1, le=1_000)] | None = None


class StrategyDecision(_Model):
    """A decision on a draft, of somebody else than its author."""

    decision: Literal["approve", "reject"]
    reason: Reason


class StrategyActivation(_Model):
    """From when cases follow the version (default: now), and the what-if that was looked at, or why none was."""

    active_from: AwareDatetime | None = None
    simulation: Id | None = None
    reason: Reason | None = None


class StrategyEnd(_Model):
    """The end of a version, for good."""

    reason: Reason


class StrategySpan(_Model):
    """Which recorded traffic a version is run over: UTC dates, both included. The last 31 days when it says nothing."""

    from_: Annotated[date | None, Field(alias="from")] = None
    to: date | None = None


class StrategyLife(_Model):
    """What became of a version: who drafted, decided, activated and ended it, when and why.

    ``standing`` is draft, approved, rejected, scheduled, in_force, superseded or ended.
    """

    number: int
    standing: Literal["draft", "approved", "rejected", "scheduled", "in_force", "superseded", "ended"]
    sha256: str
    author: str
    drafted_at: str
    decided_by: str | None
    decided_at: str | None
    decision_reason: str | None
    activated_by: str | None
    activated_at: str | None
    activation_reason: str | None
    simulation: str | None
    active_from: str | None
    active_until: str | None
    ended_by: str | None
    ended_at: str | None
    end_reason: str | None


class StrategyView(_Model):
    """A strategy and its versions. ``current`` is the version that cases follow now, null when none is in force."""

    id: str
    rank: int
    current: int | None
    versions: list[StrategyLife]


class StrategyList(_Model):
    """The lender's strategies, in the order in which a case looks for a path."""

    items: list[StrategyView]


class StrategyVersionView(_Model):
    """One version: its life and its content."""

    id: str
    rank: int
    life: StrategyLife
    content: Strategy


class StrategySimulation(_Model):
    """A what-if that was asked for; ``left_out`` are paths whose segments recorded traffic cannot tell apart."""

    simulation: SimulationView
    left_out: list[str]


def _standing(life: StrategyVersion) -> Any:
    if life.state.value != "activated":
        return life.state.value
    now = wiring.now()
    if life.in_force(now):
        return "in_force"
    return "scheduled" if life.active_from is not None and from_text(life.active_from) > now else "superseded"


def _life(life: StrategyVersion) -> StrategyLife:
    return StrategyLife(**life.model_dump(exclude={"state"}), standing=_standing(life))


def _book(book: StrategyBook) -> StrategyView:
    current = book.in_force(wiring.now())
    return StrategyView(
        id=book.id,
        rank=book.rank,
        current=None if current is None else current.number,
        versions=[_life(life) for life in book.versions],
    )


def _answer(found: Versioned) -> Answer:
    view = StrategyVersionView(id=found.book.id, rank=found.book.rank, life=_life(found.life), content=found.content)
    location = f"/v1/strategies/{found.book.id}/versions/{found.life.number}"
    return Answer(view, version=found.book.version, location=location)


def _place(principal: Principal, request: Request[Any, Any]) -> tuple[TenantScope, str, int]:
    return scope_of(principal), request.path["strategy_id"], int(request.path["number"])


@route(
    bp,
    "POST",
    "/v1/strategies",
    scope="strategies:write",
    body=StrategyDraft,
    response=StrategyVersionView,
    status=201,
    errors=[StateConflict],
    summary="Draft a strategy or its next version; no case follows it until somebody else approves it",
)
def draft_strategy(principal: Principal, request: Request[StrategyDraft, None]) -> Answer:
    """Each fault is told with its pointer. ``docs/strategies.md`` lists the facts and what a step may be."""
    return _answer(
        strategies.draft_strategy(
            wiring.strategy_ports(),
            scope_of(principal),
            request.body.content,
            caller_of(principal),
            context_of(request),
            rank=request.body.rank,
        )
    )


@route(
    bp,
    "GET",
    "/v1/strategies",
    scope="strategies:read",
    response=StrategyList,
    content_tag=True,
    summary="List the lender's strategies with the lives of their versions",
)
def list_strategies(principal: Principal, request: Request[None, None]) -> StrategyList:
    """The lender's side only: an agency sees what follows for a case in its plan."""
    books = wiring.strategy_ports().strategies.books(scope_of(principal))
    return StrategyList(items=[_book(book) for book in books])


@route(
    bp,
    "GET",
    "/v1/strategies/{strategy_id}",
    scope="strategies:read",
    response=StrategyView,
    content_tag=True,
    path_patterns=STRATEGY,
    summary="Read a strategy with the lives of its versions",
)
def read_strategy(principal: Principal, request: Request[None, None]) -> StrategyView:
    """``current`` depends on the present instant."""
    return _book(strategies.get_book(wiring.strategy_ports(), scope_of(principal), request.path["strategy_id"]))


@route(
    bp,
    "GET",
    "/v1/strategies/{strategy_id}/versions/{number}",
    scope="strategies:read",
    response=StrategyVersionView,
    content_tag=True,
    path_patterns=VERSION,
    summary="Read a version of a strategy",
)
def read_strategy_version(principal: Principal, request: Request[None, None]) -> StrategyVersionView:
    """Its content never changes."""
    scope, strategy, number = _place(principal, request)
    found = strategies.get_version(wiring.strategy_ports(), scope, strategy, number)
    return StrategyVersionView(id=found.book.id, rank=found.book.rank, life=_life(found.life), content=found.content)


@route(
    bp,
    "POST",
    "/v1/strategies/{strategy_id}/versions/{number}/approvals",
    scope="strategies:approve",
    body=StrategyDecision,
    response=StrategyVersionView,
    status=201,
    errors=[StateConflict],
    path_patterns=VERSION,
    summary="Approve or reject a draft, as compliance officer and never as its author",
)
def decide_strategy(principal: Principal, request: Request[StrategyDecision, None]) -> Answer:
    """Approved, the version may be tried in an experiment or activated."""
    scope, strategy, number = _place(principal, request)
    body = request.body
    return _answer(
        strategies.decide_strategy(
            wiring.strategy_ports(),
            scope,
            strategy,
            number,
            caller_of(principal),
            context_of(request),
            approve=body.decision == "approve",
            reason=body.reason,
        )
    )


@route(
    bp,
    "POST",
    "/v1/strategies/{strategy_id}/versions/{number}/simulations",
    scope="simulations:write",
    body=StrategySpan,
    response=StrategySimulation,
    status=202,
    errors=[StateConflict],
    path_patterns=VERSION,
    summary="Run a version over the last month's recorded traffic before it is activated",
)
def simulate_strategy(principal: Principal, request: Request[StrategySpan, None]) -> Answer:
    """Follow it under ``/v1/compliance/simulations``. Nothing is decided and nothing can be sent under it."""
    scope, strategy, number = _place(principal, request)
    last = request.body.to or wiring.now().date()
    found = strategies.simulate_strategy(
        wiring.strategy_ports(),
        wiring.simulation_ports(),
        scope,
        strategy,
        number,
        caller_of(principal),
        context_of(request),
        simulation=request.derived_id("sim"),
        first_day=request.body.from_ or last - timedelta(days=LAST_MONTH_DAYS - 1),
        last_day=last,
    )
    view = StrategySimulation(simulation=simulation_view(found.simulation), left_out=list(found.left_out))
    place = f"/v1/compliance/simulations/{found.simulation.id}"
    return Answer(view, version=found.simulation.version, location=place)


@route(
    bp,
    "POST",
    "/v1/strategies/{strategy_id}/versions/{number}/activations",
    scope="strategies:write",
    body=StrategyActivation,
    response=StrategyVersionView,
    status=201,
    errors=[StateConflict],
    path_patterns=VERSION,
    summary="Let cases follow an approved version from a day on, in the place of the one before it",
)
def activate_strategy(principal: Principal, request: Request[StrategyActivation, None]) -> Answer:
    """Names the simulation of the version that was looked at, or says why there is none."""
    scope, strategy, number = _place(principal, request)
    body = request.body
    return _answer(
        strategies.activate_strategy(
            wiring.strategy_ports(),
            wiring.simulation_ports(),
            scope,
            strategy,
            number,
            caller_of(principal),
            context_of(request),
            active_from=body.active_from,
            simulation=body.simulation,
            reason=body.reason,
        )
    )


@route(
    bp,
    "POST",
    "/v1/strategies/{strategy_id}/versions/{number}/end",
    scope="strategies:write",
    body=StrategyEnd,
    response=StrategyVersionView,
    errors=[StateConflict],
    path_patterns=VERSION,
    summary="End a version for good: what is in force stops at once",
)
def end_strategy(principal: Principal, request: Request[StrategyEnd, None]) -> Answer:
    """Stopping needs no second person. What was asked for already is ruled on as ever."""
    scope, strategy, number = _place(principal, request)
    return _answer(
        strategies.end_strategy(
            wiring.strategy_ports(),
            scope,
            strategy,
            number,
            caller_of(principal),
            context_of(request),
            reason=request.body.reason,
        )
    )
