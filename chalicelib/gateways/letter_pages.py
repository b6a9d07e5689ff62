"""Letters as PDF pages: the same letter gives the same bytes, on any machine.

The address stands where a window envelope (DL, DIN lang or No. 10) shows it, and nothing else of the letter does: no
word there tells of a debt. Chinese is set in a standard font that PDF readers bring along, so no font file is needed.
"""

import io
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reportlab.lib.pagesizes import A4, LETTER
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

LATIN, CHINESE = "Helvetica", "STSong-Light"

_LEFT, _RIGHT, _BOTTOM = 25 * mm, 20 * mm, 25 * mm
_WINDOW_LEFT, _WINDOW_TOP, _WINDOW_WIDTH, _WINDOW_HEIGHT = 25 * mm, 50 * mm, 75 * mm, 35 * mm
_FIRST_TOP, _NEXT_TOP = 105 * mm, 25 * mm
_SIZE, _LEADING = 10.5, 15.5
_SMALL, _FINE = 10.0, 7.0
_CLOSING = frozenset("\uff0c\u3002\u3001\uff1b\uff1a\uff1f\uff01\uff09\u300b\u300d\u300f\u3011\u201d\u2019\u2026")
"""Characters that never begin a line."""


@dataclass(frozen=True, slots=True)
class NoGlyph(Exception):
    """A character is in none of the fonts; a letter with a hole in a name is not sent."""

    codepoint: str


def letter_pdf(
    *, to: str, body: str, subject: str | None, language: str, reference: str, return_address: Sequence[str] = ()
) -> bytes:
    """Return the PDF of a letter.

    ``body``'s first line is the addressee's name, which is set above the address ``to`` in the window and not again;
    an empty line ends a paragraph. ``return_address`` (lines) is the sender as the envelope may show it. ``language``
    ``zh`` means A4 and Chinese type, any other US Letter and Latin type. Raises ``NoGlyph``.
    """
    _register()
    chinese = language == "zh"
    size = A4 if chinese else LETTER
    addressee, _, text = body.partition("\n")
    width = size[0] - _LEFT - _RIGHT
    lines = list(_lines(text.strip("\n"), width, chinese=chinese))
    window = [
        line for part in (addressee, *_address_lines(to)) for line in _lines(part, _WINDOW_WIDTH, chinese=chinese)
    ]
    pages = _pages(lines, size[1], headed=subject is not None)
    buffer = io.BytesIO()
    # Neither clock nor compression library may show in the bytes: they are what a repeated filing is compared by.
    canvas = Canvas(buffer, pagesize=size, invariant=1, pageCompression=0, lang=language)
    canvas.setTitle(reference)
    for number, page in enumerate(pages, start=1):
        if number == 1:
            _window(canvas, size[1], window, return_address, chinese=chinese)
        y = size[1] - (_FIRST_TOP if number == 1 else _NEXT_TOP)
        if number == 1 and subject is not None:
            _draw(canvas, _LEFT, y, subject, _SIZE + 2, chinese=chinese)
            y -= 2 * _LEADING
        for line in page:
            _draw(canvas, _LEFT, y, line, _SIZE, chinese=chinese)
            y -= _LEADING
        _draw(canvas, _LEFT, 12 * mm, reference, _FINE, chinese=chinese)
        _draw(canvas, size[0] - _RIGHT - 12 * mm, 12 * mm, f"{number} / {len(pages)}", _FINE + 1, chinese=chinese)
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def _window(
    canvas: Canvas, height: float, lines: Sequence[str], return_address: Sequence[str], *, chinese: bool
) -> None:
    y = height - _WINDOW_TOP
    if return_address:
        _draw(canvas, _WINDOW_LEFT, y + 3 * mm, " · ".join(return_address), _FINE, chinese=chinese)
    most = int(_WINDOW_HEIGHT // (_SMALL + 3))
    for line in lines[:most]:
        y -= _SMALL + 3
        _draw(canvas, _WINDOW_LEFT, y, line, _SMALL, chinese=chinese)


def _address_lines(to: str) -> list[str]:
    """Return the address in the lines that it was given in, else broken after its first comma if it has one."""
    if "\n" in to:
        return [line.strip() for line in to.splitlines() if line.strip()]
    street, comma, rest = to.partition(", ")
    return [street, rest] if comma else [to]


def _pages(lines: Sequence[str], height: float, *, headed: bool) -> list[list[str]]:
    first = int((height - _FIRST_TOP - _BOTTOM) // _LEADING) - (2 if headed else 0)
    rest = int((height - _NEXT_TOP - _BOTTOM) // _LEADING)
    pages = [list(lines[:first])]
    for start in range(first, len(lines), rest):
        pages.append(list(lines[start : start + rest]))
    return pages


def _lines(text: str, width: float, *, chinese: bool) -> Iterator[str]:
    """Yield the lines of a text, broken at spaces and between Chinese characters, never before closing punctuation."""
    for paragraph in text.split("\n"):
        line = ""
        for piece in _pieces(paragraph):
            fits = _width((line + piece).rstrip(), _SIZE, chinese=chinese) <= width
            if fits or not line or piece in _CLOSING:
                line += piece
            else:
                yield line.rstrip()
                line = piece.lstrip()
        yield line.rstrip()


def _pieces(paragraph: str) -> Iterator[str]:
    """Yield words with the space after them, and Chinese characters one by one."""
    word = ""
    for character in paragraph:
        if unicodedata.east_asian_width(character) in ("W", "F"):
            if word:
                yield word
            yield character
            word = ""
        elif character == " " and word.strip():
            yield word + character
            word = ""
        else:
            word += character
    if word:
        yield word


def _runs(text: str, *, chinese: bool) -> Iterator[tuple[str, str]]:
    """Yield (font, text) runs. Raises ``NoGlyph``."""
    run, font = "", ""
    for character in text:
        needed = _font_of(character, chinese=chinese)
        if needed != font and run:
            yield font, run
            run = ""
        run, font = run + character, needed
    if run:
        yield font, run


def _font_of(character: str, *, chinese: bool) -> str:
    order = (("gbk", CHINESE), ("cp1252", LATIN)) if chinese else (("cp1252", LATIN), ("gbk", CHINESE))
    for encoding, font in order:
        try:
            character.encode(encoding)
        except UnicodeEncodeError:
            continue
        return font
    raise NoGlyph(f"U+{ord(character):04X}")


def _width(text: str, size: float, *, chinese: bool) -> float:
    return float(sum(pdfmetrics.stringWidth(run, font, size) for font, run in _runs(text, chinese=chinese)))


def _draw(canvas: Canvas, x: float, y: float, text: str, size: float, *, chinese: bool) -> None:
    for font, run in _runs(text, chinese=chinese):
        canvas.setFont(font, size)
        canvas.drawString(x, y, run)
        x += pdfmetrics.stringWidth(run, font, size)


def _register() -> None:
    if CHINESE not in pdfmetrics.getRegisteredFontNames():
        pdfmetrics.registerFont(UnicodeCIDFont(CHINESE))
