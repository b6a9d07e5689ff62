"""Case lists and change feeds: written from the events of the stream, read by agencies and lenders."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Protocol

from chalicelib.domain.cases.case import Case
from chalicelib.domain.cases.feed import FEED_TYPES, Expired, Page, Row, Step, audience, batches, row_of, step_of
from chalicelib.domain.concurrency import retrying
from chalicelib.domain.events import Event, EventType
from chalicelib.domain.instants import from_text, local_date
from chalicelib.usecases.ports import Scope, Store

MOST_A_PAGE = 100
LONGEST_WAIT = 20
"""Seconds that a long poll waits at most."""

POLL_EVERY = 1.0
"""Seconds between two looks at the head during a long poll."""

STREAM_PREFIX = "case_"


class Feed(Protocol):
    """A feed that is followed by numbers: an agency's changes, a lender's outcomes."""

    def head(self, owner: str, /) -> int:
        """Return the number of the feed's last entry."""
        ...

    def entries(self, owner: str, /, *, after: int, limit: int) -> list[dict[str, Any]]:
        """Return retained entries after a number."""
        ...


class Feeds(Feed, Protocol):
    """The views of cases and agencies. See ``chalicelib.store.feed_repository``."""

    def append(self, org: str, *, head: int, steps: Sequence[Step], at: datetime) -> int:
        """Write steps behind the head, or raise Conflict."""
        ...

    def rows(self, org: str, cases: Iterable[str]) -> dict[str, Row]:
        """Return the agency's rows of those cases."""
        ...

    def lender_of(self, org: str, case: str) -> str | None:
        """Return the lender of a case that the agency holds or held."""
        ...

    def put_lender_rows(self, rows: Iterable[Row]) -> None:
        """Write lines of lenders' lists."""

    def drop_lender_rows(self, tenant: str, cases: Iterable[str]) -> None:
        """Take cases out of the lender's list."""

    def agency_page(self, org: str, *, after: str | None, limit: int, state: str | None) -> list[Row]:
        """Return a page of the agency's list."""
        ...

    def lender_page(self, tenant: str, *, after: str | None, limit: int, state: str | None) -> list[Row]:
        """Return a page of the lender's list."""
        ...

    def loads(self, tenant: str) -> dict[str, int]:
        """Return how many cases each agency holds."""
        ...

    def load_record(self, tenant: str, org: str, load: int) -> tuple[Any, int]:
        """Return the record of a load and its version."""
        ...

    def put_unassigned(self, tenant: str, reasons: Mapping[str, Mapping[str, Any]]) -> None:
        """Note why cases found no agency."""

    def unassigned(self, tenant: str, *, limit: int) -> dict[str, dict[str, Any]]:
        """Return cases that found no agency."""
        ...

    def drop_unassigned(self, tenant: str, cases: Iterable[str]) -> None:
        """Forget that those cases found no agency."""

    def listing_record(self, tenant: str, agency: Any) -> Any:
        """Return the row that gives an agency's principals the lender's scope."""

    def listings(self, org: str) -> list[dict[str, Any]]:
        """Return the lenders that list the agency."""
        ...


# From events to feeds


