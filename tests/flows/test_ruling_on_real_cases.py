"""The whole way from a stored case to a ruling by the real engine under the real packs."""

import itertools
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from chalicelib import wiring
from chalicelib.domain import keys
from chalicelib.domain.errors import InvalidInput, NotFound, StateConflict
from chalicelib.domain.outreach.approval import ApprovalSigner
from chalicelib.domain.outreach.attempt import Attempt, AttemptState
from chalicelib.domain.outreach.provider_events import ProviderEvent
from chalicelib.domain.people.person import ConsentEntry, ContactEntry, HoldEntry, Residence
from chalicelib.store.repository import Store
from chalicelib.usecases import compliance, dispatch, messages, provider_events
from chalicelib.usecases.messages import Wish
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
    approved,
    stored,
)

TEXTS = ("cn-sms-demand", "cn-call-demand", "cn-email-demand", "cn-wechat-demand", "cn-letter-demand", "cn-visit-demand",
         "cn-sms-guarantor", "cn-sms-reply", "us-call-first")  # fmt: skip
NUMBERS = itertools.count(1)
ROOT = ec.generate_private_key(ec.SECP256R1())


def a_wish_for(channel: str = "sms", **deviations: Any) -> Wish:
    fields: dict[str, Any] = {
        "channel": channel,
        "template": f"cn-{channel}-demand",
        "parameters": {},
        "purpose": None,
        "to": None,
        "point": None,
        "reply_to": None,
        "recorded": True,
    }
    return Wish(**{**fields, **deviations})


def ask(store: Store, wish: Wish, *, now: datetime = NOW, org: str = AGENCY) -> Attempt:
    return messages.request_message(
        store,
        Scope(LENDER),
        CASE,
        wish,
        message_id=f"msg_{next(NUMBERS)}",
        org=org,
        collector=COLLECTOR,
        human=wish.channel in ("call", "visit"),
        actor=TEST_ACTOR,
        now=now,
        req="req_1",
    )


def rule_on(store: Store, attempt: Attempt, *, now: datetime = NOW, engine: Any = None) -> Attempt:
    signer = ApprovalSigner(lambda message: ROOT.sign(message, ec.ECDSA(hashes.SHA256())), root_key_id="root")
    decided = compliance.check(
        store,
        engine or wiring.engine(),
        signer,
        Scope(LENDER),
        attempt.id,
        clock=lambda: now,
        refresh=messages.refresh_content,
        req="req_2",
    )
    assert isinstance(decided, Attempt)
    return decided


def ruling_of(store: Store, attempt: Attempt) -> dict[str, Any]:
    ruling = store.ruling(Scope(LENDER), attempt)
    assert ruling is not None
    return ruling


@pytest.fixture
def case_on_file(store: Store) -> Store:
    stored(store, a_lender(), an_agency(), a_collector(), a_person(), a_case(), *approved(*TEXTS))
    return store


def test_a_compliant_text_message_is_allowed_until_its_approval_ends(case_on_file: Store) -> None:
    decided = rule_on(case_on_file, ask(case_on_file, a_wish_for()))
    assert (decided.state, ruling_of(case_on_file, decided)["rules"]) == (AttemptState.APPROVED, [])
    assert decided.content is not None and decided.body is not None and "12,345.67" in decided.body


def test_a_text_message_at_night_waits_for_the_morning(case_on_file: Store) -> None:
    night = datetime(2026, 11, 23, 15, 30, tzinfo=UTC)
    decided = rule_on(case_on_file, ask(case_on_file, a_wish_for(), now=night), now=night)
    assert decided.state is AttemptState.DEFERRED
    assert decided.due_at == "2026-11-24T00:00:00.000Z"
    assert [rule["id"] for rule in ruling_of(case_on_file, decided)["rules"]] == ["CN-HOURS-1"]


def test_the_third_text_message_of_a_day_waits_for_tomorrow(case_on_file: Store) -> None:
    states = []
    for minute in range(3):
        at = NOW + timedelta(minutes=20 * minute)
        states.append(rule_on(case_on_file, ask(case_on_file, a_wish_for(), now=at), now=at).state)
    assert states == [AttemptState.APPROVED, AttemptState.APPROVED, AttemptState.DEFERRED]


def test_a_dispute_stops_messages_and_calls(case_on_file: Store) -> None:
    hold = HoldEntry(
        **{"id": "hold_1", "kind": "dispute", "from": "2026-11-20T02:00:00Z", "party": PERSON, "debt": CASE}
    )
    stored(case_on_file, a_case(holds=(hold,), version=2))
    for channel in ("sms", "call"):
        decided = rule_on(case_on_file, ask(case_on_file, a_wish_for(channel)))
        assert decided.state not in (AttemptState.APPROVED, AttemptState.DEFERRED), channel
        assert "CN-STOP-4" in {rule["id"] for rule in ruling_of(case_on_file, decided)["rules"]}


