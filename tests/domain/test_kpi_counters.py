"""Counters: what each event adds, to which agency and to which local day."""

from datetime import date

import pytest

from chalicelib.domain.events import EventType
from chalicelib.domain.kpi import counters as kpi
from chalicelib.domain.kpi import periods
from chalicelib.domain.kpi.counters import EVER, NO_AGENCY, WHOLE_LENDER, Cell
from tests.builders import AGENCY, LENDER
from tests.kpi_builders import CONTACT, DAY, MONTH, WEEK, History, a_worked_day, counters_of

CASES = {"cases_attempted": 1, "cases_dialled": 1, "cases_right_party": 1, "cases_contactable": 1}


def test_worked_day_has_the_counters_counted_by_hand() -> None:
    counters = counters_of(a_worked_day())
    assert {cell for cell in counters if kpi.is_slice(cell.who)} == {
        Cell(LENDER, "portfolio:pf_1", p) for p in (MONTH, kpi.EVER)
    }
    assert {cell: counts for cell, counts in counters.items() if not kpi.is_slice(cell.who)} == {
        Cell(LENDER, "-", DAY): {"placed": 3, "placed_cases:CNY": 3, "placed_minor:CNY": 400_000},
        Cell(LENDER, AGENCY, DAY): {
            "assigned": 2,
            "assigned_cases:CNY": 2,
            "assigned_minor:CNY": 350_000,
            "payments:CNY": 2,
            "paid_minor:CNY": 100_000,
            "reversals:CNY": 1,
            "reversed_minor:CNY": 20_000,
            "promises_kept": 3,
            "kept_cases:CNY": 3,
            "kept_minor:CNY": 30_000,
            "promises_broken": 1,
            "broken_cases:CNY": 1,
            "broken_minor:CNY": 30_000,
            "attempts": 16,
            "channel_attempts:call": 10,
            "channel_attempts:sms": 5,
            "channel_attempts:email": 1,
            "human_attempts": 10,
            "channel_human_attempts:call": 10,
            "connected": 6,
            "channel_connected:call": 6,
            "right_party": 4,
            "channel_right_party:call": 4,
            "promised_contacts": 2,
            "decided": 20,
            "allowed": 14,
            "deferred": 3,
            "deferred_by_rule:cn.hours": 3,
            "deferred_by_rule:cn.cap": 1,
            "reviewed": 1,
            "reviewed_by_rule:cn.third_party": 1,
            "denied": 2,
            "denied_by_rule:cn.cap": 2,
            "complaints": 1,
            "risk_events": 2,
            "risk_events_confirmed": 1,
            "risk_points": 10,
            "channel_delivered:email": 1,
            "channel_delivered:sms": 1,
            "commissionable_minor:CNY": 80_000,
            "promise_paid_minor:CNY": 30_000,
            "entered": 2,
            **CASES,
        },
        # What happened to the first case, which is of the lender as of the agency.
        Cell(LENDER, "*", DAY): {"entered": 3, **CASES},
        # Five persons were attempted; two were spoken to by the agency, a third wrote back to the lender's number.
        Cell(LENDER, AGENCY, WEEK): {"persons_attempted": 5, "persons_reached": 2, **CASES},
        Cell(LENDER, "*", WEEK): {"persons_attempted": 5, "persons_reached": 3, **CASES},
        Cell(LENDER, AGENCY, MONTH): {
            "persons_attempted": 5,
            "persons_reached": 2,
            **CASES,
            "cases_paid_after_contact": 1,
        },
        Cell(LENDER, "*", MONTH): {
            "persons_attempted": 5,
            "persons_reached": 3,
            **CASES,
            "cases_paid_after_contact": 1,
        },
        Cell(LENDER, AGENCY, kpi.EVER): {"entered:2026-11": 2},
        Cell(LENDER, "*", kpi.EVER): {"entered:2026-11": 3},
    }


