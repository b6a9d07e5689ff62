"""Why a row or a whole file was not taken: stable codes with text in Chinese and English, never the value itself."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

MOST_PROBLEMS = 20
"""How many problems of one row are reported; the rest show after these are mended."""

_MOST_SHAPE = 40

ROW_CODES: dict[str, tuple[str, str]] = {
    "account_conflict": (
        "该账户在同一委案手别下已载入，但内容不同；未作改动",
        "this account was loaded before at this placement stage with other content; nothing was changed",
    ),
    "boolean_invalid": ("应为是/否 (true/false)", "not a yes or no (true/false, yes/no, Y/N, 1/0, 是/否)"),
    "borrower_count": ("必须有且只有一个借款人", "exactly one party must have the role borrower"),
    "bucket_mismatch": ("逾期阶段与逾期天数不符", "the bucket does not follow from the days past due"),
    "cell_too_long": ("单元格超过长度上限", "the cell is longer than the limit"),
    "charge_off_incomplete": (
        "核销日期与核销金额须同时提供",
        "charge_off_date and charge_off_amount must be given together",
    ),
    "company_code_invalid": (
        "统一社会信用代码格式或校验位错误",
        "not a valid 18-character unified social credit code (form or check character)",
    ),
    "consent_undated": ("已同意或已撤回须注明时间", "a consent that was granted or withdrawn needs its time"),
    "contact_in_future": ("历史联系时间晚于数据日期", "the prior contact is later than the day of the data"),
    "control_character": ("含有控制字符或文字方向控制符", "contains control or text-direction characters"),
    "country_unknown": ("不是 ISO 3166-1 国家代码", "not an ISO 3166-1 country code of two letters"),
    "currency_unknown": ("不支持的 ISO 4217 币种", "not a supported ISO 4217 currency"),
    "date_invalid": ("日期须为 YYYY-MM-DD 或 YYYYMMDD", "not a date in the form YYYY-MM-DD or YYYYMMDD"),
    "date_order": ("日期先后顺序错误", "the dates are in the wrong order"),
    "dpd_mismatch": (
        "逾期天数与最早未还到期日相差超过一天",
        "the days past due differ by more than one day from the oldest unpaid due date",
    ),
    "email_invalid": ("电子邮箱格式错误", "not an e-mail address"),
    "encoding_invalid": (
        "该行含有无法按文件编码解读的字节",
        "the row holds bytes that the file's encoding cannot hold",
    ),
    "evidence_undated": ("该标记须注明证据日期", "a flag that is set needs the date of its evidence"),
    "excel_leading_zero": (
        "前导零已丢失（Excel 将文本转为数字）",
        "leading zeros were lost (a spreadsheet turned the text into a number)",
    ),
    "excel_rounded": (
        "长数字已被 Excel 取整（超过 15 位），请将该列设为文本",
        "the long number was rounded by a spreadsheet (more than 15 digits); format the column as text",
    ),
    "excel_scientific": (
        "数字已被 Excel 转为科学计数法，请将该列设为文本",
        "the number was turned into scientific notation by a spreadsheet; format the column as text",
    ),
    "excel_serial_date": (
        "日期为 Excel 序列号，请设为日期或文本 YYYY-MM-DD",
        "the date is a spreadsheet serial number; format it as a date or as text YYYY-MM-DD",
    ),
    "field_missing": ("必填字段缺失", "a required field is missing"),
    "field_unknown": ("未知字段", "an unknown field"),
    "formula_cell": ("单元格是公式，请改为数值", "the cell is a formula; give its value"),
    "formula_injection": (
        "文本以 = + - @ 等字符开头，可能被当作公式执行",
        "the text begins with = + - @ or the like, which a spreadsheet would run as a formula",
    ),
    "integer_invalid": ("应为整数", "not a whole number"),
    "instant_invalid": ("时间须为带时区的 RFC 3339 格式", "not an RFC 3339 time with a zone"),
    "json_duplicate_key": ("JSON 对象含重复键", "the JSON object has the same key twice"),
    "json_invalid": ("不是有效的 JSON 对象", "not a JSON object"),
    "json_too_deep": ("JSON 嵌套过深", "the JSON is nested too deeply"),
    "language_invalid": ("语言须为 BCP 47 标记，如 zh-CN、en", "not a BCP 47 language tag such as zh-CN or en"),
    "lender_mismatch": ("委托方与上传方不一致", "the lender of the row is not the lender of the upload"),
    "liability_invalid": ("责任类型与角色不符", "the liability does not go with the role"),
    "line_too_long": ("该行超过长度上限", "the line is longer than the limit"),
    "list_too_long": ("列表项过多", "the list has too many entries"),
    "money_invalid": (
        "金额格式错误（CSV/XLSX 用小数点、无千位分隔；JSON 用最小货币单位的整数）",
        "not an amount (CSV and XLSX: decimal point, no thousands signs; JSON: whole minor units)",
    ),
    "money_negative": ("金额不能为负", "the amount is negative"),
    "money_too_large": ("金额超过上限", "the amount is above the limit"),
    "national_id_birth_date": (
        "身份证号中的出生日期与出生日期不符",
        "the birth date in the national id differs from birth_date",
    ),
    "national_id_invalid": (
        "证件号码格式或校验位错误",
        "not a valid national id (form, region, date or check character)",
    ),
    "number_out_of_range": ("数值超出允许范围", "the number is outside the allowed range"),
    "overdue_sum": ("逾期各项之和与逾期总额不符", "the parts of the overdue amount do not sum to its total"),
    "party_duplicate": (
        "同一行内当事人编号、客户号或证件重复",
        "two parties of the row have the same party_id, customer_no or national id",
    ),
    "party_reference": ("引用了本行不存在的当事人", "names a party that is not in this row"),
    "payment_mismatch": ("还款记录前后矛盾", "the payment record contradicts itself"),
    "person_erased": (
        "该户当事人的个人信息已依法删除，不再接收其数据",
        "a person of the account was erased; nothing is taken in about them any more",
    ),
    "phone_invalid": ("电话号码无效", "not a valid telephone number"),
    "plate_invalid": ("车牌号格式错误", "not a vehicle plate of that country"),
    "point_missing": ("借款人至少需要一个联系方式", "the borrower needs at least one phone, e-mail, WeChat or address"),
    "postcode_invalid": ("邮政编码格式错误", "not a postal code of that country"),
    "profile_invalid": ("24 个月还款表现串格式错误", "not a 24-month profile (0-6, B-E, G-L)"),
    "quote_unclosed": ("引号未闭合", "a quotation mark is opened and not closed"),
    "rate_invalid": ("费率须为 0 至 1 的小数", "not a rate from 0 to 1"),
    "region_unknown": ("不是该国的 ISO 3166-2 地区代码", "not an ISO 3166-2 region of that country"),
    "row_shape": ("列数与表头不一致", "the row has another number of cells than the header"),
    "sha256_invalid": ("不是 SHA-256 十六进制值", "not a SHA-256 in 64 hexadecimal digits"),
    "text_empty": ("文本为空", "the text is empty"),
    "text_invalid": ("格式不符", "the text does not have the required form"),
    "text_too_long": ("文本超过长度上限", "the text is longer than the limit"),
    "type_invalid": ("数据类型错误", "the value is of the wrong type"),
    "value_not_listed": ("不在允许的取值范围内", "not one of the listed values"),
    "vin_invalid": (
        "车架号须为 17 位，不含 I、O、Q，且校验位正确",
        "not a VIN: 17 characters without I, O, Q, with its check digit where the market has one",
    ),
    "wechat_invalid": ("微信标识格式错误", "not a WeChat open id or account"),
    "zone_unknown": ("未知的 IANA 时区", "not an IANA time zone"),
}
"""Code of a rejected row -> (Chinese, English). Codes are never renamed or reused."""

UPDATE_CODES: dict[str, tuple[str, str]] = {
    "contact_not_wanted": (
        "只有通过联系核实的，才填写联系编号",
        "only what was found out by a contact names one",
    ),
    "contact_point_known": ("该联系方式已存在", "the person has this contact point already"),
    "contact_point_retired": ("该联系方式已停用，请重新新增", "the contact point was retired; add it again"),
    "contact_point_unknown": ("该人没有这个联系方式", "the person has no such contact point"),
    "contact_unproven": (
        "须填写据以核实的、经闸门放行并已完成的联系（本机构与该人、该联系方式）",
        "name the message or clearance that this was found out by",
    ),
    "field_unwanted": ("该更新类型不使用此字段", "this kind of update does not take the field"),
    "hours_incomplete": ("起止时间须同时填写", "give both hours, or none"),
    "hours_order": ("结束时间须晚于开始时间", "the hours end after they begin"),
    "not_the_lenders": ("只有委托方了解其自身记录", "only the lender knows its own records"),
    "nothing_came_in": ("该人未曾从此处来信或来电", "the person has not written or called from there"),
    "nothing_said": ("没有要更新的内容", "the row says nothing to be recorded"),
    "other_group": ("该字段属于另一数据组", "the field belongs to another group of data"),
    "person_locked": (
        "该人已申请删除，数据仅作存储，不得更改",
        "an erasure was asked for: the data are stored only",
    ),
    "person_unknown": (
        "查无此人或此案件，或不属于贵方",
        "there is no such person or case, or not of yours",
    ),
    "proves_nothing": ("该方式不能核实此数据组", "that is no means by which this group is verified"),
    "reference_count": (
        "须且只须填写 person、case、lender_account_id 之一",
        "name exactly one of person, case and lender_account_id",
    ),
    "update_conflict": (
        "该更新编号已用于其他内容；未作改动",
        "this update_id was used before with other content; nothing was changed",
    ),
    "verified_on_future": ("核实日期晚于今天", "the day is after today, by the lender's calendar"),
    "verified_on_older": (
        "已有更新的核实结果，保留较新者",
        "something newer is known; what is newer stands",
    ),
}
"""Code of a rejected row of a customer update -> (Chinese, English), beside those of ``ROW_CODES``."""

BATCH_CODES: dict[str, tuple[str, str]] = {
    "archive_unsafe": (
        "压缩包解压比例或体积超限，或含有嵌套压缩包",
        "the archive expands too far, is too large, or holds another archive",
    ),
    "bytes_differ": ("文件大小与登记不一致", "the file's size is not the one that was announced"),
    "columns_too_many": ("列数超过上限", "the file has too many columns"),
    "encoding_mixed": ("表头与正文编码不一致", "the header and the rows are in different encodings"),
    "encoding_unknown": (
        "编码无法识别，仅支持 UTF-8 与 GB18030",
        "the encoding is neither UTF-8 nor GB18030",
    ),
    "file_empty": ("文件没有数据行", "the file has no rows"),
    "file_too_large": ("文件超过大小上限", "the file is larger than the limit"),
    "format_mismatch": ("文件内容与登记的格式不符", "the content is not of the announced format"),
    "header_duplicate": ("表头重复", "two columns mean the same field"),
    "header_missing": ("缺少必需的列", "required columns are missing"),
    "header_unknown": ("存在未知的列", "the header has unknown columns"),
    "rows_differ": ("行数与控制数不一致", "the number of rows is not the announced one"),
    "rows_too_many": ("行数超过上限", "the file has too many rows"),
    "sha256_differs": ("文件 SHA-256 与登记不一致", "the file's SHA-256 is not the announced one"),
    "sheets_many": ("工作簿含有多个非空工作表", "the workbook has more than one sheet with data"),
    "totals_differ": ("控制总额不一致，整批拒收", "the control totals differ, so the whole file is refused"),
    "workbook_unreadable": ("工作簿无法读取", "the workbook cannot be read"),
}
"""Code of a refused file -> (Chinese, English). No case exists after any of these."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason: its code, the field (a CSV column name or a JSON path) and the shape of the offending value."""

    code: str
    field: str = ""
    masked: str = ""

    def as_json(self) -> dict[str, str]:
        """Return code, field, masked value and the text in both languages."""
        zh, en = ROW_CODES[self.code] if self.code in ROW_CODES else UPDATE_CODES[self.code]
        return {"code": self.code, "field": self.field, "masked": self.masked, "zh": zh, "en": en}


