"""The value types of a canonical row: each takes one spelling of a value in and gives one canonical form out.

Every refusal is a ``PydanticCustomError`` whose type is a code of ``rejections.ROW_CODES``.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from chalicelib.domain.instants import to_seconds_text
from chalicelib.domain.intake.places import CN_DIVISIONS, COUNTRIES, CURRENCY_DIGITS

MOST_MINOR = 10**13
"""The largest amount in minor units (closed)."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How a cell of a CSV or a workbook turns into the field's value: money, count, rate, date, instant, flag or text.

    ``digits`` marks texts that look like numbers (account numbers, ids, telephone numbers), which spreadsheets damage.
    """

    name: str
    digits: bool = False


def fault(code: str) -> PydanticCustomError:
    """Return the error that makes pydantic report this code."""
    return PydanticCustomError(code, code)


# Text

_CONTROLS = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff"
_BAD_LINE = re.compile(rf"[{_CONTROLS}\t\r\n\u2028\u2029\ud800-\udfff]")
_BAD_NOTE = re.compile(rf"[{_CONTROLS}\ud800-\udfff]")
_FORMULA = re.compile(r"(?:^|[\r\n])[\s\u00a0\u3000]*[=+\-@\uff1d\uff0b\uff0d\uff20\ufe62\ufe63\ufe66\ufe6b]")
_SCIENTIFIC = re.compile(r"\d(\.\d+)?[eE]\+\d{2}\Z", re.ASCII)
_E164 = re.compile(r"\+[1-9]\d{6,14}\Z", re.ASCII)
_PLAIN = re.compile(r"[A-Za-z0-9\u4e00-\u9fff][ -~\u4e00-\u9fff]*\Z")


def clean_text(value: Any) -> Any:
    """Return a one-line text trimmed and in NFC.

    Refuses control and text-direction characters, and what a spreadsheet would run as a formula.
    """
    if not isinstance(value, str):
        return value
    text = value.strip()
    if _PLAIN.match(text):
        return text
    if _FORMULA.search(value):
        raise fault("formula_injection")
    if _BAD_LINE.search(text):
        raise fault("control_character")
    return unicodedata.normalize("NFC", text)


def clean_number(value: Any) -> Any:
    """Return an account number or the like as ``clean_text`` does; refuses what a spreadsheet made a power of ten."""
    if isinstance(value, str) and is_scientific(value):
        raise fault("excel_scientific")
    return clean_text(value)


def is_scientific(text: str) -> bool:
    """Tell whether a spreadsheet wrote this long number in scientific notation (``1.10101E+17``)."""
    return _SCIENTIFIC.match(text.strip()) is not None


def clean_point(value: Any) -> Any:
    """Return a contact point as ``clean_text`` does, except that a telephone number may begin with its plus sign."""
    return value if isinstance(value, str) and _E164.match(value) else clean_text(value)


def clean_note(value: Any) -> Any:
    """Return a text that may have several lines, trimmed and in NFC; otherwise as ``clean_text``."""
    if not isinstance(value, str):
        return value
    if _FORMULA.search(value):
        raise fault("formula_injection")
    if _BAD_NOTE.search(value):
        raise fault("control_character")
    return unicodedata.normalize("NFC", value.strip().replace("\r\n", "\n").replace("\r", "\n"))


@dataclass(frozen=True, slots=True)
class Text:
    """A text of 1 to ``most`` characters (closed); ``lines`` allows several lines, ``digits`` as in ``Kind``."""

    most: int
    digits: bool = False
    lines: bool = False

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return the schema: cleaned first, measured then."""
        return core_schema.no_info_before_validator_function(
            clean_note if self.lines else clean_number if self.digits else clean_text,
            core_schema.str_schema(strict=True, min_length=1, max_length=self.most),
        )


@dataclass(frozen=True, slots=True)
class Between:
    """A whole number from ``low`` to ``high`` (closed)."""

    low: int
    high: int

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return the schema: an integer, never a boolean, a float or a text."""
        return core_schema.no_info_before_validator_function(
            _count, core_schema.int_schema(strict=True, ge=self.low, le=self.high)
        )


class Listed:
    """One of ``values``; ``aliases`` are other spellings (Chinese words, codes of other systems), in any case."""

    def __init__(self, *values: str, **aliases: str) -> None:
        """Take the listed values in the order in which the documentation shows them."""
        self.values = values
        self.aliases = {**{value.casefold(): value for value in values}, **aliases}

    def code_of(self, value: Any) -> Any:
        """Return the listed value that a spelling means, or the text itself when it means none."""
        if not isinstance(value, str):
            return value
        text = value.strip()
        return self.aliases.get(text.casefold(), text)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return the schema: a literal behind the aliases."""
        return core_schema.no_info_before_validator_function(
            self.code_of, core_schema.literal_schema(list(self.values))
        )


