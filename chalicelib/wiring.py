"""Builds the real ports, each once a process and on first use; tests build their own."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from functools import cache, lru_cache
from typing import Any

from chalicelib.domain.cursors import cursor_key as derive_cursor_key
from chalicelib.domain.events import Event
from chalicelib.domain.house import HouseRef
from chalicelib.domain.outreach.approval import ApprovalSigner, Invalid, Valid, verify
from chalicelib.domain.outreach.attempt import Attempt
from chalicelib.domain.principals import TenantScope, system_scope
from chalicelib.domain.residency import require_home
from chalicelib.gateways import clock
from chalicelib.gateways.approval_keys import KmsApprovalRoot
from chalicelib.gateways.queues import SqsQueues
from chalicelib.gateways.region_keys import KmsDataKeys
from chalicelib.settings import names, region, settings
from chalicelib.store import tables
from chalicelib.store.audit_repository import AuditViews
from chalicelib.store.feed_repository import FeedRepository
from chalicelib.store.idempotency_repository import AnswersInTable
from chalicelib.store.kpi_repository import KpiRepository
from chalicelib.store.repository import Store, event_of
from chalicelib.store.sealing import Sealer
from chalicelib.usecases import (
    activities,
    archive,
    cases,
    compliance,
    dispatch,
    feeds,
    kpis,
    messages,
    projections,
    simulations,
)
from chalicelib.usecases.due import Handler
from chalicelib.usecases.ports import Scope


def now() -> datetime:
    """Return the present instant (UTC): the clock service's in the local cloud, the machine's elsewhere."""
    return clock.served_now(settings().clock_url) if settings().clock_url else clock.system_now()


def worker_scope(tenant: str) -> TenantScope:
    """Return the scope of a worker whose queue body, stream record or due item names the lender.

    Raises Misdirected when the lender is at home in another region: the message comes back, and then waits where people look.
    """
    return at_home(system_scope(tenant))


@cache
def _homes() -> dict[str, str]:
    """Return the home regions that this process has read; a lender's never changes."""
    return {}


def home_of(scope: TenantScope) -> str | None:
    """Return the region in which the lender's data are at home, None when it never registered here."""
    homes = _homes()
    if scope.tenant not in homes:
        lender = store().lender(scope)
        if lender is None:
            return None
        homes[scope.tenant] = lender.home_region
    return homes[scope.tenant]


def at_home(scope: TenantScope) -> TenantScope:
    """Return the scope of a lender that this region serves, or that is unknown. Raises Misdirected for another region's."""
    require_home(home_of(scope), region())
    return scope


@cache
def store() -> Store:
    """Return the repository over the stage's tables."""
    tables.connect(names())
    return Store(Sealer(KmsDataKeys(names().data_key)), audit_domain=settings().audit_domain)


def stored_event(packed: bytes, *, tenant: str) -> Event:
    """Return the event that an item of the lender holds in the form in which the table stores it."""
    return event_of(packed, tenant=tenant)


@cache
def queues() -> SqsQueues:
    """Return the stage's queues."""
    return SqsQueues(names().queue_url_prefix)


@cache
def feed_repository() -> FeedRepository:
    """Return the agencies' feeds and the case lists."""
    store()
    return FeedRepository()


def _service_key() -> bytes:
    # "~" stands in no id, so no lender can ever have this key.
    return store().sealer.index_key("~api")


@cache
def answers() -> AnswersInTable:
    """Return the answers by Idempotency-Key."""
    store()
    return AnswersInTable(_service_key)


def cursor_key() -> bytes:
    """Return the key under which cursors are sealed."""
    return derive_cursor_key(_service_key())


def scopes_of_lenders() -> list[TenantScope]:
    """Return a scope for every registered lender, for what carriers bring in without naming one."""
    return [worker_scope(tenant) for tenant in lenders()]


def public_url() -> str:
    """Return the address under which callers reach the API, "" when it is not known."""
    return settings().public_url


# Compliance and dispatch


def explain(ruling: Mapping[str, Any], language: str, *, tenant: str) -> list[str]:
    """Return the reasons of a ruling in ``zh`` or ``en``, one sentence a rule; ``tenant`` is whose house rules it names."""
    from chalicelib.domain.compliance import explain, load_packs

    packs = load_packs()
    own = [each["sha256"] for each in ruling["packs"] if each["id"] not in packs.index]
    return explain(ruling, language, packs, [_house_pack(tenant, sha256) for sha256 in own])


