"""Erasure requests: taken down with an answer at once, looked at again by the clock until nothing is left to destroy.

What is destroyed is destroyed in the transaction that records it: keys, tombstones, index rows and events together. That
nothing was added meanwhile is its condition: the versions of person, ledger and cases.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from chalicelib.domain import keys
from chalicelib.domain.cases.case import Case
from chalicelib.domain.concurrency import retrying
from chalicelib.domain.errors import NotFound, StateConflict
from chalicelib.domain.events import Actor, Event, EventType
from chalicelib.domain.instants import from_text, local_date, to_text
from chalicelib.domain.litigation.ledger import claim_lives_until
from chalicelib.domain.people.erasure import Decision, ErasureRequest, Outcome, decide, may_destroy_evidence
from chalicelib.domain.people.person import ContactLedger, Person
from chalicelib.domain.people.retention import Ended, kept
from chalicelib.usecases.cases import lender_of
from chalicelib.usecases.one_person import all_records, records_of
from chalicelib.usecases.ports import Scope, Store

CLOCK = Actor("system", "release_due", "role")
OPS, EVIDENCE = "ops", "evidence"

LOOK_AGAIN = {Outcome.POSTPONED: timedelta(days=1), Outcome.LOCKED: timedelta(days=7), Outcome.HELD: timedelta(days=7)}
"""When the clock looks again at what could not be done."""

NO_ACTIVITY = frozenset(
    {
        EventType.ERASURE_REQUESTED,
        EventType.ERASURE_DECIDED,
        EventType.PERSON_KEYS_DESTROYED,
        EventType.PERSON_UNMASKED,
        EventType.PERSON_EXPORTED,
        EventType.PERSON_HOLD_PLACED,
        EventType.PERSON_HOLD_RELEASED,
    }
)
"""Events that are about the data and no activity towards the person: they lengthen no retention."""

MOST_CHECKED = 30
"""Cases whose version is a condition, and index rows that go with the commit; more index rows go right before it."""

MOST_CHECKED_TOGETHER = 24
"""The same over all records of a merged person."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for: why, by whom, where the check of their identity is on file; whether the lender waives claims."""

    reason: str
    requested_by: str
    identity_check: str
    claims_waived: bool = False


@dataclass(frozen=True, slots=True)
class _Known:
    """All that a decision rests on, as read at one instant."""

    person: Person | None
    ledger: ContactLedger
    case_ids: tuple[str, ...]
    cases: Mapping[str, Case]
    complaints: tuple[datetime, ...]
    ended: tuple[Ended, ...]
    owed_until: tuple[date, ...]
    years: tuple[int, ...]
    log_held: bool


def request_erasure(
    store: Store,
    scope: Scope,
    person_id: str,
    wish: Wish,
    *,
    erasure_id: str,
    actor: Actor,
    now: datetime,
    req: str,
) -> ErasureRequest:
    """Take a request down and do at once what may be done; the same ``erasure_id`` again is the same request.

    A request about one of several merged records is about the person: it is decided on what all records hold, and carried
    out in all of them at once. A new request takes the place of one that was postponed or led to a lock. Raises NotFound for a person whom the
    lender does not know, StateConflict for one whose profile is destroyed already.
    """
    zone = lender_of(store, scope).zone

    def once() -> ErasureRequest:
        before = store.erasure(scope, person_id)
        if before is not None and before.id == erasure_id:
            return before
        if before is not None and before.outcome in (Outcome.HELD, Outcome.ERASED):
            raise StateConflict("already_erased", f"the person is {before.outcome}")
        everything = _look_at_all(store, scope, person_id, zone)
        if everything[person_id].person is None:
            raise NotFound("person", person_id)
        unit = store.unit(scope, actor=actor, req=req, now=now)
        requests = {}
        for record in everything:
            earlier = before if record == person_id else store.erasure(scope, record)
            requests[record] = ErasureRequest(
                id=erasure_id,
                person=record,
                reason=wish.reason,
                requested_by=wish.requested_by,
                identity_check=wish.identity_check,
                claims_waived=wish.claims_waived,
                requested_at=to_text(now),
                decided_at=to_text(now),
                outcome=Outcome.POSTPONED,
                version=earlier.version if earlier is not None else 0,
            )
            unit.emit(
                keys.person_pk(scope.tenant, record),
                EventType.ERASURE_REQUESTED,
                {
                    "erasure": erasure_id,
                    "person": record,
                    "reason": wish.reason,
                    "requested_by": wish.requested_by,
                    "identity_check": wish.identity_check,
                    "claims_waived": wish.claims_waived,
                },
            )
        return _carry_out(store, scope, unit, requests, everything, zone, now, is_news=True)[person_id]

    return retrying(once)


