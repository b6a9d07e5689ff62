"""Send many dossiers, good, bad and broken, through ``python -m scripts.rule``: one answer a line, and no crash.

    python -m scripts.campaign_fuzz [--lines 100000] [--seed 1]

Every good line must get a ruling with its id, every broken one an error with code, message and pointer, and what was
changed at random one or the other.
"""

import argparse
import copy
import json
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.rules.casebook import dossier_of, vectors

ROOT = Path(__file__).resolve().parents[1]
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 10**30, -(10**400), 0.5, 1e308, "", "x", "0000-00-00", "2026-02-30", "2026-06-10T25:00:00Z",
    "9999-12-31", "0001-01-01", "\x00", "\ud800", "é" * 300, [], {}, [[]], [None], {"": ""}, {"x": {"y": []}},
)  # fmt: skip
RULING = frozenset(("id", "verdict", "next_allowed_at", "not_after", "rules", "missing", "packs", "zone_data"))


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each container with each of its keys or indexes."""
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], (dict, list)):
            yield from _places(value[key])


def _changed(dossier: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """Return a dossier with some places of it left out, replaced, moved or added to."""
    other = copy.deepcopy(dossier)
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        places = list(_places(other))
        if not places:
            break
        holder, key = chance.choice(places)
        match chance.randrange(4):
            case 0:
                del holder[key]
            case 1:
                holder[key] = copy.deepcopy(chance.choice(ODD))
            case 2:
                giver, other_key = chance.choice(places)
                taken = giver[other_key] if _has(giver, other_key) else None
                if _has(holder, key):
                    holder[key] = copy.deepcopy(taken)
            case _ if isinstance(holder, dict):
                holder[chance.choice(("mood", "at", "kind", ""))] = copy.deepcopy(chance.choice(ODD))
            case _:
                holder.append(copy.deepcopy(chance.choice(ODD)))
    return other


def _has(holder: Any, key: Any) -> bool:
    return key in holder if isinstance(holder, dict) else key < len(holder)


def lines(book: Sequence[dict[str, Any]], count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield so many lines without their ends, each with its kind: ``good``, ``changed`` or ``broken``."""
    chance = random.Random(seed)
    for number in range(count):
        dossier = {**chance.choice(book), "id": f"f{number}"}
        kind = chance.choices(("good", "changed", "broken"), (40, 35, 25))[0]
        text = json.dumps(dossier if kind == "good" else _changed(dossier, chance), ensure_ascii=chance.random() < 0.5)
        data = text.encode("utf-8", "surrogatepass" if kind == "broken" else "backslashreplace")
        if kind == "broken":
            at = chance.randrange(1, len(data) - 1)
            data = chance.choice((
                data[:at],
                b"",
                b"   ",
                data + b"}",
                data[:at] + b"\xff\xfe" + data[at:],
                b"[" * chance.choice((1, 2_000, 100_000)),
                b'{"id":' * 5_000 + b"1",
                b'{"id": ' + b"9" * 5_000 + b"}",
                b'{"at": NaN}', b"null", b"[]", b'"text"', b"7", b"\xef\xbb\xbf{}", b"{'id': 1}",
                b'{"id": "a", "id": "b"}',
                b'{"id": "half"}',
                bytes(chance.randrange(256) for _ in range(40)).replace(b"\n", b""),
            ))  # fmt: skip
        yield kind, data


def fault(kind: str, data: bytes, answer: dict[str, Any]) -> str | None:
    """Return what is wrong with the answer to a line, None when nothing is."""
    if "error" in answer:
        if kind == "good":
            return f"a good dossier was refused: {answer['error']}"
        error = answer["error"]
        if answer.keys() != {"id", "error"} or error.keys() != {"code", "message", "pointer"}:
            return "an error of another form"
        if not all(isinstance(text, str) for text in error.values()) or not error["code"] or not error["message"]:
            return "an error without its code or message"
        if error["pointer"] and not error["pointer"].startswith("/"):
            return f"no pointer: {error['pointer']}"
        return None
    if kind == "broken":
        return "a broken line was ruled on"
    if not answer.keys() >= RULING or answer["verdict"] not in ("allow", "defer", "review", "deny"):
        return "a ruling of another form"
    if kind == "good" and answer["id"] != json.loads(data)["id"]:
        return "another dossier's ruling"
    return None


def main() -> int:
    """Send the lines and look at the answers; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    book = [dossier_of(vector) for vector in vectors()]
    kinds: Counter[str] = Counter()
    with tempfile.TemporaryFile() as sent, tempfile.TemporaryFile() as received:
        for kind, data in lines(book, options.lines, options.seed):
            kinds[kind] += 1
            sent.write(data + b"\n")
        sent.seek(0)
        print(f"{options.lines} lines, {sent.seek(0, os.SEEK_END) >> 20} MB: {dict(kinds)}", file=sys.stderr)
        sent.seek(0)
        run = subprocess.run([sys.executable, "-m", "scripts.rule"], stdin=sent, stdout=received, cwd=ROOT)
        received.seek(0)
        answered = wrong = 0
        for (kind, data), line in zip(lines(book, options.lines, options.seed), received, strict=False):
            answered += 1
            found = fault(kind, data, json.loads(line))
            if found:
                wrong += 1
                print(f"line {answered} ({kind}): {found}")
        more = len(received.read())
    good = run.returncode == 0 and answered == options.lines and not wrong and not more
    print(f"{answered} of {options.lines} lines answered, {wrong} wrong answers, exit status {run.returncode}")
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
