"""The view decorator over a small app of its own: what a caller may send, and what they get for it."""

import ast
import json
import logging
import time
from datetime import date
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlencode

import jsonschema
import pytest
from chalice import Chalice
from chalice.app import Blueprint
from chalice.test import Client
from hypothesis import HealthCheck, given
from hypothesis import settings as budget
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from chalicelib import wiring
from chalicelib.domain.concurrency import Conflict
from chalicelib.domain.cursors import cursor_key
from chalicelib.domain.errors import (
    DomainError,
    InvalidInput,
    MalformedBody,
    NotFound,
    NotPermitted,
    PreconditionFailed,
    StateConflict,
    TooManyRequests,
)
from chalicelib.domain.principals import Principal
from chalicelib.edge import authorizer, http, http_problems
from chalicelib.edge.http import Answer, Page, Request, native_errors_as_problems, route
from chalicelib.edge.http_body import MAX_BYTES, read_json
from chalicelib.edge.http_problems import MOST_ERRORS, STATUS, TITLES, TYPE_PREFIX
from chalicelib.edge.routes import Registry
from chalicelib.gateways.oidc import IssuerKeys, Verifier
from chalicelib.usecases.idempotency import KEPT_MS, LEASE_MS, AnswersInMemory
from scripts.issuer import public_jwk
from scripts.tokens import make_token
from tests.flows.test_authorizer import KEY

NOW = 1_800_000_000.0
ROOT = Path(__file__).parents[2]
bp = Blueprint(__name__)
registry = Registry()
world = SimpleNamespace(
    version=4, calls=[], fault=None, now=NOW, answers=AnswersInMemory(), during=None, interleaved=None
)


