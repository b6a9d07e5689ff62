"""The commands of README.md, pasted into a shell beside a running local cloud as a reader would paste them."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest

from scripts import day as sample_day
from scripts import day_summary
from scripts.cloud.processes import free_port
from scripts.day_api import Api, Cloud

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "README.md"
AUDITORS = ROOT / ".local/auditors"
REGION = "us-east-1"
DAYS_END = datetime(2026, 11, 25, 4, 0, tzinfo=UTC)
"""When the first sample day is over."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (ROOT / ".local/emulator/bin/python").exists(), reason="the emulator's environment is not installed"
    ),
    pytest.mark.skipif(
        not all(map(shutil.which, ("bash", "curl", "openssl"))), reason="bash, curl or openssl is not on this machine"
    ),
]


def snippet(name: str, page: Path = PAGE) -> str:
    """Return the commands of the page under this mark."""
    (found,) = re.findall(rf"<!-- {name} -->\n```bash\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    return str(found)


@dataclass(frozen=True)
class Room:
    """A checkout as the reader sees it, with a cloud that has lived: its folder, front door and cloud."""

    folder: Path
    front: str
    cloud: Cloud
    day: sample_day.Day

    def paste(self, commands: str) -> subprocess.CompletedProcess[str]:
        """Run the commands in the checkout; the first that fails ends them."""
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "LC_ALL": "C.UTF-8"}
        return subprocess.run(
            ["bash", "-eu", "-c", commands],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )


def checkout(folder: Path) -> Path:
    """Make a folder that has the project's programs, and state and results of its own."""
    folder.mkdir()
    for name in ("scripts", "chalicelib"):
        (folder / name).symlink_to(ROOT / name)
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "var").mkdir()
    return folder


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """Start the local cloud and let it live as much of a day as the page needs: houses, cases, the clock moved on."""
    folder = checkout(tmp_path_factory.mktemp("readme") / "checkout")
    home, port = folder / ".local/cloud", free_port()
    with pytest.MonkeyPatch.context() as patch:
        for variable in [name for name in os.environ if name.startswith(("AWS_", "FORBEAR_", "ONCE"))]:
            patch.delenv(variable)
        running = start(home, port)
        try:
            ports = json.loads((home / "ports.json").read_text())
            endpoint = f"http://127.0.0.1:{ports['emulator']}"
            settings = (
                boto3.session.Session("000000000000", "test", region_name=REGION)
                .client("lambda", endpoint_url=endpoint)
                .get_function_configuration(FunctionName="forbear-local-api_handler")["Environment"]["Variables"]
            )
            for name, value in {
                **settings,
                "AWS_ACCESS_KEY_ID": "000000000000",
                "AWS_SECRET_ACCESS_KEY": "test",
            }.items():
                patch.setenv(name, value)
            cloud = Cloud(
                stage="local",
                clock_url=f"http://127.0.0.1:{ports['clock']}",
                endpoint=endpoint,
                outbox=home.parent / "outbox.jsonl",
                region=REGION,
            )
            day = live(Api(f"http://127.0.0.1:{port}"), cloud, folder, patch)
            yield Room(folder, f"http://127.0.0.1:{port}", cloud, day)
        finally:
            os.kill(running.pid, signal.SIGTERM)
            running.communicate(timeout=30)


def start(home: Path, port: int) -> subprocess.Popen[str]:
    """Start the local cloud without its day, and return it when it is up."""
    command = [sys.executable, "-m", "scripts.run", "--no-day", "--port", str(port), "--home", str(home)]
    running = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    assert running.stdout is not None
    told = []
    for line in running.stdout:
        told.append(line)
        if "Everything stays up" in line:
            return running
    raise AssertionError("the local cloud did not start:\n" + "".join(told))


def live(api: Api, cloud: Cloud, folder: Path, patch: pytest.MonkeyPatch) -> sample_day.Day:
    """Register the houses, load other cases, and let a day go by in which only the archive is written."""
    patch.setattr(sample_day, "SAMPLE_ROWS", 30)
    state, out = folder / ".local", folder / "var"
    day = sample_day.Day(api, cloud, folder=state, out=out, seed=7, size=0, say=lambda line: None)
    day.found()
    day.approve_templates()
    day.upload()
    day.wait_loaded()
    day.confirm_balances()
    while cloud.now() < DAYS_END:
        cloud.run("archive_events")
        cloud.set_clock(min(DAYS_END, cloud.now() + timedelta(hours=1)))
    return day


@pytest.fixture(scope="module")
def ruling(room: Room) -> str:
    """What the page's first session ends with. The later ones go by what it asked for, so each test has it, in any order."""
    commands = snippet("session")
    assert commands.count("http://127.0.0.1:8700") == 1
    done = room.paste(commands.replace("http://127.0.0.1:8700", room.front))
    assert (done.returncode, done.stderr) == (0, "")
    room.day.quiet()
    return done.stdout.splitlines()[-1]


def test_the_first_request_is_made_and_refused_as_the_page_says(room: Room, ruling: str) -> None:
    state, verdict, *reasons = ruling.split()
    assert (state, verdict) == ("denied", "deny")
    assert f"`{state} {verdict}` by\nCN-DISC-5" in PAGE.read_text(encoding="utf-8")
    assert ruling.count("CN-DISC-5") == 2 and "24小时" in ruling and "24 hours" in ruling
    assert room.cloud.outbox() == []


def test_what_would_have_come_of_it_is_asked_as_the_page_says(room: Room, ruling: str) -> None:
    """The decision before is the recorded traffic; it was denied already, so that nothing tightens."""
    commands = snippet("session", ROOT / "docs/what-if.md")
    done = room.paste(commands.replace("http://127.0.0.1:8700", room.front))
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads((room.folder / "var/simulation.json").read_text())
    assert (told["state"], told["decisions"], told["result"]["counts"]["decisions"]) == ("succeeded", 1, 1)
    assert told["result"]["counts"]["tightened"] == 0 and "'decisions': 1" in done.stdout


def test_the_archive_is_verified_by_the_commands_of_the_page(room: Room, ruling: str) -> None:
    room.cloud.run("archive_events")
    day_summary.download(room.cloud, room.folder / "var/archive")
    day_summary.keys(room.cloud, room.folder / "var/archive", room.folder / "var")
    done = room.paste(snippet("openssl"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "Signature Verified Successfully" in done.stdout
    replayed = room.paste(".venv/bin/python -m scripts.replay var/archive --local --json")
    assert (replayed.returncode, replayed.stderr) == (0, "")
    assert json.loads(replayed.stdout)["same"] == json.loads(replayed.stdout)["rulings"] == 1
    commands = re.findall(
        r"^    (\.venv/bin/python -m scripts\.(?:verify|campaign)_archive .*)$", PAGE.read_text("utf-8"), re.MULTILINE
    )
    assert len(commands) == 3
    room.day.export()
    if AUDITORS.exists():
        (room.folder / ".local/auditors").symlink_to(AUDITORS.resolve())
    for command in commands[:2] if not AUDITORS.exists() else commands:
        done = room.paste(command)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
    if AUDITORS.exists():
        assert "all five say the same" in done.stdout
