"""C2SP signed-note and tlog-checkpoint: what a log publishes about itself, in a form that other people's tools verify.

A note is text, an empty line, and one line a signature. Two kinds are written: Ed25519 (type 0x01) over the text, and
ECDSA on P-256 with SHA-256 (type 0x02, DER) over the same text.
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from chalicelib.domain.audit.merkle import HASH_BYTES

DASH = "\N{EM DASH} "
"""What a signature line begins with."""

KEY_ID_BYTES = 4
MOST_NOTE_BYTES = 65_536


class SignatureType(IntEnum):
    """The registered number of a signature algorithm."""

    ED25519 = 0x01
    ECDSA_P256 = 0x02


class Malformed(ValueError):
    """The bytes are no note, no checkpoint or no key in their one valid form."""


class Unsigned(Exception):
    """No signature by a known key stands on the note, or one by a known key does not hold."""


@dataclass(frozen=True, slots=True)
class NoteKey:
    """A public key under the name that its signature lines carry, which is the log's origin."""

    name: str
    type: SignatureType
    spki: bytes

    def __post_init__(self) -> None:
        """Raise Malformed for a name that a note cannot carry, or a key that is not of the type."""
        if not self.name or "+" in self.name or any(letter.isspace() for letter in self.name):
            raise Malformed("a key name has no spaces and no plus")
        if type_of(self.spki) is not self.type:
            raise Malformed("the key is of another type")

    @property
    def id(self) -> bytes:
        """Return the four bytes by which a signature line names its key."""
        if self.type is SignatureType.ED25519:
            return hashlib.sha256(self.name.encode() + b"\n" + self._typed()).digest()[:KEY_ID_BYTES]
        return hashlib.sha256(self.spki).digest()[:KEY_ID_BYTES]

    @property
    def vkey(self) -> str:
        """Return the verifier key ``<name>+<key id, hex>+<base64 of type and key>``."""
        return f"{self.name}+{self.id.hex()}+{_text(self._typed())}"

    def holds(self, message: bytes, signature: bytes) -> bool:
        """Tell whether the signature over the message is this key's."""
        key = serialization.load_der_public_key(self.spki)
        try:
            if isinstance(key, ed25519.Ed25519PublicKey):
                key.verify(signature, message)
            elif isinstance(key, ec.EllipticCurvePublicKey):
                key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True

    def _typed(self) -> bytes:
        raw = self.spki
        if self.type is SignatureType.ED25519:
            key = serialization.load_der_public_key(self.spki)
            raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return bytes([self.type]) + raw


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line: the key's name and id, and the signature itself."""

    name: str
    key_id: bytes
    signature: bytes

    def line(self) -> str:
        """Return the line with its end."""
        return f"{DASH}{self.name} {_text(self.key_id + self.signature)}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """Text that ends with a line feed, and its signatures."""

    text: str
    signatures: tuple[Signature, ...]

    def as_bytes(self) -> bytes:
        """Return the note as it is published."""
        return (self.text + "\n" + "".join(each.line() for each in self.signatures)).encode()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log says of itself: its name, how many entries it has, and the root over them."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """Return the text that is signed: origin, size and root, each on a line."""
        return f"{self.origin}\n{self.size}\n{_text(self.root)}\n"


def type_of(spki: bytes) -> SignatureType:
    """Return the signature type of a public key in DER. Raises Malformed unless it is Ed25519 or on P-256."""
    try:
        key = serialization.load_der_public_key(spki)
    except (ValueError, TypeError) as error:
        raise Malformed("this is no public key in DER") from error
    if isinstance(key, ed25519.Ed25519PublicKey):
        return SignatureType.ED25519
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return SignatureType.ECDSA_P256
    raise Malformed("a note key is Ed25519, or ECDSA on P-256")


def key_from_vkey(vkey: str) -> NoteKey:
    """Return the key that a verifier key string names. Raises Malformed."""
    parts = vkey.strip().split("+", 2)
    if len(parts) != 3:
        raise Malformed("a verifier key is name+id+key")
    name, identity, encoded = parts
    raw = strict_bytes(encoded)
    if raw[:1] == bytes([SignatureType.ED25519]) and len(raw) == 33:
        public = ed25519.Ed25519PublicKey.from_public_bytes(raw[1:])
        spki = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    elif raw[:1] == bytes([SignatureType.ECDSA_P256]):
        spki = raw[1:]
    else:
        raise Malformed("the verifier key is of an unknown type")
    key = NoteKey(name, type_of(spki), spki)
    if key.id.hex() != identity:
        raise Malformed("the verifier key's id is not that of its key")
    return key


def parse_note(raw: bytes) -> Note:
    """Return the note. Raises Malformed for anything but its one valid form."""
    if len(raw) > MOST_NOTE_BYTES:
        raise Malformed("the note is too long")
    try:
        whole = raw.decode()
    except UnicodeDecodeError as error:
        raise Malformed("the note is not UTF-8") from error
    if any(letter < " " and letter != "\n" for letter in whole):
        raise Malformed("the note has control characters")
    text, separator, lines = whole.rpartition("\n\n")
    if not separator or not lines.endswith("\n"):
        raise Malformed("a note is text, an empty line and signature lines")
    return Note(text + "\n", tuple(_signature(line) for line in lines[:-1].split("\n")))


def parse_checkpoint(text: str) -> Checkpoint:
    """Return the checkpoint that a note's text is. Raises Malformed; extension lines are refused: none are written."""
    lines = text.split("\n")
    if len(lines) != 4 or lines[3] or not lines[0]:
        raise Malformed("a checkpoint has three lines")
    origin, size, root = lines[:3]
    if not size.isascii() or not size.isdigit() or len(size) > 19 or str(int(size)) != size:
        raise Malformed("the size is not a decimal number")
    checkpoint = Checkpoint(origin, int(size), strict_bytes(root))
    if len(checkpoint.root) != HASH_BYTES:
        raise Malformed("the root has not 32 bytes")
    return checkpoint


def verified(note: Note, keys: Sequence[NoteKey]) -> tuple[NoteKey, ...]:
    """Return the known keys whose signatures hold on the note; lines by unknown keys are ignored.

    Raises Unsigned when there is none, or when one line by a known key does not hold.
    """
    holding: list[NoteKey] = []
    for line in note.signatures:
        for key in keys:
            if (key.name, key.id) != (line.name, line.key_id):
                continue
            if not key.holds(note.text.encode(), line.signature):
                raise Unsigned(f"the signature by key {key.id.hex()} does not hold")
            if key not in holding:
                holding.append(key)
    if not holding:
        raise Unsigned("no known key has signed the note")
    return tuple(holding)


def _signature(line: str) -> Signature:
    name, space, encoded = line.removeprefix(DASH).partition(" ")
    if not line.startswith(DASH) or not name or not space:
        raise Malformed("a signature line is a dash, a name and base64")
    raw = strict_bytes(encoded)
    if len(raw) <= KEY_ID_BYTES:
        raise Malformed("a signature line holds a key id and a signature")
    return Signature(name, raw[:KEY_ID_BYTES], raw[KEY_ID_BYTES:])


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def strict_bytes(text: str) -> bytes:
    """Return the bytes of strict base64: no other spelling of the same bytes is taken. Raises Malformed."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed("this is no base64") from error
    if _text(raw) != text:
        raise Malformed("base64 with stray bits")
    return raw
