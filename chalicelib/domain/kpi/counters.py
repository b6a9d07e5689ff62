"""Counters: what an event adds to the figures, and nothing else does.

A cell is one lender, one ``who`` and one period; it holds integers by name. ``who`` is an agency (``-`` when the lender
itself acted or no agency is known), the lender as a whole (``*``), or a slice of the lender's cases or people:
``stage:M2``, ``region:CN-31``, ``strategy:<id>@<n>``, ``collector:<agency>/<id>``, ``portfolio:<id>``. Adding is all that happens to a counter,
so the order of streams never matters; that each event is added once, and the events of one stream in their order, is
the business of whoever folds (the repository's markers, ``fold`` below). What an event of a stream needs to know of
those before it is the stream's ``Past``.

Distinct persons cannot be counted by adding. For them an event yields marks (this person was attempted, was reached),
kept per lender, agency and local week and month; a counter moves when a mark is new. ``*`` is the lender as a whole,
because the same person may be worked by two agencies. Distinct cases follow from the past of the case's own stream.
"""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import Any, NamedTuple

from chalicelib.domain.cases.lifecycle import FINAL, CaseState
from chalicelib.domain.events import Event, EventType
from chalicelib.domain.instants import from_text
from chalicelib.domain.kpi.past import Days, Past
from chalicelib.domain.kpi.periods import days_from, days_later, local_day, month_of, week_of

NO_AGENCY = "-"
"""The ``who`` of a cell when no agency acted."""

WHOLE_LENDER = "*"
"""The ``who`` of figures, and of counters of distinct things, that are about the lender as a whole; no id has this form."""

EVER = "ever"
"""The period of the cells that tell how many cases were open when a month began: one counter a month."""

Counts = dict[str, int]
"""Counter values by name; an absent name is 0."""


class Cell(NamedTuple):
    """Where counters stand: ``period`` is a local day, an ISO week, a month (``chalicelib.domain.kpi.periods``) or ``ever``."""

    tenant: str
    who: str
    period: str


class Mark(NamedTuple):
    """One person in one week's or month's cell, with what an event says about them (``ATTEMPTED`` or ``REACHED``)."""

    cell: Cell
    person: str
    flag: int


