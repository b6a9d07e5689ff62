"""The view decorator: a route is named, checked and rendered here, and the view behind it has five lines.

    @route(bp, "GET", "/v1/cases/{case_id}", scope="cases:read", response=CaseView, summary="Read a case")
    def read_case(principal: Principal, request: Request) -> Answer:
        case = cases.read(wiring.store(), scope_of(principal), request.path["case_id"])
        return Answer(case_view(case), version=case.version)

In this order: caller, scope, path, query, headers, body, idempotency, view. What a view raises becomes a problem
(``chalicelib.edge.http_problems``); ``docs/errors.md`` is the caller's side of it.
"""

import functools
import hashlib
import re
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from chalice.app import Blueprint, Response
from chalice.app import Request as RawRequest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from chalicelib import wiring
from chalicelib.domain.answers import Answered, Slot
from chalicelib.domain.cursors import MAX_LENGTH, filter_hash, open_cursor, seal_cursor
from chalicelib.domain.errors import (
    CursorExpired,
    CursorRejected,
    DomainError,
    FieldError,
    IdempotencyInProgress,
    IdempotencyKeyMissing,
    IdempotencyKeyReused,
    InvalidInput,
    InvalidQuery,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    PreconditionFailed,
    PreconditionRequired,
    TooManyRequests,
)
from chalicelib.domain.ids import is_id, new_id
from chalicelib.domain.principals import Principal, scope_of
from chalicelib.edge import admissions
from chalicelib.edge.authorizer import authorize
from chalicelib.edge.http_body import MAX_BYTES, check_content_type, read_json
from chalicelib.edge.http_problems import field_errors, problem_response, render, status_of
from chalicelib.edge.observed import location, logger, record_request
from chalicelib.edge.routes import API, WRITING, Registry, Route
from chalicelib.usecases import idempotency
from chalicelib.usecases.idempotency import fingerprint_of, slot_of

SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
"""On every answer: they carry personal data and are no documents to be framed or kept."""

CURSOR_SECONDS = 24 * 3_600
_TOKEN_LEEWAY_SECONDS = 5
_STRONG_TAG = re.compile(r'"([\x21\x23-\x7e]*)"')
_KEY_TOKEN = re.compile(r"[A-Za-z0-9._~:/+=-]{1,128}")
_KEY_STRING = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\]){1,128})"')
_VERSION = re.compile(r"[0-9]{1,15}")

# Tokens, leases and cursors live in real time also where the business clock can be set.
wall_seconds: Callable[[], float] = time.time

# The framework keeps the current request on the app, where a second thread or a nested call overwrites it.
_current: ContextVar[RawRequest | None] = ContextVar("current_request", default=None)

_Body = TypeVar("_Body", bound=BaseModel | None)
_Query = TypeVar("_Query", bound=BaseModel | None)


