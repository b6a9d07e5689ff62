"""Training sessions over HTTP: planned and led by agency or lender, attended by collectors by the server's clock."""

from typing import Annotated, Literal

from chalice.app import Blueprint
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from chalicelib import wiring
from chalicelib.domain.errors import NotFound, StateConflict
from chalicelib.domain.ids import new_id
from chalicelib.domain.instants import epoch_ms
from chalicelib.domain.principals import Principal
from chalicelib.domain.training.course import Material
from chalicelib.domain.training.session import Attendance, Kind, Session, SessionState
from chalicelib.edge.callers import told_by
from chalicelib.edge.http import Answer, Request, route
from chalicelib.edge.organisations_api import ListingQuery, one_scope
from chalicelib.usecases import trainings

bp = Blueprint(__name__)

CourseId = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,40}$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SessionPlan(_Model):
    """Training on a ``course``, or the monthly meeting with the agency, on none. It lasts at most eight hours."""

    kind: Literal["course", "partner_meeting"]
    course: CourseId | None = None
    planned_from: AwareDatetime
    planned_to: AwareDatetime
    materials: Annotated[tuple[Material, ...], Field(max_length=50)] = ()


class SessionView(_Model):
    """A session. ``seed`` and ``checks`` (how many presence checks there were) are told when it is over."""

    id: str
    lender: str
    agency: str
    kind: str
    course: str | None
    planned_from: str
    planned_to: str
    materials: list[Material]
    state: str
    started_at: str | None
    stopped_at: str | None
    check_open: bool
    seed: str | None
    checks: int | None
    version: int


class AttendanceView(_Model):
    """A collector in a session. ``confirmed`` counts presence checks; ``minutes`` are counted when the session is over."""

    session: str
    collector: str
    joined_at: str
    left_at: str | None
    confirmed: int
    minutes: int | None
    version: int


class AttendanceList(_Model):
    """Who attended a session."""

    items: list[AttendanceView]


def _view(session: Session) -> SessionView:
    is_over = session.state is SessionState.ENDED
    told = {"id", "kind", "course", "planned_from", "planned_to", "state", "started_at", "stopped_at", "version"}
    return SessionView(
        **session.model_dump(mode="json", include=told),
        lender=session.tenant,
        agency=session.org,
        materials=list(session.materials),
        check_open=session.open_check(wiring.now()) is not None,
        seed=session.seed if is_over else None,
        checks=session.checks() if is_over else None,
    )


def _attendance(attendance: Attendance) -> AttendanceView:
    told = attendance.model_dump(include={"session", "collector", "joined_at", "left_at", "minutes", "version"})
    return AttendanceView(**told, confirmed=len(attendance.confirmed))


@route(
    bp,
    "POST",
    "/v1/agencies/{agency_id}/trainings",
    scope="training:write",
    body=SessionPlan,
    query=ListingQuery,
    response=SessionView,
    status=201,
    errors=[NotFound],
    summary="Plan a training session of an agency, or a monthly meeting with it",
)
def plan_session(principal: Principal, request: Request[SessionPlan, ListingQuery]) -> Answer:
    """By the agency itself or by the lender."""
    body, org = request.body, request.path["agency_id"]
    scope = one_scope(principal, org, request.query.lender)
    plan = trainings.Plan(org, Kind(body.kind), body.course, body.planned_from, body.planned_to, body.materials)
    ports, session = wiring.training_ports(), request.derived_id("ses")
    seed = new_id("seed", epoch_ms=epoch_ms(wiring.now()))
    found = trainings.plan_session(ports, scope, plan, *told_by(principal, request), session=session, seed=seed)
    return Answer(_view(found), version=found.version)


@route(
    bp,
    "GET",
    "/v1/agencies/{agency_id}/trainings/{session_id}",
    scope="training:read",
    query=ListingQuery,
    response=SessionView,
    errors=[NotFound],
    summary="Read a session; it says whether a presence check is open now, and never when the next one opens",
)
def read_session(principal: Principal, request: Request[None, ListingQuery]) -> Answer:
    """A collector polls it while they attend."""
    scope = one_scope(principal, request.path["agency_id"], request.query.lender)
    caller, _ = told_by(principal, request)
    found = trainings.read_session(wiring.training_ports(), scope, request.path["session_id"], caller)
    return Answer(_view(found), tag=f"{found.version}-{found.open_check(wiring.now())}")


@route(
    bp,
    "POST",
    "/v1/agencies/{agency_id}/trainings/{session_id}/starts",
    scope="training:write",
    query=ListingQuery,
    response=SessionView,
    status=201,
    errors=[NotFound, StateConflict],
    summary="Begin a session now",
)
def start_session(principal: Principal, request: Request[None, ListingQuery]) -> Answer:
    """Nobody starts it: the clock cancels it at its planned end."""
    scope = one_scope(principal, request.path["agency_id"], request.query.lender)
    ports, session = wiring.training_ports(), request.path["session_id"]
    found = trainings.start_session(ports, scope, session, *told_by(principal, request))
    return Answer(_view(found), version=found.version)


