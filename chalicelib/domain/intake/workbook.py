"""Workbooks: an XLSX file read row by row with the standard library alone, its damage noticed, converted into chunks.

Only the first sheet with content is read. Shared strings lie in a temporary file with an index of eight bytes each, so
memory does not grow with the number of rows. A document type declaration, an entity, a nested archive or an archive
that expands too far refuses the file before anything else of it is read.
"""

import re
import tempfile
import zipfile
import zlib
from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from posixpath import join, normpath
from typing import IO, Any
from xml.parsers import expat

from chalicelib.domain.intake.columns import MOST_CELL, Column, Header, HeaderFault
from chalicelib.domain.intake.rejections import BatchRefusal, Problem, shape
from chalicelib.domain.intake.scan import (
    BYTES_PER_CHUNK,
    MOST_BYTES,
    MOST_ROWS,
    PORTFOLIO,
    ROWS_PER_CHUNK,
    XLSX,
    Chunk,
    Control,
    Counter,
    Measured,
    Plan,
    Schema,
    Writer,
    count_money,
    disagreement,
    finished,
    money_columns,
    staged_line,
)

MOST_EXPANDED = 2 * 1024**3
"""Bytes of all parts together when they are expanded (closed)."""

MOST_RATIO = 100
"""How many times larger a part may be than its compressed form (closed), above ``_SMALL_PART``."""

_SMALL_PART = 1024**2
_PIECE = 64 * 1024
_MOST_EXPONENT = 30
"""Powers of ten beyond which no cell of a portfolio lies; writing such a number out could fill the memory."""

_MOST_XLSX_COLUMNS = 2_000


class Unreadable(Exception):
    """The workbook is damaged, encrypted, or no workbook."""


def scan_workbook(
    file: IO[bytes],
    *,
    write: Writer,
    control: Control | None = None,
    mapping: Mapping[str, str] | None = None,
    rows_per_chunk: int = ROWS_PER_CHUNK,
    schema: Schema[Any] = PORTFOLIO,
) -> Plan | BatchRefusal:
    """Return the plan of a workbook whose rows were converted into chunks that ``write`` stored, or why it is refused.

    ``file`` is seekable. Chunks may have been written before a refusal; nothing refers to them then.
    """
    file.seek(0)
    measured = Measured(iter(lambda: file.read(_PIECE), b""))
    for _ in measured:
        if measured.size > MOST_BYTES:
            return BatchRefusal("file_too_large", {"limit": MOST_BYTES})
    if not measured.size:
        return BatchRefusal("file_empty", {})
    if control is not None and control.sha256 is not None and control.sha256.lower() != measured.sha256:
        return BatchRefusal("sha256_differs", {"announced": control.sha256, "found": measured.sha256})
    file.seek(0)
    if file.read(4) != b"PK\x03\x04":
        return BatchRefusal("format_mismatch", {"announced": XLSX})
    try:
        with zipfile.ZipFile(file) as archive:
            if _is_unsafe(archive):
                return BatchRefusal("archive_unsafe", {"ratio": MOST_RATIO, "bytes": MOST_EXPANDED})
            with tempfile.TemporaryFile() as strings:
                book = Workbook(archive, strings)
                outcome = _converted(book, measured, write, mapping, rows_per_chunk, schema)
    except (Unreadable, zipfile.BadZipFile, zlib.error, expat.ExpatError, KeyError, ValueError, NotImplementedError):
        return BatchRefusal("workbook_unreadable", {})
    except EOFError:
        return BatchRefusal("workbook_unreadable", {})
    if isinstance(outcome, Plan) and control is not None:
        return disagreement(outcome, control) or outcome
    return outcome


def _is_unsafe(archive: zipfile.ZipFile) -> bool:
    parts = archive.infolist()
    expanded = sum(part.file_size for part in parts)
    return (
        len(parts) > 2_000
        or expanded > MOST_EXPANDED
        or any(part.flag_bits & 1 for part in parts)
        or any(part.filename.lower().endswith((".zip", ".xlsx", ".xlsm", ".gz", ".rar", ".7z")) for part in parts)
        or any(
            part.file_size > _SMALL_PART and part.file_size > MOST_RATIO * max(1, part.compress_size) for part in parts
        )
    )


