"""Witnesses in the sequencer's runs: asked after each note, believed only with a signature, and missed without harm."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from chalicelib.domain.audit.log import LogName, WitnessUnavailable
from chalicelib.domain.audit.notes import Malformed, NoteKey, SignatureType
from chalicelib.domain.audit.policy import WitnessAnswer, parse_policy
from chalicelib.domain.errors import NotFound
from chalicelib.domain.events import Actor, EventType
from chalicelib.gateways.witnesses import ask_witness
from chalicelib.store.repository import Store
from chalicelib.usecases import cosigning
from chalicelib.usecases.archive import enqueue_events, run_archive
from scripts import verify_archive, witness
from tests import archives
from tests.archive_fakes import MemoryAudit, MemoryBucket, memory_ports
from tests.archives import ORIGIN, TENANT, Story
from tests.builders import Scope, a_lender, stored
from tests.witnesses import TextWitness

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
LOG = LogName(TENANT, "2026")
VKEY = NoteKey(ORIGIN, SignatureType.ED25519, archives.spki(archives.ED25519)).vkey
URL = "https://witness.example"


class World:
    """A log in memory with a lender's real witness, which is asked without a network."""

    def __init__(self, home: Path) -> None:
        self.audit, self.bucket, self.now = MemoryAudit(), MemoryBucket(), NOW
        self.signer = witness.init(home, "lender.example/w1")
        keys = [witness.LogKey(VKEY)]
        self.witness = witness.Witness(home, keys, each_year=True, seconds=lambda: self.now.timestamp())
        self.policy = f"witness lender {self.signer.vkey} {URL}\nquorum lender\n"
        self.asked: list[bytes] = []
        self.mood: Callable[[bytes], WitnessAnswer] = self.honest
        self.entered = 0

    def honest(self, body: bytes) -> WitnessAnswer:
        answer = self.witness.add_checkpoint(body)
        return WitnessAnswer(answer.status, answer.media_type, answer.body.encode())

    def ask(self, url: str, body: bytes) -> WitnessAnswer:
        self.asked.append(body)
        return self.mood(body)

    def run(self, *, events: int = 1, minutes: int = 5) -> dict[str, Any]:
        self.now += timedelta(minutes=minutes)
        story = Story()
        for _ in range(events):
            self.entered += 1
            story.emit(f"case_{self.entered}", EventType.CASE_PLACED, {"n": self.entered}, self.now)
        assert enqueue_events(self.audit, story.events) == []
        ports = memory_ports(self.audit, self.bucket, policy=lambda _: parse_policy(self.policy), ask=self.ask)
        (run,) = run_archive(ports, now=self.now)
        return run

    def cosignatures(self) -> list[str]:
        return sorted(path for path in self.bucket.objects if "/cosigs/" in path)

    def verified(self, folder: Path) -> verify_archive.Report:
        download = self.bucket.download(folder / "archive")
        (folder / "key.pem").write_bytes(archives.pem(archives.ED25519))
        (folder / "policy").write_text(self.policy)
        keys = [verify_archive.Key(str(folder / "key.pem"))]
        policy = verify_archive.Policy(str(folder / "policy"))
        return verify_archive.verify(download, verify_archive.Asked(keys, policy=policy))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "witness")


def test_each_note_is_cosigned_in_one_request_and_the_verifier_finds_the_quorum(world: World, tmp_path: Path) -> None:
    for events in (1, 3, 300):
        told = world.run(events=events)["witnesses"]
        assert (told["signed"], told["silent"], told["refused"], told["quorum"]) == (["lender"], [], [], True)
    assert len(world.asked) == 3
    assert [path.rpartition("/")[2] for path in world.cosignatures()] == ["lender"] * 3
    report = world.verified(tmp_path)
    assert not report.faults and report.counts["cosignatures"] == 3
    # Nothing new, nothing asked.
    world.run(events=0)
    assert len(world.asked) == 3