@lru_cache(maxsize=64)
def _house_pack(tenant: str, sha256: str) -> Any:
    from chalicelib.domain.compliance import Pack

    text = house_ports().houses.document(tenant, sha256)
    if text is None:
        raise LookupError(f"the house pack {sha256} is gone")
    return Pack(json.loads(text), sha256)


def _house_packs(house: Iterable[HouseRef]) -> list[Any]:
    return [_house_pack(ref.lender, ref.sha256) for ref in house]


@cache
def house_ports() -> Any:
    """Return what house rules need; the checks load the law when they are first asked."""
    from chalicelib.store.house_repository import HouseRepository
    from chalicelib.usecases import house_rules

    return house_rules.HousePorts(store(), HouseRepository(), _HouseChecks())


class _HouseChecks:
    """What house rules may say, beside the packs in this package."""

    def authored(self, rules: Iterable[Mapping[str, Any]], *, today: str) -> list[dict[str, Any]]:
        """Return the rules with what they leave out."""
        from chalicelib.domain.compliance import house

        return house.authored(rules, today=today)

    def faults(
        self, house: str, rules: list[dict[str, Any]], enforce: Sequence[str], zone: str | None
    ) -> Sequence[Any]:
        """Return what keeps them from being house rules."""
        from chalicelib.domain.compliance import load_packs
        from chalicelib.domain.compliance.house import faults_of

        return faults_of(house, rules, enforce, load_packs(), zone)

    def compiled(
        self, house: str, number: int, name: str, rules: list[dict[str, Any]], enforce: Sequence[str], zone: str | None
    ) -> tuple[str, str]:
        """Return the compiled pack's text and its SHA-256 (hex)."""
        from chalicelib.domain.compliance import load_packs
        from chalicelib.domain.compliance.house import compiled

        return compiled(house, number, name, rules, enforce, load_packs(), zone)


def explained(dossier: Mapping[str, Any], house: Sequence[HouseRef] = ()) -> dict[str, Any]:
    """Return the ruling on a dossier with its rules annotated, and what the watched rules would say."""
    from chalicelib.domain.compliance import load_packs
    from chalicelib.domain.compliance.explained import explained

    return explained(dossier, load_packs(), _house_packs(house))


@cache
def rulebook() -> Any:
    """Return the rule book of the packs in this package."""
    from chalicelib.domain.compliance import load_packs
    from chalicelib.domain.compliance.rulebook import RuleBook

    return RuleBook(load_packs())


def forbidden_words(text: str, countries: Iterable[str], *, on: datetime) -> Any:
    """Return the words in a text that the rules of these countries forbid on the date (UTC) of an instant."""
    from chalicelib.domain.compliance import load_packs
    from chalicelib.domain.compliance.contents import forbidden_words

    return forbidden_words(text, countries, load_packs(), on=on.date().isoformat())


