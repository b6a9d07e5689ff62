"""The offline verifier: an honest archive passes, and whatever is done to one shows and is called by its name."""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.audit import merkle
from chalicelib.domain.audit.notes import NoteKey, SignatureType
from chalicelib.domain.events import Event, EventType
from chalicelib.domain.outreach.approval import ApprovalSigner
from scripts import verify_archive
from tests import archives
from tests.archives import ORIGIN, START, Log, Story, with_heartbeats, write_archive

ROOT = Path(__file__).parents[2]
MORNING = START + timedelta(hours=2)


def a_story(messages: int = 3) -> Story:
    story = Story()
    story.emit("pf_1", EventType.PORTFOLIO_LOADED, {"portfolio": "pf_1", "rows": 3}, MORNING - timedelta(minutes=30))
    for number in range(messages):
        at = MORNING + timedelta(minutes=number)
        story.contact(number, at, case=f"case_{number}", person=f"per_{number}")
    return story


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, str]:
    """Write the public keys beside the archive, never into it."""
    folder = tmp_path / "keys-from-elsewhere"
    folder.mkdir()
    contents = {
        "ed": archives.pem(archives.ED25519),
        "p256": archives.pem(archives.P256),
        "approval": archives.pem(archives.APPROVAL_ROOT),
        "stranger": archives.pem(ed25519.Ed25519PrivateKey.generate()),
        "p384": archives.pem(ec.generate_private_key(ec.SECP384R1())),
        "vkey": NoteKey(ORIGIN, SignatureType.ED25519, archives.spki(archives.ED25519)).vkey.encode() + b"\n",
        "p256-vkey": NoteKey(ORIGIN, SignatureType.ECDSA_P256, archives.spki(archives.P256)).vkey.encode(),
        "other-vkey": NoteKey("audit.forbear.test/other/2026", SignatureType.ED25519, archives.spki(archives.ED25519))
        .vkey.encode(),
    }  # fmt: skip
    for name, raw in contents.items():
        (folder / name).write_bytes(raw)
    return {name: str(folder / name) for name in contents}


@pytest.fixture
def run(keys: dict[str, str], capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, dict[str, Any]]]:
    """Return a run of the program: its exit status and its report."""

    def verify(folder: Path, *more: str, key: str = "ed") -> tuple[int, dict[str, Any]]:
        status = verify_archive.main([str(folder), "--key", keys[key], "--json", *more])
        printed = capsys.readouterr()
        return status, json.loads(printed.out) if printed.out else {"error": printed.err}

    return verify


def codes(report: dict[str, Any]) -> set[str]:
    return {fault["code"] for fault in report["faults"]}


def archive_of(folder: Path, story: Story, **how: Any) -> Log:
    return write_archive(folder / "archive", with_heartbeats(story.events), **how)


def test_an_honest_archive_passes(tmp_path: Path, keys: dict[str, str], run: Any) -> None:
    log = archive_of(tmp_path, a_story(), notes=[3, 7])
    status, report = run(tmp_path / "archive", "--approval-key", keys["approval"])
    assert (status, report["faults"]) == (0, [])
    assert report["counts"]["entries"] == len(log.entries) == report["logs"][0]["size"]
    assert report["counts"]["sent"] == report["counts"]["approvals"] == 3
    assert report["counts"]["notes"] == 4
    assert {notice["code"] for notice in report["notices"]} == {
        *("no_earlier", "no_witness", "sealed", "stream_tails", "no_manifest", "caps_without_rules"),
    }


@pytest.mark.parametrize("key", ["ed", "p256", "vkey", "p256-vkey"])
def test_each_key_form_alone_suffices(key: str, tmp_path: Path, run: Any) -> None:
    archive_of(tmp_path, a_story())
    assert run(tmp_path / "archive", key=key)[0] == 0


def test_the_log_itself_may_be_named(tmp_path: Path, run: Any) -> None:
    log = archive_of(tmp_path, a_story())
    shutil.copytree(log.path, tmp_path / "copied")
    assert run(log.path)[0] == run(tmp_path / "copied")[0] == 0


