"""Quality checks: who is drawn, what the machine finds at each bound, how a form is scored, and the data behind it."""

import tomllib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chalicelib.domain.risk import quality
from chalicelib.domain.risk.quality import (
    CheckAct,
    CheckState,
    Metadata,
    QualityCheck,
    QualityPlan,
    Standards,
    answer,
    check_id,
    due_at,
    findings_of,
    score_of,
    standards,
)
from chalicelib.domain.state_table import Move
from tests.builders import NOW

SHA = "5" * 64
CALL = standards().form_of("call")


def a_call(**deviations: Any) -> Metadata:
    told: dict[str, Any] = {"channel": "call", "begun_at": NOW, "connected": True, "promised": False, "recorded": True}
    told |= {"duration_seconds": 60, "recording_sha256": SHA, "country": "CN", "zones": ("Asia/Shanghai",)}
    return Metadata(**{**told, **deviations})


# 21:59:00 in Shanghai.
LATE = datetime(2026, 11, 23, 13, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("deviations", "found"),
    [
        ({}, ()),
        ({"recording_sha256": None}, ("recording_missing",)),
        ({"recording_sha256": None, "recorded": False}, ()),
        ({"recording_sha256": None, "connected": False}, ()),
        ({"duration_seconds": None}, ("duration_missing",)),
        ({"duration_seconds": None, "channel": "visit"}, ()),
        ({"duration_seconds": 3}, ()),
        ({"duration_seconds": 2}, ("talk_too_short",)),
        ({"duration_seconds": 15, "promised": True}, ()),
        ({"duration_seconds": 14, "promised": True}, ("talk_too_short",)),
        ({"duration_seconds": 1_800}, ()),
        ({"duration_seconds": 1_801}, ("talk_too_long",)),
        ({"connected": False, "duration_seconds": 120}, ()),
        ({"connected": False, "duration_seconds": 121}, ("unanswered_too_long",)),
        ({"connected": False, "duration_seconds": None}, ()),
        # Begun a minute before 22:00: over at 22:00 exactly, and a second later.
        ({"begun_at": LATE, "duration_seconds": 60}, ()),
        ({"begun_at": LATE, "duration_seconds": 61}, ("ended_too_late",)),
        ({"begun_at": LATE, "duration_seconds": 61, "channel": "visit"}, ("ended_too_late",)),
        ({"begun_at": LATE, "duration_seconds": 61, "connected": False}, ()),
        # A contact that began after the end was never cleared for then: the gate's matter, not the machine's.
        ({"begun_at": LATE + timedelta(minutes=2), "duration_seconds": 61}, ()),
        ({"begun_at": LATE, "duration_seconds": 61, "zones": ("Asia/Tokyo",)}, ()),
        ({"begun_at": LATE, "duration_seconds": 61, "zones": ("Asia/Tokyo", "Asia/Shanghai")}, ("ended_too_late",)),
        ({"begun_at": LATE, "duration_seconds": 61, "country": "US"}, ()),
    ],
)
def test_what_the_machine_finds(deviations: dict[str, Any], found: tuple[str, ...]) -> None:
    assert findings_of(a_call(**deviations)) == found


def test_a_share_draws_about_that_share_and_the_same_contacts_each_time() -> None:
    plan = QualityPlan(agency="agency-a", shares={"call": 100})
    drawn = [f"msg_{number}" for number in range(4_000) if plan.draws("lender", f"msg_{number}", "call")]
    # Of 4,000 at a tenth: 400, and nine in ten thousand draws lie farther than 70 from it.
    assert 330 < len(drawn) < 470
    more = QualityPlan(agency="agency-a", shares={"call": 200})
    assert all(more.draws("lender", contact, "call") for contact in drawn)
    other = QualityPlan(agency="agency-a", shares={"call": 100}, draw="2")
    assert {contact for contact in drawn if other.draws("lender", contact, "call")} < set(drawn)


