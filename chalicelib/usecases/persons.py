"""The customer database: a person as a whole, and what is added, verified, retired and wished for.

A person may be asked for by any of their records' ids; what is changed is changed in the record that holds it. Outside the house,
data are verified by a contact that the gate let out, by what the person wrote themselves, or by a document: nobody may say so
without naming which.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol

from chalicelib.domain import keys
from chalicelib.domain.cases.case import Case
from chalicelib.domain.cases.lifecycle import FINAL
from chalicelib.domain.concurrency import retrying
from chalicelib.domain.errors import InvalidInput, NotFound, StateConflict
from chalicelib.domain.events import EventType
from chalicelib.domain.instants import from_text, local_date, to_seconds_text, to_text
from chalicelib.domain.outreach.attempt import AttemptState
from chalicelib.domain.people.merging import counted
from chalicelib.domain.people.person import (
    Confirmation,
    ConsentEntry,
    ContactPoint,
    Employment,
    Person,
    Preferences,
    Residence,
)
from chalicelib.domain.people.sight import visible_person
from chalicelib.domain.people.upkeep import BY_ID, standings
from chalicelib.usecases.cases import Caller, Context, lender_of, mandate_is_over
from chalicelib.usecases.one_person import Records, records_of
from chalicelib.usecases.ports import Scope, Store

MOST_CONTACTS = 200
"""Contacts that a whole person shows, the newest first."""

REACHED = frozenset({AttemptState.SENT, AttemptState.DELIVERED, AttemptState.REPORTED})
"""States of an attempt that can prove anything: it was let out by the gate, and it was made."""


class PointIndex(Protocol):
    """The index rows that lead from what a person is known by to the person."""

    def write_points(self, scope: Scope, persons: Iterable[Person]) -> None:
        """Write the rows of the persons' contact points and identities."""

    def stale_rows(self, scope: Scope, before: Person, after: Person) -> Sequence[Any]:
        """Return the rows that no longer lead to the person."""
        ...


@dataclass(frozen=True, slots=True)
class PersonPorts:
    """What these commands need; ``telephone`` and ``point_id`` are the intake's own.

    ``mark`` is a record that a change creates with itself or not at all: the row of a file that it came by counts once.
    """

    store: Store
    index: PointIndex
    telephone: Callable[[str, str], tuple[str, str] | None]
    point_id: Callable[[Scope, str, str], str]
    mark: Any = None


# Reading


def is_worked_by(store: Store, scope: Scope, person_id: str, *, org: str, now: datetime) -> bool:
    """Tell whether an agency holds a case of the person, by any of their records, under a mandate that runs."""
    records = (person_id, *store.ledger(scope, person_id).counted_with)
    names = dict.fromkeys(case for record in records for case in store.cases_of(scope, record))
    today = local_date(now, lender_of(store, scope).zone)
    return any(not mandate_is_over(case, org, today=today) for case in store.cases(scope, names).values())


def read_person(
    store: Store, scope: Scope, person_id: str, *, org: str | None, role: str, now: datetime
) -> dict[str, Any]:
    """Return the person as a whole, as far as the role may see it, whichever of their records is asked for.

    ``org`` is the agency that asks: it sees persons of cases that it holds and may work, those cases alone, and its own contacts.
    Of a person whose data are locked, only officers see what is personal. Raises NotFound.
    """
    whole = _whole(store, scope, person_id, org=org, now=now)
    form = _form(whole, org=org)
    withheld = whole.person.locked_since is not None and role != "compliance" and not whole.has_open_case
    return visible_person(form, role=role, withheld=withheld)


@dataclass(frozen=True, slots=True)
class _Whole:
    asked_for: str
    person: Person
    records: Mapping[str, Person]
    ledgers: Records
    cases: tuple[Case, ...]
    today: date
    confirmed_on: date | None
    tenant: str

    @property
    def has_open_case(self) -> bool:
        return any(case.state not in FINAL for case in self.cases)


def head_of(records: Mapping[str, Person], asked: str) -> str:
    """Return the id of the record that the others were merged into."""
    head = asked
    while (into := records[head].merged_into) is not None and into in records:
        head = into
    return head


