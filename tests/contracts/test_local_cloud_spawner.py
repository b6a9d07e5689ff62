"""Functions' processes that are copies of one: each is by itself, and when copying is not possible nothing is missing."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.cloud.spawner import Forked, Spawner
from scripts.package import ROOT

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="processes are copied on Linux only")

TELL = """
import json, os, sys
known = {"mine": os.environ.get("MINE"), "home": os.environ.get("HOME"), "folder": os.getcwd(), "name": __name__,
         "read": "chalicelib.edge.cases_api" in sys.modules, "pid": os.getpid()}
print(json.dumps(known), flush=True)
print("told", file=sys.stderr, flush=True)
for line in sys.stdin:
    print("heard", line.strip(), flush=True)
"""


@pytest.fixture(scope="module")
def spawner() -> Iterator[Spawner]:
    made = Spawner()
    yield made
    made.close()


@pytest.fixture
def program(tmp_path: Path) -> Path:
    file = tmp_path / "program.py"
    file.write_text(TELL)
    return file


def _start(spawner: Spawner, program: Path, **environment: str) -> Forked:
    started = spawner.Popen(
        [sys.executable, str(program)],
        cwd=str(ROOT),
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    assert isinstance(started, Forked)
    return started


def test_copies_have_environment_folder_and_pipes_of_their_own(spawner: Spawner, program: Path) -> None:
    one, other = _start(spawner, program, MINE="one"), _start(spawner, program, MINE="other")
    told = [json.loads(each.stdout.readline()) for each in (one, other)]
    assert [each["mine"] for each in told] == ["one", "other"]
    assert [each["pid"] for each in told] == [one.pid, other.pid]
    for each in told:
        assert (each["home"], each["folder"], each["name"], each["read"]) == (None, str(ROOT), "__main__", True)
    one.stdin.write("word\n")
    assert one.stdout.readline() == "heard word\n"
    assert one.stderr.readline() == "told\n"
    # Nobody else holds the ends of its pipes: closing ours is the end of what it reads.
    one.stdin.close()
    assert one.wait(timeout=10) == -1
    assert (one.stdout.read(), other.poll()) == ("", None)
    other.kill()
    assert other.wait(timeout=10) == -1
    other.terminate()


def test_a_copy_that_goes_on_is_told_to_have_done_so(spawner: Spawner, program: Path) -> None:
    running = _start(spawner, program)
    with pytest.raises(subprocess.TimeoutExpired):
        running.wait(timeout=0)
    running.terminate()
    assert running.wait(timeout=10) == running.poll() == -1


def test_a_fault_of_the_program_is_told_where_it_would_be(spawner: Spawner, tmp_path: Path) -> None:
    file = tmp_path / "program.py"
    file.write_text("raise ValueError('at fault')\n")
    failed = _start(spawner, file)
    assert failed.wait(timeout=10) == -1
    assert "ValueError: at fault" in failed.stderr.read()


def test_without_the_first_process_each_starts_by_itself(program: Path) -> None:
    spawner = Spawner()
    running = _start(spawner, program)
    spawner.close()
    started = spawner.Popen(
        [sys.executable, str(program)], cwd=str(ROOT), env={}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert isinstance(started, subprocess.Popen) and started.stdin is not None and started.stdout is not None
    assert json.loads(started.stdout.readline())["read"] is False
    for each in (running, started):
        each.stdin.close()
        each.wait(timeout=10)
    started.stdout.close()
