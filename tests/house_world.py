"""A small world in which everything happens once, over the real store: every type of event is written in it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3

from chalicelib import wiring
from chalicelib.domain.audit.log import LogName
from chalicelib.domain.cases.case import CaseParty
from chalicelib.domain.cases.lifecycle import CaseState
from chalicelib.domain.cases.unmasking import Target
from chalicelib.domain.events import Actor, Event, EventType
from chalicelib.domain.experiments.design import Design
from chalicelib.domain.feedback.survey_rules import SurveyRules
from chalicelib.domain.instants import from_text, to_text
from chalicelib.domain.intake.portfolio import Wish as PortfolioWish
from chalicelib.domain.litigation.limitation import Entry, Proof
from chalicelib.domain.litigation.procedure import MatterEvent
from chalicelib.domain.money.commission import Terms
from chalicelib.domain.outreach.approval import Valid
from chalicelib.domain.outreach.attempt import Attempt
from chalicelib.domain.outreach.carrying import Accepted, Ambiguous, Refused
from chalicelib.domain.outreach.provider_events import ProviderEvent
from chalicelib.domain.people.person import Residence
from chalicelib.domain.risk.event import Source as RiskSource
from chalicelib.domain.risk.quality import standards as quality_standards
from chalicelib.domain.strategies.plan import CasePlan
from chalicelib.domain.training.certificate import trainee_id
from chalicelib.domain.training.course import CourseContent, Subject
from chalicelib.domain.training.session import Kind
from chalicelib.gateways.queues import SqsQueues
from chalicelib.gateways.uploads import S3Uploads
from chalicelib.store.duty_repository import DutyRepository
from chalicelib.store.feed_repository import FeedRepository
from chalicelib.store.keep_repository import KeepRepository
from chalicelib.store.portfolio_repository import PortfolioRepository
from chalicelib.store.repository import Store, event_of
from chalicelib.store.simulation_repository import SimulationRepository
from chalicelib.store.tables import Record
from chalicelib.usecases import (
    access,
    activities,
    archive,
    archive_exports,
    cases,
    certificates,
    compliance,
    cosigning,
    courses,
    dispatch,
    duplicates,
    duties,
    erasure,
    exams,
    experiments,
    exporting,
    feedback,
    holding,
    house_rules,
    keeping,
    key_versions,
    litigation,
    messages,
    organisations,
    persons,
    plans,
    portfolios,
    quality,
    risks,
    simulations,
    statements,
    strategies,
    surveys,
    templates,
    trainings,
    unmasking,
)
from chalicelib.usecases import provider_events as carriers_word
from chalicelib.usecases.assignment import assign_cases
from chalicelib.usecases.cases import Caller, Context
from chalicelib.usecases.customer_updates import UpdatePorts
from chalicelib.usecases.litigation import Told
from scripts.sample import FAULTS, control_of, document, write_file
from tests.archive_fakes import MemoryAudit, MemoryBucket, MemoryLocks, memory_ports
from tests.builders import (
    AGENCY,
    COLLECTOR,
    LENDER,
    NOW,
    Scope,
    a_case,
    a_collector,
    a_course,
    a_lender,
    a_person,
    a_point,
    a_strategy,
    an_agency,
    stored,
)
from tests.conftest import ENVIRONMENT, NAMES, REGION
from tests.witnesses import TextWitness

SECRET = "张伟的亲笔话 13812345678"
"""What people write, wherever a person may write something; it may stand in no open datum."""

SCOPE = Scope(LENDER)
LENDERS = Caller(Actor("lender", "ops-1", "tok_1"))
OFFICERS = Caller(Actor("lender", "officer-1", "tok_3"))
COUNSELS = Caller(Actor("lender", "counsel-1", "tok_4"))
AGENCYS = Caller(Actor("agency", "user-1", "tok_2"), org=AGENCY, collector=COLLECTOR)
HOLDOUT = {
    "metric": "paid",
    "horizon_days": 30,
    "baseline": 2_500,
    "arms": [
        {"name": "champion", "role": "champion", "share": 8_000, "strategy": "early@1"},
        {"name": "holdout", "role": "holdout", "share": 2_000},
    ],
}
MOBILES = "+86138{:08d}"


class World:
    """The use cases with ports that answer as they are told, at a clock that the world turns."""

    def __init__(self, store: Store, folder: Path) -> None:
        """Start with nothing stored; ``folder`` takes files that are uploaded."""
        self.store, self.folder, self.now, self.ruling = store, folder, NOW, "allow"
        self.feeds = FeedRepository()
        self.queues = SqsQueues(NAMES.queue_url_prefix)
        self._number = 0

    @property
    def context(self) -> Context:
        """Return the present request."""
        return Context(self.now, "req_world")

    # Ports

    def rule(self, dossier: Mapping[str, Any], house: Any = ()) -> dict[str, Any]:
        """Rule as the world says."""
        rules = [] if self.ruling == "allow" else [{"id": "CN-HOURS-1", "effect": self.ruling}]
        later = "2026-11-24T00:00:00Z" if self.ruling == "defer" else None
        base = {"verdict": self.ruling, "rules": rules, "missing": [], "next_allowed_at": later, "not_after": None}
        return {"id": dossier["id"], **base}

    def rule_set(self, ruling: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a rule set of no packs."""
        return {"atlas": "cd" * 32, "engine": 1, "packs": [], "zone_data": "2026f"}

    def sign(self, approval: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
        """Return the approval as if it were signed."""
        return {**approval, "signature": "c2ln", "certificate": {"public_key": "a2V5"}}

    # Steps

    def life(self) -> None:
        """Let everything happen."""
        self._organisations()
        self._templates()
        self._portfolios()
        self._messages()
        self._clearances()
        self._inbound()
        self._cases()
        self._duties()
        self._feedback()
        self._risks()
        self._quality()
        self._surveys()
        self._customers()
        self._privacy()
        self._simulations()
        self._house_rules()
        self._strategies()
        self._exports()

    def case(self, **deviations: Any) -> str:
        """Store a case of its own debtor, with a mobile of their own, and return its id."""
        self._number += 1
        person = f"per_{self._number}"
        point = a_point(value=MOBILES.format(self._number))
        stored(self.store, a_person(id=person, points=(point,), name=SECRET))
        identity = f"case_{self._number}"
        parties = (CaseParty(person=person, role="debtor"),)
        stored(self.store, a_case(id=identity, account=f"acct-{self._number}", parties=parties, **deviations))
        return identity

    def _organisations(self) -> None:
        store, lender = self.store, a_lender(balances_confirmed_at=None)
        organisations.put_lender(store, SCOPE, lender, LENDERS, self.context, here=REGION, expected=None)
        policy = f"witness lender {TextWitness('lender.example/w1').vkey}\nquorum lender\n"
        operator = Actor("user", "ops-1", "operator")
        key_versions.rotate(store, SCOPE, expected=1, actor=operator, now=self.now, req="req_world")
        cosigning.set_policy(store, SCOPE, policy, actor=operator, now=self.now, req="req_world")
        organisations.put_agency(store, self.feeds, SCOPE, an_agency(), LENDERS, self.context, expected=None)
        for each in (a_collector(), a_collector(id="collector-2", staff_no="A002")):
            organisations.put_collector(store, SCOPE, each, LENDERS, self.context, expected=None)
        self._certificates()
        self._exams()
        self._trainings()
        organisations.confirm_balances(store, SCOPE, LENDERS, self.context, confirmed_at=self.now - timedelta(hours=1))

    def _certificates(self) -> None:
        ports, today = wiring.certificate_ports(), self.now.date()
        for collector, days in ((COLLECTOR, 200), ("collector-2", 2)):
            shown = certificates.Shown("CN", "Training desk", None, "5" * 64, today, today + timedelta(days=days))
            certificates.record_certificate(ports, SCOPE, AGENCY, collector, shown, LENDERS, self.context)
        trainee = trainee_id(AGENCY, "collector-2")
        for later in (0, 3):
            assert certificates.finish_due(ports, SCOPE, trainee, now=self.now + timedelta(days=later))
        shown = certificates.Shown("US", "Training desk", "no. 17", "6" * 64, today, today + timedelta(days=90))
        certificates.record_certificate(ports, SCOPE, AGENCY, "collector-2", shown, LENDERS, self.context)
        certificates.revoke_certificate(
            ports, SCOPE, AGENCY, "collector-2", "US", LENDERS, self.context, reason="entry_error"
        )

    def _trainings(self) -> None:
        ports, collectors = wiring.training_ports(), replace(AGENCYS, collector="collector-2")
        until = self.now + timedelta(hours=2)
        meeting = trainings.Plan(AGENCY, Kind.PARTNER_MEETING, None, self.now, until, ())
        course = trainings.Plan(AGENCY, Kind.COURSE, "law-us", self.now, until, ())
        for session, plan in (("ses_1", meeting), ("ses_2", course)):
            trainings.plan_session(ports, SCOPE, plan, LENDERS, self.context, session=session, seed="seed_5")
        trainings.cancel_session(ports, SCOPE, "ses_1", LENDERS, self.context)
        trainings.start_session(ports, SCOPE, "ses_2", AGENCYS, self.context)
        trainings.join_session(ports, SCOPE, "ses_2", collectors, self.context)
        trainings.stop_session(ports, SCOPE, "ses_2", AGENCYS, self.context)

    def _exams(self) -> None:
        ports, collectors = wiring.exam_ports(), replace(AGENCYS, collector="collector-2")
        content = CourseContent.model_validate(a_course())
        for country, approve in (("CN", False), ("US", True)):
            wanted = courses.Draft(f"law-{country.lower()}", Subject.COLLECTION_LAW, country, content)
            courses.draft_course(ports.of_courses, SCOPE, wanted, LENDERS, self.context)
            courses.decide_course(
                ports.of_courses, SCOPE, wanted.course, 1, OFFICERS, self.context, approve=approve, reason="read"
            )
        for exam in ("exm_1", "exm_2"):
            exams.start_exam(ports, SCOPE, "law-us", collectors, self.context, exam=exam, seed="5eed" * 8)
            if exam == "exm_1":
                exams.void_exam(ports, SCOPE, exam, LENDERS, self.context, reason="technical_fault")
        answers = {each: ["b"] for each in exams.get_exam(ports, SCOPE, "exm_2").questions}
        exams.save_answers(ports, SCOPE, "exm_2", answers, collectors, self.context)
        exams.submit_exam(ports, SCOPE, "exm_2", collectors, self.context)

    def _templates(self) -> None:
        counsel = Caller(Actor("lender", "counsel-1", "tok_3"))
        for name in ("cn-sms-demand", "cn-call-demand", "cn-sms-reply", "cn-sms-guarantor", "cn-sms-survey"):
            drafted = templates.draft_template(
                self.store, SCOPE, templates.adopted(name), LENDERS, self.context, library=f"{name}@1"
            )
            templates.decide_template(
                self.store,
                SCOPE,
                name,
                drafted.life.number,
                counsel,
                self.context,
                approve=name != "cn-sms-guarantor",
                reason=SECRET,
            )
        templates.retire_template(self.store, SCOPE, "cn-sms-reply", 1, LENDERS, self.context, reason=SECRET)

    def _portfolios(self) -> None:
        rows = [document(number) for number in (1, 2, 60)]
        FAULTS[0][2](rows[-1])
        path = self.folder / "sample.csv"
        write_file(path, form="csv", rows=rows)
        wish = {name: control_of(path, rows)[name] for name in ("rows", "totals", "sha256", "size")}
        bucket = NAMES.uploads_bucket
        ports = portfolios.PortfolioPorts(
            store=self.store,
            portfolios=PortfolioRepository(self.store),
            uploads=S3Uploads(bucket),
            queues=self.queues,
            scope_for=Scope,
            updates=UpdatePorts(wiring.person_ports(), PortfolioRepository(self.store)),
        )
        for changes in ({}, {"rows": 9}):
            asked = portfolios.request_portfolio(
                ports, SCOPE, PortfolioWish(**{**wish, **changes}), actor=LENDERS.actor, now=self.now, req="req_world"
            )
            self.now += timedelta(seconds=1)
            key = asked.portfolio.key
            boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=path.read_bytes())
            body = {"Records": [{"s3": {"bucket": {"name": bucket}, "object": {"key": key}}}]}
            portfolios.start_uploads(ports, body, now=self.now, req="req_world")
            for number in range(portfolios.get_portfolio(ports, SCOPE, asked.portfolio.id).chunks):
                loaded = {"tenant": LENDER, "portfolio": asked.portfolio.id, "chunk": number}
                portfolios.load_chunk(ports, loaded, now=self.now, req="req_world")
        placed = self.case(state=CaseState.PLACED, agency=None)
        assign_cases(self.store, self.feeds, SCOPE, [placed], now=self.now, req="req_world")

    def ask(self, case: str, channel: str = "sms", *, verdict: str = "allow") -> Attempt:
        """Ask for a contact and rule on it."""
        self._number += 1
        wish = messages.Wish(
            channel=channel,
            template=f"cn-{channel}-demand",
            parameters={},
            purpose=None,
            to=None,
            point=None,
            reply_to=None,
            recorded=True,
        )
        asked = messages.request_message(
            self.store,
            SCOPE,
            case,
            wish,
            message_id=f"msg_{self._number}",
            org=AGENCY,
            collector=COLLECTOR,
            human=channel == "call",
            actor=AGENCYS.actor,
            now=self.now,
            req="req_world",
        )
        return self.decide(asked.id, verdict)

    def decide(self, message: str, verdict: str) -> Attempt:
        """Rule on a requested attempt."""
        self.ruling = verdict
        decided = compliance.check(
            self.store,
            self,
            self,
            SCOPE,
            message,
            clock=lambda: self.now,
            refresh=lambda facts, now: facts.attempt,
            req="req_world",
        )
        assert isinstance(decided, Attempt)
        return decided

    def send(self, message: str, answer: Accepted | Refused | Ambiguous) -> None:
        """Dispatch an approved message to a carrier that gives this answer."""
        carrier = SimpleNamespace(send=lambda outbound: answer)
        verified: Callable[..., Valid] = lambda approval, **expected: Valid()  # noqa: E731
        dispatch.dispatch(
            self.store, {"sms": carrier}, verified, SCOPE, message, clock=lambda: self.now, req="req_world"
        )

    def _messages(self) -> None:
        case, store = self.case(), self.store
        delivered, failed = self.ask(case).id, self.ask(case).id
        for message, kind in ((delivered, "delivered"), (failed, "bounced")):
            self.send(message, Accepted("sns", f"sns-{message}"))
            event = ProviderEvent(kind, "sns", f"d-{message}", contact=message, provider_id=f"sns-{message}")
            carriers_word.settle_delivery(store, SCOPE, replace(event), clock=lambda: self.now, req="req_world")
        case = self.case()
        self.send(self.ask(case).id, Refused("sns", "InvalidParameter"))
        lost = self.ask(case).id
        self.send(lost, Ambiguous("sns", "ReadTimeoutError"))
        dispatch.reap(store, SCOPE, lost, now=self.now + timedelta(hours=1), req="req_world")
        self.ask(case, verdict="deny")
        deferred = self.ask(case, verdict="defer").id
        told: dict[str, Any] = {"actor": dispatch.REAPER, "req": "req_world"}
        dispatch.release(store, SCOPE, deferred, "its time has come", now=self.now, **told)
        later = self.ask(case, verdict="defer").id
        dispatch.release(store, SCOPE, later, "its time has come", now=self.now + timedelta(days=9), **told)
        self._reviews(case)
        known = store.attempt(SCOPE, self.ask(case).id)
        assert known is not None
        told = {"reason": "withdrawn by its sender", "actor": AGENCYS.actor, "now": self.now, "req": "req_world"}
        assert messages.cancel_message(store, SCOPE, known.id, **told)

    def _reviews(self, case: str) -> None:
        for decision in ("approve", "reject"):
            waiting = self.ask(case, verdict="review").id
            messages.review_message(
                self.store,
                SCOPE,
                waiting,
                decision=decision,
                reason=SECRET,
                actor=LENDERS.actor,
                now=self.now,
                req="req_world",
            )
        unseen = self.ask(case, verdict="review").id
        assert messages.expire(self.store, SCOPE, unseen, now=self.now, req="req_world")

    def _clearances(self) -> None:
        cleared = self.ask(self.case(), "call").id
        messages.report_outcome(
            self.store,
            SCOPE,
            cleared,
            org=AGENCY,
            outcome="conversation",
            result="RPC-PTP",
            attempted_at=self.now,
            connected=True,
            right_party=True,
            note=SECRET,
            actor=AGENCYS.actor,
            now=self.now,
            req="req_world",
        )

    def _inbound(self) -> None:
        case = self.store.case(SCOPE, self.case())
        assert case is not None
        person = self.store.person(SCOPE, case.debtor)
        assert person is not None
        PortfolioRepository(self.store).write_points(SCOPE, [person])
        for number, text in enumerate(("STOP", "我要投诉", SECRET)):
            event = ProviderEvent("inbound", "sns", f"in-{number}", recipient=person.points[0].value, text=text)
            done = carriers_word.receive(
                self.store, SCOPE, event, channel="sms", kind="mobile", clock=lambda: self.now, req="req_world"
            )
            assert done.persons == 1

    def act(self, case: str, code: str, channel: str = "call") -> None:
        """Record an activity with a note."""
        self.now += timedelta(seconds=1)
        known = self.store.case(SCOPE, case)
        assert known is not None
        report = activities.Report(code=code, channel=channel, person=known.debtor, at=self.now, note=SECRET)
        activities.record_activity(self.store, SCOPE, case, report, AGENCYS, self.context)

    def _cases(self) -> None:
        store, case = self.store, self.case()
        today = self.now.date()
        money: dict[str, Any] = {"amount_minor": 50_000, "currency": "CNY"}
        self.act(case, "NOANS")
        self.act(case, "OPTOUT", "sms")
        cases.make_promise(store, SCOPE, case, AGENCYS, self.context, due_on=today + timedelta(days=1), **money)
        self.now += timedelta(seconds=1)
        _, paid = cases.post_payment(store, SCOPE, case, LENDERS, self.context, received_on=today, **money)
        self.now += timedelta(days=10)
        cases.reverse_payment(store, SCOPE, case, paid.id, LENDERS, self.context, received_on=self.now.date())
        case = self.case()
        span = {"paused_from": today, "paused_to": today}
        _, pause = cases.record_pause(store, SCOPE, case, LENDERS, self.context, kind="freeze", reason=SECRET, **span)
        cases.cancel_pause(store, SCOPE, case, pause.id, LENDERS, self.context, reason=SECRET)
        entry = Entry(id="lim_1", kind="acknowledgement", on=today, proof=Proof.SIGNED)
        litigation.record_limitation_entry(store, SCOPE, case, LENDERS, self.context, entry)
        told: dict[str, Any] = {"matter_id": "lit_1", "is_urgent": False}
        litigation.open_matter(store, SCOPE, self.case(), LENDERS, self.context, **told)
        told = {"kind": "loan_contract", "sha256": "ab" * 32, "storage": "vault/1", "dated_on": None}
        litigation.file_document(store, SCOPE, "lit_1", LENDERS, self.context, document_id="doc_1", **told)
        cost = Told(MatterEvent.PAY_COST, self.now.date(), amount_minor=5_000, cost_kind="court_fee", note=SECRET)
        litigation.record_event(store, SCOPE, "lit_1", LENDERS, self.context, cost, event_id="lev_1")
        _, hold = cases.place_hold(store, SCOPE, case, LENDERS, self.context, kind="hardship", reason=SECRET)
        cases.release_hold(store, SCOPE, case, hold.id, LENDERS, self.context, reason=SECRET)
        cases.request_recall(store, SCOPE, case, LENDERS, self.context, reason="RECALLED")
        cases.object_to_recall(store, SCOPE, case, AGENCYS, self.context, code="PROMISE_PENDING", reason=SECRET)

    def _duties(self) -> None:
        ports = duties.DutyPorts(self.store, DutyRepository(), lambda person: frozenset({"US-TX"}))
        case = self._american()
        told: dict[str, Any] = {"kind": "dispute", "reason": SECRET, "written": True}
        cases.place_hold(self.store, SCOPE, case, LENDERS, self.context, **told)
        opening = [e for e in self.events() if e.type in (EventType.COMPLAINT_RECEIVED, EventType.HOLD_PLACED)]
        assert duties.project_duties(ports, opening, scope_for=Scope, now=self.now) == []
        about = {
            event.stream for event in opening if event.type is EventType.COMPLAINT_RECEIVED or event.stream == case
        }
        open_ids = [duty for stream in sorted(about) for duty in ports.duties.open_about(SCOPE, stream)]
        by_kind = {duty.kind: duty.id for duty in ports.duties.many(SCOPE, open_ids)}
        for kind, extension in (("complaint_answer", "complex"), ("dispute_investigation", "further_information")):
            later = self.now + timedelta(days=16 if extension == "further_information" else 0)
            assert duties.finish_due(ports, SCOPE, by_kind[kind], now=later) == "duty_escalated"
            longer = {"extension": extension, "reason": SECRET}
            duties.extend(ports, SCOPE, by_kind[kind], LENDERS, self.context, **longer)
            duties.waive(ports, SCOPE, by_kind[kind], LENDERS, self.context, reason=SECRET)
        done = duties.Fulfilment("letter", self.now, "RR1", "ab" * 32, SECRET)
        for kind in ("complaint_first_reply", "dispute_answer"):
            duties.fulfil(ports, SCOPE, by_kind[kind], done, LENDERS, self.context)
        for kind in ("complaint_acknowledgement", "dispute_verification"):
            over = self.now + timedelta(days=31)
            assert duties.finish_due(ports, SCOPE, by_kind[kind], now=over) == "duty_lapsed"

    def _feedback(self) -> None:
        ports, clocks, case = wiring.feedback_ports(), wiring.duty_ports(), self.case()
        entered = feedback.Wish(feedback.Kind.COMPLAINT, feedback.Source.CUSTOMER, SECRET, case=case)
        feedback.receive(ports, SCOPE, entered, AGENCYS, self.context, feedback="fb_world")
        told: dict[str, Any] = {"scope_for": Scope, "now": self.now}
        self._play(EventType.COMPLAINT_RECEIVED, lambda events: feedback.project_feedback(ports, events, **told))
        self._play(EventType.FEEDBACK_RECEIVED, lambda events: duties.project_duties(clocks, events, **told))
        opened = [event for event in self.events() if event.type is EventType.DUTY_OPENED]
        for clock in [event.data for event in opened if event.data["duty_kind"] == "feedback_answer"]:
            later = from_text(clock["due_at"]) - timedelta(hours=11)
            assert duties.finish_due(clocks, SCOPE, clock["duty"], now=later) == "duty_escalated"
        self._play(EventType.DUTY_ESCALATED, lambda events: feedback.project_feedback(ports, events, **told))
        for item in [event.data["feedback"] for event in self.events() if event.type is EventType.FEEDBACK_RECEIVED]:
            who: tuple[Any, ...] = (ports, SCOPE, item, OFFICERS, self.context)
            feedback.assign(*who, owner="officer-9")
            feedback.give_answer(*who, text=SECRET)
            feedback.close(*who, outcome="upheld", root_cause="conduct", text=SECRET)
            feedback.reopen(*who, text=SECRET)

    def _risks(self) -> None:
        ports = wiring.risk_ports()
        self._play(EventType.FEEDBACK_CLOSED, lambda events: risks.project_risks(ports, events, scope_for=Scope))
        breach = risks.Finding(True, SECRET, root_cause="training")
        abouts: tuple[dict[str, Any], ...] = ({"case": self.case()}, {"person": "per_1"}, {"agency": AGENCY})
        for number, about in enumerate(abouts):
            for finding in (breach, risks.Finding(False, SECRET)):
                told = risks.Suspicion("threat", RiskSource.AUDIT, SECRET, **about)
                who: tuple[Any, ...] = (ports, SCOPE, f"risk_{number}{finding.breach}")
                risks.raise_risk(ports, SCOPE, told, OFFICERS, self.context, risk=who[2])
                for agrees in (False, True):
                    risks.find(*who, finding, OFFICERS, self.context)
                    risks.decide(*who, COUNSELS, self.context, agrees=agrees, text=SECRET)
                if finding.breach:
                    self._put_right(who)

    def _put_right(self, who: tuple[Any, ...]) -> None:
        due: dict[str, Any] = {"due_at": self.now + timedelta(days=3), "owner": AGENCY, "text": SECRET}
        risks.set_action(*who, LENDERS, self.context, measure="retraining", **due)
        for accepts in (False, True):
            risks.finish_action(*who, LENDERS, self.context, evidence_sha256="5" * 64, text=SECRET)
            risks.close(*who, OFFICERS, self.context, accepts=accepts, text=SECRET)

    def _quality(self) -> None:
        ports = replace(wiring.quality_ports(), forbidden=lambda text, country, on: True)
        told: dict[str, Any] = {"shares": {"call": 1_000, "sms": 1_000}, "draw": "2", "expected": 0}
        quality.set_plan(ports, SCOPE, AGENCY, OFFICERS, self.context, **told)
        self._play(EventType.CONTACT_REPORTED, lambda events: quality.project_quality(ports, events, scope_for=Scope))
        self._play(EventType.CONTACT_SENT, lambda events: quality.project_quality(ports, events, scope_for=Scope))
        drawn = [event.data for event in self.events() if event.type is EventType.QUALITY_DRAWN]
        first, second = (next(each for each in drawn if each["channel"] == name) for name in ("call", "sms"))
        form = quality_standards().form_named(first["form"])
        answers: dict[str, Any] = {item.id: "fail" for item in form.items}
        quality.score_check(ports, SCOPE, first["check"], OFFICERS, self.context, answers=answers, text=SECRET)
        quality.void_check(ports, SCOPE, second["check"], OFFICERS, self.context, reason="entry_error")

    def _surveys(self) -> None:
        ports = wiring.survey_ports()
        stored(self.store, a_collector(id="staff-1", org=LENDER, staff_no="S9"))
        texts = ({"channel": "sms", "language": "zh", "template": "cn-sms-survey"},)
        occasions = ({"trigger": "promise_kept", "share_permille": 1_000, "wait_hours": 0},)
        rules = SurveyRules.model_validate({"occasions": occasions, "texts": texts})
        for approve in (True, False):
            made = surveys.draft_rules(ports, SCOPE, rules, LENDERS, self.context)
            told: dict[str, Any] = {"approve": approve, "reason": SECRET, "effective_from": None}
            surveys.decide_rules(ports, SCOPE, made.number, OFFICERS, self.context, **told)
        answered, refused = self._promised(), self._promised()
        cases.place_hold(self.store, SCOPE, refused, LENDERS, self.context, kind="hardship", reason=SECRET)
        told = {"scope_for": Scope, "now": self.now}
        self._play(EventType.PROMISE_KEPT, lambda events: surveys.project_surveys(ports, events, **told))
        drawn = {event.stream: event.data for event in self.events() if event.type is EventType.SURVEY_DRAWN}
        assert surveys.look(ports, SCOPE, drawn[refused]["survey"], now=self.now) == "survey_not_sent"
        assert surveys.look(ports, SCOPE, drawn[answered]["survey"], now=self.now) == "survey_asked"
        message = surveys.get_survey(ports, SCOPE, drawn[answered]["survey"]).message
        self.decide(message, "allow")
        self.send(message, Accepted("sns", f"sns-{message}"))
        self._play(EventType.CONTACT_SENT, lambda events: surveys.project_surveys(ports, events, **told))
        person = self.store.person(SCOPE, drawn[answered]["person"])
        assert person is not None
        PortfolioRepository(self.store).write_points(SCOPE, [person])
        event = ProviderEvent("inbound", "sns", "in-survey", recipient=person.points[0].value, text=f"1，{SECRET}")
        clock: dict[str, Any] = {"clock": lambda: self.now, "req": "req_world"}
        carriers_word.receive(self.store, SCOPE, event, channel="sms", kind="mobile", **clock)
        self._play(EventType.INBOUND_RECEIVED, lambda events: surveys.project_surveys(ports, events, **told))

    def _promised(self) -> str:
        """Let a borrower promise and pay, and return the case."""
        case, today = self.case(), self.now.date()
        money: dict[str, Any] = {"amount_minor": 50_000, "currency": "CNY"}
        self.now += timedelta(seconds=1)
        tomorrow = today + timedelta(days=1)
        cases.make_promise(self.store, SCOPE, case, AGENCYS, self.context, due_on=tomorrow, **money)
        cases.post_payment(self.store, SCOPE, case, LENDERS, self.context, received_on=today, **money)
        return case

    def _play(self, kind: EventType, projection: Callable[[list[Event]], list[str]]) -> None:
        assert projection([event for event in self.events() if event.type is kind]) == []

    def _house_rules(self) -> None:
        ports = wiring.house_ports()
        law = {"id": "HOUSE-NIGHT-1", "shape": "hours", "params": {"windows": [{"open": [["09:00", "18:00"]]}]}}
        for rules in ((), ({**law, "note": {"zh": "夜间不联系", "en": "Not at night."}},), ()):
            wanted = house_rules.Draft("HOUSE-NIGHT", "Nights", rules, (), None)
            drafted = house_rules.draft(ports, SCOPE, wanted, LENDERS, self.context)
            told: dict[str, Any] = {"reason": SECRET, "effective_from": None, "approve": drafted.number > 1}
            house_rules.comment(ports, SCOPE, drafted.house, drafted.number, LENDERS, self.context, text=SECRET)
            house_rules.decide(ports, SCOPE, drafted.house, drafted.number, OFFICERS, self.context, **told)

    def _strategies(self) -> None:
        ports = wiring.strategy_ports()
        for approve in (True, False):
            made = strategies.draft_strategy(ports, SCOPE, a_strategy(), LENDERS, self.context, rank=None)
            told: dict[str, Any] = {"approve": approve, "reason": SECRET}
            strategies.decide_strategy(ports, SCOPE, "early", made.life.number, OFFICERS, self.context, **told)
        why: dict[str, Any] = {"active_from": None, "simulation": None, "reason": SECRET}
        running = wiring.simulation_ports()
        strategies.activate_strategy(ports, running, SCOPE, "early", 1, LENDERS, self.context, **why)
        self._experiments()
        self._money()
        self._plans()
        strategies.end_strategy(ports, SCOPE, "early", 1, LENDERS, self.context, reason=SECRET)

    def _money(self) -> None:
        ports = wiring.statement_ports()
        tiers = ({"above_minor": 0, "rate_basis_points": 1_000},)
        terms = Terms.model_validate(
            {"currency": "CNY", "rates": ({"id": "all", "tiers": tiers},), "claw_back_days": 30}
        )
        begins = self.now.date().replace(day=1)
        offered = statements.offer_terms(ports, SCOPE, AGENCY, terms, LENDERS, self.context, effective_from=begins)
        told = (ports, SCOPE, AGENCY)
        statements.decide_terms(*told, offered.number, AGENCYS, self.context, decision="accept")
        statements.project_money(ports, self.events())
        next_month = (begins + timedelta(days=40)).replace(day=2)
        later = self.now + timedelta(days=(next_month - self.now.date()).days)
        assert statements.make_due_statements(ports, [LENDER], later) == 1
        [made] = statements.list_statements(*told)
        line = statements.read_statements(*told, made["month"], now=later)[0]["lines"][0]
        wish = {"currency": "CNY", "source": line["source"], "reason": SECRET}
        objection = statements.object_to_line(*told, made["month"], AGENCYS, self.context, **wish)
        answer = {"decision": "refuse", "answer": SECRET}
        statements.answer_objection(*told, objection.id, LENDERS, self.context, **answer)

    def _experiments(self) -> None:
        ports, case = wiring.experiment_ports(), self.store.case(SCOPE, self.case())
        assert case is not None
        design = Design.model_validate(HOLDOUT)
        made = experiments.draft_experiment(ports, SCOPE, "exp_1", "Self-cure", design, LENDERS, self.context)
        running = experiments.start_experiment(ports, SCOPE, made.id, OFFICERS, self.context, reason="agreed")
        trial = experiments.assign(ports, SCOPE, running, case, now=self.now, req="req_world")
        assert experiments.measure(ports, SCOPE, trial.id, now=self.now + timedelta(days=40)) == "trial_measured"
        experiments.end_experiment(ports, SCOPE, made.id, LENDERS, self.context, reason=SECRET)

    def _plans(self) -> None:
        ports, case = wiring.plan_ports(), self.case()
        ports.plans.put_plans(SCOPE, [CasePlan(case=case, due_at=to_text(self.now), version=1)])
        self.now = self.now.replace(hour=3, minute=0)
        for _ in range(3):
            assert plans.look(ports, SCOPE, case, now=self.now) is not None
            self.now += timedelta(hours=6, minutes=59)
            self.now = min(self.now, self.now.replace(hour=9, minute=59))
        told: dict[str, Any] = {"decision": "skip", "reason": SECRET}
        plans.override_plan(ports, SCOPE, case, AGENCYS, self.context, **told)

    def _american(self) -> str:
        case = self.case(country="US", region="US-TX", currency="USD")
        known = self.store.case(SCOPE, case)
        assert known is not None
        person = self.store.person(SCOPE, known.debtor)
        assert person is not None
        stored(self.store, person.model_copy(update={"residences": (Residence(country="US", region="US-TX"),)}))
        return case

    def _privacy(self) -> None:
        case = self.store.case(SCOPE, self.case(state=CaseState.SETTLED, amount_due_minor=0))
        assert case is not None
        PortfolioRepository(self.store).write_parties(SCOPE, [(case.debtor, case.id)])
        told_who: dict[str, Any] = {"org": LENDER, "role": "lender", "actor": LENDERS.actor}
        assert access.admit(self.store, SCOPE, now=self.now, req="req_world", **told_who)
        other = self.store.case(SCOPE, self.case())
        assert other is not None
        unmasking.unmask(
            self.store,
            SCOPE,
            other.id,
            Target("name", other.debtor),
            unmasking.Why("verify_identity", SECRET),
            LENDERS,
            self.context,
            role="compliance",
            client="officer",
            unmasking_id="unm_1",
        )
        copy: dict[str, Any] = {"requested_by": "person", "identity_check": "check-1", "export_id": "exp_1"}
        exporting.request_export(
            self.store, SCOPE, case.debtor, actor=LENDERS.actor, now=self.now, req="req_world", **copy
        )
        self._holds(case.debtor)
        wish = erasure.Wish("purpose_met", "person", "check-1")
        told: dict[str, Any] = {"actor": LENDERS.actor, "now": self.now, "req": "req_world"}
        erasure.request_erasure(self.store, SCOPE, case.debtor, wish, erasure_id="era_1", **told)

    def _customers(self) -> None:
        ports, pairs = wiring.person_ports(), wiring.duplicate_ports()
        cases = self.store.cases(SCOPE, [self.case() for _ in range(3)])
        first, second, third = (case.debtor for case in cases.values())
        told: tuple[Any, ...] = (LENDERS, self.context)
        wish = persons.NewPoint("email", "wei@mail.test", "left_by_debtor", "person_gave_it", None, "granted", "email")
        added = persons.add_point(ports, SCOPE, first, wish, *told)
        proof = persons.Proof("lender_record")
        persons.verify_point(ports, SCOPE, first, added.point or "", "ok", proof, *told)
        persons.retire_point(ports, SCOPE, first, added.point or "", "person_asked", *told)
        persons.set_preferences(ports, SCOPE, first, persons.Wishes("zh", "sms"), proof, *told)
        persons.confirm_data(ports, SCOPE, first, "identity", persons.Corrections(name=SECRET), proof, *told)
        why = duplicates.Why("same_document", SECRET)
        merge = duplicates.merge_persons(pairs, SCOPE, first, second, why, *told, merge_id="mrg_1")
        duplicates.split_person(pairs, SCOPE, first, merge.id, why, *told)
        duplicates.dismiss(pairs, SCOPE, first, third, why, *told)

    def _holds(self, person: str) -> None:
        who: dict[str, Any] = {"actor": LENDERS.actor, "now": self.now, "req": "req_world"}
        why: dict[str, Any] = {"reason": "litigation", "matter": "case-1"}
        holding.place_person_hold(self.store, SCOPE, person, hold_id="hold_person", **why, **who)
        holding.release_person_hold(self.store, SCOPE, person, "hold_person", **who)
        holding.place_log_hold(self.store, SCOPE, "2026", **why, **who)
        bucket, path = MemoryLocks(), f"{LENDER}/2026/checkpoint"
        bucket.put(path, self.now, until=None)
        bucket.hide(path, self.now)
        logs = [LogName(LENDER, "2026")]
        ports = keeping.KeepPorts(self.store, KeepRepository(), bucket, lambda: logs, Scope)
        keeping.keep_archive(ports, now=self.now)
        holding.release_log_hold(self.store, SCOPE, "2026", **who)

    def _simulations(self) -> None:
        ports = simulations.SimulationPorts(
            store=self.store,
            simulations=SimulationRepository(self.store, audit_domain=ENVIRONMENT["FORBEAR_AUDIT_DOMAIN"]),
            supposing=wiring._Supposing(),
            queues=self.queues,
            scope_for=Scope,
        )
        simulations.project(ports.simulations, self.events())
        day = NOW.date().isoformat()
        wish = json.dumps({"from": day, "to": day, "shadow": "all"})
        told: dict[str, Any] = {"actor": LENDERS.actor, "now": self.now, "req": "req_world"}
        for identity in ("sim_1", "sim_2"):
            asked = simulations.Asked(identity, day, day, ("shadow",), wish)
            simulations.request_simulation(ports, SCOPE, asked, **told)
        simulations.cancel_simulation(ports, SCOPE, "sim_2", **told)
        for number in (None, 0):
            simulations.work(
                ports,
                {"tenant": LENDER, "simulation": "sim_1", "chunk": number},
                clock=lambda: self.now,
                seconds_left=lambda: 100.0,
                req="req_world",
            )

    def _exports(self) -> None:
        ports = replace(wiring.export_ports(), scope_for=Scope)
        archiver = replace(
            memory_ports(MemoryAudit(), MemoryBucket()), repository=ports.repository, bucket=wiring.archive_bucket()
        )
        archive.enqueue_events(ports.repository, [each for each in self.events() if each.stream == LENDER])
        archive.run_archive(archiver, now=self.now)
        told: dict[str, Any] = {"actor": OFFICERS.actor, "now": self.now, "req": "req_world"}
        day = self.now.date().isoformat()
        asked = archive_exports.Asked("aex_1", "range", first_day=day, last_day=day)
        archive_exports.request_export(ports, SCOPE, asked, **told)
        for _ in range(2):
            archive_exports.work(
                ports,
                {"tenant": LENDER, "export": "aex_1"},
                clock=lambda: self.now,
                seconds_left=lambda: 100.0,
                req="req_world",
            )
            archive_exports.project(ports.exports, self.events())
            archive_exports.sign_manifests(ports, archiver.signers, now=self.now, req="req_world")
        archive_exports.download(ports, SCOPE, "aex_1", **told)

    def events(self) -> list[Event]:
        """Return every event of the table, stream by stream."""
        found = [item for item in Record.scan() if item.sk.startswith("EV#")]
        found.sort(key=lambda item: (item.pk, item.sk))
        return [event_of(item.e, tenant=LENDER) for item in found]
