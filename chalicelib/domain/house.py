"""A lender's house rules: sets, their versions, and which of them bind at an instant.

A set of rules has a name and versions. A version is drafted by one person and approved or rejected by another; approved,
it is a pack of its own from an instant on, until the next one takes its place. What it may say is the business of
``chalicelib.domain.compliance.house``; this module is light, because every ruling reads the index.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from chalicelib.domain.instants import from_text, to_text

MOST_SETS = 10
"""Sets that one lender may have."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class VersionState(StrEnum):
    """Where a version stands; whether an approved one is in force is a matter of the instant."""

    DRAFT = "draft"
    APPROVED = "approved"
    REJECTED = "rejected"


class Comment(_Value):
    """What somebody said about a version."""

    by: str
    at: str
    text: str


class HouseVersion(_Value):
    """One version of a set. ``rules`` are as authored; ``sha256`` is the digest of the compiled pack.

    An approved version is in force in [``effective_from``, ``effective_until``); a set without rules and without
    enforced shadow rules is a set that has ended.
    """

    house: str
    number: int
    name: str
    rules: tuple[dict[str, Any], ...]
    enforce: tuple[str, ...]
    zone: str | None = None
    sha256: str
    state: VersionState = VersionState.DRAFT
    author: str
    drafted_at: str
    decided_by: str | None = None
    decided_at: str | None = None
    reason: str | None = None
    effective_from: str | None = None
    effective_until: str | None = None
    comments: tuple[Comment, ...] = ()
    version: int = 1

    @property
    def is_empty(self) -> bool:
        """Tell whether nothing is asked for: approving it ends the set."""
        return not self.rules and not self.enforce

    def standing(self, now: datetime) -> str:
        """Return draft, rejected, scheduled, in_force or superseded."""
        if self.state is not VersionState.APPROVED or self.effective_from is None:
            return self.state.value
        if self.effective_until is not None and from_text(self.effective_until) <= now:
            return "superseded"
        if self.effective_from == self.effective_until:
            return "superseded"
        return "scheduled" if from_text(self.effective_from) > now else "in_force"


class HouseSet(_Value):
    """A set of house rules: its name, and how many versions were drafted."""

    id: str
    name: str
    drafted: int
    version: int = 1


class Window(_Value):
    """When a version of a set binds: [``begins``, ``ends``), without end while nothing follows it."""

    house: str
    number: int
    sha256: str
    begins: str
    ends: str | None = None
    empty: bool = False


class HouseRef(_Value):
    """A house pack by its digest, and whose it is."""

    lender: str
    house: str
    number: int
    sha256: str


class HouseIndex(_Value):
    """Every approved version that binds now or will: the one item that each ruling reads, strongly consistent."""

    windows: tuple[Window, ...] = ()
    version: int = 0

    def in_force(self, lender: str, at: datetime) -> tuple[HouseRef, ...]:
        """Return the packs in force at an instant, by the id of their set; one whose rules are none is none."""
        found = [
            HouseRef(lender=lender, house=each.house, number=each.number, sha256=each.sha256)
            for each in self.windows
            if not each.empty and _within(each, at)
        ]
        return tuple(sorted(found, key=lambda ref: ref.house))

    def next_change(self, at: datetime) -> datetime | None:
        """Return the first instant after ``at`` at which another version begins to bind, None when none is known."""
        return min((begin for each in self.windows if (begin := from_text(each.begins)) > at), default=None)

    def with_version(self, version: HouseVersion, *, now: datetime) -> "HouseIndex":
        """Return the index with an approved version from its instant on; what it takes the place of ends there.

        What ended before ``now`` is left out: the versions themselves say when they were in force.
        """
        begins = version.effective_from or to_text(now)
        kept = []
        for each in self.windows:
            changed = each if each.house != version.house or _ends_by(each, begins) else _ended(each, begins)
            if changed.ends is None or from_text(changed.ends) > now:
                kept.append(changed)
        own = Window(
            house=version.house, number=version.number, sha256=version.sha256, begins=begins, empty=version.is_empty
        )
        kept = [each for each in kept if each.begins != each.ends]
        return self.model_copy(update={"windows": (*kept, own)})


def _within(window: Window, at: datetime) -> bool:
    return from_text(window.begins) <= at and (window.ends is None or at < from_text(window.ends))


def _ends_by(window: Window, instant: str) -> bool:
    return window.ends is not None and window.ends <= instant


def _ended(window: Window, instant: str) -> Window:
    return window.model_copy(update={"ends": max(instant, window.begins)})


def superseded(version: HouseVersion, instant: str) -> HouseVersion | None:
    """Return an approved version as it stands when another takes its place at an instant, None when it ended before."""
    if version.state is not VersionState.APPROVED or version.effective_from is None:
        return None
    if version.effective_until is not None and version.effective_until <= instant:
        return None
    return version.model_copy(update={"effective_until": max(instant, version.effective_from)})
