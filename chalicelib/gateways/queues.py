"""Queues: bodies are JSON with ids only, because queues, their logs and their dead letters are read by many."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.gateways.clients import client

_BATCH = 10


class SqsQueues:
    """The stage's queues, addressed by their short names (``dispatch``, ``compliance.fifo``, ...)."""

    def __init__(self, url_prefix: str) -> None:
        """Take what every queue URL begins with: ``https://.../forbear-<stage>-``."""
        self._url_prefix = url_prefix

    def send(self, queue: str, bodies: Sequence[Mapping[str, Any]], *, delay_seconds: int = 0) -> None:
        """Enqueue every body. Raises ``QueueRefused`` when the service did not take all of them."""
        self._send_all(queue, [{"MessageBody": json.dumps(body, sort_keys=True)} for body in bodies], delay_seconds)

    def send_grouped(self, queue: str, bodies: Sequence[tuple[str, str, Mapping[str, Any]]]) -> None:
        """Enqueue (group, deduplication id, body) on a FIFO queue; one group is handled strictly in order."""
        entries = [
            {"MessageBody": json.dumps(body, sort_keys=True), "MessageGroupId": group, "MessageDeduplicationId": dedup}
            for group, dedup, body in bodies
        ]
        self._send_all(queue, entries, 0)

    def _send_all(self, queue: str, entries: list[dict[str, Any]], delay_seconds: int) -> None:
        for start in range(0, len(entries), _BATCH):
            batch = [
                {"Id": str(number), **entry, **({"DelaySeconds": delay_seconds} if delay_seconds else {})}
                for number, entry in enumerate(entries[start : start + _BATCH])
            ]
            answer = client("sqs").send_message_batch(QueueUrl=self._url_prefix + queue, Entries=batch)
            if answer.get("Failed"):
                raise QueueRefused(queue, len(answer["Failed"]))


class QueueRefused(Exception):
    """A queue did not take every message; the caller's own retry repeats them all, which every consumer bears."""

    def __init__(self, queue: str, count: int) -> None:
        """Name the queue and how many messages it refused."""
        super().__init__(f"{queue} refused {count} messages")
