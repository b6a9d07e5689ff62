"""The sequencer against its ports in memory: nothing forks, nothing is lost, whatever happens between two calls."""

import base64
import contextlib
import hashlib
import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chalicelib.domain.audit import merkle, notes, tiles
from chalicelib.domain.audit.log import LogName, WaitingBatch, in_stream_order, next_batches, waiting_of
from chalicelib.domain.audit.record import BadRecord, parse_record, record_bytes
from chalicelib.domain.audit.rulesets import digest_of
from chalicelib.domain.errors import NotFound
from chalicelib.domain.events import Event, EventType
from chalicelib.usecases import archive
from chalicelib.usecases.archive import ForkAlarm, KeysChanged, enqueue_events, run_archive
from scripts import verify_archive
from tests import archives
from tests.archive_fakes import LocalSigner, MemoryAudit, MemoryBucket, Turns, memory_ports
from tests.archives import START, TENANT, Story
from tests.builders import Scope

NOW = START + timedelta(hours=1)
LOG = LogName(TENANT, "2026")


class Crash(Exception):
    """The process died."""


def placed(count: int, *, first: int = 0, at: datetime = START, tenant: str = TENANT) -> list[Event]:
    """Return the first events of that many cases."""
    story = Story(tenant)
    for number in range(first, first + count):
        story.emit(
            f"case_{number}", EventType.CASE_PLACED, {"placed_minor": number}, at + timedelta(milliseconds=number)
        )
    return story.events


def faults_of(bucket: MemoryBucket, folder: Path, *, hours: float = 24 * 400) -> list[Any]:
    """Return what the offline verifier finds in the bucket."""
    (folder / "ed.pem").parent.mkdir(parents=True, exist_ok=True)
    keys = []
    for name, key in (("ed.pem", archives.ED25519), ("p256.pem", archives.P256)):
        (folder / name).write_bytes(archives.pem(key))
        keys.append(verify_archive.Key(str(folder / name)))
    report = verify_archive.verify(
        bucket.download(folder / "archive"), verify_archive.Asked(keys, heartbeat=timedelta(hours=hours))
    )
    return report.faults


def entries_of(bucket: MemoryBucket, log: LogName = LOG) -> list[dict[str, Any]]:
    """Return the entries under the latest note, read as any client of the log reads them."""
    note = bucket.read(f"{log.prefix}checkpoint")
    if note is None:
        return []
    size = notes.parse_checkpoint(notes.parse_note(note).text).size
    found: list[dict[str, Any]] = []
    for tile in tiles.bundles_between(0, size):
        raw = bucket.read(log.prefix + tile.path)
        assert raw is not None, tile.path
        found += [json.loads(entry) for entry in tiles.entries_of(raw)]
    return found


def ids(bucket: MemoryBucket) -> list[str]:
    """Return the ids of the archived events that are not the log's own."""
    return [e["event"]["id"] for e in entries_of(bucket) if not e["event"]["type"].startswith("log.")]


def test_waiting_events_become_a_signed_log(tmp_path: Path) -> None:
    audit, bucket = MemoryAudit(), MemoryBucket()
    events = placed(300)
    assert enqueue_events(audit, events) == []
    done = run_archive(memory_ports(audit, bucket), now=NOW)
    assert done == [
        {
            "tenant": TENANT,
            "year": "2026",
            "entered": 301,
            "size": 301,
            "published": True,
            "stamped": None,
            "witnesses": None,
            "state": "up to date",
            "unknown_rule_sets": [],
        }
    ]
    assert ids(bucket) == [event.id for event in events]
    assert entries_of(bucket)[0]["event"]["type"] == "log.genesis"
    assert faults_of(bucket, tmp_path) == []
    assert audit.pending[TENANT, "2026"] == {}


def test_nothing_new_means_nothing_is_written() -> None:
    audit, bucket = MemoryAudit(), MemoryBucket()
    enqueue_events(audit, placed(3))
    run_archive(memory_ports(audit, bucket), now=NOW)
    before = {path: list(versions) for path, versions in bucket.objects.items()}
    done = run_archive(memory_ports(audit, bucket), now=NOW + timedelta(minutes=5))
    assert (done[0]["entered"], done[0]["published"]) == (0, False)
    assert bucket.objects == before


