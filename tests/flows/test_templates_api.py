"""A lender's templates through the whole edge: drafted by one, approved by another, in force for a time, retired."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from chalicelib import wiring
from chalicelib.domain import keys
from chalicelib.domain.cases.case import Case
from chalicelib.domain.outreach.templates import load_templates
from chalicelib.edge import authorizer
from chalicelib.store.feed_repository import FeedRepository
from chalicelib.store.repository import Store
from tests.builders import (
    AGENCY,
    CASE,
    LENDER,
    NOW,
    Scope,
    a_case,
    a_collector,
    a_lender,
    a_person,
    an_agency,
    stored,
)
from tests.flows.test_cases_api import OTHER_LENDER, TOKENS, Api, FakeVerifier, a_token, body_of

CONTENT = {
    "channel": "sms",
    "purpose": "reminder",
    "language": "zh",
    "jurisdictions": ["CN"],
    "audience": ["debtor"],
    "text": "{masked_name}您好，{agency}就还款事宜与您联系，请致电{callback}。",
    "disclosures": ["masked_name", "agency", "callback", "purpose"],
}
PATH = "/v1/templates/cn-sms-own/versions/1"
REASON = "read and found lawful"


class Clock:
    """The business clock of a test."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def api(store: Store, queues: list[str], monkeypatch: pytest.MonkeyPatch, clock: Clock) -> Iterator[Api]:
    from chalice.test import Client

    from app import app

    monkeypatch.setitem(TOKENS, "counsel", a_token("counsel", LENDER, subject="counsel-1", tenant=LENDER))
    monkeypatch.setitem(TOKENS, "other-counsel", a_token("counsel", OTHER_LENDER, "counsel-2", tenant=OTHER_LENDER))
    monkeypatch.setitem(TOKENS, "both", a_token("compliance", LENDER, subject="user-1", tenant=LENDER))
    monkeypatch.setattr(authorizer, "verifier", FakeVerifier)
    monkeypatch.setattr(wiring, "now", clock)
    stored(store, an_agency(), a_lender(), a_lender(id=OTHER_LENDER), a_collector(), a_person(), a_case())
    FeedRepository().listing_record(LENDER, an_agency()).save()
    with Client(app) as client:
        yield Api(client, store)


def draft(api: Api, token: str = "lender", name: str = "cn-sms-own", **changes: Any) -> Any:
    return api.post(token, "/v1/templates", {"id": name, "content": {**CONTENT, **changes}})


def decide(api: Api, token: str = "counsel", decision: str = "approve", path: str = PATH, **more: Any) -> Any:
    return api.post(token, f"{path}/approvals", {"decision": decision, "reason": REASON, **more})


def events(api: Api, name: str = "cn-sms-own") -> list[tuple[str, dict[str, Any]]]:
    found = api.store.events(Scope(LENDER), keys.template_pk(LENDER, name))
    return [(event.type.value, dict(event.data)) for event in found]


# Maker and checker


def test_a_draft_is_written_by_one_and_approved_by_another(api: Api) -> None:
    made = draft(api)
    assert made.status_code == 201 and made.headers["Location"] == PATH
    told = body_of(made)
    assert (told["life"]["state"], told["life"]["author"], told["life"]["in_force"]) == ("draft", "user-1", False)
    assert told["values"] == ["agency", "callback", "masked_name"]
    approved = body_of(decide(api))
    assert (approved["life"]["state"], approved["life"]["decided_by"]) == ("approved", "counsel-1")
    assert approved["life"]["in_force"] and approved["life"]["reason"] == REASON
    (drafted, ruled) = events(api)
    assert (drafted[0], ruled[0]) == ("template.drafted", "template.approved")
    assert ruled[1]["template"] == "cn-sms-own@1" and ruled[1]["template_sha256"] == told["life"]["sha256"]
    assert (ruled[1]["author"], ruled[1]["effective_until"]) == ("user-1", None)
    assert REASON not in json.dumps(ruled[1])


