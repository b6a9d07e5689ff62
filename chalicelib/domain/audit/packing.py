"""A ZIP that is written as it goes out in parts, can be left and gone on with, and whose bytes follow from its files.

Files are stored as they are: what a compressor makes of them differs between its versions, and hashes and ciphertext, which
is most of it, do not shrink. Times, owners and rights are the same in every archive.
"""

import base64
import io
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from chalicelib.domain.audit.export import digest_of

PART_BYTES = 8 * 1024**2
"""Bytes of each part but the last; S3 takes none under 5 MiB."""

_EPOCH = (1980, 1, 1, 0, 0, 0)


class UploadGone(Exception):
    """The upload that an archive's parts were put into is not there any more: somebody, or the bucket's rule, cancelled it."""


@dataclass(frozen=True, slots=True)
class PackedFile:
    """A file in the archive: path, bytes, CRC-32, SHA-256 (hex), and where its header begins."""

    path: str
    size: int
    crc: int
    sha256: str
    offset: int


class _Tail(io.RawIOBase):
    """A file whose beginning was sent off: what is left of it can be read and written, at its places in the whole."""

    def __init__(self, base: int, left: bytes) -> None:
        self.base, self._left, self._at = base, bytearray(left), base + len(left)

    def seekable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence != io.SEEK_SET or offset < self.base:
            raise OSError("that part of the file was sent off")
        self._at = offset
        return offset

    def write(self, data: Any) -> int:
        place, raw = self._at - self.base, bytes(data)
        self._left[place : place + len(raw)] = raw
        self._at += len(raw)
        return len(raw)

    def cut(self, count: int) -> bytes:
        part = bytes(self._left[:count])
        del self._left[:count]
        self.base += len(part)
        return part

    def left(self) -> bytes:
        return bytes(self._left)


class _OpenZip(ZipFile):
    """An archive that another worker may go on with: when it is forgotten, no directory is written."""

    def __del__(self) -> None:
        """Let go of the file, so that nothing is written to it."""
        self.fp = None


class Packing:
    """The archive as far as it is written. ``add`` files, ``part`` off what is full, ``close``, and take the ``rest``."""

    def __init__(self, files: tuple[PackedFile, ...] = (), sent: int = 0, left: bytes = b"") -> None:
        """Go on where ``kept`` left it: the files so far, how many bytes were sent off, and those that were not."""
        self.files = list(files)
        self._tail = _Tail(sent, left)
        self._zip = _OpenZip(self._tail, "w", ZIP_STORED, strict_timestamps=True)
        for file in files:
            known = _info(file.path)
            known.CRC, known.header_offset = file.crc, file.offset
            known.file_size = known.compress_size = file.size
            self._zip.filelist.append(known)
            self._zip.NameToInfo[file.path] = known

    @property
    def size(self) -> int:
        """Return how many bytes the archive has so far."""
        return self._tail.tell()

    def add(self, path: str, body: bytes) -> None:
        """Append a file."""
        info = _info(path)
        self._zip.writestr(info, body)
        self.files.append(PackedFile(path, len(body), info.CRC, digest_of(body), info.header_offset))

    def part(self) -> bytes | None:
        """Return the next full part, which is sent off with that; None until there is one."""
        if self._tail.tell() - self._tail.base < PART_BYTES:
            return None
        return self._tail.cut(PART_BYTES)

    def close(self) -> None:
        """Write the directory, its files by path."""
        self._zip.filelist.sort(key=lambda info: info.filename)
        self._zip.close()

    def rest(self) -> bytes:
        """Return what is left to send off."""
        return self._tail.cut(self._tail.tell() - self._tail.base)

    def kept(self) -> dict[str, Any]:
        """Return everything that ``resumed`` needs, as plain values."""
        rows = [[f.path, f.size, f.crc, f.sha256, f.offset] for f in self.files]
        return {"files": rows, "sent": self._tail.base, "left": base64.b64encode(self._tail.left()).decode()}


def resumed(kept: Mapping[str, Any]) -> Packing:
    """Return the archive as it was kept."""
    files = tuple(PackedFile(*row) for row in kept["files"])
    return Packing(files, kept["sent"], base64.b64decode(kept["left"]))


def packed_state(state: Mapping[str, Any]) -> bytes:
    """Return plain values as bytes to be kept."""
    return zlib.compress(json.dumps(state, separators=(",", ":")).encode(), 1)


def read_state(raw: bytes) -> dict[str, Any]:
    """Return the values of ``packed_state``."""
    state: dict[str, Any] = json.loads(zlib.decompress(raw))
    return state


def _info(path: str) -> ZipInfo:
    info = ZipInfo(path, _EPOCH)
    info.create_system, info.external_attr, info.compress_type = 3, 0o644 << 16, ZIP_STORED
    return info
