"""Counters: what each event adds, to which agency and to which local day."""

from datetime import date

import pytest

from chalicelib.domain.events import EventType
from chalicelib.domain.kpi import counters as kpi
from chalicelib.domain.kpi.counters import Cell
from tests.builders import AGENCY, LENDER
from tests.kpi_builders import CONTACT, DAY, MONTH, History, a_worked_day, counters_of


def test_worked_day_has_the_counters_counted_by_hand() -> None:
    assert counters_of(a_worked_day()) == {
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
            "risk_events": 1,
        },
        # Five persons were attempted; two were spoken to by the agency, a third wrote back to the lender's number.
        Cell(LENDER, AGENCY, MONTH): {"persons_attempted": 5, "persons_reached": 2},
        Cell(LENDER, "*", MONTH): {"persons_attempted": 5, "persons_reached": 3},
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
    assert {cell.period for cell in counters_of(history, zone)} == {day, day[:7]}


def test_an_instant_that_is_not_utc_is_a_fault() -> None:
    with pytest.raises(ValueError, match="UTC"):
        kpi.local_day("2026-11-23T00:00:00.000+08:00", "Asia/Shanghai")


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
    }


def test_an_activity_without_clearance_is_an_attempt_of_its_own() -> None:
    activity = {"action": "visit", "result": "VISIT-MET", "contact": None, "person": "per_1", "org": AGENCY}
    history = History().add(
        EventType.ACTIVITY_RECORDED, {**activity, "attempt": True, "connect": True, "right_party": True}
    )
    assert counters_of(history) == {
        Cell(LENDER, AGENCY, DAY): {
            "attempts": 1,
            "channel_attempts:visit": 1,
            "human_attempts": 1,
            "channel_human_attempts:visit": 1,
            "connected": 1,
            "channel_connected:visit": 1,
            "right_party": 1,
            "channel_right_party:visit": 1,
        },
        Cell(LENDER, AGENCY, MONTH): {"persons_attempted": 1, "persons_reached": 1},
        Cell(LENDER, "*", MONTH): {"persons_attempted": 1, "persons_reached": 1},
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
    assert counters[Cell(LENDER, AGENCY, MONTH)] == {"persons_attempted": 1}
    assert counters[Cell(LENDER, "agency-b", MONTH)] == {"persons_attempted": 1}
    assert counters[Cell(LENDER, "*", MONTH)] == {"persons_attempted": 1}


def test_what_the_lender_does_itself_belongs_to_no_agency() -> None:
    assert set(counters_of(History().sent(org=LENDER))) == {
        Cell(LENDER, "-", DAY),
        Cell(LENDER, "-", MONTH),
        Cell(LENDER, "*", MONTH),
    }


def test_a_promise_judged_anew_counts_as_what_it_was_judged_last() -> None:
    history = (
        History().money(EventType.PROMISE_BROKEN, 500, was="open").money(EventType.PROMISE_KEPT, 500, was="broken")
    )
    assert counters_of(history) == {
        Cell(LENDER, AGENCY, DAY): {"promises_kept": 1, "kept_cases:CNY": 1, "kept_minor:CNY": 500}
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
    assert kpi.months_between(date(2026, 12, 31), date(2027, 1, 1)) == ["2026-12", "2027-01"]
    assert kpi.month_span("2028-02") == ("2028-02-01", "2028-02-29")
