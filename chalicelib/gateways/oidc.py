"""Bearer tokens of an OIDC issuer: verified offline against the issuer's published keys.

Time is the machine's own also in the local cloud, where the business clock may be set: a token's life is real.
"""

import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

import jwt
from jwt import PyJWK

from chalicelib.domain.principals import Principal, principal_from

ALGORITHMS = {"RS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}
"""The allow-list: algorithm -> key type. A token whose key is of another type is refused."""

MAX_TOKEN_BYTES = 4_096
MAX_LIFETIME_SECONDS = 12 * 3_600
LEEWAY_SECONDS = 5
FRESH_SECONDS = 600
"""How long fetched keys are used before they are fetched again: a withdrawn key lives no longer than this."""
USABLE_SECONDS = 3_600
"""How long they serve when the issuer cannot be reached; after that nobody gets in."""
UNKNOWN_KEY_PAUSE_SECONDS = 30
"""A key id nobody knows may be a new key: one fetch for it in this many seconds, so that forged ids cost nothing."""
_FETCH_TIMEOUT_SECONDS = 3
_MAX_JWKS_BYTES = 65_536
_MIN_RSA_BITS = 2_048
_COMPACT = re.compile(rb"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_HEADER_FIELDS = frozenset({"alg", "kid", "typ"})
_TYPES = frozenset({"JWT", "AT+JWT", "APPLICATION/AT+JWT"})


class TokenRefused(Exception):
    """The token is not one that the issuer gave for this API now. ``code`` says why, for the log; never the token."""

    def __init__(self, code: str) -> None:
        """Take the code."""
        super().__init__(code)
        self.code = code


class KeysUnavailable(Exception):
    """The issuer's keys cannot be had, and those known are too old: a fault of the service, not of the caller."""


class IssuerKeys:
    """The issuer's signing keys, fetched when needed and kept for a while. The only state that requests share."""

    def __init__(
        self,
        url: str,
        *,
        fetch: Callable[[str], bytes] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the address of the JWK set; ``fetch`` and ``monotonic`` are for tests."""
        self._url = url
        self._fetch = fetch or fetch_jwks
        self._monotonic = monotonic
        self._keys: dict[str, PyJWK] = {}
        self._fetched_at = float("-inf")
        self._tried_at = float("-inf")

    def key(self, kid: str) -> PyJWK | None:
        """Return the key with this id, or None when the issuer does not publish it. Raises KeysUnavailable."""
        now = self._monotonic()
        stale = now - self._fetched_at >= FRESH_SECONDS
        if (stale or kid not in self._keys) and now - self._tried_at >= UNKNOWN_KEY_PAUSE_SECONDS:
            self._refresh(now)
        if now - self._fetched_at >= USABLE_SECONDS:
            raise KeysUnavailable("the issuer's keys cannot be fetched")
        return self._keys.get(kid)

    def _refresh(self, now: float) -> None:
        self._tried_at = now
        try:
            keys = signing_keys(json.loads(self._fetch(self._url)))
        except (OSError, ValueError):
            # What is known stays in use until it is too old; `key` then says so.
            return
        self._keys, self._fetched_at = keys, now


def signing_keys(document: Any) -> dict[str, PyJWK]:
    """Return the usable keys of a JWK set by their ids; keys for other uses, weak or of other types are left out.

    Raises ValueError when the document is no JWK set.
    """
    if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
        raise ValueError("not a JWK set")
    found: dict[str, PyJWK] = {}
    for entry in document["keys"]:
        if not isinstance(entry, dict) or not isinstance(entry.get("kid"), str) or entry.get("use", "sig") != "sig":
            continue
        try:
            key = PyJWK(entry)
        except jwt.PyJWTError:
            continue
        if ALGORITHMS.get(key.algorithm_name) != entry.get("kty") or entry["kid"] in found:
            continue
        if entry["kty"] == "RSA" and key.key.key_size < _MIN_RSA_BITS:
            continue
        found[entry["kid"]] = key
    return found


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> NoReturn:
        raise OSError("the issuer's keys have moved")


def fetch_jwks(url: str) -> bytes:
    """Return the document at ``url``: HTTPS, or HTTP on loopback; no redirects, 3 s, 64 KiB. Raises OSError."""
    parts = urllib.parse.urlsplit(url)
    is_loopback = parts.hostname in ("127.0.0.1", "::1", "localhost")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback):
        raise OSError("keys are fetched over HTTPS only")
    # No proxy stands between this machine and itself.
    handlers = [_NoRedirects(), *([urllib.request.ProxyHandler({})] if is_loopback else [])]
    opener = urllib.request.build_opener(*handlers)
    with opener.open(url, timeout=_FETCH_TIMEOUT_SECONDS) as answer:
        body: bytes = answer.read(_MAX_JWKS_BYTES + 1)
    if len(body) > _MAX_JWKS_BYTES:
        raise OSError("the key set is too large")
    return body


@dataclass(frozen=True)
class Verifier:
    """Checks tokens of one issuer for one audience."""

    issuer: str
    audience: str
    keys: IssuerKeys
    now: Callable[[], float] = field(default=time.time)

    def principal(self, token: str) -> Principal:
        """Return who the token speaks for. Raises TokenRefused, or KeysUnavailable when nobody can tell."""
        claims = self._claims(token)
        asked = claims.get("scope")
        if asked is not None and not isinstance(asked, str):
            raise TokenRefused("claims")
        try:
            return principal_from(
                subject=_text(claims, "sub"),
                role=_text(claims, "role"),
                org=_text(claims, "org"),
                tenant=_text(claims, "tenant") if claims.get("tenant") is not None else None,
                asked=None if asked is None else asked.split(),
                token_id=_text(claims, "jti"),
                expires_at=int(claims["exp"]),
            )
        except ValueError:
            raise TokenRefused("claims") from None

    def _claims(self, token: str) -> dict[str, Any]:
        raw = token.encode("utf-8", "replace")
        if len(raw) > MAX_TOKEN_BYTES:
            raise TokenRefused("too_long")
        if not _COMPACT.fullmatch(raw):
            raise TokenRefused("malformed")
        key = self._key(_header(token))
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                audience=self.audience,
                issuer=self.issuer,
                # Times are checked below against the clock that was given, in plain sight.
                options={
                    "require": ["exp", "iat", "iss", "aud", "sub", "jti"],
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except jwt.PyJWTError as error:
            raise TokenRefused(type(error).__name__) from None
        except (ValueError, TypeError, RecursionError):
            raise TokenRefused("malformed") from None
        self._check_times(claims)
        return claims

    def _key(self, header: dict[str, Any]) -> PyJWK:
        kid, algorithm = header.get("kid"), header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
            raise TokenRefused("algorithm")
        if not isinstance(kid, str) or len(kid) > 128:
            raise TokenRefused("key_id")
        key = self.keys.key(kid)
        if key is None:
            raise TokenRefused("unknown_key")
        if key.algorithm_name != algorithm:
            raise TokenRefused("algorithm")
        return key

    def _check_times(self, claims: dict[str, Any]) -> None:
        issued, expires, not_before = claims["iat"], claims["exp"], claims.get("nbf", claims["iat"])
        if not all(_is_instant(value) for value in (issued, expires, not_before)):
            raise TokenRefused("times")
        now = self.now()
        if now >= expires + LEEWAY_SECONDS:
            raise TokenRefused("expired")
        if now < max(issued, not_before) - LEEWAY_SECONDS:
            raise TokenRefused("not_yet_valid")
        if not 0 < expires - issued <= MAX_LIFETIME_SECONDS:
            raise TokenRefused("lifetime")


def _header(token: str) -> dict[str, Any]:
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise TokenRefused("malformed") from None
    typ = header.get("typ", "JWT")
    # Fields that name a key, a place to fetch one or an extension are refused rather than ignored.
    if not set(header) <= _HEADER_FIELDS or not isinstance(typ, str) or typ.upper() not in _TYPES:
        raise TokenRefused("header")
    return header


def _is_instant(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e11


def _text(claims: dict[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str):
        raise ValueError("a claim is missing or no text")
    return value
