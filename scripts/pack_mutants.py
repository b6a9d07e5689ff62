"""Mutants of the rule packs: the law with one thing changed, each to be told from the law by a vector.

A mutant leaves out a rule or changes one constant, condition, list element, flag, effect or date of it, or one thing of
its pack. A change that the form of rules refuses is no mutant: such a pack could not be built.
"""

import copy
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any, NamedTuple

from chalicelib.domain.compliance.authoring import PARAMS, Book, validate_rules
from chalicelib.domain.compliance.counts import UNITS
from chalicelib.domain.compliance.shapes import SHAPES

Rule = dict[str, Any]


class Mutant(NamedTuple):
    """One changed pack: ``place`` of the rule that ``rule`` replaces (None leaves it out), or what ``pack`` changes."""

    name: str
    pack_id: str
    place: int | None
    rule: Rule | None
    pack: Mapping[str, Any]


OTHERWISE: Mapping[str, tuple[Any, ...]] = {
    "absent": ("pass", "review"),
    "absent_end": ("pass", "review"),
    "after": ("deny", "review"),
    "before": ("deny", "defer", "review"),
    "by": ("org", "lender", "all"),
    "chapter": (7, 11, 12, 13),
    "effect": ("deny", "review"),
    "only": ("home", "work", "other"),
    "only_place": ("home", "work", "other"),
    "pending": ("deny", "defer"),
    "per": ("all", "debt", "product", "creditor"),
    "period": ("validation", "late"),
    "place": ("work", "elsewhere"),
    "unit": tuple(UNITS),
    "unless": ("docket", "law_firm", "litigation"),
    "who": ("recipient", "household", "owing", "anybody"),
    "window": ("ever", "month"),
    "hold.whose": ("case", "recipient", "others"),
    "notice.whose": ("debtor", "recipient", "anybody"),
    "hours.mode": ("window", "conflict", "reply_used"),
    "preference.mode": ("window", "reply_used"),
    "lost_contact.mode": ("gate", "reopened"),
}
"""What a parameter with few values is changed to; lists of values that mean the same to a rule are left shorter."""

WORDS_ALONE = frozenset(("because", "path", "lexicon", "calendar", "holidays", "country", "what"))
"""Parameters that name something: changing the name is a fault of building, or changes no ruling but its text."""

LOOSENING = (
    "agreed", "direct", "limited_free", "one_reply", "partial", "reply_allowed", "reply_once", "request",
    "unless_granted", "unless_surrendered", "unless_volunteered",
)  # fmt: skip
"""Flags that are tried where a rule does not have them, because a rule would be looser or stricter with them."""


def _shifted_clock(text: str, minutes: int) -> str:
    value = int(text[:2]) * 60 + int(text[3:]) + minutes
    return f"{value // 60:02d}:{value % 60:02d}"