def _whole(store: Store, scope: Scope, person_id: str, *, org: str | None, now: datetime) -> _Whole:
    known = records_of(store, scope, [person_id])
    ids = [person_id, *known.others]
    records = store.persons(scope, ids)
    if person_id not in records:
        raise NotFound("person", person_id)
    head = head_of(records, person_id)
    if head != person_id:
        known = records_of(store, scope, [head])
    lender = lender_of(store, scope)
    today = local_date(now, lender.zone)
    names = dict.fromkeys(case for record in ids for case in store.cases_of(scope, record))
    cases = tuple(store.cases(scope, names).values())
    if org is not None:
        cases = tuple(case for case in cases if not mandate_is_over(case, org, today=today))
        if not cases:
            raise NotFound("person", person_id)
    confirmed = lender.balances_confirmed_at
    confirmed_on = None if confirmed is None else local_date(from_text(confirmed), lender.zone)
    return _Whole(person_id, known.persons[head], records, known, cases, today, confirmed_on, scope.tenant)


def balance_days(cases: Iterable[Case], confirmed_on: date | None) -> list[date]:
    """Return, for each open case, the day up to which the lender confirmed what is owed."""
    days = [date.fromisoformat(case.amount_as_of[:10]) for case in cases if case.state not in FINAL]
    return [day if confirmed_on is None else max(day, confirmed_on) for day in days]


def _form(whole: _Whole, *, org: str | None) -> dict[str, Any]:
    person, records = whole.person, set(whole.records)
    everything = {**whole.ledgers.others, **whole.ledgers.ledgers}
    ledger = counted(everything[person.id], everything)
    place = person.residences[0] if person.residences else None
    known = standings(person, ledger, balances=balance_days(whole.cases, whole.confirmed_on))
    contacts = sorted(ledger.history, key=lambda entry: entry.at, reverse=True)
    contacts = [entry for entry in contacts if org is None or entry.org in (org, None)]
    holds = [*ledger.holds, *(hold for case in whole.cases for hold in case.holds)]
    return {
        **person.model_dump(
            mode="json",
            include={"id", "name", "name_local", "birth_date", "national_id", "language", "zones", "version"},
            exclude_none=True,
        ),
        "lender": whole.tenant,
        "asked_for": whole.asked_for,
        "locked": person.locked_since is not None,
        "country": None if place is None else place.country,
        "region": None if place is None else place.region,
        "stop_requested_at": person.stop_requested_at,
        "records": sorted(records),
        "merges": [
            {**merge.model_dump(mode="json"), "into": record}
            for record, each in sorted(whole.records.items())
            for merge in each.merges
        ],
        "points": [point.model_dump(mode="json", exclude_none=True) for point in person.points],
        "preferences": _listed(person.preferences),
        "employment": _listed(person.employment),
        "groups": [
            {
                "group": each.group.id,
                "complete": each.is_complete,
                "verified_on": None if each.verified_on is None else each.verified_on.isoformat(),
                "good_until": None if each.good_until is None else each.good_until.isoformat(),
                "current": each.is_current(whole.today),
                "counts": each.group.counts,
            }
            for each in known
        ],
        "consents": [entry.model_dump(mode="json", exclude_none=True) for entry in ledger.consents],
        "holds": [hold.model_dump(mode="json", by_alias=True, exclude_none=True) for hold in holds],
        "cases": [_case_form(case, records, whole.today) for case in whole.cases],
        "promises": [
            {"case": case.id, **promise.model_dump(mode="json", exclude_none=True)}
            for case in whole.cases
            for promise in case.promises
            if promise.person in records
        ],
        "disputes": [
            {"hold": hold.id, "case": case.id, "from": hold.from_, "released_at": hold.released_at}
            for case in whole.cases
            for hold in case.holds
            if hold.kind == "dispute"
        ],
        "contacts": [entry.model_dump(mode="json", exclude_none=True) for entry in contacts[:MOST_CONTACTS]],
    }


def _listed(value: Preferences | Employment | None) -> list[dict[str, Any]]:
    return [] if value is None else [value.model_dump(mode="json", exclude_none=True)]


def _case_form(case: Case, records: set[str], today: date) -> dict[str, Any]:
    paid = [payment for payment in case.payments if payment.reversal_of is None]
    return {
        "case": case.id,
        "role": next(party.role for party in case.parties if party.person in records),
        "state": case.state.value,
        "agency": case.agency,
        "currency": case.currency,
        "amount_due_minor": case.amount_due_minor,
        "days_past_due": case.days_past_due(today),
        "payments": len(paid),
        "paid_minor": sum(payment.amount_minor for payment in case.payments),
        "last_payment_on": max((payment.received_on for payment in paid), default=None),
    }


