"""Replay: rule again on a recorded dossier under the rule set of its day, which must give the same bytes.

Pure. What a rule set names and this machine does not have (a pack, other zone data, an engine of another format) is
an answer of its own and never taken for agreement.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from chalicelib.domain.audit.rulesets import digest_of
from chalicelib.domain.compliance.documents import ENGINE_FORMAT, DocumentMissing, packs_of
from chalicelib.domain.compliance.engine import rule
from chalicelib.domain.compliance.packs import Pack, PackSet
from chalicelib.domain.compliance.timeline import ZONE_DATA


def ruling_bytes(ruling: Mapping[str, Any]) -> bytes:
    """Return the one form of a ruling: JSON with sorted keys, without blanks, in UTF-8."""
    return json.dumps(ruling, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


@dataclass(frozen=True, slots=True)
class Difference:
    """How a ruling came out otherwise: verdicts, rule ids that fired then or now only, and which members differ."""

    verdict: tuple[str, str]
    rules_gone: tuple[str, ...]
    rules_new: tuple[str, ...]
    members: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return plain values, without anything of a dossier."""
        return {
            "verdict": list(self.verdict),
            "rules_gone": list(self.rules_gone),
            "rules_new": list(self.rules_new),
            "members": list(self.members),
        }


class Unreplayable(Exception):
    """The rule set names something that this machine has not: ``what`` is documents, zone_data or engine."""

    def __init__(self, what: str, which: str) -> None:
        super().__init__(f"{what}: {which}")
        self.what = what
        self.which = which


class Replayer:
    """Rules again under rule sets whose documents ``document`` gives by digest; each set is read once."""

    def __init__(self, document: Callable[[str], bytes | None]) -> None:
        """Take what reads a document (None where there is none)."""
        self._document = document
        self._packs: dict[str, tuple[PackSet, Mapping[str, Pack]]] = {}

    def replay(
        self, dossier: Mapping[str, Any], ruling: Mapping[str, Any], rule_set: Mapping[str, Any]
    ) -> Difference | None:
        """Return how the ruling comes out otherwise now, None when it has the same bytes. Raises Unreplayable."""
        if rule_set["engine"] != ENGINE_FORMAT:
            raise Unreplayable("engine", str(rule_set["engine"]))
        if rule_set["zone_data"] != ZONE_DATA:
            raise Unreplayable("zone_data", str(rule_set["zone_data"]))
        law, house = self._packs_of(rule_set)
        beside = [house[pack["sha256"]] for pack in ruling["packs"] if pack["sha256"] in house]
        again = rule(dossier, law, beside)
        return None if ruling_bytes(again) == ruling_bytes(ruling) else difference(ruling, again)

    def _packs_of(self, rule_set: Mapping[str, Any]) -> tuple[PackSet, Mapping[str, Pack]]:
        digest = digest_of(rule_set)
        packs = self._packs.get(digest)
        if packs is None:
            try:
                packs = self._packs[digest] = packs_of(rule_set, self._document)
            except DocumentMissing as missing:
                raise Unreplayable("documents", missing.digest) from missing
        return packs


def difference(stored: Mapping[str, Any], again: Mapping[str, Any]) -> Difference:
    """Return how two rulings on one dossier differ."""
    before, after = ({str(each["id"]) for each in ruling["rules"]} for ruling in (stored, again))
    return Difference(
        verdict=(str(stored["verdict"]), str(again["verdict"])),
        rules_gone=tuple(sorted(before - after)),
        rules_new=tuple(sorted(after - before)),
        members=tuple(sorted(key for key in stored.keys() | again.keys() if stored.get(key) != again.get(key))),
    )