def _changed(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield each small change of a value with its name; a list gives one change for each element left out."""
    if isinstance(value, bool):
        yield f"{value} to {not value}", not value
    elif isinstance(value, int):
        for other in (value - 1, value + 1):
            yield f"{value} to {other}", other
    elif isinstance(value, float):
        for near in (round(value - 0.01, 6), round(value + 0.01, 6)):
            yield f"{value} to {near}", near
    elif isinstance(value, str) and len(value) == 5 and value[2] == ":" and value != "24:00":
        for minutes in (-1, 1):
            if value != "00:00" or minutes > 0:
                yield f"{value} by {minutes:+d} minute", _shifted_clock(value, minutes)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            if len(value) > 1 and not (len(value) == 2 and isinstance(item, str) and item[2:3] == ":"):
                rest = value[:index] + value[index + 1 :]
                yield f"without {item if isinstance(item, (str, int)) else index}", rest
            if isinstance(item, (list, dict)) or (isinstance(item, str) and item[2:3] == ":"):
                for name, other in _changed(item):
                    yield f"{index} {name}", [*value[:index], other, *value[index + 1 :]]
    elif isinstance(value, dict):
        for key, item in value.items():
            for name, other in _changed(item):
                yield f"{key} {name}", {**value, key: other}


def _of_params(rule: Rule) -> Iterator[tuple[str, Rule]]:
    shape = rule["shape"]
    params: dict[str, Any] = rule["params"]
    takes = SHAPES[shape].needs | SHAPES[shape].takes
    for key, value in params.items():
        if key in WORDS_ALONE or key in ("from", "to"):
            continue
        changes: list[tuple[str, Any]] = []
        choices = OTHERWISE.get(f"{shape}.{key}") or OTHERWISE.get(key)
        if choices is not None and f"{shape}.{key}" not in PARAMS or (choices and f"{shape}.{key}" in OTHERWISE):
            changes = [(f"{value} to {other}", other) for other in choices or () if other != value]
        else:
            changes = list(_changed(value))
        for name, other in changes:
            yield f"{key} {name}", {**rule, "params": {**params, key: other}}
        if key not in SHAPES[shape].needs and not isinstance(value, bool):
            yield f"no {key}", {**rule, "params": {name: other for name, other in params.items() if name != key}}
    for key in LOOSENING:
        # Whom an agreement was made with matters only to a rule that looks at agreements.
        if key in takes and key not in params and (key != "direct" or params.get("agreed")):
            yield f"{key} added", {**rule, "params": {**params, key: True}}
    if "effect" in takes and "effect" not in params:
        yield "effect review", {**rule, "params": {**params, "effect": "review"}}


def _of_conditions(rule: Rule) -> Iterator[tuple[str, Rule]]:
    when: dict[str, list[str]] = rule.get("when", {})
    for key, condition in when.items():
        yield f"when not {key}", {**rule, "when": {name: other for name, other in when.items() if name != key}}
        for value in condition if len(condition) > 1 else ():
            rest = [other for other in condition if other != value]
            yield f"when {key} without {value}", {**rule, "when": {**when, key: rest}}


def _of_dates(rule: Rule) -> Iterator[tuple[str, Rule]]:
    for key in ("from", "to"):
        if key in rule:
            day = date.fromisoformat(rule[key])
            for days in (-1, 1):
                yield f"{key} by {days:+d} day", {**rule, key: (day + timedelta(days)).isoformat()}
            yield f"no {key}", {name: value for name, value in rule.items() if name != key}
    other = "shadow" if rule["status"] == "enforced" else "enforced"
    if other == "enforced":
        yield "enforced", {**rule, "status": other}


def _of_pack(pack: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for key in ("countries", "currencies"):
        for value in pack[key]:
            yield f"{key} without {value}", {key: [other for other in pack[key] if other != value]}
    for code, city in pack["cities"].items():
        for key in ("names", "postal_prefixes"):
            for value in city[key]:
                rest = {**city, key: [other for other in city[key] if other != value]}
                yield f"{code} {key} without {value}", {"cities": {**pack["cities"], code: rest}}
    if "cn-quiet" in pack["calendars"]:
        quiet = pack["calendars"]["cn-quiet"]
        for year, days in quiet.items():
            for day in days:
                rest = {**quiet, year: [other for other in days if other != day]}
                yield f"calendar cn-quiet without {day}", {"calendars": {**pack["calendars"], "cn-quiet": rest}}


def mutants(pack: Mapping[str, Any]) -> Iterator[Mutant]:
    """Yield every mutant of a compiled pack that could be built, each name once."""
    ident = pack["id"]
    book = Book(frozenset(pack["calendars"]), frozenset(pack["lexicon"]["lists"]))
    parts: Counter[str] = Counter()
    for index, rule in enumerate(pack["rules"]):
        where = f"{ident}/{rule['id']}#{parts[rule['id']]} {rule['shape']}"
        parts[rule["id"]] += 1
        yield Mutant(f"{where}: removed", ident, index, None, {})
        seen = {json.dumps(rule, sort_keys=True)}
        for source in (_of_params, _of_conditions, _of_dates):
            for name, changed in source(copy.deepcopy(rule)):
                text = json.dumps(changed, sort_keys=True)
                if text not in seen and not validate_rules([changed], book):
                    seen.add(text)
                    yield Mutant(f"{where}: {name}", ident, index, changed, {})
    for name, other in _of_pack(pack):
        yield Mutant(f"{ident}: {name}", ident, None, None, other)
