"""Case commands over the real store: what they change, whom they stop, what they write down."""

from datetime import date, datetime, timedelta
from typing import Any

import pytest

from chalicelib.domain import keys
from chalicelib.domain.cases.assignment import Assigned, Unassigned
from chalicelib.domain.cases.case import CaseParty
from chalicelib.domain.cases.feed import row_of
from chalicelib.domain.cases.lifecycle import CaseState
from chalicelib.domain.errors import InvalidInput, NotFound, PreconditionFailed, StateConflict
from chalicelib.domain.events import EventType
from chalicelib.domain.instants import from_text, to_text
from chalicelib.domain.outreach.attempt import Approved, AttemptState
from chalicelib.store.feed_repository import FeedRepository
from chalicelib.store.repository import Store
from chalicelib.store.risk_repository import RiskRepository
from chalicelib.usecases import activities, cases
from chalicelib.usecases.activities import Report
from chalicelib.usecases.assignment import assign_cases, retry_unassigned
from chalicelib.usecases.cases import Caller, Context
from chalicelib.usecases.organisations import put_agency
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
    a_lender,
    a_person,
    an_agency,
    an_attempt,
    stored,
)

LENDERS = Caller(TEST_ACTOR)


def cleared(begins: datetime, ends: datetime) -> Approved:
    """Return an approval that holds between two instants."""
    return Approved(id="apr_1", recipient="ab" * 16, not_before=to_text(begins), not_after=to_text(ends))


CLEARED: dict[str, Any] = {"channel": "call", "human": True, "state": AttemptState.APPROVED}
CLEARED |= {"approved": cleared(NOW, NOW + timedelta(hours=1))}
AGENCYS = Caller(TEST_ACTOR, AGENCY, COLLECTOR)
GUARANTOR = "per_2"


class House:
    """One lender, one agency, one case with a debtor and a guarantor."""

    def __init__(self, store: Store) -> None:
        self.store, self.scope = store, Scope(LENDER)
        self.now = NOW
        parties = (CaseParty(person=PERSON, role="debtor"), CaseParty(person=GUARANTOR, role="guarantor_joint"))
        stored(store, a_lender(), an_agency(), a_collector(), a_person(), a_person(id=GUARANTOR, name="李娜"))
        stored(store, a_case(parties=parties))

    @property
    def context(self) -> Context:
        return Context(self.now, "req_test")

    def call(self, command: Any, caller: Caller = LENDERS, **arguments: Any) -> Any:
        return command(self.store, self.scope, CASE, caller, self.context, **arguments)

    @property
    def case(self) -> Any:
        return self.store.case(self.scope, CASE)

    def epochs(self) -> list[int]:
        return [self.store.ledger(self.scope, person).stop_epoch for person in (PERSON, GUARANTOR)]

    def types(self) -> list[str]:
        return [event.type.value for event in self.store.events(self.scope, keys.case_pk(LENDER, CASE))]

    def last(self, kind: str) -> Any:
        events = self.store.events(self.scope, keys.case_pk(LENDER, CASE))
        return next(event.data for event in reversed(events) if event.type.value == kind)

    def report(self, code: str, channel: str = "call", **details: Any) -> activities.Recorded:
        fields = {"person": PERSON, "at": self.now, "point": "pt_1", **details}
        report = Report(code=code, channel=channel, **fields)
        return activities.record_activity(self.store, self.scope, CASE, report, AGENCYS, self.context)


@pytest.fixture
def house(store: Store) -> House:
    return House(store)


# Recall


def test_a_recall_waits_for_objections_and_stops_contact_at_once(house: House) -> None:
    case = house.call(cases.request_recall, reason="RECALLED")
    assert case.state is CaseState.RECALL_REQUESTED
    assert from_text(case.recall_due_at) == NOW + timedelta(hours=24)
    assert not case.is_workable
    assert house.epochs() == [1, 1]


