"""Canaries: persons whose data are looked for everywhere after they went through every route and every error path.

Looked through are logs and metrics (all that is printed), queue bodies (a dead letter is one), the archive, reports and exports,
answers and problems told to callers, and a dump of the three tables, compressed bodies unpacked. Not looked through are the buckets of uploads (the lender's own file)
and letters (what the print house needs), which hold the data by nature.

The suite drives one person; ``make campaign-canaries`` drives a thousand, in lots of forty with tables of their own. The first
of a lot takes every error path of every route, each other one every fourth, in turn.
"""

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from urllib.parse import quote

import pytest

from chalicelib import wiring
from chalicelib.domain.events import Event
from chalicelib.edge.routes import API, Route
from chalicelib.store.repository import Store, event_of
from chalicelib.store.tables import Record
from chalicelib.usecases import archive, kpis, month_close, projections, review_packs, statements
from tests.builders import LENDER
from tests.canary_search import Place, found_in, in_the_buckets, in_the_queues, in_the_tables
from tests.every_route import VALUES, Step, Tour, Who, a_canary, furnish, house_steps, settle_in, tour
from tests.flows.test_cases_api import TOKENS, Api, body_of
from tests.flows.test_erasure import Clock, clock
from tests.flows.test_erasure import api as edge

__all__ = ["clock", "edge"]

CANARIES = int(os.environ.get("CANARIES", "1"))
LOT = 40
"""Persons who share tables and logs; what everybody reads of everything is read once a lot."""


# Wrong requests


def wrong_ways(step: Step, who: Who) -> Iterator[tuple[str, str, str, bytes, dict[str, str]]]:
    """Yield (token, method, path, body, headers) of requests like the step's that are refused, with the person's data in.

    A problem names the field or parameter that is unknown, so the caller reads a name again that they sent; ``NAMED``
    marks those two, whose problems are not looked through.
    """
    method = step.route.partition(" ")[0]
    good = b"" if step.body is None else json.dumps(step.body).encode()
    named = json.dumps({**(step.body or {}), who.name: who.mobile}).encode()
    spoilt = json.dumps({**(step.body or {}), "note_of_mine": who.note}).encode()
    yield step.token, method, step.path, b'{"name": "' + who.note.encode(), {}
    yield step.token, method, step.path, spoilt, {}
    yield step.token, method, step.path, named, NAMED
    yield step.token, method, step.path, json.dumps(dict.fromkeys(step.body or {"a": 1}, [who.note])).encode(), {}
    yield step.token, method, f"{step.path}/{who.email}", good, {}
    yield step.token, method, f"{step.path}?note={quote(who.name)}", good, {}
    yield step.token, method, f"{step.path}?{quote(who.name)}={quote(who.mobile)}", good, NAMED
    yield step.token, method, step.path, good, {"Content-Type": f"text/{who.email}"}
    yield step.token, method, step.path, good, {"Idempotency-Key": f"鸢鸑 {who.mobile} \x7f"}
    yield step.token, method, step.path, good, {"If-Match": f'"{who.contract_no}"'}
    yield f"unknown {who.email}", method, step.path, good, {}
    for token in ("platform", "other-officer", "other-agency"):
        yield token, method, step.path, good, {}


NAMED: dict[str, str] = {}