def _converted(
    book: "Workbook",
    measured: Measured,
    write: Writer,
    mapping: Mapping[str, str] | None,
    rows_per_chunk: int,
    schema: Schema[Any],
) -> Plan | BatchRefusal:
    with_content = [sheet for sheet in book.sheets if next(book.rows(sheet), None) is not None]
    if len(with_content) > 1:
        return BatchRefusal("sheets_many", {"sheets": len(with_content)})
    if not with_content:
        return BatchRefusal("file_empty", {})
    rows = book.rows(with_content[0])
    first = next(rows)
    header = schema.understand([cell.text for cell in first.dense()], mapping)
    if isinstance(header, HeaderFault):
        return BatchRefusal(header.code, {"columns": list(header.columns)})
    counter, money = Counter(rows_per_chunk), money_columns(header)
    chunks: list[Chunk] = []
    waiting: list[bytes] = []
    size = 0

    def flush() -> None:
        first_row = counter.rows - len(waiting) + 1
        blob = write(len(chunks), b"".join(waiting))
        chunks.append(Chunk(len(chunks), first_row, len(waiting), 0, 0, size, blob))

    for row in rows:
        counter.rows += 1
        if counter.rows > MOST_ROWS:
            return BatchRefusal("rows_too_many", {"limit": MOST_ROWS})
        cells, problems = _texts(row, header, book)
        if len(cells) == len(header.titles):
            count_money(counter, cells, header.currency_at, money)
        line = staged_line(counter.rows, row.number, cells, problems)
        waiting.append(line)
        size += len(line)
        if len(waiting) >= rows_per_chunk or size > BYTES_PER_CHUNK:
            flush()
            waiting, size = [], 0
    if not counter.rows:
        return BatchRefusal("file_empty", {})
    if waiting:
        flush()
    plan = finished(XLSX, "utf-8", "", header.titles, measured.size, measured.sha256, counter)
    return Plan(
        plan.format,
        plan.encoding,
        plan.delimiter,
        plan.titles,
        plan.size,
        plan.sha256,
        plan.rows,
        plan.totals,
        plan.uncounted,
        tuple(chunks),
    )


def _texts(row: "SheetRow", header: Header, book: "Workbook") -> tuple[list[str], list[Problem]]:
    """Return a row's cells as a CSV would hold them, and what a spreadsheet did to single cells."""
    cells, problems = [], []
    dense = row.dense()
    width = max(len(header.titles), len(dense))
    for index in range(width):
        cell = dense[index] if index < len(dense) else _EMPTY
        column = header.columns[index] if index < len(header.columns) else None
        text, code = _text_of(cell, column, book)
        if code and column is not None:
            problems.append(Problem(code, header.titles[index], shape(cell.text)))
            text = ""
        cells.append(text)
    while len(cells) > len(header.titles) and not cells[-1]:
        cells.pop()
    return cells, problems


def _text_of(cell: "Cell", column: Column | None, book: "Workbook") -> tuple[str, str]:
    """Return (text, code of the damage) of a cell under its column."""
    if cell.is_formula:
        return "", "formula_cell"
    if cell.kind == "e":
        return "", "text_invalid"
    if cell.kind == "b":
        return ("true" if cell.text == "1" else "false"), ""
    if cell.kind != "n" or not cell.text:
        return cell.text, ""
    number = _number(cell.text)
    if number is None or column is None:
        return cell.text, "" if number is not None else "text_invalid"
    kind = column.kind
    if kind.name == "date":
        return _date_text(cell, number, book)
    if kind.name == "text" and kind.digits:
        return _digits_text(cell, number, book)
    return _plain(number), ""


def _number(text: str) -> Decimal | None:
    """Return a cell's number as a spreadsheet shows it: a binary fraction rounded to 15 significant digits."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    if not number.is_finite() or abs(number.adjusted()) > _MOST_EXPONENT:
        return None
    digits = len(number.as_tuple().digits)
    return number if digits <= 15 else number.quantize(Decimal(1).scaleb(number.adjusted() - 14))


def _plain(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _date_text(cell: "Cell", number: Decimal, book: "Workbook") -> tuple[str, str]:
    if book.is_date(cell.style):
        first = date(1904, 1, 1) if book.uses_1904 else date(1899, 12, 30)
        days = int(number)
        if not 1 <= days <= 110_000 or (number != days):
            return "", "date_invalid"
        return (first + timedelta(days=days)).isoformat(), ""
    text = _plain(number)
    return (text, "") if re.fullmatch(r"(19|20|21)\d{6}", text) else (text, "excel_serial_date")


def _digits_text(cell: "Cell", number: Decimal, book: "Workbook") -> tuple[str, str]:
    """Return the digits of a number in a column of texts; a format of zeros shows how many belong there."""
    if number.adjusted() >= 15:
        return "", "excel_rounded"
    text = _plain(number)
    zeros = book.zeros(cell.style)
    return (text.zfill(zeros), "") if text.isdigit() else (text, "")


# The file format: ECMA-376, as far as values go


@dataclass(slots=True)
class Cell:
    """One cell: ``kind`` is s (text), n (number as written), b, e or d; ``style`` is its format's index."""

    text: str = ""
    kind: str = "s"
    style: int = 0
    is_formula: bool = False


