"""Surveys: rules by two people, persons drawn from what happened, one message through the gate, an answer by digit.

Nothing is sent here. A survey is a contact like every other: its message is asked for under an id of its own and ruled on, and
the gate's rule HOUSE-SURVEY keeps it rare. What became of the message, and what the person wrote back, comes from the event stream.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from chalicelib.domain import keys
from chalicelib.domain.cases.case import Case
from chalicelib.domain.concurrency import retrying
from chalicelib.domain.errors import FieldError, InvalidInput, NotFound, NotPermitted, StateConflict
from chalicelib.domain.events import Actor, Event, EventType
from chalicelib.domain.feedback.survey import (
    Reason,
    Survey,
    SurveyEvent,
    SurveyState,
    answer,
    closed_channels,
    hear,
    last_asked,
    refusal,
    score_in,
    survey_id,
    survey_of_message,
    was_asked,
)
from chalicelib.domain.feedback.survey_rules import (
    MOST_VERSIONS,
    SURVEY,
    TRIGGERING,
    RulesState,
    RulesVersion,
    SurveyRules,
    Text,
    faults_of,
    in_force,
    text_for,
    trigger_of,
)
from chalicelib.domain.instants import from_text, local_date, to_text
from chalicelib.domain.outreach.attempt import Attempt
from chalicelib.domain.outreach.keywords import Intent
from chalicelib.domain.people.merging import counted
from chalicelib.domain.people.person import ContactEntry, ContactLedger, Person
from chalicelib.domain.state_table import Move
from chalicelib.usecases import messages
from chalicelib.usecases.cases import Caller, Context, lender_of
from chalicelib.usecases.one_person import records_of
from chalicelib.usecases.ports import Scope, Store

SURVEYOR = Actor("system", "project_events", "role")
CLOCK = Actor("system", "release_due", "role")

_SENT = frozenset({EventType.CONTACT_SENT, EventType.CONTACT_DELIVERED})
_FAILED = {
    EventType.CONTACT_DECIDED: Reason.DENIED,
    EventType.CONTACT_CANCELLED: Reason.CANCELLED,
    EventType.CONTACT_EXPIRED: Reason.EXPIRED,
    EventType.CONTACT_REJECTED: Reason.REJECTED,
    EventType.CONTACT_FAILED: Reason.UNDELIVERED,
}
"""What keeps a message from its person, by the event that says so; a decision does when it denies."""

CONCERNED = TRIGGERING | _SENT | _FAILED.keys() | {EventType.INBOUND_RECEIVED}
"""Every type of event that surveys are drawn from or follow."""


class Surveys(Protocol):
    """Surveys, their lists and the rules. See ``chalicelib.store.survey_repository``."""

    def versions(self, scope: Scope) -> list[RulesVersion]:
        """Return every version of the rules, by number."""
        ...

    def rules_record(self, scope: Scope, version: RulesVersion) -> Any:
        """Return the record of a version."""

    def survey(self, scope: Scope, survey: str) -> Survey | None:
        """Return the survey by a strongly consistent read."""
        ...

    def many(self, scope: Scope, surveys: Sequence[str]) -> list[Survey]:
        """Return those surveys that exist, in the order asked for."""
        ...

    def record(self, survey: Survey) -> Any:
        """Return the record of the survey at its version."""

    def index(self, survey: Survey) -> None:
        """Bring the lists up to the survey."""

    def page(self, scope: Scope, status: SurveyState, *, after: str | None, limit: int) -> list[str]:
        """Return places of a list, in order."""
        ...


@dataclass(frozen=True, slots=True)
class SurveyPorts:
    """What surveys need."""

    store: Store
    surveys: Surveys


# Rules


def draft_rules(ports: SurveyPorts, scope: Scope, rules: SurveyRules, caller: Caller, context: Context) -> RulesVersion:
    """Write down a version that asks nobody yet. Raises InvalidInput with the pointer of each fault, StateConflict."""
    _refuse_faults(ports, scope, rules, context.now)

    def once() -> RulesVersion:
        versions = ports.surveys.versions(scope)
        if len(versions) >= MOST_VERSIONS:
            raise StateConflict("too_many_versions", f"the rules have at most {MOST_VERSIONS} versions")
        version = RulesVersion(
            number=len(versions) + 1,
            rules=rules,
            author=caller.actor.id,
            drafted_at=to_text(context.now),
        )
        unit = ports.store.unit(scope, actor=caller.actor, req=context.req, now=context.now)
        unit.create(ports.surveys.rules_record(scope, version))
        unit.emit(keys.survey_rules_pk(scope.tenant), EventType.SURVEY_RULES_DRAFTED, _rules_data(version))
        unit.commit()
        return version

    return retrying(once)


def decide_rules(
    ports: SurveyPorts,
    scope: Scope,
    number: int,
    caller: Caller,
    context: Context,
    *,
    approve: bool,
    reason: str,
    effective_from: datetime | None,
) -> RulesVersion:
    """Approve or reject a draft, as somebody else than its author; approved, it draws from an instant on (default: now).

    Raises NotFound, NotPermitted for the author, InvalidInput for an instant in the past or a text that is no longer in force,
    StateConflict for what is no draft.
    """
    begins = effective_from or context.now
    if begins < context.now:
        raise InvalidInput("/effective_from", "out_of_range", "rules begin to hold now or later, never before")

    def once() -> RulesVersion:
        known = get_rules(ports, scope, number)
        if known.author == caller.actor.id:
            raise NotPermitted("whoever wrote a version does not decide on it", code="own_draft")
        if known.state is not RulesState.DRAFT:
            raise StateConflict("already_decided", f"the version is {known.state}")
        decided: dict[str, Any] = {
            "state": RulesState.APPROVED if approve else RulesState.REJECTED,
            "decided_by": caller.actor.id,
            "decided_at": to_text(context.now),
            "reason": reason,
            "version": known.version + 1,
        }
        if approve:
            _refuse_faults(ports, scope, known.rules, context.now)
            decided["effective_from"] = to_text(begins)
        after = known.model_copy(update=decided)
        unit = ports.store.unit(scope, actor=caller.actor, req=context.req, now=context.now)
        unit.replace(ports.surveys.rules_record(scope, after), expected=known.version)
        if approve:
            data = {**_rules_data(after), "effective_from": after.effective_from}
            unit.emit(keys.survey_rules_pk(scope.tenant), EventType.SURVEY_RULES_APPROVED, data)
        else:
            unit.emit(keys.survey_rules_pk(scope.tenant), EventType.SURVEY_RULES_REJECTED, _rules_data(after))
        unit.commit()
        return after

    return retrying(once)


def get_rules(ports: SurveyPorts, scope: Scope, number: int) -> RulesVersion:
    """Return a version of the rules. Raises NotFound."""
    found = next((each for each in ports.surveys.versions(scope) if each.number == number), None)
    if found is None:
        raise NotFound("survey rules", str(number))
    return found


def _refuse_faults(ports: SurveyPorts, scope: Scope, rules: SurveyRules, now: datetime) -> None:
    templates = {}
    for book in ports.store.template_books(scope):
        life = book.in_force(now)
        if life is not None:
            templates[book.id] = (book.channel, life.purpose, life.language)
    faults = faults_of(rules, templates)
    if faults:
        raise InvalidInput.of([FieldError(pointer, code, message) for pointer, code, message in faults])


# From events


def project_surveys(
    ports: SurveyPorts, events: Sequence[Event], *, scope_for: Callable[[str], Scope], now: datetime
) -> list[str]:
    """Draw persons from what happened, follow the messages that ask them, and hear what they answer. Safe to repeat.

    Rules are read when a batch holds an occasion, and those of its instant hold. Raises Conflict when rivals won every run.
    """
    versions: dict[str, list[RulesVersion]] = {}
    for event in events:
        if event.type in TRIGGERING and trigger_of(event) is not None:
            scope = scope_for(event.tenant)
            if event.tenant not in versions:
                versions[event.tenant] = ports.surveys.versions(scope)
            _draw(ports, scope, event, versions[event.tenant], now)
        elif event.type is EventType.INBOUND_RECEIVED:
            _hear(ports, scope_for(event.tenant), event)
        elif (event.type in _SENT or event.type in _FAILED) and event.data["purpose"] == SURVEY:
            _follow(ports, scope_for(event.tenant), event)
    return []


def _draw(ports: SurveyPorts, scope: Scope, event: Event, versions: Sequence[RulesVersion], now: datetime) -> None:
    """Draw the borrower of a case, if the rules of the event's instant ask them; nobody else of a case is ever asked."""
    found, held = trigger_of(event), in_force(versions, from_text(event.at))
    if found is None or held is None:
        return
    trigger, case_id = found
    occasion = held.rules.occasion(trigger)
    case = ports.store.case(scope, case_id) if occasion is not None else None
    if occasion is None or case is None or event.data.get("person", case.debtor) != case.debtor:
        return
    if not held.rules.asks(scope.tenant, case.debtor, trigger):
        return
    identity = survey_id(scope.tenant, event.id)
    agency = event.data.get("agency")

    def once() -> None:
        # Nobody is drawn again who was asked a short while ago: there is nothing to wait for.
        if ports.surveys.survey(scope, identity) is not None or _is_too_soon(ports, scope, case.debtor, now):
            return
        survey = Survey(
            id=identity,
            tenant=scope.tenant,
            person=case.debtor,
            case=case.id,
            agency=agency if agency != scope.tenant else None,
            trigger=trigger,
            occasion=event.id,
            rules=held.number,
            drawn_at=event.at,
            ask_at=to_text(from_text(event.at) + timedelta(hours=occasion.wait_hours)),
        )
        unit = ports.store.unit(scope, actor=SURVEYOR, req=event.req, now=now)
        unit.create(ports.surveys.record(survey))
        data = {**_data(survey), "occasion": survey.occasion, "number": survey.rules, "ask_at": survey.ask_at}
        unit.emit(keys.case_pk(scope.tenant, survey.case), EventType.SURVEY_DRAWN, data)
        unit.commit()
        ports.surveys.index(survey)

    retrying(once, attempts=20)


