"""Records merged and split over real tables and the real law: no cap is exceeded, no stop is forgotten, nothing is lost."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from chalicelib import wiring
from chalicelib.domain import keys
from chalicelib.domain.cases.case import CaseParty, Notice
from chalicelib.domain.cases.lifecycle import CaseState
from chalicelib.domain.errors import StateConflict
from chalicelib.domain.events import EventType
from chalicelib.domain.outreach.approval import Valid
from chalicelib.domain.outreach.attempt import Attempt, AttemptState
from chalicelib.domain.outreach.carrying import Accepted
from chalicelib.domain.outreach.provider_events import ProviderEvent
from chalicelib.domain.people.person import ConsentEntry, ContactEntry, ContactLedger, HoldEntry, Person
from chalicelib.store.portfolio_repository import PortfolioRepository
from chalicelib.store.repository import Store
from chalicelib.usecases import compliance, dispatch, duplicates, erasure, exporting, messages, persons
from chalicelib.usecases import provider_events as carriers_word
from chalicelib.usecases.cases import Caller, Context
from chalicelib.usecases.duplicates import DuplicatePorts, Why
from tests.builders import (
    AGENCY,
    COLLECTOR,
    LENDER,
    NOW,
    TEST_ACTOR,
    Scope,
    a_case,
    a_collector,
    a_lender,
    a_person,
    a_point,
    an_agency,
    approved,
    stored,
)

SCOPE = Scope(LENDER)
ONE, TWO, THREE = "per_one", "per_two", "per_three"
LENDERS = Caller(TEST_ACTOR)
WHY = Why("same_document", "the same card was shown twice")
NUMBERS = {ONE: "+8613812345678", TWO: "+8613812345679", THREE: "+8613812345670"}


@pytest.fixture
def ports(store: Store, queues: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[DuplicatePorts]:
    monkeypatch.setattr(wiring, "store", lambda: store)
    wiring.duplicate_ports.cache_clear()
    wiring.person_ports.cache_clear()
    stored(store, a_lender(), an_agency(), a_collector(), *approved("cn-sms-demand", "cn-call-demand"))
    index = PortfolioRepository(store)
    for person, number in NUMBERS.items():
        known = a_person(id=person, national_id=None, points=(a_point(id=f"pt_{person}", value=number),))
        told = {
            "parties": (CaseParty(person=person, role="debtor"),),
            "notices": (Notice(kind="outsourcing_notice", at="2026-11-01T02:00:00Z", party=person),),
        }
        stored(store, known, a_case(id=f"case_{person}", account=person, **told))
        index.write_points(SCOPE, [known])
        index.write_parties(SCOPE, [(person, f"case_{person}")])
    yield wiring.duplicate_ports()
    wiring.duplicate_ports.cache_clear()
    wiring.person_ports.cache_clear()


def merge(
    ports: DuplicatePorts, one: str = ONE, two: str = TWO, *, at: datetime = NOW, identity: str = "mrg_1"
) -> None:
    duplicates.merge_persons(ports, SCOPE, one, two, WHY, LENDERS, Context(at, "req_m"), merge_id=identity)


def split(ports: DuplicatePorts, person: str = ONE, *, at: datetime = NOW, identity: str = "mrg_1") -> tuple[str, str]:
    return duplicates.split_person(ports, SCOPE, person, identity, WHY, LENDERS, Context(at, "req_s"))


def call_at(hours_ago: float, person: str, number: int = 0) -> ContactEntry:
    at = (NOW - timedelta(hours=hours_ago)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return ContactEntry(
        id=f"call_{person}_{number}",
        at=at,
        direction="out",
        channel="call",
        party=person,
        outcome="conversation",
        org=AGENCY,
    )


def ask(
    store: Store, person: str, channel: str = "call", *, at: datetime = NOW, identity: str | None = None
) -> Attempt:
    wish = messages.Wish(
        channel=channel, template=f"cn-{channel}-demand", parameters={}, purpose=None, to=None, point=None,
        reply_to=None, recorded=True,
    )  # fmt: skip
    asked = messages.request_message(
        store, SCOPE, f"case_{person}", wish, message_id=identity or f"msg_{person}", org=AGENCY, collector=COLLECTOR,
        human=channel == "call", actor=TEST_ACTOR, now=at, req="req_a",
    )  # fmt: skip
    return rule(store, asked.id, at=at)


def rule(store: Store, message: str, *, at: datetime = NOW) -> Attempt:
    done = compliance.check(
        store, wiring.engine(), wiring.approval_signer(), SCOPE, message,
        clock=lambda: at, refresh=wiring.refresh_content, req="req_r",
    )  # fmt: skip
    assert isinstance(done, Attempt)
    return done


class Carrier:
    """Takes everything and remembers whom it was for."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def send(self, outbound: Any) -> Accepted:
        self.sent.append(outbound.to)
        return Accepted("sns", f"sns-{len(self.sent)}")