def test_nobody_decides_on_a_draft_of_their_own_whatever_their_role(api: Api) -> None:
    draft(api)
    for decision in ("approve", "reject"):
        refused = decide(api, "both", decision)
        assert (refused.status_code, body_of(refused)["code"]) == (403, "own_work")
    assert [name for name, _ in events(api)] == ["template.drafted"]


@pytest.mark.parametrize("token", ["lender", "agency", "collector", "platform"])
def test_who_does_not_approve_cannot(api: Api, token: str) -> None:
    draft(api)
    assert decide(api, token).status_code == 403


@pytest.mark.parametrize("token", ["counsel", "agency", "collector", "platform"])
def test_who_does_not_write_cannot(api: Api, token: str) -> None:
    assert draft(api, token).status_code == 403


def test_a_decision_is_made_once(api: Api) -> None:
    draft(api)
    assert decide(api, decision="reject").status_code == 201
    for decision in ("approve", "reject"):
        again = decide(api, decision=decision)
        assert (again.status_code, body_of(again)["code"]) == (409, "not_a_draft")
    assert [name for name, _ in events(api)] == ["template.drafted", "template.rejected"]


def test_a_text_with_forbidden_words_is_not_approved_and_the_words_are_told(api: Api) -> None:
    draft(api, text="{masked_name}您好，{agency}就还款事宜联系您，否则随时拖 车，请致电{callback}。")
    refused = decide(api)
    assert (refused.status_code, body_of(refused)["code"]) == (409, "forbidden_words")
    assert "vehicle: 拖车" in body_of(refused)["detail"]
    assert decide(api, decision="reject").status_code == 201


def test_words_that_a_fact_may_excuse_are_left_to_the_ruling(api: Api) -> None:
    draft(api, text="{masked_name}您好，{agency}就还款事宜联系您，附律师函，请致电{callback}。")
    (word,) = body_of(api.get("counsel", f"{PATH}/preview"))["words"]
    assert (word["rule"], word["category"], word["word"], word["excusable"]) == ("CN-BAN-5", "lawyer", "律师函", True)
    assert decide(api).status_code == 201


# Versions and periods


def test_an_id_that_is_known_gets_its_next_version_and_the_newest_in_force_counts(api: Api, clock: Clock) -> None:
    draft(api)
    decide(api)
    second = body_of(draft(api, text=CONTENT["text"] + "回复TD退订。"))
    assert second["life"]["number"] == 2
    assert body_of(api.get("agency", "/v1/templates/cn-sms-own"))["current"] == 1
    start = NOW + timedelta(days=1)
    decide(api, path="/v1/templates/cn-sms-own/versions/2", effective_from=start.isoformat())
    for moment, current in ((start - timedelta(milliseconds=1), 1), (start, 2)):
        clock.now = moment
        assert body_of(api.get("agency", "/v1/templates/cn-sms-own"))["current"] == current


def test_a_period_is_closed_at_its_beginning_and_open_at_its_end(api: Api, clock: Clock) -> None:
    draft(api)
    end = NOW + timedelta(hours=2)
    decide(api, effective_until=end.isoformat())
    for moment, current in ((NOW, 1), (end - timedelta(milliseconds=1), 1), (end, None)):
        clock.now = moment
        assert body_of(api.get("lender", "/v1/templates/cn-sms-own"))["current"] == current


@pytest.mark.parametrize(
    ("period", "code"),
    [
        ({"effective_from": "2026-11-23T01:59:59Z"}, "in_the_past"),
        ({"effective_until": "2026-11-23T02:00:00Z"}, "before_effective_from"),
        (
            {"effective_from": "2026-11-24T02:00:00Z", "effective_until": "2026-11-24T02:00:00Z"},
            "before_effective_from",
        ),
    ],
)
def test_a_period_that_cannot_be_is_refused(api: Api, period: dict[str, str], code: str) -> None:
    draft(api)
    refused = decide(api, **period)
    assert (refused.status_code, body_of(refused)["errors"][0]["code"]) == (422, code)
    assert [name for name, _ in events(api)] == ["template.drafted"]