class Effect(NamedTuple):
    """What one event adds: counts by cell, and marks of persons."""

    counts: dict[Cell, Counts]
    marks: tuple[Mark, ...]


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
        "risk_events_confirmed": "legal-risk events that two people confirmed, on the day of the confirmation",
        "risk_events_dismissed": "legal-risk events that two people found to be none, on the day of that",
        "risk_points": "points that confirmed legal-risk events take, by their severity",
        "quality_checked": "contacts that people checked, on the day of the check",
        "quality_faultless": "of these, those on which neither people nor machine found a fault",
        "channel_delivered:<channel>": "messages that a carrier says arrived, less those that it then took back",
        "channel_failed:<channel>": "messages that a carrier says did not arrive",
        "commissionable_minor:<currency>": "amount of payments on which a commission is earned, less reversals, minor units",
        "promise_paid_minor:<currency>": "what was paid on promises by the day of their finding, minor units",
        "disputes": "holds placed because the debt is disputed",
        "disputes_resolved": "holds released that were placed because the debt is disputed",
        "ended:<state>": "cases that came to a final state",
        "duties_opened:<duty>": "duties opened, by kind",
        "duties_in_time:<duty>": "duties done in time",
        "duties_overdue:<duty>": "duties that lapsed or were done late, each once",
        "duties_waived:<duty>": "duties waived while open",
        "feedback_received": "complaints, disputes and requests that must be answered, on the day of receipt",
        "feedback_in_48h": "of these, answered within 48 hours; on the day of receipt",
        "feedback_late": "of these, answered later; on the day of receipt",
        "items_received": "the same, with feedback that somebody entered; a new round of an item counts anew",
        "items_in_48h": "of these, answered within 48 hours; on the day of receipt",
        "items_late": "of these, answered later; on the day of receipt",
        "scores": "answers to surveys, scores of 1 to 5",
        "scores_good": "of these, scores of 4 and 5",
        "channel_scores:<channel>": "answers to surveys, by the channel of the answer",
        "channel_scores_good:<channel>": "of these, scores of 4 and 5",
        "exams": "exams that were marked",
        "exams_passed": "of these, passed",
        "exams_first": "of exams, first attempts since the collector last passed the course",
        "exams_first_passed": "of these, passed",
        "trainees_assessed": "collectors with at least one exam marked in the period",
        "trainees_passed": "collectors with at least one exam passed in the period",
        "surveys_sent": "surveys that a carrier took, less those that it could not deliver after all; on the day of sending",
        "surveys_answered": "of these, answered in time; on the day of sending",
        "surveys_good": "of the answers, scores of 4 and 5; on the day of sending",
        "channel_surveys_sent:<channel>": "surveys sent, by channel; on the day of sending",
        "channel_surveys_answered:<channel>": "of these, answered in time; on the day of sending",
        "channel_surveys_good:<channel>": "of the answers, scores of 4 and 5; on the day of sending",
        "training_minutes": "minutes of training that count, on the day on which they were counted",
        "collectors_joined": "collectors named, or named again after they had left",
        "collectors_left": "collectors of whom it was said that they left",
        "collectors_joined:<month>": "the same by month, in the cell of all time",
        "collectors_left:<month>": "the same by month, in the cell of all time",
        "collector_days": "local days on which a collector worked there, the day of joining included; not kept, made of these",
        "settled_in_30": "cases placed on the day and settled within 30 days",
        "settled_in_60": "cases placed on the day and settled within 60 days",
        "settled_in_90": "cases placed on the day and settled within 90 days",
        "self_settled_in_30": "of settled_in_30, cases in which no person had been spoken to before",
        "recalled_in_30": "cases placed on the day and recalled within 30 days",
        "recalled_in_30_minor:<currency>": "placed amount of those, minor units",
        "in_scope": "cases open when the span began, or that came within it; not kept, made of entered and left",
        "entered": "cases that came to the lender (placed) or to the agency (assigned)",
        "left": "cases that came to a final state, for the lender and for the agency that held them",
        "entered:<month>": "the same by month, in the cell of all time",
        "left:<month>": "the same by month, in the cell of all time",
        "cases_attempted": "cases with at least one attempt in the period",
        "cases_dialled": "cases with at least one attempt of a person in the period",
        "cases_right_party": "cases with at least one right-party contact in the period",
        "cases_contactable": "cases with at least one message that arrived, or one call or visit answered, in the period",
        "cases_paid_after_contact": "cases with a right-party contact in the month and a payment received within 7 days of it",
        "persons_attempted": "persons with at least one attempt in the period",
        "persons_reached": "persons with at least one attempt and at least one two-way contact in the period",
    }
)
"""Every counter there is, with its meaning; ``:<...>`` marks a family that has one counter for each key."""

OF_WHOLE = frozenset(
    {
        "entered",
        "left",
        "cases_attempted",
        "cases_dialled",
        "cases_right_party",
        "cases_contactable",
        "cases_paid_after_contact",
        "persons_attempted",
        "persons_reached",
        "trainees_assessed",
        "trainees_passed",
    }
)
"""Counters that the lender as a whole has in cells of its own, because those of its agencies do not add up to them."""

POOL_DAYS = (30, 60, 90)
"""How many days (closed) after its placement a case is looked at for settling."""

GRACE_DAYS = 30
"""A case recalled up to so many days (closed) after its placement does not count as placed, where that is adjusted."""

CONVERSION_DAYS = 7
"""A payment received up to so many days (closed) after a right-party contact counts as its effect."""

ANSWER_HOURS = 48
"""Feedback is to be answered within so many hours (closed) of its receipt; they run on over weekends."""

ANSWERS = frozenset(
    {
        "complaint_answer",
        "complaint_first_reply",
        "credit_dispute_answer",
        "dispute_answer",
        "dispute_investigation",
        "dispute_verification",
        "original_creditor_answer",
        "substantiation",
    }
)
"""Kinds of duty that answer somebody; what they answer is feedback, and the first one done is its answer."""

HANDLES = ANSWERS | {"feedback_answer"}
"""Kinds of duty that answer somebody, the plan's own 48 hours among them: two about one complaint are one item."""

GOOD_SCORE = 4
"""A satisfied customer gives at least so many of 5 points (closed)."""

PROMISE_RESULTS = frozenset({"RPC-PTP", "RPC-PLAN"})
"""Results of a right-party contact that are a promise to pay."""

