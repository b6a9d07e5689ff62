"""The life of a lender's template: versions that one person drafts and another approves, for a time, and may retire.

A version's text never changes. What may be sent at an instant is the newest version that is approved and in force then;
a draft, a rejected, retired or expired version is never sent.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from chalicelib.domain.instants import from_text
from chalicelib.domain.outreach.templates import Template

MOST_VERSIONS = 200
"""How many versions one template may have: all of them are listed in its book, which is one item."""


class VersionState(StrEnum):
    """Where a version stands. Only ``approved`` can be sent, within its period."""

    DRAFT = "draft"
    APPROVED = "approved"
    REJECTED = "rejected"
    RETIRED = "retired"


class TemplateVersion(BaseModel):
    """One version's life. ``sha256`` is the digest of its content (``Template.sha256``), which never changes.

    It may be sent from ``effective_from`` (closed) to ``effective_until`` (open, None without end), both RFC 3339 in
    UTC. ``library`` names the shipped text that it was taken from, as ``id@version``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int
    state: VersionState = VersionState.DRAFT
    sha256: str
    purpose: str
    language: str
    jurisdictions: tuple[str, ...]
    library: str | None = None
    author: str
    drafted_at: str
    decided_by: str | None = None
    decided_at: str | None = None
    reason: str | None = None
    effective_from: str | None = None
    effective_until: str | None = None
    retired_by: str | None = None
    retired_at: str | None = None
    retirement_reason: str | None = None

    def in_force(self, at: datetime) -> bool:
        """Tell whether the version is approved and its period holds the instant."""
        if self.state is not VersionState.APPROVED or self.effective_from is None:
            return False
        begun = from_text(self.effective_from) <= at
        return begun and (self.effective_until is None or at < from_text(self.effective_until))


class TemplateBook(BaseModel):
    """A lender's template: its versions by number, from 1. The channel is the same in all of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    channel: str
    versions: tuple[TemplateVersion, ...] = ()
    version: int = 0

    def numbered(self, number: int) -> TemplateVersion | None:
        """Return the version of that number, or None."""
        return self.versions[number - 1] if 0 < number <= len(self.versions) else None

    def in_force(self, at: datetime) -> TemplateVersion | None:
        """Return the newest version that may be sent at the instant, or None."""
        return next((each for each in reversed(self.versions) if each.in_force(at)), None)

    def with_version(self, changed: TemplateVersion) -> "TemplateBook":
        """Return the book with that version put in its place, as the next version of the book itself."""
        kept = list(self.versions)
        kept[changed.number - 1 :] = [changed, *kept[changed.number :]]
        return self.model_copy(update={"versions": tuple(kept), "version": self.version + 1})


@dataclass(frozen=True, slots=True)
class InForce:
    """The content that may be sent at an instant, and until when (open; None without end)."""

    content: Template
    until: str | None
