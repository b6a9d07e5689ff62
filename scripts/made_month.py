"""A month of a lender's events, made from a seed: cases, contacts, promises, money, complaints, answers.

Everything in it is generated; nobody exists. Payments are booked days after they were received, some are taken back,
answers come late or not at all. What a payment came to is also kept in a plain ledger, for figures to be tied to.
"""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from chalicelib.domain.events import Actor, Event, EventType
from chalicelib.domain.instants import to_text

LENDER, ZONE = "len-made", "Asia/Shanghai"
AGENCIES = {"agy-one": ("col-1", "col-2", "col-3"), "agy-two": ("col-4", "col-5")}
FIRST = datetime(2026, 10, 31, 17, 0, tzinfo=UTC)
"""01:00 of 1 November in Shanghai."""

DAYS = 30
_ACTOR = Actor("system", "made-month", "none")
_RESULTS = ("NOANS", "BUSY", "MSG3P", "RPC-PTP", "RPC-PLAN", "RPC-NEG", "RPC-REF")


@dataclass(slots=True)
class Month:
    """The events in the order in which they were written, and what the lender's own ledger says of the money."""

    events: list[Event] = field(default_factory=list)
    ledger: dict[str, int] = field(default_factory=dict)

    def streams(self) -> dict[str, list[Event]]:
        """Return the events by stream, each in its order."""
        found: dict[str, list[Event]] = {}
        for event in self.events:
            found.setdefault(event.stream, []).append(event)
        return found


class _Maker:
    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.dice = random.Random(seed)
        self.month = Month()
        self._seq: dict[str, int] = {}
        self._made: list[tuple[datetime, str, EventType, dict[str, Any], dict[str, Any] | None]] = []

    def at(self, instant: datetime, stream: str, kind: EventType, data: dict[str, Any], **more: Any) -> None:
        self._made.append((instant, stream, kind, data, more.get("decision")))

    def write(self) -> Month:
        """Put what was made into the order of its instants and number each stream."""
        for number, (instant, stream, kind, data, decision) in enumerate(sorted(self._made, key=lambda each: each[0])):
            seq = self._seq[stream] = self._seq.get(stream, 0) + 1
            event = Event(
                id=f"evt_{number:07d}",
                type=kind,
                at=to_text(instant),
                tenant=LENDER,
                stream=stream,
                seq=seq,
                prev=None if seq == 1 else "0" * 64,
                actor=_ACTOR,
                req="req_made",
                data=data,
                decision=decision,
            )
            self.month.events.append(event)
        return self.month


def a_month(seed: int, *, cases: int = 40) -> Month:
    """Return a month with so many cases; the same seed gives the same month."""
    made = _Maker(seed)
    made.at(FIRST - timedelta(hours=1), LENDER, EventType.LENDER_REGISTERED, {"lender": LENDER, "zone": ZONE})
    for number in range(cases):
        _a_case(made, f"case_{number:06d}", f"per_{number * 2 // 3:06d}")
    return made.write()


def _a_case(made: _Maker, case: str, person: str) -> None:
    dice = made.dice
    china = dice.random() < 0.7
    currency, stages = ("CNY", ("M1", "M2", "M3", "M7")) if china else ("USD", ("1-29", "30-59", "120+"))
    placed = dice.randrange(50_000, 5_000_000)
    begun = FIRST + timedelta(minutes=dice.randrange(0, 60 * 24 * 10))
    agency = dice.choice(sorted(AGENCIES))
    about = {"placed_minor": placed, "currency": currency}
    facts = {
        "stage": dice.choice(stages),
        "region": dice.choice(("CN-31", "CN-44")) if china else dice.choice(("US-CA", None)),
    }
    portfolio = {"portfolio": dice.choice(("pf_1", "pf_2")), "country": "CN" if china else "US"}
    contract = _contract(random.Random(f"{made.seed}|{case}"), placed)
    made.at(begun, case, EventType.CASE_PLACED, {**about, **facts, **portfolio, **contract})
    made.at(begun + timedelta(minutes=3), case, EventType.CASE_ASSIGNED, {**about, "agency": agency})
    case_of = _Case(made, case, person, agency, currency, placed)
    last = FIRST + timedelta(days=DAYS)
    now = begun + timedelta(hours=1)
    _pauses(made, random.Random(f"{made.seed}|{case}|pauses"), case, begun)
    _steps(made, random.Random(f"{made.seed}|{case}|steps"), case, begun)
    while now < last and case_of.is_open:
        now += timedelta(minutes=dice.randrange(30, 60 * 72))
        case_of.something(now)


