"""One emulator for tests: started as the local cloud starts it, on a free port, in a process group of its own."""

import json
import os
import signal
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from scripts.cloud.processes import free_port

ROOT = Path(__file__).parents[2]
EMULATOR_PYTHON = ROOT / ".local/emulator/bin/python"


class Emulator:
    """One emulator in a process group of its own."""

    def __init__(self, home: Path) -> None:
        self.home, self.port = home, free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until it answers; the package under test is imported by the emulator's own Python."""
        self._process = subprocess.Popen(
            [str(EMULATOR_PYTHON), "-m", "scripts.cloud.emulator", "--port", str(self.port), "--home", str(self.home)],
            cwd=ROOT,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=(self.home.parent / "emulator.log").open("ab"),
        )
        until = time.monotonic() + 20
        while time.monotonic() < until:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/_forbear/health", timeout=1) as answer:
                    if json.load(answer)["ready"]:
                        return
            except OSError:
                assert self._process.poll() is None, (self.home.parent / "emulator.log").read_text()[-2000:]
                time.sleep(0.05)
        raise AssertionError("the emulator did not answer in 20 s")

    def stop(self) -> None:
        """Ask it to end, and wait until it has."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait(timeout=20)

    def kill(self) -> None:
        """SIGKILL the whole group."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def client(self, service: str) -> Any:
        """Return a client that neither retries nor waits long."""
        return boto3.session.Session("test", "test", region_name="us-east-1").client(
            service,
            endpoint_url=f"http://127.0.0.1:{self.port}",
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=10),
        )