Text30 = Annotated[str, Text(30)]
Text50 = Annotated[str, Text(50)]
Text100 = Annotated[str, Text(100)]
Text200 = Annotated[str, Text(200)]
Account = Annotated[str, Text(30, digits=True)]
Contract = Annotated[str, Text(64, digits=True)]
Reference = Annotated[str, Text(50, digits=True)]
PointText = Annotated[str, BeforeValidator(clean_point), Field(min_length=1, max_length=200), Kind("text", digits=True)]
Note = Annotated[str, Text(1_000, lines=True)]


# Numbers

_AMOUNT = re.compile(r"(-?)(\d{1,14})(?:\.(\d{1,4}))?\Z", re.ASCII)
_WHOLE = re.compile(r"\d{1,12}\Z")


def _money(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int):
        raise fault("money_invalid")
    if value < 0:
        raise fault("money_negative")
    if value > MOST_MINOR:
        raise fault("money_too_large")
    return value


Money = Annotated[int, BeforeValidator(_money), Field(strict=True), Kind("money")]
"""Integer minor units of the row's currency, from 0 to ``MOST_MINOR`` (closed)."""


def minor_units(cell: str, *, digits: int) -> int:
    """Return the minor units of a decimal cell with a point; trailing zeros beyond the currency's digits are allowed.

    Raises ValueError whose text is the code: money_invalid, or money_negative for a negative amount other than zero.

    >>> minor_units("1234.5", digits=2)
    123450
    """
    found = _AMOUNT.match(cell)
    if found is None:
        raise ValueError("money_invalid")
    sign, whole, part = found.groups(default="")
    if part[digits:].strip("0"):
        raise ValueError("money_invalid")
    minor = int(whole + part[:digits].ljust(digits, "0"))
    if sign and minor:
        raise ValueError("money_negative")
    return minor


def decimal_text(minor: int, *, digits: int) -> str:
    """Return the decimal cell of an amount: ``123450`` with two digits is ``1234.50``."""
    if not digits:
        return str(minor)
    return f"{minor // 10**digits}.{minor % 10**digits:0{digits}d}"


def whole_number(cell: str) -> int:
    """Return the integer of a cell of at most 12 digits. Raises ValueError("integer_invalid")."""
    if not _WHOLE.match(cell) or not cell.isascii():
        raise ValueError("integer_invalid")
    return int(cell)


def _count(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int):
        raise fault("integer_invalid")
    return value


_RATE = re.compile(r"[01](\.\d{1,12})?\Z|\d{1,2}(\.\d+)?[eE]-\d\Z", re.ASCII)