NOT_MADE = "not_made"
"""The reported outcome of a clearance that was never used: no attempt."""

UNSETTLED = frozenset({"sending", "unknown"})
"""States from which a carrier's own word is the first proof that it took the message."""

STOP = "STOP"
"""The keyword of an inbound opt-out, which is no conversation."""


def agency_of(event: Event) -> str:
    """Return the agency that an event is about, or ``-``.

    A contact and an activity belong to whoever acted (``org``), which is nobody's agency when it is the lender.
    """
    acted = event.type.startswith("contact.") or event.type is EventType.ACTIVITY_RECORDED
    agency = event.data.get("org") if acted else event.data.get("agency")
    return NO_AGENCY if agency is None or agency == event.tenant else str(agency)


def collector_of(event: Event) -> str | None:
    """Return the ``who`` of the collector that acted, or None."""
    collector = event.data.get("collector")
    return None if collector is None else f"collector:{agency_of(event)}/{collector}"


def is_slice(who: str) -> bool:
    """Tell whether a ``who`` is a slice of the lender (its members overlap with agencies) and no agency."""
    return ":" in who


def effect(event: Event, past: Past, *, zone: str) -> Effect:
    """Return what the event adds, and let ``past`` know of it; the events of a stream are to come in their order.

    Raises KeyError when the event lacks a datum that its type always carries; ``past`` is then to be thrown away.
    """
    tally = _Tally(event, past, local_day(event.at, zone))
    learn = _LEARNT.get(event.type)
    if learn is not None:
        learn(tally)
    counter = _COUNTED.get(event.type)
    if counter is not None:
        tally.today(counter(event))
    follow = _FOLLOWED.get(event.type)
    if follow is not None:
        follow(tally)
    return Effect({cell: counts for cell, counts in tally.cells.items() if counts}, marks(event, zone=zone))


def marks(event: Event, *, zone: str) -> tuple[Mark, ...]:
    """Return what the event says about its person in the local week and month: for the agency and for the lender.

    Raises KeyError when the event lacks a datum that its type always carries.
    """
    flag = _flag(event)
    if flag == 0:
        return ()
    day, person = local_day(event.at, zone), str(event.data["person"])
    whos = [WHOLE_LENDER]
    if event.type is not EventType.INBOUND_RECEIVED:
        # An inbound message answers no agency in particular.
        whos.append(agency_of(event))
    return tuple(
        Mark(Cell(event.tenant, who, period), person, flag) for who in whos for period in (month_of(day), week_of(day))
    )


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
    pasts: dict[tuple[str, str], Past] = {}
    unique = {(event.tenant, event.stream, event.seq): event for event in events}
    for identity in sorted(unique):
        event = unique[identity]
        past = pasts.setdefault(identity[:2], Past())
        counted = effect(event, past, zone=zone_of(event.tenant))
        for cell, counts in counted.counts.items():
            add(counters.setdefault(cell, {}), counts)
        for mark in counted.marks:
            before = persons.get((mark.cell, mark.person), 0)
            persons[mark.cell, mark.person] = after = before | mark.flag
            add(counters.setdefault(mark.cell, {}), person_counts(before, after))
    return {cell: counts for cell, counts in counters.items() if counts}


def tried(event: Event, past: Past, *, zone: str) -> tuple[Effect, Past]:
    """Return what the event adds and the past after it; the past that was given stays as it is. Raises as ``effect``."""
    after = copy.deepcopy(past)
    return effect(event, after, zone=zone), after