def test_a_collector_whose_certificate_ended_yesterday_gets_no_clearance(case_on_file: Store) -> None:
    stored(case_on_file, a_collector(certified={"CN": NOW.date() - timedelta(days=1)}, version=2))
    decided = rule_on(case_on_file, ask(case_on_file, a_wish_for("call")))
    assert decided.state is AttemptState.DENIED


def test_an_unknown_inspection_is_for_people_to_judge(case_on_file: Store) -> None:
    stored(case_on_file, an_agency(inspected_on=None, version=2))
    decided = rule_on(case_on_file, ask(case_on_file, a_wish_for("call")))
    assert decided.state is AttemptState.IN_REVIEW


def test_a_review_passes_exactly_what_it_was_shown(case_on_file: Store) -> None:
    stored(case_on_file, an_agency(inspected_on=None, version=2))
    waiting = rule_on(case_on_file, ask(case_on_file, a_wish_for("call")))
    passed = messages.review_message(
        case_on_file,
        Scope(LENDER),
        waiting.id,
        decision="approve",
        reason="report seen on paper",
        actor=TEST_ACTOR,
        now=NOW,
        req="req_3",
    )
    assert rule_on(case_on_file, passed).state is AttemptState.APPROVED
    again = ask(case_on_file, a_wish_for("call"))
    assert rule_on(case_on_file, again).state is AttemptState.IN_REVIEW


def test_the_amount_is_rendered_anew_when_the_balance_moved(case_on_file: Store) -> None:
    asked = ask(case_on_file, a_wish_for())
    stored(case_on_file, a_case(amount_due_minor=500_000, version=2))
    decided = rule_on(case_on_file, asked)
    assert decided.body is not None and "5,000.00" in decided.body and "12,345.67" not in decided.body
    assert decided.content != asked.content
    event = case_on_file.decided(Scope(LENDER), decided)
    assert event is not None and event.data["approval"]["content"] == decided.content


def test_an_agency_that_does_not_hold_the_case_learns_nothing(case_on_file: Store) -> None:
    with pytest.raises(NotFound):
        ask(case_on_file, a_wish_for(), org="agency-b")


@pytest.mark.parametrize(
    "wish",
    [
        a_wish_for(template=None),
        a_wish_for(template="no-such-template"),
        a_wish_for(point="pt_9"),
        a_wish_for("email"),
        a_wish_for(parameters={"amount_due": "1"}),
        a_wish_for(template="cn-sms-guarantor"),
        a_wish_for(purpose="required_notice"),
    ],
)
def test_a_wish_that_cannot_be_rendered_or_addressed_is_refused_by_field(case_on_file: Store, wish: Wish) -> None:
    with pytest.raises(InvalidInput):
        ask(case_on_file, wish)


def test_a_settled_case_takes_no_wish(case_on_file: Store) -> None:
    stored(case_on_file, a_case(state="settled", version=2))
    with pytest.raises(StateConflict):
        ask(case_on_file, a_wish_for())


def test_a_call_reported_in_its_clearance_becomes_history(case_on_file: Store) -> None:
    cleared = rule_on(case_on_file, ask(case_on_file, a_wish_for("call")))
    report = {"org": AGENCY, "outcome": "no_answer", "result": "NOANS", "connected": False, "right_party": False}
    later = NOW + timedelta(minutes=5)
    messages.report_outcome(
        case_on_file,
        Scope(LENDER),
        cleared.id,
        attempted_at=NOW + timedelta(minutes=4),
        note=None,
        actor=TEST_ACTOR,
        now=later,
        req="req_4",
        **report,
    )
    ledger = case_on_file.ledger(Scope(LENDER), PERSON)
    assert [(entry.id, entry.outcome) for entry in ledger.history] == [(cleared.id, "no_answer")]
    kinds = [event.type.value for event in case_on_file.events(Scope(LENDER), keys.case_pk(LENDER, CASE))]
    assert kinds == ["contact.requested", "contact.decided", "contact.reported"]


def test_a_call_outside_its_clearance_is_not_taken_as_cleared(case_on_file: Store) -> None:
    cleared = rule_on(case_on_file, ask(case_on_file, a_wish_for("call")))
    with pytest.raises(InvalidInput):
        messages.report_outcome(
            case_on_file,
            Scope(LENDER),
            cleared.id,
            org=AGENCY,
            outcome="no_answer",
            result="NOANS",
            connected=False,
            right_party=False,
            attempted_at=NOW + timedelta(hours=2),
            note=None,
            actor=TEST_ACTOR,
            now=NOW + timedelta(hours=3),
            req="req_4",
        )


def test_a_clearance_that_was_not_used_gives_its_reservation_back(case_on_file: Store) -> None:
    cleared = rule_on(case_on_file, ask(case_on_file, a_wish_for("call")))
    messages.report_outcome(
        case_on_file,
        Scope(LENDER),
        cleared.id,
        org=AGENCY,
        outcome="not_made",
        result="SKIP",
        connected=False,
        right_party=False,
        attempted_at=NOW,
        note=None,
        actor=TEST_ACTOR,
        now=NOW + timedelta(minutes=1),
        req="req_4",
    )
    assert case_on_file.ledger(Scope(LENDER), PERSON).history == ()


