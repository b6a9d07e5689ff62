"""The outside world's record of what carriers took: one JSON line an acceptance, written before the carrier answers.

A line is ``{"at", "carrier", "channel", "provider_id", "to", "subject", "body", "place", "content_sha256", "content",
"contact", "tenant"}``. ``to`` is the raw address: this file stands for telephones and mailboxes, which are no part of the
service. ``content_sha256`` is taken over the body as the carrier got it; of a letter that is its pages, ``place`` says
where they lie, and ``content`` is the digest of the approved text that was filed with them.
"""

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_lock = threading.Lock()


def accept(
    path: Path,
    *,
    carrier: str,
    channel: str,
    provider_id: str,
    to: str,
    body: str | bytes,
    contact: str | None,
    tenant: str | None = None,
    subject: str | None = None,
    place: str | None = None,
    content: str | None = None,
) -> None:
    """Write one acceptance; returns when the kernel has the line.

    ``place`` says where a body of bytes can be read; ``content`` is the digest that the sender attached to it.
    """
    raw = body if isinstance(body, bytes) else body.encode()
    line = {
        "at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "carrier": carrier,
        "channel": channel,
        "provider_id": provider_id,
        "to": to,
        "subject": subject,
        "body": body if isinstance(body, str) else None,
        "place": place,
        "content_sha256": hashlib.sha256(raw).hexdigest(),
        "content": content,
        "contact": contact,
        "tenant": tenant,
    }
    encoded = json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    with _lock:
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, encoded)
        finally:
            os.close(file)


def accepted(path: Path) -> Iterator[dict[str, Any]]:
    """Yield every acceptance in the order of writing; a last line without its end was never answered for."""
    if not path.exists():
        return
    with path.open("rb") as lines:
        for raw in lines:
            if raw.endswith(b"\n"):
                yield json.loads(raw)
