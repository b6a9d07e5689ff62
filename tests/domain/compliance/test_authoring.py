"""Rules as data: what is accepted, what is refused and where, and that what is accepted can be run."""

import copy
from typing import Any

import pytest

from chalicelib.domain.compliance import PackSet, load_packs
from chalicelib.domain.compliance.authoring import (
    MOST_FAULTS,
    MOST_RULES,
    PARAMS,
    Book,
    MalformedRules,
    compile_rules,
    compiled_text,
    validate_rules,
)
from chalicelib.domain.compliance.packs import Pack
from chalicelib.domain.compliance.shapes import SHAPES

RULE: dict[str, Any] = {
    "id": "XX-TEST-1",
    "shape": "count",
    "params": {"cap": 1, "days": 7},
    "when": {"channel": ["call"]},
    "citation": "a law",
    "source": "a page",
    "grade": "statute",
    "confidence": "source",
    "status": "enforced",
    "checked": "2026-11-23",
    "note": {"en": "one", "zh": "一"},
}


EMPTY = Book()


def faults(book: Book = EMPTY, **changes: Any) -> list[tuple[str, str, str]]:
    rule = {key: value for key, value in {**RULE, **changes}.items() if value is not None}
    return [(fault.pointer, fault.code, fault.message) for fault in validate_rules([rule], book)]


def test_a_complete_rule_is_accepted() -> None:
    assert faults() == []


@pytest.mark.parametrize(
    ("changes", "pointer", "code", "says"),
    [
        ({"efective": "2026-01-01"}, "/0/efective", "unknown_key", "unknown keys"),
        ({"a/b": 1}, "/0/a~1b", "unknown_key", "unknown keys"),
        ({"citation": None}, "/0", "missing_key", "lacks citation"),
        ({"citation": " "}, "/0/citation", "out_of_range", "may not be empty"),
        ({"citation": 7}, "/0/citation", "wrong_type", "a text"),
        ({"id": "一"}, "/0/id", "malformed", "letters"),
        ({"shape": "guess"}, "/0/shape", "unknown_value", "no shape"),
        ({"shape": []}, "/0/shape", "unknown_value", "no shape"),
        ({"params": {"cap": 1, "days": 7, "per_head": 2}}, "/0/params/per_head", "unknown_key", "takes no"),
        ({"params": {"days": 7}}, "/0/params", "missing_key", "needs cap"),
        ({"params": {"cap": 1}}, "/0/params", "missing_key", "needs one of days, window"),
        ({"params": {"cap": 0, "days": 7}}, "/0/params/cap", "out_of_range", "from 1"),
        ({"params": {"cap": "three", "days": 7}}, "/0/params/cap", "wrong_type", "an integer"),
        ({"params": {"cap": True, "days": 7}}, "/0/params/cap", "wrong_type", "an integer"),
        ({"params": {"cap": 1, "days": 7, "unit": "glance"}}, "/0/params/unit", "unknown_value", "one of"),
        ({"params": {"cap": 1, "days": 7, "channels": ["sms", "fax"]}}, "/0/params/channels/1", "unknown_value", "one"),
        ({"params": []}, "/0/params", "wrong_type", "an object"),
        ({"grade": "rumour"}, "/0/grade", "unknown_value", "grade"),
        ({"status": "maybe"}, "/0/status", "unknown_value", "status"),
        ({"checked": "yesterday"}, "/0/checked", "malformed", "date"),
        ({"from": "2026-02-01", "to": "2026-01-31"}, "/0/to", "out_of_range", "ends before it begins"),
        ({"note": {"en": "one"}}, "/0/note", "malformed", "note in en and zh"),
        ({"note": {"en": "one", "zh": " "}}, "/0/note/zh", "out_of_range", "empty"),
        ({"when": {"weather": ["rain"]}}, "/0/when/weather", "unknown_key", "when.weather"),
        ({"when": {"channel": ["fax"]}}, "/0/when/channel/0", "unknown_value", "when.channel"),
        ({"when": {"channel": [["sms"]]}}, "/0/when/channel/0", "unknown_value", "when.channel"),
        ({"when": {"channel": []}}, "/0/when/channel", "wrong_type", "list"),
        ({"when": {"region": ["somewhere"]}}, "/0/when/region/0", "malformed", "3166"),
        ({"confidence": "memory-weak"}, "/0/note/en", "malformed", "weakly remembered"),
        ({"shape": "quiet_dates", "params": {"calendar": "mars"}}, "/0/params/calendar", "unknown_reference", "no cal"),
        ({"shape": "words", "params": {"lexicon": "oaths"}}, "/0/params/lexicon", "unknown_reference", "no word list"),
        ({"shape": "words", "params": {"patterns": ["("]}}, "/0/params/patterns/0", "malformed", "regular"),
        ({"shape": "hours", "params": {"windows": [{"open": [["9", "5"]]}]}}, "/0/params/windows/0/open/0", "malformed", "HH"),
        ({"shape": "hours", "params": {"windows": [{"days": [0], "open": [["09:00", "17:00"]]}]}}, "/0/params/windows/0/days/0", "unknown_value", "one of"),
        ({"shape": "fact", "params": {"path": "party.name", "is": True}}, "/0/params/path", "unknown_value", "one of"),
        ({"shape": "fact", "params": {"path": "org.suspended"}}, "/0/params", "missing_key", "needs one of is"),
        ({"shape": "fact", "params": {"path": "org.suspended", "is": "no"}}, "/0/params/is", "unknown_value", "never"),
        ({"shape": "fact", "params": {"path": "debt.status", "any_of": ["gone"]}}, "/0/params/any_of/0", "unknown_value", "never"),
        ({"shape": "fact", "params": {"path": "debt.status", "at_least": 3}}, "/0/params/at_least", "wrong_type", "number"),
        ({"shape": "span", "params": {}}, "/0/params", "missing_key", "needs one of from, to"),
        ({"shape": "hold", "params": {"kinds": ["dispute"], "period": "late"}}, "/0/shape", "unknown_reference", "us-federal"),
        ({"shape": "abroad", "params": {"country": "CN", "zones": ["../etc"]}}, "/0/params/zones/0", "unknown_reference", "no zone"),
    ],
)  # fmt: skip
def test_a_malformed_rule_is_refused_where_it_is_wrong(
    changes: dict[str, Any], pointer: str, code: str, says: str
) -> None:
    (found,) = faults(**changes)
    assert found[:2] == (pointer, code)
    assert says in found[2]


