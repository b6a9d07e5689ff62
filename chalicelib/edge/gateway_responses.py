"""What API Gateway answers by itself, in the form of all other problems: put into the packaged API definition.

``scripts/package`` and the local runner take it from here, so that a caller needs one reader for errors.
"""

import json
from typing import Any

from chalicelib.edge.http_problems import CONTENT_TYPE, TITLES, TYPE_PREFIX

RESPONSES: dict[str, tuple[int, str, str]] = {
    "UNAUTHORIZED": (401, "not_authenticated", "a valid bearer token is needed"),
    "ACCESS_DENIED": (403, "not_permitted", "the credential does not grant this"),
    "INVALID_API_KEY": (403, "not_permitted", "the credential does not grant this"),
    "INVALID_SIGNATURE": (403, "not_permitted", "the credential does not grant this"),
    "EXPIRED_TOKEN": (403, "not_permitted", "the credential does not grant this"),
    "WAF_FILTERED": (403, "not_permitted", "the request was refused"),
    # A path that is not there is answered with 403 and talk of tokens unless it is said otherwise.
    "MISSING_AUTHENTICATION_TOKEN": (404, "not_found", "there is no such resource"),
    "RESOURCE_NOT_FOUND": (404, "not_found", "there is no such resource"),
    "BAD_REQUEST_BODY": (400, "malformed_body", "the body cannot be read"),
    "BAD_REQUEST_PARAMETERS": (400, "invalid_query", "a parameter is not acceptable"),
    "REQUEST_TOO_LARGE": (413, "body_too_large", "the body is too large"),
    "UNSUPPORTED_MEDIA_TYPE": (415, "unsupported_media_type", "send the body as application/json"),
    "THROTTLED": (429, "too_many_requests", "too many requests"),
    "QUOTA_EXCEEDED": (429, "too_many_requests", "too many requests"),
    "AUTHORIZER_FAILURE": (500, "internal", "the fault is recorded"),
    "AUTHORIZER_CONFIGURATION_ERROR": (500, "internal", "the fault is recorded"),
    "API_CONFIGURATION_ERROR": (500, "internal", "the fault is recorded"),
    "INTEGRATION_FAILURE": (504, "unavailable", "the service did not answer; try again with the same key"),
    "INTEGRATION_TIMEOUT": (504, "unavailable", "the service did not answer in time; try again with the same key"),
}
"""Gateway response type -> (status, problem code, sentence)."""

_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_MORE_HEADERS = {401: {"WWW-Authenticate": 'Bearer realm="forbear"'}, 429: {"Retry-After": "1"}}


def gateway_responses() -> dict[str, Any]:
    """Return the value of ``x-amazon-apigateway-gateway-responses`` in the API's definition body."""
    return {kind: _response(*told) for kind, told in RESPONSES.items()}


def _response(status: int, code: str, detail: str) -> dict[str, Any]:
    document = {
        "type": TYPE_PREFIX + code,
        "title": TITLES[code],
        "status": status,
        "code": code,
        "detail": detail,
        # The gateway fills in its own id; the app gives its requests the same form.
        "request_id": "req_$context.requestId",
    }
    headers = {**_HEADERS, **_MORE_HEADERS.get(status, {}), "Content-Type": CONTENT_TYPE}
    return {
        "statusCode": status,
        "responseParameters": {f"gatewayresponse.header.{name}": f"'{value}'" for name, value in headers.items()},
        "responseTemplates": {"application/json": json.dumps(document)},
    }