@pytest.mark.parametrize("key", ["stranger", "other-vkey"])
def test_a_log_that_the_key_has_not_signed_fails(key: str, tmp_path: Path, run: Any) -> None:
    archive_of(tmp_path, a_story())
    status, report = run(tmp_path / "archive", key=key)
    assert status == 1
    assert "not_signed" in codes(report)


@pytest.mark.parametrize("key", ["p384"])
def test_without_a_usable_key_nothing_is_verified(key: str, tmp_path: Path, run: Any) -> None:
    archive_of(tmp_path, a_story())
    assert run(tmp_path / "archive", key=key)[0] == 2


def test_without_a_log_nothing_is_verified(tmp_path: Path, run: Any) -> None:
    (tmp_path / "empty").mkdir()
    assert run(tmp_path / "empty")[0] == run(tmp_path / "nowhere")[0] == 2


def test_it_says_what_it_cannot_know_in_both_languages(
    tmp_path: Path, keys: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    archive_of(tmp_path, a_story())
    folder = str(tmp_path / "archive")
    assert verify_archive.main([folder, "--key", keys["ed"], "--language", "zh"]) == 0
    chinese = capsys.readouterr().out
    assert verify_archive.main([folder, "--key", keys["ed"]]) == 0
    english = capsys.readouterr().out
    assert "未提供先前保存的检查点" in chinese and "通过" in chinese
    assert "no earlier note was given" in english and "HOLDS" in english
    for texts in (*verify_archive.TEXTS.values(), *verify_archive.NOTICES.values()):
        assert len(texts) == 2 and all(texts)


def test_it_runs_by_itself_and_knows_nothing_of_the_system(tmp_path: Path, keys: dict[str, str]) -> None:
    archive_of(tmp_path, a_story())
    program = (
        "import sys, runpy; sys.argv = ['verify'] + sys.argv[1:]\n"
        "try:\n    runpy.run_module('scripts.verify_archive', run_name='__main__')\n"
        "finally:\n    assert not [name for name in sys.modules if name.split('.')[0] in"
        " ('chalicelib', 'rfc8785', 'pydantic', 'boto3')]\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "archive"), "--key", keys["ed"]]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


# Bytes


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], Callable[[], int]]:
    """Return the files of a small archive, and what counts the faults in it."""
    folder = tmp_path_factory.mktemp("small")
    archive_of(folder, a_story(2), notes=[4])
    keys = {"ed": archives.ED25519, "p256": archives.P256, "approval": archives.APPROVAL_ROOT}
    for name, key in keys.items():
        (folder / name).write_bytes(archives.pem(key))
    ed, p256, approval = (verify_archive.Key(str(folder / name)) for name in keys)

    def faults() -> int:
        report = verify_archive.verify(folder / "archive", verify_archive.Asked([ed, p256], approval_key=approval))
        return len(report.faults)

    assert faults() == 0
    return sorted(path for path in (folder / "archive").rglob("*") if path.is_file()), faults


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_every_flipped_bit_shows(data: st.DataObject, small: tuple[list[Path], Callable[[], int]]) -> None:
    files, faults = small
    path = data.draw(st.sampled_from(files))
    intact = path.read_bytes()
    place, bit = data.draw(st.integers(0, len(intact) - 1)), data.draw(st.integers(0, 7))
    changed = bytearray(intact)
    changed[place] ^= 1 << bit
    path.write_bytes(bytes(changed))
    try:
        assert faults(), f"{path.name} byte {place} bit {bit}"
    finally:
        path.write_bytes(intact)


@given(data=st.data())
@settings(max_examples=120, deadline=None)
def test_every_cut_swap_and_insertion_shows(data: st.DataObject, small: tuple[list[Path], Callable[[], int]]) -> None:
    files, faults = small
    path, other = data.draw(st.sampled_from(files)), data.draw(st.sampled_from(files))
    intact, second = path.read_bytes(), other.read_bytes()
    attack = data.draw(st.sampled_from(("cut", "double", "insert", "swap")))
    place = data.draw(st.integers(0, len(intact) - 1))
    if attack == "swap":
        path.write_bytes(second)
        other.write_bytes(intact)
    else:
        inserted = {"cut": b"", "double": intact[place:] * 2, "insert": b"\n" + intact[place:]}[attack]
        path.write_bytes(intact[:place] + inserted)
    same = (path.read_bytes(), other.read_bytes()) == (intact, second)
    try:
        assert same or faults(), f"{attack} {path.name} {other.name} {place}"
    finally:
        path.write_bytes(intact)
        other.write_bytes(second)


