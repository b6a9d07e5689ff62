"""Counters: what an event adds to the figures, and nothing else does.

A cell is one lender, one agency (``-`` when the lender itself acted or no agency is known) and one local day of the
lender's zone; it holds integers by name. Adding is all that happens to a counter, so the order of events never
matters; that each event is added once is the business of whoever folds (the repository's markers, ``fold`` below).

Distinct persons cannot be counted by adding. For them an event yields marks (this person was attempted, was reached),
kept per lender, agency and local month; a counter moves when a mark is new. ``*`` is the lender as a whole, because
the same person may be worked by two agencies.
"""

from calendar import monthrange
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from chalicelib.domain.events import Event, EventType

NO_AGENCY = "-"
"""The agency part of a cell when no agency acted."""

WHOLE_LENDER = "*"
"""The agency part of figures, and of person counters, that are about the lender as a whole; no id has this form."""

Counts = dict[str, int]
"""Counter values by name; an absent name is 0."""


class Cell(NamedTuple):
    """Where counters stand: ``period`` is ``yyyy-mm-dd`` (a local day) or ``yyyy-mm`` (a local month, persons only)."""

    tenant: str
    agency: str
    period: str


class Mark(NamedTuple):
    """One person in one month's cell, with what an event says about them (``ATTEMPTED`` or ``REACHED``)."""

    cell: Cell
    person: str
    flag: int


ATTEMPTED, REACHED = 1, 2
"""Bits of a person's mark in a month."""

Counters = dict[Cell, Counts]

COUNTERS: Mapping[str, str] = MappingProxyType(
    {
        "placed": "cases placed by the lender",
        "placed_cases:<currency>": "cases placed, by currency",
        "placed_minor:<currency>": "amount placed, minor units",
        "assigned": "assignments of a case to an agency",
        "assigned_cases:<currency>": "assignments, by currency",
        "assigned_minor:<currency>": "amount assigned, minor units",
        "payments:<currency>": "payments posted",
        "paid_minor:<currency>": "amount of payments posted, minor units",
        "reversals:<currency>": "payments reversed",
        "reversed_minor:<currency>": "amount of payments reversed, minor units",
        "promises_made:<currency>": "promises made",
        "promised_minor:<currency>": "amount promised, minor units",
        "promises_kept": "promises that were found kept, less those that lost that finding",
        "promises_broken": "promises that were found broken, less those that lost that finding",
        "kept_cases:<currency>": "as promises_kept, by currency",
        "kept_minor:<currency>": "promised amount of kept promises, minor units",
        "broken_cases:<currency>": "as promises_broken, by currency",
        "broken_minor:<currency>": "promised amount of broken promises, minor units",
        "decided": "rulings on requested attempts",
        "allowed": "rulings that allowed",
        "deferred": "rulings that deferred",
        "reviewed": "rulings that sent the attempt to a person",
        "denied": "rulings that denied",
        "deferred_by_rule:<rule>": "rulings that deferred and named the rule",
        "reviewed_by_rule:<rule>": "rulings that sent the attempt to a person and named the rule",
        "denied_by_rule:<rule>": "rulings that denied and named the rule",
        "attempts": "dials, visits and messages or letters that a carrier took",
        "channel_attempts:<channel>": "attempts, by channel",
        "human_attempts": "dials, visits and other attempts that a person made and reported",
        "channel_human_attempts:<channel>": "attempts that a person made, by channel",
        "connected": "attempts of a person that somebody answered",
        "channel_connected:<channel>": "attempts of a person that somebody answered, by channel",
        "right_party": "attempts of a person that reached the one sought",
        "channel_right_party:<channel>": "attempts of a person that reached the one sought, by channel",
        "promised_contacts": "right-party attempts that ended in a promise or an agreed plan",
        "lost": "messages of which nobody knows whether the carrier took them",
        "complaints": "complaints received",
        "risk_events": "legal-risk events raised",
        "persons_attempted": "persons with at least one attempt in the month",
        "persons_reached": "persons with at least one attempt and at least one two-way contact in the month",
    }
)
"""Every counter there is, with its meaning; ``:<...>`` marks a family that has one counter for each key."""

PROMISE_RESULTS = frozenset({"RPC-PTP", "RPC-PLAN"})
"""Results of a right-party contact that are a promise to pay."""

NOT_MADE = "not_made"
"""The reported outcome of a clearance that was never used: no attempt."""

UNSETTLED = frozenset({"sending", "unknown"})
"""States from which a carrier's own word is the first proof that it took the message."""

STOP = "STOP"
"""The keyword of an inbound opt-out, which is no conversation."""


def local_day(at: str, zone: str) -> str:
    """Return the local date (``yyyy-mm-dd``) that an event's instant (RFC 3339, UTC, ``Z``) has in an IANA zone.

    >>> local_day("2026-11-22T16:00:00.000Z", "Asia/Shanghai")
    '2026-11-23'
    """
    if not at.endswith("Z"):
        raise ValueError("an event's instant is UTC and ends in Z")
    return _local_day_of_minute(at[:16], zone)


