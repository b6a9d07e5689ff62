"""Columns: how the nested canonical row lies flat in a CSV or a workbook, and what else a header may call each column.

The names follow from the model (``row.Flat``): ``overdue_principal``, ``party1_phone2_consent1_state``. Parties may also
be named by role: ``borrower_name``, ``guarantor1_phone1``. Chinese headers and common English ones are aliases.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from chalicelib.domain.intake.judge import Document, Path
from chalicelib.domain.intake.places import CURRENCY_DIGITS
from chalicelib.domain.intake.rejections import Problem, shape
from chalicelib.domain.intake.row import Flat, Row
from chalicelib.domain.intake.values import Between, Kind, Text, decimal_text, minor_units, whole_number

MOST_COLUMNS = 2_000
"""Columns of a file (closed)."""

MOST_CELL = 4_000
"""Characters of one cell (closed)."""

_TEXT = Kind("text")


@dataclass(frozen=True, slots=True)
class Leaf:
    """A member that is one cell."""

    name: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Branch:
    """A member that is an object or, with ``most`` above 0, a list of objects; ``column`` begins its columns' names."""

    name: str
    column: str
    most: int
    main: str
    members: tuple["Leaf | Branch", ...]


@dataclass(frozen=True, slots=True)
class Slot:
    """A place in a list as the header numbers it. ``rank`` orders named roles (borrower, ...) after plain numbers."""

    rank: int
    number: int
    role: str = ""


Step = str | Slot


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its canonical name, the steps to its member, and the kind of its cells."""

    name: str
    steps: tuple[Step, ...]
    kind: Kind


@cache
def tree() -> Branch:
    """Return the whole row as a tree of leaves and branches."""
    return Branch("", "", 0, "", _members(Row))


def _members(model: type[BaseModel]) -> tuple[Leaf | Branch, ...]:
    hints = get_type_hints(model, include_extras=True)
    return tuple(_member(name, hints[name]) for name in model.model_fields)


def _member(name: str, hint: Any) -> Leaf | Branch:
    marks, inner = marks_of(hint)
    flat = next((mark for mark in marks if isinstance(mark, Flat)), None)
    if flat is not None and inner is not dict and get_origin(inner) is not dict:
        model = get_args(inner)[0] if flat.most else inner
        return Branch(name, flat.name, flat.most, flat.main, _members(model))
    return Leaf(name, kind_of(marks))


def marks_of(hint: Any) -> tuple[list[Any], Any]:
    """Return the marks on a type and the type under them, looking through ``Annotated`` and ``| None``."""
    marks: list[Any] = []
    while True:
        if get_origin(hint) is Annotated:
            marks += hint.__metadata__
            hint = get_args(hint)[0]
        elif get_origin(hint) in (Union, UnionType) and type(None) in get_args(hint):
            hint = next(part for part in get_args(hint) if part is not type(None))
        else:
            return marks, hint


def kind_of(marks: Sequence[Any]) -> Kind:
    """Return how the cells of a member with these marks are read."""
    for mark in marks:
        if isinstance(mark, Kind):
            return mark
        if isinstance(mark, Between):
            return Kind("count")
        if isinstance(mark, Text):
            return Kind("text", digits=mark.digits)
    return _TEXT


def column_name(member: str) -> str:
    """Return the part of a column's name that a member gives: money drops ``_minor``."""
    return member.removesuffix("_minor")


ROLE_PREFIXES = (
    "co_borrower", "borrower", "guarantor", "spouse", "contact_person", "attorney", "representative",
)  # fmt: skip
_ROLE_OF_PREFIX = {"contact_person": "contact"}
_ROLE_ORDER = ("borrower", "co_borrower", "guarantor", "spouse", "contact_person", "attorney", "representative")
_BY_ROLE = re.compile(rf"({'|'.join(ROLE_PREFIXES)})(\d{{0,2}})_(.+)")
_NUMBERED = re.compile(r"(\d{1,3})(?:_(.+))?\Z", re.ASCII)


