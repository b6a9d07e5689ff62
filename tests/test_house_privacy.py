"""What leaves the house in logs, queues and faults names ids and codes, never people; and nothing is swallowed or stubbed."""

import ast
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from chalicelib.domain.audit.export import AuditExport
from chalicelib.domain.cases.assignment import LaterOffer
from chalicelib.domain.cases.lifecycle import CaseState
from chalicelib.domain.events import Actor, Event, EventType
from chalicelib.domain.ids import is_id
from chalicelib.domain.instants import to_text
from chalicelib.domain.intake.portfolio import Portfolio, PortfolioState
from chalicelib.domain.outreach.attempt import AttemptState
from chalicelib.domain.whatif.simulation import Planned, Simulation, SimulationState
from chalicelib.store.repository import Store
from chalicelib.usecases import archive_exports, assignment, messages, portfolios, projections, simulations
from tests.builders import LENDER, NOW, Scope, a_case, an_attempt, stored
from tests.house import Source, definitions, sources

HOUSE = sources("chalicelib", "app.py")
PROGRAM = sources("chalicelib", "app.py", "scripts")

LOGGER = "chalicelib/edge/observed.py"
"""The one file that knows how a line is written."""

LOG_CALLS = frozenset({"debug", "info", "warning", "error", "exception", "critical", "append_keys"})

BROAD: dict[tuple[str, str], str] = {
    (
        "chalicelib/edge/http.py",
        "_serve",
    ): "outermost: an unforeseen fault is logged by type and place, answered by 500",
    ("chalicelib/edge/observed.py", "observed"): "outermost: logged by type and place, then raised to the runtime",
    ("chalicelib/edge/batches.py", "_consume"): "logged by type and place, then raised: the one message comes back",
    ("chalicelib/usecases/idempotency.py", "once"): "the key is given back, then raised",
    ("chalicelib/usecases/projections.py", "project"): "one projection's fault is reported; its events come again",
    ("chalicelib/usecases/due.py", "release_due"): "one item's fault is reported; the item stays due",
    ("chalicelib/usecases/archive.py", "run_archive"): "kept and raised together, after the other logs had their turn",
    ("chalicelib/usecases/kpis.py", "compute_kpis"): "kept and raised together, after the other lenders' turn",
}
"""Everywhere that catches whatever is raised, and what becomes of it."""

BODIES: dict[str, frozenset[str]] = {
    "compliance.fifo": frozenset({"tenant", "message"}),
    "dispatch": frozenset({"tenant", "message"}),
    "portfolio-uploads": frozenset({"tenant", "portfolio"}),
    "portfolio-chunks": frozenset({"tenant", "portfolio", "chunk"}),
    "assignments": frozenset({"tenant", "cases"}),
    "simulations": frozenset({"tenant", "simulation", "chunk"}),
    "exports": frozenset({"tenant", "export"}),
}
"""What a body on each queue that the house writes to consists of."""

PERSONAL = "张伟 13812345678"


# Logs


def test_nothing_is_printed_and_only_the_logger_knows_logging() -> None:
    printing = {
        (source.path, name)
        for source in HOUSE
        for name in source.uses
        if name in ("print", "pprint", "breakpoint", "sys.stdout", "sys.stderr", "sys.__stdout__")
        or name.split(".")[0] in ("logging", "pprint", "warnings", "aws_lambda_powertools.Logger")
        or name in ("traceback.print_exc", "traceback.format_exc", "traceback.format_exception")
    }
    assert {path for path, _ in printing} == {LOGGER}


def _log_calls() -> list[tuple[str, ast.Call, ast.AST]]:
    found = []
    for source in HOUSE:
        for _, function in definitions(source.tree.body):
            for node in ast.walk(function):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Attribute)
                    and node.func.attr in LOG_CALLS
                    and ast.unparse(node.func.value) in ("logger()", "observed.logger()")
                ):
                    found.append((source.path, node, function))
    return found


def _keys(node: ast.expr, function: ast.AST) -> set[str]:
    """Return the keys of a mapping that is written out in the call or in the function; fails on any other."""
    if isinstance(node, ast.Name):
        values = [
            each.value
            for each in ast.walk(function)
            if isinstance(each, ast.Assign) and any(ast.unparse(target) == node.id for target in each.targets)
        ]
        assert values, f"{node.id} is not written out where it is logged"
        return {key for value in values for key in _keys(value, function)}
    assert isinstance(node, ast.Dict), ast.unparse(node)
    found: set[str] = set()
    for key, value in zip(node.keys, node.values, strict=True):
        if key is None:
            found |= _keys(value, function)
        else:
            assert isinstance(key, ast.Constant), ast.unparse(key)
            found.add(str(key.value))
    return found


