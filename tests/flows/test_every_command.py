"""Every command leaves exactly its events: each writing route is taken once, and what it left is compared with the tour's word."""

import re
from collections.abc import Iterator

import pytest

from chalicelib.domain.events import EventType
from chalicelib.edge.routes import API
from chalicelib.store.repository import Store
from tests.every_route import Step, Tour, a_canary, furnish, house_steps, settle_in, tour
from tests.flows.test_cases_api import Api
from tests.flows.test_erasure import Clock, clock
from tests.flows.test_erasure import api as edge
from tests.house import ROOT

__all__ = ["clock", "edge"]

NO_EVENT = {
    "POST /v1/compliance/rulings": "it answers what the rules would say and changes nothing",
    "POST /v1/lenders/{lender_id}/agencies/{agency_id}/statements/{month}/reconciliations": (
        "it compares two records and changes nothing"
    ),
}
"""Routes that are written as commands and change nothing."""

NOT_ON_THE_TOUR = {
    "access": ("client.admitted",),
    "archive": ("log.genesis", "log.heartbeat", "log.close"),
    "assignment": ("case.assigned",),
    "cases": ("promise.broken",),
    "certificates": ("certificate.expiring", "certificate.lapsed"),
    "courses": ("course.rejected",),
    "cosigning": ("lender.witnesses_set",),
    "dispatch": ("contact.rejected", "contact.unknown", "contact.expired"),
    "duties": ("duty.escalated", "duty.lapsed"),
    "erasure": ("person.keys_destroyed",),
    "experiments": ("experiment.assigned", "experiment.measured"),
    "feedback": ("feedback.escalated",),
    "house_rules": ("house_rules.approved", "house_rules.retired"),
    "keeping": ("archive.retention_extended", "archive.object_hidden", "archive.hold_applied"),
    "key_versions": ("lender.key_made",),
    "plans": ("plan.step_settled",),
    "risks": ("risk_event.dismissed",),
    "portfolios": ("portfolio.refused",),
    "provider_events": ("contact.failed",),
    "simulations": ("simulation.planned", "simulation.finished"),
    "strategies": ("strategy.rejected",),
    "surveys": ("survey_rules.approved", "survey.drawn", "survey.sent", "survey.answered", "survey.ended"),
    "templates": ("template.rejected",),
}
"""Types that no step leaves, by the module of use cases that does: on a schedule, for a carrier's report, when a worker is done,
on an operator's word, or as the other answer to a decision that the tour makes. ``client.admitted`` is left by any first request
of a day. That each is written as its page says is what ``tests/test_house_events.py`` looks at."""


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
    left = {kind for step in taken for kind in step.events}
    elsewhere = {kind: module for module, kinds in NOT_ON_THE_TOUR.items() for kind in kinds}
    assert left | elsewhere.keys() == {each.value for each in EventType}
    assert left & elsewhere.keys() == set()
    for kind, module in elsewhere.items():
        source = (ROOT / "chalicelib" / "usecases" / f"{module}.py").read_text("utf-8")
        assert re.search(rf"EventType\.{EventType(kind).name}\b", source), f"{module} does not write {kind}"
