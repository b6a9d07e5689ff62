"""A history out of what is on file: the case with its record of payments, and the borrower's contact ledger."""

from collections.abc import Iterable
from datetime import date

from chalicelib.domain.behaviour.history import Contact, History
from chalicelib.domain.cases.case import Case
from chalicelib.domain.cases.repayment_ledger import Instalment, Payment, RepaymentLedger
from chalicelib.domain.people.person import ContactEntry, ContactLedger

TWO_WAY = frozenset({"conversation", "visited_met"})
ANSWERED = TWO_WAY | {"connected", "third_party_answered", "wrong_person"}
NOT_MADE = frozenset({"pending"})
"""Outcomes of the ledger: the borrower themselves, anybody, and what may still never leave."""

BY_PERSON = frozenset({"call", "visit"})


def history_of(case: Case, ledger: ContactLedger, *, zone: str) -> History:
    """Return the borrower's history on the case; ``ledger`` is theirs, over all of the lender's cases.

    Nothing of the person's own record enters it.
    """
    terms = case.loan.get("terms", {})
    instalment = terms.get("instalment_amount_minor")
    return History(
        zone=zone,
        ledgers=(before_placement(case), case.ledger),
        promises=case.promises,
        contacts=tuple(_contacts(ledger.history)),
        hardship_said_at=tuple(_instant(hold.from_) for hold in case.holds if hold.kind == "hardship"),
        instalment_minor=int(instalment) if instalment else None,
    )


def before_placement(case: Case) -> RepaymentLedger:
    """Return the instalments of the uploaded record that were settled before the oldest that was placed as unpaid."""
    oldest = min((each.due_on for each in case.instalments), default=date.max)
    dues, payments = [], []
    for row in case.payment_history:
        due_on, due, paid = date.fromisoformat(row["due_date"]), row["due_minor"], row.get("paid_minor", 0)
        if due_on >= oldest or paid < due or due == 0:
            continue
        dues.append(Instalment(due_on=due_on, owed={"principal": due}))
        payments.append(
            Payment(
                id=f"record_{row['period']}",
                amount_minor=paid,
                currency=case.currency,
                received_on=date.fromisoformat(row["paid_date"]),
            )
        )
    return RepaymentLedger(case.country, tuple(dues), {}, tuple(payments))


def _contacts(entries: Iterable[ContactEntry]) -> Iterable[Contact]:
    for entry in entries:
        if entry.outcome not in NOT_MADE:
            yield Contact(
                at=entry.at,
                channel=entry.channel,
                inbound=entry.direction == "in",
                by_person=entry.channel in BY_PERSON,
                answered=entry.outcome in ANSWERED,
                right_party=entry.direction == "out" and entry.outcome in TWO_WAY,
            )


def _instant(text: str) -> str:
    """Return an instant for the beginning of a hold, which a portfolio states as a day."""
    return f"{text}T00:00:00Z" if len(text) == 10 else text
