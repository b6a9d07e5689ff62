"""In-memory ports of the sequencer, and faults between any two of its calls."""

import random
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from chalicelib.domain.audit.keeping import Lock, Version, VersionPage
from chalicelib.domain.audit.log import LogHead, LogName, Waiting, WaitingBatch
from chalicelib.domain.audit.tiles import TILE_WIDTH
from chalicelib.usecases.archive import ArchivePorts
from tests import archives


class MemoryAudit:
    """What ``AuditViews`` keeps in the view table, in dictionaries."""

    def __init__(self) -> None:
        """Start empty."""
        self.listed: dict[tuple[str, str], bool] = {}
        self.pending: dict[tuple[str, str], dict[str, WaitingBatch]] = {}
        self.markers: dict[tuple[str, str, str], tuple[int, str] | None] = {}
        self.heads: dict[tuple[str, str], LogHead] = {}
        self.assigned: dict[tuple[str, str], dict[int, bytes]] = {}

    def logs(self) -> list[LogName]:
        """Return every log that was ever begun."""
        return [LogName(*name, closed) for name, closed in self.listed.items()]

    def begin(self, log: LogName) -> None:
        """List the log."""
        self.listed.setdefault((log.tenant, log.year), False)

    def close(self, log: LogName) -> None:
        """Mark the log as closed."""
        self.listed[log.tenant, log.year] = True

    def enter(self, tenant: str, waiting: Sequence[Waiting]) -> list[str]:
        """Enter what has no marker."""
        for year in dict.fromkeys(event.year for event in waiting):
            self.begin(LogName(tenant, year))
            fresh = {
                e.event_id: e for e in waiting if e.year == year and (tenant, year, e.event_id) not in self.markers
            }
            events = tuple(fresh.values())
            for start in range(0, len(events), 40):
                part = events[start : start + 40]
                ref = f"{part[0].at}#{part[0].event_id}"
                self.pending.setdefault((tenant, year), {})[ref] = WaitingBatch(year, ref, part)
            self.markers.update(dict.fromkeys(((tenant, year, event.event_id) for event in events), None))
        return []

    def waiting(self, log: LogName, limit: int) -> list[WaitingBatch]:
        """Return waiting batches by key."""
        waiting = self.pending.get((log.tenant, log.year), {})
        return [waiting[key] for key in sorted(waiting)[:limit]]

    def head(self, log: LogName) -> LogHead:
        """Return the head."""
        return self.heads.get((log.tenant, log.year), LogHead(LogName(log.tenant, log.year)))

    def assign(self, head: LogHead, first: int, entries: Sequence[bytes]) -> bool:
        """Move the head and keep the entries, or neither."""
        numbered = {first + place: entry for place, entry in enumerate(entries)}
        name = (head.log.tenant, head.log.year)
        if not self.advance(head):
            return False
        kept = self.assigned.setdefault(name, {})
        assert not kept.keys() & numbered.keys(), "a number was given twice"
        kept.update(numbered)
        return True

    def settle(self, log: LogName, batches: Sequence[WaitingBatch], numbers: Mapping[str, int]) -> None:
        """Take batches off the list and number their events' markers."""
        for batch in batches:
            self.pending.get((log.tenant, batch.year), {}).pop(batch.ref, None)
            for event in batch.events:
                marker, number = (log.tenant, batch.year, event.event_id), (numbers[event.event_id], log.year)
                assert self.markers.get(marker) in (None, number), "an event was numbered twice"
                self.markers[marker] = number

    def entries(self, log: LogName, first: int, end: int) -> list[bytes]:
        """Return assigned entries."""
        kept = self.assigned.get((log.tenant, log.year), {})
        return [kept[number] for number in range(first, end) if number in kept]

    def advance(self, head: LogHead) -> bool:
        """Move the head if nobody else has."""
        name = (head.log.tenant, head.log.year)
        if self.head(head.log).version != head.version - 1:
            return False
        self.heads[name] = replace(head, log=LogName(*name))
        return True

    def forget(self, log: LogName, below: int) -> None:
        """Drop entries of full bundles."""
        assert below % TILE_WIDTH == 0
        kept = self.assigned.get((log.tenant, log.year), {})
        for number in [number for number in kept if number < below]:
            del kept[number]

    def number_of(self, log: LogName, event_id: str) -> int | None:
        """Return the event's number."""
        marker = self.markers.get((log.tenant, log.year, event_id))
        return marker[0] if marker is not None and marker[1] == log.year else None


class MemoryBucket:
    """A bucket whose objects cannot be overwritten but where the version is named."""

    def __init__(self) -> None:
        """Start empty."""
        self.objects: dict[str, list[bytes]] = {}

    def put_once(self, path: str, body: bytes, *, retain_until: datetime) -> bool:
        """Put where there is nothing."""
        return self.replace(path, body, tag=None, retain_until=retain_until)

    def replace(self, path: str, body: bytes, *, tag: str | None, retain_until: datetime) -> bool:
        """Put over the version with the tag."""
        versions = self.objects.get(path, [])
        if (str(len(versions)) if versions else None) != tag:
            return False
        self.objects[path] = [*versions, body]
        return True

    def read(self, path: str) -> bytes | None:
        """Return the latest version."""
        return self.objects[path][-1] if path in self.objects else None

    def read_tagged(self, path: str) -> tuple[bytes, str] | None:
        """Return the latest version and its tag."""
        return (self.objects[path][-1], str(len(self.objects[path]))) if path in self.objects else None

    def names(self, prefix: str) -> list[str]:
        """Return the paths that begin so."""
        return sorted(path for path in self.objects if path.startswith(prefix))

    def download(self, folder: Path) -> Path:
        """Write the latest versions below a directory and return it."""
        for path, versions in self.objects.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(versions[-1])
        return folder


