"""Counters, published figures and the markers that make folding exactly-once, in the view table.

A transaction folds a group of events: the marker of each stream moves from the number that was read to the group's
last one, on the condition that nobody moved it meanwhile, and the counters are added to in the same write. An event
at or below its marker was folded before and is skipped; one beyond the next number must wait for those before it. The
marker also holds what must be known of the stream's past to count its next event.

What each event added to a period stands in a row of its own, so that a figure can be followed to its cases. Rows are put
before the transaction: the same event gives the same rows however often it is folded.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from pynamodb.exceptions import DeleteError, TransactWriteError, UpdateError

from chalicelib.domain import keys
from chalicelib.domain.events import Event
from chalicelib.domain.ids import opaque_token
from chalicelib.domain.instants import epoch_ms, from_text
from chalicelib.domain.kpi import counters as kpi
from chalicelib.domain.kpi.counters import EVER, Cell, Counts, Effect
from chalicelib.domain.kpi.definitions import definition_of
from chalicelib.domain.kpi.figures import Figure, UndefinedFigure
from chalicelib.domain.kpi.past import Past, past_from
from chalicelib.store.tables import View, connection
from chalicelib.store.unit import MOST_ACTIONS, is_conflict

ROUNDS = 8
"""How often folding starts over after rivals; events that still could not be folded are reported."""

MOST_COUNTERS = 100
"""How many counters of a cell one update adds to: well below what an update expression may hold (4 KB, 300 operators)."""

UNLISTED = frozenset({"entered", "left"})
"""Counters that cases in scope are made of: they say how many, and are followed to nobody."""

ROW_DAYS = 400
"""How long a figure can be followed to its cases; the counters themselves stay."""

_BATCH_GET = 100
_COUNTER = "n."
_SEQ, _AT = "SEQ", "AT"
_Stream = tuple[str, str]
_Person = tuple[Cell, str]


@dataclass(frozen=True, slots=True)
class Due:
    """Figures of this lender and period must be made anew; ``token`` changes with every fold into the period."""

    tenant: str
    period: str
    token: str


@dataclass(slots=True)
class _Group:
    """Events that go into one transaction, and what they do; ``actions`` are the items that it writes."""

    events: list[Event] = field(default_factory=list)
    markers: dict[_Stream, tuple[int, int, str]] = field(default_factory=dict)
    rows: list[View] = field(default_factory=list)
    counts: dict[Cell, Counts] = field(default_factory=dict)
    marks: dict[_Person, int] = field(default_factory=dict)
    actions: set[tuple[str, ...]] = field(default_factory=set)


class KpiRepository:
    """Folds events into counters and keeps the figures made of them."""

    def __init__(self, zone_of: Callable[[str], str]) -> None:
        """Take what gives a lender's IANA zone, in which its business days are counted."""
        self._zone_of = zone_of

    # Folding

    def fold(self, events: Sequence[Event]) -> list[str]:
        """Add the events to the counters, each exactly once, and return the ids of those that could not be added.

        Repeats and events folded before are done already. An event is returned when one before it in its stream is
        missing, when it lacks a datum that its type carries, or when rivals won every round.
        """
        failed = self._folded_but(events)
        refused = set(failed)
        newest: dict[str, str] = {}
        for event in events:
            if event.id not in refused:
                newest[event.tenant] = max(event.at, newest.get(event.tenant, ""))
        for tenant, at in newest.items():
            _note_newest(tenant, at)
        return failed

    def newest(self, tenant: str) -> str | None:
        """Return the instant of the newest of the lender's events that were folded, None before the first.

        It is noted after the events are folded, so it is never ahead of the counters.
        """
        try:
            return str(View.get(keys.kpi_newest_pk(tenant), _AT, consistent_read=True).d)
        except View.DoesNotExist:
            return None

    def _folded_but(self, events: Sequence[Event]) -> list[str]:
        waiting: dict[_Stream, dict[int, Event]] = defaultdict(dict)
        for event in events:
            waiting[event.tenant, event.stream].setdefault(event.seq, event)
        failed: list[str] = []
        for _ in range(ROUNDS):
            groups, refused = self._groups(waiting)
            failed.extend(refused)
            if not groups:
                return failed
            waiting = defaultdict(dict)
            for group in groups:
                if not self._commit(group):
                    for event in group.events:
                        waiting[event.tenant, event.stream][event.seq] = event
            if not waiting:
                return failed
        return failed + [event.id for stream in waiting.values() for event in stream.values()]

    def _groups(self, waiting: Mapping[_Stream, Mapping[int, Event]]) -> tuple[list[_Group], list[str]]:
        """Return the transactions that fold what is new and in order, and the ids of events that cannot be folded."""
        folded = self._folded(waiting)
        zones = {tenant: self._zone_of(tenant) for tenant, _ in waiting}
        groups = [_Group()]
        refused: list[str] = []
        for stream, by_seq in waiting.items():
            last, text = folded.get(stream, (0, ""))
            past = past_from(text)
            fresh = [by_seq[seq] for seq in sorted(by_seq) if seq > last]
            for position, event in enumerate(fresh):
                told = None if event.seq != last + 1 else _told(event, past, zones[event.tenant])
                if told is None:
                    refused.extend(later.id for later in fresh[position:])
                    break
                counted, past = told
                actions = _actions(stream, counted)
                if not _has_room(groups[-1], counted, actions):
                    groups.append(_Group())
                _put_in(groups[-1], event, last, counted, past.as_text(), actions)
                last = event.seq
        return [group for group in groups if group.events], refused

    def _folded(self, streams: Iterable[_Stream]) -> dict[_Stream, tuple[int, str]]:
        pks = {keys.kpi_marker_pk(*stream): stream for stream in streams}
        return {pks[item.pk]: (int(item.v), item.d or "") for item in _batch_get([(pk, _SEQ) for pk in pks])}

    def _commit(self, group: _Group) -> bool:
        """Write the group in one transaction; False when a rival changed what it rests on."""
        known = {
            (item.pk, item.sk): int(item.v)
            for item in _batch_get([(_persons_pk(cell), person) for cell, person in group.marks])
        }
        puts = [
            _put(keys.kpi_marker_pk(*stream), _SEQ, _marker(after, past), expected=before)
            for stream, (before, after, past) in group.markers.items()
        ]
        totals = {cell: dict(counts) for cell, counts in group.counts.items()}
        for (cell, person), flags in group.marks.items():
            before = known.get((_persons_pk(cell), person), 0)
            after = before | flags
            if after != before:
                puts.append(_put(_persons_pk(cell), person, {"v": {"N": str(after)}}, expected=before))
                kpi.add(totals.setdefault(cell, {}), kpi.person_counts(before, after))
        updates = [_addition(cell, counts) for cell, counts in totals.items() if counts]
        puts.extend(
            _put(keys.KPI_DUE_PK, f"{tenant}#{period}", {"s": {"S": opaque_token()}})
            for tenant, period in sorted({(cell.tenant, cell.period) for cell, counts in totals.items() if counts})
            if period != EVER
        )
        with View.batch_write() as batch:
            for row in group.rows:
                batch.save(row)
        try:
            connection(View.Meta.region).transact_write_items([], [], puts, updates)
        except TransactWriteError as error:
            if is_conflict(error):
                return False
            raise
        return True

    # Counters and figures

    def due(self, limit: int) -> list[Due]:
        """Return up to ``limit`` periods whose counters changed since their figures were made."""
        found = View.query(keys.KPI_DUE_PK, limit=limit, consistent_read=True)
        due = [(item.sk.rsplit("#", 1), item.s) for item in found]
        return [Due(tenant, period, token) for (tenant, period), token in due]

    def done(self, due: Due) -> bool:
        """Take a period off the list, unless it changed again after ``due`` was read; tell whether it was taken off."""
        try:
            View(keys.KPI_DUE_PK, f"{due.tenant}#{due.period}").delete(condition=View.s == due.token)
        except DeleteError as error:
            if error.cause_response_code == "ConditionalCheckFailedException":
                return False
            raise
        return True

    def counters(self, tenant: str, period: str) -> dict[str, Counts]:
        """Return the counters of a lender's period by who (agency, slice, ``*``); counters at 0 are left out."""
        found: dict[str, Counts] = {}
        for item in _query(keys.kpi_counters_pk(tenant, period)):
            counts: Counts = {}
            kpi.add(counts, {n.removeprefix(_COUNTER): int(v["N"]) for n, v in item.items() if n.startswith(_COUNTER)})
            if counts:
                found[item["sk"]["S"]] = counts
        return found

    def rows(self, tenant: str, period: str, *, after: str | None, limit: int) -> list[tuple[str, list[Any]]]:
        """Return up to ``limit`` rows of a period after a sort key: (sort key, ``[[whos, {counter: count}], ...]``)."""
        condition = None if after is None else View.sk > after
        found = View.query(keys.kpi_rows_pk(tenant, period), condition, limit=limit)
        return [(item.sk, json.loads(item.d)) for item in found]

    def publish(self, tenant: str, period: str, figures: Mapping[str, Sequence[Figure]], *, as_of: str) -> int:
        """Publish the figures of each agency for a lender's period; return how many differ from what stood there.

        Only those are written, with ``as_of``. Raises UndefinedFigure for a figure without a definition version.
        """
        pk = keys.kpi_figures_pk(tenant, period)
        standing = {item.sk: json.loads(item.d) for item in View.query(pk, consistent_read=True)}
        changed: list[View] = []
        for agency, of_agency in figures.items():
            for figure in of_agency:
                if definition_of(figure.definition.reference) != figure.definition:
                    raise UndefinedFigure(figure.definition.reference)
                sk, body = keys.kpi_figure_sk(agency, figure.reference), figure.as_json()
                if {**standing.get(sk, {}), "as_of": None} != {**body, "as_of": None}:
                    changed.append(View(pk, sk, d=json.dumps({**body, "as_of": as_of}, separators=(",", ":"))))
        with View.batch_write() as batch:
            for item in changed:
                batch.save(item)
        return len(changed)

    def published(self, tenant: str, period: str, agency: str) -> list[dict[str, Any]]:
        """Return the figures published for a lender's agency (``*`` for the whole lender) and period, by reference."""
        prefix = keys.kpi_figure_sk(agency, "")
        found = View.query(keys.kpi_figures_pk(tenant, period), View.sk.startswith(prefix), consistent_read=True)
        return [json.loads(item.d) for item in found]


