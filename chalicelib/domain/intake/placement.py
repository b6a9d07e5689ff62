"""Placement: a canonical row becomes a case, the persons in it, and what their contact ledgers learn from the file."""

import hashlib
import re
from calendar import monthrange
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol

from chalicelib.domain.cases.case import Case, CaseParty, Notice, Promise
from chalicelib.domain.cases.organisations import Lender
from chalicelib.domain.cases.repayment_ledger import Instalment, bucket_of, days_past_due
from chalicelib.domain.intake.judge import Taken
from chalicelib.domain.intake.row import GivenNotice, Party, Payment, PriorContact, Row
from chalicelib.domain.people.person import (
    Attorney,
    ConsentEntry,
    ContactEntry,
    ContactLedger,
    ContactPoint,
    HoldEntry,
    Person,
    Residence,
)


class Identities(Protocol):
    """Ids and blind indexes under the lender's index key."""

    def person_id(self, label: str, value: str) -> str:
        """Return the id of the person whom the value names."""
        ...

    def case_id(self, account: str, placement_stage: int) -> str:
        """Return the id of the placement."""
        ...

    def blind_index(self, label: str, value: str) -> str:
        """Return 32 hexadecimal digits for a normalised value."""
        ...


@dataclass(frozen=True, slots=True)
class Placement:
    """What one row makes: the case at version 1, its persons, and the ledgers that are not empty, all at version 1."""

    row: int
    line: int
    digest: str
    case: Case
    persons: tuple[Person, ...]
    ledgers: tuple[ContactLedger, ...]
    placed_event: dict[str, Any]


def place(taken: Taken, *, tenant: str, portfolio: str, lender: Lender, ids: Identities) -> Placement:
    """Return the case, persons and ledgers of a row that was taken; the same row always gives the same."""
    row = taken.record
    digest = digest_of(row)
    case_id = ids.case_id(*row.key)
    who = {party.party_id: person_id(party, row, ids) for party in row.parties}
    debtor = who[row.borrower.party_id]
    persons = tuple(_person(party, who[party.party_id], debtor, ids) for party in row.parties)
    ledgers = tuple(
        ledger
        for party, person in zip(row.parties, persons, strict=True)
        if (ledger := _ledger(party, person, row, case_id, tenant, ids)) is not None
    )
    case = _case(taken, digest, case_id, who, tenant, portfolio, lender)
    return Placement(taken.row, taken.line, digest, case, persons, ledgers, _placed_event(case, row, portfolio, ids))


def digest_of(row: Row) -> str:
    """Return the SHA-256 (hex) of the canonical row: equal for the same content in any format."""
    return hashlib.sha256(row.model_dump_json(exclude_defaults=True).encode()).hexdigest()


def person_id(party: Party, row: Row, ids: Identities) -> str:
    """Return the id of a party's person: by national id, else by the lender's number, else by account and party."""
    if party.national_id is not None:
        return ids.person_id("national_id", f"{party.national_id_country}:{party.national_id}")
    if party.customer_no is not None:
        return ids.person_id("customer", party.customer_no)
    return ids.person_id("account_party", f"{row.loan.lender_account_id}|{party.party_id}")


# Persons


def _person(party: Party, identity: str, debtor: str, ids: Identities) -> Person:
    attorney = party.represented_by_attorney
    return Person(
        id=identity,
        name=party.name,
        name_local=party.name_local,
        birth_date=party.birth_date,
        national_id=party.national_id,
        language=language_of(party),
        residences=_residences(party),
        zones=(party.time_zone,) if party.time_zone else (),
        points=tuple(_points(party, ids)),
        spouse_of=debtor if party.role == "spouse" or (party.relation == "spouse" and identity != debtor) else None,
        employer_forbids_work_contact=party.employer_forbids_work_contact,
        attorney=Attorney(name=attorney.attorney_name, since=_text(attorney.date))
        if attorney is not None and attorney.value
        else None,
        in_xinjiang=party.region == "CN-XJ" if party.region or party.country not in (None, "CN") else None,
        version=1,
    )


_OWN_LANGUAGE = {"CN": "zh", "TW": "zh", "HK": "zh", "MO": "zh", "US": "en", "GB": "en"}


def language_of(party: Party) -> str | None:
    """Return the language to write in (primary subtag): as the file says, else the country's own, else None."""
    if party.language is not None:
        return party.language.split("-")[0]
    return _OWN_LANGUAGE.get(party.country or "")


