"""A case while a command changes it: moves, holds and stops are collected and committed as one transaction."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from chalicelib.domain import keys
from chalicelib.domain.cases.case import Case
from chalicelib.domain.cases.lifecycle import FINAL, CaseEvent, answer
from chalicelib.domain.errors import NotFound, StateConflict
from chalicelib.domain.events import Actor, Event, EventType
from chalicelib.domain.ids import new_id
from chalicelib.domain.instants import epoch_ms, to_seconds_text
from chalicelib.domain.people.person import ContactLedger, HoldEntry, Person
from chalicelib.domain.state_table import Move, Refuse
from chalicelib.usecases.ports import Scope, Store

STOPPING = frozenset(
    {
        CaseEvent.HOLD,
        CaseEvent.DISPUTE,
        CaseEvent.SETTLE,
        CaseEvent.REQUEST_RECALL,
        CaseEvent.RECALL,
        CaseEvent.RETURN,
        CaseEvent.REFER_TO_LEGAL,
        CaseEvent.WRITE_OFF,
    }
)
"""Moves after which nothing that was approved before may leave any more."""

PERSON_HOLDS = frozenset(
    {
        "attorney",
        "bankruptcy",
        "breathing_space",
        "breathing_space_mental_health",
        "cease",
        "deceased",
        "detention",
        "disaster",
        "military_service",
        "police_no_contact",
        "serious_illness",
    }
)
"""Holds that follow the person over all of the lender's cases; the others are on this debt."""

_NO_PAUSE = frozenset({"promise_alive", "recall"})
"""Holds under which the case itself goes on."""


def find_case(store: Store, scope: Scope, case_id: str, *, org: str | None) -> Case:
    """Return the case, if it is the caller's: ``org`` is the agency that must hold it, None for the lender's side.

    Raises NotFound, in the same words for a foreign id and an unknown one.
    """
    case = store.case(scope, case_id)
    if case is None or (org is not None and case.agency != org):
        raise NotFound("case", case_id)
    return case


