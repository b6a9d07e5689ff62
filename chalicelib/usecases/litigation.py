"""Litigation of a case: until when the claim can be sued for, and the suit itself from its assessment to its end."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from chalicelib.domain.cases.case import Case
from chalicelib.domain.cases.lifecycle import FINAL as CASE_FINAL
from chalicelib.domain.cases.lifecycle import CaseEvent, CaseState
from chalicelib.domain.concurrency import retrying
from chalicelib.domain.errors import InvalidInput, NotFound, PreconditionFailed, StateConflict
from chalicelib.domain.events import EventType
from chalicelib.domain.instants import local_date, to_text
from chalicelib.domain.litigation.ledger import guarantees_of, limitation_of
from chalicelib.domain.litigation.limitation import Entry, Guarantee, Limitation, Proof
from chalicelib.domain.litigation.matter import Document, Happened, Matter
from chalicelib.domain.litigation.procedure import (
    MatterEvent,
    Procedure,
    Stage,
    obstacles,
    procedure_of,
)
from chalicelib.domain.outreach.attempt import AttemptState
from chalicelib.domain.people.person import ContactLedger
from chalicelib.domain.state_table import Move, Refuse
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


# The matter


@dataclass(frozen=True, slots=True)
class Told:
    """What happened, as somebody reports it; see ``chalicelib.domain.litigation.matter.Happened``."""

    event: MatterEvent
    on: date
    amount_minor: int | None = None
    until: date | None = None
    contact: str | None = None
    cost_kind: str | None = None
    court: str | None = None
    docket_no: str | None = None
    note: str | None = None


def open_matter(
    store: Store,
    scope: Scope,
    case_id: str,
    caller: Caller,
    context: Context,
    *,
    matter_id: str,
    is_urgent: bool,
    expected: int | None = None,
) -> tuple[Case, Matter]:
    """Open the suit for a case's claim, at its assessment; the case goes on being worked until the suit is filed.

    A ``matter_id`` that is there is the same matter. Raises NotFound, PreconditionFailed, StateConflict: there is no
    procedure for the country, another matter runs, the case has ended otherwise, or something stands against suing.
    """
    zone = lender_of(store, scope).zone
    today = local_date(context.now, zone)

    def once() -> tuple[Case, Matter]:
        case = find_case(store, scope, case_id, org=caller.org)
        if expected is not None and case.version != expected:
            raise PreconditionFailed(case.version)
        known = store.matter(scope, case.litigation) if case.litigation is not None else None
        if known is not None and known.id == matter_id:
            return case, known
        if known is not None and not known.is_over:
            raise StateConflict("matter_open", "another matter of the case is not over")
        if case.state in CASE_FINAL and case.state is not CaseState.LEGAL:
            raise StateConflict("invalid_transition", f"the case is {case.state}, which is final")
        procedure = _procedure(case)
        draft = CaseDraft(store, scope, case, actor=caller.actor, now=context.now, req=context.req)
        claim = _weigh(store, scope, draft, procedure, zone=zone, today=today, is_urgent=is_urgent)
        matter = Matter(
            id=matter_id,
            tenant=scope.tenant,
            case=case.id,
            person=case.debtor,
            country=case.country,
            currency=case.currency,
            claim_minor=case.amount_due_minor,
            opened_at=to_text(context.now),
            is_urgent=is_urgent,
        )
        draft.change(litigation=matter.id)
        draft.put(store.matter_record(scope, matter), expected=None)
        draft.emit(
            EventType.LITIGATION_OPENED,
            {
                "matter": matter.id,
                "person": matter.person,
                "claim_minor": matter.claim_minor,
                "currency": matter.currency,
                "urgent": is_urgent,
                "expires_on": claim.expires_on.isoformat() if claim.expires_on is not None else None,
                "agency": case.agency,
            },
        )
        return draft.commit(), matter

    return retrying(once)


def _procedure(case: Case) -> Procedure:
    procedure = procedure_of(case.country)
    if procedure is None:
        raise StateConflict("no_procedure", "there is no procedure for the country of the case")
    return procedure


def _weigh(
    store: Store, scope: Scope, draft: CaseDraft, procedure: Procedure, *, zone: str, today: date, is_urgent: bool
) -> Limitation:
    """Return the limitation of the claim. Raises StateConflict with the first thing that stands against suing."""
    case = draft.case
    ledgers = store.ledgers(scope, [party.person for party in case.parties])
    claim = _standing(case, ledgers, zone=zone, today=today).claim
    holds = {hold.kind for hold in draft.holds() if hold.released_at is None}
    for obstacle in obstacles(procedure, case, claim, holds, today=today, is_urgent=is_urgent):
        raise StateConflict(obstacle.code, obstacle.detail)
    return claim


def get_matter(store: Store, scope: Scope, matter_id: str) -> Matter:
    """Return a matter of the lender's. Raises NotFound, also when its debtor was erased."""
    matter = store.matter(scope, matter_id)
    if matter is None:
        raise NotFound("matter", matter_id)
    return matter