def test_every_missing_and_every_emptied_file_shows(tmp_path: Path, run: Any) -> None:
    story = a_story(90)
    log = archive_of(tmp_path, story, notes=[300])
    assert len(log.entries) > 300
    assert run(tmp_path / "archive")[0] == 0
    needed = set(log.path.rglob("*")) - {log.path / "checkpoints/000000000300", log.path / "tile/0/001.p/44"}
    needed -= {log.path / "tile/entries/001.p/44"}
    for path in sorted(path for path in needed if path.is_file()):
        intact = path.read_bytes()
        path.unlink()
        assert run(tmp_path / "archive")[0] == 1, f"{path} removed"
        path.write_bytes(b"")
        assert run(tmp_path / "archive")[0] == 1, f"{path} emptied"
        path.write_bytes(intact + b"\n")
        assert run(tmp_path / "archive")[0] == 1, f"{path} lengthened"
        path.write_bytes(intact)
    assert run(tmp_path / "archive")[0] == 0


@pytest.mark.parametrize(
    "path",
    [
        "stray",
        "rules/ab.json",
        "auto-fin/2026/readme",
        "auto-fin/2026/tile/0/000.p/3",
        "auto-fin/2026/tile/0/000.p/03",
        "auto-fin/2026/tile/0/000.p/0",
        "auto-fin/2026/tile/0/000.p/256",
        "auto-fin/2026/tile/0/000.p/x",
        "auto-fin/2026/tile/0/00٠",
        "auto-fin/2026/tile/0/00x",
        "auto-fin/2026/tile/9/x",
        "auto-fin/2026/tile/9/000",
        "auto-fin/2026/tile/0/0001",
    ],
)
def test_a_file_that_belongs_to_nothing_shows(path: str, tmp_path: Path, run: Any) -> None:
    archive_of(tmp_path, a_story())
    stray = tmp_path / "archive" / path
    stray.parent.mkdir(parents=True, exist_ok=True)
    stray.write_bytes(b"stray")
    status, report = run(tmp_path / "archive")
    assert status == 1
    assert codes(report) <= {"extra_file", "wrong_tile"}


def test_what_is_written_and_not_yet_published_is_said_and_is_no_fault(tmp_path: Path, run: Any) -> None:
    log = archive_of(tmp_path, a_story())
    log.add(Story().emit("case_9", EventType.CASE_PLACED, {}, MORNING + timedelta(minutes=9)).canonical())
    log.write()
    status, report = run(tmp_path / "archive")
    assert status == 0
    beyond = [notice["where"] for notice in report["notices"] if notice["code"] == "beyond_checkpoint"]
    assert len(beyond) == 2
    # What nobody has signed may still not contradict what somebody has.
    bundle = log.path / next(path for path in beyond if "entries" in path)
    bundle.write_bytes(bundle.read_bytes().replace(b"case_1", b"case_7", 1))
    assert run(tmp_path / "archive")[0] == 1


def test_a_newer_note_than_the_latest_shows_a_log_set_back(tmp_path: Path, run: Any) -> None:
    log = archive_of(tmp_path, a_story(), notes=[5])
    (log.path / "checkpoint").write_bytes((log.path / "checkpoints/000000000005").read_bytes())
    status, report = run(tmp_path / "archive")
    assert status == 0
    assert "newer_note" in {notice["code"] for notice in report["notices"]}
    assert report["logs"][0]["size"] == len(log.entries)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\n20\n", b"\n020\n"),
        (b"\n20\n", b"\n+20\n"),
        (b"\n20\n", b"\n20\nextension\n"),
        (b"\n\n", b"\n"),
        (b"\xe2\x80\x94 ", b"- "),
        (b"=\n\n", b"\n\n"),
        (b"audit.", b"audit\xff."),
    ],
)
def test_a_note_in_another_form_shows(old: bytes, new: bytes, tmp_path: Path, run: Any) -> None:
    log = archive_of(tmp_path, a_story())
    assert len(log.entries) == 14
    note = (log.path / "checkpoint").read_bytes().replace(b"\n14\n", b"\n20\n")
    assert old in note
    (log.path / "checkpoint").write_bytes(note.replace(old, new, 1).replace(b"20\n", b"14\n"))
    status, report = run(tmp_path / "archive")
    assert (status, codes(report)) == (1, {"bad_note"})


