"""Packages of others make the same figures where they overlap with ours: cures and recalls, intervals, roll rates.

What overlaps. A pool's share that was settled within so many days is, while every case of it is followed that long, the
cumulative incidence of settling among competing ends (Aalen and Johansen), and where nothing else ends a case also one
less the survival of Kaplan and Meier. Our figures count younger cases as they stand, so for a pool that is not followed
to its end ours is a lower bound of theirs, and equal again once the time is over.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from statsmodels.duration.survfunc import CumIncidenceRight, SurvfuncRight
from statsmodels.stats.proportion import proportion_confint

from chalicelib.domain.cases.lifecycle import FINAL
from chalicelib.domain.events import Event, EventType
from chalicelib.domain.kpi import counters as kpi
from chalicelib.domain.kpi import rolls
from chalicelib.domain.kpi.counters import Counts
from chalicelib.domain.kpi.definitions import Period, Unit
from chalicelib.domain.kpi.figures import figures
from chalicelib.domain.kpi.periods import local_day
from chalicelib.usecases.kpis import level_of
from scripts.made_month import ZONE, Month, a_month

SEED, CASES = 1, 150
LONG_AFTER = date(2027, 6, 30)
"""A day by which every case was followed for more than ninety days."""

SETTLED, UNSPOKEN, OTHER = 1, 2, 3
"""How a case ended: settled after somebody had been spoken to, settled before anybody was, or in another way."""


@dataclass(frozen=True, slots=True)
class Life:
    """A case's days from its placement to its end, or to the day until which it was followed (``end`` 0)."""

    stage: str
    days: int
    end: int
    state: str | None
    placed_minor: int
    currency: str


@pytest.fixture(scope="module")
def month() -> Month:
    return a_month(SEED, cases=CASES)


@pytest.fixture(scope="module")
def told(month: Month) -> dict[str, Counts]:
    return totals(month)


def lives(month: Month, until: date = LONG_AFTER) -> list[Life]:
    """Return every case's life as a plain reading of its events says, followed until a local day (closed)."""
    found = []
    for events in month.streams().values():
        known = [event for event in events if local_day(event.at, ZONE) <= until.isoformat()]
        if not known or known[0].type is not EventType.CASE_PLACED:
            continue
        first = date.fromisoformat(local_day(known[0].at, ZONE))
        data, ended = known[0].data, _end(known)
        last = until if ended is None else date.fromisoformat(local_day(ended.at, ZONE))
        state = None if ended is None else str(ended.data["to"])
        how = 0 if state is None else OTHER if state != "settled" else SETTLED if _spoken(known, ended) else UNSPOKEN
        found.append(Life(data["stage"], (last - first).days, how, state, data["placed_minor"], data["currency"]))
    return found


def _end(events: Iterable[Event]) -> Event | None:
    return next((e for e in events if e.type is EventType.CASE_CHANGED and e.data["to"] in FINAL), None)


def _spoken(events: Sequence[Event], ended: Event | None) -> bool:
    before = events if ended is None else [event for event in events if event.seq < ended.seq]
    asked = {EventType.CONTACT_REPORTED: "connected", EventType.ACTIVITY_RECORDED: "connect"}
    return any(e.type in asked and (e.data[asked[e.type]] or e.data["right_party"]) for e in before)


def totals(month: Month, until: date = LONG_AFTER) -> dict[str, Counts]:
    """Return our counters of all days together by who, made of the events up to a local day (closed)."""
    events = [event for event in month.events if local_day(event.at, ZONE) <= until.isoformat()]
    found: dict[str, Counts] = {}
    for cell, counts in kpi.fold(events, zone_of=lambda tenant: ZONE).items():
        if len(cell.period) == len("yyyy-mm-dd"):
            kpi.add(found.setdefault(cell.who, {}), counts)
    return found


def incidence(pool: Sequence[Life], ends: Mapping[int, int], days: int, weights: Any = None) -> float:
    """Return the share that theirs says ended in the first way within so many days (closed); ``ends`` numbers the ways."""
    # Theirs takes times above 0; a day more for everybody changes no share.
    times = np.array([life.days + 1 for life in pool])
    status = np.array([ends.get(life.end, 0) for life in pool])
    made = CumIncidenceRight(times, status, freq_weights=weights)
    reached = made.cinc[0][made.times <= days + 1]
    return float(reached[-1]) if len(reached) else 0.0


def _close(ours: Fraction, theirs: float) -> bool:
    return abs(float(ours) - theirs) < 1e-9


@pytest.mark.parametrize("days", [30, 60, 90])
def test_cures_of_pools_that_were_followed_to_their_end_are_equal(
    month: Month, told: dict[str, Counts], days: int
) -> None:
    everybody = lives(month)
    pools = {"-": everybody} | {
        f"stage:{stage}": [life for life in everybody if life.stage == stage]
        for stage in sorted({life.stage for life in everybody})
    }
    assert len(pools) > 4
    settled = 0
    for who, pool in pools.items():
        counts = told[who]
        assert counts["placed"] == len(pool)
        ours = Fraction(counts.get(f"settled_in_{days}", 0), counts["placed"])
        assert _close(ours, incidence(pool, {SETTLED: 1, UNSPOKEN: 1, OTHER: 2}, days)), who
        settled += counts.get(f"settled_in_{days}", 0)
    assert settled > 20