def reconsider(store: Store, scope: Scope, person_id: str, *, now: datetime, req: str = "req_clock") -> str | None:
    """Look again at the person's request when its time has come; return what the clock did, None when nothing was due."""
    zone = lender_of(store, scope).zone

    def once() -> str | None:
        request = store.erasure(scope, person_id)
        if request is None or request.due_at is None or request.due_at > to_text(now):
            return None
        unit = store.unit(scope, actor=CLOCK, req=req, now=now)
        if request.outcome is Outcome.HELD:
            return _finish(store, scope, unit, request, zone, now)
        everything = _look_at_all(store, scope, person_id, zone)
        found = {record: store.erasure(scope, record) for record in everything}
        requests = {record: each for record, each in found.items() if each is not None and not _is_destroyed(each)}
        after = _carry_out(store, scope, unit, requests, everything, zone, now, is_news=False)
        return f"erasure_{after[person_id].outcome.value}"

    return retrying(once)


def find_request(store: Store, scope: Scope, person_id: str, erasure_id: str) -> ErasureRequest:
    """Return the request. Raises NotFound."""
    request = store.erasure(scope, person_id)
    if request is None or request.id != erasure_id:
        raise NotFound("erasure", erasure_id)
    return request


# Looking


def _is_destroyed(request: ErasureRequest) -> bool:
    return request.outcome in (Outcome.HELD, Outcome.ERASED)


def _look_at_all(store: Store, scope: Scope, person_id: str, zone: str) -> dict[str, _Known]:
    """Return what is known of each record of the person, the one that was named first."""
    return {record: _look(store, scope, record, zone) for record in all_records(store, scope, person_id)}


def _together(everything: Iterable[_Known]) -> _Known:
    """Return all records as one, to decide on: what keeps one of them keeps them all."""
    known = list(everything)
    return replace(
        known[0],
        ledger=known[0].ledger.model_copy(update={"holds": tuple(h for each in known for h in each.ledger.holds)}),
        cases={name: case for each in known for name, case in each.cases.items()},
        complaints=tuple(at for each in known for at in each.complaints),
        ended=tuple(ended for each in known for ended in each.ended),
        owed_until=tuple(day for each in known for day in each.owed_until),
        years=tuple(sorted({year for each in known for year in each.years})),
        log_held=any(each.log_held for each in known),
    )


def _look(store: Store, scope: Scope, person_id: str, zone: str) -> _Known:
    case_ids = tuple(store.cases_of(scope, person_id))
    cases = store.cases(scope, case_ids)
    ledger = store.ledger(scope, person_id)
    own = store.events(scope, keys.person_pk(scope.tenant, person_id))
    streams = {case: store.events(scope, keys.case_pk(scope.tenant, case)) for case in case_ids}
    everything = [*own, *(event for stream in streams.values() for event in stream)]
    complaints = tuple(from_text(event.at) for event in everything if event.type is EventType.COMPLAINT_RECEIVED)
    entries = [*(e.at for e in ledger.history), *(e.at for e in ledger.consents), *(h.from_ for h in ledger.holds)]
    acts = [event.at for event in everything if event.type not in NO_ACTIVITY]
    last = max((_instant(at) for at in [*entries, *acts]), default=None)
    ended = tuple(
        _ended(cases.get(case), ledger, stream, local_date(last, zone), zone)
        for case, stream in streams.items()
        if stream and last is not None
    )
    owed = store.duties_owed(scope, [person_id, *case_ids])
    return _Known(
        person=store.person(scope, person_id),
        ledger=ledger,
        case_ids=case_ids,
        cases=cases,
        complaints=complaints,
        ended=ended,
        owed_until=tuple(local_date(from_text(at), zone) for at in owed),
        years=_years(everything),
        log_held=_is_log_held(store, scope, _years(everything)),
    )


