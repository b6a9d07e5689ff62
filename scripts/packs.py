"""Build the rule packs: validate the authored law and write the compiled form that the service reads.

python -m scripts.packs            write chalicelib/rulepacks/compiled
python -m scripts.packs --check    fail when the law is malformed or the compiled form is not what it would be
python -m scripts.packs --table    print docs/coverage-of-law.md from the packs
python -m scripts.packs --ship     keep the compiled form for good: a version that was shipped never changes again
"""

import argparse
import hashlib
import json
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from chalicelib.domain.compliance.authoring import Fault, MalformedRules, compile_rules, compiled_text
from chalicelib.domain.compliance.documents import PAST
from chalicelib.domain.compliance.packs import COMPILED, atlas_text
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


@dataclass(frozen=True)
class Past:
    """What was ever shipped: ``past/<sha256>.json`` with each pack and atlas, and the list ``past/shipped.json``.

    A pack that was compiled and never shipped decided nothing outside a developer's machine, and is not kept.
    """

    folder: Path = PAST

    def shipped(self) -> dict[str, dict[str, str]]:
        """Return SHA-256 by version by pack id; the atlas has the id ``atlas`` and its digest for a version."""
        file = self.folder / "shipped.json"
        return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}

    def check(self, files: Mapping[str, str]) -> None:
        """Raise Malformed when a shipped version would change, or a shipped document is gone or altered."""
        shipped = self.shipped()
        for ident, version, sha256, _ in _documents(files):
            known = shipped.get(ident, {}).get(version, sha256)
            if known != sha256:
                raise Malformed(f"{ident} {version} was shipped as {known[:12]}: give the changed pack a new version")
        for ident, versions in shipped.items():
            for version, sha256 in versions.items():
                file = self.folder / f"{sha256}.json"
                if not file.exists() or hashlib.sha256(file.read_bytes()).hexdigest() != sha256:
                    raise Malformed(f"{file.name}, the shipped {ident} {version}, is gone or altered")
        listed = {sha256 for versions in shipped.values() for sha256 in versions.values()}
        for path in sorted(self.folder.glob("*.json")):
            if path.name != "shipped.json" and path.stem not in listed:
                raise Malformed(f"{path.name} stands among what was shipped and never was")

    def ship(self, files: Mapping[str, str]) -> int:
        """Keep every pack and the atlas of a compiled form; return how many were new. Raises Malformed."""
        self.check(files)
        shipped, fresh = self.shipped(), 0
        self.folder.mkdir(exist_ok=True)
        for ident, version, sha256, text in _documents(files):
            if version not in shipped.setdefault(ident, {}):
                (self.folder / f"{sha256}.json").write_text(text, encoding="utf-8")
                shipped[ident][version] = sha256
                fresh += 1
        text = json.dumps(shipped, indent=1, sort_keys=True) + "\n"
        (self.folder / "shipped.json").write_text(text, encoding="utf-8")
        return fresh

    def lacks(self, files: Mapping[str, str]) -> list[str]:
        """Return what of a compiled form was not shipped yet, as ``id version``."""
        shipped = self.shipped()
        return [
            f"{ident} {version}" for ident, version, _, _ in _documents(files) if version not in shipped.get(ident, {})
        ]


def _documents(files: Mapping[str, str]) -> Iterator[tuple[str, str, str, str]]:
    """Yield (id, version, SHA-256, text) of each pack of a compiled form, and of its atlas."""
    index = json.loads(files["index.json"])
    for ident, entry in index["packs"].items():
        yield ident, entry["version"], entry["sha256"], files[entry["file"]]
    atlas = atlas_text(index["zones"])
    digest = hashlib.sha256(atlas.encode()).hexdigest()
    yield "atlas", digest, digest, atlas


def stale() -> Iterator[str]:
    """Yield the names of compiled files that are missing, superfluous or not what the law compiles to.

    Raises Malformed also when what was shipped before is not as it was.
    """
    wanted = compiled()
    Past().check(wanted)
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
    parser.add_argument("--ship", action="store_true", help="keep every pack for good, as it is compiled now")
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
        Past().check(files)
        fresh = Past().ship(files) if options.ship else None
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
    if fresh is not None:
        print(f"{fresh} of them, the atlas included, were not shipped before and are kept now")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
