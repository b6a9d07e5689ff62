"""A tour through everything that the API and its workers can do to a person, with the events that each step leaves.

``tour`` takes every writing route once. One test compares the events with the table in it; another looks for the person's
data everywhere afterwards.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from chalicelib import wiring
from chalicelib.domain import keys
from chalicelib.domain.cases.case import CaseParty, Notice
from chalicelib.domain.cases.lifecycle import CaseState
from chalicelib.domain.feedback.survey_rules import RulesVersion
from chalicelib.domain.outreach.approval import Valid
from chalicelib.domain.outreach.attempt import AttemptState
from chalicelib.domain.outreach.carrying import Accepted
from chalicelib.domain.outreach.provider_events import ProviderEvent
from chalicelib.domain.people.person import Residence
from chalicelib.domain.risk.quality import QualityPlan, check_id
from chalicelib.domain.risk.quality import standards as quality_standards
from chalicelib.store.feed_repository import FeedRepository
from chalicelib.store.portfolio_repository import PortfolioRepository
from chalicelib.store.repository import Store
from chalicelib.store.survey_repository import SurveyRepository
from chalicelib.store.tables import Record, View
from chalicelib.usecases import (
    archive,
    archive_exports,
    compliance,
    dispatch,
    duties,
    feedback,
    feeds,
    portfolios,
    quality,
    statements,
    trainings,
)
from chalicelib.usecases import provider_events as carriers_word
from scripts.sample import document
from tests.builders import (
    AGENCY,
    COLLECTOR,
    LENDER,
    Scope,
    a_case,
    a_collector,
    a_course,
    a_lender,
    a_person,
    a_point,
    a_strategy,
    an_agency,
    approved,
    stored,
)
from tests.flows.test_cases_api import Api, body_of
from tests.flows.test_house_rules import DRAFT as HOUSE_RULES
from tests.flows.test_organisations_api import AGENCY_BODY, CERTIFICATE, LENDER_BODY
from tests.flows.test_simulations import WISH as SIMULATION
from tests.flows.test_templates_api import CONTENT

SCOPE = Scope(LENDER)
HOLDOUT = {
    "metric": "paid",
    "horizon_days": 30,
    "baseline": 2_500,
    "arms": [
        {"name": "champion", "role": "champion", "share": 8_000, "strategy": "early@1"},
        {"name": "holdout", "role": "holdout", "share": 2_000},
    ],
}
AT = "2026-11-23T01:30:00Z"


@dataclass(frozen=True)
class Who:
    """A person as they are known: each value is one that must never show where it is not meant to."""

    number: int
    name: str
    mobile: str
    national_id: str
    email: str
    wechat: str
    address: str
    contract_no: str
    vin: str
    plate: str
    note: str

    @property
    def id(self) -> str:
        """Return the person's id."""
        return f"per_{self.number}"

    def case(self, letter: str) -> str:
        """Return the id of one of their cases."""
        return f"case_{self.number}{letter}"


def a_canary(number: int) -> Who:
    """Return a person whose values all hold a marker that stands nowhere else."""
    return Who(
        number=number,
        name=f"鸢鸑{chr(0x4E00 + number % 5_000)}",
        mobile=f"+861990199{number:04d}",
        national_id=f"31010119901991{number:04d}",
        email=f"kanarienvogel{number}@mail.test",
        wechat=f"wx_kanarienvogel{number}",
        address=f"上海市鸢鸑路{number}号",
        contract_no=f"KANARIENVOGEL-{number:05d}",
        vin=f"KANARIENVOG{number:06d}",
        plate=f"沪A鸢鸑{number % 100:02d}",
        note=f"貔貅 papageientaucher{number}: 亲笔的话",
    )


VALUES = ("鸢鸑", "kanarienvogel", "KANARIENVOG", "1990199", "31010119901991")
"""What every value of a canary holds. No mask shows one of them."""

MARKERS = (*VALUES, "貔貅", "papageientaucher")
"""These, and what every word holds that somebody wrote about a canary."""


def settle_in(store: Store, who: Who) -> None:
    """Store the person with five cases, as portfolios would leave them."""
    points = tuple(
        a_point(id=f"pt_{kind}", kind=kind, value=value)
        for kind, value in (
            ("mobile", who.mobile),
            ("email", who.email),
            ("wechat", who.wechat),
            ("address", who.address),
        )
    )
    person = a_person(id=who.id, name=who.name, name_local=who.name, national_id=who.national_id, points=points)
    stored(store, person)
    told = {
        "contract_no": who.contract_no,
        "parties": (CaseParty(person=who.id, role="debtor"),),
        "vehicles": ({"vin": who.vin, "plate": who.plate},),
        "notices": (Notice(kind="outsourcing_notice", at="2026-11-01T02:00:00Z", party=who.id),),
    }
    letters = "abcde"
    for letter in letters:
        over = {"state": CaseState.SETTLED, "amount_due_minor": 0} if letter == "e" else {}
        stored(store, a_case(id=who.case(letter), account=f"acct-{who.number}{letter}", **told, **over))
    repository = PortfolioRepository(store)
    repository.write_points(SCOPE, [person])
    repository.write_parties(SCOPE, [(who.id, who.case(letter)) for letter in letters])
    cases = store.cases(SCOPE, [who.case(letter) for letter in letters])
    rows = [feeds.row_of(case, seq=0, org=None) for case in cases.values()]
    FeedRepository().put_lender_rows(rows)
    for case in cases.values():
        row = feeds.row_of(case, seq=0, org=AGENCY).as_json()
        View(f"A#{AGENCY}#CASES", case.id, s=case.state.value, d=json.dumps(row)).save()