@pytest.mark.parametrize(
    ("zone", "at", "day"),
    [
        # Shanghai is UTC+8 all year: its day begins at 16:00 UTC.
        ("Asia/Shanghai", "2026-11-22T15:59:59.999Z", "2026-11-22"),
        ("Asia/Shanghai", "2026-11-22T16:00:00.000Z", "2026-11-23"),
        # New York in winter is UTC-5, in summer UTC-4.
        ("America/New_York", "2026-11-23T04:59:59.999Z", "2026-11-22"),
        ("America/New_York", "2026-11-23T05:00:00.000Z", "2026-11-23"),
        ("America/New_York", "2026-07-01T03:59:59.999Z", "2026-06-30"),
        ("America/New_York", "2026-07-01T04:00:00.000Z", "2026-07-01"),
        # The clock goes back at 06:00 UTC on 2026-11-01, so that day has 25 hours: 04:00 UTC to 05:00 UTC.
        ("America/New_York", "2026-11-01T03:59:59.999Z", "2026-10-31"),
        ("America/New_York", "2026-11-01T04:00:00.000Z", "2026-11-01"),
        ("America/New_York", "2026-11-02T04:59:59.999Z", "2026-11-01"),
        ("America/New_York", "2026-11-02T05:00:00.000Z", "2026-11-02"),
        # And forward at 07:00 UTC on 2026-03-08: 23 hours.
        ("America/New_York", "2026-03-09T03:59:59.999Z", "2026-03-08"),
        ("America/New_York", "2026-03-09T04:00:00.000Z", "2026-03-09"),
        # A zone with minutes in its offset.
        ("Asia/Kolkata", "2026-11-22T18:29:59.999Z", "2026-11-22"),
        ("Asia/Kolkata", "2026-11-22T18:30:00.000Z", "2026-11-23"),
    ],
)
def test_an_event_belongs_to_its_day_in_the_lenders_zone(zone: str, at: str, day: str) -> None:
    history = History().add(EventType.CONTACT_SENT, CONTACT, at=at)
    assert {cell.period for cell in counters_of(history, zone)} == {day, periods.week_of(day), day[:7]}


def test_an_instant_that_is_not_utc_is_a_fault() -> None:
    with pytest.raises(ValueError, match="UTC"):
        periods.local_day("2026-11-23T00:00:00.000+08:00", "Asia/Shanghai")


@pytest.mark.parametrize(
    ("state", "attempts"), [("sending", 1), ("unknown", 1), ("sent", 0), ("delivered", 0), (None, 0)]
)
@pytest.mark.parametrize("event_type", [EventType.CONTACT_DELIVERED, EventType.CONTACT_FAILED])
def test_a_carriers_report_is_the_attempt_only_when_nothing_said_so_before(
    event_type: EventType, state: str | None, attempts: int
) -> None:
    history = History().add(event_type, {**CONTACT, "from": state})
    assert counters_of(history).get(Cell(LENDER, AGENCY, DAY), {}).get("attempts", 0) == attempts


def test_a_lost_message_that_a_carrier_later_confirms_is_one_attempt() -> None:
    history = History().add(EventType.CONTACT_UNKNOWN, CONTACT).sent()
    history.add(EventType.CONTACT_DELIVERED, {**CONTACT, "from": "sent"})
    assert counters_of(history)[Cell(LENDER, AGENCY, DAY)] == {
        "lost": 1,
        "attempts": 1,
        "channel_attempts:sms": 1,
        "channel_delivered:sms": 1,
        "cases_attempted": 1,
        "cases_contactable": 1,
    }


def test_an_activity_without_clearance_is_an_attempt_of_its_own() -> None:
    activity = {"action": "visit", "result": "VISIT-MET", "contact": None, "person": "per_1", "org": AGENCY}
    history = History().add(
        EventType.ACTIVITY_RECORDED, {**activity, "attempt": True, "connect": True, "right_party": True}
    )
    counters = counters_of(history)
    assert {cell: counters[cell] for cell in counters if cell.period == DAY or cell.period == MONTH} == {
        Cell(LENDER, AGENCY, DAY): {
            **CASES,
            "attempts": 1,
            "channel_attempts:visit": 1,
            "human_attempts": 1,
            "channel_human_attempts:visit": 1,
            "connected": 1,
            "channel_connected:visit": 1,
            "right_party": 1,
            "channel_right_party:visit": 1,
        },
        Cell(LENDER, "*", DAY): CASES,
        Cell(LENDER, AGENCY, MONTH): {"persons_attempted": 1, "persons_reached": 1, **CASES},
        Cell(LENDER, "*", MONTH): {"persons_attempted": 1, "persons_reached": 1, **CASES},
    }


def test_a_person_who_called_in_and_was_never_attempted_is_in_no_success_rate() -> None:
    inbound = {"action": "call", "result": "INB", "contact": None, "person": "per_1", "org": AGENCY}
    history = History().add(
        EventType.ACTIVITY_RECORDED, {**inbound, "attempt": False, "connect": False, "right_party": True}
    )
    assert counters_of(history) == {}


