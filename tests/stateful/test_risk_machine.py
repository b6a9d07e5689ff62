"""The commands on legal-risk events against a model in plain words, with rivals that write between a read and its commit."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from chalicelib.domain import keys
from chalicelib.domain.errors import NotPermitted, StateConflict
from chalicelib.domain.events import Actor
from chalicelib.domain.risk.event import RiskEvent, Source
from chalicelib.usecases import risks
from chalicelib.usecases.cases import Caller, Context
from tests.builders import CASE, LENDER, NOW, Scope, a_case, a_lender, a_person
from tests.memory_store import MemoryStore

PK = keys.case_pk(LENDER, CASE)
PEOPLE = ("ann", "bea", "cai")
NAMES = ("risk_1", "risk_2")


class MemoryRisks:
    """Legal-risk events as the store keeps them, by id."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store

    def risk(self, scope: Any, risk: str) -> RiskEvent | None:
        item = self.store.items.get((keys.risk_pk(scope.tenant, risk), keys.RISK_SK))
        return None if item is None else item.body

    def many(self, scope: Any, names: Sequence[str]) -> list[RiskEvent]:
        return [found for name in names if (found := self.risk(scope, name)) is not None]


class RiskMachine(RuleBasedStateMachine):
    """The model: of each event a state in words, who found, who acted, and the line that a finding named."""

    @initialize()
    def begin(self) -> None:
        self.store: Any = MemoryStore(a_lender(), a_case(agency=None), a_person())
        self.scope, self.now = Scope(LENDER), NOW
        self.ports = risks.RiskPorts(self.store, MemoryRisks(self.store))  # type: ignore[arg-type]
        self.model: dict[str, dict[str, Any]] = {}
        self.steps = self.confirmed = 0
        self.rival: str | None = None

    def context(self) -> Context:
        self.now += timedelta(minutes=1)
        return Context(self.now, "req_test")

    @rule(name=st.sampled_from(NAMES))
    def raise_it(self, name: str) -> None:
        told = risks.Suspicion("threat", Source.AUDIT, "heard on a tape", case=CASE)
        who = Caller(Actor("lender", "ann", "none"))
        risks.raise_risk(self.ports, self.scope, told, who, self.context(), risk=name)
        if name not in self.model:
            self.model[name] = {"state": "raised", "line": "threat", "finder": None, "actor": None}
            self.steps += 1

    @rule(person=st.sampled_from(PEOPLE))
    def arm_a_rival(self, person: str) -> None:
        self.rival = person

    def may(self, known: dict[str, Any], act: str, person: str) -> bool:
        """Tell whether the model lets the person do it now."""
        return {
            "find_breach": known["state"] == "raised",
            "find_none": known["state"] == "raised",
            "agree": known["state"] in ("breach?", "none?") and known["finder"] != person,
            "disagree": known["state"] in ("breach?", "none?") and known["finder"] != person,
            "set": known["state"] in ("confirmed", "acting"),
            "finish": known["state"] == "acting",
            "accept": known["state"] == "done" and known["actor"] != person,
            "return": known["state"] == "done" and known["actor"] != person,
        }[act]

    def note(self, known: dict[str, Any], act: str, person: str) -> None:
        """Let it happen in the model."""
        self.steps += 1
        if act == "find_breach":
            known.update(state="breach?", finder=person)
        elif act == "find_none":
            known.update(state="none?", finder=person)
        elif act == "agree":
            breach = known["state"] == "breach?"
            self.confirmed += breach
            known.update(state="confirmed" if breach else "dismissed")
            if breach:
                known.update(line="third_party")
        elif act == "disagree":
            known.update(state="raised", finder=None)
        elif act == "finish":
            known.update(state="done", actor=person)
        elif act == "accept":
            known.update(state="closed")
        else:
            known.update(state="acting", actor=None)

    def run(self, name: str, act: str, person: str) -> None:
        told: tuple[Any, ...] = (self.ports, self.scope, name)
        who: tuple[Any, ...] = (Caller(Actor("lender", person, "none")), self.context())
        if act == "find_breach":
            breach = risks.Finding(True, "heard it", line="third_party", root_cause="training")
            risks.find(*told, breach, *who)
        elif act == "find_none":
            risks.find(*told, risks.Finding(False, "nothing on the tape"), *who)
        elif act in ("agree", "disagree"):
            risks.decide(*told, *who, agrees=act == "agree", text="listened too")
        elif act == "set":
            due = self.now + timedelta(days=2)
            risks.set_action(*told, *who, measure="retraining", owner="agency-a", due_at=due, text="course again")
        elif act == "finish":
            risks.finish_action(*told, *who, evidence_sha256=None, text="sat the course")
        else:
            risks.close(*told, *who, accepts=act == "accept", text="seen")

    @rule(
        name=st.sampled_from(NAMES),
        act=st.sampled_from(("find_breach", "find_none", "agree", "disagree", "set", "finish", "accept", "return")),
        person=st.sampled_from(PEOPLE),
    )
    def happen(self, name: str, act: str, person: str) -> None:
        if name not in self.model:
            return
        known, rival = self.model[name], self.rival
        self.rival = None
        if rival is not None and self.may(known, act, person) and self.may(known, act, rival):
            # The rival does the same in between: the command reads again and finds what the rival left.
            self.store.before_commit = lambda: self.run(name, act, rival)
            self.note_after_rival(name, act, person, rival)
            return
        allowed = self.may(known, act, person)
        try:
            self.run(name, act, person)
        except (StateConflict, NotPermitted):
            assert not allowed
            return
        assert allowed
        self.note(known, act, person)

    def note_after_rival(self, name: str, act: str, person: str, rival: str) -> None:
        known = self.model[name]
        self.note(known, act, rival)
        allowed = self.may(known, act, person)
        try:
            self.run(name, act, person)
        except (StateConflict, NotPermitted):
            assert not allowed
        else:
            assert allowed
            self.note(known, act, person)
        finally:
            self.store.before_commit = None

    @invariant()
    def the_events_are_as_the_model_says(self) -> None:
        words = {"breach?": "breach_found", "none?": "no_breach_found"}
        for name, known in self.model.items():
            risk = self.ports.risks.risk(self.scope, name)
            assert risk is not None
            assert risk.status.value == words.get(known["state"], known["state"])
            assert risk.line == known["line"]
            assert risk.version == len(risk.steps)

    @invariant()
    def two_people_stand_behind_every_decision(self) -> None:
        for name, known in self.model.items():
            risk = self.ports.risks.risk(self.scope, name)
            if risk is not None and known["state"] in ("confirmed", "dismissed", "acting", "done", "closed"):
                assert risk.finding is not None and risk.decided_by not in (None, risk.finding.by)

    @invariant()
    def every_step_is_one_event_in_a_dense_stream(self) -> None:
        events = self.store.events(self.scope, PK)
        assert [event.seq for event in events] == list(range(1, self.steps + 1))
        assert sum(event.type.value == "risk_event.confirmed" for event in events) == self.confirmed


def test_risk_commands_agree_with_the_model() -> None:
    run_state_machine_as_test(
        RiskMachine,
        settings=settings(
            max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
        ),
    )
