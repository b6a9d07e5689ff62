"""The sending protocol over the real store: decide, reserve, claim, send once, settle; and every way it can go wrong."""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from chalicelib.domain import keys
from chalicelib.domain.cases.lifecycle import CaseState
from chalicelib.domain.concurrency import Conflict
from chalicelib.domain.events import EventTooLarge, EventType
from chalicelib.domain.outreach import approval as approvals
from chalicelib.domain.outreach.attempt import Attempt, AttemptState
from chalicelib.domain.outreach.carrying import Accepted, Ambiguous, Outbound, Refused
from chalicelib.store.packing import pack
from chalicelib.store.repository import ForeignItem, Store
from chalicelib.store.tables import Record
from chalicelib.usecases import compliance, dispatch
from tests.builders import (
    CASE,
    LENDER,
    NOW,
    PERSON,
    Scope,
    a_case,
    a_collector,
    a_lender,
    a_person,
    an_agency,
    an_attempt,
    stored,
)

BODY = "generated text of a test"
CONTENT = "ab" * 32


class Engine:
    """Answers every dossier with one prepared ruling, or counts the person's SMS against a cap."""

    def __init__(self, verdict: str = "allow", *, cap: int | None = None, **ruling: Any) -> None:
        self.verdict, self.cap, self.extra = verdict, cap, ruling
        self.dossiers: list[Mapping[str, Any]] = []

    def rule(self, dossier: Mapping[str, Any], house: Any = ()) -> dict[str, Any]:
        self.dossiers.append(dossier)
        verdict = self.verdict
        if self.cap is not None and len(dossier["history"]) >= self.cap:
            verdict = "deny"
        rules = [] if verdict == "allow" else [{"id": "T-RULE", "effect": verdict}]
        base = {"verdict": verdict, "rules": rules, "missing": [], "next_allowed_at": None, "not_after": None}
        return {"id": dossier["id"], **base, **self.extra}

    def rule_set(self, ruling: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"atlas": "cd" * 32, "engine": 1, "packs": [], "zone_data": "2026f"}


class Carrier:
    """Remembers what it was handed, and answers as told."""

    def __init__(self, *answers: Accepted | Refused | Ambiguous) -> None:
        self.answers = list(answers)
        self.sent: list[Outbound] = []

    def send(self, outbound: Outbound) -> Accepted | Refused | Ambiguous:
        self.sent.append(outbound)
        return self.answers.pop(0) if self.answers else Accepted("sns", f"p{len(self.sent)}")


class House:
    """The protocol with its ports, at a clock that the test turns."""

    def __init__(self, store: Store, *, engine: Engine | None = None, carrier: Carrier | None = None) -> None:
        self.store, self.scope, self.now = store, Scope(LENDER), NOW
        self.engine, self.carrier = engine or Engine(), carrier or Carrier()
        root = ec.generate_private_key(ec.SECP256R1())
        self.root = root.public_key()
        self.signer = approvals.ApprovalSigner(
            lambda message: root.sign(message, ec.ECDSA(hashes.SHA256())), root_key_id="root"
        )

    def clock(self) -> datetime:
        return self.now

    def check(self, message: str = "msg_1") -> Attempt | compliance.Skipped:
        return compliance.check(
            self.store,
            self.engine,
            self.signer,
            self.scope,
            message,
            clock=self.clock,
            refresh=lambda facts, now: facts.attempt,
            req="req_1",
        )

    def dispatch(self, message: str = "msg_1") -> Attempt | dispatch.NotSent:
        def verifier(approval: Mapping[str, Any], **expected: Any) -> approvals.Valid | approvals.Invalid:
            return approvals.verify(approval, root=self.root, **expected)

        return dispatch.dispatch(
            self.store, {"sms": self.carrier}, verifier, self.scope, message, clock=self.clock, req="req_2"
        )

    def attempt(self, message: str = "msg_1") -> Attempt:
        found = self.store.attempt(self.scope, message)
        assert found is not None
        return found

    def approval(self, message: str = "msg_1") -> dict[str, Any]:
        decided = self.store.decided(self.scope, self.attempt(message))
        assert decided is not None
        return dict(decided.data["approval"])

    def forge(self, changes: Mapping[str, str]) -> None:
        """Write another approval over the one in the ruling's event, as somebody could who writes to the table."""
        decided = self.store.decided(self.scope, self.attempt())
        assert decided is not None
        forged = replace(decided, data={**decided.data, "approval": {**decided.data["approval"], **changes}})
        key = (keys.case_pk(LENDER, CASE), keys.event_sk(decided.seq))
        Record(*key, s=forged.type.value, e=pack(forged.canonical())).save()

    def reserved(self) -> list[tuple[str, str]]:
        return [(entry.id, entry.outcome) for entry in self.store.ledger(self.scope, PERSON).history]

    def events(self) -> list[str]:
        return [event.type.value for event in self.store.events(self.scope, keys.case_pk(LENDER, CASE))]

    def stop(self) -> None:
        ledger = self.store.ledger(self.scope, PERSON)
        unit = self.store.unit(self.scope, actor=compliance.ENGINE, req="req_3", now=self.now)
        after = ledger.model_copy(update={"version": ledger.version + 1, "stop_epoch": ledger.stop_epoch + 1})
        unit.replace(self.store.ledger_record(self.scope, after), expected=ledger.version)
        unit.commit()


