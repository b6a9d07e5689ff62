"""The archive over HTTP: a tlog client's paths verbatim, proofs, the newest note on every answer, evidence of a message."""

import base64
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from chalicelib import wiring
from chalicelib.domain import keys
from chalicelib.domain.audit import merkle, notes, tiles
from chalicelib.domain.audit.record import record_bytes
from chalicelib.domain.events import EventType
from chalicelib.domain.outreach.attempt import Approved, AttemptState
from chalicelib.store.repository import Store
from chalicelib.usecases.archive import enqueue_events, run_archive
from scripts import verify_archive
from tests import archives
from tests.archive_fakes import MemoryAudit, MemoryBucket, memory_ports
from tests.builders import CASE, LENDER, NOW, PERSON, TEST_ACTOR, an_attempt, stored
from tests.flows.test_cases_api import Api, body_of
from tests.flows.test_erasure import SCOPE, clock, placed
from tests.flows.test_erasure import api as erasable

__all__ = ["clock", "erasable"]

YEAR = str(NOW.year)


@pytest.fixture
def archived(erasable: Api, store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Api, MemoryBucket]]:
    """Return the API over a log of some three hundred entries, a message's among them."""
    audit, bucket = MemoryAudit(), MemoryBucket()
    monkeypatch.setattr(wiring, "audit_repository", lambda: audit)
    monkeypatch.setattr(wiring, "archive_bucket", lambda: bucket)
    monkeypatch.setattr(
        wiring, "explain", lambda ruling, language, *, tenant: [f"{language}: {r['id']}" for r in ruling["rules"]]
    )
    placed(store)
    ruling = {
        "verdict": "allow",
        "packs": [{"id": "CN", "version": "1", "sha256": "ab" * 32}],
        "rules": [{"id": "CN-1", "effect": "oblige", "citation": "art. <1>", "observed": 1, "limit": 2, "until": None}],
        "missing": [],
    }
    approved = Approved(
        id="apr_1",
        recipient="00" * 16,
        not_before="2026-11-23T01:00:00.000Z",
        not_after="2026-11-23T02:00:00.000Z",
    )
    sent = an_attempt(state=AttemptState.SENT, body="张*先生，您的账单<已>逾期")
    store.sealer.create_subjects(LENDER, [PERSON])
    unit = store.unit(SCOPE, actor=TEST_ACTOR, req="req_1", now=NOW)
    pk = keys.case_pk(LENDER, CASE)
    decision = {"outcome": "allow", "ruleset": "cd" * 32, "reasons": [], "inputs": "ef" * 32}
    unit.emit(pk, EventType.CONTACT_REQUESTED, {"contact": "msg_1"})
    decided = unit.emit(
        pk,
        EventType.CONTACT_DECIDED,
        {"contact": "msg_1", "approval": None},
        decision=decision,
        subject=PERSON,
        secret={"dossier": {}, "ruling": ruling},
    )
    changed = {"decided_seq": decided.seq, "approved": approved, "point": "pt_1"}
    stored(store, sent.model_copy(update=changed))
    unit.emit(pk, EventType.CONTACT_REQUESTED, {"contact": "msg_2"})
    unit.commit()
    # The other entries never were in the tables: the double's transactions grow slow with every item.
    other = archives.Story(LENDER)
    for number in range(300):
        other.emit(f"case_n{number}", EventType.CASE_CHANGED, {"number": number}, NOW)
    events = [*store.events(SCOPE, pk), *other.events]
    assert enqueue_events(audit, events) == []
    run_archive(memory_ports(audit, bucket), now=NOW + timedelta(minutes=5))
    yield erasable, bucket


def octets(answer: Any) -> bytes:
    """Return the bytes of an answer as a client gets them."""
    return bytes(answer.body)


def test_a_log_is_read_by_the_paths_of_a_tlog_client_and_verifies(
    archived: tuple[Api, MemoryBucket], tmp_path: Path
) -> None:
    api, bucket = archived
    (listed,) = body_of(api.get("lender", "/v1/audit"))["items"]
    assert listed["checkpoint"] == f"/v1/audit/{YEAR}/checkpoint" and not listed["closed"]
    note = octets(api.get("lender", listed["checkpoint"]))
    checkpoint = notes.parse_checkpoint(notes.parse_note(note).text)
    assert checkpoint.origin == listed["origin"] and checkpoint.size > 300
    paths = ["checkpoint", f"checkpoints/{checkpoint.size:012d}"]
    paths += [tile.path for tile in tiles.tiles_between(0, checkpoint.size)]
    paths += [tile.path for tile in tiles.bundles_between(0, checkpoint.size)]
    log = tmp_path / LENDER / YEAR
    for path in paths:
        answer = api.get("officer", f"/v1/audit/{YEAR}/{path}", Accept="application/octet-stream")
        assert answer.status_code == 200, path
        assert octets(answer) == bucket.read(f"{LENDER}/{YEAR}/{path}")
        kept = "no-store" if path == "checkpoint" else "private, max-age=31536000, immutable"
        assert answer.headers["Cache-Control"] == kept
        assert base64.b64decode(answer.headers["Audit-Checkpoint"]) == note
        (log / path).parent.mkdir(parents=True, exist_ok=True)
        (log / path).write_bytes(octets(answer))
    (tmp_path / "key.pem").write_bytes(archives.pem(archives.ED25519))
    asked = verify_archive.Asked([verify_archive.Key(str(tmp_path / "key.pem"))], full=False)
    assert verify_archive.verify(log, asked).faults == []


