"""Write the tables of docs/kpis.md, definitions, counters and what is not measured, from the code.

python -m scripts.kpi_page            write them
python -m scripts.kpi_page --check    fail when they are not what they would be
"""

import argparse
import re
import sys
from pathlib import Path

from chalicelib.domain.kpi.counters import COUNTERS
from chalicelib.domain.kpi.definitions import DEFINITIONS, Definition, Level, Period, Term
from chalicelib.domain.kpi.not_measured import NOT_MEASURED

PAGE = Path(__file__).parents[1] / "docs" / "kpis.md"

ABOUT = {
    frozenset({Level.LENDER}): "the lender",
    frozenset({Level.AGENCY}): "an agency",
    frozenset(Level): "the lender and an agency",
}
PERIODS = {Period.DAY: "", Period.WEEK: ", a week", Period.MONTH: ", a month", Period.EACH: ", a day, week or month"}


def expression(terms: tuple[Term, ...], definition: Definition) -> str:
    """Return terms as the page shows them."""
    text = ""
    for term in terms:
        key = "from" if term.stem else definition.key
        name = f"`{term.counter}:<{key}>`" if term.keyed else f"`{term.counter}`"
        text += f"{'' if not text else ' - ' if term.sign < 0 else ' + '}{name}"
    return text or "none"


def definition_row(each: Definition) -> str:
    """Return a definition's row."""
    cells = (
        f"`{each.reference}`",
        f"{each.name['zh']}<br>{each.name['en']}",
        f"{each.formula['zh']}<br>{each.formula['en']}",
        *(expression(part, each) for part in (each.numerator, each.denominator, each.sample)),
        f"{ABOUT[each.levels]}{PERIODS[each.period]}",
        "Wilson" if each.interval else "none",
        f"{each.exclusions['zh']}<br>{each.exclusions['en']}",
        each.source,
    )
    return f"| {' | '.join(cells)} |"


def tables() -> dict[str, str]:
    """Return each table by the word in its markers."""
    definitions = [
        "| figure | name | formula | numerator | denominator | `n` | about | 95 % interval | left out | source |",
        "|" + "---|" * 10,
        *(definition_row(each) for each in DEFINITIONS),
    ]
    counters = [
        "| counter | counts |",
        "|---|---|",
        *(f"| `{name}` | {meaning} |" for name, meaning in COUNTERS.items()),
    ]
    missing = [
        "| figure | what it needs |",
        "|---|---|",
        *(
            f"| {each.name['zh']}<br>{each.name['en']} (`{each.id}`) | {each.needs['zh']}<br>{each.needs['en']} |"
            for each in NOT_MEASURED
        ),
    ]
    return {"definitions": "\n".join(definitions), "counters": "\n".join(counters), "not measured": "\n".join(missing)}


def page(standing: str) -> str:
    """Return the page with its tables as they must be. Raises ValueError when a marker is missing."""
    for word, table in tables().items():
        begin, end = f"<!-- {word} -->\n", f"\n<!-- end of {word} -->"
        if begin not in standing or end not in standing:
            raise ValueError(f"docs/kpis.md has no markers for {word}")
        pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
        standing = pattern.sub(lambda _, table=table, begin=begin, end=end: begin + table + end, standing)  # type: ignore[misc]
    return standing


def main(argv: list[str] | None = None) -> int:
    """Write the tables, or compare them; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m scripts.kpi_page", description="Write the tables of docs/kpis.md.")
    parser.add_argument("--check", action="store_true", help="write nothing, fail when a table is another one")
    arguments = parser.parse_args(argv)
    standing = PAGE.read_text(encoding="utf-8")
    made = page(standing)
    if not arguments.check:
        PAGE.write_text(made, encoding="utf-8")
        return 0
    if standing == made:
        return 0
    print("docs/kpis.md is not what the code says: run python -m scripts.kpi_page", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
