"""One legal-risk event: raised, judged by one person and decided by another, put right, closed; a total table.

What is raised is a suspicion. It counts once a second person agrees that a line was crossed, and is gone once a second person
agrees that none was. What people write stands in sealed events; an event about an agency alone keeps its masked words here.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from chalicelib.domain import keys
from chalicelib.domain.instants import from_text, to_text
from chalicelib.domain.outreach.attempt import Attempt, AttemptState
from chalicelib.domain.risk.register import CLEARANCE, CLEARANCE_WINDOW, Severity, register
from chalicelib.domain.state_table import Move, Refuse, Reply, StateTable


class RiskState(StrEnum):
    """Where an event stands. ``dismissed`` and ``closed`` are final."""

    RAISED = "raised"
    BREACH_FOUND = "breach_found"
    NO_BREACH_FOUND = "no_breach_found"
    CONFIRMED = "confirmed"
    DISMISSED = "dismissed"
    ACTING = "acting"
    DONE = "done"
    CLOSED = "closed"


FINAL = frozenset({RiskState.DISMISSED, RiskState.CLOSED})
UNDECIDED = frozenset({RiskState.RAISED, RiskState.BREACH_FOUND, RiskState.NO_BREACH_FOUND})
"""States in which nobody knows yet whether a line was crossed."""


class RiskAct(StrEnum):
    """What can be done about an event. ``accept`` and ``send_back`` answer a corrective action that is said to be done."""

    FIND_BREACH = "find_breach"
    FIND_NO_BREACH = "find_no_breach"
    AGREE = "agree"
    DISAGREE = "disagree"
    SET_ACTION = "set_action"
    FINISH_ACTION = "finish_action"
    ACCEPT = "accept"
    SEND_BACK = "send_back"


_S, _A = RiskState, RiskAct
_MOVES: dict[RiskAct, dict[RiskState, RiskState]] = {
    _A.FIND_BREACH: {_S.RAISED: _S.BREACH_FOUND},
    _A.FIND_NO_BREACH: {_S.RAISED: _S.NO_BREACH_FOUND},
    _A.AGREE: {_S.BREACH_FOUND: _S.CONFIRMED, _S.NO_BREACH_FOUND: _S.DISMISSED},
    # Who disagrees decides nothing: the finding is void, and somebody judges anew.
    _A.DISAGREE: {_S.BREACH_FOUND: _S.RAISED, _S.NO_BREACH_FOUND: _S.RAISED},
    # A corrective action may be set anew while it is not done.
    _A.SET_ACTION: {_S.CONFIRMED: _S.ACTING, _S.ACTING: _S.ACTING},
    _A.FINISH_ACTION: {_S.ACTING: _S.DONE},
    _A.ACCEPT: {_S.DONE: _S.CLOSED},
    _A.SEND_BACK: {_S.DONE: _S.ACTING},
}
_REASONS: dict[RiskState, str] = {
    _S.RAISED: "nobody has judged it yet",
    _S.BREACH_FOUND: "a second person must agree or disagree that a line was crossed",
    _S.NO_BREACH_FOUND: "a second person must agree or disagree that no line was crossed",
    _S.CONFIRMED: "it is confirmed, and no corrective action is set",
    _S.DISMISSED: "two people found that no line was crossed",
    _S.ACTING: "its corrective action is not done",
    _S.DONE: "its corrective action waits to be accepted or sent back",
    _S.CLOSED: "it is closed",
}


def _reply(state: RiskState, act: RiskAct) -> Reply[RiskState]:
    target = _MOVES[act].get(state)
    return Move(target) if target is not None else Refuse(_REASONS[state])


TABLE = StateTable.ruled(RiskState, RiskAct, _reply)
answer = TABLE.answer


class Source(StrEnum):
    """Where an event comes from; the first five the system itself raises."""

    QUALITY = "quality_check"
    CONTACT = "contact"
    DENIALS = "denials"
    DUTY = "duty"
    COMPLAINT = "complaint"
    AUDIT = "audit"
    COUNSEL = "counsel"
    PROVIDER = "provider"
    REGULATOR = "regulator"


PEOPLES = (Source.AUDIT, Source.COUNSEL, Source.PROVIDER, Source.REGULATOR)
"""The sources that people name."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Step(_Value):
    """What was done. ``words`` is the number of the event in which the words are sealed, ``text`` the words
    where nobody's key is.
    """

    did: str
    at: str
    by: str
    words: int | None = None
    text: str | None = None


class Found(_Value):
    """What the first person found; what it names is the event's once a second person agrees."""

    breach: bool
    line: str
    severity: Severity
    root_cause: str | None
    by: str
    at: str


class Action(_Value):
    """A corrective action: what is to be done, by whom (an organisation or a person's opaque id), by when (RFC 3339, open)."""

    measure: str
    owner: str
    due_at: str
    set_by: str
    done_by: str | None = None
    done_at: str | None = None
    evidence_sha256: str | None = None


