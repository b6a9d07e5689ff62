"""Arrangements with a borrower: instalment plans, hardship plans and settlements, their life, and who may approve them.

An arrangement is proposed by an agency or by the lender and approved by the lender's people alone, by as many of them as the
lender's limits ask for, none of whom proposed it. Approved and agreed by the borrower it is active; then the ledger alone says
whether it is kept or broken, so a payment that is told late or reversed judges it anew.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, model_validator

from chalicelib.domain.cases.repayment_ledger import Payment, standing_payments
from chalicelib.domain.state_table import Move, Refuse, Reply, StateTable, Stay

GRACE_DAYS = 3
"""A part is paid in time up to so many days after its day (closed), as a promise is."""

WHOLE = 10_000


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ArrangementKind(StrEnum):
    """What is arranged. A settlement gives up the discount once all of it is paid; the others give up nothing by themselves."""

    PLAN = "plan"
    HARDSHIP = "hardship"
    SETTLEMENT = "settlement"


class ArrangementState(StrEnum):
    """Where an arrangement stands. Rejected and withdrawn are final; kept and broken follow the ledger."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    ACTIVE = "active"
    KEPT = "kept"
    BROKEN = "broken"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


class ArrangementEvent(StrEnum):
    """What can happen to an arrangement. ``keep``, ``break`` and ``reopen`` come from the ledger and the clock alone."""

    APPROVE = "approve"
    REJECT = "reject"
    AGREE = "agree"
    WITHDRAW = "withdraw"
    KEEP = "keep"
    BREAK = "break"
    REOPEN = "reopen"


_S, _E = ArrangementState, ArrangementEvent
ENDED = frozenset((_S.REJECTED, _S.WITHDRAWN))
LIVING = frozenset((_S.PROPOSED, _S.APPROVED, _S.ACTIVE))
"""At most one arrangement of a case is in one of these."""

_MOVES: dict[ArrangementEvent, dict[ArrangementState, ArrangementState]] = {
    _E.APPROVE: {_S.PROPOSED: _S.APPROVED},
    _E.REJECT: {_S.PROPOSED: _S.REJECTED},
    _E.AGREE: {_S.APPROVED: _S.ACTIVE},
    _E.WITHDRAW: dict.fromkeys(LIVING, _S.WITHDRAWN),
    _E.KEEP: dict.fromkeys((_S.ACTIVE, _S.BROKEN), _S.KEPT),
    _E.BREAK: dict.fromkeys((_S.ACTIVE, _S.KEPT), _S.BROKEN),
    _E.REOPEN: dict.fromkeys((_S.KEPT, _S.BROKEN), _S.ACTIVE),
}
_REPEATS: dict[ArrangementEvent, frozenset[ArrangementState]] = {
    _E.APPROVE: frozenset((_S.APPROVED,)),
    _E.REJECT: frozenset((_S.REJECTED,)),
    _E.AGREE: frozenset((_S.ACTIVE,)),
    _E.WITHDRAW: frozenset((_S.WITHDRAWN,)),
    _E.KEEP: frozenset((_S.KEPT, *ENDED)),
    _E.BREAK: frozenset((_S.BROKEN, *ENDED)),
    _E.REOPEN: frozenset((_S.ACTIVE, *ENDED)),
}


def _rule(state: ArrangementState, event: ArrangementEvent) -> Reply[ArrangementState]:
    target = _MOVES[event].get(state)
    if target is not None:
        return Move(target)
    if state in _REPEATS[event]:
        return Stay(f"nothing to do: the arrangement is {state}")
    return Refuse(f"an arrangement that is {state} cannot {event}")


TABLE = StateTable.ruled(ArrangementState, ArrangementEvent, _rule)
answer = TABLE.answer


class Part(_Value):
    """What is to be paid by a day, in minor units."""

    due_on: date
    amount_minor: int = Field(strict=True, gt=0, le=10**13)


class Arrangement(_Value):
    """An arrangement on a case. ``balance_minor`` is what was owed when it was proposed, in minor units of ``currency``.

    ``freeze_from`` to ``freeze_to`` (closed) are the days that a hardship plan takes out of the days past due, while it is not broken.
    ``agreed_on`` is the lender's local date from which payments count.
    """

    id: str
    case: str
    kind: ArrangementKind
    state: ArrangementState = ArrangementState.PROPOSED
    currency: str
    balance_minor: int
    parts: tuple[Part, ...] = Field(min_length=1, max_length=60)
    freeze_from: date | None = None
    freeze_to: date | None = None
    proposed_by: str
    proposed_for: str
    proposed_at: str
    proposed_on: date
    approved_by: tuple[str, ...] = ()
    agreed_on: date | None = None
    paid_minor: int = 0
    version: int = 1

    @model_validator(mode="after")
    def _days_rise(self) -> "Arrangement":
        days = [part.due_on for part in self.parts]
        if any(later <= earlier for earlier, later in zip(days, days[1:], strict=False)):
            raise ValueError("the days of the parts rise")
        return self

    @property
    def total_minor(self) -> int:
        """Return what is to be paid in all."""
        return sum(part.amount_minor for part in self.parts)

    @property
    def discount_minor(self) -> int:
        """Return what the lender gives up when all is paid; 0 for everything but a settlement."""
        return max(0, self.balance_minor - self.total_minor) if self.kind is ArrangementKind.SETTLEMENT else 0


