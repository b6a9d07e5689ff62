"""Strategies: facts of a case, conditions, faults with their pointers, and what of a strategy the what-if can suppose."""

import dataclasses
import re
from datetime import date, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from chalicelib.domain.cases.case import Case, Promise
from chalicelib.domain.cases.lifecycle import CaseState
from chalicelib.domain.instants import to_text
from chalicelib.domain.people.person import ContactEntry, ContactLedger, HoldEntry, Person
from chalicelib.domain.strategies.book import StrategyBook, StrategyVersion
from chalicelib.domain.strategies.checks import KnownTemplate, strategy_faults
from chalicelib.domain.strategies.facts import FACTS, CaseFacts, facts_of
from chalicelib.domain.strategies.strategy import Condition, Strategy
from chalicelib.domain.strategies.supposing import supposed
from chalicelib.domain.whatif.strategy import Strategy as WhatIf
from tests.builders import NOW, PERSON, a_case, a_ledger, a_person, a_point, a_strategy
from tests.house import ROOT

TEMPLATES = {
    "cn-sms-demand": KnownTemplate("sms", "demand"),
    "cn-email-demand": KnownTemplate("email", "demand"),
    "cn-sms-soon": KnownTemplate("sms", "reminder"),
}
NAME = {"zh": "路", "en": "A path"}


def facts(
    case: Case | None = None, person: Person | None = None, ledger: ContactLedger | None = None, risk: str = "low"
) -> CaseFacts:
    told = (case or a_case(), person or a_person(), ledger or a_ledger())
    return facts_of(*told, zone="Asia/Shanghai", now=NOW, risk=risk)


def a_step(**changes: Any) -> dict[str, Any]:
    act = {"kind": "message", "channel": "sms", "template": "cn-sms-demand"}
    return {"id": "text", "wait": {"from": "entry", "days": 0}, "act": act, **changes}


def a_path(**changes: Any) -> dict[str, Any]:
    return {"id": "all", "name": NAME, "steps": [a_step()], **changes}


def a_hold(kind: str, **changes: Any) -> HoldEntry:
    return HoldEntry.model_validate({"id": "hold_1", "kind": kind, "from": "2026-11-20T00:00:00Z", **changes})


def an_entry(number: int, days_ago: float, **changes: Any) -> ContactEntry:
    at = to_text(NOW - timedelta(days=days_ago))
    told = {"direction": "out", "channel": "sms", "party": PERSON, "outcome": "delivered"}
    return ContactEntry.model_validate({"id": f"m{number}", "at": at, **told, **changes})


# Facts


def test_every_fact_is_a_field_and_the_page_lists_each_in_order() -> None:
    assert list(FACTS) == [field.name for field in dataclasses.fields(CaseFacts)]
    page = (ROOT / "docs" / "strategies.md").read_text(encoding="utf-8").split("## Facts")[1].split("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", page, flags=re.MULTILINE) == list(FACTS)


@pytest.mark.parametrize(
    ("due_on", "stage", "days"),
    [
        (date(2026, 11, 26), "before_due", -3),
        (date(2026, 11, 23), "before_due", 0),
        (date(2026, 11, 22), "early", 1),
        (date(2026, 10, 24), "early", 30),
        (date(2026, 10, 23), "middle", 31),
        (date(2026, 8, 25), "middle", 90),
        (date(2026, 8, 24), "late", 91),
    ],
)
def test_stage_turns_on_the_local_day(due_on: date, stage: str, days: int) -> None:
    found = facts(a_case(oldest_unpaid_due_on=due_on))
    assert (found.stage, found.days_past_due) == (stage, days)


def test_case_with_the_courts_is_legal_whatever_its_days() -> None:
    assert facts(a_case(placement_type="legal")).stage == "legal"
    assert facts(a_case(state=CaseState.LEGAL)).stage == "legal"


