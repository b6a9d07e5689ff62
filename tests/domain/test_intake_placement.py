"""What one row makes: who is who, what holds, what counts, and how a known person and ledger take it in."""

import copy
import hashlib
from datetime import date
from typing import Any

import pytest

from chalicelib.domain.intake.judge import Taken, judge
from chalicelib.domain.intake.placement import (
    KeyedIdentities,
    Placement,
    digest_of,
    merged_ledger,
    merged_person,
    place,
)
from chalicelib.domain.people.person import ContactLedger
from scripts.sample import document
from tests.builders import a_lender


def hashed(label: str, value: str) -> str:
    return hashlib.sha256(f"{label}|{value}".encode()).hexdigest()[:32]


IDS = KeyedIdentities(
    of_person=lambda label, value: "per_" + hashed(label, value),
    of_case=lambda account, stage: "case_" + hashed(account, str(stage)),
    index=hashed,
)


def placed(row: dict[str, Any]) -> Placement:
    outcome = judge(copy.deepcopy(row), row=5, line=6)
    assert isinstance(outcome, Taken), outcome
    return place(outcome, tenant="auto-fin", portfolio="pf_1", lender=a_lender(), ids=IDS)


def with_borrower(number: int = 1, **members: Any) -> dict[str, Any]:
    row = document(number)
    row["parties"][0] |= members
    row["parties"][0] = {key: value for key, value in row["parties"][0].items() if value is not None}
    return row


def ledger_of(placement: Placement) -> ContactLedger:
    return next(ledger for ledger in placement.ledgers if ledger.person == placement.case.debtor)


def test_a_person_is_known_by_national_id_then_by_customer_number_then_by_account_only() -> None:
    by_id = placed(with_borrower()).case.debtor
    assert placed(with_borrower(customer_no="CU-OTHER")).case.debtor == by_id
    by_number = placed(with_borrower(national_id=None)).case.debtor
    assert by_number != by_id and placed(with_borrower(national_id=None, name="别名")).case.debtor == by_number
    alone, other = with_borrower(national_id=None, customer_no=None), with_borrower(national_id=None, customer_no=None)
    other["loan"]["lender_account_id"] = "AC-OTHER"
    assert placed(alone).case.debtor != placed(other).case.debtor


def test_the_spelling_of_an_id_does_not_make_another_person() -> None:
    number = document(1)["parties"][0]["national_id"]
    assert (
        placed(with_borrower(national_id=f" {number[:6]} {number[6:]} ")).case.debtor == placed(document(1)).case.debtor
    )


@pytest.mark.parametrize(
    ("members", "role"),
    [
        ({"role": "guarantor", "liability": "joint"}, "guarantor_joint"),
        ({"role": "guarantor", "liability": "several"}, "guarantor_joint"),
        ({"role": "guarantor", "liability": "general"}, "guarantor_general"),
        ({"role": "co_borrower"}, "co_borrower"),
        ({"role": "contact"}, "emergency_contact"),
        ({"role": "representative"}, "guardian"),
    ],
)
def test_roles_are_those_of_a_dossier(members: dict[str, Any], role: str) -> None:
    row = document(1)
    row["parties"].append({"name": "李四", **members})
    assert [party.role for party in placed(row).case.parties][-1] == role


@pytest.mark.parametrize(
    ("flag", "kind", "on_person"),
    [
        ("deceased", "deceased", True),
        ("bankrupt", "bankruptcy", True),
        ("active_duty", "military_service", True),
        ("incapacitated", "serious_illness", True),
        ("represented_by_attorney", "attorney", True),
        ("cease_contact", "cease", True),
        ("in_dispute", "dispute", False),
        ("hardship", "hardship", False),
        ("identity_theft", "identity_theft", False),
        ("vulnerable", "legal_review", False),
        ("minor", "legal_review", False),
    ],
)
def test_a_flag_that_is_set_is_a_hold_and_one_that_is_not_is_none(flag: str, kind: str, on_person: bool) -> None:
    set_flag = placed(with_borrower(**{flag: {"value": True, "date": "2026-11-01"}}))
    on_case = [hold for hold in set_flag.case.holds if hold.kind != "promise_alive"]
    on_ledger = list(ledger_of(set_flag).holds)
    (hold,) = on_ledger if on_person else on_case
    assert (hold.kind, hold.from_, hold.party) == (kind, "2026-11-01", set_flag.case.debtor)
    assert (hold.debt is None) is on_person
    assert not (on_case if on_person else on_ledger)
    cleared = placed(with_borrower(**{flag: {"value": False, "date": "2026-11-01"}}))
    assert not ledger_of(cleared).holds and not cleared.case.holds


def test_an_attorney_is_named_and_a_bankruptcy_keeps_its_chapter() -> None:
    represented = {"value": True, "date": "2026-10-20", "attorney_name": "A. Sample"}
    bankrupt = {"value": True, "date": "2026-10-05", "chapter": 13}
    placement = placed(with_borrower(3, represented_by_attorney=represented, bankrupt=bankrupt))
    attorney = placement.persons[0].attorney
    assert attorney is not None and (attorney.name, attorney.since) == ("A. Sample", "2026-10-20")
    assert {hold.chapter for hold in ledger_of(placement).holds} == {13, None}