class NoteIn(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    text: str = Field(max_length=20)
    amount_minor: int = 0
    on: date | None = None
    tags: tuple[str, ...] = ()


class NoteOut(BaseModel):
    id: str
    text: str
    who: str


class NotesQuery(Page):
    state: str | None = Field(default=None, pattern="^[a-z_]+$")


class Notes(BaseModel):
    items: list[str]
    next: str | None


def named(method, path, **options):
    return route(bp, method, path, registry=registry, summary="A route of the test", **options)


@named("GET", "/v1/notes/{note_id}", scope="cases:read", response=NoteOut, errors=[NotFound])
def read_note(principal: Principal, request: Request) -> Answer:
    """Read one note."""
    if world.fault is not None:
        raise world.fault
    return Answer(NoteOut(id=request.path["note_id"], text="谢谢", who=principal.org), version=world.version)


@named("PUT", "/v1/notes/{note_id}", scope="cases:read", body=NoteIn, response=NoteOut, if_match=True)
def write_note(principal: Principal, request: Request) -> Answer:
    if request.expected_version != world.version:
        raise PreconditionFailed(world.version)
    return Answer(
        NoteOut(id=request.path["note_id"], text=request.body.text, who=principal.org), version=world.version + 1
    )


@named("POST", "/v1/notes", scope="cases:read", body=NoteIn, response=NoteOut, status=201)
def add_note(principal: Principal, request: Request) -> Answer:
    world.calls.append(request.body)
    if world.during is not None:
        world.during()
    if world.fault is not None:
        raise world.fault
    made = NoteOut(id=request.derived_id("note"), text=request.body.text, who=principal.subject)
    return Answer(made, version=1, location=f"/v1/notes/{made.id}")


@named("POST", "/v1/notes/{note_id}/close", scope="cases:read", status=204)
def close_note(principal: Principal, request: Request) -> None:
    world.calls.append(request.path["note_id"])


@named("POST", "/v1/question", scope="cases:read", body=NoteIn, response=NoteOut, idempotent=False)
def ask(principal: Principal, request: Request) -> NoteOut:
    return NoteOut(id="n", text=request.body.text, who=principal.org)


@named("GET", "/v1/notes", scope="cases:read", query=NotesQuery, response=Notes, content_tag=True)
def list_notes(principal: Principal, request: Request) -> Notes:
    last = request.after()
    start = 0 if last is None else last["n"]
    stop = min(start + request.query.limit, 5)
    return Notes(
        items=[f"{principal.org}-{number}" for number in range(start, stop)],
        next=request.cursor({"n": stop}) if stop < 5 else None,
    )


@named("GET", "/v1/changes", scope="assignments:read", query=Page, response=Notes)
def changes(principal: Principal, request: Request) -> Notes:
    last = request.after(resync="/v1/notes")
    return Notes(items=[] if last is None else [str(last["n"])], next=request.cursor({"n": 7}, seconds=60))


@named(
    "GET",
    "/v1/files/{name}",
    scope="cases:read",
    content_type="text/plain",
    also_types=("text/csv",),
    path_patterns={"name": r"[a-z]+\.txt"},
)
def read_file(principal: Principal, request: Request) -> Answer:
    if request.path["name"] == "table.txt":
        return Answer("甲,乙".encode(), headers={"Content-Type": "text/csv; charset=utf-8"})
    return Answer("plain text")


@named("GET", "/v1/wrong", scope="cases:read", response=NoteOut)
def answer_wrongly(principal: Principal, request: Request) -> Notes:
    return Notes(items=["personal 13800138000"], next=None)


@named("GET", "/v1/public", scope=None, response=Notes)
def read_public(principal: None, request: Request) -> Notes:
    return Notes(items=[repr(principal)], next=None)


def interleave(event, get_response):
    """Serve another request between the arrival of this one and its view."""
    nested, world.interleaved = world.interleaved, None
    if nested is not None:
        nested()
    return get_response(event)


app = Chalice(app_name="forbear", configure_logs=False)
app.register_blueprint(bp)
app.register_middleware(native_errors_as_problems, "http")
app.register_middleware(interleave, "http")


@pytest.fixture(autouse=True)
def _world(monkeypatch):
    world.version, world.calls, world.fault, world.now, world.during = 4, [], None, NOW, None
    world.answers, world.interleaved = AnswersInMemory(), None
    document = json.dumps({"keys": [public_jwk(KEY)]}).encode()
    verifier = Verifier(
        "https://issuer.forbear.test",
        "forbear-api",
        IssuerKeys("https://keys", fetch=lambda _: document),
        now=lambda: world.now,
    )
    monkeypatch.setattr(authorizer, "verifier", lambda: verifier)
    # No lender is registered here, and there is no table to ask.
    monkeypatch.setattr(wiring, "home_of", lambda scope: None)
    monkeypatch.setattr(wiring, "region", lambda: "eu-west-1")
    monkeypatch.setattr(http, "wall_seconds", lambda: world.now)
    monkeypatch.setattr(wiring, "answers", lambda: world.answers)
    monkeypatch.setattr(http.admissions, "note", lambda principal, request_id: None)
    monkeypatch.setattr(wiring, "cursor_key", lambda: cursor_key(b"k" * 32))


def bearer(role="lender", org="acme", **deviations):
    token = make_token(
        role=role,
        org=org,
        key=KEY,
        issuer="https://issuer.forbear.test",
        audience="forbear-api",
        now=int(NOW),
        **deviations,
    )
    return {"authorization": f"Bearer {token}"}


def call(method, path, body=None, *, headers=None, who=None):
    sent = {"content-type": "application/json", **(bearer() if who is None else who), **(headers or {})}
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return Client(app).http.request(method, path, headers={k: v for k, v in sent.items() if v is not None}, body=raw)


def post(body, *, key="key-1", path="/v1/notes", **options):
    headers = {**({"idempotency-key": key} if key is not None else {}), **options.pop("headers", {})}
    return call("POST", path, body, headers=headers, **options)


def assert_problem(answer, status, code, type_code=None):
    assert (answer.status_code, answer.json_body["code"]) == (status, code)
    problem = answer.json_body
    assert answer.headers["Content-Type"] == "application/problem+json"
    jsonschema.validate(problem, {"$ref": "#/components/schemas/Problem", **document()})
    assert set(problem) <= {"type", "title", "status", "code", "detail", "request_id", "errors"}
    assert problem["status"] == status
    assert problem["type"] == TYPE_PREFIX + (type_code or code)
    assert problem["title"] == TITLES[type_code or code]
    assert problem["request_id"] == answer.headers["X-Request-Id"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    return problem


# Callers


def test_answer_is_json_in_utf8_that_nobody_may_keep_or_guess_at():
    answer = call("GET", "/v1/notes/n1")
    assert answer.status_code == 200
    assert answer.json_body == {"id": "n1", "text": "谢谢", "who": "acme"}
    assert "谢谢".encode() in answer.body
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Request-Id"].startswith("req_")
    assert answer.headers["ETag"] == '"4"'


def test_request_id_is_the_gateways():
    event = {
        "requestContext": {"httpMethod": "GET", "resourcePath": "/v1/public", "requestId": "c6af9ac6-7b61-11e6-9a41"},
        "headers": {},
        "multiValueQueryStringParameters": None,
        "pathParameters": {},
        "stageVariables": {},
        "body": None,
    }
    assert app(event, None)["headers"]["X-Request-Id"] == "req_c6af9ac6-7b61-11e6-9a41"


@pytest.mark.parametrize("who", [{}, {"authorization": "Bearer x.y.z"}, {"authorization": ""}])
def test_caller_without_a_good_token_gets_401_and_reaches_no_view(who):
    world.fault = AssertionError("reached")
    assert call("GET", "/v1/notes/n1", who=who).status_code == 401


def test_view_reached_without_an_authorizer_is_closed():
    """Whatever is in front of the app may be set up wrongly; the decorator does not admit on its own."""
    for context in (
        {},
        {"authorizer": None},
        {"authorizer": {}},
        {"authorizer": {"principal": "{}"}},
        {"authorizer": {"principal": 5}},
    ):
        event = {
            "requestContext": {"httpMethod": "GET", "resourcePath": "/v1/notes/{note_id}", **context},
            "headers": {},
            "multiValueQueryStringParameters": None,
            "pathParameters": {"note_id": "n1"},
            "stageVariables": {},
            "body": None,
        }
        answer = app(event, None)
        assert answer["statusCode"] == 401
        assert answer["headers"]["WWW-Authenticate"].startswith("Bearer")


def test_token_that_ended_while_the_gateway_still_admitted_it_is_refused(monkeypatch):
    principal = Principal.model_validate_json(
        authorizer.authorize(
            {"type": "TOKEN", "authorizationToken": bearer(ttl=60)["authorization"], "methodArn": "a:b:c:d:e:f/g/h"},
            None,
        )["context"]["principal"]
    )
    event = {
        "requestContext": {
            "httpMethod": "GET",
            "resourcePath": "/v1/notes/{note_id}",
            "authorizer": {"principal": principal.model_dump_json()},
        },
        "headers": {},
        "multiValueQueryStringParameters": None,
        "pathParameters": {"note_id": "n1"},
        "stageVariables": {},
        "body": None,
    }
    world.now = NOW + 64
    assert app(event, None)["statusCode"] == 200
    world.now = NOW + 65
    assert app(event, None)["statusCode"] == 401


def test_caller_without_the_routes_scope_is_refused():
    assert_problem(
        call("GET", "/v1/notes/n1", who=bearer(role="admin", org="platform")), 403, "scope_missing", "not_permitted"
    )
    assert_problem(call("GET", "/v1/notes/n1", who=bearer(scopes=["kpis:read"])), 403, "scope_missing", "not_permitted")
    assert_problem(call("GET", "/v1/changes"), 403, "scope_missing", "not_permitted")


def test_public_route_has_no_principal_even_with_a_token():
    assert call("GET", "/v1/public", who={}).json_body["items"] == ["None"]


def test_request_that_another_one_interrupts_keeps_its_caller_path_and_body():
    other = []
    world.interleaved = lambda: other.append(
        post({"text": "bank's"}, who=bearer(org="bank"), path="/v1/question", key=None)
    )
    answer = post({"text": "acme's"}, path="/v1/question", key=None)
    assert (answer.json_body["who"], answer.json_body["text"]) == ("acme", "acme's")
    assert (other[0].json_body["who"], other[0].json_body["text"]) == ("bank", "bank's")


# Paths and parameters


@pytest.mark.parametrize("path", ["a%20b", "a.b", "é", "..%2f", "x" * 81, "a%00", "%0a", "a@b"])
def test_path_that_holds_no_id_is_answered_like_an_unknown_one(path):
    odd = assert_problem(call("GET", f"/v1/notes/{path}"), 404, "not_found")
    world.fault = NotFound("note", "n1")
    unknown = assert_problem(call("GET", "/v1/notes/n1"), 404, "not_found")
    assert {**odd, "request_id": ""} == {**unknown, "request_id": ""}


def test_id_of_what_was_not_found_is_not_repeated():
    world.fault = NotFound("note", "secret-id")
    assert "secret-id" not in json.dumps(call("GET", "/v1/notes/n1").json_body)


def test_path_pattern_of_a_route_is_matched_whole():
    assert call("GET", "/v1/files/read.txt").body == b"plain text"
    assert call("GET", "/v1/files/read.txt").headers["Content-Type"] == "text/plain"
    assert call("GET", "/v1/files/read.txtx").status_code == 404
    assert call("GET", "/v1/files/READ.txt").status_code == 404


@pytest.mark.parametrize(
    ("query", "parameter", "code"),
    [
        ("limit=0", "limit", "greater_than_equal"),
        ("limit=101", "limit", "less_than_equal"),
        ("limit=x", "limit", "int_parsing"),
        ("limit=", "limit", "int_parsing"),
        ("limit=1&limit=2", "limit", "repeated"),
        ("state=A!", "state", "string_pattern_mismatch"),
        ("unknown=1", "unknown", "extra_forbidden"),
        ("cursor=" + "x" * 3_000, "cursor", "string_too_long"),
    ],
)
def test_parameter_that_is_wrong_is_named(query, parameter, code):
    problem = assert_problem(call("GET", f"/v1/notes?{query}"), 400, "invalid_query")
    assert [(error["parameter"], error["code"]) for error in problem["errors"]] == [(parameter, code)]


def test_route_without_parameters_takes_none():
    problem = assert_problem(call("GET", "/v1/notes/n1?debug=1"), 400, "invalid_query")
    assert problem["errors"][0]["parameter"] == "debug"


# Bodies


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "not_json"),
        (b"{", "not_json"),
        (b'{"text":"a"}x', "not_json"),
        (b"{'text':'a'}", "not_json"),
        (b'{"text":"a",}', "not_json"),
        (b'\xef\xbb\xbf{"text":"a"}', "not_json"),
        (b'{"text":"a\nb"}', "not_json"),
        (b'{"text":"\\x"}', "not_json"),
        (b'{"text":"\xff"}', "not_utf8"),
        (b'{"text":"\xed\xa0\x80"}', "not_utf8"),
        ('{"text":"a"}'.encode("utf-16"), "not_utf8"),
        (b'{"text":"a","text":"b"}', "repeated_key"),
        (b'{"text":"a","\\u0074ext":"b"}', "repeated_key"),
        (b'{"text":"a","tags":[{"a":1,"a":1}]}', "repeated_key"),
        (b'{"amount_minor":NaN}', "not_json"),
        (b'{"amount_minor":-Infinity}', "not_json"),
        (b'{"amount_minor":1e400}', "number_too_large"),
        (b'{"amount_minor":-1e400}', "number_too_large"),
        (b'{"amount_minor":9007199254740992}', "number_too_large"),
        (b'{"amount_minor":' + b"9" * 5_000 + b"}", "number_too_large"),
        (b'{"amount_minor":0.' + b"1" * 5_000 + b"}", "number_too_large"),
        (b'{"text":"\\ud800"}', "not_text"),
        (b'{"text":"\\udc00\\ud800"}', "not_text"),
        (b'{"\\ud800":1}', "not_text"),
        (b'{"text":"a\\u0000b"}', "not_text"),
        (b'{"tags":["\\uDFFF"]}', "not_text"),
        (b"[" * 33 + b"]" * 33, "too_deep"),
        (b'{"a":' * 33 + b"1" + b"}" * 33, "too_deep"),
        (b"[" * 100_000, "too_deep"),
        (b'{"a":' * 40_000, "too_deep"),
    ],
)
def test_hostile_body_is_refused_and_nothing_of_it_is_repeated(raw, code):
    problem = assert_problem(call("POST", "/v1/question", raw), 400, "malformed_body")
    assert problem["errors"] == [{"pointer": "", "code": code, "detail": problem["errors"][0]["detail"]}]
    assert world.calls == []