def test_contacts_are_counted_back_from_now() -> None:
    entries = (
        an_entry(1, 6.9),
        an_entry(2, 7.0),
        an_entry(3, 29.0, outcome="conversation", channel="call"),
        an_entry(4, 0.5, direction="in", outcome="received"),
        an_entry(5, -1.0),
    )
    found = facts(ledger=a_ledger(history=entries))
    # Exactly seven days ago is out, what is to come does not count, and an answer is no contact of ours.
    assert (found.contacts_in_7_days, found.days_since_contact, found.was_reached_in_30_days) == (1, 6, True)
    assert facts().days_since_contact is None


def test_holds_count_while_they_last_and_only_on_this_debt() -> None:
    found = facts(ledger=a_ledger(holds=(a_hold("serious_illness"),)))
    assert (found.is_on_hold, found.is_vulnerable, found.is_in_hardship) == (True, True, False)
    assert facts(a_case(holds=(a_hold("hardship"),))).is_in_hardship
    for over in (
        a_hold("hardship", released_at="2026-11-21T00:00:00Z"),
        a_hold("hardship", until="2026-11-23T02:00:00Z"),
        a_hold("hardship", debt="case_other"),
        a_hold("hardship", **{"from": "2026-11-24T00:00:00Z"}),
    ):
        assert not facts(ledger=a_ledger(holds=(over,))).is_on_hold


def test_promises_and_preferences() -> None:
    promise = Promise(
        id="p1", person=PERSON, amount_minor=1, currency="CNY", due_on=date(2026, 12, 1), made_at="2026-11-20T00:00:00Z"
    )
    found = facts(a_case(promises=(promise, promise.model_copy(update={"state": "broken"}))))
    assert found.has_open_promise and found.has_broken_promise
    points = (a_point(preference=2), a_point(id="pt_2", kind="email", value="a@b.test", preference=1))
    liked = facts(person=a_person(points=points))
    assert liked.channel_preference == "email"
    assert liked.reachable == {"sms", "email", "call"}
    assert facts().channel_preference == "none"
    blocked = (a_point(preference=2, do_not_use=True),)
    assert facts(person=a_person(points=blocked)).channel_preference == "none"


def test_unknown_band_is_unknown() -> None:
    assert facts(risk="purple").risk == "unknown"


# Conditions


@pytest.mark.parametrize(
    ("condition", "is_met"),
    [
        ({"fact": "days_past_due", "at_least": 35}, True),
        ({"fact": "days_past_due", "at_least": 36}, False),
        ({"fact": "days_past_due", "at_most": 35}, True),
        ({"fact": "days_past_due", "at_most": 34}, False),
        ({"fact": "stage", "one_of": ["early", "middle"]}, True),
        ({"fact": "stage", "one_of": ["late"]}, False),
        ({"fact": "reachable", "one_of": ["email", "sms"]}, True),
        ({"fact": "reachable", "one_of": ["email"]}, False),
        ({"fact": "is_on_hold", "equals": False}, True),
        ({"fact": "is_on_hold", "equals": True}, False),
        ({"fact": "days_since_contact", "at_least": 0}, False),
        ({"fact": "days_since_contact", "at_most": 9}, False),
    ],
)
def test_condition_is_met_at_its_bounds_and_by_nothing_unknown(condition: dict[str, Any], is_met: bool) -> None:
    assert Condition.model_validate(condition).is_met(facts()) is is_met


def test_case_follows_the_first_path_that_it_meets() -> None:
    late = a_path(id="late", segment=[{"fact": "stage", "one_of": ["late"]}])
    middle = a_path(id="middle", segment=[{"fact": "stage", "one_of": ["middle"]}])
    strategy = a_strategy(paths=[late, middle, a_path()])
    found = strategy.path_for(facts())
    assert found is not None and found.id == "middle"
    assert a_strategy(paths=[late]).path_for(facts()) is None


# Faults


