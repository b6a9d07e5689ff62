"""Until when a claim can be sued for: the limitation period with the ledger of what breaks and stops it.

The answer is a pair of days. ``expires_on`` is the last day (closed) that is certain from what is proven; ``may_reach_to``
the last day that somebody could argue for, with what is claimed but not proven. Whoever asks "may we still sue, may we
write that we could" takes the first, whoever asks "may the claim still live" the second. Entries may come in any order
and at any time: the answer is a function of the set of them.

Days are counted as the Civil Code of the PRC counts them (arts. 201-203): the first day is not counted, the last is the
corresponding day of the last month, or that month's end, and where it is a rest day the next working day is the last.
"""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from chalicelib.domain.duties.clock import CALENDARS, months_after

LAWS = Path(__file__).resolve().parents[2] / "litigation" / "limitation.toml"
"""Where the periods lie: one entry a place."""

Kind = Literal[
    "demand",
    "account_debit",
    "public_notice",
    "assignment_notice",
    "acknowledgement",
    "repayment_promise",
    "deferral_request",
    "security_given",
    "part_payment",
    "suit",
    "arbitration",
    "payment_order",
    "bankruptcy_claim",
    "preservation",
    "enforcement_application",
    "mediation_request",
    "police_report",
    "obstacle",
]
"""What the ledger records. An ``obstacle`` stops the period (art. 194: force majeure, no heir or guardian known yet, and the
like); everything else may break it."""


class Proof(StrEnum):
    """What shows that it happened: nothing, a record of ours, that it was sent, that it arrived, a signature, an office."""

    NONE = "none"
    RECORDED = "recorded"
    SENT = "sent"
    DELIVERED = "delivered"
    SIGNED = "signed"
    OFFICIAL = "official"


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Entry(_Value):
    """One entry of the ledger, on a local day of the place.

    ``until`` is the day on which a procedure ended or an obstacle went, None while it lasts. ``dropped``: the procedure
    was withdrawn or not admitted, so that it is open whether it broke anything. ``rest_waived``: the claim was made for a
    part and the rest was given up (SPC provisions on limitation art. 9). ``party`` is whom it was against or from.
    """

    id: str
    kind: Kind
    on: date
    until: date | None = None
    proof: Proof = Proof.NONE
    party: str | None = None
    dropped: bool = False
    rest_waived: bool = False
    reference: str | None = None
    sha256: str | None = None

    @model_validator(mode="after")
    def _ordered(self) -> "Entry":
        if self.until is not None and self.until < self.on:
            raise ValueError("it ends on the day it begins, or later")
        return self


class Interruption(_Value):
    """What breaks the period in a place, and what must show it. Without ``proof`` its effect is not known there."""

    kind: Kind
    proof: list[Proof] = []
    procedure: bool = False
    after_expiry: Literal["renews", "doubt", "nothing"]
    citation: str = Field(min_length=1)


class Obstacle(_Value):
    """Art. 194: an obstacle within the last ``window_months`` ends the period ``months`` after it goes."""

    window_months: Annotated[int, Field(gt=0)]
    months: Annotated[int, Field(gt=0)]


class Words(_Value):
    """A text in Chinese and English."""

    zh: str = Field(min_length=1)
    en: str = Field(min_length=1)


