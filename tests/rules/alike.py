"""Rules written out as one function, and read back from a stored record, say what their closures say."""

from typing import Any

from chalicelib.domain.compliance import PackSet, check_dossier
from chalicelib.domain.compliance.decision import Decision, judge
from chalicelib.domain.compliance.record import prepare, read

ASKED, WRITTEN = PackSet(), PackSet()
ASKED.written_after, WRITTEN.written_after = 10**9, 0


def decided(dossier: dict[str, Any], packs: PackSet) -> Decision:
    """Return the decision on a dossier under packs."""
    return judge(prepare(check_dossier(dossier)), packs)


def assert_alike(dossier: dict[str, Any]) -> None:
    """Hold what is written out, from the dossier and from its stored record, against the closures."""
    asked, written = decided(dossier, ASKED), decided(dossier, WRITTEN)
    ruling = asked.ruling()
    assert written.ruling() == ruling
    stored = read(prepare(dossier).stored())
    assert judge(stored, WRITTEN).ruling() == ruling
    assert stored.dossier == dossier
    held_back = [row for row in written.rows() if not row[1]]
    assert {row[0] for row in held_back} == {
        each["id"] for each in ruling["rules"] if each["effect"] in ("deny", "require", "review", "defer")
    }
