"""What an agency earns on the money that came in while it held a case: schedules as dated data, and the lines they give.

A schedule's terms are made by the lender and accepted by the agency, version by version, each in force from the first day of a month
until the next. Lines are made by the month in which money was booked, so that a month that is over never changes.

Tiers are progressive, like a tax table: the part of the month's money that lies in a tier earns that tier's rate. Money
fills the tiers of its rate in the order in which it was booked.

Rounding. What a line earns is exact as a fraction of a minor unit. The lines of one rate in one month together are the exact sum,
rounded half to even: each is rounded down, and the units that are missing then go one each to the lines with the largest
remainders, among equal ones to those booked first. So a line is less than one minor unit from what it exactly earns, never below
0, and never above its payment unless the terms give more than the whole of it.

Claw-back. A payment that is taken back within ``claw_back_days`` (closed) of its value date gives back what its line earned; after
that it gives back nothing. One that is taken back in the month in which it was booked fills no tier.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum
from fractions import Fraction
from math import floor

from pydantic import BaseModel, ConfigDict, Field, model_validator

WHOLE = 10_000
"""Basis points of the whole."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Tier(_Value):
    """The rate of what lies above ``above_minor`` of a month's money, up to where the next tier begins (closed)."""

    above_minor: int = Field(strict=True, ge=0, le=10**15)
    rate_basis_points: int = Field(strict=True, ge=0, le=WHOLE)


class Rate(_Value):
    """What a kind of case earns: by stage of placement, age (the bucket when the money came) and product; None is any."""

    id: str = Field(pattern=r"^[a-z0-9_-]{1,40}$")
    stages: tuple[int, ...] | None = None
    buckets: tuple[str, ...] | None = None
    products: tuple[str, ...] | None = None
    tiers: tuple[Tier, ...] = Field(min_length=1, max_length=20)

    @model_validator(mode="after")
    def _tiers_rise(self) -> "Rate":
        starts = [tier.above_minor for tier in self.tiers]
        if starts[0] != 0 or any(later <= earlier for earlier, later in zip(starts, starts[1:], strict=False)):
            raise ValueError("the first tier begins above 0 and each next one higher")
        return self

    def applies_to(self, received: "Received") -> bool:
        """Tell whether money of this kind earns this rate."""
        wanted = ((self.stages, received.stage), (self.buckets, received.bucket), (self.products, received.product))
        return all(known is None or value in known for known, value in wanted)


class QualityStep(_Value):
    """The factor for a month whose rate of confirmed breaches is at most so many per million outbound contacts."""

    up_to_per_million: int = Field(strict=True, ge=0, le=1_000_000)
    factor_basis_points: int = Field(strict=True, ge=0, le=2 * WHOLE)


class Terms(_Value):
    """What lender and agency agree on. The first of ``rates`` that applies to money is its rate; without one it earns nothing.

    ``direct_basis_points`` is the share of the rate for money that the borrower paid to the lender by themselves (method ``direct``).
    ``quality`` rises; a month beyond its last step earns ``quality_beyond_basis_points`` of what it would.
    """

    currency: str = Field(pattern=r"^[A-Z]{3}$")
    rates: tuple[Rate, ...] = Field(min_length=1, max_length=100)
    direct_basis_points: int = Field(default=WHOLE, strict=True, ge=0, le=WHOLE)
    claw_back_days: int = Field(strict=True, ge=0, le=730)
    quality: tuple[QualityStep, ...] = Field(default=(), max_length=20)
    quality_beyond_basis_points: int = Field(default=WHOLE, strict=True, ge=0, le=2 * WHOLE)

    @model_validator(mode="after")
    def _names_and_steps(self) -> "Terms":
        if len({rate.id for rate in self.rates}) != len(self.rates):
            raise ValueError("each rate has its own id")
        ends = [step.up_to_per_million for step in self.quality]
        if any(later <= earlier for earlier, later in zip(ends, ends[1:], strict=False)):
            raise ValueError("the steps of quality rise")
        return self

    def factor(self, breaches: int, contacts: int) -> int:
        """Return the quality factor in basis points of a month; the whole when nothing was done or no step is agreed."""
        if not self.quality or not contacts:
            return WHOLE
        for step in self.quality:
            if breaches * 1_000_000 <= step.up_to_per_million * contacts:
                return step.factor_basis_points
        return self.quality_beyond_basis_points


class TermsState(StrEnum):
    """Where a version stands."""

    OFFERED = "offered"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"


class TermsVersion(_Value):
    """One version of the terms with an agency; accepted, it is in force from ``effective_from`` until a later one is."""

    agency: str
    number: int
    terms: Terms
    effective_from: date
    state: TermsState = TermsState.OFFERED
    made_by: str
    made_at: str
    decided_by: str | None = None
    decided_at: str | None = None
    version: int = 1


def in_force(versions: Iterable[TermsVersion], day: date) -> TermsVersion | None:
    """Return the version in force on a day: of those accepted and begun the one that began last, then the newest."""
    begun = [each for each in versions if each.state is TermsState.ACCEPTED and each.effective_from <= day]
    return max(begun, key=lambda each: (each.effective_from, each.number), default=None)


@dataclass(frozen=True, slots=True)
class Received:
    """Money that was booked on a case, with what its commission rests on, as it stood when it was booked.

    ``booked_at`` is the instant of booking, ``stage`` the placement's, ``bucket`` the case's on ``received_on``. ``placed_to`` is the
    mandate's last day (closed), ``left_on`` the day on which the agency ceased to hold the case, None while it holds it.
    """

    payment: str
    case: str
    amount_minor: int
    currency: str
    received_on: date
    booked_at: str
    stage: int
    bucket: str
    product: str
    placed_to: date
    left_on: date | None = None
    commissionable: bool = True
    method: str | None = None


