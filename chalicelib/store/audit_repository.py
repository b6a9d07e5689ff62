"""Waiting events, assigned entries and heads of the audit logs, in the view table.

Under ``T#<tenant>#LOG#<yyyy>``: ``P#<at>#<seq>#<event id>`` an event that waits (its canonical bytes), ``EV#<event id>``
its permanent marker, so that a late redelivery of the stream never enters it twice, ``N#<first number>`` assigned
entries until they are in a full bundle, ``HEAD`` the head. ``LOGS`` lists the logs, so that the schedule finds them
without a scan. Entries are kept up to 256 together, in the form of a bundle: one item of many entries, rather than one
each, is what lets a transaction number two thousand events.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pynamodb.exceptions import PutError, TransactWriteError

from chalicelib.domain.audit.log import LogHead, LogName, Waiting, waiting_of
from chalicelib.domain.audit.merkle import Frontier
from chalicelib.domain.audit.tiles import TILE_WIDTH, bundle, entries_of
from chalicelib.store.tables import View, connection
from chalicelib.store.unit import MOST_ACTIONS, is_conflict

LOGS = "LOGS"
MOST_ITEM_BYTES = 350_000
"""How many bytes of entries one item holds at most; DynamoDB's limit of an item is 400 KB."""

ROUNDS = 6
"""How often entering starts over after rivals or redeliveries; what is left is reported."""

_WAITING, _ENTRIES, _MARKER, _HEAD = "P#", "N#", "EV#", "HEAD"
_BATCH_GET = 100


