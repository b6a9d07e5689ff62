"""Kills the local cloud at random moments of the sample day and looks whether anything was lost or sent twice.

    python -m scripts.campaign_kill [--kills 5] [--seed 1]

Each time the runner and everything it started are killed in the same instant (SIGKILL to the whole session), then the
runner is started again and goes on. At the end the day's own checks must be 0, and no wish may have left twice.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from scripts.package import ROOT

LONGEST_DAY_SECONDS = 900


def main(arguments: list[str] | None = None) -> int:
    """Run the campaign; exit status 0 when every check holds."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.campaign_kill", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--port", type=int, default=8700)
    parser.add_argument("--out", type=Path, default=ROOT / "var")
    parser.add_argument("--shortest", type=float, default=8.0, help="seconds before the earliest kill")
    parser.add_argument("--longest", type=float, default=45.0, help="seconds before the latest kill")
    given = parser.parse_args(arguments)
    dice = random.Random(given.seed)
    done = 0
    while done < given.kills:
        runner = _start(given.port, given.out)
        moment = dice.uniform(given.shortest, given.longest)
        try:
            status = runner.wait(timeout=moment)
        except subprocess.TimeoutExpired:
            _kill(runner)
            done += 1
            print(f"kill {done} of {given.kills} after {moment:.1f} s", flush=True)
        else:
            # The day was over before the kill; the next one is lived.
            print(f"a day ended with status {status} before its kill", flush=True)
            if status:
                return 1
    status = _start(given.port, given.out).wait(timeout=LONGEST_DAY_SECONDS)
    if not (given.out / "summary.json").exists():
        print(f"the day did not reach its summary: the runner ended with status {status}", file=sys.stderr)
        return 1
    summary = json.loads((given.out / "summary.json").read_text())
    sent = Counter(line["contact"] for line in map(json.loads, (given.out / "outbox.jsonl").read_text().splitlines()))
    twice = sorted(contact for contact, count in sent.items() if contact and count > 1)
    print(json.dumps({"status": status, "checks": summary["checks"], "sent": len(sent), "sent_twice": len(twice)}))
    return 0 if status == 0 and not twice else 1


def _start(port: int, out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "scripts.run", "--once", "--port", str(port), "--out", str(out)]
    return subprocess.Popen(command, cwd=ROOT, start_new_session=True)


def _kill(runner: subprocess.Popen[bytes]) -> None:
    """Kill the runner's whole session; what has a session of its own dies with its parent and is waited for."""
    os.killpg(runner.pid, signal.SIGKILL)
    runner.wait()
    time.sleep(1.0)


if __name__ == "__main__":
    sys.exit(main())