def test_an_open_promise_keeps_demands_away_until_it_is_due() -> None:
    placement = placed(document(9))
    (promise,) = placement.case.promises
    (hold,) = (hold for hold in placement.case.holds if hold.kind == "promise_alive")
    assert hold.id == f"hold_{promise.id}" and hold.until == promise.due_on.isoformat()


def test_consents_and_contacts_enter_the_ledger_at_their_points() -> None:
    row = document(1)
    row["prior_contacts"] = [
        {"at": "2026-11-18T10:00:00+08:00", "channel": "call", "outcome": "无人应答",
         "point": row["parties"][0]["phones"][0]["value"]},
    ]  # fmt: skip
    placement = placed(row)
    ledger, person = ledger_of(placement), placement.persons[0]
    phone = next(point for point in person.points if point.kind == "mobile")
    (entry,) = ledger.history
    assert (entry.at, entry.point, entry.outcome) == ("2026-11-18T02:00:00Z", phone.id, "no_answer")
    assert entry.debts == (placement.case.id,) and entry.org == "auto-fin"
    granted = [consent for consent in ledger.consents if consent.point == phone.id]
    assert [(consent.event, consent.medium, consent.scope) for consent in granted] == [("granted", "sms", "address")]


def test_inconvenient_hours_and_places_are_preferences() -> None:
    row = with_borrower(inconvenient_times="1-5 09:00-17:00", inconvenient_place="单位")
    consents = {consent.event: consent for consent in ledger_of(placed(row)).consents}
    assert consents["inconvenient_time"].times == {"from": "09:00", "to": "17:00", "weekdays": [1, 2, 3, 4, 5]}
    assert consents["inconvenient_place"].place == "work"


def test_a_number_suggests_the_zones_of_its_prefix() -> None:
    points = {point.kind: point for point in placed(document(1)).persons[0].points}
    assert points["mobile"].area_zones == ("Asia/Shanghai",)


def test_the_case_says_what_the_row_says() -> None:
    row = document(6)
    placement = placed(row)
    case = placement.case
    assert case.amount_due_minor == case.placed_minor == sum(case.owed.values()) == row["overdue"]["total_minor"]
    assert (case.placed_from, case.placed_to) == (row["batch"]["delegation_date"], row["batch"]["mandate_end"])
    assert case.days_past_due_at_placement == row["loan"]["dpd"]
    assert case.oldest_unpaid_due_on == date.fromisoformat(row["loan"]["oldest_unpaid_due_date"])
    assert (case.country, case.language, case.currency) == ("CN", "zh", "CNY")
    assert {notice.kind for notice in case.notices} == {"outsourcing_notice"}
    assert case.loan["source"] == {"row": 5, "digest": placement.digest}
    assert len(case.payment_history) == 12 and len(case.vehicles) == 1


def test_the_placed_event_holds_no_personal_data() -> None:
    row = document(6)
    told = str(placed(row).placed_event)
    party = row["parties"][0]
    assert not any(secret in told for secret in (party["name"], party["national_id"], "AC00000006"))
    assert set(placed(row).placed_event) == {
        "portfolio", "account", "placed_minor", "currency", "days_past_due", "stage", "placement_stage", "region",
        "country", "business_date", "instalments", "charges",
    }  # fmt: skip


@pytest.mark.parametrize("number", [*range(1, 60), *range(61, 120)])
def test_the_instalments_and_charges_of_a_case_are_what_the_row_says_is_overdue(number: int) -> None:
    case = placed(document(number)).case
    stands = case.ledger.standing(case.business_date)
    assert dict(stands.owed) == case.owed
    assert stands.oldest_unpaid_due_on == case.oldest_unpaid_due_on
    assert stands.days_past_due == case.days_past_due_at_placement
    assert all(each.due_on <= case.business_date for each in case.instalments)


def a_row(*due: tuple[str, int, int], **loan: Any) -> dict[str, Any]:
    """Return row 6 with this payment record: (due date, due, paid) of each period."""
    row = document(6)
    row["loan"] |= loan
    row["payments"] = [
        {"period": n, "due_date": on, "due_minor": minor, "status": "partial" if paid else "missed"}
        | ({"paid_minor": paid, "paid_date": on} if paid else {})
        for n, (on, minor, paid) in enumerate(due, start=1)
    ]
    return row


def overdue(row: dict[str, Any], principal: int, interest: int, **charges: int) -> dict[str, Any]:
    parts = {"principal_minor": principal, "interest_minor": interest, "penalty_minor": 0, **charges}
    row["overdue"] = parts | {"total_minor": sum(parts.values())}
    return row


SINCE = {"oldest_unpaid_due_date": "2026-09-15", "dpd": 66, "overdue_periods": 3, "bucket": None}


def instalments(row: dict[str, Any]) -> list[tuple[str, int]]:
    return [(each.due_on.isoformat(), sum(each.owed.values())) for each in placed(row).case.instalments]


