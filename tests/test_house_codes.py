"""The page on reason codes lists what the code refuses with, read from every place that refuses."""

import ast
import re
from collections import defaultdict
from functools import cache

from tests.house import ROOT, Source, sources

PLACES = {"StateConflict": 0, "InvalidInput": 1, "FieldError": 1, "_bad_span": 0}
"""Where the code stands among the arguments of what makes a refusal."""

SECTIONS = {
    "StateConflict": "state_conflict",
    "NotPermitted": "not_permitted",
    "InvalidInput": "invalid_input",
    "FieldError": "invalid_query",
    "_bad_span": "invalid_query",
}

PASSED_ON: dict[tuple[str, str], str] = {
    ("chalicelib/domain/errors.py", "code"): "what InvalidInput is given",
    ("chalicelib/edge/http_body.py", "code"): "docs/errors.md lists the codes of unreadable bodies",
    ("chalicelib/edge/http_problems.py", "found['type']"): "the validator's own",
    ("chalicelib/usecases/experiments.py", "fault.code"): "docs/experiments.md lists what is wrong with a design",
    ("chalicelib/usecases/house_rules.py", "fault.code"): "docs/compliance.md lists what house rules are refused with",
    ("chalicelib/usecases/kpis.py", "code"): "what _bad_span is given",
    ("chalicelib/usecases/litigation.py", "obstacle.code"): "docs/litigation.md lists what stands against suing",
    ("chalicelib/usecases/messages.py", "code"): "docs/templates.md lists what a channel cannot carry",
    ("chalicelib/usecases/simulations.py", "code"): "docs/what-if.md lists what is wrong with a supposition",
    ("chalicelib/usecases/messages.py", "rendered.code"): "docs/templates.md lists what templates refuse with",
    ("chalicelib/usecases/strategies.py", "fault.code"): "docs/strategies.md lists what keeps a strategy from use",
    ("chalicelib/usecases/surveys.py", "code"): "docs/feedback.md lists what rules for surveys are refused with",
    ("chalicelib/usecases/templates.py", "fault.code"): "docs/templates.md lists what keeps a template from use",
}
"""Codes that are not written where they are used, and where they come from."""


def _calls(source: Source) -> list[tuple[str, ast.expr]]:
    found = []
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        name = node.func.id
        if name == "NotPermitted":
            found += [(name, keyword.value) for keyword in node.keywords if keyword.arg == "code"]
        elif name in PLACES and len(node.args) > PLACES[name]:
            found.append((name, node.args[PLACES[name]]))
    return found


@cache
def _written() -> tuple[dict[str, set[str]], set[tuple[str, str]]]:
    codes: dict[str, set[str]] = defaultdict(set)
    others: set[tuple[str, str]] = set()
    for source in sources("chalicelib"):
        for name, value in _calls(source):
            if isinstance(value, ast.Constant):
                codes[SECTIONS[name]].add(str(value.value))
            else:
                others.add((source.path, ast.unparse(value)))
    return codes, others


def _told() -> dict[str, list[str]]:
    text = (ROOT / "docs" / "reason-codes.md").read_text(encoding="utf-8")
    found = {}
    for section in text.split("\n## ")[1:]:
        found[section.splitlines()[0]] = re.findall(r"^\| `(\w+)` \| \S", section, flags=re.MULTILINE)
    return found


def test_page_lists_every_code_that_is_refused_with_and_no_other() -> None:
    codes, _ = _written()
    assert sum(map(len, codes.values())) > 40
    assert {section: set(told) for section, told in _told().items()} == codes


def test_page_lists_codes_once_and_in_order() -> None:
    assert all(told == sorted(set(told)) for told in _told().values())


def test_codes_that_are_passed_on_are_known() -> None:
    assert _written()[1] == set(PASSED_ON)


def test_a_code_is_a_short_word_in_lower_case() -> None:
    codes, _ = _written()
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", code) for told in codes.values() for code in told)
