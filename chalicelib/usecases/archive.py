"""The archive: pending events become numbered entries, tiles under Object Lock, and signed notes.

One run of a log has four steps, and each may be repeated after a crash with the same result: (a) one transaction gives
waiting events their numbers; (b) tiles and bundles, which follow from the entries alone, are put where nothing is yet;
(c) the head takes over size and frontier; (d) a note is signed, verified, proved to extend the last one, and put.
Two sequencers at once cannot fork a log: numbers are given under the head's version, and a file that is there already
must have the same bytes.
"""

import base64
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from chalicelib.domain import keys
from chalicelib.domain.audit import merkle, schema
from chalicelib.domain.audit.log import (
    HEARTBEAT,
    LogHead,
    LogName,
    TimeUnavailable,
    Waiting,
    WaitingBatch,
    in_stream_order,
    next_batches,
    waiting_of,
)
from chalicelib.domain.audit.merkle import Frontier
from chalicelib.domain.audit.notes import (
    Checkpoint,
    Malformed,
    Note,
    NoteKey,
    Signature,
    Unsigned,
    parse_checkpoint,
    parse_note,
    type_of,
    verified,
)
from chalicelib.domain.audit.policy import Policy
from chalicelib.domain.audit.record import BadRecord, parse_record, record_bytes
from chalicelib.domain.audit.rulesets import digest_of, document_of, parts_of
from chalicelib.domain.audit.tiles import (
    TILE_WIDTH,
    Edge,
    Tile,
    TileReader,
    bundle,
    bundles_between,
    edge_tiles,
    hashes_of,
    tile_at,
)
from chalicelib.domain.errors import NotFound
from chalicelib.domain.events import Actor, Event, EventType
from chalicelib.domain.instants import from_text, to_text
from chalicelib.usecases.cosigning import MOST_SILENT, Ask, Cosigned, cosign
from chalicelib.usecases.ports import Scope

SEQUENCER = Actor("system", "archive_events", "role")
RETENTION = timedelta(days=7 * 366)
"""How long every object is locked: seven years, none of them shorter than a leap year."""

MOST_WAITING = 4_000
"""How many waiting batches one round reads at most; a batch is one event to about a hundred."""

_JITTER = timedelta(seconds=30)
"""A schedule is never exact; without this an hourly heartbeat would come every hour and five minutes."""


class AuditRepository(Protocol):
    """Waiting events, assigned entries and heads. See ``chalicelib.store.audit_repository``."""

    def logs(self) -> list[LogName]:
        """Return every log that was ever begun."""
        ...

    def begin(self, log: LogName) -> None:
        """Make the log known to ``logs``; a known one stays as it is."""
        ...

    def close(self, log: LogName) -> None:
        """Mark the log as closed in ``logs``."""
        ...

    def enter(self, tenant: str, waiting: Sequence[Waiting]) -> list[str]:
        """Enter events that were never entered before; return the ids of those that must be tried again."""
        ...

    def waiting(self, log: LogName, limit: int) -> list[WaitingBatch]:
        """Return up to ``limit`` waiting batches by time, strongly consistent."""
        ...

    def head(self, log: LogName) -> LogHead:
        """Return the head, strongly consistent; one of version 0 when there is none."""
        ...

    def assign(self, head: LogHead, first: int, entries: Sequence[bytes]) -> bool:
        """Put the head over the one before it, and the entries from number ``first`` on; False when a rival was first."""
        ...

    def settle(self, log: LogName, batches: Sequence[WaitingBatch], numbers: Mapping[str, int]) -> None:
        """Take batches off the waiting list and note the numbers of their events; may be repeated."""
        ...

    def entries(self, log: LogName, first: int, end: int) -> list[bytes]:
        """Return the assigned entries [first, end)."""
        ...

    def advance(self, head: LogHead) -> bool:
        """Put the head over the one before it; False when a rival was first."""
        ...

    def forget(self, log: LogName, below: int) -> None:
        """Drop entries with numbers below ``below``: they are in full bundles. May be repeated."""
        ...

    def number_of(self, log: LogName, event_id: str) -> int | None:
        """Return the number that the event has in the log of its year, or None when it has none yet."""
        ...


