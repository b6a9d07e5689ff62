#!/usr/bin/env python3
"""Recompute every key figure from a downloaded audit archive, and compare with what the system says.

    python scripts/recompute_kpis.py ARCHIVE [--tenant ID] [--zone ZONE] [--against EXPORT.json]

ARCHIVE is a directory that holds one or more logs of a lender (``<tenant>/<yyyy>/tile/entries/...``). The entries are
loaded into a database in memory and every counter is one query over them; every figure is then made from the counters
under the formulas of ``docs/kpis.md``, which are stated here a second time. Nothing is shared with the system but that
page: only the standard library is used, so that agreement means something. Whether the entries are the ones that the
log's signed checkpoint covers is for the archive's verifier to say, not for this program.

Without ``--against`` the counters and figures are printed as JSON. With it, each difference is one line on standard
output. Exit status: 0 no difference, 1 differences, 2 the archive or the export cannot be read.
"""

import argparse
import json
import math
import sqlite3
import sys
from collections.abc import Iterator
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

BUNDLE = 256
"""Entries in a full bundle."""


class Unreadable(Exception):
    """The archive or the export is not what it should be."""


# --- Reading the archive -----------------------------------------------------------------------------------------


def bundle_name(number: int) -> str:
    """Return the path of an entry bundle: three-digit groups, all but the last with an x (1234067 -> x001/x234/067)."""
    groups = [f"{number % 1000:03d}"]
    while number >= 1000:
        number //= 1000
        groups.insert(0, f"x{number % 1000:03d}")
    return "/".join(groups)


def entries_of_bundle(raw: bytes, where: Path) -> list[bytes]:
    """Return the entries of a bundle, each prefixed by its length in two bytes, the greater first."""
    entries, place = [], 0
    while place < len(raw):
        start = place + 2
        place = start + int.from_bytes(raw[place:start], "big")
        if start > len(raw) or place > len(raw):
            raise Unreadable(f"{where} ends within an entry")
        entries.append(raw[start:place])
    return entries


def log_size(log: Path) -> int | None:
    """Return the size in the log's checkpoint (its second line), or None when the download has no checkpoint."""
    note = log / "checkpoint"
    if not note.exists():
        return None
    try:
        return int(note.read_text(encoding="utf-8").split("\n")[1])
    except (IndexError, ValueError) as error:
        raise Unreadable(f"{note} is no checkpoint") from error


def read_bundle(log: Path, number: int, least: int) -> list[bytes]:
    """Return the entries of the fullest copy of a bundle; none when there is no copy. At least ``least`` must be there."""
    full = log / "tile" / "entries" / bundle_name(number)
    partial = full.with_name(full.name + ".p")
    widths = sorted((int(each.name) for each in partial.iterdir() if each.name.isdigit()) if partial.is_dir() else ())
    path, width = (full, BUNDLE) if full.is_file() else (partial / str(widths[-1]), widths[-1]) if widths else (full, 0)
    entries = entries_of_bundle(path.read_bytes(), path) if width else []
    if len(entries) != width or width < least:
        raise Unreadable(f"{path} holds {len(entries)} entries; {max(width, least)} are needed")
    return entries


