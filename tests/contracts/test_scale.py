"""What a change costs does not hang on how many cases stand by: counted in items and units, never in seconds."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pynamodb.exceptions import PutError

from chalicelib.domain.kpi import counters as kpi
from chalicelib.domain.kpi.counters import Cell
from chalicelib.store import kpi_repository, tables
from chalicelib.store.repository import Store
from chalicelib.store.tables import Record, View
from scripts.bench_kpis import (
    ALONE_FOLDED,
    ASKED,
    CLOSE,
    FOLDED,
    PUBLISHED,
    READ_PRICE,
    STAGES,
    WRITE_PRICE,
    ZONE,
    Measured,
    Run,
    Stage,
    World,
    a_world,
    bill,
    changes,
    flat,
    fold,
    print_bill,
    print_run,
    run,
)
from scripts.metered_tables import DIGITS, MeteredTables, Work
from tests.builders import LENDER
from tests.house import ROOT

FEW, MANY = 40, 400


def _runs() -> list[Any]:
    return [run(cases, events=100, due_plans=4, walked=10) for cases in (FEW, MANY)]


def test_work_of_a_change_is_the_same_for_ten_times_the_cases(capsys: pytest.CaptureFixture[str]) -> None:
    runs = _runs()
    assert flat(runs)
    # Every case brings the same items with it.
    assert (runs[1].items - runs[0].items) % (MANY - FEW) == 0
    for each in runs:
        assert each.items > 10 * each.cases
        assert all(part.work.items_read and part.work.read_units for part in each.parts.values())
        print_run(each)
    told = capsys.readouterr().out
    assert "400 cases standing" in told and CLOSE in told


def test_clock_that_looked_at_every_plan_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def every(store: Store, shard: str, *, until: str, limit: int) -> list[tuple[str, str]]:
        found = [(item.pk, item.sk, item.due_at) for item in Record.due.query(shard)]
        return [(pk, sk) for pk, sk, due_at in found if due_at <= until][:limit]

    monkeypatch.setattr(Store, "due", every)
    assert not flat(_runs())


def test_figures_that_were_made_from_each_case_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = kpi_repository.KpiRepository.counters

    def counted(repository: Any, tenant: str, period: str) -> Any:
        assert list(View.query(f"T#{tenant}#CASES"))
        return whole(repository, tenant, period)

    monkeypatch.setattr(kpi_repository.KpiRepository, "counters", counted)
    assert not flat(_runs())


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with a_world(20, tmp_path / "laid") as found:
        yield found


def test_cases_that_were_laid_down_are_what_the_code_writes(tmp_path: Path) -> None:
    with a_world(20, tmp_path / "laid") as down:
        laid = _named(down.tables)
    with a_world(1, tmp_path / "written") as written:
        for number in range(1, 20):
            written.write_case(number)
        found = _named(written.tables)
    assert laid.keys() == found.keys()
    for key, item in laid.items():
        assert set(item) == set(found[key])
        assert _open(key, item) == _open(key, found[key])


def _open(key: tuple[str, str, str], item: Any) -> Any:
    """Return what two writers of an item must agree on: not what is sealed or packed, nor a token of a fold."""
    is_token = key[1] == "KPI#DUE"
    return {name: value for name, value in item.items() if "B" not in value and not (is_token and name == "s")}


def _named(tables_in_file: MeteredTables) -> dict[tuple[str, str, str], Any]:
    return {(table, item["pk"]["S"], item["sk"]["S"]): item for table, item in tables_in_file.items()}


def test_what_is_folded_there_is_what_a_recomputation_gives(world: World) -> None:
    events = changes(world, 50)
    before = _counters(world)
    fold(world, events)
    fold(world, events, batch=7)
    placed = [_first_events(world, event.stream) for event in events if event.seq == 4]
    alone = kpi.fold([each for first in placed for each in first], zone_of=lambda tenant: ZONE)
    both = kpi.fold([*(each for first in placed for each in first), *events], zone_of=lambda tenant: ZONE)
    after = _counters(world)
    for cell in after.keys() | both.keys():
        for name in after.get(cell, {}).keys() | both.get(cell, {}).keys():
            moved = after.get(cell, {}).get(name, 0) - before.get(cell, {}).get(name, 0)
            assert moved == both.get(cell, {}).get(name, 0) - alone.get(cell, {}).get(name, 0), (cell, name)


def _first_events(world: World, case: str) -> list[Any]:
    found = DIGITS.search(case)
    assert found is not None
    return world.first_events(int(found[0]))


def _counters(world: World) -> kpi.Counters:
    found = {}
    for _, item in world.tables.items():
        pk, who = item["pk"]["S"], item["sk"]["S"]
        if pk.startswith(f"T#{LENDER}#KPI#"):
            counts = {name[2:]: int(value["N"]) for name, value in item.items() if name.startswith("n.")}
            found[Cell(LENDER, who, pk.rsplit("#", 1)[1])] = counts
    return found


def test_page_states_the_assumptions_and_prices_of_the_bill() -> None:
    page = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    for name, stage in STAGES.items():
        told = (stage.messages, stage.calls, stage.steps, stage.others, stage.events)
        assert f"| {name} | {' | '.join(f'{each:g}' for each in told)} |" in page
    assert f"{WRITE_PRICE} dollars for a million write" in page and f"{READ_PRICE} dollars for a million read" in page


def test_bill_is_units_times_what_happens_in_a_month(capsys: pytest.CaptureFixture[str]) -> None:
    parts = {
        name: Measured(10, Work(read_units=20.0, write_units=30, index_units=10), 0.0)
        for name in (FOLDED, ALONE_FOLDED, PUBLISHED, ASKED, CLOSE)
    }
    found = bill(Run(1, 16, parts), Stage(messages=2, calls=1, others=1))
    # Two messages of five events, a call of three, three steps, one other: seventeen events, two and four units each.
    assert found["figures"] == found["figures, one by one"] == (34.0, 68.0)
    assert (found["planner"], found["month's close"]) == ((6.0, 12.0), (2.0, 4.0))
    assert found["the contacts themselves"] == (2 * 37 + 22, 2 * 36 + 21)
    print_bill(Run(1, 16, parts))
    assert "planner" in capsys.readouterr().out


# The tables in a file


@pytest.fixture
def metered(tmp_path: Path, environment: None) -> Iterator[MeteredTables]:
    from chalicelib import settings

    tables.connect(settings.names())
    made = MeteredTables(tmp_path / "tables")
    with made.serving():
        yield made
    made.close()


def test_units_follow_the_published_formulas(metered: MeteredTables) -> None:
    View("T#l", "one", d="x" * 1_500).save()
    assert metered.work == Work(items_written=1, write_units=2)
    View("T#l", "one", d="x").save()
    # The larger of before and after counts.
    assert metered.work.write_units == 4
    before = metered.work.copy()
    assert View.get("T#l", "one", consistent_read=True).d == "x"
    with pytest.raises(View.DoesNotExist):
        View.get("T#l", "none")
    assert metered.work - before == Work(items_read=1, read_units=1.5)


def test_query_counts_its_page_and_goes_on_where_it_ended(metered: MeteredTables) -> None:
    for number in range(6):
        View("T#l", f"{number}", d="x" * 2_000, s="odd" if number % 2 else "even").save()
    before = metered.work.copy()
    assert [item.sk for item in View.query("T#l", View.sk > "1", limit=3, consistent_read=True)] == ["2", "3", "4"]
    assert metered.work - before == Work(items_read=3, read_units=2.0)
    assert [item.sk for item in View.query("T#l", filter_condition=View.s == "odd", limit=2)] == ["1", "3"]
    assert [item.sk for item in View.query("T#l", View.sk.between("1", "2"), scan_index_forward=False)] == ["2", "1"]
    assert [item.sk for item in View.query("T#l", View.sk.startswith("5"))] == ["5"]


def test_row_of_the_due_index_costs_a_unit_to_add_and_one_to_take_away(metered: MeteredTables) -> None:
    record = Record("T#l#PLAN#1", "PLAN", v=1, due_shard="0", due_at="2026-11-23T00:00:00.000Z")
    record.save()
    assert (metered.work.write_units, metered.work.index_units) == (1, 1)
    assert [item.pk for item in Record.due.query("0", Record.due_at <= "2026-11-24")] == ["T#l#PLAN#1"]
    assert list(Record.due.query("0", Record.due_at <= "2026-11-22")) == []
    record.update([Record.due_shard.remove(), Record.due_at.remove(), Record.v.set(2)])
    assert metered.work.index_units == 2
    assert list(Record.due.query("0")) == []


def test_condition_that_does_not_hold_is_refused_and_nothing_is_written(metered: MeteredTables) -> None:
    View("T#l", "one", v=1).save(View.pk.does_not_exist())
    with pytest.raises(PutError) as refused:
        View("T#l", "one", v=2).save(View.pk.does_not_exist())
    assert refused.value.cause_response_code == "ConditionalCheckFailedException"
    assert View.get("T#l", "one").v == 1
    assert metered.work.items_written == 1


def test_call_without_a_formula_is_refused(metered: MeteredTables) -> None:
    with pytest.raises(ValueError, match="no formula for Scan"):
        metered.answer("Scan", {})
    with pytest.raises(ValueError, match="has no number"):
        metered.lay("views", {"pk": {"S": "T#l"}, "sk": {"S": "one"}}, "0" * 32)
