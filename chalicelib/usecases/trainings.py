"""Training sessions: planned and led by an agency or the lender, attended by collectors, counted when they are over.

A collector attends one session at a time: their training record is written when they join and when their minutes are counted,
so no minute counts twice, however many sessions run. What is counted follows from instants of the server's clock alone.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from chalicelib.domain import keys
from chalicelib.domain.concurrency import retrying
from chalicelib.domain.errors import InvalidInput, NotFound, NotPermitted, StateConflict
from chalicelib.domain.events import Actor, EventType
from chalicelib.domain.instants import from_text, local_date, to_text
from chalicelib.domain.state_table import Move, Refuse
from chalicelib.domain.training.certificate import trainee_id
from chalicelib.domain.training.course import Material
from chalicelib.domain.training.exam import Trainee
from chalicelib.domain.training.session import (
    LONGEST,
    OVERTIME,
    Attendance,
    Credit,
    Kind,
    Session,
    SessionEvent,
    SessionState,
    answer,
    counted_minutes,
)
from chalicelib.usecases.cases import CLOCK, Caller, Context, lender_of
from chalicelib.usecases.certificates import collector_of
from chalicelib.usecases.courses import CoursePorts, Courses, get_course
from chalicelib.usecases.exams import Exams
from chalicelib.usecases.ports import Scope, Store


class Sessions(Protocol):
    """Sessions and attendances. See ``chalicelib.store.training_repository``."""

    def session(self, scope: Scope, session: str) -> Session | None:
        """Return a session by a strongly consistent read."""
        ...

    def session_record(self, session: Session) -> Any:
        """Return the record of the session at its version."""

    def attendance(self, scope: Scope, session: str, trainee: str) -> Attendance | None:
        """Return a collector's attendance of a session."""
        ...

    def attendances(self, scope: Scope, session: str) -> list[Attendance]:
        """Return every attendance of a session."""
        ...

    def attendance_record(self, attendance: Attendance) -> Any:
        """Return the record of the attendance at its version."""


@dataclass(frozen=True, slots=True)
class TrainingPorts:
    """What training sessions need."""

    store: Store
    sessions: Sessions
    exams: Exams
    courses: Courses


@dataclass(frozen=True, slots=True)
class Plan:
    """A session as somebody plans it: of which agency, what kind, on which course, from when to when, with what material."""

    org: str
    kind: Kind
    course: str | None
    planned_from: datetime
    planned_to: datetime
    materials: tuple[Material, ...]


def plan_session(
    ports: TrainingPorts, scope: Scope, plan: Plan, caller: Caller, context: Context, *, session: str, seed: str
) -> Session:
    """Plan a session of an agency. The same id again gives the session that there is.

    Raises NotFound for an agency or course that there is not, InvalidInput for times that cannot be.
    """
    if caller.org not in (None, plan.org) or ports.store.agency(scope, plan.org) is None:
        raise NotFound("agency", plan.org)
    if (plan.kind is Kind.COURSE) is (plan.course is None):
        raise InvalidInput("/course", "does_not_fit", "training is on a course, a meeting on none")
    if plan.planned_to <= context.now:
        raise InvalidInput("/planned_to", "in_the_past", "a session is planned before it is over")
    if not plan.planned_from < plan.planned_to <= plan.planned_from + LONGEST:
        raise InvalidInput(
            "/planned_to", "out_of_range", "a session ends after it begins and lasts at most eight hours"
        )
    if plan.course is not None:
        get_course(CoursePorts(ports.store, ports.courses), scope, plan.course)

    def once() -> Session:
        known = ports.sessions.session(scope, session)
        if known is not None:
            return known
        made = Session(
            id=session,
            tenant=scope.tenant,
            org=plan.org,
            kind=plan.kind,
            course=plan.course,
            planned_from=to_text(plan.planned_from),
            planned_to=to_text(plan.planned_to),
            materials=plan.materials,
            seed=seed,
        )
        unit = ports.store.unit(scope, actor=caller.actor, req=context.req, now=context.now)
        unit.create(ports.sessions.session_record(made))
        told = {"planned_from": made.planned_from, "planned_to": made.planned_to}
        digests = {"material_sha256": [each.sha256 for each in made.materials]}
        unit.emit(_stream(scope, made), EventType.TRAINING_PLANNED, {**_data(made), **told, **digests})
        unit.commit()
        return made

    return retrying(once)


