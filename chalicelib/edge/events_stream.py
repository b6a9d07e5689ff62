"""``project_events``: everything that follows from an event starts here, from the table's stream."""

from typing import Any

from chalice.app import Blueprint, DynamoDBEvent

from chalicelib import wiring
from chalicelib.domain import keys
from chalicelib.domain.events import Event
from chalicelib.edge.observed import logger, observed
from chalicelib.usecases import projections

bp = Blueprint(__name__)

PLACEHOLDER_STREAM = "arn:aws:dynamodb:us-east-1:000000000000:table/forbear/stream/placeholder"
"""Replaced by the table's own stream in the merge template."""


@bp.on_dynamodb_record(stream_arn=PLACEHOLDER_STREAM, batch_size=100)
@observed
def project_events(event: DynamoDBEvent) -> dict[str, Any]:
    """Project the batch's events; name the first record that failed, from which the stream then delivers again."""
    records = [record for record in event if record.event_name == "INSERT" and "e" in record.new_image]
    events = [_event(record) for record in records]
    failed = projections.project(events, wiring.projections_by_name(), on_failure=_report)
    sequence = {event.id: record.sequence_number for event, record in zip(events, records, strict=True)}
    first = min((sequence[event_id] for event_id in failed), key=int, default=None)
    return {"batchItemFailures": [] if first is None else [{"itemIdentifier": first}]}


def _event(record: Any) -> Event:
    import base64

    raw = record.new_image["e"]["B"]
    packed = base64.b64decode(raw) if isinstance(raw, str) else bytes(raw)
    return wiring.stored_event(packed, tenant=keys.tenant_of(record.keys["pk"]["S"]))


def _report(projection: str, error: Exception) -> None:
    logger().error("projection failed", extra={"projection": projection, "error": type(error).__name__})