@dataclass(frozen=True, slots=True)
class Rejection:
    """A row that was not taken. ``row`` counts data rows from 1; ``line`` is its first physical line in the file, from 1.

    ``account`` is the shape of the lender's account number, so that a reader can tell rows apart, never the number.
    """

    row: int
    line: int
    problems: tuple[Problem, ...]
    account: str = ""

    @property
    def code(self) -> str:
        """Return the first problem's code."""
        return self.problems[0].code

    def as_json(self) -> dict[str, Any]:
        """Return the rejection as the API gives it to the lender."""
        return {
            "row": self.row,
            "line": self.line,
            "account": self.account,
            "problems": [problem.as_json() for problem in self.problems],
        }

    def compact(self) -> list[Any]:
        """Return the storage form: without texts, which follow from the codes."""
        return [self.row, self.line, self.account, [[p.code, p.field, p.masked] for p in self.problems]]

    @classmethod
    def from_compact(cls, stored: list[Any]) -> "Rejection":
        """Return the rejection that ``compact`` made ``stored`` from."""
        row, line, account, problems = stored
        return cls(row, line, tuple(Problem(*problem) for problem in problems), account)


def rejection(row: int, line: int, problems: Iterable[Problem], account: object = "") -> Rejection:
    """Return the rejection of a row for these problems (at least one), the account reduced to its shape."""
    return Rejection(row, line, tuple(problems)[:MOST_PROBLEMS], tail(account))