def read_log(log: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of a log in order, checked for form, version and number."""
    size, seq, number = log_size(log), 0, 0
    while size is None or seq < size:
        wanted = 0 if size is None else min(BUNDLE, size - seq)
        entries = read_bundle(log, number, wanted)
        for raw in entries[: wanted or None]:
            try:
                record = json.loads(raw)
                ok = record["v"] == 1 and record["seq"] == seq and isinstance(record["event"], dict)
            except (ValueError, KeyError, TypeError) as error:
                raise Unreadable(f"entry {seq} of {log} is no record") from error
            if not ok:
                raise Unreadable(f"entry {seq} of {log} is not version 1, or not number {seq}")
            yield record
            seq += 1
        number += 1
        if size is None and len(entries) < BUNDLE:
            return


# --- Loading -----------------------------------------------------------------------------------------------------

COLUMNS = {
    "currency": "currency",
    "placed": "placed_minor",
    "amount": "amount_minor",
    "was": "was",
    "channel": "channel",
    "action": "action",
    "from_state": "from",
    "outcome": "outcome",
    "result": "result",
    "contact": "contact",
    "person": "person",
    "attempt": "attempt",
    "connect": "connect",
    "connected": "connected",
    "right_party": "right_party",
    "keyword": "keyword",
    "org": "org",
    "agency": "agency",
    "zone": "zone",
}
"""Column of the table of events -> member of an event's open data."""


def load(archive: Path) -> sqlite3.Connection:
    """Return a database with one row an event, and one row for each rule that a ruling names."""
    if not archive.is_dir():
        raise Unreadable(f"{archive} is no directory")
    logs = sorted(entries.parent.parent for entries in archive.rglob("tile/entries") if entries.is_dir())
    if not logs:
        raise Unreadable(f"no log (tile/entries) lies under {archive}")
    base = sqlite3.connect(":memory:")
    base.execute(
        f"create table event (tenant, stream, seq, type, at, verdict, {', '.join(COLUMNS)},"
        " primary key (tenant, stream, seq))"
    )
    base.execute("create table reason (tenant, stream, seq, rule, primary key (tenant, stream, seq, rule))")
    marks = ", ".join("?" * (6 + len(COLUMNS)))
    for log in logs:
        for record in read_log(log):
            event, tenant = record["event"], record["log"].split("/")[-2]
            data, decision = event.get("data") or {}, event.get("decision") or {}
            identity = (tenant, event["case"], event["case_seq"])
            row = [*identity, event["type"], event["at"], decision.get("outcome")]
            row += [data.get(member) for member in COLUMNS.values()]
            # An event counts once, even if the log should hold it twice.
            base.execute(f"insert or ignore into event values ({marks})", [v if _plain(v) else None for v in row])
            rules = [(*identity, rule) for rule in decision.get("reasons", ())]
            base.executemany("insert or ignore into reason values (?, ?, ?, ?)", rules)
    return base


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int)


def choose_tenant(base: sqlite3.Connection, tenant: str | None) -> str:
    """Return the lender to recompute: the one asked for, or the only one there is."""
    known = [name for (name,) in base.execute("select distinct tenant from event order by tenant")]
    if tenant is None and len(known) == 1:
        return str(known[0])
    if tenant is None or tenant not in known:
        raise Unreadable(f"the archive holds {', '.join(known) or 'no events'}; name one with --tenant")
    return tenant


def choose_zone(base: sqlite3.Connection, tenant: str, zone: str | None) -> str:
    """Return the lender's zone: the one asked for, or the one that its registration states."""
    query = "select zone from event where tenant = ? and type = 'lender.registered' and zone is not null order by at"
    found = base.execute(query, (tenant,)).fetchone()
    name = zone or (found[0] if found else None)
    if name is None:
        raise Unreadable("no entry states the lender's zone; name it with --zone")
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise Unreadable(f"{name} is no zone that this machine knows") from error
    return name


# --- Counters ----------------------------------------------------------------------------------------------------

PREPARE = """
create temp table happened as
  select *, local_date(at) as day,
    case when coalesce(case when type glob 'contact.*' or type = 'activity.recorded' then org else agency end, tenant)
         = tenant then '-'
         when type glob 'contact.*' or type = 'activity.recorded' then org
         else agency end as who
  from event where tenant = (select value from setting where name = 'tenant');

create index temp.by_type on happened (type);

create temp table attempt as
  select day, who, person, channel, 0 as human, 0 as answered, 0 as reached, 0 as promised from happened
  where type = 'contact.sent'
     or type in ('contact.delivered', 'contact.failed') and from_state in ('sending', 'unknown')
  union all
  select day, who, person, channel, 1, connected, right_party,
         right_party and result in ('RPC-PTP', 'RPC-PLAN')
  from happened where type = 'contact.reported' and outcome <> 'not_made'
  union all
  select day, who, person, action, 1, connect, right_party,
         right_party and result in ('RPC-PTP', 'RPC-PLAN')
  from happened where type = 'activity.recorded' and attempt and contact is null;

create temp table tried as
  select distinct substr(day, 1, 7) as month, who, person from attempt
  union select distinct substr(day, 1, 7), '*', person from attempt;

create temp table spoke as
  select substr(day, 1, 7) as month, who, person from attempt where reached
  union select substr(day, 1, 7), '*', person from attempt where reached
  union select substr(day, 1, 7), who, person from happened where type = 'activity.recorded' and right_party
  union select substr(day, 1, 7), '*', person from happened where type = 'activity.recorded' and right_party
  union select substr(day, 1, 7), '*', person from happened
        where type = 'inbound.received' and upper(coalesce(keyword, '')) <> 'STOP';

create temp table counter (who, period, name, value);
"""

