"""Measure intake: decode rates and peak memory always, and loading into tables when an endpoint is given.

    python -m scripts.bench_intake                                   # decode 2,000 and 20,000 rows of every format
    python -m scripts.bench_intake --load 2000                       # also load, over the stage's FORBEAR_* settings

Loading needs the environment of a local cloud (``AWS_ENDPOINT_URL`` on the loopback and the FORBEAR_* names); tables
and bucket must exist, or be made with ``--create``. It refuses any other endpoint.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from scripts.sample import write

PIECE = 256 * 1024


def pieces(path: Path, start: int = 0, end: int | None = None) -> Iterator[bytes]:
    """Yield a file's bytes from ``start`` to ``end`` (half-open) in pieces."""
    with path.open("rb") as stream:
        stream.seek(start)
        left = (path.stat().st_size if end is None else end) - start
        while left > 0 and (piece := stream.read(min(PIECE, left))):
            left -= len(piece)
            yield piece


def decode(path: Path, form: str) -> dict[str, Any]:
    """Scan and read a whole file in this process; return seconds of CPU and the peak of memory."""
    from chalicelib.domain.intake.rejections import BatchRefusal
    from chalicelib.domain.intake.scan import STAGED, read_chunk, scan
    from chalicelib.domain.intake.workbook import scan_workbook

    before = _peak()
    begin = time.process_time()
    with tempfile.TemporaryDirectory() as folder:

        def put(number: int, blob: bytes) -> str:
            (Path(folder) / str(number)).write_bytes(blob)
            return str(number)

        if form == "xlsx":
            with path.open("rb") as file:
                plan = scan_workbook(file, write=put)
        else:
            plan = scan(pieces(path), format=form)
        if isinstance(plan, BatchRefusal):
            raise SystemExit(f"refused: {plan.code}")
        scanned = time.process_time()
        taken = 0
        for chunk in plan.chunks:
            source = pieces(path, chunk.start, chunk.end) if chunk.blob is None else pieces(Path(folder) / chunk.blob)
            rows = read_chunk(
                source,
                format=form if chunk.blob is None else STAGED,
                encoding=plan.encoding,
                delimiter=plan.delimiter or ",",
                titles=plan.titles,
                first_row=chunk.first_row,
                first_line=chunk.first_line,
            )
            taken += sum(hasattr(row, "record") for row in rows)
    end = time.process_time()
    return {
        "format": form,
        "rows": plan.rows,
        "taken": taken,
        "megabytes": round(plan.size / 1e6, 1),
        "scan_us_a_row": round((scanned - begin) / plan.rows * 1e6),
        "read_us_a_row": round((end - scanned) / plan.rows * 1e6),
        "growth_mb": round(_peak() - before, 1),
        "peak_mb": round(_peak(), 1),
    }