def furnish(store: Store) -> None:
    """Store the lender, its agency and the agency's collector."""
    stored(store, a_lender(), an_agency(), a_collector(), *approved("cn-sms-demand", "cn-call-demand"))
    stored(store, *approved("cn-sms-survey"))
    asking = {"occasions": ({"trigger": "promise_kept", "share_permille": 1_000, "wait_hours": 720},)}
    asking |= {"texts": ({"channel": "sms", "language": "zh", "template": "cn-sms-survey"},)}
    drafted = {"author": "ops-1", "drafted_at": "2026-01-01T00:00:00.000Z", "state": "approved"}
    rules = RulesVersion(number=1, rules=asking, effective_from="2026-01-02T00:00:00.000Z", **drafted)  # type: ignore[arg-type]
    SurveyRepository().rules_record(SCOPE, rules).save()
    plan = QualityPlan(agency=AGENCY, shares={"sms": 1_000}, version=1)
    pk, sk = keys.tenant_pk(LENDER), keys.quality_plan_sk(AGENCY)
    store.plain_record(pk, sk, plan, version=1).save()
    australian = a_person(
        id="per_australia", residences=(Residence(country="AU", region="AU-NSW"),), zones=("Australia/Sydney",)
    )
    parties = (CaseParty(person="per_australia", role="debtor"),)
    stored(store, australian, a_case(id="case_australia", account="acct-australia", parties=parties))
    FeedRepository().listing_record(LENDER, an_agency()).save()
    store.lender_row(SCOPE, version=1).save()
    FeedRepository().load_record(LENDER, AGENCY, 0)[0].save()


@dataclass(frozen=True)
class Step:
    """One command: a route with its caller, or a worker (no route). ``events`` are all that it may leave, in order."""

    route: str
    token: str
    path: str
    body: Any
    events: tuple[str, ...]
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    run: Callable[[], Any] | None = None


class Doubting:
    """An engine that leaves every contact to a reviewer, on the rule sets of the real one."""

    def rule(self, dossier: Any, house: Any = ()) -> dict[str, Any]:
        """Return the law's ruling with one rule that asks for a review."""
        doubt = {"id": "CN-HOURS-1", "effect": "review", "citation": "none", "grade": "house", "confidence": "source"}
        doubt |= {"observed": [], "limit": [], "until": None, "because": "made to be reviewed"}
        return {**wiring.engine().rule(dossier, house), "verdict": "review", "rules": [doubt]}

    def rule_set(self, ruling: Any) -> Any:
        """Return the real engine's rule set."""
        return wiring.engine().rule_set(ruling)


