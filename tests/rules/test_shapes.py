"""Every shape by itself, as a lender's own rules may use it: what it answers at an instant, and how long that surely holds.

The lines of ``shapes.jsonl`` hold a shape with its parameters and a dossier told as in the casebook; ``zones`` are those
of the recipient. What must come out: ``silent``, the instant until which the rule surely stays silent or "never" when it
stays so, or the finding's ``effect`` and, where a line says so, ``until`` (exclusive, "never" without a known end), what
was ``observed``, the ``limit``, the ``missing`` facts, when a duty is ``due`` and how it is told, ``because``.
"""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from chalicelib.domain.compliance import check_dossier, load_packs
from chalicelib.domain.compliance.case import Case
from chalicelib.domain.compliance.scene import Finding, Scene
from chalicelib.domain.compliance.shapes import SHAPES
from chalicelib.domain.compliance.timeline import NEVER, instant_text, zone
from tests.rules.casebook import dossier_of

LINES = [json.loads(line) for line in Path(__file__).with_name("shapes.jsonl").read_text(encoding="utf-8").splitlines()]
ASKED = ("silent", "effect", "until", "observed", "limit", "missing", "due", "because")


def _when(instant: int) -> str:
    return "never" if instant == NEVER else instant_text(instant)


def answer(line: dict[str, Any]) -> dict[str, Any]:
    """Return what the shape of a line answers at the instant of its dossier."""
    dossier = check_dossier(dossier_of({"rule": line["shape"], **line}))
    pack = load_packs().pack("CN" if line["base"].startswith("cn.") else "US")
    case = Case(dossier)
    zones = tuple(map(zone, line.get("zones") or case.recipient["zones"]))
    found = SHAPES[line["shape"]].build(line["params"])(Scene(case, zones, pack.calendars, pack.lexicon), case.at)
    if not isinstance(found, Finding):
        return {"silent": _when(found)}
    return {
        "effect": found.effect,
        "until": _when(found.until),
        "observed": found.observed,
        "limit": found.limit,
        "missing": list(found.missing),
        "because": found.because,
        "due": None if found.duty is None else instant_text(found.duty["due"]),
    }


def departure(line: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Return what comes out and what should, None when they agree."""
    wanted = {key: line[key] for key in ASKED if key in line}
    found = answer(line)
    told = {key: found.get(key) for key in wanted} if wanted.keys() <= found.keys() else found
    return None if told == wanted else (told, wanted)


@pytest.mark.parametrize("shape", sorted({line["shape"] for line in LINES}))
def test_shape_answers_as_its_lines_say(shape: str) -> None:
    wrong = {line["note"]: found for line in LINES if line["shape"] == shape and (found := departure(line))}
    assert wrong == {}


def test_no_line_says_the_same_as_another() -> None:
    notes: dict[str, list[str]] = defaultdict(list)
    for line in LINES:
        assert "silent" in line or "effect" in line, line["note"]
        notes[line["shape"]].append(line["note"])
    assert {shape: [note for note in found if found.count(note) > 1] for shape, found in notes.items()} == {
        shape: [] for shape in notes
    }