class CaseDraft:
    """One command's changes to one case, with the ledgers and persons that it touches."""

    def __init__(self, store: Store, scope: Scope, case: Case, *, actor: Actor, now: datetime, req: str) -> None:
        """Start from the case as it was read; its version is the condition of the commit."""
        self.case = case
        self.now = now
        self._store = store
        self._scope = scope
        self._read = case
        self._unit = store.unit(scope, actor=actor, req=req, now=now)
        self._pk = keys.case_pk(scope.tenant, case.id)
        self._ledgers: dict[str, tuple[ContactLedger, ContactLedger]] = {}
        self._persons: dict[str, tuple[Person, Person]] = {}
        self._stopped = False
        self._events = 0

    def change(self, **changes: Any) -> None:
        """Set fields of the case."""
        self.case = self.case.model_copy(update=changes)

    def move(self, event: CaseEvent, reason: str) -> bool:
        """Let the event happen to the case; False when it changes nothing. Raises StateConflict when it is refused."""
        reply = answer(self.case.state, event)
        if isinstance(reply, Refuse):
            raise StateConflict("invalid_transition", reply.reason)
        if not isinstance(reply, Move):
            return False
        before = self.case.state
        if event in STOPPING:
            self.stop()
        self.change(state=reply.to)
        if reply.to in FINAL:
            self.change(recall_due_at=None)
        if before != reply.to:
            data = {"from": before.value, "to": reply.to.value, "reason": reason, "agency": self.case.agency}
            self.emit(EventType.CASE_CHANGED, data)
        return True

    def move_if_possible(self, event: CaseEvent, reason: str) -> bool:
        """Like ``move`` for what follows from a fact: the fact stands, whether or not the case can move."""
        return False if isinstance(answer(self.case.state, event), Refuse) else self.move(event, reason)

    def emit(self, event_type: EventType, data: Mapping[str, Any], **sealed: Any) -> Event:
        """Append an event to the case's stream."""
        self._events += 1
        return self._unit.emit(self._pk, event_type, data, **sealed)  # type: ignore[no-any-return]

    def put(self, record: Any, *, expected: int | None) -> None:
        """Write another record with the case: over the version ``expected``, or a new one where it is None."""
        if expected is None:
            self._unit.create(record)
        else:
            self._unit.replace(record, expected=expected)

    def new_id(self, prefix: str) -> str:
        """Return a fresh id of this instant."""
        return new_id(prefix, epoch_ms=epoch_ms(self.now))

    def stop(self) -> None:
        """Make every approval stale that was given for any party of this case: each ledger's stop epoch grows by one."""
        if self._stopped:
            return
        self._stopped = True
        parties = [party.person for party in self.case.parties]
        self.load_ledgers(parties)
        for person in parties:
            ledger = self.ledger(person)
            if not ledger.is_erased:
                self.set_ledger(ledger.model_copy(update={"stop_epoch": ledger.stop_epoch + 1}))

    def load_ledgers(self, persons: list[str]) -> None:
        """Read several ledgers at once."""
        missing = [person for person in persons if person not in self._ledgers]
        if missing:
            found = self._store.ledgers(self._scope, missing)
            self._ledgers.update({person: (ledger, ledger) for person, ledger in found.items()})

    def ledger(self, person: str) -> ContactLedger:
        """Return the person's ledger as this command leaves it."""
        self.load_ledgers([person])
        return self._ledgers[person][1]

    def set_ledger(self, ledger: ContactLedger) -> None:
        """Take the ledger as changed."""
        read, _ = self._ledgers[ledger.person]
        self._ledgers[ledger.person] = (read, ledger)

    def person(self, person_id: str) -> Person:
        """Return the person as this command leaves them. Raises NotFound."""
        if person_id not in self._persons:
            found = self._store.person(self._scope, person_id)
            if found is None:
                raise NotFound("person", person_id)
            self._persons[person_id] = (found, found)
        return self._persons[person_id][1]

    def record_with_point(self, person_id: str, point: str) -> Person | None:
        """Return the record of the person that has the contact point: theirs, or one that is merged with it."""
        records = (person_id, *self.ledger(person_id).counted_with)
        return next((each for record in records if (each := self.person(record)).point(point) is not None), None)

    def set_person(self, person: Person) -> None:
        """Take the person as changed."""
        read, _ = self._persons[person.id]
        self._persons[person.id] = (read, person)

    def place_hold(self, kind: str, person: str, reason: str, *, note: str | None = None, **details: Any) -> HoldEntry:
        """Put a hold on the person or, when its kind is about a debt, on this case; what is queued goes stale.

        The case pauses when it is being worked. A fact about a person is recorded in every state of the case. A hold
        whose id (in ``details``) is there already is left as it is. ``reason`` is a code and stands open in the log;
        ``note`` is what somebody wrote, and is sealed.
        """
        known = next((hold for hold in self.holds() if hold.id == details.get("id")), None)
        if known is not None:
            return known
        on_person = kind in PERSON_HOLDS
        hold = HoldEntry(
            **{
                "id": self.new_id("hold"),
                "kind": kind,
                "from": to_seconds_text(self.now),
                "party": person,
                "debt": None if on_person else self.case.id,
                **details,
            }
        )
        self.stop()
        if on_person:
            ledger = self.ledger(person)
            # ``stop`` has made older approvals stale already, so the entry itself need not.
            placed = ledger.with_hold(hold).model_copy(update={"stop_epoch": ledger.stop_epoch})
            self.set_ledger(placed)
        else:
            self.change(holds=(*self.case.holds, hold))
        self.emit(EventType.HOLD_PLACED, self._hold_data(hold, person), **_sealed(person, note))
        if kind == "dispute":
            self.move_if_possible(CaseEvent.DISPUTE, reason)
        elif kind not in _NO_PAUSE:
            self.move_if_possible(CaseEvent.HOLD, reason)
        return hold

    def release_hold(self, hold_id: str, reason: str, *, note: str | None = None) -> bool:
        """End a hold; the case goes on when it was the last. False when it had ended. Raises NotFound.

        ``reason`` is a code and stands open in the log; ``note`` is what somebody wrote, and is sealed.
        """
        self.load_ledgers([party.person for party in self.case.parties])
        found = next((hold for hold in self.holds() if hold.id == hold_id), None)
        if found is None:
            raise NotFound("hold", hold_id)
        if found.released_at is not None:
            return False
        ended = found.model_copy(update={"released_at": to_seconds_text(self.now)})
        self.stop()
        if any(hold.id == hold_id for hold in self.case.holds):
            self.change(holds=tuple(ended if hold.id == hold_id else hold for hold in self.case.holds))
        for ledger in [self.ledger(party.person) for party in self.case.parties]:
            if any(hold.id == hold_id for hold in ledger.holds):
                kept = tuple(ended if hold.id == hold_id else hold for hold in ledger.holds)
                self.set_ledger(ledger.model_copy(update={"holds": kept}))
        held = ended.party or self.case.debtor
        self.emit(EventType.HOLD_RELEASED, self._hold_data(ended, ended.party), **_sealed(held, note))
        active = [h for h in self.holds() if h.released_at is None and h.kind not in _NO_PAUSE]
        if found.kind == "dispute" and not any(h.kind == "dispute" for h in active):
            self.move_if_possible(CaseEvent.RESOLVE_DISPUTE, reason)
            if active:
                self.move_if_possible(CaseEvent.HOLD, "another hold is in force")
        if not active:
            self.move_if_possible(CaseEvent.RELEASE, reason)
        return True

    def holds(self) -> list[HoldEntry]:
        """Return the holds on this case and on its parties, released ones included."""
        parties = [party.person for party in self.case.parties]
        self.load_ledgers(parties)
        return [*self.case.holds, *(hold for person in parties for hold in self.ledger(person).holds)]

    def _hold_data(self, hold: HoldEntry, person: str | None) -> dict[str, Any]:
        return {
            "hold": hold.id,
            "kind": hold.kind,
            "person": person,
            "case": self.case.id,
            "agency": self.case.agency,
        }

    def commit(self) -> Case:
        """Write the case, what else changed, and the events in one transaction. Raises Conflict."""
        if self.case != self._read or self._events:
            self.change(version=self._read.version + 1)
            self._unit.replace(self._store.case_record(self._scope, self.case), expected=self._read.version)
        for read_ledger, ledger in self._ledgers.values():
            if ledger != read_ledger:
                written = ledger.model_copy(update={"version": read_ledger.version + 1})
                self._unit.replace(self._store.ledger_record(self._scope, written), expected=read_ledger.version)
        for read_person, person in self._persons.values():
            if person != read_person:
                changed = person.model_copy(update={"version": read_person.version + 1})
                self._unit.replace(self._store.person_record(self._scope, changed), expected=read_person.version)
        self._unit.commit()
        return self.case


def _sealed(person: str, note: str | None) -> dict[str, Any]:
    return {} if note is None else {"subject": person, "secret": {"text": note}}
