"""The engine's local time against a second clock that was written apart from it, around every change of every zone."""

from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib.domain.compliance.timeline import Zone, zone
from scripts import clock_oracle

WINDOWS = clock_oracle.windows()


@pytest.fixture(scope="module")
def groups() -> dict[tuple[int, clock_oracle.Changes], list[str]]:
    return clock_oracle.alike()


def test_zones_of_a_group_show_the_engine_the_same_clock(
    groups: dict[tuple[int, clock_oracle.Changes], list[str]],
) -> None:
    assert sum(map(len, groups.values())) == len(clock_oracle.zone_names()) > 500
    for (first, changes), names in groups.items():
        for name in names:
            each = zone(name)
            seen = [(each.offset(minute * 60 - 1), each.offset(minute * 60)) for minute, _, _ in changes]
            assert seen == [(before * 60, after * 60) for _, before, after in changes], name
            start, end = (int(day.timestamp()) for day in (clock_oracle.FIRST, clock_oracle.LAST))
            assert _changes_seen(each, start, end) == [minute * 60 for minute, _, _ in changes], name
            assert each.offset(start) == first * 60, name


def _changes_seen(each: Zone, start: int, end: int) -> list[int]:
    """Return the instants at which the engine's zone changes, by asking it at the ends of days and halving."""
    found = []
    for day in range(start, end, 2 * 86_400):
        low, high = day, min(day + 2 * 86_400, end)
        if each.offset(low) != each.offset(high):
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if each.offset(middle) == each.offset(low) else (low, middle)
            found.append(high)
    return found


def _around(groups: dict[tuple[int, clock_oracle.Changes], list[str]]) -> Iterator[tuple[str, int]]:
    for number, ((_, changes), names) in enumerate(groups.items()):
        # Of each group one change, forth or back, the year by turns, of some a plain day; the campaign asks about all.
        start = 2 * number % max(len(changes) - 1, 1)
        for minute, _, _ in changes[start + number % 2 : start + number % 2 + 1]:
            yield names[0], minute
        if not changes and number % 16 == 0:
            yield names[0], int(clock_oracle.FIRST.timestamp()) // 60 + 200 * 1440


def test_every_window_opens_and_closes_when_the_clock_on_the_wall_says(
    groups: dict[tuple[int, clock_oracle.Changes], list[str]],
) -> None:
    wrong = [line for name, minute in _around(groups) for line in clock_oracle.differences(name, minute, WINDOWS, (0,))]
    assert wrong == []


def test_a_ruling_opens_and_closes_when_the_clock_on_the_wall_says(
    groups: dict[tuple[int, clock_oracle.Changes], list[str]],
) -> None:
    asked = [(names[-1], changes[2][0]) for (_, changes), names in groups.items() if len(changes) > 2]
    assert len(asked) > 25
    assert [line for name, minute in asked for line in clock_oracle.ruled(name, minute)] == []


def test_the_second_clock_sees_a_wrong_window(groups: dict[tuple[int, clock_oracle.Changes], list[str]]) -> None:
    off: dict[str, dict[str, Any]] = {"shifted": {"windows": [{"open": [["08:00", "21:01"]]}]}}
    name, minute = next((names[0], changes[0][0]) for (_, changes), names in groups.items() if changes)
    seen = clock_oracle.wall(clock_oracle.zone_info(name), minute)
    right = {"windows": [{"open": [["08:00", "21:00"]]}]}
    asked = list(clock_oracle.moments(off["shifted"], seen, minute, (0,)))
    told, wrong = (
        [clock_oracle.answer(clock_oracle.opening(params, seen), second) for second in asked]
        for params in (right, off["shifted"])
    )
    assert list(clock_oracle.differences(name, minute, off, (0,))) == [] and told != wrong
