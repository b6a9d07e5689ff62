"""Packs are validated when they are built, compiled as shipped, and refuse what they do not know."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chalicelib.domain.compliance import load_packs, rule, rule_set
from chalicelib.domain.compliance.authoring import compiled_text
from chalicelib.domain.compliance.documents import shipped_documents
from chalicelib.domain.compliance.packs import PackSet
from chalicelib.domain.compliance.replay import Replayer
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


def test_what_was_shipped_stays_and_a_new_version_stands_beside_it(tmp_path: Path) -> None:
    past, files = build.Past(tmp_path), build.compiled()
    assert len(past.lacks(files)) == len(load_packs().index) + 1
    assert past.ship(files) == len(load_packs().index) + 1
    assert (past.ship(files), past.lacks(files)) == (0, [])
    kept = sorted(path.name for path in tmp_path.iterdir())
    newer = with_pack(files, "JP", version="2099-01-01", name="Japan, changed")
    past.check(newer)
    assert past.lacks(newer) == ["JP 2099-01-01"]
    assert past.ship(newer) == 1
    assert set(kept) < {path.name for path in tmp_path.iterdir()}
    past.check(files)


def test_a_version_that_was_shipped_never_changes(tmp_path: Path) -> None:
    past, files = build.Past(tmp_path), build.compiled()
    past.ship(files)
    with pytest.raises(build.Malformed, match="JP .* was shipped as"):
        past.check(with_pack(files, "JP", name="Japan, changed"))


def test_a_shipped_file_that_is_altered_or_gone_or_foreign_is_refused(tmp_path: Path) -> None:
    past, files = build.Past(tmp_path), build.compiled()
    past.ship(files)
    file = tmp_path / f"{load_packs().index['JP']['sha256']}.json"
    whole = file.read_bytes()
    file.write_bytes(whole + b" ")
    with pytest.raises(build.Malformed, match="gone or altered"):
        past.check(files)
    file.unlink()
    with pytest.raises(build.Malformed, match="gone or altered"):
        past.check(files)
    file.write_bytes(whole)
    past.check(files)
    (tmp_path / "draft.json").write_bytes(whole)
    with pytest.raises(build.Malformed, match="never was"):
        past.check(files)


def test_what_was_shipped_is_as_it_was() -> None:
    build.Past().check(build.compiled())


def test_a_past_version_still_gives_its_ruling_of_the_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = build.compiled()
    build.Past(tmp_path).ship(with_pack(files, "IN", version="1999-01-01"))
    monkeypatch.setattr("chalicelib.domain.compliance.documents.PAST", tmp_path)
    vector = {"rule": "x", "id": "x", "base": "in.sms.s1", "at": "2026-11-24T06:00:00Z", "set": {}}
    dossier, packs = dossier_of(vector), load_packs()
    ruling = rule(dossier, packs)
    old = [pack for pack in ruling["packs"] if pack["id"] == "IN"][0]
    old |= {"version": "1999-01-01", "sha256": build.Past(tmp_path).shipped()["IN"]["1999-01-01"]}
    named = rule_set(ruling, packs)
    read = Replayer(lambda digest: shipped_documents([digest], packs).get(digest))
    assert read.replay(dossier, ruling, named) is None


def with_pack(files: dict[str, str], ident: str, **changes: Any) -> dict[str, str]:
    """Return a compiled form in which one pack is another."""
    index = json.loads(files["index.json"])
    entry = index["packs"][ident]
    text = compiled_text({**json.loads(files[entry["file"]]), **changes})
    entry |= {"version": json.loads(text)["version"], "sha256": hashlib.sha256(text.encode()).hexdigest()}
    return {**files, entry["file"]: text, "index.json": json.dumps(index)}


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