def start_session(ports: TrainingPorts, scope: Scope, session: str, caller: Caller, context: Context) -> Session:
    """Begin a session now; one that runs is returned as it is. Raises NotFound, StateConflict."""

    def once() -> Session:
        known, reply = _led(ports, scope, session, caller, SessionEvent.START)
        if not isinstance(reply, Move):
            return known
        after = _moved(known, reply.to, started_at=to_text(context.now))
        unit = ports.store.unit(scope, actor=caller.actor, req=context.req, now=context.now)
        unit.replace(ports.sessions.session_record(after), expected=known.version)
        unit.emit(_stream(scope, after), EventType.TRAINING_STARTED, _data(after))
        unit.commit()
        return after

    return retrying(once)


def stop_session(ports: TrainingPorts, scope: Scope, session: str, caller: Caller, context: Context) -> Session:
    """End a session now and count everybody's minutes. Raises NotFound, StateConflict."""

    def once() -> Session:
        known, reply = _led(ports, scope, session, caller, SessionEvent.STOP)
        if not isinstance(reply, Move):
            return known
        return _stop(
            ports, scope, known, reply.to, at=context.now, actor=caller.actor, req=context.req, now=context.now
        )

    return settle(ports, scope, retrying(once), actor=caller.actor, req=context.req, now=context.now)


def cancel_session(ports: TrainingPorts, scope: Scope, session: str, caller: Caller, context: Context) -> Session:
    """Cancel a session that has not begun. Raises NotFound, StateConflict."""

    def once() -> Session:
        known, reply = _led(ports, scope, session, caller, SessionEvent.CANCEL)
        if not isinstance(reply, Move):
            return known
        return _cancel(ports, scope, known, reply.to, actor=caller.actor, req=context.req, now=context.now)

    return retrying(once)


def join_session(ports: TrainingPorts, scope: Scope, session: str, caller: Caller, context: Context) -> Attendance:
    """Note that the collector is there from now on; who joined before stays as they are.

    Raises NotFound, StateConflict for a session that does not run, or while they attend another one.
    """
    org, who = _collector(caller)

    def once() -> Attendance:
        found = _own(ports, scope, session, caller)
        known = ports.sessions.attendance(scope, session, trainee_id(org, who))
        if known is not None:
            return known
        if found.state is not SessionState.RUNNING:
            raise StateConflict("session_not_running", f"the session is {found.state}")
        collector_of(ports.store, scope, org, who)
        trainee = ports.exams.trainee(scope, org, who)
        if trainee.attending is not None:
            raise StateConflict("attends_another", "the collector attends another session: leave it first")
        made = Attendance(session=session, tenant=scope.tenant, org=org, collector=who, joined_at=to_text(context.now))
        noted = trainee.model_copy(update={"attending": session, "version": trainee.version + 1})
        unit = ports.store.unit(scope, actor=caller.actor, req=context.req, now=context.now)
        # Whoever stops it meanwhile counts everybody: nobody joins after that.
        unit.check_version(keys.training_pk(scope.tenant, session), "SESSION", found.version)
        unit.create(ports.sessions.attendance_record(made))
        unit.replace(ports.exams.trainee_record(noted), expected=trainee.version)
        unit.commit()
        return made

    return retrying(once)


def confirm_presence(ports: TrainingPorts, scope: Scope, session: str, caller: Caller, context: Context) -> Attendance:
    """Confirm the presence check that is open now. Raises NotFound, StateConflict when none is, or after leaving."""
    org, who = _collector(caller)

    def once() -> Attendance:
        found = _own(ports, scope, session, caller)
        known = _attendance(ports, scope, session, org, who)
        place = found.open_check(context.now)
        if place is None or known.left_at is not None:
            raise StateConflict("no_check_open", "no presence check is open for the collector now")
        if place in known.confirmed:
            return known
        after = known.model_copy(
            update={"confirmed": (*known.confirmed, place), "version": known.version + 1},
        )
        unit = ports.store.unit(scope, actor=caller.actor, req=context.req, now=context.now)
        unit.check_version(keys.training_pk(scope.tenant, session), "SESSION", found.version)
        unit.replace(ports.sessions.attendance_record(after), expected=known.version)
        unit.commit()
        return after

    return retrying(once)


