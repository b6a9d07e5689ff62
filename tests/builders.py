"""Builders: each returns a value that every rule is content with; a test names only what deviates.

The lender ``auto-fin`` and its agency ``agency-a`` sit in Shanghai; the present is Monday 2026-11-23, 10:00 there.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from chalicelib.domain import keys
from chalicelib.domain.cases.case import Case, CaseParty, Notice
from chalicelib.domain.cases.lifecycle import CaseState
from chalicelib.domain.cases.organisations import Agency, Collector, Lender
from chalicelib.domain.cases.repayment_ledger import Instalment
from chalicelib.domain.events import Actor, EventType
from chalicelib.domain.outreach.attempt import Attempt
from chalicelib.domain.outreach.template_book import TemplateBook, TemplateVersion
from chalicelib.domain.outreach.templates import Template, load_templates
from chalicelib.domain.people.person import ContactLedger, ContactPoint, Person, Residence
from chalicelib.domain.strategies.strategy import Strategy
from chalicelib.store.repository import Store

LENDER, AGENCY, COLLECTOR, CASE, PERSON = "auto-fin", "agency-a", "col-1", "case_1", "per_1"
NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
TEST_ACTOR = Actor("system", "tests", "none")


@dataclass(frozen=True, slots=True)
class Scope:
    """A lender's data, for calls below the edge."""

    tenant: str


def a_lender(**deviations: Any) -> Lender:
    """Return a licensed Chinese auto finance company whose business day is Shanghai's."""
    return Lender(
        **{
            "id": LENDER,
            "name": {"zh": "安行汽车金融", "en": "Anxing Auto Finance"},
            "country": "CN",
            "zone": "Asia/Shanghai",
            "home_region": "eu-west-1",
            "creditor_kind": "auto_finance",
            "pay_to": {"CN": "安行汽车金融 尾号0001"},
            "complaint_line": "+864008000001",
            "balances_confirmed_at": "2026-11-23T01:00:00Z",
            **deviations,
        }
    )


def an_agency(**deviations: Any) -> Agency:
    """Return an agency that is listed all this year and was inspected this summer."""
    return Agency(
        **{
            "id": AGENCY,
            "name": {"zh": "诚达催收", "en": "Chengda"},
            "listed_from": date(2026, 1, 1),
            "listed_to": date(2026, 12, 31),
            "inspected_on": date(2026, 6, 1),
            "callback": "+864008000002",
            "sms_line": "106900001",
            "email_from": "service@agency-a.test",
            **deviations,
        }
    )


def a_collector(**deviations: Any) -> Collector:
    """Return a collector of ``agency-a`` who is certified for China until the end of the year."""
    return Collector(
        **{
            "id": COLLECTOR,
            "org": AGENCY,
            "staff_no": "A001",
            "certified": {"CN": date(2026, 12, 31)},
            **deviations,
        }
    )


def a_point(**deviations: Any) -> ContactPoint:
    """Return a working private mobile that the debtor gave in the contract."""
    return ContactPoint(
        **{
            "id": "pt_1",
            "kind": "mobile",
            "value": "+8613812345678",
            "place": "home",
            "source": "contract",
            "zones": ("Asia/Shanghai",),
            "area_zones": ("Asia/Shanghai",),
            "first_seen": date(2024, 5, 2),
            "last_verified": date(2026, 10, 1),
            **deviations,
        }
    )


def a_person(**deviations: Any) -> Person:
    """Return a grown-up debtor in Shanghai with one mobile number."""
    return Person(
        **{
            "id": PERSON,
            "name": "张伟",
            "birth_date": date(1988, 4, 12),
            "national_id": "310101198804121232",
            "language": "zh",
            "residences": (Residence(country="CN", region="CN-SH", city="上海"),),
            "zones": ("Asia/Shanghai",),
            "points": (a_point(),),
            "in_xinjiang": False,
            "version": 1,
            **deviations,
        }
    )


def a_case(**deviations: Any) -> Case:
    """Return a case in work at ``agency-a``: 35 days past due, 12,345.67 yuan owed, mandate until February.

    Its one instalment and its charges are what ``owed`` and ``oldest_unpaid_due_on`` say, unless the test states them.
    """
    fields: dict[str, Any] = {
        "id": CASE,
        "tenant": LENDER,
        "portfolio": "pf_1",
        "account": "acct-0001",
        "contract_no": "AF2024050212345",
        "placement_stage": 1,
        "placement_type": "contingency",
        "state": CaseState.IN_WORK,
        "agency": AGENCY,
        "parties": (CaseParty(person=PERSON, role="debtor"),),
        "product": "direct_loan",
        "creditor_kind": "auto_finance",
        "country": "CN",
        "region": "CN-SH",
        "language": "zh",
        "currency": "CNY",
        "owed": {
            "principal": 1_000_000,
            "interest": 200_000,
            "penalty": 20_000,
            "late_fee": 10_000,
            "management_fee": 0,
            "other": 4_567,
        },
        "amount_due_minor": 1_234_567,
        "amount_as_of": "2026-11-23T00:00:00Z",
        "placed_minor": 1_234_567,
        "oldest_unpaid_due_on": date(2026, 10, 19),
        "days_past_due_at_placement": 13,
        "business_date": date(2026, 11, 1),
        "placed_from": "2026-11-01",
        "placed_to": "2027-02-28",
        "limitation_expires_on": date(2029, 10, 19),
        "vehicles": ({"vin": "LSVAU2180C2123456", "plate": "沪A12312"},),
        "notices": (Notice(kind="outsourcing_notice", at="2026-11-01T02:00:00Z", party=PERSON),),
    } | deviations
    owed = fields["owed"] if fields["amount_due_minor"] else {}
    body = {part: owed[part] for part in ("principal", "interest") if owed.get(part)}
    opening = {
        "instalments": (Instalment(due_on=fields["oldest_unpaid_due_on"], owed=body),) if body else (),
        "charges": {part: minor for part, minor in owed.items() if part not in body and minor},
    }
    return Case(**(opening | fields))


