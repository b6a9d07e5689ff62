"""The witness as a program of its own: what it signs, what it refuses, and what it never forgets."""

import base64
import contextlib
import http.client
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from chalicelib.domain.audit import merkle
from chalicelib.domain.audit.merkle import leaf_hash, root_of
from chalicelib.domain.audit.notes import NoteKey, SignatureType
from scripts import witness
from scripts.witness import LogKey, Unusable, Witness, extends
from tests import archives
from tests.archives import ORIGIN, signed_checkpoint

LOG = NoteKey(ORIGIN, SignatureType.ED25519, archives.spki(archives.ED25519)).vkey
P256 = NoteKey(ORIGIN, SignatureType.ECDSA_P256, archives.spki(archives.P256)).vkey
AT = 1_790_000_000


class Tree:
    """The hashes of a log, and notes and proofs from them."""

    def __init__(self, *names: str) -> None:
        self.leaves = [leaf_hash(name.encode()) for name in names]

    def read(self, height: int, index: int) -> bytes:
        return merkle.perfect_root(self.leaves[index << height : (index + 1) << height])

    def proof(self, old: int, new: int) -> list[bytes]:
        return merkle.consistency_proof(old, new, self.read)

    def note(self, size: int, origin: str = ORIGIN, keys: tuple[object, ...] = (archives.ED25519,)) -> bytes:
        return signed_checkpoint(origin, size, root_of(self.leaves[:size]), keys)

    def request(self, old: int, new: int, *, believed: int | None = None) -> bytes:
        return body(old if believed is None else believed, self.proof(old, new), self.note(new))


def body(old: int | str, proof: list[bytes], note: bytes) -> bytes:
    lines = [f"old {old}", *(base64.b64encode(node).decode() for node in proof), ""]
    return ("\n".join(lines) + "\n").encode() + note


TREE = Tree(*map(str, range(40)))
FORK = Tree(*map(str, range(7)), *(f"other {number}" for number in range(7, 40)))


def of(home: Path, *keys: str, each_year: bool = False) -> Witness:
    return Witness(home, [LogKey(key) for key in keys or (LOG,)], each_year=each_year, seconds=lambda: AT)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    witness.init(tmp_path / "w", "witness.lender.example/w1")
    return tmp_path / "w"


def test_every_consistency_proof_holds_and_no_other_does() -> None:
    """Its own reading of RFC 6962 2.1.2 against the service's, for every pair of sizes, and with one thing changed."""
    rng = random.Random(7)
    for new in range(1, 41):
        for old in range(1, new + 1):
            roots, proof = (root_of(TREE.leaves[:old]), root_of(TREE.leaves[:new])), TREE.proof(old, new)
            assert extends(old, roots[0], new, roots[1], proof)
            wrong = [[*proof, bytes(32)], proof[:-1] if proof else [bytes(32)]]
            if proof:
                place = rng.randrange(len(proof))
                wrong.append([*proof[:place], bytes(32), *proof[place + 1 :]])
            for each in wrong:
                assert not extends(old, roots[0], new, roots[1], each), (old, new)
            assert not extends(old, bytes(32), new, roots[1], proof)
            assert not extends(old, roots[0], new, bytes(32), proof)


def test_a_note_that_extends_the_last_one_is_signed_with_the_time(home: Path) -> None:
    it = of(home)
    for old, new in ((0, 3), (3, 3), (3, 7), (7, 40)):
        answer = it.add_checkpoint(TREE.request(old, new))
        assert answer.status == 200, answer
        text = TREE.note(new).rpartition(b"\n\n")[0].decode() + "\n"
        assert answer.body == it.signer.line(text, AT)
    it.close()
    again = of(home)
    assert again.add_checkpoint(TREE.request(7, 40)) == witness.Answer(409, "40\n", "text/x.tlog.size")


@pytest.mark.parametrize(
    ("request_body", "status"),
    [
        (b"", 400),
        (b"old 00\n\n" + TREE.note(3), 400),
        (b"old -1\n\n" + TREE.note(3), 400),
        (b"old 0\n" + TREE.note(3), 400),
        (b"old 0\nxx\n\n" + TREE.note(3), 400),
        (body(0, [bytes(32)] * 64, TREE.note(3)), 400),
        (body(0, [], TREE.note(3)[:-1]), 400),
        (body(0, [], b"\xff" + TREE.note(3)), 400),
        (body(4, [], TREE.note(3)), 400),
        (body(0, [], TREE.note(3, "audit.forbear.test/somebody/2026")), 404),
        (body(0, [], TREE.note(3, "audit.forbear.test/auto-fin/2027")), 404),
        (body(0, [], TREE.note(3, keys=(ed25519.Ed25519PrivateKey.generate(),))), 403),
        (body(0, [], TREE.note(3).replace(b"\n3\n", b"\n2\n")), 403),
        (body(2, [], TREE.note(3)), 409),
        (body(0, [bytes(32)], TREE.note(3)), 422),
    ],
)
def test_what_it_does_not_sign_is_refused_as_the_protocol_says(home: Path, request_body: bytes, status: int) -> None:
    it = of(home)
    answer = it.add_checkpoint(request_body)
    assert answer.status == status
    assert "\N{EM DASH}" not in answer.body
    if status == 409:
        assert (answer.body, answer.media_type) == ("0\n", "text/x.tlog.size")
    assert (home / "state.json").read_text() == "{}"


