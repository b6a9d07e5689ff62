"""Feedback from end to end: entered or opened by what came in, assigned, answered, escalated, closed, opened again, listed."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from chalicelib import wiring
from chalicelib.domain import keys
from chalicelib.domain.events import Event
from chalicelib.domain.outreach.provider_events import ProviderEvent
from chalicelib.store.portfolio_repository import PortfolioRepository
from chalicelib.store.repository import Store, event_of
from chalicelib.store.tables import Record, View
from chalicelib.usecases import due, duties, feedback, provider_events
from tests.builders import LENDER, NOW, PERSON, Scope
from tests.flows.test_cases_api import Api, api, body_of
from tests.flows.test_duties import SimpleQueues

__all__ = ["api"]

SCOPE = Scope(LENDER)
PATH = "/v1/feedback"
WORDS = "催收员大声骂人，请打13812345678"
ENTRY = {"kind": "complaint", "source": "customer", "text": WORDS, "case": "case_0", "channel": "call"}
CLOSURE = {"outcome": "upheld", "root_cause": "conduct", "text": "collector was warned and trained"}


class World:
    """The API with its stream and clock played by hand."""

    def __init__(self, api: Api, store: Store, patch: pytest.MonkeyPatch) -> None:
        self.api, self.store, self.now = api, store, NOW
        self.seen: set[str] = set()
        patch.setattr(wiring, "now", lambda: self.now)
        self.deliver()

    def events(self) -> list[Event]:
        items = [item for item in Record.scan() if item.e is not None]
        found = [event_of(item.e, tenant=keys.tenant_of(item.pk)) for item in items]
        return sorted(found, key=lambda event: (event.stream, event.seq))

    def types(self, prefix: str) -> list[str]:
        found = sorted(self.events(), key=lambda event: (event.at, event.seq))
        return [event.type.value for event in found if event.type.value.startswith(prefix)]

    def deliver(self) -> None:
        """Play new events until none is new."""
        while fresh := [event for event in self.events() if event.id not in self.seen]:
            self.seen |= {event.id for event in fresh}
            told: dict[str, Any] = {"scope_for": Scope, "now": self.now}
            assert duties.project_duties(wiring.duty_ports(), fresh, **told) == []
            assert feedback.project_feedback(wiring.feedback_ports(), fresh, **told) == []

    def tick(self, **later: int) -> None:
        self.now += timedelta(**later)
        handlers = wiring.due_handlers()
        told: dict[str, Any] = {"now": self.now, "req": "req_clock", "on_failure": _raise}
        due.release_due(self.store, SimpleQueues(), Scope, handlers, **told)
        self.deliver()

    def entered(self, token: str = "lender", **changes: Any) -> Any:
        made = self.api.post(token, PATH, {**ENTRY, **changes})
        self.deliver()
        return made

    def act(self, identity: str, what: str, body: Any, token: str = "officer", **headers: str) -> Any:
        done = self.api.post(token, f"{PATH}/{identity}/{what}", body, **headers)
        self.deliver()
        return done

    def read(self, identity: str, token: str = "officer") -> Any:
        return body_of(self.api.get(token, f"{PATH}/{identity}"))

    def listed(self, query: str = "") -> list[str]:
        return [item["id"] for item in body_of(self.api.get("lender", f"{PATH}{query}"))["items"]]

    def reply(self, text: str, number: int = 1) -> None:
        event = ProviderEvent("inbound", "sns", f"in-{number}", recipient="+8613812345678", text=text)
        provider_events.receive(
            self.store, SCOPE, event, channel="sms", kind="mobile", clock=lambda: self.now, req="req_in"
        )
        self.deliver()


def _raise(key: str, error: Exception) -> None:
    raise error


@pytest.fixture
def world(api: Api, store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    person = store.person(SCOPE, PERSON)
    assert person is not None
    PortfolioRepository(store).write_points(SCOPE, [person])
    yield World(api, store, monkeypatch)


def test_entered_complaint_is_a_complaint_with_its_clock_and_the_laws(world: World) -> None:
    made = world.entered()
    item = body_of(made)
    assert (made.status_code, item["status"], item["due_at"]) == (201, "open", _at(NOW, hours=48))
    assert WORDS not in str(item)
    opened = {event.data["duty_kind"]: event.data for event in world.events() if event.type.value == "duty.opened"}
    assert {"feedback_answer", "complaint_answer", "complaint_first_reply"} <= set(opened)
    assert {data["subject"] for data in opened.values()} == {item["id"]}
    assert opened["feedback_answer"]["due_at"] == item["due_at"]


def test_words_are_sealed_and_shown_by_role(world: World, store: Store) -> None:
    identity = body_of(world.entered())["id"]
    stored = [str(item.serialize()) for table in (Record, View) for item in table.scan()]
    assert not any(WORDS in text or "骂人" in text for text in stored)
    assert world.read(identity, "officer")["steps"][0]["text"] == WORDS
    assert world.read(identity, "lender")["steps"][0]["text"] == "催收员大声骂人，请打*******5678"


def test_good_score_is_recorded_and_closed_and_a_low_one_must_be_answered(world: World) -> None:
    told: dict[str, Any] = {"kind": "survey", "text": None}
    good = body_of(world.entered("collector", **told, score=4))
    assert (good["status"], good["outcome"], good["due_at"]) == ("closed", "recorded", None)
    assert world.types("duty.") == world.listed() == []
    low = body_of(world.entered("lender", **told, score=2))
    assert (low["status"], low["score"], world.listed()) == ("open", 2, [low["id"]])
    assert world.types("duty.") == ["duty.opened"]
    assert body_of(world.entered(**told))["errors"][0]["code"] == "required"
    assert body_of(world.entered(score=3))["errors"][0]["code"] == "no_survey"
    assert body_of(world.entered(text=None))["errors"][0]["code"] == "required"
    assert body_of(world.entered(**told, score=5, source="agency"))["errors"][0]["code"] == "not_a_customers"
    assert world.entered(**told, score=6).status_code == 422


def test_who_may_do_what(world: World) -> None:
    identity = body_of(world.entered("collector"))["id"]
    assert [world.api.get(token, f"{PATH}/{identity}").status_code for token in ("agency", "collector", "counsel")] == (
        [403] * 3
    )
    assert world.act(identity, "answers", {"text": "we are sorry"}, "agency").status_code == 403
    assert world.api.get("other-lender", f"{PATH}/{identity}").status_code == 404
    assert world.act(identity, "answers", {"text": "we are sorry"}, "other-officer").status_code == 404
    assert world.entered("other-agency").status_code == 404
    assert world.entered("other-lender").status_code == 404
    assert body_of(world.entered("agency", source="lender"))["errors"][0]["code"] == "not_an_agencys"
    assert body_of(world.entered("agency", kind="quality_check"))["errors"][0]["code"] == "not_an_agencys"
    assert body_of(world.entered(case=None))["errors"][0]["code"] == "required"


def test_complaint_is_not_handled_by_whom_it_is_about(world: World) -> None:
    item = body_of(world.entered("collector"))
    told = body_of(world.act(item["id"], "assignments", {"owner": item["collector"]}))
    assert told["errors"][0]["code"] == "complained_of"
    assert body_of(world.act(item["id"], "assignments", {"owner": item["agency"]}))["errors"][0]["code"] == (
        "complained_of"
    )
    assert world.act(item["id"], "assignments", {"owner": "officer-9"}).status_code == 201


def test_answer_in_time_ends_the_clock_and_closing_needs_it(world: World) -> None:
    identity = body_of(world.entered(kind="suggestion", source="agency"))["id"]
    assert body_of(world.act(identity, "closures", CLOSURE))["code"] == "feedback_state"
    assert body_of(world.act(identity, "assignments", {"owner": "officer-9"}))["status"] == "assigned"
    world.tick(hours=35)
    assert body_of(world.act(identity, "answers", {"text": "we shall do it"}))["status"] == "answered"
    world.tick(hours=20)
    closed = body_of(world.act(identity, "closures", {**CLOSURE, "outcome": "adopted"}))
    assert (closed["status"], closed["outcome"], closed["root_cause"]) == ("closed", "adopted", "conduct")
    assert world.types("duty.") == ["duty.opened", "duty.fulfilled"]
    assert world.types("risk_event.") == []
    assert [step["did"] for step in world.read(identity)["steps"]] == ["received", "assigned", "answered", "closed"]


def test_item_is_escalated_at_36_hours_once_and_lapses_at_48_without_a_legal_risk(world: World) -> None:
    identity = body_of(world.entered(kind="suggestion", source="agency"))["id"]
    world.tick(hours=35)
    assert world.listed("?status=escalated") == []
    world.tick(hours=1)
    assert world.listed("?status=escalated") == [identity]
    assert world.listed("?overdue=true") == []
    world.tick(hours=12)
    assert world.listed("?overdue=true") == [identity]
    assert world.types("feedback.") == ["feedback.received", "feedback.escalated"]
    assert world.types("duty.") == ["duty.opened", "duty.escalated", "duty.lapsed"]
    assert world.types("risk_event.") == []
    world.act(identity, "answers", {"text": "late, and sorry for that"})
    assert world.listed("?overdue=true") == world.listed("?status=escalated") == world.listed() == []
    assert world.listed("?status=answered") == [identity]
    late = [event.data["late"] for event in world.events() if event.type.value == "feedback.answered"]
    assert late == [True]


def test_reopened_item_has_a_clock_of_its_own(world: World) -> None:
    identity = body_of(world.entered(kind="suggestion", source="agency"))["id"]
    world.act(identity, "answers", {"text": "we shall see"})
    world.act(identity, "closures", {**CLOSURE, "outcome": "declined"})
    world.tick(hours=100)
    item = body_of(world.act(identity, "reopenings", {"text": "that was no answer"}))
    assert (item["status"], item["round"], item["owner"], item["due_at"]) == (
        "open",
        2,
        None,
        _at(NOW, hours=148),
    )
    assert world.listed() == [identity]
    assert world.listed("?status=closed") == []
    world.tick(hours=36)
    assert world.listed("?status=escalated") == [identity]
    world.act(identity, "answers", {"text": "this is one"})
    assert world.types("duty.") == ["duty.opened", "duty.fulfilled", "duty.opened", "duty.escalated", "duty.fulfilled"]


def test_complaining_reply_opens_one_item_with_its_words(world: World) -> None:
    world.reply("我要投诉 你们的人骂我")
    [identity] = world.listed()
    item = world.read(identity)
    assert (item["kind"], item["source"], item["person"], item["case"]) == ("complaint", "customer", PERSON, None)
    assert item["steps"][0]["text"] == "我要投诉 你们的人骂我"
    again = [event for event in world.events() if event.type.value == "complaint.received"]
    feedback.project_feedback(wiring.feedback_ports(), again, scope_for=Scope, now=world.now)
    world.deliver()
    assert world.types("feedback.") == ["feedback.received"]


def test_activity_with_the_complaint_code_opens_an_item_and_holds_the_case(world: World) -> None:
    said = {"code": "RPC-COMPL", "channel": "call", "at": "2026-11-23T01:30:00Z", "note": WORDS}
    assert world.api.post("collector", "/v1/cases/case_1/activities", said).status_code == 201
    world.deliver()
    [identity] = world.listed()
    item = world.read(identity)
    assert (item["case"], item["agency"], item["steps"][0]["text"]) == ("case_1", "agency-a", WORDS)
    held = world.store.case(SCOPE, "case_1")
    assert held is not None
    assert [hold.kind for hold in held.holds] == ["complaint"]


def test_hold_for_a_complaint_that_is_known_opens_no_second_item(world: World) -> None:
    world.entered()
    held = {"kind": "complaint", "reason": "the person complained by telephone"}
    assert world.api.post("lender", "/v1/cases/case_0/holds", held).status_code == 201
    world.deliver()
    assert len(world.listed()) == 1
    assert world.api.post("lender", "/v1/cases/case_2/holds", held).status_code == 201
    world.deliver()
    assert len(world.listed()) == 2


def test_complaint_answer_that_is_sent_answers_the_item(world: World, store: Store) -> None:
    world.reply("我要投诉")
    [identity] = world.listed()
    unit = store.unit(SCOPE, actor=provider_events.CARRIER, req="req_s", now=world.now)
    unit.emit(keys.case_pk(LENDER, "case_0"), _type("contact.sent"), {"person": PERSON, "purpose": "reminder"})
    unit.commit()
    assert world.listed() == [identity]
    unit = store.unit(SCOPE, actor=provider_events.CARRIER, req="req_s", now=world.now)
    sent = {"person": PERSON, "purpose": "complaint_answer", "contact": "msg_1"}
    event = unit.emit(keys.case_pk(LENDER, "case_0"), _type("contact.sent"), sent)
    unit.commit()
    feedback.project_feedback(wiring.feedback_ports(), [event], scope_for=Scope, now=world.now)
    assert world.read(identity)["status"] == "answered"


def test_duty_recorded_as_done_answers_the_item(world: World) -> None:
    identity = body_of(world.entered(kind="suggestion", source="agency"))["id"]
    [duty] = [event.data["duty"] for event in world.events() if event.type.value == "duty.opened"]
    done = {"at": world.now.isoformat(), "evidence": "call"}
    assert world.api.post("lender", f"/v1/duties/{duty}/fulfilments", done).status_code == 201
    world.deliver()
    assert world.read(identity)["status"] == "answered"


def test_version_guards_changes_and_a_key_makes_them_once(world: World) -> None:
    made = world.entered(kind="suggestion", source="agency")
    identity = body_of(made)["id"]
    stale = world.act(identity, "answers", {"text": "we shall see"}, If_Match='"7"')
    assert stale.status_code == 412
    tag = world.api.get("officer", f"{PATH}/{identity}").headers["ETag"]
    told: dict[str, str] = {"If_Match": tag, "Idempotency_Key": "once-1"}
    first = world.act(identity, "answers", {"text": "we shall see"}, **told)
    again = world.act(identity, "answers", {"text": "we shall see"}, **told)
    assert (first.status_code, again.status_code, first.body) == (201, 201, again.body)
    assert world.types("feedback.answered") == ["feedback.answered"]


def test_lists_go_on_by_cursor_in_the_order_of_their_clocks(world: World) -> None:
    made = []
    for _ in range(3):
        made.append(body_of(world.entered(kind="suggestion", source="agency"))["id"])
        world.tick(minutes=5)
    first = body_of(world.api.get("lender", f"{PATH}?limit=2"))
    second = body_of(world.api.get("lender", f"{PATH}?limit=2&cursor={first['next_cursor']}"))
    assert [item["id"] for item in (*first["items"], *second["items"])] == made
    assert second["next_cursor"] is None


def _at(start: datetime, **later: int) -> str:
    return (start + timedelta(**later)).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _type(name: str) -> Any:
    from chalicelib.domain.events import EventType

    return EventType(name)
