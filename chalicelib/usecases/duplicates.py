"""Records of one person: found from events, decided on by a person, merged, and split again.

Caps and stops hold through both: a merge and a split each change every ledger concerned in one transaction, and the version of each
is a condition of every ruling, so that none is made on the records as they were a moment before.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from chalicelib.domain import keys
from chalicelib.domain.concurrency import retrying
from chalicelib.domain.errors import NotFound, StateConflict
from chalicelib.domain.events import Event, EventType
from chalicelib.domain.instants import to_seconds_text, to_text
from chalicelib.domain.people import merging
from chalicelib.domain.people.duplicates import in_common, looked_up, pair_of
from chalicelib.domain.people.erasure import Outcome
from chalicelib.domain.people.person import ContactLedger, Merge, Person
from chalicelib.usecases.cases import Caller, Context
from chalicelib.usecases.one_person import all_records
from chalicelib.usecases.persons import head_of
from chalicelib.usecases.ports import Scope, Store

CONCERNED = frozenset({EventType.CASE_PLACED, EventType.PERSON_POINT_ADDED, EventType.PERSON_DATA_CONFIRMED})
"""Events after which a record may turn out to be another's double."""


class Pairs(Protocol):
    """Candidates and decisions. See ``chalicelib.store.person_repository``."""

    def holders(self, scope: Scope, label: str, value: str) -> list[str]:
        """Return the records with an identity in common."""
        ...

    def at_phone(self, scope: Scope, number: str) -> list[str]:
        """Return the records at a telephone."""
        ...

    def put_pairs(self, scope: Scope, pairs: Mapping[tuple[str, str], Sequence[str]], *, at: str) -> None:
        """List pairs."""

    def pair_rows(self, scope: Scope, one: str, other: str) -> Sequence[Any]:
        """Return the rows of a pair."""
        ...

    def pairs(self, scope: Scope, *, after: str | None, limit: int) -> list[dict[str, Any]]:
        """Return a page of listed pairs."""
        ...

    def listed(self, scope: Scope, pairs: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """Return the listed ones among pairs."""
        ...

    def dismissed(self, scope: Scope, pairs: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """Return the dismissed ones among pairs."""
        ...

    def dismissal_record(self, scope: Scope, one: str, other: str, *, at: str, by: str, reason: str) -> Any:
        """Return the record of a dismissal."""


@dataclass(frozen=True, slots=True)
class DuplicatePorts:
    """What the commands here need."""

    store: Store
    pairs: Pairs


# Finding


def project_duplicates(
    ports: DuplicatePorts, events: Sequence[Event], *, scope_for: Callable[[str], Scope]
) -> list[str]:
    """Look for doubles of every record that the events concern and list what is found; no event fails.

    Only the indexes of the record's own identity and telephones are asked. Safe to repeat.
    """
    concerned: dict[str, list[Event]] = {}
    for event in events:
        if event.type in CONCERNED:
            concerned.setdefault(event.tenant, []).append(event)
    for tenant, happened in concerned.items():
        scope = scope_for(tenant)
        placed = [event.stream for event in happened if event.type is EventType.CASE_PLACED]
        cases = ports.store.cases(scope, placed)
        wanted = [party.person for case in cases.values() for party in case.parties]
        wanted += [str(event.data["person"]) for event in happened if event.type is not EventType.CASE_PLACED]
        found = _candidates(ports, scope, list(dict.fromkeys(wanted)))
        if found:
            ports.pairs.put_pairs(scope, found, at=max(event.at for event in happened))
    return []


def _candidates(ports: DuplicatePorts, scope: Scope, wanted: list[str]) -> dict[tuple[str, str], tuple[str, ...]]:
    persons = ports.store.persons(scope, wanted)
    near: dict[str, set[str]] = {}
    for identity, person in persons.items():
        others = {other for label, value in looked_up(person) for other in ports.pairs.holders(scope, label, value)}
        numbers = {point.value for point in person.points if point.kind in ("mobile", "landline")}
        others |= {other for number in sorted(numbers) for other in ports.pairs.at_phone(scope, number)}
        if others - {identity}:
            near[identity] = others - {identity}
    if not near:
        return {}
    known = {**persons, **ports.store.persons(scope, sorted(set().union(*near.values()) - set(persons)))}
    found = {
        pair_of(identity, other): reasons
        for identity, others in near.items()
        for other in others
        if other in known and (reasons := in_common(known[identity], known[other]))
    }
    over = ports.pairs.dismissed(scope, found) | ports.pairs.listed(scope, found)
    return {
        pair: reasons for pair, reasons in found.items() if pair not in over and not _is_settled(ports, scope, *pair)
    }


def _is_settled(ports: DuplicatePorts, scope: Scope, one: str, other: str) -> bool:
    """Tell whether the two are merged already, or stand as two parties in one case: then they are two by what the lender says."""
    together = other in all_records(ports.store, scope, one)
    return together or bool(set(ports.store.cases_of(scope, one)) & set(ports.store.cases_of(scope, other)))


def list_duplicates(
    ports: DuplicatePorts, scope: Scope, *, after: str | None, limit: int
) -> tuple[list[dict[str, Any]], str | None]:
    """Return a page of candidates by place and the place to go on after, None at the end."""
    found = ports.pairs.pairs(scope, after=after, limit=limit)
    return found, str(found[-1]["place"]) if len(found) == limit else None


# Deciding


@dataclass(frozen=True, slots=True)
class Why:
    """Why two records are one person's, or are not: a code that stands open, and words that are sealed."""

    code: str
    note: str
    despite_documents: bool = False


def dismiss(
    ports: DuplicatePorts, scope: Scope, person_id: str, other_id: str, why: Why, caller: Caller, context: Context
) -> None:
    """Say that two records are of two persons; the pair is not offered again. Saying it twice changes nothing.

    Raises NotFound, StateConflict when they are merged.
    """
    store = ports.store

    def once() -> None:
        persons = store.persons(scope, [person_id, other_id])
        if len(persons) < 2:
            raise NotFound("person", other_id)
        pair = pair_of(person_id, other_id)
        if ports.pairs.dismissed(scope, [pair]):
            return
        if other_id in all_records(store, scope, person_id):
            raise StateConflict("already_merged", "the records are merged; split them")
        unit = store.unit(scope, actor=caller.actor, req=context.req, now=context.now)
        told = {"at": to_text(context.now), "by": caller.actor.id, "reason": why.code}
        unit.create(ports.pairs.dismissal_record(scope, *pair, **told))
        for row in ports.pairs.pair_rows(scope, *pair):
            unit.drop(row)
        unit.emit(
            keys.person_pk(scope.tenant, pair[0]),
            EventType.PERSON_DUPLICATE_DISMISSED,
            {"person": pair[0], "other": pair[1], "reason": why.code},
            subject=pair[0],
            secret={"text": why.note},
        )
        unit.commit()

    retrying(once)


def merge_persons(
    ports: DuplicatePorts,
    scope: Scope,
    person_id: str,
    other_id: str,
    why: Why,
    caller: Caller,
    context: Context,
    *,
    merge_id: str,
) -> Merge:
    """Merge the other record into the person's and return the merge; the same ``merge_id`` again is the same merge.

    From this commit on every contact of either counts against the caps of both, and a stop of one stops both; what was approved
    before is stale. Raises NotFound, StateConflict for records that cannot be one person's or are being erased.
    """
    store = ports.store

    def once() -> Merge:
        mine, theirs = all_records(store, scope, person_id), all_records(store, scope, other_id)
        persons = store.persons(scope, [*mine, *theirs])
        for identity in (person_id, other_id):
            if identity not in persons:
                raise NotFound("person", identity)
        made = next((m for each in persons.values() for m in each.merges if m.id == merge_id), None)
        if made is not None:
            return made
        _check_mergeable(ports, scope, mine, theirs, persons, why)
        survivor, absorbed = persons[head_of(persons, person_id)], persons[head_of(persons, other_id)]
        ledgers = store.ledgers(scope, [*mine, *theirs])
        at = to_seconds_text(context.now)
        kept, gone, linked = merging.merged(survivor, absorbed, ledgers.values(), merge=merge_id, at=at)
        unit = store.unit(scope, actor=caller.actor, req=context.req, now=context.now)
        _write(store, scope, unit, [(survivor, kept), (absorbed, gone)], ledgers, linked)
        for row in ports.pairs.pair_rows(scope, kept.id, gone.id):
            unit.drop(row)
        if {person_id, other_id} != {kept.id, gone.id}:
            for row in ports.pairs.pair_rows(scope, person_id, other_id):
                unit.drop(row)
        told = {"merge": merge_id, "survivor": kept.id, "absorbed": gone.id, "reason": why.code}
        for record in (kept.id, gone.id):
            unit.emit(
                keys.person_pk(scope.tenant, record),
                EventType.PERSON_MERGED,
                {**told, "person": record},
                subject=record,
                secret={"text": why.note},
            )
        unit.commit()
        return kept.merges[-1]

    return retrying(once)


def _check_mergeable(
    ports: DuplicatePorts,
    scope: Scope,
    mine: Sequence[str],
    theirs: Sequence[str],
    persons: Mapping[str, Person],
    why: Why,
) -> None:
    if set(mine) & set(theirs):
        raise StateConflict("already_merged", "the records are merged already")
    if len(mine) + len(theirs) > merging.MOST_RECORDS:
        raise StateConflict("too_many_records", f"a person has at most {merging.MOST_RECORDS} records")
    for record in (*mine, *theirs):
        request = ports.store.erasure(scope, record)
        if request is not None or record not in persons:
            # Of a request that is over nothing is left to merge; one that waits was decided on one record's data.
            outcome = Outcome.ERASED if request is None else request.outcome
            raise StateConflict("erasure_pending", f"the data of a record are {outcome}")
    cases = [{case for record in side for case in ports.store.cases_of(scope, record)} for side in (mine, theirs)]
    if cases[0] & cases[1]:
        raise StateConflict("same_case", "they are two parties of one case")
    documents = {each.national_id.upper() for each in persons.values() if each.national_id is not None}
    if len(documents) > 1 and not why.despite_documents:
        raise StateConflict("documents_differ", "they have two different documents; say that one of them is wrong")


def split_person(
    ports: DuplicatePorts, scope: Scope, person_id: str, merge_id: str, why: Why, caller: Caller, context: Context
) -> tuple[str, str]:
    """Take a merge back and return (record that stays, record that leaves); taking it back twice changes nothing.

    Each record is as it was, with every restriction that was in force for either, and with every contact made since the merge. The
    pair is not offered again. Raises NotFound.
    """
    store = ports.store

    def once() -> tuple[str, str]:
        records = all_records(store, scope, person_id)
        persons = store.persons(scope, records)
        if person_id not in persons:
            raise NotFound("person", person_id)
        survivor = next((each for each in persons.values() if any(m.id == merge_id for m in each.merges)), None)
        if survivor is None:
            raise NotFound("merge", merge_id)
        absorbed = persons[next(m.person for m in survivor.merges if m.id == merge_id)]
        leaving = _below(persons, absorbed.id)
        staying = [survivor.id, *(record for record in records if record not in {*leaving, survivor.id})]
        ledgers = store.ledgers(scope, records)
        kept, freed, parted = merging.split(
            survivor,
            absorbed,
            [ledgers[record] for record in staying],
            [ledgers[record] for record in leaving],
            merge=merge_id,
        )
        unit = store.unit(scope, actor=caller.actor, req=context.req, now=context.now)
        _write(store, scope, unit, [(survivor, kept), (absorbed, freed)], ledgers, parted)
        pair = pair_of(kept.id, freed.id)
        if not ports.pairs.dismissed(scope, [pair]):
            told = {"at": to_text(context.now), "by": caller.actor.id, "reason": why.code}
            unit.create(ports.pairs.dismissal_record(scope, *pair, **told))
        data = {"merge": merge_id, "survivor": kept.id, "absorbed": freed.id, "reason": why.code}
        for record in (kept.id, freed.id):
            unit.emit(
                keys.person_pk(scope.tenant, record),
                EventType.PERSON_SPLIT,
                {**data, "person": record},
                subject=record,
                secret={"text": why.note},
            )
        unit.commit()
        return kept.id, freed.id

    return retrying(once)


def _below(persons: Mapping[str, Person], record: str) -> list[str]:
    """Return the record and all that were merged into it, itself first."""
    found = [record]
    for each in found:
        found += [merge.person for merge in persons[each].merges if merge.person in persons]
    return found


def _write(
    store: Store,
    scope: Scope,
    unit: Any,
    persons: Iterable[tuple[Person, Person]],
    before: Mapping[str, ContactLedger],
    after: Iterable[ContactLedger],
) -> None:
    for read, changed in persons:
        written = changed.model_copy(update={"version": read.version + 1})
        unit.replace(store.person_record(scope, written), expected=read.version)
    for ledger in after:
        version = before[ledger.person].version
        unit.replace(store.ledger_record(scope, ledger.model_copy(update={"version": version + 1})), expected=version)
