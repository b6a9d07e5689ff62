"""Each rejection code has a row that is rejected with it and its nearest neighbour that is taken."""

import copy
import json
from typing import Any

import pytest

from chalicelib.domain.intake.judge import Taken, judge, parse_object, prepared
from chalicelib.domain.intake.places import CN_DIVISIONS, CN_REGIONS
from chalicelib.domain.intake.rejections import BATCH_CODES, ROW_CODES, Problem, Rejection, shape, tail
from chalicelib.domain.intake.row import Row
from chalicelib.domain.intake.values import (
    cn_check_character,
    credit_code_check,
    decimal_text,
    is_cn_id,
    is_us_ssn,
    is_vin,
    minor_units,
    plate,
    telephone,
    vin_check_digit,
)
from scripts.sample import document

Document = dict[str, Any]
CHINESE, AMERICAN = 1, 3
CREDIT_CODE = "91110105MA01ABCD1"


def changed(row: Document, path: str, value: Any) -> Document:
    """Return the row with the member at a dotted path replaced, or removed when the value is None."""
    copied = copy.deepcopy(row)
    holder: Any = copied
    *steps, last = path.split(".")
    for step in steps:
        holder = holder[int(step)] if step.isdigit() else holder.setdefault(step, {})
    if value is None:
        holder.pop(last, None)
    elif last.isdigit():
        holder[int(last)] = value
    else:
        holder[last] = value
    return copied


def judged(row: Document, *, lender: str | None = None) -> Taken | Rejection:
    return judge(copy.deepcopy(row), row=7, line=8, lender=lender)


def codes(outcome: Taken | Rejection) -> list[str]:
    return [] if isinstance(outcome, Taken) else [problem.code for problem in outcome.problems]