class _Tally:
    """Collects what one event adds, by cell."""

    def __init__(self, event: Event, past: Past, day: str) -> None:
        self.event, self.past, self.day = event, past, day
        self.cells: dict[Cell, Counts] = {}

    @property
    def slices(self) -> list[str]:
        """Return the slices of the case that the stream is about."""
        facts = self.past.facts
        return [f"{name}:{facts[name]}" for name in ("stage", "region") if facts.get(name) is not None]

    @property
    def strategies(self) -> list[str]:
        """Return the slice of the strategy whose step the case took last, if any.

        It is left out of duties, which are answered when the case may follow another one.
        """
        followed = self.past.facts.get("strategy")
        return [] if followed is None or self.event.type.startswith("duty.") else [f"strategy:{followed}"]

    @property
    def whole(self) -> list[str]:
        """Return where what is distinct for the lender as a whole is counted."""
        return [WHOLE_LENDER, *self.slices]

    def at(self, whos: Sequence[str], period: str, counts: Mapping[str, int]) -> None:
        """Add counts to a period's cells."""
        for who in whos:
            add(self.cells.setdefault(Cell(self.event.tenant, who, period), {}), counts)

    def today(self, counts: Mapping[str, int]) -> None:
        """Add counts to the event's day: of the agency, the case's slices, its strategy, and the collector who acted."""
        collector = collector_of(self.event)
        whos = [agency_of(self.event), *self.slices, *self.strategies, *([] if collector is None else [collector])]
        if counts:
            self.at(whos, self.day, counts)

    def pool(self, counts: Mapping[str, int]) -> None:
        """Add counts to the day on which the case was placed."""
        if "placed_on" in self.past.facts:
            self.at([NO_AGENCY, *self.slices], self.past.facts["placed_on"], counts)

    def batch(self, counts: Mapping[str, int]) -> None:
        """Add counts to the month of the case's portfolio."""
        if self.past.facts.get("portfolio") is not None:
            self.at([f"portfolio:{self.past.facts['portfolio']}"], month_of(self.day), counts)

    def begin_batch(self) -> None:
        """Note in which months the case's portfolio was placed: where its curve begins."""
        if self.past.facts.get("portfolio") is not None:
            self.at([f"portfolio:{self.past.facts['portfolio']}"], EVER, {f"entered:{month_of(self.day)}": 1})

    def stock(self, whos: Sequence[str], name: str) -> None:
        """Let a case enter or leave."""
        self.at(whos, self.day, {name: 1})
        self.at(whos, EVER, {f"{name}:{month_of(self.day)}": 1})

    def distinct(self, flag: str, counter: str) -> None:
        """Count the case once a day, week and month: for the lender, and for the agency that acted."""
        for who in dict.fromkeys((WHOLE_LENDER, agency_of(self.event))):
            days = Days(self.past.days.get(f"{flag}|{who}", ""))
            new = days.add(self.day)
            self.past.days[f"{flag}|{who}"] = str(days)
            whos = self.whole if who == WHOLE_LENDER else [who]
            for is_new, period in zip(new, (self.day, week_of(self.day), month_of(self.day)), strict=True):
                if is_new:
                    self.at(whos, period, {counter: 1})


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


def _paid(event: Event) -> Counts:
    return {**_money("payments", "paid_minor")(event), **_commissionable(event, 1)}


def _reversed(event: Event) -> Counts:
    return {**_money("reversals", "reversed_minor")(event), **_commissionable(event, -1)}


def _commissionable(event: Event, sign: int) -> Counts:
    data = event.data
    if not data["commissionable"]:
        return {}
    return {f"commissionable_minor:{data['currency']}": sign * data["amount_minor"]}


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


def _delivered(event: Event) -> Counts:
    return {**_carried(event), f"channel_delivered:{event.data['channel']}": 1}


def _failed(event: Event) -> Counts:
    counts = {**_carried(event), f"channel_failed:{event.data['channel']}": 1}
    if event.data.get("from") == "delivered":
        counts[f"channel_delivered:{event.data['channel']}"] = -1
    return counts


def _scored(event: Event) -> Counts:
    score, channel = event.data.get("score"), event.data.get("channel")
    if score is None:
        return {}
    counts = {"scores": 1, **({f"channel_scores:{channel}": 1} if channel is not None else {})}
    if score >= GOOD_SCORE:
        counts |= {name.replace("scores", "scores_good", 1): 1 for name in counts}
    return counts


def _examined(event: Event) -> Counts:
    counts = {"exams": 1}
    if event.data["exam_attempt"] == 1:
        counts["exams_first"] = 1
    if event.data["passed"]:
        counts |= {f"{name}_passed": 1 for name in counts}
    return counts


def _trained(event: Event) -> Counts:
    return {"training_minutes": event.data["minutes"]} if event.data["minutes"] else {}


def _confirmed(event: Event) -> Counts:
    return {"risk_events_confirmed": 1, "risk_points": event.data["points"]}


