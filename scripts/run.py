"""Runs the whole cloud on this machine and lives a sample day: ``python -m scripts.run [--once]``.

One foreground process: it starts the emulator, deploys the package that would go to AWS, plays clock, issuer, WeChat and
front door, lives one simulated day through the API, prints the summary, and stays up until Ctrl-C. Everything it starts
ends with it. State is kept under ``.local/cloud`` and survives a restart, however the last one ended.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from scripts import issuer, package
from scripts.cloud import clock, deploy, front, outbox, wechat
from scripts.cloud.aws import REGION, client
from scripts.cloud.processes import PARENT, is_free
from scripts.day_world import FIRST_DAY

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".local/cloud"
EMULATOR_PYTHON = ROOT / ".local/emulator/bin/python"
PORT = 8700
STAGE = "local"
WECHAT = {"corp_id": "forbear-local", "secret": "local-double", "account": "kf-forbear"}
QUEUES = ("portfolio-uploads", "portfolio-chunks", "assignments", "compliance.fifo", "dispatch", "provider-events")
DEAD_LETTERS = (
    "portfolio-uploads-dlq",
    "portfolio-chunks-dlq",
    "assignments-dlq",
    "compliance-dlq.fifo",
    "dispatch-dlq",
    "provider-events-dlq",
    "events-dlq",
)


@dataclass(frozen=True)
class Addresses:
    """Where everything listens, counted from the front door's port."""

    front: int

    @property
    def emulator(self) -> str:
        """Return the address of the emulator of AWS."""
        return f"http://127.0.0.1:{self.front + 1}"

    @property
    def clock(self) -> str:
        """Return the address of the business clock."""
        return f"http://127.0.0.1:{self.front + 2}/"

    @property
    def wechat(self) -> str:
        """Return the address of the WeChat double."""
        return f"http://127.0.0.1:{self.front + 3}"

    @property
    def issuer(self) -> int:
        """Return the port of the token issuer."""
        return self.front + 4

    @property
    def door(self) -> str:
        """Return the address of the front door."""
        return f"http://127.0.0.1:{self.front}"


class CannotStart(Exception):
    """The local cloud cannot start; the text is a sentence for the person who tried."""


