"""A case: one overdue loan, placed by a lender, worked by at most one agency at a time."""

from datetime import date
from typing import Any

from pydantic import BaseModel, ConfigDict

from chalicelib.domain.cases.lifecycle import FINAL, WORKABLE, CaseState
from chalicelib.domain.cases.repayment_ledger import Instalment, Pause, Payment, RepaymentLedger, bucket_of
from chalicelib.domain.litigation.limitation import Entry
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

    ``instalments`` and ``charges`` are what was overdue when it was placed. What is owed of it now is the standing of its
    ``ledger``, kept beside it: ``owed`` by part (principal, interest, penalty, late_fee, management_fee, other), their sum
    ``amount_due_minor`` at ``amount_as_of``, and ``oldest_unpaid_due_on``, None when no instalment is unpaid. ``placed_to`` is the
    last day of the mandate (closed).
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
    oldest_unpaid_due_on: date | None
    instalments: tuple[Instalment, ...]
    charges: dict[str, int]
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
    pauses: tuple[Pause, ...] = ()
    holds: tuple[HoldEntry, ...] = ()
    notices: tuple[Notice, ...] = ()
    limitation_entries: tuple[Entry, ...] = ()
    litigation: str | None = None
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

    def is_workable_by(self, org: str) -> bool:
        """Tell whether an organisation may ask for contact: the assigned agency, or the lender, also before there is one."""
        if self.state is CaseState.PLACED:
            return org == self.tenant
        return self.is_workable and org in (self.agency, self.tenant)

    def admits(self, org: str, purpose: str | None, *, human: bool) -> bool:
        """Tell whether an organisation may ask for a contact of a purpose: whoever may work the case, and the lender also
        for a message that asks how satisfied somebody is whose case is settled. The ruling weighs either."""
        if purpose == "survey" and not human and self.state is CaseState.SETTLED:
            return org == self.tenant
        return self.is_workable_by(org)

    def role_of(self, person: str) -> str | None:
        """Return the role that the person plays here, or None when they are no party."""
        return next((party.role for party in self.parties if party.person == person), None)

    @property
    def ledger(self) -> RepaymentLedger:
        """Return what the amounts and the days past due are computed from."""
        return RepaymentLedger(self.country, self.instalments, self.charges, self.payments, self.pauses)

    def days_past_due(self, today: date) -> int:
        """Return the days past due on a business date, as the ledger counts them; 0 when nothing is overdue."""
        return self.ledger.standing(today).days_past_due

    def bucket(self, today: date) -> str:
        """Return the stage by days past due: CN M0..M7 in steps of 30 days, US current, 1-29, 30-59 ... 120+."""
        return bucket_of(self.days_past_due(today), country=self.country)

    def next_due_at(self) -> str | None:
        """Return the instant at which the clock must look at this case again, or None: a recall's or a promise's end."""
        lapses = () if self.state in FINAL else (p.lapses_at for p in self.promises if p.state == "open")
        return min((at for at in (self.recall_due_at, *lapses) if at is not None), default=None)