def test_a_rules_file_is_held_to_its_name(tmp_path: Path, run: Any) -> None:
    archive_of(tmp_path, a_story())
    rules = tmp_path / "archive/rules" / f"{hashlib.sha256(b'[]').hexdigest()}.json"
    rules.parent.mkdir()
    rules.write_bytes(b"[]")
    assert run(tmp_path / "archive")[0] == 0
    rules.write_bytes(b"{}")
    assert codes(run(tmp_path / "archive")[1]) == {"wrong_content_hash"}


# Against an earlier note


def test_a_rewritten_log_passes_alone_and_fails_against_an_earlier_note(tmp_path: Path, run: Any) -> None:
    story = a_story()
    log = archive_of(tmp_path, story)
    saved = tmp_path / "saved"
    saved.write_bytes((log.path / "checkpoint").read_bytes())
    assert run(tmp_path / "archive", "--earlier", str(saved))[0] == 0
    shutil.rmtree(tmp_path / "archive")
    other = Story()
    other.emit("pf_1", EventType.PORTFOLIO_LOADED, {"portfolio": "pf_1", "rows": 2}, MORNING - timedelta(minutes=30))
    for number in range(3):
        at = MORNING + timedelta(minutes=number)
        other.contact(number, at, case=f"case_{number}", person=f"per_{number}")
    archive_of(tmp_path, other)
    assert run(tmp_path / "archive")[0] == 0
    status, report = run(tmp_path / "archive", "--earlier", str(saved))
    assert (status, codes(report)) == (1, {"rewritten"})


def test_a_log_that_was_cut_fails_against_an_earlier_note(tmp_path: Path, run: Any) -> None:
    log = archive_of(tmp_path, a_story())
    saved = tmp_path / "saved"
    saved.write_bytes((log.path / "checkpoint").read_bytes())
    shutil.rmtree(tmp_path / "archive")
    archive_of(tmp_path, a_story(2))
    assert run(tmp_path / "archive")[0] == 0
    status, report = run(tmp_path / "archive", "--earlier", str(saved))
    assert (status, codes(report)) == (1, {"rolled_back"})


def test_a_log_rewritten_below_a_size_that_it_never_published_shows_as_well(tmp_path: Path, run: Any) -> None:
    log = archive_of(tmp_path, a_story())
    saved = tmp_path / "saved"
    saved.write_bytes(archives.signed_checkpoint(ORIGIN, 5, merkle.root_of(log.leaves[:5])))
    assert run(tmp_path / "archive", "--earlier", str(saved))[0] == 0
    saved.write_bytes(archives.signed_checkpoint(ORIGIN, 5, merkle.root_of(log.leaves[1:6])))
    status, report = run(tmp_path / "archive", "--earlier", str(saved))
    assert (status, codes(report)) == (1, {"rewritten"})


def test_a_note_that_not_every_key_of_the_log_signed_shows(tmp_path: Path, keys: dict[str, str], run: Any) -> None:
    log = archive_of(tmp_path, a_story(), notes=[5])
    early = archives.signed_checkpoint(ORIGIN, 5, merkle.root_of(log.leaves[:5]), [archives.P256])
    log.put("checkpoints/000000000005", early)
    assert run(tmp_path / "archive", key="p256")[0] == 0
    assert codes(run(tmp_path / "archive")[1]) == {"not_signed"}
    assert codes(run(tmp_path / "archive", "--key", keys["p256"])[1]) == {"not_signed"}


