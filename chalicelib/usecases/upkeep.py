"""Keeping customers' data up to date: what is stale, who is to verify it, and what share of customers is covered.

Tasks open and close by themselves: an event about a customer, or the day on which something they said is too old, has the customer
looked at again. The record, the lists and the counts change in one transaction, so that the share is always that of the lists.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from chalicelib.domain.cases.case import Case
from chalicelib.domain.cases.lifecycle import FINAL
from chalicelib.domain.concurrency import retrying
from chalicelib.domain.events import Actor, Event, EventType
from chalicelib.domain.instants import from_text, local_date, to_text
from chalicelib.domain.kpi.figures import ratio, wilson
from chalicelib.domain.people.merging import counted
from chalicelib.domain.people.upkeep import (
    BY_ID,
    CUSTOMERS,
    GROUPS,
    UP_TO_DATE,
    Upkeep,
    assessed,
    next_change,
    of_keeper,
    standings,
)
from chalicelib.usecases.cases import lender_of
from chalicelib.usecases.one_person import Records, records_of
from chalicelib.usecases.persons import balance_days
from chalicelib.usecases.ports import Scope, Store

KEEPER = Actor("system", "project_events", "role")

WHOLE_LENDER = "*"
PARTS = 4

OF_CASES = frozenset({EventType.CASE_PLACED, EventType.CASE_ASSIGNED, EventType.CASE_CHANGED})
OF_PERSONS = frozenset(
    {
        EventType.CONSENT_CHANGED,
        EventType.PERSON_POINT_ADDED,
        EventType.PERSON_POINT_VERIFIED,
        EventType.PERSON_POINT_RETIRED,
        EventType.PERSON_PREFERENCES_SET,
        EventType.PERSON_DATA_CONFIRMED,
        EventType.PERSON_MERGED,
        EventType.PERSON_SPLIT,
        EventType.PERSON_KEYS_DESTROYED,
    }
)
"""Events after which a customer's data may stand otherwise than they did."""

_AT_ONCE = 16
"""Customers of one transaction: with four actions each and the counts of two agencies each they stay below its 100."""


class Upkeeps(Protocol):
    """What is to be brought up to date. See ``chalicelib.store.upkeep_repository``."""

    def upkeeps(self, scope: Scope, persons: Iterable[str]) -> dict[str, Upkeep]:
        """Return what is known of the persons."""
        ...

    def record(self, scope: Scope, upkeep: Upkeep) -> Any:
        """Return the record."""

    def rows(self, scope: Scope, before: Upkeep, after: Upkeep) -> tuple[Sequence[Any], Sequence[Any]]:
        """Return the rows that list the customer now, and those that do no more."""
        ...

    def lender_page(self, tenant: str, *, after: str | None, limit: int) -> list[dict[str, Any]]:
        """Return a page of the lender's list."""
        ...

    def agency_page(self, org: str, *, after: str | None, limit: int) -> list[dict[str, Any]]:
        """Return a page of the agency's list."""
        ...

    def counter(self, scope: Scope, who: str, part: int) -> tuple[dict[str, int], int]:
        """Return a part of the counts, and its version."""
        ...

    def counter_row(self, scope: Scope, who: str, part: int, counts: Mapping[str, int], version: int) -> Any:
        """Return the row of a part of the counts."""

    def coverage(self, tenant: str) -> dict[str, Counter[str]]:
        """Return the counts."""
        ...


@dataclass(frozen=True, slots=True)
class UpkeepPorts:
    """What this module needs."""

    store: Store
    upkeeps: Upkeeps


# Assessing


def project_upkeep(
    ports: UpkeepPorts, events: Sequence[Event], *, scope_for: Callable[[str], Scope], now: datetime
) -> list[str]:
    """Look again at every customer whom the events concern; no event fails. Safe to repeat: it goes by what is there now."""
    concerned: dict[str, list[Event]] = {}
    for event in events:
        if event.type in OF_CASES | OF_PERSONS:
            concerned.setdefault(event.tenant, []).append(event)
    for tenant, happened in concerned.items():
        scope = scope_for(tenant)
        cases = ports.store.cases(scope, [event.stream for event in happened if event.type in OF_CASES])
        told: dict[str, list[str]] = {}
        for case in cases.values():
            told.setdefault(case.debtor, []).append(case.id)
        wanted = [*told, *(str(event.data["person"]) for event in happened if event.type in OF_PERSONS)]
        assess(ports, scope, list(dict.fromkeys(wanted)), now=now, req="req_stream", told=told)
    return []


