"""One suite for the sequencer's ports, run against the doubles in memory and against the real adapters."""

import base64
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from chalicelib.domain.audit import notes
from chalicelib.domain.audit.log import LogName, Waiting, waiting_of
from chalicelib.domain.audit.merkle import Frontier, leaf_hash
from chalicelib.domain.audit.notes import NoteKey, SignatureType
from chalicelib.gateways.archive_bucket import S3Archive
from chalicelib.gateways.signing_keys import KeyMismatch, KmsNoteSigner, note_signers
from chalicelib.store.audit_repository import MOST_ITEM_BYTES, AuditViews, chunks
from chalicelib.store.tables import View
from chalicelib.usecases.archive import ArchivePorts, AuditRepository, enqueue_events, prove_event, run_archive
from scripts import verify_archive
from tests.archive_fakes import MemoryAudit, MemoryBucket, no_rules
from tests.archives import START, TENANT, Story
from tests.builders import Scope
from tests.conftest import ENVIRONMENT, NAMES

LOG = LogName(TENANT, "2026")
UNTIL = datetime(2136, 1, 1, tzinfo=UTC)


def some(count: int, *, first: int = 0) -> list[Any]:
    """Return events of different cases, a millisecond apart."""
    from chalicelib.domain.events import EventType

    story = Story()
    for number in range(first, first + count):
        story.emit(f"case_{number}", EventType.CASE_PLACED, {}, START + timedelta(milliseconds=number))
    return story.events


def events_of(audit: AuditRepository, limit: int = 100) -> list[Waiting]:
    """Return the events that wait, in order of their batches."""
    return [event for batch in audit.waiting(LOG, limit) for event in batch.events]


def waiting(count: int, *, first: int = 0) -> list[Any]:
    """Return what waits of such events."""
    return [waiting_of(event.canonical()) for event in some(count, first=first)]


@pytest.fixture(params=["memory", "views"])
def audit(request: pytest.FixtureRequest) -> Iterator[AuditRepository]:
    """Return the repository under test."""
    if request.param == "memory":
        yield MemoryAudit()
    else:
        request.getfixturevalue("aws")
        yield AuditViews()


