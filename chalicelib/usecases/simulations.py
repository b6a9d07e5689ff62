"""Simulations: a wish is checked and written down, its traffic planned into chunks, each chunk compared by a worker.

Every step may be repeated. The plan is made once, under the job's version; a chunk's result is put once, in the same
transaction as the job's count; the last chunk writes the result. A worker that runs out of time leaves what it has
and is called again. Nothing here can reach the dispatcher: no contact, ledger or approval is written.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from chalicelib.domain import keys
from chalicelib.domain.concurrency import Conflict, retrying
from chalicelib.domain.errors import FieldError, InvalidInput, NotFound, StateConflict
from chalicelib.domain.events import Actor, Event, EventType
from chalicelib.domain.instants import from_text, to_text
from chalicelib.domain.whatif.simulation import (
    CHUNK,
    FINAL,
    MOST_DECISIONS,
    Chunk,
    Planned,
    Simulation,
    SimulationState,
)
from chalicelib.usecases.ports import Queues, Scope, Store

WORKER = Actor("system", "run_simulation", "role")
QUEUE = "simulations"

STALLED_AFTER = timedelta(minutes=10)
"""How long a simulation may go without finishing a chunk before its open chunks are enqueued once more."""

MOST_STALLS = 5
"""How often that is done before the simulation is given up."""

SPARE_SECONDS = 20.0
"""Time that a worker keeps to write down what it has."""

_SLICE = 50
"""Decisions between two looks at the clock and at whether the simulation was cancelled."""


class Simulations(Protocol):
    """Jobs, and the recorded decisions of a period. See ``chalicelib.store.simulation_repository``."""

    def enter(self, events: Iterable[Event]) -> None:
        """Enter decisions and requested simulations into the index."""

    def decided_on(self, scope: Scope, day: str) -> list[str]:
        """Return the index rows of a UTC day in order of time."""
        ...

    def decided_between(self, scope: Scope, planned: Planned) -> list[str]:
        """Return the index rows of a planned chunk in order of time."""
        ...

    def listed(self, scope: Scope, *, before: str | None, limit: int) -> list[tuple[str, str]]:
        """Return (row, id) of the lender's simulations, newest first."""
        ...

    def decisions(self, scope: Scope, rows: Sequence[str]) -> list[Event]:
        """Return the events of index rows."""
        ...

    def opened(self, scope: Scope, events: Sequence[Event]) -> list[Mapping[str, Any] | str]:
        """Return, for each event, its dossier and ruling, or why it cannot be had."""
        ...

    def simulation(self, scope: Scope, simulation: str) -> Simulation | None:
        """Return the simulation."""
        ...

    def simulations(self, scope: Scope, simulations: Sequence[str]) -> dict[str, Simulation]:
        """Return those simulations that exist."""
        ...

    def simulation_record(self, scope: Scope, simulation: Simulation) -> Any:
        """Return its record."""

    def wish(self, scope: Scope, simulation: str) -> str:
        """Return the wish as JSON."""
        ...

    def wish_record(self, scope: Scope, simulation: str, wish: str) -> Any:
        """Return the record of a wish. Raises ValueError when it is too large."""

    def plan(self, scope: Scope, simulation: str) -> list[Planned]:
        """Return the chunks of the plan."""
        ...

    def plan_record(self, scope: Scope, simulation: str, plan: Sequence[Planned]) -> Any:
        """Return the record of a plan."""

    def chunk(self, scope: Scope, simulation: str, number: int) -> Chunk | None:
        """Return what is done of a chunk."""
        ...

    def chunk_record(self, scope: Scope, simulation: str, chunk: Chunk) -> Any:
        """Return its record."""

    def chunks(self, scope: Scope, simulation: str) -> list[Chunk]:
        """Return every chunk of which something is done."""
        ...

    def result(self, scope: Scope, simulation: str) -> Mapping[str, Any] | None:
        """Return the result."""
        ...

    def result_record(self, scope: Scope, simulation: str, result: Mapping[str, Any]) -> Any:
        """Return the record of a result."""


class Supposing(Protocol):
    """The engine over suppositions; ``chalicelib.wiring`` joins it to ``chalicelib.domain.whatif``."""

    def faults(self, scope: Scope, wish: str, *, at: datetime) -> Sequence[tuple[str, str, str]]:
        """Return (pointer, code, sentence) of each fault of a wish (JSON); ``at`` is the instant of the present law."""
        ...

    def comparison(self, scope: Scope, wish: str, *, at: datetime) -> "Comparison":
        """Return what compares decisions under the wish with the law and the house rules of the instant ``at``."""
        ...


