"""The row of a customer update: one change of one person, in the words of the single update that it stands for.

A row lies flat in every format: a member of its JSON object is named as its column is. ``update_id`` is the sender's own and names
the row for good: the same id with the same content again changes nothing, with other content it is a conflict.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, get_type_hints

from pydantic import BeforeValidator, ValidationError

from chalicelib.domain.intake.columns import Column, Header, HeaderFault, kind_of, marks_of, normalised, understood
from chalicelib.domain.intake.judge import Document, Fault, Path, faults_of, json_path, problems_of
from chalicelib.domain.intake.rejections import Problem, Rejection, rejection
from chalicelib.domain.intake.row import Part, PlacementStage
from chalicelib.domain.intake.scan import Schema
from chalicelib.domain.intake.values import (
    Account,
    Country,
    Day,
    Flag,
    Kind,
    Listed,
    Reference,
    Region,
    Text100,
    clean_point,
    fault,
    is_scientific,
    matching,
)

SCHEMA = "forbear.customer-update/1"


def _value(value: Any) -> Any:
    if isinstance(value, str) and is_scientific(value):
        raise fault("excel_scientific")
    text = clean_point(value)
    if isinstance(text, str) and not 3 <= len(text) <= 200:
        raise fault("text_invalid" if len(text) < 3 else "text_too_long")
    return text


Id = Annotated[str, BeforeValidator(matching(r"[A-Za-z0-9_-]{1,80}", "text_invalid")), Kind("text", digits=True)]
Clock = Annotated[str, BeforeValidator(matching(r"([01][0-9]|2[0-3]):[0-5][0-9]", "text_invalid")), Kind("text")]
IdentityNumber = Annotated[
    str, BeforeValidator(matching(r"[0-9A-Za-z]{6,20}", "text_invalid")), Kind("text", digits=True)
]
PostalCode = Annotated[
    str, BeforeValidator(matching(r"[A-Za-z0-9 -]{3,10}", "text_invalid")), Kind("text", digits=True)
]
WrittenLanguage = Annotated[str, BeforeValidator(matching(r"[a-z]{2,3}", "text_invalid")), Kind("text")]
PointValue = Annotated[str, BeforeValidator(_value), Kind("text", digits=True)]
"""A contact point as it is dialled or written, from 3 to 200 characters (closed)."""
Action = Annotated[str, Listed(
    "add_point", "verify_point", "retire_point", "set_preferences", "confirm_data",
    新增联系方式="add_point", 核实联系方式="verify_point", 停用联系方式="retire_point", 沟通偏好="set_preferences",
    确认资料="confirm_data",
)]  # fmt: skip
PartyRole = Annotated[str, Listed(
    "borrower", "co_borrower", "guarantor", "spouse", "contact",
    借款人="borrower", 主借人="borrower", 共借人="co_borrower", 担保人="guarantor", 配偶="spouse", 联系人="contact",
)]  # fmt: skip
PointKind = Annotated[str, Listed(
    "phone", "email", "wechat", "address", 电话="phone", 手机="phone", 邮箱="email", 微信="wechat", 地址="address",
)]  # fmt: skip
PointSource = Annotated[str, Listed(
    "contract", "left_by_debtor", "authorised", "public", "told_by_contact", "bureau", "creditor", "inbound",
    合同="contract", 债务人预留="left_by_debtor", 授权="authorised", 公开="public", 联系人告知="told_by_contact",
    征信="bureau", 债权人="creditor", 来信来电="inbound",
)]  # fmt: skip
AddReasons = ("person_gave_it", "lender_record", "returned_mail", "number_changed", "found_by_search", "correction")
RetireReasons = ("wrong_person", "out_of_service", "person_asked", "moved", "entered_in_error", "source_unlawful")
Reason = Annotated[str, Listed(
    *AddReasons, *RetireReasons,
    本人提供="person_gave_it", 委托方记录="lender_record", 退信="returned_mail", 号码变更="number_changed",
    查找所得="found_by_search", 更正="correction", 非本人="wrong_person", 空号停机="out_of_service",
    本人要求="person_asked", 已搬迁="moved", 录入错误="entered_in_error", 来源不合法="source_unlawful",
)]  # fmt: skip
Place = Annotated[str, Listed("home", "work", "other", 家庭="home", 单位="work", 其他="other")]
Medium = Annotated[str, Listed(
    "call", "sms", "email", "wechat", "letter", "all",
    电话="call", 短信="sms", 邮件="email", 微信="wechat", 信函="letter", 全部="all",
)]  # fmt: skip
ConsentState = Annotated[str, Listed("granted", "withdrawn", 同意="granted", 已同意="granted", 撤回="withdrawn")]
Result = Annotated[str, Listed(
    "ok", "vacant", "suspended", "wrong_person",
    正确="ok", 有效="ok", 空号="vacant", 停机="suspended", 非本人="wrong_person",
)]  # fmt: skip
How = Annotated[str, Listed(
    "contact", "inbound", "document", "lender_record",
    联系="contact", 来信来电="inbound", 证件="document", 文件="document", 委托方记录="lender_record",
)]  # fmt: skip
Channel = Annotated[str, Listed(
    "sms", "email", "wechat", "call", "letter", "visit",
    短信="sms", 邮件="email", 微信="wechat", 电话="call", 信函="letter", 上门="visit",
)]  # fmt: skip
GroupName = Annotated[str, Listed(
    "identity", "address", "employment", "consent",
    身份信息="identity", 地址="address", 工作与收入="employment", 授权与退订="consent",
)]  # fmt: skip


class CustomerUpdate(Part):
    """One row. Which members it takes follows from its ``action``: see ``TAKES``."""

    update_id: Reference
    action: Action
    person: Id | None = None
    case: Id | None = None
    lender_account_id: Account | None = None
    placement_stage: PlacementStage | None = None
    party: PartyRole | None = None
    kind: PointKind | None = None
    value: PointValue | None = None
    point: Id | None = None
    place: Place | None = None
    source: PointSource | None = None
    reason: Reason | None = None
    consent_medium: Medium | None = None
    consent_state: ConsentState | None = None
    result: Result | None = None
    how: How | None = None
    contact: Id | None = None
    verified_on: Day | None = None
    language: WrittenLanguage | None = None
    channel: Channel | None = None
    hours_from: Clock | None = None
    hours_to: Clock | None = None
    clear: Flag | None = None
    group: GroupName | None = None
    name: Text100 | None = None
    birth_date: Day | None = None
    national_id: IdentityNumber | None = None
    country: Country | None = None
    region: Region | None = None
    city: Text100 | None = None
    postal_code: PostalCode | None = None
    employer: Text100 | None = None
    job: Text100 | None = None
    income_band: Text100 | None = None

    @property
    def given(self) -> frozenset[str]:
        """Return the names of the members that the row has."""
        return frozenset(name for name in type(self).model_fields if getattr(self, name) is not None)


REFERENCES = ("person", "case", "lender_account_id")
"""What a row may name its person by: our id of the person, our id of a case, or the lender's own account with its stage."""