class Law(_Value):
    """The period of one place. ``from_`` and ``to`` are the local days in force, both closed."""

    place: Annotated[str, Field(pattern=r"^[A-Z]{2}(-[A-Z0-9]{1,3})?$")]
    title: Words
    years: Annotated[int, Field(gt=0, le=30)]
    start: Literal["last_instalment", "oldest_unpaid"]
    calendar: str | None = None
    long_stop_years: Annotated[int, Field(gt=0)] | None = None
    obstacle: Obstacle | None = None
    interruption: list[Interruption] = []
    citation: str = Field(min_length=1)
    source: str = Field(min_length=1)
    grade: Literal["statute", "regulation", "standard", "house"]
    confidence: Literal["source", "memory", "memory-weak", "infer"]
    from_: Annotated[date | None, Field(alias="from")] = None
    to: date | None = None
    checked: date
    provisional: bool = False
    note: Words

    @model_validator(mode="after")
    def _consistent(self) -> "Law":
        kinds = [each.kind for each in self.interruption]
        if len(set(kinds)) != len(kinds) or "obstacle" in kinds:
            raise ValueError("one entry for each kind that breaks the period")
        if self.confidence != "source" and not self.provisional:
            raise ValueError("what was not read in its source is provisional")
        if self.calendar is not None:
            rest_days(self.calendar)
        return self

    def breaks(self, kind: Kind) -> Interruption | None:
        """Return what the place says about a kind of entry, None when it says nothing."""
        return next((each for each in self.interruption if each.kind == kind), None)


@dataclass(frozen=True, slots=True)
class RestDays:
    """The arranged days of a calendar by year: days off, and weekend days on which people work."""

    off: Mapping[int, frozenset[date]]
    working: Mapping[int, frozenset[date]]


@cache
def rest_days(calendar: str) -> RestDays:
    """Return a calendar of public days off. Raises FileNotFoundError for one that there is not."""
    data = tomllib.loads((CALENDARS / f"{calendar}.toml").read_text(encoding="utf-8"))
    off, working = data["years"], data.get("working", {})
    return RestDays(
        {int(year): frozenset(days) for year, days in off.items()},
        {int(year): frozenset(working.get(year, ())) for year in off},
    )


@cache
def laws() -> tuple[Law, ...]:
    """Return every entry by place. Raises ValueError for malformed data and for two entries in force at one time."""
    data = tomllib.loads(LAWS.read_text(encoding="utf-8"))
    found = sorted(
        (Law.model_validate(each) for each in data["law"]), key=lambda law: (law.place, law.from_ or date.min)
    )
    for earlier, later in zip(found, found[1:], strict=False):
        overlap = earlier.to is None or later.from_ is None or earlier.to >= later.from_
        if earlier.place == later.place and overlap:
            raise ValueError(f"{later.place}: two entries in force at one time")
    return tuple(found)


def law_of(country: str, region: str | None, *, on: date) -> Law | None:
    """Return the entry in force on a day: the region's, else the country's; None where nothing is on file."""
    for place in (region, country):
        for law in laws():
            if law.place == place and (law.from_ is None or law.from_ <= on) and (law.to is None or on <= law.to):
                return law
    return None


# Days


def last_day(day: date, calendar: str | None) -> tuple[date, tuple[str, ...]]:
    """Return the last day of a period that would end on ``day``: itself, or the first working day after (art. 203).

    A year that is not arranged yet moves nothing, which is the earlier end, and is named.
    """
    if calendar is None:
        return day, ()
    known = rest_days(calendar)
    while True:
        if day.year not in known.off:
            return day, (f"calendar.{calendar}.{day.year}",)
        weekend = day.isoweekday() > 5 and day not in known.working[day.year]
        if not weekend and day not in known.off[day.year]:
            return day, ()
        day += timedelta(days=1)


# The calculation


def start_of(
    law: Law,
    *,
    last_due_on: date | None,
    oldest_unpaid_due_on: date | None,
    is_accelerated: bool = False,
    accelerated_on: date | None = None,
) -> date | None:
    """Return the day from which the period runs, None when it is not on file.

    An acceleration makes everything due at once: its day counts where it is the earlier one, and where its day is not on
    file the oldest unpaid instalment's, which is earlier still.
    """
    if law.start == "oldest_unpaid":
        return oldest_unpaid_due_on
    if not is_accelerated:
        return last_due_on
    early = accelerated_on or oldest_unpaid_due_on
    return min((day for day in (early, last_due_on) if day is not None), default=None)


Basis = Literal["computed", "stated", "unknown"]
"""Where an end comes from."""


