"""Legal-risk events from end to end: raised by people and by what happened, judged by two people, put right, closed, listed."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from chalicelib import wiring
from chalicelib.domain import keys
from chalicelib.domain.events import Event, EventType
from chalicelib.domain.instants import to_text
from chalicelib.domain.kpi.counters import effect
from chalicelib.domain.kpi.past import Past
from chalicelib.store.repository import Store, event_of
from chalicelib.store.tables import Record, View
from chalicelib.usecases import feedback, risks
from tests.builders import AGENCY, COLLECTOR, LENDER, NOW, PERSON, TEST_ACTOR, Scope
from tests.flows.test_cases_api import OTHER_AGENCY, Api, api, body_of

__all__ = ["api"]

SCOPE = Scope(LENDER)
PATH = "/v1/risk-events"
WORDS = "录音里他威胁债务人，电话13812345678"
ENTRY = {"line": "threat", "source": "audit", "text": WORDS, "case": "case_0"}
BREACH = {"finding": "breach", "root_cause": "individual_conduct", "text": "listened to the tape"}
NONE = {"finding": "no_breach", "text": "nothing of it is on the tape"}
AGREES, DISAGREES = ({"agrees": agrees, "text": "listened to it too"} for agrees in (True, False))
ACTION = {"measure": "retraining", "owner": AGENCY, "due_at": to_text(NOW + timedelta(days=5)), "text": "course again"}
DONE = {"text": "sat the course and passed", "evidence_sha256": "5" * 64}


class World:
    """The API with its stream and clock played by hand."""

    def __init__(self, api: Api, store: Store, patch: pytest.MonkeyPatch) -> None:
        self.api, self.store, self.now = api, store, NOW
        self.seen: set[str] = set()
        patch.setattr(wiring, "now", lambda: self.now)
        self.deliver()

    def events(self, prefix: str = "risk_event.") -> list[Event]:
        items = [item for item in Record.scan() if item.e is not None]
        found = [event_of(item.e, tenant=keys.tenant_of(item.pk)) for item in items]
        found.sort(key=lambda event: (event.at, event.stream, event.seq))
        return [event for event in found if event.type.value.startswith(prefix)]

    def deliver(self) -> None:
        """Play new events until none is new."""
        while fresh := [event for event in self.events("") if event.id not in self.seen]:
            self.seen |= {event.id for event in fresh}
            told: dict[str, Any] = {"scope_for": Scope, "now": self.now}
            assert feedback.project_feedback(wiring.feedback_ports(), fresh, **told) == []
            self.project(fresh)

    def project(self, events: list[Event]) -> None:
        assert risks.project_risks(wiring.risk_ports(), events, scope_for=Scope) == []

    def raised(self, token: str = "officer", **changes: Any) -> Any:
        made = self.api.post(token, PATH, {**ENTRY, **changes})
        self.deliver()
        return made

    def act(self, risk: str, what: str, body: Any, token: str = "officer", **headers: str) -> Any:
        self.now += timedelta(minutes=1)
        done = self.api.post(token, f"{PATH}/{risk}/{what}", body, **headers)
        self.deliver()
        return done

    def confirmed(self) -> str:
        risk = str(body_of(self.raised())["id"])
        assert self.act(risk, "findings", BREACH).status_code == 201
        assert self.act(risk, "opinions", AGREES, "counsel").status_code == 201
        return risk

    def read(self, risk: str, token: str = "officer") -> Any:
        return body_of(self.api.get(token, f"{PATH}/{risk}"))

    def listed(self, query: str = "") -> list[str]:
        return [item["id"] for item in body_of(self.api.get("lender", f"{PATH}{query}"))["items"]]

    def denied(self, number: int, *, org: str = AGENCY, case: str = "case_1", at: timedelta = timedelta(0)) -> None:
        """Let the gate deny a contact."""
        unit = self.store.unit(SCOPE, actor=TEST_ACTOR, req="req_gate", now=NOW + at)
        data = {"contact": f"msg_{org}_{number}", "person": PERSON, "org": org, "collector": COLLECTOR, "agency": org}
        decision = {"outcome": "deny", "ruleset": "ab" * 32, "reasons": ["CN-STOP-1"], "inputs": "cd" * 32}
        unit.emit(keys.case_pk(LENDER, case), EventType.CONTACT_DECIDED, data, decision=decision)
        unit.commit()
        self.deliver()


@pytest.fixture
def world(api: Api, store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    yield World(api, store, monkeypatch)


def _code(answer: Any) -> tuple[int, str]:
    body = body_of(answer)
    return answer.status_code, (body.get("errors") or [body])[0].get("code", "")


# Its whole life


def test_an_event_is_raised_found_confirmed_put_right_and_closed(world: World) -> None:
    made = body_of(world.raised())
    assert (made["status"], made["severity"], made["agency"], made["person"]) == ("raised", "critical", AGENCY, PERSON)
    assert made["due_at"] == to_text(NOW + timedelta(hours=24))
    risk = made["id"]
    found = body_of(world.act(risk, "findings", {**BREACH, "line": "third_party", "severity": "high"}))
    # What one person found changes nothing yet.
    assert (found["status"], found["line"], found["severity"], found["root_cause"]) == (
        *("breach_found", "threat", "critical", None),
    )
    confirmed = body_of(world.act(risk, "opinions", AGREES, "counsel"))
    assert (confirmed["status"], confirmed["line"], confirmed["severity"]) == ("confirmed", "third_party", "high")
    assert confirmed["root_cause"] == "individual_conduct"
    assert confirmed["due_at"] == to_text(world.now + timedelta(hours=72))
    acting = body_of(world.act(risk, "actions", ACTION, "lender"))
    assert (acting["status"], acting["due_at"]) == ("acting", ACTION["due_at"])
    assert body_of(world.act(risk, "actions/results", DONE, "lender"))["status"] == "done"
    back = body_of(world.act(risk, "closures", {"accepts": False, "text": "no certificate"}, "officer-2"))
    assert (back["status"], back["action"]["done_by"], back["action"]["evidence_sha256"]) == ("acting", None, None)
    world.act(risk, "actions/results", DONE, "lender")
    closed = body_of(world.act(risk, "closures", {"accepts": True, "text": "seen"}, "officer-2"))
    assert (closed["status"], closed["due_at"], closed["overdue"]) == ("closed", None, False)
    assert [event.type.value.partition(".")[2] for event in world.events()] == [
        *("raised", "found", "confirmed", "action_set", "action_finished", "action_returned", "action_finished"),
        "closed",
    ]


def test_an_event_in_which_two_people_find_nothing_is_dismissed_and_counts_nowhere(world: World) -> None:
    risk = body_of(world.raised())["id"]
    world.act(risk, "findings", NONE)
    gone = body_of(world.act(risk, "opinions", AGREES, "officer-2"))
    assert (gone["status"], gone["due_at"], gone["root_cause"]) == ("dismissed", None, None)
    counted = [effect(event, Past(), zone="Asia/Shanghai").counts for event in world.events()]
    assert "risk_events_confirmed" not in str(counted)
    assert _code(world.act(risk, "findings", BREACH)) == (409, "risk_event_state")


def test_a_confirmation_counts_once_for_the_agency_on_its_day(world: World) -> None:
    risk = world.confirmed()
    [event] = world.events("risk_event.confirmed")
    assert (event.data["risk"], event.data["found_by"], event.actor.id) == (risk, "user-1", "counsel-1")
    [(cell, counts)] = [
        each for each in effect(event, Past(), zone="Asia/Shanghai").counts.items() if each[0].who == AGENCY
    ]
    assert (cell.period, counts) == ("2026-11-23", {"risk_events_confirmed": 1, "risk_points": 25})


def test_a_second_person_who_disagrees_lets_it_be_judged_anew(world: World) -> None:
    risk = body_of(world.raised())["id"]
    world.act(risk, "findings", {**BREACH, "severity": "low"})
    again = body_of(world.act(risk, "opinions", DISAGREES, "counsel"))
    assert (again["status"], again["finding"], again["severity"]) == ("raised", None, "critical")
    # Now whoever disagreed may find, and the first may agree.
    world.act(risk, "findings", BREACH, "counsel")
    assert body_of(world.act(risk, "opinions", AGREES))["status"] == "confirmed"


def test_nobody_confirms_their_own_finding_or_accepts_their_own_action(world: World) -> None:
    risk = body_of(world.raised())["id"]
    world.act(risk, "findings", BREACH)
    for opinion in (AGREES, DISAGREES):
        assert _code(world.act(risk, "opinions", opinion)) == (403, "same_person")
    world.act(risk, "opinions", AGREES, "officer-2")
    world.act(risk, "actions", ACTION)
    world.act(risk, "actions/results", DONE, "officer-2")
    for accepts in (True, False):
        assert _code(world.act(risk, "closures", {"accepts": accepts, "text": "seen"}, "officer-2")) == (
            403,
            "same_person",
        )
    assert body_of(world.act(risk, "closures", {"accepts": True, "text": "seen"}))["status"] == "closed"


# Who, whose, when


def test_who_may_do_what(world: World) -> None:
    for token in ("agency", "collector", "platform"):
        assert world.raised(token).status_code == 403
        assert world.api.get(token, PATH).status_code == 403
        assert world.api.get(token, "/v1/risk-register").status_code == 403
    for token in ("lender", "officer", "counsel"):
        assert world.raised(token).status_code == 201
    risk = body_of(world.raised())["id"]
    assert world.act(risk, "findings", BREACH, "lender").status_code == 403
    world.act(risk, "findings", BREACH)
    assert world.act(risk, "opinions", AGREES, "lender").status_code == 403
    world.act(risk, "opinions", AGREES, "counsel")
    assert world.act(risk, "actions", ACTION, "counsel").status_code == 403
    world.act(risk, "actions", ACTION, "lender")
    assert world.act(risk, "actions/results", DONE, "counsel").status_code == 403
    world.act(risk, "actions/results", DONE, "lender")
    assert world.act(risk, "closures", {"accepts": True, "text": "seen"}, "lender").status_code == 403


def test_another_lenders_event_is_no_event(world: World) -> None:
    risk = world.confirmed()
    assert world.api.get("other-lender", f"{PATH}/{risk}").status_code == 404
    assert body_of(world.api.get("other-lender", PATH))["items"] == []
    for what, body in (("findings", BREACH), ("opinions", AGREES), ("actions", ACTION), ("actions/results", DONE)):
        assert world.act(risk, what, body, "other-officer").status_code == 404
    assert world.act(risk, "closures", {"accepts": True, "text": "x."}, "other-officer").status_code == 404
    assert world.raised("other-officer").status_code == 404


def test_each_step_is_refused_in_the_wrong_state_and_on_another_version(world: World) -> None:
    risk = body_of(world.raised())["id"]
    for what, body in (("opinions", AGREES), ("actions", ACTION), ("actions/results", DONE)):
        assert _code(world.act(risk, what, body)) == (409, "risk_event_state")
    assert _code(world.act(risk, "closures", {"accepts": True, "text": "seen"})) == (409, "risk_event_state")
    assert world.act(risk, "findings", BREACH, If_Match='"7"').status_code == 412
    assert world.act(risk, "findings", BREACH, If_Match='"1"').status_code == 201
    assert _code(world.act(risk, "findings", BREACH, "counsel")) == (409, "risk_event_state")


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"line": "unheard_of"}, 422, "unknown_line"),
        ({"source": "duty"}, 422, "literal_error"),
        ({"case": None}, 422, "required"),
        ({"case": "case_none"}, 404, ""),
        ({"person": "per_none"}, 404, ""),
        ({"case": None, "person": "per_none"}, 404, ""),
        ({"agency": "agency-none"}, 404, ""),
        ({"collector": "col-none"}, 404, ""),
        ({"contact": "msg_none"}, 404, ""),
    ],
)
def test_what_cannot_be_raised(world: World, changes: dict[str, Any], status: int, code: str) -> None:
    answer = world.raised(**changes)
    assert answer.status_code == status
    assert not code or _code(answer)[1] == code
    assert world.events() == []


@pytest.mark.parametrize(
    ("what", "body", "code"),
    [
        ("findings", {**BREACH, "root_cause": None}, "required"),
        ("findings", {**BREACH, "root_cause": "unheard_of"}, "unknown_root_cause"),
        ("findings", {**BREACH, "line": "unheard_of"}, "unknown_line"),
        ("actions", {**ACTION, "measure": "unheard_of"}, "unknown_measure"),
        ("actions", {**ACTION, "due_at": to_text(NOW)}, "in_the_past"),
    ],
)
def test_what_the_register_does_not_know_is_refused(world: World, what: str, body: Any, code: str) -> None:
    risk = body_of(world.raised())["id"]
    assert _code(world.act(risk, what, body)) == (422, code)


# Words


def test_words_are_sealed_and_shown_by_role(world: World) -> None:
    risk = body_of(world.raised())["id"]
    kept = [str(item.serialize()) for table in (Record, View) for item in table.scan()]
    assert not any(WORDS in text or "威胁债务人" in text for text in kept)
    assert world.read(risk, "officer")["steps"][0]["text"] == WORDS
    assert world.read(risk, "lender")["steps"][0]["text"] == "录音里他威胁债务人，电话*******5678"


def test_words_about_an_agency_alone_are_kept_masked(world: World) -> None:
    made = body_of(world.raised(line="agency_management", case=None, agency=AGENCY))
    assert (made["person"], made["severity"]) == (None, "low")
    [event] = world.events()
    assert (event.stream, event.sealed) == (AGENCY, None)
    assert world.read(made["id"])["steps"][0]["text"] == "录音里他威胁债务人，电话*******5678"


def test_what_is_written_after_a_person_was_erased_is_kept_nowhere(world: World, store: Store) -> None:
    risk = body_of(world.raised())["id"]
    # The keys that the API has at hand go with them.
    unit = wiring.store().unit(SCOPE, actor=TEST_ACTOR, req="req_erase", now=NOW)
    unit.destroy_keys(PERSON, ["ops", "evidence"])
    person = store.person(SCOPE, PERSON)
    assert person is not None
    unit.replace(store.erased_person_record(SCOPE, person), expected=person.version)
    unit.commit()
    assert world.act(risk, "findings", BREACH).status_code == 201
    assert [step["text"] for step in world.read(risk)["steps"]] == [None, None]
    assert body_of(world.act(risk, "opinions", AGREES, "counsel"))["status"] == "confirmed"


# What the system raises


def _complain(world: World, **closure: Any) -> None:
    said = {"kind": "complaint", "source": "customer", "text": "骂人了", "case": "case_0", "collector": COLLECTOR}
    item = body_of(world.api.post("lender", "/v1/feedback", said))["id"]
    world.deliver()
    path = f"/v1/feedback/{item}"
    assert world.api.post("officer", f"{path}/answers", {"text": "we are sorry"}).status_code == 201
    over = {"outcome": "upheld", "root_cause": "conduct", "text": "true", **closure}
    assert world.api.post("officer", f"{path}/closures", over).status_code == 201
    world.deliver()


@pytest.mark.parametrize(
    ("closure", "line"),
    [
        ({}, "complaint_upheld"),
        ({"outcome": "partly_upheld", "root_cause": "contact_frequency"}, "contact_frequency"),
        ({"root_cause": "disclosure"}, "third_party"),
        ({"outcome": "not_upheld"}, None),
    ],
)
def test_a_complaint_that_was_upheld_is_raised_once(world: World, closure: dict[str, Any], line: str | None) -> None:
    _complain(world, **closure)
    world.project(world.events(""))
    assert [event.data["line"] for event in world.events()] == ([] if line is None else [line])
    if line is not None:
        [risk] = world.listed()
        told = world.read(risk)
        assert (told["source"], told["collector"], told["subject"][:3]) == ("complaint", COLLECTOR, "fb_")


def test_contacts_that_are_denied_again_and_again_are_raised_once_a_day(world: World) -> None:
    for number in range(4):
        world.denied(number)
    world.denied(3)
    assert world.events() == []
    world.denied(4)
    world.denied(5)
    [event] = world.events()
    assert (event.data["line"], event.data["agency"], event.data["contact"]) == ("pressing", AGENCY, "msg_agency-a_4")
    world.project(world.events(""))
    assert len(world.events()) == 1


def test_denials_of_other_days_cases_and_agencies_and_the_lenders_own_are_not_added_up(world: World) -> None:
    for number in range(4):
        world.denied(number)
        world.denied(10 + number, case="case_2")
        world.denied(20 + number, org=OTHER_AGENCY)
        # 16:00 UTC is the next day in Shanghai.
        world.denied(30 + number, at=timedelta(hours=14))
    for number in range(9):
        world.denied(40 + number, org=LENDER)
    assert world.events() == []


# Lists


def test_lists_follow_the_status_and_the_agency(world: World, store: Store) -> None:
    open_one = body_of(world.raised())["id"]
    world.now += timedelta(minutes=1)
    other = body_of(world.raised(case=None, agency=OTHER_AGENCY))["id"]
    world.now += timedelta(minutes=1)
    confirmed = world.confirmed()
    assert world.listed() == [open_one, other, confirmed]
    assert world.listed("?status=undecided") == [open_one, other]
    assert world.listed("?status=confirmed") == [confirmed]
    assert world.listed(f"?agency={OTHER_AGENCY}") == [other]
    world.act(other, "findings", NONE)
    world.act(other, "opinions", AGREES, "counsel")
    assert world.listed() == [open_one, confirmed]
    assert world.listed("?status=dismissed") == [other]
    first = body_of(world.api.get("lender", f"{PATH}?limit=1"))
    assert [item["id"] for item in first["items"]] == [open_one]
    second = body_of(world.api.get("lender", f"{PATH}?limit=1&cursor={first['next_cursor']}"))
    assert [item["id"] for item in second["items"]] == [confirmed]


def test_an_event_is_overdue_from_its_hour_on(world: World) -> None:
    risk = body_of(world.raised())["id"]
    world.now = NOW + timedelta(hours=24) - timedelta(milliseconds=1)
    assert not world.read(risk)["overdue"]
    world.now = NOW + timedelta(hours=24)
    assert world.read(risk)["overdue"]


# The register


def test_the_register_is_read_with_its_law_in_two_languages(world: World) -> None:
    told = body_of(world.api.get("counsel", "/v1/risk-register"))
    lines = {line["id"]: line for line in told["lines"]}
    assert lines["threat"]["kind"] == "red_line" and "CN-BAN-2" in lines["threat"]["rows"]
    assert set(lines["threat"]["name"]) == set(lines["threat"]["text"]) == {"zh", "en"}
    assert [level["id"] for level in told["levels"]] == ["low", "medium", "high", "critical"]
    assert {each["id"] for each in told["root_causes"]} >= {"training", "intent"}


def test_a_repeated_request_raises_it_once(world: World) -> None:
    first = world.raised(token="officer")
    again = world.api.post("officer", PATH, ENTRY, Idempotency_Key="key-x")
    same = world.api.post("officer", PATH, ENTRY, Idempotency_Key="key-x")
    assert body_of(again)["id"] == body_of(same)["id"] != body_of(first)["id"]