def test_a_retired_version_is_over_for_good(api: Api) -> None:
    draft(api)
    decide(api)
    body = {"reason": "the law changed yesterday"}
    assert api.post("counsel", f"{PATH}/retirement", body).status_code == 403
    retired = body_of(api.post("lender", f"{PATH}/retirement", body))
    assert (retired["life"]["state"], retired["life"]["in_force"]) == ("retired", False)
    assert body_of(api.post("lender", f"{PATH}/retirement", body))["code"] == "not_in_use"
    assert body_of(decide(api))["code"] == "not_a_draft"
    assert body_of(api.get("lender", "/v1/templates/cn-sms-own"))["current"] is None
    name, data = events(api)[-1]
    assert (name, data["from"]) == ("template.retired", "approved")


def test_the_content_of_a_version_never_changes(api: Api) -> None:
    draft(api)
    before = body_of(api.get("lender", PATH))["content"]
    decide(api)
    draft(api, text="{masked_name}您好，{agency}就还款与您联系：{callback}。")
    assert body_of(api.get("lender", PATH))["content"] == before
    other = draft(api, channel="wechat")
    assert (other.status_code, body_of(other)["code"]) == (409, "other_channel")


# Texts


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"text": "{masked_name}{agency}还款{callback}{vin}"}, "/text", "unknown_placeholder"),
        ({"text": "{masked_name}{agency}还款{callback}{case.text}"}, "/text", "unknown_placeholder"),
        ({"text": "{masked_name}{agency}还款{callback}{callback:>9}"}, "/text", "unknown_placeholder"),
        ({"text": "{masked_name}{agency}还款{callback}" + "x" * 500}, "/text", "text_too_long"),
        ({"text": "【行】{masked_name}{agency}还款{callback}"}, "/text", "forbidden_symbol"),
        ({"disclosures": ["opt_out"]}, "/disclosures", "disclosure_not_made"),
        ({"audience": ["debtor", "passer_by"]}, "/audience/1", "unknown_name"),
        ({"subject": "还款"}, "/subject", "no_subject_taken"),
    ],
)
def test_a_faulty_text_is_refused_with_its_place(api: Api, changes: dict[str, Any], pointer: str, code: str) -> None:
    refused = draft(api, **changes)
    assert refused.status_code == 422
    (error,) = body_of(refused)["errors"]
    assert (error["pointer"], error["code"]) == (pointer, code)
    if code == "unknown_placeholder":
        assert "character 33 (line 1, column 34)" in error["detail"]
    assert api.get("lender", "/v1/templates/cn-sms-own").status_code == 404


def test_a_preview_shows_parts_and_words_with_invented_values(api: Api) -> None:
    draft(api, text=CONTENT["text"] + "拖" * 1 + "。" * 60)
    shown = body_of(api.get("agency", f"{PATH}/preview"))
    assert shown["text"].startswith("张*您好，示例资产服务就还款事宜与您联系，请致电400-800-0002。")
    assert (shown["parts"], shown["encoding"], shown["words"]) == (2, "ucs2", [])
    assert shown["characters"] == len(shown["text"]) > 70


def test_a_preview_of_a_real_case_masks_the_name(api: Api) -> None:
    body = {"library": "cn-letter-demand", "id": "cn-letter-own"}
    assert api.post("lender", "/v1/templates", body).status_code == 201
    path = "/v1/templates/cn-letter-own/versions/1/preview"
    case = api.store.case(Scope(LENDER), CASE)
    assert isinstance(case, Case)
    for token in ("counsel", "agency"):
        shown = body_of(api.get(token, f"{path}?case={CASE}"))
        assert "12,345.67元" in shown["text"] and "张*" in shown["text"] and "张伟" not in shown["text"]
        assert (shown["parts"], shown["encoding"]) == (None, None)
    assert api.get("agency", f"{path}?case=case_none").status_code == 404
    assert api.get("counsel", f"{path}?case={CASE}&person=per_none").status_code == 404


