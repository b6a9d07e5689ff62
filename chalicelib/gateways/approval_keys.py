"""The root key of approvals: ECDSA P-256 in KMS. The compliance function signs with it; everybody else only verifies."""

import hashlib

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from chalicelib.gateways.clients import client


class KmsApprovalRoot:
    """Signs certificates of ephemeral approval keys, and tells the public key that verifies them."""

    def __init__(self, key: str) -> None:
        """Take the key's id or alias."""
        self._key = key
        self._public: ec.EllipticCurvePublicKey | None = None
        self._public_id = ""

    def sign(self, message: bytes) -> bytes:
        """Return the DER signature (ECDSA, SHA-256) over the message itself, which must be at most 4,096 bytes."""
        # RAW, never DIGEST: one emulator hashes a digest once more, and such a signature fails everywhere else.
        answer = client("kms").sign(
            KeyId=self._key, Message=message, MessageType="RAW", SigningAlgorithm="ECDSA_SHA_256"
        )
        return bytes(answer["Signature"])

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """Return the public key, fetched once. Raises TypeError when the key is not on the P-256 curve."""
        if self._public is None:
            der = client("kms").get_public_key(KeyId=self._key)["PublicKey"]
            key = load_der_public_key(der)
            if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
                raise TypeError("the approval root must be an ECDSA key on P-256")
            self._public, self._public_id = key, hashlib.sha256(der).hexdigest()[:16]
        return self._public

    def key_id(self) -> str:
        """Return the first 16 hex digits of the SHA-256 of the public key's DER form."""
        self.public_key()
        return self._public_id