def _rate(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise fault("rate_invalid")
    text = str(value).strip()
    rate = Decimal(text) if len(text) <= 20 and _RATE.match(text) else Decimal(-1)
    if not 0 <= rate <= 1:
        raise fault("rate_invalid")
    return f"{rate.quantize(Decimal('0.000001')).normalize():f}"


Rate = Annotated[str, BeforeValidator(_rate), Kind("rate")]
"""A rate from 0 to 1 (closed) as decimal text with at most six places, no trailing zeros."""


# Dates and times

_DATE = re.compile(r"(\d{4})(?:-(\d\d)-(\d\d)|(\d\d)(\d\d))\Z", re.ASCII)
_SERIAL = re.compile(r"[1-9]\d{4}(\.\d+)?\Z", re.ASCII)


def _date(value: Any) -> Any:
    if not isinstance(value, str):
        raise fault("date_invalid")
    found = _DATE.match(value.strip())
    if found is None:
        raise fault("excel_serial_date" if _SERIAL.match(value.strip()) else "date_invalid")
    year, month, day = found[1], found[2] or found[4], found[3] or found[5]
    try:
        parsed = date(int(year), int(month), int(day))
    except ValueError:
        raise fault("date_invalid") from None
    if not 1900 <= parsed.year <= 2200:
        raise fault("date_invalid")
    return parsed


Day = Annotated[date, BeforeValidator(_date), Kind("date")]
"""A calendar date, ``YYYY-MM-DD`` or ``YYYYMMDD``, from 1900 to 2200 (closed)."""


def _instant(value: Any) -> Any:
    if not isinstance(value, str) or len(value) > 40:
        raise fault("instant_invalid")
    try:
        parsed = datetime.fromisoformat(value.strip())
        if parsed.tzinfo is None or not 1900 < parsed.year < 2200:
            raise fault("instant_invalid")
        return to_seconds_text(parsed.astimezone(UTC))
    except (ValueError, OverflowError):
        raise fault("instant_invalid") from None


Instant = Annotated[str, BeforeValidator(_instant), Kind("instant")]
"""An instant: RFC 3339 with a zone in, ``2026-11-23T08:00:00Z`` out."""


# Codes

_YES = frozenset(("true", "yes", "y", "1", "是", "有"))
_NO = frozenset(("false", "no", "n", "0", "否", "无", "没有"))


def _flag(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    text = value.strip().casefold() if isinstance(value, str) else None
    if text in _YES:
        return True
    if text in _NO:
        return False
    raise fault("boolean_invalid")


Flag = Annotated[bool, BeforeValidator(_flag), Kind("flag")]
"""True or false; as text true/false, yes/no, Y/N, 1/0, 是/否."""


def matching(pattern: str, code: str, *, upper: bool = False) -> Callable[[Any], Any]:
    """Return what takes a text that has the form as a whole, in NFKC, and refuses any other with the code."""
    compiled = re.compile(pattern + r"\Z")

    def checked(value: Any) -> Any:
        if not isinstance(value, str):
            raise fault("type_invalid")
        text = unicodedata.normalize("NFKC", value).strip()
        text = text.upper() if upper else text
        if not compiled.match(text):
            raise fault(code)
        return text

    return checked


def _country(value: Any) -> Any:
    text = value.strip().upper() if isinstance(value, str) else None
    if text not in COUNTRIES:
        raise fault("country_unknown")
    return text


def _currency(value: Any) -> Any:
    text = value.strip().upper() if isinstance(value, str) else None
    text = {"RMB": "CNY", "人民币": "CNY", "美元": "USD"}.get(text or "", text)
    if text not in CURRENCY_DIGITS:
        raise fault("currency_unknown")
    return text


def _zone(value: Any) -> Any:
    if not isinstance(value, str) or not _is_zone(value.strip()):
        raise fault("zone_unknown")
    return value.strip()


@lru_cache(maxsize=1_024)
def _is_zone(name: str) -> bool:
    if not re.fullmatch(r"[A-Z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*", name):
        return False
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return False
    return True


Country = Annotated[str, BeforeValidator(_country), Kind("text")]
Currency = Annotated[str, BeforeValidator(_currency), Kind("text")]
Zone = Annotated[str, BeforeValidator(_zone), Kind("text")]
Region = Annotated[
    str, BeforeValidator(matching(r"[A-Z]{2}-[A-Z0-9]{1,3}", "region_unknown", upper=True)), Kind("text")
]
Language = Annotated[
    str,
    BeforeValidator(matching(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-[A-Z]{2})?", "language_invalid")),
    Kind("text"),
]
PartyRef = Annotated[str, BeforeValidator(matching(r"[A-Za-z0-9_.-]{1,50}", "text_invalid")), Kind("text", digits=True)]
Hours = Annotated[
    str,
    BeforeValidator(
        matching(r"([1-7](-[1-7])? )?([01]\d|2[0-3]):[0-5]\d-(([01]\d|2[0-3]):[0-5]\d|24:00)", "text_invalid")
    ),
    Kind("text"),
]
"""Local hours on ISO weekdays: ``1-5 09:00-17:00`` (Monday to Friday), or without the days for every day."""
Sha256 = Annotated[str, BeforeValidator(matching(r"[0-9a-fA-F]{64}", "sha256_invalid")), Kind("text")]
Profile = Annotated[
    str, BeforeValidator(matching(r"[0-6B-EG-L]{1,24}", "profile_invalid", upper=True)), Kind("text", digits=True)
]
WechatId = Annotated[str, BeforeValidator(matching(r"[A-Za-z0-9_][A-Za-z0-9_-]{5,63}", "wechat_invalid")), Kind("text")]
Postcode = Annotated[
    str,
    BeforeValidator(matching(r"[A-Z0-9][A-Z0-9 -]{1,9}", "postcode_invalid", upper=True)),
    Kind("text", digits=True),
]

_LOCAL = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}"
_DOMAIN = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]{0,61}[A-Za-z0-9]"
_EMAIL = re.compile(rf"{_LOCAL}@{_DOMAIN}\Z")


def _email(value: Any) -> Any:
    text = unicodedata.normalize("NFKC", value).strip() if isinstance(value, str) else ""
    local, _, domain = text.rpartition("@")
    dotted = local.startswith(".") or local.endswith(".") or ".." in local
    if len(text) > 254 or dotted or not _EMAIL.match(text):
        raise fault("email_invalid")
    return f"{local}@{domain.lower()}"


EmailAddress = Annotated[str, BeforeValidator(_email), Kind("text")]
"""An RFC 5321 mailbox in ASCII, the domain in lower case."""


# Identity numbers: the form is checked here, the check characters where the country is known

_CN_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CN_CHECKS = "10X98765432"
_CREDIT_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_VIN_VALUES = {**{str(d): d for d in range(10)}, **dict(zip("ABCDEFGH", range(1, 9), strict=True))}
_VIN_VALUES.update(zip("JKLMN", range(1, 6), strict=True))
_VIN_VALUES.update({"P": 7, "R": 9, **dict(zip("STUVWXYZ", range(2, 10), strict=True))})
_VIN_WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)