class Limit(_Value):
    """Up to where so many approvals suffice (all bounds closed).

    The discount is bounded in basis points of the balance and in minor units, the parts in number, the days from today to the last.
    """

    max_discount_basis_points: int = Field(strict=True, ge=0, le=WHOLE)
    max_discount_minor: int = Field(strict=True, ge=0, le=10**13)
    max_parts: int = Field(strict=True, ge=1, le=60)
    max_days: int = Field(strict=True, ge=0, le=3_660)
    approvals: int = Field(strict=True, ge=1, le=3)

    def holds(self, arrangement: Arrangement, *, today: date) -> bool:
        """Tell whether the arrangement lies within (all bounds closed)."""
        return (
            arrangement.discount_minor * WHOLE <= self.max_discount_basis_points * arrangement.balance_minor
            and arrangement.discount_minor <= self.max_discount_minor
            and len(arrangement.parts) <= self.max_parts
            and (arrangement.parts[-1].due_on - today).days <= self.max_days
        )


class ApprovalPolicy(_Value):
    """A lender's limits by kind, the narrowest first.

    What lies beyond the last is approved by nobody; without a policy nothing is.
    """

    limits: dict[ArrangementKind, tuple[Limit, ...]]

    def approvals_for(self, arrangement: Arrangement) -> int | None:
        """Return how many of the lender's people must approve, None when nobody may."""
        found = self.limits.get(arrangement.kind, ())
        fitting = (limit for limit in found if limit.holds(arrangement, today=arrangement.proposed_on))
        return min((limit.approvals for limit in fitting), default=None)


@dataclass(frozen=True, slots=True)
class Approved:
    """The approval counts; ``is_complete`` when no further one is needed."""

    by: tuple[str, ...]
    is_complete: bool


def approve(policy: ApprovalPolicy, arrangement: Arrangement, *, by: str, is_lender: bool) -> Approved | Refuse:
    """Return what one person's approval does. ``by`` names the person, ``is_lender`` whether they are the lender's."""
    if not is_lender:
        return Refuse("only the lender's people approve")
    if by == arrangement.proposed_by:
        return Refuse("who proposed it does not approve it")
    needed = policy.approvals_for(arrangement)
    if needed is None:
        return Refuse("it lies beyond every limit")
    people = tuple(dict.fromkeys((*arrangement.approved_by, by)))
    return Approved(people, len(people) >= needed)


@dataclass(frozen=True, slots=True)
class Judged:
    """What the ledger says: the event that follows from it, None while it is on its way, and what was paid."""

    event: ArrangementEvent | None
    paid_minor: int


def judge(arrangement: Arrangement, payments: Iterable[Payment], *, today: date) -> Judged:
    """Return what became of an agreed arrangement by ``today`` (the lender's date), from the set of payments alone.

    Money from ``agreed_on`` on counts, by its value date. It is broken when on the last day of grace of a part less had come in
    than the parts up to it ask for, kept when all of it had come in in time. An arrangement that was not agreed is not judged.
    """
    if arrangement.agreed_on is None or arrangement.state not in (_S.ACTIVE, _S.KEPT, _S.BROKEN):
        return Judged(None, arrangement.paid_minor)
    money = [p for p in standing_payments(payments) if arrangement.agreed_on <= p.received_on <= today]
    paid = sum(payment.amount_minor for payment in money)
    wanted = 0
    for part in arrangement.parts:
        wanted += part.amount_minor
        last_day = part.due_on + timedelta(days=GRACE_DAYS)
        in_time = sum(payment.amount_minor for payment in money if payment.received_on <= last_day)
        if in_time < wanted and today > last_day:
            return Judged(_E.BREAK if arrangement.state is not _S.BROKEN else None, paid)
    reached = _S.KEPT if paid >= wanted else _S.ACTIVE
    if reached is arrangement.state:
        return Judged(None, paid)
    return Judged(_E.KEEP if reached is _S.KEPT else _E.REOPEN, paid)


def lapses_on(arrangement: Arrangement, payments: Sequence[Payment], *, today: date) -> date | None:
    """Return the first day on which an active arrangement would be broken if nothing more came in, None when it would not."""
    if arrangement.agreed_on is None or arrangement.state is not _S.ACTIVE:
        return None
    wanted = 0
    for part in arrangement.parts:
        wanted += part.amount_minor
        last_day = part.due_on + timedelta(days=GRACE_DAYS)
        if judge(arrangement, payments, today=max(today, last_day + timedelta(days=1))).event is _E.BREAK:
            return last_day + timedelta(days=1)
    return None
