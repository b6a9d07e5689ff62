"""An approval: the signed, single-use, short-lived value without which nothing leaves.

The compliance function signs with an ephemeral Ed25519 key that it holds in memory; a certificate for that key, signed
by the root key (ECDSA P-256 in KMS), travels with every approval, so that the dispatcher and any auditor can verify
both offline. Signed bytes are RFC 8785.
"""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from chalicelib.domain.instants import from_text, to_text

CERTIFICATE_LIFE = timedelta(hours=12)
"""How long a certificate for an ephemeral key is valid."""

APPROVAL_LIFE = timedelta(minutes=15)
"""The longest time between a ruling and the claim of a message; the ruling's own ``not_after`` may cut it shorter."""

CLEARANCE_LIFE = timedelta(minutes=30)
"""The longest time in which a person may start the call or visit that was cleared."""

_FIELDS = frozenset(
    {
        "id",
        "tenant",
        "case",
        "contact",
        "person",
        "channel",
        "purpose",
        "recipient",
        "content",
        "template",
        "template_sha256",
        "ruleset",
        "inputs",
        "not_before",
        "not_after",
    }
)


@dataclass(frozen=True, slots=True)
class Invalid:
    """Why an approval must not be acted on."""

    reason: str


@dataclass(frozen=True, slots=True)
class Valid:
    """The approval's signature, certificate and window hold."""


class ApprovalSigner:
    """Signs approvals with an ephemeral key; renews key and certificate before they run out. One per process."""

    def __init__(self, sign_with_root: Callable[[bytes], bytes], *, root_key_id: str) -> None:
        """Take the root signature (DER ECDSA P-256 over SHA-256 of the message) and the root key's public id."""
        self._sign_with_root = sign_with_root
        self._root_key_id = root_key_id
        self._key: Ed25519PrivateKey | None = None
        self._certificate: dict[str, str] = {}
        self._valid_from: datetime | None = None
        self._valid_to: datetime | None = None

    def sign(self, approval: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
        """Return the approval with ``signature`` and ``certificate``. Raises ValueError when a field is missing or extra."""
        if set(approval) != _FIELDS:
            raise ValueError(f"an approval has exactly the fields {sorted(_FIELDS)}")
        key = self._current_key(now)
        signature = key.sign(rfc8785.dumps(dict(approval)))
        return {**approval, "signature": _text(signature), "certificate": dict(self._certificate)}

    def _current_key(self, now: datetime) -> Ed25519PrivateKey:
        usable = (
            self._key is not None
            and self._valid_from is not None
            and self._valid_to is not None
            and self._valid_from <= now <= self._valid_to - CERTIFICATE_LIFE / 4
        )
        if self._key is None or not usable:
            self._key = Ed25519PrivateKey.generate()
            self._valid_from, self._valid_to = now - timedelta(minutes=5), now + CERTIFICATE_LIFE
            public = self._key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
            body = {
                "issuer": self._root_key_id,
                "not_after": to_text(self._valid_to),
                "not_before": to_text(self._valid_from),
                "public_key": _text(public),
            }
            self._certificate = {**body, "signature": _text(self._sign_with_root(rfc8785.dumps(body)))}
        return self._key


def verify(
    approval: Mapping[str, Any],
    *,
    root: ec.EllipticCurvePublicKey,
    now: datetime,
    contact: str,
    recipient: str,
    content: str | None,
    template: tuple[str | None, str | None],
) -> Valid | Invalid:
    """Tell whether the approval may be acted on at ``now`` for this contact, recipient, rendered content and template.

    ``template`` is (``id@version``, SHA-256 of that version), both None for a free text.

    Both ends of the window: ``not_before`` is closed, ``not_after`` open. Never raises on a malformed approval.
    """
    try:
        body = {name: approval[name] for name in _FIELDS}
        certificate = dict(approval["certificate"])
        certificate_signature = _bytes(certificate.pop("signature"))
        root.verify(certificate_signature, rfc8785.dumps(certificate), ec.ECDSA(hashes.SHA256()))
        public = Ed25519PublicKey.from_public_bytes(_bytes(certificate["public_key"]))
        public.verify(_bytes(approval["signature"]), rfc8785.dumps(body))
        certified = from_text(certificate["not_before"]) <= now < from_text(certificate["not_after"])
        in_window = from_text(body["not_before"]) <= now < from_text(body["not_after"])
    except (KeyError, TypeError, ValueError, InvalidSignature):
        return Invalid("the approval or its certificate is not genuine")
    if set(approval) - _FIELDS - {"signature", "certificate"}:
        return Invalid("the approval carries fields that nobody signed")
    if not certified:
        return Invalid("the signing key's certificate is not valid now")
    if not in_window:
        return Invalid("the approval is not valid now")
    if (body["contact"], body["recipient"], body["content"]) != (contact, recipient, content) or (
        body["template"],
        body["template_sha256"],
    ) != template:
        return Invalid("the approval is for another message")
    return Valid()


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
