"""A witness made of a key alone: signs whatever it is shown."""

import base64
import hashlib

from cryptography.hazmat.primitives.asymmetric import ed25519


class TextWitness:
    """Signs texts with a time, as C2SP tlog-cosignature says, and looks at nothing."""

    def __init__(self, name: str) -> None:
        """Make a key."""
        self.name, self._key = name, ed25519.Ed25519PrivateKey.generate()
        raw = self._key.public_key().public_bytes_raw()
        self._id = hashlib.sha256(name.encode() + b"\n\x04" + raw).digest()[:4]
        self.vkey = f"{name}+{self._id.hex()}+{base64.b64encode(bytes([4]) + raw).decode()}"

    def line(self, text: str, at: int = 1_790_000_000) -> str:
        """Return the signature line over a note's text, without its end."""
        signature = self._key.sign(f"cosignature/v1\ntime {at}\n{text}".encode())
        return f"\N{EM DASH} {self.name} {base64.b64encode(self._id + at.to_bytes(8, 'big') + signature).decode()}"
