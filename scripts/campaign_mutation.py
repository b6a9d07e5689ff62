"""Change the law, one thing at a time, and see that a vector tells the difference; then the engine.

    python -m scripts.campaign_mutation                   every mutant of every pack, then of the engine
    python -m scripts.campaign_mutation --only packs --sample 500 --seed 7

Prints how many mutants were killed and which survived; the exit status is 1 when one of the packs survived that
``scripts/equivalent_mutants.toml`` does not argue to mean the same. What survives in the engine is told, not judged.
"""

import argparse
import copy
import multiprocessing
import random
import sys
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from chalicelib.domain.compliance.engine import decide
from chalicelib.domain.compliance.form import check_dossier
from chalicelib.domain.compliance.packs import Pack, PackSet, Rule
from chalicelib.domain.compliance.record import prepare
from scripts import engine_mutants
from scripts.pack_mutants import Mutant, mutants
from tests.rules.casebook import asked, dossier_of, seen, vectors

ARGUED = Path(__file__).with_name("equivalent_mutants.toml")


class Vector:
    """One vector, its dossier checked once, and what must come out."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.rule: str = data["rule"]
        self.shadow = bool(data.get("shadow"))
        self.record = prepare(check_dossier(dossier_of(data)))
        self.wanted = asked(data)

    def holds(self, packs: PackSet) -> bool:
        """Tell whether the ruling is what the vector says."""
        return seen(decide(self.record, packs), self.wanted) == self.wanted


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


def _progress(number: int, size: int, left: int) -> None:
    if number % 25 == 0 or number == size:
        filled = 30 * number // size
        bar = "#" * filled + "." * (30 - filled)
        print(f"\r[{bar}] {number} of {size} mutants, {left} survived", end="", file=sys.stderr)


def of_packs(size: int | None, seed: int, processes: int) -> bool:
    """Judge the mutants of the packs and print what came of it; tell whether every one was told or argued away."""
    every = list(Bench().mutants())
    names = {mutant.name for mutant in every}
    chosen = sampled(every, size, seed)
    reasons = argued()
    survivors: set[str] = set()
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for number, (name, killed) in enumerate(pool.imap_unordered(_judge, chosen, chunksize=8), 1):
            if not killed:
                survivors.add(name)
            _progress(number, len(chosen), len(survivors))
    print(file=sys.stderr)
    unexplained = sorted(survivors - reasons.keys())
    for name in unexplained:
        print(f"survived: {name}")
    wrong = sorted(reasons.keys() - names)
    if size is None:
        wrong += sorted(reasons.keys() & names - survivors)
    for name in wrong:
        print(f"argued to mean the same, but killed or no mutant: {name}")
    same = len(survivors & reasons.keys())
    _count("packs", len(chosen) - same, len(unexplained), same)
    return not unexplained and not wrong


def _count(what: str, judged: int, left: int, same: int = 0) -> None:
    share = 100 * (judged - left) / judged if judged else 100.0
    print(f"{what}: {judged - left} of {judged} mutants killed ({share:.1f} %), {left} survived, {same} mean the same")


_examples: list[engine_mutants.Example] = []
_reached: dict[tuple[str, int], list[int]] = {}


def _judge_engine(task: tuple[engine_mutants.EngineMutant, bool]) -> tuple[str, str | None]:
    mutant, tests = task
    found = _reached.get((mutant.module, mutant.line), [])
    # The first and the last few hundred that run the line; most mutants fall to the first few.
    chosen = found[:150] + found[150:][-150:]
    return mutant.name, engine_mutants.told_apart(mutant, [_examples[index] for index in chosen], tests=tests)


def of_engine(size: int | None, seed: int, processes: int, *, tests: bool) -> None:
    """Judge the mutants of the engine and print what came of it."""
    for data in vectors():
        _examples.append((dossier_of(data), bool(data.get("shadow")), asked(data)))
    print("looking which vectors run which line", file=sys.stderr)
    _reached.update(engine_mutants.reached(_examples))
    every = list(engine_mutants.mutants())
    chosen = every if size is None or size >= len(every) else random.Random(seed).sample(every, size)
    by: Counter[str] = Counter()
    with multiprocessing.get_context("fork").Pool(processes, maxtasksperchild=1) as pool:
        tasks = [(mutant, tests) for mutant in chosen]
        for number, (name, told) in enumerate(pool.imap_unordered(_judge_engine, tasks, chunksize=1), 1):
            by[told or "survived"] += 1
            if told is None:
                print(f"survived: {name}")
            _progress(number, len(chosen), by["survived"])
    print(file=sys.stderr)
    print(f"engine: told by {dict(by)}")
    _count("engine", len(chosen), by["survived"])


def main() -> int:
    """Judge the mutants and print the count; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", choices=("packs", "engine"))
    parser.add_argument("--sample", type=int, help="judge so many mutants of each, drawn by --seed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--no-tests", action="store_true", help="engine: vectors alone, not the quick tests")
    options = parser.parse_args()
    good = True
    if options.only != "engine":
        good = of_packs(options.sample, options.seed, options.processes)
    if options.only != "packs":
        of_engine(options.sample, options.seed, options.processes, tests=not options.no_tests)
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
