"""Weekly review packs and the scoreboard, over a simulated month kept in memory, and over HTTP."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib.domain.errors import InvalidQuery, NotFound
from chalicelib.domain.experiments.results import Answer, Because, Goal
from chalicelib.domain.kpi.definitions import current
from chalicelib.domain.kpi.scoreboard import Lift
from chalicelib.gateways.review_pages import review_pdf
from chalicelib.usecases import kpis, review_packs, scoreboard
from chalicelib.usecases.kpis import KpiPorts
from chalicelib.usecases.review_packs import PackPorts
from scripts.kpi_memory import MemoryKpiRepository
from scripts.made_month import AGENCIES, LENDER, ZONE, a_month
from tests.builders import Scope

SCOPE = Scope(LENDER)
WEEK = "2026-W46"
"""9 to 15 November."""
FRIDAY = datetime(2026, 11, 13, 2, 0, tzinfo=UTC)
MONDAY_AFTER = datetime(2026, 11, 16, 2, 0, tzinfo=UTC)

TODAY = date(2026, 11, 29)


def untold(scope: Any) -> Sequence[Lift]:
    """No experiment was started."""
    return ()


@dataclass
class Kept:
    """What was kept, and the files."""

    packs: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)

    def of(self, tenant: str, week: str) -> dict[str, Any] | None:
        return self.packs.get((tenant, week))

    def all(self, tenant: str) -> list[dict[str, Any]]:
        return [pack for (of, _), pack in sorted(self.packs.items(), reverse=True) if of == tenant]

    def keep(self, tenant: str, pack: dict[str, Any]) -> None:
        self.packs[tenant, pack["week"]] = pack

    def write(self, path: str, body: bytes, *, content_type: str) -> None:
        self.files[path] = body

    def read(self, path: str) -> bytes | None:
        return self.files.get(path)


class NoDuties:
    """One duty near its end."""

    def lender_page(self, scope: Any, state: str, **about: Any) -> Sequence[Any]:
        return [SimpleNamespace(duty="duty_near")]

    def many(self, scope: Any, duties: Sequence[str]) -> Sequence[Any]:
        about = {"kind": "complaint_answer", "due_at": "2026-11-20T16:00:00.000Z", "owner": LENDER}
        return [SimpleNamespace(id=each, case="case_near", person=None, **about) for each in duties]


@pytest.fixture(scope="module")
def repository() -> MemoryKpiRepository:
    made = MemoryKpiRepository(lambda tenant: ZONE)
    assert made.fold(a_month(7, cases=60).events) == []
    return made


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def ports(repository: MemoryKpiRepository, kept: Kept) -> PackPorts:
    return PackPorts(
        kpis=KpiPorts(repository),
        reviews=kept,
        files=kept,
        duties=NoDuties(),
        pdf=review_pdf,
        zone_of=lambda tenant: ZONE,
        scope_for=Scope,
        lifts=untold,
    )


def test_a_running_week_is_made_once_a_day_and_the_one_that_ended_once(ports: PackPorts, kept: Kept) -> None:
    # The week before has figures too, and no pack yet.
    assert review_packs.make_due_packs(ports, [LENDER], FRIDAY) == 2
    assert review_packs.make_due_packs(ports, [LENDER], FRIDAY + timedelta(hours=2)) == 0
    assert kept.packs[LENDER, WEEK]["final"] is False
    assert review_packs.make_due_packs(ports, [LENDER], FRIDAY + timedelta(days=1)) == 1
    assert review_packs.make_due_packs(ports, [LENDER], MONDAY_AFTER) == 2
    assert kept.packs[LENDER, WEEK]["final"] is True
    assert review_packs.make_due_packs(ports, [LENDER], MONDAY_AFTER + timedelta(hours=1)) == 0
    assert [pack["week"] for pack in review_packs.list_packs(ports, SCOPE)] == ["2026-W47", WEEK, "2026-W45"]


def test_a_lender_without_figures_has_no_pack_of_the_past(ports: PackPorts, kept: Kept) -> None:
    assert review_packs.make_due_packs(ports, ["len-idle"], FRIDAY) == 1
    assert set(kept.packs) == {("len-idle", WEEK)}


def test_a_pack_is_a_page_and_a_pdf_in_two_languages(ports: PackPorts, kept: Kept) -> None:
    known = review_packs.make_pack(ports, SCOPE, WEEK, now=MONDAY_AFTER)
    assert set(known["files"]) == {"zh.html", "zh.pdf", "en.html", "en.pdf"}
    chinese, english = (review_packs.read_pack(ports, SCOPE, WEEK, each, "html").decode() for each in ("zh", "en"))
    for words in ("每周回顾", "与上周相比的变化", "逾期未复的反馈", "法律风险事件", "<svg"):
        assert words in chinese
    for words in ("Weekly review", "What changed against the week before", "Held back, by rule", "CN-RULE-", "<svg"):
        assert words in english
    for agency in AGENCIES:
        assert agency in english
    assert "<script" not in english and "http://www.w3.org/2000/svg" in english
    pdf = review_packs.read_pack(ports, SCOPE, WEEK, "zh", "pdf")
    assert pdf.startswith(b"%PDF-") and b"STSong-Light" in pdf
    again = review_packs.make_pack(ports, SCOPE, WEEK, now=MONDAY_AFTER)
    assert again["files"] == known["files"]


def test_a_pack_compares_the_week_with_the_one_before_from_the_same_figures(ports: PackPorts) -> None:
    pack = review_packs.gather(ports, SCOPE, WEEK, now=MONDAY_AFTER)
    attempts = next(each for each in pack["figures"] if each["kpi"] == "attempts")
    week = [date(2026, 11, 9), date(2026, 11, 15)]
    this = kpis.get_kpis(ports.kpis, SCOPE, *week)
    expected = next(each.figure.numerator for each in this.figures if each.figure.definition.id == "attempts")
    assert attempts["this"]["numerator"] == expected == sum(pack["charts"]["attempts_by_day"]["values"])
    assert attempts["before"]["from"] == "2026-11-02"
    assert [each["rule"] for each in pack["rules"]]
    assert pack["duties"]["items"][0]["about"] == "case_near"
    risks = [each for each in this.figures if each.figure.definition.id == "risk_event_rate"]
    assert pack["risks"]["items"] if risks[0].figure.numerator else not pack["risks"]["items"]


def test_feedback_that_nobody_answered_in_48_hours_is_listed(ports: PackPorts) -> None:
    pack = review_packs.gather(ports, SCOPE, WEEK, now=MONDAY_AFTER)
    received, answered = (_streams(ports, "feedback_in_48h", part) for part in ("denominator", "numerator"))
    assert pack["feedback"]["items"]
    assert set(pack["feedback"]["items"]) <= received
    only_answered = {stream for stream in answered if stream not in pack["feedback"]["items"]}
    assert only_answered | set(pack["feedback"]["items"]) <= received


def _streams(ports: PackPorts, name: str, part: str) -> set[str]:
    first, last = date(2026, 10, 20), date(2026, 11, 14)
    found, after = kpis.list_counted(ports.kpis, SCOPE, first, last, name=name, part=part, limit=10_000)
    assert after is None
    return {each.stream for each in found}


WON = Lift(
    "exp_1", "evening@2", "paid", Answer.BETTER, None, ("0.210000", "0.120000", "0.300000"), Goal.MET, 4_000, 6_000
)
UNTOLD = Lift("exp_2", "letters@3", "cured", Answer.NOT_ENOUGH_DATA, Because.TOO_FEW_MEASURED, None, Goal.OPEN, 7, 900)


def test_strategies_that_won_and_those_nobody_can_tell_of_are_in_the_pack(ports: PackPorts, kept: Kept) -> None:
    told = dataclasses.replace(ports, lifts=lambda scope: (WON, UNTOLD))
    pack = review_packs.gather(told, SCOPE, WEEK, now=MONDAY_AFTER)
    assert [each["strategy"] for each in pack["strategies"]] == ["evening@2", "letters@3"]
    [line] = [line for line in pack["scoreboard"] if line["id"] == "strategy_lift"]
    assert (line["state"], line["lifts"]) == ("not_enough_data", pack["strategies"])
    review_packs.make_pack(told, SCOPE, WEEK, now=MONDAY_AFTER)
    page = kept.files[review_packs.path_of(LENDER, WEEK, "en", "html")].decode()
    for words in ("won", "+21.0 % (+12.0, +30.0)", "4,000 / 6,000", "not enough data", "7 / 900"):
        assert f"<td>{words}</td>" in page


def test_an_agency_is_told_nothing_of_the_lenders_experiments(ports: PackPorts) -> None:
    lines = scoreboard.get_scoreboard(ports.kpis, SCOPE, TODAY, "agency-north", lifts=lambda scope: (WON,))
    [line] = [line for line in lines if line.target.id == "strategy_lift"]
    assert (line.state, line.lifts) == ("not_measured", ())


def test_an_unknown_week_is_not_found(ports: PackPorts) -> None:
    with pytest.raises(NotFound):
        review_packs.read_pack(ports, SCOPE, "2026-W01", "zh", "html")


# The scoreboard


def test_scoreboard_shows_the_figures_of_the_last_four_weeks_with_their_trend(ports: PackPorts) -> None:
    lines = {line.target.id: line for line in scoreboard.get_scoreboard(ports.kpis, SCOPE, TODAY, lifts=untold)}
    risk = lines["risk_event_rate"]
    span = kpis.get_kpis(ports.kpis, SCOPE, date(2026, 11, 2), date(2026, 11, 29))
    expected = next(each for each in span.figures if each.figure.definition.id == "risk_event_rate")
    assert risk.figure is not None and risk.figure["numerator"] == expected.figure.numerator > 0
    assert sum(each["n"] for each in risk.trend) == risk.figure["n"]
    assert risk.warning is not None and risk.warning.alarm == "warning"
    assert risk.warning.undecided > 0
    assert risk.conduct is not None and all(line.warning is None for name, line in lines.items() if line is not risk)
    assert lines["feedback_in_48h"].state == "not_met"
    assert lines["contact_success"].figure is not None
    assert lines["contact_success"].state == "not_enough_data"


@pytest.mark.parametrize("answer", ["scoreboard", "pack"])
def test_an_answer_of_many_figures_reads_each_period_once(ports: PackPorts, answer: str) -> None:
    read: Counter[str] = Counter()

    class Counting(MemoryKpiRepository):
        def counters(self, tenant: str, period: str) -> dict[str, dict[str, int]]:
            read[period] += 1
            return ports.kpis.repository.counters(tenant, period)

    counting = KpiPorts(Counting(lambda tenant: ZONE))
    if answer == "scoreboard":
        scoreboard.get_scoreboard(counting, SCOPE, TODAY, lifts=untold)
    else:
        review_packs.gather(dataclasses.replace(ports, kpis=counting), SCOPE, WEEK, now=MONDAY_AFTER)
    assert read and set(read.values()) == {1}


def test_another_seed_gives_other_figures() -> None:
    boards = []
    for seed in (1, 2):
        made = MemoryKpiRepository(lambda tenant: ZONE)
        made.fold(a_month(seed, cases=30).events)
        lines = scoreboard.get_scoreboard(KpiPorts(made), SCOPE, TODAY, lifts=untold)
        boards.append([line.as_json()["figure"] for line in lines])
    assert boards[0] != boards[1]


# From a figure to its cases


def test_every_figure_made_of_events_is_the_sum_of_what_its_pages_list(ports: PackPorts) -> None:
    first, last = date(2026, 11, 2), date(2026, 11, 29)
    report = kpis.get_kpis(ports.kpis, SCOPE, first, last)
    tried = 0
    for each in report.figures:
        definition = each.figure.definition
        span = (date.fromisoformat(each.first_day), date.fromisoformat(each.last_day))
        for part, value in (("numerator", each.figure.numerator), ("denominator", each.figure.denominator)):
            try:
                listed = _pages(ports, span, definition.id, each.figure.key, part)
            except InvalidQuery as refused:
                assert refused.errors[0].code == "not_listed"
                continue
            terms = definition.numerator if part == "numerator" else definition.denominator
            signs = {term.name(each.figure.key): term.sign for term in terms}
            total = sum(signs[name] * count for item in listed for name, count in item.counts.items())
            assert total == value, (definition.id, each.figure.key, part)
            tried += 1
    assert tried > 60


def _pages(ports: PackPorts, span: tuple[date, date], name: str, key: str | None, part: str) -> list[Any]:
    found: list[Any] = []
    after: tuple[str, str] | None = None
    while True:
        page, after = kpis.list_counted(ports.kpis, SCOPE, *span, name=name, key=key, part=part, after=after, limit=7)
        found += page
        if after is None:
            return found
        assert len(page) == 7


def test_a_figure_by_stage_region_and_collector_adds_up_to_the_lenders(ports: PackPorts) -> None:
    first, last = date(2026, 11, 1), date(2026, 11, 30)
    whole = _value(kpis.get_kpis(ports.kpis, SCOPE, first, last), "attempts")
    for dimension in ("agency", "stage"):
        reports = kpis.get_kpis_of_each(ports.kpis, SCOPE, first, last, dimension)
        assert len(reports) > 1
        assert sum(_value(report, "attempts") for report in reports) == whole, dimension
    by_collector = kpis.get_kpis_of_each(ports.kpis, SCOPE, first, last, "collector")
    assert {report.who for report in by_collector} == {
        f"collector:{agency}/{collector}" for agency, collectors in AGENCIES.items() for collector in collectors
    }


def test_days_weeks_and_months_of_what_adds_up_are_sums(ports: PackPorts) -> None:
    first, last = date(2026, 11, 2), date(2026, 11, 29)
    whole = _value(kpis.get_kpis(ports.kpis, SCOPE, first, last), "attempts")
    for by, number in (("day", 28), ("week", 4)):
        series = kpis.get_kpi_series(ports.kpis, SCOPE, first, last, by=by)
        assert len(series) == number
        assert sum(_value(report, "attempts") for report in series) == whole


def _value(report: kpis.KpiReport, name: str) -> int:
    return next((each.figure.numerator for each in report.figures if each.figure.name == name), 0)


def test_shares_of_cases_stay_shares(ports: PackPorts) -> None:
    known: Mapping[str, Any] = {each.id: each for each in current()}
    for by in ("day", "week", "month"):
        for report in kpis.get_kpi_series(ports.kpis, SCOPE, date(2026, 11, 2), date(2026, 11, 29), by=by):
            for each in report.figures:
                if known[each.figure.definition.id].period == "each":
                    assert each.figure.denominator is not None
                    assert 0 <= each.figure.numerator <= each.figure.denominator, each.figure.name
