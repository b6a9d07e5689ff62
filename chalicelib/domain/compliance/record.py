"""A dossier in the form in which decisions are fast, in memory and as stored bytes, lossless both ways.

What rules look at most lies flat: facts by number, closed lists of words as bits, the history as two columns (seconds
since 1970, sorted, and a byte that says which kind of event). The rest of the dossier travels along unread; whoever
asks a record for anything else is answered by the full ``Case``, which is made then and only then.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

import msgspec

from chalicelib.domain.compliance import form
from chalicelib.domain.compliance.case import Case, Event, Facts
from chalicelib.domain.compliance.hours import named_spans
from chalicelib.domain.compliance.scene import covers, since
from chalicelib.domain.compliance.timeline import instant_of, instant_text

_ORG = ("inspected_on", "licensed", "listed_from", "listed_to", "suspended")
_HEADS: Mapping[str, tuple[str, ...]] = {
    "debt": ("amount_due_minor", "currency", "days_past_due", "limitation_expires_on", "product", "status"),
    "creditor": ("role",),
    "org": ("inspected_on", "licensed", "role", "suspended"),
    "collector": ("certified_to",),
    "recipient": ("employer_forbids_work_contact", "language", "role"),
    "point": ("kind", "place", "status"),
    "content": ("language", "template"),
    "act": ("channel", "collector", "point", "purpose"),
}  # fmt: skip
_SELDOM_HEADS: Mapping[str, tuple[str, ...]] = {
    "debt": (
        "amount_as_of", "collection_began_on", "creditor_kind", "docket_no", "guarantee_until",
        "payments_before_service", "placed_from", "placed_to", "rescission_clause", "share_paid", "unpaid_periods",
        "unpaid_rent_share",
    ),
    "creditor": _ORG,
    "org": ("listed_from", "listed_to"),
    "recipient": ("in_xinjiang", "stop_requested_at"),
    "point": (
        "corporate_account", "employer_provided", "personal_device", "public_domain", "registered_line", "source",
        "third_party_seen",
    ),
    "from": (
        "corporate_account", "employer_provided", "kind", "personal_device", "place", "public_domain",
        "registered_line", "source", "status", "third_party_seen",
    ),
    "content": ("amount_as_of", "amount_minor", "exposure", "first", "limited", "template_approved"),
    "visit": ("entry_consent", "place", "plan_approved", "staff", "workplace_consent"),
    "vehicle": ("court_order", "over_objection", "surrender_signed"),
    "act": ("dialler", "from", "recorded", "third_party_initiated_payment"),
}  # fmt: skip


def _places_of(heads: Mapping[str, tuple[str, ...]]) -> Mapping[str, int]:
    return {path: number for number, path in enumerate(f"{head}.{key}" for head, keys in heads.items() for key in keys)}


FACT, SELDOM = _places_of(_HEADS), _places_of(_SELDOM_HEADS)
"""The place of each flat fact in ``Record.facts`` or, for what few acts have or few rules ask, in ``Record.seldom``.
Those of debts lie there only when the act is about one debt."""


def _bits(words: Iterable[str]) -> Mapping[str, int]:
    return {word: 1 << place for place, word in enumerate(sorted(words))}


DISCLOSED, CLAIMED = _bits(form.DISCLOSURES), _bits(form.CLAIMS)
HELD, LEDGER = _bits(form.HOLD_KINDS), _bits(form.CONSENT_EVENTS)


def mask(table: Mapping[str, int], words: Iterable[str]) -> int:
    """Return the words as bits of a table."""
    found = 0
    for word in words:
        found |= table[word]
    return found


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode
_NAMED = (
    "id", "cities", "channel", "purpose", "role", "recipient_id", "point_id", "org_id", "debt_ids", "creditors",
)  # fmt: skip
"""What rules that find something ask by name; a record answers without making the case."""

_decode_named = msgspec.msgpack.Decoder(
    tuple[str, str, str, str, str, str, str | None, str, tuple[str, ...], tuple[str, ...]]
).decode
_NONE: Facts = {}
_KIND_KEYS = (
    "direction", "channel", "purpose", "party", "point", "org", "collector", "outcome", "consented", "reply", "staff",
    "place",
)  # fmt: skip
_ABSENT = (...,) * len(_KIND_KEYS)


class Record(msgspec.Struct, array_like=True, dict=True):
    """One prepared dossier. ``kind`` and ``cities`` are all that decides which rules can apply in which zones.

    ``last`` is the instant of the last event, 0 without one. ``times`` are the instants of past and future events, 8 bytes each, ascending; ``codes`` the place of each event's
    kind in ``kinds``. ``turn`` is an instant before which no time on file begins or ends, ``at`` aside. ``disclosed``
    is -1 when the content does not say. ``granted`` tells whether the ledger holds consent to the act's medium and
    address that has begun and has no end, ``unwelcome`` the times once called inconvenient as weekdays (bit 0 Monday)
    and local seconds, half-open, both whatever became of them later. What follows ``codes`` is for storage and empty in a record
    that was not stored: bytes in which nothing is looked at until somebody asks for what they hold.
    """

    at: int
    kind: str
    turn: int
    facts: list[Any]
    disclosed: int
    claimed: int
    held: int
    ledger: int
    answers: bool
    granted: bool
    unwelcome: tuple[tuple[int, int, int], ...]
    last: int
    times: bytes
    codes: bytes
    order: bytes = b""
    odd_times: dict[int, str] = {}
    packed_named: bytes = b""
    packed_seldom: bytes = b""
    packed_consents: bytes = b""
    packed_holds: bytes = b""
    packed_kinds: bytes = b""
    packed_ids: bytes = b""
    rest: bytes = b""

    def __getattr__(self, name: str) -> Any:
        # Closures are written for a Case; what lies here answers by itself, all else asks the full one.
        if name not in _NAMED:
            return getattr(self.case, name)
        self.__dict__.update(zip(_NAMED, _decode_named(self.packed_named), strict=True))
        return self.__dict__[name]

    @cached_property
    def case(self) -> Case:
        """The same dossier as rules of any shape read it."""
        return Case(self.dossier)

    @cached_property
    def dossier(self) -> dict[str, Any]:
        """The dossier that the record was made of."""
        found: dict[str, Any] = _decode(self.rest)
        codes = self.codes if self.one_byte_codes else memoryview(self.codes).cast("H")
        events = [
            {"id": ident, "at": self.odd_times.get(place) or instant_text(at), **self.kinds[code]}
            for place, (ident, at, code) in enumerate(
                zip(_decode(self.packed_ids), memoryview(self.times).cast("q"), codes, strict=True)
            )
        ]
        if self.order:
            ordered: list[Any] = [None] * len(events)
            for event, place in zip(events, memoryview(self.order).cast("q"), strict=True):
                ordered[place] = event
            events = ordered
        found["history"] = events
        return found

    @cached_property
    def seldom(self) -> list[Any]:
        """The flat facts that few acts have or few rules ask for."""
        found: list[Any] = _decode(self.packed_seldom)
        return found

    @cached_property
    def consents(self) -> tuple[dict[str, Any], ...]:
        """The ledger of consents, oldest first."""
        return tuple(_decode(self.packed_consents))

    @cached_property
    def holds(self) -> tuple[dict[str, Any], ...]:
        """The holds, by their begin."""
        return tuple(_decode(self.packed_holds))

    @property
    def one_byte_codes(self) -> bool:
        """Tell whether ``codes`` holds one byte an event; a past of more than 256 kinds has two."""
        return len(self.codes) * 8 == len(self.times)

    @cached_property
    def kinds(self) -> list[dict[str, Any]]:
        """The kinds of events: an event without its id and instant."""
        kinds: list[dict[str, Any]] = _decode(self.packed_kinds)
        return kinds

    @cached_property
    def kind_events(self) -> list[Event]:
        """The kinds as events, of which only the id and the instant say nothing."""
        return [Event({"id": "", "at": "1970-01-01T00:00:00Z", **kind}) for kind in self.kinds]

    def stored(self) -> bytes:
        """Return the bytes to store, from which ``read`` makes the same record and the same dossier."""
        dossier = self.dossier
        history = dossier["history"]
        places = sorted(range(len(history)), key=lambda place: _event_order(history[place]))
        events = [history[place] for place in places]
        odd = {
            number: event["at"]
            for number, (event, at) in enumerate(zip(events, memoryview(self.times).cast("q"), strict=True))
            if event["at"] != instant_text(at)
        }
        whole = msgspec.structs.replace(
            self,
            order=b"" if places == list(range(len(places))) else _column(places),
            odd_times=odd,
            packed_named=_encode([getattr(self, name) for name in _NAMED]),
            packed_seldom=_encode(self.seldom),
            packed_consents=_encode(self.consents),
            packed_holds=_encode(self.holds),
            packed_kinds=_encode(self.kinds),
            packed_ids=_encode([event["id"] for event in events]),
            rest=_encode({key: value for key, value in dossier.items() if key != "history"}),
        )
        return _encode(whole)


read = msgspec.msgpack.Decoder(Record).decode
"""Returns the record that ``Record.stored`` wrote. Raises msgspec.DecodeError for other bytes."""


def _event_order(event: Facts) -> tuple[int, str]:
    return instant_of(event["at"]), event["id"]


def _column(numbers: Iterable[int]) -> bytes:
    return array("q", numbers).tobytes()


def _joined(*parts: Iterable[str | None]) -> str:
    return "|".join(",".join(each or "" for each in part) for part in parts)


def _place(residence: Facts) -> str:
    return f"{residence.get('country', '')}/{residence.get('region', '')}"


def _places(case: Case) -> Iterator[str]:
    """Yield what the zones of a recipient are derived from whose file names none."""
    if "residence" in case.recipient:
        yield _place(case.recipient["residence"])
    yield from map(_place, case.recipient.get("residences", ()))
    for point in case.points.values():
        if point["party"] == case.recipient_id:
            yield from point.get("zones", ())
            yield from point.get("area_zones", ())


def _is_plain_grant(consent: Facts, case: Case) -> bool:
    return (
        consent["event"] == "granted"
        and since(consent) <= case.at
        and covers(consent, case, case.channel)
        and "expires" not in consent
        and ("org" not in consent or consent["org"] in (case.org_id, *case.creditors))
    )


def _unwelcome(consents: Iterable[Facts]) -> Iterator[tuple[int, int, int]]:
    found: dict[tuple[int, int], int] = {}
    for consent in consents:
        if consent["event"] == "inconvenient_time":
            for weekday in range(1, 8):
                for span in named_spans(consent, weekday):
                    found[span] = found.get(span, 0) | 1 << (weekday - 1)
    for (start, end), weekdays in found.items():
        yield weekdays, start, end


def _flat(heads: Mapping[str, tuple[str, ...]], sources: Mapping[str, Facts]) -> list[Any]:
    found: list[Any] = []
    for head, keys in heads.items():
        found.extend(map(sources[head].get, keys))
    return found


def _known(collector: Facts) -> Facts:
    """Return the collector with the empty text where null says that there is no certificate; an absent key is unknown."""
    return {**collector, "certified_to": ""} if collector.get("certified_to", "") is None else collector


def prepare(dossier: Facts) -> Record:
    """Return the record of a dossier whose form was checked before."""
    case = Case(dossier)
    history = sorted(dossier["history"], key=_event_order)
    numbers: dict[tuple[Any, ...], int] = {}
    kinds: list[dict[str, Any]] = []
    codes: list[int] = []
    for event in history:
        # A key that is absent is told from one that is null.
        key = tuple(map(event.get, _KIND_KEYS, _ABSENT))
        if "debts" in event:
            key = (*key, None, *event["debts"])
        number = numbers.get(key)
        if number is None:
            number = numbers[key] = len(kinds)
            kinds.append({name: value for name, value in event.items() if name not in ("id", "at")})
        codes.append(number)
    debts, act, point = case.debts, case.act, case.point
    lone = debts[0] if len(debts) == 1 else _NONE
    sources: dict[str, Facts] = {
        "debt": lone,
        "creditor": case.orgs.get(lone["creditor"], _NONE) if lone else _NONE,
        "org": case.org,
        "collector": _known(case.collector or _NONE),
        "recipient": case.recipient,
        "point": point or _NONE,
        "from": case.points.get(act.get("from") or "", _NONE),
        "content": case.content,
        "visit": act.get("visit", _NONE),
        "vehicle": act.get("vehicle", _NONE),
        "act": act,
    }
    point_kind, point_place = (None, None) if point is None else (point["kind"], point.get("place", "unstated"))
    residences = case.residences
    record = Record(
        at=case.at,
        kind=_joined(
            (case.channel, case.purpose, case.dialler, case.org["role"], case.role, point_kind, point_place),
            (str(len(debts)),),
            (debt.get("product") for debt in debts),
            (debt.get("creditor_kind") for debt in debts),
            (case.orgs.get(debt["creditor"], _NONE).get("role") for debt in debts),
            (debt.get("currency") for debt in debts),
            sorted(case.stirs()),
            map(_place, residences),
            case.recipient.get("zones") or _places(case),
        ),
        turn=case.first_turn(),
        facts=_flat(_HEADS, sources),
        disclosed=-1 if case.disclosures is None else mask(DISCLOSED, case.disclosures),
        claimed=mask(CLAIMED, case.claims),
        held=mask(HELD, (hold["kind"] for hold in case.holds)),
        ledger=mask(LEDGER, (consent["event"] for consent in case.consents)),
        answers=act.get("reply_to") is not None,
        granted=any(_is_plain_grant(consent, case) for consent in case.consents),
        unwelcome=tuple(_unwelcome(case.consents)),
        last=case.history[-1].at if history else 0,
        times=_column(event.at for event in case.history),
        codes=bytes(codes) if len(kinds) <= 256 else array("H", codes).tobytes(),
    )
    record.__dict__.update(
        id=case.id,
        cities=repr([(each.get("city"), each.get("postal_code")) for each in residences]),
        channel=case.channel,
        purpose=case.purpose,
        role=case.role,
        recipient_id=case.recipient_id,
        point_id=case.point_id,
        org_id=case.org_id,
        debt_ids=case.debt_ids,
        creditors=case.creditors,
        seldom=_flat(_SELDOM_HEADS, sources),
        case=case,
        dossier=dossier,
        consents=case.consents,
        holds=case.holds,
        kinds=kinds,
    )
    return record
