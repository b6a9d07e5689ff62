"""Feedback: entered by people or opened by what happened, assigned, answered, escalated before its time is over, closed.

The clock is a duty of the catalogue (``PLAN-FEEDBACK-48H``): ``feedback.received`` opens it, an answer or a closure
discharges it, and when it is escalated or lapses the item follows. What carriers and agencies bring in (a reply that
complains, a hold because of a complaint) opens items from the event stream, so that no command can forget it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from chalicelib.domain import keys
from chalicelib.domain.concurrency import retrying
from chalicelib.domain.duties import catalogue
from chalicelib.domain.duties.duty import Duty
from chalicelib.domain.errors import InvalidInput, NotFound, PreconditionFailed, StateConflict
from chalicelib.domain.events import Actor, Event, EventType
from chalicelib.domain.feedback.item import (
    DUTY_KIND,
    DUTY_RULE,
    LOW_SCORE,
    OUTCOMES,
    RECORDED,
    ROOT_CAUSES,
    SEVERITY,
    FeedbackEvent,
    FeedbackItem,
    Kind,
    Row,
    Severity,
    Source,
    Status,
    Step,
    answer,
    item_of_clock,
)
from chalicelib.domain.instants import from_text, to_text
from chalicelib.domain.state_table import Move, Refuse
from chalicelib.usecases.case_draft import find_case
from chalicelib.usecases.cases import Caller, Context
from chalicelib.usecases.duties import PROJECTOR
from chalicelib.usecases.ports import Scope, Store

FEEDBACK_TYPES = frozenset(
    {
        EventType.FEEDBACK_RECEIVED,
        EventType.FEEDBACK_ASSIGNED,
        EventType.FEEDBACK_ANSWERED,
        EventType.FEEDBACK_ESCALATED,
        EventType.FEEDBACK_CLOSED,
        EventType.FEEDBACK_REOPENED,
    }
)
OPENING = frozenset({EventType.COMPLAINT_RECEIVED, EventType.HOLD_PLACED})
CLOCK_TYPES = frozenset({EventType.DUTY_ESCALATED, EventType.DUTY_LAPSED, EventType.DUTY_FULFILLED})

CONCERNED = FEEDBACK_TYPES | OPENING | CLOCK_TYPES | {EventType.CONTACT_SENT, EventType.SURVEY_ANSWERED}
"""Every type of event that feedback is made from."""

AGENCY_KINDS = frozenset({Kind.COMPLAINT, Kind.SUGGESTION, Kind.SURVEY})
"""What an agency may enter; quality checks are the lender's."""


class Items(Protocol):
    """Items of feedback and their lists. See ``chalicelib.store.feedback_repository``."""

    def item(self, scope: Scope, feedback: str) -> FeedbackItem | None:
        """Return the item by a strongly consistent read."""
        ...

    def many(self, scope: Scope, feedback: Sequence[str]) -> list[FeedbackItem]:
        """Return those items that exist, in the order asked for."""
        ...

    def record(self, item: FeedbackItem) -> Any:
        """Return the record of the item at its version."""

    def index(self, item: FeedbackItem) -> None:
        """Bring the lists up to the item."""

    def open_about(self, scope: Scope, subject: str) -> list[str]:
        """Return the ids of the items about a case or person that are not closed."""
        ...

    def page(self, scope: Scope, name: str, *, before: str | None, after: str | None, limit: int) -> list[Row]:
        """Return a page of a list by due instant."""
        ...

    def words(self, scope: Scope, item: FeedbackItem) -> dict[int, Event]:
        """Return the events that seal the item's words, by their numbers."""
        ...


class Duties(Protocol):
    """The duties that are the clocks. See ``chalicelib.store.duty_repository``."""

    def duty(self, scope: Scope, duty: str) -> Duty | None:
        """Return the duty by a strongly consistent read."""
        ...


@dataclass(frozen=True, slots=True)
class FeedbackPorts:
    """What feedback needs."""

    store: Store
    items: Items
    duties: Duties


