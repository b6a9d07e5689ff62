"""Which events the code writes and with which keys, read from its syntax along every path through a function.

Every place that writes an event is followed with what its arguments can be: dict displays, merges, helper functions
that return them, and event types chosen by the same condition. A place that cannot be understood so is an error, so that
nothing is written that the page on events could not be held to.
"""

import ast
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.house import Source, sources

Keys = frozenset[str]
Value = Keys | str | None
"""The keys of a dict; or the name of an ``EventType`` member; or None for what is of no interest."""

WRAPPERS = frozenset({("chalicelib/usecases/case_draft.py", "CaseDraft.emit")})
"""Functions that only pass on what they are given, under the same name and in the same order."""

ATTRIBUTES = {"placement.placed_event": ("chalicelib/domain/intake/placement.py", "_placed_event")}
"""Attributes that hold data which another module makes, and the function that makes it."""

OWN_EVENT = "_own_event"
"""How the sequencer writes its logs' own events: (head, type, data, now)."""

_MOST_PATHS = 4_096


@dataclass(frozen=True)
class Emission:
    """One event as one path writes it. ``is_sealed`` says that a payload may be sealed with it."""

    where: str
    type: str
    keys: Keys
    is_sealed: bool


@dataclass(frozen=True)
class _Path:
    env: dict[str, tuple[Value, ...]] = field(default_factory=dict)
    taken: dict[str, bool] = field(default_factory=dict)


class Unclear(Exception):
    """An expression in the way of an event is none that this reading understands."""


class _Module:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.functions: dict[str, ast.FunctionDef] = {}
        self.constants: dict[str, ast.expr] = {}
        for node in source.tree.body:
            if isinstance(node, ast.FunctionDef):
                self.functions[node.name] = node
            elif isinstance(node, ast.ClassDef):
                for inner in node.body:
                    if isinstance(inner, ast.FunctionDef):
                        self.functions[f"{node.name}.{inner.name}"] = inner

    def method(self, name: str) -> ast.FunctionDef | None:
        return next((node for full, node in self.functions.items() if full.endswith(f".{name}")), None)