@dataclass(frozen=True, slots=True)
class TakenBack:
    """A reversal of a payment, booked at an instant; ``received_on`` is the day on which the money was taken back."""

    reversal: str
    payment: str
    case: str
    amount_minor: int
    currency: str
    received_on: date
    booked_at: str


@dataclass(frozen=True, slots=True)
class Earned:
    """What an earlier line earned, and the value date of its payment."""

    commission_minor: int
    received_on: date


@dataclass(frozen=True, slots=True)
class Line:
    """One line: ``source`` is the payment or reversal that it comes from, ``payment`` the payment it is about.

    ``amount_minor`` is below 0 for money taken back, ``commission_minor`` for what is clawed back. ``why`` says how it came out: ``earned``,
    ``clawed_back``, or why it is nothing: ``not_commissionable``, ``outside_mandate``, ``after_recall``, ``other_currency``, ``no_rate``,
    ``after_window``, ``unknown_payment``.
    """

    source: str
    payment: str
    case: str
    booked_at: str
    received_on: date
    amount_minor: int
    currency: str
    rate: str | None
    commission_minor: int
    why: str


def lines_of(
    terms: Terms,
    received: Sequence[Received],
    taken_back: Sequence[TakenBack],
    *,
    earlier: Mapping[str, Earned],
    factor_basis_points: int = WHOLE,
) -> tuple[Line, ...]:
    """Return the lines of one month, one for each payment and reversal booked in it, in the order of booking.

    ``earlier`` says by payment what lines of earlier months earned. The result does not depend on the order in which
    ``received`` and ``taken_back`` come, and one that comes twice counts once.
    """
    money = sorted({each.payment: each for each in received}.values(), key=lambda each: (each.booked_at, each.payment))
    backs = sorted({each.reversal: each for each in taken_back}.values(), key=lambda e: (e.booked_at, e.reversal))
    gone = {back.payment for back in backs}
    exact: dict[str, Fraction] = {}
    filled: dict[str, int] = {}
    lines: dict[str, Line] = {}
    for each in money:
        why, rate = _judged(terms, each)
        if rate is not None:
            share = terms.direct_basis_points if each.method == "direct" else WHOLE
            start = filled.get(rate.id, 0)
            whole = Fraction(_in_tiers(rate.tiers, start, each.amount_minor), WHOLE)
            exact[each.payment] = whole * share * factor_basis_points / WHOLE**2
            if each.payment not in gone:
                filled[rate.id] = start + each.amount_minor
        lines[each.payment] = Line(
            source=each.payment,
            payment=each.payment,
            case=each.case,
            booked_at=each.booked_at,
            received_on=each.received_on,
            amount_minor=each.amount_minor,
            currency=each.currency,
            rate=None if rate is None else rate.id,
            commission_minor=0,
            why=why,
        )
    for payment, minor in _rounded(lines, exact, gone).items():
        lines[payment] = replace(lines[payment], commission_minor=minor)
    known = {**earlier, **{key: Earned(line.commission_minor, line.received_on) for key, line in lines.items()}}
    rows = [*lines.values(), *(_claw_back(terms, back, known.get(back.payment)) for back in backs)]
    return tuple(sorted(rows, key=lambda line: (line.booked_at, line.amount_minor < 0, line.source)))


def _judged(terms: Terms, money: Received) -> tuple[str, Rate | None]:
    """Return why money earns or does not, and its rate when it does. The day on which the case left still earns."""
    if not money.commissionable:
        return "not_commissionable", None
    if money.currency != terms.currency:
        return "other_currency", None
    if money.left_on is not None and money.received_on > money.left_on:
        return "after_recall", None
    if money.received_on > money.placed_to:
        return "outside_mandate", None
    rate = next((rate for rate in terms.rates if rate.applies_to(money)), None)
    return ("no_rate", None) if rate is None else ("earned", rate)


def _in_tiers(tiers: Sequence[Tier], start: int, amount: int) -> int:
    """Return what lies in the tiers of (``start``, ``start + amount``], times its rate in basis points."""
    total = 0
    for tier, following in zip(tiers, (*tiers[1:], None), strict=True):
        low = max(start, tier.above_minor)
        high = start + amount if following is None else min(start + amount, following.above_minor)
        total += max(0, high - low) * tier.rate_basis_points
    return total


def _rounded(lines: Mapping[str, Line], exact: Mapping[str, Fraction], gone: set[str]) -> dict[str, int]:
    """Return what each line earns in minor units. Those taken back stand apart: they are to vanish without a remainder."""
    found = {payment: round(value) if payment in gone else floor(value) for payment, value in exact.items()}
    by_rate: dict[str, list[str]] = {}
    for payment in exact:
        if payment not in gone:
            by_rate.setdefault(str(lines[payment].rate), []).append(payment)
    for payments in by_rate.values():
        missing = round(sum((exact[each] for each in payments), Fraction(0))) - sum(found[each] for each in payments)
        for payment in sorted(payments, key=lambda each: found[each] - exact[each])[:missing]:
            found[payment] += 1
    return found


def _claw_back(terms: Terms, back: TakenBack, earned: Earned | None) -> Line:
    if earned is None:
        minor, why = 0, "unknown_payment"
    elif back.received_on > earned.received_on + timedelta(days=terms.claw_back_days):
        minor, why = 0, "after_window"
    else:
        minor, why = -earned.commission_minor, "clawed_back"
    return Line(
        source=back.reversal,
        payment=back.payment,
        case=back.case,
        booked_at=back.booked_at,
        received_on=back.received_on,
        amount_minor=-back.amount_minor,
        currency=back.currency,
        rate=None,
        commission_minor=minor,
        why=why,
    )