class ArchiveFiles(Protocol):
    """What lies in the archive, to be read."""

    def read(self, path: str) -> bytes | None:
        """Return the object's bytes, or None."""
        ...


class ReadOnce:
    """The archive's files as they were when each was first asked for, so that all of one answer stands under one note."""

    def __init__(self, files: ArchiveFiles) -> None:
        """Take the files that are read."""
        self._files = files
        self._known: dict[str, bytes | None] = {}

    def read(self, path: str) -> bytes | None:
        """Return the object's bytes, or None."""
        if path not in self._known:
            self._known[path] = self._files.read(path)
        return self._known[path]


class ArchiveBucket(ArchiveFiles, Protocol):
    """The bucket under Object Lock. See ``chalicelib.gateways.archive_bucket``."""

    def put_once(self, path: str, body: bytes, *, retain_until: datetime) -> bool:
        """Put an object where there is none; False, and nothing is written, when there is one."""
        ...

    def replace(self, path: str, body: bytes, *, tag: str | None, retain_until: datetime) -> bool:
        """Put an object over the version with this tag (None: where there is none); False when another stands there."""
        ...

    def read_tagged(self, path: str) -> tuple[bytes, str] | None:
        """Return the object's bytes with the tag of their version, or None."""
        ...


class NoteSigner(Protocol):
    """A private key that signs notes. See ``chalicelib.gateways.signing_keys``."""

    def spki(self) -> bytes:
        """Return the public key in DER."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Return the signature over the message itself."""
        ...


@dataclass(frozen=True, slots=True)
class ArchivePorts:
    """What the sequencer needs.

    ``stamp`` takes a note and returns an authority's time stamp of it (RFC 3161); None where no authority is asked. It raises
    ``TimeUnavailable``. ``policy`` takes a lender and returns who must have seen its logs (None: nobody is asked), ``ask`` asks
    one of them. ``rule_documents`` takes a lender and digests of packs and atlases, and returns the documents that are known, by digest.
    """

    repository: AuditRepository
    bucket: ArchiveBucket
    signers: Sequence[NoteSigner]
    audit_domain: str
    rule_documents: Callable[[str, Iterable[str]], Mapping[str, bytes]]
    stamp: Callable[[bytes], bytes] | None = None
    policy: Callable[[str], Policy | None] | None = None
    ask: Ask | None = None


class ForkAlarm(Exception):
    """The archive holds something else than the log makes: the log stands still until people have looked."""

    def __init__(self, log: LogName, path: str) -> None:
        """Take the log and the path of the file that contradicts it."""
        super().__init__(f"{path} of log {log.prefix} contradicts what the log holds")
        self.log = log
        self.path = path


class KeysChanged(Exception):
    """Other keys than those that began the log would sign it; keys change with the year and with nothing else."""


class _Yield(Exception):
    """Another sequencer is at work on the log; it does what there is to do."""


@dataclass
class LogRun:
    """What a run did to one log."""

    log: LogName
    entered: int = 0
    size: int = 0
    published: bool = False
    stamped: bool | None = None
    witnesses: Cosigned | None = None
    before: int = 0
    state: str = "up to date"
    unknown_rule_sets: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "tenant": self.log.tenant,
            "year": self.log.year,
            "entered": self.entered,
            "size": self.size,
            "published": self.published,
            "stamped": self.stamped,
            "witnesses": self.witnesses.as_json() if self.witnesses is not None else None,
            "state": self.state,
            "unknown_rule_sets": self.unknown_rule_sets,
        }


# Entering


def enqueue_for_archive(
    repository: AuditRepository, events: Sequence[tuple[str, str, str, bytes]], tenant: str
) -> list[str]:
    """Enter (event id, type, at, canonical bytes) as waiting for their year's log, each once however often it comes.

    Returns the ids of those that could not be entered and must be delivered again, or can never be an entry.
    """
    waiting, failed = [], []
    for event_id, _, _, raw in events:
        try:
            waiting.append(waiting_of(raw))
        except BadRecord:
            failed.append(event_id)
    return failed + (repository.enter(tenant, waiting) if waiting else [])


