"""The source of the house as syntax trees, for the tests that hold it to its own rules."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).parents[1]

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Source:
    """One file: ``path`` is relative to the root, with slashes."""

    path: str

    @property
    def file(self) -> Path:
        """Return where it lies."""
        return ROOT / self.path

    @cached_property
    def text(self) -> str:
        """Return its text."""
        return self.file.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        """Return its syntax tree."""
        return ast.parse(self.text, filename=self.path)

    @property
    def module(self) -> str:
        """Return its dotted name; a package is named without ``__init__``."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def room(self) -> str:
        """Return the room of ``chalicelib`` that it stands in, or its dotted name where it stands in none."""
        parts = self.path.split("/")
        return parts[1] if parts[0] == "chalicelib" and len(parts) > 2 else self.module

    @cached_property
    def names(self) -> dict[str, str]:
        """Return what each imported name stands for, dotted: ``{"dt": "datetime.datetime"}``, in any scope of the file."""
        found: dict[str, str] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    top = alias.name.split(".")[0]
                    found[alias.asname or top] = alias.name if alias.asname else top
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    found[alias.asname or alias.name] = f"{self._from(node)}.{alias.name}"
        return found

    @cached_property
    def imports(self) -> frozenset[str]:
        """Return every imported module; of ``from a import b`` both ``a`` and ``a.b``, since b may be a module."""
        found: set[str] = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                found.add(self._from(node))
                found.update(f"{self._from(node)}.{alias.name}" for alias in node.names)
        return frozenset(found)

    def _from(self, node: ast.ImportFrom) -> str:
        if node.level == 0:
            return node.module or ""
        package = self.module.split(".")
        if not self.path.endswith("/__init__.py"):
            package.pop()
        base = package[: len(package) - node.level + 1]
        return ".".join([*base, node.module] if node.module else base)

    def dotted(self, node: ast.expr) -> str | None:
        """Return what an expression ``a.b.c`` stands for with its first name resolved by the imports, else None."""
        trail: list[str] = []
        while isinstance(node, ast.Attribute):
            trail.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return None
        return ".".join([self.names.get(node.id, node.id), *reversed(trail)])

    @cached_property
    def uses(self) -> frozenset[str]:
        """Return every dotted name that the file mentions."""
        named = (self.dotted(node) for node in ast.walk(self.tree) if isinstance(node, ast.Attribute | ast.Name))
        return frozenset(name for name in named if name is not None)


_read_once = cache(Source)


def sources(*folders: str) -> tuple[Source, ...]:
    """Return the files below the folders (or the single files named), by path."""
    found: list[Source] = []
    for folder in folders:
        top = ROOT / folder
        files = [top] if top.is_file() else sorted(top.rglob("*.py"))
        found += [_read_once(file.relative_to(ROOT).as_posix()) for file in files]
    return tuple(found)


def definitions(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, Definition]]:
    """Yield every class, function and method with its dotted name; what is local to a function is its own affair."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{prefix}{node.name}", node
        elif isinstance(node, ast.ClassDef):
            yield f"{prefix}{node.name}", node
            yield from definitions(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, ast.If | ast.Try):
            yield from definitions([*node.body, *node.orelse], prefix)
