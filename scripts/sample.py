"""Make a sample portfolio: generated people, loans and histories, the same for the same seed; nobody in it exists.

    python -m scripts.sample --out var/sample                       # 2,100 rows, CSV in UTF-8
    python -m scripts.sample --rows 100000 --format csv --out var/large
    python -m scripts.sample --format xlsx --out var/sample         # also gb18030, jsonl

Beside the file stand ``<name>.control.json`` (rows, totals, size, SHA-256: what a portfolio request announces) and
``<name>.faults.json`` (the rows that are wrong on purpose, each with the code it must be rejected with).

What keeps the sample harmless: United States numbers are 555-01xx, which are kept for fiction; e-mail domains are those
of RFC 2606; social security numbers lie in 9xx, which is never issued. Chinese numbers (170 0000 0000 and up), national
ids and WeChat ids are made up with right check characters and have no such reserve: never send to them.
"""

import argparse
import csv
import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import IO, Any

from chalicelib.domain.cases.repayment_ledger import bucket_of
from chalicelib.domain.intake.columns import flat_cells
from chalicelib.domain.intake.scan import count_documents
from chalicelib.domain.intake.values import cn_check_character, vin_check_digit

SEED = 20261123
ROWS = 2_100
AS_OF = date(2026, 11, 20)
DELEGATED = date(2026, 11, 23)
MANDATE_END = date(2027, 5, 22)
FAULT_EVERY = 60
"""Every row whose number is a multiple of this is wrong on purpose; all of them are Chinese rows."""

_SURNAMES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗"
_GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉兰萍红鹏飞"
_FIRST = [
    "James",
    "Mary",
    "Robert",
    "Linda",
    "Maria",
    "David",
    "Susan",
    "Carlos",
    "Aisha",
    "Kevin",
    "Nina",
    "Omar",
    "Grace",
    "Victor",
    "Helen",
    "Diego",
]
_LAST = [
    "Smith",
    "Garcia",
    "Johnson",
    "Nguyen",
    "Brown",
    "Patel",
    "Davis",
    "Lopez",
    "Miller",
    "Kim",
    "Wilson",
    "Moore",
    "Clark",
    "Rivera",
    "Hall",
    "Young",
]
_MAKES = (("Volkswagen", "Lavida"), ("BYD", "Qin"), ("Toyota", "Corolla"), ("Ford", "Escape"), ("Honda", "CR-V"))

_CN_PLACES = (
    # division, region, city, postcode, plate prefix
    ("110105", "CN-BJ", "北京", "100020", "京A"), ("310115", "CN-SH", "上海", "200120", "沪A"),
    ("440106", "CN-GD", "广州", "510630", "粤A"), ("510107", "CN-SC", "成都", "610041", "川A"),
    ("650102", "CN-XJ", "乌鲁木齐", "830002", "新A"), ("330106", "CN-ZJ", "杭州", "310012", "浙A"),
    ("420106", "CN-HB", "武汉", "430061", "鄂A"), ("230102", "CN-HL", "哈尔滨", "150010", "黑A"),
    ("540102", "CN-XZ", "拉萨", "850000", "藏A"), ("460105", "CN-HI", "海口", "570100", "琼A"),
)  # fmt: skip
_US_PLACES = (
    # region, city, postcode, area code, IANA zone
    ("US-NY", "New York", "10001", "212", "America/New_York"), ("US-MA", "Boston", "02108", "617", "America/New_York"),
    ("US-FL", "Pensacola", "32501", "850", "America/Chicago"), ("US-TX", "Dallas", "75201", "214", "America/Chicago"),
    ("US-IL", "Chicago", "60601", "312", "America/Chicago"),
    ("US-IN", "Indianapolis", "46204", "317", "America/Indiana/Indianapolis"),
    ("US-CO", "Denver", "80202", "303", "America/Denver"), ("US-AZ", "Phoenix", "85003", "602", "America/Phoenix"),
    ("US-ID", "Boise", "83702", "208", "America/Boise"), ("US-CA", "Los Angeles", "90012", "310", "America/Los_Angeles"),
    ("US-WA", "Seattle", "98101", "206", "America/Los_Angeles"), ("US-AK", "Anchorage", "99501", "907", "America/Anchorage"),
    ("US-HI", "Honolulu", "96813", "808", "Pacific/Honolulu"), ("US-MI", "Detroit", "48226", "313", "America/Detroit"),
)  # fmt: skip


