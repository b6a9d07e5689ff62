"""Exports of the archive from the request over HTTP through worker and signature to the download, and what each proves."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from chalicelib import wiring
from chalicelib.domain import keys
from chalicelib.domain.audit import packing
from chalicelib.domain.events import EventType
from chalicelib.store.repository import Store, event_of
from chalicelib.store.tables import Record
from chalicelib.usecases import archive_exports, projections
from chalicelib.usecases.archive import enqueue_events, run_archive
from scripts import verify_archive
from tests import archives
from tests.archive_fakes import LocalSigner, MemoryAudit, MemoryBucket, memory_ports
from tests.builders import LENDER, NOW
from tests.conftest import ENVIRONMENT
from tests.flows.test_cases_api import Api, api, body_of
from tests.flows.test_erasure import SCOPE

__all__ = ["api"]

PATH = "/v1/audit/exports"
DAY = NOW.date()
RANGE = {"range": {"from": DAY.isoformat(), "to": DAY.isoformat()}}
SIGNERS = [LocalSigner(archives.ED25519), LocalSigner(archives.P256)]


@dataclass
class Cloud:
    """The archive in memory, and stream, queue and schedule played by hand."""

    api: Api
    store: Store
    audit: MemoryAudit
    bucket: MemoryBucket
    ports: archive_exports.ExportPorts
    seen: set[str]
    now: datetime = NOW

    def enter(self, story: archives.Story) -> None:
        """Enter events that never were in the tables: the double's transactions grow slow with every item."""
        assert enqueue_events(self.audit, story.events) == []

    def stream(self) -> None:
        """Deliver the tables' events that were not delivered yet."""
        items = [item for item in Record.scan() if item.e is not None]
        events = [event_of(item.e, tenant=keys.tenant_of(item.pk)) for item in items]
        fresh = [event for event in sorted(events, key=lambda each: (each.at, each.seq)) if event.id not in self.seen]
        self.seen |= {event.id for event in fresh}
        assert projections.route_to_queues(fresh, wiring.queues()) == []
        assert archive_exports.project(self.ports.exports, fresh) == []
        assert enqueue_events(self.audit, fresh) == []

    def publish(self, at: datetime = NOW + timedelta(minutes=5)) -> None:
        """Archive what waits."""
        run_archive(memory_ports(self.audit, self.bucket), now=at)

    def messages(self) -> list[dict[str, Any]]:
        """Take every message off the queue."""
        sqs, url, found = boto3.client("sqs"), ENVIRONMENT["FORBEAR_QUEUE_URL_PREFIX"] + "exports", list[Any]()
        while taken := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in taken:
                found.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return found

    def work(self, seconds: Callable[[], float] = lambda: 100.0, *, times: int = 1) -> int:
        """Work on every message, each so often, until there is none; return how many there were."""
        count = 0
        while bodies := self.messages():
            for body in bodies:
                count += 1
                for _ in range(times):
                    archive_exports.work(self.ports, body, clock=lambda: self.now, seconds_left=seconds, req="req_w")
        return count

    def sign(self) -> int:
        """Sign what waits for it."""
        return archive_exports.sign_manifests(self.ports, SIGNERS, now=self.now, req="archive_events")

    def make(
        self, wish: dict[str, Any], *, times: int = 1, seconds: Callable[[], float] = lambda: 100.0
    ) -> dict[str, Any]:
        """Ask for an export, do all that there is to do, and return it."""
        asked = self.api.post("officer", PATH, wish)
        assert asked.status_code == 202, asked.body
        for _ in range(3):
            self.stream()
            self.work(seconds, times=times)
            self.sign()
        return dict(body_of(self.api.get("officer", asked.headers["Location"])))

    def bytes_of(self, told: dict[str, Any]) -> bytes:
        """Return an export's bytes."""
        key = f"{LENDER}/{told['id']}.zip"
        return bytes(
            boto3.client("s3").get_object(Bucket=ENVIRONMENT["FORBEAR_EXPORTS_BUCKET"], Key=key)["Body"].read()
        )


