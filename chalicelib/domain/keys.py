"""Every key of the three tables is built here, and nowhere else."""

import base64
import hashlib

EVENT_PREFIX = "EV#"
DUE_SHARDS = 4


def tenant_pk(tenant: str) -> str:
    """Return the partition of a lender's own record, its agencies and their collectors."""
    return f"T#{tenant}"


def agency_sk(org: str) -> str:
    """Return the sort key of an agency as the lender lists it."""
    return f"AGENCY#{org}"


def collector_sk(org: str, collector: str) -> str:
    """Return the sort key of an agency's collector."""
    return f"COLLECTOR#{org}#{collector}"


def template_sk(template: str) -> str:
    """Return the sort key of a template's book: the lives of its versions."""
    return f"TEMPLATE#{template}"


def template_pk(tenant: str, template: str) -> str:
    """Return the partition of a template's contents and its events; the stream's name is no other aggregate's id."""
    return f"T#{tenant}#TPL#tpl_{template}"


def template_version_sk(number: int) -> str:
    """Return the sort key of the content of a template's version, numbered from 1."""
    return f"V#{number:05d}"


def strategy_sk(strategy: str) -> str:
    """Return the sort key, in a lender's own partition, of a strategy's book: the lives of its versions."""
    return f"STRATEGY#{strategy}"


def strategy_pk(tenant: str, strategy: str) -> str:
    """Return the partition of a strategy's contents and its events; the stream's name is no other aggregate's id."""
    return f"T#{tenant}#STRAT#str_{strategy}"


def strategy_version_sk(number: int) -> str:
    """Return the sort key of the content of a strategy's version, numbered from 1."""
    return f"V#{number:05d}"


def agreement_pk(tenant: str, org: str) -> str:
    """Return the partition of the terms with an agency, its objections and their events; its name is no other stream's."""
    return f"T#{tenant}#AGREE#agr_{org}"


def terms_sk(number: int) -> str:
    """Return the sort key of a version of the terms, numbered from 1."""
    return f"V#{number:05d}"


def objection_sk(objection: str) -> str:
    """Return the sort key of an objection to a line."""
    return f"OBJECTION#{objection}"


def money_pk(tenant: str, month: str) -> str:
    """Return the view partition of the money booked in a month; sk is ``<agency>#<stream>#<seq, 8 digits>``."""
    return f"T#{tenant}#MONEY#{month}"


def earned_pk(tenant: str, org: str) -> str:
    """Return the view partition of what each payment earned an agency; sk is the payment."""
    return f"T#{tenant}#EARNED#{org}"


def statements_pk(tenant: str, org: str) -> str:
    """Return the view partition of an agency's statements; sk is ``<month>#<currency>``."""
    return f"T#{tenant}#STATEMENTS#{org}"


def stated_pk(tenant: str) -> str:
    """Return the view partition of the months whose statements are all made; sk is ``<month>#<agency>``."""
    return f"T#{tenant}#STATED"


def plan_pk(tenant: str, case: str) -> str:
    """Return the partition of a case's plan; its events stand in the stream of its case."""
    return f"T#{tenant}#PLAN#{case}"


def enrolment_pk(tenant: str, strategy: str, number: int) -> str:
    """Return the partition of the walk that gives every case a plan when a version is activated."""
    return f"T#{tenant}#ENROL#{strategy}-{number}"


def budget_pk(tenant: str, day: str) -> str:
    """Return the view partition that counts what the strategies asked for on a local day; sk is whose and the channel."""
    return f"T#{tenant}#BUDGET#{day}"


def experiment_sk(experiment: str) -> str:
    """Return the sort key, in a lender's own partition, of an experiment."""
    return f"EXPERIMENT#{experiment}"


def experiment_pk(tenant: str, experiment: str) -> str:
    """Return the partition of an experiment's counts and its events."""
    return f"T#{tenant}#EXP#{experiment}"


