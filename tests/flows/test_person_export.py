"""A person's copy: all that is theirs, nothing that is another's, for a day, to who asked; and recorded."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from chalicelib.domain import keys
from chalicelib.domain.cases.lifecycle import CaseState
from chalicelib.domain.events import EventType
from chalicelib.domain.outreach.attempt import AttemptState
from chalicelib.store.repository import Store
from tests.builders import CASE, LENDER, NOW, PERSON, TEST_ACTOR, an_attempt, stored
from tests.flows.test_cases_api import TOKENS, Api, a_token, body_of
from tests.flows.test_erasure import GUARANTOR, SCOPE, Clock, clock, placed
from tests.flows.test_erasure import api as erasable

__all__ = ["clock", "erasable"]

ROUTE = f"/v1/persons/{PERSON}/exports"
WISH = {"requested_by": "person", "identity_check": "file-78"}


@pytest.fixture
def api(erasable: Api, store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setitem(TOKENS, "officer-2", a_token("compliance", LENDER, subject="user-2", tenant=LENDER))
    placed(store, state=CaseState.IN_WORK)
    stored(store, an_attempt(state=AttemptState.SENT, body="张*先生，您的账单<已>逾期"))
    unit = store.unit(SCOPE, actor=TEST_ACTOR, req="req_1", now=NOW)
    pk = keys.case_pk(LENDER, CASE)
    unit.emit(pk, EventType.CONTACT_REQUESTED, {"contact": "msg_1", "person": PERSON})
    note = {"person": PERSON, "result": "RPC-PTP"}
    unit.emit(pk, EventType.ACTIVITY_RECORDED, note, subject=PERSON, secret={"text": "愿意周五付款"})
    other = {"person": GUARANTOR, "result": "RPC-REF"}
    unit.emit(pk, EventType.ACTIVITY_RECORDED, other, subject=GUARANTOR, secret={"text": "担保人的话"})
    unit.commit()
    yield erasable


def test_a_copy_holds_all_that_is_theirs_and_nothing_of_others(api: Api) -> None:
    asked = api.post("officer", ROUTE, WISH)
    assert asked.status_code == 202
    read = api.get("officer", asked.headers["Location"])
    assert read.status_code == 200, read.body
    told, text = body_of(read), read.body.decode()
    assert (told["person"]["name"], told["person"]["points"][0]["value"]) == ("张伟", "+8613812345678")
    assert [case["id"] for case in told["cases"]] == [CASE]
    assert told["messages"][0]["body"].startswith("张*先生")
    assert "愿意周五付款" in text
    assert "担保人的话" not in text and "李娜" not in text and "+8613900000002" not in text
    assert GUARANTOR not in text


def test_another_party_is_not_told_the_borrowers_affairs(api: Api) -> None:
    asked = api.post("officer", f"/v1/persons/{GUARANTOR}/exports", WISH)
    text = api.get("officer", asked.headers["Location"]).body.decode()
    assert "担保人的话" in text and "李娜" in text
    for secret in ("张伟", "138", "LSVAU2180C2123456", "AF2024050212345", "愿意", "msg_1", PERSON):
        assert secret not in text


@pytest.mark.parametrize(("language", "title"), [("zh", "个人信息副本"), ("en", "Copy of your personal data")])
def test_the_page_is_read_by_people_and_runs_nothing(api: Api, language: str, title: str) -> None:
    view = body_of(api.post("officer", ROUTE, WISH))
    page = api.get("officer", view[f"page_{language}"])
    text = page.body.decode()
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert f"<h1>{title}</h1>" in text and f'<html lang="{language}">' in text
    assert "您的账单&lt;已&gt;逾期" in text and "<已>" not in text
    assert "<script" not in text and "src=" not in text and "href=" not in text


def test_only_who_asked_fetches_it_and_only_for_a_day(api: Api, clock: Clock) -> None:
    where = api.post("officer", ROUTE, WISH).headers["Location"]
    assert {token: api.get(token, where).status_code for token in ("officer-2", "other-officer")} == {
        "officer-2": 404,
        "other-officer": 404,
    }
    clock.now = NOW + timedelta(hours=24) - timedelta(milliseconds=1)
    assert api.get("officer", where).status_code == 200
    clock.now += timedelta(milliseconds=1)
    assert api.get("officer", where).status_code == 404


def test_it_is_recorded_once(api: Api, store: Store) -> None:
    for _ in range(2):
        assert api.post("officer", ROUTE, WISH, Idempotency_Key="one").status_code == 202
    (event,) = store.events(SCOPE, keys.person_pk(LENDER, PERSON))
    assert (event.type, event.data["identity_check"]) == (EventType.PERSON_EXPORTED, "file-78")


def test_others_may_not_ask_and_nobody_is_exported_who_is_not_there(api: Api) -> None:
    for token in ("lender", "agency", "collector", "platform"):
        assert api.post(token, ROUTE, WISH).status_code == 403
    assert api.post("other-officer", ROUTE, WISH).status_code == 404
    assert api.post("officer", "/v1/persons/per_nobody/exports", WISH).status_code == 404


def test_after_an_erasure_there_is_nothing_to_fetch(api: Api, store: Store) -> None:
    where = api.post("officer", ROUTE, WISH).headers["Location"]
    unit = store.unit(SCOPE, actor=TEST_ACTOR, req="req_1", now=NOW)
    unit.destroy_keys(PERSON, ["ops", "evidence"])
    unit.commit()
    assert api.get("officer", where).status_code == 404
