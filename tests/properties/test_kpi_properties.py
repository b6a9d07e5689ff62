"""Counters do not care about order or repeats, and two independent programs make the same figures of the same events."""

import importlib.util
import sys
from datetime import date
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.kpi import counters as kpi
from chalicelib.domain.kpi.counters import Counts
from chalicelib.domain.kpi.figures import ratio, wilson
from chalicelib.usecases.kpis import KpiPorts, diff, export_projection, recompute
from tests.builders import LENDER, Scope
from tests.kpi_builders import FakeKpiRepository, History, histories, shanghai, write_archive

SCRIPT = Path(__file__).parents[2] / "scripts" / "recompute_kpis.py"


@pytest.fixture(scope="module")
def program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("recompute_kpis", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_program_takes_nothing_from_the_system() -> None:
    assert "chalicelib" not in SCRIPT.read_text(encoding="utf-8")
    imported = {
        line.split()[1].split(".")[0]
        for line in SCRIPT.read_text().splitlines()
        if line.startswith(("import ", "from "))
    }
    assert imported <= sys.stdlib_module_names


@given(st.data())
def test_order_and_repeats_change_nothing(data: st.DataObject) -> None:
    history = data.draw(histories())
    shuffled = data.draw(st.permutations(history.events))
    repeated = shuffled + data.draw(st.lists(st.sampled_from(shuffled), max_size=10)) if shuffled else []
    once = recompute(history.events, zone_of=shanghai)
    assert diff(once, recompute(shuffled, zone_of=shanghai)) == []
    assert recompute(repeated, zone_of=shanghai) == once


@given(st.data())
def test_projection_in_batches_with_redeliveries_equals_recomputation(data: st.DataObject) -> None:
    history = data.draw(histories())
    repository = FakeKpiRepository(shanghai)
    place = 0
    while place < len(history.events):
        size = data.draw(st.integers(1, 12))
        # A stream delivers again from a point it has passed.
        start = data.draw(st.integers(0, place))
        assert repository.fold(history.events[start : place + size]) == []
        place += size
    expected = recompute(history.events, zone_of=shanghai)
    found = {
        kpi.Cell(LENDER, agency, period): counts
        for period in {cell.period for cell in expected}
        for agency, counts in repository.counters(LENDER, period).items()
    }
    assert diff(found, expected) == []


@given(histories(), histories())
def test_an_added_event_shows_as_a_difference_exactly_where_it_counts(one: History, more: History) -> None:
    longer = History()
    longer.events = one.events + [
        event for event in more.events if (event.stream, event.seq) not in {(e.stream, e.seq) for e in one.events}
    ]
    before, after = recompute(one.events, zone_of=shanghai), recompute(longer.events, zone_of=shanghai)
    found = diff(before, after)
    rebuilt: dict[kpi.Cell, Counts] = {cell: dict(counts) for cell, counts in before.items()}
    for each in found:
        cell = kpi.Cell(each.tenant, each.who, each.period)
        assert each.projected != each.recomputed
        kpi.add(rebuilt.setdefault(cell, {}), {each.counter: each.recomputed - each.projected})
    assert {cell: counts for cell, counts in rebuilt.items() if counts} == after


@settings(max_examples=50, deadline=None)
@given(history=histories(), zone=st.sampled_from(["Asia/Shanghai", "America/New_York", "Asia/Kolkata"]))
def test_the_independent_program_makes_the_same_counters_and_figures(
    program: ModuleType, tmp_path_factory: pytest.TempPathFactory, history: History, zone: str
) -> None:
    directory = tmp_path_factory.mktemp("archive")
    write_archive(directory, history)
    theirs = program.recompute(program.load(directory), LENDER, zone)
    repository = FakeKpiRepository(lambda tenant: zone)
    assert repository.fold(history.events) == []
    first, last = date(2026, 10, 26), date(2027, 1, 10)
    export = export_projection(KpiPorts(repository), Scope(LENDER), first, last, zone=zone)
    assert theirs == export["counters"]
    assert program.all_figures(theirs) == export["figures"]


@given(st.integers(0, 10**12).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.sampled_from([1, 10_000]))
def test_both_make_the_same_interval_and_it_holds_the_share(
    program: ModuleType, sample: tuple[int, int], scale: int
) -> None:
    successes, n = sample
    ours = wilson(successes, n, scale=scale)
    assert program.wilson(successes, n, scale) == (None if ours is None else list(ours))
    if ours is not None:
        share = float(ratio(successes * scale, n) or "nan")
        assert float(ours[0]) - 1e-6 <= share <= float(ours[1]) + 1e-6


@given(st.integers(-(10**15), 10**15), st.integers(1, 10**15))
def test_both_round_a_ratio_alike(program: ModuleType, numerator: int, denominator: int) -> None:
    assert program.six_places(Fraction(numerator, denominator)) == ratio(numerator, denominator)