@pytest.fixture
def cloud(api: Api, store: Store, buckets: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    audit, bucket = MemoryAudit(), MemoryBucket()
    wiring.export_ports.cache_clear()
    ports = replace(wiring.export_ports(), repository=audit, archive=bucket, store=store)
    monkeypatch.setattr(wiring, "export_ports", lambda: ports)
    monkeypatch.setattr(wiring, "audit_repository", lambda: audit)
    monkeypatch.setattr(wiring, "archive_bucket", lambda: bucket)
    yield Cloud(api, store, audit, bucket, ports, set())


@pytest.fixture
def archived(cloud: Cloud) -> Cloud:
    """A log of some three hundred entries, those of two cases in the tables among them."""
    cloud.enter(other_cases(300))
    cloud.stream()
    cloud.publish()
    return cloud


def other_cases(count: int, *, at: datetime = NOW, every: timedelta = timedelta(0), named: str = "n") -> archives.Story:
    story = archives.Story(LENDER)
    for number in range(count):
        story.emit(f"case_{named}{number}", EventType.CASE_CHANGED, {"number": number}, at + every * number)
    return story


def judged(raw: bytes, tmp_path: Path, **more: Any) -> verify_archive.Report:
    """Return what the verifier says of an export as downloaded."""
    place, key = tmp_path / "export.zip", tmp_path / "key.pem"
    place.write_bytes(raw)
    key.write_bytes(archives.pem(archives.ED25519))
    return verify_archive.verify_at(place, verify_archive.Asked([verify_archive.Key(str(key))], **more))


def names_of(raw: bytes) -> list[str]:
    return zipfile.ZipFile(io.BytesIO(raw)).namelist()


# The whole way


def test_an_export_of_a_day_is_asked_for_made_downloaded_and_verified(archived: Cloud, tmp_path: Path) -> None:
    asked = archived.api.post("officer", PATH, RANGE)
    told = body_of(asked)
    assert (asked.status_code, told["state"], told["progress"], told["downloads"]) == (202, "queued", 0.0, None)
    assert asked.headers["Audit-Checkpoint"]
    archived.stream()
    archived.work()
    packed = body_of(archived.api.get("officer", asked.headers["Location"]))
    assert packed["state"] == "packed" and packed["files_done"] == packed["files"] - 2
    archived.stream()
    assert archived.sign() == 1
    archived.stream()
    archived.work()
    told = body_of(archived.api.get("lender", asked.headers["Location"]))
    assert (told["state"], told["requested_by"], told["range"]) == ("succeeded", packed["requested_by"], RANGE["range"])
    (log,) = told["logs"]
    assert (log["first"], log["end"]) == (0, log["size"]) and told["entries"] == log["size"] > 300
    given = archived.api.post("officer", told["downloads"], {})
    assert given.status_code == 201
    link = body_of(given)
    assert link["expires_in_seconds"] == 300 and "X-Amz-Expires=300" in link["url"] and told["id"] in link["url"]
    raw = archived.bytes_of(told)
    assert (
        (hashlib.sha256(raw).hexdigest(), len(raw))
        == (told["sha256"], told["bytes"])
        == (link["sha256"], link["bytes"])
    )
    report = judged(raw, tmp_path)
    assert report.faults == []
    assert report.counts["entries"] == log["size"] and report.counts["files in the manifest"] == told["files"] - 2
    assert names_of(raw) == sorted(names_of(raw))
    stream = archived.store.events(SCOPE, keys.audit_export_pk(LENDER, told["id"]))
    assert [event.type for event in stream] == [
        EventType.ARCHIVE_EXPORT_REQUESTED, EventType.ARCHIVE_EXPORT_PACKED, EventType.ARCHIVE_EXPORT_SIGNED,
        EventType.ARCHIVE_EXPORT_FINISHED, EventType.ARCHIVE_DOWNLOADED,
    ]  # fmt: skip
    assert stream[0].actor.id == stream[4].actor.id == told["requested_by"]
    assert stream[3].data["sha256"] == stream[4].data["sha256"] == told["sha256"]


def test_the_same_range_under_the_same_checkpoint_has_the_same_bytes(archived: Cloud) -> None:
    first = archived.make(RANGE)
    archived.now += timedelta(days=1)
    again = archived.make(RANGE, times=2)
    assert first["id"] != again["id"] and first["sha256"] == again["sha256"]
    assert archived.bytes_of(first) == archived.bytes_of(again)


def test_a_worker_that_runs_out_of_time_goes_on_where_it_was(archived: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    # Parts of a size that S3 would refuse, so that a small log has many of them.
    monkeypatch.setattr(packing, "PART_BYTES", 20_000)
    monkeypatch.setattr("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", 20_000)
    at_once = archived.make(RANGE)
    left = iter([100.0, 100.0, 100.0, 1.0] * 100)
    monkeypatch.setattr(archive_exports, "SPARE_SECONDS", 30.0)
    asked = body_of(archived.api.post("officer", PATH, RANGE))
    archived.stream()
    assert archived.work(lambda: next(left)) > 3
    archived.stream()
    told = body_of(archived.api.get("officer", f"{PATH}/{asked['id']}"))
    assert told["state"] == "signed" or told["state"] == "succeeded"
    archived.work()
    told = body_of(archived.api.get("officer", f"{PATH}/{asked['id']}"))
    assert (told["state"], told["sha256"]) == ("succeeded", at_once["sha256"])


def test_bounded_memory(archived: Cloud) -> None:
    """What is kept between two steps is a part and a list, whatever the log's size."""
    archived.make(RANGE)
    sizes = [
        each["Size"]
        for each in boto3.client("s3").list_objects_v2(Bucket=ENVIRONMENT["FORBEAR_EXPORTS_BUCKET"], Prefix="work/")[
            "Contents"
        ]
    ]
    assert max(sizes) < packing.PART_BYTES