def leave_session(ports: TrainingPorts, scope: Scope, session: str, caller: Caller, context: Context) -> Attendance:
    """Note that the collector leaves now, for good; they may join another session. Raises NotFound."""
    org, who = _collector(caller)

    def once() -> Attendance:
        _own(ports, scope, session, caller)
        known = _attendance(ports, scope, session, org, who)
        if known.left_at is not None or known.minutes is not None:
            return known
        after = known.model_copy(update={"left_at": to_text(context.now), "version": known.version + 1})
        trainee = ports.exams.trainee(scope, org, who)
        unit = ports.store.unit(scope, actor=caller.actor, req=context.req, now=context.now)
        unit.replace(ports.sessions.attendance_record(after), expected=known.version)
        unit.replace(ports.exams.trainee_record(_free(trainee, session)), expected=trainee.version)
        unit.commit()
        return after

    return retrying(once)


def finish_due(ports: TrainingPorts, scope: Scope, session: str, *, now: datetime) -> str | None:
    """Cancel what nobody started, stop what nobody stopped, count what is over; None when there is nothing to do."""
    req = f"req_{session}"

    def once() -> Session | None:
        known = ports.sessions.session(scope, session)
        if known is None or known.due_at is None or from_text(known.due_at) > now:
            return None
        event = SessionEvent.LAPSE if known.state is SessionState.PLANNED else SessionEvent.STOP
        reply = answer(known.state, event)
        if not isinstance(reply, Move):
            return known
        if reply.to is SessionState.CANCELLED:
            return _cancel(ports, scope, known, reply.to, actor=CLOCK, req=req, now=now)
        at = min(now, from_text(known.planned_to) + OVERTIME)
        return _stop(ports, scope, known, reply.to, at=at, actor=CLOCK, req=req, now=now)

    found = retrying(once)
    if found is None:
        return None
    settled = settle(ports, scope, found, actor=CLOCK, req=req, now=now)
    return f"session_{settled.state.value}"


def settle(ports: TrainingPorts, scope: Scope, session: Session, *, actor: Actor, req: str, now: datetime) -> Session:
    """Count the minutes of everybody who attended a session that is over, each once; the clock goes on where this breaks off."""
    if session.state is not SessionState.ENDED or session.is_settled:
        return session
    zone = lender_of(ports.store, scope).zone
    for each in ports.sessions.attendances(scope, session.id):
        # A collector's record is written by whatever else they do meanwhile, so it may take some tries.
        retrying(lambda who=each: _credit(ports, scope, session, who, zone, actor=actor, req=req, now=now), attempts=20)  # type: ignore[misc]

    def close() -> Session:
        known = get_session(ports, scope, session.id)
        if known.is_settled:
            return known
        after = known.model_copy(update={"is_settled": True, "version": known.version + 1})
        unit = ports.store.unit(scope, actor=actor, req=req, now=now)
        unit.replace(ports.sessions.session_record(after), expected=known.version)
        unit.commit()
        return after

    return retrying(close)


