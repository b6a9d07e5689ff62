"""Message templates: texts with allow-listed placeholders, filled in without any expression language.

A template says which disclosures and claims its text carries; that is what a ruling looks at. ``faults_of`` holds the text
to it, so a template cannot announce what it does not say. Filling in refuses values that could change what was approved:
unknown placeholders, control and bidi characters, links, telephone numbers and overlong text. Which version may be used
when is told by ``chalicelib.domain.outreach.template_book``; the texts shipped with the code are a library to start from.
"""

import hashlib
import re
import string
import tomllib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

import rfc8785
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from chalicelib.domain.cases.case import Case
from chalicelib.domain.cases.organisations import Agency, Collector, Lender
from chalicelib.domain.instants import from_text, local_date
from chalicelib.domain.outreach.carrying import content_digest
from chalicelib.domain.outreach.dossier import balance_as_of
from chalicelib.domain.outreach.sms_parts import sms_parts
from chalicelib.domain.people.person import Person, masked_name

DIRECTORY = Path(__file__).resolve().parents[2] / "templates"
"""Where the library lies: one TOML file a template, its versions in order."""

Kind = Literal["words", "code", "official", "amount", "date", "number", "tail"]


@dataclass(frozen=True, slots=True)
class Placeholder:
    """One name that a text may hold.

    ``kind`` says what its value may look like: ``words`` (no links, no telephone numbers), ``code`` (letters, hyphens and
    at most nine digits, which is too short for a private telephone number), ``official`` (set by lender
    or agency in its own record, so it may hold the telephone number or address that it is there to tell), ``amount``,
    ``date``, ``number``, ``tail`` (four characters of a contract). ``limit`` is its greatest length in characters;
    ``asked`` marks the only ones that a caller's own parameters may fill.
    """

    kind: Kind
    limit: int
    asked: bool = False


PLACEHOLDERS: Mapping[str, Placeholder] = {
    "addressee": Placeholder("words", 80),
    "masked_name": Placeholder("words", 80),
    "lender": Placeholder("words", 60),
    "agency": Placeholder("words", 60),
    "collector": Placeholder("code", 20),
    "contract_tail": Placeholder("tail", 4),
    "amount_due": Placeholder("amount", 30),
    "amount_as_of": Placeholder("date", 20),
    "days_overdue": Placeholder("number", 5),
    "pay_to": Placeholder("official", 120),
    "callback": Placeholder("official", 30),
    "complaint_line": Placeholder("official", 30),
    "agency_address": Placeholder("official", 160),
    "agency_email": Placeholder("official", 120),
    "due_on": Placeholder("date", 20),
    "promise_amount": Placeholder("amount", 30),
    "promise_due_on": Placeholder("date", 20),
    "itemization_on": Placeholder("date", 20),
    "itemization_amount": Placeholder("amount", 30),
    "itemization_interest": Placeholder("amount", 30),
    "itemization_fees": Placeholder("amount", 30),
    "itemization_payments": Placeholder("amount", 30),
    "validation_end_on": Placeholder("date", 20),
    "letter_on": Placeholder("date", 20),
    "visit_on": Placeholder("date", 20, asked=True),
    "ticket": Placeholder("code", 20, asked=True),
}
"""Every placeholder there is. A template with any other is refused."""

ROLES = frozenset(
    {
        "debtor", "co_borrower", "guarantor_joint", "guarantor_general", "spouse", "emergency_contact", "third_party",
        "attorney", "executor", "heir", "employer", "guardian",
    }
)  # fmt: skip

DISCLOSURES = frozenset(
    {
        "lender", "agency", "collector", "masked_name", "contract_tail", "amount_due", "amount_as_of", "days_overdue",
        "pay_to", "callback", "complaint_line", "purpose", "opt_out", "collect_debt_notice", "debt_collector_identity",
        "recording", "ai_voice", "validation_information", "caller_identity", "time_barred_notice",
    }
)  # fmt: skip
"""What a dossier's ``content.disclosures`` may hold."""

