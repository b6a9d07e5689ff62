"""The clock's work: what was put off, forgotten or left open is picked up again from the due index.

The index is sparse and sharded, so a run reads only what is due. Each act is conditional on the item as it is then;
an index entry that is stale by a moment does no harm.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from chalicelib.domain import keys
from chalicelib.domain.concurrency import Conflict, retrying
from chalicelib.domain.instants import to_text
from chalicelib.domain.outreach.attempt import AttemptState
from chalicelib.usecases import dispatch, messages
from chalicelib.usecases.ports import Queues, Scope, Store

MOST_A_SHARD = 200
"""How many due items one run takes from a shard; the next run goes on."""


@dataclass(slots=True)
class DueReport:
    """What one run did: how many items of each kind it moved, and which keys it could not (they stay due)."""

    moved: dict[str, int] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    def count(self, kind: str) -> None:
        """Add one to a kind."""
        self.moved[kind] = self.moved.get(kind, 0) + 1


Handler = Callable[[Scope, str, datetime], str | None]
"""Handles one due aggregate (scope, id, now); returns the kind of move, or None when there was nothing to do."""


def release_due(
    store: Store,
    queues: Queues,
    scope_for: Callable[[str], Scope],
    others: Mapping[str, Handler],
    *,
    now: datetime,
    req: str,
    on_failure: Callable[[str, Exception], None],
) -> DueReport:
    """Handle everything that is due at ``now``; ``others`` handles aggregates by the kind in their key (CASE, PF)."""
    report = DueReport()
    for shard in range(keys.DUE_SHARDS):
        for pk, sk in store.due(str(shard), until=to_text(now), limit=MOST_A_SHARD):
            scope, kind, identity = scope_for(keys.tenant_of(pk)), pk.split("#")[2], keys.stream_of(pk)
            try:
                moved = (
                    _message(store, queues, scope, identity, now=now, req=req)
                    if kind == "MSG"
                    else others[kind](scope, identity, now)
                )
                if moved is None and store.leave_due(scope, pk, sk):
                    moved = "erased"
            except Conflict:
                # Somebody is at it right now; the item stays due if they leave it so.
                continue
            except Exception as error:
                on_failure(pk, error)
                report.failed.append(pk)
                continue
            if moved is not None:
                report.count(moved)
    return report


def _message(store: Store, queues: Queues, scope: Scope, message: str, *, now: datetime, req: str) -> str | None:
    attempt = store.attempt(scope, message)
    if attempt is None or attempt.due_at is None or attempt.due_at > to_text(now):
        return None
    if attempt.state is AttemptState.SENDING:
        return "unknown" if dispatch.reap(store, scope, message, now=now, req=req) else None
    if attempt.state is AttemptState.REQUESTED:
        woken = messages.wake(store, queues, scope, attempt, now=now, req=req)
        return "woken" if woken else None
    if attempt.state is AttemptState.IN_REVIEW:
        return "expired" if messages.expire(store, scope, message, now=now, req=req) else None
    released = retrying(
        lambda: dispatch.release(store, scope, message, "its time has come", actor=dispatch.REAPER, now=now, req=req)
    )
    if released is None:
        return None
    return "released" if released.state is AttemptState.REQUESTED else "expired"
