"""Judge one mutant of the engine: what tells it from the engine, a vector or a quick test.

A mutant is judged in a process of its own, forked from one in which all is loaded: only the changed module and what
imports it are imported anew. The vectors that reach the changed line are ruled on first; then rules written out are
held against their closures on some of them; then the quick tests that reach the line run, the cheap ones first.
"""

import ast
import contextlib
import functools
import gc
import hashlib
import importlib
import importlib.abc
import importlib.util
import io
import multiprocessing
import pickle
import resource
import signal
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any, NamedTuple

from scripts.engine_mutants import FOLDER, MODULES, PACKAGE, EngineMutant, changed
from tests.rules import casebook

ROOT = FOLDER.parents[2]
KEPT = ROOT / ".local" / "engine-mutants"
QUICK = (
    "tests/domain/compliance/test_local_time.py",
    "tests/domain/compliance/test_dossier_form.py",
    "tests/rules/test_rule_command.py",
    "tests/rules/test_lexicon.py",
    "tests/rules/test_shapes.py",
    "tests/rules/test_generated_rules.py",
)
"""Tests that may tell what no vector tells."""

LONG = (
    "tests/rules/test_generated_rules.py::test_written_rules_know_other_years",
    "tests/rules/test_generated_rules.py::test_written_rules_rule_as_closures_do_on_any_past",
    "tests/rules/test_generated_rules.py::test_written_rules_rule_as_closures_do_on_every_vector",
    "tests/rules/test_generated_rules.py::test_what_is_explained_is_what_the_ruling_says",
)
"""Tests among them that run over much of the casebook, which is ruled on before."""

SECONDS, SECONDS_OF_TESTS = 5, 60
"""Time of the processor that one ruling, and one run of tests, may take; what takes longer is told apart: it does not
end."""

ALIKE = 250
"""On how many vectors at most rules written out are held against their closures."""

_MEMORY = 4 << 30


class Example(NamedTuple):
    """A dossier, whether drafts are in force, what its ruling must have; the rule it is a vector of, and a digest."""

    dossier: dict[str, Any]
    shadow: bool
    wanted: dict[str, Any]
    rule: str
    digest: str


class Reach(NamedTuple):
    """Which examples, by number, and which quick tests run each line of each module; how long each test takes."""

    examples: Mapping[tuple[str, int], Sequence[int]]
    tests: Mapping[tuple[str, int], Sequence[str]]
    seconds: Mapping[str, float]


class TooLong(BaseException):
    """What is judged does not end. (No Exception, which the code that is judged might catch.)"""


def examples() -> list[Example]:
    """Return every vector of the packs."""
    found = []
    for data in casebook.vectors():
        digest = hashlib.sha256(repr(sorted((key, repr(each)) for key, each in data.items() if key != "id")).encode())
        found.append(
            Example(
                casebook.dossier_of(data),
                bool(data.get("shadow")),
                casebook.asked(data),
                data["rule"],
                digest.hexdigest(),
            )
        )
    return found


def spread(chosen: Iterable[int], book: Sequence[Example]) -> list[int]:
    """Return examples in an order in which each rule comes once before any comes twice."""
    often: dict[str, int] = defaultdict(int)
    ranked = []
    for index in chosen:
        often[book[index].rule] += 1
        ranked.append((often[book[index].rule], index))
    return [index for _, index in sorted(ranked)]


# Which modules are imported anew


