"""Measure what a change costs the figures and the planner while more and more cases stand by.

    python -m scripts.bench_kpis                                 # 10,000 and 100,000 cases; a minute or two
    python -m scripts.bench_kpis --cases 10000 100000 1000000    # some minutes, and 2.5 GB of the disk meanwhile

The real use cases and repositories work over tables in a file (``scripts.metered_tables``), in which so many cases stand:
each with its own record, the event of its placement, a plan that sleeps, its row in the list, its place in the counters'
past, and a mark of its person. What happens is the same each time: some events of some of these cases are folded, the
figures are published, and some plans that are due are looked at until their message is asked for. What is printed belongs
to one change; only the last part, the close of a month, looks at every case, once a month, and is printed for one case.
Then it prints what that comes to for a million cases a month, under assumptions that ``docs/scale.md`` states.

Exit status: 0 when the items that a change reads and writes are the same for every number of cases, 1 when they are not.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest import mock

from chalicelib.domain import keys
from chalicelib.domain.cases.case import CaseParty
from chalicelib.domain.cases.feed import Row
from chalicelib.domain.events import Event, EventType
from chalicelib.domain.instants import to_text
from chalicelib.domain.strategies.book import StrategyBook, StrategyVersion, VersionState
from chalicelib.domain.strategies.plan import CasePlan
from chalicelib.store.tables import Record
from chalicelib.usecases import due, kpis, month_close, plans
from scripts.metered_tables import DIGITS, MeteredTables, Work

SIZES = (10_000, 100_000)
EVENTS, EVENTS_A_CASE, PLANS = 2_000, 5, 200
BATCH = 100
"""How many events the stream hands over at a time, as ``project_events`` has it."""

ALONE = 50
"""How many events are handed over one by one, as on a quiet day."""

WALKED = 300
"""How many cases of a month's close are looked at for its price."""

FOLDED, ALONE_FOLDED = "event folded of a hundred", "event folded alone"
PUBLISHED, ASKED = "figures published", "plan's step asked for"
CLOSE = "case at a month's close"
"""The parts; the last one looks at every case, once a month."""

WRITE_PRICE, READ_PRICE = 0.625, 0.125
"""Dollars for a million write and read request units: Amazon DynamoDB pricing for on-demand capacity, US East (N. Virginia)."""

MESSAGE_EVENTS, MESSAGE_WRITES, MESSAGE_READS = 5, 30 + 6, 37
"""Events and units of a message from its wish to its delivery: docs/data-model.md, access patterns and their units."""

CALL_EVENTS, CALL_WRITES, CALL_READS = 3, 18 + 3, 22
"""The same of a cleared call or visit, from its wish to the report."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What is assumed to happen to one case of a stage in a month; ``steps`` of its plan ask for the messages."""

    messages: float
    calls: float
    others: float

    @property
    def steps(self) -> float:
        """Return how many steps of the plan are taken: one a message, one a call."""
        return self.messages + self.calls

    @property
    def events(self) -> float:
        """Return how many events are folded: of contacts, of steps, and others (money, promises, states)."""
        return self.messages * MESSAGE_EVENTS + self.calls * CALL_EVENTS + self.steps + self.others


STAGES = {
    "before due": Stage(messages=1, calls=0, others=1),
    "1 to 30 days": Stage(messages=4, calls=2, others=2),
    "31 to 90 days": Stage(messages=3, calls=5, others=2),
    "over 90 days": Stage(messages=2, calls=4, others=1),
}
"""Assumptions, not measurements: within what the caps of the strictest rule packs leave room for."""

ZONE = "Asia/Shanghai"


@dataclass
class Measured:
    """What was done for how many changes, and the seconds of CPU that it took, the harness's own included."""

    changes: int
    work: Work
    seconds: float

    @property
    def counted(self) -> tuple[float, ...]:
        """Return what may not depend on how many cases stand: items and units, in all."""
        each = self.work
        return each.items_read, each.items_written, each.read_units, each.write_units, each.index_units


@dataclass
class Run:
    """One measurement with so many cases standing, by the name of its part."""

    cases: int
    items: int
    parts: dict[str, Measured] = field(default_factory=dict)


