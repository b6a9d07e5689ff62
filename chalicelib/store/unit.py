"""The unit of work: new state, its events and every condition in one TransactWriteItems."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pynamodb.exceptions import TransactWriteError
from pynamodb.expressions.condition import Condition
from pynamodb.transactions import TransactWrite

from chalicelib.domain import keys
from chalicelib.domain.concurrency import Conflict
from chalicelib.domain.events import MOST_BYTES, Actor, Event, EventTooLarge, EventType
from chalicelib.domain.ids import new_id
from chalicelib.domain.instants import epoch_ms, to_text
from chalicelib.store.packing import pack, unpack
from chalicelib.store.sealing import EVIDENCE, Sealer, Write
from chalicelib.store.tables import Record, View, connection

MOST_ACTIONS = 100
"""DynamoDB's limit of actions in one transaction."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A sealed payload with the event id it is bound to; ``digest`` is the SHA-256 (hex) of the sealed bytes."""

    event_id: str
    subject: str
    sealed: str
    digest: str


class Unit:
    """Collects the writes of one command and commits them together, or not at all."""

    def __init__(
        self, tenant: str, *, sealer: Sealer, actor: Actor, req: str, now: datetime, audit_domain: str
    ) -> None:
        """Start an empty unit of the lender ``tenant`` on behalf of ``actor`` in request ``req`` at ``now``."""
        self.tenant = tenant
        self.now = now
        self.actor = actor
        self.req = req
        self._sealer = sealer
        self._audit_domain = audit_domain
        self._puts: list[tuple[Record | View, Condition | None]] = []
        self._checks: list[tuple[str, str, Condition]] = []
        self._drops: list[View] = []
        self._shreds: dict[str, list[Write]] = {}
        self._heads: dict[str, tuple[int, str | None]] = {}
        self._streams: set[str] = set()
        self.events: list[Event] = []

    @property
    def size(self) -> int:
        """Return the number of actions so far; at most 100 go into one transaction."""
        shreds = sum(len(writes) for writes in self._shreds.values())
        return len(self._puts) + len(self._checks) + len(self._drops) + shreds

    def create(self, record: Record) -> None:
        """Put a record that must not exist yet."""
        self._puts.append((record, Record.pk.does_not_exist()))

    def replace(self, record: Record, *, expected: int) -> None:
        """Put a record over the one whose version is ``expected``; 0 means that there is none."""
        condition = Record.pk.does_not_exist() if expected == 0 else Record.v == expected
        self._puts.append((record, condition))

    def put(self, view: View) -> None:
        """Put the item of a view, whatever was there."""
        self._puts.append((view, None))

    def drop(self, view: View) -> None:
        """Delete the item of a view; one that is not there is no matter."""
        self._drops.append(view)

    def destroy_keys(self, person: str, purposes: Sequence[str]) -> None:
        """Destroy those keys (``ops``, ``evidence``) of the person for good, with everything else or not at all.

        The commit is a conflict when one of them is destroyed already.
        """
        writes = self._sealer.destruction(self.tenant, person, purposes, at=to_text(self.now))
        # The lender's shred generation moves on once a commit: a transaction takes one action an item.
        self._shreds[person] = [write for write in writes if write.condition is not None] if self._shreds else writes

    def writes(self, pk: str, sk: str) -> bool:
        """Tell whether this unit already puts that item (a transaction takes one action an item)."""
        return any(record.pk == pk and record.sk == sk for record, _ in self._puts)

    def watch(self, aggregate_pk: str) -> None:
        """Commit the stream's next event only as the one after the last that is there now.

        Called before an aggregate is read, it makes the commit conditional on all that was read of it: nothing about a
        case changes without an event of its stream. That costs nothing, where a condition on the item costs a write.
        """
        self._head(aggregate_pk)

    def check(self, pk: str, sk: str, condition: Condition) -> None:
        """Commit only if the condition holds on an item that this unit does not write."""
        self._checks.append((pk, sk, condition))

    def check_version(self, pk: str, sk: str, version: int) -> None:
        """Commit only if the item, which this unit does not write, still has this version; 0 means that there is none."""
        self.check(pk, sk, Record.pk.does_not_exist() if version == 0 else Record.v == version)

    def check_stop_epoch(self, person: str, stop_epoch: int) -> None:
        """Commit only if no stop reached the person's contact ledger since it showed ``stop_epoch``."""
        self.check(keys.person_pk(self.tenant, person), "LEDGER", Record.stop_epoch == stop_epoch)

    def prepare(self, event_type: EventType, *, subject: str, secret: Mapping[str, Any]) -> Prepared:
        """Seal a payload for an event to come under the ``evidence`` key of the person ``subject``."""
        event_id = new_id("evt", epoch_ms=epoch_ms(self.now))
        log_origin = keys.origin(self._audit_domain, self.tenant, to_text(self.now)[:4])
        plain = json.dumps(secret, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()
        aad = keys.event_aad(log_origin, event_id, event_type.value)
        sealed = self._sealer.seal(self.tenant, subject, EVIDENCE, plain, aad=aad)
        return Prepared(event_id, subject, keys.urlsafe(sealed), hashlib.sha256(sealed).hexdigest())

    def emit(
        self,
        aggregate_pk: str,
        event_type: EventType,
        data: Mapping[str, Any],
        *,
        fresh: bool = False,
        decision: Mapping[str, Any] | None = None,
        subject: str | None = None,
        secret: Mapping[str, Any] | None = None,
        prepared: Prepared | None = None,
    ) -> Event:
        """Append an event to the aggregate's stream and return it.

        ``fresh`` says that the stream has no event yet, which saves the read of its head. ``secret`` is sealed under
        the ``evidence`` key of the person ``subject``, bound to the log, the event's id and its type; ``prepared`` is
        a payload sealed before, for events whose open part names the sealed bytes' digest. Raises EventTooLarge for an
        event that the archive could never hold: then nothing of the command is committed.
        """
        seq, prev = (0, None) if fresh and aggregate_pk not in self._heads else self._head(aggregate_pk)
        at = to_text(self.now)
        if secret is not None:
            if subject is None:
                raise ValueError("a sealed payload needs the person whose key seals it")
            prepared = self.prepare(event_type, subject=subject, secret=secret)
        event_id = prepared.event_id if prepared is not None else new_id("evt", epoch_ms=epoch_ms(self.now))
        event = Event(
            id=event_id,
            type=event_type,
            at=at,
            tenant=self.tenant,
            stream=keys.stream_of(aggregate_pk),
            seq=seq + 1,
            prev=prev,
            actor=self.actor,
            req=self.req,
            data=data,
            decision=decision,
            key=prepared.subject if prepared is not None else None,
            sealed=prepared.sealed if prepared is not None else None,
        )
        canonical = event.canonical()
        if len(canonical) > MOST_BYTES:
            raise EventTooLarge(event_type, len(canonical))
        self._heads[aggregate_pk] = (event.seq, event.digest())
        self.events.append(event)
        self._streams.add(aggregate_pk)
        self.create(Record(aggregate_pk, keys.event_sk(event.seq), s=event_type.value, e=pack(canonical)))
        return event

    def load_heads(self, aggregate_pks: Sequence[str]) -> None:
        """Learn the heads of many young streams in few reads: of those that hold one event only.

        The others are read one by one when an event is appended to them.
        """
        wanted = [(pk, keys.event_sk(seq)) for pk in aggregate_pks if pk not in self._heads for seq in (1, 2)]
        first: dict[str, Record] = {}
        longer: set[str] = set()
        for start in range(0, len(wanted), MOST_ACTIONS):
            for item in Record.batch_get(wanted[start : start + MOST_ACTIONS], consistent_read=True):
                if keys.event_seq(item.sk) == 1:
                    first[item.pk] = item
                else:
                    longer.add(item.pk)
        for pk, item in first.items():
            if pk not in longer:
                self._heads[pk] = (1, hashlib.sha256(unpack(item.e)).hexdigest())

    def commit(self) -> None:
        """Write everything in one transaction. Raises Conflict when a condition failed or another writer won."""
        if not self.size:
            return
        if self.size > MOST_ACTIONS:
            raise ValueError(f"{self.size} actions do not fit into one transaction")
        silent = {record.pk for record, _ in self._puts if record.sk == "CASE"} - self._streams
        if silent:
            # Rulings and claims rest on it: see ``watch``.
            raise ValueError(f"a case changes with an event of its stream only: {sorted(map(keys.stream_of, silent))}")
        try:
            with TransactWrite(connection=connection(Record.Meta.region)) as transaction:
                for pk, sk, condition in self._checks:
                    transaction.condition_check(Record, pk, sk, condition=condition)
                for record, put_condition in self._puts:
                    transaction.save(record, condition=put_condition)
                for view in self._drops:
                    transaction.delete(view)
                for write in [write for writes in self._shreds.values() for write in writes]:
                    transaction.update(write.item, actions=list(write.actions), condition=write.condition)
        except TransactWriteError as error:
            if is_conflict(error):
                raise Conflict from error
            raise
        for person in self._shreds:
            self._sealer.forget(self.tenant, person)

    def _head(self, aggregate_pk: str) -> tuple[int, str | None]:
        if aggregate_pk not in self._heads:
            self._heads[aggregate_pk] = stream_head(aggregate_pk)
        return self._heads[aggregate_pk]


def stream_head(aggregate_pk: str) -> tuple[int, str | None]:
    """Return (seq, SHA-256 hex) of the stream's last event by a strongly consistent read; (0, None) when empty."""
    last = next(
        iter(
            Record.query(
                aggregate_pk,
                Record.sk.startswith(keys.EVENT_PREFIX),
                scan_index_forward=False,
                limit=1,
                consistent_read=True,
            )
        ),
        None,
    )
    if last is None:
        return 0, None
    return keys.event_seq(last.sk), hashlib.sha256(unpack(last.e)).hexdigest()


def is_conflict(error: TransactWriteError) -> bool:
    """Tell whether a transaction failed because of conditions or rival writers, which a second run can cure."""
    reasons = {reason.code for reason in error.cancellation_reasons if reason is not None}
    curable = {"ConditionalCheckFailed", "TransactionConflict", "None"}
    if reasons:
        return reasons <= curable
    return error.cause_response_code in ("TransactionConflictException", "TransactionInProgressException")
