"""The region's KMS key for data: wraps each lender's key, with the lender's id as encryption context."""

from chalicelib.gateways.clients import client


class KmsDataKeys:
    """Implements the sealer's ``DataKeys`` port."""

    def __init__(self, key: str) -> None:
        """Take the key's id or alias."""
        self._key = key

    def generate(self, context: dict[str, str]) -> tuple[bytes, bytes]:
        """Return (plain key of 32 bytes, wrapped key)."""
        answer = client("kms").generate_data_key(KeyId=self._key, KeySpec="AES_256", EncryptionContext=context)
        return answer["Plaintext"], answer["CiphertextBlob"]

    def unwrap(self, wrapped: bytes, context: dict[str, str]) -> bytes:
        """Return the plain key; KMS refuses when the context differs."""
        answer = client("kms").decrypt(KeyId=self._key, CiphertextBlob=wrapped, EncryptionContext=context)
        plain: bytes = answer["Plaintext"]
        return plain
