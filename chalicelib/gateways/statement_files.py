"""A statement as a file: CSV, a workbook, or PDF pages, in Chinese or English, all from the same tables."""

import io
from collections.abc import Mapping
from typing import Any

from openpyxl import Workbook

from chalicelib.domain.money.statement import csv_of, tables_of, word

_SHEET_TITLE = 31
"""Characters that a sheet's name may have at most."""


def render(statement: Mapping[str, Any], language: str, kind: str) -> bytes:
    """Return a statement as ``csv``, ``xlsx`` or ``pdf``. Raises KeyError for another kind."""
    return {"csv": csv_of, "xlsx": _xlsx, "pdf": _pdf}[kind](dict(statement), language)


def _xlsx(statement: dict[str, Any], language: str) -> bytes:
    """Return a workbook with one sheet a table; every cell is text, so that nothing is read as a formula or a float."""
    book = Workbook(write_only=True)
    for table in tables_of(statement, language):
        sheet = book.create_sheet(table.heading[:_SHEET_TITLE])
        for row in (table.header, *table.rows):
            sheet.append([_text(sheet, cell) for cell in row])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _text(sheet: Any, cell: str) -> Any:
    from openpyxl.cell import WriteOnlyCell

    written = WriteOnlyCell(sheet, value=cell)
    written.data_type = "s"
    return written


def _pdf(statement: dict[str, Any], language: str) -> bytes:
    from chalicelib.gateways.review_pages import tables_pdf

    title = f"{word('title', language)} {statement['agency']} {statement['month']}"
    tables = ((table.heading, table.header, table.rows) for table in tables_of(statement, language))
    return tables_pdf(title, tables, language)