def cn_check_character(first17: str) -> str:
    """Return the last character of a Chinese national id from its first 17 digits (GB 11643, ISO 7064 MOD 11-2).

    >>> cn_check_character("11010519491231002")
    'X'
    """
    return _CN_CHECKS[sum(int(d) * w for d, w in zip(first17, _CN_WEIGHTS, strict=True)) % 11]


def cn_birth_date(number: str) -> date | None:
    """Return the birth date inside a Chinese national id, or None when there is no such date."""
    try:
        return date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return None


def is_cn_id(number: str) -> bool:
    """Tell whether an 18-character Chinese national id is right: province, birth date and check character."""
    return (
        bool(re.fullmatch(r"\d{17}[\dX]", number, re.ASCII))
        and number[:2] in CN_DIVISIONS
        and cn_birth_date(number) is not None
        and cn_check_character(number[:17]) == number[17]
    )


def is_us_ssn(number: str) -> bool:
    """Tell whether nine digits may be a social security or taxpayer number: area not 000 or 666, no all-zero part."""
    return bool(re.fullmatch(r"(?!000|666)\d{3}(?!00)\d{2}(?!0000)\d{4}", number, re.ASCII))


def credit_code_check(first17: str) -> str:
    """Return the last character of a unified social credit code (GB 32100, ISO 7064 MOD 31-3) from its first 17."""
    total = sum(_CREDIT_ALPHABET.index(c) * 3**i % 31 for i, c in enumerate(first17))
    return _CREDIT_ALPHABET[(31 - total % 31) % 31]


def is_credit_code(code: str) -> bool:
    """Tell whether 18 characters are a unified social credit code with its check character."""
    return bool(re.fullmatch(rf"[{_CREDIT_ALPHABET}]{{18}}", code)) and credit_code_check(code[:17]) == code[17]


def vin_check_digit(vin: str) -> str:
    """Return what the ninth character of a VIN must be (49 CFR 565.15; ISO 3779 where the market uses it).

    >>> vin_check_digit("1M8GDM9AXKP042788")
    'X'
    """
    total = sum(_VIN_VALUES[c] * w for c, w in zip(vin, _VIN_WEIGHTS, strict=True)) % 11
    return "X" if total == 10 else str(total)


def is_vin(vin: str, *, checked: bool) -> bool:
    """Tell whether 17 characters are a VIN; ``checked`` also asks for the check digit."""
    return bool(re.fullmatch(r"[A-HJ-NPR-Z0-9]{17}", vin)) and (not checked or vin_check_digit(vin) == vin[8])


Vin = Annotated[
    str, BeforeValidator(matching(r"[A-HJ-NPR-Z0-9]{17}", "vin_invalid", upper=True)), Kind("text", digits=True)
]

_CN_PLATE = re.compile(r"[\u4e00-\u9fff][A-HJ-NP-Z][A-HJ-NP-Z0-9]{4,5}[A-HJ-NP-Z0-9挂学警港澳]")


def plate(text: str, *, country: str) -> str | None:
    """Return a plate without separators and in capitals, or None when it is none of that country."""
    bare = re.sub(r"[\s·.•-]", "", unicodedata.normalize("NFKC", text)).upper()
    if country == "CN":
        return bare if _CN_PLATE.fullmatch(bare) else None
    return bare if re.fullmatch(r"[A-Z0-9]{1,10}", bare) else None


# Telephone numbers

_DIALLED = re.compile(r"(?:\+|\()?[0-9][0-9 ().\-/]{4,24}(?:\s*(?:x|ext\.?)\s*\d{1,6})?\Z", re.IGNORECASE)


def telephone(text: str, *, country: str) -> tuple[str, str] | None:
    """Return (E.164, "mobile" or "landline") of a dialled number, or None when the plan of the country has none such.

    A number that may be either (North America) counts as mobile, which the law protects more.
    """
    import phonenumbers

    bare = unicodedata.normalize("NFKC", text).strip()
    if not _DIALLED.match(bare):
        return None
    try:
        number = phonenumbers.parse(bare, country)
    except phonenumbers.NumberParseException:
        return None
    if number.extension or not phonenumbers.is_valid_number(number):
        return None
    fixed = phonenumbers.number_type(number) == phonenumbers.PhoneNumberType.FIXED_LINE
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164), "landline" if fixed else "mobile"