def test_the_clock_finishes_a_recall_when_the_window_is_over_and_not_before(house: House) -> None:
    house.call(cases.request_recall, reason="RECALLED")
    early = NOW + timedelta(hours=24) - timedelta(milliseconds=1)
    assert cases.finish_due(house.store, house.scope, CASE, now=early) is None
    assert cases.finish_due(house.store, house.scope, CASE, now=NOW + timedelta(hours=24)) == "recalled"
    assert house.case.state is CaseState.RECALLED
    assert cases.finish_due(house.store, house.scope, CASE, now=NOW + timedelta(hours=25)) is None


def test_an_objection_puts_the_case_back_to_work_until_the_window_is_over(house: House) -> None:
    house.call(cases.request_recall, reason="RECALLED")
    case = house.call(cases.object_to_recall, AGENCYS, code="PROMISE_PENDING", reason="借款人已承诺")
    assert (case.state, case.recall_due_at) == (CaseState.IN_WORK, None)
    assert house.last("case.changed")["reason"] == "PROMISE_PENDING"
    house.call(cases.request_recall, reason="RECALLED")
    house.now = NOW + timedelta(hours=24)
    with pytest.raises(StateConflict, match="time to object is over"):
        house.call(cases.object_to_recall, AGENCYS, code="LATE", reason="-")


def test_the_text_of_an_objection_is_sealed(house: House) -> None:
    house.call(cases.request_recall, reason="RECALLED")
    house.call(cases.object_to_recall, AGENCYS, code="PROMISE_PENDING", reason="借款人张伟已承诺")
    events = house.store.events(house.scope, keys.case_pk(LENDER, CASE))
    assert not [event for event in events if "张伟" in event.canonical().decode()]
    assert events[-1].sealed is not None


def test_requesting_a_recall_twice_keeps_the_first_deadline(house: House) -> None:
    first = house.call(cases.request_recall, reason="RECALLED")
    house.now = NOW + timedelta(hours=3)
    again = house.call(cases.request_recall, reason="RECALLED")
    assert (again.recall_due_at, again.version) == (first.recall_due_at, first.version)


def test_a_final_recall_takes_the_case_back_at_once(house: House) -> None:
    assert house.call(cases.request_recall, reason="COMPLAINT_UPHELD", final=True).state is CaseState.RECALLED


# Holds and transitions


def test_a_hold_stops_every_party_of_the_case(house: House) -> None:
    case, hold = house.call(cases.place_hold, kind="hardship", reason="失业")
    assert case.state is CaseState.ON_HOLD
    assert [(known.kind, known.debt) for known in case.holds] == [("hardship", CASE)]
    assert house.epochs() == [1, 1]
    case = cases.release_hold(house.store, house.scope, CASE, hold.id, LENDERS, house.context, reason="done")
    assert case.state is CaseState.IN_WORK
    assert case.holds[0].released_at is not None
    assert house.epochs() == [2, 2]
    assert house.types()[-4:] == ["hold.placed", "case.changed", "hold.released", "case.changed"]


def test_a_hold_on_a_person_stands_in_their_ledger_and_reaches_their_other_cases(house: House) -> None:
    house.call(cases.place_hold, kind="deceased", reason="DEC", person=PERSON)
    ledger = house.store.ledger(house.scope, PERSON)
    assert [(hold.kind, hold.party, hold.debt) for hold in ledger.holds] == [("deceased", PERSON, None)]
    assert house.case.holds == ()


def test_a_case_with_two_holds_stays_held_when_one_ends(house: House) -> None:
    _, first = house.call(cases.place_hold, kind="hardship", reason="-")
    _, second = house.call(cases.place_hold, kind="attorney", reason="-", person=GUARANTOR)
    for hold, state in ((first, CaseState.ON_HOLD), (second, CaseState.IN_WORK)):
        case = cases.release_hold(house.store, house.scope, CASE, hold.id, LENDERS, house.context, reason="-")
        assert case.state is state


def test_releasing_an_unknown_hold_is_not_found(house: House) -> None:
    with pytest.raises(NotFound):
        cases.release_hold(house.store, house.scope, CASE, "hold_x", LENDERS, house.context, reason="-")


def test_an_agency_may_not_place_the_lenders_holds(house: House) -> None:
    with pytest.raises(InvalidInput):
        house.call(cases.place_hold, AGENCYS, kind="legal_review", reason="-")