def send(store: Store, message: str, carrier: Carrier, *, at: datetime = NOW) -> Any:
    verified: Callable[..., Valid] = lambda approval, **expected: Valid()  # noqa: E731
    return dispatch.dispatch(
        store,
        {"sms": carrier},
        verified,
        SCOPE,
        message,
        clock=lambda: at,
        req="req_d",  # type: ignore[dict-item]
    )


def stop(medium: str, person: str, at: str) -> ConsentEntry:
    return ConsentEntry(at=at, party=person, event="stop_medium", medium=medium, scope="medium", direct=True)


# Caps


def test_contacts_of_both_records_count_together(store: Store, ports: DuplicatePorts) -> None:
    stored(store, ContactLedger(person=ONE, version=1, history=(call_at(2, ONE), call_at(1, ONE, 1))))
    stored(store, ContactLedger(person=TWO, version=1, history=(call_at(1.5, TWO),)))
    assert ask(store, THREE).state is AttemptState.APPROVED
    merge(ports)
    # Three calls a day to one person (CN-FREQ-1): two of one record and one of the other are the three.
    for person in (ONE, TWO):
        ruled = ask(store, person)
        assert ruled.state is not AttemptState.APPROVED, person
        assert ruled.reason is not None and ruled.reason.startswith("CN-FREQ")


def test_a_reservation_for_one_record_is_seen_by_the_rival_who_rules_for_the_other(
    store: Store, ports: DuplicatePorts
) -> None:
    stored(store, ContactLedger(person=ONE, version=1, history=(call_at(2, ONE), call_at(1, ONE, 1))))
    merge(ports)
    engine, other = wiring.engine(), iter([TWO])

    class Overtaken:
        """Lets a call to the other record be approved between reading and committing."""

        def rule(self, dossier: Any, house: Any = ()) -> Any:
            ruling = engine.rule(dossier, house)
            for person in other:
                assert ask(store, person).state is AttemptState.APPROVED
            return ruling

        def rule_set(self, ruling: Any) -> Any:
            return engine.rule_set(ruling)

    wish = messages.Wish(
        channel="call", template="cn-call-demand", parameters={}, purpose=None, to=None, point=None, reply_to=None,
        recorded=True,
    )  # fmt: skip
    messages.request_message(
        store, SCOPE, f"case_{ONE}", wish, message_id="msg_slow", org=AGENCY, collector=COLLECTOR, human=True,
        actor=TEST_ACTOR, now=NOW, req="req_a",
    )  # fmt: skip
    done = compliance.check(
        store, Overtaken(), wiring.approval_signer(), SCOPE, "msg_slow",
        clock=lambda: NOW, refresh=wiring.refresh_content, req="req_r",
    )  # fmt: skip
    assert isinstance(done, Attempt) and done.state is not AttemptState.APPROVED


def test_a_merge_makes_a_ruling_run_again_that_read_the_records_before(store: Store, ports: DuplicatePorts) -> None:
    stored(store, ContactLedger(person=TWO, version=1, history=tuple(call_at(h, TWO, h) for h in (1, 2, 3))))
    engine, once = wiring.engine(), iter([1])

    class Merging:
        """Merges between reading and committing."""

        def rule(self, dossier: Any, house: Any = ()) -> Any:
            ruling = engine.rule(dossier, house)
            for _ in once:
                merge(ports)
            return ruling

        def rule_set(self, ruling: Any) -> Any:
            return engine.rule_set(ruling)

    asked = messages.request_message(
        store, SCOPE, f"case_{ONE}",
        messages.Wish(
            channel="call", template="cn-call-demand", parameters={}, purpose=None, to=None, point=None, reply_to=None,
            recorded=True,
        ),
        message_id="msg_m", org=AGENCY, collector=COLLECTOR, human=True, actor=TEST_ACTOR, now=NOW, req="req_a",
    )  # fmt: skip
    done = compliance.check(
        store, Merging(), wiring.approval_signer(), SCOPE, asked.id,
        clock=lambda: NOW, refresh=wiring.refresh_content, req="req_r",
    )  # fmt: skip
    assert isinstance(done, Attempt) and done.state is not AttemptState.APPROVED


