"""The golden texts: every text of the library, filled in for one Chinese and one American case.

``python -m tests.golden.golden_templates`` writes them anew; a change of any is a change of what people get to read.
"""

from datetime import date
from pathlib import Path

from chalicelib.domain.cases.case import Case, Promise
from chalicelib.domain.outreach.templates import PLACEHOLDERS, Rendered, Template, load_templates, render, values_for
from tests.builders import PERSON, a_case, a_collector, a_lender, a_person, an_agency

TODAY = date(2026, 11, 23)
DUE_ON = date(2026, 11, 26)
HERE = Path(__file__).parent / "templates"
ASKED = {"ticket": "K20261123", "visit_on": "2026-11-25"}
PROMISE = {"id": "ptp_1", "person": PERSON, "amount_minor": 300_000, "due_on": date(2026, 11, 27), "made_at": "x"}


def an_american_case(**deviations: object) -> Case:
    """Return the builders' case as one of the United States, with the itemization that its file needs."""
    item = {"on": "2026-08-31", "amount_minor": 1_200_000, "interest_minor": 41_067, "fees_minor": 3_500,
            "payments_minor": 10_000}  # fmt: skip
    facts = {"country": "US", "region": "US-IL", "language": "en", "currency": "USD", "loan": {"itemization": item}}
    return a_case(**{**facts, **deviations})


def is_before_due(template: Template) -> bool:
    """Tell whether the lender itself sends the template before anything is overdue."""
    return "{due_on}" in template.text


def is_lenders_own(template: Template) -> bool:
    """Tell whether the lender itself sends the template: before anything is overdue, or to ask how satisfied somebody is."""
    return is_before_due(template) or template.purpose == "survey"


def values_of(template: Template) -> dict[str, str]:
    """Return the values that the golden case of the template's country gives, in its language."""
    american = template.jurisdictions == ("US",)
    promise = Promise(**PROMISE, currency="USD" if american else "CNY")
    due = {"oldest_unpaid_due_on": DUE_ON} if is_before_due(template) else {}
    case = an_american_case(promises=(promise,), **due) if american else a_case(promises=(promise,), **due)
    return values_for(
        case,
        a_person(name="Jane Roe") if american else a_person(),
        a_lender(pay_to={"CN": "安行金融App", "US": "www.anxing.test/pay"}, complaint_line="+864008000001"),
        None
        if is_lenders_own(template)
        else an_agency(address="12 Elm Street, Springfield, IL 62701")
        if american
        else an_agency(),
        a_collector(),
        today=TODAY,
        language=template.language,
    )


def rendered(template: Template) -> Rendered:
    """Return the template filled in. Raises TypeError when it is refused."""
    asked = {name: ASKED[name] for name in PLACEHOLDERS if name in ASKED and f"{{{name}}}" in template.text}
    answer = render(template, values_of(template), asked)
    if not isinstance(answer, Rendered):
        raise TypeError(f"{template.reference}: {answer}")
    return answer


def page_of(template: Template) -> str:
    """Return the golden page: what the message is, then its subject and body to the letter."""
    answer = rendered(template)
    head = [
        f"template    {answer.template}",
        f"sends       {template.jurisdictions[0]} {template.channel} {template.purpose} ({template.variant})",
        f"sha256      {answer.content_sha256}",
        f"disclosures {' '.join(answer.disclosures)}",
        f"parts       {answer.sms_parts if answer.sms_parts is not None else '-'}",
        f"subject     {answer.subject if answer.subject is not None else '-'}",
    ]
    return "\n".join(head) + "\n\n" + answer.body + ("" if answer.body.endswith("\n") else "\n")


def newest() -> list[Template]:
    """Return the newest version of every template."""
    return [versions[-1] for versions in load_templates().values()]


if __name__ == "__main__":
    for stale in HERE.glob("*.txt"):
        stale.unlink()
    for each in newest():
        (HERE / f"{each.id}.txt").write_text(page_of(each), encoding="utf-8")