def _is_too_soon(ports: SurveyPorts, scope: Scope, person: str, now: datetime) -> bool:
    seen, today = _seen(ports, scope, person), local_date(now, lender_of(ports.store, scope).zone)
    return seen is not None and was_asked(seen.ledger.history, today=today)


def _follow(ports: SurveyPorts, scope: Scope, event: Event) -> None:
    """Let a survey follow its message: sent, or kept from the person. A message that somebody asked for by hand has none."""
    denies = event.decision is not None and event.decision["outcome"] == "deny"
    if event.type is EventType.CONTACT_DECIDED and not denies:
        return
    what = SurveyEvent.SEND if event.type in _SENT else SurveyEvent.FAIL
    at = from_text(event.at)

    def once() -> None:
        survey = ports.surveys.survey(scope, survey_of_message(event.data["contact"]))
        if survey is None or not isinstance(answer(survey.status, what), Move):
            return
        unit = ports.store.unit(scope, actor=SURVEYOR, req=event.req, now=at)
        told = survey.model_copy(update={"channel": event.data["channel"], "version": survey.version + 1})
        if what is SurveyEvent.SEND:
            after = told.sent(at)
            _emit_sent(unit, scope, after)
        else:
            after = told.model_copy(update={"status": SurveyState.NOT_SENT, "reason": _FAILED[event.type]})
            _emit_ended(unit, scope, after, was_sent=survey.status is SurveyState.SENT)
        unit.replace(ports.surveys.record(after), expected=survey.version)
        unit.commit()
        ports.surveys.index(after)

    retrying(once, attempts=20)


