"""Several records of one person, merged: nothing is moved, everything counts together, and the stricter always wins.

A merge links records instead of rewriting them: each keeps its cases, contact points, ledger and keys, so that a split restores
them exactly and an old id stays good. What a ruling looks at is the person as one: the points of all records, the contacts of
all ledgers against every cap, and each stop of one as a stop of all. What is permissive in one record from before the merge
never lifts a stop that stands in another: it was said about other data.
"""

from collections.abc import Iterable, Mapping, Sequence

from chalicelib.domain.people.person import (
    Attorney,
    ConsentEntry,
    ContactEntry,
    ContactLedger,
    ContactPoint,
    HoldEntry,
    LostContact,
    Merge,
    Person,
)

MOST_RECORDS = 6
"""Records of one person at most (closed): all their ledgers are conditions of one ruling's commit."""

RESTRICTIVE = frozenset({"withdrawn", "stop_medium", "inconvenient_time", "inconvenient_place"})
"""Events of the consent ledger that only ever narrow what may be done."""

_WORST_FIRST = ("wrong_person", "vacant", "suspended", "unverified", "ok")


def as_one(person: Person, others: Iterable[Person]) -> Person:
    """Return the person under the id of ``person`` with what the other records know; where they differ, the stricter.

    Identity is that of ``person``, its gaps filled. Points are those of all records; one that is barred, retired or dead in
    any of them is so here. Whoever is younger, represented, asked to be left alone or forbids contact at work in one record is
    so in all; that contact was lost holds only when every record says so.
    """
    records = list(others)
    if not records:
        return person
    everyone = [person, *records]
    gaps = {
        name: next((found for each in everyone if (found := getattr(each, name)) is not None), None)
        for name in ("name_local", "national_id", "language", "spouse_of", "preferences", "employment", "attorney")
    }
    births = [each.birth_date for each in everyone if each.birth_date is not None]
    asked = [each.stop_requested_at for each in everyone if each.stop_requested_at is not None]
    locked = [each.locked_since for each in everyone if each.locked_since is not None]
    return person.model_copy(
        update={
            **gaps,
            "birth_date": max(births, default=None),
            "residences": tuple(dict.fromkeys(place for each in everyone for place in each.residences)),
            "zones": tuple(dict.fromkeys(zone for each in everyone for zone in each.zones)),
            "points": _points(everyone),
            "employer_forbids_work_contact": any(each.employer_forbids_work_contact for each in everyone),
            "lost_contact": _lost([each.lost_contact for each in everyone]),
            "stop_requested_at": min(asked, default=None),
            "in_xinjiang": _any_known([each.in_xinjiang for each in everyone]),
            "locked_since": min(locked, default=None),
            "confirmed": {
                group: max((each.confirmed[group] for each in everyone if group in each.confirmed), key=lambda c: c.on)
                for group in dict.fromkeys(group for each in everyone for group in each.confirmed)
            },
        }
    )


def _points(everyone: Sequence[Person]) -> tuple[ContactPoint, ...]:
    found: dict[str, ContactPoint] = {}
    for each in everyone:
        for point in each.points:
            known = found.get(point.id)
            found[point.id] = point if known is None else _stricter(known, point)
    return tuple(found.values())


def _stricter(one: ContactPoint, other: ContactPoint) -> ContactPoint:
    verified = [day for day in (one.last_verified, other.last_verified) if day is not None]
    retired = one if one.retired_at is not None else other
    return one.model_copy(
        update={
            "status": min(one.status, other.status, key=_WORST_FIRST.index),
            "do_not_use": one.do_not_use or other.do_not_use,
            "retired_at": retired.retired_at,
            "retired_because": retired.retired_because,
            "third_party_seen": one.third_party_seen or other.third_party_seen,
            "employer_provided": one.employer_provided or other.employer_provided,
            "public_domain": one.public_domain or other.public_domain,
            "zones": tuple(dict.fromkeys((*one.zones, *other.zones))),
            "area_zones": tuple(dict.fromkeys((*one.area_zones, *other.area_zones))),
            "last_verified": max(verified, default=None),
        }
    )


def _lost(told: Sequence[LostContact | None]) -> LostContact | None:
    known = [each for each in told if each is not None]
    return known[0] if len(known) == len(told) else None


def _any_known(told: Sequence[bool | None]) -> bool | None:
    if any(told):
        return True
    return None if any(each is None for each in told) else False


def counted(ledger: ContactLedger, ledgers: Mapping[str, ContactLedger]) -> ContactLedger:
    """Return the ledger as a ruling reads it: with what stands in those that it is counted with, under its own person.

    ``ledgers`` must hold every one of them; a missing one raises KeyError, because a cap counted without it would be wrong.
    """
    history, consents, holds = list(ledger.history), list(ledger.consents), list(ledger.holds)
    for other, since in ledger.counted_with.items():
        theirs = ledgers[other]
        history += [
            entry.model_copy(update={"party": ledger.person})
            for entry in theirs.history
            if entry.direction == "out" or entry.at >= since
        ]
        consents += [_dated(entry, ledger.person, since) for entry in theirs.consents if _carries(entry, since)]
        holds += [_held(hold, ledger.person, other) for hold in theirs.holds]
    return ledger.model_copy(
        update={
            "history": tuple(history),
            "consents": tuple(sorted(consents, key=lambda entry: entry.at)) if ledger.counted_with else ledger.consents,
            "holds": tuple(holds),
        }
    )


