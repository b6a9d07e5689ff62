"""Canonical rows and digests as they were first released: a re-upload years later must still be the same row."""

import json
from pathlib import Path

import pytest

from chalicelib.domain.intake.judge import Taken, judge
from chalicelib.domain.intake.placement import digest_of
from chalicelib.domain.intake.row import Row
from scripts import portfolio_format
from scripts.sample import document

STORED = Path(__file__).parent / "intake"
NUMBERS = (6, 44)


def row_of(number: int) -> Row:
    outcome = judge(document(number), row=number, line=number + 1)
    assert isinstance(outcome, Taken)
    return outcome.record


@pytest.mark.parametrize("number", NUMBERS)
def test_the_canonical_row_is_as_it_was(number: int) -> None:
    stored = json.loads((STORED / f"row_{number}.json").read_text(encoding="utf-8"))
    assert json.loads(row_of(number).model_dump_json(exclude_defaults=True)) == stored["row"]


@pytest.mark.parametrize("number", NUMBERS)
def test_the_digest_of_a_canonical_row_is_as_it_was(number: int) -> None:
    stored = json.loads((STORED / f"row_{number}.json").read_text(encoding="utf-8"))
    assert digest_of(row_of(number)) == stored["digest"]
    assert digest_of(Row.model_validate(document_of_stored(stored["row"]))) == stored["digest"]


def document_of_stored(row: dict[str, object]) -> dict[str, object]:
    return json.loads(json.dumps(row))  # type: ignore[no-any-return]


def test_the_reference_in_the_documentation_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    assert portfolio_format.main(["--check"]) == 0
