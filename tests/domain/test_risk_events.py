"""Legal-risk events: what each act does in each state, who may do it, what is a breach, and the register as data."""

from datetime import timedelta
from typing import Any

import pytest

from chalicelib.domain.instants import from_text, to_text
from chalicelib.domain.outreach.attempt import Approved, AttemptState
from chalicelib.domain.risk import register as registers
from chalicelib.domain.risk.event import (
    Found,
    RiskAct,
    RiskEvent,
    RiskState,
    Source,
    acted_by,
    answer,
    are_too_many,
    crossed,
    derived_id,
    raised,
    second_person,
    stream_pk,
)
from chalicelib.domain.risk.register import Register, Severity, register
from chalicelib.domain.state_table import Move
from tests.builders import NOW, an_attempt
from tests.house import ROOT

AT = to_text(NOW)


def a_risk(**deviations: Any) -> RiskEvent:
    told: dict[str, Any] = {"risk": "risk_1", "tenant": "auto-fin", "line": "threat", "source": Source.AUDIT}
    return raised(**{**told, "at": AT, "by": "officer-1", **deviations})


# From where to where, written down anew.
COURSE = {
    ("raised", "find_breach"): "breach_found",
    ("raised", "find_no_breach"): "no_breach_found",
    ("breach_found", "agree"): "confirmed",
    ("breach_found", "disagree"): "raised",
    ("no_breach_found", "agree"): "dismissed",
    ("no_breach_found", "disagree"): "raised",
    ("confirmed", "set_action"): "acting",
    ("acting", "set_action"): "acting",
    ("acting", "finish_action"): "done",
    ("done", "accept"): "closed",
    ("done", "send_back"): "acting",
}


@pytest.mark.parametrize("state", RiskState)
@pytest.mark.parametrize("act", RiskAct)
def test_each_act_moves_where_it_should_and_is_refused_elsewhere(state: RiskState, act: RiskAct) -> None:
    reply = answer(state, act)
    assert (reply.to.value if isinstance(reply, Move) else None) == COURSE.get((state.value, act.value))


def test_nothing_is_confirmed_dismissed_or_closed_in_one_step_from_its_raising() -> None:
    for act in RiskAct:
        reply = answer(RiskState.RAISED, act)
        assert not isinstance(reply, Move) or reply.to in (RiskState.BREACH_FOUND, RiskState.NO_BREACH_FOUND)


def test_whoever_found_does_not_decide_and_whoever_acted_does_not_accept() -> None:
    found = Found(breach=True, line="threat", severity=Severity.HIGH, root_cause="intent", by="officer-1", at=AT)
    risk = a_risk(
        finding=found, action={"measure": "warning", "owner": "a", "due_at": AT, "set_by": "x", "done_by": "y"}
    )
    for act in RiskAct:
        expected = {"agree": "officer-1", "disagree": "officer-1", "accept": "y", "send_back": "y"}.get(act.value)
        assert second_person(risk, act) == expected


def test_an_event_is_as_grave_as_its_line_and_is_to_be_judged_in_the_hours_of_that() -> None:
    assert a_risk().severity is Severity.CRITICAL
    assert from_text(a_risk().due_at or "") == NOW + timedelta(hours=24)
    mild = a_risk(severity=Severity.LOW)
    assert from_text(mild.due_at or "") == NOW + timedelta(hours=168)
    assert acted_by(AT, Severity.HIGH) == to_text(NOW + timedelta(hours=72))
    assert a_risk().is_overdue(to_text(NOW + timedelta(hours=24)))
    assert not a_risk().is_overdue(to_text(NOW + timedelta(hours=24) - timedelta(milliseconds=1)))


