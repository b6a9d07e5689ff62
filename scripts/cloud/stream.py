"""What an event source mapping of a table's stream does with records: order, retries, halving, giving up.

The emulator's own mapping calls a failing batch again for ever and takes a partial failure for success. This one keeps
the contract of AWS: records of a stream go to the function in order, each at least once; a record that goes on failing
is set aside at the mapping's destination, so that those behind it get through.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Record = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What the function said about a batch: an error, or the sequence numbers of records that failed."""

    error: str | None = None
    failed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Terms:
    """The mapping's terms. ``retries`` and ``age_seconds`` of -1 mean without end, as on AWS."""

    batch_size: int = 100
    retries: int = -1
    age_seconds: int = -1
    halve: bool = False
    partial: bool = False


@dataclass(frozen=True)
class _Work:
    records: tuple[Record, ...]
    tries: int = 0


@dataclass(frozen=True)
class Pump:
    """Takes records to a function.

    ``invoke`` hands over one batch; ``set_aside`` gets what was given up, with the condition in AWS's words;
    ``checkpoint`` gets the sequence number up to which all is handled; ``pause`` waits before try n (1, 2, ...);
    ``now`` gives epoch seconds.
    """

    terms: Terms
    wanted: Callable[[Record], bool]
    invoke: Callable[[Sequence[Record]], Answer]
    set_aside: Callable[[Sequence[Record], str], None]
    checkpoint: Callable[[str], None]
    pause: Callable[[int], None]
    now: Callable[[], float]

    def run(self, records: Sequence[Record]) -> None:
        """Handle these records, which follow each other in the stream; returns when each succeeded or was set aside."""
        for start in range(0, len(records), self.terms.batch_size):
            batch = records[start : start + self.terms.batch_size]
            self._batch(tuple(record for record in batch if self.wanted(record)))
            self.checkpoint(sequence(batch[-1]))

    def _batch(self, records: tuple[Record, ...]) -> None:
        waiting = deque([_Work(records)] if records else [])
        while waiting:
            work = waiting.popleft()
            rest = self._left(work.records, self.invoke(work.records))
            done = work.records[: len(work.records) - len(rest)]
            if done:
                self.checkpoint(sequence(done[-1]))
            if rest:
                tries = 1 if done else work.tries + 1
                waiting.extendleft(reversed(self._again(rest, tries)))

    def _left(self, records: tuple[Record, ...], answer: Answer) -> tuple[Record, ...]:
        """Return what is still to do: nothing, or the records from the first failed one on."""
        if answer.error is not None:
            return records
        if not self.terms.partial or not answer.failed:
            return ()
        numbers = [sequence(record) for record in records]
        unknown = [failed for failed in answer.failed if failed not in numbers]
        first = 0 if unknown else min(numbers.index(failed) for failed in answer.failed)
        return records[first:]

    def _again(self, records: tuple[Record, ...], tries: int) -> list[_Work]:
        if self.terms.halve and len(records) > 1:
            # Halving costs no try: it is how the one bad record is found.
            middle = len(records) // 2
            return [_Work(records[:middle]), _Work(records[middle:])]
        if 0 <= self.terms.retries < tries:
            return self._give_up(records, "RetryAttemptsExhausted")
        oldest = float(records[0]["dynamodb"].get("ApproximateCreationDateTime", self.now()))
        if 0 <= self.terms.age_seconds < self.now() - oldest:
            return self._give_up(records, "MaximumRecordAgeExceeded")
        self.pause(tries)
        return [_Work(records, tries)]

    def _give_up(self, records: tuple[Record, ...], condition: str) -> list[_Work]:
        self.set_aside(records, condition)
        self.checkpoint(sequence(records[-1]))
        return []


def sequence(record: Record) -> str:
    """Return the record's sequence number."""
    return str(record["dynamodb"]["SequenceNumber"])


def note(records: Sequence[Record], condition: str, *, stream: str, function: str) -> dict[str, Any]:
    """Return what AWS puts into the on-failure destination: where the records are, and why, but not the records."""
    first, last = records[0]["dynamodb"], records[-1]["dynamodb"]
    return {
        "version": "1.0",
        "requestContext": {"functionArn": function, "condition": condition},
        "DDBStreamBatchInfo": {
            "streamArn": stream,
            "shardId": "shardId-00000000000000000000-00000000",
            "startSequenceNumber": str(first["SequenceNumber"]),
            "endSequenceNumber": str(last["SequenceNumber"]),
            "batchSize": len(records),
        },
    }
