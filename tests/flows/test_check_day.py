"""The second count of a day: every check counts when its fault is planted, and an honest day counts nothing."""

import hashlib
import json
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chalicelib.domain.events import EventType
from chalicelib.domain.instants import to_text
from scripts import check_day
from tests.archives import START, Story, with_heartbeats, write_archive

ROOT = Path(__file__).parents[2]
TEN_IN_SHANGHAI = START + timedelta(hours=2)
NOON_IN_NEW_YORK = START + timedelta(hours=17)
CARRIERS = {"sms": "sns", "email": "ses", "wechat": "wechat", "letter": "letter"}


class Day:
    """A story with the outbox that belongs to it."""

    def __init__(self) -> None:
        self.story = Story()
        self.outbox: list[dict[str, Any]] = []
        self.stored: dict[str, int] | None = None
        self._number = 0

    def send(self, at: datetime = TEN_IN_SHANGHAI, *, outbox: dict[str, Any] | None = None, **how: Any) -> str:
        """Send one message, honestly but for what is named; ``outbox`` replaces members of the carrier's line."""
        self._number += 1
        channel = how.setdefault("channel", "sms")
        subject = "主题" if channel in ("email", "letter") else None
        body = f"正文 {self._number}"
        content = hashlib.sha256((f"{subject}\n\n{body}" if subject else body).encode()).hexdigest()
        person = how.setdefault("person", "per_1")
        how.setdefault("case", f"case_of_{person}")
        provider_id = f"{CARRIERS[channel]}-{self._number}"
        contact = self.story.contact(
            self._number, at, content=content, sent={"provider_id": provider_id, "content": content}, **how
        )
        is_letter = channel == "letter"
        line = {
            "at": to_text(at + timedelta(seconds=21)),
            "carrier": CARRIERS[channel],
            "channel": channel,
            "provider_id": provider_id,
            "to": "+8617000000000",
            "subject": subject,
            "body": None if is_letter else body,
            "content_sha256": hashlib.sha256(b"%PDF" if is_letter else body.encode()).hexdigest(),
            "content": content if is_letter else None,
            "contact": contact,
            "tenant": None,
        }
        self.outbox.append(line | (outbox or {}))
        return contact

    def call(
        self, at: datetime = TEN_IN_SHANGHAI, *, connected: bool = False, outcome: str = "no_answer", **how: Any
    ) -> str:
        """Make one cleared call or visit."""
        self._number += 1
        person = how.setdefault("person", "per_1")
        how.setdefault("case", f"case_of_{person}")
        how.setdefault("channel", "call")
        reported = {"connected": connected, "outcome": outcome}
        steps = ("requested", "decided", "reported")
        return self.story.contact(self._number, at, human=True, reported=reported, steps=steps, **how)

    def counts(self, folder: Path) -> dict[str, int]:
        """Return what the check counts, without the zeros."""
        write_archive(folder / "archive", with_heartbeats(self.story.events))
        found = check_day.check(folder / "archive", self.outbox, self.stored).found
        return {name: len(each) for name, each in found.items() if each}


@pytest.fixture
def day() -> Day:
    """Return an empty day."""
    return Day()


def test_an_honest_day_counts_nothing(day: Day, tmp_path: Path) -> None:
    for person in ("per_1", "per_2"):
        for channel in ("sms", "email", "wechat", "letter"):
            day.send(channel=channel, person=person)
        for minute in range(6):
            day.call(TEN_IN_SHANGHAI + timedelta(minutes=minute), connected=minute < 3, person=person)
        day.call(channel="visit", person=person)
    for each in range(7):
        day.call(NOON_IN_NEW_YORK + timedelta(minutes=each), person="per_3", country="US", zones=("America/New_York",))
    assert day.counts(tmp_path) == {}


