"""Figures and definitions: each key figure of the worked day by hand, intervals against published values."""

import hashlib
import json
from dataclasses import replace

import pytest

from chalicelib.domain.kpi import counters as kpi
from chalicelib.domain.kpi import definitions
from chalicelib.domain.kpi.definitions import DEFINITIONS, Definition, Level, Period
from chalicelib.domain.kpi.figures import Figure, figures, ratio, wilson
from chalicelib.usecases.kpis import figures_of
from tests.builders import AGENCY
from tests.kpi_builders import DAY, MONTH, a_worked_day, counters_of


def _of(period: str, agency: str) -> dict[str, Figure]:
    counters = {c.who: counts for c, counts in counters_of(a_worked_day()).items() if c.period == period}
    return {figure.name: figure for figure in figures_of(counters, period=period)[agency]}


@pytest.mark.parametrize(
    ("name", "numerator", "denominator", "n", "value"),
    [
        ("placed_cases", 3, None, 3, "3"),
        ("placed_amount:CNY", 400_000, None, 3, "400000"),
        ("assigned_cases", 2, None, 2, "2"),
        ("assigned_amount:CNY", 350_000, None, 2, "350000"),
        ("collected:CNY", 80_000, None, 2, "80000"),
        ("liquidation:CNY", 80_000, 400_000, 3, "0.200000"),
        ("promise_to_pay", 2, 4, 4, "0.500000"),
        ("kept_promise", 3, 4, 4, "0.750000"),
        ("kept_promise_amount:CNY", 30_000, 60_000, 4, "0.500000"),
        ("right_party_contact", 4, 16, 16, "0.250000"),
        ("right_party_contact_by_channel:call", 4, 10, 10, "0.400000"),
        ("connect_by_channel:call", 6, 10, 10, "0.600000"),
        ("attempts", 16, None, 16, "16"),
        ("attempts_by_channel:call", 10, None, 10, "10"),
        ("attempts_by_channel:sms", 5, None, 5, "5"),
        ("attempts_by_channel:email", 1, None, 1, "1"),
        ("deferred", 3, 20, 20, "0.150000"),
        ("reviewed", 1, 20, 20, "0.050000"),
        ("denied", 2, 20, 20, "0.100000"),
        ("deferred_by_rule:cn.hours", 3, 20, 20, "0.150000"),
        ("deferred_by_rule:cn.cap", 1, 20, 20, "0.050000"),
        ("reviewed_by_rule:cn.third_party", 1, 20, 20, "0.050000"),
        ("denied_by_rule:cn.cap", 2, 20, 20, "0.100000"),
        ("complaint_rate", 1, 16, 16, "625.000000"),
        ("risk_event_rate", 1, 16, 16, "0.062500"),
        ("risk_events_raised", 2, None, 2, "2"),
        ("conduct_deduction", 10, 16, 16, "625.000000"),
    ],
)
def test_lenders_figures_of_the_worked_day_are_those_worked_out_by_hand(
    name: str, numerator: int, denominator: int | None, n: int, value: str
) -> None:
    figure = _of(DAY, "*")[name]
    assert (figure.numerator, figure.denominator, figure.n, figure.value) == (numerator, denominator, n, value)


def test_days_that_collectors_worked_are_not_summed_over_the_agencies_that_have_a_cell() -> None:
    made = figures_of({AGENCY: {"collector_days": 2, "training_minutes": 60}}, period=DAY)
    (agency,) = (figure for figure in made[AGENCY] if figure.name == "training_hours_per_collector")
    assert agency.denominator == 2
    assert not [figure for figure in made["*"] if figure.name == "training_hours_per_collector"]
    own = figures_of({AGENCY: {"collector_days": 2}, "*": {"collector_days": 5}}, period=DAY)["*"]
    assert [f.denominator for f in own if f.name == "training_hours_per_collector"] == [5]


def test_worked_day_has_no_other_lenders_figures() -> None:
    assert len(_of(DAY, "*")) == 36


def test_agencys_liquidation_is_over_what_it_was_assigned() -> None:
    figure = _of(DAY, AGENCY)["agency_liquidation:CNY"]
    # 80,000 / 350,000 = 8/35 = 0.22857142...
    assert (figure.numerator, figure.denominator, figure.value) == (80_000, 350_000, "0.228571")
    assert "liquidation:CNY" not in _of(DAY, AGENCY)
    assert "agency_liquidation:CNY" not in _of(DAY, "*")


