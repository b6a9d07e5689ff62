"""The commands of a suit against a model in plain words, with rivals that write between a command's read and its commit."""

from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from chalicelib.domain import keys
from chalicelib.domain.cases.lifecycle import CaseState
from chalicelib.domain.errors import InvalidInput, NotFound, StateConflict
from chalicelib.domain.instants import local_date
from chalicelib.domain.litigation.procedure import MatterEvent
from chalicelib.usecases import cases, litigation
from chalicelib.usecases.cases import Caller, Context
from chalicelib.usecases.litigation import Told
from tests.builders import CASE, LENDER, NOW, TEST_ACTOR, Scope, a_case, a_lender, a_person
from tests.memory_store import MemoryStore

PK = keys.case_pk(LENDER, CASE)
LENDERS = Caller(TEST_ACTOR)
FILING = (
    "loan_contract",
    "disbursement_record",
    "repayment_record",
    "claim_calculation",
    "debtor_identity",
    "complaint",
)
KINDS = (*FILING, "judgment")
EVENTS = [event for event in MatterEvent if event is not MatterEvent.SEND_LETTER]
AMOUNTS = {"judge", "settle", "pay_cost"}
# The suit in China, written down anew: from where to where.
OPEN = {"filed", "admitted", "hearing", "judged", "appealed", "effective", "enforcement"}
COURSE: dict[str, dict[str, str]] = {
    "file": {"assessment": "filed"},
    "admit": {"filed": "admitted"},
    "hear": {"admitted": "hearing", "hearing": "hearing"},
    "judge": {"admitted": "judged", "hearing": "judged"},
    "appeal": {"judged": "appealed"},
    "remit": {"appealed": "hearing"},
    "become_final": {"judged": "effective", "appealed": "effective"},
    "apply_enforcement": {"effective": "enforcement", "settled_in_court": "enforcement"},
    "pause_enforcement": {"enforcement": "enforcement_paused"},
    "resume_enforcement": {"enforcement_paused": "enforcement"},
    "settle": dict.fromkeys(OPEN, "settled_in_court"),
    "satisfy": dict.fromkeys(OPEN | {"enforcement_paused", "settled_in_court"}, "satisfied"),
    "withdraw": dict.fromkeys(("filed", "admitted", "hearing"), "withdrawn"),
    "dismiss": dict.fromkeys(("filed", "admitted", "hearing", "judged", "appealed"), "dismissed"),
    "drop": {"assessment": "dropped"},
    "serve": {},
}
ENDS = {"satisfied", "withdrawn", "dismissed", "dropped"}
STILL = {
    "preserve": {"assessment", "filed", "admitted", "hearing", "judged", "appealed", "effective"},
    "pay_cost": OPEN | {"assessment", "enforcement_paused", "settled_in_court"},
}


