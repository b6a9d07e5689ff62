"""Sealing: JSON, compressed, encrypted under a person's key, which is wrapped under the lender's, wrapped by KMS.

The tree: the region's KMS key -> a version of the lender's key -> two keys a person. ``ops`` seals profile and contact
data and is destroyed when the person is erased; ``evidence`` seals what was said and when, and is destroyed when no
retention duty and no legal hold needs it any more. Each is wrapped with its lender, person and purpose as context.

A destroyed key leaves a tombstone, so that it is never made anew. Unwrapped keys live in this process for at most 60
seconds; every 15 seconds of use the lender's shred generation is read, and when it has moved on they are forgotten.
``docs/privacy.md`` has the whole of it.
"""

import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from chalicelib.domain.errors import PersonErased
from chalicelib.store.packing import pack, unpack
from chalicelib.store.tables import SubjectKey, connection

OPS, EVIDENCE = "ops", "evidence"
PURPOSES = (OPS, EVIDENCE)
CACHE_SECONDS = 60
"""How long an unwrapped key of a person lives in a process at most."""

SHRED_SECONDS = 15
"""How old the shred generation that a process goes by may be: the longest that a key outlives its destruction."""

_TENANT_SECONDS = 600
_CACHE_ENTRIES = 5_000
_BATCH_GET = 100
_CREATED_AT_ONCE = 40

Instant = tuple[float, float]
"""(monotonic seconds, wall seconds): a frozen process may stop either clock, so an age is the longer of the two."""


class KeyMissing(Exception):
    """The person never had a key: a defect, unlike a key that was destroyed."""

    def __init__(self, subject: str) -> None:
        """Name the subject (an opaque id)."""
        super().__init__(f"no key for {subject}")
        self.subject = subject


class DataKeys(Protocol):
    """The region's key: wraps and unwraps a lender's key with the lender's id and the version as encryption context."""

    def generate(self, context: dict[str, str]) -> tuple[bytes, bytes]:
        """Return (plain key of 32 bytes, wrapped key)."""

    def unwrap(self, wrapped: bytes, context: dict[str, str]) -> bytes:
        """Return the plain key."""


@dataclass(frozen=True, slots=True)
class _Keys:
    """A person's keys as read: None where a key was destroyed."""

    read_at: Instant
    ops: bytes | None
    evidence: bytes | None

    def of(self, purpose: str) -> bytes | None:
        return self.ops if purpose == OPS else self.evidence


@dataclass(frozen=True, slots=True)
class Write:
    """One action of a transaction on the table of keys."""

    item: SubjectKey
    actions: Sequence[Any]
    condition: Any


