"""One suite for the port of feeds and case lists, over the real tables and over the double that other tests use."""

from typing import Any

import pytest

from chalicelib.domain.cases.feed import Row, Step
from chalicelib.domain.concurrency import Conflict
from chalicelib.store.feed_repository import FeedRepository
from tests.builders import AGENCY, LENDER, NOW
from tests.memory_store import MemoryFeeds


class RealFeeds(FeedRepository):
    """The repository, with the one thing that a unit of work does for it elsewhere."""

    def set_load(self, tenant: str, org: str, load: int) -> None:
        record, _ = self.load_record(tenant, org, load)
        record.save()


@pytest.fixture(params=["tables", "memory"])
def feeds(request: pytest.FixtureRequest) -> Any:
    if request.param == "memory":
        return MemoryFeeds()
    request.getfixturevalue("aws")
    return RealFeeds()


def row(number: int, **deviations: Any) -> Row:
    return Row(
        **{
            "case": f"case_{number}",
            "lender": LENDER,
            "agency": AGENCY,
            "state": "assigned",
            "version": 2,
            "seq": 2,
            "held": True,
            "currency": "CNY",
            "amount_due_minor": 100,
            "oldest_unpaid_due_on": "2026-10-19",
            "frozen": (),
            "placed_to": "2027-02-28",
            "country": "CN",
            "product": "direct_loan",
            **deviations,
        }
    )


def step(number: int, *entries: str, released: int = 0, **deviations: Any) -> Step:
    return Step(row(number, **deviations), tuple({"event": entry} for entry in entries), released)


def test_an_unknown_agency_has_an_empty_feed_and_list(feeds: Any) -> None:
    assert feeds.head(AGENCY) == 0
    assert feeds.entries(AGENCY, after=0, limit=10) == []
    assert feeds.agency_page(AGENCY, after=None, limit=10, state=None) == []
    assert feeds.lender_of(AGENCY, "case_1") is None
    assert feeds.loads(LENDER) == {}


def test_entries_are_numbered_from_one_in_the_order_of_the_steps(feeds: Any) -> None:
    assert feeds.append(AGENCY, head=0, steps=[step(1, "a", "b"), step(2, "c")], at=NOW) == 3
    assert feeds.append(AGENCY, head=3, steps=[step(1, "d")], at=NOW) == 4
    assert feeds.head(AGENCY) == 4
    numbered = [(entry["seq"], entry["event"]) for entry in feeds.entries(AGENCY, after=0, limit=10)]
    assert numbered == [(1, "a"), (2, "b"), (3, "c"), (4, "d")]
    assert [entry["seq"] for entry in feeds.entries(AGENCY, after=1, limit=2)] == [2, 3]


@pytest.mark.parametrize("head", [0, 2])
def test_only_who_knows_the_head_may_append_and_the_loser_leaves_no_trace(feeds: Any, head: int) -> None:
    feeds.append(AGENCY, head=0, steps=[step(1, "a")], at=NOW)
    with pytest.raises(Conflict):
        feeds.append(AGENCY, head=head, steps=[step(2, "b")], at=NOW)
    assert feeds.head(AGENCY) == 1
    assert feeds.rows(AGENCY, ["case_1", "case_2"]) == {"case_1": row(1)}


def test_feeds_of_two_agencies_have_nothing_to_do_with_each_other(feeds: Any) -> None:
    feeds.append(AGENCY, head=0, steps=[step(1, "a")], at=NOW)
    assert feeds.head("agency-b") == 0
    assert feeds.append("agency-b", head=0, steps=[step(1, "x", agency="agency-b")], at=NOW) == 1


def test_a_case_that_was_lost_leaves_the_list_but_is_still_known(feeds: Any) -> None:
    feeds.set_load(LENDER, AGENCY, 2)
    feeds.append(AGENCY, head=0, steps=[step(1, "a"), step(2, "b")], at=NOW)
    feeds.append(AGENCY, head=2, steps=[step(1, "c", released=1, held=False, state="recalled", seq=3)], at=NOW)
    assert [known.case for known in feeds.agency_page(AGENCY, after=None, limit=10, state=None)] == ["case_2"]
    assert feeds.rows(AGENCY, ["case_1"])["case_1"].seq == 3
    assert feeds.lender_of(AGENCY, "case_1") == LENDER
    assert feeds.loads(LENDER) == {AGENCY: 1}


def test_pages_go_on_after_a_case_and_count_what_passes_the_filter(feeds: Any) -> None:
    steps = [step(number, "e", state="in_work" if number % 2 else "assigned") for number in range(1, 8)]
    feeds.append(AGENCY, head=0, steps=steps, at=NOW)
    first = feeds.agency_page(AGENCY, after=None, limit=2, state="in_work")
    assert [known.case for known in first] == ["case_1", "case_3"]
    second = feeds.agency_page(AGENCY, after=first[-1].case, limit=10, state="in_work")
    assert [known.case for known in second] == ["case_5", "case_7"]


def test_a_lender_lists_ended_cases_too(feeds: Any) -> None:
    feeds.put_lender_rows([row(1), row(2, state="settled", held=False)])
    feeds.put_lender_rows([row(1, state="in_work", seq=3)])
    listed = feeds.lender_page(LENDER, after=None, limit=10, state=None)
    assert [(known.case, known.state) for known in listed] == [("case_1", "in_work"), ("case_2", "settled")]


def test_cases_without_agency_are_kept_with_the_reason_until_they_are_dropped(feeds: Any) -> None:
    feeds.put_unassigned(LENDER, {"case_1": {"reason": "agencies_full"}, "case_2": {"reason": "no_eligible_agency"}})
    assert feeds.unassigned(LENDER, limit=1) == {"case_1": {"reason": "agencies_full"}}
    feeds.drop_unassigned(LENDER, ["case_1"])
    assert list(feeds.unassigned(LENDER, limit=10)) == ["case_2"]
