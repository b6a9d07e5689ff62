"""Write the reference tables of the pages on file formats from the models, so that they cannot differ from them.

python -m scripts.portfolio_format          # rewrite the tables in place
python -m scripts.portfolio_format --check  # exit 1 when they are out of date
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_type_hints

from pydantic import BaseModel

from chalicelib.domain.intake.columns import Branch, Leaf, column_name, marks_of, tree
from chalicelib.domain.intake.customer_update import HEADINGS, CustomerUpdate
from chalicelib.domain.intake.rejections import BATCH_CODES, ROW_CODES, UPDATE_CODES
from chalicelib.domain.intake.row import Row
from chalicelib.domain.intake.values import Between, Kind, Listed, Text

PORTFOLIO, UPDATES = Path("docs/portfolio-format.md"), Path("docs/customer-updates-format.md")
BEGIN, END = "<!-- reference: begin -->", "<!-- reference: end -->"


def reference() -> str:
    """Return the tables: every member with its column, and every code."""
    parts = ["### Columns and members", ""]
    for title, rows in _sections():
        parts += [f"#### {title}", "", "| column | JSON member | required | values |", "|---|---|---|---|", *rows, ""]
    parts += ["### Codes of rejected rows", "", "| code | English | 中文 |", "|---|---|---|"]
    parts += [f"| `{code}` | {en} | {zh} |" for code, (zh, en) in sorted(ROW_CODES.items())]
    parts += ["", "### Codes of refused files", "", "| code | English | 中文 |", "|---|---|---|"]
    parts += [f"| `{code}` | {en} | {zh} |" for code, (zh, en) in sorted(BATCH_CODES.items())]
    return "\n".join(parts) + "\n"


def updates_reference() -> str:
    """Return the tables of customer updates: every column with what else it may be called, and every code of its own."""
    parts = ["### Columns", "", "| column | headings | required | values |", "|---|---|---|---|"]
    for name, info in CustomerUpdate.model_fields.items():
        required = "yes" if info.is_required() else "no"
        headings = ", ".join(HEADINGS[name])
        parts.append(f"| `{name}` | {headings} | {required} | {_values(CustomerUpdate, name)} |")
    parts += [
        "",
        "### Codes of rejected rows",
        "",
        "Beside those of `docs/portfolio-format.md` on form and encoding:",
        "",
    ]
    parts += ["| code | English | 中文 |", "|---|---|---|"]
    parts += [f"| `{code}` | {en} | {zh} |" for code, (zh, en) in sorted(UPDATE_CODES.items())]
    return "\n".join(parts) + "\n"


def _sections() -> Iterator[tuple[str, list[str]]]:
    top = [member for member in tree().members if isinstance(member, Leaf)]
    for member in tree().members:
        if isinstance(member, Branch):
            model = _model_of(Row, member.name)
            title = f"`{member.name}`" + (f": up to {member.most}" if member.most else "")
            yield title, list(_rows(member, model, _prefix(member), member.name + ("[]" if member.most else "")))
    yield (
        "The row itself",
        [_row(leaf, Row, leaf.name, leaf.name) for leaf in top if leaf.name != "extra"]
        + ["| `extra_<key>` | `extra.<key>` | no | text, at most 100 characters; at most 50 keys of 30 characters |"],
    )


def _prefix(branch: Branch) -> str:
    return branch.column + "<n>" if branch.most else branch.column


def _rows(branch: Branch, model: type[BaseModel], prefix: str, path: str) -> Iterator[str]:
    for member in branch.members:
        if isinstance(member, Leaf):
            part = column_name(member.name)
            column = prefix if member.name == branch.main else f"{prefix}_{part}" if prefix else part
            yield _row(member, model, column, f"{path}.{member.name}")
            continue
        inner = f"{prefix}_{_prefix(member)}" if prefix else _prefix(member)
        at = f"{path}.{member.name}" + ("[]" if member.most else "")
        yield from _rows(member, _model_of(model, member.name), inner, at)


def _row(leaf: Leaf, model: type[BaseModel], column: str, member: str) -> str:
    info = model.model_fields[leaf.name]
    # A party without a reference is given p1, p2 ... by its place in the row.
    required = "yes" if info.is_required() and leaf.name != "party_id" else "no"
    return f"| `{column}` | `{member}` | {required} | {_values(model, leaf.name)} |"


def _model_of(model: type[BaseModel], name: str) -> type[BaseModel]:
    _, inner = marks_of(get_type_hints(model, include_extras=True)[name])
    found: type[BaseModel] = inner.__args__[0] if getattr(inner, "__args__", None) else inner
    return found


_KINDS = {
    "money": "amount ≥ 0",
    "rate": "0 to 1, decimal",
    "date": "`YYYY-MM-DD`",
    "instant": "RFC 3339 with zone",
    "flag": "true / false",
    "count": "whole number",
    "text": "text",
}


def _values(model: type[BaseModel], name: str) -> str:
    marks, _ = marks_of(get_type_hints(model, include_extras=True)[name])
    for mark in marks:
        if isinstance(mark, Listed):
            return ", ".join(f"`{value}`" for value in mark.values)
        if isinstance(mark, Between):
            return f"{mark.low} to {mark.high}"
        if isinstance(mark, Text):
            return f"text, at most {mark.most} characters"
    kind = next((mark.name for mark in marks if isinstance(mark, Kind)), "text")
    return _KINDS[kind]


def main(arguments: Sequence[str] | None = None) -> int:
    """Rewrite the tables, or with ``--check`` tell whether they are up to date."""
    parser = argparse.ArgumentParser(description="Write the reference tables of the pages on file formats.")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args(arguments)
    stale = 0
    for page, tables in ((PORTFOLIO, reference()), (UPDATES, updates_reference())):
        text = page.read_text(encoding="utf-8")
        head, _, rest = text.partition(BEGIN)
        _, _, foot = rest.partition(END)
        wanted = f"{head}{BEGIN}\n\n{tables}\n{END}{foot}"
        stale += wanted != text
        if not options.check:
            page.write_text(wanted, encoding="utf-8")
    return int(options.check and stale > 0)


if __name__ == "__main__":
    sys.exit(main())
