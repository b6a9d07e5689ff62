"""The app's table of routes: what is served, what is described, who may call it, and that nothing is open by mistake."""

import json
from pathlib import Path

import jsonschema
import pytest
from chalice.test import Client

from app import app
from chalicelib.domain.principals import ROLE_SCOPES, SCOPES, Role
from chalicelib.edge import admissions, authorizer
from chalicelib.edge.routes import API
from chalicelib.gateways.oidc import IssuerKeys, Verifier
from scripts.issuer import public_jwk
from scripts.tokens import make_token
from tests.flows.test_authorizer import KEY

PUBLIC = {"GET /v1/health", "GET /v1/openapi.json"}
ROUTES = sorted(API, key=lambda route: route.key)
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _issuer(environment, monkeypatch):
    document = json.dumps({"keys": [public_jwk(KEY)]}).encode()
    keys = IssuerKeys("https://keys", fetch=lambda _: document)
    verifier = Verifier("https://issuer.forbear.test", "forbear-api", keys)
    monkeypatch.setattr(authorizer, "verifier", lambda: verifier)
    monkeypatch.setattr(admissions, "note", lambda principal, request_id: None)


def call(route, headers=None, body=b""):
    path = route.path
    for name in route.parameters:
        path = path.replace(f"{{{name}}}", "nothing_1")
    return Client(app).http.request(route.method, path, headers=headers or {}, body=body)


def bearer(role):
    made = make_token(role=role, org="org-1", key=KEY, issuer="https://issuer.forbear.test", audience="forbear-api")
    return {"authorization": f"Bearer {made}"}


def test_table_of_routes_document_and_app_are_the_same():
    served = {f"{method} {path}" for path, methods in app.routes.items() for method in methods}
    described = {f"{method.upper()} {path}" for path, methods in API.openapi()["paths"].items() for method in methods}
    assert {route.key for route in API} == served == described


def test_only_what_is_meant_to_be_public_is_public():
    assert {route.key for route in API if route.scope is None} == PUBLIC
    for path, methods in app.routes.items():
        for method, entry in methods.items():
            assert (entry.authorizer is None) == (f"{method} {path}" in PUBLIC)


@pytest.mark.parametrize("route", [route for route in ROUTES if route.scope], ids=lambda route: route.key)
def test_route_needs_a_token(route):
    assert call(route).status_code == 401
    assert call(route, {"authorization": "Bearer a.b.c"}).status_code == 401


@pytest.mark.parametrize("route", [route for route in ROUTES if route.scope], ids=lambda route: route.key)
def test_route_refuses_every_role_without_its_scope_before_it_looks_at_anything(route):
    for role in Role:
        if route.scope in ROLE_SCOPES[role]:
            continue
        answer = call(route, {**bearer(role.value), "content-type": "application/json"}, body=b"{")
        assert (answer.status_code, answer.json_body["code"]) == (403, "scope_missing")


def test_every_post_asks_for_a_key_or_says_why_not():
    without = {route.key for route in API if route.method == "POST" and not route.is_idempotent}
    assert without <= {"POST /v1/rulings", "POST /v1/compliance/rulings"}


def test_document_describes_every_field_that_a_problem_can_have_and_every_route_says_what_goes_wrong():
    document = API.openapi()
    for methods in document["paths"].values():
        for operation in methods.values():
            assert operation["summary"]
            assert {"400", "500"} <= set(operation["responses"])
    jsonschema.Draft202012Validator.check_schema(document["components"]["schemas"]["Problem"])


def test_document_is_served_to_anybody_and_is_the_one_that_is_made():
    answer = Client(app).http.get("/v1/openapi.json")
    assert answer.status_code == 200
    assert set(answer.json_body["paths"]) == set(API.openapi()["paths"])


def test_frameworks_own_errors_are_problems():
    answer = Client(app).http.request("DELETE", "/v1/health")
    assert (answer.status_code, answer.json_body["code"]) == (405, "method_not_allowed")


def test_every_scope_of_the_table_is_documented_with_its_roles():
    told = (ROOT / "docs" / "identity.md").read_text(encoding="utf-8")
    for scope in SCOPES:
        cells = " | ".join("x" if scope in ROLE_SCOPES[role] else "" for role in Role)
        assert f"| `{scope}` | {cells} |" in told
