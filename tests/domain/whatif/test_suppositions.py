"""What may be supposed, what comes of it, and that nothing can be sent under it."""

import copy
from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError

from chalicelib.domain.compliance import load_packs, rule, rule_set
from chalicelib.domain.compliance.documents import NotLaw
from chalicelib.domain.whatif.supposed import (
    MOST_DAYS,
    Malformed,
    Supposition,
    Wish,
    outcome_of,
    supposition_of,
)
from tests.rules.casebook import dossier_of, vectors

PACKS = load_packs()
DAYTIME = {"rule": "x", "id": "x", "base": "cn.sms", "at": "2026-06-10T02:00:00Z"}
EVENING = {**DAYTIME, "at": "2026-06-10T11:00:00Z"}
NIGHT = {**DAYTIME, "at": "2026-06-10T15:30:00Z"}
SPOUSE = {"rule": "x", "id": "x", "base": "in.sms.s1", "at": "2026-11-24T06:00:00Z", "set": {"parties.s1.role": "spouse"}}  # fmt: skip
EARLY = {
    "id": "OWN-EARLY-CLOSE", "shape": "hours", "params": {"windows": [{"open": [["09:00", "18:00"]]}]},
    "citation": "collection policy 3.2", "source": "lender", "grade": "house", "confidence": "source",
    "status": "enforced", "checked": "2026-11-28", "note": {"en": "Nobody is reached after six.", "zh": "六点后不联系。"},
}  # fmt: skip


def a_wish(**parts: Any) -> Wish:
    return Wish.model_validate({"from": "2026-06-01", "to": "2026-06-30", **parts})


def supposed(**parts: Any) -> Supposition:
    return supposition_of(a_wish(**parts), PACKS, ())


def verdicts(vector: dict[str, Any], **parts: Any) -> tuple[str, str]:
    """Return the verdicts of today and as supposed."""
    made, dossier = supposed(**parts), dossier_of(vector)
    before = outcome_of(dossier, made.present, made.present_house)
    return before.verdict, outcome_of(dossier, made.packs, made.house).verdict


def amended(ident: str, **params: Any) -> dict[str, Any]:
    """Return a draft of CN in which the rule with one part of that id has other parameters."""
    (data,) = [copy.deepcopy(each) for each in PACKS.pack("CN").data["rules"] if each["id"] == ident]
    data["params"] |= params
    return {"pack": "CN", "amend": [data]}


def test_house_rules_hold_what_the_law_lets_through() -> None:
    assert verdicts(EVENING, house={"rules": [EARLY]}) == ("allow", "defer")
    assert verdicts(DAYTIME, house={"rules": [EARLY]}) == ("allow", "allow")


def test_a_watched_rule_holds_as_if_it_were_law_by_its_id_or_with_all_others() -> None:
    for shadow in ("all", ["IN-RBI-2026-PARTIES"]):
        assert verdicts(SPOUSE, shadow=shadow) == ("allow", "deny")
    assert verdicts(SPOUSE, house={"enforce": ["IN-RBI-2026-PARTIES"]}) == ("allow", "deny")


def test_a_draft_in_the_place_of_a_pack_may_be_looser_than_today() -> None:
    whole = {"pack": "CN", "rules": [copy.deepcopy(each) for each in PACKS.pack("CN").data["rules"]]}
    assert verdicts(NIGHT, drafts=[whole]) == ("defer", "defer")
    assert verdicts(NIGHT, drafts=[{"pack": "CN", "remove": ["CN-HOURS-1"]}]) == ("defer", "allow")
    without = {"pack": "CN", "rules": [each for each in whole["rules"] if each["id"] != "CN-HOURS-1"]}
    assert verdicts(NIGHT, drafts=[without]) == ("defer", "allow")


def test_a_draft_of_an_own_id_stands_beside_the_law() -> None:
    beside = {"pack": "XX", "countries": ["CN"], "rules": [{**EARLY, "grade": "draft"}]}
    assert verdicts(EVENING, drafts=[beside]) == ("allow", "defer")
    assert verdicts(NIGHT, drafts=[beside]) == ("defer", "defer")
    elsewhere = {**beside, "countries": ["JP"]}
    assert verdicts(EVENING, drafts=[elsewhere]) == ("allow", "allow")


def test_supposing_a_pack_as_it_is_changes_nothing_anywhere() -> None:
    drafts = [{"pack": ident, "rules": PACKS.pack(ident).data["rules"]} for ident in ("CN", "US", "UK", "IN", "HOUSE")]
    made = supposed(drafts=drafts)
    for vector in list(vectors())[::7]:
        dossier = dossier_of(vector)
        assert outcome_of(dossier, made.packs, made.house) == outcome_of(dossier, PACKS, ()), vector


def test_suppositions_leave_the_law_as_it_is() -> None:
    before = rule(dossier_of(NIGHT), PACKS)
    supposed(drafts=[{"pack": "CN", "remove": ["CN-HOURS-1"]}], shadow="all")
    assert rule(dossier_of(NIGHT), load_packs()) == before


