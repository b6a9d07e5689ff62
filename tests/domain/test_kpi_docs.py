"""The page on key figures lists every definition and every counter as they are in the code."""

from pathlib import Path
from typing import Any

import pytest

from chalicelib.domain.kpi.counters import COUNTERS
from chalicelib.domain.kpi.definitions import DEFINITIONS, Definition, expression
from scripts import kpi_page
from tests.kpi_builders import DAY, a_worked_day, counters_of

PAGE = (Path(__file__).parents[2] / "docs" / "kpis.md").read_text(encoding="utf-8")
ROWS = {line.split(" | ")[0].strip("| "): line for line in PAGE.splitlines() if line.startswith("| `")}


def _expression(terms: tuple[Any, ...], definition: Definition) -> str:
    return (
        " ".join(f"`{word}`" if len(word) > 1 else word for word in expression(terms, definition.key).split()) or "none"
    )


def test_tables_are_written_from_the_code() -> None:
    assert kpi_page.main(["--check"]) == 0


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.reference)
def test_page_states_the_definition_as_it_is(definition: Definition) -> None:
    cells = ROWS[f"`{definition.reference}`"].strip("| ").split(" | ")
    assert cells[1] == f"{definition.name['zh']}<br>{definition.name['en']}"
    assert cells[2] == f"{definition.formula['zh']}<br>{definition.formula['en']}"
    parts = (definition.numerator, definition.denominator, definition.sample)
    assert cells[3:6] == [_expression(part, definition) for part in parts]
    assert cells[7] == ("Wilson" if definition.interval else "none")


@pytest.mark.parametrize("counter", COUNTERS)
def test_page_says_what_the_counter_counts(counter: str) -> None:
    assert ROWS[f"`{counter}`"] == f"| `{counter}` | {COUNTERS[counter]} |"


def test_page_lists_nothing_that_is_not_there() -> None:
    known = {each.reference for each in DEFINITIONS} | set(COUNTERS)
    assert {row.strip("`") for row in ROWS} == known


def test_worked_day_of_the_page_is_the_day_of_the_tests() -> None:
    assert DAY in PAGE
    counts = [counts for cell, counts in counters_of(a_worked_day()).items() if cell.period == DAY]
    assert sum(each.get("placed_minor:CNY", 0) for each in counts) == 400_000
    assert sum(each.get("attempts", 0) for each in counts) == 16
