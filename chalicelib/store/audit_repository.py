"""Waiting events, assigned entries and heads of the audit logs, in the view table.

Under ``T#<tenant>#LOG#<yyyy>``: ``P#<at>#<batch>`` events that were entered together and wait, ``EV#<event id>`` the
permanent marker of each, so that a late redelivery of the stream never enters it twice, ``B#<at>#<batch>`` the numbers
that the batch's events got, ``N#<first number>`` assigned entries until they are in a full bundle, ``HEAD`` the head.
``LOGS`` lists the logs, so that the schedule finds them without a scan. Events and entries are kept many to an item, in
the form of a bundle: that is what lets one transaction number two thousand of them.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pynamodb.exceptions import PutError, TransactWriteError

from chalicelib.domain.audit.log import LogHead, LogName, Waiting, WaitingBatch, waiting_of
from chalicelib.domain.audit.merkle import Frontier
from chalicelib.domain.audit.tiles import TILE_WIDTH, bundle, entries_of
from chalicelib.store.tables import View, connection
from chalicelib.store.unit import MOST_ACTIONS, is_conflict

LOGS = "LOGS"
MOST_ITEM_BYTES = 350_000
"""How many bytes of entries one item holds at most; DynamoDB's limit of an item is 400 KB."""

ROUNDS = 6
"""How often entering starts over after rivals or redeliveries; what is left is reported."""

_WAITING, _NUMBERS, _ENTRIES, _MARKER, _HEAD = "P#", "B#", "N#", "EV#", "HEAD"
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
        return [_log(item.sk, closed=item.s == "closed") for item in found]

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
            groups = list(_groups(left))
            left = [event for group in groups if not self._enter_group(tenant, group) for event in group]
            if not left:
                return []
        return [event.event_id for event in left]

    def waiting(self, log: LogName, limit: int) -> list[WaitingBatch]:
        """Return up to ``limit`` waiting batches of the log by time."""
        found = View.query(_pk(log), View.sk.startswith(_WAITING), consistent_read=True, limit=limit)
        return [
            WaitingBatch(log.year, item.sk.removeprefix(_WAITING), tuple(map(waiting_of, entries_of(item.b))))
            for item in found
        ]

    def settle(self, log: LogName, batches: Sequence[WaitingBatch], numbers: Mapping[str, int]) -> None:
        """Write the numbers of each batch's events, then take it off the waiting list of its year."""
        with View.batch_write() as batch_write:
            for batch in batches:
                body = json.dumps({"log": log.year, "numbers": [numbers[event.event_id] for event in batch.events]})
                batch_write.save(View(_pk(LogName(log.tenant, batch.year)), _NUMBERS + batch.ref, d=body))
        with View.batch_write() as batch_write:
            for batch in batches:
                batch_write.delete(View(_pk(LogName(log.tenant, batch.year)), _WAITING + batch.ref))

    def number_of(self, log: LogName, event_id: str) -> int | None:
        """Return the event's number in this log, or None when it has none there."""
        try:
            marker = View.get(_pk(log), _MARKER + event_id, consistent_read=True)
            body = json.loads(View.get(_pk(log), _NUMBERS + marker.s, consistent_read=True).d)
        except View.DoesNotExist:
            return None
        return int(body["numbers"][int(marker.v)]) if body["log"] == log.year else None

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
        pk = _pk(LogName(tenant, group[0].year))
        ids = hashlib.sha256("|".join(event.event_id for event in group).encode()).hexdigest()
        ref = f"{group[0].at}#{ids[:16]}"
        puts = [_put(pk, _WAITING + ref, {"b": {"B": bundle(event.raw for event in group)}})]
        for place, event in enumerate(group):
            attributes = {"v": {"N": str(place)}, "s": {"S": ref}}
            puts.append(_put(pk, _MARKER + event.event_id, attributes, fresh=True))
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


def _groups(events: Sequence[Waiting]) -> Iterator[list[Waiting]]:
    """Yield events of one year that fit, with their markers, into one transaction and without them into one item."""
    group: list[Waiting] = []
    total = 0
    for event in events:
        fits = len(group) < MOST_ACTIONS - 1 and total + len(event.raw) + 2 <= MOST_ITEM_BYTES
        if group and not (fits and event.year == group[0].year):
            yield group
            group, total = [], 0
        group.append(event)
        total += len(event.raw) + 2
    if group:
        yield group


def _pk(log: LogName) -> str:
    return f"T#{log.tenant}#LOG#{log.year}"


def _log(sk: str, *, closed: bool) -> LogName:
    tenant, year = sk.rsplit("#", 1)
    return LogName(tenant, year, closed)


def _log_sk(log: LogName) -> str:
    return f"{log.tenant}#{log.year}"


def _entries_sk(number: int) -> str:
    return f"{_ENTRIES}{number:012d}"


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