@dataclass(frozen=True, slots=True)
class BatchRefusal:
    """A file that was refused as a whole; ``details`` holds counts, column names and totals, never cell values."""

    code: str
    details: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Return code, details and the text in both languages."""
        zh, en = BATCH_CODES[self.code]
        return {"code": self.code, "details": dict(self.details), "zh": zh, "en": en}


def shape(value: object) -> str:
    """Return the shape of a value: digits as 9, Latin letters as A, other letters as 文, at most 40 characters.

    >>> shape("=SUM(B2) 张三")
    '=AAA(A9) 文文'
    """
    text = value if isinstance(value, str) else type(value).__name__ if isinstance(value, list | dict) else str(value)
    masked = "".join(map(_shape_of, text[:_MOST_SHAPE]))
    return masked + "…" if len(text) > _MOST_SHAPE else masked


def tail(account: object) -> str:
    """Return an account number with all but its last three characters starred, or fully starred when it is short."""
    text = account if isinstance(account, str) else ""
    return "***" + text[-3:] if len(text) >= 8 and text[-3:].isalnum() and text.isprintable() else "***" if text else ""


def _shape_of(letter: str) -> str:
    if letter.isalpha():
        return "A" if letter < "\u0250" else "文"
    if letter.isnumeric():
        return "9"
    return letter if letter.isprintable() else "?"
