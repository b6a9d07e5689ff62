"""Judge one mutant of the engine: what tells it from the engine, a vector or a quick test.

A mutant is judged in a process of its own, forked from one in which all is loaded: the changed function gets its code,
or the changed module and what imports it are imported anew. The vectors that reach the changed line are ruled on first; then rules written out are
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
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from types import CodeType, FrameType, ModuleType
from typing import Any, NamedTuple

from scripts.engine_mutants import FOLDER, MODULES, PACKAGE, EngineMutant, changed, changed_function, run_at_import
from tests.rules import casebook

ROOT = FOLDER.parents[2]
KEPT = ROOT / ".local" / "engine-mutants"
QUICK = (
    "tests/domain/compliance/test_local_time.py",
    "tests/domain/compliance/test_dossier_form.py",
    "tests/domain/compliance/test_records_and_kinds.py",
    "tests/rules/test_shapes.py",
    "tests/rules/test_rule_command.py",
    "tests/rules/test_lexicon.py",
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
    """Which examples, by digest, and which quick tests run each line of each module; how long each test takes.

    A line is known by its text, so that what was measured holds where lines only moved. It decides no more than what is
    tried: what is new since then is tried for every line.
    """

    examples: Mapping[str, frozenset[str]]
    tests: Mapping[str, frozenset[str]]
    seconds: Mapping[str, float]
    known: frozenset[str]


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


def spread(book: Sequence[Example]) -> list[Example]:
    """Return examples in an order in which each rule comes once before any comes twice."""
    often: Counter[str] = Counter()
    ranked = []
    for index, example in enumerate(book):
        often[example.rule] += 1
        ranked.append((often[example.rule], index))
    return [book[index] for _, index in sorted(ranked)]


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


_lexicons: dict[bytes, Any] = {}


def _keep_lexicons() -> None:
    """Let packs share the lexicons that were built once, whose own code is as it was."""
    packs = _engine()[1]
    build = packs.Lexicon

    def kept(data: Mapping[str, Any]) -> Any:
        key = pickle.dumps(data)
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


def _by_vectors(book: Sequence[Example], *, written: bool) -> str | None:
    engine, packs = _engine()
    sets = {shadow: packs.PackSet(shadow=shadow) for shadow in (False, True)}
    if written:
        for packset in sets.values():
            packset.written_after = 0
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
    alike: int = ALIKE


def told_apart(task: Task) -> str | None:
    """Return what tells a mutant from the engine, beginning with what told it before; None when nothing does."""
    mutant, hint, book, tests, alike = task
    written = mutant.module == "generate"
    kind, _, which = (hint or "").partition(" ")
    first = [which] if kind == "test" and (ROOT / which.partition("::")[0]).is_file() else []
    try:
        with _at_most(SECONDS):
            if first or mutant.function.partition(".")[0] in run_at_import(mutant.module):
                _import_anew(mutant)
            else:
                _patch(mutant)
    except (Exception, TooLong):
        return "import"
    named = [example for example in book if example.digest == which]
    told = _by_tests(first)
    if kind in ("vector", "written"):
        told = _by_vectors(named, written=written) if kind == "vector" else _by_writing(named)
    told = told or _by_vectors(book, written=written) or _by_writing(book[:alike])
    if told is None and tests and not first:
        _import_anew(mutant)
    return told or _by_tests(tests)


def _patch(mutant: EngineMutant) -> None:
    """Give the one function of the loaded engine its changed code; what was made with it is made again."""
    name, code = changed_function(mutant)
    found: Any = sys.modules[f"{PACKAGE}.{mutant.module}"]
    for each in name.split("."):
        found = vars(found)[each]
    for key in ("fget", "func", "__wrapped__"):
        found = getattr(found, key, found)
    found.__code__ = code
    for module in MODULES:
        for value in vars(sys.modules[f"{PACKAGE}.{module}"]).values():
            if hasattr(value, "cache_clear"):
                value.cache_clear()
    if mutant.module == "lexicon":
        _lexicons.clear()
    sys.modules.pop("tests.rules.alike", None)


def _import_anew(mutant: EngineMutant) -> None:
    """Import the changed module and all that imports it."""
    for name in dependents(mutant.module):
        sys.modules.pop(name, None)
    sys.meta_path.insert(0, _Changed(f"{PACKAGE}.{mutant.module}", changed(mutant)))
    _engine()
    if mutant.module != "lexicon":
        _keep_lexicons()


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


@functools.cache
def lines(module: str) -> tuple[str, ...]:
    """Return a name of each line of a module: its text and how many such lines come before it."""
    often: Counter[str] = Counter()
    found = [""]
    for text in (FOLDER / f"{module}.py").read_text(encoding="utf-8").splitlines():
        often[text] += 1
        found.append(f"{module} {text.strip()} {often[text]}")
    return tuple(found)


def reached(book: Sequence[Example], *, tests: bool, anew: bool) -> Reach:
    """Return which examples and quick tests run each line, as measured before where there is a measurement."""
    by_examples, known = _measured("examples", anew, _reached_by_examples, book)
    by_tests, seconds = _measured("tests", anew, _reached_by_tests, None) if tests else ({}, {})
    return Reach(by_examples, by_tests, seconds, known)


def _measured(name: str, anew: bool, measure: Any, argument: Any) -> Any:
    path = KEPT / f"reached-by-{name}.pickle"
    if path.is_file() and not anew:
        return pickle.loads(path.read_bytes())
    receiver, sender = multiprocessing.get_context("fork").Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=_send, args=(sender, measure, argument))
    process.start()
    sender.close()
    found = receiver.recv()
    process.join()
    KEPT.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(found))
    return found


def quick_tests() -> list[str]:
    """Return the quick tests by file and function, but those that run over much of the casebook."""
    found = []
    for name in QUICK:
        if (ROOT / name).is_file():
            for node in ast.parse((ROOT / name).read_text(encoding="utf-8")).body:
                if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                    found.append(f"{name}::{node.name}")
    return [name for name in found if name not in LONG]


def _send(sender: Connection, measure: Any, argument: Any) -> None:
    sender.send(measure(argument))


def _coverage() -> Any:
    coverage = importlib.import_module("coverage")
    return coverage.Coverage(data_file=None, include=[str(FOLDER / "*.py")], config_file=False, messages=False)


def _contexts(cover: Any) -> dict[str, list[str]]:
    data = cover.get_data()
    found: dict[str, list[str]] = {}
    for module in MODULES:
        for line, contexts in data.contexts_by_lineno(str(FOLDER / f"{module}.py")).items():
            found[lines(module)[line]] = contexts
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
                zone.midnight.cache_clear()
                zone._start = zone._end = zone._offset


def _reached_by_examples(book: Sequence[Example]) -> tuple[dict[str, frozenset[str]], frozenset[str]]:
    """Return which examples run each line, and all examples, when they are ruled on alone, asked and written out.

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
    found: dict[str, frozenset[str]] = {}
    for line, contexts in _contexts(cover).items():
        wanted: set[int] = set()
        for context in filter(None, contexts):
            wanted.update((int(context),) if context.isdigit() else of[context])
        found[line] = frozenset(book[index].digest for index in wanted)
    return found, frozenset(example.digest for example in book)


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


def _reached_by_tests(_: None) -> tuple[dict[str, frozenset[str]], dict[str, float]]:
    for name in set(sys.modules) & dependents("timeline"):
        if name.startswith("tests."):
            del sys.modules[name]
    pytest = importlib.import_module("pytest")
    cover = _coverage()
    measure = _Measure(cover)
    cover.start()
    status = _run_tests(pytest, quick_tests(), measure)
    cover.stop()
    if status:
        raise SystemExit("the quick tests fail on the engine as it is")
    found = {line: frozenset(each for each in contexts if "::" in each) for line, contexts in _contexts(cover).items()}
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
