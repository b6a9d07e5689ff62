"""A store in memory with the same conditions as the real one: versions, stop epochs, dense streams."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chalicelib.domain import keys
from chalicelib.domain.cases.case import Case
from chalicelib.domain.cases.feed import Row, Step
from chalicelib.domain.concurrency import Conflict
from chalicelib.domain.events import Actor, Event, EventType
from chalicelib.domain.house import HouseIndex
from chalicelib.domain.ids import new_id
from chalicelib.domain.instants import epoch_ms, to_text
from chalicelib.domain.litigation.matter import Matter
from chalicelib.domain.people.person import ContactLedger, Person


@dataclass(frozen=True, slots=True)
class Item:
    """A record: where it stands, its version, and its body."""

    pk: str
    sk: str
    version: int
    body: Any


class MemoryStore:
    """Keeps items and streams; ``before_commit`` is called once before the next commit, for a rival to slip in."""

    def __init__(self, *bodies: Any) -> None:
        self.items: dict[tuple[str, str], Item] = {}
        self.streams: dict[str, list[Event]] = {}
        self.before_commit: Callable[[], None] | None = None
        self.conflicts = 0
        for body in bodies:
            item = self._item(body)
            self.items[(item.pk, item.sk)] = item

    def unit(self, scope: Any, *, actor: Actor, req: str, now: datetime) -> "MemoryUnit":
        return MemoryUnit(self, scope.tenant, actor, req, now)

    def lender(self, scope: Any) -> Any:
        return self._body(keys.tenant_pk(scope.tenant), "LENDER")

    def house_index(self, scope: Any) -> HouseIndex:
        return HouseIndex()

    def person(self, scope: Any, person: str) -> Person | None:
        return self._body(keys.person_pk(scope.tenant, person), "PERSON")

    def persons(self, scope: Any, persons: Iterable[str]) -> dict[str, Person]:
        return {name: found for name in persons if (found := self.person(scope, name)) is not None}

    def ledger(self, scope: Any, person: str) -> ContactLedger:
        return self._body(keys.person_pk(scope.tenant, person), "LEDGER") or ContactLedger(person=person)

    def ledgers(self, scope: Any, persons: Iterable[str]) -> dict[str, ContactLedger]:
        return {person: self.ledger(scope, person) for person in persons}

    def case(self, scope: Any, case: str) -> Case | None:
        return self._body(keys.case_pk(scope.tenant, case), "CASE")

    def erased_cases(self, scope: Any, cases: Iterable[str]) -> set[str]:
        return set()

    def attempt(self, scope: Any, message: str) -> Any:
        return self._body(keys.message_pk(scope.tenant, message), "MSG")

    def matter(self, scope: Any, matter: str) -> Matter | None:
        return self._body(keys.matter_pk(scope.tenant, matter), "MATTER")

    def matter_record(self, scope: Any, matter: Matter) -> Item:
        return self._item(matter, scope.tenant)

    def case_record(self, scope: Any, case: Case) -> Item:
        return self._item(case, scope.tenant)

    def person_record(self, scope: Any, person: Person) -> Item:
        return self._item(person, scope.tenant)

    def ledger_record(self, scope: Any, ledger: ContactLedger) -> Item:
        return self._item(ledger, scope.tenant)

    def plain_record(self, pk: str, sk: str, model: Any, *, version: int, state: str | None = None) -> Item:
        return Item(pk, sk, version, model)

    def events(self, scope: Any, aggregate_pk: str) -> list[Event]:
        return list(self.streams.get(aggregate_pk, []))

    def _body(self, pk: str, sk: str) -> Any:
        item = self.items.get((pk, sk))
        return None if item is None else item.body

    def _item(self, body: Any, tenant: str = "auto-fin") -> Item:
        match body:
            case Case():
                return Item(keys.case_pk(tenant, body.id), "CASE", body.version, body)
            case Person():
                return Item(keys.person_pk(tenant, body.id), "PERSON", body.version, body)
            case Matter():
                return Item(keys.matter_pk(tenant, body.id), "MATTER", body.version, body)
            case ContactLedger():
                return Item(keys.person_pk(tenant, body.person), "LEDGER", body.version, body)
            case _:
                return Item(keys.tenant_pk(tenant), "LENDER", body.version, body)


class MemoryUnit:
    """Collects writes and commits them all or none, as ``chalicelib.store.unit.Unit`` does."""

    def __init__(self, store: MemoryStore, tenant: str, actor: Actor, req: str, now: datetime) -> None:
        self._store, self.tenant, self.actor, self.req, self.now = store, tenant, actor, req, now
        self._puts: list[tuple[Item, int]] = []
        self._events: dict[str, list[Event]] = {}
        self._lengths: dict[str, int] = {}

    def create(self, record: Item) -> None:
        self._puts.append((record, 0))

    def replace(self, record: Item, *, expected: int) -> None:
        self._puts.append((record, expected))

    def emit(self, aggregate_pk: str, event_type: EventType, data: Mapping[str, Any], **sealed: Any) -> Event:
        stream = self._store.streams.get(aggregate_pk, [])
        length = self._lengths.setdefault(aggregate_pk, len(stream))
        mine = self._events.setdefault(aggregate_pk, [])
        before = mine[-1] if mine else (stream[length - 1] if length else None)
        event = Event(
            id=new_id("evt", epoch_ms=epoch_ms(self.now)),
            type=event_type,
            at=to_text(self.now),
            tenant=self.tenant,
            stream=keys.stream_of(aggregate_pk),
            seq=length + len(mine) + 1,
            prev=before.digest() if before is not None else None,
            actor=self.actor,
            req=self.req,
            data=dict(data),
        )
        event.canonical()
        mine.append(event)
        return event

    def commit(self) -> None:
        rival, self._store.before_commit = self._store.before_commit, None
        if rival is not None:
            rival()
        for record, expected in self._puts:
            known = self._store.items.get((record.pk, record.sk))
            if (known.version if known is not None else 0) != expected:
                self._store.conflicts += 1
                raise Conflict
        for pk, length in self._lengths.items():
            if len(self._store.streams.get(pk, [])) != length:
                self._store.conflicts += 1
                raise Conflict
        for record, _ in self._puts:
            self._store.items[(record.pk, record.sk)] = record
        for pk, events in self._events.items():
            self._store.streams.setdefault(pk, []).extend(events)


class MemoryFeeds:
    """Feeds, case lists and loads in memory, with the condition on the head that makes a feed free of gaps."""

    def __init__(self) -> None:
        self._entries: dict[str, dict[int, dict[str, Any]]] = {}
        self._heads: dict[str, int] = {}
        self._rows: dict[str, dict[str, Row]] = {}
        self._lender_rows: dict[str, dict[str, Row]] = {}
        self._loads: dict[str, dict[str, int]] = {}
        self._unassigned: dict[str, dict[str, dict[str, Any]]] = {}

    def head(self, org: str) -> int:
        return self._heads.get(org, 0)

    def entries(self, org: str, *, after: int, limit: int) -> list[dict[str, Any]]:
        kept = self._entries.get(org, {})
        return [{"seq": seq, **kept[seq]} for seq in sorted(kept) if seq > after][:limit]

    def append(self, org: str, *, head: int, steps: Iterable[Step], at: datetime) -> int:
        if self.head(org) != head:
            raise Conflict
        for step in steps:
            for entry in step.entries:
                head += 1
                self._entries.setdefault(org, {})[head] = dict(entry)
            self._rows.setdefault(org, {})[step.row.case] = step.row
            if step.released:
                self._loads[step.row.lender][org] -= step.released
        self._heads[org] = head
        return head

    def rows(self, org: str, cases: Iterable[str]) -> dict[str, Row]:
        known = self._rows.get(org, {})
        return {case: known[case] for case in cases if case in known}

    def lender_of(self, org: str, case: str) -> str | None:
        row = self._rows.get(org, {}).get(case)
        return None if row is None else row.lender

    def put_lender_rows(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self._lender_rows.setdefault(row.lender, {})[row.case] = row

    def drop_lender_rows(self, tenant: str, cases: Iterable[str]) -> None:
        for case in cases:
            self._lender_rows.get(tenant, {}).pop(case, None)

    def agency_page(self, org: str, *, after: str | None, limit: int, state: str | None) -> list[Row]:
        live = {case: row for case, row in self._rows.get(org, {}).items() if row.held}
        return self._page(live, after, limit, state)

    def lender_page(self, tenant: str, *, after: str | None, limit: int, state: str | None) -> list[Row]:
        return self._page(self._lender_rows.get(tenant, {}), after, limit, state)

    @staticmethod
    def _page(rows: Mapping[str, Row], after: str | None, limit: int, state: str | None) -> list[Row]:
        wanted = [case for case in sorted(rows) if after is None or case > after]
        return [rows[case] for case in wanted if state in (None, rows[case].state)][:limit]

    def loads(self, tenant: str) -> dict[str, int]:
        return dict(self._loads.get(tenant, {}))

    def set_load(self, tenant: str, org: str, load: int) -> None:
        self._loads.setdefault(tenant, {})[org] = load

    def put_unassigned(self, tenant: str, reasons: Mapping[str, Mapping[str, Any]]) -> None:
        self._unassigned.setdefault(tenant, {}).update({case: dict(reason) for case, reason in reasons.items()})

    def unassigned(self, tenant: str, *, limit: int) -> dict[str, dict[str, Any]]:
        return dict(sorted(self._unassigned.get(tenant, {}).items())[:limit])

    def drop_unassigned(self, tenant: str, cases: Iterable[str]) -> None:
        for case in cases:
            self._unassigned.get(tenant, {}).pop(case, None)
