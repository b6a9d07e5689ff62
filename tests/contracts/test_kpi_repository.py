"""One suite for the repository in the view table and for the fake that other tests use in its stead."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.domain.events import EventType
from chalicelib.domain.kpi import counters as kpi
from chalicelib.domain.kpi.counters import Cell, Counts
from chalicelib.domain.kpi.definitions import DEFINITIONS
from chalicelib.domain.kpi.figures import UndefinedFigure, figure
from chalicelib.store import kpi_repository, tables
from chalicelib.store.kpi_repository import MOST_COUNTERS, KpiRepository
from chalicelib.usecases.kpis import figures_of
from tests.builders import AGENCY, LENDER
from tests.kpi_builders import (
    CONTACT,
    DAY,
    MONTH,
    NOON,
    WEEK,
    FakeKpiRepository,
    History,
    a_worked_day,
    counters_of,
    shanghai,
)


@pytest.fixture(params=["table", "fake"])
def repository(request: pytest.FixtureRequest) -> Any:
    if request.param == "fake":
        return FakeKpiRepository(shanghai)
    request.getfixturevalue("aws")
    return KpiRepository(shanghai)


def _stored(repository: Any) -> kpi.Counters:
    return {
        Cell(LENDER, who, period): counts
        for period in (DAY, WEEK, MONTH, kpi.EVER)
        for who, counts in repository.counters(LENDER, period).items()
    }


def test_worked_day_is_folded_to_what_a_recomputation_gives(repository: Any) -> None:
    history = a_worked_day()
    assert repository.fold(history.events) == []
    assert _stored(repository) == counters_of(history)


def test_an_event_delivered_again_counts_once(repository: Any) -> None:
    history = a_worked_day()
    repository.fold(history.events)
    assert repository.fold(history.events) == []
    assert repository.fold(history.events[10:20] + history.events[5:30]) == []
    assert _stored(repository) == counters_of(history)


def test_an_event_twice_in_one_batch_counts_once(repository: Any) -> None:
    history = History().sent()
    assert repository.fold(history.events * 2) == []
    assert repository.counters(LENDER, DAY)[AGENCY]["attempts"] == 1


def test_events_behind_a_gap_wait_and_other_streams_do_not(repository: Any) -> None:
    history = History().sent(times=4).add(EventType.CONTACT_SENT, CONTACT, stream="case_2")
    first, second, third, fourth, other = history.events
    assert sorted(repository.fold([first, third, fourth, other])) == [third.id, fourth.id]
    assert repository.counters(LENDER, DAY)[AGENCY]["attempts"] == 2
    assert repository.fold([second, third, fourth]) == []
    assert _stored(repository) == counters_of(history)


def test_an_event_that_counts_nothing_still_closes_the_gap(repository: Any) -> None:
    history = History().add(EventType.CONTACT_REQUESTED, CONTACT).sent()
    requested, sent = history.events
    assert repository.fold([sent]) == [sent.id]
    assert repository.fold([requested]) == []
    assert repository.fold([sent]) == []
    assert repository.counters(LENDER, DAY)[AGENCY]["attempts"] == 1


def test_a_batch_out_of_order_is_put_in_order(repository: Any) -> None:
    history = History().sent(times=3)
    assert repository.fold(list(reversed(history.events))) == []
    assert repository.counters(LENDER, DAY)[AGENCY]["attempts"] == 3


def test_a_malformed_event_stops_its_own_stream_only(repository: Any) -> None:
    history = History().sent().add(EventType.PAYMENT_POSTED, {"amount_minor": 5}).sent()
    history.add(EventType.CONTACT_SENT, CONTACT, stream="case_2")
    _, malformed, after, _ = history.events
    assert sorted(repository.fold(history.events)) == [malformed.id, after.id]
    assert repository.counters(LENDER, DAY)[AGENCY]["attempts"] == 2


def test_lenders_with_the_same_ids_stay_apart(repository: Any) -> None:
    ours, theirs = History().sent(), History("other-fin").sent(times=2)
    assert repository.fold(ours.events + theirs.events) == []
    assert repository.counters(LENDER, DAY)[AGENCY]["attempts"] == 1
    assert repository.counters("other-fin", DAY)[AGENCY]["attempts"] == 2


def test_counters_that_come_back_to_nothing_are_left_out(repository: Any) -> None:
    history = (
        History().money(EventType.PROMISE_BROKEN, 500, was="open").money(EventType.PROMISE_KEPT, 500, was="broken")
    )
    repository.fold(history.events)
    assert repository.counters(LENDER, DAY) == {
        AGENCY: {"promises_kept": 1, "kept_cases:CNY": 1, "kept_minor:CNY": 500, "promise_paid_minor:CNY": 500}
    }


def test_more_streams_than_one_transaction_takes_are_folded_all(repository: Any) -> None:
    history = History()
    for number in range(130):
        history.add(EventType.CONTACT_SENT, {**CONTACT, "person": f"per_{number}"}, stream=f"case_{number}")
    assert repository.fold(history.events) == []
    assert _stored(repository) == counters_of(history)
    assert repository.counters(LENDER, MONTH)["*"] == {"persons_attempted": 130, "cases_attempted": 130}


def test_one_stream_over_more_days_than_one_transaction_takes_is_folded_all(repository: Any) -> None:
    history = History()
    days = [f"2026-{month:02d}-{day:02d}" for month in (9, 10, 11) for day in range(1, 29)]
    for day in days:
        history.add(EventType.COMPLAINT_RECEIVED, {"agency": AGENCY}, at=f"{day}T04:00:00.000Z")
    assert repository.fold(history.events) == []
    assert all(repository.counters(LENDER, day) == {AGENCY: {"complaints": 1}} for day in days)


def test_more_counters_than_one_update_takes_are_folded_all(repository: Any) -> None:
    history = History()
    for number in range(4):
        history.decided("deny", *(f"rule.{number}.{part}" for part in range(MOST_COUNTERS // 2)))
    assert repository.fold(history.events) == []
    assert _stored(repository) == counters_of(history)


def test_a_period_is_due_until_it_is_done_and_again_after_the_next_fold(repository: Any) -> None:
    history = History().sent(times=2)
    repository.fold(history.events[:1])
    due = {(each.tenant, each.period): each for each in repository.due(10)}
    assert set(due) == {(LENDER, DAY), (LENDER, WEEK), (LENDER, MONTH)}
    assert repository.done(due[LENDER, MONTH])
    assert repository.done(due[LENDER, WEEK])
    assert repository.done(due[LENDER, DAY])
    assert repository.due(10) == []
    repository.fold(history.events[1:])
    # The person was attempted in this month before, so nothing of the month changed.
    assert [(each.tenant, each.period) for each in repository.due(10)] == [(LENDER, DAY)]


def test_a_period_that_changed_while_its_figures_were_made_stays_due(repository: Any) -> None:
    history = History().sent(times=2)
    repository.fold(history.events[:1])
    read = next(each for each in repository.due(10) if each.period == DAY)
    repository.fold(history.events[1:])
    assert not repository.done(read)
    assert DAY in {each.period for each in repository.due(10)}


def test_events_that_count_nothing_make_no_period_due(repository: Any) -> None:
    repository.fold(History().add(EventType.CONTACT_CLAIMED, CONTACT).events)
    assert repository.due(10) == []


def test_published_figures_are_read_back_by_agency(repository: Any) -> None:
    repository.fold(a_worked_day().events)
    made = figures_of(repository.counters(LENDER, DAY), period=DAY)
    assert repository.publish(LENDER, DAY, made, as_of=NOON) == sum(len(figures) for figures in made.values())
    for agency, figures in made.items():
        expected = {each.reference: {**each.as_json(), "as_of": NOON} for each in figures}
        found = repository.published(LENDER, DAY, agency)
        assert {_reference(body): body for body in found} == expected


def test_a_figure_that_did_not_change_keeps_the_instant_it_was_made_at(repository: Any) -> None:
    history = a_worked_day()
    repository.fold(history.events)
    repository.publish(LENDER, DAY, figures_of(repository.counters(LENDER, DAY), period=DAY), as_of=NOON)
    more = History()
    more._seq = dict(history._seq)
    repository.fold(more.add(EventType.CASE_PLACED, {"currency": "USD", "placed_minor": 7}).events)
    later = "2026-11-23T05:00:00.000Z"
    made = figures_of(repository.counters(LENDER, DAY), period=DAY)
    changed = {
        "placed_cases@1",
        "placed_amount:USD@1",
        "liquidation:USD@1",
        "recall_adjusted_placed:USD@1",
        "recall_adjusted_liquidation:USD@1",
        *(f"cure_{days}@1" for days in (30, 60, 90)),
        "self_cure_30@1",
    }
    assert repository.publish(LENDER, DAY, made, as_of=later) == len(changed)
    instants = {_reference(body): body["as_of"] for body in repository.published(LENDER, DAY, "*")}
    assert {reference for reference, as_of in instants.items() if as_of == later} == changed


def test_rows_tell_which_event_moved_a_counter_and_come_in_pages(repository: Any) -> None:
    history = History().sent(times=3).decided("deny", "cn.cap")
    repository.fold(history.events)
    first = repository.rows(LENDER, DAY, after=None, limit=3)
    rest = repository.rows(LENDER, DAY, after=first[-1][0], limit=3)
    assert [place for place, _ in first + rest] == [f"case_1#{seq:08d}" for seq in (1, 2, 3, 4)]
    summed: dict[str, int] = {}
    for _, told in first + rest:
        for whos, counts in told:
            if AGENCY in whos:
                kpi.add(summed, counts)
    assert summed == repository.counters(LENDER, DAY)[AGENCY]


def test_rows_of_events_folded_again_are_the_same(repository: Any) -> None:
    history = a_worked_day()
    repository.fold(history.events[:20])
    repository.fold(history.events)
    once = FakeKpiRepository(shanghai)
    once.fold(history.events)
    for period in (DAY, WEEK, MONTH):
        rows = repository.rows(LENDER, period, after=None, limit=1000)
        assert [place for place, _ in rows] == [place for place, _ in once.rows(LENDER, period, after=None, limit=1000)]


def test_a_figure_without_a_definition_version_cannot_be_published(repository: Any) -> None:
    undefined = replace(DEFINITIONS[0], version=99)
    made = figure(undefined, key=None, numerator=1, denominator=None, n=1)
    with pytest.raises(UndefinedFigure, match="@99"):
        repository.publish(LENDER, DAY, {"*": [made]}, as_of=NOON)
    changed = replace(DEFINITIONS[0], numerator=DEFINITIONS[2].numerator)
    with pytest.raises(UndefinedFigure):
        repository.publish(LENDER, DAY, {"*": [replace(made, definition=changed)]}, as_of=NOON)
    assert repository.published(LENDER, DAY, "*") == []


def _reference(body: dict[str, Any]) -> str:
    key = "" if body["key"] is None else f":{body['key']}"
    return f"{body['kpi']}{key}@{body['version']}"


# Rivals: only the table has them.


class _Between:
    """A connection that lets somebody else act before its first ``times`` transactions."""

    def __init__(self, real: Any, act: Callable[[], object], *, times: int) -> None:
        self._real, self._act, self._times = real, act, times
        self.transactions = 0
        self.actions: list[int] = []

    def transact_write_items(self, *arguments: Any) -> Any:
        self.transactions += 1
        self.actions.append(sum(len(actions) for actions in arguments))
        if self._times:
            self._times -= 1
            self._act()
        return self._real.transact_write_items(*arguments)


@pytest.fixture
def between(aws: None, monkeypatch: pytest.MonkeyPatch) -> Callable[..., _Between]:
    """Return what makes the next transactions of a fold come second."""
    real = tables.connection

    def install(act: Callable[[], object], *, times: int = 1) -> _Between:
        def undisturbed() -> None:
            with monkeypatch.context() as patch:
                patch.setattr(kpi_repository, "connection", real)
                act()

        wrapper = _Between(real(tables.View.Meta.region), undisturbed, times=times)
        monkeypatch.setattr(kpi_repository, "connection", lambda region: wrapper)
        return wrapper

    return install


def test_two_folds_of_the_same_events_at_once_count_them_once(between: Callable[..., _Between]) -> None:
    history = a_worked_day()
    wrapper = between(lambda: KpiRepository(shanghai).fold(history.events))
    repository = KpiRepository(shanghai)
    assert repository.fold(history.events) == []
    assert wrapper.transactions == 1
    assert _stored(repository) == counters_of(history)


def test_a_rival_that_folds_the_first_half_leaves_the_second(between: Callable[..., _Between]) -> None:
    history = History().sent(times=6)
    wrapper = between(lambda: KpiRepository(shanghai).fold(history.events[:3]))
    repository = KpiRepository(shanghai)
    assert repository.fold(history.events) == []
    assert wrapper.transactions == 2
    assert _stored(repository) == counters_of(history)


def test_two_cases_of_one_person_at_once_make_one_person(between: Callable[..., _Between]) -> None:
    history = History().sent().add(EventType.CONTACT_SENT, CONTACT, stream="case_2")
    between(lambda: KpiRepository(shanghai).fold(history.events[1:]))
    repository = KpiRepository(shanghai)
    assert repository.fold(history.events[:1]) == []
    assert repository.counters(LENDER, MONTH)["*"] == {"persons_attempted": 1, "cases_attempted": 2}
    assert _stored(repository) == counters_of(history)


def test_who_loses_every_round_reports_the_events(between: Callable[..., _Between]) -> None:
    history = History().sent(times=12)
    ahead = iter(history.events)
    between(lambda: KpiRepository(shanghai).fold([next(ahead)]), times=kpi_repository.ROUNDS)
    repository = KpiRepository(shanghai)
    failed = repository.fold(history.events)
    assert failed == [event.id for event in history.events[kpi_repository.ROUNDS - 1 :]]
    assert repository.fold(history.events) == []
    counts: Counts = repository.counters(LENDER, DAY)[AGENCY]
    assert counts["attempts"] == 12


def test_a_hundred_events_of_a_few_cases_are_one_transaction(between: Callable[..., _Between]) -> None:
    history = History()
    for number in range(100):
        history.add(EventType.CONTACT_SENT, CONTACT, stream=f"case_{number % 10}")
    wrapper = between(lambda: None)
    assert KpiRepository(shanghai).fold(history.events) == []
    assert wrapper.transactions == 1


def test_a_person_known_in_the_month_is_not_written_again(between: Callable[..., _Between]) -> None:
    history = History().sent(times=2)
    wrapper = between(lambda: None)
    repository = KpiRepository(shanghai)
    repository.fold(history.events[:1])
    repository.fold(history.events[1:])
    # First: marker, the agency's and the lender's person of week and month, six cells, three notes of what is due.
    # Then: marker, cell, note.
    assert wrapper.actions == [14, 3]
