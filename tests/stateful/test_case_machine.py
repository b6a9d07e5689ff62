"""The case commands against a model in plain words, with rivals that write between a command's read and its commit."""

from datetime import date, timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from chalicelib.domain import keys
from chalicelib.domain.cases.case import CaseParty
from chalicelib.domain.cases.lifecycle import FINAL, CaseState
from chalicelib.domain.errors import InvalidInput, NotFound, StateConflict
from chalicelib.domain.instants import local_date
from chalicelib.usecases import activities, cases
from chalicelib.usecases.activities import Report
from chalicelib.usecases.cases import Caller, Context
from tests.builders import AGENCY, CASE, COLLECTOR, LENDER, NOW, PERSON, TEST_ACTOR, Scope, a_case, a_lender, a_person
from tests.memory_store import MemoryStore

PK = keys.case_pk(LENDER, CASE)
LENDERS, AGENCYS = Caller(TEST_ACTOR), Caller(TEST_ACTOR, AGENCY, COLLECTOR)
GUARANTOR = "per_2"
START = 1_234_567


class CaseMachine(RuleBasedStateMachine):
    """The model: money as a sum over payments, stops as a number that only grows, holds as a set of names."""

    @initialize()
    def begin(self) -> None:
        parties = (CaseParty(person=PERSON, role="debtor"), CaseParty(person=GUARANTOR, role="guarantor_joint"))
        self.store = MemoryStore(a_lender(), a_case(parties=parties), a_person(), a_person(id=GUARANTOR))
        self.scope = Scope(LENDER)
        self.now = NOW
        self.paid: dict[str, int] = {}
        self.reversed: set[str] = set()
        self.holds: set[str] = set()
        self.epoch = 0
        self.final_state: CaseState | None = None
        self.rival: Any = None

    @property
    def case(self) -> Any:
        return self.store.case(self.scope, CASE)

    def run_command(self, command: Any) -> Any:
        """Run a command as the API would: a refusal is an answer, and must leave everything as it was."""
        self.now += timedelta(minutes=1)
        before, events = self.case, len(self.store.events(self.scope, PK))
        try:
            return command(Context(self.now, "req_test"))
        except (StateConflict, InvalidInput, NotFound):
            if self.store.conflicts == 0:
                assert self.case == before
                assert len(self.store.events(self.scope, PK)) == events
            return None

    # Commands

    @rule(
        kind=st.sampled_from(["hardship", "attorney", "dispute", "deceased"]), who=st.sampled_from([PERSON, GUARANTOR])
    )
    def hold(self, kind: str, who: str) -> None:
        def command(context: Context) -> str:
            _, hold = cases.place_hold(
                self.store,
                self.scope,
                CASE,
                LENDERS,
                context,
                kind=kind,
                reason="-",
                person=who,  # type: ignore[arg-type]
            )
            return hold.id

        self.holds.add(self.run_command(command))

    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        if self.holds:
            hold = data.draw(st.sampled_from(sorted(self.holds)))
            self.run_command(
                lambda context: cases.release_hold(
                    self.store,
                    self.scope,
                    CASE,
                    hold,
                    LENDERS,
                    context,
                    reason="-",  # type: ignore[arg-type]
                )
            )
            self.holds.discard(hold)

    @rule(amount=st.integers(1, 700_000))
    def pay(self, amount: int) -> None:
        today = local_date(self.now, "Asia/Shanghai")

        def command(context: Context) -> Any:
            return cases.post_payment(
                self.store,  # type: ignore[arg-type]
                self.scope,
                CASE,
                LENDERS,
                context,
                amount_minor=amount,
                currency="CNY",
                received_on=today,
            )

        _, payment = self.run_command(command)
        self.paid[payment.id] = sum(payment.split.values())

    @rule(data=st.data())
    def reverse(self, data: st.DataObject) -> None:
        if self.paid:
            payment = data.draw(st.sampled_from(sorted(self.paid)))
            today = local_date(self.now, "Asia/Shanghai")
            self.run_command(
                lambda context: cases.reverse_payment(
                    self.store,
                    self.scope,
                    CASE,
                    payment,
                    LENDERS,
                    context,
                    received_on=today,  # type: ignore[arg-type]
                )
            )
            self.reversed.add(payment)

    @rule(amount=st.integers(1, 1_300_000), days=st.integers(-1, 31))
    def promise(self, amount: int, days: int) -> None:
        due_on: date = local_date(self.now, "Asia/Shanghai") + timedelta(days=days)
        owed, state = self.case.amount_due_minor, self.case.state
        made = self.run_command(
            lambda context: cases.make_promise(
                self.store,
                self.scope,
                CASE,
                AGENCYS,
                context,
                amount_minor=amount,
                currency="CNY",
                due_on=due_on,  # type: ignore[arg-type]
            )
        )
        if made is not None:
            assert amount <= owed
            assert 0 <= days <= 30
            assert state not in FINAL

    @rule(event=st.sampled_from(["settle", "refer_to_legal", "write_off", "dispute", "resolve_dispute", "end_plan"]))
    def move(self, event: str) -> None:
        self.run_command(
            lambda context: cases.transition(
                self.store,
                self.scope,
                CASE,
                LENDERS,
                context,
                event=event,
                reason="-",  # type: ignore[arg-type]
            )
        )
        self._forget_dispute_holds()

    def _forget_dispute_holds(self) -> None:
        ended = {hold.id for hold in self.case.holds if hold.released_at is not None}
        self.holds -= ended
        self.holds |= {h.id for h in self.case.holds if h.kind == "dispute" and h.released_at is None}

    @rule(final=st.booleans())
    def recall(self, final: bool) -> None:
        self.run_command(
            lambda context: cases.request_recall(
                self.store,
                self.scope,
                CASE,
                LENDERS,
                context,
                reason="RECALLED",
                final=final,  # type: ignore[arg-type]
            )
        )

    @rule()
    def object_to_it(self) -> None:
        self.run_command(
            lambda context: cases.object_to_recall(
                self.store,
                self.scope,
                CASE,
                AGENCYS,
                context,
                code="NO",
                reason="-",  # type: ignore[arg-type]
            )
        )

    @rule()
    def give_back(self) -> None:
        self.run_command(
            lambda context: cases.return_case(
                self.store,
                self.scope,
                CASE,
                AGENCYS,
                context,
                reason="UNTRACEABLE",  # type: ignore[arg-type]
            )
        )

    @rule(code=st.sampled_from(["NOANS", "RPC-DISP", "RPC-CEASE", "RPC-PLAN", "WRONG", "RPC-NEG"]))
    def report(self, code: str) -> None:
        report = Report(code=code, channel="call", person=PERSON, at=self.now, point="pt_1")
        recorded = self.run_command(
            lambda context: activities.record_activity(
                self.store,
                self.scope,
                CASE,
                report,
                AGENCYS,
                context,  # type: ignore[arg-type]
            )
        )
        if recorded is not None:
            self.holds |= set(recorded.holds)
            entries = self.store.ledger(self.scope, PERSON).history
            assert entries[-1].id == recorded.activity, "an uncleared call is in the ledger"

    @rule(hours=st.sampled_from([1, 23, 24, 24 * 40]))
    def clock(self, hours: int) -> None:
        self.now += timedelta(hours=hours)
        due = self.case.next_due_at()
        cases.finish_due(self.store, self.scope, CASE, now=self.now)  # type: ignore[arg-type]
        cases.finish_due(self.store, self.scope, CASE, now=self.now)  # type: ignore[arg-type]
        if due is not None:
            assert self.case.next_due_at() is None or self.case.next_due_at() > due or self.now.isoformat() < due

    @rule(amount=st.integers(1, 1_000))
    def a_rival_pays_in_between(self, amount: int) -> None:
        """The next commit finds that somebody posted a payment after its reads; it must run again, not overwrite."""
        today = local_date(self.now, "Asia/Shanghai")

        def rival() -> None:
            _, payment = cases.post_payment(
                self.store,  # type: ignore[arg-type]
                self.scope,
                CASE,
                LENDERS,
                Context(self.now, "req_rival"),
                amount_minor=amount,
                currency="CNY",
                received_on=today,
            )
            self.paid[payment.id] = sum(payment.split.values())

        self.store.before_commit = rival
        self.report("NOANS")

    # What must hold after every step

    @invariant()
    def money_is_the_sum_of_what_was_paid(self) -> None:
        if hasattr(self, "store"):
            settled = sum(minor for payment, minor in self.paid.items() if payment not in self.reversed)
            assert self.case.amount_due_minor == START - settled
            assert sum(self.case.owed.values()) == self.case.amount_due_minor

    @invariant()
    def the_stream_is_dense_and_linked(self) -> None:
        if hasattr(self, "store"):
            previous = None
            for number, event in enumerate(self.store.events(self.scope, PK), 1):
                assert (event.seq, event.prev) == (number, previous)
                previous = event.digest()

    @invariant()
    def a_final_case_stays_as_it_ended(self) -> None:
        if hasattr(self, "store"):
            if self.final_state is not None:
                assert self.case.state is self.final_state
            if self.case.state in FINAL:
                self.final_state = self.case.state
                assert self.case.next_due_at() is None

    @invariant()
    def stops_only_grow_and_reach_every_party(self) -> None:
        if hasattr(self, "store"):
            epochs = {self.store.ledger(self.scope, person).stop_epoch for person in (PERSON, GUARANTOR)}
            assert len(epochs) == 1
            epoch = epochs.pop()
            assert epoch >= self.epoch
            self.epoch = epoch

    @invariant()
    def the_holds_in_force_are_those_that_were_placed_and_not_released(self) -> None:
        if hasattr(self, "store"):
            known = [
                *self.case.holds,
                *(h for p in (PERSON, GUARANTOR) for h in self.store.ledger(self.scope, p).holds),
            ]
            active = {hold.id for hold in known if hold.released_at is None and hold.kind != "promise_alive"}
            assert active == self.holds

    @invariant()
    def a_held_case_is_not_simply_in_work(self) -> None:
        if hasattr(self, "store") and self.case.state is CaseState.ON_HOLD:
            assert self.holds

    @invariant()
    def each_change_of_state_is_an_event(self) -> None:
        if hasattr(self, "store"):
            state = CaseState.IN_WORK
            for event in self.store.events(self.scope, PK):
                if event.type.value == "case.changed":
                    assert event.data["from"] == state
                    state = CaseState(event.data["to"])
            assert self.case.state is state


def test_case_commands_agree_with_the_model_under_rival_writers() -> None:
    run_state_machine_as_test(
        CaseMachine,
        settings=settings(
            max_examples=60,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
            derandomize=True,
        ),
    )
