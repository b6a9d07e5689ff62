"""Rows of customer updates: which members go with which action, both sides of each limit, and the same row in every format."""

import io
from typing import Any, get_args

import pytest

from chalicelib.domain.intake import customer_update
from chalicelib.domain.intake.columns import Header, HeaderFault
from chalicelib.domain.intake.customer_update import (
    HEADINGS,
    NEEDS,
    TAKES,
    UPDATES,
    CustomerUpdate,
    TakenUpdate,
    canonical,
    judge_update,
    understand_updates,
)
from chalicelib.domain.intake.rejections import ROW_CODES, UPDATE_CODES, BatchRefusal, Rejection
from chalicelib.domain.intake.scan import CSV, JSONL, Plan, read_rows, scan
from chalicelib.domain.people.person import Employment, Residence
from chalicelib.edge import customers_api
from chalicelib.usecases.persons import FIELDS_OF

ADD = {
    "update_id": "u-1",
    "action": "add_point",
    "person": "per_1",
    "kind": "phone",
    "value": "13900000002",
    "source": "contract",
    "reason": "lender_record",
}
VERIFY = {
    "update_id": "u-2",
    "action": "verify_point",
    "person": "per_1",
    "point": "pt_1",
    "result": "ok",
    "how": "inbound",
}
RETIRE = {"update_id": "u-3", "action": "retire_point", "person": "per_1", "point": "pt_1", "reason": "moved"}
PREFER = {"update_id": "u-4", "action": "set_preferences", "person": "per_1", "channel": "sms", "how": "lender_record"}
CONFIRM = {"update_id": "u-5", "action": "confirm_data", "person": "per_1", "group": "identity", "how": "document"}
ALL = (ADD, VERIFY, RETIRE, PREFER, CONFIRM)


def judged(row: dict[str, Any], **changes: Any) -> TakenUpdate | Rejection:
    return judge_update({name: value for name, value in {**row, **changes}.items() if value is not None}, row=1, line=2)


def codes(outcome: TakenUpdate | Rejection) -> list[tuple[str, str]]:
    return [] if isinstance(outcome, TakenUpdate) else [(each.field, each.code) for each in outcome.problems]


@pytest.mark.parametrize("row", ALL, ids=lambda row: row["action"])
def test_each_action_is_taken_with_what_it_needs_and_refused_without(row: dict[str, Any]) -> None:
    assert codes(judged(row)) == []
    for needed in NEEDS[row["action"]]:
        assert (needed, "field_missing") in codes(judged(row, **{needed: None}))
    for name in set(CustomerUpdate.model_fields) - TAKES[row["action"]] - {"update_id", "action"}:
        if name in ("person", "case", "lender_account_id", "placement_stage", "party"):
            continue
        assert (name, "field_unwanted") in codes(judged(row, **{name: SOME[name]})), name


SOME: dict[str, Any] = {
    "kind": "phone", "value": "13900000002", "point": "pt_1", "place": "home", "source": "contract", "reason": "moved",
    "consent_medium": "sms", "consent_state": "granted", "result": "ok", "how": "inbound", "contact": "msg_1",
    "verified_on": "2026-11-20", "language": "zh", "channel": "sms", "hours_from": "09:00", "hours_to": "18:00",
    "clear": True, "group": "identity", "name": "张三", "birth_date": "1990-01-01", "national_id": "310101198804121232",
    "country": "CN", "region": "CN-SH", "city": "上海", "postal_code": "200000", "employer": "某公司", "job": "司机",
    "income_band": "B2",
}  # fmt: skip