class Tour:
    """Takes the steps over one API and remembers what they made."""

    def __init__(self, api: Api, store: Store, clock: Any) -> None:
        """Take the API behind its test client, its store, and the business clock."""
        self.api, self.store, self.clock = api, store, clock
        self.last: Any = None
        self.location = ""

    def take(self, step: Step) -> list[str]:
        """Run a step and return the types of the events that it left, in the order of their streams and numbers."""
        before = self.heads()
        self.go(step)
        return [kind for at, kind in sorted(self.heads().items()) if at not in before]

    def go(self, step: Step) -> None:
        """Run a step; ``last`` is its answer, ``location`` where the answer says that what it made is."""
        if step.run is not None:
            step.run()
            return
        method, _, _ = step.route.partition(" ")
        told = {name.replace("-", "_"): value for name, value in step.headers}
        response = self.api.call(step.token, method, step.path, step.body, **told)
        assert response.status_code == step.status, (step.route, response.status_code, response.body)
        self.last = body_of(response) if response.body else None
        self.location = response.headers.get("Location", "")

    def heads(self) -> dict[tuple[str, str], str]:
        """Return the type of every event there is, by its key; a client's first request of a day is left out."""
        found = {(item.pk, item.sk): item.s for item in Record.scan(Record.sk.startswith("EV#"))}
        return {at: kind for at, kind in found.items() if kind != "client.admitted"}

    def duties(self, person: str) -> list[dict[str, Any]]:
        """Return the open duties about a person, as the lender's officers read them, page by page."""
        found, cursor = [], ""
        while cursor is not None:
            page = body_of(self.api.get("officer", f"/v1/duties?limit=100{cursor and f'&cursor={cursor}'}"))
            found += [duty for duty in page["items"] if duty["person"] == person]
            cursor = page["next_cursor"]
        return found

    # Workers

    def follow_feedback(self, person: str) -> None:
        """Let the projection open the feedback that the person's complaint is."""
        events = self.store.events(SCOPE, keys.person_pk(LENDER, person))
        heard = [event for event in events if event.type.value == "complaint.received"]
        told: dict[str, Any] = {"scope_for": Scope, "now": self.clock.now}
        assert feedback.project_feedback(wiring.feedback_ports(), heard, **told) == []

    def draw_quality(self, who: Who) -> None:
        """Let the projection draw what the person was called and written about, and look at it by machine."""
        events = [event for case in "ac" for event in self.store.events(SCOPE, keys.case_pk(LENDER, who.case(case)))]
        heard = [event for event in events if event.type.value in ("contact.sent", "contact.reported")]
        assert quality.project_quality(wiring.quality_ports(), heard, scope_for=Scope) == []

    def open_duties(self, person: str) -> None:
        """Let the projection open the duties that the person's complaint calls for."""
        events = self.store.events(SCOPE, keys.person_pk(LENDER, person))
        heard = [event for event in events if event.type.value == "complaint.received"]
        ports = wiring.duty_ports()
        assert duties.project_duties(ports, heard, scope_for=Scope, now=self.clock.now) == []

    def check(self, message: str, engine: Any = None) -> None:
        """Let the compliance function rule on a message, by the law or by another engine."""
        done = compliance.check(
            self.store,
            engine or wiring.engine(),
            wiring.approval_signer(),
            SCOPE,
            message,
            clock=lambda: self.clock.now,
            refresh=wiring.refresh_content,
            req="req_worker",
        )
        assert not isinstance(done, compliance.Skipped), done
        assert done.state is (AttemptState.APPROVED if engine is None else AttemptState.IN_REVIEW), done.state

    def send(self, message: str) -> None:
        """Let the dispatcher hand a message to a carrier that takes it."""
        carrier = SimpleNamespace(send=lambda outbound: Accepted("sns", f"sns-{message}"))
        verified: Callable[..., Valid] = lambda approval, **expected: Valid()  # noqa: E731
        told: dict[str, Any] = {"clock": lambda: self.clock.now, "req": "req_worker"}
        dispatch.dispatch(self.store, {"sms": carrier}, verified, SCOPE, message, **told)

    def hear(self, event: ProviderEvent) -> None:
        """Let a carrier's word in."""
        told: dict[str, Any] = {"clock": lambda: self.clock.now, "req": "req_worker"}
        if event.contact is not None:
            carriers_word.settle_delivery(self.store, SCOPE, event, **told)
        else:
            carriers_word.receive(self.store, SCOPE, event, channel="sms", kind="mobile", **told)

    def load(self, portfolio: str) -> None:
        """Let the loaders take a portfolio in whose rows came with the request."""
        ports = wiring.portfolio_ports()
        known = portfolios.get_portfolio(ports, SCOPE, portfolio)
        told: dict[str, Any] = {"now": self.clock.now, "req": "req_worker"}
        portfolios.start_portfolio(ports, SCOPE, portfolio, key=known.key, version=None, **told)
        portfolios.load_chunk(ports, {"tenant": LENDER, "portfolio": portfolio, "chunk": 0}, **told)

    def state_month(self) -> None:
        """Let a payment of last month be entered, and the statement of that month be made."""
        row = {
            "type": "payment.posted",
            "case": "case_australia",
            "at": "2026-10-20T02:00:00.000Z",
            "payment": "pay_tour",
        }
        row |= {
            "amount_minor": 1_000,
            "currency": "CNY",
            "received_on": "2026-10-20",
            "placement_stage": 1,
            "bucket": "M1",
        }
        row |= {
            "product": "direct_loan",
            "placed_to": "2027-02-01",
            "left_on": None,
            "commissionable": True,
            "method": None,
        }
        ports = wiring.statement_ports()
        ports.money.enter(LENDER, "2026-10", AGENCY, "case_australia", 1, row)
        assert statements.make_due_statements(ports, [LENDER], self.clock.now) == 1

    def archive(self) -> None:
        """Let the archiver publish a log with what happened to the lender itself."""
        events = self.store.events(SCOPE, keys.org_pk(LENDER, LENDER))
        assert events and archive.enqueue_events(wiring.audit_repository(), events) == []
        archive.run_archive(wiring.archive_ports(), now=self.clock.now)

    def export(self, export: str) -> None:
        """Let the worker pack an export as far as it can."""
        body = {"tenant": LENDER, "export": export}
        told: dict[str, Any] = {"clock": lambda: self.clock.now, "seconds_left": lambda: 100.0, "req": "req_worker"}
        ports = replace(wiring.export_ports(), scope_for=Scope)
        archive_exports.work(ports, body, **told)
        archive_exports.project(ports.exports, self.store.events(SCOPE, keys.audit_export_pk(LENDER, export)))

    def sign_exports(self) -> None:
        """Let the archiver sign the manifests that wait for it."""
        ports = replace(wiring.export_ports(), scope_for=Scope)
        archive_exports.sign_manifests(ports, wiring.archive_ports().signers, now=self.clock.now, req="req_worker")


def worker(name: str, run: Callable[[], Any], *events: str) -> Step:
    """Return a step of a worker."""
    return Step(f"worker {name}", "", "", None, events, run=run)