@pytest.fixture
def house(store: Store) -> Callable[..., House]:
    def build(*attempts: Attempt, **ports: Any) -> House:
        wishes = attempts or (a_wish(),)
        stored(store, a_lender(), an_agency(), a_collector(), a_person(), a_case(), *wishes)
        return House(store, **ports)

    return build


def a_wish(**deviations: Any) -> Attempt:
    return an_attempt(**{"body": BODY, "content": CONTENT, "language": "zh", **deviations})


def test_an_allowed_message_is_approved_claimed_sent_once_and_settled(house: Callable[..., House]) -> None:
    h = house()
    h.check()
    assert h.attempt().state is AttemptState.APPROVED
    assert h.reserved() == [("msg_1", "pending")]
    h.dispatch()
    assert h.attempt().state is AttemptState.SENT
    assert h.reserved() == [("msg_1", "sent")]
    assert [(o.body, o.content, o.to) for o in h.carrier.sent] == [(BODY, CONTENT, "+8613812345678")]
    assert h.events() == ["contact.decided", "contact.claimed", "contact.sent"]


def test_a_dispatch_delivered_twice_sends_once(house: Callable[..., House]) -> None:
    h = house()
    h.check()
    h.dispatch()
    assert isinstance(h.dispatch(), dispatch.NotSent)
    assert len(h.carrier.sent) == 1


@pytest.mark.parametrize("verdict, state", [("deny", "denied"), ("review", "in_review"), ("defer", "deferred")])
def test_a_message_that_is_not_allowed_never_reaches_a_carrier(
    house: Callable[..., House], verdict: str, state: str
) -> None:
    h = house(engine=Engine(verdict))
    h.check()
    assert h.attempt().state == state
    assert h.reserved() == []
    assert isinstance(h.dispatch(), dispatch.NotSent)
    assert h.carrier.sent == []


def test_a_second_ruling_on_the_same_wish_changes_nothing(house: Callable[..., House]) -> None:
    h = house()
    h.check()
    assert isinstance(h.check(), compliance.Skipped)
    assert h.events() == ["contact.decided"]


def test_a_stop_between_ruling_and_claim_keeps_the_message_in(house: Callable[..., House]) -> None:
    h = house()
    h.check()
    h.stop()
    assert isinstance(h.dispatch(), dispatch.NotSent)
    assert h.carrier.sent == []
    assert h.attempt().state is AttemptState.REQUESTED
    assert h.reserved() == []


def test_a_change_of_the_case_between_ruling_and_claim_keeps_the_message_in(house: Callable[..., House]) -> None:
    h = house()
    h.check()
    case = h.store.case(h.scope, CASE)
    assert case is not None
    changed = case.model_copy(update={"amount_due_minor": 1, "version": case.version + 1})
    unit = h.store.unit(h.scope, actor=compliance.ENGINE, req="req_3", now=h.now)
    unit.replace(h.store.case_record(h.scope, changed), expected=case.version)
    unit.emit(keys.case_pk(LENDER, CASE), EventType.PAYMENT_POSTED, {})
    unit.commit()
    assert isinstance(h.dispatch(), dispatch.NotSent)
    assert h.carrier.sent == []


def test_an_agency_suspended_after_the_ruling_sends_nothing(house: Callable[..., House]) -> None:
    h = house()
    h.check()
    stored(h.store, an_agency(suspended=True, version=2))
    assert isinstance(h.dispatch(), dispatch.NotSent)
    assert h.carrier.sent == []


@pytest.mark.parametrize("state", [CaseState.SETTLED, CaseState.RECALLED, CaseState.LEGAL])
def test_a_closed_case_cancels_what_was_requested(house: Callable[..., House], state: CaseState) -> None:
    h = house()
    stored(h.store, a_case(state=state, version=2))
    h.check()
    assert h.attempt().state is AttemptState.CANCELLED
    assert h.engine.dossiers == []


