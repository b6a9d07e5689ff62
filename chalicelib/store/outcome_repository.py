"""The feed of outcomes of each lender. It can be rebuilt from the events, in another order of streams.

Keys of the view table:

- ``T#<lender>#OUTCOMES`` | ``HEAD`` (v = number of the last entry) and ``<12 digits>`` (one entry, d; ttl 35 days)
- ``T#<lender>#TOLD`` | stream: v = number of the stream's last event that the feed holds
"""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pynamodb.exceptions import TransactWriteError
from pynamodb.transactions import TransactWrite

from chalicelib.domain import keys
from chalicelib.domain.cases.feed import RETENTION_DAYS
from chalicelib.domain.cases.outcomes import Told
from chalicelib.domain.concurrency import Conflict
from chalicelib.store.tables import View, connection
from chalicelib.store.unit import is_conflict

MOST_ENTRIES = 45
"""Entries of one transaction: each may come with a mark of its own, and the head comes on top."""

_HEAD = "HEAD"
_BATCH_GET = 100


class OutcomeRepository:
    """Implements ``chalicelib.usecases.outcomes.Outcomes``; a feed is named by its lender."""

    def head(self, lender: str) -> int:
        """Return the number of the feed's last entry by one strongly consistent read; 0 when there is none."""
        try:
            return int(View.get(keys.outcomes_pk(lender), _HEAD, consistent_read=True, attributes_to_get=["v"]).v)
        except View.DoesNotExist:
            return 0

    def entries(self, lender: str, *, after: int, limit: int) -> list[dict[str, Any]]:
        """Return up to ``limit`` retained entries after a number, in order, each with its ``seq``."""
        first, last = _sk(after + 1), _sk(10**12 - 1)
        found = View.query(keys.outcomes_pk(lender), View.sk.between(first, last), limit=limit, consistent_read=True)
        return [{"seq": int(item.sk), **json.loads(item.d)} for item in found]

    def marks(self, lender: str, streams: Iterable[str]) -> dict[str, int]:
        """Return for each stream the number of its last event that the feed holds."""
        wanted = list(dict.fromkeys(streams))
        found: dict[str, int] = {}
        for start in range(0, len(wanted), _BATCH_GET):
            asked = [(keys.told_pk(lender), stream) for stream in wanted[start : start + _BATCH_GET]]
            found |= {item.sk: int(item.v) for item in View.batch_get(asked, consistent_read=True)}
        return found

    def append(self, lender: str, *, head: int, told: Told, at: datetime) -> int:
        """Write entries and marks behind ``head`` in one transaction; return the new head.

        Raises Conflict when the head has moved on, so marks that were read before it are as they were.
        """
        pk, seq = keys.outcomes_pk(lender), head
        expires = int(at.timestamp()) + RETENTION_DAYS * 86_400
        try:
            with TransactWrite(connection=connection(View.Meta.region)) as transaction:
                for entry in told.entries:
                    seq += 1
                    body = json.dumps(entry, ensure_ascii=False, separators=(",", ":"))
                    transaction.save(View(pk, _sk(seq), d=body, ttl=expires))
                for stream, number in told.marks.items():
                    transaction.save(View(keys.told_pk(lender), stream, v=number))
                unchanged = View.pk.does_not_exist() if head == 0 else View.v == head
                transaction.save(View(pk, _HEAD, v=seq), condition=unchanged)
        except TransactWriteError as error:
            if is_conflict(error):
                raise Conflict from error
            raise
        return seq


def _sk(seq: int) -> str:
    return f"{seq:012d}"