def _credit(
    ports: TrainingPorts,
    scope: Scope,
    session: Session,
    who: Attendance,
    zone: str,
    *,
    actor: Actor,
    req: str,
    now: datetime,
) -> None:
    known = _attendance(ports, scope, session.id, who.org, who.collector)
    if known.minutes is not None:
        return
    minutes = counted_minutes(session, known)
    trainee = ports.exams.trainee(scope, who.org, who.collector)
    credit = Credit(
        session=session.id,
        kind=session.kind,
        course=session.course,
        on=local_date(from_text(session.started_at or session.planned_from), zone),
        minutes=minutes,
    )
    noted = _free(trainee, session.id).model_copy(update={"credits": (*trainee.credits, credit)})
    counted = known.model_copy(update={"minutes": minutes, "version": known.version + 1})
    unit = ports.store.unit(scope, actor=actor, req=req, now=now)
    unit.replace(ports.sessions.attendance_record(counted), expected=known.version)
    unit.replace(ports.exams.trainee_record(noted), expected=trainee.version)
    told = {"collector": who.collector, "minutes": minutes, "joined_at": known.joined_at, "left_at": known.left_at}
    shown = {"confirmed": len(known.confirmed), "checks": session.checks()}
    pk = keys.trainee_pk(scope.tenant, trainee_id(who.org, who.collector))
    unit.emit(pk, EventType.TRAINING_CREDITED, {**_data(session), **told, **shown})
    unit.commit()


def get_session(ports: TrainingPorts, scope: Scope, session: str) -> Session:
    """Return a session. Raises NotFound."""
    found = ports.sessions.session(scope, session)
    if found is None:
        raise NotFound("session", session)
    return found


def _own(ports: TrainingPorts, scope: Scope, session: str, caller: Caller) -> Session:
    found = get_session(ports, scope, session)
    if caller.org not in (None, found.org):
        raise NotFound("session", session)
    return found


def read_session(ports: TrainingPorts, scope: Scope, session: str, caller: Caller) -> Session:
    """Return a session that is the caller's to see. Raises NotFound."""
    return _own(ports, scope, session, caller)


def _led(ports: TrainingPorts, scope: Scope, session: str, caller: Caller, event: SessionEvent) -> tuple[Session, Any]:
    found = _own(ports, scope, session, caller)
    reply = answer(found.state, event)
    if isinstance(reply, Refuse):
        raise StateConflict("session_state", reply.reason)
    return found, reply


def _stop(
    ports: TrainingPorts,
    scope: Scope,
    known: Session,
    to: SessionState,
    *,
    at: datetime,
    actor: Actor,
    req: str,
    now: datetime,
) -> Session:
    after = _moved(known, to, stopped_at=to_text(at))
    unit = ports.store.unit(scope, actor=actor, req=req, now=now)
    unit.replace(ports.sessions.session_record(after), expected=known.version)
    told = {
        "started_at": after.started_at,
        "stopped_at": after.stopped_at,
        "seed": after.seed,
        "checks": after.checks(),
    }
    unit.emit(_stream(scope, after), EventType.TRAINING_STOPPED, {**_data(after), **told})
    unit.commit()
    return after


def _cancel(
    ports: TrainingPorts, scope: Scope, known: Session, to: SessionState, *, actor: Actor, req: str, now: datetime
) -> Session:
    after = _moved(known, to)
    unit = ports.store.unit(scope, actor=actor, req=req, now=now)
    unit.replace(ports.sessions.session_record(after), expected=known.version)
    unit.emit(_stream(scope, after), EventType.TRAINING_CANCELLED, _data(after))
    unit.commit()
    return after


def _moved(known: Session, to: SessionState, **instants: str) -> Session:
    return known.model_copy(update={**instants, "state": to, "version": known.version + 1})


def _attendance(ports: TrainingPorts, scope: Scope, session: str, org: str, collector: str) -> Attendance:
    found = ports.sessions.attendance(scope, session, trainee_id(org, collector))
    if found is None:
        raise NotFound("attendance", session)
    return found


def _free(trainee: Trainee, session: str) -> Trainee:
    attending = None if trainee.attending == session else trainee.attending
    return trainee.model_copy(update={"attending": attending, "version": trainee.version + 1})


def _collector(caller: Caller) -> tuple[str, str]:
    if caller.org is None or caller.collector is None:
        raise NotPermitted("sessions are attended by collectors", code="own_only")
    return caller.org, caller.collector


def _stream(scope: Scope, session: Session) -> str:
    return keys.training_pk(scope.tenant, session.id)


def _data(session: Session) -> dict[str, Any]:
    return {
        "session": session.id,
        "training_kind": session.kind.value,
        "agency": session.org,
        "course": session.course,
    }