def test_limits_of_a_body_are_exact():
    assert read_json(b"[" * 32 + b"]" * 32) is not None
    assert read_json(b'{"a":9007199254740991,"b":-9007199254740991}') == {"a": 2**53 - 1, "b": -(2**53 - 1)}
    assert read_json(b'"' + b"x" * (MAX_BYTES - 2) + b'"') == "x" * (MAX_BYTES - 2)
    assert read_json(b'{"a":"[[[[\\"[[[[","b":"' + b"[" * 1_000 + b'"}')["a"] == '[[[["[[[['
    assert read_json('{"a":"\\ud83d\\ude00","b":"😀"}'.encode()) == {"a": "😀", "b": "😀"}


@pytest.mark.parametrize("unit", [b'\\"', b'"', b"\\", b"[]", b'"\\', b"[", b"-", b"1", b" ", b'{"a":', b"\\u00e9"])
@pytest.mark.parametrize("start", [b"", b'"', b'["'])
def test_no_body_takes_longer_than_its_length_allows(start, unit):
    """A reader that goes back over the text for each quote would be at it for many minutes."""
    raw = (start + unit * MAX_BYTES)[:MAX_BYTES]
    began = time.perf_counter()
    with pytest.raises(MalformedBody):
        read_json(raw)
    assert time.perf_counter() - began < 2