@dataclass(frozen=True, slots=True)
class Wish:
    """Feedback as entered. ``case`` or ``person`` must be there: the words are sealed under that person's key."""

    kind: Kind
    source: Source
    text: str | None
    case: str | None = None
    person: str | None = None
    agency: str | None = None
    collector: str | None = None
    severity: Severity | None = None
    channel: str | None = None
    score: int | None = None


# Entering


def receive(
    ports: FeedbackPorts, scope: Scope, wish: Wish, caller: Caller, context: Context, *, feedback: str
) -> FeedbackItem:
    """Enter feedback and start its clock; a complaint is also a ``complaint.received``, with the duties that follow.

    The answer to a survey is a score from 1 to 5: a low one starts the clock, a better one is recorded and closed.
    An agency enters what it heard about a case that it holds, or says itself. Running it again with the same id returns the
    item that there is. Raises InvalidInput, NotFound.
    """

    def once() -> FeedbackItem:
        known = ports.items.item(scope, feedback)
        if known is not None:
            return known
        _check_score(wish)
        case, person, agency = _about(ports, scope, wish, caller)
        counted_only = wish.score is not None and wish.score > LOW_SCORE
        item = FeedbackItem(
            id=feedback,
            tenant=scope.tenant,
            kind=wish.kind,
            source=wish.source,
            severity=wish.severity or SEVERITY[wish.kind],
            person=person,
            case=case,
            agency=agency,
            collector=wish.collector or (caller.collector if wish.source is Source.CUSTOMER else None),
            channel=wish.channel,
            subject=feedback,
            received_at=to_text(context.now),
            due_at=None if counted_only else _due(context.now),
            score=wish.score,
            status=Status.CLOSED if counted_only else Status.OPEN,
            outcome=RECORDED if counted_only else None,
        )
        unit = ports.store.unit(scope, actor=caller.actor, req=context.req, now=context.now)
        if wish.kind is Kind.COMPLAINT:
            told = {"complaint": feedback, "category": wish.source.value, "person": person, "agency": agency}
            unit.emit(_pk(scope, item), EventType.COMPLAINT_RECEIVED, told)
        _emit_received(unit, scope, ports, item, caller.actor, text=wish.text)
        unit.commit()
        return item

    return retrying(once)


def _check_score(wish: Wish) -> None:
    if wish.kind is not Kind.SURVEY:
        if wish.score is not None:
            raise InvalidInput("/score", "no_survey", "only the answer to a survey has a score")
        if wish.text is None:
            raise InvalidInput("/text", "required", "say what it is about")
    elif wish.score is None:
        raise InvalidInput("/score", "required", "the answer to a survey is a score from 1 to 5")
    elif wish.source is not Source.CUSTOMER:
        raise InvalidInput("/source", "not_a_customers", "surveys are answered by customers")


def _about(ports: FeedbackPorts, scope: Scope, wish: Wish, caller: Caller) -> tuple[str | None, str, str | None]:
    """Return the case, the person and the agency that entered feedback is about. Raises InvalidInput, NotFound."""
    if caller.org is not None:
        if wish.kind not in AGENCY_KINDS or wish.source is Source.LENDER:
            raise InvalidInput(
                "/kind", "not_an_agencys", "an agency enters complaints and suggestions, not the lender's"
            )
        if wish.case is None:
            raise InvalidInput("/case", "required", "name the case that it is about")
    if wish.case is None and wish.person is None:
        raise InvalidInput("/case", "required", "name the case or the person that it is about")
    agency = wish.agency
    if wish.case is not None:
        case = find_case(ports.store, scope, wish.case, org=caller.org)
        person = wish.person or case.debtor
        if case.role_of(person) is None:
            raise NotFound("person", person)
        agency = agency or caller.org or case.agency
    else:
        person = str(wish.person)
    if ports.store.person(scope, person) is None:
        raise NotFound("person", person)
    if agency is not None and ports.store.agency(scope, agency) is None:
        raise NotFound("agency", agency)
    if wish.collector is not None and (agency is None or ports.store.collector(scope, agency, wish.collector) is None):
        raise NotFound("collector", wish.collector)
    return wish.case, person, agency