_EMPTY = Cell()


@dataclass(slots=True)
class SheetRow:
    """One row with content: its number in the sheet from 1 and its cells by column from 0."""

    number: int
    cells: dict[int, Cell]

    def dense(self) -> list[Cell]:
        """Return the cells from the first column to the last that has content."""
        return [self.cells.get(index, _EMPTY) for index in range(max(self.cells) + 1)] if self.cells else []


class Workbook:
    """An opened workbook, whose shared strings lie in a file that the caller closes."""

    def __init__(self, archive: zipfile.ZipFile, strings: IO[bytes]) -> None:
        """Read the list of sheets, the number formats and the shared strings. Raises Unreadable."""
        self._archive = archive
        self._strings = _Strings(strings)
        self.uses_1904 = False
        self.sheets: list[str] = []
        self._dates: set[int] = set()
        self._zeros: dict[int, int] = {}
        self._read_sheets()
        names = set(archive.namelist())
        if "xl/styles.xml" in names:
            self._read_styles("xl/styles.xml")
        if "xl/sharedStrings.xml" in names:
            self._read_strings("xl/sharedStrings.xml")

    def is_date(self, style: int) -> bool:
        """Tell whether a cell of this style shows a date."""
        return style in self._dates

    def zeros(self, style: int) -> int:
        """Return to how many digits a cell of this style is filled with leading zeros; 0 when it is not."""
        return self._zeros.get(style, 0)

    def rows(self, sheet: str) -> Iterator[SheetRow]:
        """Yield the rows of a sheet that have content, in order."""
        reader = _SheetReader(self._strings)
        with self._archive.open(sheet) as part:
            while piece := part.read(_PIECE):
                reader.feed(piece)
                yield from reader.taken()
        reader.close()
        yield from reader.taken()

    def _read_sheets(self) -> None:
        targets: dict[str, str] = {}
        named: list[str] = []

        def relation(name: str, attributes: dict[str, str]) -> None:
            if name == "Relationship" and attributes.get("TargetMode") != "External":
                targets[attributes["Id"]] = attributes["Target"]

        def sheet(name: str, attributes: dict[str, str]) -> None:
            if name == "sheet":
                named.append(next((value for key, value in attributes.items() if _local(key) == "id"), ""))
            elif name == "workbookPr":
                self.uses_1904 = attributes.get("date1904") in ("1", "true")

        self._parse("xl/_rels/workbook.xml.rels", relation)
        self._parse("xl/workbook.xml", sheet)
        for identity in named:
            target = targets.get(identity)
            if target is None:
                raise Unreadable("a sheet without a part")
            path = target.lstrip("/") if target.startswith("/") else normpath(join("xl", target))
            if "worksheets/" in path:
                self.sheets.append(path)

    def _read_styles(self, part: str) -> None:
        formats: dict[int, str] = {}
        used: list[int] = []
        inside = [False]

        def style(name: str, attributes: dict[str, str]) -> None:
            if name == "numFmt":
                formats[int(attributes["numFmtId"])] = attributes.get("formatCode", "")
            elif name in ("cellXfs", "cellStyleXfs"):
                inside[0] = name == "cellXfs"
            elif name == "xf" and inside[0]:
                used.append(int(attributes.get("numFmtId", "0")))

        self._parse(part, style)
        for index, number in enumerate(used):
            code = formats.get(number, "")
            if number in _BUILT_IN_DATES or _shows_date(code):
                self._dates.add(index)
            if code and set(code) == {"0"}:
                self._zeros[index] = len(code)

    def _read_strings(self, part: str) -> None:
        held: list[str] = []
        state = {"text": False, "phonetic": 0}

        def start(name: str, _: dict[str, str]) -> None:
            name = _local(name)
            if name == "si":
                held.clear()
            elif name == "rPh":
                state["phonetic"] += 1
            elif name == "t":
                state["text"] = not state["phonetic"]

        def end(name: str) -> None:
            name = _local(name)
            if name == "si":
                self._strings.append("".join(held))
            elif name == "rPh":
                state["phonetic"] -= 1
            elif name == "t":
                state["text"] = False

        def characters(text: str) -> None:
            if state["text"]:
                held.append(text)

        parser = _parser(start, end, characters)
        with self._archive.open(part) as stream:
            while piece := stream.read(_PIECE):
                parser.Parse(piece, False)
        parser.Parse(b"", True)

    def _parse(self, part: str, start: Callable[[str, dict[str, str]], None]) -> None:
        parser = _parser(lambda name, attributes: start(_local(name), attributes), None, None)
        with self._archive.open(part) as stream:
            while piece := stream.read(_PIECE):
                parser.Parse(piece, False)
        parser.Parse(b"", True)