def get_matter_of_case(store: Store, scope: Scope, case_id: str, *, org: str | None) -> tuple[Case, Matter]:
    """Return the case's newest matter; an agency reads those of the cases that it holds. Raises NotFound."""
    case = find_case(store, scope, case_id, org=org)
    if case.litigation is None:
        raise NotFound("matter", case_id)
    return case, get_matter(store, scope, case.litigation)


def record_event(
    store: Store,
    scope: Scope,
    matter_id: str,
    caller: Caller,
    context: Context,
    told: Told,
    *,
    event_id: str,
    expected: int | None = None,
) -> Matter:
    """Record what happened in a matter, also some days after it, and return the matter.

    The suit's filing refers the case to litigation, stops what was approved for its parties, and enters the suit into the limitation
    ledger; its end ends that entry. An ``event_id`` that is there is the same event. Raises NotFound, InvalidInput,
    PreconditionFailed, StateConflict.
    """
    zone = lender_of(store, scope).zone
    today = local_date(context.now, zone)

    def once() -> Matter:
        matter = get_matter(store, scope, matter_id)
        if expected is not None and matter.version != expected:
            raise PreconditionFailed(matter.version)
        if any(known.id == event_id for known in matter.happened):
            return matter
        case = find_case(store, scope, matter.case, org=None)
        procedure = _procedure(case)
        reply = procedure.answer(matter.stage, told.event)
        if isinstance(reply, Refuse):
            raise StateConflict("invalid_transition", reply.reason)
        if not isinstance(reply, Move):
            return matter
        _check_told(store, scope, matter, told, today)
        draft = CaseDraft(store, scope, case, actor=caller.actor, now=context.now, req=context.req)
        lacking = procedure.missing(case, told.event, (document.kind for document in matter.documents))
        if lacking:
            raise StateConflict("evidence_missing", f"not on file: {', '.join(rule.kind for rule in lacking)}")
        if told.event in (MatterEvent.SEND_LETTER, MatterEvent.FILE):
            _weigh(store, scope, draft, procedure, zone=zone, today=told.on, is_urgent=True)
        if told.event is MatterEvent.FILE:
            draft.move(CaseEvent.REFER_TO_LEGAL, "litigation_filed")
        _enter_suit(draft, matter, told)
        after = _after(matter, told, reply.to, event_id, context)
        draft.put(store.matter_record(scope, after), expected=matter.version)
        sealed = {"subject": matter.person, "secret": {"text": told.note}} if told.note is not None else {}
        draft.emit(
            EventType.LITIGATION_CHANGED,
            {
                "matter": matter.id,
                "person": matter.person,
                "litigation_event": told.event.value,
                "happened_on": told.on.isoformat(),
                "from": matter.stage.value,
                "to": reply.to.value,
                "amount_minor": told.amount_minor,
                "currency": matter.currency,
                "contact": told.contact,
                "agency": case.agency,
            },
            **sealed,
        )
        draft.commit()
        return after

    return retrying(once)


NEEDS_AMOUNT = frozenset({MatterEvent.JUDGE, MatterEvent.SETTLE, MatterEvent.PAY_COST})
NEEDS_UNTIL = frozenset({MatterEvent.PRESERVE, MatterEvent.SETTLE})
MOST_EVENTS, MOST_DOCUMENTS = 200, 200


def _check_told(store: Store, scope: Scope, matter: Matter, told: Told, today: date) -> None:
    if told.on > today:
        raise InvalidInput("/on", "in_the_future", "what happened is recorded after it happened")
    if matter.happened and told.event is not MatterEvent.PAY_COST and told.on < _last_step(matter):
        raise InvalidInput("/on", "before_the_last_step", "the matter came to its stage on a later day")
    if (told.amount_minor is None) == (told.event in NEEDS_AMOUNT):
        raise InvalidInput("/amount_minor", "amount_of_event", "this event has an amount, and no other event has")
    if (told.until is None) == (told.event in NEEDS_UNTIL):
        raise InvalidInput("/until", "until_of_event", "this event lasts until a day, and no other event does")
    if (told.cost_kind is None) == (told.event is MatterEvent.PAY_COST):
        raise InvalidInput("/cost_kind", "cost_of_event", "a cost says what was paid for, and no other event does")
    if (told.contact is None) == (told.event is MatterEvent.SEND_LETTER):
        raise InvalidInput("/contact", "letter_of_event", "a letter before action names the message that it was")
    if told.contact is not None:
        attempt = store.attempt(scope, told.contact)
        if attempt is None or attempt.case != matter.case:
            raise NotFound("message", told.contact)
        # Only what the gate approved and somebody carried is a letter; free words never are.
        if attempt.state not in LEFT or attempt.template is None:
            raise StateConflict("letter_not_sent", "the message did not leave, or its text is no approved template")
    if len(matter.happened) >= MOST_EVENTS:
        raise StateConflict("matter_full", "the matter holds as much as it can")