CLAIMS = frozenset(
    {
        "lawsuit_filed", "will_sue", "lawyer_letter", "court_summons", "repossession", "credit_report", "blacklist",
        "arrest", "vehicle_disable", "waives_interest",
    }
)  # fmt: skip
"""What a dossier's ``content.claims`` may hold."""

_VALIDATION = ("agency", "agency_address", "addressee", "lender", "contract_tail", "itemization_on",
               "itemization_amount", "itemization_interest", "itemization_fees", "itemization_payments", "amount_due",
               "validation_end_on")  # fmt: skip

_SAYS: Mapping[str, tuple[tuple[str, ...], Mapping[str, str]]] = {
    # disclosure: (placeholders that it needs, language -> pattern that the text must match)
    "lender": (("lender",), {}),
    "agency": (("agency",), {}),
    "collector": (("collector",), {}),
    "masked_name": (("masked_name",), {}),
    "contract_tail": (("contract_tail",), {}),
    "amount_due": (("amount_due",), {}),
    "amount_as_of": (("amount_as_of",), {}),
    "days_overdue": (("days_overdue",), {}),
    "pay_to": (("pay_to",), {}),
    "callback": (("callback",), {}),
    "complaint_line": (("complaint_line",), {}),
    "purpose": (
        (),
        {"zh": "还款|還款|核对|核對|联系|聯繫|聯絡|转达|轉達", "en": "debt|payment|account|location information"},
    ),
    "opt_out": ((), {"zh": "退订|退訂|TD", "en": "STOP|[Uu]nsubscribe|stop (?:e-mails|messages|letters)"}),
    "collect_debt_notice": (
        (),
        {
            "zh": "本次(?:联系|聯繫|聯絡)旨在催收欠款.*所[获獲](?:信息|資訊|資料)[将將]用[于於][该該]目的",
            "en": "attempt to collect a debt.*information obtained will be used for that purpose",
        },
    ),
    "debt_collector_identity": ((), {"zh": "催收机构|催收機構", "en": "debt collector"}),
    "recording": ((), {"zh": "录音|录像|錄音|錄影|錄像", "en": "recorded"}),
    "ai_voice": ((), {"zh": "智能语音|人工智能|智能語音|人工智慧", "en": "automated voice|artificial"}),
    "validation_information": (_VALIDATION, {"en": "dispute.*original creditor.*assume"}),
    "caller_identity": (("collector",), {}),
    "time_barred_notice": ((), {"zh": "诉讼时效|訴訟時效", "en": "[Bb]ecause of the age of your debt"}),
}


Channel = Literal["sms", "email", "wechat", "letter", "call", "visit"]
Purpose = Literal[
    "demand", "reminder", "reply", "opt_out_confirmation", "consent_request", "validation_notice", "required_notice",
    "remedy_notice", "locate", "relay", "complaint_answer", "survey",
]  # fmt: skip
TEMPLATE_ID = r"^[a-z0-9-]{3,60}$"
LANGUAGE = r"^[a-z]{2}(-[A-Z][a-z]{3})?$"


class TemplateBroken(Exception):
    """A template file is not what it must be; found when the package is checked, before anything is sent."""

    def __init__(self, file: str, why: str) -> None:
        """Name the file and what is wrong in it."""
        super().__init__(f"{file}: {why}")


