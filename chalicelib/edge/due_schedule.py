"""``release_due``: the clock's work, every minute."""

from typing import Any

from chalice.app import Blueprint, CloudWatchEvent, Rate

from chalicelib import wiring
from chalicelib.edge.observed import logger, observed
from chalicelib.usecases import due

bp = Blueprint(__name__)


@bp.schedule(Rate(1, unit=Rate.MINUTES))
@observed
def release_due(event: CloudWatchEvent) -> dict[str, Any]:
    """Pick up what was put off, forgotten or left open."""
    report = due.release_due(
        wiring.store(),
        wiring.queues(),
        wiring.worker_scope,
        wiring.due_handlers(),
        now=wiring.now(),
        req=f"req_{event.event_id}",
        on_failure=_report,
    )
    return {"moved": report.moved, "failed": len(report.failed)}


def _report(key: str, error: Exception) -> None:
    logger().error("due item failed", extra={"key": key, "error": type(error).__name__})