def trial_pk(tenant: str, trial: str) -> str:
    """Return the partition of one person's trial in an experiment, and of its events."""
    return f"T#{tenant}#TRIAL#{trial}"


def trying_pk(tenant: str) -> str:
    """Return the view partition that leads from a strategy's version to the experiment that runs on it."""
    return f"T#{tenant}#TRYING"


def portfolio_pk(tenant: str, portfolio: str) -> str:
    """Return the partition of a portfolio, its chunks and its events."""
    return f"T#{tenant}#PF#{portfolio}"


def chunk_sk(number: int) -> str:
    """Return the sort key of a portfolio's chunk, numbered from 0."""
    return f"CHUNK#{number:05d}"


def update_mark_pk(tenant: str, index: str) -> str:
    """Return the partition of the mark that a row of customer updates was taken, by the blind index of who calls it what."""
    return f"T#{tenant}#UPDATE#{index}"


def person_pk(tenant: str, person: str) -> str:
    """Return the partition of a person, their contact ledger and their events."""
    return f"T#{tenant}#PER#{person}"


def case_pk(tenant: str, case: str) -> str:
    """Return the partition of a case and its events."""
    return f"T#{tenant}#CASE#{case}"


def matter_pk(tenant: str, matter: str) -> str:
    """Return the partition of a suit; its events stand in the stream of its case."""
    return f"T#{tenant}#LIT#{matter}"


def message_pk(tenant: str, message: str) -> str:
    """Return the partition of an attempt (message or clearance); its events stand in the case's stream."""
    return f"T#{tenant}#MSG#{message}"


def org_pk(tenant: str, org: str) -> str:
    """Return the stream of an organisation as one lender sees it."""
    return f"T#{tenant}#ORG#{org}"


HOUSE_INDEX_SK = "HOUSE"
"""The sort key, in a lender's own partition, of the item that says which house rules bind."""


WITNESSES_SK = "WITNESSES"
"""The sort key, in a lender's own partition, of the policy that says who must have seen its logs."""


def log_hold_sk(year: str) -> str:
    """Return the sort key, in a lender's own partition, of the legal hold on its log of a year."""
    return f"LOGHOLD#{year}"


def keep_pk(tenant: str) -> str:
    """Return the view partition of how far the archive's keeper came with a lender's logs; sk is the year."""
    return f"T#{tenant}#KEEP"


def house_sk(house: str) -> str:
    """Return the sort key, in a lender's own partition, of a set of house rules."""
    return f"HOUSE#{house}"


def house_pk(tenant: str, house: str) -> str:
    """Return the partition of a set of house rules: its versions and its events."""
    return f"T#{tenant}#HOUSE#{house}"


def house_version_sk(number: int) -> str:
    """Return the sort key of a version of a set of house rules, numbered from 1."""
    return f"V#{number:06d}"


def house_document_pk(tenant: str, sha256: str) -> str:
    """Return the partition of a compiled house pack, found by its digest."""
    return f"T#{tenant}#HOUSEDOC#{sha256}"


def trainee_pk(tenant: str, trainee: str) -> str:
    """Return the partition of a collector's training record, certificates and their events."""
    return f"T#{tenant}#TRAINEE#{trainee}"


TRAINEE_SK = "TRAINEE"
"""The sort key of a collector's training record in its partition."""


def course_sk(course: str) -> str:
    """Return the sort key, in a lender's own partition, of a course."""
    return f"COURSE#{course}"


def course_pk(tenant: str, course: str) -> str:
    """Return the partition of a course's versions and its events; the stream's name is no other aggregate's id."""
    return f"T#{tenant}#COURSE#crs_{course}"


def course_version_sk(number: int) -> str:
    """Return the sort key of a course's version, numbered from 1."""
    return f"V#{number:05d}"


def exam_pk(tenant: str, exam: str) -> str:
    """Return the partition of an exam; its events stand in the stream of the collector's training record."""
    return f"T#{tenant}#EXAM#{exam}"