def tour(trip: Tour, who: Who) -> Iterator[Step]:
    """Yield the steps that concern one person; each is made from what the ones before it left."""
    a, b, c, d = (f"/v1/cases/{who.case(letter)}" for letter in "abcd")

    def step(route: str, token: str, path: str, body: Any, *events: str, status: int = 200) -> Step:
        return Step(route, token, path, body, events, status)

    case = "POST /v1/cases/{case_id}"
    wish = {"channel": "sms", "template": "cn-sms-demand"}
    yield step(f"{case}/messages", "collector", f"{a}/messages", wish, "contact.requested", status=202)
    message = trip.last["id"]
    yield worker("check_compliance", lambda: trip.check(message), "contact.decided")
    yield worker("dispatch_messages", lambda: trip.send(message), "contact.claimed", "contact.sent")
    delivered = ProviderEvent("delivered", "sns", f"d-{who.number}", contact=message, provider_id=f"sns-{message}")
    yield worker("settle_provider_events", lambda: trip.hear(delivered), "contact.delivered")
    yield step(f"{case}/messages", "collector", f"{b}/messages", wish, "contact.requested", status=202)
    yield step(
        "POST /v1/messages/{message_id}/cancellation",
        "agency",
        f"/v1/messages/{trip.last['id']}/cancellation",
        None,
        "contact.cancelled",
    )
    yield step(f"{case}/messages", "collector", f"{d}/messages", wish, "contact.requested", status=202)
    doubtful = trip.last["id"]
    yield worker("check_compliance", lambda: trip.check(doubtful, Doubting()), "contact.decided")
    review = {"decision": "deny", "reason": who.note}
    path = f"/v1/messages/{doubtful}/review"
    yield step("POST /v1/messages/{message_id}/review", "officer", path, review, "contact.cancelled")
    call = {"channel": "call", "recorded": True, "template": "cn-call-demand"}
    yield step(f"{case}/clearances", "collector", f"{c}/clearances", call, "contact.requested", status=202)
    cleared = trip.last["id"]
    yield worker("check_compliance", lambda: trip.check(cleared), "contact.decided")
    outcome = {"result": "RPC-PTP", "attempted_at": trip.clock.now.isoformat(), "note": who.note}
    path = f"/v1/messages/{cleared}/outcome"
    yield step("POST /v1/messages/{message_id}/outcome", "agency", path, outcome, "contact.reported")
    said = {"code": "NOANS", "channel": "call", "at": AT, "note": who.note}
    yield step(
        f"{case}/activities", "agency", f"{a}/activities", said, "activity.recorded", "risk_event.raised", status=201
    )
    promised = {"amount_minor": 100, "currency": "CNY", "due_on": "2026-11-25"}
    yield step(
        f"{case}/promises",
        "agency",
        f"{a}/promises",
        promised,
        "case.changed",
        "promise.made",
        "hold.placed",
        status=201,
    )
    paid = {"amount_minor": 100, "currency": "CNY", "received_on": "2026-11-23"}
    yield step(
        f"{case}/payments",
        "lender",
        f"{a}/payments",
        paid,
        "payment.posted",
        "promise.kept",
        "hold.released",
        "case.changed",
        status=201,
    )
    path = f"{a}/payments/{trip.last['id']}/reversal"
    yield step(
        f"{case}/payments/{{payment_id}}/reversal",
        "lender",
        path,
        {"received_on": "2026-11-23"},
        "payment.reversed",
        status=201,
    )
    paused = {"kind": "freeze", "paused_from": "2026-11-01", "paused_to": "2026-11-05", "reason": who.note}
    yield step(f"{case}/pauses", "lender", f"{a}/pauses", paused, "pause.recorded", status=201)
    path = f"{a}/pauses/{trip.last['id']}/cancellation"
    route = f"{case}/pauses/{{pause_id}}/cancellation"
    yield step(route, "lender", path, {"reason": who.note}, "pause.cancelled")
    signed = {"kind": "acknowledgement", "on": "2026-11-20", "proof": "signed", "sha256": "ab" * 32}
    route = f"{case}/limitation/entries"
    yield step(route, "counsel", f"{a}/limitation/entries", signed, "limitation.recorded", status=201)
    yield step(f"{case}/litigation", "lender", f"{a}/litigation", {"urgent": True}, "litigation.opened", status=201)
    suit, path = "POST /v1/litigation/{matter_id}", f"/v1/litigation/{trip.last['id']}"
    contract = {"kind": "loan_contract", "sha256": "cd" * 32, "storage": "vault/contract.pdf"}
    yield step(f"{suit}/documents", "counsel", f"{path}/documents", contract, "litigation.document_filed", status=201)
    paid = {"event": "pay_cost", "on": "2026-11-20", "amount_minor": 5_000, "cost_kind": "court_fee"}
    paid |= {"docket_no": f"沪0104民初{who.number}号", "note": who.note}
    yield step(f"{suit}/events", "counsel", f"{path}/events", paid, "litigation.changed", status=201)
    held = {"kind": "hardship", "reason": who.note}
    yield step(f"{case}/holds", "agency", f"{a}/holds", held, "hold.placed", "case.changed", status=201)
    path = f"{a}/holds/{trip.last['id']}/release"
    yield step(
        f"{case}/holds/{{hold_id}}/release", "lender", path, {"reason": who.note}, "hold.released", "case.changed"
    )
    yield step(
        f"{case}/progress",
        "agency",
        f"{a}/progress",
        {"event": "dispute", "reason": "RPC-DISP"},
        "hold.placed",
        "case.changed",
    )
    yield step(f"{case}/recall", "lender", f"{b}/recall", {"reason": "RECALLED"}, "case.changed")
    objection = {"code": "PROMISE_PENDING", "reason": who.note}
    yield step(
        f"{case}/recall/objection", "agency", f"{b}/recall/objection", objection, "case.changed", "activity.recorded"
    )
    yield step(f"{case}/return", "agency", f"{c}/return", {"reason": "SKIP"}, "case.changed")
    yield step(
        f"{case}/transitions", "lender", f"{d}/transitions", {"event": "settle", "reason": "PAID"}, "case.changed"
    )
    stop = ProviderEvent("inbound", "sns", f"in-{who.number}", recipient=who.mobile, text="STOP")
    yield worker("settle_provider_events", lambda: trip.hear(stop), "inbound.received", "consent.changed")
    said_so = ProviderEvent("inbound", "sns", f"in2-{who.number}", recipient=who.mobile, text=f"我要投诉 {who.note}")
    yield worker("settle_provider_events", lambda: trip.hear(said_so), "inbound.received", "complaint.received")
    yield worker("project_events", lambda: trip.open_duties(who.id), *["duty.opened"] * 4, "duty.fulfilled")
    yield worker("project_events", lambda: trip.follow_feedback(who.id), "feedback.received")
    owed = {duty["kind"]: f"/v1/duties/{duty['id']}" for duty in trip.duties(who.id)}
    done = {
        "at": trip.clock.now.isoformat(),
        "evidence": "letter",
        "reference": "RR1",
        "sha256": "ab" * 32,
        "note": who.note,
    }
    route, path = "POST /v1/duties/{duty_id}", owed["complaint_answer"]
    longer = {"extension": "complex", "reason": who.note}
    yield step(f"{route}/extension", "officer", f"{path}/extension", longer, "duty.extended")
    yield step(f"{route}/waiver", "officer", f"{path}/waiver", {"reason": who.note}, "duty.waived")
    path = owed["complaint_first_reply"]
    yield step(f"{route}/fulfilments", "lender", f"{path}/fulfilments", done, "duty.fulfilled", status=201)
    yield from _feedback_steps(trip, who, step)
    yield from _risk_steps(trip, who, step)
    yield from _quality_steps(trip, who, step, message, cleared)
    seen = {"field": "national_id", "reason": "verify_identity", "text": who.note}
    # Nobody sees more than twenty values a day.
    one_of_two = ("officer", "officer-2")[who.number % 2]
    yield step(f"{case}/unmaskings", one_of_two, f"{a}/unmaskings", seen, "person.unmasked", status=201)
    yield from _customer_steps(trip, who, step)
    asked = {"requested_by": "person", "identity_check": "file-1"}
    person = "POST /v1/persons/{person_id}"
    yield step(f"{person}/exports", "officer", f"/v1/persons/{who.id}/exports", asked, "person.exported", status=202)
    paused = {"decision": "pause", "until": "2026-12-31", "reason": who.note}
    route = "POST /v1/cases/{case_id}/plan/overrides"
    yield step(route, "lender", f"/v1/cases/{who.case('b')}/plan/overrides", paused, "plan.overridden", status=201)
    held, route = {"reason": "litigation", "matter": "case-1"}, f"{person}/legal-holds"
    path = f"/v1/persons/{who.id}/legal-holds"
    yield step(route, "counsel", path, held, "person.hold_placed", status=201)
    path = f"{path}/{trip.last['id']}/release"
    yield step(f"{route}/{{hold_id}}/release", "counsel", path, None, "person.hold_released")
    erase = {"reason": "purpose_met", "requested_by": "person", "identity_check": "file-2"}
    path = f"/v1/persons/{who.id}/erasure-requests"
    yield step(f"{person}/erasure-requests", "officer", path, erase, "erasure.requested", "erasure.decided", status=202)


