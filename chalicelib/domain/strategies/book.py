"""The life of a strategy: versions that one person drafts and another approves, that are activated from a day, and end.

A version's content never changes. An approved version may be tried in an experiment; it is what cases follow only
once it is activated. One version of a strategy is in force at a time, and of several strategies the one of the lowest
rank that has a path for the case is followed.
"""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from chalicelib.domain.instants import from_text

MOST_VERSIONS = 200
"""How many versions one strategy may have: all of them are listed in its book, which is one item."""

MOST_STRATEGIES = 50
"""How many strategies one lender may have."""


class VersionState(StrEnum):
    """Where a version stands; whether an activated one is in force is a matter of the instant."""

    DRAFT = "draft"
    APPROVED = "approved"
    REJECTED = "rejected"
    ACTIVATED = "activated"
    ENDED = "ended"


class StrategyVersion(BaseModel):
    """One version's life. ``sha256`` is the digest of its content. In force in [``active_from``, ``active_until``).

    ``simulation`` is the what-if that was looked at before the activation, None when ``reason`` says why there is none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int
    state: VersionState = VersionState.DRAFT
    sha256: str
    author: str
    drafted_at: str
    decided_by: str | None = None
    decided_at: str | None = None
    decision_reason: str | None = None
    activated_by: str | None = None
    activated_at: str | None = None
    activation_reason: str | None = None
    simulation: str | None = None
    active_from: str | None = None
    active_until: str | None = None
    ended_by: str | None = None
    ended_at: str | None = None
    end_reason: str | None = None

    def in_force(self, at: datetime) -> bool:
        """Tell whether cases follow the version at the instant."""
        if self.state not in (VersionState.ACTIVATED, VersionState.ENDED) or self.active_from is None:
            return False
        return from_text(self.active_from) <= at and (self.active_until is None or at < from_text(self.active_until))

    @property
    def is_approved(self) -> bool:
        """Tell whether a second person stands behind the version and nobody ended it."""
        return self.state in (VersionState.APPROVED, VersionState.ACTIVATED)


class StrategyBook(BaseModel):
    """A lender's strategy: its versions by number, from 1. Of several in force the lowest ``rank`` comes first, then the id."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    rank: int = 100
    versions: tuple[StrategyVersion, ...] = ()
    version: int = 0

    def numbered(self, number: int) -> StrategyVersion | None:
        """Return the version of that number, or None."""
        return self.versions[number - 1] if 0 < number <= len(self.versions) else None

    def in_force(self, at: datetime) -> StrategyVersion | None:
        """Return the newest version that cases follow at the instant, or None."""
        return next((each for each in reversed(self.versions) if each.in_force(at)), None)

    def with_version(self, changed: StrategyVersion) -> "StrategyBook":
        """Return the book with that version put in its place, as the next version of the book itself."""
        kept = list(self.versions)
        kept[changed.number - 1 :] = [changed, *kept[changed.number :]]
        return self.model_copy(update={"versions": tuple(kept), "version": self.version + 1})
