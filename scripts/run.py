"""The whole cloud on this machine: ``python -m scripts.run`` starts it, lives a sample day on it, and stays up.

In the foreground, until Ctrl-C. ``ONCE=1`` ends after the day's summary with the day's exit status. What was done
survives: a second run goes on where the first one stood, also when the first was killed. ``make clean`` forgets it all.
"""

import argparse
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scripts import issuer
from scripts.cloud import clock, front, schedules, time_authority, wechat, witness
from scripts.cloud.aws import ACCOUNT, environment, log_keys
from scripts.cloud.deploy import Deployed, deploy
from scripts.cloud.processes import PARENT, end_with_parent, free_port, is_free
from scripts.cloud.views import views
from scripts.day_world import FIRST_DAY, LENDER
from scripts.package import ROOT, package
from scripts.tokens import make_token

STAGE = "local"
HOME = ROOT / ".local/cloud"
FRONT_PORT = 8700
CLOCK_STARTS = datetime.combine(FIRST_DAY, datetime.min.time(), tzinfo=UTC)
"""The sample day's first instant; the local clock stands there until somebody moves it."""

AUDIT_DOMAIN = "forbear.example.com"
SENDER = "collections@forbear.example.com"
_CORP_ID, _SECRET, _ACCOUNT = "forbear-local", "local-double", "kf-forbear"
_LISTENERS = ("emulator", "clock", "wechat", "issuer", "time_authority", "witness")


