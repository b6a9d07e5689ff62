"""Rule sets can be read back from their digests."""

import hashlib
import json

from chalicelib.domain.compliance import load_packs, ruleset_digest
from chalicelib.domain.compliance.documents import rule_set_documents


def named(*idents: str) -> list[dict[str, str]]:
    index = load_packs().index
    return [{"id": ident, "version": index[ident]["version"], "sha256": index[ident]["sha256"]} for ident in idents]


def test_a_rule_sets_document_and_its_packs_have_the_digests_that_name_them() -> None:
    for idents in (("CN",), ("CN", "US")):
        digest = ruleset_digest(named(*idents))
        found = rule_set_documents([digest], load_packs())
        assert all(hashlib.sha256(body).hexdigest() == name for name, body in found.items())
        assert [pack[0] for pack in json.loads(found[digest])] == list(idents)
        assert len(found) == 1 + len(idents)


def test_a_digest_of_other_packs_is_left_out() -> None:
    assert rule_set_documents(["00" * 32], load_packs()) == {}