def resolve(name: str) -> Column | None:
    """Return the column that a canonical name means, or None.

    >>> resolve("party1_phone2").steps[-1]
    'value'
    """
    by_role = _BY_ROLE.fullmatch(name)
    parties = next(member for member in tree().members if member.name == "parties")
    if by_role is not None and isinstance(parties, Branch):
        prefix, number, rest = by_role.groups()
        slot = Slot(1 + _ROLE_ORDER.index(prefix), int(number or 1), _ROLE_OF_PREFIX.get(prefix, prefix))
        found = _within(parties.members, rest) if slot.number <= parties.most else None
        return None if found is None else Column(name, ("parties", slot, *found[0]), found[1])
    if name.startswith("extra_") and len(name) > len("extra_"):
        return Column(name, ("extra", name.removeprefix("extra_")), _TEXT)
    found = _within(tree().members, name)
    return None if found is None else Column(name, found[0], found[1])


def _within(members: tuple[Leaf | Branch, ...], name: str) -> tuple[tuple[Step, ...], Kind] | None:
    for member in members:
        if isinstance(member, Leaf):
            if member.name != "extra" and column_name(member.name) == name:
                return (member.name,), member.kind
            continue
        found = _in_branch(member, name)
        if found is not None:
            return found
    return None


def _in_branch(branch: Branch, name: str) -> tuple[tuple[Step, ...], Kind] | None:
    if not name.startswith(branch.column):
        return None
    rest = name[len(branch.column) :]
    steps: tuple[Step, ...] = (branch.name,)
    if branch.most:
        numbered = _NUMBERED.match(rest)
        if numbered is None or not 1 <= int(numbered[1]) <= branch.most or numbered[1].startswith("0"):
            return None
        steps, inner = (*steps, Slot(0, int(numbered[1]))), numbered[2] or branch.main
    elif branch.column:
        if rest and not rest.startswith("_"):
            return None
        inner = rest[1:] or branch.main
    else:
        inner = rest
    found = _within(branch.members, inner) if inner else None
    return None if found is None else ((*steps, *found[0]), found[1])


# Aliases