# Stops


def test_an_opt_out_of_one_record_is_one_of_the_person(store: Store, ports: DuplicatePorts) -> None:
    stored(store, ContactLedger(person=TWO, version=1, consents=(stop("sms", TWO, "2026-11-01T02:00:00Z"),)))
    assert ask(store, ONE, "sms", identity="msg_before").state is AttemptState.APPROVED
    merge(ports, at=NOW + timedelta(seconds=1))
    assert ask(store, ONE, "sms", at=NOW + timedelta(seconds=2), identity="msg_after").state is AttemptState.DENIED


def test_consent_given_in_one_record_before_the_merge_lifts_no_stop_of_the_other(
    store: Store, ports: DuplicatePorts
) -> None:
    granted = ConsentEntry(
        at="2026-11-10T02:00:00Z", party=ONE, event="granted", medium="sms", scope="medium", direct=True
    )
    stored(store, ContactLedger(person=ONE, version=1, consents=(granted,)))
    stored(store, ContactLedger(person=TWO, version=1, consents=(stop("sms", TWO, "2026-11-01T02:00:00Z"),)))
    merge(ports)
    for person in (ONE, TWO):
        assert ask(store, person, "sms", at=NOW + timedelta(seconds=2)).state is AttemptState.DENIED, person


def test_a_stop_on_the_other_record_makes_an_approval_stale(store: Store, ports: DuplicatePorts) -> None:
    merge(ports)
    approved_before = ask(store, ONE, "sms")
    assert approved_before.state is AttemptState.APPROVED
    event = ProviderEvent("inbound", "sns", "in-1", recipient=NUMBERS[TWO], text="STOP")
    told: dict[str, Any] = {"channel": "sms", "kind": "mobile", "clock": lambda: NOW, "req": "req_in"}
    assert carriers_word.receive(store, SCOPE, event, **told).persons == 1
    carrier = Carrier()
    send(store, approved_before.id, carrier, at=NOW + timedelta(seconds=5))
    assert carrier.sent == []


def test_what_was_approved_before_a_merge_is_ruled_on_again(store: Store, ports: DuplicatePorts) -> None:
    early = ask(store, ONE, "sms")
    stored(store, ContactLedger(person=TWO, version=1, consents=(stop("sms", TWO, "2026-11-01T02:00:00Z"),)))
    merge(ports)
    carrier = Carrier()
    send(store, early.id, carrier, at=NOW + timedelta(seconds=5))
    assert carrier.sent == []
    assert rule(store, early.id, at=NOW + timedelta(seconds=6)).state is AttemptState.DENIED


@pytest.mark.parametrize("kind", ["deceased", "bankruptcy"])
def test_a_hold_on_one_record_holds_the_other(store: Store, ports: DuplicatePorts, kind: str) -> None:
    hold = HoldEntry(**{"id": "hold_1", "kind": kind, "from": "2026-11-01T02:00:00Z", "party": TWO})
    stored(store, ContactLedger(person=TWO, version=1, holds=(hold,)))
    merge(ports)
    ruled = ask(store, ONE, "sms")
    assert ruled.state is not AttemptState.APPROVED
    facts = compliance.gather(store, SCOPE, ruled, now=NOW)
    assert [(each.kind, each.party) for each in facts.counted[ONE].holds] == [(kind, ONE)]


# Splitting


def test_a_split_restores_both_records_exactly(store: Store, ports: DuplicatePorts) -> None:
    before = {person: store.person(SCOPE, person) for person in (ONE, TWO)}
    cases = {person: store.case(SCOPE, f"case_{person}") for person in (ONE, TWO)}
    merge(ports)
    assert split(ports) == (ONE, TWO)
    for person in (ONE, TWO):
        known, was = store.person(SCOPE, person), before[person]
        assert known is not None and was is not None
        assert known.model_copy(update={"version": was.version}) == was
        assert store.case(SCOPE, f"case_{person}") == cases[person]
        assert store.ledger(SCOPE, person).counted_with == {}
    assert store.cases_of(SCOPE, ONE) == [f"case_{ONE}"]


def test_after_a_split_each_side_keeps_every_restriction(store: Store, ports: DuplicatePorts) -> None:
    hold = HoldEntry(**{"id": "hold_1", "kind": "cease", "from": "2026-11-01T02:00:00Z", "party": ONE})
    stored(store, ContactLedger(person=ONE, version=1, holds=(hold,)))
    stored(store, ContactLedger(person=TWO, version=1, consents=(stop("sms", TWO, "2026-11-01T02:00:00Z"),)))
    merge(ports)
    split(ports, at=NOW + timedelta(seconds=1))
    assert [each.kind for each in store.ledger(SCOPE, TWO).holds] == ["cease"]
    assert [each.event for each in store.ledger(SCOPE, ONE).consents] == ["stop_medium"]
    for person in (ONE, TWO):
        assert ask(store, person, "sms", at=NOW + timedelta(seconds=2)).state is not AttemptState.APPROVED


