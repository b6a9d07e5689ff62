"""A file of what happened, one line a request, written before the request is answered.

The kernel holds a written line even when every process of the local cloud is killed in the same instant; only a machine
that loses power can lose it. A line is a JSON array of entries, and each entry is an array that begins with its kind.
Replaying a line twice leaves the same state, because entries name what is now so, never what to do.
"""

import json
import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

Entry = list[Any]


class Journal:
    """Appends lines to one file. Safe for threads; a line is written by one call and is whole or absent."""

    def __init__(self, path: Path) -> None:
        """Open the file for appending, and make it when it is missing."""
        self._path = path
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        _drop_torn_end(path)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def append(self, entries: Iterable[Entry]) -> None:
        """Write the entries as one line; returns when the kernel has them."""
        line = json.dumps(list(entries), separators=(",", ":"), ensure_ascii=True).encode() + b"\n"
        with self._lock:
            written = os.write(self._file, line)
            while written < len(line):
                written += os.write(self._file, line[written:])

    def size(self) -> int:
        """Return the file's bytes."""
        return os.fstat(self._file).st_size

    def replace(self, lines: Iterable[list[Entry]]) -> None:
        """Write a new file with these lines and put it in the old one's place in one step.

        Nobody may append meanwhile: the caller calls this before the first request or after the last.
        """
        fresh = self._path.with_suffix(".new")
        with fresh.open("wb") as out:
            for line in lines:
                out.write(json.dumps(line, separators=(",", ":"), ensure_ascii=True).encode() + b"\n")
        with self._lock:
            os.replace(fresh, self._path)
            os.close(self._file)
            self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def read(path: Path) -> Iterator[list[Entry]]:
    """Yield the lines of a journal in the order of writing; a file that is missing has none.

    A last line without its end was never acknowledged and is left out. Any other line that cannot be read raises
    ValueError: the file was damaged, and going on would lose what follows.
    """
    if not path.exists():
        return
    with path.open("rb") as lines:
        for raw in lines:
            if raw.endswith(b"\n"):
                yield json.loads(raw)


def _drop_torn_end(path: Path) -> None:
    """Cut off a last line without its end, so that the next line does not continue it."""
    if not path.exists() or path.stat().st_size == 0:
        return
    with path.open("rb+") as file:
        file.seek(-1, os.SEEK_END)
        if file.read(1) == b"\n":
            return
        file.seek(0)
        whole = file.read()
        file.truncate(whole.rfind(b"\n") + 1)