def test_contact_success_is_over_persons_of_the_month() -> None:
    lender, agency = _of(MONTH, "*")["contact_success"], _of(MONTH, AGENCY)["contact_success"]
    assert (lender.numerator, lender.denominator, lender.value) == (3, 5, "0.600000")
    assert (agency.numerator, agency.denominator, agency.value) == (2, 5, "0.400000")


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        # R. G. Newcombe, Statistics in Medicine 17 (1998) 857-872, table I, method 3 (score without correction).
        (81, 263, "0.2553", "0.3662"),
        (15, 148, "0.0624", "0.1605"),
        (0, 20, "0.0000", "0.1611"),
        (1, 29, "0.0061", "0.1718"),
    ],
)
def test_wilson_interval_is_the_published_one(successes: int, n: int, low: str, high: str) -> None:
    interval = wilson(successes, n)
    assert interval is not None
    assert [f"{float(bound):.4f}" for bound in interval] == [low, high]


def test_wilson_interval_of_all_and_of_none_touch_the_ends() -> None:
    # At the ends the formula shortens to n / (n + z^2) and z^2 / (n + z^2): 7 / 10.841459 and 3.841459 / 10.841459.
    assert wilson(7, 7) == ("0.645670", "1.000000")
    assert wilson(0, 7) == ("0.000000", "0.354330")


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (-1, 5), (6, 5), (1, -1)])
def test_what_is_no_share_of_a_sample_has_no_interval(successes: int, n: int) -> None:
    assert wilson(successes, n) is None


@pytest.mark.parametrize(
    ("numerator", "denominator", "value"),
    [
        (1, 3, "0.333333"),
        (2, 3, "0.666667"),
        (1, 2_000_000, "0.000000"),  # 0.0000005: half to even goes down,
        (3, 2_000_000, "0.000002"),  # and 0.0000015 goes up
        (-1, 3, "-0.333333"),
        (-1, 9_000_000, "0.000000"),
        (5, 0, None),
        (5, -2, None),
    ],
)
def test_ratio_has_six_decimals_half_to_even_and_no_value_without_a_denominator(
    numerator: int, denominator: int, value: str | None
) -> None:
    assert ratio(numerator, denominator) == value


def test_no_data_is_no_figure_and_no_denominator_is_no_value() -> None:
    assert figures({}, level=Level.LENDER, period=Period.DAY) == []
    found = {each.name: each for each in figures({"complaints": 2}, level=Level.LENDER, period=Period.DAY)}
    assert found["complaint_rate"].value is None
    assert found["complaint_rate"].interval is None
    assert found["complaint_rate"].n == 0


def test_complaint_interval_is_scaled_like_its_value() -> None:
    figure = _of(DAY, "*")["complaint_rate"]
    plain = wilson(1, 16)
    assert plain is not None and figure.interval is not None
    assert [round(float(bound)) for bound in figure.interval] == [round(float(bound) * 10_000) for bound in plain]


def test_a_rule_with_a_colon_in_its_name_stays_whole() -> None:
    counts = {"decided": 4, "denied": 1, "denied_by_rule:house:late": 1}
    found = {each.name: each for each in figures(counts, level=Level.AGENCY, period=Period.DAY)}
    assert found["denied_by_rule:house:late"].key == "house:late"


# Definitions


def test_every_definition_has_a_version_and_its_texts_in_both_languages() -> None:
    for each in DEFINITIONS:
        assert each.version >= 1
        assert each.name["zh"] and each.name["en"] and each.formula["zh"] and each.formula["en"]
        assert each.numerator and each.sample
        assert not each.interval or each.denominator


def test_no_two_definitions_share_a_reference() -> None:
    assert len({each.reference for each in DEFINITIONS}) == len(DEFINITIONS)


def test_definitions_rest_on_counters_that_exist() -> None:
    for each in DEFINITIONS:
        for term in (*each.numerator, *each.denominator, *each.sample):
            family = "from" if term.stem else each.key
            assert (f"{term.counter}:<{family}>" if term.keyed else term.counter) in kpi.COUNTERS


def test_highest_version_is_the_current_one(monkeypatch: pytest.MonkeyPatch) -> None:
    first = DEFINITIONS[0]
    monkeypatch.setattr(definitions, "DEFINITIONS", (replace(first, version=2), *DEFINITIONS))
    found = definitions.current()
    assert found[0].version == 2
    assert len(found) == len({each.id for each in DEFINITIONS})