_ALWAYS = frozenset({"update_id", "action", *REFERENCES, "placement_stage", "party"})
_POINT = frozenset({"point", "kind", "value"})
_PROOF = frozenset({"how", "contact", "verified_on"})
RESIDENCE = frozenset({"country", "region", "city", "postal_code"})
EMPLOYMENT = frozenset({"employer", "job", "income_band"})
WISHES = frozenset({"language", "channel", "hours_from", "hours_to", "clear"})

NEEDS: Mapping[str, tuple[str, ...]] = {
    "add_point": ("kind", "value", "source", "reason"),
    "verify_point": ("result", "how"),
    "retire_point": ("reason",),
    "set_preferences": ("how",),
    "confirm_data": ("group", "how"),
}
"""Members that a row of an action must have, beside its reference."""

TAKES: Mapping[str, frozenset[str]] = {
    "add_point": frozenset({"kind", "value", "source", "reason", "place", "consent_medium", "consent_state", *_PROOF}),
    "verify_point": frozenset({"result", *_POINT, *_PROOF}),
    "retire_point": frozenset({"reason", *_POINT}),
    "set_preferences": WISHES | _PROOF,
    "confirm_data": frozenset({"group", "name", "birth_date", "national_id", *RESIDENCE, *EMPLOYMENT, *_PROOF}),
}
"""Members that a row of an action may have, beside its reference."""

