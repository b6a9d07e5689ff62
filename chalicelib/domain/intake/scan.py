"""Scan, plan, read: one streaming pass decides whether a file is taken at all and where it is cut; chunks are read later.

A refused file has made no case. A plan's chunks are byte ranges that end between rows, so workers read them alone, in
any order, again and again, with the same rows and row numbers each time.
"""

import csv
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from chalicelib.domain.intake.columns import (
    Header,
    HeaderFault,
    Leaf,
    Slot,
    column_name,
    currency_digits,
    tree,
    understand,
)
from chalicelib.domain.intake.judge import Document, Path, Taken, json_path, judge, parse_object
from chalicelib.domain.intake.records import BOM, Record, csv_records, delimiter_of, json_records
from chalicelib.domain.intake.rejections import BatchRefusal, Problem, Rejection, rejection, shape
from chalicelib.domain.intake.values import minor_units

CSV, JSONL, XLSX = "csv", "jsonl", "xlsx"
STAGED = "staged"
"""The format of chunks that were converted out of a workbook: one JSON object a row with its cells."""

MOST_BYTES = 2 * 1024**3
MOST_ROWS = 1_000_000
ROWS_PER_CHUNK = 250
BYTES_PER_CHUNK = 4 * 1024**2

Totals = dict[str, dict[str, int]]
"""Column -> currency -> minor units."""

TakenRow = TypeVar("TakenRow")
Judged = TypeVar("Judged", covariant=True)


class Judge(Protocol[Judged]):
    """What decides on a row's document. See ``judge.judge``."""

    def __call__(
        self,
        document: Document,
        *,
        row: int,
        line: int,
        lender: str | None = None,
        name: Callable[[Path], str] = json_path,
        earlier: tuple[Problem, ...] = (),
    ) -> Judged | Rejection:
        """Return the row, or its rejection."""
        ...


@dataclass(frozen=True, slots=True)
class Schema(Generic[TakenRow]):
    """What the rows of a kind of file are: how a header is understood, how a document is judged, and whether it has money."""

    understand: Callable[[Sequence[str], Mapping[str, str] | None], Header | HeaderFault]
    judge: Judge[TakenRow]
    has_money: bool


PORTFOLIO: Schema[Taken] = Schema(understand, judge, True)
"""The rows of a portfolio, see ``row.Row``."""


@dataclass(frozen=True, slots=True)
class Control:
    """What the sender says the file holds; None is not announced. Totals are compared for the columns it names."""

    rows: int | None = None
    totals: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    sha256: str | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows ``first_row`` to ``first_row + rows - 1``: bytes ``start`` to ``end`` (half-open), or the blob ``blob``."""

    number: int
    first_row: int
    rows: int
    first_line: int
    start: int
    end: int
    blob: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """A file that was taken. ``uncounted`` money cells could not be read and are outside the totals."""

    format: str
    encoding: str
    delimiter: str
    titles: tuple[str, ...]
    size: int
    sha256: str
    rows: int
    totals: Totals
    uncounted: int
    chunks: tuple[Chunk, ...]


class Counter:
    """Adds up rows and money columns, and cuts the rows into chunks."""

    def __init__(self, rows_per_chunk: int) -> None:
        """Start at zero rows; a chunk holds at most ``rows_per_chunk`` rows and about ``BYTES_PER_CHUNK`` bytes."""
        self._most = rows_per_chunk
        self.rows = 0
        self.uncounted = 0
        self.totals: Totals = {}
        self.chunks: list[Chunk] = []
        self._open: Chunk | None = None

    def row(self, start: int, end: int, line: int) -> None:
        """Count a row that occupies bytes ``start`` to ``end``."""
        self.rows += 1
        known = self._open
        if known is None or known.rows >= self._most or end - known.start > BYTES_PER_CHUNK:
            self.close()
            self._open = Chunk(len(self.chunks), self.rows, 1, line, start, end)
        else:
            self._open = Chunk(known.number, known.first_row, known.rows + 1, known.first_line, known.start, end)

    def close(self) -> None:
        """End the open chunk."""
        if self._open is not None:
            self.chunks.append(self._open)
            self._open = None

    def add(self, column: str, currency: str, minor: int) -> None:
        """Add an amount to a column's total."""
        by_currency = self.totals.setdefault(column, {})
        by_currency[currency] = by_currency.get(currency, 0) + minor


