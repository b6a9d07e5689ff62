"""Surveys as decisions: who is drawn, who may not be asked, what an answer is, what counts."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from chalicelib.domain.cases.lifecycle import CaseState
from chalicelib.domain.feedback.survey import (
    TABLE,
    Reason,
    Said,
    Survey,
    SurveyEvent,
    SurveyState,
    closed_channels,
    hear,
    last_asked,
    refusal,
    score_in,
)
from chalicelib.domain.feedback.survey_rules import RulesVersion, SurveyRules, Trigger, in_force, place_of, text_for
from chalicelib.domain.people.person import Attorney, ConsentEntry, ContactEntry, HoldEntry, Preferences
from chalicelib.domain.state_table import Move
from tests.builders import AGENCY, LENDER, NOW, PERSON, a_case, a_person, a_point
from tests.house import ROOT

TODAY = date(2026, 11, 23)
TEXTS = ({"channel": "sms", "language": "zh", "template": "sms-zh"}, {"channel": "email", "language": "zh", "template": "mail-zh"},
         {"channel": "sms", "language": "en", "template": "sms-en"})  # fmt: skip


def rules(share: int = 300, draw: str = "1") -> SurveyRules:
    occasion = {"trigger": "promise_kept", "share_permille": share}
    return SurveyRules.model_validate({"occasions": (occasion,), "texts": TEXTS, "draw": draw})


def a_survey(**changes: Any) -> Survey:
    told = {"id": "srv_1", "tenant": LENDER, "person": PERSON, "case": "case_1", "agency": AGENCY, "rules": 1}
    told |= {"trigger": "promise_kept", "occasion": "evt_1", "drawn_at": "x", "ask_at": "2026-11-23T00:00:00.000Z"}
    return Survey.model_validate({**told, **changes})


def a_contact(**changes: Any) -> ContactEntry:
    told = {"id": "msg_1", "at": "2026-11-01T02:00:00Z", "direction": "out", "channel": "sms", "party": PERSON}
    return ContactEntry.model_validate({**told, "outcome": "delivered", "purpose": "survey", **changes})


# Drawing


def test_the_same_persons_are_asked_each_time_and_about_the_share_of_all() -> None:
    persons = [f"per_{number}" for number in range(4_000)]
    asked = {person for person in persons if rules().asks(LENDER, person, Trigger.PROMISE_KEPT)}
    assert asked == {person for person in persons if rules().asks(LENDER, person, Trigger.PROMISE_KEPT)}
    assert 1_080 < len(asked) < 1_320
    more = {person for person in persons if rules(600).asks(LENDER, person, Trigger.PROMISE_KEPT)}
    assert asked < more, "a greater share asks those of the smaller one too"
    other = {person for person in persons if rules(draw="2").asks(LENDER, person, Trigger.PROMISE_KEPT)}
    assert 260 < len(asked & other) < 460, "another draw has nothing to do with this one"


def test_nobody_and_everybody() -> None:
    places = {place_of(LENDER, f"per_{number}", Trigger.CALL_ENDED, "1") for number in range(20_000)}
    assert (min(places), max(places)) == (0, 999)
    assert not rules(0).asks(LENDER, PERSON, Trigger.PROMISE_KEPT)
    assert rules(1_000).asks(LENDER, PERSON, Trigger.PROMISE_KEPT)
    assert not rules(1_000).asks(LENDER, PERSON, Trigger.CASE_SETTLED), "no occasion of the rules"


def test_the_approved_version_that_began_last_holds() -> None:
    def version(number: int, state: str, begins: str | None) -> RulesVersion:
        told = {"number": number, "rules": rules(), "state": state, "effective_from": begins}
        return RulesVersion(**told, author="a", drafted_at="x")  # type: ignore[arg-type]

    versions = [
        version(1, "approved", "2026-11-01T00:00:00.000Z"),
        version(2, "rejected", None),
        version(3, "approved", "2026-11-20T00:00:00.000Z"),
        version(4, "draft", None),
        version(5, "approved", "2026-12-01T00:00:00.000Z"),
    ]
    at = datetime(2026, 11, 20, tzinfo=UTC)
    held = in_force(versions, at)
    assert held is not None and held.number == 3
    earlier = in_force(versions, at - timedelta(seconds=1))
    assert earlier is not None and earlier.number == 1
    assert in_force(versions[1:2], at) is None


def test_the_text_is_in_the_persons_language_by_a_channel_that_is_open() -> None:
    points = (a_point(), a_point(id="pt_e", kind="email", value="a@b.test"))
    person = a_person(points=points)
    told: dict[str, Any] = {"language": "zh-Hans", "closed": frozenset()}

    def chosen(person: Any, **changes: Any) -> str | None:
        text = text_for(rules(), person, **{**told, **changes})
        return None if text is None else text.template

    assert chosen(person) == "sms-zh"
    assert chosen(person.model_copy(update={"preferences": Preferences(channel="email")})) == "mail-zh"
    assert chosen(person, closed=frozenset({"sms"})) == "mail-zh"
    assert chosen(person, language="en") == "sms-en"
    assert chosen(person, language="fr") is None
    assert chosen(a_person(points=(a_point(status="vacant"),))) is None


def test_a_channel_on_which_somebody_said_stop_stays_closed_to_surveys() -> None:
    def said(event: str, medium: str | None) -> ConsentEntry:
        return ConsentEntry(at="2026-11-01T02:00:00Z", party=PERSON, event=event, medium=medium)

    assert closed_channels([said("stop_medium", "sms"), said("granted", "sms")]) == {"sms"}
    assert closed_channels([said("withdrawn", "all")]) == {"sms", "email", "wechat"}
    assert closed_channels([said("granted", "sms"), said("used", "email")]) == frozenset()


# Who may not be asked


def why(*, case: Any = None, person: Any = None, history: Any = (), holds: Any = ()) -> Reason | None:
    return refusal(case or a_case(), person or a_person(), history=history, holds=holds, today=TODAY)


@pytest.mark.parametrize("state", list(CaseState))
def test_only_cases_that_are_worked_or_settled_are_asked_about(state: CaseState) -> None:
    free = {"placed", "assigned", "in_work", "promised", "on_plan", "settled"}
    assert why(case=a_case(state=state)) == (None if state.value in free else Reason.CASE_STATE)


@pytest.mark.parametrize(
    "kind",
    [
        "attorney", "bankruptcy", "breathing_space", "breathing_space_mental_health", "cease", "complaint", "debt_adviser",
        "deceased", "detention", "disaster", "dispute", "hardship", "identity_theft", "legal_review", "military_service",
        "original_creditor_request", "police_no_contact", "serious_illness", "a_kind_to_come",
    ],
)  # fmt: skip
@pytest.mark.parametrize("where", ["case", "person"])
def test_nobody_is_asked_while_a_hold_is_in_force(kind: str, where: str) -> None:
    def held(**changes: Any) -> Reason | None:
        hold = HoldEntry(id="h1", kind=kind, from_="2026-11-01T00:00:00Z", **changes)
        return why(case=a_case(holds=(hold,))) if where == "case" else why(holds=(hold,))

    assert held() is Reason.HELD
    assert held(until="2026-11-23") is Reason.HELD
    assert held(until="2026-11-22") is None
    assert held(released_at="2026-11-20T00:00:00Z") is None


def test_a_promise_and_a_recall_say_nothing_against_asking() -> None:
    for kind in ("promise_alive", "recall"):
        assert why(holds=(HoldEntry(id="h1", kind=kind, from_="2026-11-01T00:00:00Z"),)) is None


@pytest.mark.parametrize(
    ("person", "reason"),
    [
        ({"locked_since": "2026-11-01T00:00:00Z"}, Reason.LOCKED),
        ({"attorney": Attorney(name="x")}, Reason.REPRESENTED),
        ({"stop_requested_at": "2026-11-01T00:00:00Z"}, Reason.STOPPED),
        ({}, None),
    ],
)
def test_some_persons_are_left_alone(person: dict[str, Any], reason: Reason | None) -> None:
    assert why(person=a_person(**person)) is reason
    assert why(case=a_case(litigation="lit_1"), person=a_person(**person)) is (reason if reason is Reason.LOCKED else Reason.CASE_STATE)  # fmt: skip


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"at": "2026-08-25T02:00:00Z"}, Reason.TOO_SOON),
        ({"at": "2026-08-23T02:00:00Z"}, None),
        ({"purpose": None}, Reason.TOO_SOON),
        ({"purpose": "demand"}, None),
        ({"direction": "in"}, None),
        ({"channel": "letter"}, Reason.TOO_SOON),
    ],
)
def test_nobody_is_asked_twice_in_90_dates(entry: dict[str, Any], reason: Reason | None) -> None:
    assert why(history=(a_contact(**entry),)) is reason


def test_the_lender_alone_may_write_about_a_settled_case_and_only_to_ask() -> None:
    settled, open_case = a_case(state=CaseState.SETTLED), a_case()
    assert settled.admits(LENDER, "survey", human=False)
    assert not settled.admits(LENDER, "survey", human=True), "no call under the pretext of a survey"
    assert not settled.admits(AGENCY, "survey", human=False)
    assert not settled.admits(LENDER, "reminder", human=False)
    assert not settled.admits(LENDER, None, human=False)
    assert not a_case(state=CaseState.RECALLED).admits(LENDER, "survey", human=False)
    assert open_case.admits(AGENCY, "demand", human=True)


# Answers


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("5", 5), (" 3 ", 3), ("５", 5), ("4分", 4), ("4 / 5", 4), ("1。", 1), ("2, rude", 2), ("2，态度差", 2), ("5\n> quoted", 5), ("3-ok", 3),
        ("0", None), ("6", None), ("55", None), ("1.5x", None), ("1,000", None), ("1:30", None), ("2-3", None), ("5, 2 calls a day", 5), ("2 days ago I paid", None), ("12345", None), ("five", None), ("", None),
        ("my score: 5", None), ("TD", None), ("5退订", None),
    ],
)  # fmt: skip
def test_an_answer_is_a_digit_and_nothing_is_guessed(text: str, score: int | None) -> None:
    said = score_in(text)
    assert (None if said is None else said.score) == score


def test_the_newest_survey_by_the_channel_before_the_message_is_answered() -> None:
    history = [
        a_contact(id="old", at="2026-08-01T02:00:00Z"),
        a_contact(id="new"),
        a_contact(id="mail", at="2026-11-05T02:00:00Z", channel="email"),
        a_contact(id="demand", at="2026-11-06T02:00:00Z", purpose="demand"),
        a_contact(id="later", at="2026-11-23T02:00:01Z"),
    ]
    at = datetime(2026, 11, 23, 2, tzinfo=UTC)
    found = last_asked(history, channel="sms", at=at)
    assert found is not None and found.id == "new"
    same = last_asked(history, channel="sms", at=at + timedelta(seconds=1))
    assert same is not None and same.id == "later", "the same second counts"
    assert last_asked(history, channel="wechat", at=at) is None


SENT = {"status": "sent", "sent_at": "2026-11-23T02:00:00.000Z", "answers_until": "2026-12-07T02:00:00.000Z"}
END = datetime(2026, 12, 7, 2, tzinfo=UTC)


@pytest.mark.parametrize(("at", "counts"), [(END - timedelta(milliseconds=1), True), (END, False)])
def test_an_answer_counts_before_the_end_of_its_time(at: datetime, counts: bool) -> None:
    heard = hear(a_survey(**SENT), "evt_2", Said(4, False), at=at, complains=False)
    assert heard is not None and heard.counts is counts
    assert heard.survey.score == (4 if counts else None)


def test_an_answer_is_heard_once_and_five_are_kept() -> None:
    survey, clocks = a_survey(**SENT), []
    for number in range(7):
        heard = hear(survey, f"evt_{number}", Said(1, False), at=NOW, complains=False)
        assert (heard is None) == (number >= 5)
        if heard is not None:
            survey = heard.survey
            clocks.append(heard.clocked)
            assert hear(survey, f"evt_{number}", Said(1, False), at=NOW, complains=False) is None
    assert clocks == [True, False, False, False, False], "one clock a survey"


@pytest.mark.parametrize(("score", "complains", "clocked"), [(1, False, True), (2, False, True), (3, False, False), (2, True, False)])  # fmt: skip
def test_a_low_score_has_a_clock_but_not_beside_a_complaint(score: int, complains: bool, clocked: bool) -> None:
    heard = hear(a_survey(**SENT), "evt_2", Said(score, False), at=NOW, complains=complains)
    assert heard is not None and heard.clocked is clocked


def test_what_has_ended_moves_no_more_and_only_one_answer_moves() -> None:
    for state in (SurveyState.ANSWERED, SurveyState.LAPSED, SurveyState.NOT_SENT):
        assert not any(isinstance(TABLE.answer(state, event), Move) for event in SurveyEvent)


def test_the_page_shows_the_table_and_every_reason() -> None:
    page = (ROOT / "docs" / "feedback.md").read_text("utf-8")
    head = "| state | " + " | ".join(event.value for event in SurveyEvent) + " |"
    shown = page.split(head)[1].split("\n\n")[0]
    for line in [line for line in shown.splitlines() if line.startswith("| ")]:
        states, *cells = [cell.strip() for cell in line.strip("| ").split(" | ")]
        for state in states.split(", "):
            replies = [TABLE.answer(SurveyState(state), event) for event in SurveyEvent]
            assert cells == [reply.to.value if isinstance(reply, Move) else "stays" for reply in replies], state
    assert set(re.findall(r"^\| `(\w+)` \| [a-z]", page.split("| reason | means |")[1], re.M)) == {
        r.value for r in Reason
    }
