"""Commission by example and by chance: tiers, ages, stages, products, quality, claw-back, rounding; every cent from a payment."""

from datetime import date, timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.money.commission import (
    Earned,
    Received,
    TakenBack,
    Terms,
    TermsState,
    TermsVersion,
    in_force,
    lines_of,
)
from chalicelib.domain.money.statement import faults_of, totals_of

DAY = date(2026, 11, 10)


def terms(**deviations: Any) -> Terms:
    """10 % of the first 1,000.00 of a month and 20 % of what is above; half for money paid directly; 30 days of claw-back."""
    tiers = ({"above_minor": 0, "rate_basis_points": 1_000}, {"above_minor": 100_000, "rate_basis_points": 2_000})
    fields = {
        "currency": "CNY",
        "rates": ({"id": "all", "tiers": tiers},),
        "direct_basis_points": 5_000,
        "claw_back_days": 30,
        **deviations,
    }
    return Terms.model_validate(fields)


def flat(basis_points: int, **deviations: Any) -> Terms:
    tiers = ({"above_minor": 0, "rate_basis_points": basis_points},)
    return terms(rates=({"id": "all", "tiers": tiers},), **deviations)


def money(amount: int, number: int = 1, **deviations: Any) -> Received:
    fields = {
        "payment": f"pay_{number}",
        "case": "case_1",
        "amount_minor": amount,
        "currency": "CNY",
        "received_on": DAY,
        "booked_at": f"2026-11-10T00:{number // 60:02d}:{number % 60:02d}Z",
        "stage": 1,
        "bucket": "M2",
        "product": "direct_loan",
        "placed_to": date(2027, 2, 1),
    }
    return Received(**{**fields, **deviations})


def back(number: int = 1, **deviations: Any) -> TakenBack:
    fields = {
        "reversal": f"rev_{number}",
        "payment": f"pay_{number}",
        "case": "case_1",
        "amount_minor": 100,
        "currency": "CNY",
        "received_on": DAY + timedelta(days=5),
        "booked_at": "2026-11-20T00:00:00Z",
    }
    return TakenBack(**{**fields, **deviations})


def earned(known: Terms, *received: Received, **kept: Any) -> list[int]:
    return [line.commission_minor for line in lines_of(known, received, (), earlier={}, **kept)]


# Tiers


@pytest.mark.parametrize(
    ("amounts", "commissions"),
    [
        ([100_000], [10_000]),
        ([100_001], [10_000]),  # a fifth of a fen rounds away
        ([100_010], [10_002]),
        ([150_000], [20_000]),
        ([60_000, 60_000], [6_000, 8_000]),
        ([100_000, 10], [10_000, 2]),
    ],
)
def test_each_tier_earns_its_own_rate(amounts: list[int], commissions: list[int]) -> None:
    assert earned(terms(), *(money(amount, number) for number, amount in enumerate(amounts, 1))) == commissions


def test_money_fills_tiers_in_the_order_of_booking_whatever_order_it_comes_in() -> None:
    first, second = money(60_000, 1), money(60_000, 2)
    assert earned(terms(), second, first, first) == [6_000, 8_000]


def test_rates_by_stage_age_and_product_are_tried_in_turn() -> None:
    tier = ({"above_minor": 0, "rate_basis_points": 3_000},)
    low = ({"above_minor": 0, "rate_basis_points": 500},)
    known = terms(
        rates=(
            {"id": "late", "buckets": ("M4", "M5"), "tiers": tier},
            {"id": "second", "stages": (2,), "products": ("lease",), "tiers": tier},
            {"id": "rest", "stages": (1,), "tiers": low},
        )
    )
    rows = (
        money(100, 1, bucket="M4"),
        money(100, 2, stage=2, product="lease"),
        money(100, 3),
        money(100, 4, stage=2),
    )
    lines = lines_of(known, rows, (), earlier={})
    assert [(line.rate, line.commission_minor, line.why) for line in lines] == [
        ("late", 30, "earned"), ("second", 30, "earned"), ("rest", 5, "earned"), (None, 0, "no_rate"),
    ]  # fmt: skip


# What earns nothing