def test_a_redelivered_event_is_not_entered_again_even_after_it_was_archived() -> None:
    audit, bucket = MemoryAudit(), MemoryBucket()
    events = placed(5)
    enqueue_events(audit, [*events, *events])
    run_archive(memory_ports(audit, bucket), now=NOW)
    enqueue_events(audit, events)
    run_archive(memory_ports(audit, bucket), now=NOW + timedelta(minutes=5))
    assert ids(bucket) == [event.id for event in events]


def test_the_log_beats_every_hour_and_says_what_waits() -> None:
    audit, bucket = MemoryAudit(), MemoryBucket()
    enqueue_events(audit, placed(2))
    for minute in range(0, 181, 5):
        # A schedule is never exact.
        run_archive(memory_ports(audit, bucket), now=NOW + timedelta(minutes=minute, milliseconds=-minute))
    beats = [e["event"] for e in entries_of(bucket) if e["event"]["type"] == "log.heartbeat"]
    assert [beat["data"]["pending"] for beat in beats] == [0, 0, 0]
    assert [beat["at"][11:16] for beat in beats] == ["01:59", "02:59", "03:59"]


def test_events_of_a_stream_stand_in_its_order_whatever_the_clocks_said() -> None:
    story = Story()
    story.emit("case_1", EventType.CASE_PLACED, {}, START + timedelta(seconds=2))
    story.emit("case_2", EventType.CASE_PLACED, {}, START + timedelta(seconds=1))
    story.emit("case_1", EventType.CASE_ASSIGNED, {}, START)
    audit, bucket = MemoryAudit(), MemoryBucket()
    enqueue_events(audit, story.events[::-1])
    run_archive(memory_ports(audit, bucket), now=NOW)
    told = [(e["event"]["case"], e["event"]["case_seq"]) for e in entries_of(bucket)]
    assert told[1:] == [("case_1", 1), ("case_2", 1), ("case_1", 2)]


def test_each_lender_has_a_log_of_its_own_and_one_can_be_run_alone() -> None:
    audit, bucket = MemoryAudit(), MemoryBucket()
    enqueue_events(audit, [*placed(2), *placed(3, tenant="other-lender")])
    assert [run["tenant"] for run in run_archive(memory_ports(audit, bucket), now=NOW, tenant="other-lender")] == [
        "other-lender"
    ]
    assert bucket.read(f"{LOG.prefix}checkpoint") is None
    run_archive(memory_ports(audit, bucket), now=NOW)
    assert len(entries_of(bucket)) == 3
    assert len(entries_of(bucket, LogName("other-lender", "2026"))) == 4
    assert [log.year for log in archive.list_logs(audit, Scope("other-lender"))] == ["2026"]


def test_a_lender_whose_log_fails_does_not_stop_the_others() -> None:
    audit, bucket = MemoryAudit(), MemoryBucket()
    enqueue_events(audit, [*placed(2, tenant="a-lender"), *placed(2)])
    bucket.objects["a-lender/2026/tile/entries/000.p/3"] = [b"something else"]
    with pytest.raises(ExceptionGroup) as raised:
        run_archive(memory_ports(audit, bucket), now=NOW)
    assert [type(error) for error in raised.value.exceptions] == [ForkAlarm]
    assert len(ids(bucket)) == 2


def test_a_day_of_ten_thousand_events_is_a_few_transactions(tmp_path: Path) -> None:
    audit, bucket = MemoryAudit(), MemoryBucket()
    calls: list[str] = []
    enqueue_events(audit, placed(10_000))
    run_archive(memory_ports(audit, bucket, watcher=calls.append), now=NOW)
    assert calls.count("before assign") == 5
    assert len(ids(bucket)) == 10_000
    assert faults_of(bucket, tmp_path) == []


def test_a_rule_set_is_archived_as_the_events_state_it_with_its_packs_and_atlas(tmp_path: Path) -> None:
    audit, bucket, asked = MemoryAudit(), MemoryBucket(), list[str]()
    known = {hashlib.sha256(raw).hexdigest(): raw for raw in (archives.PACK, archives.ATLAS)}

    def documents(tenant: str, wanted: Iterable[str]) -> dict[str, bytes]:
        asked.extend(wanted)
        return known

    enqueue_events(audit, decided())
    assert run_archive(memory_ports(audit, bucket, rule_documents=documents), now=NOW)[0]["unknown_rule_sets"] == []
    assert asked == sorted(known)
    stated = json.dumps(archives.RULE_SET, sort_keys=True, separators=(",", ":")).encode()
    assert bucket.read(f"rules/{hashlib.sha256(stated).hexdigest()}.json") == stated
    assert all(bucket.read(f"rules/{digest}.json") == raw for digest, raw in known.items())
    assert faults_of(bucket, tmp_path) == []