def enqueue_events(repository: AuditRepository, events: Sequence[Event]) -> list[str]:
    """Enter events of any lenders; returns what ``enqueue_for_archive`` returns."""
    failed: list[str] = []
    for tenant in dict.fromkeys(event.tenant for event in events):
        own = [(e.id, e.type.value, e.at, e.canonical()) for e in events if e.tenant == tenant]
        failed += enqueue_for_archive(repository, own, tenant)
    return failed


def list_logs(repository: AuditRepository, scope: Scope) -> list[LogName]:
    """Return the lender's logs by year."""
    return sorted((log for log in repository.logs() if log.tenant == scope.tenant), key=lambda log: log.year)


# Sequencing


def run_archive(ports: ArchivePorts, *, now: datetime, tenant: str | None = None) -> list[dict[str, Any]]:
    """Bring every log (or every log of one lender) up to date and return what was done, log by log, as plain values.

    A log that fails does not keep the others from their turn; the failures are raised together at the end.
    """
    runs: list[LogRun] = []
    failures: list[Exception] = []
    known = sorted(
        (log for log in ports.repository.logs() if tenant in (None, log.tenant)), key=lambda log: (log.tenant, log.year)
    )
    for log in known:
        if log.closed:
            continue
        try:
            runs.append(_run_log(ports, log, now))
        except Exception as error:
            # Raised below, after the other logs had their turn.
            failures.append(error)
    # After everything that is our own work: a witness that takes its time makes no event wait.
    runs += [LogRun(log, state="closed") for log in known if log.closed and int(log.year) == now.year - 1]
    _ask_witnesses(ports, runs, now)
    if failures:
        raise ExceptionGroup("logs could not be brought up to date", failures)
    return [run.as_json() for run in runs if not run.log.closed or run.witnesses is not None]