class Cloud:
    """The running parts, each on a loopback port that is kept from one start to the next."""

    def __init__(self, home: Path, *, front_port: int, tell: Callable[[str], None]) -> None:
        """Take the folder that everything is kept in. Raises SystemExit when another cloud runs there or on the port."""
        home.mkdir(parents=True, exist_ok=True)
        if not _comes_free(front_port):
            raise SystemExit(
                f"Port {front_port} is in use. Stop what listens there, or choose another: make run PORT=..."
            )
        self._home, self._front_port, self._tell = home, front_port, tell
        self._lock = _only_one(home)
        self.ports = _ports(home)
        self.endpoint = f"http://127.0.0.1:{self.ports['emulator']}"
        self.front = f"http://127.0.0.1:{front_port}"
        self.outbox = home.parent / "outbox.jsonl"
        self._stopped = threading.Event()
        self._emulator: subprocess.Popen[bytes] | None = None
        self.deployed: Deployed | None = None

    def start(self) -> None:
        """Start every part, deploy what changed, and open the front door."""
        self._tell("Starting the emulator of AWS, the clock, the issuer, an authority of time and the WeChat double")
        self._start_emulator()
        self.clock = clock.Clock(self._home / "clock.json", start=CLOCK_STARTS)
        clock.serve(self.clock, port=self.ports["clock"])
        account = wechat.Account(self.outbox, corp_id=_CORP_ID, secret=_SECRET, account=_ACCOUNT)
        wechat.serve(account, port=self.ports["wechat"])
        keys = issuer.serve(issuer.signing_key(), port=self.ports["issuer"])
        threading.Thread(target=keys.serve_forever, name="issuer", daemon=True).start()
        self._time = time_authority.TimeAuthority(self._home / "time_authority", now=self.clock.now)
        time_authority.serve(self._time, port=self.ports["time_authority"])
        self._tell("Packaging the service (only what changed)")
        packaged = package(STAGE)
        self._wait_for_emulator()
        self.deployed = deploy(
            packaged, self.endpoint, self._parameters(), marker=self._home / "deployed.json", tell=self._tell
        )
        self._tell("The stack is new" if self.deployed.changed else "The stack is as it was")
        self._tell("Starting a witness, as the lender would run one")
        self._policy = witness.start(
            self._home / "witness",
            log_keys(self.endpoint, stage=STAGE),
            log=f"audit.{AUDIT_DOMAIN}/{LENDER}/{CLOCK_STARTS.year}",
            port=self.ports["witness"],
            now=self.clock.now,
        )
        api = f"{self.endpoint}/restapis/{self.deployed.outputs['RestAPIId']}/{STAGE}/_user_request_"
        shown = views(
            stage=STAGE,
            endpoint=self.endpoint,
            api=api,
            outputs=self.deployed.outputs,
            outbox_file=self.outbox,
            now=self.clock.now,
            run=self.run,
            token=lambda role, lender: make_token(role=role, org=lender),
            lenders=(LENDER,),
        )
        refusals = gateway_responses(json.loads(packaged.template.read_text()))
        front.serve(api, shown, port=self._front_port, refusals=refusals)
        threading.Thread(target=self._drive_schedules, name="schedules", daemon=True).start()
        self._tell(
            f"Open: {self.front}/ (overview), {self.front}/outbox (what was sent), "
            f"{self.front}/rules (the law), {self.front}/scoreboard (targets and weekly packs), {self.front}/docs (the API)"
        )

    def run(self, function: str) -> Any:
        """Run a scheduled function now and return its answer."""
        return schedules.run(function, self.endpoint, stage=STAGE, at=self.clock.now())

    def environment(self) -> dict[str, str]:
        """Return the environment of a program that works with this cloud: the functions' own, and where things are."""
        return {
            **os.environ,
            **environment(self.endpoint, stage=STAGE),
            "FORBEAR_OUTBOX": str(self.outbox),
            "LOCAL_CLOUD_WITNESS_POLICY": str(self._policy),
            "LOCAL_CLOUD_TIME_AUTHORITY": str(self._time.certificate),
        }

    def watch(self, until: Callable[[], bool]) -> None:
        """Wait until the condition holds, and start the emulator again when it ended: nothing is lost by that."""
        while not until():
            if self._emulator is not None and self._emulator.poll() is not None:
                self._tell(f"The emulator ended with status {self._emulator.returncode}; starting it again")
                self._start_emulator()
                self._wait_for_emulator()
            time.sleep(0.2)

    def stop(self) -> None:
        """Stop the emulator in good order; everything else ends with this process."""
        self._stopped.set()
        if self._emulator is not None and self._emulator.poll() is None:
            self._emulator.terminate()
            try:
                self._emulator.wait(timeout=15)
            except subprocess.TimeoutExpired:
                self._emulator.kill()

    def _start_emulator(self) -> None:
        command = [str(ROOT / ".local/emulator/bin/python"), "-m", "scripts.cloud.emulator"]
        command += ["--port", str(self.ports["emulator"]), "--home", str(self._home), "--outbox", str(self.outbox)]
        with (self._home / "emulator.log").open("ab") as log:
            # A session of its own: Ctrl-C is not for the functions at work, which end when they have finished.
            self._emulator = subprocess.Popen(
                command,
                cwd=ROOT,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, PARENT: str(os.getpid())},
            )

    def _wait_for_emulator(self) -> None:
        until = time.monotonic() + 30
        while time.monotonic() < until:
            try:
                with urllib.request.urlopen(f"{self.endpoint}/_forbear/status", timeout=2) as answer:
                    if json.load(answer)["ready"]:
                        return
            except OSError:
                if self._emulator is not None and self._emulator.poll() is not None:
                    break
                time.sleep(0.05)
        log = (self._home / "emulator.log").read_text(errors="replace").strip().splitlines()
        raise SystemExit("The emulator does not answer. Its last words:\n" + "\n".join(log[-5:]))

    def _drive_schedules(self) -> None:
        schedules.drive(self.run, now=self.clock.now, speed=self.clock.speed, stopped=self._stopped, tell=self._tell)

    def _parameters(self) -> Mapping[str, str]:
        at = {name: f"http://127.0.0.1:{port}" for name, port in self.ports.items()}
        return {
            "Stage": STAGE,
            "AuditDomain": AUDIT_DOMAIN,
            "TimeAuthorityUrl": f"{at['time_authority']}/",
            # A name, not where it listens: that port is free to differ, and a token from another shell must say the same.
            "OidcIssuer": issuer.issuer_url(),
            "OidcAudience": issuer.AUDIENCE,
            "OidcJwksUrl": f"{at['issuer']}/jwks.json",
            "SenderEmail": SENDER,
            "WechatUrl": at["wechat"],
            "WechatCorpId": _CORP_ID,
            "WechatAccount": _ACCOUNT,
            "WechatSecret": _SECRET,
            "PublicUrl": self.front,
            "ClockUrl": at["clock"],
            "QueueUrlPrefix": f"{self.endpoint}/{ACCOUNT}/forbear-{STAGE}-",
            "ArchiveYears": "7",
            "ThrottleRate": "10000",
            "ThrottleBurst": "10000",
        }


