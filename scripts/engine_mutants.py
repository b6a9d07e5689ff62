"""Mutants of the engine's code: one comparison, constant, condition or return changed, to be told by vectors and tests.

A mutant runs in a process of its own in which the engine's modules are imported anew, the changed one from its changed
syntax tree. First the vectors that reach the changed line are ruled on, then, when none tells, the quick tests run.
"""

import ast
import contextlib
import copy
import importlib
import importlib.abc
import importlib.util
import io
import signal
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any, NamedTuple

from tests.rules import casebook

PACKAGE = "chalicelib.domain.compliance"
FOLDER = Path(__file__).resolve().parents[1] / "chalicelib" / "domain" / "compliance"
MODULES = (
    "case", "counts", "decision", "elsewhere", "engine", "federal", "form", "gates", "generate", "hours", "irregular", "lexicon", "packs", "record", "scene",
    "shapes", "timeline",
)  # fmt: skip
"""The modules that a ruling runs through."""

QUICK = (
    "tests/domain/compliance/test_local_time.py",
    "tests/domain/compliance/test_dossier_form.py",
    "tests/rules/test_rule_command.py",
    "tests/rules/test_lexicon.py",
    "tests/rules/test_generated_rules.py",
)
SECONDS = 60
"""Time that a mutant may take; one that takes longer has been told apart: it does not end."""

