"""Whatever order payments, pauses and reversals arrive in, a contract stands the same: as a plain count by day says."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.cases.repayment_ledger import RepaymentLedger
from scripts import campaign_ledger
from scripts.campaign_ledger import arrivals, booked, by_day, contract, faults, told


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_every_order_of_the_same_entries_gives_the_standing_of_the_plain_count(seed: int) -> None:
    chance = random.Random(seed)
    assert list(faults(contract(chance), 2, chance)) == []


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_case_keeps_what_its_ledger_says_on_the_last_of_days(seed: int) -> None:
    chance = random.Random(seed)
    made = contract(chance)
    case = booked(made.case(), arrivals(made.entries, chance))
    stands = case.ledger.standing(campaign_ledger.FIRST.replace(year=2030))
    assert (case.owed, case.amount_due_minor) == (stands.owed, stands.balance_minor)
    assert case.oldest_unpaid_due_on == stands.oldest_unpaid_due_on
    assert {payment.id: payment.split for payment in case.payments if payment.split} == {
        payment: split for payment, split in stands.splits.items() if split
    }


def test_the_made_up_contracts_hold_everything_that_matters() -> None:
    """A campaign over contracts without reversals or overlapping pauses would find nothing and prove nothing."""
    made = [contract(random.Random(seed)) for seed in range(300)]
    stands = [case_of(each).standing(each.dates[-1]) for each in made]
    entries = [entry for each in made for entry in each.entries]
    assert {entry.kind for entry in entries if hasattr(entry, "kind")} == {"deferral", "freeze"}
    assert any(getattr(entry, "cancels", None) for entry in entries)
    assert any(getattr(entry, "stated_split", None) for entry in entries)
    assert any(getattr(entry, "reversal_of", None) for entry in entries)
    assert len({each.bucket for each in stands}) >= 8
    assert any(each.unapplied_minor for each in stands)
    assert any(each.frozen for each in stands)
    assert (
        sum(told(each) == by_day(one, one.entries, one.dates[-1]) for one, each in zip(made, stands, strict=True))
        == 300
    )


def case_of(made: campaign_ledger.Contract) -> RepaymentLedger:
    return booked(made.case(), made.entries).ledger