def test_body_that_is_wrong_in_very_many_places_is_told_so_in_few_words():
    some = assert_problem(call("POST", "/v1/question", {f"f{n}": 1 for n in range(200)}), 422, "invalid_input")
    assert len(some["errors"]) == MOST_ERRORS
    many = assert_problem(call("POST", "/v1/question", {f"f{n}": 1 for n in range(5_000)}), 422, "invalid_input")
    assert [error["code"] for error in many["errors"]] == ["too_many_errors"]


def test_too_large_body_is_refused_before_it_is_parsed():
    raw = b'"' + b"x" * (MAX_BYTES - 1) + b'"'
    assert len(raw) == MAX_BYTES + 1
    assert_problem(call("POST", "/v1/question", raw), 413, "body_too_large")
    assert_problem(call("POST", "/v1/question", b"\xff" * (MAX_BYTES + 1)), 413, "body_too_large")


@pytest.mark.parametrize(
    "kind",
    [
        None,
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=latin-1",
        "application/jsonx",
        "text/json",
    ],
)
def test_body_of_another_media_type_is_refused(kind):
    assert_problem(
        call("POST", "/v1/question", {"text": "a"}, headers={"content-type": kind}), 415, "unsupported_media_type"
    )


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"']
)
def test_json_in_utf8_is_taken_however_it_is_spelled(kind):
    assert call("POST", "/v1/question", {"text": "a"}, headers={"content-type": kind}).status_code == 200


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, [("/text", "missing")]),
        ({"text": "a", "more": 1}, [("/more", "extra_forbidden")]),
        ({"text": 5}, [("/text", "string_type")]),
        ({"text": "a", "amount_minor": "5"}, [("/amount_minor", "int_type")]),
        ({"text": "a", "amount_minor": 5.0}, [("/amount_minor", "int_type")]),
        ({"text": "a", "amount_minor": True}, [("/amount_minor", "int_type")]),
        ({"text": "a", "on": "soon"}, [("/on", "date_parsing")]),
        ({"text": "a", "tags": ["x", 5]}, [("/tags/1", "string_type")]),
        ({"text": "a", "a/b~c": 1}, [("/a~1b~0c", "extra_forbidden")]),
        ([], [("", "model_type")]),
        (None, [("", "model_type")]),
        ("text", [("", "model_type")]),
    ],
)
def test_field_that_is_wrong_is_named_by_its_pointer(body, expected):
    problem = assert_problem(call("POST", "/v1/question", json.dumps(body).encode()), 422, "invalid_input")
    assert [(error["pointer"], error["code"]) for error in problem["errors"]] == expected


def test_strict_model_knows_jsons_own_forms_of_dates_and_tuples():
    body = {"text": "a", "on": "2026-11-24", "tags": ["x"]}
    assert call("POST", "/v1/question", body).status_code == 200


def test_route_that_takes_no_body_refuses_one():
    assert post(None, path="/v1/notes/n1/close").status_code == 204
    assert post({}, path="/v1/notes/n1/close", key="key-2").status_code == 204
    assert_problem(post({"a": 1}, path="/v1/notes/n1/close", key="key-3"), 422, "invalid_input")


JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NOTE_LIKE = st.fixed_dictionaries(
    {}, optional={"text": JSON_LIKE, "amount_minor": JSON_LIKE, "on": JSON_LIKE, "tags": JSON_LIKE, "more": JSON_LIKE}
)


@budget(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.binary(max_size=200)
    | JSON_LIKE.map(lambda v: json.dumps(v).encode())
    | NOTE_LIKE.map(lambda v: json.dumps(v).encode())
)
def test_whatever_the_body_is_the_answer_is_a_note_or_a_problem_of_the_caller(body):
    answer = call("POST", "/v1/question", body)
    if answer.status_code == 200:
        NoteIn.model_validate_json(body)
    else:
        assert answer.status_code in (400, 422)
        assert_problem(answer, answer.status_code, answer.json_body["code"])


