"""Change the law, one thing at a time, and see that a vector tells the difference; then the engine.

    python -m scripts.campaign_mutation                   every mutant of every pack, then of the engine
    python -m scripts.campaign_mutation --only packs --sample 500 --seed 7

    python -m scripts.campaign_mutation --only engine --modules counts,hours --processes 1

Prints how many mutants were killed and which survived; the exit status is 1 when one survived that
``scripts/equivalent_mutants.toml`` (of the packs) or ``scripts/equivalent_engine_mutants.toml`` does not argue to mean
the same, or when one that is argued away was killed or does not exist. What the engine's mutants were told by is kept
under ``.local`` and tried first the next time.
"""

import argparse
import copy
import hashlib
import json
import multiprocessing
import random
import sys
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from chalicelib.domain.compliance.engine import decide
from chalicelib.domain.compliance.form import check_dossier
from chalicelib.domain.compliance.packs import Pack, PackSet, Rule
from chalicelib.domain.compliance.record import prepare
from scripts import engine_bench, engine_mutants
from scripts.engine_bench import Task
from scripts.engine_mutants import FOLDER, MODULES, EngineMutant
from scripts.pack_mutants import Mutant, mutants
from tests.rules.casebook import asked, dossier_of, seen, vectors

ARGUED = Path(__file__).with_name("equivalent_mutants.toml")
ARGUED_OF_ENGINE = Path(__file__).with_name("equivalent_engine_mutants.toml")


T = TypeVar("T")


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


def argued(path: Path = ARGUED) -> dict[str, str]:
    """Return the mutants that mean the same as the law, or as the engine, by name, each with the reason."""
    with path.open("rb") as stream:
        return {each["mutant"]: each["why"] for each in tomllib.load(stream).get("equivalent", [])}


def sampled(every: Sequence[T], size: int | None, seed: int) -> list[T]:
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


class Kept:
    """What earlier runs found out about the engine's mutants, in a file: it only decides what is tried.

    What told a mutant is tried first. What told nothing is not tried again while the mutant's module stays as it is.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.is_file() else {}

    def hint(self, mutant: EngineMutant) -> str | None:
        """Return what told a mutant before."""
        found: str | None = self._found.get(mutant.name, {}).get("told")
        return found

    def tried(self, mutant: EngineMutant) -> frozenset[str]:
        """Return the digests of the vectors and tests that did not tell a mutant of the same module."""
        found = self._found.get(mutant.name, {})
        return frozenset(found["tried"]) if found.get("of") == _module_digest(mutant.module) else frozenset()

    def note(self, mutant: EngineMutant, told: str | None, tried: Iterable[str]) -> None:
        """Remember what came of a mutant."""
        entry: dict[str, Any] = {"told": told}
        if told is None:
            entry = {"of": _module_digest(mutant.module), "tried": sorted(self.tried(mutant).union(tried))}
        self._found[mutant.name] = entry

    def write(self) -> None:
        """Write the file."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.with_suffix(".new").write_text(json.dumps(self._found))
        self._path.with_suffix(".new").replace(self._path)


@cache
def _module_digest(module: str) -> str:
    return hashlib.sha256((FOLDER / f"{module}.py").read_bytes()).hexdigest()


