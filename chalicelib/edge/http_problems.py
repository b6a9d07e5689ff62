"""Problems as RFC 9457 tells them: the one table from a fault's class to its status, and the document made from it."""

import json
from dataclasses import asdict
from typing import Any

from chalice.app import Response
from pydantic import BaseModel, ConfigDict, ValidationError

from chalicelib.domain.concurrency import Conflict
from chalicelib.domain.errors import (
    BodyTooLarge,
    CursorExpired,
    CursorRejected,
    DomainError,
    FieldError,
    IdempotencyInProgress,
    IdempotencyKeyMissing,
    IdempotencyKeyReused,
    InvalidInput,
    InvalidQuery,
    MalformedBody,
    Misdirected,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    PreconditionFailed,
    PreconditionRequired,
    StateConflict,
    TooManyRequests,
    UnsupportedMediaType,
)

TYPE_PREFIX = "urn:forbear:problem:"
"""``type`` is this and the code of the fault's class; ``docs/errors.md`` explains each."""

CONTENT_TYPE = "application/problem+json"

STATUS: dict[type[Exception], int] = {
    MalformedBody: 400,
    InvalidQuery: 400,
    IdempotencyKeyMissing: 400,
    CursorRejected: 400,
    NotAuthenticated: 401,
    NotPermitted: 403,
    NotFound: 404,
    StateConflict: 409,
    IdempotencyInProgress: 409,
    Conflict: 409,
    CursorExpired: 410,
    PreconditionFailed: 412,
    BodyTooLarge: 413,
    UnsupportedMediaType: 415,
    Misdirected: 421,
    InvalidInput: 422,
    IdempotencyKeyReused: 422,
    PreconditionRequired: 428,
    TooManyRequests: 429,
}
"""The table. A subclass has its nearest ancestor's status; a fault that has none is a 500."""

TITLES: dict[str, str] = {
    "malformed_body": "The body cannot be read",
    "invalid_query": "A parameter is not acceptable",
    "idempotency_key_missing": "An Idempotency-Key is needed",
    "cursor_rejected": "The cursor is not valid here",
    "not_authenticated": "A valid bearer token is needed",
    "not_permitted": "Not permitted",
    "not_found": "No such resource",
    "method_not_allowed": "The route has no such method",
    "state_conflict": "Not possible in the present state",
    "idempotency_in_progress": "The first request is still in progress",
    "busy": "Others are changing the same thing",
    "cursor_expired": "The cursor has expired",
    "precondition_failed": "The resource has changed",
    "body_too_large": "The body is too large",
    "unsupported_media_type": "The media type is not taken",
    "invalid_input": "The request is not acceptable",
    "other_region": "Another region serves this lender",
    "idempotency_key_reused": "The Idempotency-Key belongs to another request",
    "precondition_required": "If-Match is needed",
    "too_many_requests": "Too many requests",
    "internal": "Something went wrong on our side",
    "unavailable": "Not available just now",
}
"""Every problem type there is, by its code, with its title."""


class ProblemError(BaseModel):
    """One thing that is wrong: ``pointer`` (RFC 6901) into the body, or the name of a parameter or header."""

    model_config = ConfigDict(extra="forbid")

    pointer: str | None = None
    parameter: str | None = None
    header: str | None = None
    code: str
    detail: str


class Problem(BaseModel):
    """RFC 9457 problem details. ``code`` may be more exact than ``type``; ``request_id`` is what support needs."""

    model_config = ConfigDict(extra="forbid")

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: str
    errors: list[ProblemError] = []


def status_of(fault: type[Exception]) -> int | None:
    """Return the status of a fault's class by its nearest ancestor in the table, or None for an unforeseen one."""
    return next((STATUS[ancestor] for ancestor in fault.__mro__ if ancestor in STATUS), None)


def type_code(fault: type[Exception]) -> str:
    """Return the code of the problem type that a fault's class belongs to; ``internal`` for an unforeseen one."""
    for ancestor in fault.__mro__:
        if ancestor is Conflict:
            return "busy"
        if ancestor in STATUS and issubclass(ancestor, DomainError):
            return ancestor.code
    return "internal"


def problem_response(fault: Exception, *, request_id: str) -> Response:
    """Return the answer that tells a fault. What is not in the table says nothing of itself."""
    status = status_of(type(fault))
    code = type_code(type(fault))
    if status is None:
        return render(500, "internal", "internal", "the fault is recorded", request_id)
    if not isinstance(fault, DomainError):
        headers = {"Retry-After": "1"}
        return render(status, code, code, "others are changing the same thing; try again", request_id, headers=headers)
    return render(status, code, fault.reason, fault.detail, request_id, errors=fault.errors, headers=_headers_of(fault))


def _headers_of(fault: DomainError) -> dict[str, str]:
    if isinstance(fault, NotAuthenticated):
        return {"WWW-Authenticate": 'Bearer realm="forbear"'}
    if isinstance(fault, PreconditionFailed) and fault.current is not None:
        return {"ETag": f'"{fault.current}"'}
    if isinstance(fault, CursorExpired):
        return {"Link": f'<{fault.resync}>; rel="resync"'}
    if isinstance(fault, TooManyRequests):
        return {"Retry-After": str(fault.retry_after)}
    if isinstance(fault, IdempotencyInProgress):
        return {"Retry-After": "1"}
    return {}


def render(
    status: int,
    type_code: str,
    code: str,
    detail: str,
    request_id: str,
    *,
    errors: tuple[FieldError, ...] = (),
    headers: dict[str, str] | None = None,
) -> Response:
    """Return the problem as an answer."""
    document: dict[str, Any] = {
        "type": TYPE_PREFIX + type_code,
        "title": TITLES[type_code],
        "status": status,
        "code": code,
        "detail": detail,
        "request_id": request_id,
    }
    if errors:
        document["errors"] = [_error(error) for error in errors]
    body = json.dumps(document, separators=(",", ":"))
    return Response(body, {"Content-Type": CONTENT_TYPE, **(headers or {})}, status)


_SOURCES = {"body": "pointer", "query": "parameter", "path": "parameter", "header": "header"}


def _error(error: FieldError) -> dict[str, str]:
    told = asdict(error)
    return {_SOURCES[error.source]: told["where"], "code": told["code"], "detail": told["detail"]}


MOST_ERRORS = 50
"""A problem names the first so many wrong fields."""
_MOST_COUNTED = 2_000


def field_errors(refusal: ValidationError, *, source: str) -> tuple[FieldError, ...]:
    """Return the first things that pydantic found wrong, by pointer or parameter, without the values."""
    if refusal.error_count() > _MOST_COUNTED:
        # Telling even the first would make Python objects of them all: a body can be wrong in half a million places.
        return (FieldError("", "too_many_errors", f"{refusal.error_count()} fields are not acceptable", source),)
    return tuple(
        FieldError(_where(found["loc"], source), found["type"], found["msg"], source)
        for found in refusal.errors(include_url=False, include_input=False, include_context=False)[:MOST_ERRORS]
    )


def _where(location: tuple[int | str, ...], source: str) -> str:
    if source != "body":
        return ".".join(str(part) for part in location)
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in location)