class Template(BaseModel):
    """What one version of one template says, for whom and where: exactly this is what somebody approves.

    ``jurisdictions`` are the countries of the cases it may be used on, ``audience`` the roles it may be written to.
    ``variant`` is ``first`` for a first communication on the debt, ``later`` for every further one, ``any`` where that
    makes no difference. ``language`` is a language tag: ``en``, ``zh`` or ``zh-Hans`` (simplified), ``zh-Hant``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=TEMPLATE_ID)
    version: int = Field(ge=1)
    channel: Channel
    purpose: Purpose
    language: str = Field(pattern=LANGUAGE)
    jurisdictions: tuple[str, ...] = Field(min_length=1)
    audience: tuple[str, ...] = Field(min_length=1)
    variant: Literal["first", "later", "any"] = "any"
    subject: str | None = None
    text: str = Field(min_length=1)
    disclosures: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()

    @property
    def reference(self) -> str:
        """Return ``id@version``, the name under which an attempt keeps it."""
        return f"{self.id}@{self.version}"

    @cached_property
    def sha256(self) -> str:
        """Return the SHA-256 (hex) over the RFC 8785 form of everything above: what an approval is bound to."""
        return hashlib.sha256(rfc8785.dumps(self.model_dump(mode="json"))).hexdigest()


@dataclass(frozen=True, slots=True)
class TemplateFault:
    """What keeps a template from use: an RFC 6901 ``pointer`` into it, a ``code``, and a sentence that repeats no text.

    Codes: unknown_placeholder, unknown_name, disclosure_not_made, subject_needed, no_subject_taken, not_one_line,
    forbidden_symbol, text_too_long, line_too_long, subject_too_long.
    """

    pointer: str
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Rendered:
    """What the carrier gets. ``content_sha256`` is ``carrying.content_digest``; ``sms_parts`` is None but for text messages."""

    template: str
    subject: str | None
    body: str
    content_sha256: str
    disclosures: tuple[str, ...]
    claims: tuple[str, ...]
    language: str
    sms_parts: int | None


@dataclass(frozen=True, slots=True)
class TemplateRefused:
    """The template cannot be filled in: ``code`` says why, ``field`` names the placeholder (or ``text``).

    Codes: missing_value, unknown_parameter, control_character, too_long, link, telephone_number, malformed_value,
    forbidden_symbol, text_too_long, line_too_long, subject_too_long.
    """

    code: str
    field: str


# Loading


@cache
def load_templates(directory: Path = DIRECTORY) -> Mapping[str, tuple[Template, ...]]:
    """Return the library: every template's versions by id, the oldest first. Raises ``TemplateBroken``."""
    found: dict[str, tuple[Template, ...]] = {}
    for file in sorted(directory.glob("*.toml")):
        versions = tuple(_versions(file))
        found[file.stem] = versions
    return found


def _versions(file: Path) -> Iterable[Template]:
    data = tomllib.loads(file.read_text(encoding="utf-8"))
    for number, table in enumerate(data.get("version", []), start=1):
        try:
            template = Template(**{"id": file.stem, "version": number, **table})
        except ValidationError as error:
            raise TemplateBroken(file.name, f"version {number}: {error}") from error
        for fault in faults_of(template):
            raise TemplateBroken(file.name, f"version {number} {fault.pointer}: {fault.detail}")
        yield template
    if not data.get("version"):
        raise TemplateBroken(file.name, "no version")


def faults_of(template: Template) -> list[TemplateFault]:
    """Return everything that keeps the template from use: unknown names, what its channel cannot carry, or a disclosure
    that its text does not make. Empty when it may be approved."""
    return [
        *_faults_of_placeholders("/text", template.text),
        *_faults_of_placeholders("/subject", template.subject or ""),
        *_faults_of_names(template),
        *_faults_of_form(template),
        *(
            TemplateFault("/disclosures", "disclosure_not_made", f"the text does not carry the disclosure {disclosure}")
            for disclosure in template.disclosures
            if disclosure in DISCLOSURES and not _is_made(disclosure, template)
        ),
    ]


def _faults_of_placeholders(pointer: str, text: str) -> Iterator[TemplateFault]:
    for match in _BRACES.finditer(text):
        if match[1] in PLACEHOLDERS:
            continue
        line = text.count("\n", 0, match.start()) + 1
        column = match.start() - text.rfind("\n", 0, match.start())
        where = f"character {match.start()} (line {line}, column {column})"
        yield TemplateFault(pointer, "unknown_placeholder", f"{where}: only listed names may stand in braces")


