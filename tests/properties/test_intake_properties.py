"""Whatever stands in a file, each row is taken or rejected with a known code; and every format says the same."""

import copy
import csv
import io
import json
import zipfile
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from chalicelib.domain.intake.columns import canonical_name, flat_cells, normalised
from chalicelib.domain.intake.judge import Taken, judge, parse_object, prepared
from chalicelib.domain.intake.records import csv_records, ends_inside_quotes
from chalicelib.domain.intake.rejections import BATCH_CODES, ROW_CODES, BatchRefusal, Problem, Rejection, shape
from chalicelib.domain.intake.scan import CSV, JSONL, Plan, read_chunk, scan
from chalicelib.domain.intake.values import (
    cn_check_character,
    decimal_text,
    is_cn_id,
    is_vin,
    minor_units,
    telephone,
    vin_check_digit,
)
from chalicelib.domain.intake.workbook import scan_workbook
from scripts.sample import document

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

RELAXED = settings(deadline=None)

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=30),
    st.text(alphabet='=+-@"\n\r\t,0', max_size=8),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
ROWS = [document(number) for number in (1, 3, 6, 8, 44)]


def paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return every path into a JSON value but the empty one."""
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path for key, inner in steps for path in ((*at, key), *paths(inner, (*at, key)))]


PLACES = [(number, path) for number, row in enumerate(ROWS) for path in paths(row)]


def replaced(row: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    copied = copy.deepcopy(row)
    holder: Any = copied
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = value
    return copied


def is_known(outcome: Taken | Rejection) -> bool:
    return isinstance(outcome, Taken) or all(problem.code in ROW_CODES for problem in outcome.problems)


@QUICK
@given(st.lists(st.tuples(st.sampled_from(PLACES), VALUES), min_size=1, max_size=3))
def test_a_row_with_anything_anywhere_is_taken_or_rejected_with_known_codes(
    changes: list[tuple[tuple[int, tuple[Any, ...]], Any]],
) -> None:
    number, path = changes[0][0]
    row = replaced(ROWS[number], path, changes[0][1])
    spelled = prepared(row)
    outcome = judge(spelled, row=1, line=1) if isinstance(spelled, dict) else spelled
    assert isinstance(outcome, Problem) or is_known(outcome)


@QUICK
@given(VALUES)
def test_any_json_value_as_a_row_is_answered(value: Any) -> None:
    spelled = prepared(value)
    assert isinstance(spelled, Problem) or is_known(judge(spelled, row=1, line=1))


@QUICK
@given(st.binary(max_size=400))
@example(b'{"parties": [{"phones": [{"value": "\\ud800"}]}]}')
@example(b'{"a":' * 40)
def test_any_bytes_as_a_json_row_are_answered(raw: bytes) -> None:
    spelled = parse_object(raw)
    assert isinstance(spelled, Problem) or is_known(judge(spelled, row=1, line=1))


def table(rows: list[dict[str, Any]]) -> bytes:
    cells = [flat_cells(row) for row in rows]
    names = list(dict.fromkeys(name for row in cells for name in row))
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(names)
    writer.writerows([row.get(name, "") for name in names] for row in cells)
    return out.getvalue().encode()


RIGHT = table(ROWS[:2])


def read_all(data: bytes, plan: Plan) -> list[Taken | Rejection]:
    found: list[Taken | Rejection] = []
    for chunk in plan.chunks:
        found += read_chunk(
            [data[chunk.start : chunk.end]],
            format=plan.format,
            encoding=plan.encoding,
            delimiter=plan.delimiter or ",",
            titles=plan.titles,
            first_row=chunk.first_row,
            first_line=chunk.first_line,
        )
    return found


@QUICK
@given(st.integers(0, len(RIGHT)), st.integers(0, 40), st.binary(max_size=20), st.integers(1, 3))
def test_a_damaged_csv_is_refused_or_read_row_by_row(start: int, length: int, junk: bytes, most: int) -> None:
    data = RIGHT[:start] + junk + RIGHT[start + length :]
    plan = scan([data], format=CSV, rows_per_chunk=most)
    if isinstance(plan, BatchRefusal):
        assert plan.code in BATCH_CODES
        return
    found = read_all(data, plan)
    assert [row.row for row in found] == list(range(1, plan.rows + 1))
    assert all(is_known(row) for row in found)


@QUICK
@given(st.lists(st.binary(max_size=60), max_size=6), st.integers(1, 3))
def test_lines_of_anything_as_json_lines_are_refused_or_read_row_by_row(parts: list[bytes], most: int) -> None:
    data = b"{}\n" + b"\n".join(parts)
    plan = scan([data], format=JSONL, rows_per_chunk=most)
    if isinstance(plan, Plan):
        found = read_all(data, plan)
        assert [row.row for row in found] == list(range(1, plan.rows + 1)) and all(is_known(row) for row in found)


TABLE_CELLS = st.text(alphabet=st.sampled_from('ab",;\n\r\t张 '), max_size=6)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(TABLE_CELLS, min_size=2, max_size=3), min_size=1, max_size=5), st.integers(1, 40))
def test_rows_that_a_csv_writer_wrote_are_split_where_it_ended_them(rows: list[list[str]], size: int) -> None:
    parts = []
    for row in rows:
        out = io.StringIO()
        csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL).writerow(row)
        parts.append(out.getvalue().encode())
    data = b"".join(parts)
    found = list(csv_records((data[at : at + size] for at in range(0, len(data), size)), delimiter=b","))
    assert [record.raw for record in found] == [part.rstrip(b"\r\n") for part in parts]
    assert [(record.start, record.end) for record in found] == [
        (sum(map(len, parts[:number])), sum(map(len, parts[: number + 1]))) for number in range(len(parts))
    ]


@RELAXED
@given(st.text(alphabet='a",', max_size=12))
def test_a_line_ends_inside_quotes_exactly_when_the_csv_module_wants_more(line: str) -> None:
    wants_more = len(list(csv.reader([line + "\n", "END\n"]))) == 1
    assert ends_inside_quotes(line.encode() + b"\n", b",", is_inside=False) == wants_more


@QUICK
@given(
    st.integers(1, 400),
    st.text(alphabet=st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5), min_size=1, max_size=6),
    st.text(alphabet="abc \",;'x\u00e9", max_size=20).map(lambda text: "n" + text),
)
def test_json_csv_and_gb18030_say_the_same(number: int, name: str, note: str) -> None:
    row = document(number)
    row["parties"][0]["name"], row["note"] = name, note
    whole = [
        (table([row]), CSV, None),
        # So short a text may by chance be valid UTF-8 as well, so the encoding is stated, as a lender may do.
        (table([row]).decode().encode("gb18030"), CSV, "gb18030"),
        (json.dumps(row).encode(), JSONL, None),
        (json.dumps(row, ensure_ascii=False).encode(), JSONL, None),
    ]
    found = []
    for data, form, encoding in whole:
        plan = scan([data], format=form, encoding=encoding)
        assert isinstance(plan, Plan)
        found += read_all(data, plan)
    assert all(isinstance(each, Taken) for each in found)
    assert len({each.record.model_dump_json() for each in found if isinstance(each, Taken)}) == 1


def workbook() -> bytes:
    from openpyxl import Workbook

    book = Workbook()
    sheet = book.active
    assert sheet is not None
    cells = flat_cells(ROWS[0])
    sheet.append(list(cells))
    sheet.append(list(cells.values()))
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


BOOK = workbook()
PARTS = {name: zipfile.ZipFile(io.BytesIO(BOOK)).read(name) for name in zipfile.ZipFile(io.BytesIO(BOOK)).namelist()}


def scanned(data: bytes) -> Plan | BatchRefusal:
    return scan_workbook(io.BytesIO(data), write=lambda number, blob: str(number))


@QUICK
@given(st.integers(0, len(BOOK)), st.integers(0, 40), st.binary(max_size=20))
def test_a_damaged_archive_is_refused_or_planned(start: int, length: int, junk: bytes) -> None:
    found = scanned(BOOK[:start] + junk + BOOK[start + length :])
    assert isinstance(found, Plan) or found.code in BATCH_CODES


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(PARTS)), st.data())
def test_a_damaged_part_of_a_workbook_is_refused_or_planned(name: str, data: st.DataObject) -> None:
    raw = PARTS[name]
    start = data.draw(st.integers(0, len(raw)))
    junk = data.draw(
        st.sampled_from((b"", b'"', b"<", b"9", b"x", b"</", b' t="s"', b"&amp;", b"\xff", b"-", b"1e999"))
    )
    raw = raw[:start] + junk + raw[start + data.draw(st.integers(0, 12)) :]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as target:
        for other, content in PARTS.items():
            target.writestr(other, raw if other == name else content)
    found = scanned(out.getvalue())
    assert isinstance(found, Plan) or found.code in BATCH_CODES


@RELAXED
@given(st.text(max_size=60))
def test_a_shape_keeps_no_letter_and_no_digit_but_its_own(text: str) -> None:
    masked = shape(text)
    assert len(masked) <= 41
    assert all(not letter.isalnum() or letter in "9A文" for letter in masked)


@RELAXED
@given(st.text(max_size=30))
def test_naming_a_header_twice_changes_nothing(text: str) -> None:
    assert normalised(normalised(text)) == normalised(text)
    assert isinstance(canonical_name(text), str)


@RELAXED
@given(st.integers(0, 10**13), st.sampled_from((0, 2)))
def test_money_goes_through_a_cell_unchanged(minor: int, digits: int) -> None:
    assert minor_units(decimal_text(minor, digits=digits), digits=digits) == minor


@RELAXED
@given(st.text(max_size=25), st.sampled_from(("CN", "US", "GB", "ZZ")))
def test_any_text_as_a_telephone_is_answered_and_an_accepted_one_is_canonical(text: str, country: str) -> None:
    found = telephone(text, country=country)
    assert found is None or telephone(found[0], country=country) == found


@RELAXED
@given(st.dates(), st.sampled_from(("110105", "310115", "650102")), st.integers(0, 999), st.integers(0, 16))
def test_an_id_made_with_its_check_character_is_right_and_two_swapped_digits_are_noticed(
    born: Any, division: str, serial: int, place: int
) -> None:
    first17 = f"{division}{born:%Y%m%d}".rjust(14, "0")[:14] + f"{serial:03d}"
    number = first17 + cn_check_character(first17)
    swapped = first17[:place] + first17[place : place + 2][::-1] + first17[place + 2 :] + number[17]
    if is_cn_id(number) and swapped != number:
        assert not is_cn_id(swapped[:18])


@RELAXED
@given(st.text(alphabet="ABCDEFGHJKLMNPRSTUVWXYZ0123456789", min_size=17, max_size=17))
def test_a_vin_with_its_check_digit_is_right(text: str) -> None:
    vin = text[:8] + vin_check_digit(text) + text[9:]
    assert is_vin(vin, checked=True)