def _feedback_steps(trip: Tour, who: Who, step: Callable[..., Step]) -> Iterator[Step]:
    route, words = "POST /v1/feedback", {"text": who.note}
    said = {"kind": "complaint", "source": "customer", "case": who.case("a"), **words}
    events = ("complaint.received", "feedback.received")
    yield step(route, "collector", "/v1/feedback", said, *events, status=201)
    path, route = f"/v1/feedback/{trip.last['id']}", f"{route}/{{feedback_id}}"
    owner = {"owner": "officer-9"}
    yield step(f"{route}/assignments", "lender", f"{path}/assignments", owner, "feedback.assigned", status=201)
    yield step(f"{route}/answers", "officer", f"{path}/answers", words, "feedback.answered", status=201)
    closed = {"outcome": "not_upheld", "root_cause": "none_found", **words}
    yield step(f"{route}/closures", "officer", f"{path}/closures", closed, "feedback.closed", status=201)
    yield step(f"{route}/reopenings", "lender", f"{path}/reopenings", words, "feedback.reopened", status=201)


def _risk_steps(trip: Tour, who: Who, step: Callable[..., Step]) -> Iterator[Step]:
    route, words = "POST /v1/risk-events", {"text": who.note}
    told = {"line": "threat", "source": "audit", "case": who.case("a"), **words}
    yield step(route, "counsel", "/v1/risk-events", told, "risk_event.raised", status=201)
    path, route = f"/v1/risk-events/{trip.last['id']}", f"{route}/{{risk_id}}"
    none, breach = {"finding": "no_breach", **words}, {"finding": "breach", "root_cause": "training", **words}
    other = {"agrees": False, **words}
    yield step(f"{route}/findings", "officer", f"{path}/findings", none, "risk_event.found", status=201)
    yield step(f"{route}/opinions", "counsel", f"{path}/opinions", other, "risk_event.disputed", status=201)
    yield step(f"{route}/findings", "officer", f"{path}/findings", breach, "risk_event.found", status=201)
    same = {"agrees": True, **words}
    yield step(f"{route}/opinions", "officer-2", f"{path}/opinions", same, "risk_event.confirmed", status=201)
    due = (trip.clock.now + timedelta(days=3)).isoformat()
    action = {"measure": "retraining", "owner": AGENCY, "due_at": due, **words}
    yield step(f"{route}/actions", "lender", f"{path}/actions", action, "risk_event.action_set", status=201)
    for accepts, kind in ((False, "risk_event.action_returned"), (True, "risk_event.closed")):
        done = ("risk_event.action_finished",)
        yield step(f"{route}/actions/results", "lender", f"{path}/actions/results", words, *done, status=201)
        over = {"accepts": accepts, **words}
        yield step(f"{route}/closures", "counsel", f"{path}/closures", over, kind, status=201)


