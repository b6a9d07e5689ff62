"""Every state table of the domain answers every event in every state, and a table with a gap cannot be made."""

import importlib
import pkgutil
from enum import StrEnum
from itertools import product
from typing import Any

import pytest

from chalicelib import domain
from chalicelib.domain.litigation.procedure import procedures
from chalicelib.domain.state_table import Move, Refuse, StateTable, Stay


def tables() -> dict[str, StateTable[Any, Any]]:
    """Return every table that a module of the domain names, and those that data make, by name."""
    found = {}
    for told in pkgutil.walk_packages(domain.__path__, f"{domain.__name__}."):
        for name, value in vars(importlib.import_module(told.name)).items():
            if isinstance(value, StateTable):
                found[f"{told.name.removeprefix(domain.__name__ + '.')}.{name}"] = value
    return found | {f"procedure.{each.country}": each.table for each in procedures()}


TABLES = tables()
PAIRS = [
    pytest.param(table, state, event, id=f"{name}-{state}-{event}")
    for name, table in TABLES.items()
    for state, event in product(table.states, table.events)
]


class Light(StrEnum):
    ON = "on"
    OFF = "off"


class Hand(StrEnum):
    PRESS = "press"
    PULL = "pull"


@pytest.mark.parametrize(("table", "state", "event"), PAIRS)
def test_every_event_has_an_answer_in_every_state(table: StateTable[Any, Any], state: Any, event: Any) -> None:
    match table.answer(state, event):
        case Move(to=to):
            assert to in table.states
        case Stay(reason=reason) | Refuse(reason=reason):
            assert reason
        case other:
            pytest.fail(f"no answer: {other!r}")


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_about_all_members_of_its_states_and_events(name: str) -> None:
    table = TABLES[name]
    assert set(table.states) == set(type(table.states[0]))
    assert set(table.events) == set(type(table.events[0]))


def test_a_table_with_a_gap_is_not_made() -> None:
    replies = {(state, event): Stay("a light") for state, event in product(Light, Hand)}
    assert StateTable(Light, Hand, replies).answer(Light.ON, Hand.PULL) == Stay("a light")
    del replies[Light.ON, Hand.PULL]
    with pytest.raises(ValueError, match=r"^no answer for on/pull$"):
        StateTable(Light, Hand, replies)
