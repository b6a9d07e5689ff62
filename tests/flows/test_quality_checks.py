"""Quality checks from end to end: a plan, contacts drawn and looked at by machine, results by people, red lines raised."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from chalicelib import wiring
from chalicelib.domain import keys
from chalicelib.domain.events import Event, EventType
from chalicelib.domain.kpi.counters import effect
from chalicelib.domain.kpi.past import Past
from chalicelib.domain.outreach.attempt import AttemptState
from chalicelib.domain.risk.quality import standards
from chalicelib.store.repository import Store, event_of
from chalicelib.store.tables import Record, View
from chalicelib.usecases import quality, risks
from tests.builders import AGENCY, COLLECTOR, LENDER, NOW, PERSON, TEST_ACTOR, Scope, an_attempt, stored
from tests.flows.test_case_commands import CLEARED
from tests.flows.test_cases_api import Api, api, body_of

__all__ = ["api"]

SCOPE = Scope(LENDER)
PATH = "/v1/quality-checks"
PLAN = f"/v1/agencies/{AGENCY}/quality-plan"
FORM = standards().form_of("call")
PASSED = {item.id: "pass" for item in FORM.items}
GOOD: dict[str, Any] = {"result": "RPC-NEG", "duration_seconds": 60, "recording_sha256": "5" * 64}
WORDS = "语气平和，电话13812345678"


class World:
    """The API with its stream and clock played by hand."""

    def __init__(self, api: Api, store: Store, patch: pytest.MonkeyPatch) -> None:
        self.api, self.store, self.now = api, store, NOW
        self.seen: set[str] = set()
        self.number = 0
        patch.setattr(wiring, "now", lambda: self.now)
        self.deliver()

    def events(self, prefix: str = "quality.") -> list[Event]:
        items = [item for item in Record.scan() if item.e is not None]
        found = [event_of(item.e, tenant=keys.tenant_of(item.pk)) for item in items]
        found.sort(key=lambda event: (event.at, event.stream, event.seq))
        return [event for event in found if event.type.value.startswith(prefix)]

    def deliver(self) -> None:
        """Play new events until none is new."""
        while fresh := [event for event in self.events("") if event.id not in self.seen]:
            self.seen |= {event.id for event in fresh}
            self.project(fresh)
            assert risks.project_risks(wiring.risk_ports(), fresh, scope_for=Scope) == []

    def project(self, events: list[Event]) -> None:
        assert quality.project_quality(wiring.quality_ports(), events, scope_for=Scope) == []

    def plan(self, **shares: int) -> Any:
        version = body_of(self.api.get("officer", PLAN))["version"]
        return self.api.call("officer", "PUT", PLAN, {"shares": shares}, If_Match=f'"{version}"')

    def called(self, **report: Any) -> str:
        """Let the agency report a cleared call, and return its id."""
        self.number += 1
        contact = f"msg_{self.number}"
        act = {"dialler": "manual", "recorded": True}
        stored(self.store, an_attempt(**CLEARED, id=contact, case="case_0", act=act))
        told = {**GOOD, "attempted_at": NOW.isoformat(), **report}
        answer = self.api.post("agency", f"/v1/messages/{contact}/outcome", told)
        assert answer.status_code == 200, answer.body
        self.deliver()
        return contact

    def sent(self, body: str, *, org: str = AGENCY) -> str:
        """Let a text leave."""
        self.number += 1
        contact = f"msg_{self.number}"
        stored(self.store, an_attempt(id=contact, case="case_0", body=body, org=org, state=AttemptState.SENT))
        unit = self.store.unit(SCOPE, actor=TEST_ACTOR, req="req_sent", now=NOW)
        data = {"contact": contact, "channel": "sms", "person": PERSON, "org": org, "collector": None}
        unit.emit(keys.case_pk(LENDER, "case_0"), EventType.CONTACT_SENT, data)
        unit.commit()
        self.deliver()
        return contact

    def listed(self, query: str = "", token: str = "lender") -> list[Any]:
        return list(body_of(self.api.get(token, f"{PATH}{query}"))["items"])

    def score(self, check: str, token: str = "officer", text: str | None = None, **answers: str) -> Any:
        self.now += timedelta(minutes=1)
        body = {"answers": {**PASSED, **answers}, "text": text}
        done = self.api.post(token, f"{PATH}/{check}/results", body)
        self.deliver()
        return done


@pytest.fixture
def world(api: Api, store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    yield World(api, store, monkeypatch)


def _code(answer: Any) -> tuple[int, str]:
    body = body_of(answer)
    return answer.status_code, (body.get("errors") or [body])[0].get("code", "")


# The plan


def test_a_plan_is_the_default_until_a_compliance_officer_sets_one(world: World) -> None:
    first = body_of(world.api.get("lender", PLAN))
    assert (first["version"], first["shares"], first["default_permille"]) == (0, {}, 30)
    assert world.plan(call=250).status_code == 200
    assert (body_of(world.api.get("counsel", PLAN))["shares"], len(world.events("quality_plan."))) == ({"call": 250}, 1)
    assert world.plan(call=250).status_code == 200
    assert len(world.events("quality_plan.")) == 1
    stale = world.api.call("officer", "PUT", PLAN, {"shares": {}}, If_Match='"0"')
    assert stale.status_code == 412
    assert world.api.call("officer", "PUT", PLAN, {"shares": {}}).status_code == 428


def test_who_may_do_what(world: World) -> None:
    world.plan(call=1_000)
    world.called()
    [check] = world.listed()
    for token in ("agency", "collector", "platform"):
        assert [world.api.get(token, path).status_code for path in (PATH, PLAN, "/v1/quality-standards")] == [403] * 3
        assert world.score(check["id"], token).status_code == 403
    for token in ("lender", "counsel"):
        assert world.api.call(token, "PUT", PLAN, {"shares": {}}, If_Match='"1"').status_code == 403
    assert world.score(check["id"], "counsel").status_code == 403
    assert world.api.get("other-lender", f"{PATH}/{check['id']}").status_code == 404
    assert world.score(check["id"], "other-officer").status_code == 404
    assert world.api.get("other-lender", PLAN).status_code == 404
    assert world.score(check["id"], "lender").status_code == 201


# Drawing


def test_a_reported_call_is_drawn_once_when_the_plan_says_so(world: World) -> None:
    world.plan(call=0)
    world.called()
    assert world.listed() == []
    world.plan(call=1_000)
    contact = world.called()
    [check] = world.listed()
    assert (check["contact"], check["drawn"], check["findings"], check["form"]) == (contact, True, [], "call@1")
    assert (check["agency"], check["collector"], check["person"]) == (AGENCY, COLLECTOR, PERSON)
    # What was reported before is drawn only by a projection that reads it anew; what was drawn is drawn once.
    world.project(world.events("quality."))
    world.project([event for event in world.events("contact.reported") if event.data["contact"] == contact])
    assert len(world.events("quality.drawn")) == 1


def test_a_clearance_that_was_not_used_is_not_looked_at(world: World) -> None:
    world.plan(call=1_000)
    world.called(result="NOT-MADE", duration_seconds=None, recording_sha256=None)
    assert world.listed() == []


@pytest.mark.parametrize(
    ("report", "found"),
    [
        ({"recording_sha256": None}, ["recording_missing"]),
        ({"duration_seconds": None}, ["duration_missing"]),
        ({"result": "RPC-PTP", "duration_seconds": 5}, ["talk_too_short"]),
        ({"result": "NOANS", "duration_seconds": 500}, ["unanswered_too_long"]),
        ({"note": "告诉他不还就让他坐牢"}, ["forbidden_words"]),
        ({"note": "客户说下周发工资"}, []),
    ],
)
def test_the_machine_looks_at_every_call_and_opens_a_check_for_what_it_finds(
    world: World, report: dict[str, Any], found: list[str]
) -> None:
    world.plan(call=0)
    world.called(**report)
    assert [(check["findings"], check["drawn"]) for check in world.listed()] == ([(found, False)] if found else [])
    # None of these crosses a red line.
    assert world.events("risk_event.") == []


def test_a_call_that_went_on_into_the_night_is_a_legal_risk(world: World, store: Store) -> None:
    world.plan(call=0)
    late = NOW.replace(hour=13, minute=59)
    world.number += 1
    window = CLEARED["approved"].model_copy(update={"not_after": "2026-11-23T14:00:00.000Z"})
    act = {"dialler": "manual", "recorded": True}
    stored(store, an_attempt(**{**CLEARED, "approved": window}, id="msg_late", case="case_0", act=act))
    world.now = late + timedelta(minutes=30)
    told = {**GOOD, "attempted_at": late.isoformat(), "duration_seconds": 600}
    assert world.api.post("agency", "/v1/messages/msg_late/outcome", told).status_code == 200
    world.deliver()
    [risk] = world.events("risk_event.")
    assert (risk.data["line"], risk.data["source"], risk.data["contact"]) == (
        "contact_hours",
        "quality_check",
        "msg_late",
    )
    [check] = world.listed()
    assert (check["findings"], risk.data["subject"]) == (["ended_too_late"], check["id"])


def test_a_text_is_looked_at_when_it_is_drawn_and_the_lenders_own_never(world: World) -> None:
    world.plan(sms=0)
    world.sent("不还钱就让你坐牢")
    assert world.listed() == []
    world.plan(sms=1_000)
    world.sent("不还钱就让你坐牢")
    world.sent("请按时还款")
    world.sent("请按时还款", org=LENDER)
    assert sorted((check["findings"], check["form"]) for check in world.listed()) == [
        ([], "text@1"),
        (["forbidden_words"], "text@1"),
    ]


# Results


def test_a_check_is_scored_once_and_counts_for_its_agency_and_collector(world: World) -> None:
    world.plan(call=1_000)
    world.called()
    [check] = world.listed()
    done = body_of(world.score(check["id"], text=WORDS))
    assert (done["status"], done["score"], done["faultless"], done["failed"]) == ("checked", 100, True, [])
    assert world.listed() == [] and [each["id"] for each in world.listed("?status=checked")] == [check["id"]]
    [event] = world.events("quality.checked")
    counted = effect(event, Past(), zone="Asia/Shanghai").counts
    told = {cell.who: counts for cell, counts in counted.items()}
    assert told[AGENCY] == told[f"collector:{AGENCY}/{COLLECTOR}"] == {"quality_checked": 1, "quality_faultless": 1}
    assert _code(world.score(check["id"])) == (409, "quality_check_state")


def test_a_failed_item_whose_line_is_red_raises_a_legal_risk_and_another_does_not(world: World) -> None:
    world.plan(call=1_000)
    world.called()
    world.called()
    first, second = world.listed()
    done = body_of(world.score(first["id"], identity="fail", result="fail"))
    assert (done["score"], done["faultless"], world.events("risk_event.")) == (80, False, [])
    body_of(world.score(second["id"], threat="fail", payee="fail"))
    raised = {event.data["line"]: event.data for event in world.events("risk_event.")}
    assert set(raised) == {"threat", "pay_to_diversion"}
    assert raised["threat"]["severity"] == "critical" and raised["threat"]["subject"] == second["id"]
    listed = body_of(world.api.get("lender", f"/v1/risk-events?agency={AGENCY}"))["items"]
    assert {each["line"] for each in listed} == set(raised)


def test_each_item_of_the_form_is_answered_and_no_other(world: World) -> None:
    world.plan(call=1_000)
    world.called()
    [check] = world.listed()
    path = f"{PATH}/{check['id']}/results"
    lacking = {name: answer for name, answer in PASSED.items() if name != "threat"}
    for answers in (lacking, {**PASSED, "weather": "pass"}, {}):
        assert _code(world.api.post("officer", path, {"answers": answers})) == (422, "items_differ")
    assert world.api.post("officer", path, {"answers": {**PASSED, "threat": "maybe"}}).status_code == 422


def test_a_check_that_cannot_be_made_is_void_and_counts_nowhere(world: World) -> None:
    world.plan(call=1_000)
    world.called()
    [check] = world.listed()
    path = f"{PATH}/{check['id']}/voids"
    assert _code(world.api.post("officer", path, {"reason": "no_time"})) == (422, "unknown_reason")
    done = body_of(world.api.post("lender", path, {"reason": "recording_lost"}))
    assert (done["status"], done["void_reason"], done["faultless"]) == ("void", "recording_lost", False)
    [event] = world.events("quality.voided")
    assert effect(event, Past(), zone="Asia/Shanghai").counts == {}
    assert _code(world.score(check["id"])) == (409, "quality_check_state")


def test_words_are_sealed_and_shown_by_role(world: World) -> None:
    world.plan(call=1_000)
    world.called()
    [check] = world.listed()
    world.score(check["id"], text=WORDS)
    kept = [str(item.serialize()) for table in (Record, View) for item in table.scan()]
    assert not any("语气平和" in text for text in kept)
    assert body_of(world.api.get("officer", f"{PATH}/{check['id']}"))["text"] == WORDS
    assert body_of(world.api.get("lender", f"{PATH}/{check['id']}"))["text"] == "语气平和，电话*******5678"


def test_the_standards_are_read_in_two_languages(world: World) -> None:
    told = body_of(world.api.get("counsel", "/v1/quality-standards"))
    assert {form["id"] for form in told["forms"]} == {"call", "visit", "text"}
    assert all(set(item["name"]) == {"zh", "en"} for form in told["forms"] for item in form["items"])
