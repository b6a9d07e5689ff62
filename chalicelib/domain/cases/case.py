"""A case: one overdue loan, placed by a lender, worked by at most one agency at a time."""

from datetime import date
from typing import Any

from pydantic import BaseModel, ConfigDict

from chalicelib.domain.cases.lifecycle import FINAL, WORKABLE, CaseState
from chalicelib.domain.people.person import HoldEntry

SCHEMA = 1


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CaseParty(_Value):
    """A person's part in the case: ``role`` as in a dossier (debtor, co_borrower, guarantor_joint, ...)."""

    person: str
    role: str
    relation: str | None = None


class Promise(_Value):
    """A promise to pay: amount in minor units, the local date it is due, and how it ended (open, kept, broken).

    ``made_on`` is the lender's local date from which payments count; ``lapses_at`` the instant from which an unpaid
    promise is broken, grace included.
    """

    id: str
    person: str
    amount_minor: int
    currency: str
    due_on: date
    made_at: str
    state: str = "open"
    paid_minor: int = 0
    made_on: date | None = None
    lapses_at: str | None = None


class Payment(_Value):
    """Money received, or a reversal of it (``reversal_of`` names the payment). ``amount_minor`` is always above 0.

    ``split`` says which parts of what is owed it settled; what it exceeds them by was not owed.
    """

    id: str
    amount_minor: int
    currency: str
    received_on: date
    method: str | None = None
    reversal_of: str | None = None
    commissionable: bool = True
    split: dict[str, int] = {}


class Notice(_Value):
    """A formal notice on record, in the shape of a dossier's ``notices`` entry."""

    kind: str
    at: str
    medium: str | None = None
    party: str | None = None
    debt: str | None = None
    returned_at: str | None = None
    deadline: str | None = None
    esign_consent: bool | None = None


class Case(_Value):
    """One placement of one loan. Amounts are minor units of ``currency``; dates are in the lender's calendar.

    ``owed`` is the overdue split (principal, interest, penalty, late_fee, management_fee, other); its sum is
    ``amount_due_minor`` at ``amount_as_of``. ``placed_to`` is the last day of the mandate (closed).
    """

    id: str
    tenant: str
    portfolio: str
    account: str
    contract_no: str
    placement_stage: int
    placement_type: str
    state: CaseState = CaseState.PLACED
    agency: str | None = None
    parties: tuple[CaseParty, ...]
    product: str
    creditor_kind: str
    country: str
    region: str | None = None
    language: str
    currency: str
    owed: dict[str, int]
    amount_due_minor: int
    amount_as_of: str
    placed_minor: int
    oldest_unpaid_due_on: date
    days_past_due_at_placement: int
    business_date: date
    placed_from: str
    placed_to: str
    limitation_expires_on: date | None = None
    collection_began_on: date | None = None
    debt_facts: dict[str, Any] = {}
    loan: dict[str, Any] = {}
    vehicles: tuple[dict[str, Any], ...] = ()
    payment_history: tuple[dict[str, Any], ...] = ()
    promises: tuple[Promise, ...] = ()
    payments: tuple[Payment, ...] = ()
    holds: tuple[HoldEntry, ...] = ()
    notices: tuple[Notice, ...] = ()
    recall_due_at: str | None = None
    version: int = 1

    @property
    def debtor(self) -> str:
        """Return the person id of the borrower."""
        return next(party.person for party in self.parties if party.role == "debtor")

    @property
    def is_workable(self) -> bool:
        """Tell whether the assigned agency may ask for contact at all."""
        return self.state in WORKABLE

    def role_of(self, person: str) -> str | None:
        """Return the role that the person plays here, or None when they are no party."""
        return next((party.role for party in self.parties if party.person == person), None)

    def days_past_due(self, today: date) -> int:
        """Return whole days from the oldest unpaid due date to ``today``; 0 when nothing is overdue."""
        return 0 if self.amount_due_minor == 0 else max(0, (today - self.oldest_unpaid_due_on).days)

    def bucket(self, today: date) -> str:
        """Return the stage by days past due: CN M0..M7 in steps of 30 days, US current, 1-29, 30-59 ... 120+."""
        return bucket_of(self.days_past_due(today), country=self.country)

    def next_due_at(self) -> str | None:
        """Return the instant at which the clock must look at this case again, or None: a recall's or a promise's end."""
        lapses = () if self.state in FINAL else (p.lapses_at for p in self.promises if p.state == "open")
        return min((at for at in (self.recall_due_at, *lapses) if at is not None), default=None)


def bucket_of(days_past_due: int, *, country: str) -> str:
    """Return the bucket's label: China M1 = 1-30 and so on to M7 = 181+; elsewhere 1-29, 30-59, 60-89, 90-119, 120+."""
    if country == "CN":
        return f"M{min(7, -(-days_past_due // 30))}"
    if days_past_due <= 0:
        return "current"
    for low, high in ((1, 29), (30, 59), (60, 89), (90, 119)):
        if low <= days_past_due <= high:
            return f"{low}-{high}"
    return "120+"
