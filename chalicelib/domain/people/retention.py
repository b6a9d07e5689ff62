"""How long what was said to a person must be kept: the longest duty of the places that their cases were under.

The duties are dated data with their sources in ``chalicelib/rulepacks/retention.toml``.
"""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

SOURCE = Path(__file__).parents[2] / "rulepacks" / "retention.toml"
EVERYWHERE = "*"


class Duty(BaseModel):
    """One duty: whose it is (``where``), how many ``years`` it runs ``from`` which event, and where it is written."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    id: str
    where: tuple[str, ...]
    years: int
    from_: Literal["last_activity", "case_end", "year_end", "limitation_end"]
    citation: str
    grade: Literal["statute", "regulation", "guideline", "house"]
    effective: date | None = None
    checked: date
    doubt: str | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """What a duty is counted from, of one ended case: its place, and the days on which things came to an end.

    ``place`` is the ISO 3166-1 country, ``region`` the ISO 3166-2 code where it is known. Dates are the lender's.
    """

    place: str
    region: str | None
    last_activity: date
    case_end: date
    limitation_end: date | None


@dataclass(frozen=True, slots=True)
class Kept:
    """A duty that applies and the last day on which it runs (closed)."""

    duty: Duty
    until: date


@cache
def duties() -> tuple[Duty, ...]:
    """Return every duty in the order of the file."""
    tables = tomllib.loads(SOURCE.read_text(encoding="utf-8"))["duty"]
    return tuple(Duty(**{("from_" if name == "from" else name): value for name, value in t.items()}) for t in tables)


def kept(ended: Iterable[Ended], *, today: date) -> tuple[Kept, ...]:
    """Return the duties that still run on ``today``, the longest first; none when nothing has to be kept.

    A duty that is not yet in force is left out. A case whose limitation is unknown has no duty that is counted from it.
    """
    found: dict[str, Kept] = {}
    for case in ended:
        for duty in duties():
            if not {EVERYWHERE, case.place, case.region} & set(duty.where):
                continue
            if duty.effective is not None and duty.effective > today:
                continue
            start = _start(case, duty)
            if start is None:
                continue
            until = plus_years(start, duty.years)
            known = found.get(duty.id)
            if until >= today and (known is None or known.until < until):
                found[duty.id] = Kept(duty, until)
    return tuple(sorted(found.values(), key=lambda each: (each.until, each.duty.id), reverse=True))


def _start(case: Ended, duty: Duty) -> date | None:
    match duty.from_:
        case "last_activity":
            return case.last_activity
        case "case_end":
            return case.case_end
        case "year_end":
            return date(case.last_activity.year, 12, 31)
        case "limitation_end":
            return case.limitation_end


def plus_years(day: date, years: int) -> date:
    """Return the same day so many years later; 29 February becomes 1 March, which keeps a day longer."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return date(day.year + years, 3, 1)