def test_contacts_made_while_merged_count_for_both_afterwards(store: Store, ports: DuplicatePorts) -> None:
    earlier = NOW - timedelta(hours=4)
    merge(ports, at=earlier)
    calls = tuple(call_at(hours, ONE, hours) for hours in (1, 2, 3))
    known = store.ledger(SCOPE, ONE)
    stored(store, known.model_copy(update={"history": calls, "version": known.version + 1}))
    split(ports)
    ruled = ask(store, TWO)
    assert ruled.state is not AttemptState.APPROVED and (ruled.reason or "").startswith("CN-FREQ")
    assert all(entry.debts is None for entry in store.ledger(SCOPE, TWO).history)


def test_what_was_approved_while_merged_is_stale_after_the_split(store: Store, ports: DuplicatePorts) -> None:
    merge(ports)
    ready = ask(store, TWO, "sms")
    assert ready.state is AttemptState.APPROVED
    split(ports, at=NOW + timedelta(seconds=1))
    carrier = Carrier()
    send(store, ready.id, carrier, at=NOW + timedelta(seconds=2))
    assert carrier.sent == []


def test_a_record_of_several_leaves_alone_and_the_others_stay_together(store: Store, ports: DuplicatePorts) -> None:
    merge(ports)
    merge(ports, THREE, ONE, identity="mrg_2")
    assert set(store.ledger(SCOPE, TWO).counted_with) == {ONE, THREE}
    assert split(ports, TWO, identity="mrg_2") == (THREE, ONE)
    assert store.ledger(SCOPE, THREE).counted_with == {}
    assert set(store.ledger(SCOPE, ONE).counted_with) == {TWO}
    assert split(ports) == (ONE, TWO)


# Reading, exporting, erasing


def test_the_old_id_answers_for_the_whole_person(store: Store, ports: DuplicatePorts) -> None:
    merge(ports)
    for asked in (ONE, TWO):
        told = persons.read_person(store, SCOPE, asked, org=None, role="lender", now=NOW)
        assert (told["id"], told["asked_for"], told["records"]) == (ONE, asked, [ONE, TWO])
        assert {point["value"] for point in told["points"]} == {NUMBERS[ONE], NUMBERS[TWO]}
        assert {case["case"] for case in told["cases"]} == {f"case_{ONE}", f"case_{TWO}"}


def test_a_message_may_go_to_a_number_of_the_other_record(store: Store, ports: DuplicatePorts) -> None:
    known = store.person(SCOPE, ONE)
    assert known is not None
    stored(store, known.model_copy(update={"points": (), "version": known.version + 1}))
    merge(ports)
    ready, carrier = ask(store, ONE, "sms"), Carrier()
    assert ready.state is AttemptState.APPROVED
    send(store, ready.id, carrier, at=NOW + timedelta(seconds=2))
    assert carrier.sent == [NUMBERS[TWO]]


def ended(store: Store) -> None:
    for person in (ONE, TWO):
        case = store.case(SCOPE, f"case_{person}")
        assert case is not None
        over = {"state": CaseState.SETTLED, "amount_due_minor": 0, "version": case.version + 1}
        stored(store, case.model_copy(update=over))


def erase(store: Store, person: str) -> Any:
    wish = erasure.Wish("purpose_met", "person", "file-1")
    told: dict[str, Any] = {"erasure_id": "era_1", "actor": TEST_ACTOR, "now": NOW, "req": "req_e"}
    return erasure.request_erasure(store, SCOPE, person, wish, **told)


def test_erasing_one_record_erases_the_person(store: Store, ports: DuplicatePorts) -> None:
    merge(ports)
    ended(store)
    done = erase(store, TWO)
    assert done.person == TWO and done.outcome.value in ("held", "erased")
    for person in (ONE, TWO):
        assert store.person(SCOPE, person) is None
        assert "ops" not in store.sealer.standing(LENDER, person)
        events = store.events(SCOPE, keys.person_pk(LENDER, person))
        assert EventType.PERSON_KEYS_DESTROYED in {event.type for event in events}