class Comparison(Protocol):
    """Compares recorded decisions with what would come of them."""

    def add(self, event: Event, opened: Mapping[str, Any] | str) -> None:
        """Take one recorded decision."""

    def resume(self, tally: Mapping[str, Any]) -> None:
        """Go on from a tally."""

    def tally(self) -> dict[str, Any]:
        """Return what was counted, as plain values."""
        ...

    def result(self, tallies: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        """Return the result of all chunks."""
        ...


@dataclass(frozen=True, slots=True)
class SimulationPorts:
    """What the commands here need; ``scope_for`` gives background work the scope of the lender it is told of."""

    store: Store
    simulations: Simulations
    supposing: Supposing
    queues: Queues
    scope_for: Callable[[str], Scope]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked: an id, the period's first and last UTC date, what is supposed, and the whole wish as JSON."""

    id: str
    first_day: str
    last_day: str
    parts: tuple[str, ...]
    wish: str


def project(simulations: Simulations, events: Sequence[Event]) -> list[str]:
    """Enter what the events decided or asked for into the index by which simulations find it. Returns no failures."""
    wanted = (EventType.CONTACT_DECIDED, EventType.SIMULATION_REQUESTED)
    found = [event for event in events if event.type in wanted]
    if found:
        simulations.enter(found)
    return []


# Asking and looking


def request_simulation(
    ports: SimulationPorts, scope: Scope, asked: Asked, *, actor: Actor, now: datetime, req: str
) -> Simulation:
    """Write a simulation down and return it; the one that is there when the same request comes again.

    Raises InvalidInput with every fault's pointer when what is supposed cannot be.
    """
    faults = ports.supposing.faults(scope, asked.wish, at=now)
    if faults:
        raise InvalidInput.of([FieldError(pointer, code, detail) for pointer, code, detail in faults])
    simulation = Simulation(
        id=asked.id,
        first_day=asked.first_day,
        last_day=asked.last_day,
        parts=asked.parts,
        requested_at=to_text(now),
        due_at=to_text(now + STALLED_AFTER),
    )
    try:
        wish = ports.simulations.wish_record(scope, asked.id, asked.wish)
    except ValueError as error:
        raise InvalidInput("", "too_large", "drafts of this size are not taken; amend instead") from error
    unit = ports.store.unit(scope, actor=actor, req=req, now=now)
    unit.create(ports.simulations.simulation_record(scope, simulation))
    unit.create(wish)
    data = {
        "simulation": simulation.id,
        "first_day": simulation.first_day,
        "last_day": simulation.last_day,
        "parts": list(simulation.parts),
    }
    unit.emit(keys.simulation_pk(scope.tenant, simulation.id), EventType.SIMULATION_REQUESTED, data, fresh=True)
    try:
        unit.commit()
    except Conflict:
        known = ports.simulations.simulation(scope, asked.id)
        if known is None:
            raise
        return known
    return simulation


def get_simulation(ports: SimulationPorts, scope: Scope, identity: str) -> Simulation:
    """Return the simulation. Raises NotFound."""
    simulation = ports.simulations.simulation(scope, identity)
    if simulation is None:
        raise NotFound("simulation", identity)
    return simulation


def list_simulations(
    ports: SimulationPorts, scope: Scope, *, before: str | None, limit: int
) -> tuple[list[Simulation], str | None]:
    """Return up to ``limit`` simulations, newest first, and the row after which the list goes on (None at its end)."""
    rows = ports.simulations.listed(scope, before=before, limit=limit + 1)
    known = ports.simulations.simulations(scope, [identity for _, identity in rows[:limit]])
    found = [known[identity] for _, identity in rows[:limit] if identity in known]
    return found, rows[limit - 1][0] if len(rows) > limit else None


def cancel_simulation(
    ports: SimulationPorts, scope: Scope, identity: str, *, actor: Actor, now: datetime, req: str
) -> Simulation:
    """Cancel a simulation and return it; one that was cancelled stays so. Raises NotFound; StateConflict when it ended."""

    def once() -> Simulation:
        simulation = get_simulation(ports, scope, identity)
        if simulation.state is SimulationState.CANCELLED:
            return simulation
        if simulation.state in FINAL:
            raise StateConflict("too_late", f"the simulation has {simulation.state}")
        ended = _ended(simulation, SimulationState.CANCELLED, now)
        unit = ports.store.unit(scope, actor=actor, req=req, now=now)
        unit.replace(ports.simulations.simulation_record(scope, ended), expected=simulation.version)
        unit.emit(keys.simulation_pk(scope.tenant, identity), EventType.SIMULATION_CANCELLED, {"simulation": identity})
        unit.commit()
        return ended

    return retrying(once)


def _ended(simulation: Simulation, state: SimulationState, now: datetime, problem: str | None = None) -> Simulation:
    return simulation.model_copy(
        update={
            "state": state,
            "finished_at": to_text(now),
            "problem": problem,
            "due_at": None,
            "version": simulation.version + 1,
        }
    )


# Working


def work(
    ports: SimulationPorts,
    body: Mapping[str, Any],
    *,
    clock: Callable[[], datetime],
    seconds_left: Callable[[], float],
    req: str,
) -> None:
    """Plan a simulation (``chunk`` None) or compare one of its chunks: ``body`` is ``{tenant, simulation, chunk}``.

    A chunk for which the time does not suffice is left as far as it came and enqueued again. Raises NotFound when there
    is no such simulation.
    """
    scope, identity, number = ports.scope_for(body["tenant"]), body["simulation"], body["chunk"]
    simulation = get_simulation(ports, scope, identity)
    if number is None:
        if simulation.state is SimulationState.QUEUED:
            _plan(ports, scope, simulation, now=clock(), req=req)
        return
    if simulation.state is SimulationState.RUNNING and not _compare(
        ports, scope, simulation, number, clock=clock, seconds_left=seconds_left, req=req
    ):
        ports.queues.send(QUEUE, [dict(body)])


def _plan(ports: SimulationPorts, scope: Scope, simulation: Simulation, *, now: datetime, req: str) -> None:
    plan: list[Planned] = []
    decisions = 0
    for day in simulation.days():
        rows = ports.simulations.decided_on(scope, day)
        decisions += len(rows)
        if decisions > MOST_DECISIONS:
            break
        for start in range(0, len(rows), CHUNK):
            part = rows[start : start + CHUNK]
            plan.append(Planned(day=day, first=part[0], last=part[-1], count=len(part)))
    unit = ports.store.unit(scope, actor=WORKER, req=req, now=now)
    if decisions > MOST_DECISIONS:
        _finish(ports, scope, unit, simulation, SimulationState.FAILED, now, problem="too_many_decisions")
    elif not plan:
        counted = simulation.model_copy(update={"started_at": to_text(now), "decisions": 0})
        empty = _comparison(ports, scope, simulation).result([])
        unit.create(ports.simulations.result_record(scope, simulation.id, empty))
        _finish(ports, scope, unit, counted, SimulationState.SUCCEEDED, now)
    else:
        running = simulation.model_copy(
            update={
                "state": SimulationState.RUNNING,
                "started_at": to_text(now),
                "decisions": decisions,
                "chunks": len(plan),
                "due_at": to_text(now + STALLED_AFTER),
                "version": simulation.version + 1,
            }
        )
        unit.create(ports.simulations.plan_record(scope, simulation.id, plan))
        unit.replace(ports.simulations.simulation_record(scope, running), expected=simulation.version)
        data = {"simulation": simulation.id, "decisions": decisions, "chunks": len(plan)}
        unit.emit(keys.simulation_pk(scope.tenant, simulation.id), EventType.SIMULATION_PLANNED, data)
    try:
        unit.commit()
    except Conflict:
        # The same message was worked on twice at once, or the simulation was cancelled: the other one has decided.
        return


def _comparison(ports: SimulationPorts, scope: Scope, simulation: Simulation) -> Comparison:
    """Return what compares this simulation's chunks: with the house rules of the instant at which it was asked for."""
    wish = ports.simulations.wish(scope, simulation.id)
    return ports.supposing.comparison(scope, wish, at=from_text(simulation.requested_at))


def _finish(
    ports: SimulationPorts,
    scope: Scope,
    unit: Any,
    simulation: Simulation,
    state: SimulationState,
    now: datetime,
    *,
    problem: str | None = None,
) -> None:
    """Put the end of a simulation and its event into a unit."""
    ended = _ended(simulation, state, now, problem)
    unit.replace(ports.simulations.simulation_record(scope, ended), expected=simulation.version)
    data = {
        "simulation": simulation.id,
        "state": state.value,
        "decisions": simulation.decisions,
        "code": problem,
    }
    unit.emit(keys.simulation_pk(scope.tenant, simulation.id), EventType.SIMULATION_FINISHED, data)


def _compare(
    ports: SimulationPorts,
    scope: Scope,
    simulation: Simulation,
    number: int,
    *,
    clock: Callable[[], datetime],
    seconds_left: Callable[[], float],
    req: str,
) -> bool:
    """Compare a chunk from where it was left; False when the time did not suffice to end it."""
    chunk = ports.simulations.chunk(scope, simulation.id, number) or Chunk(number=number, version=0)
    plan = ports.simulations.plan(scope, simulation.id)
    if chunk.done or number >= len(plan):
        return True
    comparison = _comparison(ports, scope, simulation)
    if chunk.tally:
        comparison.resume(chunk.tally)
    rows = ports.simulations.decided_between(scope, plan[number])
    taken = chunk.taken
    while taken < len(rows) and seconds_left() > SPARE_SECONDS:
        events = ports.simulations.decisions(scope, rows[taken : taken + _SLICE])
        for event, opened in zip(events, ports.simulations.opened(scope, events), strict=True):
            comparison.add(event, opened)
        taken += len(rows[taken : taken + _SLICE])
        if get_simulation(ports, scope, simulation.id).state is not SimulationState.RUNNING:
            return True
    ended = taken >= len(rows)
    left = chunk.model_copy(
        update={"taken": taken, "tally": comparison.tally(), "done": ended, "version": chunk.version + 1}
    )
    if ended:
        _count_chunk(ports, scope, simulation.id, left, comparison, now=clock(), req=req)
    elif taken > chunk.taken:
        _keep(ports, scope, simulation.id, left, now=clock(), req=req)
    return ended


def _keep(ports: SimulationPorts, scope: Scope, identity: str, left: Chunk, *, now: datetime, req: str) -> None:
    """Write down what is done of a chunk, unless somebody else has come further."""
    unit = ports.store.unit(scope, actor=WORKER, req=req, now=now)
    unit.replace(ports.simulations.chunk_record(scope, identity, left), expected=left.version - 1)
    try:
        unit.commit()
    except Conflict:
        return


def _count_chunk(
    ports: SimulationPorts,
    scope: Scope,
    identity: str,
    chunk: Chunk,
    comparison: Comparison,
    *,
    now: datetime,
    req: str,
) -> None:
    """Record a finished chunk and count it, once; the last one writes the result and ends the simulation."""

    def once() -> None:
        known = ports.simulations.chunk(scope, identity, chunk.number)
        simulation = get_simulation(ports, scope, identity)
        if simulation.state is not SimulationState.RUNNING or (known is not None and known.done):
            return
        # Of two workers on one chunk the later one may have begun from less: both tallies are of the whole chunk.
        final = chunk.model_copy(update={"version": (known.version if known is not None else 0) + 1})
        counted = simulation.model_copy(
            update={"chunks_done": simulation.chunks_done + 1, "due_at": to_text(now + STALLED_AFTER), "stalls": 0}
        )
        unit = ports.store.unit(scope, actor=WORKER, req=req, now=now)
        unit.replace(ports.simulations.chunk_record(scope, identity, final), expected=final.version - 1)
        if counted.chunks_done == counted.chunks:
            others = [each for each in ports.simulations.chunks(scope, identity) if each.number != chunk.number]
            result = comparison.result([each.tally for each in (*others, final)])
            unit.create(ports.simulations.result_record(scope, identity, result))
            _finish(ports, scope, unit, counted, SimulationState.SUCCEEDED, now)
        else:
            counted = counted.model_copy(update={"version": simulation.version + 1})
            unit.replace(ports.simulations.simulation_record(scope, counted), expected=simulation.version)
        unit.commit()

    retrying(once, attempts=50)


def resume(ports: SimulationPorts, scope: Scope, identity: str, *, now: datetime) -> str | None:
    """Enqueue what is open of a simulation that has stalled, or give it up; None when there is nothing to do.

    Raises Conflict when it moved on at the same moment.
    """
    simulation = ports.simulations.simulation(scope, identity)
    if simulation is None or simulation.due_at is None or simulation.due_at > to_text(now):
        return None
    unit = ports.store.unit(scope, actor=WORKER, req=identity, now=now)
    if simulation.stalls >= MOST_STALLS:
        _finish(ports, scope, unit, simulation, SimulationState.FAILED, now, problem="stalled")
        unit.commit()
        return "failed"
    later = simulation.model_copy(
        update={
            "stalls": simulation.stalls + 1,
            "due_at": to_text(now + STALLED_AFTER),
            "version": simulation.version + 1,
        }
    )
    unit.replace(ports.simulations.simulation_record(scope, later), expected=simulation.version)
    unit.commit()
    body: dict[str, Any] = {"tenant": scope.tenant, "simulation": identity}
    if simulation.state is SimulationState.QUEUED:
        ports.queues.send(QUEUE, [{**body, "chunk": None}])
    else:
        done = {chunk.number for chunk in ports.simulations.chunks(scope, identity) if chunk.done}
        ports.queues.send(QUEUE, [{**body, "chunk": n} for n in range(simulation.chunks) if n not in done])
    return "resumed"