def training_pk(tenant: str, session: str) -> str:
    """Return the partition of a training session, its attendances and its events."""
    return f"T#{tenant}#TRAINING#{session}"


def attendance_sk(trainee: str) -> str:
    """Return the sort key of a collector's attendance of a session."""
    return f"ATT#{trainee}"


def certificate_sk(country: str) -> str:
    """Return the sort key of a collector's certificate for a country."""
    return f"CERT#{country}"


def duty_pk(tenant: str, duty: str) -> str:
    """Return the partition of a duty; its events stand in the stream of its case or person."""
    return f"T#{tenant}#DUTY#{duty}"


def duties_pk(tenant: str) -> str:
    """Return the view partition that lists a lender's duties by state and due instant."""
    return f"T#{tenant}#DUTIES"


def agency_duties_pk(org: str) -> str:
    """Return the view partition that lists what an agency owes, by state and due instant."""
    return f"A#{org}#DUTIES"


def duties_about_pk(tenant: str, subject: str) -> str:
    """Return the view partition of the duties about a case or person that may still be discharged."""
    return f"T#{tenant}#DUTYOF#{subject}"


def feedback_pk(tenant: str, feedback: str) -> str:
    """Return the partition of an item of feedback; its events stand in the stream of its case or person."""
    return f"T#{tenant}#FB#{feedback}"


def feedback_list_pk(tenant: str) -> str:
    """Return the view partition that lists a lender's feedback by state and due instant."""
    return f"T#{tenant}#FEEDBACK"


def feedback_about_pk(tenant: str, subject: str) -> str:
    """Return the view partition of the feedback about a case or person that is not closed."""
    return f"T#{tenant}#FEEDBACKOF#{subject}"


SURVEY_RULES = "survey_rules"
"""The name of the stream in which a lender's rules for surveys stand; it is no aggregate's id."""


def survey_rules_pk(tenant: str) -> str:
    """Return the partition of a lender's rules for surveys: their versions and their events."""
    return f"T#{tenant}#SRVRULES#{SURVEY_RULES}"


def survey_rules_sk(number: int) -> str:
    """Return the sort key of a version of the rules for surveys, numbered from 1."""
    return f"V#{number:05d}"


def survey_pk(tenant: str, survey: str) -> str:
    """Return the partition of a survey; its events stand in the stream of its case."""
    return f"T#{tenant}#SRV#{survey}"


def survey_list_pk(tenant: str) -> str:
    """Return the view partition that lists a lender's surveys; sk is ``<status>#<drawn at>#<survey>``."""
    return f"T#{tenant}#SURVEYS"


RISK_SK = "RISK"
"""The sort key of a legal-risk event in its partition."""


def risk_pk(tenant: str, risk: str) -> str:
    """Return the partition of a legal-risk event; its events stand in the stream of its case, person or agency."""
    return f"T#{tenant}#RISK#{risk}"


def risks_pk(tenant: str, agency: str | None) -> str:
    """Return the view partition that lists a lender's legal-risk events, or those about one agency, by state and instant."""
    return f"T#{tenant}#RISKS" if agency is None else f"T#{tenant}#RISKSOF#{agency}"


def denied_pk(tenant: str, case: str) -> str:
    """Return the view partition of the contacts of a case that were denied; sk is ``<local day>#<agency>#<contact>``."""
    return f"T#{tenant}#DENIED#{case}"


QUALITY_SK = "CHECK"
"""The sort key of a quality check in its partition."""


def quality_pk(tenant: str, check: str) -> str:
    """Return the partition of a quality check; its events stand in the stream of its case."""
    return f"T#{tenant}#CHK#{check}"


def quality_plan_sk(org: str) -> str:
    """Return the sort key, in a lender's own partition, of what share of an agency's contacts people check."""
    return f"QPLAN#{org}"


def checks_pk(tenant: str, agency: str | None) -> str:
    """Return the view partition that lists a lender's quality checks, or those of one agency, by status and due instant."""
    return f"T#{tenant}#CHECKS" if agency is None else f"T#{tenant}#CHECKSOF#{agency}"