def _note_newest(tenant: str, at: str) -> None:
    later = View.d.does_not_exist() | (View.d < at)
    try:
        View(keys.kpi_newest_pk(tenant), _AT).update([View.d.set(at)], condition=later)
    except UpdateError as error:
        if error.cause_response_code != "ConditionalCheckFailedException":
            raise
        # A newer one stands there.


def _told(event: Event, past: Past, zone: str) -> tuple[Effect, Past] | None:
    """Return what the event counts, or None when it is malformed: one bad stream must not stop the others."""
    try:
        return kpi.tried(event, past, zone=zone)
    except (KeyError, TypeError, ValueError):
        return None


def _has_room(group: _Group, counted: Effect, actions: set[tuple[str, ...]]) -> bool:
    """Tell whether one transaction can still take the event with the group."""
    if len(group.actions | actions) > MOST_ACTIONS:
        return False
    return all(
        len(group.counts.get(cell, {}).keys() | counts.keys()) <= MOST_COUNTERS
        for cell, counts in counted.counts.items()
    )


def _put_in(group: _Group, event: Event, last: int, counted: Effect, past: str, actions: set[tuple[str, ...]]) -> None:
    group.events.append(event)
    group.actions |= actions
    stream = (event.tenant, event.stream)
    before = group.markers[stream][0] if stream in group.markers else last
    group.markers[stream] = (before, event.seq, past)
    group.rows += _rows(event, counted)
    for cell, counts in counted.counts.items():
        kpi.add(group.counts.setdefault(cell, {}), counts)
    for mark in counted.marks:
        person = (mark.cell, mark.person)
        group.marks[person] = group.marks.get(person, 0) | mark.flag