def test_self_cures_and_recalls_are_equal_by_count_and_by_amount(month: Month, told: dict[str, Counts]) -> None:
    counts, pool = told["-"], lives(month)
    ours = Fraction(counts["self_settled_in_30"], counts["placed"])
    assert ours and _close(ours, incidence(pool, {UNSPOKEN: 1, SETTLED: 2, OTHER: 3}, 30))
    recalled = [
        Life(each.stage, each.days, 1 if each.state == "recalled" else 2 if each.end else 0, None, 0, "")
        for each in pool
    ]
    ours = Fraction(counts["recalled_in_30"], counts["placed"])
    assert ours and _close(ours, incidence(recalled, {1: 1, 2: 2}, 30))
    for currency in ("CNY", "USD"):
        some = [(life, mark) for life, mark in zip(pool, recalled, strict=True) if life.currency == currency]
        weights = np.array([life.placed_minor for life, _ in some])
        ours = Fraction(counts.get(f"recalled_in_30_minor:{currency}", 0), counts[f"placed_minor:{currency}"])
        assert _close(ours, incidence([mark for _, mark in some], {1: 1, 2: 2}, 30, weights)), currency


def test_without_other_ends_a_cure_is_one_less_the_survival_of_kaplan_and_meier(month: Month) -> None:
    streams = month.streams()
    others = {name for name, events in streams.items() if (end := _end(events)) and end.data["to"] != "settled"}
    settling = Month([event for event in month.events if event.stream not in others])
    counts, pool = totals(settling)["-"], lives(settling)
    made = SurvfuncRight(np.array([life.days + 1 for life in pool]), np.array([int(life.end != 0) for life in pool]))
    for days in (30, 60, 90):
        lasting = made.surv_prob[made.surv_times <= days + 1]
        ours = Fraction(counts[f"settled_in_{days}"], counts["placed"])
        assert ours and _close(ours, 1 - float(lasting[-1]))


def test_pool_that_is_not_followed_to_its_end_is_a_lower_bound_until_it_is(month: Month) -> None:
    ends = {SETTLED: 1, UNSPOKEN: 1, OTHER: 2}
    lower = 0
    for until in (date(2026, 11, 12), date(2026, 11, 18), date(2026, 11, 25)):
        counts, pool = totals(month, until)["-"], lives(month, until)
        # Everybody is younger than thirty days, so theirs reaches further than what was seen of most.
        ours = float(Fraction(counts.get("settled_in_30", 0), counts["placed"]))
        theirs = incidence(pool, ends, 30)
        assert ours <= theirs + 1e-9
        lower += ours < theirs - 1e-6
    assert lower
    last = max(date.fromisoformat(local_day(event.at, ZONE)) for event in month.events)
    counts, pool = totals(month, last + timedelta(days=90))["-"], lives(month, last + timedelta(days=90))
    assert _close(Fraction(counts["settled_in_30"], counts["placed"]), incidence(pool, ends, 30))


def test_intervals_are_those_of_wilson(told: dict[str, Counts]) -> None:
    found = [
        figure
        for who, counts in told.items()
        for figure in figures(counts, level=level_of(who), period=Period.DAY)
        if figure.interval is not None and figure.definition.unit is Unit.RATIO
    ]
    assert len(found) > 100
    for each in found:
        low, high = proportion_confint(each.numerator, each.n, alpha=0.05, method="wilson")
        assert each.interval is not None
        assert abs(float(each.interval[0]) - low) < 1e-6 and abs(float(each.interval[1]) - high) < 1e-6


def test_roll_matrices_are_the_cross_tables_of_the_same_cases(month: Month) -> None:
    first, last = date(2026, 11, 12), date(2026, 11, 30)
    moves: rolls.Moves = {}
    places = []
    for events in month.streams().values():
        rolls.count_move(moves, events, first, last, zone=ZONE)
        before, after = (rolls.place_of(events, day, zone=ZONE) for day in (first, last))
        if before is not None and after is not None and not before.is_out:
            places.append((before.currency, before.china, before.at, after.at, before.balance_minor))
    table = pd.DataFrame(places, columns=["currency", "china", "before", "after", "minor"])
    compared = 0
    for ours in rolls.tables(moves):
        mine = table[(table.currency == ours["currency"]) & (table.china == (ours["buckets"] == "CN"))]
        assert (ours["cases"], ours["balance_minor"]) == (len(mine), mine.minor.sum())
        by_count = pd.crosstab(mine.before, mine.after, normalize="index")
        by_balance = pd.crosstab(mine.before, mine.after, values=mine.minor, aggfunc="sum").fillna(0)
        by_balance = by_balance.div(by_balance.sum(axis=1), axis=0)
        for name, theirs in (("by_count", by_count), ("by_balance", by_balance)):
            assert set(ours[name]) == {bucket for bucket in theirs.index if theirs.loc[bucket].sum() > 0}
            for bucket, row in ours[name].items():
                nonzero = {after: share for after, share in theirs.loc[bucket].items() if share > 0}
                assert row.keys() == nonzero.keys()
                assert all(abs(float(row[after]) - share) < 1e-6 for after, share in nonzero.items())
                compared += len(row)
    assert compared > 40