def document(number: int, *, seed: int = SEED) -> dict[str, Any]:
    """Return the faultless document of data row ``number`` (from 1); two rows in five are in the United States."""
    random = Random(f"{seed}:{number}")
    in_china = number % 5 < 3
    dpd = random.choice((3, 12, 25, 31, 38, 45, 59, 62, 75, 91, 118, 130, 170, 200))
    oldest = AS_OF - timedelta(days=dpd)
    instalment = random.randrange(1_800_00, 6_500_00) if in_china else random.randrange(280_00, 900_00)
    periods = 1 + (dpd - 1) // 30
    term = random.choice((24, 36, 48, 60))
    paid_periods = random.randrange(12 - periods, 20)
    first_due = _months(oldest, -paid_periods)
    parties = _cn_parties(random, number) if in_china else _us_parties(random, number)
    principal = instalment * periods * 85 // 100
    overdue = {
        "principal_minor": principal,
        "interest_minor": instalment * periods - principal,
        "penalty_minor": random.randrange(0, 90_00) if in_china else 0,
        "late_fee_minor": 0 if in_china else random.choice((0, 15_00, 25_00)),
        "management_fee_minor": 0,
        "other_minor": 0,
    }
    overdue["total_minor"] = sum(overdue.values())
    country = "CN" if in_china else "US"
    row: dict[str, Any] = {
        "batch": {
            "batch_id": "SAMPLE-2026-11",
            "batch_no": f"SAMPLE-2026-11-{country}",
            "delegation_date": DELEGATED.isoformat(),
            "mandate_end": MANDATE_END.isoformat(),
            "placement_stage": 1 + (number % 7 == 0),
            "placement_type": "contingency",
            "commission_rate": "0.18" if dpd > 60 else "0.12",
        },
        "loan": {
            "lender_account_id": f"AC{number:08d}",
            "contract_no": f"{country}-AUTO-{2024 + number % 2}-{number:08d}",
            "product": "mortgage_loan" if in_china else "retail_instalment",
            "product_name": "示例新车贷（生成数据）" if in_china else "Generated sample auto loan",
            "creditor_name": "样例汽车金融有限公司" if in_china else "Sample Auto Finance, Inc.",
            "currency": "CNY" if in_china else "USD",
            "origination_date": _months(first_due, -1).isoformat(),
            "first_due_date": first_due.isoformat(),
            "maturity_date": _months(first_due, term + 20).isoformat(),
            "term_months": term,
            "amount_financed_minor": instalment * term * 9 // 10,
            "apr": random.choice(("0.0488", "0.0899", "0.125")),
            "rate_type": "fixed",
            "instalment_amount_minor": instalment,
            "due_day": min(oldest.day, 28),
            "principal_left_minor": instalment * max(6, term - paid_periods) * 85 // 100,
            "interest_left_minor": instalment * max(6, term - paid_periods) * 15 // 100,
            "as_of_date": AS_OF.isoformat(),
            "oldest_unpaid_due_date": oldest.isoformat(),
            "dpd": dpd,
            "overdue_periods": periods,
            "bucket": bucket_of(dpd, country=country),
            "collection_start_date": (oldest + timedelta(days=1)).isoformat(),
            "statute_of_limitation_date": _months(oldest, 36).isoformat(),
            "scores": [{"kind": "collection", "value": str(random.randrange(300, 850)), "model": "sample-1"}],
        },
        "overdue": overdue,
        "parties": parties,
        "vehicles": [_vehicle(random, number, in_china)],
        "payments": _payments(random, oldest, instalment),
        "notices": _notices(in_china, dpd),
        "extra": {"origin": "generated"},
    }
    if not in_china:
        row["loan"] |= {
            "itemisation_type": "last_statement",
            "itemisation_date": "2026-10-31",
            "itemisation_interest_minor": overdue["interest_minor"] // 4,
            "itemisation_fees_minor": overdue["late_fee_minor"],
            "itemisation_payments_minor": 0,
        }
    history = _prior_contacts(random, parties[0], in_china)
    if history:
        row["prior_contacts"] = history
    if number % 9 == 0:
        row["promises"] = [
            {"due_date": "2026-11-27", "amount_minor": instalment, "made_at": "2026-11-19T03:00:00Z", "party": "p1"}
        ]
    if number % 37 == 0:
        row["disputes"] = [{"received_date": "2026-11-12", "kind": "amount", "party": "p1", "in_writing": True}]
    return row


