"""Legal holds: nothing that proceedings need may expire, be erased or become unreadable.

A hold is on a lender's log of a year (every object of it, put on by the archive's keeper) or on a person's evidence, also after
the profile is gone. Who placed it, why (a code) and for which matter (a reference) stand in the log; no words do.
"""

from datetime import datetime
from typing import Any, Literal

from chalicelib.domain import keys
from chalicelib.domain.audit.keeping import LogHold
from chalicelib.domain.concurrency import retrying
from chalicelib.domain.errors import NotFound, StateConflict
from chalicelib.domain.events import Actor, EventType
from chalicelib.domain.instants import to_seconds_text, to_text
from chalicelib.domain.people.person import HoldEntry
from chalicelib.usecases.ports import Scope, Store

LEGAL = "legal_review"
Reason = Literal["litigation", "regulator_inquiry", "complaint", "audit"]


def place_log_hold(
    store: Store, scope: Scope, year: str, *, reason: str, matter: str, actor: Actor, now: datetime, req: str
) -> LogHold:
    """Put the lender's log of a year under legal hold; one that is on stays as it is, with its first matter.

    The log need not have begun: what is put into it will be held. Raises NotFound for a lender that is not registered.
    """

    def once() -> LogHold:
        if store.lender(scope) is None:
            raise NotFound("lender", scope.tenant)
        known = store.log_hold(scope, year)
        if known is not None and known.on:
            return known
        version = (known.version if known is not None else 0) + 1
        placed = LogHold(
            year=year,
            on=True,
            reason=reason,
            matter=matter,
            placed_at=to_text(now),
            placed_by=actor.id,
            version=version,
        )
        data = {"year": year, "reason": reason, "matter": matter}
        return _written(store, scope, placed, EventType.ARCHIVE_HOLD_PLACED, data, actor, now, req)

    return retrying(once)


def release_log_hold(store: Store, scope: Scope, year: str, *, actor: Actor, now: datetime, req: str) -> LogHold:
    """End the legal hold on a log; one that has ended stays as it is. Raises NotFound when there never was one."""

    def once() -> LogHold:
        known = store.log_hold(scope, year)
        if known is None:
            raise NotFound("legal hold", year)
        if not known.on:
            return known
        changes = {"on": False, "released_at": to_text(now), "released_by": actor.id, "version": known.version + 1}
        ended = known.model_copy(update=changes)
        data = {"year": year, "reason": known.reason, "matter": known.matter}
        return _written(store, scope, ended, EventType.ARCHIVE_HOLD_RELEASED, data, actor, now, req)

    return retrying(once)


def _written(
    store: Store,
    scope: Scope,
    hold: LogHold,
    event_type: EventType,
    data: dict[str, Any],
    actor: Actor,
    now: datetime,
    req: str,
) -> LogHold:
    unit = store.unit(scope, actor=actor, req=req, now=now)
    pk, sk = keys.tenant_pk(scope.tenant), keys.log_hold_sk(hold.year)
    unit.replace(store.plain_record(pk, sk, hold, version=hold.version), expected=hold.version - 1)
    unit.emit(keys.org_pk(scope.tenant, scope.tenant), event_type, data)
    unit.commit()
    return hold


def place_person_hold(
    store: Store,
    scope: Scope,
    person_id: str,
    *,
    hold_id: str,
    reason: str,
    matter: str,
    actor: Actor,
    now: datetime,
    req: str,
) -> HoldEntry:
    """Put the person's evidence under legal hold; the same ``hold_id`` again is the same hold.

    It works as long as there is evidence, so also after the profile was destroyed. Raises NotFound for a person whom the lender never
    knew, StateConflict when the evidence is destroyed.
    """

    def once() -> HoldEntry:
        ledger = store.ledger(scope, person_id)
        if ledger.is_erased:
            raise StateConflict("evidence_destroyed", "nothing of the person is left to be held")
        if store.person(scope, person_id) is None and store.erasure(scope, person_id) is None:
            raise NotFound("person", person_id)
        known = next((hold for hold in ledger.holds if hold.id == hold_id), None)
        if known is not None:
            return known
        hold = HoldEntry(**{"id": hold_id, "kind": LEGAL, "from": to_seconds_text(now), "party": person_id})
        held = ledger.with_hold(hold).model_copy(update={"version": ledger.version + 1})
        unit = store.unit(scope, actor=actor, req=req, now=now)
        unit.replace(store.ledger_record(scope, held), expected=ledger.version)
        unit.emit(
            keys.person_pk(scope.tenant, person_id),
            EventType.PERSON_HOLD_PLACED,
            {"hold": hold_id, "person": person_id, "reason": reason, "matter": matter},
        )
        unit.commit()
        return hold

    return retrying(once)


def release_person_hold(
    store: Store, scope: Scope, person_id: str, hold_id: str, *, actor: Actor, now: datetime, req: str
) -> HoldEntry:
    """End a legal hold on a person's evidence; one that has ended stays as it is. Raises NotFound."""

    def once() -> HoldEntry:
        ledger = store.ledger(scope, person_id)
        known = next((hold for hold in ledger.holds if hold.id == hold_id and hold.kind == LEGAL), None)
        if known is None:
            raise NotFound("hold", hold_id)
        if known.released_at is not None:
            return known
        ended = known.model_copy(update={"released_at": to_seconds_text(now)})
        kept = tuple(ended if hold.id == hold_id else hold for hold in ledger.holds)
        changed = ledger.model_copy(update={"holds": kept, "version": ledger.version + 1})
        unit = store.unit(scope, actor=actor, req=req, now=now)
        unit.replace(store.ledger_record(scope, changed), expected=ledger.version)
        unit.emit(
            keys.person_pk(scope.tenant, person_id),
            EventType.PERSON_HOLD_RELEASED,
            {"hold": hold_id, "person": person_id},
        )
        unit.commit()
        return ended

    return retrying(once)