def assess(
    ports: UpkeepPorts,
    scope: Scope,
    persons: Sequence[str],
    *,
    now: datetime,
    req: str,
    told: Mapping[str, Sequence[str]] | None = None,
) -> int:
    """Look at customers and write down what changed, a few at a time; return how many changed.

    ``told`` are the cases, by debtor, that events named: no case of a customer opens without one, so that those and the open ones of
    the last look are all there are. None asks the index of every customer's cases.
    """
    ledgers = ports.store.ledgers(scope, persons) if persons else {}
    everyone = list(dict.fromkeys([*persons, *(other for each in ledgers.values() for other in each.counted_with)]))
    changed = 0
    for start in range(0, len(everyone), _AT_ONCE):
        batch = everyone[start : start + _AT_ONCE]
        changed += retrying(lambda batch=batch: _assess_once(ports, scope, batch, now, req, told), attempts=20)  # type: ignore[misc]
    return changed


def _assess_once(
    ports: UpkeepPorts,
    scope: Scope,
    batch: Sequence[str],
    now: datetime,
    req: str,
    told: Mapping[str, Sequence[str]] | None,
) -> int:
    lender = lender_of(ports.store, scope)
    today = local_date(now, lender.zone)
    before = ports.upkeeps.upkeeps(scope, batch)
    records = records_of(ports.store, scope, batch)
    confirmed = lender.balances_confirmed_at
    confirmed_on = None if confirmed is None else local_date(from_text(confirmed), lender.zone)
    cases = _cases_of(ports.store, scope, before, records, told)
    unit = ports.store.unit(scope, actor=KEEPER, req=req, now=now)
    deltas: dict[str, Counter[str]] = {}
    changed = 0
    for person in batch:
        known = before[person]
        after = _looked_at(known, records, cases[person], today, confirmed_on, lender.zone)
        if after == known or (known.version == 0 and not after.is_customer):
            continue
        changed += 1
        after = after.model_copy(update={"version": known.version + 1})
        unit.replace(ports.upkeeps.record(scope, after), expected=known.version)
        put, gone = ports.upkeeps.rows(scope, known, after)
        for row in put:
            unit.put(row)
        for row in gone:
            unit.drop(row)
        _count(deltas, known, -1)
        _count(deltas, after, 1)
    part = hashlib.sha256(batch[0].encode()).digest()[0] % PARTS
    for who, delta in deltas.items():
        if any(delta.values()):
            counts, version = ports.upkeeps.counter(scope, who, part)
            total = Counter(counts)
            total.update(delta)
            unit.replace(ports.upkeeps.counter_row(scope, who, part, total, version + 1), expected=version)
    unit.commit()
    return changed


def _count(deltas: dict[str, Counter[str]], upkeep: Upkeep, sign: int) -> None:
    for who in (WHOLE_LENDER, *([upkeep.agency] if upkeep.agency is not None else [])):
        deltas.setdefault(who, Counter()).update({name: sign * count for name, count in upkeep.counts().items()})


def _cases_of(
    store: Store, scope: Scope, before: Mapping[str, Upkeep], records: Records, told: Mapping[str, Sequence[str]] | None
) -> dict[str, list[Case]]:
    """Return for each customer the cases that may be theirs, all read at once. Merged records are asked for one by one."""
    names: dict[str, list[str]] = {}
    for person, known in before.items():
        ids = {person, *records.ledgers[person].counted_with}
        if not _is_head(records, person):
            names[person] = []
        elif told is not None and known.cases is not None and len(ids) == 1:
            names[person] = [*known.cases, *told.get(person, ())]
        else:
            names[person] = [case for record in sorted(ids) for case in store.cases_of(scope, record)]
    wanted = list(dict.fromkeys(case for each in names.values() for case in each))
    found = store.cases(scope, wanted) if wanted else {}
    return {person: [found[case] for case in dict.fromkeys(each) if case in found] for person, each in names.items()}


def _is_head(records: Records, person: str) -> bool:
    found = records.persons.get(person)
    return found is not None and found.merged_into is None


