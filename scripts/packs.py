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

from chalicelib.domain.compliance.authoring import Fault, MalformedRules, compile_rules, compiled_text
from chalicelib.domain.compliance.packs import COMPILED
from chalicelib.domain.compliance.timeline import zone
from scripts import coverage, lexicons
from scripts.lexicons import Malformed

SOURCE = COMPILED.parent

PACK_KEYS = frozenset(["id", "version", "name", "countries", "currencies", "zone", "cities", "calendars"])
NOT_RULES = frozenset(("pack.toml", "lexicon.toml"))


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
    lists = folder / "lexicon.toml"
    words = lexicons.authored(lists) if lists.exists() else None
    rules: list[dict[str, Any]] = []
    files: list[str] = []
    for path in sorted(folder.glob("*.toml")):
        if path.name in NOT_RULES:
            continue
        data = _dates_as_text(_read(path))
        if not data.keys() <= {"defaults", "rule"}:
            raise Malformed(f"{path}: unknown keys {sorted(data.keys() - {'defaults', 'rule'})}")
        for entry in data["rule"]:
            rules.append({**data.get("defaults", {}), **entry})
            files.append(path.name)
    if words is not None and not {rule.get("id") for rule in rules} >= words["rules"]:
        raise Malformed(f"{folder.name}/lexicon.toml: a category names a rule that the pack does not have")
    patterns = [pattern for rule in rules for pattern in rule.get("params", {}).get("patterns", ())]
    try:
        return compile_rules(
            rules,
            ident=pack["id"],
            version=pack["version"],
            name=pack["name"],
            countries=pack["countries"],
            currencies=pack.get("currencies", []),
            zone_name=pack.get("zone"),
            cities=pack.get("cities", {}),
            lexicon=None if words is None else lexicons.compiled(words, also=patterns),
            calendars={name: every_calendar[name] for name in wanted},
        )
    except MalformedRules as refused:
        raise Malformed("\n".join(_told(fault, folder, rules, files) for fault in refused.faults)) from refused


def _told(fault: Fault, folder: Path, rules: list[dict[str, Any]], files: list[str]) -> str:
    """Return a fault with the file and the id of the rule that its pointer leads to."""
    index = fault.pointer.split("/")[1] if fault.pointer else ""
    if not index.isdecimal():
        return f"{folder.name}: {fault.message}"
    number = int(index)
    return f"{folder.name}/{files[number]} {rules[number].get('id', '?')} {fault.pointer}: {fault.message}"


def compiled() -> dict[str, str]:
    """Return the text of every compiled file by its name. Raises Malformed."""
    every_calendar = calendars()
    files: dict[str, str] = {}
    index: dict[str, Any] = {}
    for path in sorted(SOURCE.glob("*/pack.toml")):
        pack = authored(path.parent, every_calendar)
        name = f"{pack['id'].lower()}.json"
        text = compiled_text(pack)
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
    """Return the page that lists every row of law with what became of it, and every rule part. Raises Malformed."""
    every_calendar = calendars()
    packs = [authored(path.parent, every_calendar) for path in sorted(SOURCE.glob("*/pack.toml"))]
    listed = coverage.rows(SOURCE / "rows.toml")
    wrong = coverage.faults(listed, [rule for pack in packs for rule in pack["rules"]])
    if wrong:
        raise Malformed("rows.toml: " + "; ".join(wrong))
    return coverage.page(packs, listed)


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
