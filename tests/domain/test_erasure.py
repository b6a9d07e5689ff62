"""What a request for erasure comes to: each reason on both sides of its end, in Chinese and English."""

import ast
from datetime import date, timedelta
from typing import Any

import pytest

from chalicelib.domain.cases.case import Case
from chalicelib.domain.cases.lifecycle import FINAL, CaseState
from chalicelib.domain.litigation.limitation import Entry, Proof
from chalicelib.domain.people import erasure
from chalicelib.domain.people.erasure import REASONS, Decision, Outcome, decide, may_destroy_evidence
from chalicelib.domain.people.person import ContactLedger, HoldEntry
from chalicelib.domain.people.retention import Ended, kept
from tests.builders import NOW, PERSON, a_case, a_ledger
from tests.house import sources

TODAY = date(2026, 11, 23)
DUTIES = kept([Ended("CN", None, TODAY, TODAY, None)], today=TODAY)


def settled(**changes: Any) -> Case:
    return a_case(**{"state": CaseState.SETTLED, "amount_due_minor": 0, **changes})


def unpaid(**changes: Any) -> Case:
    return a_case(**{"state": CaseState.RETURNED, **changes})


def held(kind: str, **changes: Any) -> ContactLedger:
    hold = {"id": "hold_1", "kind": kind, "from": "2026-11-01T00:00:00Z", "party": PERSON, **changes}
    return a_ledger(holds=(HoldEntry(**hold),))


def decided(*cases: Case, ledger: ContactLedger | None = None, **changes: Any) -> Decision:
    told: dict[str, Any] = {"complaints": (), "duties": DUTIES, "claims_waived": False, "now": NOW, "today": TODAY}
    return decide(cases, ledger or a_ledger(), **{**told, **changes})


def codes(decision: Decision) -> list[str]:
    return [block.code for block in decision.blocks]


def test_a_settled_case_leaves_the_evidence_until_the_longest_duty_ends() -> None:
    decision = decided(settled())
    assert (decision.outcome, codes(decision)) == (Outcome.HELD, ["retention"])
    assert decision.evidence_until == date(2033, 11, 23)


def test_when_no_duty_runs_any_more_everything_goes() -> None:
    assert decided(settled(), duties=()) == Decision(Outcome.ERASED, (), None, ())


@pytest.mark.parametrize("state", [state for state in CaseState if state not in FINAL])
def test_a_case_that_has_not_ended_postpones(state: CaseState) -> None:
    decision = decided(settled(), a_case(id="case_2", state=state))
    assert decision.outcome is Outcome.POSTPONED
    assert codes(decision)[0] == "open_case"


@pytest.mark.parametrize("state", sorted(FINAL))
def test_an_ended_case_is_not_open(state: CaseState) -> None:
    assert "open_case" not in codes(decided(a_case(state=state)))


def test_a_complaint_postpones_for_sixty_days() -> None:
    def asked(days: float) -> Decision:
        return decided(settled(), complaints=[NOW - timedelta(days=days)])

    assert codes(asked(59.99)) == ["open_complaint"]
    assert asked(59.99).blocks[0].until == TODAY
    assert asked(60).outcome is Outcome.HELD


def test_a_complaint_hold_postpones_until_it_is_released() -> None:
    assert codes(decided(settled(), ledger=held("complaint"))) == ["open_complaint"]
    assert decided(settled(), ledger=held("complaint", released_at="2026-11-20T00:00:00Z")).outcome is Outcome.HELD


def test_a_legal_hold_locks_instead_of_deleting() -> None:
    decision = decided(settled(), ledger=held("legal_review"))
    assert (decision.outcome, codes(decision)) == (Outcome.LOCKED, ["legal_hold"])
    on_case = settled(holds=held("legal_review").holds)
    assert decided(on_case).outcome is Outcome.LOCKED
    assert decided(settled(), ledger=held("cease")).outcome is Outcome.HELD


@pytest.mark.parametrize(("until", "outcome"), [("2026-11-23", Outcome.LOCKED), ("2026-11-22", Outcome.HELD)])
def test_a_hold_runs_to_its_last_day(until: str, outcome: Outcome) -> None:
    assert decided(settled(), ledger=held("legal_review", until=until)).outcome is outcome


@pytest.mark.parametrize(("ends", "outcome"), [(TODAY, Outcome.LOCKED), (TODAY - timedelta(days=1), Outcome.HELD)])
def test_a_claim_that_can_still_be_brought_locks(ends: date, outcome: Outcome) -> None:
    decision = decided(unpaid(limitation_expires_on=ends))
    assert decision.outcome is outcome
    if outcome is Outcome.LOCKED:
        assert [(block.code, block.until) for block in decision.blocks] == [("limitation_running", ends)]


def test_a_claim_of_unknown_limitation_is_taken_to_live() -> None:
    assert codes(decided(unpaid(limitation_expires_on=None))) == ["limitation_unknown"]


def test_what_is_paid_or_waived_is_no_claim() -> None:
    assert decided(settled(limitation_expires_on=TODAY)).outcome is Outcome.HELD
    assert decided(unpaid(limitation_expires_on=None), claims_waived=True).outcome is Outcome.HELD


def test_a_waiver_opens_neither_an_open_case_nor_a_legal_hold() -> None:
    assert decided(a_case(), claims_waived=True).outcome is Outcome.POSTPONED
    assert decided(unpaid(), ledger=held("legal_review"), claims_waived=True).outcome is Outcome.LOCKED


@pytest.mark.parametrize(
    ("today", "kind", "may"),
    [
        (date(2033, 11, 23), None, False),
        (date(2033, 11, 24), None, True),
        (date(2033, 11, 24), "legal_review", False),
        (date(2033, 11, 24), "cease", True),
    ],
)
def test_evidence_goes_after_its_last_day_unless_a_legal_hold_is_on_it(
    today: date, kind: str | None, may: bool
) -> None:
    request = erasure.ErasureRequest(
        id="era_1",
        person=PERSON,
        reason="purpose_met",
        requested_by="person",
        identity_check="check-1",
        claims_waived=False,
        requested_at="2026-11-23T02:00:00.000Z",
        decided_at="2026-11-23T02:00:00.000Z",
        outcome=Outcome.HELD,
        evidence_until=date(2033, 11, 23),
    )
    ledger = a_ledger() if kind is None else held(kind)
    assert may_destroy_evidence(request, ledger, today=today) is may


def test_every_reason_is_told_in_two_languages_and_is_given_somewhere() -> None:
    (source,) = [each for each in sources("chalicelib/domain/people") if each.path.endswith("erasure.py")]
    given = {
        node.args[0].value
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Block" and isinstance(node.args[0], ast.Constant)
    }
    assert given == set(REASONS)
    for zh, en in REASONS.values():
        assert any("\u4e00" <= letter <= "\u9fff" for letter in zh)
        assert en.isascii()


def test_a_claim_that_was_renewed_after_the_upload_still_lives() -> None:
    over = TODAY - timedelta(days=30)
    assert "limitation_running" not in codes(decided(unpaid(limitation_expires_on=over)))
    signed = Entry(id="lim_1", kind="acknowledgement", on=TODAY, proof=Proof.SIGNED)
    assert "limitation_running" in codes(decided(unpaid(limitation_expires_on=over, limitation_entries=(signed,))))
