"""What is counted, by whom and by what; that parts merge in any order; that a strategy does what it says."""

import itertools
import json
from typing import Any

import pytest
from pydantic import ValidationError

from chalicelib.domain.compliance import load_packs
from chalicelib.domain.events import Actor, Event, EventType
from chalicelib.domain.whatif.comparison import Compared
from chalicelib.domain.whatif.strategy import Strategy, apply, traits_of
from chalicelib.domain.whatif.supposed import Outcome, Wish, supposition_of
from chalicelib.domain.whatif.tally import COUNTED, MOST_EXAMPLES, Tally, delays_of, result_of
from tests.rules.casebook import dossier_of

PACKS = load_packs()
DAYTIME = {"rule": "x", "id": "x", "base": "cn.sms", "at": "2026-06-10T02:00:00Z"}
EVENING = {**DAYTIME, "at": "2026-06-10T11:00:00Z"}
NIGHT = {**DAYTIME, "at": "2026-06-10T15:30:00Z"}
EARLY = {
    "id": "OWN-EARLY-CLOSE", "shape": "hours", "params": {"windows": [{"open": [["09:00", "18:00"]]}]},
    "citation": "collection policy 3.2", "source": "lender", "grade": "house", "confidence": "source",
    "status": "enforced", "checked": "2026-11-28", "note": {"en": "Nobody is reached after six.", "zh": "六点后不联系。"},
}  # fmt: skip
NUMBERS = itertools.count(1)


def decided(vector: dict[str, Any], *, recorded: str = "allow") -> tuple[Event, dict[str, Any]]:
    """Return an event and its opened payload."""
    number = next(NUMBERS)
    dossier = dossier_of(vector)
    data = {"contact": f"msg_{number:04d}", "country": "CN", "org": dossier["act"]["org"]}
    event = Event(
        f"evt_{number}", EventType.CONTACT_DECIDED, "2026-06-10T02:00:00.000Z", "len1", f"case_{number}", 2, None,
        Actor("system", "x", "role"), "req", data,
    )  # fmt: skip
    return event, {"dossier": dossier, "ruling": {"verdict": recorded}}


def compared(*vectors: dict[str, Any], **parts: Any) -> Compared:
    wish = Wish.model_validate({"from": "2026-06-01", "to": "2026-06-30", **parts})
    made = Compared(supposition_of(wish, PACKS, ()))
    for vector in vectors:
        made.add(*decided(vector))
    return made


def result(made: Compared) -> dict[str, Any]:
    return made.result([made.tally()])


def test_what_comes_out_otherwise_is_counted_by_everything_that_is_asked_about() -> None:
    found = result(compared(DAYTIME, EVENING, NIGHT, house={"rules": [EARLY]}))
    assert found["counts"] | {"decisions": 3, "newly_deferred": 1, "tightened": 1, "drifted": 1} == found["counts"]
    assert found["counts"]["newly_allowed"] == found["counts"]["loosened"] == 0
    assert found["verdicts"] == {"allow>allow": 1, "allow>defer": 1, "defer>defer": 1}
    assert found["by"]["rule"] == {"OWN-EARLY-CLOSE": {"newly_deferred": 1}}
    for dimension, value in (("channel", "sms"), ("purpose", "demand"), ("stage", "M2"), ("agency", "ag1")):
        assert found["by"][dimension] == {value: {"decisions": 3, "newly_deferred": 1}}, dimension
    # 19:00 in Shanghai waits for nine the next morning.
    assert found["delays"] | {"count": 1, "median_minutes": 14 * 60, "longest_minutes": 14 * 60} == found["delays"]
    (example,) = found["examples"]["newly_deferred"]
    assert (example["was"], example["would_be"], example["rules"]) == ("allow", "defer", ["OWN-EARLY-CLOSE"])
    assert example["at"] == EVENING["at"]
    # By day the act is allowed in both, but not as long.
    assert found["counts"]["same_verdict_other_times"] == 2


def test_what_becomes_looser_says_which_rules_hold_no_more() -> None:
    found = result(compared(NIGHT, DAYTIME, drafts=[{"pack": "CN", "remove": ["CN-HOURS-1"]}]))
    assert (found["counts"]["newly_allowed"], found["counts"]["loosened"]) == (1, 1)
    assert found["by"]["rule"] == {"CN-HOURS-1": {"newly_allowed": 1}}
    assert found["examples"]["newly_allowed"][0]["rules"] == ["CN-HOURS-1"]


