"""The arrows of the house: edge -> usecases -> domain; store, gateways -> domain; wiring knows all.

Imports inside functions count like those at the top of a file.
"""

import ast
import sys

import pytest

from tests.house import sources

HOUSE = sources("chalicelib", "app.py")
ROOMS = ("edge", "usecases", "domain", "store", "gateways", "rulepacks")

ARROWS: dict[str, frozenset[str]] = {
    "app": frozenset({"edge"}),
    "edge": frozenset({"edge", "usecases", "domain", "wiring", "settings"}),
    "usecases": frozenset({"usecases", "domain"}),
    "domain": frozenset({"domain"}),
    "store": frozenset({"store", "domain", "settings"}),
    "gateways": frozenset({"gateways", "domain", "settings"}),
    "chalicelib.wiring": frozenset({"usecases", "domain", "store", "gateways", "settings"}),
    "chalicelib.settings": frozenset({"domain"}),
    "rulepacks": frozenset(),
    "chalicelib": frozenset(),
}
"""What each room may import of the house."""

EXCEPTIONS: dict[tuple[str, str], str] = {
    ("chalicelib/edge/authorizer.py", "chalicelib.gateways.oidc"): (
        "the authorizer stands before every request: it starts without the wiring, which loads every table and port"
    ),
}

LIBRARIES: dict[str, frozenset[str]] = {
    "app": frozenset({"chalice"}),
    "edge": frozenset({"chalice", "pydantic", "aws_lambda_powertools"}),
    "usecases": frozenset({"pydantic"}),
    "domain": frozenset(
        {"pydantic", "pydantic_core", "rfc8785", "phonenumbers", "holidays", "tzdata", "cryptography", "msgspec"},
    ),
    "store": frozenset({"pynamodb", "pydantic", "cryptography"}),
    "gateways": frozenset(
        {"boto3", "botocore", "cryptography", "jwt", "openpyxl", "phonenumbers", "reportlab", "urllib3"}
    ),
    "chalicelib.wiring": frozenset(),
    "chalicelib.settings": frozenset({"pydantic"}),
    "rulepacks": frozenset(),
    "chalicelib": frozenset(),
}
"""Which libraries each room may import beside the standard one. Only edge knows chalice, only the store pynamodb, and
boto3 is the gateways': the store goes through pynamodb alone."""

IMPURE = frozenset(
    {"asyncio", "concurrent", "ftplib", "http", "logging", "multiprocessing", "random", "secrets", "select", "smtplib"}
    | {"socket", "ssl", "subprocess", "sys", "threading", "time", "urllib", "uuid", "warnings"}
)
"""What the domain may not even name: clocks, logs, networks, processes, chance."""

PURE_PARTS: dict[str, frozenset[str]] = {
    "os": frozenset({"os.urandom"}),
    "tempfile": frozenset({"tempfile.TemporaryFile"}),
}
"""Of these modules the domain may use these parts: entropy for ids and nonces; a nameless file to spill a workbook to."""

CLOCKS = frozenset(
    {"datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today"}
    | {"time.time", "time.time_ns", "time.localtime", "time.gmtime", "time.ctime", "time.strftime"}
)

WALL_TIME: dict[tuple[str, str], str] = {
    ("chalicelib/gateways/clock.py", "datetime.datetime.now"): "it is the clock",
    ("chalicelib/gateways/oidc.py", "time.time"): "a token ends in real time, also where the business clock is set",
    ("chalicelib/edge/http.py", "time.time"): "tokens, leases and cursors live in real time; ids of requests",
    ("chalicelib/edge/cases_api.py", "time.time"): "a feed cursor lives in real time, like its issuer's tokens",
    ("chalicelib/store/sealing.py", "time.time"): "a key ages in real time, also in a process that was frozen",
}
"""Everywhere that reads the time of day, and why; all else is given ``now``."""

ENTROPY = frozenset(
    {"chalicelib/domain/ids.py", "chalicelib/domain/cursors.py"}
    | {"chalicelib/store/sealing.py", "chalicelib/store/idempotency_repository.py"}
)
"""Who draws random bytes: ids, nonces and keys."""

WORKERS = frozenset(
    {"assignments_queue", "compliance_queue", "dispatch_queue", "portfolio_chunks_queue", "portfolio_uploads_queue"}
    | {
        "provider_events_queue",
        "simulations_queue",
        "exports_queue",
        "events_stream",
        "due_schedule",
        "kpi_schedule",
        "archive_schedule",
    }
)
"""Modules that nobody calls over HTTP: a queue body, stream record or due item names the lender."""


def _room_of(module: str) -> str:
    """Return the room that a module of chalicelib, or a name in it, belongs to."""
    return module.split(".")[1]


