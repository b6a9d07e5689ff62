"""The whole path: events in the main table's order -> counters -> figures -> export, checked by the separate program."""

import json
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from chalicelib.domain.errors import InvalidQuery
from chalicelib.domain.events import EventType
from chalicelib.domain.kpi.counters import EVER
from chalicelib.store.kpi_repository import KpiRepository
from chalicelib.usecases import kpis
from chalicelib.usecases.kpis import Difference, KpiPorts
from tests.builders import AGENCY, LENDER, Scope
from tests.kpi_builders import (
    CONTACT,
    DAY,
    MONTH,
    SHANGHAI,
    WEEK,
    FakeKpiRepository,
    History,
    a_worked_day,
    counters_of,
    shanghai,
    write_archive,
)

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
SCOPE = Scope(LENDER)
MONDAY = date(2026, 11, 23)


@pytest.fixture
def ports() -> KpiPorts:
    repository = FakeKpiRepository(shanghai)
    repository.fold(a_worked_day().events)
    return KpiPorts(repository)


def _program(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", str(ROOT / "scripts" / "recompute_kpis.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def _export(ports: KpiPorts, path: Path, **changes: Any) -> Path:
    export = kpis.export_projection(ports, SCOPE, MONDAY, MONDAY, zone=SHANGHAI)
    path.write_text(json.dumps({**export, **changes}), encoding="utf-8")
    return path


# The use cases


def test_a_run_publishes_what_changed_and_the_next_run_nothing(ports: KpiPorts) -> None:
    assert kpis.compute_kpis(ports, NOW) > 0
    assert kpis.compute_kpis(ports, NOW) == 0
    published = kpis.get_published_figures(ports, SCOPE, MONDAY, MONDAY)
    assert set(published) == {DAY, WEEK, MONTH}
    liquidation = next(body for body in published[DAY] if body["kpi"] == "liquidation")
    assert (liquidation["value"], liquidation["version"], liquidation["as_of"]) == (
        "0.200000",
        1,
        "2026-11-23T10:00:00.000Z",
    )


def test_a_late_event_republishes_the_past_day_it_belongs_to(ports: KpiPorts) -> None:
    kpis.compute_kpis(ports, NOW)
    late = History().add(
        EventType.COMPLAINT_RECEIVED, {"agency": AGENCY}, at="2026-11-01T02:00:00.000Z", stream="case_late"
    )
    assert kpis.project_kpis(ports.repository, late.events) == []
    assert kpis.compute_kpis(ports, NOW) == 2
    assert set(kpis.get_published_figures(ports, SCOPE, date(2026, 11, 1), date(2026, 11, 1))) == {
        "2026-11-01",
        MONTH,
    }


def test_one_period_that_fails_does_not_keep_the_others_from_being_published(ports: KpiPorts) -> None:
    class Broken(FakeKpiRepository):
        def publish(self, tenant: str, period: str, figures: Any, *, as_of: str) -> int:
            if tenant == "a-fin":
                raise OSError("no such table")
            return super().publish(tenant, period, figures, as_of=as_of)

    repository = Broken(shanghai)
    repository.fold([*History("a-fin").sent().events, *a_worked_day().events])
    with pytest.raises(ExceptionGroup, match="could not be published") as raised:
        kpis.compute_kpis(KpiPorts(repository), NOW)
    assert len(raised.value.exceptions) == 3
    assert repository.published(LENDER, DAY, "*")
    assert {due.tenant for due in repository.due(10)} == {"a-fin"}


def test_a_span_adds_counters_up_before_it_divides(ports: KpiPorts) -> None:
    # A second day of 20 rulings without a denial: the rate over both is 2 / 40, though the rule never fired that day.
    following = History()
    ruling = {"outcome": "allow", "ruleset": "0" * 64, "reasons": [], "inputs": "0" * 64}
    at = "2026-11-24T02:00:00.000Z"
    following.add(EventType.CONTACT_DECIDED, CONTACT, at=at, stream="case_next", decision=ruling, times=20)
    kpis.project_kpis(ports.repository, following.events)
    report = kpis.get_kpis(ports, SCOPE, MONDAY, date(2026, 11, 24))
    found = {each.figure.name: each for each in report.figures}
    assert (found["denied_by_rule:cn.cap"].figure.numerator, found["denied_by_rule:cn.cap"].figure.denominator) == (
        2,
        40,
    )
    assert found["denied"].figure.value == "0.050000"
    assert (found["denied"].first_day, found["denied"].last_day) == (DAY, "2026-11-24")
    # Persons of a month are no matter of the span.
    assert (found["contact_success"].first_day, found["contact_success"].last_day) == ("2026-11-01", "2026-11-30")


def test_a_report_shows_numerator_denominator_interval_n_and_version(ports: KpiPorts) -> None:
    body = kpis.get_kpis(ports, SCOPE, MONDAY, MONDAY, AGENCY).as_json()
    assert body["agency"] == AGENCY
    figure = next(each for each in body["figures"] if each["kpi"] == "connect_by_channel")
    assert figure == {
        "kpi": "connect_by_channel",
        "version": 1,
        "key": "call",
        "unit": "ratio",
        "numerator": 6,
        "denominator": 10,
        "n": 10,
        "value": "0.600000",
        # Wilson, 6 of 10: (6 + 1.920729) / 13.841459 = 0.572247, half width 1.959964 * sqrt(2.4 + 0.960365) / 13.841459.
        "interval": ["0.312674", "0.831820"],
        "from": DAY,
        "to": DAY,
    }
    named = {(each["kpi"], each["version"]) for each in body["definitions"]}
    assert named == {(each["kpi"], each["version"]) for each in body["figures"]}
    assert all(each["formula"]["zh"] and each["formula"]["en"] for each in body["definitions"])
    json.dumps(body)


def test_an_agency_sees_nothing_of_another(ports: KpiPorts) -> None:
    assert kpis.get_kpis(ports, SCOPE, MONDAY, MONDAY, "agency-b").figures == ()


def test_a_lender_sees_nothing_of_another(ports: KpiPorts) -> None:
    assert kpis.get_kpis(ports, Scope("other-fin"), MONDAY, MONDAY).figures == ()


@pytest.mark.parametrize(
    ("last", "code"), [(date(2026, 11, 22), "span_is_empty"), (date(2027, 11, 24), "span_too_long")]
)
def test_a_span_that_is_empty_or_too_long_is_refused(ports: KpiPorts, last: date, code: str) -> None:
    with pytest.raises(InvalidQuery) as raised:
        kpis.get_kpis(ports, SCOPE, MONDAY, last)
    assert [error.code for error in raised.value.errors] == [code]


def test_longest_span_is_a_leap_year_long(ports: KpiPorts) -> None:
    assert kpis.get_kpis(ports, SCOPE, MONDAY, date(2027, 11, 23)).figures


def test_projection_and_recomputation_of_the_worked_day_do_not_differ(ports: KpiPorts) -> None:
    recomputed = kpis.recompute(a_worked_day().events, zone_of=shanghai)
    projected = kpis.projected_counters(ports, SCOPE, [DAY, WEEK, MONTH, EVER])
    assert kpis.diff(projected, recomputed) == []


def test_each_cell_that_differs_is_named(ports: KpiPorts) -> None:
    projected = kpis.projected_counters(ports, SCOPE, [DAY, WEEK, MONTH, EVER])
    recomputed = counters_of(a_worked_day().sent())
    assert kpis.diff(projected, recomputed) == [
        Difference(LENDER, AGENCY, DAY, "attempts", projected=16, recomputed=17),
        Difference(LENDER, AGENCY, DAY, "channel_attempts:sms", projected=5, recomputed=6),
    ]


# The separate program


def test_program_agrees_with_the_projection_in_the_table(aws: None, tmp_path: Path) -> None:
    history = a_worked_day()
    write_archive(tmp_path / "archive", history)
    repository = KpiRepository(shanghai)
    _in_batches(repository, history, 7)
    export = _export(KpiPorts(repository), tmp_path / "export.json")
    done = _program(tmp_path / "archive", "--zone", SHANGHAI, "--against", export)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "0 differences in 8 cells" in done.stderr


def test_hours_are_pro_rata_of_the_days_that_each_worked_there_and_the_program_agrees(tmp_path: Path) -> None:
    history = History()
    for at, collector, left in (
        ("2026-10-19T16:30:00.000Z", "a", False),
        ("2026-11-16T04:00:00.000Z", "b", False),
        ("2026-11-20T04:00:00.000Z", "b", True),
    ):
        told = {"org": AGENCY, "collector": collector, "left": left}
        history.add(EventType.COLLECTOR_REGISTERED, told, at=at, stream=AGENCY)
    for stream, minutes in (("trn_a", 240), ("trn_b", 60)):
        credit = {"minutes": minutes, "agency": AGENCY, "collector": stream[-1]}
        history.add(EventType.TRAINING_CREDITED, credit, at="2026-11-18T04:00:00.000Z", stream=stream)
    repository = FakeKpiRepository(shanghai)
    repository.fold(history.events)
    ports = KpiPorts(repository)
    for who in (None, AGENCY):
        report = kpis.get_kpis(ports, SCOPE, date(2026, 11, 14), date(2026, 11, 23), who)
        told = {each.figure.definition.id: each.as_json() for each in report.figures}["training_hours_per_collector"]
        # Ten days of one and five of the other: 300 minutes / 60 / (15 / 365).
        assert (told["numerator"], told["denominator"], told["value"]) == (300, 15, "121.666667")
    export = kpis.export_projection(ports, SCOPE, date(2026, 10, 15), date(2026, 11, 23), zone=SHANGHAI)
    (tmp_path / "export.json").write_text(json.dumps(export), encoding="utf-8")
    write_archive(tmp_path / "archive", history)
    done = _program(tmp_path / "archive", "--zone", SHANGHAI, "--against", tmp_path / "export.json")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "training_hours_per_collector@1" in json.dumps(export["figures"]["2026-11-18"])


def _in_batches(repository: KpiRepository, history: History, size: int) -> None:
    batches: Sequence[Any] = [history.events[start : start + size] for start in range(0, len(history.events), size)]
    for batch in batches:
        assert repository.fold(batch) == []


def test_program_names_a_counter_that_was_tampered_with(ports: KpiPorts, tmp_path: Path) -> None:
    write_archive(tmp_path / "archive", a_worked_day())
    export = json.loads(_export(ports, tmp_path / "export.json").read_text(encoding="utf-8"))
    export["counters"][DAY][AGENCY]["complaints"] = 0
    (tmp_path / "export.json").write_text(json.dumps(export), encoding="utf-8")
    done = _program(tmp_path / "archive", "--zone", SHANGHAI, "--against", tmp_path / "export.json")
    assert done.returncode == 1
    assert done.stdout == f"counter {DAY} {AGENCY} complaints: export 0, archive 1\n"


def test_program_names_a_figure_that_was_improved_by_hand(ports: KpiPorts, tmp_path: Path) -> None:
    write_archive(tmp_path / "archive", a_worked_day())
    export = json.loads(_export(ports, tmp_path / "export.json").read_text(encoding="utf-8"))
    export["figures"][DAY]["*"]["risk_event_rate@2"]["value"] = "0.010000"
    (tmp_path / "export.json").write_text(json.dumps(export), encoding="utf-8")
    done = _program(tmp_path / "archive", "--zone", SHANGHAI, "--against", tmp_path / "export.json")
    assert done.returncode == 1
    assert done.stdout.startswith(f"figure {DAY} * risk_event_rate@2: ")
    assert done.stdout.count("\n") == 1


def test_program_names_what_the_projection_lost(tmp_path: Path) -> None:
    history = a_worked_day()
    write_archive(tmp_path / "archive", history)
    repository = FakeKpiRepository(shanghai)
    repository.fold([event for event in history.events if event.stream != "case_3"])
    done = _program(
        tmp_path / "archive", "--zone", SHANGHAI, "--against", _export(KpiPorts(repository), tmp_path / "export.json")
    )
    assert done.returncode == 1
    assert f"counter {DAY} - placed: export 2, archive 3\n" in done.stdout


def test_program_ignores_days_outside_the_span_and_refuses_an_export_that_does_not(tmp_path: Path) -> None:
    history = a_worked_day()
    history.add(EventType.COMPLAINT_RECEIVED, {"agency": AGENCY}, at="2026-11-24T04:00:00.000Z")
    write_archive(tmp_path / "archive", history)
    repository = FakeKpiRepository(shanghai)
    repository.fold(history.events)
    export = _export(KpiPorts(repository), tmp_path / "export.json")
    assert _program(tmp_path / "archive", "--zone", SHANGHAI, "--against", export).returncode == 0
    body = json.loads(export.read_text(encoding="utf-8"))
    body["counters"]["2026-11-25"] = {AGENCY: {"complaints": 1}}
    export.write_text(json.dumps(body), encoding="utf-8")
    done = _program(tmp_path / "archive", "--zone", SHANGHAI, "--against", export)
    assert (done.returncode, done.stdout) == (1, "counter 2026-11-25: the export has it outside its own span\n")


def test_program_takes_the_zone_from_the_lenders_registration(ports: KpiPorts, tmp_path: Path) -> None:
    history = a_worked_day()
    history.add(EventType.LENDER_REGISTERED, {"lender": LENDER, "zone": SHANGHAI}, stream=LENDER)
    write_archive(tmp_path / "archive", history)
    done = _program(tmp_path / "archive", "--against", _export(ports, tmp_path / "export.json"))
    assert (done.returncode, done.stdout) == (0, "")
    other = _export(ports, tmp_path / "other.json", zone="America/New_York")
    done = _program(tmp_path / "archive", "--against", other)
    assert done.returncode == 1
    assert done.stdout.startswith("zone: export America/New_York, archive Asia/Shanghai")


def test_program_prints_counters_and_figures_without_an_export(tmp_path: Path) -> None:
    write_archive(tmp_path / "archive", a_worked_day())
    done = _program(tmp_path / "archive", "--zone", SHANGHAI)
    assert done.returncode == 0
    body = json.loads(done.stdout)
    assert body["figures"][DAY]["*"]["liquidation:CNY@1"]["value"] == "0.200000"
    assert body["counters"][MONTH]["*"]["persons_reached"] == 3


def test_program_reads_full_and_partial_bundles_up_to_the_checkpoint(tmp_path: Path) -> None:
    history = History().sent(times=600)
    log = write_archive(tmp_path / "archive", history)
    # An older, narrower copy of the last bundle stays in the archive beside the one that grew.
    widest = log / "tile" / "entries" / "002.p" / "88"
    first = int.from_bytes(widest.read_bytes()[:2], "big") + 2
    (widest.parent / "1").write_bytes(widest.read_bytes()[:first])
    body = json.loads(_program(tmp_path / "archive", "--zone", SHANGHAI).stdout)
    assert body["counters"][DAY][AGENCY]["attempts"] == 600
    (log / "checkpoint").write_text("origin\n300\nroot\n\n", encoding="utf-8")
    body = json.loads(_program(tmp_path / "archive", "--zone", SHANGHAI).stdout)
    assert body["counters"][DAY][AGENCY]["attempts"] == 300


def test_program_finds_bundles_beyond_a_thousand_under_grouped_names(tmp_path: Path) -> None:
    import runpy

    bundle_name = runpy.run_path(str(ROOT / "scripts" / "recompute_kpis.py"))["bundle_name"]
    # C2SP tlog-tiles: 1234067 is x001/x234/067.
    assert [bundle_name(number) for number in (0, 999, 1000, 1_234_067)] == [
        "000",
        "999",
        "x001/000",
        "x001/x234/067",
    ]


def _damaged(kind: str, tmp_path: Path) -> list[object]:
    archive = tmp_path / "archive"
    log = write_archive(archive, History().sent(times=300))
    last = log / "tile" / "entries" / "001.p" / "44"
    zone: list[object] = ["--zone", SHANGHAI]
    match kind:
        case "no directory":
            return [tmp_path / "elsewhere", *zone]
        case "no log":
            (tmp_path / "empty").mkdir()
            return [tmp_path / "empty", *zone]
        case "missing bundle":
            last.unlink()
        case "cut bundle":
            last.write_bytes(last.read_bytes()[:-1])
        case "short bundle":
            length = int.from_bytes(last.read_bytes()[:2], "big") + 2
            last.write_bytes(last.read_bytes()[:length])
        case "not JSON":
            last.write_bytes(b"\x00\x02{]" * 44)
        case "out of sequence":
            first = log / "tile" / "entries" / "000"
            first.write_bytes(first.read_bytes().replace(b'"seq":7,', b'"seq":8,'))
        case "no checkpoint in the file":
            (log / "checkpoint").write_text("origin\n", encoding="utf-8")
        case "no zone":
            zone = []
        case "unknown zone":
            zone = ["--zone", "Mars/Olympus"]
        case "unknown lender":
            zone += ["--tenant", "other-fin"]
        case "no export":
            zone += ["--against", tmp_path / "none.json"]
        case "strange export":
            (tmp_path / "export.json").write_text('{"v": 2}', encoding="utf-8")
            zone += ["--against", tmp_path / "export.json"]
    return [archive, *zone]


@pytest.mark.parametrize(
    "kind",
    [
        "no directory",
        "no log",
        "missing bundle",
        "cut bundle",
        "short bundle",
        "not JSON",
        "out of sequence",
        "no checkpoint in the file",
        "no zone",
        "unknown zone",
        "unknown lender",
        "no export",
        "strange export",
    ],
)
def test_program_says_so_when_it_cannot_read(kind: str, tmp_path: Path) -> None:
    done = _program(*_damaged(kind, tmp_path))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.strip() and "Traceback" not in done.stderr
