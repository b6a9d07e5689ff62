"""Records: where each row of a byte stream begins and ends, without decoding it and without holding more than one row.

A newline, a quotation mark, a comma, a semicolon and a tab are never part of a longer character in UTF-8 nor in GB18030,
so rows are split on bytes, and a byte range that was planned once can be read alone later.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from chalicelib.domain.intake.judge import MOST_LINE

BOM = b"\xef\xbb\xbf"
DELIMITERS = (b",", b"\t", b";")


@dataclass(slots=True)
class Record:
    """One row: bytes ``start`` to ``end`` (half-open, with its newline), first physical ``line`` from 1, and content.

    ``fault`` is the code of what makes it unreadable as a row; ``raw`` is then empty.
    """

    start: int
    end: int
    line: int
    raw: bytes
    fault: str = ""


@dataclass(slots=True)
class _Line:
    start: int
    end: int
    number: int
    raw: bytes
    is_whole: bool = True


def _lines(chunks: Iterable[bytes], *, offset: int, first_line: int) -> Iterator[_Line]:
    """Cut a stream into physical lines with their newlines; of a line above ``MOST_LINE`` only the place is kept."""
    rest, start, number = b"", offset, first_line
    dropped = 0
    for chunk in chunks:
        parts = (rest + chunk).split(b"\n")
        rest = parts.pop()
        for part in parts:
            end = start + dropped + len(part) + 1
            is_whole = not dropped and len(part) < MOST_LINE
            yield _Line(start, end, number, part + b"\n" if is_whole else b"", is_whole)
            start, dropped, number = end, 0, number + 1
        if len(rest) > MOST_LINE:
            dropped, rest = dropped + len(rest), b""
    if rest or dropped:
        yield _Line(start, start + dropped + len(rest), number, b"" if dropped else rest, not dropped)


def json_records(chunks: Iterable[bytes], *, offset: int = 0, first_line: int = 1) -> Iterator[Record]:
    """Yield the rows of JSON Lines; blank lines are no rows. ``offset`` and ``first_line`` place the stream in its file."""
    for line in _lines(chunks, offset=offset, first_line=first_line):
        raw = line.raw.strip().removeprefix(BOM).strip()
        if not line.is_whole:
            yield Record(line.start, line.end, line.number, b"", "line_too_long")
        elif raw:
            yield Record(line.start, line.end, line.number, raw)


def csv_records(chunks: Iterable[bytes], *, delimiter: bytes, offset: int = 0, first_line: int = 1) -> Iterator[Record]:
    """Yield the rows of a delimited file (RFC 4180, quoted newlines included); blank lines are no rows.

    A quotation mark that is never closed spoils its own line only: the lines after it are read again on their own.
    """
    source = _lines(chunks, offset=offset, first_line=first_line)
    again: deque[_Line] = deque()
    while True:
        line = again.popleft() if again else next(source, None)
        if line is None:
            return
        if not line.is_whole:
            yield Record(line.start, line.end, line.number, b"", "line_too_long")
            continue
        if not ends_inside_quotes(line.raw, delimiter, is_inside=False):
            raw = line.raw.rstrip(b"\r\n")
            if raw:
                yield Record(line.start, line.end, line.number, raw)
            continue
        held, size, is_inside = [line], len(line.raw), True
        while is_inside:
            more = again.popleft() if again else next(source, None)
            if more is None:
                break
            held.append(more)
            size += len(more.raw)
            if not more.is_whole or size > MOST_LINE:
                break
            is_inside = ends_inside_quotes(more.raw, delimiter, is_inside=True)
        if is_inside:
            yield Record(line.start, line.end, line.number, b"", "quote_unclosed")
            again.extendleft(reversed(held[1:]))
        else:
            raw = b"".join(part.raw for part in held).rstrip(b"\r\n")
            yield Record(line.start, held[-1].end, line.number, raw)


def ends_inside_quotes(line: bytes, delimiter: bytes, *, is_inside: bool) -> bool:
    """Tell whether a physical line ends inside a quoted cell; a mark opens a cell only at the cell's very beginning."""
    if not is_inside and b'"' not in line:
        return False
    place = 0
    while True:
        mark = line.find(b'"', place)
        if mark < 0:
            return is_inside
        if is_inside:
            if line[mark + 1 : mark + 2] == b'"':
                place = mark + 2
                continue
            is_inside = False
        elif mark == 0 or line[mark - 1 : mark] == delimiter:
            is_inside = True
        place = mark + 1


def delimiter_of(header: bytes) -> bytes:
    """Return the delimiter that a header line uses most: comma, tab or semicolon; a comma when none occurs."""
    return max(DELIMITERS, key=header.count)