class Sealer:
    """Seals and opens bodies, and derives a lender's index key. One per process; holds no tenant of its own."""

    def __init__(
        self,
        keys: DataKeys,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Take the region key port; the clocks are for tests of the cache's age."""
        self._keys = keys
        self._monotonic = monotonic
        self._wall = wall
        self._tenant_keys: dict[tuple[str, int], tuple[Instant, bytes]] = {}
        self._newest: dict[str, tuple[Instant, int]] = {}
        self._subjects: dict[tuple[str, str], _Keys] = {}
        self._generations: dict[str, tuple[Instant, int]] = {}

    def index_key(self, tenant: str) -> bytes:
        """Return the lender's 32-byte key for blind indexes and derived ids.

        It comes from the first version of the lender's key, so that a new version moves no id and no index.
        """
        self._newest_version(tenant)
        return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"forbear index v1").derive(
            self._tenant_key(tenant, 1)
        )

    def seal(self, tenant: str, subject: str, purpose: str, plain: bytes, *, aad: bytes) -> bytes:
        """Return nonce || ciphertext || tag over the packed bytes. Raises PersonErased, KeyMissing."""
        nonce = os.urandom(12)
        return nonce + AESGCM(self._subject_key(tenant, subject, purpose)).encrypt(nonce, pack(plain), aad)

    def open(self, tenant: str, subject: str, purpose: str, sealed: bytes, *, aad: bytes) -> bytes:
        """Return the plain bytes. Raises PersonErased, KeyMissing, or cryptography's InvalidTag for other bytes."""
        key = self._subject_key(tenant, subject, purpose)
        return unpack(AESGCM(key).decrypt(sealed[:12], sealed[12:], aad))

    # Persons' keys

    def create_subjects(self, tenant: str, subjects: Iterable[str]) -> frozenset[str]:
        """Make keys for those subjects that never had any; keys are never replaced, and a tombstone stands.

        Return the subjects of whom a key was destroyed: nothing new is sealed under their name.
        """
        wanted = list(dict.fromkeys(subjects))
        gone: set[str] = set()
        for start in range(0, len(wanted), _BATCH_GET):
            # A part at a time: what is remembered is bounded, and the part that is at work must be among it.
            part = wanted[start : start + _BATCH_GET]
            self.load_subjects(tenant, part)
            missing = [subject for subject in part if (tenant, subject) not in self._subjects]
            for first in range(0, len(missing), _CREATED_AT_ONCE):
                self._create(tenant, missing[first : first + _CREATED_AT_ONCE])
            # What making keys pushed out, or a shredding had forgotten, is read again; what is known costs nothing.
            self.load_subjects(tenant, part)
            gone.update(subject for subject in part if self._is_part_gone(tenant, subject))
        return frozenset(gone)

    def _is_part_gone(self, tenant: str, subject: str) -> bool:
        keys = self._subjects.get((tenant, subject))
        if keys is None:
            raise KeyMissing(subject)
        return None in (keys.ops, keys.evidence)

    def _create(self, tenant: str, subjects: list[str]) -> None:
        from pynamodb.exceptions import TransactWriteError
        from pynamodb.transactions import TransactWrite

        version = self._newest_version(tenant)
        fresh = {subject: (os.urandom(32), os.urandom(32)) for subject in subjects}
        try:
            with TransactWrite(connection=connection(SubjectKey.Meta.region)) as transaction:
                for subject, (ops, evidence) in fresh.items():
                    transaction.save(
                        SubjectKey(
                            _pk(tenant, subject),
                            "KEYS",
                            kv=version,
                            ops=self._wrap(tenant, version, subject, OPS, ops),
                            evidence=self._wrap(tenant, version, subject, EVIDENCE, evidence),
                        ),
                        condition=SubjectKey.pk.does_not_exist(),
                    )
        except TransactWriteError:
            # Somebody else made some of these keys in the meantime: theirs count, so read first, then make the rest.
            self.load_subjects(tenant, subjects)
            missing = [subject for subject in subjects if (tenant, subject) not in self._subjects]
            if len(missing) == len(subjects):
                raise
            if missing:
                self._create(tenant, missing)
            return
        for subject, (ops, evidence) in fresh.items():
            self._remember(tenant, subject, _Keys(self._now(), ops, evidence))

    def load_subjects(self, tenant: str, subjects: Iterable[str]) -> None:
        """Fetch the keys of many subjects in few reads, so that opening their bodies costs none."""
        self._heed_shreds(tenant)
        asked = list(dict.fromkeys(subjects))
        wanted = [subject for subject in asked if not self._is_fresh(tenant, subject)]
        for subject in asked:
            # What is asked for again was used last, and so goes last.
            if (known := self._subjects.pop((tenant, subject), None)) is not None:
                self._subjects[(tenant, subject)] = known
        for start in range(0, len(wanted), _BATCH_GET):
            names = {_pk(tenant, subject): subject for subject in wanted[start : start + _BATCH_GET]}
            read_at = self._now()
            for item in SubjectKey.batch_get([(pk, "KEYS") for pk in names], consistent_read=True):
                subject = names[item.pk]
                ops, evidence = (self._unwrapped(tenant, subject, purpose, item) for purpose in PURPOSES)
                self._remember(tenant, subject, _Keys(read_at, ops, evidence))

    def destruction(self, tenant: str, subject: str, purposes: Sequence[str], *, at: str) -> list[Write]:
        """Return the writes that destroy those keys for good: conditional on their being there, with a tombstone.

        They belong into the transaction that records it. ``at`` (RFC 3339) stands in the tombstone; the lender's shred
        generation moves on with it, which makes every process forget.
        """
        attributes = {OPS: SubjectKey.ops, EVIDENCE: SubjectKey.evidence}
        gone = {OPS: SubjectKey.ops_gone, EVIDENCE: SubjectKey.evidence_gone}
        condition = SubjectKey.pk.exists()
        actions: list[Any] = []
        for purpose in purposes:
            condition &= attributes[purpose].exists()
            actions += [attributes[purpose].remove(), gone[purpose].set(at)]
        return [
            Write(SubjectKey(_pk(tenant, subject), "KEYS"), actions, condition),
            Write(SubjectKey(f"T#{tenant}", "SHREDS"), [SubjectKey.generation.add(1)], None),
        ]

    def standing(self, tenant: str, subject: str) -> frozenset[str]:
        """Return the purposes of the keys that the subject still has, as read now; empty for one who never had any."""
        self.forget(tenant, subject)
        self.load_subjects(tenant, [subject])
        keys = self._subjects.get((tenant, subject))
        return frozenset(purpose for purpose in PURPOSES if keys is not None and keys.of(purpose) is not None)

    def forget(self, tenant: str, subject: str) -> None:
        """Drop the subject's keys from this process at once."""
        self._subjects.pop((tenant, subject), None)

    def _heed_shreds(self, tenant: str) -> None:
        """Forget the lender's persons when the shred generation has moved on; it is read every 15 seconds of use."""
        known = self._generations.get(tenant)
        if known is not None and self._age(known[0]) < SHRED_SECONDS:
            return
        read_at = self._now()
        found = list(SubjectKey.batch_get([(f"T#{tenant}", "SHREDS")], consistent_read=True))
        generation = int(found[0].generation) if found else 0
        if known is not None and known[1] != generation:
            for owner, subject in [key for key in self._subjects if key[0] == tenant]:
                self.forget(owner, subject)
        self._generations[tenant] = (read_at, generation)

    def _is_fresh(self, tenant: str, subject: str) -> bool:
        known = self._subjects.get((tenant, subject))
        return known is not None and self._age(known.read_at) < CACHE_SECONDS

    def _subject_key(self, tenant: str, subject: str, purpose: str) -> bytes:
        self._heed_shreds(tenant)
        if not self._is_fresh(tenant, subject):
            self.forget(tenant, subject)
            self.load_subjects(tenant, [subject])
        keys = self._subjects.get((tenant, subject))
        if keys is None:
            raise KeyMissing(subject)
        key = keys.of(purpose)
        if key is None:
            raise PersonErased(subject)
        return key

    def _remember(self, tenant: str, subject: str, keys: _Keys) -> None:
        # The one that was asked for longest ago goes, never one that the caller has just asked for.
        self._subjects.pop((tenant, subject), None)
        while len(self._subjects) >= _CACHE_ENTRIES:
            del self._subjects[next(iter(self._subjects))]
        self._subjects[(tenant, subject)] = keys

    def _wrap(self, tenant: str, version: int, subject: str, purpose: str, plain: bytes) -> bytes:
        nonce = os.urandom(12)
        context = _context(tenant, version, subject, purpose)
        return nonce + AESGCM(self._tenant_key(tenant, version)).encrypt(nonce, plain, context)

    def _unwrapped(self, tenant: str, subject: str, purpose: str, item: SubjectKey) -> bytes | None:
        wrapped = item.ops if purpose == OPS else item.evidence
        if wrapped is None:
            return None
        version = int(item.kv)
        wrapping = AESGCM(self._tenant_key(tenant, version))
        return wrapping.decrypt(wrapped[:12], wrapped[12:], _context(tenant, version, subject, purpose))

    # Lenders' keys

    def newest_tenant_key(self, tenant: str) -> int:
        """Return the number of the newest version of the lender's key, as read now; the first is made where there is none."""
        self._newest.pop(tenant, None)
        return self._newest_version(tenant)

    def new_tenant_key(self, tenant: str) -> int:
        """Make the next version of the lender's key, under which new persons' keys are wrapped, and return its number.

        Older versions stay, because they wrap older persons' keys. Raises PutError when somebody else made one now.
        """
        self._newest.pop(tenant, None)
        version = self._newest_version(tenant) + 1
        self._make_tenant_key(tenant, version)
        self._newest[tenant] = (self._now(), version)
        return version

    def _newest_version(self, tenant: str) -> int:
        known = self._newest.get(tenant)
        if known is None or self._age(known[0]) >= _TENANT_SECONDS:
            known = (self._now(), self._read_newest_version(tenant))
            self._newest[tenant] = known
        return known[1]

    def _read_newest_version(self, tenant: str) -> int:
        from pynamodb.exceptions import PutError

        newest = _newest_item(tenant)
        if newest is None:
            try:
                self._make_tenant_key(tenant, 1)
            except PutError as error:
                if error.cause_response_code != "ConditionalCheckFailedException":
                    raise
            return 1
        return int(newest.kv)

    def _make_tenant_key(self, tenant: str, version: int) -> None:
        plain, wrapped = self._keys.generate(_tenant_context(tenant, version))
        item = SubjectKey(f"T#{tenant}", _tenant_sk(version), wrapped=wrapped, kv=version)
        item.save(condition=SubjectKey.pk.does_not_exist())
        self._tenant_keys[(tenant, version)] = (self._now(), plain)

    def _tenant_key(self, tenant: str, version: int) -> bytes:
        known = self._tenant_keys.get((tenant, version))
        if known is None or self._age(known[0]) >= _TENANT_SECONDS:
            item = SubjectKey.get(f"T#{tenant}", _tenant_sk(version), consistent_read=True)
            known = (self._now(), self._keys.unwrap(item.wrapped, _tenant_context(tenant, version)))
            self._tenant_keys[(tenant, version)] = known
        return known[1]

    # Ages

    def _now(self) -> Instant:
        return self._monotonic(), self._wall()

    def _age(self, at: Instant) -> float:
        """Return how many seconds ago that was by the clock that ran longer; for ever when a clock was set back."""
        monotonic, wall = self._monotonic() - at[0], self._wall() - at[1]
        return float("inf") if min(monotonic, wall) < 0 else max(monotonic, wall)


def _newest_item(tenant: str) -> SubjectKey | None:
    found = SubjectKey.query(
        f"T#{tenant}", SubjectKey.sk.startswith("TENANT#"), scan_index_forward=False, limit=1, consistent_read=True
    )
    return next(iter(found), None)


def _pk(tenant: str, subject: str) -> str:
    return f"T#{tenant}#{subject}"


def _tenant_sk(version: int) -> str:
    return f"TENANT#{version:06d}"


def _tenant_context(tenant: str, version: int) -> dict[str, str]:
    return {"tenant": tenant, "version": str(version)}


def _context(tenant: str, version: int, subject: str, purpose: str) -> bytes:
    return f"{tenant}|{version}|{subject}|{purpose}".encode()