def _faults_of_names(template: Template) -> Iterator[TemplateFault]:
    for pointer, known, named in (
        ("/audience", ROLES, template.audience),
        ("/disclosures", DISCLOSURES, template.disclosures),
        ("/claims", CLAIMS, template.claims),
    ):
        for index, name in enumerate(named):
            if name not in known or name in named[:index]:
                yield TemplateFault(f"{pointer}/{index}", "unknown_name", "unknown, or named twice")


def _faults_of_form(template: Template) -> Iterator[TemplateFault]:
    if template.channel in ("email", "letter"):
        if not template.subject:
            yield TemplateFault("/subject", "subject_needed", "mail and letters have a subject")
    elif template.subject is not None:
        yield TemplateFault("/subject", "no_subject_taken", "only mail and letters have a subject")
    if template.subject is not None and not template.subject.isprintable():
        yield TemplateFault("/subject", "not_one_line", "a subject is one line of printable characters")
    code = _fault_of_text(_FIELD.sub("", template.subject or ""), _FIELD.sub("", template.text), template)
    if code is not None:
        yield TemplateFault("/subject" if code.startswith("subject") else "/text", code, TEXT_FAULTS[code])


def _is_made(disclosure: str, template: Template) -> bool:
    placeholders, patterns = _SAYS[disclosure]
    if not set(placeholders) <= _fields(template):
        return False
    pattern = patterns.get(base_language(template.language))
    if pattern is None:
        return not patterns
    return re.search(pattern, template.text, re.DOTALL) is not None


def disclosures_in(text: str, values: Mapping[str, str], language: str) -> tuple[str, ...]:
    """Return the disclosures that a text of one's own makes, sorted: it holds the records' values to the letter, and the
    words that the disclosure takes in its language."""
    said = []
    for disclosure, (placeholders, patterns) in _SAYS.items():
        pattern = patterns.get(base_language(language))
        holds = all(values.get(name) and values[name] in text for name in placeholders)
        worded = not patterns if pattern is None else re.search(pattern, text, re.DOTALL) is not None
        if holds and worded:
            said.append(disclosure)
    return tuple(sorted(said))


def base_language(language: str) -> str:
    """Return the language of a tag without its script.

    >>> base_language("zh-Hant")
    'zh'
    """
    return language.partition("-")[0]


_FIELD = re.compile(r"\{([^{}]*)\}")
_BRACES = re.compile(r"\{([^{}]*)\}|[{}]")


def _fields(template: Template) -> frozenset[str]:
    return frozenset(_FIELD.findall(f"{template.subject or ''}\n{template.text}"))


# Filling in


def required_values(template: Template) -> frozenset[str]:
    """Return the names of all placeholders in subject and text."""
    return _fields(template)


def render(
    template: Template, values: Mapping[str, str], parameters: Mapping[str, str] | None = None
) -> Rendered | TemplateRefused:
    """Return the text with every placeholder filled in, or why that is refused.

    ``values`` come from the records (``values_for``) and may hold more than the template needs; ``parameters`` come
    from the caller and may fill only placeholders that the template has and that are meant to be asked for. Values are
    put in once and never looked at again, so a value that holds braces stays text.
    """
    given = dict(parameters or {})
    for name in sorted(given):
        if name not in _fields(template) or not PLACEHOLDERS[name].asked:
            return TemplateRefused("unknown_parameter", _known(name))
    filled: dict[str, str] = {}
    for name in sorted(_fields(template)):
        value = given.get(name) if PLACEHOLDERS[name].asked else values.get(name)
        if value is None or not value.strip():
            return TemplateRefused("missing_value", name)
        code = _fault_of_value(value, PLACEHOLDERS[name], template)
        if code is not None:
            return TemplateRefused(code, name)
        filled[name] = unicodedata.normalize("NFC", value.strip())
    body = _FIELD.sub(lambda match: filled[match[1]], template.text)
    subject = None if template.subject is None else _FIELD.sub(lambda match: filled[match[1]], template.subject)
    code = _fault_of_text(subject or "", body, template)
    if code is not None:
        return TemplateRefused(code, "text")
    return Rendered(
        template=template.reference,
        subject=subject,
        body=body,
        content_sha256=content_digest(subject, body),
        disclosures=template.disclosures,
        claims=template.claims,
        language=template.language,
        sms_parts=sms_parts(body) if template.channel == "sms" else None,
    )


