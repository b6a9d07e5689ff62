"""Measure an upload into tables beside a bare loop of ``batch_write_item`` that writes the very same items.

    python -m scripts.bench_upload [--rows 2000]

Both run against one emulator of their own, one after the other in the same run; quote the ratio. The upload runs in a
process of its own (scan, checks, sealing, events, transactions), whose peak memory is printed; the bare loop writes the
items that it made, each key once, into empty tables, and only its writing is timed. The items are read from the
emulator's journal: reading a table page by page costs the emulator more with every page.
"""

import argparse
import base64
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

from tqdm import tqdm

from scripts.cloud.processes import free_port
from scripts.package import ROOT

EMULATOR_PYTHON = ROOT / ".local/emulator/bin/python"
TABLES = tuple(f"forbear-bench-{name}" for name in ("record", "view", "subject-key"))
START_SECONDS = 30
_BATCH = 25


def main(arguments: list[str] | None = None) -> int:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m scripts.bench_upload", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=2_000)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, emulator(Path(folder)) as endpoint:
        command = [sys.executable, "-m", "scripts.bench_intake", "--load", str(given.rows), "--create"]
        done = subprocess.run(command, env=environment(endpoint), cwd=ROOT, stdout=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise SystemExit(f"the upload ended with status {done.returncode}; see above why")
        upload = json.loads(done.stdout)
        items, seconds = copy(endpoint, Path(folder) / "journal.jsonl")
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
    return {
        **os.environ,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "FORBEAR_STAGE": "bench",
        "FORBEAR_ACCOUNT": "000000000000",
        "FORBEAR_QUEUE_URL_PREFIX": f"{endpoint}/000000000000/forbear-bench-",
        "FORBEAR_AUDIT_DOMAIN": "bench.example.com",
        "FORBEAR_OIDC_ISSUER": "http://127.0.0.1:1",
        "FORBEAR_OIDC_AUDIENCE": "bench",
        "FORBEAR_OIDC_JWKS_URL": "http://127.0.0.1:1/jwks.json",
        "FORBEAR_SENDER_EMAIL": "bench@example.com",
        "FORBEAR_WECHAT_URL": "http://127.0.0.1:1",
    }


def copy(endpoint: str, written: Path) -> tuple[int, float]:
    """Write what was put in the journal into empty tables of the same keys; return how many items and the seconds."""
    import boto3

    tables = boto3.session.Session("test", "test", region_name="eu-west-1").client("dynamodb", endpoint_url=endpoint)
    for name in TABLES:
        known = tables.describe_table(TableName=name)["Table"]
        tables.create_table(
            TableName=f"{name}-bare",
            KeySchema=known["KeySchema"],
            AttributeDefinitions=[a for a in known["AttributeDefinitions"] if a["AttributeName"] in ("pk", "sk")],
            BillingMode="PAY_PER_REQUEST",
        )
    seconds, items = 0.0, 0
    batches: dict[str, list[dict[str, Any]]] = {}
    # What the loop itself writes comes into the journal too; it ends where the upload ended.
    end = written.stat().st_size
    with tqdm(total=end, desc="bare loop", unit="B", unit_scale=True, disable=None) as shown:
        for table, item, at in puts(written, end):
            batch = batches.setdefault(f"{table}-bare", [])
            batch.append({"PutRequest": {"Item": item}})
            items += 1
            if len(batch) == _BATCH:
                seconds += _timed_write(tables, {f"{table}-bare": batch})
                batches[f"{table}-bare"] = []
                shown.update(at - shown.n)
    for name, batch in batches.items():
        if batch:
            seconds += _timed_write(tables, {name: batch})
    return items, seconds


def puts(written: Path, end: int) -> Iterator[tuple[str, dict[str, Any], int]]:
    """Yield table, item and place in the journal of every key that was put before ``end``, each key once."""
    seen: set[tuple[str, str]] = set()
    names = set(TABLES)
    at = 0
    with written.open("rb") as lines:
        for line in lines:
            at += len(line)
            if at > end:
                return
            for entry in json.loads(line):
                if entry[0] != "item" or entry[4] is None or entry[1][2] not in names:
                    continue
                key = (entry[1][2], json.dumps(entry[2:4]))
                if key not in seen:
                    seen.add(key)
                    yield entry[1][2], {name: _sent(value) for name, value in entry[4].items()}, at


def _sent(value: dict[str, Any]) -> dict[str, Any]:
    """Return an attribute as the client takes it: bytes where the wire has base64."""
    [(kind, content)] = value.items()
    if kind == "B":
        return {"B": base64.b64decode(content)}
    if kind == "M":
        return {"M": {name: _sent(each) for name, each in content.items()}}
    if kind == "L":
        return {"L": [_sent(each) for each in content]}
    return value


def _timed_write(tables: Any, wanted: dict[str, Any]) -> float:
    begin = time.perf_counter()
    _write(tables, wanted)
    return time.perf_counter() - begin


def _write(tables: Any, wanted: dict[str, Any]) -> None:
    while wanted:
        wanted = tables.batch_write_item(RequestItems=wanted)["UnprocessedItems"]


if __name__ == "__main__":
    sys.exit(main())
