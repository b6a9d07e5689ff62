"""The measured case as a pack of the engine: the same code that rules on real acts, under other rules."""

import tomllib
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from chalicelib.domain.compliance.authoring import compile_rules, compiled_text
from chalicelib.domain.compliance.decision import judge
from chalicelib.domain.compliance.generate import Row
from chalicelib.domain.compliance.packs import GivenPacks
from chalicelib.domain.compliance.record import Record
from scripts.peers.plain import FEDERAL, STATE

RULES = Path(__file__).with_name("pack.toml")
NO_ZONES: Mapping[str, Any] = {"countries": {}, "regions": {}}


def _plain(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def compiled() -> dict[str, Any]:
    """Return the pack in its compiled form."""
    data = _plain(tomllib.loads(RULES.read_text(encoding="utf-8")))
    years = {"federal": FEDERAL, "texas": STATE["US-TX"], "massachusetts": STATE["US-MA"], "louisiana": STATE["US-LA"]}
    return compile_rules(
        [{**data["defaults"], **rule} for rule in data["rule"]],
        ident="MEASURED",
        version="1",
        name="The measured case",
        countries=["US"],
        calendars={name: {"2026": sorted(days)} for name, days in years.items()},
    )


def text() -> str:
    """Return the text of the compiled pack, as a package would ship it."""
    return compiled_text(compiled())


Decided = tuple[str, tuple[Row, ...], int | None]


def decider() -> Callable[[Record], Decided]:
    """Return what gives verdict, every rule explained and the next allowed instant of a record."""
    packs = GivenPacks([("0" * 64, compiled())], NO_ZONES)

    def decide(record: Record) -> Decided:
        decision = judge(record, packs)
        return decision.verdict, decision.rows(), decision.next_allowed()

    return decide
