"""The business clock of the local cloud: a person or a program can set it, step it, or let it run faster.

``GET /`` answers ``{"now": RFC 3339, "speed": seconds a second}``; ``POST /`` takes ``{"now", "speed"}``, each optional.
It never goes back, and it survives a restart: what it showed last is written down before it is shown.
"""

import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

STEP = timedelta(seconds=30)
"""How far ahead of what it showed the written mark lies while the clock runs; a restart goes on from the mark."""


class Clock:
    """Tells the business instant. Safe for threads."""

    def __init__(self, file: Path, *, start: datetime, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Go on from the instant in the file, or begin at ``start`` and stand still."""
        self._file, self._monotonic, self._lock = file, monotonic, threading.Lock()
        known: dict[str, Any] = (
            json.loads(file.read_text()) if file.exists() else {"now": start.isoformat(), "speed": 0.0}
        )
        self._base, self._speed = datetime.fromisoformat(known["now"]), float(known["speed"])
        self._since, self._mark = monotonic(), self._base
        self._write()

    def now(self) -> datetime:
        """Return the instant (UTC), never before one that was returned earlier."""
        with self._lock:
            return self._now()

    def speed(self) -> float:
        """Return how many business seconds go by in one real second; 0 when it stands."""
        return self._speed

    def set(self, *, now: datetime | None = None, speed: float | None = None) -> datetime:
        """Move the clock forward and change its speed. Raises ValueError for an earlier instant or a negative speed."""
        with self._lock:
            present = self._now()
            if now is not None and now < present:
                raise ValueError("the clock never goes back")
            if speed is not None and not 0 <= speed <= 86_400:
                raise ValueError("the speed is 0 to 86400")
            self._base, self._since = (now or present).astimezone(UTC), self._monotonic()
            self._speed = self._speed if speed is None else speed
            self._mark = self._base
            self._write()
            return self._base

    def _now(self) -> datetime:
        present = self._base + timedelta(seconds=(self._monotonic() - self._since) * self._speed)
        if present >= self._mark and self._speed:
            self._mark = present + STEP * max(1.0, self._speed)
            self._write()
        return present

    def _write(self) -> None:
        fresh = self._file.with_suffix(".new")
        fresh.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(json.dumps({"now": self._mark.isoformat(), "speed": self._speed}))
        fresh.replace(self._file)


def serve(clock: Clock, *, port: int) -> ThreadingHTTPServer:
    """Serve the clock on loopback in a thread of its own and return the server."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Headers and body in one packet: apart, the second waits until the first was acknowledged, some 40 ms.
        wbufsize = -1

        def do_GET(self) -> None:
            self._answer(200, {"now": clock.now().isoformat(), "speed": clock.speed()})

        def do_POST(self) -> None:
            try:
                told = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
                now = datetime.fromisoformat(told["now"]) if "now" in told else None
                shown = clock.set(now=now, speed=told.get("speed"))
            except (ValueError, TypeError, KeyError) as fault:
                self._answer(409, {"error": str(fault)})
            else:
                self._answer(200, {"now": shown.isoformat(), "speed": clock.speed()})

        def _answer(self, status: int, body: dict[str, object]) -> None:
            octets = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(octets)))
            self.end_headers()
            self.wfile.write(octets)

        def log_message(self, format: str, *arguments: object) -> None:
            """Keep quiet: the clock is asked all the time."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="clock", daemon=True).start()
    return server
