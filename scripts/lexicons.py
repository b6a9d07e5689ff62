"""Compile word lists: validate them and add the tables of characters and of sounds that they need.

The tables come from OpenCC (traditional to simplified characters, with the variants of Hong Kong and Taiwan) and from
pypinyin (readings), both pinned by version and digest in requirements-dev.txt. What is compiled is a part of the pack, so
the service needs neither, and a new version of either changes the pack's digest or nothing.
"""

import tomllib
from collections.abc import Iterable, Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from chalicelib.domain.compliance.lexicon import Lexicon
from chalicelib.domain.compliance.timeline import day_of

KEYS = frozenset(("list", "rule", "source", "checked", "from", "to", "words", "alike", "unlike", "lawful"))
_READINGS = 2
"""How many readings of a character count: the further ones are names of places and books of old."""


class Malformed(ValueError):
    """An authored pack that may not be shipped; the message says where and why."""


def authored(path: Path) -> dict[str, Any]:
    """Return the signs, the lists (words with their days, lawful phrases) and the ids of the rules they serve.

    Raises Malformed for an unknown or missing key, an empty list, a repeated word, or an exception for no word.
    """
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    where = f"{path.parent.name}/{path.name}"
    if not data.keys() <= {"defaults", "signs", "category"}:
        raise Malformed(f"{where}: unknown keys {sorted(data.keys() - {'defaults', 'signs', 'category'})}")
    lists: dict[str, dict[str, list[Any]]] = {}
    rules: set[str] = set()
    for table in data["category"]:
        each = {**data.get("defaults", {}), **table}
        name = f"{where} {each.get('list', '?')}"
        if not each.keys() <= KEYS or not each.keys() >= {"list", "rule", "source", "checked", "words"}:
            raise Malformed(f"{name}: keys are {sorted(each)}")
        words, alike, unlike = each["words"], each.get("alike", []), each.get("unlike", [])
        known = lists.setdefault(each["list"], {"words": [], "lawful": []})
        if not words or len(set(words)) < len(words):
            raise Malformed(f"{name}: no word, or one twice")
        rules.add(each["rule"])
        earlier = [entry["word"] for entry in known["words"]]
        if not set(alike) | set(unlike) <= set(words) | set(earlier):
            raise Malformed(f"{name}: {sorted((set(alike) | set(unlike)) - set(words))} are no words of it")
        known["words"] += [_entry(word, each, alike=alike, unlike=unlike) for word in words]
        known["lawful"] += each.get("lawful", [])
    return {"signs": dict(data.get("signs", {})), "lists": lists, "rules": rules}


def _entry(word: str, each: Mapping[str, Any], *, alike: list[str], unlike: list[str]) -> dict[str, Any]:
    entry: dict[str, Any] = {"word": word}
    for key, end in (("from", "first"), ("to", "last")):
        if isinstance(each.get(key), date):
            entry[end] = day_of(each[key].isoformat())
    if len(word) > 1 and any(map(_is_han, word)):
        entry["sounds"] = _sounds(word)
        if word in alike or (len(word) > 2 and word not in unlike):
            entry["alike"] = True
    return entry


def compiled(lists: Mapping[str, Any], *, also: Iterable[str] = ()) -> dict[str, Any]:
    """Return the lists with the tables that they need; ``also`` are other texts whose characters must be folded to."""
    words = [entry for each in lists["lists"].values() for entry in each["words"]]
    texts = [entry["word"] for entry in words]
    texts += [phrase for each in lists["lists"].values() for phrase in each["lawful"]]
    wanted = {char for text in (*texts, *also, *lists["signs"].values()) for char in text if _is_han(char)}
    sounds = {syllable for entry in words for syllable in entry.get("sounds", ())}
    whole = {
        "lists": dict(lists["lists"]),
        "signs": dict(lists["signs"]),
        "simple": _simple(frozenset(wanted)),
        "sounds": {syllable: _sounding(syllable) for syllable in sorted(sounds)},
    }
    _check(whole)
    return whole


def _check(whole: Mapping[str, Any]) -> None:
    """Raise Malformed for a word that another spelling of the same list says already, or that folds to nothing."""
    lexicon = Lexicon(whole)
    for name, each in whole["lists"].items():
        seen: dict[tuple[str, Any, Any], str] = {}
        for entry in each["words"]:
            folded = lexicon.fold(entry["word"]).text
            key = (folded, entry.get("first"), entry.get("last"))
            if not folded or key in seen:
                raise Malformed(f"{name}: {entry['word']} is {seen.get(key, 'nothing')} when folded")
            seen[key] = entry["word"]


def _is_han(char: str) -> bool:
    return "\u4e00" <= char <= "\u9fff"


def _sounds(word: str) -> list[str]:
    from pypinyin import Style, lazy_pinyin

    return list(lazy_pinyin(word, style=Style.NORMAL))


@cache
def _readings() -> Mapping[str, str]:
    """Return by syllable the characters in common use that are read so, simplified and traditional."""
    from pypinyin import Style, pinyin

    found: dict[str, list[str]] = {}
    for code in range(0x4E00, 0xA000):
        char = chr(code)
        if not (_encodes(char, "gb2312") or (_encodes(char, "big5") and char.encode("big5") < b"\xc6\x80")):
            continue
        for syllable in pinyin(char, style=Style.NORMAL, heteronym=True)[0][:_READINGS]:
            found.setdefault(syllable, []).append(char)
    return {syllable: "".join(chars) for syllable, chars in found.items()}


def _encodes(char: str, encoding: str) -> bool:
    try:
        return bool(char.encode(encoding))
    except UnicodeEncodeError:
        return False


def _sounding(syllable: str) -> str:
    return _readings().get(syllable, "")


@cache
def _forms() -> Mapping[str, str]:
    """Return each traditional or variant character with its simplified form."""
    from opencc import OpenCC

    chars = [chr(code) for code in (*range(0x3400, 0x4DC0), *range(0x4E00, 0xA000))]
    found: dict[str, str] = {}
    for conversion in ("t2s", "hk2s", "tw2s"):
        convert = OpenCC(conversion).convert
        for char in chars:
            simple = convert(char)
            if len(simple) == 1 and simple != char:
                found.setdefault(char, simple)
    return found


def _simple(wanted: frozenset[str]) -> list[str]:
    pairs = sorted((char, simple) for char, simple in _forms().items() if simple in wanted and char not in wanted)
    return ["".join(char for char, _ in pairs), "".join(simple for _, simple in pairs)]