def test_an_approval_is_good_until_its_end_and_not_at_it(house: Callable[..., House]) -> None:
    h = house()
    h.check()
    end = datetime.fromisoformat(h.approval()["not_after"])
    assert end - h.now == approvals.APPROVAL_LIFE
    h.now = end
    assert isinstance(h.dispatch(), dispatch.NotSent)
    assert h.carrier.sent == []
    assert h.attempt().state is AttemptState.REQUESTED
    h.check()
    h.now += approvals.APPROVAL_LIFE - timedelta(milliseconds=1)
    h.dispatch()
    assert len(h.carrier.sent) == 1


def test_a_rulings_own_end_cuts_the_approval_short(house: Callable[..., House]) -> None:
    h = house(engine=Engine(not_after="2026-11-23T02:03:00Z"))
    h.check()
    assert h.approval()["not_after"] == "2026-11-23T02:03:00.000Z"


@pytest.mark.parametrize(
    "field, other", [("content", "00" * 32), ("recipient", "11" * 16), ("not_after", "2030-01-01T00:00:00.000Z")]
)
def test_a_forged_approval_sends_nothing(house: Callable[..., House], field: str, other: str) -> None:
    h = house()
    h.check()
    h.forge({field: other})
    assert isinstance(h.dispatch(), dispatch.NotSent)
    assert h.carrier.sent == []


def test_a_definite_refusal_gives_the_reservation_back(house: Callable[..., House]) -> None:
    h = house(carrier=Carrier(Refused("sns", "throttled")))
    h.check()
    h.dispatch()
    assert h.attempt().state is AttemptState.REJECTED
    assert h.reserved() == []


def test_an_ambiguous_answer_is_never_sent_again_and_counts(house: Callable[..., House]) -> None:
    h = house(carrier=Carrier(Ambiguous("sns", "timeout")))
    h.check()
    h.dispatch()
    assert h.attempt().state is AttemptState.SENDING
    assert isinstance(h.dispatch(), dispatch.NotSent)
    assert dispatch.reap(h.store, h.scope, "msg_1", now=h.now, req="req_4") is None
    h.now += dispatch.SENDING_LIMIT
    reaped = dispatch.reap(h.store, h.scope, "msg_1", now=h.now, req="req_4")
    assert reaped is not None and reaped.state is AttemptState.UNKNOWN
    assert isinstance(h.dispatch(), dispatch.NotSent)
    assert len(h.carrier.sent) == 1
    assert h.reserved() == [("msg_1", "pending")]


class Crash(BaseException):
    """The process ends here."""


class DyingCarrier(Carrier):
    def send(self, outbound: Outbound) -> Accepted | Refused | Ambiguous:
        self.sent.append(outbound)
        raise Crash


def test_a_crash_inside_the_providers_call_never_leads_to_a_second_call(house: Callable[..., House]) -> None:
    h = house(carrier=DyingCarrier())
    h.check()
    with pytest.raises(Crash):
        h.dispatch()
    assert isinstance(h.dispatch(), dispatch.NotSent)
    assert len(h.carrier.sent) == 1


def test_a_cap_counts_reservations_that_nobody_has_sent_yet(house: Callable[..., House]) -> None:
    wishes = [a_wish(id=f"msg_{n}") for n in range(1, 6)]
    h = house(*wishes, engine=Engine(cap=3))
    states = [h.check(wish.id) for wish in wishes]
    assert [s.state for s in states if isinstance(s, Attempt)] == ["approved"] * 3 + ["denied"] * 2


def test_a_rival_that_wins_the_ledger_makes_the_ruling_run_again(house: Callable[..., House]) -> None:
    h = house(a_wish(), a_wish(id="msg_2"), engine=Engine(cap=1))
    rule, rivals = h.engine.rule, ["msg_2"]

    def rule_with_rival(dossier: Mapping[str, Any], house: Any = ()) -> dict[str, Any]:
        ruling = rule(dossier)
        if rivals:
            h.check(rivals.pop())
        return ruling

    h.engine.rule = rule_with_rival  # type: ignore[method-assign]
    h.check()
    assert h.attempt("msg_2").state is AttemptState.APPROVED
    assert h.attempt("msg_1").state is AttemptState.DENIED
    assert len(h.reserved()) == 1


def test_a_deferred_wish_comes_back_at_its_time_and_not_before_its_own_end(house: Callable[..., House]) -> None:
    h = house(engine=Engine("defer", next_allowed_at="2026-11-24T00:00:00Z"))
    h.check()
    assert h.attempt().due_at == "2026-11-24T00:00:00.000Z"
    h.now = datetime.fromisoformat("2026-11-24T00:00:00+00:00")
    h.engine.verdict, h.engine.extra = "allow", {}
    dispatch.release(h.store, h.scope, "msg_1", "due", actor=dispatch.REAPER, now=h.now, req="req_5")
    assert h.attempt().state is AttemptState.REQUESTED
    h.check()
    h.dispatch()
    assert len(h.carrier.sent) == 1


