"""Duties: the machine is total, the clocks keep their calendars and zones, and the catalogue is sound."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import product
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from chalicelib.domain.compliance import load_packs
from chalicelib.domain.duties import catalogue, clock
from chalicelib.domain.duties.catalogue import Clock, DutyRule, duty_rules, rule_of
from chalicelib.domain.duties.duty import Duty, DutyEvent, DutyState, Evidence, answer, duty_id
from chalicelib.domain.duties.places import places_of
from chalicelib.domain.events import EventType
from chalicelib.domain.people.person import Residence
from chalicelib.domain.state_table import Move, Refuse, Stay
from tests.builders import a_person

S, E = DutyState, DutyEvent
PAIRS = list(product(DutyState, DutyEvent))
SHANGHAI, NEW_YORK, LOS_ANGELES = "Asia/Shanghai", "America/New_York", "America/Los_Angeles"

# The machine


@pytest.mark.parametrize(("state", "event"), PAIRS)
def test_an_event_that_ended_a_duty_does_no_harm_when_it_comes_again(state: DutyState, event: DutyEvent) -> None:
    first = answer(state, event)
    if isinstance(first, Move) and first.to is not S.OPEN:
        assert isinstance(answer(first.to, event), Stay)


@pytest.mark.parametrize(("state", "event"), [pair for pair in PAIRS if pair[0] in (S.FULFILLED, S.WAIVED)])
def test_nothing_moves_a_duty_that_is_fulfilled_or_waived(state: DutyState, event: DutyEvent) -> None:
    assert not isinstance(answer(state, event), Move)


def test_what_lapsed_can_be_done_late_and_not_be_waived_or_extended() -> None:
    assert answer(S.LAPSED, E.FULFIL) == Move(S.FULFILLED)
    assert isinstance(answer(S.LAPSED, E.WAIVE), Refuse)
    assert isinstance(answer(S.LAPSED, E.EXTEND), Refuse)


@pytest.mark.parametrize("state", DutyState)
@pytest.mark.parametrize("event", [E.FULFIL, E.ESCALATE, E.LAPSE])
def test_facts_and_clocks_are_never_refused(state: DutyState, event: DutyEvent) -> None:
    assert not isinstance(answer(state, event), Refuse)


# Clocks


def at(text: str, zone: str = "UTC") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


INSTANTS = st.integers(0, 13 * 365 * 24 * 60).map(lambda m: datetime(2021, 1, 1, tzinfo=UTC) + timedelta(minutes=m))
ZONES = st.lists(st.sampled_from([SHANGHAI, NEW_YORK, LOS_ANGELES, "Australia/Sydney"]), min_size=1, max_size=3)


@given(opened=INSTANTS, days=st.integers(0, 90), zones=ZONES)
def test_plain_days_end_with_a_local_day_and_the_earliest_zone_counts(
    opened: datetime, days: int, zones: list[str]
) -> None:
    due = clock.after_days(opened, days, zones=zones).at
    ends = []
    for zone in zones:
        last = opened.astimezone(ZoneInfo(zone)).date() + timedelta(days=days)
        ends.append(datetime.combine(last + timedelta(days=1), time(), ZoneInfo(zone)).astimezone(UTC))
    assert due == min(ends) and due > opened


@given(opened=INSTANTS, days=st.integers(1, 30), zone=st.sampled_from([NEW_YORK, LOS_ANGELES]))
def test_business_days_count_no_weekend_and_no_holiday(opened: datetime, days: int, zone: str) -> None:
    due = clock.after_business_days(opened, days, calendar="us-federal", zones=[zone])
    first = opened.astimezone(ZoneInfo(zone)).date()
    last = (due.at.astimezone(ZoneInfo(zone)) - timedelta(seconds=1)).date()
    between = [first + timedelta(days=n) for n in range(1, (last - first).days + 1)]
    working = [d for d in between if d.isoweekday() <= 5 and d not in clock.holidays("us-federal")[d.year]]
    assert (len(working), working[-1], due.doubts) == (days, last, ())


@given(opened=INSTANTS, days=st.integers(1, 30))
def test_without_holidays_a_business_day_is_never_later(opened: datetime, days: int) -> None:
    kept = clock.after_business_days(opened, days, calendar="us-federal", zones=[NEW_YORK]).at
    assert clock.after_business_days(opened, days, calendar="weekdays", zones=[NEW_YORK]).at <= kept


def test_ten_business_days_over_thanksgiving_end_where_a_calendar_says() -> None:
    # Monday 16 November 2026; Thursday 26 is Thanksgiving: the tenth business day is Tuesday 1 December.
    due = clock.after_business_days(at("2026-11-16T15:00", NEW_YORK), 10, calendar="us-federal", zones=[NEW_YORK])
    assert due.at == at("2026-12-02T00:00", NEW_YORK)


def test_a_year_that_no_calendar_lists_is_named_and_taken_without_holidays() -> None:
    missing = max(clock.holidays("us-federal")) + 1
    due = clock.after_business_days(
        datetime(missing - 1, 12, 30, 12, tzinfo=UTC), 5, calendar="us-federal", zones=[NEW_YORK]
    )
    assert due.doubts == (f"calendar.us-federal.{missing}",)
    assert clock.after_business_days(at("2026-12-01T12:00"), 5, calendar="us-federal", zones=["UTC"]).doubts == ()


@pytest.mark.parametrize(("days", "end"), [(0, "2026-12-10T00:00"), (1, "2026-12-10T00:00"), (10, "2026-12-01T00:00")])
def test_days_before_a_stated_date_leave_that_many_dates(days: int, end: str) -> None:
    assert clock.before_days(date(2026, 12, 10), days, zones=[SHANGHAI]).at == at(end, SHANGHAI)


def test_business_days_before_a_date_leave_that_many_business_days() -> None:
    # Monday 30 November 2026: Friday 27, Wednesday 25 and Tuesday 24 lie before it, Thursday is Thanksgiving.
    due = clock.before_business_days(date(2026, 11, 30), 3, calendar="us-federal", zones=[NEW_YORK])
    assert due.at == at("2026-11-25T00:00", NEW_YORK)


def test_hours_are_hours_also_over_a_change_of_clocks() -> None:
    opened = at("2026-10-31T23:30", NEW_YORK)
    assert clock.after_hours(opened, 24).at - opened == timedelta(hours=24)


# The catalogue


@pytest.mark.parametrize("rule", duty_rules(), ids=lambda rule: rule.key)
def test_an_entry_escalates_before_it_is_due_and_only_then(rule: DutyRule) -> None:
    opened = datetime(2026, 11, 23, 2, tzinfo=UTC)
    due = rule.due.due(opened, stated=date(2026, 12, 24), zones=[SHANGHAI]).at
    steps = rule.steps(opened, due)
    assert len(steps) >= 2
    assert all(opened < moment < due for _, moment in steps)
    assert [moment for _, moment in steps] == sorted(moment for _, moment in steps)


@pytest.mark.parametrize("rule", duty_rules(), ids=lambda rule: rule.key)
def test_an_entry_is_cited_and_every_event_that_it_names_says_what_it_asks(rule: DutyRule) -> None:
    assert rule.citation and rule.note.zh != rule.note.en and rule.title.zh != rule.title.en
    asked = {(trigger.type, name) for trigger in (*rule.opens, *rule.discharged_by) for name in trigger.wanted}
    told = {
        EventType.HOLD_PLACED: {"kind", "written"},
        EventType.CONSENT_CHANGED: {"event", "medium"},
        EventType.CONTACT_SENT: {"purpose", "channel"},
        EventType.CASE_CHANGED: {"to"},
        EventType.FEEDBACK_RECEIVED: {"clocked"},
        EventType.LITIGATION_CHANGED: {"litigation_event", "to"},
    }
    assert all(name in told[kind] for kind, name in asked if kind is not None)
    assert {days for days in (each.days for each in rule.extensions) if days <= (rule.due.days or 0)} == set()


def test_entries_of_a_shipped_rule_cite_what_the_rule_cites() -> None:
    shipped = {
        rule["id"]: rule["citation"] for name in load_packs().index for rule in load_packs().pack(name).data["rules"]
    }
    shared = [rule for rule in duty_rules() if rule.rule in shipped and rule.grade != "house"]
    assert len(shared) >= 5
    for rule in shared:
        assert rule.citation.split(";")[0].split("(")[0] in shipped[rule.rule], rule.key


def test_every_rule_that_obliges_in_a_ruling_has_an_entry() -> None:
    obliging = {
        rule["id"]
        for name in load_packs().index
        for rule in load_packs().pack(name).data["rules"]
        if rule["params"].get("effect") == "oblige" or rule["shape"] == "duty"
    }
    assert obliging
    for rule in obliging:
        assert catalogue.is_event_duty(rule) or catalogue.opened_by_ruling(rule, on=date(2026, 11, 28)), rule


def test_an_entry_begins_and_ends_with_its_dates() -> None:
    facts = {"kind": "dispute", "written": True}
    before = {o.rule.rule for o in catalogue.opened_by_event(EventType.HOLD_PLACED, facts, on=date(2026, 8, 31))}
    after = {o.rule.rule for o in catalogue.opened_by_event(EventType.HOLD_PLACED, facts, on=date(2026, 9, 1))}
    assert after - before == {"US-NYC-DISPUTE"}


def kinds_of(**facts: Any) -> dict[str, tuple[str, ...]]:
    opened = catalogue.opened_by_event(EventType.HOLD_PLACED, {"kind": "dispute", **facts}, on=date(2026, 11, 28))
    return {opening.rule.kind: opening.doubts for opening in opened if opening.rule.rule == "US-NY-SUBST"}


def test_whether_a_dispute_was_written_chooses_the_clock_and_unknown_opens_both_with_a_doubt() -> None:
    assert set(kinds_of(written=True)) == {"substantiation", "substantiation_acknowledgement"}
    assert set(kinds_of(written=False)) == {"substantiation", "substantiation_instructions"}
    assert kinds_of(written=None) == {
        "substantiation": (),
        "substantiation_acknowledgement": ("written",),
        "substantiation_instructions": ("written",),
    }


def test_a_fact_that_is_not_on_file_discharges_nothing() -> None:
    rule = rule_of("US-REGF-VALID-5D", "validation_notice")
    assert rule is not None
    assert catalogue.discharges(rule, EventType.CONTACT_SENT, {"purpose": "validation_notice"})
    assert not catalogue.discharges(rule, EventType.CONTACT_SENT, {"purpose": "demand"})
    assert not catalogue.discharges(rule, EventType.CONTACT_SENT, {})


@pytest.mark.parametrize(
    ("residence", "reached"),
    [
        ({"country": "US", "region": "US-NY", "city": "New York", "postal_code": "10001"}, ()),
        ({"country": "US", "region": "US-NY", "city": "Buffalo", "postal_code": "14201"}, None),
        ({"country": "US", "region": "US-NY"}, ("residence.region",)),
        ({"country": "US"}, ("residence.region",)),
        ({"country": "US", "region": "US-TX", "city": "Austin"}, None),
        ({"country": "CN", "region": "CN-SH"}, None),
    ],
)
def test_a_city_is_told_from_its_state_and_an_unknown_place_is_a_doubt(
    residence: dict[str, str], reached: tuple[str, ...] | None
) -> None:
    person = a_person(residences=(Residence(**residence),))
    rule = rule_of("US-NYC-DISPUTE", "dispute_verification")
    assert rule is not None
    assert rule.reaches(frozenset({residence["country"]}), places_of(person, load_packs())) == reached


@pytest.mark.parametrize(
    "changes",
    [
        {"due": {}},
        {"due": {"days": 1, "hours": 1}},
        {"due": {"business_days": 2}},
        {"due": {"days": 2, "calendar": "us-federal"}},
        {"due": {"business_days": 2, "calendar": "atlantis"}},
        {"due": {"days_before": 3}},
        {"opens": []},
        {"opens": [{"type": "no.event"}]},
        {"opens": [{"type": "hold.placed", "report": "x_y"}]},
        {"opens": [{"type": "hold.placed", "kind": "dispute"}]},
        {"escalate": ["soon"]},
        {"confidence": "memory-weak"},
        {"note": {"en": "only one"}},
        {"unknown": 1},
    ],
)
def test_malformed_entries_do_not_load(changes: dict[str, Any]) -> None:
    good = rule_of("US-TX-DISPUTE", "dispute_answer")
    assert good is not None
    body = good.model_dump(by_alias=True, exclude_none=True)
    body["opens"] = [{"type": "hold.placed", "kind": ["dispute"]}]
    body["discharged_by"] = []
    assert DutyRule.model_validate(body)
    with pytest.raises((ValidationError, KeyError)):
        DutyRule.model_validate({**body, **changes})


def test_a_clock_that_counts_back_needs_the_date() -> None:
    with pytest.raises(ValueError, match="stated date"):
        Clock(days_before=10).due(datetime(2026, 11, 28, tzinfo=UTC), stated=None, zones=["UTC"])


# A duty


def a_duty(**deviations: Any) -> Duty:
    return Duty(
        **{
            "id": "duty_1",
            "tenant": "auto-fin",
            "rule": "CN-CMP-1",
            "kind": "complaint_answer",
            "case": None,
            "person": "per_1",
            "subject": "in_1",
            "opened_by": "evt_1",
            "opened_at": "2026-11-23T02:00:00.000Z",
            "due_at": "2026-12-08T16:00:00.000Z",
            "owner": "auto-fin",
            "agency": None,
            "severity": "high",
            **deviations,
        }
    )


@pytest.mark.parametrize(("done", "late"), [("2026-12-08T15:59:59.999Z", False), ("2026-12-08T16:00:00.000Z", True)])
def test_the_due_instant_itself_is_late(done: str, late: bool) -> None:
    assert a_duty(evidence=Evidence(kind="letter", at=done)).is_late is late


def test_the_clock_looks_at_open_duties_only() -> None:
    assert a_duty().wakes_at == "2026-12-08T16:00:00.000Z"
    assert a_duty(steps=({"step": "50%", "at": "2026-12-01T00:00:00.000Z"},)).wakes_at == "2026-12-01T00:00:00.000Z"
    for state in (S.FULFILLED, S.LAPSED, S.WAIVED):
        assert a_duty(state=state).wakes_at is None


def test_an_occasion_names_its_duty_and_no_other() -> None:
    parts = {"tenant": "t", "rule": "R", "kind": "k", "person": "p", "subject": "s"}

    def named(**changes: str) -> str:
        told = {**parts, **changes}
        return duty_id(told["tenant"], told["rule"], told["kind"], person=told["person"], subject=told["subject"])

    assert named() == named()
    assert len({named(), *(named(**{part: "other"}) for part in parts)}) == 6