_ALIASES = {
    "批次号": "batch_id", "批次": "batch_id", "批次编号": "batch_no", "委托方": "lender_id", "委案日期": "delegation_date",
    "结案日期": "mandate_end", "预计退案日期": "mandate_end", "退案日期": "mandate_end", "手别": "placement_stage",
    "委案类型": "placement_type", "佣金费率": "commission_rate", "佣金方案": "commission_schedule_id",
    "账户号": "lender_account_id", "账号": "lender_account_id", "个案序列号": "lender_account_id",
    "借据号": "lender_account_id", "合同号": "contract_no", "合同编号": "contract_no", "产品类型": "product",
    "业务类型": "product", "产品": "product_name", "产品名称": "product_name", "产品系列": "product_series",
    "债权人": "creditor_name", "委托机构": "creditor_name", "原债权人": "original_creditor_name", "币种": "currency",
    "贷款日期": "origination_date", "放款日期": "origination_date", "首期还款日": "first_due_date",
    "首次还款日": "first_due_date", "到期日": "maturity_date", "合同到期日": "maturity_date", "总期数": "term_months",
    "期数": "term_months", "合同金额": "amount_financed", "贷款本金": "amount_financed", "贷款金额": "amount_financed",
    "年利率": "apr", "利率类型": "rate_type", "月供": "instalment_amount", "每期还款额": "instalment_amount",
    "还款日": "due_day", "每期还款日": "due_day", "剩余本金": "principal_left", "剩余利息": "interest_left",
    "逾期本金": "overdue_principal", "逾期利息": "overdue_interest", "罚息": "overdue_penalty",
    "违约金": "overdue_penalty", "滞纳金": "overdue_late_fee", "管理费": "overdue_management_fee",
    "手续费": "overdue_other", "其他费用": "overdue_other", "逾期总额": "overdue_total", "总欠款": "overdue_total",
    "委案金额": "overdue_total", "数据日期": "as_of_date", "截止日期": "as_of_date", "首次逾期": "oldest_unpaid_due_date",
    "首次逾期日期": "oldest_unpaid_due_date", "最早逾期日": "oldest_unpaid_due_date", "逾期天数": "dpd",
    "逾期期数": "overdue_periods", "逾期阶段": "bucket", "入催日": "collection_start_date",
    "核销日期": "charge_off_date", "核销金额": "charge_off_amount", "诉讼时效日期": "statute_of_limitation_date",
    "最近还款日期": "last_payment_date", "最近还款金额": "last_payment_amount", "案号": "docket_no",
    "诉讼阶段": "legal_stage", "备注": "note", "还款表现": "profile_24m",
    "客户号": "borrower_customer_no", "车牌号": "vehicle1_plate", "车架号": "vehicle1_vin",
    "发动机号": "vehicle1_engine_no", "品牌": "vehicle1_make", "车型": "vehicle1_model", "车价": "vehicle1_purchase_price",
    "首付": "vehicle1_down_payment", "首付金额": "vehicle1_down_payment", "登记证书": "vehicle1_certificate_no",
    "登记证书号": "vehicle1_certificate_no", "绿本": "vehicle1_certificate_no",
    "抵押登记状态": "vehicle1_lien_registered", "抵押登记日期": "vehicle1_lien_date", "gps厂商": "vehicle1_gps_vendor",
    "gps编号": "vehicle1_gps_id", "gps状态": "vehicle1_gps_status", "保险到期": "vehicle1_insurance_expiry",
    "保险到期日": "vehicle1_insurance_expiry", "查封": "vehicle1_seized", "二押": "vehicle1_second_mortgage",
    "account": "lender_account_id", "account_id": "lender_account_id", "account_no": "lender_account_id",
    "account_number": "lender_account_id", "loan_number": "lender_account_id", "contract_number": "contract_no",
    "contract": "contract_no", "batch": "batch_id", "days_past_due": "dpd", "amount_due": "overdue_total",
    "total_due": "overdue_total", "total_overdue": "overdue_total", "placed_on": "delegation_date",
    "placement_date": "delegation_date", "expected_return_date": "mandate_end", "placement_tier": "placement_stage",
    "creditor": "creditor_name", "principal_balance": "principal_left", "remaining_principal": "principal_left",
    "monthly_payment": "instalment_amount", "instalment": "instalment_amount", "installment_amount": "instalment_amount",
    "original_amount": "amount_financed", "missed_instalments": "overdue_periods", "overdue_stage": "bucket",
    "term": "term_months", "as_of": "as_of_date", "vin": "vehicle1_vin", "plate": "vehicle1_plate",
    "plate_no": "vehicle1_plate", "make": "vehicle1_make", "model": "vehicle1_model",
    "ssn": "borrower_national_id", "state": "borrower_region", "zip": "borrower_postcode", "city": "borrower_city",
    "country": "borrower_country", "customer_no": "borrower_customer_no", "first_name": "borrower_given_name",
    "last_name": "borrower_family_name", "dob": "borrower_birth_date",
}  # fmt: skip
"""Header text (normalised) -> canonical column name."""

_ZH_WHO = {
    "": "borrower", "借款人": "borrower", "主借人": "borrower", "客户": "borrower", "承租人": "borrower",
    "共借人": "co_borrower", "共同借款人": "co_borrower", "担保人": "guarantor", "保证人": "guarantor",
    "配偶": "spouse", "联系人": "contact_person", "紧急联系人": "contact_person",
}  # fmt: skip
_ZH_WHAT = {
    "姓名": "name", "身份证": "national_id", "身份证号": "national_id", "证件号码": "national_id", "手机": "phone1",
    "手机号": "phone1", "手机号码": "phone1", "电话": "phone1", "联系电话": "phone1", "邮箱": "email1",
    "电子邮箱": "email1", "微信": "wechat1", "微信号": "wechat1", "住址": "address1", "地址": "address1",
    "家庭地址": "address1", "单位": "employer", "工作单位": "employer", "关系": "relation", "性别": "gender",
    "出生日期": "birth_date", "婚姻状况": "marital_status", "国家": "country", "省份": "region", "地区": "region",
    "城市": "city", "邮编": "postcode", "行政区划": "division", "责任类型": "liability", "语言": "language",
    "职业": "job",
}  # fmt: skip
_ZH_PARTY = re.compile(
    rf"({'|'.join(sorted((who for who in _ZH_WHO if who), key=len, reverse=True))}|)(\d{{0,2}})"
    rf"({'|'.join(sorted(_ZH_WHAT, key=len, reverse=True))})(\d{{0,2}})\Z"
)
_UNIT = re.compile(r"[((][^()()]*[))]\Z")