def _quality(event: Event) -> Counts:
    return {"quality_checked": 1, **({"quality_faultless": 1} if event.data["faultless"] else {})}


def _one(name: str) -> Callable[[Event], Counts]:
    return lambda event: {name: 1}


_COUNTED: Mapping[EventType, Callable[[Event], Counts]] = {
    EventType.CASE_PLACED: _placed,
    EventType.CASE_ASSIGNED: _assigned,
    EventType.PAYMENT_POSTED: _paid,
    EventType.PAYMENT_REVERSED: _reversed,
    EventType.PROMISE_MADE: _money("promises_made", "promised_minor"),
    EventType.PROMISE_KEPT: _judged,
    EventType.PROMISE_BROKEN: _judged,
    EventType.CONTACT_DECIDED: _decided,
    EventType.CONTACT_SENT: _carried,
    EventType.CONTACT_DELIVERED: _delivered,
    EventType.CONTACT_FAILED: _failed,
    EventType.CONTACT_REPORTED: _worked,
    EventType.ACTIVITY_RECORDED: _worked,
    EventType.CONTACT_UNKNOWN: _one("lost"),
    EventType.COMPLAINT_RECEIVED: _one("complaints"),
    EventType.RISK_EVENT_RAISED: _one("risk_events"),
    EventType.RISK_EVENT_CONFIRMED: _confirmed,
    EventType.RISK_EVENT_DISMISSED: _one("risk_events_dismissed"),
    EventType.QUALITY_CHECKED: _quality,
    EventType.FEEDBACK_RECEIVED: _scored,
    EventType.EXAM_MARKED: _examined,
    EventType.TRAINING_CREDITED: _trained,
}


# What the past must learn before an event is counted: the case it is about.


def _learn_case(tally: _Tally) -> None:
    data, facts = tally.event.data, tally.past.facts
    facts.update({name: data[name] for name in ("stage", "region", "portfolio") if data.get(name) is not None})
    facts.update({"currency": data["currency"], "placed_minor": data["placed_minor"], "placed_on": tally.day})


def _learn_asked(tally: _Tally) -> None:
    """A wish that a plan has says which strategy's step it is; a wish of anybody else changes nothing."""
    if tally.event.data.get("strategy") is not None:
        tally.past.facts["strategy"] = tally.event.data["strategy"]


def _learn_step(tally: _Tally) -> None:
    data, facts = tally.event.data, tally.past.facts
    facts.pop("strategy", None)
    if data["strategy"] is not None:
        facts["strategy"] = f"{data['strategy']}@{data['number']}"


_LEARNT: Mapping[EventType, Callable[[_Tally], None]] = {
    EventType.CASE_PLACED: _learn_case,
    EventType.CONTACT_REQUESTED: _learn_asked,
    EventType.PLAN_STEP_SETTLED: _learn_step,
}


# What follows from an event and the past together


def _entered(tally: _Tally) -> None:
    tally.stock(tally.whole, "entered")
    tally.batch(_placed(tally.event))
    tally.begin_batch()


def _taken_over(tally: _Tally) -> None:
    tally.past.facts["agency"] = agency_of(tally.event)
    tally.stock([agency_of(tally.event)], "entered")


def _moved(tally: _Tally) -> None:
    """Count a case that came to a final state, which happens once."""
    to, facts = tally.event.data["to"], tally.past.facts
    if to not in FINAL or "end" in facts:
        return
    facts.update({"end": to, "ended_on": tally.day})
    tally.today({f"ended:{to}": 1})
    tally.batch({f"ended:{to}": 1})
    tally.stock([*tally.whole, *([facts["agency"]] if "agency" in facts else [])], "left")
    if "placed_on" not in facts:
        return
    age = days_from(facts["placed_on"], tally.day)
    if to == CaseState.SETTLED:
        pool = {f"settled_in_{days}": 1 for days in POOL_DAYS if age <= days}
        if age <= POOL_DAYS[0] and not facts.get("spoken"):
            pool[f"self_settled_in_{POOL_DAYS[0]}"] = 1
        tally.pool(pool)
    if to == CaseState.RECALLED and age <= GRACE_DAYS:
        amount = f"recalled_in_{GRACE_DAYS}_minor:{facts['currency']}"
        tally.pool({f"recalled_in_{GRACE_DAYS}": 1, amount: facts["placed_minor"]})


