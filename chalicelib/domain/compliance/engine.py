"""The ruling on one dossier: every rule that reaches it, the strictest wins, with the next allowed instant.

Each rule answers at an instant either with a finding that surely stands until some instant, or with the instant until
which it surely stays silent. The earliest allowed instant is then a fix-point: go to the last end of the findings that
stand, look again, and so on. Facts that begin or end later (a hold, a placement, a certificate) are turning points at
which everything is looked at again.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.domain.compliance.decision import judge
from chalicelib.domain.compliance.form import check_dossier
from chalicelib.domain.compliance.packs import Pack, PackSet
from chalicelib.domain.compliance.record import Record, prepare


def rule(dossier: Mapping[str, Any], packs: PackSet, house: Sequence[Pack] = ()) -> dict[str, Any]:
    """Return the ruling on a dossier under the given packs, and under a lender's house packs beside them.

    House packs only add findings, so the ruling with them is never looser than without. Pure: it depends on nothing but
    its arguments and the pinned zone data, and not on the order of lists that are ledgers. Raises DossierError when the
    dossier is malformed.
    """
    return decide(prepare(check_dossier(dossier)), packs, house)


def decide(record: Record, packs: PackSet, house: Sequence[Pack] = ()) -> dict[str, Any]:
    """Return the ruling on a record whose dossier was checked before it was prepared."""
    return judge(record, packs, house).ruling()


def fired(
    dossier: Mapping[str, Any], packs: PackSet, house: Sequence[Pack] = ()
) -> dict[tuple[str, str], Mapping[str, Any]]:
    """Return the authored data of each rule that a ruling names, shadow rules included, by its id and ``because``."""
    record = prepare(check_dossier(dossier))
    decision = judge(record, packs, house)
    findings = decision.program.findings(record, decision.seen)
    return {(law.ident, finding.because): law.data for law, finding in (*findings, *decision.program.watch(record))}
