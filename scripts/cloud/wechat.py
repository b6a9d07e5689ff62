"""A double of the WeChat work account (企业微信) that behaves as the real endpoint does, errors included.

Served: ``GET /cgi-bin/gettoken`` and ``POST /cgi-bin/kf/send_msg``. An answer is HTTP 200 with ``errcode``; 0 means that
the message was taken, and it was written into the outbox file before that was said. Error codes follow the public list
of the real service: 40001 wrong secret, 40013 wrong corporation, 40014 no such token, 42001 token expired, 40058 a
parameter is wrong, 45009 called too often, 45002 text too long, 95000 no such account, 95001 the person may not be
written to.
"""

import json
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from scripts.cloud import outbox

TOKEN_SECONDS = 7_200
CALLS_A_MINUTE = 3_000
TEXT_BYTES = 2_048


class Account:
    """One work account: who may call it, which tokens are alive, which messages it took."""

    def __init__(
        self,
        outbox_file: Path,
        *,
        corp_id: str,
        secret: str,
        account: str,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the outbox file and the credentials that are right; messages taken before are read from the file."""
        self._outbox = outbox_file
        self._corp_id, self._secret, self._account = corp_id, secret, account
        self._seconds = seconds
        self._tokens: dict[str, float] = {}
        self._calls: deque[float] = deque()
        self._taken = {line["contact"] for line in outbox.accepted(outbox_file) if line["carrier"] == "wechat"}
        self._lock = threading.Lock()

    def token(self, corp_id: str, secret: str) -> dict[str, Any]:
        """Answer ``gettoken``."""
        if corp_id != self._corp_id:
            return _error(40013, "invalid corpid")
        if secret != self._secret:
            return _error(40001, "invalid credential")
        with self._lock:
            token = secrets.token_urlsafe(32)
            self._tokens[token] = self._seconds() + TOKEN_SECONDS
        return {"errcode": 0, "errmsg": "ok", "access_token": token, "expires_in": TOKEN_SECONDS}

    def send(self, token: str, message: Any) -> dict[str, Any]:
        """Answer ``kf/send_msg``; what it takes stands in the outbox before it says so."""
        with self._lock:
            refusal = self._refusal(token, message)
            if refusal is not None:
                return refusal
            contact = message["msgid"]
            outbox.accept(
                self._outbox,
                carrier="wechat",
                channel="wechat",
                provider_id=contact,
                to=message["touser"],
                body=message["text"]["content"],
                contact=contact,
            )
            self._taken.add(contact)
        return {"errcode": 0, "errmsg": "ok", "msgid": contact}

    def _refusal(self, token: str, message: Any) -> dict[str, Any] | None:
        now = self._seconds()
        expires = self._tokens.get(token)
        if expires is None:
            return _error(40014, "invalid access_token")
        if now >= expires:
            return _error(42001, "access_token expired")
        while self._calls and self._calls[0] <= now - 60:
            self._calls.popleft()
        if len(self._calls) >= CALLS_A_MINUTE:
            return _error(45009, "api freq out of limit")
        self._calls.append(now)
        if not _is_text_message(message):
            return _error(40058, "invalid Request Parameter")
        if message["open_kfid"] != self._account:
            return _error(95000, "invalid open_kfid")
        if len(message["text"]["content"].encode()) > TEXT_BYTES:
            return _error(45002, "content size out of limit")
        if not message["touser"]:
            return _error(95001, "not allowed to send to this user")
        if message["msgid"] in self._taken:
            return _error(40058, "duplicate msgid")
        return None


def _is_text_message(message: Any) -> bool:
    if not isinstance(message, dict) or message.get("msgtype") != "text":
        return False
    text = message.get("text")
    texts = [message.get("touser"), message.get("open_kfid"), message.get("msgid")]
    texts.append(text.get("content") if isinstance(text, dict) else None)
    return all(isinstance(value, str) for value in texts)


def _error(code: int, text: str) -> dict[str, Any]:
    return {"errcode": code, "errmsg": text}


def serve(account: Account, *, port: int) -> ThreadingHTTPServer:
    """Serve the account on loopback in a thread of its own and return the server."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Headers and body in one packet: apart, the second waits until the first was acknowledged, some 40 ms.
        wbufsize = -1

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            given = parse_qs(parts.query)
            if parts.path != "/cgi-bin/gettoken":
                self._answer(_error(40066, "invalid url"))
                return
            self._answer(account.token(given.get("corpid", [""])[0], given.get("corpsecret", [""])[0]))

        def do_POST(self) -> None:
            parts = urlsplit(self.path)
            octets = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if parts.path != "/cgi-bin/kf/send_msg":
                self._answer(_error(40066, "invalid url"))
                return
            try:
                message = json.loads(octets)
            except ValueError:
                message = None
            self._answer(account.send(parse_qs(parts.query).get("access_token", [""])[0], message))

        def _answer(self, body: dict[str, Any]) -> None:
            octets = json.dumps(body, ensure_ascii=False).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(octets)))
            self.end_headers()
            self.wfile.write(octets)

        def log_message(self, format: str, *arguments: object) -> None:
            """Keep quiet: requests name people."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="wechat", daemon=True).start()
    return server
