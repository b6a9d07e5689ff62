"""Exports of the archive for an officer: asked for, packed by a worker, signed by the archiver, downloaded by a link.

Every step may be repeated. A worker that runs out of time keeps what it has and is called again; a second one beside it
makes the same bytes. The worker holds no key: it can neither sign nor open what is sealed. What it has packed waits until
the archiver, who alone may use the log's keys, has signed the manifest; a manifest is signed once, so that the same export
comes out the same.
"""

import base64
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Protocol

from chalicelib.domain import keys
from chalicelib.domain.audit import export as exported
from chalicelib.domain.audit import merkle, schema
from chalicelib.domain.audit.export import AuditExport, ExportedLog, ExportState
from chalicelib.domain.audit.log import LogName
from chalicelib.domain.audit.notes import Note, NoteKey, Signature, parse_checkpoint, parse_note, type_of
from chalicelib.domain.audit.packing import Packing, UploadGone, packed_state, read_state, resumed
from chalicelib.domain.audit.record import parse_record
from chalicelib.domain.audit.rulesets import parts_of
from chalicelib.domain.audit.tiles import ENTRIES, TILE_WIDTH, Tile, TileReader, entries_of
from chalicelib.domain.concurrency import Conflict, retrying
from chalicelib.domain.errors import NotFound, StateConflict
from chalicelib.domain.events import Actor, Event, EventType
from chalicelib.domain.instants import from_text, to_text
from chalicelib.usecases.archive import (
    SEQUENCER,
    AuditRepository,
    NoteSigner,
    list_logs,
    proof_text,
)
from chalicelib.usecases.ports import Queues, Scope, Store

WORKER = Actor("system", "export_archive", "role")
QUEUE = "exports"

STALLED_AFTER = timedelta(minutes=15)
"""How long an export may go without a step before it is enqueued once more."""

MOST_STALLS = 12
"""How often that is done before the export is given up."""

SPARE_SECONDS = 30.0
"""Time that a worker keeps to write down what it has."""

_RULES = "rules/"
"""What stands in the plan for the rule sets that are known only once the entries were read."""


class ExportedFiles(Protocol):
    """The bucket that exports lie in until they are removed. See ``chalicelib.gateways.exports_bucket``."""

    def begin(self, key: str) -> str:
        """Begin an object that comes in parts and return the upload's id."""
        ...

    def put_part(self, key: str, upload: str, number: int, body: bytes) -> str:
        """Put a part, over the one that was put before under its number, and return its tag."""
        ...

    def complete(self, key: str, upload: str, tags: Sequence[str]) -> None:
        """Make the object of its parts; done again it changes nothing."""

    def digest(self, key: str) -> tuple[str, int]:
        """Return (SHA-256 in hex, bytes) of the object as it lies there."""
        ...

    def write(self, key: str, body: bytes) -> None:
        """Put an object."""

    def read(self, key: str) -> bytes:
        """Return an object's bytes."""
        ...

    def link(self, key: str, *, name: str, seconds: int) -> str:
        """Return an address under which whoever has it may download the object for so long."""
        ...


class LogFiles(Protocol):
    """The archive, for reading. See ``chalicelib.gateways.archive_bucket``."""

    def read(self, path: str) -> bytes | None:
        """Return the object's bytes, or None."""
        ...

    def names(self, prefix: str) -> list[str]:
        """Return the paths below a prefix in order."""
        ...


class Exports(Protocol):
    """Jobs. See ``chalicelib.store.export_repository``."""

    def export(self, scope: Scope, export: str) -> AuditExport | None:
        """Return the export."""
        ...

    def export_record(self, scope: Scope, export: AuditExport) -> Any:
        """Return its record."""

    def note(self, scope: Scope, manifest: str) -> str | None:
        """Return the note that was signed over a manifest, None before."""
        ...

    def note_record(self, scope: Scope, manifest: str, note: str) -> Any:
        """Return the record of that note."""

    def enter_unsigned(self, tenant: str, export: str) -> None:
        """List an export whose manifest waits for a signature."""

    def unsigned(self) -> list[tuple[str, str]]:
        """Return (lender, export) of those that are listed."""
        ...

    def leave_unsigned(self, tenant: str, export: str) -> None:
        """Take it off the list."""

    def cases_of(self, scope: Scope, person: str) -> list[str]:
        """Return the cases that the person's index names."""
        ...

    def stream(self, scope: Scope, aggregate_pk: str) -> list[Event]:
        """Return the events of a stream in order."""
        ...