def _only_one(home: Path) -> int:
    lock = os.open(home / "run.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SystemExit("The local cloud runs already; stop it with Ctrl-C there.") from None
    return lock


def _ports(home: Path) -> dict[str, int]:
    """Return a port for each listener: those of last time where they are free, because deployed functions know them."""
    file = home / "ports.json"
    known: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
    for name in _LISTENERS:
        if name not in known or not _comes_free(known[name]):
            known[name] = free_port()
    file.write_text(json.dumps(known))
    return known


def _comes_free(port: int) -> bool:
    # A process that was killed a moment ago may still hold it.
    for _ in range(20):
        if is_free(port):
            return True
        time.sleep(0.1)
    return False


def gateway_responses(template: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return what the template says that the gateway answers by itself, by kind of refusal."""
    return dict(template["Resources"]["RestAPI"]["Properties"]["GatewayResponses"])


def live_a_day(cloud: Cloud, *, out: Path, home: Path, seed: int) -> int:
    """Live the sample day on the cloud and return its exit status; its own words go to this terminal."""
    command = [sys.executable, "-m", "scripts.day", "--front", cloud.front, "--out", str(out), "--state", str(home)]
    command += ["--seed", str(seed)]
    day = subprocess.Popen(command, cwd=ROOT, env=cloud.environment(), preexec_fn=end_with_parent)
    try:
        cloud.watch(lambda: day.poll() is not None)
    finally:
        if day.poll() is None:
            day.terminate()
            day.wait(timeout=10)
    return int(day.returncode)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def main(arguments: list[str] | None = None) -> int:
    """Run the local cloud; returns the exit status."""
    options = argparse.ArgumentParser(prog="python -m scripts.run", description=(__doc__ or "").splitlines()[0])
    options.add_argument("--port", type=int, default=FRONT_PORT, help="of the front door (default: %(default)s)")
    options.add_argument("--once", action="store_true", default=os.environ.get("ONCE", "") not in ("", "0"))
    options.add_argument("--no-day", action="store_true", help="only start; live no sample day")
    options.add_argument("--home", type=Path, default=HOME, help="where state is kept (default: .local/cloud)")
    options.add_argument("--out", type=Path, default=ROOT / "var", help="where the day's summary and archive go")
    options.add_argument(
        "--seed", type=int, default=7, help="of the sample: other borrowers, other acts (default: %(default)s)"
    )
    known = options.parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    begun = time.monotonic()

    def tell(line: str) -> None:
        print(f"[{time.monotonic() - begun:6.1f} s] {line}", flush=True)

    cloud = Cloud(known.home, front_port=known.port, tell=tell)
    try:
        cloud.start()
        status = 0 if known.no_day else live_a_day(cloud, out=known.out, home=known.home, seed=known.seed)
        tell("Ready" if status == 0 else f"The day ended with status {status}")
        if known.once:
            return status
        tell("Everything stays up until Ctrl-C.")
        cloud.watch(lambda: False)
    except KeyboardInterrupt:
        tell("Stopping")
    finally:
        cloud.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
