"""What became of each row of the law that the packs were written from: the page ``docs/coverage-of-law.md``.

The rows are data (``chalicelib/rulepacks/rows.toml``): a row becomes the rules that bear its name, or those it lists;
where it became none its ``fate`` says why.
"""

import tomllib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROW_KEYS = frozenset(("table", "id", "rules", "fate", "why"))
FATES = {
    "duty": "a duty outside a ruling",
    "engine": "how every rule is read",
    "left out": "left out",
}


def rows(path: Path) -> list[dict[str, Any]]:
    """Return every row in the order of the tables."""
    with path.open("rb") as stream:
        found: list[dict[str, Any]] = tomllib.load(stream)["row"]
    return found


def faults(listed: Sequence[Mapping[str, Any]], rules: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what rows and rules have against each other: a row without its rule, a rule without a row, a bad row."""
    known = {rule["id"] for rule in rules}
    # A house rule outside the tables says so by its name.
    wanted = {ident for ident in known if not ident.startswith("HOUSE-") and "-HOUSE-" not in ident}
    found = []
    names: set[str] = set()
    for row in listed:
        name = f"{row.get('table')} {row.get('id')}"
        if name in names or not {"table", "id"} <= row.keys() <= ROW_KEYS:
            found.append(f"{name}: stands twice, lacks a key or has an unknown one")
        names.add(name)
        if "fate" in row:
            if row["fate"] not in FATES or row.get("why", {}).keys() != {"en", "zh"}:
                found.append(f"{name}: a row that became no rule says why, in en and zh")
            if row["id"] in known or "rules" in row:
                found.append(f"{name}: has rules and says it has none")
            continue
        became = set(row.get("rules", [row["id"]]))
        found.extend(f"{name}: there is no rule {ident}" for ident in sorted(became - known))
        wanted -= became
    found.extend(f"{ident}: there is no row for this rule" for ident in sorted(wanted))
    return found


def _cell(text: str) -> str:
    return text.replace("|", "/")


def _became(row: Mapping[str, Any], parts: Mapping[str, Sequence[Mapping[str, Any]]]) -> tuple[str, str, str]:
    """Return what a row became, and the notes in English and Chinese."""
    why = row.get("why", {})
    if "fate" in row:
        return FATES[row["fate"]], why["en"], why["zh"]
    idents = row.get("rules", [row["id"]])
    states = {part["status"] for ident in idents for part in parts[ident]}
    became = "encoded" if "enforced" in states else "shadow"
    if idents != [row["id"]]:
        became += " in " + ", ".join(idents)
    notes = {language: [why[language]] if why else [] for language in ("en", "zh")}
    if not why:
        for language, said in notes.items():
            said.extend(dict.fromkeys(part["note"][language] for ident in idents for part in parts[ident]))
    return became, " ".join(notes["en"]), "".join(notes["zh"])


def page(packs: Sequence[Mapping[str, Any]], listed: Sequence[Mapping[str, Any]]) -> str:
    """Return the page: every row with what became of it, then every rule part with its dates, grade and citation."""
    parts: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for pack in packs:
        for rule in pack["rules"]:
            parts[rule["id"]].append(rule)
    lines = [
        "# Coverage of law",
        "",
        "Printed by `python -m scripts.packs --table`. First each row of the two tables of law that the packs were written",
        "from, China and elsewhere, with what became of it; then each rule part. Shadow rules are known and fire nothing.",
        "A doubt makes a rule provisional: it is enforced as read here until somebody clears it.",
    ]
    tables: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in listed:
        tables[row["table"]].append(row)
    for table, members in tables.items():
        lines += ["", f"## Table {table}", "", "| row | became | in short | 要点 |", "|---|---|---|---|"]
        for row in members:
            became, en, zh = _became(row, parts)
            lines.append(f"| {row['id']} | {became} | {_cell(en)} | {_cell(zh)} |")
    for pack in packs:
        lines += [
            "",
            f"## Rules {pack['id']}: {pack['name']}",
            "",
            "| rule | shape | in force | published | grade | confidence | status | citation | doubt |",
            "|---|---|---|---|---|---|---|---|---|",
        ]
        for rule in pack["rules"]:
            span = rule.get("from", "always")
            if rule.get("to"):
                span = f"{rule.get('from', '')} to {rule['to']}".strip()
            cells = (
                rule["id"], rule["shape"], span, rule.get("published", ""), rule["grade"], rule["confidence"],
                rule["status"], rule["citation"], rule.get("doubt", {}).get("en", ""),
            )  # fmt: skip
            lines.append("| " + " | ".join(map(_cell, cells)) + " |")
    return "\n".join(lines) + "\n"
