"""Time stamps, witnesses, the manifest and the quicker level: what each adds to the offline verifier, and what it misses."""

import base64
import hashlib
import json
import subprocess
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from chalicelib.domain.audit.notes import NoteKey, SignatureType
from chalicelib.domain.events import EventType
from scripts import verify_archive
from tests import archives
from tests.archives import ORIGIN, Log, Story, spki, with_heartbeats, write_archive
from tests.time_authority import TimeAuthority

NOW = datetime.now().astimezone()
BEGUN = NOW - timedelta(hours=3)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> TimeAuthority:
    """Return an authority of time on this machine."""
    return TimeAuthority(tmp_path_factory.mktemp("tsa"))


def a_story(*, offset: timedelta = timedelta(0), count: int = 6) -> Story:
    story = Story()
    for number in range(count):
        story.emit(f"case_{number}", EventType.CASE_PLACED, {"n": number}, BEGUN + timedelta(minutes=number) + offset)
    return story


def written(folder: Path, story: Story, **how: Any) -> Log:
    (folder / "log.pem").write_bytes(archives.pem(archives.ED25519))
    return write_archive(folder / "archive", with_heartbeats(story.events), **how)


def run(folder: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, set[str], dict[str, Any]]:
    """Return exit status, codes of faults, and the report."""
    status = verify_archive.main([str(folder / "archive"), "--key", str(folder / "log.pem"), "--json", *more])
    printed = capsys.readouterr()
    report = json.loads(printed.out) if printed.out else {"faults": [], "error": printed.err}
    return status, {fault["code"] for fault in report["faults"]}, report


def stamp(log: Log, authority: TimeAuthority, size: int | None = None) -> Path:
    size = size or len(log.entries)
    path = log.path / f"anchors/{size:012d}.tsr"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(authority.stamp((log.path / f"checkpoints/{size:012d}").read_bytes()))
    return path


# Time stamps


def test_a_time_stamp_over_a_note_is_verified_against_the_authority_given(
    tmp_path: Path, authority: TimeAuthority, capsys: pytest.CaptureFixture[str]
) -> None:
    log = written(tmp_path, a_story(), notes=[3])
    stamp(log, authority, 3)
    stamp(log, authority)
    status, codes, report = run(tmp_path, capsys, "--tsa-ca", str(authority.certificate))
    assert (status, codes, report["counts"]["time stamps"]) == (0, set(), 2)
    status, codes, report = run(tmp_path, capsys)
    assert status == 0 and "anchors_unchecked" in {notice["code"] for notice in report["notices"]}


def test_every_bit_of_a_time_stamp_that_says_something_is_covered(
    tmp_path: Path, authority: TimeAuthority, capsys: pytest.CaptureFixture[str]
) -> None:
    log = written(tmp_path, a_story())
    path = stamp(log, authority)
    intact = path.read_bytes()
    note = (log.path / "checkpoint").read_bytes()
    root = verify_archive.x509.load_pem_x509_certificate(authority.certificate.read_bytes())
    at = verify_archive.stamped_at(intact, note, root)
    for place in range(len(intact)):
        changed = bytearray(intact)
        changed[place] ^= 1 << place % 8
        try:
            again = verify_archive.stamped_at(bytes(changed), note, root)
        except verify_archive.NO_STAMP:
            continue
        # What is left are bytes that the authority did not sign and that say nothing, as those of its status text.
        assert again == at