def _arrived(tally: _Tally) -> None:
    _tried(tally)
    tally.distinct("c", "cases_contactable")


def _tried(tally: _Tally) -> None:
    if _is_attempt(tally.event):
        tally.distinct("a", "cases_attempted")


def _spoke(tally: _Tally) -> None:
    """Follow what a person reports: the case was tried, answered, or its borrower reached."""
    event = tally.event
    answered = event.data["connected" if event.type is EventType.CONTACT_REPORTED else "connect"]
    if answered or event.data["right_party"]:
        tally.past.facts["spoken"] = True
    if not _is_attempt(event):
        return
    tally.distinct("a", "cases_attempted")
    tally.distinct("d", "cases_dialled")
    if answered:
        tally.distinct("c", "cases_contactable")
    if event.data["right_party"]:
        tally.distinct("r", "cases_right_party")
        _convert(tally)


def _received(tally: _Tally) -> None:
    data = tally.event.data
    tally.past.paid[data["payment"]] = [data["received_on"], data["amount_minor"], data["applied_minor"]]
    tally.batch(_paid(tally.event))
    _convert(tally)


def _took_back(tally: _Tally) -> None:
    tally.past.paid.pop(tally.event.data["reversal_of"], None)
    tally.batch(_reversed(tally.event))
    _convert(tally)


def _convert(tally: _Tally) -> None:
    """Find anew in which months a contact led to a payment, and count what changed."""
    past = tally.past
    received = [payment[0] for payment in past.paid.values()]
    for name, text in past.days.items():
        flag, _, who = name.partition("|")
        if flag != "r":
            continue
        months = sorted(
            {
                month_of(day)
                for day in Days(text)
                if any(day <= each <= days_later(day, CONVERSION_DAYS) for each in received)
            }
        )
        before = past.converted.get(who, [])
        past.converted[who] = months
        whos = tally.whole if who == WHOLE_LENDER else [who]
        for month in {*before, *months}:
            change = int(month in months) - int(month in before)
            if change:
                tally.at(whos, month, {"cases_paid_after_contact": change})


def _found(tally: _Tally) -> None:
    """Count what was paid on a promise; an earlier finding that this one replaces loses what it had counted."""
    data, findings = tally.event.data, tally.past.findings
    before = findings.get(data["promise"], 0) if data["was"] in ("kept", "broken") else 0
    findings[data["promise"]] = data["paid_minor"]
    if data["paid_minor"] != before:
        tally.today({f"promise_paid_minor:{data['currency']}": data["paid_minor"] - before})


def _assessed(tally: _Tally) -> None:
    """Count the collector once a day, week and month: the stream is one collector's training record."""
    tally.distinct("x", "trainees_assessed")
    if tally.event.data["passed"]:
        tally.distinct("y", "trainees_passed")


def _staffed(tally: _Tally) -> None:
    """Count a collector who joins or leaves; the stream is the organisation's, so its past holds who works there."""
    data, facts = tally.event.data, tally.past.facts
    staff = set(facts.get("staff", ()))
    if (data["collector"] in staff) is not data["left"]:
        return
    facts["staff"] = sorted(staff ^ {data["collector"]})
    who = NO_AGENCY if data["org"] == tally.event.tenant else data["org"]
    tally.stock([who], "collectors_left" if data["left"] else "collectors_joined")


def _held(name: str) -> Callable[[_Tally], None]:
    def follow(tally: _Tally) -> None:
        if tally.event.data["kind"] == "dispute":
            tally.today({name: 1})

    return follow


def _duty_opened(tally: _Tally) -> None:
    data, past = tally.event.data, tally.past
    past.duties[data["duty"]] = data["duty_kind"]
    tally.today({f"duties_opened:{data['duty_kind']}": 1})
    if data["duty_kind"] in HANDLES:
        _receive(tally, past.replies, past.feedback, "items_received")
    if data["duty_kind"] in ANSWERS:
        _receive(tally, past.answers, past.items, "feedback_received")


def _receive(tally: _Tally, clocks: dict[str, str], items: dict[str, list[Any]], name: str) -> None:
    """Count what a duty obliges to answer, once for all duties about it."""
    data = tally.event.data
    clocks[data["duty"]] = data["subject"]
    if data["subject"] not in items:
        items[data["subject"]] = [tally.event.at, tally.day, agency_of(tally.event), False]
        tally.today({name: 1})


