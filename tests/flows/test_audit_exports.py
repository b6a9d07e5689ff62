"""Exports of the archive from the request over HTTP through worker and signature to the download, and what each proves."""

import base64
import hashlib
import io
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
import rfc8785
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from cryptography.hazmat.primitives.asymmetric import ec

from chalicelib import wiring
from chalicelib.domain import keys
from chalicelib.domain.audit import export as exported
from chalicelib.domain.audit import packing, tiles
from chalicelib.domain.audit.notes import Note, NoteKey, SignatureType
from chalicelib.domain.audit.policy import WitnessAnswer, parse_policy
from chalicelib.domain.cases.case import CaseParty
from chalicelib.domain.cases.lifecycle import CaseState
from chalicelib.domain.errors import PersonErased
from chalicelib.domain.events import EventType
from chalicelib.domain.people.erasure import Outcome
from chalicelib.gateways import clients
from chalicelib.gateways.region_keys import KmsDataKeys
from chalicelib.store.portfolio_repository import PortfolioRepository
from chalicelib.store.repository import Store, event_of
from chalicelib.store.sealing import EVIDENCE, Sealer
from chalicelib.store.tables import Record
from chalicelib.usecases import archive_exports, cosigning, erasure, projections
from chalicelib.usecases.archive import enqueue_events, run_archive
from scripts import verify_archive
from tests import archives
from tests.archive_fakes import LocalSigner, MemoryAudit, MemoryBucket, memory_ports
from tests.builders import LENDER, NOW, PERSON, TEST_ACTOR, a_case, a_person, stored
from tests.conftest import NAMES
from tests.flows.test_cases_api import Api, api, body_of
from tests.flows.test_erasure import SCOPE
from tests.time_authority import TimeAuthority
from tests.witnesses import TextWitness

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
        sqs, url, found = boto3.client("sqs"), NAMES.queue_url_prefix + "exports", list[Any]()
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
        return bytes(boto3.client("s3").get_object(Bucket=NAMES.exports_bucket, Key=key)["Body"].read())


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


class Losing:
    """Uploads of which some are gone, as when a bucket's rule or a person cancelled them."""

    def __init__(self, files: Any) -> None:
        self._files, self.begun, self.lost = files, list[str](), set[str]()

    def begin(self, key: str) -> str:
        self.begun.append(self._files.begin(key))
        return self.begun[-1]

    def put_part(self, key: str, upload: str, number: int, body: bytes) -> str:
        if upload in self.lost:
            raise packing.UploadGone
        return str(self._files.put_part(key, upload, number, body))

    def complete(self, key: str, upload: str, tags: list[str]) -> None:
        if upload in self.lost:
            raise packing.UploadGone
        self._files.complete(key, upload, tags)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._files, name)


@pytest.mark.parametrize("signed", [False, True])
def test_an_upload_that_is_gone_is_begun_again_and_has_the_same_bytes(
    archived: Cloud, monkeypatch: pytest.MonkeyPatch, signed: bool
) -> None:
    monkeypatch.setattr(packing, "PART_BYTES", 20_000)
    monkeypatch.setattr("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", 20_000)
    files = Losing(archived.ports.files)
    archived.ports = replace(archived.ports, files=files)
    asked = body_of(archived.api.post("officer", PATH, RANGE))
    archived.stream()
    if signed:
        archived.work()
        archived.stream()
        archived.sign()
        archived.stream()
    else:
        (body,) = archived.messages()
        left = iter([100.0, 100.0, 1.0])
        work = archive_exports.work
        work(archived.ports, body, clock=lambda: NOW, seconds_left=lambda: next(left), req="req_w")
    files.lost = set(files.begun)
    for _ in range(3):
        archived.work()
        archived.stream()
        archived.sign()
        archived.stream()
    told = body_of(archived.api.get("officer", f"{PATH}/{asked['id']}"))
    assert len(files.begun) == 2
    # A manifest is signed once, so what is made last needs no signature of its own.
    undisturbed = archived.make(RANGE)
    assert (told["state"], told["sha256"]) == ("succeeded", undisturbed["sha256"])
    assert archived.bytes_of(told) == archived.bytes_of(undisturbed)


