"""A copy of the archive for an officer: which files it has, what its manifest says, and where it stands as a job.

What an export holds follows from what was asked for and from the checkpoint of each log, so that the same range under the
same checkpoints has the same bytes. Nothing sealed is opened for one.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

import rfc8785
from pydantic import BaseModel, ConfigDict

from chalicelib.domain.audit.tiles import TILE_WIDTH, Tile, bundles_between, tiles_between

LATE = timedelta(hours=24)
"""How long after its time an event is entered at the latest; the verifier's default bound is the same."""

SKEW = timedelta(minutes=1)
"""How far clocks may lie apart: an event may name a time that much after it was entered."""

LIFE = timedelta(days=7)
"""How long an export may be downloaded; the bucket removes it then."""

LINK_SECONDS = 300
"""How long a link to an export is good."""

MOST_FILES = 200_000
"""Files of one export: those of some twenty million entries. What is known of them while it is made stands in memory."""


class ExportState(StrEnum):
    """Where an export stands; the last two are final."""

    QUEUED = "queued"
    RUNNING = "running"
    PACKED = "packed"
    SIGNED = "signed"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ExportedLog(_Value):
    """What of a log an export holds: entries [first, end) under the note that was the newest when it began."""

    year: str
    origin: str
    size: int
    root: str
    first: int
    end: int


class AuditExport(_Value):
    """One export. ``subject`` is the case or person; ``first_day`` and ``last_day`` are UTC dates, both included.

    ``manifest`` is the SHA-256 (hex) of its manifest and ``note`` the signed note over it, once there are any; ``sha256``
    and ``bytes`` are the archive file's, once it is whole. ``problem`` is the code of why it failed; ``stalls`` counts how
    often the clock had to wake it, and ``due_at`` is when it looks next.
    """

    id: str
    kind: Literal["range", "case", "person"]
    subject: str | None = None
    first_day: str | None = None
    last_day: str | None = None
    state: ExportState = ExportState.QUEUED
    by: str
    requested_at: str
    finished_at: str | None = None
    logs: tuple[ExportedLog, ...] = ()
    entries: int = 0
    files: int = 0
    files_done: int = 0
    kept: int = 0
    manifest: str | None = None
    note: str | None = None
    sha256: str | None = None
    bytes: int | None = None
    problem: str | None = None
    stalls: int = 0
    due_at: str | None = None
    version: int = 1

    @property
    def progress(self) -> float:
        """Return the share of the files that is packed, 0 to 1."""
        if self.state is ExportState.SUCCEEDED:
            return 1.0
        return round(self.files_done / self.files, 4) if self.files else 0.0

    @property
    def origin(self) -> str:
        """Return the name of the newest of its logs, under which its manifest is signed."""
        return self.logs[-1].origin

    def asked(self) -> dict[str, Any]:
        """Return what was asked for, as manifest and events state it."""
        if self.kind == "range":
            return {"kind": self.kind, "from": self.first_day, "to": self.last_day}
        return {"kind": self.kind, self.kind: self.subject}


def numbers_between(
    size: int, read_instant: Callable[[int], datetime], begins: datetime, ends: datetime
) -> tuple[int, int]:
    """Return [first, end), on borders of bundles, of the entries in which every event of [begins, ends) stands.

    ``read_instant`` returns the time that an entry names. Entries are numbered as they are entered, up to ``LATE`` after
    their time, so what is entered before ``begins`` names an earlier time, and what is entered ``LATE`` after ``ends`` none
    before it; clocks may differ by ``SKEW``. A day more on each side is the price. The first and the last bundle show that
    nothing was cut off, where they are not the log's.
    """
    bundles = -(-size // TILE_WIDTH)

    def border(before: datetime) -> int:
        """Return a bundle at which times at its beginning go from before the instant to not before it."""
        low, high = -1, bundles
        while high - low > 1:
            middle = (low + high) // 2
            if read_instant(middle * TILE_WIDTH) < before:
                low = middle
            else:
                high = middle
        return high

    first = max(0, border(begins - LATE - SKEW) - 1)
    end = min(bundles, border(ends + LATE + SKEW) + 1)
    return first * TILE_WIDTH, min(size, end * TILE_WIDTH)


POLICY = "witnesses.policy"
"""The lender's policy of witnesses, as the operator set it, in an export. A verifier brings its own, and compares."""


def log_files(size: int, first: int, end: int, stamped: Iterable[int], cosigned: Iterable[str]) -> list[str]:
    """Return the paths below a log, sorted, of its note, all hash tiles, the bundles of [first, end), stamps and cosignatures.

    ``stamped`` are the sizes of published notes that an authority stamped, ``cosigned`` the paths of witnesses' lines
    (``cosigs/<size>/<witness>``): those on the newest note and on stamped ones come along.
    """
    tiles: list[Tile] = [*tiles_between(0, size), *bundles_between(0, size)]
    wanted = [tile for tile in tiles if tile.level >= 0 or first <= tile.first_entry < end]
    notes = {size, *(each for each in stamped if each <= size)}
    return sorted(
        [
            "checkpoint",
            *(f"checkpoints/{each:012d}" for each in notes),
            *(f"anchors/{each:012d}.tsr" for each in stamped if each <= size),
            *cosignatures_on(notes, cosigned),
            *(tile.path for tile in wanted),
        ]
    )


def cosignatures_on(sizes: Iterable[int], cosigned: Iterable[str]) -> list[str]:
    """Return those paths of witnesses' lines that are on the notes of these sizes."""
    wanted = {f"{size:012d}" for size in sizes}
    return [path for path in cosigned if path.split("/")[1] in wanted]


def manifest_bytes(export: AuditExport, streams: Mapping[str, int], files: Sequence[tuple[str, int, str]]) -> bytes:
    """Return the manifest: what was asked for, what of each log there is, and (path, size, SHA-256) of every file.

    ``streams`` says how many events of each stream stand in the logs up to these checkpoints; none for a range.
    """
    return rfc8785.dumps(
        {
            "v": 1,
            "asked": export.asked(),
            "log": export.origin,
            "logs": [log.model_dump(exclude={"year"}) for log in export.logs],
            "streams": dict(streams),
            "files": [{"path": path, "size": size, "sha256": digest} for path, size, digest in sorted(files)],
        }
    )


def statement(origin: str, manifest: str, at: str) -> str:
    """Return what the log signs about an export: its name, the manifest's SHA-256 (hex), and when it was signed.

    No checkpoint can be read out of it: a checkpoint's second line is a number.
    """
    return f"{origin}\nmanifest {manifest}\n{at}\n"


def digest_of(body: bytes) -> str:
    """Return the SHA-256 (hex) of a file."""
    return hashlib.sha256(body).hexdigest()