@functools.cache
def _imports() -> Mapping[str, frozenset[str]]:
    """Return by module of the engine, of the tests and of the program around it what it imports of these."""
    found = {}
    for folder in ("chalicelib/domain", "scripts", "tests"):
        for path in (ROOT / folder).rglob("*.py"):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            names: set[str] = set()
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    names.update(alias.name for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module:
                    names.add(node.module)
                    names.update(f"{node.module}.{alias.name}" for alias in node.names)
            found[name] = frozenset(names)
    return found


@functools.cache
def dependents(module: str) -> frozenset[str]:
    """Return a module of the engine and all that imports it, directly or not."""
    found = {f"{PACKAGE}.{module}"}
    while True:
        more = {name for name, names in _imports().items() if not names.isdisjoint(found)} - found
        if not more:
            return frozenset(found) - {__name__, "__main__"}
        found |= more


class _Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from other code."""

    def __init__(self, name: str, code: CodeType) -> None:
        self.name, self.code = name, code

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        if fullname != self.name:
            return None
        return importlib.util.spec_from_loader(fullname, self, origin=str(FOLDER / f"{fullname.rpartition('.')[2]}.py"))

    def exec_module(self, module: ModuleType) -> None:
        module.__file__ = str(FOLDER / f"{self.name.rpartition('.')[2]}.py")
        exec(self.code, module.__dict__)


def _engine() -> tuple[Any, Any]:
    return importlib.import_module(f"{PACKAGE}.engine"), importlib.import_module(f"{PACKAGE}.packs")


_lexicons: dict[str, Any] = {}


def _keep_lexicons() -> None:
    """Let packs share the lexicons that were built once, whose own code is as it was."""
    packs = _engine()[1]
    build = packs.Lexicon

    def kept(data: Mapping[str, Any]) -> Any:
        key = repr(data)
        if key not in _lexicons:
            _lexicons[key] = build(data)
        return _lexicons[key]

    packs.Lexicon = kept


# What tells


@contextmanager
def _at_most(seconds: int) -> Iterator[None]:
    def too_long(number: int, frame: FrameType | None) -> None:
        raise TooLong

    signal.signal(signal.SIGPROF, too_long)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _by_vectors(book: Sequence[Example]) -> str | None:
    engine, packs = _engine()
    sets = {shadow: packs.PackSet(shadow=shadow) for shadow in (False, True)}
    for example in book:
        try:
            with _at_most(SECONDS):
                ruling = engine.rule(example.dossier, sets[example.shadow])
        except (Exception, TooLong):
            return f"vector {example.digest}"
        if casebook.seen(ruling, example.wanted) != example.wanted:
            return f"vector {example.digest}"
    return None


def _by_writing(book: Sequence[Example]) -> str | None:
    alike = importlib.import_module("tests.rules.alike")
    for example in book:
        if not example.shadow:
            try:
                with _at_most(SECONDS):
                    alike.assert_alike(example.dossier)
            except (Exception, TooLong):
                return f"written {example.digest}"
    return None


def _by_tests(names: Sequence[str]) -> str | None:
    """Return the first test that fails. Tests are named by file and function, all cases of a function together."""
    if not names:
        return None
    pytest = importlib.import_module("pytest")
    watch = _Watch()
    try:
        with _at_most(SECONDS_OF_TESTS):
            status = _run_tests(pytest, names, watch)
    except TooLong:
        return f"test {names[0]}"
    return f"test {watch.failed or names[0]}" if status else None


def _run_tests(pytest: Any, names: Sequence[str], plugin: Any) -> int:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return int(
            pytest.main(
                ["-q", "-x", "-n", "0", "-p", "no:cacheprovider", "--hypothesis-seed=1", *names], plugins=[plugin]
            )
        )


class _Watch:
    """Remembers which test failed."""

    failed: str | None = None

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            self.failed = report.nodeid.partition("[")[0]

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self.failed = report.nodeid


@functools.cache
def digest_of_test(name: str) -> str:
    """Return the digest of the file of a test, which stands for the test; the one of an absent file is never met."""
    path = ROOT / name.partition("::")[0]
    return f"{name} {hashlib.sha256(path.read_bytes() if path.is_file() else b'').hexdigest()}"


class Task(NamedTuple):
    """A mutant with what may tell it, in the order in which it is tried."""

    mutant: EngineMutant
    hint: str | None
    examples: Sequence[Example]
    tests: Sequence[str]


def told_apart(task: Task) -> str | None:
    """Return what tells a mutant from the engine, beginning with what told it before; None when nothing does."""
    mutant, hint, book, tests = task
    try:
        code = changed(mutant)
        for name in dependents(mutant.module):
            sys.modules.pop(name, None)
        sys.meta_path.insert(0, _Changed(f"{PACKAGE}.{mutant.module}", code))
        with _at_most(SECONDS):
            _engine()
            if mutant.module != "lexicon":
                _keep_lexicons()
    except (Exception, TooLong):
        return "import"
    kind, _, which = (hint or "").partition(" ")
    named = [example for example in book if example.digest == which]
    told = None
    if kind == "vector":
        told = _by_vectors(named)
    elif kind == "written":
        told = _by_writing(named)
    elif kind == "test" and (ROOT / which.partition("::")[0]).is_file():
        told = _by_tests([which])
    return told or _by_vectors(book) or _by_writing(book[:ALIKE]) or _by_tests(tests)


def _judge(task: Task, sender: Connection) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    sender.send(told_apart(task))


def judged(tasks: Iterable[Task], processes: int) -> Iterator[tuple[Task, str | None]]:
    """Yield each task with what told its mutant, as they come."""
    fork = multiprocessing.get_context("fork")
    running: dict[Connection, tuple[Any, Task]] = {}

    def done() -> Iterator[tuple[Task, str | None]]:
        for receiver in wait([*running]):
            assert isinstance(receiver, Connection)
            process, task = running.pop(receiver)
            try:
                told = receiver.recv()
            except EOFError:
                # The process ended without a word, which the engine's own would not.
                told = "crash"
            process.join()
            receiver.close()
            yield task, told

    gc.collect()
    gc.freeze()
    for task in tasks:
        if len(running) >= processes:
            yield from done()
        receiver, sender = fork.Pipe(duplex=False)
        process = fork.Process(target=_judge, args=(task, sender))
        process.start()
        sender.close()
        running[receiver] = process, task
    while running:
        yield from done()


# Which lines are reached


def sources() -> str:
    """Return the digest of all that decides which lines are reached: the engine, the packs, vectors and tests."""
    digest = hashlib.sha256()
    rulepacks = ROOT / "chalicelib" / "rulepacks"
    paths = [*FOLDER.glob("*.py"), *rulepacks.glob("compiled/*.json"), *rulepacks.glob("*/vectors.jsonl")]
    paths += [ROOT / name for name in QUICK if (ROOT / name).is_file()]
    paths += [*(ROOT / "tests" / "rules").glob("*.py"), Path(__file__)]
    for path in sorted(set(paths)):
        digest.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def reached(book: Sequence[Example]) -> Reach:
    """Return which examples and quick tests run each line; remembered while everything stays as it is."""
    path = KEPT / "reach.pickle"
    now = sources()
    if path.is_file():
        before, found = pickle.loads(path.read_bytes())
        if before == now:
            return Reach(*found)
    fork = multiprocessing.get_context("fork")
    parts: list[Any] = []
    for measure, argument in ((_reached_by_examples, book), (_reached_by_tests, None)):
        receiver, sender = fork.Pipe(duplex=False)
        process = fork.Process(target=_send, args=(sender, measure, argument))
        process.start()
        sender.close()
        parts.append(receiver.recv())
        process.join()
    reach = Reach(parts[0], *parts[1])
    KEPT.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps((now, tuple(reach))))
    return reach


def _send(sender: Connection, measure: Any, argument: Any) -> None:
    sender.send(measure(argument))


def _coverage() -> Any:
    coverage = importlib.import_module("coverage")
    return coverage.Coverage(data_file=None, include=[str(FOLDER / "*.py")], config_file=False, messages=False)


def _contexts(cover: Any) -> dict[tuple[str, int], list[str]]:
    data = cover.get_data()
    found: dict[tuple[str, int], list[str]] = {}
    for module in MODULES:
        for line, contexts in data.contexts_by_lineno(str(FOLDER / f"{module}.py")).items():
            found[module, line] = contexts
    return found


def _forget_answers(sets: Mapping[bool, Any]) -> None:
    """Empty what the engine remembers, so that each example runs what it would run alone."""
    for module in MODULES:
        for value in vars(sys.modules[f"{PACKAGE}.{module}"]).values():
            if hasattr(value, "cache_clear"):
                value.cache_clear()
    for packset in sets.values():
        packset.programs, packset.housed, packset._chosen = {}, {}, {}
        for pack in packset._packs.values():
            pack._picked.clear()
            pack.lexicon.scan.cache_clear()
            for zone in pack.zones or ():
                zone._midnights.clear()
                zone._stretches.clear()
                zone._start = zone._end = 0


def _reached_by_examples(book: Sequence[Example]) -> dict[tuple[str, int], list[int]]:
    """Return which examples run each line when they are ruled on alone, asked and written out.

    What is run once for a pack, a rule or a kind of act belongs to every example that the pack, rule or kind meets.
    """
    record, form, decision, lexicon = (
        importlib.import_module(f"{PACKAGE}.{name}") for name in ("record", "form", "decision", "lexicon")
    )
    packs = _engine()[1]
    packs.Lexicon = lexicon.Lexicon
    cover = _coverage()
    cover.start()
    of: dict[str, list[int]] = defaultdict(list)
    for index, example in enumerate(book):
        of[f"rule {example.rule}"].append(index)
    sets = {shadow: packs.PackSet(shadow=shadow) for shadow in (False, True)}
    for packset in sets.values():
        packset.written_after = 10**9
        for ident in packset.index:
            cover.switch_context(f"pack {ident}")
            pack = packset.pack(ident)
            pack.lexicon.scan("\u540e\u679c\u81ea\u8d1f")
            for data in pack.data["rules"]:
                cover.switch_context(f"rule {data['id']}")
                packs.Rule(data)
    written: dict[tuple[bool, str, str], Any] = {}
    for index, example in enumerate(book):
        packset = sets[example.shadow]
        _forget_answers(sets)
        cover.switch_context(str(index))
        made = record.prepare(form.check_dossier(example.dossier))
        decision.judge(made, packset).ruling()
        program = decision.program_of(made, packset)
        for pack in program.packs:
            of[f"pack {pack.ident}"].append(index)
        kind = (example.shadow, made.kind, made.cities if program.by_city else "")
        if kind not in written:
            cover.switch_context(f"kind {kind}")
            program.write(made.at)
            written[kind] = program
            cover.switch_context(str(index))
        of[f"kind {kind}"].append(index)
        decision.Decision(made, written[kind], written[kind].seen(made, made.at)).ruling()
        decision.Decision(made, written[kind], written[kind].explained(made, made.at)).rows()
        record.read(made.stored()).stored()
    cover.stop()
    found: dict[tuple[str, int], list[int]] = {}
    for place, contexts in _contexts(cover).items():
        wanted: set[int] = set()
        for context in filter(None, contexts):
            wanted.update((int(context),) if context.isdigit() else of[context])
        found[place] = sorted(wanted)
    return found


class _Measure:
    """Notes how long each test takes, and which lines it runs."""

    def __init__(self, cover: Any) -> None:
        self.cover = cover
        self.seconds: dict[str, float] = defaultdict(float)

    def pytest_runtest_setup(self, item: Any) -> None:
        self.cover.switch_context(item.nodeid.partition("[")[0])

    def pytest_runtest_teardown(self, item: Any) -> None:
        self.cover.switch_context("after")

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.seconds[report.nodeid.partition("[")[0]] += report.duration


def _reached_by_tests(_: None) -> tuple[dict[tuple[str, int], list[str]], dict[str, float]]:
    for name in set(sys.modules) & dependents("timeline"):
        if name.startswith("tests."):
            del sys.modules[name]
    pytest = importlib.import_module("pytest")
    cover = _coverage()
    measure = _Measure(cover)
    cover.start()
    quick = [name for name in QUICK if (ROOT / name).is_file()]
    status = _run_tests(pytest, [*quick, *(f"--deselect={name}" for name in LONG)], measure)
    cover.stop()
    if status:
        raise SystemExit("the quick tests fail on the engine as it is")
    found = {}
    for place, contexts in _contexts(cover).items():
        found[place] = sorted(each for each in contexts if "::" in each)
    return found, dict(measure.seconds)


def warm() -> None:
    """Load what every judgement needs, before the first process is forked."""
    packs = _engine()[1]
    for module in ("pytest", "tests.conftest", "tests.rules.alike"):
        importlib.import_module(module)
    _keep_lexicons()
    packset = packs.PackSet()
    for ident in packset.index:
        packset.pack(ident)
    for module in MODULES:
        dependents(module)
