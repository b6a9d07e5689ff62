"""The registry of routes: what the app serves, who may call it, and the OpenAPI 3.1 document, all from one table."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from chalicelib.domain.concurrency import Conflict
from chalicelib.domain.errors import (
    BodyTooLarge,
    CursorRejected,
    IdempotencyInProgress,
    IdempotencyKeyMissing,
    IdempotencyKeyReused,
    InvalidInput,
    InvalidQuery,
    MalformedBody,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    PreconditionFailed,
    PreconditionRequired,
    UnsupportedMediaType,
)
from chalicelib.domain.ids import ID_PATTERN
from chalicelib.domain.principals import ROLE_SCOPES, SCOPES
from chalicelib.edge.http_problems import Problem, status_of, type_code

_PARAMETER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
WRITING = frozenset({"POST", "PUT", "PATCH"})


@dataclass(frozen=True)
class Route:
    """One method on one path. ``scope`` is what a caller needs; None means that anybody may call it."""

    method: str
    path: str
    name: str
    scope: str | None
    summary: str
    description: str = ""
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    response: type[BaseModel] | None = None
    status: int = 200
    errors: tuple[type[Exception], ...] = ()
    needs_if_match: bool = False
    is_idempotent: bool = False
    has_content_tag: bool = False
    content_type: str = "application/json"
    also_types: tuple[str, ...] = ()
    path_patterns: dict[str, str] = field(default_factory=dict)
    cache: str = "no-store"

    @property
    def parameters(self) -> list[str]:
        """Return the names of the path's parameters."""
        return _PARAMETER.findall(self.path)

    @property
    def key(self) -> str:
        """Return ``METHOD /path``."""
        return f"{self.method} {self.path}"


class Registry:
    """Routes in the order in which they were named. The app has one; a test may have its own."""

    def __init__(self) -> None:
        """Start empty."""
        self._routes: dict[str, Route] = {}

    def add(self, route: Route) -> Route:
        """Take a route. Raises ValueError for a second one with its method and path or name, or an unknown scope."""
        if route.key in self._routes or any(route.name == other.name for other in self):
            raise ValueError(f"{route.key} ({route.name}) is there already")
        if route.scope is not None and route.scope not in SCOPES:
            raise ValueError(f"no role has the scope {route.scope}: see chalicelib/domain/principals.py")
        self._routes[route.key] = route
        return route

    def __iter__(self) -> Iterator[Route]:
        """Return every route."""
        return iter(self._routes.values())

    def openapi(self, *, version: str = "1.0.0", server: str = "") -> dict[str, Any]:
        """Return the OpenAPI 3.1 document of every route; ``server`` is the address of the stage."""
        schemas = _Schemas(self)
        paths: dict[str, dict[str, Any]] = {}
        for route in sorted(self, key=lambda route: (route.path, route.method)):
            paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
        return {
            "openapi": "3.1.0",
            "jsonSchemaDialect": "https://spec.openapis.org/oas/3.1/dialect/base",
            "info": {
                "title": "Forbear",
                "version": version,
                "summary": "Compliance-first back end for collecting overdue auto loans through outside agencies",
            },
            "servers": [{"url": server or "/"}],
            "paths": paths,
            "components": {
                "schemas": schemas.definitions,
                "securitySchemes": {
                    "token": {
                        "type": "http",
                        "scheme": "bearer",
                        "bearerFormat": "JWT",
                        "description": "A token of the configured OIDC issuer. Each operation names the scope it needs.",
                    }
                },
            },
        }


API = Registry()
"""The routes of the app."""


class _Schemas:
    """The schemas of all models, named once; input and output forms apart where they differ."""

    def __init__(self, registry: Registry) -> None:
        # A problem leaves out what is empty, so its input form is the true one.
        wanted: list[tuple[type[BaseModel], Any]] = [(Problem, "validation")]
        for route in registry:
            wanted.extend((model, "validation") for model in (route.body, route.query) if model is not None)
            if route.response is not None:
                wanted.append((route.response, "serialization"))
        self._references, document = models_json_schema(
            list(dict.fromkeys(wanted)), by_alias=True, ref_template="#/components/schemas/{model}"
        )
        self.definitions: dict[str, Any] = document.get("$defs", {})

    def reference(self, model: type[BaseModel], mode: Any) -> dict[str, Any]:
        return dict(self._references[(model, mode)])

    def properties(self, model: type[BaseModel]) -> tuple[dict[str, Any], list[str]]:
        """Return the fields of a query model and the names of those that must be there."""
        name = self.reference(model, "validation")["$ref"].rsplit("/", 1)[-1]
        definition = self.definitions[name]
        return definition.get("properties", {}), definition.get("required", [])


