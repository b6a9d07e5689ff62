"""Identifiers: time-ordered random ones, and keyed ones derived from a natural key."""

import base64
import hashlib
import hmac
import os
import re

ID_PATTERN = re.compile(r"^[A-Za-z0-9_-]{1,80}$")
"""What an id may look like anywhere (path parameters are never URL-decoded the same way twice)."""


def new_id(prefix: str, *, epoch_ms: int, randomness: bytes | None = None) -> str:
    """Return ``<prefix>_<26 characters>``: RFC 9562 UUIDv7 bits in Crockford base32, so ids sort by time.

    ``epoch_ms`` is the instant in Unix milliseconds; ``randomness`` (10 bytes) is for tests.
    """
    noise = os.urandom(10) if randomness is None else randomness
    value = (epoch_ms & (1 << 48) - 1) << 80 | int.from_bytes(noise, "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return f"{prefix}_{_base32(value)}"


def derived_id(prefix: str, *, key: bytes, label: str, value: str) -> str:
    """Return the id that ``value`` has under a lender's secret ``key``: HMAC-SHA-256, first 130 bits.

    Keyed, because identity numbers and telephone numbers are few enough to be enumerated from a bare hash.
    """
    digest = hmac.new(key, f"{label}|{value}".encode(), hashlib.sha256).digest()
    return f"{prefix}_{_base32(int.from_bytes(digest[:17], 'big') >> 6)}"


def blind_index(*, key: bytes, label: str, value: str) -> str:
    """Return the 128-bit blind index (32 hex digits) of a normalised value; equality only, never across lenders."""
    return hmac.new(key, f"{label}|{value}".encode(), hashlib.sha256).hexdigest()[:32]


def is_id(text: str) -> bool:
    """Tell whether ``text`` has the form of an id."""
    return bool(ID_PATTERN.fullmatch(text))


def opaque_token(length: int = 16) -> str:
    """Return an unguessable URL-safe token of ``length`` random bytes."""
    return base64.urlsafe_b64encode(os.urandom(length)).rstrip(b"=").decode()


_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def _base32(value: int) -> str:
    return "".join(_ALPHABET[value >> shift & 31] for shift in range(125, -5, -5))
