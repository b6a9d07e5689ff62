"""The front door of the local cloud: the API under ``/v1``, and pages for people who would rather look than read.

``/`` shows clock, queues, figures and archive, with buttons that run a schedule now; ``/outbox`` shows every message that
a carrier took, with the ruling that let it out; ``/rules`` shows the law; ``/scoreboard`` the plan's targets and the weekly
review packs; ``/docs`` the API. Everything is served from one origin.
"""

import base64
import binascii
import http.client
import json
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

MOST_BYTES = 10 * 1024 * 1024
"""API Gateway's limit of a request body."""

PAGES = Path(__file__).parent / "pages"
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "host", "content-length", "upgrade", "te"})


@dataclass(frozen=True)
class Views:
    """What the pages show, each computed when it is asked for. ``run`` runs a schedule now and returns what it said."""

    status: Callable[[], Mapping[str, Any]]
    outbox: Callable[[], list[dict[str, Any]]]
    ruling: Callable[[str], Mapping[str, Any] | None]
    letter: Callable[[str], bytes | None]
    law: Callable[[str], Mapping[str, Any] | None]
    scoreboard: Callable[[], Mapping[str, Any]]
    pack: Callable[[str], bytes | None]
    run: Callable[[str], Any]


KINDS = {
    "MissingAuthenticationTokenException": "MISSING_AUTHENTICATION_TOKEN",
    "UnauthorizedException": "UNAUTHORIZED",
    "AccessDeniedException": "ACCESS_DENIED",
    "ForbiddenException": "ACCESS_DENIED",
    "TooManyRequestsException": "THROTTLED",
    "LimitExceededException": "THROTTLED",
    "ThrottlingException": "THROTTLED",
}
"""What the gateway's error header says, as the kinds of its answers are called in a template."""

_BINARY = ("application/zip", "application/pdf", "application/octet-stream", "application/gzip")
_OWN_FAULTS = (500, 502, 504)


def refused(
    status: int, error: str, refusals: Mapping[str, Mapping[str, Any]]
) -> tuple[int, dict[str, str], bytes] | None:
    """Return status, headers and body that the template gives a refusal of the gateway itself; None when it has none.

    The emulator's gateway does not read that part of a template, so the front door puts it in.
    """
    kind = KINDS.get(error.split(":")[0], "DEFAULT_5XX" if status in _OWN_FAULTS else "DEFAULT_4XX")
    wanted = refusals.get(kind)
    if wanted is None:
        return None
    headers = {name: value.strip("'") for name, value in wanted["ResponseParameters"]["Headers"].items()}
    body = wanted["ResponseTemplates"]["application/json"].replace("$context.requestId", f"req_{uuid.uuid4().hex}")
    return int(wanted["StatusCode"]), headers, body.encode()


def unpacked(content: bytes, kind: str) -> bytes:
    """Return the bytes of a binary answer, which the emulator's gateway passes on in Base64."""
    if not kind.startswith(_BINARY):
        return content
    try:
        return base64.b64decode(content, validate=True)
    except binascii.Error:
        return content


