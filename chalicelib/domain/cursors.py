"""Cursors: where a list goes on, sealed so that nobody can read, alter, borrow or keep one for ever.

A cursor is ``base64url(version || nonce || AES-256-GCM({last key, expiry}))``. Who asks, for which list, under which
filter is bound in as associated data: another caller's cursor, or one of another query, does not open.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from chalicelib.domain.keys import from_urlsafe, urlsafe

_VERSION = b"\x01"
_NONCE_BYTES = 12
_TAG_BYTES = 16
MAX_LENGTH = 2_048
"""Characters; a longer text is no cursor."""


@dataclass(frozen=True, slots=True)
class Position:
    """An opened cursor: the last key that was given out, and whether its time is over."""

    last: Mapping[str, Any]
    is_expired: bool


def cursor_key(root: bytes) -> bytes:
    """Return the 32-byte key for cursors, derived from a root key of the service."""
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"forbear cursors v1").derive(root)


def filter_hash(filters: Mapping[str, Any]) -> str:
    """Return the SHA-256 (hex) of the filters that a list is made with, whatever their order."""
    return hashlib.sha256(json.dumps(filters, sort_keys=True, default=str).encode()).hexdigest()


def seal_cursor(key: bytes, last: Mapping[str, Any], *, scope: str, filters: str, expires_at: int) -> str:
    """Return the cursor that goes on after ``last`` (JSON values) for this scope and filter hash.

    ``expires_at`` (Unix seconds) is the first second at which it is expired. Raises ValueError when ``last`` is so
    large that the cursor would not be taken back.
    """
    nonce = os.urandom(_NONCE_BYTES)
    plain = json.dumps({"e": expires_at, "k": dict(last)}, separators=(",", ":")).encode()
    sealed = AESGCM(key).encrypt(nonce, plain, _binding(scope, filters))
    text = urlsafe(_VERSION + nonce + sealed)
    if len(text) > MAX_LENGTH:
        raise ValueError("the last key is too large for a cursor")
    return text


def open_cursor(key: bytes, cursor: str, *, scope: str, filters: str, now: int) -> Position | None:
    """Return where the list goes on, or None for a text that this service did not seal for this scope and filter."""
    raw = _decode(cursor)
    if raw is None or raw[:1] != _VERSION:
        return None
    nonce, sealed = raw[1 : 1 + _NONCE_BYTES], raw[1 + _NONCE_BYTES :]
    try:
        plain = AESGCM(key).decrypt(nonce, sealed, _binding(scope, filters))
    except InvalidTag:
        return None
    content = json.loads(plain)
    return Position(content["k"], is_expired=now >= content["e"])


def _decode(cursor: str) -> bytes | None:
    if len(cursor) > MAX_LENGTH or not cursor.isascii():
        return None
    try:
        raw = from_urlsafe(cursor)
    except ValueError:
        return None
    # The decoder skips what it does not know and ignores loose bits; only the one true spelling is taken.
    whole = len(raw) > 1 + _NONCE_BYTES + _TAG_BYTES and urlsafe(raw) == cursor
    return raw if whole else None


def _binding(scope: str, filters: str) -> bytes:
    return json.dumps(["forbear cursor v1", scope, filters]).encode()