SIDES: list[tuple[str, int, str, Any, Any]] = [
    # code, sample row, member, a value that is rejected with it, a value that is taken
    ("boolean_invalid", CHINESE, "loan.accelerated", "maybe", "否"),
    ("bucket_mismatch", CHINESE, "loan.bucket", "M7", None),
    ("charge_off_incomplete", CHINESE, "loan.charge_off_date", "2026-10-01", None),
    ("company_code_invalid", CHINESE, "parties.0",
     {"role": "borrower", "name": "甲公司", "country": "CN", "national_id_kind": "company",
      "national_id": CREDIT_CODE + "0", "emails": [{"value": "a@example.com"}]},
     {"role": "borrower", "name": "甲公司", "country": "CN", "national_id_kind": "company",
      "national_id": CREDIT_CODE + credit_code_check(CREDIT_CODE), "emails": [{"value": "a@example.com"}]}),
    ("consent_undated", CHINESE, "parties.0.phones.0.consents", [{"medium": "sms", "state": "granted"}],
     [{"medium": "sms", "state": "unknown"}]),
    ("contact_in_future", CHINESE, "prior_contacts",
     [{"at": "2026-11-22T00:00:00Z", "channel": "call", "outcome": "busy"}],
     [{"at": "2026-11-21T23:59:59Z", "channel": "call", "outcome": "busy"}]),
    ("control_character", CHINESE, "parties.0.name", "张\u202e三", "张三"),
    ("country_unknown", CHINESE, "parties.0.addresses.0.country", "XX", "cn"),
    ("currency_unknown", CHINESE, "loan.currency", "ABC", "人民币"),
    ("date_invalid", CHINESE, "loan.origination_date", "2023-02-29", "20240229"),
    ("date_order", CHINESE, "batch.mandate_end", "2026-11-23", "2026-11-24"),
    ("dpd_mismatch", CHINESE, "loan.oldest_unpaid_due_date", "2025-01-01", None),
    ("email_invalid", AMERICAN, "parties.0.emails.0.value", "a..b@example.com", "a.b@example.com"),
    ("evidence_undated", CHINESE, "parties.0.deceased", {"value": True}, {"value": False}),
    ("excel_leading_zero", AMERICAN, "parties.0.postcode", "2108", "02108"),
    ("excel_leading_zero", AMERICAN, "parties.0.national_id", "12345678", "012345678"),
    ("excel_leading_zero", CHINESE, "parties.0.postcode", "10000", "010000"),
    ("excel_rounded", CHINESE, "parties.0.national_id", "110105199001010000", None),
    ("excel_scientific", CHINESE, "loan.contract_no", "1.10101E+17", "1.10101E17"),
    ("excel_scientific", CHINESE, "parties.0.phones.0.value", "1.70000E+10", "17000000004"),
    ("excel_serial_date", CHINESE, "loan.origination_date", "45000", "2023-03-15"),
    ("field_missing", CHINESE, "loan.contract_no", None, "C1"),
    ("field_missing", CHINESE, "parties.0.country", None, "CN"),
    ("field_unknown", CHINESE, "loan.colour", "red", None),
    ("formula_injection", CHINESE, "parties.0.employer", "＝1+1", "甲=乙公司"),
    ("formula_injection", CHINESE, "note", "first\n @SUM(A1)", "first\nsecond"),
    ("instant_invalid", CHINESE, "notices.0.at", "2026-11-18T02:00:00", "2026-11-18T10:00:00+08:00"),
    ("integer_invalid", CHINESE, "loan.term_months", 36.5, 36),
    ("language_invalid", CHINESE, "parties.0.language", "Chinese", "zh-Hans-CN"),
    ("liability_invalid", CHINESE, "parties.1", {"role": "guarantor", "name": "李四"},
     {"role": "guarantor", "name": "李四", "liability": "一般保证"}),
    ("list_too_long", CHINESE, "parties.0.wechats", [{"value": f"oSample{n:05d}"} for n in range(6)],
     [{"value": f"oSample{n:05d}"} for n in range(5)]),
    ("money_invalid", CHINESE, "loan.interest_left_minor", 12.5, 12),
    ("money_negative", CHINESE, "loan.interest_left_minor", -1, 0),
    ("money_too_large", CHINESE, "loan.interest_left_minor", 10**13 + 1, 10**13),
    ("national_id_birth_date", CHINESE, "parties.0.birth_date", "1950-01-01", None),
    ("national_id_invalid", CHINESE, "parties.0.national_id", "110105199001010013", None),
    ("national_id_invalid", AMERICAN, "parties.0.national_id", "666-12-3456", "665-12-3456"),
    ("number_out_of_range", CHINESE, "loan.due_day", 32, 31),
    ("overdue_sum", CHINESE, "overdue.other_minor", 1, 0),
    ("party_duplicate", CHINESE, "parties.1.party_id", "p1", "p2"),
    ("party_reference", CHINESE, "notices.0.party", "p99", "p1"),
    ("payment_mismatch", CHINESE, "payments.0.paid_date", None, None),
    ("phone_invalid", CHINESE, "parties.0.phones.0.value", "1700000000", "0086 170-0000-0004"),
    ("plate_invalid", CHINESE, "vehicles.0.plate", "京I12345", "京A·12345"),
    ("point_missing", CHINESE, "parties.0", {"role": "borrower", "name": "张三", "country": "CN"},
     {"role": "borrower", "name": "张三", "country": "CN", "addresses": [{"value": "某路1号"}]}),
    ("postcode_invalid", AMERICAN, "parties.0.postcode", "021081", "02108-1234"),
    ("profile_invalid", CHINESE, "profile_24m", "0127", "0126"),
    ("rate_invalid", CHINESE, "loan.apr", "1.0001", "1"),
    ("region_unknown", CHINESE, "parties.0.region", "CN-ZZ", "CN-SH"),
    ("region_unknown", CHINESE, "parties.0.division", "990000", "310115"),
    ("sha256_invalid", CHINESE, "documents", [{"kind": "id", "sha256": "0" * 63, "size": 1, "mime": "image/png"}],
     [{"kind": "id", "sha256": "0" * 64, "size": 1, "mime": "image/png"}]),
    ("text_empty", CHINESE, "parties.0.employer", " ", "甲"),
    ("text_invalid", CHINESE, "parties.0.party_id", "p 1", "p1"),
    ("text_too_long", CHINESE, "loan.lender_account_id", "A" * 31, "A" * 30),
    ("type_invalid", CHINESE, "parties.0.name", 5, "五"),
    ("value_not_listed", CHINESE, "loan.product", "lottery", "抵押贷"),
    ("vin_invalid", CHINESE, "vehicles.0.vin", "LSVAA2BCO00000001", "LSVAA2BC100000001"),
    ("vin_invalid", AMERICAN, "vehicles.0.vin", "1FMAA2BC000000001", None),
    ("wechat_invalid", CHINESE, "parties.0.wechats.0.value", "o€12345", "oSample1"),
    ("zone_unknown", AMERICAN, "parties.0.time_zone", "America/Gotham", "America/Boise"),
]  # fmt: skip
"""None as the rejected value removes the member; None as the taken value leaves the sample row as it is."""

