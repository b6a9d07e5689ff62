"""``compute_kpis``: every hour publishes the figures that changed, makes the packs that are due, and closes months."""

from typing import Any

from chalice.app import Blueprint, CloudWatchEvent, Rate

from chalicelib import wiring
from chalicelib.edge.observed import observed
from chalicelib.usecases import kpis, month_close, review_packs, statements

bp = Blueprint(__name__)


@bp.schedule(Rate(1, unit=Rate.HOURS))
@observed
def compute_kpis(event: CloudWatchEvent) -> dict[str, Any]:
    """Compute and publish the figures from the counters; then the review packs, months and statements that are due."""
    now, lenders = wiring.now(), wiring.lenders()
    published = kpis.compute_kpis(wiring.kpi_ports(), now)
    packs = review_packs.make_due_packs(wiring.pack_ports(), lenders, now)
    return {
        "published": published,
        "packs": packs,
        "statements": statements.make_due_statements(wiring.statement_ports(), lenders, now),
        "closing": month_close.close_months(wiring.month_ports(), lenders, now),
    }
