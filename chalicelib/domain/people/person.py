"""A person as a lender knows them, shared by all of that lender's cases."""

from datetime import date

from pydantic import BaseModel, ConfigDict, Field


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Residence(_Value):
    """Where a person lives as far as evidence goes: ISO 3166-1 country, ISO 3166-2 region."""

    country: str
    region: str | None = None
    city: str | None = None
    postal_code: str | None = None


class ContactPoint(_Value):
    """One way to reach a person, with where it came from.

    ``kind`` is mobile, landline, email, wechat or address; ``value`` is E.164, RFC 5321, an open id, or one-line
    address text; ``zones`` are the IANA zones that the point itself suggests (area code, address).
    """

    id: str
    kind: str
    value: str
    place: str | None = None
    status: str = "ok"
    source: str = "creditor"
    employer_provided: bool = False
    public_domain: bool = False
    third_party_seen: bool = False
    zones: tuple[str, ...] = ()
    area_zones: tuple[str, ...] = ()
    first_seen: date | None = None
    last_verified: date | None = None
    preference: int | None = None
    do_not_use: bool = False
    verified_by: str | None = None
    verified_how: str | None = None
    retired_at: str | None = None
    retired_because: str | None = None

    @property
    def is_usable(self) -> bool:
        """Tell whether anybody may still try to reach the person here."""
        return self.status in ("ok", "unverified") and not self.do_not_use and self.retired_at is None


class Confirmation(_Value):
    """That a group of a person's data was found to be right: the lender's local day, the organisation, and by what means."""

    on: date
    by: str
    how: str


class Preferences(_Value):
    """How the person wishes to be reached. ``hours_from`` (closed) and ``hours_to`` (open) are local ``HH:MM``.

    A wish narrows what is planned; it never opens an hour or a channel that the law closes.
    """

    channel: str | None = None
    hours_from: str | None = None
    hours_to: str | None = None


class Employment(_Value):
    """Where the person works and how much they earn, as told: ``income_band`` is the lender's own band."""

    employer: str | None = None
    job: str | None = None
    income_band: str | None = None


class Merge(_Value):
    """That another record was found to be this person's too: the merge's id, the record, and since when."""

    id: str
    person: str
    at: str


class LostContact(_Value):
    """Evidence that a debtor cannot be reached; instants and dates as RFC 3339 text."""

    since: str | None = None
    number_vacant: bool = False
    failed_dials: tuple[str, ...] = ()


class Attorney(_Value):
    """The lawyer who represents the person on this debt."""

    name: str | None = None
    since: str | None = None
    unresponsive_since: str | None = None


class Person(_Value):
    """Identity, residences and contact points of one person of one lender; sealed as a whole under their key.

    ``locked_since`` is set when an erasure was asked for and the law bars it: the data are stored, and shown to the
    lender's compliance officers only. ``merges`` are the records that were found to be of the same person, and
    ``merged_into`` is the record that this one was merged into; both records stay, see ``domain.people.merging``.
    ``confirmed`` says per group of data (``domain.people.upkeep``) when it was last found to be right.
    """

    id: str
    name: str
    name_local: str | None = None
    birth_date: date | None = None
    national_id: str | None = None
    language: str | None = None
    residences: tuple[Residence, ...] = ()
    zones: tuple[str, ...] = ()
    points: tuple[ContactPoint, ...] = ()
    spouse_of: str | None = None
    employer_forbids_work_contact: bool = False
    lost_contact: LostContact | None = None
    stop_requested_at: str | None = None
    attorney: Attorney | None = None
    in_xinjiang: bool | None = None
    locked_since: str | None = None
    preferences: Preferences | None = None
    employment: Employment | None = None
    confirmed: dict[str, Confirmation] = {}
    merges: tuple[Merge, ...] = ()
    merged_into: str | None = None
    version: int = 0

    def point(self, point_id: str) -> ContactPoint | None:
        """Return the contact point with this id, or None."""
        return next((point for point in self.points if point.id == point_id), None)

    def first_point(self, kind: str) -> ContactPoint | None:
        """Return the usable point of this kind with the lowest preference number, then the first on file; or None."""
        usable = [p for p in self.points if p.kind == kind and p.is_usable]
        return min(usable, key=lambda p: p.preference or 1_000, default=None)

    def with_point(self, changed: ContactPoint) -> "Person":
        """Return the person with the point of the same id replaced, or the point appended."""
        kept = tuple(changed if point.id == changed.id else point for point in self.points)
        if changed.id not in {point.id for point in self.points}:
            kept += (changed,)
        return self.model_copy(update={"points": kept})


