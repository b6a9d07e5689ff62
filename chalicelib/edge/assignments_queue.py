"""``assign_cases``: gives placed cases to agencies. Bodies are ``{tenant, case}`` or ``{tenant, cases: [...]}``."""

from typing import Any

from chalice.app import Blueprint, SQSEvent

from chalicelib import wiring
from chalicelib.edge.batches import consume
from chalicelib.edge.observed import observed
from chalicelib.settings import stage_queue
from chalicelib.usecases import assignment

bp = Blueprint(__name__)


@bp.on_sqs_message(queue=stage_queue("assignments"), batch_size=5)
@observed
def assign_cases(event: SQSEvent) -> dict[str, Any]:
    """Assign the cases of each message of the batch."""
    return consume(event, _assign)


def _assign(body: dict[str, Any], req: str) -> object:
    return assignment.assign_cases(
        wiring.store(),
        wiring.feed_repository(),
        wiring.worker_scope(body["tenant"]),
        assignment.cases_in(body),
        now=wiring.now(),
        req=req,
    )