def _residences(party: Party) -> tuple[Residence, ...]:
    found = []
    if party.country is not None:
        found.append(Residence(country=party.country, region=party.region, city=party.city, postal_code=party.postcode))
    for address in party.addresses:
        country = address.country or party.country
        is_elsewhere = all((country, address.region) != (known.country, known.region) for known in found)
        if address.kind == "living" and country is not None and address.region is not None and is_elsewhere:
            found.append(
                Residence(country=country, region=address.region, city=address.city, postal_code=address.postcode)
            )
    return tuple(found)


def _points(party: Party, ids: Identities) -> Iterable[ContactPoint]:
    for phone in party.phones:
        kind = phone.line or "mobile"
        zones = _zones_of_number(phone.value)
        yield _point(phone, kind, phone.value, ids, place=phone.place, area_zones=zones)
    for email in party.emails:
        yield _point(email, "email", email.value, ids, place=email.place)
    for wechat in party.wechats:
        yield _point(wechat, "wechat", wechat.value, ids, place=wechat.place)
    for address in party.addresses:
        lines = (address.value, address.line2, address.line3)
        place = address.place or {"living": "home", "work": "work"}.get(address.kind, "other")
        yield _point(address, "address", ", ".join(line for line in lines if line), ids, place=place)


def _point(
    point: Any, kind: str, value: str, ids: Identities, *, place: str | None, area_zones: tuple[str, ...] = ()
) -> ContactPoint:
    return ContactPoint(
        id=point_id(kind, value, ids),
        kind=kind,
        value=value,
        place=place,
        status=point.status,
        source=point.source,
        employer_provided=point.employer_provided,
        public_domain=point.public_domain,
        third_party_seen=point.third_party_seen,
        area_zones=area_zones,
        first_seen=point.first_seen,
        last_verified=point.verified_date,
        preference=point.preference,
        do_not_use=point.do_not_use,
    )


def point_id(kind: str, value: str, ids: Identities) -> str:
    """Return the id of a contact point: the same value is the same point in every upload."""
    return "pt_" + ids.blind_index("point", f"{'phone' if kind in ('mobile', 'landline') else kind}|{value}")[:20]


_UNKNOWN_ZONE = "Etc/Unknown"


def _zones_of_number(number: str) -> tuple[str, ...]:
    """Return the IANA zones that a number's prefix is used in; none for a number that may be anywhere."""
    from phonenumbers import parse
    from phonenumbers.timezone import time_zones_for_number

    zones = tuple(zone for zone in time_zones_for_number(parse(number)) if zone != _UNKNOWN_ZONE)
    return zones if len(zones) <= _MOST_AREA_ZONES else ()


_MOST_AREA_ZONES = 8
"""A prefix with more zones than this (a toll-free one) says nothing about where the person is."""


# Ledgers

_PERSON_HOLDS = {
    "deceased": "deceased",
    "bankrupt": "bankruptcy",
    "active_duty": "military_service",
    "incapacitated": "serious_illness",
    "represented_by_attorney": "attorney",
    "cease_contact": "cease",
}
"""Flags that follow the person over all of the lender's cases -> kind of the hold."""

_DEBT_HOLDS = {
    "in_dispute": "dispute",
    "hardship": "hardship",
    "identity_theft": "identity_theft",
    "vulnerable": "legal_review",
    "minor": "legal_review",
}
"""Flags that concern this debt -> kind of the hold."""


def _ledger(party: Party, person: Person, row: Row, case_id: str, tenant: str, ids: Identities) -> ContactLedger | None:
    history = tuple(
        _history(contact, person, case_id, tenant, ids)
        for contact in row.prior_contacts
        if row.party_of(contact.party).party_id == party.party_id
    )
    consents = tuple(sorted(_consents(party, person, row, ids), key=lambda entry: entry.at))
    holds = tuple(_flag_holds(party, person.id, _PERSON_HOLDS, debt=None))
    if not (history or consents or holds):
        return None
    return ContactLedger(person=person.id, version=1, history=history, consents=consents, holds=holds)