@pytest.mark.parametrize(
    ("deviations", "why"),
    [
        ({"commissionable": False}, "not_commissionable"),
        ({"currency": "USD"}, "other_currency"),
        ({"placed_to": DAY - timedelta(days=1)}, "outside_mandate"),
        ({"placed_to": DAY}, "earned"),
        ({"left_on": DAY - timedelta(days=1)}, "after_recall"),
        ({"left_on": DAY}, "earned"),
    ],
)
def test_money_outside_the_mandate_earns_nothing(deviations: dict[str, Any], why: str) -> None:
    [line] = lines_of(flat(1_000), (money(1_000, **deviations),), (), earlier={})
    assert (line.why, line.commission_minor) == (why, 100 if why == "earned" else 0)


def test_money_that_the_borrower_paid_directly_earns_its_share() -> None:
    assert earned(terms(), money(1_000, method="direct")) == [50]
    assert earned(terms(), money(1_000, method="bank_transfer")) == [100]


# Quality


@pytest.mark.parametrize(
    ("breaches", "contacts", "factor"),
    [(0, 100, 11_000), (1, 1_000, 11_000), (2, 1_000, 10_000), (10, 1_000, 10_000), (11, 1_000, 8_000), (5, 0, 10_000)],
)
def test_the_quality_factor_follows_the_rate_of_breaches(breaches: int, contacts: int, factor: int) -> None:
    steps = ({"up_to_per_million": 1_000, "factor_basis_points": 11_000},)
    steps += ({"up_to_per_million": 10_000, "factor_basis_points": 10_000},)
    known = terms(quality=steps, quality_beyond_basis_points=8_000)
    assert known.factor(breaches, contacts) == factor
    assert terms().factor(breaches, contacts) == 10_000


def test_the_factor_is_applied_to_every_line() -> None:
    assert earned(terms(), money(1_000), factor_basis_points=8_000) == [80]


# Claw-back


@pytest.mark.parametrize(("days", "minor", "why"), [(30, -7, "clawed_back"), (31, 0, "after_window")])
def test_a_reversal_within_the_window_gives_back_what_the_line_earned(days: int, minor: int, why: str) -> None:
    late = back(received_on=DAY + timedelta(days=days))
    [line] = lines_of(flat(1_000), (), (late,), earlier={"pay_1": Earned(7, DAY)})
    assert (line.commission_minor, line.why, line.amount_minor) == (minor, why, -100)


def test_a_reversal_of_a_payment_on_no_statement_gives_back_nothing() -> None:
    [line] = lines_of(flat(1_000), (), (back(),), earlier={})
    assert (line.commission_minor, line.why) == (0, "unknown_payment")


def test_money_taken_back_in_its_own_month_earns_nothing_in_all_and_fills_no_tier() -> None:
    rows = (money(100_000, 1), money(1_000, 2))
    lines = lines_of(terms(), rows, (back(amount_minor=100_000),), earlier={})
    assert [(line.source, line.commission_minor) for line in lines] == [
        ("pay_1", 10_000), ("pay_2", 100), ("rev_1", -10_000),
    ]  # fmt: skip


# Rounding


def test_lines_sum_to_the_rounded_sum_and_the_largest_remainders_are_rounded_up() -> None:
    # 10 % of 5, 15, 25 and 5 fen is 0.5, 1.5, 2.5 and 0.5: in all 5, of which 2 are missing; equal remainders in turn.
    rows = [money(amount, number) for number, amount in enumerate((5, 15, 25, 5), 1)]
    assert earned(flat(1_000), *rows) == [1, 2, 2, 0]
    # 0.4, 0.9 and 0.4 are 1.7.
    assert earned(flat(1_000), money(4, 1), money(9, 2), money(4, 3)) == [1, 1, 0]


@pytest.mark.parametrize(("amount", "last", "total"), [(6, 9, 24), (5, 5, 20), (4, 4, 16)])
def test_many_small_payments_leave_no_line_negative_or_above_its_payment(amount: int, last: int, total: int) -> None:
    # 0.6 each, rounded to 1, would take 16 from the last line; 0.4 each, rounded to 0, would give it 16 of its 4 fen.
    told = earned(flat(1_000), *(money(amount, number) for number in range(1, 40)), money(last, 40))
    assert set(told) == {0, 1}
    assert sum(told) == total