class Page(BaseModel):
    """The parameters of every list; a list's own query model adds its filters."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cursor: str | None = Field(default=None, max_length=MAX_LENGTH, description="Where to go on, from the last answer.")
    limit: int = Field(default=50, ge=1, le=100, description="At most so many items.")


@dataclass(frozen=True)
class Request(Generic[_Body, _Query]):
    """What a view is given: parsed, bounded and typed. ``path`` holds the path's ids.

    ``expected_version`` is the version in ``If-Match``: always there on routes that need it, else where it was sent.
    """

    id: str
    path: Mapping[str, str]
    query: _Query
    body: _Body
    expected_version: int | None
    headers: Mapping[str, str]
    _route: Route = field(repr=False)
    _cursor_scope: str = field(repr=False)
    _slot: Slot | None = field(repr=False, default=None)

    def derived_id(self, prefix: str) -> str:
        """Return the id of what this POST creates: the same id again when the same Idempotency-Key is run again.

        Raises LookupError on a route without Idempotency-Key.
        """
        if self._slot is None:
            raise LookupError("only a route with Idempotency-Key derives ids")
        return idempotency.derived_id(self._slot, prefix)

    def after(self, *, resync: str | None = None) -> Mapping[str, Any] | None:
        """Return the last key in the query's ``cursor``, None when there is none.

        Raises CursorRejected for a cursor that is not this caller's for this list. One that has expired is rejected
        too, or with ``resync`` (the path of the full list) answered by CursorExpired (410).
        """
        cursor = getattr(self.query, "cursor", None)
        if cursor is None:
            return None
        position = open_cursor(
            wiring.cursor_key(), cursor, scope=self._cursor_scope, filters=self._filters(), now=int(wall_seconds())
        )
        if position is None or (position.is_expired and resync is None):
            raise CursorRejected
        if position.is_expired:
            raise CursorExpired(resync or "")
        return position.last

    def cursor(self, last: Mapping[str, Any], *, seconds: int = CURSOR_SECONDS) -> str:
        """Return the cursor that goes on after ``last`` (JSON values) for this caller, list and filter."""
        return seal_cursor(
            wiring.cursor_key(),
            last,
            scope=self._cursor_scope,
            filters=self._filters(),
            expires_at=int(wall_seconds()) + seconds,
        )

    def _filters(self) -> str:
        query = self.query.model_dump(mode="json", exclude={"cursor", "limit"}) if self.query is not None else {}
        return filter_hash({"route": self._route.key, "path": dict(self.path), "query": query})


@dataclass(frozen=True)
class Answer:
    """What a view gives back when the model alone does not say it all.

    ``version`` becomes the entity tag; ``status`` overrides the route's; ``body`` is the route's response model, or
    bytes or text of the route's content type. Bytes of a binary type reach a caller whose ``Accept`` names the type.
    ``kept`` is what is stored under the request's Idempotency-Key instead of ``body``, and given when it comes again:
    personal data are no part of it, because stored answers lie under no person's key.
    """

    body: BaseModel | bytes | str | None = None
    kept: BaseModel | None = None
    version: int | None = None
    tag: str | None = None
    status: int | None = None
    location: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


View = Callable[[Any, Any], Answer | BaseModel | None]
"""A view: (principal, request) -> answer. On a public route the principal is None."""


def route(
    bp: Blueprint,
    method: str,
    path: str,
    *,
    scope: str | None,
    summary: str,
    response: type[BaseModel] | None = None,
    body: type[BaseModel] | None = None,
    query: type[BaseModel] | None = None,
    status: int = 200,
    errors: tuple[type[Exception], ...] | list[type[Exception]] = (),
    if_match: bool = False,
    idempotent: bool | None = None,
    content_tag: bool = False,
    max_bytes: int = MAX_BYTES,
    content_type: str = "application/json",
    also_types: tuple[str, ...] = (),
    path_patterns: Mapping[str, str] | None = None,
    cache: str = "no-store",
    registry: Registry = API,
) -> Callable[[View], View]:
    """Return the decorator that serves a view at this route and enters it in the table of routes.

    ``scope=None`` makes the route public. ``if_match`` asks for ``If-Match`` (428, 412). ``idempotent`` is True for
    POST unless it is said to be False (a POST that changes nothing). ``content_tag`` gives answers without a version
    an entity tag of their bytes, for polls. ``content_type`` is that of text and bytes; an answer that names another
    in its headers needs it in ``also_types``. ``path_patterns`` are regular expressions for path parameters that are
    no ids. ``cache`` is the ``Cache-Control`` of a good answer that holds nothing personal. The view itself stays callable as it was written. Raises ValueError for a route that is there already, or
    a scope that no role has.
    """

    def register(view: View) -> View:
        entry = registry.add(
            Route(
                method=method,
                path=path,
                name=view.__name__,
                scope=scope,
                summary=summary,
                description=(view.__doc__ or "").strip(),
                body=body,
                query=query,
                response=response,
                status=status,
                errors=tuple(errors),
                needs_if_match=if_match,
                is_idempotent=(method == "POST" and scope is not None) if idempotent is None else idempotent,
                has_content_tag=content_tag,
                content_type=content_type,
                also_types=also_types,
                path_patterns=dict(path_patterns or {}),
                cache=cache,
            )
        )

        @functools.wraps(view)
        def serving(**values: str) -> Response:
            return _serve(entry, _current.get() or bp.current_request, values, view, max_bytes)

        # The framework's own check of the content type answers in another shape, so it is switched off: [].
        bp.route(
            path,
            name=view.__name__,
            methods=[method],
            content_types=[],
            authorizer=authorize if scope is not None else None,
        )(serving)
        return view

    return register


def _serve(entry: Route, raw: RawRequest, values: dict[str, str], view: View, max_bytes: int) -> Response:
    started = time.perf_counter()
    request_id = _request_id(raw)
    try:
        response = _answer(entry, raw, values, view, request_id, max_bytes)
    except Exception as fault:
        response = _problem(fault, request_id, entry)
    response.headers.update(SECURITY_HEADERS)
    if response.status_code in (200, 304):
        response.headers["Cache-Control"] = entry.cache
    response.headers["X-Request-Id"] = request_id
    record_request(
        entry.name,
        request_id=request_id,
        method=entry.method,
        route=entry.path,
        status=response.status_code,
        milliseconds=round((time.perf_counter() - started) * 1000, 1),
    )
    return response


def _problem(fault: Exception, request_id: str, entry: Route) -> Response:
    if status_of(type(fault)) is None:
        fields = {"error": type(fault).__name__, "at": location(fault), "request_id": request_id, "route": entry.path}
        logger().error("unforeseen fault", extra=fields)
    return problem_response(fault, request_id=request_id)


def _answer(
    entry: Route, raw: RawRequest, values: dict[str, str], view: View, request_id: str, max_bytes: int
) -> Response:
    principal = _principal(entry, raw)
    if principal is not None:
        if principal.tenant is not None:
            wiring.at_home(scope_of(principal))
        admissions.note(principal, request_id)
    _check_path(entry, values)
    query = _query(entry, raw)
    slot = _slot(entry, raw, principal)
    expected = _expected_version(entry, raw)
    body, content = _body(entry, raw, max_bytes)
    request: Request[Any, Any] = Request(
        id=request_id,
        path=values,
        query=query,
        body=body,
        expected_version=expected,
        headers=raw.headers,
        _route=entry,
        _cursor_scope=_cursor_scope(principal),
        _slot=slot,
    )
    if slot is None:
        return _not_modified(entry, raw, _render(entry, view(principal, request)))
    shown = query.model_dump(mode="json") if query is not None else {}
    fingerprint = fingerprint_of(entry.key, values, shown, raw.headers.get("if-match"), content)
    return _once(entry, slot, fingerprint, request_id, lambda: view(principal, request))


def _request_id(raw: RawRequest) -> str:
    given = f"req_{raw.context.get('requestId', '')}"
    return given if is_id(given) and given != "req_" else new_id("req", epoch_ms=int(time.time() * 1000))


def _principal(entry: Route, raw: RawRequest) -> Principal | None:
    if entry.scope is None:
        return None
    told = (raw.context.get("authorizer") or {}).get("principal")
    if not isinstance(told, str):
        raise NotAuthenticated
    try:
        principal = Principal.model_validate_json(told)
    except ValidationError:
        raise NotAuthenticated from None
    # The gateway may go on admitting a token for a while after its end.
    if wall_seconds() >= principal.expires_at + _TOKEN_LEEWAY_SECONDS:
        raise NotAuthenticated
    if not principal.may(entry.scope):
        raise NotPermitted(code="scope_missing")
    return principal


def _check_path(entry: Route, values: dict[str, str]) -> None:
    for name, value in values.items():
        pattern = entry.path_patterns.get(name)
        # What cannot be an id is unknown, and is answered in the same words.
        if not (is_id(value) if pattern is None else re.fullmatch(pattern, value)):
            raise NotFound(name)


def _query(entry: Route, raw: RawRequest) -> BaseModel | None:
    given = raw.query_params
    names = list(given.keys()) if given is not None else []
    if entry.query is None:
        if names:
            raise InvalidQuery(FieldError(name, "unknown", "no such parameter", "query") for name in names)
        return None
    repeated = [name for name in names if len(given.getlist(name)) > 1] if given is not None else []
    if repeated:
        raise InvalidQuery(FieldError(name, "repeated", "give it once", "query") for name in repeated)
    try:
        return entry.query.model_validate_strings({name: given[name] for name in names} if given is not None else {})
    except ValidationError as refusal:
        raise InvalidQuery(field_errors(refusal, source="query")) from None


def _body(entry: Route, raw: RawRequest, max_bytes: int) -> tuple[BaseModel | None, Any]:
    if entry.method not in WRITING:
        return None, None
    octets = raw.raw_body or b""
    octets = octets.encode() if isinstance(octets, str) else octets
    if entry.body is None:
        if octets.strip() not in (b"", b"{}"):
            raise InvalidInput("", "unexpected_body", "this route takes no body")
        return None, None
    check_content_type(raw.headers.get("content-type"))
    content = read_json(octets, max_bytes=max_bytes)
    try:
        # From the text, not from the parsed value: strict models then know JSON's own forms of dates and tuples.
        return entry.body.model_validate_json(octets), content
    except ValidationError as refusal:
        raise InvalidInput.of(field_errors(refusal, source="body")) from None


def _expected_version(entry: Route, raw: RawRequest) -> int | None:
    given = raw.headers.get("if-match") if entry.method != "GET" else None
    if given is None:
        if entry.needs_if_match:
            raise PreconditionRequired
        return None
    tag = _STRONG_TAG.fullmatch(given.strip())
    if tag is None:
        detail = "give exactly one strong entity tag"
        raise InvalidQuery([FieldError("If-Match", "malformed", detail, "header")])
    if not _VERSION.fullmatch(tag[1]):
        # Well formed and none of ours: it matches nothing.
        raise PreconditionFailed
    return int(tag[1])


def _slot(entry: Route, raw: RawRequest, principal: Principal | None) -> Slot | None:
    if not entry.is_idempotent or principal is None:
        return None
    given = (raw.headers.get("idempotency-key") or "").strip()
    if _KEY_TOKEN.fullmatch(given):
        return slot_of(principal, entry.key, given)
    text = _KEY_STRING.fullmatch(given)
    if text is None:
        raise IdempotencyKeyMissing
    return slot_of(principal, entry.key, re.sub(r"\\(.)", r"\1", text[1]))


def _cursor_scope(principal: Principal | None) -> str:
    if principal is None:
        return "public"
    collector = principal.collector or ""
    return f"{principal.role}|{principal.org}|{principal.tenant or ''}|{collector}"


def _render(entry: Route, told: Answer | BaseModel | None) -> Response:
    answer = told if isinstance(told, Answer) else Answer(told)
    status = answer.status or (204 if answer.body is None and entry.status == 200 else entry.status)
    headers: dict[str, Any] = dict(answer.headers)
    content: str | bytes = ""
    if isinstance(answer.body, BaseModel):
        if entry.response is None or not isinstance(answer.body, entry.response):
            raise TypeError(f"{entry.name} answers another model than its route names")
        content = answer.body.model_dump_json(by_alias=True)
        headers["Content-Type"] = "application/json; charset=utf-8"
    elif answer.body is not None:
        headers.setdefault("Content-Type", entry.content_type)
        is_text = headers["Content-Type"].startswith(("text/", "application/json"))
        content = answer.body.decode() if isinstance(answer.body, bytes) and is_text else answer.body
    tag = _tag(entry, answer, content)
    if tag is not None:
        headers["ETag"] = f'"{tag}"'
    if answer.location is not None:
        headers["Location"] = answer.location
    return Response(content, headers, status)


def _tag(entry: Route, answer: Answer, content: str | bytes) -> str | None:
    if answer.version is not None:
        return str(answer.version)
    if answer.tag is not None or not entry.has_content_tag:
        return answer.tag
    octets = content.encode() if isinstance(content, str) else content
    return hashlib.sha256(octets).hexdigest()[:32]


def _not_modified(entry: Route, raw: RawRequest, response: Response) -> Response:
    tag, known = response.headers.get("ETag"), raw.headers.get("if-none-match")
    if entry.method != "GET" or tag is None or known is None:
        return response
    listed = [item.strip().removeprefix("W/") for item in known.split(",")]
    if known.strip() != "*" and tag not in listed:
        return response
    return Response("", {"ETag": str(tag)}, 304)


def _once(
    entry: Route, slot: Slot, fingerprint: str, request_id: str, make: Callable[[], Answer | BaseModel | None]
) -> Response:
    whole: list[Response] = []

    def run() -> Answered:
        try:
            told = make()
            response = _render(entry, told)
            if isinstance(told, Answer) and told.kept is not None:
                whole.append(response)
                response = _render(entry, replace(told, body=told.kept))
        except DomainError as fault:
            if status_of(type(fault)) is None:
                raise
            refusal = _problem(fault, request_id, entry)
            is_final = not isinstance(fault, TooManyRequests)
            return Answered(refusal.status_code, refusal.body, _texts(refusal.headers), is_final)
        return Answered(response.status_code, response.body, _texts(response.headers))

    outcome = idempotency.once(wiring.answers(), slot, fingerprint, run, now_ms=lambda: int(wall_seconds() * 1000))
    if isinstance(outcome, idempotency.Reused):
        raise IdempotencyKeyReused
    if isinstance(outcome, idempotency.InProgress):
        raise IdempotencyInProgress
    if whole and not outcome.is_replay:
        return whole[0]
    headers: dict[str, Any] = dict(outcome.answer.headers)
    if outcome.is_replay:
        headers["Idempotency-Replayed"] = "true"
    return Response(outcome.answer.body, headers, outcome.answer.status)


def _texts(headers: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in headers.items()}


_NATIVE = {
    400: ("invalid_query", "the request cannot be served"),
    404: ("not_found", "there is no such resource"),
    405: ("method_not_allowed", "the route has no such method"),
    415: ("unsupported_media_type", "send the body as application/json"),
}


def native_errors_as_problems(event: RawRequest, get_response: Callable[[Any], Response]) -> Response:
    """HTTP middleware for the app: give errors that the framework itself answers the shape of all others.

    It also pins the request for the views behind it, so that a threaded host cannot mix up two of them.
    """
    pinned = _current.set(event)
    try:
        response = get_response(event)
    finally:
        _current.reset(pinned)
    kind = {name.lower(): value for name, value in response.headers.items()}.get("content-type", "")
    if response.status_code < 400 or str(kind).startswith("application/problem+json"):
        return response
    code, detail = _NATIVE.get(response.status_code, ("internal", "the fault is recorded"))
    request_id = _request_id(event) if event is not None else new_id("req", epoch_ms=int(time.time() * 1000))
    status = response.status_code if response.status_code in _NATIVE else 500
    problem = render(status, code, code, detail, request_id)
    if "Allow" in response.headers:
        problem.headers["Allow"] = response.headers["Allow"]
    problem.headers.update(SECURITY_HEADERS)
    problem.headers["X-Request-Id"] = request_id
    return problem
