"""What lies flat in a record, what a kind of act knows beforehand, and the small functions that written-out rules call."""

import copy
from typing import Any

import pytest

from chalicelib.domain.compliance import load_packs
from chalicelib.domain.compliance.case import Atlas, Case
from chalicelib.domain.compliance.decision import program_of
from chalicelib.domain.compliance.generate import _Ends, disturbed, opens, words_in
from chalicelib.domain.compliance.packs import _city, _meets
from chalicelib.domain.compliance.record import DISCLOSED, mask, prepare, read
from chalicelib.domain.compliance.scene import is_first
from chalicelib.domain.compliance.timeline import DAY, day_of, instant_of, instant_text, zone
from tests.rules.casebook import dossier_of

AT = "2026-06-10T15:00:00Z"
WEDNESDAY = day_of("2026-06-10")


def of(base: str, history: list[dict[str, Any]] | None = None, **parts: Any) -> dict[str, Any]:
    """Return a dossier of the casebook with books of its own."""
    dossier = dossier_of({"rule": "x", "id": "x", "base": base, "at": AT, "add": {"history": history or []}})
    return {**dossier, **copy.deepcopy(parts)}


def test_the_last_instant_of_a_record_is_its_last_events() -> None:
    assert prepare(of("us.call", history=[{"at": "@-2h", "channel": "call", "outcome": "busy"}])).last == instant_of(
        "2026-06-10T13:00:00Z"
    )
    empty = {**of("us.call"), "history": []}
    assert prepare(empty).last == 0
    assert read(prepare(empty).stored()).last == 0


GRANT = {"at": "2026-06-09T15:00:00Z", "party": "p1", "medium": "sms", "event": "granted"}


@pytest.mark.parametrize(
    ("change", "granted"),
    [
        ({}, True),
        ({"at": AT}, True),
        ({"at": "2026-06-10T15:00:01Z"}, False),
        ({"event": "used"}, False),
        ({"medium": "call"}, False),
        ({"medium": "all"}, True),
        ({"party": "x9"}, False),
        ({"expires": "2027-06-10"}, False),
        ({"org": "ag1"}, True),
        ({"org": "len1"}, True),
        ({"org": "ag9"}, False),
        ({"point": "m"}, True),
        ({"point": "w"}, False),
        ({"point": "w", "scope": "medium"}, True),
    ],
)
def test_a_record_knows_a_plain_grant(change: dict[str, Any], granted: bool) -> None:
    assert prepare(of("us.sms", consents=[{**GRANT, **change}])).granted is granted


def test_a_kind_of_act_knows_whether_it_is_about_one_debt_and_who_acts() -> None:
    packs = load_packs()
    one = of("us.call")
    two = of("us.call")
    two["debts"]["d2"] = dict(two["debts"]["d1"])
    two["act"]["debts"] = ["d1", "d2"]
    assert program_of(prepare(one), packs).kind.lone_debt
    assert not program_of(prepare(two), packs).kind.lone_debt
    assert program_of(prepare(one), packs).kind.third_party_acts
    assert not program_of(prepare(of("us.call.p1.creditor")), packs).kind.third_party_acts
    assert program_of(prepare(one), packs).kind.has_point
    one["act"]["point"] = None
    assert not program_of(prepare(one), packs).kind.has_point


def test_a_time_is_unwelcome_on_its_weekdays_between_its_ends() -> None:
    unwelcome = [(1 << 2, 100, 200)]
    assert [second for second in (99, 100, 199, 200) if disturbed(unwelcome, WEDNESDAY, second)] == [100, 199]
    assert [day for day in range(7) if disturbed(unwelcome, WEDNESDAY + day, 150)] == [0]
    assert not disturbed([], WEDNESDAY, 150)


def test_a_week_opens_on_the_weekday_that_has_a_window() -> None:
    week: dict[int, Any] = dict.fromkeys(range(1, 8), ())
    week[5] = ((8 * 3600, 9 * 3600),)
    there = zone("America/New_York")
    assert instant_text(opens(week, there, there.midnight(WEDNESDAY))) == "2026-06-12T12:00:00Z"
    assert instant_text(opens(week, there, there.midnight(WEDNESDAY + 2) + DAY // 2)) == "2026-06-19T12:00:00Z"


def test_bits_stand_for_disclosures_and_back() -> None:
    words = ["agency", "lender", "opt_out"]
    assert words_in(mask(DISCLOSED, words)) == words
    assert words_in(0) == []


@pytest.mark.parametrize(
    ("event", "first"),
    [
        ({}, False),
        ({"at": AT}, False),
        ({"at": "2026-06-10T15:00:01Z"}, True),
        ({"direction": "in"}, True),
        ({"party": "x9"}, True),
        ({"org": "ag9"}, True),
        ({"org": None}, False),
        ({"debts": ["d9"]}, True),
        ({"debts": None}, False),
    ],
)
def test_a_first_communication_has_none_before_it(event: dict[str, Any], first: bool) -> None:
    dossier = of("us.call")
    told = {
        "id": "e1", "at": "2026-06-09T15:00:00Z", "direction": "out", "channel": "call", "party": "p1", "org": "ag1",
        "debts": ["d1"], "outcome": "busy", **event,
    }  # fmt: skip
    dossier["history"] = [{key: value for key, value in told.items() if value is not None}]
    del dossier["act"]["content"]["first"]
    assert is_first(Case(dossier), instant_of(AT)) is first
    dossier["act"]["content"]["first"] = not first
    assert is_first(Case(dossier), instant_of(AT)) is not first


def test_a_condition_is_met_or_not_or_nobody_knows() -> None:
    assert [_meets(["a", "b"], value) for value in ("a", "c", None)] == [True, False, None]
    several = (
        frozenset("a"),
        frozenset("ac"),
        frozenset("c"),
        frozenset(),
        frozenset(("c", None)),
        frozenset(("a", None)),
    )
    assert [_meets(["a", "b"], value) for value in several] == [True, True, False, None, None, True]


def test_a_residence_lies_in_a_city_by_name_or_by_postal_code() -> None:
    city = {"region": "US-NY", "names": ["new york"], "postal_prefixes": ["100"]}
    told = [
        _city(residence, "NYC", city)
        for residence in (
            {"city": " New York "}, {"city": "Albany"}, {"postal_code": " 10025"}, {"postal_code": "12207"}, {},
            {"city": "Albany", "postal_code": "10025"}, {"city": "New York", "postal_code": "12207"},
        )
    ]  # fmt: skip
    assert told == ["NYC", "", "NYC", "", None, "NYC", "NYC"]


def test_the_atlas_goes_by_region_and_else_by_country() -> None:
    atlas = Atlas({"US": ["A", "B"]}, {"US-NY": ["A"]})
    told = [
        atlas.zones_of(each)
        for each in ({"country": "US", "region": "US-NY"}, {"country": "US"}, {"country": "XX"}, {})
    ]
    assert told == [["A"], ["A", "B"], [], []]


def test_a_written_out_end_has_passed_when_it_has_in_one_zone() -> None:
    ends = _Ends((zone("America/Los_Angeles"), zone("America/New_York")))
    assert ends["2026-06-09"] == ends["2026-06-09"] == instant_of("2026-06-10T04:00:00Z")
    assert ends["2026-06-09T12:00:00.5Z"] == instant_of("2026-06-09T12:00:00Z")
