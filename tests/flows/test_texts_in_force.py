"""Between the wish and the carrier: the text is the approved one of that instant, the amount the ledger's, the words read."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from chalicelib import wiring
from chalicelib.domain import keys
from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.events import Actor
from chalicelib.domain.outreach import approval as approvals
from chalicelib.domain.outreach.attempt import Attempt
from chalicelib.domain.outreach.carrying import Accepted, Outbound
from chalicelib.domain.outreach.templates import load_templates
from chalicelib.domain.people.person import ContactEntry
from chalicelib.store.repository import ForeignItem, Store
from chalicelib.store.unit import Unit
from chalicelib.usecases import cases, compliance, dispatch, messages, templates
from chalicelib.usecases.cases import Caller, Context
from chalicelib.usecases.messages import Wish
from tests.builders import (
    AGENCY,
    CASE,
    COLLECTOR,
    LENDER,
    NOW,
    PERSON,
    TEST_ACTOR,
    Scope,
    a_case,
    a_collector,
    a_ledger,
    a_lender,
    a_person,
    an_agency,
    stored,
)

SCOPE = Scope(LENDER)
TEXT = "cn-sms-demand"
AUTHOR, COUNSEL = Caller(Actor("lender", "ops-1", "tok_1")), Caller(Actor("lender", "counsel-1", "tok_2"))
ROOT = ec.generate_private_key(ec.SECP256R1())
DEMAND = Wish("sms", TEXT, {}, None, None, None, None)
ANSWER = Wish("sms", None, {}, "reply", None, None, "in_1", text="您好，来信已收到，我们先核对，请稍候。")


class House:
    """The sending protocol with the real engine, signatures and store, at a clock that the test turns."""

    def __init__(self, store: Store) -> None:
        self.store, self.now, self.sent = store, NOW, list[Outbound]()
        self.signer = approvals.ApprovalSigner(
            lambda message: ROOT.sign(message, ec.ECDSA(hashes.SHA256())), root_key_id="root"
        )

    @property
    def context(self) -> Context:
        return Context(self.now, "req_test")

    def draft(self, **changes: Any) -> int:
        content = {**templates.adopted(TEXT), **changes}
        made = templates.draft_template(self.store, SCOPE, content, AUTHOR, self.context, library=None)
        return made.life.number

    def approve(self, number: int, **period: datetime) -> None:
        templates.decide_template(
            self.store, SCOPE, TEXT, number, COUNSEL, self.context, approve=True, reason="found lawful", **period
        )

    def retire(self, number: int) -> None:
        templates.retire_template(self.store, SCOPE, TEXT, number, AUTHOR, self.context, reason="not any more")

    def ask(self, wish: Wish = DEMAND, message: str = "msg_1") -> Attempt:
        told: dict[str, Any] = {"org": AGENCY, "collector": COLLECTOR, "human": False, "actor": TEST_ACTOR}
        return messages.request_message(
            self.store, SCOPE, CASE, wish, message_id=message, now=self.now, req="req_1", **told
        )

    def check(self, message: str = "msg_1") -> Attempt:
        compliance.check(
            self.store,
            wiring.engine(),
            self.signer,
            SCOPE,
            message,
            clock=lambda: self.now,
            refresh=messages.refresh_content,
            req="req_2",
        )
        return self.attempt(message)

    def send(self, outbound: Outbound) -> Accepted:
        self.sent.append(outbound)
        return Accepted("sns", f"p{len(self.sent)}")

    def dispatch(self, message: str = "msg_1") -> Attempt | dispatch.NotSent:
        def verifier(approval: Mapping[str, Any], **expected: Any) -> approvals.Valid | approvals.Invalid:
            return approvals.verify(approval, root=ROOT.public_key(), **expected)

        return dispatch.dispatch(
            self.store, {"sms": self}, verifier, SCOPE, message, clock=lambda: self.now, req="req_3"
        )

    def attempt(self, message: str = "msg_1") -> Attempt:
        found = self.store.attempt(SCOPE, message)
        assert found is not None
        return found

    def approval(self, message: str = "msg_1") -> dict[str, Any]:
        decided = self.store.decided(SCOPE, self.attempt(message))
        assert decided is not None
        return dict(decided.data["approval"])

    def rules(self) -> list[dict[str, Any]]:
        ruling = self.store.ruling(SCOPE, self.attempt())
        assert ruling is not None
        return list(ruling["rules"])

    def pay(self, amount: int) -> None:
        told: dict[str, Any] = {"currency": "CNY", "received_on": date(2026, 11, 23)}
        cases.post_payment(self.store, SCOPE, CASE, AUTHOR, self.context, amount_minor=amount, **told)

    def review(self, message: str = "msg_1") -> None:
        told: dict[str, Any] = {"actor": TEST_ACTOR, "now": self.now, "req": "req_4"}
        messages.review_message(self.store, SCOPE, message, decision="approve", reason="read word by word", **told)


@pytest.fixture
def house(store: Store) -> House:
    wrote = ContactEntry(
        id="in_1",
        at="2026-11-23T01:30:00Z",
        direction="in",
        channel="sms",
        party=PERSON,
        point="pt_1",
        outcome="received",
    )
    earlier = ContactEntry(
        id="msg_0",
        at="2026-11-03T02:00:00Z",
        direction="out",
        channel="sms",
        purpose="demand",
        party=PERSON,
        point="pt_1",
        org=AGENCY,
        collector=COLLECTOR,
        debts=(CASE,),
        outcome="delivered",
    )
    ledger = a_ledger(history=(earlier, wrote))
    stored(store, a_lender(), an_agency(), a_collector(), a_person(), a_case(), ledger)
    made = House(store)
    made.approve(made.draft())
    return made


# The version


def test_version_and_digest_go_from_the_text_into_attempt_approval_and_events(house: House) -> None:
    asked = house.ask()
    digest = load_templates()[TEXT][-1].sha256
    assert (asked.template, asked.template_sha256) == (f"{TEXT}@1", digest)
    decided = house.check()
    assert (house.approval()["template"], house.approval()["template_sha256"]) == (f"{TEXT}@1", digest)
    house.dispatch()
    assert [sent.content for sent in house.sent] == [decided.content]
    events = house.store.events(SCOPE, keys.case_pk(LENDER, CASE))
    (ruled,) = [event for event in events if event.type.value == "contact.decided"]
    assert (ruled.data["template"], ruled.data["template_sha256"]) == (f"{TEXT}@1", digest)


def test_a_text_that_was_retired_after_the_wish_is_not_sent(house: House) -> None:
    house.ask()
    house.retire(1)
    ended = house.check()
    assert (ended.state, ended.reason) == ("cancelled", compliance.NO_TEMPLATE)
    assert isinstance(house.dispatch(), dispatch.NotSent) and house.sent == []


def test_a_text_that_was_retired_after_the_ruling_is_not_sent(house: House) -> None:
    house.ask()
    assert house.check().state == "approved"
    house.retire(1)
    refused = house.dispatch()
    assert isinstance(refused, dispatch.NotSent) and "no longer in force" in refused.reason
    assert house.attempt().state == "requested" and house.sent == []
    ended = house.check()
    assert (ended.state, ended.reason) == ("cancelled", compliance.NO_TEMPLATE)
    assert [entry.id for entry in house.store.ledger(SCOPE, PERSON).history] == ["msg_0", "in_1"]


def test_the_approval_of_a_message_ends_with_that_of_its_text(house: House) -> None:
    house.retire(1)
    end = NOW + timedelta(minutes=3)
    house.approve(house.draft(), effective_until=end)
    house.ask()
    house.check()
    assert datetime.fromisoformat(house.approval()["not_after"]) == end
    house.now = end
    assert isinstance(house.dispatch(), dispatch.NotSent) and house.sent == []
    assert house.check().state == "cancelled"


def test_a_text_is_sent_until_just_before_its_end(house: House) -> None:
    house.retire(1)
    end = NOW + timedelta(minutes=3)
    house.approve(house.draft(), effective_until=end)
    house.ask()
    house.check()
    house.now = end - timedelta(milliseconds=1)
    house.dispatch()
    assert len(house.sent) == 1


def test_what_leaves_is_the_version_in_force_at_the_ruling_and_not_at_the_wish(house: House) -> None:
    asked = house.ask()
    text = load_templates()[TEXT][-1].text.replace("请通过", "您可通过")
    house.approve(house.draft(text=text))
    decided = house.check()
    assert (asked.template, decided.template) == (f"{TEXT}@1", f"{TEXT}@2")
    house.dispatch()
    assert ["您可通过" in sent.body for sent in house.sent] == [True]
    assert house.sent[0].content != asked.content


def test_a_newer_version_takes_back_what_was_approved_with_the_older(house: House) -> None:
    house.ask()
    house.check()
    house.approve(house.draft(text=load_templates()[TEXT][-1].text.replace("请通过", "您可通过")))
    assert isinstance(house.dispatch(), dispatch.NotSent) and house.sent == []
    house.check()
    house.dispatch()
    assert ["您可通过" in sent.body for sent in house.sent] == [True]


def test_a_newer_version_that_does_not_fit_the_wish_ends_it(house: House) -> None:
    house.ask()
    house.approve(house.draft(audience=["guarantor_joint"]))
    ended = house.check()
    assert (ended.state, ended.reason) == ("cancelled", "it can no longer be said: wrong_audience")


@pytest.mark.parametrize("state", ["draft", "rejected", "not yet"])
def test_only_an_approved_version_in_its_period_can_be_asked_for(house: House, state: str) -> None:
    house.retire(1)
    number = house.draft()
    if state == "rejected":
        templates.decide_template(
            house.store, SCOPE, TEXT, number, COUNSEL, house.context, approve=False, reason="not this way"
        )
    if state == "not yet":
        house.approve(number, effective_from=NOW + timedelta(seconds=1))
    with pytest.raises(InvalidInput) as refused:
        house.ask()
    assert refused.value.errors[0].code == "unknown_template"
    if state == "not yet":
        house.now += timedelta(seconds=1)
        assert house.ask().template == f"{TEXT}@2"


def test_a_content_that_is_not_the_approved_one_is_not_sent(house: House) -> None:
    content = house.store.template(SCOPE, TEXT, 1)
    assert content is not None
    house.ask()
    house.store.template_record(SCOPE, content.model_copy(update={"text": content.text + "。"})).save()
    assert house.check().state == "cancelled"


# Another text, another recipient


@pytest.mark.parametrize(
    "change",
    [
        {"body": "另一段文字", "content": "00" * 32},
        {"template": f"{TEXT}@2"},
        {"template_sha256": "00" * 32},
        {"template": None, "template_sha256": None},
    ],
    ids=str,
)
def test_another_text_cannot_ride_on_an_approval(house: House, change: dict[str, Any]) -> None:
    house.ask()
    approved = house.check()
    house.store.attempt_record(SCOPE, approved.model_copy(update=change)).save()
    assert isinstance(house.dispatch(), dispatch.NotSent) and house.sent == []


def test_another_recipient_cannot_ride_on_an_approval(house: House) -> None:
    house.ask()
    house.check()
    person = house.store.person(SCOPE, PERSON)
    assert person is not None
    moved = person.points[0].model_copy(update={"value": "+8613900000000"})
    stored(house.store, person.model_copy(update={"points": (moved,), "version": person.version + 1}))
    assert isinstance(house.dispatch(), dispatch.NotSent) and house.sent == []


def test_an_approval_of_one_message_does_not_carry_another(house: House) -> None:
    house.ask()
    house.ask(message="msg_2")
    first, other = house.check(), house.check("msg_2")
    borrowed = {"decided_seq": first.decided_seq, "approved": first.approved}
    assert None not in borrowed.values()
    house.store.attempt_record(SCOPE, other.model_copy(update=borrowed)).save()
    with pytest.raises(ForeignItem):
        house.dispatch("msg_2")
    assert house.sent == []


# The amount


def test_a_payment_between_ruling_and_dispatch_lets_no_stale_amount_leave(house: House) -> None:
    house.ask()
    approved = house.check()
    assert approved.body is not None and "12,345.67元" in approved.body
    house.now += timedelta(minutes=1)
    house.pay(234_567)
    assert isinstance(house.dispatch(), dispatch.NotSent) and house.sent == []
    house.check()
    house.dispatch()
    assert ["12,345.67元" in sent.body for sent in house.sent] == [False]
    assert ["10,000.00元" in sent.body for sent in house.sent] == [True]


def test_a_payment_in_the_last_moment_before_the_claim_lets_no_stale_amount_leave(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.ask()
    house.check()
    commit: Callable[[Unit], None] = Unit.commit
    paid: list[bool] = []

    def pay_first(unit: Unit) -> None:
        if not paid and any(event.type.value == "contact.claimed" for event in unit.events):
            paid.append(True)
            house.pay(234_567)
        commit(unit)

    monkeypatch.setattr(Unit, "commit", pay_first)
    assert isinstance(house.dispatch(), dispatch.NotSent)
    assert paid and house.sent == []
    house.check()
    house.dispatch()
    assert ["10,000.00元" in sent.body for sent in house.sent] == [True]


# Words of one's own


def test_an_answer_in_ones_own_words_is_read_by_a_person_and_then_leaves(house: House) -> None:
    asked = house.ask(ANSWER)
    assert (asked.template, asked.purpose, asked.disclosures) == (None, "reply", ("purpose",))
    decided = house.check()
    assert decided.state == "in_review"
    assert "CN-HOUSE-TEXT" in [rule["id"] for rule in house.rules()]
    assert isinstance(house.dispatch(), dispatch.NotSent) and house.sent == []
    house.review()
    assert house.check().state == "approved"
    house.dispatch()
    assert [sent.body for sent in house.sent] == [ANSWER.text]


@pytest.mark.parametrize("text", ["您好，再不回电随时tuo车。", "您好，后 果 自 負。", "请加 微 信 核对。"])
def test_forbidden_words_of_ones_own_are_denied_outright(house: House, text: str) -> None:
    house.ask(replace(ANSWER, text=text))
    decided = house.check()
    assert decided.state == "denied"
    assert text not in str(house.rules())


@pytest.mark.parametrize(
    ("deviation", "code"),
    [
        ({"template": TEXT}, "not_both"),
        ({"purpose": "demand"}, "template_required"),
        ({"purpose": None}, "template_required"),
        ({"reply_to": None}, "required"),
        ({"subject": "关于来信"}, "subject_needed"),
        ({"parameters": {"ticket": "K1"}}, "unknown_parameter"),
        ({"text": "x" * 501}, "text_too_long"),
        ({"text": "【安行】您好"}, "forbidden_symbol"),
    ],
)
def test_words_of_ones_own_are_answers_and_nothing_else(house: House, deviation: dict[str, Any], code: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        house.ask(replace(ANSWER, **deviation))
    assert refused.value.errors[0].code == code


def test_an_amount_in_ones_own_words_is_the_ledgers_until_it_leaves(house: House) -> None:
    asked = house.ask(replace(ANSWER, text="您好，截至2026年11月23日应还12,345.67元，请核对。"))
    assert {"amount_due", "amount_as_of"} <= set(asked.disclosures)
    house.check()
    house.review()
    assert house.check().state == "approved"
    house.now += timedelta(minutes=1)
    house.pay(234_567)
    assert isinstance(house.dispatch(), dispatch.NotSent) and house.sent == []
    ended = house.check()
    assert (ended.state, ended.reason) == ("cancelled", "it can no longer be said: amount_moved_on")


def test_a_subject_is_read_like_the_text(house: House) -> None:
    attempt = house.ask(ANSWER).model_copy(update={"subject": "随时拖车"})
    facts = compliance.gather(house.store, SCOPE, attempt, now=NOW)
    told = compliance.dossier_of(facts, now=NOW)["act"]["content"]["text"]
    assert told == f"随时拖车\n{ANSWER.text}"
