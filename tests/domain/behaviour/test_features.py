"""Features by hand, on both sides of their windows; and that none of them rests on who somebody is."""

import re
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from chalicelib.domain.behaviour.features import FEATURES, LEAST_TRIES, LOOKS, features_of
from chalicelib.domain.behaviour.history import SENSITIVE, Contact, History
from chalicelib.domain.behaviour.records import before_placement, history_of
from chalicelib.domain.cases.case import Case, Promise
from chalicelib.domain.cases.repayment_ledger import Instalment, Pause, Payment, RepaymentLedger
from chalicelib.domain.people.person import ContactEntry, ContactLedger, HoldEntry
from tests.builders import PERSON, a_case, a_ledger
from tests.house import ROOT

AT = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
TODAY = date(2026, 11, 23)
FIRST = date(2025, 11, 10)
DAY = timedelta(days=1)


def month(number: int) -> date:
    return date(FIRST.year + (FIRST.month - 1 + number) // 12, (FIRST.month - 1 + number) % 12 + 1, 10)


def paid(number: int, on: date, minor: int = 1_000, **deviations: Any) -> Payment:
    told = {"id": f"pay_{number}", "amount_minor": minor, "currency": "CNY", "received_on": on}
    return Payment(**{**told, "posted_at": f"{on}T01:00:00Z", **deviations})


def history(*payments: Payment, **deviations: Any) -> History:
    """Thirteen instalments of 1,000 due on the tenth of each month, the last in this one; paid on their day but the last."""
    dues = tuple(Instalment(due_on=month(n), owed={"principal": 1_000}) for n in range(13))
    entries = payments or tuple(paid(n, month(n)) for n in range(12))
    ledger = RepaymentLedger("CN", dues, {}, entries, deviations.pop("pauses", ()))
    return History(**{"zone": "Asia/Shanghai", "ledgers": (ledger,), "instalment_minor": 1_000, **deviations})


def called(days_ago: int, hour: int = 2, **deviations: Any) -> Contact:
    at = f"{TODAY - days_ago * DAY}T{hour:02d}:00:00Z"
    return Contact(**{"at": at, "channel": "call", "by_person": True, **deviations})


def reached(days_ago: int, **deviations: Any) -> Contact:
    return called(days_ago, answered=True, right_party=True, **deviations)


def one(name: str, made: History, at: datetime = AT) -> int | None:
    return features_of(made, at)[name]


def test_an_account_one_instalment_behind() -> None:
    found = features_of(history(), AT)
    assert {name: found[name] for name in ("days_past_due", "unpaid_periods", "overdue_to_instalment")} == {
        "days_past_due": 13,
        "unpaid_periods": 1,
        "overdue_to_instalment": 100,
    }
    assert (found["months_on_book"], found["on_time_share_12m"], found["mean_days_late_6"]) == (12, 91, 2)
    assert (found["payments_90d"], found["days_since_payment"], found["paid_share_90d"]) == (2, 44, 66)


def test_looks_back_see_late_payments_that_are_made_up_for() -> None:
    late = [paid(n, month(n) + (25 * DAY if n == 8 else 0 * DAY)) for n in range(12)]
    found = features_of(history(*late), AT)
    looks = [TODAY - timedelta(days=30 * back) for back in range(LOOKS, 0, -1)]
    behind = [(day - month(8)).days for day in looks if month(8) < day < month(8) + 25 * DAY]
    assert found["months_past_due_12m"] == len(behind) >= 1
    assert found["worst_days_past_due_12m"] == max(behind)
    assert (found["rolls_forward_12m"], found["rolls_back_12m"]) == (2, 1)


def test_a_reversal_counts_and_its_payment_does_not() -> None:
    entries = [paid(n, month(n)) for n in range(12)]
    back = paid(99, date(2026, 10, 14), reversal_of="pay_11")
    found = features_of(history(*entries, back), AT)
    assert (found["reversals_365d"], found["payments_90d"], found["days_past_due"]) == (1, 1, 44)


def test_days_that_are_frozen_do_not_count() -> None:
    pause = Pause(id="p", kind="freeze", paused_from=date(2026, 11, 11), paused_to=date(2026, 11, 15))
    assert one("days_past_due", history(pauses=(pause,))) == 8


def promise(number: int, made_on: date, due_on: date, minor: int = 1_000) -> Promise:
    made_at = f"{made_on}T02:00:00.000Z"
    told = {"person": PERSON, "currency": "CNY", "amount_minor": minor}
    return Promise(id=f"prm_{number}", made_at=made_at, made_on=made_on, due_on=due_on, **told)


def test_promises_are_judged_by_what_was_known_then() -> None:
    kept = promise(1, date(2026, 10, 1), date(2026, 10, 10))
    broken = promise(2, date(2026, 11, 1), date(2026, 11, 10))
    still = promise(3, date(2026, 11, 20), date(2026, 11, 25))
    made = history(promises=(kept, broken, still))
    found = features_of(made, AT)
    assert (found["promises_judged_365d"], found["kept_share_365d"], found["open_promises"]) == (2, 50, 1)
    before = features_of(made, datetime(2026, 11, 13, 2, tzinfo=UTC))
    assert (before["promises_judged_365d"], before["kept_share_365d"], before["open_promises"]) == (1, 100, 1)


def test_contacts_by_window_and_since_the_last_two_way_one() -> None:
    contacts = (reached(120), reached(89), called(60), called(50, answered=True), called(3), called(2))
    found = features_of(history(contacts=contacts), AT)
    assert (found["days_since_right_party_contact"], found["right_party_contacts_90d"]) == (89, 1)
    assert (found["attempts_since_right_party_contact"], found["answer_share_90d"]) == (4, 40)
    assert one("inbound_90d", history(contacts=(called(90, inbound=True), called(89, inbound=True)))) == 1


def test_the_best_hours_and_channel_are_those_answered_most_of_what_was_tried_often_enough() -> None:
    morning = [called(n, hour=1) for n in range(10, 14)]
    evening = [reached(n, hour=11) for n in range(20, 20 + LEAST_TRIES)]
    luck = [reached(40, hour=6)]
    found = features_of(history(contacts=(*morning, *evening, *luck)), AT)
    # 11:00 UTC is 19:00 in Shanghai, which lies in the part of the day from 18:00 to 21:00.
    assert (found["best_hours"], found["best_channel"]) == (18, 0)
    assert one("best_hours", history(contacts=tuple(morning))) is None


def test_an_answer_within_two_days_counts_for_the_message_that_it_followed() -> None:
    sent = [called(n, channel="sms", by_person=False) for n in (30, 20, 10)]
    wrote = [called(29, channel="sms", by_person=False, inbound=True)]
    assert one("best_channel", history(contacts=(*sent, *wrote))) == 2


def test_hardship_routes_and_is_no_feature_for_scores() -> None:
    made = history(hardship_said_at=("2026-11-20T02:00:00Z",))
    assert one("days_since_hardship_said", made) == 3
    assert FEATURES["days_since_hardship_said"].use == "route"


def test_a_history_of_nothing_says_nothing() -> None:
    found = features_of(History("Asia/Shanghai", (RepaymentLedger("CN", (), {}),)), AT)
    assert {name for name, value in found.items() if value is None} == {
        "overdue_to_instalment", "months_on_book", "on_time_share_12m", "mean_days_late_6", "days_since_payment",
        "paid_share_90d", "kept_share_365d", "days_since_right_party_contact", "answer_share_90d", "best_channel",
        "best_hours", "days_since_hardship_said",
    }  # fmt: skip
    assert {value for value in found.values() if value is not None} == {0}


def test_every_value_is_an_integer_or_none() -> None:
    found = features_of(history(contacts=(reached(5), called(4)), promises=(promise(1, FIRST, FIRST),)), AT)
    assert {type(value) for value in found.values()} <= {int, type(None)}
    assert list(found) == list(FEATURES)


# Out of what is on file


def test_a_case_and_a_ledger_make_a_history() -> None:
    record = [
        {
            "period": n,
            "due_date": f"2026-{n:02d}-19",
            "due_minor": 500,
            "paid_minor": 500,
            "paid_date": f"2026-{n:02d}-21",
        }
        for n in range(1, 10)
    ]
    record.append({"period": 10, "due_date": "2026-10-19", "due_minor": 500, "status": "missed"})
    entries = (
        ContactEntry(
            id="1", at="2026-11-20T02:00:00Z", direction="out", channel="call", party=PERSON, outcome="conversation"
        ),
        ContactEntry(
            id="2", at="2026-11-21T02:00:00Z", direction="out", channel="sms", party=PERSON, outcome="pending"
        ),
        ContactEntry(
            id="3", at="2026-11-22T02:00:00Z", direction="in", channel="sms", party=PERSON, outcome="received"
        ),
    )
    hold = HoldEntry(**{"id": "h", "kind": "hardship", "from": "2026-11-01"})
    case = a_case(payment_history=tuple(record), holds=(hold,), loan={"terms": {"instalment_amount_minor": 1_234_567}})
    made = history_of(case, a_ledger(history=entries), zone="Asia/Shanghai")
    found = features_of(made, AT)
    assert (found["days_past_due"], found["overdue_to_instalment"], found["on_time_share_12m"]) == (35, 100, 0)
    assert (found["mean_days_late_6"], found["months_on_book"]) == (7, 10)
    assert (found["right_party_contacts_90d"], found["inbound_90d"], found["days_since_hardship_said"]) == (2, 1, 22)
    assert len(made.contacts) == 2


def test_what_was_placed_as_unpaid_is_not_taken_from_the_record_again() -> None:
    rows = (
        {"period": 1, "due_date": "2026-10-19", "due_minor": 5, "paid_minor": 5, "paid_date": "2026-10-19"},
        {"period": 2, "due_date": "2026-09-19", "due_minor": 5, "paid_minor": 4, "paid_date": "2026-09-19"},
    )
    assert before_placement(a_case(payment_history=rows)).instalments == ()


# Who somebody is


def _words(name: str) -> set[str]:
    return set(re.split(r"[^a-z]+", name.lower()))


def _reachable(kind: Any) -> set[str]:
    named = (
        {field.name for field in fields(kind)}
        if kind in (Contact, History, RepaymentLedger)
        else set(kind.model_fields)
    )
    return named


@pytest.mark.parametrize("kind", [Contact, History, RepaymentLedger, Payment, Instalment, Pause, Promise])
def test_a_history_has_no_room_for_who_somebody_is(kind: Any) -> None:
    for name in _reachable(kind):
        assert not _words(name) & set(SENSITIVE), name


def test_no_feature_rests_on_who_somebody_is() -> None:
    room = {field.name for field in fields(History)}
    for feature in FEATURES.values():
        assert set(feature.inputs) <= room - {"zone"}
        assert not _words(f"{feature.id} {feature.en}") & set(SENSITIVE), feature.id


def test_the_same_account_of_another_person_has_the_same_features() -> None:
    case = a_case()
    other = case.model_copy(
        update={
            "region": "CN-XJ",
            "language": "ug",
            "parties": (case.parties[0].model_copy(update={"person": "per_9"}),),
        }
    )
    assert [
        features_of(history_of(each, ContactLedger(person="x"), zone="Asia/Shanghai"), AT) for each in (case, other)
    ] == [features_of(history_of(case, ContactLedger(person="x"), zone="Asia/Shanghai"), AT)] * 2
    assert {"region", "language", "parties"} <= set(Case.model_fields)


# The page


def test_the_page_lists_every_feature_as_it_is() -> None:
    page = (ROOT / "docs" / "behaviour.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `([a-z0-9_]+@\d+)` \| (.+?) \| (.+?) \| (\w+) \| (\w+) \|", page, re.MULTILINE)
    assert told == [(f.reference, f.zh, f.en, f.unit, f.use) for f in FEATURES.values()]