def normalised(header: str) -> str:
    """Return a header as it is compared: NFKC, lower case, without a unit in brackets, spaces and hyphens as ``_``."""
    text = unicodedata.normalize("NFKC", header).strip().lstrip("\ufeff*").casefold()
    text = _UNIT.sub("", text).strip() or text
    return re.sub(r"[\s\-./]+", "_", text).strip("_")


def canonical_name(header: str, mapping: Mapping[str, str] | None = None) -> str:
    """Return the canonical name for a header text; the lender's own ``mapping`` (header -> name) is asked first."""
    if mapping and header.strip() in mapping:
        return mapping[header.strip()]
    name = normalised(header)
    if name in _ALIASES:
        return _ALIASES[name]
    party = _ZH_PARTY.match(name)
    if party is not None:
        who, number, what, nth = party.groups()
        target = _ZH_WHAT[what]
        if nth and target[-1] == "1":
            target = target[:-1] + nth
        return f"{_ZH_WHO[who]}{number or ('' if who in ('', '借款人') else '1')}_{target}"
    if name.startswith("extra_"):
        return "extra_" + header.strip()[len("extra_") :]
    return name


IGNORED = "ignore"
"""What a lender's mapping says of a column that is to be left out."""

REQUIRED = (
    "batch_id", "delegation_date", "mandate_end", "placement_stage", "placement_type", "lender_account_id",
    "contract_no", "product", "creditor_name", "currency", "origination_date", "first_due_date", "maturity_date",
    "term_months", "amount_financed", "apr", "rate_type", "instalment_amount", "due_day", "principal_left",
    "interest_left", "as_of_date", "oldest_unpaid_due_date", "dpd", "overdue_periods", "overdue_total",
)  # fmt: skip
"""Columns without which no row of a flat file can be taken."""


@dataclass(frozen=True, slots=True)
class HeaderFault:
    """Why a header was refused: a code of ``rejections.BATCH_CODES`` and the columns concerned."""

    code: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Holder:
    """An object that cells are put into: a member ``key`` of the holder ``parent``, or an entry of the list ``key``."""

    parent: int
    key: str
    is_entry: bool
    role: str


@dataclass(frozen=True, slots=True)
class Header:
    """A header row that was understood: a column for each cell (None is ignored), and the names as they stand."""

    titles: tuple[str, ...]
    columns: tuple[Column | None, ...]
    currency_at: int
    _plan: tuple[tuple[int, int, str, str], ...] = field(repr=False, compare=False)
    _holders: tuple[_Holder, ...] = field(repr=False, compare=False)

    def document(self, cells: Sequence[str]) -> tuple[Document, list[Problem]]:
        """Return the document of a row's cells, and what is wrong with single cells. Empty cells are absent."""
        digits = CURRENCY_DIGITS.get(_currency_code(cells[self.currency_at]), 2)
        made: list[Document | None] = [None] * len(self._holders)
        problems: list[Problem] = []
        for index, at, member, kind in self._plan:
            cell = cells[index]
            if not cell or not (cell := cell.strip()):
                continue
            value: Any = cell
            if len(cell) > MOST_CELL:
                problems.append(Problem("cell_too_long", self.titles[index], shape(cell)))
                continue
            if kind == "money":
                try:
                    value = minor_units(cell, digits=digits)
                except ValueError as error:
                    problems.append(Problem(str(error), self.titles[index], shape(cell)))
                    value = 0
            elif kind == "count":
                value = _count_of(cell)
            holder = made[at]
            if holder is None:
                holder = made[at] = {}
            holder[member] = value
        return self._assembled(made), problems

    def _assembled(self, made: list[Document | None]) -> Document:
        """Put the holders that have content into one another, entries in the order of their numbers."""
        for at in range(len(made) - 1, 0, -1):
            parent = self._holders[at].parent
            if made[at] is not None and made[parent] is None:
                made[parent] = {}
        for holder, content in zip(self._holders, made, strict=True):
            outer = made[holder.parent] if content is not None else None
            if content is None or outer is None or content is outer:
                continue
            if holder.role:
                content.setdefault("role", holder.role)
            if holder.is_entry:
                outer.setdefault(holder.key, []).append(content)
            else:
                outer[holder.key] = content
        return made[0] or {}

    def name_of(self, cells: Sequence[str], path: Path) -> str:
        """Return the title of the column that a document path came from, or its canonical name."""
        wanted = _steps_of(self._slots_in(cells), path)
        for index, column in enumerate(self.columns):
            if column is not None and column.steps == wanted:
                return self.titles[index]
        return _name_of_steps(wanted)

    def _slots_in(self, cells: Sequence[str]) -> set[tuple[Step, ...]]:
        return {
            column.steps[: place + 1]
            for index, column in enumerate(self.columns)
            if column is not None and cells[index].strip()
            for place, step in enumerate(column.steps)
            if isinstance(step, Slot)
        }


