"""The repayment ledger by example: how days are counted, what money settles, what a pause does, on both sides of each edge."""

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.cases.appropriation import PARTS, Order, order_in, orders
from chalicelib.domain.cases.repayment_ledger import (
    BUCKETS,
    BUCKETS_OTHERWISE,
    Instalment,
    Pause,
    Payment,
    RepaymentLedger,
    Waiver,
    bucket_of,
    days_past_due,
    merged,
    rank_of,
)

JANUARY, FEBRUARY, MARCH = date(2026, 1, 10), date(2026, 2, 10), date(2026, 3, 10)
DAY = timedelta(days=1)


def ledger(*entries: Payment | Pause, country: str = "US", **deviations: Any) -> RepaymentLedger:
    """Three instalments of 100 (90 principal, 10 interest), due on the tenth of three months, and no charges."""
    whole = {"principal": 90, "interest": 10}
    fields = {
        "country": country,
        "instalments": tuple(Instalment(due_on=due, owed=whole) for due in (JANUARY, FEBRUARY, MARCH)),
        "charges": {},
        **deviations,
    }
    made = RepaymentLedger(**fields)
    for entry in entries:
        made = made.with_payment(entry) if isinstance(entry, Payment) else made.with_pause(entry)
    return made


def paid(amount: int, on: date, number: int = 1, **deviations: Any) -> Payment:
    fields = {"id": f"pay_{number}", "amount_minor": amount, "currency": "USD", "received_on": on}
    return Payment(**{**fields, **deviations})


def paused(kind: str, first: date, last: date, number: int = 1, **deviations: Any) -> Pause:
    return Pause(**{"id": f"pause_{number}", "kind": kind, "paused_from": first, "paused_to": last, **deviations})


# Counting


@pytest.mark.parametrize(("after", "days"), [(-1, 0), (0, 0), (1, 1), (29, 29), (30, 30), (365, 365)])
def test_the_due_day_is_day_0_and_the_day_after_it_day_1(after: int, days: int) -> None:
    assert ledger().standing(JANUARY + after * DAY).days_past_due == days


def test_days_count_from_the_oldest_instalment_that_is_not_settled() -> None:
    today = date(2026, 3, 20)
    assert ledger(paid(99, JANUARY)).standing(today).oldest_unpaid_due_on == JANUARY
    stands = ledger(paid(100, JANUARY)).standing(today)
    assert (stands.oldest_unpaid_due_on, stands.days_past_due, stands.unpaid_periods) == (FEBRUARY, 38, 2)
    assert (stands.overdue_minor, stands.balance_minor) == (200, 200)


def test_what_falls_due_today_is_owed_and_not_overdue() -> None:
    stands = ledger().standing(FEBRUARY)
    assert (stands.overdue_minor, stands.balance_minor, stands.unpaid_periods) == (100, 300, 1)


def test_money_counts_from_the_day_it_was_received() -> None:
    late = ledger(paid(100, JANUARY + 20 * DAY))
    assert late.standing(JANUARY + 19 * DAY).days_past_due == 19
    assert late.standing(JANUARY + 20 * DAY).days_past_due == 0


@pytest.mark.parametrize(
    ("days", "china", "elsewhere"),
    [
        (0, "M0", "current"),
        (1, "M1", "1-29"),
        (29, "M1", "1-29"),
        (30, "M1", "30-59"),
        (31, "M2", "30-59"),
        (60, "M2", "60-89"),
        (61, "M3", "60-89"),
        (90, "M3", "90-119"),
        (120, "M4", "120+"),
        (180, "M6", "120+"),
        (181, "M7", "120+"),
        (999, "M7", "120+"),
    ],
)
def test_chinas_m2_begins_on_day_31_and_the_us_second_bucket_on_day_30(days: int, china: str, elsewhere: str) -> None:
    assert (bucket_of(days, country="CN"), bucket_of(days, country="US")) == (china, elsewhere)
    assert BUCKETS["CN"][rank_of(days, country="CN")] == china
    assert BUCKETS_OTHERWISE[rank_of(days, country="US")] == elsewhere


