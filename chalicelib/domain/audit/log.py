"""The state of a log between two runs of its sequencer, and what waits to be entered into it."""

import json
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from chalicelib.domain.audit.merkle import EMPTY_ROOT, Frontier
from chalicelib.domain.audit.record import MOST_EVENT_BYTES, BadRecord
from chalicelib.domain.audit.tiles import MOST_ENTRY_BYTES, TILE_WIDTH

HEARTBEAT = timedelta(hours=1)
"""How often a log says that it is alive."""

CLOSING = timedelta(hours=1)
"""How long after the end of its year a log is still open for that year's stragglers."""

MOST_BATCH_ENTRIES = 2_048
"""How many entries one transaction assigns at most."""

MOST_BATCH_BYTES = 2_500_000
"""How many bytes one transaction assigns at most: DynamoDB takes 4 MB, and keys and head need room."""


@dataclass(frozen=True, slots=True)
class LogName:
    """A lender's log of a calendar year (UTC); ``closed`` says that nothing is added to it any more."""

    tenant: str
    year: str
    closed: bool = False

    @property
    def prefix(self) -> str:
        """Return the path of the log in the archive, with its slash."""
        return f"{self.tenant}/{self.year}/"

    @property
    def closes_at(self) -> datetime:
        """Return the instant from which the log is closed once nothing waits."""
        return datetime(int(self.year) + 1, 1, 1, tzinfo=UTC) + CLOSING

    def following(self) -> "LogName":
        """Return the log of the next year."""
        return LogName(self.tenant, f"{int(self.year) + 1:04d}")

    def preceding(self) -> "LogName":
        """Return the log of the year before."""
        return LogName(self.tenant, f"{int(self.year) - 1:04d}")


@dataclass(frozen=True, slots=True)
class LogHead:
    """Where a log stands.

    ``assigned`` entries have their numbers; the first ``size`` of them are in tiles, with this ``frontier``; the first
    ``published`` are under a signed note. ``own_seq`` and ``own_prev`` are the end of the log's own stream of events,
    ``beat_at`` is its last heartbeat (RFC 3339), ``keys`` are the ids (hex) of the keys that sign it, and ``halted``
    names the file in which the archive contradicts this head. ``version`` 0 means that there is no head yet.
    """

    log: LogName
    version: int = 0
    assigned: int = 0
    size: int = 0
    published: int = 0
    frontier: Frontier = Frontier()
    own_seq: int = 0
    own_prev: str | None = None
    beat_at: str | None = None
    keys: tuple[str, ...] = ()
    closed: bool = False
    halted: str | None = None

    @property
    def root(self) -> bytes:
        """Return the root over the entries in tiles."""
        return self.frontier.root() if self.size else EMPTY_ROOT


@dataclass(frozen=True, slots=True)
class Waiting:
    """An event on its way into the log: its canonical bytes, and what they say about its place."""

    event_id: str
    at: str
    stream: str
    seq: int
    raw: bytes

    @property
    def year(self) -> str:
        """Return the year whose log the event waits for."""
        return self.at[:4]


def waiting_of(raw: bytes) -> Waiting:
    """Return what waits when an event of these canonical bytes is entered. Raises BadRecord when it can be no entry."""
    if len(raw) > MOST_EVENT_BYTES:
        raise BadRecord(f"an event of {len(raw)} bytes fits into no entry")
    try:
        event = json.loads(raw)
        return Waiting(event["id"], event["at"], event["case"], int(event["case_seq"]), raw)
    except (ValueError, KeyError, TypeError) as error:
        raise BadRecord("the bytes are no event") from error


def in_stream_order(waiting: Iterable[Waiting]) -> list[Waiting]:
    """Return the same events in the same order of time, but each stream's in the order of their numbers.

    Clocks of different machines differ by milliseconds; the numbers within a stream do not.
    """
    told = list(waiting)
    by_stream: dict[str, deque[Waiting]] = defaultdict(deque)
    for event in sorted(told, key=lambda event: event.seq):
        by_stream[event.stream].append(event)
    return [by_stream[event.stream].popleft() for event in told]


def batch_length(sizes: Sequence[int], *, assigned: int, room: int = MOST_BATCH_ENTRIES) -> int:
    """Return how many of the waiting events, whose sizes in bytes are given, the next transaction assigns.

    When some are left for the next one, the batch ends with a full bundle if it can, so that no partial tile is
    written that nobody will ever ask for.
    """
    count, total = 0, 0
    for size in sizes[:room]:
        total += size + (MOST_ENTRY_BYTES - MOST_EVENT_BYTES)
        if total > MOST_BATCH_BYTES:
            break
        count += 1
    if count == len(sizes):
        return count
    aligned = (assigned + count) // TILE_WIDTH * TILE_WIDTH - assigned
    return aligned if aligned > 0 else count
