"""``compute_kpis``: publishes the figures of each lender, agency and day, every hour, and makes the packs that are due."""

from typing import Any

from chalice.app import Blueprint, CloudWatchEvent, Rate

from chalicelib import wiring
from chalicelib.edge.observed import observed
from chalicelib.usecases import kpis, review_packs

bp = Blueprint(__name__)


@bp.schedule(Rate(1, unit=Rate.HOURS))
@observed
def compute_kpis(event: CloudWatchEvent) -> dict[str, Any]:
    """Compute and publish the figures from the counters; then make each lender's weekly review pack where one is due."""
    now = wiring.now()
    published = kpis.compute_kpis(wiring.kpi_ports(), now)
    return {"published": published, "packs": review_packs.make_due_packs(wiring.pack_ports(), wiring.lenders(), now)}