@pytest.mark.parametrize("call", ["upload_part", "complete_multipart_upload"])
def test_the_bucket_tells_an_upload_that_is_gone_from_other_faults(buckets: list[str], call: str) -> None:
    files = wiring.export_ports().files
    for code, expected in (("NoSuchUpload", packing.UploadGone), ("SlowDown", ClientError)):
        with Stubber(clients.client("s3")) as stubbed:
            stubbed.add_client_error(call, code)
            if call == "complete_multipart_upload" and code == "NoSuchUpload":
                stubbed.add_client_error("head_object", "404", http_status_code=404)
            with pytest.raises(expected):
                if call == "upload_part":
                    files.put_part("a.zip", "u-1", 1, b"x")
                else:
                    files.complete("a.zip", "u-1", ["t"])


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
        for each in boto3.client("s3").list_objects_v2(Bucket=NAMES.exports_bucket, Prefix="work/")["Contents"]
    ]
    assert max(sizes) < packing.PART_BYTES


# A part of a log


def a_fortnight(cloud: Cloud) -> None:
    """Let a log grow day by day, each day's events entered at its end, some of them a day late."""
    late: list[Any] = []
    for day in range(14):
        begins = NOW - timedelta(days=13 - day, hours=2)
        story = other_cases(500, at=begins, every=timedelta(seconds=150), named=f"d{day}x")
        assert enqueue_events(cloud.audit, [*story.events[:450], *late]) == []
        late = story.events[450:]
        run_archive(memory_ports(cloud.audit, cloud.bucket), now=begins + timedelta(hours=22))


