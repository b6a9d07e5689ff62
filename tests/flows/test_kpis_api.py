"""Key figures, their definitions, their cases, the scoreboard and the weekly packs over HTTP."""

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib import wiring
from chalicelib.domain.events import EventType
from chalicelib.store.feed_repository import FeedRepository
from chalicelib.store.kpi_repository import KpiRepository
from chalicelib.store.repository import Store
from chalicelib.usecases import kpis, review_packs
from tests.builders import AGENCY, LENDER, NOW, a_lender, an_agency, stored
from tests.flows.test_cases_api import OTHER_AGENCY, Api, FakeVerifier, body_of
from tests.kpi_builders import CONTACT, DAY, History, a_worked_day, shanghai

SPAN = f"from={DAY}&to={DAY}"


@pytest.fixture
def api(store: Store, queues: list[str], buckets: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    from chalice.test import Client

    from app import app
    from chalicelib.edge import authorizer

    monkeypatch.setattr(authorizer, "verifier", FakeVerifier)
    monkeypatch.setattr(wiring, "now", lambda: NOW)
    stored(store, a_lender(), an_agency(), an_agency(id=OTHER_AGENCY))
    for org in (AGENCY, OTHER_AGENCY):
        FeedRepository().listing_record(LENDER, an_agency(id=org)).save()
    assert KpiRepository(shanghai).fold(a_worked_day().events) == []
    with Client(app) as client:
        yield Api(client, store)


def _figures(api: Api, token: str, query: str) -> dict[str, Any]:
    [report] = body_of(api.get(token, f"/v1/kpis?{query}"))["reports"]
    return {each["kpi"]: each for each in report["figures"]}


def test_a_lender_reads_figures_by_agency_and_an_agency_only_its_own(api: Api) -> None:
    assert _figures(api, "lender", SPAN)["attempts"]["value"] == "16"
    reports = body_of(api.get("lender", f"/v1/kpis?{SPAN}&each=agency"))["reports"]
    assert [report["agency"] for report in reports] == [AGENCY]
    assert _figures(api, "agency", f"{SPAN}&agency={OTHER_AGENCY}")["attempts"]["value"] == "16"
    assert _figures(api, "other-agency", f"{SPAN}&agency={AGENCY}") == {}
    assert _figures(api, "other-agency", f"{SPAN}&slice=collector:{AGENCY}/col-1") == {}
    assert body_of(api.get("other-agency", f"/v1/kpis?{SPAN}&each=agency"))["reports"] == []


def test_a_lender_reads_figures_by_strategy_and_an_agency_does_not(api: Api) -> None:
    history = History()
    history.add(EventType.CONTACT_REQUESTED, {**CONTACT, "strategy": "early@1"}, stream="case_s")
    history.add(EventType.CONTACT_SENT, CONTACT, stream="case_s")
    history.add(EventType.PLAN_STEP_SETTLED, {"strategy": "late", "number": 2}, stream="case_t")
    history.add(EventType.CONTACT_SENT, CONTACT, stream="case_t")
    assert KpiRepository(shanghai).fold(history.events) == []
    assert _figures(api, "lender", f"{SPAN}&slice=strategy:early@1")["attempts"]["value"] == "1"
    reports = body_of(api.get("lender", f"/v1/kpis?{SPAN}&each=strategy"))["reports"]
    assert [report["slice"] for report in reports] == ["strategy:early@1", "strategy:late@2"]
    cases = body_of(api.get("lender", f"/v1/kpis/cases?kpi=attempts&{SPAN}&slice=strategy:early@1&limit=10"))["items"]
    assert [each["case"] for each in cases] == ["case_s"]
    assert _figures(api, "agency", f"{SPAN}&slice=strategy:early@1")["attempts"]["value"] == "18"
    assert body_of(api.get("agency", f"/v1/kpis?{SPAN}&each=strategy"))["reports"] == []


def test_a_series_has_a_report_a_week(api: Api) -> None:
    reports = body_of(api.get("lender", "/v1/kpis?from=2026-11-16&to=2026-11-29&by=week"))["reports"]
    assert [(each["from"], each["to"]) for each in reports] == [
        ("2026-11-16", "2026-11-22"),
        ("2026-11-23", "2026-11-29"),
    ]


def test_definitions_tell_every_version_in_both_languages_and_what_is_not_measured(api: Api) -> None:
    told = body_of(api.get("agency", "/v1/kpis/definitions"))
    kept = [each for each in told["items"] if each["kpi"] == "kept_promise_amount"]
    assert [each["version"] for each in kept] == [1, 2]
    assert all(each["name"]["zh"] and each["formula"]["en"] and each["source"] for each in told["items"])
    assert "complaints_upheld" in {each["kpi"] for each in told["not_measured"]}


def test_a_figure_is_followed_to_its_cases_page_by_page(api: Api) -> None:
    path, cursor, found = f"/v1/kpis/cases?kpi=right_party_contact&part=denominator&{SPAN}&limit=6", "", []
    while True:
        page = body_of(api.get("lender", path + cursor))
        found += page["items"]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert sum(each["counts"]["attempts"] for each in found) == 16
    assert {each["case"] for each in found} == {"case_1"}
    assert body_of(api.get("other-agency", f"/v1/kpis/cases?kpi=attempts&{SPAN}"))["items"] == []


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("kpi=nothing", "unknown_figure"),
        ("kpi=collected", "figure_key"),
        ("kpi=attempts&key=CNY", "figure_key"),
        ("kpi=coverage&part=denominator", "not_listed"),
        ("kpi=contact_success", "not_listed"),
    ],
)
def test_what_is_no_sum_over_events_says_so(api: Api, query: str, code: str) -> None:
    refused = api.get("lender", f"/v1/kpis/cases?{query}&{SPAN}")
    assert refused.status_code == 400
    assert [each["code"] for each in body_of(refused)["errors"]] == [code]


