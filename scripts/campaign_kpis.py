"""Recompute the figures of simulated months from their archives, and compare every counter and figure with the projection.

    python -m scripts.campaign_kpis [--seeds 20] [--cases 300]

Each month is delivered as a stream at its worst may deliver it: late, twice, out of order between streams, now and then too
early within one. Then the projection must equal what ``scripts/recompute_kpis.py`` makes of the archive alone, to the unit,
and the money must equal the lender's own ledger, to the cent. Exit status 1 when anything differs.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from chalicelib.domain.events import Event
from chalicelib.usecases import kpis
from scripts import recompute_kpis
from scripts.kpi_memory import MemoryKpiRepository
from scripts.made_month import LENDER, ZONE, Month, a_month, deliveries, span, write_log

REDELIVERIES = 50
"""How often what was refused is delivered again at most."""


@dataclass(frozen=True, slots=True)
class _Scope:
    tenant: str = LENDER


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a seed came to: sizes, and one line for each difference."""

    events: int
    delivered: int
    cells: int
    figures: int
    differences: tuple[str, ...]


def project(month: Month, seed: int) -> tuple[MemoryKpiRepository, int]:
    """Fold a month as it is delivered; return the repository and how many events were handed over.

    Raises RuntimeError when something is refused for good.
    """
    repository, delivered, refused = MemoryKpiRepository(lambda tenant: ZONE), 0, {}
    by_id = {event.id: event for event in month.events}
    for batch in deliveries(month, seed):
        delivered += len(batch)
        refused.update({identity: by_id[identity] for identity in repository.fold(batch)})
    for _ in range(REDELIVERIES):
        if not refused:
            return repository, delivered
        again: list[Event] = list(refused.values())
        delivered += len(again)
        refused = {identity: by_id[identity] for identity in repository.fold(again)}
    raise RuntimeError(f"{len(refused)} events were refused for good")


def tried(seed: int, *, cases: int, folder: Path) -> Outcome:
    """Return what a seed's month came to; ``folder`` takes its archive."""
    month = a_month(seed, cases=cases)
    repository, delivered = project(month, seed)
    first, last = span(month)
    export = kpis.export_projection(kpis.KpiPorts(repository), _Scope(), first, last, zone=ZONE)
    write_log(folder, LENDER, month.events)
    base = recompute_kpis.load(folder)
    counters = recompute_kpis.recompute(base, LENDER, ZONE)
    figures = recompute_kpis.all_figures(counters)
    found = list(recompute_kpis.differences(export, counters, figures))
    found += untied(export["counters"], month.ledger)
    return Outcome(
        events=len(month.events),
        delivered=delivered,
        cells=sum(len(cells) for cells in export["counters"].values()),
        figures=sum(len(made) for cells in export["figures"].values() for made in cells.values()),
        differences=tuple(found),
    )


def untied(counters: dict[str, dict[str, dict[str, int]]], ledger: dict[str, int]) -> list[str]:
    """Return one line for each currency in which agencies, stages or batches do not add up to the lender's ledger."""
    found = []
    for currency, booked in ledger.items():
        for name, belongs in (
            ("agencies", lambda who: ":" not in who),
            ("stages", lambda who: who.startswith("stage:")),
            ("batches", lambda who: who.startswith("portfolio:")),
        ):
            net = sum(
                counts.get(f"paid_minor:{currency}", 0) - counts.get(f"reversed_minor:{currency}", 0)
                for cells in counters.values()
                for who, counts in cells.items()
                if belongs(who)
            )
            if net != booked:
                found.append(f"money {currency} by {name}: {net}, ledger {booked}")
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run the campaign; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.campaign_kpis", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--cases", type=int, default=300, help="of each month (default: %(default)s)")
    given = parser.parse_args(arguments)
    begun, wrong, events, cells, figures = time.monotonic(), 0, 0, 0, 0
    for seed in range(1, given.seeds + 1):
        with tempfile.TemporaryDirectory() as folder:
            outcome = tried(seed, cases=given.cases, folder=Path(folder))
        wrong += len(outcome.differences)
        events, cells, figures = events + outcome.events, cells + outcome.cells, figures + outcome.figures
        print(
            f"seed {seed:2d}: {outcome.events} events delivered {outcome.delivered} times, {outcome.cells} cells, "
            f"{outcome.figures} figures, {len(outcome.differences)} differences",
            flush=True,
        )
        for line in outcome.differences[:20]:
            print(f"  {line}")
    print(
        f"{given.seeds} months: {events} events, {cells} cells, {figures} figures, {wrong} differences, "
        f"{time.monotonic() - begun:.0f} s"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
