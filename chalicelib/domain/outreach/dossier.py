"""The dossier: everything that is known about one proposed contact, in the engine's own words.

Built anew for every ruling from strongly consistent reads. A fact that nobody recorded stays absent, so that a rule
which needs it answers ``review`` and never ``allow``.
"""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from chalicelib.domain.cases.case import Case
from chalicelib.domain.cases.lifecycle import CaseState
from chalicelib.domain.cases.organisations import Agency, Collector, Lender
from chalicelib.domain.instants import local_date, to_seconds_text
from chalicelib.domain.litigation.ledger import limitation_of
from chalicelib.domain.outreach.attempt import Attempt
from chalicelib.domain.people.person import ContactLedger, ContactPoint, Person

_DEBT_STATUS = {
    CaseState.SETTLED: "settled",
    CaseState.RECALLED: "recalled",
    CaseState.RETURNED: "returned",
    CaseState.WRITTEN_OFF: "written_off",
    CaseState.LEGAL: "litigation",
}

LINE_KINDS = {"sms": "mobile", "call": "landline", "email": "email", "wechat": "wechat"}
"""The kind of contact point that the sender's own line has on each channel."""


def build(
    attempt: Attempt,
    *,
    case: Case,
    lender: Lender,
    agency: Agency | None,
    collector: Collector | None,
    persons: Mapping[str, Person],
    ledgers: Mapping[str, ContactLedger],
    now: datetime,
) -> dict[str, Any]:
    """Return the dossier of an attempt at the instant ``now``.

    ``agency`` is None when the lender acts itself; ``persons`` and ``ledgers`` cover every party of the case.
    """
    history = _history(ledgers)
    for entry in history:
        if "debts" in entry:
            entry["debts"] = list(entry["debts"])
    line = f"line_{attempt.org}_{attempt.channel}"
    points = {point.id: _point(point, person.id) for person in persons.values() for point in person.points}
    if attempt.channel in LINE_KINDS:
        points[line] = {
            "party": attempt.org,
            "kind": LINE_KINDS[attempt.channel],
            "personal_device": False,
            "registered_line": True,
            "corporate_account": True,
        }
    debts = {case.id: _debt(case, lender, ledgers, now)}
    for entry in history:
        for debt in entry.get("debts", ()):
            debts.setdefault(debt, {"creditor": lender.id})
    orgs: dict[str, Any] = {lender.id: {"role": "creditor", "licensed": lender.licensed}}
    if agency is not None:
        orgs[agency.id] = _agency(agency)
    for entry in history:
        if "org" in entry:
            orgs.setdefault(entry["org"], {"role": "agency"})
    collectors: dict[str, Any] = {}
    if collector is not None:
        collectors[collector.id] = _collector(collector, case.country)
    for entry in history:
        if "collector" in entry:
            collectors.setdefault(entry["collector"], {"org": entry.get("org", attempt.org)})
    return {
        "id": attempt.id,
        "at": to_seconds_text(now),
        "act": _act(attempt, case=case, line=line, history=history, now=now),
        "parties": {party.person: _party(persons[party.person], party.role) for party in case.parties},
        "points": points,
        "debts": debts,
        "orgs": orgs,
        "collectors": collectors,
        "history": history,
        "consents": [entry.model_dump(exclude_none=True) for ledger in ledgers.values() for entry in ledger.consents],
        "holds": [_hold(hold) for hold in case.holds]
        + [_hold(hold) for ledger in ledgers.values() for hold in ledger.holds],
        "notices": [notice.model_dump(exclude_none=True) for notice in case.notices],
    }


def _history(ledgers: Mapping[str, ContactLedger]) -> list[dict[str, Any]]:
    """Return the contacts with every party, each under an id of its own.

    A contact with a person who is two parties of one case by two records stands in the dossier for both.
    """
    found: list[dict[str, Any]] = []
    seen: dict[str, int] = {}
    for ledger in ledgers.values():
        for entry in ledger.history:
            told = entry.model_dump(exclude_none=True)
            again = seen[entry.id] = seen.get(entry.id, 0) + 1
            if again > 1:
                told["id"] = f"{entry.id[:70]}-again{again}"
            found.append(told)
    return found


def _act(attempt: Attempt, *, case: Case, line: str, history: list[dict[str, Any]], now: datetime) -> dict[str, Any]:
    earlier = [
        entry
        for entry in history
        if entry["direction"] == "out" and entry.get("org") == attempt.org and case.id in entry.get("debts", ())
    ]
    content: dict[str, Any] = {
        "disclosures": list(attempt.disclosures),
        "claims": list(attempt.claims),
        "first": not earlier,
        "exposure": "private",
    }
    if attempt.language is not None:
        content["language"] = attempt.language
    if attempt.template is not None:
        content["template"] = attempt.template
        content["template_approved"] = True
    if attempt.body is not None:
        # What people see first is read like the rest: a subject holds no word that the text may not hold.
        content["text"] = attempt.body if attempt.subject is None else f"{attempt.subject}\n{attempt.body}"
        if attempt.template is None:
            content["template_approved"] = False
    if attempt.amount_minor is not None:
        content["amount_minor"] = attempt.amount_minor
        content["amount_as_of"] = attempt.amount_as_of
    act: dict[str, Any] = {
        "channel": attempt.channel,
        "purpose": attempt.purpose,
        "to": attempt.person,
        "point": attempt.point,
        "debts": [case.id],
        "org": attempt.org,
        "content": content,
        **attempt.act,
    }
    if attempt.collector is not None:
        act["collector"] = attempt.collector
    if attempt.channel in LINE_KINDS:
        act["from"] = line
    if attempt.reply_to is not None:
        act["reply_to"] = attempt.reply_to
    return act