class Reader:
    """Reads one module. Emissions are collected in ``found``; ``sites`` are all places that write an event.

    ``unclear`` are those where a type is known on some path and its keys are not.
    """

    def __init__(self, source: Source) -> None:
        """Take the file."""
        self.module = _Module(source)
        self.found: list[Emission] = []
        self.sites: set[str] = set()
        self.unclear: set[str] = set()
        self._stack: list[str] = []

    def read(self) -> "Reader":
        """Follow every function that writes an event, itself or through a function of its module."""
        for name, function in self.module.functions.items():
            if (self.module.source.path, name) in WRAPPERS:
                continue
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and _is_emit(node):
                    self.sites.add(self._where(node))
        for name, function in self.module.functions.items():
            if (self.module.source.path, name) not in WRAPPERS and self._emits(function):
                self._run(name, function, _Path())
        return self

    def unread(self) -> set[str]:
        """Return the places that no path could be followed to with a known type and known keys."""
        return self.sites - {emission.where for emission in self.found}

    def _where(self, node: ast.AST) -> str:
        return f"{self.module.source.path}:{node.lineno}"  # type: ignore[attr-defined]

    def _emits(self, function: ast.AST, seen: frozenset[str] = frozenset()) -> bool:
        for node in ast.walk(function):
            if isinstance(node, ast.Call):
                if _is_emit(node):
                    return True
                name = node.func.id if isinstance(node.func, ast.Name) else ""
                callee = self.module.functions.get(name)
                if callee is not None and name not in seen and self._emits(callee, seen | {name}):
                    return True
        return False

    # Paths

    def _run(self, name: str, function: ast.FunctionDef, path: _Path) -> None:
        if name in self._stack:
            return
        self._stack.append(name)
        self._block(function.body, [path], _relevant(function))
        self._stack.pop()

    def _block(self, body: list[ast.stmt], paths: list[_Path], relevant: frozenset[str]) -> list[_Path]:
        for statement in body:
            paths = [after for path in paths for after in self._step(statement, path, relevant)]
            if len(paths) > _MOST_PATHS:
                raise Unclear(f"{self._where(statement)}: too many paths")
        return paths

    def _step(self, statement: ast.stmt, path: _Path, relevant: frozenset[str]) -> list[_Path]:
        match statement:
            case ast.If():
                return self._fork(statement, path, relevant)
            case ast.For() | ast.While() | ast.With():
                return self._block(statement.body, [path], relevant) or [path]
            case ast.Try():
                inside = self._block(statement.body, [path], relevant)
                for handler in statement.handlers:
                    self._block(handler.body, [path], relevant)
                return self._block([*statement.orelse, *statement.finalbody], inside, relevant)
            case ast.FunctionDef():
                self._block(statement.body, [path], relevant | _relevant(statement))
                return [path]
            case ast.Return() | ast.Raise() | ast.Continue() | ast.Break():
                self._calls(statement, path)
                return []
            case ast.Assign(targets=[ast.Name(id=name)]):
                self._calls(statement, path)
                return [self._bound(path, name, statement.value)] if name in relevant else [path]
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                self._calls(statement, path)
                return [self._bound(path, name, value)] if name in relevant else [path]
            case ast.AugAssign(target=ast.Name(id=name), op=ast.BitOr()) if name in relevant:
                merged = ast.BinOp(ast.Name(name), ast.BitOr(), statement.value)
                return [self._bound(path, name, ast.copy_location(merged, statement))]
            case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=key))]):
                if name in relevant:
                    before = path.env.get(name, (None,))
                    after = tuple(each | {str(key)} if isinstance(each, frozenset) else each for each in before)
                    return [_Path({**path.env, name: after}, path.taken)]
        self._calls(statement, path)
        return [path]

    def _fork(self, statement: ast.If, path: _Path, relevant: frozenset[str]) -> list[_Path]:
        test, sign = _condition(statement.test)
        self._calls(statement.test, path)
        if not self._matters(statement, relevant):
            return [path]
        after: list[_Path] = []
        for outcome in (True, False):
            if path.taken.get(test, outcome) is outcome:
                side = _Path(path.env, {**path.taken, test: outcome})
                after += self._block(statement.body if outcome is sign else statement.orelse, [side], relevant)
        return after

    def _matters(self, statement: ast.If, relevant: frozenset[str]) -> bool:
        if self._emits(statement):
            return True
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in relevant:
                return True
        # Leaving early rules the condition out for what follows.
        return any(isinstance(each, ast.Return | ast.Raise | ast.Continue) for each in statement.body)

    def _bound(self, path: _Path, name: str, value: ast.expr) -> _Path:
        return _Path({**path.env, name: tuple(self._values(value, path))}, path.taken)

    # Calls

    def _calls(self, node: ast.AST, path: _Path) -> None:
        for call in ast.walk(node):
            if not isinstance(call, ast.Call):
                continue
            if _is_emit(call):
                self._emitted(call, path)
            elif isinstance(call.func, ast.Name) and call.func.id in self.module.functions:
                callee = self.module.functions[call.func.id]
                if self._emits(callee):
                    self._run(call.func.id, callee, _Path(self._arguments(call, callee, path)))

    def _arguments(self, call: ast.Call, callee: ast.FunctionDef, path: _Path) -> dict[str, tuple[Value, ...]]:
        names = [argument.arg for argument in callee.args.args]
        given = [*zip(names, call.args, strict=False), *((each.arg or "", each.value) for each in call.keywords)]
        return {name: tuple(self._values(value, path)) for name, value in given}

    def _emitted(self, call: ast.Call, path: _Path) -> None:
        own = isinstance(call.func, ast.Name)
        at = 0 if isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) in ("draft", "self") else 1
        types, data = call.args[at], call.args[at + 1]
        named = {keyword.arg for keyword in call.keywords}
        sealed = not own and bool(named & {"secret", "prepared", None})
        for event_type, found in itertools.product(self._values(types, path), self._values(data, path)):
            if isinstance(event_type, str) and isinstance(found, frozenset):
                self.found.append(Emission(self._where(call), event_type, found, sealed))
            elif isinstance(event_type, str):
                self.unclear.add(self._where(call))

    # Expressions

    def _values(self, node: ast.expr, path: _Path) -> list[Value]:
        match node:
            case ast.Dict():
                return self._display(node, path)
            case ast.Name(id=name):
                return list(path.env.get(name, (None,)))
            case ast.Attribute(value=ast.Name(id="EventType"), attr=member):
                return [member]
            case ast.Attribute() if ast.unparse(node) in ATTRIBUTES:
                return self._returned(*ATTRIBUTES[ast.unparse(node)])
            case ast.IfExp():
                test, sign = _condition(node.test)
                known = path.taken.get(test)
                either = [] if known is not None and known is not sign else self._values(node.body, path)
                return either + ([] if known is not None and known is sign else self._values(node.orelse, path))
            case ast.BinOp(op=ast.BitOr()):
                return [
                    left | right if isinstance(left, frozenset) and isinstance(right, frozenset) else None
                    for left in self._values(node.left, path)
                    for right in self._values(node.right, path)
                ]
            case ast.Call(func=ast.Name(id="dict"), args=[inner], keywords=[]):
                return self._values(inner, path)
            case ast.Call(func=ast.Name(id=name)):
                if name in self.module.functions:
                    return self._returned(self.module.source.path, name)
                origin = self.module.source.names.get(name, "")
                if origin.startswith("chalicelib."):
                    module, _, function = origin.rpartition(".")
                    return self._returned(f"{module.replace('.', '/')}.py", function)
            case ast.Call(func=ast.Attribute(value=ast.Name(id="self"), attr=name)):
                method = self.module.method(name)
                return _returns(Reader(self.module.source), method) if method is not None else [None]
        return [None]

    def _display(self, node: ast.Dict, path: _Path) -> list[Value]:
        parts: list[list[Value]] = []
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                parts.append(self._values(value, path))
            elif isinstance(key, ast.Constant):
                parts.append([frozenset({str(key.value)})])
            else:
                return [None]
        found: list[Value] = []
        for each in itertools.product(*parts):
            known = [keys for keys in each if isinstance(keys, frozenset)]
            found.append(frozenset().union(*known) if len(known) == len(each) else None)
        return found

    def _returned(self, path: str, function: str) -> list[Value]:
        source = next((each for each in sources("chalicelib") if each.path == path), None)
        if source is None:
            return [None]
        reader = Reader(source)
        node = reader.module.functions.get(function)
        return _returns(reader, node) if node is not None else [None]


