"""Roll rates: rows and parts sum to one, late money changes the past it belongs to, and a textbook's figure comes out."""

from collections import Counter
from datetime import date
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.events import EventType
from chalicelib.domain.kpi import rolls
from chalicelib.domain.kpi.rolls import KINDS, ORDERS, Place
from scripts.roll_report import report
from tests.kpi_builders import SHANGHAI, History

OCTOBER, NOVEMBER = date(2026, 10, 31), date(2026, 11, 30)


def test_forty_of_a_hundred_million_that_roll_are_forty_percent() -> None:
    # The textbook's figure: 100 m in the 30-day bucket in February, 40 m in the 60-day bucket in March.
    february = [Place("pool", "30-59", 100_000_000, "USD", False)]
    march = [Place("pool", "60-89", 40_000_000, "USD", False)]
    assert rolls.flow(february, march, china=False) == {"30-59>60-89": Fraction(40, 100)}


def test_chained_flow_rates_are_the_share_of_what_is_lent_that_reaches_the_end() -> None:
    order = ORDERS[True]
    rates = {f"{a}>{b}": Fraction(1, 2) for a, b in zip(order, order[1:], strict=False)}
    assert rolls.chained(rates, china=True) == Fraction(1, 2**6)
    assert rolls.chained({"M1>M2": Fraction(1, 2)}, china=True) is None


_after = st.sampled_from([*ORDERS[True], "settled", "recalled", "legal"])


@given(st.lists(st.tuples(st.sampled_from(ORDERS[True]), _after, st.integers(1, 10**9)), min_size=1))
def test_rows_and_parts_sum_to_one_by_count_and_by_balance(moves: list[tuple[str, str, int]]) -> None:
    before = [Place(f"case_{n}", at, minor, "CNY", True) for n, (at, _, minor) in enumerate(moves)]
    after = {f"case_{n}": Place(f"case_{n}", at, minor, "CNY", True) for n, (_, at, minor) in enumerate(moves)}
    matrix = rolls.tracked(before, after)
    for by_balance in (False, True):
        for bucket in {at for at, _, _ in moves}:
            assert sum(matrix.row(bucket, by_balance=by_balance).values()) == 1
        parts = matrix.parts(by_balance=by_balance)
        assert sum(parts.values()) == 1 and tuple(parts) == KINDS
    assert sum(matrix.cases.values()) == len(moves)
    assert sum(matrix.minor.values()) == sum(minor for _, _, minor in moves)
    assert sum(rolls.shares(before, china=True).values()) == 1
    # A second count by hand.
    told = Counter((first, second) for first, second, _ in moves)
    for (first, second), count in told.items():
        held = sum(1 for each, _, _ in moves if each == first)
        assert matrix.row(first)[second] == Fraction(count, held)


def test_a_case_that_vanished_is_a_fault() -> None:
    with pytest.raises(KeyError):
        rolls.tracked([Place("case_1", "M1", 5, "CNY", True)], {})


# From events


def _a_case(due_on: str = "2026-09-20", amount: int = 100_000) -> History:
    instalments = [{"due_on": due_on, "owed": {"principal": amount}}]
    facts = {"placed_minor": amount, "currency": "CNY", "country": "CN", "instalments": instalments, "charges": {}}
    return History().add(EventType.CASE_PLACED, facts, at="2026-10-10T02:00:00.000Z")


def _money(history: History, kind: EventType, payment: str, received_on: str, at: str, **more: Any) -> History:
    base = {
        "payment": payment,
        "amount_minor": 100_000,
        "currency": "CNY",
        "received_on": received_on,
        "reversal_of": None,
    }
    return history.add(kind, {**base, "stated_split": None, **more}, at=at)


def _at(history: History, day: date) -> tuple[str, int]:
    place = rolls.place_of(history.events, day, zone=SHANGHAI)
    assert place is not None
    return place.at, place.balance_minor


def test_a_case_ages_without_any_event() -> None:
    history = _a_case()
    assert rolls.place_of(history.events, date(2026, 10, 9), zone=SHANGHAI) is None
    # 41 and 71 days after its due date.
    assert (_at(history, OCTOBER), _at(history, NOVEMBER)) == (("M2", 100_000), ("M3", 100_000))


def test_money_booked_late_changes_the_month_end_it_was_received_before() -> None:
    history = _a_case()
    _money(history, EventType.PAYMENT_POSTED, "pay_1", "2026-10-30", "2026-11-09T02:00:00.000Z")
    assert _at(history, OCTOBER) == ("M0", 0)
    _money(history, EventType.PAYMENT_REVERSED, "pay_2", "2026-11-20", "2026-11-20T02:00:00.000Z", reversal_of="pay_1")
    assert _at(history, OCTOBER) == ("M2", 100_000)


def test_a_freeze_keeps_a_case_where_it_was_until_it_is_taken_back() -> None:
    history = _a_case()
    pause = {"pause": "pause_1", "pause_kind": "freeze", "paused_from": "2026-11-01", "paused_to": "2026-11-30"}
    history.add(EventType.PAUSE_RECORDED, pause, at="2026-11-05T02:00:00.000Z")
    assert _at(history, NOVEMBER)[0] == "M2"
    history.add(EventType.PAUSE_CANCELLED, pause, at="2026-11-25T02:00:00.000Z")
    assert _at(history, NOVEMBER)[0] == "M3"


def test_a_report_of_a_pool_counts_ways_out() -> None:
    streams = {}
    for number, end in enumerate(("settled", "recalled", None, None)):
        history = _a_case()
        if end is not None:
            history.add(EventType.CASE_CHANGED, {"to": end}, at="2026-11-12T02:00:00.000Z")
        streams[f"case_{number}"] = [_named(event, f"case_{number}") for event in history.events]
    [entry] = report(streams, OCTOBER, NOVEMBER, zone=SHANGHAI)
    assert entry["by_count"]["M2"] == {"settled": "0.250000", "recalled": "0.250000", "M3": "0.500000"}
    assert entry["parts"] == {
        "forward": "0.500000",
        "stable": "0.000000",
        "back": "0.000000",
        "cured": "0.250000",
        "out": "0.250000",
    }


def _named(event: Any, stream: str) -> Any:
    from dataclasses import replace

    return replace(event, stream=stream)
