"""The documents behind a rule set's digest, for an archive that must be understood without this code."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from itertools import combinations

from chalicelib.domain.compliance.packs import COMPILED, PackSet

MOST_PACKS = 3
"""Packs that one ruling can rest on at the most for its document to be found: places of residence on one file."""


def rule_set_documents(digests: Iterable[str], packs: PackSet) -> dict[str, bytes]:
    """Return, by SHA-256 (hex), the list of packs behind each digest that these packs make, and the packs themselves.

    A digest of other packs than those shipped with this code is left out: its document was archived when it was new.
    """
    wanted = set(digests)
    found: dict[str, bytes] = {}
    named = [[ident, entry["version"], entry["sha256"]] for ident, entry in sorted(packs.index.items())]
    for size in range(MOST_PACKS + 1):
        for chosen in combinations(named, size):
            if not wanted - found.keys():
                return found
            document = json.dumps(sorted(chosen), separators=(",", ":")).encode()
            digest = hashlib.sha256(document).hexdigest()
            if digest in wanted:
                found[digest] = document
                found |= _packs(packs, [ident for ident, _, _ in chosen])
    return found


def _packs(packs: PackSet, idents: Iterable[str]) -> Mapping[str, bytes]:
    files = {packs.index[ident]["sha256"]: packs.index[ident]["file"] for ident in idents}
    return {digest: (COMPILED / file).read_bytes() for digest, file in files.items()}
