"""Rule sets: everything that a ruling follows from is pinned by digest, and can be read back from documents alone."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from chalicelib.domain.audit.rulesets import digest_of, document_of, parts_of
from chalicelib.domain.compliance import PackSet, load_packs, rule, rule_set
from chalicelib.domain.compliance.authoring import compile_rules, compiled_text
from chalicelib.domain.compliance.documents import DocumentMissing, NotLaw, packs_of, shipped_documents
from chalicelib.domain.compliance.packs import COMPILED, Pack
from chalicelib.domain.compliance.replay import Replayer, Unreplayable, ruling_bytes
from tests.rules.casebook import dossier_of


def a_dossier(base: str = "in.sms.s1", at: str = "2026-11-24T06:00:00Z") -> dict[str, Any]:
    return dossier_of({"rule": "x", "id": "x", "base": base, "at": at, "set": {}})


def shipped(digest: str) -> bytes | None:
    return shipped_documents([digest], load_packs()).get(digest)


def test_a_rule_set_names_each_part_by_the_digest_of_its_document() -> None:
    packs = load_packs()
    ruling = rule(a_dossier(), packs)
    named = rule_set(ruling, packs)
    assert named["zone_data"] == ruling["zone_data"]
    assert [pack[0] for pack in named["packs"]] == sorted(pack["id"] for pack in ruling["packs"])
    found = shipped_documents(parts_of(named), packs)
    assert found.keys() == parts_of(named)
    assert all(hashlib.sha256(raw).hexdigest() == digest for digest, raw in found.items())


def test_the_digest_is_of_the_document_and_of_nothing_else() -> None:
    named = rule_set(rule(a_dossier(), load_packs()), load_packs())
    assert digest_of(named) == hashlib.sha256(document_of(named)).hexdigest()
    assert document_of(json.loads(document_of(named))) == document_of(named)
    for part in ("atlas", "engine", "packs", "zone_data"):
        assert digest_of({**named, part: "other"}) != digest_of(named)


def test_a_digest_of_other_packs_is_left_out() -> None:
    assert shipped_documents(["00" * 32], load_packs()) == {}


def test_documents_alone_give_the_same_ruling() -> None:
    packs = load_packs()
    dossier = a_dossier()
    ruling = rule(dossier, packs)
    law, house = packs_of(rule_set(ruling, packs), shipped)
    assert house == {}
    again = rule(dossier, law)
    assert ruling_bytes(again) == ruling_bytes(ruling)


def test_a_lenders_house_packs_are_replayed_beside_the_law() -> None:
    packs, dossier = load_packs(), a_dossier()
    texts = [compiled_text(compile_rules([], ident=f"HOUSE-{n}", version="1", name="own", enforce=["X"])) for n in "21"]
    own = {hashlib.sha256(text.encode()).hexdigest(): text.encode() for text in texts}
    house = [Pack(json.loads(raw), digest) for digest, raw in own.items()]
    ruling = rule(dossier, packs, house)
    named = rule_set(ruling, packs)
    assert Replayer(lambda digest: own.get(digest) or shipped(digest)).replay(dossier, ruling, named) is None
    with pytest.raises(Unreplayable):
        Replayer(shipped).replay(dossier, ruling, named)


def test_a_document_that_is_not_what_its_digest_says_is_refused() -> None:
    named = rule_set(rule(a_dossier(), load_packs()), load_packs())
    with pytest.raises(DocumentMissing):
        packs_of(named, lambda digest: (shipped(digest) or b"") + b" ")
    with pytest.raises(DocumentMissing):
        packs_of(named, lambda digest: None)


def test_nothing_may_rest_on_packs_that_are_only_supposed_to_be_law() -> None:
    packs = load_packs()
    ruling = rule(a_dossier(), packs)
    for supposed in (PackSet(shadow=True), packs_of(rule_set(ruling, packs), shipped)[0]):
        with pytest.raises(NotLaw):
            rule_set(ruling, supposed)


def test_a_replay_says_what_this_machine_lacks() -> None:
    packs, dossier = load_packs(), a_dossier()
    ruling = rule(dossier, packs)
    named = rule_set(ruling, packs)
    for part, value, what in (("engine", 0, "engine"), ("zone_data", "1970a", "zone_data"), ("atlas", "00" * 32, "documents")):  # fmt: skip
        with pytest.raises(Unreplayable) as lack:
            Replayer(shipped).replay(dossier, ruling, {**named, part: value})
        assert lack.value.what == what


def test_a_replay_tells_a_ruling_of_other_bytes_by_its_rules() -> None:
    packs, dossier = load_packs(), a_dossier()
    ruling = rule(dossier, packs)
    replayer = Replayer(shipped)
    assert replayer.replay(dossier, ruling, rule_set(ruling, packs)) is None
    altered = {**ruling, "verdict": "deny", "rules": [*ruling["rules"], {"id": "XX-NOT-1"}]}
    found = replayer.replay(dossier, altered, rule_set(ruling, packs))
    assert found is not None
    assert found.as_json() == {
        "verdict": ["deny", ruling["verdict"]],
        "rules_gone": ["XX-NOT-1"],
        "rules_new": [],
        "members": ["rules", "verdict"],
    }


def test_a_past_pack_of_the_tree_replays_when_the_archive_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = {**json.loads((COMPILED / "in.json").read_text()), "version": "1999-01-01"}
    raw = (json.dumps(old, ensure_ascii=False, sort_keys=True, separators=(",", ":")) + "\n").encode()
    digest = hashlib.sha256(raw).hexdigest()
    monkeypatch.setattr("chalicelib.domain.compliance.documents.PAST", tmp_path)
    assert shipped(digest) is None
    (tmp_path / f"{digest}.json").write_bytes(raw)
    assert shipped(digest) == raw
