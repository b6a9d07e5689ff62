"""The sample: the same for the same seed, right where it should be, and wrong exactly where and how it says."""

import json
import re
from pathlib import Path

from chalicelib.domain.intake.judge import Rejection, judge
from chalicelib.domain.intake.scan import count_documents
from scripts.sample import FAULT_EVERY, FAULTS, ROWS, document, documents, faulty, write

ONE_ROUND = FAULT_EVERY * len(FAULTS)


def test_every_fault_is_rejected_with_its_code_alone_and_every_other_row_is_taken() -> None:
    for number, row in enumerate(documents(ONE_ROUND), start=1):
        outcome, fault = judge(row, row=number, line=number + 1), faulty(number)
        found = [problem.code for problem in outcome.problems] if isinstance(outcome, Rejection) else []
        assert found == ([fault[0]] if fault is not None else []), number


def test_the_same_seed_gives_the_same_file_and_another_seed_another() -> None:
    assert [document(n) for n in (1, 3, 60)] == [document(n) for n in (1, 3, 60)]
    assert document(1) != document(1, seed=1)


def test_the_companions_say_what_is_in_the_file(tmp_path: Path) -> None:
    control = write(tmp_path / "s.csv", form="csv", rows=120)
    assert json.loads((tmp_path / "s.control.json").read_text()) == control
    assert "generated" in control["note"]
    wrong = json.loads((tmp_path / "s.faults.json").read_text())
    assert [(entry["row"], entry["code"]) for entry in wrong] == [(60, FAULTS[0][0]), (120, FAULTS[1][0])]
    assert len((tmp_path / "s.csv").read_text(encoding="utf-8").splitlines()) == 121


def test_the_sample_covers_what_the_system_must_bear() -> None:
    rows = list(documents(300, faults=False))
    regions = {row["parties"][0]["region"] for row in rows}
    assert {region[:2] for region in regions} == {"CN", "US"} and {"CN-XJ", "US-HI", "US-IN"} <= regions
    roles = {(party["role"], party.get("liability")) for row in rows for party in row["parties"]}
    assert {("guarantor", "joint"), ("guarantor", "general"), ("co_borrower", None), ("contact", None)} <= roles
    assert any(row.get("promises") for row in rows) and any(row.get("disputes") for row in rows)
    assert any(party.get("wechats") for row in rows for party in row["parties"])
    assert ROWS >= 2_100


def test_nobody_in_the_sample_can_be_reached_in_the_united_states() -> None:
    for row in documents(200, faults=False):
        for party in row["parties"]:
            for email in party.get("emails", []):
                assert re.search(r"@example\.(com|org|net)$", email["value"])
            if party.get("country") == "US":
                assert all("-555-01" in phone["value"] for phone in party.get("phones", []))
                assert party.get("national_id", "9").startswith("9")


def test_the_figures_in_the_documentation_are_those_of_the_sample() -> None:
    text = (Path(__file__).parents[2] / "docs/portfolio-format.md").read_text(encoding="utf-8")
    told = json.loads(next(line for line in text.splitlines() if line.strip().startswith('{"format": "csv"')))
    rows, totals = count_documents(documents(ROWS))
    assert told["rows"] == rows
    assert told["totals"] == {"overdue_total": totals["overdue_total"]}