GROUP_TAKES: Mapping[str, frozenset[str]] = {
    "identity": frozenset({"name", "birth_date", "national_id"}),
    "address": RESIDENCE,
    "employment": EMPLOYMENT,
    "consent": frozenset(),
}
"""Members that a confirmation of a group may correct."""

_CORRECTED = frozenset().union(*GROUP_TAKES.values())


@dataclass(frozen=True, slots=True)
class TakenUpdate:
    """A row that was taken: data row and first physical line from 1, what it says, and how its fields are called in the file."""

    row: int
    line: int
    record: CustomerUpdate
    name: Callable[[Path], str] = field(default=json_path, compare=False)


def judge_update(
    document: Document,
    *,
    row: int,
    line: int,
    lender: str | None = None,
    name: Callable[[Path], str] = json_path,
    earlier: tuple[Problem, ...] = (),
) -> TakenUpdate | Rejection:
    """Return the update that a document says, or its rejection, as ``judge.judge`` does for the row of a portfolio.

    ``lender`` is of no interest here: the rows of an update do not repeat it.
    """
    problems = [*earlier]
    record: CustomerUpdate | None = None
    try:
        record = CustomerUpdate.model_validate(document)
    except ValidationError as error:
        faults = faults_of(error)
    else:
        faults = list(_contradictions(record))
    problems += problems_of(faults, name, problems)
    if problems or record is None:
        return rejection(row, line, problems, document.get("update_id", ""))
    return TakenUpdate(row, line, record, name)


def _contradictions(record: CustomerUpdate) -> Iterator[Fault]:
    given = record.given
    named = [reference for reference in REFERENCES if reference in given]
    if len(named) != 1:
        yield Fault("reference_count", (named[1] if named else "person",))
    if ("lender_account_id" in given) != ("placement_stage" in given):
        missing = "placement_stage" if "lender_account_id" in given else "lender_account_id"
        yield Fault("field_missing", (missing,))
    if "person" in given and "party" in given:
        yield Fault("field_unwanted", ("party",), record.party)
    for needed in NEEDS[record.action]:
        if needed not in given:
            yield Fault("field_missing", (needed,))
    for unwanted in sorted(given - _ALWAYS - TAKES[record.action]):
        yield Fault("field_unwanted", (unwanted,), getattr(record, unwanted))
    yield from _OF_ACTION[record.action](record, given)


def _added(record: CustomerUpdate, given: frozenset[str]) -> Iterator[Fault]:
    if record.reason is not None and record.reason not in AddReasons:
        yield Fault("value_not_listed", ("reason",), record.reason)
    for one, other in (("consent_medium", "consent_state"), ("consent_state", "consent_medium")):
        if one in given and other not in given:
            yield Fault("field_missing", (other,))
    if "how" not in given:
        for proof in sorted(given & {"contact", "verified_on"}):
            yield Fault("field_missing", ("how",), proof)


def _pointed(record: CustomerUpdate, given: frozenset[str]) -> Iterator[Fault]:
    if record.action == "retire_point" and record.reason is not None and record.reason not in RetireReasons:
        yield Fault("value_not_listed", ("reason",), record.reason)
    if "point" in given:
        for unwanted in sorted(given & {"kind", "value"}):
            yield Fault("field_unwanted", (unwanted,), getattr(record, unwanted))
        return
    for needed in ("kind", "value"):
        if needed not in given:
            yield Fault("field_missing", (needed,))


