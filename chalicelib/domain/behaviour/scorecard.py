"""Scorecards: points for each feature's value, added up in integers, with the reasons that weighed most.

A card is data (``chalicelib/scorecards``): for each feature the bins of its value and the points of each. The score is the base
points and the points of the bins, nothing else; a chance in per mille is read from the card's table by the score. Every
figure of a person's score can so be added up by hand. More points are the better prospect for the lender: less
likely to roll, more likely to cure.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import rfc8785
from pydantic import BaseModel, ConfigDict, Field, model_validator

from chalicelib.domain.behaviour.features import FEATURES, Features

DIRECTORY = Path(__file__).resolve().parents[2] / "scorecards"
MOST_REASONS = 4
"""Reasons given for a score at most, as creditors give for an adverse action (12 CFR 1002, Supp. I, 9(b)(2))."""

ROLL, CURE = "roll-30d", "cure-30d"
"""The cards: whether the account rolls into a later bucket within 30 days; whether it is current after 30 days."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Bin(_Model):
    """Values up to ``upto`` (closed), and above the bin before; None has no upper end."""

    upto: int | None
    points: int


class Characteristic(_Model):
    """A feature in a card. ``missing`` are the points where it has no value; ``typical`` are those of the average account."""

    feature: Annotated[str, Field(pattern=r"^[a-z0-9_]+@[0-9]+$")]
    bins: Annotated[tuple[Bin, ...], Field(min_length=1)]
    missing: int
    typical: int

    @model_validator(mode="after")
    def _whole(self) -> "Characteristic":
        ends = [each.upto for each in self.bins]
        known = [end for end in ends[:-1] if end is not None]
        if ends[-1] is not None or len(known) != len(ends) - 1 or known != sorted(set(known)):
            raise ValueError("bins are in order and the last has no end")
        name, _, version = self.feature.partition("@")
        feature = FEATURES.get(name)
        if feature is None or str(feature.version) != version:
            raise ValueError(f"there is no feature {self.feature}")
        if feature.use != "score":
            raise ValueError(f"{self.feature} is no feature for scores")
        return self

    @property
    def id(self) -> str:
        """Return the feature's id."""
        return self.feature.partition("@")[0]

    def points(self, value: int | None) -> int:
        """Return the points of a value."""
        if value is None:
            return self.missing
        return next(each.points for each in self.bins if each.upto is None or value <= each.upto)


class Chance(_Model):
    """Scores up to ``upto`` (closed; None has no end) have this chance of the card's target, in per mille."""

    upto: int | None
    permille: Annotated[int, Field(ge=0, le=1000)]


class Card(_Model):
    """A card. ``pdo`` are the points that double the odds; ``trained_on`` says on what it was fitted, in words and figures."""

    format: Literal[1] = 1
    id: str
    version: int
    target_zh: str
    target_en: str
    base: int
    pdo: int
    characteristics: tuple[Characteristic, ...]
    chances: tuple[Chance, ...]
    trained_on: dict[str, Any]

    @property
    def reference(self) -> str:
        """Return ``id@version``."""
        return f"{self.id}@{self.version}"

    @cached_property
    def sha256(self) -> str:
        """Return the SHA-256 (hex) of the card's canonical JSON (RFC 8785)."""
        return hashlib.sha256(rfc8785.dumps(self.model_dump(mode="json"))).hexdigest()


@dataclass(frozen=True, slots=True)
class Reason:
    """A feature that spoke against the account: its value, its points, and how many fewer they are than the typical ones."""

    feature: str
    value: int | None
    points: int
    below_typical: int


@dataclass(frozen=True, slots=True)
class Scored:
    """A score: its points, the chance of the card's target in per mille, and what weighed most against the account."""

    card: str
    sha256: str
    score: int
    chance_permille: int
    reasons: tuple[Reason, ...]


def score(card: Card, features: Features) -> Scored:
    """Return the score of these features; the same card and features always give the same."""
    total, reasons = card.base, []
    for each in card.characteristics:
        value = features[each.id]
        points = each.points(value)
        total += points
        if points < each.typical:
            reasons.append(Reason(each.id, value, points, each.typical - points))
    reasons.sort(key=lambda reason: (-reason.below_typical, reason.feature))
    chance = next(each.permille for each in card.chances if each.upto is None or total <= each.upto)
    return Scored(card.reference, card.sha256, total, chance, tuple(reasons[:MOST_REASONS]))


@cache
def cards(directory: Path = DIRECTORY) -> Mapping[str, Card]:
    """Return the cards in force by id: the greatest version of each in the folder."""
    found: dict[str, Card] = {}
    for path in sorted(directory.glob("*.json")):
        card = Card.model_validate(json.loads(path.read_text(encoding="utf-8")))
        known = found.get(card.id)
        if known is None or known.version < card.version:
            found[card.id] = card
    return found


def by_hand(card: Card, features: Features) -> Sequence[tuple[str, int | None, int]]:
    """Return the sum that a score is: the base, then each feature with its value and points."""
    return [("base", None, card.base)] + [
        (c.id, features[c.id], c.points(features[c.id])) for c in card.characteristics
    ]