@pytest.fixture(params=["memory", "s3"])
def bucket(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Return the bucket under test."""
    if request.param == "memory":
        yield MemoryBucket()
    else:
        request.getfixturevalue("buckets")
        yield S3Archive(NAMES.archive_bucket)


# Repository


def test_events_wait_in_order_of_time_and_once(audit: AuditRepository) -> None:
    events = waiting(5)
    assert audit.enter(TENANT, [*events[::-1], events[0]]) == []
    assert audit.enter(TENANT, events) == []
    assert audit.enter(TENANT, waiting(2, first=5)) == []
    assert sorted(events_of(audit), key=lambda event: event.at) == waiting(7)
    assert [len(batch.events) for batch in audit.waiting(LOG, 100)] == [5, 2]
    assert events_of(audit, 1)[0] == events_of(audit)[0]
    assert len(events_of(audit, 1)) == 5
    assert audit.logs() == [LOG]


def test_more_events_than_one_transaction_takes_are_entered(audit: AuditRepository) -> None:
    assert audit.enter(TENANT, waiting(20)) == []
    # Some of them are redelivered together with new ones.
    assert audit.enter(TENANT, waiting(110, first=10)) == []
    assert [event.event_id for event in events_of(audit)] == [event.event_id for event in waiting(120)]


def test_an_assigned_event_is_gone_from_the_list_and_never_comes_back(audit: AuditRepository) -> None:
    events = waiting(3)
    audit.enter(TENANT, events[:2])
    assert audit.number_of(LOG, events[0].event_id) is None
    taken = audit.waiting(LOG, 100)
    audit.enter(TENANT, events[2:])
    for _ in range(2):
        audit.settle(LOG, taken, {events[0].event_id: 7, events[1].event_id: 8})
    audit.enter(TENANT, events)
    assert events_of(audit) == [events[2]]
    assert [audit.number_of(LOG, event.event_id) for event in events] == [7, 8, None]
    assert audit.number_of(LogName(TENANT, "2027"), events[0].event_id) is None


def test_a_straggler_is_numbered_in_the_log_that_took_it(audit: AuditRepository) -> None:
    events = waiting(1)
    audit.enter(TENANT, events)
    audit.settle(LogName(TENANT, "2027"), audit.waiting(LOG, 10), {events[0].event_id: 3})
    assert audit.waiting(LOG, 10) == []
    assert audit.number_of(LOG, events[0].event_id) is None


def test_a_head_moves_only_from_where_it_stands(audit: AuditRepository) -> None:
    head = audit.head(LOG)
    assert (head.version, head.size, head.log) == (0, 0, LOG)
    frontier = Frontier().extended([leaf_hash(b"a"), leaf_hash(b"b"), leaf_hash(b"c")])
    first = replace(
        head, version=1, assigned=3, keys=("ab", "cd"), own_seq=2, own_prev="ff", beat_at="2026", halted="x"
    )
    assert audit.assign(first, 0, [b"a", b"b", b"c"])
    assert not audit.assign(first, 0, [b"x"])
    assert not audit.advance(first)
    assert audit.head(LOG) == first
    second = replace(first, version=2, size=3, published=3, frontier=frontier, closed=True, halted=None)
    assert audit.advance(second)
    assert not audit.advance(replace(second, version=4))
    assert audit.head(LOG) == second
    assert audit.entries(LOG, 0, 3) == [b"a", b"b", b"c"]


def test_entries_are_kept_until_they_are_in_a_full_bundle(audit: AuditRepository) -> None:
    entries = [b"entry %d" % number for number in range(700)]
    head = audit.head(LOG)
    assert audit.assign(replace(head, version=1, assigned=300), 0, entries[:300])
    assert audit.assign(replace(head, version=2, assigned=700), 300, entries[300:])
    assert audit.entries(LOG, 0, 700) == entries
    assert audit.entries(LOG, 256, 700) == entries[256:]
    audit.forget(LOG, 0)
    audit.forget(LOG, 512)
    audit.forget(LOG, 512)
    assert audit.entries(LOG, 512, 700) == entries[512:]
    assert audit.entries(LOG, 0, 512) == []


def test_a_closed_log_stays_closed_and_listed(audit: AuditRepository) -> None:
    audit.begin(LOG)
    audit.close(LOG)
    audit.begin(LOG)
    audit.enter(TENANT, waiting(1))
    assert audit.logs() == [replace(LOG, closed=True)]


def test_entries_of_one_item_fit_into_it_and_lie_within_a_bundle() -> None:
    big = [b"x" * 60_000] * 20
    runs = list(chunks(250, big))
    assert [start for start, _ in runs] == [250, 255, 256, 261, 266]
    assert all(sum(map(len, run)) < MOST_ITEM_BYTES for _, run in runs)
    assert [entry for _, run in runs for entry in run] == big
    assert list(chunks(5, [])) == []


def test_a_head_whose_root_and_frontier_differ_is_not_believed(aws: None) -> None:
    audit = AuditViews()
    audit.advance(replace(audit.head(LOG), version=1))
    item = View.get(f"T#{TENANT}#LOG#2026", "HEAD")
    item.d = item.d.replace('"root":"e3', '"root":"e4')
    item.save()
    with pytest.raises(ValueError, match="another root"):
        audit.head(LOG)


# Bucket


def test_an_object_is_put_once(bucket: Any) -> None:
    assert bucket.read("a/b") is None
    assert bucket.read_tagged("a/b") is None
    assert bucket.put_once("a/b", b"one", retain_until=UNTIL)
    assert not bucket.put_once("a/b", b"two", retain_until=UNTIL)
    assert bucket.read("a/b") == b"one"


def test_an_object_is_replaced_only_by_who_has_seen_it(bucket: Any) -> None:
    assert bucket.replace("note", b"one", tag=None, retain_until=UNTIL)
    assert not bucket.replace("note", b"two", tag=None, retain_until=UNTIL)
    body, tag = bucket.read_tagged("note")
    assert body == b"one"
    assert bucket.replace("note", b"two", tag=tag, retain_until=UNTIL)
    assert not bucket.replace("note", b"three", tag=tag, retain_until=UNTIL)
    assert bucket.read("note") == b"two"


def test_every_version_is_locked_in_compliance_mode_with_its_checksum(buckets: list[str]) -> None:
    name = NAMES.archive_bucket
    bucket = S3Archive(name)
    bucket.put_once("note", b"one", retain_until=UNTIL)
    found = bucket.read_tagged("note")
    assert found is not None
    bucket.replace("note", b"two", tag=found[1], retain_until=UNTIL + timedelta(days=1))
    s3 = boto3.client("s3")
    versions = s3.list_object_versions(Bucket=name)["Versions"]
    locks = []
    for version in versions:
        head = s3.head_object(Bucket=name, Key="note", VersionId=version["VersionId"], ChecksumMode="ENABLED")
        locks.append((head["ObjectLockMode"], head["ObjectLockRetainUntilDate"]))
        assert len(base64.b64decode(head["ChecksumSHA256"])) == 32
        with pytest.raises(s3.exceptions.ClientError, match="AccessDenied"):
            s3.delete_object(Bucket=name, Key="note", VersionId=version["VersionId"])
    assert sorted(locks) == [("COMPLIANCE", UNTIL), ("COMPLIANCE", UNTIL + timedelta(days=1))]


def test_a_fault_of_the_store_is_raised_and_not_taken_for_an_absence(buckets: list[str]) -> None:
    missing = S3Archive("forbear-test-nowhere")
    client = boto3.client("s3")
    with pytest.raises(client.exceptions.ClientError):
        missing.put_once("a", b"a", retain_until=UNTIL)
    with pytest.raises(client.exceptions.ClientError):
        missing.read("a")


# Keys


def test_a_key_in_kms_signs_what_its_public_half_verifies(aws: None) -> None:
    (signer,) = note_signers(ed25519="", p256=NAMES.archive_key_p256)
    key = NoteKey("audit.forbear.test/auto-fin/2026", SignatureType.ECDSA_P256, signer.spki())
    assert key.holds(b"message", signer.sign(b"message"))
    assert not key.holds(b"massage", signer.sign(b"message"))


def test_a_key_that_does_not_exist_signs_nothing(aws: None) -> None:
    found = note_signers(ed25519="alias/nowhere", p256=NAMES.archive_key_p256)
    assert [notes.type_of(signer.spki()) for signer in found] == [SignatureType.ECDSA_P256]
    assert note_signers(ed25519="alias/nowhere", p256="") == []


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP521R1()])
def test_a_key_of_another_kind_than_its_name_says_is_refused(
    curve: Any, environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    spki = ec.generate_private_key(curve).public_key().public_bytes(serialization.Encoding.DER, form)

    class Kms:
        def get_public_key(self, **_: Any) -> dict[str, Any]:
            return {"PublicKey": spki, "SigningAlgorithms": ["ED25519_SHA_512"]}

    monkeypatch.setattr("chalicelib.gateways.signing_keys.client", lambda service: Kms())
    with pytest.raises((KeyMismatch, notes.Malformed)):
        note_signers(ed25519="alias/ed25519", p256="")
    with pytest.raises(KeyMismatch):
        note_signers(ed25519="", p256="alias/p256")


# All together


@pytest.fixture
def real_ports(buckets: list[str]) -> Callable[[], ArchivePorts]:
    """Return what makes ports over the real adapters, as each run of the schedule has its own."""

    def make() -> ArchivePorts:
        signers: list[KmsNoteSigner] = note_signers(ed25519="", p256=NAMES.archive_key_p256)
        bucket = S3Archive(NAMES.archive_bucket)
        return ArchivePorts(AuditViews(), bucket, signers, ENVIRONMENT["FORBEAR_AUDIT_DOMAIN"], no_rules)

    return make


def test_the_real_adapters_make_an_archive_that_verifies(real_ports: Any, tmp_path: Path) -> None:
    for number, minutes in enumerate((0, 30, 61)):
        assert enqueue_events(real_ports().repository, some(20, first=20 * number)) == []
        done = run_archive(real_ports(), now=START + timedelta(minutes=minutes))
    assert (done[0]["size"], done[0]["published"]) == (62, True)
    ports = real_ports()
    proof = prove_event(ports.repository, ports.bucket, Scope(TENANT), "evt_case_59_000001")
    assert proof.startswith(b"c2sp.org/tlog-proof@v1\nindex 60\n")
    s3, name = boto3.client("s3"), NAMES.archive_bucket
    for item in s3.list_objects_v2(Bucket=name)["Contents"]:
        path = tmp_path / "archive" / item["Key"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(s3.get_object(Bucket=name, Key=item["Key"])["Body"].read())
    pem = serialization.load_der_public_key(real_ports().signers[0].spki()).public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (tmp_path / "key.pem").write_bytes(pem)
    report = verify_archive.verify(
        tmp_path / "archive",
        verify_archive.Asked([verify_archive.Key(str(tmp_path / "key.pem"))]),
    )
    assert report.faults == []
    assert report.counts["notes"] == 4