ELSEWHERE = {
    "account_conflict": "tests/flows/test_intake_loading.py",
    "borrower_count": "test_a_row_without_exactly_one_borrower_is_rejected",
    "cell_too_long": "tests/domain/test_intake_files.py",
    "encoding_invalid": "tests/domain/test_intake_files.py",
    "formula_cell": "tests/domain/test_intake_workbooks.py",
    "json_duplicate_key": "test_a_repeated_key_is_refused_and_equal_keys_of_two_objects_are_not",
    "json_invalid": "test_what_is_no_json_object_is_refused",
    "json_too_deep": "test_depth_32_is_read_and_33_is_not",
    "lender_mismatch": "test_a_row_of_another_lender_is_rejected",
    "line_too_long": "tests/domain/test_intake_files.py",
    "person_erased": "tests/flows/test_intake_loading.py",
    "quote_unclosed": "tests/domain/test_intake_files.py",
    "row_shape": "tests/domain/test_intake_files.py",
}
"""Codes that need a file or two parties: where their two sides are tested."""


@pytest.mark.parametrize(("code", "number", "path", "wrong", "right"), SIDES)
def test_a_code_rejects_its_row_and_takes_the_neighbour(
    code: str, number: int, path: str, wrong: Any, right: Any
) -> None:
    row = document(number)
    found = codes(judged(changed(row, path, wrong)))
    assert found[:1] == [code]
    neighbour = row if right is None else changed(row, path, right)
    assert codes(judged(neighbour)) == []


def test_every_code_is_tested_on_both_sides() -> None:
    assert {code for code, *_ in SIDES} | set(ELSEWHERE) == set(ROW_CODES)


def test_every_code_says_what_is_wrong_in_two_languages() -> None:
    for zh, en in (*ROW_CODES.values(), *BATCH_CODES.values()):
        assert any("\u4e00" <= letter <= "\u9fff" for letter in zh)
        assert en.isascii() or "是/否" in en


def test_a_row_without_exactly_one_borrower_is_rejected() -> None:
    row = document(CHINESE)
    assert codes(judged(changed(row, "parties.0.role", "co_borrower"))) == ["borrower_count"]
    second = {**row["parties"][0], "party_id": "p9", "national_id": None, "customer_no": "other"}
    second = {key: value for key, value in second.items() if value is not None}
    assert codes(judged({**row, "parties": [*row["parties"], second]})) == ["borrower_count"]
    assert codes(judged(row)) == []


def test_a_row_of_another_lender_is_rejected() -> None:
    row = changed(document(CHINESE), "batch.lender_id", "bank-b")
    assert codes(judged(row, lender="bank-a")) == ["lender_mismatch"]
    assert codes(judged(row, lender="bank-b")) == []


def test_a_repeated_key_is_refused_and_equal_keys_of_two_objects_are_not() -> None:
    assert parse_object(b'{"a": 1, "a": 1}') == Problem("json_duplicate_key")
    assert parse_object(b'{"a": {"b": 1}, "c": {"b": 1}}') == {"a": {"b": 1}, "c": {"b": 1}}


