"""Measure an upload into tables beside a bare loop of ``batch_write_item`` that writes the very same items.

    python -m scripts.bench_upload [--rows 2000]

Both run against one emulator of their own, one after the other in the same run; quote the ratio. The upload runs in a
process of its own (scan, checks, sealing, events, transactions), whose peak memory is printed; the bare loop copies the
items that it left into empty tables, and only its writing is timed.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scripts.cloud.processes import free_port
from scripts.package import ROOT

EMULATOR_PYTHON = ROOT / ".local/emulator/bin/python"
TABLES = ("records", "views", "keys")
START_SECONDS = 30
_BATCH = 25


def main(arguments: list[str] | None = None) -> int:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m scripts.bench_upload", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=2_000)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, emulator(Path(folder)) as endpoint:
        command = [sys.executable, "-m", "scripts.bench_intake", "--load", str(given.rows), "--create"]
        done = subprocess.run(command, env=environment(endpoint), cwd=ROOT, check=True, capture_output=True, text=True)
        upload = json.loads(done.stdout)
        items, seconds = copy(endpoint)
    bare = {"items": items, "seconds": round(seconds, 1), "rows_a_second": round(given.rows / seconds)}
    ratio = round(upload["rows_a_second"] / bare["rows_a_second"], 2)
    print(json.dumps({"upload": upload, "bare_batch_write_item": bare, "upload_to_bare": ratio}))
    return 0


@contextlib.contextmanager
def emulator(home: Path) -> Iterator[str]:
    """Run an emulator while the context lasts; yields its address. Raises SystemExit when it does not answer."""
    port = free_port()
    command = [str(EMULATOR_PYTHON), "-m", "scripts.cloud.emulator", "--port", str(port), "--home", str(home)]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    endpoint = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + START_SECONDS
        while not _answers(endpoint):
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit("The emulator does not answer. Run `make setup`.")
            time.sleep(0.05)
        yield endpoint
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answers(endpoint: str) -> bool:
    try:
        with urllib.request.urlopen(f"{endpoint}/_forbear/status", timeout=1) as answer:
            return bool(json.load(answer)["ready"])
    except OSError:
        return False


def environment(endpoint: str) -> dict[str, str]:
    """Return the environment of the process that uploads: a stage of its own on that emulator."""
    names = {name: f"bench-{name}" for name in TABLES}
    return {
        **os.environ,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "FORBEAR_STAGE": "bench",
        "FORBEAR_TABLE": names["records"],
        "FORBEAR_VIEWS_TABLE": names["views"],
        "FORBEAR_KEYS_TABLE": names["keys"],
        "FORBEAR_UPLOADS_BUCKET": "bench-uploads",
        "FORBEAR_LETTERS_BUCKET": "bench-letters",
        "FORBEAR_ARCHIVE_BUCKET": "bench-archive",
        "FORBEAR_QUEUE_URL_PREFIX": f"{endpoint}/000000000000/forbear-bench-",
        "FORBEAR_DATA_KEY": "alias/bench-data",
        "FORBEAR_APPROVAL_KEY": "alias/bench-approval",
        "FORBEAR_AUDIT_DOMAIN": "bench.example.com",
        "FORBEAR_OIDC_ISSUER": "http://127.0.0.1:1",
        "FORBEAR_OIDC_AUDIENCE": "bench",
        "FORBEAR_OIDC_JWKS_URL": "http://127.0.0.1:1/jwks.json",
        "FORBEAR_SENDER_EMAIL": "bench@example.com",
        "FORBEAR_WECHAT_URL": "http://127.0.0.1:1",
    }


def copy(endpoint: str) -> tuple[int, float]:
    """Copy every item into empty tables of the same keys; return how many there were and the seconds of writing."""
    import boto3

    tables = boto3.session.Session("test", "test", region_name="eu-west-1").client("dynamodb", endpoint_url=endpoint)
    items, seconds = 0, 0.0
    for name in TABLES:
        source, target = f"bench-{name}", f"bench-{name}-bare"
        known = tables.describe_table(TableName=source)["Table"]
        tables.create_table(
            TableName=target,
            KeySchema=known["KeySchema"],
            AttributeDefinitions=[a for a in known["AttributeDefinitions"] if a["AttributeName"] in ("pk", "sk")],
            BillingMode="PAY_PER_REQUEST",
        )
        for page in tables.get_paginator("scan").paginate(TableName=source):
            puts = [{"PutRequest": {"Item": item}} for item in page["Items"]]
            items += len(puts)
            begin = time.perf_counter()
            for start in range(0, len(puts), _BATCH):
                _write(tables, {target: puts[start : start + _BATCH]})
            seconds += time.perf_counter() - begin
    return items, seconds


def _write(tables: Any, wanted: dict[str, Any]) -> None:
    while wanted:
        wanted = tables.batch_write_item(RequestItems=wanted)["UnprocessedItems"]


if __name__ == "__main__":
    sys.exit(main())
