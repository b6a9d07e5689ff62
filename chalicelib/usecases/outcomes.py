"""The feed of outcomes: what agencies, borrowers and the clock brought about, told to the lender in one order."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Protocol

from chalicelib.domain.cases.outcomes import OUTCOMES, Told, untold
from chalicelib.domain.concurrency import retrying
from chalicelib.domain.events import Event
from chalicelib.domain.instants import from_text


class Outcomes(Protocol):
    """The lenders' feeds. See ``chalicelib.store.outcome_repository``."""

    def head(self, lender: str) -> int:
        """Return the number of the feed's last entry."""
        ...

    def entries(self, lender: str, *, after: int, limit: int) -> list[dict[str, Any]]:
        """Return retained entries after a number."""
        ...

    def marks(self, lender: str, streams: Iterable[str]) -> dict[str, int]:
        """Return for each stream the number of its last event that the feed holds."""
        ...

    def append(self, lender: str, *, head: int, told: Told, at: datetime) -> int:
        """Write entries and marks behind the head, or raise Conflict."""
        ...


def project_outcomes(outcomes: Outcomes, events: Sequence[Event], *, most: int = 45) -> list[str]:
    """Append the outcomes among the events to the feeds of their lenders, each once; nothing fails singly.

    Safe to repeat: a mark remembers the last event of each stream that the feed holds. Raises Conflict when rivals won
    every run.
    """
    by_lender: dict[str, list[Event]] = {}
    for event in events:
        if event.type in OUTCOMES:
            by_lender.setdefault(event.tenant, []).append(event)
    for lender, happened in by_lender.items():

        def once(lender: str = lender, happened: Sequence[Event] = happened) -> None:
            # The head is read before the marks and is the condition of every write to them.
            head = outcomes.head(lender)
            known = outcomes.marks(lender, [event.stream for event in happened])
            at = max(from_text(event.at) for event in happened)
            for told in untold(happened, known, most=most):
                head = outcomes.append(lender, head=head, told=told, at=at)

        retrying(once, attempts=20)
    return []