def test_an_instalment_is_settled_on_the_value_date_of_the_payment_that_settles_it() -> None:
    # Within a part the oldest comes first: the interest of all that is due, then the principal.
    stands = ledger(paid(60, FEBRUARY), paid(150, MARCH, 2)).standing(MARCH)
    assert stands.settlements == ((JANUARY, MARCH), (FEBRUARY, MARCH), (MARCH, None))
    assert [stands.days_past_due_on(day) for day in (JANUARY, FEBRUARY, MARCH - DAY, MARCH)] == [0, 31, 58, 0]


# Appropriation

OWED = {"principal": 500, "interest": 100, "penalty": 50, "late_fee": 20, "management_fee": 10, "other": 5}


def settled(amount: int, country: str, **deviations: Any) -> dict[str, int]:
    charges = {part: minor for part, minor in OWED.items() if part not in ("principal", "interest")}
    body = {part: OWED[part] for part in ("principal", "interest")}
    book = ledger(
        paid(amount, JANUARY, **deviations),
        country=country,
        instalments=(Instalment(due_on=JANUARY, owed=body),),
        charges=charges,
    )
    return dict(book.standing(JANUARY).splits["pay_1"])


def test_in_china_costs_come_first_then_interest_then_principal() -> None:
    assert settled(100, "CN") == {"other": 5, "management_fee": 10, "late_fee": 20, "interest": 65}
    assert settled(200, "CN")["principal"] == 15


def test_elsewhere_the_instalment_comes_before_charges() -> None:
    assert settled(600, "US") == {"interest": 100, "principal": 500}


def test_in_china_the_interest_of_every_instalment_comes_before_the_principal_of_the_oldest() -> None:
    today = MARCH + DAY
    stands = ledger(paid(100, today), country="CN").standing(today)
    assert (stands.owed["interest"], stands.owed["principal"], stands.oldest_unpaid_due_on) == (0, 200, JANUARY)
    stands = ledger(paid(120, today), country="CN").standing(today)
    assert stands.oldest_unpaid_due_on == FEBRUARY


def test_what_is_not_due_yet_is_settled_last_and_by_due_date() -> None:
    early = ledger(paid(115, JANUARY)).standing(JANUARY)
    assert early.splits["pay_1"] == {"interest": 20, "principal": 95}
    assert early.balance_minor == 185


def test_a_stated_split_goes_before_the_order_and_what_does_not_fit_follows_the_order() -> None:
    assert settled(60, "CN", stated_split={"principal": 60}) == {"principal": 60}
    assert settled(70, "CN", stated_split={"penalty": 70}) == {
        "penalty": 50,
        "other": 5,
        "management_fee": 10,
        "late_fee": 5,
    }


def test_money_beyond_a_stated_split_was_for_something_else() -> None:
    assert settled(400, "CN", stated_split={"interest": 40}) == {"interest": 40}


def test_a_charge_never_makes_an_instalment_look_unpaid() -> None:
    stands = ledger(paid(300, MARCH), charges={"late_fee": 25}).standing(MARCH + 9 * DAY)
    assert (stands.days_past_due, stands.balance_minor, stands.overdue_minor) == (0, 25, 25)


def test_every_order_names_every_part_once_and_says_where_it_is_written() -> None:
    for code, each in orders().items():
        assert sorted(each.order) == sorted(PARTS), code
        assert each.citation
    assert orders()["CN"].grade == "statute"
    with pytest.raises(ValueError, match="every part once"):
        Order.model_validate({**orders()["CN"].model_dump(), "order": PARTS[:-1]})


def test_china_settles_costs_then_interest_then_principal() -> None:
    order = order_in("CN")
    assert max(order.index(part) for part in ("other", "management_fee", "late_fee")) < order.index("interest")
    assert order[-1] == "principal"
    assert order_in("DE") == order_in("US") != order


# Waivers