def _quality_steps(trip: Tour, who: Who, step: Callable[..., Step], message: str, cleared: str) -> Iterator[Step]:
    yield worker("project_events", lambda: trip.draw_quality(who), *["quality.drawn"] * 2)
    route, path = "POST /v1/quality-checks/{check_id}", "/v1/quality-checks"
    items = quality_standards().form_of("call").items
    scored = {"answers": {**{item.id: "pass" for item in items}, "threat": "fail"}, "text": who.note}
    check = f"{path}/{check_id(LENDER, cleared)}/results"
    events = ("quality.checked", "risk_event.raised")
    yield step(f"{route}/results", "lender", check, scored, *events, status=201)
    check, why = f"{path}/{check_id(LENDER, message)}/voids", {"reason": "entry_error"}
    yield step(f"{route}/voids", "officer", check, why, "quality.voided", status=201)


def _customer_steps(trip: Tour, who: Who, step: Callable[..., Step]) -> Iterator[Step]:
    route, path = "POST /v1/persons/{person_id}", f"/v1/persons/{who.id}"
    twin = replace(who, number=who.number + 50_000)
    stored(trip.store, a_person(id=twin.id, name=who.name, national_id=None, points=()))
    added = {"kind": "email", "value": f"zwei.{who.email}", "source": "left_by_debtor", "reason": "person_gave_it"}
    added["consent"] = {"medium": "email", "state": "granted"}  # type: ignore[assignment]
    events = ("consent.changed", "person.point_added")
    yield step(f"{route}/contact-points", "agency", f"{path}/contact-points", added, *events, status=201)
    point = f"{path}/contact-points/{trip.last['point']}"
    found, route_of_point = {"result": "ok", "how": "lender_record"}, f"{route}/contact-points/{{point_id}}"
    yield step(f"{route_of_point}/verification", "lender", f"{point}/verification", found, "person.point_verified")
    gone = {"reason": "person_asked"}
    yield step(f"{route_of_point}/retirement", "agency", f"{point}/retirement", gone, "person.point_retired")
    wished = {"language": "zh", "channel": "sms", "hours_from": "18:00", "hours_to": "20:00", "how": "inbound"}
    yield step(f"{route}/preferences", "collector", f"{path}/preferences", wished, "person.preferences_set")
    right = {"group": "identity", "how": "document", "name": who.name}
    yield step(f"{route}/confirmations", "lender", f"{path}/confirmations", right, "person.data_confirmed")
    same = {"other": twin.id, "reason": "person_says_so", "note": who.note}
    yield step(f"{route}/merges", "lender", f"{path}/merges", same, *["person.merged"] * 2, status=201)
    split = {"reason": "merged_in_error", "note": who.note}
    taken_back = f"{path}/merges/{trip.last['id']}/split"
    yield step(f"{route}/merges/{{merge_id}}/split", "officer", taken_back, split, *["person.split"] * 2)
    two = {"reason": "family_member", "note": who.note}
    stored(trip.store, a_person(id=f"{twin.id}-kin", name="无关", national_id=None, points=()))
    dismissed = f"{path}/duplicates/{twin.id}-kin/dismissal"
    named = f"{route}/duplicates/{{other_id}}/dismissal"
    yield step(named, "lender", dismissed, two, "person.duplicate_dismissed")


def _session_steps(trip: Tour, step: Callable[..., Step]) -> Iterator[Step]:
    route, root = "POST /v1/agencies/{agency_id}/trainings", f"/v1/agencies/{AGENCY}/trainings"
    begins = trip.clock.now
    plan = {"kind": "course", "course": "law-cn", "planned_from": begins.isoformat()}
    plan["planned_to"] = (begins + timedelta(hours=2)).isoformat()
    yield step(route, "agency", root, plan, "training.planned", status=201)
    one = f"{route}/{{session_id}}"
    path = f"{root}/{trip.last['id']}"
    yield step(f"{one}/cancellations", "agency", f"{path}/cancellations", None, "training.cancelled", status=201)
    yield step(route, "agency", root, plan, "training.planned", status=201)
    session = trip.last["id"]
    path = f"{root}/{session}"
    yield step(f"{one}/starts", "agency", f"{path}/starts", None, "training.started", status=201)
    yield step(f"{one}/attendances", "collector", f"{path}/attendances", None, status=201)
    known = trainings.get_session(wiring.training_ports(), SCOPE, session)
    trip.clock.now = known.check_at(0)
    yield step(f"{one}/confirmations", "collector", f"{path}/confirmations", None, status=201)
    trip.clock.now = begins
    yield step(f"{one}/departures", "collector", f"{path}/departures", None, status=201)
    counted = ("training.stopped", "training.credited")
    yield step(f"{one}/stops", "agency", f"{path}/stops", None, *counted, status=201)