@dataclass(frozen=True, slots=True)
class Stated:
    """The last day that somebody stated, and the day on which they did: what was before it is in it."""

    expires_on: date
    as_of: date


@dataclass(frozen=True, slots=True)
class Step:
    """What one entry did: ``effect`` is starts, breaks, renews, weighed (an obstacle), or why it did nothing."""

    entry: str | None
    kind: str
    on: date
    effect: str
    expires_on: date
    citation: str


@dataclass(frozen=True, slots=True)
class Limitation:
    """The answer for one claim on one day.

    ``expires_on`` is None when neither a law nor a statement says anything: a question for a person. ``pending`` says that
    a procedure or an obstacle lasts, so the end moves on with each day. ``basis`` names which end was the earlier.
    ``doubts`` are facts that were not on file or not proven: each could only make the end later, never earlier.
    """

    place: str
    basis: Basis
    starts_on: date | None
    expires_on: date | None
    may_reach_to: date | None
    pending: bool = False
    steps: tuple[Step, ...] = ()
    doubts: tuple[str, ...] = ()
    law: Law | None = None

    def is_barred(self, today: date) -> bool | None:
        """Tell whether the period is over, None when its end is unknown. The last day itself is in time."""
        return None if self.expires_on is None else today > self.expires_on

    def days_left(self, today: date) -> int | None:
        """Return how many days there still are, today not counted: 0 on the last day, less than 0 after it."""
        return None if self.expires_on is None else (self.expires_on - today).days


def limitation(
    entries: Iterable[Entry],
    *,
    country: str,
    region: str | None,
    today: date,
    start: date | None,
    stated: Stated | None = None,
) -> Limitation:
    """Return until when the claim can be sued for, as seen on the local day ``today``.

    ``start`` is the day from which the period runs, which is itself not counted: see ``start_of``. Entries after ``today`` are
    left out. Of the computed and the stated end the earlier counts; a break after the statement moves both. A statement
    where no law is on file stands as it is.
    """
    law = law_of(country, region, on=today)
    if law is None:
        place, ends = region or country, stated.expires_on if stated is not None else None
        return Limitation(
            place, "stated" if ends is not None else "unknown", None, ends, ends, doubts=(f"limitation.{place}",)
        )
    ledger = sorted((e for e in entries if e.on <= today), key=lambda e: (e.on, e.until or date.max, e.id))
    begun: list[tuple[Basis, Stated | None]] = []
    if start is not None:
        begun.append(("computed", None))
    if stated is not None:
        begun.append(("stated", stated))
    doubts = () if start is not None else ("limitation.start",)
    if not begun:
        return Limitation(law.place, "unknown", None, None, None, doubts=doubts, law=law)
    firm_by_basis = {name: _Chain(law, ledger, today, start, said, is_wide=False).run() for name, said in begun}
    basis, firm = min(firm_by_basis.items(), key=lambda item: item[1].end)
    return Limitation(
        place=law.place,
        basis=basis,
        starts_on=start,
        expires_on=firm.end,
        may_reach_to=max(_Chain(law, ledger, today, start, said, is_wide=True).run().end for _, said in begun),
        pending=firm.pending,
        steps=tuple(firm.steps),
        doubts=tuple(sorted({*doubts, *firm.doubts, *(("limitation.provisional",) if law.provisional else ())})),
        law=law,
    )