@pytest.mark.parametrize(
    ("request_body", "status"),
    [
        (FORK.request(10, 10), 409),
        (FORK.request(10, 30), 422),
        (body(10, FORK.proof(7, 30), FORK.note(30)), 422),
        (body(10, [], FORK.note(30)), 422),
    ],
)
def test_a_fork_is_refused_and_both_halves_of_the_proof_are_kept(home: Path, request_body: bytes, status: int) -> None:
    it = of(home)
    it.add_checkpoint(TREE.request(0, 10))
    before = (home / "state.json").read_text()
    assert it.add_checkpoint(request_body).status == status
    (kept,) = (home / "evidence").iterdir()
    assert request_body.endswith(kept.read_bytes())
    assert (home / "state.json").read_text() == before
    # And it goes on with the log that it knows.
    assert it.add_checkpoint(TREE.request(10, 12)).status == 200


def test_a_rollback_is_told_where_the_witness_stands(home: Path) -> None:
    it = of(home)
    it.add_checkpoint(TREE.request(0, 10))
    for old, new in ((0, 8), (8, 8), (5, 8)):
        answer = it.add_checkpoint(TREE.request(old, new))
        assert (answer.status, answer.body) == (409, "10\n")


def test_another_year_of_the_log_is_watched_when_asked_for(home: Path) -> None:
    it = of(home, P256, each_year=True)
    for origin, status in (
        ("audit.forbear.test/auto-fin/2027", 200),
        ("audit.forbear.test/auto-fin/20271", 404),
        ("audit.forbear.test/auto-fin/next", 404),
        ("audit.forbear.test/other/2027", 404),
    ):
        note = TREE.note(3, origin, (archives.P256,))
        assert it.add_checkpoint(body(0, [], note)).status == status


def test_a_witness_without_its_memory_does_not_go_on(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    it = of(home)
    it.add_checkpoint(TREE.request(0, 10))
    (home / "state.json").unlink()
    with pytest.raises(Unusable, match="lost its memory"):
        it.add_checkpoint(FORK.request(0, 10))
    it.close()
    (home / "log").write_text(LOG)
    assert witness.main(["run", "--home", str(home), "--log", str(home / "log"), "--port", "0"]) == 2
    assert "lost its memory" in capsys.readouterr().err


def test_two_processes_never_share_a_memory(home: Path) -> None:
    it = of(home)
    with pytest.raises(Unusable, match="Another witness"):
        of(home)
    it.close()
    of(home).close()


def test_of_two_forks_that_race_one_is_signed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state is judged and written under one lock: whoever reads it waits until the other one has read it as well, in vain."""
    it = of(home)
    it.add_checkpoint(TREE.request(0, 7))
    both, read = threading.Barrier(2, timeout=0.5), it._read

    def read_together() -> dict[str, tuple[int, bytes]]:
        known = read()
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait()
        return known

    monkeypatch.setattr(it, "_read", read_together)
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(it.add_checkpoint, [TREE.request(7, 9), FORK.request(7, 9)]))
    assert sorted(answer.status for answer in answers) == [200, 409]


def test_making_one_and_asking_for_its_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = str(tmp_path / "w")
    assert witness.main(["init", "--name", "w.example/1", "--home", home]) == 0
    vkey = capsys.readouterr().out
    assert vkey.startswith("w.example/1+")
    assert (witness.main(["key", "--home", home]), capsys.readouterr().out) == (0, vkey)
    assert (tmp_path / "w/key.pem").stat().st_mode & 0o777 == 0o600
    for arguments in (
        ["init", "--name", "again", "--home", home],
        ["init", "--name", "a b", "--home", str(tmp_path / "x")],
        ["key", "--home", str(tmp_path / "nowhere")],
        ["run", "--home", home, "--log", str(tmp_path / "none")],
    ):
        assert witness.main(arguments) == 2
        assert capsys.readouterr().err.strip().endswith(".")


@pytest.fixture
def served(home: Path) -> Iterator[int]:
    it = of(home)
    server = witness.serve(it, port=0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()
    it.close()


def test_over_http_a_connection_serves_many_requests(served: int) -> None:
    line = http.client.HTTPConnection("127.0.0.1", served, timeout=10)
    for path, request, status, kind in (
        ("/add-checkpoint", TREE.request(0, 3), 200, "text/plain; charset=utf-8"),
        ("/add-checkpoint", TREE.request(0, 5), 409, "text/x.tlog.size"),
        ("/w/1/add-checkpoint", TREE.request(3, 5), 200, "text/plain; charset=utf-8"),
        ("/other", b"x", 404, "text/plain; charset=utf-8"),
    ):
        line.request("POST", path, request)
        answer = line.getresponse()
        assert (answer.status, answer.headers["Content-Type"]) == (status, kind)
        assert answer.read()
    line.request("POST", "/add-checkpoint", b"x" * (witness.MOST_BODY_BYTES + 1))
    assert line.getresponse().status == 413
    line.close()