def _history(contact: PriorContact, person: Person, case_id: str, tenant: str, ids: Identities) -> ContactEntry:
    point = next((known.id for known in person.points if known.value == contact.point), None)
    told = f"{person.id}|{contact.at}|{contact.channel}|{contact.direction}|{contact.point or ''}"
    return ContactEntry(
        id="prior_" + ids.blind_index("prior_contact", told)[:20],
        at=contact.at,
        direction=contact.direction,
        channel=contact.channel,
        party=person.id,
        outcome=contact.outcome,
        point=point,
        org=tenant if contact.org in (None, "lender") else ids.blind_index("org", contact.org or "")[:20],
        debts=(case_id,),
    )


def _consents(party: Party, person: Person, row: Row, ids: Identities) -> Iterable[ConsentEntry]:
    listed = (("mobile", party.phones), ("email", party.emails), ("wechat", party.wechats))
    for kind, points in listed:
        for point in points:
            identity = point_id(kind, point.value, ids)
            for consent in point.consents:
                if consent.state != "unknown" and consent.at is not None:
                    yield ConsentEntry(
                        at=consent.at,
                        party=person.id,
                        event=consent.state,
                        point=identity,
                        medium=consent.medium,
                        scope="address",
                        expires=_text(consent.expires),
                        purpose=consent.purpose,
                    )
    for phone in party.phones:
        if phone.reassigned_check_date is not None:
            yield ConsentEntry(
                at=f"{phone.reassigned_check_date}T00:00:00Z",
                party=person.id,
                event="reassigned_check",
                point=point_id("mobile", phone.value, ids),
            )
    stated = f"{row.loan.as_of_date}T00:00:00Z"
    if party.inconvenient_times is not None:
        yield ConsentEntry(
            at=stated,
            party=person.id,
            event="inconvenient_time",
            medium="all",
            times=_times(party.inconvenient_times),
        )
    if party.inconvenient_place is not None:
        yield ConsentEntry(
            at=stated, party=person.id, event="inconvenient_place", medium="all", place=party.inconvenient_place
        )


_HOURS = re.compile(r"(?:([1-7])(?:-([1-7]))? )?(\d\d:\d\d)-(\d\d:\d\d)")


def _times(hours: str) -> dict[str, object]:
    found = _HOURS.fullmatch(hours)
    if found is None:
        raise ValueError("hours that were not checked")
    first, last, begin, end = found.groups()
    times: dict[str, object] = {"from": begin, "to": end}
    if first is not None:
        times["weekdays"] = list(range(int(first), int(last or first) + 1))
    return times


def _flag_holds(party: Party, person: str, kinds: dict[str, str], *, debt: str | None) -> Iterable[HoldEntry]:
    for name, kind in kinds.items():
        flag = getattr(party, name)
        if flag is None or not flag.value or flag.date is None:
            continue
        details: dict[str, Any] = {"chapter": getattr(flag, "chapter", None)}
        yield HoldEntry(
            **{
                "id": f"hold_placed_{name}" if debt is None else f"hold_placed_{name}_{party.party_id}",
                "kind": kind,
                "from": flag.date.isoformat(),
                "party": person,
                "debt": debt,
                "until": _text(flag.until),
                **details,
            }
        )


# Cases


def _case(
    taken: Taken, digest: str, case_id: str, who: dict[str, str], tenant: str, portfolio: str, lender: Lender
) -> Case:
    row = taken.record
    batch, loan, overdue = row.batch, row.loan, row.overdue
    debtor = who[row.borrower.party_id]
    owed = {name.removesuffix("_minor"): getattr(overdue, name) for name in type(overdue).model_fields}
    total = owed.pop("total")
    instalments, charges = opening_of(row, owed)
    return Case(
        id=case_id,
        tenant=tenant,
        portfolio=portfolio,
        account=loan.lender_account_id,
        contract_no=loan.contract_no,
        placement_stage=batch.placement_stage,
        placement_type=batch.placement_type,
        parties=tuple(_parties(row, who)),
        product=loan.product,
        creditor_kind=lender.creditor_kind,
        country=row.country,
        region=row.borrower.region,
        language=language_of(row.borrower) or "en",
        currency=loan.currency,
        owed=owed,
        amount_due_minor=total,
        amount_as_of=loan.as_of_date.isoformat(),
        placed_minor=total,
        oldest_unpaid_due_on=loan.oldest_unpaid_due_date if total else None,
        instalments=instalments,
        charges=charges,
        days_past_due_at_placement=_days_past_due(row),
        business_date=loan.as_of_date,
        placed_from=batch.delegation_date.isoformat(),
        placed_to=batch.mandate_end.isoformat(),
        limitation_expires_on=loan.statute_of_limitation_date,
        collection_began_on=loan.collection_start_date,
        debt_facts=_debt_facts(row),
        loan={
            "batch": batch.model_dump(mode="json", exclude_none=True),
            "terms": loan.model_dump(mode="json", exclude_none=True, exclude_defaults=True),
            "documents": [document.model_dump(mode="json", exclude_none=True) for document in row.documents],
            "extra": dict(row.extra),
            "profile_24m": row.profile_24m,
            "note": row.note,
            "source": {"row": taken.row, "digest": digest},
            **_itemization(loan, total),
        },
        vehicles=tuple(vehicle.model_dump(mode="json", exclude_none=True) for vehicle in row.vehicles),
        payment_history=tuple(payment.model_dump(mode="json", exclude_defaults=True) for payment in row.payments),
        promises=tuple(_promises(row, who, case_id)),
        holds=tuple(_case_holds(row, who, debtor, case_id)),
        notices=tuple(_notice(notice, row, who, case_id) for notice in row.notices),
        version=1,
    )