def test_a_witnesss_lines_are_read_verbatim_and_by_the_lender_only(archived: tuple[Api, MemoryBucket]) -> None:
    api, bucket = archived
    lines = "\N{EM DASH} lender.example/w1 AAAA\n".encode()
    path = f"cosigs/{300:012d}/lender"
    bucket.put_once(f"{LENDER}/{YEAR}/{path}", lines, retain_until=NOW)
    answer = api.get("officer", f"/v1/audit/{YEAR}/{path}")
    assert (answer.status_code, octets(answer)) == (200, lines)
    assert answer.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    for token, other in (("lender", f"cosigs/{301:012d}/lender"), ("lender", f"cosigs/{300:012d}/auditor")):
        assert api.get(token, f"/v1/audit/{YEAR}/{other}").status_code == 404
    assert api.get("other-lender", f"/v1/audit/{YEAR}/{path}").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/1",
        "tile/0/999",
        "tile/64/000",
        "tile/entries/000.p/0",
        "tile/entries/000.p/256",
        "tile/x/000",
        "tile/0/x001/000",
        "tile/0/..%2F000",
        "checkpoints/1",
        "cosigs/1/lender",
        "cosigs/000000000300/.lender",
        "keys/abc",
    ],
)
def test_what_is_no_file_of_the_log_is_not_found(path: str, archived: tuple[Api, MemoryBucket]) -> None:
    assert archived[0].get("lender", f"/v1/audit/{YEAR}/{path}").status_code in (403, 404)


def test_another_lender_finds_nothing_and_agencies_are_not_asked_in(archived: tuple[Api, MemoryBucket]) -> None:
    api, _ = archived
    event = api.store.events(SCOPE, keys.case_pk(LENDER, CASE))[-1].id
    paths = [f"/v1/audit/{YEAR}/checkpoint", f"/v1/audit/{YEAR}/tile/0/000", f"/v1/audit/proofs/{event}"]
    paths.append("/v1/messages/msg_1/evidence")
    for path in paths:
        accept = "application/octet-stream" if "/tile/" in path else "*/*"
        assert api.get("lender", path, Accept=accept).status_code == 200
        assert api.get("other-officer", path, Accept=accept).status_code == 404
        assert {api.get(token, path).status_code for token in ("agency", "collector", "platform")} == {403}
    other = api.get("other-officer", "/v1/audit")
    assert body_of(other) == {"items": []} and "Audit-Checkpoint" not in other.headers


def test_a_proof_is_of_this_event_and_small(archived: tuple[Api, MemoryBucket]) -> None:
    api, _ = archived
    for event in api.store.events(SCOPE, keys.case_pk(LENDER, CASE)):
        answer = api.get("officer", f"/v1/audit/proofs/{event.id}")
        assert answer.status_code == 200 and len(answer.body) < 5_000
        head, _, note = octets(answer).decode().partition("\n\n")
        version, index, *path = head.split("\n")
        number = int(index.removeprefix("index "))
        checkpoint = notes.parse_checkpoint(notes.parse_note(note.encode()).text)
        leaf = merkle.leaf_hash(record_bytes(checkpoint.origin, number, event.canonical()))
        hashes = [base64.b64decode(each) for each in path]
        assert version == "c2sp.org/tlog-proof@v1"
        assert merkle.inclusion_holds(leaf, number, checkpoint.size, hashes, checkpoint.root)
    assert api.get("officer", "/v1/audit/proofs/evt_nobody").status_code == 404


