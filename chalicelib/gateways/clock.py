"""The clock: the machine's own, or in the local cloud one that a person can set, step and speed up."""

import json
import urllib.request
from datetime import UTC, datetime


def system_now() -> datetime:
    """Return the machine's instant in UTC."""
    return datetime.now(UTC)


def served_now(url: str) -> datetime:
    """Return the instant that the clock service at ``url`` tells: ``{"now": RFC 3339}``. Raises OSError when it is away."""
    # The address comes from the settings and from nowhere else.
    with urllib.request.urlopen(url, timeout=5) as answer:
        return datetime.fromisoformat(json.load(answer)["now"]).astimezone(UTC)