SIDES: list[tuple[dict[str, Any], dict[str, Any], tuple[str, str] | None]] = [
    (ADD, {"update_id": "u" * 50}, None),
    (ADD, {"update_id": "u" * 51}, ("update_id", "text_too_long")),
    (ADD, {"update_id": None}, ("update_id", "field_missing")),
    (ADD, {"value": "abc"}, None),
    (ADD, {"value": "ab"}, ("value", "text_invalid")),
    (ADD, {"value": "上" * 200}, None),
    (ADD, {"value": "上" * 201}, ("value", "text_too_long")),
    (ADD, {"value": "1.39E+10"}, ("value", "excel_scientific")),
    (ADD, {"value": "=HYPERLINK(1)"}, ("value", "formula_injection")),
    (ADD, {"value": "+8613900000002"}, None),
    (ADD, {"value": 13900000002}, ("value", "type_invalid")),
    (ADD, {"person": "p" * 80}, None),
    (ADD, {"person": "p" * 81}, ("person", "text_invalid")),
    (ADD, {"reason": "moved"}, ("reason", "value_not_listed")),
    (RETIRE, {"reason": "lender_record"}, ("reason", "value_not_listed")),
    (ADD, {"consent_medium": "sms", "consent_state": "granted"}, None),
    (ADD, {"consent_medium": "sms"}, ("consent_state", "field_missing")),
    (ADD, {"consent_state": "granted"}, ("consent_medium", "field_missing")),
    (ADD, {"how": "lender_record", "verified_on": "2026-11-20"}, None),
    (ADD, {"verified_on": "2026-11-20"}, ("how", "field_missing")),
    (ADD, {"verified_on": "46000", "how": "lender_record"}, ("verified_on", "excel_serial_date")),
    (ADD, {"person": None}, ("person", "reference_count")),
    (ADD, {"case": "case_1"}, ("case", "reference_count")),
    (ADD, {"person": None, "case": "case_1"}, None),
    (ADD, {"person": None, "case": "case_1", "party": "guarantor"}, None),
    (ADD, {"party": "guarantor"}, ("party", "field_unwanted")),
    (ADD, {"person": None, "lender_account_id": "AC1", "placement_stage": 1}, None),
    (ADD, {"person": None, "lender_account_id": "AC1"}, ("placement_stage", "field_missing")),
    (ADD, {"placement_stage": 1}, ("lender_account_id", "field_missing")),
    (ADD, {"surname": "张"}, ("", "field_unknown")),
    (VERIFY, {"point": None, "kind": "phone", "value": "13900000002"}, None),
    (VERIFY, {"point": None, "value": "13900000002"}, ("kind", "field_missing")),
    (VERIFY, {"kind": "phone"}, ("kind", "field_unwanted")),
    (VERIFY, {"result": "fine"}, ("result", "value_not_listed")),
    (PREFER, {"channel": None}, ("channel", "nothing_said")),
    (PREFER, {"channel": None, "clear": True}, None),
    (PREFER, {"hours_from": "18:00", "hours_to": "18:01"}, None),
    (PREFER, {"hours_from": "18:00", "hours_to": "18:00"}, ("hours_to", "hours_order")),
    (PREFER, {"hours_from": "18:00"}, ("hours_to", "hours_incomplete")),
    (PREFER, {"hours_to": "18:00"}, ("hours_from", "hours_incomplete")),
    (PREFER, {"hours_from": "09:00", "hours_to": "23:59"}, None),
    (PREFER, {"hours_from": "09:00", "hours_to": "24:00"}, ("hours_to", "text_invalid")),
    (PREFER, {"language": "zho"}, None),
    (PREFER, {"language": "chin"}, ("language", "text_invalid")),
    (CONFIRM, {"name": "张" * 100}, None),
    (CONFIRM, {"name": "张" * 101}, ("name", "text_too_long")),
    (CONFIRM, {"national_id": "A12345"}, None),
    (CONFIRM, {"national_id": "A1234"}, ("national_id", "text_invalid")),
    (CONFIRM, {"employer": "某公司"}, ("employer", "other_group")),
    (CONFIRM, {"group": "employment", "employer": "某公司"}, None),
    (CONFIRM, {"group": "address", "country": "CN", "city": "上海"}, None),
    (CONFIRM, {"group": "address", "city": "上海"}, ("country", "field_missing")),
    (CONFIRM, {"group": "address", "country": "ZZ"}, ("country", "country_unknown")),
    (CONFIRM, {"group": "phone"}, ("group", "value_not_listed")),
]


@pytest.mark.parametrize(("row", "changes", "expected"), SIDES)
def test_a_limit_refuses_on_one_side_and_takes_on_the_other(
    row: dict[str, Any], changes: dict[str, Any], expected: tuple[str, str] | None
) -> None:
    assert codes(judged(row, **changes)) == ([] if expected is None else [expected])


def test_a_rejection_repeats_no_value() -> None:
    refused = judged(
        CONFIRM, update_id="UPDATE-77123", group="employment", name="张小明", national_id="310101198804121232"
    )
    assert isinstance(refused, Rejection)
    text = str(refused.as_json())
    assert "张小明" not in text and "310101" not in text and "UPDATE" not in text
    assert refused.account == "***123" and ("name", "other_group") in codes(refused)


def test_rows_take_what_single_updates_take() -> None:
    """The lists of the two ways in are the same, so that neither can do what the other cannot."""
    pairs = (
        (customers_api.ContactPointWish, "kind", customer_update.PointKind),
        (customers_api.ContactPointWish, "source", customer_update.PointSource),
        (customers_api.Verification, "result", customer_update.Result),
        (customers_api.Verification, "how", customer_update.How),
        (customers_api.ConfirmationWish, "group", customer_update.GroupName),
        (customers_api.Consent, "medium", customer_update.Medium),
        (customers_api.Consent, "state", customer_update.ConsentState),
    )
    for model, name, listed in pairs:
        assert get_args(model.model_fields[name].annotation) == listed.__metadata__[0].values, name
    for model, name, values in (
        (customers_api.ContactPointWish, "reason", customer_update.AddReasons),
        (customers_api.Retirement, "reason", customer_update.RetireReasons),
    ):
        assert get_args(model.model_fields[name].annotation) == values
    channel = get_args(customers_api.PreferencesWish.model_fields["channel"].annotation)[0]
    assert get_args(channel) == customer_update.Channel.__metadata__[0].values
    assert set(Residence.model_fields) == customer_update.RESIDENCE
    assert set(Employment.model_fields) == customer_update.EMPLOYMENT
    assert FIELDS_OF["identity"] == customer_update.GROUP_TAKES["identity"]