@pytest.mark.parametrize(("name", "beside"), [("schema/v1.json", True), ("keys/00000000.vkey", False)])
def test_a_file_that_the_first_entry_names_is_held_to_its_hash(
    name: str, beside: bool, tmp_path: Path, run: Any
) -> None:
    genesis = {"previous": None, "files": {name: hashlib.sha256(b"as it was").hexdigest()}}
    log = write_archive(tmp_path / "archive", with_heartbeats(a_story().events, genesis=genesis))
    path = (tmp_path / "archive" if beside else log.path) / name
    path.parent.mkdir()
    path.write_bytes(b"as it was")
    assert run(tmp_path / "archive")[0] == 0
    path.write_bytes(b"as it is")
    assert codes(run(tmp_path / "archive")[1]) == {"wrong_content_hash"}


def test_an_earlier_note_of_another_log_or_without_signature_is_not_used(tmp_path: Path, run: Any) -> None:
    archive_of(tmp_path, a_story())
    saved = tmp_path / "saved"
    saved.write_bytes(archives.signed_checkpoint("audit.forbear.test/other/2026", 1, merkle.EMPTY_ROOT))
    assert run(tmp_path / "archive", "--earlier", str(saved))[0] == 2
    saved.write_bytes(b"nothing")
    assert run(tmp_path / "archive", "--earlier", str(saved))[0] == 2


# Entries and streams, in logs that are signed all the same


def built(tmp_path: Path, events: list[Event], change: Callable[[Log, int, bytes], None] | None = None) -> Log:
    log = Log(tmp_path / "archive")
    for number, event in enumerate(events):
        if change is None:
            log.add(event.canonical())
        else:
            change(log, number, event.canonical())
    log.publish()
    return log


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (b',"log":', b', "log":', "not_canonical"),
        (b'"v":1}', b'"v":2}', "bad_record"),
        (b'"rows":3', b'"rows":3.0', "not_canonical"),
        (b'"rows":3', b'"rows":9007199254740993', "not_canonical"),
        (b'"rows":3', b'"rows":3,"rows":3', "not_canonical"),
        (b'"seq":1,', b'"seq":2,', "wrong_seq"),
        (b"auto-fin/2026", b"auto-fin/2025", "wrong_origin"),
        (b'"req":"req_1",', b"", "bad_record"),
        (b'"at":"2026', b'"at":"20x6', "not_canonical"),
        (b"Z", b"", "not_canonical"),
        (b'"auth":"none",', b"", "bad_record"),
    ],
)
def test_an_entry_in_another_form_shows(old: bytes, new: bytes, code: str, tmp_path: Path, run: Any) -> None:
    def change(log: Log, number: int, event: bytes) -> None:
        log.add(event)
        if number == 1:
            changed = log.entries.pop()
            log.leaves.pop()
            assert old in changed
            log.append(changed.replace(old, new, 1))

    built(tmp_path, with_heartbeats(a_story().events), change)
    status, report = run(tmp_path / "archive")
    assert status == 1
    assert code in codes(report)


def test_an_event_left_out_of_its_stream_shows(tmp_path: Path, run: Any) -> None:
    events = with_heartbeats(a_story().events)
    gone = next(place for place, event in enumerate(events) if event.type is EventType.CONTACT_CLAIMED)
    built(tmp_path, events[:gone] + events[gone + 1 :])
    assert "stream_gap" in codes(run(tmp_path / "archive")[1])


def test_an_event_that_stands_twice_shows(tmp_path: Path, run: Any) -> None:
    events = with_heartbeats(a_story().events)
    built(tmp_path, [*events[:3], events[2], *events[3:]])
    assert codes(run(tmp_path / "archive")[1]) == {"stream_gap"}


def test_an_event_exchanged_for_another_breaks_the_link(tmp_path: Path, run: Any) -> None:
    def change(log: Log, number: int, event: bytes) -> None:
        log.add(
            event.replace(b'"template":"cn-sms-demand@1"', b'"template":"cn-sms-demand@2"', 1) if number == 2 else event
        )

    built(tmp_path, with_heartbeats(a_story().events), change)
    assert codes(run(tmp_path / "archive")[1]) == {"stream_link"}


