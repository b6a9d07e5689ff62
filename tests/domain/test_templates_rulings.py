"""Every text of the library is allowed in the situation that it is made for, and stays out of the others."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from chalicelib.domain.cases.case import CaseParty, Notice
from chalicelib.domain.cases.lifecycle import CaseState
from chalicelib.domain.compliance import PackSet, load_packs, rule
from chalicelib.domain.outreach import dossier
from chalicelib.domain.outreach.templates import Rendered, Template, TemplateRefused, render, values_for
from chalicelib.domain.people.person import ConsentEntry, ContactEntry, LostContact, Person, Residence
from tests.builders import (
    AGENCY,
    CASE,
    COLLECTOR,
    LENDER,
    PERSON,
    a_case,
    a_collector,
    a_ledger,
    a_lender,
    a_person,
    a_point,
    an_agency,
    an_attempt,
)
from tests.golden.golden_templates import DUE_ON, an_american_case, is_before_due, is_lenders_own, newest, rendered

OTHER = "per_2"
POINTS = {"sms": "pt_1", "call": "pt_1", "email": "pt_e", "wechat": "pt_w", "letter": "pt_a", "visit": "pt_a"}
ANSWERS = ("reply", "opt_out_confirmation", "complaint_answer")
BY_ID = {template.id: template for template in newest()}


@pytest.fixture(scope="module")
def packs() -> PackSet:
    return load_packs()


def somebody(template: Template, person: str, **deviations: Any) -> Person:
    """Return a person of the template's country who can be reached on every channel."""
    american = template.jurisdictions == ("US",)
    zones = ("America/Chicago",) if american else ("Asia/Shanghai",)
    points = tuple(
        a_point(id=f"{point}", kind=kind, value=value, zones=zones, area_zones=zones)
        for point, kind, value in (
            ("pt_1", "mobile", "+13122345678" if american else "+8613812345678"),
            ("pt_e", "email", "jane@example.test"),
            ("pt_w", "wechat", "wm1"),
            ("pt_a", "address", "12 Elm Street" if american else "世纪大道1000弄"),
        )
    )
    home = Residence(country="US", region="US-IL") if american else Residence(country="CN", region="CN-SH")
    facts = {"id": person, "points": points, "zones": zones, "residences": (home,), "language": template.language}
    return a_person(**{**facts, **deviations})


def situation_of(template: Template, content: Rendered, *, earlier: bool) -> dict[str, Any]:
    """Return the dossier of the message in the case that it is made for; ``earlier`` adds a contact of weeks ago."""
    american, role = template.jurisdictions == ("US",), template.audience[0]
    third = template.purpose in ("locate", "relay")
    addressee = OTHER if third else PERSON
    parties = (CaseParty(person=PERSON, role="debtor"), CaseParty(person=OTHER, role=role)) if third else (
        CaseParty(person=PERSON, role=role),
    )  # fmt: skip
    facts = {
        "parties": parties,
        "debt_facts": {"guarantee_until": "2028-12-31"},
        "notices": (
            Notice(kind="outsourcing_notice", at="2026-11-01T02:00:00Z", party=PERSON),
            Notice(kind="validation", at="2026-11-02T18:00:00Z", medium="letter", party=PERSON, debt=CASE),
        ),
    }
    if content.template.startswith(("cn-letter-time", "us-letter-time")):
        facts["limitation_expires_on"] = datetime(2026, 1, 31, tzinfo=UTC).date()
    early, own = is_before_due(template), is_lenders_own(template)
    if early:
        facts |= {"oldest_unpaid_due_on": DUE_ON, "state": CaseState.PLACED, "agency": None, "notices": ()}
    case = an_american_case(**facts) if american else a_case(**facts)
    lost = LostContact(since="2026-11-10T02:00:00Z", number_vacant=True) if third else None
    persons = {PERSON: somebody(template, PERSON, lost_contact=lost)}
    if third:
        persons[OTHER] = somebody(template, OTHER, birth_date=None)
    point = POINTS[template.channel]
    history = []
    if earlier:
        history.append(
            ContactEntry(
                id="msg_0", at="2026-11-03T18:00:00Z", direction="out", channel="letter", purpose="demand",
                party=PERSON, point="pt_a", org=AGENCY, collector=COLLECTOR, debts=(CASE,), outcome="sent",
            )
        )  # fmt: skip
    wrote = template.purpose in ANSWERS
    if wrote:
        history.append(
            ContactEntry(
                id="in_1", at="2026-11-23T01:30:00Z", direction="in", channel=template.channel, party=PERSON,
                point=point, outcome="received",
            )
        )  # fmt: skip
    consents = [
        ConsentEntry(at="2026-11-20T02:00:00Z", party=PERSON, point=point, medium=medium, event=event, direct=True)
        for medium in ("sms", "email", "wechat")
        for event in ("granted", "used")
    ]
    if template.purpose == "opt_out_confirmation":
        consents.append(
            ConsentEntry(
                at="2026-11-23T01:30:00Z", party=PERSON, point=point, medium=template.channel, event="stop_medium",
                scope="medium", direct=True, written=True,
            )
        )  # fmt: skip
    human = template.channel in ("call", "visit")
    acts = {
        "call": {"dialler": "manual", "recorded": True},
        "visit": {
            "recorded": True,
            "visit": {"staff": 2, "place": "home", "entry_consent": True, "plan_approved": True},
        },
    }
    named = "amount_due" in content.disclosures
    attempt = an_attempt(
        person=addressee,
        channel=template.channel,
        purpose=template.purpose,
        point=point,
        human=human,
        org=LENDER if own else AGENCY,
        collector=COLLECTOR,
        template=content.template,
        language=content.language,
        disclosures=content.disclosures,
        claims=content.claims,
        # A script is judged by its words too, though no carrier ever gets them.
        body=content.body,
        reply_to="in_1" if wrote else None,
        act=acts.get(template.channel, {}),
        amount_minor=case.amount_due_minor if named else None,
        amount_as_of="2026-11-23T01:00:00Z" if named else None,
    )
    return dossier.build(
        attempt,
        case=case,
        lender=a_lender(),
        agency=None if own else an_agency(),
        collector=a_collector(org=LENDER if own else AGENCY, certified=dict.fromkeys(("CN", "US"), date(2026, 12, 31))),
        persons=persons,
        ledgers={
            PERSON: a_ledger(history=tuple(history), consents=tuple(consents)),
            **({OTHER: a_ledger(person=OTHER)} if third else {}),
        },
        now=datetime(2026, 11, 23, 18 if american else 2, tzinfo=UTC),
    )


