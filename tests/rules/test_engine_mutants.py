"""The engine's mutants: named after what they change, told by a vector where it matters, argued by name where not."""

import marshal

import pytest

from chalicelib.domain.compliance import federal
from scripts.campaign_mutation import ARGUED_OF_ENGINE, argued
from scripts.engine_bench import Example, Task, dependents, examples, judged, warm
from scripts.engine_mutants import FOLDER, EngineMutant, changed, mutants, of_module

HOURS = "hours closes: start <= second: LtE to Lt"


def named(name: str) -> EngineMutant:
    return next(mutant for mutant in mutants() if mutant.name == name)


@pytest.fixture(scope="module")
def book() -> list[Example]:
    warm()
    return [example for example in examples() if example.rule in ("CN-HOURS-1", "US-REGF-HOURS")]


def test_names_are_unlike_and_arguments_are_of_mutants() -> None:
    names = [mutant.name for mutant in mutants()]
    assert len(names) == len(set(names)) > 3_500
    assert argued(ARGUED_OF_ENGINE).keys() <= set(names)
    assert all(len(why) > 20 for why in argued(ARGUED_OF_ENGINE).values())


def test_a_name_does_not_say_in_which_line_it_is() -> None:
    assert not [mutant.name for mutant in of_module("hours") if f":{mutant.line}" in mutant.name]


def test_each_mutant_is_another_program() -> None:
    path = FOLDER / "scene.py"
    plain = marshal.dumps(compile(path.read_text(encoding="utf-8"), str(path), "exec"))
    assert [mutant.name for mutant in of_module("scene") if marshal.dumps(changed(mutant)) == plain] == []


def test_what_a_vector_tells_is_told_and_by_the_same_vector_again(book: list[Example]) -> None:
    [(task, told)] = judged([Task(named(HOURS), None, book, [])], 1)
    assert told is not None and told.startswith("vector ")
    [(_, again)] = judged([task._replace(hint=told)], 1)
    assert again == told


def test_what_no_vector_tells_survives() -> None:
    [(_, told)] = judged([Task(named(HOURS), None, [], [])], 1)
    assert told is None


def test_only_what_imports_a_changed_module_is_loaded_anew() -> None:
    assert "chalicelib.domain.compliance.engine" in dependents("timeline")
    assert "chalicelib.domain.compliance.timeline" not in dependents("hours")
    assert "tests.rules.casebook" not in dependents("timeline")


def test_a_call_of_the_other_end_answers_where_the_module_does_not_import_it() -> None:
    assert "starts_last" not in vars(federal)
    mutant = next(each for each in of_module("federal") if each.name.endswith(": starts to starts_last"))
    constants = marshal.dumps(changed(mutant))
    assert b"__import__" in constants and b"chalicelib.domain.compliance.timeline" in constants