def test_an_open_case_of_the_other_record_keeps_the_person(store: Store, ports: DuplicatePorts) -> None:
    merge(ports)
    case = store.case(SCOPE, f"case_{ONE}")
    assert case is not None
    over = {"state": CaseState.SETTLED, "amount_due_minor": 0, "version": case.version + 1}
    stored(store, case.model_copy(update=over))
    assert erase(store, ONE).outcome.value == "postponed"
    assert store.person(SCOPE, ONE) is not None


def test_a_copy_for_the_person_holds_all_records(store: Store, ports: DuplicatePorts) -> None:
    merge(ports)
    told: dict[str, Any] = {"requested_by": "person", "identity_check": "file-1", "now": NOW}
    exporting.request_export(store, SCOPE, ONE, export_id="exp_1", actor=TEST_ACTOR, req="req_x", **told)
    copy = exporting.find_export(store, SCOPE, ONE, "exp_1", by=TEST_ACTOR.id, now=NOW)
    assert {case["id"] for case in copy["cases"]} == {f"case_{ONE}", f"case_{TWO}"}
    assert {point["value"] for point in copy["person"]["points"]} == {NUMBERS[ONE], NUMBERS[TWO]}


# Finding


def found(ports: DuplicatePorts) -> list[tuple[list[str], list[str]]]:
    page, _ = duplicates.list_duplicates(ports, SCOPE, after=None, limit=50)
    return [(each["records"], each["reasons"]) for each in page]


def look(store: Store, ports: DuplicatePorts, *people: str) -> None:
    unit = store.unit(SCOPE, actor=TEST_ACTOR, req="req_p", now=NOW)
    for person in people:
        unit.emit(keys.case_pk(LENDER, f"case_{person}"), EventType.CASE_PLACED, {"country": "CN"})
    unit.commit()
    assert duplicates.project_duplicates(ports, unit.events, scope_for=Scope) == []


def changed(store: Store, person: str, **changes: Any) -> Person:
    known = store.person(SCOPE, person)
    assert known is not None
    after = known.model_copy(update={**changes, "version": known.version + 1})
    stored(store, after)
    PortfolioRepository(store).write_points(SCOPE, [after])
    return after


def test_a_pair_with_the_same_name_and_birth_date_is_found_once(store: Store, ports: DuplicatePorts) -> None:
    changed(store, THREE, name="李娜")
    look(store, ports, ONE)
    look(store, ports, TWO, ONE)
    assert found(ports) == [([ONE, TWO], ["name_and_birth_date"])]


def test_two_documents_are_two_persons(store: Store, ports: DuplicatePorts) -> None:
    changed(store, ONE, national_id="310101198804121232")
    changed(store, TWO, national_id="11010119900307109X")
    changed(store, THREE, name="李娜")
    look(store, ports, ONE, TWO)
    assert found(ports) == []
    with pytest.raises(StateConflict) as refused:
        merge(ports)
    assert refused.value.reason == "documents_differ"


def test_a_family_shares_a_telephone_and_is_no_pair(store: Store, ports: DuplicatePorts) -> None:
    for person, name in ((TWO, "李娜"), (THREE, "王芳")):
        changed(store, person, name=name, birth_date=None, points=(a_point(value=NUMBERS[ONE]),))
    look(store, ports, ONE, TWO, THREE)
    assert found(ports) == []
    changed(store, THREE, name="张 伟", birth_date=None, points=(a_point(value=NUMBERS[ONE]),))
    look(store, ports, THREE)
    assert found(ports) == [(sorted([ONE, THREE]), ["phone"])]


def test_a_dismissed_pair_is_not_offered_again_nor_one_that_was_split(store: Store, ports: DuplicatePorts) -> None:
    look(store, ports, ONE, TWO, THREE)
    assert len(found(ports)) == 3
    duplicates.dismiss(ports, SCOPE, TWO, ONE, Why("family_member", "they are twins"), LENDERS, Context(NOW, "req_n"))
    merge(ports, ONE, THREE)
    split(ports)
    look(store, ports, ONE, TWO, THREE)
    assert [pair for pair, _ in found(ports)] == [sorted([TWO, THREE])]


def test_two_parties_of_one_case_are_two_persons(store: Store, ports: DuplicatePorts) -> None:
    PortfolioRepository(store).write_parties(SCOPE, [(TWO, f"case_{ONE}")])
    look(store, ports, ONE)
    assert [pair for pair, _ in found(ports)] == [sorted([ONE, THREE])]
    with pytest.raises(StateConflict) as refused:
        merge(ports)
    assert refused.value.reason == "same_case"