def digits_of(number: int) -> str:
    """Return the 32 digits in the ids of the case of that number, and of its person."""
    return f"{number:032d}"


def a_case_id(number: int) -> str:
    """Return a case's id, as long as real ones."""
    return f"case_{digits_of(number)}"


class World:
    """A lender with cases in tables that are metered."""

    def __init__(self, tables: MeteredTables, store: Any, cases: int) -> None:
        """Let so many cases stand; the first one is written by the code of the repository, the others are like it."""
        from chalicelib.store.feed_repository import FeedRepository
        from chalicelib.store.kpi_repository import KpiRepository
        from chalicelib.store.plan_repository import PlanRepository

        self.b: Any = import_module("tests.builders")
        self.tables, self.store, self.cases = tables, store, cases
        self.scope = self.b.Scope(self.b.LENDER)
        self.now: datetime = self.b.NOW
        self.figures, self.plans, self.feeds = KpiRepository(lambda tenant: ZONE), PlanRepository(), FeedRepository()
        self.b.stored(
            store, self.b.a_lender(), self.b.an_agency(), self.b.a_collector(), *self.b.approved("cn-sms-demand")
        )
        self._strategy()
        self.write_case(0)
        self._lay(cases)

    def write_case(self, number: int) -> None:
        """Write a case, and what follows from its placement and first message, by the code of the repository."""
        person, case = f"per_{digits_of(number)}", a_case_id(number)
        record = self.b.a_case(id=case, parties=(CaseParty(person=person, role="debtor"),))
        self.b.stored(self.store, self.b.a_person(id=person), self.b.a_ledger(person=person))
        unit = self.store.unit(self.scope, actor=self.b.TEST_ACTOR, req="req_placed", now=self.now - timedelta(days=9))
        unit.create(self.store.case_record(self.scope, record))
        unit.emit(keys.case_pk(self.scope.tenant, case), EventType.CASE_PLACED, _placement(record))
        unit.commit()
        if self.figures.fold(self.first_events(number)):
            raise RuntimeError("the placement could not be folded")
        sleeps = to_text(self.now + timedelta(days=9))
        self.plans.put_plans(self.scope, [CasePlan(case=case, due_at=sleeps, standing="running", version=1)])
        self.feeds.put_lender_rows([_row(record)])

    def first_events(self, number: int) -> list[Event]:
        """Return what happened to the case of that number before: its placement, a step of its plan, and a message."""
        case, ago = a_case_id(number), self.now - timedelta(days=9)
        step = {"strategy": self.b.a_strategy().id, "number": 1}
        return [
            self.event(case, 1, EventType.CASE_PLACED, _placement(self.b.a_case(id=case)), ago),
            self.event(case, 2, EventType.PLAN_STEP_SETTLED, step, ago + timedelta(days=1)),
            self.event(case, 3, EventType.CONTACT_SENT, _contact(number, self.b), ago + timedelta(days=1)),
        ]

    def event(self, case: str, seq: int, kind: EventType, data: Mapping[str, Any], at: datetime, **more: Any) -> Event:
        """Return an event of a case as the stream hands it over."""
        identity = f"evt_{case[-12:]}{seq:04d}"
        told: dict[str, Any] = {"actor": self.b.TEST_ACTOR, "req": "req_bench", "prev": "0" * 64, **more}
        return Event(identity, kind, to_text(at), self.scope.tenant, case, seq, data=dict(data), **told)

    def _strategy(self) -> None:
        content = self.b.a_strategy()
        life = StrategyVersion(
            number=1,
            state=VersionState.ACTIVATED,
            sha256=content.sha256,
            author="ops-1",
            drafted_at="2026-01-01T00:00:00.000Z",
            active_from="2026-01-02T00:00:00.000Z",
        )
        repository = self.ports().strategies
        repository.book_record(self.scope, StrategyBook(id=content.id, versions=(life,), version=1)).save()
        repository.content_record(self.scope, content, 1).save()
        # A process keeps the content of a version in mind, and reads it once.
        repository.content(self.scope, content.id, life)

    def ports(self) -> plans.PlanPorts:
        """Return what plans need."""
        from chalicelib.store.experiment_repository import ExperimentRepository
        from chalicelib.store.strategy_repository import StrategyRepository
        from chalicelib.usecases.experiments import ExperimentPorts

        strategies = StrategyRepository()
        trials = ExperimentPorts(self.store, ExperimentRepository(), strategies, self.plans)
        return plans.PlanPorts(self.store, strategies, self.plans, self.feeds, trials)

    def _lay(self, cases: int) -> None:
        """Put for each item that belongs to the first case one like it for each other case, and count those cases."""
        first = digits_of(0)
        self.tables.others((digits_of(number), keys.due_shard(a_case_id(number))) for number in range(1, cases))
        for table, item in list(self.tables.items()):
            if DIGITS.search(f"{item['pk']['S']} {item['sk']['S']}"):
                self.tables.lay(table, item, first)
            elif any(name.startswith("n.") for name in item):
                counted = {
                    name: {"N": str(int(value["N"]) * cases)} if name.startswith("n.") else value
                    for name, value in item.items()
                }
                self.tables.put(table, counted)