def test_nothing_personal_and_every_count_stands_in_a_result() -> None:
    found = result(compared(NIGHT, house={"rules": [EARLY]}))
    assert set(found["counts"]) == set(COUNTED)
    told = json.dumps(found, ensure_ascii=False)
    dossier = dossier_of(NIGHT)
    named = [dossier["act"]["to"], dossier["act"]["point"], *dossier["parties"], *dossier["points"]]
    assert not [ident for ident in named if f'"{ident}"' in told]
    assert found["method"] and all("[" not in line for line in found["method"])
    assert found["compared_with"]["zone_data"] and len(found["compared_with"]["packs"]) == len(PACKS.index)


def test_who_was_erased_and_what_cannot_be_read_are_counted_apart() -> None:
    made = compared(DAYTIME, shadow="all")
    event, opened = decided(DAYTIME)
    made.add(event, "erased")
    made.add(event, "not_replayable")
    made.add(event, {**opened, "dossier": {**opened["dossier"], "surprise": 1}})
    counts = result(made)["counts"]
    assert (counts["decisions"], counts["erased"], counts["not_replayable"]) == (1, 1, 2)


def test_parts_add_up_to_the_whole_in_any_order_and_through_json() -> None:
    vectors = [DAYTIME, EVENING, NIGHT, EVENING, DAYTIME, NIGHT, EVENING]
    events = [decided(vector) for vector in vectors]
    whole = compared(house={"rules": [EARLY]})
    parts = [compared(house={"rules": [EARLY]}) for _ in range(3)]
    for number, each in enumerate(events):
        whole.add(*each)
        parts[number % 3].add(*each)
    tallies = [json.loads(json.dumps(part.tally())) for part in parts]
    for order in itertools.permutations(tallies):
        assert whole.result(order) == whole.result([whole.tally()])
    resumed = compared(house={"rules": [EARLY]})
    resumed.resume(tallies[0])
    for number, each in enumerate(events):
        if number % 3:
            resumed.add(*each)
    assert resumed.result([resumed.tally()])["counts"] == whole.result([whole.tally()])["counts"]


def test_examples_are_few_and_the_earliest() -> None:
    made = Tally()
    allow, deny = Outcome("allow", frozenset(), None, None), Outcome("deny", frozenset({"X"}), None, None)
    traits = traits_of(dossier_of(DAYTIME), country="CN")
    for number in range(MOST_EXAMPLES + 5):
        where = {"contact": f"msg_{number:03d}", "case": "case_1", "at": f"2026-06-10T02:00:{number:02d}Z"}
        made.add(where=where, traits=traits, recorded="allow", before=allow, after=deny, change=None)
    found = result_of([Tally.from_json(made.as_json()), Tally()], rule_set={})
    assert len(found["examples"]["newly_denied"]) == MOST_EXAMPLES
    assert found["counts"]["newly_denied"] == MOST_EXAMPLES + 5


def test_delays_are_told_by_nearest_rank_and_an_end_that_nobody_knows_apart() -> None:
    assert delays_of({}) == dict.fromkeys(("median_minutes", "p90_minutes", "p99_minutes", "longest_minutes")) | {
        "count": 0
    }
    assert delays_of({1: 50, 2: 40, 3: 9, 4: 1}) == {
        "count": 100, "median_minutes": 1, "p90_minutes": 2, "p99_minutes": 3, "longest_minutes": 4,
    }  # fmt: skip
    never = Outcome("defer", frozenset({"X"}), None, None)
    made = Tally()
    where = {"contact": "msg_1", "case": "case_1", "at": DAYTIME["at"]}
    allow = Outcome("allow", frozenset(), None, None)
    made.add(where=where, traits=traits_of(dossier_of(DAYTIME), country="CN"), recorded="allow", before=allow, after=never, change=None)  # fmt: skip
    found = result_of([made], rule_set={})
    assert (found["counts"]["deferred_without_end"], found["delays"]["count"]) == (1, 0)
    stale = Outcome("defer", frozenset({"X"}), None, None, "2026-06-10T03:30:00Z")
    made.add(where=where, traits=traits_of(dossier_of(DAYTIME), country="CN"), recorded="allow", before=allow, after=stale, change=None)  # fmt: skip
    found = result_of([made], rule_set={})
    assert (found["counts"]["deferred_without_end"], found["delays"]["median_minutes"]) == (2, 90)