def test_a_person_of_two_agencies_is_one_person_of_the_lender() -> None:
    history = History().sent(person="per_1").sent(person="per_1", org="agency-b")
    counters = counters_of(history)
    assert counters[Cell(LENDER, AGENCY, MONTH)] == {"persons_attempted": 1, "cases_attempted": 1}
    assert counters[Cell(LENDER, "agency-b", MONTH)] == {"persons_attempted": 1, "cases_attempted": 1}
    assert counters[Cell(LENDER, "*", MONTH)] == {"persons_attempted": 1, "cases_attempted": 1}


def test_what_the_lender_does_itself_belongs_to_no_agency() -> None:
    assert {cell.who for cell in counters_of(History().sent(org=LENDER))} == {"-", "*"}


def test_a_promise_judged_anew_counts_as_what_it_was_judged_last() -> None:
    history = (
        History().money(EventType.PROMISE_BROKEN, 500, was="open").money(EventType.PROMISE_KEPT, 500, was="broken")
    )
    assert counters_of(history) == {
        Cell(LENDER, AGENCY, DAY): {
            "promises_kept": 1,
            "kept_cases:CNY": 1,
            "kept_minor:CNY": 500,
            "promise_paid_minor:CNY": 500,
        }
    }


def test_a_request_and_its_release_count_nothing() -> None:
    history = History().add(EventType.CONTACT_REQUESTED, CONTACT).add(EventType.CONTACT_CLAIMED, CONTACT)
    assert counters_of(history) == {}


@pytest.mark.parametrize(
    ("event_type", "missing"),
    [
        (EventType.CASE_PLACED, "currency"),
        (EventType.PAYMENT_POSTED, "currency"),
        (EventType.CONTACT_DECIDED, "decision"),
        (EventType.CONTACT_REPORTED, "outcome"),
    ],
)
def test_an_event_without_its_data_is_a_fault_and_never_a_zero(event_type: EventType, missing: str) -> None:
    with pytest.raises(KeyError, match=missing):
        counters_of(History().add(event_type, {"org": AGENCY}))


def test_every_counter_that_events_make_is_in_the_list_with_a_meaning() -> None:
    named = {name.partition(":")[0] for name in kpi.COUNTERS}
    made = {name.partition(":")[0] for counts in counters_of(a_worked_day()).values() for name in counts}
    assert made <= named


def test_months_of_a_span_and_the_days_of_a_leap_month() -> None:
    assert periods.months_between(date(2026, 12, 31), date(2027, 1, 1)) == ["2026-12", "2027-01"]
    assert periods.month_span("2028-02") == ("2028-02-01", "2028-02-29")


# What needs a stream's past


def _at(day: int, hour: int = 4) -> str:
    return f"2026-11-{day:02d}T{hour:02d}:00:00.000Z"


def _a_case(**placed: object) -> History:
    data = {"placed_minor": 100_000, "currency": "CNY", "stage": "M2", "region": "CN-31", "portfolio": "pf_1"}
    return History().add(EventType.CASE_PLACED, {**data, **placed}, at=_at(2))


CALL = {**CONTACT, "channel": "call", "outcome": "conversation", "result": "RPC-NEG", "collector": "col-1"}


def test_a_call_counts_for_agency_stage_region_and_collector() -> None:
    history = _a_case().add(EventType.CONTACT_REPORTED, {**CALL, "connected": True, "right_party": True}, at=_at(3))
    counters = counters_of(history)
    found = {cell.who for cell, counts in counters.items() if cell.period == "2026-11-03" and counts.get("attempts")}
    assert found == {AGENCY, "stage:M2", "region:CN-31", f"collector:{AGENCY}/col-1"}