def test_a_silent_witness_stops_nothing_and_is_asked_again_when_it_is_back(world: World, tmp_path: Path) -> None:
    def silent(body: bytes) -> WitnessAnswer:
        raise WitnessUnavailable("time-out")

    world.run()
    world.mood = silent
    told = world.run()
    assert told["published"] and told["witnesses"]["silent"] == ["lender"] and not told["witnesses"]["quorum"]
    assert {code for code, _, _ in world.verified(tmp_path / "a").faults} == {"no_quorum"}
    world.mood = lambda body: WitnessAnswer(503, "text/plain", b"")
    assert world.run()["witnesses"]["silent"] == ["lender"]
    world.mood = world.honest
    # No new note, and it stands two notes behind: it says where, and is shown the way from there.
    told = world.run(events=0)
    assert not told["published"] and told["witnesses"]["signed"] == ["lender"]
    assert not world.verified(tmp_path / "b").faults


def test_a_witness_that_knows_another_log_under_the_name_refuses(world: World) -> None:
    world.run(events=5)
    other = World.__new__(World)
    other.__dict__.update(world.__dict__, audit=MemoryAudit(), bucket=MemoryBucket(), asked=[], entered=1_000)
    for events in (5, 9):
        told = other.run(events=events)["witnesses"]
        assert (told["refused"], told["quorum"]) == (["lender"], False)
    assert not other.cosignatures()


@pytest.mark.parametrize(
    "lie", ["other key", "other text", "future", "nothing", "not text", "two signers", "wrong name", "endless"]
)
def test_only_its_own_lines_over_this_note_are_stored(world: World, lie: str) -> None:
    stranger = TextWitness("lender.example/w1")

    def text_of(body: bytes) -> str:
        return body.split(b"\n\n", 1)[1].rpartition(b"\n\n")[0].decode() + "\n"

    def answer(body: bytes) -> WitnessAnswer:
        text, at = text_of(body), int(world.now.timestamp())
        lines = {
            "other key": f"{stranger.line(text, at)}\n",
            "other text": world.signer.line(text.replace("audit.", "audits."), at),
            "future": world.signer.line(text, at + 3_600),
            "nothing": "",
            "two signers": world.signer.line(text, at) + f"{stranger.line(text, at)}\n",
            "wrong name": world.signer.line(text, at).replace("lender.example", "londer.example"),
        }
        if lie == "endless":
            return WitnessAnswer(409, "text/x.tlog.size", f"{len(world.asked) % 2}\n".encode())
        return WitnessAnswer(200, "text/plain", b"\xff\xfe" if lie == "not text" else lines[lie].encode())

    world.mood = answer
    told = world.run(events=3)["witnesses"]
    if lie == "two signers":
        (path,) = world.cosignatures()
        assert told["signed"] == ["lender"] and len((world.bucket.read(path) or b"").splitlines()) == 1
    else:
        assert told["refused"] == ["lender"] and not world.cosignatures()
        assert len(world.asked) <= 3


def test_the_last_note_of_a_year_is_cosigned_later_when_nobody_was_there(world: World) -> None:
    def silent(body: bytes) -> WitnessAnswer:
        raise WitnessUnavailable("time-out")

    world.run()
    world.mood = silent
    world.now = datetime(2027, 1, 1, 1, 0, tzinfo=UTC)
    ports = memory_ports(world.audit, world.bucket, policy=lambda _: parse_policy(world.policy), ask=world.ask)
    assert run_archive(ports, now=world.now)[0]["state"] == "closed"
    world.mood = world.honest
    runs = run_archive(ports, now=world.now + timedelta(minutes=5))
    assert [(run["year"], run["witnesses"]["signed"]) for run in runs] == [("2027", ["lender"]), ("2026", ["lender"])]


