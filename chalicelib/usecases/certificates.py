"""Certificates of collectors: recorded by the lender or issued on exams, told before they lapse, revoked.

The certificate and the collector's own record, which every ruling and assignment reads, change in one transaction, so that
no ruling sees a certificate that is not on record. That one ends needs nobody: the last day stands in the collector's record.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol

from chalicelib.domain import keys
from chalicelib.domain.cases.organisations import Collector
from chalicelib.domain.concurrency import retrying
from chalicelib.domain.errors import InvalidInput, NotFound, StateConflict
from chalicelib.domain.events import EventType
from chalicelib.domain.instants import local_date, to_text
from chalicelib.domain.state_table import Move, Refuse
from chalicelib.domain.training.certificate import (
    REVOCATIONS,
    Certificate,
    CertificateEvent,
    CertificateState,
    Source,
    answer,
    due,
    last_day,
    trainee_id,
)
from chalicelib.usecases.cases import CLOCK, Caller, Context, lender_of
from chalicelib.usecases.ports import Scope, Store


class Certificates(Protocol):
    """Certificates on record. See ``chalicelib.store.training_repository``."""

    def certificate(self, scope: Scope, trainee: str, country: str) -> Certificate | None:
        """Return a collector's certificate for a country by a strongly consistent read."""
        ...

    def certificates(self, scope: Scope, trainee: str) -> list[Certificate]:
        """Return every certificate of a collector, by country."""
        ...

    def certificates_of(self, scope: Scope, wanted: Sequence[tuple[str, str]]) -> list[Certificate]:
        """Return those certificates (trainee, country) that there are."""
        ...

    def certificate_record(self, certificate: Certificate) -> Any:
        """Return the record of the certificate at its version."""


@dataclass(frozen=True, slots=True)
class CertificatePorts:
    """What certificates need."""

    store: Store
    certificates: Certificates


@dataclass(frozen=True, slots=True)
class Shown:
    """What the lender was shown of training elsewhere: who tested, under which number, when, and how long it counts (closed).

    ``evidence`` is the SHA-256 (hex) of the document.
    """

    country: str
    issuer: str
    reference: str | None
    evidence: str
    issued_on: date
    valid_to: date


def record_certificate(
    ports: CertificatePorts, scope: Scope, org: str, collector_id: str, shown: Shown, caller: Caller, context: Context
) -> Certificate:
    """Record a certificate of training elsewhere; from then on the collector may act in its country up to its last day.

    The same evidence with the same days again changes nothing. Raises NotFound, StateConflict for a collector who left,
    InvalidInput for days that cannot be: a test to come, a last day before it, or beyond what the country allows.
    """
    zone = lender_of(ports.store, scope).zone
    if shown.issued_on > local_date(context.now, zone):
        raise InvalidInput("/issued_on", "in_the_future", "a test to come certifies nobody")
    if shown.valid_to < shown.issued_on:
        raise InvalidInput("/valid_to", "before_issued_on", "the certificate ends before it begins")
    if shown.valid_to > last_day(shown.country, shown.issued_on):
        raise InvalidInput("/valid_to", "too_long", "the country's rules let no test count so long")

    def once() -> Certificate:
        collector = collector_of(ports.store, scope, org, collector_id)
        known = ports.certificates.certificate(scope, trainee_id(org, collector_id), shown.country)
        issued = Certificate(
            tenant=scope.tenant,
            org=org,
            collector=collector_id,
            country=shown.country,
            source=Source.EXTERNAL,
            evidence=shown.evidence,
            issuer=shown.issuer,
            reference=shown.reference,
            issued_on=shown.issued_on,
            valid_to=shown.valid_to,
            zone=zone,
            version=1 if known is None else known.version + 1,
        )
        if known is not None and issued.model_copy(update={"version": known.version, "warned": known.warned}) == known:
            return known
        unit = ports.store.unit(scope, actor=caller.actor, req=context.req, now=context.now)
        add_issue(ports, unit, scope, collector, known, issued)
        unit.commit()
        return issued

    return retrying(once)


def add_issue(
    ports: CertificatePorts,
    unit: Any,
    scope: Scope,
    collector: Collector,
    known: Certificate | None,
    issued: Certificate,
) -> None:
    """Add to a unit that a certificate is issued: its record, the collector's, and the event. Raises StateConflict."""
    if known is not None:
        _must(known, CertificateEvent.ISSUE)
    unit.replace(ports.certificates.certificate_record(issued), expected=0 if known is None else known.version)
    _mark(ports, unit, scope, collector, {**collector.certified, issued.country: issued.valid_to})
    told = {
        "source": issued.source.value,
        "evidence_sha256": issued.evidence,
        "issued_on": issued.issued_on.isoformat(),
    }
    unit.emit(
        _stream(scope, issued), EventType.CERTIFICATE_ISSUED, {**_data(issued), **told, "exams": list(issued.exams)}
    )