def _training_steps(trip: Tour, step: Callable[..., Step]) -> Iterator[Step]:
    route, path = "POST /v1/courses", "/v1/courses/law-cn/versions/1/decisions"
    draft = {"course": "law-cn", "subject": "collection_law", "country": "CN", "content": a_course(required=False)}
    yield step(route, "lender", "/v1/courses", draft, "course.drafted", status=201)
    route, said = f"{route}/{{course_id}}/versions/{{number}}/decisions", {"decision": "approve", "reason": "sound"}
    yield step(route, "officer-2", path, said, "course.approved", status=201)
    yield from _session_steps(trip, step)
    route, course = "POST /v1/exams", {"course": "law-cn"}
    yield step(route, "collector", "/v1/exams", course, "exam.started", status=201)
    voids, why = f"/v1/exams/{trip.last['id']}/voids", {"reason": "technical_fault"}
    yield step(f"{route}/{{exam_id}}/voids", "lender", voids, why, "exam.voided", status=201)
    yield step(route, "collector", "/v1/exams", course, "exam.started", status=201)
    path, answers = f"/v1/exams/{trip.last['id']}", {trip.last["questions"][0]["id"]: ["b"]}
    yield step("PUT /v1/exams/{exam_id}/answers", "collector", f"{path}/answers", {"answers": answers})
    yield step(f"{route}/{{exam_id}}/submissions", "collector", f"{path}/submissions", None, "exam.marked", status=201)
    certificates = f"/v1/agencies/{AGENCY}/collectors/{COLLECTOR}/certificates"
    route = "POST /v1/agencies/{agency_id}/collectors/{collector_id}/certificates"
    shown = {**CERTIFICATE, "country": "US", "reference": "no. 17"}
    yield step(route, "lender", certificates, shown, "certificate.issued", status=201)
    route, why = f"{route}/{{country}}/revocations", {"reason": "entry_error"}
    yield step(route, "lender", f"{certificates}/US/revocations", why, "certificate.revoked", status=201)


def house_steps(trip: Tour, who: Who) -> Iterator[Step]:
    """Yield the steps that concern no person in particular, but for the rows of a portfolio."""

    def step(route: str, token: str, path: str, body: Any, *events: str, status: int = 200, tag: str = "") -> Step:
        headers = (("If-Match", f'"{tag}"'),) if tag else ()
        return Step(route, token, path, body, events, status, headers)

    lender = f"/v1/lenders/{LENDER}"
    changed = {**LENDER_BODY, "recall_window_hours": 48}
    yield step("PUT /v1/lenders/{lender_id}", "platform", lender, changed, "lender.registered", tag="1")
    confirmed = {"confirmed_at": "2026-11-23T01:59:00Z"}
    route = "PUT /v1/lenders/{lender_id}/balances-confirmation"
    yield step(route, "lender", f"{lender}/balances-confirmation", confirmed, "lender.registered")
    route = "PUT /v1/lenders/{lender_id}/high-risk-threshold"
    yield step(route, "lender", f"{lender}/high-risk-threshold", {"permille": 550}, "lender.registered")
    agency = f"/v1/agencies/{AGENCY}"
    yield step("PUT /v1/agencies/{agency_id}", "lender", agency, AGENCY_BODY, "agency.listed", tag="1")
    collector = f"{agency}/collectors/{COLLECTOR}"
    route = "PUT /v1/agencies/{agency_id}/collectors/{collector_id}"
    yield step(route, "agency", collector, {"staff_no": "A002"}, "collector.registered", tag="1")
    route, plan = "PUT /v1/agencies/{agency_id}/quality-plan", {"shares": {"call": 250, "sms": 50}}
    yield step(route, "officer", f"{agency}/quality-plan", plan, "quality_plan.set", tag="1")
    yield from _training_steps(trip, step)
    rows = [_row(who, 1), _row(who, 2, mobile="not a number 1990199")]
    route = "POST /v1/portfolios"
    yield step(route, "lender", "/v1/portfolios", {"rows_inline": rows}, "portfolio.requested", status=202)
    portfolio = trip.last["id"]
    loaded = ("case.placed", "portfolio.accepted", "portfolio.loaded")
    yield worker("load_portfolio_chunk", lambda: trip.load(portfolio), *loaded)
    point = {"action": "verify_point", "kind": "phone", "result": "ok", "how": "lender_record", "value": who.mobile}
    at = {"lender_account_id": rows[0]["loan"]["lender_account_id"], "placement_stage": 1}
    named = [{"update_id": who.contract_no, **at, **point}, {"update_id": who.email, **at, **point, "value": who.name}]
    route = "POST /v1/customer-updates"
    yield step(route, "lender", route[5:], {"rows_inline": named}, "portfolio.requested", status=202)
    updates = trip.last["id"]
    loaded = ("person.point_verified", "portfolio.accepted", "portfolio.loaded")
    yield worker("load_portfolio_chunk", lambda: trip.load(updates), *loaded)
    route, path = "POST /v1/templates", "/v1/templates/cn-sms-own/versions/1"
    yield step(route, "lender", route[5:], {"id": "cn-sms-own", "content": CONTENT}, "template.drafted", status=201)
    route += "/{template_id}/versions/{number}"
    decision = {"decision": "approve", "reason": "read and found lawful"}
    yield step(f"{route}/approvals", "counsel", f"{path}/approvals", decision, "template.approved", status=201)
    over = {"reason": "not needed any more"}
    yield step(f"{route}/retirement", "lender", f"{path}/retirement", over, "template.retired")
    route, path = "POST /v1/audit/{year}/legal-hold", "/v1/audit/2026/legal-hold"
    held = {"reason": "litigation", "matter": "case-1"}
    yield step(route, "counsel", path, held, "archive.hold_placed")
    yield step(f"{route}/release", "counsel", f"{path}/release", None, "archive.hold_released")
    route = "POST /v1/compliance/house-rules"
    yield step(route, "lender", route[5:], HOUSE_RULES, "house_rules.drafted", status=201)
    path = f"{route[5:]}/{HOUSE_RULES['house']}/versions/1"
    route += "/{house_id}/versions/{number}"
    said = {"text": "the works council was asked"}
    yield step(f"{route}/comments", "lender", f"{path}/comments", said, "house_rules.commented", status=201)
    decision = {"decision": "reject", "reason": "the board has refused it"}
    yield step(f"{route}/approvals", "officer-2", f"{path}/approvals", decision, "house_rules.rejected", status=201)
    yield from _strategy_steps(trip, step)
    yield from _money_steps(trip, step)
    route, nobody = "POST /v1/survey-rules", {"occasions": [], "texts": []}
    yield step(route, "lender", route[5:], nobody, "survey_rules.drafted", status=201)
    decision = {"decision": "reject", "reason": "somebody is to be asked"}
    path = f"{route[5:]}/{trip.last['number']}/approvals"
    yield step(f"{route}/{{number}}/approvals", "officer-2", path, decision, "survey_rules.rejected", status=201)
    route = "POST /v1/compliance/simulations"
    yield step(route, "officer", route[5:], SIMULATION, "simulation.requested", status=202)
    path = f"/v1/compliance/simulations/{trip.last['id']}"
    route = "DELETE /v1/compliance/simulations/{simulation_id}"
    yield step(route, "officer", path, None, "simulation.cancelled")
    yield worker("archive_events", trip.archive)
    route, today = "POST /v1/audit/exports", trip.clock.now.date().isoformat()
    yield step(
        route, "officer", route[5:], {"range": {"from": today, "to": today}}, "archive.export_requested", status=202
    )
    export = trip.last["id"]
    yield worker("export_archive", lambda: trip.export(export), "archive.export_packed")
    yield worker("archive_events", trip.sign_exports, "archive.export_signed")
    yield worker("export_archive", lambda: trip.export(export), "archive.export_finished")
    route, path = f"{route}/{{export_id}}/downloads", f"{route[5:]}/{export}/downloads"
    yield step(route, "officer", path, {}, "archive.downloaded", status=201)
    taken = {"case": "case_australia", "report": "possession_taken", "at": AT}
    yield step("POST /v1/duties", "lender", "/v1/duties", taken, "duty.opened", status=201)