class LocalSigner:
    """A note signer whose key lies in memory."""

    def __init__(self, key: Any) -> None:
        """Take the private key."""
        self._key = key

    def spki(self) -> bytes:
        """Return the public key."""
        return archives.spki(self._key)

    def sign(self, message: bytes) -> bytes:
        """Return the signature."""
        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            return self._key.sign(message)
        return bytes(self._key.sign(message, ec.ECDSA(hashes.SHA256())))


class Watched:
    """Passes every call of a port on, after telling a watcher before and after it."""

    def __init__(self, port: Any, watcher: Callable[[str], None]) -> None:
        """Take the port and who is told."""
        self._port, self._watcher = port, watcher

    def __getattr__(self, name: str) -> Any:
        """Return the port's method, watched."""
        method = getattr(self._port, name)

        def called(*args: Any, **kwargs: Any) -> Any:
            self._watcher(f"before {name}")
            answer = method(*args, **kwargs)
            self._watcher(f"after {name}")
            return answer

        return called


def no_rules(tenant: str, wanted: Iterable[str]) -> Mapping[str, bytes]:
    """Return nothing: no rule set is known."""
    return {}


def memory_ports(
    audit: MemoryAudit, bucket: MemoryBucket, *, watcher: Callable[[str], None] | None = None, **more: Any
) -> ArchivePorts:
    """Return ports over these two, with both local keys."""
    signers: list[Any] = [LocalSigner(archives.ED25519), LocalSigner(archives.P256)]
    repository: Any = audit
    store: Any = bucket
    if watcher is not None:
        repository, store = Watched(audit, watcher), Watched(bucket, watcher)
        signers = [Watched(signer, watcher) for signer in signers]
    ports = ArchivePorts(repository, store, signers, "forbear.test", no_rules)
    return replace(ports, **more)


class Turns:
    """Lets several threads take their steps one at a time, in an order that a seed decides."""

    def __init__(self, seed: int, count: int) -> None:
        """Take the seed and the number of threads."""
        self._random = random.Random(seed)
        self._waiting: set[int] = set()
        self._running = count
        self._turn: int | None = None
        self._condition = threading.Condition()

    def step(self, who: int) -> None:
        """Wait until it is this thread's turn."""
        with self._condition:
            self._waiting.add(who)
            self._choose()
            self._condition.wait_for(lambda: self._turn == who)
            self._turn = None
            self._waiting.discard(who)

    def leave(self) -> None:
        """Say that this thread takes no more steps."""
        with self._condition:
            self._running -= 1
            self._choose()

    def _choose(self) -> None:
        if self._turn is None and self._waiting and len(self._waiting) == self._running:
            self._turn = self._random.choice(sorted(self._waiting))
            self._condition.notify_all()


class MemoryLocks:
    """A bucket of versions with locks, as the keeper of the archive sees one: a lock is only ever lengthened."""

    def __init__(self) -> None:
        """Start empty."""
        self.listed: list[tuple[str, str, datetime, bool]] = []
        self.locks: dict[tuple[str, str], Lock] = {}
        self.refusing: set[str] = set()
        self.asked = 0

    def put(self, key: str, at: datetime, *, until: datetime | None) -> tuple[str, str]:
        """Put a version that is locked until then."""
        place = (key, f"v{len(self.listed):06d}")
        self.listed.append((*place, at, False))
        self.locks[place] = Lock(until, False)
        return place

    def hide(self, key: str, at: datetime) -> tuple[str, str]:
        """Put a delete marker."""
        self.listed.append((key, f"m{len(self.listed):06d}", at, True))
        return self.listed[-1][:2]

    def versions(self, prefix: str, *, after: tuple[str, str] | None, limit: int) -> VersionPage:
        """Return a page by key, the newest version of a key first."""
        newest = sorted(range(len(self.listed)), key=lambda place: (self.listed[place][0], -place))
        entries = [self.listed[place] for place in newest if self.listed[place][0].startswith(prefix)]
        names = [entry[:2] for entry in entries]
        first = 0 if after is None else names.index(after) + 1
        page = entries[first : first + limit]
        tops = {names[place] for place in range(len(names)) if not place or names[place - 1][0] != names[place][0]}
        return VersionPage(
            [Version(key, version, at) for key, version, at, marker in page if not marker],
            [(key, version) for key, version, _, marker in page if marker and (key, version) in tops],
            page[-1][:2] if first + limit < len(entries) else None,
        )

    def lock_of(self, key: str, version_id: str) -> Lock:
        """Return the lock."""
        self.asked += 1
        return self.locks[key, version_id]

    def extend(self, key: str, version_id: str, until: datetime) -> bool:
        """Lengthen a lock."""
        known = self.locks[key, version_id]
        assert known.until is None or until >= known.until, "a lock was to be shortened"
        if key in self.refusing:
            return False
        self.locks[key, version_id] = replace(known, until=until)
        return True

    def hold(self, key: str, version_id: str, *, on: bool) -> bool:
        """Put a hold on or take it off."""
        if key in self.refusing:
            return False
        self.locks[key, version_id] = replace(self.locks[key, version_id], held=on)
        return True
