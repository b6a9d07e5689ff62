"""The views that cases and agencies are found by: feeds, case lists, loads, listings. All of it can be rebuilt.

Keys of the view table:

- ``A#<org>#FEED`` | ``HEAD`` (v = number of the last entry) and ``<12 digits>`` (one entry, d; ttl 35 days)
- ``A#<org>#CASES`` | case id, and ``T#<lender>#CASES`` | case id: a line of a list (d), ``s`` its state or ``gone``
- ``T#<lender>#LOAD`` | org: v = cases held + 1
- ``T#<lender>#UNASSIGNED`` | case id: why the case found no agency
- ``A#<org>`` | ``LENDER#<lender>``: that the lender lists the agency, and until when
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from pynamodb.exceptions import TransactWriteError
from pynamodb.transactions import TransactWrite

from chalicelib.domain.cases.feed import RETENTION_DAYS, Row, Step
from chalicelib.domain.cases.organisations import Agency
from chalicelib.domain.concurrency import Conflict
from chalicelib.store.tables import View, connection
from chalicelib.store.unit import is_conflict

MOST_ITEMS = 95
"""Feed entries and list rows of one transaction; the head and the loads of a few lenders come on top of it."""

_HEAD = "HEAD"
_GONE = "gone"
_DAY = 86_400
_BATCH_GET = 100


def feed_pk(org: str) -> str:
    """Return the partition of an agency's feed."""
    return f"A#{org}#FEED"


def agency_cases_pk(org: str) -> str:
    """Return the partition of an agency's case list."""
    return f"A#{org}#CASES"


def lender_cases_pk(tenant: str) -> str:
    """Return the partition of a lender's case list."""
    return f"T#{tenant}#CASES"


def load_pk(tenant: str) -> str:
    """Return the partition that counts the cases which each of a lender's agencies holds."""
    return f"T#{tenant}#LOAD"


def unassigned_pk(tenant: str) -> str:
    """Return the partition of the cases that found no agency."""
    return f"T#{tenant}#UNASSIGNED"


def entry_sk(seq: int) -> str:
    """Return the sort key of a feed entry."""
    return f"{seq:012d}"