def _emit_received(
    unit: Any, scope: Scope, ports: FeedbackPorts, item: FeedbackItem, actor: Actor, *, text: str | None
) -> None:
    data = {
        **_data(item),
        "severity": item.severity.value,
        "channel": item.channel,
        "clocked": item.due_at is not None,
        "score": item.score,
    }
    event = unit.emit(
        _pk(scope, item),
        EventType.FEEDBACK_RECEIVED,
        data,
        subject=item.person if text else None,
        secret={"text": text} if text else None,
    )
    step = Step(did="received", at=item.received_at, by=actor.id, words=event.seq if text else None)
    unit.create(ports.items.record(item.model_copy(update={"steps": item.steps or (step,)})))


def _due(now: datetime) -> str:
    rule = catalogue.rule_of(DUTY_RULE, DUTY_KIND)
    if rule is None:
        raise LookupError(f"the catalogue of duties lost {DUTY_RULE}")
    return to_text(rule.due.due(now, stated=None, zones=()).at)


# Handling


def assign(
    ports: FeedbackPorts,
    scope: Scope,
    feedback: str,
    caller: Caller,
    context: Context,
    *,
    owner: str,
    expected: int | None = None,
) -> FeedbackItem:
    """Give the item to whoever is to answer it; the same owner again changes nothing.

    A complaint is never answered by whom it is about (CN-CMP-1). Raises NotFound, InvalidInput, StateConflict,
    PreconditionFailed when the item moved on from ``expected``.
    """

    def change(item: FeedbackItem) -> _Change | None:
        if item.kind is Kind.COMPLAINT and owner in (item.collector, item.agency):
            raise InvalidInput("/owner", "complained_of", "a complaint is not handled by whom it is about")
        to = _to(item, FeedbackEvent.ASSIGN)
        if to is None or item.owner == owner:
            return None
        return _Change({"status": to, "owner": owner}, "assigned")

    return _apply(ports, scope, feedback, caller, context, change, expected=expected)


def give_answer(
    ports: FeedbackPorts,
    scope: Scope,
    feedback: str,
    caller: Caller,
    context: Context,
    *,
    text: str,
    expected: int | None = None,
) -> FeedbackItem:
    """Record the answer that was given; the first one of a round ends its clock. The words are kept, sealed.

    Raises NotFound, InvalidInput for an answer by whom a complaint is about, StateConflict, PreconditionFailed.
    """

    def change(item: FeedbackItem) -> _Change | None:
        if item.kind is Kind.COMPLAINT and caller.actor.id == item.collector:
            raise InvalidInput("/text", "complained_of", "a complaint is not handled by whom it is about")
        to = _to(item, FeedbackEvent.ANSWER)
        if to is None:
            return None
        return _Change({"status": to, "answered_at": item.answered_at or to_text(context.now)}, "answered", text)

    return _apply(ports, scope, feedback, caller, context, change, expected=expected)


def close(
    ports: FeedbackPorts,
    scope: Scope,
    feedback: str,
    caller: Caller,
    context: Context,
    *,
    outcome: str,
    root_cause: str,
    text: str,
    expected: int | None = None,
) -> FeedbackItem:
    """Close the item with what came of it and why it came to it; closing a closed one changes nothing.

    Raises NotFound, InvalidInput for an unknown code, StateConflict where an answer is missing, PreconditionFailed.
    """
    event = OUTCOMES.get(outcome)
    if event is None:
        raise InvalidInput("/outcome", "unknown_outcome", "no such outcome")
    if root_cause not in ROOT_CAUSES:
        raise InvalidInput("/root_cause", "unknown_root_cause", "no such root cause")

    def change(item: FeedbackItem) -> _Change | None:
        to = _to(item, event)
        if to is None:
            return None
        return _Change({"status": to, "outcome": outcome, "root_cause": root_cause}, "closed", text)

    return _apply(ports, scope, feedback, caller, context, change, expected=expected)


