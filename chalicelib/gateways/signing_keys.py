"""The keys that sign notes: Ed25519 and ECDSA P-256 in KMS, each used where it exists."""

from botocore.exceptions import ClientError

from chalicelib.domain.audit.notes import SignatureType, type_of
from chalicelib.gateways.clients import client

ALGORITHMS = {SignatureType.ED25519: "ED25519_SHA_512", SignatureType.ECDSA_P256: "ECDSA_SHA_256"}
"""KMS's name of each algorithm. Both take the message itself (RAW), which for a note is far below their 4,096 bytes."""


class KeyMismatch(Exception):
    """KMS holds another kind of key under the name than the one that is to sign."""


class KmsNoteSigner:
    """Implements ``NoteSigner`` over an asymmetric KMS key."""

    def __init__(self, key: str, kind: SignatureType, spki: bytes) -> None:
        """Take the key's id or alias, its kind, and its public half in DER."""
        self._key = key
        self._kind = kind
        self._spki = spki

    def spki(self) -> bytes:
        """Return the public key in DER."""
        return self._spki

    def sign(self, message: bytes) -> bytes:
        """Return the signature over the message itself."""
        # RAW, never DIGEST: one emulator hashes a digest once more, and such a signature fails everywhere else.
        answer = client("kms").sign(
            KeyId=self._key, Message=message, MessageType="RAW", SigningAlgorithm=ALGORITHMS[self._kind]
        )
        return bytes(answer["Signature"])


def note_signers(*, ed25519: str, p256: str) -> list[KmsNoteSigner]:
    """Return a signer for each of the two keys (id or alias, "" for none) that exists, Ed25519 first.

    Raises KeyMismatch when a key is not of the kind that its name promises, which has been seen of an emulator.
    """
    wanted = ((ed25519, SignatureType.ED25519), (p256, SignatureType.ECDSA_P256))
    found = [_signer(key, kind) for key, kind in wanted if key]
    return [signer for signer in found if signer is not None]


def _signer(key: str, kind: SignatureType) -> KmsNoteSigner | None:
    try:
        answer = client("kms").get_public_key(KeyId=key)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") == "NotFoundException":
            return None
        raise
    spki = bytes(answer["PublicKey"])
    if ALGORITHMS[kind] not in answer["SigningAlgorithms"] or type_of(spki) is not kind:
        raise KeyMismatch(f"{key} is no key for {ALGORITHMS[kind]}")
    return KmsNoteSigner(key, kind, spki)
