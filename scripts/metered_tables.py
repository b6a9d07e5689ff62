"""The tables in a file, with what every call of them costs: for measures over more items than an emulator holds.

Holds the items of all tables in one SQLite file, answers the calls that the table models make, and counts the items that
are read and written and their units by DynamoDB's published formulas: a strongly consistent read is one unit each 4 KiB
begun, an eventually consistent one half of it; a query counts the bytes of its page as one item; a write is one unit each
KiB begun of the larger of the item before and after, in a transaction two, a row of the sparse index one to add and one to
take away. Conditions are read by the emulator's own parser. What no formula is stated for is refused.

Items may be laid down many at a time as a pattern (``lay``): the file then keeps for each the key and the pattern's number
alone, and an item is made of its pattern when it is read.
"""

import marshal
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NoReturn
from unittest import mock

from moto.dynamodb.comparisons import get_filter_expression
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from pynamodb.connection import Connection
from pynamodb.exceptions import CancellationReason, VerboseClientError

from chalicelib.domain import keys
from scripts.bench_write_units import KIB, item_bytes

READ_BYTES, PAGE_BYTES = 4 * KIB, KIB * KIB
"""Bytes that a unit reads, and the most that a page of a query holds."""

DIGITS = re.compile(r"\d{32}")
"""What makes the key of an item that was laid down different from its pattern's."""

_KEY = re.compile(
    r"begins_with \((?P<prefix_of>#\w+), (?P<prefix>:\w+)\)"
    r"|(?P<between>#\w+) BETWEEN (?P<low>:\w+) AND (?P<high>:\w+)"
    r"|(?P<name>#\w+) (?P<operator>=|<=|<|>=|>) (?P<value>:\w+)"
)
_CLAUSE = re.compile(r"\b(SET|ADD|REMOVE) (.*?)(?=\b(?:SET|ADD|REMOVE) |$)")

Wire = dict[str, dict[str, Any]]
"""An item as it goes over the wire."""


@dataclass(slots=True)
class Work:
    """Items that were read and written, and their units; ``index_units`` are those of the due index."""

    items_read: int = 0
    items_written: int = 0
    read_units: float = 0.0
    write_units: int = 0
    index_units: int = 0

    def __sub__(self, before: "Work") -> "Work":
        """Return what was done since."""
        return Work(*(getattr(self, each.name) - getattr(before, each.name) for each in fields(self)))

    def copy(self) -> "Work":
        """Return the work so far."""
        return self - Work()


