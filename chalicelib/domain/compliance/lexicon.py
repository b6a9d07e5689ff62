"""Forbidden words in a text, however they are written: which category, which word, where.

A text is folded (compatibility forms, case, accents, look-alike letters, traditional characters, signs and spaces inside
words) and each word is looked for as it is written and as it sounds. The words, and the small tables of characters and
of sounds that they need, are data of the pack and stand under its digest, so a ruling reads the same text the same way
for ever; nothing here reads a dictionary of its own.
"""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

# Letters of other scripts (and one sign) that look like a Latin one, and digits that stand for one inside a word.
_LOOKS = {
    "a": "аαɑ@", "c": "сϲᴄ", "d": "ԁ", "e": "еεҽ", "g": "ɡց", "h": "һн", "i": "іιıӏ", "j": "јϳ", "k": "кκ", "l":
    "ℓ", "m": "м", "n": "пηո", "o": "оοօ", "p": "рρ", "q": "ԛ", "r": "г", "s": "ѕ", "t": "тτ", "u": "υս", "v":
    "ν", "w": "ԝω", "x": "хχ", "y": "уγ",
}  # fmt: skip
_ALIKE = str.maketrans({look: letter for letter, looks in _LOOKS.items() for look in looks})
_SPELT = str.maketrans("0135", "oies")
_BOXED = ((0x1F150, 0x1F169), (0x1F170, 0x1F189), (0x1F1E6, 0x1F1FF))
"""Letters in circles and boxes and the halves of flags, which no normalisation form takes apart."""

_REMEMBERED = 256
"""How many texts a lexicon remembers what it found in."""

_LONG = 6
"""From so many letters on, a word spelt by its sounds is also seen in the middle of a run of letters."""

_SHORT = 4
"""A word of fewer letters than this counts only when it is a whole word: ``qq``, ``owe``."""


NO_WORDS: Mapping[str, Any] = {"lists": {}, "simple": ("", ""), "signs": {}, "sounds": {}}
"""The compiled form of no lists at all."""


def _is_latin(char: str) -> bool:
    return "a" <= char <= "z"


def _is_han(char: str) -> bool:
    return "\u3400" <= char <= "\u9fff" or char == "\u3007"


def _plain(char: str) -> str:
    """Return a character as words are compared: lower case, without marks, "" for what only separates or decorates."""
    code = ord(char)
    for first, last in _BOXED:
        if first <= code <= last:
            return chr(ord("a") + code - first)
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKD", char).lower().translate(_ALIKE)))


class Folded(NamedTuple):
    """A folded text. ``at`` gives each character's place in the original; ``fresh`` marks those after a gap.

    ``tones`` tells whether a letter of the original carried an accent, as spelt-out Chinese does.
    """

    text: str
    at: tuple[int, ...]
    fresh: tuple[bool, ...]
    tones: bool


class Hit(NamedTuple):
    """One word that was found: the word of the list, its place in the original text, and the days it is forbidden.

    ``way`` is ``word`` or ``sound``. ``first`` and ``last`` are days since 1970, None where there is no such end.
    """

    word: str
    at: int
    way: str
    first: int | None
    last: int | None


class _Word(NamedTuple):
    text: str
    written: str
    first: int | None
    last: int | None
    sounds: tuple[str, ...]
    alike: bool


