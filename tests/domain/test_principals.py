"""Principals and tenant scopes: nobody gets one who was not given one."""

import ast
import copy
import pickle
from dataclasses import dataclass
from pathlib import Path

import pytest

from chalicelib.domain import principals
from chalicelib.domain.errors import NotPermitted
from chalicelib.domain.principals import (
    ROLE_SCOPES,
    SCOPES,
    Role,
    TenantScope,
    agency_scopes,
    founding_scope,
    principal_from,
    scope_of,
    system_scope,
)

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Row:
    tenant: str
    org: str


def a_principal(**deviations):
    claims = {
        "subject": "anna",
        "role": "lender",
        "org": "acme",
        "tenant": "acme",
        "asked": None,
        "token_id": "tok_1",
        "expires_at": 2_000_000_000,
    }
    return principal_from(**{**claims, **deviations})


def an_agent(**deviations):
    return a_principal(**{"role": "agency", "org": "agency-1", "tenant": None, **deviations})


def test_plain_constructor_call_raises():
    with pytest.raises(TypeError):
        TenantScope("acme")
    with pytest.raises(TypeError):
        TenantScope("acme", grant=object())


def test_scope_cannot_be_changed_copied_pickled_or_subclassed():
    scope = scope_of(a_principal())
    with pytest.raises(AttributeError):
        scope._tenant = "other"
    with pytest.raises(AttributeError):
        del scope._tenant
    with pytest.raises(TypeError):
        pickle.dumps(scope)
    with pytest.raises(TypeError):
        copy.copy(scope)
    with pytest.raises(TypeError):
        type("Forged", (TenantScope,), {})
    assert scope.tenant == "acme"


def test_scope_and_principal_print_no_value():
    principal = a_principal(subject="secret-subject", org="secret-org", tenant="secret-tenant")
    for text in (repr(principal), str(principal), repr(scope_of(principal)), str(scope_of(principal)), f"{principal}"):
        assert "secret" not in text


def test_every_key_of_a_scope_begins_with_its_lender():
    scope = scope_of(a_principal())
    assert scope.prefix == "T#acme"
    assert scope.key("CASE", "case_1") == "T#acme#CASE#case_1"
    assert scope.owns("T#acme") and scope.owns("T#acme#CASE#case_1")
    assert not scope.owns("T#acme2") and not scope.owns("T#other#CASE#case_1")


@pytest.mark.parametrize("part", ["", "a#b", "../x", "a b", "é", "x" * 81, "a\n"])
def test_key_part_that_is_no_id_is_refused(part):
    with pytest.raises(ValueError):
        scope_of(a_principal()).key("CASE", part)


def test_lender_and_compliance_need_a_tenant_and_agencies_must_not_have_one():
    for role in ("lender", "compliance"):
        with pytest.raises(ValueError):
            a_principal(role=role, tenant=None)
    for role in ("agency", "collector"):
        with pytest.raises(ValueError):
            a_principal(role=role, tenant="acme")


@pytest.mark.parametrize(
    "deviation",
    [{"role": "root"}, {"subject": "a#b"}, {"org": ""}, {"tenant": "x y"}, {"token_id": "é"}, {"subject": "a\n"}],
)
def test_claim_of_another_form_is_refused_without_repeating_it(deviation):
    with pytest.raises(ValueError) as refused:
        a_principal(**deviation)
    assert not any(value and value in str(refused.value).split() for value in deviation.values())


def test_token_may_ask_for_fewer_scopes_and_never_for_more():
    assert a_principal(asked=["cases:read", "lenders:write"]).scopes == {"cases:read"}
    assert a_principal(asked=[]).scopes == frozenset()
    assert a_principal().scopes == ROLE_SCOPES[Role.LENDER]


def test_no_agency_side_role_may_do_what_only_lender_or_officer_may():
    reserved = {
        "portfolios:write",
        "payments:write",
        "audit:read",
        "messages:review",
        "erasures:write",
        "legal_holds:write",
        "lenders:write",
    }
    for role in (Role.AGENCY, Role.COLLECTOR):
        assert not ROLE_SCOPES[role] & reserved
    assert reserved <= SCOPES


def test_only_a_token_with_a_tenant_has_a_scope_of_its_own():
    assert scope_of(a_principal()) == system_scope("acme")
    with pytest.raises(NotPermitted):
        scope_of(an_agent())


def test_agency_gets_one_scope_for_each_listing_of_its_own_and_none_for_others():
    rows = [Row("acme", "agency-1"), Row("bank", "agency-1"), Row("other", "agency-2")]
    scopes = agency_scopes(an_agent(), rows)
    assert set(scopes) == {"acme", "bank"}
    assert scopes["bank"].prefix == "T#bank"
    assert agency_scopes(an_agent(), []) == {}


def test_lender_gets_no_scope_from_listings():
    with pytest.raises(NotPermitted):
        agency_scopes(a_principal(), [Row("acme", "acme")])


def test_only_the_platform_founds_a_lender():
    admin = a_principal(role="admin", org="platform", tenant=None)
    assert founding_scope(admin, "newbank").tenant == "newbank"
    for other in (a_principal(), an_agent(), a_principal(role="compliance")):
        with pytest.raises(NotPermitted):
            founding_scope(other, "newbank")
    with pytest.raises(NotPermitted):
        founding_scope(a_principal(role="admin", tenant=None, asked=["rules:read"]), "newbank")


def test_system_scope_is_reached_only_by_wiring_and_by_what_consumes_queues_streams_and_schedules():
    """HTTP code and the use cases behind it get their scopes from principals; anything else is a way round the guard."""
    may_make = {"chalicelib/wiring.py"}
    may_use = ("_queue.py", "_stream.py", "_schedule.py")
    wrong = []
    for path in sorted((ROOT / "chalicelib").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        used = _names(ast.parse(path.read_text(encoding="utf-8")))
        if name == "chalicelib/domain/principals.py" or name in may_make:
            continue
        if "system_scope" in used or "_GRANT" in used:
            wrong.append(name)
        if "worker_scope" in used and not name.endswith(may_use):
            wrong.append(name)
    assert wrong == []


def test_founding_scope_is_used_for_organisations_only():
    users = [
        path.name
        for path in (ROOT / "chalicelib").rglob("*.py")
        if path.name != "principals.py" and "founding_scope" in _names(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert set(users) <= {"organisations_api.py", "organisations.py"}


def test_scope_is_constructed_nowhere_but_here():
    callers = [
        path.name
        for path in (ROOT / "chalicelib").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "TenantScope"
    ]
    assert set(callers) == {Path(principals.__file__).name}


def _names(tree: ast.AST) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.alias):
            found.add(node.name.rsplit(".", 1)[-1])
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            # getattr(module, "system_scope") is a way round as well.
            found.add(node.value)
    return found