# Changing


@dataclass(frozen=True, slots=True)
class NewPoint:
    """A way to reach the person: where it came from, why it is added, and what they said about its use."""

    kind: str
    value: str
    source: str
    reason: str
    place: str | None = None
    consent: str | None = None
    medium: str | None = None
    proof: "Proof | None" = None


@dataclass(frozen=True, slots=True)
class Proof:
    """By what means something was found out; ``contact`` is the message or clearance, where that was the means.

    ``on`` is the lender's local day on which it was found out, None for today.
    """

    how: str
    contact: str | None = None
    on: date | None = None


@dataclass(frozen=True, slots=True)
class Changed:
    """What a command changed: the record, and the point when it was about one."""

    person: Person
    point: str | None = None


def _opened(store: Store, scope: Scope, person_id: str, caller: Caller, context: Context) -> _Whole:
    whole = _whole(store, scope, person_id, org=caller.org, now=context.now)
    if whole.person.locked_since is not None:
        raise StateConflict("person_locked", "an erasure was asked for: the data are stored only")
    return whole


def _unit(ports: PersonPorts, scope: Scope, caller: Caller, context: Context) -> Any:
    unit = ports.store.unit(scope, actor=caller.actor, req=context.req, now=context.now)
    if ports.mark is not None:
        unit.create(ports.mark)
    return unit


def _day_of(proof: Proof, today: date, known: date | None) -> date:
    """Return the day on which something was found out. Raises InvalidInput for one after today or before what is ``known``."""
    if proof.on is None:
        return today
    if proof.on > today:
        raise InvalidInput("/verified_on", "verified_on_future", "the day is after today, by the lender's calendar")
    if known is not None and proof.on < known:
        raise InvalidInput("/verified_on", "verified_on_older", "something newer is known; what is newer stands")
    return proof.on


def _known_day(record: Person, group: str) -> date | None:
    known = record.confirmed.get(group)
    return None if known is None else known.on


def _verified(day: date, proof: Proof, caller: Caller, scope: Scope) -> dict[str, Any]:
    return {"last_verified": day, "verified_by": caller.org or scope.tenant, "verified_how": proof.how}


def add_point(
    ports: PersonPorts, scope: Scope, person_id: str, wish: NewPoint, caller: Caller, context: Context
) -> Changed:
    """Add a contact point with its source and what the person said about it; a retired one comes back.

    It is unverified, unless the wish has the proof that it is the person's. Adding it again is a conflict. Raises NotFound,
    InvalidInput for a value that is none of its kind or a proof that proves nothing, StateConflict.
    """
    store = ports.store

    def once() -> Changed:
        whole = _opened(store, scope, person_id, caller, context)
        record = whole.records[whole.person.id]
        kind, value = _normalised(ports, wish.kind, wish.value, _country(record))
        identity = ports.point_id(scope, kind, value)
        known = whole.person.point(identity)
        if known is not None and known.retired_at is None:
            raise StateConflict("contact_point_known", "the person has this contact point already")
        told = {"status": "unverified", "source": wish.source, "place": wish.place, "first_seen": whole.today}
        holder = record if known is None else _holder(whole, identity)
        fresh = {"retired_at": None, "retired_because": None, "last_verified": None, "verified_by": None}
        point = (
            ContactPoint(id=identity, kind=kind, value=value, **told)
            if known is None
            else known.model_copy(update={**told, **fresh})
        )
        day = None
        if wish.proof is not None:
            _check_proof(store, scope, whole, wish.proof, caller, point=point)
            day = _day_of(wish.proof, whole.today, None)
            point = point.model_copy(update={"status": "ok", **_verified(day, wish.proof, caller, scope)})
        changed = holder.with_point(point).model_copy(update={"version": holder.version + 1})
        # Like the intake: an index row of a commit that fails leads to a person who lacks the point, and harms nobody.
        ports.index.write_points(scope, [changed])
        unit = _unit(ports, scope, caller, context)
        unit.replace(store.person_record(scope, changed), expected=holder.version)
        pk = keys.person_pk(scope.tenant, changed.id)
        unit.emit(
            pk,
            EventType.PERSON_POINT_ADDED,
            {
                "person": changed.id,
                "point": identity,
                "kind": kind,
                "source": wish.source,
                "reason": wish.reason,
                "org": caller.org or scope.tenant,
            },
        )
        if wish.proof is not None and day is not None:
            unit.emit(
                pk,
                EventType.PERSON_POINT_VERIFIED,
                {
                    "person": changed.id,
                    "point": identity,
                    "kind": kind,
                    "result": "ok",
                    "how": wish.proof.how,
                    "contact": wish.proof.contact,
                    "verified_on": day.isoformat(),
                    "org": caller.org or scope.tenant,
                },
            )
        if wish.consent is not None and wish.medium is not None:
            entry = ConsentEntry(
                at=to_seconds_text(context.now),
                party=changed.id,
                event=wish.consent,
                point=identity,
                medium=wish.medium,
                scope="address",
                direct=True,
                org=caller.org,
            )
            ledger = store.ledger(scope, changed.id)
            after = ledger.with_consent(entry, stops=wish.consent == "withdrawn")
            after = after.model_copy(update={"version": ledger.version + 1})
            unit.replace(store.ledger_record(scope, after), expected=ledger.version)
            data = {"person": changed.id, "medium": wish.medium, "event": wish.consent, "scope": "address"}
            unit.emit(pk, EventType.CONSENT_CHANGED, data)
        unit.commit()
        return Changed(changed, identity)

    return retrying(once)


