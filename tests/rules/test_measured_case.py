"""What `make bench` measures is right before it is fast: the engine breaks the rules that plain Python breaks."""

import pytest

from chalicelib.domain.compliance import check_dossier
from chalicelib.domain.compliance.decision import judge
from chalicelib.domain.compliance.packs import GivenPacks
from chalicelib.domain.compliance.record import prepare, read
from scripts.peers import cases, ours, plain
from scripts.peers.engines import CEL


@pytest.mark.parametrize("contacts", [0, 20, 200])
def test_engine_and_plain_python_break_the_same_rules_and_all_26_are_explained(contacts: int) -> None:
    decide = ours.decider()
    broken_somewhere: set[str] = set()
    for dossier in cases.dossiers(200, contacts):
        verdict, rows, following = decide(read(prepare(check_dossier(dossier)).stored()))
        broken = sorted({row[0] for row in rows if not row[1]})
        assert broken == sorted(plain.decide_dossier(dossier))
        assert {row[0] for row in rows} == set(CEL)
        assert (verdict == "allow") is (not broken)
        assert verdict == "defer" or following is None
        broken_somewhere.update(broken)
    assert {"H1", "W1", "W2", "O1", "O3", "T2", "T3", "K1", "K2"} <= broken_somewhere
    assert (contacts == 0) is broken_somewhere.isdisjoint({"C1", "C2", "C3"})


def test_the_next_allowed_instant_is_the_first_minute_that_is_allowed() -> None:
    packs = GivenPacks([("0" * 64, ours.compiled())], ours.NO_ZONES)
    decide, seen = ours.decider(), 0
    for dossier in cases.dossiers(60, 20):
        verdict, _, following = decide(prepare(dossier))
        if verdict != "defer":
            continue
        assert following is not None
        for later, allowed in ((following, "allow"), (following - 1, "defer")):
            assert judge(prepare({**dossier, "at": cases.text(later)}), packs).verdict == allowed
        seen += 1
    assert seen > 5
