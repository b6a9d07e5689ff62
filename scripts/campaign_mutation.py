"""Change the law, one thing at a time, and see that a vector tells the difference.

    python -m scripts.campaign_mutation                   every mutant of every pack, then of the engine
    python -m scripts.campaign_mutation --only packs --sample 500 --seed 7

Prints how many mutants were killed and which survived; the exit status is 1 when one survived that
``scripts/equivalent_mutants.toml`` does not argue to mean the same.
"""

import argparse
import copy
import multiprocessing
import random
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from chalicelib.domain.compliance.engine import decide
from chalicelib.domain.compliance.form import check_dossier
from chalicelib.domain.compliance.packs import Pack, PackSet, Rule
from chalicelib.domain.compliance.record import prepare
from scripts.pack_mutants import Mutant, mutants
from tests.rules.casebook import dossier_of, vectors

ARGUED = Path(__file__).with_name("equivalent_mutants.toml")


class Vector:
    """One vector, its dossier checked once, and what must come out."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.rule: str = data["rule"]
        self.shadow = bool(data.get("shadow"))
        self.record = prepare(check_dossier(dossier_of(data)))
        self.wanted = (data["verdict"], sorted(data["fires"]), data.get("next"), data.get("missing", []))
        self.not_after = data.get("not_after", "")

    def holds(self, packs: PackSet) -> bool:
        """Tell whether the ruling is what the vector says."""
        ruling = decide(self.record, packs)
        fired = sorted({each["id"] for each in ruling["rules"]})
        seen = (ruling["verdict"], fired, ruling["next_allowed_at"], ruling["missing"])
        return seen == self.wanted and self.not_after in ("", ruling["not_after"])


class Bench:
    """The shipped packs and every vector; judges mutants one after another."""

    def __init__(self) -> None:
        self.packs = {shadow: PackSet(shadow=shadow) for shadow in (False, True)}
        self.vectors = [Vector(data) for data in vectors()]
        self.of_pack: dict[str, list[Vector]] = defaultdict(list)
        for vector in self.vectors:
            for pack in self.packs[True].chosen(vector.record.case):
                self.of_pack[pack.ident].append(vector)

    def mutants(self) -> Iterator[Mutant]:
        """Yield every mutant of every pack."""
        for ident in self.packs[True].index:
            yield from mutants(self.packs[True].pack(ident).data)

    def changed(self, mutant: Mutant, *, shadow: bool) -> PackSet:
        """Return the packs with one of them mutated."""
        base = self.packs[shadow]
        packs = copy.copy(base)
        pack = base.pack(mutant.pack_id)
        data = {**pack.data, **mutant.pack}
        if mutant.place is not None:
            data["rules"] = [
                each if index != mutant.place else mutant.rule for index, each in enumerate(pack.data["rules"])
            ]
            data["rules"] = [each for each in data["rules"] if each is not None]
        altered = rebuilt(pack, data, shadow=shadow)
        packs._packs = {**base._packs, pack.ident: altered}
        packs._chosen, packs.programs, packs.housed = {}, {}, {}
        if "countries" in mutant.pack or "currencies" in mutant.pack:
            entry = {**base.index[pack.ident], "countries": data["countries"], "currencies": data["currencies"]}
            packs.index = {**base.index, pack.ident: entry}
        return packs

    def killed(self, mutant: Mutant) -> bool:
        """Tell whether a vector comes out otherwise under a mutant."""
        changed: dict[bool, PackSet] = {}
        named = mutant.name.partition("/")[2].partition("#")[0]
        of_pack = self.vectors if "countries" in mutant.pack or "currencies" in mutant.pack else None
        for own in (True, False):
            for vector in of_pack or self.of_pack[mutant.pack_id]:
                if (vector.rule == named) is own:
                    if vector.shadow not in changed:
                        changed[vector.shadow] = self.changed(mutant, shadow=vector.shadow)
                    if not vector.holds(changed[vector.shadow]):
                        return True
        return False


def rebuilt(pack: Pack, data: dict[str, Any], *, shadow: bool) -> Pack:
    """Return a pack of other data that keeps what the change does not touch: the rules as built, the lexicon."""
    built = {id(each.data): each for each in (*pack.rules, *pack.watched)}
    altered = copy.copy(pack)
    altered.data = data
    altered.cities = data["cities"]
    if data["calendars"] != pack.data["calendars"]:
        return Pack(data, pack.sha256, shadow=shadow)
    rules = [(each["status"], built[id(each)] if id(each) in built else Rule(each)) for each in data["rules"]]
    altered.rules = tuple(each for status, each in rules if shadow or status == "enforced")
    altered.watched = tuple(each for status, each in rules if not shadow and status == "shadow")
    altered._picked = {}
    return altered


_bench: Bench | None = None


def _judge(mutant: Mutant) -> tuple[str, bool]:
    global _bench
    if _bench is None:
        _bench = Bench()
    return mutant.name, _bench.killed(mutant)


def argued() -> dict[str, str]:
    """Return the mutants that mean the same as the law, by name, each with the reason."""
    with ARGUED.open("rb") as stream:
        return {each["mutant"]: each["why"] for each in tomllib.load(stream).get("equivalent", [])}


def sampled(every: Sequence[Mutant], size: int | None, seed: int) -> list[Mutant]:
    """Return all mutants, or so many of them drawn by the seed."""
    if size is None or size >= len(every):
        return list(every)
    return random.Random(seed).sample(list(every), size)


def main() -> int:
    """Judge the mutants and print the count; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sample", type=int, help="judge so many mutants, drawn by --seed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    every = list(Bench().mutants())
    chosen = sampled(every, options.sample, options.seed)
    reasons = argued()
    survivors: list[str] = []
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        for number, (name, killed) in enumerate(pool.imap_unordered(_judge, chosen, chunksize=8), 1):
            if not killed:
                survivors.append(name)
            if number % 50 == 0 or number == len(chosen):
                print(f"\r{number} of {len(chosen)} mutants, {len(survivors)} survived", end="", file=sys.stderr)
    print(file=sys.stderr)
    unexplained = sorted(set(survivors) - reasons.keys())
    for name in unexplained:
        print(f"survived: {name}")
    wrong = sorted(reasons.keys() - {mutant.name for mutant in every})
    if options.sample is None:
        wrong += sorted(reasons.keys() & {mutant.name for mutant in every} - set(survivors))
    for name in wrong:
        print(f"argued to mean the same, but killed or no mutant: {name}")
    same = len(set(survivors) & reasons.keys())
    judged = len(chosen) - same
    killed_share = 100 * (judged - len(unexplained)) / judged if judged else 100.0
    print(f"packs: {judged - len(unexplained)} of {judged} mutants killed ({killed_share:.1f} %), {same} mean the same")
    return 1 if unexplained or wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
