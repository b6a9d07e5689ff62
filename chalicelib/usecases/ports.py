"""What use cases need from the outside, as protocols; ``chalicelib.store`` and ``chalicelib.gateways`` provide it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from pydantic import BaseModel

from chalicelib.domain.audit.keeping import LogHold
from chalicelib.domain.cases.assignment import LaterOffer
from chalicelib.domain.cases.case import Case
from chalicelib.domain.cases.organisations import Agency, Collector, Lender, WitnessPolicy
from chalicelib.domain.events import Actor, Event, EventType
from chalicelib.domain.house import HouseIndex
from chalicelib.domain.litigation.matter import Matter
from chalicelib.domain.outreach.attempt import Attempt
from chalicelib.domain.outreach.template_book import TemplateBook
from chalicelib.domain.outreach.templates import Template
from chalicelib.domain.people.erasure import ErasureRequest
from chalicelib.domain.people.export import ExportJob
from chalicelib.domain.people.person import ContactLedger, Person


class Scope(Protocol):
    """What a caller may touch: exactly one lender's data."""

    @property
    def tenant(self) -> str:
        """Return the lender's id."""
        ...


class Sealed(Protocol):
    """A payload sealed for an event to come."""

    @property
    def digest(self) -> str:
        """Return the SHA-256 (hex) of the sealed bytes."""
        ...


class Unit(Protocol):
    """The writes of one command: committed together, or not at all. See ``chalicelib.store.unit``."""

    @property
    def size(self) -> int:
        """Return the number of actions so far."""
        ...

    def create(self, record: Any) -> None:
        """Put a record that must not exist yet."""

    def replace(self, record: Any, *, expected: int) -> None:
        """Put a record over the version ``expected``; 0 means that there is none."""

    def drop(self, view: Any) -> None:
        """Delete the item of a view."""

    def destroy_keys(self, person: str, purposes: Sequence[str]) -> None:
        """Destroy those keys of the person for good."""

    def writes(self, pk: str, sk: str) -> bool:
        """Tell whether this unit already puts that item."""
        ...

    def load_heads(self, aggregate_pks: Sequence[str]) -> None:
        """Learn the heads of many young streams in few reads."""

    def watch(self, aggregate_pk: str) -> None:
        """Commit only if nothing happens in the stream from now on but what this unit appends."""

    def check_version(self, pk: str, sk: str, version: int) -> None:
        """Commit only if that item still has this version."""

    def check_stop_epoch(self, person: str, stop_epoch: int) -> None:
        """Commit only if no stop reached the person since."""

    def prepare(self, event_type: EventType, *, subject: str, secret: Mapping[str, Any]) -> Any:
        """Seal a payload for an event to come."""

    def emit(
        self,
        aggregate_pk: str,
        event_type: EventType,
        data: Mapping[str, Any],
        *,
        fresh: bool = False,
        decision: Mapping[str, Any] | None = None,
        subject: str | None = None,
        secret: Mapping[str, Any] | None = None,
        prepared: Any = None,
    ) -> Event:
        """Append an event to the aggregate's stream."""
        ...

    def commit(self) -> None:
        """Write everything. Raises ``chalicelib.domain.concurrency.Conflict``."""