@route(
    bp,
    "POST",
    "/v1/agencies/{agency_id}/trainings/{session_id}/stops",
    scope="training:write",
    query=ListingQuery,
    response=SessionView,
    status=201,
    errors=[NotFound, StateConflict],
    summary="End a session now and count everybody's minutes from their presence checks",
)
def stop_session(principal: Principal, request: Request[None, ListingQuery]) -> Answer:
    """Nobody stops it: the clock does, an hour after its planned end."""
    scope = one_scope(principal, request.path["agency_id"], request.query.lender)
    ports, session = wiring.training_ports(), request.path["session_id"]
    found = trainings.stop_session(ports, scope, session, *told_by(principal, request))
    return Answer(_view(found), version=found.version)


@route(
    bp,
    "POST",
    "/v1/agencies/{agency_id}/trainings/{session_id}/cancellations",
    scope="training:write",
    query=ListingQuery,
    response=SessionView,
    status=201,
    errors=[NotFound, StateConflict],
    summary="Cancel a session that has not begun",
)
def cancel_session(principal: Principal, request: Request[None, ListingQuery]) -> Answer:
    """One that has begun is stopped."""
    scope = one_scope(principal, request.path["agency_id"], request.query.lender)
    ports, session = wiring.training_ports(), request.path["session_id"]
    found = trainings.cancel_session(ports, scope, session, *told_by(principal, request))
    return Answer(_view(found), version=found.version)


@route(
    bp,
    "POST",
    "/v1/agencies/{agency_id}/trainings/{session_id}/attendances",
    scope="training:attend",
    query=ListingQuery,
    response=AttendanceView,
    status=201,
    errors=[NotFound, StateConflict],
    summary="Join a running session as the collector who calls; one at a time",
)
def join_session(principal: Principal, request: Request[None, ListingQuery]) -> Answer:
    """What counts follows from the server's clock."""
    scope = one_scope(principal, request.path["agency_id"], request.query.lender)
    ports, session = wiring.training_ports(), request.path["session_id"]
    found = trainings.join_session(ports, scope, session, *told_by(principal, request))
    return Answer(_attendance(found), version=found.version)


@route(
    bp,
    "POST",
    "/v1/agencies/{agency_id}/trainings/{session_id}/confirmations",
    scope="training:attend",
    query=ListingQuery,
    response=AttendanceView,
    status=201,
    errors=[NotFound, StateConflict],
    summary="Confirm the presence check that is open now",
)
def confirm_presence(principal: Principal, request: Request[None, ListingQuery]) -> Answer:
    """Each check is open for five minutes; a slice of twenty minutes counts exactly when its check was confirmed."""
    scope = one_scope(principal, request.path["agency_id"], request.query.lender)
    ports, session = wiring.training_ports(), request.path["session_id"]
    found = trainings.confirm_presence(ports, scope, session, *told_by(principal, request))
    return Answer(_attendance(found), version=found.version)


@route(
    bp,
    "POST",
    "/v1/agencies/{agency_id}/trainings/{session_id}/departures",
    scope="training:attend",
    query=ListingQuery,
    response=AttendanceView,
    status=201,
    errors=[NotFound],
    summary="Leave a session for good",
)
def leave_session(principal: Principal, request: Request[None, ListingQuery]) -> Answer:
    """The minutes are counted when the session is over."""
    scope = one_scope(principal, request.path["agency_id"], request.query.lender)
    ports, session = wiring.training_ports(), request.path["session_id"]
    found = trainings.leave_session(ports, scope, session, *told_by(principal, request))
    return Answer(_attendance(found), version=found.version)


@route(
    bp,
    "GET",
    "/v1/agencies/{agency_id}/trainings/{session_id}/attendances",
    scope="training:read",
    query=ListingQuery,
    response=AttendanceList,
    errors=[NotFound],
    summary="List who attended a session, with the presence checks they confirmed and the minutes that count",
)
def list_attendances(principal: Principal, request: Request[None, ListingQuery]) -> AttendanceList:
    """A collector sees their own."""
    scope = one_scope(principal, request.path["agency_id"], request.query.lender)
    caller, _ = told_by(principal, request)
    ports, session = wiring.training_ports(), request.path["session_id"]
    trainings.read_session(ports, scope, session, caller)
    found = ports.sessions.attendances(scope, session)
    return AttendanceList(items=[_attendance(each) for each in found if caller.collector in (None, each.collector)])
