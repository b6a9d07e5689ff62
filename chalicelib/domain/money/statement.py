"""The monthly statement of an agency with a lender: every line, the totals, and whether they tie to the money booked.

A statement is made once the lender's month is over and never changes. The agency may object to a line; the lender
answers, and what the answer grants is an adjustment on the next statement.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from chalicelib.domain.money.commission import Line, Received, TakenBack
from chalicelib.domain.state_table import Move, Refuse, Reply, StateTable, Stay

LANGUAGES = ("zh", "en")


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Totals(_Value):
    """The sums of a statement in minor units: what came in, was taken back, was earned, clawed back, adjusted, is to be paid.

    ``taken_back_minor`` and ``clawed_back_minor`` are at most 0; ``payable_minor`` may be below 0, then the agency owes it.
    """

    received_minor: int
    taken_back_minor: int
    earned_minor: int
    clawed_back_minor: int
    adjusted_minor: int
    payable_minor: int


class Adjustment(_Value):
    """What an answered objection granted: minor units on top of the lines, below 0 when it takes away."""

    objection: str
    month: str
    source: str
    amount_minor: int


class ObjectionState(StrEnum):
    """Where an objection to a line stands. The last two are final."""

    OPEN = "open"
    GRANTED = "granted"
    REFUSED = "refused"


class ObjectionEvent(StrEnum):
    """What can happen to an objection."""

    GRANT = "grant"
    REFUSE = "refuse"


def _rule(state: ObjectionState, event: ObjectionEvent) -> Reply[ObjectionState]:
    target = ObjectionState.GRANTED if event is ObjectionEvent.GRANT else ObjectionState.REFUSED
    if state is ObjectionState.OPEN:
        return Move(target)
    return Stay(f"it is {state} already") if state is target else Refuse(f"it is {state}, which is final")


TABLE = StateTable.ruled(ObjectionState, ObjectionEvent, _rule)
answer = TABLE.answer


class Objection(_Value):
    """An agency's objection to a line of a statement, and the lender's answer. ``granted_minor`` may be below 0.

    What was granted stands on the statement of the month in which it was answered (``adjusted_in``).
    """

    id: str
    agency: str
    month: str
    currency: str
    source: str
    state: ObjectionState = ObjectionState.OPEN
    reason: str
    made_by: str
    made_at: str
    answer: str | None = None
    answered_by: str | None = None
    answered_at: str | None = None
    granted_minor: int = 0
    adjusted_in: str | None = None
    version: int = 1


def totals_of(lines: Iterable[Line], adjustments: Iterable[Adjustment] = ()) -> Totals:
    """Return the totals of lines of one currency."""
    rows = list(lines)
    received = sum(line.amount_minor for line in rows if line.amount_minor > 0)
    taken_back = sum(line.amount_minor for line in rows if line.amount_minor < 0)
    earned = sum(line.commission_minor for line in rows if line.amount_minor > 0)
    clawed_back = sum(line.commission_minor for line in rows if line.amount_minor < 0)
    adjusted = sum(each.amount_minor for each in adjustments)
    return Totals(
        received_minor=received,
        taken_back_minor=taken_back,
        earned_minor=earned,
        clawed_back_minor=clawed_back,
        adjusted_minor=adjusted,
        payable_minor=earned + clawed_back + adjusted,
    )


def faults_of(lines: Sequence[Line], received: Iterable[Received], taken_back: Iterable[TakenBack]) -> list[str]:
    """Return by source what on a statement does not tie to the money booked; none in a sound one.

    Each payment and reversal stands on one line with its amount, no line comes from anything else, and nothing that was
    clawed back is more than its payment's amount.
    """
    booked = {each.payment: each.amount_minor for each in received}
    booked |= {each.reversal: -each.amount_minor for each in taken_back}
    found = [line.source for line in lines if booked.get(line.source) != line.amount_minor]
    found += sorted(set(booked) - {line.source for line in lines})
    found += [line.source for line in lines if abs(line.commission_minor) > abs(line.amount_minor)]
    seen: set[str] = set()
    for line in lines:
        if line.source in seen:
            found.append(line.source)
        seen.add(line.source)
    return found


COLUMNS = (
    "booked_at", "received_on", "case", "payment", "source", "amount", "rate", "commission", "why",
)  # fmt: skip

_WORDS: dict[str, dict[str, str]] = {
    "title": {"zh": "委外佣金月结单", "en": "Monthly commission statement"},
    "lender": {"zh": "委托方", "en": "Lender"},
    "agency": {"zh": "机构", "en": "Agency"},
    "month": {"zh": "月份", "en": "Month"},
    "currency": {"zh": "币种", "en": "Currency"},
    "terms": {"zh": "费率版本", "en": "Terms, version"},
    "factor": {"zh": "质量系数（万分之）", "en": "Quality factor, basis points"},
    "rounding": {
        "zh": "同一费率各行合计四舍六入五成双；每行先舍去尾数，所差按尾数由大到小每行补一。",
        "en": "The lines of a rate sum to the exact sum, rounded half to even; the largest remainders are rounded up.",
    },
    "totals": {"zh": "合计", "en": "Totals"},
    "lines": {"zh": "明细", "en": "Lines"},
    "adjustments": {"zh": "异议调整", "en": "Adjustments from objections"},
    "received": {"zh": "回款", "en": "Received"},
    "taken_back": {"zh": "冲销", "en": "Taken back"},
    "earned": {"zh": "应计佣金", "en": "Commission earned"},
    "clawed_back": {"zh": "追回佣金", "en": "Commission clawed back"},
    "adjusted": {"zh": "调整", "en": "Adjusted"},
    "payable": {"zh": "应付佣金", "en": "Commission payable"},
    "booked_at": {"zh": "入账时间", "en": "Booked at"},
    "received_on": {"zh": "到账日", "en": "Value date"},
    "case": {"zh": "案件", "en": "Case"},
    "payment": {"zh": "款项", "en": "Payment"},
    "source": {"zh": "依据", "en": "Source"},
    "amount": {"zh": "金额", "en": "Amount"},
    "rate": {"zh": "费率", "en": "Rate"},
    "commission": {"zh": "佣金", "en": "Commission"},
    "why": {"zh": "说明", "en": "Reason"},
    "objection": {"zh": "异议", "en": "Objection"},
    "why:earned": {"zh": "计佣", "en": "earned"},
    "why:clawed_back": {"zh": "追回", "en": "clawed back"},
    "why:not_commissionable": {"zh": "不计佣", "en": "bears no commission"},
    "why:outside_mandate": {"zh": "委托期外", "en": "after the mandate"},
    "why:after_recall": {"zh": "收回之后", "en": "after the case left"},
    "why:other_currency": {"zh": "币种不符", "en": "other currency"},
    "why:no_rate": {"zh": "无适用费率", "en": "no rate applies"},
    "why:after_window": {"zh": "超过追回期", "en": "after the claw-back window"},
    "why:unknown_payment": {"zh": "原款项不在账单中", "en": "payment on no statement"},
    "why:no_terms": {"zh": "无生效费率", "en": "no terms in force"},
}
"""Every word of a statement in Chinese and English."""

_SUMS = ("received", "taken_back", "earned", "clawed_back", "adjusted", "payable")


def word(name: str, language: str) -> str:
    """Return a word of the statement in ``zh`` or ``en``."""
    return _WORDS[name][language]


def major(minor: int, digits: int) -> str:
    """Return an amount in major units with a point and no grouping: (-12345, 2) gives -123.45.

    >>> major(-5, 2), major(1200, 0), major(7, 3)
    ('-0.05', '1200', '0.007')
    """
    sign, text = "-" if minor < 0 else "", str(abs(minor)).rjust(digits + 1, "0")
    return f"{sign}{text[:-digits]}.{text[-digits:]}" if digits else sign + text


class Table(_Value):
    """A heading, a header of columns and rows of cells, as they are set in a file."""

    heading: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables_of(statement: dict[str, Any], language: str) -> list[Table]:
    """Return what a statement's files show: what it is, its totals, its adjustments and its lines."""
    digits = int(statement["digits"])
    about = ("lender", "agency", "month", "currency", "terms", "factor")
    head = Table(
        heading=word("title", language),
        header=(word("agency", language), str(statement["agency"])),
        rows=(
            *((word(name, language), "" if statement[name] is None else str(statement[name])) for name in about[:1]),
            *((word(name, language), "" if statement[name] is None else str(statement[name])) for name in about[2:]),
            (word("rounding", language), ""),
        ),
    )
    sums = Table(
        heading=word("totals", language),
        header=(word("totals", language), str(statement["currency"])),
        rows=tuple((word(name, language), major(statement["totals"][f"{name}_minor"], digits)) for name in _SUMS),
    )
    adjustments = Table(
        heading=word("adjustments", language),
        header=tuple(word(name, language) for name in ("objection", "month", "source", "amount")),
        rows=tuple(
            (each["objection"], each["month"], each["source"], major(each["amount_minor"], digits))
            for each in statement["adjustments"]
        ),
    )
    lines = Table(
        heading=word("lines", language),
        header=tuple(word(name, language) for name in COLUMNS),
        rows=tuple(_cells(line, digits, language) for line in statement["lines"]),
    )
    return [head, sums, *([adjustments] if adjustments.rows else []), lines]


def _cells(line: dict[str, Any], digits: int, language: str) -> tuple[str, ...]:
    shown = {
        **line,
        "amount": major(line["amount_minor"], digits),
        "commission": major(line["commission_minor"], digits),
        "rate": line["rate"] or "",
        "why": word(f"why:{line['why']}", language),
    }
    return tuple(str(shown[name]) for name in COLUMNS)


def csv_of(statement: dict[str, Any], language: str) -> bytes:
    """Return the lines as CSV (RFC 4180, UTF-8 with byte order mark, as spreadsheets expect), the totals after them.

    A cell that a spreadsheet would read as a formula is led by an apostrophe.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    tables = tables_of(statement, language)
    for table in (tables[-1], *tables[1:-1]):
        writer.writerow([_plain(cell) for cell in table.header])
        writer.writerows([_plain(cell) for cell in row] for row in table.rows)
        writer.writerow([])
    return b"\xef\xbb\xbf" + out.getvalue().encode()


def _plain(cell: str) -> str:
    is_number = cell.removeprefix("-").replace(".", "", 1).isdigit()
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") and not is_number else cell