@lru_cache(maxsize=8192)
def _local_day_of_minute(minute: str, zone: str) -> str:
    # No zone has changed its offset within a minute since 1972, so a minute lies in one local day.
    instant = datetime.fromisoformat(minute).replace(tzinfo=UTC)
    return instant.astimezone(ZoneInfo(zone)).date().isoformat()


def agency_of(event: Event) -> str:
    """Return the agency that an event is about, or ``-``.

    A contact and an activity belong to whoever acted (``org``), which is nobody's agency when it is the lender.
    """
    acted = event.type.startswith("contact.") or event.type is EventType.ACTIVITY_RECORDED
    agency = event.data.get("org") if acted else event.data.get("agency")
    return NO_AGENCY if agency is None or agency == event.tenant else str(agency)


def deltas(event: Event, *, zone: str) -> tuple[Cell, Counts] | None:
    """Return the cell that the event belongs to and what it adds there, or None when it adds nothing.

    Raises KeyError when the event lacks a datum that its type always carries.
    """
    counter = _COUNTED.get(event.type)
    counts = counter(event) if counter is not None else {}
    if not counts:
        return None
    return Cell(event.tenant, agency_of(event), local_day(event.at, zone)), counts


def marks(event: Event, *, zone: str) -> tuple[Mark, ...]:
    """Return what the event says about its person in the local month: for the agency that acted and for the lender.

    Raises KeyError when the event lacks a datum that its type always carries.
    """
    flag = _flag(event)
    if flag == 0:
        return ()
    month, person = local_day(event.at, zone)[:7], str(event.data["person"])
    agencies = [WHOLE_LENDER]
    if event.type is not EventType.INBOUND_RECEIVED:
        # An inbound message answers no agency in particular.
        agencies.append(agency_of(event))
    return tuple(Mark(Cell(event.tenant, agency, month), person, flag) for agency in agencies)


def person_counts(before: int, after: int) -> Counts:
    """Return what a person's change of marks (bits, only ever added) moves in the month's counters."""
    both = ATTEMPTED | REACHED
    counts = {
        "persons_attempted": (after & ATTEMPTED) - (before & ATTEMPTED),
        "persons_reached": int(after & both == both) - int(before & both == both),
    }
    return {name: count for name, count in counts.items() if count}


def add(counts: Counts, more: Mapping[str, int]) -> None:
    """Add counts to counts, in place; a counter that comes to 0 is dropped, so equal totals compare equal."""
    for name, count in more.items():
        total = counts.get(name, 0) + count
        if total:
            counts[name] = total
        else:
            counts.pop(name, None)


def fold(events: Iterable[Event], *, zone_of: Callable[[str], str]) -> Counters:
    """Return the counters of all events from nothing: the recomputation that a projection must equal.

    An event counts once however often it stands in ``events``, and in whatever order; ``zone_of`` gives a lender's zone.
    """
    counters: Counters = {}
    persons: dict[tuple[Cell, str], int] = {}
    seen: set[tuple[str, str, int]] = set()
    for event in events:
        identity = (event.tenant, event.stream, event.seq)
        if identity in seen:
            continue
        seen.add(identity)
        zone = zone_of(event.tenant)
        if (counted := deltas(event, zone=zone)) is not None:
            add(counters.setdefault(counted[0], {}), counted[1])
        for mark in marks(event, zone=zone):
            before = persons.get((mark.cell, mark.person), 0)
            persons[mark.cell, mark.person] = after = before | mark.flag
            add(counters.setdefault(mark.cell, {}), person_counts(before, after))
    return {cell: counts for cell, counts in counters.items() if counts}


def days_between(first: date, last: date) -> list[str]:
    """Return every day from ``first`` to ``last`` (both closed) as text.

    >>> days_between(date(2026, 2, 28), date(2026, 3, 1))
    ['2026-02-28', '2026-03-01']
    """
    return [(first + timedelta(days=number)).isoformat() for number in range((last - first).days + 1)]


def months_between(first: date, last: date) -> list[str]:
    """Return every month (``yyyy-mm``) that has a day from ``first`` to ``last`` (both closed)."""
    return sorted({day[:7] for day in days_between(first, last)})


def month_span(month: str) -> tuple[str, str]:
    """Return the first and the last day of a month (``yyyy-mm``).

    >>> month_span("2028-02")
    ('2028-02-01', '2028-02-29')
    """
    first = date.fromisoformat(f"{month}-01")
    return first.isoformat(), first.replace(day=monthrange(first.year, first.month)[1]).isoformat()


def is_month(period: str) -> bool:
    """Tell whether a period is a month (``yyyy-mm``) rather than a day."""
    return len(period) == 7