def _carries(entry: ConsentEntry, since: str) -> bool:
    return entry.event in RESTRICTIVE or entry.at >= since


def _dated(entry: ConsentEntry, person: str, since: str) -> ConsentEntry:
    """Return the entry as one of ``person``: a stop from before the merge is in force anew from its instant.

    Otherwise a grant that this record holds from between the two would lift it.
    """
    return entry.model_copy(update={"party": person, "at": max(entry.at, since)})


def _held(hold: HoldEntry, person: str, other: str) -> HoldEntry:
    return hold.model_copy(update={"party": person}) if hold.party == other else hold


# Merging


def merged(
    survivor: Person, absorbed: Person, ledgers: Iterable[ContactLedger], *, merge: str, at: str
) -> tuple[Person, Person, list[ContactLedger]]:
    """Return both records linked, and every ledger of both counted with all others; each stop epoch grows by one.

    ``ledgers`` are those of every record that was counted with either of the two, those two included.
    """
    known = list(ledgers)
    linked = [
        ledger.model_copy(
            update={
                "counted_with": {
                    other.person: ledger.counted_with.get(other.person, at)
                    for other in known
                    if other.person != ledger.person
                },
                "stop_epoch": ledger.stop_epoch + 1,
            }
        )
        for ledger in known
    ]
    kept = survivor.model_copy(update={"merges": (*survivor.merges, Merge(id=merge, person=absorbed.id, at=at))})
    return kept, absorbed.model_copy(update={"merged_into": survivor.id}), linked


# Splitting


def split(
    survivor: Person, absorbed: Person, stay: Iterable[ContactLedger], leave: Iterable[ContactLedger], *, merge: str
) -> tuple[Person, Person, list[ContactLedger]]:
    """Return both records as before the merge, and their ledgers with every restriction that was in force for either.

    ``stay`` are the ledgers of the survivor's side with the survivor's first, ``leave`` those that go with the absorbed record.
    Contacts made since the merge count on both sides, because nobody knows any more which person they reached.
    """
    staying, leaving = list(stay), list(leave)
    parted = [
        *_parted(staying, leaving, merge),
        *_parted(leaving, staying, merge),
    ]
    kept = survivor.model_copy(
        update={
            "merges": tuple(each for each in survivor.merges if each.id != merge),
            **_as_strict(survivor, absorbed),
        }
    )
    freed = absorbed.model_copy(update={"merged_into": None, **_as_strict(absorbed, survivor)})
    return kept, freed, parted


def _parted(own: Sequence[ContactLedger], other: Sequence[ContactLedger], merge: str) -> list[ContactLedger]:
    """Return a side's ledgers alone again; its first one takes over what the other side's restricted."""
    gone = {ledger.person for ledger in other}
    alone = [
        ledger.model_copy(
            update={
                "counted_with": {who: since for who, since in ledger.counted_with.items() if who not in gone},
                "stop_epoch": ledger.stop_epoch + 1,
            }
        )
        for ledger in own
    ]
    head, before = alone[0], own[0]
    history, consents, holds = list(head.history), list(head.consents), list(head.holds)
    for theirs in other:
        since = before.counted_with[theirs.person]
        history += [_contact_of_both(entry, head.person, merge) for entry in theirs.history if _counts(entry, since)]
        stops = [entry for entry in theirs.consents if entry.event in RESTRICTIVE]
        consents += [_dated(entry, head.person, since) for entry in stops]
        holds += [
            hold.model_copy(update={"id": f"{hold.id[:40]}-{merge}"[:80], "party": head.person})
            for hold in theirs.holds
            if hold.released_at is None and hold.debt is None
        ]
    alone[0] = head.model_copy(
        update={
            "history": tuple(history),
            "consents": tuple(sorted(consents, key=lambda entry: entry.at)),
            "holds": tuple(holds),
        }
    )
    return alone


def _counts(entry: ContactEntry, since: str) -> bool:
    return entry.direction == "out" and entry.at >= since


def _contact_of_both(entry: ContactEntry, person: str, merge: str) -> ContactEntry:
    """Return the contact as one of the other side too; of whose debt it was about no more is said."""
    told = {"id": f"{entry.id[:40]}-{merge}"[:80], "party": person, "debts": None, "collector": None}
    return entry.model_copy(update=told)


def _as_strict(person: Person, other: Person) -> dict[str, object]:
    """Return what a record keeps of how the other bound it: that somebody asked to be left alone, and which points are barred."""
    asked = [each.stop_requested_at for each in (person, other) if each.stop_requested_at is not None]
    barred = {point.id: point for point in other.points}
    represented = Attorney(since=other.attorney.since) if other.attorney is not None else None
    return {
        "stop_requested_at": min(asked, default=None),
        "attorney": person.attorney or represented,
        "employer_forbids_work_contact": person.employer_forbids_work_contact or other.employer_forbids_work_contact,
        "points": tuple(
            point
            if (theirs := barred.get(point.id)) is None
            else point.model_copy(
                update={
                    "do_not_use": point.do_not_use or theirs.do_not_use or theirs.retired_at is not None,
                    "status": min(point.status, theirs.status, key=_WORST_FIRST.index),
                }
            )
            for point in person.points
        ),
    }