def test_packs_that_nobody_knows_are_named() -> None:
    audit, bucket = MemoryAudit(), MemoryBucket()
    enqueue_events(audit, decided())
    unknown = run_archive(memory_ports(audit, bucket), now=NOW)[0]["unknown_rule_sets"]
    assert unknown == sorted(hashlib.sha256(raw).hexdigest() for raw in (archives.PACK, archives.ATLAS))


def test_a_rule_set_of_another_digest_than_the_decision_names_is_not_archived() -> None:
    audit, bucket = MemoryAudit(), MemoryBucket()
    enqueue_events(audit, decided({"rule_set": {**archives.RULE_SET, "engine": 2}}))
    unknown = run_archive(memory_ports(audit, bucket), now=NOW)[0]["unknown_rule_sets"]
    assert unknown == [digest_of(archives.RULE_SET)]
    assert not [path for path in bucket.objects if path.startswith("rules/")]


def decided(more: Mapping[str, Any] | None = None) -> list[Event]:
    """Return the events of one wish that was ruled on."""
    story = Story()
    story.contact(1, START, steps=("requested", "decided"), decided=more)
    return story.events


def test_an_event_that_fits_into_no_entry_is_handed_back() -> None:
    audit = MemoryAudit()
    big = Story().emit("case_1", EventType.CASE_PLACED, {"text": "x" * 65_500}, START)
    assert enqueue_events(audit, [big, *placed(1, first=2)]) == [big.id]
    assert len(audit.pending[TENANT, "2026"]) == 1
    with pytest.raises(BadRecord):
        waiting_of(b"{}")


# Years


def test_a_year_ends_with_its_close_and_the_next_begins_with_its_last_note(tmp_path: Path) -> None:
    audit, bucket = MemoryAudit(), MemoryBucket()
    ports = memory_ports(audit, bucket)
    story = Story()
    story.emit("case_1", EventType.CASE_PLACED, {}, datetime(2026, 12, 31, 23, 50, tzinfo=UTC))
    story.emit("case_1", EventType.CASE_ASSIGNED, {}, datetime(2027, 1, 1, 0, 5, tzinfo=UTC))
    enqueue_events(audit, story.events)
    done = run_archive(ports, now=datetime(2027, 1, 1, 0, 59, tzinfo=UTC))
    assert [run["state"] for run in done] == ["up to date", "waits for the year before"]
    done = run_archive(ports, now=datetime(2027, 1, 1, 1, 0, tzinfo=UTC))
    assert [run["state"] for run in done] == ["closed", "up to date"]
    following = LogName(TENANT, "2027")
    first = entries_of(bucket, following)[0]["event"]
    last_note = bucket.read(f"{LOG.prefix}checkpoint")
    assert last_note is not None and first["data"]["previous"]["note"] == last_note.decode()
    assert entries_of(bucket)[-1]["event"]["type"] == "log.close"
    assert [e["event"]["type"] for e in entries_of(bucket, following)][1:] == ["case.assigned"]
    assert faults_of(bucket, tmp_path) == []
    assert [run["year"] for run in run_archive(ports, now=datetime(2027, 1, 1, 1, 5, tzinfo=UTC))] == ["2027"]


def test_a_straggler_of_a_closed_year_goes_into_the_next_log(tmp_path: Path) -> None:
    audit, bucket = MemoryAudit(), MemoryBucket()
    ports = memory_ports(audit, bucket)
    enqueue_events(audit, placed(1))
    run_archive(ports, now=datetime(2027, 1, 1, 1, 0, tzinfo=UTC))
    late = placed(1, first=9, at=datetime(2026, 12, 31, 23, 59, tzinfo=UTC))
    enqueue_events(audit, late)
    run_archive(ports, now=datetime(2027, 1, 2, tzinfo=UTC))
    run_archive(ports, now=datetime(2027, 1, 2, tzinfo=UTC) + timedelta(minutes=5))
    found = [e["event"]["id"] for e in entries_of(bucket, LogName(TENANT, "2027"))]
    assert found.count(late[0].id) == 1
    assert faults_of(bucket, tmp_path) == []