class Sinks:
    """All places into which something can leak."""

    def __init__(self, trip: Tour) -> None:
        """Take the tour whose requests are sent wrongly before they are sent rightly."""
        self.trip = trip
        self.problems: list[bytes] = []
        self.statuses: set[int] = set()
        self.numbers = iter(range(1_000_000))
        self.named: dict[str, int] = {}
        """Every path that a step named or was told, in order, with the number of the person whose step it was."""

    def meet(self, step: Step, who: Who) -> None:
        """Remember what the step's path names, and where its answer says that the thing lies that it made."""
        self.named.setdefault(step.path, who.number)
        self.named.setdefault(self.trip.location, who.number)

    def go_wrong(self, step: Step, who: Who, *, every: int) -> None:
        """Send the wrong forms of a step's request: all of them, or every so many in turn from person to person."""
        for at, (token, method, path, body, headers) in enumerate(wrong_ways(step, who)):
            if (at + who.number) % every:
                continue
            sent = {"Content-Type": "application/json", "Idempotency-Key": f"wrong-{next(self.numbers)}", **headers}
            sent["Authorization"] = f"Bearer {token}"
            response = self.trip.api.client.http.request(method, path, headers=sent, body=body)
            self.statuses.add(response.status_code)
            assert response.status_code < 500, (step.route, response.body)
            if headers is not NAMED and response.status_code >= 400:
                self.problems += [response.body, json.dumps(dict(response.headers)).encode()]

    def read(self, token: str, route: Route, path: str) -> int:
        """Read a path as somebody, keep what is shown to them for the search, and return the status."""
        response = self.trip.api.get(token, path + ASKED.get(route.key, ""), Accept=route.content_type)
        assert response.status_code < 500, (route.key, response.body)
        if (token, route.key) not in SHOWN:
            self.shown.append((f"{token} {route.key}", response.body))
            self.shown.append((f"{token} {route.key}, headers", json.dumps(dict(response.headers)).encode()))
        return response.status_code

    def read_everything(self, people: Iterable[int]) -> None:
        """Read every list and two of every thing as everybody, and one thing of each kind of each person's as one who may."""
        self.shown = list[Place]()
        known = [*self.named, *self.made_by_nobody()]
        unread = set[str]()
        for route in (route for route in API if route.method == "GET"):
            found = filled_in(route, known) or [re.sub("{.*?}", "none", route.path)]
            some = {found[0], found[-1]}
            readers = [token for token in TOKENS if 200 in {self.read(token, route, path) for path in some}]
            if not readers:
                unread.add(route.key)
            elif route.parameters:
                for number in people:
                    own = filled_in(route, [path for path, of in self.named.items() if of == number])
                    for path in own[:1]:
                        self.read(readers[number % len(readers)], route, path)
        # What somebody wrote is read again by those who may read the message; values are not.
        assert found_in(self.shown, VALUES) == {}
        assert unread <= UNREAD

    def made_by_nobody(self) -> Iterator[str]:
        """Yield paths of what the schedules made and of what comes with the product."""
        log = f"archive/{LENDER}/"
        yield from (f"/v1/audit/{place[len(log) :]}" for place, _ in in_the_buckets("archive") if place.startswith(log))
        told = next(Record.scan(Record.sk.startswith("EV#"), limit=1))
        yield f"/v1/audit/proofs/{event_of(told.e, tenant=LENDER).id}"
        for pack in body_of(self.trip.api.get("lender", "/v1/review-packs"))["items"]:
            yield f"/v1/review-packs/{pack['week']}"
        for survey in body_of(self.trip.api.get("lender", "/v1/surveys?status=waiting"))["items"]:
            yield f"/v1/surveys/{survey['id']}"
        pack = f"/v1/compliance/packs/{body_of(self.trip.api.get('officer', '/v1/compliance/packs'))['items'][0]['id']}"
        yield f"{pack}/rules/{body_of(self.trip.api.get('officer', pack))['items'][0]['id']}"


def filled_in(route: Route, paths: Sequence[str]) -> list[str]:
    """Return the route's path with its names filled in from each path that begins as it does; first those that are among them."""
    parts = route.path.split("/")
    named = max((at for at, part in enumerate(parts) if part.startswith("{")), default=-1) + 1
    start = "/".join(
        f"({route.path_patterns.get(part[1:-1], '[^/]+')})" if part.startswith("{") else re.escape(part)
        for part in parts[:named]
    )
    found = (re.match(f"{start}(?=/|$)", path) for path in paths) if named else ()
    filled = dict.fromkeys("/".join([each[0], *parts[named:]]) for each in found if each) if named else [route.path]
    return sorted(filled, key=lambda path: path not in paths)


ASKED = {
    "GET /v1/kpis/cases": "?kpi=attempts",
    "GET /v1/kpis/export": "?from=2026-11-01&to=2026-11-30",
    "GET /v1/lenders/{lender_id}/agencies/{agency_id}/statements/{month}/file": "?currency=CNY&kind=csv",
}
"""What must be asked with."""

