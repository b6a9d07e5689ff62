"""The weekly review pack as PDF pages: the same pack gives the same bytes, on any machine.

Chinese is set in a standard font that PDF readers bring along, so no font file is needed.
"""

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

from chalicelib.domain.kpi.review import Bars, Heading, Table, Words, blocks, title_of

LATIN, CHINESE = "Helvetica", "STSong-Light"
_LEFT, _TOP, _BOTTOM = 18 * mm, 18 * mm, 18 * mm
_WIDTH = A4[0] - 2 * _LEFT
_SIZE, _LEADING = 8.5, 12.0
_BAR_HEIGHT = 28 * mm


def review_pdf(pack: Mapping[str, Any], language: str) -> bytes:
    """Return the pack in ``zh`` or ``en`` as A4 pages."""
    if CHINESE not in pdfmetrics.getRegisteredFontNames():
        pdfmetrics.registerFont(UnicodeCIDFont(CHINESE))
    sheet = _Sheet(title_of(pack, language), CHINESE if language == "zh" else LATIN, language)
    for block in blocks(pack, language):
        match block:
            case Heading():
                sheet.room(3 * _LEADING)
                sheet.down(_LEADING / 2)
                sheet.line([block.text], [_WIDTH], size=_SIZE + 3)
                sheet.down(3)
            case Words():
                sheet.line([block.text], [_WIDTH])
            case Table():
                _table(sheet, block)
            case Bars():
                _bars(sheet, block)
    return sheet.bytes()


def tables_pdf(
    title: str, tables: Iterable[tuple[str, Sequence[str], Sequence[Sequence[str]]]], language: str
) -> bytes:
    """Return tables (heading, header, rows) in ``zh`` or ``en`` as A4 pages under a title."""
    if CHINESE not in pdfmetrics.getRegisteredFontNames():
        pdfmetrics.registerFont(UnicodeCIDFont(CHINESE))
    sheet = _Sheet(title, CHINESE if language == "zh" else LATIN, language)
    for heading, header, rows in tables:
        sheet.room(3 * _LEADING)
        sheet.line([heading], [_WIDTH], size=_SIZE + 3)
        sheet.down(3)
        _table(sheet, Table(tuple(header), tuple(tuple(row) for row in rows)))
        sheet.down(_LEADING)
    return sheet.bytes()


class _Sheet:
    """Pages that are filled from the top."""

    def __init__(self, title: str, font: str, language: str) -> None:
        self._buffer = io.BytesIO()
        # Neither clock nor compression library may show in the bytes.
        self.canvas = Canvas(self._buffer, pagesize=A4, invariant=1, pageCompression=0, lang=language)
        self.canvas.setTitle(title)
        self.font, self.y = font, A4[1] - _TOP
        self.line([title], [_WIDTH], size=_SIZE + 5)
        self.down(6)

    def down(self, distance: float) -> None:
        self.y -= distance

    def room(self, height: float) -> None:
        """Begin a page where there is not so much room left."""
        if self.y - height < _BOTTOM:
            self.canvas.showPage()
            self.y = A4[1] - _TOP

    def line(self, cells: Sequence[str], widths: Sequence[float], *, size: float = _SIZE) -> None:
        """Set one row of cells, each in as many lines as it needs."""
        broken = [_broken(cell, self.font, size, width - 4) for cell, width in zip(cells, widths, strict=True)]
        leading = size * _LEADING / _SIZE
        self.room(leading * max(map(len, broken)))
        left = _LEFT
        for lines, width in zip(broken, widths, strict=True):
            for number, words in enumerate(lines):
                self.canvas.setFont(self.font, size)
                self.canvas.drawString(left, self.y - leading * (number + 1) + 3, words)
            left += width
        self.down(leading * max(map(len, broken)))

    def bytes(self) -> bytes:
        self.canvas.showPage()
        self.canvas.save()
        return self._buffer.getvalue()


def _broken(words: str, font: str, size: float, width: float) -> list[str]:
    """Return the text in lines that fit, broken between characters: ids and Chinese have no blanks."""
    lines = [""]
    for character in words:
        if pdfmetrics.stringWidth(lines[-1] + character, font, size) > width and lines[-1]:
            lines.append("")
        lines[-1] += character
    return lines


def _table(sheet: _Sheet, table: Table) -> None:
    # The first column names what the row is about and may be long; the others share the rest.
    first = _WIDTH if len(table.header) == 1 else _WIDTH * (0.4 if len(table.header) <= 4 else 0.2)
    others = [(_WIDTH - first) / (len(table.header) - 1)] * (len(table.header) - 1) if len(table.header) > 1 else []
    for number, row in enumerate((table.header, *table.rows)):
        sheet.line(row, [first, *others])
        if number == 0:
            sheet.canvas.line(_LEFT, sheet.y, _LEFT + _WIDTH, sheet.y)
            sheet.down(2)


def _bars(sheet: _Sheet, bars: Bars) -> None:
    sheet.room(_BAR_HEIGHT + 4 * _LEADING)
    sheet.line([bars.title], [_WIDTH])
    most, slot = max(bars.values, default=0) or 1, _WIDTH / max(1, len(bars.values))
    base = sheet.y - _BAR_HEIGHT - _LEADING
    for place, (label, value) in enumerate(zip(bars.labels, bars.values, strict=True)):
        left, height = _LEFT + place * slot, _BAR_HEIGHT * value / most
        sheet.canvas.setFillColorRGB(0.23, 0.43, 0.65)
        sheet.canvas.rect(left, base, slot * 0.7, height, stroke=0, fill=1)
        sheet.canvas.setFillColorRGB(0, 0, 0)
        sheet.canvas.setFont(sheet.font, 7)
        sheet.canvas.drawString(left, base + height + 2, f"{value:,}")
        sheet.canvas.drawString(left, base - 9, label)
    sheet.y = base - 14
