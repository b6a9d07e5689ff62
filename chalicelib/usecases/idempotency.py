"""One effect for one Idempotency-Key: the first answer is kept for seven days and given again.

A request claims its key under a lease, works, and completes the entry with its answer. A holder that dies frees the
key when its lease ends, so a command may in the worst case run twice: commands that create something take its id from
the key (``derived_id``), so that the second run meets what the first one wrote.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from chalicelib.domain.answers import Answered, Entry, Slot
from chalicelib.domain.ids import derived_id as keyed_id
from chalicelib.domain.principals import Principal

LEASE_MS = 60_000
"""Longer than the API function may run, so that a living holder is never overtaken."""

KEPT_MS = 7 * 24 * 3_600 * 1_000


class Answers(Protocol):
    """Where entries are kept. Every change is conditional, so that of two writers one wins."""

    def find(self, slot: Slot) -> Entry | None:
        """Return the entry by a strongly consistent read."""
        ...

    def claim(self, slot: Slot, entry: Entry, *, over: Entry | None) -> bool:
        """Put a held entry where there is none, or over exactly ``over``; False when somebody else was faster."""
        ...

    def complete(self, slot: Slot, entry: Entry, *, held_until: int) -> bool:
        """Replace the entry held until then by the answered one; False when it is no longer held so."""
        ...

    def release(self, slot: Slot, *, held_until: int) -> None:
        """Remove the entry held until then, if it is still there."""


@dataclass(frozen=True, slots=True)
class Done:
    """The request has its answer; ``is_replay`` when it was given before."""

    answer: Answered
    is_replay: bool


@dataclass(frozen=True, slots=True)
class Reused:
    """The key was used with another request."""


@dataclass(frozen=True, slots=True)
class InProgress:
    """Somebody is working on the request with this key."""


Outcome = Done | Reused | InProgress


def slot_of(principal: Principal, route: str, key: str) -> Slot:
    """Return where the key of this client on this route stands; a client is a subject of an organisation and tenant."""
    hashed = hashlib.sha256(f"{principal.tenant or ''}|{key}".encode()).hexdigest()[:32]
    return Slot(f"I#{principal.org}#{principal.subject}", f"{route}#{hashed}")


def fingerprint_of(*parts: Any) -> str:
    """Return the SHA-256 (hex) of what makes two requests the same; parts are JSON values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def derived_id(slot: Slot, prefix: str) -> str:
    """Return the id that this request gives to what it creates: the same whenever it is run again."""
    return keyed_id(prefix, key=slot.client.encode(), label=f"created by {prefix}", value=slot.operation)


def once(
    answers: Answers, slot: Slot, fingerprint: str, run: Callable[[], Answered], *, now_ms: Callable[[], int]
) -> Outcome:
    """Run the request unless its key has an answer or is held. What ``run`` raises frees the key and goes on."""
    started = now_ms()
    held = Entry(fingerprint, started + LEASE_MS)
    # Claimed before it is read: a new key, the usual case, then costs no read.
    if not answers.claim(slot, held, over=None):
        found = answers.find(slot)
        if found is None:
            return InProgress()
        if started < found.until:
            return _known(found, fingerprint)
        if not answers.claim(slot, held, over=found):
            return InProgress()
    try:
        answer = run()
    except BaseException:
        answers.release(slot, held_until=held.until)
        raise
    # Whoever took the key over after the lease keeps its own answer: neither call below then changes anything.
    if answer.is_final:
        answers.complete(slot, Entry(fingerprint, now_ms() + KEPT_MS, answer), held_until=held.until)
    else:
        answers.release(slot, held_until=held.until)
    return Done(answer, is_replay=False)


def _known(entry: Entry, fingerprint: str) -> Outcome:
    if entry.fingerprint != fingerprint:
        return Reused()
    return InProgress() if entry.answer is None else Done(entry.answer, is_replay=True)


class AnswersInMemory:
    """Entries of one process; for tests and for programs without a table."""

    def __init__(self) -> None:
        """Start empty."""
        self.entries: dict[Slot, Entry] = {}

    def find(self, slot: Slot) -> Entry | None:
        """Return the entry."""
        return self.entries.get(slot)

    def claim(self, slot: Slot, entry: Entry, *, over: Entry | None) -> bool:
        """Put the entry where ``over`` stands."""
        if self.entries.get(slot) != over:
            return False
        self.entries[slot] = entry
        return True

    def complete(self, slot: Slot, entry: Entry, *, held_until: int) -> bool:
        """Replace the held entry."""
        if not self._holds(slot, held_until):
            return False
        self.entries[slot] = entry
        return True

    def release(self, slot: Slot, *, held_until: int) -> None:
        """Remove the held entry."""
        if self._holds(slot, held_until):
            del self.entries[slot]

    def _holds(self, slot: Slot, held_until: int) -> bool:
        entry = self.entries.get(slot)
        return entry is not None and entry.answer is None and entry.until == held_until
