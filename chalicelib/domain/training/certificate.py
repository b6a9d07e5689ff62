"""Certificates: where a collector may act, on whose word, and until when; a total table over state and event.

A certificate is of one collector for one country. It ends with its last day in the lender's zone (closed), whether or not
anything has run by then: the ruling and the assignment look at the day, and the clock only tells of it.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict

from chalicelib.domain.instants import to_text
from chalicelib.domain.state_table import Move, Refuse, Reply, StateTable, Stay

WARN_DAYS = (30, 14, 3)
"""How many days before a certificate lapses it is told."""

LONGEST_DAYS = {"CN": 365}
"""How many days after the last test a certificate ends at the latest, by country (CN-AGY-1: GB/T 45251-2025, 5.2)."""

LONGEST_DAYS_ELSEWHERE = 1_096


class Source(StrEnum):
    """On whose word it rests: exams taken here, or what the lender was shown of training elsewhere."""

    EXAMS = "exams"
    EXTERNAL = "external"


class CertificateState(StrEnum):
    """Where a certificate stands. Each can be issued anew."""

    VALID = "valid"
    LAPSED = "lapsed"
    REVOKED = "revoked"


class CertificateEvent(StrEnum):
    """What can happen to a certificate."""

    ISSUE = "issue"
    WARN = "warn"
    LAPSE = "lapse"
    REVOKE = "revoke"


_S, _E = CertificateState, CertificateEvent
_REPLIES: dict[tuple[CertificateState, CertificateEvent], Reply[CertificateState]] = {
    (_S.VALID, _E.ISSUE): Move(_S.VALID),
    (_S.VALID, _E.WARN): Move(_S.VALID),
    (_S.VALID, _E.LAPSE): Move(_S.LAPSED),
    (_S.VALID, _E.REVOKE): Move(_S.REVOKED),
    (_S.LAPSED, _E.ISSUE): Move(_S.VALID),
    (_S.LAPSED, _E.WARN): Stay("it has lapsed"),
    (_S.LAPSED, _E.LAPSE): Stay("it lapsed before"),
    (_S.LAPSED, _E.REVOKE): Refuse("the certificate has lapsed"),
    # What is issued after a revocation rests on what was shown or passed after it.
    (_S.REVOKED, _E.ISSUE): Move(_S.VALID),
    (_S.REVOKED, _E.WARN): Stay("it was revoked"),
    (_S.REVOKED, _E.LAPSE): Stay("it was revoked"),
    (_S.REVOKED, _E.REVOKE): Stay("it was revoked before"),
}
TABLE = StateTable(CertificateState, CertificateEvent, _REPLIES)
answer = TABLE.answer

REVOCATIONS = frozenset({"conduct", "evidence_rejected", "entry_error", "exam_fraud", "lender_request"})
"""Why a certificate may be revoked."""


class Certificate(BaseModel):
    """A collector's certificate for a country. ``valid_to`` is its last day (closed) in the lender's zone.

    ``evidence`` is the SHA-256 (hex) of what the lender was shown, for exams that of their papers and marks; ``issuer`` and
    ``reference`` are the lender's own short texts about training elsewhere. ``exams`` are the exams that it rests on.
    ``warned`` are the warnings (days before it lapses) that were given since it was issued.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tenant: str
    org: str
    collector: str
    country: str
    source: Source
    evidence: str
    issuer: str | None = None
    reference: str | None = None
    exams: tuple[str, ...] = ()
    issued_on: date
    valid_to: date
    zone: str
    state: CertificateState = CertificateState.VALID
    warned: tuple[int, ...] = ()
    revoked_at: str | None = None
    revocation: str | None = None
    version: int = 1

    @property
    def trainee(self) -> str:
        """Return the id of the collector's training record, which names the stream of its events."""
        return trainee_id(self.org, self.collector)

    @property
    def lapses_at(self) -> datetime:
        """Return the instant from which it is no more: 00:00 in the lender's zone on the day after the last one."""
        return _midnight(self.valid_to + timedelta(days=1), self.zone)

    def warns_at(self, days: int) -> datetime:
        """Return the instant of the warning so many days before it lapses: 00:00 in the lender's zone."""
        return _midnight(self.valid_to + timedelta(days=1 - days), self.zone)

    @property
    def wakes_at(self) -> str | None:
        """Return the instant at which the clock must look at it again, None when it never must."""
        if self.state is not CertificateState.VALID:
            return None
        return to_text(min([self.lapses_at, *(self.warns_at(days) for days in WARN_DAYS if days not in self.warned)]))


@dataclass(frozen=True, slots=True)
class Due:
    """What the clock finds at an instant: the event, the certificate after it, and how many days are left (0: lapsed)."""

    event: CertificateEvent
    after: Certificate
    days_left: int


def due(certificate: Certificate, now: datetime) -> Due | None:
    """Return what has come due, None when nothing has. Of several warnings that were missed the nearest is given, once."""
    after = certificate.version + 1
    if certificate.state is not CertificateState.VALID:
        return None
    if certificate.lapses_at <= now:
        lapsed = certificate.model_copy(update={"state": CertificateState.LAPSED, "version": after})
        return Due(CertificateEvent.LAPSE, lapsed, 0)
    passed = {days for days in WARN_DAYS if days not in certificate.warned and certificate.warns_at(days) <= now}
    if not passed:
        return None
    today = now.astimezone(ZoneInfo(certificate.zone)).date()
    warned = tuple(sorted({*certificate.warned, *passed}, reverse=True))
    told = certificate.model_copy(update={"warned": warned, "version": after})
    return Due(CertificateEvent.WARN, told, (certificate.valid_to - today).days + 1)


def last_day(country: str, issued_on: date) -> date:
    """Return the latest last day (closed) of a certificate that rests on a test of ``issued_on``.

    >>> last_day("CN", date(2026, 1, 1)).isoformat()
    '2027-01-01'
    """
    return issued_on + timedelta(days=LONGEST_DAYS.get(country, LONGEST_DAYS_ELSEWHERE))


def trainee_id(org: str, collector: str) -> str:
    """Return the id of a collector's training record; two agencies may name their people alike."""
    return f"trn_{hashlib.sha256(f'{org}|{collector}'.encode()).hexdigest()[:32]}"


def _midnight(day: date, zone: str) -> datetime:
    return datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)