def test_a_log_that_stood_still_for_more_than_two_hours_shows(tmp_path: Path, run: Any) -> None:
    story = a_story()
    story.emit("case_9", EventType.CASE_PLACED, {}, MORNING + timedelta(hours=6))
    events = with_heartbeats(story.events)
    beats = [place for place, event in enumerate(events) if event.type is EventType.LOG_HEARTBEAT]
    assert len(beats) > 4
    built(tmp_path, events)
    assert run(tmp_path / "archive")[0] == 0
    shutil.rmtree(tmp_path / "archive")
    # The same day as a log that missed its beats from the second hour on, numbered densely all the same.
    silent = Story()
    own = [
        silent.emit("log_2026", event.type, event.data, datetime.fromisoformat(event.at))
        for place, event in enumerate(events)
        if event.stream == "log_2026" and place not in beats[1:4]
    ]
    built(tmp_path, [own[0], *[e for e in events if e.stream != "log_2026"], *own[1:]])
    status, report = run(tmp_path / "archive")
    assert (status, codes(report)) == (1, {"heartbeat_gap"})
    assert run(tmp_path / "archive", "--heartbeat-hours", "12")[0] == 0


def test_a_log_without_genesis_or_with_two_shows(tmp_path: Path, run: Any) -> None:
    events = with_heartbeats(a_story().events)
    built(tmp_path, events[1:])
    assert "no_genesis" in codes(run(tmp_path / "archive")[1])


def test_a_log_in_another_ones_place_shows(tmp_path: Path, run: Any) -> None:
    log = archive_of(tmp_path, a_story())
    shutil.move(log.path.parent, log.path.parent.with_name("other-lender"))
    assert "wrong_origin" in codes(run(tmp_path / "archive")[1])


# Years


def two_years(tmp_path: Path, *, note: Callable[[bytes], str] = bytes.decode) -> Path:
    story, late = a_story(), START + timedelta(days=60)
    last = write_archive(tmp_path / "archive", with_heartbeats(story.events))
    split = len(story.events)
    story.contact(9, late, case="case_0", person="per_0")
    genesis = {"previous": {"log": ORIGIN, "note": note((last.path / "checkpoint").read_bytes())}, "files": {}}
    events = with_heartbeats(story.events[split:], year="2027", genesis=genesis)
    write_archive(tmp_path / "archive", events, origin="audit.forbear.test/auto-fin/2027")
    return tmp_path / "archive"


def test_a_stream_goes_on_in_the_next_year(tmp_path: Path, run: Any) -> None:
    folder = two_years(tmp_path)
    status, report = run(folder)
    assert (status, report["faults"]) == (0, [])
    assert [log["origin"][-4:] for log in report["logs"]] == ["2026", "2027"]


def test_a_stream_that_begins_in_its_middle_shows_when_the_year_before_is_there(tmp_path: Path, run: Any) -> None:
    story, late = a_story(), START + timedelta(days=60)
    last = write_archive(tmp_path / "archive", with_heartbeats(story.events))
    split = len(story.events)
    story.contact(9, late, case="case_9", person="per_9")
    genesis = {"previous": {"log": ORIGIN, "note": (last.path / "checkpoint").read_text()}, "files": {}}
    events = with_heartbeats(story.events[split + 1 :], year="2027", genesis=genesis)
    write_archive(tmp_path / "archive", events, origin="audit.forbear.test/auto-fin/2027")
    assert "stream_gap" in codes(run(tmp_path / "archive")[1])
    shutil.rmtree(tmp_path / "archive" / "auto-fin" / "2026")
    # Alone, the year cannot know where the stream began.
    assert "stream_gap" not in codes(run(tmp_path / "archive")[1])


def test_a_year_that_carries_another_note_than_the_last_shows(tmp_path: Path, run: Any) -> None:
    other = archives.signed_checkpoint(ORIGIN, 3, merkle.EMPTY_ROOT)
    assert "year_link" in codes(run(two_years(tmp_path, note=lambda last: other.decode()))[1])