def test_a_payment_record_that_agrees_gives_the_instalments() -> None:
    row = a_row(("2026-09-15", 1_000, 400), ("2026-10-20", 1_000, 0), **SINCE)
    assert instalments(overdue(row, 1_500, 100)) == [("2026-09-15", 600), ("2026-10-20", 1_000)]


def test_the_parts_of_a_record_that_states_them_are_kept() -> None:
    row = overdue(a_row(("2026-09-15", 1_000, 0), ("2026-10-15", 1_000, 0), **SINCE), 1_300, 700)
    for payment, principal in zip(row["payments"], (500, 800), strict=True):
        payment |= {"due_principal_minor": principal, "due_interest_minor": 1_000 - principal}
    case = placed(row).case
    assert [dict(each.owed) for each in case.instalments] == [
        {"principal": 500, "interest": 500},
        {"principal": 800, "interest": 200},
    ]


def test_a_record_that_disagrees_is_not_used_and_whole_instalments_are_the_newest() -> None:
    row = a_row(("2026-09-15", 1_000, 0), instalment_amount_minor=1_000, **SINCE)
    dues = [("2026-09-15", 400), ("2026-10-15", 1_000), ("2026-11-15", 1_000)]
    assert instalments(overdue(row, 2_000, 400)) == dues


def test_an_amount_that_no_whole_instalments_make_up_is_spread_evenly() -> None:
    row = a_row(instalment_amount_minor=500, **SINCE)
    assert instalments(overdue(row, 2_000, 500)) == [("2026-09-15", 833), ("2026-10-15", 833), ("2026-11-15", 834)]


def test_charges_alone_count_from_the_date_that_is_stated() -> None:
    case = placed(overdue(a_row(**SINCE), 0, 0, late_fee_minor=900)).case
    assert [(each.due_on, each.owed) for each in case.instalments] == [(date(2026, 9, 15), {"late_fee": 900})]
    assert (case.charges, case.days_past_due(date(2026, 11, 20))) == ({}, 66)


def test_an_account_on_which_nothing_is_overdue_has_no_instalments() -> None:
    case = placed(overdue(a_row(**SINCE), 0, 0)).case
    assert (case.instalments, case.oldest_unpaid_due_on, case.days_past_due(date(2026, 11, 20))) == ((), None, 0)


def test_the_digest_tells_content_and_nothing_else() -> None:
    first, again = placed(document(6)), placed(document(6))
    assert first.digest == again.digest
    other = document(6)
    other["loan"]["principal_left_minor"] += 1
    assert placed(other).digest != first.digest
    outcome = judge(document(6), row=900, line=901)
    assert isinstance(outcome, Taken) and digest_of(outcome.record) == first.digest


# Merging


def test_a_known_person_gains_points_and_keeps_what_is_known() -> None:
    known = placed(document(1)).persons[0]
    row = with_borrower(name="别名", employer=None)
    row["parties"][0]["phones"][0] |= {"status": "vacant", "do_not_use": True}
    row["parties"][0]["emails"] = [{"value": "new@example.com"}]
    merged = merged_person(known, placed(row).persons[0])
    assert merged.name == known.name
    assert [point.kind for point in merged.points] == [*(point.kind for point in known.points), "email"]
    assert merged.points[0].status == "vacant" and merged.points[0].do_not_use
    assert merged_person(merged, known).points[0].do_not_use


def test_merging_the_same_again_changes_nothing() -> None:
    placement = placed(document(1))
    person, ledger = placement.persons[0], ledger_of(placement)
    assert merged_person(person, person) == person
    assert merged_ledger(ledger, ledger) == ledger


def test_a_contact_told_with_two_accounts_counts_once_and_for_both() -> None:
    second = document(1)
    second["loan"]["lender_account_id"] = "AC-SECOND"
    for row in (first := document(1), second):
        row["prior_contacts"] = [{"at": "2026-11-18T02:00:00Z", "channel": "call", "outcome": "busy"}]
    known, told = placed(first), placed(second)
    merged = merged_ledger(ledger_of(known), ledger_of(told))
    assert len(merged.history) == 1
    assert merged.history[0].debts == (known.case.id, told.case.id)


def test_a_new_hold_or_withdrawal_makes_earlier_approvals_stale_and_a_grant_does_not() -> None:
    known = ledger_of(placed(document(1)))
    ceased = ledger_of(placed(with_borrower(cease_contact={"value": True, "date": "2026-11-01"})))
    assert merged_ledger(known, ceased).stop_epoch == known.stop_epoch + 1
    row = document(1)
    consents = row["parties"][0]["phones"][0]["consents"]
    consents.append({"medium": "sms", "state": "withdrawn", "at": "2026-11-19T00:00:00Z"})
    assert merged_ledger(known, ledger_of(placed(row))).stop_epoch == known.stop_epoch + 1
    consents[-1] = {"medium": "call", "state": "granted", "at": "2026-11-19T00:00:00Z"}
    assert merged_ledger(known, ledger_of(placed(row))).stop_epoch == known.stop_epoch