def test_what_happens_counts_for_the_strategy_whose_step_the_case_took_last() -> None:
    step = {"strategy": "early", "number": 1}
    history = _a_case().add(EventType.CONTACT_SENT, CONTACT, at=_at(3))
    # A wish that a plan has, what becomes of it, and then what a person asks for and does, and what is paid.
    history.add(EventType.CONTACT_REQUESTED, {**CONTACT, "strategy": "early@1"}, at=_at(4))
    history.decided("allow")
    history.add(EventType.PLAN_STEP_SETTLED, step, at=_at(4)).add(EventType.CONTACT_SENT, CONTACT, at=_at(4))
    history.add(EventType.CONTACT_REQUESTED, CONTACT, at=_at(5))
    history.add(EventType.CONTACT_REPORTED, {**CALL, "connected": True, "right_party": True}, at=_at(5))
    history.money(EventType.PAYMENT_POSTED, 10_000)
    # The next version, and then none.
    history.add(EventType.PLAN_STEP_SETTLED, {**step, "number": 2}, at=_at(24)).add(
        EventType.CONTACT_SENT, CONTACT, at=_at(24)
    )
    history.add(EventType.PLAN_STEP_SETTLED, {"strategy": None, "number": None}, at=_at(25))
    history.add(EventType.CONTACT_SENT, CONTACT, at=_at(25))
    counters = counters_of(history)
    found = {(cell.who, cell.period): counts for cell, counts in counters.items() if cell.who.startswith("strategy:")}
    assert {place: counts.get("attempts", 0) for place, counts in found.items()} == {
        ("strategy:early@1", "2026-11-04"): 1,
        ("strategy:early@1", "2026-11-05"): 1,
        ("strategy:early@1", DAY): 0,
        ("strategy:early@2", "2026-11-24"): 1,
    }
    assert found["strategy:early@1", "2026-11-05"]["right_party"] == 1
    assert (found["strategy:early@1", DAY]["decided"], found["strategy:early@1", DAY]["paid_minor:CNY"]) == (1, 10_000)


def test_duties_are_no_strategys() -> None:
    history = _a_case().add(EventType.PLAN_STEP_SETTLED, {"strategy": "early", "number": 1}, at=_at(3))
    duty = {"duty": "duty_1", "duty_kind": "complaint_answer", "subject": "cmp_1", "agency": AGENCY}
    history.add(EventType.DUTY_OPENED, duty, at=_at(3))
    assert not any(cell.who.startswith("strategy:") for cell in counters_of(history))


def test_a_case_is_counted_once_a_day_week_and_month_however_often_it_is_tried() -> None:
    history = _a_case()
    for day in (3, 3, 4, 30):
        history.add(EventType.CONTACT_SENT, CONTACT, at=_at(day))
    counters = counters_of(history)
    for who in ("*", AGENCY, "stage:M2"):
        found = {cell.period for cell, c in counters.items() if cell.who == who and c.get("cases_attempted") == 1}
        assert found == {"2026-11-03", "2026-11-04", "2026-11-30", "2026-W45", "2026-W49", "2026-11"}
    assert all(c.get("cases_attempted", 1) == 1 for c in counters.values())


@pytest.mark.parametrize(
    ("day", "converted"), [("2026-11-09", 0), ("2026-11-10", 1), ("2026-11-17", 1), ("2026-11-18", 0)]
)
def test_a_payment_converts_the_contact_of_up_to_seven_days_before(day: str, converted: int) -> None:
    history = _a_case().add(EventType.CONTACT_REPORTED, {**CALL, "connected": True, "right_party": True}, at=_at(10))
    history.add(EventType.PAYMENT_POSTED, _payment("pay_1", day), at=_at(28))
    assert counters_of(history)[Cell(LENDER, "*", MONTH)].get("cases_paid_after_contact", 0) == converted


def test_a_reversed_payment_converts_nothing() -> None:
    history = _a_case().add(EventType.CONTACT_REPORTED, {**CALL, "connected": True, "right_party": True}, at=_at(10))
    history.add(EventType.PAYMENT_POSTED, _payment("pay_1", "2026-11-11"), at=_at(12))
    history.add(EventType.PAYMENT_REVERSED, {**_payment("pay_2", "2026-11-13"), "reversal_of": "pay_1"}, at=_at(14))
    assert "cases_paid_after_contact" not in counters_of(history)[Cell(LENDER, "*", MONTH)]


def _payment(name: str, day: str) -> dict[str, object]:
    amounts = {"amount_minor": 500, "applied_minor": 500, "currency": "CNY", "agency": AGENCY, "commissionable": True}
    return {"payment": name, "received_on": day, "reversal_of": None, **amounts}


@pytest.mark.parametrize(
    ("day", "pools"),
    [
        ("2026-12-02", {"settled_in_30": 1, "settled_in_60": 1, "settled_in_90": 1, "self_settled_in_30": 1}),
        ("2026-12-03", {"settled_in_60": 1, "settled_in_90": 1}),
        ("2027-02-01", {}),
    ],
)
def test_a_settled_case_counts_on_the_day_of_its_placement(day: str, pools: dict[str, int]) -> None:
    history = _a_case().add(EventType.CASE_CHANGED, {"to": "settled", "agency": AGENCY}, at=f"{day}T04:00:00.000Z")
    found = counters_of(history)[Cell(LENDER, "stage:M2", "2026-11-02")]
    assert {name: count for name, count in found.items() if "settled" in name} == pools