def _hear(ports: SurveyPorts, scope: Scope, event: Event) -> None:
    """Read an inbound message as the answer to the survey that the person was last asked by that channel, if it is one."""
    seen, at = _seen(ports, scope, event.data["person"]), from_text(event.at)
    asked = last_asked(seen.ledger.history, channel=event.data["channel"], at=at) if seen is not None else None
    opened = ports.store.opened(scope, event) if asked is not None else None
    said = score_in(str(opened["text"])) if opened is not None and opened.get("text") else None
    if asked is None or opened is None or said is None:
        return
    complains = event.data["keyword"] == Intent.COMPLAINT

    def once() -> None:
        survey = ports.surveys.survey(scope, survey_of_message(asked.id))
        if survey is None or ports.store.person(scope, survey.person) is None:
            return
        unit = ports.store.unit(scope, actor=SURVEYOR, req=event.req, now=at)
        is_under_way = survey.status in (SurveyState.WAITING, SurveyState.ASKED)
        reached = _reached(survey, asked) if is_under_way else survey
        heard = hear(reached, event.id, said, at=at, complains=complains)
        if heard is None:
            return
        if is_under_way:
            # Who answers was reached, though the carrier's word is still on its way.
            _emit_sent(unit, scope, reached)
        after = heard.survey.model_copy(update={"version": survey.version + 1})
        data = {
            **_data(after),
            "contact": after.message,
            "channel": asked.channel,
            "score": said.score,
            "counted": heard.counts,
            "clocked": heard.clocked,
            "answer": len(after.heard),
        }
        unit.emit(
            keys.case_pk(scope.tenant, after.case),
            EventType.SURVEY_ANSWERED,
            data,
            subject=after.person if said.has_words else None,
            secret={"text": opened["text"]} if said.has_words else None,
        )
        unit.replace(ports.surveys.record(after), expected=survey.version)
        unit.commit()
        ports.surveys.index(after)

    retrying(once, attempts=20)


