"""A simulation as a job: where it stands, how its traffic is cut into chunks, and what of each chunk is done."""

from datetime import date, timedelta
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict


class SimulationState(StrEnum):
    """Where a simulation stands; the last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


FINAL = frozenset({SimulationState.SUCCEEDED, SimulationState.FAILED, SimulationState.CANCELLED})

CHUNK = 400
"""Recorded decisions of one chunk: some seconds of one worker."""

MOST_DECISIONS = 200_000
"""Recorded decisions of one simulation: its plan is one item, and a chunk's result another."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Simulation(_Value):
    """One simulation. ``first_day`` and ``last_day`` are UTC dates, both included; ``parts`` is what is supposed.

    ``decisions`` is how many recorded decisions the period holds, known once it is planned. ``problem`` is the code of
    why it failed. ``stalls`` counts how often the clock had to wake it; ``due_at`` is when it looks next.
    """

    id: str
    state: SimulationState = SimulationState.QUEUED
    first_day: str
    last_day: str
    parts: tuple[str, ...]
    requested_at: str
    started_at: str | None = None
    finished_at: str | None = None
    decisions: int | None = None
    chunks: int = 0
    chunks_done: int = 0
    problem: str | None = None
    stalls: int = 0
    due_at: str | None = None
    version: int = 1

    def days(self) -> list[str]:
        """Return the dates of the period in order."""
        first, last = date.fromisoformat(self.first_day), date.fromisoformat(self.last_day)
        return [(first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1)]

    @property
    def progress(self) -> float:
        """Return the share that is done, 0 to 1."""
        if self.state is SimulationState.SUCCEEDED:
            return 1.0
        return round(self.chunks_done / self.chunks, 4) if self.chunks else 0.0


class Planned(_Value):
    """One chunk of a plan: ``count`` index rows of a day from ``first`` to ``last``, both included."""

    day: str
    first: str
    last: str
    count: int


class Chunk(_Value):
    """What is done of a chunk: ``taken`` decisions are in ``tally``; ``done`` says that these are all."""

    number: int
    taken: int = 0
    tally: dict[str, Any] = {}
    done: bool = False
    version: int = 1