def test_every_parameter_of_every_shape_has_its_kind() -> None:
    compared = {"is", "any_of", "none_of", "at_least", "at_most", "below"}
    unchecked = [
        f"{name}.{key}"
        for name, shape in SHAPES.items()
        for key in shape.needs | shape.takes
        if key not in PARAMS and f"{name}.{key}" not in PARAMS and (name, key) not in {("fact", each) for each in compared}
    ]  # fmt: skip
    assert unchecked == []


def test_a_pattern_from_outside_the_tree_is_taken_only_if_it_was_shipped() -> None:
    params = {"patterns": [r"(a+)+$"]}
    assert faults(Book(patterns=frozenset()), shape="words", params=params)[0][:2] == (
        "/0/params/patterns/0",
        "unknown_reference",
    )
    assert faults(Book(patterns=frozenset((r"(a+)+$",))), shape="words", params=params) == []


def test_what_is_no_list_of_rules_is_refused() -> None:
    for data in ({}, "rules", None):
        assert [fault.code for fault in validate_rules(data, Book())] == ["wrong_type"]
    assert [fault.pointer for fault in validate_rules([7], Book())] == ["/0"]
    assert [fault.code for fault in validate_rules([RULE] * (MOST_RULES + 1), Book())] == ["out_of_range"]


def test_no_more_faults_are_told_than_anybody_reads() -> None:
    assert len(validate_rules([{}] * 200, Book())) == MOST_FAULTS


def test_shipped_packs_compile_to_themselves() -> None:
    packs = load_packs()
    for ident in packs.index:
        data = packs.pack(ident).data
        again = compile_rules(
            copy.deepcopy(data["rules"])[::-1],
            ident=data["id"],
            version=data["version"],
            name=data["name"],
            countries=data["countries"],
            currencies=data["currencies"],
            zone_name=data["zone"],
            cities=data["cities"],
            lexicon=data["lexicon"],
            calendars=data["calendars"],
            patterns=PackSet().patterns,
        )
        assert compiled_text(again) == compiled_text(data)


def test_faults_of_a_set_are_told_together() -> None:
    with pytest.raises(MalformedRules) as refused:
        compile_rules([RULE, {**RULE, "shape": "guess"}, {}], ident="XX", version="1", name="Nowhere")
    assert [fault.pointer for fault in refused.value.faults] == ["/1/shape", "/2"]


def test_compiled_rules_make_a_pack() -> None:
    data = compile_rules([RULE], ident="XX", version="1", name="Nowhere")
    assert [rule.ident for rule in Pack(data, "0" * 64).rules] == ["XX-TEST-1"]
