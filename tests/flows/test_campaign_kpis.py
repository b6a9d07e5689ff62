"""Simulated months with late, repeated and back-dated events: projection and archive agree, and money ties to the ledger."""

from pathlib import Path

import pytest

from chalicelib.domain.events import EventType
from scripts import campaign_kpis, recompute_kpis
from scripts.kpi_memory import MemoryKpiRepository
from scripts.made_month import LENDER, ZONE, a_month, write_log


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
