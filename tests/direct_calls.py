"""Calls of the table models straight into the double, without the HTTP between them.

Nine tenths of what a call of the double takes are signing, writing, routing, reading and writing again of a request that never
leaves the process. Here the same handler of the double is given what it would have read. A call that it refuses is made once more
over the whole way, so that refusals are worded and raised as ever. ``tests/contracts/test_direct_calls.py`` holds both ways against
each other.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import pytest
from moto.core.exceptions import HTTPException, ServiceException
from moto.core.models import botocore_stubber
from moto.core.utils import get_service_model
from moto.dynamodb.models import DynamoDBBackend, dynamodb_backends
from moto.dynamodb.responses import DynamoHandler
from pynamodb.connection.base import Connection

ACTIONS = {
    "BatchGetItem": DynamoHandler.batch_get_item,
    "BatchWriteItem": DynamoHandler.batch_write_item,
    "DeleteItem": DynamoHandler.delete_item,
    "GetItem": DynamoHandler.get_item,
    "PutItem": DynamoHandler.put_item,
    "Query": DynamoHandler.query,
    "Scan": DynamoHandler.scan,
    "TransactGetItems": DynamoHandler.transact_get_items,
    "TransactWriteItems": DynamoHandler.transact_write_items,
    "UpdateItem": DynamoHandler.update_item,
}

_WHOLE_WAY = Connection._make_api_call
_ACCOUNT = "123456789012"


class _Asked(DynamoHandler):
    """The double's handler with a request that is read already."""

    def __init__(self, region: str, body: dict[str, Any]) -> None:
        super().__init__()
        self._tables: DynamoDBBackend = dynamodb_backends[_ACCOUNT][region]
        self.body = body

    @property
    def dynamodb_backend(self) -> DynamoDBBackend:
        return self._tables


def _fresh(told: Any) -> Any:
    """Return a copy that shares nothing that can be changed, as a request and its answer are copies."""
    if isinstance(told, dict):
        return {name: _fresh(value) for name, value in told.items()}
    if isinstance(told, (list, tuple)):
        return [_fresh(value) for value in told]
    return told


@cache
def _members(operation: str) -> frozenset[str]:
    """Return what an answer can hold: the double's own notes stay out of it."""
    return frozenset(get_service_model("dynamodb").operation_model(operation).output_shape.members)


@contextmanager
def whole_way() -> Iterator[None]:
    """Let the table models of this process call over HTTP, as they do in the cloud."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Connection, "_make_api_call", _WHOLE_WAY)
        yield


@contextmanager
def direct() -> Iterator[None]:
    """Let the table models of this process call the double directly, wherever the double is what they would reach."""

    def call(connection: Connection, operation: str, told: dict[str, Any]) -> dict[str, Any]:
        action = ACTIONS.get(operation)
        if action is None or not botocore_stubber.enabled or connection.host is not None:
            return _WHOLE_WAY(connection, operation, told)
        try:
            answer = action(_Asked(connection.region, _fresh(told))).result
        except (ServiceException, HTTPException):
            return _WHOLE_WAY(connection, operation, told)
        members = _members(operation)
        return {name: _fresh(value) for name, value in answer.items() if value is not None and name in members}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Connection, "_make_api_call", call)
        yield
