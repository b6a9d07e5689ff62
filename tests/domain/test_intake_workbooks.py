"""Workbooks: written by an independent library, read by ours; what spreadsheets do to numbers; unsafe archives."""

import io
import re
import tracemalloc
import zipfile
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from openpyxl import Workbook
from openpyxl.utils import get_column_letter

from chalicelib.domain.intake import workbook as module
from chalicelib.domain.intake.columns import flat_cells
from chalicelib.domain.intake.judge import Taken, judge
from chalicelib.domain.intake.rejections import BatchRefusal, Rejection
from chalicelib.domain.intake.scan import STAGED, Control, Plan, read_chunk
from chalicelib.domain.intake.workbook import scan_workbook
from scripts.sample import document

Cells = dict[str, Any]


def book_of(rows: list[Cells], *, prepare: Callable[[Workbook], None] | None = None) -> io.BytesIO:
    """Return a workbook of rows (column -> value); a value may be a pair (value, number format)."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(names)
    for number, row in enumerate(rows, start=2):
        for index, name in enumerate(names, start=1):
            value = row.get(name)
            if value is None:
                continue
            cell = sheet[f"{get_column_letter(index)}{number}"]
            cell.value, cell.number_format = value if isinstance(value, tuple) else (value, cell.number_format)
    if prepare is not None:
        prepare(book)
    out = io.BytesIO()
    book.save(out)
    return out


def read(file: io.BytesIO, **how: Any) -> tuple[Plan | BatchRefusal, list[Taken | Rejection]]:
    blobs: dict[int, bytes] = {}

    def put(number: int, blob: bytes) -> str:
        blobs[number] = blob
        return f"blob-{number}"

    plan = scan_workbook(file, write=put, **how)
    if isinstance(plan, BatchRefusal):
        return plan, []
    found: list[Taken | Rejection] = []
    for chunk in plan.chunks:
        assert chunk.blob == f"blob-{chunk.number}"
        found += read_chunk(
            [blobs[chunk.number]],
            format=STAGED,
            encoding="utf-8",
            titles=plan.titles,
            first_row=chunk.first_row,
            first_line=chunk.first_line,
        )
    return plan, found


def one(**changes: Any) -> Taken | Rejection:
    """Return what becomes of a right Chinese row, as text cells, with some cells changed."""
    return read(book_of([{**flat_cells(document(1)), **changes}]))[1][0]


def codes(outcome: Taken | Rejection) -> list[tuple[str, str]]:
    return [] if isinstance(outcome, Taken) else [(problem.code, problem.field) for problem in outcome.problems]


def refusal(file: io.BytesIO, **how: Any) -> str:
    found, _ = read(file, **how)
    assert isinstance(found, BatchRefusal)
    return found.code


def test_a_workbook_of_texts_gives_the_rows_that_the_documents_give() -> None:
    numbers = (1, 3, 6, 8)
    plan, found = read(book_of([flat_cells(document(number)) for number in numbers]), rows_per_chunk=3)
    assert isinstance(plan, Plan) and [chunk.rows for chunk in plan.chunks] == [3, 1]
    expected = [judge(document(number), row=row, line=row + 1) for row, number in enumerate(numbers, start=1)]
    assert found == expected
    assert all(isinstance(row, Taken) for row in found)


def test_numbers_dates_and_booleans_are_read_as_a_person_sees_them() -> None:
    natural = one(
        overdue_total=float(flat_cells(document(1))["overdue_total"]),
        dpd=document(1)["loan"]["dpd"],
        apr=(0.0488, "0.00%"),
        origination_date=(date(2023, 3, 15), "yyyy-mm-dd"),
        maturity_date=(date(2031, 1, 2), 'yyyy"年"m"月"d"日"'),
        as_of_date=20261120,
        party1_phone1=17000000004,
        party1_postcode=(10000, "000000"),
        vehicle1_lien_registered=True,
        lender_account_id=12345678,
    )
    assert isinstance(natural, Taken)
    row = natural.record
    assert row.loan.apr == "0.0488"
    assert (row.loan.origination_date, row.loan.maturity_date) == (date(2023, 3, 15), date(2031, 1, 2))
    assert row.borrower.postcode == "010000"
    assert row.borrower.phones[0].value == "+8617000000004"
    assert row.loan.lender_account_id == "12345678"


def test_a_binary_fraction_is_the_amount_that_is_shown() -> None:
    document_1 = document(1)
    document_1["overdue"] |= {"other_minor": 30}
    document_1["overdue"]["total_minor"] += 30
    outcome = read(book_of([{**flat_cells(document_1), "overdue_other": 0.1 + 0.2}]))[1][0]
    assert isinstance(outcome, Taken) and outcome.record.overdue.other_minor == 30


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"party1_national_id": 110105199001011234}, "excel_rounded"),
        ({"contract_no": 1234567890123456}, "excel_rounded"),
        ({"origination_date": 45000}, "excel_serial_date"),
        ({"origination_date": (45000.5, "yyyy-mm-dd hh:mm")}, "date_invalid"),
        ({"dpd": "=1+1"}, "formula_cell"),
        ({"note": "#N/A"}, "text_invalid"),
        ({"overdue_other": 0.125}, "money_invalid"),
        ({"dpd": 3.5}, "integer_invalid"),
    ],
)
def test_damage_is_rejected_with_its_code_at_its_column(changes: Cells, code: str) -> None:
    ((name, _),) = changes.items()
    assert (code, name) in codes(one(**changes))


def test_a_number_of_15_digits_is_kept_and_a_text_that_looks_like_a_formula_is_told_apart() -> None:
    assert codes(one(contract_no=123456789012345)) == []

    def as_text(book: Workbook) -> None:
        sheet = book.active
        assert sheet is not None
        column = [cell.value for cell in sheet[1]].index("party1_name")
        sheet[2][column].data_type = "s"

    file = book_of([{**flat_cells(document(1)), "party1_name": "=A1"}], prepare=as_text)
    assert codes(read(file)[1][0]) == [("formula_injection", "party1_name")]


def test_dates_count_from_1904_when_the_workbook_says_so() -> None:
    def from_1904(book: Workbook) -> None:
        from openpyxl.utils.datetime import CALENDAR_MAC_1904

        book.epoch = CALENDAR_MAC_1904

    cells = {**flat_cells(document(1)), "origination_date": (date(2023, 3, 15), "yyyy-mm-dd")}
    outcome = read(book_of([cells], prepare=from_1904))[1][0]
    assert isinstance(outcome, Taken) and outcome.record.loan.origination_date == date(2023, 3, 15)


def test_rows_keep_their_number_in_the_sheet_and_empty_rows_are_none() -> None:
    def gap(book: Workbook) -> None:
        sheet = book.active
        assert sheet is not None
        sheet.insert_rows(3, amount=2)

    cells = [flat_cells(document(number)) for number in (1, 2)]
    assert [(row.row, row.line) for row in read(book_of(cells, prepare=gap))[1]] == [(1, 2), (2, 5)]


def test_a_second_sheet_with_data_is_refused_and_an_empty_one_is_not() -> None:
    def empty(book: Workbook) -> None:
        book.create_sheet("notes")

    def filled(book: Workbook) -> None:
        book.create_sheet("more").append(["x"])

    assert isinstance(read(book_of([flat_cells(document(1))], prepare=empty))[0], Plan)
    assert refusal(book_of([flat_cells(document(1))], prepare=filled)) == "sheets_many"


def test_control_totals_of_a_workbook() -> None:
    file = book_of([flat_cells(document(number)) for number in (1, 3)])
    plan, _ = read(file)
    assert isinstance(plan, Plan)
    assert isinstance(read(file, control=Control(rows=2, totals=plan.totals, sha256=plan.sha256))[0], Plan)
    assert refusal(file, control=Control(rows=3)) == "rows_differ"
    assert refusal(file, control=Control(totals={"overdue_total": {"CNY": 1}})) == "totals_differ"
    assert refusal(file, control=Control(sha256="0" * 64)) == "sha256_differs"


def test_a_workbook_without_rows_or_with_a_wrong_header_is_refused() -> None:
    book = Workbook()
    out = io.BytesIO()
    book.save(out)
    assert refusal(out) == "file_empty"
    assert refusal(book_of([{"colour": "red"}])) == "header_unknown"


def test_a_number_that_would_fill_the_memory_is_rejected() -> None:
    def endless(_: zipfile.ZipFile, name: str, raw: bytes) -> bytes:
        return raw.replace(b"<v>7</v>", b"<v>1E999999999</v>") if name.endswith("sheet1.xml") else raw

    outcome = read(repacked(endless, overdue_periods=7))[1][0]
    assert ("text_invalid", "overdue_periods") in codes(outcome)


# Shared strings: how Excel itself writes texts


INLINE = re.compile(rb't="inlineStr"><is><t[^>]*>(.*?)</t></is>', re.DOTALL)


def with_shared_strings(file: io.BytesIO, *, item: bytes = b"<si><t>%s</t></si>") -> io.BytesIO:
    """Return the workbook with its inline texts moved into the table of shared strings; ``item`` wraps each."""
    texts: list[bytes] = []

    def shared(found: re.Match[bytes]) -> bytes:
        texts.append(found[1])
        return b't="s"><v>%d</v>' % (len(texts) - 1)

    source, out = zipfile.ZipFile(file), io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            raw = source.read(name)
            target.writestr(name, INLINE.sub(shared, raw) if "worksheets/" in name else raw)
        target.writestr("xl/sharedStrings.xml", b"<sst>" + b"".join(item % text for text in texts) + b"</sst>")
    return out


@pytest.mark.parametrize(
    "item",
    [
        b"<si><t>%s</t></si>",
        b'<si><r><t xml:space="preserve">%s</t></r></si>',
        b"<si><t>%s</t><rPh sb='0' eb='1'><t>pinyin</t></rPh></si>",
    ],
)
def test_shared_strings_plain_rich_or_with_a_reading_are_the_same_texts(item: bytes) -> None:
    cells = [flat_cells(document(number)) for number in (1, 3)]
    assert read(with_shared_strings(book_of(cells), item=item))[1] == read(book_of(cells))[1]


def test_a_shared_string_that_is_not_there_refuses_the_workbook() -> None:
    file = with_shared_strings(book_of([flat_cells(document(1))]))
    source, out = zipfile.ZipFile(file), io.BytesIO()
    with zipfile.ZipFile(out, "w") as target:
        for name in source.namelist():
            target.writestr(name, b"<sst/>" if name == "xl/sharedStrings.xml" else source.read(name))
    assert refusal(out) == "workbook_unreadable"


# Archives


def repacked(change: Callable[[zipfile.ZipFile, str, bytes], bytes], **cells: Any) -> io.BytesIO:
    """Return a right workbook (some cells changed) with each part passed through ``change``."""
    source = zipfile.ZipFile(book_of([{**flat_cells(document(1)), **cells}]))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, change(target, name, source.read(name)))
    return out


def test_a_right_archive_passes_when_it_is_packed_anew() -> None:
    assert isinstance(read(repacked(lambda _, __, raw: raw))[0], Plan)


def test_an_archive_that_expands_too_far_is_refused() -> None:
    def bomb(target: zipfile.ZipFile, name: str, raw: bytes) -> bytes:
        return raw + b" " * 3_000_000 if name.endswith("sheet1.xml") else raw

    assert refusal(repacked(bomb)) == "archive_unsafe"


def test_a_nested_archive_is_refused() -> None:
    def nested(target: zipfile.ZipFile, name: str, raw: bytes) -> bytes:
        if name == "xl/workbook.xml":
            target.writestr("xl/embeddings/inner.xlsx", b"PK\x03\x04")
        return raw

    assert refusal(repacked(nested)) == "archive_unsafe"


def test_a_document_type_with_entities_is_refused_before_it_expands() -> None:
    laughs = b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>'

    def entities(_: zipfile.ZipFile, name: str, raw: bytes) -> bytes:
        start = raw.find(b"<worksheet")
        return raw[:start] + laughs + raw[start:] if name.endswith("sheet1.xml") else raw

    assert refusal(repacked(entities)) == "workbook_unreadable"


@pytest.mark.parametrize("lost", ["xl/workbook.xml", "xl/_rels/workbook.xml.rels", "xl/worksheets/sheet1.xml"])
def test_a_workbook_with_a_part_missing_is_refused(lost: str) -> None:
    source = zipfile.ZipFile(book_of([flat_cells(document(1))]))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as target:
        for name in source.namelist():
            if name != lost:
                target.writestr(name, source.read(name))
    assert refusal(out) == "workbook_unreadable"


def test_what_is_no_archive_or_a_broken_one_is_refused() -> None:
    whole = book_of([flat_cells(document(1))]).getvalue()
    assert refusal(io.BytesIO(b"")) == "file_empty"
    assert refusal(io.BytesIO(b"account,name\n")) == "format_mismatch"
    assert refusal(io.BytesIO(whole[: len(whole) // 2])) == "workbook_unreadable"


def test_limits_on_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    file = book_of([flat_cells(document(number)) for number in (1, 2)])
    monkeypatch.setattr(module, "MOST_ROWS", 2)
    assert isinstance(read(file)[0], Plan)
    monkeypatch.setattr(module, "MOST_ROWS", 1)
    assert refusal(file) == "rows_too_many"


def test_shared_strings_do_not_lie_in_memory() -> None:
    few = flat_cells(document(2))

    def file(count: int) -> io.BytesIO:
        # Every row has a long text of its own; together they would show in the peak.
        return with_shared_strings(book_of([{**few, "note": f"{n:06d}{'x' * 900}"} for n in range(count)]))

    def peak(count: int) -> int:
        source = file(count)
        tracemalloc.start()
        plan = scan_workbook(source, write=lambda number, blob: str(number), rows_per_chunk=20)
        assert isinstance(plan, Plan) and plan.rows == count
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(40)
    cells = 300 * (len(few) + 1)
    assert peak(400) - peak(100) < 300 * 900 / 2 + 8 * cells