def queue_pk(tenant: str, kind: str | None) -> str:
    """Return the view partition of what waits for counsel or a compliance officer, or of one kind of it, by due instant."""
    return f"T#{tenant}#QUEUE" if kind is None else f"T#{tenant}#QUEUE#{kind}"


def queued_pk(tenant: str) -> str:
    """Return the view partition of every thing that ever waited there, as its last event left it; sk is its name."""
    return f"T#{tenant}#QUEUED"


def outcomes_pk(tenant: str) -> str:
    """Return the view partition of a lender's feed of outcomes."""
    return f"T#{tenant}#OUTCOMES"


def told_pk(tenant: str) -> str:
    """Return the view partition that says how much of each stream a lender's feed of outcomes holds; sk is the stream."""
    return f"T#{tenant}#TOLD"


def point_index_pk(tenant: str, index: str) -> str:
    """Return the view partition that leads from a blind index of a contact point to its persons."""
    return f"T#{tenant}#IX#{index}"


def identity_index_pk(tenant: str, index: str) -> str:
    """Return the view partition that leads from a blind index of an identity to the records that have it; sk is the person."""
    return f"T#{tenant}#SAME#{index}"


def duplicates_pk(tenant: str) -> str:
    """Return the view partition of pairs of records that may be one person's; sk is ``<person>#<person>``."""
    return f"T#{tenant}#DUPS"


def duplicates_of_pk(tenant: str, person: str) -> str:
    """Return the view partition that leads from a record to those that may be its doubles; sk is the other record."""
    return f"T#{tenant}#DUPOF#{person}"


OFFER_SK = "OFFER"
"""The sort key, beside a case, of when it is offered to agencies again."""

UPKEEP_SK = "UPKEEP"
"""The sort key, beside a person's record, of what is to be brought up to date of a customer."""


def upkeep_pk(tenant: str) -> str:
    """Return the view partition of a lender's customers whose data are not up to date; sk is the person."""
    return f"T#{tenant}#UPKEEP"


def agency_upkeep_pk(org: str) -> str:
    """Return the view partition of the customers whose data an agency is to bring up to date; sk is ``<lender>#<person>``."""
    return f"A#{org}#UPKEEP"


def coverage_pk(tenant: str) -> str:
    """Return the view partition that counts a lender's customers and what of them is up to date; sk is ``<who>#<part>``."""
    return f"T#{tenant}#COVERAGE"


def not_same_sk(other: str) -> str:
    """Return the sort key, beside the first record of a pair, of the decision that the other one is another person's."""
    return f"NOTSAME#{other}"


def person_cases_pk(tenant: str, person: str) -> str:
    """Return the view partition that leads from a person to the cases they are a party of; sk is the case."""
    return f"T#{tenant}#PERC#{person}"


def unmaskings_pk(client: str) -> str:
    """Return the view partition that counts what a caller (``<org>#<subject>``) had unmasked; sk is the day."""
    return f"U#{client}"


def admission_pk(tenant: str, admission: str) -> str:
    """Return the stream of one client's first request of one day; it holds one event."""
    return f"T#{tenant}#ADM#{admission}"


def export_sk(export: str) -> str:
    """Return the sort key of an export beside the person's record."""
    return f"EXPORT#{export}"


def simulation_pk(tenant: str, simulation: str) -> str:
    """Return the partition of a simulation, its chunks, its result and its events."""
    return f"T#{tenant}#SIM#{simulation}"


def simulations_pk(tenant: str) -> str:
    """Return the view partition of a lender's simulations."""
    return f"T#{tenant}#SIMS"


def audit_export_pk(tenant: str, export: str) -> str:
    """Return the partition of an export of the archive and its events."""
    return f"T#{tenant}#AEX#{export}"


def manifest_pk(tenant: str, manifest: str) -> str:
    """Return the partition of what was signed over a manifest (its SHA-256 in hex)."""
    return f"T#{tenant}#MANIFEST#{manifest}"


