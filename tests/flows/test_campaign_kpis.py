"""Simulated months with late, repeated and back-dated events: projection and archive agree, and money ties to the ledger."""

import sqlite3
from datetime import date
from pathlib import Path

import pytest

from chalicelib.domain.events import EventType
from chalicelib.domain.kpi import rolls
from scripts import campaign_kpis, recompute_kpis
from scripts.kpi_memory import MemoryKpiRepository
from scripts.made_month import LENDER, ZONE, Month, a_month, write_log


@pytest.mark.parametrize("seed", [101, 102, 103])
def test_projection_of_a_month_equals_the_recomputation_from_its_archive(seed: int, tmp_path: Path) -> None:
    outcome = campaign_kpis.tried(seed, cases=30, folder=tmp_path)
    assert outcome.differences == ()
    assert outcome.delivered > outcome.events


def test_a_month_holds_what_the_campaign_is_about() -> None:
    month = a_month(101, cases=60)
    types = {event.type for event in month.events}
    assert types >= {EventType.PAYMENT_REVERSED, EventType.PROMISE_BROKEN, EventType.DUTY_LAPSED, EventType.HOLD_PLACED}
    booked = [event for event in month.events if event.type is EventType.PAYMENT_POSTED]
    assert any(event.data["received_on"] < event.at[:10] for event in booked)
    assert a_month(101, cases=60).events == month.events
    assert a_month(102, cases=60).events != month.events


def test_one_lost_event_shows(tmp_path: Path) -> None:
    month = a_month(104, cases=10)
    lost = next(event for event in month.events if event.type is EventType.PAYMENT_POSTED)
    repository = MemoryKpiRepository(lambda tenant: ZONE)
    repository.fold(
        [
            event
            for event in month.events
            if (event.stream, event.seq) < (lost.stream, lost.seq) or event.stream != lost.stream
        ]
    )
    write_log(tmp_path, LENDER, month.events)
    theirs = recompute_kpis.recompute(recompute_kpis.load(tmp_path), LENDER, ZONE)
    ours = {period: repository.counters(LENDER, period) for period in theirs}
    assert ours != theirs


def test_one_lost_payment_shows_in_where_the_cases_went(tmp_path: Path) -> None:
    month = a_month(105, cases=30)
    assert campaign_kpis.unlike(month, loaded(month, tmp_path / "whole")).differences == []
    paid = next(event for event in month.events if event.type is EventType.PAYMENT_POSTED)
    kept = Month([event for event in month.events if event is not paid], month.ledger)
    assert campaign_kpis.unlike(month, loaded(kept, tmp_path / "lossy")).differences != []


def loaded(month: Month, folder: Path) -> sqlite3.Connection:
    folder.mkdir()
    write_log(folder, LENDER, month.events)
    return recompute_kpis.load(folder)


def test_cases_of_a_made_month_go_every_way() -> None:
    moves: rolls.Moves = {}
    for events in a_month(106, cases=300).streams().values():
        rolls.count_move(moves, events, date(2026, 11, 12), date(2026, 11, 30), zone=ZONE)
    parts = [table["parts"] for table in rolls.tables(moves)]
    assert len(parts) == 2
    assert all(float(part[kind]) > 0 for part in parts for kind in ("forward", "stable", "back", "cured", "out"))