def test_a_dispute_is_a_hold_and_its_resolution_ends_it(house: House) -> None:
    disputed = house.call(cases.transition, AGENCYS, event="dispute", reason="wrong amount")
    assert disputed.state is CaseState.DISPUTED
    assert [hold.kind for hold in disputed.holds] == ["dispute"]
    resolved = house.call(cases.transition, event="resolve_dispute", reason="amount confirmed")
    assert resolved.state is CaseState.IN_WORK
    assert resolved.holds[0].released_at is not None


def test_an_agency_cannot_settle_or_write_off(house: House) -> None:
    for event in ("settle", "write_off", "refer_to_legal", "resolve_dispute"):
        with pytest.raises(InvalidInput):
            house.call(cases.transition, AGENCYS, event=event, reason="-")


@pytest.mark.parametrize(
    ("event", "state"),
    [("settle", CaseState.SETTLED), ("refer_to_legal", CaseState.LEGAL), ("write_off", CaseState.WRITTEN_OFF)],
)
def test_ending_a_case_stops_what_is_queued(house: House, event: str, state: CaseState) -> None:
    assert house.call(cases.transition, event=event, reason="-").state is state
    assert house.epochs() == [1, 1]
    data = house.last("case.changed")
    assert data == {"from": "in_work", "to": state.value, "reason": "-", "agency": AGENCY}


def test_a_returned_case_is_final(house: House) -> None:
    assert house.call(cases.return_case, AGENCYS, reason="UNTRACEABLE").state is CaseState.RETURNED
    with pytest.raises(StateConflict):
        house.call(cases.transition, event="settle", reason="-")


def test_writing_on_an_older_version_than_the_present_one_fails(house: House) -> None:
    with pytest.raises(PreconditionFailed):
        house.call(cases.return_case, AGENCYS, reason="UNTRACEABLE", expected=7)


def test_another_agencys_case_is_not_found(house: House) -> None:
    other = Caller(TEST_ACTOR, "agency-b")
    with pytest.raises(NotFound) as foreign:
        house.call(cases.return_case, other, reason="UNTRACEABLE")
    with pytest.raises(NotFound) as unknown:
        cases.return_case(house.store, house.scope, "case_none", other, house.context, reason="UNTRACEABLE")
    assert str(foreign.value) == str(unknown.value)


# Promises and payments


def promised(house: House, amount: int = 10_000, due_on: date = date(2026, 12, 1)) -> str:
    _, promise = house.call(cases.make_promise, AGENCYS, amount_minor=amount, currency="CNY", due_on=due_on)
    return str(promise)


def paid(house: House, amount: int, **details: Any) -> Any:
    fields = {"currency": "CNY", "received_on": date(2026, 11, 23), **details}
    case, _ = house.call(cases.post_payment, amount_minor=amount, **fields)
    return case


def test_a_promise_rests_demands_until_its_day(house: House) -> None:
    promised(house)
    assert house.case.state is CaseState.PROMISED
    assert [(hold.kind, hold.until) for hold in house.case.holds] == [("promise_alive", "2026-12-01")]
    assert house.types() == ["case.changed", "promise.made", "hold.placed"]


@pytest.mark.parametrize(
    ("deviation", "pointer"),
    [
        ({"amount_minor": 0}, "/amount_minor"),
        ({"amount_minor": 1_234_568}, "/amount_minor"),
        ({"currency": "USD"}, "/currency"),
        ({"due_on": date(2026, 11, 22)}, "/due_on"),
        ({"due_on": date(2026, 12, 24)}, "/due_on"),
    ],
)
def test_a_promise_outside_the_policy_is_refused(house: House, deviation: dict[str, Any], pointer: str) -> None:
    fields = {"amount_minor": 10_000, "currency": "CNY", "due_on": date(2026, 12, 1), **deviation}
    with pytest.raises(InvalidInput) as refused:
        house.call(cases.make_promise, AGENCYS, **fields)
    assert refused.value.errors[0].where == pointer


