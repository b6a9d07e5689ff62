"""Recompute the figures of simulated months from their archives, and compare every counter and figure with the projection.

    python -m scripts.campaign_kpis [--seeds 20] [--cases 300]

Each month is delivered as a stream at its worst may deliver it: late, twice, out of order between streams, now and then too
early within one. Then the projection must equal what ``scripts/recompute_kpis.py`` makes of the archive alone, to the unit,
and the money must equal the lender's own ledger, to the cent. Where each case went, in the month and within it, must be the
same by the system's ledger and by that program's own; shares must sum to 1. Exit status 1 when anything differs.
"""

import argparse
import multiprocessing
import os
import sqlite3
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

from chalicelib.domain.events import Event
from chalicelib.domain.kpi import rolls
from chalicelib.usecases import kpis
from scripts import recompute_kpis
from scripts.kpi_memory import MemoryKpiRepository
from scripts.made_month import LENDER, ZONE, Month, a_month, deliveries, span, write_log

REDELIVERIES = 50
"""How often what was refused is delivered again at most."""


SPANS = (
    # The month, as it is closed; and days within it that every case has come by, with all that was booked later.
    (*rolls.ends_of("2026-11"), rolls.cutoff_of("2026-11", zone=ZONE)),
    (date(2026, 11, 12), date(2026, 11, 30), "9"),
    (date(2026, 11, 12), date(2026, 12, 31), rolls.cutoff_of("2026-10", zone=ZONE)),
)
"""Between which days, and by what was written up to which instant, cases are followed."""


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
    moved: int
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
    rolled = unlike(month, base)
    found += rolled.differences
    return Outcome(
        events=len(month.events),
        delivered=delivered,
        cells=sum(len(cells) for cells in export["counters"].values()),
        figures=sum(len(made) for cells in export["figures"].values() for made in cells.values()),
        moved=rolled.moved,
        differences=tuple(found),
    )


@dataclass(frozen=True, slots=True)
class Rolled:
    """How many moves of cases were compared, and one line for each difference."""

    moved: int
    differences: list[str]


def unlike(month: Month, base: sqlite3.Connection) -> Rolled:
    """Compare where the cases went by the system's ledger with what the separate program makes of the archive."""
    moved, found = 0, list[str]()
    for first, last, cutoff in SPANS:
        moves: rolls.Moves = {}
        for events in month.streams().values():
            rolls.count_move(moves, rolls.known_by(events, cutoff), first, last, zone=ZONE)
        theirs = [[*move, *counts] for move, counts in moves.items()]
        ours = recompute_kpis.moves_of(base, LENDER, ZONE, first, last, cutoff=cutoff)
        moved += sum(counts.cases for counts in moves.values())
        found += recompute_kpis.move_differences(theirs, ours, f"{first} to {last}")
        found += [f"{first} to {last}: {line}" for table in rolls.tables(moves) for line in unsummed(table)]
    return Rolled(moved, found)


def unsummed(table: dict[str, Any]) -> list[str]:
    """Return one line for each row of shares that does not sum to 1: each share was rounded to six decimals."""
    rows = {"parts": table["parts"], "standing": table["standing"]}
    rows |= {f"{by} {bucket}": row for by in ("by_count", "by_balance") for bucket, row in table[by].items()}
    sums = {name: sum((Fraction(share) for share in row.values()), Fraction()) for name, row in rows.items() if row}
    return [f"{name} sums to {float(total)}" for name, total in sums.items() if abs(total - 1) > Fraction(1, 10**5)]


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


def _tried_alone(job: tuple[int, int]) -> Outcome:
    seed, cases = job
    with tempfile.TemporaryDirectory() as folder:
        return tried(seed, cases=cases, folder=Path(folder))


def main(arguments: list[str] | None = None) -> int:
    """Run the campaign; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.campaign_kpis", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--cases", type=int, default=300, help="of each month (default: %(default)s)")
    given = parser.parse_args(arguments)
    begun, wrong, events, cells, figures, moved = time.monotonic(), 0, 0, 0, 0, 0
    jobs = [(seed, given.cases) for seed in range(1, given.seeds + 1)]
    with multiprocessing.Pool(min(len(jobs), os.cpu_count() or 1)) as workers:
        for (seed, _), outcome in zip(jobs, workers.imap(_tried_alone, jobs), strict=True):
            wrong += len(outcome.differences)
            events, cells, figures = events + outcome.events, cells + outcome.cells, figures + outcome.figures
            moved += outcome.moved
            print(
                f"seed {seed:2d}: {outcome.events} events delivered {outcome.delivered} times, {outcome.cells} cells, "
                f"{outcome.figures} figures, {outcome.moved} moves of cases, {len(outcome.differences)} differences",
                flush=True,
            )
            for line in outcome.differences[:20]:
                print(f"  {line}")
    print(
        f"{given.seeds} months: {events} events, {cells} cells, {figures} figures, {moved} moves of cases, "
        f"{wrong} differences, {time.monotonic() - begun:.0f} s"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
