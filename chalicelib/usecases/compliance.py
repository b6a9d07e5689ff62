"""The compliance check: the only maker of approvals.

One run rules on one requested attempt with strongly consistent reads, and commits ruling, reservation in the person's
contact ledger and event together. The ledgers' versions are conditions of that commit, so a cap holds however many
agencies ask at once; who loses the race rules again on what is true then.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from chalicelib.domain import keys
from chalicelib.domain.audit.rulesets import digest_of
from chalicelib.domain.cases.case import Case
from chalicelib.domain.cases.organisations import Agency, Collector, Lender
from chalicelib.domain.concurrency import retrying
from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.events import Actor, EventType
from chalicelib.domain.house import HouseIndex, HouseRef
from chalicelib.domain.ids import new_id
from chalicelib.domain.instants import epoch_ms, from_text, to_seconds_text, to_text
from chalicelib.domain.outreach import dossier as dossiers
from chalicelib.domain.outreach.approval import APPROVAL_LIFE, CLEARANCE_LIFE
from chalicelib.domain.outreach.attempt import Approved, Attempt, AttemptState
from chalicelib.domain.outreach.template_book import InForce
from chalicelib.domain.people.merging import counted
from chalicelib.domain.people.person import ContactEntry, ContactLedger, Person
from chalicelib.usecases.one_person import records_of
from chalicelib.usecases.ports import Scope, Store

ENGINE = Actor("system", "check_compliance", "role")
USE_GRACE = timedelta(minutes=2)
"""How long after an approval's end the clock looks whether it was used."""


