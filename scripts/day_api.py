"""What the sample day needs of the outside: the API by its front door, and the local cloud's clock, queues and objects."""

import http.client
import json
import os
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3

from chalicelib.domain.residency import resource_names

LEASE_SECONDS = 60
"""How long a request that was cut off holds its key."""


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer of the API: status, headers (names in lower case), JSON body or None."""

    status: int
    headers: dict[str, str]
    body: Any


class UnexpectedAnswer(Exception):
    """The API answered with another status than the step needs; names the route, the status and the problem's code."""


@dataclass
class Api:
    """A client of the API through one kept connection for each thread; nothing is retried but requests that never left."""

    front: str
    _kept: threading.local = field(default_factory=threading.local, repr=False)

    def call(
        self,
        method: str,
        path: str,
        token: str,
        body: Any = None,
        *,
        key: str | None = None,
        expect: Iterable[int] = (200, 201, 202, 204),
        headers: dict[str, str] | None = None,
    ) -> Answered:
        """Return the answer. Raises UnexpectedAnswer when its status is not expected."""
        sent = {"Authorization": f"Bearer {token}", "Accept": "application/json", **(headers or {})}
        octets = None
        if body is not None:
            octets = json.dumps(body, ensure_ascii=False).encode()
            sent["Content-Type"] = "application/json"
        if key is not None:
            sent["Idempotency-Key"] = key
        answer = self._send(method, path, octets, sent)
        # A crash cut off the first request with this key, which holds it for its lease, by the machine's clock.
        until_free = time.monotonic() + LEASE_SECONDS + 10
        while _is_held(answer) and time.monotonic() < until_free:
            time.sleep(int(answer.headers.get("retry-after", 1)))
            answer = self._send(method, path, octets, sent)
        if answer.status not in expect:
            code = answer.body.get("code") if isinstance(answer.body, dict) else None
            errors = answer.body.get("errors") if isinstance(answer.body, dict) else None
            raise UnexpectedAnswer(f"{method} {path.split('?')[0]} answered {answer.status} {code} {errors or ''}")
        return answer

    def _send(self, method: str, path: str, octets: bytes | None, headers: dict[str, str]) -> Answered:
        for last in (False, True):
            connection: http.client.HTTPConnection | None = getattr(self._kept, "connection", None)
            if connection is None:
                parts = urlsplit(self.front)
                connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
                self._kept.connection = connection
            try:
                connection.request(method, path, octets, headers)
                response = connection.getresponse()
                text = response.read()
            except (http.client.HTTPException, OSError):
                # A kept connection may have been closed in between; every write carries its Idempotency-Key.
                connection.close()
                self._kept.connection = None
                if last:
                    raise
                continue
            names = {name.lower(): value for name, value in response.getheaders()}
            is_json = "json" in names.get("content-type", "")
            return Answered(response.status, names, json.loads(text) if is_json and text else None)
        raise AssertionError("unreachable: the second failure is raised")


def _is_held(answer: Answered) -> bool:
    return answer.status == 409 and bool(answer.body["code"] == "idempotency_in_progress")


