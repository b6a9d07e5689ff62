"""Key conditions of queries, taken apart once for all items of a partition and not anew for each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Token = tuple[str, str]
Compare = Callable[[Any, str, Any], bool]
"""Tells how two attribute values compare: (left, operator, right)."""

_OPERATORS = frozenset({"EQ", "LT", "LE", "GT", "GE"})


@dataclass(frozen=True, slots=True)
class Clause:
    """One condition on one key: an operator or ``BETWEEN`` or ``begins_with``, and the names of key and operands."""

    name: str
    operator: str
    values: tuple[str, ...]


def matcher(
    clauses: Sequence[Clause], values: Mapping[str, Any], names: Mapping[str, str], compare: Compare
) -> Callable[[Mapping[str, Any]], bool]:
    """Return what tells whether an item satisfies every clause; the bounds of BETWEEN are closed, as in DynamoDB.

    ``begins_with`` is for keys that are strings, as all of ours are: it raises KeyError for others.
    """
    wanted = [
        (names.get(clause.name, clause.name), clause.operator, [values.get(name) for name in clause.values])
        for clause in clauses
    ]

    def holds(item: Mapping[str, Any]) -> bool:
        return all(_holds(item.get(name), operator, values, compare) for name, operator, values in wanted)

    return holds


def _holds(found: Any, operator: str, values: Sequence[Any], compare: Compare) -> bool:
    if operator == "begins_with":
        return found is not None and bool(found["S"].startswith(values[0]["S"]))
    if operator == "BETWEEN":
        return compare(values[0], "<=", found) and compare(found, "<=", values[1])
    return compare(found, operator, values[0])


def clauses_of(tokens: Sequence[Token]) -> tuple[Clause, ...] | None:
    """Return the clauses that are joined by AND, or None for any other form, which is the emulator's to judge.

    Understood is what a client library writes: names and values by reference, in one pair of parentheses or in none.
    """
    left = [token for token in tokens if token[0] != "EOF"]
    if len(left) > 2 and left[0][0] == "LPAREN" and left[-1][0] == "RPAREN":
        left = left[1:-1]
    found = []
    while left:
        clause, length = _first(left)
        if clause is None:
            return None
        found.append(clause)
        left = left[length:]
        if left:
            if not _is_word(left[0], "AND") or len(left) == 1:
                return None
            left = left[1:]
    return tuple(found) or None


def _first(tokens: Sequence[Token]) -> tuple[Clause | None, int]:
    kinds = [kind for kind, _ in tokens[:6]]
    words = [text for _, text in tokens[:6]]
    if kinds[:2] == ["NAME_REF", "IDENT"] and _is_word(tokens[1], "BETWEEN"):
        is_whole = kinds[2:5] == ["VALUE_REF", "IDENT", "VALUE_REF"] and _is_word(tokens[3], "AND")
        return (Clause(words[0], "BETWEEN", (words[2], words[4])) if is_whole else None), 5
    if kinds[::2][:2] == ["NAME_REF", "VALUE_REF"] and kinds[1] in _OPERATORS:
        return Clause(words[0], words[1], (words[2],)), 3
    if kinds == ["IDENT", "LPAREN", "NAME_REF", "COMMA", "VALUE_REF", "RPAREN"] and words[0].lower() == "begins_with":
        return Clause(words[2], "begins_with", (words[4],)), 6
    return None, 0


def _is_word(token: Token, word: str) -> bool:
    return token[0] == "IDENT" and token[1].upper() == word
