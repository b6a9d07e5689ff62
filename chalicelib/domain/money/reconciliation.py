"""Two records of the same money compared: another party's file against ours, line by line, with what does not agree.

Lines are matched by reference. What is left on both sides is matched by case, amount and day, and reported as known under another
reference. Everything else is a break, explained by its kind and aged by the day of the money.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Literal

Age = Literal["0-1", "2-7", "8-30", "31+"]
"""Age groups in days."""


class Kind(StrEnum):
    """Why two records do not agree. The last is no break of money: only the references differ."""

    MISSING_HERE = "missing_here"
    MISSING_THERE = "missing_there"
    AMOUNT_DIFFERS = "amount_differs"
    DATE_DIFFERS = "date_differs"
    DUPLICATE = "duplicate"
    OTHER_REFERENCE = "other_reference"


@dataclass(frozen=True, slots=True)
class Row:
    """Money as one side has it: in minor units, below 0 for money taken back; ``number`` is its place in the file, from 1."""

    number: int
    reference: str
    case: str
    amount_minor: int
    currency: str
    on: date


@dataclass(frozen=True, slots=True)
class Break:
    """One disagreement: the rows of both sides, where there is one, and its age in days on the day of comparison."""

    kind: Kind
    ours: Row | None
    theirs: Row | None
    age_days: int
    age: Age

    @property
    def difference_minor(self) -> int:
        """Return theirs less ours; a row that is missing or double counts whole."""
        if self.kind is Kind.DUPLICATE:
            return self.theirs.amount_minor if self.theirs is not None else 0
        return (self.theirs.amount_minor if self.theirs else 0) - (self.ours.amount_minor if self.ours else 0)


@dataclass(frozen=True, slots=True)
class Comparison:
    """How many rows agree, and every break; totals are minor units by currency."""

    agreed: int
    breaks: tuple[Break, ...]
    ours_minor: dict[str, int]
    theirs_minor: dict[str, int]

    @property
    def unexplained_minor(self) -> dict[str, int]:
        """Return the difference of the totals that the breaks do not explain, by currency; empty when they explain it all."""
        found: dict[str, int] = {}
        for currency in {*self.ours_minor, *self.theirs_minor}:
            found[currency] = self.theirs_minor.get(currency, 0) - self.ours_minor.get(currency, 0)
        for each in self.breaks:
            for row, sign in ((each.theirs, -1), (None if each.kind is Kind.DUPLICATE else each.ours, 1)):
                if row is not None:
                    found[row.currency] = found.get(row.currency, 0) + sign * row.amount_minor
        return {currency: minor for currency, minor in sorted(found.items()) if minor}


def age_of(days: int) -> Age:
    """Return the age group: 0-1, 2-7, 8-30, 31+ days."""
    if days <= 1:
        return "0-1"
    if days <= 7:
        return "2-7"
    return "8-30" if days <= 30 else "31+"


def compare(ours: Iterable[Row], theirs: Iterable[Row], *, today: date) -> Comparison:
    """Return how another party's rows stand to ours. A reference that they have again is a duplicate."""
    mine, other = list(ours), list(theirs)
    by_reference = {row.reference: row for row in mine}
    seen: set[str] = set()
    left: list[Row] = []
    breaks: list[Break] = []
    agreed = 0
    for row in other:
        known = by_reference.get(row.reference)
        if row.reference in seen:
            breaks.append(_break(Kind.DUPLICATE, known, row, today))
            continue
        seen.add(row.reference)
        if known is None:
            left.append(row)
        elif (known.amount_minor, known.currency, known.case) != (row.amount_minor, row.currency, row.case):
            breaks.append(_break(Kind.AMOUNT_DIFFERS, known, row, today))
        elif known.on != row.on:
            breaks.append(_break(Kind.DATE_DIFFERS, known, row, today))
        else:
            agreed += 1
    rest = [row for row in mine if row.reference not in seen]
    for row in left:
        twin = next((own for own in rest if _same_money(own, row)), None)
        if twin is not None:
            rest.remove(twin)
        kind = Kind.MISSING_HERE if twin is None else Kind.OTHER_REFERENCE
        breaks.append(_break(kind, twin, row, today))
    breaks += [_break(Kind.MISSING_THERE, row, None, today) for row in rest]
    ordered = sorted(breaks, key=lambda each: (-each.age_days, each.kind, _number(each.theirs), _number(each.ours)))
    return Comparison(agreed, tuple(ordered), _totals(mine), _totals(other))


def _same_money(one: Row, other: Row) -> bool:
    return (one.case, one.amount_minor, one.currency, one.on) == (
        other.case,
        other.amount_minor,
        other.currency,
        other.on,
    )


def _break(kind: Kind, ours: Row | None, theirs: Row | None, today: date) -> Break:
    days = max(0, *((today - row.on).days for row in (ours, theirs) if row is not None))
    return Break(kind, ours, theirs, days, age_of(days))


def _number(row: Row | None) -> int:
    return 0 if row is None else row.number


def _totals(rows: Sequence[Row]) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in rows:
        found[row.currency] = found.get(row.currency, 0) + row.amount_minor
    return found


EXPLANATIONS = {
    Kind.MISSING_HERE: {
        "zh": "对方有此笔款项，我方没有：可能尚未入账，或属于其他案件。",
        "en": "They have this money and we do not: not yet booked here, or it belongs to another case.",
    },
    Kind.MISSING_THERE: {
        "zh": "我方有此笔款项，对方没有：可能在途，或文件不完整。",
        "en": "We have this money and they do not: on its way, or their file is not complete.",
    },
    Kind.AMOUNT_DIFFERS: {
        "zh": "同一参考号的金额、币种或案件不同。",
        "en": "The same reference has another amount, currency or case.",
    },
    Kind.DATE_DIFFERS: {
        "zh": "同一参考号的到账日不同。",
        "en": "The same reference has another value date.",
    },
    Kind.DUPLICATE: {
        "zh": "对方文件中同一参考号出现多次。",
        "en": "Their file has the same reference more than once.",
    },
    Kind.OTHER_REFERENCE: {
        "zh": "案件、金额和日期相同，仅参考号不同。",
        "en": "Case, amount and day agree; only the reference differs.",
    },
}
"""What a break of each kind means, in Chinese and English."""