def test_sound_strategy_has_no_fault() -> None:
    assert strategy_faults(a_strategy(), TEMPLATES) == []


@pytest.mark.parametrize(
    ("paths", "pointer", "code"),
    [
        ([a_path(segment=[{"fact": "stage", "one_of": ["late"]}]), a_path()], "/paths/1", "duplicate"),
        ([a_path(), a_path(id="other")], "/paths/1", "unreachable_path"),
        ([a_path(steps=[a_step(), a_step()])], "/paths/0/steps/1", "duplicate"),
        ([a_path(segment=[{"fact": "mood", "equals": True}])], "/paths/0/segment/0/fact", "unknown_fact"),
        ([a_path(segment=[{"fact": "stage"}])], "/paths/0/segment/0", "missing_key"),
        ([a_path(segment=[{"fact": "stage", "at_least": 1}])], "/paths/0/segment/0/at_least", "wrong_kind"),
        ([a_path(segment=[{"fact": "is_on_hold", "one_of": ["x"]}])], "/paths/0/segment/0/one_of", "wrong_kind"),
        ([a_path(stop_while=[{"fact": "risk", "one_of": ["low", "big"]}])], "/paths/0/stop_while/0/one_of/1", "unknown_value"),
        (
            [a_path(segment=[{"fact": "days_past_due", "at_least": 9, "at_most": 8}])],
            "/paths/0/segment/0",
            "empty_range",
        ),
        ([a_path(steps=[a_step(when=[{"fact": "mood"}])])], "/paths/0/steps/0/when/0/fact", "unknown_fact"),
        ([a_path(steps=[a_step(wait={"from": "step_before", "days": 1})])], "/paths/0/steps/0/wait/from", "no_step_before"),
        ([a_path(steps=[a_step(wait={"from": "entry", "days": -1})])], "/paths/0/steps/0/wait/days", "out_of_range"),
        (
            [a_path(steps=[a_step(wait={"from": "entry", "days": 5}), a_step(id="b", wait={"from": "entry", "days": 4})])],
            "/paths/0/steps/1/wait/days",
            "out_of_order",
        ),
        (
            [a_path(steps=[a_step(act={"kind": "message", "channel": "sms", "template": "cn-sms-none"})])],
            "/paths/0/steps/0/act/template",
            "unknown_template",
        ),
        (
            [a_path(steps=[a_step(act={"kind": "best", "templates": {"sms": "cn-email-demand"}})])],
            "/paths/0/steps/0/act/templates/sms",
            "other_channel",
        ),
        (
            [a_path(steps=[a_step(wait={"from": "due_day", "days": -3})])],
            "/paths/0/steps/0/act/template",
            "reminder_needed",
        ),
        (
            [a_path(segment=[{"fact": "stage", "one_of": ["before_due"]}])],
            "/paths/0/steps/0/act/template",
            "reminder_needed",
        ),
        ([a_path(steps=[a_step(window={"from": "12:00", "to": "12:00"})])], "/paths/0/steps/0/window", "empty_window"),
    ],
)  # fmt: skip
def test_each_fault_is_told_where_it_is(paths: list[Any], pointer: str, code: str) -> None:
    found = [(fault.pointer, fault.code) for fault in strategy_faults(a_strategy(paths=paths), TEMPLATES)]
    assert (pointer, code) in found


def test_reminder_before_the_due_day_is_sound() -> None:
    act = {"kind": "message", "channel": "sms", "template": "cn-sms-soon"}
    steps = [a_step(wait={"from": "due_day", "days": -3}, act=act)]
    assert strategy_faults(a_strategy(paths=[a_path(steps=steps)]), TEMPLATES) == []


def test_budgets_and_hours_are_checked() -> None:
    twice = {"channel": "sms", "of": "lender", "a_day": 5}
    found = strategy_faults(a_strategy(budgets=[twice, twice], hours={"from": "18:00", "to": "09:00"}), TEMPLATES)
    assert [(fault.pointer, fault.code) for fault in found] == [("/hours", "empty_window"), ("/budgets/1", "duplicate")]


