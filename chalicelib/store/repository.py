"""Reads and record building for everything in the main table; speaks domain types only.

Every call takes a scope, and a result that belongs to another lender than the scope's raises ``ForeignItem``.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel
from pynamodb.exceptions import UpdateError

from chalicelib.domain import keys
from chalicelib.domain.audit.keeping import LogHold
from chalicelib.domain.cases.assignment import LaterOffer
from chalicelib.domain.cases.case import Case
from chalicelib.domain.cases.organisations import Agency, Collector, Lender, WitnessPolicy
from chalicelib.domain.duties.duty import DutyState
from chalicelib.domain.errors import PersonErased
from chalicelib.domain.events import Actor, Event, EventType, event_from_canonical
from chalicelib.domain.house import HouseIndex
from chalicelib.domain.ids import blind_index, derived_id
from chalicelib.domain.litigation.matter import Matter
from chalicelib.domain.outreach.attempt import Attempt
from chalicelib.domain.outreach.template_book import TemplateBook
from chalicelib.domain.outreach.templates import Template
from chalicelib.domain.people.duplicates import looked_up, pair_of
from chalicelib.domain.people.erasure import ErasureRequest
from chalicelib.domain.people.export import ExportJob
from chalicelib.domain.people.person import ContactLedger, Person
from chalicelib.store.packing import unpack
from chalicelib.store.sealing import EVIDENCE, OPS, Sealer
from chalicelib.store.tables import Record, View
from chalicelib.store.unit import Unit

_Model = TypeVar("_Model", bound=BaseModel)
_BATCH_GET = 100
ERASED = "erased"
"""State of what is left of a person's record or ledger."""


class Scope(Protocol):
    """What a caller may touch: exactly one lender's data."""

    @property
    def tenant(self) -> str:
        """Return the lender's id."""


class ForeignItem(Exception):
    """An item of another lender came back from a read: a defect, never shown to a caller."""