def test_an_area_code_of_another_zone_narrows_the_hours_though_the_file_states_a_zone(store: Store) -> None:
    elsewhere = a_point(zones=(), area_zones=("America/Adak", "America/Anchorage"), value="+19075550123")
    person = a_person(
        zones=("America/Anchorage",),
        residences=(Residence(country="US", region="US-AK"),),
        points=(elsewhere,),
        language="en",
    )
    case = a_case(country="US", region="US-AK", language="en", currency="USD", product="retail_instalment")
    certified = a_collector(certified={"US": date(2026, 12, 31)})
    stored(store, a_lender(pay_to={"US": "official desk"}), an_agency(), certified, person, case, *approved(*TEXTS))
    morning_in_anchorage = datetime(2026, 11, 24, 17, 0, tzinfo=UTC)
    wish = a_wish_for("call", template="us-call-first")
    decided = rule_on(store, ask(store, wish, now=morning_in_anchorage), now=morning_in_anchorage)
    assert decided.state is AttemptState.DEFERRED
    assert ruling_of(store, decided)["next_allowed_at"] == "2026-11-24T18:00:00Z"


def test_a_passed_review_does_not_open_the_night(case_on_file: Store) -> None:
    stored(case_on_file, an_agency(inspected_on=None, version=2))
    night = datetime(2026, 11, 23, 15, 30, tzinfo=UTC)
    waiting = rule_on(case_on_file, ask(case_on_file, a_wish_for(), now=night), now=night)
    assert waiting.state is AttemptState.IN_REVIEW
    assert {"review", "defer"} <= {rule["effect"] for rule in ruling_of(case_on_file, waiting)["rules"]} | {"review"}
    passed = messages.review_message(
        case_on_file,
        Scope(LENDER),
        waiting.id,
        decision="approve",
        reason="report seen on paper",
        actor=TEST_ACTOR,
        now=night,
        req="req_3",
    )
    still = rule_on(case_on_file, passed, now=night)
    assert (still.state, still.approved) == (AttemptState.DEFERRED, None)
    assert still.due_at == "2026-11-24T00:00:00.000Z"
    morning = datetime(2026, 11, 24, tzinfo=UTC)
    released = dispatch.release(
        case_on_file, Scope(LENDER), still.id, "due", actor=dispatch.REAPER, now=morning, req="req_4"
    )
    assert released is not None
    assert rule_on(case_on_file, released, now=morning).state is AttemptState.APPROVED


def test_an_opt_out_by_text_in_china_is_honoured_in_silence(case_on_file: Store) -> None:
    """CN-SMS-2 lets nothing but notices that law calls for go to a number that has opted out, so nobody confirms it."""
    point = case_on_file.point_views(Scope(LENDER), a_person())[0]
    point.save()
    stop = ProviderEvent(kind="inbound", provider="sns", dedup_id="m1", recipient="+8613812345678", text="TD")
    received = provider_events.receive(
        case_on_file, Scope(LENDER), stop, channel="sms", kind="mobile", clock=lambda: NOW, req="req_i"
    )
    assert received.persons == 1
    assert case_on_file.ledger(Scope(LENDER), PERSON).consents[-1].event == "stop_medium"
    happened = [event.type.value for event in case_on_file.events(Scope(LENDER), keys.person_pk(LENDER, PERSON))]
    assert happened == ["inbound.received", "consent.changed"]
    assert case_on_file.events(Scope(LENDER), keys.case_pk(LENDER, CASE)) == []


def test_a_confirmation_that_an_agency_wishes_for_all_the_same_is_refused_on_record(case_on_file: Store) -> None:
    inbound = ContactEntry(
        id="in_1", at="2026-11-23T01:59:00Z", direction="in", channel="sms", party=PERSON, point="pt_1",
        outcome="received",
    )  # fmt: skip
    stop = ConsentEntry(
        at="2026-11-23T01:59:00Z", party=PERSON, point="pt_1", medium="sms", event="stop_medium", scope="medium",
        direct=True, written=True,
    )  # fmt: skip
    stored(case_on_file, a_ledger(history=(inbound,), consents=(stop,)), *approved("cn-sms-opt-out-confirmation"))
    wish = a_wish_for(template="cn-sms-opt-out-confirmation", reply_to="in_1", recorded=None)
    decided = rule_on(case_on_file, ask(case_on_file, wish))
    assert (decided.state, decided.due_at) == (AttemptState.DENIED, None)
    assert "CN-SMS-2" in {rule["id"] for rule in ruling_of(case_on_file, decided)["rules"]}
    told = [event for event in case_on_file.events(Scope(LENDER), keys.case_pk(LENDER, CASE)) if event.decision]
    assert [(event.decision or {})["outcome"] for event in told] == ["deny"]
    assert all("CN-SMS-2" in (event.decision or {})["reasons"] for event in told)