def serve(
    api: str, views: Views, *, port: int, refusals: Mapping[str, Mapping[str, Any]] | None = None
) -> ThreadingHTTPServer:
    """Serve on loopback in a thread of its own and return the server.

    ``api`` is the address of the API's stage; ``refusals`` are the gateway's own answers as in the template, by kind.
    """
    parts = urlsplit(api)
    kept = threading.local()

    def connection(*, fresh: bool = False) -> http.client.HTTPConnection:
        if fresh or getattr(kept, "connection", None) is None:
            kept.connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        found: http.client.HTTPConnection = kept.connection
        return found

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Headers and body in one packet: apart, the second waits until the first was acknowledged, some 40 ms.
        wbufsize = -1

        def do_GET(self) -> None:
            path = self.path.split("?", 1)[0]
            if path.startswith("/v1/"):
                self._forward()
            elif path in ("/", "/outbox", "/rules", "/scoreboard", "/docs"):
                self._page(path.removeprefix("/") or "start")
            elif path == "/_local/scoreboard":
                self._json(200, views.scoreboard())
            elif path.startswith("/_local/packs/"):
                self._pack(path.removeprefix("/_local/packs/"))
            elif path == "/_local/status":
                self._json(200, views.status())
            elif path == "/_local/outbox":
                self._json(200, {"items": views.outbox()})
            elif path.startswith("/_local/rulings/"):
                ruling = views.ruling(path.rsplit("/", 1)[1])
                self._json(404 if ruling is None else 200, ruling or {})
            elif path.startswith("/_local/law/"):
                law = views.law(path.removeprefix("/_local/law/"))
                self._json(404 if law is None else 200, law or {"code": "not_found"})
            elif path.startswith("/_local/letters/"):
                self._letter(path.removeprefix("/_local/letters/"))
            else:
                self._json(404, {"code": "not_found", "detail": "there is no such page"})

        def do_POST(self) -> None:
            path = self.path.split("?", 1)[0]
            if path.startswith("/v1/"):
                self._forward()
            elif path.startswith("/_local/run/"):
                self._read()
                self._json(200, {"answer": views.run(path.rsplit("/", 1)[1])})
            else:
                self._json(404, {"code": "not_found", "detail": "there is no such page"})

        do_PUT = do_PATCH = do_DELETE = do_HEAD = do_POST

        def do_OPTIONS(self) -> None:
            self.send_response(204)
            self.send_header("Allow", "GET, POST, PUT, PATCH, DELETE, OPTIONS")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _read(self) -> bytes | None:
            length = int(self.headers.get("Content-Length") or 0)
            if length > MOST_BYTES:
                self.close_connection = True
                return None
            return self.rfile.read(length)

        def _forward(self) -> None:
            body = self._read()
            if body is None:
                problem = {"type": "urn:forbear:problem:body_too_large", "title": "body too large", "status": 413}
                self._json(413, {**problem, "code": "body_too_large"}, kind="application/problem+json")
                return
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
            for fresh in (False, True):
                line = connection(fresh=fresh)
                try:
                    line.request(self.command, parts.path.rstrip("/") + self.path, body or None, headers)
                    answer = line.getresponse()
                    content = answer.read()
                except (http.client.HTTPException, OSError):
                    kept.connection = None
                    if fresh:
                        self._json(502, {"code": "bad_gateway", "detail": "the API does not answer"})
                        return
                    continue
                error = answer.getheader("x-amzn-errortype")
                own = refused(answer.status, error, refusals or {}) if error else None
                if own is not None:
                    self._send(own[0], own[2], own[1].pop("Content-Type"), own[1])
                    return
                content = unpacked(content, answer.getheader("content-type") or "")
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in _HOP_BY_HOP and name.lower() not in ("date", "server"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
                return

        def _page(self, name: str) -> None:
            self._send(200, (PAGES / f"{name}.html").read_bytes(), "text/html; charset=utf-8")

        def _letter(self, key: str) -> None:
            content = views.letter(key)
            if content is None:
                self._json(404, {"code": "not_found", "detail": "there is no such letter"})
            else:
                self._send(200, content, "application/pdf")

        def _pack(self, name: str) -> None:
            content = views.pack(name)
            if content is None:
                self._json(404, {"code": "not_found", "detail": "there is no such pack"})
            else:
                self._send(200, content, "application/pdf" if name.endswith(".pdf") else "text/html; charset=utf-8")

        def _json(self, status: int, body: Mapping[str, Any], *, kind: str = "application/json") -> None:
            self._send(status, json.dumps(body, ensure_ascii=False, default=str).encode(), f"{kind}; charset=utf-8")

        def _send(self, status: int, content: bytes, kind: str, headers: Mapping[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {"Content-Type": kind, **(headers or {})}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: object) -> None:
            """Keep quiet: the functions' own logs tell what happened."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="front", daemon=True).start()
    return server