def test_nothing_can_be_sent_under_what_is_only_supposed() -> None:
    made = supposed(drafts=[{"pack": "CN", "remove": ["CN-HOURS-1"]}])
    ruling = rule(dossier_of(NIGHT), made.packs)
    assert (ruling["verdict"], made.packs.is_law) == ("allow", False)
    with pytest.raises(NotLaw):
        rule_set(ruling, made.packs)
    # What simulations work with is no ruling, so there is nothing that could be handed to the signer.
    assert not hasattr(outcome_of(dossier_of(NIGHT), made.packs, ()), "keys")


@pytest.mark.parametrize(
    ("parts", "pointer", "code"),
    [
        ({}, "", "missing_key"),
        ({"to": "2026-05-31", "shadow": "all"}, "/to", "bad_span"),
        ({"to": "2026-12-31", "shadow": "all"}, "/to", "bad_span"),
        ({"shadow": ["CN-HOURS-1"]}, "/shadow/0", "unknown_reference"),
        ({"house": {"enforce": ["NOBODY-KNOWS"]}}, "/house/enforce/0", "unknown_shadow_rule"),
        ({"house": {"rules": [{**EARLY, "shape": "nocount", "params": {"reasons": ["asked"], "days": 1}}]}}, "/house/rules/0/shape", "loosening_shape"),
        ({"house": {"rules": [{**EARLY, "shape": "guess"}]}}, "/house/rules/0/shape", "unknown_value"),
        ({"drafts": [{"pack": "CN"}]}, "/drafts/0", "missing_key"),
        ({"drafts": [{"pack": "CN", "rules": [], "remove": ["CN-HOURS-1"]}]}, "/drafts/0", "missing_key"),
        ({"drafts": [{"pack": "CN", "remove": ["CN-NOT-1"]}]}, "/drafts/0/remove/0", "unknown_reference"),
        ({"drafts": [{"pack": "XX", "amend": [EARLY]}]}, "/drafts/0/pack", "unknown_reference"),
        ({"drafts": [{"pack": "XX", "rules": [EARLY]}]}, "/drafts/0", "missing_key"),
        ({"drafts": [{"pack": "CN", "remove": ["CN-HOURS-1"]}] * 2}, "/drafts/1/pack", "duplicate"),
        ({"drafts": [{"pack": "CN", "amend": [{**EARLY, "id": 7}]}]}, "/drafts/0/amend/0/id", "malformed"),
        (
            {"drafts": [{"pack": "CN", "amend": [{**EARLY, "shape": "words", "params": {"patterns": ["(a+)+"]}}]}]},
            "/drafts/0/amend/0/params/patterns/0",
            "unknown_reference",
        ),
        (
            {"drafts": [{"pack": "CN", "amend": [EARLY], "calendars": {"cn-quiet": {"2026": ["2025-01-01"]}}}]},
            "/drafts/0/calendars/cn-quiet/2026/0",
            "malformed",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_supposed_is_told_by_its_pointer(parts: dict[str, Any], pointer: str, code: str) -> None:
    with pytest.raises(Malformed) as refused:
        supposed(**parts)
    assert [(fault.pointer, fault.code) for fault in refused.value.faults] == [(pointer, code)]


def test_the_longest_period_is_taken_and_one_day_more_is_not() -> None:
    first = date(2026, 1, 1)
    longest = date.fromordinal(first.toordinal() + MOST_DAYS - 1)
    supposed(**{"from": first.isoformat(), "to": longest.isoformat(), "shadow": "all"})
    with pytest.raises(Malformed):
        supposed(**{"from": first.isoformat(), "to": date.fromordinal(longest.toordinal() + 1).isoformat(), "shadow": "all"})  # fmt: skip


def test_every_fault_of_a_wish_is_told_at_once() -> None:
    with pytest.raises(Malformed) as refused:
        supposed(house={"rules": [{}, {**EARLY, "grade": "rumour"}]}, shadow=["NOBODY-KNOWS"], drafts=[{"pack": "CN"}])
    assert [fault.pointer for fault in refused.value.faults] == [
        "/drafts/0", "/house/rules/0", "/house/rules/1/grade", "/shadow/0",
    ]  # fmt: skip


def test_a_wish_has_no_field_that_nobody_reads() -> None:
    with pytest.raises(ValidationError):
        a_wish(shadow="all", title="for the board")


def test_a_wish_is_the_same_after_it_was_written_down() -> None:
    steps = [
        {"when": {"stage": ["M1"]}, "then": {"window": {"from": "10:00", "to": "12:00"}}},
        {"then": {"drop": True}},
    ]
    wish = a_wish(
        shadow=["IN-RBI-2026-PARTIES"],
        strategy={"name": "softer", "steps": steps},
        house={"rules": [EARLY], "enforce": ["IN-RBI-2026-PARTIES"]},
        drafts=[{"pack": "CN", "remove": ["CN-HOURS-1"]}, {"pack": "XX", "countries": ["JP"], "rules": [EARLY]}],
    )
    assert wish.parts == ("drafts", "house", "shadow", "strategy")
    assert Wish.model_validate_json(wish.model_dump_json(by_alias=True, exclude_defaults=True)) == wish
