"""Packs are validated when they are built, compiled as shipped, and refuse what they do not know."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chalicelib.domain.compliance import load_packs, rule, ruleset_digest
from chalicelib.domain.compliance.packs import PackSet
from scripts import coverage
from scripts import packs as build
from tests.rules.casebook import dossier_of


def test_a_malformed_rule_file_is_refused_by_file_and_rule(tmp_path: Path) -> None:
    folder = tmp_path / "xx"
    folder.mkdir()
    (folder / "pack.toml").write_text('id = "XX"\nversion = "1"\nname = "Nowhere"\ncountries = ["XX"]\n')
    (folder / "one.toml").write_text('[[rule]]\nid = "XX-TEST-1"\nshape = "guess"\n')
    with pytest.raises(build.Malformed, match=r"xx/one.toml XX-TEST-1 /0: lacks checked, citation"):
        build.authored(folder, {})


def test_compiled_packs_are_what_the_law_compiles_to() -> None:
    assert list(build.stale()) == []


def test_coverage_page_lists_every_rule() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "coverage-of-law.md").read_text(encoding="utf-8")
    assert page == build.table()


def test_every_row_of_law_is_a_rule_or_says_why_not() -> None:
    listed = coverage.rows(build.SOURCE / "rows.toml")
    rules = [data for name in load_packs().index for data in load_packs().pack(name).data["rules"]]
    assert coverage.faults(listed, rules) == []
    assert len(listed) >= 300
    for row in listed:
        if "fate" not in row:
            gone = [data for data in rules if data["id"] not in row.get("rules", [row["id"]])]
            assert coverage.faults(listed, gone), row["id"]
    for name in {data["id"] for data in rules if "HOUSE-" not in data["id"]}:
        without = [row for row in listed if "fate" in row or name not in row.get("rules", [row["id"]])]
        assert f"{name}: there is no row for this rule" in coverage.faults(without, rules)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"table": "cn 2.1", "id": "CN-NO-1"}, "no rule"),
        ({"table": "cn 2.1", "id": "CN-HOURS-1"}, "stands twice"),
        ({"table": "cn 9", "id": "A duty", "fate": "duty"}, "says why"),
        ({"table": "cn 9", "id": "A duty", "fate": "gone", "why": {"en": "a", "zh": "b"}}, "says why"),
        ({"table": "cn 9", "id": "CN-HOURS-1", "fate": "duty", "why": {"en": "a", "zh": "b"}}, "says it has none"),
    ],
)
def test_a_bad_row_is_told(row: dict[str, Any], says: str) -> None:
    rules = [data for name in load_packs().index for data in load_packs().pack(name).data["rules"]]
    [fault] = coverage.faults([*coverage.rows(build.SOURCE / "rows.toml"), row], rules)
    assert says in fault


def test_known_drafts_and_weak_memories_run_in_shadow() -> None:
    for name in load_packs().index:
        for data in load_packs().pack(name).data["rules"]:
            if data["grade"] == "draft" or data["source"] == "memory (weak)" or data["id"] == "US-TCPA-HOURS":
                assert data["status"] == "shadow", data["id"]
            else:
                assert data["status"] == "enforced", data["id"]


def test_no_rule_was_published_after_it_came_into_force() -> None:
    for name in load_packs().index:
        for data in load_packs().pack(name).data["rules"]:
            if data.get("published"):
                assert data["published"] <= data["from"], data["id"]


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
