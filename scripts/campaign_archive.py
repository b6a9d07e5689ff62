"""Let other people's tools verify made-up logs, flip every bit of an archive, and attack archives at random.

    python -m scripts.campaign_archive                       # everything; about half an hour on two cores
    python -m scripts.campaign_archive agree --logs 50       # one part, smaller
    python -m scripts.campaign_archive flips --sample 5000
    python -m scripts.campaign_archive attacks --attacks 500
    python -m scripts.campaign_archive --archive var/archive --key var/archive.pub.pem --vkey var/archive.vkey

With --archive the five programs judge an archive that is there, such as ``make run`` leaves, or an export of a whole log: a
directory, or the ZIP as downloaded.

agree    logs of 0 to 3,000 entries and around the widths of tiles, each as it is and with one byte changed: this project's verifier,
         aics-tlog, Go's checksum-database packages, pymerkle and OpenSSL must say the same of each, as far as each looks
flips    each bit of every file of an archive of 32 KB: the change must show, and as a fault of the right file
attacks  10,000 archives to which a few things were done (deleted, swapped, doubled, cut, extended, signed anew, rolled
         back, shown in two versions) or nothing that matters: each must be judged rightly, alone and against a saved note

The environment of the tools is .local/auditors (Python 3.12, requirements-auditors.txt); ``make campaign-archive`` makes it. Exit
status 0 when nothing disagreed and nothing was missed. A failure names the seed that repeats it.
"""

import argparse
import base64
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from chalicelib.domain.audit.notes import NoteKey, SignatureType
from scripts import verify_archive
from scripts.made_archive import ORIGIN, START, MadeLog, Streams, pem, record

AUDITORS = Path(".local/auditors")
BOUNDARIES = (255, 256, 257, 65_535, 65_536, 65_537)
ARCHIVE_BYTES = 32_768
ED25519 = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
P256 = ec.derive_private_key(123456789, ec.SECP256R1())
STRANGER = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
APPROVAL_ROOT = ec.derive_private_key(987654321, ec.SECP256R1())
TOOLS = ("ours", "aics", "go", "pymerkle", "openssl")

LOOKS_AT = {
    "root": TOOLS,
    "note": ("ours", "aics", "go"),
    "entries": ("ours", "aics", "go", "pymerkle"),
    "tile": ("ours", "aics", "go"),
}
"""Which tools look at what: pymerkle computes the root from entries, OpenSSL verifies signatures over the note's text."""


# --- Agreement ------------------------------------------------------------------------------------------------


def plain_events(seed: int) -> Iterator[bytes]:
    """Yield the events of a log in which nothing is sent: the first entry, then cases that are placed."""
    streams, number = Streams(APPROVAL_ROOT), 0
    yield streams.event("log_2026", "log.genesis", START, {"previous": None, "files": {}})
    while True:
        yield streams.event(f"case_{number % 97}", "case.changed", START, {"seed": seed, "number": number})
        number += 1


def write_plain(folder: Path, size: int, seed: int) -> MadeLog:
    """Write a log of that size with up to three notes on the way."""
    log, events = MadeLog(folder, [ED25519, P256]), plain_events(seed)
    chance = random.Random(seed)
    for upto in sorted({0, size, *(chance.randrange(size + 1) for _ in range(2))}):
        log.append([record(seq, next(events)) for seq in range(log.size, upto)])
        log.publish()
    return log