def test_an_event_stands_in_the_stream_of_its_case_person_agency_or_lender() -> None:
    assert stream_pk(a_risk(case="case_1", person="per_1", agency="agency-a")) == "T#auto-fin#CASE#case_1"
    assert stream_pk(a_risk(person="per_1", agency="agency-a")) == "T#auto-fin#PER#per_1"
    assert stream_pk(a_risk(agency="agency-a")) == "T#auto-fin#ORG#agency-a"
    assert stream_pk(a_risk()) == "T#auto-fin#ORG#auto-fin"


def test_the_same_occasion_names_the_same_event_and_another_lenders_another() -> None:
    assert derived_id("a", "duty", "1") == derived_id("a", "duty", "1") != derived_id("b", "duty", "1")


# Calls and visits


def _call(**deviations: Any) -> Any:
    window = Approved(id="apr_1", recipient="ab" * 16, not_before=AT, not_after=to_text(NOW + timedelta(hours=1)))
    told = {"channel": "call", "human": True, "state": AttemptState.APPROVED, "approved": window}
    return an_attempt(**{**told, **deviations})


@pytest.mark.parametrize(
    ("attempt", "at", "line"),
    [
        (None, NOW, "clearance"),
        (_call(), NOW, None),
        (_call(), NOW + timedelta(minutes=59), None),
        (_call(), NOW + timedelta(hours=1), "clearance_window"),
        (_call(), NOW - timedelta(milliseconds=1), "clearance_window"),
        (_call(state=AttemptState.REPORTED), NOW, None),
        (_call(state=AttemptState.EXPIRED), NOW, None),
        (_call(state=AttemptState.CANCELLED), NOW, "clearance"),
        (_call(state=AttemptState.DENIED, approved=None), NOW, "clearance"),
        (_call(channel="visit"), NOW, "clearance"),
    ],
)
def test_which_line_a_call_crossed(attempt: Any, at: Any, line: str | None) -> None:
    assert crossed(attempt, "call", to_text(at)) == line


def test_five_different_denied_contacts_of_a_day_are_too_many_and_one_told_five_times_is_not() -> None:
    five = [f"msg_{number}" for number in range(5)]
    assert are_too_many(five)
    assert not are_too_many(five[:4])
    assert not are_too_many(["msg_1"] * 5)


# The register


def test_every_line_rests_on_rows_of_the_table_of_law() -> None:
    import tomllib

    rows = tomllib.loads((ROOT / "chalicelib" / "rulepacks" / "rows.toml").read_text(encoding="utf-8"))["row"]
    known = {row["id"] for row in rows}
    for line in register().line:
        assert set(line.rows) <= known, line.id


def test_every_ban_of_the_table_is_a_red_line() -> None:
    """CN-BAN-14 (advertising inside a message) is barred by template and lexicon, and nobody does it by conduct."""
    red = {row for line in register().line if line.is_red for row in line.rows}
    assert {f"CN-BAN-{number}" for number in range(1, 16)} - red == {"CN-BAN-14"}


def test_graver_levels_leave_less_time_and_take_more_points() -> None:
    levels = register().level
    for milder, graver in zip(levels, levels[1:], strict=False):
        assert graver.judge_hours < milder.judge_hours
        assert graver.act_hours < milder.act_hours
        assert graver.points > milder.points


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda data: data["line"].append(data["line"][0]), "stands twice"),
        (lambda data: data["level"].reverse(), "the least first"),
        (
            lambda data: data["line"].pop(next(n for n, x in enumerate(data["line"]) if x["id"] == "pressing")),
            "not there",
        ),
        (lambda data: data["complaints"].update(disclosure="unheard_of"), "not there"),
        (lambda data: data.update(denials=1), "denials"),
        (lambda data: data["line"][0].update(rows=[]), "rows"),
    ],
)
def test_a_register_that_is_not_sound_is_refused(change: Any, told: str) -> None:
    import tomllib

    data = tomllib.loads(registers.REGISTER.read_text(encoding="utf-8"))
    change(data)
    with pytest.raises(ValueError, match=told):
        Register.model_validate(data)
