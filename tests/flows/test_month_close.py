"""Month close: tables of a closed month, by what was booked up to its cutoff, whoever walks on and however often."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chalicelib import wiring
from chalicelib.domain.events import Actor, EventType
from chalicelib.domain.keys import case_pk
from chalicelib.domain.kpi.rolls import MonthClose, Move, Moved
from chalicelib.store.repository import Store
from chalicelib.usecases import month_close
from scripts import recompute_kpis
from scripts.made_month import write_log
from tests.builders import LENDER, NOW, Scope
from tests.flows.test_cases_api import Api, api, body_of

__all__ = ["api"]

SCOPE = Scope(LENDER)
CUTOFF = datetime(2026, 12, 3, 16, 0, tzinfo=UTC)
"""Midnight in Shanghai after the third day of December."""
CLOSING = CUTOFF + timedelta(hours=1)
CASES = ("case_0", "case_1", "case_2")
OCTOBER = datetime(2026, 10, 10, 2, 0, tzinfo=UTC)
PLACED = {
    "placed_minor": 100_000,
    "currency": "CNY",
    "country": "CN",
    "stage": "M1",
    "region": None,
    "portfolio": "pf_1",
    "instalments": [{"due_on": "2026-09-20", "owed": {"principal": 100_000}}],
    "charges": {},
}


def wrote(store: Store, case: str, kind: EventType, at: datetime, **data: Any) -> None:
    unit = store.unit(SCOPE, actor=Actor("user", "usr_1", "lender"), req="req_test", now=at)
    unit.emit(case_pk(LENDER, case), kind, data)
    unit.commit()


def paid(store: Store, case: str, at: datetime, received_on: str) -> None:
    about = {"payment": f"pay_{case}", "amount_minor": 100_000, "applied_minor": 100_000, "currency": "CNY"}
    more = {"reversal_of": None, "stated_split": None, "commissionable": True, "agency": None}
    wrote(store, case, EventType.PAYMENT_POSTED, at, **about, **more, received_on=received_on)


@pytest.fixture
def lived(api: Api, store: Store) -> Api:
    """Three cases of October: one pays in November, one pays then but is booked at the cutoff, one a moment too late."""
    for case in CASES:
        wrote(store, case, EventType.CASE_PLACED, OCTOBER, **PLACED)
    paid(store, "case_0", NOW, "2026-11-20")
    paid(store, "case_1", CUTOFF, "2026-11-30")
    paid(store, "case_2", CUTOFF + timedelta(milliseconds=1), "2026-11-30")
    return api


def closed(now: datetime = CLOSING, **limits: int) -> int:
    return month_close.close_months(wiring.month_ports(), [LENDER], now, **limits)


def test_what_is_booked_by_the_cutoff_counts_and_the_tables_stay(lived: Api, store: Store) -> None:
    assert closed(CLOSING - timedelta(seconds=1)) == 3
    assert lived.get("lender", "/v1/kpis/rolls?month=2026-11").status_code == 404
    assert (closed(), closed()) == (3, 0)
    told = body_of(lived.get("lender", "/v1/kpis/rolls"))
    assert (told["month"], told["from"], told["to"]) == ("2026-11", "2026-10-31", "2026-11-30")
    assert (told["cutoff"], told["cases"]) == ("2026-12-03T16:00:00.000Z", 3)
    [table] = told["tables"]
    # 41 days past due on the last of October, 71 on the last of November.
    assert table["by_count"] == {"M2": {"M0": "0.666667", "M3": "0.333333"}}
    assert (table["flow"]["M2>M3"], table["balance_minor"]) == ("0.333333", 300_000)
    wrote(store, "case_0", EventType.CASE_CHANGED, CLOSING, **{"from": "in_work", "to": "legal", "reason": "late"})
    assert (closed(CLOSING + timedelta(hours=1)), body_of(lived.get("lender", "/v1/kpis/rolls"))) == (0, told)


def test_a_walk_goes_on_where_it_stopped_and_nobody_counts_twice(lived: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(month_close, "CASES_A_PAGE", 2)
    closed(CUTOFF)
    assert closed(limit=1) == 2
    told = body_of(lived.get("lender", "/v1/kpis/rolls?month=2026-11"))
    assert (told["closed_at"], told["cases"], told["tables"]) == (None, 2, [])
    known = wiring.month_ports().rolls.of(LENDER, "2026-11")
    assert known is not None and not wiring.month_ports().rolls.keep(LENDER, known)
    assert closed() == 1
    assert body_of(lived.get("lender", "/v1/kpis/rolls?month=2026-11"))["cases"] == 3


def test_tables_are_the_lenders_alone(lived: Api) -> None:
    closed()
    assert lived.get("agency", "/v1/kpis/rolls").status_code == 403
    assert lived.get("other-lender", "/v1/kpis/rolls?month=2026-11").status_code == 404
    assert lived.get("lender", "/v1/kpis/rolls?month=2026-13").status_code == 400


def test_the_separate_program_makes_the_same_moves_of_the_archive(lived: Api, store: Store, tmp_path: Any) -> None:
    closed()
    export = body_of(lived.get("officer", "/v1/kpis/export?from=2026-11-01&to=2026-11-30"))
    events = [event for case in CASES for event in store.events(SCOPE, case_pk(LENDER, case))]
    write_log(tmp_path, LENDER, events)
    base = recompute_kpis.load(tmp_path)
    ours = recompute_kpis.closed_moves(base, LENDER, "Asia/Shanghai", "2026-11")
    assert ours == export["rolls"]["2026-11"] != []
    wrong = [[*ours[0][:4], 9, *ours[0][5:]], *ours[1:]]
    assert len(list(recompute_kpis.move_differences(wrong, ours, "2026-11"))) == 1


def test_a_month_that_nobody_had_cases_in_is_closed_and_empty() -> None:
    close = MonthClose("2026-11", "2026-12-03T16:00:00.000Z", closed_at="2026-12-03T17:00:00.000Z")
    assert close.as_json()["tables"] == []


def test_cases_that_came_between_are_counted_apart() -> None:
    moves = {Move("CNY", "CN", None, "M1"): Moved(2, 0, 500), Move("CNY", "CN", "M1", "M2"): Moved(1, 300, 200)}
    [table] = MonthClose("2026-11", "x", moves=moves, closed_at="x").as_json()["tables"]
    assert (table["cases"], table["entered_cases"], table["balance_minor"]) == (1, 2, 300)
    # What stands in M2 now over what stood in M1: the flow form does not ask which cases.
    assert (table["flow"], table["standing"]["M1"]) == ({"M1>M2": "0.666667"}, "0.714286")