def waived(amount: int, on: date, number: int = 1, **deviations: Any) -> Waiver:
    return Waiver(**{"id": f"wv_{number}", "amount_minor": amount, "granted_on": on, **deviations})


def test_a_waiver_takes_what_was_added_first_and_the_principal_last() -> None:
    stands = ledger(charges={"late_fee": 25}).with_waiver(waived(60, MARCH)).standing(MARCH)
    assert stands.waived == {"wv_1": {"late_fee": 25, "interest": 30, "principal": 5}}
    assert stands.balance_minor == 325 - 60


def test_money_of_the_day_comes_before_a_waiver_and_later_money_finds_less() -> None:
    whole = ledger(paid(280, JANUARY, 1), paid(10, MARCH + DAY, 2)).with_waiver(waived(100, JANUARY))
    stands = whole.standing(MARCH + DAY)
    assert (sum(stands.waived["wv_1"].values()), stands.balance_minor, stands.unapplied_minor) == (20, 0, 10)


def test_a_waiver_settles_instalments_on_its_day_and_not_before_it() -> None:
    whole = ledger(paid(200, JANUARY)).with_waiver(waived(100, MARCH + 5 * DAY))
    assert whole.standing(MARCH + 4 * DAY).days_past_due == 4
    assert whole.standing(MARCH + 5 * DAY).days_past_due == 0
    assert whole.standing(MARCH + 9 * DAY).days_past_due_on(MARCH + 4 * DAY) == 4


def test_a_cancelled_waiver_never_was_and_the_same_one_twice_is_one() -> None:
    once = ledger().with_waiver(waived(50, MARCH))
    assert once.with_waiver(waived(50, MARCH)) == once
    ended = once.with_waiver(waived(50, MARCH, 2, cancels="wv_1"))
    assert ended.standing(MARCH).balance_minor == 300


@given(
    parts=st.dictionaries(st.sampled_from(PARTS), st.integers(0, 10**9)),
    amount=st.integers(1, 10**10),
    country=st.sampled_from(["CN", "US", "DE"]),
)
def test_a_payment_settles_no_more_than_is_owed_and_all_it_can(
    parts: dict[str, int], amount: int, country: str
) -> None:
    instalments = (Instalment(due_on=JANUARY, owed=parts),)
    stands = ledger(paid(amount, JANUARY), country=country, instalments=instalments).standing(JANUARY)
    split = stands.splits["pay_1"]
    assert sum(split.values()) == min(amount, sum(parts.values()))
    assert all(0 < minor <= parts[part] for part, minor in split.items())
    assert stands.balance_minor + sum(split.values()) == sum(parts.values())
    assert stands.unapplied_minor == amount - sum(split.values())


# Reversals


def test_a_reversed_payment_never_was() -> None:
    back = paid(100, MARCH, 2, reversal_of="pay_1")
    before, after = ledger(), ledger(paid(100, JANUARY), back)
    for day in (JANUARY, FEBRUARY, MARCH, MARCH + 30 * DAY):
        assert after.standing(day).days_past_due == before.standing(day).days_past_due
        assert after.standing(day).owed == before.standing(day).owed


def test_a_reversal_that_comes_before_its_payment_takes_it_back_all_the_same() -> None:
    back = paid(100, MARCH, 2, reversal_of="pay_1")
    assert ledger(back, paid(100, JANUARY)).standing(MARCH) == ledger(paid(100, JANUARY), back).standing(MARCH)


def test_what_was_believed_at_an_instant_does_not_know_what_was_booked_later() -> None:
    early = paid(100, JANUARY, posted_at="2026-01-11T08:00:00Z")
    back = paid(100, MARCH, 2, reversal_of="pay_1", posted_at="2026-03-10T08:00:00Z")
    book, day = ledger(early, back), date(2026, 2, 9)
    assert book.standing(day, known_by="2026-03-10T07:59:59Z").days_past_due == 0
    assert book.standing(day, known_by="2026-03-10T08:00:00Z").days_past_due == 30
    assert book.standing(day, known_by="2026-01-11T07:59:59Z").days_past_due == 30