def post_form(url: str, fields: dict[str, str], content: bytes, filename: str) -> int:
    """Post a presigned form with the file as its last field, and return the status."""
    boundary = uuid.uuid4().hex
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n\r\n'.encode()
    data = b"".join(parts) + head + content + f"\r\n--{boundary}--\r\n".encode()
    request = urllib.request.Request(url, data, {"Content-Type": f"multipart/form-data; boundary={boundary}"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return int(answer.status)


class Cloud:
    """The local cloud beside the API: its clock, queues, schedules, topics and buckets."""

    def __init__(self, *, stage: str, clock_url: str, endpoint: str, outbox: Path, region: str) -> None:
        """Take the stage's name and where clock and emulator listen."""
        self._stage = stage
        self._region = region
        self._endpoint = endpoint.rstrip("/")
        self._outbox = outbox
        self._clock_url = clock_url.rstrip("/")
        known = {"endpoint_url": endpoint, "region_name": region}
        self.sns = boto3.client("sns", **known)
        self.s3 = boto3.client("s3", **known)
        self.kms = boto3.client("kms", **known)
        self.functions = boto3.client("lambda", **known)
        self._topics: dict[str, str] = {}

    @classmethod
    def from_environment(cls) -> "Cloud":
        """Return the cloud that the supervisor of the local cloud names in the environment."""
        return cls(
            stage=os.environ.get("FORBEAR_STAGE", "local"),
            clock_url=os.environ["FORBEAR_CLOCK_URL"],
            endpoint=os.environ["AWS_ENDPOINT_URL"],
            outbox=Path(os.environ["FORBEAR_OUTBOX"]),
            region=os.environ["AWS_REGION"],
        )

    def now(self) -> datetime:
        """Return the business clock's instant."""
        with urllib.request.urlopen(self._clock_url, timeout=10) as answer:
            return datetime.fromisoformat(json.load(answer)["now"])

    def set_clock(self, instant: datetime) -> None:
        """Move the business clock forward to the instant and let it stand there."""
        body = json.dumps({"now": instant.isoformat(), "speed": 0}).encode()
        request = urllib.request.Request(self._clock_url, body, {"Content-Type": "application/json"}, method="POST")
        urllib.request.urlopen(request, timeout=10).close()

    def run(self, function: str) -> Any:
        """Run a scheduled function now and return what it answered. Raises RuntimeError when it failed."""
        event = {
            "id": uuid.uuid4().hex,
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "account": "000000000000",
            "time": "1970-01-01T00:00:00Z",
            "region": "local",
            "resources": [],
            "detail": {},
            "version": "0",
        }
        name = self.function_name(function)
        answer = self.functions.invoke(FunctionName=name, Payload=json.dumps(event).encode())
        payload = json.loads(answer["Payload"].read() or b"null")
        if answer.get("FunctionError"):
            raise RuntimeError(
                f"{function} failed: {payload.get('errorType') if isinstance(payload, dict) else payload}"
            )
        return payload

    def waiting(self, queues: Iterable[str]) -> dict[str, int]:
        """Return how many messages wait in each of the queues, in flight ones included, and in ``stream`` how many records."""
        with urllib.request.urlopen(f"{self._endpoint}/_forbear/status", timeout=10) as answer:
            status = json.load(answer)
        depths = {queue: int(status["queues"][f"forbear-{self._stage}-{queue}"]) for queue in queues}
        return {**depths, "stream": int(status["unread"])}

    def outbox(self) -> list[dict[str, Any]]:
        """Return everything that carriers took, in order."""
        if not self._outbox.exists():
            return []
        return [json.loads(line) for line in self._outbox.read_text().splitlines() if line.endswith("}")]

    def copy_outbox(self, target: Path) -> None:
        """Copy the carriers' record."""
        target.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in self.outbox()))

    def bucket(self, name: str) -> str:
        """Return the full name of a bucket (``archive``, ``letters``, ``uploads``): that of the functions' own cell."""
        cell = resource_names(region=self._region, stage=self._stage, account=os.environ["FORBEAR_ACCOUNT"])
        return str(getattr(cell, f"{name}_bucket"))

    def key(self, name: str) -> str:
        """Return the alias of a KMS key (``approval``, ``archive-ed25519``, ...)."""
        return f"alias/forbear-{self._stage}-{name}"

    def function_name(self, function: str) -> str:
        """Return the deployed name of a function."""
        return f"forbear-{self._stage}-{function}"

    def publish(self, topic: str, message: dict[str, Any]) -> None:
        """Publish what a carrier would publish. Raises LookupError when there is no such topic."""
        if not self._topics:
            pages = self.sns.get_paginator("list_topics").paginate()
            arns = [entry["TopicArn"] for page in pages for entry in page["Topics"]]
            self._topics = {arn.rsplit(":", 1)[1]: arn for arn in arns}
        name = f"forbear-{self._stage}-{topic}"
        if name not in self._topics:
            raise LookupError(f"no topic {topic}")
        self.sns.publish(TopicArn=self._topics[name], Message=json.dumps(message))


def until(condition: Callable[[], bool], *, seconds: float, pause: float = 0.05, longest_pause: float = 0.5) -> bool:
    """Return True as soon as the condition holds, False when it did not within the bound; all times in seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
        pause = min(pause * 1.5, longest_pause)
    return True
