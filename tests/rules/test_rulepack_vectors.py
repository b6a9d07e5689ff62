"""Every rule has vectors beside it: where it fires, where it stays silent, and on both sides of its dates."""

import re
from collections import defaultdict
from datetime import date, timedelta
from typing import Any

import pytest

from chalicelib.domain.compliance import check_dossier, load_packs, rule
from chalicelib.domain.compliance.case import Case
from chalicelib.domain.compliance.decision import program_of
from chalicelib.domain.compliance.generate import look
from chalicelib.domain.compliance.packs import PackSet, Rule
from chalicelib.domain.compliance.record import prepare
from chalicelib.domain.compliance.scene import Finding, Scene
from chalicelib.domain.compliance.timeline import day_of, instant_of, zone
from tests.rules.casebook import asked, dossier_of, seen, vectors

VECTORS = list(vectors())
PACKS = load_packs()
SUPPOSED = PackSet(shadow=True)
PARTS: list[tuple[str, Rule]] = [(name, each) for name in SUPPOSED.index for each in SUPPOSED.pack(name).rules]
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def part_name(part: tuple[str, Rule]) -> str:
    return f"{part[1].ident}-{part[1].data['shape']}"


def played(dossier: dict[str, Any], packs: PackSet) -> list[tuple[Rule, Finding | None]]:
    """Return every rule that can apply to a dossier with its finding, None where it stays silent."""
    record = prepare(check_dossier(dossier))
    found: list[tuple[Rule, Finding | None]] = []
    for bound, pack, zones in program_of(record, packs).ruled:
        answer = look(bound, Scene(record.case, zones, pack.calendars, pack.lexicon), record.at)
        found.append((bound[4], answer if isinstance(answer, Finding) else None))
    return found


def departures(vector: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return what a ruling has other than its vector says, and what the vector says."""
    wanted = asked(vector)
    told = seen(rule(dossier_of(vector), SUPPOSED if vector.get("shadow") else PACKS), wanted)
    return {key: (told[key], wanted[key]) for key in wanted if told[key] != wanted[key]}


@pytest.mark.parametrize("name", sorted({vector["rule"] for vector in VECTORS}))
def test_vectors_get_their_verdict_and_exactly_their_rules(name: str) -> None:
    wrong = {
        f"{vector['id']}: {vector['note']}": found
        for vector in VECTORS
        if vector["rule"] == name and (found := departures(vector))
    }
    assert wrong == {}


def test_vectors_are_named_after_rules_that_there_are() -> None:
    assert {vector["rule"] for vector in VECTORS} <= {part[1].ident for part in PARTS} | {"BASE"}


@pytest.fixture(scope="module")
def coverage() -> tuple[dict[int, list[dict[str, Any]]], set[int]]:
    """Where each rule part fired, and which parts stayed silent though they could have applied."""
    fired: dict[int, list[dict[str, Any]]] = defaultdict(list)
    silent: set[int] = set()
    for vector in VECTORS:
        for part, finding in played(dossier_of(vector), SUPPOSED):
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


def test_every_pack_has_a_vector_that_is_allowed_and_one_that_is_not() -> None:
    verdicts: dict[str, set[str]] = defaultdict(set)
    for vector in VECTORS:
        verdicts[vector["id"].split(":")[0]].add(vector["verdict"])
    for name in PACKS.index:
        if name not in ("HOUSE", "EU"):
            assert "allow" in verdicts[name.lower()] and verdicts[name.lower()] - {"allow"}, name


def _shifted(value: Any, days: int) -> Any:
    if isinstance(value, dict):
        return {key: _shifted(item, days) for key, item in value.items()}
    if isinstance(value, list):
        return [_shifted(item, days) for item in value]
    if isinstance(value, str) and _DATE.match(value):
        return (date.fromisoformat(value[:10]) + timedelta(days)).isoformat() + value[10:]
    return value


def _fires(part: Rule, dossier: dict[str, Any]) -> bool:
    return any(each is part and finding is not None for each, finding in played(dossier, SUPPOSED))


def _local_day(pack: str, dossier: dict[str, Any]) -> int:
    zones = SUPPOSED.pack(pack).zones or tuple(map(zone, Case(dossier).zone_names(SUPPOSED.atlas)))
    return max(each.day(instant_of(dossier["at"])) for each in zones)


def _some(vectors: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the first and the last few: dates are looked at for every part, so a few vectors of each do."""
    return vectors[:3] + vectors[3:][-3:]


@pytest.mark.parametrize("part", [part for part in PARTS if part[1].data.get("from")], ids=part_name)
def test_rule_part_begins_on_its_date(
    part: tuple[str, Rule], coverage: tuple[dict[int, list[dict[str, Any]]], set[int]]
) -> None:
    first = day_of(part[1].data["from"])
    began = []
    for vector in _some(coverage[0][id(part[1])]):
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
    ended = 0
    for vector in _some(coverage[0][id(part[1])]):
        dossier = dossier_of(vector)
        weeks = (last - _local_day(part[0], dossier)) // 7 * 7
        ended += _fires(part[1], _shifted(dossier, weeks))
        assert not _fires(part[1], _shifted(dossier, weeks + 7)), "fires after its date"
    assert ended, "silent in its last week"


@pytest.mark.parametrize("part", PARTS, ids=part_name)
def test_rule_is_in_force_from_local_midnight_to_local_midnight(part: tuple[str, Rule]) -> None:
    shanghai = (zone("Asia/Shanghai"),)
    start, end = part[1].in_force(shanghai)
    if part[1].data.get("from"):
        assert shanghai[0].local(start) == day_of(part[1].data["from"]) * 86_400
    if part[1].data.get("to"):
        assert shanghai[0].local(end) == (day_of(part[1].data["to"]) + 1) * 86_400
    assert start < end
