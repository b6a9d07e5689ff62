"""A session from its plan to everybody's minutes: by the server's clock, one at a time, each counted once."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from chalicelib import wiring
from chalicelib.domain import keys
from chalicelib.domain.errors import InvalidInput, NotFound, StateConflict
from chalicelib.domain.events import Actor, Event
from chalicelib.domain.training.certificate import trainee_id
from chalicelib.domain.training.session import Attendance, Kind, Session, SessionState
from chalicelib.store.repository import Store
from chalicelib.store.training_repository import TrainingRepository
from chalicelib.usecases import trainings
from chalicelib.usecases.cases import Caller, Context
from tests.builders import AGENCY, COLLECTOR, LENDER, NOW, a_collector, a_lender, an_agency, stored
from tests.flows.test_cases_api import Api, body_of
from tests.flows.test_exams import SCOPE, adopt, api, run_clock
from tests.flows.test_organisations_api import register

__all__ = ["api"]

AGENCYS = Caller(Actor("agency", "user-1", "tok_2"), org=AGENCY)
COLLECTORS = Caller(Actor("agency", COLLECTOR, "tok_3"), org=AGENCY, collector=COLLECTOR)
CONTEXT = Context(NOW, "req_1")
Act = Callable[..., Any]


@pytest.fixture
def house(store: Store) -> Store:
    stored(store, a_lender(), an_agency(), a_collector(), a_collector(id="col-2", staff_no="A002"))
    adopt("law-cn")
    return store


def plan(session: str = "ses_1", **deviations: Any) -> Session:
    usual = {"org": AGENCY, "kind": Kind.COURSE, "course": "law-cn", "materials": ()}
    times = {"planned_from": NOW, "planned_to": NOW + timedelta(hours=2)}
    wanted = trainings.Plan(**{**usual, **times, **deviations})
    ports = wiring.training_ports()
    return trainings.plan_session(ports, SCOPE, wanted, AGENCYS, CONTEXT, session=session, seed="seed_5")


def act(
    what: Act, session: str = "ses_1", *, caller: Caller = COLLECTORS, at: datetime = NOW, ports: Any = None
) -> Any:
    return what(ports or wiring.training_ports(), SCOPE, session, caller, replace(CONTEXT, now=at))


def begun(session: str = "ses_1") -> Session:
    plan(session)
    found: Session = act(trainings.start_session, session, caller=AGENCYS)
    return found


def stop(at: datetime, session: str = "ses_1", **more: Any) -> Session:
    found: Session = act(trainings.stop_session, session, caller=AGENCYS, at=at, **more)
    return found


def told(store: Store) -> list[Event]:
    return store.events(SCOPE, keys.trainee_pk(LENDER, trainee_id(AGENCY, COLLECTOR)))


def credits_of() -> list[int]:
    return [each.minutes for each in wiring.training_ports().exams.trainee(SCOPE, AGENCY, COLLECTOR).credits]


def attend(session: Session, *slices: int) -> None:
    act(trainings.join_session, session.id)
    for place in slices:
        act(trainings.confirm_presence, session.id, at=session.check_at(place))


def test_minutes_follow_from_confirmed_checks_and_stand_in_the_record(house: Store) -> None:
    attend(begun(), 0, 2)
    stopped = stop(NOW + timedelta(minutes=70))
    assert (stopped.state, stopped.is_settled, credits_of()) == (SessionState.ENDED, True, [40])
    [event] = told(house)
    assert {name: event.data[name] for name in ("minutes", "confirmed", "checks", "training_kind", "course")} == {
        "minutes": 40, "confirmed": 2, "checks": stopped.checks(), "training_kind": "course", "course": "law-cn",
    }  # fmt: skip
    assert stop(NOW + timedelta(minutes=90)) == stopped and credits_of() == [40]


def test_a_check_is_confirmed_while_it_is_open_and_never_otherwise(house: Store) -> None:
    session = begun()
    act(trainings.join_session)
    opens = session.check_at(0)
    for at in (opens - timedelta(milliseconds=1), opens + timedelta(minutes=5)):
        with pytest.raises(StateConflict, match="no presence check"):
            act(trainings.confirm_presence, at=at)
    again = [act(trainings.confirm_presence, at=opens + timedelta(seconds=each)) for each in (0, 60)]
    assert again[0] == again[1]


def test_who_left_confirms_nothing_more(house: Store) -> None:
    session = begun()
    attend(session, 0)
    act(trainings.leave_session, at=NOW + timedelta(minutes=15))
    with pytest.raises(StateConflict):
        act(trainings.confirm_presence, at=session.check_at(1))
    stop(NOW + timedelta(minutes=60))
    assert credits_of() == [15]


def test_nobody_attends_two_sessions_at_once(house: Store) -> None:
    begun()
    begun("ses_2")
    act(trainings.join_session)
    with pytest.raises(StateConflict, match="another session"):
        act(trainings.join_session, "ses_2")
    act(trainings.leave_session)
    assert act(trainings.join_session, "ses_2").session == "ses_2"


def test_nobody_joins_before_the_start_or_after_the_end(house: Store) -> None:
    plan()
    with pytest.raises(StateConflict):
        act(trainings.join_session)
    act(trainings.start_session, caller=AGENCYS)
    stop(NOW + timedelta(minutes=30))
    with pytest.raises(StateConflict):
        act(trainings.join_session)


class Overtaken(TrainingRepository):
    """Lets a rival write after the attendance was read."""

    def __init__(self, rival: Callable[[], object]) -> None:
        self.rival: Callable[[], object] | None = rival

    def attendance(self, scope: Any, session: str, trainee: str) -> Attendance | None:
        found = super().attendance(scope, session, trainee)
        rival, self.rival = self.rival, None
        if rival is not None:
            rival()
        return found


def overtaken(store: Store, rival: Callable[[], object]) -> trainings.TrainingPorts:
    repository = Overtaken(rival)
    return trainings.TrainingPorts(store, repository, repository, repository)


def test_who_joins_while_it_is_stopped_is_refused(house: Store) -> None:
    begun()
    ports = overtaken(house, lambda: stop(NOW + timedelta(minutes=30)))
    with pytest.raises(StateConflict, match="ended"):
        act(trainings.join_session, ports=ports)
    assert credits_of() == []


def test_what_two_count_at_once_counts_once(house: Store) -> None:
    attend(begun(), 0, 1)
    rival = lambda: trainings.finish_due(wiring.training_ports(), SCOPE, "ses_1", now=NOW + timedelta(hours=9))  # noqa: E731
    stop(NOW + timedelta(minutes=60), ports=overtaken(house, rival))
    assert credits_of() == [40] and len(told(house)) == 1


def test_the_clock_cancels_stops_and_counts_what_nobody_did(house: Store) -> None:
    plan("ses_1")
    attend(begun("ses_2"), 0)
    over = NOW + timedelta(hours=2)
    assert run_clock(house, over - timedelta(milliseconds=1)) == {}
    assert run_clock(house, over) == {"session_cancelled": 1}
    assert run_clock(house, over + timedelta(hours=3)) == {"session_ended": 1}
    assert run_clock(house, over + timedelta(hours=4)) == {} and credits_of() == [20]
    stopped = trainings.get_session(wiring.training_ports(), SCOPE, "ses_2").stopped_at
    assert (
        stopped is not None
        and stopped.startswith("2026-11-23T")
        and datetime.fromisoformat(stopped) == over + timedelta(hours=1)
    )


@pytest.mark.parametrize(
    ("deviation", "error"),
    [
        ({"course": None}, InvalidInput),
        ({"kind": Kind.PARTNER_MEETING}, InvalidInput),
        ({"planned_to": NOW}, InvalidInput),
        ({"planned_to": NOW + timedelta(hours=8, milliseconds=1)}, InvalidInput),
        ({"planned_from": NOW + timedelta(hours=3)}, InvalidInput),
        ({"course": "unknown"}, NotFound),
        ({"org": "agency-b"}, NotFound),
    ],
)
def test_what_cannot_be_planned_is_refused(house: Store, deviation: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        plan(**deviation)
    assert plan(planned_to=NOW + timedelta(hours=8)).state is SessionState.PLANNED


# Over HTTP


def test_agency_and_lender_lead_and_nobody_else_sees_it(api: Api) -> None:
    register(api)
    root = f"/v1/agencies/{AGENCY}/trainings"
    times = {"planned_from": "2026-11-23T02:00:00Z", "planned_to": "2026-11-23T04:00:00Z"}
    meeting = {"kind": "partner_meeting", **times}
    assert api.post("collector", root, meeting).status_code == 403
    assert api.post("other-agency", root, meeting).status_code == 404
    made = body_of(api.post("lender", root, meeting))
    assert (made["state"], made["seed"], made["checks"]) == ("planned", None, None)
    path = f"{root}/{made['id']}"
    api.call("agency", "PUT", f"/v1/agencies/{AGENCY}/collectors/{COLLECTOR}", {"staff_no": "A001"})
    assert api.post("agency", f"{path}/starts", None).status_code == 201
    assert body_of(api.post("collector", f"{path}/attendances", None))["minutes"] is None
    assert api.post("agency", f"{path}/attendances", None).status_code == 403
    assert body_of(api.post("collector", f"{path}/confirmations", None))["code"] == "no_check_open"
    assert body_of(api.get("collector", path))["seed"] is None
    assert body_of(api.post("lender", f"{path}/stops", None))["seed"].startswith("seed_")
    listed = body_of(api.get("collector", f"{path}/attendances"))["items"]
    assert [(each["collector"], each["minutes"]) for each in listed] == [(COLLECTOR, 0)]
    for who in ("other-agency", "other-lender"):
        assert api.get(who, path).status_code == 404
