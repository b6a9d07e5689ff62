"""What is known of a borrower's repayment and contacts, and what of it was known at an instant.

A history holds money, days and codes of what was done. It has no room for who somebody is: no age, sex, origin, health,
family, belief, place, language or name can be put into it, so that no feature can be made of them.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from chalicelib.domain.cases.case import Promise
from chalicelib.domain.cases.repayment_ledger import Pause, Payment, RepaymentLedger
from chalicelib.domain.instants import from_text, local_date

SENSITIVE = (
    "name", "sex", "gender", "age", "birth", "national_id", "ethnic", "race", "nationality", "religion", "belief", "politic",
    "union", "health", "illness", "disab", "genetic", "biometric", "pregnan", "marital", "spouse", "family", "child",
    "orientation", "criminal", "language", "region", "city", "postcode", "address", "division", "residence", "employer", "job",
    "income_band", "school", "military", "location", "gps",
)  # fmt: skip
"""Attributes of a person, and what stands in for them, that no feature may rest on; as parts of a field's name."""


@dataclass(frozen=True, slots=True)
class Contact:
    """One attempt to reach the borrower, or one contact that they sought (``inbound``).

    ``at`` is RFC 3339 in UTC; ``by_person`` says that somebody called or visited, ``answered`` that somebody answered,
    ``right_party`` that it was the borrower.
    """

    at: str
    channel: str
    inbound: bool = False
    by_person: bool = False
    answered: bool = False
    right_party: bool = False

    @property
    def is_two_way(self) -> bool:
        """Tell whether the borrower themselves spoke or wrote."""
        return self.inbound or self.right_party


@dataclass(frozen=True, slots=True)
class History:
    """A borrower's account as far as features are concerned.

    ``ledgers`` together hold every instalment once: those of the record before the placement, and those that were placed.
    ``instalment_minor`` is the contract's usual instalment, where it is known. ``hardship_said_at`` are the instants at which
    the borrower said that they cannot pay: it sends the account to people and is scored by nothing.
    """

    zone: str
    ledgers: tuple[RepaymentLedger, ...]
    promises: tuple[Promise, ...] = ()
    contacts: tuple[Contact, ...] = ()
    hardship_said_at: tuple[str, ...] = ()
    instalment_minor: int | None = None

    def known_at(self, instant: datetime) -> "History":
        """Return what was known at the instant (closed): later bookings, promises and contacts are not there.

        An entry without an instant of booking came with the placement and counts from its value date. Promises are open
        again: what became of them follows from the payments that were known.
        """
        today = local_date(instant, self.zone)

        def is_known(entry: Payment | Pause) -> bool:
            if entry.posted_at is not None:
                return from_text(entry.posted_at) <= instant
            return (entry.received_on if isinstance(entry, Payment) else entry.paused_from) <= today

        return replace(
            self,
            ledgers=tuple(
                replace(
                    ledger,
                    payments=tuple(payment for payment in ledger.payments if is_known(payment)),
                    pauses=tuple(pause for pause in ledger.pauses if is_known(pause)),
                )
                for ledger in self.ledgers
            ),
            promises=tuple(
                promise.model_copy(update={"state": "open", "paid_minor": 0})
                for promise in self.promises
                if from_text(promise.made_at) <= instant
            ),
            contacts=tuple(contact for contact in self.contacts if from_text(contact.at) <= instant),
            hardship_said_at=tuple(at for at in self.hardship_said_at if from_text(at) <= instant),
        )
