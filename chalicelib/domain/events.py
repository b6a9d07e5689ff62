"""Events: what happened, once, in the order of its stream, as canonical bytes that are hashed and archived.

Every state change writes its events in the same transaction. A stream is the history of one aggregate (a case, a
person, a portfolio, an organisation); ``seq`` is dense in it from 1, and ``prev`` is the SHA-256 of the canonical
bytes of the event before, so a missing event shows to anyone who holds the stream.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import rfc8785

from chalicelib.domain.ids import is_id


class EventType(StrEnum):
    """The closed set of event types; ``docs/events.md`` lists the open data of each. Never reuse a name."""

    LENDER_REGISTERED = "lender.registered"
    LENDER_WITNESSES_SET = "lender.witnesses_set"
    LENDER_KEY_MADE = "lender.key_made"
    AGENCY_LISTED = "agency.listed"
    COLLECTOR_REGISTERED = "collector.registered"

    COURSE_DRAFTED = "course.drafted"
    COURSE_APPROVED = "course.approved"
    COURSE_REJECTED = "course.rejected"
    TRAINING_PLANNED = "training.planned"
    TRAINING_STARTED = "training.started"
    TRAINING_STOPPED = "training.stopped"
    TRAINING_CANCELLED = "training.cancelled"
    TRAINING_CREDITED = "training.credited"
    EXAM_STARTED = "exam.started"
    EXAM_MARKED = "exam.marked"
    EXAM_VOIDED = "exam.voided"
    CERTIFICATE_ISSUED = "certificate.issued"
    CERTIFICATE_EXPIRING = "certificate.expiring"
    CERTIFICATE_LAPSED = "certificate.lapsed"
    CERTIFICATE_REVOKED = "certificate.revoked"

    TEMPLATE_DRAFTED = "template.drafted"
    TEMPLATE_APPROVED = "template.approved"
    TEMPLATE_REJECTED = "template.rejected"
    TEMPLATE_RETIRED = "template.retired"

    PORTFOLIO_REQUESTED = "portfolio.requested"
    PORTFOLIO_REFUSED = "portfolio.refused"
    PORTFOLIO_ACCEPTED = "portfolio.accepted"
    PORTFOLIO_LOADED = "portfolio.loaded"

    CASE_PLACED = "case.placed"
    CASE_ASSIGNED = "case.assigned"
    CASE_CHANGED = "case.changed"
    ACTIVITY_RECORDED = "activity.recorded"
    PROMISE_MADE = "promise.made"
    PROMISE_KEPT = "promise.kept"
    PROMISE_BROKEN = "promise.broken"
    PAYMENT_POSTED = "payment.posted"
    PAYMENT_REVERSED = "payment.reversed"
    PAUSE_RECORDED = "pause.recorded"
    PAUSE_CANCELLED = "pause.cancelled"
    LIMITATION_RECORDED = "limitation.recorded"
    LITIGATION_OPENED = "litigation.opened"
    LITIGATION_CHANGED = "litigation.changed"
    LITIGATION_DOCUMENT_FILED = "litigation.document_filed"
    COMPLAINT_RECEIVED = "complaint.received"
    RISK_EVENT_RAISED = "risk_event.raised"
    RISK_EVENT_FOUND = "risk_event.found"
    RISK_EVENT_DISPUTED = "risk_event.disputed"
    RISK_EVENT_CONFIRMED = "risk_event.confirmed"
    RISK_EVENT_DISMISSED = "risk_event.dismissed"
    RISK_EVENT_ACTION_SET = "risk_event.action_set"
    RISK_EVENT_ACTION_FINISHED = "risk_event.action_finished"
    RISK_EVENT_ACTION_RETURNED = "risk_event.action_returned"
    RISK_EVENT_CLOSED = "risk_event.closed"
    QUALITY_PLAN_SET = "quality_plan.set"
    QUALITY_DRAWN = "quality.drawn"
    QUALITY_CHECKED = "quality.checked"
    QUALITY_VOIDED = "quality.voided"

    CONTACT_REQUESTED = "contact.requested"
    CONTACT_DECIDED = "contact.decided"
    CONTACT_CLAIMED = "contact.claimed"
    CONTACT_SENT = "contact.sent"
    CONTACT_REJECTED = "contact.rejected"
    CONTACT_UNKNOWN = "contact.unknown"
    CONTACT_DELIVERED = "contact.delivered"
    CONTACT_FAILED = "contact.failed"
    CONTACT_CANCELLED = "contact.cancelled"
    CONTACT_EXPIRED = "contact.expired"
    CONTACT_REPORTED = "contact.reported"

    INBOUND_RECEIVED = "inbound.received"
    CONSENT_CHANGED = "consent.changed"
    HOLD_PLACED = "hold.placed"
    HOLD_RELEASED = "hold.released"

    DUTY_OPENED = "duty.opened"
    DUTY_FULFILLED = "duty.fulfilled"
    DUTY_ESCALATED = "duty.escalated"
    DUTY_EXTENDED = "duty.extended"
    DUTY_LAPSED = "duty.lapsed"
    DUTY_WAIVED = "duty.waived"

    FEEDBACK_RECEIVED = "feedback.received"
    FEEDBACK_ASSIGNED = "feedback.assigned"
    FEEDBACK_ANSWERED = "feedback.answered"
    FEEDBACK_ESCALATED = "feedback.escalated"
    FEEDBACK_CLOSED = "feedback.closed"
    FEEDBACK_REOPENED = "feedback.reopened"

    SURVEY_RULES_DRAFTED = "survey_rules.drafted"
    SURVEY_RULES_APPROVED = "survey_rules.approved"
    SURVEY_RULES_REJECTED = "survey_rules.rejected"
    SURVEY_DRAWN = "survey.drawn"
    SURVEY_SENT = "survey.sent"
    SURVEY_ANSWERED = "survey.answered"
    SURVEY_ENDED = "survey.ended"

    ERASURE_REQUESTED = "erasure.requested"
    ERASURE_DECIDED = "erasure.decided"
    PERSON_KEYS_DESTROYED = "person.keys_destroyed"
    PERSON_UNMASKED = "person.unmasked"
    PERSON_EXPORTED = "person.exported"
    PERSON_HOLD_PLACED = "person.hold_placed"
    PERSON_HOLD_RELEASED = "person.hold_released"
    PERSON_POINT_ADDED = "person.point_added"
    PERSON_POINT_VERIFIED = "person.point_verified"
    PERSON_POINT_RETIRED = "person.point_retired"
    PERSON_PREFERENCES_SET = "person.preferences_set"
    PERSON_DATA_CONFIRMED = "person.data_confirmed"
    PERSON_MERGED = "person.merged"
    PERSON_SPLIT = "person.split"
    PERSON_DUPLICATE_DISMISSED = "person.duplicate_dismissed"
    CLIENT_ADMITTED = "client.admitted"

    SIMULATION_REQUESTED = "simulation.requested"
    SIMULATION_PLANNED = "simulation.planned"
    SIMULATION_FINISHED = "simulation.finished"
    SIMULATION_CANCELLED = "simulation.cancelled"

    HOUSE_RULES_DRAFTED = "house_rules.drafted"
    HOUSE_RULES_COMMENTED = "house_rules.commented"
    HOUSE_RULES_APPROVED = "house_rules.approved"
    HOUSE_RULES_REJECTED = "house_rules.rejected"
    HOUSE_RULES_RETIRED = "house_rules.retired"

    STRATEGY_DRAFTED = "strategy.drafted"
    STRATEGY_APPROVED = "strategy.approved"
    STRATEGY_REJECTED = "strategy.rejected"
    STRATEGY_ACTIVATED = "strategy.activated"
    STRATEGY_ENDED = "strategy.ended"
    PLAN_STEP_SETTLED = "plan.step_settled"
    PLAN_OVERRIDDEN = "plan.overridden"
    EXPERIMENT_DRAFTED = "experiment.drafted"
    EXPERIMENT_STARTED = "experiment.started"
    EXPERIMENT_ENDED = "experiment.ended"
    EXPERIMENT_ASSIGNED = "experiment.assigned"
    EXPERIMENT_MEASURED = "experiment.measured"

    TERMS_OFFERED = "terms.offered"
    TERMS_DECIDED = "terms.decided"
    STATEMENT_OBJECTED = "statement.objected"
    STATEMENT_ANSWERED = "statement.answered"

    ARCHIVE_EXPORT_REQUESTED = "archive.export_requested"
    ARCHIVE_EXPORT_PACKED = "archive.export_packed"
    ARCHIVE_EXPORT_SIGNED = "archive.export_signed"
    ARCHIVE_EXPORT_FINISHED = "archive.export_finished"
    ARCHIVE_DOWNLOADED = "archive.downloaded"
    ARCHIVE_RETENTION_EXTENDED = "archive.retention_extended"
    ARCHIVE_OBJECT_HIDDEN = "archive.object_hidden"
    ARCHIVE_HOLD_PLACED = "archive.hold_placed"
    ARCHIVE_HOLD_RELEASED = "archive.hold_released"
    ARCHIVE_HOLD_APPLIED = "archive.hold_applied"

    LOG_GENESIS = "log.genesis"
    LOG_CLOSE = "log.close"
    LOG_HEARTBEAT = "log.heartbeat"


MOST_BYTES = 65_000
"""The most canonical bytes of one event: an entry of the log holds 65,535, and its envelope needs some of them."""


class EventTooLarge(ValueError):
    """The event could never be archived, so what it tells of must not happen."""

    def __init__(self, event_type: EventType, size: int) -> None:
        """Name the type and the size; never the content."""
        super().__init__(f"{event_type} of {size} bytes, at most {MOST_BYTES}")


@dataclass(frozen=True, slots=True)
class Actor:
    """Who caused an event: ``kind`` is system, user, agency or lender; ``auth`` names the credential, never its secret."""

    kind: str
    id: str
    auth: str

    def as_json(self) -> dict[str, str]:
        """Return the three fields as they stand in the record."""
        return {"kind": self.kind, "id": self.id, "auth": self.auth}


@dataclass(frozen=True, slots=True)
class Event:
    """One event of one stream.

    ``at`` is RFC 3339 UTC with three decimals. ``data`` is open: no personal data, ids ASCII, integers within
    +-(2**53-1), no floats. ``sealed`` is base64url(nonce || ciphertext || tag) under the subject key ``key``.
    ``decision`` stands on ``contact.decided`` only: ``{outcome, ruleset, reasons, inputs}``.
    """

    id: str
    type: EventType
    at: str
    tenant: str
    stream: str
    seq: int
    prev: str | None
    actor: Actor
    req: str
    data: Mapping[str, Any] = field(default_factory=dict)
    decision: Mapping[str, Any] | None = None
    key: str | None = None
    sealed: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the ``event`` object of the audit record (evidence format v1); absent members are left out."""
        record: dict[str, Any] = {
            "id": self.id,
            "type": self.type.value,
            "at": self.at,
            "actor": self.actor.as_json(),
            "req": self.req,
            "case": self.stream,
            "case_seq": self.seq,
            "case_prev": self.prev,
            "data": dict(self.data),
        }
        if self.decision is not None:
            record["decision"] = dict(self.decision)
        if self.sealed is not None:
            record["key"] = self.key
            record["sealed"] = self.sealed
        return record

    def canonical(self) -> bytes:
        """Return the RFC 8785 bytes of the event object.

        Raises ValueError for floats, integers beyond 2**53-1, lone surrogates, and ids that are not ASCII tokens.
        """
        record = self.as_json()
        refuse_floats(record)
        if not is_id(self.stream) or not is_id(self.id):
            raise ValueError("event and stream ids must be ASCII tokens")
        return rfc8785.dumps(record)

    def digest(self) -> str:
        """Return the SHA-256 (hex) of the canonical bytes: the ``prev`` of the stream's next event."""
        return hashlib.sha256(self.canonical()).hexdigest()


def event_from_canonical(raw: bytes, *, tenant: str) -> Event:
    """Return the event whose canonical bytes these are. Raises KeyError or ValueError when they are not an event."""
    record = json.loads(raw)
    return Event(
        id=record["id"],
        type=EventType(record["type"]),
        at=record["at"],
        tenant=tenant,
        stream=record["case"],
        seq=record["case_seq"],
        prev=record["case_prev"],
        actor=Actor(**record["actor"]),
        req=record["req"],
        data=record["data"],
        decision=record.get("decision"),
        key=record.get("key"),
        sealed=record.get("sealed"),
    )


def refuse_floats(value: Any) -> None:
    """Raise ValueError when a float stands anywhere in a JSON value: money and counts are integers."""
    if isinstance(value, float):
        raise ValueError("no floats in a record")
    if isinstance(value, Mapping):
        for member in value.values():
            refuse_floats(member)
    elif isinstance(value, list | tuple):
        for member in value:
            refuse_floats(member)