@pytest.mark.parametrize("attack", ["other note", "other authority", "empty", "no stamp", "stray name"])
def test_a_time_stamp_of_something_else_shows(
    attack: str,
    tmp_path: Path,
    authority: TimeAuthority,
    capsys: pytest.CaptureFixture[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    log = written(tmp_path, a_story(), notes=[3])
    path = stamp(log, authority)
    if attack == "other note":
        path.write_bytes(stamp(log, authority, 3).read_bytes())
    elif attack == "other authority":
        stranger = TimeAuthority(tmp_path_factory.mktemp("stranger"))
        path.write_bytes(stranger.stamp((log.path / "checkpoint").read_bytes()))
    elif attack == "empty":
        path.write_bytes(b"")
    elif attack == "no stamp":
        path.write_bytes(authority.certificate.read_bytes())
    else:
        path.rename(path.with_name("000000000005.tsr"))
    assert run(tmp_path, capsys, "--tsa-ca", str(authority.certificate))[1] == {"bad_anchor"}


def test_openssl_agrees_that_the_stamp_is_of_this_note(tmp_path: Path, authority: TimeAuthority) -> None:
    log = written(tmp_path, a_story())
    path = stamp(log, authority)
    command = ["openssl", "ts", "-verify", "-in", str(path), "-CAfile", str(authority.certificate)]
    assert subprocess.run([*command, "-data", str(log.path / "checkpoint")], capture_output=True).returncode == 0
    assert subprocess.run([*command, "-data", str(path)], capture_output=True).returncode != 0


def test_an_event_dated_after_the_stamp_that_covers_it_shows(
    tmp_path: Path, authority: TimeAuthority, capsys: pytest.CaptureFixture[str]
) -> None:
    log = written(tmp_path, a_story(offset=timedelta(hours=5)))
    assert run(tmp_path, capsys, "--tsa-ca", str(authority.certificate))[0] == 0
    stamp(log, authority)
    assert run(tmp_path, capsys, "--tsa-ca", str(authority.certificate))[1] == {"ahead_of_anchor"}


@pytest.mark.parametrize("level", ["log", "full"])
def test_an_event_slipped_in_long_after_its_time_shows(
    level: str, tmp_path: Path, authority: TimeAuthority, capsys: pytest.CaptureFixture[str]
) -> None:
    story = a_story()
    events = with_heartbeats(story.events)
    late = Story().emit("case_99", EventType.CASE_PLACED, {}, NOW - timedelta(hours=30))
    (tmp_path / "log.pem").write_bytes(archives.pem(archives.ED25519))
    log = write_archive(tmp_path / "archive", [*events, late], notes=[len(events)])
    asked = ("--tsa-ca", str(authority.certificate), "--level", level)
    assert run(tmp_path, capsys, *asked)[0] == 0
    stamp(log, authority, len(events))
    status, codes, report = run(tmp_path, capsys, *asked)
    assert codes == {"behind_anchor"} and report["faults"][0]["where"].startswith(f"entry {len(events)}")
    assert run(tmp_path, capsys, *asked, "--late-hours", "48")[0] == 0


# Witnesses


class Witness:
    """Somebody who signs notes with the time, as C2SP tlog-cosignature says."""

    def __init__(self, name: str) -> None:
        """Make a key."""
        self.name, self._key = name, ed25519.Ed25519PrivateKey.generate()
        raw = self._key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self._id = hashlib.sha256(name.encode() + b"\n\x04" + raw).digest()[:4]
        self.vkey = f"{name}+{self._id.hex()}+{base64.b64encode(bytes([4]) + raw).decode()}"

    def line(self, note: bytes, at: int = 1_790_000_000) -> bytes:
        """Return the signature line over a note's text."""
        text = note.rpartition(b"\n\n")[0] + b"\n"
        signature = self._key.sign(f"cosignature/v1\ntime {at}\n".encode() + text)
        return f"\N{EM DASH} {self.name} {base64.b64encode(self._id + at.to_bytes(8) + signature).decode()}\n".encode()


def policy(folder: Path, *witnesses: Witness, quorum: str) -> str:
    lines = [f"witness {each.name.split('.')[0]} {each.vkey}" for each in witnesses]
    names = " ".join(each.name.split(".")[0] for each in witnesses)
    # A witness is a member of one group at most.
    groups = {"quorum two": [f"group two 2 {names}"], "quorum any-of": [f"group any-of any {names}"]}
    lines = ["# who must have seen the log", *lines, *groups.get(quorum, []), quorum]
    (folder / "policy").write_text("\n".join(lines) + "\n")
    return str(folder / "policy")


def test_a_quorum_of_witnesses_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = written(tmp_path, a_story())
    note, size = (log.path / "checkpoint").read_bytes(), len(log.entries)
    lender, regulator, stranger = Witness("lender.example"), Witness("regulator.example"), Witness("else.example")
    (log.path / f"cosigs/{size:012d}").mkdir(parents=True)
    place = log.path / f"cosigs/{size:012d}"
    (place / "lender").write_bytes(lender.line(note) + stranger.line(note))
    asked = ("--policy", policy(tmp_path, lender, regulator, quorum="quorum any-of"))
    status, codes, report = run(tmp_path, capsys, *asked)
    assert (status, report["counts"]["cosignatures"]) == (0, 1)
    assert "no_witness" not in {notice["code"] for notice in report["notices"]}
    asked = ("--policy", policy(tmp_path, lender, regulator, quorum="quorum two"))
    assert run(tmp_path, capsys, *asked)[1] == {"no_quorum"}
    (place / "regulator").write_bytes(regulator.line(note))
    assert run(tmp_path, capsys, *asked)[0] == 0
    # Of another note, or with another time than was signed.
    for spoiled in (regulator.line(note.replace(b"audit.", b"audits.")), regulator.line(note)[:-1]):
        (place / "regulator").write_bytes(spoiled)
        assert run(tmp_path, capsys, *asked)[1] == {"bad_cosignature", "no_quorum"}
    asked = ("--policy", policy(tmp_path, lender, regulator, quorum="quorum none"))
    (place / "regulator").write_bytes(regulator.line(note))
    assert "no_witness" in {notice["code"] for notice in run(tmp_path, capsys, *asked)[2]["notices"]}


@pytest.mark.parametrize("text", ["witness", "quorum nobody", "word", "witness a b+c+d", "group g x a\nquorum g"])
def test_a_policy_that_cannot_be_read_verifies_nothing(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path, a_story())
    (tmp_path / "policy").write_text(text + "\n")
    assert run(tmp_path, capsys, "--policy", str(tmp_path / "policy"))[0] == 2


# The manifest


def with_manifest(log: Log, key: Any = archives.ED25519, *, digest: str | None = None) -> None:
    folder, at = log.folder, "2026-11-23T09:00:00.000Z"
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("manifest."))
    files = [
        {
            "path": path.relative_to(folder).as_posix(),
            "size": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in paths
    ]
    raw = rfc8785.dumps({"files": files, "log": ORIGIN})
    (folder / "manifest.json").write_bytes(raw)
    text = f"{ORIGIN}\nmanifest {digest or hashlib.sha256(raw).hexdigest()}\n{at}\n"
    named = NoteKey(ORIGIN, SignatureType.ED25519, spki(key))
    line = base64.b64encode(named.id + key.sign(text.encode())).decode()
    (folder / "manifest.note").write_text(f"{text}\n\N{EM DASH} {ORIGIN} {line}\n")


def test_the_manifest_covers_every_byte_of_every_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = written(tmp_path, a_story())
    (log.folder / "VERIFY.md").write_text("how to\n")
    assert run(tmp_path, capsys)[1] == {"extra_file"}
    with_manifest(log)
    status, codes, report = run(tmp_path, capsys)
    assert (status, codes) == (0, set()) and report["counts"]["files in the manifest"] == 5
    (log.folder / "VERIFY.md").write_text("how to!\n")
    assert "not_in_manifest" in run(tmp_path, capsys)[1]
    (log.folder / "VERIFY.md").unlink()
    assert run(tmp_path, capsys)[1] == {"not_in_manifest"}
    (log.folder / "VERIFY.md").write_text("how to\n")
    (log.folder / "more").write_text("")
    assert "not_in_manifest" in run(tmp_path, capsys)[1]


@pytest.mark.parametrize("attack", ["bit", "note", "stranger", "other", "no note", "no manifest"])
def test_a_manifest_that_nobody_signed_shows(attack: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = written(tmp_path, a_story())
    with_manifest(log)
    manifest, note = log.folder / "manifest.json", log.folder / "manifest.note"
    if attack == "bit":
        manifest.write_bytes(manifest.read_bytes() + b" ")
    elif attack == "note":
        note.write_bytes(note.read_bytes().replace(b"T09", b"T08"))
    elif attack == "stranger":
        with_manifest(log, ed25519.Ed25519PrivateKey.generate())
    elif attack == "other":
        with_manifest(log, digest="0" * 64)
    else:
        (note if attack == "no note" else manifest).unlink()
    assert "bad_manifest" in run(tmp_path, capsys)[1]


# The quicker level


def damaged(log: Log, where: int, change: Callable[[bytes], bytes]) -> None:
    """Write the log anew with one entry changed, everything above it in order: as its keeper could."""
    entries = [change(entry) if number == where else entry for number, entry in enumerate(log.entries)]
    again = Log(log.folder, log.origin)
    for entry in entries:
        again.append(entry)
    again.publish()


def test_the_quick_level_says_that_it_is_one_and_holds_for_an_honest_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path, a_story())
    status, _, report = run(tmp_path, capsys, "--level", "log")
    assert status == 0 and report["counts"]["streams"] == 7
    assert "log_level_only" in {notice["code"] for notice in report["notices"]}
    assert "log_level_only" not in {notice["code"] for notice in run(tmp_path, capsys)[2]["notices"]}


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (b'"case_seq":1', b'"case_seq":2', "stream_gap"),
        (b'"case_prev":null', b'"case_prev":"' + b"0" * 64 + b'"', "stream_link"),
        (b'"seq":3,', b'"seq":4,', "wrong_seq"),
        (b'"log":"audit.forbear.test/auto-fin', b'"log":"audit.forbear.test/other', "wrong_origin"),
        (b'"v":1', b'"v":2', "bad_record"),
        (b'"at":"2', b'"at":"x', "not_canonical"),
        (b'"actor":{', b'"actor": {', "not_canonical"),
        (b'"type":"case.placed"', b'"type":"log.genesis"', "no_genesis"),
    ],
)
def test_both_levels_see_what_is_wrong_with_an_entrys_frame(
    old: bytes, new: bytes, code: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = written(tmp_path, a_story())
    assert old in log.entries[3]
    damaged(log, 3, lambda entry: entry.replace(old, new, 1))
    for level in ("log", "full"):
        assert code in run(tmp_path, capsys, "--level", level)[1]


def test_only_the_full_level_reads_what_is_in_an_entry(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = written(tmp_path, a_story())
    damaged(log, 3, lambda entry: entry.replace(b'{"n":2}', b'{"n": 2}', 1))
    assert run(tmp_path, capsys, "--level", "log")[0] == 0
    assert run(tmp_path, capsys)[1] == {"not_canonical"}


def test_the_tree_level_holds_for_an_honest_log_and_says_what_it_leaves_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = written(tmp_path, a_story())
    status, _, report = run(tmp_path, capsys, "--level", "tree")
    assert (status, report["counts"]["entries"]) == (0, len(log.entries))
    noticed = {notice["code"] for notice in report["notices"]}
    assert "tree_level_only" in noticed and "log_level_only" not in noticed
    damaged(log, 3, lambda entry: entry.replace(b'"case_seq":1', b'"case_seq":2', 1))
    assert run(tmp_path, capsys, "--level", "tree")[0] == 0
    damaged(log, 3, lambda entry: entry.replace(b'"type":"case.placed"', b'"type":"log.genesis"', 1))
    assert "no_genesis" in run(tmp_path, capsys, "--level", "tree")[1]


def test_no_bit_of_an_entry_changes_without_the_tree_level_seeing_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = written(tmp_path, a_story())
    [bundle] = (
        path for path in log.folder.rglob("tile/entries/**/*") if path.is_file() and str(len(log.entries)) == path.name
    )
    whole = bundle.read_bytes()
    for place in range(2, len(whole), 211):
        bundle.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert run(tmp_path, capsys, "--level", "tree")[0] == 1
    bundle.write_bytes(whole)
    assert run(tmp_path, capsys, "--level", "tree")[0] == 0