def _rows(event: Event, counted: Effect) -> list[View]:
    """Return what the event added, one row a period; those who share the same counts are named together.

    What came and left, and batches, are left out: no list is ever made of them.
    """
    by_period: dict[str, list[tuple[list[str], Counts]]] = {}
    for cell, added in counted.counts.items():
        counts = {name: count for name, count in added.items() if name not in UNLISTED}
        if not counts or cell.who.startswith("portfolio:"):
            continue
        told = by_period.setdefault(cell.period, [])
        same = next((whos for whos, each in told if each == counts), None)
        if same is None:
            told.append(([cell.who], counts))
        else:
            same.append(cell.who)
    ttl = epoch_ms(from_text(event.at) + timedelta(days=ROW_DAYS)) // 1000
    return [
        View(
            keys.kpi_rows_pk(event.tenant, period),
            f"{event.stream}#{event.seq:08d}",
            d=json.dumps(told, separators=(",", ":")),
            ttl=ttl,
        )
        for period, told in by_period.items()
        if period != EVER
    ]


def _actions(stream: _Stream, counted: Effect) -> set[tuple[str, ...]]:
    """Return the items that folding the event writes at most."""
    cells = [*(mark.cell for mark in counted.marks), *counted.counts]
    return (
        {("marker", *stream)}
        | {("cell", *cell) for cell in cells}
        | {("due", cell.tenant, cell.period) for cell in cells if cell.period != EVER}
        | {("person", *mark.cell, mark.person) for mark in counted.marks}
    )


