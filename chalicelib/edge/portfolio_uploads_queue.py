"""``start_portfolio``: an upload arrived; the bucket says so by queue, because Chalice cannot package bucket events."""

from typing import Any

from chalice.app import Blueprint, SQSEvent

from chalicelib import wiring
from chalicelib.edge.batches import consume
from chalicelib.edge.observed import observed
from chalicelib.settings import stage_queue
from chalicelib.usecases import portfolios

bp = Blueprint(__name__)


@bp.on_sqs_message(queue=stage_queue("portfolio-uploads"), batch_size=1)
@observed
def start_portfolio(event: SQSEvent) -> dict[str, Any]:
    """Scan each uploaded object, compare its control totals, and split it into chunks or refuse it."""
    return consume(
        event, lambda body, req: portfolios.start_uploads(wiring.portfolio_ports(), body, now=wiring.now(), req=req)
    )
