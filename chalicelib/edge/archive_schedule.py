"""``archive_events``: sequences pending entries into each lender's transparency log, every five minutes."""

from typing import Any

from chalice.app import Blueprint, CloudWatchEvent, Rate

from chalicelib import wiring
from chalicelib.edge.observed import count, observed
from chalicelib.usecases import archive, archive_exports

bp = Blueprint(__name__)


@bp.schedule(Rate(5, unit=Rate.MINUTES))
@observed
def archive_events(event: CloudWatchEvent) -> dict[str, Any]:
    """Sequence, write tiles, sign and publish, ask the witnesses; and sign the manifests of exports that wait for it."""
    ports, now = wiring.archive_ports(), wiring.now()
    try:
        archived = archive.run_archive(ports, now=now)
    finally:
        # A log that stands still keeps no other lender's export waiting.
        signed = archive_exports.sign_manifests(wiring.export_ports(), ports.signers, now=now, req="archive_events")
    # Alarms stand on how many witnesses did not sign.
    shown = [run["witnesses"] for run in archived if run["witnesses"] is not None]
    for metric, kind in (("WitnessesSilent", "silent"), ("WitnessesRefused", "refused")):
        count("archive_events", metric, sum(len(each[kind]) for each in shown))
    return {"archived": archived, "signed": signed}