@dataclass(frozen=True, slots=True)
class ExportPorts:
    """What the commands here need.

    ``guides`` returns the files that every export carries beside the archive's own, by path: how to verify it, and the verifier.
    """

    store: Store
    exports: Exports
    repository: AuditRepository
    archive: LogFiles
    files: ExportedFiles
    guides: Callable[[AuditExport], Mapping[str, bytes]]
    scope_for: Callable[[str], Scope]
    queues: Queues


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for: a range of UTC dates, both included, or the case or person of this id."""

    id: str
    kind: str
    subject: str | None = None
    first_day: str | None = None
    last_day: str | None = None


def project(exports: Exports, events: Sequence[Event]) -> list[str]:
    """List the exports whose manifest waits for a signature. Returns no failures."""
    for event in events:
        if event.type is EventType.ARCHIVE_EXPORT_PACKED:
            exports.enter_unsigned(event.tenant, event.data["export"])
    return []


# Asking, looking, downloading


def request_export(
    ports: ExportPorts, scope: Scope, asked: Asked, *, actor: Actor, now: datetime, req: str
) -> AuditExport:
    """Write an export down and return it; the one that is there when the same request comes again.

    Raises NotFound for a case or person of which the lender has no event.
    """
    if asked.kind != "range" and not _streams(ports, scope, asked.kind, str(asked.subject)):
        raise NotFound(asked.kind, str(asked.subject))
    export = AuditExport.model_validate(
        {
            "id": asked.id,
            "kind": asked.kind,
            "subject": asked.subject,
            "first_day": asked.first_day,
            "last_day": asked.last_day,
            "by": actor.id,
            "requested_at": to_text(now),
            "due_at": to_text(now + STALLED_AFTER),
        }
    )
    unit = ports.store.unit(scope, actor=actor, req=req, now=now)
    unit.create(ports.exports.export_record(scope, export))
    data = {
        "export": export.id,
        "kind": export.kind,
        "subject": export.subject,
        "first_day": export.first_day,
        "last_day": export.last_day,
    }
    unit.emit(keys.audit_export_pk(scope.tenant, export.id), EventType.ARCHIVE_EXPORT_REQUESTED, data, fresh=True)
    try:
        unit.commit()
    except Conflict:
        known = ports.exports.export(scope, asked.id)
        if known is None:
            raise
        return known
    return export


def get_export(ports: ExportPorts, scope: Scope, identity: str) -> AuditExport:
    """Return the export. Raises NotFound."""
    export = ports.exports.export(scope, identity)
    if export is None:
        raise NotFound("export", identity)
    return export


def download(
    ports: ExportPorts, scope: Scope, identity: str, *, actor: Actor, now: datetime, req: str
) -> tuple[AuditExport, str]:
    """Record that somebody is given an export, and return it with a link that is good for five minutes.

    Raises NotFound; StateConflict while it is not made (``not_ready``) and when it was removed (``export_expired``).
    """

    def once() -> AuditExport:
        export = get_export(ports, scope, identity)
        if export.state is not ExportState.SUCCEEDED or export.finished_at is None:
            raise StateConflict("not_ready", f"the export is {export.state}")
        if now >= from_text(export.finished_at) + exported.LIFE:
            raise StateConflict("export_expired", "the export was removed; ask for it again")
        unit = ports.store.unit(scope, actor=actor, req=req, now=now)
        pk = keys.audit_export_pk(scope.tenant, identity)
        unit.emit(pk, EventType.ARCHIVE_DOWNLOADED, {"export": identity, "sha256": export.sha256})
        unit.commit()
        return export

    export = retrying(once)
    name = f"audit-{scope.tenant}-{identity}.zip"
    return export, ports.files.link(_key(scope, identity), name=name, seconds=exported.LINK_SECONDS)


def _key(scope: Scope, identity: str) -> str:
    return f"{scope.tenant}/{identity}.zip"


# Working


def work(
    ports: ExportPorts,
    body: Mapping[str, Any],
    *,
    clock: Callable[[], datetime],
    seconds_left: Callable[[], float],
    req: str,
) -> None:
    """Pack an export as far as the time suffices, or end one whose manifest was signed: ``body`` is ``{tenant, export}``.

    Raises NotFound when there is no such export.
    """
    scope = ports.scope_for(body["tenant"])
    export = get_export(ports, scope, body["export"])
    try:
        if export.state is ExportState.QUEUED:
            export = _plan(ports, scope, export, now=clock(), req=req)
        if export.state not in (ExportState.RUNNING, ExportState.SIGNED):
            return
        try:
            ended = _pack(ports, scope, export, clock=clock, seconds_left=seconds_left, req=req)
        except UploadGone:
            _begin_again(ports, scope, export, now=clock(), req=req)
            ended = False
        if not ended:
            ports.queues.send(QUEUE, [dict(body)])
    except Conflict:
        # The same message was worked on twice at once: the other worker has come as far, with the same bytes.
        return


def _plan(ports: ExportPorts, scope: Scope, export: AuditExport, *, now: datetime, req: str) -> AuditExport:
    """Fix the checkpoints and list the files; return the export as it is then."""
    logs = [log for log in (_published(ports, log) for log in list_logs(ports.repository, scope)) if log is not None]
    streams: dict[str, list[tuple[str, int, int]]] = {}
    if export.kind == "range":
        begins = datetime.combine(date.fromisoformat(export.first_day or ""), datetime.min.time(), tzinfo=UTC)
        ends = datetime.combine(date.fromisoformat(export.last_day or ""), datetime.min.time(), tzinfo=UTC)
        ends += timedelta(days=1)
        wanted = [log for log in logs if begins.year <= int(log.year) <= (ends + exported.LATE).year]
        logs = [_cut(ports, scope, log, begins, ends) for log in wanted]
    else:
        streams = _numbered(ports, scope, export, {log.year: log for log in logs})
        named = {year for places in streams.values() for year, _, _ in places}
        logs = [log for log in logs if log.year in named]
    if not logs:
        return _fail(ports, scope, export, "nothing_archived", now=now, req=req)
    entries = sum(len(places) for places in streams.values()) or sum(log.end - log.first for log in logs)
    export = export.model_copy(update={"logs": tuple(logs), "entries": entries})
    todo = [path for log in logs for path in _paths_of(ports, scope, export, log)]
    todo += [
        f"proofs/{stream}/{seq:08d}.{kind}@{year}/{number}"
        for stream, places in sorted(streams.items())
        for year, seq, number in places
        for kind in ("json", "tlog-proof")
    ]
    guides = [*ports.guides(export), schema.PATH]
    todo += [_RULES, *sorted(guides)]
    todo += [exported.POLICY] * (ports.store.witness_policy(scope) is not None)
    if len(todo) > exported.MOST_FILES:
        return _fail(ports, scope, export, "too_large", now=now, req=req)
    state = {
        "planned": todo,
        "streams": {stream: len(places) for stream, places in streams.items()},
        **_from_nothing(ports, scope, export, todo),
    }
    return _keep(ports, scope, export, state, {"state": ExportState.RUNNING}, now=now, req=req)


def _from_nothing(ports: ExportPorts, scope: Scope, export: AuditExport, planned: Sequence[str]) -> dict[str, Any]:
    upload = ports.files.begin(_key(scope, export.id))
    return {"todo": list(planned), "rule_sets": [], "upload": upload, "tags": [], **Packing().kept()}


def _begin_again(ports: ExportPorts, scope: Scope, export: AuditExport, *, now: datetime, req: str) -> None:
    """Pack from the first file on, into a new upload: the same plan gives the same bytes, so that a signature still fits."""
    state = read_state(ports.files.read(_state_key(scope, export.id, export.kept)))
    again = {**state, **_from_nothing(ports, scope, export, state["planned"])}
    _keep(ports, scope, export, again, {}, now=now, req=req)


def _published(ports: ExportPorts, log: LogName) -> ExportedLog | None:
    note = ports.archive.read(f"{log.prefix}checkpoint")
    if note is None:
        return None
    checkpoint = parse_checkpoint(parse_note(note).text)
    root = base64.b64encode(checkpoint.root).decode()
    return ExportedLog(
        year=log.year, origin=checkpoint.origin, size=checkpoint.size, root=root, first=0, end=checkpoint.size
    )


def _cut(ports: ExportPorts, scope: Scope, log: ExportedLog, begins: datetime, ends: datetime) -> ExportedLog:
    def instant(number: int) -> datetime:
        return from_text(_record(ports, scope, log, number)["at"])

    first, end = exported.numbers_between(log.size, instant, begins, ends)
    return log.model_copy(update={"first": first, "end": end})


def _record(ports: ExportPorts, scope: Scope, log: ExportedLog, number: int) -> Mapping[str, Any]:
    return parse_record(_entry(ports, scope, log, number)).event


def _entry(ports: ExportPorts, scope: Scope, log: ExportedLog, number: int) -> bytes:
    index, place = divmod(number, TILE_WIDTH)
    bundle = Tile(ENTRIES, index, min(TILE_WIDTH, log.size - index * TILE_WIDTH))
    return entries_of(_read(ports, f"{scope.tenant}/{log.year}/{bundle.path}"))[place]


def _read(ports: ExportPorts, path: str) -> bytes:
    raw = ports.archive.read(path)
    if raw is None:
        raise LookupError(f"the archive lacks {path}")
    return raw


def _paths_of(ports: ExportPorts, scope: Scope, export: AuditExport, log: ExportedLog) -> list[str]:
    prefix = LogName(scope.tenant, log.year).prefix
    stamped = [int(name[-16:-4]) for name in ports.archive.names(f"{prefix}anchors/")]
    cosigned = [name.removeprefix(prefix) for name in ports.archive.names(f"{prefix}cosigs/")]
    named = ports.archive.names(f"{prefix}keys/")
    if export.kind != "range":
        paths = ["checkpoint", f"checkpoints/{log.size:012d}"]
        paths += [f"anchors/{log.size:012d}.tsr"] * (log.size in stamped)
        paths += exported.cosignatures_on([log.size], cosigned)
    else:
        paths = exported.log_files(log.size, log.first, log.end, stamped, cosigned)
    return sorted([*(prefix + path for path in paths), *named])


def _streams(ports: ExportPorts, scope: Scope, kind: str, subject: str) -> dict[str, list[Event]]:
    """Return the events of each stream that a case or person has: of a person their own, and those of all their cases."""
    if kind == "case":
        found = {subject: ports.exports.stream(scope, keys.case_pk(scope.tenant, subject))}
    else:
        own = ports.exports.stream(scope, keys.person_pk(scope.tenant, subject))
        # The index rows of an erased person are gone; the event of the erasure names the cases.
        erased = {str(case) for event in own for case in event.data.get("cases") or ()}
        cases = sorted({*ports.exports.cases_of(scope, subject), *erased})
        found = {case: ports.exports.stream(scope, keys.case_pk(scope.tenant, case)) for case in cases}
        found[subject] = own
    return {stream: events for stream, events in found.items() if events}


def _numbered(
    ports: ExportPorts, scope: Scope, export: AuditExport, logs: Mapping[str, ExportedLog]
) -> dict[str, list[tuple[str, int, int]]]:
    """Return (year, number in the stream, number in the log) of the events that are published, by stream."""
    found: dict[str, list[tuple[str, int, int]]] = {}
    for stream, events in _streams(ports, scope, export.kind, str(export.subject)).items():
        for event in events:
            for year, log in logs.items():
                # A straggler stands in the next year's log, so its time does not name its log.
                number = ports.repository.number_of(LogName(scope.tenant, year), event.id)
                if number is not None and number < log.size:
                    found.setdefault(stream, []).append((year, event.seq, number))
    return found


def _pack(
    ports: ExportPorts,
    scope: Scope,
    export: AuditExport,
    *,
    clock: Callable[[], datetime],
    seconds_left: Callable[[], float],
    req: str,
) -> bool:
    """Pack what is left; False when the time did not suffice to end it."""
    state = read_state(ports.files.read(_state_key(scope, export.id, export.kept)))
    packing, todo, rule_sets = resumed(state), list(state["todo"]), set(state["rule_sets"])
    source = _Source(ports, scope, export)
    while todo and seconds_left() > SPARE_SECONDS:
        path = todo.pop(0)
        if path == _RULES:
            todo[:0] = sorted(f"rules/{digest}.json" for digest in _rules_of(ports, rule_sets))
            continue
        name, body = source.file(path)
        rule_sets |= _rule_sets_in(name, body)
        packing.add(name, body)
        _send_parts(ports, scope, export, state, packing)
    state |= {"todo": todo, "rule_sets": sorted(rule_sets), **packing.kept()}
    if todo:
        _keep(ports, scope, export, state, {}, now=clock(), req=req)
        return False
    rows = [(file.path, file.size, file.sha256) for file in packing.files if not file.path.startswith("manifest.")]
    manifest = exported.manifest_bytes(export, state["streams"], rows)
    digest = exported.digest_of(manifest)
    note = ports.exports.note(scope, digest)
    if note is None:
        now = clock()
        unit = ports.store.unit(scope, actor=WORKER, req=req, now=now)
        data = {"export": export.id, "manifest": digest}
        unit.emit(keys.audit_export_pk(scope.tenant, export.id), EventType.ARCHIVE_EXPORT_PACKED, data)
        packed = {"state": ExportState.PACKED, "manifest": digest}
        _keep(ports, scope, export, state, packed, now=now, req=req, unit=unit)
        return True
    packing.add("manifest.json", manifest)
    packing.add("manifest.note", note.encode())
    packing.close()
    _send_parts(ports, scope, export, state, packing)
    key, tags = _key(scope, export.id), state["tags"]
    last = packing.rest()
    if last:
        tags.append(ports.files.put_part(key, state["upload"], len(tags) + 1, last))
    ports.files.complete(key, state["upload"], tags)
    sha256, count = ports.files.digest(key)
    made = {"sha256": sha256, "bytes": count, "manifest": digest, "note": note, "files": len(packing.files)}
    _end(ports, scope, export.model_copy(update=made), ExportState.SUCCEEDED, now=clock(), req=req)
    return True


def _send_parts(ports: ExportPorts, scope: Scope, export: AuditExport, state: dict[str, Any], packing: Packing) -> None:
    while (part := packing.part()) is not None:
        number = len(state["tags"]) + 1
        state["tags"].append(ports.files.put_part(_key(scope, export.id), state["upload"], number, part))


class _Source:
    """Where the files of an export come from, by their place in its plan."""

    def __init__(self, ports: ExportPorts, scope: Scope, export: AuditExport) -> None:
        self._ports, self._scope, self._export = ports, scope, export
        self._logs = {log.year: log for log in export.logs}
        self._readers: dict[str, TileReader] = {}
        self._guides: Mapping[str, bytes] | None = None

    def file(self, planned: str) -> tuple[str, bytes]:
        """Return (path in the export, bytes)."""
        path, at, place = planned.partition("@")
        if at:
            year, _, number = place.partition("/")
            return path, self._proved(path, self._logs[year], int(number))
        # The newest note has moved on since: what is exported is the one that was the newest when the export began.
        prefix, slash, name = planned.rpartition("/")
        if name == "checkpoint" and slash:
            size = self._logs[prefix.rpartition("/")[2]].size
            return planned, _read(self._ports, f"{prefix}/checkpoints/{size:012d}")
        if planned.startswith((f"{self._scope.tenant}/", _RULES)) or planned == schema.PATH:
            return planned, _read(self._ports, planned)
        if planned == exported.POLICY:
            return planned, self._policy()
        if self._guides is None:
            self._guides = self._ports.guides(self._export)
        return planned, self._guides[planned]

    def _policy(self) -> bytes:
        known = self._ports.store.witness_policy(self._scope)
        if known is None:
            raise LookupError("the policy of witnesses that there was is gone")
        return known.text.encode()

    def _proved(self, path: str, log: ExportedLog, number: int) -> bytes:
        if path.endswith(".json"):
            return _entry(self._ports, self._scope, log, number)
        prefix = LogName(self._scope.tenant, log.year).prefix
        if log.year not in self._readers:
            self._readers[log.year] = TileReader(log.size, lambda tile: _read(self._ports, prefix + tile.path))
        proof = merkle.inclusion_proof(number, log.size, self._readers[log.year])
        return proof_text(number, proof, _read(self._ports, f"{prefix}checkpoints/{log.size:012d}"))


def _rule_sets_in(path: str, body: bytes) -> set[str]:
    """Return the digests of the rule sets that the entries in a file rest on; it is no file of entries, none."""
    if path.startswith("proofs/") and path.endswith(".json"):
        entries = [body]
    elif "/tile/entries/" in path:
        entries = entries_of(body)
    else:
        return set()
    # Most entries are no ruling, and reading each as JSON takes longer than all the rest.
    told = (json.loads(entry)["event"] for entry in entries if b'"ruleset":' in entry)
    return {event["decision"]["ruleset"] for event in told if "decision" in event}


def _rules_of(ports: ExportPorts, rule_sets: Iterable[str]) -> set[str]:
    """Return the digests of those rule sets and their parts that the archive holds."""
    found: set[str] = set()
    for digest in rule_sets:
        raw = ports.archive.read(f"rules/{digest}.json")
        if raw is not None:
            found |= {digest, *parts_of(json.loads(raw))}
    return {each for each in found if ports.archive.names(f"rules/{each}.json")}


def _state_key(scope: Scope, identity: str, kept: int) -> str:
    return f"work/{scope.tenant}/{identity}/{kept}"


def _keep(
    ports: ExportPorts,
    scope: Scope,
    export: AuditExport,
    state: Mapping[str, Any],
    changes: Mapping[str, Any],
    *,
    now: datetime,
    req: str,
    unit: Any = None,
) -> AuditExport:
    """Write down how far an export has come, with what else is in the unit. Raises Conflict when somebody else has come further."""
    later = export.model_copy(
        update={
            # Those that are planned, and the manifest with its note.
            "files": len(state["files"]) + len(set(state["todo"]) - {_RULES}) + 2,
            "files_done": len(state["files"]),
            "kept": export.version + 1,
            "due_at": to_text(now + STALLED_AFTER),
            "stalls": 0,
            "version": export.version + 1,
            **changes,
        }
    )
    ports.files.write(_state_key(scope, export.id, later.kept), packed_state(state))
    unit = unit or ports.store.unit(scope, actor=WORKER, req=req, now=now)
    unit.replace(ports.exports.export_record(scope, later), expected=export.version)
    unit.commit()
    return later


def _fail(
    ports: ExportPorts, scope: Scope, export: AuditExport, problem: str, *, now: datetime, req: str
) -> AuditExport:
    failed = export.model_copy(update={"problem": problem, "logs": (), "entries": 0})
    return _end(ports, scope, failed, ExportState.FAILED, now=now, req=req)


def _end(
    ports: ExportPorts, scope: Scope, export: AuditExport, state: ExportState, *, now: datetime, req: str
) -> AuditExport:
    ended = export.model_copy(
        update={
            "state": state,
            "files_done": export.files,
            "finished_at": to_text(now),
            "due_at": None,
            "version": export.version + 1,
        }
    )
    unit = ports.store.unit(scope, actor=WORKER, req=req, now=now)
    unit.replace(ports.exports.export_record(scope, ended), expected=export.version)
    data = {
        "export": ended.id,
        "state": state.value,
        "code": ended.problem,
        "entries": ended.entries,
        "bytes": ended.bytes,
        "manifest": ended.manifest,
        "sha256": ended.sha256,
    }
    unit.emit(keys.audit_export_pk(scope.tenant, ended.id), EventType.ARCHIVE_EXPORT_FINISHED, data)
    unit.commit()
    return ended


def resume(ports: ExportPorts, scope: Scope, identity: str, *, now: datetime) -> str | None:
    """Enqueue an export that has stalled once more, or give it up; None when there is nothing to do.

    Raises Conflict when it moved on at the same moment.
    """
    export = ports.exports.export(scope, identity)
    if export is None or export.due_at is None or export.due_at > to_text(now):
        return None
    if export.stalls >= MOST_STALLS:
        _fail(ports, scope, export, "stalled", now=now, req=identity)
        return "failed"
    later = export.model_copy(
        update={
            "stalls": export.stalls + 1,
            "due_at": to_text(now + STALLED_AFTER),
            "version": export.version + 1,
        }
    )
    unit = ports.store.unit(scope, actor=WORKER, req=identity, now=now)
    unit.replace(ports.exports.export_record(scope, later), expected=export.version)
    unit.commit()
    if export.state is not ExportState.PACKED:
        ports.queues.send(QUEUE, [{"tenant": scope.tenant, "export": identity}])
    return "resumed"


# Signing


def sign_manifests(ports: ExportPorts, signers: Sequence[NoteSigner], *, now: datetime, req: str) -> int:
    """Sign the manifest of every export that waits for it, each once, and return how many were signed.

    What is signed is a sentence about a digest, made here: nothing that waits can make it a checkpoint.
    """
    count = 0
    for tenant, identity in ports.exports.unsigned():
        scope = ports.scope_for(tenant)
        if _sign(ports, scope, identity, signers, now=now, req=req):
            count += 1
        ports.exports.leave_unsigned(tenant, identity)
    return count


def _sign(
    ports: ExportPorts, scope: Scope, identity: str, signers: Sequence[NoteSigner], *, now: datetime, req: str
) -> bool:
    def once() -> bool:
        export = get_export(ports, scope, identity)
        if export.state is not ExportState.PACKED or export.manifest is None:
            return False
        unit = ports.store.unit(scope, actor=SEQUENCER, req=req, now=now)
        note = ports.exports.note(scope, export.manifest)
        if note is None:
            note = _signed(exported.statement(export.origin, export.manifest, to_text(now)), export.origin, signers)
            unit.create(ports.exports.note_record(scope, export.manifest, note))
        signed = export.model_copy(
            update={
                "state": ExportState.SIGNED,
                "due_at": to_text(now + STALLED_AFTER),
                "version": export.version + 1,
            }
        )
        unit.replace(ports.exports.export_record(scope, signed), expected=export.version)
        data = {"export": identity, "manifest": export.manifest}
        unit.emit(keys.audit_export_pk(scope.tenant, identity), EventType.ARCHIVE_EXPORT_SIGNED, data)
        unit.commit()
        return True

    return retrying(once)


def _signed(text: str, origin: str, signers: Sequence[NoteSigner]) -> str:
    lines = []
    for signer in signers:
        spki = signer.spki()
        key = NoteKey(origin, type_of(spki), spki)
        lines.append(Signature(origin, key.id, signer.sign(text.encode())))
    return Note(text, tuple(lines)).as_bytes().decode()
