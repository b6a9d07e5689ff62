"""The engine beside its peers: one case of 26 rules on the same dossiers, and whether the goals are met.

    python -m scripts.bench_rules            about two minutes; peers live in .local/bench (make bench makes it)

What is compared with what, and what is not: docs/performance.md.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chalicelib.domain.compliance.record import prepare, read
from scripts.peers import cases, ours
from scripts.peers.engines import PEERS

ROOT = Path(__file__).resolve().parents[1]
PEER_PYTHON = ROOT / ".local" / "bench" / "bin" / "python"
SECONDS = 1.2
COLD_ROUNDS = 5
CALLS = 400


class Unmeasured(Exception):
    """A peer that could not be measured, with the reason."""


def _measured(python: Path | str, *arguments: str) -> list[dict[str, Any]]:
    """Return the lines that a process of its own prints. Raises Unmeasured when it fails."""
    run = subprocess.run(
        [str(python), "-m", "scripts.peers.measure", *arguments], capture_output=True, text=True, cwd=ROOT, check=False
    )
    if run.returncode < 0:
        raise Unmeasured(f"its process was ended by signal {-run.returncode}")
    if run.returncode:
        raise Unmeasured((run.stderr.strip().splitlines() or ["it ended without a word"])[-1])
    return [json.loads(line) for line in run.stdout.splitlines()]


def _row(name: str, found: dict[str, Any]) -> str:
    own, anchor = found["own"], found["anchor"]
    return (
        f"{name:<28}{found['contacts']:>9}{1e6 / own['mean']:>12,.0f}{own['p50']:>10.1f}{own['p99']:>10.1f}"
        f"{own['p50'] / anchor['p50']:>10.2f}{own['p99'] / anchor['p50']:>10.1f}"
    )


def _get_item_us() -> float:
    """Return the CPU of one warm boto3 ``get_item`` in microseconds, the median of some rounds."""
    import boto3
    from botocore.config import Config

    with subprocess.Popen(
        [sys.executable, "-m", "scripts.peers.stub"], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as stub:
        try:
            assert stub.stdout is not None
            port = int(stub.stdout.readline())
            client = boto3.client(
                "dynamodb",
                endpoint_url=f"http://127.0.0.1:{port}",
                region_name="eu-central-1",
                aws_access_key_id="local",
                aws_secret_access_key="local",
                config=Config(retries={"total_max_attempts": 1}),
            )
            key = {"pk": {"S": "case"}, "sk": {"S": "CASE"}}
            rounds = []
            for _ in range(5):
                begin = time.process_time_ns()
                for _ in range(CALLS // 5):
                    client.get_item(TableName="records", Key=key, ConsistentRead=True)
                rounds.append((time.process_time_ns() - begin) / (CALLS // 5) / 1e3)
            return statistics.median(rounds)
        finally:
            stub.terminate()


def _decision_us(contacts: int) -> float:
    """Return the CPU of one decision with everything explained in microseconds, the median of some rounds."""
    decide = ours.decider()
    records = [read(prepare(each).stored()) for each in cases.dossiers(200, contacts)]
    rounds = []
    for _ in range(12):
        begin = time.process_time_ns()
        for record in records:
            decide(record)
        rounds.append((time.process_time_ns() - begin) / len(records) / 1e3)
    # The first rounds write the rules out.
    return statistics.median(rounds[4:])


def _cold(python: Path, folder: Path) -> tuple[float, float]:
    """Return the CPU of loading the pack, ours and by YAML and pydantic, in milliseconds; taking turns."""
    import yaml

    compiled, authored = folder / "pack.json", folder / "pack.yaml"
    compiled.write_text(ours.text(), encoding="utf-8")
    data = ours.compiled()
    kept = {key: data[key] for key in ("id", "version", "calendars", "rules")}
    authored.write_text(yaml.safe_dump(kept, sort_keys=False, allow_unicode=True), encoding="utf-8")
    taken: dict[str, list[float]] = {"cold-pack": [], "cold-yaml": []}
    for _ in range(COLD_ROUNDS):
        for name, path in (("cold-pack", compiled), ("cold-yaml", authored)):
            taken[name].append(_measured(python, name, str(path))[0]["ms"])
    return statistics.median(taken["cold-pack"]), statistics.median(taken["cold-yaml"])


def _by_contacts(found: Sequence[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    return {each["contacts"]: each for each in found}


def _goal(name: str, what: str, figure: float, most: float) -> str:
    return f"{name:<4} {'met    ' if figure <= most else 'NOT MET'} {figure:>9.4f} <= {most:<7} {what}"


def main() -> int:
    """Measure and print; the exit status is 1 when our own measurement fails, a goal that is missed is only told."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for each peer and size of the past")
    options = parser.parse_args()
    if not PEER_PYTHON.exists():
        print("no peers are installed: `make bench` makes .local/bench from requirements-bench.txt", file=sys.stderr)
        return 1
    seconds = str(options.seconds)
    print(
        "26 rules, 200 dossiers, half break one to three rules; microseconds, each request's least time of its rounds;"
    )
    print("ratio = p50 / p50 of plain Python in the same process; p99 over all rounds, with what else the machine did.")
    print("Ours explains every rule and gives the next allowed instant; nobody else does.\n")
    heads = ("contacts", "decisions/s", "p50", "p99", "ratio", "p99/plain")
    print(f"{'':<28}{heads[0]:>9}{heads[1]:>12}" + "".join(f"{head:>10}" for head in heads[2:]))
    own = _by_contacts(_measured(PEER_PYTHON, "forbear", seconds))
    for found in own.values():
        print(_row("plain Python (flat request)", {**found, "own": found["anchor"]}))
    for found in own.values():
        print(_row("plain Python (dossier)", {**found, "own": found["dossier"]}))
    for found in own.values():
        print(_row("Forbear, explained", found), flush=True)
    for name in PEERS:
        try:
            for found in _measured(PEER_PYTHON, name, seconds):
                print(_row(name, found), flush=True)
        except Unmeasured as reason:
            print(f"{name:<28}  skipped: {reason}", flush=True)
    raw = _by_contacts(_measured(PEER_PYTHON, "bytes", seconds))
    print("\nFrom stored bytes (ratio to orjson.loads and plain Python):")
    for contacts, found in raw.items():
        own_p50, flat, whole = (found[key]["p50"] for key in ("own", "anchor", "dossier"))
        sizes = found["bytes"]
        print(
            f"  {contacts:>3} contacts: {own_p50:.1f} us from {sizes['own']} bytes; {own_p50 / flat:.2f} of a flat request "
            f"({sizes['flat']} bytes), {own_p50 / whole:.2f} of a dossier ({sizes['dossier']} bytes)"
        )
    people = _by_contacts(_measured(PEER_PYTHON, "population", seconds))
    call, decision = _get_item_us(), _decision_us(20)
    with tempfile.TemporaryDirectory() as folder:
        pack, yaml_load = _cold(PEER_PYTHON, Path(folder))
    print(
        f"\nCPU: boto3 get_item {call:.0f} us, decision {decision:.1f} us; pack {pack:.2f} ms, YAML and pydantic {yaml_load:.0f} ms"
    )

    def ratio(found: dict[int, dict[str, Any]], contacts: int, anchor: str = "anchor") -> float:
        return float(found[contacts]["own"]["p50"] / found[contacts][anchor]["p50"])

    print("\nGoals:")
    print(_goal("A1", "of plain Python on a flat request, 20 contacts", ratio(own, 20), 0.8))
    print(_goal("A1", "of plain Python on a flat request, 200 contacts", ratio(own, 200), 0.3))
    for contacts in raw:
        print(
            _goal(
                "A1b", f"of orjson and plain Python on a flat request, {contacts} contacts", ratio(raw, contacts), 0.7
            )
        )
        what = f"of orjson and plain Python on the dossier, {contacts} contacts"
        print(_goal("A1b", what, ratio(raw, contacts, "dossier"), 0.7))
    print(_goal("A2", "time at 200 contacts to time at none", own[200]["alone"]["p50"] / own[0]["alone"]["p50"], 2))
    print(_goal("A3", "CPU of a decision (20 contacts) to one boto3 get_item", decision / call, 0.005))
    print(_goal("A4", "loading the pack to loading it by YAML and pydantic", pack / yaml_load, 0.02))
    for contacts, found in people.items():
        print(_goal("A5", f"reading and deciding to deciding alone, {contacts} contacts", found["ratio"], 2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
