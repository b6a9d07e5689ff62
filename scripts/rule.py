"""Rule on dossiers: one JSON object a line in, one ruling a line out, in the same order.

    python -m scripts.rule < dossiers.jsonl > rulings.jsonl

A line that is no valid dossier, an empty one too, gets ``{"id": ..., "error": {"code", "message", "pointer"}}`` and the
rest go on.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from chalicelib.domain.compliance import DossierError, PackSet, load_packs, rule


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise DossierError("duplicate", "a key stands twice in one object", "")
    return result


def answer(line: str | bytes, packs: PackSet) -> dict[str, Any]:
    """Return the ruling on one line, or its id with the error that kept it from being ruled on."""
    ident: Any = None
    try:
        try:
            text = line if isinstance(line, str) else line.decode("utf-8")
            dossier = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_no_repeats)
        except UnicodeDecodeError as fault:
            raise DossierError("not_utf8", "the line is not UTF-8", "") from fault
        except (ValueError, RecursionError) as fault:
            if isinstance(fault, DossierError):
                raise
            raise DossierError("not_json", "the line is no JSON object", "") from fault
        if isinstance(dossier, dict):
            ident = dossier.get("id")
        return rule(dossier, packs)
    except DossierError as fault:
        return {
            "id": ident if isinstance(ident, str) else None,
            "error": {"code": fault.code, "message": fault.message, "pointer": fault.pointer},
        }


def answers(lines: Iterable[str | bytes], packs: PackSet) -> Iterator[str]:
    """Yield one line of JSON for each line."""
    for line in lines:
        yield json.dumps(answer(line, packs), ensure_ascii=False, separators=(",", ":"))


def main() -> int:
    """Rule on standard input; the exit status is 0 when every line got an answer."""
    sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    packs = load_packs()
    for text in answers(sys.stdin.buffer, packs):
        sys.stdout.write(text + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
