"""What carriers and borrowers send back: deliveries, failures, complaints, replies, opt-outs.

Such events come at any time, in any order and more than once; every one has an answer, and none is sent on by queue
body or log. A stop is written before anything else, because it is what must not be late.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chalicelib.domain import keys
from chalicelib.domain.concurrency import retrying
from chalicelib.domain.events import Actor, EventType
from chalicelib.domain.instants import to_seconds_text
from chalicelib.domain.outreach import attempt as machine
from chalicelib.domain.outreach.attempt import AttemptEvent
from chalicelib.domain.outreach.keywords import Intent, intent_of
from chalicelib.domain.outreach.provider_events import ProviderEvent, parse_provider_events
from chalicelib.domain.people.person import ConsentEntry, ContactEntry
from chalicelib.domain.state_table import Move
from chalicelib.usecases.compliance import event_data, index_label
from chalicelib.usecases.one_person import all_records, record_with_point
from chalicelib.usecases.ports import Scope, Store

CARRIER = Actor("system", "settle_provider_events", "role")


@dataclass(frozen=True, slots=True)
class Settled:
    """What the event changed: counts of attempts moved and persons whose ledger was written."""

    attempts: int = 0
    persons: int = 0
    note: str = ""


CHANNELS = {"sns": ("sms", "mobile"), "ses": ("email", "email"), "wechat": ("wechat", "wechat")}
"""Per carrier: the channel, and the kind of contact point that an inbound message comes from."""


def settle(
    store: Store,
    scopes: Callable[[], Sequence[Scope]],
    body: Mapping[str, Any],
    *,
    clock: Callable[[], datetime],
    req: str,
) -> list[Settled]:
    """Apply every event in one queue body (an SNS envelope).

    A carrier knows no lender: an event that names a contact belongs to the lender who has that attempt, an inbound
    message to every lender who has its sender on file; each is handled within its own scope.
    """
    done = []
    for event in parse_provider_events(body):
        for scope in scopes():
            if event.tenant not in (None, scope.tenant):
                continue
            if event.contact is not None:
                done.append(settle_delivery(store, scope, event, clock=clock, req=req))
            if event.contact is None or event.kind == "complaint":
                channel, kind = CHANNELS[event.provider]
                done.append(receive(store, scope, event, channel=channel, kind=kind, clock=clock, req=req))
    return done


def settle_delivery(
    store: Store, scope: Scope, event: ProviderEvent, *, clock: Callable[[], datetime], req: str
) -> Settled:
    """Apply a carrier's word on one attempt (delivered, failed, bounced, complaint); late and repeated ones are inert."""

    def once() -> Settled:
        attempt = store.attempt(scope, event.contact or "")
        if attempt is None:
            return Settled(note="no such attempt")
        delivered = event.kind == "delivered"
        step = AttemptEvent.DELIVERED if delivered else AttemptEvent.UNDELIVERABLE
        answer = machine.answer(attempt.state, step, human=attempt.human)
        if not isinstance(answer, Move):
            return Settled(note=answer.reason)
        unit = store.unit(scope, actor=CARRIER, req=req, now=clock())
        changes = {
            "state": answer.to,
            "due_at": None,
            "provider": attempt.provider or event.provider,
            "provider_id": attempt.provider_id or event.provider_id,
            "version": attempt.version + 1,
        }
        unit.replace(store.attempt_record(scope, attempt.model_copy(update=changes)), expected=attempt.version)
        ledger = store.ledger(scope, attempt.person)
        outcome = "delivered" if delivered else "bounced"
        after = ledger.with_outcome(attempt.id, outcome).model_copy(update={"version": ledger.version + 1})
        unit.replace(store.ledger_record(scope, after), expected=ledger.version)
        unit.emit(
            keys.case_pk(scope.tenant, attempt.case),
            EventType.CONTACT_DELIVERED if delivered else EventType.CONTACT_FAILED,
            {
                **event_data(attempt),
                "provider_id": event.provider_id,
                "reason": None if delivered else event.kind,
                "agency": attempt.org,
                # From ``sending`` or ``unknown`` this is the first proof that the carrier took the message.
                "from": attempt.state.value,
            },
        )
        if event.kind == "bounced" and attempt.point is not None:
            _mark_vacant(store, scope, unit, attempt.person, attempt.point)
        unit.commit()
        return Settled(attempts=1)

    return retrying(once, attempts=20)