class FeedRepository:
    """Reads and writes the views of cases and agencies."""

    # The feed

    def head(self, org: str) -> int:
        """Return the number of the feed's last entry by one strongly consistent read; 0 when there is none."""
        try:
            return int(View.get(feed_pk(org), _HEAD, consistent_read=True, attributes_to_get=["v"]).v)
        except View.DoesNotExist:
            return 0

    def entries(self, org: str, *, after: int, limit: int) -> list[dict[str, Any]]:
        """Return up to ``limit`` retained entries after a number, in order, each with its ``seq``."""
        first, last = entry_sk(after + 1), entry_sk(10**12 - 1)
        found = View.query(feed_pk(org), View.sk.between(first, last), limit=limit, consistent_read=True)
        return [{"seq": int(item.sk), **json.loads(item.d)} for item in found]

    def append(self, org: str, *, head: int, steps: Sequence[Step], at: datetime) -> int:
        """Write the steps' entries, rows and freed places behind ``head`` in one transaction; return the new head.

        Raises Conflict when the head has moved on, so rows that were read before it are as they were.
        """
        expires = int(at.timestamp()) + RETENTION_DAYS * _DAY
        seq = head
        released: dict[str, int] = {}
        try:
            with TransactWrite(connection=connection(View.Meta.region)) as transaction:
                for step in steps:
                    for entry in step.entries:
                        seq += 1
                        body = json.dumps(entry, separators=(",", ":"))
                        transaction.save(View(feed_pk(org), entry_sk(seq), d=body, ttl=expires))
                    transaction.save(_list_row(agency_cases_pk(org), step.row, expires))
                    if step.released:
                        lender = step.row.lender
                        released[lender] = released.get(lender, 0) + step.released
                unchanged = View.pk.does_not_exist() if head == 0 else View.v == head
                transaction.save(View(feed_pk(org), _HEAD, v=seq), condition=unchanged)
                for lender, places in released.items():
                    transaction.update(View(load_pk(lender), org), actions=[View.v.add(-places)])
        except TransactWriteError as error:
            if is_conflict(error):
                raise Conflict from error
            raise
        return seq

    # Case lists

    def rows(self, org: str, cases: Iterable[str]) -> dict[str, Row]:
        """Return the agency's rows of those cases, gone ones included."""
        wanted = list(dict.fromkeys(cases))
        rows: dict[str, Row] = {}
        for start in range(0, len(wanted), _BATCH_GET):
            keys = [(agency_cases_pk(org), case) for case in wanted[start : start + _BATCH_GET]]
            for item in View.batch_get(keys, consistent_read=True):
                rows[item.sk] = _row(item)
        return rows

    def lender_of(self, org: str, case: str) -> str | None:
        """Return the lender of a case that the agency holds or held, or None; one small read."""
        row = self.rows(org, [case]).get(case)
        return None if row is None else row.lender

    def put_lender_rows(self, rows: Iterable[Row]) -> None:
        """Write lines of lenders' case lists; putting one again changes nothing."""
        with View.batch_write() as batch:
            for row in rows:
                batch.save(_list_row(lender_cases_pk(row.lender), row, None))

    def drop_lender_rows(self, tenant: str, cases: Iterable[str]) -> None:
        """Take cases out of the lender's list: their borrower was erased."""
        with View.batch_write() as batch:
            for case in cases:
                batch.delete(View(lender_cases_pk(tenant), case))

    def agency_page(self, org: str, *, after: str | None, limit: int, state: str | None) -> list[Row]:
        """Return up to ``limit`` of the agency's live cases by id, after an id, of a state if one is given."""
        return self._page(agency_cases_pk(org), after=after, limit=limit, state=state)

    def lender_page(self, tenant: str, *, after: str | None, limit: int, state: str | None) -> list[Row]:
        """Return up to ``limit`` of the lender's cases by id, ended ones included, after an id, of a state if given."""
        return self._page(lender_cases_pk(tenant), after=after, limit=limit, state=state)

    def _page(self, pk: str, *, after: str | None, limit: int, state: str | None) -> list[Row]:
        wanted = View.s == state if state is not None else View.s != _GONE
        later = View.sk > after if after is not None else None
        # ``limit`` counts what passes the filter; a page of DynamoDB's counts what it looked at.
        found = View.query(pk, later, filter_condition=wanted, limit=limit, consistent_read=True)
        return [_row(item) for item in found]

    # Loads

    def loads(self, tenant: str) -> dict[str, int]:
        """Return how many cases each of the lender's agencies holds, by a strongly consistent read."""
        return {item.sk: int(item.v) - 1 for item in View.query(load_pk(tenant), consistent_read=True)}

    def load_record(self, tenant: str, org: str, load: int) -> tuple[View, int]:
        """Return the record of a load, and the version that the record of ``load - n`` has for a unit's condition.

        A unit replaces it with ``unit.replace(record, expected=known + 1)``, or ``expected=0`` where none was known.
        """
        return View(load_pk(tenant), org, v=load + 1), load + 1

    # Cases without agency

    def put_unassigned(self, tenant: str, reasons: Mapping[str, Mapping[str, Any]]) -> None:
        """Note why cases found no agency."""
        with View.batch_write() as batch:
            for case, reason in reasons.items():
                batch.save(View(unassigned_pk(tenant), case, d=json.dumps(reason, separators=(",", ":"))))

    def unassigned(self, tenant: str, *, limit: int) -> dict[str, dict[str, Any]]:
        """Return up to ``limit`` cases that found no agency, with the reason."""
        found = View.query(unassigned_pk(tenant), limit=limit, consistent_read=True)
        return {item.sk: json.loads(item.d) for item in found}

    def drop_unassigned(self, tenant: str, cases: Iterable[str]) -> None:
        """Forget that those cases found no agency."""
        with View.batch_write() as batch:
            for case in cases:
                batch.delete(View(unassigned_pk(tenant), case))

    # Listings

    def listing_record(self, tenant: str, agency: Agency) -> View:
        """Return the row from which an agency's principals get this lender's scope; its version is the agency's."""
        body = {
            "lender": tenant,
            "listed_from": agency.listed_from.isoformat() if agency.listed_from else None,
            "listed_to": agency.listed_to.isoformat() if agency.listed_to else None,
            "suspended": agency.suspended,
        }
        return View(f"A#{agency.id}", f"LENDER#{tenant}", v=agency.version, d=json.dumps(body))

    def listings(self, org: str) -> list[dict[str, Any]]:
        """Return ``{lender, listed_from, listed_to, suspended}`` for each lender that ever listed the agency."""
        found = View.query(f"A#{org}", View.sk.startswith("LENDER#"), consistent_read=True)
        return [json.loads(item.d) for item in found]


def _list_row(pk: str, row: Row, expires: int | None) -> View:
    """Return a list's item; an agency's line of a case that it lost stays, out of sight, as long as its feed entry."""
    lost = expires is not None and not row.held
    body = json.dumps(row.as_json(), separators=(",", ":"))
    return View(pk, row.case, s=_GONE if lost else row.state, d=body, ttl=expires if lost else None)


def _row(item: View) -> Row:
    return Row.from_json(json.loads(item.d))