def main(arguments: list[str] | None = None) -> int:
    """Start everything, live the day, and stay until Ctrl-C; with ``--once`` end after the summary."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.run", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("--once", action="store_true", help="end after the summary")
    parser.add_argument("--no-day", action="store_true", help="start the cloud, live no day")
    parser.add_argument("--port", type=int, default=PORT, help="of the front door; the four after it are used too")
    parser.add_argument("--out", type=Path, default=ROOT / "var")
    parser.add_argument("--home", type=Path, default=HOME, help="where state is kept")
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    started = time.monotonic()

    def tell(line: str) -> None:
        print(f"[{time.monotonic() - started:6.1f} s] {line}", flush=True)

    try:
        with cloud(Addresses(given.port), given.home, tell=tell) as environment:
            status = 0 if given.no_day else _live(environment, given)
            if given.once:
                return status
            tell(f"Up at http://127.0.0.1:{given.port}/ (outbox: /outbox, API: /docs). Ctrl-C stops everything.")
            threading.Event().wait()
    except CannotStart as refusal:
        print(str(refusal), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        tell("Stopped. State is kept; `make clean` forgets it.")
    return 0


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def _live(environment: dict[str, str], given: argparse.Namespace) -> int:
    command = [
        sys.executable,
        "-m",
        "scripts.day",
        "--front",
        f"http://127.0.0.1:{given.port}",
        "--out",
        str(given.out),
    ]
    command += ["--state", str(given.home)]
    # In the foreground's own group, so that Ctrl-C reaches it; it ends by itself when the front door is gone.
    return subprocess.run(command, env=environment, cwd=ROOT, check=False).returncode


@contextlib.contextmanager
def cloud(addresses: Addresses, home: Path, *, tell: Any) -> Iterator[dict[str, str]]:
    """Run the local cloud while the context lasts; yields the environment for programs beside it. Raises CannotStart."""
    busy = [port for port in range(addresses.front, addresses.front + 5) if not is_free(port)]
    if busy:
        raise CannotStart(f"Port {busy[0]} is in use. Stop what listens there, or choose another with --port.")
    if not EMULATOR_PYTHON.exists():
        raise CannotStart("The emulator's environment is missing. Run `make setup`.")
    home.mkdir(parents=True, exist_ok=True)
    record = home / "outbox.jsonl"
    business = clock.Clock(home / "clock.json", start=datetime.combine(FIRST_DAY, datetime.min.time(), tzinfo=UTC))
    with contextlib.ExitStack() as stack:
        emulator = _start_emulator(addresses, home, record)
        stack.callback(_stop, emulator)
        for server in (
            clock.serve(business, port=addresses.front + 2),
            wechat.serve(wechat.Account(record, **WECHAT), port=addresses.front + 3),
            _serve_issuer(addresses.issuer),
        ):
            stack.callback(server.shutdown)
        tell("Packaging")
        built = package.package(STAGE)
        _wait_for(addresses.emulator, emulator)
        deployed = deploy.deploy(
            built, addresses.emulator, _parameters(addresses), marker=home / "deployed.json", tell=tell
        )
        tell("Deployed" if deployed.changed else "Deployed before, nothing changed")
        environment = _environment(addresses, deployed.outputs, record)
        letters = threading.Thread(
            target=_notice_letters, args=(addresses, deployed.outputs["LettersBucketName"], record), daemon=True
        )
        letters.start()
        views = _views(addresses, deployed.outputs, business, record)
        door = front.serve(_api(addresses, deployed.outputs), views, port=addresses.front)
        stack.callback(door.shutdown)
        tell(f"The API answers at {addresses.door}/v1")
        yield environment


def _start_emulator(addresses: Addresses, home: Path, record: Path) -> subprocess.Popen[bytes]:
    command = [str(EMULATOR_PYTHON), "-m", "scripts.cloud.emulator", "--port", str(addresses.front + 1)]
    command += ["--home", str(home / "aws"), "--outbox", str(record)]
    (home / "aws").mkdir(parents=True, exist_ok=True)
    log = (home / "emulator.log").open("ab")
    environment = {**os.environ, PARENT: str(os.getpid()), "PYTHONPATH": str(ROOT)}
    # A group of its own: Ctrl-C must not end it before it was asked to save.
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_for(endpoint: str, process: subprocess.Popen[bytes]) -> None:
    from scripts.day_api import until

    def ready() -> bool:
        if process.poll() is not None:
            raise CannotStart(f"The emulator ended with status {process.returncode}; see emulator.log in its folder.")
        try:
            return bool(_get(f"{endpoint}/_forbear/status").get("ready"))
        except OSError:
            return False

    if not until(ready, seconds=60):
        raise CannotStart("The emulator did not get ready within 60 s; see emulator.log in its folder.")


def _get(url: str) -> dict[str, Any]:
    import urllib.request

    with urllib.request.urlopen(url, timeout=5) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def _serve_issuer(port: int) -> Any:
    server = issuer.serve(issuer.signing_key(), port=port)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="issuer", daemon=True).start()
    return server


def _parameters(addresses: Addresses) -> dict[str, str]:
    return {
        "Stage": STAGE,
        "AuditDomain": "forbear.local",
        "OidcIssuer": issuer.issuer_url(addresses.issuer),
        "OidcAudience": issuer.AUDIENCE,
        "OidcJwksUrl": f"http://127.0.0.1:{addresses.issuer}/jwks.json",
        "SenderEmail": "collections@forbear.example",
        "WechatUrl": addresses.wechat,
        "WechatCorpId": WECHAT["corp_id"],
        "WechatAccount": WECHAT["account"],
        "WechatSecret": WECHAT["secret"],
        "PublicUrl": addresses.door,
        "ClockUrl": addresses.clock,
        "QueueUrlPrefix": f"{addresses.emulator}/000000000000/forbear-{STAGE}-",
        "ArchiveYears": "7",
    }


def _environment(addresses: Addresses, outputs: Any, record: Path) -> dict[str, str]:
    return {
        **os.environ,
        "AWS_ENDPOINT_URL": addresses.emulator,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "FORBEAR_STAGE": STAGE,
        "FORBEAR_CLOCK_URL": addresses.clock,
        "FORBEAR_OUTBOX": str(record),
        "FORBEAR_OIDC_ISSUER": issuer.issuer_url(addresses.issuer),
        "FORBEAR_OIDC_AUDIENCE": issuer.AUDIENCE,
        "FORBEAR_UPLOADS_BUCKET": outputs["UploadsBucketName"],
        "FORBEAR_LETTERS_BUCKET": outputs["LettersBucketName"],
        "FORBEAR_ARCHIVE_BUCKET": outputs["ArchiveBucketName"],
        "PYTHONPATH": str(ROOT),
    }


def _api(addresses: Addresses, outputs: Any) -> str:
    return f"{addresses.emulator}/restapis/{outputs['RestAPIId']}/{STAGE}/_user_request_"


def _notice_letters(addresses: Addresses, bucket: str, record: Path) -> None:
    """Enter letters into the outbox as they appear in their bucket: that bucket is the printer's tray."""
    objects = client("s3", addresses.emulator)
    seen = {line["place"] for line in outbox.accepted(record) if line["carrier"] == "letter"}
    while True:
        try:
            for page in objects.get_paginator("list_objects_v2").paginate(Bucket=bucket):
                for entry in page.get("Contents", ()):
                    if entry["Key"] not in seen:
                        _notice_letter(objects, bucket, entry["Key"], record)
                        seen.add(entry["Key"])
        except Exception as fault:  # the emulator may be stopping, and the tray is looked at again in a moment
            if "ConnectionClosed" not in type(fault).__name__ and "Endpoint" not in type(fault).__name__:
                print(f"letters: {type(fault).__name__}", file=sys.stderr)
        time.sleep(0.5)