def test_the_program_prints_every_count_and_names_findings_when_asked(day: Day, tmp_path: Path) -> None:
    day.send()
    day.send(steps=("requested", "decided"))
    day.counts(tmp_path)
    outbox = tmp_path / "outbox.jsonl"
    outbox.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in day.outbox), encoding="utf-8")
    program = (
        "import sys, runpy; sys.argv = ['check'] + sys.argv[1:]\n"
        "try:\n    runpy.run_module('scripts.check_day', run_name='__main__')\n"
        "finally:\n    assert not [name for name in sys.modules if name.split('.')[0] in"
        " ('chalicelib', 'cryptography', 'pydantic', 'boto3') or name == 'scripts.verify_archive']\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "archive"), str(outbox), "--details"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (1, "")
    answer = json.loads(done.stdout)
    assert {name: answer[name] for name in check_day.COUNTS} == {
        "sent_without_approval": 1,
        "approvals_used_twice": 0,
        "contacts_over_cap": 0,
        "contacts_out_of_hours": 0,
        "entries_missing": 1,
    }
    assert answer["outbox"] == 2
    assert len(answer["details"]["sent_without_approval"]) == 1


def test_what_cannot_be_read_is_no_result(tmp_path: Path, day: Day, capsys: pytest.CaptureFixture[str]) -> None:
    day.send()
    day.counts(tmp_path)
    outbox = tmp_path / "outbox.jsonl"
    outbox.write_text("{}\n")
    assert check_day.main([str(tmp_path / "archive"), str(outbox)]) == 2
    outbox.write_text("not JSON\n")
    assert check_day.main([str(tmp_path / "archive"), str(outbox)]) == 2
    outbox.write_text("")
    assert check_day.main([str(tmp_path / "nowhere"), str(outbox)]) == 2
    assert check_day.main([str(tmp_path / "archive"), str(outbox)]) == 0
    assert "cannot check" in capsys.readouterr().err


# sent_without_approval


@pytest.mark.parametrize(
    ("how", "counts"),
    [
        ({"outbox": {"body": "other words"}}, {"sent_without_approval": 1}),
        ({"channel": "email", "outbox": {"subject": "other"}}, {"sent_without_approval": 1}),
        ({"channel": "letter", "outbox": {"content": "f" * 64}}, {"sent_without_approval": 1}),
        ({"outbox": {"channel": "wechat"}}, {"sent_without_approval": 1}),
        ({"outcome": "deny", "steps": ("requested", "decided", "sent")}, {"sent_without_approval": 1}),
        ({"steps": ("requested", "decided", "sent")}, {"sent_without_approval": 1}),
        ({"claim_at": TEN_IN_SHANGHAI + timedelta(minutes=15)}, {"sent_without_approval": 1}),
        ({"claim_at": TEN_IN_SHANGHAI - timedelta(seconds=1)}, {"sent_without_approval": 1}),
        ({"steps": ()}, {"sent_without_approval": 1, "entries_missing": 1}),
        (
            {"steps": (), "outbox": {"contact": None, "provider_id": "unknown"}},
            {"sent_without_approval": 1, "entries_missing": 1},
        ),
    ],
)
def test_a_message_that_no_approval_covers_counts(
    how: dict[str, Any], counts: dict[str, int], day: Day, tmp_path: Path
) -> None:
    day.send(person="per_2")
    day.send(**how)
    assert day.counts(tmp_path) == counts


def test_a_carrier_that_knows_no_contact_is_matched_by_its_own_name_for_the_message(day: Day, tmp_path: Path) -> None:
    day.send(outbox={"contact": None})
    assert day.counts(tmp_path) == {}


def test_a_message_under_another_contacts_approval_counts(day: Day, tmp_path: Path) -> None:
    first = day.send()
    day.send(person="per_2")
    day.outbox[1]["contact"] = first
    counted = day.counts(tmp_path)
    assert counted == {"sent_without_approval": 1, "approvals_used_twice": 1}


# approvals_used_twice


def test_an_approval_claimed_twice_counts(day: Day, tmp_path: Path) -> None:
    day.send(steps=("requested", "decided", "claimed", "claimed", "sent"))
    assert day.counts(tmp_path) == {"approvals_used_twice": 1}


def test_a_message_taken_twice_by_the_carrier_counts_though_the_archive_tells_of_one(day: Day, tmp_path: Path) -> None:
    day.send()
    day.outbox.append(day.outbox[0] | {"provider_id": "sns-again"})
    assert day.counts(tmp_path) == {"approvals_used_twice": 1}


def test_a_clearance_reported_twice_counts(day: Day, tmp_path: Path) -> None:
    day.story.contact(
        1, TEN_IN_SHANGHAI, channel="call", human=True, steps=("requested", "decided", "reported", "reported")
    )
    assert day.counts(tmp_path) == {"approvals_used_twice": 1}


def test_the_recipients_of_one_message_are_one_use(day: Day, tmp_path: Path) -> None:
    day.send(channel="email", outbox={"recipient_index": 0})
    day.outbox.append(day.outbox[0] | {"recipient_index": 1})
    assert day.counts(tmp_path) == {}
    day.outbox.append(day.outbox[0] | {"recipient_index": 1})
    found = check_day.check(tmp_path / "archive", day.outbox).found
    assert len(found["approvals_used_twice"]) == 1


# contacts_over_cap


@pytest.mark.parametrize(("channel", "cap"), [("sms", 2), ("wechat", 2), ("email", 1)])
def test_one_text_more_than_a_day_allows_counts(channel: str, cap: int, day: Day, tmp_path: Path) -> None:
    for minute in range(cap + 1):
        day.send(TEN_IN_SHANGHAI + timedelta(minutes=minute), channel=channel)
    assert day.counts(tmp_path) == {"contacts_over_cap": 1}


def test_a_fourth_text_of_any_kind_counts(day: Day, tmp_path: Path) -> None:
    for minute, channel in enumerate(("sms", "sms", "wechat", "email")):
        day.send(TEN_IN_SHANGHAI + timedelta(minutes=minute), channel=channel)
    assert day.counts(tmp_path) == {"contacts_over_cap": 1}


def test_the_day_begins_at_midnight_in_shanghai(day: Day, tmp_path: Path) -> None:
    midnight = START + timedelta(hours=16)
    for hours in (-14, -13, 9, 10):
        day.send(midnight + timedelta(hours=hours))
    assert day.counts(tmp_path) == {}


@pytest.mark.parametrize(("days", "counts"), [(6, {"contacts_over_cap": 1}), (7, {})])
def test_a_sixth_text_message_in_seven_dates_counts(
    days: int, counts: dict[str, int], day: Day, tmp_path: Path
) -> None:
    for each in (0, 2, 3, 4, 5, days):
        day.send(TEN_IN_SHANGHAI + timedelta(days=each))
    assert day.counts(tmp_path) == counts


def test_a_fourth_connected_call_counts_and_an_unanswered_one_does_not(day: Day, tmp_path: Path) -> None:
    for minute in range(3):
        day.call(TEN_IN_SHANGHAI + timedelta(minutes=minute), connected=True)
    day.call(TEN_IN_SHANGHAI + timedelta(minutes=3))
    assert day.counts(tmp_path / "three") == {}
    day.call(TEN_IN_SHANGHAI + timedelta(minutes=4), connected=True)
    assert day.counts(tmp_path / "four") == {"contacts_over_cap": 1}


def test_a_seventh_dial_of_a_number_counts_and_a_call_never_made_does_not(day: Day, tmp_path: Path) -> None:
    for minute in range(6):
        day.call(TEN_IN_SHANGHAI + timedelta(minutes=minute))
    day.call(TEN_IN_SHANGHAI + timedelta(minutes=6), outcome="not_made")
    day.call(TEN_IN_SHANGHAI + timedelta(minutes=7), recipient="1" * 32)
    assert day.counts(tmp_path / "six") == {}
    day.call(TEN_IN_SHANGHAI + timedelta(minutes=8))
    assert day.counts(tmp_path / "seven") == {"contacts_over_cap": 1}


@pytest.mark.parametrize(("days", "counts"), [(0, {"contacts_over_cap": 1}), (6, {"contacts_over_cap": 1}), (7, {})])
def test_a_visit_frees_the_seventh_day_after_it(days: int, counts: dict[str, int], day: Day, tmp_path: Path) -> None:
    day.call(channel="visit")
    day.call(TEN_IN_SHANGHAI + timedelta(days=days, minutes=5), channel="visit")
    assert day.counts(tmp_path) == counts


@pytest.mark.parametrize(("days", "counts"), [(6, {"contacts_over_cap": 1}), (7, {})])
def test_an_eighth_call_in_seven_dates_counts_in_the_united_states(
    days: int, counts: dict[str, int], day: Day, tmp_path: Path
) -> None:
    usual: dict[str, Any] = {"country": "US", "zones": ("America/New_York", "America/Chicago")}
    for minute in range(7):
        day.call(NOON_IN_NEW_YORK + timedelta(minutes=minute), **usual)
    day.call(NOON_IN_NEW_YORK + timedelta(days=days), **usual)
    assert day.counts(tmp_path) == counts


def test_what_an_agency_did_unasked_fills_the_cap_of_what_was_approved(day: Day, tmp_path: Path) -> None:
    for minute in range(6):
        data = {"activity": f"act_{minute}", "action": "call", "result": "RNA", "attempt": True, "connect": False}
        data |= {"contact": None, "person": "per_1", "at": to_text(TEN_IN_SHANGHAI + timedelta(minutes=minute))}
        day.story.emit("case_of_per_1", EventType.ACTIVITY_RECORDED, data, TEN_IN_SHANGHAI + timedelta(minutes=minute))
    day.call(TEN_IN_SHANGHAI + timedelta(minutes=7))
    assert day.counts(tmp_path) == {"contacts_over_cap": 1}


def test_what_an_agency_noted_and_what_was_cleared_fill_no_cap_of_their_own(day: Day, tmp_path: Path) -> None:
    for minute in range(12):
        asked = f"msg_{minute}" if minute % 2 else None
        data = {"activity": f"act_{minute}", "action": "call", "result": "X", "attempt": bool(asked), "connect": True}
        data |= {"contact": asked, "person": "per_1", "at": to_text(TEN_IN_SHANGHAI + timedelta(minutes=minute))}
        day.story.emit("case_of_per_1", EventType.ACTIVITY_RECORDED, data, TEN_IN_SHANGHAI + timedelta(minutes=minute))
    day.call(TEN_IN_SHANGHAI + timedelta(minutes=20), connected=True)
    assert day.counts(tmp_path) == {}


def test_two_lenders_count_apart(day: Day, tmp_path: Path) -> None:
    other = Day()
    other.story = Story("other-lender")
    other._number = 50
    for each in (day, other):
        for minute in range(2):
            each.send(TEN_IN_SHANGHAI + timedelta(minutes=minute))
    origin = "audit.forbear.test/other-lender/2026"
    write_archive(tmp_path / "archive", with_heartbeats(other.story.events, tenant="other-lender"), origin=origin)
    day.outbox += other.outbox
    assert day.counts(tmp_path) == {}


# contacts_out_of_hours


@pytest.mark.parametrize(("hour", "minute", "out"), [(7, 59, 1), (8, 0, 0), (21, 58, 0), (22, 0, 1), (3, 0, 1)])
def test_hours_in_china_are_eight_to_ten(hour: int, minute: int, out: int, day: Day, tmp_path: Path) -> None:
    local = START - timedelta(hours=8) + timedelta(hours=hour, minutes=minute)
    day.call(local)
    expected = {"contacts_out_of_hours": out} if out else {}
    # A call that is reported twenty seconds after the full minute lies in the same minute.
    assert day.counts(tmp_path) == expected


@pytest.mark.parametrize(
    ("hours", "zones", "out"),
    [
        (13, ("America/New_York",), 0),
        (13, ("America/Los_Angeles",), 1),
        (16, ("America/New_York", "America/Los_Angeles"), 0),
        (15, ("America/New_York", "America/Los_Angeles"), 1),
        (26, ("America/New_York",), 1),
        (26, ("America/Chicago",), 0),
        (17, (), 1),
    ],
)
def test_hours_in_the_united_states_hold_in_every_zone(
    hours: int, zones: tuple[str, ...], out: int, day: Day, tmp_path: Path
) -> None:
    day.send(START + timedelta(hours=hours), country="US", zones=zones)
    assert day.counts(tmp_path) == ({"contacts_out_of_hours": out} if out else {})


def test_a_letter_has_no_hours(day: Day, tmp_path: Path) -> None:
    day.send(START - timedelta(hours=5), channel="letter")
    assert day.counts(tmp_path) == {}


def test_a_message_that_left_late_counts_by_the_carriers_clock(day: Day, tmp_path: Path) -> None:
    before_ten = START + timedelta(hours=13, minutes=59)
    day.send(before_ten, claim_at=before_ten, outbox={"at": to_text(before_ten + timedelta(minutes=2))})
    assert day.counts(tmp_path) == {"contacts_out_of_hours": 1}


@pytest.mark.parametrize(("seconds", "counts"), [(-1, {}), (0, {"contacts_out_of_hours": 1})])
def test_the_last_second_is_the_one_before_ten(seconds: int, counts: dict[str, int], day: Day, tmp_path: Path) -> None:
    at = START + timedelta(hours=14, seconds=seconds)
    day.send(at - timedelta(minutes=1), claim_at=at, outbox={"at": to_text(at)})
    assert day.counts(tmp_path) == counts


def test_a_carrier_with_another_clock_is_timed_by_the_claim(day: Day, tmp_path: Path) -> None:
    day.send(outbox={"at": to_text(TEN_IN_SHANGHAI + timedelta(days=40, hours=15))})
    assert day.counts(tmp_path) == {}
    assert check_day.check(tmp_path / "archive", day.outbox).other_clock == 1


# entries_missing


def test_a_stream_with_a_gap_counts_each_event_that_is_not_there(day: Day, tmp_path: Path) -> None:
    day.send()
    day.send(TEN_IN_SHANGHAI + timedelta(minutes=1))
    gone = [event for event in day.story.events if event.seq in (2, 5)]
    day.story.events = [event for event in day.story.events if event not in gone]
    counted = day.counts(tmp_path)
    assert counted["entries_missing"] >= 2


def test_an_outbox_item_without_its_entries_counts(day: Day, tmp_path: Path) -> None:
    day.send(steps=("requested", "decided", "claimed"))
    assert day.counts(tmp_path) == {"entries_missing": 1}


def test_a_ruling_that_nobody_asked_for_counts(day: Day, tmp_path: Path) -> None:
    day.send(steps=("decided", "claimed", "sent"))
    assert day.counts(tmp_path) == {"entries_missing": 1}


def test_what_is_stored_and_not_archived_counts(day: Day, tmp_path: Path) -> None:
    day.send()
    day.stored = {"case_of_per_1": 4}
    assert day.counts(tmp_path / "all") == {}
    day.stored = {"case_of_per_1": 6, "case_9": 1}
    assert day.counts(tmp_path / "less") == {"entries_missing": 3}


def test_entries_under_the_checkpoint_that_are_not_there_count(day: Day, tmp_path: Path) -> None:
    day.send()
    log = write_archive(tmp_path / "archive", with_heartbeats(day.story.events))
    bundle = next((log.path / "tile/entries/000.p").iterdir())
    raw = bundle.read_bytes()
    bundle.write_bytes(raw[: raw.rindex(b'{"event"') - 2])
    found = check_day.check(tmp_path / "archive", day.outbox).found
    assert any(text.startswith("entry") for text in found["entries_missing"])