def _duty_done(tally: _Tally) -> None:
    data, past = tally.event.data, tally.past
    if past.duties.pop(data["duty"], None) is not None:
        finding = "duties_overdue" if data["late"] else "duties_in_time"
        tally.today({f"{finding}:{data['duty_kind']}": 1})
    _answer(tally, past.replies, past.feedback, ("items_in_48h", "items_late"))
    _answer(tally, past.answers, past.items, ("feedback_in_48h", "feedback_late"))


def _answer(tally: _Tally, clocks: dict[str, str], items: dict[str, list[Any]], names: tuple[str, str]) -> None:
    """Count the first answer to an item, in time or late, on the day of its receipt."""
    data = tally.event.data
    item = items.get(clocks.pop(data["duty"], ""))
    if item is None or item[3]:
        return
    item[3] = True
    in_time = from_text(data["done_at"]) - from_text(item[0]) <= timedelta(hours=ANSWER_HOURS)
    tally.at([item[2], *tally.slices], item[1], {names[0] if in_time else names[1]: 1})


def _survey_sent(tally: _Tally) -> None:
    data, surveys = tally.event.data, tally.past.surveys
    if data["survey"] not in surveys:
        surveys[data["survey"]] = [tally.day, agency_of(tally.event), data["channel"], False]
        _survey(tally, surveys[data["survey"]], {"surveys_sent": 1})


def _survey_answered(tally: _Tally) -> None:
    """Count the answer that counts, on the day on which its survey was sent."""
    data = tally.event.data
    if data["counted"]:
        good = {"surveys_good": 1} if data["score"] >= GOOD_SCORE else {}
        _survey_over(tally, {"surveys_answered": 1, **good})


def _survey_ended(tally: _Tally) -> None:
    if tally.event.data["was_sent"]:
        _survey_over(tally, {"surveys_sent": -1})


def _survey_over(tally: _Tally, counts: Counts) -> None:
    sent = tally.past.surveys.get(tally.event.data["survey"])
    if sent is not None and not sent[3]:
        sent[3] = True
        _survey(tally, sent, counts)


def _survey(tally: _Tally, sent: Sequence[Any], counts: Counts) -> None:
    day, agency, channel, _ = sent
    by_channel = {f"channel_{name}:{channel}": count for name, count in counts.items()}
    tally.at([agency, *tally.slices], day, counts | by_channel)


def _duty_over(finding: str) -> Callable[[_Tally], None]:
    def follow(tally: _Tally) -> None:
        if tally.past.duties.pop(tally.event.data["duty"], None) is not None:
            tally.today({f"{finding}:{tally.event.data['duty_kind']}": 1})

    return follow


_FOLLOWED: Mapping[EventType, Callable[[_Tally], None]] = {
    EventType.CASE_PLACED: _entered,
    EventType.CASE_ASSIGNED: _taken_over,
    EventType.CASE_CHANGED: _moved,
    EventType.PAYMENT_POSTED: _received,
    EventType.PAYMENT_REVERSED: _took_back,
    EventType.PROMISE_KEPT: _found,
    EventType.PROMISE_BROKEN: _found,
    EventType.CONTACT_SENT: _tried,
    EventType.CONTACT_FAILED: _tried,
    EventType.CONTACT_DELIVERED: _arrived,
    EventType.CONTACT_REPORTED: _spoke,
    EventType.ACTIVITY_RECORDED: _spoke,
    EventType.EXAM_MARKED: _assessed,
    EventType.COLLECTOR_REGISTERED: _staffed,
    EventType.HOLD_PLACED: _held("disputes"),
    EventType.HOLD_RELEASED: _held("disputes_resolved"),
    EventType.DUTY_OPENED: _duty_opened,
    EventType.DUTY_FULFILLED: _duty_done,
    EventType.DUTY_LAPSED: _duty_over("duties_overdue"),
    EventType.DUTY_WAIVED: _duty_over("duties_waived"),
    EventType.SURVEY_SENT: _survey_sent,
    EventType.SURVEY_ANSWERED: _survey_answered,
    EventType.SURVEY_ENDED: _survey_ended,
}
"""What is counted with the help of the past, by type of event."""
