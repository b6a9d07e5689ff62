"""Every public name says what it answers."""

import ast

from tests.house import Definition, definitions, sources

PROGRAM = sources("chalicelib", "scripts", "app.py")
LINE = 120


def _is_public(name: str) -> bool:
    return not any(part.startswith("_") for part in name.split("."))


def _public() -> list[tuple[str, str, Definition]]:
    return [
        (source.path, name, node)
        for source in PROGRAM
        for name, node in definitions(source.tree.body)
        if _is_public(name)
    ]


def test_every_module_says_what_it_is_for() -> None:
    assert not [source.path for source in PROGRAM if not ast.get_docstring(source.tree)]


def test_every_public_class_function_method_and_property_says_what_it_answers() -> None:
    known = _public()
    assert len(known) > 500
    assert not [f"{path}: {name}" for path, name, node in known if not ast.get_docstring(node)]


def test_a_docstring_begins_with_a_sentence_on_one_line() -> None:
    told = [(source.path, ast.get_docstring(source.tree) or "") for source in PROGRAM]
    told += [(f"{path}: {name}", ast.get_docstring(node) or "") for path, name, node in _public()]
    wrong = []
    for where, text in told:
        first, _, rest = text.partition("\n")
        # A first line ends its sentence, or the sentence goes on in the same paragraph.
        if not first or len(first) > LINE or (not rest and first[-1] not in '.!?:"`)'):
            wrong.append(where)
    assert not wrong