def a_strategy(**deviations: Any) -> Strategy:
    """Return a strategy of one path for everybody: a text message on the day it is entered, a call three days later."""
    steps = [
        {
            "id": "first-text",
            "wait": {"from": "entry", "days": 0},
            "act": {"kind": "message", "channel": "sms", "template": "cn-sms-demand"},
        },
        {"id": "call", "wait": {"from": "step_before", "days": 3}, "act": {"kind": "task", "channel": "call"}},
    ]
    path = {"id": "everybody", "name": {"zh": "所有案件", "en": "Everybody"}, "steps": steps}
    name = {"zh": "早期", "en": "Early"}
    return Strategy.model_validate({"id": "early", "name": name, "paths": [path], **deviations})


def a_ledger(**deviations: Any) -> ContactLedger:
    """Return an empty contact ledger of the builders' person, as first written."""
    return ContactLedger(**{"person": PERSON, "version": 1, **deviations})


def an_attempt(**deviations: Any) -> Attempt:
    """Return a requested text message to the builders' debtor."""
    return Attempt(
        **{
            "id": "msg_1",
            "tenant": LENDER,
            "case": CASE,
            "person": PERSON,
            "point": "pt_1",
            "channel": "sms",
            "purpose": "demand",
            "human": False,
            "org": AGENCY,
            "collector": COLLECTOR,
            "requested_at": "2026-11-23T02:00:00.000Z",
            "expires_at": "2026-11-25T02:00:00.000Z",
            **deviations,
        }
    )


def approved(*names: str, **deviations: Any) -> list[Template | TemplateBook]:
    """Return shipped texts as the lender's own, version 1 of each approved since January without end."""
    found: list[Template | TemplateBook] = []
    for name in names:
        content = load_templates()[name][-1].model_copy(update={"version": 1})
        life = {
            "number": 1,
            "state": "approved",
            "sha256": content.sha256,
            "purpose": content.purpose,
            "language": content.language,
            "jurisdictions": content.jurisdictions,
            "library": content.reference,
            "author": "ops-1",
            "drafted_at": "2026-01-01T00:00:00.000Z",
            "decided_by": "counsel-1",
            "decided_at": "2026-01-02T00:00:00.000Z",
            "reason": "read and found lawful",
            "effective_from": "2026-01-02T00:00:00.000Z",
            **deviations,
        }
        versions = (TemplateVersion(**life),)
        found += [content, TemplateBook(id=name, channel=content.channel, versions=versions, version=1)]
    return found


def stored(store: Store, *values: Any, tenant: str = LENDER) -> None:
    """Write those values (lender, agencies, collectors, persons, ledgers, cases, attempts) as they are, without events.

    Persons' keys are made first; a case needs its debtor's key, so a debtor who was not named gets one all the same.
    """
    scope = Scope(tenant)
    subjects = [value.id for value in values if isinstance(value, Person)]
    subjects += [value.person for value in values if isinstance(value, ContactLedger | Attempt)]
    subjects += [value.debtor for value in values if isinstance(value, Case)]
    store.sealer.create_subjects(tenant, subjects)
    for value in values:
        _record(store, scope, value).save()


def stored_ruled(store: Store, attempt: Attempt, ruling: dict[str, Any]) -> None:
    """Write the attempt as one on which that ruling was given: the ruling stands in an event of its case."""
    scope = Scope(attempt.tenant)
    unit = store.unit(scope, actor=TEST_ACTOR, req="req_r", now=NOW)
    told = {"contact": attempt.id, "approval": None}
    secret = {"dossier": {}, "ruling": ruling}
    pk = keys.case_pk(attempt.tenant, attempt.case)
    store.sealer.create_subjects(attempt.tenant, [attempt.person])
    event = unit.emit(pk, EventType.CONTACT_DECIDED, told, subject=attempt.person, secret=secret)
    unit.commit()
    stored(store, attempt.model_copy(update={"decided_seq": event.seq}), tenant=attempt.tenant)


def _record(store: Store, scope: Scope, value: Any) -> Any:
    pk = keys.tenant_pk(scope.tenant)
    match value:
        case Lender():
            return store.plain_record(pk, "LENDER", value, version=value.version)
        case Agency():
            return store.plain_record(pk, keys.agency_sk(value.id), value, version=value.version)
        case Collector():
            return store.plain_record(pk, keys.collector_sk(value.org, value.id), value, version=value.version)
        case Person():
            return store.person_record(scope, value)
        case ContactLedger():
            return store.ledger_record(scope, value)
        case Case():
            return store.case_record(scope, value)
        case Attempt():
            return store.attempt_record(scope, value)
        case Template():
            return store.template_record(scope, value)
        case TemplateBook():
            return store.template_book_record(scope, value)
        case _:
            raise TypeError(f"no record is known for {type(value).__name__}")


def a_course(**deviations: Any) -> dict[str, Any]:
    """Return the content of a course with six generated questions, of which an exam asks four."""
    words = {"zh": "生成的示例", "en": "a generated sample"}
    options = [{"id": each, "text": words} for each in ("a", "b", "c")]
    questions = [{"id": f"q{number}", "text": words, "options": options, "right": ["b"]} for number in range(6)]
    exam = {"asked": 4, "pass_percent": 75, "minutes": 30, "attempts": 3, "wait_hours": 24, "valid_days": 365}
    return {"title": words, "exam": exam, "questions": questions, **deviations}
