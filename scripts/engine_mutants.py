"""Mutants of the engine's code: one comparison, constant, condition or return changed inside a function.

A mutant is named after what it changes, never after a line: module, function, the text of the expression and the change.
How one is judged stands in ``engine_bench``.
"""

import ast
import copy
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple

PACKAGE = "chalicelib.domain.compliance"
FOLDER = Path(__file__).resolve().parents[1] / "chalicelib" / "domain" / "compliance"
MODULES = (
    "case", "counts", "decision", "elsewhere", "engine", "federal", "form", "gates", "generate", "hours", "irregular", "lexicon", "packs", "record", "scene",
    "shapes", "timeline",
)  # fmt: skip
"""The modules that a ruling runs through."""

_OTHER: Mapping[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
_CALLS = {"min": "max", "max": "min", "any": "all", "all": "any"}
_OF_TIMELINE = {"starts": "starts_last", "starts_last": "starts", "ends": "ends_first", "ends_first": "ends"}
_LONGEST = 90

Edit = tuple[str, str, Callable[[Any], None]]
"""A change of one node: what is shown of the source, the name of the change, and what makes it in place."""


class EngineMutant(NamedTuple):
    """One changed module: its name, the function and the line at which it differs, and where the change is found."""

    name: str
    module: str
    function: str
    line: int
    place: tuple[int, int, int]


class _Site(NamedTuple):
    node: ast.AST
    within: ast.AST
    function: str


def _shown(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _turned_otherwise(test: ast.expr) -> bool:
    """Tell whether another change reverses a condition already."""
    negated = isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)
    return negated or (isinstance(test, ast.Compare) and len(test.ops) == 1)


def _leave_out(node: ast.BoolOp, index: int) -> None:
    # Two parts are the fewest there may be: the other one twice says what it says alone.
    if len(node.values) > 2:
        node.values.pop(index)
    else:
        node.values[index] = node.values[1 - index]


def _from_timeline(name: str) -> ast.expr:
    # A module need not import the other function: where it does not, its bare name would be an error and not another answer.
    return ast.parse(f"__import__({PACKAGE + '.timeline'!r}, fromlist=[{name!r}]).{name}", mode="eval").body


def _edits(node: ast.AST, within: ast.AST) -> Iterator[Edit]:
    """Yield the changes of one node; the source shown of a constant is the expression that it stands in."""
    if isinstance(node, ast.Compare):
        for index, operator in enumerate(node.ops):
            if type(operator) in _OTHER:
                other = _OTHER[type(operator)]
                sides = ast.Compare([node.left, *node.comparators][index], [operator], [node.comparators[index]])
                yield (
                    _shown(sides),
                    f"{type(operator).__name__} to {other.__name__}",
                    lambda n, i=index, o=other: n.ops.__setitem__(i, o()),  # type: ignore[misc]
                )
    if isinstance(node, ast.BoolOp):
        other_op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        name = f"{type(node.op).__name__} to {type(other_op).__name__}"
        yield _shown(node), name, lambda n: setattr(n, "op", other_op)
        for index, part in enumerate(node.values):
            yield _shown(node), f"without {_shown(part)}", lambda n, i=index: _leave_out(n, i)  # type: ignore[misc]
    if isinstance(node, ast.Constant):
        if type(node.value) is bool:
            yield _shown(within), f"{node.value} to {not node.value}", lambda n: setattr(n, "value", not n.value)
        elif type(node.value) is int:
            for step in (-1, 1):
                yield _shown(within), f"{node.value} by {step:+d}", lambda n, s=step: setattr(n, "value", n.value + s)  # type: ignore[misc]
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub)):
        swapped = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
        name = f"{type(node.op).__name__} to {type(swapped).__name__}"
        yield _shown(node), name, lambda n: setattr(n, "op", swapped)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CALLS:
        called = _CALLS[node.func.id]
        yield _shown(node), f"{node.func.id} to {called}", lambda n: setattr(n.func, "id", called)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _OF_TIMELINE:
        called = _OF_TIMELINE[node.func.id]
        yield _shown(node), f"{node.func.id} to {called}", lambda n: setattr(n, "func", _from_timeline(called))
    if isinstance(node, ast.Return) and isinstance(node.value, ast.Name) and node.value.id == "NEVER":
        yield _shown(within), "never to now", lambda n: setattr(n, "value", ast.Constant(0))
    if isinstance(node, (ast.If, ast.IfExp)) and not _turned_otherwise(node.test):
        yield _shown(node.test), "condition reversed", lambda n: setattr(n, "test", ast.UnaryOp(ast.Not(), n.test))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield _shown(node), "not taken away", lambda n: setattr(n, "operand", ast.UnaryOp(ast.Not(), n.operand))