def _known(name: str) -> str:
    """Return the name if it can stand in an answer: callers may send anything as a parameter's name."""
    return name if re.fullmatch(r"[a-z_]{1,40}", name) else "parameters"


CN_SMS_LIMIT = 500
CN_SMS_VALUE_LIMIT = 35
WECHAT_BYTES = 2048
SMS_LIMIT = 1600
SUBJECT_LIMIT = 150
MAIL_LINE_BYTES = 998
TEXT_LIMIT = 20_000

_LINK = re.compile(
    r"(?:https?|ftp)\s*:|://|www\s*\.|\b[a-z0-9-]+\.(?:com|cn|net|org|io|co|cc|top|xyz|info|biz|app|me|link|ly|gov|edu)\b",
    re.IGNORECASE,
)
_TELEPHONE = re.compile(r"(?:\d[\s()./-]*){7,}")
_AMOUNT = re.compile(r"[A-Z$£€ ]{0,4}\d{1,3}(?:,?\d{3})*(?:\.\d{1,3})?(?: ?[元A-Z]{1,3})?")
_NUMBER = re.compile(r"\d{1,5}")
_CODE = re.compile(r"(?=(?:[^\d]*\d){0,9}[^\d]*\Z)[\w-]{1,20}")
_TAIL = re.compile(r"[0-9A-Za-z]{4}")
_DATE = re.compile(r"\d{4}年\d{1,2}月\d{1,2}日|[A-Z][a-z]+ \d{1,2}, \d{4}|\d{4}-\d{2}-\d{2}")
_SHAPES: Mapping[Kind, re.Pattern[str]] = {
    "amount": _AMOUNT,
    "code": _CODE,
    "date": _DATE,
    "number": _NUMBER,
    "tail": _TAIL,
}
_SYMBOLS = frozenset("\u00a5\uffe5\u2605\u2606")


def _fault_of_value(value: str, placeholder: Placeholder, template: Template) -> str | None:
    """Return the code of what is wrong with a value, judged after compatibility normalisation (full-width digits)."""
    if any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for c in value):
        return "control_character"
    text = unicodedata.normalize("NFKC", value).strip()
    is_cn_sms = template.channel == "sms" and "CN" in template.jurisdictions
    if len(text) > (min(placeholder.limit, CN_SMS_VALUE_LIMIT) if is_cn_sms else placeholder.limit):
        return "too_long"
    shape = _SHAPES.get(placeholder.kind)
    if shape is not None:
        return None if shape.fullmatch(text) else "malformed_value"
    if placeholder.kind == "words":
        if _LINK.search(text):
            return "link"
        if _TELEPHONE.search(text):
            return "telephone_number"
    return None


TEXT_FAULTS: Mapping[str, str] = {
    "forbidden_symbol": "carriers refuse this symbol, and put the signature in its brackets in front themselves",
    "text_too_long": "the text is longer than its channel carries",
    "line_too_long": "a line of mail has at most 998 bytes",
    "subject_too_long": "a subject has at most 150 characters",
}
"""What a whole text can be wrong in, in words."""


def _fault_of_text(subject: str, body: str, template: Template) -> str | None:
    return fault_of_text(template.channel, subject=subject, body=body, in_china="CN" in template.jurisdictions)