class Store(Protocol):
    """The repository. See ``chalicelib.store.repository``; records are opaque here."""

    def unit(self, scope: Scope, *, actor: Actor, req: str, now: datetime) -> Any:
        """Return an empty unit of work."""

    def blind_index(self, scope: Scope, *, label: str, value: str) -> str:
        """Return the lender's blind index of a normalised value."""
        ...

    def lender(self, scope: Scope) -> Lender | None:
        """Return the lender's record."""
        ...

    def lender_row(self, scope: Scope, *, version: int) -> Any:
        """Return the row by which the lender is found without a scan."""

    def house_index(self, scope: Scope) -> HouseIndex:
        """Return which house rules bind, strongly consistent."""
        ...

    def key_version(self, scope: Scope) -> int:
        """Return the number of the newest version of the lender's key."""
        ...

    def make_key_version(self, scope: Scope) -> int:
        """Make the next version of the lender's key and return its number."""
        ...

    def witness_policy(self, scope: Scope) -> WitnessPolicy | None:
        """Return who must have seen the lender's logs."""
        ...

    def log_hold(self, scope: Scope, year: str) -> LogHold | None:
        """Return the legal hold on the lender's log of a year."""
        ...

    def log_holds(self, scope: Scope) -> list[LogHold]:
        """Return every legal hold that there ever was on a log of the lender."""
        ...

    def agency(self, scope: Scope, org: str) -> Agency | None:
        """Return the agency as listed."""
        ...

    def collector(self, scope: Scope, org: str, collector: str) -> Collector | None:
        """Return the collector."""
        ...

    def agencies(self, scope: Scope) -> list[Agency]:
        """Return every agency that the lender ever listed."""
        ...

    def collectors(self, scope: Scope, org: str) -> list[Collector]:
        """Return the collectors of an agency."""
        ...

    def template_book(self, scope: Scope, template: str) -> TemplateBook | None:
        """Return the template with the lives of its versions."""
        ...

    def template_books(self, scope: Scope) -> list[TemplateBook]:
        """Return every template of the lender, by id."""
        ...

    def template(self, scope: Scope, template: str, number: int) -> Template | None:
        """Return the content of one version."""
        ...

    def template_book_record(self, scope: Scope, book: TemplateBook) -> Any:
        """Return the record of a template."""

    def template_record(self, scope: Scope, template: Template) -> Any:
        """Return the record of a version's content."""

    def plain_record(self, pk: str, sk: str, model: BaseModel, *, version: int, state: str | None = None) -> Any:
        """Return the record of a body without personal data."""

    def person(self, scope: Scope, person: str) -> Person | None:
        """Return the person."""
        ...

    def persons(self, scope: Scope, persons: Iterable[str]) -> dict[str, Person]:
        """Return those persons that exist."""
        ...

    def ledger(self, scope: Scope, person: str) -> ContactLedger:
        """Return the person's contact ledger."""
        ...

    def ledgers(self, scope: Scope, persons: Iterable[str]) -> dict[str, ContactLedger]:
        """Return a ledger for each person."""
        ...

    def case(self, scope: Scope, case: str) -> Case | None:
        """Return the case."""
        ...

    def cases_of(self, scope: Scope, person: str) -> list[str]:
        """Return the ids of all cases that the person was ever a party of."""
        ...

    def events(self, scope: Scope, aggregate_pk: str) -> list[Event]:
        """Return the events of a stream in order."""
        ...

    def duties_owed(self, scope: Scope, subjects: Iterable[str]) -> list[str]:
        """Return by when each open duty about these cases and persons is to be done."""
        ...

    def erasure(self, scope: Scope, person: str) -> ErasureRequest | None:
        """Return the erasure request about the person."""
        ...

    def erasure_record(self, scope: Scope, request: ErasureRequest) -> Any:
        """Return the record of an erasure request."""

    def erased_person_record(self, scope: Scope, person: Person) -> Any:
        """Return what stays of a person's record."""

    def erased_ledger_record(self, scope: Scope, ledger: ContactLedger) -> Any:
        """Return what stays of a ledger."""

    def admission_id(self, scope: Scope, *, client: str, day: str) -> str:
        """Return the id of a client's first request of a day."""
        ...

    def unmasked_today(self, client: str, day: str) -> int:
        """Return how many values the caller had unmasked on that day."""
        ...

    def unmasking_row(self, client: str, day: str, count: int, *, now: datetime) -> Any:
        """Return the row that counts a caller's day."""

    def export(self, scope: Scope, person: str, export: str) -> ExportJob | None:
        """Return the export."""
        ...

    def export_record(self, scope: Scope, job: ExportJob) -> Any:
        """Return the record of the export."""

    def opened(self, scope: Scope, event: Event) -> dict[str, Any] | None:
        """Return what is sealed in the event, as far as it can be opened."""
        ...

    def rows_of_person(self, scope: Scope, person: Person, cases: Iterable[str]) -> Sequence[Any]:
        """Return every index row that leads to the person."""
        ...

    def drop_views(self, rows: Iterable[Any]) -> None:
        """Delete rows of views."""

    def cases(self, scope: Scope, cases: Iterable[str]) -> dict[str, Case]:
        """Return the cases that exist among these ids, in few reads."""
        ...

    def erased_cases(self, scope: Scope, cases: Iterable[str]) -> set[str]:
        """Return those cases that are there and cannot be read, because their debtor was erased."""
        ...

    def leave_due(self, scope: Scope, pk: str, sk: str) -> bool:
        """Take an item out of the due index that cannot be read any more; False when it can."""
        ...

    def matter(self, scope: Scope, matter: str) -> Matter | None:
        """Return the suit."""
        ...

    def matter_record(self, scope: Scope, matter: Matter) -> Any:
        """Return the suit's record."""

    def attempt(self, scope: Scope, message: str) -> Attempt | None:
        """Return the attempt."""
        ...

    def decided(self, scope: Scope, attempt: Attempt) -> Event | None:
        """Return the event of the attempt's last ruling."""
        ...

    def ruling(self, scope: Scope, attempt: Attempt) -> dict[str, Any] | None:
        """Return the whole ruling last given on the attempt."""
        ...

    def person_record(self, scope: Scope, person: Person) -> Any:
        """Return the record of a person."""

    def ledger_record(self, scope: Scope, ledger: ContactLedger) -> Any:
        """Return the record of a ledger."""

    def case_record(self, scope: Scope, case: Case) -> Any:
        """Return the record of a case."""

    def later_offers(self, scope: Scope, cases: Iterable[str]) -> dict[str, LaterOffer]:
        """Return when each of these cases is offered to agencies again."""
        ...

    def later_offer_record(self, scope: Scope, offer: LaterOffer) -> Any:
        """Return the record of when a case is offered again."""

    def attempt_record(self, scope: Scope, attempt: Attempt) -> Any:
        """Return the record of an attempt."""

    def due(self, shard: str, *, until: str, limit: int) -> list[tuple[str, str]]:
        """Return keys whose due instant has come."""
        ...

    def persons_at_point(self, scope: Scope, index: str) -> list[tuple[str, str]]:
        """Return (person, point) reached at a blind index."""
        ...


class Queues(Protocol):
    """Queues by their short names; bodies carry ids only."""

    def send(self, queue: str, bodies: Sequence[Mapping[str, Any]], *, delay_seconds: int = 0) -> None:
        """Enqueue every body."""

    def send_grouped(self, queue: str, bodies: Sequence[tuple[str, str, Mapping[str, Any]]]) -> None:
        """Enqueue (group, deduplication id, body) on a FIFO queue."""