def _normalised(ports: PersonPorts, kind: str, value: str, country: str) -> tuple[str, str]:
    if kind == "phone":
        number = ports.telephone(value, country)
        if number is None:
            raise InvalidInput("/value", "phone_invalid", "not a telephone number of the person's country, nor E.164")
        return number[1], number[0]
    if kind == "email":
        local, at, domain = value.strip().partition("@")
        if not local or not at or "." not in domain or any(letter.isspace() for letter in value.strip()):
            raise InvalidInput("/value", "email_invalid", "not an e-mail address")
        return kind, f"{local}@{domain.lower()}"
    return kind, " ".join(value.split())


def _holder(whole: _Whole, point: str) -> Person:
    return next(record for record in whole.records.values() if record.point(point) is not None)


def _known_point(whole: _Whole, point_id: str) -> tuple[Person, ContactPoint]:
    for record in whole.records.values():
        point = record.point(point_id)
        if point is not None:
            return record, point
    raise NotFound("contact point", point_id)


def verify_point(
    ports: PersonPorts,
    scope: Scope,
    person_id: str,
    point_id: str,
    result: str,
    proof: Proof,
    caller: Caller,
    context: Context,
) -> Changed:
    """Record what was found out about a contact point: ``ok`` (it is the person's), or that it is dead or somebody else's.

    Raises NotFound, InvalidInput when the means prove nothing, StateConflict for a point that was retired.
    """
    store = ports.store

    def once() -> Changed:
        whole = _opened(store, scope, person_id, caller, context)
        holder, point = _known_point(whole, point_id)
        if point.retired_at is not None:
            raise StateConflict("contact_point_retired", "the contact point was retired; add it again")
        _check_proof(store, scope, whole, proof, caller, point=point)
        day = _day_of(proof, whole.today, point.last_verified)
        right = _verified(day, proof, caller, scope)
        changed = holder.with_point(point.model_copy(update={"status": result, **(right if result == "ok" else {})}))
        changed = changed.model_copy(update={"version": holder.version + 1})
        unit = _unit(ports, scope, caller, context)
        unit.replace(store.person_record(scope, changed), expected=holder.version)
        unit.emit(
            keys.person_pk(scope.tenant, changed.id),
            EventType.PERSON_POINT_VERIFIED,
            {
                "person": changed.id,
                "point": point_id,
                "kind": point.kind,
                "result": result,
                "how": proof.how,
                "contact": proof.contact,
                "verified_on": day.isoformat(),
                "org": caller.org or scope.tenant,
            },
        )
        unit.commit()
        return Changed(changed, point_id)

    return retrying(once)


