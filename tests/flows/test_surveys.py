"""Surveys from end to end: rules by two people, a person drawn, one message through the gate, an answer by digit or none."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from chalicelib import wiring
from chalicelib.domain import keys
from chalicelib.domain.events import Event
from chalicelib.domain.feedback.survey import Survey, SurveyState
from chalicelib.domain.kpi.counters import fold
from chalicelib.domain.outreach import approval as approvals
from chalicelib.domain.outreach.attempt import Attempt
from chalicelib.domain.outreach.provider_events import ProviderEvent
from chalicelib.store.portfolio_repository import PortfolioRepository
from chalicelib.store.repository import Store, event_of
from chalicelib.store.survey_repository import SurveyRepository
from chalicelib.store.tables import Record, View
from chalicelib.usecases import compliance, dispatch, due, duties, feedback, provider_events, surveys
from tests.builders import AGENCY, LENDER, NOW, PERSON, Scope, a_collector, a_lender, approved, stored
from tests.flows.test_cases_api import Api, api, body_of
from tests.flows.test_duties import SimpleQueues
from tests.flows.test_sending import Carrier

__all__ = ["api"]

SCOPE = Scope(LENDER)
RULES: dict[str, Any] = {
    "occasions": [
        {"trigger": trigger, "share_permille": 1_000, "wait_hours": 24}
        for trigger in ("promise_kept", "case_settled", "call_ended", "complaint_closed")
    ],
    "texts": [{"channel": "sms", "language": "zh", "template": "cn-sms-survey"}],
}
APPROVAL = {"decision": "approve", "reason": "read and found proper"}
WORDS = "催收员半夜打电话13812345678"


class World:
    """The API with its stream, its clock, its gate and its carrier played by hand."""

    def __init__(self, api: Api, store: Store, patch: pytest.MonkeyPatch) -> None:
        self.api, self.store, self.now, self.carrier = api, store, NOW, Carrier()
        self.seen: set[str] = set()
        self.inbound = 0
        self.root = ec.generate_private_key(ec.SECP256R1())
        patch.setattr(wiring, "now", lambda: self.now)
        self.deliver()

    # Rules

    def rules(self, **changes: Any) -> None:
        made = self.api.post("lender", "/v1/survey-rules", {**RULES, **changes})
        assert made.status_code == 201, made.body
        place = f"/v1/survey-rules/{body_of(made)['number']}/approvals"
        assert self.api.post("officer-2", place, APPROVAL).status_code == 201

    # Stream and clock

    def events(self) -> list[Event]:
        items = [item for item in Record.scan() if item.e is not None]
        found = [event_of(item.e, tenant=keys.tenant_of(item.pk)) for item in items]
        return sorted(found, key=lambda event: (event.stream, event.seq))

    def told(self, prefix: str) -> list[Event]:
        found = sorted(self.events(), key=lambda event: (event.at, event.seq))
        return [event for event in found if event.type.value.startswith(prefix)]

    def deliver(self) -> None:
        while fresh := [event for event in self.events() if event.id not in self.seen]:
            self.seen |= {event.id for event in fresh}
            self.play(fresh)

    def play(self, events: list[Event]) -> None:
        told: dict[str, Any] = {"scope_for": Scope, "now": self.now}
        assert duties.project_duties(wiring.duty_ports(), events, **told) == []
        assert surveys.project_surveys(wiring.survey_ports(), events, **told) == []
        assert feedback.project_feedback(wiring.feedback_ports(), events, **told) == []

    def tick(self, **later: int) -> None:
        self.now += timedelta(**later)
        told: dict[str, Any] = {"now": self.now, "req": "req_clock", "on_failure": _raise}
        due.release_due(self.store, SimpleQueues(), Scope, wiring.due_handlers(), **told)
        self.deliver()

    # Gate and carrier

    def check(self, message: str) -> Attempt:
        signer = approvals.ApprovalSigner(
            lambda text: self.root.sign(text, ec.ECDSA(hashes.SHA256())), root_key_id="root"
        )
        told: dict[str, Any] = {"clock": lambda: self.now, "refresh": wiring.refresh_content, "req": "req_check"}
        done = compliance.check(self.store, wiring.engine(), signer, SCOPE, message, **told)
        assert isinstance(done, Attempt), done
        self.deliver()
        return done

    def send(self, message: str) -> None:
        def verifier(approval: Any, **expected: Any) -> approvals.Valid | approvals.Invalid:
            return approvals.verify(approval, root=self.root.public_key(), **expected)

        told: dict[str, Any] = {"clock": lambda: self.now, "req": "req_send"}
        done = dispatch.dispatch(self.store, {"sms": self.carrier}, verifier, SCOPE, message, **told)
        assert isinstance(done, Attempt), done
        self.deliver()

    def report(self, message: str, kind: str) -> None:
        event = ProviderEvent(kind, "sns", f"d-{message}", contact=message, provider_id="p1")
        provider_events.settle_delivery(self.store, SCOPE, event, clock=lambda: self.now, req="req_in")
        self.deliver()

    def reply(self, text: str) -> None:
        self.inbound += 1
        event = ProviderEvent("inbound", "sns", f"in-{self.inbound}", recipient="+8613812345678", text=text)
        provider_events.receive(
            self.store, SCOPE, event, channel="sms", kind="mobile", clock=lambda: self.now, req="req_in"
        )
        self.deliver()

    # What happens to a borrower

    def keep_promise(self, case: str = "case_0") -> None:
        today = (self.now + timedelta(hours=8)).date()
        promise = {"amount_minor": 100, "currency": "CNY", "due_on": (today + timedelta(days=1)).isoformat()}
        assert self.api.post("agency", f"/v1/cases/{case}/promises", promise).status_code == 201
        paid = {"amount_minor": 100, "currency": "CNY", "received_on": today.isoformat()}
        assert self.api.post("lender", f"/v1/cases/{case}/payments", paid).status_code == 201
        self.deliver()

    def settle(self, case: str = "case_0") -> None:
        owed = body_of(self.api.get("lender", f"/v1/cases/{case}"))["amount_due_minor"]
        paid = {"amount_minor": owed, "currency": "CNY", "received_on": "2026-11-23"}
        assert self.api.post("lender", f"/v1/cases/{case}/payments", paid).status_code == 201
        self.deliver()

    def speak(self, case: str = "case_0") -> None:
        said = {"code": "RPC-NEG", "channel": "call", "at": self.now.isoformat(), "note": "asked about the balance"}
        made = self.api.post("agency", f"/v1/cases/{case}/activities", said)
        assert made.status_code == 201, made.body
        self.deliver()

    # Surveys

    def all(self, status: str) -> list[dict[str, Any]]:
        return list(body_of(self.api.get("lender", f"/v1/surveys?status={status}"))["items"])

    def one(self) -> dict[str, Any]:
        [survey] = [each for status in SurveyState for each in self.all(status.value)]
        return survey

    def asked(self) -> str:
        """Let a promise be kept and its survey be sent; return the message."""
        self.keep_promise()
        self.tick(hours=24)
        message = str(self.one()["message"])
        self.check(message)
        self.send(message)
        return message

    def counts(self) -> dict[str, int]:
        """Return the counters of surveys of all agencies and days."""
        cells = fold(self.events(), zone_of=lambda tenant: "Asia/Shanghai")
        return {
            f"{who}|{period}|{name}": count
            for (_, who, period), counts in cells.items()
            for name, count in counts.items()
            if name.startswith("surveys_")
        }


def _raise(key: str, error: Exception) -> None:
    raise error


@pytest.fixture
def world(api: Api, store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    person = store.person(SCOPE, PERSON)
    assert person is not None
    PortfolioRepository(store).write_points(SCOPE, [person])
    stored(store, a_lender(), *approved("cn-sms-survey"), a_collector(id="staff-1", org=LENDER, staff_no="S9"))
    yield World(api, store, monkeypatch)


# Rules


def test_rules_take_two_people_and_hold_from_the_approval_on(world: World) -> None:
    assert body_of(world.api.get("lender", "/v1/survey-rules")) == {"current": None, "items": []}
    drafted = body_of(world.api.post("lender", "/v1/survey-rules", RULES))
    place = f"/v1/survey-rules/{drafted['number']}"
    assert (drafted["state"], body_of(world.api.get("officer", place))["sha256"]) == ("draft", drafted["sha256"])
    world.keep_promise()
    assert world.all("waiting") == [], "a draft asks nobody"
    assert world.api.post("lender", f"{place}/approvals", APPROVAL).status_code == 403
    early = {**APPROVAL, "effective_from": "2026-11-01T00:00:00Z"}
    assert body_of(world.api.post("officer-2", f"{place}/approvals", early))["errors"][0]["code"] == "out_of_range"
    decided = world.api.post("officer-2", f"{place}/approvals", APPROVAL)
    assert (decided.status_code, body_of(decided)["state"]) == (201, "approved")
    assert world.api.post("officer-2", f"{place}/approvals", APPROVAL).status_code == 409
    assert body_of(world.api.get("lender", "/v1/survey-rules"))["current"] == drafted["number"]
    world.keep_promise("case_1")
    assert [each["case"] for each in world.all("waiting")] == ["case_1"]


def test_whoever_wrote_the_rules_does_not_approve_them(world: World) -> None:
    world.api.post("lender", "/v1/survey-rules", RULES)
    refused = world.api.post("officer", "/v1/survey-rules/1/approvals", APPROVAL)
    assert (refused.status_code, body_of(refused)["code"]) == (403, "own_draft")
    rejected = {**APPROVAL, "decision": "reject"}
    decided = body_of(world.api.post("officer-2", "/v1/survey-rules/1/approvals", rejected))
    assert (decided["state"], decided["effective_from"]) == ("rejected", None)
    world.keep_promise()
    assert world.all("waiting") == []


def test_a_text_that_was_retired_meanwhile_keeps_the_rules_from_approval(world: World) -> None:
    world.api.post("lender", "/v1/survey-rules", RULES)
    retired = {"reason": "the wording is being revised"}
    done = world.api.post("lender", "/v1/templates/cn-sms-survey/versions/1/retirement", retired)
    assert done.status_code == 200, done.body
    refused = world.api.post("officer-2", "/v1/survey-rules/1/approvals", APPROVAL)
    assert body_of(refused)["errors"][0]["code"] == "unknown_template"


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"texts": []}, "/texts", "required"),
        ({"texts": [{**RULES["texts"][0], "template": "cn-sms-nothing"}]}, "/texts/0/template", "unknown_template"),
        ({"texts": [{**RULES["texts"][0], "template": "cn-sms-demand"}]}, "/texts/0/template", "other_purpose"),
        ({"texts": [{**RULES["texts"][0], "channel": "email"}]}, "/texts/0/template", "other_channel"),
        ({"texts": [{**RULES["texts"][0], "language": "en"}]}, "/texts/0/template", "other_language"),
        ({"occasions": [RULES["occasions"][0]] * 2}, "/occasions/1/trigger", "named_twice"),
    ],
)
def test_faults_of_rules_are_told(world: World, changes: dict[str, Any], pointer: str, code: str) -> None:
    refused = world.api.post("lender", "/v1/survey-rules", {**RULES, **changes})
    [fault] = body_of(refused)["errors"]
    assert (refused.status_code, fault["pointer"], fault["code"]) == (422, pointer, code)


def test_rules_without_occasions_end_the_asking(world: World) -> None:
    world.rules()
    world.rules(occasions=[], texts=[])
    world.keep_promise()
    assert world.all("waiting") == []


def test_strangers_learn_nothing(world: World) -> None:
    world.rules()
    world.asked()
    identity = world.one()["id"]
    for path in ("/v1/survey-rules", "/v1/survey-rules/1", "/v1/surveys", f"/v1/surveys/{identity}"):
        assert world.api.get("agency", path).status_code == 403
        assert world.api.get("collector", path).status_code == 403
    assert world.api.get("other-lender", f"/v1/surveys/{identity}").status_code == 404
    assert world.api.get("other-lender", "/v1/survey-rules/1").status_code == 404
    assert body_of(world.api.get("other-lender", "/v1/surveys"))["items"] == []
    assert world.api.post("agency", "/v1/survey-rules", RULES).status_code == 403


# Drawing and asking


def test_a_kept_promise_is_asked_about_a_day_later_through_the_gate_and_answered(world: World) -> None:
    world.rules()
    world.keep_promise()
    drawn = world.one()
    assert (drawn["status"], drawn["trigger"], drawn["agency"], drawn["message"]) == (
        "waiting", "promise_kept", AGENCY, None,
    )  # fmt: skip
    world.tick(hours=23, minutes=59)
    assert world.one()["status"] == "waiting"
    world.tick(minutes=1)
    asked = world.one()
    assert (asked["status"], asked["channel"]) == ("asked", "sms")
    message = world.store.attempt(SCOPE, asked["message"])
    assert message is not None
    assert (message.purpose, message.org, message.collector) == ("survey", LENDER, "staff-1")
    assert world.carrier.sent == [], "nothing leaves without a ruling"
    assert world.check(asked["message"]).state.value == "approved"
    world.send(asked["message"])
    [outbound] = world.carrier.sent
    assert "1至5" in outbound.body
    assert world.one()["status"] == "sent"
    world.reply("５")
    answered = world.one()
    assert (answered["status"], answered["score"], answered["answers"]) == ("answered", 5, 1)
    [item] = body_of(world.api.get("lender", "/v1/feedback?status=closed"))["items"]
    assert (item["kind"], item["score"], item["outcome"], item["due_at"]) == ("survey", 5, "recorded", None)
    assert (item["case"], item["agency"], item["channel"]) == ("case_0", AGENCY, "sms")
    day = "2026-11-24"
    assert world.counts() == {
        f"{AGENCY}|{day}|surveys_sent": 1, f"{AGENCY}|{day}|surveys_answered": 1, f"{AGENCY}|{day}|surveys_good": 1,
    }  # fmt: skip


def test_every_event_twice_changes_nothing(world: World) -> None:
    world.rules()
    world.asked()
    world.reply("2，太吵")
    before = sorted(str(item.serialize()) for table in (Record, View) for item in table.scan())
    world.play(world.events())
    assert sorted(str(item.serialize()) for table in (Record, View) for item in table.scan()) == before


def test_nobody_is_drawn_again_who_was_asked_within_90_days(world: World) -> None:
    world.rules()
    world.asked()
    world.speak()
    world.keep_promise("case_1")
    assert world.all("waiting") == []


def test_of_two_surveys_at_once_the_gate_lets_one_out(world: World) -> None:
    world.rules()
    world.keep_promise("case_0")
    world.keep_promise("case_1")
    world.tick(hours=24)
    first, second = (str(each["message"]) for each in world.all("asked"))
    assert world.check(first).state.value == "approved"
    put_off = world.check(second)
    assert (put_off.state.value, put_off.reason) == ("deferred", "CN-HOUSE-SURVEY")
    world.send(first)
    world.tick(hours=73)
    assert [each["reason"] for each in world.all("not_sent")] == ["expired"]
    assert len(world.carrier.sent) == 1


def test_a_hold_that_came_meanwhile_refuses_the_survey(world: World) -> None:
    world.rules()
    world.keep_promise()
    hold = {"kind": "hardship", "person": PERSON, "reason": "lost the job"}
    made = world.api.post("agency", "/v1/cases/case_0/holds", hold)
    assert made.status_code == 201, made.body
    world.deliver()
    world.tick(hours=24)
    refused = world.one()
    assert (refused["status"], refused["message"]) == ("not_sent", None)
    assert refused["reason"] in ("held", "case_state")


def test_the_law_of_a_place_has_the_last_word_on_a_settled_case(world: World) -> None:
    """In China a settled debt ends all contact (CN-STOP-1), so the wish is written down and denied."""
    world.rules()
    world.settle()
    world.tick(hours=24)
    asked = world.one()
    assert (asked["trigger"], asked["status"]) == ("case_settled", "asked")
    assert world.check(asked["message"]).state.value == "denied"
    assert (world.one()["status"], world.one()["reason"]) == ("not_sent", "denied")


def test_who_once_said_stop_on_a_channel_is_not_asked_there(world: World) -> None:
    world.rules()
    world.reply("退订")
    world.keep_promise()
    world.tick(hours=24)
    assert (world.one()["status"], world.one()["reason"]) == ("not_sent", "no_text")


def test_a_run_that_stopped_before_its_note_asks_once(world: World) -> None:
    class Stopping(SurveyRepository):
        def record(self, survey: Survey) -> Record:
            if survey.status is SurveyState.ASKED:
                raise _Stopped
            return super().record(survey)

    world.rules()
    world.keep_promise()
    world.now += timedelta(hours=24)
    ports, identity = wiring.survey_ports(), world.one()["id"]
    with pytest.raises(_Stopped):
        surveys.look(surveys.SurveyPorts(ports.store, Stopping()), SCOPE, identity, now=world.now)
    assert world.one()["status"] == "waiting"
    world.check(f"msg_{identity.removeprefix('srv_')}")
    world.tick(minutes=1)
    assert world.one()["status"] == "asked"
    assert len(world.told("contact.requested")) == 1


class _Stopped(Exception):
    """The run ends here, as by a timeout."""


# Answers


def test_a_low_score_opens_feedback_with_48_hours_and_its_words_are_sealed(world: World) -> None:
    world.rules()
    world.asked()
    world.reply(f"1，{WORDS}")
    kept = [str(item.serialize()) for table in (Record, View) for item in table.scan()]
    assert not any("半夜" in text or WORDS in text for text in kept)
    assert all("半夜" not in str(event.data) for event in world.events())
    [item] = body_of(world.api.get("lender", "/v1/feedback"))["items"]
    assert (item["kind"], item["score"], item["status"]) == ("survey", 1, "open")
    hours = timedelta(hours=48)
    assert item["due_at"] == (world.now + hours).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    read = body_of(world.api.get("officer", f"/v1/feedback/{item['id']}"))
    assert WORDS in read["steps"][0]["text"]
    assert "13812345678" not in body_of(world.api.get("lender", f"/v1/feedback/{item['id']}"))["steps"][0]["text"]
    assert [event.data["duty_kind"] for event in world.told("duty.opened")] == ["feedback_answer"]


def test_the_first_answer_counts_and_a_second_one_is_kept(world: World) -> None:
    world.rules()
    world.asked()
    world.reply("4")
    world.reply("1。不好")
    survey = world.one()
    assert (survey["status"], survey["score"], survey["answers"]) == ("answered", 4, 2)
    assert [event.data["counted"] for event in world.told("survey.answered")] == [True, False]
    [item] = body_of(world.api.get("lender", "/v1/feedback"))["items"]
    assert (item["score"], item["status"]) == (None, "open"), "nobody's low score is lost, and none counts twice"
    world.reply("2")
    assert len(body_of(world.api.get("lender", "/v1/feedback"))["items"]) == 1, "one clock a survey"
    [name] = [name for name in world.counts() if name.endswith("surveys_answered")]
    assert world.counts()[name] == 1


def test_who_does_not_answer_has_no_score_and_a_late_answer_counts_nowhere(world: World) -> None:
    world.rules()
    world.asked()
    world.tick(days=13, hours=23)
    assert world.one()["status"] == "sent"
    world.tick(hours=1)
    lapsed = world.one()
    assert (lapsed["status"], lapsed["score"], lapsed["reason"]) == ("lapsed", None, "no_answer")
    assert body_of(world.api.get("lender", "/v1/feedback?status=closed"))["items"] == []
    world.reply("5")
    assert (world.one()["status"], world.one()["score"]) == ("lapsed", None)
    assert [event.data["counted"] for event in world.told("survey.answered")] == [False]
    assert not any(name.endswith(("surveys_answered", "surveys_good")) for name in world.counts())
    world.reply("1")
    assert len(body_of(world.api.get("lender", "/v1/feedback"))["items"]) == 1


def test_an_answer_may_overtake_the_word_of_the_carrier(world: World) -> None:
    world.rules()
    world.keep_promise()
    world.tick(hours=24)
    message = str(world.one()["message"])
    world.check(message)
    seen = set(world.seen)
    told: dict[str, Any] = {"clock": lambda: world.now, "req": "req_send"}
    verified: Any = lambda approval, **expected: approvals.Valid()  # noqa: E731
    dispatch.dispatch(world.store, {"sms": world.carrier}, verified, SCOPE, message, **told)
    late = [event for event in world.events() if event.id not in seen]
    world.seen |= {event.id for event in late}
    world.reply("3")
    world.play(late)
    assert (world.one()["status"], world.one()["score"]) == ("answered", 3)
    assert [event.type.value for event in world.told("survey.")] == [
        "survey.drawn", "survey.sent", "survey.answered",
    ]  # fmt: skip


def test_what_could_not_be_delivered_was_not_sent(world: World) -> None:
    world.rules()
    message = world.asked()
    assert list(world.counts().values()) == [1]
    world.report(message, "failed")
    assert (world.one()["status"], world.one()["reason"]) == ("not_sent", "undelivered")
    assert world.counts() == {}


def test_a_stop_in_answer_stops_and_is_no_score(world: World) -> None:
    world.rules()
    world.asked()
    world.reply("TD")
    assert world.one()["status"] == "sent"
    ledger = world.store.ledger(SCOPE, PERSON)
    assert any(entry.event == "stop_medium" for entry in ledger.consents)


def test_a_complaint_in_answer_has_one_clock(world: World) -> None:
    world.rules()
    world.asked()
    world.reply("1，我要投诉")
    assert world.one()["score"] == 1
    [item] = body_of(world.api.get("lender", "/v1/feedback"))["items"]
    assert item["kind"] == "complaint"
    [scored] = body_of(world.api.get("lender", "/v1/feedback?status=closed"))["items"]
    assert (scored["kind"], scored["score"]) == ("survey", 1)


def test_a_digit_from_one_who_was_not_asked_is_a_message(world: World) -> None:
    world.rules()
    world.reply("5")
    world.keep_promise()
    world.reply("5")
    assert world.told("survey.answered") == []


def test_surveys_are_listed_page_by_page(world: World, store: Store) -> None:
    world.rules(occasions=[{**RULES["occasions"][0], "wait_hours": 720}])
    for case in ("case_0", "case_1", "case_2"):
        world.keep_promise(case)
        world.now += timedelta(minutes=1)
    first = body_of(world.api.get("officer", "/v1/surveys?status=waiting&limit=2"))
    rest = body_of(world.api.get("officer", f"/v1/surveys?status=waiting&limit=2&cursor={first['next_cursor']}"))
    assert [each["case"] for each in first["items"] + rest["items"]] == ["case_0", "case_1", "case_2"]
    assert rest["next_cursor"] is None
