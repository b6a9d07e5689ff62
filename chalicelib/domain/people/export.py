"""What the lender knows of one person, for that person: as JSON, and as a page that people read in Chinese or English.

Everything that is theirs and nothing that is somebody else's: no other party of a case is named, and of a case that they are
not the borrower of, no more is told than what is owed and how it stands.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from chalicelib.domain.cases.case import Case
from chalicelib.domain.events import Event, EventType
from chalicelib.domain.outreach.attempt import Attempt
from chalicelib.domain.pages import html_page, shown, text
from chalicelib.domain.people.person import ContactLedger, Person

FORMAT = "forbear.person.v1"

_OF_ANOTHERS = {
    *("id", "state", "agency", "product", "creditor_kind", "country", "region", "language", "currency", "owed"),
    *("amount_due_minor", "amount_as_of", "placed_from", "placed_to", "limitation_expires_on"),
}
"""What a party is told of a case that they are not the borrower of."""


class ExportJob(BaseModel):
    """One export: who asked, who may fetch it, and until when (open). It holds no personal data and no copy of any."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    person: str
    requested_by: str
    identity_check: str
    by: str
    created_at: str
    expires_at: str
    version: int = 1


def document(
    job: ExportJob,
    person: Person,
    ledgers: Mapping[str, ContactLedger],
    cases: Iterable[Case],
    messages: Iterable[Attempt],
    events: Iterable[tuple[Event, Mapping[str, Any] | None]],
) -> dict[str, Any]:
    """Return everything as JSON values; ``events`` come with what is sealed in them, opened.

    ``ledgers`` are those of all records of the person, by record: what stands in any of them is theirs.
    """
    happened = list(events)
    records = frozenset(ledgers)
    decisions = {e.data["contact"]: e.decision for e, _ in happened if e.type is EventType.CONTACT_DECIDED}
    return {
        "format": FORMAT,
        "export": job.id,
        "created_at": job.created_at,
        "person": person.model_dump(mode="json", exclude={"version"}, exclude_none=True),
        "cases": [_case(case, records) for case in cases],
        "contacts": [
            entry.model_dump(mode="json", exclude_none=True) for ledger in ledgers.values() for entry in ledger.history
        ],
        "consents": [
            entry.model_dump(mode="json", exclude_none=True) for ledger in ledgers.values() for entry in ledger.consents
        ],
        "holds": [
            hold.model_dump(mode="json", by_alias=True, exclude_none=True)
            for ledger in ledgers.values()
            for hold in ledger.holds
        ],
        "messages": [_message(attempt, decisions.get(attempt.id)) for attempt in messages],
        "events": [_event(event, opened) for event, opened in happened],
    }


def _case(case: Case, records: frozenset[str]) -> dict[str, Any]:
    theirs = case.debtor in records
    names = set(Case.model_fields) - {"version", "tenant", "parties"} if theirs else _OF_ANOTHERS
    told = case.model_dump(mode="json", by_alias=True, include=names, exclude_none=True)
    for name in ("promises", "holds", "notices"):
        if name in told:
            told[name] = [each for each in told[name] if _named(each) in (None, *records)]
    mine = [party.model_dump(mode="json", exclude_none=True) for party in case.parties if party.person in records]
    return {**told, "lender": case.tenant, "parties": mine}


def _named(entry: Mapping[str, Any]) -> str | None:
    """Return the person whom an entry of a case is about, or None when it is about the debt."""
    return entry.get("person") or entry.get("party")


def _message(attempt: Attempt, decision: Mapping[str, Any] | None) -> dict[str, Any]:
    names = ("id", "case", "channel", "purpose", "state", "requested_at", "sent_at", "language", "subject", "body")
    told = attempt.model_dump(mode="json", include={*names, "template", "outcome", "reason"}, exclude_none=True)
    decided = decision or {}
    return {**told, "verdict": decided.get("outcome"), "rules": list(decided.get("reasons", ()))}


def _event(event: Event, opened: Mapping[str, Any] | None) -> dict[str, Any]:
    told: dict[str, Any] = {"id": event.id, "type": event.type.value, "at": event.at, "by": event.actor.kind}
    told["data"] = dict(event.data)
    if event.sealed is not None:
        told["content"] = None if opened is None else dict(opened)
    return told


_WORDS: Mapping[str, Mapping[str, str]] = {
    "zh": {
        "title": "个人信息副本",
        "intro": "以下是委托方持有的关于您的个人信息、联系记录、同意与拒绝、发送的信息以及处理记录。",
        "person": "个人资料",
        "cases": "案件",
        "contacts": "联系记录",
        "consents": "同意与撤回",
        "holds": "暂停事项",
        "messages": "信息与沟通",
        "events": "处理记录",
        "none": "无",
        "created_at": "生成时间",
        "export": "编号",
    },
    "en": {
        "title": "Copy of your personal data",
        "intro": "What the lender holds about you: your data, contacts, consents and refusals, messages, and what was done.",
        "person": "Your data",
        "cases": "Cases",
        "contacts": "Contacts",
        "consents": "Consents and withdrawals",
        "holds": "Holds",
        "messages": "Messages",
        "events": "What was done",
        "none": "none",
        "created_at": "Made at",
        "export": "Number",
    },
}

SECTIONS = ("person", "cases", "contacts", "consents", "holds", "messages", "events")


def page(told: Mapping[str, Any], language: str) -> str:
    """Return the document as an HTML page in ``zh`` or ``en``; every value is escaped, nothing is loaded or run."""
    words = _WORDS[language]
    body = [f"<p>{text(words['intro'])}</p>"]
    body.append(f"<p>{text(words['export'])}: {text(told['export'])}</p>")
    body.append(f"<p>{text(words['created_at'])}: {text(told['created_at'])}</p>")
    for name in SECTIONS:
        body.append(f"<h2>{text(words[name])}</h2>")
        body.append(shown(told[name]) or f"<p>{text(words['none'])}</p>")
    return html_page(words["title"], body, language)