def project_feeds(
    feeds: Feeds, store: Store, events: Sequence[Event], *, scope_for: Callable[[str], Scope], most_items: int = 95
) -> list[str]:
    """Bring feeds and case lists up to the events; return the ids of events whose case could not be read.

    Safe to repeat: a row remembers the last event of its case that its list knows. Events of one case come in order;
    each agency's entries are written in as few transactions as fit. Raises Conflict when rivals won every run.
    """
    for event in events:
        if event.type is EventType.PERSON_KEYS_DESTROYED:
            feeds.drop_lender_rows(event.tenant, event.data["cases"])
    relevant = [event for event in events if event.type in FEED_TYPES and event.stream.startswith(STREAM_PREFIX)]
    failed: list[str] = []
    by_case: dict[tuple[str, str], list[Event]] = {}
    for event in relevant:
        by_case.setdefault((event.tenant, event.stream), []).append(event)
    cases: dict[tuple[str, str], Case] = {}
    zones: dict[str, str] = {}
    for tenant in dict.fromkeys(tenant for tenant, _ in by_case):
        scope = scope_for(tenant)
        lender = store.lender(scope)
        zones[tenant] = lender.zone if lender is not None else "UTC"
        found = store.cases(scope, [case for owner, case in by_case if owner == tenant])
        cases.update({(tenant, case): body for case, body in found.items()})
    lines: list[Row] = []
    missing: dict[str, dict[str, list[Event]]] = {}
    heard: dict[str, dict[tuple[str, str], list[Event]]] = {}
    for key, happened in by_case.items():
        case = cases.get(key)
        if case is None:
            missing.setdefault(key[0], {})[key[1]] = happened
            continue
        lines.append(row_of(case, seq=happened[-1].seq, org=None))
        for org in sorted({org for event in happened for org in audience(event, case)}):
            heard.setdefault(org, {})[key] = happened
    for tenant, unread in missing.items():
        # Nothing more is told of a case whose borrower was erased meanwhile; any other must be there.
        erased = store.erased_cases(scope_for(tenant), unread)
        failed.extend(event.id for case, happened in unread.items() if case not in erased for event in happened)
    if lines:
        feeds.put_lender_rows(lines)
    for org, happenings in heard.items():
        _append(feeds, org, happenings, cases, zones, most_items)
    return failed


def _append(
    feeds: Feeds,
    org: str,
    happenings: Mapping[tuple[str, str], Sequence[Event]],
    cases: Mapping[tuple[str, str], Case],
    zones: Mapping[str, str],
    most_items: int,
) -> None:
    at = max(from_text(happened[-1].at) for happened in happenings.values())

    def once() -> None:
        # The head is read before the rows and is the condition of every write to them.
        head = feeds.head(org)
        known = feeds.rows(org, [case for _, case in happenings])
        steps = []
        for (tenant, case_id), happened in happenings.items():
            today = local_date(at, zones[tenant])
            step = step_of(happened, cases[(tenant, case_id)], org=org, known=known.get(case_id), today=today)
            if step is not None:
                steps.append(step)
        for run in batches(steps, most=most_items):
            head = feeds.append(org, head=head, steps=run, at=at)

    retrying(once, attempts=20)


# Reading


def changes(
    feed: Feed,
    owner: str,
    *,
    after: int | None,
    limit: int,
    wait: float,
    sleep: Callable[[float], None],
) -> Page | Expired:
    """Return what came after entry ``after`` (None: from the oldest retained), waiting up to ``wait`` seconds for it.

    A poll with nothing new is one read of the head; a waiting one looks again every second. Expired when entries
    between were dropped, or the number lies beyond the head.
    """
    head = feed.head(owner)
    waited = 0.0
    while head == (after or 0) and waited < min(wait, LONGEST_WAIT):
        pause = min(POLL_EVERY, wait - waited)
        sleep(pause)
        waited += pause
        head = feed.head(owner)
    if after is not None and after > head:
        return Expired("the cursor lies beyond the feed")
    if head == (after or 0):
        return Page((), head, more=False)
    found = feed.entries(owner, after=after or 0, limit=limit)
    if after is not None and (not found or found[0]["seq"] != after + 1):
        return Expired("entries after the cursor are no longer kept")
    next_seq = int(found[-1]["seq"]) if found else head
    return Page(tuple(found), next_seq, more=next_seq < head)


def list_cases(
    feeds: Feeds,
    *,
    tenant: str | None,
    org: str | None,
    after: str | None,
    limit: int,
    state: str | None,
    today_of: Callable[[str], date],
) -> tuple[list[dict[str, Any]], str | None]:
    """Return a page of case summaries by id and the id to go on after, or None at the end.

    ``org`` lists that agency's live cases; otherwise the lender ``tenant``'s, ended ones included.
    """
    size = min(limit, MOST_A_PAGE)
    if org is not None:
        rows = feeds.agency_page(org, after=after, limit=size, state=state)
    elif tenant is not None:
        rows = feeds.lender_page(tenant, after=after, limit=size, state=state)
    else:
        raise ValueError("a list belongs to a lender or an agency")
    following = rows[-1].case if len(rows) == size else None
    return [row.summary(today_of(row.lender)) for row in rows], following