_OTHER: Mapping[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
_CALLS = {"min": "max", "max": "min", "any": "all", "all": "any", "starts": "starts_last", "ends": "ends_first"}


class EngineMutant(NamedTuple):
    """One changed module: the line that changed and what became of it."""

    name: str
    module: str
    line: int
    number: int


def _edits(node: ast.AST) -> Iterator[tuple[str, Callable[[Any], None]]]:
    """Yield the changes of one node with their names, each as what changes a copy of it in place."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _OTHER:
        other = _OTHER[type(node.ops[0])]
        yield f"{type(node.ops[0]).__name__} to {other.__name__}", lambda n: setattr(n, "ops", [other()])
    if isinstance(node, ast.BoolOp):
        other_op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield f"{type(node.op).__name__} to {type(other_op).__name__}", lambda n: setattr(n, "op", other_op)
        for index in range(len(node.values)):
            yield f"without part {index}", lambda n, i=index: n.values.pop(i)  # type: ignore[misc]
    if isinstance(node, ast.Constant):
        if type(node.value) is bool:
            yield f"{node.value} to {not node.value}", lambda n: setattr(n, "value", not n.value)
        elif type(node.value) is int:
            for step in (-1, 1):
                yield f"{node.value} by {step:+d}", lambda n, s=step: setattr(n, "value", n.value + s)  # type: ignore[misc]
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub)):
        swapped = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
        yield f"{type(node.op).__name__} to {type(swapped).__name__}", lambda n: setattr(n, "op", swapped)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CALLS:
        name = _CALLS[node.func.id]
        yield f"{node.func.id} to {name}", lambda n: setattr(n.func, "id", name)
    if isinstance(node, ast.Return) and isinstance(node.value, ast.Name) and node.value.id == "NEVER":
        yield "never to now", lambda n: setattr(n, "value", ast.Constant(0))
    if isinstance(node, (ast.If, ast.IfExp)):
        yield "condition reversed", lambda n: setattr(n, "test", ast.UnaryOp(ast.Not(), n.test))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "not taken away", lambda n: setattr(n, "operand", ast.UnaryOp(ast.Not(), n.operand))


def _nodes(tree: ast.Module) -> list[ast.AST]:
    """Return the nodes that run when a ruling is made: what is inside functions."""
    found: list[ast.AST] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            for part in node.body:
                found.extend(ast.walk(part))
    return list(dict.fromkeys(found))


def mutants() -> Iterator[EngineMutant]:
    """Yield every mutant of the modules that a ruling runs through."""
    for module in MODULES:
        path = FOLDER / f"{module}.py"
        if not path.is_file():
            continue
        number = 0
        for node in _nodes(ast.parse(path.read_text(encoding="utf-8"))):
            for name, _ in _edits(node):
                line = getattr(node, "lineno", 0)
                yield EngineMutant(f"{module}.py:{line}:{getattr(node, 'col_offset', 0)} {name}", module, line, number)
                number += 1


def changed(mutant: EngineMutant) -> CodeType:
    """Return the code of a module with one thing changed."""
    path = FOLDER / f"{mutant.module}.py"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    number = 0
    for node in _nodes(tree):
        for _, edit in _edits(copy.copy(node)):
            if number == mutant.number:
                edit(node)
                ast.fix_missing_locations(tree)
                return compile(tree, str(path), "exec")
            number += 1
    raise LookupError(mutant.name)


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


def _forget() -> None:
    for name in [
        name for name in sys.modules if name == PACKAGE or name.startswith((PACKAGE + ".", "tests.", "scripts.rule"))
    ]:
        del sys.modules[name]


Example = tuple[dict[str, Any], bool, dict[str, Any]]
"""A dossier, whether drafts are in force, and what its ruling must have."""


def _tells(examples: Sequence[Example]) -> bool:
    engine = importlib.import_module(f"{PACKAGE}.engine")
    packs = importlib.import_module(f"{PACKAGE}.packs")
    sets = {shadow: packs.PackSet(shadow=shadow) for shadow in {shadow for _, shadow, _ in examples}}
    for dossier, shadow, wanted in examples:
        ruling = engine.rule(dossier, sets[shadow])
        if wanted != casebook.seen(ruling, wanted):
            return True
    return False


def told_apart(mutant: EngineMutant, examples: Sequence[Example], *, tests: bool) -> str | None:
    """Return what tells a mutant from the engine: ``vectors``, ``tests`` or ``time``; None when nothing does."""

    def too_long(number: int, frame: FrameType | None) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(SECONDS)
    by = "vectors"
    try:
        code = changed(mutant)
        _forget()
        sys.meta_path.insert(0, _Changed(f"{PACKAGE}.{mutant.module}", code))
        if _tells(examples):
            return by
        if not tests:
            return None
        by = "tests"
        pytest = importlib.import_module("pytest")
        quick = [name for name in QUICK if (FOLDER.parents[2] / name).is_file()]
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            failed = pytest.main(["-q", "-x", "-n", "0", "-p", "no:cacheprovider", "-p", "no:randomly", *quick])
        return by if failed else None
    except TimeoutError:
        return "time"
    except Exception:
        # A mutant that breaks the engine is told apart by whatever ran it.
        return by
    finally:
        signal.alarm(0)


def reached(examples: Sequence[Example]) -> dict[tuple[str, int], list[int]]:
    """Return which examples run each line of the engine's modules."""
    engine = importlib.import_module(f"{PACKAGE}.engine")
    packs = importlib.import_module(f"{PACKAGE}.packs")
    files = {str(FOLDER / f"{module}.py"): module for module in MODULES}
    found: dict[tuple[str, int], list[int]] = defaultdict(list)
    lines: set[tuple[str, int]] = set()

    def on_line(frame: FrameType, event: str, arg: Any) -> Any:
        lines.add((frame.f_code.co_filename, frame.f_lineno))
        return on_line

    def on_call(frame: FrameType, event: str, arg: Any) -> Any:
        return on_line if frame.f_code.co_filename in files else None

    sets = {shadow: packs.PackSet(shadow=shadow) for shadow in (False, True)}
    for index, (dossier, shadow, _) in enumerate(examples):
        lines.clear()
        sys.settrace(on_call)
        try:
            engine.rule(dossier, sets[shadow])
        finally:
            sys.settrace(None)
        for name, line in lines:
            found[files[name], line].append(index)
    return found
