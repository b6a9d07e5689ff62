"""Answers by Idempotency-Key in the ``View`` table: pk ``I#<org>#<subject>``, sk ``<route>#<key hash>``.

Open in an item stand only its state (``s``), the instant it is good until (``v``, Unix ms) and the table's expiry; the
fingerprint and the answer, which may hold personal data, are sealed and bound to the item's key.
"""

import json
import os
import zlib
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pynamodb.exceptions import DeleteError, PutError
from pynamodb.expressions.condition import Condition

from chalicelib.domain.answers import Answered, Entry, Slot
from chalicelib.store.tables import View

HELD, DONE = "held", "done"
_NONCE_BYTES = 12
_KEPT_AFTER_END_SECONDS = 3_600
"""The table may drop an item only after nobody counts on it, also by a clock that is somewhat slow."""


class AnswersInTable:
    """Implements ``chalicelib.usecases.idempotency.Answers``."""

    def __init__(self, root_key: Callable[[], bytes]) -> None:
        """Take what gives the service's root key; it is asked each time and keeps its own cache."""
        self._root_key = root_key

    def find(self, slot: Slot) -> Entry | None:
        """Return the entry by a strongly consistent read."""
        try:
            item = View.get(slot.client, slot.operation, consistent_read=True)
        except View.DoesNotExist:
            return None
        told = json.loads(self._open(slot, item.b))
        answer = Answered(told["status"], told["body"], told["headers"]) if item.s == DONE else None
        return Entry(told["fingerprint"], int(item.v), answer)

    def claim(self, slot: Slot, entry: Entry, *, over: Entry | None) -> bool:
        """Put a held entry where there is none, or over exactly ``over``; False when somebody else was faster."""
        if over is None:
            return self._put(slot, entry, condition=View.pk.does_not_exist())
        return self._put(slot, entry, condition=_stands(DONE if over.answer is not None else HELD, over.until))

    def complete(self, slot: Slot, entry: Entry, *, held_until: int) -> bool:
        """Replace the entry held until then by the answered one; False when it is no longer held so."""
        return self._put(slot, entry, condition=_stands(HELD, held_until))

    def release(self, slot: Slot, *, held_until: int) -> None:
        """Remove the entry held until then; whoever took the key over keeps it."""
        try:
            View(slot.client, slot.operation).delete(condition=_stands(HELD, held_until))
        except DeleteError as error:
            _unless_overtaken(error)

    def _put(self, slot: Slot, entry: Entry, *, condition: Condition) -> bool:
        answer = entry.answer
        told: dict[str, Any] = {"fingerprint": entry.fingerprint}
        if answer is not None:
            told |= {"status": answer.status, "body": answer.body, "headers": dict(answer.headers)}
        item = View(
            slot.client,
            slot.operation,
            s=HELD if answer is None else DONE,
            v=entry.until,
            b=self._seal(slot, json.dumps(told).encode()),
            ttl=entry.until // 1000 + _KEPT_AFTER_END_SECONDS,
        )
        try:
            item.save(condition=condition)
        except PutError as error:
            _unless_overtaken(error)
            return False
        return True

    def _seal(self, slot: Slot, plain: bytes) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + AESGCM(self._key()).encrypt(nonce, zlib.compress(plain, 6), _binding(slot))

    def _open(self, slot: Slot, sealed: bytes) -> bytes:
        plain = AESGCM(self._key()).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _binding(slot))
        return zlib.decompress(plain)

    def _key(self) -> bytes:
        derivation = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"forbear answers v1")
        return derivation.derive(self._root_key())


def _stands(state: str, until: int) -> Condition:
    condition: Condition = (View.s == state) & (View.v == until)
    return condition


def _binding(slot: Slot) -> bytes:
    return f"{slot.client}|{slot.operation}".encode()


def _unless_overtaken(error: PutError | DeleteError) -> None:
    if error.cause_response_code != "ConditionalCheckFailedException":
        raise error
