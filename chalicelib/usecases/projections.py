"""What follows from events: queues, feeds, counters, archive. Fed by the table's stream and by nothing else.

Every projection is idempotent, because a stream delivers at least once; one that fails does not keep the others from
their work, and its events are reported back so that the stream delivers them again.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from chalicelib.domain.events import Event, EventType
from chalicelib.usecases.ports import Queues

Projection = Callable[[Sequence[Event]], list[str]]
"""Takes events in stream order and returns the ids of those that it could not project."""


def project(
    events: Sequence[Event], projections: Mapping[str, Projection], *, on_failure: Callable[[str, Exception], None]
) -> set[str]:
    """Run every projection over the events and return the ids of the events that at least one could not project.

    ``on_failure`` is told the projection's name and the exception; when one raises, all of the events count as failed.
    """
    failed: set[str] = set()
    for name, projection in projections.items():
        try:
            failed.update(projection(events))
        except Exception as error:
            on_failure(name, error)
            failed.update(event.id for event in events)
    return failed


def route_to_queues(events: Sequence[Event], queues: Queues) -> list[str]:
    """Enqueue the work that the events call for; repeated work is harmless to every consumer."""
    wishes = [
        (
            f"{event.tenant}.{event.data['person']}",
            event.id,
            {"tenant": event.tenant, "message": event.data["contact"]},
        )
        for event in events
        if event.type is EventType.CONTACT_REQUESTED
    ]
    if wishes:
        queues.send_grouped("compliance.fifo", wishes)
    allowed = [
        {"tenant": event.tenant, "message": event.data["contact"]}
        for event in events
        if event.type is EventType.CONTACT_DECIDED
        and event.decision is not None
        and event.decision["outcome"] == "allow"
        and not event.data["human"]
    ]
    if allowed:
        queues.send("dispatch", allowed)
    accepted = [
        {"tenant": event.tenant, "portfolio": event.data["portfolio"], "chunk": number}
        for event in events
        if event.type is EventType.PORTFOLIO_ACCEPTED
        for number in range(event.data["chunks"])
    ]
    if accepted:
        queues.send("portfolio-chunks", accepted)
    simulated: list[dict[str, Any]] = [
        {"tenant": event.tenant, "simulation": event.data["simulation"], "chunk": number}
        for event in events
        if event.type in (EventType.SIMULATION_REQUESTED, EventType.SIMULATION_PLANNED)
        for number in (range(event.data["chunks"]) if "chunks" in event.data else [None])
    ]
    if simulated:
        queues.send("simulations", simulated)
    exported = [
        {"tenant": event.tenant, "export": event.data["export"]}
        for event in events
        if event.type in (EventType.ARCHIVE_EXPORT_REQUESTED, EventType.ARCHIVE_EXPORT_SIGNED)
    ]
    if exported:
        queues.send("exports", exported)
    placed: dict[str, list[str]] = {}
    for event in events:
        if event.type is EventType.CASE_PLACED:
            placed.setdefault(event.tenant, []).append(event.stream)
    bodies = [
        {"tenant": tenant, "cases": cases[start : start + _CASES_A_MESSAGE]}
        for tenant, cases in placed.items()
        for start in range(0, len(cases), _CASES_A_MESSAGE)
    ]
    if bodies:
        queues.send("assignments", bodies)
    return []


_CASES_A_MESSAGE = 40