_BUILT_IN_DATES = frozenset((*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)))
"""Built-in number formats that show dates or times, the East Asian ones included."""


def _shows_date(code: str) -> bool:
    bare = re.sub(r"\"[^\"]*\"|\[[^\]]*\]|\\.|_.|\*.", "", code).lower()
    return any(letter in bare for letter in "ymd年月日") and "general" not in bare and "#" not in bare


def _local(name: str) -> str:
    return name.rsplit(":", 1)[-1]


def _parser(start: Any, end: Any, characters: Any) -> Any:
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = characters

    def refuse(*_: object) -> None:
        raise Unreadable("a document type declaration")

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    return parser


class _SheetReader:
    """Turns the XML of a sheet into rows while it is fed."""

    def __init__(self, strings: "_Strings") -> None:
        self._strings = strings
        self._rows: list[SheetRow] = []
        self._row = SheetRow(0, {})
        self._cell = Cell()
        self._column = -1
        self._kind = "n"
        self._text: list[str] = []
        self._in_text = False
        self._parser = _parser(self._start, self._end, self._characters)

    def feed(self, piece: bytes) -> None:
        self._parser.Parse(piece, False)

    def close(self) -> None:
        self._parser.Parse(b"", True)

    def taken(self) -> list[SheetRow]:
        rows, self._rows = self._rows, []
        return rows

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        name = _local(name)
        if name == "row":
            self._row = SheetRow(int(attributes.get("r", self._row.number + 1)), {})
            self._column = -1
        elif name == "c":
            reference = attributes.get("r")
            self._column = _column_of(reference) if reference else self._column + 1
            self._kind = attributes.get("t", "n")
            self._cell = Cell(style=int(attributes.get("s", "0")))
            self._text = []
        elif name == "f":
            self._cell.is_formula = True
        elif name in ("v", "t"):
            self._in_text = True

    def _end(self, name: str) -> None:
        name = _local(name)
        if name in ("v", "t"):
            self._in_text = False
        elif name == "c":
            self._finish_cell()
        elif name == "row" and self._row.cells:
            self._rows.append(self._row)

    def _characters(self, text: str) -> None:
        if self._in_text:
            self._text.append(text)

    def _finish_cell(self) -> None:
        text, kind = "".join(self._text), self._kind
        if kind == "s" and text:
            text, kind = self._strings[int(text)], "s"
        elif kind in ("inlineStr", "str"):
            kind = "s"
        if (text.strip() or self._cell.is_formula) and self._column < _MOST_XLSX_COLUMNS:
            self._cell.text = text[: MOST_CELL + 1]
            self._cell.kind = kind
            self._row.cells[self._column] = self._cell


def _column_of(reference: str) -> int:
    """Return the column (from 0) of a cell reference such as AB12."""
    column = 0
    for letter in reference:
        if not letter.isalpha():
            break
        column = column * 26 + ord(letter.upper()) - 64
    return column - 1


class _Strings:
    """A list of texts in a file, with eight bytes of memory each."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._ends = array("Q")
        self._size = 0
        self._last: tuple[int, str] = (-1, "")

    def append(self, text: str) -> None:
        raw = text.encode("utf-8", "surrogatepass")
        self._file.write(raw)
        self._size += len(raw)
        self._ends.append(self._size)

    def __getitem__(self, index: int) -> str:
        if not 0 <= index < len(self._ends):
            raise Unreadable("a shared string that is not there")
        if self._last[0] == index:
            return self._last[1]
        start = self._ends[index - 1] if index else 0
        self._file.seek(start)
        text = self._file.read(self._ends[index] - start).decode("utf-8", "surrogatepass")
        self._last = (index, text)
        return text