def _reached(survey: Survey, asked: ContactEntry) -> Survey:
    return survey.sent(from_text(asked.at)).model_copy(update={"channel": asked.channel})


# The clock


def look(ports: SurveyPorts, scope: Scope, identity: str, *, now: datetime, req: str = "req_clock") -> str | None:
    """Ask for the message of a survey that is due, or end one that nobody answered. Return the kind of move, or None.

    Asking has two commits: the message, under an id that the survey gives, and the survey. Who stops between them goes on.
    """

    def once() -> str | None:
        survey = ports.surveys.survey(scope, identity)
        if survey is None or survey.due_at is None or survey.due_at > to_text(now):
            return None
        if survey.status is SurveyState.WAITING:
            return _ask(ports, scope, survey, now=now, req=req)
        reply = answer(survey.status, SurveyEvent.LAPSE)
        if not isinstance(reply, Move):
            return None
        reason = Reason.NO_ANSWER if survey.status is SurveyState.SENT else Reason.UNKNOWN
        return _end(ports, scope, survey, reply.to, reason, now=now, req=req)

    return retrying(once)


def _ask(ports: SurveyPorts, scope: Scope, survey: Survey, *, now: datetime, req: str) -> str:
    known = ports.store.attempt(scope, survey.message)
    channel = known.channel if known is not None else None
    if channel is None:
        asked = _request(ports, scope, survey, now=now, req=req)
        if isinstance(asked, NotAsked):
            return _end(ports, scope, survey, SurveyState.NOT_SENT, asked.reason, now=now, req=req)
        channel = asked.channel
    told = {"status": SurveyState.ASKED, "channel": channel, "asked_at": to_text(now), "version": survey.version + 1}
    after = survey.model_copy(update=told)
    unit = ports.store.unit(scope, actor=CLOCK, req=req, now=now)
    unit.replace(ports.surveys.record(after), expected=survey.version)
    unit.commit()
    ports.surveys.index(after)
    return "survey_asked"


@dataclass(frozen=True, slots=True)
class NotAsked:
    """The person is not asked, and the code of why."""

    reason: Reason


def _request(ports: SurveyPorts, scope: Scope, survey: Survey, *, now: datetime, req: str) -> Attempt | NotAsked:
    """Ask for the survey's message and return it, or why the person is not asked."""
    case, seen = ports.store.case(scope, survey.case), _seen(ports, scope, survey.person)
    if case is None or seen is None:
        return NotAsked(Reason.ERASED)
    today = local_date(now, lender_of(ports.store, scope).zone)
    refused = refusal(case, seen.person, history=seen.ledger.history, holds=seen.ledger.holds, today=today)
    if refused is not None:
        return NotAsked(refused)
    language, closed = seen.person.language or case.language, closed_channels(seen.ledger.consents)
    text = text_for(get_rules(ports, scope, survey.rules).rules, seen.person, language=language, closed=closed)
    if text is None:
        return NotAsked(Reason.NO_TEXT)
    try:
        return _requested(ports, scope, survey, case, text, now=now, req=req)
    except (InvalidInput, NotFound, StateConflict):
        return NotAsked(Reason.NOT_REQUESTED)


