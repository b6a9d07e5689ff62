"""Packs are validated when they are built, compiled as shipped, and refuse what they do not know."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chalicelib.domain.compliance import load_packs, rule, ruleset_digest
from chalicelib.domain.compliance.packs import PackSet
from scripts import packs as build
from tests.rules.casebook import dossier_of

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


def checked(**changes: Any) -> None:
    rule = {key: value for key, value in {**RULE, **changes}.items() if value is not None}
    build.check_rule(rule, "xx/test.toml", frozenset(), frozenset())


def test_a_complete_rule_is_accepted() -> None:
    checked()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"efective": "2026-01-01"}, "unknown keys"),
        ({"citation": None}, "lacks"),
        ({"citation": " "}, "may not be empty"),
        ({"shape": "guess"}, "no shape"),
        ({"params": {"cap": 1, "days": 7, "per_head": 2}}, "takes no"),
        ({"params": {"days": 7}}, "needs"),
        ({"grade": "rumour"}, "grade"),
        ({"status": "maybe"}, "status"),
        ({"note": {"en": "one"}}, "note in en and zh"),
        ({"when": {"weather": ["rain"]}}, "when.weather"),
        ({"when": {"channel": ["fax"]}}, "when.channel"),
        ({"confidence": "memory-weak"}, "weakly remembered"),
        ({"shape": "quiet_dates", "params": {"calendar": "mars"}}, "no calendar"),
    ],
)
def test_a_malformed_rule_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(build.Malformed, match=says):
        checked(**changes)


def test_compiled_packs_are_what_the_law_compiles_to() -> None:
    assert list(build.stale()) == []


def test_coverage_page_lists_every_rule() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "coverage-of-law.md").read_text(encoding="utf-8")
    assert page == build.table()


def test_every_rule_names_its_law_and_says_it_in_both_languages() -> None:
    packs = load_packs()
    for name in packs.index:
        for data in packs.pack(name).data["rules"]:
            assert data["citation"] and data["source"] and data["checked"], data["id"]
            assert data["note"]["en"] and data["note"]["zh"], data["id"]


def test_drafts_run_in_shadow() -> None:
    packs = load_packs()
    drafts = [
        data for name in packs.index for data in packs.pack(name).data["rules"] if data["grade"] == "draft"
    ]  # fmt: skip
    assert drafts
    assert {data["status"] for data in drafts} == {"shadow"}


def test_a_draft_fires_only_when_it_is_asked_what_it_would_do() -> None:
    vector = {
        "rule": "x", "id": "x", "base": "in.sms.s1", "at": "2026-11-24T06:00:00Z",
        "set": {"parties.s1.role": "spouse"},
    }  # fmt: skip
    enforced, supposed = (rule(dossier_of(vector), packs) for packs in (load_packs(), PackSet(shadow=True)))
    assert (enforced["verdict"], supposed["verdict"]) == ("allow", "deny")
    assert [fired["id"] for fired in supposed["rules"]] == ["IN-RBI-2026-PARTIES"]


def test_digest_is_of_the_packs_and_not_of_their_order() -> None:
    named = [{"id": "A", "version": "1", "sha256": "x"}, {"id": "B", "version": "1", "sha256": "y"}]
    assert ruleset_digest(named) == ruleset_digest(named[::-1])
    assert ruleset_digest(named) != ruleset_digest(named[:1])


def test_a_pack_is_read_only_when_a_case_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    plain: Callable[..., str] = Path.read_text

    def noted(path: Path, **options: Any) -> str:
        read.append(path.name)
        return plain(path, **options)

    monkeypatch.setattr(Path, "read_text", noted)
    packs = PackSet()
    assert read == ["index.json"]
    packs.pack("JP")
    assert read == ["index.json", "jp.json"]