def decided_pk(tenant: str, day: str) -> str:
    """Return the view partition of the decisions of a UTC day."""
    return f"T#{tenant}#DECIDED#{day}"


def decided_sk(at: str, case: str, seq: int) -> str:
    """Return the sort key of a decision: instant, stream and number of its event."""
    return f"{at}#{case}#{seq:08d}"


def decided_event(tenant: str, sk: str) -> tuple[str, str]:
    """Return the key of the event that a decision's sort key leads to."""
    _, case, seq = sk.split("#")
    return case_pk(tenant, case), event_sk(int(seq))


def event_sk(seq: int) -> str:
    """Return the sort key of the event with this dense number."""
    return f"{EVENT_PREFIX}{seq:08d}"


def event_seq(sk: str) -> int:
    """Return the number in an event's sort key."""
    return int(sk.removeprefix(EVENT_PREFIX))


KPI_DUE_PK = "KPI#DUE"
"""The view partition that lists the (lender, period) pairs whose figures must be made anew."""


def reviews_pk(tenant: str) -> str:
    """Return the view partition of a lender's weekly review packs; sk is the ISO week."""
    return f"T#{tenant}#REVIEWS"


def rolls_pk(tenant: str) -> str:
    """Return the view partition of a lender's roll tables; sk is the month."""
    return f"T#{tenant}#ROLLS"


def kpi_newest_pk(tenant: str) -> str:
    """Return the view partition that tells the instant of the newest event in a lender's counters; sk is ``AT``."""
    return f"T#{tenant}#KPINEWEST"


def kpi_rows_pk(tenant: str, period: str) -> str:
    """Return the view partition of what each event added to a period; sk is ``<stream>#<seq, 8 digits>``."""
    return f"T#{tenant}#KPIROW#{period}"


def kpi_counters_pk(tenant: str, period: str) -> str:
    """Return the view partition of a period's counters: one item an agency, slice, and ``*`` for the whole lender."""
    return f"T#{tenant}#KPI#{period}"


def kpi_figures_pk(tenant: str, period: str) -> str:
    """Return the view partition of a period's published figures."""
    return f"T#{tenant}#FIG#{period}"


def kpi_figure_sk(agency: str, reference: str) -> str:
    """Return the sort key of a published figure (``<id>[:<key>]@<version>``) of an agency."""
    return f"{agency}#{reference}"


def kpi_persons_pk(tenant: str, agency: str, period: str) -> str:
    """Return the view partition of the persons whom an agency attempted or reached in a week or month; sk is the person."""
    return f"T#{tenant}#KPIP#{period}#{agency}"


def kpi_marker_pk(tenant: str, stream: str) -> str:
    """Return the view partition of the last event of a stream that the counters hold, and of its past; sk is ``SEQ``."""
    return f"M#kpi#{tenant}#{stream}"


def stream_of(aggregate_pk: str) -> str:
    """Return the public name of a stream: the aggregate's id, the last part of its key."""
    return aggregate_pk.rsplit("#", 1)[1]


def tenant_of(pk: str) -> str:
    """Return the lender in a key of the main table."""
    return pk.split("#", 2)[1]


def due_shard(identity: str) -> str:
    """Return the shard ("0".."3") of the due index that an item belongs to, from its id."""
    return str(hashlib.sha256(identity.encode()).digest()[0] % DUE_SHARDS)


def origin(audit_domain: str, tenant: str, year: str) -> str:
    """Return the name of the lender's transparency log of a year."""
    return f"audit.{audit_domain}/{tenant}/{year}"


def event_aad(log_origin: str, event_id: str, event_type: str) -> bytes:
    """Return what binds a sealed payload to its place, so that it cannot be moved to another event."""
    return f"{log_origin}|{event_id}|{event_type}".encode()


def urlsafe(raw: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def from_urlsafe(text: str) -> bytes:
    """Return the bytes of base64url text without padding."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