def reopen(
    ports: FeedbackPorts,
    scope: Scope,
    feedback: str,
    caller: Caller,
    context: Context,
    *,
    text: str,
    expected: int | None = None,
) -> FeedbackItem:
    """Open an answered or closed item again: a new round with a clock of its own, and no owner.

    Raises NotFound, StateConflict when it is open, PreconditionFailed.
    """

    def change(item: FeedbackItem) -> _Change | None:
        to = _to(item, FeedbackEvent.REOPEN)
        if to is None:
            return None
        over: dict[str, Any] = dict.fromkeys(("owner", "answered_at", "escalated_at", "outcome", "root_cause"))
        over |= {"status": to, "round": item.round + 1, "due_at": _due(context.now)}
        return _Change({**over, "due_before": (*item.due_before, item.listed_at)}, "reopened", text)

    return _apply(ports, scope, feedback, caller, context, change, expected=expected)


def _to(item: FeedbackItem, event: FeedbackEvent) -> Status | None:
    reply = answer(item.status, event)
    if isinstance(reply, Refuse):
        raise StateConflict("feedback_state", reply.reason)
    return reply.to if isinstance(reply, Move) else None


@dataclass(frozen=True, slots=True)
class _Change:
    fields: dict[str, Any]
    did: str
    text: str | None = None


def _apply(
    ports: FeedbackPorts,
    scope: Scope,
    feedback: str,
    caller: Caller,
    context: Context,
    change: Callable[[FeedbackItem], _Change | None],
    *,
    expected: int | None = None,
) -> FeedbackItem:
    def once() -> FeedbackItem:
        item = get_feedback(ports, scope, feedback)
        if expected is not None and item.version != expected:
            raise PreconditionFailed(item.version)
        changed = change(item)
        if changed is None:
            return item
        after = item.model_copy(update={**changed.fields, "version": item.version + 1})
        unit = ports.store.unit(scope, actor=caller.actor, req=context.req, now=context.now)
        event = _emit_change(unit, scope, after, changed, now=context.now)
        words = event.seq if changed.text else None
        step = Step(did=changed.did, at=to_text(context.now), by=caller.actor.id, words=words)
        after = after.model_copy(update={"steps": (*after.steps, step)})
        unit.replace(ports.items.record(after), expected=item.version)
        unit.commit()
        return after

    return retrying(once, attempts=20)


def _emit_change(unit: Any, scope: Scope, after: FeedbackItem, changed: _Change, *, now: datetime) -> Event:
    pk = _pk(scope, after)
    sealed: dict[str, Any] = {}
    if changed.text:
        sealed = {"subject": after.person, "secret": {"text": changed.text}}
    late = after.due_at is not None and to_text(now) >= after.due_at
    if changed.did == "assigned":
        event = unit.emit(pk, EventType.FEEDBACK_ASSIGNED, {**_data(after), "owner": after.owner})
    elif changed.did == "answered":
        event = unit.emit(pk, EventType.FEEDBACK_ANSWERED, {**_data(after), "late": late}, **sealed)
    elif changed.did == "escalated":
        event = unit.emit(pk, EventType.FEEDBACK_ESCALATED, {**_data(after), "due_at": after.due_at})
    elif changed.did == "closed":
        found = {"outcome": after.outcome, "root_cause": after.root_cause}
        event = unit.emit(pk, EventType.FEEDBACK_CLOSED, {**_data(after), **found}, **sealed)
    else:
        event = unit.emit(pk, EventType.FEEDBACK_REOPENED, {**_data(after), "due_at": after.due_at}, **sealed)
    return event  # type: ignore[no-any-return]


# From events


