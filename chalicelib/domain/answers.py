"""Answers kept by Idempotency-Key, as values; ``chalicelib.usecases.idempotency`` says how they come and go."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Slot:
    """Where an entry stands: the client, and the route with the hash of the key."""

    client: str
    operation: str


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer as it goes out. ``is_final`` is False for one that asking again may change: it is not kept."""

    status: int
    body: str
    headers: Mapping[str, str] = field(default_factory=dict)
    is_final: bool = True


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of a key. Without an answer it is held until ``until`` (Unix ms, open), with one it is kept so long.

    ``until`` of a held entry names its holder: a later holder has a later one.
    """

    fingerprint: str
    until: int
    answer: Answered | None = None