def _strategy_steps(trip: Tour, step: Callable[..., Step]) -> Iterator[Step]:
    path, reason = "/v1/strategies", {"reason": "looked at together with the agencies"}
    drafted = {"content": a_strategy().as_json(), "rank": 5}
    yield step("POST /v1/strategies", "lender", path, drafted, "strategy.drafted", status=201)
    route, path = "POST /v1/strategies/{strategy_id}/versions/{number}", f"{path}/early/versions/1"
    decided = {"decision": "approve", **reason}
    yield step(f"{route}/approvals", "officer-2", f"{path}/approvals", decided, "strategy.approved", status=201)
    yield step(f"{route}/simulations", "lender", f"{path}/simulations", {}, "simulation.requested", status=202)
    yield step(f"{route}/activations", "lender", f"{path}/activations", reason, "strategy.activated", status=201)
    design = {"name": "Self-cure", "design": HOLDOUT}
    yield step("POST /v1/experiments", "lender", "/v1/experiments", design, "experiment.drafted", status=201)
    trying = f"/v1/experiments/{trip.last['id']}"
    start, stop = (f"POST /v1/experiments/{{experiment_id}}/{verb}" for verb in ("start", "end"))
    yield step(start, "officer-2", f"{trying}/start", reason, "experiment.started")
    yield step(stop, "lender", f"{trying}/end", reason, "experiment.ended")
    yield step(f"{route}/end", "lender", f"{path}/end", reason, "strategy.ended")


def _money_steps(trip: Tour, step: Callable[..., Step]) -> Iterator[Step]:
    route = "POST /v1/lenders/{lender_id}/agencies/{agency_id}"
    place = f"/v1/lenders/{LENDER}/agencies/{AGENCY}"
    tiers = [{"above_minor": 0, "rate_basis_points": 1_000}]
    terms = {"currency": "CNY", "rates": [{"id": "all", "tiers": tiers}], "claw_back_days": 30}
    offer = {"terms": terms, "effective_from": "2026-11-01"}
    path = f"{place}/commission-terms"
    yield step(f"{route}/commission-terms", "lender", path, offer, "terms.offered", status=201)
    accept = {"decision": "accept"}
    yield step(f"{route}/commission-terms/{{number}}/decision", "agency", f"{path}/1/decision", accept, "terms.decided")
    yield worker("compute_kpis", trip.state_month)
    path = f"{place}/statements/2026-10/objections"
    body = {"currency": "CNY", "source": "pay_tour", "reason": "No terms were applied to it."}
    yield step(f"{route}/statements/{{month}}/objections", "agency", path, body, "statement.objected", status=201)
    path = f"{place}/objections/{trip.last['id']}/answer"
    refuse = {"decision": "refuse", "answer": "There were none in that month."}
    yield step(f"{route}/objections/{{objection_id}}/answer", "lender", path, refuse, "statement.answered")


def _row(who: Who, number: int, *, mobile: str | None = None) -> dict[str, Any]:
    row = document(number)
    party = row["parties"][0]
    party["name"] = who.name
    party["phones"][0]["value"] = mobile or who.mobile
    return row
