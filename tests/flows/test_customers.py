"""The customer database through the whole edge: who sees and changes what, what is stale, and what share is covered."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest

from chalicelib import wiring
from chalicelib.domain import keys
from chalicelib.domain.cases.lifecycle import CaseState
from chalicelib.domain.events import EventType
from chalicelib.domain.people.person import Confirmation
from chalicelib.domain.people.upkeep import GROUPS
from chalicelib.store.portfolio_repository import PortfolioRepository
from chalicelib.store.repository import Store
from chalicelib.usecases import upkeep
from tests.builders import AGENCY, LENDER, NOW, PERSON, TEST_ACTOR, Scope, a_person, a_point, stored
from tests.flows.test_cases_api import Api, api, body_of
from tests.house import ROOT

__all__ = ["api"]

SCOPE = Scope(LENDER)
PATH = f"/v1/persons/{PERSON}"
CASES = ("case_0", "case_1", "case_2")
TODAY = date(2026, 11, 23)


@pytest.fixture(autouse=True)
def known(api: Api, store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let what the edge reads and what the test reads go through the same keys, and the person be found by their rows."""
    for ports in (wiring.person_ports, wiring.duplicate_ports, wiring.upkeep_ports):
        ports.cache_clear()
    monkeypatch.setattr(wiring, "store", lambda: store)
    index = PortfolioRepository(store)
    index.write_points(SCOPE, [a_person()])
    index.write_parties(SCOPE, [(PERSON, case) for case in CASES])
    yield
    for ports in (wiring.person_ports, wiring.duplicate_ports, wiring.upkeep_ports):
        ports.cache_clear()


def add(api: Api, token: str = "agency", **changes: Any) -> Any:
    wish = {"kind": "phone", "value": "139 0000 0002", "source": "left_by_debtor", "reason": "person_gave_it"}
    return api.post(token, f"{PATH}/contact-points", {**wish, **changes})


# Reading


def test_each_role_sees_the_person_as_its_table_says(api: Api) -> None:
    clear = body_of(api.get("lender", PATH))
    assert (clear["name"], clear["points"][0]["value"]) == ("张伟", "+8613812345678")
    for token in ("officer", "counsel", "agency", "collector"):
        text = api.get(token, PATH).body.decode()
        assert "张伟" not in text and "13812345678" not in text and "310101198804121232" not in text, token
        assert "张*" in text and "138****5678" in text, token
    assert "records" not in body_of(api.get("agency", PATH)) and clear["records"] == [PERSON]


@pytest.mark.parametrize("token", ["other-agency", "other-lender", "other-officer"])
def test_a_foreign_person_is_an_unknown_person(api: Api, token: str) -> None:
    foreign, unknown = api.get(token, PATH), api.get(token, "/v1/persons/per_nobody")
    assert foreign.status_code == unknown.status_code == 404
    refused = add(api, token) if token == "other-agency" else api.get(token, PATH)
    assert refused.status_code == 404


# Contact points


def test_a_point_lives_from_its_source_to_its_end(api: Api, store: Store) -> None:
    made = body_of(add(api))["point"]
    assert add(api).status_code == 409
    point = f"{PATH}/contact-points/{made}"
    unproven = api.post("agency", f"{point}/verification", {"result": "ok", "how": "contact", "contact": "msg_none"})
    assert [each["code"] for each in body_of(unproven)["errors"]] == ["contact_unproven"]
    unheard = api.post("agency", f"{point}/verification", {"result": "ok", "how": "inbound"})
    assert [each["code"] for each in body_of(unheard)["errors"]] == ["nothing_came_in"]
    not_theirs = api.post("agency", f"{point}/verification", {"result": "ok", "how": "lender_record"})
    assert [each["code"] for each in body_of(not_theirs)["errors"]] == ["not_the_lenders"]
    assert api.post("lender", f"{point}/verification", {"result": "ok", "how": "lender_record"}).status_code == 200
    person = store.person(SCOPE, PERSON)
    kept = person.point(made) if person is not None else None
    assert kept is not None and (kept.value, kept.status, kept.last_verified) == ("+8613900000002", "ok", TODAY)
    assert api.post("agency", f"{point}/retirement", {"reason": "moved"}).status_code == 200
    wish = {"channel": "call", "recorded": True, "template": "cn-call-demand", "point": made}
    refused = api.post("collector", "/v1/cases/case_0/clearances", wish)
    assert [each["code"] for each in body_of(refused)["errors"]] == ["retired_contact_point"]
    assert add(api).status_code == 201
    types = [event.type for event in store.events(SCOPE, keys.person_pk(LENDER, PERSON))]
    assert types == [
        EventType.PERSON_POINT_ADDED,
        EventType.PERSON_POINT_VERIFIED,
        EventType.PERSON_POINT_RETIRED,
        EventType.PERSON_POINT_ADDED,
    ]


def test_a_wish_leads_the_plan_and_a_correction_keeps_what_was(api: Api, store: Store) -> None:
    wished = {"channel": "email", "hours_from": "18:00", "hours_to": "20:00", "how": "lender_record"}
    assert api.post("lender", f"{PATH}/preferences", wished).status_code == 200
    turned = {**wished, "hours_from": "20:00", "hours_to": "18:00"}
    assert api.post("lender", f"{PATH}/preferences", turned).status_code == 422
    corrected = {"group": "identity", "how": "document", "birth_date": "1988-04-13"}
    assert api.post("lender", f"{PATH}/confirmations", corrected).status_code == 200
    shown = body_of(api.get("lender", PATH))
    assert (shown["preferences"][0]["channel"], shown["birth_date"]) == ("email", "1988-04-13")
    event = store.events(SCOPE, keys.person_pk(LENDER, PERSON))[-1]
    assert event.data["changed"] == ["birth_date"] and "1988" not in str(event.data)
    assert (store.opened(SCOPE, event) or {})["before"] == {"birth_date": "1988-04-12"}