DAILY = (
    # (name, key, value, source, condition)
    ("placed", "", "1", "happened", "type = 'case.placed'"),
    ("placed_cases", "currency", "1", "happened", "type = 'case.placed'"),
    ("placed_minor", "currency", "placed", "happened", "type = 'case.placed'"),
    ("assigned", "", "1", "happened", "type = 'case.assigned'"),
    ("assigned_cases", "currency", "1", "happened", "type = 'case.assigned'"),
    ("assigned_minor", "currency", "placed", "happened", "type = 'case.assigned'"),
    ("payments", "currency", "1", "happened", "type = 'payment.posted'"),
    ("paid_minor", "currency", "amount", "happened", "type = 'payment.posted'"),
    ("reversals", "currency", "1", "happened", "type = 'payment.reversed'"),
    ("reversed_minor", "currency", "amount", "happened", "type = 'payment.reversed'"),
    ("promises_made", "currency", "1", "happened", "type = 'promise.made'"),
    ("promised_minor", "currency", "amount", "happened", "type = 'promise.made'"),
    ("promises_kept", "", "1", "happened", "type = 'promise.kept'"),
    ("promises_kept", "", "-1", "happened", "type = 'promise.broken' and was = 'kept'"),
    ("promises_broken", "", "1", "happened", "type = 'promise.broken'"),
    ("promises_broken", "", "-1", "happened", "type = 'promise.kept' and was = 'broken'"),
    ("kept_cases", "currency", "1", "happened", "type = 'promise.kept'"),
    ("kept_cases", "currency", "-1", "happened", "type = 'promise.broken' and was = 'kept'"),
    ("kept_minor", "currency", "amount", "happened", "type = 'promise.kept'"),
    ("kept_minor", "currency", "-amount", "happened", "type = 'promise.broken' and was = 'kept'"),
    ("broken_cases", "currency", "1", "happened", "type = 'promise.broken'"),
    ("broken_cases", "currency", "-1", "happened", "type = 'promise.kept' and was = 'broken'"),
    ("broken_minor", "currency", "amount", "happened", "type = 'promise.broken'"),
    ("broken_minor", "currency", "-amount", "happened", "type = 'promise.kept' and was = 'broken'"),
    ("decided", "", "1", "happened", "type = 'contact.decided'"),
    ("allowed", "", "1", "happened", "type = 'contact.decided' and verdict = 'allow'"),
    ("deferred", "", "1", "happened", "type = 'contact.decided' and verdict = 'defer'"),
    ("reviewed", "", "1", "happened", "type = 'contact.decided' and verdict = 'review'"),
    ("denied", "", "1", "happened", "type = 'contact.decided' and verdict = 'deny'"),
    ("deferred_by_rule", "rule", "1", "ruled", "verdict = 'defer'"),
    ("reviewed_by_rule", "rule", "1", "ruled", "verdict = 'review'"),
    ("denied_by_rule", "rule", "1", "ruled", "verdict = 'deny'"),
    ("attempts", "", "1", "attempt", "1"),
    ("channel_attempts", "channel", "1", "attempt", "1"),
    ("human_attempts", "", "1", "attempt", "human"),
    ("channel_human_attempts", "channel", "1", "attempt", "human"),
    ("connected", "", "1", "attempt", "answered"),
    ("channel_connected", "channel", "1", "attempt", "answered"),
    ("right_party", "", "1", "attempt", "reached"),
    ("channel_right_party", "channel", "1", "attempt", "reached"),
    ("promised_contacts", "", "1", "attempt", "promised"),
    ("lost", "", "1", "happened", "type = 'contact.unknown'"),
    ("complaints", "", "1", "happened", "type = 'complaint.received'"),
    ("risk_events", "", "1", "happened", "type = 'risk_event.raised'"),
)