def _requested(
    ports: SurveyPorts, scope: Scope, survey: Survey, case: Case, text: Text, *, now: datetime, req: str
) -> Attempt:
    today = local_date(now, lender_of(ports.store, scope).zone)
    wish = messages.Wish(
        channel=text.channel,
        template=text.template,
        parameters={},
        purpose=SURVEY,
        to=survey.person,
        point=None,
        reply_to=None,
    )
    return messages.request_message(
        ports.store,
        scope,
        case.id,
        wish,
        message_id=survey.message,
        org=scope.tenant,
        collector=messages.writer_of(ports.store, scope, case, scope.tenant, today=today),
        human=False,
        actor=CLOCK,
        now=now,
        req=req,
    )


@dataclass(frozen=True, slots=True)
class Seen:
    """A person as one, and the ledger as caps are counted from it."""

    person: Person
    ledger: ContactLedger


def _seen(ports: SurveyPorts, scope: Scope, person: str) -> Seen | None:
    """Return the person with every record that is theirs, None for one who is unknown or erased."""
    known = records_of(ports.store, scope, [person])
    found = known.persons.get(person)
    if found is None:
        return None
    return Seen(found, counted(known.ledgers[person], {**known.others, **known.ledgers}))


def _end(
    ports: SurveyPorts, scope: Scope, survey: Survey, to: SurveyState, reason: Reason, *, now: datetime, req: str
) -> str:
    after = survey.model_copy(update={"status": to, "reason": reason, "version": survey.version + 1})
    unit = ports.store.unit(scope, actor=CLOCK, req=req, now=now)
    unit.replace(ports.surveys.record(after), expected=survey.version)
    _emit_ended(unit, scope, after, was_sent=False)
    unit.commit()
    ports.surveys.index(after)
    return f"survey_{to.value}"


# Reading


def get_survey(ports: SurveyPorts, scope: Scope, survey: str) -> Survey:
    """Return the survey. Raises NotFound, for a foreign one as for none."""
    found = ports.surveys.survey(scope, survey)
    if found is None:
        raise NotFound("survey", survey)
    return found


def list_surveys(
    ports: SurveyPorts, scope: Scope, *, status: SurveyState, after: str | None, limit: int
) -> tuple[list[Survey], str | None]:
    """Return a page of the surveys of a status by the instant of the draw, and the place to go on after, None at the end.

    A row that is behind its survey by a moment is left out.
    """
    places = ports.surveys.page(scope, status, after=after, limit=limit)
    found = ports.surveys.many(scope, [place.rsplit("#", 1)[1] for place in places])
    return [each for each in found if each.status is status], places[-1] if len(places) == limit else None


# Events


def _data(survey: Survey) -> dict[str, Any]:
    return {
        "survey": survey.id,
        "trigger": survey.trigger.value,
        "person": survey.person,
        "agency": survey.agency,
    }


def _rules_data(version: RulesVersion) -> dict[str, Any]:
    return {"number": version.number, "sha256": version.rules.sha256}


def _emit_sent(unit: Any, scope: Scope, after: Survey) -> None:
    data = {
        **_data(after),
        "contact": after.message,
        "channel": after.channel,
        "sent_at": after.sent_at,
        "answers_until": after.answers_until,
    }
    unit.emit(keys.case_pk(scope.tenant, after.case), EventType.SURVEY_SENT, data)


def _emit_ended(unit: Any, scope: Scope, after: Survey, *, was_sent: bool) -> None:
    data = {
        **_data(after),
        "status": after.status.value,
        "reason": after.reason.value if after.reason else None,
        "was_sent": was_sent,
    }
    unit.emit(keys.case_pk(scope.tenant, after.case), EventType.SURVEY_ENDED, data)
