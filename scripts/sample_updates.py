"""Make a generated sample of customer updates for the accounts of the sample portfolio; nobody in it exists.

python -m scripts.sample_updates --out var/updates                 # CSV in UTF-8, with its control record beside it
python -m scripts.sample_updates --format xlsx --out var/updates   # also gb18030 and jsonl

One row in forty is wrong on purpose: it names an account that no sample portfolio has.
"""

import argparse
import csv
import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from chalicelib.domain.intake.customer_update import CustomerUpdate
from scripts.sample import document, write_workbook

ROWS = 400
_WRONG_EVERY = 40
_SUFFIXES = {"csv": ".csv", "gb18030": ".gb18030.csv", "jsonl": ".jsonl", "xlsx": ".xlsx"}


def update(number: int) -> dict[str, Any]:
    """Return the document of data row ``number`` (from 1): one of five kinds of update of one of the sample's borrowers."""
    loan = document(number)["loan"]
    account = "AC-NOBODY" if number % _WRONG_EVERY == 0 else loan["lender_account_id"]
    about: dict[str, Any] = {
        "lender_account_id": account,
        "placement_stage": document(number)["batch"]["placement_stage"],
    }
    kinds: tuple[dict[str, Any], ...] = (
        {"action": "confirm_data", "group": "identity", "how": "lender_record", "verified_on": "2026-11-20"},
        {
            "action": "set_preferences",
            "channel": "sms",
            "hours_from": "09:00",
            "hours_to": "12:00",
            "how": "lender_record",
        },
        {
            "action": "add_point",
            "kind": "email",
            "value": f"sample{number}@example.com",
            "source": "contract",
            "reason": "lender_record",
            "how": "lender_record",
            "verified_on": "2026-11-20",
        },
        {
            "action": "add_point",
            "kind": "email",
            "value": f"consent{number}@example.org",
            "source": "left_by_debtor",
            "reason": "person_gave_it",
            "consent_medium": "email",
            "consent_state": "granted",
        },
        {
            "action": "confirm_data",
            "group": "employment",
            "how": "document",
            "employer": "Sample Works",
            "job": "driver",
        },
    )
    return {"update_id": f"SAMPLE-{number:06d}", **about, **kinds[number % len(kinds)]}


def updates(rows: int) -> Iterator[dict[str, Any]]:
    """Yield the documents of a whole sample in order."""
    return (update(number) for number in range(1, rows + 1))


def write(path: Path, *, form: str, rows: int) -> dict[str, Any]:
    """Write the sample and its control record beside it, and return what a request announces of the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = list(CustomerUpdate.model_fields)
    table = ([str(row.get(name, "")) for name in names] for row in updates(rows))
    if form == "jsonl":
        lines = (json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in updates(rows))
        path.write_text("".join(lines), encoding="utf-8", newline="\n")
    elif form == "xlsx":
        write_workbook(path, names, table)
    else:
        with path.open("w", encoding="utf-8" if form == "csv" else form, newline="") as out:
            writer = csv.writer(out, lineterminator="\r\n")
            writer.writerow(names)
            writer.writerows(table)
    data = path.read_bytes()
    control = {"rows": rows, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    note = {"note": "generated sample: nobody in it exists"}
    path.with_suffix(".control.json").write_text(json.dumps(note | control, indent=2) + "\n", encoding="utf-8")
    return control


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the sample that the command line asks for and print its control record."""
    parser = argparse.ArgumentParser(description="Make a generated sample of customer updates; nobody in it exists.")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--format", choices=tuple(_SUFFIXES), default="csv")
    parser.add_argument("--out", type=Path, default=Path("var/updates"), help="path without suffix")
    options = parser.parse_args(arguments)
    if options.rows < 1:
        print("a sample has at least one row", file=sys.stderr)
        return 2
    path = options.out.with_name(options.out.name + _SUFFIXES[options.format])
    print(json.dumps({"file": str(path), **write(path, form=options.format, rows=options.rows)}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