HEADER = st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=40)


@budget(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    headers=st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(("idempotency-key", "if-match", "if-none-match", "content-type", "accept"), HEADER),
    ),
    target=st.sampled_from(
        [("POST", "/v1/notes"), ("PUT", "/v1/notes/n1"), ("GET", "/v1/notes/n1"), ("GET", "/v1/notes")]
    ),
)
def test_whatever_the_headers_are_there_is_no_fault_of_ours(headers, target):
    answer = call(*target, {"text": "a"} if target[0] != "GET" else None, headers=headers)
    assert answer.status_code < 500
    if answer.status_code >= 400:
        assert_problem(answer, answer.status_code, answer.json_body["code"])


@budget(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    parameters=st.lists(
        st.tuples(st.sampled_from(["cursor", "limit", "state", "x", ""]), st.text(max_size=60)), max_size=4
    )
)
def test_whatever_the_parameters_are_there_is_no_fault_of_ours(parameters):
    assert call("GET", f"/v1/notes?{urlencode(parameters)}").status_code in (200, 400)


# Faults


class Overdrawn(StateConflict):
    """A subclass that no table names."""


@pytest.mark.parametrize(
    ("fault", "status", "code", "type_code"),
    [
        (NotFound("case", "case_1"), 404, "not_found", "not_found"),
        (NotPermitted("no", code="no_tenant"), 403, "no_tenant", "not_permitted"),
        (StateConflict("case_not_workable", "the case is settled"), 409, "case_not_workable", "state_conflict"),
        (Overdrawn("overdrawn", "more than is owed"), 409, "overdrawn", "state_conflict"),
        (Conflict("case_1"), 409, "busy", "busy"),
        (InvalidInput("/point", "unknown_contact_point", "no such point"), 422, "invalid_input", "invalid_input"),
        (TooManyRequests(30), 429, "too_many_requests", "too_many_requests"),
        (DomainError("something"), 500, "internal", "internal"),
        (KeyError("13800138000"), 500, "internal", "internal"),
        (RecursionError("deep"), 500, "internal", "internal"),
        (MemoryError(), 500, "internal", "internal"),
    ],
)
def test_each_fault_has_its_problem(fault, status, code, type_code):
    world.fault = fault
    problem = assert_problem(call("GET", "/v1/notes/n1"), status, code, type_code)
    if isinstance(fault, InvalidInput):
        assert problem["errors"] == [{"pointer": "/point", "code": "unknown_contact_point", "detail": "no such point"}]
    if status == 500:
        assert "13800138000" not in json.dumps(problem)


def test_faults_that_pass_say_when_to_come_again():
    world.fault = TooManyRequests(30)
    assert call("GET", "/v1/notes/n1").headers["Retry-After"] == "30"
    world.fault = Conflict("x")
    assert call("GET", "/v1/notes/n1").headers["Retry-After"] == "1"


def test_unforeseen_fault_is_logged_by_type_and_place_and_never_by_its_text(capsys):
    world.fault = ValueError("borrower 13800138000 said no")
    call("GET", "/v1/notes/n1")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    logged = next(line for line in lines if line.get("message") == "unforeseen fault")
    assert logged["error"] == "ValueError"
    assert logged["at"].startswith("test_http.py:")
    assert logged["route"] == "/v1/notes/{note_id}"
    assert "13800138000" not in json.dumps(lines)


def test_request_is_logged_by_its_route_and_never_by_its_path_or_body(capsys):
    call("GET", "/v1/notes/note-9431")
    post({"text": "personal-text"})
    out = capsys.readouterr().out
    assert "/v1/notes/{note_id}" in out
    assert "note-9431" not in out and "personal-text" not in out and "key-1" not in out


def test_answer_of_another_model_than_the_routes_is_a_fault_and_leaks_nothing():
    answer = call("GET", "/v1/wrong")
    assert_problem(answer, 500, "internal")
    assert b"13800138000" not in answer.body


def test_frameworks_own_errors_have_the_same_shape():
    answer = call("DELETE", "/v1/notes/n1")
    assert_problem(answer, 405, "method_not_allowed")
    assert "GET" in answer.headers["Allow"]


def test_every_fault_class_has_a_status_and_every_type_a_title_and_an_entry_in_the_docs():
    told = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    for fault in STATUS:
        assert http_problems.type_code(fault) in TITLES
    for fault in _subclasses(DomainError) - {Overdrawn}:
        assert http_problems.status_of(fault) is not None, fault
    assert all(f"`{code}`" in told for code in TITLES)


def _subclasses(kind):
    return {kind for child in kind.__subclasses__() for kind in {child, *_subclasses(child)}}


# Versions


def test_poll_with_the_known_tag_gets_304_without_a_body():
    answer = call("GET", "/v1/notes/n1", headers={"if-none-match": '"4"'})
    assert (answer.status_code, answer.body) == (304, b"")
    assert answer.headers["ETag"] == '"4"'
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("known", "status"), [('W/"4"', 304), ('"3", "4"', 304), ("*", 304), ('"3"', 200), ("4", 200), ("", 200)]
)
def test_if_none_match_is_compared_weakly_with_each_tag(known, status):
    assert call("GET", "/v1/notes/n1", headers={"if-none-match": known}).status_code == status