def _row(record: Any) -> Row:
    return Row(
        case=record.id,
        lender=record.tenant,
        agency=record.agency,
        state=record.state,
        version=1,
        seq=1,
        held=True,
        currency=record.currency,
        amount_due_minor=record.amount_due_minor,
        oldest_unpaid_due_on=record.oldest_unpaid_due_on.isoformat(),
        frozen=(),
        placed_to=record.placed_to,
        country=record.country,
        product=record.product,
    )


def _placement(record: Any) -> dict[str, Any]:
    return {
        "placed_minor": record.placed_minor,
        "currency": record.currency,
        "stage": "M2",
        "region": record.region,
        "portfolio": record.portfolio,
        "country": record.country,
        "instalments": [each.model_dump(mode="json") for each in record.instalments],
        "charges": dict(record.charges),
    }


def _contact(number: int, b: Any, *, collector: int = 0) -> dict[str, Any]:
    told = {"contact": f"msg_{digits_of(number)}", "channel": "sms", "person": f"per_{digits_of(number)}"}
    return {**told, "org": b.AGENCY, "collector": f"col-{collector}", "human": False}


def changes(world: World, events: int, *, offset: int = 0) -> list[Event]:
    """Return so many events, five a case, of cases that lie apart: each case's in order, those of different cases mixed.

    A ruling, a message that is sent and arrives, a call with a promise, a payment. ``offset`` (0 or 1) gives events of
    other cases. Raises ValueError for fewer cases than twice those that have events.
    """
    count = -(-events // EVENTS_A_CASE)
    if world.cases < 2 * count:
        raise ValueError(f"{world.cases} cases are too few for {events} events")
    numbers = [place * world.cases // count + offset for place in range(count)]
    b, found = world.b, []
    ruling = {"outcome": "allow", "ruleset": "0" * 64, "reasons": [], "inputs": "0" * 64}
    reported = {"outcome": "conversation", "result": "RPC-PTP", "connected": True, "right_party": True}
    for step in range(EVENTS_A_CASE):
        for place, number in enumerate(numbers):
            told = _contact(number, b, collector=place % 5)
            paid = {"payment": f"pay_{digits_of(number)}", "amount_minor": 50_000, "applied_minor": 50_000}
            paid |= {"currency": "CNY", "agency": b.AGENCY, "commissionable": True, "reversal_of": None}
            kind, data, more = (
                (EventType.CONTACT_DECIDED, told, {"decision": ruling}),
                (EventType.CONTACT_SENT, told, {}),
                (EventType.CONTACT_DELIVERED, {**told, "from": "sent"}, {}),
                (EventType.CONTACT_REPORTED, {**told, "channel": "call", "human": True, **reported}, {}),
                (EventType.PAYMENT_POSTED, {**paid, "received_on": "2026-11-23"}, {}),
            )[step]
            at = world.now + timedelta(minutes=step)
            found.append(world.event(a_case_id(number), 4 + step, kind, data, at, **more))
    return found[:events]


def measured(world: World, changes: int, work: Callable[[], None]) -> Measured:
    """Return what some work does."""
    before, begun = world.tables.work.copy(), time.process_time()
    work()
    return Measured(changes, world.tables.work - before, time.process_time() - begun)


def fold(world: World, events: Sequence[Event], *, batch: int = BATCH) -> None:
    """Project events in batches, as the stream hands them over."""
    for start in range(0, len(events), batch):
        if kpis.project_kpis(world.figures, events[start : start + batch]):
            raise RuntimeError("an event could not be folded")


class _Unread:
    """Queues that nobody reads: how many bodies were sent is all that is kept."""

    def __init__(self) -> None:
        """Start with none."""
        self.taken = 0

    def send(self, queue: str, bodies: Sequence[Mapping[str, Any]], *, delay_seconds: int = 0) -> None:
        """Take the bodies."""
        self.taken += len(bodies)

    def send_grouped(self, queue: str, bodies: Sequence[tuple[str, str, Mapping[str, Any]]]) -> None:
        """Take the bodies."""
        self.taken += len(bodies)


def make_due(world: World, count: int) -> None:
    """Add so many cases whose plans are due now."""
    # Beyond every number that was laid down.
    for number in range(10**9, 10**9 + count):
        world.write_case(number)
        plan = world.plans.plan(world.scope, a_case_id(number))
        if plan is None:
            raise RuntimeError("a plan is missing")
        woken = plan.model_copy(update={"due_at": to_text(world.now), "version": 2})
        world.plans.put_plans(world.scope, [woken])


def work_plans(world: World, count: int) -> None:
    """Let the clock run until each of so many plans has asked for its message. Raises RuntimeError when they never do."""
    ports, asked = world.ports(), 0
    for minute in range(0, 48 * 60, 5):
        now = world.now + timedelta(minutes=minute)
        report = due.release_due(
            world.store,
            _Unread(),
            world.b.Scope,
            {"PLAN": lambda scope, case, at: plans.look(ports, scope, case, now=at)},
            now=now,
            req="req_bench",
            on_failure=_fail,
        )
        asked += report.moved.get("plan_requested", 0)
        # What was asked for is the compliance check's from here on; nobody reads its queue here.
        world.tables.leave_due(Record.Meta.table_name, "#MSG#", to_text(now + timedelta(hours=1)))
        if asked >= count:
            return
    raise RuntimeError(f"{asked} of {count} plans asked for their message")


def _fail(key: str, error: Exception) -> None:
    raise error


def close(world: World, count: int) -> int:
    """Walk a month's close over so many cases (a page more at most), or all there are; return how many."""
    from chalicelib.store.roll_repository import RollRepository

    ports = month_close.MonthPorts(RollRepository(), world.feeds, world.store, lambda tenant: ZONE, world.b.Scope)
    later = world.now + timedelta(days=20)
    return month_close.close_months(ports, [world.scope.tenant], later, limit=count)


@contextmanager
def a_world(cases: int, file: Path) -> Iterator[World]:
    """Yield a world with so many cases; keys are wrapped by an AWS in process, tables lie in the file."""
    from moto import mock_aws

    from chalicelib.gateways.region_keys import KmsDataKeys
    from chalicelib.store.repository import Store
    from chalicelib.store.sealing import Sealer

    conftest: Any = import_module("tests.conftest")
    tables = MeteredTables(file)
    with mock.patch.dict(os.environ, conftest.ENVIRONMENT), mock_aws(), conftest.in_process(), tables.serving():
        # Clocks that stand still: how often keys are read again must not hang on how fast the machine is.
        sealer = Sealer(KmsDataKeys(conftest.NAMES.data_key), monotonic=lambda: 0.0, wall=lambda: 0.0)
        store = Store(sealer, audit_domain="forbear.test")
        yield World(tables, store, cases)
    tables.close()


def run(cases: int, *, events: int, due_plans: int, walked: int) -> Run:
    """Measure all parts once with so many cases standing."""
    with tempfile.TemporaryDirectory() as folder, a_world(cases, Path(folder) / "tables") as world:
        found = Run(cases, world.tables.count())
        told = changes(world, events)
        found.parts[FOLDED] = measured(world, len(told), lambda: fold(world, told))
        others = changes(world, events, offset=1)
        few = sorted({each.stream for each in others})[: ALONE // EVENTS_A_CASE]
        alone = [each for each in others if each.stream in few]
        found.parts[ALONE_FOLDED] = measured(world, len(alone), lambda: fold(world, alone, batch=1))
        ports = kpis.KpiPorts(world.figures)
        found.parts[PUBLISHED] = measured(world, 1, lambda: _publish(ports, world.now))
        make_due(world, due_plans)
        found.parts[ASKED] = measured(world, due_plans, lambda: work_plans(world, due_plans))
        before = world.tables.work.copy()
        begun = time.process_time()
        count = close(world, walked)
        found.parts[CLOSE] = Measured(count, world.tables.work - before, time.process_time() - begun)
    return found


def _publish(ports: kpis.KpiPorts, now: datetime) -> None:
    if not kpis.compute_kpis(ports, now):
        raise RuntimeError("no figure was published")


def flat(runs: Sequence[Run]) -> bool:
    """Tell whether each part but the close took the same items and units however many cases stood."""
    return all(len({each.parts[name].counted for each in runs}) == 1 for name in runs[0].parts if name != CLOSE)


def bill(found: Run, stage: Stage) -> dict[str, tuple[float, float]]:
    """Return the (read units, write units) of one case of a stage in a month, by what they are for."""

    def units(part: str, times: float) -> tuple[float, float]:
        each = found.parts[part]
        writes = each.work.write_units + each.work.index_units
        return times * each.work.read_units / each.changes, times * writes / each.changes

    return {
        "figures": units(FOLDED, stage.events),
        "figures, one by one": units(ALONE_FOLDED, stage.events),
        "planner": units(ASKED, stage.steps),
        "month's close": units(CLOSE, 1),
        "the contacts themselves": (
            stage.messages * MESSAGE_READS + stage.calls * CALL_READS,
            stage.messages * MESSAGE_WRITES + stage.calls * CALL_WRITES,
        ),
    }


def print_bill(found: Run) -> None:
    """Print what a million cases of each stage cost in a month: millions of units, and dollars."""
    print("a million cases a month: millions of RRU and WRU, dollars")
    for name, stage in STAGES.items():
        print(f"  {name}: {stage.events:g} events, {stage.steps:g} steps a case")
        for purpose, (reads, writes) in bill(found, stage).items():
            dollars = reads * READ_PRICE + writes * WRITE_PRICE
            print(f"    {purpose:<26}{reads:9.1f} RRU{writes:9.1f} WRU{dollars:12,.0f} USD")
    each = found.parts[PUBLISHED].work
    hours = 24 * 30
    dollars = hours * (each.read_units * READ_PRICE + each.write_units * WRITE_PRICE) / 1e6
    print(f"  a lender's figures published every hour, whatever its cases: {dollars:.2f} USD")


def print_run(found: Run) -> None:
    """Print the work of one change of each part."""
    print(f"{found.cases:,} cases standing, {found.items:,} items")
    for name, each in found.parts.items():
        work, count = each.work, each.changes
        print(
            f"  {name:<26}{work.items_read / count:9.2f} read {work.items_written / count:9.2f} written"
            f"{work.read_units / count:9.2f} RRU{(work.write_units + work.index_units) / count:9.2f} WRU"
            f"{each.seconds / count * 1e3:10.2f} ms CPU"
        )


def main() -> int:
    """Measure each number of cases, print, and say whether the work of a change is the same."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--plans", type=int, default=PLANS)
    asked = parser.parse_args()
    print(f"{asked.events:,} events, {asked.plans:,} plans due; for one change of each kind:")
    runs = []
    for cases in asked.cases:
        print(f"  laying down {cases:,} cases", file=sys.stderr)
        runs.append(run(cases, events=asked.events, due_plans=asked.plans, walked=WALKED))
        print_run(runs[-1])
    print_bill(runs[-1])
    held = flat(runs)
    print(
        f"items and units of a change: {'the same' if held else 'NOT the same'} for {', '.join(f'{n:,}' for n in asked.cases)} cases"
    )
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
