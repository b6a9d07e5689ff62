"""The page on events says what the code writes: read from every place that writes one, and seen in a world that runs."""

import base64
import json
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import available_timezones

import pytest

from chalicelib.domain import keys
from chalicelib.domain.cases.appropriation import PARTS
from chalicelib.domain.cases.feed import FEED_TYPES
from chalicelib.domain.cases.outcomes import OUTCOMES
from chalicelib.domain.events import Event, EventType
from chalicelib.domain.kpi.counters import effect
from chalicelib.domain.kpi.past import Past
from chalicelib.domain.risk.queue import CONCERNED as QUEUED
from chalicelib.store.repository import Store
from chalicelib.store.sealing import EVIDENCE
from chalicelib.usecases import (
    activities,
    archive_exports,
    duties,
    feedback,
    projections,
    quality,
    risks,
    simulations,
    statements,
    surveys,
)
from tests.builders import LENDER, Scope
from tests.conftest import ENVIRONMENT
from tests.house import ROOT
from tests.house_emissions import Emission, readers
from tests.house_world import SECRET, World
from tests.test_house_privacy import SeenQueues

OWN = frozenset({EventType.LOG_GENESIS, EventType.LOG_HEARTBEAT, EventType.LOG_CLOSE})
"""The logs' own events, which the sequencer writes and no stream holds."""