def scan(
    chunks: Iterable[bytes],
    *,
    format: str,
    control: Control | None = None,
    mapping: Mapping[str, str] | None = None,
    encoding: str | None = None,
    rows_per_chunk: int = ROWS_PER_CHUNK,
    schema: Schema[Any] = PORTFOLIO,
) -> Plan | BatchRefusal:
    """Return the plan of a CSV or JSON Lines stream in one pass and constant memory, or why the file is refused.

    ``mapping`` is the lender's own header -> column name (or ``ignore``). ``encoding`` (``utf-8``, ``gb18030``) is what
    the lender says it is; None is found out, and what is valid in both is taken as UTF-8. Raises ValueError for another
    format.
    """
    if format not in (CSV, JSONL):
        raise ValueError(f"{format} is not read by scan")
    measured = Measured(chunks)
    pushed = _Peeked(iter(measured))
    refused = _wrong_beginning(pushed.head(), format)
    if refused is not None:
        return refused
    outcome = (
        _scan_csv(pushed, measured, mapping, Encodings(encoding), rows_per_chunk, schema)
        if format == CSV
        else _scan_json(pushed, measured, Encodings(encoding), rows_per_chunk, schema)
    )
    if isinstance(outcome, Plan) and control is not None:
        return disagreement(outcome, control) or outcome
    return outcome


def disagreement(plan: Plan, control: Control) -> BatchRefusal | None:
    """Return the refusal of a plan that differs from what its sender announced, or None when all agrees."""
    if control.size is not None and control.size != plan.size:
        return BatchRefusal("bytes_differ", {"announced": control.size, "found": plan.size})
    if control.sha256 is not None and control.sha256.lower() != plan.sha256:
        return BatchRefusal("sha256_differs", {"announced": control.sha256, "found": plan.sha256})
    if control.rows is not None and control.rows != plan.rows:
        return BatchRefusal("rows_differ", {"announced": control.rows, "found": plan.rows})
    differing = {
        name: {"announced": dict(announced), "found": plan.totals.get(name, {})}
        for name, announced in control.totals.items()
        if _without_zero(announced) != _without_zero(plan.totals.get(name, {}))
    }
    if differing:
        return BatchRefusal("totals_differ", {"columns": differing, "uncounted": plan.uncounted})
    return None


def read_chunk(
    chunks: Iterable[bytes],
    *,
    format: str,
    encoding: str,
    delimiter: str = ",",
    titles: tuple[str, ...] = (),
    mapping: Mapping[str, str] | None = None,
    first_row: int,
    first_line: int,
    lender: str | None = None,
) -> Iterator[Taken | Rejection]:
    """Yield each row of a planned chunk of a portfolio, taken or rejected, as ``read_rows`` does."""
    return read_rows(
        chunks,
        PORTFOLIO,
        format=format,
        encoding=encoding,
        delimiter=delimiter,
        titles=titles,
        mapping=mapping,
        first_row=first_row,
        first_line=first_line,
        lender=lender,
    )


def read_rows(
    chunks: Iterable[bytes],
    schema: Schema[TakenRow],
    *,
    format: str,
    encoding: str,
    delimiter: str = ",",
    titles: tuple[str, ...] = (),
    mapping: Mapping[str, str] | None = None,
    first_row: int,
    first_line: int,
    lender: str | None = None,
) -> Iterator[TakenRow | Rejection]:
    """Yield each row of a planned chunk, taken or rejected, in file order; never raises for what a row holds.

    ``chunks`` is exactly the bytes of the plan's range (or blob), in pieces of any size.
    """
    if format == JSONL:
        for number, record in enumerate(json_records(chunks, offset=1, first_line=first_line), start=first_row):
            outcome = _json_row(record, number, encoding, lender, schema)
            yield outcome
        return
    header = schema.understand(titles, mapping)
    if isinstance(header, HeaderFault):
        raise ValueError(f"the plan's header is refused: {header.code}")
    if format == STAGED:
        for record in json_records(chunks, offset=1, first_line=first_line):
            outcome = _staged_row(record, header, lender, schema)
            yield outcome
        return
    source = csv_records(chunks, delimiter=delimiter.encode(), offset=1, first_line=first_line)
    for number, record in enumerate(source, start=first_row):
        outcome = _csv_row(record, number, header, encoding, delimiter, lender, schema)
        yield outcome