class _Chain:
    """The ledger applied to one beginning: a due date, or what somebody stated. ``is_wide`` counts what is claimed, too."""

    def __init__(
        self,
        law: Law,
        ledger: Sequence[Entry],
        today: date,
        start: date | None,
        stated: Stated | None,
        *,
        is_wide: bool,
    ) -> None:
        begin = start if stated is None else stated.as_of
        if begin is None:
            raise ValueError("a chain begins with a due date or a statement")
        self._law, self._ledger, self._today, self._is_wide = law, ledger, today, is_wide
        self._origin = start
        self._begin = begin
        self._obstacles = [each for each in ledger if each.kind == "obstacle" and law.obstacle is not None]
        self._in_procedure = False
        self._is_stopped = False
        self._doubts: set[str] = set()
        self.steps: list[Step] = []
        self.end = self._cut(self._stop(stated.expires_on if stated is not None else self._period()))

    @property
    def pending(self) -> bool:
        """Tell whether a procedure or an obstacle lasts, so that the end moves on with each day."""
        return self._in_procedure or self._is_stopped

    @property
    def doubts(self) -> set[str]:
        """Return what was not proven, and the years of the calendar that are not arranged yet."""
        return {*self._doubts, *last_day(self.end, self._law.calendar)[1]}

    def run(self) -> "_Chain":
        """Apply the entries in the order of their days."""
        law = self._law
        if law.from_ is not None and self._begin < law.from_:
            self._doubts.add("limitation.before_law")
        self.steps.append(Step(None, "start", self._begin, "starts", self.end, law.citation))
        for entry in self._ledger:
            if entry.kind == "obstacle":
                self._tell_obstacle(entry)
            else:
                self._apply(entry)
        return self

    def _tell_obstacle(self, entry: Entry) -> None:
        if self._law.obstacle is None:
            self._passed(entry, "not_known_here", self._law.citation, doubt=True)
        elif not self._is_shown(entry):
            self._passed(entry, "not_proven", self._law.citation, doubt=True)
        else:
            self._passed(entry, "weighed", self._law.citation)

    def _is_shown(self, obstacle: Entry) -> bool:
        return self._is_wide or obstacle.proof in (Proof.SIGNED, Proof.OFFICIAL)

    def _apply(self, entry: Entry) -> None:
        rule = self._law.breaks(entry.kind)
        if rule is None:
            self._passed(entry, "not_known_here", self._law.citation, doubt=True)
            return
        lasts = rule.procedure and entry.until is None
        begins = self._today if lasts else (entry.until or entry.on) if rule.procedure else entry.on
        if begins <= self._begin:
            self._passed(entry, "before_the_period", rule.citation)
        elif entry.rest_waived:
            self._passed(entry, "rest_waived", rule.citation)
        elif not self._is_wide and (entry.dropped or entry.proof not in rule.proof):
            self._passed(entry, "dropped" if entry.dropped else "not_proven", rule.citation, doubt=True)
        elif entry.on <= self.end or rule.after_expiry == "renews" or (self._is_wide and rule.after_expiry == "doubt"):
            effect = "breaks" if entry.on <= self.end else "renews"
            self._begin, self._in_procedure, self._is_stopped = begins, lasts, False
            # What breaks a period never shortens it, also where somebody stated a later end.
            self.end = self._cut(max(self.end, self._stop(self._period())))
            self.steps.append(Step(entry.id, entry.kind, entry.on, effect, self.end, rule.citation))
        else:
            self._passed(entry, "after_the_end", rule.citation, doubt=rule.after_expiry == "doubt")

    def _passed(self, entry: Entry, effect: str, citation: str, *, doubt: bool = False) -> None:
        if doubt:
            self._doubts.add(f"entry.{entry.id}.{effect}")
        self.steps.append(Step(entry.id, entry.kind, entry.on, effect, self.end, citation))

    def _period(self) -> date:
        return self._moved(months_after(self._begin, self._law.years * 12))

    def _stop(self, end: date) -> date:
        """Return the end as obstacles move it: one in the last window ends the period so long after it is gone."""
        rule = self._law.obstacle
        before = None
        while rule is not None and end != before:
            before = end
            for entry in self._obstacles:
                gone = entry.until or self._today
                reaches = entry.on <= end and gone > max(self._begin, months_after(end, -rule.window_months))
                later = self._moved(months_after(gone, rule.months))
                if reaches and self._is_shown(entry) and later > end:
                    end, self._is_stopped = later, entry.until is None
        return end

    def _cut(self, end: date) -> date:
        if self._law.long_stop_years is None or self._origin is None:
            return end
        return min(end, self._moved(months_after(self._origin, self._law.long_stop_years * 12)))

    def _moved(self, day: date) -> date:
        return last_day(day, self._law.calendar)[0]


