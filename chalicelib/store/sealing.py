"""Sealing: JSON, compressed, encrypted under a person's key, which is wrapped under the lender's, wrapped by KMS.

Two keys a person: ``ops`` for profile and contact data (destroyed on erasure) and ``evidence`` for what was said and
when (destroyed when retention ends). Unwrapped keys live in this process for at most 60 seconds.
"""

import os
import time
import zlib
from collections.abc import Callable, Iterable
from typing import Protocol

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from chalicelib.store.tables import SubjectKey, connection

OPS, EVIDENCE = "ops", "evidence"
CACHE_SECONDS = 60
_CACHE_ENTRIES = 5_000
_BATCH_GET = 100


class KeyMissing(Exception):
    """The person's key does not exist or was destroyed; what it sealed cannot be read any more."""

    def __init__(self, subject: str) -> None:
        """Name the subject (an opaque id)."""
        super().__init__(f"no key for {subject}")
        self.subject = subject


class DataKeys(Protocol):
    """The region's key: wraps and unwraps a lender's key with the lender's id as encryption context."""

    def generate(self, context: dict[str, str]) -> tuple[bytes, bytes]:
        """Return (plain key of 32 bytes, wrapped key)."""

    def unwrap(self, wrapped: bytes, context: dict[str, str]) -> bytes:
        """Return the plain key."""


