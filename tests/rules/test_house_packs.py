"""House packs beside the law: they add findings and never take one away; shadow rules are watched, or enforced at home."""

import hashlib
from typing import Any

import pytest

from chalicelib.domain.compliance import Pack, explain, load_packs, rule, rule_set
from chalicelib.domain.compliance.authoring import compile_rules, compiled_text
from chalicelib.domain.compliance.explained import explained
from tests.rules.casebook import dossier_of, vectors

PACKS = load_packs()
RANK = {"allow": 0, "defer": 1, "review": 2, "deny": 3}
LATE_RULE = {
    "id": "OWN-EARLY-CLOSE", "shape": "hours", "params": {"windows": [{"open": [["09:00", "18:00"]]}]},
    "citation": "collection policy 3.2", "source": "lender", "grade": "house", "confidence": "source",
    "status": "enforced", "checked": "2026-11-28", "note": {"en": "Nobody is reached after six.", "zh": "六点后不联系。"},
}  # fmt: skip
SPOUSE = {
    "rule": "x", "id": "x", "base": "in.sms.s1", "at": "2026-11-24T06:00:00Z", "set": {"parties.s1.role": "spouse"},
}  # fmt: skip
EVENING = {"rule": "x", "id": "x", "base": "cn.sms", "at": "2026-06-10T11:00:00Z"}


def a_house(
    *rules: dict[str, Any], enforce: tuple[str, ...] = (), calendars: dict[str, dict[str, list[str]]] | None = None
) -> Pack:
    data = compile_rules(
        list(rules), ident="HOUSE-len1", version="3", name="Lender one", enforce=enforce, calendars=calendars
    )
    return Pack(data, hashlib.sha256(compiled_text(data).encode()).hexdigest())


def test_a_house_rule_binds_beside_the_law_and_is_named() -> None:
    dossier, house = dossier_of(EVENING), a_house(LATE_RULE)
    plain, ruling = rule(dossier, PACKS), rule(dossier, PACKS, [house])
    assert (plain["verdict"], ruling["verdict"]) == ("allow", "defer")
    [entry] = ruling["rules"]
    assert (entry["id"], entry["grade"], entry["confidence"]) == ("OWN-EARLY-CLOSE", "house", "source")
    assert ruling["next_allowed_at"] == "2026-06-11T01:00:00Z"
    assert ruling["packs"] == [*plain["packs"], {"id": "HOUSE-len1", "version": "3", "sha256": house.sha256}]
    assert rule_set(ruling, PACKS)["packs"] == sorted(
        [*rule_set(plain, PACKS)["packs"], ["HOUSE-len1", "3", house.sha256]]
    )
    assert "六点后不联系" in explain(ruling, "zh", PACKS, [house])[0]
    assert explained(dossier, PACKS, [house])["rules"][0]["note"] == LATE_RULE["note"]


def test_two_versions_of_one_set_keep_their_own_calendars_and_notes() -> None:
    closing = {
        **LATE_RULE,
        "params": {
            "windows": [{"open": [["00:00", "24:00"]]}],
            "holidays": "own",
            "holiday_open": [["00:00", "01:00"]],
        },
    }
    first, second = a_house(LATE_RULE), a_house(closing, calendars={"own": {"2026": ["2026-06-10"]}})
    for house in ([first, second], [second, first]):
        dossier = dossier_of(EVENING)
        ruling = rule(dossier, PACKS, house)
        assert [each["id"] for each in ruling["rules"]] == ["OWN-EARLY-CLOSE", "OWN-EARLY-CLOSE"]
        assert ruling["next_allowed_at"] == "2026-06-11T01:00:00Z"
        assert len(explain(ruling, "en", PACKS, house)) == 2


def test_a_house_rule_ends_an_allowance_earlier() -> None:
    dossier, house = dossier_of({**EVENING, "at": "2026-06-10T02:00:00Z"}), a_house(LATE_RULE)
    assert rule(dossier, PACKS)["not_after"] == "2026-06-10T13:50:00Z"
    assert rule(dossier, PACKS, [house])["not_after"] == "2026-06-10T10:00:00Z"


def test_a_draft_is_reported_and_decides_nothing() -> None:
    ruling = rule(dossier_of(SPOUSE), PACKS)
    assert (ruling["verdict"], ruling["rules"], ruling["missing"]) == ("allow", [], [])
    [watched] = ruling["shadow"]
    assert (watched["id"], watched["effect"], watched["grade"]) == ("IN-RBI-2026-PARTIES", "deny", "draft")
    assert list(watched) == [
        "id", "effect", "citation", "grade", "confidence", "observed", "limit", "until", "because",
    ]  # fmt: skip


def test_a_lender_may_enforce_a_draft_of_the_law() -> None:
    ruling = rule(dossier_of(SPOUSE), PACKS, [a_house(enforce=("IN-RBI-2026-PARTIES",))])
    assert (ruling["verdict"], [each["id"] for each in ruling["rules"]]) == ("deny", ["IN-RBI-2026-PARTIES"])
    assert ruling["shadow"] == []


def test_a_lender_may_watch_a_rule_of_its_own() -> None:
    dossier = dossier_of(EVENING)
    house = a_house({**LATE_RULE, "status": "shadow"})
    ruling = rule(dossier, PACKS, [house])
    assert (ruling["verdict"], ruling["not_after"]) == ("allow", rule(dossier, PACKS)["not_after"])
    assert [each["id"] for each in ruling["shadow"]] == ["OWN-EARLY-CLOSE"]


@pytest.mark.parametrize(
    "house",
    [
        a_house(LATE_RULE),
        a_house({**LATE_RULE, "shape": "nocount", "params": {"reasons": ["asked"], "days": 30}}),
        a_house(
            enforce=tuple(law.ident for name in PACKS.index for law in PACKS.pack(name).watched)  # fmt: skip
        ),
    ],
    ids=["hours", "nocount", "every draft"],
)
def test_no_house_pack_makes_a_ruling_looser(house: Pack) -> None:
    for vector in list(vectors())[::5]:
        dossier = dossier_of(vector)
        plain, ruling = rule(dossier, PACKS), rule(dossier, PACKS, [house])
        assert RANK[ruling["verdict"]] >= RANK[plain["verdict"]], vector
        assert {each["id"] for each in plain["rules"]} <= {each["id"] for each in ruling["rules"]}, vector
        assert set(plain["missing"]) <= set(ruling["missing"]), vector
        for key, sooner in (("next_allowed_at", False), ("not_after", True)):
            if plain["verdict"] == ruling["verdict"] and plain[key] is not None and ruling[key] is not None:
                assert (ruling[key] <= plain[key]) if sooner else (ruling[key] >= plain[key]), vector