def _digest(definition: Definition) -> str:
    terms = (definition.numerator, definition.denominator, definition.sample)
    meaning = {
        "unit": definition.unit,
        "terms": [
            [[term.counter, term.sign, term.keyed, *(["stem"] if term.stem else [])] for term in part] for part in terms
        ],
        "key": definition.key,
        "levels": sorted(definition.levels),
        "period": definition.period,
        "interval": definition.interval,
    }
    return hashlib.sha256(json.dumps(meaning).encode()).hexdigest()[:12]


def test_a_published_definition_never_changes_its_meaning() -> None:
    """A new meaning is a new version; then add its line here and leave the others alone."""
    assert {each.reference: _digest(each) for each in DEFINITIONS} == PUBLISHED


PUBLISHED: dict[str, str] = {
    "placed_cases@1": "00f496cb238f",
    "placed_amount@1": "d626067e1c16",
    "assigned_cases@1": "108d23594861",
    "assigned_amount@1": "d17e65033ad9",
    "collected@1": "220fab3882af",
    "liquidation@1": "c22db8458219",
    "agency_liquidation@1": "8faf55342b21",
    "promise_to_pay@1": "0d2ee4d3e602",
    "kept_promise@1": "46d150f44ccb",
    "kept_promise_amount@1": "8926139407b0",
    "right_party_contact@1": "64e8f626baf7",
    "right_party_contact_by_channel@1": "8b9c9aa57ff9",
    "connect_by_channel@1": "733477969d94",
    "contact_success@1": "1f0c8b432e80",
    "attempts@1": "cb51ff02ff8e",
    "attempts_by_channel@1": "e08efaa61f4c",
    "deferred@1": "0855ca9a7227",
    "reviewed@1": "91924da51e1a",
    "denied@1": "3e1bfb4cb3bf",
    "deferred_by_rule@1": "b1fa644edd5b",
    "reviewed_by_rule@1": "a0e91ce9ff22",
    "denied_by_rule@1": "a685f8e860ae",
    "complaint_rate@1": "ce3d1cd215cf",
    "risk_event_rate@1": "b657e3bcc33c",
    "risk_event_rate@2": "5177a1b057d7",
    "risk_events_raised@1": "29227f6579b8",
    "conduct_deduction@1": "6ff5ef5e5112",
    "quality_pass_rate@1": "544cb01f0bb8",
    "kept_promise_amount@2": "94a8d53aa904",
    "commissionable_collected@1": "6fdfeaa281af",
    "recall_adjusted_placed@1": "13e9fa2904e2",
    "recall_adjusted_liquidation@1": "b97cf5dce1af",
    "cases_in_scope@1": "17d34be20126",
    "ended_cases@1": "7d322fd5d769",
    "cure_30@1": "0fb268593661",
    "cure_60@1": "74ff0abb687a",
    "cure_90@1": "9ce5e0e285d9",
    "self_cure_30@1": "5aee8c564408",
    "delivery_by_channel@1": "21d5ac8f6254",
    "coverage@1": "450ae49bd4cc",
    "intensity@1": "562ccd70888b",
    "right_party_penetration@1": "ae79d6a473b6",
    "contactable@1": "1ce1ea08b7e6",
    "uncontactable@1": "74f938d0cd82",
    "paid_after_contact@1": "d88c286f0550",
    "contact_success_week@1": "cacf5ab142cc",
    "complaints_per_case@1": "f7bf40e34a84",
    "dispute_rate@1": "cb7e5c5e8542",
    "duties_in_time@1": "ceab5317fe1f",
    "feedback_in_48h@1": "c4d966e7fe75",
    "feedback_in_48h@2": "46f52cbe8459",
    "satisfaction@1": "9d2a21d7cc72",
    "satisfaction_by_channel@1": "da608ac97ded",
    "first_attempt_pass_rate@1": "01089dc20a9a",
    "people_passed@1": "16d73325663a",
    "survey_response_rate@1": "df223b70a32b",
    "survey_response_rate_by_channel@1": "23a181434254",
    "survey_satisfaction@1": "baa020887673",
    "survey_satisfaction_by_channel@1": "8523c72fabef",
    "training_hours_per_collector@1": "7f70146026fa",
}