def _tasks(chosen: Sequence[EngineMutant], kept: Kept, *, tests: bool, anew: bool) -> Iterator[tuple[Task, list[str]]]:
    """Yield each mutant with what may tell it, and the digests of that."""
    book = engine_bench.spread(engine_bench.examples())
    print("looking which vectors and tests run which line", file=sys.stderr)
    reach = engine_bench.reached(book, tests=tests, anew=anew)
    engine_bench.warm()
    quick = sorted(engine_bench.quick_tests(), key=lambda name: reach.seconds.get(name, 0)) if tests else []
    for mutant in chosen:
        line = engine_bench.lines(mutant.module)[mutant.line]
        # Of what runs when the engine is imported, or is new, nobody knows what runs it.
        runs = reach.examples.get(line) or reach.known
        examples = [each for each in book if each.digest in runs or each.digest not in reach.known]
        by = reach.tests.get(line) or frozenset(reach.seconds)
        names = [name for name in quick if name in by or name not in reach.seconds]
        tried = kept.tried(mutant)
        untried = [each for each in examples if each.digest not in tried]
        digests = {name: engine_bench.digest_of_test(name) for name in names}
        names = [name for name in names if digests[name] not in tried]
        task = Task(mutant, kept.hint(mutant), untried, names, engine_bench.ALIKE if tests else 0)
        yield task, [*(each.digest for each in examples), *digests.values()]


def of_engine(options: argparse.Namespace) -> bool:
    """Judge the mutants of the engine and print what came of it; tell whether every one was told or argued away."""
    names = {mutant.name for mutant in engine_mutants.mutants()}
    every = [mutant for module in options.modules for mutant in engine_mutants.of_module(module)]
    chosen = sampled(every, options.sample, options.seed)
    reasons = argued(ARGUED_OF_ENGINE)
    kept = Kept(options.kept)
    by: Counter[str] = Counter()
    survivors: dict[str, EngineMutant] = {}
    digests: dict[str, list[str]] = {}

    def tasks() -> Iterator[Task]:
        for task, each in _tasks(chosen, kept, tests=not options.no_tests, anew=options.measure):
            digests[task.mutant.name] = each
            yield task

    for number, (task, told) in enumerate(engine_bench.judged(tasks(), options.processes), 1):
        kept.note(task.mutant, told, digests.pop(task.mutant.name))
        if told is None:
            survivors[task.mutant.name] = task.mutant
        else:
            by[told.partition(" ")[0]] += 1
        _progress(number, len(chosen), len(survivors))
        if number % 25 == 0:
            kept.write()
    kept.write()
    print(file=sys.stderr)
    unexplained = [mutant for name, mutant in survivors.items() if name not in reasons]
    for mutant in sorted(unexplained, key=lambda each: (each.module, each.line)):
        print(f"survived at line {mutant.line}: {mutant.name}")
    wrong = sorted(reasons.keys() - names)
    wrong += sorted(reasons.keys() & {mutant.name for mutant in chosen} - survivors.keys())
    for name in wrong:
        print(f"argued to mean the same, but killed or no mutant: {name}")
    same = len(survivors) - len(unexplained)
    print(f"engine: told by {dict(by)}")
    _count("engine", len(chosen) - same, len(unexplained), same)
    return not unexplained and not wrong


def main() -> int:
    """Judge the mutants and print the count; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", choices=("packs", "engine"))
    parser.add_argument("--sample", type=int, help="judge so many mutants of each, drawn by --seed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument(
        "--modules", type=_modules, default=MODULES, help="engine: these modules alone, as counts,hours"
    )
    parser.add_argument("--no-tests", action="store_true", help="engine: vectors alone, not the quick tests")
    parser.add_argument(
        "--measure", action="store_true", help="engine: look anew which vectors and tests run which line"
    )
    parser.add_argument(
        "--kept", type=Path, default=engine_bench.KEPT / "found.json", help="engine: what earlier runs found"
    )
    options = parser.parse_args()
    good = True
    if options.only != "engine":
        good = of_packs(options.sample, options.seed, options.processes)
    if options.only != "packs":
        good = of_engine(options) and good
    return 0 if good else 1


def _modules(text: str) -> tuple[str, ...]:
    """Return the modules of a list; ValueError, which argparse tells, for one that a ruling does not run through."""
    names = tuple(text.split(","))
    if not set(names) <= set(MODULES):
        raise argparse.ArgumentTypeError(f"the modules are {', '.join(MODULES)}")
    return names


if __name__ == "__main__":
    raise SystemExit(main())