def _marker(seq: int, past: str) -> dict[str, Any]:
    return {"v": {"N": str(seq)}, **({"d": {"S": past}} if past else {})}


def _persons_pk(cell: Cell) -> str:
    return keys.kpi_persons_pk(cell.tenant, cell.who, cell.period)


def _put(pk: str, sk: str, attributes: Mapping[str, Any], *, expected: int | None = None) -> dict[str, Any]:
    """Return a Put of an item; ``expected`` conditions it on the version that stands there, 0 on there being none."""
    action: dict[str, Any] = {
        "TableName": View.Meta.table_name,
        "Item": {"pk": {"S": pk}, "sk": {"S": sk}, **attributes},
    }
    if expected == 0:
        action["ConditionExpression"] = "attribute_not_exists(pk)"
    elif expected is not None:
        action["ConditionExpression"] = "v = :expected"
        action["ExpressionAttributeValues"] = {":expected": {"N": str(expected)}}
    return action


def _addition(cell: Cell, counts: Counts) -> dict[str, Any]:
    """Return an Update that adds to a cell's counters, each a number attribute of its own, made when it is missing."""
    names = {f"#{place}": f"{_COUNTER}{name}" for place, name in enumerate(counts)}
    values = {f":{place}": {"N": str(count)} for place, count in enumerate(counts.values())}
    return {
        "TableName": View.Meta.table_name,
        "Key": {"pk": {"S": keys.kpi_counters_pk(cell.tenant, cell.period)}, "sk": {"S": cell.who}},
        "UpdateExpression": "ADD " + ", ".join(f"#{place} :{place}" for place in range(len(counts))),
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": values,
    }


def _batch_get(wanted: Sequence[tuple[str, str]]) -> list[View]:
    found: list[View] = []
    for start in range(0, len(wanted), _BATCH_GET):
        found.extend(View.batch_get(wanted[start : start + _BATCH_GET], consistent_read=True))
    return found


def _query(pk: str) -> Iterable[dict[str, Any]]:
    """Yield the partition's raw items: counters are attributes that the model does not name."""
    start = None
    while True:
        page = View._get_connection().query(pk, consistent_read=True, exclusive_start_key=start)
        yield from page["Items"]
        start = page.get("LastEvaluatedKey")
        if start is None:
            return
