"""The monthly statement: its totals tie to the money booked, its words are in two languages, its cells cannot run."""

import csv
import io
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from chalicelib.domain.money.commission import lines_of
from chalicelib.domain.money.statement import (
    Adjustment,
    ObjectionEvent,
    ObjectionState,
    answer,
    csv_of,
    faults_of,
    major,
    tables_of,
    totals_of,
    word,
)
from chalicelib.domain.state_table import Move, Refuse, Stay
from tests.domain.money.test_commission import back, flat, money

ROWS = (money(10_000, 1), money(5_000, 2))
BACKS = (back(amount_minor=10_000),)
LINES = lines_of(flat(1_000), ROWS, BACKS, earlier={})


def a_statement(**deviations: Any) -> dict[str, Any]:
    adjustments = [Adjustment(objection="obj_1", month="2026-10", source="pay_9", amount_minor=-25)]
    return {
        "lender": "auto-fin",
        "agency": "agency-a",
        "month": "2026-11",
        "currency": "CNY",
        "digits": 2,
        "terms": 3,
        "factor": 10_000,
        "totals": totals_of(LINES, adjustments).model_dump(),
        "adjustments": [each.model_dump() for each in adjustments],
        "lines": [{**line.__dict__} if hasattr(line, "__dict__") else _fields(line) for line in LINES],
        **deviations,
    }


def _fields(line: Any) -> dict[str, Any]:
    return {name: getattr(line, name) for name in line.__slots__} | {"received_on": line.received_on.isoformat()}


def test_totals_are_the_sums_of_the_lines() -> None:
    totals = totals_of(LINES)
    assert (totals.received_minor, totals.taken_back_minor) == (15_000, -10_000)
    assert (totals.earned_minor, totals.clawed_back_minor, totals.payable_minor) == (1_500, -1_000, 500)


def test_a_sound_statement_ties_and_every_departure_is_found() -> None:
    assert faults_of(LINES, ROWS, BACKS) == []
    assert faults_of(LINES[1:], ROWS, BACKS) == [LINES[0].source]
    assert faults_of(LINES, ROWS[1:], BACKS) == ["pay_1"]
    assert faults_of((replace(LINES[0], amount_minor=9_999), *LINES[1:]), ROWS, BACKS) == ["pay_1"]
    assert faults_of((*LINES, LINES[0]), ROWS, BACKS) == ["pay_1"]
    assert faults_of((replace(LINES[0], commission_minor=10_001), *LINES[1:]), ROWS, BACKS) == ["pay_1"]


@pytest.mark.parametrize(("state", "event"), list(product(ObjectionState, ObjectionEvent)))
def test_every_state_of_an_objection_answers_every_event(state: ObjectionState, event: ObjectionEvent) -> None:
    target = {"grant": "granted", "refuse": "refused"}[event.value]
    reply = answer(state, event)
    if state is ObjectionState.OPEN:
        assert reply == Move(ObjectionState(target))
    else:
        assert isinstance(reply, Stay if state.value == target else Refuse)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_csv_holds_every_line_and_the_totals(language: str) -> None:
    raw = csv_of(a_statement(), language)
    assert raw.startswith(b"\xef\xbb\xbf")
    rows = list(csv.reader(io.StringIO(raw.decode("utf-8-sig"))))
    assert rows[0][5] == word("amount", language)
    assert [row[5] for row in rows[1:4]] == ["100.00", "50.00", "-100.00"]
    assert [word("payable", language), "4.75"] in rows


def test_a_cell_that_would_run_as_a_formula_is_led_by_an_apostrophe() -> None:
    lines = [{**a_statement()["lines"][0], "case": "=1+1", "rate": "-2+3"}]
    rows = list(csv.reader(io.StringIO(csv_of(a_statement(lines=lines), "en").decode("utf-8-sig"))))
    assert (rows[1][2], rows[1][6]) == ("'=1+1", "'-2+3")


def test_both_languages_show_the_same_cells_of_money() -> None:
    zh, en = (tables_of(a_statement(), language)[-1].rows for language in ("zh", "en"))
    assert [row[:8] for row in zh] == [row[:8] for row in en]
    assert [row[8] for row in zh] != [row[8] for row in en]


@pytest.mark.parametrize(
    ("minor", "digits", "text"),
    [(0, 2, "0.00"), (5, 2, "0.05"), (-5, 2, "-0.05"), (1_234_567, 2, "12345.67"), (7, 0, "7"), (-7, 3, "-0.007")],
)
def test_amounts_are_set_in_major_units_without_floats(minor: int, digits: int, text: str) -> None:
    assert major(minor, digits) == text