def _notice_letter(objects: Any, bucket: str, key: str, record: Path) -> None:
    found = objects.get_object(Bucket=bucket, Key=key)
    metadata = found["Metadata"]
    outbox.accept(
        record,
        carrier="letter",
        channel="letter",
        provider_id=key,
        to="postal address inside",
        body=found["Body"].read(),
        contact=metadata.get("contact"),
        tenant=key.split("/", 1)[0],
        place=key,
    )


def _views(addresses: Addresses, outputs: Any, business: clock.Clock, record: Path) -> front.Views:
    from scripts.day_api import Api
    from scripts.day_world import COMPLIANCE_OFFICER, LENDER
    from scripts.token import make_token

    def lender_token() -> str:
        known = {"issuer": issuer.issuer_url(addresses.issuer), "audience": issuer.AUDIENCE}
        return make_token(role="compliance", org=LENDER, subject=COMPLIANCE_OFFICER, **known)

    def depths(names: tuple[str, ...]) -> dict[str, int]:
        queues, found = client("sqs", addresses.emulator), {}
        for name in names:
            url = f"{addresses.emulator}/000000000000/forbear-{STAGE}-{name}"
            told = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
            found[name] = int(told["ApproximateNumberOfMessages"]) + int(told["ApproximateNumberOfMessagesNotVisible"])
        return found

    def status() -> dict[str, Any]:
        carriers: dict[str, int] = {}
        for line in outbox.accepted(record):
            carriers[line["carrier"]] = carriers.get(line["carrier"], 0) + 1
        notes: dict[str, str] = {}
        objects = client("s3", addresses.emulator)
        listed = objects.list_objects_v2(Bucket=outputs["ArchiveBucketName"], Prefix=f"{LENDER}/")
        for entry in listed.get("Contents", ()):
            if entry["Key"].endswith("/checkpoint"):
                note = objects.get_object(Bucket=outputs["ArchiveBucketName"], Key=entry["Key"])["Body"].read().decode()
                notes[entry["Key"].rsplit("/", 1)[0]] = f"{note.splitlines()[1]} entries"
        today = business.now().date()
        path = f"/v1/kpis?from={today - timedelta(days=1)}&to={today}"
        told = Api(addresses.door).call("GET", path, lender_token(), expect=range(100, 600))
        reports = told.body.get("reports", []) if told.status == 200 else []
        return {
            "now": business.now().isoformat(),
            "queues": depths(QUEUES),
            "dead_letters": depths(DEAD_LETTERS),
            "carriers": carriers,
            "archive": notes,
            "figures": [figure for report in reports for figure in report["figures"]],
        }

    def ruling(contact: str) -> dict[str, Any] | None:
        told = Api(addresses.door).call("GET", f"/v1/messages/{contact}", lender_token(), expect=range(100, 600))
        return told.body if told.status == 200 else None

    def letter(key: str) -> bytes | None:
        objects = client("s3", addresses.emulator)
        try:
            return bytes(objects.get_object(Bucket=outputs["LettersBucketName"], Key=key)["Body"].read())
        except objects.exceptions.NoSuchKey:
            return None

    def run(function: str) -> Any:
        from scripts.day_api import Cloud

        cloud = Cloud(stage=STAGE, clock_url=addresses.clock, endpoint=addresses.emulator, outbox=record, region=REGION)
        return cloud.run(function)

    return front.Views(
        status=status, outbox=lambda: list(outbox.accepted(record)), ruling=ruling, letter=letter, run=run
    )


if __name__ == "__main__":
    sys.exit(main())