def _returns(reader: Reader, function: ast.FunctionDef) -> list[Value]:
    """Return what a helper can return, when its returns are written out."""
    found: list[Value] = []
    for node in ast.walk(function):
        if isinstance(node, ast.Return) and node.value is not None:
            found += reader._values(node.value, _Path())
    return found


def _condition(test: ast.expr) -> tuple[str, bool]:
    """Return a condition's text without a leading ``not``, and the outcome under which the body is run."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        text, sign = _condition(test.operand)
        return text, not sign
    return ast.unparse(test), True


def _relevant(function: ast.AST) -> frozenset[str]:
    """Return the names that may reach an event: all that stand in a call's arguments, and what those are made of."""
    wanted = {
        node.id
        for call in ast.walk(function)
        if isinstance(call, ast.Call)
        for argument in [*call.args, *(keyword.value for keyword in call.keywords)]
        for node in ast.walk(argument)
        if isinstance(node, ast.Name)
    }
    return frozenset(wanted)


def _is_emit(call: ast.Call) -> bool:
    if isinstance(call.func, ast.Name):
        return call.func.id == OWN_EVENT
    return isinstance(call.func, ast.Attribute) and call.func.attr == "emit"


def readers() -> Iterator[Reader]:
    """Yield a reader of each module outside the store that writes events, after it has read."""
    for source in sources("chalicelib"):
        if source.room in ("store", "edge") or source.path == "chalicelib/usecases/ports.py":
            continue
        if ".emit(" in source.text or f"{OWN_EVENT}(" in source.text:
            yield Reader(source).read()