def test_a_log_is_not_signed_by_other_keys_than_those_that_began_it() -> None:
    audit, bucket = MemoryAudit(), MemoryBucket()
    enqueue_events(audit, placed(1))
    run_archive(memory_ports(audit, bucket), now=NOW)
    enqueue_events(audit, placed(1, first=1))
    with pytest.raises(ExceptionGroup) as raised:
        run_archive(memory_ports(audit, bucket, signers=[LocalSigner(archives.P256)]), now=NOW)
    assert isinstance(raised.value.exceptions[0], KeysChanged)
    with pytest.raises(ExceptionGroup):
        run_archive(memory_ports(MemoryAudit() if not audit.listed else audit, bucket, signers=[]), now=NOW)


# Crashes, rivals, contradictions


def steps_of_a_run() -> int:
    """Return how many times a watcher is told during the run that the crash tests interrupt."""
    calls: list[str] = []
    audit, bucket = a_started_log()
    run_archive(memory_ports(audit, bucket, watcher=calls.append), now=NOW + timedelta(hours=1))
    return len(calls)


def a_started_log() -> tuple[MemoryAudit, MemoryBucket]:
    """Return a log of 251 entries with 12 events waiting: a full bundle and the second level will come of them."""
    return deepcopy(_started())


@cache
def _started() -> tuple[MemoryAudit, MemoryBucket]:
    audit, bucket = MemoryAudit(), MemoryBucket()
    enqueue_events(audit, placed(250))
    run_archive(memory_ports(audit, bucket), now=NOW)
    enqueue_events(audit, placed(12, first=250))
    return audit, bucket


@pytest.mark.parametrize("step", range(steps_of_a_run()))
def test_a_crash_at_any_point_neither_forks_nor_loses(step: int, tmp_path: Path) -> None:
    audit, bucket = a_started_log()
    told = 0

    def die(_: str) -> None:
        nonlocal told
        told += 1
        if told > step:
            raise Crash

    with pytest.raises((Crash, ExceptionGroup)):
        run_archive(memory_ports(audit, bucket, watcher=die), now=NOW + timedelta(hours=1))
    # Events go on coming, some of them again.
    enqueue_events(audit, placed(20, first=840))
    run_archive(memory_ports(audit, bucket), now=NOW + timedelta(hours=1, minutes=5))
    assert sorted(ids(bucket)) == sorted({event.id for event in [*placed(250), *placed(12, first=250)]} | later_ids())
    assert faults_of(bucket, tmp_path) == []


def later_ids() -> set[str]:
    """Return the ids that the events have which come after the crash."""
    return {event.id for event in placed(20, first=840)}


@pytest.mark.parametrize("step", range(steps_of_a_run()))
def test_a_second_sequencer_at_any_point_neither_forks_nor_loses(step: int, tmp_path: Path) -> None:
    audit, bucket = a_started_log()
    told = 0

    def overtake(_: str) -> None:
        nonlocal told
        told += 1
        if told == step + 1:
            enqueue_events(audit, placed(10, first=900))
            run_archive(memory_ports(audit, bucket), now=NOW + timedelta(hours=1, minutes=1))

    run_archive(memory_ports(audit, bucket, watcher=overtake), now=NOW + timedelta(hours=1))
    run_archive(memory_ports(audit, bucket), now=NOW + timedelta(hours=1, minutes=5))
    events = [*placed(250), *placed(12, first=250), *placed(10, first=900)]
    assert sorted(ids(bucket)) == sorted(event.id for event in events)
    assert faults_of(bucket, tmp_path) == []


def a_short_log() -> tuple[MemoryAudit, MemoryBucket]:
    """Return a log of a few entries with two events waiting: all pairs of points of two runs over it are tried."""
    return deepcopy(_short())


@cache
def _short() -> tuple[MemoryAudit, MemoryBucket]:
    audit, bucket = MemoryAudit(), MemoryBucket()
    enqueue_events(audit, placed(3))
    run_archive(memory_ports(audit, bucket), now=NOW)
    enqueue_events(audit, placed(2, first=3))
    return audit, bucket


def steps_of_a_short_run() -> int:
    """Return how many calls a run over the short log makes; what lies after one is what lies before the next."""
    calls: list[str] = []
    run_archive(memory_ports(*a_short_log(), watcher=calls.append), now=NOW + timedelta(hours=1))
    return sum(call.startswith("before") for call in calls)


