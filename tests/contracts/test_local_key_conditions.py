"""Key conditions that the local cloud takes apart once: they hold for the items for which the whole expression does."""

import operator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.cloud import key_conditions
from scripts.cloud.key_conditions import clauses_of

_KINDS = {"(": "LPAREN", ")": "RPAREN", ",": "COMMA", "=": "EQ", "<": "LT", "<=": "LE", ">": "GT", ">=": "GE"}
_TOLD = {"=": operator.eq, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def tokens(expression: str) -> list[tuple[str, str]]:
    """Return the tokens of an expression whose tokens stand apart."""
    kind = {"#": "NAME_REF", ":": "VALUE_REF"}
    return [(_KINDS.get(word) or kind.get(word[0], "IDENT"), word) for word in expression.split()] + [("EOF", "")]


def compare(left: Any, told: str, right: Any) -> bool:
    """Compare two strings as DynamoDB does; a missing one is like none."""
    return left is not None and right is not None and bool(_TOLD[told](left["S"], right["S"]))


def holds(expression: str, item: dict[str, str], values: dict[str, str]) -> bool:
    """Tell whether an item satisfies an expression by its clauses."""
    found = clauses_of(tokens(expression))
    assert found is not None
    stored = {name: {"S": value} for name, value in item.items()}
    given = {name: {"S": value} for name, value in values.items()}
    return key_conditions.matcher(found, given, {"#0": "pk", "#1": "sk"}, compare)(stored)


words = st.text("abc", max_size=4)


@given(words, words, words)
def test_each_form_tells_what_it_says(sort: str, low: str, high: str) -> None:
    item, values = {"pk": "p", "sk": sort}, {":0": "p", ":1": low, ":2": high}
    assert holds("#0 = :0", item, values)
    assert not holds("#0 = :0", {**item, "pk": "q"}, values)
    assert holds("( #0 = :0 AND #1 > :1 )", item, values) == (sort > low)
    assert holds("( #0 = :0 AND #1 >= :1 )", item, values) == (sort >= low)
    assert holds("( #0 = :0 AND #1 < :1 )", item, values) == (sort < low)
    assert holds("#0 = :0 AND #1 <= :1", item, values) == (sort <= low)
    assert holds("#0 = :0 AND #1 BETWEEN :1 AND :2", item, values) == (low <= sort <= high)
    assert holds("( #0 = :0 AND begins_with ( #1 , :1 ) )", item, values) == sort.startswith(low)


def test_an_item_without_the_sort_key_satisfies_nothing_that_names_it() -> None:
    values = {":0": "p", ":1": "", ":2": "z"}
    for form in ("begins_with ( #1 , :1 )", "#1 BETWEEN :1 AND :2", "#1 > :1"):
        assert not holds(f"#0 = :0 AND {form}", {"pk": "p"}, values)


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "pk = :0",
        "#0 = :0 AND",
        "#0 = :0 OR #1 = :1",
        "NOT #0 = :0",
        "( #0 = :0 ) AND ( #1 = :1 )",
        "#0 = #1",
        "#0 <> :0",
        "#0 BETWEEN :0 OR :1",
        "#0",
        "size ( #0 , :0 )",
    ],
)
def test_any_other_form_is_left_to_the_emulator(expression: str) -> None:
    assert clauses_of(tokens(expression)) is None
