"""Every command leaves exactly its events: each writing route is taken once, and what it left is compared with the tour's word."""

from collections.abc import Iterator

import pytest

from chalicelib.edge.routes import API
from chalicelib.store.repository import Store
from tests.every_route import Step, Tour, a_canary, furnish, house_steps, settle_in, tour
from tests.flows.test_cases_api import Api
from tests.flows.test_erasure import Clock, clock
from tests.flows.test_erasure import api as edge

__all__ = ["clock", "edge"]

NO_EVENT = {
    "POST /v1/compliance/rulings": "it answers what the rules would say and changes nothing",
    "POST /v1/lenders/{lender_id}/agencies/{agency_id}/statements/{month}/reconciliations": (
        "it compares two records and changes nothing"
    ),
}
"""Routes that are written as commands and change nothing."""


@pytest.fixture
def trip(edge: Api, store: Store, clock: Clock, buckets: list[str]) -> Iterator[Tour]:
    furnish(store)
    yield Tour(edge, store, clock)


def test_every_command_leaves_exactly_its_events(trip: Tour, store: Store) -> None:
    who = a_canary(11)
    settle_in(store, who)
    taken: list[Step] = []
    for steps in (tour(trip, who), house_steps(trip, a_canary(12))):
        for step in steps:
            assert (step.route, sorted(trip.take(step))) == (step.route, sorted(step.events))
            taken.append(step)
    commands = {route.key for route in API if route.method != "GET"}
    assert {step.route for step in taken if step.run is None} == commands - set(NO_EVENT)