@pytest.mark.parametrize(
    "deviation", [{"amount_minor": 1_234_567}, {"due_on": date(2026, 11, 23)}, {"due_on": date(2026, 12, 23)}]
)
def test_a_promise_at_the_edge_of_the_policy_is_valid(house: House, deviation: dict[str, Any]) -> None:
    fields = {"amount_minor": 10_000, "currency": "CNY", "due_on": date(2026, 12, 1), **deviation}
    case, promise = house.call(cases.make_promise, AGENCYS, **fields)
    assert case.promises[-1].id == promise


def test_money_in_time_keeps_a_promise_and_wakes_the_case(house: House) -> None:
    promised(house)
    case = paid(house, 10_000)
    assert [promise.state for promise in case.promises] == ["kept"]
    assert case.state is CaseState.IN_WORK
    assert case.holds[0].released_at is not None
    assert case.amount_due_minor == 1_224_567
    assert "promise.kept" in house.types()


def test_the_clock_breaks_an_unpaid_promise_after_three_days_of_grace(house: House) -> None:
    promised(house)
    due = from_text(house.case.next_due_at())
    assert cases.finish_due(house.store, house.scope, CASE, now=due - timedelta(milliseconds=1)) is None
    assert cases.finish_due(house.store, house.scope, CASE, now=due) == "promise_judged"
    assert house.case.state is CaseState.IN_WORK
    assert house.last("promise.broken")["amount_minor"] == 10_000
    assert house.case.next_due_at() is None


def test_paying_everything_settles_the_case(house: House) -> None:
    case = paid(house, 1_300_000)
    assert (case.state, case.amount_due_minor) == (CaseState.SETTLED, 0)
    assert house.last("payment.posted")["applied_minor"] == 1_234_567
    assert house.last("case.changed")["reason"] == "PAID_FULL"
    assert house.epochs() == [1, 1]


def test_a_reversal_takes_back_what_the_payment_settled_and_kept(house: House) -> None:
    promised(house)
    payment = paid(house, 10_000).payments[0]
    case, reversal = cases.reverse_payment(
        house.store, house.scope, CASE, payment.id, LENDERS, house.context, received_on=date(2026, 11, 23)
    )
    assert case.amount_due_minor == 1_234_567
    assert case.owed == a_case().owed
    assert [promise.state for promise in case.promises] == ["open"]
    assert house.last("payment.reversed")["reversal_of"] == payment.id
    _, again = cases.reverse_payment(
        house.store, house.scope, CASE, payment.id, LENDERS, house.context, received_on=date(2026, 11, 23)
    )
    assert again == reversal


def test_the_same_reference_is_the_same_payment(house: House) -> None:
    paid(house, 10_000, reference="bank-77")
    again = paid(house, 10_000, reference="bank-77")
    assert len(again.payments) == 1
    assert again.amount_due_minor == 1_224_567
    with pytest.raises(StateConflict):
        paid(house, 10_001, reference="bank-77")


