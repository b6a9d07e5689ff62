"""The search for canaries finds what was planted, in every encoding and every kind of place, and what a missing guard lets out."""

import base64
import io
import json
import zipfile
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from pydantic import ValidationError

from chalicelib.domain.errors import FieldError
from chalicelib.edge import http, observed
from chalicelib.gateways.archive_bucket import S3Archive
from chalicelib.store import packing
from chalicelib.store.repository import Store
from chalicelib.store.tables import Record, SubjectKey, View
from tests.canary_search import ENCODINGS, Place, found_in, hits, in_the_buckets, in_the_queues, in_the_tables
from tests.conftest import NAMES
from tests.every_route import VALUES, a_canary, settle_in, tour
from tests.flows.test_canaries import Sinks, clock, edge, trip

__all__ = ["clock", "edge", "trip"]

WHO = a_canary(4_321)


def encoded(name: str) -> bytes:
    """Return the canary's name as an encoding has it, with something before and after it."""
    if name.startswith("base64"):
        return base64.b64encode(b"." * int(name[-1]) + WHO.name.encode() + b"after it")
    return b"before" + ENCODINGS[name](WHO.name) + b"after"


ALL = b" | ".join(encoded(name) for name in ENCODINGS)
"""The name in every encoding."""

TEXT = " | ".join(encoded(name).decode() for name in ENCODINGS if not name.startswith(("utf-16", "gb")))
"""The name in every encoding that is text."""


def zipped(octets: bytes) -> bytes:
    with zipfile.ZipFile(made := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("entries/000", octets)
    return made.getvalue()


def put(kind: str, body: bytes) -> None:
    boto3.client("s3").put_object(Bucket=getattr(NAMES, f"{kind}_bucket"), Key="somewhere", Body=body)


def send(queue: str, text: str) -> None:
    sqs = boto3.client("sqs")
    sqs.send_message(QueueUrl=sqs.get_queue_url(QueueName=f"forbear-test-{queue}")["QueueUrl"], MessageBody=text)


PLANTED: dict[str, tuple[Callable[[], object], bool]] = {
    "Record.b": (lambda: Record("T#x", "1", b=ALL).save(), True),
    "Record.b, unpacked": (lambda: Record("T#x", "1", b=packing.pack(ALL)).save(), True),
    "Record.e, unpacked": (lambda: Record("T#x", "1", e=zlib.compress(ALL)).save(), True),
    "Record.d": (lambda: Record("T#x", "1", d=TEXT).save(), False),
    "Record.k": (lambda: Record("T#x", "1", k=TEXT).save(), False),
    "Record.sk": (lambda: Record("T#x", TEXT).save(), False),
    "View.b, unpacked": (lambda: View("T#x", "1", b=packing.pack(ALL)).save(), True),
    "View.d": (lambda: View("T#x", "1", d=TEXT).save(), False),
    "View.pk": (lambda: View(TEXT, "1").save(), False),
    "SubjectKey.wrapped": (lambda: SubjectKey("T#x", "1", wrapped=ALL).save(), True),
    "forbear-test-dispatch": (lambda: send("dispatch", json.dumps({"message": TEXT}, ensure_ascii=False)), False),
    "archive/somewhere": (
        lambda: S3Archive(NAMES.archive_bucket).put_once(
            "somewhere", ALL, retain_until=datetime.now(UTC) + timedelta(days=1)
        ),
        True,
    ),
    "reports/somewhere": (lambda: put("reports", ALL), True),
    "exports/somewhere!/entries/000": (lambda: put("exports", zipped(ALL)), True),
}
"""How a canary's name comes to each kind of place, and whether the place takes bytes that are no text."""


def everywhere() -> list[Place]:
    return [*in_the_tables(), *in_the_queues(), *in_the_buckets("archive", "reports", "exports")]


@pytest.mark.parametrize("place", PLANTED)
def test_what_is_planted_is_found_in_every_encoding(
    place: str, store: Store, queues: list[str], buckets: list[str]
) -> None:
    plant, takes_bytes = PLANTED[place]
    assert found_in(everywhere()) == {}
    plant()
    found = {encoding for at, marker, encoding in found_in(everywhere()) if (at, marker) == (place, "鸢鸑")}
    assert found == {name for name in ENCODINGS if takes_bytes or not name.startswith(("utf-16", "gb"))}


@pytest.mark.parametrize("name", ENCODINGS)
@pytest.mark.parametrize("before", [b"", b"x", b"yz"])
def test_the_search_finds_a_canary_in_every_encoding_wherever_it_stands(name: str, before: bytes) -> None:
    for text in (WHO.name, WHO.mobile, WHO.email, WHO.national_id, WHO.vin):
        if name.startswith("base64"):
            octets = base64.b64encode(before + text.encode() + b"after it")
            found = {encoding for _, _, encoding in hits("here", octets)}
            assert any(encoding.startswith("base64") for encoding in found), text
        else:
            octets = before * 2 + ENCODINGS[name](text) + b"after"
            assert hits("here", octets), (name, text)


@pytest.mark.parametrize("depth", range(4))
def test_a_word_in_json_in_json_is_found_however_deep(depth: int) -> None:
    told = json.dumps({"text": WHO.note})
    for _ in range(depth):
        told = json.dumps({"Message": told})
    assert ("here", "貔貅", "json") in hits("here", told.encode())
    assert ("here", "貔貅", "json") in hits("here", told.upper().encode())


def test_there_are_twelve_encodings_and_no_mask_shows_a_marker() -> None:
    assert len(ENCODINGS) == 12
    assert hits("here", "nothing of anybody 138****1234 张*".encode()) == []


def test_one_place_among_many_is_named_and_a_hit_across_two_is_none() -> None:
    among: list[Place] = [(f"place {number}", b"nothing of anybody") for number in range(1_000)]
    assert found_in([*among, ("wrong", base64.urlsafe_b64encode(WHO.address.encode())), *among]).total() == 1
    half = len("鸢鸑".encode()) // 2
    assert found_in([("one", "鸢鸑".encode()[:half]), ("other", "鸢鸑".encode()[half:])]) == {}
    assert found_in([("words", WHO.note.encode())], VALUES) == {}
    assert found_in([("words", WHO.note.encode())]) != {}


# Guards taken out


def test_a_log_that_wrote_every_field_would_be_found(
    store: Store, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    observed.logger().info("request", extra={"path": f"/v1/persons/{WHO.email}"})
    assert found_in([("logs", capfd.readouterr().out.encode())]) == {}
    monkeypatch.setattr(observed, "LOG_FIELDS", observed.LOG_FIELDS | {"path"})
    observed.logger().info("request", extra={"path": f"/v1/persons/{WHO.email}"})
    assert found_in([("logs", capfd.readouterr().out.encode())]) != {}


def test_a_problem_that_told_what_was_sent_would_be_found(trip: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settle_in(trip.store, WHO)
    step = next(tour(trip, WHO))

    def told() -> Any:
        sinks = Sinks(trip)
        sinks.go_wrong(step, WHO, every=1)
        return found_in([("problem", each) for each in sinks.problems])

    def with_values(refusal: ValidationError, *, source: str) -> tuple[FieldError, ...]:
        return tuple(FieldError("", each["type"], str(each["input"]), source) for each in refusal.errors())

    assert told() == {}
    monkeypatch.setattr(http, "field_errors", with_values)
    assert {marker for _, marker, _ in told()} >= {"貔貅", "papageientaucher"}