@pytest.mark.parametrize("step", range(steps_of_a_short_run()))
def test_a_rival_that_dies_at_any_point_of_its_run_inside_any_point_of_ours_neither_forks_nor_loses(step: int) -> None:
    """Enumerated: our run stands still at ``step`` while a rival begins and is killed, at each of its own steps in turn."""
    expected = sorted(event.id for event in placed(6))
    for killed_at in range(steps_of_a_short_run()):
        audit, bucket = a_short_log()
        told = rival = 0

        def die(call: str, killed_at: int = killed_at) -> None:
            nonlocal rival
            rival += call.startswith("before")
            if rival > killed_at:
                raise Crash

        def stand_still(
            call: str, audit: MemoryAudit = audit, bucket: MemoryBucket = bucket, die: Callable[[str], None] = die
        ) -> None:
            nonlocal told
            told += call.startswith("before")
            if told == step + 1 and call.startswith("before"):
                enqueue_events(audit, placed(1, first=5))
                with contextlib.suppress(Crash, ExceptionGroup):
                    run_archive(memory_ports(audit, bucket, watcher=die), now=NOW + timedelta(hours=1, minutes=1))

        run_archive(memory_ports(audit, bucket, watcher=stand_still), now=NOW + timedelta(hours=1))
        run_archive(memory_ports(audit, bucket), now=NOW + timedelta(hours=1, minutes=5))
        assert sorted(ids(bucket)) == expected, f"ours at {step}, the rival's at {killed_at}"
        sizes = [checkpoint_of(bucket, path) for path in bucket.objects if "checkpoint" in path]
        leaves = [merkle.leaf_hash(entry) for entry in raw_entries(bucket)]
        assert all(root == merkle.root_of(leaves[:size]) for size, root in sizes)


def checkpoint_of(bucket: MemoryBucket, path: str) -> tuple[int, bytes]:
    """Return (size, root) of a published note."""
    checkpoint = notes.parse_checkpoint(notes.parse_note(bucket.read(path) or b"").text)
    return checkpoint.size, checkpoint.root


def raw_entries(bucket: MemoryBucket) -> list[bytes]:
    """Return the bytes of the entries under the latest note."""
    size, _ = checkpoint_of(bucket, f"{LOG.prefix}checkpoint")
    found: list[bytes] = []
    for tile in tiles.bundles_between(0, size):
        found += tiles.entries_of(bucket.read(LOG.prefix + tile.path) or b"")
    return found


