"""The state of a log between two runs of its sequencer, and what waits to be entered into it."""

import json
import math
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from chalicelib.domain.audit.merkle import EMPTY_ROOT, Frontier
from chalicelib.domain.audit.record import ENVELOPE, MOST_EVENT_BYTES, BadRecord

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


@dataclass(frozen=True, slots=True)
class WaitingBatch:
    """Events that were entered together and are numbered together; ``ref`` names the batch among its year's."""

    year: str
    ref: str
    events: tuple[Waiting, ...]


class TimeUnavailable(Exception):
    """The authority of time gave no stamp of the note; a later one covers what this one would have."""


class WitnessUnavailable(Exception):
    """The witness gave no answer now; it is asked again for the next note, or for this one by the next run."""


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


def next_batches(batches: Sequence[WaitingBatch]) -> list[WaitingBatch]:
    """Return those of the waiting batches, which are in order of time, that the next transaction takes.

    They are the first ones that fit; one that holds a later event of a stream whose earlier event stays behind stays
    behind as well.
    """
    taken: list[WaitingBatch] = []
    count = total = 0
    for batch in batches:
        count += len(batch.events)
        total += sum(len(event.raw) + ENVELOPE for event in batch.events)
        if taken and (count > MOST_BATCH_ENTRIES or total > MOST_BATCH_BYTES):
            break
        taken.append(batch)
    left = list(batches[len(taken) :])
    while True:
        earliest: dict[str, float] = defaultdict(lambda: math.inf)
        for event in (event for batch in left for event in batch.events):
            earliest[event.stream] = min(earliest[event.stream], event.seq)
        late = [batch for batch in taken if any(event.seq > earliest[event.stream] for event in batch.events)]
        # When each waits for another no order of batches is right; the verifier will say so of the streams.
        if not late or len(late) == len(taken):
            return taken
        taken = [batch for batch in taken if batch not in late]
        left += late