def _is_log_held(store: Store, scope: Scope, years: Iterable[int]) -> bool:
    """Tell whether a log that events of these years stand in is under legal hold; a straggler stands in the next year's."""
    held = {hold.year for hold in store.log_holds(scope) if hold.on}
    return bool(held & {f"{year + late:04d}" for year in years for late in (0, 1)})


def _years(events: Iterable[Event]) -> tuple[int, ...]:
    return tuple(sorted({int(event.at[:4]) for event in events}))


def _instant(text: str) -> datetime:
    """Return the instant of an entry; one that is only a date counts as that day's last second in UTC."""
    return from_text(text) if "T" in text else datetime.combine(date.fromisoformat(text), time(23, 59, 59), UTC)


def _ended(case: Case | None, ledger: ContactLedger, stream: Sequence[Event], last: date, zone: str) -> Ended:
    """Return what duties are counted from; place and end stand open in the stream, also when the case is unreadable."""
    placed = stream[0].data
    moves = [event.at for event in stream if event.type is EventType.CASE_CHANGED] or [stream[-1].at]
    return Ended(
        place=str(placed.get("country") or (case.country if case is not None else "")),
        region=placed.get("region") or (case.region if case is not None else None),
        last_activity=last,
        case_end=local_date(from_text(moves[-1]), zone),
        limitation_end=claim_lives_until(case, ledger.history, zone=zone, today=last) if case is not None else None,
    )


# Doing


def _carry_out(
    store: Store,
    scope: Scope,
    unit: Any,
    requests: Mapping[str, ErasureRequest],
    everything: Mapping[str, _Known],
    zone: str,
    now: datetime,
    *,
    is_news: bool,
) -> dict[str, ErasureRequest]:
    """Decide on all records of the person together, and do it in each of them in one transaction."""
    today = local_date(now, zone)
    whole = _together(everything.values())
    decision = decide(
        whole.cases.values(),
        whole.ledger,
        whole.complaints,
        kept(whole.ended, today=today),
        claims_waived=all(request.claims_waived for request in requests.values()),
        now=now,
        today=today,
        owed_until=whole.owed_until,
        log_held=whole.log_held,
    )
    done = {}
    checked: set[str] = set()
    for record, request in requests.items():
        known = everything[record]
        decided = request.decided(decision, at=to_text(now), due_at=_due(decision, zone, now))
        decided = decided.model_copy(update={"version": request.version + 1, "years": whole.years})
        unit.replace(store.erasure_record(scope, decided), expected=request.version)
        if is_news or _told(decided) != _told(request):
            _emit_decision(unit, scope, decided)
        if decision.outcome in (Outcome.HELD, Outcome.ERASED):
            purposes = [OPS] if decision.outcome is Outcome.HELD else [OPS, EVIDENCE]
            _destroy(store, scope, unit, decided, known, purposes, share=len(requests), checked=checked)
        elif known.person is not None:
            _lock(store, scope, unit, known.person, locked=decision.outcome is Outcome.LOCKED, now=now)
        done[record] = decided
    unit.commit()
    return done


def _told(request: ErasureRequest) -> tuple[Any, ...]:
    return request.outcome, request.blocks


def _due(decision: Decision, zone: str, now: datetime) -> str | None:
    if decision.outcome is Outcome.ERASED:
        return None
    if decision.outcome is Outcome.HELD and decision.evidence_until is not None:
        midnight = datetime.combine(decision.evidence_until + timedelta(days=1), time(0), ZoneInfo(zone))
        return to_text(midnight.astimezone(UTC))
    return to_text(now + LOOK_AGAIN[decision.outcome])


