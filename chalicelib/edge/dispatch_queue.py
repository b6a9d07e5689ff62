"""``dispatch_messages``: the only function whose role may publish to a phone, send mail or call a channel."""

from typing import Any

from chalice.app import Blueprint, SQSEvent

from chalicelib import wiring
from chalicelib.edge.batches import consume
from chalicelib.edge.observed import observed
from chalicelib.settings import stage_queue
from chalicelib.usecases import dispatch

bp = Blueprint(__name__)


@bp.on_sqs_message(queue=stage_queue("dispatch"), batch_size=10)
@observed
def dispatch_messages(event: SQSEvent) -> dict[str, Any]:
    """Send each approved message of the batch, once."""
    return consume(event, _dispatch)


def _dispatch(body: dict[str, Any], req: str) -> object:
    return dispatch.dispatch(
        wiring.store(),
        wiring.carriers(),
        wiring.approval_verifier(),
        wiring.worker_scope(body["tenant"]),
        body["message"],
        clock=wiring.now,
        req=req,
    )