class Engine(Protocol):
    """Rules on dossiers under the packs that are in the tree."""

    def rule(self, dossier: Mapping[str, Any], house: Sequence[HouseRef] = ()) -> dict[str, Any]:
        """Return the ruling of a dossier under the law and the house packs beside it.

        Raises on one that it cannot read: a fault, and nothing leaves because of it.
        """
        ...

    def rule_set(self, ruling: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the rule set that the ruling rests on: packs, atlas, zone data, engine; see ``domain.audit.rulesets``."""
        ...


class Signer(Protocol):
    """Signs approvals; see ``chalicelib.domain.outreach.approval.ApprovalSigner``."""

    def sign(self, approval: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
        """Return the approval with signature and certificate."""
        ...


@dataclass(frozen=True, slots=True)
class Skipped:
    """Nothing was ruled on: the attempt is unknown or no longer waits for a ruling."""

    reason: str


class CaseGone(LookupError):
    """The case or the lender is not there; the case may be unreadable because its borrower was erased."""


ERASED = "the borrower's data were erased"
"""Why a wish ends whose case cannot be read any more."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What one ruling rests on, as read at one instant.

    ``template`` is the version of the attempt's template that may be sent at that instant; None when no version may, or
    when the attempt has no template. ``persons`` are the case's parties, each as one with the records that were merged; ``ledgers``
    are the parties' own, ``others`` those of such records, which count as much.
    """

    attempt: Attempt
    case: Case
    lender: Lender
    agency: Agency | None
    collector: Collector | None
    persons: Mapping[str, Person]
    ledgers: Mapping[str, ContactLedger]
    others: Mapping[str, ContactLedger] = field(default_factory=dict)
    template: InForce | None = None
    house: HouseIndex = HouseIndex()

    def house_at(self, at: datetime) -> tuple[HouseRef, ...]:
        """Return the lender's house packs that are in force at an instant."""
        return self.house.in_force(self.case.tenant, at)

    @property
    def counted(self) -> dict[str, ContactLedger]:
        """Return the parties' ledgers as caps and stops are read from them, those of merged records included."""
        return {person: counted(ledger, self.everything) for person, ledger in self.ledgers.items()}

    @property
    def everything(self) -> dict[str, ContactLedger]:
        """Return every ledger that was read: all of them are conditions of the commit."""
        return {**self.others, **self.ledgers}

    @property
    def other_stop_epochs(self) -> dict[str, int]:
        """Return the stop epochs of the records that the addressee's ledger is counted with."""
        everything = self.everything
        return {other: everything[other].stop_epoch for other in self.ledgers[self.attempt.person].counted_with}


Refresh = Callable[[Facts, datetime], Attempt]
"""Renders a message again when its template or the balance that it names has moved on; returns it as it is otherwise.

Raises InvalidInput when the message can no longer be said.
"""


def check(
    store: Store,
    engine: Engine,
    signer: Signer,
    scope: Scope,
    message: str,
    *,
    clock: Callable[[], datetime],
    refresh: Refresh,
    req: str,
) -> Attempt | Skipped:
    """Rule on a requested attempt and return it as committed, or say why there was nothing to rule on.

    The instant is read anew on every run, because a ruling is only true of the instant it names. Raises ``Conflict``
    when rivals won every run; the queue's redelivery tries again.
    """
    return retrying(lambda: _check_once(store, engine, signer, scope, message, clock(), refresh, req), attempts=12)


def _check_once(
    store: Store,
    engine: Engine,
    signer: Signer,
    scope: Scope,
    message: str,
    now: datetime,
    refresh: Refresh,
    req: str,
) -> Attempt | Skipped:
    attempt = store.attempt(scope, message)
    if attempt is None:
        return Skipped("no such attempt")
    if attempt.state is not AttemptState.REQUESTED:
        return Skipped(f"the attempt is {attempt.state}")
    unit = store.unit(scope, actor=ENGINE, req=req, now=now)
    unit.watch(keys.case_pk(scope.tenant, attempt.case))
    try:
        facts = gather(store, scope, attempt, now=now)
    except CaseGone:
        if not store.erased_cases(scope, [attempt.case]):
            raise
        return _end(store, scope, attempt, AttemptState.CANCELLED, EventType.CONTACT_CANCELLED, ERASED, unit)
    if now >= from_text(attempt.expires_at):
        return _end(store, scope, attempt, AttemptState.EXPIRED, EventType.CONTACT_EXPIRED, "the request lapsed", unit)
    if not facts.case.admits(attempt.org, attempt.purpose, human=attempt.human):
        reason = f"the case is {facts.case.state} with {facts.case.agency or 'nobody'}"
        return _end(store, scope, attempt, AttemptState.CANCELLED, EventType.CONTACT_CANCELLED, reason, unit)
    if attempt.template is not None and facts.template is None:
        return _end(store, scope, attempt, AttemptState.CANCELLED, EventType.CONTACT_CANCELLED, NO_TEMPLATE, unit)
    try:
        facts = replace(facts, attempt=refresh(facts, now))
    except InvalidInput as refused:
        reason = f"it can no longer be said: {refused.errors[0].code}"
        return _end(store, scope, attempt, AttemptState.CANCELLED, EventType.CONTACT_CANCELLED, reason, unit)
    dossier = dossier_of(facts, now=now)
    ruling = engine.rule(dossier, facts.house_at(now))
    return _commit(store, engine, signer, scope, facts, dossier, ruling, unit)


NO_TEMPLATE = "no approved version of its template is in force"
"""Why a message ends whose template was retired or whose approval of the text has run out."""


def in_force(store: Store, scope: Scope, template: str, *, now: datetime) -> InForce | None:
    """Return the version of a template that may be sent at ``now``: the newest approved one whose period holds it."""
    book = store.template_book(scope, template)
    life = book.in_force(now) if book is not None else None
    content = store.template(scope, template, life.number) if life is not None else None
    if life is None or content is None or content.sha256 != life.sha256:
        return None
    return InForce(content, life.effective_until)


def gather(store: Store, scope: Scope, attempt: Attempt, *, now: datetime) -> Facts:
    """Read everything that a ruling on the attempt rests on. Raises CaseGone when the case or lender is gone."""
    case = store.case(scope, attempt.case)
    lender = store.lender(scope)
    if case is None or lender is None:
        raise CaseGone(f"the case or lender of {attempt.id} is gone")
    is_lender = attempt.org == scope.tenant
    # Ledgers before persons: which records are one person's stands in the ledger, and its version is a condition.
    known = records_of(store, scope, [party.person for party in case.parties])
    return Facts(
        attempt=attempt,
        case=case,
        lender=lender,
        agency=None if is_lender else store.agency(scope, attempt.org),
        collector=store.collector(scope, attempt.org, attempt.collector) if attempt.collector else None,
        persons=known.persons,
        ledgers=known.ledgers,
        others=known.others,
        template=in_force(store, scope, attempt.template.partition("@")[0], now=now) if attempt.template else None,
        house=store.house_index(scope),
    )


def dossier_of(facts: Facts, *, now: datetime) -> dict[str, Any]:
    """Return the dossier of the facts at ``now``."""
    return dossiers.build(
        facts.attempt,
        case=facts.case,
        lender=facts.lender,
        agency=facts.agency,
        collector=facts.collector,
        persons=facts.persons,
        ledgers=facts.counted,
        now=now,
    )


def event_data(attempt: Attempt) -> dict[str, Any]:
    """Return the open data that every ``contact.*`` event of the attempt carries."""
    return {
        "contact": attempt.id,
        "channel": attempt.channel,
        "person": attempt.person,
        "org": attempt.org,
        "collector": attempt.collector,
        "purpose": attempt.purpose,
        "human": attempt.human,
    }


def _end(
    store: Store,
    scope: Scope,
    attempt: Attempt,
    state: AttemptState,
    event: EventType,
    reason: str,
    unit: Any,
) -> Attempt:
    ended = attempt.model_copy(
        update={"state": state, "reason": reason, "due_at": None, "version": attempt.version + 1}
    )
    unit.replace(store.attempt_record(scope, ended), expected=attempt.version)
    unit.emit(keys.case_pk(scope.tenant, attempt.case), event, {**event_data(attempt), "reason": reason})
    unit.commit()
    return ended


def _commit(
    store: Store,
    engine: Engine,
    signer: Signer,
    scope: Scope,
    facts: Facts,
    dossier: Mapping[str, Any],
    ruling: dict[str, Any],
    unit: Any,
) -> Attempt:
    attempt, now = facts.attempt, unit.now
    sealed = unit.prepare(
        EventType.CONTACT_DECIDED, subject=attempt.person, secret={"dossier": dossier, "ruling": ruling}
    )
    rule_set = engine.rule_set(ruling)
    ruleset = digest_of(rule_set)
    recipient = recipient_of(store, scope, facts)
    verdict = _effective_verdict(attempt, ruling)
    approval, due = None, None
    update: dict[str, Any] = {"version": attempt.version + 1, "reason": _because(ruling)}
    if verdict == "allow":
        approval = _approve(
            signer,
            attempt,
            ruling,
            recipient=recipient,
            ruleset=ruleset,
            inputs=sealed.digest,
            until=_until(facts, now),
            now=now,
        )
        ledger = facts.ledgers[attempt.person]
        reserved = ledger.with_contact(_reservation(attempt, now)).model_copy(update={"version": ledger.version + 1})
        unit.replace(store.ledger_record(scope, reserved), expected=ledger.version)
        update |= {
            "state": AttemptState.APPROVED,
            "approved": Approved(**{name: approval[name] for name in Approved.model_fields}),
            "stop_epoch": reserved.stop_epoch,
            "other_stop_epochs": facts.other_stop_epochs,
            "case_version": facts.case.version,
            "due_at": to_text(from_text(approval["not_after"]) + USE_GRACE),
        }
    else:
        due = _due(ruling, now) if verdict == "defer" else None
        update |= _waiting(attempt, verdict, due)
    _check_ledgers(unit, scope, facts)
    event = unit.emit(
        keys.case_pk(scope.tenant, attempt.case),
        EventType.CONTACT_DECIDED,
        {
            **event_data(attempt),
            "content": attempt.content,
            "template": attempt.template,
            "template_sha256": attempt.template_sha256,
            "recipient": recipient,
            "role": facts.case.role_of(attempt.person),
            "country": facts.case.country,
            "zones": dossiers.zones_of(facts.persons[attempt.person]),
            "not_before": approval["not_before"] if approval else None,
            "not_after": approval["not_after"] if approval else None,
            "due": due,
            "approval": approval,
            "agency": facts.case.agency,
            "rule_set": rule_set,
        },
        decision={
            "outcome": verdict,
            "ruleset": ruleset,
            "reasons": sorted({rule["id"] for rule in ruling["rules"]}),
            "inputs": sealed.digest,
        },
        prepared=sealed,
    )
    decided = attempt.model_copy(update={**update, "decided_seq": event.seq})
    unit.replace(store.attempt_record(scope, decided), expected=attempt.version)
    unit.commit()
    return decided


def _effective_verdict(attempt: Attempt, ruling: Mapping[str, Any]) -> str:
    """Return the verdict, where a review that a person has passed leaves what the other rules say.

    Passed are exactly the rules and missing facts that the person saw. What is not for a person to pass stands: a rule
    that says "not now" beside the review still does.
    """
    if ruling["verdict"] != "review" or attempt.review is None or attempt.review["decision"] != "approve":
        return str(ruling["verdict"])
    effects = {effect: {rule["id"] for rule in ruling["rules"] if rule["effect"] == effect} for effect in _STRICTER}
    passed = effects["review"] <= set(attempt.review["rules"]) and set(ruling["missing"]) <= set(
        attempt.review["missing"]
    )
    if not passed:
        return "review"
    if effects["deny"] or effects["require"]:
        return "deny"
    return "defer" if effects["defer"] else "allow"


_STRICTER = ("deny", "require", "review", "defer")

RETRY = timedelta(hours=1)
"""When a passed review is ruled on again that other rules put off without saying until when."""


def _due(ruling: Mapping[str, Any], now: datetime) -> str | None:
    """Return the instant at which a wish that is put off is ruled on again, or None when no rule will ever allow it.

    A ruling of ``review`` names no such instant of its own: then it is the latest that a rule names.
    """
    if ruling["verdict"] != "review":
        due = ruling.get("next_allowed_at")
        return None if due is None else str(due)
    named = [from_text(r["until"]) for r in ruling["rules"] if r["effect"] == "defer" and "T" in (r["until"] or "")]
    return to_seconds_text(max([moment for moment in named if moment > now], default=now + RETRY))


def _until(facts: Facts, now: datetime) -> datetime | None:
    """Return the instant from which the template or the house rules are other ones, None while none is known."""
    template = facts.template.until if facts.template is not None else None
    known = [from_text(template) if template is not None else None, facts.house.next_change(now)]
    return min((each for each in known if each is not None), default=None)


def _approve(
    signer: Signer,
    attempt: Attempt,
    ruling: Mapping[str, Any],
    *,
    recipient: str,
    ruleset: str,
    inputs: str,
    until: datetime | None,
    now: datetime,
) -> dict[str, Any]:
    end = now + (CLEARANCE_LIFE if attempt.human else APPROVAL_LIFE)
    if ruling.get("not_after") is not None:
        end = min(end, from_text(ruling["not_after"]))
    if until is not None:
        end = min(end, until)
    return signer.sign(
        {
            "id": new_id("apr", epoch_ms=epoch_ms(now)),
            "tenant": attempt.tenant,
            "case": attempt.case,
            "contact": attempt.id,
            "person": attempt.person,
            "channel": attempt.channel,
            "purpose": attempt.purpose,
            "recipient": recipient,
            "content": attempt.content,
            "template": attempt.template,
            "template_sha256": attempt.template_sha256,
            "ruleset": ruleset,
            "inputs": inputs,
            "not_before": to_text(now),
            "not_after": to_text(end),
        },
        now=now,
    )


def _reservation(attempt: Attempt, now: datetime) -> ContactEntry:
    return ContactEntry(
        id=attempt.id,
        at=to_seconds_text(now),
        direction="out",
        channel=attempt.channel,
        purpose=attempt.purpose,
        party=attempt.person,
        point=attempt.point,
        org=attempt.org,
        collector=attempt.collector,
        debts=(attempt.case,),
        outcome="pending",
        reply=attempt.reply_to is not None or None,
        staff=(attempt.act.get("visit") or {}).get("staff"),
        place=(attempt.act.get("visit") or {}).get("place"),
    )


def _waiting(attempt: Attempt, verdict: str, due: str | None) -> dict[str, Any]:
    """Return the state of an attempt that may not go out now, and when the clock must look at it again."""
    if verdict == "deny":
        return {"state": AttemptState.DENIED, "due_at": None}
    if verdict == "review":
        return {"state": AttemptState.IN_REVIEW, "due_at": attempt.expires_at}
    # A person who wanted to call asks again when the time has come; a message waits by itself, if it can be in time.
    waits = due is not None and not attempt.human and from_text(due) < from_text(attempt.expires_at)
    return {"state": AttemptState.DEFERRED, "due_at": to_text(from_text(due)) if waits and due else attempt.expires_at}


def _check_ledgers(unit: Any, scope: Scope, facts: Facts) -> None:
    """Make the ledger of every party, and of every record merged with one, a condition of the commit.

    The case is one already, as its stream is watched.

    Lender, agency, collector and contact point are read again by the dispatcher instead: a condition on an item that
    all of a lender's rulings share would make them collide.
    """
    for person, ledger in facts.everything.items():
        pk = keys.person_pk(scope.tenant, person)
        if not unit.writes(pk, "LEDGER"):
            unit.check_version(pk, "LEDGER", ledger.version)


def recipient_of(store: Store, scope: Scope, facts: Facts) -> str:
    """Return the blind index of where the attempt goes: its contact point's value, or the person when there is none."""
    person = facts.persons[facts.attempt.person]
    point = person.point(facts.attempt.point) if facts.attempt.point else None
    if point is None:
        return store.blind_index(scope, label="person", value=person.id)
    return store.blind_index(scope, label=index_label(point.kind), value=point.value)


def index_label(kind: str) -> str:
    """Return the label under which a contact point of this kind is indexed; all telephones share one."""
    return "mobile" if kind == "landline" else kind


def _because(ruling: Mapping[str, Any]) -> str | None:
    return next((str(rule["id"]) for rule in ruling["rules"] if rule["effect"] == ruling["verdict"]), None)