def _party(person: Person, role: str) -> dict[str, Any]:
    party: dict[str, Any] = {"role": role, "employer_forbids_work_contact": person.employer_forbids_work_contact}
    residences = [residence.model_dump(exclude_none=True) for residence in person.residences]
    if len(residences) == 1:
        party["residence"] = residences[0]
    elif residences:
        party["residences"] = residences
    if person.zones:
        party["zones"] = zones_of(person)
    if person.birth_date is not None:
        party["birth_date"] = person.birth_date.isoformat()
    if person.lost_contact is not None:
        lost = person.lost_contact.model_dump(exclude_none=True)
        lost["failed_dials"] = list(person.lost_contact.failed_dials)
        party["lost_contact"] = lost
    if person.attorney is not None:
        party["attorney"] = person.attorney.model_dump(exclude_none=True)
    for name in ("spouse_of", "stop_requested_at", "in_xinjiang", "language"):
        value = getattr(person, name)
        if value is not None:
            party[name] = value
    return party


def zones_of(person: Person) -> list[str]:
    """Return every zone that the file suggests for the person, sorted: stated, or by the address or code of any point.

    An explicit list stands for the whole file, so it must not leave out what an area code says (12 CFR 1006, comment
    6(b)(1)(i)-2).
    """
    found = set(person.zones)
    for point in person.points:
        found.update(point.zones, point.area_zones)
    return sorted(found)


def _point(point: ContactPoint, party: str) -> dict[str, Any]:
    fact: dict[str, Any] = {
        "party": party,
        "kind": point.kind,
        "status": point.status,
        "source": point.source,
        "employer_provided": point.employer_provided,
        "public_domain": point.public_domain,
        "third_party_seen": point.third_party_seen,
    }
    if point.place is not None:
        fact["place"] = point.place
    if point.zones:
        fact["zones"] = list(point.zones)
    if point.area_zones:
        fact["area_zones"] = list(point.area_zones)
    return fact


def _debt(case: Case, lender: Lender, ledgers: Mapping[str, ContactLedger], now: datetime) -> dict[str, Any]:
    today = local_date(now, lender.zone)
    debt: dict[str, Any] = {
        "product": case.product,
        "creditor": lender.id,
        "creditor_kind": case.creditor_kind,
        "status": _DEBT_STATUS.get(case.state, "open"),
        "days_past_due": case.days_past_due(today),
        "placed_from": case.placed_from,
        "placed_to": case.placed_to,
        "amount_due_minor": case.amount_due_minor,
        "amount_as_of": balance_as_of(case, lender),
        "currency": case.currency,
        **case.debt_facts,
    }
    contacts = (entry for ledger in ledgers.values() for entry in ledger.history)
    expires_on = limitation_of(case, contacts, zone=lender.zone, today=today).expires_on
    if expires_on is not None:
        debt["limitation_expires_on"] = expires_on.isoformat()
    if case.collection_began_on is not None:
        debt["collection_began_on"] = case.collection_began_on.isoformat()
    return debt


def balance_as_of(case: Case, lender: Lender) -> str:
    """Return the instant up to which the case's balance is known to hold every payment (RFC 3339)."""
    confirmed = lender.balances_confirmed_at
    return max(case.amount_as_of, confirmed) if confirmed is not None else case.amount_as_of


def _agency(agency: Agency) -> dict[str, Any]:
    fact: dict[str, Any] = {
        "role": "agency",
        "listed_from": _date(agency.listed_from),
        "suspended": agency.suspended,
        "licensed": agency.licensed,
    }
    if agency.listed_to is not None:
        fact["listed_to"] = _date(agency.listed_to)
    if agency.inspected_on is not None:
        fact["inspected_on"] = _date(agency.inspected_on)
    return fact


def _collector(collector: Collector, country: str) -> dict[str, Any]:
    """Return the collector with the last day of the certificate for the case's country; None where there is none."""
    return {
        "org": collector.org,
        "no_contact_with": list(collector.no_contact_with),
        "certified_to": _date(None if collector.left else collector.certified.get(country)),
    }


def _hold(hold: Any) -> dict[str, Any]:
    fact: dict[str, Any] = hold.model_dump(by_alias=True, exclude_none=True, exclude={"id"})
    if "kinds_exempt" in fact:
        fact["kinds_exempt"] = list(fact["kinds_exempt"])
    return fact


def _date(value: date | None) -> str | None:
    return None if value is None else value.isoformat()
