"""Files: headers, encodings, delimiters, quotes, byte ranges, control totals, and what is refused as a whole."""

import csv
import io
import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib.domain.intake.columns import (
    REQUIRED,
    Header,
    HeaderFault,
    canonical_name,
    flat_cells,
    resolve,
    understand,
)
from chalicelib.domain.intake.judge import MOST_LINE, Taken, judge, prepared
from chalicelib.domain.intake.rejections import BATCH_CODES, BatchRefusal, Rejection
from chalicelib.domain.intake.scan import CSV, JSONL, Control, Plan, read_chunk, scan
from scripts.sample import document

NUMBERS = (1, 3, 6, 8)


def cut(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def table(rows: list[dict[str, Any]], *, delimiter: str = ",") -> str:
    cells = [flat_cells(row) for row in rows]
    names = list(dict.fromkeys(name for row in cells for name in row))
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\r\n")
    writer.writerow(names)
    writer.writerows([row.get(name, "") for name in names] for row in cells)
    return out.getvalue()


def lines(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


def planned(data: bytes, form: str = CSV, *, size: int = 1 << 16, **how: Any) -> Plan:
    plan = scan(cut(data, size), format=form, **how)
    assert isinstance(plan, Plan), plan
    return plan


def refused(data: bytes, form: str = CSV, **how: Any) -> str:
    found = scan(cut(data, 1 << 16), format=form, **how)
    assert isinstance(found, BatchRefusal)
    assert found.as_json()["zh"] and found.code in BATCH_CODES
    return found.code


def rows_of(data: bytes, plan: Plan, *, size: int = 1 << 16, **how: Any) -> list[Taken | Rejection]:
    found: list[Taken | Rejection] = []
    for chunk in plan.chunks:
        found += read_chunk(
            cut(data[chunk.start : chunk.end], size),
            format=plan.format,
            encoding=plan.encoding,
            delimiter=plan.delimiter or ",",
            titles=plan.titles,
            first_row=chunk.first_row,
            first_line=chunk.first_line,
            **how,
        )
    return found


def all_rows(data: bytes, form: str = CSV, **how: Any) -> list[Taken | Rejection]:
    return rows_of(data, planned(data, form, **how))


def documents() -> list[dict[str, Any]]:
    return [document(number) for number in NUMBERS]


def records(found: list[Taken | Rejection]) -> list[Any]:
    return [row.record if isinstance(row, Taken) else row.code for row in found]


# One canonical outcome


def test_every_encoding_of_the_same_rows_gives_the_identical_canonical_rows() -> None:
    text = table(documents())
    expected = records([judge(row, row=n, line=n) for n, row in enumerate(documents(), start=1)])
    assert all(not isinstance(row, str) for row in expected)
    for data in (
        text.encode(),
        b"\xef\xbb\xbf" + text.encode(),
        text.encode("gb18030"),
        text.replace("\r\n", "\n").encode(),
        text.rstrip("\r\n").encode(),
        table(documents(), delimiter=";").encode(),
        table(documents(), delimiter="\t").encode("gb18030"),
    ):
        assert records(all_rows(data)) == expected
    for data in (
        lines(documents()),
        b"\xef\xbb\xbf" + lines(documents()),
        lines(documents()).replace(b"\n", b"\r\n\n"),
    ):
        assert records(all_rows(data, JSONL)) == expected
    assert records(all_rows(lines(documents()).decode().encode("gb18030"), JSONL)) == expected


def test_the_encoding_is_found_and_reported() -> None:
    text = table(documents())
    assert planned(text.encode()).encoding == "utf-8"
    assert planned(text.encode("gb18030")).encoding == "gb18030"
    assert planned(table([document(3)]).encode("gb18030")).encoding == "utf-8"  # plain ASCII is both


def test_a_stated_encoding_is_the_only_one_considered() -> None:
    data = table(documents()).encode("gb18030")
    assert planned(data, encoding="gb18030").encoding == "gb18030"
    assert refused(data, encoding="utf-8") == "encoding_unknown"
    with pytest.raises(ValueError, match="not supported"):
        scan([data], format=CSV, encoding="latin-1")


def test_a_row_that_the_encoding_cannot_hold_is_one_rejection() -> None:
    many = [document(number) for number in (1, 2, 6, 7, 11, 12)]
    data = table(many).encode()
    name = many[2]["parties"][0]["name"].encode()
    broken = data.replace(name, b"\xff\xff" + name, 1)
    found = all_rows(broken)
    assert [row.code if isinstance(row, Rejection) else "" for row in found] == ["", "", "encoding_invalid", "", "", ""]
    assert not any(isinstance(row, Rejection) for row in all_rows(data))


def test_chinese_headers_and_role_columns_mean_the_same_as_numbered_ones() -> None:
    row = document(6)
    cells = flat_cells(row)
    renamed = {
        "lender_account_id": "账户号", "contract_no": "合同编号", "overdue_total": "逾期总额", "dpd": "逾期天数",
        "placement_stage": "手别", "party1_name": "姓名", "party1_national_id": "身份证号", "party1_phone1": "手机",
        "party1_address1": "住址", "vehicle1_plate": "车牌号", "vehicle1_vin": "车架号", "mandate_end": "结案日期",
        "delegation_date": "委案日期", "batch_id": "批次号", "amount_financed": "合同金额 (元)",
    }  # fmt: skip
    renamed |= {name: name.replace("party1_", "borrower_") for name in cells if name.startswith("party1_")} | {
        name: title for name, title in renamed.items() if name.startswith("party1_")
    }
    renamed |= {name: name.replace("party2_", "guarantor1_") for name in cells if name.startswith("party2_")}
    renamed |= {name: name.replace("party3_", "contact_person1_") for name in cells if name.startswith("party3_")}
    out = io.StringIO()
    csv.writer(out).writerows([[renamed.get(name, name) for name in cells], list(cells.values())])
    plain = all_rows(table([row]).encode())
    assert records(all_rows(out.getvalue().encode("gb18030"))) == records(plain)
    assert isinstance(plain[0], Taken)


def test_names_that_a_mapping_gives_or_leaves_out() -> None:
    text = table([document(3)]).replace("lender_account_id", "Kontonummer").replace("extra_origin", "Bemerkung")
    mapping = {"Kontonummer": "lender_account_id", "Bemerkung": "ignore"}
    assert refused(text.encode()) == "header_unknown"
    plan = planned(text.encode(), mapping=mapping)
    found = rows_of(text.encode(), plan, mapping=mapping)
    assert isinstance(found[0], Taken) and found[0].record.extra == {}


@pytest.mark.parametrize(
    ("header", "name"),
    [("\ufeff合同号", "contract_no"), ("Account Number", "lender_account_id"), ("担保人2手机", "guarantor2_phone1"),
     ("联系人1手机2", "contact_person1_phone2"), ("逾期总额（元）", "overdue_total"), ("DPD", "dpd"),
     ("Party1-Name", "party1_name"), ("extra_My Key", "extra_My Key")],
)  # fmt: skip
def test_other_names_of_columns(header: str, name: str) -> None:
    assert canonical_name(header) == name
    assert resolve(name) is not None


@pytest.mark.parametrize(
    "name", ["party0_name", "party21_name", "party01_name", "party1_phone", "party1_", "overdue", "phone1", "extra_"]
)
def test_names_that_are_no_columns(name: str) -> None:
    assert resolve(name) is None


def test_slots_may_stand_in_any_order_and_have_gaps() -> None:
    cells = flat_cells(document(6))
    swapped = {name.replace("party3_", "party9_"): cell for name, cell in reversed(cells.items())}
    out = io.StringIO()
    csv.writer(out).writerows([list(swapped), list(swapped.values())])
    assert records(all_rows(out.getvalue().encode())) == records(all_rows(table([document(6)]).encode()))


# Records


def test_quoted_newlines_stay_in_their_row_and_lines_are_counted_physically() -> None:
    first, second = document(1), document(2)
    first["note"] = 'line one\nline "two"\n\nline four'
    found = all_rows(table([first, second]).encode())
    assert isinstance(found[0], Taken) and found[0].record.note == 'line one\nline "two"\n\nline four'
    assert [(row.row, row.line) for row in found] == [(1, 2), (2, 6)]


def test_an_unclosed_quote_spoils_its_own_line_only() -> None:
    rows = [document(number) for number in (1, 2, 6, 7)]
    text = table(rows).split("\r\n")
    text[2] = '"' + text[2]
    data = "\r\n".join(text).encode()
    found = all_rows(data)
    assert [row.code if isinstance(row, Rejection) else "" for row in found] == ["", "quote_unclosed", "", ""]
    assert [row.line for row in found] == [2, 3, 4, 5]


def test_a_quote_inside_a_cell_is_a_character() -> None:
    row = document(3)
    row["parties"][0]["addresses"][0]["value"] = "5XX Main St"
    data = table([row, document(8)]).replace("5XX", '5" x 6"').encode()
    found = all_rows(data)
    assert isinstance(found[0], Taken) and found[0].record.borrower.addresses[0].value == '5" x 6" Main St'
    assert isinstance(found[1], Taken)


def test_a_line_above_the_limit_is_one_rejection_and_one_at_the_limit_is_read() -> None:
    row = lines([document(1)]).rstrip(b"\n")
    filled = row + b" " * (MOST_LINE - 1 - len(row))
    data = filled + b"\n" + filled + b"  \n" + row + b"\n"
    found = all_rows(data, JSONL)
    assert [row.code if isinstance(row, Rejection) else "" for row in found] == ["", "line_too_long", ""]


def test_cells_too_many_or_too_few_are_rejected_and_empty_ones_at_the_end_are_not() -> None:
    head, row = table([document(3)]).split("\r\n")[:2]
    data = "\r\n".join((head, row, row + ",,", row + ",x", row.rsplit(",", 1)[0])).encode()
    found = all_rows(data)
    assert [row.code if isinstance(row, Rejection) else "" for row in found] == ["", "", "row_shape", "row_shape"]


def test_a_cell_above_the_limit_is_rejected() -> None:
    for length, code in ((4_001, "cell_too_long"), (4_000, "text_too_long")):
        row = document(3)
        row["note"] = "x" * length
        assert records(all_rows(table([row]).encode())) == [code]


def test_a_rejected_cell_is_named_by_its_title_in_the_file() -> None:
    row = document(6)
    row["parties"][1]["phones"][0]["value"] = "123"
    data = table([row]).replace("party2_phone1,", "担保人手机,").encode("gb18030")
    out = all_rows(data)
    assert isinstance(out[0], Rejection)
    assert {(problem.code, problem.field) for problem in out[0].problems} >= {("phone_invalid", "担保人手机")}


def test_chunks_are_byte_ranges_that_can_be_read_alone_in_any_order_and_again() -> None:
    rows = [document(number) for number in range(1, 24)]
    rows[3]["note"] = "two\nlines"
    for data, form in ((table(rows).encode(), CSV), (lines(rows), JSONL)):
        whole = all_rows(data, form)
        for size in (1 << 16, 997):
            plan = planned(data, form, size=size, rows_per_chunk=5)
            assert [chunk.rows for chunk in plan.chunks] == [5, 5, 5, 5, 3]
            assert [chunk.start for chunk in plan.chunks[1:]] == [chunk.end for chunk in plan.chunks[:-1]]
            assert plan.chunks[-1].end == len(data)
            assert rows_of(data, plan, size=size) == whole


# What is refused as a whole


def test_headers_that_are_refused() -> None:
    text = table([document(3)])
    assert refused(text.replace("contract_no", "contract_number_x").encode()) == "header_unknown"
    assert refused(text.replace("extra_origin", "Contract No").encode()) == "header_duplicate"
    names = list(REQUIRED)
    assert isinstance(understand(names), Header)
    for missing in names:
        fault = understand([name for name in names if name != missing])
        assert isinstance(fault, HeaderFault) and (fault.code, fault.columns) == ("header_missing", (missing,))
    assert understand([*names, *(f"extra_{n}" for n in range(2_000))]) == HeaderFault("columns_too_many", ())


def test_a_file_that_begins_with_data_does_not_have_it_repeated() -> None:
    _, row, *_ = table([document(1)]).split("\r\n")
    found = scan([(row + "\r\n" + row).encode()], format=CSV)
    assert isinstance(found, BatchRefusal) and found.code == "header_unknown"
    assert document(1)["parties"][0]["name"] not in json.dumps(found.as_json(), ensure_ascii=False)
    misspelt = scan([table([document(1)]).replace("contract_no", "contrat_no").encode()], format=CSV)
    assert isinstance(misspelt, BatchRefusal) and misspelt.details["columns"] == ["contrat_no"]


@pytest.mark.parametrize(
    ("data", "form", "code"),
    [
        (b"", CSV, "file_empty"),
        (b"\n\n", CSV, "file_empty"),
        (b"{}\n", CSV, "format_mismatch"),
        (b"a,b\n", JSONL, "format_mismatch"),
        (b"PK\x03\x04rest", CSV, "format_mismatch"),
        ("批次号".encode("utf-16"), CSV, "encoding_unknown"),
        (b"\xff\xfe\xff\xff,\n1\n", CSV, "encoding_unknown"),
    ],
)
def test_beginnings_that_are_refused(data: bytes, form: str, code: str) -> None:
    assert refused(data, form) == code


def test_a_header_without_rows_is_empty_and_one_row_is_not() -> None:
    head, row, _ = table([document(3)]).split("\r\n")
    assert refused(head.encode()) == "file_empty"
    assert planned(f"{head}\n{row}".encode()).rows == 1


def test_header_and_rows_in_two_encodings_are_refused() -> None:
    head, *rows = table(documents()).replace("batch_id", "批次号", 1).split("\r\n")
    mixed = head.encode() + b"\r\n" + "\r\n".join(rows).encode("gb18030")
    assert refused(mixed) == "encoding_mixed"
    assert planned((head + "\r\n" + "\r\n".join(rows)).encode("gb18030")).encoding == "gb18030"


def test_rows_in_no_encoding_are_refused() -> None:
    head, *rows = table(documents()).split("\r\n")
    data = head.encode() + b"\r\n" + b"\r\n".join(row.encode() + b"\xff" for row in rows if row)
    assert refused(data) == "encoding_unknown"


def test_control_totals_agree_or_the_file_is_refused() -> None:
    data = table(documents()).encode()
    plan = planned(data)
    right = Control(rows=4, totals=plan.totals, sha256=plan.sha256.upper(), size=len(data))
    assert scan([data], format=CSV, control=right) == plan
    assert planned(lines(documents()), JSONL).totals == plan.totals
    assert refused(data, control=Control(rows=5)) == "rows_differ"
    assert refused(data, control=Control(size=1)) == "bytes_differ"
    assert refused(data, control=Control(sha256="0" * 64)) == "sha256_differs"
    for currency, minor in plan.totals["overdue_total"].items():
        wrong = {"overdue_total": {**plan.totals["overdue_total"], currency: minor + 1}}
        assert refused(data, control=Control(totals=wrong)) == "totals_differ"
    assert refused(data, control=Control(totals={"no_such_column": {"CNY": 1}})) == "totals_differ"
    absent = Control(totals={"charge_off_amount": {"CNY": 0}})
    assert isinstance(scan([data], format=CSV, control=absent), Plan)


def test_totals_are_the_sums_of_the_rows_by_currency() -> None:
    plan = planned(table(documents()).encode())
    for currency in ("CNY", "USD"):
        rows = [row for row in documents() if row["loan"]["currency"] == currency]
        assert plan.totals["overdue_total"][currency] == sum(row["overdue"]["total_minor"] for row in rows)
        assert plan.totals["principal_left"][currency] == sum(row["loan"]["principal_left_minor"] for row in rows)
    assert plan.uncounted == 0


def test_a_money_cell_that_is_no_amount_is_uncounted_and_its_row_rejected() -> None:
    row = document(3)
    row["loan"]["interest_left_minor"] = "1,000.00"
    data = table([row, document(8)]).encode()
    plan = planned(data)
    assert plan.uncounted == 1
    assert [row if isinstance(row, str) else "" for row in records(rows_of(data, plan))] == ["money_invalid", ""]


def test_limits_on_rows_and_bytes_end_the_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    from chalicelib.domain.intake import scan as module

    data = table(documents()).encode()
    monkeypatch.setattr(module, "MOST_ROWS", 4)
    assert planned(data).rows == 4
    monkeypatch.setattr(module, "MOST_ROWS", 3)
    assert refused(data) == "rows_too_many"
    monkeypatch.setattr(module, "MOST_ROWS", 4)
    monkeypatch.setattr(module, "MOST_BYTES", len(data) - 1)
    assert refused(data) == "file_too_large"
    assert refused(lines(documents()), JSONL) == "file_too_large"


# Memory


def test_memory_does_not_grow_with_the_number_of_rows() -> None:
    head, *rest = table([document(number) for number in range(1, 11)]).encode().split(b"\r\n")
    rows = [row for row in rest if row]

    def source(count: int) -> Iterator[bytes]:
        yield head + b"\r\n"
        for number in range(count // 10):
            yield b"".join(row.replace(b"AC0000", b"AC%04d" % (number % 10_000)) + b"\r\n" for row in rows)

    def peak(count: int) -> int:
        tracemalloc.start()
        plan = scan(source(count), format=CSV)
        assert isinstance(plan, Plan) and plan.rows == count
        taken = 0
        reading = read_chunk(
            _without_head(source(count)),
            format=CSV,
            encoding=plan.encoding,
            titles=plan.titles,
            first_row=1,
            first_line=2,
        )
        for row in reading:
            taken += isinstance(row, Taken)
        assert taken == count
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(50)
    small, large = peak(50), peak(600)
    # A chunk is 64 bytes of plan for 250 rows; everything else is one row at a time.
    assert large < small + 256 * 1024


def _without_head(pieces: Iterator[bytes]) -> Iterator[bytes]:
    next(pieces)
    yield from pieces


def test_inline_rows_are_read_as_a_file_of_them_would_be() -> None:
    spelled = prepared(document(1))
    assert isinstance(spelled, dict)
    outcome = judge(spelled, row=1, line=1)
    assert records([outcome]) == records(all_rows(lines([document(1)]), JSONL))