def load(rows: int, *, create: bool) -> dict[str, Any]:
    """Load a sample through the use cases in one process; return seconds, cases a second and the peak of memory."""
    from chalicelib import wiring
    from chalicelib.domain.cases.organisations import Lender
    from chalicelib.domain.events import Actor
    from chalicelib.domain.intake.portfolio import Wish
    from chalicelib.gateways.clients import client
    from chalicelib.settings import names, region
    from chalicelib.usecases import portfolios

    if urlsplit(os.environ.get("AWS_ENDPOINT_URL", "")).hostname not in ("127.0.0.1", "localhost"):
        raise SystemExit("loading is measured against a local cloud only: AWS_ENDPOINT_URL must be on the loopback")
    if create:
        _create()
    ports = wiring.portfolio_ports()
    tenant = f"bench-{int(time.time())}"
    scope, now = wiring.worker_scope(tenant), datetime.now(UTC)
    actor = Actor("system", "bench_intake", "none")
    lender = Lender(
        id=tenant,
        name={"en": "Bench"},
        country="CN",
        zone="Asia/Shanghai",
        home_region=region(),
        creditor_kind="auto_finance",
        pay_to={"CN": "bench"},
        complaint_line="+864008000001",
    )
    unit = ports.store.unit(scope, actor=actor, req="bench", now=now)
    unit.create(ports.store.plain_record(f"T#{tenant}", "LENDER", lender, version=1))
    unit.commit()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sample.csv"
        # Made by another process, so that the peak of memory is the loading's own.
        make = [sys.executable, "-m", "scripts.sample", "--rows", str(rows), "--out", str(path.with_suffix(""))]
        subprocess.run(make, check=True, stdout=subprocess.DEVNULL)
        control = json.loads(path.with_suffix(".control.json").read_text())
        wish = Wish(rows=rows, totals=control["totals"], size=control["size"], sha256=control["sha256"])
        asked = portfolios.request_portfolio(ports, scope, wish, actor=actor, now=now, req="bench")
        with path.open("rb") as body:
            client("s3").put_object(Bucket=names().uploads_bucket, Key=asked.portfolio.key, Body=body)
    before, begin, cpu = _peak(), time.perf_counter(), time.process_time()
    identity, key = asked.portfolio.id, asked.portfolio.key
    started = portfolios.start_portfolio(ports, scope, identity, key=key, version=None, now=now, req="bench")
    scanned = time.perf_counter()
    for number in range(started.chunks):
        portfolios.load_chunk(ports, {"tenant": tenant, "portfolio": identity, "chunk": number}, now=now, req="bench")
    seconds = time.perf_counter() - begin
    found = portfolios.get_portfolio(ports, scope, identity)
    return {
        "rows": rows,
        "state": found.state.value,
        "accepted": found.accepted,
        "rejected": found.rejected,
        "scan_seconds": round(scanned - begin, 2),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "rows_a_second": round(rows / seconds),
        "growth_mb": round(_peak() - before, 1),
        "peak_mb": round(_peak(), 1),
    }


def _create() -> None:
    from chalicelib.gateways.clients import client
    from chalicelib.settings import names, region
    from chalicelib.store import tables

    tables.connect(names())
    for model in (tables.Record, tables.View, tables.SubjectKey):
        if not model.exists():
            model.create_table(wait=True, billing_mode="PAY_PER_REQUEST")
    buckets = {bucket["Name"] for bucket in client("s3").list_buckets()["Buckets"]}
    if names().uploads_bucket not in buckets:
        client("s3").create_bucket(
            Bucket=names().uploads_bucket, CreateBucketConfiguration={"LocationConstraint": region()}
        )
    aliases = {alias["AliasName"] for alias in client("kms").list_aliases()["Aliases"]}
    if names().data_key not in aliases:
        key = client("kms").create_key()["KeyMetadata"]["KeyId"]
        client("kms").create_alias(AliasName=names().data_key, TargetKeyId=key)


def _peak() -> float:
    """Return the peak of resident memory in MiB; VmHWM, because ru_maxrss begins at what the parent process held."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the measurements that the command line asks for, each in a process of its own, and print them as JSON."""
    parser = argparse.ArgumentParser(description="Measure portfolio intake.")
    parser.add_argument("--rows", type=int, nargs="*", default=[2_000, 20_000])
    parser.add_argument("--formats", nargs="*", default=["csv", "jsonl", "xlsx"])
    parser.add_argument("--load", type=int, default=0, help="rows to load through the use cases")
    parser.add_argument("--create", action="store_true", help="create tables, bucket and key first")
    parser.add_argument("--one", nargs=2, metavar=("FORMAT", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.one:
        print(json.dumps(decode(Path(options.one[1]), options.one[0])))
        return 0
    if options.load:
        print(json.dumps(load(options.load, create=options.create)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        for rows in options.rows:
            for form in options.formats:
                path = Path(folder) / f"{rows}.{form}"
                write(path, form=form, rows=rows)
                command = [sys.executable, "-m", "scripts.bench_intake", "--one", form, str(path)]
                print(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())
                path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