def _check_proof(
    store: Store, scope: Scope, whole: _Whole, proof: Proof, caller: Caller, *, point: ContactPoint | None
) -> None:
    """Hold what is said to what happened: a contact was let out by the gate and made, an inbound message did come in.

    Raises InvalidInput.
    """
    if proof.how == "lender_record" and caller.org is not None:
        raise InvalidInput("/how", "not_the_lenders", "only the lender knows its own records")
    if proof.how == "contact":
        attempt = None if proof.contact is None else store.attempt(scope, proof.contact)
        ours = attempt is not None and attempt.person in whole.records and attempt.state in REACHED
        at_point = point is None or (attempt is not None and attempt.point == point.id)
        if attempt is None or not ours or not at_point or attempt.org != (caller.org or scope.tenant):
            raise InvalidInput(
                "/contact", "contact_unproven", "name the message or clearance that this was found out by"
            )
    elif proof.contact is not None:
        raise InvalidInput("/contact", "contact_not_wanted", "only what was found out by a contact names one")
    if proof.how == "inbound":
        everything = [*whole.ledgers.ledgers.values(), *whole.ledgers.others.values()]
        came = [entry for ledger in everything for entry in ledger.history if entry.direction == "in"]
        if not any(point is None or entry.point == point.id for entry in came):
            raise InvalidInput("/how", "nothing_came_in", "the person has not written or called from there")


def point_named(
    ports: PersonPorts, scope: Scope, person_id: str, kind: str, value: str, caller: Caller, context: Context
) -> str:
    """Return the id that a contact point of this value has, whether or not the person has it.

    Raises NotFound, InvalidInput for a value that is none of its kind, StateConflict.
    """
    whole = _opened(ports.store, scope, person_id, caller, context)
    record = whole.records[whole.person.id]
    normal_kind, normal = _normalised(ports, kind, value, _country(record))
    return ports.point_id(scope, normal_kind, normal)


def _country(record: Person) -> str:
    return record.residences[0].country if record.residences else "CN"


def retire_point(
    ports: PersonPorts, scope: Scope, person_id: str, point_id: str, reason: str, caller: Caller, context: Context
) -> Changed:
    """Take a contact point out of use for a reason; what was approved for it leaves no more. It stays on record.

    Raises NotFound, StateConflict for one that was retired before.
    """
    store = ports.store

    def once() -> Changed:
        whole = _opened(store, scope, person_id, caller, context)
        holder, point = _known_point(whole, point_id)
        if point.retired_at is not None:
            raise StateConflict("contact_point_retired", "the contact point was retired before")
        gone = point.model_copy(update={"retired_at": to_text(context.now), "retired_because": reason})
        changed = holder.with_point(gone).model_copy(update={"version": holder.version + 1})
        unit = _unit(ports, scope, caller, context)
        unit.replace(store.person_record(scope, changed), expected=holder.version)
        unit.emit(
            keys.person_pk(scope.tenant, changed.id),
            EventType.PERSON_POINT_RETIRED,
            {
                "person": changed.id,
                "point": point_id,
                "kind": point.kind,
                "reason": reason,
                "org": caller.org or scope.tenant,
            },
        )
        unit.commit()
        return Changed(changed, point_id)

    return retrying(once)


@dataclass(frozen=True, slots=True)
class Wishes:
    """How the person wishes to be reached; None leaves a wish as it is, ``clear`` takes those of channel and hours back."""

    language: str | None = None
    channel: str | None = None
    hours: tuple[str | None, str | None] = (None, None)
    clear: bool = False


def set_preferences(
    ports: PersonPorts, scope: Scope, person_id: str, wishes: Wishes, proof: Proof, caller: Caller, context: Context
) -> Changed:
    """Record how the person wishes to be reached. Raises NotFound, InvalidInput, StateConflict."""
    store = ports.store
    begin, end = wishes.hours
    if (begin is None) != (end is None):
        raise InvalidInput("/hours_to", "hours_incomplete", "give both hours, or none")
    if begin is not None and end is not None and begin >= end:
        raise InvalidInput("/hours_to", "hours_order", "the hours end after they begin")

    def once() -> Changed:
        whole = _opened(store, scope, person_id, caller, context)
        _check_proof(store, scope, whole, proof, caller, point=None)
        record = whole.records[whole.person.id]
        before = Preferences() if wishes.clear else record.preferences or Preferences()
        after = Preferences(
            channel=wishes.channel or before.channel,
            hours_from=begin or before.hours_from,
            hours_to=end or before.hours_to,
        )
        day = _day_of(proof, whole.today, _known_day(record, "preferences"))
        confirmed = Confirmation(on=day, by=caller.org or scope.tenant, how=proof.how)
        changed = record.model_copy(
            update={
                "preferences": after,
                "language": wishes.language or record.language,
                "confirmed": {**record.confirmed, "preferences": confirmed},
                "version": record.version + 1,
            }
        )
        unit = _unit(ports, scope, caller, context)
        unit.replace(store.person_record(scope, changed), expected=record.version)
        unit.emit(
            keys.person_pk(scope.tenant, changed.id),
            EventType.PERSON_PREFERENCES_SET,
            {
                "person": changed.id,
                "language": changed.language,
                "channel": after.channel,
                "how": proof.how,
                "contact": proof.contact,
                "verified_on": day.isoformat(),
                "org": caller.org or scope.tenant,
            },
        )
        unit.commit()
        return Changed(changed)

    return retrying(once)


