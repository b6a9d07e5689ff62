"""``check_compliance``: the only function whose role may sign approvals. One borrower's wishes come one at a time."""

from typing import Any

from chalice.app import Blueprint, SQSEvent

from chalicelib import wiring
from chalicelib.edge.batches import consume_in_order
from chalicelib.edge.observed import observed
from chalicelib.settings import stage_queue
from chalicelib.usecases import compliance

bp = Blueprint(__name__)


@bp.on_sqs_message(queue=stage_queue("compliance.fifo"), batch_size=10)
@observed
def check_compliance(event: SQSEvent) -> dict[str, Any]:
    """Rule on each requested message or clearance of the batch."""
    return consume_in_order(event, _check)


def _check(body: dict[str, Any], req: str) -> object:
    scope = wiring.worker_scope(body["tenant"])
    return compliance.check(
        wiring.store(),
        wiring.engine(),
        wiring.approval_signer(),
        scope,
        body["message"],
        clock=wiring.now,
        refresh=wiring.refresh_content,
        req=req,
    )