_money = st.builds(
    money,
    st.integers(1, 10**8),
    st.integers(1, 3_000),
    method=st.sampled_from([None, "direct", "bank_transfer"]),
    commissionable=st.booleans(),
    bucket=st.sampled_from(["M1", "M2", "M5"]),
)


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(_money, max_size=25, unique_by=lambda row: row.payment),
    backs=st.sets(st.integers(0, 24), max_size=6),
    factor=st.integers(0, 20_000),
    order=st.randoms(),
)
def test_every_cent_traces_to_a_payment_and_the_lines_sum_to_the_exact_total(
    rows: list[Received], backs: set[int], factor: int, order: Any
) -> None:
    taken = [
        TakenBack(
            f"rev_{rows[at].payment}", rows[at].payment, "case_1", rows[at].amount_minor, "CNY", DAY, "2026-11-21"
        )
        for at in backs
        if at < len(rows)
    ]
    known = flat(1_234)
    lines = lines_of(known, rows, taken, earlier={}, factor_basis_points=factor)
    shuffled, shuffled_backs = list(rows), list(taken)
    order.shuffle(shuffled)
    order.shuffle(shuffled_backs)
    assert lines == lines_of(known, shuffled, shuffled_backs, earlier={}, factor_basis_points=factor)
    gone = {each.payment for each in taken}
    exact = sum(
        Fraction(row.amount_minor * 1_234 * (5_000 if row.method == "direct" else 10_000) * factor, 10**12)
        for row in rows
        if row.commissionable and row.payment not in gone
    )
    assert sum(line.commission_minor for line in lines) == round(exact)
    direct = {row.payment for row in rows if row.method == "direct"}
    totals = totals_of(lines)
    assert totals.received_minor + totals.taken_back_minor == sum(r.amount_minor for r in rows if r.payment not in gone)
    assert totals.payable_minor == round(exact)
    assert {line.payment for line in lines if line.commission_minor} <= {row.payment for row in rows}
    assert faults_of(lines, rows, taken) == []
    for line in lines:
        if line.amount_minor > 0:
            share = Fraction(5_000 if line.payment in direct else 10_000, 10_000)
            own = line.amount_minor * Fraction(1_234, 10_000) * share * Fraction(factor, 10_000)
            assert 0 <= line.commission_minor <= line.amount_minor
            assert abs(line.commission_minor - (own if line.why == "earned" else 0)) < 1


# Terms in time


def version(number: int, begins: date, state: TermsState = TermsState.ACCEPTED) -> TermsVersion:
    return TermsVersion(
        agency="agency-a",
        number=number,
        terms=terms(),
        effective_from=begins,
        state=state,
        made_by="lender",
        made_at="2026-10-01T00:00:00Z",
    )


def test_terms_bind_from_their_day_on_and_only_when_accepted() -> None:
    first, second = version(1, date(2026, 10, 1)), version(2, date(2026, 11, 1))
    offered = version(3, date(2026, 11, 1), TermsState.OFFERED)
    versions = (second, first, offered)
    assert in_force(versions, date(2026, 9, 30)) is None
    assert in_force(versions, date(2026, 10, 31)) == first
    assert in_force(versions, date(2026, 11, 1)) == second


@pytest.mark.parametrize(
    "tiers", [[], [(5, 100)], [(0, 100), (0, 200)], [(0, 100), (10, 200), (10, 300)], [(0, 10_001)], [(0, -1)]]
)
def test_tiers_begin_at_0_rise_and_stay_within_the_whole(tiers: list[tuple[int, int]]) -> None:
    rows = tuple({"above_minor": above, "rate_basis_points": rate} for above, rate in tiers)
    with pytest.raises(ValueError, match="tier"):
        terms(rates=({"id": "all", "tiers": rows},))


def test_rates_have_ids_of_their_own_and_steps_of_quality_rise() -> None:
    rate = {"id": "all", "tiers": ({"above_minor": 0, "rate_basis_points": 1},)}
    with pytest.raises(ValueError, match="own id"):
        terms(rates=(rate, rate))
    step = {"up_to_per_million": 5, "factor_basis_points": 10_000}
    with pytest.raises(ValueError, match="rise"):
        terms(quality=(step, step))
