"""What a carrier is given, and the three things it may answer.

The answers differ in what is known about the borrower: ``Accepted`` means that the message is on its way, ``Refused``
that it certainly is not (the reservation can be given back), ``Ambiguous`` that nobody knows. An ambiguous message
counts as sent and is never sent again by machine.
"""

import hashlib
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Outbound:
    """One message, ready to leave.

    ``contact`` is the attempt's id and ``reference`` is ``<tenant>/<contact>``. ``to`` is E.164 for a text message, an
    RFC 5321 mailbox for mail, an external user id for WeChat, one-line address text for a letter. ``sender`` is the
    line or account that the person is to see, None for the platform's own. ``content`` is ``content_digest`` of subject
    and body; ``not_after`` the approval's end (RFC 3339, exclusive); ``language`` an ISO 639-1 code.
    """

    contact: str
    channel: str
    to: str
    body: str
    subject: str | None
    sender: str | None
    content: str
    not_after: str
    language: str
    reference: str

    @property
    def tenant(self) -> str:
        """Return the lender's id, which is the first part of the reference."""
        return self.reference.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Accepted:
    """The carrier took the message over; ``provider_id`` is its own name for it."""

    provider: str
    provider_id: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The message certainly did not leave; ``reason`` is a short code without personal data."""

    provider: str
    reason: str


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """The message may have left (time-out, reset or server error after bytes were sent); ``reason`` as in ``Refused``."""

    provider: str
    reason: str


Outcome = Accepted | Refused | Ambiguous


class Carrier(Protocol):
    """One way out. ``send`` hands the message over at most once and never retries."""

    def send(self, outbound: Outbound) -> Outcome:
        """Hand the message over and say what is known. Raises nothing for what a network or a service can do."""
        ...


def content_digest(subject: str | None, body: str) -> str:
    """Return the SHA-256 (hex) of what the person gets to read.

    Without a subject it is exactly the UTF-8 bytes of the body; with one (mail, letter) those of subject, an empty
    line (``\\n\\n``) and body.

    >>> content_digest(None, "a") == content_digest("a", "")
    False
    """
    text = body if subject is None else f"{subject}\n\n{body}"
    return hashlib.sha256(text.encode()).hexdigest()


def altered(outbound: Outbound) -> bool:
    """Tell whether subject and body are no longer what the approval's content digest names."""
    return content_digest(outbound.subject, outbound.body) != outbound.content