def fault_of_text(channel: str, *, subject: str, body: str, in_china: bool) -> str | None:
    """Return the code of what keeps a whole text from its channel, or None.

    500 characters and no signature or symbol of their own for text messages in China (CN-SMS-4), 1,600 elsewhere; 2,048
    bytes for WeChat; lines of 998 bytes (RFC 5322 section 2.1.1) and subjects of 150 characters for mail.
    """
    if channel == "sms" and in_china:
        if set(body) & (_SYMBOLS | set("【】")):
            return "forbidden_symbol"
        return "text_too_long" if len(body) > CN_SMS_LIMIT else None
    if channel == "sms":
        return "text_too_long" if len(body) > SMS_LIMIT else None
    if channel == "wechat":
        return "text_too_long" if len(body.encode()) > WECHAT_BYTES else None
    if len(subject) > SUBJECT_LIMIT:
        return "subject_too_long"
    if channel == "email" and any(len(line.encode()) > MAIL_LINE_BYTES for line in body.splitlines()):
        return "line_too_long"
    return "text_too_long" if len(body) > TEXT_LIMIT else None


# Values from the records

_MINOR_DIGITS: Mapping[str, int] = {"JPY": 0, "KRW": 0, "VND": 0, "CLP": 0, "IDR": 2, "BHD": 3, "KWD": 3}
_SIGNS: Mapping[tuple[str, str], tuple[str, str]] = {("CNY", "zh"): ("", "元"), ("USD", "en"): ("$", "")}
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
           "November", "December")  # fmt: skip


def amount_text(minor: int, currency: str, language: str) -> str:
    """Return an amount of minor units as that language writes it; the yuan sign is never used.

    >>> amount_text(1264530, "CNY", "zh"), amount_text(123456, "USD", "en"), amount_text(500, "EUR", "en")
    ('12,645.30元', '$1,234.56', 'EUR 5.00')
    """
    digits = _MINOR_DIGITS.get(currency, 2)
    whole, rest = divmod(abs(minor), 10**digits)
    figure = f"{whole:,}" + (f".{rest:0{digits}d}" if digits else "")
    before, after = _SIGNS.get((currency, language), (f"{currency} ", ""))
    return f"{'-' if minor < 0 else ''}{before}{figure}{after}"


def date_text(day: date, language: str) -> str:
    """Return a date as that language writes it: 2026年11月3日, November 3, 2026, else 2026-11-03."""
    if language == "zh":
        return f"{day.year}年{day.month}月{day.day}日"
    if language == "en":
        return f"{_MONTHS[day.month - 1]} {day.day}, {day.year}"
    return day.isoformat()


def telephone_text(number: str) -> str:
    """Return a Chinese service number as people dial it there (``+864008000001`` -> ``400-800-0001``), others as they are."""
    service = re.fullmatch(r"\+86([48]00)(\d{3})(\d{4})", number)
    return "-".join(service.groups()) if service else number


def contract_tail(contract_no: str) -> str:
    """Return the last four letters or digits of a contract number; fewer when it has fewer."""
    return "".join(c for c in contract_no if c in string.ascii_letters + string.digits)[-4:]


def validation_end_on(sent_on: date) -> date:
    """Return the end of the validation period (inclusive) of a notice sent on that date: 12 CFR 1006.34(b)(5).

    Receipt is assumed on the fifth day after sending, Saturdays, Sundays and federal holidays (5 USC 6103(a)) not
    counted; the period ends 30 calendar days after it.
    """
    import holidays  # Reading its calendars takes longer than everything else here, and few messages need them.

    closed = holidays.country_holidays("US", years=(sent_on.year, sent_on.year + 1), observed=True)
    received, counted = sent_on, 0
    while counted < 5:
        received += timedelta(days=1)
        if received.weekday() < 5 and received not in closed:
            counted += 1
    return received + timedelta(days=30)