def test_the_scoreboard_names_every_target(api: Api) -> None:
    [board] = body_of(api.get("lender", f"/v1/scoreboard?to={DAY}"))["scoreboards"]
    states = {line["id"]: line["state"] for line in board["lines"]}
    # One confirmed risk event in 16 attempts: the interval reaches from 1.1 % to 28 %.
    assert states["risk_event_rate"] == "not_met"
    assert states["strategy_lift"] == "not_enough_data"
    assert states["training_hours"] == "not_enough_data"
    assert {line["measure"] for line in board["lines"]} == {1, 2, 3, 4, 5}


def test_a_weekly_pack_is_listed_read_and_downloaded_by_its_lender_alone(api: Api) -> None:
    assert kpis.compute_kpis(wiring.kpi_ports(), NOW) > 0
    assert review_packs.make_due_packs(wiring.pack_ports(), [LENDER], NOW) == 1
    [pack] = body_of(api.get("lender", "/v1/review-packs"))["items"]
    assert (pack["week"], pack["final"]) == ("2026-W48", False)
    page = api.get("lender", "/v1/review-packs/2026-W48/page?language=zh")
    assert page.status_code == 200 and "每周回顾" in page.body.decode()
    pdf = api.get("lender", "/v1/review-packs/2026-W48/pdf?language=en", Accept="application/pdf")
    assert pdf.headers["Content-Type"] == "application/pdf"
    octets = pdf.body if pdf.body.startswith(b"%PDF") else base64.b64decode(pdf.body)
    assert octets.startswith(b"%PDF")
    assert api.get("lender", "/v1/review-packs/2026-W01/page").status_code == 404
    assert api.get("other-lender", "/v1/review-packs/2026-W48/page").status_code == 404
    assert api.get("agency", "/v1/review-packs").status_code == 403


def test_every_answer_says_how_fresh_it_is(api: Api) -> None:
    [report] = body_of(api.get("lender", f"/v1/kpis?{SPAN}"))["reports"]
    [board] = body_of(api.get("lender", f"/v1/scoreboard?to={DAY}"))["scoreboards"]
    newest = wiring.kpi_ports().repository.newest(LENDER)
    assert newest is not None and report["newest_event_at"] == board["newest_event_at"] == newest
    [other] = body_of(api.get("other-lender", f"/v1/kpis?{SPAN}"))["reports"]
    assert other["newest_event_at"] is None
