"""Features see nothing that was told later, and the order in which things are on file changes nothing."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.behaviour.features import FEATURES, features_of
from chalicelib.domain.behaviour.history import Contact, History
from chalicelib.domain.cases.case import Promise
from chalicelib.domain.cases.repayment_ledger import Pause, Payment
from scripts.sample_panel import account, looks

FEW = settings(max_examples=60, deadline=None)


def instant(chance: random.Random) -> datetime:
    day = chance.choice(looks())
    return datetime(day.year, day.month, day.day, chance.randrange(24), tzinfo=UTC)


def text(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def later(history: History, at: datetime, chance: random.Random) -> History:
    """Return the history with things told after the instant, many of them about days before it."""
    told = text(at + timedelta(seconds=chance.choice((1, 60, 86_400, 40 * 86_400))))
    ledger = history.ledgers[0]
    earlier = at.date() - timedelta(days=chance.randrange(0, 200))
    money = {"amount_minor": chance.randrange(1, 10**6), "currency": "CNY", "received_on": earlier, "posted_at": told}
    payments: list[Payment] = [Payment(id="later_1", **money)]
    standing = [payment for payment in ledger.payments if payment.reversal_of is None]
    if standing:
        payments.append(Payment(id="later_2", reversal_of=chance.choice(standing).id, **money))
    pauses = [
        Pause(id=f"later_{kind}", kind=kind, paused_from=earlier, paused_to=at.date(), posted_at=told)
        for kind in ("deferral", "freeze")
    ]
    promise: dict[str, Any] = {
        "person": "p",
        "amount_minor": 1,
        "currency": "CNY",
        "due_on": at.date(),
        "made_on": earlier,
    }
    return replace(
        history,
        ledgers=(replace(ledger, payments=(*ledger.payments, *payments), pauses=(*ledger.pauses, *pauses)),),
        promises=(*history.promises, Promise(id="later", made_at=told, **promise)),
        contacts=(*history.contacts, Contact(told, "call", by_person=True, answered=True, right_party=True)),
        hardship_said_at=(*history.hardship_said_at, told),
    )


@FEW
@given(number=st.integers(0, 400), seed=st.integers(0, 2**32))
def test_a_feature_as_of_an_instant_does_not_change_when_something_is_told_later(number: int, seed: int) -> None:
    chance = random.Random(seed)
    history, at = account(number).history, instant(chance)
    assert features_of(later(history, at, chance), at) == features_of(history, at)
    assert features_of(history.known_at(at), at) == features_of(history, at)


@FEW
@given(number=st.integers(0, 400), seed=st.integers(0, 2**32))
def test_the_order_in_which_things_are_on_file_changes_no_feature(number: int, seed: int) -> None:
    chance = random.Random(seed)
    history, at = account(number).history, instant(chance)

    def shuffled(things: Any) -> Any:
        return tuple(chance.sample(list(things), len(things)))

    ledger = history.ledgers[0]
    other = replace(
        history,
        ledgers=(replace(ledger, payments=shuffled(ledger.payments), instalments=shuffled(ledger.instalments)),),
        promises=shuffled(history.promises),
        contacts=shuffled(history.contacts),
    )
    assert features_of(other, at) == features_of(history, at)


def test_what_is_told_later_would_be_seen_if_it_were_looked_at() -> None:
    """The test above proves something only if the later things matter to every kind of feature once they are known."""
    seen: set[str] = set()
    for number in range(60):
        chance = random.Random(number)
        history, at = account(number).history, instant(chance)
        after = at + timedelta(days=41)
        more = later(history, at, chance)
        before, now = features_of(history, after), features_of(more, after)
        seen |= {name for name in FEATURES if before[name] != now[name]}
    assert {"days_past_due", "reversals_365d", "payments_90d", "days_since_right_party_contact"} <= seen
    assert {"promises_judged_365d", "days_since_hardship_said", "answer_share_90d"} <= seen