def masked_name(name: str) -> str:
    """Return the name as a message may carry it: the family name, then asterisks ("张*", "J*** S***")."""
    if any("\u3400" <= letter <= "\u9fff" for letter in name):
        return name[:1] + "*" * max(1, len(name) - 1)
    return " ".join(part[:1] + "*" * max(1, len(part) - 1) for part in name.split())


class ContactEntry(_Value):
    """One contact in the ledger, in the very shape of a dossier's ``history`` event."""

    id: str
    at: str
    direction: str
    channel: str
    party: str
    outcome: str
    purpose: str | None = None
    point: str | None = None
    org: str | None = None
    collector: str | None = None
    debts: tuple[str, ...] | None = None
    consented: bool | None = None
    reply: bool | None = None
    staff: int | None = None
    place: str | None = None


class ConsentEntry(_Value):
    """One event of the consent and preference ledger, in the shape of a dossier's ``consents`` event."""

    at: str
    party: str
    event: str
    point: str | None = None
    medium: str | None = None
    scope: str | None = None
    direct: bool | None = None
    org: str | None = None
    expires: str | None = None
    times: dict[str, object] | None = None
    place: str | None = None
    deadline: str | None = None
    written: bool | None = None
    purpose: str | None = None


class HoldEntry(_Value):
    """One hold on a person or a debt, in the shape of a dossier's ``holds`` event, with an id to release it by."""

    id: str
    kind: str
    from_: str = Field(alias="from")
    party: str | None = None
    debt: str | None = None
    until: str | None = None
    released_at: str | None = None
    amount_minor: int | None = None
    written: bool | None = None
    kinds_exempt: tuple[str, ...] | None = None
    chapter: int | None = None

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class ContactLedger(_Value):
    """Everything that counts towards a cap or a stop for one person of one lender, over all agencies and cases.

    Counters are never kept: each ruling counts ``history`` anew. ``stop_epoch`` grows with every stop (opt-out, hold,
    a case of the person closed or recalled), so that one number tells a dispatcher whether an approval is stale.
    ``is_erased`` says that what it held is unreadable for good; it is never written so. ``counted_with`` are the other
    records of the same person, each with the instant since when: what stands in their ledgers counts here too. It changes
    in all of them in one transaction.
    """

    person: str
    version: int = 0
    is_erased: bool = False
    stop_epoch: int = 0
    history: tuple[ContactEntry, ...] = ()
    consents: tuple[ConsentEntry, ...] = ()
    holds: tuple[HoldEntry, ...] = ()
    counted_with: dict[str, str] = {}

    def with_contact(self, entry: ContactEntry) -> "ContactLedger":
        """Return the ledger with the entry of the same id replaced, or the entry appended."""
        others = tuple(known for known in self.history if known.id != entry.id)
        return self.model_copy(update={"history": (*others, entry)})

    def without_contact(self, contact_id: str) -> "ContactLedger":
        """Return the ledger without the entry: a reservation given back because nothing left the house."""
        return self.model_copy(update={"history": tuple(e for e in self.history if e.id != contact_id)})

    def with_outcome(self, contact_id: str, outcome: str) -> "ContactLedger":
        """Return the ledger with that contact's outcome changed; unchanged when the contact is not in it."""
        return self.model_copy(
            update={
                "history": tuple(
                    entry.model_copy(update={"outcome": outcome}) if entry.id == contact_id else entry
                    for entry in self.history
                )
            }
        )

    def with_consent(self, entry: ConsentEntry, *, stops: bool) -> "ContactLedger":
        """Return the ledger with the consent event appended; ``stops`` makes earlier approvals stale."""
        return self.model_copy(
            update={"consents": (*self.consents, entry), "stop_epoch": self.stop_epoch + (1 if stops else 0)}
        )

    def with_hold(self, hold: HoldEntry) -> "ContactLedger":
        """Return the ledger with the hold set or replaced (by id); earlier approvals become stale."""
        others = tuple(known for known in self.holds if known.id != hold.id)
        return self.model_copy(update={"holds": (*others, hold), "stop_epoch": self.stop_epoch + 1})
