"""C2SP tlog-policy and tlog-cosignature: who must have seen a log, and the lines by which they say that they have.

A policy names witnesses and a quorum of them. A witness signs a note's text with the time at which it was the newest that it
had seen of the log (``cosignature/v1``, Ed25519, type 0x04).
"""

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519

from chalicelib.domain.audit.notes import DASH, KEY_ID_BYTES, Malformed, NoteKey, key_from_vkey, strict_bytes

COSIGNATURE = 0x04
NOBODY = "none"
"""The quorum that asks for no witness."""

MOST_POLICY_BYTES = 16_384
MOST_OF_A_KIND = 32
"""How many logs, witnesses or groups a policy names at most."""

CLOCK_SKEW = timedelta(minutes=5)
"""How far a witness's clock may be ahead."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_TIMESTAMP_BYTES, _SIGNATURE_BYTES = 8, 64


@dataclass(frozen=True, slots=True)
class Witness:
    """A witness: its ``name`` in the policy, the ``signer`` its lines carry, its key, and where it is asked (None: nowhere)."""

    name: str
    signer: str
    public: bytes
    url: str | None

    @property
    def key_id(self) -> bytes:
        """Return the four bytes by which a line names the key."""
        return hashlib.sha256(self.signer.encode() + b"\n" + bytes([COSIGNATURE]) + self.public).digest()[:KEY_ID_BYTES]

    @property
    def vkey(self) -> str:
        """Return the verifier key ``<signer>+<key id, hex>+<base64 of type and key>``."""
        return f"{self.signer}+{self.key_id.hex()}+{base64.b64encode(bytes([COSIGNATURE]) + self.public).decode()}"

    def cosigned(self, text: str, line: str, *, now: datetime) -> bool:
        """Tell whether the line (without its end) is this witness's cosignature of the note text, made before ``now``.

        A clock five minutes ahead is borne.
        """
        name, space, encoded = line.removeprefix(DASH).partition(" ")
        if not line.startswith(DASH) or not space or name != self.signer:
            return False
        try:
            raw = strict_bytes(encoded)
        except Malformed:
            return False
        if raw[:KEY_ID_BYTES] != self.key_id or len(raw) != KEY_ID_BYTES + _TIMESTAMP_BYTES + _SIGNATURE_BYTES:
            return False
        at = int.from_bytes(raw[KEY_ID_BYTES : KEY_ID_BYTES + _TIMESTAMP_BYTES], "big")
        if not 0 < at <= (now + CLOCK_SKEW).timestamp():
            return False
        try:
            ed25519.Ed25519PublicKey.from_public_bytes(self.public).verify(raw[-_SIGNATURE_BYTES:], message(text, at))
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class WitnessAnswer:
    """What a witness answered when it was shown a note: HTTP status, media type, body."""

    status: int
    media_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Policy:
    """Logs, witnesses, groups (least number, members) by name, and the quorum, as the file gives them."""

    logs: tuple[NoteKey, ...]
    witnesses: tuple[Witness, ...]
    groups: dict[str, tuple[int, tuple[str, ...]]]
    quorum: str

    def satisfied(self, signed: Iterable[str]) -> bool:
        """Tell whether the witnesses with these names are a quorum."""
        seen = {NOBODY, *signed}
        for name, (least, members) in self.groups.items():
            # A group names only what stands above it, so its members are judged already.
            if sum(member in seen for member in members) >= least:
                seen.add(name)
        return self.quorum in seen


def message(text: str, at: int) -> bytes:
    """Return what a witness signs at a POSIX second over a note's text."""
    return f"cosignature/v1\ntime {at}\n{text}".encode()


def parse_policy(text: str) -> Policy:
    """Return the policy. Raises Malformed, naming the line, for anything that tlog-policy does not allow.

    Names of witnesses and groups are narrower than there, because they become names of files: ASCII letters, digits, dot,
    underscore and dash.
    """
    if len(text.encode()) > MOST_POLICY_BYTES or any(letter < " " and letter not in "\t\n" for letter in text):
        raise Malformed("the policy is too long, or has control characters")
    reading = _Reading()
    for number, words in _lines(text):
        try:
            reading.take(words)
        except Malformed as error:
            raise Malformed(f"line {number}: {error}") from error
    return reading.done()


