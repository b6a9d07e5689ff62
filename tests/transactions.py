"""Transactions and queries of the double, without its copies of whole tables.

moto keeps what a failed transaction must leave as it was by copying each table, stream and all, once for every operation that
names it, and sorts each table as a whole for every query: both take the longer the more was ever written. All that a transaction
can change are the items that its operations name and what they add to the streams, and only those are kept here; a query that is
not of an index looks at its partition alone. ``tests/contracts/test_transactions.py`` holds both against moto's own.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import pytest
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.table import Table


class _Kept:
    """One item of a table as it was, and how long the table's stream was."""

    def __init__(self, backend: DynamoDBBackend, table: Table, key: dict[str, Any]) -> None:
        self._table = table
        self._hash, self._range = backend.get_keys_value(table, key)
        self._item = copy.deepcopy(table.get_item(self._hash, self._range))
        self._told = None if table.stream_shard is None else len(table.stream_shard.items)

    def restore(self) -> None:
        """Put the item back, and take back what the stream was told since."""
        items: dict[Any, Any] = self._table.items
        place, at = (items[self._hash], self._range) if self._range is not None else (items, self._hash)
        place.pop(at, None)
        if self._item is not None:
            place[at] = self._item
        if self._range is not None and not place:
            del items[self._hash]
        if self._table.stream_shard is not None:
            del self._table.stream_shard.items[self._told :]


def _kept(backend: DynamoDBBackend, operations: list[dict[str, Any]]) -> Iterator[_Kept]:
    for operation in operations:
        for name, told in operation.items():
            table = backend.tables.get(told.get("TableName"))
            attributes = told.get("Item" if name == "Put" else "Key", {})
            if table is None or not attributes.keys() >= set(filter(None, (table.hash_key_attr, table.range_key_attr))):
                continue
            yield _Kept(backend, table, attributes)


_WHOLE = DynamoDBBackend.transact_write_items
_QUERY, _ALL_ITEMS = Table.query, Table.all_items
_ASKED: ContextVar[tuple[Table, Any] | None] = ContextVar("asked", default=None)
"""The table and the hash key that a query is about; a query of an index looks at all items."""


@contextmanager
def whole_transactions() -> Iterator[None]:
    """Let transactions of every double in this process copy whole tables, as moto has them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DynamoDBBackend, "transact_write_items", _WHOLE)
        patch.setattr(Table, "query", _QUERY)
        patch.setattr(Table, "all_items", _ALL_ITEMS)
        yield


@contextmanager
def swift() -> Iterator[None]:
    """Let transactions of every double in this process keep only what they can change."""

    def transact(backend: DynamoDBBackend, transact_items: list[dict[str, Any]]) -> None:
        kept = list(_kept(backend, transact_items))
        with pytest.MonkeyPatch.context() as patch:
            # Its copy of a table is then the table itself, and what it puts back afterwards changes nothing.
            patch.setattr(Table, "__deepcopy__", lambda table, memo: table, raising=False)
            try:
                _WHOLE(backend, transact_items)
            except Exception:
                for each in reversed(kept):
                    each.restore()
                raise

    def query(table: Table, hash_key: Any, *told: Any, **named: Any) -> Any:
        of_index = named.get("index_name") or (told[6] if len(told) > 6 else None)
        asked = _ASKED.set(None if of_index else (table, hash_key))
        try:
            return _QUERY(table, hash_key, *told, **named)
        finally:
            _ASKED.reset(asked)

    def all_items(table: Table) -> list[Any]:
        asked = _ASKED.get()
        if asked is None or asked[0] is not table or table.range_key_attr is None:
            return _ALL_ITEMS(table)
        return sorted(table.items.get(asked[1], {}).values(), key=lambda item: item.range_key.cast_value)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DynamoDBBackend, "transact_write_items", transact)
        patch.setattr(Table, "query", query)
        patch.setattr(Table, "all_items", all_items)
        yield
