"""The pages on settings and routes say what the code says, and the table of routes is what the app serves."""

import re

import pytest

from app import app
from chalicelib.domain.principals import ROLE_SCOPES, SCOPES, Role
from chalicelib.edge.http_problems import STATUS, TITLES, status_of, type_code
from chalicelib.edge.routes import API, Route, faults_of
from chalicelib.settings import Settings
from scripts import api_page
from tests.house import ROOT, sources

ROUTES = sorted(API, key=lambda route: route.key)

UNSERVED = frozenset({"complaints:read", "complaints:write", "consents:write"})
"""Scopes that tokens may carry and no route asks for: an issuer can be set up before what they open is served."""


def _rows(page: str) -> dict[str, list[str]]:
    """Return the cells of each table row of a page whose first cell is a name in backticks, by that name."""
    lines = (ROOT / "docs" / page).read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines if line.startswith("| `")]
    return {row[0].strip("`"): row[1:] for row in rows}


# Settings


def test_page_on_settings_lists_every_variable_in_the_order_of_the_code() -> None:
    assert list(_rows("settings.md")) == [f"FORBEAR_{name.upper()}" for name in Settings.model_fields]


def test_page_on_settings_says_what_happens_without_a_variable() -> None:
    rows = _rows("settings.md")
    for name, field in Settings.model_fields.items():
        told = rows[f"FORBEAR_{name.upper()}"][0]
        if field.is_required():
            assert told == "a fault"
        elif field.default == "":
            assert told.startswith("empty: ")
        else:
            assert told == f"`{field.default}`"


def test_no_variable_is_named_that_is_no_setting() -> None:
    known = {f"FORBEAR_{name.upper()}" for name in Settings.model_fields} | {"FORBEAR_OUTBOX"}
    texts = [source.text for source in sources("chalicelib", "scripts", "tests", "app.py")]
    kept = [ROOT / "infra", ROOT / ".chalice"]
    texts += [file.read_text(encoding="utf-8") for folder in kept for file in folder.glob("*.json")]
    texts += [file.read_text(encoding="utf-8") for file in (ROOT / "docs").glob("*.md")]
    # A name that goes on with a brace or hyphen is put together where it stands.
    named = {name for text in texts for name in re.findall(r"\bFORBEAR_[A-Z0-9_]*[A-Z0-9]\b(?![{-])", text)}
    assert named <= known


# Routes


def test_page_on_the_api_is_written_from_the_routes() -> None:
    assert api_page.PAGE.read_text(encoding="utf-8") == api_page.page(API)


def test_check_of_the_page_fails_when_a_route_changed(monkeypatch: pytest.MonkeyPatch, tmp_path, capsys) -> None:  # type: ignore[no-untyped-def]
    assert api_page.main(["--check"]) == 0
    other = tmp_path / "api.md"
    other.write_text(api_page.page(ROUTES[1:]), encoding="utf-8")
    monkeypatch.setattr(api_page, "PAGE", other)
    assert api_page.main(["--check"]) == 1
    assert "run python -m scripts.api_page" in capsys.readouterr().err


def test_app_serves_the_routes_of_the_table_and_no_other() -> None:
    served = {f"{method} {path}" for path, methods in app.routes.items() for method in methods}
    assert served == {route.key for route in API}


def test_every_route_has_a_summary_of_one_line_and_says_who_may_call_it() -> None:
    for route in ROUTES:
        assert route.summary and "\n" not in route.summary
        assert route.scope is None or api_page.roles_of(route), route.key


def test_every_scope_opens_a_route_or_is_listed_as_opening_none_yet() -> None:
    asked = {route.scope for route in ROUTES if route.scope is not None}
    assert not asked & UNSERVED
    assert asked | UNSERVED == SCOPES


@pytest.mark.parametrize("role", Role)
def test_every_role_can_read_and_change_something(role: Role) -> None:
    reached = {route.method for route in ROUTES if route.scope in ROLE_SCOPES[role]}
    assert "GET" in reached
    assert reached - {"GET"}


# Problems


def _described() -> dict[str, list[str]]:
    return {code: cells for code, cells in _rows("errors.md").items() if cells and re.fullmatch(r"\d{3}", cells[0])}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.key)
def test_every_problem_of_a_route_is_described_with_its_status(route: Route) -> None:
    faults = faults_of(route)
    assert faults
    for fault in faults:
        assert _described()[type_code(fault)][0] == str(status_of(fault)), fault.__name__


def test_page_on_errors_describes_each_problem_type_and_no_other() -> None:
    described = _described()
    assert set(described) == set(TITLES)
    assert {code: int(described[code][0]) for code in described if code in {type_code(fault) for fault in STATUS}} == {
        type_code(fault): status for fault, status in STATUS.items()
    }


def test_every_page_is_reached_by_a_name_that_exists() -> None:
    """A page, module or file that another page names in backticks stands where it says."""
    missing = []
    for page in sorted((ROOT / "docs").glob("*.md")):
        for name in re.findall(
            r"`((?:docs|chalicelib|scripts|tests|infra)/[\w./-]+\.(?:md|py|json|toml))`",
            page.read_text(encoding="utf-8"),
        ):
            if not (ROOT / name).is_file():
                missing.append((page.name, name))
    assert not missing