# CSV


def _scan_csv(
    chunks: Iterable[bytes],
    measured: "Measured",
    mapping: Mapping[str, str] | None,
    encodings: "Encodings",
    rows_per_chunk: int,
    schema: Schema[Any],
) -> Plan | BatchRefusal:
    source = _first_line_known(chunks)
    delimiter = delimiter_of(source.first)
    records = csv_records(source, delimiter=delimiter)
    first = next(records, None)
    if first is None:
        return BatchRefusal("file_empty", {})
    if first.fault:
        return BatchRefusal("format_mismatch", {"line": first.line})
    raw_header = first.raw.removeprefix(BOM)
    header_encoding = encodings.of(raw_header)
    if header_encoding is None:
        return BatchRefusal("encoding_unknown", {"line": first.line})
    titles = _cells(raw_header.decode(header_encoding), delimiter.decode())
    header = schema.understand(titles or (), mapping) if titles else HeaderFault("header_missing", ())
    if isinstance(header, HeaderFault):
        return BatchRefusal(header.code, {"columns": list(header.columns)})
    counter = Counter(rows_per_chunk)
    money = money_columns(header)
    for record in records:
        counter.row(record.start, record.end, record.line)
        encodings.see(record.raw)
        if not record.fault:
            cells = _cells(record.raw.decode("latin-1"), delimiter.decode())
            if cells is not None and len(cells) >= len(header.titles):
                count_money(counter, cells, header.currency_at, money)
        if measured.size > MOST_BYTES or counter.rows > MOST_ROWS:
            return _too_large(measured, counter)
    if not counter.rows:
        return BatchRefusal("file_empty", {})
    encoding = encodings.verdict()
    if encoding is None:
        return BatchRefusal("encoding_unknown", {})
    if encoding != header_encoding and not raw_header.isascii():
        return BatchRefusal("encoding_mixed", {"header": header_encoding, "rows": encoding})
    return finished(CSV, encoding, delimiter.decode(), header.titles, measured.size, measured.sha256, counter)


def _cells(text: str, delimiter: str) -> list[str] | None:
    """Return the cells of one record, or None when it is no record (a bare carriage return, a cell above 128 KiB)."""
    try:
        return next(csv.reader((text,), delimiter=delimiter), None)
    except csv.Error:
        return None


def _csv_row(
    record: Record,
    number: int,
    header: Header,
    encoding: str,
    delimiter: str,
    lender: str | None,
    schema: Schema[TakenRow],
) -> TakenRow | Rejection:
    if record.fault:
        return rejection(number, record.line, [Problem(record.fault)])
    try:
        text = record.raw.decode(encoding)
    except UnicodeDecodeError:
        return rejection(number, record.line, [Problem("encoding_invalid")])
    cells = _cells(text, delimiter)
    if cells is None:
        return rejection(number, record.line, [Problem("control_character")])
    return flat_row(cells, number, record.line, header, lender, (), schema)


def flat_row(
    cells: list[str],
    number: int,
    line: int,
    header: Header,
    lender: str | None,
    earlier: tuple[Problem, ...],
    schema: Schema[TakenRow],
) -> TakenRow | Rejection:
    """Return the row that a header gives its cells the meaning of, taken or rejected."""
    width = len(header.titles)
    if len(cells) > width and not any(cells[width:]):
        cells = cells[:width]
    if len(cells) != width:
        return rejection(number, line, [Problem("row_shape", "", shape(f"{len(cells)}/{width}"))])
    document, problems = header.document(cells)
    return schema.judge(
        document,
        row=number,
        line=line,
        lender=lender,
        name=lambda path: header.name_of(cells, path),
        earlier=(*earlier, *problems),
    )


def money_columns(header: Header) -> list[tuple[int, str]]:
    """Return (cell, canonical name) of every money column that stands once in a row."""
    return [
        (index, _total_name(column.steps))
        for index, column in enumerate(header.columns)
        if column is not None
        and column.kind.name == "money"
        and not any(isinstance(step, Slot) for step in column.steps)
    ]