# People


def _cn_parties(random: Random, number: int) -> list[dict[str, Any]]:
    place = random.choice(_CN_PLACES)
    borrower = _cn_person(random, number, 0, place)
    borrower |= {"role": "borrower", "customer_no": f"CU{number:08d}", "knows_of_debt": True}
    borrower["wechats"] = [{"value": f"oSample{number:08d}", "source": "left_by_debtor",
                            "consents": [_granted("wechat")]}]  # fmt: skip
    if number % 2:
        borrower["emails"] = [{"value": f"borrower{number:08d}@example.com", "source": "left_by_debtor",
                               "verified_date": "2026-09-30", "preference": 3}]  # fmt: skip
    if number % 11 == 0:
        borrower["wechats"][0]["consents"] = [_granted("wechat"), _withdrawn("wechat")]
    parties = [borrower]
    if number % 6 == 0:
        guarantor = _cn_person(random, number, 1, place)
        parties.append(guarantor | {"role": "guarantor", "liability": "joint" if number % 12 else "general",
                                    "guarantee_until": "2028-12-31", "relation": "friend"})  # fmt: skip
    if number % 8 == 0:
        parties.append(_cn_person(random, number, 2, place) | {"role": "co_borrower", "relation": "spouse"})
    contact = _cn_person(random, number, 3, place)
    kept = ("name", "phones")
    parties.append({key: contact[key] for key in kept} | {"role": "contact", "relation": "relative"})
    return _numbered(parties)


def _cn_person(random: Random, number: int, part: int, place: Sequence[str]) -> dict[str, Any]:
    division, region, city, postcode, _ = place
    born = date(1966, 1, 1) + timedelta(days=random.randrange(0, 365 * 38))
    first17 = f"{division}{born:%Y%m%d}{(number * 4 + part) % 1000:03d}"
    name = random.choice(_SURNAMES) + "".join(random.sample(_GIVEN, random.choice((1, 2))))
    return {
        "name": name,
        "birth_date": born.isoformat(),
        "national_id": first17 + cn_check_character(first17),
        "language": "zh-CN",
        "country": "CN",
        "region": region,
        "city": city,
        "postcode": postcode,
        "division": division,
        "phones": [
            {"value": f"170{number * 4 + part:08d}", "line": "mobile", "source": "contract", "status": "ok",
             "verified_date": "2026-10-31", "preference": 1, "consents": [_granted("sms")]},
        ],
        "addresses": [
            {"value": f"{city}市样例路{number % 900 + 1}号{part + 1}单元", "city": city, "region": region,
             "postcode": postcode, "country": "CN", "kind": "living", "source": "contract"},
        ],
    }  # fmt: skip


