"""The facts of one dossier, shaped once for all rules: events sorted, names resolved, instants as whole seconds."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from chalicelib.domain.compliance.timeline import (
    DAY,
    NEVER,
    Zone,
    Zones,
    date_text,
    day_of,
    instant_of,
    instant_text,
    is_instant,
    rounded_up,
    starts,
    zone,
)

Facts = Mapping[str, Any]

DEBT_SIDE = frozenset(("debtor", "co_borrower", "guarantor_joint", "guarantor_general"))
"""Roles of persons who owe or vouch for the debt."""


class Event:
    """One past event; ``debts`` is None when the dossier does not say which debts it was about."""

    __slots__ = (
        "at", "channel", "collector", "consented", "debts", "ident", "inbound", "org", "outcome", "party", "place",
        "point", "purpose", "reply",
    )  # fmt: skip

    def __init__(self, event: Facts) -> None:
        self.at = instant_of(event["at"])
        self.ident: str = event["id"]
        self.inbound = event["direction"] == "in"
        self.channel: str = event["channel"]
        self.purpose: str | None = event.get("purpose")
        self.party: str = event["party"]
        self.point: str | None = event.get("point")
        self.org: str | None = event.get("org")
        self.collector: str | None = event.get("collector")
        # A contact that names no debt may have been about any.
        self.debts: frozenset[str] | None = frozenset(event["debts"]) if event.get("debts") else None
        self.outcome: str = event["outcome"]
        self.consented: bool | None = event.get("consented")
        self.reply: bool | None = event.get("reply")
        self.place: str | None = event.get("place")


# At one instant a grant comes before what takes it back, so that a tie is read the strict way.
_GIVING = frozenset(
    ("granted", "used", "agreed_time", "reassigned_check", "prior_collector_used", "creditor_email_notice")
)


def _consent_order(consent: Facts) -> tuple[int, bool, str]:
    return instant_of(consent["at"]), consent["event"] not in _GIVING, json.dumps(consent, sort_keys=True)


def _from_order(hold: Facts) -> str:
    return json.dumps(hold, sort_keys=True)


class Case:
    """What is known about one proposed act. ``parties``, ``points`` and the rest are the dossier's own maps."""

    __slots__ = (
        "_countries", "_zones", "act", "at", "channel", "claims", "collector", "collector_id", "collectors", "consents",
        "content", "creditors", "debt_ids", "debtors", "debts", "dialler", "disclosures", "history", "holds", "id", "inbound", "notices", "org", "org_id", "orgs", "other_debts", "parties", "point", "point_id", "points", "purpose",
        "recipient", "recipient_id", "residences", "role", "strangers", "text",
    )  # fmt: skip

    def __init__(self, dossier: Facts) -> None:
        act = dossier["act"]
        self.id: str = dossier["id"]
        self.at = instant_of(dossier["at"])
        self.act: Facts = act
        self.channel: str = act["channel"]
        self.purpose: str = act.get("purpose", "demand")
        self.dialler: str = act.get("dialler", "manual")
        self.parties: Mapping[str, Facts] = dossier["parties"]
        self.points: Mapping[str, Facts] = dossier["points"]
        self.orgs: Mapping[str, Facts] = dossier["orgs"]
        self.collectors: Mapping[str, Facts] = dossier["collectors"]
        self.recipient_id: str = act["to"]
        self.recipient = self.parties[self.recipient_id]
        self.role: str = self.recipient["role"]
        self.point_id: str | None = act.get("point")
        self.point = None if self.point_id is None else self.points[self.point_id]
        self.other_debts: Mapping[str, Facts] = dossier["debts"]
        self.debt_ids: tuple[str, ...] = tuple(sorted(act.get("debts", dossier["debts"])))
        self.debts = tuple(dossier["debts"][ident] for ident in self.debt_ids)
        self.creditors: tuple[str, ...] = tuple(debt["creditor"] for debt in self.debts)
        self.org_id: str = act["org"]
        self.org = self.orgs[self.org_id]
        self.collector_id: str | None = act.get("collector")
        self.collector = None if self.collector_id is None else self.collectors[self.collector_id]
        self.content: Facts = act.get("content", {})
        disclosures = self.content.get("disclosures")
        self.disclosures: frozenset[str] | None = None if disclosures is None else frozenset(disclosures)
        self.claims: frozenset[str] = frozenset(self.content.get("claims", ()))
        self.text: str = self.content.get("text", "")
        self.history = sorted(map(Event, dossier["history"]), key=lambda event: (event.at, event.ident))
        self.inbound = tuple(event for event in self.history if event.inbound)
        self.strangers = tuple(event for event in self.history if event.outcome == "wrong_person")
        self.consents = tuple(sorted(dossier["consents"], key=_consent_order)) if dossier["consents"] else ()
        self.holds = tuple(sorted(dossier["holds"], key=_from_order)) if dossier["holds"] else ()
        self.notices = tuple(sorted(dossier["notices"], key=lambda each: (each["at"], _from_order(each))))
        self.debtors = tuple(sorted(ident for ident, party in self.parties.items() if party["role"] == "debtor"))
        self.residences = tuple(self._residences())
        self._zones: tuple[str, ...] | None = None
        self._countries: frozenset[str] | None = None

    def _residences(self) -> Iterator[Facts]:
        """Yield every residence that the file suggests for the recipient and for the debtor."""
        for ident in (self.recipient_id, *(each for each in self.debtors if each != self.recipient_id)):
            party = self.parties[ident]
            if "residence" in party:
                yield party["residence"]
            yield from party.get("residences", ())

    def stirs(self) -> frozenset[str]:
        """Return which of ``holds``, ``ledger``, ``history`` and ``content`` the case has anything in."""
        found = []
        if self.holds:
            found.append("holds")
        if self.consents or "stop_requested_at" in self.recipient:
            found.append("ledger")
        if self.history:
            found.append("history")
        if self.claims or self.text or self.content.get("exposure", "private") != "private":
            found.append("content")
        return frozenset(found)

    @property
    def countries(self) -> frozenset[str]:
        """Countries of every residence on file of recipient and debtor."""
        if self._countries is None:
            self._countries = frozenset(each["country"] for each in self.residences if "country" in each)
        return self._countries

    def zone_names(self, atlas: "Atlas") -> tuple[str, ...]:
        """Return the candidate zones of the recipient: the file's own, else those of residences and points."""
        if self._zones is None:
            given = self.recipient.get("zones")
            if not given:
                given = set()
                own = [self.recipient["residence"]] if "residence" in self.recipient else []
                for residence in (*own, *self.recipient.get("residences", ())):
                    given.update(atlas.zones_of(residence))
                for point in self.points.values():
                    if point["party"] == self.recipient_id:
                        given.update(point.get("zones", ()), point.get("area_zones", ()))
            self._zones = tuple(sorted(given))
        return self._zones

    def in_force(self, hold: Facts, instant: int, zones: Zones) -> bool:
        """Tell whether a hold has begun and is not released; ``until`` is for the rules that know an end."""
        if starts(hold["from"], zones) > instant:
            return False
        return "released_at" not in hold or release_of(hold) > instant

    def times(self) -> Iterator[str]:
        """Yield every time on file at which a fact may begin or end, events that are still to come among them."""
        for event in reversed(self.history):
            if event.at <= self.at:
                break
            yield instant_text(event.at)
        for consent in self.consents:
            yield consent["at"]
            for key in ("expires", "deadline"):
                if key in consent:
                    yield consent[key]
            if "until" in consent.get("times", {}):
                yield consent["times"]["until"]
        for entries, keys in (
            (self.holds, ("from", "until", "released_at")),
            (self.notices, ("at", "deadline", "returned_at")),
            (
                self.debts,
                (
                    "placed_from",
                    "placed_to",
                    "limitation_expires_on",
                    "guarantee_until",
                    "amount_as_of",
                    "collection_began_on",
                ),
            ),
            ((self.org,), ("listed_from", "listed_to", "inspected_on")),
            (() if self.collector is None else (self.collector,), ("certified_to",)),
            (self.parties.values(), ("stop_requested_at", "birth_date")),
        ):
            for entry in entries:
                for key in keys:
                    text = entry.get(key)
                    if text is not None:
                        yield text
        for debt in self.debts:
            yield from debt.get("validation", {}).values()
        for party in self.parties.values():
            lost = party.get("lost_contact", {})
            if "since" in lost:
                yield lost["since"]
            yield from lost.get("failed_dials", ())
            for key in ("since", "unresponsive_since"):
                if key in party.get("attorney", {}):
                    yield party["attorney"][key]

    def first_turn(self) -> int:
        """Return an instant after the act's before which no time on file begins or ends, in whichever zone."""
        first = NEVER
        # Texts of dates and instants sort as time does, which spares reading those long past.
        past = date_text(self.at // DAY - 2)
        for text in self.times():
            if text < past:
                continue
            if is_instant(text):
                begin = instant_of(text)
                spans = [(begin, begin), (begin + 1, begin + 1)]
            else:
                # A local midnight comes less than 15 hours before that of UTC and less than 13 hours after it.
                start = day_of(text) * DAY
                spans = [(each - 15 * 3600, each + 13 * 3600) for each in (start, start + DAY)]
            for earliest, latest in spans:
                if latest > self.at:
                    first = min(first, max(earliest, self.at + 1))
        return first

    def lender_debts(self) -> frozenset[str]:
        """Return the ids of the debts of the lenders that this act is about, whose contacts count together."""
        lenders = {debt["creditor"] for debt in self.debts}
        return frozenset(ident for ident, debt in self.other_debts.items() if debt["creditor"] in lenders)


def release_of(hold: Facts) -> int:
    """Return the instant from which a hold is released, NEVER when it is not."""
    text = hold.get("released_at")
    if text is None:
        return NEVER
    return rounded_up(text)


class Atlas:
    """Candidate zones of a residence, by region where the country has several and by country otherwise."""

    __slots__ = ("_countries", "_regions")

    def __init__(self, countries: Mapping[str, list[str]], regions: Mapping[str, list[str]]) -> None:
        self._countries = countries
        self._regions = regions

    def zones_of(self, residence: Facts) -> list[str]:
        """Return the zones a residence may lie in, none when the atlas does not know it."""
        region = residence.get("region", "")
        if region in self._regions:
            return self._regions[region]
        return self._countries.get(residence.get("country", ""), [])


def resolve(names: tuple[str, ...]) -> Zones:
    """Return the zones of IANA names; raises UnknownZone."""
    return tuple(map(zone, names))


__all__ = ["DEBT_SIDE", "Atlas", "Case", "Event", "Facts", "Zone", "release_of", "resolve"]