def test_every_code_says_what_is_wrong_in_two_languages_and_is_no_code_of_a_portfolio() -> None:
    for zh, en in UPDATE_CODES.values():
        assert any("\u4e00" <= letter <= "\u9fff" for letter in zh) and en.isascii()
    assert not UPDATE_CODES.keys() & ROW_CODES.keys()


# Headers and formats


def test_every_column_is_understood_by_its_name_and_by_its_chinese_heading() -> None:
    assert HEADINGS.keys() == CustomerUpdate.model_fields.keys()
    names = tuple(CustomerUpdate.model_fields)
    for titles in (names, tuple(headings[0] for headings in HEADINGS.values())):
        header = understand_updates(titles)
        assert isinstance(header, Header)
        assert [column.name for column in header.columns if column is not None] == list(names)
    headings = [heading for each in HEADINGS.values() for heading in each]
    assert len(headings) == len(set(headings)) and not set(headings) & set(names)


def test_a_header_is_refused_for_unknown_missing_and_repeated_columns_and_mapped_ones_are_not() -> None:
    assert understand_updates(["update_id", "action", "colour"]) == HeaderFault("header_unknown", ("colour",))
    assert understand_updates(["update_id", "person"]) == HeaderFault("header_missing", ("action",))
    assert understand_updates(["update_id", "action", "更新类型"]) == HeaderFault("header_duplicate", ("更新类型",))
    assert isinstance(understand_updates(["no.", "action"], {"no.": "update_id"}), Header)
    assert isinstance(understand_updates(["update_id", "action", "memo"], {"memo": "ignore"}), Header)


def rows_of(data: bytes, form: str) -> list[TakenUpdate | Rejection]:
    plan = scan([data], format=form, schema=UPDATES)
    assert isinstance(plan, Plan) and len(plan.chunks) == 1 and plan.totals == {}
    chunk = plan.chunks[0]
    return list(
        read_rows(
            [data[chunk.start : chunk.end]],
            UPDATES,
            format=form,
            encoding=plan.encoding,
            delimiter=plan.delimiter or ",",
            titles=plan.titles,
            first_row=chunk.first_row,
            first_line=chunk.first_line,
        )
    )


def test_the_same_content_is_the_same_row_in_every_format() -> None:
    zh = "更新编号,更新类型,账户号,手别,数据组,核实方式,姓名,出生日期\r\nu-9,确认资料,0001234,一手,身份信息,证件,张小明,19900131\r\n"
    en = b"update_id,action,lender_account_id,placement_stage,group,how,name,birth_date\r\n"
    en += "u-9,confirm_data,0001234,1,identity,document,张小明,1990-01-31\r\n".encode()
    line = '{"update_id":"u-9","action":"confirm_data","lender_account_id":"0001234","placement_stage":1,"group":"identity",'
    line += '"how":"document","name":"张小明","birth_date":"1990-01-31","job":null,"city":""}\n'
    files = ((zh.encode("gb18030"), CSV), (zh.encode(), CSV), (en, CSV), (line.encode(), JSONL))
    found = {
        canonical(row.record) for data, form in files for row in rows_of(data, form) if isinstance(row, TakenUpdate)
    }
    assert len(found) == 1 and "0001234" in found.pop()


def test_a_field_is_told_by_the_heading_of_the_file() -> None:
    [refused] = rows_of("更新编号,更新类型,人员编号,数据组,核实方式\r\nu-1,确认资料,per_1,家具,证件\r\n".encode(), CSV)
    assert codes(refused) == [("数据组", "value_not_listed")]


def test_a_file_without_rows_or_of_another_kind_is_refused() -> None:
    assert scan([b"update_id,action\r\n"], format=CSV, schema=UPDATES) == BatchRefusal("file_empty", {})
    portfolio = scan([b"lender_account_id,contract_no\r\n1,2\r\n"], format=CSV, schema=UPDATES)
    assert isinstance(portfolio, BatchRefusal) and portfolio.code == "header_unknown"


def test_a_workbook_makes_the_same_row() -> None:
    from chalicelib.domain.intake.workbook import scan_workbook
    from scripts.sample import write_workbook

    book = io.BytesIO()
    columns = ["update_id", "action", "person", "kind", "value", "source", "reason"]
    write_workbook(book, columns, [["u-1", "add_point", "per_1", "phone", "13900000002", "contract", "lender_record"]])
    blobs: list[bytes] = []

    def write(number: int, blob: bytes) -> str:
        blobs.append(blob)
        return f"{number}"

    plan = scan_workbook(book, write=write, schema=UPDATES)
    assert isinstance(plan, Plan)
    told: dict[str, Any] = {
        "format": "staged",
        "encoding": "utf-8",
        "titles": plan.titles,
        "first_row": 1,
        "first_line": 0,
    }
    [row] = read_rows(blobs, UPDATES, **told)
    assert isinstance(row, TakenUpdate) and row.record == CustomerUpdate.model_validate(ADD)
