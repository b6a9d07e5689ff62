"""Feeds and case lists over the real tables: what an agency that polls gets to see."""

from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib.domain import keys
from chalicelib.domain.cases.feed import Expired, Page
from chalicelib.domain.cases.lifecycle import CaseState
from chalicelib.domain.events import Event
from chalicelib.store.feed_repository import FeedRepository, entry_sk, feed_pk
from chalicelib.store.repository import Store, event_of
from chalicelib.store.tables import Record, View
from chalicelib.usecases import cases, feeds
from chalicelib.usecases.assignment import assign_cases
from chalicelib.usecases.cases import Caller, Context
from tests.builders import (
    AGENCY,
    LENDER,
    NOW,
    TEST_ACTOR,
    Scope,
    a_case,
    a_collector,
    a_lender,
    a_person,
    an_agency,
    stored,
)

CALLER = Caller(TEST_ACTOR)
CONTEXT = Context(NOW, "req_test")


class CountingFeeds(FeedRepository):
    """The repository, with the names of the reads that were made."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def head(self, org: str) -> int:
        self.calls.append("head")
        return super().head(org)

    def entries(self, org: str, *, after: int, limit: int) -> list[dict[str, Any]]:
        self.calls.append("entries")
        return super().entries(org, after=after, limit=limit)


class House:
    """A lender with one agency; ``deliver`` plays the stream from where it stopped."""

    def __init__(self, store: Store, count: int = 3) -> None:
        self.store, self.scope, self.feeds = store, Scope(LENDER), CountingFeeds()
        self.seen: set[tuple[str, int]] = set()
        self.ids = [f"case_{number:03d}" for number in range(count)]
        stored(store, a_lender(), an_agency(), a_collector(), a_person())
        for case in self.ids:
            stored(store, a_case(id=case, state=CaseState.PLACED, agency=None))

    def assign(self) -> None:
        assign_cases(self.store, self.feeds, self.scope, self.ids, now=NOW, req="req_assign")

    def fresh_events(self) -> list[Event]:
        items = [item for item in Record.scan() if item.e is not None]
        items.sort(key=lambda item: (item.pk, keys.event_seq(item.sk)))
        events = [event_of(item.e, tenant=keys.tenant_of(item.pk)) for item in items]
        fresh = [event for event in events if (event.stream, event.seq) not in self.seen]
        self.seen |= {(event.stream, event.seq) for event in fresh}
        return fresh

    def project(self, events: list[Event]) -> list[str]:
        return feeds.project_feeds(self.feeds, self.store, events, scope_for=Scope)

    def deliver(self) -> None:
        assert self.project(self.fresh_events()) == []

    def poll(self, after: int | None, limit: int = 100, wait: float = 0) -> Page | Expired:
        return feeds.changes(self.feeds, AGENCY, after=after, limit=limit, wait=wait, sleep=lambda seconds: None)

    def page(self, after: int | None, limit: int = 100) -> Page:
        page = self.poll(after, limit)
        assert isinstance(page, Page)
        return page

    def read_all(self, limit: int = 2) -> Iterator[dict[str, Any]]:
        after: int | None = None
        while True:
            page = self.page(after, limit)
            yield from (dict(entry) for entry in page.entries)
            after = page.next_seq
            if not page.more:
                return


@pytest.fixture
def house(store: Store) -> House:
    return House(store)


def test_an_agency_sees_each_case_that_it_got_numbered_without_gaps(house: House) -> None:
    house.assign()
    house.deliver()
    entries = list(house.read_all())
    assert [entry["seq"] for entry in entries] == [1, 2, 3]
    assert {entry["case"] for entry in entries} == set(house.ids)
    assert {entry["kind"] for entry in entries} == {"upsert"}
    assert entries[0]["amount_due_minor"] == 1_234_567
    assert entries[0]["bucket"] == "M2"


def test_feed_entries_carry_no_personal_data(house: House) -> None:
    house.assign()
    house.deliver()
    page = house.page(None)
    for secret in ("张伟", "13812345678", "310101198804121232", "LSVAU2180C2123456"):
        assert secret not in str(page.entries)


def test_a_recalled_case_becomes_a_tombstone_and_leaves_the_list(house: House) -> None:
    house.assign()
    house.deliver()
    cases.request_recall(house.store, house.scope, house.ids[0], CALLER, CONTEXT, reason="RECALLED", final=True)
    house.deliver()
    last = list(house.read_all())[-1]
    assert (last["kind"], last["case"], last["reason"]) == ("tombstone", house.ids[0], "RECALLED")
    listed = house.feeds.agency_page(AGENCY, after=None, limit=100, state=None)
    assert [row.case for row in listed] == house.ids[1:]
    kept = house.feeds.lender_page(LENDER, after=None, limit=100, state=None)
    assert [(row.case, row.state) for row in kept][0] == (house.ids[0], "recalled")


def test_a_place_is_given_back_once_when_a_case_ends_even_if_the_stream_repeats(house: House) -> None:
    house.assign()
    assert house.feeds.loads(LENDER) == {AGENCY: 3}
    cases.return_case(house.store, house.scope, house.ids[0], CALLER, CONTEXT, reason="UNTRACEABLE")
    events = house.fresh_events()
    house.project(events)
    house.project(events)
    assert house.feeds.loads(LENDER) == {AGENCY: 2}


def test_events_that_come_again_write_no_entry_twice(house: House) -> None:
    house.assign()
    events = house.fresh_events()
    house.project(events)
    house.project(events)
    house.project(events[:1])
    assert [entry["seq"] for entry in house.read_all()] == [1, 2, 3]


def test_a_poll_with_nothing_new_is_exactly_one_small_read(house: House) -> None:
    house.assign()
    house.deliver()
    page = house.page(None)
    house.feeds.calls.clear()
    empty = house.page(page.next_seq)
    assert (empty.entries, empty.next_seq, empty.more) == ((), page.next_seq, False)
    assert house.feeds.calls == ["head"]


def test_the_first_poll_of_an_empty_feed_still_gives_a_place_to_go_on_from(house: House) -> None:
    assert house.page(None) == Page((), 0, more=False)
    assert house.page(0) == Page((), 0, more=False)


def test_a_long_poll_looks_at_the_head_until_something_comes(house: House) -> None:
    house.assign()
    house.deliver()
    events: list[Event] = []
    naps: list[float] = []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 2:
            cases.return_case(house.store, house.scope, house.ids[0], CALLER, CONTEXT, reason="UNTRACEABLE")
            events.extend(house.fresh_events())
            house.project(events)

    page = feeds.changes(house.feeds, AGENCY, after=3, limit=100, wait=20, sleep=sleep)
    assert isinstance(page, Page)
    assert [entry["seq"] for entry in page.entries] == [4]
    assert naps == [1.0, 1.0]


def test_a_long_poll_gives_up_after_twenty_seconds(house: House) -> None:
    naps: list[float] = []
    page = feeds.changes(house.feeds, AGENCY, after=0, limit=100, wait=600, sleep=naps.append)
    assert page == Page((), 0, more=False)
    assert sum(naps) == 20


def test_a_cursor_before_the_retained_entries_has_expired(house: House) -> None:
    house.assign()
    house.deliver()
    for seq in (1, 2):
        View(feed_pk(AGENCY), entry_sk(seq)).delete()
    assert isinstance(house.poll(0), Expired)
    assert isinstance(house.poll(1), Expired)
    assert house.page(2).next_seq == 3
    assert house.page(None).next_seq == 3, "without a cursor one starts at the oldest entry that is kept"


def test_a_cursor_beyond_the_head_has_expired(house: House) -> None:
    assert isinstance(house.poll(7), Expired)


def test_an_agency_that_crashes_between_pages_sees_every_change_in_order(house: House) -> None:
    house.assign()
    written: list[Event] = []

    def act(step: int) -> None:
        if step == 1:
            cases.place_hold(house.store, house.scope, house.ids[1], CALLER, CONTEXT, kind="hardship", reason="asked")
        if step == 2:
            cases.request_recall(house.store, house.scope, house.ids[0], CALLER, CONTEXT, reason="RECALLED")
        if step == 3:
            cases.return_case(house.store, house.scope, house.ids[2], CALLER, CONTEXT, reason="UNTRACEABLE")
        fresh = house.fresh_events()
        written.extend(fresh)
        house.project(fresh)

    received: list[dict[str, Any]] = []
    durable: int | None = None
    for step in range(12):
        act(step)
        page = house.page(durable, 2)
        received.extend(dict(entry) for entry in page.entries)
        if step % 3 != 1:
            durable = page.next_seq
        # Otherwise the agency crashed before it stored its cursor: the same page comes again.
    unique = {entry["seq"]: entry["event"] for entry in received}
    expected = [e.id for e in written if e.type in feeds.FEED_TYPES]
    assert sorted(unique) == list(range(1, len(expected) + 1))
    assert set(unique.values()) == set(expected)
    order: dict[str, list[str]] = {}
    for seq in sorted(unique):
        order.setdefault(next(e.stream for e in written if e.id == unique[seq]), []).append(unique[seq])
    for stream, seen in order.items():
        assert seen == [e.id for e in written if e.stream == stream and e.type in feeds.FEED_TYPES]
    assert len(received) > len(expected), "a crash repeats a page"


def test_the_same_page_has_the_same_entries_when_it_is_read_again(house: House) -> None:
    house.assign()
    house.deliver()
    first = house.page(0, 2)
    cases.return_case(house.store, house.scope, house.ids[2], CALLER, CONTEXT, reason="UNTRACEABLE")
    house.deliver()
    assert house.page(0, 2).entries == first.entries


def test_a_rival_projection_moves_the_head_and_the_loser_goes_on_behind_it(house: House) -> None:
    house.assign()
    events = house.fresh_events()
    feeds_of_rival = FeedRepository()

    class Overtaken(FeedRepository):
        """Lets a rival write the first case's entry between this one's read and write."""

        raced = False

        def rows(self, org: str, cases: Any) -> Any:
            known = super().rows(org, cases)
            if not self.raced:
                self.raced = True
                feeds.project_feeds(feeds_of_rival, house.store, events[:1], scope_for=Scope)
            return known

    assert feeds.project_feeds(Overtaken(), house.store, events, scope_for=Scope) == []
    entries = list(house.read_all())
    assert [entry["seq"] for entry in entries] == [1, 2, 3]
    assert sorted(entry["event"] for entry in entries) == sorted(event.id for event in events)


def test_events_of_a_case_that_cannot_be_read_are_named_and_the_others_go_on(house: House) -> None:
    house.assign()
    events = house.fresh_events()
    Record(keys.case_pk(LENDER, house.ids[0]), "CASE").delete()
    lost = [event.id for event in events if event.stream == house.ids[0]]
    assert house.project(events) == lost
    assert len(list(house.read_all())) == 2


def test_many_events_fit_into_few_transactions(store: Store) -> None:
    house = House(store, count=60)
    house.assign()

    class Counted(FeedRepository):
        appends = 0

        def append(self, org: str, **rest: Any) -> int:
            Counted.appends += 1
            return super().append(org, **rest)

    assert feeds.project_feeds(Counted(), store, house.fresh_events(), scope_for=Scope) == []
    assert Counted.appends == 2
    assert [entry["seq"] for entry in house.read_all(limit=50)] == list(range(1, 61))
