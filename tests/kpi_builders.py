"""Builders for key figures: histories of events with dense streams, random events, an archive on disk."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from chalicelib.domain.events import Event, EventType
from chalicelib.domain.kpi import counters as kpi
from scripts.kpi_memory import MemoryKpiRepository as FakeKpiRepository
from scripts.made_month import write_log
from tests.builders import AGENCY, LENDER, TEST_ACTOR

NOON = "2026-11-23T04:00:00.000Z"
"""Noon of 2026-11-23 in Shanghai."""
__all__ = ["FakeKpiRepository"]

DAY, WEEK, MONTH = "2026-11-23", "2026-W48", "2026-11"
SHANGHAI = "Asia/Shanghai"
CONTACT = {"contact": "msg_1", "channel": "sms", "person": "per_1", "org": AGENCY, "human": False}


class History:
    """Events as they are written: each stream numbered densely from 1."""

    def __init__(self, tenant: str = LENDER) -> None:
        self.tenant = tenant
        self.events: list[Event] = []
        self._seq: dict[str, int] = {}

    def add(
        self,
        event_type: EventType,
        data: Mapping[str, Any],
        *,
        at: str = NOON,
        stream: str = "case_1",
        decision: Mapping[str, Any] | None = None,
        times: int = 1,
    ) -> "History":
        for _ in range(times):
            self._seq[stream] = seq = self._seq.get(stream, 0) + 1
            self.events.append(
                Event(
                    id=f"evt_{len(self.events) + 1:05d}",
                    type=event_type,
                    at=at,
                    tenant=self.tenant,
                    stream=stream,
                    seq=seq,
                    prev=None if seq == 1 else "0" * 64,
                    actor=TEST_ACTOR,
                    req="req_1",
                    data=dict(data),
                    decision=decision,
                )
            )
        return self

    def decided(self, outcome: str, *rules: str, times: int = 1, **data: Any) -> "History":
        ruling = {"outcome": outcome, "ruleset": "0" * 64, "reasons": sorted(rules), "inputs": "0" * 64}
        return self.add(EventType.CONTACT_DECIDED, {**CONTACT, **data}, decision=ruling, times=times)

    def sent(self, *, times: int = 1, **data: Any) -> "History":
        return self.add(EventType.CONTACT_SENT, {**CONTACT, **data}, times=times)

    def reported(self, result: str, *, connected: bool, right_party: bool, times: int = 1, **data: Any) -> "History":
        details = {"outcome": "conversation", "result": result, "connected": connected, "right_party": right_party}
        return self.add(EventType.CONTACT_REPORTED, {**CONTACT, "channel": "call", **details, **data}, times=times)

    def money(self, event_type: EventType, amount_minor: int, *, times: int = 1, **data: Any) -> "History":
        number = len(self.events) + 1
        body: dict[str, Any] = {"amount_minor": amount_minor, "currency": "CNY", "agency": AGENCY}
        if event_type in (EventType.PAYMENT_POSTED, EventType.PAYMENT_REVERSED):
            body |= {"payment": f"pay_{number}", "applied_minor": amount_minor, "received_on": DAY}
            body |= {"reversal_of": None, "commissionable": True}
        else:
            kept = event_type is EventType.PROMISE_KEPT
            body |= {"promise": f"ptp_{number}", "paid_minor": amount_minor if kept else 0, "due_on": DAY}
        return self.add(event_type, {**body, **data}, times=times)


def shanghai(tenant: str) -> str:
    """Return Shanghai for every lender."""
    return SHANGHAI


def counters_of(history: History, zone: str = SHANGHAI) -> kpi.Counters:
    """Return the counters of a history."""
    return kpi.fold(history.events, zone_of=lambda tenant: zone)


def a_worked_day() -> History:
    """Return the day whose figures ``docs/kpis.md`` works out by hand."""
    history = History()
    placed = {"currency": "CNY", "portfolio": "pf_1"}
    for number, minor in enumerate((100_000, 250_000, 50_000), start=1):
        history.add(EventType.CASE_PLACED, {**placed, "placed_minor": minor}, stream=f"case_{number}")
    for number, minor in enumerate((100_000, 250_000), start=1):
        assigned = {"agency": AGENCY, "placed_minor": minor, "currency": "CNY"}
        history.add(EventType.CASE_ASSIGNED, assigned, stream=f"case_{number}")
    history.money(EventType.PAYMENT_POSTED, 60_000).money(EventType.PAYMENT_POSTED, 40_000)
    history.money(EventType.PAYMENT_REVERSED, 20_000)
    history.money(EventType.PROMISE_KEPT, 10_000, times=3, was="open")
    history.money(EventType.PROMISE_BROKEN, 30_000, was="open")
    # Ten calls: four reach the person sought, two more are answered by somebody else, four by nobody.
    history.reported("RPC-PTP", connected=True, right_party=True, person="per_1")
    history.reported("RPC-PLAN", connected=True, right_party=True, person="per_2")
    history.reported("RPC-NEG", connected=True, right_party=True, person="per_2", times=2)
    history.reported("MSG3P", connected=True, right_party=False, person="per_3", times=2)
    history.reported("NOANS", connected=False, right_party=False, person="per_4", times=4)
    # A clearance that was not used is no attempt; an activity about a cleared call is the same attempt told twice.
    history.reported("NOANS", connected=False, right_party=False, person="per_9", outcome="not_made")
    retold: dict[str, Any] = {"activity": "act_1", "action": "call", "result": "RPC-PTP", "org": AGENCY}
    retold |= {"attempt": True, "connect": True, "right_party": True, "contact": "msg_1", "person": "per_1"}
    history.add(EventType.ACTIVITY_RECORDED, retold)
    history.sent(person="per_5", times=5)
    overtaken = {**CONTACT, "channel": "email", "person": "per_5"}
    history.add(EventType.CONTACT_DELIVERED, {**overtaken, "from": "sending"})
    history.add(EventType.CONTACT_DELIVERED, {**CONTACT, "person": "per_5", "from": "sent"})
    history.add(EventType.INBOUND_RECEIVED, {"person": "per_5", "channel": "sms", "keyword": None}, stream="per_5")
    history.add(EventType.INBOUND_RECEIVED, {"person": "per_4", "channel": "sms", "keyword": "stop"}, stream="per_4")
    history.decided("allow", times=14).decided("defer", "cn.hours", times=2).decided("defer", "cn.cap", "cn.hours")
    history.decided("review", "cn.third_party").decided("deny", "cn.cap", times=2)
    history.add(EventType.COMPLAINT_RECEIVED, {"complaint": "cmp_1", "category": "tone", "agency": AGENCY})
    # Two are raised, one is confirmed, and the other waits for a second person.
    history.add(EventType.RISK_EVENT_RAISED, {"rule": "cn.cap", "severity": "high", "agency": AGENCY}, times=2)
    history.add(EventType.RISK_EVENT_CONFIRMED, {"severity": "high", "points": 10, "agency": AGENCY})
    return history


# Random events

_agencies = st.sampled_from([AGENCY, "agency-b"])
_surveys = st.sampled_from(["srv_1", "srv_2"])
_persons = st.sampled_from([f"per_{number}" for number in range(4)])
_currencies = st.sampled_from(["CNY", "USD"])
_minor = st.integers(1, 10**9)
_rules = st.sets(st.sampled_from(["cn.hours", "cn.cap", "house:late.hour"]), min_size=1)
_orgs = st.sampled_from([AGENCY, "agency-b", LENDER])
_instants = st.builds(
    "2026-{:02d}-{:02d}T{:02d}:{:02d}:{:02d}.{:03d}Z".format,
    st.sampled_from([11, 12]),
    st.integers(1, 30),
    st.integers(0, 23),
    st.integers(0, 59),
    st.integers(0, 59),
    st.integers(0, 999),
)


def _contact(**more: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            "contact": st.just("msg_1"),
            "channel": st.sampled_from(["sms", "email", "call", "visit"]),
            "person": _persons,
            "org": _orgs,
            "collector": _collectors,
            **more,
        }
    )


_money = st.fixed_dictionaries({"amount_minor": _minor, "currency": _currencies, "agency": _agencies})
_payments = st.sampled_from([f"pay_{number}" for number in range(4)])
_payment = st.fixed_dictionaries(
    {
        "amount_minor": _minor,
        "applied_minor": _minor,
        "currency": _currencies,
        "agency": _agencies,
        "payment": _payments,
        "received_on": st.sampled_from(["2026-11-20", "2026-11-24", "2026-11-30", "2026-12-02"]),
        "reversal_of": _payments,
        "commissionable": st.booleans(),
    }
)
_promise = st.fixed_dictionaries(
    {
        "amount_minor": _minor,
        "paid_minor": st.integers(0, 500),
        "currency": st.just("CNY"),
        "agency": _agencies,
        "promise": st.sampled_from(["ptp_1", "ptp_2"]),
    }
)
_collectors = st.sampled_from([None, "col-1", "col-2"])
_duty = st.fixed_dictionaries(
    {
        "duty": st.sampled_from(["duty_1", "duty_2", "duty_3"]),
        "duty_kind": st.sampled_from(
            ["complaint_answer", "complaint_first_reply", "feedback_answer", "validation_notice"]
        ),
        "subject": st.sampled_from(["cmp_1", "cmp_2"]),
        "agency": st.sampled_from([None, AGENCY]),
        "late": st.booleans(),
        "done_at": _instants,
    }
)
_result = st.sampled_from(["NOANS", "RPC-PTP", "RPC-PLAN", "RPC-NEG"])

DATA: Mapping[EventType, st.SearchStrategy[dict[str, Any]]] = {
    EventType.CASE_CHANGED: st.fixed_dictionaries(
        {"to": st.sampled_from(["in_work", "settled", "recalled", "legal"]), "agency": _agencies}
    ),
    EventType.CASE_ASSIGNED: st.fixed_dictionaries(
        {"placed_minor": _minor, "currency": _currencies, "agency": _agencies}
    ),
    EventType.PAYMENT_POSTED: _payment,
    EventType.PAYMENT_REVERSED: _payment,
    EventType.PROMISE_MADE: _money,
    EventType.PROMISE_KEPT: st.builds(
        lambda data, was: {**data, "was": was}, _promise, st.sampled_from(["open", "broken"])
    ),
    EventType.PROMISE_BROKEN: st.builds(
        lambda data, was: {**data, "was": was}, _promise, st.sampled_from(["open", "kept"])
    ),
    EventType.CONTACT_REQUESTED: st.one_of(_contact(), _contact(strategy=st.sampled_from([None, "early@1", "late@2"]))),
    EventType.PLAN_STEP_SETTLED: st.fixed_dictionaries(
        {"strategy": st.sampled_from([None, "early", "late"]), "number": st.sampled_from([1, 2])}
    ),
    EventType.CONTACT_CLAIMED: _contact(),
    EventType.CONTACT_DECIDED: _contact(),
    EventType.CONTACT_SENT: _contact(),
    EventType.CONTACT_UNKNOWN: _contact(),
    EventType.CONTACT_DELIVERED: _contact(**{"from": st.sampled_from(["sending", "sent", "unknown"])}),
    EventType.CONTACT_FAILED: _contact(**{"from": st.sampled_from(["sending", "sent", "unknown", "delivered"])}),
    EventType.CONTACT_REPORTED: _contact(
        outcome=st.sampled_from(["conversation", "no_answer", "not_made"]),
        result=_result,
        connected=st.booleans(),
        right_party=st.booleans(),
    ),
    EventType.ACTIVITY_RECORDED: st.fixed_dictionaries(
        {
            "action": st.sampled_from(["call", "visit", "wechat"]),
            "result": _result,
            "attempt": st.booleans(),
            "connect": st.booleans(),
            "right_party": st.booleans(),
            "contact": st.sampled_from([None, "msg_1"]),
            "person": _persons,
            "org": _orgs,
            "collector": _collectors,
        }
    ),
    EventType.HOLD_PLACED: st.fixed_dictionaries({"kind": st.sampled_from(["dispute", "death"]), "agency": _agencies}),
    EventType.HOLD_RELEASED: st.fixed_dictionaries(
        {"kind": st.sampled_from(["dispute", "death"]), "agency": _agencies}
    ),
    EventType.DUTY_OPENED: _duty,
    EventType.DUTY_FULFILLED: _duty,
    EventType.DUTY_LAPSED: _duty,
    EventType.DUTY_WAIVED: _duty,
    EventType.INBOUND_RECEIVED: st.fixed_dictionaries(
        {"person": _persons, "channel": st.just("sms"), "keyword": st.sampled_from([None, "stop", "STOP", "paid"])}
    ),
    EventType.TRAINING_CREDITED: st.fixed_dictionaries(
        {"minutes": st.integers(0, 480), "agency": _agencies, "collector": st.sampled_from(["col-1", "col-2"])}
    ),
    EventType.COLLECTOR_REGISTERED: st.fixed_dictionaries(
        {"org": _orgs, "collector": st.sampled_from(["col-1", "col-2"]), "left": st.booleans()}
    ),
    EventType.EXAM_MARKED: st.fixed_dictionaries(
        {
            "exam_attempt": st.integers(1, 3),
            "passed": st.booleans(),
            "agency": _agencies,
            "collector": st.sampled_from(["col-1", "col-2"]),
        }
    ),
    EventType.COMPLAINT_RECEIVED: st.fixed_dictionaries({"agency": st.sampled_from([None, AGENCY])}),
    EventType.FEEDBACK_RECEIVED: st.fixed_dictionaries(
        {
            "score": st.sampled_from([None, 1, 3, 4, 5]),
            "channel": st.sampled_from([None, "sms", "call"]),
            "agency": st.sampled_from([None, AGENCY]),
        }
    ),
    EventType.RISK_EVENT_RAISED: st.fixed_dictionaries({"agency": st.sampled_from([None, AGENCY])}),
    EventType.RISK_EVENT_CONFIRMED: st.fixed_dictionaries(
        {"agency": st.sampled_from([None, AGENCY]), "points": st.integers(1, 25)}
    ),
    EventType.RISK_EVENT_DISMISSED: st.fixed_dictionaries({"agency": st.sampled_from([None, AGENCY])}),
    EventType.QUALITY_CHECKED: st.fixed_dictionaries({"agency": _agencies, "faultless": st.booleans()}),
    EventType.SURVEY_SENT: st.fixed_dictionaries(
        {"survey": _surveys, "channel": st.sampled_from(["sms", "email"]), "agency": _agencies}
    ),
    EventType.SURVEY_ANSWERED: st.fixed_dictionaries(
        {"survey": _surveys, "score": st.integers(1, 5), "counted": st.booleans(), "agency": _agencies}
    ),
    EventType.SURVEY_ENDED: st.fixed_dictionaries({"survey": _surveys, "was_sent": st.booleans(), "agency": _agencies}),
}
"""How each type of event that a figure may rest on looks."""


_placed = st.fixed_dictionaries(
    {
        "placed_minor": _minor,
        "currency": _currencies,
        "stage": st.sampled_from(["M1", "M3"]),
        "region": st.sampled_from([None, "CN-31"]),
        "portfolio": st.sampled_from(["pf_1", "pf_2"]),
    }
)


@st.composite
def histories(draw: st.DrawFn, most: int = 40) -> History:
    """Return a history of random events on a few streams; two are of cases, which begin with their placement."""
    history = History()
    for case in ("case_1", "case_2"):
        history.add(EventType.CASE_PLACED, draw(_placed), at=draw(_instants), stream=case)
    for _ in range(draw(st.integers(0, most))):
        event_type = draw(st.sampled_from(sorted(DATA)))
        decision = None
        if event_type is EventType.CONTACT_DECIDED:
            outcome = draw(st.sampled_from(["allow", "defer", "review", "deny"]))
            decision = {"outcome": outcome, "reasons": sorted(draw(_rules))}
        stream = draw(st.sampled_from(["case_1", "case_2", "per_1"]))
        history.add(event_type, draw(DATA[event_type]), at=draw(_instants), stream=stream, decision=decision)
    return history


# An archive on disk


def write_archive(directory: Path, history: History, *, checkpoint: bool = True) -> Path:
    """Write the history as the entry bundles of one log below ``directory`` and return the log's directory."""
    return write_log(directory, history.tenant, history.events, checkpoint=checkpoint)