UNREAD = {
    # Nobody outside signs or stamps the archive of a double.
    "GET /v1/audit/{year}/anchors/{size}",
    "GET /v1/audit/{year}/cosigs/{size}/{witness}",
    # Whole tiles of a log are of 256 entries, of 256,000 and of more.
    "GET /v1/audit/{year}/tile/{level}/{part_1}",
    "GET /v1/audit/{year}/tile/{level}/{part_1}/{part_2}/{part_3}",
    "GET /v1/audit/{year}/tile/{level}/{part_1}/{part_2}/{part_3}/{part_4}",
}
"""What nobody may find; everything else is read by somebody who finds it."""

SHOWN = {
    ("lender", "GET /v1/cases/{case_id}"),
    ("lender", "GET /v1/persons/{person_id}"),
    ("officer", "GET /v1/persons/{person_id}/exports/{export_id}"),
    ("officer", "GET /v1/persons/{person_id}/exports/{export_id}/page"),
}
"""Who may read a person's values in clear, and where: the lender its case and its customer, the officer the copy asked for."""


def all_events() -> list[Event]:
    """Return every event there is, stream by stream."""
    found = list(Record.scan(Record.sk.startswith("EV#")))
    found.sort(key=lambda item: (item.pk, item.sk))
    return [event_of(item.e, tenant=LENDER) for item in found]


def keep_the_books(now: datetime) -> None:
    """Do what ``compute_kpis`` does every hour, of which a month's close needs the month before to be over."""
    kpis.compute_kpis(wiring.kpi_ports(), now)
    assert review_packs.make_due_packs(wiring.pack_ports(), [LENDER], now) > 0
    statements.make_due_statements(wiring.statement_ports(), [LENDER], now)
    assert month_close.close_months(wiring.month_ports(), [LENDER], now) > 0


def failed(name: str, error: Exception) -> None:
    """Fail the test with the projection that failed."""
    raise AssertionError(name) from error


@pytest.fixture
def trip(edge: Api, store: Store, clock: Clock, buckets: list[str]) -> Iterator[Tour]:
    furnish(store)
    yield Tour(edge, store, clock)


@pytest.mark.parametrize("lot", range(-(-CANARIES // LOT)))
def test_no_value_of_a_canary_shows_where_it_is_not_meant_to(
    trip: Tour,
    store: Store,
    capfd: pytest.CaptureFixture[str],
    record_property: Callable[[str, object], None],
    lot: int,
) -> None:
    sinks = Sinks(trip)
    numbers = range(11 + lot * LOT, 11 + min(CANARIES, (lot + 1) * LOT))
    for number in numbers:
        who = a_canary(number)
        settle_in(store, who)
        steps = [tour(trip, who)] if number > numbers[0] else [tour(trip, who), house_steps(trip, who)]
        for step in (step for each in steps for step in each):
            if step.run is None:
                sinks.go_wrong(step, who, every=1 if number == numbers[0] else 4)
            trip.go(step)
            if step.run is None:
                sinks.meet(step, who)
    assert projections.project(all_events(), wiring.projections_by_name(), on_failure=failed) == set()
    archive.run_archive(wiring.archive_ports(), now=trip.clock.now)
    keep_the_books(trip.clock.now)
    sinks.read_everything(numbers)
    told = capfd.readouterr()
    places = [
        *in_the_tables(),
        *in_the_queues(),
        *in_the_buckets("archive", "reports", "exports"),
        *(("problem", each) for each in sinks.problems),
        ("logs and metrics", told.out.encode()),
        ("errors", told.err.encode()),
    ]
    assert found_in(places) == {}
    assert sum(place == "Record.e, unpacked" for place, _ in places) >= 40, "events are looked into"
    looked = {place.split(",")[0].split("/")[0] for place, _ in places}
    assert {"Record.b", "Record.d", "Record.e", "View.d", "problem", "logs and metrics"} <= looked
    assert {"archive", "reports", "exports"} <= looked
    assert {400, 401, 403, 404, 412, 415, 422} <= sinks.statuses
    assert '"message":"request"' in told.out and "CloudWatchMetrics" in told.out
    counted = {
        "persons": len(numbers),
        "refused requests": len(sinks.problems) // 2,
        "places looked through": len(places),
    }
    record_property("campaign", {**counted, "bytes": sum(len(octets) for _, octets in places)})
