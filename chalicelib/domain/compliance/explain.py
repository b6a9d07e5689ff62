"""Reasons in the reader's language: what each rule that fired demands, what was seen, and until when it holds."""

from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.domain.compliance.packs import Pack, PackSet

_EFFECTS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "deny": "forbidden", "require": "lacking what is required", "review": "a person must decide",
        "defer": "not now", "oblige": "creates a duty", "nocount": "left out of a count",
    },
    "zh": {
        "deny": "禁止", "require": "缺少必备内容", "review": "须由人工决定", "defer": "暂缓", "oblige": "产生义务",
        "nocount": "不计入次数",
    },
}  # fmt: skip
_PARTS: Mapping[str, tuple[str, str, str, str]] = {
    "en": ("observed", "limit", "until", "missing facts: "),
    "zh": ("实际", "限值", "至", "缺少事实:"),
}


def explain(ruling: Mapping[str, Any], language: str, packs: PackSet, house: Sequence[Pack] = ()) -> list[str]:
    """Return one sentence for each rule that fired, and one for missing facts, in ``en`` or ``zh``.

    Shadow rules decide nothing and are no reason. Raises KeyError for another language, and for a ruling that names a
    pack which is neither shipped nor in ``house``.
    """
    effects = _EFFECTS[language]
    observed, limit, until, lacking = _PARTS[language]
    own = {pack.sha256: pack for pack in house}
    notes: dict[str, str] = {}
    for named in ruling["packs"]:
        pack = own.get(named["sha256"]) or packs.pack(named["id"])
        for ident, data in pack.described.items():
            notes[ident] = data["note"][language]
    sentences = []
    for fired in ruling["rules"]:
        facts = [
            f"{label} {fired[key]}"
            for label, key in ((observed, "observed"), (limit, "limit"), (until, "until"))
            if fired[key] is not None
        ]
        tail = f" ({'; '.join(facts)})" if facts else ""
        sentences.append(f"{fired['id']} [{fired['citation']}] {effects[fired['effect']]}: {notes[fired['id']]}{tail}")
    if ruling["missing"]:
        sentences.append(lacking + ", ".join(ruling["missing"]))
    return sentences
