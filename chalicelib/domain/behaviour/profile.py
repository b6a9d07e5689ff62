"""What is told of a borrower's behaviour, and to whom: features, scores with reasons, a risk flag, a plan of contact."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from chalicelib.domain.behaviour.features import CHANNELS, FEATURES, HOURS, Features, features_of
from chalicelib.domain.behaviour.history import History
from chalicelib.domain.behaviour.scorecard import CURE, ROLL, Card, Scored, score
from chalicelib.domain.cases.case import Case
from chalicelib.domain.instants import local_date, to_seconds_text

HARDSHIP_DAYS = 180
"""Whoever said within so many days (closed) that they cannot pay is a matter for people, whatever the scores say."""

HOUSE = frozenset({"lender", "compliance", "counsel"})
EVERYBODY = HOUSE | {"agency", "collector"}

SHOWN: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(("case", "as_of", "business_date", "days_past_due", "bucket", "route", "plan"), EVERYBODY),
    **dict.fromkeys(("features", "scores", "high_risk", "high_risk_permille"), HOUSE),
}
"""Who sees what. A score of a person is the lender's: an agency that reads that somebody is unlikely to pay would press them
harder, and needs it for nothing that it is asked to do. What no line names is shown to nobody."""


def profile_of(
    case: Case, history: History, cards: Mapping[str, Card], *, at: datetime, high_risk_permille: int
) -> dict[str, Any]:
    """Return everything that can be said of the borrower's behaviour on the case as of an instant.

    An account that is not past due is not scored, because the cards are about accounts that are. ``high_risk`` says that the
    chance of rolling into a later bucket within 30 days is at least the lender's threshold (closed).
    """
    features = features_of(history, at)
    today = local_date(at, history.zone)
    stands = case.ledger.standing(today)
    scored = {} if stands.days_past_due == 0 else {name: score(card, features) for name, card in cards.items()}
    roll = scored.get(ROLL)
    return {
        "case": case.id,
        "as_of": to_seconds_text(at),
        "business_date": today.isoformat(),
        "days_past_due": stands.days_past_due,
        "bucket": stands.bucket,
        "features": [_feature(name, value) for name, value in features.items()],
        "scores": [_score(cards[name], each) for name, each in scored.items()],
        "high_risk": roll is not None and roll.chance_permille >= high_risk_permille,
        "high_risk_permille": high_risk_permille,
        "route": route_of(features),
        "plan": plan_of(features),
    }


def risk_of(case: Case, history: History, cards: Mapping[str, Card], *, at: datetime, high_risk_permille: int) -> str:
    """Return the band of the chance of rolling into a later bucket within 30 days.

    ``high`` from the lender's threshold (closed), ``low`` below half of it, ``medium`` between; ``unknown`` for an account that
    is not past due, which no card is about.
    """
    if case.ledger.standing(local_date(at, history.zone)).days_past_due == 0:
        return "unknown"
    chance = score(cards[ROLL], features_of(history, at)).chance_permille
    if chance >= high_risk_permille:
        return "high"
    return "low" if 2 * chance < high_risk_permille else "medium"


def summary_of(profile: Mapping[str, Any], *, agency: str | None) -> dict[str, Any]:
    """Return a line of the lender's list: where the account stands, its chances in per mille, and whose matter it is."""
    chances = {each["card"].partition("@")[0]: each["chance_permille"] for each in profile["scores"]}
    told = ("case", "as_of", "days_past_due", "bucket", "high_risk", "route")
    return {
        **{name: profile[name] for name in told},
        "agency": agency,
        "roll_permille": chances.get(ROLL),
        "cure_permille": chances.get(CURE),
    }


def shown(profile: Mapping[str, Any], *, role: str) -> dict[str, Any]:
    """Return what a role may see of a profile."""
    return {name: value for name, value in profile.items() if role in SHOWN.get(name, frozenset())}


def route_of(features: Features) -> str:
    """Return ``people`` where hardship was told of, else ``strategy``. No score has a say in it."""
    since = features["days_since_hardship_said"]
    return "people" if since is not None and since <= HARDSHIP_DAYS else "strategy"


def plan_of(features: Features) -> dict[str, Any]:
    """Return by which channel and from which local hour to which (half-open) the borrower answered most; None is unknown.

    It is a wish: whether a contact may be made then is for the ruling to say.
    """
    channel, hour = features["best_channel"], features["best_hours"]
    return {
        "channel": None if channel is None else CHANNELS[channel],
        "from_hour": hour,
        "to_hour": None if hour is None else hour + HOURS,
    }


def _feature(name: str, value: int | None) -> dict[str, Any]:
    feature = FEATURES[name]
    return {"feature": feature.reference, "value": value, "unit": feature.unit, "zh": feature.zh, "en": feature.en}


def _score(card: Card, scored: Scored) -> dict[str, Any]:
    return {
        "card": scored.card,
        "sha256": scored.sha256,
        "zh": card.target_zh,
        "en": card.target_en,
        "score": scored.score,
        "chance_permille": scored.chance_permille,
        "reasons": [
            {
                "code": reason.feature,
                "value": reason.value,
                "points": reason.points,
                "below_typical": reason.below_typical,
                "zh": FEATURES[reason.feature].zh,
                "en": FEATURES[reason.feature].en,
            }
            for reason in scored.reasons
        ],
    }