FORMS: dict[str, Callable[[Any], bool]] = {
    "id": lambda value: _matches(value, r"[A-Za-z0-9_-]{1,80}"),
    "code": lambda value: _matches(value, r"[A-Za-z0-9_.@-]{1,80}"),
    "words": lambda value: _matches(value, r"[ -~]{1,200}"),
    "token": lambda value: _matches(value, r"[!-~]{1,200}"),
    "index": lambda value: _matches(value, r"[0-9a-f]{32}"),
    "sha256": lambda value: _matches(value, r"[0-9a-f]{64}"),
    "date": lambda value: _matches(value, r"\d{4}-\d\d-\d\d"),
    "instant": lambda value: _matches(value, r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z"),
    "currency": lambda value: _matches(value, r"[A-Z]{3}"),
    "country": lambda value: _matches(value, r"[A-Z]{2}"),
    "zone": lambda value: value in available_timezones(),
    "integer": lambda value: type(value) is int,
    "boolean": lambda value: type(value) is bool,
    "object": lambda value: isinstance(value, Mapping),
    "amounts": lambda value: all(
        _matches(field, r"[a-z_]+")
        and all(_matches(unit, r"[A-Z]{3}") and type(sum_) is int for unit, sum_ in each.items())
        for field, each in value.items()
    ),
    "counts": lambda value: all(_matches(code, r"[a-z_]+") and type(count) is int for code, count in value.items()),
    "parts": lambda value: all(part in PARTS and type(minor) is int for part, minor in value.items()),
    "digests": lambda value: all(_matches(digest, r"[0-9a-f]{64}") for digest in value.values()),
}


def _matches(value: Any, pattern: str) -> bool:
    return isinstance(value, str) and re.fullmatch(pattern, value) is not None


# The page


class Row(SimpleNamespace):
    """A row of the table of types: ``always`` and ``sometimes`` are its keys."""

    stream: str
    always: frozenset[str]
    sometimes: frozenset[str]
    sealed: frozenset[str]
    readers: frozenset[str]


@cache
def _tables() -> dict[str, list[list[str]]]:
    found: dict[str, list[list[str]]] = {}
    for section in (ROOT / "docs" / "events.md").read_text(encoding="utf-8").split("\n## ")[1:]:
        lines = [line for line in section.splitlines() if line.startswith("| ")]
        found[section.splitlines()[0]] = [
            [cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines[1:]
        ]
    return found


@cache
def _types() -> dict[str, Row]:
    rows = {}
    for name, stream, when, data, sealed, read_by in _tables()["Types"]:
        assert when
        named = re.findall(r"`([^`]+)`", data)
        rows[name.strip("`")] = Row(
            stream=stream,
            always=frozenset(key for key in named if not key.endswith("?")),
            sometimes=frozenset(key.rstrip("?") for key in named if key.endswith("?")),
            sealed=frozenset(re.findall(r"`([^`]+)`", sealed)),
            readers=frozenset(re.split(r", ", read_by)) - {"nobody"},
        )
    return rows


@cache
def _forms() -> dict[str, str]:
    return {name.strip("`"): form for name, form, *_ in _tables()["Keys"]}


def _fits(event_type: str, key: str, value: Any) -> bool:
    form = _forms().get(f"{event_type}:{key}") or _forms()[key]
    if form.endswith(" or null"):
        if value is None:
            return True
        form = form.removesuffix(" or null")
    if form.startswith("list of "):
        return isinstance(value, list) and all(FORMS[form.removeprefix("list of ")](each) for each in value)
    return FORMS[form](value)


# The places that write events


@cache
def _emissions() -> dict[str, list[Emission]]:
    found: dict[str, list[Emission]] = defaultdict(list)
    for reader in readers():
        for emission in reader.found:
            found[EventType[emission.type].value].append(emission)
    return found


def test_every_place_that_writes_an_event_is_understood() -> None:
    read = list(readers())
    assert sum(len(reader.sites) for reader in read) >= 30
    assert not {site for reader in read for site in reader.unread() | reader.unclear}


def test_page_lists_every_type_in_the_order_of_the_code() -> None:
    assert list(_types()) == [event_type.value for event_type in EventType]


@pytest.mark.parametrize("event_type", [event_type.value for event_type in EventType])
def test_page_lists_the_keys_that_the_type_is_written_with(event_type: str) -> None:
    written = [emission.keys for emission in _emissions()[event_type]]
    always = frozenset.intersection(*written)
    assert _types()[event_type].always == always
    assert _types()[event_type].sometimes == frozenset().union(*written) - always


@pytest.mark.parametrize("event_type", [event_type.value for event_type in EventType])
def test_page_says_whether_anything_is_sealed(event_type: str) -> None:
    assert bool(_types()[event_type].sealed) == any(emission.is_sealed for emission in _emissions()[event_type])


def test_every_key_has_a_form_and_a_meaning_and_none_is_there_for_nothing() -> None:
    written = {name: row.always | row.sometimes for name, row in _types().items()}
    everywhere = frozenset().union(*written.values())
    general = {key for key in _forms() if ":" not in key}
    assert general == everywhere
    for special in set(_forms()) - general:
        event_type, _, key = special.partition(":")
        assert key in written[event_type], special
    assert all(len(row) == 3 and row[2] for row in _tables()["Keys"])
    used = {form.removesuffix(" or null").removeprefix("list of ") for form in _forms().values()}
    told = {name for row in _tables()["Forms"] for name in re.findall(r"`([a-z0-9]+)`", row[0])}
    assert used == told == set(FORMS)


# The world


@pytest.fixture
def events(store: Store, queues: list[str], buckets: list[str], tmp_path: Path) -> list[Event]:
    world = World(store, tmp_path)
    world.life()
    return world.events()


def test_what_is_written_in_a_whole_life_is_as_the_page_says(events: list[Event], store: Store) -> None:
    assert {event.type for event in events} == set(EventType) - OWN
    _assert_open_data(events)
    _assert_sealed(events, store)
    _assert_streams(events)
    _assert_readers(events)


def _assert_open_data(events: list[Event]) -> None:
    for event in events:
        row, written = _types()[event.type.value], set(event.data)
        assert row.always <= written <= row.always | row.sometimes, event.type
        wrong = {key for key, value in event.data.items() if not _fits(event.type.value, key, value)}
        assert not wrong, event.type
        told = json.dumps(event.as_json(), ensure_ascii=False)
        assert SECRET not in told and "张伟" not in told and "13812345678" not in told, event.type
    decided = [event for event in events if event.type is EventType.CONTACT_DECIDED]
    assert {event.decision["outcome"] for event in decided if event.decision} == {"allow", "defer", "review", "deny"}
    assert all(event.decision is None for event in events if event.type is not EventType.CONTACT_DECIDED)


def _assert_sealed(events: list[Event], store: Store) -> None:
    found: dict[str, set[str]] = defaultdict(set)
    texts = []
    for event in events:
        if event.sealed is None or event.key is None:
            continue
        aad = keys.event_aad(
            keys.origin(ENVIRONMENT["FORBEAR_AUDIT_DOMAIN"], LENDER, event.at[:4]), event.id, event.type
        )
        raw = base64.urlsafe_b64decode(event.sealed + "=" * (-len(event.sealed) % 4))
        plain = store.sealer.open(LENDER, event.key, EVIDENCE, raw, aad=aad).decode()
        found[event.type.value] |= set(json.loads(plain))
        texts.append(plain)
    assert found == {name: set(row.sealed) for name, row in _types().items() if row.sealed}
    assert any(SECRET in text for text in texts)


def _assert_streams(events: list[Event]) -> None:
    kinds = {
        "case": "case",
        "per": "person",
        "pf": "portfolio",
        "tpl": "template",
        "sim": "simulation",
        "str": "strategy",
        "aex": "export",
        "exp": "experiment",
        "tri": "trial",
        "agr": "terms",
        "auto-fin": "lender",
        "agency-a": "agency",
        "adm": "client",
        "HOUSE-NIGHT": "house rules",
        "trn": "training record",
        "crs": "course",
        "ses": "session",
        "survey": "survey rules",
    }
    seen: dict[str, set[str]] = defaultdict(set)
    for event in events:
        seen[event.type.value].add(kinds[event.stream.split("_")[0]])
    assert {name: " or ".join(sorted(streams)) for name, streams in seen.items()} == {
        name: row.stream for name, row in _types().items() if name in seen
    }


def _opened(event: Event) -> Past:
    """Return a past in which the duty or survey that the event is about stands open: its end counts only then."""
    if event.type in (EventType.SURVEY_ANSWERED, EventType.SURVEY_ENDED):
        return Past(surveys={event.data["survey"]: ["2026-11-23", "agency-a", "sms", False]})
    return Past(duties={event.data["duty"]: event.data["duty_kind"]} if event.type in ENDING else {})


COUNTED_WHEN: Mapping[EventType, Mapping[str, Any]] = {
    # Of a wish, and of a step, the figures learn the strategy.
    EventType.CONTACT_REQUESTED: {"strategy": "early@1"},
    EventType.PLAN_STEP_SETTLED: {"strategy": "early", "number": 1},
    # A carrier's report counts when it comes before our own note that the message was sent.
    EventType.CONTACT_FAILED: {"from": "sending"},
    EventType.CASE_CHANGED: {"to": "settled"},
    EventType.FEEDBACK_RECEIVED: {"score": 5},
    EventType.HOLD_PLACED: {"kind": "dispute"},
    EventType.HOLD_RELEASED: {"kind": "dispute"},
    EventType.SURVEY_ANSWERED: {"counted": True},
    EventType.TRAINING_CREDITED: {"minutes": 20},
    EventType.SURVEY_ENDED: {"was_sent": True},
}
"""What an event must say to be counted, where some of its type are not."""

ENDING = (EventType.DUTY_FULFILLED, EventType.DUTY_LAPSED, EventType.DUTY_WAIVED)


def _assert_readers(events: list[Event]) -> None:
    seen: dict[str, set[str]] = {event.type.value: {"archive"} for event in events}
    for event in events:
        queues, read = SeenQueues(), seen[event.type.value]
        assert projections.route_to_queues([event], queues) == []
        if queues.seen:
            read.add("queues")
        if event.type in FEED_TYPES:
            read.add("feeds")
        counted = replace(event, data={**event.data, **COUNTED_WHEN.get(event.type, {})})
        past = _opened(event)
        before = past.as_text()
        told = effect(counted, past, zone="Asia/Shanghai")
        if told.counts or told.marks or past.as_text() != before:
            read.add("figures")
        if event.type in duties.CONCERNED:
            read.add("duties")
        if event.type in statements.MONEY_TYPES:
            read.add("statements")
        if event.type in feedback.CONCERNED:
            read.add("feedback")
        if event.type in surveys.CONCERNED:
            read.add("surveys")
        if event.type in risks.CONCERNED:
            read.add("risks")
        if event.type in QUEUED:
            read.add("reviews")
        if event.type in quality.CONCERNED:
            read.add("quality")
        if event.type in OUTCOMES:
            read.add("outcomes")
        entered: list[Event] = []
        simulations.project(SimpleNamespace(enter=entered.extend), [event])  # type: ignore[arg-type]
        if entered:
            read.add("decisions")
        waiting: list[str] = []
        lists = SimpleNamespace(enter_unsigned=lambda tenant, export, waiting=waiting: waiting.append(export))
        archive_exports.project(lists, [event])  # type: ignore[arg-type]
        if waiting:
            read.add("signatures")
        asked: list[str] = []
        store = SimpleNamespace(attempt=lambda scope, contact, asked=asked: asked.append(contact))
        activities.project_reports(store, [event], scope_for=Scope)  # type: ignore[arg-type]
        if asked:
            read.add("reports")
    assert seen == {name: set(row.readers) for name, row in _types().items() if EventType(name) not in OWN}