class MeteredTables:
    """Tables whose items have string keys ``pk`` and ``sk``, and a sparse index ``due`` (keys only)."""

    def __init__(self, file: Path) -> None:
        """Make an empty file of tables."""
        self.work = Work()
        self._patterns: list[tuple[str, Wire]] = []
        self._base = sqlite3.connect(file, isolation_level=None)
        self._base.executescript(
            "pragma journal_mode = off; pragma synchronous = off; pragma locking_mode = exclusive;"
            "create table item (tab, pk, sk, size, pattern, body, shard, due, primary key (tab, pk, sk)) without rowid;"
            "create index due on item (tab, shard, due, pk, sk) where shard is not null;"
        )

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    @contextmanager
    def serving(self) -> Iterator["MeteredTables"]:
        """Answer every call of the table models of this process."""

        def call(connection: Connection, operation: str, told: dict[str, Any], *rest: Any) -> Any:
            return self.answer(operation, told)

        with mock.patch.object(Connection, "_make_api_call", call):
            yield self

    def answer(self, operation: str, told: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one call. Raises ValueError for a call that no formula is stated for, and as the service does."""
        match operation:
            case "GetItem":
                found = self._read(told["TableName"], told["Key"], is_consistent=told.get("ConsistentRead", False))
                return {} if found is None else {"Item": found}
            case "BatchGetItem":
                return self._batch_get(told["RequestItems"])
            case "Query":
                return self._query(told)
            case "BatchWriteItem":
                return self._batch_write(told["RequestItems"])
            case "PutItem" | "UpdateItem" | "DeleteItem":
                action = operation.removesuffix("Item")
                if not self._holds(told):
                    _refuse("ConditionalCheckFailedException", operation)
                after = self._apply(action, told, times=1)
                return {"Attributes": after} if told.get("ReturnValues") == "ALL_NEW" else {}
            case "TransactWriteItems":
                return self._transact(told["TransactItems"])
            case _:
                raise ValueError(f"no formula for {operation}")

    # Reading

    def _read(self, table: str, key: Wire, *, is_consistent: bool) -> Wire | None:
        found = self._get(table, key)
        self._count_read(*((1, item_bytes(found)) if found is not None else (0, 0)), is_consistent=is_consistent)
        return found

    def _count_read(self, items: int, size: int, *, is_consistent: bool) -> None:
        units = max(1, -(-size // READ_BYTES))
        self.work.items_read += items
        self.work.read_units += units if is_consistent else units / 2

    def _batch_get(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        answers: dict[str, list[Wire]] = {}
        for table, wanted in asked.items():
            consistent = wanted.get("ConsistentRead", False)
            read = [self._read(table, key, is_consistent=consistent) for key in wanted["Keys"]]
            answers[table] = [item for item in read if item is not None]
        return {"Responses": answers, "UnprocessedKeys": {}}

    def _query(self, told: Mapping[str, Any]) -> dict[str, Any]:
        of_index = told.get("IndexName") is not None
        place, at = ("shard", "due") if of_index else ("pk", "sk")
        where, values = self._conditions(told, place, at)
        order = "asc" if told.get("ScanIndexForward", True) else "desc"
        start = told.get("ExclusiveStartKey")
        if start is not None:
            names = (at, "pk", "sk") if of_index else ("sk",)
            beyond = ">" if order == "asc" else "<"
            where += f" and ({', '.join(names)}) {beyond} ({', '.join('?' * len(names))})"
            values += [start[{"due": "due_at"}.get(name, name)]["S"] for name in names]
        rows = self._base.execute(
            f"select pk, sk, pattern, body, shard, due from item where tab = ? and {where}"
            f" order by {at} {order}, pk {order}, sk {order} limit ?",
            [told["TableName"], *values, told.get("Limit", -1)],
        )
        items: list[Wire] = []
        size, is_whole = 0, True
        for pk, sk, pattern, body, shard, due in rows:
            item = (
                {"pk": {"S": pk}, "sk": {"S": sk}, "due_shard": {"S": shard}, "due_at": {"S": due}}
                if of_index
                else self._made(pk, sk, pattern, body, shard)
            )
            items.append(item)
            size += item_bytes(item)
            if size >= PAGE_BYTES:
                is_whole = False
                break
        self._count_read(len(items), size, is_consistent=told.get("ConsistentRead", False))
        passed = [item for item in items if _passes(item, told, "FilterExpression")]
        answer: dict[str, Any] = {"Items": passed, "Count": len(passed), "ScannedCount": len(items)}
        if items and (not is_whole or len(items) == told.get("Limit")):
            kept = ("pk", "sk", "due_shard", "due_at") if of_index else ("pk", "sk")
            answer["LastEvaluatedKey"] = {name: items[-1][name] for name in kept}
        return answer

    def _conditions(self, told: Mapping[str, Any], place: str, at: str) -> tuple[str, list[str]]:
        """Return the key condition as SQL over the columns of the partition and the range."""
        columns = {"pk": "pk", "sk": "sk", "due_shard": "shard", "due_at": "due"}
        names, values = told["ExpressionAttributeNames"], told["ExpressionAttributeValues"]
        parts: list[str] = []
        given: list[str] = []
        for found in _KEY.finditer(told["KeyConditionExpression"]):
            if found["prefix"]:
                parts.append(f"{columns[names[found['prefix_of']]]} >= ? and {at} < ?")
                prefix = values[found["prefix"]]["S"]
                given += [prefix, f"{prefix}\U0010ffff"]
            elif found["between"]:
                parts.append(f"{columns[names[found['between']]]} between ? and ?")
                given += [values[found["low"]]["S"], values[found["high"]]["S"]]
            else:
                parts.append(f"{columns[names[found['name']]]} {found['operator']} ?")
                given.append(values[found["value"]]["S"])
        if not parts or not parts[0].startswith(f"{place} ="):
            raise ValueError(f"no formula for {told['KeyConditionExpression']}")
        return " and ".join(parts), given

    def _get(self, table: str, key: Wire) -> Wire | None:
        pk, sk = key["pk"]["S"], key["sk"]["S"]
        row = self._base.execute(
            "select pattern, body, shard from item where tab = ? and pk = ? and sk = ?", (table, pk, sk)
        ).fetchone()
        return None if row is None else self._made(pk, sk, *row)

    def _made(self, pk: str, sk: str, pattern: int | None, body: bytes, shard: str | None) -> Wire:
        if pattern is None:
            return dict(marshal.loads(body))
        digits, item = self._patterns[pattern]
        mine = DIGITS.search(f"{pk} {sk}")
        if mine is None:
            raise ValueError(f"{pk} {sk} was not laid down")
        made = {name: _with(value, digits, mine[0]) for name, value in item.items()}
        return made | ({} if shard is None else {"due_shard": {"S": shard}})

    # Writing

    def _batch_write(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        for table, requests in asked.items():
            for request in requests:
                ((kind, told),) = request.items()
                self._apply(kind.removesuffix("Request"), {"TableName": table, **told}, times=1)
        return {"UnprocessedItems": {}}

    def _transact(self, actions: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        told = [next(iter(action.items())) for action in actions]
        held = [self._holds(action) for _, action in told]
        if not all(held):
            reasons = [None if each else CancellationReason("ConditionalCheckFailed") for each in held]
            _refuse("TransactionCanceledException", "TransactWriteItems", reasons)
        for kind, action in told:
            if kind == "ConditionCheck":
                found = self._get(action["TableName"], action["Key"])
                self._count_write(0 if found is None else item_bytes(found), times=2)
            else:
                self._apply(kind, action, times=2)
        return {}

    def _holds(self, action: Mapping[str, Any]) -> bool:
        item = self._get(action["TableName"], action.get("Key") or action["Item"]) or {}
        return _passes(item, action, "ConditionExpression")

    def _apply(self, kind: str, action: Mapping[str, Any], *, times: int) -> Wire | None:
        table, key = action["TableName"], action.get("Key") or action["Item"]
        before = self._get(table, key)
        match kind:
            case "Put":
                after: Wire | None = dict(action["Item"])
            case "Delete":
                after = None
            case "Update":
                after = _updated(before or dict(key), action)
            case _:
                raise ValueError(f"no formula for {kind}")
        self._count_write(max(0 if item is None else item_bytes(item) for item in (before, after)), times=times)
        dues = [item and (item.get("due_shard"), item.get("due_at")) for item in (before, after)]
        if dues[0] != dues[1]:
            self.work.index_units += sum(bool(each and each[0]) for each in dues)
        self._put(table, key, after)
        return after

    def _count_write(self, size: int, *, times: int) -> None:
        self.work.items_written += 1
        self.work.write_units += times * max(1, -(-size // KIB))

    def _put(self, table: str, key: Wire, item: Wire | None) -> None:
        pk, sk = key["pk"]["S"], key["sk"]["S"]
        if item is None:
            self._base.execute("delete from item where tab = ? and pk = ? and sk = ?", (table, pk, sk))
            return
        due = [item[name]["S"] if name in item else None for name in ("due_shard", "due_at")]
        row = (table, pk, sk, item_bytes(item), None, marshal.dumps(_sent(item)), *due)
        self._base.execute("insert or replace into item values (?, ?, ?, ?, ?, ?, ?, ?)", row)

    # Laying down

    def count(self) -> int:
        """Return how many items stand in all tables."""
        return int(self._base.execute("select count(*) from item").fetchone()[0])

    def items(self) -> Iterator[tuple[str, Wire]]:
        """Yield every item with its table, in the order of keys, uncounted."""
        rows = self._base.execute("select tab, pk, sk, pattern, body, shard from item order by tab, pk, sk").fetchall()
        for table, *row in rows:
            yield table, self._made(*row)

    def put(self, table: str, item: Wire) -> None:
        """Put an item, uncounted."""
        self._put(table, item, item)

    def leave_due(self, table: str, kind: str, until: str) -> None:
        """Take the items with such a word in their key out of the due index, up to an instant (closed), uncounted."""
        for shard in map(str, range(keys.DUE_SHARDS)):
            self._base.execute(
                "update item set shard = null, due = null where tab = ? and shard = ? and due <= ? and instr(pk, ?)",
                (table, shard, until, kind),
            )

    def others(self, numbers: Iterable[tuple[str, str]]) -> None:
        """State the numbers of 32 digits for which ``lay`` puts items, each with its shard of the due index."""
        self._base.executescript("drop table if exists other; create temp table other (digits, shard);")
        self._base.executemany("insert into other values (?, ?)", numbers)

    def lay(self, table: str, pattern: Wire, digits: str) -> None:
        """Put an item like the pattern for each of the ``others``, whose number stands in the place of ``digits``.

        The key must hold the digits. An item goes to its number's shard of the due index where the pattern is in that index.
        """
        number, size = len(self._patterns), item_bytes(pattern)
        self._patterns.append((digits, pattern))
        pk, sk = pattern["pk"]["S"], pattern["sk"]["S"]
        if digits not in f"{pk} {sk}":
            raise ValueError(f"{pk} {sk} has no number to change")
        due = pattern["due_at"]["S"] if "due_at" in pattern else None
        self._base.execute(
            "insert into item select ?1, replace(?2, ?3, digits), replace(?4, ?3, digits), ?5, ?6, null,"
            " case when ?7 is not null then shard end, ?7 from other",
            (table, pk, digits, sk, size, number, due),
        )


def _passes(item: Wire, told: Mapping[str, Any], name: str) -> bool:
    """Tell whether an item satisfies the call's expression of that name, if it has one."""
    if told.get(name) is None:
        return True
    asked = get_filter_expression(
        told[name], told.get("ExpressionAttributeNames"), told.get("ExpressionAttributeValues")
    )
    return bool(asked.expr(Item(DynamoType({"S": ""}), DynamoType({"S": ""}), item)))


def _sent(item: Wire) -> Wire:
    """Return the item as it arrives: members of an enumeration are the strings that they are."""
    return {name: {"S": str(value["S"])} if "S" in value else value for name, value in item.items()}


def _with(value: dict[str, Any], digits: str, mine: str) -> dict[str, Any]:
    return {"S": value["S"].replace(digits, mine)} if "S" in value else value


def _updated(item: Wire, action: Mapping[str, Any]) -> Wire:
    """Return the item after an update that sets, adds numbers to, or removes attributes of the first level."""
    names, values = action.get("ExpressionAttributeNames", {}), action.get("ExpressionAttributeValues", {})
    after = dict(item)
    for kind, clauses in _CLAUSE.findall(action["UpdateExpression"]):
        for clause in clauses.split(","):
            name, *operands = clause.split()
            match kind, operands:
                case "SET", ["=", value]:
                    after[names[name]] = values[value]
                case "ADD", [value]:
                    total = int(after.get(names[name], {"N": "0"})["N"]) + int(values[value]["N"])
                    after[names[name]] = {"N": str(total)}
                case "REMOVE", []:
                    after.pop(names[name], None)
                case _:
                    raise ValueError(f"no formula for {action['UpdateExpression']}")
    return after


def _refuse(code: str, operation: str, reasons: list[CancellationReason | None] | None = None) -> NoReturn:
    raise VerboseClientError(
        {"Error": {"Code": code, "Message": "a condition does not hold"}},
        operation,
        {"request_id": "", "table_name": ""},
        cancellation_reasons=reasons or [],
    )