def _operation(route: Route, schemas: _Schemas) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "tags": [route.path.split("/")[2] if route.path.count("/") > 1 else "service"],
        "parameters": _parameters(route, schemas),
        "responses": _responses(route, schemas),
    }
    if route.description:
        operation["description"] = route.description
    if route.scope is not None:
        operation["security"] = [{"token": [route.scope]}]
        operation["x-scope"] = route.scope
        operation["x-roles"] = sorted(role.value for role, scopes in ROLE_SCOPES.items() if route.scope in scopes)
    else:
        operation["security"] = []
    if route.body is not None:
        schema = schemas.reference(route.body, "validation")
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return operation


def _parameters(route: Route, schemas: _Schemas) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "pattern": route.path_patterns.get(name, ID_PATTERN.pattern)},
        }
        for name in route.parameters
    ]
    if route.query is not None:
        properties, required = schemas.properties(route.query)
        found.extend(
            {"name": name, "in": "query", "required": name in required, "schema": schema}
            for name, schema in properties.items()
        )
    if route.is_idempotent:
        found.append(_header("Idempotency-Key", "A new value for each intention; kept for seven days.", required=True))
    if route.needs_if_match or route.method == "PUT":
        found.append(_header("If-Match", "The entity tag that was read.", required=route.needs_if_match))
    if route.method == "GET" and route.response is not None:
        found.append(_header("If-None-Match", "Entity tags of what the caller has.", required=False))
    return found


def _header(name: str, description: str, *, required: bool) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": 256}
    if name == "Idempotency-Key":
        schema["maxLength"] = 128
        schema["pattern"] = "^[A-Za-z0-9._~:/+=-]+$"
    if name == "If-Match":
        schema["pattern"] = '^"[0-9]+"$'
    return {"name": name, "in": "header", "required": required, "description": description, "schema": schema}


def faults_of(route: Route) -> list[type[Exception]]:
    """Return every fault class that a caller of the route may see: its own, and those its form implies."""
    faults: list[type[Exception]] = []
    if route.scope is not None:
        faults += [NotAuthenticated, NotPermitted]
    if route.parameters:
        faults.append(NotFound)
    faults.append(InvalidQuery)
    if route.query is not None and "cursor" in route.query.model_fields:
        faults.append(CursorRejected)
    if route.method in WRITING:
        faults += [MalformedBody, BodyTooLarge, UnsupportedMediaType, InvalidInput]
    if route.method != "GET":
        faults.append(Conflict)
    if route.is_idempotent:
        faults += [IdempotencyKeyMissing, IdempotencyKeyReused, IdempotencyInProgress]
    if route.needs_if_match or route.method == "PUT":
        faults += [PreconditionFailed, PreconditionRequired]
    return list(dict.fromkeys([*faults, *route.errors]))


def _responses(route: Route, schemas: _Schemas) -> dict[str, Any]:
    found: dict[str, Any] = {str(route.status): _success(route, schemas)}
    if route.method == "PUT" and route.status == 200:
        # A PUT to an id that is free creates.
        found["201"] = {**_success(route, schemas), "description": "Created."}
    if route.method == "GET" and route.response is not None:
        found["304"] = {"description": "The caller has it already."}
    codes: dict[int, set[str]] = {500: {"internal"}}
    for fault in faults_of(route):
        codes.setdefault(status_of(fault) or 500, set()).add(type_code(fault))
    problem = schemas.reference(Problem, "validation")
    for status, types in sorted(codes.items()):
        found[str(status)] = {
            "description": "Problem: " + ", ".join(sorted(types)),
            "content": {"application/problem+json": {"schema": problem}},
        }
    return found


def _success(route: Route, schemas: _Schemas) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": route.summary}
    text = {"schema": {"type": "string"}}
    if route.response is not None:
        answer["content"] = {"application/json": {"schema": schemas.reference(route.response, "serialization")}}
        answer["headers"] = {"ETag": {**text, "description": "The entity tag, where there is one."}}
    elif route.status != 204:
        answer["content"] = {route.content_type: {}}
    for also in route.also_types:
        answer.setdefault("content", {})[also] = {}
    if route.status in (201, 202):
        answer.setdefault("headers", {})["Location"] = {**text, "description": "Where the result is."}
    if route.is_idempotent:
        replayed = {**text, "description": "true when this answer was given before."}
        answer.setdefault("headers", {})["Idempotency-Replayed"] = replayed
    return answer
