"""A dry run of the rules says what the check would say, and leaves nothing behind."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from chalicelib.domain.compliance import load_packs
from chalicelib.domain.compliance.packs import Pack, PackSet
from chalicelib.store.feed_repository import FeedRepository
from chalicelib.store.repository import Store
from chalicelib.store.tables import Record, SubjectKey, View
from tests.builders import AGENCY, COLLECTOR, LENDER, Scope, a_case, stored
from tests.flows.test_cases_api import SECRETS, Api, api, body_of
from tests.flows.test_ruling_on_real_cases import a_wish_for, ask, rule_on

__all__ = ["api"]

CASE = "case_0"
WISH = {"case": CASE, "channel": "sms", "template": "cn-sms-demand", "collector": COLLECTOR}
NIGHT = "2026-11-23T15:30:00Z"


def explained(api: Api, token: str = "agency", **asked: Any) -> Any:
    return api.post(token, "/v1/compliance/rulings", {**WISH, **asked})


def everything() -> list[tuple[str, str, Any]]:
    rows = [(item.pk, item.sk, item.v) for model in (Record, View) for item in model.scan()]
    return sorted(rows + [(item.pk, item.sk, None) for item in SubjectKey.scan()])


def test_an_explanation_is_the_ruling_of_the_check_with_reasons_in_both_languages(api: Api, store: Store) -> None:
    told = body_of(explained(api, at=NIGHT))
    assert (told["verdict"], told["next_allowed_at"]) == ("defer", "2026-11-24T00:00:00Z")
    [rule] = told["rules"]
    assert (rule["id"], rule["grade"], rule["confidence"]) == ("CN-HOURS-1", "standard", "source")
    assert rule["note"]["zh"] and rule["note"]["en"] and rule["until"] == "2026-11-24T00:00:00Z"
    assert "CN-HOURS-1" in told["reasons"]["zh"][0] and "暂缓" in told["reasons"]["zh"][0]
    assert [pack["id"] for pack in told["packs"]] == ["CN"] and told["zone_data"]


def test_the_dry_run_and_the_real_check_rule_alike(store: Store, queues: list[str], api: Api) -> None:
    stored(store, a_case(id="case_1"))
    for hour, minute in ((15, 30), (13, 50), (4, 0)):
        at = datetime(2026, 11, 23, hour, minute, tzinfo=UTC)
        told = body_of(explained(api, "lender", case="case_1", at=at.isoformat()))
        real = store.ruling(Scope(LENDER), rule_on(store, ask(store, a_wish_for(), now=at), now=at))
        assert real is not None
        assert {k: told[k] for k in ("verdict", "next_allowed_at", "not_after")} == {
            k: real[k] for k in ("verdict", "next_allowed_at", "not_after")
        }
        assert [rule["id"] for rule in told["rules"]] == [rule["id"] for rule in real["rules"]]


def test_nothing_is_written_however_often_one_asks(api: Api) -> None:
    # That a client came for the first time is an event of its own.
    assert api.get("agency", "/v1/cases").status_code == 200
    before = everything()
    for asked in (
        {},
        {"at": NIGHT},
        {"channel": "call", "template": None, "recorded": True},
        {"template": None, "text": "还款"},
    ):
        assert explained(api, **asked).status_code == 200
    assert everything() == before


def test_no_approval_and_no_personal_data_stand_in_the_answer(api: Api) -> None:
    for token in ("lender", "officer", "agency", "collector"):
        answer = explained(api, token)
        assert answer.status_code == 200, answer.body
        text = answer.body.decode() if isinstance(answer.body, bytes) else answer.body
        assert not any(secret in text for secret in SECRETS)
        assert "signature" not in text and "approval" not in text
        assert answer.headers["Cache-Control"] == "no-store"


def test_a_text_of_ones_own_is_judged_by_its_words(api: Api) -> None:
    told = body_of(explained(api, template=None, text="后果自负,马上坐牢"))
    assert told["verdict"] == "deny"
    assert {"CN-BAN-2", "CN-BAN-4"} <= {rule["id"] for rule in told["rules"]}


def test_what_only_watches_is_told_apart_and_decides_nothing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = body_of(explained(api))
    packs = PackSet()
    law = packs.pack("CN").data
    rules = [{**each, "status": "shadow"} if each["id"] == "CN-HOURS-1" else each for each in law["rules"]]
    packs._packs["CN"] = Pack({**law, "rules": rules}, "0" * 64)
    monkeypatch.setattr("chalicelib.domain.compliance.load_packs", lambda: packs)
    told = body_of(explained(api, at=NIGHT))
    assert [rule["id"] for rule in told["shadow"]] == ["CN-HOURS-1"]
    assert told["shadow"][0]["note"]["zh"] and told["shadow"][0]["grade"] == "standard"
    assert told["verdict"] == quiet["verdict"] == "allow" and quiet["shadow"] == []


def test_who_has_nothing_to_do_with_the_case_is_told_that_there_is_none(api: Api) -> None:
    for token in ("other-agency", "other-lender"):
        assert explained(api, token).status_code == 404
    assert explained(api, "platform").status_code == 403
    assert explained(api, "agency", org="agency-b").status_code == 404
    assert explained(api, "agency", org=LENDER).status_code == 404
    assert explained(api, "agency", collector="col-99").status_code == 404
    refused = explained(api, "collector", collector="col-99")
    assert (refused.status_code, body_of(refused)["code"]) == (403, "own_only")


def test_the_lender_asks_as_the_agency_that_holds_the_case(api: Api) -> None:
    told = body_of(explained(api, "lender", channel="call", template=None, recorded=True))
    assert "CN-DISC-3" not in {rule["id"] for rule in told["rules"]}
    listing = FeedRepository().rows(AGENCY, [CASE])[CASE]
    assert listing.lender == LENDER


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"at": "2026-11-22T00:00:00Z"}, "out_of_range"),
        ({"at": "2027-11-25T00:00:00Z"}, "out_of_range"),
        ({"text": "x"}, "not_both"),
        ({"template": None}, "template_required"),
        ({"template": "cn-sms-none"}, "unknown_template"),
        ({"point": "pt_99"}, "unknown_contact_point"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_a_code(api: Api, asked: dict[str, Any], code: str) -> None:
    refused = explained(api, **asked)
    assert refused.status_code == 422
    assert body_of(refused)["errors"][0]["code"] == code


# The rule book


def test_every_pack_and_rule_can_be_read_with_its_vectors(api: Api) -> None:
    packs = body_of(api.get("agency", "/v1/compliance/packs"))["items"]
    assert {"CN", "US", "HOUSE"} <= {pack["id"] for pack in packs}
    total = 0
    for pack in packs:
        whole = body_of(api.get("lender", f"/v1/compliance/packs/{pack['id']}"))
        assert sum(len(rule["parts"]) for rule in whole["items"]) == pack["rules"]
        total += sum(rule["vectors"] for rule in whole["items"])
        assert all(part["citation"] and part["note"]["zh"] for rule in whole["items"] for part in rule["parts"])
    assert total > 500


def test_a_rule_says_its_parameters_in_words_and_its_doubts(api: Api) -> None:
    rule = body_of(api.get("collector", "/v1/compliance/packs/CN/rules/CN-FREQ-1"))
    part = rule["parts"][0]
    assert "上限次数:3" in part["params_words"]["zh"] and "at most so many: 3" in part["params_words"]["en"]
    assert part["when_words"]["en"][0].startswith("channel is ")
    assert {vector["verdict"] for vector in rule["vectors"]} >= {"allow", "defer"}
    weak = body_of(api.get("officer", "/v1/compliance/packs/US/rules/US-WA-CELL-2DAY"))["parts"][0]
    assert weak["provisional"] and weak["doubt"]["zh"] and weak["doubt"]["en"]
    whole = body_of(api.get("officer", "/v1/compliance/packs/US"))["items"]
    parts = [(rule["id"], part) for rule in whole for part in rule["parts"]]
    doubted = [rule for rule in load_packs().pack("US").data["rules"] if "doubt" in rule]
    assert doubted
    for rule in doubted:
        assert any(
            ident == rule["id"] and part["provisional"] and rule["doubt"]["en"] in part["doubt"]["en"]
            for ident, part in parts
            if part["doubt"] is not None
        ), rule["id"]


def test_the_rule_book_may_be_kept_and_asked_again_by_tag(api: Api) -> None:
    first = api.get("agency", "/v1/compliance/packs/CN")
    assert first.headers["Cache-Control"] == "private, max-age=300"
    again = api.get("agency", "/v1/compliance/packs/CN", If_None_Match=first.headers["ETag"])
    assert (again.status_code, again.body) == (304, b"")
    assert again.headers["Cache-Control"] == "private, max-age=300"
    unknown = api.get("agency", "/v1/compliance/packs/XX")
    assert (unknown.status_code, unknown.headers["Cache-Control"]) == (404, "no-store")
    assert api.get("agency", "/v1/compliance/packs/CN/rules/CN-NONE").status_code == 404


def test_what_is_shown_of_a_pack_is_what_rulings_name(api: Api) -> None:
    told = body_of(explained(api))
    shown = body_of(api.get("agency", "/v1/compliance/packs/CN"))
    assert told["packs"] == [{"id": "CN", "version": shown["version"], "sha256": shown["sha256"]}]
    assert json.dumps(shown, ensure_ascii=False)
