"""``archive_events``: sequences pending entries into each lender's transparency log, every five minutes."""

from typing import Any

from chalice.app import Blueprint, CloudWatchEvent, Rate

from chalicelib import wiring
from chalicelib.edge.observed import observed
from chalicelib.usecases import archive

bp = Blueprint(__name__)


@bp.schedule(Rate(5, unit=Rate.MINUTES))
@observed
def archive_events(event: CloudWatchEvent) -> dict[str, Any]:
    """Sequence, write tiles, sign and publish."""
    return {"archived": archive.run_archive(wiring.archive_ports(), now=wiring.now())}