def _wished(record: CustomerUpdate, given: frozenset[str]) -> Iterator[Fault]:
    if not given & WISHES:
        yield Fault("nothing_said", ("channel",))
    if ("hours_from" in given) != ("hours_to" in given):
        yield Fault("hours_incomplete", ("hours_to" if "hours_from" in given else "hours_from",))
    elif record.hours_from is not None and record.hours_to is not None and record.hours_from >= record.hours_to:
        yield Fault("hours_order", ("hours_to",), record.hours_to)


def _confirmed(record: CustomerUpdate, given: frozenset[str]) -> Iterator[Fault]:
    if record.group is None:
        return
    for strange in sorted((given & _CORRECTED) - GROUP_TAKES[record.group]):
        yield Fault("other_group", (strange,), getattr(record, strange))
    if given & RESIDENCE and "country" not in given:
        yield Fault("field_missing", ("country",))


_OF_ACTION: Mapping[str, Callable[[CustomerUpdate, frozenset[str]], Iterator[Fault]]] = {
    "add_point": _added,
    "verify_point": _pointed,
    "retire_point": _pointed,
    "set_preferences": _wished,
    "confirm_data": _confirmed,
}


def canonical(record: CustomerUpdate) -> str:
    """Return the text that two rows with the same content have in common, in whatever format they came."""
    return record.model_dump_json(exclude_none=True)


# Columns

HEADINGS: Mapping[str, tuple[str, ...]] = {
    "update_id": ("更新编号",),
    "action": ("更新类型",),
    "person": ("人员编号",),
    "case": ("案件编号",),
    "lender_account_id": ("账户号", "账号", "借据号", "account_no"),
    "placement_stage": ("手别", "placement_tier"),
    "party": ("当事人角色", "role"),
    "kind": ("联系方式类型",),
    "value": ("联系方式",),
    "point": ("联系方式编号",),
    "place": ("所在",),
    "source": ("来源",),
    "reason": ("原因",),
    "consent_medium": ("授权渠道",),
    "consent_state": ("授权状态",),
    "result": ("核实结果",),
    "how": ("核实方式",),
    "contact": ("联系编号",),
    "verified_on": ("核实日期",),
    "language": ("语言",),
    "channel": ("偏好渠道",),
    "hours_from": ("偏好开始时间",),
    "hours_to": ("偏好结束时间",),
    "clear": ("清除原偏好",),
    "group": ("数据组",),
    "name": ("姓名",),
    "birth_date": ("出生日期", "dob"),
    "national_id": ("证件号码", "身份证号"),
    "country": ("国家",),
    "region": ("省份", "地区"),
    "city": ("城市",),
    "postal_code": ("邮编", "zip"),
    "employer": ("工作单位", "单位"),
    "job": ("职业",),
    "income_band": ("收入档",),
}
"""Column -> the headings that are understood beside its own name; the first is the Chinese one."""

REQUIRED = ("update_id", "action")
"""Columns without which no row can be taken."""


@cache
def columns() -> Mapping[str, Column]:
    """Return every column by its name."""
    hints = get_type_hints(CustomerUpdate, include_extras=True)
    return {name: Column(name, (name,), kind_of(marks_of(hints[name])[0])) for name in CustomerUpdate.model_fields}


@cache
def _aliases() -> Mapping[str, str]:
    return {heading: name for name, headings in HEADINGS.items() for heading in headings}


def understand_updates(titles: Sequence[str], mapping: Mapping[str, str] | None = None) -> Header | HeaderFault:
    """Return the header that these titles make, or why not, as ``columns.understand`` does for a portfolio."""

    def name_of(title: str) -> str:
        if mapping and title.strip() in mapping:
            return mapping[title.strip()]
        name = normalised(title)
        return _aliases().get(name, name)

    return understood(titles, name_of, columns().get, REQUIRED)


UPDATES: Schema[TakenUpdate] = Schema(understand_updates, judge_update, False)
"""The rows of a customer update."""