def test_a_case_settled_after_somebody_was_spoken_to_did_not_cure_itself() -> None:
    history = _a_case().add(EventType.CONTACT_REPORTED, {**CALL, "connected": True, "right_party": False}, at=_at(3))
    history.add(EventType.CASE_CHANGED, {"to": "settled", "agency": AGENCY}, at=_at(4))
    found = counters_of(history)[Cell(LENDER, "stage:M2", "2026-11-02")]
    assert found["settled_in_30"] == 1 and "self_settled_in_30" not in found


def test_a_case_leaves_once_for_the_lender_and_for_its_agency() -> None:
    history = _a_case().add(
        EventType.CASE_ASSIGNED, {"agency": AGENCY, "placed_minor": 1, "currency": "CNY"}, at=_at(2)
    )
    for _ in range(2):
        history.add(EventType.CASE_CHANGED, {"to": "recalled", "agency": AGENCY}, at=_at(20))
    counters = counters_of(history)
    assert [counters[Cell(LENDER, who, "2026-11-20")]["left"] for who in ("*", AGENCY, "stage:M2")] == [1, 1, 1]
    assert counters[Cell(LENDER, "-", "2026-11-02")]["recalled_in_30_minor:CNY"] == 100_000


def _duty(kind: str, duty: str = "duty_1", **more: object) -> dict[str, object]:
    return {"duty": duty, "duty_kind": kind, "subject": "cmp_1", "agency": AGENCY, "late": False, **more}


@pytest.mark.parametrize(
    ("done_at", "name"), [("2026-11-04T04:00:00Z", "feedback_in_48h"), ("2026-11-04T04:00:01Z", "feedback_late")]
)
def test_feedback_is_answered_within_48_hours_of_its_receipt(done_at: str, name: str) -> None:
    history = History()
    for duty in ("duty_1", "duty_2"):
        history.add(EventType.DUTY_OPENED, _duty("complaint_answer", duty), at=_at(2), stream="per_1")
    for duty in ("duty_1", "duty_2"):
        done = _duty("complaint_answer", duty, done_at=done_at)
        history.add(EventType.DUTY_FULFILLED, done, at=_at(5), stream="per_1")
    counts = counters_of(history)[Cell(LENDER, AGENCY, "2026-11-02")]
    # Two duties about one complaint are one item of feedback.
    assert (counts["feedback_received"], counts[name]) == (1, 1)
    assert (counts["items_received"], counts[name.replace("feedback", "items")]) == (1, 1)
    assert {each for each in counts if each.startswith("feedback")} == {"feedback_received", name}


def test_entered_feedback_counts_beside_the_laws_and_one_complaint_is_one_item() -> None:
    history = History()
    for duty, kind, subject in (
        ("duty_1", "complaint_answer", "cmp_1"),
        ("duty_2", "feedback_answer", "cmp_1"),
        ("duty_3", "feedback_answer", "fb_1"),
        ("duty_4", "feedback_answer", "fb_1-r2"),
    ):
        history.add(EventType.DUTY_OPENED, _duty(kind, duty, subject=subject), at=_at(2), stream="per_1")
    done = _duty("feedback_answer", "duty_3", done_at="2026-11-02T09:00:00Z")
    history.add(EventType.DUTY_FULFILLED, done, at=_at(5), stream="per_1")
    counts = counters_of(history)[Cell(LENDER, AGENCY, "2026-11-02")]
    told = ("items_received", "items_in_48h", "feedback_received")
    assert {name: counts.get(name) for name in told} == {"items_received": 3, "items_in_48h": 1, "feedback_received": 1}


@pytest.mark.parametrize(("score", "good"), [(1, 0), (3, 0), (4, 1), (5, 1)])
def test_scores_of_4_and_5_are_satisfied_customers(score: int, good: int) -> None:
    history = History()
    for each in (score, None):
        told = {"score": each, "channel": "call", "agency": AGENCY}
        history.add(EventType.FEEDBACK_RECEIVED, told, at=_at(2), stream="per_1")
    counts = counters_of(history)[Cell(LENDER, AGENCY, "2026-11-02")]
    assert (counts["scores"], counts.get("scores_good", 0)) == (1, good)
    assert (counts["channel_scores:call"], counts.get("channel_scores_good:call", 0)) == (1, good)


