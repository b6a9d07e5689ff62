"""The limitation ledger of a case: what was entered by hand, and what the case and its contacts show by themselves."""

from collections.abc import Iterable
from datetime import date

from chalicelib.domain.cases.case import Case
from chalicelib.domain.instants import from_text, local_date
from chalicelib.domain.litigation.limitation import (
    Entry,
    Guarantee,
    Limitation,
    Proof,
    Role,
    Stated,
    guarantee,
    law_of,
    limitation,
    start_of,
)
from chalicelib.domain.people.person import ContactEntry

LIABLE = frozenset({"debtor", "co_borrower"})
"""What happens to one of them counts against all of them (SPC provisions on limitation art. 15)."""

DEMANDS = frozenset({"demand", "remedy_notice"})
WRITTEN = frozenset({"sms", "email", "wechat", "letter"})
_GUARANTORS: dict[str, Role] = {"guarantor_joint": "guarantor_joint", "guarantor_general": "guarantor_general"}
_ARRIVAL = {"delivered": Proof.DELIVERED, "sent": Proof.SENT, "unknown": Proof.SENT}


def entries_of(case: Case, contacts: Iterable[ContactEntry], *, zone: str) -> list[Entry]:
    """Return every entry: by hand, payments that held, promises, and written demands on this debt.

    ``contacts`` are the histories of the parties; ``zone`` is the lender's, whose days count. A promise that only we
    recorded is claimed and not proven; a demand is proven by its delivery, not by its sending.
    """
    reversed_ = {payment.reversal_of for payment in case.payments}
    found = list(case.limitation_entries)
    found += [
        Entry(id=payment.id, kind="part_payment", on=payment.received_on, proof=Proof.RECORDED)
        for payment in case.payments
        if payment.reversal_of is None and payment.id not in reversed_
    ]
    found += [
        Entry(
            id=promise.id,
            kind="repayment_promise",
            on=promise.made_on or local_date(from_text(promise.made_at), zone),
            proof=Proof.RECORDED,
            party=promise.person,
        )
        for promise in case.promises
    ]
    for contact in contacts:
        demands = contact.purpose in DEMANDS and contact.channel in WRITTEN and contact.direction == "out"
        if demands and contact.outcome in _ARRIVAL and case.id in (contact.debts or ()):
            on = local_date(from_text(contact.at), zone)
            proof = _ARRIVAL[contact.outcome]
            found.append(Entry(id=contact.id, kind="demand", on=on, proof=proof, party=contact.party))
    return found


def limitation_of(case: Case, contacts: Iterable[ContactEntry], *, zone: str, today: date) -> Limitation:
    """Return until when the case's claim can be sued for, as seen on the lender's day ``today``.

    The lender's own date from the upload is a statement as of the upload; the earlier end counts. Entries about parties who are not
    liable for the main debt are left out.
    """
    liable = {party.person for party in case.parties if party.role in LIABLE}
    entries = [e for e in entries_of(case, contacts, zone=zone) if e.party is None or e.party in liable]
    law = law_of(case.country, case.region, on=today)
    start = None
    if law is not None:
        start = start_of(
            law,
            last_due_on=_last_due(case),
            oldest_unpaid_due_on=case.oldest_unpaid_due_on,
            is_accelerated=bool(case.loan.get("terms", {}).get("accelerated")),
        )
    stated = Stated(case.limitation_expires_on, case.business_date) if case.limitation_expires_on is not None else None
    return limitation(entries, country=case.country, region=case.region, today=today, start=start, stated=stated)


def claim_lives_until(case: Case, contacts: Iterable[ContactEntry], *, zone: str, today: date) -> date | None:
    """Return the last day on which the claim may still live, proven or not; None when nobody knows."""
    return limitation_of(case, contacts, zone=zone, today=today).may_reach_to


def guarantees_of(
    case: Case, contacts: Iterable[ContactEntry], *, zone: str, today: date
) -> list[tuple[str, Guarantee]]:
    """Return where each guarantor of the case stands, by person."""
    entries, found = entries_of(case, contacts, zone=zone), []
    until = case.debt_facts.get("guarantee_until")
    debtors = {party.person for party in case.parties if party.role in LIABLE}
    for party in case.parties:
        role = _GUARANTORS.get(party.role)
        if role is None:
            continue
        against = {party.person} if role == "guarantor_joint" else {None, *debtors}
        stands = guarantee(
            [entry for entry in entries if entry.party in against],
            country=case.country,
            role=role,
            main_due_on=_last_due(case),
            agreed_until=date.fromisoformat(until) if until else None,
            today=today,
        )
        found.append((party.person, stands))
    return found


def _last_due(case: Case) -> date | None:
    text = case.loan.get("terms", {}).get("maturity_date")
    return date.fromisoformat(text) if text else None