@pytest.mark.parametrize("seed", range(25))
def test_three_sequencers_and_a_stream_step_by_step_neither_fork_nor_lose(seed: int, tmp_path: Path) -> None:
    audit, bucket = a_started_log()
    turns = Turns(seed, 4)
    failures: list[BaseException] = []

    def sequencer(who: int) -> None:
        try:
            ports = memory_ports(audit, bucket, watcher=lambda _: turns.step(who))
            for run in range(3):
                run_archive(ports, now=NOW + timedelta(hours=run))
        except BaseException as error:
            failures.append(error)
        finally:
            turns.leave()

    def stream() -> None:
        try:
            for batch in range(12):
                turns.step(3)
                enqueue_events(audit, placed(7, first=1_000 + 5 * batch))
        except BaseException as error:
            failures.append(error)
        finally:
            turns.leave()

    threads = [threading.Thread(target=sequencer, args=(who,)) for who in range(3)] + [threading.Thread(target=stream)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert failures == []
    run_archive(memory_ports(audit, bucket), now=NOW + timedelta(hours=4))
    assert len(ids(bucket)) == len(set(ids(bucket)))
    expected = {event.id for event in [*placed(250), *placed(12, first=250)]}
    expected |= {event.id for batch in range(12) for event in placed(7, first=1_000 + 5 * batch)}
    assert set(ids(bucket)) == expected
    assert faults_of(bucket, tmp_path) == []


def halted(audit: MemoryAudit, bucket: MemoryBucket) -> str:
    """Run, expect the alarm, and return the file that it names; a second run must stand still as well."""
    for _ in range(2):
        with pytest.raises(ExceptionGroup) as raised:
            run_archive(memory_ports(audit, bucket), now=NOW + timedelta(hours=2))
        (alarm,) = raised.value.exceptions
        assert isinstance(alarm, ForkAlarm)
        assert audit.head(LOG).halted == alarm.path
    return str(audit.head(LOG).halted)


def test_a_bundle_with_other_bytes_raises_the_alarm_and_stops_the_log() -> None:
    audit, bucket = a_started_log()
    path = "tile/entries/000"
    bucket.objects[LOG.prefix + path] = [b"other entries"]
    assert halted(audit, bucket) == path
    size = audit.head(LOG).size
    del bucket.objects[LOG.prefix + path]
    assert not archive.lift_halt(audit, LOG, path="tile/0/000")
    assert archive.lift_halt(audit, LOG, path=path)
    run_archive(memory_ports(audit, bucket), now=NOW + timedelta(hours=2))
    assert audit.head(LOG).size > size


def test_a_note_that_nobody_here_signed_raises_the_alarm() -> None:
    audit, bucket = a_started_log()
    stranger = Ed25519PrivateKey.generate()
    note = archives.signed_checkpoint(archives.ORIGIN, 251, merkle.EMPTY_ROOT, [stranger])
    bucket.objects[f"{LOG.prefix}checkpoint"] = [note]
    assert halted(audit, bucket) == "checkpoint"


def test_a_published_note_with_another_root_raises_the_alarm() -> None:
    audit, bucket = a_started_log()
    bucket.objects[f"{LOG.prefix}checkpoint"] = [archives.signed_checkpoint(archives.ORIGIN, 200, merkle.EMPTY_ROOT)]
    assert halted(audit, bucket) == "checkpoint"


def test_a_head_older_than_the_published_note_raises_the_alarm() -> None:
    audit, bucket = MemoryAudit(), MemoryBucket()
    enqueue_events(audit, placed(10))
    run_archive(memory_ports(audit, bucket), now=NOW)
    # The table came back from an older backup: it knows nothing of what was published.
    restored = MemoryAudit()
    enqueue_events(restored, placed(4))
    with pytest.raises(ExceptionGroup) as raised:
        run_archive(memory_ports(restored, bucket), now=NOW)
    assert isinstance(raised.value.exceptions[0], ForkAlarm)
    assert len(entries_of(bucket)) == 11


def test_a_note_that_vanished_raises_the_alarm() -> None:
    audit, bucket = a_started_log()
    del bucket.objects[f"{LOG.prefix}checkpoint"]
    assert halted(audit, bucket) == "checkpoint"


def test_a_tile_of_the_edge_that_changed_or_vanished_raises_the_alarm() -> None:
    for spoil in (b"x" * 32, None):
        audit, bucket = MemoryAudit(), MemoryBucket()
        enqueue_events(audit, placed(300))
        run_archive(memory_ports(audit, bucket), now=NOW)
        enqueue_events(audit, placed(5, first=300))
        path = f"{LOG.prefix}tile/1/000.p/1"
        assert path in bucket.objects
        if spoil is None:
            del bucket.objects[path]
        else:
            bucket.objects[path] = [spoil]
        assert halted(audit, bucket).startswith("tile")


def test_a_note_that_does_not_verify_is_never_put() -> None:
    class Mistaken(LocalSigner):
        def sign(self, message: bytes) -> bytes:
            return super().sign(message + b"!")

    for wrong in (archives.ED25519, archives.P256):
        audit, bucket = MemoryAudit(), MemoryBucket()
        enqueue_events(audit, placed(1))
        signers = [(Mistaken if key is wrong else LocalSigner)(key) for key in (archives.ED25519, archives.P256)]
        with pytest.raises(ExceptionGroup) as raised:
            run_archive(memory_ports(audit, bucket, signers=signers), now=NOW)
        assert isinstance(raised.value.exceptions[0], notes.Unsigned)
        assert not [path for path in bucket.objects if "checkpoint" in path]
        # The next run, with the key in order, goes on where this one stopped.
        run_archive(memory_ports(audit, bucket), now=NOW)
        assert len(entries_of(bucket)) == 2


# Reading


def test_a_log_is_read_by_its_own_paths_and_no_others() -> None:
    audit, bucket = a_started_log()
    scope = Scope(TENANT)
    for path in ("checkpoint", "checkpoints/000000000251", "tile/0/000.p/251", "tile/entries/000.p/251"):
        assert archive.read_log_file(bucket, scope, "2026", path) == bucket.read(LOG.prefix + path)
    for year, path in [
        ("2026", "../../other-lender/2026/checkpoint"),
        ("2026", "tile/0/0"),
        ("2026", "checkpoints/252"),
        ("2026", "tile/0/001"),
        ("2026/x", "checkpoint"),
        ("2025", "checkpoint"),
    ]:
        with pytest.raises(NotFound):
            archive.read_log_file(bucket, scope, year, path)
    with pytest.raises(NotFound):
        archive.read_log_file(bucket, Scope("other-lender"), "2026", "checkpoint")


def test_an_event_is_proved_by_number_path_and_note() -> None:
    audit, bucket = a_started_log()
    run_archive(memory_ports(audit, bucket), now=NOW + timedelta(hours=1))
    for event in (placed(1)[0], placed(12, first=250)[-1]):
        proof = archive.prove_event(audit, bucket, Scope(TENANT), event.id)
        assert len(proof) < 5_000
        head, _, note = proof.decode().partition("\n\n")
        version, index, *path = head.split("\n")
        assert version == "c2sp.org/tlog-proof@v1"
        number = int(index.removeprefix("index "))
        checkpoint = notes.parse_checkpoint(notes.parse_note(note.encode()).text)
        entry = entries_of(bucket)[number]
        assert entry["event"]["id"] == event.id
        leaf = merkle.leaf_hash(record_bytes(entry["log"], number, event.canonical()))
        hashes = [base64.b64decode(each) for each in path]
        assert merkle.inclusion_holds(leaf, number, checkpoint.size, hashes, checkpoint.root)
    with pytest.raises(NotFound):
        archive.prove_event(audit, bucket, Scope(TENANT), "evt_unknown")
    # Numbered, and not under a note yet.
    audit.markers[TENANT, "2026", "evt_next"] = (audit.head(LOG).size, "2026")
    with pytest.raises(NotFound):
        archive.prove_event(audit, bucket, Scope(TENANT), "evt_next")
    enqueue_events(audit, placed(1, first=990))
    with pytest.raises(NotFound):
        archive.prove_event(audit, bucket, Scope(TENANT), placed(1, first=990)[0].id)


def batch(ref: str, *events: Event) -> WaitingBatch:
    """Return a waiting batch of these events."""
    return WaitingBatch("2026", ref, tuple(waiting_of(event.canonical()) for event in events))


def test_what_goes_into_a_transaction_has_bounds() -> None:
    many = [batch(f"{number:05d}", event) for number, event in enumerate(placed(2_100))]
    assert next_batches([]) == []
    assert next_batches(many[:10]) == many[:10]
    assert next_batches(many) == many[:2_048]
    story = Story()
    for number in range(60):
        story.emit(f"case_{number}", EventType.CASE_PLACED, {"text": "x" * 60_000}, START)
    big = [batch(f"{number:05d}", event) for number, event in enumerate(story.events)]
    assert next_batches(big) == big[:41]
    assert sum(len(event.raw) for each in next_batches(big) for event in each.events) < 2_500_000


def test_a_batch_whose_stream_begins_in_one_that_stays_behind_stays_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chalicelib.domain.audit.log.MOST_BATCH_ENTRIES", 3)
    story = Story()
    for stream in ("a", "a", "b", "c", "b"):
        story.emit(stream, EventType.CASE_PLACED, {}, START)
    a1, a2, b1, c1, b2 = story.events
    assert next_batches([batch("1", b2), batch("2", a1), batch("3", c1), batch("4", b1, a2)]) == [
        batch("2", a1),
        batch("3", c1),
    ]
    # Two batches that each wait for the other are taken as they come.
    crossed = [batch("1", a2, b1), batch("2", a1, b2)]
    assert next_batches(crossed) == crossed[:1]


def test_order_within_a_stream_is_restored_and_order_of_time_otherwise_kept() -> None:
    story = Story()
    for stream in ("a", "b", "a", "a"):
        story.emit(stream, EventType.CASE_PLACED, {}, START)
    told = [waiting_of(event.canonical()) for event in story.events]

    def names(order: Sequence[int]) -> list[str]:
        return [f"{each.stream}{each.seq}" for each in in_stream_order([told[place] for place in order])]

    assert names([3, 1, 2, 0]) == ["a1", "b1", "a2", "a3"]
    assert names([0, 1, 2, 3]) == ["a1", "b1", "a2", "a3"]


def test_every_entry_is_a_record_of_this_log() -> None:
    audit, bucket = a_started_log()
    raw = bucket.read(f"{LOG.prefix}tile/entries/000.p/251")
    assert raw is not None
    for number, entry in enumerate(tiles.entries_of(raw)):
        record = parse_record(entry)
        assert (record.log, record.seq) == (archives.ORIGIN, number)
