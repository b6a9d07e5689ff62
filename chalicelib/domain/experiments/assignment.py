"""Assignment by lot: a person's arm is a hash of the experiment's salt and the person, so that anyone can recompute it.

The same person is in the same arm of an experiment for good, whatever the order of arrival, and experiments with
different salts are independent of each other. Nothing about the person but the id enters the hash.
"""

import hashlib
from collections.abc import Sequence

SHARES = 10_000
"""Shares of arms are whole ten-thousandths and add up to this."""

_LABEL = b"forbear/experiment/1"


def lot_of(salt: str, person: str) -> int:
    """Return the person's lot, 0 to 9,999: SHA-256 of label, salt and person (a line feed between), first 8 bytes scaled.

    ``salt`` and ``person`` contain no line feed, so no two pairs make one text.

    >>> lot_of("salt", "per_1")
    722
    """
    digest = hashlib.sha256(b"\n".join((_LABEL, salt.encode(), person.encode()))).digest()
    return int.from_bytes(digest[:8], "big") * SHARES >> 64


def arm_of(salt: str, person: str, shares: Sequence[tuple[str, int]]) -> str:
    """Return the name of the person's arm; ``shares`` are (arm, ten-thousandths) in the order of the design.

    The first arm takes the lots [0, its share), the second the lots from there on. Raises ValueError when the shares
    do not add up to 10,000.
    """
    if sum(share for _, share in shares) != SHARES:
        raise ValueError("the shares of the arms do not add up to 10,000")
    lot, end = lot_of(salt, person), 0
    for name, share in shares:
        end += share
        if lot < end:
            return name
    raise AssertionError("a lot is below 10,000")