def _pauses(made: _Maker, dice: random.Random, case: str, begun: datetime) -> None:
    """Record a deferral or freeze for some cases, back-dated often, and take some of them back."""
    if dice.random() < 0.7:
        return
    first = begun.date() + timedelta(days=dice.randrange(-20, 15))
    told = {
        "pause": f"pau_{case[5:]}",
        "pause_kind": dice.choice(("deferral", "freeze")),
        "paused_from": first.isoformat(),
        "paused_to": (first + timedelta(days=dice.randrange(0, 25))).isoformat(),
    }
    recorded = begun + timedelta(hours=dice.randrange(2, 300))
    made.at(recorded, case, EventType.PAUSE_RECORDED, told)
    if dice.random() < 0.3:
        made.at(recorded + timedelta(hours=30), case, EventType.PAUSE_CANCELLED, told)


def _steps(made: _Maker, dice: random.Random, case: str, begun: datetime) -> None:
    """Let the plans of most cases take steps: of one strategy, often of its next version later on, now and then of none."""
    if dice.random() < 0.2:
        return
    strategy, number, at = dice.choice(("early", "late")), 1, begun
    for _ in range(dice.randrange(1, 6)):
        at += timedelta(hours=dice.randrange(1, 150))
        number += dice.random() < 0.3
        followed = strategy if dice.random() < 0.9 else None
        told = {
            "strategy": followed,
            "number": None if followed is None else number,
            "path": "all",
            "plan_step": "text",
        }
        told |= {"outcome": "requested", "reason": None, "channel": "sms", "contact": None, "owner": None}
        made.at(at, case, EventType.PLAN_STEP_SETTLED, told)


