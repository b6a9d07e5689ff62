"""Duties from end to end: opened by what happens, discharged by what is done, escalated, lapsed, waived, listed."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from chalicelib import wiring
from chalicelib.domain import keys
from chalicelib.domain.duties.duty import Duty, DutyState
from chalicelib.domain.events import Event, EventType
from chalicelib.domain.instants import to_text
from chalicelib.domain.outreach.attempt import AttemptState
from chalicelib.domain.outreach.provider_events import ProviderEvent
from chalicelib.domain.people.person import ContactEntry, Residence
from chalicelib.store.duty_repository import DutyRepository
from chalicelib.store.feed_repository import FeedRepository
from chalicelib.store.portfolio_repository import PortfolioRepository
from chalicelib.store.repository import Store, event_of
from chalicelib.store.tables import Record, View
from chalicelib.usecases import activities, cases, due, duties, provider_events
from chalicelib.usecases.cases import Caller, Context
from tests.builders import (
    AGENCY,
    CASE,
    COLLECTOR,
    LENDER,
    NOW,
    PERSON,
    TEST_ACTOR,
    Scope,
    a_case,
    a_collector,
    a_ledger,
    a_lender,
    a_person,
    a_point,
    an_agency,
    an_attempt,
    stored,
    stored_ruled,
)
from tests.flows.test_cases_api import OTHER_AGENCY, Api, FakeVerifier, body_of

SCOPE = Scope(LENDER)
LENDERS = Caller(TEST_ACTOR)
AUSTIN = Residence(country="US", region="US-TX", city="Austin", postal_code="73301")
DALLAS = "America/Chicago"


@dataclass
class House:
    """A store with a lender, an agency and a case; its stream is played by hand."""

    store: Store
    now: datetime = NOW
    seen: set[str] = field(default_factory=set)

    @property
    def ports(self) -> duties.DutyPorts:
        return wiring.duty_ports()  # type: ignore[no-any-return]

    @property
    def context(self) -> Context:
        return Context(self.now, "req_1")

    def events(self) -> list[Event]:
        items = [item for item in Record.scan() if item.e is not None]
        found = [event_of(item.e, tenant=keys.tenant_of(item.pk)) for item in items]
        return sorted(found, key=lambda event: (event.at, event.stream, event.seq))

    def types(self) -> list[str]:
        return [event.type.value for event in self.events() if event.type.value.startswith("duty.")]

    def deliver(self) -> None:
        """Play new events until none is new."""
        while fresh := [event for event in self.events() if event.id not in self.seen]:
            self.seen |= {event.id for event in fresh}
            assert duties.project_duties(self.ports, fresh, scope_for=Scope, now=self.now) == []

    def tick(self, **later: int) -> dict[str, int]:
        """Let the clock run, and play what it did."""
        self.now += timedelta(**later)
        report = due.release_due(
            self.store,
            SimpleQueues(),
            Scope,
            wiring.due_handlers(),
            now=self.now,
            req="req_clock",
            on_failure=_raise,
        )
        self.deliver()
        return report.moved

    def duty(self, kind: str) -> Duty:
        found = [duty for duty in self.all() if duty.kind == kind]
        assert len(found) == 1, [duty.kind for duty in self.all()]
        return found[0]

    def all(self) -> list[Duty]:
        ids = [item.pk.rsplit("#", 1)[1] for item in Record.scan() if item.sk == "DUTY"]
        return DutyRepository().many(SCOPE, ids)

    def dispute(self, *, written: bool | None = True) -> str:
        told: dict[str, Any] = {"kind": "dispute", "reason": "not mine", "written": written}
        _, hold = cases.place_hold(self.store, SCOPE, CASE, LENDERS, self.context, **told)
        self.deliver()
        return hold.id

    def complain(self, text: str = "我要投诉") -> None:
        event = ProviderEvent("inbound", "sns", "in-1", recipient="+8613812345678", text=text)
        done = provider_events.receive(
            self.store, SCOPE, event, channel="sms", kind="mobile", clock=lambda: self.now, req="req_in"
        )
        assert done.persons == 1
        self.deliver()


class SimpleQueues:
    def send(self, queue: str, bodies: Any, *, delay_seconds: int = 0) -> None: ...

    def send_grouped(self, queue: str, bodies: Any) -> None: ...


def _raise(key: str, error: Exception) -> None:
    raise error


@pytest.fixture
def house(store: Store, queues: list[str], monkeypatch: pytest.MonkeyPatch) -> House:
    stored(store, a_lender(), an_agency(), a_collector(), a_case(), a_person())
    person = store.person(SCOPE, PERSON)
    assert person is not None
    PortfolioRepository(store).write_points(SCOPE, [person])
    return House(store)


@pytest.fixture
def texan(house: House) -> House:
    """The same case with a borrower in Texas, whose loan is American."""
    point = a_point(zones=(DALLAS,), area_zones=(DALLAS,))
    stored(house.store, a_person(residences=(AUSTIN,), zones=(DALLAS,), points=(point,), version=1))
    stored(house.store, a_case(country="US", region="US-TX", currency="USD"))
    return house


# Opened and discharged by events


def test_a_complaint_opens_its_duties_once_however_often_the_stream_delivers_it(house: House) -> None:
    house.complain()
    kinds = {duty.kind: duty.state for duty in house.all()}
    assert kinds == {
        "complaint_answer": DutyState.OPEN,
        "complaint_acknowledgement": DutyState.OPEN,
        "complaint_forwarding": DutyState.FULFILLED,
        "complaint_first_reply": DutyState.OPEN,
    }
    count = len(house.events())
    house.seen.clear()
    house.deliver()
    assert len(house.events()) == count


def test_the_answer_to_a_complaint_is_due_after_fifteen_local_days(house: House) -> None:
    house.complain()
    answer = house.duty("complaint_answer")
    assert (answer.due_at, answer.owner) == ("2026-12-08T16:00:00.000Z", LENDER)
    assert house.duty("complaint_acknowledgement").due_at == to_text(NOW + timedelta(hours=1))


def test_a_message_that_answers_discharges_what_it_answers_and_not_the_rest(house: House) -> None:
    house.complain()
    sent = an_attempt(purpose="complaint_answer", state=AttemptState.SENT)
    unit = house.store.unit(SCOPE, actor=TEST_ACTOR, req="req_s", now=house.now + timedelta(minutes=5))
    data = {"contact": sent.id, "person": PERSON, "purpose": "complaint_answer", "channel": "sms", "agency": AGENCY}
    stored(house.store, sent)
    unit.emit(keys.case_pk(LENDER, CASE), EventType.CONTACT_SENT, data)
    unit.commit()
    house.deliver()
    assert house.duty("complaint_acknowledgement").state is DutyState.FULFILLED
    assert house.duty("complaint_first_reply").state is DutyState.FULFILLED
    assert house.duty("complaint_answer").state is DutyState.OPEN
    fulfilled = [e for e in house.events() if e.type is EventType.DUTY_FULFILLED and e.data["evidence"] == "message"]
    assert {event.data["reference"] for event in fulfilled} == {sent.id}
    assert all(event.data["late"] is False for event in fulfilled)


def test_a_written_dispute_in_texas_opens_federal_and_state_clocks(texan: House) -> None:
    hold = texan.dispute()
    assert {duty.rule for duty in texan.all()} == {"US-REGF-DISPUTE", "US-FCRA-DISPUTE", "US-TX-DISPUTE"}
    answer = texan.duty("dispute_answer")
    # 20:00 on 22 November in Austin; thirty days on, the day ends at midnight there.
    assert (answer.due_at, answer.owner, answer.subject) == ("2026-12-23T06:00:00.000Z", AGENCY, hold)
    assert texan.duty("dispute_investigation").owner == LENDER
    cases.release_hold(texan.store, SCOPE, CASE, hold, LENDERS, texan.context, reason="verified")
    texan.deliver()
    assert {duty.state for duty in texan.all()} == {DutyState.FULFILLED}


def test_another_hold_that_ends_discharges_nothing(texan: House) -> None:
    texan.dispute()
    _, other = cases.place_hold(
        texan.store, SCOPE, CASE, LENDERS, texan.context, kind="hardship", reason="lost the job"
    )
    cases.release_hold(texan.store, SCOPE, CASE, other.id, LENDERS, texan.context, reason="over")
    texan.deliver()
    assert {duty.state for duty in texan.all()} == {DutyState.OPEN}


def test_whether_it_was_written_is_a_doubt_when_nobody_says(texan: House) -> None:
    texan.dispute(written=None)
    assert texan.duty("dispute_answer").doubts == ("written",)
    assert texan.duty("dispute_investigation").doubts == ()


def test_a_release_that_came_before_the_duty_was_seen_still_discharges_it(texan: House) -> None:
    told: dict[str, Any] = {"kind": "dispute", "reason": "not mine", "written": True}
    _, hold = cases.place_hold(texan.store, SCOPE, CASE, LENDERS, texan.context, **told)
    cases.release_hold(texan.store, SCOPE, CASE, hold.id, LENDERS, texan.context, reason="verified")
    placed = [event for event in texan.events() if event.type is EventType.HOLD_PLACED]
    duties.project_duties(texan.ports, placed, scope_for=Scope, now=texan.now)
    assert {duty.state for duty in texan.all()} == {DutyState.FULFILLED}


def _act(house: House, obligations: list[dict[str, Any]], kind: EventType, **data: Any) -> None:
    ruling = {"verdict": "allow", "rules": [], "obligations": obligations}
    stored_ruled(house.store, an_attempt(state=AttemptState.SENT), ruling)
    unit = house.store.unit(SCOPE, actor=TEST_ACTOR, req="req_s", now=house.now)
    told = {"contact": "msg_1", "person": PERSON, "purpose": "demand", "channel": "sms", "agency": AGENCY, **data}
    unit.emit(keys.case_pk(LENDER, CASE), kind, told)
    unit.commit()
    house.deliver()


OBLIGED = [{"rule": "US-REGF-VALID-5D", "due": "2026-11-28T06:00:00Z", "what": ["validation_information"]}]


def test_an_act_that_was_done_creates_the_obligations_of_its_ruling(texan: House) -> None:
    _act(texan, OBLIGED, EventType.CONTACT_SENT)
    notice = texan.duty("validation_notice")
    assert (notice.due_at, notice.owner, notice.case) == ("2026-11-28T06:00:00.000Z", AGENCY, CASE)
    _act(texan, OBLIGED, EventType.CONTACT_DELIVERED, outcome=None)
    assert len(texan.all()) == 1
    _act(texan, [], EventType.CONTACT_SENT, purpose="validation_notice")
    assert texan.duty("validation_notice").state is DutyState.FULFILLED


def test_a_call_that_was_never_made_creates_none(texan: House) -> None:
    _act(texan, OBLIGED, EventType.CONTACT_REPORTED, outcome="not_made")
    assert texan.all() == []


def test_a_notice_in_the_same_batch_as_the_act_that_calls_for_it_discharges(texan: House) -> None:
    ruling = {"verdict": "allow", "rules": [], "obligations": OBLIGED}
    stored_ruled(texan.store, an_attempt(state=AttemptState.SENT), ruling)
    unit = texan.store.unit(SCOPE, actor=TEST_ACTOR, req="req_s", now=texan.now)
    for contact, purpose in (("msg_1", "demand"), ("msg_2", "validation_notice")):
        told = {"contact": contact, "person": PERSON, "purpose": purpose, "channel": "sms", "agency": AGENCY}
        unit.emit(keys.case_pk(LENDER, CASE), EventType.CONTACT_SENT, told)
    unit.commit()
    texan.deliver()
    assert texan.duty("validation_notice").state is DutyState.FULFILLED


def test_a_notice_that_the_ledger_holds_discharges_a_duty_that_is_seen_late(texan: House) -> None:
    entry = ContactEntry(
        id="msg_2",
        at="2026-11-23T02:05:00Z",
        direction="out",
        channel="letter",
        party=PERSON,
        purpose="validation_notice",
        outcome="sent",
    )
    stored(texan.store, a_ledger(history=(entry,)))
    _act(texan, OBLIGED, EventType.CONTACT_SENT)
    assert texan.duty("validation_notice").state is DutyState.FULFILLED


def test_a_settled_case_is_owed_no_notice(texan: House) -> None:
    _act(texan, OBLIGED, EventType.CONTACT_SENT)
    cases.transition(texan.store, SCOPE, CASE, LENDERS, texan.context, event="settle", reason="PAID_FULL")
    texan.deliver()
    assert texan.duty("validation_notice").state is DutyState.FULFILLED


def test_an_opt_out_is_on_record_as_honoured_within_its_business_days(texan: House) -> None:
    caller = Caller(TEST_ACTOR, AGENCY, COLLECTOR)
    report = activities.Report(code="OPTOUT", channel="sms", person=PERSON, at=texan.now, point="pt_1")
    activities.record_activity(texan.store, SCOPE, CASE, report, caller, texan.context)
    texan.deliver()
    honoured = texan.duty("revocation_honoured")
    assert (honoured.state, honoured.due_at) == (DutyState.FULFILLED, "2026-12-08T06:00:00.000Z")
    assert texan.store.ledger(SCOPE, PERSON).consents[-1].event == "stop_medium"


# The clock


def test_a_duty_is_escalated_step_by_step_and_then_lapses_as_a_legal_risk(house: House) -> None:
    house.complain()
    assert house.tick(minutes=29) == {}
    assert house.tick(minutes=1) == {"duty_escalated": 1}
    assert house.tick(minutes=20) == {"duty_escalated": 1}
    assert house.tick(minutes=9) == {}
    assert house.tick(minutes=1) == {"duty_lapsed": 1}
    lapsed = house.duty("complaint_acknowledgement")
    assert (lapsed.state, [step.step for step in lapsed.escalations]) == (DutyState.LAPSED, ["50%", "80%"])
    [risk] = [event for event in house.events() if event.type is EventType.RISK_EVENT_RAISED]
    assert (risk.data["rule"], risk.data["agency"], risk.data["severity"]) == ("CN-CMP-2", lapsed.agency, "low")
    assert house.tick(minutes=30) == {}


def test_escalations_that_were_slept_through_are_told_once(house: House) -> None:
    house.complain()
    assert house.tick(minutes=55) == {"duty_escalated": 1}
    assert [step.step for step in house.duty("complaint_acknowledgement").escalations] == ["80%"]


def test_a_clock_that_sleeps_past_the_end_finds_the_lapse(house: House) -> None:
    house.complain()
    house.tick(days=20)
    assert {duty.state for duty in house.all()} == {DutyState.LAPSED, DutyState.FULFILLED}
    assert house.types().count("duty.lapsed") == 3


def test_a_lapse_counts_among_the_legal_risk_events_of_the_figures(house: House) -> None:
    from chalicelib.domain.kpi.counters import effect
    from chalicelib.domain.kpi.past import Past

    house.complain()
    house.tick(hours=2)
    [risk] = [event for event in house.events() if event.type is EventType.RISK_EVENT_RAISED]
    assert "risk_events" in str(effect(risk, Past(), zone="Asia/Shanghai").counts)


# Over HTTP


@pytest.fixture
def api(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    from chalice.test import Client

    from app import app
    from chalicelib.edge import authorizer

    monkeypatch.setattr(authorizer, "verifier", FakeVerifier)
    monkeypatch.setattr(wiring, "now", lambda: house.now)
    stored(house.store, an_agency(id=OTHER_AGENCY))
    for org in (AGENCY, OTHER_AGENCY):
        FeedRepository().listing_record(LENDER, an_agency(id=org)).save()
    with Client(app) as client:
        yield Api(client, house.store)


def listed(api: Api, token: str, query: str = "") -> list[tuple[str, str]]:
    return [(duty["kind"], duty["state"]) for duty in body_of(api.get(token, f"/v1/duties{query}"))["items"]]


def test_a_lender_lists_all_duties_and_an_agency_what_it_owes_by_due_instant(texan: House, api: Api) -> None:
    texan.dispute()
    everything = {"dispute_answer", "dispute_investigation", "dispute_verification"}
    assert {kind for kind, _ in listed(api, "lender")} == everything
    assert {kind for kind, _ in listed(api, "agency")} == {"dispute_answer", "dispute_verification"}
    assert listed(api, "other-agency") == [] and listed(api, "other-lender") == []
    assert listed(api, "lender", "?due_before=2026-12-23T06:00:00Z") == []
    assert len(listed(api, "lender", "?due_before=2026-12-23T06:00:00.001Z")) == 3


def test_lists_go_on_by_cursor_and_hold_every_duty_once(house: House, api: Api) -> None:
    house.complain()
    seen, cursor = [], ""
    while True:
        page = body_of(api.get("officer", f"/v1/duties?limit=1{cursor}"))
        seen += [duty["kind"] for duty in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == ["complaint_acknowledgement", "complaint_first_reply", "complaint_answer"]
    assert listed(api, "officer", "?state=fulfilled") == [("complaint_forwarding", "fulfilled")]


def test_a_list_follows_every_move_of_a_duty(house: House, api: Api) -> None:
    house.complain()
    house.tick(hours=2)
    assert listed(api, "lender", "?state=lapsed") == [("complaint_acknowledgement", "lapsed")]
    assert "complaint_acknowledgement" not in dict(listed(api, "lender"))
    rows = [item for item in View.scan() if item.pk == f"T#{LENDER}#DUTIES"]
    assert len(rows) == len(house.all())


def path_of(house: House, kind: str) -> str:
    return f"/v1/duties/{house.duty(kind).id}"


DONE = {"at": "2026-11-23T02:00:00Z", "evidence": "letter", "reference": "RR123456789CN", "note": "寄给张伟"}


def test_a_fulfilment_is_recorded_with_its_evidence_and_its_note_is_sealed(house: House, api: Api) -> None:
    house.complain()
    path = path_of(house, "complaint_answer")
    done = api.post("lender", f"{path}/fulfilments", DONE, Idempotency_Key="one")
    assert (done.status_code, body_of(done)["state"], body_of(done)["late"]) == (201, "fulfilled", False)
    again = api.post("lender", f"{path}/fulfilments", DONE, Idempotency_Key="one")
    assert again.headers["Idempotency-Replayed"] == "true"
    house.deliver()
    told = [event for event in house.events() if event.type is EventType.DUTY_FULFILLED][-1]
    assert (told.data["evidence"], told.data["reference"]) == ("letter", "RR123456789CN")
    assert told.sealed is not None and "张伟" not in json.dumps(told.as_json(), ensure_ascii=False)
    assert ("complaint_answer", "fulfilled") in listed(api, "lender", "?state=fulfilled")


def test_what_is_done_after_a_lapse_is_late_and_the_lapse_stands(house: House, api: Api) -> None:
    house.complain()
    house.tick(hours=3)
    path = path_of(house, "complaint_acknowledgement")
    body = {**DONE, "at": house.now.isoformat()}
    done = body_of(api.post("lender", f"{path}/fulfilments", body))
    assert (done["state"], done["late"]) == ("fulfilled", True)
    assert done["lapsed_at"] is not None


def test_a_fulfilment_lies_in_the_life_of_the_duty(house: House, api: Api) -> None:
    house.complain()
    path = path_of(house, "complaint_answer")
    for at, code in (("2026-11-23T01:59:59Z", "before_opening"), ("2026-11-23T02:00:01Z", "in_the_future")):
        refused = api.post("lender", f"{path}/fulfilments", {**DONE, "at": at})
        assert (refused.status_code, body_of(refused)["errors"][0]["code"]) == (422, code)


def test_a_waiver_needs_a_compliance_officer_and_a_reason(house: House, api: Api) -> None:
    house.complain()
    path = path_of(house, "complaint_answer")
    reason = {"reason": "answered by the supervisor itself"}
    for token in ("lender", "agency", "collector"):
        assert api.post(token, f"{path}/waiver", reason).status_code == 403
    assert api.post("officer", f"{path}/waiver", {"reason": "no"}).status_code == 422
    assert body_of(api.post("officer", f"{path}/waiver", reason))["state"] == "waived"
    assert body_of(api.post("officer", f"{path}/waiver", reason))["state"] == "waived"
    late = api.post("lender", f"{path}/fulfilments", DONE)
    assert (late.status_code, body_of(late)["code"]) == (409, "duty_over")
    house.deliver()
    assert house.types().count("duty.waived") == 1
    assert house.tick(days=30)["duty_lapsed"] == 2


def test_a_longer_term_counts_from_the_opening_and_moves_the_clock(house: House, api: Api) -> None:
    house.complain()
    path = path_of(house, "complaint_answer")
    asked = {"extension": "complex", "reason": "two branches are concerned"}
    assert api.post("lender", f"{path}/extension", asked).status_code == 403
    longer = body_of(api.post("officer", f"{path}/extension", asked))
    assert (longer["due_at"], longer["extension"]) == ("2026-12-23T16:00:00.000Z", "complex")
    house.deliver()
    assert len(listed(api, "officer")) == 3
    refused = api.post("officer", f"{path}/extension", {**asked, "extension": "for_ever"})
    assert body_of(refused)["errors"][0]["code"] == "unknown_extension"
    assert "duty_lapsed" in house.tick(days=16)
    assert house.duty("complaint_answer").state is DutyState.OPEN
    house.tick(days=15)
    assert house.duty("complaint_answer").state is DutyState.LAPSED
    over = api.post("officer", f"{path}/extension", {**asked, "extension": "specially_complex"})
    assert (over.status_code, body_of(over)["code"]) == (409, "duty_over")


def test_what_happens_outside_is_reported_and_opens_its_duties(house: House, api: Api) -> None:
    stored(house.store, a_person(residences=(Residence(country="AU", region="AU-NSW"),), zones=("Australia/Sydney",)))
    body = {"case": CASE, "report": "possession_taken", "at": "2026-11-23T01:00:00Z"}
    # No row of the agency's list says that the case is its own.
    assert api.post("agency", "/v1/duties", body).status_code == 404
    [duty] = body_of(api.post("lender", "/v1/duties", body))["items"]
    assert (duty["rule"], duty["owner"], duty["due_at"]) == ("AU-NCC-S102", LENDER, "2026-12-07T13:00:00.000Z")
    refused = api.post("lender", "/v1/duties", {**body, "report": "planned_sale", "stated_on": "2026-12-24"})
    assert body_of(refused)["errors"][0]["code"] == "not_applicable"
    refused = api.post("lender", "/v1/duties", {**body, "report": "planned_sale"})
    assert body_of(refused)["errors"][0]["code"] == "required"
    refused = api.post("lender", "/v1/duties", {**body, "at": "2026-11-23T02:00:01Z"})
    assert body_of(refused)["errors"][0]["code"] == "in_the_future"


def test_what_an_agency_must_not_know_is_the_same_whether_it_exists_or_not(texan: House, api: Api) -> None:
    texan.dispute()
    told = set()
    for token in ("other-agency", "other-lender", "agency"):
        for path in (path_of(texan, "dispute_investigation"), "/v1/duties/duty_none"):
            answer = api.get(token, path)
            told.add((answer.status_code, body_of(answer)["code"], body_of(answer)["detail"]))
    assert len(told) == 1
    assert api.get("agency", path_of(texan, "dispute_answer")).status_code == 200


def test_the_catalogue_can_be_read_with_its_law(api: Api) -> None:
    rules = body_of(api.get("collector", "/v1/compliance/duty-rules"))["items"]
    notice = next(rule for rule in rules if rule["kind"] == "validation_notice")
    assert (notice["citation"], notice["due"]) == ("12 CFR 1006.34(a)", {"days": 5})
    assert notice["title"]["zh"] and notice["escalate"]


def test_a_person_of_another_place_is_owed_nothing(house: House) -> None:
    house.dispute()
    assert house.all() == []


def test_no_personal_data_lie_open_in_a_duty(house: House) -> None:
    house.complain()
    for item in Record.scan():
        if item.sk == "DUTY":
            assert "张伟" not in item.d and "138" not in item.d