def test_evidence_says_what_was_sent_why_and_where_it_is_archived(archived: tuple[Api, MemoryBucket]) -> None:
    api, bucket = archived
    told = body_of(api.get("officer", "/v1/messages/msg_1/evidence"))
    assert told["message"]["body"].startswith("张*先生")
    assert told["recipient"]["name"] == "张*" and told["recipient"]["person"] == PERSON
    assert told["ruling"]["rules"][0]["citation"] == "art. <1>"
    assert told["ruling"]["reasons"] == {"zh": ["zh: CN-1"], "en": ["en: CN-1"]}
    assert told["ruling"]["ruleset_sha256"] == "cd" * 32
    assert told["ruling"]["packs"] == [{"id": "CN", "version": "1", "sha256": "ab" * 32}]
    assert told["approval"]["id"] == "apr_1"
    assert [event["type"] for event in told["events"]] == ["contact.requested", "contact.decided"]
    assert all(event["proof"].startswith("c2sp.org/tlog-proof@v1\n") for event in told["events"])
    assert told["checkpoint"] == (bucket.read(f"{LENDER}/{YEAR}/checkpoint") or b"").decode()


@pytest.mark.parametrize(("language", "title"), [("zh", "触达证据"), ("en", "Evidence of a contact")])
def test_the_page_can_be_handed_over(language: str, title: str, archived: tuple[Api, MemoryBucket]) -> None:
    api, _ = archived
    answer = api.get("lender", f"/v1/messages/msg_1/evidence/page?language={language}")
    page = octets(answer).decode()
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert f"<h1>{title}</h1>" in page and f"{language}: CN-1" in page and "c2sp.org/tlog-proof@v1" in page
    assert "&lt;已&gt;" in page and "<已>" not in page and "<script" not in page and "href=" not in page


def test_nothing_of_the_person_stands_in_the_evidence_but_what_is_masked(archived: tuple[Api, MemoryBucket]) -> None:
    api, _ = archived
    for path in ("evidence", "evidence/page?language=zh"):
        page = octets(api.get("officer", f"/v1/messages/msg_1/{path}")).decode()
        for secret in ("张伟", "13812345678", "8613812345678"):
            assert secret not in page


def test_every_proof_of_a_message_stands_under_one_note_and_no_tile_is_read_twice(
    archived: tuple[Api, MemoryBucket], monkeypatch: pytest.MonkeyPatch
) -> None:
    api, bucket = archived
    asked, read = list[str](), bucket.read

    def reading(path: str) -> bytes | None:
        asked.append(path)
        return read(path)

    monkeypatch.setattr(bucket, "read", reading)
    told = body_of(api.get("officer", "/v1/messages/msg_1/evidence"))
    assert len([event for event in told["events"] if event["proof"]]) == 2
    tiles_read = [path for path in asked if "/tile/" in path]
    assert tiles_read and len(tiles_read) == len(set(tiles_read))
    # Once for the evidence, once for the header that every answer carries.
    assert len([path for path in asked if path.endswith("checkpoint")]) == 2


def test_what_is_not_archived_yet_is_said_and_an_erased_message_has_no_evidence(
    archived: tuple[Api, MemoryBucket],
) -> None:
    api, _ = archived
    unit = api.store.unit(SCOPE, actor=TEST_ACTOR, req="req_1", now=NOW)
    unit.emit(keys.case_pk(LENDER, CASE), EventType.CONTACT_DELIVERED, {"contact": "msg_1"})
    unit.commit()
    told = body_of(api.get("officer", "/v1/messages/msg_1/evidence"))
    assert [event["proof"] is None for event in told["events"]] == [False, False, True]
    assert "尚未归档" in octets(api.get("officer", "/v1/messages/msg_1/evidence/page")).decode()
    unit = api.store.unit(SCOPE, actor=TEST_ACTOR, req="req_1", now=NOW)
    unit.destroy_keys(PERSON, ["ops", "evidence"])
    unit.commit()
    assert api.get("officer", "/v1/messages/msg_1/evidence").status_code == 404


def test_no_word_of_a_collectors_stands_in_the_evidence(archived: tuple[Api, MemoryBucket]) -> None:
    api, _ = archived
    told = {"outcome": "refused", "result": "RPC-REF", "attempted_at": "2026-11-23T01:30:00.000Z", "connected": True}
    attempt = api.store.attempt(SCOPE, "msg_1")
    assert attempt is not None
    noted = {**told, "right_party": True, "note": "张伟 shouts at his wife", "remark": "a field that nobody foresaw"}
    stored(api.store, attempt.model_copy(update={"outcome": noted}))
    evidence = body_of(api.get("officer", "/v1/messages/msg_1/evidence"))
    assert evidence["message"]["outcome"] == {**told, "right_party": True}
    for path in ("evidence", "evidence/page?language=en", "evidence/page?language=zh"):
        page = octets(api.get("officer", f"/v1/messages/msg_1/{path}")).decode()
        assert "shouts" not in page and "foresaw" not in page and "RPC-REF" in page