def _itemization(loan: Any, total: int) -> dict[str, Any]:
    """Return what a US validation notice must itemise (12 CFR 1006.34(c)(2)(vii)-(viii)), or nothing without a date.

    The amount on the itemization date follows from what is owed now: less interest and fees since, plus what was paid
    or credited since.
    """
    if loan.itemisation_date is None:
        return {}
    interest, fees = loan.itemisation_interest_minor or 0, loan.itemisation_fees_minor or 0
    paid = (loan.itemisation_payments_minor or 0) + (loan.itemisation_credits_minor or 0)
    return {
        "itemization": {
            "on": loan.itemisation_date.isoformat(),
            "amount_minor": total - interest - fees + paid,
            "interest_minor": interest,
            "fees_minor": fees,
            "payments_minor": paid,
        }
    }


def _days_past_due(row: Row) -> int:
    return days_past_due(row.loan.oldest_unpaid_due_date, row.loan.as_of_date)


_BODY = ("principal", "interest")
"""The parts that fall due in instalments; the others are charges."""


def opening_of(row: Row, owed: Mapping[str, int]) -> tuple[tuple[Instalment, ...], dict[str, int]]:
    """Return the instalments and charges that an account's overdue amount consists of; together they are ``owed``.

    The row's payment record gives the instalments where it agrees with the overdue principal and interest and with the
    oldest unpaid due date. Otherwise the amount is spread over the overdue periods, month by month from that date: the
    newest are whole instalments and the oldest is what is left, or all are equal where that does not fit.
    Charges alone are one instalment of that date.
    """
    body = sum(owed[part] for part in _BODY)
    charges = {part: minor for part, minor in owed.items() if part not in _BODY and minor}
    if body == 0:
        oldest = row.loan.oldest_unpaid_due_date
        return ((Instalment(due_on=oldest, owed=charges),) if charges else ()), {}
    exact = _recorded_parts(row, owed)
    if exact is not None:
        return exact, charges
    dues = _recorded(row, body) or _spread(row, body)
    instalments, before = [], 0
    for due_on, minor in dues:
        # Rounded at each running total, so that the parts of all instalments sum to the parts of what is owed.
        principal = owed["principal"] * (before + minor) // body - owed["principal"] * before // body
        parts = {"principal": principal, "interest": minor - principal}
        instalments.append(Instalment(due_on=due_on, owed={part: each for part, each in parts.items() if each}))
        before += minor
    return tuple(instalments), charges


def _unpaid(row: Row) -> list[Payment]:
    unpaid = [
        each for each in row.payments if each.paid_minor < each.due_minor and each.due_date <= row.loan.as_of_date
    ]
    return sorted(unpaid, key=lambda each: each.due_date)


def _recorded(row: Row, body: int) -> list[tuple[date, int]]:
    dues = [(each.due_date, each.due_minor - each.paid_minor) for each in _unpaid(row)]
    agrees = bool(dues) and sum(minor for _, minor in dues) == body and dues[0][0] == row.loan.oldest_unpaid_due_date
    return dues if agrees else []