Counters = dict[str, dict[str, dict[str, int]]]
"""Period -> agency (``-`` none, ``*`` the lender as a whole) -> counter -> value."""


def recompute(base: sqlite3.Connection, tenant: str, zone: str) -> Counters:
    """Return every counter that is not 0, by one query each."""
    place = ZoneInfo(zone)

    def local_date(at: str) -> str:
        return datetime.strptime(at, "%Y-%m-%dT%H:%M:%S.%f%z").astimezone(place).strftime("%Y-%m-%d")

    base.create_function("local_date", 1, local_date, deterministic=True)
    base.execute("create temp table setting (name, value)")
    base.execute("insert into setting values ('tenant', ?)", (tenant,))
    base.executescript(PREPARE)
    base.execute(
        "create temp view ruled as select day, who, verdict, rule from happened join reason using (tenant, stream, seq)"
        " where type = 'contact.decided'"
    )
    for name, key, value, source, condition in DAILY:
        label = f"'{name}:' || {key}" if key else f"'{name}'"
        base.execute(
            f"insert into counter select who, day, {label}, sum({value}) from {source} where {condition} group by 1, 2, 3"
        )
    base.execute("insert into counter select who, month, 'persons_attempted', count(*) from tried group by 1, 2")
    base.execute(
        "insert into counter select who, month, 'persons_reached', count(*)"
        " from tried join spoke using (month, who, person) group by 1, 2"
    )
    found: Counters = {}
    for who, period, name, value in base.execute(
        "select who, period, name, sum(value) from counter group by 1, 2, 3 having sum(value) <> 0 order by 2, 1, 3"
    ):
        found.setdefault(period, {}).setdefault(who, {})[name] = value
    return found


# --- Figures -----------------------------------------------------------------------------------------------------

FORMULAS = (
    # (id@version, whom: L lender A agency, unit, key, numerator, denominator, sample, Wilson interval)
    ("placed_cases@1", "L", "count", None, "placed", "", "placed", False),
    ("placed_amount@1", "L", "minor", "currency", "placed_minor:*", "", "placed_cases:*", False),
    ("assigned_cases@1", "LA", "count", None, "assigned", "", "assigned", False),
    ("assigned_amount@1", "LA", "minor", "currency", "assigned_minor:*", "", "assigned_cases:*", False),
    ("collected@1", "LA", "minor", "currency", "paid_minor:* - reversed_minor:*", "", "payments:*", False),
    (
        *("liquidation@1", "L", "ratio", "currency", "paid_minor:* - reversed_minor:*"),
        *("placed_minor:*", "placed_cases:*", False),
    ),
    (
        *("agency_liquidation@1", "A", "ratio", "currency", "paid_minor:* - reversed_minor:*"),
        *("assigned_minor:*", "assigned_cases:*", False),
    ),
    ("promise_to_pay@1", "LA", "ratio", None, "promised_contacts", "right_party", "right_party", True),
    (
        *("kept_promise@1", "LA", "ratio", None, "promises_kept"),
        *("promises_kept + promises_broken", "promises_kept + promises_broken", True),
    ),
    (
        *("kept_promise_amount@1", "LA", "ratio", "currency", "kept_minor:*"),
        *("kept_minor:* + broken_minor:*", "kept_cases:* + broken_cases:*", False),
    ),
    ("right_party_contact@1", "LA", "ratio", None, "right_party", "attempts", "attempts", True),
    (
        *("right_party_contact_by_channel@1", "LA", "ratio", "channel", "channel_right_party:*"),
        *("channel_human_attempts:*", "channel_human_attempts:*", True),
    ),
    (
        *("connect_by_channel@1", "LA", "ratio", "channel", "channel_connected:*"),
        *("channel_human_attempts:*", "channel_human_attempts:*", True),
    ),
    ("contact_success@1", "LA", "ratio", None, "persons_reached", "persons_attempted", "persons_attempted", True),
    ("attempts@1", "LA", "count", None, "attempts", "", "attempts", False),
    ("attempts_by_channel@1", "LA", "count", "channel", "channel_attempts:*", "", "channel_attempts:*", False),
    ("deferred@1", "LA", "ratio", None, "deferred", "decided", "decided", True),
    ("reviewed@1", "LA", "ratio", None, "reviewed", "decided", "decided", True),
    ("denied@1", "LA", "ratio", None, "denied", "decided", "decided", True),
    ("deferred_by_rule@1", "LA", "ratio", "rule", "deferred_by_rule:*", "decided", "decided", True),
    ("reviewed_by_rule@1", "LA", "ratio", "rule", "reviewed_by_rule:*", "decided", "decided", True),
    ("denied_by_rule@1", "LA", "ratio", "rule", "denied_by_rule:*", "decided", "decided", True),
    ("complaint_rate@1", "LA", "per_10000", None, "complaints", "attempts", "attempts", True),
    ("risk_event_rate@1", "LA", "ratio", None, "risk_events", "attempts", "attempts", True),
)