def test_a_year_alone_is_verified_from_its_beginning_and_says_so(tmp_path: Path, run: Any) -> None:
    folder = two_years(tmp_path)
    shutil.rmtree(folder / "auto-fin" / "2026")
    status, report = run(folder)
    assert status == 0
    assert "year_before" in {notice["code"] for notice in report["notices"]}


# Sends


def judged(tmp_path: Path, story: Story, run: Any, keys: dict[str, str]) -> set[str]:
    archive_of(tmp_path, story)
    status, report = run(tmp_path / "archive", "--approval-key", keys["approval"])
    assert status == (1 if report["faults"] else 0)
    return codes(report)


@pytest.mark.parametrize(
    ("deviation", "code"),
    [
        ({"steps": ("requested", "claimed", "sent")}, "no_approval"),
        ({"steps": ("requested", "decided", "sent")}, "no_approval"),
        ({"steps": ("requested", "decided", "claimed", "claimed", "sent")}, "approval_reused"),
        ({"steps": ("requested", "decided", "claimed", "sent", "sent")}, "approval_reused"),
        ({"outcome": "deny"}, "no_approval"),
        ({"claim_at": MORNING + timedelta(minutes=15)}, "outside_window"),
        ({"claim_at": MORNING - timedelta(seconds=1)}, "outside_window"),
        ({"claimed": {"content": "f" * 64}}, "content_changed"),
        ({"sent": {"content": "f" * 64}}, "content_changed"),
        ({"sent": {"recipient": "f" * 32}}, "content_changed"),
        ({"approval": {"content": "f" * 64}}, "bad_approval"),
        ({"approval": {"not_after": "2026-11-24T02:00:00.000Z"}}, "bad_approval"),
        ({"approval": {"extra": 1}}, "bad_approval"),
        ({"approval": {"signature": "AAAA"}}, "bad_approval"),
        ({"approval": {"tenant": "other"}}, "bad_approval"),
        ({"decided": {"recipient": "f" * 32}}, "bad_approval"),
        ({"decided": {"not_after": "2026-11-24T02:00:00.000Z"}}, "bad_approval"),
    ],
)
def test_a_send_that_its_approval_does_not_cover_shows(
    deviation: dict[str, Any], code: str, tmp_path: Path, run: Any, keys: dict[str, str]
) -> None:
    story = Story()
    story.contact(1, MORNING, **deviation)
    assert code in judged(tmp_path, story, run, keys)


@pytest.mark.parametrize(
    ("deviation", "codes_told"),
    [
        ({}, set()),
        ({"template_sha256": "00" * 32}, {"bad_text"}),
        ({"effective_from": "2026-11-23T02:00:00.001Z"}, {"bad_text"}),
        ({"effective_until": "2026-11-23T02:00:00.000Z"}, {"bad_text"}),
        ({"effective_until": "2026-11-23T02:00:00.001Z"}, set()),
    ],
)
def test_a_ruling_on_a_text_that_was_not_approved_so_shows(
    deviation: dict[str, Any], codes_told: set[str], tmp_path: Path, run: Any, keys: dict[str, str]
) -> None:
    data = {"template": archives.TEXT, "template_sha256": archives.TEXT_DIGEST, "author": "ops-1"}
    data |= {"reason_sha256": "aa" * 32, "effective_from": "2026-11-23T02:00:00.000Z", "effective_until": None}
    story = Story()
    story.emit("tpl_cn-sms-demand", EventType.TEMPLATE_APPROVED, data | deviation, MORNING - timedelta(hours=1))
    story.contact(1, MORNING)
    assert judged(tmp_path, story, run, keys) == codes_told


def test_an_approval_holds_until_just_before_its_end(tmp_path: Path, run: Any, keys: dict[str, str]) -> None:
    story = Story()
    story.contact(1, MORNING, claim_at=MORNING + timedelta(minutes=15) - timedelta(milliseconds=1))
    assert judged(tmp_path, story, run, keys) == set()


def test_an_approval_certified_by_another_root_shows_only_with_the_root_key(
    tmp_path: Path, run: Any, keys: dict[str, str]
) -> None:
    story = Story()
    story._signer = ApprovalSigner(
        lambda message: archives.P256.sign(message, ec.ECDSA(hashes.SHA256())), root_key_id="root"
    )
    story.contact(1, MORNING)
    assert "bad_approval" in judged(tmp_path, story, run, keys)
    assert run(tmp_path / "archive")[0] == 0


