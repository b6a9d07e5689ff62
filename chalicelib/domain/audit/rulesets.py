"""Which documents a rule set's digest stands for, so that an old ruling can be replayed from the archive alone."""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, combinations

MOST_PACKS_TOGETHER = 4
"""How many packs one ruling is taken to rest on at most."""


@dataclass(frozen=True, slots=True)
class PackFile:
    """A pack as it was shipped: its id, its version and its bytes."""

    id: str
    version: str
    raw: bytes

    @property
    def sha256(self) -> str:
        """Return the digest of the bytes."""
        return hashlib.sha256(self.raw).hexdigest()


def rule_documents(packs: Collection[PackFile], wanted: Iterable[str]) -> Mapping[str, bytes]:
    """Return SHA-256 (hex) -> bytes for each wanted rule set that these packs make up, and for the packs in it.

    A rule set's document is the compact JSON list of ``[id, version, sha256]`` of its packs, in order; its digest is
    what a ruling names. A wanted digest that no combination of the packs has is left out.
    """
    sought, found = set(wanted), dict[str, bytes]()
    together = range(min(MOST_PACKS_TOGETHER, len(packs)) + 1)
    for chosen in chain.from_iterable(combinations(packs, count) for count in together):
        if not sought:
            break
        named = sorted([pack.id, pack.version, pack.sha256] for pack in chosen)
        document = json.dumps(named, separators=(",", ":")).encode()
        digest = hashlib.sha256(document).hexdigest()
        if digest in sought:
            sought.discard(digest)
            found[digest] = document
            found.update({pack.sha256: pack.raw for pack in chosen})
    return found