def test_first_attempts_count_apart_and_a_collector_once_however_often_they_sit() -> None:
    history = History()
    for stream, attempt, passed in (("trn_1", 1, False), ("trn_1", 2, True), ("trn_1", 1, True), ("trn_2", 1, False)):
        told = {"exam_attempt": attempt, "passed": passed, "agency": AGENCY, "collector": stream}
        history.add(EventType.EXAM_MARKED, told, at=_at(2), stream=stream)
    counts = counters_of(history)
    own, whole = counts[Cell(LENDER, AGENCY, "2026-11-02")], counts[Cell(LENDER, WHOLE_LENDER, MONTH)]
    assert {name: own[name] for name in ("exams", "exams_passed", "exams_first", "exams_first_passed")} == {
        "exams": 4, "exams_passed": 2, "exams_first": 3, "exams_first_passed": 1,
    }  # fmt: skip
    assert (whole["trainees_assessed"], whole["trainees_passed"]) == (2, 1)
    assert counts[Cell(LENDER, f"collector:{AGENCY}/trn_2", "2026-11-02")]["exams"] == 1


def test_a_collector_joins_and_leaves_once_however_often_it_is_said() -> None:
    history = History()
    for day, collector, left in (
        (2, "a", False),
        (3, "a", False),
        (3, "b", False),
        (5, "a", True),
        (6, "a", True),
        (9, "a", False),
    ):
        told = {"org": AGENCY, "collector": collector, "left": left}
        history.add(EventType.COLLECTOR_REGISTERED, told, at=_at(day), stream=AGENCY)
    history.add(
        EventType.COLLECTOR_REGISTERED, {"org": LENDER, "collector": "a", "left": False}, at=_at(2), stream=LENDER
    )
    counts = counters_of(history)
    assert counts[Cell(LENDER, AGENCY, EVER)] == {"collectors_joined:2026-11": 3, "collectors_left:2026-11": 1}
    assert counts[Cell(LENDER, AGENCY, "2026-11-05")] == {"collectors_left": 1}
    assert counts[Cell(LENDER, NO_AGENCY, "2026-11-02")] == {"collectors_joined": 1}


def test_an_acknowledgement_is_no_answer() -> None:
    history = History().add(EventType.DUTY_OPENED, _duty("complaint_acknowledgement"), at=_at(2), stream="per_1")
    assert "feedback_received" not in counters_of(history)[Cell(LENDER, AGENCY, "2026-11-02")]


def test_a_duty_that_lapsed_and_was_done_after_all_is_overdue_once() -> None:
    history = History().add(EventType.DUTY_OPENED, _duty("validation_notice"), at=_at(2))
    history.add(EventType.DUTY_LAPSED, _duty("validation_notice"), at=_at(8))
    history.add(EventType.DUTY_FULFILLED, _duty("validation_notice", late=True, done_at=_at(9)), at=_at(9))
    counters = counters_of(history)
    assert counters[Cell(LENDER, AGENCY, "2026-11-08")] == {"duties_overdue:validation_notice": 1}
    assert Cell(LENDER, AGENCY, "2026-11-09") not in counters


def test_surveys_are_a_pool_of_the_day_on_which_they_were_sent() -> None:
    history, told = History(), {"agency": AGENCY, "channel": "sms"}
    for number in range(4):
        history.add(EventType.SURVEY_SENT, {**told, "survey": f"srv_{number}"}, at=_at(2))
    for number, (score, counted) in enumerate(((5, True), (2, True), (5, False))):
        answer = {**told, "survey": f"srv_{number}", "score": score, "counted": counted}
        history.add(EventType.SURVEY_ANSWERED, answer, at=_at(8))
    history.add(EventType.SURVEY_ANSWERED, {**told, "survey": "srv_0", "score": 1, "counted": True}, at=_at(9))
    history.add(EventType.SURVEY_ENDED, {"agency": AGENCY, "survey": "srv_2", "was_sent": False}, at=_at(16))
    history.add(EventType.SURVEY_ENDED, {"agency": AGENCY, "survey": "srv_3", "was_sent": True}, at=_at(3))
    counters = counters_of(history)
    plain = {"surveys_sent": 3, "surveys_answered": 2, "surveys_good": 1}
    by_channel = {f"channel_{name}:sms": count for name, count in plain.items()}
    assert counters[Cell(LENDER, AGENCY, "2026-11-02")] == plain | by_channel
    assert not any(
        "survey" in name for cell, counts in counters.items() if cell.period != "2026-11-02" for name in counts
    )