def _sites(node: ast.AST, function: str = "", within: ast.AST | None = None) -> Iterator[_Site]:
    """Yield the nodes that run when a ruling is made, what is inside functions, each with what it stands in."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        named = f"{function}.{node.name}" if function else node.name
        # The body of a class runs when it is imported, as the outermost lines of a module do.
        inner = None if isinstance(node, ast.ClassDef) else node
        for part in node.body:
            yield from _sites(part, named, inner and part)
        return
    if within is not None:
        yield _Site(node, within, function)
        if isinstance(node, (ast.BinOp, ast.Compare, ast.Call, ast.Subscript, ast.UnaryOp, ast.IfExp)):
            within = node
    for child in ast.iter_child_nodes(node):
        yield from _sites(child, function, child if within is not None and isinstance(child, ast.stmt) else within)


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse((FOLDER / f"{module}.py").read_text(encoding="utf-8"))


def _head(node: ast.AST) -> ast.AST:
    """Return what tells a statement with a body apart: its condition, or what it runs over."""
    if isinstance(node, (ast.If, ast.While)):
        return node.test
    return node.iter if isinstance(node, ast.For) else node


def mutants() -> Iterator[EngineMutant]:
    """Yield every mutant of the modules that a ruling runs through; no two have one name."""
    for module in MODULES:
        yield from of_module(module)


@cache
def of_module(module: str) -> tuple[EngineMutant, ...]:
    """Return the mutants of one module in the order of its text."""
    found: list[EngineMutant] = []
    often: Counter[str] = Counter()
    for outermost, part in enumerate(_tree(module).body):
        for number, site in enumerate(_sites(part)):
            for choice, (source, change, _) in enumerate(_edits(site.node, _head(site.within))):
                name = f"{module} {site.function}: {source}: {change}"
                often[name] += 1
                # Alike within one function are told apart by their order.
                name = name if often[name] == 1 else f"{name} [{often[name]}]"
                line = getattr(site.node, "lineno", 0)
                found.append(EngineMutant(name, module, site.function, line, (outermost, number, choice)))
    return tuple(found)


def _changed(mutant: EngineMutant) -> ast.stmt:
    outermost, number, choice = mutant.place
    part = copy.deepcopy(_tree(mutant.module).body[outermost])
    site = list(_sites(part))[number]
    _, _, edit = list(_edits(site.node, site.within))[choice]
    edit(site.node)
    return ast.fix_missing_locations(part)


def changed(mutant: EngineMutant) -> CodeType:
    """Return the code of a module with one thing changed."""
    body = list(_tree(mutant.module).body)
    body[mutant.place[0]] = _changed(mutant)
    return compile(ast.Module(body, []), str(FOLDER / f"{mutant.module}.py"), "exec")


def changed_function(mutant: EngineMutant) -> tuple[str, CodeType]:
    """Return the name of the outermost function, or method, that a mutant changes, and its changed code."""
    code = compile(ast.Module([_changed(mutant)], []), str(FOLDER / f"{mutant.module}.py"), "exec")
    first, *others = mutant.function.split(".")
    found = _code_in(code, first)
    if not isinstance(_tree(mutant.module).body[mutant.place[0]], ast.ClassDef):
        return first, found
    return f"{first}.{others[0]}", _code_in(found, others[0])


def _code_in(code: CodeType, name: str) -> CodeType:
    return next(each for each in code.co_consts if isinstance(each, CodeType) and each.co_name == name)


@cache
def run_at_import(module: str) -> frozenset[str]:
    """Return the functions of a module that run, or may run, when it is imported: what they made stands already."""
    bodies = {part.name: part for part in _tree(module).body if isinstance(part, ast.FunctionDef)}
    run = [part for part in _tree(module).body if not isinstance(part, (ast.FunctionDef, ast.ClassDef))]
    found: set[str] = set()
    while run:
        for node in ast.walk(run.pop()):
            called = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
            if called in bodies and called not in found:
                found.add(called)
                run.append(bodies[called])
    return frozenset(found)
