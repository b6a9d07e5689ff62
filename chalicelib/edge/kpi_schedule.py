"""``compute_kpis``: publishes the figures of each lender, agency and day, every hour."""

from typing import Any

from chalice.app import Blueprint, CloudWatchEvent, Rate

from chalicelib import wiring
from chalicelib.edge.observed import observed
from chalicelib.usecases import kpis

bp = Blueprint(__name__)


@bp.schedule(Rate(1, unit=Rate.HOURS))
@observed
def compute_kpis(event: CloudWatchEvent) -> dict[str, Any]:
    """Compute and publish the figures from the counters."""
    return {"published": kpis.compute_kpis(wiring.kpi_ports(), wiring.now())}