class AuditViews:
    """Implements ``AuditRepository`` over the view table."""

    def __init__(self) -> None:
        """Start without any log known to be listed."""
        self._listed: set[tuple[str, str]] = set()

    # Logs

    def logs(self) -> list[LogName]:
        """Return every log that was ever begun."""
        found = View.query(LOGS, consistent_read=True)
        named = [(*item.sk.rsplit("#", 1), item.s == "closed") for item in found]
        return [LogName(tenant, year, closed) for tenant, year, closed in named]

    def begin(self, log: LogName) -> None:
        """List the log, unless it is."""
        if (log.tenant, log.year) in self._listed:
            return
        try:
            View(LOGS, _log_sk(log)).save(condition=View.pk.does_not_exist())
        except PutError as error:
            if error.cause_response_code != "ConditionalCheckFailedException":
                raise
        self._listed.add((log.tenant, log.year))

    def close(self, log: LogName) -> None:
        """Mark the log as closed."""
        View(LOGS, _log_sk(log), s="closed").save()

    # Waiting events

    def enter(self, tenant: str, waiting: Sequence[Waiting]) -> list[str]:
        """Enter the events that have no marker yet, each with its marker in one transaction.

        Returns the ids of those that rivals kept from being entered; entering again is harmless.
        """
        for year in dict.fromkeys(event.year for event in waiting):
            # Before the first event: a log that nobody lists would never be looked at.
            self.begin(LogName(tenant, year))
        left = list({(event.year, event.event_id): event for event in waiting}.values())
        for attempt in range(ROUNDS):
            if attempt:
                left = self._unmarked(tenant, left)
            groups = [left[start : start + MOST_ACTIONS // 2] for start in range(0, len(left), MOST_ACTIONS // 2)]
            left = [event for group in groups if not self._enter_group(tenant, group) for event in group]
            if not left:
                return []
        return [event.event_id for event in left]

    def waiting(self, log: LogName, limit: int) -> list[Waiting]:
        """Return up to ``limit`` waiting events of the log by time."""
        found = View.query(_pk(log), View.sk.startswith(_WAITING), consistent_read=True, limit=limit)
        return [waiting_of(item.b) for item in found]

    def settle(self, log: LogName, assigned: Sequence[tuple[Waiting, int]]) -> None:
        """Take the events off the waiting list of their year and write their numbers into their markers."""
        with View.batch_write() as batch:
            for event, number in assigned:
                pk = _pk(LogName(log.tenant, event.year))
                batch.save(View(pk, _MARKER + event.event_id, v=number, s=log.year))
                batch.delete(View(pk, _waiting_sk(event)))

    def number_of(self, log: LogName, event_id: str) -> int | None:
        """Return the event's number in this log, or None when it has none there."""
        try:
            marker = View.get(_pk(log), _MARKER + event_id, consistent_read=True)
        except View.DoesNotExist:
            return None
        return int(marker.v) if marker.v is not None and marker.s == log.year else None

    # Heads and entries

    def head(self, log: LogName) -> LogHead:
        """Return the log's head, or one of version 0."""
        try:
            item = View.get(_pk(log), _HEAD, consistent_read=True)
        except View.DoesNotExist:
            return LogHead(log)
        return _head(log, int(item.v), json.loads(item.d))

    def assign(self, head: LogHead, first: int, entries: Sequence[bytes]) -> bool:
        """Put the head and the entries in one transaction, if nobody moved the head; False when somebody did."""
        puts = [_head_put(head)]
        for start, chunk in chunks(first, entries):
            puts.append(_put(_pk(head.log), _entries_sk(start), {"b": {"B": bundle(chunk)}}, fresh=True))
        return _committed(puts)

    def entries(self, log: LogName, first: int, end: int) -> list[bytes]:
        """Return the assigned entries [first, end). ``first`` must be a multiple of 256; chunks never span bundles."""
        condition = View.sk.between(_entries_sk(first), _entries_sk(end - 1))
        found = View.query(_pk(log), condition, consistent_read=True)
        return [entry for item in found for entry in entries_of(item.b)]

    def advance(self, head: LogHead) -> bool:
        """Put the head if nobody moved it; False when somebody did."""
        return _committed([_head_put(head)])

    def forget(self, log: LogName, below: int) -> None:
        """Delete the entries below ``below``, those too that an earlier run left behind."""
        if not below:
            return
        condition = View.sk.between(_entries_sk(0), _entries_sk(below - 1))
        done = list(View.query(_pk(log), condition, attributes_to_get=["pk", "sk"]))
        with View.batch_write() as batch:
            for item in done:
                batch.delete(item)

    # Machinery

    def _enter_group(self, tenant: str, group: Sequence[Waiting]) -> bool:
        puts = []
        for event in group:
            pk = _pk(LogName(tenant, event.year))
            puts.append(_put(pk, _MARKER + event.event_id, {}, fresh=True))
            puts.append(_put(pk, _waiting_sk(event), {"b": {"B": event.raw}}))
        return _committed(puts)

    def _unmarked(self, tenant: str, events: Sequence[Waiting]) -> list[Waiting]:
        wanted = [(_pk(LogName(tenant, event.year)), _MARKER + event.event_id) for event in events]
        marked = {(item.pk, item.sk) for item in _batch_get(wanted)}
        return [event for event, key in zip(events, wanted, strict=True) if key not in marked]


def chunks(first: int, entries: Sequence[bytes]) -> Iterator[tuple[int, Sequence[bytes]]]:
    """Yield (number of the first, entries) in runs that fit into an item and lie within one bundle."""
    start, total = 0, 0
    for place, entry in enumerate(entries):
        number = first + place
        if place > start and (number % TILE_WIDTH == 0 or total + len(entry) + 2 > MOST_ITEM_BYTES):
            yield first + start, entries[start:place]
            start, total = place, 0
        total += len(entry) + 2
    if entries:
        yield first + start, entries[start:]


def _pk(log: LogName) -> str:
    return f"T#{log.tenant}#LOG#{log.year}"


def _log_sk(log: LogName) -> str:
    return f"{log.tenant}#{log.year}"


def _entries_sk(number: int) -> str:
    return f"{_ENTRIES}{number:012d}"


def _waiting_sk(event: Waiting) -> str:
    return f"{_WAITING}{event.at}#{event.seq:08d}#{event.event_id}"


def _head_put(head: LogHead) -> dict[str, Any]:
    body = {
        "assigned": head.assigned,
        "size": head.size,
        "published": head.published,
        "root": head.root.hex(),
        "frontier": [node.hex() for node in head.frontier.hashes],
        "own_seq": head.own_seq,
        "own_prev": head.own_prev,
        "beat_at": head.beat_at,
        "keys": list(head.keys),
        "closed": head.closed,
        "halted": head.halted,
    }
    attributes = {"v": {"N": str(head.version)}, "d": {"S": json.dumps(body, separators=(",", ":"))}}
    return _put(_pk(head.log), _HEAD, attributes, fresh=head.version == 1, expected=head.version - 1)


def _head(log: LogName, version: int, body: Mapping[str, Any]) -> LogHead:
    head = LogHead(
        log,
        version=version,
        assigned=body["assigned"],
        size=body["size"],
        published=body["published"],
        frontier=Frontier(body["size"], tuple(bytes.fromhex(node) for node in body["frontier"])),
        own_seq=body["own_seq"],
        own_prev=body["own_prev"],
        beat_at=body["beat_at"],
        keys=tuple(body["keys"]),
        closed=body["closed"],
        halted=body["halted"],
    )
    if head.root.hex() != body["root"]:
        raise ValueError(f"the head of log {log.prefix} has another root than its frontier")
    return head


def _put(
    pk: str, sk: str, attributes: Mapping[str, Any], *, fresh: bool = False, expected: int | None = None
) -> dict[str, Any]:
    """Return a Put of an item: of a ``fresh`` one, of one whose version is ``expected``, or of whatever stands there."""
    action: dict[str, Any] = {
        "TableName": View.Meta.table_name,
        "Item": {"pk": {"S": pk}, "sk": {"S": sk}, **attributes},
    }
    if fresh:
        action["ConditionExpression"] = "attribute_not_exists(pk)"
    elif expected is not None:
        action["ConditionExpression"] = "v = :expected"
        action["ExpressionAttributeValues"] = {":expected": {"N": str(expected)}}
    return action


def _committed(puts: Sequence[dict[str, Any]]) -> bool:
    """Write the items in one transaction; False when a condition or a rival kept all of them from being written."""
    try:
        connection(View.Meta.region).transact_write_items([], [], puts, [])
    except TransactWriteError as error:
        if is_conflict(error):
            return False
        raise
    return True


def _batch_get(wanted: Sequence[tuple[str, str]]) -> Iterable[View]:
    for start in range(0, len(wanted), _BATCH_GET):
        yield from View.batch_get(wanted[start : start + _BATCH_GET], consistent_read=True)
