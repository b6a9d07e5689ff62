"""A ruling with everything that a person needs to understand it: grades, sources, notes, and what is only watched."""

from collections.abc import Mapping
from typing import Any

from chalicelib.domain.compliance.engine import played, rule
from chalicelib.domain.compliance.packs import PackSet
from chalicelib.domain.compliance.scene import Finding
from chalicelib.domain.compliance.timeline import LAST, instant_text


def explained(dossier: Mapping[str, Any], packs: PackSet, watching: PackSet) -> dict[str, Any]:
    """Return ``{ruling, rules, shadow}`` of a dossier: the very ruling that ``rule`` gives, with its rules annotated.

    ``watching`` holds the same packs with their shadow rules awake. ``rules`` are those that fired, ``shadow`` those
    that would fire if they were enforced; they decide nothing. Raises DossierError when the dossier is malformed.
    """
    ruling = rule(dossier, packs)
    findings = [(law, finding) for law, finding in played(dossier, watching) if finding is not None]
    fired = {(law.ident, finding.because): law.data for law, finding in findings if law.data["status"] == "enforced"}
    rules = [{**entry, **_origin(fired.get((entry["id"], entry["because"])))} for entry in ruling["rules"]]
    watched = [_entry(law.data, finding) for law, finding in findings if law.data["status"] == "shadow"]
    return {"ruling": ruling, "rules": rules, "shadow": sorted(watched, key=lambda each: (each["id"], each["because"]))}


def _entry(data: Mapping[str, Any], finding: Finding) -> dict[str, Any]:
    return {
        "id": data["id"],
        "effect": finding.effect,
        "citation": data["citation"],
        "observed": finding.observed,
        "limit": finding.limit,
        "until": None if finding.until >= LAST else instant_text(finding.until),
        "because": finding.because,
        **_origin(data),
    }


def _origin(data: Mapping[str, Any] | None) -> dict[str, Any]:
    if data is None:
        return {"grade": None, "confidence": None, "note": None}
    return {"grade": data["grade"], "confidence": data["confidence"], "note": dict(data["note"])}
