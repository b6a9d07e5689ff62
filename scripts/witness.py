"""A witness of transparency logs (C2SP tlog-witness): signs a note that extends what was signed before, and no other.

    python -m scripts.witness init --name witness.lender.example/w1 --home witness
    python -m scripts.witness run --home witness --log archive.vkey --port 8410

It is for whoever wants to hold a log to its word: the lender, its auditor, a supervisor. One file, the standard library
and ``cryptography``, nothing of the system that it watches. ``init`` makes a key and an empty memory, and prints the verifier
key that goes into a policy. ``run`` answers ``POST /add-checkpoint``. The memory, ``state.json``, holds size and root of the newest
note that was signed of each log; a witness that lost it must not go on, because it would sign a second history: it takes a
new name and a new key. Put it behind a server that speaks HTTPS.

A note of a known log, signed by the log, that contradicts what was signed before is refused and kept in ``evidence/``: with the
log's signature on both notes, it proves a fork.
"""

import argparse
import base64
import binascii
import fcntl
import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

PORT = 8410
MOST_BODY_BYTES = 131_072
MOST_PROOF_LINES = 63
MOST_EVIDENCE = 1_000
"""How many contradicting notes are kept; each is signed by the log, so more of them add nothing."""

EMPTY_ROOT = sha256(b"").digest()
SIZE_TYPE = "text/x.tlog.size"
_DASH = "\N{EM DASH}"
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")
_PATIENCE_SECONDS = 20


class Unusable(Exception):
    """The witness cannot run so; the text is a sentence for its keeper."""


class Malformed(ValueError):
    """A request or a note that is not in its one valid form."""


@dataclass(frozen=True)
class Answer:
    """What is answered: status, body, media type."""

    status: int
    body: str
    media_type: str = "text/plain"


# Keys


