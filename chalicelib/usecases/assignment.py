"""Assignment: many placed cases to agencies at once, exact against each agency's capacity."""

from collections.abc import Iterable, Sequence
from datetime import datetime, time
from zoneinfo import ZoneInfo

from chalicelib.domain import keys
from chalicelib.domain.cases.assignment import (
    NOT_PAST_DUE,
    Assigned,
    LaterOffer,
    Standing,
    Unassigned,
    assign,
    past_due_from,
)
from chalicelib.domain.cases.case import Case
from chalicelib.domain.cases.lifecycle import CaseEvent, CaseState, answer
from chalicelib.domain.cases.organisations import Lender
from chalicelib.domain.concurrency import retrying
from chalicelib.domain.errors import NotFound
from chalicelib.domain.events import Actor, EventType
from chalicelib.domain.instants import local_date, to_text
from chalicelib.domain.state_table import Move
from chalicelib.usecases.feeds import Feeds
from chalicelib.usecases.ports import Queues, Scope, Store, Unit

ASSIGNER = Actor("system", "assign_cases", "role")
MOST_A_TRANSACTION = 40
"""Two writes a case, and one for each agency that got some: within the 100 of one transaction."""

MOST_AGENCIES = 20
"""Agencies whose load one transaction may move."""

CASES_A_MESSAGE = 40
MOST_RETRIED = 2_000


def assign_cases(
    store: Store, feeds: Feeds, scope: Scope, case_ids: Iterable[str], *, now: datetime, req: str
) -> list[Assigned | Unassigned]:
    """Give each placed case to an agency, or note why none may have it; cases that moved on are left out.

    Cases, events and the agencies' loads of a run are committed together, so no agency ever gets more than it can
    take. Safe to repeat. Raises Conflict when rivals won every run; NotFound when the lender never registered.
    """
    wanted = list(dict.fromkeys(case_ids))
    answers: list[Assigned | Unassigned] = []
    for start in range(0, len(wanted), MOST_A_TRANSACTION):
        run = wanted[start : start + MOST_A_TRANSACTION]
        answers.extend(retrying(lambda run=run: _assign_run(store, feeds, scope, run, now, req), attempts=20))  # type: ignore[misc]
    without = {
        answer.case: {"reason": answer.reason, "agencies": dict(answer.reasons), "at": to_text(now)}
        for answer in answers
        if isinstance(answer, Unassigned)
    }
    if without:
        feeds.put_unassigned(scope.tenant, without)
    return answers


def _assign_run(
    store: Store, feeds: Feeds, scope: Scope, case_ids: Sequence[str], now: datetime, req: str
) -> list[Assigned | Unassigned]:
    lender = store.lender(scope)
    if lender is None:
        raise NotFound("lender", scope.tenant)
    found = store.cases(scope, case_ids)
    placed = [found[case] for case in case_ids if case in found and found[case].state is CaseState.PLACED]
    if not placed:
        return []
    loads = feeds.loads(scope.tenant)
    answers = assign(placed, _standings(store, scope, lender, loads, now), today=local_date(now, lender.zone))
    early = {answer.case for answer in answers if isinstance(answer, Unassigned) and answer.reason == NOT_PAST_DUE}
    _put_off(store, scope, lender, [case for case in placed if case.id in early], now, req)
    chosen = [answer for answer in answers if isinstance(answer, Assigned)]
    if chosen:
        _commit(store, feeds, scope, {case.id: case for case in placed}, chosen, loads, now, req)
    return answers


def _put_off(store: Store, scope: Scope, lender: Lender, cases: Sequence[Case], now: datetime, req: str) -> None:
    """Let the clock offer each case again when its due day is over."""
    known = store.later_offers(scope, [case.id for case in cases])
    unit = store.unit(scope, actor=ASSIGNER, req=req, now=now)
    for case in cases:
        day = past_due_from(case, today=local_date(now, lender.zone))
        at = None if day is None else to_text(datetime.combine(day, time(), tzinfo=ZoneInfo(lender.zone)))
        if at != known[case.id].due_at:
            _note(store, scope, unit, known[case.id], at)
    unit.commit()


