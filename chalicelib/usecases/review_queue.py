"""Counsel's queue: what waits for a decision of counsel or a compliance officer, by due instant, kept from the
event stream.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from chalicelib.domain.events import Event, EventType
from chalicelib.domain.instants import to_text
from chalicelib.domain.outreach.attempt import AttemptState
from chalicelib.domain.risk.queue import CONCERNED, LEAVING, Kind, Waiting, waiting_after
from chalicelib.usecases.ports import Scope, Store
from chalicelib.usecases.risks import RISK_TYPES, Risks


class Queue(Protocol):
    """The list. See ``chalicelib.store.queue_repository``."""

    def known(self, scope: Scope, name: str) -> Waiting | None:
        """Return the thing as its last event left it."""
        ...

    def put(self, scope: Scope, before: Waiting | None, after: Waiting) -> None:
        """Bring the list up to the thing."""

    def page(
        self, scope: Scope, kind: Kind | None, *, before: str | None, after: str | None, limit: int
    ) -> list[tuple[str, Waiting]]:
        """Return a page of the list by due instant."""
        ...


@dataclass(frozen=True, slots=True)
class QueuePorts:
    """What counsel's queue needs."""

    store: Store
    risks: Risks
    queue: Queue


def project_queue(ports: QueuePorts, events: Sequence[Event], *, scope_for: Callable[[str], Scope]) -> list[str]:
    """Put on the list what waits from now on, and take off what does not. Safe to repeat."""
    for event in events:
        if event.type not in CONCERNED:
            continue
        scope = scope_for(event.tenant)
        after = waiting_after(event, due_at=_own_end(ports, scope, event))
        if after is None:
            continue
        before = ports.queue.known(scope, after.name)
        is_told = before is not None and before.seq >= after.seq
        # Most contacts never waited, and leave no note.
        is_nothing = before is None and after.due_at is None
        if not is_told and not (is_nothing and _may_be_many(event)):
            ports.queue.put(scope, before, after)
    return []


def _may_be_many(event: Event) -> bool:
    return event.type in LEAVING or event.type is EventType.CONTACT_DECIDED


def _own_end(ports: QueuePorts, scope: Scope, event: Event) -> str | None:
    """Return the end that a contact or legal-risk event brings along; None for what waits no more."""
    if event.type in RISK_TYPES:
        risk = ports.risks.risk(scope, event.data["risk"])
        return None if risk is None or risk.decided_at is not None else risk.due_at
    if event.type is not EventType.CONTACT_DECIDED or event.decision is None or event.decision["outcome"] != "review":
        return None
    attempt = ports.store.attempt(scope, event.data["contact"])
    return attempt.expires_at if attempt is not None and attempt.state is AttemptState.IN_REVIEW else None


def list_queue(
    ports: QueuePorts, scope: Scope, *, kind: Kind | None, due_before: datetime | None, after: str | None, limit: int
) -> tuple[list[Waiting], str | None]:
    """Return a page of what waits by due instant, and the place to go on after, None at the end.

    ``kind`` limits it to one kind; ``due_before`` is exclusive.
    """
    before = None if due_before is None else to_text(due_before)
    rows = ports.queue.page(scope, kind, before=before, after=after, limit=limit)
    return [each for _, each in rows], rows[-1][0] if len(rows) == limit else None