def test_after_some_silences_the_rest_are_left_for_a_later_run(world: World) -> None:
    asked: list[str] = []

    def ask(url: str, body: bytes) -> WitnessAnswer:
        asked.append(url)
        raise WitnessUnavailable("time-out")

    for number in range(10):
        story = Story()
        story.emit("case_1", EventType.CASE_PLACED, {}, NOW)
        raw = [(event.id, event.type.value, event.at, event.canonical()) for event in story.events]
        from chalicelib.usecases.archive import enqueue_for_archive

        enqueue_for_archive(world.audit, raw, f"lender-{number}")
    policies = {f"lender-{number}": world.policy.replace(URL, f"{URL}/{number}") for number in range(10)}
    ports = memory_ports(world.audit, world.bucket, policy=lambda t: parse_policy(policies[t]), ask=ask)
    run_archive(ports, now=NOW)
    assert len(asked) == cosigning.MOST_SILENT
    for minutes in range(5, 55, 5):
        run_archive(ports, now=NOW + timedelta(minutes=minutes))
    assert len(set(asked)) == 10


# The operator's word


def test_the_operator_sets_a_policy_once_and_the_log_tells(aws: None, store: Store) -> None:
    stored(store, a_lender())
    scope, by = Scope(a_lender().id), Actor("user", "ops-1", "operator")
    text = f"witness lender {TextWitness('l.example').vkey} {URL}\nquorum lender\n"
    for _ in range(2):
        known = cosigning.set_policy(store, scope, text, actor=by, now=NOW, req="req_1")
        assert (known.version, known.text) == (1, text)
    assert cosigning.set_policy(store, scope, "quorum none\n", actor=by, now=NOW, req="req_2").version == 2
    policy = cosigning.policy_of(store, scope)
    assert policy is not None and policy.quorum == "none"
    from chalicelib.domain import keys

    events = store.events(scope, keys.org_pk(scope.tenant, scope.tenant))
    told = [event.data for event in events if event.type is EventType.LENDER_WITNESSES_SET]
    assert [(each["version"], each["quorum"], len(each["witnesses"])) for each in told] == [
        (1, "lender", 1),
        (2, "none", 0),
    ]
    with pytest.raises(Malformed):
        cosigning.set_policy(store, scope, "quorum nobody\n", actor=by, now=NOW, req="req_3")
    with pytest.raises(NotFound):
        cosigning.set_policy(store, Scope("stranger"), text, actor=by, now=NOW, req="req_4")
    assert cosigning.policy_of(store, Scope("stranger")) is None


# Over HTTP


@pytest.fixture
def elsewhere() -> Iterator[tuple[str, list[tuple[str, bytes]], list[int]]]:
    """Return an address, what was posted there, and how it answers: a status, or a redirection to itself."""
    posted: list[tuple[str, bytes]] = []
    statuses = [200]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            told = b"x" * 20_000 if statuses[0] == 599 else b"7\n"
            self.send_response(200 if statuses[0] == 599 else statuses[0])
            self.send_header("Content-Type", "text/x.tlog.size")
            self.send_header("Location", "/other")
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        do_GET = do_POST

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/w/", posted, statuses
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("status", [200, 409, 422, 301, 302, 307, 308, 503])
def test_an_answer_is_an_answer_and_no_redirection_is_followed(elsewhere: Any, status: int) -> None:
    url, posted, statuses = elsewhere
    statuses[0] = status
    assert ask_witness(url, b"old 0\n") == WitnessAnswer(status, "text/x.tlog.size", b"7\n")
    assert posted == [("/w/add-checkpoint", b"old 0\n")]


def test_an_endless_answer_nobody_and_plain_http_are_no_answer(elsewhere: Any) -> None:
    url, _, statuses = elsewhere
    statuses[0] = 599
    for address in (url, "http://127.0.0.1:1", "http://witness.example", "file:///etc/passwd", "ftp://127.0.0.1", "w"):
        with pytest.raises(WitnessUnavailable):
            ask_witness(address, b"old 0\n")
