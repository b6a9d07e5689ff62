"""A person's copy of their data: asked for once and recorded, fetched within a day by who asked, never stored as a copy."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from chalicelib.domain import keys
from chalicelib.domain.concurrency import retrying
from chalicelib.domain.errors import NotFound
from chalicelib.domain.events import Actor, Event, EventType
from chalicelib.domain.instants import from_text, to_text
from chalicelib.domain.people.export import ExportJob, document
from chalicelib.usecases.one_person import records_of
from chalicelib.usecases.ports import Scope, Store

LIFE = timedelta(hours=24)
"""How long an export may be fetched."""


def request_export(
    store: Store,
    scope: Scope,
    person_id: str,
    *,
    requested_by: str,
    identity_check: str,
    export_id: str,
    actor: Actor,
    now: datetime,
    req: str,
) -> ExportJob:
    """Record that a person's data are to be given out; the same ``export_id`` again is the same export.

    Raises NotFound for a person whom the lender does not know or who was erased.
    """

    def once() -> ExportJob:
        before = store.export(scope, person_id, export_id)
        if before is not None:
            return before
        if store.person(scope, person_id) is None:
            raise NotFound("person", person_id)
        job = ExportJob(
            id=export_id,
            person=person_id,
            requested_by=requested_by,
            identity_check=identity_check,
            by=actor.id,
            created_at=to_text(now),
            expires_at=to_text(now + LIFE),
        )
        unit = store.unit(scope, actor=actor, req=req, now=now)
        unit.create(store.export_record(scope, job))
        unit.emit(
            keys.person_pk(scope.tenant, person_id),
            EventType.PERSON_EXPORTED,
            {
                "export": export_id,
                "person": person_id,
                "requested_by": requested_by,
                "identity_check": identity_check,
            },
        )
        unit.commit()
        return job

    return retrying(once)


def find_export(
    store: Store, scope: Scope, person_id: str, export_id: str, *, by: str, now: datetime
) -> dict[str, Any]:
    """Return the whole of what is known of the person, as it is now. Raises NotFound; also when the time is over."""
    job = store.export(scope, person_id, export_id)
    known = records_of(store, scope, [person_id])
    person = known.persons.get(person_id)
    if job is None or person is None or job.by != by or now >= from_text(job.expires_at):
        raise NotFound("export", export_id)
    records = (person_id, *known.others)
    case_ids = list(dict.fromkeys(case for record in records for case in store.cases_of(scope, record)))
    cases = store.cases(scope, case_ids)
    own = [event for record in records for event in store.events(scope, keys.person_pk(scope.tenant, record))]
    of_cases = [event for case in case_ids for event in store.events(scope, keys.case_pk(scope.tenant, case))]
    borrowed = {case.id for case in cases.values() if case.debtor in records}
    events = [*own, *(event for event in of_cases if _is_about(event, records, borrowed))]
    contacts = dict.fromkeys(str(event.data["contact"]) for event in events if _is_request(event))
    found = (store.attempt(scope, contact) for contact in contacts)
    messages = [attempt for attempt in found if attempt is not None and attempt.person in records]
    return document(
        job,
        person,
        {**known.ledgers, **known.others},
        cases.values(),
        messages,
        _opened(store, scope, records, sorted(events, key=lambda event: (event.at, event.id))),
    )


def _is_about(event: Event, records: Sequence[str], borrowed: set[str]) -> bool:
    named = event.data.get("person")
    return named in records or (named is None and event.stream in borrowed)


def _is_request(event: Event) -> bool:
    return event.type is EventType.CONTACT_REQUESTED


def _opened(
    store: Store, scope: Scope, records: Sequence[str], events: Sequence[Event]
) -> Iterator[tuple[Event, Mapping[str, Any] | None]]:
    for event in events:
        theirs = event.sealed is not None and event.key in records
        yield event, store.opened(scope, event) if theirs else None