class Store:
    """Repository of lenders, agencies, collectors, persons, ledgers, cases and attempts."""

    def __init__(self, sealer: Sealer, *, audit_domain: str) -> None:
        """Take the sealer that opens personal bodies, and the domain that names the audit logs."""
        self.sealer = sealer
        self.audit_domain = audit_domain

    def unit(self, scope: Scope, *, actor: Actor, req: str, now: datetime) -> Unit:
        """Return an empty unit of work for one command."""
        return Unit(scope.tenant, sealer=self.sealer, actor=actor, req=req, now=now, audit_domain=self.audit_domain)

    # Identities under the lender's index key

    def person_id(self, scope: Scope, *, label: str, value: str) -> str:
        """Return the id of the person whom ``value`` (a normalised national id, or the lender's own number) names."""
        return derived_id("per", key=self.sealer.index_key(scope.tenant), label=label, value=value)

    def case_id(self, scope: Scope, *, account: str, placement_stage: int) -> str:
        """Return the id of the placement of an account at a stage: the same upload always names the same case."""
        value = f"{account}|{placement_stage}"
        return derived_id("case", key=self.sealer.index_key(scope.tenant), label="case", value=value)

    def blind_index(self, scope: Scope, *, label: str, value: str) -> str:
        """Return the lender's blind index of a contact point's or account's normalised value."""
        return blind_index(key=self.sealer.index_key(scope.tenant), label=label, value=value)

    # Lenders, agencies, collectors: no personal data, plain JSON

    def lender(self, scope: Scope) -> Lender | None:
        """Return the lender's own record."""
        return self._plain(keys.tenant_pk(scope.tenant), "LENDER", Lender)

    def lenders(self) -> list[str]:
        """Return the ids of all registered lenders, from their own index rows."""
        return [item.sk for item in View.query("LENDERS", consistent_read=True)]

    def lender_row(self, scope: Scope, *, version: int) -> View:
        """Return the row by which schedules and carriers' events find the lender without a scan."""
        return View("LENDERS", scope.tenant, v=version)

    def house_index(self, scope: Scope) -> HouseIndex:
        """Return which house rules bind, by a strongly consistent read; an empty one at version 0 when none ever did."""
        return self._plain(keys.tenant_pk(scope.tenant), keys.HOUSE_INDEX_SK, HouseIndex) or HouseIndex()

    def key_version(self, scope: Scope) -> int:
        """Return the number of the newest version of the lender's key, by a strongly consistent read; the first is made here."""
        return self.sealer.newest_tenant_key(scope.tenant)

    def make_key_version(self, scope: Scope) -> int:
        """Make the next version of the lender's key and return its number. Raises PutError when somebody else made one now."""
        return self.sealer.new_tenant_key(scope.tenant)

    def witness_policy(self, scope: Scope) -> WitnessPolicy | None:
        """Return who must have seen the lender's logs, as the operator set it, or None."""
        return self._plain(keys.tenant_pk(scope.tenant), keys.WITNESSES_SK, WitnessPolicy)

    def log_hold(self, scope: Scope, year: str) -> LogHold | None:
        """Return the legal hold on the lender's log of a year, released ones included, or None when there never was one."""
        return self._plain(keys.tenant_pk(scope.tenant), keys.log_hold_sk(year), LogHold)

    def log_holds(self, scope: Scope) -> list[LogHold]:
        """Return every legal hold that there ever was on a log of the lender, by year."""
        prefix = keys.log_hold_sk("")
        found = Record.query(keys.tenant_pk(scope.tenant), Record.sk.startswith(prefix), consistent_read=True)
        return [_plain_body(item, LogHold) for item in found]

    def agency(self, scope: Scope, org: str) -> Agency | None:
        """Return the agency as this lender lists it, or None."""
        return self._plain(keys.tenant_pk(scope.tenant), keys.agency_sk(org), Agency)

    def agencies(self, scope: Scope) -> list[Agency]:
        """Return every agency that the lender ever listed, by id."""
        found = Record.query(keys.tenant_pk(scope.tenant), Record.sk.startswith("AGENCY#"), consistent_read=True)
        return [_plain_body(item, Agency) for item in found]

    def collector(self, scope: Scope, org: str, collector: str) -> Collector | None:
        """Return one collector of an agency, or None."""
        return self._plain(keys.tenant_pk(scope.tenant), keys.collector_sk(org, collector), Collector)

    def collectors(self, scope: Scope, org: str) -> list[Collector]:
        """Return the collectors of an agency, by id."""
        prefix = keys.collector_sk(org, "")
        found = Record.query(keys.tenant_pk(scope.tenant), Record.sk.startswith(prefix), consistent_read=True)
        return [_plain_body(item, Collector) for item in found]

    # Templates: no personal data, plain JSON

    def template_book(self, scope: Scope, template: str) -> TemplateBook | None:
        """Return the template with the lives of its versions by a strongly consistent read, or None."""
        return self._plain(keys.tenant_pk(scope.tenant), keys.template_sk(template), TemplateBook)

    def template_books(self, scope: Scope) -> list[TemplateBook]:
        """Return every template of the lender, by id."""
        prefix = keys.template_sk("")
        found = Record.query(keys.tenant_pk(scope.tenant), Record.sk.startswith(prefix), consistent_read=True)
        return [_plain_body(item, TemplateBook) for item in found]

    def template(self, scope: Scope, template: str, number: int) -> Template | None:
        """Return the content of one version, or None; it never changes."""
        pk, sk = keys.template_pk(scope.tenant, template), keys.template_version_sk(number)
        return self._plain(pk, sk, Template)

    def template_book_record(self, scope: Scope, book: TemplateBook) -> Record:
        """Return the record of the template as ``book.version``."""
        return self.plain_record(keys.tenant_pk(scope.tenant), keys.template_sk(book.id), book, version=book.version)

    def template_record(self, scope: Scope, template: Template) -> Record:
        """Return the record of the content of ``template.version``."""
        pk, sk = keys.template_pk(scope.tenant, template.id), keys.template_version_sk(template.version)
        return self.plain_record(pk, sk, template, version=template.version)

    def plain_record(self, pk: str, sk: str, model: BaseModel, *, version: int, state: str | None = None) -> Record:
        """Return the record of a body without personal data, at ``version``."""
        return Record(pk, sk, v=version, s=state, d=model.model_dump_json(by_alias=True, exclude_defaults=True))

    # Persons and ledgers

    def person(self, scope: Scope, person: str) -> Person | None:
        """Return the person, or None; None as well for one who was erased."""
        return self._sealed(keys.person_pk(scope.tenant, person), "PERSON", Person, scope, OPS)

    def ledger(self, scope: Scope, person: str) -> ContactLedger:
        """Return the person's contact ledger by a strongly consistent read; an empty one at version 0 when none exists.

        Of a ledger whose key was destroyed an empty one that says so: nobody may write on it.
        """
        return self.ledgers(scope, [person])[person]

    def person_record(self, scope: Scope, person: Person) -> Record:
        """Return the record of the person as ``person.version``, sealed under their ``ops`` key."""
        return self._seal(keys.person_pk(scope.tenant, person.id), "PERSON", person, person.id, OPS, person.version)

    def ledger_record(self, scope: Scope, ledger: ContactLedger) -> Record:
        """Return the record of the ledger as ``ledger.version``, sealed under the person's ``evidence`` key."""
        pk = keys.person_pk(scope.tenant, ledger.person)
        record = self._seal(pk, "LEDGER", ledger, ledger.person, EVIDENCE, ledger.version)
        record.stop_epoch = ledger.stop_epoch
        return record

    def persons(self, scope: Scope, persons: Iterable[str]) -> dict[str, Person]:
        """Return the persons that exist among these ids, in few reads."""
        return self._many(scope, {keys.person_pk(scope.tenant, p): p for p in persons}, "PERSON", Person, OPS)

    def ledgers(self, scope: Scope, persons: Iterable[str]) -> dict[str, ContactLedger]:
        """Return a ledger for each of these persons (empty ones at version 0 where none exists), in few reads."""
        wanted = list(dict.fromkeys(persons))
        pks = {keys.person_pk(scope.tenant, p): p for p in wanted}
        erased: set[str] = set()
        found = self._many(scope, pks, "LEDGER", ContactLedger, EVIDENCE, erased=erased)
        return {
            person: found.get(person) or ContactLedger(person=person, is_erased=person in erased) for person in wanted
        }

    # Erasure

    def duties_owed(self, scope: Scope, subjects: Iterable[str]) -> list[str]:
        """Return by when (RFC 3339) each open duty about these cases and persons is to be done; lapsed ones do not count."""
        rows = [
            row.sk
            for each in subjects
            for row in View.query(keys.duties_about_pk(scope.tenant, each), consistent_read=True)
        ]
        wanted = [(keys.duty_pk(scope.tenant, duty), "DUTY") for duty in dict.fromkeys(rows)]
        items: list[Record] = []
        for start in range(0, len(wanted), _BATCH_GET):
            items.extend(Record.batch_get(wanted[start : start + _BATCH_GET], consistent_read=True))
        return [str(json.loads(item.d)["due_at"]) for item in items if item.s == DutyState.OPEN]

    def erasure(self, scope: Scope, person: str) -> ErasureRequest | None:
        """Return the erasure request about the person, or None."""
        return self._plain(keys.person_pk(scope.tenant, person), "ERASURE", ErasureRequest)

    def erasure_record(self, scope: Scope, request: ErasureRequest) -> Record:
        """Return the record of the request as ``request.version``; it holds no personal data."""
        pk = keys.person_pk(scope.tenant, request.person)
        record = self.plain_record(pk, "ERASURE", request, version=request.version, state=request.outcome.value)
        if request.due_at is not None:
            record.due_shard, record.due_at = keys.due_shard(request.person), request.due_at
        return record

    def erased_person_record(self, scope: Scope, person: Person) -> Record:
        """Return what stays of the person's record: that there was one, as the version after ``person.version``."""
        return Record(keys.person_pk(scope.tenant, person.id), "PERSON", v=person.version + 1, s=ERASED, k=person.id)

    def erased_ledger_record(self, scope: Scope, ledger: ContactLedger) -> Record:
        """Return what stays of the ledger, as the version after ``ledger.version``."""
        pk = keys.person_pk(scope.tenant, ledger.person)
        return Record(pk, "LEDGER", v=ledger.version + 1, s=ERASED, k=ledger.person, stop_epoch=ledger.stop_epoch)

    def rows_of_person(self, scope: Scope, person: Person, cases: Iterable[str]) -> list[View]:
        """Return every index row that leads to the person: from contact points and identities, to cases and to doubles."""
        parties = [View(keys.person_cases_pk(scope.tenant, person.id), case) for case in cases]
        same = [
            View(keys.identity_index_pk(scope.tenant, self.blind_index(scope, label=label, value=value)), person.id)
            for label, value in looked_up(person)
        ]
        doubles = [item.sk for item in View.query(keys.duplicates_of_pk(scope.tenant, person.id), consistent_read=True)]
        pairs = [
            row
            for other in doubles
            for row in (
                View(keys.duplicates_pk(scope.tenant), "#".join(pair_of(person.id, other))),
                View(keys.duplicates_of_pk(scope.tenant, person.id), other),
                View(keys.duplicates_of_pk(scope.tenant, other), person.id),
            )
        ]
        return [*self.point_views(scope, person), *same, *parties, *pairs]

    def drop_views(self, rows: Iterable[View]) -> None:
        """Delete rows of views; one that is not there is no matter."""
        with View.batch_write() as batch:
            for row in rows:
                batch.delete(row)

    # Access to personal data

    def admission_id(self, scope: Scope, *, client: str, day: str) -> str:
        """Return the id of a client's first request of a day: the same in every process."""
        return derived_id("adm", key=self.sealer.index_key(scope.tenant), label="admission", value=f"{client}|{day}")

    def unmasked_today(self, client: str, day: str) -> int:
        """Return how many values the caller had unmasked on that day, by a strongly consistent read."""
        try:
            return int(View.get(keys.unmaskings_pk(client), day, consistent_read=True).v)
        except View.DoesNotExist:
            return 0

    def unmasking_row(self, client: str, day: str, count: int, *, now: datetime) -> View:
        """Return the row that counts a caller's day; its version is the count, and the table forgets it after a week."""
        return View(keys.unmaskings_pk(client), day, v=count, ttl=int(now.timestamp()) + 7 * 86_400)

    def export(self, scope: Scope, person: str, export: str) -> ExportJob | None:
        """Return the export, or None."""
        return self._plain(keys.person_pk(scope.tenant, person), keys.export_sk(export), ExportJob)

    def export_record(self, scope: Scope, job: ExportJob) -> Record:
        """Return the record of the export; it holds no personal data."""
        pk = keys.person_pk(scope.tenant, job.person)
        return self.plain_record(pk, keys.export_sk(job.id), job, version=job.version)

    def opened(self, scope: Scope, event: Event) -> dict[str, Any] | None:
        """Return what is sealed in the event, or None when nothing is or its key is destroyed."""
        if event.sealed is None or event.key is None:
            return None
        log_origin = keys.origin(self.audit_domain, scope.tenant, event.at[:4])
        aad = keys.event_aad(log_origin, event.id, event.type.value)
        try:
            plain = self.sealer.open(scope.tenant, event.key, EVIDENCE, keys.from_urlsafe(event.sealed), aad=aad)
        except PersonErased:
            return None
        found: dict[str, Any] = json.loads(plain)
        return found

    # Cases

    def case(self, scope: Scope, case: str) -> Case | None:
        """Return the case by a strongly consistent read, or None; None as well when its debtor was erased."""
        return self._sealed(keys.case_pk(scope.tenant, case), "CASE", Case, scope, OPS)

    def cases(self, scope: Scope, cases: Iterable[str]) -> dict[str, Case]:
        """Return the cases that exist among these ids, in few reads."""
        return self._many(scope, {keys.case_pk(scope.tenant, c): c for c in cases}, "CASE", Case, OPS)

    def cases_of(self, scope: Scope, person: str) -> list[str]:
        """Return the ids of all cases that the person was ever a party of, from their own index rows."""
        found = View.query(keys.person_cases_pk(scope.tenant, person), consistent_read=True)
        return [item.sk for item in found]

    def erased_cases(self, scope: Scope, cases: Iterable[str]) -> set[str]:
        """Return those of the cases that are there and cannot be read any more, because their debtor was erased."""
        erased: set[str] = set()
        self._many(scope, {keys.case_pk(scope.tenant, c): c for c in cases}, "CASE", Case, OPS, erased=erased)
        return erased

    def case_record(self, scope: Scope, case: Case) -> Record:
        """Return the record of the case as ``case.version``, sealed under its debtor's ``ops`` key."""
        pk = keys.case_pk(scope.tenant, case.id)
        record = self._seal(pk, "CASE", case, case.debtor, OPS, case.version)
        record.s = case.state.value
        if due_at := case.next_due_at():
            record.due_shard, record.due_at = keys.due_shard(case.id), due_at
        return record

    def later_offers(self, scope: Scope, cases: Iterable[str]) -> dict[str, LaterOffer]:
        """Return when each of these cases is offered again, by strongly consistent reads; version 0 of one never put off."""
        found = {case: LaterOffer(case=case) for case in cases}
        places = [(keys.case_pk(scope.tenant, case), keys.OFFER_SK) for case in found]
        for start in range(0, len(places), _BATCH_GET):
            for item in Record.batch_get(places[start : start + _BATCH_GET], consistent_read=True):
                offer = _plain_body(item, LaterOffer)
                found[offer.case] = offer
        return found

    def later_offer_record(self, scope: Scope, offer: LaterOffer) -> Record:
        """Return the record as ``offer.version``, in the due index while the case waits to be offered."""
        pk = keys.case_pk(scope.tenant, offer.case)
        record = self.plain_record(pk, keys.OFFER_SK, offer, version=offer.version)
        if offer.due_at is not None:
            record.due_shard, record.due_at = keys.due_shard(offer.case), offer.due_at
        return record

    def matter(self, scope: Scope, matter: str) -> Matter | None:
        """Return the suit by a strongly consistent read, or None; None as well when its debtor was erased."""
        return self._sealed(keys.matter_pk(scope.tenant, matter), "MATTER", Matter, scope, OPS)

    def matter_record(self, scope: Scope, matter: Matter) -> Record:
        """Return the record of the suit as ``matter.version``, sealed under its debtor's ``ops`` key."""
        pk = keys.matter_pk(scope.tenant, matter.id)
        return self._seal(pk, "MATTER", matter, matter.person, OPS, matter.version)

    # Attempts

    def attempt(self, scope: Scope, message: str) -> Attempt | None:
        """Return the attempt by a strongly consistent read, or None; None as well when its evidence key is destroyed."""
        return self._sealed(keys.message_pk(scope.tenant, message), "MSG", Attempt, scope, EVIDENCE)

    def attempt_record(self, scope: Scope, attempt: Attempt) -> Record:
        """Return the record of the attempt as ``attempt.version``, sealed under the person's ``evidence`` key."""
        pk = keys.message_pk(scope.tenant, attempt.id)
        record = self._seal(pk, "MSG", attempt, attempt.person, EVIDENCE, attempt.version)
        record.s = attempt.state.value
        if attempt.due_at is not None:
            record.due_shard, record.due_at = keys.due_shard(attempt.id), attempt.due_at
        return record

    def due(self, shard: str, *, until: str, limit: int) -> list[tuple[str, str]]:
        """Return up to ``limit`` keys (pk, sk) of a shard whose due instant is at or before ``until``, oldest first."""
        found = Record.due.query(shard, Record.due_at <= until, limit=limit)
        return [(item.pk, item.sk) for item in found]

    def leave_due(self, scope: Scope, pk: str, sk: str) -> bool:
        """Take an item out of the due index whose person was erased: the clock can do nothing for it any more.

        False, and nothing changes, when the item can be read, is gone, or has just been written.
        """
        try:
            item = Record.get(pk, sk, consistent_read=True)
        except Record.DoesNotExist:
            return False
        if item.k is None or item.due_at is None or keys.tenant_of(pk) != scope.tenant:
            return False
        purpose = EVIDENCE if sk == "MSG" else OPS
        if purpose in self.sealer.standing(scope.tenant, item.k):
            return False
        try:
            item.update([Record.due_shard.remove(), Record.due_at.remove()], condition=Record.v == item.v)
        except UpdateError as error:
            if error.cause_response_code != "ConditionalCheckFailedException":
                raise
            return False
        return True

    # Events and indexes

    def events(self, scope: Scope, aggregate_pk: str) -> list[Event]:
        """Return the events of a stream in order."""
        found = Record.query(aggregate_pk, Record.sk.startswith(keys.EVENT_PREFIX), consistent_read=True)
        return [event_of(item.e, tenant=scope.tenant) for item in found]

    def decided(self, scope: Scope, attempt: Attempt) -> Event | None:
        """Return the event of the attempt's last ruling by a strongly consistent read, None before the first.

        The whole approval stands in its open data, and is written there only.
        """
        if attempt.decided_seq is None:
            return None
        item = Record.get(
            keys.case_pk(scope.tenant, attempt.case), keys.event_sk(attempt.decided_seq), consistent_read=True
        )
        event = event_of(item.e, tenant=scope.tenant)
        if event.type is not EventType.CONTACT_DECIDED or event.data["contact"] != attempt.id:
            raise ForeignItem(f"another event answered a read of the ruling on {attempt.id}")
        return event

    def ruling(self, scope: Scope, attempt: Attempt) -> dict[str, Any] | None:
        """Return the whole ruling last given on the attempt; None before the first, and when its key was destroyed."""
        event = self.decided(scope, attempt)
        opened = None if event is None else self.opened(scope, event)
        return None if opened is None else dict(opened["ruling"])

    def persons_at_point(self, scope: Scope, index: str) -> list[tuple[str, str]]:
        """Return (person, contact point id) for everybody who is reached at a blind index."""
        found = View.query(keys.point_index_pk(scope.tenant, index), consistent_read=True)
        return [(person, point) for person, point in (item.sk.split("#", 1) for item in found)]

    def point_views(self, scope: Scope, person: Person) -> list[View]:
        """Return the index rows of a person's contact points; putting one again changes nothing."""
        rows = []
        for point in person.points:
            index = self.blind_index(
                scope, label=point.kind if point.kind != "landline" else "mobile", value=point.value
            )
            rows.append(View(keys.point_index_pk(scope.tenant, index), f"{person.id}#{point.id}"))
        return rows

    # Machinery

    def _plain(self, pk: str, sk: str, model: type[_Model]) -> _Model | None:
        try:
            return _plain_body(Record.get(pk, sk, consistent_read=True), model)
        except Record.DoesNotExist:
            return None

    def _seal(self, pk: str, sk: str, model: BaseModel, subject: str, purpose: str, version: int) -> Record:
        plain = model.model_dump_json(by_alias=True, exclude_defaults=True, exclude={"version"}).encode()
        body = self.sealer.seal(keys.tenant_of(pk), subject, purpose, plain, aad=f"{pk}|{sk}".encode())
        return Record(pk, sk, v=version, k=subject, b=body)

    def _open(self, item: Record, model: type[_Model], scope: Scope, purpose: str) -> _Model:
        if keys.tenant_of(item.pk) != scope.tenant:
            raise ForeignItem(f"an item of another lender answered a read of {scope.tenant}")
        aad = f"{item.pk}|{item.sk}".encode()
        plain = json.loads(self.sealer.open(scope.tenant, item.k, purpose, item.b, aad=aad))
        plain["version"] = item.v
        if item.stop_epoch is not None:
            plain["stop_epoch"] = item.stop_epoch
        return model.model_validate(plain)

    def _sealed(self, pk: str, sk: str, model: type[_Model], scope: Scope, purpose: str) -> _Model | None:
        try:
            item = Record.get(pk, sk, consistent_read=True)
        except Record.DoesNotExist:
            return None
        return self._unless_erased(item, model, scope, purpose)

    def _unless_erased(self, item: Record, model: type[_Model], scope: Scope, purpose: str) -> _Model | None:
        if item.b is None:
            return None
        try:
            return self._open(item, model, scope, purpose)
        except PersonErased:
            return None

    def _many(
        self,
        scope: Scope,
        pks: dict[str, str],
        sk: str,
        model: type[_Model],
        purpose: str,
        *,
        erased: set[str] | None = None,
    ) -> dict[str, _Model]:
        """Return what can be read, by name; ``erased`` takes the names of what is there and cannot."""
        wanted: Sequence[str] = list(pks)
        items: list[Record] = []
        for start in range(0, len(wanted), _BATCH_GET):
            batch = [(pk, sk) for pk in wanted[start : start + _BATCH_GET]]
            items.extend(Record.batch_get(batch, consistent_read=True))
        self.sealer.load_subjects(scope.tenant, [item.k for item in items if item.k is not None])
        found = {pks[item.pk]: self._unless_erased(item, model, scope, purpose) for item in items}
        if erased is not None:
            erased |= {name for name, value in found.items() if value is None}
        return {name: value for name, value in found.items() if value is not None}


def event_of(packed: bytes, *, tenant: str) -> Event:
    """Return the event that the attribute ``e`` of an item of the lender holds. Raises NotPacked, KeyError, ValueError."""
    return event_from_canonical(unpack(packed), tenant=tenant)


def _plain_body(item: Record, model: type[_Model]) -> _Model:
    return model.model_validate({**json.loads(item.d), "version": item.v})