def spoil(log: Path, chance: random.Random) -> str:
    """Change one bit of a file of the log that all tools need, and return what it belongs to (see ``LOOKS_AT``)."""
    note = (log / "checkpoint").read_bytes()
    size = int(note.split(b"\n")[1])
    index = chance.randrange((size + 255) // 256) if size else 0
    width = min(256, size - 256 * index)
    name = f"{index:03d}" if width == 256 else f"{index:03d}.p/{width}"
    kind = chance.choice(("root", "note", "entries", "tile") if size else ("root", "note"))
    path = log / {"entries": f"tile/entries/{name}", "tile": f"tile/0/{name}"}.get(kind, "checkpoint")
    raw = bytearray(path.read_bytes())
    begin, end = 0, len(raw)
    if kind == "root":
        begin = raw.index(b"\n", raw.index(b"\n") + 1) + 1
        end = begin + 42
    elif kind == "note":
        # The text, and the signature by the one key that all of them know.
        end = raw.index(b"\n\xe2\x80\x94", raw.index(b"\n\n") + 3)
    raw[chance.randrange(begin, end)] ^= 1 << chance.randrange(8)
    path.write_bytes(bytes(raw))
    return kind


def by_us(logs: list[Path], keys: Path) -> list[str]:
    """Return what this project's verifier says of each log."""
    said = []
    for log in logs:
        report = verify_archive.verify(log, verify_archive.Asked(_keys(), heartbeat=timedelta(days=999)))
        root = report.logs[0]["root"]
        said.append(f"refused {report.faults[0]}" if report.faults else f"ok {report.logs[0]['size']} {root}")
    return said


def by_openssl(logs: list[Path], keys: Path) -> list[str]:
    """Return what OpenSSL says of both signatures of each log's note."""
    return [_openssl(log, keys) for log in logs]


def _openssl(log: Path, keys: Path, lines: int = 2) -> str:
    """Return what OpenSSL says of the first signature lines of a log's note, Ed25519 before P-256."""
    text, _, signed = (log / "checkpoint").read_bytes().rpartition(b"\n\n")
    (keys / "note.txt").write_bytes(text + b"\n")
    commands = (
        ["pkeyutl", "-verify", "-pubin", "-inkey", "ed.pem", "-rawin", "-in", "note.txt", "-sigfile", "note.sig"],
        ["dgst", "-sha256", "-verify", "p256.pem", "-signature", "note.sig", "note.txt"],
    )
    for line, command in zip(signed.split(b"\n"), commands[:lines], strict=False):
        try:
            (keys / "note.sig").write_bytes(base64.b64decode(line.split(b" ")[2], validate=True)[4:])
        except (ValueError, IndexError):
            return "refused no signature line"
        if subprocess.run(["openssl", *command], cwd=keys, capture_output=True, timeout=30).returncode:
            return f"refused {command[0]}"
    # The key's name and id are no part of what is signed, so OpenSSL cannot judge them; the text it can.
    size, root = text.split(b"\n")[1:3]
    return f"ok {size.decode()} {root.decode()}"


def by_program(*command: str) -> Callable[[list[Path], Path], list[str]]:
    """Return what an outside program says of each log, one line a log."""

    def ask(logs: list[Path], keys: Path) -> list[str]:
        asked = "".join(f"{log}\n" for log in logs)
        full = [*command, str(keys / "log.vkey")]
        done = subprocess.run(full, input=asked, capture_output=True, text=True, timeout=3_600)
        said = done.stdout.splitlines()
        if len(said) != len(logs):
            raise SystemExit(f"{command[0]} said {len(said)} things of {len(logs)} logs: {done.stderr[-2000:]}")
        return said

    return ask


def build_go(folder: Path) -> Path:
    """Build the program over the packages that the Go tool chain itself carries, and return it."""
    go = AUDITORS / "bin/go"
    root = subprocess.run([go, "env", "GOROOT"], capture_output=True, text=True, check=True).stdout.strip()
    packages = Path(root, "src/cmd/vendor/golang.org/x/mod/sumdb")
    for name in ("note", "tlog"):
        shutil.copytree(packages / name, folder / name)
    shutil.copy(Path(__file__).parent / "auditors/audit.go", folder / "audit.go")
    (folder / "go.mod").write_text("module audit\n\ngo 1.25\n")
    environment = {**os.environ, "GOFLAGS": "-mod=mod", "GOCACHE": str(folder / "cache"), "GOTOOLCHAIN": "local"}
    built = subprocess.run(
        [go.resolve(), "build", "-o", "audit", "."], cwd=folder, env=environment, capture_output=True
    )
    if built.returncode:
        raise SystemExit(f"the Go program cannot be built: {built.stderr.decode()[-2000:]}")
    return folder / "audit"


def write_keys(keys: Path) -> None:
    """Write the public keys of made-up logs into a directory, in the forms that the tools take."""
    keys.mkdir()
    (keys / "ed.pem").write_bytes(pem(ED25519))
    (keys / "p256.pem").write_bytes(pem(P256))
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    spki = ED25519.public_key().public_bytes(serialization.Encoding.DER, form)
    (keys / "log.vkey").write_text(NoteKey(ORIGIN, SignatureType.ED25519, spki).vkey + "\n")


def judge_real(place: Path, key: Path, vkey: Path, approval_key: Path | None, say: Callable[[str], None]) -> int:
    """Let all tools judge the log of an archive that is there by the given key; return 1 when they differ or refuse."""
    if not (AUDITORS / "bin/python").exists():
        raise SystemExit("there are no tools: make auditors makes .local/auditors first")
    wrong = 0
    with tempfile.TemporaryDirectory() as temporary, verify_archive.opened(place) as (folder, faults):
        if faults:
            raise SystemExit(f"{place} is no ZIP of ours: {faults[0]}")
        work = Path(temporary)
        keys = work / "keys"
        keys.mkdir()
        shutil.copy(key, keys / "ed.pem")
        shutil.copy(vkey, keys / "log.vkey")
        (work / "go").mkdir()
        asked = verify_archive.Asked(
            [verify_archive.Key(str(vkey))],
            approval_key=verify_archive.Key(str(approval_key)) if approval_key else None,
        )
        report = verify_archive.verify(folder, asked)
        ours = {each["origin"]: f"ok {each['size']} {each['root']}" for each in report.logs}
        if report.faults:
            ours = dict.fromkeys(ours, f"refused {report.faults[0]}")
        script = str(Path(__file__).parent / "auditors/audit.py")
        programs: dict[str, Callable[[list[Path], Path], list[str]]] = {
            "aics": by_program(str(AUDITORS / "bin/python"), script, "aics"),
            "go": by_program(str(build_go(work / "go"))),
            "pymerkle": by_program(str(AUDITORS / "bin/python"), script, "pymerkle"),
            "openssl": lambda logs, keys: [_openssl(log, keys, lines=1) for log in logs],
        }
        # A verifier key line is of one log; those of other years are signed by other keys.
        named = vkey.read_text(encoding="utf-8").split("+")[0]
        logs = [log for log in verify_archive.find_logs(folder) if _origin(log) == named]
        if not logs:
            raise SystemExit(f"{place} holds no log {named}")
        said = {name: program([log.resolve() for log in logs], keys) for name, program in programs.items()}
        for number, log in enumerate(logs):
            verdicts = {"ours": ours[named], **{name: words[number] for name, words in said.items()}}
            for name, verdict in verdicts.items():
                say(f"  {name:<9} {verdict}")
            agreed = len(set(verdicts.values())) == 1 and verdicts["ours"].startswith("ok ")
            wrong += not agreed
            say(f"{named}: {'all five say the same' if agreed else 'THEY DISAGREE'} ({log.name})")
    return wrong


def _origin(log: Path) -> str:
    return (log / "checkpoint").read_text(encoding="utf-8").partition("\n")[0]


def agree(count: int, seed: int, say: Callable[[str], None]) -> int:
    """Let all tools judge ``count`` logs and their spoiled twins; return the number of disagreements."""
    if not (AUDITORS / "bin/python").exists():
        raise SystemExit("there are no tools: make campaign-archive makes .local/auditors first")
    chance = random.Random(seed)
    sizes = [*BOUNDARIES, 0, 1, 2, *(chance.randrange(3_001) for _ in range(count))][:count]
    wrong, judged = 0, Counter[str]()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        keys = folder / "keys"
        write_keys(keys)
        (folder / "go").mkdir()
        script = str(Path(__file__).parent / "auditors/audit.py")
        tools: dict[str, Callable[[list[Path], Path], list[str]]] = {
            "ours": by_us,
            "aics": by_program(str(AUDITORS / "bin/python"), script, "aics"),
            "go": by_program(str(build_go(folder / "go"))),
            "pymerkle": by_program(str(AUDITORS / "bin/python"), script, "pymerkle"),
            "openssl": by_openssl,
        }
        for start in range(0, len(sizes), 50):
            logs: list[tuple[Path, int, str]] = []
            for number, size in enumerate(sizes[start : start + 50], start=start):
                honest = write_plain(folder / f"logs/{number}", size, seed + number).path
                twin = folder / f"logs/{number}-spoiled" / honest.relative_to(folder / f"logs/{number}")
                shutil.copytree(honest, twin)
                logs += [(honest, size, ""), (twin, size, spoil(twin, random.Random(seed + number)))]
            said = {name: tool([log for log, _, _ in logs], keys) for name, tool in tools.items()}
            for place, (log, size, spoiled) in enumerate(logs):
                verdicts = {name: said[name][place] for name in (LOOKS_AT[spoiled] if spoiled else TOOLS)}
                judged[spoiled or "honest"] += 1
                if spoiled:
                    right = all(verdict.startswith("refused") for verdict in verdicts.values())
                else:
                    right = len(set(verdicts.values())) == 1 and verdicts["ours"].startswith(f"ok {size} ")
                if not right:
                    wrong += 1
                    say(f"DISAGREEMENT over {log.parts[-3]} ({size} entries, {spoiled or 'honest'}): {verdicts}")
            shutil.rmtree(folder / "logs")
            say(f"  {min(start + 50, len(sizes)):,} of {len(sizes):,} logs, {wrong} disagreements")
    kinds = ", ".join(f"{number:,} {kind}" for kind, number in sorted(judged.items()))
    say(f"agree: {kinds}; by {len(TOOLS)} tools; {wrong} disagreements")
    return wrong


# --- An archive to spoil ----------------------------------------------------------------------------------------


@cache
def _keys() -> list[verify_archive.Key]:
    with tempfile.TemporaryDirectory() as folder:
        found = []
        for key in (ED25519, P256):
            path = Path(folder) / "key.pem"
            path.write_bytes(pem(key))
            found.append(verify_archive.Key(str(path)))
        return found


@cache
def _approval_key() -> verify_archive.Key:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "key.pem"
        path.write_bytes(pem(APPROVAL_ROOT))
        return verify_archive.Key(str(path))


def judge(folder: Path, earlier: bytes | None = None) -> list[tuple[str, str, str]]:
    """Return the faults of an archive, or one ``unverifiable`` when nothing could be verified."""
    asked = verify_archive.Asked(
        _keys(),
        earlier=[earlier] if earlier else [],
        approval_key=_approval_key(),
        heartbeat=timedelta(days=9),
    )
    try:
        return verify_archive.verify(folder, asked).faults
    except verify_archive.Unverifiable:
        return [("unverifiable", "", "")]


def sample_entries(limit: int, *, seed: int = 0) -> list[bytes]:
    """Return the entries of a log with messages in it, as many as fit into that many bytes."""
    streams, entries, total = Streams(APPROVAL_ROOT), list[bytes](), 0
    events = [streams.event("log_2026", "log.genesis", START, {"previous": None, "files": {}})]
    number = 0
    while True:
        events += streams.contact(number, START + timedelta(seconds=number + seed))
        for event in events:
            entry = record(len(entries), event)
            if total + len(entry) > limit:
                return entries
            entries.append(entry)
            total += len(entry)
        events, number = [], number + 1


def write_entries(
    folder: Path, entries: list[bytes], notes: tuple[int, ...] = (), keys: tuple[Any, ...] = (ED25519, P256)
) -> bytes:
    """Write an archive of these entries with notes at these sizes and at the end, and return the last note."""
    log = MadeLog(folder, keys)
    for upto in [*(size for size in notes if size < len(entries)), len(entries)]:
        log.append(entries[log.size : upto])
        note = log.publish()
    return note


def write_exactly(folder: Path, total: int) -> int:
    """Write an archive of that many bytes, most of them of messages that were sent, and return how many it has."""
    entries, padding = sample_entries(total * 3 // 4), 0
    for _ in range(40):
        event = Streams(APPROVAL_ROOT).event("case_last", "case.changed", START, {"padding": "x" * padding})
        shutil.rmtree(folder, ignore_errors=True)
        write_entries(folder, [*entries, record(len(entries), event)])
        # The DER form of a P-256 signature has 70 to 72 bytes, so it takes some tries.
        size = sum(map(len, files_below(folder).values()))
        if size == total:
            break
        padding += total - size
    return size


def files_below(folder: Path) -> dict[str, bytes]:
    """Return path -> bytes of every file."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- Flips ------------------------------------------------------------------------------------------------------


def flips_in(part: tuple[str, list[tuple[str, int]]]) -> list[str]:
    """Flip bits (file, number of the bit) of the archive at a directory, one after another; return what was missed."""
    name, cases = part
    missed = []
    with tempfile.TemporaryDirectory(dir=_memory()) as temporary:
        folder = Path(temporary) / "archive"
        shutil.copytree(name, folder)
        for path, bit in cases:
            file = folder / path
            intact = file.read_bytes()
            changed = bytearray(intact)
            changed[bit >> 3] ^= 1 << (bit & 7)
            file.write_bytes(bytes(changed))
            faults = judge(folder)
            if not faults or not _fits(path, {code for code, _, _ in faults}):
                missed.append(f"{path} bit {bit}: {faults[:2]}")
            file.write_bytes(intact)
    return missed


NOTE_FAULTS = {"bad_note", "bad_signature", "not_signed", "wrong_origin", "missing_file", "wrong_root", "unverifiable"}


def _fits(path: str, codes: set[str]) -> bool:
    """Tell whether the faults are such as a change of this file makes."""
    if "checkpoint" in path:
        return bool(codes & NOTE_FAULTS)
    if "/entries/" in path:
        return bool(codes & {"wrong_root", "bad_bundle", "missing_file"})
    return "wrong_tile" in codes


def _memory() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def flips(sample: int | None, seed: int, say: Callable[[str], None]) -> int:
    """Flip every bit (or a sample of them) of an archive of 32 KB; return how many were missed."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "archive"
        total = write_exactly(folder, ARCHIVE_BYTES)
        files = files_below(folder)
        if judge(folder):
            raise SystemExit(f"the archive does not hold before anything is flipped: {judge(folder)}")
        cases = [(path, bit) for path, raw in sorted(files.items()) for bit in range(8 * len(raw))]
        if sample is not None:
            cases = random.Random(seed).sample(cases, min(sample, len(cases)))
        parts = [(str(folder), cases[start : start + 2_000]) for start in range(0, len(cases), 2_000)]
        missed: list[str] = []
        with ProcessPoolExecutor(os.cpu_count()) as pool:
            for number, found in enumerate(pool.map(flips_in, parts), start=1):
                missed += found
                if number % 10 == 0 or number == len(parts):
                    say(f"  {min(number * 2_000, len(cases)):,} of {len(cases):,} bits, {len(missed)} missed")
    for line in missed[:20]:
        say(f"MISSED {line}")
    say(f"flips: {len(cases):,} bits of {len(files)} files ({total:,} bytes), {len(missed)} missed")
    return len(missed)


# --- Attacks ----------------------------------------------------------------------------------------------------


@dataclass
class Case:
    """What was done to an archive, and what must be said of it alone and against the saved note (None: nothing)."""

    kind: str
    alone: set[str] | None
    against: set[str] | None
    done: list[str] = field(default_factory=list)


ANY = {"any"}
"""It must show; by what name depends on what was hit."""


def attack(folder: Path, seed: int) -> tuple[Case, bytes]:
    """Write an archive, do to it what the seed says, and return what must be found, with a note that was saved before."""
    chance = random.Random(seed)
    entries = sample_entries(chance.choice((9_000, 24_000)), seed=seed % 7)
    saved_at = chance.randrange(2, len(entries))
    write_entries(folder, entries, (saved_at,))
    log = folder.joinpath(*ORIGIN.split("/")[-2:])
    saved = (log / f"checkpoints/{saved_at:012d}").read_bytes()
    intact = files_below(folder)
    kind = chance.choice(sorted(ATTACKS))
    case = ATTACKS[kind](folder, log, entries, saved_at, chance)
    if files_below(folder) == intact:
        case = Case("nothing", None, None, ["nothing changed"])
    return case, saved


def _files(folder: Path, log: Path, entries: list[bytes], saved_at: int, chance: random.Random) -> Case:
    """Delete, swap, double, cut and lengthen a few files."""
    done = []
    for _ in range(chance.randrange(1, 5)):
        # Partial tiles that fuller ones replaced, and the copies of earlier notes, no log needs.
        spare = (f".p/{saved_at}", f"checkpoints/{saved_at:012d}")
        needed = [path for path in sorted(files_below(folder)) if not path.endswith(spare)]
        path, other = folder / chance.choice(needed), folder / chance.choice(needed)
        edit = chance.choice(("delete", "swap", "double", "cut", "extend"))
        raw = path.read_bytes()
        if edit == "delete" and len(needed) > 3:
            path.unlink()
        elif edit == "swap":
            second = other.read_bytes()
            path.write_bytes(second)
            other.write_bytes(raw)
        elif edit == "double":
            (path.with_name(f"{path.name}-copy")).write_bytes(raw)
        elif edit == "cut" and raw:
            path.write_bytes(raw[: chance.randrange(len(raw))])
        else:
            path.write_bytes(raw + bytes([chance.randrange(256)]))
        done.append(f"{edit} {path.name}")
    return Case("files", ANY, ANY, done)


def _rewrite(folder: Path, log: Path, entries: list[bytes], saved_at: int, chance: random.Random) -> Case:
    """Let the log's keeper drop, double and swap entries or change one, number everything anew and sign it."""
    told = list(entries)
    done = []
    followed = [place for place in range(1, len(told)) if _stream(told[place]) in map(_stream, told[place + 1 :])]
    if chance.random() < 0.25 and followed:
        place = chance.choice(followed)
        told[place] = told[place].replace(b'"req":"req_1"', b'"req":"req_2"')
        done.append(f"change {place}")
    else:
        for _ in range(chance.randrange(1, 4)):
            place, other = chance.randrange(1, len(told)), chance.randrange(1, len(told))
            edit = chance.choice(("delete", "swap", "double"))
            if edit == "delete" and len(told) > 3:
                del told[place]
            elif edit == "swap":
                told[place], told[other] = told[other], told[place]
            else:
                told.insert(other, told[place])
            done.append(f"{edit} {place}")
    told = [_numbered(entry, seq) for seq, entry in enumerate(told)]
    _anew(folder, told, (saved_at,))
    if told == entries:
        return Case("nothing", None, None, done)
    # What leaves each stream a beginning of itself no archive can show by itself; the note shows it if it was saved after.
    before, after = _streams(entries), _streams(told)
    alone = None if all(before[stream][: len(events)] == events for stream, events in after.items()) else ANY
    shown = {"rewritten", "rolled_back"}
    return Case("rewrite", alone, alone if told[:saved_at] == entries[:saved_at] else shown, done)


def _event(entry: bytes) -> bytes:
    return entry.partition(b'{"event":')[2].rpartition(b',"log":')[0]


def _stream(entry: bytes) -> str:
    return str(json.loads(_event(entry))["case"])


def _streams(entries: list[bytes]) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {}
    for entry in entries:
        found.setdefault(_stream(entry), []).append(_event(entry))
    return found


def _rewrite_well(folder: Path, log: Path, entries: list[bytes], saved_at: int, chance: random.Random) -> Case:
    """Let the keeper tell another story in good order: it holds alone, and only the saved note shows it."""
    other = sample_entries(sum(map(len, entries)), seed=chance.randrange(100, 200))
    _anew(folder, other, (min(saved_at, len(other)),))
    against = {"rolled_back"} if len(other) < saved_at else {"rewritten"}
    return Case("signed anew", None, against, [f"{len(other)} other entries"])


def _roll_back(folder: Path, log: Path, entries: list[bytes], saved_at: int, chance: random.Random) -> Case:
    """Let the keeper show an older state of the log: it holds alone; the saved note shows it if it is longer."""
    size = chance.randrange(1, len(entries))
    _anew(folder, entries[:size], ())
    return Case("roll back", None, {"rolled_back"} if size < saved_at else None, [f"back to {size}"])


def _split(folder: Path, log: Path, entries: list[bytes], saved_at: int, chance: random.Random) -> Case:
    """Let the keeper show another end of the log than others see, from some place on."""
    fork = chance.randrange(1, len(entries))
    streams = Streams(APPROVAL_ROOT)
    other = [streams.event(f"case_other_{number}", "case.changed", START, {"n": seed}) for number, seed in _few(chance)]
    told = entries[:fork] + [record(fork + place, event) for place, event in enumerate(other)]
    _anew(folder, told, ())
    if fork >= saved_at:
        against: set[str] | None = None
    else:
        against = {"rolled_back"} if len(told) < saved_at else {"rewritten"}
    return Case("split view", None, against, [f"other from {fork} on, {len(told)} long"])


def _few(chance: random.Random) -> list[tuple[int, int]]:
    return [(number, chance.randrange(1_000)) for number in range(chance.randrange(1, 30))]


def _stranger(folder: Path, log: Path, entries: list[bytes], saved_at: int, chance: random.Random) -> Case:
    """Let somebody else sign the log, or an altered one, under its name."""
    told = entries if chance.random() < 0.5 else entries[: chance.randrange(1, len(entries))]
    shutil.rmtree(folder)
    write_entries(folder, told, (), (STRANGER,))
    return Case("stranger signs", {"not_signed"}, {"not_signed"})


def _truncate(folder: Path, log: Path, entries: list[bytes], saved_at: int, chance: random.Random) -> Case:
    """Take away the last files and leave the note."""
    last = sorted(path for path in log.rglob("*") if f"{len(entries)}" == path.name)
    for path in chance.sample(last, chance.randrange(1, len(last) + 1)):
        path.unlink()
    return Case("truncate", {"missing_file", "bad_bundle", "bad_note"}, {"missing_file", "bad_bundle", "bad_note"})


def _harmless(folder: Path, log: Path, entries: list[bytes], saved_at: int, chance: random.Random) -> Case:
    """Do what matters to nothing: drop partial tiles that a fuller one replaced, or publish one more entry."""
    if chance.random() < 0.5 and saved_at % 256:
        for path in (log / f"tile/0/000.p/{saved_at}", log / f"tile/entries/000.p/{saved_at}"):
            path.unlink(missing_ok=True)
        return Case("harmless", None, None, ["older partial tiles dropped"])
    streams = Streams(APPROVAL_ROOT)
    more = [record(len(entries), streams.event("case_more", "case.changed", START, {}))]
    _anew(folder, [*entries, *more], (saved_at,))
    return Case("harmless", None, None, ["one more entry"])


def _numbered(entry: bytes, seq: int) -> bytes:
    head, _, rest = entry.rpartition(b'"seq":')
    return head + b'"seq":%d,' % seq + rest.partition(b",")[2]


def _anew(folder: Path, entries: list[bytes], notes: tuple[int, ...]) -> None:
    shutil.rmtree(folder)
    write_entries(folder, entries, notes)


ATTACKS: dict[str, Callable[[Path, Path, list[bytes], int, random.Random], Case]] = {
    "files": _files,
    "rewrite": _rewrite,
    "signed anew": _rewrite_well,
    "roll back": _roll_back,
    "split view": _split,
    "stranger": _stranger,
    "truncate": _truncate,
    "harmless": _harmless,
}


def attacked(seeds: range) -> list[tuple[str, str]]:
    """Return (kind, what was judged wrongly, "" for nothing) of the attacks of these seeds."""
    found = []
    for seed in seeds:
        with tempfile.TemporaryDirectory(dir=_memory()) as temporary:
            folder = Path(temporary) / "archive"
            case, saved = attack(folder, seed)
            wrong = ""
            for name, expected, earlier in (("alone", case.alone, None), ("against", case.against, saved)):
                codes = {code for code, _, _ in judge(folder, earlier)}
                if (expected is None and codes) or (expected is not None and not codes):
                    wrong = f"{name}: {sorted(codes)}, expected {expected}"
                elif expected is not None and expected != ANY and not codes & expected:
                    wrong = f"{name}: {sorted(codes)}, expected one of {sorted(expected)}"
            found.append((case.kind, f"seed {seed}, {case.kind}, {case.done}: {wrong}" if wrong else ""))
    return found


def attacks(count: int, seed: int, say: Callable[[str], None]) -> int:
    """Judge that many attacked archives; return how many were judged wrongly."""
    parts = [range(start, min(start + 100, seed + count)) for start in range(seed, seed + count, 100)]
    kinds, wrong = Counter[str](), list[str]()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for number, found in enumerate(pool.map(attacked, parts), start=1):
            kinds.update(kind for kind, _ in found)
            wrong += [text for _, text in found if text]
            if number % 10 == 0 or number == len(parts):
                say(f"  {sum(kinds.values()):,} of {count:,} attacks, {len(wrong)} judged wrongly")
    for line in wrong[:20]:
        say(f"WRONG {line}")
    say(f"attacks: {json.dumps(dict(sorted(kinds.items())))}; {len(wrong)} judged wrongly")
    return len(wrong)


def main() -> int:
    """Run the parts that were asked for and return the exit status."""
    parser = argparse.ArgumentParser(description="Let others verify made-up archives, and attack some.")
    parser.add_argument("parts", nargs="*", metavar="agree|flips|attacks")
    parser.add_argument("--logs", type=int, default=1_000)
    parser.add_argument("--attacks", type=int, default=10_000)
    parser.add_argument("--sample", type=int, help="flip only so many bits, drawn at random")
    parser.add_argument("--seed", type=int, default=20_261_128)
    parser.add_argument("--archive", type=Path, metavar="PLACE", help="let the five judge this archive instead")
    parser.add_argument("--key", type=Path, default=Path("var/archive.pub.pem"), help="its Ed25519 key, PEM")
    parser.add_argument("--vkey", type=Path, default=Path("var/archive.vkey"), help="the same, a verifier key line")
    parser.add_argument("--approval-key", type=Path, help="root key of approvals, PEM")
    asked = parser.parse_args()
    parts = asked.parts or ["agree", "flips", "attacks"]
    if not set(parts) <= {"agree", "flips", "attacks"}:
        parser.error("the parts are agree, flips and attacks")

    def say(line: str) -> None:
        print(line, flush=True)

    if asked.archive is not None:
        try:
            return 1 if judge_real(asked.archive, asked.key, asked.vkey, asked.approval_key, say) else 0
        except (verify_archive.Unverifiable, OSError) as error:
            raise SystemExit(f"cannot be judged: {error}") from error
    wrong = 0
    if "agree" in parts:
        wrong += agree(asked.logs, asked.seed, say)
    if "flips" in parts:
        wrong += flips(asked.sample, asked.seed, say)
    if "attacks" in parts:
        wrong += attacks(asked.attacks, asked.seed, say)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
