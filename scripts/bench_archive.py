"""Measure offline verification: an archive is made, and verified at each level beside ``sha256sum`` of the same bytes.

    python -m scripts.bench_archive                        # 40,000 entries
    python -m scripts.bench_archive --entries 1000000      # the goal: at most 10 s and 200 MB from entries to signature

Each program runs by itself, pinned to one core, over files that were just written. Its seconds are those of the CPU, its
memory the peak of the process. A quarter of the entries are rulings that carry a signed approval, as when every message is allowed
and sent; a day on which most wishes are refused has fewer, and its full level costs less.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from chalicelib.domain.audit import merkle, tiles
from chalicelib.domain.audit.notes import parse_checkpoint, parse_note
from chalicelib.usecases.archive import proof_text
from scripts.made_archive import ORIGIN, MadeLog, Streams, pem, record

PUBLISHED_EVERY = 16_384
GOAL_ENTRIES, GOAL_SECONDS, GOAL_MEGABYTES = 1_000_000, 10, 200
"""What the tree level is held to: a million entries, from the entries to the signature, on one core."""

LEVELS = {
    "tree": "tree: entries to signature",
    "log": "log: and links of streams, times",
    "full": "full: and canonical form, approvals, sends",
}
"""Each level of the verifier with what it does; the log level hashes each entry a second time."""


def write_log(folder: Path, entries: int, key: ed25519.Ed25519PrivateKey, root: ec.EllipticCurvePrivateKey) -> int:
    """Write a log of that many entries and return its bytes."""
    log, events = MadeLog(folder, [key]), Streams(root).all()
    while log.size < entries:
        upto = min(log.size + PUBLISHED_EVERY, entries)
        log.append([record(seq, next(events)) for seq in range(log.size, upto)])
        log.publish()
        if log.size % (PUBLISHED_EVERY * 8) == 0:
            print(f"  {log.size:,} of {entries:,} entries written", file=sys.stderr)
    log.write_rules()
    return log.bytes


def run_alone(command: list[str], *, stdin: Path | None = None) -> tuple[float, float, str]:
    """Run a program on one core; return its seconds of CPU, its peak memory in MB, and what it printed."""

    def pin() -> None:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

    with open(stdin or os.devnull, "rb") as source, tempfile.TemporaryFile() as printed:
        started = subprocess.Popen(command, stdin=source, stdout=printed, preexec_fn=pin)
        _, status, used = os.wait4(started.pid, 0)
        started.returncode = os.waitstatus_to_exitcode(status)
        printed.seek(0)
        text = printed.read().decode()
    if started.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {started.returncode}: {text[-2000:]}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, text


def main() -> None:
    """Make an archive, measure, and print a table."""
    parser = argparse.ArgumentParser(description="Measure offline verification of an archive.")
    parser.add_argument("--entries", type=int, default=40_000)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="write the archive here and leave it")
    asked = parser.parse_args()
    key, root = ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1())
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.keep or Path(temporary) / "archive"
        total = write_log(folder, asked.entries, key, root)
        public = {}
        each: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
        for name, each in (("log", key), ("approval", root)):
            public[name] = Path(temporary) / f"{name}.pem"
            public[name].write_bytes(pem(each))
        listed = Path(temporary) / "files"
        listed.write_bytes(b"\0".join(os.fsencode(path) for path in sorted(folder.rglob("*")) if path.is_file()))
        measure(folder, total, asked.entries, public, listed)
        print_proof(folder.joinpath(*ORIGIN.split("/")[-2:]), asked.entries)


def measure(folder: Path, total: int, entries: int, public: dict[str, Path], listed: Path) -> None:
    """Run the programs and print what each took."""
    print(f"{entries:,} entries, {total / 1e6:,.0f} MB; seconds of CPU on one core")
    base, _, _ = run_alone(["xargs", "-0", "sha256sum"], stdin=listed)
    print(f"  {'sha256sum of the same files':<44} {base:7.2f} s")
    verify = [sys.executable, "-m", "scripts.verify_archive", str(folder), "--key", str(public["log"]), "--json"]
    more = ["--approval-key", str(public["approval"])]
    for level, name in LEVELS.items():
        seconds, memory, text = run_alone([*verify, "--level", level, *more])
        counts = json.loads(text)["counts"]
        if counts["entries"] != entries:
            raise SystemExit(f"{counts['entries']} entries were verified, not {entries}")
        print(f"  {name:<44} {seconds:7.2f} s  {memory:5.0f} MB  {seconds / base:5.2f} x sha256sum")
        if level == "tree" and entries >= GOAL_ENTRIES:
            held = seconds <= GOAL_SECONDS and memory <= GOAL_MEGABYTES
            print(
                f"  {f'goal: {GOAL_SECONDS} s and {GOAL_MEGABYTES} MB for a million entries':<44} {'held' if held else 'missed'}"
            )
    each = _signature_seconds()
    share = counts["approvals"] * each / seconds
    print(f"  of the full level {share:.0%} are {counts['approvals']:,} signatures of approvals at {each * 1e6:.0f} us")


def print_proof(log: Path, entries: int) -> None:
    """Make the proof of the entry in the middle from the files, verify it, and print its size and the time that took."""
    note, number = (log / "checkpoint").read_bytes(), entries // 2
    root = parse_checkpoint(parse_note(note).text).root
    reader = tiles.TileReader(entries, lambda tile: (log / tile.path).read_bytes())
    proof = merkle.inclusion_proof(number, entries, reader)
    bundle = tiles.Tile(tiles.ENTRIES, number // 256, min(256, entries - number // 256 * 256))
    leaf = merkle.leaf_hash(tiles.entries_of((log / bundle.path).read_bytes())[number % 256])
    begun = time.process_time()
    if not merkle.inclusion_holds(leaf, number, entries, proof, root):
        raise SystemExit(f"the proof of entry {number} does not hold")
    took = time.process_time() - begun
    size = len(proof_text(number, proof, note))
    print(
        f"  proof of one entry: {size:,} bytes, {len(proof)} hashes, verified in {took * 1e3:.2f} ms (without signature)"
    )


def _signature_seconds() -> float:
    """Return the seconds of CPU that one signature of an approval's length takes to verify."""
    key, message = ed25519.Ed25519PrivateKey.generate(), b"x" * 600
    public, signature = key.public_key(), key.sign(message)
    begun = time.process_time()
    for _ in range(2_000):
        public.verify(signature, message)
    return (time.process_time() - begun) / 2_000


if __name__ == "__main__":
    main()