def test_nothing_is_drawn_at_nought_everything_at_a_thousand_and_the_default_where_nothing_is_said() -> None:
    plan = QualityPlan(agency="agency-a", shares={"call": 0, "visit": 1_000})
    names = [f"msg_{number}" for number in range(2_000)]
    assert not any(plan.draws("lender", name, "call") for name in names)
    assert all(plan.draws("lender", name, "visit") for name in names)
    place = {name: quality.place_of("lender", "agency-a", name, "1") for name in names}
    assert {name for name in names if plan.draws("lender", name, "sms")} == {
        name for name in names if place[name] < standards().default_permille
    }


def test_a_score_is_what_was_passed_of_what_applies() -> None:
    passed: dict[str, Any] = {item.id: "pass" for item in CALL.items}
    assert score_of(CALL, passed) == 100
    assert score_of(CALL, {**passed, "threat": "fail"}) == 85
    # 75 of 85: 88.2, rounded down.
    assert score_of(CALL, {**passed, "threat": "not_applicable", "payee": "fail"}) == 88
    assert score_of(CALL, dict.fromkeys(passed, "not_applicable")) is None
    assert score_of(CALL, dict.fromkeys(passed, "fail")) == 0


def a_check(**deviations: Any) -> QualityCheck:
    told: dict[str, Any] = {"id": "chk_1", "tenant": "lender", "contact": "msg_1", "channel": "call", "case": "case_1"}
    told |= {"person": "per_1", "agency": "agency-a", "collector": None, "happened_at": "2026-11-23T02:00:00.000Z"}
    told |= {"is_drawn": True, "form": CALL.reference, "due_at": due_at("2026-11-23T02:00:00.000Z")}
    return QualityCheck(**{**told, **deviations})


def test_a_check_is_faultless_only_when_neither_people_nor_machine_found_a_fault() -> None:
    passed: dict[str, Any] = {item.id: "pass" for item in CALL.items}
    done: dict[str, Any] = {"status": CheckState.CHECKED, "answers": passed}
    assert a_check(**done).is_faultless
    assert not a_check(**done, findings=("duration_missing",)).is_faultless
    assert not a_check(**{**done, "answers": {**passed, "result": "fail"}}).is_faultless
    assert not a_check().is_faultless
    assert [item.id for item in a_check(**{**done, "answers": {**passed, "stop": "fail"}}).failed] == ["stop"]


def test_a_check_is_due_in_seven_days_and_overdue_from_then_on() -> None:
    check = a_check()
    assert check.due_at == "2026-11-30T02:00:00.000Z"
    assert check.is_overdue("2026-11-30T02:00:00.000Z") and not check.is_overdue("2026-11-30T01:59:59.999Z")
    assert not a_check(status=CheckState.VOID).is_overdue("2026-12-30T02:00:00.000Z")


def test_a_check_is_made_or_void_once() -> None:
    moves = {act: answer(CheckState.WAITING, act) for act in CheckAct}
    assert moves == {CheckAct.SCORE: Move(CheckState.CHECKED), CheckAct.VOID: Move(CheckState.VOID)}
    for state in (CheckState.CHECKED, CheckState.VOID):
        assert not any(isinstance(answer(state, act), Move) for act in CheckAct)


def test_a_contact_has_one_check_and_another_lenders_another() -> None:
    assert check_id("a", "msg_1") == check_id("a", "msg_1") != check_id("b", "msg_1")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda data: data["form"][0]["items"][0].update(points=11), "add up"),
        (lambda data: data["form"][0]["channels"].clear(), "one form"),
        (lambda data: data["form"][0]["items"][0].update(line="unheard_of"), "register"),
        (lambda data: data["finding"].pop(), "other things"),
        (lambda data: data.update(default_permille=1_001), "default_permille"),
    ],
)
def test_data_that_are_not_sound_are_refused(change: Any, told: str) -> None:
    data = tomllib.loads(quality.QUALITY.read_text(encoding="utf-8"))
    change(data)
    with pytest.raises(ValueError, match=told):
        Standards.model_validate(data)
