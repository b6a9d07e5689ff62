"""The recipes of ``docs/archive.md``, run as a stranger would paste them: a shell, coreutils and openssl, no Python."""

import re
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from chalicelib.domain.audit.merkle import leaf_hash
from chalicelib.domain.events import EventType
from tests import archives
from tests.archives import START, Log, Story, with_heartbeats, write_archive

DOCS = Path(__file__).parents[2] / "docs" / "archive.md"

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not on this machine")


def recipe(name: str) -> str:
    """Return the commands that the page gives under this name."""
    found = re.search(rf"<!-- recipe: {name} -->\n```sh\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found.group(1)


def run(commands: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the commands in a directory by a plain shell without anything of this project in its reach."""
    environment = {"PATH": "/usr/bin:/bin:/usr/local/bin", "LC_ALL": "C"}
    return subprocess.run(
        ["sh", "-c", commands], cwd=folder, env=environment, capture_output=True, text=True, timeout=60
    )


@pytest.fixture
def log(tmp_path: Path) -> Log:
    """Write an archive and the keys where the page expects them."""
    return a_log(tmp_path, 40)


def a_log(folder: Path, cases: int) -> Log:
    story = Story()
    for number in range(cases):
        story.emit(f"case_{number}", EventType.CASE_PLACED, {"region": "沪"}, START + timedelta(seconds=number))
    log = write_archive(folder / "var" / "archive", with_heartbeats(story.events))
    (folder / "var" / "archive.pub.pem").write_bytes(archives.pem(archives.ED25519))
    (folder / "var" / "archive-p256.pub.pem").write_bytes(archives.pem(archives.P256))
    return log


@pytest.mark.parametrize(("name", "verdict"), [("ed25519", "Signature Verified Successfully"), ("p256", "Verified OK")])
def test_openssl_verifies_a_note_by_the_commands_of_the_page(name: str, verdict: str, log: Log, tmp_path: Path) -> None:
    done = run(recipe(name), tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert verdict in done.stdout


@pytest.mark.parametrize("name", ["ed25519", "p256"])
def test_openssl_refuses_a_note_that_was_changed(name: str, log: Log, tmp_path: Path) -> None:
    note = log.path / "checkpoint"
    note.write_bytes(note.read_bytes().replace(b"\n41\n", b"\n42\n", 1))
    assert b"\n42\n" in note.read_bytes()
    done = run(recipe(name), tmp_path)
    assert done.returncode != 0
    assert "Fail" in done.stdout + done.stderr or "failure" in (done.stdout + done.stderr).lower()


@pytest.mark.parametrize("cases", [40, 300])
def test_the_first_entry_is_found_and_hashed_by_the_commands_of_the_page(cases: int, tmp_path: Path) -> None:
    log = a_log(tmp_path, cases)
    done = run(recipe("entry"), tmp_path)
    assert done.stderr == ""
    assert done.stdout.split() == [leaf_hash(log.entries[0]).hex()] * 2
    assert (tmp_path / "entry.json").read_bytes() == log.entries[0]
