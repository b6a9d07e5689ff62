"""What a lender hears back of its cases: every outcome, in one order, without personal data.

The feed is totally ordered and has no gaps, like an agency's: entry n+1 is written in the transaction that moves the feed's
head from n. An entry is the event's open data, so that reading it twice, or late, can do no harm.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chalicelib.domain.events import Event, EventType

OUTCOMES: dict[EventType, str] = {
    EventType.ACTIVITY_RECORDED: "activity",
    EventType.CONTACT_REPORTED: "activity",
    EventType.PROMISE_MADE: "promise",
    EventType.PROMISE_KEPT: "promise",
    EventType.PROMISE_BROKEN: "promise",
    EventType.PAYMENT_POSTED: "payment",
    EventType.PAYMENT_REVERSED: "payment",
    EventType.HOLD_PLACED: "hold",
    EventType.HOLD_RELEASED: "hold",
    EventType.CASE_CHANGED: "state",
    EventType.COMPLAINT_RECEIVED: "feedback",
    EventType.FEEDBACK_RECEIVED: "feedback",
    EventType.FEEDBACK_ASSIGNED: "feedback",
    EventType.FEEDBACK_ANSWERED: "feedback",
    EventType.FEEDBACK_ESCALATED: "feedback",
    EventType.FEEDBACK_CLOSED: "feedback",
    EventType.FEEDBACK_REOPENED: "feedback",
}
"""The events that are outcomes, and the kind that each of them is; a dispute is a hold of the kind ``dispute``."""


@dataclass(frozen=True, slots=True)
class Told:
    """Entries in order, and for each stream the number of its last event that the feed then holds."""

    entries: tuple[Mapping[str, Any], ...]
    marks: Mapping[str, int]


def entry_of(event: Event) -> dict[str, Any]:
    """Return the feed's entry of an outcome. ``about`` is the case or person in whose stream it stands."""
    return {
        "kind": OUTCOMES[event.type],
        "event": event.id,
        "type": event.type.value,
        "at": event.at,
        "about": event.stream,
        "agency": event.data.get("agency"),
        "data": dict(event.data),
    }


def untold(events: Iterable[Event], known: Mapping[str, int], *, most: int) -> list[Told]:
    """Return what the feed does not hold yet, in runs of at most ``most`` entries.

    ``events`` are one lender's, those of a stream in their order; ``known`` is the last number that the feed holds of each stream.
    """
    fresh = [event for event in events if event.type in OUTCOMES and event.seq > known.get(event.stream, 0)]
    return [_told(fresh[start : start + most]) for start in range(0, len(fresh), most)]


def _told(events: Sequence[Event]) -> Told:
    return Told(tuple(entry_of(event) for event in events), {event.stream: event.seq for event in events})