def _total_name(steps: tuple[Any, ...]) -> str:
    branch = next(member for member in tree().members if member.name == steps[0])
    prefix = "" if isinstance(branch, Leaf) or not branch.column else branch.column + "_"
    return prefix + column_name(str(steps[-1]))


def count_money(counter: Counter, cells: list[str], currency_at: int, money: list[tuple[int, str]]) -> None:
    """Add a row's money cells to the totals; a cell that is no amount is counted as uncounted, not as money."""
    currency, digits = currency_digits(cells[currency_at])
    for index, name in money:
        cell = cells[index].strip()
        if not cell:
            continue
        try:
            counter.add(name, currency, minor_units(cell, digits=digits))
        except ValueError:
            counter.uncounted += 1


# JSON Lines


def _scan_json(
    chunks: Iterable[bytes], measured: "Measured", encodings: "Encodings", rows_per_chunk: int, schema: Schema[Any]
) -> Plan | BatchRefusal:
    counter = Counter(rows_per_chunk)
    for record in json_records(chunks):
        counter.row(record.start, record.end, record.line)
        encoding = encodings.see(record.raw)
        if schema.has_money and encoding is not None and not record.fault:
            document = parse_object(record.raw, encoding=encoding)
            if isinstance(document, dict):
                _count_json_money(counter, document)
        if measured.size > MOST_BYTES or counter.rows > MOST_ROWS:
            return _too_large(measured, counter)
    if not counter.rows:
        return BatchRefusal("file_empty", {})
    verdict = encodings.verdict()
    if verdict is None:
        return BatchRefusal("encoding_unknown", {})
    return finished(JSONL, verdict, "", (), measured.size, measured.sha256, counter)


def _json_row(
    record: Record, number: int, encoding: str, lender: str | None, schema: Schema[TakenRow]
) -> TakenRow | Rejection:
    if record.fault:
        return rejection(number, record.line, [Problem(record.fault)])
    document = parse_object(record.raw, encoding=encoding)
    if isinstance(document, Problem):
        return rejection(number, record.line, [document])
    return schema.judge(document, row=number, line=record.line, lender=lender)


def count_documents(documents: Iterable[Document]) -> tuple[int, Totals]:
    """Return rows and control totals of documents that came inline."""
    counter = Counter(ROWS_PER_CHUNK)
    for document in documents:
        counter.rows += 1
        _count_json_money(counter, document)
    return counter.rows, counter.totals


_JSON_MONEY = tuple(
    (branch.name, leaf.name, f"{branch.column}_{column_name(leaf.name)}".lstrip("_"))
    for branch in tree().members
    if not isinstance(branch, Leaf) and not branch.most
    for leaf in branch.members
    if isinstance(leaf, Leaf) and leaf.kind.name == "money"
)


def _count_json_money(counter: Counter, document: Document) -> None:
    loan = document.get("loan")
    written = loan.get("currency") if isinstance(loan, dict) else None
    currency, _ = currency_digits(written if isinstance(written, str) else "")
    for branch, member, name in _JSON_MONEY:
        holder = document.get(branch)
        value = holder.get(member) if isinstance(holder, dict) else None
        if value is None:
            continue
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            counter.add(name, currency, value)
        else:
            counter.uncounted += 1


# Rows converted out of a workbook