@pytest.mark.parametrize("raw", [b"", b"[]", b"3", b'{"a": NaN}', b'{"a": Infinity}', b'{"a": 1', b"{'a': 1}"])
def test_what_is_no_json_object_is_refused(raw: bytes) -> None:
    assert parse_object(raw) == Problem("json_invalid")


def test_depth_32_is_read_and_33_is_not() -> None:
    def nested(depth: int) -> bytes:
        return b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"

    assert isinstance(parse_object(nested(32)), dict)
    assert parse_object(nested(33)) == Problem("json_too_deep")
    assert parse_object(nested(100_000)) == Problem("json_too_deep")


def test_null_and_empty_text_mean_absent_as_an_empty_cell_does() -> None:
    row = document(CHINESE)
    row["loan"] |= {"docket_no": None, "legal_stage": ""}
    spelled = prepared(row)
    assert isinstance(spelled, dict)
    outcome, plain = judge(spelled, row=1, line=1), judged(document(CHINESE))
    assert isinstance(outcome, Taken) and isinstance(plain, Taken) and outcome.record == plain.record


def test_a_rejection_names_row_line_and_field_and_never_the_value() -> None:
    outcome = judged(changed(document(CHINESE), "parties.0.phones.0.value", "13800138"))
    assert isinstance(outcome, Rejection)
    told = json.dumps(outcome.as_json(), ensure_ascii=False)
    assert (outcome.row, outcome.line) == (7, 8)
    assert outcome.problems[0].field == "parties[0].phones[0].value"
    assert outcome.problems[0].masked == "99999999"
    assert "13800138" not in told and "AC00000001" not in told
    assert Rejection.from_compact(outcome.compact()) == outcome


def test_an_unknown_field_is_told_by_its_place_because_its_name_may_be_anything() -> None:
    outcome = judged(changed(document(CHINESE), "parties.0.张三的电话", "1"))
    assert isinstance(outcome, Rejection)
    assert (outcome.code, outcome.problems[0].field) == ("field_unknown", "parties[0]")
    assert "张三" not in json.dumps(outcome.as_json(), ensure_ascii=False)


def test_all_problems_of_a_row_are_told_at_once() -> None:
    row = changed(document(CHINESE), "loan.product", "lottery")
    row = changed(row, "parties.0.phones.0.value", "1")
    row = changed(row, "loan.origination_date", "never")
    assert set(codes(judged(row))) == {"value_not_listed", "phone_invalid", "date_invalid"}


def test_shape_and_tail_show_form_without_content() -> None:
    assert shape("=SUM(B2) 张三") == "=AAA(A9) 文文"
    assert shape("x" * 41) == "A" * 40 + "…"
    assert tail("AC00000123") == "***123"
    assert (tail("short"), tail(""), tail(None)) == ("***", "", "")


def test_canonical_forms() -> None:
    outcome = judged(document(AMERICAN))
    assert isinstance(outcome, Taken)
    row: Row = outcome.record
    assert row.borrower.phones[0].value.startswith("+1") and row.borrower.phones[0].value[1:].isdigit()
    assert row.borrower.phones[0].line == "mobile"
    assert row.loan.apr == f"{float(document(AMERICAN)['loan']['apr']):.6f}".rstrip("0")
    assert row.borrower.phones[0].consents[0].at == "2025-03-01T02:00:00Z"


def test_a_name_is_composed_of_its_parts_in_the_order_of_its_script() -> None:
    for family, given, whole in (("欧阳", "明", "欧阳明"), ("Garcia", "Maria", "Maria Garcia")):
        row = changed(document(CHINESE), "parties.0.name", None)
        row["parties"][0] |= {"family_name": family, "given_name": given}
        outcome = judged(row)
        assert isinstance(outcome, Taken) and outcome.record.borrower.name == whole


# Numbers with check characters: published examples first