def _contract(dice: random.Random, placed: int) -> dict[str, Any]:
    """Return instalments and charges that add up to what is placed: some overdue for long, some not due yet."""
    charge = placed // 50 if dice.random() < 0.4 else 0
    number = dice.randrange(1, 7)
    oldest = FIRST.date() - timedelta(days=dice.randrange(-20, 200))
    left, instalments = placed - charge, []
    for place in range(number):
        amount = left if place == number - 1 else left // (number - place)
        left -= amount
        owed = {"principal": amount - amount // 8, "interest": amount // 8}
        instalments.append({"due_on": (oldest + timedelta(days=30 * place)).isoformat(), "owed": owed})
    return {"instalments": instalments, "charges": {"late_fee": charge} if charge else {}}


@dataclass(slots=True)
class _Case:
    made: _Maker
    id: str
    person: str
    agency: str
    currency: str
    owed: int
    is_open: bool = True
    paid: list[tuple[str, int, str]] = field(default_factory=list)
    promises: list[tuple[str, int]] = field(default_factory=list)
    number: int = 0

    def name(self, prefix: str) -> str:
        self.number += 1
        return f"{prefix}_{self.id[5:]}_{self.number}"

    def something(self, now: datetime) -> None:
        """Let one thing happen."""
        kinds = (
            self.message,
            self.call,
            self.visit,
            self.promise,
            self.pay,
            self.take_back,
            self.complain,
            self.dispute,
            self.end,
        )
        self.made.dice.choices(kinds, weights=(30, 25, 5, 8, 14, 4, 3, 3, 2))[0](now)

    def contact(self, channel: str, *, human: bool) -> dict[str, Any]:
        collector = self.made.dice.choice(AGENCIES[self.agency])
        base = {"contact": self.name("msg"), "channel": channel, "person": self.person, "human": human}
        return {**base, "org": self.agency, "agency": self.agency, "collector": collector}

    def decide(self, now: datetime, contact: dict[str, Any]) -> bool:
        outcome = self.made.dice.choices(("allow", "defer", "review", "deny"), weights=(70, 15, 5, 10))[0]
        rules = [] if outcome == "allow" else sorted({f"CN-RULE-{self.made.dice.randrange(4)}" for _ in range(2)})
        ruling = {"outcome": outcome, "ruleset": "0" * 64, "reasons": rules, "inputs": "0" * 64}
        self.made.at(now, self.id, EventType.CONTACT_DECIDED, contact, decision=ruling)
        return outcome == "allow"

    def message(self, now: datetime) -> None:
        dice, contact = (
            self.made.dice,
            self.contact(self.made.dice.choice(("sms", "email", "wechat", "letter")), human=False),
        )
        if not self.decide(now, contact):
            return
        later = now + timedelta(seconds=dice.randrange(1, 200_000))
        if dice.random() < 0.85:
            self.made.at(now + timedelta(seconds=1), self.id, EventType.CONTACT_SENT, contact)
            came_from = "sent"
        else:
            self.made.at(now + timedelta(seconds=1), self.id, EventType.CONTACT_UNKNOWN, contact)
            came_from = "unknown"
        if dice.random() < 0.8:
            self.made.at(later, self.id, EventType.CONTACT_DELIVERED, {**contact, "from": came_from})
            came_from = "delivered"
        if dice.random() < 0.15:
            self.made.at(later + timedelta(hours=3), self.id, EventType.CONTACT_FAILED, {**contact, "from": came_from})
        if dice.random() < 0.1:
            keyword = dice.choice((None, "STOP", "paid"))
            told = {"person": self.person, "channel": "sms", "keyword": keyword}
            self.made.at(later + timedelta(hours=5), self.person, EventType.INBOUND_RECEIVED, told)

    def call(self, now: datetime) -> None:
        contact, result = self.contact("call", human=True), self.made.dice.choice(_RESULTS)
        if not self.decide(now, contact):
            return
        outcome = "not_made" if self.made.dice.random() < 0.1 else "conversation"
        answered, reached = result not in ("NOANS", "BUSY"), result.startswith("RPC")
        told = {**contact, "outcome": outcome, "result": result, "connected": answered, "right_party": reached}
        self.made.at(
            now + timedelta(minutes=self.made.dice.randrange(1, 900)), self.id, EventType.CONTACT_REPORTED, told
        )

    def visit(self, now: datetime) -> None:
        met = self.made.dice.random() < 0.4
        about = {
            "activity": self.name("act"),
            "action": "visit",
            "result": "RPC-NEG" if met else "NOANS",
            "contact": None,
        }
        told = {**about, "attempt": True, "connect": met, "right_party": met, "person": self.person, "org": self.agency}
        self.made.at(now, self.id, EventType.ACTIVITY_RECORDED, {**told, "collector": None, "agency": self.agency})
        risk = {
            "risk": self.name("risk"),
            "rule": "CN-VISIT-1",
            "severity": "high",
            "org": self.agency,
            "agency": self.agency,
        }
        self.made.at(now, self.id, EventType.RISK_EVENT_RAISED, {**risk, "collector": None})
        if self.made.dice.random() < 0.5:
            judged = now + timedelta(days=self.made.dice.randrange(1, 4))
            self.made.at(judged, self.id, EventType.RISK_EVENT_CONFIRMED, {**risk, "collector": None, "points": 10})

    def promise(self, now: datetime) -> None:
        dice, amount = self.made.dice, self.made.dice.randrange(1_000, 90_000)
        told = {"promise": self.name("ptp"), "amount_minor": amount, "currency": self.currency, "agency": self.agency}
        self.made.at(now, self.id, EventType.PROMISE_MADE, {**told, "paid_minor": 0})
        judged = now + timedelta(days=dice.randrange(1, 9))
        kept, was = dice.random() < 0.6, "open"
        for _ in range(dice.choices((1, 2, 3), weights=(8, 2, 1))[0]):
            paid = amount if kept else dice.choice((0, amount // 3))
            kind = EventType.PROMISE_KEPT if kept else EventType.PROMISE_BROKEN
            self.made.at(judged, self.id, kind, {**told, "paid_minor": paid, "was": was})
            was, kept, judged = ("kept" if kept else "broken"), not kept, judged + timedelta(days=dice.randrange(1, 5))

    def pay(self, now: datetime) -> None:
        dice = self.made.dice
        amount = min(self.owed, dice.randrange(5_000, 1_500_000))
        # What was received is booked up to ten days later.
        received = (now - timedelta(days=dice.randrange(0, 11))).date().isoformat()
        payment = self.name("pay")
        self.made.at(now, self.id, EventType.PAYMENT_POSTED, self._money(payment, amount, received, None))
        self._book(amount)
        self.owed -= amount
        self.paid.append((payment, amount, received))
        if self.owed == 0:
            self._over(now + timedelta(milliseconds=5), "settled")

    def take_back(self, now: datetime) -> None:
        if self.paid:
            payment, amount, received = self.paid.pop(self.made.dice.randrange(len(self.paid)))
            told = self._money(self.name("pay"), amount, received, payment)
            self.made.at(now, self.id, EventType.PAYMENT_REVERSED, told)
            self._book(-amount)
            self.owed += amount

    def _money(self, payment: str, amount: int, received: str, reversal_of: str | None) -> dict[str, Any]:
        amounts = {"amount_minor": amount, "applied_minor": amount, "currency": self.currency, "agency": self.agency}
        bearing = self.id[-1] != "3"
        whole = {"interest": amount // 3, "principal": amount - amount // 3}
        return {
            **amounts,
            "stated_split": whole if self.id[-1] == "7" else None,
            "payment": payment,
            "received_on": received,
            "reversal_of": reversal_of,
            "commissionable": bearing,
        }

    def _book(self, amount: int) -> None:
        self.made.month.ledger[self.currency] = self.made.month.ledger.get(self.currency, 0) + amount

    def complain(self, now: datetime) -> None:
        complaint = {"complaint": self.name("cmp"), "category": "inbound", "person": self.person, "agency": self.agency}
        self.made.at(now, self.person, EventType.COMPLAINT_RECEIVED, complaint)
        self._owe(now, self.person, complaint["complaint"], "complaint_first_reply")
        self._owe(now, self.person, complaint["complaint"], "complaint_acknowledgement")

    def dispute(self, now: datetime) -> None:
        hold = {
            "hold": self.name("hold"),
            "kind": "dispute",
            "person": self.person,
            "case": self.id,
            "agency": self.agency,
        }
        self.made.at(now, self.id, EventType.HOLD_PLACED, hold)
        self._owe(now, self.id, hold["hold"], "dispute_verification")
        if self.made.dice.random() < 0.6:
            self.made.at(now + timedelta(days=2), self.id, EventType.HOLD_RELEASED, hold)

    def _owe(self, now: datetime, stream: str, subject: str, kind: str) -> None:
        dice = self.made.dice
        duty = {"duty": self.name("duty"), "duty_kind": kind, "subject": subject, "agency": self.agency}
        self.made.at(now + timedelta(seconds=1), stream, EventType.DUTY_OPENED, duty)
        match dice.choice(("in time", "late", "waived", "nothing")):
            case "in time":
                at = now + timedelta(hours=dice.randrange(1, 70))
                done = {**duty, "late": False, "done_at": to_text(at)}
                self.made.at(at, stream, EventType.DUTY_FULFILLED, done)
            case "late":
                at = now + timedelta(hours=dice.randrange(80, 160))
                self.made.at(now + timedelta(hours=75), stream, EventType.DUTY_LAPSED, duty)
                self.made.at(at, stream, EventType.DUTY_FULFILLED, {**duty, "late": True, "done_at": to_text(at)})
            case "waived":
                self.made.at(now + timedelta(hours=2), stream, EventType.DUTY_WAIVED, duty)

    def end(self, now: datetime) -> None:
        self._over(now, self.made.dice.choice(("recalled", "returned", "legal", "written_off")))

    def _over(self, now: datetime, state: str) -> None:
        self.is_open = False
        told = {"from": "in_work", "to": state, "reason": "made", "agency": self.agency}
        self.made.at(now, self.id, EventType.CASE_CHANGED, told)


def deliveries(month: Month, seed: int) -> Iterator[list[Event]]:
    """Yield batches as a stream at its worst may deliver them: streams late by days, events twice, some too early.

    Each event comes at least once after those before it in its stream; whoever refuses one that came too early is given
    it again.
    """
    dice = random.Random(f"deliveries|{seed}")
    streams = month.streams()
    place = dict.fromkeys(streams, 0)
    while open_streams := [name for name, events in streams.items() if place[name] < len(events)]:
        batch: list[Event] = []
        for name in dice.sample(open_streams, min(len(open_streams), dice.randrange(1, 25))):
            events, start = streams[name], place[name]
            end = min(len(events), start + dice.randrange(1, 6))
            batch += events[max(0, start - dice.randrange(0, 4)) : end]
            if dice.random() < 0.1 and end + 1 < len(events):
                batch.append(events[end + 1])
            place[name] = end
        if dice.random() < 0.2:
            dice.shuffle(batch)
        yield batch


def span(month: Month) -> tuple[date, date]:
    """Return days (both closed) that hold every event of the month and what follows from it."""
    return FIRST.date() - timedelta(days=7), date.fromisoformat(
        max(event.at for event in month.events)[:10]
    ) + timedelta(days=40)


def write_log(directory: Path, tenant: str, events: Sequence[Event], *, checkpoint: bool = True) -> Path:
    """Write events as the entry bundles of one log below ``directory`` and return the log's directory."""
    origin = f"audit.forbear.test/{tenant}/2026"
    log = directory / tenant / "2026"
    (log / "tile" / "entries").mkdir(parents=True)
    records = [{"v": 1, "log": origin, "seq": n, "event": e.as_json()} for n, e in enumerate(events)]
    entries = [json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() for record in records]
    for start in range(0, len(entries), 256):
        bundle = entries[start : start + 256]
        name = f"{start // 256:03d}" + (f".p/{len(bundle)}" if len(bundle) < 256 else "")
        path = log / "tile" / "entries" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(len(entry).to_bytes(2, "big") + entry for entry in bundle))
    if checkpoint:
        (log / "checkpoint").write_text(f"{origin}\n{len(entries)}\nroot\n\n", encoding="utf-8")
    return log