# Strategies


def a_strategy(*steps: dict[str, Any]) -> dict[str, Any]:
    return {"name": "softer", "version": 2, "steps": list(steps)}


def test_a_strategy_drops_what_its_filter_meets_and_nothing_else() -> None:
    steps = a_strategy({"when": {"stage": ["M2"], "channel": ["sms"]}, "then": {"drop": True}})
    assert result(compared(DAYTIME, strategy=steps))["counts"]["dropped"] == 1
    for other in ({"stage": ["M1"]}, {"channel": ["call"]}, {"purpose": ["survey"]}, {"agency": ["ag9"]}, {"country": ["US"]}):  # fmt: skip
        found = result(compared(DAYTIME, strategy=a_strategy({"when": other, "then": {"drop": True}})))
        assert (found["counts"]["dropped"], found["counts"]["unchanged"]) == (0, 1)


def test_a_window_shifts_an_act_to_the_local_hours_and_its_balance_with_it() -> None:
    steps = a_strategy({"then": {"window": {"from": "10:00", "to": "11:00"}}})
    found = result(compared(NIGHT, strategy=steps))
    assert (found["counts"]["shifted"], found["counts"]["newly_allowed"]) == (1, 1)
    act = apply(
        Strategy.model_validate(steps), dossier_of(NIGHT), traits_of(dossier_of(NIGHT), country="CN"), PACKS.atlas
    )
    assert act.dossier is not None and act.dossier["at"] == "2026-06-11T02:00:00Z"
    before, after = dossier_of(NIGHT), act.dossier
    assert (before["debts"]["d1"]["amount_as_of"], after["debts"]["d1"]["amount_as_of"]) == (
        "2026-06-10T14:30:00Z", "2026-06-11T01:00:00Z",
    )  # fmt: skip
    # One that lies in the window already stays as it was: 10:00 in Shanghai is 02:00 UTC.
    assert (
        result(compared(DAYTIME, strategy=steps))["counts"] | {"shifted": 0, "unchanged": 1}
        == result(compared(DAYTIME, strategy=steps))["counts"]
    )


def test_another_channel_goes_to_a_point_that_fits_or_nowhere() -> None:
    steps = a_strategy({"then": {"channel": "email"}})
    dossier = dossier_of(DAYTIME)
    traits = traits_of(dossier, country="CN")
    strategy = Strategy.model_validate(steps)
    mails = [ident for ident, point in dossier["points"].items() if point["kind"] == "email"]
    without = {**dossier, "points": {k: v for k, v in dossier["points"].items() if k not in mails}}
    assert apply(strategy, without, traits, PACKS.atlas).change == "unreachable"
    mail = {"party": dossier["act"]["to"], "kind": "email", "status": "ok", "source": "contract"}
    having = {**without, "points": {**without["points"], "m1": mail}}
    act = apply(strategy, having, traits, PACKS.atlas)
    assert act.change == "rechannelled" and act.dossier is not None
    assert (act.dossier["act"]["channel"], act.dossier["act"]["point"]) == ("email", "m1")
    assert dossier["act"]["channel"] == "sms"
    found = result(compared(DAYTIME, strategy=a_strategy({"then": {"channel": "sms"}})))
    assert found["counts"]["unchanged"] == 1


def test_the_first_step_that_meets_applies() -> None:
    steps = a_strategy({"when": {"channel": ["sms"]}, "then": {"drop": True}}, {"then": {"channel": "letter"}})
    found = result(compared(DAYTIME, strategy=steps))["counts"]
    assert (found["dropped"], found["rechannelled"], found["unreachable"]) == (1, 0, 0)


@pytest.mark.parametrize(
    "step",
    [
        {"then": {}},
        {"then": {"drop": True, "channel": "sms"}},
        {"then": {"channel": "call"}},
        {"then": {"window": {"from": "18:00", "to": "09:00"}}},
        {"when": {"mood": ["good"]}, "then": {"drop": True}},
    ],
)
def test_a_step_that_says_nothing_or_too_much_is_refused(step: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Strategy.model_validate(a_strategy(step))
