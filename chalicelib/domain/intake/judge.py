"""From a document (nested values as the file spells them) to a canonical row, or to the reasons why not.

The same for every format: a decoder only builds the document, so that the same content always gets the same answer.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from pydantic import ValidationError

from chalicelib.domain.cases.repayment_ledger import bucket_of, days_past_due
from chalicelib.domain.intake.places import is_region, region_of_division
from chalicelib.domain.intake.rejections import MOST_PROBLEMS, ROW_CODES, Problem, Rejection, rejection, shape
from chalicelib.domain.intake.row import FLAGS, Party, Row
from chalicelib.domain.intake.values import (
    cn_birth_date,
    is_cn_id,
    is_credit_code,
    is_scientific,
    is_us_ssn,
    is_vin,
    plate,
    telephone,
)

Path = tuple[str | int, ...]
Document = dict[str, Any]
MOST_DEPTH = 32
MOST_LINE = 256 * 1024
"""Bytes of one row in any format (closed)."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A row that was taken: data row and first physical line from 1, and what it says."""

    row: int
    line: int
    record: Row


@dataclass(frozen=True, slots=True)
class Fault:
    """A problem at a path of the document, before the path has a name in the file."""

    code: str
    path: Path
    value: object = ""


def json_path(path: Path) -> str:
    """Return the JSON name of a path.

    >>> json_path(("parties", 0, "phones", 1, "value"))
    'parties[0].phones[1].value'
    """
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def judge(
    document: Document,
    *,
    row: int,
    line: int,
    lender: str | None = None,
    name: Callable[[Path], str] = json_path,
    earlier: tuple[Problem, ...] = (),
) -> Taken | Rejection:
    """Return the canonical row of a document, or its rejection.

    ``lender`` is the uploader's tenant, which ``batch.lender_id`` must name if it is there. ``earlier`` are problems
    that the decoder found in single cells; any of them rejects the row. The document may be changed.
    """
    problems = [*earlier]
    faults = list(_prepare(document))
    record: Row | None = None
    try:
        record = Row.model_validate(document)
    except ValidationError as error:
        faults += faults_of(error)
    except RecursionError:
        faults.append(Fault("json_too_deep", ()))
    if record is not None:
        faults += _contradictions(record, lender)
    problems += problems_of(faults, name, problems)
    if problems or record is None:
        return rejection(row, line, problems, _account_of(document))
    return Taken(row, line, record)


def problems_of(faults: Iterable[Fault], name: Callable[[Path], str], earlier: Iterable[Problem]) -> list[Problem]:
    """Return faults under the names that their fields have in the file, the first of each field that has none ``earlier``."""
    known = {problem.field for problem in earlier}
    found = []
    for fault in faults:
        field = name(fault.path)
        if field not in known or not field:
            found.append(Problem(fault.code, field, "" if fault.code == "field_missing" else shape(fault.value)))
            known.add(field)
    return found


# JSON

_OPENING = re.compile(rb"[\[{]")


def parse_object(raw: bytes, *, encoding: str = "utf-8") -> Document | Problem:
    """Return the object that a JSON text holds, or the problem.

    Refuses duplicate keys, NaN and infinities, depth above 32, and anything that is not an object. Members that are
    null or an empty text are left out: they mean absent, as an empty cell does. Fractions come as Decimal.
    """
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError:
        return Problem("encoding_invalid")
    try:
        parsed = _DECODER.decode(text)
    except _DuplicateKey:
        return Problem("json_duplicate_key")
    except RecursionError:
        return Problem("json_too_deep")
    except ValueError:
        return Problem("json_invalid")
    if not isinstance(parsed, dict):
        return Problem("json_invalid")
    if len(_OPENING.findall(raw)) > MOST_DEPTH and _is_deeper(parsed, MOST_DEPTH):
        return Problem("json_too_deep")
    return _without_absent(parsed) if b'""' in raw or b"null" in raw else parsed


