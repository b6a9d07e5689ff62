"""The offline verifier counts caps anew from archived packs and open entries: what is over a cap shows, nothing else does."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chalicelib.domain.compliance.counts import UNITS
from chalicelib.domain.compliance.shapes import SHAPES
from chalicelib.domain.events import EventType
from chalicelib.domain.instants import to_text
from scripts import verify_archive
from scripts.made_archive import START as MADE_START
from scripts.made_archive import MadeLog, Streams, record
from tests import archives
from tests.archives import START, Story, a_cap, with_heartbeats, write_archive, write_rules

MORNING = START + timedelta(hours=2)
MIDNIGHT = START + timedelta(hours=16)
"""Midnight in Shanghai."""


def judged(folder: Path, story: Story, *documents: bytes) -> verify_archive.Report:
    """Return what is found in an archive of the story, with the documents of its rule sets in it."""
    write_archive(folder / "archive", with_heartbeats(story.events))
    write_rules(folder / "archive", *documents)
    return verified(folder)


def verified(folder: Path) -> verify_archive.Report:
    for name, key in {"ed": archives.ED25519, "root": archives.APPROVAL_ROOT}.items():
        (folder / name).write_bytes(archives.pem(key))
    asked = verify_archive.Asked(
        [verify_archive.Key(str(folder / "ed"))], approval_key=verify_archive.Key(str(folder / "root"))
    )
    return verify_archive.verify(folder / "archive", asked)


def over(report: verify_archive.Report) -> list[str]:
    """Return the approvals under which somebody was contacted over a cap; no other fault may be there."""
    assert {code for code, _, _ in report.faults} <= {"over_cap"}
    return [where.split()[1].rstrip(":") for _, _, where in report.faults]


def notices(report: verify_archive.Report, code: str) -> list[str]:
    return sorted(where for told, _, where in report.notices if told == code)


def under(*rules: Mapping[str, Any], zone: str | None = "Asia/Shanghai") -> tuple[dict[str, Any], bytes]:
    """Return a rule set of one pack with these rules, and the pack."""
    pack = json.dumps({"id": "XX", "zone": zone, "rules": rules}).encode()
    return {**archives.RULE_SET, "packs": [["XX", "1", hashlib.sha256(pack).hexdigest()]]}, pack


# Messages


def test_as_many_as_a_cap_allows_are_no_fault_and_are_told(tmp_path: Path) -> None:
    story = Story()
    story.contact(1, MORNING)
    story.contact(2, MORNING + timedelta(hours=1))
    report = judged(tmp_path, story)
    assert over(report) == []
    assert report.caps == {"SMS-2": 2}
    assert notices(report, "caps_sealed") == ["REGION: region"]
    assert notices(report, "caps_without_rules") == []
    assert "SMS-2 2" in verify_archive.as_text(report, "en")
    assert report.as_json("zh")["caps"] == {"SMS-2": 2}


def test_one_more_than_a_cap_allows_shows_whatever_case_it_was_about(tmp_path: Path) -> None:
    story = Story()
    for number in range(3):
        story.contact(number, MORNING + timedelta(hours=number), case=f"case_{number}")
    story.contact(3, MORNING, case="case_3", person="per_2")
    assert over(judged(tmp_path, story)) == ["apr_2"]


@pytest.mark.parametrize(
    ("seconds", "found"), [(0, []), (-1, ["apr_3"])]
)  # fmt: skip
def test_a_day_begins_at_local_midnight(seconds: int, found: list[str], tmp_path: Path) -> None:
    story = Story()
    story.contact(1, MORNING)
    story.contact(2, MORNING + timedelta(hours=1))
    story.contact(3, MIDNIGHT + timedelta(seconds=seconds))
    assert over(judged(tmp_path, story)) == found


@pytest.mark.parametrize(
    ("deviation", "found"),
    [
        ({}, ["apr_3"]),
        ({"steps": ("requested", "decided")}, []),
        ({"steps": ("requested", "decided", "claimed")}, ["apr_3"]),
        ({"channel": "email"}, []),
        ({"person": "per_2"}, []),
    ],
)
def test_a_message_counts_from_its_claim_on(deviation: dict[str, Any], found: list[str], tmp_path: Path) -> None:
    story = Story()
    story.contact(1, MORNING, **deviation)
    story.contact(2, MORNING + timedelta(hours=1))
    story.contact(3, MORNING + timedelta(hours=2))
    assert over(judged(tmp_path, story)) == found


@pytest.mark.parametrize(("event", "found"), [("contact.rejected", []), ("contact.failed", ["apr_3"])])
def test_what_the_carrier_refused_does_not_count_and_what_came_back_does(
    event: str, found: list[str], tmp_path: Path
) -> None:
    story = Story()
    story.contact(1, MORNING, steps=("requested", "decided", "claimed"))
    told = {"contact": "msg_1", "channel": "sms", "person": "per_1", "org": "agency-a", "reason": "refused"}
    story.emit("case_1", EventType(event), told, MORNING + timedelta(minutes=1))
    story.contact(2, MORNING + timedelta(hours=1))
    story.contact(3, MORNING + timedelta(hours=2))
    assert over(judged(tmp_path, story)) == found


# Calls and visits


def calls(story: Story, *outcomes: str, **how: Any) -> None:
    """Tell calls an hour apart, each reported with an outcome a minute after it was made."""
    for number, outcome in enumerate(outcomes):
        reported = {"outcome": outcome, **how.pop("reported", {})}
        story.contact(
            number,
            MORNING + timedelta(hours=number),
            channel="call",
            human=True,
            steps=("requested", "decided", "reported"),
            reported=reported,
            **how,
        )


@pytest.mark.parametrize(
    ("outcomes", "how", "found"),
    [
        (("conversation", "no_answer"), {}, ["apr_1"]),
        (("no_answer", "conversation"), {}, []),
        (("not_made", "conversation"), {}, []),
        (("conversation", "conversation"), {"role": "spouse"}, []),
        (("no_answer", "no_answer", "no_answer"), {}, ["apr_2"]),
    ],
)
def test_calls_count_by_what_came_of_them_and_by_number(
    outcomes: tuple[str, ...], how: dict[str, Any], found: list[str], tmp_path: Path
) -> None:
    story = Story()
    calls(story, *outcomes, **how)
    assert over(judged(tmp_path, story)) == found


def test_a_number_is_dialled_so_often_whoever_is_called_there(tmp_path: Path) -> None:
    story = Story()
    for number in range(3):
        when, who = MORNING + timedelta(hours=number), f"per_{number}"
        report = {"outcome": "no_answer"}
        steps = ("requested", "decided", "reported")
        story.contact(number, when, person=who, channel="call", human=True, steps=steps, reported=report)
    assert over(judged(tmp_path, story)) == ["apr_2"]


def test_a_cap_that_asks_for_a_role_that_is_not_told_is_told_and_not_counted(tmp_path: Path) -> None:
    story = Story()
    calls(story, "conversation", "conversation", role=None)
    report = judged(tmp_path, story)
    assert over(report) == []
    assert notices(report, "caps_sealed") == ["REGION: region", "TALK-1: to"]


@pytest.mark.parametrize(("told_after_hours", "found"), [(0.5, ["apr_2"]), (3, [])])
def test_a_call_that_nobody_cleared_fills_a_cap_from_when_it_was_told(
    told_after_hours: float, found: list[str], tmp_path: Path
) -> None:
    story = Story()
    done = {"activity": "act_1", "action": "call", "result": "CNV", "attempt": True, "connect": True}
    done |= {"right_party": True, "contact": None, "person": "per_1", "org": "agency-b", "collector": None}
    done |= {"agency": "agency-b", "at": to_text(MORNING)}
    told = MORNING + timedelta(hours=told_after_hours)
    story.emit("case_7", EventType.ACTIVITY_RECORDED, done, told)
    story.contact(2, MORNING + timedelta(hours=1), channel="call", human=True, steps=("requested", "decided"))
    reported = {"outcome": "no_answer", "attempted_at": to_text(MORNING + timedelta(hours=1, minutes=1))}
    later = MORNING + timedelta(hours=1)
    story.contact(2, later, channel="call", human=True, steps=("reported",), reported=reported)
    assert over(judged(tmp_path, story)) == found


def test_a_talk_that_was_told_after_the_next_ruling_is_held_against_it_only_where_waiting_counts_as_well(
    tmp_path: Path,
) -> None:
    """A call that nobody has reported on yet counts as answered, so the next ruling had to know it; as a conversation
    it does not."""
    for unit, found in (("answered", ["apr_2"]), ("conversation", [])):
        folder = tmp_path / unit
        folder.mkdir()
        rule_set, pack = under(a_cap("TALK", {"by": "lender", "cap": 1, "days": 1, "unit": unit}))
        story = Story()
        usual: dict[str, Any] = {"channel": "call", "human": True, "rule_set": rule_set}
        story.contact(1, MORNING, steps=("requested", "decided"), **usual)
        story.contact(2, MORNING + timedelta(minutes=5), steps=("requested", "decided"), **usual)
        story.contact(1, MORNING, steps=("reported",), claim_at=MORNING + timedelta(minutes=9), reported=TALK, **usual)
        story.contact(2, MORNING + timedelta(minutes=5), steps=("reported",), reported=TALK, **usual)
        assert over(judged(folder, story, pack)) == found


TALK = {"outcome": "conversation", "attempted_at": to_text(MORNING + timedelta(minutes=6))}


# Windows and conditions


@pytest.mark.parametrize(
    ("params", "more", "hours", "found"),
    [
        ({"days": 7}, {}, 24 * 6, True),
        ({"days": 7}, {}, 24 * 7, False),
        ({"window": "month"}, {}, 24 * 7, True),
        ({"window": "month"}, {}, 24 * 8, False),
        ({"window": "ever"}, {}, 24 * 30, True),
        ({"days": 7}, {"to": "2026-11-23"}, 24, False),
        ({"days": 7}, {"from": "2026-11-24"}, 24, True),
        ({"days": 7}, {"from": "2026-11-25"}, 24, False),
        ({"days": 7, "per": "debt"}, {}, 24, False),
        ({"days": 7, "by": "org"}, {}, 24, True),
        ({"days": 7, "purposes": ["locate"]}, {}, 24, False),
        ({"days": 7, "not_purposes": ["demand"]}, {}, 24, False),
        ({"days": 7, "unit": "conversation"}, {}, 24, False),
        ({"days": 7, "not_outcomes": ["sent"]}, {}, 24, False),
        ({"days": 7, "outcomes_of": {"sms": ["conversation"]}}, {}, 24, False),
        ({"days": 7}, {"when": {"channel": ["call"]}}, 24, False),
        ({"days": 7}, {"when": {"not_channel": ["sms"]}}, 24, False),
        ({"days": 7}, {"when": {"purpose": ["demand"], "not_to": ["attorney"]}}, 24, True),
        ({"days": 7}, {"status": "shadow"}, 24, False),
    ],
)
def test_a_cap_counts_in_its_window_and_under_its_conditions(
    params: dict[str, Any], more: dict[str, Any], hours: int, found: bool, tmp_path: Path
) -> None:
    rule_set, pack = under(a_cap("ONE", {"by": "lender", "cap": 1, **params}, **more))
    story = Story()
    story.contact(1, MORNING, case="case_1", rule_set=rule_set)
    story.contact(2, MORNING + timedelta(hours=hours), case="case_2", rule_set=rule_set)
    assert over(judged(tmp_path, story, pack)) == (["apr_2"] if found else [])


@pytest.mark.parametrize(("replies", "found"), [(True, ["apr_2"]), (False, [])])
def test_a_reply_is_left_out_where_the_rule_leaves_replies_out(replies: bool, found: list[str], tmp_path: Path) -> None:
    rule_set, pack = under(a_cap("ONE", {"by": "lender", "cap": 1, "days": 1, "replies": replies}))
    story = Story()
    story.contact(1, MORNING, rule_set=rule_set, reply_to="in_1")
    story.contact(2, MORNING + timedelta(hours=1), rule_set=rule_set)
    assert over(judged(tmp_path, story, pack)) == found


@pytest.mark.parametrize(
    ("zones", "found", "told"),
    [
        (("America/New_York",), ["apr_2"], []),
        (("Asia/Shanghai",), [], []),
        (("Asia/Shanghai", "America/New_York"), ["apr_2"], []),
        ((), [], ["ONE: zones"]),
    ],
)
def test_a_law_without_a_zone_of_its_own_counts_by_the_persons_zones(
    zones: tuple[str, ...], found: list[str], told: list[str], tmp_path: Path
) -> None:
    rule_set, pack = under(a_cap("ONE", {"by": "lender", "cap": 1, "days": 1}), zone=None)
    story = Story()
    story.contact(1, MIDNIGHT - timedelta(minutes=30), rule_set=rule_set, zones=zones)
    story.contact(2, MIDNIGHT + timedelta(minutes=30), rule_set=rule_set, zones=zones)
    report = judged(tmp_path, story, pack)
    assert over(report) == found
    assert notices(report, "caps_sealed") == told


def test_a_zone_that_this_machine_does_not_know_is_told(tmp_path: Path) -> None:
    rule_set, pack = under(a_cap("ONE", {"by": "lender", "cap": 1, "days": 1}), zone="Nowhere/Land")
    story = Story()
    story.contact(1, MORNING, rule_set=rule_set)
    story.contact(2, MORNING + timedelta(hours=1), rule_set=rule_set)
    report = judged(tmp_path, story, pack)
    assert over(report) == []
    assert len(notices(report, "caps_without_zone")) == 1


@pytest.mark.parametrize(
    ("rule", "lacking"),
    [
        (a_cap("X", {"cap": 1, "days": 7, "leave_out": ["consent"]}), "leave_out"),
        (a_cap("X", {"cap": 1, "days": 7, "who": "household"}), "who"),
        (a_cap("X", {"cap": 1, "days": 7, "who": "anybody"}), "who"),
        (a_cap("X", {"cap": 1, "days": 7, "effect": "review"}), "effect"),
        (a_cap("X", {"cap": 1, "days": 7, "place": "work"}, when={"point_place": ["work"]}), "place, point_place"),
    ],
)
def test_a_cap_that_hangs_on_what_is_sealed_is_told_and_not_counted(
    rule: Mapping[str, Any], lacking: str, tmp_path: Path
) -> None:
    rule_set, pack = under(rule)
    story = Story()
    story.contact(1, MORNING, rule_set=rule_set)
    story.contact(2, MORNING + timedelta(hours=1), rule_set=rule_set)
    report = judged(tmp_path, story, pack)
    assert over(report) == []
    assert report.caps == {}
    assert notices(report, "caps_sealed") == [f"X: {lacking}"]


# Rule sets


def test_packs_that_are_not_in_the_archive_are_told(tmp_path: Path) -> None:
    story = Story()
    story.contact(1, MORNING)
    write_archive(tmp_path / "archive", with_heartbeats(story.events))
    report = verified(tmp_path)
    assert over(report) == []
    assert notices(report, "caps_without_rules") == [hashlib.sha256(archives.PACK).hexdigest()]


@pytest.mark.parametrize("raw", [b"[]", b"{", b'{"rules":[{}],"zone":null}', b'{"rules":1,"zone":null}'])
def test_a_pack_that_cannot_be_read_is_told(raw: bytes, tmp_path: Path) -> None:
    story = Story()
    digest = hashlib.sha256(raw).hexdigest()
    story.contact(1, MORNING, rule_set={**archives.RULE_SET, "packs": [["XX", "1", digest]]})
    assert notices(judged(tmp_path, story, raw), "caps_without_rules") == [digest]


def test_another_rule_set_than_the_approved_one_beside_the_ruling_shows(tmp_path: Path) -> None:
    """Else the caps of a laxer pack would be counted, and of the one that was ruled under none."""
    laxer, pack = under()
    story = Story()
    story.contact(1, MORNING, decided={"rule_set": laxer})
    report = judged(tmp_path, story, pack)
    assert {code for code, _, _ in report.faults} == {"rules_changed"}


# What the recount knows of the rules


def test_the_units_are_those_of_the_rules_and_every_open_parameter_is_one_of_theirs() -> None:
    assert verify_archive.OUTCOMES == UNITS
    assert {*SHAPES["count"].needs, *SHAPES["count"].takes} >= verify_archive.OPEN_PARAMS


# A made-up archive, as the bench and the campaigns use it


@pytest.mark.parametrize(("messages", "found"), [(2, set()), (3, {"over_cap"})])
def test_a_made_up_archive_in_which_somebody_is_written_to_once_too_often_shows(
    messages: int, found: set[str], tmp_path: Path
) -> None:
    streams = Streams(archives.APPROVAL_ROOT)
    events = [streams.event("log_2026", "log.genesis", MADE_START, {"previous": None, "files": {}})]
    for number in range(messages):
        at: datetime = MADE_START + timedelta(hours=2, minutes=number)
        events += streams.contact(number, at, person="per_1")
    log = MadeLog(tmp_path / "archive", [archives.ED25519])
    log.append([record(seq, event) for seq, event in enumerate(events)])
    log.publish()
    log.write_rules()
    (tmp_path / "ed").write_bytes(archives.pem(archives.ED25519))
    asked = verify_archive.Asked([verify_archive.Key(str(tmp_path / "ed"))], heartbeat=timedelta(days=1))
    report = verify_archive.verify(tmp_path / "archive", asked)
    assert {code for code, _, _ in report.faults} == found
    assert report.caps == {"MADE-SMS-DAY": messages}