def test_list_has_the_tag_of_its_bytes():
    tag = call("GET", "/v1/notes?limit=100").headers["ETag"]
    assert call("GET", "/v1/notes?limit=100", headers={"if-none-match": tag}).status_code == 304
    assert call("GET", "/v1/notes?limit=100", headers={"if-none-match": tag}, who=bearer(org="bank")).status_code == 200


def test_refusal_is_never_answered_by_304():
    world.fault = NotFound("note", "n1")
    assert call("GET", "/v1/notes/n1", headers={"if-none-match": "*"}).status_code == 404


def put(headers):
    return call("PUT", "/v1/notes/n1", {"text": "new"}, headers=headers)


def test_write_without_if_match_is_told_to_send_it():
    problem = assert_problem(put({}), 428, "precondition_required")
    assert problem["errors"][0]["header"] == "If-Match"


def test_write_on_the_present_version_is_done_and_answers_the_next_tag():
    answer = put({"if-match": '"4"'})
    assert (answer.status_code, answer.headers["ETag"]) == (200, '"5"')


@pytest.mark.parametrize("tag", ['"3"', '"5"', '"abc"', '""', '"4 "', '"99999999999999999999"'])
def test_write_on_another_version_fails(tag):
    answer = put({"if-match": tag})
    assert answer.status_code in (400, 412)
    assert answer.status_code == 412 or tag == '"4 "'


def test_failed_precondition_tells_the_present_tag():
    answer = put({"if-match": '"3"'})
    assert_problem(answer, 412, "precondition_failed")
    assert answer.headers["ETag"] == '"4"'


@pytest.mark.parametrize("tag", ["4", "*", 'W/"4"', '"3", "4"', '"4', "", " "])
def test_if_match_that_is_not_one_strong_tag_is_refused(tag):
    problem = assert_problem(put({"if-match": tag}), 400, "invalid_query")
    assert problem["errors"][0]["header"] == "If-Match"


# Idempotency


def test_post_without_a_key_is_refused():
    problem = assert_problem(post({"text": "a"}, key=None), 400, "idempotency_key_missing")
    assert problem["errors"][0]["header"] == "Idempotency-Key"
    assert world.calls == []


@pytest.mark.parametrize(
    "key", ["", " ", '""', '"a', 'a"', "é", "a b", "x" * 129, '"' + "x" * 129 + '"', '"a\x00"', "a,b", '"a"; p=1']
)
def test_key_of_another_form_is_refused(key):
    assert_problem(post({"text": "a"}, key=key), 400, "idempotency_key_missing")


@pytest.mark.parametrize(
    "key", ["a", "x" * 128, "8e03978e-40d5-43dd-bc93-6894a57f9324", '"a b, c; \\" \\\\"', "MDEyMzQ1+/="]
)
def test_key_may_be_a_token_or_a_structured_string(key):
    assert post({"text": "a"}, key=key).status_code == 201
    assert post({"text": "a"}, key=key).headers["Idempotency-Replayed"] == "true"


def test_string_and_token_of_the_same_text_are_the_same_key():
    post({"text": "a"}, key="abc")
    assert post({"text": "a"}, key='"abc"').headers["Idempotency-Replayed"] == "true"


def test_ten_replays_have_one_effect_and_the_same_answer():
    first = post({"text": "a"})
    assert first.status_code == 201
    assert "Idempotency-Replayed" not in first.headers
    for _ in range(10):
        again = post({"text": "a"})
        assert (again.status_code, again.body) == (201, first.body)
        assert again.headers["Idempotency-Replayed"] == "true"
        for name in ("Location", "ETag", "Content-Type", "Cache-Control", "X-Content-Type-Options"):
            assert again.headers[name] == first.headers[name]
        assert again.headers["X-Request-Id"] != first.headers["X-Request-Id"]
    assert len(world.calls) == 1


def test_same_request_in_other_key_order_is_the_same_request():
    post(b'{"text":"a","amount_minor":1}')
    assert post(b'{ "amount_minor": 1, "text": "\\u0061" }').headers["Idempotency-Replayed"] == "true"


def test_same_key_with_another_body_or_target_is_refused():
    post({"text": "a"})
    assert_problem(post({"text": "b"}), 422, "idempotency_key_reused")
    post(None, path="/v1/notes/n1/close", key="key-2")
    assert_problem(post(None, path="/v1/notes/n2/close", key="key-2"), 422, "idempotency_key_reused")
    assert len(world.calls) == 2


def test_key_belongs_to_one_client_and_one_route():
    answers = [
        post({"text": "a"}),
        post({"text": "a"}, who=bearer(subject="other")),
        post({"text": "a"}, who=bearer(org="bank")),
        post({"text": "a"}, who=bearer(subject="lender-acme", tenant="bank")),
        post(None, path="/v1/notes/n1/close"),
    ]
    assert [answer.status_code for answer in answers] == [201, 201, 201, 201, 204]
    assert not any("Idempotency-Replayed" in answer.headers for answer in answers)


def test_key_is_not_used_up_by_a_request_that_was_refused_at_the_door():
    assert post({"text": 5}).status_code == 422
    assert post({"text": "a"}).status_code == 201


def test_request_in_progress_is_answered_by_409_and_runs_once():
    seen = []
    world.during = lambda: seen.append(post({"text": "a"}))
    assert post({"text": "a"}).status_code == 201
    assert_problem(seen[0], 409, "idempotency_in_progress")
    assert seen[0].headers["Retry-After"] == "1"
    assert len(world.calls) == 1