def test_every_log_line_is_a_fixed_sentence_with_listed_fields() -> None:
    from chalicelib.edge.observed import LOG_FIELDS

    calls = _log_calls()
    assert len(calls) >= 6
    for path, call, function in calls:
        where = f"{path}:{call.lineno}"
        assert all(isinstance(argument, ast.Constant) for argument in call.args), where
        named = {keyword.arg for keyword in call.keywords}
        assert None not in named, where
        if call.func.attr == "append_keys":  # type: ignore[attr-defined]
            assert named <= LOG_FIELDS, where
            continue
        assert named <= {"extra"}, where
        for keyword in call.keywords:
            assert _keys(keyword.value, function) <= LOG_FIELDS, where


# Queues


class SeenQueues:
    """Keeps what would be enqueued."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, Mapping[str, Any]]] = []
        self.labels: list[str] = []

    def send(self, queue: str, bodies: Sequence[Mapping[str, Any]], *, delay_seconds: int = 0) -> None:
        self.seen += [(queue, body) for body in bodies]

    def send_grouped(self, queue: str, bodies: Sequence[tuple[str, str, Mapping[str, Any]]]) -> None:
        self.seen += [(queue, body) for _, _, body in bodies]
        self.labels += [label for group, dedup, _ in bodies for label in (group, dedup)]


def _assert_ids_only(queues: SeenQueues, *expected: str) -> None:
    assert {queue for queue, _ in queues.seen} == set(expected)
    for queue, body in queues.seen:
        assert set(body) == BODIES[queue]
        for value in body.values():
            values = value if isinstance(value, list) else [value]
            assert all(type(each) is int or is_id(each) for each in values), queue
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]{1,128}", label) for label in queues.labels)


def _event(event_type: EventType) -> Event:
    """Return an event of the type with all that any projection reads, among more than it may pass on."""
    data = {
        "contact": "msg_1",
        "person": "per_1",
        "portfolio": "pf_1",
        "chunks": 2,
        "human": False,
        "simulation": "sim_1",
        "export": "aex_1",
    }
    return Event(
        id="evt_1",
        type=event_type,
        at=to_text(NOW),
        tenant=LENDER,
        stream="case_1",
        seq=1,
        prev=None,
        actor=Actor("user", "somebody", PERSONAL),
        req="req_1",
        data={
            **data,
            "reason": PERSONAL,
            "name": PERSONAL,
            "org": PERSONAL,
            "channel": PERSONAL,
            "recipient": PERSONAL,
        },
        decision={"outcome": "allow", "ruleset": PERSONAL, "reasons": [PERSONAL], "inputs": PERSONAL},
    )


def test_what_events_enqueue_is_ids_only() -> None:
    queues = SeenQueues()
    assert projections.route_to_queues([_event(event_type) for event_type in EventType], queues) == []
    expected = ("compliance.fifo", "dispatch", "portfolio-chunks", "assignments", "simulations", "exports")
    _assert_ids_only(queues, *expected)


def test_what_the_clock_wakes_is_enqueued_by_id(store: Store) -> None:
    attempt = an_attempt(state=AttemptState.REQUESTED, body=PERSONAL)
    stored(store, attempt)
    queues = SeenQueues()
    found = store.attempt(Scope(LENDER), attempt.id)
    assert found is not None
    assert messages.wake(store, queues, Scope(LENDER), found, now=NOW, req="req_1")
    _assert_ids_only(queues, "compliance.fifo")


def test_what_found_no_agency_is_enqueued_by_id() -> None:
    queues, case = SeenQueues(), a_case(state=CaseState.PLACED, agency=None)
    known = SimpleNamespace(cases=lambda scope, cases: {case.id: case})
    feeds = SimpleNamespace(unassigned=lambda tenant, limit: {case.id: {"why": PERSONAL}})
    assert assignment.retry_unassigned(known, feeds, queues, Scope(LENDER)) == 1  # type: ignore[arg-type]
    _assert_ids_only(queues, "assignments")


def test_a_case_whose_due_day_is_over_is_enqueued_by_id() -> None:
    queues, case = SeenQueues(), a_case(state=CaseState.PLACED, agency=None)
    written: list[Any] = []
    unit = SimpleNamespace(replace=lambda record, expected: written.append((record, expected)), commit=lambda: None)
    known = SimpleNamespace(
        case=lambda scope, case_id: case,
        later_offers=lambda scope, cases: {case.id: LaterOffer(case=case.id, due_at=to_text(NOW), version=1)},
        later_offer_record=lambda scope, offer: offer,
        unit=lambda scope, **told: unit,
    )
    moved = assignment.offer_due(known, queues, Scope(LENDER), case.id, now=NOW)  # type: ignore[arg-type]
    assert moved == "offered"
    _assert_ids_only(queues, "assignments")
    assert written == [(LaterOffer(case=case.id, version=2), 1)]


def test_chunks_of_a_stalled_portfolio_are_enqueued_by_number() -> None:
    queues = SeenQueues()
    stalled = SimpleNamespace(state="loading", chunks=3, version=1, due_at=to_text(NOW - timedelta(hours=1)))
    stalled.model_copy = lambda update: stalled
    unit = SimpleNamespace(replace=lambda record, expected: None, commit=lambda: None)
    ports = SimpleNamespace(
        store=SimpleNamespace(unit=lambda scope, **told: unit),
        portfolios=SimpleNamespace(
            portfolio=lambda scope, identity: stalled,
            portfolio_record=lambda scope, portfolio: None,
            loaded_chunks=lambda scope, identity, first, limit: [],
        ),
        queues=queues,
    )
    assert portfolios.resume(ports, Scope(LENDER), "pf_1", now=NOW) == "resumed"  # type: ignore[arg-type]
    _assert_ids_only(queues, "portfolio-chunks")
    assert len(queues.seen) == 3


def test_an_upload_is_looked_for_by_the_id_of_its_portfolio() -> None:
    queues = SeenQueues()
    waiting = Portfolio(
        id="pf_1",
        state=PortfolioState.REQUESTED,
        format="csv",
        announced={"totals": PERSONAL},
        columns={"name": PERSONAL},
        key=PERSONAL,
        requested_at=to_text(NOW - timedelta(hours=1)),
        due_at=to_text(NOW - timedelta(minutes=50)),
    )
    unit = SimpleNamespace(replace=lambda record, expected: None, commit=lambda: None)
    ports = SimpleNamespace(
        store=SimpleNamespace(unit=lambda scope, **told: unit),
        portfolios=SimpleNamespace(
            portfolio=lambda scope, identity: waiting, portfolio_record=lambda scope, portfolio: None
        ),
        queues=queues,
    )
    assert portfolios.resume(ports, Scope(LENDER), "pf_1", now=NOW) == "looked"  # type: ignore[arg-type]
    _assert_ids_only(queues, "portfolio-uploads")


def test_an_export_is_enqueued_by_id() -> None:
    late, queues = to_text(NOW - timedelta(hours=1)), SeenQueues()
    export = AuditExport(id="aex_1", kind="person", subject="per_1", by=PERSONAL, requested_at=late, due_at=late)
    unit = SimpleNamespace(replace=lambda record, expected: None, commit=lambda: None)
    ports = SimpleNamespace(
        store=SimpleNamespace(unit=lambda scope, actor, req, now: unit),
        exports=SimpleNamespace(export=lambda scope, identity: export, export_record=lambda scope, export: None),
        queues=queues,
    )
    assert archive_exports.resume(ports, Scope(LENDER), "aex_1", now=NOW) == "resumed"  # type: ignore[arg-type]
    _assert_ids_only(queues, "exports")


def test_what_is_left_of_a_simulation_is_enqueued_by_number() -> None:
    queues, late = SeenQueues(), to_text(NOW - timedelta(hours=1))
    days = {"first_day": "2026-11-01", "last_day": "2026-11-01", "parts": (PERSONAL,), "requested_at": late}
    simulation = Simulation(id="sim_1", state=SimulationState.RUNNING, chunks=2, due_at=late, **days)
    unit = SimpleNamespace(replace=lambda record, expected: None, commit=lambda: None)
    planned = Planned(day="2026-11-01", first="a", last="b", count=9)
    ports = SimpleNamespace(
        store=SimpleNamespace(unit=lambda scope, **told: unit),
        scope_for=Scope,
        supposing=SimpleNamespace(comparison=lambda scope, wish, at: None),
        simulations=SimpleNamespace(
            simulation=lambda scope, identity: simulation,
            simulation_record=lambda scope, simulation: None,
            chunk=lambda scope, identity, number: None,
            chunks=lambda scope, identity: [],
            plan=lambda scope, identity: [planned, planned],
            wish=lambda scope, identity: PERSONAL,
            decided_between=lambda scope, planned: [PERSONAL],
        ),
        queues=queues,
    )
    assert simulations.resume(ports, Scope(LENDER), "sim_1", now=NOW) == "resumed"  # type: ignore[arg-type]
    ports.supposing.comparison = lambda scope, wish, at: SimpleNamespace(tally=dict)
    body = {"tenant": LENDER, "simulation": "sim_1", "chunk": 1}
    simulations.work(ports, body, clock=lambda: NOW, seconds_left=lambda: 1.0, req="req_1")  # type: ignore[arg-type]
    _assert_ids_only(queues, "simulations")
    assert len(queues.seen) == 3


def test_nobody_else_enqueues() -> None:
    """A new place that enqueues is to be run by a test above."""
    sites = {
        (source.path, name)
        for source in sources("chalicelib/usecases", "chalicelib/edge", "chalicelib/domain")
        for name, function in definitions(source.tree.body)
        for node in ast.walk(function)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("send", "send_grouped")
        and "queues" in ast.unparse(node.func.value)
    }
    assert sites == {
        ("chalicelib/usecases/projections.py", "route_to_queues"),
        ("chalicelib/usecases/messages.py", "wake"),
        ("chalicelib/usecases/assignment.py", "retry_unassigned"),
        ("chalicelib/usecases/assignment.py", "offer_due"),
        ("chalicelib/usecases/portfolios.py", "resume"),
        ("chalicelib/usecases/portfolios.py", "_look_for_upload"),
        ("chalicelib/usecases/simulations.py", "resume"),
        ("chalicelib/usecases/simulations.py", "work"),
        ("chalicelib/usecases/archive_exports.py", "resume"),
        ("chalicelib/usecases/archive_exports.py", "work"),
    }


# Faults


def _catches_all(handler: ast.ExceptHandler) -> bool:
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(each is None or ast.unparse(each) in ("Exception", "BaseException") for each in caught)


def test_what_catches_everything_is_listed_with_a_reason() -> None:
    catching = {
        (source.path, name)
        for source in HOUSE
        for name, function in definitions(source.tree.body)
        if not isinstance(function, ast.ClassDef)
        for node in ast.walk(function)
        if isinstance(node, ast.ExceptHandler) and _catches_all(node)
    }
    assert catching == set(BROAD)


def test_no_handler_of_a_fault_is_empty_and_none_is_suppressed() -> None:
    for source in PROGRAM:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ExceptHandler) and _catches_all(node):
                assert not all(isinstance(each, ast.Pass | ast.Continue) for each in node.body), source.path
    assert not {source.path for source in HOUSE if "contextlib.suppress" in source.uses}


# Nothing is left open


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _is_protocol(node: ast.AST) -> bool:
    return isinstance(node, ast.ClassDef) and any("Protocol" in ast.unparse(base) for base in node.bases)


def test_no_body_is_a_stub() -> None:
    assert not [f"{source.path}: {name}" for source in PROGRAM for name in _stubs(source)]


def _stubs(source: Source) -> list[str]:
    protocols = {name for name, node in definitions(source.tree.body) if _is_protocol(node)}
    stubs = []
    for name, node in definitions(source.tree.body):
        rest = [statement for statement in node.body if not _is_docstring(statement)]
        of_protocol = name.rpartition(".")[0] in protocols
        nothing = not rest or all(isinstance(each, ast.Pass) or ast.unparse(each) == "..." for each in rest)
        if isinstance(node, ast.ClassDef):
            # A class may consist of its name and docstring: an exception is one.
            nothing = any(isinstance(each, ast.Pass) or ast.unparse(each) == "..." for each in rest)
        if nothing and not of_protocol:
            stubs.append(name)
    return stubs


def test_nothing_is_left_unimplemented() -> None:
    raised = {
        source.path
        for source in PROGRAM
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Raise) and node.exc is not None and "NotImplementedError" in ast.unparse(node.exc)
    }
    assert not raised


def test_nothing_is_left_for_later() -> None:
    marks = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX|HA" r"CK)\b")
    assert not {
        source.path for source in sources("chalicelib", "app.py", "scripts", "tests") if marks.search(source.text)
    }


def test_no_file_knows_the_machine_that_it_was_written_on() -> None:
    places = re.compile(r"(?<![\w.])/(?:home|root|Users|work)/\w")
    assert not {
        source.path for source in sources("chalicelib", "app.py", "scripts", "tests") if places.search(source.text)
    }