def understand(titles: Sequence[str], mapping: Mapping[str, str] | None = None) -> Header | HeaderFault:
    """Return the header that these titles make, or why not: unknown, duplicate, missing or too many columns."""
    return understood(titles, lambda title: canonical_name(title, mapping), resolve, REQUIRED)


def understood(
    titles: Sequence[str],
    name_of: Callable[[str], str],
    column_of: Callable[[str], Column | None],
    required: Sequence[str],
) -> Header | HeaderFault:
    """Return the header of any kind of file: ``name_of`` gives a title its canonical name, ``column_of`` a name its column."""
    titles = tuple(title.strip().lstrip("\ufeff") for title in titles)
    while titles and not titles[-1]:
        titles = titles[:-1]
    if len(titles) > MOST_COLUMNS:
        return HeaderFault("columns_too_many", ())
    columns: list[Column | None] = []
    unknown: list[str] = []
    seen: dict[tuple[Step, ...], str] = {}
    duplicate: list[str] = []
    for title in titles:
        name = name_of(title)
        column = None if name == IGNORED else column_of(name)
        if column is None and name != IGNORED:
            unknown.append(title[:60])
        if column is not None and column.steps in seen:
            duplicate.append(title[:60])
        elif column is not None:
            seen[column.steps] = title
        columns.append(column)
    if unknown:
        # Where most titles are unknown the file may begin with a row of data, which must not be repeated to anyone.
        is_data = len(unknown) * 2 > len(titles)
        told = [shape(title) for title in unknown] if is_data else unknown
        return HeaderFault("header_unknown", tuple(told[:50]))
    if duplicate:
        return HeaderFault("header_duplicate", tuple(duplicate[:50]))
    missing = [name for name in required if (column := column_of(name)) and column.steps not in seen]
    if missing:
        return HeaderFault("header_missing", tuple(missing))
    known = [(index, column) for index, column in enumerate(columns) if column is not None]
    # A file without a currency has no money either, so that any column will do.
    currency_at = next((index for index, column in known if column.steps == ("loan", "currency")), 0)
    holders, at = _holders_of([column.steps for _, column in known])
    plan = tuple((i, at[c.steps[:-1]], str(c.steps[-1]), c.kind.name) for i, c in known)
    return Header(titles, tuple(columns), currency_at, plan, holders)


def _holders_of(columns: Sequence[tuple[Step, ...]]) -> tuple[tuple[_Holder, ...], dict[tuple[Step, ...], int]]:
    """Return the holders that columns need, outer before inner and in the order of their numbers, and where each is."""
    keys: set[tuple[Step, ...]] = {()}
    for steps in columns:
        for length in range(1, len(steps)):
            is_list = isinstance(steps[length], Slot)
            if not is_list:
                keys.add(steps[:length])
    ordered = sorted(keys, key=lambda key: [(_order(step), str(step) if isinstance(step, str) else "") for step in key])
    at = {key: place for place, key in enumerate(ordered)}
    holders = [_Holder(0, "", False, "")]
    for key in ordered[1:]:
        last = key[-1]
        if isinstance(last, Slot):
            holders.append(_Holder(at[key[:-2]], str(key[-2]), True, last.role))
        else:
            holders.append(_Holder(at[key[:-1]], last, False, ""))
    return tuple(holders), at