def offer_due(store: Store, queues: Queues, scope: Scope, case_id: str, *, now: datetime) -> str | None:
    """Enqueue a placed case whose due day is over for assignment; return the kind of move, or None.

    Of a case that moved on, or whose debtor was erased, nothing is enqueued, and the clock does not ask again.
    """

    def once() -> str | None:
        offer = store.later_offers(scope, [case_id])[case_id]
        if offer.due_at is None or offer.due_at > to_text(now):
            return None
        case = store.case(scope, case_id)
        is_placed = case is not None and case.state is CaseState.PLACED
        if is_placed:
            # Before it leaves the index: a case that is offered twice is assigned once.
            queues.send("assignments", [{"tenant": scope.tenant, "cases": [case_id]}])
        unit = store.unit(scope, actor=ASSIGNER, req="req_clock", now=now)
        _note(store, scope, unit, offer, None)
        unit.commit()
        return "offered" if is_placed else None

    return retrying(once)


def _note(store: Store, scope: Scope, unit: Unit, offer: LaterOffer, at: str | None) -> None:
    noted = offer.model_copy(update={"due_at": at, "version": offer.version + 1})
    unit.replace(store.later_offer_record(scope, noted), expected=offer.version)


def _standings(store: Store, scope: Scope, lender: Lender, loads: dict[str, int], now: datetime) -> list[Standing]:
    return [
        Standing(agency, tuple(store.collectors(scope, agency.id)), loads.get(agency.id, 0))
        for agency in store.agencies(scope)
    ][:MOST_AGENCIES]


def _commit(
    store: Store,
    feeds: Feeds,
    scope: Scope,
    placed: dict[str, Case],
    chosen: Sequence[Assigned],
    loads: dict[str, int],
    now: datetime,
    req: str,
) -> None:
    unit = store.unit(scope, actor=ASSIGNER, req=req, now=now)
    unit.load_heads([keys.case_pk(scope.tenant, choice.case) for choice in chosen])
    gained: dict[str, int] = {}
    for choice in chosen:
        case = placed[choice.case]
        reply = answer(case.state, CaseEvent.ASSIGN)
        if not isinstance(reply, Move):
            raise AssertionError(f"a placed case must be assignable, not {reply}")
        assigned = case.model_copy(update={"state": reply.to, "agency": choice.agency, "version": case.version + 1})
        unit.replace(store.case_record(scope, assigned), expected=case.version)
        unit.emit(
            keys.case_pk(scope.tenant, case.id),
            EventType.CASE_ASSIGNED,
            {
                "agency": choice.agency,
                "rule": choice.rule,
                "placed_minor": case.placed_minor,
                "currency": case.currency,
                "placed_from": case.placed_from,
                "placed_to": case.placed_to,
            },
        )
        gained[choice.agency] = gained.get(choice.agency, 0) + 1
    for org, count in gained.items():
        record, _ = feeds.load_record(scope.tenant, org, loads.get(org, 0) + count)
        unit.replace(record, expected=loads[org] + 1 if org in loads else 0)
    unit.commit()


def retry_unassigned(store: Store, feeds: Feeds, queues: Queues, scope: Scope) -> int:
    """Enqueue the cases again that found no agency; called when an agency or collector changed. Return how many."""
    waiting = list(feeds.unassigned(scope.tenant, limit=MOST_RETRIED))
    if not waiting:
        return 0
    found = store.cases(scope, waiting)
    still = [case for case in waiting if case in found and found[case].state is CaseState.PLACED]
    done = [case for case in waiting if case not in set(still)]
    if done:
        feeds.drop_unassigned(scope.tenant, done)
    bodies = [
        {"tenant": scope.tenant, "cases": still[start : start + CASES_A_MESSAGE]}
        for start in range(0, len(still), CASES_A_MESSAGE)
    ]
    if bodies:
        queues.send("assignments", bodies)
    return len(still)


def cases_in(body: dict[str, object]) -> list[str]:
    """Return the case ids of a message on the queue ``assignments``: ``{tenant, case}`` or ``{tenant, cases: [...]}``."""
    several = body.get("cases")
    if isinstance(several, list):
        return [str(case) for case in several]
    return [str(body["case"])]