def test_request_that_a_domain_fault_ended_is_replayed_as_it_ended():
    world.fault = StateConflict("closed", "it is closed")
    assert_problem(post({"text": "a"}), 409, "closed", "state_conflict")
    world.fault = None
    again = post({"text": "a"})
    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (409, "true")
    assert post({"text": "a"}, key="key-2").status_code == 201


@pytest.mark.parametrize("fault", [KeyError("x"), Conflict("x"), TooManyRequests(1)])
def test_fault_that_may_pass_frees_the_key(fault):
    world.fault = fault
    assert post({"text": "a"}).status_code in (409, 429, 500)
    world.fault = None
    assert post({"text": "a"}).status_code == 201
    assert len(world.calls) == 2


def test_holder_that_died_frees_the_key_when_its_lease_ends_and_its_second_run_takes_the_same_id():
    world.during = lambda: (_ for _ in ()).throw(KeyboardInterrupt)
    world.answers.release = lambda slot, *, held_until: None
    with pytest.raises(KeyboardInterrupt):
        post({"text": "a"})
    world.during = None
    world.now = NOW + LEASE_MS / 1000 - 0.001
    assert_problem(post({"text": "a"}), 409, "idempotency_in_progress")
    world.now = NOW + LEASE_MS / 1000
    made = post({"text": "a"})
    assert made.status_code == 201
    world.answers = AnswersInMemory()
    assert post({"text": "a"}).json_body["id"] == made.json_body["id"]
    assert post({"text": "a"}, key="key-2").json_body["id"] != made.json_body["id"]


def test_answer_is_kept_for_seven_days():
    first = post({"text": "a"}, who=bearer())
    assert first.status_code == 201
    slot, entry = next(iter(world.answers.entries.items()))
    assert entry.until == int(NOW * 1000) + KEPT_MS == int((NOW + 7 * 86_400) * 1000)
    assert slot.client == "I#acme#lender-acme"
    assert slot.operation.startswith("POST /v1/notes#") and "key-1" not in slot.operation


def test_post_that_changes_nothing_may_do_without_a_key():
    assert call("POST", "/v1/question", {"text": "a"}).status_code == 200


def test_route_without_a_key_derives_no_ids():
    request = Request(
        id="req_1",
        path={},
        query=None,
        body=None,
        expected_version=None,
        headers={},
        _route=next(iter(registry)),
        _cursor_scope="",
    )
    with pytest.raises(LookupError):
        request.derived_id("note")


# Cursors


def walk(who=None):
    items, cursor = [], None
    while True:
        page = call("GET", "/v1/notes?limit=2" + (f"&cursor={cursor}" if cursor else ""), who=who).json_body
        items += page["items"]
        cursor = page["next"]
        if cursor is None:
            return items


def test_cursors_lead_through_the_whole_list_once():
    assert walk() == [f"acme-{number}" for number in range(5)]


def first_cursor(path="/v1/notes?limit=2", **options):
    return call("GET", path, **options).json_body["next"]


def test_cursor_allows_another_limit_but_no_other_filter_caller_or_list():
    cursor = first_cursor()
    assert call("GET", f"/v1/notes?limit=1&cursor={cursor}").json_body["items"] == ["acme-2"]
    for path, who in [
        (f"/v1/notes?state=open&cursor={cursor}", None),
        (f"/v1/notes?cursor={cursor}", bearer(org="bank")),
        (f"/v1/notes?cursor={cursor}", bearer(role="compliance")),
        (f"/v1/notes?cursor={cursor}", bearer(role="agency")),
        (f"/v1/changes?cursor={cursor}", bearer(role="agency")),
        (f"/v1/notes?cursor={cursor[:-2]}AA", None),
        ("/v1/notes?cursor=AAAA", None),
        ("/v1/notes?cursor=", None),
    ]:
        assert_problem(call("GET", path, who=who), 400, "cursor_rejected")


def test_two_agencies_do_not_share_cursors():
    one, other = (bearer(role="agency", org=org) for org in ("agency-1", "agency-2"))
    cursor = first_cursor("/v1/changes", who=one)
    assert call("GET", f"/v1/changes?cursor={cursor}", who=one).status_code == 200
    assert_problem(call("GET", f"/v1/changes?cursor={cursor}", who=other), 400, "cursor_rejected")


def test_two_collectors_of_an_agency_do_not_share_cursors():
    one, other = (bearer(role="collector", org="agency-1", subject=subject) for subject in ("col_1", "col_2"))
    cursor = first_cursor(who=one)
    assert call("GET", f"/v1/notes?cursor={cursor}", who=one).status_code == 200
    assert_problem(call("GET", f"/v1/notes?cursor={cursor}", who=other), 400, "cursor_rejected")


def test_stale_cursor_of_a_list_is_400_and_of_the_feed_410_with_the_way_back():
    listed = first_cursor()
    agency = bearer(role="agency", org="agency-1", ttl=3_600 * 12)
    fed = first_cursor("/v1/changes", who=agency)
    world.now = NOW + 59
    assert call("GET", f"/v1/changes?cursor={fed}", who=agency).json_body["items"] == ["7"]
    world.now = NOW + 60
    answer = call("GET", f"/v1/changes?cursor={fed}", who=agency)
    assert_problem(answer, 410, "cursor_expired")
    assert answer.headers["Link"] == '</v1/notes>; rel="resync"'
    assert_problem(call("GET", "/v1/changes?cursor=AAAA", who=agency), 400, "cursor_rejected")
    world.now = NOW + http.CURSOR_SECONDS
    late = make_token(
        role="lender",
        org="acme",
        key=KEY,
        issuer="https://issuer.forbear.test",
        audience="forbear-api",
        now=int(world.now),
    )
    assert_problem(
        call("GET", f"/v1/notes?limit=2&cursor={listed}", who={"authorization": f"Bearer {late}"}),
        400,
        "cursor_rejected",
    )


