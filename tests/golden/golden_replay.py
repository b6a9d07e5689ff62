"""Rulings of a past day with the documents that they rest on: ``python -m tests.golden.golden_replay`` writes them anew.

That is right only when the engine's format has changed (``documents.ENGINE_FORMAT``): every ruling that was archived
under the old one is then no longer replayed by this code, and says so.
"""

import json
from pathlib import Path
from typing import Any

from chalicelib.domain.audit.rulesets import parts_of
from chalicelib.domain.compliance import load_packs, rule, rule_set
from chalicelib.domain.compliance.documents import shipped_documents
from chalicelib.domain.compliance.replay import ruling_bytes
from tests.rules.casebook import dossier_of, vectors

FILE = Path(__file__).with_name("replay.json")
_PACK, _MOST = "JP", 12
_VERDICTS = ("allow", "defer", "review", "deny")


def made() -> dict[str, Any]:
    """Return some rulings of each verdict under one small pack, and the documents behind them, by digest."""
    packs, documents = load_packs(), dict[str, str]()
    kept: dict[str, list[dict[str, Any]]] = {verdict: [] for verdict in _VERDICTS}
    for vector in vectors():
        dossier = dossier_of(vector)
        ruling = rule(dossier, packs)
        named = rule_set(ruling, packs)
        if _PACK not in {pack[0] for pack in named["packs"]} or len(kept[ruling["verdict"]]) >= _MOST // 4:
            continue
        for digest, raw in shipped_documents(parts_of(named), packs).items():
            documents[digest] = raw.decode()
        kept[ruling["verdict"]].append({"dossier": dossier, "rule_set": named, "ruling": ruling_bytes(ruling).decode()})
    return {"documents": documents, "rulings": [each for listed in kept.values() for each in listed]}


if __name__ == "__main__":
    FILE.write_text(json.dumps(made(), ensure_ascii=False, indent=1, sort_keys=True) + "\n", encoding="utf-8")
