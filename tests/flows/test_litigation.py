"""Limitation and litigation over HTTP: who may, what is answered, what is left behind."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from chalicelib.domain.litigation.limitation import Entry, Proof
from chalicelib.store.feed_repository import FeedRepository
from chalicelib.store.repository import Store
from tests.builders import CASE, LENDER, PERSON, Scope, a_case, a_lender, a_person, an_agency, stored
from tests.flows.test_cases_api import Api, body_of
from tests.flows.test_erasure import Clock, clock
from tests.flows.test_erasure import api as edge

__all__ = ["clock", "edge"]

SCOPE = Scope(LENDER)
LIMITATION = f"/v1/cases/{CASE}/limitation"
SIGNED = {"kind": "acknowledgement", "on": "2026-11-05", "proof": "signed", "sha256": "ab" * 32}


@pytest.fixture
def api(edge: Api, store: Store, clock: Clock) -> Iterator[Api]:
    stored(store, a_lender(), an_agency(), a_person(), a_case(loan={"terms": {"maturity_date": "2023-11-10"}}))
    FeedRepository().listing_record(LENDER, an_agency()).save()
    yield edge


def test_an_entry_moves_the_end_and_is_an_event(api: Api, store: Store) -> None:
    before = body_of(api.get("lender", LIMITATION))
    assert (before["expires_on"], before["is_barred"], before["days_left"]) == ("2026-11-10", True, -13)
    assert before["law"]["place"] == "CN" and before["basis"] == "computed"
    answer = api.call("counsel", "POST", f"{LIMITATION}/entries", SIGNED)
    after = body_of(answer)
    assert answer.status_code == 201 and answer.headers["ETag"] == f'"{after["version"]}"'
    assert (after["expires_on"], after["is_barred"]) == ("2029-11-05", False)
    told = [event for event in store.events(SCOPE, f"T#{LENDER}#CASE#{CASE}") if event.type == "limitation.recorded"]
    assert [event.data["expires_on"] for event in told] == ["2029-11-05"]
    # What was approved on the old ground is stale.
    assert store.ledger(SCOPE, PERSON).stop_epoch == 1


def test_a_superseded_entry_counts_no_more(api: Api) -> None:
    pending = {"kind": "suit", "on": "2026-11-03", "proof": "official"}
    first = body_of(api.call("lender", "POST", f"{LIMITATION}/entries", pending))
    assert first["pending"] is True and first["expires_on"] == "2029-11-23"
    entry = first["steps"][-1]["entry"]
    ended = {**pending, "until": "2026-11-20", "supersedes": entry}
    after = body_of(api.call("lender", "POST", f"{LIMITATION}/entries", ended))
    assert (after["pending"], after["expires_on"], len(after["steps"])) == (False, "2029-11-20", 2)


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"on": "2026-11-24"}, 422, "in_the_future"),
        ({"until": "2026-11-24"}, 422, "in_the_future"),
        ({"until": "2026-11-04"}, 422, "before_the_beginning"),
        ({"party": "per_nobody"}, 404, "not_found"),
        ({"supersedes": "lim_nobody"}, 404, "not_found"),
        ({"kind": "wish"}, 422, "literal_error"),
    ],
)
def test_an_entry_that_cannot_be_is_refused(api: Api, changes: dict[str, Any], status: int, code: str) -> None:
    answer = api.call("lender", "POST", f"{LIMITATION}/entries", {**SIGNED, **changes})
    told = body_of(answer)
    assert answer.status_code == status
    assert code in {told["code"], *(each["code"] for each in told.get("errors", []))}


def test_only_the_lenders_side_enters_and_a_foreign_case_is_no_case(api: Api) -> None:
    assert api.call("agency", "POST", f"{LIMITATION}/entries", SIGNED).status_code == 403
    assert api.call("collector", "GET", LIMITATION).status_code == 403
    assert api.get("lender", "/v1/cases/case_nobody/limitation").status_code == 404


def test_a_ledger_that_is_full_refuses_the_next(api: Api, store: Store) -> None:
    many = tuple(Entry(id=f"lim_{n}", kind="demand", on=date(2026, 11, 1), proof=Proof.NONE) for n in range(100))
    stored(store, a_case(id="case_full", account="acct-full", limitation_entries=many))
    answer = api.call("lender", "POST", "/v1/cases/case_full/limitation/entries", SIGNED)
    assert (answer.status_code, body_of(answer)["code"]) == (409, "too_many_entries")
