"""What is to be brought up to date of each customer, the lists of it, and the counts that coverage is made of.

Keys of the view table:

- ``T#<lender>#UPKEEP`` | person, and ``A#<org>#UPKEEP`` | ``<lender>#<person>``: groups that are not up to date (d)
- ``T#<lender>#COVERAGE`` | ``<agency or *>#<part>``: counts (d) in four parts, so that writers seldom meet (v = version)

and beside the person's record, in the main table and its ``due`` index, ``UPKEEP``.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from chalicelib.domain import keys
from chalicelib.domain.people.upkeep import Upkeep, of_keeper
from chalicelib.store.repository import Scope, Store
from chalicelib.store.tables import Record, View

PARTS = 4
_BATCH_GET = 100


class UpkeepRepository:
    """Reads and writes what is to be brought up to date."""

    def __init__(self, store: Store) -> None:
        """Take the repository that builds plain records."""
        self._store = store

    def upkeeps(self, scope: Scope, persons: Iterable[str]) -> dict[str, Upkeep]:
        """Return what is known of each of these persons; of one who was never looked at, version 0."""
        wanted = list(dict.fromkeys(persons))
        found = {person: Upkeep(person=person) for person in wanted}
        places = [(keys.person_pk(scope.tenant, person), keys.UPKEEP_SK) for person in wanted]
        for start in range(0, len(places), _BATCH_GET):
            for item in Record.batch_get(places[start : start + _BATCH_GET], consistent_read=True):
                known = Upkeep.model_validate({**json.loads(item.d), "version": item.v})
                found[known.person] = known
        return found

    def record(self, scope: Scope, upkeep: Upkeep) -> Record:
        """Return the record as ``upkeep.version``, in the due index while the clock has something to look at."""
        pk = keys.person_pk(scope.tenant, upkeep.person)
        record = self._store.plain_record(pk, keys.UPKEEP_SK, upkeep, version=upkeep.version)
        if upkeep.due_at is not None:
            record.due_shard, record.due_at = keys.due_shard(upkeep.person), upkeep.due_at
        return record

    def rows(self, scope: Scope, before: Upkeep, after: Upkeep) -> tuple[list[View], list[View]]:
        """Return the rows that list the customer now, and those that did and do no more."""
        now, was = self._rows(scope, after), self._rows(scope, before)
        kept = {(row.pk, row.sk) for row in now}
        return now, [row for row in was if (row.pk, row.sk) not in kept]

    def _rows(self, scope: Scope, upkeep: Upkeep) -> list[View]:
        body = {"person": upkeep.person, "lender": scope.tenant, "agency": upkeep.agency}
        found = []
        if upkeep.stale:
            told = json.dumps({**body, "stale": upkeep.stale}, separators=(",", ":"))
            found.append(View(keys.upkeep_pk(scope.tenant), upkeep.person, d=told))
        own = of_keeper(upkeep.stale, agency=True)
        if own and upkeep.agency is not None:
            told = json.dumps({**body, "stale": own}, separators=(",", ":"))
            found.append(View(keys.agency_upkeep_pk(upkeep.agency), f"{scope.tenant}#{upkeep.person}", d=told))
        return found

    # Lists

    def lender_page(self, tenant: str, *, after: str | None, limit: int) -> list[dict[str, Any]]:
        """Return up to ``limit`` of the lender's customers whose data are not up to date, after a place."""
        return self._page(keys.upkeep_pk(tenant), after, limit)

    def agency_page(self, org: str, *, after: str | None, limit: int) -> list[dict[str, Any]]:
        """Return up to ``limit`` of the customers whose data the agency is to bring up to date, after a place."""
        return self._page(keys.agency_upkeep_pk(org), after, limit)

    def _page(self, pk: str, after: str | None, limit: int) -> list[dict[str, Any]]:
        later = View.sk > after if after is not None else None
        found = View.query(pk, later, limit=limit, consistent_read=True)
        return [{"place": item.sk, **json.loads(item.d)} for item in found]

    # Counts

    def counter(self, scope: Scope, who: str, part: int) -> tuple[dict[str, int], int]:
        """Return (counts, version) of a part of the counts of an agency or, as ``*``, of the lender."""
        try:
            item = View.get(keys.coverage_pk(scope.tenant), f"{who}#{part}", consistent_read=True)
        except View.DoesNotExist:
            return {}, 0
        return json.loads(item.d), int(item.v)

    def counter_row(self, scope: Scope, who: str, part: int, counts: Mapping[str, int], version: int) -> View:
        """Return the row of a part of the counts as ``version``."""
        body = json.dumps({name: count for name, count in sorted(counts.items()) if count}, separators=(",", ":"))
        return View(keys.coverage_pk(scope.tenant), f"{who}#{part}", v=version, d=body)

    def coverage(self, tenant: str) -> dict[str, Counter[str]]:
        """Return the counts of each agency and, as ``*``, of the lender, all parts added up."""
        found: dict[str, Counter[str]] = {}
        for item in View.query(keys.coverage_pk(tenant), consistent_read=True):
            who = item.sk.rsplit("#", 1)[0]
            found.setdefault(who, Counter()).update(json.loads(item.d))
        return found
