"""Simulations in the main table, and the index by which recorded decisions and simulations are found, in the view table.

- ``T#<lender>#SIM#<id>`` | ``SIMULATION``, ``WISH``, ``PLAN``, ``CHUNK#<nnnnn>``, ``RESULT`` (record table)
- ``T#<lender>#DECIDED#<day>`` | ``<at>#<case>#<8 digits>``: that this event of the case's stream decided a contact on
  that UTC day; keys only, ttl 400 days (view table)
- ``T#<lender>#SIMS`` | ``<requested at>#<id>``: a simulation (view table)
"""

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from cryptography.exceptions import InvalidTag
from pydantic import BaseModel

from chalicelib.domain import keys
from chalicelib.domain.errors import PersonErased
from chalicelib.domain.events import Event, EventType
from chalicelib.domain.whatif.simulation import Chunk, Planned, Simulation
from chalicelib.store.repository import Scope, Store, event_of
from chalicelib.store.sealing import EVIDENCE, KeyMissing
from chalicelib.store.tables import Record, View

_Model = TypeVar("_Model", bound=BaseModel)
_BATCH_GET = 100
_KEPT_SECONDS = 400 * 86_400


class SimulationRepository:
    """What simulations need beside ``Store``."""

    def __init__(self, store: Store, *, audit_domain: str) -> None:
        """Take the repository whose sealer opens dossiers, and the domain of the logs that they are bound to."""
        self._store = store
        self._audit_domain = audit_domain

    # The index

    def enter(self, events: Iterable[Event]) -> None:
        """Enter decisions and requested simulations into the index; entering one again changes nothing."""
        with View.batch_write() as batch:
            for event in events:
                if event.type is EventType.CONTACT_DECIDED:
                    ends = int(datetime.fromisoformat(event.at).timestamp()) + _KEPT_SECONDS
                    pk = keys.decided_pk(event.tenant, event.at[:10])
                    batch.save(View(pk, keys.decided_sk(event.at, event.stream, event.seq), ttl=ends))
                elif event.type is EventType.SIMULATION_REQUESTED:
                    batch.save(View(keys.simulations_pk(event.tenant), f"{event.at}#{event.stream}"))

    def decided_on(self, scope: Scope, day: str) -> list[str]:
        """Return the index rows of a UTC day in order of time."""
        return [row.sk for row in View.query(keys.decided_pk(scope.tenant, day), attributes_to_get=["sk"])]

    def decided_between(self, scope: Scope, planned: Planned) -> list[str]:
        """Return the index rows of a planned chunk in order of time."""
        pk = keys.decided_pk(scope.tenant, planned.day)
        found = View.query(pk, View.sk.between(planned.first, planned.last), attributes_to_get=["sk"])
        return [row.sk for row in found]

    def listed(self, scope: Scope, *, before: str | None, limit: int) -> list[tuple[str, str]]:
        """Return up to ``limit`` (row, id) of the lender's simulations, newest first, those before a row."""
        condition = View.sk < before if before is not None else None
        found = View.query(keys.simulations_pk(scope.tenant), condition, scan_index_forward=False, limit=limit)
        return [(row.sk, row.sk.rsplit("#", 1)[1]) for row in found]

    # Recorded decisions

    def decisions(self, scope: Scope, rows: Sequence[str]) -> list[Event]:
        """Return the events of index rows, in their order; a row whose event is not there is left out."""
        wanted = {keys.decided_event(scope.tenant, row): row for row in rows}
        found: dict[str, Event] = {}
        listed = list(wanted)
        for start in range(0, len(listed), _BATCH_GET):
            for item in Record.batch_get(listed[start : start + _BATCH_GET], consistent_read=True):
                found[wanted[item.pk, item.sk]] = event_of(item.e, tenant=scope.tenant)
        return [found[row] for row in rows if row in found]

    def opened(self, scope: Scope, events: Sequence[Event]) -> list[Mapping[str, Any] | str]:
        """Return, for each event, its dossier and ruling; or ``erased``, or ``not_replayable`` when it does not open."""
        self._store.sealer.load_subjects(scope.tenant, {event.key for event in events if event.key is not None})
        return [self._opened(scope, event) for event in events]

    def _opened(self, scope: Scope, event: Event) -> Mapping[str, Any] | str:
        if event.sealed is None or event.key is None:
            return "not_replayable"
        origin = keys.origin(self._audit_domain, scope.tenant, event.at[:4])
        aad = keys.event_aad(origin, event.id, event.type.value)
        try:
            raw = self._store.sealer.open(scope.tenant, event.key, EVIDENCE, keys.from_urlsafe(event.sealed), aad=aad)
        except PersonErased:
            return "erased"
        except (KeyMissing, InvalidTag):
            return "not_replayable"
        plain: Mapping[str, Any] = json.loads(raw)
        return plain

    # Jobs

    def simulation(self, scope: Scope, simulation: str) -> Simulation | None:
        """Return the simulation by a strongly consistent read, or None."""
        return _read(keys.simulation_pk(scope.tenant, simulation), "SIMULATION", Simulation)

    def simulations(self, scope: Scope, simulations: Sequence[str]) -> dict[str, Simulation]:
        """Return those simulations that exist, by id."""
        found: dict[str, Simulation] = {}
        for start in range(0, len(simulations), _BATCH_GET):
            wanted = [
                (keys.simulation_pk(scope.tenant, each), "SIMULATION")
                for each in simulations[start : start + _BATCH_GET]
            ]
            for item in Record.batch_get(wanted, consistent_read=True):
                known = _body(item, Simulation)
                found[known.id] = known
        return found

    def simulation_record(self, scope: Scope, simulation: Simulation) -> Record:
        """Return the record of the simulation as ``simulation.version``."""
        pk = keys.simulation_pk(scope.tenant, simulation.id)
        record = _record(pk, "SIMULATION", simulation.model_dump_json(exclude={"version"}), simulation.version)
        record.s = simulation.state.value
        if simulation.due_at is not None:
            record.due_shard, record.due_at = keys.due_shard(simulation.id), simulation.due_at
        return record

    def wish(self, scope: Scope, simulation: str) -> str:
        """Return the wish as JSON. Raises LookupError without one."""
        return self._text(scope, simulation, "WISH")

    def wish_record(self, scope: Scope, simulation: str, wish: str) -> Record:
        """Return the record of a wish. Raises ValueError when it is too large for an item."""
        record = _record(keys.simulation_pk(scope.tenant, simulation), "WISH", wish, 1)
        if len(record.b) > MOST_ITEM_BYTES:
            raise ValueError("the wish does not fit into an item")
        return record

    def plan(self, scope: Scope, simulation: str) -> list[Planned]:
        """Return the chunks of the plan in order. Raises LookupError without one."""
        return [Planned.model_validate(each) for each in json.loads(self._text(scope, simulation, "PLAN"))]

    def plan_record(self, scope: Scope, simulation: str, plan: Sequence[Planned]) -> Record:
        """Return the record of a plan."""
        text = json.dumps([each.model_dump() for each in plan], separators=(",", ":"))
        return _record(keys.simulation_pk(scope.tenant, simulation), "PLAN", text, 1)

    def chunk(self, scope: Scope, simulation: str, number: int) -> Chunk | None:
        """Return what is done of a chunk, or None when nothing is."""
        return _read(keys.simulation_pk(scope.tenant, simulation), keys.chunk_sk(number), Chunk)

    def chunk_record(self, scope: Scope, simulation: str, chunk: Chunk) -> Record:
        """Return the record of a chunk as ``chunk.version``."""
        pk = keys.simulation_pk(scope.tenant, simulation)
        return _record(pk, keys.chunk_sk(chunk.number), chunk.model_dump_json(exclude={"version"}), chunk.version)

    def chunks(self, scope: Scope, simulation: str) -> list[Chunk]:
        """Return every chunk of which something is done, in order."""
        pk = keys.simulation_pk(scope.tenant, simulation)
        return [_body(item, Chunk) for item in Record.query(pk, Record.sk.startswith("CHUNK#"), consistent_read=True)]

    def result(self, scope: Scope, simulation: str) -> Mapping[str, Any] | None:
        """Return the result, or None while there is none."""
        try:
            found: Mapping[str, Any] = json.loads(self._text(scope, simulation, "RESULT"))
        except LookupError:
            return None
        return found

    def result_record(self, scope: Scope, simulation: str, result: Mapping[str, Any]) -> Record:
        """Return the record of a result."""
        text = json.dumps(result, ensure_ascii=False, separators=(",", ":"))
        return _record(keys.simulation_pk(scope.tenant, simulation), "RESULT", text, 1)

    def _text(self, scope: Scope, simulation: str, sk: str) -> str:
        try:
            item = Record.get(keys.simulation_pk(scope.tenant, simulation), sk, consistent_read=True)
        except Record.DoesNotExist as error:
            raise LookupError(f"simulation {simulation} has no {sk}") from error
        return zlib.decompress(item.b).decode()


MOST_ITEM_BYTES = 350_000
"""Compressed bytes of one item's body; DynamoDB takes 400 KB in all."""


def _record(pk: str, sk: str, body: str, version: int) -> Record:
    return Record(pk, sk, v=version, b=zlib.compress(body.encode(), 6))


def _body(item: Record, model: type[_Model]) -> _Model:
    return model.model_validate({**json.loads(zlib.decompress(item.b)), "version": item.v})


def _read(pk: str, sk: str, model: type[_Model]) -> _Model | None:
    try:
        return _body(Record.get(pk, sk, consistent_read=True), model)
    except Record.DoesNotExist:
        return None
