"""What must be known of a stream's past to count its next event: small, plain, and kept with the stream's marker.

Some counters need more than the event: the stage and region of its case, whether this case was attempted in this month
before, what an earlier finding on a promise said. A stream is folded in its own order and exactly once, so that
knowledge can stand beside the number of the last event folded. It holds ids, codes, days and amounts, never a person.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from chalicelib.domain.kpi.periods import month_of, week_of


class Days:
    """A set of local days in a few characters: the first one as an ordinal, and a bit a day from there on in hex."""

    def __init__(self, text: str = "") -> None:
        """Take the text form; empty for no day."""
        base, _, bits = text.partition(".")
        self._base, self._bits = (int(base, 36), int(bits, 16)) if text else (0, 0)

    def __str__(self) -> str:
        """Return the text form."""
        return f"{_base36(self._base)}.{self._bits:x}" if self._bits else ""

    def add(self, day: str) -> tuple[bool, bool, bool]:
        """Add a day; tell whether the day, its ISO week and its month are new."""
        known = [*self]
        new_day = day not in known
        new_week = all(week_of(each) != week_of(day) for each in known)
        new_month = all(month_of(each) != month_of(day) for each in known)
        if new_day:
            place = date.fromisoformat(day).toordinal()
            if not self._bits:
                self._base = place
            elif place < self._base:
                self._bits <<= self._base - place
                self._base = place
            self._bits |= 1 << (place - self._base)
        return new_day, new_week, new_month

    def __iter__(self) -> Iterator[str]:
        """Yield the days in order."""
        bits, place = self._bits, self._base
        while bits:
            if bits & 1:
                yield date.fromordinal(place).isoformat()
            bits >>= 1
            place += 1


def _base36(number: int) -> str:
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    text = ""
    while number:
        number, rest = divmod(number, 36)
        text = digits[rest] + text
    return text or "0"


@dataclass(slots=True)
class Past:
    """A stream's past as far as the counters need it. Every member is a plain JSON value; see ``as_text``.

    - ``facts``: of a case: stage, region, portfolio, currency, placed_minor, placed_on, anchor (the oldest unpaid due
      date), agency, strategy (``<id>@<n>``, whose step the case took last), and once it ended ``end`` (state) and
      ``ended_on``; of an organisation: ``staff``, who works there;
    - ``days``: ``<flag>|<who>`` -> the days on which that was so;
    - ``paid``: payment -> [received on, amount, applied], standing payments only;
    - ``converted``: who -> months in which a contact led to a payment;
    - ``findings``: promise -> how much was paid by the last finding;
    - ``duties``: open duty -> kind; ``items``: what is to be answered -> [opened at, its day, agency, whether it was];
    - ``answers``: open duty -> the item that it answers; ``feedback`` and ``replies``: the same with entered feedback;
    - ``surveys``: survey that was sent -> [its day, agency, channel, whether it was answered or came back].
    """

    facts: dict[str, Any] = field(default_factory=dict)
    days: dict[str, str] = field(default_factory=dict)
    paid: dict[str, list[Any]] = field(default_factory=dict)
    converted: dict[str, list[str]] = field(default_factory=dict)
    findings: dict[str, int] = field(default_factory=dict)
    duties: dict[str, str] = field(default_factory=dict)
    items: dict[str, list[Any]] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)
    feedback: dict[str, list[Any]] = field(default_factory=dict)
    replies: dict[str, str] = field(default_factory=dict)
    surveys: dict[str, list[Any]] = field(default_factory=dict)

    def as_text(self) -> str:
        """Return the JSON form without empty members; ``""`` when there is nothing to know."""
        members = {name: value for name in self.__slots__ if (value := getattr(self, name))}
        return json.dumps(members, separators=(",", ":"), sort_keys=True) if members else ""


def past_from(text: str | None) -> Past:
    """Return the past whose text form this is; an empty one for None and ``""``."""
    return Past(**json.loads(text)) if text else Past()
