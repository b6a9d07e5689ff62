"""Scorecards: sums that can be made by hand, reasons, and cards that can only be what they should be."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from chalicelib.domain.behaviour.features import FEATURES
from chalicelib.domain.behaviour.history import SENSITIVE
from chalicelib.domain.behaviour.scorecard import CURE, DIRECTORY, MOST_REASONS, ROLL, Card, by_hand, cards, score
from tests.house import ROOT

NAMES = tuple(FEATURES)
VALUES = st.fixed_dictionaries({name: st.none() | st.integers(0, 2_000) for name in NAMES})


def a_card(**deviations: Any) -> Card:
    """Two features: days past due up to 10 are +5, up to 30 -2, more -20, none 0; payments none -7, one or more +4."""
    days = {"bins": [{"upto": 10, "points": 5}, {"upto": 30, "points": -2}, {"upto": None, "points": -20}]}
    paid = {"bins": [{"upto": 0, "points": -7}, {"upto": None, "points": 4}]}
    return Card.model_validate(
        {
            "id": "roll-30d", "version": 1, "target_zh": "上升", "target_en": "rolls", "base": 500, "pdo": 20,
            "characteristics": [
                {"feature": "days_past_due@1", "missing": 0, "typical": 1, **days},
                {"feature": "payments_90d@1", "missing": -1, "typical": 2, **paid},
            ],
            "chances": [{"upto": 480, "permille": 700}, {"upto": 500, "permille": 500}, {"upto": None, "permille": 300}],
            "trained_on": {"panel": "none"},
            **deviations,
        }
    )  # fmt: skip


def values(**known: int | None) -> dict[str, int | None]:
    return {name: known.get(name) for name in NAMES}


@pytest.mark.parametrize(
    ("days", "payments", "points", "chance"),
    [
        (10, 1, 509, 300),
        (11, 1, 502, 300),
        (30, 0, 491, 500),
        (31, 0, 473, 700),
        (None, None, 499, 500),
        (11, None, 497, 500),
    ],
)
def test_a_score_is_the_sum_of_the_points_of_its_bins(
    days: int | None, payments: int | None, points: int, chance: int
) -> None:
    scored = score(a_card(), values(days_past_due=days, payments_90d=payments))
    assert (scored.score, scored.chance_permille) == (points, chance)


def test_the_reasons_are_what_lies_furthest_below_the_typical() -> None:
    scored = score(a_card(), values(days_past_due=31, payments_90d=0))
    assert [(reason.feature, reason.value, reason.points, reason.below_typical) for reason in scored.reasons] == [
        ("days_past_due", 31, -20, 21),
        ("payments_90d", 0, -7, 9),
    ]
    assert score(a_card(), values(days_past_due=1, payments_90d=3)).reasons == ()


@pytest.mark.parametrize(
    "deviation",
    [
        {"feature": "days_past_due@2"},
        {"feature": "shoe_size@1"},
        {"feature": "days_since_hardship_said@1"},
        {"feature": "best_hours@1"},
        {"bins": [{"upto": 3, "points": 1}]},
        {"bins": [{"upto": 3, "points": 1}, {"upto": 3, "points": 2}, {"upto": None, "points": 0}]},
        {"bins": [{"upto": None, "points": 1}, {"upto": None, "points": 0}]},
        {"bins": [{"upto": None, "points": 1.5}]},
    ],
)
def test_a_card_of_another_feature_or_of_broken_bins_is_none(deviation: dict[str, Any]) -> None:
    whole = a_card().model_dump(mode="json")["characteristics"]
    with pytest.raises(ValidationError):
        a_card(characteristics=[{**whole[0], **deviation}])


# The cards that ship


@pytest.mark.parametrize("name", [ROLL, CURE])
@given(known=VALUES)
def test_every_account_gets_a_whole_score_that_can_be_added_up_by_hand(name: str, known: dict[str, int | None]) -> None:
    card = cards()[name]
    scored = score(card, known)
    assert scored.score == sum(points for _, _, points in by_hand(card, known))
    assert type(scored.score) is int and 0 <= scored.chance_permille <= 1000
    assert len(scored.reasons) <= MOST_REASONS
    assert [each.below_typical for each in scored.reasons] == sorted(
        (r.below_typical for r in scored.reasons), reverse=True
    )
    assert all(each.below_typical > 0 for each in scored.reasons)


@pytest.mark.parametrize("name", [ROLL, CURE])
def test_a_card_that_ships_means_one_thing_by_more_of_a_feature(name: str) -> None:
    for characteristic in cards()[name].characteristics:
        points = [each.points for each in characteristic.bins]
        assert points in (sorted(points), sorted(points, reverse=True)), characteristic.feature


@pytest.mark.parametrize("name", [ROLL, CURE])
def test_more_points_are_the_better_prospect(name: str) -> None:
    chances = [each.permille for each in cards()[name].chances]
    assert chances == sorted(chances, reverse=name == ROLL)


def test_the_cards_that_ship_rest_on_nothing_that_says_who_somebody_is() -> None:
    assert set(cards()) == {ROLL, CURE}
    for card in cards().values():
        assert card.trained_on["panel"] == "generated"
        used = {word for each in card.characteristics for word in each.id.split("_")}
        assert not used & set(SENSITIVE)


@pytest.mark.parametrize("name", [ROLL, CURE])
def test_the_page_tells_each_card_with_its_digest_and_points(name: str) -> None:
    page = (ROOT / "docs" / "scorecard.md").read_text(encoding="utf-8")
    card = cards()[name]
    assert f"### `{card.reference}`: {card.target_en}" in page and f"SHA-256 `{card.sha256}`" in page
    section = page.split(f"| points of `{card.reference}`")[1].split("Errors by group")[0]
    for each in card.characteristics:
        assert f"| `{each.feature}` |" in section


def test_a_digest_tells_every_change_of_a_card() -> None:
    raw = json.loads((DIRECTORY / f"{ROLL}.json").read_text(encoding="utf-8"))
    assert Card.model_validate(raw).sha256 == cards()[ROLL].sha256
    raw["base"] += 1
    assert Card.model_validate(raw).sha256 != cards()[ROLL].sha256
