"""Whatever a lender adds, no ruling becomes looser: tried on the casebook with generated house rules."""

import copy
import hashlib
import json
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from chalicelib.domain.compliance import Pack, load_packs, rule
from chalicelib.domain.compliance.house import DEFAULTS, compiled, faults_of, shipped_ids, watched_ids
from tests.properties.test_ruling_properties import dossiers

PACKS = load_packs()
RANK = {"allow": 0, "defer": 1, "review": 2, "deny": 3}
HOUSE = "HOUSE-TRY"
SHIPPED = [law for name in PACKS.index for law in PACKS.pack(name).data["rules"]]
WATCHED = sorted(watched_ids(PACKS))
EXAMPLES = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


@st.composite
def house_rules(draw: st.DrawFn) -> dict[str, Any]:
    """A rule that is made from a shipped one: its numbers, flags, conditions, dates and status changed at random."""
    law = copy.deepcopy(draw(st.sampled_from(SHIPPED)))
    params = law.get("params", {})
    for key, value in list(params.items()):
        if draw(st.booleans()):
            continue
        if isinstance(value, bool):
            params[key] = draw(st.booleans())
        elif isinstance(value, int):
            params[key] = draw(st.integers(1, 60))
        elif isinstance(value, list) and len(value) > 1 and all(isinstance(each, str) for each in value):
            params[key] = value[: draw(st.integers(1, len(value)))]
    when = law.get("when", {})
    for key in list(when):
        if draw(st.booleans()):
            del when[key]
    made = {**DEFAULTS, "checked": "2026-11-28", "shape": law["shape"], "params": params, "when": when}
    made |= {"note": law["note"], "id": f"{HOUSE}-{draw(st.integers(1, 9))}"}
    made["status"] = draw(st.sampled_from(["enforced", "enforced", "shadow"]))
    if draw(st.booleans()):
        made["from"] = draw(st.sampled_from(["2025-01-01", "2026-06-01", "2027-01-01"]))
    return made


@st.composite
def house_packs(draw: st.DrawFn) -> Pack:
    rules = draw(st.lists(house_rules(), max_size=4))
    rules = [each for each in rules if not faults_of(HOUSE, [each], (), PACKS)]
    enforce = tuple(sorted(set(draw(st.lists(st.sampled_from(WATCHED), max_size=6)))))
    zone = draw(st.sampled_from([None, None, "Asia/Shanghai", "America/New_York"]))
    assume(rules or enforce)
    text, sha256 = compiled(HOUSE, 1, "try", rules, enforce, PACKS, zone)
    assert hashlib.sha256(text.encode()).hexdigest() == sha256
    return Pack(json.loads(text), sha256)


@EXAMPLES
@given(dossiers(), st.lists(house_packs(), min_size=1, max_size=2))
def test_adding_house_packs_never_makes_a_ruling_looser(dossier: dict[str, Any], house: list[Pack]) -> None:
    plain, ruling = rule(dossier, PACKS), rule(dossier, PACKS, house)
    assert RANK[ruling["verdict"]] >= RANK[plain["verdict"]]
    held = [(each["id"], each["effect"], each["because"]) for each in ruling["rules"]]
    assert all((each["id"], each["effect"], each["because"]) in held for each in plain["rules"])
    assert set(plain["missing"]) <= set(ruling["missing"])
    assert all(each in ruling["obligations"] for each in plain["obligations"])
    if ruling["verdict"] == plain["verdict"] == "defer" and ruling["next_allowed_at"] is not None:
        assert plain["next_allowed_at"] is not None and ruling["next_allowed_at"] >= plain["next_allowed_at"]
    if ruling["verdict"] == plain["verdict"] == "allow" and plain["not_after"] is not None:
        assert ruling["not_after"] is not None and ruling["not_after"] <= plain["not_after"]


@EXAMPLES
@given(house_rules())
def test_what_passes_as_a_house_rule_bears_the_lenders_name_and_can_only_hold_back(made: dict[str, Any]) -> None:
    if faults_of(HOUSE, [made], (), PACKS):
        return
    assert made["id"].startswith(f"{HOUSE}-") and made["id"] not in shipped_ids(PACKS)
    assert made["shape"] not in ("nocount", "duty") and "due_days" not in made["params"]
    assert made["params"].get("effect", "deny") in ("deny", "require", "review", "defer")