def _looked_at(
    known: Upkeep,
    records: Records,
    cases: Iterable[Case],
    today: date,
    confirmed_on: date | None,
    zone: str,
) -> Upkeep:
    """Return how a customer stands. A record that was merged into another is no customer of its own."""
    person = records.persons.get(known.person)
    ledger = records.ledgers[known.person]
    ids = {known.person, *ledger.counted_with}
    open_cases = [case for case in cases if case.debtor in ids and case.state not in FINAL]
    if person is None or not open_cases:
        gone = assessed(known, (), agency=None, today=today, is_customer=False)
        return gone.model_copy(update={"due_at": None, "cases": None})
    everything = {**records.others, **records.ledgers}
    found = standings(person, counted(ledger, everything), balances=balance_days(open_cases, confirmed_on))
    after = assessed(known, found, agency=_holder(open_cases), today=today, is_customer=True)
    day = next_change(found, today)
    if "repayment" in after.stale:
        # The lender confirms balances for all its cases at once and no event names them: tomorrow is looked again.
        day = min(day or date.max, today + timedelta(days=1))
    named = tuple(sorted(case.id for case in open_cases))
    return after.model_copy(update={"due_at": None if day is None else _midnight(day, zone), "cases": named})


def _holder(cases: Iterable[Case]) -> str | None:
    return next((case.agency for case in sorted(cases, key=lambda case: case.id) if case.agency is not None), None)


def _midnight(day: date, zone: str) -> str:
    return to_text(datetime.combine(day, time(0), ZoneInfo(zone)).astimezone(UTC))


def look_again(ports: UpkeepPorts, scope: Scope, person: str, *, now: datetime) -> str | None:
    """Look at a customer whose day has come; None when it has not."""
    known = ports.upkeeps.upkeeps(scope, [person])[person]
    if known.due_at is None or known.due_at > to_text(now):
        return None
    return "upkeep" if assess(ports, scope, [person], now=now, req="req_clock") else None


# Reading


def list_tasks(
    ports: UpkeepPorts, *, tenant: str | None, org: str | None, after: str | None, limit: int
) -> tuple[list[dict[str, Any]], str | None]:
    """Return a page of customers with what is to be brought up to date, and the place to go on after, None at the end.

    ``org`` lists what that agency is to verify; otherwise everything of the lender ``tenant``.
    """
    if org is not None:
        found = ports.upkeeps.agency_page(org, after=after, limit=limit)
    elif tenant is not None:
        found = ports.upkeeps.lender_page(tenant, after=after, limit=limit)
    else:
        raise ValueError("a list belongs to a lender or an agency")
    items = [
        {
            "person": each["person"],
            "lender": each["lender"],
            "agency": each["agency"],
            "tasks": [
                {
                    "group": group,
                    "since": since,
                    "keeper": BY_ID[group].keeper,
                    "how": list(BY_ID[group].how),
                    "counts": BY_ID[group].counts,
                }
                for group, since in of_keeper(each["stale"], agency=org is not None).items()
            ],
        }
        for each in found
    ]
    return items, str(found[-1]["place"]) if len(found) == limit else None


def coverage_of(ports: UpkeepPorts, scope: Scope, who: str | None = None) -> dict[str, Any] | None:
    """Return the share of customers whose data are up to date, as a figure of the scoreboard; None without customers."""
    counts = ports.upkeeps.coverage(scope.tenant).get(who or WHOLE_LENDER, Counter())
    return _figure(counts[UP_TO_DATE], counts[CUSTOMERS]) if counts[CUSTOMERS] else None


def _figure(numerator: int, denominator: int) -> dict[str, Any]:
    interval = wilson(numerator, denominator)
    return {
        "kpi": "data_freshness",
        "version": 1,
        "key": None,
        "unit": "share",
        "numerator": numerator,
        "denominator": denominator,
        "n": denominator,
        "value": ratio(numerator, denominator),
        "interval": None if interval is None else list(interval),
    }


def coverages(ports: UpkeepPorts, scope: Scope, who: str | None = None) -> list[dict[str, Any]]:
    """Return the coverage of the lender and of each agency that holds customers, as a whole and by group of data.

    ``who`` limits it to one agency.
    """
    found = ports.upkeeps.coverage(scope.tenant)
    names = [name for name in sorted(found) if found[name][CUSTOMERS] and who in (None, name)]
    return [
        {
            "lender": scope.tenant,
            "agency": None if name == WHOLE_LENDER else name,
            **_share(found[name][UP_TO_DATE], found[name][CUSTOMERS]),
            "groups": [
                {
                    "group": group.id,
                    "zh": group.zh,
                    "en": group.en,
                    "max_age_days": group.max_age_days,
                    "counts": group.counts,
                    "keeper": group.keeper,
                    **_share(found[name][f"current:{group.id}"], found[name][CUSTOMERS]),
                }
                for group in GROUPS
            ],
        }
        for name in names
    ]


def _share(numerator: int, denominator: int) -> dict[str, Any]:
    figure = _figure(numerator, denominator)
    return {name: figure[name] for name in ("numerator", "denominator", "value", "interval")}
