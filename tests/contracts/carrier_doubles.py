"""A service on the loopback that answers as it is told, and counts what it was asked."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from chalicelib.domain.outreach.carrying import Outbound, content_digest


@dataclass(frozen=True)
class Answer:
    """What the double answers: a status and a body; ``hang_up`` closes the connection instead, ``wait`` holds it."""

    status: int = 200
    body: bytes = b"{}"
    hang_up: bool = False
    wait: bool = False


@dataclass
class Double:
    """The service's address, and every request (method, path with query, body) that it got."""

    url: str
    requests: list[tuple[str, str, bytes]] = field(default_factory=list)

    def bodies_of(self, path: str) -> list[Any]:
        """Return the JSON bodies of requests whose path begins so."""
        return [json.loads(body) for _, asked, body in self.requests if asked.startswith(path)]


@contextmanager
def serving(answer_to: Callable[[str, str, bytes], Answer]) -> Iterator[Double]:
    """Serve on a free loopback port until the block ends; a held connection is let go then."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        # Clients that ask before they send a body ("100-continue") are told to go on.
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            double.requests.append((self.command, self.path, body))
            answer = answer_to(self.command, self.path, body)
            if answer.wait:
                over.wait(timeout=10)
            if answer.hang_up or answer.wait:
                self.close_connection = True
                return
            self.send_response(answer.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_POST = do_PUT = do_HEAD = _serve

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: a test's output holds no addresses."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    double = Double(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield double
    finally:
        over.set()
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


def an_outbound(**deviations: Any) -> Outbound:
    """Return an approved text message to the builders' debtor; its digest follows subject and body unless given."""
    values = {
        "contact": "msg_01jd0000000000000000000000",
        "channel": "sms",
        "to": "+8613812345678",
        "body": "张*您好，请致电400-800-0002。",
        "subject": None,
        "sender": None,
        "not_after": "2026-11-23T03:00:00.000Z",
        "language": "zh",
        "reference": "auto-fin/msg_01jd0000000000000000000000",
        **deviations,
    }
    return Outbound(**{"content": content_digest(values["subject"], values["body"]), **values})


def unused_url() -> str:
    """Return a loopback address where nobody listens."""
    with serving(lambda *_: Answer()) as double:
        url = double.url
    return url