def revoke_certificate(
    ports: CertificatePorts,
    scope: Scope,
    org: str,
    collector_id: str,
    country: str,
    caller: Caller,
    context: Context,
    *,
    reason: str,
) -> Certificate:
    """End a certificate now: nothing is cleared or assigned any more. Once revoked, revoking it again changes nothing.

    Raises NotFound, InvalidInput for an unknown reason, StateConflict for one that has lapsed.
    """
    if reason not in REVOCATIONS:
        raise InvalidInput("/reason", "unknown_reason", "no such reason")

    def once() -> Certificate:
        collector = ports.store.collector(scope, org, collector_id)
        known = ports.certificates.certificate(scope, trainee_id(org, collector_id), country)
        if collector is None or known is None:
            raise NotFound("certificate", country)
        if not _must(known, CertificateEvent.REVOKE):
            return known
        changes = {"state": CertificateState.REVOKED, "revocation": reason, "revoked_at": to_text(context.now)}
        after = known.model_copy(update={**changes, "version": known.version + 1})
        unit = ports.store.unit(scope, actor=caller.actor, req=context.req, now=context.now)
        unit.replace(ports.certificates.certificate_record(after), expected=known.version)
        left = {each: day for each, day in collector.certified.items() if each != country}
        _mark(ports, unit, scope, collector, left)
        unit.emit(_stream(scope, after), EventType.CERTIFICATE_REVOKED, {**_data(after), "revocation": reason})
        unit.commit()
        return after

    return retrying(once)


def finish_due(ports: CertificatePorts, scope: Scope, trainee: str, *, now: datetime) -> str | None:
    """Tell of the collector's certificates that lapse soon or have lapsed; return what was done, None for nothing."""
    done = None
    for each in ports.certificates.certificates(scope, trainee):

        def once(country: str = each.country) -> str | None:
            known = ports.certificates.certificate(scope, trainee, country)
            found = due(known, now) if known is not None else None
            if known is None or found is None:
                return None
            unit = ports.store.unit(scope, actor=CLOCK, req=f"req_{trainee}", now=now)
            unit.replace(ports.certificates.certificate_record(found.after), expected=known.version)
            if found.event is CertificateEvent.LAPSE:
                unit.emit(_stream(scope, known), EventType.CERTIFICATE_LAPSED, _data(found.after))
            else:
                data = {**_data(found.after), "days_left": found.days_left}
                unit.emit(_stream(scope, known), EventType.CERTIFICATE_EXPIRING, data)
            unit.commit()
            return "certificate_lapsed" if found.event is CertificateEvent.LAPSE else "certificate_expiring"

        done = retrying(once) or done
    return done


def list_certificates(
    ports: CertificatePorts, scope: Scope, org: str, *, collector: str | None = None
) -> list[Certificate]:
    """Return the certificates of an agency's collectors, or of one, by their last day.

    Those of collectors who left, and those that were revoked, are left out; one that lapsed stays until it is issued anew.
    """
    found = [each for each in ports.store.collectors(scope, org) if not each.left and collector in (None, each.id)]
    wanted = [(trainee_id(org, each.id), country) for each in found for country in each.certified]
    return sorted(
        ports.certificates.certificates_of(scope, wanted),
        key=lambda each: (each.valid_to, each.collector, each.country),
    )


def collector_of(store: Store, scope: Scope, org: str, collector: str) -> Collector:
    """Return a collector who works for the agency or the lender. Raises NotFound, StateConflict for one who left."""
    found = store.collector(scope, org, collector)
    if found is None:
        raise NotFound("collector", collector)
    if found.left:
        raise StateConflict("collector_left", "the collector works there no more")
    return found


def _must(known: Certificate, event: CertificateEvent) -> bool:
    reply = answer(known.state, event)
    if isinstance(reply, Refuse):
        raise StateConflict("certificate_state", reply.reason)
    return isinstance(reply, Move)


def _mark(
    ports: CertificatePorts, unit: Any, scope: Scope, collector: Collector, certified: Mapping[str, date]
) -> None:
    after = collector.model_copy(update={"certified": dict(certified), "version": collector.version + 1})
    pk, sk = keys.tenant_pk(scope.tenant), keys.collector_sk(collector.org, collector.id)
    unit.replace(ports.store.plain_record(pk, sk, after, version=after.version), expected=collector.version)


def _stream(scope: Scope, certificate: Certificate) -> str:
    return keys.trainee_pk(scope.tenant, certificate.trainee)


def _data(certificate: Certificate) -> dict[str, Any]:
    return {
        "collector": certificate.collector,
        "agency": None if certificate.org == certificate.tenant else certificate.org,
        "certificate_country": certificate.country,
        "valid_to": certificate.valid_to.isoformat(),
    }
