"""Index rows by which records of one person find each other, candidates that a person decides on, and what was decided.

Keys of the view table:

- ``T#<lender>#SAME#<blind index>`` | person: who has this document, or this name and birth date
- ``T#<lender>#DUPS`` | ``<person>#<person>``: two records that may be one person's (d: reasons, found_at)
- ``T#<lender>#DUPOF#<person>`` | the other record

and beside the first record of a pair, in the main table, ``NOTSAME#<the other>``: that a person said they are two.
"""

import json
from collections.abc import Iterable, Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from chalicelib.domain import keys
from chalicelib.domain.ids import blind_index
from chalicelib.domain.intake.placement import point_id
from chalicelib.domain.people.duplicates import MOST_AT_ONE, looked_up, pair_of
from chalicelib.domain.people.person import Person
from chalicelib.store.portfolio_repository import PortfolioRepository
from chalicelib.store.repository import Scope, Store
from chalicelib.store.tables import Record, View


class Dismissal(BaseModel):
    """That two records are of two persons: when it was said, by whom, and why (a code)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at: str
    by: str
    reason: str
    version: int = 1


class PersonRepository:
    """What the customer database needs beside ``Store``."""

    def __init__(self, store: Store) -> None:
        """Take the repository whose sealer holds the lenders' keys."""
        self._store = store
        self._intake = PortfolioRepository(store)

    def write_points(self, scope: Scope, persons: Iterable[Person]) -> None:
        """Write the rows that lead to the persons from their contact points and identities; repeating changes nothing."""
        self._intake.write_points(scope, persons)

    def stale_rows(self, scope: Scope, before: Person, after: Person) -> list[View]:
        """Return the rows that led to the person by an identity that they have no more."""
        gone = set(looked_up(before)) - set(looked_up(after))
        key = self._store.sealer.index_key(scope.tenant)
        return [
            View(keys.identity_index_pk(scope.tenant, blind_index(key=key, label=label, value=value)), before.id)
            for label, value in sorted(gone)
        ]

    def point_id(self, scope: Scope, kind: str, value: str) -> str:
        """Return the id of a contact point of that value, as the intake gives it."""
        return point_id(kind, value, self._intake.identities(scope))

    def holders(self, scope: Scope, label: str, value: str) -> list[str]:
        """Return the records that have an identity in common; none when there are more than say anything."""
        index = blind_index(key=self._store.sealer.index_key(scope.tenant), label=label, value=value)
        found = View.query(keys.identity_index_pk(scope.tenant, index), limit=MOST_AT_ONE + 1, consistent_read=True)
        return _few([item.sk for item in found])

    def at_phone(self, scope: Scope, number: str) -> list[str]:
        """Return the records that are reached at a telephone; none when there are more than say anything."""
        index = blind_index(key=self._store.sealer.index_key(scope.tenant), label="mobile", value=number)
        pk = keys.point_index_pk(scope.tenant, index)
        found = View.query(pk, limit=MOST_AT_ONE + 1, consistent_read=True)
        return _few([item.sk.split("#", 1)[0] for item in found])

    # Candidates

    def put_pairs(self, scope: Scope, pairs: Mapping[tuple[str, str], Sequence[str]], *, at: str) -> None:
        """List pairs with what they have in common; one that is listed keeps its place."""
        with View.batch_write() as batch:
            for (one, other), reasons in pairs.items():
                body = json.dumps({"reasons": list(reasons), "found_at": at}, separators=(",", ":"))
                batch.save(View(keys.duplicates_pk(scope.tenant), f"{one}#{other}", d=body))
                batch.save(View(keys.duplicates_of_pk(scope.tenant, one), other))
                batch.save(View(keys.duplicates_of_pk(scope.tenant, other), one))

    def pair_rows(self, scope: Scope, one: str, other: str) -> list[View]:
        """Return the rows by which a pair is listed."""
        first, second = pair_of(one, other)
        return [
            View(keys.duplicates_pk(scope.tenant), f"{first}#{second}"),
            View(keys.duplicates_of_pk(scope.tenant, first), second),
            View(keys.duplicates_of_pk(scope.tenant, second), first),
        ]

    def pairs(self, scope: Scope, *, after: str | None, limit: int) -> list[dict[str, object]]:
        """Return up to ``limit`` listed pairs after a place: ``{place, records, reasons, found_at}``."""
        later = View.sk > after if after is not None else None
        found = View.query(keys.duplicates_pk(scope.tenant), later, limit=limit, consistent_read=True)
        return [{"place": item.sk, "records": item.sk.split("#"), **json.loads(item.d)} for item in found]

    def listed(self, scope: Scope, pairs: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """Return those of the pairs that are listed."""
        wanted = {f"{one}#{other}": (one, other) for one, other in pairs}
        places = [(keys.duplicates_pk(scope.tenant), place) for place in wanted]
        return {
            wanted[item.sk]
            for start in range(0, len(places), 100)
            for item in View.batch_get(places[start : start + 100], consistent_read=True)
        }

    # What was decided

    def dismissed(self, scope: Scope, pairs: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """Return those of the pairs of whom a person said that they are two."""
        wanted = {(keys.person_pk(scope.tenant, one), keys.not_same_sk(other)): (one, other) for one, other in pairs}
        places = list(wanted)
        return {
            wanted[(item.pk, item.sk)]
            for start in range(0, len(places), 100)
            for item in Record.batch_get(places[start : start + 100], consistent_read=True)
        }

    def dismissal_record(self, scope: Scope, one: str, other: str, *, at: str, by: str, reason: str) -> Record:
        """Return the record that two records are of two persons."""
        first, second = pair_of(one, other)
        body = Dismissal(at=at, by=by, reason=reason)
        return self._store.plain_record(
            keys.person_pk(scope.tenant, first), keys.not_same_sk(second), body, version=body.version
        )


def _few(found: list[str]) -> list[str]:
    return [] if len(found) > MOST_AT_ONE else list(dict.fromkeys(found))