def _currency_code(cell: str) -> str:
    text = cell.strip().upper()
    return {"RMB": "CNY", "人民币": "CNY", "美元": "USD"}.get(text, text)


def currency_digits(cell: str) -> tuple[str, int]:
    """Return (ISO 4217 code, digits of the minor unit) of a currency cell; an unknown one counts with two digits."""
    code = _currency_code(cell)
    return code, CURRENCY_DIGITS.get(code, 2)


def _count_of(cell: str) -> int | str:
    try:
        return whole_number(cell)
    except ValueError:
        return cell


def _order(step: Step) -> tuple[int, int]:
    return (step.rank, step.number) if isinstance(step, Slot) else (0, 0)


def _steps_of(present: set[tuple[Step, ...]], path: Path) -> tuple[Step, ...]:
    steps: tuple[Step, ...] = ()
    for part in path:
        if isinstance(part, int):
            here = sorted((key for key in present if key[:-1] == steps), key=lambda key: _order(key[-1]))
            steps = here[part] if part < len(here) else (*steps, Slot(0, part + 1))
        else:
            steps = (*steps, part)
    return steps


def _name_of_steps(steps: tuple[Step, ...]) -> str:
    """Return the canonical column name of steps, as far as they lead."""
    name, members = "", tree().members
    for step in steps:
        if isinstance(step, Slot):
            if step.role:
                name = next((k for k, v in _ROLE_OF_PREFIX.items() if v == step.role), step.role)
            name += str(step.number)
            continue
        member = next((member for member in members if member.name == step), None)
        if member is None:
            return f"{name}_{step}".strip("_")
        part = column_name(member.name) if isinstance(member, Leaf) else member.column
        name = f"{name}_{part}" if name and part else name or part
        if isinstance(member, Branch):
            members = member.members
    return name


# Flat out of nested, for templates, samples and round trips


def flat_cells(document: Document) -> dict[str, str]:
    """Return the cells of a document (JSON values) under canonical column names; absent members are left out.

    A value that is not of its member's type is written as it stands, so that a faulty document makes a faulty file.
    """
    loan = document.get("loan")
    digits = currency_digits(str(loan.get("currency", "")) if isinstance(loan, dict) else "")[1]
    cells = dict(_flat(document, tree().members, "", digits))
    cells.update({f"extra_{key}": str(text) for key, text in (document.get("extra") or {}).items()})
    return cells


def _flat(
    part: Mapping[str, Any], members: tuple[Leaf | Branch, ...], prefix: str, digits: int
) -> Iterator[tuple[str, str]]:
    for member in members:
        value = part.get(member.name)
        if value is None or member.name == "extra":
            continue
        if isinstance(member, Leaf):
            yield _joined(prefix, column_name(member.name)), cell_text(value, member.kind, digits)
            continue
        entries: Iterable[tuple[str, Mapping[str, Any]]] = (
            ((f"{member.column}{number + 1}", entry) for number, entry in enumerate(value))
            if member.most
            else ((member.column, value),)
        )
        for name, entry in entries:
            base = _joined(prefix, name)
            main = f"{base}_{column_name(member.main)}" if member.main else None
            for column, cell in _flat(entry, member.members, base, digits):
                yield (base if column == main else column), cell


def _joined(prefix: str, name: str) -> str:
    return f"{prefix}_{name}" if prefix and name else prefix or name


def cell_text(value: Any, kind: Kind, digits: int) -> str:
    """Return a member's JSON value as the text of a cell."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if kind.name == "money" and isinstance(value, int):
        return ("-" if value < 0 else "") + decimal_text(abs(value), digits=digits)
    return str(value)
