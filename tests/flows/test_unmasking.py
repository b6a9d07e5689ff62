"""One masked value in clear: to whom, how often, never twice, and recorded in the same transaction."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from chalicelib import wiring
from chalicelib.domain import keys
from chalicelib.domain.cases.lifecycle import CaseState
from chalicelib.domain.cases.masking import CLEAR, MASKED
from chalicelib.domain.cases.unmasking import MOST_A_DAY, REASONS, UNMASKABLE
from chalicelib.domain.events import Event
from chalicelib.edge.persons_api import UnmaskWish
from chalicelib.store.repository import Store
from chalicelib.store.tables import View
from tests.builders import CASE, LENDER, NOW, PERSON, a_case, a_person, a_point, stored
from tests.flows.test_cases_api import Api, body_of
from tests.flows.test_erasure import SCOPE, Clock, clock, placed
from tests.flows.test_erasure import api as erasable

__all__ = ["clock", "erasable"]

ROUTE = f"/v1/cases/{CASE}/unmaskings"
WHY = {"reason": "verify_identity", "text": "the caller gave another name at first"}
CLEAR_VALUES: dict[str, str] = {
    "contract_no": "AF2024050212345",
    "name": "张伟",
    "name_local": "Zhang Wei",
    "national_id": "310101198804121232",
    "contact_point": "+8613812345678",
    "vin": "LSVAU2180C2123456",
    "plate": "沪A12312",
}
MAY = {
    "officer": set(CLEAR_VALUES),
    "agency": {"name", "name_local", "plate"},
    "collector": {"name", "name_local", "plate"},
}


@pytest.fixture
def api(erasable: Api, store: Store) -> Iterator[Api]:
    placed(store, state=CaseState.IN_WORK, amount_due_minor=100)
    stored(store, a_person(name_local="Zhang Wei", version=2))
    row = {"case": CASE, "lender": LENDER, "agency": "agency-a", "state": "in_work", "version": 1, "seq": 1}
    row |= {"held": True, "currency": "CNY", "amount_due_minor": 1, "oldest_unpaid_due_on": "2026-10-19", "frozen": []}
    row |= {"placed_to": "2027-02-28", "country": "CN", "product": "direct_loan"}
    View("A#agency-a#CASES", CASE, s="in_work", d=json.dumps(row)).save()
    yield erasable


def ask(api: Api, token: str, field: str, **more: Any) -> Any:
    details = {"point": "pt_1"} if field == "contact_point" else {}
    return api.post(token, ROUTE, {"field": field, **WHY, **details, **more.pop("body", {})}, **more)


def recorded(store: Store) -> list[Event]:
    events = store.events(SCOPE, keys.case_pk(LENDER, CASE))
    return [event for event in events if event.type.value == "person.unmasked"]


@pytest.mark.parametrize("token", MAY)
def test_each_role_gets_the_fields_of_the_table_and_no_other(api: Api, store: Store, token: str) -> None:
    for field, clear in CLEAR_VALUES.items():
        answer = ask(api, token, field)
        if field in MAY[token]:
            assert (answer.status_code, body_of(answer)["value"]) == (201, clear)
        else:
            assert (answer.status_code, body_of(answer)["code"]) == (403, "field_not_unmaskable")
            assert clear not in answer.body.decode()
    events = recorded(store)
    assert [event.data["field"] for event in events] == [field for field in CLEAR_VALUES if field in MAY[token]]
    for event in events:
        assert (event.data["reason"], event.data["person"]) == ("verify_identity", PERSON)
        assert store.opened(SCOPE, event) == {"text": WHY["text"]}
        told = json.dumps(event.as_json(), ensure_ascii=False)
        assert not [clear for clear in CLEAR_VALUES.values() if clear in told]


def test_the_table_is_of_masked_fields_and_what_the_route_takes() -> None:
    assert set(UNMASKABLE) == set(CLEAR_VALUES)
    paths = {path for path, _ in UNMASKABLE.values()}
    assert paths <= set(MASKED) | {"parties[].points[].value"}
    for path, roles in UNMASKABLE.values():
        assert not roles & CLEAR.get(path, frozenset()), "what a role sees anyway needs no unmasking"
    schema = UnmaskWish.model_json_schema()["properties"]
    assert set(schema["field"]["enum"]) == set(UNMASKABLE)
    assert set(schema["reason"]["enum"]) == set(REASONS)


def test_lenders_and_the_platform_have_no_need_and_no_right(api: Api) -> None:
    assert {token: ask(api, token, "name").status_code for token in ("lender", "platform")} == {
        "lender": 403,
        "platform": 403,
    }
    assert {ask(api, token, "name").status_code for token in ("other-officer", "other-agency")} == {404}


def test_a_value_is_given_once(api: Api, store: Store) -> None:
    first = ask(api, "officer", "national_id", Idempotency_Key="one")
    again = ask(api, "officer", "national_id", Idempotency_Key="one")
    assert body_of(first)["value"] == CLEAR_VALUES["national_id"]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert body_of(again) == {**body_of(first), "value": None}
    assert len(recorded(store)) == 1


def test_a_caller_has_twenty_a_day_over_all_cases(api: Api, store: Store, clock: Clock) -> None:
    stored(store, a_case(id="case_2"))
    for number in range(MOST_A_DAY):
        path = ROUTE if number % 2 else "/v1/cases/case_2/unmaskings"
        answer = api.post("officer", path, {"field": "name", **WHY})
        assert (answer.status_code, body_of(answer)["left_today"]) == (201, MOST_A_DAY - number - 1)
    refused = ask(api, "officer", "name", Idempotency_Key="late")
    assert refused.status_code == 429
    # The lender's day ends at midnight in Shanghai: 14 hours after 10:00.
    assert refused.headers["Retry-After"] == str(14 * 3_600 + 1)
    assert len(recorded(store)) == MOST_A_DAY // 2
    assert ask(api, "collector", "name").status_code == 201, "another caller has a day of their own"
    clock.now = NOW + timedelta(hours=14)
    assert ask(api, "officer", "name", Idempotency_Key="late").status_code == 201


@pytest.mark.parametrize(
    "body",
    [
        {"person": "per_nobody"},
        {"field": "contact_point", "point": "pt_9"},
        {"field": "contact_point", "point": None},
        {"field": "plate", "vehicle": 1},
    ],
)
def test_what_is_not_there_is_unknown_and_counts_nothing(api: Api, store: Store, body: dict[str, Any]) -> None:
    assert ask(api, "officer", "name", body=body).status_code == 404
    assert recorded(store) == [] and store.unmasked_today(f"{LENDER}#user-1", "2026-11-23") == 0


@pytest.mark.parametrize("body", [{"text": "short"}, {"reason": "curiosity"}, {"field": "shoe_size"}, {"vehicle": -1}])
def test_a_request_without_reason_or_with_an_unknown_field_is_refused(api: Api, body: dict[str, Any]) -> None:
    assert ask(api, "officer", "name", body=body).status_code == 422


def test_an_agency_unmasks_within_its_mandate_only(api: Api, store: Store, clock: Clock) -> None:
    stored(store, a_case(placed_to="2026-11-23", version=2))
    clock.now = NOW.replace(hour=15, minute=59)
    assert ask(api, "agency", "name").status_code == 201
    clock.now += timedelta(minutes=1)
    assert ask(api, "agency", "name").status_code == 404
    stored(store, a_case(state=CaseState.RECALLED, version=3))
    clock.now = NOW
    assert ask(api, "agency", "name").status_code == 404
    assert ask(api, "officer", "name").status_code == 201


def test_nothing_personal_of_a_case_is_shown_beyond_the_mandate(api: Api, store: Store, clock: Clock) -> None:
    stored(store, a_case(placed_to="2026-11-23", version=2))
    clock.now = NOW.replace(hour=16)
    shown = api.get("agency", f"/v1/cases/{CASE}")
    assert shown.status_code == 200
    party = body_of(shown)["parties"][0]
    assert set(party) & {"name", "national_id", "birth_date"} == set()
    assert [set(point) & {"value"} for point in party["points"]] == [set()]
    assert body_of(shown)["vehicles"] == [{}]


def test_an_erased_person_is_unmasked_to_nobody(api: Api, store: Store) -> None:
    stored(store, a_case(state=CaseState.SETTLED, amount_due_minor=0, version=2))
    wish = {"reason": "purpose_met", "requested_by": "person", "identity_check": "file-77"}
    assert api.post("officer", f"/v1/persons/{PERSON}/erasure-requests", wish).status_code == 202
    assert ask(api, "officer", "name").status_code == 404


def test_a_locked_person_is_unmasked_to_officers_only(api: Api, store: Store) -> None:
    stored(store, a_case(state=CaseState.RETURNED, version=2))
    stored(store, a_person(locked_since="2026-11-23T02:00:00.000Z", version=3, points=(a_point(),)))
    assert ask(api, "officer", "name").status_code == 201
    shown = body_of(api.get("lender", f"/v1/cases/{CASE}"))
    assert shown["parties"][0] == {"person": PERSON, "role": "debtor", "relation": None, "locked": True, "points": []}
    assert "contract_no" not in shown and shown["vehicles"] == [{}]
    assert body_of(api.get("officer", f"/v1/cases/{CASE}"))["parties"][0]["name"] == "张*"
    assert wiring.store() is store