def test_a_range_within_a_log_is_proved_with_its_edges(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_fortnight(cloud)
    days = [(NOW - timedelta(days=back)).date() for back in (7, 6)]
    wish = {"range": {"from": days[0].isoformat(), "to": days[1].isoformat()}}
    told = cloud.make(wish)
    (log,) = told["logs"]
    assert told["state"] == "succeeded" and 0 < log["first"] < log["end"] < log["size"]
    raw = cloud.bytes_of(told)
    report = judged(raw, tmp_path, heartbeat=timedelta(days=2))
    assert report.faults == []
    assert {"part_of_log", "part_sends"} <= {code for code, _, _ in report.notices}
    held = {name for entry in entries_in(raw) for name in [entry["event"]["id"]]}
    wanted = {
        event["event"]["id"]
        for event in entries_of(cloud.bucket, log["size"])
        if days[0].isoformat() <= event["event"]["at"][:10] <= days[1].isoformat()
    }
    assert len(wanted) > 800 and wanted <= held and len(held) == told["entries"]
    # Every earlier note is held against the hashes, those of entries that are not here among them.
    earlier = cloud.bucket.read(f"{LENDER}/2026/checkpoints/{min(sizes(cloud.bucket)):012d}")
    assert judged(raw, tmp_path, heartbeat=timedelta(days=2), earlier=[earlier]).faults == []
    # Cut by the days alone, without the time that events may take to come in, the range shows that it is too close.
    monkeypatch.setattr(exported, "LATE", timedelta(0))
    close = judged(cloud.bytes_of(cloud.make(wish)), tmp_path, heartbeat=timedelta(days=2))
    assert [code for code, _, _ in close.faults] == ["range_cut"]


def sizes(bucket: MemoryBucket) -> list[int]:
    return [int(name[-12:]) for name in bucket.names(f"{LENDER}/2026/checkpoints/")]


def entries_in(raw: bytes) -> list[dict[str, Any]]:
    """Return the entries of all bundles in an export."""
    found: list[dict[str, Any]] = []
    with zipfile.ZipFile(io.BytesIO(raw)) as zipped:
        for name in zipped.namelist():
            if "/tile/entries/" in name:
                found += [json.loads(each) for each in verify_archive.split_bundle(zipped.read(name)) or []]
    return found


def entries_of(bucket: MemoryBucket, size: int) -> list[dict[str, Any]]:
    """Return the entries of a log in the archive."""
    found: list[dict[str, Any]] = []
    for tile in tiles.bundles_between(0, size):
        raw = bucket.read(f"{LENDER}/2026/{tile.path}")
        found += [json.loads(each) for each in tiles.entries_of(raw or b"")]
    return found


# A case, a person


def test_a_case_and_a_person_come_with_a_proof_of_each_event(archived: Cloud, tmp_path: Path) -> None:
    PortfolioRepository(archived.store).write_parties(SCOPE, [(PERSON, "case_0"), (PERSON, "case_1")])
    told = archived.make({"case": "case_0"})
    stream = archived.store.events(SCOPE, keys.case_pk(LENDER, "case_0"))
    raw = archived.bytes_of(told)
    names = [name for name in names_of(raw) if name.startswith("proofs/")]
    assert names == sorted(
        f"proofs/case_0/{event.seq:08d}.{kind}" for event in stream for kind in ("json", "tlog-proof")
    )
    report = judged(raw, tmp_path)
    assert report.faults == [] and report.counts["entries"] == len(stream) == told["entries"] > 0
    assert {"proofs_only", "no_person_stream"} <= {code for code, _, _ in report.notices}
    of_person = archived.make({"person": PERSON})
    raw = archived.bytes_of(of_person)
    report = judged(raw, tmp_path)
    assert report.faults == [] and report.counts["streams"] >= 2
    assert {name.split("/")[1] for name in names_of(raw) if name.startswith("proofs/")} >= {"case_0", "case_1"}
    text = raw.decode(errors="replace")
    assert "张伟" not in text and "13812345678" not in text


def repacked(raw: bytes, change: Callable[[dict[str, bytes]], None], key: Any = archives.ED25519) -> bytes:
    """Return an export after a change, its manifest made and signed anew by whoever has that key."""
    with zipfile.ZipFile(io.BytesIO(raw)) as zipped:
        files = {name: zipped.read(name) for name in zipped.namelist()}
    change(files)
    stated = json.loads(files.pop("manifest.json"))
    origin, _, at = files.pop("manifest.note").decode().split("\n")[:3]
    stated["files"] = [
        {"path": name, "sha256": hashlib.sha256(body).hexdigest(), "size": len(body)}
        for name, body in sorted(files.items())
    ]
    manifest = rfc8785.dumps(stated)
    text = exported.statement(origin, hashlib.sha256(manifest).hexdigest(), at)
    note = Note(text, (archives.signature_of(key, text, origin),)).as_bytes()
    made = packing.Packing()
    for name, body in sorted({**files, "manifest.json": manifest, "manifest.note": note}.items()):
        made.add(name, body)
    made.close()
    return made.rest()


def last_of(files: dict[str, bytes], kind: str) -> str:
    return max(name for name in files if name.startswith("proofs/") and name.endswith(kind))


def test_what_is_done_to_an_export_shows(archived: Cloud, tmp_path: Path) -> None:
    told = archived.make({"case": "case_0"})
    whole = archived.make(RANGE)
    case, day = archived.bytes_of(told), archived.bytes_of(whole)
    stranger = ec.derive_private_key(5, ec.SECP256R1())

    def left_out(files: dict[str, bytes]) -> None:
        for kind in ("json", "tlog-proof"):
            del files[last_of(files, kind)]

    def made_up(files: dict[str, bytes]) -> None:
        name = last_of(files, "json")
        files[name] = files[name].replace(b'"v":1}', b'"v":2}')

    def moved(files: dict[str, bytes]) -> None:
        one = last_of(files, "json")
        for kind in ("json", "tlog-proof"):
            files[one.replace("case_0", "case_9").replace("json", kind)] = files.pop(one.replace("json", kind))

    def rewritten(files: dict[str, bytes]) -> None:
        name = next(name for name in files if "/tile/entries/" in name)
        files[name] = files[name].replace(b"case_n7", b"case_n8")

    def nothing(files: dict[str, bytes]) -> None:
        """Change nothing."""

    seen = {
        name: {code for code, _, _ in judged(raw, tmp_path).faults}
        for name, raw in {
            "untouched": repacked(case, nothing),
            "left out": repacked(case, left_out),
            "made up": repacked(case, made_up),
            "moved": repacked(case, moved),
            "rewritten": repacked(day, rewritten),
            "by a stranger": repacked(case, nothing, stranger),
            "a bit": day[:2000] + bytes([day[2000] ^ 1]) + day[2001:],
            "hidden": day.replace(b"PK\x01\x02", b"hidden\0PK\x01\x02", 1),
            "behind": day + b"!",
        }.items()
        if name not in ("a bit", "hidden", "behind") or not unreadable(raw)
    }
    assert seen["untouched"] == set()
    assert seen["left out"] == {"wrong_stream"}
    assert seen["made up"] == {"not_proved", "wrong_stream"}
    assert seen["moved"] == {"wrong_stream"}
    assert {"wrong_tile", "stream_gap"} & seen["rewritten"]
    assert "bad_manifest" in seen["by a stranger"]
    assert all(seen[name] for name in seen if name != "untouched")


def unreadable(raw: bytes) -> bool:
    """Tell whether a ZIP cannot even be read, which is a refusal as well."""
    try:
        return zipfile.ZipFile(io.BytesIO(raw)).testzip() is not None
    except zipfile.BadZipFile:
        return True


# Who may ask, and what the answers are


def test_only_the_lenders_officers_and_the_lender_reach_an_export(archived: Cloud) -> None:
    api, made = archived.api, archived.make({"case": "case_0"})
    for token in ("agency", "collector", "counsel"):
        assert api.post(token, PATH, RANGE).status_code == 403
        assert api.get(token, f"{PATH}/{made['id']}").status_code == 403
        assert api.post(token, f"{PATH}/{made['id']}/downloads", {}).status_code == 403
    foreign, unknown = (api.get("other-officer", f"{PATH}/{each}") for each in (made["id"], "aex_unknown"))
    assert foreign.status_code == unknown.status_code == 404
    assert {**body_of(foreign), "request_id": 0} == {**body_of(unknown), "request_id": 0}
    assert api.post("other-officer", f"{PATH}/{made['id']}/downloads", {}).status_code == 404
    for kind in ("case", "person"):
        mine = api.post("officer", PATH, {kind: "nobody"})
        theirs = api.post("other-officer", PATH, {kind: "case_0" if kind == "case" else PERSON})
        assert mine.status_code == theirs.status_code == 404
    for wish in ({}, {"case": "case_0", "person": PERSON}, {"range": {"from": "2026-11-24", "to": "2026-11-23"}}):
        assert api.post("officer", PATH, wish).status_code == 422
    first = api.post("officer", PATH, RANGE, Idempotency_Key="export-1")
    again = api.post("officer", PATH, RANGE, Idempotency_Key="export-1")
    assert body_of(first)["id"] == body_of(again)["id"]
    early = api.post("officer", f"{PATH}/{body_of(first)['id']}/downloads", {})
    assert (early.status_code, body_of(early)["code"]) == (409, "not_ready")
    given = api.post("officer", f"{PATH}/{made['id']}/downloads", {}, Idempotency_Key="link-1")
    assert body_of(given)["url"] is not None
    assert body_of(api.post("officer", f"{PATH}/{made['id']}/downloads", {}, Idempotency_Key="link-1"))["url"] is None


def test_an_export_ends_in_time_or_says_why_not(cloud: Cloud, archived: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    made = archived.make({"case": "case_0"})
    monkeypatch.setattr(wiring, "now", lambda: NOW + timedelta(days=7))
    gone = archived.api.post("officer", f"{PATH}/{made['id']}/downloads", {})
    assert (gone.status_code, body_of(gone)["code"]) == (409, "export_expired")
    monkeypatch.setattr(wiring, "now", lambda: NOW)
    early = archived.make({"range": {"from": "2020-01-01", "to": "2020-01-02"}})
    assert (early["state"], early["problem"]["code"], early["downloads"]) == ("failed", "nothing_archived", None)
    asked = body_of(archived.api.post("officer", PATH, RANGE))
    archived.stream()
    archived.messages()
    # The message is lost: the clock wakes the export, and gives it up after a while.
    at, woken = NOW, list[Any]()
    for _ in range(archive_exports.MOST_STALLS + 1):
        at += archive_exports.STALLED_AFTER
        woken.append(archive_exports.resume(archived.ports, SCOPE, asked["id"], now=at))
    assert woken == ["resumed"] * archive_exports.MOST_STALLS + ["failed"]
    told = body_of(archived.api.get("officer", f"{PATH}/{asked['id']}"))
    assert (told["state"], told["problem"]["code"]) == ("failed", "stalled")
    assert archive_exports.resume(archived.ports, SCOPE, asked["id"], now=at + timedelta(days=1)) is None


# Witnesses


WITNESSES = TextWitness("lender.example/w1"), TextWitness("auditor.example/w1")
URLS = [f"https://{name}.example" for name in ("lender", "auditor")]
POLICY = "".join(f"witness {url[8:-8]} {each.vkey} {url}\n" for url, each in zip(URLS, WITNESSES, strict=True))
POLICY += "group both all lender auditor\nquorum both\n"


def witnessed(cloud: Cloud, **more: Any) -> None:
    """Archive what waits, seen by both witnesses of the policy that the operator has set."""
    told: dict[str, Any] = {"actor": TEST_ACTOR, "now": NOW, "req": "req_1"}
    cosigning.set_policy(cloud.store, SCOPE, POLICY, **told)

    def ask(url: str, body: bytes) -> WitnessAnswer:
        note = body.decode().partition("\n\n")[2]
        line = WITNESSES[URLS.index(url)].line(note.rpartition("\n\n")[0] + "\n", at=round(NOW.timestamp()))
        return WitnessAnswer(200, "text/plain", f"{line}\n".encode())

    ports = memory_ports(cloud.audit, cloud.bucket, policy=lambda _: parse_policy(POLICY), ask=ask, **more)
    (run,) = run_archive(ports, now=NOW + timedelta(minutes=5))
    assert run["witnesses"]["quorum"]


@pytest.mark.parametrize("wish", [RANGE, {"case": "case_0"}, {"person": PERSON}], ids=["range", "case", "person"])
def test_an_export_proves_offline_who_saw_the_log(wish: dict[str, Any], cloud: Cloud, tmp_path: Path) -> None:
    PortfolioRepository(cloud.store).write_parties(SCOPE, [(PERSON, "case_0")])
    cloud.enter(other_cases(300))
    cloud.stream()
    witnessed(cloud)
    raw = cloud.bytes_of(cloud.make(wish))
    assert len([name for name in names_of(raw) if "/cosigs/" in name]) == 2
    (tmp_path / "policy").write_text(POLICY)
    brought = verify_archive.Policy(str(tmp_path / "policy"))
    report = judged(raw, tmp_path, policy=brought)
    assert report.faults == [] and report.counts["cosignatures"] == 2
    with zipfile.ZipFile(io.BytesIO(raw)) as zipped:
        assert zipped.read("witnesses.policy").decode() == POLICY
    # The enclosed policy is in nobody's hand but the keeper's: another one is in the manifest, and does not prove a quorum.
    other = TextWitness("regulator.example/w1")
    (tmp_path / "policy").write_text(f"{POLICY.rpartition('quorum')[0]}witness other {other.vkey}\nquorum other\n")
    missed = judged(raw, tmp_path, policy=verify_archive.Policy(str(tmp_path / "policy")))
    assert [code for code, _, _ in missed.faults] == ["no_quorum"]

    def drop(files: dict[str, bytes]) -> None:
        del files[next(name for name in files if name.endswith("/auditor"))]

    less = judged(repacked(raw, drop), tmp_path, policy=brought)
    assert "no_quorum" in {code for code, _, _ in less.faults}


# An erased person


def test_an_export_of_an_erased_person_proves_every_event_and_opens_nothing(
    archived: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasure, "kept", lambda ended, today: ())
    stored(archived.store, a_person(id="per_gone", name="旬己"))
    gone = a_case(id="case_gone", account="acct-gone", state=CaseState.SETTLED, amount_due_minor=0)
    stored(archived.store, gone.model_copy(update={"parties": (CaseParty(person="per_gone", role="debtor"),)}))
    PortfolioRepository(archived.store).write_parties(SCOPE, [("per_gone", "case_gone")])
    unit = archived.store.unit(SCOPE, actor=TEST_ACTOR, req="req_1", now=NOW)
    told = {"person": "per_gone", "channel": "sms", "keyword": None}
    pk = keys.person_pk(LENDER, "per_gone")
    secret = {"text": "我周五付款", "inbound": "in_1"}
    unit.emit(pk, EventType.INBOUND_RECEIVED, told, fresh=True, subject="per_gone", secret=secret)
    changed = {"version": 2}
    unit.emit(keys.case_pk(LENDER, "case_gone"), EventType.CASE_CHANGED, changed, fresh=True)
    unit.commit()
    wish = erasure.Wish("purpose_met", "person", "file-1")
    more: dict[str, Any] = {"actor": TEST_ACTOR, "now": NOW, "req": "req_2"}
    done = erasure.request_erasure(archived.store, SCOPE, "per_gone", wish, erasure_id="era_1", **more)
    assert done.outcome is Outcome.ERASED
    archived.stream()
    archived.publish(NOW + timedelta(minutes=10))
    made = archived.make({"person": "per_gone"})
    raw = archived.bytes_of(made)
    report = judged(raw, tmp_path)
    assert report.faults == [] and made["state"] == "succeeded"
    proved = {name.split("/")[1] for name in names_of(raw) if name.startswith("proofs/")}
    assert proved == {"per_gone", "case_gone"}, "the index is gone, and the erasure's own event names the cases"
    kinds = {
        json.loads(zipfile.ZipFile(io.BytesIO(raw)).read(name))["event"]["type"]
        for name in names_of(raw)
        if name.startswith("proofs/per_gone/") and name.endswith(".json")
    }
    assert {"inbound.received", "person.keys_destroyed"} <= kinds
    sealer = Sealer(KmsDataKeys(NAMES.data_key))
    sealed = [event for event in archived.store.events(SCOPE, pk) if event.sealed is not None]
    assert sealed
    for event in sealed:
        octets = base64.urlsafe_b64decode(str(event.sealed) + "=" * (-len(str(event.sealed)) % 4))
        bound = keys.event_aad(archives.ORIGIN, event.id, event.type.value)
        with pytest.raises(PersonErased):
            sealer.open(LENDER, "per_gone", EVIDENCE, octets, aad=bound)
    assert "旬己" not in raw.decode(errors="replace") and "我周五付款" not in raw.decode(errors="replace")


# The guide


def commands_of(page: str, having: set[str]) -> str:
    """Return, in order, the commands of a guide that need nothing, or nothing but what is at hand."""
    found = re.findall(r"(?:<!-- needs: ([a-z0-9, ]+) -->\n)?```sh\n(.*?)```", page, re.DOTALL)
    wanted = [block for needs, block in found if set(filter(None, needs.split(", "))) <= having]
    assert len(wanted) > 3
    return "set -e\n" + "".join(wanted)


AUDITORS = Path(__file__).parents[2] / ".local/auditors/bin"


@pytest.mark.parametrize("wish", [RANGE, {"case": "case_0"}], ids=["range", "case"])
def test_the_commands_of_the_guide_do_what_it_says(wish: dict[str, Any], cloud: Cloud, tmp_path: Path) -> None:
    """Each page is run as it stands by a shell; those of other people's tools where ``make auditors`` has installed them."""
    (tmp_path / "authority").mkdir()
    authority = TimeAuthority(tmp_path / "authority")
    cloud.enter(other_cases(300))
    cloud.stream()
    witnessed(cloud, stamp=authority.stamp)
    told = cloud.make(wish)
    folder, brought = tmp_path / "export", tmp_path / "brought"
    brought.mkdir()
    with zipfile.ZipFile(io.BytesIO(cloud.bytes_of(told))) as zipped:
        zipped.extractall(folder)
    (brought / "key.pem").write_bytes(archives.pem(archives.ED25519))
    (brought / "p256.pem").write_bytes(archives.pem(archives.P256))
    (brought / "approval.pem").write_bytes(archives.pem(archives.APPROVAL_ROOT))
    origin = told["logs"][0]["origin"]
    key = NoteKey(origin, SignatureType.ED25519, archives.spki(archives.ED25519))
    (brought / "log.vkey").write_text(key.vkey + "\n")
    (brought / "earlier").write_bytes((folder / f"{LENDER}/2026/checkpoint").read_bytes())
    (brought / "policy").write_text(POLICY)
    having = {"tsa", "everything", "earlier", "policy"}
    if AUDITORS.exists():
        having |= {"aics", "go", "pymerkle", "whole"}
    tools = AUDITORS if AUDITORS.exists() else Path(sys.executable).parent
    environment = {
        "PATH": f"{tools}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "TMPDIR": str(tmp_path),
        "KEY": str(brought / "key.pem"),
        "VKEY": str(brought / "log.vkey"),
        "APPROVAL_KEY": str(brought / "approval.pem"),
        "EARLIER": str(brought / "earlier"),
        "TSA_CA": str(authority.certificate),
        "POLICY": str(brought / "policy"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }

    def run(page: str, having: set[str], **more: str) -> subprocess.CompletedProcess[str]:
        script = commands_of((folder / page).read_text(encoding="utf-8"), having)
        return subprocess.run(
            ["bash", "-c", script], cwd=folder, env={**environment, **more}, capture_output=True, text=True, timeout=500
        )

    done = run("VERIFY.md", having | {"ed25519"})
    assert done.returncode == 0, done.stdout + done.stderr
    for said in ("all files as listed", "the manifest is the one that was signed", "HOLDS"):
        assert said in done.stdout
    assert done.stdout.count("Signature Verified Successfully") == 2 and "refused" not in done.stdout
    done = run("VERIFY.zh.md", {"p256"}, KEY=str(brought / "p256.pem"))
    assert done.returncode == 0 and done.stdout.count("Verified OK") == 2 and "通过" in done.stdout, done.stderr
    spoiled = next(folder.glob("**/*.json"))
    spoiled.write_bytes(spoiled.read_bytes() + b" ")
    assert run("VERIFY.md", {"ed25519"}).returncode != 0