def _ask_witnesses(ports: ArchivePorts, runs: Sequence[LogRun], now: datetime) -> None:
    """Have the newest notes cosigned, until too many witnesses were silent; each run begins with another log."""
    if ports.policy is None or ports.ask is None or not runs:
        return
    first = int(now.timestamp() // 300) % len(runs)
    silent = 0
    for run in [*runs[first:], *runs[:first]]:
        policy = ports.policy(run.log.tenant)
        if policy is None or silent >= MOST_SILENT:
            continue
        run.witnesses = cosign(
            ports.bucket, ports.ask, policy, run.log, before=run.before, now=now, retain_until=now + RETENTION
        )
        silent += len(run.witnesses.silent)


def lift_halt(repository: AuditRepository, log: LogName, *, path: str) -> bool:
    """Let a log go on that stands still because of ``path``, after people have settled why; False when it does not."""
    head = repository.head(log)
    if head.halted != path:
        return False
    return repository.advance(replace(head, halted=None, version=head.version + 1))


def _run_log(ports: ArchivePorts, log: LogName, now: datetime) -> LogRun:
    run = LogRun(log)
    try:
        _bring_up_to_date(ports, run, now)
    except _Yield:
        run.state = "another sequencer is at work"
    except ForkAlarm as alarm:
        _halt(ports, alarm)
        raise
    return run


def _bring_up_to_date(ports: ArchivePorts, run: LogRun, now: datetime) -> None:
    repository, log = ports.repository, run.log
    head = repository.head(log)
    if head.halted is not None:
        raise ForkAlarm(log, head.halted)
    before = repository.head(log.preceding())
    if before.version and not (before.closed and before.published == before.size):
        run.state = "waits for the year before"
        return
    note_keys = _note_keys(ports, log, head)
    if head.assigned != head.size:
        # An earlier run came this far; what it took may still stand on the waiting list.
        head = _integrate(ports, run, head, _waiting(ports, head, before), now)
    while True:
        waiting = _waiting(ports, head, before)
        taken = next_batches(waiting)
        entries, after = _next_entries(ports, head, before, waiting, taken, note_keys, now)
        if not entries:
            break
        if not repository.assign(after, head.assigned, entries):
            raise _Yield
        run.entered += len(entries)
        head = _integrate(ports, run, after, taken, now)
    run.size = head.size
    if head.size:
        _publish(ports, run, head, note_keys, now)
        # With each heartbeat, so every hour, and with the last note of a year.
        if ports.stamp is not None and run.published and head.beat_at == to_text(now):
            _stamp(ports, run, head, now)
    if head.closed:
        repository.close(log)
        repository.begin(log.following())
        run.state = "closed"


def _waiting(ports: ArchivePorts, head: LogHead, before: LogHead) -> list[WaitingBatch]:
    """Return the batches that wait for this log, and before them the stragglers of a year that was closed already."""
    stragglers = ports.repository.waiting(before.log, MOST_WAITING) if before.closed else []
    return stragglers + ports.repository.waiting(head.log, MOST_WAITING)


def _next_entries(
    ports: ArchivePorts,
    head: LogHead,
    before: LogHead,
    waiting: Sequence[WaitingBatch],
    taken: Sequence[WaitingBatch],
    note_keys: Sequence[NoteKey],
    now: datetime,
) -> tuple[list[bytes], LogHead]:
    """Return the entries to assign next and the head after them; none when there is nothing to say."""
    if head.closed:
        return [], head
    log = head.log
    events: list[bytes] = []
    if not head.assigned:
        event, head = _own_event(head, EventType.LOG_GENESIS, _genesis(ports, before, note_keys), now)
        head = replace(head, keys=tuple(key.id.hex() for key in note_keys))
        events.append(event)
    events += [event.raw for event in in_stream_order(event for batch in taken for event in batch.events)]
    if len(taken) == len(waiting):
        if head.beat_at is None or now - from_text(head.beat_at) >= HEARTBEAT - _JITTER:
            pending = sum(len(batch.events) for batch in waiting)
            event, head = _own_event(head, EventType.LOG_HEARTBEAT, {"pending": pending}, now)
            events.append(event)
        if now >= log.closes_at:
            event, head = _own_event(head, EventType.LOG_CLOSE, {"entries": head.assigned + len(events)}, now)
            events.append(event)
            head = replace(head, closed=True)
    origin, first = keys.origin(ports.audit_domain, log.tenant, log.year), head.assigned
    entries = [record_bytes(origin, number, event) for number, event in enumerate(events, start=first)]
    return entries, replace(head, assigned=first + len(entries), version=head.version + 1)


def _own_event(head: LogHead, event_type: EventType, data: Mapping[str, Any], now: datetime) -> tuple[bytes, LogHead]:
    """Return the log's own next event (canonical bytes) and the head after it."""
    event = Event(
        id=f"evt_log_{head.log.year}_{head.own_seq + 1:08d}",
        type=event_type,
        at=to_text(now),
        tenant=head.log.tenant,
        stream=f"log_{head.log.year}",
        seq=head.own_seq + 1,
        prev=head.own_prev,
        actor=SEQUENCER,
        req="archive_events",
        data=data,
    )
    return event.canonical(), replace(head, own_seq=event.seq, own_prev=event.digest(), beat_at=event.at)


def _genesis(ports: ArchivePorts, before: LogHead, note_keys: Sequence[NoteKey]) -> dict[str, Any]:
    previous = None
    if before.closed:
        note = ports.bucket.read(f"{before.log.prefix}checkpoint")
        if note is None:
            raise ForkAlarm(before.log, "checkpoint")
        origin = keys.origin(ports.audit_domain, before.log.tenant, before.log.year)
        previous = {"log": origin, "note": note.decode()}
    files = {name: hashlib.sha256(body).hexdigest() for name, body in _named_files(note_keys).items()}
    return {"previous": previous, "files": files}


def _named_files(note_keys: Sequence[NoteKey]) -> dict[str, bytes]:
    """Return name -> bytes of what the first entry names: the record's schema, and below the log its public keys."""
    files = {schema.PATH: schema.schema_bytes()}
    for key in note_keys:
        files[f"keys/{key.id.hex()}.vkey"] = f"{key.vkey}\n".encode()
        files[f"keys/{key.id.hex()}.spki.der"] = key.spki
    return files


def _integrate(
    ports: ArchivePorts, run: LogRun, head: LogHead, taken: Sequence[WaitingBatch], now: datetime
) -> LogHead:
    """Put into tiles what is assigned and not yet in tiles; return the head after it.

    Batches are numbered whole, so of ``taken`` those are settled whose first event has a number.
    """
    repository, log = ports.repository, head.log
    base = head.size // TILE_WIDTH * TILE_WIDTH
    entries = repository.entries(log, base, head.assigned)
    if len(entries) != head.assigned - base:
        if repository.head(log).version != head.version:
            # A rival has put them into full bundles since, and dropped them.
            raise _Yield
        raise LookupError(f"log {log.prefix} holds {len(entries)} of its assigned entries from {base} on")
    fresh = entries[head.size - base :]
    events = [parse_record(entry).event for entry in fresh]
    numbers = {event["id"]: number for number, event in enumerate(events, start=head.size)}
    repository.settle(log, [batch for batch in taken if batch.events[0].event_id in numbers], numbers)
    edge = _edge(ports, head, [merkle.leaf_hash(entry) for entry in entries[: head.size - base]])
    files = edge.append([merkle.leaf_hash(entry) for entry in fresh])
    for each in bundles_between(head.size, head.assigned):
        start = each.first_entry - base
        files.append((each, bundle(entries[start : start + each.width])))
    for tile, raw in files:
        _put_once(ports, log, tile.path, raw, now)
    _put_rule_sets(ports, run, events, now)
    after = replace(head, size=head.assigned, frontier=edge.frontier(), version=head.version + 1)
    if not repository.advance(after):
        raise _Yield
    repository.forget(log, after.size // TILE_WIDTH * TILE_WIDTH)
    return after


def _edge(ports: ArchivePorts, head: LogHead, leaves: Sequence[bytes]) -> Edge:
    """Return the log's right edge: its loose leaves, and above them the partial tiles as they lie in the archive."""
    rows: dict[int, Sequence[bytes]] = {0: leaves}
    for tile in edge_tiles(head.size):
        if tile.level:
            raw = ports.bucket.read(head.log.prefix + tile.path)
            if raw is None or len(raw) != tile.width * merkle.HASH_BYTES:
                raise ForkAlarm(head.log, tile.path)
            rows[tile.level] = hashes_of(raw)
    edge = Edge(head.size, [rows.get(level, []) for level in range(_levels(head.size))])
    if edge.frontier() != (head.frontier if head.size else Frontier()):
        raise ForkAlarm(head.log, "tile")
    return edge


def _levels(size: int) -> int:
    return max(1, (size.bit_length() + 7) // 8)


def _put_once(ports: ArchivePorts, log: LogName, path: str, body: bytes, now: datetime) -> None:
    """Put a file whose bytes follow from the entries; what stands there already must be the same bytes."""
    if ports.bucket.put_once(log.prefix + path, body, retain_until=now + RETENTION):
        return
    if ports.bucket.read(log.prefix + path) != body:
        raise ForkAlarm(log, path)


def _put_rule_sets(ports: ArchivePorts, run: LogRun, events: Sequence[Mapping[str, Any]], now: datetime) -> None:
    """Put each rule set that the decisions rest on, as the events state it, with its packs and atlas; name what is not known."""
    sets = {event["decision"]["ruleset"]: event["data"].get("rule_set") for event in events if "decision" in event}
    stated = {digest: stated for digest, stated in sets.items() if stated is not None and digest_of(stated) == digest}
    if not sets:
        return
    parts = {part for each in stated.values() for part in parts_of(each)}
    documents = {digest: document_of(each) for digest, each in stated.items()}
    documents |= ports.rule_documents(run.log.tenant, sorted(parts))
    for digest, body in documents.items():
        if hashlib.sha256(body).hexdigest() != digest:
            raise ValueError(f"the document of rule set {digest} has another digest")
        ports.bucket.put_once(f"rules/{digest}.json", body, retain_until=now + RETENTION)
    unknown = (parts | sets.keys()) - documents.keys()
    run.unknown_rule_sets = sorted({*run.unknown_rule_sets, *unknown})


# Publishing


def _note_keys(ports: ArchivePorts, log: LogName, head: LogHead) -> list[NoteKey]:
    """Return the public keys under the log's name. Raises KeysChanged when they are not those that began the log."""
    origin = keys.origin(ports.audit_domain, log.tenant, log.year)
    found = [NoteKey(origin, type_of(spki), spki) for spki in (signer.spki() for signer in ports.signers)]
    if not found:
        raise KeysChanged("there is no key to sign with")
    if head.keys and head.keys != tuple(key.id.hex() for key in found):
        raise KeysChanged(f"log {log.prefix} was begun under other keys")
    return found


def _publish(ports: ArchivePorts, run: LogRun, head: LogHead, note_keys: Sequence[NoteKey], now: datetime) -> None:
    """Sign the head and put the note, unless the archive's latest note is this head's already."""
    log, bucket = head.log, ports.bucket
    current = bucket.read_tagged(f"{log.prefix}checkpoint")
    last = _own_note(log, "checkpoint", current[0], note_keys) if current is not None else None
    if last is not None and last.size > head.size:
        if last.size > ports.repository.head(log).size:
            raise ForkAlarm(log, "checkpoint")
        raise _Yield
    if last is None and head.published:
        raise ForkAlarm(log, "checkpoint")
    _prove(ports, head, last)
    run.before = last.size if last is not None else 0
    if last is None or last.size < head.size:
        origin = keys.origin(ports.audit_domain, log.tenant, log.year)
        checkpoint = Checkpoint(origin, head.size, head.root)
        note = _signed(ports, checkpoint, note_keys)
        copy = f"checkpoints/{head.size:012d}"
        if not bucket.put_once(log.prefix + copy, note, retain_until=now + RETENTION):
            # An earlier run came this far. Signatures may differ from run to run; what they sign may not.
            note = bucket.read(log.prefix + copy) or b""
            if _own_note(log, copy, note, note_keys) != checkpoint:
                raise ForkAlarm(log, copy)
        for name, body in _named_files(note_keys).items():
            path = name if name == schema.PATH else log.prefix + name
            if not bucket.put_once(path, body, retain_until=now + RETENTION) and bucket.read(path) != body:
                raise ForkAlarm(log, path)
        tag = current[1] if current is not None else None
        if not bucket.replace(f"{log.prefix}checkpoint", note, tag=tag, retain_until=now + RETENTION):
            raise _Yield
        run.published = True
    if head.published < head.size:
        ports.repository.advance(replace(head, published=head.size, version=head.version + 1))


def _stamp(ports: ArchivePorts, run: LogRun, head: LogHead, now: datetime) -> None:
    """Put an authority's stamp of the note beside it. That there is none now keeps nothing from being archived."""
    assert ports.stamp is not None
    note = ports.bucket.read(f"{head.log.prefix}checkpoints/{head.size:012d}")
    if note is None:
        raise ForkAlarm(head.log, f"checkpoints/{head.size:012d}")
    try:
        token = ports.stamp(note)
    except TimeUnavailable:
        run.stamped = False
        return
    # A rival may have put one already: two stamps of one note say the same.
    ports.bucket.put_once(f"{head.log.prefix}anchors/{head.size:012d}.tsr", token, retain_until=now + RETENTION)
    run.stamped = True


def _prove(ports: ArchivePorts, head: LogHead, last: Checkpoint | None) -> None:
    """Prove from the tiles as they lie in the archive that they have this root and extend the last note."""

    def fetch(tile: Tile) -> bytes:
        raw = ports.bucket.read(head.log.prefix + tile.path)
        if raw is None:
            raise ForkAlarm(head.log, tile.path)
        return raw

    reader = TileReader(head.size, fetch)
    try:
        if merkle.root_at(head.size, reader) != head.root:
            raise ForkAlarm(head.log, "tile")
        if last is not None:
            proof = merkle.consistency_proof(last.size, head.size, reader)
            if not merkle.consistency_holds(last.size, last.root, head.size, head.root, proof):
                raise ForkAlarm(head.log, "checkpoint")
    except ValueError as error:
        raise ForkAlarm(head.log, "tile") from error


def _signed(ports: ArchivePorts, checkpoint: Checkpoint, note_keys: Sequence[NoteKey]) -> bytes:
    """Return the note, read back and verified as anybody else would."""
    text = checkpoint.text()
    lines = tuple(
        Signature(key.name, key.id, signer.sign(text.encode()))
        for key, signer in zip(note_keys, ports.signers, strict=True)
    )
    raw = Note(text, lines).as_bytes()
    note = parse_note(raw)
    if parse_checkpoint(note.text) != checkpoint or verified(note, note_keys) != tuple(note_keys):
        raise Unsigned("the note that was just signed does not verify")
    return raw


def _own_note(log: LogName, path: str, raw: bytes, note_keys: Sequence[NoteKey]) -> Checkpoint:
    """Return the checkpoint of a note in the archive. Raises ForkAlarm when this log's keys have not signed it."""
    try:
        note = parse_note(raw)
        verified(note, note_keys)
        checkpoint = parse_checkpoint(note.text)
    except (Malformed, Unsigned) as error:
        raise ForkAlarm(log, path) from error
    if checkpoint.origin != note_keys[0].name:
        raise ForkAlarm(log, path)
    return checkpoint


def _halt(ports: ArchivePorts, alarm: ForkAlarm) -> None:
    """Write down that the log stands still, so that no later run goes past the contradiction."""
    head = ports.repository.head(alarm.log)
    if head.version and head.halted is None:
        ports.repository.advance(replace(head, halted=alarm.path, version=head.version + 1))


# Reading

_OVER_A_NOTE = re.compile(r"anchors/[0-9]{12}\.tsr|cosigs/[0-9]{12}/[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""An authority's time stamp of a published note, or a witness's lines on it."""


def read_log_file(bucket: ArchiveFiles, scope: Scope, year: str, path: str) -> bytes:
    """Return a file of the lender's log, by its one spelling: ``checkpoint``, a published note, what is over it, or a tile.

    Raises NotFound for anything else and for what is not there.
    """
    copy = path.removeprefix("checkpoints/")
    is_copy = path.startswith("checkpoints/") and len(copy) == 12 and copy.isascii() and copy.isdigit()
    is_copy = is_copy or _OVER_A_NOTE.fullmatch(path) is not None
    is_year = len(year) == 4 and year.isascii() and year.isdigit()
    if not is_year or not (path == "checkpoint" or is_copy or tile_at(path) is not None):
        raise NotFound("log file", path)
    found = bucket.read(f"{LogName(scope.tenant, year).prefix}{path}")
    if found is None:
        raise NotFound("log file", path)
    return found


def newest_note(repository: AuditRepository, bucket: ArchiveFiles, scope: Scope) -> bytes | None:
    """Return the newest published note of the lender's newest log that has one, or None."""
    for log in reversed(list_logs(repository, scope)):
        note = bucket.read(f"{log.prefix}checkpoint")
        if note is not None:
            return note
    return None


def prove_event(repository: AuditRepository, bucket: ArchiveFiles, scope: Scope, event_id: str) -> bytes:
    """Return the ``.tlog-proof`` that an event is in one of the lender's logs: number, proof and signed note.

    Raises NotFound when no log has such an event, or none that is published yet.
    """
    for log in reversed(list_logs(repository, scope)):
        number = repository.number_of(log, event_id)
        if number is not None:
            return _proof(bucket, scope, log, number, event_id)
    raise NotFound("event", event_id)


def _proof(bucket: ArchiveFiles, scope: Scope, log: LogName, number: int, event_id: str) -> bytes:
    note = read_log_file(bucket, scope, log.year, "checkpoint")
    size = parse_checkpoint(parse_note(note).text).size
    if number >= size:
        raise NotFound("event", event_id)
    reader = TileReader(size, lambda tile: read_log_file(bucket, scope, log.year, tile.path))
    return proof_text(number, merkle.inclusion_proof(number, size, reader), note)


def proof_text(number: int, proof: Sequence[bytes], note: bytes) -> bytes:
    """Return the ``.tlog-proof`` of an entry: its number, the hashes up to the root, the signed note."""
    lines = ["c2sp.org/tlog-proof@v1", f"index {number}", *(base64.b64encode(node).decode() for node in proof), ""]
    return ("\n".join(lines) + "\n").encode() + note
