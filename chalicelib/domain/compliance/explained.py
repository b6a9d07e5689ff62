"""A ruling with everything that a person needs to understand it: the rules that fired and that only watch, with notes."""

from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.domain.compliance.engine import fired, rule
from chalicelib.domain.compliance.packs import Pack, PackSet


def explained(dossier: Mapping[str, Any], packs: PackSet, house: Sequence[Pack] = ()) -> dict[str, Any]:
    """Return ``{ruling, rules, shadow}`` of a dossier: the very ruling that ``rule`` gives, with its rules annotated.

    ``rules`` are those that fired, ``shadow`` those that would fire if they were enforced, which decide nothing; each
    also carries the authored ``note``. Raises DossierError when the dossier is malformed.
    """
    ruling = rule(dossier, packs, house)
    laws = fired(dossier, packs, house)
    rules, shadow = (
        [{**entry, "note": dict(laws[entry["id"], entry["because"]]["note"])} for entry in ruling[part]]
        for part in ("rules", "shadow")
    )
    return {"ruling": ruling, "rules": rules, "shadow": shadow}
