"""The tree of RFC 6962, held against the recursive text of the RFC and against an unrelated implementation."""

import hashlib
from functools import cache

import pymerkle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.audit import merkle

ENTRIES = [f"entry {number}".encode() for number in range(400)]
LEAVES = [merkle.leaf_hash(entry) for entry in ENTRIES]
SIZES = [0, 1, 2, 3, 4, 5, 6, 7, 8, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 300]


def mth(entries: tuple[bytes, ...]) -> bytes:
    """Return MTH as section 2.1 of RFC 6962 defines it."""
    if not entries:
        return hashlib.sha256(b"").digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    k = 1
    while k * 2 < len(entries):
        k *= 2
    return hashlib.sha256(b"\x01" + mth(entries[:k]) + mth(entries[k:])).digest()


@cache
def subtree(height: int, index: int) -> bytes:
    return mth(tuple(ENTRIES[index << height : (index + 1) << height]))


@pytest.mark.parametrize("size", SIZES)
def test_frontier_and_brute_force_give_the_same_root(size: int) -> None:
    assert merkle.root_of(LEAVES[:size]) == mth(tuple(ENTRIES[:size])) == merkle.root_at(size, subtree)


@pytest.mark.parametrize("size", [size for size in SIZES if size])
def test_an_unrelated_implementation_gives_the_same_root(size: int) -> None:
    tree = pymerkle.InmemoryTree(algorithm="sha256")
    for entry in ENTRIES[:size]:
        tree.append_entry(entry)
    assert tree.get_root() == merkle.root_of(LEAVES[:size])


def test_the_known_roots_of_the_certificate_transparency_test_data() -> None:
    inputs = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    roots = {
        1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    }
    for size, root in roots.items():
        assert merkle.root_of([merkle.leaf_hash(bytes.fromhex(each)) for each in inputs[:size]]).hex() == root


def test_the_empty_tree_has_the_hash_of_nothing() -> None:
    assert merkle.Frontier().root() == hashlib.sha256(b"").digest()


@pytest.mark.parametrize("size", SIZES)
def test_a_frontier_continues_where_it_stopped(size: int) -> None:
    stopped = merkle.Frontier().extended(LEAVES[:size])
    again = merkle.Frontier(stopped.size, stopped.hashes)
    assert again.extended(LEAVES[size:]) == merkle.Frontier().extended(LEAVES)
    assert len(stopped.hashes) == size.bit_count()


def test_a_frontier_whose_hashes_do_not_fit_its_size_is_refused() -> None:
    with pytest.raises(ValueError, match="frontier"):
        merkle.Frontier(3, (LEAVES[0],))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 64, 65, 100])
def test_every_inclusion_proof_holds_and_only_for_its_leaf(size: int) -> None:
    root = merkle.root_of(LEAVES[:size])
    for index in range(size):
        proof = merkle.inclusion_proof(index, size, subtree)
        assert merkle.inclusion_holds(LEAVES[index], index, size, proof, root)
        assert not merkle.inclusion_holds(LEAVES[index + 1], index, size, proof, root)
        assert not merkle.inclusion_holds(LEAVES[index], index, size, [*proof, LEAVES[0]], root)
        assert not merkle.inclusion_holds(LEAVES[index], size, size, proof, root)
        if size > 1:
            assert not merkle.inclusion_holds(LEAVES[index], (index + 1) % size, size, proof, root)
            assert not merkle.inclusion_holds(LEAVES[index], index, size, proof[:-1], root)


def test_every_consistency_proof_up_to_seventy_holds() -> None:
    roots = [merkle.root_of(LEAVES[:size]) for size in range(71)]
    for new in range(71):
        for old in range(new + 1):
            proof = merkle.consistency_proof(old, new, subtree)
            assert merkle.consistency_holds(old, roots[old], new, roots[new], proof)
            if old and old != new:
                assert not merkle.consistency_holds(old, roots[old - 1], new, roots[new], proof)
                assert not merkle.consistency_holds(old, roots[old], new, roots[old], proof)
                assert not merkle.consistency_holds(old, roots[old], new, roots[new], proof[:-1])


@given(old=st.integers(1, 399), new=st.integers(2, 400), place=st.integers(0, 31), bit=st.integers(0, 7))
@settings(max_examples=150, deadline=None)
def test_a_consistency_proof_with_one_flipped_bit_fails(old: int, new: int, place: int, bit: int) -> None:
    old, new = min(old, new - 1), max(old + 1, new)
    proof = merkle.consistency_proof(old, new, subtree)
    old_root, new_root = merkle.root_of(LEAVES[:old]), merkle.root_of(LEAVES[:new])
    assert merkle.consistency_holds(old, old_root, new, new_root, proof)
    for number, node in enumerate(proof):
        changed = bytearray(node)
        changed[place] ^= 1 << bit
        assert not merkle.consistency_holds(
            old, old_root, new, new_root, [*proof[:number], bytes(changed), *proof[number + 1 :]]
        )


def test_a_proof_cannot_be_asked_for_what_is_not_there() -> None:
    with pytest.raises(ValueError, match="no leaf"):
        merkle.inclusion_proof(5, 5, subtree)
    with pytest.raises(ValueError, match="does not extend"):
        merkle.consistency_proof(6, 5, subtree)
    with pytest.raises(ValueError, match="power of two"):
        merkle.perfect_root(LEAVES[:3])


def test_a_smaller_or_empty_proof_between_different_sizes_fails() -> None:
    root = merkle.root_of(LEAVES[:4])
    assert not merkle.consistency_holds(4, root, 3, root, [])
    assert not merkle.consistency_holds(3, root, 4, root, [])
    assert not merkle.consistency_holds(0, root, 4, root, [])
    assert merkle.consistency_holds(0, merkle.EMPTY_ROOT, 4, root, [])
    assert not merkle.consistency_holds(4, root, 4, LEAVES[0], [])
