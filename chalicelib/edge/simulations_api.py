"""What-if over HTTP: suppose other rules or another strategy over the recorded traffic of a period."""

from typing import Any

from chalice.app import Blueprint
from pydantic import BaseModel, ConfigDict, Field

from chalicelib import wiring
from chalicelib.domain.errors import StateConflict
from chalicelib.domain.principals import Principal, scope_of
from chalicelib.domain.whatif.simulation import Simulation, SimulationState
from chalicelib.domain.whatif.supposed import Wish
from chalicelib.edge.callers import actor_of
from chalicelib.edge.http import Answer, Page, Request, route
from chalicelib.usecases import simulations
from chalicelib.usecases.simulations import Asked

bp = Blueprint(__name__)

MOST_BYTES = 2 * 1024**2


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Delays(_Model):
    """How long newly deferred acts would wait, in minutes (nearest rank; a day and more in whole hours)."""

    count: int
    median_minutes: int | None
    p90_minutes: int | None
    p99_minutes: int | None
    longest_minutes: int | None


class Example(_Model):
    """One act that would come out otherwise: ids and rule ids, nothing of a person. ``would_be`` is null when dropped."""

    contact: str
    case: str
    at: str
    was: str
    would_be: str | None
    rules: list[str]


class SimulationResult(_Model):
    """What would have come out otherwise. ``by`` counts each kind by rule, agency, stage, channel and purpose.

    ``verdicts`` counts pairs as ``allow>deny``; ``compared_with`` names the packs of today; ``method`` says how the figures
    come about and what they cannot show.
    """

    counts: dict[str, int]
    verdicts: dict[str, int]
    by: dict[str, dict[str, dict[str, int]]]
    delays: Delays
    examples: dict[str, list[Example]]
    compared_with: dict[str, Any]
    method: list[str]


class SimulationProblem(_Model):
    """Why a simulation failed."""

    code: str
    zh: str
    en: str


class SimulationView(_Model):
    """A simulation: where it stands, how far it has come, and, once it succeeded, its result."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    id: str
    state: SimulationState
    progress: float
    from_: str = Field(alias="from")
    to: str
    parts: list[str]
    decisions: int | None
    requested_at: str
    started_at: str | None
    finished_at: str | None
    problem: SimulationProblem | None = None
    result: SimulationResult | None = None


class SimulationList(_Model):
    """Simulations without their results, newest first; one that was asked for a moment ago may not be there yet."""

    items: list[SimulationView]
    next_cursor: str | None


_PROBLEMS = {
    "too_many_decisions": (
        "该时段记录的裁决过多，请缩短时段",
        "the period holds more recorded decisions than one simulation takes; choose a shorter one",
    ),
    "stalled": ("多次唤醒后仍未完成", "it was woken several times and did not come to its end"),
}


def view_of(simulation: Simulation, result: Any = None) -> SimulationView:
    """Return the simulation as its lender sees it."""
    told = _PROBLEMS.get(simulation.problem or "")
    return SimulationView(
        id=simulation.id,
        state=simulation.state,
        progress=simulation.progress,
        from_=simulation.first_day,
        to=simulation.last_day,
        parts=list(simulation.parts),
        decisions=simulation.decisions,
        requested_at=simulation.requested_at,
        started_at=simulation.started_at,
        finished_at=simulation.finished_at,
        problem=SimulationProblem(code=simulation.problem or "", zh=told[0], en=told[1]) if told else None,
        result=None if result is None else SimulationResult.model_validate(result),
    )


@route(
    bp,
    "POST",
    "/v1/compliance/simulations",
    scope="simulations:write",
    body=Wish,
    response=SimulationView,
    status=202,
    max_bytes=MOST_BYTES,
    summary="Suppose draft rules, house rules, watched rules or a strategy over recorded traffic of a period",
)
def request_simulation(principal: Principal, request: Request[Wish, None]) -> Answer:
    """Nothing is decided by it. Read the simulation to follow it and to see what would have come out otherwise."""
    wish = request.body
    simulation = simulations.request_simulation(
        wiring.simulation_ports(),
        scope_of(principal),
        Asked(
            id=request.derived_id("sim"),
            first_day=wish.from_.isoformat(),
            last_day=wish.to.isoformat(),
            parts=wish.parts,
            wish=wish.model_dump_json(by_alias=True, exclude_defaults=True),
        ),
        actor=actor_of(principal),
        now=wiring.now(),
        req=request.id,
    )
    return Answer(
        view_of(simulation), version=simulation.version, location=f"/v1/compliance/simulations/{simulation.id}"
    )


@route(
    bp,
    "GET",
    "/v1/compliance/simulations",
    scope="simulations:read",
    query=Page,
    response=SimulationList,
    summary="List simulations, newest first",
)
def list_simulations(principal: Principal, request: Request[None, Page]) -> SimulationList:
    """Results are read one by one."""
    after = request.after()
    found, following = simulations.list_simulations(
        wiring.simulation_ports(),
        scope_of(principal),
        before=after["row"] if after is not None else None,
        limit=request.query.limit,
    )
    return SimulationList(
        items=[view_of(simulation) for simulation in found],
        next_cursor=request.cursor({"row": following}) if following is not None else None,
    )


@route(
    bp,
    "GET",
    "/v1/compliance/simulations/{simulation_id}",
    scope="simulations:read",
    response=SimulationView,
    summary="Follow a simulation: state, progress, result",
)
def read_simulation(principal: Principal, request: Request[None, None]) -> Answer:
    """The result is there when the state is ``succeeded``."""
    ports, scope = wiring.simulation_ports(), scope_of(principal)
    simulation = simulations.get_simulation(ports, scope, request.path["simulation_id"])
    has_result = simulation.state is SimulationState.SUCCEEDED
    result = ports.simulations.result(scope, simulation.id) if has_result else None
    return Answer(view_of(simulation, result), version=simulation.version)


@route(
    bp,
    "DELETE",
    "/v1/compliance/simulations/{simulation_id}",
    scope="simulations:write",
    response=SimulationView,
    errors=[StateConflict],
    summary="Cancel a simulation that has not ended",
)
def cancel_simulation(principal: Principal, request: Request[None, None]) -> Answer:
    """It stays on the list as cancelled. Cancelling it again changes nothing."""
    simulation = simulations.cancel_simulation(
        wiring.simulation_ports(),
        scope_of(principal),
        request.path["simulation_id"],
        actor=actor_of(principal),
        now=wiring.now(),
        req=request.id,
    )
    return Answer(view_of(simulation), version=simulation.version)
