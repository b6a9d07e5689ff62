"""Rules written out as one function say what their closures say, from dossiers and from stored records alike."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given

from chalicelib.domain.compliance import PackSet
from chalicelib.domain.compliance.authoring import compile_rules
from chalicelib.domain.compliance.decision import judge, program_of
from chalicelib.domain.compliance.packs import Pack
from chalicelib.domain.compliance.record import prepare, read
from tests.properties.test_ruling_properties import EXAMPLES, dossiers
from tests.rules.alike import ASKED, WRITTEN, assert_alike, decided
from tests.rules.casebook import dossier_of, vectors

BOOK = [dossier_of(vector) for vector in vectors()]


@pytest.mark.parametrize("pack", sorted({dossier["id"].partition(":")[0] for dossier in BOOK}))
def test_written_rules_rule_as_closures_do_on_every_vector(pack: str) -> None:
    for dossier in BOOK:
        if dossier["id"].startswith(f"{pack}:"):
            assert_alike(dossier)


def test_written_rules_tell_a_certificate_that_is_known_not_to_be_from_an_unknown_one() -> None:
    dossier = dossier_of({"rule": "x", "id": "x", "base": "cn.call", "at": "2026-06-10T02:00:00Z"})
    collector = next(iter(dossier["collectors"].values()))
    verdicts = []
    for certified_to in ("2026-06-10", "2026-06-09", None, "absent"):
        collector["certified_to"] = certified_to
        if certified_to == "absent":
            del collector["certified_to"]
        assert_alike(dossier)
        assert_alike(dossier)
        verdicts.append(decided(dossier, WRITTEN).ruling()["verdict"])
    assert verdicts == ["allow", "deny", "deny", "review"]


@EXAMPLES
@given(dossiers())
def test_written_rules_rule_as_closures_do_on_any_past(dossier: dict[str, Any]) -> None:
    assert_alike(dossier)


@pytest.mark.parametrize("days", [-3_000, -400, 400])
def test_written_rules_know_other_years(days: int) -> None:
    """A function is written for acts from one instant on; earlier acts are ruled on all the same."""
    from tests.rules.test_rulepack_vectors import _shifted

    for dossier in BOOK[::9]:
        assert_alike(_shifted(copy.deepcopy(dossier), days))


def test_a_rule_that_is_not_in_force_yet_says_nothing_before_its_day() -> None:
    rule = {
        "id": "OWN-QUIET", "shape": "preference", "params": {}, "citation": "x", "source": "x", "grade": "house",
        "confidence": "source", "status": "enforced", "checked": "2026-11-28", "from": "2026-06-12",
        "note": {"en": "x", "zh": "x"},
    }  # fmt: skip
    house = Pack(compile_rules([rule], ident="HOUSE", version="1", name="x"), "0" * 64)
    dossier = dossier_of({"rule": "x", "id": "x", "base": "jp.letter", "at": "2026-06-10T02:00:00Z"})
    dossier["consents"].append({"at": "2026-06-01T02:00:00Z", "party": "p1", "event": "inconvenient_time"})
    rulings = [judge(prepare(dossier), packs, [house]).ruling() for packs in (ASKED, WRITTEN)]
    assert rulings[0] == rulings[1]
    assert (rulings[0]["verdict"], rulings[0]["not_after"]) == ("allow", "2026-06-11T15:00:00Z")


def test_every_rule_is_explained_whether_it_fires_or_not() -> None:
    dossier = dossier_of({"rule": "x", "id": "x", "base": "us.call", "at": "2026-11-24T15:00:00Z"})
    decision = decided(dossier, WRITTEN)
    rows = decision.rows()
    assert {row[0] for row in rows} == {rule.ident for pack in decision.program.packs for rule in pack.rules}
    assert ("US-REGF-HOURS", True, 10 * 3600, (8 * 3600, 21 * 3600)) in rows
    assert decided(dossier, PackSet()).rows() == rows


def test_what_is_explained_is_what_the_ruling_says() -> None:
    for dossier in BOOK:
        decision = decided(dossier, WRITTEN)
        found = decision.program.findings(decision.record, decision.seen)
        rows = decision.rows()
        for (number, _), (law, finding) in zip(decision.seen.fired, found, strict=True):
            ident, ok, observed, limit = rows[number]
            assert ident == law.ident
            assert ok is (finding.effect in ("oblige", "nocount"))
            # Times of day are told as seconds in a row, in words in a ruling.
            if law.data["shape"] not in ("hours", "fact", "span"):
                assert (observed, limit) == (finding.observed, finding.limit), ident


def test_a_record_keeps_what_it_has_no_column_for() -> None:
    dossier = dossier_of({"rule": "x", "id": "x", "base": "us.call", "at": "2026-11-24T15:00:00Z"})
    event = {"direction": "out", "channel": "call", "party": "p1", "outcome": "no_answer"}
    dossier["history"] = [
        {**event, "id": "late", "at": "2026-11-24T14:59:59.250Z", "point": None},
        {**event, "id": "early", "at": "2026-11-20T14:59:59Z", "staff": 0},
        {**event, "id": "soon", "at": "2026-12-20T14:59:59Z", "debts": []},
        {**event, "id": "plain", "at": "2026-11-20T14:59:59Z"},
        {**event, "id": "unasked", "at": "2026-11-21T14:59:59Z", "consented": False},
    ]
    stored = read(prepare(dossier).stored())
    assert stored.dossier == dossier
    assert stored.stored() == prepare(dossier).stored()
    assert list(memoryview(stored.times).cast("q")) == sorted(memoryview(stored.times).cast("q"))


def test_a_past_of_very_many_kinds_is_counted_right() -> None:
    dossier = dossier_of({"rule": "x", "id": "x", "base": "us.call", "at": "2026-11-24T15:00:00Z"})
    dossier["history"] += [
        {"id": f"n{number}", "at": "2026-11-23T15:00:00Z", "direction": "out", "channel": "call", "party": f"q{number}",
         "outcome": "no_answer", "org": "ag1", "debts": ["d1"]}
        for number in range(300)
    ]  # fmt: skip
    assert_alike(dossier)


def test_what_a_rule_says_never_becomes_code() -> None:
    """House rules come from outside: their texts are values of the function, whatever they hold."""
    evil = "x'); import os; os.abort(); ('"
    rule = {
        "id": "EVIL-1", "shape": "fact", "params": {"path": "content.language", "none_of": [evil]}, "citation": evil,
        "source": evil, "grade": "house", "confidence": "source", "status": "enforced", "checked": "2026-11-28",
        "note": {"en": evil, "zh": evil},
    }  # fmt: skip
    house = Pack(compile_rules([rule], ident="HOUSE", version="1", name="x"), "0" * 64)
    dossier = dossier_of({"rule": "x", "id": evil, "base": "cn.sms", "at": "2026-06-10T02:00:00Z"})
    record = prepare(dossier)
    decision = judge(record, WRITTEN, [house])
    assert ("EVIL-1", True, "zh", [evil]) in decision.rows()
    source = program_of(record, WRITTEN, [house]).source
    assert "EVIL-1" in source and "import" not in source
    compile(source, "source", "exec")


def test_the_size_of_a_record_does_not_grow_with_what_repeats() -> None:
    dossier = dossier_of({"rule": "x", "id": "x", "base": "us.call", "at": "2026-11-24T15:00:00Z"})
    event = {
        "direction": "out",
        "channel": "call",
        "party": "p1",
        "outcome": "no_answer",
        "org": "ag1",
        "debts": ["d1"],
    }

    def size(contacts: int) -> tuple[int, int]:
        history = [
            {"id": f"e{number}", "at": f"2026-0{1 + number % 9}-11T15:00:{number % 60:02d}Z", **event}
            for number in range(contacts)
        ]
        whole = {**dossier, "history": history}
        return len(prepare(whole).stored()), len(json.dumps(whole, separators=(",", ":")))

    few, many = size(20), size(200)
    assert (many[0] - few[0]) * 6 < many[1] - few[1]
