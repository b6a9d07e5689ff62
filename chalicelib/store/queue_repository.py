"""What waits for counsel or a compliance officer, in the view table; it can be rebuilt from events.

- ``T#<lender>#QUEUED`` | ``<kind>#<id>[#<number>]``: a thing as its last event left it, also once it waits no more
- ``T#<lender>#QUEUE`` | ``<due at>#<kind>#<id>[#<number>]``: what waits, by due instant
- ``T#<lender>#QUEUE#<kind>``: the same, of one kind
"""

from chalicelib.domain import keys
from chalicelib.domain.risk.queue import Kind, Waiting
from chalicelib.store.repository import Scope
from chalicelib.store.tables import View

_LAST = "~"
"""Sorts behind every character of an instant or id."""


class QueueRepository:
    """Implements ``chalicelib.usecases.review_queue.Queue``."""

    def known(self, scope: Scope, name: str) -> Waiting | None:
        """Return the thing as its last event left it, or None for one that never waited."""
        try:
            item = View.get(keys.queued_pk(scope.tenant), name, consistent_read=True)
        except View.DoesNotExist:
            return None
        return Waiting.model_validate_json(item.d or "")

    def put(self, scope: Scope, before: Waiting | None, after: Waiting) -> None:
        """Bring the list up to the thing: its old rows are dropped, and the new ones put where it waits.

        The note of the thing is written last, so that a run that broke off is done again.
        """
        partitions = (keys.queue_pk(scope.tenant, None), keys.queue_pk(scope.tenant, after.kind.value))
        with View.batch_write() as batch:
            for pk in partitions:
                if before is not None and before.due_at not in (None, after.due_at):
                    batch.delete(View(pk, f"{before.due_at}#{before.name}"))
                if after.due_at is not None:
                    batch.save(View(pk, f"{after.due_at}#{after.name}", d=after.model_dump_json()))
        View(keys.queued_pk(scope.tenant), after.name, d=after.model_dump_json()).save()

    def page(
        self, scope: Scope, kind: Kind | None, *, before: str | None, after: str | None, limit: int
    ) -> list[tuple[str, Waiting]]:
        """Return up to ``limit`` things (place, thing) by due instant, after a place; ``before`` (exclusive) is an instant."""
        first, last = after + "\0" if after is not None else "0", before if before is not None else _LAST
        if first > last:
            return []
        pk = keys.queue_pk(scope.tenant, None if kind is None else kind.value)
        found = View.query(pk, View.sk.between(first, last), limit=limit, consistent_read=True)
        return [(row.sk, Waiting.model_validate_json(row.d or "")) for row in found]
