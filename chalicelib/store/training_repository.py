"""Certificates of collectors, beside their training records: no personal data, plain JSON.

``T#<lender>#TRAINEE#<id>`` | ``CERT#<country>`` in the main table is a certificate; the due index wakes it before it lapses.
"""

import json
from collections.abc import Sequence

from chalicelib.domain import keys
from chalicelib.domain.training.certificate import Certificate
from chalicelib.store.repository import ForeignItem, Scope
from chalicelib.store.tables import Record

_BATCH_GET = 100


class TrainingRepository:
    """Implements ``chalicelib.usecases.certificates.Certificates``."""

    def certificate(self, scope: Scope, trainee: str, country: str) -> Certificate | None:
        """Return a collector's certificate for a country by a strongly consistent read, or None."""
        pk, sk = keys.trainee_pk(scope.tenant, trainee), keys.certificate_sk(country)
        try:
            return _certificate(Record.get(pk, sk, consistent_read=True), scope)
        except Record.DoesNotExist:
            return None

    def certificates(self, scope: Scope, trainee: str) -> list[Certificate]:
        """Return every certificate of a collector, by country."""
        pk, prefix = keys.trainee_pk(scope.tenant, trainee), Record.sk.startswith(keys.certificate_sk(""))
        return [_certificate(item, scope) for item in Record.query(pk, prefix, consistent_read=True)]

    def certificates_of(self, scope: Scope, wanted: Sequence[tuple[str, str]]) -> list[Certificate]:
        """Return those certificates (trainee, country) that there are."""
        places = [(keys.trainee_pk(scope.tenant, trainee), keys.certificate_sk(country)) for trainee, country in wanted]
        found: list[Certificate] = []
        for start in range(0, len(places), _BATCH_GET):
            items = Record.batch_get(places[start : start + _BATCH_GET], consistent_read=True)
            found += [_certificate(item, scope) for item in items]
        return found

    def certificate_record(self, certificate: Certificate) -> Record:
        """Return the record of the certificate at its version, in the due index while it is valid."""
        pk, sk = keys.trainee_pk(certificate.tenant, certificate.trainee), keys.certificate_sk(certificate.country)
        body = certificate.model_dump_json(exclude_defaults=True, exclude={"version"})
        record = Record(pk, sk, v=certificate.version, s=certificate.state.value, d=body)
        if certificate.wakes_at is not None:
            record.due_shard, record.due_at = keys.due_shard(certificate.trainee), certificate.wakes_at
        return record


def _certificate(item: Record, scope: Scope) -> Certificate:
    if keys.tenant_of(item.pk) != scope.tenant:
        raise ForeignItem(f"an item of another lender answered a read of {scope.tenant}")
    return Certificate.model_validate({**json.loads(item.d), "version": item.v})
