"""House rules from draft to ruling: who may, what is refused, from when it binds, and that an old ruling can be made again."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chalicelib import wiring
from chalicelib.domain.compliance import load_packs
from chalicelib.domain.compliance.house import faults_of
from chalicelib.domain.house import HouseIndex, HouseVersion, VersionState
from chalicelib.domain.instants import to_text
from chalicelib.domain.outreach.approval import Valid
from chalicelib.domain.outreach.attempt import AttemptState
from chalicelib.domain.outreach.carrying import Accepted
from chalicelib.store.repository import Store
from chalicelib.store.tables import Record
from chalicelib.usecases import dispatch
from tests.builders import CASE, COLLECTOR, LENDER, NOW, Scope, a_case, stored
from tests.flows import test_replay
from tests.flows.test_cases_api import TOKENS, Api, a_token, api, body_of
from tests.flows.test_ruling_on_real_cases import a_wish_for, ask, rule_on

__all__ = ["api"]

SCOPE = Scope(LENDER)
PATH = "/v1/compliance/house-rules"
NOBODY_BEFORE_NOON = {
    "id": "HOUSE-NOON-HOURS",
    "shape": "hours",
    "params": {"windows": [{"open": [["12:00", "18:00"]]}]},
    "note": {"zh": "午前不联系。", "en": "Nobody is contacted before noon."},
}
DRAFT = {"house": "HOUSE-NOON", "name": "Afternoons", "rules": [NOBODY_BEFORE_NOON], "zone": "Asia/Shanghai"}
APPROVE = {"decision": "approve", "reason": "decided by the board"}
WISH = {"case": "case_0", "channel": "sms", "template": "cn-sms-demand", "collector": COLLECTOR}


@pytest.fixture(autouse=True)
def _second_officer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TOKENS, "officer-2", a_token("compliance", LENDER, subject="user-2", tenant=LENDER))


def drafted(api: Api, token: str = "lender", **deviations: Any) -> Any:
    return api.post(token, PATH, {**DRAFT, **deviations})


def decided(api: Api, number: int = 1, token: str = "officer-2", house: str = "HOUSE-NOON", **body: Any) -> Any:
    return api.post(token, f"{PATH}/{house}/versions/{number}/approvals", {**APPROVE, **body})


def verdict(api: Api, **asked: Any) -> str:
    return str(body_of(api.post("collector", "/v1/compliance/rulings", {**WISH, **asked}))["verdict"])


def types(api: Api) -> list[str]:
    return [event.type.value for event in api.store.events(SCOPE, f"T#{LENDER}#HOUSE#HOUSE-NOON")]


# Drafting


def test_a_draft_binds_nobody(api: Api) -> None:
    made = drafted(api)
    assert (made.status_code, made.headers["Location"]) == (201, f"{PATH}/HOUSE-NOON/versions/1")
    told = body_of(made)
    assert (told["standing"], told["number"], told["rules"][0]["grade"]) == ("draft", 1, "house")
    assert verdict(api) == "allow"
    assert types(api) == ["house_rules.drafted"]


@pytest.mark.parametrize(
    ("change", "pointer", "code"),
    [
        ({"id": "CN-HOURS-1"}, "/rules/0/id", "foreign_id"),
        ({"id": "HOUSE-LISTED"}, "/rules/0/id", "foreign_id"),
        ({"shape": "duty", "params": {"due_days": 5, "what": ["x"]}}, "/rules/0/shape", "loosening_shape"),
        ({"grade": "statute"}, "/rules/0/grade", "not_house"),
        ({"shape": "nocount", "params": {"reasons": ["asked"], "days": 7}}, "/rules/0/shape", "loosening_shape"),
        (
            {"shape": "hold", "params": {"kinds": ["dispute"], "effect": "nocount"}},
            "/rules/0/params/effect",
            "loosening_effect",
        ),
        (
            {"shape": "count", "params": {"cap": 1, "days": 1, "effect": "nocount"}},
            "/rules/0/params/effect",
            "loosening_effect",
        ),
        (
            {"shape": "hold", "params": {"kinds": ["dispute"], "effect": "oblige"}},
            "/rules/0/params/effect",
            "loosening_effect",
        ),
        (
            {"shape": "hold", "params": {"kinds": ["dispute"], "effect": "review", "due_days": 3}},
            "/rules/0/params/due_days",
            "loosening_effect",
        ),
        ({"shape": "allow_all", "params": {}}, "/rules/0/shape", "unknown_value"),
        ({"params": {"windows": [{"open": [["18:00", "12:00"]]}]}}, "/rules/0/params/windows/0/open/0", "malformed"),
        ({"note": {"en": "only one"}}, "/rules/0/note", "malformed"),
        ({"when": {"channel": ["pigeon"]}}, "/rules/0/when/channel/0", "unknown_value"),
        ({"surprise": 1}, "/rules/0/surprise", "unknown_key"),
        (
            {"shape": "words", "params": {"patterns": ["(a+)+$"]}},
            "/rules/0/params/patterns/0",
            "unknown_reference",
        ),
    ],
)
def test_what_is_no_house_rule_is_refused_with_its_pointer(
    api: Api, change: dict[str, Any], pointer: str, code: str
) -> None:
    refused = drafted(api, rules=[{**NOBODY_BEFORE_NOON, **change}])
    assert (refused.status_code, refused.headers["Content-Type"]) == (422, "application/problem+json")
    assert {(each["pointer"], each["code"]) for each in body_of(refused)["errors"]} == {(pointer, code)}
    assert types(api) == []


def test_only_what_is_watched_can_be_bound(api: Api) -> None:
    refused = drafted(api, enforce=["CN-HOURS-1"])
    assert [(each["pointer"], each["code"]) for each in body_of(refused)["errors"]] == [
        ("/enforce/0", "unknown_shadow_rule")
    ]
    assert drafted(api, rules=[], enforce=["IN-RBI-2026-PARTIES"]).status_code == 201


def test_every_fault_is_told_at_once(api: Api) -> None:
    rules = [{**NOBODY_BEFORE_NOON, "id": "X-1"}, {**NOBODY_BEFORE_NOON, "grade": "code"}]
    assert len(body_of(drafted(api, rules=rules, enforce=["NO-SUCH"]))["errors"]) == 3


# Approval


def test_nobody_decides_on_what_they_wrote(api: Api) -> None:
    assert drafted(api, "officer").status_code == 201
    refused = decided(api, token="officer")
    assert (refused.status_code, body_of(refused)["code"]) == (403, "own_draft")
    assert decided(api, token="lender").status_code == 403
    assert decided(api, token="agency").status_code == 403
    assert decided(api).status_code == 201
    assert types(api) == ["house_rules.drafted", "house_rules.approved"]


def test_an_approved_version_binds_the_next_ruling_and_is_named_by_it(api: Api) -> None:
    drafted(api)
    assert verdict(api) == "allow"
    version = body_of(decided(api))
    assert version["standing"] == "in_force"
    told = body_of(api.post("collector", "/v1/compliance/rulings", WISH))
    assert (told["verdict"], told["next_allowed_at"]) == ("defer", "2026-11-23T04:00:00Z")
    assert [(each["id"], each["grade"]) for each in told["rules"]] == [("HOUSE-NOON-HOURS", "house")]
    assert "午前不联系" in told["reasons"]["zh"][0]
    assert {"id": "HOUSE-NOON", "version": "1", "sha256": version["sha256"]} in told["packs"]


def test_the_real_check_rules_under_it_and_its_message_can_be_read(api: Api, store: Store) -> None:
    stored(store, a_case())
    drafted(api)
    decided(api)
    attempt = rule_on(store, ask(store, a_wish_for()))
    assert (attempt.state, attempt.due_at) == (AttemptState.DEFERRED, "2026-11-23T04:00:00.000Z")
    told = body_of(api.get("lender", f"/v1/messages/{attempt.id}"))
    assert "午前不联系" in told["reasons"]["zh"][0]


def test_it_binds_from_its_instant_on_and_an_approval_given_before_ends_there(api: Api, store: Store) -> None:
    stored(store, a_case())
    drafted(api)
    begins = NOW + timedelta(minutes=4)
    assert body_of(decided(api, effective_from=begins.isoformat()))["standing"] == "scheduled"
    before = rule_on(store, ask(store, a_wish_for()))
    assert before.approved is not None and before.approved.not_after == to_text(begins)
    assert verdict(api, at=(begins - timedelta(seconds=1)).isoformat()) == "allow"
    assert verdict(api, at=begins.isoformat()) == "defer"


def test_a_message_that_was_approved_under_other_rules_is_ruled_on_again_before_it_leaves(
    api: Api, store: Store
) -> None:
    stored(store, a_case())
    approved = rule_on(store, ask(store, a_wish_for()))
    assert approved.state is AttemptState.APPROVED
    drafted(api)
    decided(api)
    carrier = _Carrier()
    outcome = dispatch.dispatch(
        store,
        {"sms": carrier},
        lambda approval, **expected: Valid(),
        SCOPE,
        approved.id,
        clock=lambda: NOW + timedelta(seconds=5),
        req="req_d",
    )
    assert outcome == dispatch.NotSent("the lender's house rules changed after the ruling")
    assert carrier.sent == []
    again = store.attempt(SCOPE, approved.id)
    assert again is not None and again.state is AttemptState.REQUESTED
    assert rule_on(store, again).state is AttemptState.DEFERRED


class _Carrier:
    def __init__(self) -> None:
        self.sent: list[Any] = []

    def send(self, outbound: Any) -> Accepted:
        self.sent.append(outbound)
        return Accepted("sns", "sns-1")


def test_a_new_version_takes_the_place_of_the_last_and_both_are_kept(api: Api) -> None:
    drafted(api)
    first = body_of(decided(api))
    drafted(api, rules=[{**NOBODY_BEFORE_NOON, "params": {"windows": [{"open": [["09:00", "18:00"]]}]}}])
    second = body_of(decided(api, 2))
    assert verdict(api) == "allow"
    versions = body_of(api.get("officer", f"{PATH}/HOUSE-NOON/versions"))["items"]
    assert [(each["number"], each["standing"]) for each in versions] == [(1, "superseded"), (2, "in_force")]
    assert versions[0]["effective_until"] == second["effective_from"]
    assert first["sha256"] != second["sha256"]
    [listed] = body_of(api.get("lender", PATH))["items"]
    assert (listed["drafted"], listed["in_force"]["number"]) == (2, 2)


def test_an_empty_version_ends_the_set(api: Api) -> None:
    drafted(api)
    decided(api)
    assert verdict(api) == "defer"
    drafted(api, rules=[])
    decided(api, 2)
    assert verdict(api) == "allow"
    assert types(api)[-1] == "house_rules.retired"
    assert body_of(api.get("lender", f"{PATH}/HOUSE-NOON"))["in_force"] is None


def test_a_rejected_version_never_binds_and_a_decision_is_final(api: Api) -> None:
    drafted(api)
    assert body_of(decided(api, decision="reject"))["standing"] == "rejected"
    assert verdict(api) == "allow"
    again = decided(api)
    assert (again.status_code, body_of(again)["code"]) == (409, "already_decided")
    assert decided(api, 2).status_code == 404
    assert types(api) == ["house_rules.drafted", "house_rules.rejected"]


def test_rules_never_bind_the_past(api: Api) -> None:
    drafted(api)
    refused = decided(api, effective_from=(NOW - timedelta(seconds=1)).isoformat())
    assert body_of(refused)["errors"][0] == {
        "pointer": "/effective_from",
        "code": "out_of_range",
        "detail": "rules begin to bind now or later, never before",
    }


def test_a_lender_binds_itself_to_a_rule_that_is_only_watched(api: Api) -> None:
    assert "IN-RBI-2026-PARTIES" in {
        rule["id"] for rule in load_packs().pack("IN").data["rules"] if rule["status"] == "shadow"
    }
    drafted(api, rules=[], enforce=["IN-RBI-2026-PARTIES"])
    decided(api)
    [ref] = api.store.house_index(SCOPE).in_force(LENDER, NOW)
    assert wiring._house_pack(LENDER, ref.sha256).enforce == {"IN-RBI-2026-PARTIES"}


def test_a_comment_decides_nothing(api: Api) -> None:
    drafted(api)
    path = f"{PATH}/HOUSE-NOON/versions/1/comments"
    assert api.post("agency", path, {"text": "too strict"}).status_code == 403
    said = body_of(api.post("lender", path, {"text": "the works council agrees"}))
    assert [(each["by"], each["text"]) for each in said["comments"]] == [("user-1", "the works council agrees")]
    assert said["standing"] == "draft"
    assert "works council" not in json.dumps(
        [e.as_json() for e in api.store.events(SCOPE, f"T#{LENDER}#HOUSE#HOUSE-NOON")]
    )


def test_another_lenders_rules_are_unknown_and_bind_nobody_here(api: Api) -> None:
    drafted(api, "other-lender")
    assert api.get("lender", f"{PATH}/HOUSE-NOON").status_code == 404
    assert body_of(api.get("lender", PATH))["items"] == []
    assert decided(api).status_code == 404
    assert api.get("agency", PATH).status_code == 403


def test_a_lender_has_a_bounded_number_of_sets(api: Api) -> None:
    def named(number: int) -> dict[str, Any]:
        house = f"HOUSE-SET{number}"
        return {"house": house, "rules": [{**NOBODY_BEFORE_NOON, "id": f"{house}-1"}]}

    for number in range(10):
        assert drafted(api, **named(number)).status_code == 201
    refused = drafted(api, **named(10))
    assert (refused.status_code, body_of(refused)["code"]) == (409, "too_many_sets")
    assert drafted(api, **named(3)).status_code == 201


# Replay


def test_a_ruling_under_house_rules_is_made_again_from_the_archive_alone(
    api: Api, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored(store, a_case())
    assert CASE == "case_1"
    drafted(api)
    sha256 = body_of(decided(api))["sha256"]
    test_replay.decide(store, NOW)
    drafted(api, rules=[])
    decided(api, 2)
    test_replay.decide(store, NOW + timedelta(minutes=1))
    archive = test_replay.archived(store, tmp_path)
    capsys.readouterr()
    assert (archive / "rules" / f"{sha256}.json").is_file()
    status, found = test_replay.replayed(archive, capsys)
    assert (status, found["rulings"], found["same"]) == (0, 2, 2)


# The index


def a_version(number: int, begins: datetime, **deviations: Any) -> HouseVersion:
    return HouseVersion(
        **{
            "house": "HOUSE-NOON",
            "number": number,
            "name": "n",
            "rules": (NOBODY_BEFORE_NOON,),
            "enforce": (),
            "sha256": f"{number:064x}",
            "state": VersionState.APPROVED,
            "author": "user-1",
            "drafted_at": to_text(NOW),
            "effective_from": to_text(begins),
            **deviations,
        }
    )


def numbers(index: HouseIndex, at: datetime) -> list[int]:
    return [ref.number for ref in index.in_force(LENDER, at)]


def test_at_every_instant_at_most_one_version_of_a_set_binds() -> None:
    hour = timedelta(hours=1)
    index = HouseIndex().with_version(a_version(1, NOW), now=NOW)
    index = index.with_version(a_version(2, NOW + 4 * hour), now=NOW)
    assert [numbers(index, NOW + n * hour) for n in (-1, 0, 3, 4, 9)] == [[], [1], [1], [2], [2]]
    index = index.with_version(a_version(3, NOW + 2 * hour), now=NOW)
    assert [numbers(index, NOW + n * hour) for n in (0, 1, 2, 4, 9)] == [[1], [1], [3], [3], [3]]
    assert index.next_change(NOW) == NOW + 2 * hour and index.next_change(NOW + 2 * hour) is None
    other = index.with_version(a_version(1, NOW, house="HOUSE-OTHER"), now=NOW + 3 * hour)
    assert numbers(other, NOW + 4 * hour) == [3, 1]
    assert len(other.windows) == 2


def test_shipped_rules_do_not_pass_as_house_rules() -> None:
    packs = load_packs()
    for rule in packs.pack("HOUSE").data["rules"]:
        assert faults_of("HOUSE-LISTED", [rule], (), packs)


def test_what_is_kept_of_house_rules_is_plain_and_small(api: Api) -> None:
    drafted(api)
    decided(api)
    kept = {item.sk: len(item.d) for item in Record.scan() if item.d is not None and "HOUSE" in item.pk + item.sk}
    assert {"HOUSE", "HOUSE#HOUSE-NOON", "V#000001", "DOC"} <= set(kept)
    assert kept["HOUSE"] < 300