def test_traditional_characters_and_english_are_languages_of_their_own(api: Api) -> None:
    hant = "{masked_name}您好，{agency}就還款事宜與您聯絡，請致電{callback}。"
    assert body_of(draft(api, name="cn-sms-hant", language="zh-Hant", text=hant))["content"]["language"] == "zh-Hant"
    english = "{masked_name}, {agency} writes about payment. Call {callback}."
    made = draft(api, name="cn-sms-en", language="en", text=english)
    assert made.status_code == 201
    shown = body_of(api.get("lender", "/v1/templates/cn-sms-en/versions/1/preview"))
    assert (shown["parts"], shown["encoding"]) == (1, "gsm7")
    assert draft(api, name="cn-sms-xx", language="chinese").status_code == 422


# The library


def test_shipped_texts_are_approved_for_nobody(api: Api) -> None:
    items = body_of(api.get("collector", "/v1/template-library"))["items"]
    assert len(items) == len(load_templates()) and "state" not in items[0]
    assert body_of(api.get("lender", "/v1/templates"))["items"] == []
    wish = {"channel": "sms", "template": "cn-sms-demand"}
    refused = api.post("lender", f"/v1/cases/{CASE}/messages", wish)
    assert (refused.status_code, body_of(refused)["errors"][0]["code"]) == (422, "unknown_template")


def test_a_lender_adopts_a_shipped_text_by_approving_it(api: Api) -> None:
    name = "cn-sms-opt-out-confirmation"
    made = body_of(api.post("lender", "/v1/templates", {"library": name}))
    assert (made["id"], made["life"]["library"]) == (name, f"{name}@1")
    assert made["content"]["text"] == load_templates()[name][-1].text
    wish = {"channel": "sms", "template": name}
    assert api.post("lender", f"/v1/cases/{CASE}/messages", wish).status_code == 422
    decide(api, path=f"/v1/templates/{name}/versions/1")
    asked = body_of(api.post("lender", f"/v1/cases/{CASE}/messages", wish))
    assert (asked["template"], asked["template_sha256"]) == (f"{name}@1", made["life"]["sha256"])
    assert (asked["sms_parts"], asked["sms_encoding"]) == (2 if len(asked["text"]) > 70 else 1, "ucs2")


@pytest.mark.parametrize(
    "body", [{}, {"library": "cn-sms-demand", "content": CONTENT}, {"content": CONTENT}, {"library": "cn-sms-none"}]
)
def test_a_draft_that_says_too_little_or_too_much_is_refused(api: Api, body: dict[str, Any]) -> None:
    assert api.post("lender", "/v1/templates", body).status_code == 422


# Others


def test_another_lenders_template_is_unknown(api: Api) -> None:
    draft(api)
    for token in ("other-lender", "other-counsel"):
        assert api.get(token, PATH).status_code == 404
        assert body_of(api.get(token, "/v1/templates"))["items"] == []
    assert decide(api, "other-counsel").status_code == 404
    assert api.get("other-agency", PATH).status_code == 404
    assert [item["id"] for item in body_of(api.get("agency", "/v1/templates"))["items"]] == ["cn-sms-own"]
    assert an_agency().id == AGENCY


@pytest.mark.parametrize("number", ["0", "2", "-1", "x", "123456"])
def test_an_unknown_version_is_unknown(api: Api, number: str) -> None:
    draft(api)
    assert api.get("lender", f"/v1/templates/cn-sms-own/versions/{number}").status_code == 404


def test_the_same_key_makes_one_draft(api: Api) -> None:
    body = {"id": "cn-sms-own", "content": CONTENT}
    first = api.post("lender", "/v1/templates", body, Idempotency_Key="once")
    again = api.post("lender", "/v1/templates", body, Idempotency_Key="once")
    assert first.body == again.body
    assert len(body_of(api.get("lender", "/v1/templates/cn-sms-own"))["versions"]) == 1