def project_feedback(
    ports: FeedbackPorts, events: Sequence[Event], *, scope_for: Callable[[str], Scope], now: datetime
) -> list[str]:
    """Open, answer and escalate the items that the events call for, and bring the lists up to date.

    Safe to repeat. Raises Conflict when rivals won every run.
    """
    for event in events:
        if event.type not in CONCERNED:
            continue
        scope = scope_for(event.tenant)
        if event.type in FEEDBACK_TYPES:
            item = ports.items.item(scope, event.data["feedback"])
            if item is not None:
                ports.items.index(item)
        elif event.type is EventType.COMPLAINT_RECEIVED:
            _open_complaint(ports, scope, event, str(event.data["complaint"]), channel="message")
        elif event.type is EventType.HOLD_PLACED and event.data["kind"] == "complaint":
            if not _complaints(ports, scope, event.data["person"], event.stream):
                _open_complaint(ports, scope, event, str(event.data["hold"]), channel=None)
        elif event.type is EventType.CONTACT_SENT and event.data["purpose"] == "complaint_answer":
            for item in _complaints(ports, scope, event.data["person"], event.stream):
                _follow(ports, scope, item.id, FeedbackEvent.ANSWER, event)
        elif event.type is EventType.SURVEY_ANSWERED and (event.data["counted"] or event.data["clocked"]):
            _open_answer(ports, scope, event)
        elif event.type in CLOCK_TYPES and event.data["duty_kind"] == DUTY_KIND:
            _heed_clock(ports, scope, event)
    return []


def _complaints(ports: FeedbackPorts, scope: Scope, person: str, stream: str) -> list[FeedbackItem]:
    """Return the complaints of a person that are not closed and that are about this case or about no case in particular."""
    found = ports.items.many(scope, ports.items.open_about(scope, person))
    return [item for item in found if item.kind is Kind.COMPLAINT and item.case in (None, stream)]


def _open_complaint(ports: FeedbackPorts, scope: Scope, event: Event, subject: str, *, channel: str | None) -> None:
    """Open the item of a complaint that came in by itself; one that was entered as feedback has its item already."""
    person = str(event.data["person"])
    identity = item_of_clock(scope.tenant, subject, person=person)

    def once() -> None:
        if ports.items.item(scope, identity) is not None or ports.store.person(scope, person) is None:
            return
        agency = event.data["agency"]
        at = from_text(event.at)
        step = Step(did="received", at=event.at, by=event.actor.id, words=event.seq if event.sealed else None)
        item = FeedbackItem(
            id=identity,
            tenant=scope.tenant,
            kind=Kind.COMPLAINT,
            source=Source.CUSTOMER,
            severity=SEVERITY[Kind.COMPLAINT],
            person=person,
            case=event.stream if event.stream != person else None,
            agency=agency if agency != scope.tenant else None,
            channel=channel,
            subject=subject,
            received_at=event.at,
            due_at=_due(at),
            steps=(step,),
        )
        # The clock counts from when the words came in, not from when this is run.
        unit = ports.store.unit(scope, actor=PROJECTOR, req=event.req, now=at)
        _emit_received(unit, scope, ports, item, event.actor, text=None)
        unit.commit()
        ports.items.index(item)

    retrying(once, attempts=20)


def _open_answer(ports: FeedbackPorts, scope: Scope, event: Event) -> None:
    """Open the item of an answer to a survey that was sent: a low score with its clock, a better one recorded and closed.

    The score of an answer that counts nowhere (late, or not the first) is left to its words.
    """
    data, at = event.data, from_text(event.at)
    number = data["answer"]
    subject = data["survey"] if number == 1 else f"{data['survey']}-a{number}"
    identity = item_of_clock(scope.tenant, subject, person=data["person"])

    def once() -> None:
        if ports.items.item(scope, identity) is not None or ports.store.person(scope, data["person"]) is None:
            return
        step = Step(did="received", at=event.at, by=event.actor.id, words=event.seq if event.sealed else None)
        item = FeedbackItem(
            id=identity,
            tenant=scope.tenant,
            kind=Kind.SURVEY,
            source=Source.CUSTOMER,
            severity=SEVERITY[Kind.SURVEY],
            person=data["person"],
            case=event.stream,
            agency=data["agency"],
            channel=data["channel"],
            subject=subject,
            received_at=event.at,
            due_at=_due(at) if data["clocked"] else None,
            score=data["score"] if data["counted"] else None,
            status=Status.OPEN if data["clocked"] else Status.CLOSED,
            outcome=None if data["clocked"] else RECORDED,
            steps=(step,),
        )
        unit = ports.store.unit(scope, actor=PROJECTOR, req=event.req, now=at)
        _emit_received(unit, scope, ports, item, event.actor, text=None)
        unit.commit()
        ports.items.index(item)

    retrying(once, attempts=20)