@pytest.mark.parametrize(
    ("deviation", "pointer"),
    [
        ({"received_on": date(2026, 11, 24)}, "/received_on"),
        ({"currency": "USD"}, "/currency"),
        ({"split": {"principal": 10_001}}, "/split"),
        ({"split": {"management_fee": 1}}, "/split"),
    ],
)
def test_money_that_cannot_be_is_refused(house: House, deviation: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        paid(house, 10_000, **deviation)
    assert refused.value.errors[0].where == pointer


def test_a_lender_may_state_the_split(house: House) -> None:
    case = paid(house, 10_000, split={"principal": 10_000})
    assert case.owed["principal"] == 990_000
    assert house.last("payment.posted")["stated_split"] == {"principal": 10_000}
    assert paid(house, 1_000, received_on=date(2026, 11, 20)).payments[0].split == {"principal": 10_000}


# Pauses


def test_a_pause_told_late_corrects_the_days_past_due_and_its_end_gives_them_back(house: House) -> None:
    told = {"paused_from": date(2026, 10, 25), "paused_to": date(2026, 11, 3), "reason": "sealed"}
    case, pause = house.call(cases.record_pause, LENDERS, kind="freeze", **told)
    assert case.days_past_due(date(2026, 11, 23)) == 25
    assert house.last("pause.recorded")["paused_to"] == "2026-11-03"
    assert house.epochs() == [1, 1]
    _, again = house.call(cases.record_pause, LENDERS, kind="freeze", **told, pause_id=pause.id)
    assert again == pause and len(house.case.pauses) == 1
    for _ in range(2):
        case = cases.cancel_pause(house.store, house.scope, CASE, pause.id, LENDERS, house.context, reason="sealed")
    assert case.days_past_due(date(2026, 11, 23)) == 35
    assert house.types().count("pause.cancelled") == 1


def test_a_deferral_of_the_oldest_due_date_shows_in_the_lists(house: House) -> None:
    told = {"paused_from": date(2026, 10, 19), "paused_to": date(2026, 11, 20), "reason": "sealed"}
    case, _ = house.call(cases.record_pause, LENDERS, kind="deferral", **told)
    assert (case.oldest_unpaid_due_on, case.days_past_due(date(2026, 11, 23))) == (date(2026, 11, 21), 2)
    row = row_of(case, seq=1, org=None)
    assert [row.summary(date(2026, 11, day))["days_past_due"] for day in (21, 22, 23)] == [0, 1, 2]


def test_a_frozen_case_counts_the_same_in_the_lists_as_on_its_own(house: House) -> None:
    told = {"paused_from": date(2026, 11, 1), "paused_to": date(2026, 11, 30), "reason": "sealed"}
    case, _ = house.call(cases.record_pause, LENDERS, kind="freeze", **told)
    row = row_of(case, seq=1, org=None)
    days = [date(2026, 10, 19) + timedelta(days=number) for number in range(60)]
    assert [row.summary(day)["days_past_due"] for day in days] == [case.days_past_due(day) for day in days]


@pytest.mark.parametrize(
    ("deviation", "pointer"),
    [
        ({"kind": "holiday"}, "/kind"),
        ({"paused_to": date(2026, 10, 24)}, "/paused_to"),
        ({"paused_to": date(2029, 10, 28)}, "/paused_to"),
    ],
)
def test_a_pause_that_cannot_be_is_refused(house: House, deviation: dict[str, Any], pointer: str) -> None:
    told = {"kind": "freeze", "paused_from": date(2026, 10, 25), "paused_to": date(2026, 11, 3), "reason": "r"}
    with pytest.raises(InvalidInput) as refused:
        house.call(cases.record_pause, LENDERS, **{**told, **deviation})
    assert refused.value.errors[0].where == pointer


def test_only_a_pause_that_is_there_can_be_cancelled(house: House) -> None:
    with pytest.raises(NotFound):
        cases.cancel_pause(house.store, house.scope, CASE, "pause_none", LENDERS, house.context, reason="r")


# Activities


def test_a_call_without_clearance_is_a_risk_event_and_counts_all_the_same(house: House) -> None:
    recorded = house.report("NOANS")
    assert recorded.risk is not None
    assert house.last("risk_event.raised")["rule"] == "contact_without_clearance"
    history = house.store.ledger(house.scope, PERSON).history
    assert [(entry.id, entry.outcome, entry.channel) for entry in history] == [(recorded.activity, "no_answer", "call")]


def test_a_call_under_its_clearance_is_no_risk_and_is_not_counted_twice(house: House) -> None:
    stored(house.store, an_attempt(**CLEARED))
    recorded = house.report("NOANS", contact="msg_1")
    assert recorded.risk is None
    assert house.store.ledger(house.scope, PERSON).history == ()
    assert house.last("activity.recorded")["contact"] == "msg_1"


@pytest.mark.parametrize(
    ("deviations", "line"),
    [
        ({"state": AttemptState.DENIED, "approved": None}, "clearance"),
        ({"state": AttemptState.CANCELLED}, "clearance"),
        ({"channel": "visit"}, "clearance"),
        # The window is closed at its begin and open at its end.
        ({"approved": cleared(NOW, NOW + timedelta(minutes=1))}, None),
        ({"approved": cleared(NOW + timedelta(milliseconds=1), NOW + timedelta(hours=1))}, "clearance_window"),
        ({"approved": cleared(NOW - timedelta(hours=1), NOW)}, "clearance_window"),
        ({"state": AttemptState.EXPIRED, "approved": cleared(NOW - timedelta(hours=1), NOW)}, "clearance_window"),
    ],
)
def test_a_call_outside_what_was_cleared_is_a_risk_event_that_names_its_line(
    house: House, deviations: dict[str, Any], line: str | None
) -> None:
    stored(house.store, an_attempt(**{**CLEARED, **deviations}))
    recorded = house.report("NOANS", contact="msg_1")
    history = house.store.ledger(house.scope, PERSON).history
    if line is None:
        assert (recorded.risk, history) == (None, ())
        return
    raised = house.last("risk_event.raised")
    assert (raised["risk"], raised["line"], raised["contact"]) == (recorded.risk, line, "msg_1")
    # It happened under no clearance, so it counts against every cap.
    assert house.last("activity.recorded")["contact"] is None
    assert [entry.id for entry in history] == [recorded.activity]
    kept = RiskRepository().risk(house.scope, recorded.risk or "")
    assert kept is not None and (kept.line, kept.status, kept.person) == (line, "raised", PERSON)


def test_a_contact_of_somebody_else_covers_nothing(house: House) -> None:
    stored(house.store, an_attempt(channel="call", human=True, org="agency-b"))
    with pytest.raises(NotFound):
        house.report("NOANS", contact="msg_1")


@pytest.mark.parametrize(
    ("code", "channel", "kind", "state"),
    [
        ("RPC-DISP", "call", "dispute", CaseState.DISPUTED),
        ("RPC-HARD", "call", "hardship", CaseState.ON_HOLD),
        ("RPC-CEASE", "call", "cease", CaseState.ON_HOLD),
        ("ATTY", "call", "attorney", CaseState.ON_HOLD),
        ("DEC", "none", "deceased", CaseState.ON_HOLD),
        ("BKY", "none", "bankruptcy", CaseState.ON_HOLD),
    ],
)
def test_a_result_that_stops_work_stops_it_in_the_same_transaction(
    house: House, code: str, channel: str, kind: str, state: CaseState
) -> None:
    recorded = house.report(code, channel)
    held = [*house.case.holds, *house.store.ledger(house.scope, PERSON).holds]
    assert [(hold.kind, hold.id) for hold in held] == [(kind, recorded.holds[0])]
    assert house.case.state is state
    assert house.epochs() == [1, 1]


def test_a_cease_request_ends_every_medium_and_marks_the_person(house: House) -> None:
    house.report("RPC-CEASE")
    ledger = house.store.ledger(house.scope, PERSON)
    assert [(entry.event, entry.medium, entry.scope) for entry in ledger.consents] == [("stop_medium", "all", "all")]
    person = house.store.person(house.scope, PERSON)
    assert person is not None
    assert person.stop_requested_at == "2026-11-23T02:00:00Z"


def test_an_opt_out_ends_the_medium_it_came_by_and_stops_what_is_queued(house: House) -> None:
    house.report("OPTOUT", "sms")
    ledger = house.store.ledger(house.scope, PERSON)
    assert [(entry.event, entry.medium) for entry in ledger.consents] == [("stop_medium", "sms")]
    assert house.epochs() == [1, 1]
    assert "consent.changed" in house.types()


def test_a_wrong_number_is_blocked(house: House) -> None:
    house.report("WRONG")
    person = house.store.person(house.scope, PERSON)
    assert person is not None
    assert person.point("pt_1").status == "wrong_person"  # type: ignore[union-attr]


def test_an_inbound_contact_is_history_and_use_of_the_medium(house: House) -> None:
    recorded = house.report("INB", "call")
    ledger = house.store.ledger(house.scope, PERSON)
    assert [(entry.id, entry.direction, entry.outcome) for entry in ledger.history] == [
        (recorded.activity, "in", "received")
    ]
    assert [(entry.event, entry.medium) for entry in ledger.consents] == [("used", "call")]
    assert recorded.risk is None


def test_the_first_attempt_puts_an_assigned_case_to_work(house: House) -> None:
    stored(house.store, a_case(state=CaseState.ASSIGNED))
    assert house.report("INB", "call").case.state is CaseState.IN_WORK


def test_a_note_is_sealed_and_its_result_is_open(house: House) -> None:
    house.report("RPC-NEG", note="张伟说周五前付款")
    event = house.store.events(house.scope, keys.case_pk(LENDER, CASE))[0]
    assert event.sealed is not None
    assert event.data["result"] == "RPC-NEG"
    assert "张伟" not in event.canonical().decode()


@pytest.mark.parametrize(
    ("code", "channel", "details", "pointer"),
    [
        ("XYZ", "call", {}, "/code"),
        ("PAY", "none", {}, "/code"),
        ("DELIV", "sms", {}, "/code"),
        ("NOANS", "visit", {}, "/channel"),
        ("RPC-NEG", "none", {}, "/channel"),
        ("RPC-NEG", "pigeon", {}, "/channel"),
        ("RPC-NEG", "call", {"at": NOW + timedelta(seconds=1)}, "/at"),
        ("RPC-NEG", "call", {"at": NOW - timedelta(days=31)}, "/at"),
        ("WRONG", "call", {"point": "pt_9"}, "/point"),
    ],
)
def test_an_activity_that_cannot_be_is_refused_and_leaves_no_trace(
    house: House, code: str, channel: str, details: dict[str, Any], pointer: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        house.report(code, channel, **details)
    assert refused.value.errors[0].where == pointer
    assert house.types() == []


# Assignment


def test_assignment_is_exact_against_capacity_and_notes_who_waits(store: Store) -> None:
    scope, feeds = Scope(LENDER), FeedRepository()
    stored(store, a_lender(), an_agency(cases_per_collector=2), a_collector(), a_person())
    ids = [f"case_{number}" for number in range(3)]
    for case in ids:
        stored(store, a_case(id=case, state=CaseState.PLACED, agency=None))
    answers = assign_cases(store, feeds, scope, ids, now=NOW, req="req_test")
    assert [type(answer) for answer in answers] == [Assigned, Assigned, Unassigned]
    assert feeds.loads(LENDER) == {AGENCY: 2}
    assert feeds.unassigned(LENDER, limit=10)[ids[2]]["reason"] == "agencies_full"
    assert store.case(scope, ids[2]).state is CaseState.PLACED  # type: ignore[union-attr]
    assert assign_cases(store, feeds, scope, ids[:2], now=NOW, req="req_test") == []
    assert feeds.loads(LENDER) == {AGENCY: 2}


def test_cases_that_waited_are_enqueued_again_when_an_agency_gets_room(store: Store) -> None:
    scope, feeds = Scope(LENDER), FeedRepository()
    agency = an_agency(suspended=True)
    stored(store, a_lender(), agency, a_collector(), a_person(), a_case(state=CaseState.PLACED, agency=None))
    assign_cases(store, feeds, scope, [CASE], now=NOW, req="req_test")
    sent: list[Any] = []

    class Queues:
        def send(self, queue: str, bodies: Any, *, delay_seconds: int = 0) -> None:
            sent.extend((queue, dict(body)) for body in bodies)

        def send_grouped(self, queue: str, bodies: Any) -> None:
            raise AssertionError("assignments are not grouped")

    feeds.listing_record(LENDER, agency).save()
    changed = agency.model_copy(update={"suspended": False})
    put_agency(store, feeds, scope, changed, LENDERS, Context(NOW, "req_test"), expected=1)
    assert retry_unassigned(store, feeds, Queues(), scope) == 1
    assert sent == [("assignments", {"tenant": LENDER, "cases": [CASE]})]
    assert assign_cases(store, feeds, scope, [CASE], now=NOW, req="req_test") == [Assigned(CASE, AGENCY)]
    assert retry_unassigned(store, feeds, Queues(), scope) == 0


def test_two_assigners_never_exceed_the_capacity(store: Store) -> None:
    scope = Scope(LENDER)
    stored(store, a_lender(), an_agency(cases_per_collector=2), a_collector(), a_person())
    ids = [f"case_{number}" for number in range(4)]
    for case in ids:
        stored(store, a_case(id=case, state=CaseState.PLACED, agency=None))

    class Overtaken(FeedRepository):
        raced = False

        def loads(self, tenant: str) -> dict[str, int]:
            known = super().loads(tenant)
            if not self.raced:
                self.raced = True
                assign_cases(store, FeedRepository(), scope, ids[2:], now=NOW, req="req_rival")
            return known

    answers = assign_cases(store, Overtaken(), scope, ids[:2], now=NOW, req="req_test")
    assert [type(answer) for answer in answers] == [Unassigned, Unassigned]
    assert FeedRepository().loads(LENDER) == {AGENCY: 2}


# Reading


def test_the_view_computes_days_past_due_in_the_lenders_zone(house: House) -> None:
    late_evening = NOW.replace(hour=16, minute=30)
    shown = cases.case_view(house.store, house.scope, CASE, org=None, role="lender", now=late_evening)
    assert (shown["days_past_due"], shown["bucket"]) == (36, "M2")


def test_the_view_of_an_ended_case_is_gone_for_its_agency(house: House) -> None:
    house.call(cases.return_case, AGENCYS, reason="UNTRACEABLE")
    with pytest.raises(NotFound):
        cases.case_view(house.store, house.scope, CASE, org=AGENCY, role="agency", now=NOW)
    assert cases.case_view(house.store, house.scope, CASE, org=None, role="lender", now=NOW)["state"] == "returned"


def test_the_next_actions_are_those_that_would_succeed(house: House) -> None:
    assert cases.next_actions(house.case, agency=True) == [
        "activity",
        "agree_plan",
        "clearance",
        "dispute",
        "hold",
        "message",
        "promise",
        "return",
    ]
    assert "recall" in cases.next_actions(house.case, agency=False)
    ended = house.case.model_copy(update={"state": CaseState.SETTLED})
    assert cases.next_actions(ended, agency=True) == cases.next_actions(ended, agency=False) == []


# Outcomes of cleared calls


def reported_event(house: House, result: str) -> Any:
    attempt = an_attempt(channel="call", human=True)
    stored(house.store, attempt)
    unit = house.store.unit(house.scope, actor=TEST_ACTOR, req="req_test", now=NOW)
    event = unit.emit(keys.case_pk(LENDER, CASE), EventType.CONTACT_REPORTED, {"contact": attempt.id, "result": result})
    unit.commit()
    return event


def test_the_result_of_a_cleared_call_stops_work_and_is_applied_once(house: House) -> None:
    event = reported_event(house, "RPC-CEASE")
    for _ in range(2):
        assert activities.project_reports(house.store, [event], scope_for=Scope) == []
    ledger = house.store.ledger(house.scope, PERSON)
    assert [hold.kind for hold in ledger.holds] == ["cease"]
    assert [entry.event for entry in ledger.consents] == ["stop_medium"]
    assert house.case.state is CaseState.ON_HOLD
    assert house.epochs() == [1, 1]
    assert house.types().count("hold.placed") == 1


@pytest.mark.parametrize("result", ["NOT-MADE", "NOANS"])
def test_a_result_that_says_nothing_of_the_person_sets_off_nothing(house: House, result: str) -> None:
    event = reported_event(house, result)
    version = house.case.version
    assert activities.project_reports(house.store, [event], scope_for=Scope) == []
    assert (house.case.version, house.epochs()) == (version, [0, 0])


def test_a_report_of_an_unknown_contact_is_named_as_failed(house: House) -> None:
    unit = house.store.unit(house.scope, actor=TEST_ACTOR, req="req_test", now=NOW)
    data = {"contact": "msg_none", "result": "RPC-DISP"}
    event = unit.emit(keys.case_pk(LENDER, CASE), EventType.CONTACT_REPORTED, data)
    assert activities.project_reports(house.store, [event], scope_for=Scope) == [event.id]