def test_a_dossier_exchanged_after_the_ruling_shows(tmp_path: Path, run: Any, keys: dict[str, str]) -> None:
    story = Story()
    story.contact(1, MORNING, steps=("requested", "decided"))
    decided = story.events.pop()
    story._heads["case_1"] = (1, story.events[-1].digest())
    story.emit("case_1", decided.type, decided.data, MORNING, decision=decided.decision, key="per_1", sealed="AAAA")
    assert judged(tmp_path, story, run, keys) == {"inputs_changed"}


def test_a_stop_between_ruling_and_claim_shows_on_any_medium(tmp_path: Path, run: Any, keys: dict[str, str]) -> None:
    story = Story()
    story.contact(1, MORNING, steps=("requested", "decided"))
    story.stop(MORNING + timedelta(seconds=10), medium="email")
    story.contact(1, MORNING, steps=("claimed", "sent"))
    assert judged(tmp_path, story, run, keys) == {"sent_after_stop"}


def test_a_hold_between_ruling_and_claim_shows(tmp_path: Path, run: Any, keys: dict[str, str]) -> None:
    story = Story()
    story.contact(1, MORNING, steps=("requested", "decided"))
    story.hold(MORNING + timedelta(seconds=10))
    story.contact(1, MORNING, steps=("claimed", "sent"))
    assert judged(tmp_path, story, run, keys) == {"sent_after_stop"}


@pytest.mark.parametrize(
    ("stop", "deviation", "found"),
    [
        ({}, {}, {"sent_after_stop"}),
        ({"medium": "all", "scope": "all"}, {}, {"sent_after_stop"}),
        ({"medium": "email"}, {}, set()),
        ({"person": "per_2"}, {}, set()),
        ({}, {"purpose": "opt_out_confirmation"}, set()),
        ({}, {"reply_to": "in_1"}, set()),
        ({}, {"channel": "email"}, set()),
    ],
)
def test_a_message_ruled_on_after_an_opt_out_shows_unless_it_is_another_matter(
    stop: dict[str, Any], deviation: dict[str, Any], found: set[str], tmp_path: Path, run: Any, keys: dict[str, str]
) -> None:
    story = Story()
    story.stop(MORNING - timedelta(hours=1), **stop)
    story.contact(1, MORNING, **deviation)
    assert judged(tmp_path, story, run, keys) == found


def test_an_opt_out_ends_with_a_new_consent_and_not_before(tmp_path: Path, run: Any, keys: dict[str, str]) -> None:
    story = Story()
    story.stop(MORNING - timedelta(hours=1))
    story.contact(1, MORNING)
    granted = {"person": "per_1", "medium": "sms", "event": "granted", "scope": "medium"}
    story.emit("per_1", EventType.CONSENT_CHANGED, granted, MORNING + timedelta(hours=1))
    story.contact(2, MORNING + timedelta(hours=2))
    archive_of(tmp_path, story)
    _, report = run(tmp_path / "archive")
    assert [fault["where"] for fault in report["faults"]] == ["case_1: 3"]


@pytest.mark.parametrize(
    ("deviation", "found"),
    [
        ({}, set()),
        ({"reported": {"attempted_at": "2026-11-23T03:00:00.000Z"}}, {"outside_window"}),
        ({"reported": {"attempted_at": "2026-11-23T03:00:00.000Z", "outcome": "not_made"}}, set()),
        ({"steps": ("requested", "decided", "reported", "reported")}, {"approval_reused"}),
        ({"steps": ("requested", "reported")}, {"no_approval"}),
    ],
)
def test_a_call_is_reported_under_its_clearance(
    deviation: dict[str, Any], found: set[str], tmp_path: Path, run: Any, keys: dict[str, str]
) -> None:
    story = Story()
    usual: dict[str, Any] = {"channel": "call", "human": True, "steps": ("requested", "decided", "reported")}
    story.contact(1, MORNING, **(usual | deviation))
    assert judged(tmp_path, story, run, keys) == found
