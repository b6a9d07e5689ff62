"""The Merkle tree of RFC 6962 (and RFC 9162) over SHA-256: leaf, node, growing edge, proofs and their verification."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()
"""The root of the tree without leaves."""

ReadSubtree = Callable[[int, int], bytes]
"""Takes (height, index) and returns the root of the perfect subtree of 2**height leaves that begins at
leaf index * 2**height."""


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of a leaf: SHA-256 of 0x00 and the entry."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node: SHA-256 of 0x01 and both children."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Frontier:
    """The roots of the perfect subtrees that a tree of ``size`` leaves consists of, the largest (leftmost) first.

    That is all one needs to go on appending: one hash for each bit that is set in ``size``, so at most 64.
    """

    size: int = 0
    hashes: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError when the number of hashes does not belong to the size."""
        if self.size < 0 or len(self.hashes) != self.size.bit_count():
            raise ValueError(f"{len(self.hashes)} hashes cannot be the frontier of {self.size} leaves")

    def extended(self, leaves: Iterable[bytes]) -> "Frontier":
        """Return the frontier after appending these leaf hashes in order."""
        stack, size = list(self.hashes), self.size
        for node in leaves:
            height = size
            # As many carries as there are trailing ones: each joins two equal subtrees.
            while height & 1:
                node = node_hash(stack.pop(), node)
                height >>= 1
            stack.append(node)
            size += 1
        return Frontier(size, tuple(stack))

    def root(self) -> bytes:
        """Return the tree's root."""
        return _folded(self.hashes) if self.hashes else EMPTY_ROOT


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Return the root over these leaf hashes."""
    return Frontier().extended(leaves).root()


def perfect_root(leaves: Sequence[bytes]) -> bytes:
    """Return the root over a number of hashes that is a power of two. Raises ValueError for any other number."""
    if len(leaves).bit_count() != 1:
        raise ValueError("a perfect subtree has a power of two of leaves")
    level = list(leaves)
    while len(level) > 1:
        level = [node_hash(level[place], level[place + 1]) for place in range(0, len(level), 2)]
    return level[0]


def perfect_subtrees(start: int, end: int) -> list[tuple[int, int]]:
    """Return (height, index) of the perfect subtrees that make up the leaves [start, end), from left to right.

    ``start`` must be aligned as a subtree of RFC 6962 is: a multiple of the largest power of two not above the length.
    """
    parts, place = [], start
    while place < end:
        height = (end - place).bit_length() - 1
        parts.append((height, place >> height))
        place += 1 << height
    return parts


def range_root(start: int, end: int, read: ReadSubtree) -> bytes:
    """Return MTH(D[start:end]) of RFC 6962 for a range that stands in the tree as a subtree."""
    return _folded([read(height, index) for height, index in perfect_subtrees(start, end)])


def root_at(size: int, read: ReadSubtree) -> bytes:
    """Return the root of the first ``size`` leaves."""
    return range_root(0, size, read) if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, read: ReadSubtree) -> list[bytes]:
    """Return PATH(index, D[size]), the hashes from the leaf's sibling up. Raises ValueError unless index < size."""
    if not 0 <= index < size:
        raise ValueError(f"no leaf {index} in a tree of {size}")
    proof, start, end = [], 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            proof.append(range_root(middle, end, read))
            end = middle
        else:
            proof.append(range_root(start, middle, read))
            start = middle
    return proof[::-1]


def consistency_proof(old: int, new: int, read: ReadSubtree) -> list[bytes]:
    """Return PROOF(old, D[new]); empty when the sizes are equal or the old tree is empty. Raises ValueError if old > new."""
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {new} leaves does not extend one of {old}")
    if old in (0, new):
        return []
    proof, start, end, whole = [], 0, new, True
    # SUBPROOF of RFC 6962 2.1.2 without its recursion: ``old`` stays the end of the old tree.
    while end != old:
        middle = start + _split(end - start)
        if old <= middle:
            proof.append(range_root(middle, end, read))
            end = middle
        else:
            proof.append(range_root(start, middle, read))
            start, whole = middle, False
    if not whole:
        proof.append(range_root(start, end, read))
    return proof[::-1]


def inclusion_holds(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Tell whether the proof shows the leaf hash at ``index`` of the tree with this size and root (RFC 9162 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    place, last, node = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            node = node_hash(sibling, node)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and node == root


def consistency_holds(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Tell whether the proof shows that the new tree begins with the old one (RFC 9162 2.1.4.2)."""
    if old == new:
        return not proof and old_root == new_root
    if old == 0:
        return not proof and old_root == EMPTY_ROOT
    if not 0 < old < new or not proof:
        return False
    hashes = list(proof)
    if old.bit_count() == 1:
        hashes.insert(0, old_root)
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    from_old = from_new = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            from_old, from_new = node_hash(sibling, from_old), node_hash(sibling, from_new)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            from_new = node_hash(from_new, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and from_old == old_root and from_new == new_root


def _split(length: int) -> int:
    """Return the largest power of two below ``length``."""
    return 1 << (length - 1).bit_length() - 1


def _folded(subtrees: Sequence[bytes]) -> bytes:
    node = subtrees[-1]
    for left in reversed(subtrees[:-1]):
        node = node_hash(left, node)
    return node