def _us_parties(random: Random, number: int) -> list[dict[str, Any]]:
    region, city, postcode, area, zone = random.choice(_US_PLACES)
    given, family = random.choice(_FIRST), random.choice(_LAST)
    borrower: dict[str, Any] = {
        "role": "borrower",
        "name": f"{given} {family}",
        "family_name": family,
        "given_name": given,
        "birth_date": (date(1958, 1, 1) + timedelta(days=random.randrange(0, 365 * 46))).isoformat(),
        "customer_no": f"CU{number:08d}",
        "national_id": f"9{number % 89 + 10:02d}{random.randrange(1, 100):02d}{number % 9_999 + 1:04d}",
        "language": "es-US" if number % 10 == 9 else "en-US",
        "time_zone": zone,
        "country": "US",
        "region": region,
        "city": city,
        "postcode": postcode,
        "knows_of_debt": True,
        "phones": [
            {"value": f"+1 {area}-555-01{number % 100:02d}", "line": "mobile", "source": "contract",
             "verified_date": "2026-09-30", "preference": 1, "consents": [_granted("call"), _granted("sms")]},
        ],
        "emails": [
            {"value": f"{given}.{family}.{number}@example.{('com', 'org', 'net')[number % 3]}".lower(),
             "source": "left_by_debtor", "preference": 2, "consents": [_granted("email")]},
        ],
        "addresses": [
            {"value": f"{number % 9_000 + 100} Sample Street", "city": city, "region": region, "postcode": postcode,
             "country": "US", "kind": "living", "source": "contract"},
        ],
    }  # fmt: skip
    parties: list[dict[str, Any]] = [borrower]
    if number % 25 == 8:
        borrower["cease_contact"] = {"value": True, "date": "2026-11-02", "evidence": "letter on file"}
    if number % 50 == 19:
        borrower["bankrupt"] = {"value": True, "date": "2026-10-05", "chapter": 13, "case_no": f"26-{number:05d}"}
    if number % 50 == 44:
        borrower["represented_by_attorney"] = {"value": True, "date": "2026-10-20", "attorney_name": "A. Sample, Esq."}
        parties.append({"role": "attorney", "name": "A. Sample, Esq.", "country": "US", "region": region,
                        "emails": [{"value": "attorney@example.org", "source": "left_by_debtor"}]})  # fmt: skip
    if number % 10 == 3:
        parties.append({"role": "co_borrower", "name": f"{random.choice(_FIRST)} {family}", "country": "US",
                        "region": region, "language": "en-US", "customer_no": f"CU{number:08d}B",
                        "phones": [{"value": f"{area}-555-01{(number + 50) % 100:02d}", "source": "contract"}]})  # fmt: skip
    return _numbered(parties)


def _numbered(parties: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"party_id": f"p{number}", **party} for number, party in enumerate(parties, start=1)]


def _granted(medium: str) -> dict[str, Any]:
    return {"medium": medium, "state": "granted", "at": "2025-03-01T02:00:00Z", "proof": "contract clause 9"}


def _withdrawn(medium: str) -> dict[str, Any]:
    return {"medium": medium, "state": "withdrawn", "at": "2026-11-10T02:00:00Z", "proof": "inbound message"}


# Things and histories


def _vehicle(random: Random, number: int, in_china: bool) -> dict[str, Any]:
    make, model = _MAKES[number % len(_MAKES)]
    vin = ("LSV" if in_china else "1FM") + f"AA2BC00{number % 10_000_000:07d}"
    vin = vin[:8] + vin_check_digit(vin) + vin[9:]
    price = random.randrange(90_000_00, 260_000_00) if in_china else random.randrange(16_000_00, 52_000_00)
    plate = (
        f"{_CN_PLACES[number % len(_CN_PLACES)][4]}{number % 100_000:05d}" if in_china else f"SMP{number % 10_000:04d}"
    )
    return {
        "vin": vin, "plate": plate, "make": make, "model": model, "model_year": 2021 + number % 5,
        "condition": "new", "odometer": random.randrange(3_000, 120_000), "odometer_unit": "km" if in_china else "mi",
        "purchase_price_minor": price, "value_minor": price * 6 // 10, "value_date": "2026-10-31",
        "lien_registered": True, "lien_number": f"LN{number:08d}", "lien_position": 1,
    }  # fmt: skip


def _payments(random: Random, oldest: date, instalment: int) -> list[dict[str, Any]]:
    found = []
    for period in range(1, 13):
        due = _months(oldest, period - 12 + (period == 0))
        if due >= oldest:
            found.append({"period": period, "due_date": due.isoformat(), "due_minor": instalment, "status": "missed"})
            continue
        late = random.choice((0, 0, 0, 4, 11))
        found.append({"period": period, "due_date": due.isoformat(), "due_minor": instalment,
                      "paid_date": (due + timedelta(days=late)).isoformat(), "paid_minor": instalment,
                      "method": "debit", "status": "late" if late else "on_time"})  # fmt: skip
    return found