# What is stale


def look(store: Store, case: str = "case_0", *, days: int = 0) -> None:
    unit = store.unit(SCOPE, actor=TEST_ACTOR, req="req_p", now=NOW)
    unit.emit(keys.case_pk(LENDER, case), EventType.CASE_CHANGED, {"to": "in_work"})
    told: dict[str, Any] = {"scope_for": Scope, "now": NOW + timedelta(days=days)}
    assert upkeep.project_upkeep(wiring.upkeep_ports(), unit.events, **told) == []


def tasks(api: Api, token: str) -> dict[str, list[str]]:
    items = body_of(api.get(token, "/v1/persons/update-tasks"))["items"]
    return {each["person"]: [task["group"] for task in each["tasks"]] for each in items}


def coverage(api: Api, token: str = "lender") -> dict[str | None, tuple[int, int]]:
    items = body_of(api.get(token, "/v1/persons/coverage"))["items"]
    return {each["agency"]: (each["numerator"], each["denominator"]) for each in items}


def test_tasks_open_and_close_by_themselves_and_the_share_follows(api: Api, store: Store) -> None:
    look(store)
    look(store)
    assert tasks(api, "lender")[PERSON] == ["identity", "address", "employment", "preferences", "consent"]
    assert tasks(api, "agency")[PERSON] == ["address", "employment", "preferences", "consent"]
    assert tasks(api, "other-agency") == {}
    assert coverage(api) == {None: (0, 1), AGENCY: (0, 1)}
    known = store.person(SCOPE, PERSON)
    assert known is not None
    address = a_point(id="pt_home", kind="address", value="上海市", last_verified=TODAY)
    confirmed = {"identity": Confirmation(on=TODAY, by=LENDER, how="document")}
    stored(store, known.with_point(address).model_copy(update={"confirmed": confirmed, "version": known.version + 1}))
    look(store)
    assert tasks(api, "lender")[PERSON] == ["employment", "preferences", "consent"]
    assert coverage(api) == {None: (1, 1), AGENCY: (1, 1)} and coverage(api, "agency") == {AGENCY: (1, 1)}
    line = next(line for line in body_of(api.get("lender", "/v1/scoreboard"))["scoreboards"][0]["lines"])
    assert (line["id"], line["figure"]["numerator"], line["state"]) == ("data_freshness", 1, "not_enough_data")


def test_the_day_on_which_data_are_too_old_opens_a_task(api: Api, store: Store) -> None:
    look(store)
    ports = wiring.upkeep_ports()
    known = ports.upkeeps.upkeeps(SCOPE, [PERSON])[PERSON]
    # The telephone was verified on 1 October and holds for 90 days: to 30 December, closed, in Shanghai.
    assert known.due_at == "2026-12-30T16:00:00.000Z" and "phone" in known.current
    assert upkeep.look_again(ports, SCOPE, PERSON, now=NOW + timedelta(days=37)) is None
    handler = wiring.due_handlers()["PER"]
    assert handler(SCOPE, PERSON, NOW + timedelta(days=38)) == "upkeep"
    assert "phone" in tasks(api, "agency")[PERSON]


def test_who_has_no_open_case_any_more_is_no_customer(api: Api, store: Store) -> None:
    look(store)
    for name in CASES:
        case = store.case(SCOPE, name)
        assert case is not None
        stored(store, case.model_copy(update={"state": CaseState.SETTLED, "version": case.version + 1}))
    look(store)
    assert coverage(api) == {} and tasks(api, "lender") == {} and tasks(api, "agency") == {}


def test_an_event_of_a_known_customer_asks_no_index_and_misses_no_case(
    api: Api, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(scope: Any, person: str) -> list[str]:
        raise AssertionError("the index of a customer's cases was asked")

    def settle(*names: str) -> None:
        for name in names:
            case = store.case(SCOPE, name)
            assert case is not None
            stored(store, case.model_copy(update={"state": CaseState.SETTLED, "version": case.version + 1}))

    look(store)
    monkeypatch.setattr(store, "cases_of", never)
    first = store.case(SCOPE, "case_0")
    assert first is not None
    stored(store, first.model_copy(update={"id": "case_3", "version": 1}))
    look(store, "case_3")
    assert wiring.upkeep_ports().upkeeps.upkeeps(SCOPE, [PERSON])[PERSON].cases == (*CASES, "case_3")
    settle(*CASES)
    look(store)
    assert coverage(api) == {None: (0, 1), AGENCY: (0, 1)}
    settle("case_3")
    look(store, "case_3")
    assert coverage(api) == {}


def test_the_page_lists_the_groups_as_they_are() -> None:
    page = (ROOT / "docs" / "customers.md").read_text(encoding="utf-8")
    rows = [
        f"| `{group.id}` | {'yes' if group.counts else 'no'} | {group.max_age_days} | {group.keeper} |"
        for group in GROUPS
    ]
    assert "\n".join(rows) in page