def test_published_identity_numbers_check() -> None:
    assert cn_check_character("11010519491231002") == "X"  # GB 11643-1999, its own example
    assert is_cn_id("11010519491231002X") and not is_cn_id("110105194912310021")
    assert vin_check_digit("1M8GDM9AXKP042788") == "X"  # 49 CFR 565, the usual example
    assert is_vin("1M8GDM9AXKP042788", checked=True) and not is_vin("1M8GDM9A1KP042788", checked=True)
    assert credit_code_check("91350100M000100Y4") == "3"  # GB 32100-2015, its own example


def test_every_single_changed_digit_of_an_id_is_noticed() -> None:
    right = "11010519491231002X"
    for place in range(17):
        for digit in "0123456789":
            wrong = right[:place] + digit + right[place + 1 :]
            assert is_cn_id(wrong) == (wrong == right)


@pytest.mark.parametrize(
    ("number", "valid"),
    [("123456789", True), ("000456789", False), ("666456789", False), ("123006789", False), ("123450000", False)],
)
def test_social_security_numbers(number: str, valid: bool) -> None:
    assert is_us_ssn(number) is valid


@pytest.mark.parametrize(
    ("cell", "digits", "minor"),
    [("0", 2, 0), ("12", 2, 1200), ("12.3", 2, 1230), ("12.30", 2, 1230), ("12.3400", 2, 1234), ("1200", 0, 1200),
     ("-0.00", 2, 0)],
)  # fmt: skip
def test_decimal_cells_become_minor_units(cell: str, digits: int, minor: int) -> None:
    assert minor_units(cell, digits=digits) == minor


@pytest.mark.parametrize("cell", ["1,234.00", "1.234", "1e3", "¥12", "", "１２", ".5", "12.", "+1", "0x1"])
def test_other_spellings_of_money_are_refused(cell: str) -> None:
    with pytest.raises(ValueError, match="money_invalid"):
        minor_units(cell, digits=2)


@pytest.mark.parametrize(
    ("rate", "kept"),
    [("0.0899", "0.0899"), ("1", "1"), ("0", "0"), ("0.10", "0.1"), (0, "0"), ("8.5E-2", "0.085"), ("0e999999999", None),
     ("1e-999999999", None), ("8.99%", None), ("-0", None), ("", None), ("1.5", None), (True, None), ("0,5", None)],
)  # fmt: skip
def test_rates_are_decimals_from_0_to_1(rate: Any, kept: str | None) -> None:
    outcome = judged(changed(document(CHINESE), "loan.apr", rate))
    assert (outcome.record.loan.apr if isinstance(outcome, Taken) else None) == kept


def test_negative_money_has_its_own_code() -> None:
    with pytest.raises(ValueError, match="money_negative"):
        minor_units("-0.01", digits=2)


def test_minor_units_and_decimal_text_are_inverse() -> None:
    for minor in (0, 1, 99, 100, 123456):
        for digits in (0, 2):
            assert minor_units(decimal_text(minor, digits=digits), digits=digits) == minor


@pytest.mark.parametrize(
    ("text", "country", "found"),
    [
        ("138 0013 8000", "CN", ("+8613800138000", "mobile")),
        ("１３８００１３８０００", "CN", ("+8613800138000", "mobile")),
        ("010-6552 9988", "CN", ("+861065529988", "landline")),
        ("(212) 555-0123", "US", ("+12125550123", "mobile")),
        ("212-555-0123 x12", "US", None),
        ("555-0123", "US", None),
        ("110", "CN", None),
        ("+86 138 0013 8000", "US", ("+8613800138000", "mobile")),
    ],
)
def test_telephones_become_e164(text: str, country: str, found: tuple[str, str] | None) -> None:
    assert telephone(text, country=country) == found


def test_plates() -> None:
    assert plate("粤B·D12345", country="CN") == "粤BD12345"
    assert plate("京A12345", country="CN") == "京A12345"
    assert plate("京A1234", country="CN") is None
    assert plate("abc 123", country="US") == "ABC123"


def test_divisions_lead_to_listed_regions() -> None:
    assert set(CN_DIVISIONS.values()) <= CN_REGIONS
