"""The clock: the machine's own, or in the local cloud one that a person can set, step and speed up."""

import json
from datetime import UTC, datetime
from functools import cache
from typing import Any


def system_now() -> datetime:
    """Return the machine's instant in UTC."""
    return datetime.now(UTC)


def served_now(url: str) -> datetime:
    """Return the instant that the clock service at ``url`` tells: ``{"now": RFC 3339}``. Raises OSError when it is away."""
    from urllib3.exceptions import HTTPError

    try:
        answer = _connections().request("GET", url)
    except HTTPError as error:
        raise ClockAway from error
    return datetime.fromisoformat(json.loads(answer.data)["now"]).astimezone(UTC)


class ClockAway(OSError):
    """The clock service does not answer."""


@cache
def _connections() -> Any:
    """Return the process's kept connections: the clock is asked several times in each invocation."""
    from urllib3 import PoolManager, Timeout

    return PoolManager(timeout=Timeout(5), retries=1)