def _prior_contacts(random: Random, borrower: dict[str, Any], in_china: bool) -> list[dict[str, Any]]:
    found = []
    for back in sorted(random.sample(range(1, 20), random.choice((0, 1, 2, 4))), reverse=True):
        at = f"{AS_OF - timedelta(days=back)}T{'03' if in_china else '17'}:{random.randrange(60):02d}:00Z"
        found.append({"at": at, "channel": "call", "direction": "out", "party": "p1",
                      "point": borrower["phones"][0]["value"], "org": "lender",
                      "outcome": random.choice(("no_answer", "conversation", "busy", "powered_off"))})  # fmt: skip
    return found


def _notices(in_china: bool, dpd: int) -> list[dict[str, Any]]:
    if in_china:
        return [{"kind": "outsourcing_notice", "at": "2026-11-18T02:00:00Z", "medium": "sms", "party": "p1"}]
    if dpd > 30:
        return [{"kind": "right_to_cure", "at": "2026-10-25T15:00:00Z", "medium": "letter", "party": "p1"}]
    return []


def _months(day: date, months: int) -> date:
    index = day.year * 12 + day.month - 1 + months
    return date(index // 12, index % 12 + 1, min(day.day, 28))


# Rows that are wrong on purpose


def _set(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(row: dict[str, Any]) -> None:
        holder: Any = row
        *steps, last = path.split(".")
        for step in steps:
            holder = holder[int(step)] if step.isdigit() else holder[step]
        if value is None:
            del holder[last]
        else:
            holder[last] = value

    return change


FAULTS: tuple[tuple[str, str, Callable[[dict[str, Any]], None]], ...] = (
    ("national_id_invalid", "last character changed", _set("parties.0.national_id", "110105199001010013")),
    ("overdue_sum", "total is one yuan or dollar too small", _set("overdue.total_minor", 100)),
    ("date_invalid", "30 February", _set("loan.origination_date", "2025-02-30")),
    ("phone_invalid", "too short", _set("parties.0.phones.0.value", "+1 212-555")),
    ("field_missing", "no contract number", _set("loan.contract_no", None)),
    ("excel_rounded", "id rounded to 15 digits", _set("parties.0.national_id", "110105199001010000")),
    ("dpd_mismatch", "days past due do not follow", _set("loan.oldest_unpaid_due_date", "2025-01-05")),
    ("formula_injection", "name begins with an equals sign", _set("parties.0.name", "=HYPERLINK(A1)")),
    ("vin_invalid", "letter O in the VIN", _set("vehicles.0.vin", "LSVAA2BCO00000001")),
    ("date_order", "mandate ends before it begins", _set("batch.mandate_end", "2026-01-01")),
    ("email_invalid", "no domain", _set("parties.0.emails", [{"value": "somebody@"}])),
    ("borrower_count", "nobody is the borrower", _set("parties.0.role", "co_borrower")),
    ("value_not_listed", "unknown product", _set("loan.product", "lottery")),
    ("excel_scientific", "contract number as power of ten", _set("loan.contract_no", "2.02511E+17")),
    ("region_unknown", "no such region", _set("parties.0.region", "CN-ZZ")),
    ("money_negative", "negative penalty", _set("overdue.penalty_minor", -500)),
)
"""(code, why, change) of each fault; the rows that are faulty take them in turn."""


def faulty(number: int) -> tuple[str, str, Callable[[dict[str, Any]], None]] | None:
    """Return the fault of data row ``number``, or None when the row is right."""
    return FAULTS[(number // FAULT_EVERY - 1) % len(FAULTS)] if number % FAULT_EVERY == 0 else None


def documents(rows: int, *, seed: int = SEED, faults: bool = True, first: int = 1) -> Iterator[dict[str, Any]]:
    """Yield the documents of a whole sample in order from number ``first``, wrong ones unless ``faults`` is false."""
    for number in range(first, first + rows):
        row = document(number, seed=seed)
        fault = faulty(number) if faults else None
        if fault is not None:
            fault[2](row)
        yield row


# Files


def write(path: Path, *, form: str, rows: int, seed: int = SEED, faults: bool = True, first: int = 1) -> dict[str, Any]:
    """Write the sample as ``form`` (csv, gb18030, jsonl, xlsx) and its companions; return the control record."""
    path.parent.mkdir(parents=True, exist_ok=True)
    numbers = range(first, first + rows)
    header = [] if form == "jsonl" else _header(document(n, seed=seed) for n in numbers[:_HEADER_ROWS])
    write_file(path, form=form, rows=documents(rows, seed=seed, faults=faults, first=first), header=header)
    control = control_of(path, documents(rows, seed=seed, faults=faults, first=first))
    path.with_suffix(".control.json").write_text(json.dumps(control, indent=2) + "\n")
    wrong = [
        {"row": row, "code": fault[0], "why": fault[1]}
        for row, number in enumerate(numbers, start=1)
        if faults and (fault := faulty(number)) is not None
    ]
    path.with_suffix(".faults.json").write_text(json.dumps(wrong, indent=1) + "\n")
    return control


def write_file(path: Path, *, form: str, rows: Iterable[dict[str, Any]], header: list[str] | None = None) -> None:
    """Write documents as ``form``; without a ``header`` its columns are those of the documents themselves."""
    if form == "jsonl":
        with path.open("w", encoding="utf-8", newline="\n") as out:
            for row in rows:
                out.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")
        return
    if header is None:
        rows = list(rows)
        header = _header(rows)
    columns = header
    table = (_cells(row, columns) for row in rows)
    if form == "xlsx":
        write_workbook(path, columns, table)
        return
    with path.open("w", encoding="utf-8" if form == "csv" else form, newline="") as out:
        writer = csv.writer(out, lineterminator="\r\n")
        writer.writerow(columns)
        writer.writerows(table)


def control_of(path: Path, rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return what a request announces of the file: rows, totals by column and currency, size, SHA-256."""
    counted, totals = count_documents(rows)
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
            size += len(piece)
    return {
        "note": "generated sample: nobody in it exists",
        "rows": counted,
        "totals": totals,
        "size": size,
        "sha256": digest.hexdigest(),
    }


_HEADER_ROWS = 1_200
"""A header is the union of the columns of this many rows; every combination of optional parts occurs in them."""


def _header(rows: Iterable[dict[str, Any]]) -> list[str]:
    names: dict[str, None] = {}
    for row in rows:
        names |= dict.fromkeys(flat_cells(row))
    names |= dict.fromkeys(("party1_email1", "overdue_penalty"))
    return list(names)


def _cells(row: dict[str, Any], header: list[str]) -> list[str]:
    cells = flat_cells(row)
    if len(cells.keys() - set(header)):
        raise ValueError("a row has a column that the header lacks")
    return [cells.get(name, "") for name in header]


def write_workbook(path: Path | IO[bytes], header: Sequence[str], table: Iterable[Sequence[str]]) -> None:
    """Write a table of texts, below a header, as the only sheet of a workbook."""
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell

    book = Workbook(write_only=True)
    sheet = book.create_sheet("rows")
    sheet.append(list(header))
    for cells in table:
        written = []
        for text in cells:
            cell = WriteOnlyCell(sheet, text or None)
            cell.data_type = "s" if text else cell.data_type
            written.append(cell)
        sheet.append(written)
    book.save(path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the sample that the command line asks for and print its control record."""
    parser = argparse.ArgumentParser(description="Make a generated sample portfolio; nobody in it exists.")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--format", choices=("csv", "gb18030", "jsonl", "xlsx"), default="csv")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--first", type=int, default=1, help="number of the first row; accounts are named by it")
    parser.add_argument("--no-faults", action="store_true", help="leave out the rows that are wrong on purpose")
    parser.add_argument("--out", type=Path, default=Path("var/sample"), help="path without suffix")
    options = parser.parse_args(arguments)
    suffix = {"csv": ".csv", "gb18030": ".gb18030.csv", "jsonl": ".jsonl", "xlsx": ".xlsx"}[options.format]
    path = options.out.with_name(options.out.name + suffix)
    control = write(
        path,
        form=options.format,
        rows=options.rows,
        seed=options.seed,
        faults=not options.no_faults,
        first=options.first,
    )
    print(f"generated sample, {control['rows']} rows, {control['size']} bytes: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
