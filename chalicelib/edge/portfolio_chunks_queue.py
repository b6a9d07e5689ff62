"""``load_portfolio_chunk``: makes cases of one chunk's rows; safe to repeat."""

from typing import Any

from chalice.app import Blueprint, SQSEvent

from chalicelib import wiring
from chalicelib.edge.batches import consume
from chalicelib.edge.observed import observed
from chalicelib.settings import stage_queue
from chalicelib.usecases import portfolios

bp = Blueprint(__name__)


@bp.on_sqs_message(queue=stage_queue("portfolio-chunks"), batch_size=1)
@observed
def load_portfolio_chunk(event: SQSEvent) -> dict[str, Any]:
    """Load each chunk of the batch."""
    return consume(
        event, lambda body, req: portfolios.load_chunk(wiring.portfolio_ports(), body, now=wiring.now(), req=req)
    )
