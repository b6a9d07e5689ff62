"""What a lender's house rules may say: stricter than the law and never looser, checked when they are drafted.

What is laid beside the law can only add findings (see ``engine``); what would have no such meaning here, a rule that leaves
something out or that makes a duty, is refused.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from chalicelib.domain.compliance.authoring import Book, Fault, compile_rules, compiled_text, validate_rules
from chalicelib.domain.compliance.packs import PackSet
from chalicelib.domain.compliance.timeline import UnknownZone, zone

PREFIX = "HOUSE-"
"""With which every set's id, and with the set's id every rule's id, begins: no shipped rule is in there."""

MOST_RULES = 100
"""Rules that one version may hold."""

NOT_HERE: Mapping[str, str] = {
    "nocount": "what counts is the law's to say",
    "duty": "duties have a catalogue of their own",
}
"""Shapes that no house rule may have, and why."""

EFFECTS = frozenset({"deny", "require", "review", "defer"})
"""What a house rule may lead to: each of these only holds an act back."""

DEFAULTS: Mapping[str, Any] = {
    "grade": "house",
    "confidence": "source",
    "status": "enforced",
    "citation": "House rule of the lender",
    "source": "the lender",
}
"""What a rule says that leaves these out."""


def authored(rules: Iterable[Mapping[str, Any]], *, today: str) -> list[dict[str, Any]]:
    """Return the rules with what they leave out: a house rule's grade, and the day on which it was written."""
    return [{**DEFAULTS, "checked": today, **rule} for rule in rules]


def faults_of(
    house: str, rules: list[dict[str, Any]], enforce: Iterable[str], packs: PackSet, zone_name: str | None = None
) -> list[Fault]:
    """Return what keeps the rules of a set from being house rules; pointers are into ``{rules, enforce, zone}``.

    The rules pass every check that a shipped rule passes; besides, each bears the set's name, has a shape and an effect
    that can only hold an act back, and no rule that is not the lender's own is claimed to be law.
    """
    book = Book(frozenset(_calendars(packs)), frozenset(), packs.patterns)
    found = [Fault(f"/rules{fault.pointer}", fault.code, fault.message) for fault in validate_rules(rules, book)]
    if len(rules) > MOST_RULES:
        found.append(Fault("/rules", "out_of_range", f"at most {MOST_RULES} rules"))
    if found:
        return found
    shipped = shipped_ids(packs)
    for index, rule in enumerate(rules):
        found += _own_faults(house, rule, f"/rules/{index}", shipped)
    watched = watched_ids(packs) | {rule["id"] for rule in rules if rule["status"] == "shadow"}
    for index, ident in enumerate(enforce):
        if ident not in watched:
            found.append(Fault(f"/enforce/{index}", "unknown_shadow_rule", "no rule of that id is only watched"))
    if zone_name is not None:
        found += _zone_faults(zone_name)
    return found


def _own_faults(house: str, rule: Mapping[str, Any], at: str, shipped: frozenset[str]) -> list[Fault]:
    found = []
    if not rule["id"].startswith(f"{house}-") or rule["id"] in shipped:
        found.append(Fault(f"{at}/id", "foreign_id", f"an id of this set begins with {house}-"))
    if rule["grade"] != "house":
        found.append(Fault(f"{at}/grade", "not_house", "a house rule is of grade house"))
    if rule["shape"] in NOT_HERE:
        found.append(Fault(f"{at}/shape", "loosening_shape", NOT_HERE[rule["shape"]]))
    for name in ("effect", "pending"):
        effect = rule.get("params", {}).get(name)
        if effect is not None and effect not in EFFECTS:
            found.append(Fault(f"{at}/params/{name}", "loosening_effect", f"one of {', '.join(sorted(EFFECTS))}"))
    if rule["shape"] != "duty" and "due_days" in rule.get("params", {}):
        found.append(Fault(f"{at}/params/due_days", "loosening_effect", NOT_HERE["duty"]))
    return found


def _zone_faults(zone_name: str) -> list[Fault]:
    try:
        zone(zone_name)
    except UnknownZone:
        return [Fault("/zone", "unknown_reference", "no such zone")]
    return []


def shipped_ids(packs: PackSet) -> frozenset[str]:
    """Return the id of every shipped rule."""
    return frozenset(rule["id"] for name in packs.index for rule in packs.pack(name).data["rules"])


def watched_ids(packs: PackSet) -> frozenset[str]:
    """Return the ids of shipped rules that are only watched, which a lender may bind itself to."""
    return frozenset(
        rule["id"] for name in packs.index for rule in packs.pack(name).data["rules"] if rule["status"] == "shadow"
    )


def compiled(
    house: str,
    number: int,
    name: str,
    rules: list[dict[str, Any]],
    enforce: Iterable[str],
    packs: PackSet,
    zone_name: str | None = None,
) -> tuple[str, str]:
    """Return (text, SHA-256 in hex) of the pack that a version is, with the calendars that its rules name.

    Raises MalformedRules for rules that ``faults_of`` would refuse by their form.
    """
    every = _calendars(packs)
    params = [rule.get("params", {}) for rule in rules]
    named = {each.get(key) for each in params for key in ("holidays", "calendar")}
    if any(rule["shape"] == "overshadow" for rule in rules) or any("period" in each for each in params):
        # The validation period of Regulation F counts the business days of this one, unnamed.
        named.add("us-federal")
    text = compiled_text(
        compile_rules(
            rules,
            ident=house,
            version=str(number),
            name=name,
            zone_name=zone_name,
            calendars={each: every[each] for each in sorted(named & every.keys())},
            patterns=packs.patterns,
            enforce=tuple(enforce),
        )
    )
    return text, hashlib.sha256(text.encode()).hexdigest()


def _calendars(packs: PackSet) -> dict[str, Any]:
    return {name: years for ident in packs.index for name, years in packs.pack(ident).data["calendars"].items()}