def values_for(
    case: Case,
    person: Person,
    lender: Lender,
    agency: Agency | None,
    collector: Collector | None,
    *,
    today: date,
    language: str,
) -> dict[str, str]:
    """Return the values of every placeholder that the records can fill, as that language writes them.

    ``today`` is the date in the lender's zone; of a language tag only the language counts. ``agency`` is None when the lender acts itself; its own complaint line
    is then the number to call back. What no record holds is left out, so that rendering refuses it by name.
    """
    language = base_language(language)
    values = {
        "addressee": person.name_local if language == "zh" and person.name_local else person.name,
        "masked_name": masked_name(person.name_local if language == "zh" and person.name_local else person.name),
        "lender": _named(lender.name, language),
        "agency": _named(agency.name if agency is not None else lender.name, language),
        "contract_tail": contract_tail(case.contract_no),
        "amount_due": amount_text(case.amount_due_minor, case.currency, language),
        "amount_as_of": date_text(local_date(from_text(balance_as_of(case, lender)), lender.zone), language),
        "days_overdue": str(case.days_past_due(today)),
        "pay_to": lender.pay_to.get(case.country),
        "callback": telephone_text(agency.callback if agency is not None else lender.complaint_line),
        "complaint_line": telephone_text(lender.complaint_line),
        "collector": collector.staff_no if collector is not None else None,
        "agency_email": agency.email_from if agency is not None else None,
        "agency_address": agency.address if agency is not None else None,
        "letter_on": date_text(today, language),
        "validation_end_on": _validation_end(today, language) if case.country == "US" else None,
        "due_on": _due_on(case, today, language),
        **_promised(case, person, language),
        **_itemized(case, language),
    }
    return {name: value for name, value in values.items() if value}


SENDING_MARGIN = timedelta(days=5)
"""The longest time between writing a notice and its leaving: 72 hours of waiting for its hour, and printing."""


def _validation_end(today: date, language: str) -> str:
    # The date stated may be later than the law's, never earlier: a notice that waits must not have shortened the period.
    return date_text(validation_end_on(today + SENDING_MARGIN), language)


def _due_on(case: Case, today: date, language: str) -> str | None:
    """Return when the next instalment falls due, None once one is past due: a reminder before the due day is then too late."""
    due = case.ledger.standing(today).oldest_unpaid_due_on
    return None if due is None or due < today else date_text(due, language)


def _named(names: Mapping[str, str], language: str) -> str | None:
    """Return the name in that language, else in the first language on record."""
    return names.get(language) or next(iter(names.values()), None)


def _promised(case: Case, person: Person, language: str) -> dict[str, str]:
    alive = [p for p in case.promises if p.state == "open" and p.person == person.id]
    if not alive:
        return {}
    promise = min(alive, key=lambda p: p.due_on)
    return {
        "promise_amount": amount_text(promise.amount_minor - promise.paid_minor, promise.currency, language),
        "promise_due_on": date_text(promise.due_on, language),
    }


def _itemized(case: Case, language: str) -> dict[str, str]:
    """Return the itemization of a validation notice: what was owed on a fixed date and every change since.

    ``case.loan["itemization"]`` holds ``{"on": date text, "amount_minor", "interest_minor", "fees_minor",
    "payments_minor"}``, all in the case's currency; without it no validation notice can be rendered.
    """
    item: Mapping[str, Any] | None = case.loan.get("itemization")
    if item is None:
        return {}
    return {
        "itemization_on": date_text(date.fromisoformat(item["on"]), language),
        "itemization_amount": amount_text(item["amount_minor"], case.currency, language),
        "itemization_interest": amount_text(item["interest_minor"], case.currency, language),
        "itemization_fees": amount_text(item["fees_minor"], case.currency, language),
        "itemization_payments": amount_text(item["payments_minor"], case.currency, language),
    }