@dataclass(frozen=True, slots=True)
class Corrections:
    """What a group of data should say instead; None leaves a field as it is."""

    name: str | None = None
    birth_date: date | None = None
    national_id: str | None = None
    residence: Residence | None = None
    employment: Employment | None = None

    @property
    def fields(self) -> Sequence[str]:
        """Return the names of the fields that are corrected."""
        return [name for name in self.__slots__ if getattr(self, name) is not None]


FIELDS_OF = {
    "identity": frozenset({"name", "birth_date", "national_id"}),
    "address": frozenset({"residence"}),
    "employment": frozenset({"employment"}),
}
"""What may be corrected together with which group."""


def confirm_data(
    ports: PersonPorts,
    scope: Scope,
    person_id: str,
    group: str,
    corrections: Corrections,
    proof: Proof,
    caller: Caller,
    context: Context,
) -> Changed:
    """Record that a group of data was found to be right today, corrected where it was not; what it was is kept, sealed.

    Raises NotFound, InvalidInput for means that prove nothing about the group, or a field of another group, StateConflict.
    """
    store = ports.store
    if proof.how not in BY_ID[group].how:
        raise InvalidInput("/how", "proves_nothing", "that is no means by which this group is verified")
    strange = set(corrections.fields) - FIELDS_OF.get(group, frozenset())
    if strange:
        raise InvalidInput(f"/{min(strange)}", "other_group", "the field belongs to another group")

    def once() -> Changed:
        whole = _opened(store, scope, person_id, caller, context)
        _check_proof(store, scope, whole, proof, caller, point=None)
        record = whole.records[whole.person.id]
        update = _corrected(record, corrections)
        day = _day_of(proof, whole.today, _known_day(record, group))
        confirmed = Confirmation(on=day, by=caller.org or scope.tenant, how=proof.how)
        update |= {"confirmed": {**record.confirmed, group: confirmed}, "version": record.version + 1}
        changed = record.model_copy(update=update)
        if corrections.fields:
            ports.index.write_points(scope, [changed])
        unit = _unit(ports, scope, caller, context)
        unit.replace(store.person_record(scope, changed), expected=record.version)
        for row in ports.index.stale_rows(scope, record, changed):
            unit.drop(row)
        named = {"residence": "residences"}
        kept = {named.get(name, name) for name in corrections.fields}
        unit.emit(
            keys.person_pk(scope.tenant, changed.id),
            EventType.PERSON_DATA_CONFIRMED,
            {
                "person": changed.id,
                "group": group,
                "changed": sorted(corrections.fields),
                "how": proof.how,
                "contact": proof.contact,
                "verified_on": day.isoformat(),
                "org": caller.org or scope.tenant,
            },
            subject=changed.id,
            secret={
                "before": record.model_dump(mode="json", include=kept, exclude_none=True),
                "after": changed.model_dump(mode="json", include=kept, exclude_none=True),
            },
        )
        unit.commit()
        return Changed(changed)

    return retrying(once)


def document(number: str | None, is_cn_id: Callable[[str], bool]) -> str | None:
    """Return an identity number as it is kept. Raises InvalidInput for 18 characters with a wrong check character."""
    if number is not None and len(number) == 18 and not is_cn_id(number.upper()):
        raise InvalidInput("/national_id", "national_id_invalid", "the check character is wrong")
    return None if number is None else number.upper()


def _corrected(record: Person, corrections: Corrections) -> dict[str, Any]:
    update: dict[str, Any] = {
        name: getattr(corrections, name)
        for name in ("name", "birth_date", "national_id", "employment")
        if getattr(corrections, name) is not None
    }
    if corrections.residence is not None:
        update["residences"] = (corrections.residence,)
    return update