def _recorded_parts(row: Row, owed: Mapping[str, int]) -> tuple[Instalment, ...] | None:
    """Return the record's instalments with their own parts, when it states them and nothing of them is paid."""
    unpaid = _unpaid(row)
    if not unpaid or unpaid[0].due_date != row.loan.oldest_unpaid_due_date or any(each.paid_minor for each in unpaid):
        return None
    parts = [{"principal": each.due_principal_minor, "interest": each.due_interest_minor} for each in unpaid]
    if any(sum(each[part] or 0 for each in parts) != owed[part] for part in _BODY):
        return None
    return tuple(
        Instalment(due_on=each.due_date, owed={part: minor for part, minor in named.items() if minor})
        for each, named in zip(unpaid, parts, strict=True)
    )


def _spread(row: Row, body: int) -> list[tuple[date, int]]:
    loan = row.loan
    months = (_months_after(loan.oldest_unpaid_due_date, number) for number in range(max(1, loan.overdue_periods)))
    days = [day for day in months if day <= loan.as_of_date] or [loan.oldest_unpaid_due_date]
    newer, whole = len(days) - 1, loan.instalment_amount_minor
    if newer * whole < body <= (newer + 1) * whole:
        return [(days[0], body - newer * whole), *((day, whole) for day in days[1:])]
    shares = [body * (n + 1) // len(days) - body * n // len(days) for n in range(len(days))]
    return [(day, share) for day, share in zip(days, shares, strict=True) if share]


def _months_after(day: date, months: int) -> date:
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


_ROLES = {
    "borrower": "debtor",
    "co_borrower": "co_borrower",
    "spouse": "spouse",
    "contact": "emergency_contact",
    "attorney": "attorney",
    "representative": "guardian",
    "employer": "employer",
    "executor": "executor",
    "heir": "heir",
    "third_party": "third_party",
}


def _parties(row: Row, who: dict[str, str]) -> Iterable[CaseParty]:
    for party in row.parties:
        role = _ROLES.get(party.role)
        if role is None:
            role = "guarantor_general" if party.liability == "general" else "guarantor_joint"
        yield CaseParty(person=who[party.party_id], role=role, relation=party.relation)


def _debt_facts(row: Row) -> dict[str, Any]:
    """Return what the lender states of the debt beyond its amounts, under the names that a dossier's debt has."""
    loan = row.loan
    until = [party.guarantee_until for party in row.parties if party.guarantee_until is not None]
    facts = {
        "unpaid_periods": loan.overdue_periods,
        "rescission_clause": loan.rescission_clause,
        "guarantee_until": _text(min(until, default=None)),
        "docket_no": loan.docket_no,
    }
    return {name: fact for name, fact in facts.items() if fact is not None}


def _promises(row: Row, who: dict[str, str], case_id: str) -> Iterable[Promise]:
    for number, promise in enumerate(row.promises, start=1):
        yield Promise(
            id=_promise_id(case_id, number),
            person=who[row.party_of(promise.party).party_id],
            amount_minor=promise.amount_minor,
            currency=row.loan.currency,
            due_on=promise.due_date,
            made_at=promise.made_at or f"{row.loan.as_of_date}T00:00:00Z",
        )


def _promise_id(case_id: str, number: int) -> str:
    return f"promise_{case_id.removeprefix('case_')}_{number}"


def _case_holds(row: Row, who: dict[str, str], debtor: str, case_id: str) -> Iterable[HoldEntry]:
    for party in row.parties:
        yield from _flag_holds(party, who[party.party_id], _DEBT_HOLDS, debt=case_id)

    def hold(identity: str, kind: str, begin: date, party: str | None, **details: Any) -> HoldEntry:
        person = who[row.party_of(party).party_id]
        return HoldEntry(
            **{"id": identity, "kind": kind, "from": begin.isoformat(), "party": person, "debt": case_id, **details}
        )

    for number, dispute in enumerate(row.disputes, start=1):
        yield hold(
            f"hold_placed_dispute_{number}",
            "dispute",
            dispute.received_date,
            dispute.party,
            amount_minor=dispute.amount_minor,
            written=dispute.in_writing,
        )
    for number, complaint in enumerate(row.complaints, start=1):
        yield hold(f"hold_placed_complaint_{number}", "complaint", complaint.received_date, complaint.party)
    for number, promise in enumerate(row.promises, start=1):
        # The hold of a promise is found by the promise's id when it is kept or broken.
        yield hold(
            f"hold_{_promise_id(case_id, number)}",
            "promise_alive",
            row.loan.as_of_date,
            promise.party,
            until=promise.due_date.isoformat(),
        )


def _notice(notice: GivenNotice, row: Row, who: dict[str, str], case_id: str) -> Notice:
    return Notice(
        kind=notice.kind,
        at=notice.at,
        medium=notice.medium,
        party=who[row.party_of(notice.party).party_id],
        debt=case_id,
        returned_at=notice.returned_at,
        deadline=_text(notice.deadline),
        esign_consent=notice.esign_consent,
    )


def _placed_event(case: Case, row: Row, portfolio: str, ids: Identities) -> dict[str, Any]:
    days = case.days_past_due_at_placement
    return {
        "portfolio": portfolio,
        "account": ids.blind_index("account", case.account),
        "placed_minor": case.placed_minor,
        "currency": case.currency,
        "days_past_due": days,
        "stage": bucket_of(days, country=case.country),
        "placement_stage": case.placement_stage,
        "region": case.region,
        "country": case.country,
        "business_date": case.business_date.isoformat(),
        "instalments": [{"due_on": each.due_on.isoformat(), "owed": dict(each.owed)} for each in case.instalments],
        "charges": dict(case.charges),
    }


def _text(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


# Merging with what the lender has placed before


def merged_person(known: Person, told: Person) -> Person:
    """Return the person as known, with new contact points added and gaps filled; nothing known is overwritten.

    A point that is known keeps its history; its status, verification and ban follow the newer file.
    """
    points = {point.id: point for point in known.points}
    for point in told.points:
        before = points.get(point.id)
        if before is None:
            points[point.id] = point
        else:
            points[point.id] = before.model_copy(
                update={
                    "status": point.status,
                    "last_verified": _later(before.last_verified, point.last_verified),
                    "do_not_use": before.do_not_use or point.do_not_use,
                }
            )
    gaps = {
        name: getattr(told, name)
        for name in ("name_local", "birth_date", "national_id", "language", "spouse_of", "attorney", "in_xinjiang")
        if getattr(known, name) is None
    }
    residences = _joined(known.residences, told.residences)
    zones = _joined(known.zones, told.zones)
    forbids = known.employer_forbids_work_contact or told.employer_forbids_work_contact
    return known.model_copy(
        update={
            **gaps,
            "points": tuple(points.values()),
            "residences": residences,
            "zones": zones,
            "employer_forbids_work_contact": forbids,
        }
    )


def merged_ledger(known: ContactLedger, told: ContactLedger) -> ContactLedger:
    """Return the ledger with what the file adds; a new hold or withdrawal makes earlier approvals stale."""
    holds = {hold.id for hold in known.holds}
    new_holds = tuple(hold for hold in told.holds if hold.id not in holds)
    new_consents = tuple(consent for consent in told.consents if consent not in known.consents)
    entries = {entry.id: entry for entry in told.history} | {entry.id: entry for entry in known.history}
    added = tuple(entry for entry in told.history if entry.id not in {old.id for old in known.history})
    for entry in known.history:
        again = next((new for new in told.history if new.id == entry.id), None)
        if again is not None and again.debts != entry.debts:
            debts = _joined(entry.debts or (), again.debts or ())
            entries[entry.id] = entry.model_copy(update={"debts": debts})
    stops = bool(new_holds) or any(consent.event == "withdrawn" for consent in new_consents)
    return known.model_copy(
        update={
            "history": (*(entries[entry.id] for entry in known.history), *added),
            "consents": (*known.consents, *new_consents),
            "holds": (*known.holds, *new_holds),
            "stop_epoch": known.stop_epoch + stops,
        }
    )


def _joined(known: tuple[Any, ...], told: tuple[Any, ...]) -> tuple[Any, ...]:
    return (*known, *(item for item in told if item not in known))


def _later(first: date | None, second: date | None) -> date | None:
    return max((day for day in (first, second) if day is not None), default=None)


@dataclass(frozen=True, slots=True)
class KeyedIdentities:
    """``Identities`` out of a store's functions, for one lender."""

    of_person: Callable[[str, str], str]
    of_case: Callable[[str, int], str]
    index: Callable[[str, str], str]

    def person_id(self, label: str, value: str) -> str:
        """Return the id of the person whom the value names."""
        return self.of_person(label, value)

    def case_id(self, account: str, placement_stage: int) -> str:
        """Return the id of the placement."""
        return self.of_case(account, placement_stage)

    def blind_index(self, label: str, value: str) -> str:
        """Return 32 hexadecimal digits for a normalised value."""
        return self.index(label, value)
