"""Sets of house rules, their versions, and the compiled packs by digest: no personal data, plain JSON."""

import json
from collections.abc import Iterable
from functools import lru_cache

from chalicelib.domain import keys
from chalicelib.domain.house import HouseIndex, HouseSet, HouseVersion
from chalicelib.store.repository import ForeignItem, Scope
from chalicelib.store.tables import Record


class HouseRepository:
    """Implements ``chalicelib.usecases.house_rules.Houses``."""

    def sets(self, scope: Scope) -> list[HouseSet]:
        """Return every set of the lender, by id."""
        found = Record.query(
            keys.tenant_pk(scope.tenant), Record.sk.startswith(keys.house_sk("")), consistent_read=True
        )
        return [HouseSet.model_validate({**json.loads(item.d), "version": item.v}) for item in found]

    def set(self, scope: Scope, house: str) -> HouseSet | None:
        """Return a set, or None."""
        try:
            item = Record.get(keys.tenant_pk(scope.tenant), keys.house_sk(house), consistent_read=True)
        except Record.DoesNotExist:
            return None
        return HouseSet.model_validate({**json.loads(item.d), "version": item.v})

    def version(self, scope: Scope, house: str, number: int) -> HouseVersion | None:
        """Return a version of a set, or None."""
        try:
            item = Record.get(keys.house_pk(scope.tenant, house), keys.house_version_sk(number), consistent_read=True)
        except Record.DoesNotExist:
            return None
        return _version(item, scope)

    def versions(self, scope: Scope, house: str, *, after: int, limit: int) -> list[HouseVersion]:
        """Return up to ``limit`` versions of a set with numbers above ``after``, in order."""
        span = Record.sk.between(keys.house_version_sk(after + 1), keys.house_version_sk(999_999))
        found = Record.query(keys.house_pk(scope.tenant, house), span, limit=limit, consistent_read=True)
        return [_version(item, scope) for item in found]

    def set_record(self, scope: Scope, each: HouseSet) -> Record:
        """Return the record of a set at its version."""
        body = each.model_dump_json(exclude={"version"})
        return Record(keys.tenant_pk(scope.tenant), keys.house_sk(each.id), v=each.version, d=body)

    def version_record(self, scope: Scope, version: HouseVersion) -> Record:
        """Return the record of a version of a set."""
        pk, sk = keys.house_pk(scope.tenant, version.house), keys.house_version_sk(version.number)
        body = version.model_dump_json(exclude_defaults=True, exclude={"version"})
        return Record(pk, sk, v=version.version, s=version.state.value, d=body)

    def index_record(self, scope: Scope, index: HouseIndex) -> Record:
        """Return the record that says which house rules bind."""
        body = index.model_dump_json(exclude={"version"})
        return Record(keys.tenant_pk(scope.tenant), keys.HOUSE_INDEX_SK, v=index.version, d=body)

    def document_record(self, scope: Scope, sha256: str, text: str) -> Record:
        """Return the record of a compiled pack."""
        return Record(keys.house_document_pk(scope.tenant, sha256), "DOC", v=1, d=text)

    def document(self, tenant: str, sha256: str) -> str | None:
        """Return the text of a compiled pack by its digest, None when this lender has none of it. It never changes."""
        return _document(tenant, sha256)

    def documents(self, tenant: str, digests: Iterable[str]) -> dict[str, bytes]:
        """Return, by digest, those documents that are packs of this lender."""
        found = {digest: self.document(tenant, digest) for digest in digests}
        return {digest: text.encode() for digest, text in found.items() if text is not None}


def _version(item: Record, scope: Scope) -> HouseVersion:
    if keys.tenant_of(item.pk) != scope.tenant:
        raise ForeignItem(f"an item of another lender answered a read of {scope.tenant}")
    return HouseVersion.model_validate({**json.loads(item.d), "version": item.v})


class _Missing(Exception):
    """No such document: not kept in mind, because it may be written yet."""


@lru_cache(maxsize=64)
def _kept(tenant: str, sha256: str) -> str:
    try:
        return str(Record.get(keys.house_document_pk(tenant, sha256), "DOC", consistent_read=True).d)
    except Record.DoesNotExist:
        raise _Missing from None


def _document(tenant: str, sha256: str) -> str | None:
    try:
        return _kept(tenant, sha256)
    except _Missing:
        return None
