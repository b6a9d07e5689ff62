"""Requests generated from the API's own document, right and wrong ones: what comes back is what the document says."""

import json
from collections import Counter
from functools import cache
from itertools import count
from typing import Any
from urllib.parse import quote, urlencode

import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as budget
from schemathesis import GenerationMode
from schemathesis.core import NOT_SET

from app import app
from chalicelib.domain.principals import ROLE_SCOPES, Role
from chalicelib.edge.routes import API
from tests.builders import AGENCY, COLLECTOR, LENDER
from tests.flows.test_cases_api import Api
from tests.flows.test_cases_api import api as api  # the fixture: a lender, two agencies, three assigned cases

EXAMPLES = 12
DOCUMENT = API.openapi(server="http://127.0.0.1")
OPERATIONS = [found.ok() for found in schemathesis.openapi.from_dict(DOCUMENT).get_all_operations()]
ROUTES = {(route.method, route.path): route for route in API}
KNOWN = {
    "case_id": "case_0",
    "lender_id": LENDER,
    "agency_id": AGENCY,
    "collector_id": COLLECTOR,
    "month": "2026-10",
}
KNOWN_QUERY = {"kpi": "placed_cases"}
TOKENS = {
    Role.LENDER: "lender",
    Role.COMPLIANCE: "officer",
    Role.COUNSEL: "counsel",
    Role.AGENCY: "agency",
    Role.COLLECTOR: "collector",
    Role.ADMIN: "platform",
}


def sent(api: Api, operation: Any, case: Any, role: Role, *, use_known: bool) -> Any:
    headers = {name: str(value) for name, value in (case.headers or {}).items() if name.lower() != "authorization"}
    headers["authorization"] = f"Bearer {TOKENS[role]}"
    body = b""
    if case.body is not NOT_SET:
        headers.setdefault("content-type", "application/json")
        body = case.body if isinstance(case.body, bytes) else json.dumps(case.body).encode()
    path = operation.path
    for name, value in (case.path_parameters or {}).items():
        wanted = KNOWN[name] if use_known and name in KNOWN else str(value)
        path = path.replace(f"{{{name}}}", quote(wanted, safe=""))
    asked = dict(case.query or {})
    if use_known:
        asked |= {name: KNOWN_QUERY[name] for name in asked.keys() & KNOWN_QUERY.keys()}
    query = urlencode(asked, doseq=True)
    return api.client.http.request(
        operation.method.upper(), f"{path}?{query}" if query else path, headers=headers, body=body
    )


def check(operation: Any, answer: Any) -> None:
    described = DOCUMENT["paths"][operation.path][operation.method]["responses"]
    assert answer.status_code < 500, answer.body
    assert str(answer.status_code) in described, answer.body
    if answer.status_code in (204, 304):
        assert answer.body == b""
        return
    kind = answer.headers["Content-Type"].partition(";")[0]
    if "schema" in described[str(answer.status_code)]["content"][kind]:
        validator(operation.path, operation.method, str(answer.status_code), kind).validate(json.loads(answer.body))


@cache
def validator(path: str, method: str, status: str, kind: str) -> jsonschema.Draft202012Validator:
    """Return the judge of one described answer: made once, because making it takes longer than what it judges."""
    schema = DOCUMENT["paths"][path][method]["responses"][status]["content"][kind]["schema"]
    whole = {**schema, "components": DOCUMENT["components"]}
    jsonschema.Draft202012Validator.check_schema(whole)
    return jsonschema.Draft202012Validator(whole)


def test_every_operation_of_the_app_is_generated_for() -> None:
    served = {f"{method} {path}" for path, methods in app.routes.items() for method in methods}
    assert {operation.label for operation in OPERATIONS} == served


@pytest.mark.slow
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_generated_requests_get_the_answers_that_the_document_describes(
    operation: Any, api: Api, buckets: list[str]
) -> None:
    route = ROUTES[(operation.method.upper(), operation.path)]
    roles = [role for role in Role if route.scope is None or route.scope in ROLE_SCOPES[role]]
    modes = [GenerationMode.POSITIVE]
    if route.body or route.query or route.parameters:
        modes.append(GenerationMode.NEGATIVE)
    statuses: Counter[int] = Counter()
    numbers = count()
    for mode in modes:

        @budget(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def generated(case: Any) -> None:
            number = next(numbers)
            answer = sent(api, operation, case, roles[number % len(roles)], use_known=number % 3 != 0)
            statuses[answer.status_code] += 1
            check(operation, answer)

        generated()
    # A route of which only one status is ever seen was not exercised, unless it takes nothing.
    assert len(statuses) > 1 or not (route.body or route.query)