class Lexicon:
    """The word lists of one pack, ready to look."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        """Take the compiled form: ``lists``, and the tables ``simple``, ``signs`` and ``sounds``; each word has two sounds or more."""
        self._data = data
        self.names = frozenset(data["lists"])
        # Seldom is a text other than known characters, so most of the work is one look into this table.
        self._plain: dict[str, str] = dict(data["signs"])
        self._simple = str.maketrans(*data["simple"])
        self._words: dict[str, tuple[_Word, ...]] = {}
        self._lawful: dict[str, tuple[str, ...]] = {}
        for name, entries in data["lists"].items():
            self._words[name] = tuple(_word(self.fold(each["word"]).text, each) for each in entries["words"])
            self._lawful[name] = tuple(self.fold(phrase).text for phrase in entries["lawful"])
        self._begin: dict[tuple[str, ...], list[_Word]] = {}
        self._spelt: dict[str, list[tuple[str, str]]] = {}
        self.scan = lru_cache(maxsize=_REMEMBERED)(self._scan)

    def fold(self, text: str) -> Folded:
        """Return the text as the lists see it.

        >>> Lexicon({"lists": {}, "simple": ["後負", "后负"], "signs": {}, "sounds": {}}).fold("後 果.自-負！").text
        '后果自负'
        """
        chars: list[str] = []
        at: list[int] = []
        fresh: list[bool] = []
        gap, tones, known = True, False, self._plain
        for place, char in enumerate(text):
            plain = known.get(char)
            if plain is None:
                plain = known[char] = _plain(char).translate(self._simple)
            if not plain:
                gap = True
                tones = tones or unicodedata.category(char) == "Mn"
                continue
            for part in plain:
                chars.append(part)
                at.append(place)
                fresh.append(gap)
                gap = False
            tones = tones or (_is_latin(plain) and unicodedata.decomposition(char).startswith("0"))
        return Folded("".join(chars), tuple(at), tuple(fresh), tones)

    def hits(self, name: str, text: str) -> tuple[Hit, ...]:
        """Return the words of a list that the text holds, each at its first place, in the order of the list."""
        return self.scan(text)[1].get(name, ())

    def _scan(self, text: str) -> tuple[Folded, Mapping[str, tuple[Hit, ...]]]:
        """Return the folded text and what every list finds in it. (Called as ``scan``, which remembers.)"""
        folded = self.fold(text)
        plain, heard = folded.text, self._heard(folded)
        found: dict[str, tuple[Hit, ...]] = {}
        for name, words in self._words.items():
            seen = [word for word in words if heard or word.written in plain]
            if not seen:
                continue
            lawful = tuple(_spans(plain, self._lawful[name]))
            hits = []
            for word in seen:
                places = [(*span, "word") for span in _written(folded, word.written)]
                places += [(*span, "sound") for span in heard.get(word, ())]
                for start, end, way in places:
                    if not any(first <= start and end <= last for first, last in lawful):
                        hits.append(Hit(word.text, folded.at[start], way, word.first, word.last))
                        break
            if hits:
                found[name] = tuple(hits)
        return folded, found

    # By sound

    @cached_property
    def _sounds(self) -> dict[str, tuple[str, ...]]:
        """The sounds of each character. Also notes how they are spelt and with which two each word begins."""
        sounds: dict[str, tuple[str, ...]] = {}
        for syllable, chars in self._data["sounds"].items():
            for char in chars:
                sounds[char] = (*sounds.get(char, ()), syllable)
            for spelling in _spellings(syllable):
                self._spelt.setdefault(spelling[0], []).append((spelling, syllable))
        for words in self._words.values():
            for word in words:
                if word.sounds:
                    self._begin.setdefault(word.sounds[:2], []).append(word)
        return sounds

    def _heard(self, folded: Folded) -> dict[_Word, list[tuple[int, int]]]:
        """Return where words are spelt by their sounds, in letters or in characters that sound alike."""
        text = folded.text
        # A text in another language may hold the same letters as a spelt-out word.
        if not (folded.tones or any(map(_is_han, text))):
            return {}
        sounds, spelt = self._sounds, text.translate(_SPELT)
        steps = [self._steps(sounds, text, spelt, place) for place in range(len(text))] + [()]
        found: dict[_Word, list[tuple[int, int]]] = {}
        for start in range(len(text)):
            for first, middle in steps[start]:
                for second, after in steps[middle]:
                    for word in self._begin.get((first, second), ()):
                        for end in _rest(steps, after, word.sounds[2:]):
                            if self._counts(folded, start, end, word):
                                found.setdefault(word, []).append((start, end))
        return found

    def _steps(
        self, sounds: Mapping[str, tuple[str, ...]], text: str, spelt: str, place: int
    ) -> tuple[tuple[str, int], ...]:
        """Return every sound that may begin at a place, with the place after it."""
        char = spelt[place]
        if _is_latin(char):
            spelt_so = self._spelt.get(char, ())
            return tuple((sound, place + len(each)) for each, sound in spelt_so if spelt.startswith(each, place))
        return tuple((sound, place + 1) for sound in sounds.get(text[place], ()))

    def _counts(self, folded: Folded, start: int, end: int, word: _Word) -> bool:
        """Tell whether what sounds alike is meant: characters alone only where the list says so, letters as a word."""
        text = folded.text
        letters = sum(not _is_han(char) for char in text[start:end])
        if letters == 0:
            return word.alike
        if letters == end - start and letters >= _LONG:
            return True
        begins = folded.fresh[start] or _is_han(text[start]) or not _is_latin(text[start - 1])
        ends = end == len(text) or folded.fresh[end] or _is_han(text[end - 1]) or not _is_latin(text[end])
        return begins and ends


def _word(written: str, entry: Mapping[str, Any]) -> _Word:
    return _Word(
        entry["word"],
        written,
        entry.get("first"),
        entry.get("last"),
        tuple(entry.get("sounds", ())),
        bool(entry.get("alike")),
    )


def _rest(steps: Sequence[tuple[tuple[str, int], ...]], place: int, sounds: tuple[str, ...]) -> Iterator[int]:
    """Yield every place at which these sounds are over, when they begin at a place."""
    if not sounds:
        yield place
        return
    for sound, after in steps[place]:
        if sound == sounds[0]:
            yield from _rest(steps, after, sounds[1:])


def _spellings(syllable: str) -> tuple[str, ...]:
    """Return how a sound is spelt in letters: with ``v`` for ``ü`` there are several ways."""
    if "v" not in syllable[1:]:
        return (syllable,)
    return (syllable, syllable.replace("v", "u"), syllable.replace("v", "yu"))


def _starts(text: str, part: str) -> Iterator[int]:
    """Yield every place at which a part of a text begins, also inside another such part."""
    start = text.find(part)
    while start >= 0:
        yield start
        start = text.find(part, start + 1)


def _spans(text: str, phrases: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    for phrase in phrases:
        for start in _starts(text, phrase):
            yield start, start + len(phrase)


def _written(folded: Folded, written: str) -> Iterator[tuple[int, int]]:
    """Yield where a word stands: letters from the beginning of a word, few letters to its end too."""
    text = folded.text
    for start in _starts(text, written):
        end = start + len(written)
        whole = folded.fresh[start] or not (_is_latin(written[0]) and _is_latin(text[start - 1]))
        if whole and len(written) < _SHORT and _is_latin(written[-1]):
            whole = end == len(text) or folded.fresh[end] or not _is_latin(text[end])
        if whole:
            yield start, end
