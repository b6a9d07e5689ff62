"""A sample of the changed law: each change is told by a vector, or argued by name to mean the same."""

import pytest

from chalicelib.domain.compliance.packs import PackSet
from scripts.campaign_mutation import Bench, argued, sampled
from scripts.pack_mutants import Mutant, mutants

SIZE, SEED = 60, 20261128


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench()


@pytest.fixture(scope="module")
def every(bench: Bench) -> list[Mutant]:
    return list(bench.mutants())


def test_a_sample_of_the_changed_law_is_told_by_vectors(bench: Bench, every: list[Mutant]) -> None:
    reasons = argued()
    chosen = [mutant for mutant in sampled(every, SIZE, SEED) if mutant.name not in reasons]
    assert [mutant.name for mutant in chosen if not bench.killed(mutant)] == []


def test_names_are_unlike_and_arguments_are_of_mutants(every: list[Mutant]) -> None:
    names = [mutant.name for mutant in every]
    assert len(names) == len(set(names)) > 5_000
    assert argued().keys() <= set(names)
    assert all(len(why) > 20 for why in argued().values())


def test_mutants_leave_out_and_shift_what_a_rule_holds() -> None:
    told = {
        mutant.name.partition(": ")[2] for mutant in mutants(PackSet().pack("CN").data) if "/CN-FREQ-1#" in mutant.name
    }
    assert {
        "removed", "cap 3 to 2", "cap 3 to 4", "days 1 to 2", "by lender to org", "no channels", "unit answered to attempt",
        "effect review", "when not to", "when to without heir", "from by +1 day", "from by -1 day", "no from",
    } <= told  # fmt: skip


def test_a_law_that_no_vector_tells_survives(bench: Bench, every: list[Mutant]) -> None:
    """The bench itself: without the vectors of a rule its mutants survive."""
    mutant = next(each for each in every if each.name.endswith("HK-DCA-NOTICE#0 notice: removed"))
    assert bench.killed(mutant)
    kept = bench.of_pack["HK"]
    try:
        bench.of_pack["HK"] = [vector for vector in kept if "HK-DCA-NOTICE" not in vector.wanted["fires"]]
        assert not bench.killed(mutant)
    finally:
        bench.of_pack["HK"] = kept