def test_page_lists_every_fault_code() -> None:
    text = (ROOT / "chalicelib/domain/strategies/checks.py").read_text(encoding="utf-8")
    codes = set(re.findall(r"Fault\([^,]+, \"(\w+)\"", text))
    page = (ROOT / "docs" / "strategies.md").read_text(encoding="utf-8").split("## Faults")[1].split("\n## ")[0]
    assert set(re.findall(r"`(\w+)`", page.split("What is not in the form")[0])) == codes


@pytest.mark.parametrize(
    "act", [{"kind": "send"}, {"kind": "task", "channel": "sms"}, {"kind": "message", "channel": "call"}]
)
def test_act_that_is_none_is_not_taken(act: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        a_strategy(paths=[a_path(steps=[a_step(act=act)])])


# Lives and what-if


def test_digest_is_of_the_content() -> None:
    assert a_strategy().sha256 == a_strategy().sha256
    assert a_strategy().sha256 != a_strategy(hours={"from": "10:00", "to": "18:00"}).sha256
    assert Strategy.model_validate(a_strategy().as_json()) == a_strategy()


def test_version_is_in_force_from_its_instant_until_its_end() -> None:
    begin, end = to_text(NOW), to_text(NOW + timedelta(days=1))
    told = {"number": 1, "sha256": "ab", "author": "a", "drafted_at": begin}
    life = StrategyVersion(**told, state="activated", active_from=begin, active_until=end)
    book = StrategyBook(id="early", versions=(life,))
    assert not life.in_force(NOW - timedelta(seconds=1))
    assert book.in_force(NOW) == life
    assert book.in_force(NOW + timedelta(days=1)) is None
    assert not StrategyVersion(**told, state="approved", active_from=begin).in_force(NOW)


def test_whatif_is_given_the_paths_that_recorded_traffic_can_tell() -> None:
    early = a_path(id="early", segment=[{"fact": "stage", "one_of": ["early"]}])
    risky = a_path(id="risky", segment=[{"fact": "risk", "one_of": ["high"]}])
    silent = a_path(
        id="silent",
        segment=[{"fact": "bucket", "one_of": ["M2"]}, {"fact": "country", "one_of": ["CN"]}],
        steps=[a_step(act={"kind": "task", "channel": "call"})],
    )
    found = supposed(a_strategy(paths=[early, risky, silent]), 3)
    assert found.left_out == ("risky",)
    assert found.part is not None
    wanted = WhatIf.model_validate(found.part)
    assert (wanted.name, wanted.version) == ("early", 3)
    kept, moved, dropped = wanted.steps
    assert (kept.when.stage, kept.when.channel) == (("M1", "1-29"), ("sms",))
    assert kept.then.window is not None and kept.then.window.from_ == "09:00"
    assert (moved.when.channel, moved.then.channel) == (("wechat", "email", "letter"), "sms")
    assert (dropped.when.stage, dropped.when.country, dropped.then.drop) == (("M2",), ("CN",), True)
    assert all(step.when.purpose == ("demand", "reminder") for step in wanted.steps)


def test_paths_that_do_not_fit_are_left_out() -> None:
    paths = [a_path(id=f"p{n}", segment=[{"fact": "country", "one_of": ["CN"]}]) for n in range(30)]
    found = supposed(a_strategy(paths=paths), 1)
    assert found.part is not None and len(found.part["steps"]) == 50
    assert found.left_out == ("p25", "p26", "p27", "p28", "p29")


def test_nothing_is_supposed_of_what_recorded_traffic_does_not_hold() -> None:
    risky = a_path(segment=[{"fact": "risk", "one_of": ["high"]}])
    assert supposed(a_strategy(paths=[risky]), 1).part is None