def _is_house(module: str) -> bool:
    return module.split(".")[0] in ("chalicelib", "app", "scripts", "tests")


def test_every_file_stands_in_a_room_that_has_arrows() -> None:
    assert {source.room for source in HOUSE} == set(ARROWS)
    assert {source.room for source in sources("chalicelib") if source.path.count("/") > 1} == set(ROOMS)


def test_imports_of_the_house_follow_the_arrows() -> None:
    wrong = {
        (source.path, module)
        for source in HOUSE
        for module in source.imports
        if _is_house(module)
        and module not in ("chalicelib", source.module)
        and (not module.startswith("chalicelib.") or _room_of(module) not in ARROWS[source.room])
        and not any(
            source.path == path and (module == allowed or module.startswith(f"{allowed}."))
            for path, allowed in EXCEPTIONS
        )
    }
    assert not wrong


def test_libraries_stay_in_the_rooms_they_belong_to() -> None:
    wrong = {
        (source.path, module)
        for source in HOUSE
        for module in source.imports
        if not _is_house(module) and module.split(".")[0] not in {*LIBRARIES[source.room], *sys.stdlib_module_names}
    }
    assert not wrong


@pytest.mark.parametrize("library", ["chalice", "pynamodb", "boto3"])
def test_a_framework_is_known_to_one_room_only(library: str) -> None:
    rooms = {source.room for source in HOUSE for module in source.imports if module.split(".")[0] == library}
    assert rooms - {"app"} == {{"chalice": "edge", "pynamodb": "store", "boto3": "gateways"}[library]}


def test_domain_knows_no_clock_log_network_or_chance() -> None:
    domain = sources("chalicelib/domain")
    assert not {(each.path, module) for each in domain for module in each.imports if module.split(".")[0] in IMPURE}
    for module, parts in PURE_PARTS.items():
        # The bare name is the first half of each dotted use.
        used = {(each.path, name) for each in domain for name in each.uses if name.split(".")[0] == module}
        assert {name for _, name in used} == {module, *parts}, used


def test_use_cases_know_no_clock_log_or_network() -> None:
    # Part of urllib, but a function of strings.
    harmless = {"urllib.parse", "urllib.parse.unquote_plus"}
    assert not {
        (source.path, module)
        for source in sources("chalicelib/usecases")
        for module in source.imports - harmless
        if module.split(".")[0] in IMPURE | {"os"}
    }


def test_only_settings_reads_the_environment() -> None:
    reading = {
        source.path
        for source in HOUSE
        for name in source.uses
        if name in ("os.environ", "os.environb", "os.getenv", "os.getenvb", "os.putenv")
    }
    assert reading == {"chalicelib/settings.py"}


def test_time_of_day_is_read_where_it_is_listed_and_nowhere_else() -> None:
    assert {(source.path, name) for source in HOUSE for name in source.uses if name in CLOCKS} == set(WALL_TIME)


def test_random_bytes_are_drawn_where_they_are_listed() -> None:
    drawing = {source.path for source in HOUSE for name in source.uses if name == "os.urandom"}
    assert drawing == ENTROPY
    assert not {source.path for source in HOUSE if source.imports & {"random", "secrets", "uuid"}}


def test_scope_from_a_bare_tenant_is_made_by_wiring_for_workers_only() -> None:
    importing = {source.path for source in HOUSE if "chalicelib.domain.principals.system_scope" in source.imports}
    assert importing == {"chalicelib/wiring.py"}
    named = {
        source.file.stem
        for source in sources("chalicelib/edge", "chalicelib/usecases", "app.py")
        for name in source.uses
        if name.startswith("chalicelib.wiring.")
        and name.split(".")[2] in ("worker_scope", "scopes_of_lenders", "system_scope")
    }
    assert named
    assert named <= WORKERS


@pytest.mark.parametrize(
    ("port", "module"),
    [("carriers", "dispatch_queue"), ("approval_signer", "compliance_queue")],
)
def test_a_port_that_only_one_function_may_use_is_named_by_it_alone(port: str, module: str) -> None:
    """What decides cannot send, and what sends cannot decide."""
    naming = {source.file.stem for source in HOUSE for name in source.uses if name == f"chalicelib.wiring.{port}"}
    assert naming == {module}


def test_one_place_hands_messages_to_carriers() -> None:
    handing = [
        source.path
        for source in sources("chalicelib/usecases", "chalicelib/edge")
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "send"
        if "carriers" in ast.unparse(node.func.value)
    ]
    assert handing == ["chalicelib/usecases/dispatch.py"]


def test_every_exception_is_still_needed() -> None:
    by_path = {source.path: source for source in HOUSE}
    assert all(module in by_path[path].imports for path, module in EXCEPTIONS)