def staged_line(number: int, line: int, cells: list[str], problems: Iterable[Problem]) -> bytes:
    """Return the line of a converted row: its numbers, its cells as text, and what was wrong with single cells."""
    found = [[problem.code, problem.field, problem.masked] for problem in problems]
    staged = {"row": number, "line": line, "cells": cells, "problems": found}
    return json.dumps(staged, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"


def _staged_row(record: Record, header: Header, lender: str | None, schema: Schema[TakenRow]) -> TakenRow | Rejection:
    staged = json.loads(record.raw)
    problems = tuple(Problem(*found) for found in staged["problems"])
    return flat_row(staged["cells"], staged["row"], staged["line"], header, lender, problems, schema)


# Measuring


class Measured:
    """An iterator of byte pieces that keeps their number and SHA-256."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        """Take the pieces; they are hashed as they pass."""
        self._chunks = chunks
        self._hash = hashlib.sha256()
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        """Yield every piece once."""
        for chunk in self._chunks:
            self._hash.update(chunk)
            self.size += len(chunk)
            yield chunk

    @property
    def sha256(self) -> str:
        """Return the SHA-256 (hex) of what has passed."""
        return self._hash.hexdigest()


ENCODINGS = ("utf-8", "gb18030")


class Encodings:
    """Counts the rows that are not valid in each encoding; one that is stated is the only one considered."""

    def __init__(self, stated: str | None = None) -> None:
        """Start without evidence. Raises ValueError for an encoding that is not supported."""
        if stated is not None and stated not in ENCODINGS:
            raise ValueError(f"{stated} is not supported")
        self._bad = dict.fromkeys((stated,) if stated else ENCODINGS, 0)
        self._seen = 0

    def of(self, raw: bytes) -> str | None:
        """Return the encoding of some bytes alone: the first considered in which they are valid, or None."""
        return next((name for name in self._bad if _is_valid(raw, name)), None)

    def see(self, raw: bytes) -> str | None:
        """Count a row; return its encoding as ``of`` does."""
        if raw.isascii():
            return "utf-8"
        self._seen += 1
        valid = [name for name in self._bad if _is_valid(raw, name)]
        for name in self._bad:
            self._bad[name] += name not in valid
        return valid[0] if valid else None

    def verdict(self) -> str | None:
        """Return the file's encoding, in which at most one row in twenty (or a single one) is invalid; None otherwise."""
        name = min(self._bad, key=lambda name: self._bad[name])
        return name if self._bad[name] <= max(1, self._seen // 20) and self._bad[name] < max(1, self._seen) else None


def _is_valid(raw: bytes, encoding: str) -> bool:
    try:
        raw.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


class _Peeked:
    """An iterator whose first bytes may be looked at before it is read."""

    def __init__(self, source: Iterator[bytes]) -> None:
        self._source = source
        self._head = b""

    def head(self) -> bytes:
        for chunk in self._source:
            self._head += chunk
            if len(self._head) >= 8:
                break
        return self._head[:8]

    def __iter__(self) -> Iterator[bytes]:
        if self._head:
            yield self._head
            self._head = b""
        yield from self._source


class _first_line_known:
    """An iterator of byte pieces whose first line (or its first 256 KiB) is known beforehand as ``first``."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._source = iter(chunks)
        self._head = b""
        for chunk in self._source:
            self._head += chunk
            if b"\n" in chunk or len(self._head) > 256 * 1024:
                break
        self.first = self._head.split(b"\n", 1)[0]

    def __iter__(self) -> Iterator[bytes]:
        head, self._head = self._head, b""
        yield head
        yield from self._source


def _wrong_beginning(head: bytes, format: str) -> BatchRefusal | None:
    if not head:
        return BatchRefusal("file_empty", {})
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return BatchRefusal("encoding_unknown", {"found": "utf-16"})
    bare = head.removeprefix(BOM).lstrip()
    is_object = bare.startswith(b"{")
    if head.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")) or (is_object if format == CSV else not is_object):
        return BatchRefusal("format_mismatch", {"announced": format})
    return None


def _too_large(measured: Measured, counter: Counter) -> BatchRefusal:
    if counter.rows > MOST_ROWS:
        return BatchRefusal("rows_too_many", {"limit": MOST_ROWS})
    return BatchRefusal("file_too_large", {"limit": MOST_BYTES})


def finished(
    format: str,
    encoding: str,
    delimiter: str,
    titles: tuple[str, ...],
    size: int,
    sha256: str,
    counter: Counter,
) -> Plan:
    """Return the plan of what a counter has seen."""
    counter.close()
    return Plan(
        format,
        encoding,
        delimiter,
        titles,
        size,
        sha256,
        counter.rows,
        counter.totals,
        counter.uncounted,
        tuple(counter.chunks),
    )


def _without_zero(totals: Mapping[str, int]) -> dict[str, int]:
    return {currency: minor for currency, minor in totals.items() if minor}


Writer = Callable[[int, bytes], str]
"""Stores the blob of a converted chunk under its number and returns the blob's name."""