MONTHLY = {"contact_success@1"}
"""Formulas over a month's counters; all others are over a day's."""

Z = Fraction(1959963984540054, 10**15)
"""The two-sided 95 % point of the normal distribution, to 15 decimals."""


def evaluate(expression: str, counts: dict[str, int], key: str | None) -> int:
    """Return the value of ``a - b:* + c`` over counters, where ``:*`` stands for the figure's key."""
    total, sign = 0, 1
    for word in expression.split():
        if word in "+-":
            sign = 1 if word == "+" else -1
        else:
            total += sign * counts.get(word[:-1] + str(key) if word.endswith(":*") else word, 0)
    return total


def keys_in(expression: str, counts: dict[str, int]) -> set[str]:
    """Return every key that the families in the expression have a counter for."""
    families = [word[:-1] for word in expression.split() if word.endswith(":*")]
    return {name[len(family) :] for name in counts for family in families if name.startswith(family)}


def six_places(value: Fraction) -> str:
    """Return the decimal text with six places, half to even."""
    millionths = round(value * 10**6)
    whole, rest = divmod(abs(millionths), 10**6)
    return f"{'-' if millionths < 0 else ''}{whole}.{rest:06d}"


def wilson(successes: int, n: int, scale: int) -> list[str] | None:
    """Return the 95 % Wilson score interval of a share, times ``scale``; None when it is no share of a sample."""
    if n <= 0 or successes < 0 or successes > n:
        return None
    under_root = Fraction(successes * (n - successes), n) + Z * Z / 4
    digits = 10**50
    root = Fraction(math.isqrt(under_root.numerator * digits * digits // under_root.denominator), digits)
    middle, half, size = successes + Z * Z / 2, Z * root, n + Z * Z
    low = Fraction(0) if successes == 0 else (middle - half) / size
    high = Fraction(1) if successes == n else (middle + half) / size
    return [six_places(low * scale), six_places(high * scale)]


def figures_of(counts: dict[str, int], whom: str, monthly: bool) -> dict[str, dict[str, Any]]:
    """Return the figures that one cell's counters make, by ``<id>[:<key>]@<version>``."""
    made: dict[str, dict[str, Any]] = {}
    for reference, levels, unit, split, above, below, sample, share in FORMULAS:
        if whom not in levels or (reference in MONTHLY) != monthly:
            continue
        kpi, version = reference.split("@")
        keys: list[str | None] = [*sorted(keys_in(f"{above} {below}", counts))] if split else [None]
        for key in keys:
            numerator, n = evaluate(above, counts, key), evaluate(sample, counts, key)
            denominator = evaluate(below, counts, key) if below else None
            if not (numerator or denominator or n):
                continue
            scale = 10_000 if unit == "per_10000" else 1
            value: str | None = str(numerator)
            if denominator is not None:
                value = six_places(Fraction(numerator * scale, denominator)) if denominator > 0 else None
            made[f"{kpi}:{key}@{version}" if split else reference] = {
                "kpi": kpi,
                "version": int(version),
                "key": key,
                "unit": unit,
                "numerator": numerator,
                "denominator": denominator,
                "n": n,
                "value": value,
                "interval": wilson(numerator, n, scale) if share else None,
            }
    return made


def all_figures(counters: Counters) -> dict[str, dict[str, dict[str, dict[str, Any]]]]:
    """Return period -> agency or ``*`` -> reference -> figure."""
    found: dict[str, dict[str, dict[str, dict[str, Any]]]] = {}
    for period, cells in counters.items():
        monthly = len(period) == len("yyyy-mm")
        whole = dict(cells.get("*", {}))
        if not monthly:
            for counts in cells.values():
                for name, value in counts.items():
                    whole[name] = whole.get(name, 0) + value
        made = {who: figures_of(counts, "A", monthly) for who, counts in cells.items() if who != "*"}
        made["*"] = figures_of(whole, "L", monthly)
        found[period] = {who: figures for who, figures in made.items() if figures}
    return {period: cells for period, cells in found.items() if cells}


# --- Comparing ---------------------------------------------------------------------------------------------------


def differences(export: dict[str, Any], counters: Counters, figures: dict[str, Any]) -> Iterator[str]:
    """Yield one line for each cell in which the export differs from the archive, within the export's span."""
    first, last = export["from"], export["to"]

    def inside(period: str) -> bool:
        return bool(first[: len(period)] <= period <= last[: len(period)])

    for kind, theirs, ours in (("counter", export["counters"], counters), ("figure", export["figures"], figures)):
        for period in sorted(filter(inside, theirs.keys() | ours.keys())):
            said, found = theirs.get(period, {}), ours.get(period, {})
            for who in sorted(said.keys() | found.keys()):
                one, other = said.get(who, {}), found.get(who, {})
                for name in sorted(one.keys() | other.keys()):
                    if one.get(name, 0) != other.get(name, 0):
                        yield f"{kind} {period} {who} {name}: export {one.get(name)}, archive {other.get(name)}"
    for period in sorted(theirs for theirs in export["counters"] if not inside(theirs)):
        yield f"counter {period}: the export has it outside its own span"


def read_export(path: Path) -> dict[str, Any]:
    """Return the export of the projection."""
    try:
        export = json.loads(path.read_bytes())
        if export["v"] != 1 or not all(isinstance(export[name], str) for name in ("tenant", "zone", "from", "to")):
            raise ValueError("not version 1")
        if not all(isinstance(export[name], dict) for name in ("counters", "figures")):
            raise ValueError("no counters or figures")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Unreadable(f"{path} is no export of the projection: {error}") from error
    return dict(export)


def run(arguments: argparse.Namespace) -> int:
    """Recompute, then print or compare."""
    export = read_export(arguments.against) if arguments.against else None
    base = load(arguments.archive)
    tenant = choose_tenant(base, arguments.tenant or (export["tenant"] if export else None))
    zone = choose_zone(base, tenant, arguments.zone)
    counters = recompute(base, tenant, zone)
    figures = all_figures(counters)
    if export is None:
        print(json.dumps({"tenant": tenant, "zone": zone, "counters": counters, "figures": figures}, indent=1))
        return 0
    found = list(differences(export, counters, figures))
    if export["tenant"] != tenant:
        found.insert(0, f"tenant: export {export['tenant']}, archive {tenant}")
    if export["zone"] != zone:
        found.insert(0, f"zone: export {export['zone']}, archive {zone}")
    for line in found:
        print(line)
    cells = sum(len(cells) for cells in export["counters"].values())
    print(f"{len(found)} differences in {cells} cells of {export['from']} to {export['to']}", file=sys.stderr)
    return 1 if found else 0


def main(argv: list[str] | None = None) -> int:
    """Parse the command line; return the exit status."""
    parser = argparse.ArgumentParser(description="Recompute key figures from a downloaded audit archive.")
    parser.add_argument("archive", type=Path, help="directory with one or more logs of the lender")
    parser.add_argument("--tenant", help="the lender, when the archive holds several")
    parser.add_argument("--zone", help="the lender's IANA zone, when no entry states it")
    parser.add_argument("--against", type=Path, metavar="FILE", help="JSON export of the projection to compare with")
    try:
        return run(parser.parse_args(argv))
    except Unreadable as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