class RiskEvent(_Value):
    """One event. ``line`` is the line of the register that is said to be crossed, ``rule`` the rule or duty
    that led to it, if any.

    ``subject`` is what it follows from: a duty, an item of feedback, a contact. ``agency`` and ``collector`` are whom it is
    about; ``org`` is who acted. Instants are RFC 3339 texts; ``due_at`` (open) is by when the present step must be done.
    """

    id: str
    tenant: str
    line: str
    source: Source
    severity: Severity
    rule: str | None = None
    subject: str | None = None
    person: str | None = None
    case: str | None = None
    org: str | None = None
    agency: str | None = None
    collector: str | None = None
    contact: str | None = None
    activity: str | None = None
    raised_at: str
    raised_by: str
    due_at: str | None
    status: RiskState = RiskState.RAISED
    finding: Found | None = None
    root_cause: str | None = None
    decided_by: str | None = None
    decided_at: str | None = None
    action: Action | None = None
    closed_at: str | None = None
    steps: tuple[Step, ...] = ()
    version: int = 1

    @property
    def is_open(self) -> bool:
        """Tell whether something is still to be done about it."""
        return self.status not in FINAL

    def is_overdue(self, now: str) -> bool:
        """Tell whether its present step should have been done by ``now`` (RFC 3339, milliseconds)."""
        return self.due_at is not None and self.due_at <= now


def stream_pk(risk: RiskEvent) -> str:
    """Return the key of the stream in which the event's history stands: its case, its person, or the organisation it is about."""
    if risk.case is not None:
        return keys.case_pk(risk.tenant, risk.case)
    if risk.person is not None:
        return keys.person_pk(risk.tenant, risk.person)
    return keys.org_pk(risk.tenant, risk.agency or risk.tenant)


def judged_by(raised_at: str, severity: Severity) -> str:
    """Return by when (open) two people must have decided on an event."""
    return _later(raised_at, register().levels[severity].judge_hours)


def acted_by(at: str, severity: Severity) -> str:
    """Return by when (open) the next step must be taken after a confirmation, or after an action was done."""
    return _later(at, register().levels[severity].act_hours)


def _later(at: str, hours: int) -> str:
    return to_text(from_text(at) + timedelta(hours=hours))


def second_person(risk: RiskEvent, act: RiskAct) -> str | None:
    """Return who has taken the step before and so may not take this one; None where anybody may.

    Two people decide whether a line was crossed, and whoever did the corrective action does not accept it.
    """
    if act in (RiskAct.AGREE, RiskAct.DISAGREE):
        return None if risk.finding is None else risk.finding.by
    if act in (RiskAct.ACCEPT, RiskAct.SEND_BACK) and risk.action is not None:
        return risk.action.done_by
    return None


def raised(
    *,
    risk: str,
    tenant: str,
    line: str,
    source: Source,
    at: str,
    by: str,
    severity: Severity | None = None,
    **about: Any,
) -> RiskEvent:
    """Return an event as it is raised; as grave as its line unless it is said how grave. Raises KeyError for an unknown line."""
    grave = severity or register().lines[line].severity
    return RiskEvent(
        id=risk,
        tenant=tenant,
        line=line,
        source=source,
        severity=grave,
        raised_at=at,
        raised_by=by,
        due_at=judged_by(at, grave),
        steps=(Step(did="raised", at=at, by=by),),
        **about,
    )


def raised_data(risk: RiskEvent) -> dict[str, Any]:
    """Return the open data of ``risk_event.raised``."""
    return {
        "risk": risk.id,
        "line": risk.line,
        "source": risk.source.value,
        "severity": risk.severity.value,
        "rule": risk.rule,
        "subject": risk.subject,
        "person": risk.person,
        "about_case": risk.case,
        "contact": risk.contact,
        "activity": risk.activity,
        "org": risk.org,
        "agency": risk.agency,
        "collector": risk.collector,
        "version": risk.version,
    }


def derived_id(tenant: str, *occasion: str) -> str:
    """Return the id of the event that an occasion raises: the same occasion always names the same event."""
    told = "|".join((tenant, *occasion))
    return f"risk_{hashlib.sha256(told.encode()).hexdigest()[:32]}"


_NOT_CLEARED = frozenset({AttemptState.CANCELLED, AttemptState.DENIED})


def crossed(attempt: Attempt | None, channel: str, at: str) -> str | None:
    """Return the line that a call or visit at ``at`` (RFC 3339) crossed, given the contact that it was made
    under; None for none.

    Without an approval for this channel, or with one that was taken back, it had no clearance; with one it must lie within it
    (begin closed, end open).
    """
    if attempt is None or attempt.approved is None or attempt.channel != channel or attempt.state in _NOT_CLEARED:
        return CLEARANCE
    begins, ends = from_text(attempt.approved.not_before), from_text(attempt.approved.not_after)
    return None if begins <= from_text(at) < ends else CLEARANCE_WINDOW


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a list: where it stands in it, and which event."""

    place: str
    risk: str


def are_too_many(denied: Sequence[str]) -> bool:
    """Tell whether so many contacts that were denied to one agency about one case on one day are beyond what is normal."""
    return len(set(denied)) >= register().denials
