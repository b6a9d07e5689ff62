"""The documents behind a rule set, for an archive that must be understood, and replayed, without this code's own packs."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from chalicelib.domain.audit.rulesets import parts_of
from chalicelib.domain.compliance.packs import COMPILED, GivenPacks, Pack, PackSet

PAST = COMPILED.parent / "past"
"""Every pack and atlas that was ever shipped, as ``<sha256>.json``; ``python -m scripts.packs --ship`` adds to it."""

ENGINE_FORMAT = 1
"""Rises when the engine would give another ruling, or another form of it, on the same dossier and packs."""


def rule_set(ruling: Mapping[str, Any], packs: PackSet) -> dict[str, Any]:
    """Return the rule set that a ruling under these packs rests on; see ``chalicelib.domain.audit.rulesets``.

    Raises ``NotLaw`` for packs that are only supposed to be law: nothing may rest on their rulings.
    """
    if not packs.is_law:
        raise NotLaw("these packs are supposed, not law: no approval may rest on them")
    return {
        "atlas": packs.atlas_sha256,
        "engine": ENGINE_FORMAT,
        "packs": sorted([each["id"], each["version"], each["sha256"]] for each in ruling["packs"]),
        "zone_data": ruling["zone_data"],
    }


class NotLaw(ValueError):
    """Packs that are only supposed, as in a what-if run, were asked for what only law has."""


def shipped_documents(digests: Iterable[str], packs: PackSet) -> dict[str, bytes]:
    """Return, by SHA-256 (hex), those documents among the digests that this tree holds: its packs, atlas, past ones."""
    present = {entry["sha256"]: COMPILED / entry["file"] for entry in packs.index.values()}
    found: dict[str, bytes] = {}
    for digest in digests:
        if digest in present:
            found[digest] = present[digest].read_bytes()
        elif digest == packs.atlas_sha256:
            found[digest] = packs.atlas_text.encode()
        elif (file := PAST / f"{digest}.json").is_file():
            found[digest] = file.read_bytes()
    return found


class DocumentMissing(LookupError):
    """A document that a rule set rests on is not to be had, or is not what its digest says."""

    def __init__(self, digest: str) -> None:
        super().__init__(digest)
        self.digest = digest


def packs_of(
    rule_set: Mapping[str, Any], document: Callable[[str], bytes | None]
) -> tuple[PackSet, Mapping[str, Pack]]:
    """Return the packs of a rule set, read from its documents: the law, and by SHA-256 a lender's house packs beside it.

    A house pack is one of no country and no currency. Raises DocumentMissing.
    """
    read: dict[str, Any] = {}
    for digest in sorted(parts_of(rule_set)):
        raw = document(digest)
        if raw is None or hashlib.sha256(raw).hexdigest() != digest:
            raise DocumentMissing(digest)
        read[digest] = json.loads(raw)
    named = {sha256: read[sha256] for _, _, sha256 in rule_set["packs"]}
    house = {sha256: data for sha256, data in named.items() if not data["countries"] and not data["currencies"]}
    law = [(sha256, data) for sha256, data in named.items() if sha256 not in house]
    return GivenPacks(law, read[rule_set["atlas"]]), {sha256: Pack(data, sha256) for sha256, data in house.items()}


def folder_of(path: Path) -> Callable[[str], bytes | None]:
    """Return what reads the documents of a folder of ``<sha256>.json`` files."""

    def read(digest: str) -> bytes | None:
        file = path / f"{digest}.json"
        return file.read_bytes() if file.is_file() else None

    return read