class _Reading:
    """A policy while it is read."""

    def __init__(self) -> None:
        self._logs: list[NoteKey] = []
        self._witnesses: list[Witness] = []
        self._groups: dict[str, tuple[int, tuple[str, ...]]] = {}
        self._members: set[str] = set()
        self._quorum: str | None = None

    def take(self, words: list[str]) -> None:
        match words:
            case ["log", vkey] | ["log", vkey, _]:
                self._log(vkey)
            case ["witness", name, vkey, *url] if len(url) <= 1:
                self._witness(name, vkey, url[0] if url else None)
            case ["group", name, least, _, *_]:
                self._group(name, least, words[3:])
            case ["quorum", name]:
                if self._quorum is not None:
                    raise Malformed("there is a quorum already")
                if name != NOBODY and name not in self._names():
                    raise Malformed(f"nobody above is called {name}")
                self._quorum = name
            case _:
                raise Malformed("a line is log, witness, group or quorum with what belongs to it")

    def done(self) -> Policy:
        if self._quorum is None:
            raise Malformed("a policy says what its quorum is")
        return Policy(tuple(self._logs), tuple(self._witnesses), self._groups, self._quorum)

    def _names(self) -> set[str]:
        return {witness.name for witness in self._witnesses} | self._groups.keys()

    def _new(self, name: str, kind: int) -> None:
        if not _NAME.fullmatch(name) or name == NOBODY:
            raise Malformed("a name is 1 to 64 letters, digits, dots, underscores and dashes, and not none")
        if name in self._names():
            raise Malformed(f"{name} is named twice")
        if kind >= MOST_OF_A_KIND:
            raise Malformed(f"there are more than {MOST_OF_A_KIND}")

    def _log(self, vkey: str) -> None:
        key = key_from_vkey(vkey)
        if key.vkey != vkey:
            raise Malformed("the key is not written in its one form")
        if any(key.spki == known.spki for known in self._logs) or len(self._logs) >= MOST_OF_A_KIND:
            raise Malformed("the log's key stands twice, or there are too many")
        self._logs.append(key)

    def _witness(self, name: str, vkey: str, url: str | None) -> None:
        self._new(name, len(self._witnesses))
        signer, _, rest = vkey.partition("+")
        if any(letter.isspace() for letter in signer):
            raise Malformed("the name of a key has no spaces")
        encoded = rest.partition("+")[2]
        try:
            typed = base64.b64decode(encoded, validate=True)
        except ValueError as error:
            raise Malformed("a verifier key is name+id+base64") from error
        witness = Witness(name, signer, typed[1:], url)
        if typed[:1] != bytes([COSIGNATURE]) or len(typed) != 33 or not signer or witness.vkey != vkey:
            raise Malformed("the key is no Ed25519 key of a witness, or its id is not that of the key")
        if any(witness.public == known.public for known in self._witnesses):
            raise Malformed("two witnesses have the same key")
        self._witnesses.append(witness)

    def _group(self, name: str, least: str, members: list[str]) -> None:
        self._new(name, len(self._groups))
        known = self._names()
        for member in members:
            if member not in known or member in self._members:
                raise Malformed(f"{member} is not named above, or is a member already")
            self._members.add(member)
        plain = least.isascii() and least.isdigit() and len(least) <= 9
        count = {"all": len(members), "any": 1}.get(least) or (int(least) if plain else 0)
        if not 1 <= count <= len(members):
            raise Malformed("a group asks for 1 to all of its members")
        self._groups[name] = (count, tuple(members))


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the words of each line that says something; only spaces and tabs part words."""
    for number, line in enumerate(text.split("\n"), start=1):
        words = [word for word in re.split("[ \t]+", line) if word]
        if words and not words[0].startswith("#"):
            yield number, words
