"""One duty: who owes what to whom by when, and how it may end. A total table over every state and event."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from chalicelib.domain.instants import from_text
from chalicelib.domain.state_table import Move, Refuse, Reply, StateTable, Stay


class DutyState(StrEnum):
    """Where a duty stands. A lapsed one can still be fulfilled, late; the other two are final."""

    OPEN = "open"
    FULFILLED = "fulfilled"
    LAPSED = "lapsed"
    WAIVED = "waived"


class DutyEvent(StrEnum):
    """What can happen to a duty."""

    FULFIL = "fulfil"
    ESCALATE = "escalate"
    EXTEND = "extend"
    LAPSE = "lapse"
    WAIVE = "waive"


_S, _E = DutyState, DutyEvent
_REPLIES: dict[tuple[DutyState, DutyEvent], Reply[DutyState]] = {
    (_S.OPEN, _E.FULFIL): Move(_S.FULFILLED),
    (_S.OPEN, _E.ESCALATE): Move(_S.OPEN),
    (_S.OPEN, _E.EXTEND): Move(_S.OPEN),
    (_S.OPEN, _E.LAPSE): Move(_S.LAPSED),
    (_S.OPEN, _E.WAIVE): Move(_S.WAIVED),
    (_S.FULFILLED, _E.FULFIL): Stay("it was fulfilled before"),
    (_S.FULFILLED, _E.ESCALATE): Stay("it was fulfilled before"),
    (_S.FULFILLED, _E.EXTEND): Refuse("the duty is fulfilled"),
    (_S.FULFILLED, _E.LAPSE): Stay("it was fulfilled before"),
    (_S.FULFILLED, _E.WAIVE): Refuse("the duty is fulfilled"),
    # What was done late was done all the same; that it had lapsed stays on record.
    (_S.LAPSED, _E.FULFIL): Move(_S.FULFILLED),
    (_S.LAPSED, _E.ESCALATE): Stay("its time is over"),
    (_S.LAPSED, _E.EXTEND): Refuse("the duty has lapsed"),
    (_S.LAPSED, _E.LAPSE): Stay("it lapsed before"),
    (_S.LAPSED, _E.WAIVE): Refuse("the duty has lapsed"),
    (_S.WAIVED, _E.FULFIL): Stay("it was waived"),
    (_S.WAIVED, _E.ESCALATE): Stay("it was waived"),
    (_S.WAIVED, _E.EXTEND): Refuse("the duty was waived"),
    (_S.WAIVED, _E.LAPSE): Stay("it was waived"),
    (_S.WAIVED, _E.WAIVE): Stay("it was waived before"),
}


TABLE = StateTable(DutyState, DutyEvent, _REPLIES)
answer = TABLE.answer


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Step(_Value):
    """An escalation: its name in the catalogue, and its instant."""

    step: str
    at: str


class Evidence(_Value):
    """What shows that a duty was discharged. ``event`` is the event that did it, where one did; ``at`` when it was done."""

    kind: str
    at: str
    reference: str | None = None
    sha256: str | None = None
    event: str | None = None


class Duty(_Value):
    """One duty. ``due_at`` is exclusive; ``steps`` are the escalations to come, ``escalations`` those that were.

    ``subject`` is what it is about (a hold, a complaint, a case), ``doubts`` what could not be known when it was opened.
    ``agency`` is the agency concerned, also when the lender owes it. Instants are RFC 3339 texts.
    """

    id: str
    tenant: str
    rule: str
    kind: str
    case: str | None
    person: str
    subject: str
    opened_by: str
    opened_at: str
    due_at: str
    owner: str
    agency: str | None
    severity: str
    state: DutyState = DutyState.OPEN
    steps: tuple[Step, ...] = ()
    escalations: tuple[Step, ...] = ()
    extension: str | None = None
    doubts: tuple[str, ...] = ()
    evidence: Evidence | None = None
    lapsed_at: str | None = None
    version: int = 1

    @property
    def wakes_at(self) -> str | None:
        """Return the instant at which the clock must look at it again, None when it never must."""
        if self.state is not DutyState.OPEN:
            return None
        return min([self.due_at, *(step.at for step in self.steps)])

    @property
    def is_late(self) -> bool:
        """Tell whether it was discharged at its due instant or later."""
        return self.evidence is not None and from_text(self.evidence.at) >= from_text(self.due_at)

    def passed(self, now: datetime) -> tuple[Step, ...]:
        """Return the escalations whose instant has come."""
        return tuple(step for step in self.steps if from_text(step.at) <= now)


def duty_id(tenant: str, rule: str, kind: str, *, person: str, subject: str) -> str:
    """Return the id of the duty of a rule about a subject: the same occasion always names the same duty."""
    told = "|".join((tenant, rule, kind, person, subject))
    return f"duty_{hashlib.sha256(told.encode()).hexdigest()[:32]}"


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a list: where it stands in it, whose it is, and which duty."""

    place: str
    lender: str
    duty: str
