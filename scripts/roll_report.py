"""Print a lender's roll matrices between two days, made from its downloaded archive alone.

    python -m scripts.roll_report ARCHIVE --from 2026-10-31 --to 2026-11-30 [--tenant ID] [--json]

Every case stands where its events put it by everything known now, so a payment that was booked late is where it belongs.
Each row of a matrix sums to 1; balances are in the currency's smallest unit. Exit status 2 when the archive cannot be read.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

from chalicelib.domain.events import Event, event_from_canonical
from chalicelib.domain.kpi import rolls
from scripts.recompute_kpis import Unreadable, read_log


def streams_of(archive: Path) -> dict[str, dict[str, list[Event]]]:
    """Return the events of every log below a folder: lender -> stream -> events in order. Raises Unreadable."""
    found: dict[str, dict[str, list[Event]]] = defaultdict(lambda: defaultdict(list))
    logs = sorted(entries.parent.parent for entries in archive.rglob("tile/entries") if entries.is_dir())
    if not logs:
        raise Unreadable(f"no log (tile/entries) lies under {archive}")
    for log in logs:
        for record in read_log(log):
            tenant = record["log"].split("/")[-2]
            event = event_from_canonical(json.dumps(record["event"]).encode(), tenant=tenant)
            found[tenant][event.stream].append(event)
    return {
        tenant: {stream: sorted(events, key=lambda event: event.seq) for stream, events in streams.items()}
        for tenant, streams in found.items()
    }


def zone_in(streams: Iterable[list[Event]]) -> str:
    """Return the zone that the lender's registration states, UTC when none does."""
    return next((str(e.data["zone"]) for events in streams for e in events if "zone" in e.data), "UTC")


def report(streams: dict[str, list[Event]], first: date, last: date, *, zone: str) -> list[dict[str, Any]]:
    """Return one entry a currency: the tracked matrix by count and balance, its parts, flow rates and their chain."""
    moves: rolls.Moves = {}
    for events in streams.values():
        rolls.count_move(moves, events, first, last, zone=zone)
    return rolls.tables(moves)


def main(arguments: list[str] | None = None) -> int:
    """Print the report; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m scripts.roll_report", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("archive", type=Path)
    parser.add_argument("--from", dest="first", type=date.fromisoformat, required=True)
    parser.add_argument("--to", dest="last", type=date.fromisoformat, required=True)
    parser.add_argument("--tenant")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    try:
        found = streams_of(given.archive)
    except (Unreadable, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    for tenant, streams in sorted(found.items()):
        if given.tenant not in (None, tenant):
            continue
        entries = report(streams, given.first, given.last, zone=zone_in(streams.values()))
        if given.json:
            print(json.dumps({"tenant": tenant, "from": str(given.first), "to": str(given.last), "entries": entries}))
            continue
        for entry in entries:
            print(f"{tenant} {entry['currency']}: {entry['cases']} cases open on {given.first}, {given.last} after")
            for bucket, row in entry["by_balance"].items():
                print(f"  {bucket:>7} " + "  ".join(f"{after} {share}" for after, share in row.items()))
            print("  " + "  ".join(f"{kind} {share}" for kind, share in entry["parts"].items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