def _heed_clock(ports: FeedbackPorts, scope: Scope, event: Event) -> None:
    """Let the item follow its duty: escalated with it, and answered when somebody recorded the duty as done."""
    duty = ports.duties.duty(scope, event.data["duty"])
    if duty is None:
        return
    identity = item_of_clock(scope.tenant, duty.subject, person=duty.person)
    if event.type is not EventType.DUTY_FULFILLED:
        _follow(ports, scope, identity, FeedbackEvent.ESCALATE, event, clock_subject=duty.subject)
    elif event.data["discharged_by"] is None:
        _follow(ports, scope, identity, FeedbackEvent.ANSWER, event, clock_subject=duty.subject)


def _follow(
    ports: FeedbackPorts,
    scope: Scope,
    feedback: str,
    what: FeedbackEvent,
    event: Event,
    *,
    clock_subject: str | None = None,
) -> None:
    def change(item: FeedbackItem) -> _Change | None:
        reply = answer(item.status, what)
        of_another_round = clock_subject is not None and item.clock_subject != clock_subject
        if not isinstance(reply, Move) or of_another_round:
            return None
        if what is FeedbackEvent.ESCALATE:
            fields = {"status": reply.to, "escalated_at": event.at}
            # The lapse after the escalation finds it escalated: it is told once.
            return None if item.escalated_at is not None else _Change(fields, "escalated")
        return (
            None if item.answered_at is not None else _Change({"status": reply.to, "answered_at": event.at}, "answered")
        )

    if ports.items.item(scope, feedback) is not None:
        caller, context = Caller(PROJECTOR), Context(from_text(event.at), event.req)
        _apply(ports, scope, feedback, caller, context, change)


# Reading


def get_feedback(ports: FeedbackPorts, scope: Scope, feedback: str) -> FeedbackItem:
    """Return the item. Raises NotFound, for a foreign one as for none."""
    item = ports.items.item(scope, feedback)
    if item is None:
        raise NotFound("feedback", feedback)
    return item


def words_of(ports: FeedbackPorts, scope: Scope, item: FeedbackItem) -> dict[int, str]:
    """Return the words of an item by the numbers in its steps; those whose person was erased are gone."""
    opened = {number: ports.store.opened(scope, event) for number, event in ports.items.words(scope, item).items()}
    return {number: str(found["text"]) for number, found in opened.items() if found is not None and found.get("text")}


def list_feedback(
    ports: FeedbackPorts,
    scope: Scope,
    *,
    name: str,
    due_before: datetime | None,
    after: str | None,
    limit: int,
) -> tuple[list[FeedbackItem], str | None]:
    """Return a page of a list by due instant, and the place to go on after, None at the end.

    ``name`` is a status, ``waiting`` or ``escalated``; ``due_before`` is exclusive. A row that is behind its item by a moment
    is left out.
    """
    before = None if due_before is None else to_text(due_before)
    rows = ports.items.page(scope, name, before=before, after=after, limit=limit)
    found = ports.items.many(scope, [row.feedback for row in rows])
    shown = [item for item in found if _belongs(item, name)]
    return shown, rows[-1].place if len(rows) == limit else None


def _belongs(item: FeedbackItem, name: str) -> bool:
    if name == "waiting":
        return item.is_waiting
    if name == "escalated":
        return item.is_waiting and item.escalated_at is not None
    return item.status.value == name


# Events


def _pk(scope: Scope, item: FeedbackItem) -> str:
    if item.case is not None:
        return keys.case_pk(scope.tenant, item.case)
    return keys.person_pk(scope.tenant, item.person)


def _data(item: FeedbackItem) -> dict[str, Any]:
    return {
        "feedback": item.id,
        "feedback_kind": item.kind.value,
        "source": item.source.value,
        "subject": item.clock_subject,
        "person": item.person,
        "about_case": item.case,
        "agency": item.agency,
        "about_collector": item.collector,
        "round": item.round,
        "version": item.version,
    }
