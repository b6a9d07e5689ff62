"""Build the rule packs: validate the authored law and write the compiled form that the service reads.

python -m scripts.packs            write chalicelib/rulepacks/compiled
python -m scripts.packs --check    fail when the law is malformed or the compiled form is not what it would be
python -m scripts.packs --table    print docs/coverage-of-law.md from the packs
"""

import argparse
import hashlib
import json
import sys
import tomllib
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from chalicelib.domain.compliance import form
from chalicelib.domain.compliance.packs import COMPILED, KEYS
from chalicelib.domain.compliance.shapes import SHAPES
from chalicelib.domain.compliance.timeline import zone

SOURCE = COMPILED.parent

RULE_KEYS = frozenset(
    [
        "id",
        "shape",
        "params",
        "when",
        "citation",
        "source",
        "grade",
        "confidence",
        "status",
        "from",
        "to",
        "published",
        "checked",
        "note",
    ]
)
NEEDED = frozenset(["id", "shape", "citation", "source", "grade", "confidence", "status", "checked", "note"])
GRADES = frozenset(
    [
        "statute",
        "regulation",
        "presumption",
        "standard",
        "self-regulation",
        "guideline",
        "code",
        "platform",
        "house",
        "case-law",
        "draft",
    ]
)
CONFIDENCES = frozenset(("source", "memory", "memory-weak", "infer"))
STATUSES = frozenset(("enforced", "shadow"))
PACK_KEYS = frozenset(["id", "version", "name", "countries", "currencies", "zone", "cities", "words", "calendars"])
VALUES: Mapping[str, frozenset[str]] = {
    "channel": form.CHANNELS,
    "purpose": form.PURPOSES,
    "dialler": form.DIALLERS,
    "actor": form.ORG_ROLES,
    "to": form.ROLES,
    "product": form.PRODUCTS,
    "creditor_kind": form.CREDITOR_KINDS,
    "creditor_role": form.ORG_ROLES,
    "point_kind": form.POINT_KINDS,
    "point_place": form.PLACES | {"unstated"},
}


class Malformed(ValueError):
    """An authored pack that may not be shipped; the message says where and why."""


def _read(path: Path) -> dict[str, Any]:
    with path.open("rb") as stream:
        return tomllib.load(stream)


def _dates_as_text(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict):
        return {key: _dates_as_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_dates_as_text(item) for item in value]
    return value


def calendars() -> dict[str, dict[str, list[str]]]:
    """Return every authored calendar by name: year to dates. Raises Malformed for a date outside its year."""
    found: dict[str, dict[str, list[str]]] = {}
    for path in sorted((SOURCE / "calendars").glob("*.toml")):
        data = _dates_as_text(_read(path))
        for year, dates in data["years"].items():
            if any(not text.startswith(f"{year}-") for text in dates):
                raise Malformed(f"{path.name}: a date outside {year}")
        found[path.stem] = {year: sorted(dates) for year, dates in sorted(data["years"].items())}
    return found


def check_rule(rule: Mapping[str, Any], where: str, known_calendars: frozenset[str], words: frozenset[str]) -> None:
    """Raise Malformed unless a rule has every needed key, none that is unknown, and values its shape takes."""
    name = f"{where} {rule.get('id', '?')}"
    if not rule.keys() <= RULE_KEYS:
        raise Malformed(f"{name}: unknown keys {sorted(rule.keys() - RULE_KEYS)}")
    if not rule.keys() >= NEEDED:
        raise Malformed(f"{name}: lacks {sorted(NEEDED - rule.keys())}")
    for key, allowed in (("grade", GRADES), ("confidence", CONFIDENCES), ("status", STATUSES)):
        if rule[key] not in allowed:
            raise Malformed(f"{name}: {key} {rule[key]!r} is not one of {sorted(allowed)}")
    if not rule["citation"].strip() or not rule["source"].strip():
        raise Malformed(f"{name}: citation and source may not be empty")
    if rule["note"].keys() != {"en", "zh"} or not all(text.strip() for text in rule["note"].values()):
        raise Malformed(f"{name}: a note in en and zh is needed")
    if rule["confidence"] == "memory-weak" and rule["status"] == "enforced" and "reading" not in rule["note"]["en"]:
        raise Malformed(f"{name}: weakly remembered law may be enforced only where the note says on which reading")
    shape = SHAPES.get(rule["shape"])
    if shape is None:
        raise Malformed(f"{name}: no shape {rule['shape']!r}")
    params = rule.get("params", {})
    if not params.keys() <= shape.needs | shape.takes:
        raise Malformed(f"{name}: shape {rule['shape']} takes no {sorted(params.keys() - shape.needs - shape.takes)}")
    if not params.keys() >= shape.needs:
        raise Malformed(f"{name}: shape {rule['shape']} needs {sorted(shape.needs - params.keys())}")
    for key, condition in rule.get("when", {}).items():
        plain = key.removeprefix("not_")
        if plain not in KEYS or not isinstance(condition, list) or not condition:
            raise Malformed(f"{name}: when.{key} is unknown or no list")
        if plain in VALUES and not VALUES[plain].issuperset(condition):
            raise Malformed(f"{name}: when.{key} holds {sorted(set(condition) - VALUES[plain])}")
    for key in ("holidays", "calendar"):
        if key in params and params[key] not in known_calendars:
            raise Malformed(f"{name}: no calendar {params[key]!r}")
    if "lexicon" in params and params["lexicon"] not in words:
        raise Malformed(f"{name}: no word list {params['lexicon']!r}")
    shape.build(params)


