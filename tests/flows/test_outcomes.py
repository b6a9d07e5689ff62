"""The lender's feed of outcomes: one order, no gaps, each once however often it is delivered, nobody else's."""

import json
import random
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.domain import keys
from chalicelib.domain.cases.outcomes import OUTCOMES
from chalicelib.domain.events import Event
from chalicelib.store.outcome_repository import OutcomeRepository
from chalicelib.store.repository import Store, event_of
from chalicelib.store.tables import Record, View
from chalicelib.usecases import outcomes
from tests.builders import LENDER, NOW
from tests.flows.test_cases_api import SECRETS, Api, api, body_of

__all__ = ["api"]

PATH = "/v1/outcomes"


def events_of_store() -> list[Event]:
    items = sorted((item for item in Record.scan() if item.e is not None), key=lambda item: (item.pk, item.sk))
    return [event_of(item.e, tenant=keys.tenant_of(item.pk)) for item in items]


def happen(api: Api) -> None:
    noted = {"code": "NOANS", "channel": "call", "at": "2026-11-23T01:30:00Z", "note": SECRETS[0]}
    promised = {"amount_minor": 100, "currency": "CNY", "due_on": "2026-11-25"}
    paid = {"amount_minor": 100, "currency": "CNY", "received_on": "2026-11-23"}
    said = {"kind": "suggestion", "source": "agency", "text": SECRETS[1], "case": "case_1"}
    assert api.post("agency", "/v1/cases/case_0/activities", noted).status_code == 201
    assert api.post("agency", "/v1/cases/case_0/promises", promised).status_code == 201
    assert api.post("lender", "/v1/cases/case_0/payments", paid).status_code == 201
    assert api.post("lender", "/v1/cases/case_2/holds", {"kind": "dispute", "reason": SECRETS[0]}).status_code == 201
    assert api.post("agency", "/v1/feedback", said).status_code == 201


def followed(api: Api, token: str = "lender", *, limit: int = 3) -> list[dict[str, Any]]:
    found, cursor = [], ""
    while True:
        page = body_of(api.get(token, f"{PATH}?limit={limit}{cursor}"))
        found += page["items"]
        cursor = f"&cursor={page['next_cursor']}"
        if not page["more"]:
            return found


def test_every_outcome_is_told_once_in_one_order_however_often_it_is_delivered(api: Api) -> None:
    happen(api)
    happened = events_of_store()
    dice = random.Random(7)
    by_stream: dict[str, list[Event]] = {}
    for event in happened:
        by_stream.setdefault(event.stream, []).append(event)
    repository = OutcomeRepository()
    for _ in range(6):
        # A stream delivers from some record on again, and shards come in any order.
        for stream in dice.sample(sorted(by_stream), len(by_stream)):
            first = dice.randrange(len(by_stream[stream]))
            known = repository.marks(LENDER, [stream]).get(stream, 0)
            start = min(first, sum(event.seq <= known for event in by_stream[stream]))
            assert outcomes.project_outcomes(repository, by_stream[stream][start:], most=2) == []
    found = followed(api)
    assert [entry["seq"] for entry in found] == list(range(1, len(found) + 1))
    wanted = {event.id for event in happened if event.type in OUTCOMES and event.tenant == LENDER}
    assert sorted(entry["event"] for entry in found) == sorted(wanted)
    assert {entry["kind"] for entry in found} == {"activity", "promise", "payment", "hold", "state", "feedback"}
    numbers = {event.id: event.seq for event in happened}
    for stream in by_stream:
        told = [numbers[entry["event"]] for entry in found if entry["about"] == stream]
        assert told == sorted(told)


def test_feed_tells_no_personal_data_and_belongs_to_its_lender(api: Api) -> None:
    happen(api)
    outcomes.project_outcomes(OutcomeRepository(), events_of_store())
    told = json.dumps(followed(api), ensure_ascii=False)
    assert not any(secret in told for secret in SECRETS)
    assert followed(api, "other-lender") == []
    assert [api.get(token, PATH).status_code for token in ("agency", "collector", "counsel")] == [403] * 3
    cursor = body_of(api.get("lender", PATH))["next_cursor"]
    assert api.get("other-lender", f"{PATH}?cursor={cursor}").status_code == 400
    assert api.get("officer", f"{PATH}?cursor={cursor}").status_code == 200


def test_cursor_before_what_is_kept_has_expired(api: Api) -> None:
    happen(api)
    outcomes.project_outcomes(OutcomeRepository(), events_of_store())
    cursor = body_of(api.get("lender", f"{PATH}?limit=1"))["next_cursor"]
    for seq in (1, 2):
        View(keys.outcomes_pk(LENDER), f"{seq:012d}").delete()
    assert api.get("lender", f"{PATH}?cursor={cursor}").status_code == 410


def test_entries_are_dropped_after_35_days(api: Api, store: Store) -> None:
    happen(api)
    outcomes.project_outcomes(OutcomeRepository(), events_of_store())
    ends = {int(item.ttl) for item in View.query(keys.outcomes_pk(LENDER)) if item.sk != "HEAD"}
    assert ends == {int((NOW + timedelta(days=35)).timestamp())}


def test_rivals_leave_no_gap_and_no_double(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    happen(api)
    happened, repository = events_of_store(), OutcomeRepository()
    ours = [event for event in happened if event.stream != "case_0"]
    theirs = [event for event in happened if event.stream == "case_0"]
    known, rival = repository.marks, []

    def interrupted(lender: str, streams: Any) -> dict[str, int]:
        if not rival:
            rival.append(True)
            outcomes.project_outcomes(OutcomeRepository(), theirs)
        return known(lender, streams)

    monkeypatch.setattr(repository, "marks", interrupted)
    outcomes.project_outcomes(repository, ours)
    found = followed(api)
    # Without the condition on the head, ours would have been written over theirs.
    assert [entry["seq"] for entry in found] == list(range(1, len(found) + 1))
    assert {entry["event"] for entry in found} == {event.id for event in happened if event.type in OUTCOMES}
