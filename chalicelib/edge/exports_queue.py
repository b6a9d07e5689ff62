"""``export_archive``: packs an export of the archive; safe to repeat."""

from typing import Any

from chalice.app import Blueprint, SQSEvent

from chalicelib import wiring
from chalicelib.edge.batches import consume
from chalicelib.edge.observed import observed
from chalicelib.settings import stage_queue
from chalicelib.usecases import archive_exports

bp = Blueprint(__name__)


@bp.on_sqs_message(queue=stage_queue("exports"), batch_size=1)
@observed
def export_archive(event: SQSEvent) -> dict[str, Any]:
    """Pack the export of each message, or end one whose manifest was signed; stop in time to write down what is done."""
    context: Any = event.context
    return consume(
        event,
        lambda body, req: archive_exports.work(
            wiring.export_ports(),
            body,
            clock=wiring.now,
            seconds_left=lambda: context.get_remaining_time_in_millis() / 1000,
            req=req,
        ),
    )
