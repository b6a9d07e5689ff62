"""Every rule has vectors beside it: where it fires, where it stays silent, and on both sides of its dates."""

import re
from collections import defaultdict
from datetime import date, timedelta
from typing import Any

import pytest

from chalicelib.domain.compliance import load_packs, rule
from chalicelib.domain.compliance.case import Case
from chalicelib.domain.compliance.engine import played
from chalicelib.domain.compliance.packs import Rule
from chalicelib.domain.compliance.timeline import day_of, instant_of, zone
from tests.rules.casebook import dossier_of, vectors

VECTORS = list(vectors())
PACKS = load_packs()
PARTS: list[tuple[str, Rule]] = [(name, each) for name in PACKS.index for each in PACKS.pack(name).rules]
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def part_name(part: tuple[str, Rule]) -> str:
    return f"{part[1].ident}-{part[1].data['shape']}"


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: f"{vector['id']}-{vector['rule']}")
def test_vector_gets_its_verdict_and_exactly_its_rules(vector: dict[str, Any]) -> None:
    ruling = rule(dossier_of(vector), PACKS)
    seen = {
        "verdict": ruling["verdict"],
        "fires": sorted({fired["id"] for fired in ruling["rules"]}),
        "next": ruling["next_allowed_at"],
        "missing": ruling["missing"],
    }
    assert seen == {
        "verdict": vector["verdict"],
        "fires": vector["fires"],
        "next": vector.get("next"),
        "missing": vector.get("missing", []),
    }, vector["note"]


@pytest.fixture(scope="module")
def coverage() -> tuple[dict[int, list[dict[str, Any]]], set[int]]:
    """Where each rule part fired, and which parts stayed silent though they could have applied."""
    fired: dict[int, list[dict[str, Any]]] = defaultdict(list)
    silent: set[int] = set()
    for vector in VECTORS:
        for part, finding in played(dossier_of(vector), PACKS):
            if finding is None:
                silent.add(id(part))
            elif not finding.because.startswith("if the rule applies"):
                fired[id(part)].append(vector)
    return fired, silent


@pytest.mark.parametrize("part", PARTS, ids=part_name)
def test_rule_part_has_a_vector_where_it_fires_and_one_where_it_is_silent(
    part: tuple[str, Rule], coverage: tuple[dict[int, list[dict[str, Any]]], set[int]]
) -> None:
    fired, silent = coverage
    assert fired[id(part[1])], "no vector makes it fire"
    # What is forbidden as such fires whenever it applies; others need their other side too.
    if part[1].data["shape"] not in ("forbid", "duty"):
        assert id(part[1]) in silent, "no vector shows it silent"


def _shifted(value: Any, days: int) -> Any:
    if isinstance(value, dict):
        return {key: _shifted(item, days) for key, item in value.items()}
    if isinstance(value, list):
        return [_shifted(item, days) for item in value]
    if isinstance(value, str) and _DATE.match(value):
        return (date.fromisoformat(value[:10]) + timedelta(days)).isoformat() + value[10:]
    return value


def _fires(part: Rule, dossier: dict[str, Any]) -> bool:
    return any(each is part and finding is not None for each, finding in played(dossier, PACKS))


def _local_day(pack: str, dossier: dict[str, Any]) -> int:
    zones = PACKS.pack(pack).zones or tuple(map(zone, Case(dossier).zone_names(PACKS.atlas)))
    return max(each.day(instant_of(dossier["at"])) for each in zones)


@pytest.mark.parametrize("part", [part for part in PARTS if part[1].data.get("from")], ids=part_name)
def test_rule_part_begins_on_its_date(
    part: tuple[str, Rule], coverage: tuple[dict[int, list[dict[str, Any]]], set[int]]
) -> None:
    first = day_of(part[1].data["from"])
    began = []
    for vector in coverage[0][id(part[1])]:
        dossier = dossier_of(vector)
        # Whole weeks keep the weekday: the first such day in force and the last one before.
        weeks = -((_local_day(part[0], dossier) - first) // 7) * 7
        began.append(_fires(part[1], _shifted(dossier, weeks)))
        assert not _fires(part[1], _shifted(dossier, weeks - 7)), "fires before its date"
    assert any(began), "does not fire in its first week"


@pytest.mark.parametrize("part", [part for part in PARTS if part[1].data.get("to")], ids=part_name)
def test_rule_part_ends_with_its_date(
    part: tuple[str, Rule], coverage: tuple[dict[int, list[dict[str, Any]]], set[int]]
) -> None:
    last = day_of(part[1].data["to"])
    for vector in coverage[0][id(part[1])]:
        dossier = dossier_of(vector)
        weeks = (last - _local_day(part[0], dossier)) // 7 * 7
        assert _fires(part[1], _shifted(dossier, weeks)), "silent in its last week"
        assert not _fires(part[1], _shifted(dossier, weeks + 7)), "fires after its date"


@pytest.mark.parametrize("part", PARTS, ids=part_name)
def test_rule_is_in_force_from_local_midnight_to_local_midnight(part: tuple[str, Rule]) -> None:
    shanghai = (zone("Asia/Shanghai"),)
    start, end = part[1].in_force(shanghai)
    if part[1].data.get("from"):
        assert shanghai[0].local(start) == day_of(part[1].data["from"]) * 86_400
    if part[1].data.get("to"):
        assert shanghai[0].local(end) == (day_of(part[1].data["to"]) + 1) * 86_400
    assert start < end