LEFT = frozenset({AttemptState.SENT, AttemptState.DELIVERED, AttemptState.REPORTED})


def _last_step(matter: Matter) -> date:
    return max((each.on for each in matter.happened if each.event is not MatterEvent.PAY_COST), default=date.min)


def _enter_suit(draft: CaseDraft, matter: Matter, told: Told) -> None:
    """Keep the suit in the limitation ledger: from its filing to its end, dropped where it was not heard."""
    identity, entries = f"{matter.id}_suit", draft.case.limitation_entries
    if told.event is MatterEvent.FILE:
        suit = Entry(id=identity, kind="suit", on=told.on, proof=Proof.RECORDED, party=matter.person)
        draft.change(limitation_entries=(*entries, suit))
    elif told.event in SUIT_ENDS:
        dropped = told.event in (MatterEvent.WITHDRAW, MatterEvent.DISMISS)
        ended = {"until": told.on, "dropped": dropped}
        changed = tuple(
            each.model_copy(update=ended) if each.id == identity and each.until is None else each for each in entries
        )
        draft.change(limitation_entries=changed)


SUIT_ENDS = frozenset(
    {MatterEvent.BECOME_FINAL, MatterEvent.SETTLE, MatterEvent.SATISFY, MatterEvent.WITHDRAW, MatterEvent.DISMISS}
)


def _after(matter: Matter, told: Told, stage: Stage, event_id: str, context: Context) -> Matter:
    happened = Happened(
        id=event_id,
        event=told.event,
        on=told.on,
        stage=stage,
        recorded_at=to_text(context.now),
        amount_minor=told.amount_minor,
        until=told.until,
        contact=told.contact,
        cost_kind=told.cost_kind,
    )
    changes: dict[str, Any] = {"stage": stage, "happened": (*matter.happened, happened), "version": matter.version + 1}
    changes |= {name: value for name in ("court", "docket_no") if (value := getattr(told, name)) is not None}
    return matter.model_copy(update=changes)


def file_document(
    store: Store,
    scope: Scope,
    matter_id: str,
    caller: Caller,
    context: Context,
    *,
    document_id: str,
    kind: str,
    sha256: str,
    storage: str,
    dated_on: date | None,
    expected: int | None = None,
) -> Matter:
    """Put a document on the matter's file: its digest, and where it is kept; the content itself never comes here.

    A ``document_id`` that is there, and the same content of the same kind, is the same document. Raises NotFound,
    PreconditionFailed, StateConflict when the matter is over or full.
    """

    def once() -> Matter:
        matter = get_matter(store, scope, matter_id)
        if expected is not None and matter.version != expected:
            raise PreconditionFailed(matter.version)
        if any(known.id == document_id or (known.kind, known.sha256) == (kind, sha256) for known in matter.documents):
            return matter
        if matter.is_over:
            raise StateConflict("invalid_transition", f"the matter is {matter.stage}, which is final")
        if len(matter.documents) >= MOST_DOCUMENTS:
            raise StateConflict("matter_full", "the matter holds as much as it can")
        case = find_case(store, scope, matter.case, org=None)
        draft = CaseDraft(store, scope, case, actor=caller.actor, now=context.now, req=context.req)
        document = Document(
            id=document_id,
            kind=kind,
            sha256=sha256,
            storage=storage,
            filed_at=to_text(context.now),
            dated_on=dated_on,
        )
        changes = {"documents": (*matter.documents, document), "version": matter.version + 1}
        after = matter.model_copy(update=changes)
        draft.put(store.matter_record(scope, after), expected=matter.version)
        draft.emit(
            EventType.LITIGATION_DOCUMENT_FILED,
            {
                "matter": matter.id,
                "person": matter.person,
                "document_kind": kind,
                "document": sha256,
                "agency": case.agency,
            },
        )
        draft.commit()
        return after

    return retrying(once)


def case_of(store: Store, scope: Scope, matter: Matter) -> Case:
    """Return the case of a matter. Raises NotFound."""
    return find_case(store, scope, matter.case, org=None)