def prepared(value: object) -> Document | Problem:
    """Return the document of an object that was parsed elsewhere (a request's inline row), as ``parse_object`` would."""
    try:
        return parse_object(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    except RecursionError:
        return Problem("json_too_deep")


class _DuplicateKey(Exception):
    """An object has the same key twice."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _DuplicateKey
    return members


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=Decimal, parse_constant=_refuse_constant)


def _is_deeper(value: object, most: int) -> bool:
    level: list[object] = [value]
    for _ in range(most):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer if isinstance(outer, list) else ())
        ]
        if not level:
            return False
    return any(isinstance(inner, dict | list) for inner in level)


def _without_absent(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_absent(inner) for key, inner in value.items() if inner is not None and inner != ""}
    if isinstance(value, list):
        return [_without_absent(inner) for inner in value]
    return value


# What depends on other fields before they are typed: telephone plans, ids, postal codes

_US_POSTCODE = re.compile(r"\d{5}(-\d{4})?\Z", re.ASCII)
_CN_POSTCODE = re.compile(r"\d{6}\Z", re.ASCII)


def _prepare(document: Document) -> Iterator[Fault]:
    parties = document.get("parties")
    if not isinstance(parties, list):
        return
    home = next((country for party in parties if (country := _country_of(party))), None) or _currency_home(document)
    for number, party in enumerate(parties):
        if not isinstance(party, dict):
            continue
        party.setdefault("party_id", f"p{number + 1}")
        country = _country_of(party) or home
        at: Path = ("parties", number)
        _prepare_name(party)
        yield from _prepare_phones(party, country, at)
        yield from _prepare_national_id(party, country, at)
        yield from _prepare_division(party, at)
        yield from _prepare_postcode(party, _country_of(party), at)
        for place, address in enumerate(_dicts(party.get("addresses"))):
            yield from _prepare_postcode(address, _country_of(address) or country, (*at, "addresses", place))
    for contact in _dicts(document.get("prior_contacts")):
        point, channel = contact.get("point"), contact.get("channel")
        if isinstance(point, str) and channel in ("call", "sms", "电话", "短信"):
            number_of = telephone(point, country=home)
            contact["point"] = number_of[0] if number_of else point


def _dicts(value: object) -> list[dict[str, Any]]:
    return [inner for inner in value if isinstance(inner, dict)] if isinstance(value, list) else []


def _country_of(holder: object) -> str | None:
    country = holder.get("country") if isinstance(holder, dict) else None
    return country.strip().upper() if isinstance(country, str) and len(country.strip()) == 2 else None


def _currency_home(document: Document) -> str:
    loan = document.get("loan")
    return "CN" if isinstance(loan, dict) and loan.get("currency") in ("CNY", "RMB", "人民币") else "US"


_IDEOGRAPH = re.compile("[\u3400-\u9fff]")


def _prepare_name(party: dict[str, Any]) -> None:
    """Compose the full name of a party that only has its parts: family first where it is written in ideographs."""
    family, given = party.get("family_name"), party.get("given_name")
    if "name" not in party and isinstance(family, str) and isinstance(given, str):
        party["name"] = family + given if _IDEOGRAPH.search(family) else f"{given.strip()} {family.strip()}"


def _prepare_phones(party: dict[str, Any], country: str, at: Path) -> Iterator[Fault]:
    phones = party.get("phones")
    if not isinstance(phones, list):
        return
    for number, phone in enumerate(phones):
        value = phone.get("value") if isinstance(phone, dict) else None
        if not isinstance(value, str):
            continue
        found = telephone(value, country=country)
        if found is None:
            code = "excel_scientific" if is_scientific(value) else "phone_invalid"
            yield Fault(code, (*at, "phones", number, "value"), value)
        else:
            phone["value"] = found[0]
            phone.setdefault("line", found[1])


def _prepare_national_id(party: dict[str, Any], country: str, at: Path) -> Iterator[Fault]:
    value = party.get("national_id")
    if not isinstance(value, str):
        return
    given = party.get("national_id_country")
    issuer = given.strip().upper() if isinstance(given, str) else country
    party["national_id_country"] = issuer
    number = re.sub(r"[\s-]", "", unicodedata.normalize("NFKC", value)).upper()
    party["national_id"] = number
    is_company = party.get("national_id_kind") in ("company", "统一社会信用代码")
    code = _company_fault(number) if is_company and issuer == "CN" else _id_fault(number, issuer)
    if is_scientific(value):
        code = "excel_scientific"
    if code is not None:
        yield Fault(code, (*at, "national_id"), value)


def _company_fault(number: str) -> str | None:
    return None if is_credit_code(number) else "company_code_invalid"


def _id_fault(number: str, issuer: str) -> str | None:
    if issuer == "CN":
        if is_cn_id(number):
            return None
        return "excel_rounded" if re.fullmatch(r"\d{15}000", number, re.ASCII) else "national_id_invalid"
    if issuer == "US":
        if is_us_ssn(number):
            return None
        return "excel_leading_zero" if re.fullmatch(r"\d{7,8}", number, re.ASCII) else "national_id_invalid"
    return None if re.fullmatch(r"[A-Z0-9/.]{4,30}", number) else "national_id_invalid"


def _prepare_division(party: dict[str, Any], at: Path) -> Iterator[Fault]:
    value = party.get("division")
    if not isinstance(value, str):
        return
    region = region_of_division(value.strip()) if _CN_POSTCODE.match(value.strip()) else None
    if region is None:
        yield Fault("region_unknown", (*at, "division"), value)
    else:
        party["division"] = value.strip()
        party.setdefault("region", region)


def _prepare_postcode(holder: dict[str, Any], country: str | None, at: Path) -> Iterator[Fault]:
    value = holder.get("postcode")
    if not isinstance(value, str) or country not in ("US", "CN"):
        return
    text = unicodedata.normalize("NFKC", value).strip()
    if (_US_POSTCODE if country == "US" else _CN_POSTCODE).match(text):
        return
    lost = (3, 4) if country == "US" else (5,)
    digits = text.isascii() and text.isdigit()
    yield Fault("excel_leading_zero" if digits and len(text) in lost else "postcode_invalid", (*at, "postcode"), value)


# What pydantic found

_CODE_OF_TYPE = {
    "missing": "field_missing",
    "extra_forbidden": "field_unknown",
    "literal_error": "value_not_listed",
    "string_too_long": "text_too_long",
    "string_too_short": "text_empty",
    "too_long": "list_too_long",
    "too_short": "field_missing",
    "greater_than_equal": "number_out_of_range",
    "less_than_equal": "number_out_of_range",
    "string_pattern_mismatch": "text_invalid",
}


def faults_of(error: ValidationError) -> list[Fault]:
    """Return what a validator found, under the codes of ``rejections.ROW_CODES``."""
    found = []
    for detail in error.errors(include_url=False, include_context=False)[:MOST_PROBLEMS]:
        code = detail["type"] if detail["type"] in ROW_CODES else _CODE_OF_TYPE.get(detail["type"], "type_invalid")
        path = tuple(part for part in detail["loc"] if part != "[key]")
        if code == "field_unknown":
            # The unknown name is the sender's own text and may hold anything, so only its place is told.
            path = path[:-1]
            found.append(Fault(code, path, detail["loc"][-1]))
        else:
            found.append(Fault(code, path, detail["input"]))
    return found


# What the fields say of one another

_DPD_SLACK = 1


def _contradictions(row: Row, lender: str | None) -> Iterator[Fault]:
    batch, loan = row.batch, row.loan
    borrowers = sum(party.role == "borrower" for party in row.parties)
    if borrowers != 1:
        yield Fault("borrower_count", ("parties",), borrowers)
        return
    if lender is not None and batch.lender_id not in (None, lender):
        yield Fault("lender_mismatch", ("batch", "lender_id"), batch.lender_id)
    if batch.mandate_end <= batch.delegation_date:
        yield Fault("date_order", ("batch", "mandate_end"), batch.mandate_end)
    yield from _loan_contradictions(row)
    yield from _party_contradictions(row)
    known = {party.party_id for party in row.parties}
    latest = loan.as_of_date + timedelta(days=1)
    for number, contact in enumerate(row.prior_contacts):
        if date.fromisoformat(contact.at[:10]) > latest:
            yield Fault("contact_in_future", ("prior_contacts", number, "at"), contact.at)
    for listing in ("prior_contacts", "promises", "disputes", "complaints", "notices"):
        for number, entry in enumerate(getattr(row, listing)):
            if entry.party is not None and entry.party not in known:
                yield Fault("party_reference", (listing, number, "party"), entry.party)
    for number, payment in enumerate(row.payments):
        if (payment.paid_minor > 0) != (payment.paid_date is not None):
            yield Fault("payment_mismatch", ("payments", number, "paid_date"), payment.paid_date)
        parts = (payment.due_principal_minor, payment.due_interest_minor)
        if None not in parts and sum(part or 0 for part in parts) > payment.due_minor:
            yield Fault("payment_mismatch", ("payments", number, "due"), payment.due_minor)
        on_time = payment.paid_date is not None and payment.paid_date <= payment.due_date
        if (payment.status == "on_time" and not on_time) or (payment.status == "missed" and payment.paid_minor):
            yield Fault("payment_mismatch", ("payments", number, "status"), payment.status)
    for number, vehicle in enumerate(row.vehicles):
        country = vehicle.registration_country or row.country
        if not is_vin(vehicle.vin, checked=country == "US"):
            yield Fault("vin_invalid", ("vehicles", number, "vin"), vehicle.vin)
        if vehicle.plate is not None and plate(vehicle.plate, country=country) is None:
            yield Fault("plate_invalid", ("vehicles", number, "plate"), vehicle.plate)
        steps = (
            vehicle.repossession_assigned_date,
            vehicle.repossession_secured_date,
            vehicle.repossession_sold_date,
        )
        dates = [step for step in steps if step is not None]
        if dates != sorted(dates):
            yield Fault("date_order", ("vehicles", number, "repossession_assigned_date"), dates[0])


def _loan_contradictions(row: Row) -> Iterator[Fault]:
    loan, overdue = row.loan, row.overdue
    parts = (
        overdue.principal_minor,
        overdue.interest_minor,
        overdue.penalty_minor,
        overdue.late_fee_minor,
        overdue.management_fee_minor,
        overdue.other_minor,
    )
    if sum(parts) != overdue.total_minor:
        yield Fault("overdue_sum", ("overdue", "total_minor"), overdue.total_minor)
    expected = days_past_due(loan.oldest_unpaid_due_date, loan.as_of_date)
    if abs(expected - loan.dpd) > _DPD_SLACK:
        yield Fault("dpd_mismatch", ("loan", "dpd"), loan.dpd)
    if loan.bucket is not None and row.country:
        near = range(loan.dpd - _DPD_SLACK, loan.dpd + _DPD_SLACK + 1)
        if loan.bucket not in {bucket_of(max(0, dpd), country=row.country) for dpd in near}:
            yield Fault("bucket_mismatch", ("loan", "bucket"), loan.bucket)
    if not loan.origination_date <= loan.first_due_date <= loan.maturity_date:
        yield Fault("date_order", ("loan", "first_due_date"), loan.first_due_date)
    if (loan.charge_off_date is None) != (loan.charge_off_amount_minor is None):
        missing = "charge_off_date" if loan.charge_off_date is None else "charge_off_amount_minor"
        yield Fault("charge_off_incomplete", ("loan", missing))


_LIABILITIES = {
    "borrower": ("joint", "several"),
    "co_borrower": ("joint", "several"),
    "guarantor": ("joint", "several", "general"),
}


def _party_contradictions(row: Row) -> Iterator[Fault]:
    number, borrower = next((n, party) for n, party in enumerate(row.parties) if party.role == "borrower")
    if borrower.country is None:
        yield Fault("field_missing", ("parties", number, "country"))
    if not (borrower.phones or borrower.emails or borrower.wechats or borrower.addresses):
        yield Fault("point_missing", ("parties", number, "phones"))
    seen: set[tuple[str, str]] = set()
    for number, party in enumerate(row.parties):
        at: Path = ("parties", number)
        marks = [("party_id", party.party_id)]
        if party.national_id is not None:
            marks.append(("national_id", party.national_id))
        if party.customer_no is not None:
            marks.append(("customer_no", party.customer_no))
        for mark in marks:
            if mark in seen:
                yield Fault("party_duplicate", (*at, mark[0]), mark[1])
            seen.add(mark)
        yield from _one_party(party, at)


def _one_party(party: Party, at: Path) -> Iterator[Fault]:
    allowed = _LIABILITIES.get(party.role, ("none",))
    if party.liability not in allowed and (party.liability is not None or party.role == "guarantor"):
        yield Fault("liability_invalid", (*at, "liability"), party.liability or "")
    if party.region is not None and not is_region(party.country or party.region[:2], party.region):
        yield Fault("region_unknown", (*at, "region"), party.region)
    born, national_id = party.birth_date, party.national_id
    is_checked = national_id is not None and party.national_id_country == "CN" and is_cn_id(national_id)
    if born is not None and national_id is not None and is_checked and cn_birth_date(national_id) != born:
        yield Fault("national_id_birth_date", (*at, "birth_date"), born)
    for name in FLAGS:
        flag = getattr(party, name)
        if flag is not None and flag.value and flag.date is None:
            yield Fault("evidence_undated", (*at, name, "date"))
    for listing in ("phones", "emails", "wechats", "addresses"):
        for place, point in enumerate(getattr(party, listing)):
            for number, consent in enumerate(point.consents):
                if consent.state != "unknown" and consent.at is None:
                    yield Fault("consent_undated", (*at, listing, place, "consents", number, "at"))
    for place, address in enumerate(party.addresses):
        country = address.country or party.country
        if address.region is not None and not is_region(country or address.region[:2], address.region):
            yield Fault("region_unknown", (*at, "addresses", place, "region"), address.region)


def _account_of(document: Document) -> object:
    loan = document.get("loan")
    return loan.get("lender_account_id", "") if isinstance(loan, dict) else ""
