"""An attempt: one wish to reach one person, from request to its end, as a total state machine."""

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from chalicelib.domain.state_table import Move, Reply, StateTable, Stay


class AttemptState(StrEnum):
    """Where an attempt stands. ``unknown`` is final but for the carrier's own later word."""

    REQUESTED = "requested"
    DEFERRED = "deferred"
    IN_REVIEW = "in_review"
    DENIED = "denied"
    APPROVED = "approved"
    SENDING = "sending"
    SENT = "sent"
    DELIVERED = "delivered"
    FAILED = "failed"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REPORTED = "reported"


class AttemptEvent(StrEnum):
    """What can happen to an attempt."""

    ALLOW = "allow"
    DEFER = "defer"
    REVIEW = "review"
    DENY = "deny"
    RELEASE = "release"
    CLAIM = "claim"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    LOST = "lost"
    DELIVERED = "delivered"
    UNDELIVERABLE = "undeliverable"
    CANCEL = "cancel"
    EXPIRE = "expire"
    REPORT = "report"


_S, _E = AttemptState, AttemptEvent

_MOVES: dict[AttemptEvent, dict[AttemptState, AttemptState]] = {
    _E.ALLOW: {_S.REQUESTED: _S.APPROVED},
    _E.DEFER: {_S.REQUESTED: _S.DEFERRED},
    _E.REVIEW: {_S.REQUESTED: _S.IN_REVIEW},
    _E.DENY: {_S.REQUESTED: _S.DENIED},
    # A deferred wish, and an approval whose time ran out before it was claimed, are ruled on again from the start.
    _E.RELEASE: {_S.DEFERRED: _S.REQUESTED, _S.APPROVED: _S.REQUESTED},
    _E.CLAIM: {_S.APPROVED: _S.SENDING},
    _E.ACCEPTED: {_S.SENDING: _S.SENT, _S.UNKNOWN: _S.SENT},
    _E.REFUSED: {_S.SENDING: _S.REJECTED},
    _E.LOST: {_S.SENDING: _S.UNKNOWN},
    # A carrier's event may overtake our own settle step, and it proves that the message left.
    _E.DELIVERED: dict.fromkeys((_S.SENDING, _S.SENT, _S.UNKNOWN), _S.DELIVERED),
    _E.UNDELIVERABLE: dict.fromkeys((_S.SENDING, _S.SENT, _S.UNKNOWN, _S.DELIVERED), _S.FAILED),
    _E.CANCEL: dict.fromkeys((_S.REQUESTED, _S.DEFERRED, _S.IN_REVIEW, _S.APPROVED), _S.CANCELLED),
    _E.EXPIRE: dict.fromkeys((_S.REQUESTED, _S.DEFERRED, _S.IN_REVIEW, _S.APPROVED), _S.EXPIRED),
    # The agency's word on a call may come after the clearance lapsed; it still is what happened.
    _E.REPORT: {_S.APPROVED: _S.REPORTED, _S.EXPIRED: _S.REPORTED},
}


def _moved(state: AttemptState, event: AttemptEvent) -> Reply[AttemptState]:
    target = _MOVES[event].get(state)
    return Move(target) if target is not None else Stay(f"{event} changes nothing when {state}")


def _clearance(state: AttemptState, event: AttemptEvent) -> Reply[AttemptState]:
    if event in (_E.CLAIM, _E.ACCEPTED, _E.REFUSED, _E.LOST, _E.DELIVERED, _E.UNDELIVERABLE):
        return Stay("a clearance is used by a person, not by a carrier")
    return _moved(state, event)


def _message(state: AttemptState, event: AttemptEvent) -> Reply[AttemptState]:
    return Stay("a message's outcome comes from its carrier") if event == _E.REPORT else _moved(state, event)


CLEARANCES = StateTable.ruled(AttemptState, AttemptEvent, _clearance)
MESSAGES = StateTable.ruled(AttemptState, AttemptEvent, _message)


def answer(state: AttemptState, event: AttemptEvent, *, human: bool) -> Reply[AttemptState]:
    """Return what the event does; ``human`` marks a clearance (call, visit), which is never claimed or delivered.

    Every (state, event) pair has an answer and none is refused, because carriers repeat and reorder.
    """
    return (CLEARANCES if human else MESSAGES).answer(state, event)


RESERVED = frozenset(
    {AttemptState.APPROVED, AttemptState.SENDING, AttemptState.SENT, AttemptState.DELIVERED, AttemptState.UNKNOWN}
)
"""States in which the attempt stands in the contact ledger and counts towards caps."""


class Approved(BaseModel):
    """What the attempt keeps of its approval: the id, the blind index of the recipient, and its window.

    ``not_before`` is closed, ``not_after`` open. The signed whole stands in the event of the ruling.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    recipient: str
    not_before: str
    not_after: str


class Attempt(BaseModel):
    """One message or clearance. ``body`` is the rendered text; ``content`` its SHA-256 (hex), None for a clearance.

    ``template`` is ``id@version`` of the approved text it was rendered from and ``template_sha256`` that version's digest;
    both are None for a free text and for a clearance without a script.

    ``stop_epoch`` is that of the person's ledger when the attempt was approved, ``other_stop_epochs`` those of the records
    that are merged with it.

    ``decided_seq`` is the number, in the stream of its case, of the event that holds the ruling last given, with all
    that it rests on and the signed approval: they are written once and read when they are needed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    tenant: str
    case: str
    person: str
    point: str | None
    channel: str
    purpose: str
    human: bool
    state: AttemptState = AttemptState.REQUESTED
    org: str
    collector: str | None
    requested_at: str
    template: str | None = None
    template_sha256: str | None = None
    parameters: dict[str, str] = {}
    subject: str | None = None
    body: str | None = None
    content: str | None = None
    language: str | None = None
    disclosures: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()
    amount_minor: int | None = None
    amount_as_of: str | None = None
    reply_to: str | None = None
    act: dict[str, Any] = {}
    decided_seq: int | None = None
    approved: Approved | None = None
    stop_epoch: int | None = None
    other_stop_epochs: dict[str, int] = {}
    case_version: int | None = None
    review: dict[str, Any] | None = None
    due_at: str | None = None
    expires_at: str
    provider: str | None = None
    provider_id: str | None = None
    sent_at: str | None = None
    reason: str | None = None
    outcome: dict[str, Any] | None = None
    releases: int = 0
    version: int = 1