def test_every_step_has_its_event_and_the_chain_is_whole(house: Callable[..., House]) -> None:
    h = house()
    h.check()
    h.dispatch()
    events = h.store.events(h.scope, keys.case_pk(LENDER, CASE))
    assert [event.seq for event in events] == [1, 2, 3]
    assert [event.prev for event in events] == [None, events[0].digest(), events[1].digest()]
    assert events[0].type is EventType.CONTACT_DECIDED and events[0].sealed is not None
    assert BODY.encode() not in b"".join(event.canonical() for event in events)


def test_the_command_gives_up_when_rivals_always_win(house: Callable[..., House]) -> None:
    h = house()
    rule = h.engine.rule

    def rule_with_stop(dossier: Mapping[str, Any], house: Any = ()) -> dict[str, Any]:
        h.stop()
        return rule(dossier)

    h.engine.rule = rule_with_stop  # type: ignore[method-assign]
    with pytest.raises(Conflict):
        h.check()
    assert h.attempt().state is AttemptState.REQUESTED


def test_a_ruling_that_could_never_be_archived_approves_nothing(house: Callable[..., House]) -> None:
    # Noise does not compress, so the sealed ruling outgrows an entry of the log.
    h = house(engine=Engine(obligations=[os.urandom(60_000).hex()]))
    with pytest.raises(EventTooLarge):
        h.check()
    assert (h.attempt().state, h.reserved(), h.events()) == (AttemptState.REQUESTED, [], [])
    assert isinstance(h.dispatch(), dispatch.NotSent)
    assert h.carrier.sent == []


def pays(h: House) -> None:
    """Let money come in on the case: another command, with its event."""
    case = h.store.case(h.scope, CASE)
    assert case is not None
    unit = h.store.unit(h.scope, actor=compliance.ENGINE, req="req_p", now=h.now)
    paid = case.model_copy(update={"amount_due_minor": case.amount_due_minor - 1, "version": case.version + 1})
    unit.replace(h.store.case_record(h.scope, paid), expected=case.version)
    unit.emit(keys.case_pk(LENDER, CASE), EventType.PAYMENT_POSTED, {})
    unit.commit()


def test_a_payment_between_the_reads_and_the_claim_keeps_the_message_in(house: Callable[..., House]) -> None:
    h = house()
    h.check()
    decided, payments = h.store.decided, [h]

    def paying(*asked: Any) -> Any:
        if payments:
            pays(payments.pop())
        return decided(*asked)

    # The approval is read after the case: whoever pays now pays after the case was found unchanged.
    h.store.decided = paying  # type: ignore[method-assign]
    assert isinstance(h.dispatch(), dispatch.NotSent)
    assert (payments, h.carrier.sent) == ([], [])
    assert h.attempt().state is AttemptState.REQUESTED


def test_a_payment_while_the_engine_rules_makes_the_ruling_run_again(house: Callable[..., House]) -> None:
    h = house()
    rule, payments = h.engine.rule, [h]

    def paying(dossier: Mapping[str, Any], *house: Any) -> dict[str, Any]:
        if payments:
            pays(payments.pop())
        return rule(dossier, *house)

    h.engine.rule = paying  # type: ignore[method-assign]
    h.check()
    amounts = [dossier["debts"][CASE]["amount_due_minor"] for dossier in h.engine.dossiers]
    assert amounts == [1_234_567, 1_234_566]
    assert h.events() == ["payment.posted", "contact.decided"]


def test_no_case_changes_without_an_event_of_its_stream(house: Callable[..., House]) -> None:
    h = house()
    case = h.store.case(h.scope, CASE)
    assert case is not None
    unit = h.store.unit(h.scope, actor=compliance.ENGINE, req="req_6", now=h.now)
    unit.replace(h.store.case_record(h.scope, case.model_copy(update={"version": 2})), expected=case.version)
    unit.emit(keys.person_pk(LENDER, PERSON), EventType.CONSENT_CHANGED, {})
    with pytest.raises(ValueError, match="with an event of its stream"):
        unit.commit()


def test_the_ruling_and_the_approval_are_written_once_and_read_when_needed(house: Callable[..., House]) -> None:
    h = house()
    h.check()
    attempt = h.attempt()
    assert attempt.approved is not None and attempt.approved.id == h.approval()["id"]
    assert (h.store.ruling(h.scope, attempt) or {})["verdict"] == "allow"
    elsewhere = attempt.model_copy(update={"id": "msg_2"})
    with pytest.raises(ForeignItem):
        h.store.decided(h.scope, elsewhere)
