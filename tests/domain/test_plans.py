"""Plans: which step comes next, when in the day, what is left out; and the next best action, from what was answered."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from chalicelib.domain.instants import to_text
from chalicelib.domain.people.person import ContactEntry
from chalicelib.domain.strategies.facts import CaseFacts
from chalicelib.domain.strategies.next_action import (
    REASONS,
    Learned,
    Response,
    best_channel,
    best_window,
    learned_from,
    person_first,
)
from chalicelib.domain.strategies.plan import (
    LAST_LOOK,
    CasePlan,
    Outcome,
    Settled,
    Turn,
    contact_id,
    is_open,
    slot,
    turn,
)
from chalicelib.domain.strategies.strategy import Path, Window
from tests.builders import NOW, PERSON, a_case, a_ledger, a_person, a_point
from tests.domain.test_strategies import a_hold, a_path, a_step, facts

ZONE = "Asia/Shanghai"
TODAY = date(2026, 11, 23)
HOURS = Window(from_="09:00", to="18:00")
POINTS = (a_point(), a_point(id="pt_2", kind="email", value="a@b.test"), a_point(id="pt_3", kind="wechat", value="wx"))


def looked(steps: list[dict[str, Any]], *, entered: int = 0, known: CaseFacts | None = None, **plan: Any) -> Turn:
    path = Path.model_validate(a_path(steps=steps, **plan.pop("path", {})))
    told = CasePlan(case="case_1", entered_at=to_text(NOW - timedelta(days=entered)), **plan)
    return turn(path, told, known or facts(), today=TODAY, zone=ZONE)


def waits(name: str, days: int, base: str = "entry", **changes: Any) -> dict[str, Any]:
    return a_step(id=name, wait={"from": base, "days": days}, **changes)


def over(step: str, on: date = TODAY) -> Settled:
    told = {"path": "all", "step": step, "at": to_text(NOW), "on": on.isoformat()}
    return Settled(**told, outcome=Outcome.REQUESTED)


def codes(found: Turn) -> list[tuple[str, str]]:
    return [(each.step.id, reason) for each, reason in found.left_out]


# Turns


def test_step_is_due_on_its_day_and_the_next_one_follows() -> None:
    found = looked([waits("a", 0), waits("b", 3, "step_before")])
    assert found.due is not None and (found.due.step.id, found.due.on) == ("a", TODAY)
    assert found.following is not None and found.following.on == TODAY + timedelta(days=3)


def test_step_is_taken_once() -> None:
    found = looked([waits("a", 0), waits("b", 3, "step_before")], settled=(over("a"),))
    assert found.due is None
    assert found.following is not None and found.following.step.id == "b"
    assert looked([waits("a", 0)], settled=(over("a"),)) == Turn(None, (), None)


def test_days_are_counted_from_the_due_day_of_the_debt() -> None:
    # 35 days past due: a step of day 35 is due today, one of day 36 tomorrow.
    found = looked([waits("a", 35, "due_day"), waits("b", 36, "due_day")])
    assert found.due is not None and found.due.step.id == "a"
    assert found.following is not None and found.following.on == TODAY + timedelta(days=1)


@pytest.mark.parametrize(("late", "is_due"), [(2, True), (3, False)])
def test_step_may_be_two_days_late_and_no_more(late: int, is_due: bool) -> None:
    found = looked([waits("a", 0)], entered=late)
    assert (found.due is not None) is is_due
    assert codes(found) == ([] if is_due else [("a", "too_late")])


def test_plan_that_stood_still_takes_the_last_step_only() -> None:
    found = looked([waits("a", 0), waits("b", 1), waits("c", 2)], entered=2)
    assert found.due is not None and found.due.step.id == "c"
    assert codes(found) == [("a", "overtaken"), ("b", "overtaken")]


def test_step_whose_condition_is_not_met_on_its_day_is_left_out() -> None:
    found = looked([waits("a", 0, when=[{"fact": "risk", "one_of": ["high"]}])])
    assert (found.due, codes(found)) == (None, [("a", "not_met")])


@pytest.mark.parametrize("entered", [0, 2])
def test_step_waits_out_its_grace_while_the_path_is_stopped(entered: int) -> None:
    stop = {"path": {"stop_while": [{"fact": "stage", "one_of": ["middle"]}]}}
    found = looked([waits("a", 0)], entered=entered, **stop)
    assert (found.due, codes(found)) == (None, [])
    assert found.following is not None and found.following.on == TODAY + timedelta(days=1)
    assert codes(looked([waits("a", 0)], entered=3, **stop)) == [("a", "too_late")]


def test_nothing_is_due_while_any_hold_lasts() -> None:
    held = facts(a_case(holds=(a_hold("complaint"),)))
    assert looked([waits("a", 0)], known=held).due is None


# Instants of the day


def test_slot_lies_in_the_window_and_is_the_same_for_the_same_seed() -> None:
    before = NOW - timedelta(days=1)
    found = {slot(TODAY, HOURS, [ZONE], seed=f"case_{n}", after=before) for n in range(500)}
    assert all(each is not None and is_open(each, TODAY, HOURS, [ZONE]) for each in found)
    assert slot(TODAY, HOURS, [ZONE], seed="x", after=before) == slot(TODAY, HOURS, [ZONE], seed="x", after=before)


def test_slots_are_spread_evenly_over_what_is_left_of_the_window() -> None:
    # At 10:00 eight hours are left, so each gets about an eighth.
    hours = Counter(slot(TODAY, HOURS, [ZONE], seed=f"case_{n}", after=NOW).hour for n in range(8_000))  # type: ignore[union-attr]
    assert sorted(hours) == list(range(2, 10))
    assert min(hours.values()) > 850 and max(hours.values()) < 1_150


def test_slot_leaves_the_clock_time_to_look_before_the_window_is_over() -> None:
    end = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
    for n in range(2_000):
        found = slot(TODAY, HOURS, [ZONE], seed=f"{n}", after=NOW)
        assert found is not None and found <= end - LAST_LOOK
    # Where less is left than that, at once.
    late = end - timedelta(minutes=2)
    assert slot(TODAY, HOURS, [ZONE], seed="x", after=late) == late


def test_window_that_is_over_has_no_slot() -> None:
    assert slot(TODAY, HOURS, [ZONE], seed="x", after=datetime(2026, 11, 23, 10, 0, tzinfo=UTC)) is None


def test_slot_suits_every_zone_where_one_instant_can() -> None:
    window, zones = Window(from_="09:00", to="18:00"), ["America/New_York", "America/Los_Angeles"]
    for n in range(200):
        found = slot(TODAY, window, zones, seed=f"{n}", after=NOW - timedelta(days=1))
        assert found is not None and all(is_open(found, TODAY, window, [zone]) for zone in zones)
    apart = ["Asia/Shanghai", "America/New_York"]
    found = slot(TODAY, window, apart, seed="x", after=NOW - timedelta(days=1))
    assert found is not None and is_open(found, TODAY, window, apart[:1])


def test_a_step_asks_under_one_id_whatever_the_version() -> None:
    ids = {contact_id("auto-fin", "case_1", "early", "all", step) for step in ("a", "b")}
    assert len(ids) == 2 and all(len(each) == 30 and each.startswith("msg_p") for each in ids)
    assert contact_id("auto-fin", "case_1", "early", "all", "a") in ids


# The next best action


def said(
    number: int, days_ago: float, channel: str, direction: str = "out", outcome: str = "delivered"
) -> ContactEntry:
    at = to_text(NOW - timedelta(days=days_ago))
    told = {"id": f"m{number}", "at": at, "direction": direction, "channel": channel}
    return ContactEntry.model_validate({**told, "party": PERSON, "outcome": outcome})


def learned(*entries: ContactEntry) -> Learned:
    return learned_from(a_ledger(history=entries), zone=ZONE, now=NOW)


def test_rate_is_the_mean_of_a_beta_posterior() -> None:
    assert Learned().rate("sms") == pytest.approx(1 / 5)
    seen = Learned({"sms": Response(10, 4)}, {("sms", "morning"): Response(4, 3)})
    assert seen.rate("sms") == pytest.approx(5 / 15)
    assert seen.rate_in("sms", "morning") == pytest.approx((4 / 3 + 3) / 8)


def test_answer_within_three_days_counts_and_later_ones_do_not() -> None:
    seen = learned(
        said(1, 20, "sms"), said(2, 17.1, "sms", "in", "received"), said(3, 10, "sms"), said(4, 6.9, "sms", "in")
    )
    assert seen.channels == {"sms": Response(2, 1)}


def test_talking_to_the_right_person_is_an_answer_at_once() -> None:
    assert learned(said(1, 0.5, "call", outcome="conversation")).channels == {"call": Response(1, 1)}


def test_contact_that_may_still_be_answered_is_no_failure() -> None:
    assert learned(said(1, 2.9, "sms")).channels == {}
    assert learned(said(1, 3.1, "sms")).channels == {"sms": Response(1, 0)}
    assert learned(said(1, 30, "sms", outcome="pending")).channels == {}


def test_preference_comes_before_what_was_learned() -> None:
    points = (a_point(), a_point(id="pt_2", kind="email", value="a@b.test", preference=1))
    known = facts(person=a_person(points=points))
    seen = Learned({"sms": Response(9, 9)})
    found = best_channel(known, seen, {"sms": "x", "email": "y"})
    assert found is not None and (found.channel, found.reasons) == ("email", ("preferred",))


def test_without_preference_the_channel_that_was_answered_most_is_taken() -> None:
    known = facts(person=a_person(points=POINTS))
    texts = {"sms": "x", "email": "y", "wechat": "z"}
    found = best_channel(known, Learned({"email": Response(4, 3), "sms": Response(4, 1)}), texts)
    assert found is not None and (found.channel, found.reasons) == ("email", ("answered_most",))
    untried = best_channel(known, Learned(), texts)
    assert untried is not None and (untried.channel, untried.reasons) == ("wechat", ("untried",))


def test_channel_that_failed_falls_behind_one_that_was_never_tried() -> None:
    known = facts(person=a_person(points=POINTS))
    found = best_channel(known, Learned({"wechat": Response(6, 0)}), {"sms": "x", "wechat": "z"})
    assert found is not None and found.channel == "sms"


def test_only_channels_that_reach_the_person_are_taken() -> None:
    assert best_channel(facts(), Learned(), {"email": "y"}) is None
    found = best_channel(facts(), Learned(), {"email": "y", "sms": "x"})
    assert found is not None and (found.channel, found.reasons) == ("sms", ("only_way",))


def test_hours_are_learned_after_three_tries_and_never_leave_the_allowed_ones() -> None:
    evening = Learned({"sms": Response(3, 2)}, {("sms", "evening"): Response(3, 2)})
    assert best_window(evening, "sms", HOURS) == (Window(from_="17:00", to="18:00"), "best_hours")
    assert best_window(evening, "sms", Window(from_="09:00", to="17:00"))[1] == "stated_hours"
    assert best_window(Learned({"sms": Response(2, 2)}), "sms", HOURS) == (HOURS, "stated_hours")


@pytest.mark.parametrize(
    ("kind", "owner"), [("hardship", ("lender", "hardship")), ("serious_illness", ("lender", "vulnerable"))]
)
def test_people_look_after_people(kind: str, owner: tuple[str, str]) -> None:
    assert person_first(facts(a_case(holds=(a_hold(kind),)))) == owner


def test_cases_with_the_courts_are_counsels_and_all_others_go_on() -> None:
    assert person_first(facts(a_case(placement_type="legal"))) == ("counsel", "legal")
    assert person_first(facts()) is None


def test_every_reason_has_words_in_both_languages() -> None:
    assert all(words.zh and words.en.endswith(".") for words in REASONS.values())