def authored(folder: Path, every_calendar: Mapping[str, Any]) -> dict[str, Any]:
    """Return one pack as it is compiled, validated. Raises Malformed."""
    pack = _dates_as_text(_read(folder / "pack.toml"))
    if not pack.keys() <= PACK_KEYS:
        raise Malformed(f"{folder.name}: unknown keys {sorted(pack.keys() - PACK_KEYS)}")
    if pack.get("zone"):
        zone(pack["zone"])
    wanted = pack.get("calendars", [])
    if not set(wanted) <= every_calendar.keys():
        raise Malformed(f"{folder.name}: unknown calendars {sorted(set(wanted) - every_calendar.keys())}")
    words = pack.get("words", {})
    rules: list[dict[str, Any]] = []
    for path in sorted(folder.glob("*.toml")):
        if path.name == "pack.toml":
            continue
        data = _dates_as_text(_read(path))
        if not data.keys() <= {"defaults", "rule"}:
            raise Malformed(f"{path}: unknown keys {sorted(data.keys() - {'defaults', 'rule'})}")
        for entry in data["rule"]:
            rule = {**data.get("defaults", {}), **entry}
            if rule.get("from") and rule.get("to") and rule["from"] > rule["to"]:
                raise Malformed(f"{folder.name}/{path.name} {rule['id']}: ends before it begins")
            check_rule(rule, f"{folder.name}/{path.name}", frozenset(wanted), frozenset(words))
            rules.append({**rule, "params": rule.get("params", {})})
    rules.sort(key=lambda rule: (rule["id"], rule.get("from", ""), json.dumps(rule, sort_keys=True)))
    return {
        "id": pack["id"],
        "version": pack["version"],
        "name": pack["name"],
        "countries": pack["countries"],
        "currencies": pack.get("currencies", []),
        "zone": pack.get("zone"),
        "cities": pack.get("cities", {}),
        "words": words,
        "calendars": {name: every_calendar[name] for name in wanted},
        "rules": rules,
    }


def compiled() -> dict[str, str]:
    """Return the text of every compiled file by its name. Raises Malformed."""
    every_calendar = calendars()
    files: dict[str, str] = {}
    index: dict[str, Any] = {}
    for path in sorted(SOURCE.glob("*/pack.toml")):
        pack = authored(path.parent, every_calendar)
        name = f"{pack['id'].lower()}.json"
        text = json.dumps(pack, ensure_ascii=False, sort_keys=True, separators=(",", ":")) + "\n"
        files[name] = text
        index[pack["id"]] = {
            "file": name,
            "version": pack["version"],
            "countries": pack["countries"],
            "currencies": pack["currencies"],
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
        }
    zones = _read(SOURCE / "zones.toml")
    for listed in (*zones["countries"].values(), *zones["regions"].values()):
        for each in listed:
            zone(each)
    files["index.json"] = json.dumps({"packs": index, "zones": zones}, sort_keys=True, separators=(",", ":")) + "\n"
    return files


def stale() -> Iterator[str]:
    """Yield the names of compiled files that are missing, superfluous or not what the law compiles to."""
    wanted = compiled()
    present = {path.name for path in COMPILED.glob("*.json")} if COMPILED.is_dir() else set()
    yield from sorted(present - wanted.keys())
    for name, text in wanted.items():
        if name not in present or (COMPILED / name).read_text(encoding="utf-8") != text:
            yield name


def table() -> str:
    """Return the page that lists every rule with its shape, dates, grade, status and citation."""
    every_calendar = calendars()
    lines = [
        "# Coverage of law",
        "",
        "Printed by `python -m scripts.packs --table`. One row a rule part; shadow rules are known and fire nothing.",
    ]
    for path in sorted(SOURCE.glob("*/pack.toml")):
        pack = authored(path.parent, every_calendar)
        lines += [
            "",
            f"## {pack['id']}: {pack['name']}",
            "",
            "| rule | shape | in force | grade | confidence | status | citation |",
            "|---|---|---|---|---|---|---|",
        ]
        for rule in pack["rules"]:
            span = (
                f"{rule.get('from', '')} to {rule.get('to', '')}".strip()
                if rule.get("to")
                else rule.get("from", "always")
            )
            lines.append(
                f"| {rule['id']} | {rule['shape']} | {span} | {rule['grade']} | {rule['confidence']} | {rule['status']} | {rule['citation']} |"
            )
    return "\n".join(lines) + "\n"


def main() -> int:
    """Build, check or list; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--check", action="store_true", help="write nothing, fail when something would change")
    parser.add_argument("--table", action="store_true", help="print the coverage of law")
    options = parser.parse_args()
    try:
        if options.table:
            sys.stdout.write(table())
            return 0
        if options.check:
            names = list(stale())
            for name in names:
                print(f"stale: {name}")
            return 1 if names else 0
        files = compiled()
    except Malformed as fault:
        print(fault, file=sys.stderr)
        return 1
    COMPILED.mkdir(exist_ok=True)
    for path in COMPILED.glob("*.json"):
        if path.name not in files:
            path.unlink()
    for name, text in files.items():
        (COMPILED / name).write_text(text, encoding="utf-8")
    print(f"{len(files) - 1} packs compiled")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