class MatterMachine(RuleBasedStateMachine):
    """The model: a stage, a set of kinds on file, a sum of costs, and whether the case was referred."""

    @initialize()
    def begin(self) -> None:
        self.store: Any = MemoryStore(a_lender(), a_case(), a_person())
        self.scope, self.now, self.number = Scope(LENDER), NOW, 0
        self.stage: str | None = None
        self.on_file: set[str] = set()
        self.costs = 0
        self.suits = self.moves = 0
        self.rival = False

    def context(self) -> Context:
        self.now += timedelta(minutes=1)
        return Context(self.now, "req_test")

    def matter(self) -> Any:
        case = self.store.case(self.scope, CASE)
        return None if case.litigation is None else self.store.matter(self.scope, case.litigation)

    def slip_in(self) -> None:
        """Arm a rival: somebody else changes the case, or the matter, before the next commit."""
        if self.rival:
            self.rival = False
            context = self.context()

            def write() -> None:
                if self.matter() is not None and self.stage not in ENDS:
                    self._file("letter_of_a_rival", context)
                else:
                    cases.place_hold(
                        self.store,
                        self.scope,
                        CASE,
                        LENDERS,
                        context,
                        kind="hardship",
                        reason="of a rival",
                        hold_id="h1",
                    )

            self.store.before_commit = write

    def _file(self, kind: str, context: Context) -> None:
        self.number += 1
        matter = self.matter()
        told: dict[str, Any] = {"kind": kind, "sha256": f"{self.number:064x}", "storage": "vault/1", "dated_on": None}
        litigation.file_document(
            self.store, self.scope, matter.id, LENDERS, context, document_id=f"doc_{self.number}", **told
        )
        self.on_file.add(kind)

    @rule()
    def arm_a_rival(self) -> None:
        self.rival = True

    @rule(is_urgent=st.booleans())
    def open(self, is_urgent: bool) -> None:
        self.number += 1
        self.slip_in()
        may = self.stage is None or self.stage in ENDS
        told: dict[str, Any] = {"matter_id": f"lit_{self.number}", "is_urgent": is_urgent}
        try:
            litigation.open_matter(self.store, self.scope, CASE, LENDERS, self.context(), **told)
        except StateConflict:
            assert not may
            return
        finally:
            self.store.before_commit = None
        assert may
        self.stage, self.on_file, self.costs = "assessment", set(), 0

    @rule(kind=st.sampled_from(KINDS))
    def file_a_document(self, kind: str) -> None:
        if self.stage is None:
            return
        self.slip_in()
        try:
            self._file(kind, self.context())
        except StateConflict:
            assert self.stage in ENDS
        else:
            assert self.stage not in ENDS
        finally:
            self.store.before_commit = None

    @rule()
    def file_all(self) -> None:
        for kind in KINDS:
            self.file_a_document(kind)

    @rule(event=st.sampled_from(EVENTS), amount=st.integers(1, 9_999))
    def happen(self, event: MatterEvent, amount: int) -> None:
        if self.stage is None:
            return
        name = event.value
        self.number += 1
        self.slip_in()
        today = local_date(self.now, "Asia/Shanghai")
        told = Told(
            event,
            today,
            amount_minor=amount if name in AMOUNTS else None,
            until=today if name in ("preserve", "settle") else None,
            cost_kind="court_fee" if name == "pay_cost" else None,
        )
        to = COURSE.get(name, {}).get(self.stage) or (self.stage if self.stage in STILL.get(name, set()) else None)
        lacking = {"file": set(FILING) - self.on_file, "apply_enforcement": {"judgment"} - self.on_file}.get(
            name, set()
        )
        ended = self.stage in ENDS and self.stage in COURSE.get(name, {}).values()
        try:
            litigation.record_event(
                self.store, self.scope, self.matter().id, LENDERS, self.context(), told, event_id=f"lev_{self.number}"
            )
        except (StateConflict, InvalidInput, NotFound):
            assert (to is None and not ended) or lacking
            return
        finally:
            self.store.before_commit = None
        if ended:
            return
        assert to is not None and not lacking
        self.stage, self.moves = to, self.moves + 1
        self.costs += amount if name == "pay_cost" else 0
        self.suits += name == "file"

    @invariant()
    def the_matter_is_as_the_model_says(self) -> None:
        matter = self.matter()
        assert (matter is None) is (self.stage is None)
        if matter is not None:
            assert matter.stage.value == self.stage
            assert {document.kind for document in matter.documents} == self.on_file
            assert matter.costs_minor == self.costs

    @invariant()
    def a_suit_and_nothing_else_refers_the_case(self) -> None:
        case = self.store.case(self.scope, CASE)
        assert (case.state is CaseState.LEGAL) is (self.suits > 0)
        entries = [entry for entry in case.limitation_entries if entry.kind == "suit"]
        assert len(entries) == self.suits
        if self.suits and self.stage in ENDS:
            assert all(entry.until is not None for entry in entries)

    @invariant()
    def every_step_is_one_event_in_a_dense_stream(self) -> None:
        events = self.store.events(self.scope, PK)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert sum(event.type.value == "litigation.changed" for event in events) == self.moves


def test_suit_commands_agree_with_the_model() -> None:
    run_state_machine_as_test(
        MatterMachine,
        settings=settings(
            max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
        ),
    )