class LogKey:
    """A public key that signs a log: Ed25519 or ECDSA on P-256, from a verifier key line."""

    def __init__(self, vkey: str) -> None:
        """Read the line. Raises Malformed."""
        try:
            self.origin, identity, encoded = vkey.strip().split("+", 2)
            self._typed = _unbase64(encoded)
            if self._typed[:1] == b"\x01":
                self._public: Any = ed25519.Ed25519PublicKey.from_public_bytes(self._typed[1:])
            elif self._typed[:1] == b"\x02":
                self._public = serialization.load_der_public_key(self._typed[1:])
            else:
                raise Malformed("the key is of an unknown type")
        except (ValueError, TypeError) as error:
            raise Malformed("this is no verifier key of a log") from error
        if self.id_for(self.origin).hex() != identity:
            raise Malformed("the id is not that of the key")

    def id_for(self, origin: str) -> bytes:
        """Return the four bytes by which a note of this name tells the key."""
        if self._typed[:1] == b"\x01":
            return sha256(origin.encode() + b"\n" + self._typed).digest()[:4]
        return sha256(self._typed[1:]).digest()[:4]

    def holds(self, text: bytes, signature: bytes) -> bool:
        """Tell whether the signature over the text is this key's."""
        try:
            if isinstance(self._public, ed25519.Ed25519PublicKey):
                self._public.verify(signature, text)
            else:
                self._public.verify(signature, text, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True


class Signer:
    """The witness's own key: Ed25519, cosignature/v1 (type 0x04)."""

    def __init__(self, name: str, key: ed25519.Ed25519PrivateKey) -> None:
        """Take the name that lines carry, and the key."""
        self.name, self._key = name, key
        self._typed = b"\x04" + key.public_key().public_bytes_raw()
        self._id = sha256(name.encode() + b"\n" + self._typed).digest()[:4]

    @property
    def vkey(self) -> str:
        """Return the verifier key that goes into a policy."""
        return f"{self.name}+{self._id.hex()}+{base64.b64encode(self._typed).decode()}"

    def line(self, text: str, at: int) -> str:
        """Return the signature line over a note's text at a POSIX second, with its end."""
        signature = self._key.sign(f"cosignature/v1\ntime {at}\n{text}".encode())
        return f"{_DASH} {self.name} {base64.b64encode(self._id + at.to_bytes(8, 'big') + signature).decode()}\n"


# Requests


@dataclass(frozen=True)
class Shown:
    """What a request shows: where the log believes that the witness stands, a proof, and a note with its signatures."""

    old: int
    proof: list[bytes]
    origin: str
    size: int
    root: bytes
    text: str
    signatures: list[tuple[str, bytes]]
    note: str


def read_request(body: bytes) -> Shown:
    """Return what the body of ``add-checkpoint`` says. Raises Malformed."""
    try:
        head, separator, note = body.decode().partition("\n\n")
    except UnicodeDecodeError as error:
        raise Malformed("the body is not UTF-8") from error
    first, *lines = head.split("\n")
    old = re.fullmatch(r"old (0|[1-9][0-9]{0,18})", first)
    if not separator or old is None or len(lines) > MOST_PROOF_LINES:
        raise Malformed("the body is an old size, at most 63 lines of proof, an empty line and a note")
    proof = [_hash(line) for line in lines]
    text, separator, signed = note.rpartition("\n\n")
    if not separator or not signed.endswith("\n"):
        raise Malformed("a note is text, an empty line and signature lines")
    origin, size, root, *_ = [*text.split("\n"), "", ""]
    # More lines of the text are the log's own business; they are signed with it.
    if not origin or not _NUMBER.fullmatch(size):
        raise Malformed("a note says its log, its size and its root")
    signatures = [_signature(line) for line in signed[:-1].split("\n")]
    return Shown(int(old[1]), proof, origin, int(size), _hash(root), text + "\n", signatures, note)


def extends(old: int, old_root: bytes, new: int, new_root: bytes, proof: list[bytes]) -> bool:
    """Tell whether the proof shows that the tree of ``new`` leaves begins with the one of ``old`` (RFC 6962, 2.1.2)."""
    if old == new:
        return not proof and old_root == new_root
    if old == 0:
        return not proof
    left = list(proof)

    def roots(first: int, end: int, *, whole: bool) -> tuple[bytes, bytes]:
        """Return (root of the old part, root of all) of the leaves from ``first`` to ``end``; old ones end before ``old``."""
        if end == old:
            node = old_root if whole else left.pop()
            return node, node
        split = first + (1 << (end - first - 1).bit_length() - 1)
        if old <= split:
            right = left.pop()
            mine, all_left = roots(first, split, whole=whole)
            return mine, _node(all_left, right)
        known = left.pop()
        mine, all_right = roots(split, end, whole=False)
        return _node(known, mine), _node(known, all_right)

    try:
        found = roots(0, new, whole=True)
    except IndexError:
        return False
    return not left and found == (old_root, new_root)


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def _signature(line: str) -> tuple[str, bytes]:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != _DASH or not parts[1]:
        raise Malformed("a signature line is a dash, a name and base64")
    return parts[1], _unbase64(parts[2])


def _hash(line: str) -> bytes:
    raw = _unbase64(line)
    if len(raw) != 32:
        raise Malformed("a hash has 32 bytes")
    return raw


def _unbase64(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed("this is no base64") from error
    if base64.b64encode(raw).decode() != text:
        raise Malformed("base64 with stray bits")
    return raw


# The witness


class Witness:
    """Keeps in a folder what it has signed, and signs what extends it."""

    def __init__(self, home: Path, logs: list[LogKey], *, each_year: bool, seconds: Callable[[], float]) -> None:
        """Take its folder and the logs that it watches. Raises Unusable.

        With ``each_year`` a key also signs the logs of other years: names that differ from the one given in a last part of four digits.
        """
        self._home, self._logs, self._each_year, self._seconds = home, logs, each_year, seconds
        self._lock = threading.Lock()
        self.signer = load_signer(home)
        try:
            self._only_one = (home / "lock").open("w")
            fcntl.flock(self._only_one, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Unusable("Another witness runs on this folder; two of them could sign two histories.") from error
        self._read()

    def close(self) -> None:
        """Let another process have the folder."""
        self._only_one.close()

    def add_checkpoint(self, body: bytes) -> Answer:
        """Answer one request, as tlog-witness says."""
        try:
            shown = read_request(body)
        except Malformed as error:
            return Answer(400, f"{error}\n")
        keys = self._keys_of(shown.origin)
        if not keys:
            return Answer(404, "this log is not watched here\n")
        if not _is_signed(shown, keys):
            return Answer(403, "no key of the log has signed the note, or one did not sign this\n")
        if shown.old > shown.size:
            return Answer(400, "the old size is larger than the note's\n")
        with self._lock:
            return self._judge(shown)

    def _judge(self, shown: Shown) -> Answer:
        state = self._read()
        size, root = state.get(shown.origin, (0, EMPTY_ROOT))
        if shown.old != size:
            return Answer(409, f"{size}\n", SIZE_TYPE)
        if shown.old == shown.size and shown.root != root:
            self._keep(shown)
            return Answer(409, f"{size}\n", SIZE_TYPE)
        if not extends(size, root, shown.size, shown.root, shown.proof):
            self._keep(shown)
            return Answer(422, "the proof does not show that the note extends what was signed before\n")
        if shown.size != size:
            # Before anybody has the signature: a witness that forgets what it signed can be led to sign another history.
            self._write({**state, shown.origin: (shown.size, shown.root)})
        return Answer(200, self.signer.line(shown.text, int(self._seconds())))

    def _keys_of(self, origin: str) -> list[LogKey]:
        def watched(key: LogKey) -> bool:
            if key.origin == origin:
                return True
            known, _, year = key.origin.rpartition("/")
            asked, _, other = origin.rpartition("/")
            return self._each_year and known == asked and all(re.fullmatch(r"[0-9]{4}", y) for y in (year, other))

        return [key for key in self._logs if watched(key)]

    def _read(self) -> dict[str, tuple[int, bytes]]:
        """Return size and root of each log. Read from the file each time, so that no process goes by an old memory."""
        try:
            told = json.loads((self._home / "state.json").read_text(encoding="utf-8"))
            return {log: (int(known["size"]), bytes.fromhex(known["root"])) for log, known in told.items()}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Unusable(
                "The witness has lost its memory (state.json), so it could sign a second history. It does not go on: "
                "make a new one with another name, and put that into the policies."
            ) from error

    def _write(self, state: dict[str, tuple[int, bytes]]) -> None:
        _write_whole(
            self._home / "state.json",
            json.dumps({log: {"size": size, "root": root.hex()} for log, (size, root) in sorted(state.items())}),
        )

    def _keep(self, shown: Shown) -> None:
        folder = self._home / "evidence"
        folder.mkdir(exist_ok=True)
        file = folder / f"{sha256(shown.note.encode()).hexdigest()}.note"
        if not file.exists() and sum(1 for _ in folder.iterdir()) < MOST_EVIDENCE:
            _write_whole(file, shown.note)


def _is_signed(shown: Shown, keys: list[LogKey]) -> bool:
    """Tell whether a key of the log has signed; a line by a known key that does not hold spoils the note."""
    verdicts = [
        key.holds(shown.text.encode(), signature[4:])
        for key in keys
        for name, signature in shown.signatures
        if name == shown.origin and signature[:4] == key.id_for(shown.origin)
    ]
    return bool(verdicts) and all(verdicts)


def _write_whole(file: Path, text: str) -> None:
    """Write a file whole or not at all, and on the disk before this returns."""
    fresh = file.with_name(f"{file.name}.new")
    with fresh.open("w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    os.replace(fresh, file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def init(home: Path, name: str) -> Signer:
    """Make a witness: key and empty memory. Raises Unusable where there is one."""
    if not name or "+" in name or any(letter.isspace() for letter in name):
        raise Unusable("A witness's name has no spaces and no plus; an address without its scheme is customary.")
    home.mkdir(parents=True, exist_ok=True)
    if (home / "key.pem").exists() or (home / "state.json").exists():
        raise Unusable(f"In {home} there is a witness already.")
    key = ed25519.Ed25519PrivateKey.generate()
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    with os.fdopen(os.open(home / "key.pem", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(key.private_bytes(*form))
    _write_whole(home / "name", f"{name}\n")
    # Last: a witness without it was never finished, and does not run.
    _write_whole(home / "state.json", "{}")
    return Signer(name, key)


def load_signer(home: Path) -> Signer:
    """Return the witness's key. Raises Unusable."""
    try:
        key = serialization.load_pem_private_key((home / "key.pem").read_bytes(), password=None)
        name = (home / "name").read_text(encoding="utf-8").strip()
    except (OSError, ValueError, TypeError) as error:
        raise Unusable(f"In {home} there is no witness; make one with init.") from error
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise Unusable(f"{home / 'key.pem'} is no Ed25519 key.")
    return Signer(name, key)


def serve(witness: Witness, *, host: str = "127.0.0.1", port: int = PORT) -> ThreadingHTTPServer:
    """Return a server; the caller runs ``serve_forever`` and closes it. Port 0 takes a free one."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Headers and body in one packet: apart, the second waits until the first was acknowledged, some 40 ms.
        wbufsize = -1
        timeout = _PATIENCE_SECONDS

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if not _NUMBER.fullmatch(length) or int(length) > MOST_BODY_BYTES:
                self.close_connection = True
                self._answer(Answer(413 if length else 411, "the body's length is missing or too large\n"))
                return
            body = self.rfile.read(int(length))
            if self.path.partition("?")[0].rstrip("/").rpartition("/")[2] != "add-checkpoint":
                self._answer(Answer(404, "there is add-checkpoint only\n"))
                return
            try:
                self._answer(witness.add_checkpoint(body))
            except Unusable as error:
                print(error, file=sys.stderr, flush=True)
                self._answer(Answer(500, "the witness does not go on\n"))

        def _answer(self, answer: Answer) -> None:
            raw = answer.body.encode()
            self.send_response(answer.status)
            kind = answer.media_type if answer.media_type == SIZE_TYPE else f"{answer.media_type}; charset=utf-8"
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, format: str, *arguments: object) -> None:
            """Keep quiet: what was signed stands in the state."""

    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    return server


def log_keys(files: list[Path]) -> list[LogKey]:
    """Return the keys in files of verifier key lines. Raises Unusable."""
    keys = []
    for file in files:
        try:
            lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
            # A policy's log lines are taken as they stand.
            lines = [line.removeprefix("log ").split()[0] for line in lines if line and not line.startswith("#")]
            keys += [LogKey(line) for line in lines]
        except (OSError, ValueError) as error:
            raise Unusable(f"{file} holds something else than verifier keys of logs.") from error
    return keys


def main(argv: list[str] | None = None) -> int:
    """Make or run a witness; returns the exit status: 0 done, 2 it cannot run so."""
    parser = argparse.ArgumentParser(prog="python -m scripts.witness", description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    made = commands.add_parser("init", help="make a key and an empty memory; prints the verifier key")
    made.add_argument("--name", required=True, help="what its signature lines carry, as witness.example.org/w1")
    shown = commands.add_parser("key", help="print the verifier key")
    ran = commands.add_parser("run", help="answer requests until interrupted")
    for command in (made, shown, ran):
        command.add_argument("--home", type=Path, required=True, help="folder of key and memory")
    ran.add_argument(
        "--log", type=Path, action="append", required=True, help="file with verifier keys of logs, a line each"
    )
    ran.add_argument(
        "--each-year", action="store_true", help="watch the same log in the years to come, under the same keys"
    )
    ran.add_argument("--host", default="127.0.0.1")
    ran.add_argument("--port", type=int, default=PORT)
    asked = parser.parse_args(argv)
    try:
        if asked.command == "init":
            print(init(asked.home, asked.name).vkey)
            return 0
        if asked.command == "key":
            print(load_signer(asked.home).vkey)
            return 0
        witness = Witness(asked.home, log_keys(asked.log), each_year=asked.each_year, seconds=time.time)
        server = serve(witness, host=asked.host, port=asked.port)
    except Unusable as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"Port {asked.port} of {asked.host} cannot be listened on: {error.strerror}.", file=sys.stderr)
        return 2
    print(f"{witness.signer.name} signs at http://{asked.host}:{server.server_port}/add-checkpoint", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print("stopped")
    finally:
        server.server_close()
        witness.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