def _is_attempt(event: Event) -> bool:
    """Tell whether the event is the one that makes an attempt: exactly one event of each attempt does."""
    data = event.data
    match event.type:
        case EventType.CONTACT_SENT:
            return True
        case EventType.CONTACT_DELIVERED | EventType.CONTACT_FAILED:
            # The carrier's report may overtake our own note that it took the message, which then is never written.
            return data.get("from") in UNSETTLED
        case EventType.CONTACT_REPORTED:
            return bool(data["outcome"] != NOT_MADE)
        case EventType.ACTIVITY_RECORDED:
            # An activity that names a contact describes an attempt whose own events count it.
            return bool(data["attempt"]) and data.get("contact") is None
        case _:
            return False


def _flag(event: Event) -> int:
    data = event.data
    match event.type:
        case EventType.CONTACT_REPORTED | EventType.ACTIVITY_RECORDED:
            attempted = ATTEMPTED if _is_attempt(event) else 0
            reported = event.type is EventType.CONTACT_REPORTED
            return attempted | (REACHED if data["right_party"] and (attempted or not reported) else 0)
        case EventType.INBOUND_RECEIVED:
            return 0 if (data["keyword"] or "").upper() == STOP else REACHED
        case _:
            return ATTEMPTED if _is_attempt(event) else 0


def _placed(event: Event) -> Counts:
    data = event.data
    currency = data["currency"]
    return {"placed": 1, f"placed_cases:{currency}": 1, f"placed_minor:{currency}": data["placed_minor"]}


def _assigned(event: Event) -> Counts:
    data = event.data
    currency = data["currency"]
    return {"assigned": 1, f"assigned_cases:{currency}": 1, f"assigned_minor:{currency}": data["placed_minor"]}


def _money(count: str, amount: str) -> Callable[[Event], Counts]:
    def counted(event: Event) -> Counts:
        currency = event.data["currency"]
        return {f"{count}:{currency}": 1, f"{amount}:{currency}": event.data["amount_minor"]}

    return counted


def _judged(event: Event) -> Counts:
    """Count a promise as kept or broken; one that was judged the other way before (``was``) loses that judgment."""
    kept = _judgment("kept", event.data, 1)
    broken = _judgment("broken", event.data, 1)
    counts, other = (kept, "broken") if event.type is EventType.PROMISE_KEPT else (broken, "kept")
    if event.data.get("was") == other:
        counts |= _judgment(other, event.data, -1)
    return counts


def _judgment(name: str, data: Mapping[str, Any], sign: int) -> Counts:
    currency = data["currency"]
    return {
        f"promises_{name}": sign,
        f"{name}_cases:{currency}": sign,
        f"{name}_minor:{currency}": sign * data["amount_minor"],
    }


_OUTCOMES = {"allow": "allowed", "defer": "deferred", "review": "reviewed", "deny": "denied"}


def _decided(event: Event) -> Counts:
    decision = event.decision
    if decision is None:
        raise KeyError("decision")
    outcome = _OUTCOMES[decision["outcome"]]
    counts = {"decided": 1, outcome: 1}
    if outcome != "allowed":
        counts |= {f"{outcome}_by_rule:{rule}": 1 for rule in decision["reasons"]}
    return counts


def _carried(event: Event) -> Counts:
    if not _is_attempt(event):
        return {}
    return {"attempts": 1, f"channel_attempts:{event.data['channel']}": 1}


def _worked(event: Event) -> Counts:
    """Count what a person made: reported under a clearance, or recorded as an activity of its own."""
    if not _is_attempt(event):
        return {}
    data = event.data
    reported = event.type is EventType.CONTACT_REPORTED
    channel = data["channel" if reported else "action"]
    counts = {"attempts": 1, f"channel_attempts:{channel}": 1}
    counts |= {"human_attempts": 1, f"channel_human_attempts:{channel}": 1}
    if data["connected" if reported else "connect"]:
        counts |= {"connected": 1, f"channel_connected:{channel}": 1}
    if data["right_party"]:
        counts |= {"right_party": 1, f"channel_right_party:{channel}": 1}
        if data["result"] in PROMISE_RESULTS:
            counts["promised_contacts"] = 1
    return counts


def _one(name: str) -> Callable[[Event], Counts]:
    return lambda event: {name: 1}


_COUNTED: Mapping[EventType, Callable[[Event], Counts]] = {
    EventType.CASE_PLACED: _placed,
    EventType.CASE_ASSIGNED: _assigned,
    EventType.PAYMENT_POSTED: _money("payments", "paid_minor"),
    EventType.PAYMENT_REVERSED: _money("reversals", "reversed_minor"),
    EventType.PROMISE_MADE: _money("promises_made", "promised_minor"),
    EventType.PROMISE_KEPT: _judged,
    EventType.PROMISE_BROKEN: _judged,
    EventType.CONTACT_DECIDED: _decided,
    EventType.CONTACT_SENT: _carried,
    EventType.CONTACT_DELIVERED: _carried,
    EventType.CONTACT_FAILED: _carried,
    EventType.CONTACT_REPORTED: _worked,
    EventType.ACTIVITY_RECORDED: _worked,
    EventType.CONTACT_UNKNOWN: _one("lost"),
    EventType.COMPLAINT_RECEIVED: _one("complaints"),
    EventType.RISK_EVENT_RAISED: _one("risk_events"),
}
