"""Figures of events as the use cases write them: what they carry is what the counters read."""

import json
import runpy
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chalicelib.domain import keys
from chalicelib.domain.events import Actor, Event, EventType
from chalicelib.domain.kpi.counters import OF_WHOLE
from chalicelib.domain.outreach.approval import Valid
from chalicelib.domain.outreach.carrying import Accepted, Ambiguous
from chalicelib.domain.outreach.provider_events import ProviderEvent
from chalicelib.store.kpi_repository import KpiRepository
from chalicelib.store.repository import Store
from chalicelib.usecases import activities, cases, compliance, dispatch, kpis, messages, provider_events
from chalicelib.usecases.activities import Report
from chalicelib.usecases.cases import Caller, Context
from tests.builders import (
    AGENCY,
    CASE,
    COLLECTOR,
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
from tests.kpi_builders import DAY, MONTH, SHANGHAI, WEEK, History, shanghai, write_archive

SCOPE = Scope(LENDER)
LENDERS = Caller(Actor("lender", "ops-1", "token"))
AGENCYS = Caller(Actor("agency", "user-1", "token"), org=AGENCY, collector=COLLECTOR)


class House:
    """The use cases around one case, at a clock that the test turns."""

    def __init__(self, store: Store) -> None:
        self.store, self.now, self.verdict = store, NOW, "allow"
        attempts = [an_attempt(id=f"msg_{n}", body="text", content="ab" * 32, language="zh") for n in range(1, 4)]
        calls = [an_attempt(id=f"call_{n}", channel="call", human=True) for n in range(1, 3)]
        stored(store, a_lender(), an_agency(), a_collector(), a_person(), a_case(), *attempts, *calls)

    def clock(self) -> datetime:
        return self.now

    @property
    def context(self) -> Context:
        return Context(self.now, "req_1")

    def rule(self, dossier: Mapping[str, Any], house: Any = ()) -> dict[str, Any]:
        rules = [] if self.verdict == "allow" else [{"id": "CN.CAP", "effect": self.verdict}]
        base = {"verdict": self.verdict, "rules": rules, "missing": [], "next_allowed_at": None, "not_after": None}
        return {"id": dossier["id"], **base}

    def rule_set(self, ruling: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"atlas": "cd" * 32, "engine": 1, "packs": [], "zone_data": "2026f"}

    def sign(self, approval: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
        return dict(approval)

    def check(self, message: str, verdict: str = "allow") -> None:
        self.verdict = verdict
        unchanged = lambda facts, now: facts.attempt  # noqa: E731
        compliance.check(self.store, self, self, SCOPE, message, clock=self.clock, refresh=unchanged, req="req_1")

    def send(self, message: str, answer: Accepted | Ambiguous) -> None:
        class Carrier:
            def send(self, outbound: Any) -> Accepted | Ambiguous:
                return answer

        def verified(approval: Mapping[str, Any], **expected: Any) -> Valid:
            return Valid()

        carriers = {"sms": Carrier()}
        dispatch.dispatch(self.store, carriers, verified, SCOPE, message, clock=self.clock, req="req_1")

    def deliver(self, message: str) -> None:
        event = ProviderEvent("delivered", "sns", f"d-{message}", contact=message, provider_id="p1")
        provider_events.settle_delivery(self.store, SCOPE, event, clock=self.clock, req="req_1")

    def report(self, message: str, outcome: str, result: str, **flags: bool) -> None:
        details = {"outcome": outcome, "result": result, "attempted_at": self.now, "note": None, **flags}
        actor = AGENCYS.actor
        messages.report_outcome(
            self.store, SCOPE, message, org=AGENCY, actor=actor, now=self.now, req="req_1", **details
        )

    def act(self, code: str, channel: str, **details: Any) -> None:
        report = Report(code=code, channel=channel, person=PERSON, at=self.now, **details)
        activities.record_activity(self.store, SCOPE, CASE, report, AGENCYS, self.context)

    def events(self) -> list[Event]:
        streams = (keys.case_pk(LENDER, CASE), keys.person_pk(LENDER, PERSON))
        return [event for pk in streams for event in self.store.events(SCOPE, pk)]


@pytest.fixture
def house(store: Store) -> House:
    return House(store)


def _counters(house: House) -> dict[str, int]:
    repository = KpiRepository(shanghai)
    assert repository.fold(house.events()) == []
    counters = repository.counters(LENDER, DAY)[AGENCY]
    return {name: count for name, count in counters.items() if name not in OF_WHOLE}


def test_a_message_sent_and_delivered_is_one_attempt(house: House) -> None:
    house.check("msg_1")
    house.send("msg_1", Accepted("sns", "p1"))
    house.deliver("msg_1")
    assert _counters(house) == {
        "decided": 1,
        "allowed": 1,
        "attempts": 1,
        "channel_attempts:sms": 1,
        "channel_delivered:sms": 1,
    }


def test_a_delivery_that_overtakes_the_settling_is_one_attempt(house: House) -> None:
    house.check("msg_1")
    house.send("msg_1", Ambiguous("sns", "the answer was lost"))
    house.deliver("msg_1")
    house.deliver("msg_1")
    types = [event.type for event in house.events()]
    assert EventType.CONTACT_SENT not in types
    assert _counters(house)["attempts"] == 1


def test_rulings_count_by_outcome_and_rule(house: House) -> None:
    house.check("msg_1", "deny")
    house.check("msg_2", "defer")
    house.check("msg_3", "review")
    assert _counters(house) == {
        "decided": 3,
        "denied": 1,
        "denied_by_rule:CN.CAP": 1,
        "deferred": 1,
        "deferred_by_rule:CN.CAP": 1,
        "reviewed": 1,
        "reviewed_by_rule:CN.CAP": 1,
    }


def test_a_reported_call_counts_and_one_that_was_not_made_does_not(house: House) -> None:
    house.check("call_1")
    house.check("call_2")
    house.report("call_1", "conversation", "RPC-PTP", connected=True, right_party=True)
    house.report("call_2", "not_made", "NOANS", connected=False, right_party=False)
    assert _counters(house) == {
        "decided": 2,
        "allowed": 2,
        "attempts": 1,
        "channel_attempts:call": 1,
        "human_attempts": 1,
        "channel_human_attempts:call": 1,
        "connected": 1,
        "channel_connected:call": 1,
        "right_party": 1,
        "channel_right_party:call": 1,
        "promised_contacts": 1,
    }


def test_a_call_without_clearance_is_an_attempt_and_a_risk_event(house: House) -> None:
    house.act("NOANS", "call")
    counters = _counters(house)
    assert (counters["attempts"], counters["channel_human_attempts:call"], counters["risk_events"]) == (1, 1, 1)


def test_money_and_promises_count_as_posted_reversed_and_judged(house: House) -> None:
    today = NOW.date()
    change = {"currency": "CNY"}
    cases.make_promise(
        house.store,
        SCOPE,
        CASE,
        AGENCYS,
        house.context,
        amount_minor=50_000,
        due_on=today + timedelta(days=1),
        **change,
    )
    house.now += timedelta(seconds=1)
    _, payment = cases.post_payment(
        house.store, SCOPE, CASE, LENDERS, house.context, amount_minor=50_000, received_on=today, **change
    )
    counters = _counters(house)
    assert (counters["promises_made:CNY"], counters["promised_minor:CNY"]) == (1, 50_000)
    assert (counters["promises_kept"], counters["kept_minor:CNY"]) == (1, 50_000)
    assert counters["paid_minor:CNY"] == 50_000
    # Ten days later the payment is taken back: the promise was not kept after all.
    house.now += timedelta(days=10)
    cases.reverse_payment(house.store, SCOPE, CASE, payment.id, LENDERS, house.context, received_on=date(2026, 12, 3))
    repository = KpiRepository(shanghai)
    assert repository.fold(house.events()) == []
    ports = kpis.KpiPorts(repository)
    report = kpis.get_kpis(ports, SCOPE, today, date(2026, 12, 3), AGENCY)
    found = {each.figure.name: each.figure for each in report.figures}
    assert (found["kept_promise"].numerator, found["kept_promise"].denominator) == (0, 1)
    assert found["collected:CNY"].numerator == 0


def test_the_separate_program_finds_no_difference_in_what_use_cases_wrote(house: House, tmp_path: Path) -> None:
    house.check("msg_1")
    house.send("msg_1", Accepted("sns", "p1"))
    house.deliver("msg_1")
    house.check("call_1")
    house.report("call_1", "conversation", "RPC-NEG", connected=True, right_party=True)
    house.act("NOANS", "call")
    house.act("INB", "call")
    repository = KpiRepository(shanghai)
    assert repository.fold(house.events()) == []
    history = History()
    history.events = house.events()
    write_archive(tmp_path / "archive", history)
    monday = date.fromisoformat(DAY)
    export = kpis.export_projection(kpis.KpiPorts(repository), SCOPE, monday, monday, zone=SHANGHAI)
    assert set(export["counters"]) == {DAY, WEEK, MONTH}
    (tmp_path / "export.json").write_text(json.dumps(export), encoding="utf-8")
    program = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "recompute_kpis.py"))
    arguments = [str(tmp_path / "archive"), "--zone", SHANGHAI, "--against", str(tmp_path / "export.json")]
    assert program["main"](arguments) == 0
