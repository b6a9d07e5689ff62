"""``keep_archive``: goes on with today's look at the archive, every hour, until that is whole."""

from typing import Any

from chalice.app import Blueprint, CloudWatchEvent, Rate

from chalicelib import wiring
from chalicelib.edge.observed import count, observed
from chalicelib.usecases import keeping

bp = Blueprint(__name__)


@bp.schedule(Rate(1, unit=Rate.HOURS))
@observed
def keep_archive(event: CloudWatchEvent) -> dict[str, Any]:
    """Lengthen locks, put legal holds on and take them off, and count what is hidden; alarms stand on two of the counts."""
    report = keeping.keep_archive(wiring.keep_ports(), now=wiring.now())
    for metric, value in (
        ("LocksExtended", report.extended),
        ("LocksFailed", report.failed),
        ("ObjectsHidden", report.hidden),
    ):
        count("keep_archive", metric, value)
    return report.as_json()
