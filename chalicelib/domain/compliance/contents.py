"""What the word lists find in a text before there is a case: for who writes and who approves templates."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from chalicelib.domain.compliance.packs import PackSet
from chalicelib.domain.compliance.timeline import day_of


class FoundWord(NamedTuple):
    """A word that a rule forbids: the rule, the category, the word, its place in the text in characters from 0.

    ``excusable`` tells whether a fact on file can allow it, or a person can.
    """

    rule: str
    category: str
    word: str
    at: int
    excusable: bool


def forbidden_words(text: str, countries: Iterable[str], packs: PackSet, *, on: str) -> list[FoundWord]:
    """Return what the rules of these countries on words find in a text on a date (ISO), in the order of the rules.

    Lists that concern only who may learn of a debt are left out: that depends on the addressee.
    """
    wanted, day = frozenset(countries), day_of(on)
    found: list[FoundWord] = []
    for ident, entry in packs.index.items():
        if wanted.isdisjoint(entry["countries"]):
            continue
        pack = packs.pack(ident)
        for rule in pack.data["rules"]:
            if rule["shape"] != "words" or rule["status"] != "enforced" or not _in_force(rule, on):
                continue
            params = rule["params"]
            excusable = params.get("unless") is not None or params.get("effect") == "review"
            for hit in pack.lexicon.hits(params["lexicon"], text) if "lexicon" in params else ():
                if (hit.first is None or hit.first <= day) and (hit.last is None or day <= hit.last):
                    found.append(FoundWord(rule["id"], params["lexicon"], hit.word, hit.at, excusable))
            for pattern in params.get("patterns", ()):
                match = re.search(pattern, text)
                if match is not None or re.search(pattern, pack.lexicon.scan(text)[0].text):
                    found.append(FoundWord(rule["id"], "pattern", "", match.start() if match else 0, excusable))
    return found


def _in_force(rule: dict[str, str], on: str) -> bool:
    return rule.get("from", "") <= on <= rule.get("to", "9999-12-31")