# Guarantees


class GuaranteeLaw(_Value):
    """How long a guarantor can be claimed from where nothing is agreed. It neither stops, breaks nor extends."""

    place: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    months: Annotated[int, Field(gt=0)]
    calendar: str | None = None
    citation: str = Field(min_length=1)
    source: str = Field(min_length=1)
    grade: Literal["statute", "regulation", "standard", "house"]
    confidence: Literal["source", "memory", "memory-weak", "infer"]
    from_: Annotated[date, Field(alias="from")]
    checked: date
    note: Words


@cache
def guarantee_law(place: str) -> GuaranteeLaw | None:
    """Return the country's entry on guarantee periods, None where nothing is on file."""
    data = tomllib.loads(LAWS.read_text(encoding="utf-8"))
    return next((law for law in map(GuaranteeLaw.model_validate, data["guarantee"]) if law.place == place), None)


@dataclass(frozen=True, slots=True)
class Guarantee:
    """Where a guarantor stands: ``open`` while they can be claimed from, ``claimed`` in time, ``freed`` when not.

    ``ends_on`` is the last day (closed). ``starts_on`` is the day from which the limitation of the claim against the
    guarantor runs: None before the claim, and for a general guarantor until the debtor's assets proved not to be enough.
    """

    state: Literal["open", "claimed", "freed", "unknown"]
    ends_on: date | None
    claimed_on: date | None = None
    starts_on: date | None = None
    doubts: tuple[str, ...] = ()


Role = Literal["guarantor_joint", "guarantor_general"]
"""Whether a guarantor is liable with the debtor, or only when the debtor's assets are not enough."""

_GENERAL = frozenset({"suit", "arbitration"})
_JOINT = _GENERAL | {"demand", "payment_order"}


def guarantee(
    entries: Iterable[Entry],
    *,
    country: str,
    role: Role,
    main_due_on: date | None,
    agreed_until: date | None,
    today: date,
    exhausted_on: date | None = None,
) -> Guarantee:
    """Return where a guarantor stands on a local day (Civil Code arts. 692-694).

    ``entries`` are what was done against the guarantor where they are jointly liable, against the debtor where they are
    liable in the second place. An agreed end that is not after the main due date is taken as not agreed. ``exhausted_on``
    is the day on which the second guarantor's right to refuse ended.
    """
    law = guarantee_law(country)
    if law is None:
        return Guarantee("unknown", agreed_until, doubts=(f"guarantee.{country}",))
    doubts: tuple[str, ...] = ()
    if agreed_until is not None and (main_due_on is None or agreed_until > main_due_on):
        ends = agreed_until
    elif main_due_on is not None:
        ends, doubts = last_day(months_after(main_due_on, law.months), law.calendar)
    else:
        return Guarantee("unknown", None, doubts=("guarantee.start",))
    kinds = _JOINT if role == "guarantor_joint" else _GENERAL
    known = [each for each in entries if each.on <= today and each.kind in kinds and not each.dropped]
    shown = [each.on for each in known if _arrived(each) and each.on <= ends]
    doubts += tuple(sorted(f"entry.{each.id}.not_proven" for each in known if each.on <= ends and not _arrived(each)))
    if shown:
        claimed = min(shown)
        return Guarantee("claimed", ends, claimed, claimed if role == "guarantor_joint" else exhausted_on, doubts)
    return Guarantee("open" if today <= ends else "freed", ends, doubts=doubts)


def _arrived(entry: Entry) -> bool:
    if entry.kind == "demand":
        return entry.proof in (Proof.DELIVERED, Proof.SIGNED, Proof.OFFICIAL)
    return entry.proof in (Proof.RECORDED, Proof.SIGNED, Proof.OFFICIAL)