# The table of routes


def test_registry_is_the_apps_table_of_routes():
    served = {f"{method} {path}" for path, methods in app.routes.items() for method in methods}
    assert {entry.key for entry in registry} == served


def test_route_without_scope_has_no_authorizer_and_every_other_has_it():
    for entry in registry:
        served = app.routes[entry.path][entry.method]
        assert (served.authorizer is authorizer.authorize) == (entry.scope is not None)
        assert served.view_name == entry.name


def test_route_may_be_named_once_and_only_with_a_scope_that_some_role_has():
    with pytest.raises(ValueError, match="there already"):
        named("GET", "/v1/notes", scope="cases:read")(lambda principal, request: None)
    with pytest.raises(ValueError, match="no role"):
        named("GET", "/v1/other", scope="cases:steal")(lambda principal, request: None)


def test_answer_may_name_another_media_type_than_its_routes():
    answer = call("GET", "/v1/files/table.txt")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.body == "甲,乙".encode()
    assert set(document()["paths"]["/v1/files/{name}"]["get"]["responses"]["200"]["content"]) == {
        "text/plain",
        "text/csv",
    }


def test_view_stays_callable_as_it_was_written():
    assert read_public(None, None).items == ["None"]


@cache
def document():
    return registry.openapi(server="https://api.forbear.test/v")


def test_document_names_every_route_with_its_scope_and_no_other():
    told = document()
    operations = {
        f"{method.upper()} {path}": operation
        for path, methods in told["paths"].items()
        for method, operation in methods.items()
    }
    assert set(operations) == {entry.key for entry in registry}
    for entry in registry:
        wanted = [] if entry.scope is None else [{"token": [entry.scope]}]
        assert operations[entry.key]["security"] == wanted
        assert operations[entry.key]["operationId"] == entry.name


def test_document_is_openapi_31_whose_every_reference_resolves():
    told = document()
    assert told["openapi"] == "3.1.0"
    text = json.dumps(told)
    for reference in {part.split('"')[0] for part in text.split('"$ref": "')[1:]}:
        assert reference.rsplit("/", 1)[-1] in told["components"]["schemas"]
    assert json.loads(text) == told


def test_document_says_which_headers_bodies_and_problems_a_route_has():
    told = document()["paths"]
    names = {parameter["name"]: parameter for parameter in told["/v1/notes"]["post"]["parameters"]}
    assert names["Idempotency-Key"]["required"]
    assert set(told["/v1/notes"]["post"]["responses"]) == {
        "201",
        "400",
        "401",
        "403",
        "409",
        "413",
        "415",
        "422",
        "500",
    }
    assert {"412", "428"} <= set(told["/v1/notes/{note_id}"]["put"]["responses"])
    assert "404" in told["/v1/notes/{note_id}"]["get"]["responses"]
    assert "304" in told["/v1/notes/{note_id}"]["get"]["responses"]
    query = {
        parameter["name"]: parameter
        for parameter in told["/v1/notes"]["get"]["parameters"]
        if parameter["in"] == "query"
    }
    assert set(query) == {"cursor", "limit", "state"}
    assert query["limit"]["schema"]["maximum"] == 100
    assert told["/v1/public"]["get"]["security"] == []


def test_gateways_own_answers_have_the_same_form():
    template = json.loads((ROOT / "infra" / "template.json").read_text(encoding="utf-8"))
    responses = template["Resources"]["RestAPI"]["Properties"]["GatewayResponses"]
    for kind, told in responses.items():
        problem = json.loads(told["ResponseTemplates"]["application/json"])
        jsonschema.validate(problem, {"$ref": "#/components/schemas/Problem", **document()})
        assert str(problem["status"]) == told["StatusCode"], kind
        assert problem["type"] == TYPE_PREFIX + problem["code"], kind
        assert problem["title"] == TITLES[problem["code"]], kind
        assert told["ResponseParameters"]["Headers"]["Content-Type"] == "'application/problem+json'"
    needed = {
        "UNAUTHORIZED",
        "ACCESS_DENIED",
        "AUTHORIZER_FAILURE",
        "MISSING_AUTHENTICATION_TOKEN",
        "REQUEST_TOO_LARGE",
    }
    assert needed | {"THROTTLED", "INTEGRATION_FAILURE", "INTEGRATION_TIMEOUT"} <= set(responses)


# The kit itself


def test_no_view_is_registered_with_the_framework_past_the_decorator():
    """A route that only the framework knows has no scope, no table entry and no document."""
    past = [
        path.name
        for path in (ROOT / "chalicelib").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "route"
        and path.name != "http.py"
    ]
    assert past == []


def test_frameworks_own_log_lines_carry_no_exception_text(capsys):
    from chalicelib.edge.observed import SERVICE, logger

    logger()
    try:
        raise ValueError("borrower 13800138000")
    except ValueError:
        logging.getLogger(SERVICE).error("Caught exception for path %s", "/v1/x", exc_info=True)
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (line["error"], line["at"].split(":")[0]) == ("ValueError", "test_http.py")
    assert "13800138000" not in json.dumps(line)
