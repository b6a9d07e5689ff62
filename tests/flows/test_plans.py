"""Plans over the real store: handed out, looked at when due, asked for once, held to budgets, overridden, read by people."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from chalicelib import wiring
from chalicelib.domain import keys
from chalicelib.domain.cases.assignment import Assigned, Unassigned
from chalicelib.domain.cases.lifecycle import CaseState
from chalicelib.domain.concurrency import Conflict
from chalicelib.domain.events import EventType
from chalicelib.domain.instants import from_text, to_text
from chalicelib.domain.outreach.attempt import AttemptState
from chalicelib.domain.strategies.plan import CasePlan, contact_id
from chalicelib.store.repository import Store
from chalicelib.usecases import due, messages, plans
from chalicelib.usecases.assignment import assign_cases
from tests.builders import AGENCY, COLLECTOR, LENDER, NOW, Scope, a_case, a_collector, a_lender, approved, stored
from tests.domain.test_strategies import a_hold, a_path, a_step
from tests.flows.test_cases_api import Api, api, body_of
from tests.flows.test_ruling_on_real_cases import rule_on
from tests.flows.test_strategies import REASON, activated, drafted
from tests.flows.test_strategies import approved as approve

__all__ = ["api"]

SCOPE = Scope(LENDER)
CASES = ("case_0", "case_1", "case_2")
MESSAGE = contact_id(LENDER, "case_0", "early", "everybody", "first-text")


class Unread:
    """A queue that nobody reads: what is asked for here is ruled on only where a test says so."""

    def send(self, queue: str, bodies: Sequence[Mapping[str, Any]], *, delay_seconds: int = 0) -> None:
        """Take the bodies."""

    def send_grouped(self, queue: str, bodies: Sequence[tuple[str, str, Mapping[str, Any]]]) -> None:
        """Take the bodies."""


class Clock:
    """The schedule that looks at what is due, at an instant that a test turns on."""

    def __init__(self, store: Store) -> None:
        self.store, self.now, self.failed = store, NOW, list[str]()

    def run(self) -> dict[str, int]:
        """Look once at everything that is due."""
        report = due.release_due(
            self.store,
            Unread(),
            Scope,
            wiring.due_handlers(),
            now=self.now,
            req="req_due",
            on_failure=lambda key, error: self.failed.append(f"{key}: {error!r}"),
        )
        assert self.failed == []
        return report.moved

    def until(self, end: datetime, *, every: timedelta = timedelta(minutes=20)) -> dict[str, int]:
        """Look again and again until an instant; return everything that was moved.

        The schedule looks every minute; a slot in the last part of a day can fall between two of these looks.
        """
        moved: dict[str, int] = {}
        while self.now < end:
            self.now += every
            for kind, count in self.run().items():
                moved[kind] = moved.get(kind, 0) + count
        return moved


@pytest.fixture
def clock(api: Api, store: Store) -> Iterator[Clock]:
    yield Clock(store)


def followed(api: Api, **changes: Any) -> None:
    """Have a strategy in force."""
    assert drafted(api, **changes).status_code == 201
    assert approve(api).status_code == 201
    assert activated(api).status_code == 201


def plan_of(case: str = "case_0") -> CasePlan:
    found = wiring.plan_ports().plans.plan(SCOPE, case)
    assert isinstance(found, CasePlan)
    return found


def settled(store: Store, case: str = "case_0") -> list[tuple[str, str, str | None]]:
    events = store.events(SCOPE, keys.case_pk(LENDER, case))
    kept = [event.data for event in events if event.type is EventType.PLAN_STEP_SETTLED]
    return [(data["plan_step"], data["outcome"], data["reason"]) for data in kept]


def test_activation_gives_every_case_a_plan_that_asks_within_the_hours(api: Api, clock: Clock, store: Store) -> None:
    followed(api)
    assert clock.run()["enrolled"] == 1
    end = NOW.replace(hour=10)
    clock.until(end)
    for case in CASES:
        assert settled(store, case)[0] == ("first-text", "requested", None)
        attempt = store.attempt(SCOPE, contact_id(LENDER, case, "early", "everybody", "first-text"))
        assert attempt is not None and attempt.state is AttemptState.REQUESTED
        assert (attempt.org, attempt.collector, attempt.template) == (AGENCY, COLLECTOR, "cn-sms-demand@1")
        assert NOW < from_text(attempt.requested_at) <= end + timedelta(minutes=20)
        assert plan_of(case).standing == "running"
        following = from_text(plan_of(case).due_at or "")
        assert (following.date(), 1 <= following.hour < 10) == (date(2026, 11, 26), True)
    # The second walk finds nothing more to do, and ends.
    assert wiring.plan_ports().plans.enrolment(SCOPE, "early-1").due_at is None


def test_what_is_asked_for_is_ruled_on_like_any_other_wish(api: Api, clock: Clock, store: Store) -> None:
    followed(api)
    clock.until(NOW.replace(hour=10))
    attempt = store.attempt(SCOPE, MESSAGE)
    assert attempt is not None
    rule_on(store, attempt, now=clock.now)
    ruled = store.attempt(SCOPE, MESSAGE)
    assert ruled is not None and ruled.decided_seq is not None


def test_placed_case_gets_a_plan_when_the_lender_has_a_strategy(api: Api, clock: Clock, store: Store) -> None:
    followed(api)
    from chalicelib.domain.events import Event

    ports = wiring.plan_ports()
    stored(store, a_case(id="case_new"))
    placed = [
        Event("evt_1", EventType.CASE_PLACED, to_text(NOW), LENDER, "case_new", 1, None, wiring_actor(), "req", {})
    ]
    for _ in range(2):
        assert plans.project_plans(ports, placed, scope_for=Scope, now=NOW) == []
    assert (plan_of("case_new").version, plan_of("case_new").due_at) == (1, to_text(NOW))
    other = [
        Event("evt_2", EventType.CASE_PLACED, to_text(NOW), "bank-b", "case_x", 1, None, wiring_actor(), "req", {})
    ]
    assert plans.project_plans(ports, other, scope_for=Scope, now=NOW) == []
    assert ports.plans.plan(Scope("bank-b"), "case_x") is None


def wiring_actor() -> Any:
    return plans.PLANNER


def test_clock_that_looks_twice_asks_once(api: Api, clock: Clock, store: Store) -> None:
    followed(api)
    clock.until(NOW.replace(hour=10))
    before = plan_of()
    for _ in range(3):
        clock.run()
    assert plan_of() == before
    assert [step for step, _, _ in settled(store)] == ["first-text"]


def test_crash_between_the_note_and_the_message_is_finished_later(
    api: Api, clock: Clock, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    followed(api, budgets=[{"channel": "sms", "of": "lender", "a_day": 3}])
    whole = messages.request_message

    def killed(*args: Any, **told: Any) -> Any:
        raise Conflict("somebody pulled the plug")

    monkeypatch.setattr(messages, "request_message", killed)
    clock.until(NOW.replace(hour=9, minute=40))
    assert plan_of().asking is not None and store.attempt(SCOPE, MESSAGE) is None
    used = wiring.plan_ports().plans.used(SCOPE, "2026-11-23", "*", "sms")
    monkeypatch.setattr(messages, "request_message", whole)
    clock.until(NOW.replace(hour=10))
    assert settled(store)[0] == ("first-text", "requested", None)
    # The place in the budget that was taken before the crash is the one that is used.
    assert wiring.plan_ports().plans.used(SCOPE, "2026-11-23", "*", "sms") == used == 3


def test_crash_after_the_message_asks_for_no_second_one(
    api: Api, clock: Clock, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    followed(api)
    whole = plans._settle
    monkeypatch.setattr(plans, "_settle", lambda *args: (_ for _ in ()).throw(Conflict("plug")))
    clock.until(NOW.replace(hour=10))
    first = store.attempt(SCOPE, MESSAGE)
    assert first is not None and settled(store) == []
    monkeypatch.setattr(plans, "_settle", whole)
    clock.until(NOW.replace(hour=11))
    asked = [e for e in store.events(SCOPE, keys.case_pk(LENDER, "case_0")) if e.type is EventType.CONTACT_REQUESTED]
    assert len(asked) == 1
    assert settled(store)[0] == ("first-text", "requested", None)


@pytest.mark.parametrize("of", ["lender", "agency"])
def test_budget_of_a_day_is_kept_and_the_rest_goes_the_next_day(api: Api, clock: Clock, store: Store, of: str) -> None:
    followed(api, budgets=[{"channel": "sms", "of": of, "a_day": 2}])
    clock.until(NOW.replace(hour=10))
    told = [settled(store, case) for case in CASES]
    assert sum(bool(each) for each in told) == 2
    waiting = next(case for case, each in zip(CASES, told, strict=True) if not each)
    assert plan_of(waiting).standing == "over_budget"
    clock.until(NOW.replace(hour=10) + timedelta(days=1))
    assert settled(store, waiting)[0] == ("first-text", "requested", None)


def test_hardship_is_handed_to_people_and_no_message_is_asked_for(api: Api, clock: Clock, store: Store) -> None:
    stored(store, a_case(id="case_0", holds=(a_hold("hardship"),)))
    followed(api)
    clock.until(NOW.replace(hour=10))
    assert settled(store) == [("hardship", "referred", "hardship")]
    assert store.attempt(SCOPE, MESSAGE) is None
    assert plan_of().standing == "with_people"
    told = body_of(api.get("lender", "/v1/cases/case_0/plan"))
    assert (told["next"]["kind"], told["next"]["owner"]) == ("refer", "lender")
    assert told["next"]["reasons"]["en"] == ["The person is in hardship: somebody looks after them."]


def test_reminder_before_the_due_day_is_the_lenders_and_needs_no_agency(api: Api, clock: Clock, store: Store) -> None:
    stored(store, a_lender(), *approved("cn-sms-due-soon"), a_collector(id="staff-1", org=LENDER, staff_no="S9"))
    early = a_case(id="case_0", state=CaseState.PLACED, agency=None, oldest_unpaid_due_on=date(2026, 11, 26))
    stored(store, early)
    act = {"kind": "message", "channel": "sms", "template": "cn-sms-due-soon"}
    path = a_path(id="everybody", steps=[a_step(id="first-text", wait={"from": "due_day", "days": -3}, act=act)])
    followed(api, paths=[path])
    told = body_of(api.get("lender", "/v1/cases/case_0/plan"))
    assert (told["stage"], told["next"]["owner"], told["next"]["on"]) == ("before_due", LENDER, "2026-11-23")
    assert "Nothing is overdue: a reminder, which the lender sends itself." in told["next"]["reasons"]["en"]
    clock.until(NOW.replace(hour=10))
    assert settled(store)[0] == ("first-text", "requested", None)
    [asked] = [e for e in store.events(SCOPE, keys.case_pk(LENDER, "case_0")) if e.type is EventType.CONTACT_REQUESTED]
    assert (asked.data["org"], asked.data["agency"], asked.data["collector"]) == (LENDER, None, "staff-1")
    assert asked.data["strategy"] == "early@1"
    message = store.attempt(SCOPE, asked.data["contact"])
    assert message is not None and message.purpose == "reminder"
    assert message.body is not None and "还款日为2026年11月26日" in message.body and "S9" in message.body
    assert rule_on(store, message, now=clock.now).state is AttemptState.APPROVED


def test_case_is_offered_to_agencies_when_its_due_day_is_over_and_once(api: Api, clock: Clock, store: Store) -> None:
    early = a_case(id="case_0", state=CaseState.PLACED, agency=None, oldest_unpaid_due_on=date(2026, 11, 24))
    stored(store, early)
    [answer] = assign_cases(store, wiring.feed_repository(), SCOPE, ["case_0"], now=NOW, req="req_assign")
    assert isinstance(answer, Unassigned) and answer.reason == "not_past_due"
    # Midnight in Shanghai after the due day.
    assert store.later_offers(SCOPE, ["case_0"])["case_0"].due_at == "2026-11-24T16:00:00.000Z"
    midnight = NOW.replace(day=24, hour=16, minute=0, second=0, microsecond=0)
    handler = wiring.due_handlers()["CASE"]
    assert handler(SCOPE, "case_0", midnight - timedelta(milliseconds=1)) is None
    assert [handler(SCOPE, "case_0", midnight), handler(SCOPE, "case_0", midnight)] == ["offered", None]
    [given] = assign_cases(store, wiring.feed_repository(), SCOPE, ["case_0"], now=midnight, req="req_assign")
    assert isinstance(given, Assigned)


def test_case_that_moved_on_is_not_offered_and_leaves_the_due_index(api: Api, clock: Clock, store: Store) -> None:
    early = a_case(id="case_0", state=CaseState.PLACED, agency=None, oldest_unpaid_due_on=date(2026, 11, 24))
    stored(store, early)
    assign_cases(store, wiring.feed_repository(), SCOPE, ["case_0"], now=NOW, req="req_assign")
    recalled = early.model_copy(update={"state": CaseState.RECALLED, "version": 2})
    store.case_record(SCOPE, recalled).save()
    midnight = NOW.replace(day=24, hour=16, minute=0, second=0, microsecond=0)
    shard, until, offer = keys.due_shard("case_0"), to_text(midnight), (keys.case_pk(LENDER, "case_0"), keys.OFFER_SK)
    assert offer in store.due(shard, until=until, limit=10)
    assert wiring.due_handlers()["CASE"](SCOPE, "case_0", midnight) is None
    assert offer not in store.due(shard, until=until, limit=10)


def test_call_is_left_to_a_collector_as_a_task(api: Api, clock: Clock, store: Store) -> None:
    followed(api)
    clock.until(NOW.replace(hour=10) + timedelta(days=3), every=timedelta(hours=1))
    assert settled(store)[-1] == ("call", "task", None)
    assert (plan_of().standing, plan_of().due_at) == ("finished", None)


def test_step_that_the_person_cannot_be_reached_by_is_left_out(api: Api, clock: Clock, store: Store) -> None:
    stored(store, *approved("cn-email-demand"))
    act = {"kind": "message", "channel": "email", "template": "cn-email-demand"}
    followed(api, paths=[a_path(id="everybody", steps=[a_step(id="first-text", act=act)])])
    clock.until(NOW.replace(hour=10))
    assert settled(store)[0] == ("first-text", "left_out", "no_contact_point")


def test_ended_case_has_a_plan_that_rests_for_good(api: Api, clock: Clock, store: Store) -> None:
    followed(api)
    clock.run()
    case = store.case(SCOPE, "case_0")
    assert case is not None
    stored(store, case.model_copy(update={"state": CaseState.SETTLED}))
    clock.until(NOW.replace(hour=10))
    assert (plan_of().standing, plan_of().due_at) == ("ended", None)
    assert settled(store) == []


def test_work_is_what_is_due_and_not_what_there_is(
    api: Api, clock: Clock, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    followed(api)
    ports = wiring.plan_ports()
    sleeping = [CasePlan(case=f"case_far{n}", due_at=to_text(NOW + timedelta(days=9)), version=1) for n in range(50)]
    assert ports.plans.put_plans(SCOPE, sleeping) == 50
    looked: list[str] = []
    whole = plans.look
    monkeypatch.setattr(plans, "look", lambda p, s, case, **told: looked.append(case) or whole(p, s, case, **told))
    clock.now = NOW + timedelta(minutes=1)
    clock.run()
    clock.run()
    assert set(looked) <= set(CASES)


# People


def test_plan_is_read_with_reasons_by_those_whose_case_it_is(api: Api, clock: Clock) -> None:
    followed(api)
    clock.run()
    clock.run()
    for token in ("lender", "officer", "agency", "collector"):
        told = body_of(api.get(token, "/v1/cases/case_0/plan"))
        assert (told["strategy"], told["version"], told["path"], told["stage"]) == ("early", 1, "everybody", "middle")
        coming = told["next"]
        assert (coming["step"], coming["kind"], coming["channel"], coming["owner"]) == (
            "first-text",
            "message",
            "sms",
            AGENCY,
        )
        assert len(coming["reasons"]["zh"]) == len(coming["reasons"]["en"]) == 2
        assert coming["at"] is not None and coming["window"] == {"from": "09:00", "to": "18:00"}
    for token in ("other-lender", "other-agency"):
        assert api.get(token, "/v1/cases/case_0/plan").status_code == 404


def test_case_that_no_strategy_is_for_has_nothing_to_come(api: Api) -> None:
    told = body_of(api.get("lender", "/v1/cases/case_0/plan"))
    assert (told["strategy"], told["next"], told["standing"]) == (None, None, "waiting")


def override(api: Api, token: str = "collector", **body: Any) -> Any:
    return api.post(token, "/v1/cases/case_0/plan/overrides", {**REASON, **body})


def test_person_skips_a_step_and_the_reason_is_on_record(api: Api, clock: Clock, store: Store) -> None:
    followed(api)
    clock.run()
    made = override(api, decision="skip")
    assert made.status_code == 201
    told = body_of(made)
    assert (told["settled"][0]["step"], told["settled"][0]["reason"]) == ("first-text", "overridden")
    assert told["next"]["step"] == "call"
    clock.until(NOW.replace(hour=10))
    assert store.attempt(SCOPE, MESSAGE) is None
    event = store.events(SCOPE, keys.case_pk(LENDER, "case_0"))[-1]
    assert event.type is EventType.PLAN_OVERRIDDEN
    assert store.opened(SCOPE, event) == {"text": REASON["reason"]}
    assert REASON["reason"] not in str(event.data)


def test_pause_lasts_over_its_last_day_and_is_ended_by_a_person(api: Api, clock: Clock, store: Store) -> None:
    followed(api)
    clock.run()
    assert override(api, decision="pause", until="2026-11-24").status_code == 201
    clock.until(NOW.replace(hour=10) + timedelta(days=1))
    assert (settled(store), plan_of().standing) == ([], "paused")
    assert override(api, "lender", decision="resume").status_code == 201
    clock.until(NOW.replace(hour=10) + timedelta(days=2))
    assert settled(store)[0] == ("first-text", "requested", None)


def test_channel_of_the_next_step_is_changed_to_another_approved_one(api: Api, clock: Clock, store: Store) -> None:
    stored(store, *approved("cn-wechat-demand"))
    act = {"kind": "best", "templates": {"sms": "cn-sms-demand", "wechat": "cn-wechat-demand"}}
    followed(api, paths=[a_path(id="everybody", steps=[a_step(id="first-text", act=act)])])
    assert body_of(api.get("agency", "/v1/cases/case_0/plan"))["next"]["channel"] == "sms"
    told = body_of(override(api, decision="channel", channel="wechat"))
    assert (told["next"]["channel"], told["next"]["template"]) == ("wechat", "cn-wechat-demand")
    refused = override(api, decision="channel", channel="email")
    assert body_of(refused)["errors"][0]["code"] == "other_channel"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"decision": "pause"}, "required"),
        ({"decision": "skip", "until": "2026-12-01"}, "required"),
        ({"decision": "channel"}, "required"),
        ({"decision": "pause", "until": "2026-11-22"}, "out_of_range"),
    ],
)
def test_override_that_lacks_something_is_refused(api: Api, body: dict[str, Any], code: str) -> None:
    followed(api)
    refused = override(api, **body)
    assert (refused.status_code, body_of(refused)["errors"][0]["code"]) == (422, code)


def test_there_is_no_step_to_skip_without_a_strategy(api: Api) -> None:
    assert body_of(override(api, decision="skip"))["code"] == "no_step"


def test_another_agency_overrides_nothing(api: Api) -> None:
    followed(api)
    assert override(api, "other-agency", decision="skip").status_code == 404
    assert override(api, "counsel", decision="skip").status_code == 403