class _Engine:
    """The compliance engine over the packs in this package, and the house packs that a ruling names."""

    def rule(self, dossier: Mapping[str, Any], house: Sequence[HouseRef] = ()) -> dict[str, Any]:
        """Return the ruling."""
        from chalicelib.domain.compliance import load_packs, rule

        return rule(dict(dossier), load_packs(), _house_packs(house))

    def rule_set(self, ruling: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the rule set that the ruling rests on."""
        from chalicelib.domain.compliance import load_packs, rule_set

        return rule_set(ruling, load_packs())


@cache
def engine() -> _Engine:
    """Return the compliance engine."""
    return _Engine()


@cache
def approval_root() -> KmsApprovalRoot:
    """Return the root key of approvals."""
    return KmsApprovalRoot(names().approval_key)


@cache
def approval_signer() -> ApprovalSigner:
    """Return the signer of approvals; only the compliance function's role lets it work."""
    root = approval_root()
    return ApprovalSigner(root.sign, root_key_id=root.key_id())


def approval_verifier() -> dispatch.Verifier:
    """Return the check of an approval against the root key."""

    def check(
        approval: Mapping[str, Any],
        *,
        now: datetime,
        contact: str,
        recipient: str,
        content: str | None,
        template: tuple[str | None, str | None],
    ) -> Valid | Invalid:
        root = approval_root().public_key()
        return verify(
            approval, root=root, now=now, contact=contact, recipient=recipient, content=content, template=template
        )

    return check


def refresh_content(facts: compliance.Facts, at: datetime) -> Attempt:
    """Return the attempt, rendered anew when its balance has moved on."""
    return messages.refresh_content(facts, at)


@cache
def carriers() -> dict[str, dispatch.Carrier]:
    """Return the way out of each channel; only the dispatcher's role lets them work."""
    from chalicelib.gateways.letters import LettersBucket
    from chalicelib.gateways.mail import SesMail
    from chalicelib.gateways.sms import SnsTextMessages
    from chalicelib.gateways.wechat import CorporateWeChat

    known = settings()
    return {
        "sms": SnsTextMessages(),
        "email": SesMail(known.sender_email, configuration_set=known.ses_configuration_set),
        "wechat": CorporateWeChat(
            known.wechat_url, corp_id=known.wechat_corp_id, secret=known.wechat_secret, account=known.wechat_account
        ),
        "letter": LettersBucket(names().letters_bucket),
    }


# Projections, schedules


def projections_by_name() -> dict[str, projections.Projection]:
    """Return every projection of the event stream by name."""

    def to_queues(events: Any) -> list[str]:
        return projections.route_to_queues(events, queues())

    def to_feeds(events: Any) -> list[str]:
        return feeds.project_feeds(feed_repository(), store(), events, scope_for=worker_scope)

    def to_cases(events: Any) -> list[str]:
        return activities.project_reports(store(), events, scope_for=worker_scope)

    def to_figures(events: Any) -> list[str]:
        return kpis.project_kpis(kpi_ports().repository, events)

    def to_archive(events: Any) -> list[str]:
        return archive.enqueue_events(audit_repository(), events)

    def to_duties(events: Any) -> list[str]:
        from chalicelib.usecases import duties

        return duties.project_duties(duty_ports(), events, scope_for=worker_scope, now=now())

    def to_outcomes(events: Any) -> list[str]:
        from chalicelib.usecases import outcomes

        return outcomes.project_outcomes(outcome_repository(), events)

    def to_feedback(events: Any) -> list[str]:
        from chalicelib.usecases import feedback

        return feedback.project_feedback(feedback_ports(), events, scope_for=worker_scope, now=now())

    def to_risks(events: Any) -> list[str]:
        from chalicelib.usecases import risks

        return risks.project_risks(risk_ports(), events, scope_for=worker_scope)

    def to_quality(events: Any) -> list[str]:
        from chalicelib.usecases import quality

        return quality.project_quality(quality_ports(), events, scope_for=worker_scope)

    def to_reviews(events: Any) -> list[str]:
        from chalicelib.usecases import review_queue

        return review_queue.project_queue(review_queue_ports(), events, scope_for=worker_scope)

    def to_surveys(events: Any) -> list[str]:
        from chalicelib.usecases import surveys

        return surveys.project_surveys(survey_ports(), events, scope_for=worker_scope, now=now())

    def to_plans(events: Any) -> list[str]:
        from chalicelib.usecases import plans

        return plans.project_plans(plan_ports(), events, scope_for=worker_scope, now=now())

    def to_decisions(events: Any) -> list[str]:
        return simulations.project(simulation_ports().simulations, events)

    def to_signatures(events: Any) -> list[str]:
        from chalicelib.usecases import archive_exports

        return archive_exports.project(export_ports().exports, events)

    def to_upkeep(events: Any) -> list[str]:
        from chalicelib.usecases import upkeep

        return upkeep.project_upkeep(upkeep_ports(), events, scope_for=worker_scope, now=now())

    def to_duplicates(events: Any) -> list[str]:
        from chalicelib.usecases import duplicates

        return duplicates.project_duplicates(duplicate_ports(), events, scope_for=worker_scope)

    def to_statements(events: Any) -> list[str]:
        from chalicelib.usecases import statements

        return statements.project_money(statement_ports(), events)

    return {
        "queues": to_queues,
        "feeds": to_feeds,
        "reports": to_cases,
        "figures": to_figures,
        "duties": to_duties,
        "feedback": to_feedback,
        "risks": to_risks,
        "quality": to_quality,
        "reviews": to_reviews,
        "surveys": to_surveys,
        "outcomes": to_outcomes,
        "archive": to_archive,
        "decisions": to_decisions,
        "signatures": to_signatures,
        "plans": to_plans,
        "duplicates": to_duplicates,
        "upkeep": to_upkeep,
        "statements": to_statements,
    }


@cache
def person_ports() -> Any:
    """Return what the customer database needs."""
    from chalicelib.domain.intake.values import telephone
    from chalicelib.store.person_repository import PersonRepository
    from chalicelib.usecases import persons

    repository = PersonRepository(store())
    return persons.PersonPorts(
        store(),
        repository,
        telephone=lambda text, country: telephone(text, country=country),
        point_id=repository.point_id,
    )


@cache
def upkeep_ports() -> Any:
    """Return what keeping customers' data up to date needs."""
    from chalicelib.store.upkeep_repository import UpkeepRepository
    from chalicelib.usecases import upkeep

    return upkeep.UpkeepPorts(store(), UpkeepRepository(store()))


def coverage(scope: Scope, who: str | None) -> dict[str, Any] | None:
    """Return the share of customers whose data are up to date, of a lender or one agency."""
    from chalicelib.usecases import upkeep

    return upkeep.coverage_of(upkeep_ports(), scope, who)


@cache
def duplicate_ports() -> Any:
    """Return what finding, merging and splitting records needs."""
    from chalicelib.store.person_repository import PersonRepository
    from chalicelib.usecases import duplicates

    return duplicates.DuplicatePorts(store(), PersonRepository(store()))


@cache
def duty_ports() -> Any:
    """Return what duties need."""
    from chalicelib.domain.compliance import load_packs
    from chalicelib.domain.duties.places import places_of
    from chalicelib.store.duty_repository import DutyRepository
    from chalicelib.usecases import duties

    return duties.DutyPorts(store(), DutyRepository(), lambda person: places_of(person, load_packs()))


@cache
def outcome_repository() -> Any:
    """Return the lenders' feeds of outcomes."""
    from chalicelib.store.outcome_repository import OutcomeRepository

    store()
    return OutcomeRepository()


@cache
def feedback_ports() -> Any:
    """Return what feedback needs."""
    from chalicelib.store.duty_repository import DutyRepository
    from chalicelib.store.feedback_repository import FeedbackRepository
    from chalicelib.usecases import feedback

    return feedback.FeedbackPorts(store(), FeedbackRepository(), DutyRepository())


@cache
def risk_ports() -> Any:
    """Return what legal-risk events need."""
    from chalicelib.store.risk_repository import RiskRepository
    from chalicelib.usecases import risks

    return risks.RiskPorts(store(), RiskRepository())


@cache
def quality_ports() -> Any:
    """Return what quality checks need; the law's words are loaded when a text is first looked at."""
    from chalicelib.store.quality_repository import QualityRepository
    from chalicelib.usecases import quality

    def forbidden(text: str, country: str, on: datetime) -> bool:
        return any(not word.excusable for word in forbidden_words(text, [country], on=on))

    return quality.QualityPorts(store(), QualityRepository(), forbidden)


@cache
def review_queue_ports() -> Any:
    """Return what counsel's queue needs."""
    from chalicelib.store.queue_repository import QueueRepository
    from chalicelib.store.risk_repository import RiskRepository
    from chalicelib.usecases import review_queue

    return review_queue.QueuePorts(store(), RiskRepository(), QueueRepository())


@cache
def survey_ports() -> Any:
    """Return what surveys need."""
    from chalicelib.store.survey_repository import SurveyRepository
    from chalicelib.usecases import surveys

    return surveys.SurveyPorts(store(), SurveyRepository())


@cache
def kpi_ports() -> kpis.KpiPorts:
    """Return what the key figures need."""
    store()
    return kpis.KpiPorts(KpiRepository(zone_of))


@cache
def pack_ports() -> Any:
    """Return what weekly review packs need; what sets a PDF is loaded when one is set."""
    from chalicelib.gateways.reports_bucket import ReportsBucket
    from chalicelib.store.duty_repository import DutyRepository
    from chalicelib.store.review_repository import ReviewRepository
    from chalicelib.usecases import review_packs

    return review_packs.PackPorts(
        kpis=kpi_ports(),
        reviews=ReviewRepository(),
        files=ReportsBucket(names().reports_bucket),
        duties=DutyRepository(),
        pdf=_review_pdf,
        zone_of=zone_of,
        scope_for=worker_scope,
        lifts=lifts,
        coverage=coverage,
    )


@cache
def month_ports() -> Any:
    """Return what closing months, and reading roll rates, needs."""
    from chalicelib.store.roll_repository import RollRepository
    from chalicelib.usecases import month_close

    return month_close.MonthPorts(RollRepository(), feed_repository(), store(), zone_of, worker_scope)


def lifts(scope: Scope) -> list[Any]:
    """Return what a lender's experiments say about changes of strategy."""
    from chalicelib.usecases import experiments

    return experiments.lifts_of(experiment_ports(), scope)


@cache
def statement_ports() -> Any:
    """Return what terms and statements need; what sets a file is loaded when one is set."""
    from chalicelib.gateways.reports_bucket import ReportsBucket
    from chalicelib.store.money_repository import MoneyRepository
    from chalicelib.usecases import statements

    return statements.StatementPorts(
        store=store(),
        money=MoneyRepository(),
        files=ReportsBucket(names().reports_bucket),
        render=_statement_file,
        conduct=_conduct,
        scope_for=worker_scope,
        zone_of=zone_of,
    )


def _statement_file(statement: Mapping[str, Any], language: str, kind: str) -> bytes:
    from chalicelib.gateways.statement_files import render

    return render(statement, language, kind)


def _conduct(scope: Scope, agency: str, first: date, last: date) -> tuple[int, int]:
    """Return an agency's confirmed breaches and outbound contacts between two days (both closed)."""
    for report in kpis.get_kpis_of_each(kpi_ports(), scope, first, last, "agency"):
        if report.who == agency:
            for each in report.figures:
                if each.figure.definition.id == "risk_event_rate":
                    return each.figure.numerator, each.figure.denominator or 0
    return 0, 0


def _review_pdf(pack: Mapping[str, Any], language: str) -> bytes:
    from chalicelib.gateways.review_pages import review_pdf

    return review_pdf(pack, language)


def lenders() -> list[str]:
    """Return the id of every registered lender that is at home in this region."""
    return [tenant for tenant in store().lenders() if home_of(system_scope(tenant)) == region()]


_ZONES: dict[str, str] = {}


def zone_of(tenant: str) -> str:
    """Return the IANA zone of a lender's business day (which never changes); UTC for one that is not registered yet."""
    if tenant not in _ZONES:
        lender = store().lender(worker_scope(tenant))
        if lender is None:
            return "UTC"
        _ZONES[tenant] = lender.zone
    return _ZONES[tenant]


@cache
def audit_repository() -> AuditViews:
    """Return the waiting and assigned audit entries of every lender's logs."""
    store()
    return AuditViews()


@cache
def archive_bucket() -> archive.ArchiveBucket:
    """Return the bucket of the logs."""
    from chalicelib.gateways.archive_bucket import S3Archive

    return S3Archive(names().archive_bucket)


@cache
def archive_ports() -> archive.ArchivePorts:
    """Return what the sequencer needs; only the archiver's role lets its keys sign."""
    from chalicelib.gateways.signing_keys import note_signers
    from chalicelib.gateways.time_stamps import stamper
    from chalicelib.gateways.witnesses import ask_witness
    from chalicelib.usecases import cosigning

    known = settings()
    return archive.ArchivePorts(
        repository=audit_repository(),
        bucket=archive_bucket(),
        signers=note_signers(ed25519=names().archive_key_ed25519, p256=names().archive_key_p256),
        audit_domain=known.audit_domain,
        rule_documents=_rule_documents,
        stamp=stamper(known.time_authority_url) if known.time_authority_url else None,
        policy=lambda tenant: cosigning.policy_of(store(), worker_scope(tenant)),
        ask=ask_witness,
    )


@cache
def keep_ports() -> Any:
    """Return what keeping the archive needs; only the keeper's role lets it lengthen locks."""
    from chalicelib.gateways.archive_locks import S3Locks
    from chalicelib.store.keep_repository import KeepRepository
    from chalicelib.usecases import keeping

    return keeping.KeepPorts(
        store(), KeepRepository(), S3Locks(names().archive_bucket), audit_repository().logs, worker_scope
    )


@cache
def export_ports() -> Any:
    """Return what exports of the archive need."""
    from chalicelib.gateways.archive_bucket import S3Archive
    from chalicelib.gateways.exports_bucket import S3Exports
    from chalicelib.gateways.guides import guides
    from chalicelib.store.export_repository import ExportRepository
    from chalicelib.usecases import archive_exports

    return archive_exports.ExportPorts(
        store=store(),
        exports=ExportRepository(store()),
        repository=audit_repository(),
        archive=S3Archive(names().archive_bucket),
        files=S3Exports(names().exports_bucket),
        guides=guides,
        scope_for=worker_scope,
        queues=queues(),
    )


def _rule_documents(tenant: str, digests: Iterable[str]) -> Mapping[str, bytes]:
    """Return those packs and atlases, by digest, that this package holds, and the lender's own house packs."""
    from chalicelib.domain.compliance import load_packs
    from chalicelib.domain.compliance.documents import shipped_documents

    wanted = list(digests)
    shipped = shipped_documents(wanted, load_packs())
    return {**shipped, **house_ports().houses.documents(tenant, [each for each in wanted if each not in shipped])}


def due_handlers() -> dict[str, Handler]:
    """Return what is done with due aggregates other than messages, by the kind in their key."""

    def case(scope: Scope, identity: str, at: datetime) -> str | None:
        from chalicelib.usecases import assignment

        finished = cases.finish_due(store(), scope, identity, now=at)
        return finished or assignment.offer_due(store(), queues(), scope, identity, now=at)

    def portfolio(scope: Scope, identity: str, at: datetime) -> str | None:
        from chalicelib.usecases import portfolios

        return portfolios.resume(portfolio_ports(), scope, identity, now=at)

    def duty(scope: Scope, identity: str, at: datetime) -> str | None:
        from chalicelib.usecases import duties

        return duties.finish_due(duty_ports(), scope, identity, now=at)

    def trainee(scope: Scope, identity: str, at: datetime) -> str | None:
        from chalicelib.usecases import certificates

        return certificates.finish_due(certificate_ports(), scope, identity, now=at)

    def training(scope: Scope, identity: str, at: datetime) -> str | None:
        from chalicelib.usecases import trainings

        return trainings.finish_due(training_ports(), scope, identity, now=at)

    def exam(scope: Scope, identity: str, at: datetime) -> str | None:
        from chalicelib.usecases import exams

        return exams.finish_due(exam_ports(), scope, identity, now=at)

    def person(scope: Scope, identity: str, at: datetime) -> str | None:
        from chalicelib.usecases import erasure, upkeep

        done = erasure.reconsider(store(), scope, identity, now=at)
        return done or upkeep.look_again(upkeep_ports(), scope, identity, now=at)

    def simulation(scope: Scope, identity: str, at: datetime) -> str | None:
        return simulations.resume(simulation_ports(), scope, identity, now=at)

    def export(scope: Scope, identity: str, at: datetime) -> str | None:
        from chalicelib.usecases import archive_exports

        return archive_exports.resume(export_ports(), scope, identity, now=at)

    def plan(scope: Scope, identity: str, at: datetime) -> str | None:
        from chalicelib.usecases import plans

        return plans.look(plan_ports(), scope, identity, now=at)

    def enrolment(scope: Scope, identity: str, at: datetime) -> str | None:
        from chalicelib.usecases import plans

        return plans.enrol(plan_ports(), scope, identity, now=at)

    def trial(scope: Scope, identity: str, at: datetime) -> str | None:
        from chalicelib.usecases import experiments

        return experiments.measure(experiment_ports(), scope, identity, now=at)

    def survey(scope: Scope, identity: str, at: datetime) -> str | None:
        from chalicelib.usecases import surveys

        return surveys.look(survey_ports(), scope, identity, now=at)

    return {
        "CASE": case,
        "PF": portfolio,
        "DUTY": duty,
        "PER": person,
        "SIM": simulation,
        "AEX": export,
        "PLAN": plan,
        "ENROL": enrolment,
        "TRIAL": trial,
        "TRAINEE": trainee,
        "EXAM": exam,
        "TRAINING": training,
        "SRV": survey,
    }


@cache
def training_ports() -> Any:
    """Return what training sessions need."""
    from chalicelib.store.training_repository import TrainingRepository
    from chalicelib.usecases.trainings import TrainingPorts

    repository = TrainingRepository()
    return TrainingPorts(store(), repository, repository, repository)


@cache
def exam_ports() -> Any:
    """Return what courses, exams and the certificates that follow from them need."""
    from chalicelib.store.training_repository import TrainingRepository
    from chalicelib.usecases.exams import ExamPorts

    repository = TrainingRepository()
    return ExamPorts(store(), repository, repository, repository)


@cache
def certificate_ports() -> Any:
    """Return what certificates need."""
    from chalicelib.store.training_repository import TrainingRepository
    from chalicelib.usecases.certificates import CertificatePorts

    return CertificatePorts(store(), TrainingRepository())


@cache
def portfolio_ports() -> Any:
    """Return what the intake needs; its modules, the row's models among them, are loaded by who loads portfolios."""
    from chalicelib.gateways.uploads import S3Uploads
    from chalicelib.store.portfolio_repository import PortfolioRepository
    from chalicelib.usecases import customer_updates, portfolios

    repository = PortfolioRepository(store())
    return portfolios.PortfolioPorts(
        store=store(),
        portfolios=repository,
        uploads=S3Uploads(names().uploads_bucket),
        queues=queues(),
        scope_for=worker_scope,
        updates=customer_updates.UpdatePorts(person_ports(), repository),
    )


class _Supposing:
    """What is supposed, over the packs in this package. It makes no approvals: see ``chalicelib.domain.whatif``."""

    def faults(self, scope: Scope, wish: str, *, at: datetime) -> list[tuple[str, str, str]]:
        """Return the faults of a wish."""
        from chalicelib.domain.whatif.supposed import Malformed

        try:
            self._supposition(scope, wish, at)
        except Malformed as refused:
            return [(fault.pointer, fault.code, fault.message) for fault in refused.faults]
        return []

    def comparison(self, scope: Scope, wish: str, *, at: datetime) -> simulations.Comparison:
        """Return what compares decisions under the wish."""
        from chalicelib.domain.whatif.comparison import Compared

        return Compared(self._supposition(scope, wish, at))

    def _supposition(self, scope: Scope, wish: str, at: datetime) -> Any:
        from chalicelib.domain.compliance import load_packs
        from chalicelib.domain.whatif.supposed import Wish, supposition_of

        house = _house_packs(store().house_index(scope).in_force(scope.tenant, at))
        return supposition_of(Wish.model_validate_json(wish), load_packs(), house)


@cache
def strategy_ports() -> Any:
    """Return what strategies need."""
    from chalicelib.store.plan_repository import PlanRepository
    from chalicelib.store.strategy_repository import StrategyRepository
    from chalicelib.usecases import strategies

    return strategies.StrategyPorts(store(), StrategyRepository(), PlanRepository())


@cache
def plan_ports() -> Any:
    """Return what plans need."""
    from chalicelib.store.plan_repository import PlanRepository
    from chalicelib.store.strategy_repository import StrategyRepository
    from chalicelib.usecases import plans

    return plans.PlanPorts(store(), StrategyRepository(), PlanRepository(), feed_repository(), experiment_ports())


@cache
def experiment_ports() -> Any:
    """Return what experiments need."""
    from chalicelib.store.experiment_repository import ExperimentRepository
    from chalicelib.store.plan_repository import PlanRepository
    from chalicelib.store.strategy_repository import StrategyRepository
    from chalicelib.usecases import experiments

    return experiments.ExperimentPorts(store(), ExperimentRepository(), StrategyRepository(), PlanRepository())


@cache
def simulation_ports() -> simulations.SimulationPorts:
    """Return what simulations need."""
    from chalicelib.store.simulation_repository import SimulationRepository

    return simulations.SimulationPorts(
        store=store(),
        simulations=SimulationRepository(store(), audit_domain=settings().audit_domain),
        supposing=_Supposing(),
        queues=queues(),
        scope_for=worker_scope,
    )