def fired(ruling: dict[str, Any]) -> list[str]:
    return sorted(f"{r['id']}:{r['effect']}" for r in ruling["rules"])


SILENT = "cn-sms-opt-out-confirmation"


@pytest.mark.parametrize("template", [t for t in newest() if t.id != SILENT], ids=lambda template: template.id)
def test_a_template_is_allowed_where_it_belongs(template: Template, packs: PackSet) -> None:
    later = template.variant == "later" or template.purpose in ANSWERS
    ruling = rule(situation_of(template, rendered(template), earlier=later), packs)
    assert (ruling.get("verdict"), ruling.get("missing")) == ("allow", []), fired(ruling)


def test_a_chinese_stop_of_text_messages_is_not_even_confirmed_by_one(packs: PackSet) -> None:
    template = BY_ID[SILENT]
    ruling = rule(situation_of(template, rendered(template), earlier=True), packs)
    assert (ruling["verdict"], fired(ruling)) == ("deny", ["CN-SMS-2:deny"])


@pytest.mark.parametrize("name", ["us-sms-later", "us-email-later", "us-call-later", "us-letter-later"])
def test_later_words_are_denied_as_the_first_on_a_debt(name: str, packs: PackSet) -> None:
    template = BY_ID[name]
    ruling = rule(situation_of(template, rendered(template), earlier=False), packs)
    assert ruling["verdict"] == "deny"
    assert "US-REGF-MM1:require" in fired(ruling)


@pytest.mark.parametrize("dropped", ["complaint_line", "pay_to", "amount_as_of", "lender"])
def test_the_chinese_demand_without_one_of_its_disclosures_is_denied(dropped: str, packs: PackSet) -> None:
    template = BY_ID["cn-sms-demand"]
    dossier_of = situation_of(template, rendered(template), earlier=False)
    dossier_of["act"]["content"]["disclosures"].remove(dropped)
    ruling = rule(dossier_of, packs)
    assert ruling["verdict"] == "deny"
    assert "CN-DISC-5:require" in fired(ruling)


@pytest.mark.parametrize("name", ["cn-sms-due-soon", "cn-wechat-due-soon", "us-sms-due-soon", "us-email-due-soon"])
def test_a_reminder_before_the_due_day_cannot_be_written_once_it_has_passed(name: str) -> None:
    late = a_case(oldest_unpaid_due_on=date(2026, 11, 22))
    values = values_for(late, a_person(), a_lender(), None, a_collector(), today=date(2026, 11, 23), language="en")
    refused = render(BY_ID[name], values, {})
    assert isinstance(refused, TemplateRefused) and "due_on" in str(refused)
    on_the_day = a_case(oldest_unpaid_due_on=date(2026, 11, 23))
    assert "due_on" in values_for(
        on_the_day, a_person(), a_lender(), None, a_collector(), today=date(2026, 11, 23), language="en"
    )