# Pauses


@pytest.mark.parametrize(
    ("first", "last", "due"),
    [
        (JANUARY, JANUARY, JANUARY + DAY),
        (JANUARY - DAY, JANUARY - DAY, JANUARY),
        (JANUARY + DAY, JANUARY + 9 * DAY, JANUARY),
        (JANUARY - 5 * DAY, JANUARY + 20 * DAY, JANUARY + 21 * DAY),
    ],
)
def test_a_deferral_moves_a_due_date_in_it_to_the_day_after_it(first: date, last: date, due: date) -> None:
    stands = ledger(paused("deferral", first, last)).standing(JANUARY + 25 * DAY)
    assert (stands.oldest_unpaid_due_on, stands.days_past_due) == (due, (JANUARY + 25 * DAY - due).days)


def test_deferrals_that_touch_are_one() -> None:
    first = paused("deferral", JANUARY, JANUARY + 4 * DAY)
    second = paused("deferral", JANUARY + 5 * DAY, JANUARY + 9 * DAY, 2)
    assert ledger(second, first).standing(FEBRUARY).oldest_unpaid_due_on == JANUARY + 10 * DAY


@pytest.mark.parametrize(
    ("first", "last", "today", "days"),
    [
        (JANUARY, JANUARY, JANUARY + 20 * DAY, 20),
        (JANUARY + DAY, JANUARY + DAY, JANUARY + 20 * DAY, 19),
        (JANUARY + DAY, JANUARY + 10 * DAY, JANUARY + 10 * DAY, 0),
        (JANUARY + DAY, JANUARY + 10 * DAY, JANUARY + 11 * DAY, 1),
        (JANUARY + 5 * DAY, JANUARY + 50 * DAY, JANUARY + 20 * DAY, 4),
        (JANUARY + 21 * DAY, JANUARY + 30 * DAY, JANUARY + 20 * DAY, 20),
    ],
)
def test_a_freeze_takes_its_days_out_of_the_count(first: date, last: date, today: date, days: int) -> None:
    stands = ledger(paused("freeze", first, last)).standing(today)
    assert (stands.days_past_due, stands.oldest_unpaid_due_on) == (days, JANUARY)


def test_a_day_in_two_freezes_is_taken_out_once() -> None:
    one = paused("freeze", JANUARY + DAY, JANUARY + 10 * DAY)
    two = paused("freeze", JANUARY + 6 * DAY, JANUARY + 12 * DAY, 2)
    assert ledger(one, two).standing(JANUARY + 20 * DAY).days_past_due == 8


def test_a_cancelled_pause_never_was() -> None:
    pause = paused("freeze", JANUARY, FEBRUARY)
    end = paused("freeze", JANUARY, FEBRUARY, 2, cancels="pause_1")
    assert ledger(end, pause).standing(MARCH) == ledger().standing(MARCH)


def test_a_frozen_account_stays_in_its_bucket() -> None:
    book = ledger(paused("freeze", JANUARY + 29 * DAY, JANUARY + 300 * DAY), country="CN")
    assert {book.standing(JANUARY + n * DAY).bucket for n in range(28, 301)} == {"M1"}


@given(
    spans=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)), max_size=6),
    today=st.integers(-5, 90),
)
def test_merged_spans_hold_the_same_days_and_count_as_they_do(spans: list[tuple[int, int]], today: int) -> None:
    dated = [(JANUARY + first * DAY, JANUARY + (first + more) * DAY) for first, more in spans]
    days = {first + n * DAY for first, last in dated for n in range((last - first).days + 1)}
    joined = merged(dated)
    assert {first + n * DAY for first, last in joined for n in range((last - first).days + 1)} == days
    assert all(after[0] - before[1] > DAY for before, after in zip(joined, joined[1:], strict=False))
    business = JANUARY + today * DAY
    counted = sum(JANUARY < JANUARY + n * DAY <= business and JANUARY + n * DAY not in days for n in range(1, 100))
    assert days_past_due(JANUARY, business, frozen=joined) == counted