def _mark_vacant(store: Store, scope: Scope, unit: object, person_id: str, point_id: str) -> None:
    """Suspend a contact point that a carrier calls dead, so that nobody tries it again unverified."""
    person = record_with_point(store, scope, all_records(store, scope, person_id), point_id)
    point = person.point(point_id) if person is not None else None
    if person is None or point is None or point.status == "vacant":
        return
    changed = person.with_point(point.model_copy(update={"status": "vacant"}))
    record = store.person_record(scope, changed.model_copy(update={"version": person.version + 1}))
    unit.replace(record, expected=person.version)  # type: ignore[attr-defined]


def receive(
    store: Store,
    scope: Scope,
    event: ProviderEvent,
    *,
    channel: str,
    kind: str,
    clock: Callable[[], datetime],
    req: str,
) -> Settled:
    """Record an inbound message for everybody who is reached at its sender's address, and honour a stop at once.

    ``kind`` is the kind of contact point (mobile, email, wechat). Repeats are recognised by the event's id.
    """
    index = store.blind_index(scope, label=index_label(kind), value=event.recipient or "")
    touched = 0
    for person, point in store.persons_at_point(scope, index):

        def once(person: str = person, point: str = point) -> int:
            return _receive_once(store, scope, event, person, point, channel, clock(), req)

        touched += retrying(once, attempts=20)
    return Settled(persons=touched, note="" if touched else "nobody is known at that address")


def _receive_once(
    store: Store, scope: Scope, event: ProviderEvent, person: str, point: str, channel: str, now: datetime, req: str
) -> int:
    ledger = store.ledger(scope, person)
    inbound_id = f"in_{event.dedup_id}"[:80]
    if any(entry.id == inbound_id for entry in ledger.history):
        return 0
    intent = intent_of(event.text or "")
    at = to_seconds_text(now)
    after = ledger.with_contact(
        ContactEntry(
            id=inbound_id, at=at, direction="in", channel=channel, party=person, point=point, outcome="received"
        )
    ).with_consent(
        ConsentEntry(at=at, party=person, point=point, medium=channel, event="used", direct=True), stops=False
    )
    unit = store.unit(scope, actor=CARRIER, req=req, now=now)
    pk = keys.person_pk(scope.tenant, person)
    data = {"person": person, "channel": channel, "keyword": intent.value if intent is not None else None}
    unit.emit(pk, EventType.INBOUND_RECEIVED, data, subject=person, secret={"text": event.text, "inbound": inbound_id})
    if intent is Intent.STOP or event.kind == "complaint":
        for step in ("withdrawn", "stop_medium"):
            entry = ConsentEntry(
                at=at, party=person, point=point, medium=channel, event=step, scope="medium", direct=True, written=True
            )
            after = after.with_consent(entry, stops=True)
        stop = {"person": person, "medium": channel, "event": "stop_medium", "scope": "medium"}
        unit.emit(pk, EventType.CONSENT_CHANGED, stop)
    if intent is Intent.COMPLAINT:
        complaint = {"complaint": inbound_id, "category": "inbound", "person": person, "agency": _last_org(after)}
        unit.emit(pk, EventType.COMPLAINT_RECEIVED, complaint, subject=person, secret={"text": event.text})
    unit.replace(
        store.ledger_record(scope, after.model_copy(update={"version": ledger.version + 1})), expected=ledger.version
    )
    unit.commit()
    return 1


def _last_org(ledger: object) -> str | None:
    """Return the organisation that last wrote to or called the person, whom a complaint most likely concerns."""
    outbound = [e for e in getattr(ledger, "history", ()) if e.direction == "out" and e.org is not None]
    return max(outbound, key=lambda entry: entry.at).org if outbound else None
