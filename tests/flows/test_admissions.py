"""Who came in stands in the log: once a client, day and lender, whoever asks and however many processes there are."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.domain.events import Event
from chalicelib.edge import admissions
from chalicelib.store.feed_repository import FeedRepository
from chalicelib.store.repository import Store, event_of
from chalicelib.store.tables import Record
from chalicelib.usecases import access
from tests.builders import AGENCY, COLLECTOR, LENDER, NOW, TEST_ACTOR, Scope, a_lender, an_agency, stored
from tests.flows.test_cases_api import OTHER_LENDER, Api
from tests.flows.test_erasure import Clock, clock
from tests.flows.test_erasure import api as edge

__all__ = ["clock", "edge"]


@pytest.fixture
def api(edge: Api, store: Store) -> Iterator[Api]:
    stored(store, a_lender(id=OTHER_LENDER))
    FeedRepository().listing_record(OTHER_LENDER, an_agency()).save()
    yield edge


def recorded() -> list[tuple[str, Event]]:
    found = [item for item in Record.scan() if "#ADM#" in item.pk]
    return [(item.pk.split("#")[1], event_of(item.e, tenant="")) for item in found]


def test_the_first_request_of_a_day_is_recorded_and_no_other(api: Api, clock: Clock) -> None:
    for _ in range(3):
        assert api.get("lender", "/v1/cases").status_code == 200
    ((tenant, event),) = recorded()
    assert (tenant, event.type.value) == (LENDER, "client.admitted")
    assert dict(event.data) == {"client": "user-1", "org": LENDER, "role": "lender", "day": "2026-11-23"}
    assert event.actor.auth == "tok-1"
    clock.now = NOW + timedelta(days=1)
    assert api.get("lender", "/v1/cases").status_code == 200
    assert sorted(event.data["day"] for _, event in recorded()) == ["2026-11-23", "2026-11-24"]


def test_an_agencys_client_is_recorded_with_every_lender_that_it_may_look_in(api: Api) -> None:
    api.get("collector", "/v1/cases")
    assert {(tenant, event.data["client"], event.data["org"]) for tenant, event in recorded()} == {
        (LENDER, COLLECTOR, AGENCY),
        (OTHER_LENDER, COLLECTOR, AGENCY),
    }


def test_a_request_that_is_refused_is_recorded_as_well(api: Api) -> None:
    assert api.get("officer", "/v1/cases/case_unknown").status_code == 404
    assert api.post("lender", "/v1/persons/per_1/exports", {}).status_code == 403
    assert {event.data["role"] for _, event in recorded()} == {"compliance"}, "the scope is looked at first"


def test_another_process_records_nothing_twice(api: Api) -> None:
    api.get("lender", "/v1/cases")
    admissions.seen.cache_clear()
    assert api.get("lender", "/v1/cases").status_code == 200
    assert len(recorded()) == 1


def test_of_many_at_once_one_records(api: Api, store: Store) -> None:
    told: dict[str, Any] = {"org": LENDER, "role": "lender", "actor": TEST_ACTOR, "now": NOW, "req": "req_1"}
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda _: access.admit(store, Scope(LENDER), **told), range(8)))
    assert sorted(done) == [False] * 7 + [True]
    assert len(recorded()) == 1


def test_who_cannot_be_recorded_is_not_let_in(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **told: Any) -> None:
        raise ConnectionError

    monkeypatch.setattr(access, "admit", broken)
    assert api.get("lender", "/v1/cases").status_code == 500
    monkeypatch.undo()


def test_public_routes_and_the_platform_are_in_no_lenders_log(api: Api) -> None:
    assert api.client.http.get("/v1/health").status_code == 200
    api.get("platform", "/v1/agencies")
    assert recorded() == []