class Sealer:
    """Seals and opens bodies, and derives a lender's index key. One per process; holds no tenant of its own."""

    def __init__(self, keys: DataKeys, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Take the region key port; ``monotonic`` is for tests of the cache's age."""
        self._keys = keys
        self._monotonic = monotonic
        self._tenant_keys: dict[str, tuple[float, bytes]] = {}
        self._subject_keys: dict[tuple[str, str, str], tuple[float, bytes]] = {}

    def index_key(self, tenant: str) -> bytes:
        """Return the lender's 32-byte key for blind indexes and derived ids; stable as long as the lender's key is."""
        return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"forbear index v1").derive(
            self._tenant_key(tenant)
        )

    def seal(self, tenant: str, subject: str, purpose: str, plain: bytes, *, aad: bytes) -> bytes:
        """Return nonce || ciphertext || tag over the compressed bytes. Raises KeyMissing."""
        nonce = os.urandom(12)
        return nonce + AESGCM(self._subject_key(tenant, subject, purpose)).encrypt(nonce, zlib.compress(plain, 6), aad)

    def open(self, tenant: str, subject: str, purpose: str, sealed: bytes, *, aad: bytes) -> bytes:
        """Return the plain bytes. Raises KeyMissing, or cryptography's InvalidTag when the bytes or ``aad`` differ."""
        key = self._subject_key(tenant, subject, purpose)
        return zlib.decompress(AESGCM(key).decrypt(sealed[:12], sealed[12:], aad))

    def create_subjects(self, tenant: str, subjects: Iterable[str]) -> None:
        """Make keys for those subjects that have none yet; existing keys are never replaced."""
        wanted = list(dict.fromkeys(subjects))
        self.load_subjects(tenant, wanted)
        missing = [subject for subject in wanted if (tenant, subject, OPS) not in self._subject_keys]
        for start in range(0, len(missing), 40):
            self._create(tenant, missing[start : start + 40])

    def _create(self, tenant: str, subjects: list[str]) -> None:
        from pynamodb.exceptions import TransactWriteError
        from pynamodb.transactions import TransactWrite

        fresh = {subject: (os.urandom(32), os.urandom(32)) for subject in subjects}
        try:
            with TransactWrite(connection=connection(SubjectKey.Meta.region)) as transaction:
                for subject, (ops, evidence) in fresh.items():
                    transaction.save(
                        SubjectKey(
                            _pk(tenant, subject),
                            "KEYS",
                            ops=self._wrap(tenant, subject, OPS, ops),
                            evidence=self._wrap(tenant, subject, EVIDENCE, evidence),
                        ),
                        condition=SubjectKey.pk.does_not_exist(),
                    )
        except TransactWriteError:
            # Somebody else made some of these keys in the meantime: theirs count, so read first, then make the rest.
            self.load_subjects(tenant, subjects)
            missing = [subject for subject in subjects if (tenant, subject, OPS) not in self._subject_keys]
            if len(missing) == len(subjects):
                raise
            if missing:
                self._create(tenant, missing)
            return
        for subject, (ops, evidence) in fresh.items():
            self._remember(tenant, subject, ops, evidence)

    def load_subjects(self, tenant: str, subjects: Iterable[str]) -> None:
        """Fetch the keys of many subjects in few reads, so that opening their bodies costs none."""
        fresh_after = self._monotonic() - CACHE_SECONDS
        wanted = [
            subject
            for subject in dict.fromkeys(subjects)
            if self._subject_keys.get((tenant, subject, OPS), (float("-inf"), b""))[0] <= fresh_after
        ]
        for start in range(0, len(wanted), _BATCH_GET):
            names = {_pk(tenant, subject): subject for subject in wanted[start : start + _BATCH_GET]}
            for item in SubjectKey.batch_get([(pk, "KEYS") for pk in names], consistent_read=True):
                self._take(tenant, names[item.pk], item)

    def forget(self, tenant: str, subject: str) -> None:
        """Drop the subject's keys from this process at once."""
        for purpose in (OPS, EVIDENCE):
            self._subject_keys.pop((tenant, subject, purpose), None)

    def _take(self, tenant: str, subject: str, item: SubjectKey) -> None:
        wrapping = AESGCM(self._tenant_key(tenant))
        for purpose, wrapped in ((OPS, item.ops), (EVIDENCE, item.evidence)):
            if wrapped is not None:
                plain = wrapping.decrypt(wrapped[:12], wrapped[12:], _context(tenant, subject, purpose))
                self._subject_keys[(tenant, subject, purpose)] = (self._monotonic(), plain)

    def _subject_key(self, tenant: str, subject: str, purpose: str) -> bytes:
        known = self._subject_keys.get((tenant, subject, purpose))
        if known is None or known[0] <= self._monotonic() - CACHE_SECONDS:
            self.forget(tenant, subject)
            self.load_subjects(tenant, [subject])
            known = self._subject_keys.get((tenant, subject, purpose))
            if known is None:
                raise KeyMissing(subject)
        return known[1]

    def _remember(self, tenant: str, subject: str, ops: bytes, evidence: bytes) -> None:
        if len(self._subject_keys) > _CACHE_ENTRIES:
            self._subject_keys.clear()
        now = self._monotonic()
        self._subject_keys[(tenant, subject, OPS)] = (now, ops)
        self._subject_keys[(tenant, subject, EVIDENCE)] = (now, evidence)

    def _wrap(self, tenant: str, subject: str, purpose: str, plain: bytes) -> bytes:
        nonce = os.urandom(12)
        return nonce + AESGCM(self._tenant_key(tenant)).encrypt(nonce, plain, _context(tenant, subject, purpose))

    def _tenant_key(self, tenant: str) -> bytes:
        known = self._tenant_keys.get(tenant)
        if known is None or known[0] <= self._monotonic() - CACHE_SECONDS * 10:
            known = (self._monotonic(), self._load_tenant_key(tenant))
            self._tenant_keys[tenant] = known
        return known[1]

    def _load_tenant_key(self, tenant: str) -> bytes:
        context = {"tenant": tenant}
        try:
            item = SubjectKey.get(f"T#{tenant}", "TENANT", consistent_read=True)
        except SubjectKey.DoesNotExist:
            plain, wrapped = self._keys.generate(context)
            fresh = SubjectKey(f"T#{tenant}", "TENANT", wrapped=wrapped)
            from pynamodb.exceptions import PutError

            try:
                fresh.save(condition=SubjectKey.pk.does_not_exist())
            except PutError as error:
                if error.cause_response_code != "ConditionalCheckFailedException":
                    raise
                item = SubjectKey.get(f"T#{tenant}", "TENANT", consistent_read=True)
            else:
                return plain
        return self._keys.unwrap(item.wrapped, context)


def _pk(tenant: str, subject: str) -> str:
    return f"T#{tenant}#{subject}"


def _context(tenant: str, subject: str, purpose: str) -> bytes:
    return f"{tenant}|{subject}|{purpose}".encode()
