"""Litigation of a case: what breaks and stops the limitation period, and until when the claim can be sued for."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from chalicelib.domain.cases.case import Case
from chalicelib.domain.concurrency import retrying
from chalicelib.domain.errors import InvalidInput, NotFound, PreconditionFailed, StateConflict
from chalicelib.domain.events import EventType
from chalicelib.domain.instants import local_date
from chalicelib.domain.litigation.ledger import guarantees_of, limitation_of
from chalicelib.domain.litigation.limitation import Entry, Guarantee, Limitation
from chalicelib.domain.people.person import ContactLedger
from chalicelib.usecases.case_draft import CaseDraft, find_case
from chalicelib.usecases.cases import Caller, Context, lender_of
from chalicelib.usecases.ports import Scope, Store

MOST_ENTRIES = 100


@dataclass(frozen=True, slots=True)
class Standing:
    """The limitation of a case's claim, and of each guarantee by person, as seen on the lender's day ``today``."""

    case: Case
    today: date
    claim: Limitation
    guarantees: list[tuple[str, Guarantee]]


def get_limitation(store: Store, scope: Scope, case_id: str, context: Context, *, org: str | None) -> Standing:
    """Return the limitation of a case today. Raises NotFound, for a foreign case as for none."""
    case = find_case(store, scope, case_id, org=org)
    zone = lender_of(store, scope).zone
    ledgers = store.ledgers(scope, [party.person for party in case.parties])
    return _standing(case, ledgers, zone=zone, today=local_date(context.now, zone))


def _standing(case: Case, ledgers: Mapping[str, ContactLedger], *, zone: str, today: date) -> Standing:
    contacts = [entry for ledger in ledgers.values() for entry in ledger.history]
    claim = limitation_of(case, contacts, zone=zone, today=today)
    return Standing(case, today, claim, guarantees_of(case, contacts, zone=zone, today=today))


def record_limitation_entry(
    store: Store,
    scope: Scope,
    case_id: str,
    caller: Caller,
    context: Context,
    entry: Entry,
    *,
    supersedes: str | None = None,
    expected: int | None = None,
) -> Standing:
    """Enter what broke or stopped the period, also long after it happened, and return the limitation after it.

    An entry whose id is there is the same entry. ``supersedes`` names one that this one takes the place of: the procedure has
    ended, or it was entered wrongly. Raises NotFound, InvalidInput, StateConflict, PreconditionFailed.
    """
    zone = lender_of(store, scope).zone
    today = local_date(context.now, zone)

    def once() -> Standing:
        case = find_case(store, scope, case_id, org=caller.org)
        if expected is not None and case.version != expected:
            raise PreconditionFailed(case.version)
        ledgers = store.ledgers(scope, [party.person for party in case.parties])
        if any(known.id == entry.id for known in case.limitation_entries):
            return _standing(case, ledgers, zone=zone, today=today)
        _check(case, entry, supersedes, today)
        draft = CaseDraft(store, scope, case, actor=caller.actor, now=context.now, req=context.req)
        kept = tuple(known for known in case.limitation_entries if known.id != supersedes)
        draft.change(limitation_entries=(*kept, entry))
        after = _standing(draft.case, ledgers, zone=zone, today=today)
        # What was approved while the debt counted as barred, or as not, was weighed on another ground.
        if after.claim.expires_on != _standing(case, ledgers, zone=zone, today=today).claim.expires_on:
            draft.stop()
        draft.emit(EventType.LIMITATION_RECORDED, _data(entry, supersedes, after))
        return Standing(draft.commit(), today, after.claim, after.guarantees)

    return retrying(once)


def _check(case: Case, entry: Entry, supersedes: str | None, today: date) -> None:
    if entry.on > today or (entry.until is not None and entry.until > today):
        raise InvalidInput("/on", "in_the_future", "an entry is made after it happened")
    if entry.party is not None and case.role_of(entry.party) is None:
        raise NotFound("person", entry.party)
    if supersedes is not None and not any(known.id == supersedes for known in case.limitation_entries):
        raise NotFound("limitation_entry", supersedes)
    if supersedes is None and len(case.limitation_entries) >= MOST_ENTRIES:
        raise StateConflict("too_many_entries", "too many entries: supersede one")


def _data(entry: Entry, supersedes: str | None, after: Standing) -> dict[str, Any]:
    expires_on = after.claim.expires_on
    return {
        "entry": entry.id,
        "entry_kind": entry.kind,
        "happened_on": entry.on.isoformat(),
        "ended_on": entry.until.isoformat() if entry.until is not None else None,
        "proof": entry.proof.value,
        "document": entry.sha256,
        "supersedes": supersedes,
        "expires_on": expires_on.isoformat() if expires_on is not None else None,
        "agency": after.case.agency,
    }
