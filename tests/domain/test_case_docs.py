"""The page about cases names every route and every result code."""

from pathlib import Path

import pytest

from chalicelib.domain.cases.activity_codes import CODES
from chalicelib.edge import cases_api, organisations_api
from chalicelib.edge.routes import API

PAGE = (Path(__file__).parents[2] / "docs" / "api-cases.md").read_text(encoding="utf-8")
OURS = [
    route
    for route in API
    if hasattr(cases_api, route.name)
    or getattr(getattr(organisations_api, route.name, None), "__module__", "") == organisations_api.__name__
]


@pytest.mark.parametrize("route", OURS, ids=lambda route: route.name)
def test_every_route_about_cases_and_organisations_is_described_with_its_scope(route: object) -> None:
    assert f"| `{route.key}` | {route.scope} |" in PAGE  # type: ignore[attr-defined]


@pytest.mark.parametrize("code", CODES.values(), ids=CODES.keys())
def test_every_result_code_is_described(code: object) -> None:
    assert f"| {code.code} | {code.zh} | {code.en} |" in PAGE  # type: ignore[attr-defined]


def test_there_are_routes_to_describe() -> None:
    assert len(OURS) == 27
