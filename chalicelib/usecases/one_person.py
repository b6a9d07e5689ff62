"""Reading a person as one, however many records of them there are: their points together, and every ledger that counts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from chalicelib.domain.people.merging import as_one
from chalicelib.domain.people.person import ContactLedger, Person
from chalicelib.usecases.ports import Scope, Store


@dataclass(frozen=True, slots=True)
class Records:
    """Persons as one, by the ids that were asked for; their own ledgers; and those of records that are merged with them."""

    persons: Mapping[str, Person]
    ledgers: Mapping[str, ContactLedger]
    others: Mapping[str, ContactLedger]


def records_of(store: Store, scope: Scope, persons: Sequence[str]) -> Records:
    """Return the persons who can be read, each as one, and all ledgers that count for them.

    Which records are one person's stands in their ledgers, in all of them alike, so that a caller who makes those ledgers a
    condition of a commit has made the merge one too.
    """
    ledgers = store.ledgers(scope, persons)
    elsewhere = sorted({other for ledger in ledgers.values() for other in ledger.counted_with} - set(persons))
    others = store.ledgers(scope, elsewhere) if elsewhere else {}
    found = store.persons(scope, [*persons, *elsewhere])
    whole = {
        person: as_one(found[person], [found[each] for each in ledgers[person].counted_with if each in found])
        for person in persons
        if person in found
    }
    return Records(whole, ledgers, others)


def person_as_one(store: Store, scope: Scope, person: str) -> Person | None:
    """Return the person as one under the id that was asked for, or None for one who is unknown or erased."""
    return records_of(store, scope, [person]).persons.get(person)


def all_records(store: Store, scope: Scope, person: str) -> tuple[str, ...]:
    """Return the ids of every record of the person, the one that was asked for first."""
    return (person, *store.ledger(scope, person).counted_with)


def record_with_point(store: Store, scope: Scope, records: Iterable[str], point: str) -> Person | None:
    """Return the record that has the contact point, the first of ``records`` that does; None when none has it."""
    wanted = list(records)
    found = store.persons(scope, wanted)
    return next((found[each] for each in wanted if each in found and found[each].point(point) is not None), None)