def _emit_decision(unit: Any, scope: Scope, request: ErasureRequest) -> None:
    unit.emit(
        keys.person_pk(scope.tenant, request.person),
        EventType.ERASURE_DECIDED,
        {
            "erasure": request.id,
            "person": request.person,
            "outcome": request.outcome.value,
            "reasons": [block.code for block in request.blocks],
            "until": request.evidence_until.isoformat() if request.evidence_until is not None else None,
        },
    )


def _destroy(
    store: Store,
    scope: Scope,
    unit: Any,
    request: ErasureRequest,
    known: _Known,
    purposes: Sequence[str],
    *,
    share: int,
    checked: set[str],
) -> None:
    person = known.person
    if person is None:
        raise NotFound("person", request.person)
    most = MOST_CHECKED if share == 1 else MOST_CHECKED_TOGETHER // share
    rows = list(store.rows_of_person(scope, person, known.case_ids))
    for row in rows[:most]:
        unit.drop(row)
    store.drop_views(rows[most:])
    unit.replace(store.erased_person_record(scope, person), expected=person.version)
    if EVIDENCE in purposes and known.ledger.version:
        unit.replace(store.erased_ledger_record(scope, known.ledger), expected=known.ledger.version)
    else:
        unit.check_version(keys.person_pk(scope.tenant, person.id), "LEDGER", known.ledger.version)
    for case in [case for case in known.cases.values() if case.id not in checked][:most]:
        checked.add(case.id)
        unit.check_version(keys.case_pk(scope.tenant, case.id), "CASE", case.version)
    own = sorted(case.id for case in known.cases.values() if case.debtor == person.id)
    _emit_destruction(unit, scope, request, purposes, own)


def _emit_destruction(
    unit: Any, scope: Scope, request: ErasureRequest, purposes: Sequence[str], cases: Iterable[str]
) -> None:
    unit.destroy_keys(request.person, purposes)
    unit.emit(
        keys.person_pk(scope.tenant, request.person),
        EventType.PERSON_KEYS_DESTROYED,
        {
            "erasure": request.id,
            "person": request.person,
            "purposes": list(purposes),
            "cases": list(cases),
        },
    )


def _lock(store: Store, scope: Scope, unit: Any, person: Person, *, locked: bool, now: datetime) -> None:
    if locked == (person.locked_since is not None):
        return
    changed = person.model_copy(
        update={"locked_since": to_text(now) if locked else None, "version": person.version + 1}
    )
    unit.replace(store.person_record(scope, changed), expected=person.version)


def _finish(store: Store, scope: Scope, unit: Any, request: ErasureRequest, zone: str, now: datetime) -> str:
    """Destroy the evidence whose time is over, or look again later when a legal hold is on it."""
    records = records_of(store, scope, [request.person])
    ledger = records.ledgers[request.person]
    holds = tuple(hold for each in (ledger, *records.others.values()) for hold in each.holds)
    # Nothing leads to the person's cases any more, so what was seen of them then is what counts.
    since = _years(store.events(scope, keys.person_pk(scope.tenant, request.person)))
    log_held = _is_log_held(store, scope, {*request.years, *since})
    if not may_destroy_evidence(
        request, ledger.model_copy(update={"holds": holds}), today=local_date(now, zone), log_held=log_held
    ):
        later = {"due_at": to_text(now + LOOK_AGAIN[Outcome.HELD]), "version": request.version + 1}
        unit.replace(store.erasure_record(scope, request.model_copy(update=later)), expected=request.version)
        unit.commit()
        return "erasure_held"
    decision = Decision(Outcome.ERASED, (), None, ())
    done = request.decided(decision, at=to_text(now), due_at=None).model_copy(update={"version": request.version + 1})
    unit.replace(store.erasure_record(scope, done), expected=request.version)
    if ledger.version:
        unit.replace(store.erased_ledger_record(scope, ledger), expected=ledger.version)
    _emit_decision(unit, scope, done)
    _emit_destruction(unit, scope, done, [EVIDENCE], [])
    unit.commit()
    return "erasure_erased"
