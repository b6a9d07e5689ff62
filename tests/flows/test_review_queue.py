"""Counsel's queue from end to end: what comes on it, what leaves it, by when, and who may decide."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from chalicelib import wiring
from chalicelib.domain import keys
from chalicelib.domain.events import Event, EventType
from chalicelib.domain.instants import to_text
from chalicelib.domain.outreach.attempt import AttemptState
from chalicelib.domain.risk.queue import Kind, terms
from chalicelib.store.repository import Store, event_of
from chalicelib.store.tables import Record, View
from chalicelib.usecases import review_queue
from tests.builders import AGENCY, LENDER, NOW, PERSON, TEST_ACTOR, Scope, a_course, a_strategy, an_attempt, stored
from tests.flows.test_cases_api import Api, api, body_of
from tests.flows.test_house_rules import DRAFT as HOUSE_RULES
from tests.flows.test_risk_events import AGREES, BREACH, DISAGREES, ENTRY, NONE
from tests.flows.test_templates_api import CONTENT

__all__ = ["api"]

SCOPE = Scope(LENDER)
PATH = "/v1/review-queue"
WHY = {"reason": "read as a whole and found lawful"}


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
        return sorted(found, key=lambda event: (event.at, event.stream, event.seq))

    def deliver(self) -> None:
        fresh = [event for event in self.events() if event.id not in self.seen]
        self.seen |= {event.id for event in fresh}
        self.project(fresh)

    def project(self, events: list[Event]) -> None:
        assert review_queue.project_queue(wiring.review_queue_ports(), events, scope_for=Scope) == []

    def post(self, token: str, path: str, body: Any) -> Any:
        self.now += timedelta(minutes=1)
        made = self.api.post(token, path, body)
        assert made.status_code == 201, made.body
        self.deliver()
        return body_of(made)

    def listed(self, query: str = "", token: str = "counsel") -> list[Any]:
        return list(body_of(self.api.get(token, f"{PATH}{query}"))["items"])

    def waits(self, query: str = "") -> list[tuple[str, str, int | None]]:
        return [(each["kind"], each["id"], each["number"]) for each in self.listed(query)]

    def decided(self, contact: str, outcome: str, state: AttemptState) -> None:
        """Let the gate rule on a contact."""
        attempt = an_attempt(id=contact, case="case_0", state=state, expires_at=to_text(NOW + timedelta(hours=6)))
        stored(self.store, attempt)
        data = {"contact": contact, "person": PERSON, "org": AGENCY, "collector": None, "agency": AGENCY}
        decision = {"outcome": outcome, "ruleset": "ab" * 32, "reasons": ["CN-BAN-5"], "inputs": "cd" * 32}
        self.tell(EventType.CONTACT_DECIDED, data, decision=decision)

    def tell(self, kind: EventType, data: dict[str, Any], **more: Any) -> None:
        unit = self.store.unit(SCOPE, actor=TEST_ACTOR, req="req_gate", now=NOW)
        unit.emit(keys.case_pk(LENDER, "case_0"), kind, data, **more)
        unit.commit()
        self.deliver()


@pytest.fixture
def world(api: Api, store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    yield World(api, store, monkeypatch)


DRAFTS: list[tuple[str, str, Any, tuple[str, str, int], str]] = [
    (
        *("template", "/v1/templates", {"id": "cn-sms-own", "content": CONTENT}, ("template", "cn-sms-own", 1)),
        "/v1/templates/cn-sms-own/versions/1/approvals",
    ),
    (
        *("strategy", "/v1/strategies", {"content": a_strategy().as_json(), "rank": 5}, ("strategy", "early", 1)),
        "/v1/strategies/early/versions/1/approvals",
    ),
    (
        *("house_rules", "/v1/compliance/house-rules", HOUSE_RULES, ("house_rules", HOUSE_RULES["house"], 1)),
        f"/v1/compliance/house-rules/{HOUSE_RULES['house']}/versions/1/approvals",
    ),
    (
        *("survey_rules", "/v1/survey-rules", {"occasions": [], "texts": []}, ("survey_rules", "survey_rules", 1)),
        "/v1/survey-rules/1/approvals",
    ),
    (
        "course",
        "/v1/courses",
        {"course": "law-cn", "subject": "collection_law", "country": "CN", "content": a_course(required=False)},
        ("course", "law-cn", 1),
        "/v1/courses/law-cn/versions/1/decisions",
    ),
]


@pytest.mark.parametrize(("kind", "path", "body", "name", "decisions"), DRAFTS, ids=[each[0] for each in DRAFTS])
@pytest.mark.parametrize("decision", ["approve", "reject"])
def test_a_draft_waits_until_somebody_decides_on_it(
    world: World, kind: str, path: str, body: Any, name: tuple[str, str, int], decisions: str, decision: str
) -> None:
    world.post("lender", path, body)
    hours = terms()[Kind(kind)].hours
    assert hours is not None
    assert world.waits() == world.waits(f"?kind={kind}") == [name]
    [waiting] = world.listed()
    assert waiting["due_at"] == to_text(world.now + timedelta(hours=hours))
    assert (waiting["stage"], waiting["maker"], waiting["overdue"]) == ("decision", "user-1", False)
    other = next(each for each in Kind if each.value != kind)
    assert world.waits(f"?kind={other.value}") == []
    world.post("officer-2", decisions, {"decision": decision, **WHY})
    assert world.waits() == world.waits(f"?kind={kind}") == []
    # What comes again, late and in whatever order, puts nothing back.
    world.project(world.events())
    world.project(list(reversed(world.events())))
    assert world.waits() == world.waits(f"?kind={kind}") == []


def test_who_may_read_it_and_who_may_decide(world: World) -> None:
    world.post("lender", "/v1/templates", {"id": "cn-sms-own", "content": CONTENT})
    world.post("lender", "/v1/courses", DRAFTS[4][2])
    for token in ("lender", "agency", "collector", "platform"):
        assert world.api.get(token, PATH).status_code == 403
    assert world.listed(token="other-officer") == []
    told = {token: {each["kind"]: each["may_decide"] for each in world.listed(token=token)} for token in _READERS}
    # The officer's subject is the maker's; counsel decides on templates and not on courses.
    assert told == {
        "officer": {"template": False, "course": False},
        "officer-2": {"template": True, "course": True},
        "counsel": {"template": True, "course": False},
    }


_READERS = ("officer", "officer-2", "counsel")


def test_a_contact_waits_while_it_is_in_review(world: World) -> None:
    world.decided("msg_1", "review", AttemptState.IN_REVIEW)
    [waiting] = world.listed()
    assert (waiting["kind"], waiting["id"], waiting["case"], waiting["agency"]) == (
        "contact",
        "msg_1",
        "case_0",
        AGENCY,
    )
    assert waiting["due_at"] == to_text(NOW + timedelta(hours=6))
    assert [each["may_decide"] for each in world.listed(token="officer")] == [True]
    assert [each["may_decide"] for each in world.listed(token="counsel")] == [False]
    world.tell(EventType.CONTACT_REQUESTED, {"contact": "msg_1", "review": "approve"})
    assert world.waits() == []
    world.decided("msg_1", "allow", AttemptState.APPROVED)
    assert world.waits() == []


@pytest.mark.parametrize("leaving", [EventType.CONTACT_CANCELLED, EventType.CONTACT_EXPIRED])
def test_a_contact_that_is_over_waits_no_more(world: World, leaving: EventType) -> None:
    world.decided("msg_1", "review", AttemptState.IN_REVIEW)
    world.tell(leaving, {"contact": "msg_1"})
    assert world.waits() == []


def test_a_contact_that_was_passed_before_the_list_heard_of_it_never_waits(world: World) -> None:
    world.decided("msg_1", "review", AttemptState.REQUESTED)
    assert world.waits() == []


def test_contacts_that_nobody_reviews_leave_no_note(world: World) -> None:
    world.decided("msg_1", "allow", AttemptState.APPROVED)
    world.tell(EventType.CONTACT_CANCELLED, {"contact": "msg_1"})
    assert not [row for row in View.scan() if row.pk.startswith(keys.queued_pk(LENDER)) and "msg_1" in row.sk]


def test_a_legal_risk_event_waits_for_a_finding_and_then_for_another_persons_opinion(world: World) -> None:
    risk = world.post("officer-2", "/v1/risk-events", ENTRY)["id"]
    path = f"/v1/risk-events/{risk}"
    [first] = world.listed()
    assert (first["kind"], first["id"], first["stage"], first["maker"]) == ("risk_event", risk, "finding", None)
    assert first["due_at"] == to_text(world.now + timedelta(hours=24))
    world.post("counsel", f"{path}/findings", BREACH)
    [second] = world.listed()
    assert (second["stage"], second["maker"], second["may_decide"]) == ("opinion", "counsel-1", False)
    assert [each["may_decide"] for each in world.listed(token="officer")] == [True]
    world.post("officer", f"{path}/opinions", DISAGREES)
    assert [each["stage"] for each in world.listed()] == ["finding"]
    world.post("counsel", f"{path}/findings", NONE)
    world.post("officer", f"{path}/opinions", AGREES)
    assert world.waits() == []
    world.project(list(reversed(world.events())))
    assert world.waits() == []


def test_the_list_is_read_by_due_instant_page_by_page(world: World) -> None:
    world.decided("msg_1", "review", AttemptState.IN_REVIEW)
    world.post("lender", "/v1/courses", DRAFTS[4][2])
    world.post("lender", "/v1/templates", {"id": "cn-sms-own", "content": CONTENT})
    assert [name for name, _, _ in world.waits()] == ["contact", "template", "course"]
    first = body_of(world.api.get("counsel", f"{PATH}?limit=2"))
    assert [each["kind"] for each in first["items"]] == ["contact", "template"]
    second = body_of(world.api.get("counsel", f"{PATH}?limit=2&cursor={first['next_cursor']}"))
    assert ([each["kind"] for each in second["items"]], second["next_cursor"]) == (["course"], None)
    world.now = NOW + timedelta(hours=6) - timedelta(milliseconds=1)
    assert world.waits("?overdue=true") == []
    world.now = NOW + timedelta(hours=6)
    assert [name for name, _, _ in world.waits("?overdue=true")] == ["contact"]
    assert [each["overdue"] for each in world.listed()] == [True, False, False]
