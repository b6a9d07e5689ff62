"""The rule book: every shipped rule as people read it, with its citation, doubts and test vectors."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from chalicelib.domain.compliance.packs import COMPILED, Pack, PackSet
from chalicelib.domain.compliance.timeline import ZONE_DATA
from chalicelib.domain.compliance.words import CONFIDENCE, Words, condition_words, doubt_words, parameter_words

_VECTOR = ("note", "base", "at", "set", "add", "verdict", "next", "missing", "fires")


class RuleBook:
    """The packs of a package as they are read; a pack is loaded when it is first asked for."""

    def __init__(self, packs: PackSet) -> None:
        """Take the packs."""
        self._packs = packs

    def listed(self) -> list[dict[str, Any]]:
        """Return one summary a pack, by id: version, digest, countries, how many rules and test vectors it has."""
        packs = self._packs
        return [summary(packs.pack(ident), packs.index[ident]) for ident in sorted(packs.index)]

    def whole(self, ident: str) -> dict[str, Any] | None:
        """Return a pack with every part of every rule, None for one that was not shipped."""
        entry = self._packs.index.get(ident)
        if entry is None:
            return None
        pack = self._packs.pack(ident)
        vectors = _vectors(entry["file"])
        parts: dict[str, list[dict[str, Any]]] = {}
        for rule in pack.data["rules"]:
            parts.setdefault(rule["id"], []).append(part_view(rule))
        items = [{"id": rule, "parts": found, "vectors": len(vectors.get(rule, ()))} for rule, found in parts.items()]
        return {**summary(pack, entry), "items": items}

    def one(self, ident: str, rule: str) -> dict[str, Any] | None:
        """Return every part of one rule with its vectors as authored, None when the pack or rule is unknown."""
        entry = self._packs.index.get(ident)
        if entry is None:
            return None
        pack = self._packs.pack(ident)
        parts = [part_view(each) for each in pack.data["rules"] if each["id"] == rule]
        if not parts:
            return None
        named = {"pack": pack.ident, "version": pack.version, "sha256": pack.sha256}
        return {"id": rule, **named, "parts": parts, "vectors": _vectors(entry["file"]).get(rule, [])}


def summary(pack: Pack, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a list says of a pack; ``rules`` counts parts, of which several may share an id."""
    rules = pack.data["rules"]
    return {
        "id": pack.ident,
        "version": pack.version,
        "name": pack.data["name"],
        "sha256": pack.sha256,
        "countries": list(entry["countries"]),
        "currencies": list(entry["currencies"]),
        "zone": pack.data.get("zone"),
        "zone_data": ZONE_DATA,
        "rules": len(rules),
        "shadow": sum(rule["status"] == "shadow" for rule in rules),
        "vectors": sum(map(len, _vectors(entry["file"]).values())),
    }


def part_view(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Return one part of a rule with its parameters, conditions and doubts in words."""
    return {
        "shape": rule["shape"],
        "citation": rule["citation"],
        "source": rule["source"],
        "grade": rule["grade"],
        "confidence": rule["confidence"],
        "confidence_words": _both(CONFIDENCE[rule["confidence"]]),
        "status": rule["status"],
        "from": rule.get("from"),
        "to": rule.get("to"),
        "published": rule.get("published"),
        "checked": rule["checked"],
        "note": dict(rule["note"]),
        "params": rule["params"],
        "when": rule.get("when", {}),
        "params_words": _lines(parameter_words(rule["params"])),
        "when_words": _lines(condition_words(rule.get("when", {}))),
        "provisional": doubt_words(rule) is not None,
        "doubt": _both(doubt_words(rule)),
    }


def _both(words: Words | None) -> dict[str, str] | None:
    return None if words is None else {"zh": words[0], "en": words[1]}


def _lines(lines: list[Words]) -> dict[str, list[str]]:
    return {"zh": [zh for zh, _ in lines], "en": [en for _, en in lines]}


@cache
def _vectors(file: str) -> Mapping[str, list[dict[str, Any]]]:
    """Return the vectors beside a pack by rule; a pack may have none of its own."""
    path = COMPILED.parent / file.removesuffix(".json") / "vectors.jsonl"
    found: dict[str, list[dict[str, Any]]] = {}
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            vector = json.loads(line)
            shown = {key: vector[key] for key in _VECTOR if key in vector}
            found.setdefault(vector["rule"], []).append(shown)
    return found
