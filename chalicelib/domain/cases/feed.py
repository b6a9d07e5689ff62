"""The change feed of an agency and the lists of cases: what follows from the events of a case, without personal data.

An agency's feed is totally ordered and has no gaps: entry n+1 is written in the transaction that moves the feed's head
from n. An entry says how the case stands when it is written, so that reading one twice, or late, can do no harm.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from chalicelib.domain.cases.case import Case
from chalicelib.domain.cases.lifecycle import FINAL
from chalicelib.domain.cases.repayment_ledger import bucket_of, days_past_due
from chalicelib.domain.events import Event, EventType

RETENTION_DAYS = 35
"""How long feed entries are kept; a cursor that points before them has expired."""

FEED_TYPES = frozenset(
    {
        EventType.CASE_PLACED,
        EventType.CASE_ASSIGNED,
        EventType.CASE_CHANGED,
        EventType.PROMISE_MADE,
        EventType.PROMISE_KEPT,
        EventType.PROMISE_BROKEN,
        EventType.PAYMENT_POSTED,
        EventType.PAYMENT_REVERSED,
        EventType.PAUSE_RECORDED,
        EventType.PAUSE_CANCELLED,
        EventType.HOLD_PLACED,
        EventType.HOLD_RELEASED,
        EventType.PERSON_KEYS_DESTROYED,
    }
)
"""The events of a case that its agency and its lender hear of; and the one that takes cases out of the lists."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a case list. ``seq`` is the case's last event that the list knows; ``held`` that it is live there.

    ``oldest_unpaid_due_on`` and the ``frozen`` spans of days (disjoint, first and last closed) are what days past due follow
    from on a later day.
    """

    case: str
    lender: str
    agency: str | None
    state: str
    version: int
    seq: int
    held: bool
    currency: str
    amount_due_minor: int
    oldest_unpaid_due_on: str | None
    frozen: tuple[tuple[str, str], ...]
    placed_to: str
    country: str
    product: str

    def as_json(self) -> dict[str, Any]:
        """Return the row as it is stored."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Row":
        """Return the row of which that is stored."""
        return cls(**{**stored, "frozen": tuple((first, last) for first, last in stored["frozen"])})

    def summary(self, today: date) -> dict[str, Any]:
        """Return the row as the API shows it; days past due and bucket are those of ``today``."""
        frozen = [(date.fromisoformat(first), date.fromisoformat(last)) for first, last in self.frozen]
        oldest = self.oldest_unpaid_due_on
        overdue = days_past_due(date.fromisoformat(oldest), today, frozen=frozen) if oldest is not None else 0
        return {
            "case": self.case,
            "lender": self.lender,
            "agency": self.agency,
            "state": self.state,
            "version": self.version,
            "currency": self.currency,
            "amount_due_minor": self.amount_due_minor,
            "days_past_due": overdue,
            "bucket": bucket_of(overdue, country=self.country),
            "placed_to": self.placed_to,
            "product": self.product,
        }


@dataclass(frozen=True, slots=True)
class Step:
    """What the events of one case mean for one agency: its new row, the feed entries in order, places given back."""

    row: Row
    entries: tuple[dict[str, Any], ...]
    released: int

    @property
    def size(self) -> int:
        """Return how many items the step writes."""
        return 1 + len(self.entries)


def row_of(case: Case, *, seq: int, org: str | None) -> Row:
    """Return the case's line in the list of ``org``, or of the lender when None."""
    live = case.state not in FINAL
    stands = case.ledger.standing(date.max)
    oldest = stands.oldest_unpaid_due_on
    return Row(
        case=case.id,
        lender=case.tenant,
        agency=case.agency,
        state=case.state.value,
        version=case.version,
        seq=seq,
        held=live and case.agency == org if org is not None else live,
        currency=case.currency,
        amount_due_minor=case.amount_due_minor,
        oldest_unpaid_due_on=oldest.isoformat() if oldest is not None else None,
        frozen=tuple((first.isoformat(), last.isoformat()) for first, last in stands.frozen),
        placed_to=case.placed_to,
        country=case.country,
        product=case.product,
    )


def audience(event: Event, case: Case) -> set[str]:
    """Return the agencies that hear of the event: the one that holds the case, and the one the event names."""
    named = event.data.get("agency")
    return {org for org in (case.agency, named) if isinstance(org, str)}


def step_of(events: Iterable[Event], case: Case, *, org: str, known: Row | None, today: date) -> Step | None:
    """Return what the case's events mean for an agency, or None when it knows all of them already.

    ``events`` are in the order of their stream; ``known`` is the agency's row so far.
    """
    heard = [e for e in events if (known is None or e.seq > known.seq) and org in audience(e, case)]
    if not heard:
        return None
    row = row_of(case, seq=max(event.seq for event in heard), org=org)
    took_a_place = known.held if known is not None else any(e.type is EventType.CASE_ASSIGNED for e in heard)
    return Step(
        row=row,
        entries=tuple(_entry(event, case, row, today) for event in heard),
        released=int(took_a_place and not row.held),
    )


def _entry(event: Event, case: Case, row: Row, today: date) -> dict[str, Any]:
    return {
        "kind": "upsert" if row.held else "tombstone",
        "event": event.id,
        "type": event.type.value,
        "at": event.at,
        "reason": _reason(event, case, row),
        "case": case.id,
        "lender": case.tenant,
        "state": case.state.value,
        "version": case.version,
        "currency": case.currency,
        "amount_due_minor": case.amount_due_minor,
        "bucket": case.bucket(today),
        "placed_to": case.placed_to,
        "recall_due_at": case.recall_due_at,
    }


def _reason(event: Event, case: Case, row: Row) -> str:
    if not row.held and case.state not in FINAL:
        return "reassigned"
    said = event.data.get("kind") or event.data.get("reason") or event.data.get("rule")
    return str(said) if said is not None else event.type.value


def batches(steps: Sequence[Step], *, most: int) -> list[list[Step]]:
    """Return the steps in order, in runs that write at most ``most`` items each (a larger step stands alone)."""
    runs: list[list[Step]] = []
    size = 0
    for step in steps:
        if not runs or size + step.size > most:
            runs.append([])
            size = 0
        runs[-1].append(step)
        size += step.size
    return runs


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a feed: entries with their ``seq``, in order, and the number to go on from."""

    entries: tuple[Mapping[str, Any], ...]
    next_seq: int
    more: bool


@dataclass(frozen=True, slots=True)
class Expired:
    """The feed no longer holds what follows the cursor; the reader lists its cases anew and goes on from the head."""

    reason: str
