"""``settle_provider_events``: what carriers and borrowers send back, by topic and queue."""

from typing import Any

from chalice.app import Blueprint, SQSEvent

from chalicelib import wiring
from chalicelib.edge.batches import consume
from chalicelib.edge.observed import observed
from chalicelib.settings import stage_queue
from chalicelib.usecases import provider_events

bp = Blueprint(__name__)


@bp.on_sqs_message(queue=stage_queue("provider-events"), batch_size=10)
@observed
def settle_provider_events(event: SQSEvent) -> dict[str, Any]:
    """Apply each delivery, failure, complaint and reply of the batch."""
    return consume(event, _settle)


def _settle(body: dict[str, Any], req: str) -> object:
    return provider_events.settle(wiring.store(), wiring.scopes_of_lenders, body, clock=wiring.now, req=req)
