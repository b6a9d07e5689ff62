#!/usr/bin/env python3
"""Verify a downloaded audit archive, offline, without trusting whoever keeps it.

    python -m scripts.verify_archive DIR --key FILE [--key FILE2] [--earlier CHECKPOINT] [--approval-key FILE]
                                     [--heartbeat-hours 2] [--json] [--language zh|en]

DIR holds one or more logs (``<tenant>/<yyyy>/checkpoint``, ``.../tile/...``). FILE is the log's public key, a PEM file
or a verifier key line, which must come from somewhere else than the archive. CHECKPOINT is a note of the log that was
saved earlier: only against one does a log that was rewritten or cut as a whole show.

Every file, entry and hash is read: signatures over all published notes, each entry's bytes and number, every tile, the
links of each stream of events, the log's own heartbeat, and for everything sent the signed approval that it was sent
under. Exit status: 0 everything holds, 1 something does not, 2 nothing could be verified. What an archive by itself
cannot show is printed each time. Only the standard library and ``cryptography`` are used, and nothing of the system.
"""

import argparse
import base64
import binascii
import hashlib
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

WIDTH = 256
"""Hashes in a full tile, and entries in a full bundle."""

SETTLING = timedelta(minutes=10)
"""How long after an approval's end the carrier's answer may be written down; the claim itself must lie before it."""

SERVICE_PURPOSES = frozenset(
    ("complaint_answer", "opt_out_confirmation", "remedy_notice", "required_notice", "validation_notice")
)
"""What a person may still be told after opting out of a medium."""

APPROVAL_FIELDS = frozenset(
    [
        "id",
        "tenant",
        "case",
        "contact",
        "person",
        "channel",
        "purpose",
        "recipient",
        "content",
        "template",
        "template_sha256",
        "ruleset",
        "inputs",
        "not_before",
        "not_after",
    ]
)

RULED_ON = ("contact", "person", "channel", "recipient", "content", "template", "template_sha256", "purpose")
"""What an approval repeats of the event that gives it."""

# --- What can be found -------------------------------------------------------------------------------------------

TEXTS: Mapping[str, tuple[str, str]] = {
    "bad_note": ("the note is malformed, or its name is not its size", "检查点格式不正确,或文件名与大小不符"),
    "bad_signature": ("a signature by the given key does not hold", "给定公钥的签名不成立"),
    "not_signed": ("no given key has signed the note", "检查点没有给定公钥的签名"),
    "wrong_origin": ("the note or record belongs to another log", "检查点或记录属于其他日志"),
    "wrong_root": ("the note's root is not the root over the entries", "检查点的根与条目算出的根不一致"),
    "wrong_tile": ("the tile's bytes are not what the entries make", "哈希分片与条目算出的内容不一致"),
    "missing_file": ("a file that the log needs is missing", "缺少日志所需的文件"),
    "extra_file": ("a file that belongs to nothing", "存在不属于归档的文件"),
    "bad_bundle": ("the bundle does not hold the entries that its name says", "条目包与其名称所述的条目不符"),
    "not_canonical": ("the entry is not in its one canonical form", "条目不是唯一的规范形式"),
    "bad_record": ("the entry is not a record of version 1", "条目不是版本 1 的记录"),
    "wrong_seq": ("the entry's number is not its place", "条目的编号与位置不符"),
    "stream_gap": ("an event of the stream is missing, repeated or out of order", "事件流缺失、重复或次序错误"),
    "stream_link": ("the event does not link to the event before it in its stream", "事件未链接到同一事件流的前一事件"),
    "heartbeat_gap": ("the log stood still for longer than a heartbeat allows", "日志停顿超过心跳允许的时间"),
    "no_genesis": (
        "the first entry does not open the log, or another one does",
        "首个条目不是日志开启记录,或有多个开启记录",
    ),
    "year_link": ("the log does not carry the final note of the year before", "日志未承接上一年度的最终检查点"),
    "rolled_back": ("the log is shorter than in the earlier note", "日志比先前保存的检查点更短"),
    "rewritten": ("the log's beginning is not that of the earlier note", "日志开头与先前保存的检查点不一致,已被改写"),
    "wrong_content_hash": (
        "the file's content is not what its name or the log says",
        "文件内容与其名称或日志所述的摘要不符",
    ),
    "bad_text": (
        "the approval's text is not the approved version, or not in its period",
        "批准所用文本不是已批准的版本,或不在其有效期内",
    ),
    "bad_approval": ("the approval is not genuine, or is for something else", "批准不真实,或批准的是其他内容"),
    "no_approval": ("nothing of this kind was approved before", "事前没有对应的批准"),
    "approval_reused": ("the approval was used more than once", "同一批准被使用多次"),
    "outside_window": ("it happened outside the approval's time", "发生在批准的时间范围之外"),
    "content_changed": ("what was sent is not what was approved", "发送的内容或收件人与批准的不一致"),
    "sent_after_stop": ("the message was claimed after the person's stop", "在当事人叫停之后仍然发送"),
    "inputs_changed": ("the sealed dossier is not the one that was decided on", "封存的案卷与裁决所依据的不一致"),
}
"""Faults: code to (English, Chinese)."""

NOTICES: Mapping[str, tuple[str, str]] = {
    "beyond_checkpoint": (
        "file lies beyond the newest note: written, not yet published, so nobody has signed it",
        "文件超出最新检查点:已写入、尚未发布,因此无人签名",
    ),
    "newer_note": (
        "a newer note than 'checkpoint' is in the archive; everything was verified against the newest",
        "归档内有比 checkpoint 更新的检查点;已按最新的核验",
    ),
    "key_did_not_sign": ("a given key has not signed the newest note", "给定的公钥中有一把未签署最新检查点"),
    "no_earlier": (
        "no earlier note was given: a log rewritten or cut as a whole would not show",
        "未提供先前保存的检查点:若整个日志被改写或截短,无法发现",
    ),
    "no_witness": (
        "nobody but the log has signed: whether others were shown another log cannot be known from here",
        "除日志自身外无人签名:无法得知他人看到的是否为同一日志",
    ),
    "no_approval_key": (
        "no approval key was given: approvals were checked against their certificates, the certificates against nothing",
        "未提供批准根公钥:批准已按其证书核验,证书本身未核验",
    ),
    "sealed": (
        "sealed payloads were not opened: their bytes are covered by the log, their content was not read",
        "封存内容未打开:其字节受日志保护,内容未读取",
    ),
    "stream_tails": (
        "whether a stream goes on after its last archived event cannot be known from here",
        "每个事件流在最后一条归档事件之后是否还有事件,无法由归档本身得知",
    ),
    "year_before": (
        "the log of the year before was not given: streams begun there were verified from this year on",
        "未提供上一年度的日志:始于上一年度的事件流仅自本年度起核验",
    ),
}
"""What is no fault but must be said: code to (English, Chinese)."""


@dataclass
class Report:
    """What was found and what was counted."""

    faults: list[tuple[str, str, str]] = field(default_factory=list)
    notices: list[tuple[str, str, str]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    logs: list[dict[str, Any]] = field(default_factory=list)

    def fault(self, code: str, log: str, where: str = "") -> None:
        """Write a fault down; ``code`` must be one of ``TEXTS``."""
        self.faults.append((code, log, where) if code in TEXTS else ("bad_record", log, f"{code} {where}"))

    def notice(self, code: str, log: str = "", where: str = "") -> None:
        """Write down what the reader must know; ``code`` must be one of ``NOTICES``."""
        if (code, log, where) not in self.notices:
            self.notices.append((code, log, where))

    def as_json(self, language: str) -> dict[str, Any]:
        """Return the whole report."""
        place = 1 if language == "zh" else 0
        return {
            "ok": not self.faults,
            "logs": self.logs,
            "counts": dict(sorted(self.counts.items())),
            "faults": [{"code": c, "log": log, "where": w, "text": TEXTS[c][place]} for c, log, w in self.faults],
            "notices": [{"code": c, "log": log, "where": w, "text": NOTICES[c][place]} for c, log, w in self.notices],
        }


class Unverifiable(Exception):
    """There is nothing to verify, or nothing to verify it with."""


# --- Bytes: base64, canonical JSON, hashes ---------------------------------------------------------------------


def unbase64(text: str) -> bytes:
    """Return the bytes of strict base64. Raises ValueError for any other spelling of the same bytes."""
    raw = base64.b64decode(text, validate=True)
    if base64.b64encode(raw).decode() != text:
        raise ValueError("base64 with stray bits")
    return raw


def canonical(value: Any) -> bytes:
    """Return the RFC 8785 form of a value without floats whose member names are ASCII."""
    return _ENCODER.encode(value).encode()


def _integer(text: str) -> int:
    number = int(text)
    if abs(number) >= 2**53:
        raise ValueError("an integer beyond 2**53-1")
    return number


def _refuse(text: str) -> Any:
    raise ValueError("no floats")


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True)
_DECODER = json.JSONDecoder(parse_float=_refuse, parse_int=_integer, parse_constant=_refuse)


def parse_canonical(raw: bytes) -> Any:
    """Return the JSON value of canonical bytes. Raises ValueError when they are not the value's one form.

    A member that stands twice vanishes when the value is written again, so it shows there, like any other deviation.
    """
    value = _DECODER.decode(raw.decode())
    if canonical(value) != raw:
        raise ValueError("not canonical")
    return value


def leaf(entry: bytes) -> bytes:
    """Return the RFC 6962 hash of an entry."""
    return hashlib.sha256(b"\x00" + entry).digest()


def pair(left: bytes, right: bytes) -> bytes:
    """Return the RFC 6962 hash of two subtrees."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def perfect(level: list[bytes]) -> bytes:
    """Return the root over a full tile."""
    while len(level) > 1:
        level = [pair(level[place], level[place + 1]) for place in range(0, len(level), 2)]
    return level[0]


class Tree:
    """A growing tree: the roots of the perfect subtrees that it consists of."""

    def __init__(self) -> None:
        """Start with no leaves."""
        self.size, self._parts = 0, list[bytes]()

    def append(self, node: bytes) -> None:
        """Append a leaf hash."""
        carries = self.size
        while carries & 1:
            node, carries = pair(self._parts.pop(), node), carries >> 1
        self._parts.append(node)
        self.size += 1

    def root(self) -> bytes:
        """Return the root over all leaves so far."""
        if not self._parts:
            return hashlib.sha256(b"").digest()
        node = self._parts[-1]
        for left in reversed(self._parts[:-1]):
            node = pair(left, node)
        return node


# --- Keys and notes ----------------------------------------------------------------------------------------------


class Key:
    """A public key from outside the archive; a verifier key line also fixes the log that it is for."""

    def __init__(self, path: str) -> None:
        """Read a PEM file or a verifier key line. Raises Unverifiable."""
        try:
            raw = Path(path).read_bytes()
            self.name: str | None = None
            self.public: Any = None
            if b"-----BEGIN" in raw:
                self.public = serialization.load_pem_public_key(raw)
            else:
                self.name, self.public = _vkey(raw)
        except (OSError, ValueError, TypeError) as error:
            raise Unverifiable(f"{path} is no public key in PEM and no verifier key line") from error
        if isinstance(self.public, ec.EllipticCurvePublicKey) and isinstance(self.public.curve, ec.SECP256R1):
            self.kind = "P-256"
        elif isinstance(self.public, ed25519.Ed25519PublicKey):
            self.kind = "Ed25519"
        else:
            raise Unverifiable(f"{path} is neither an Ed25519 key nor one on P-256")

    def id_for(self, origin: str) -> bytes:
        """Return the four bytes by which a note of this log names the key."""
        if isinstance(self.public, ed25519.Ed25519PublicKey):
            return hashlib.sha256(origin.encode() + b"\n\x01" + self.public.public_bytes_raw()).digest()[:4]
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return hashlib.sha256(self.public.public_bytes(serialization.Encoding.DER, form)).digest()[:4]

    def holds(self, message: bytes, signature: bytes) -> bool:
        """Tell whether the signature over the message is this key's."""
        try:
            if isinstance(self.public, ed25519.Ed25519PublicKey):
                self.public.verify(signature, message)
            elif isinstance(self.public, ec.EllipticCurvePublicKey):
                self.public.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True


def _vkey(raw: bytes) -> tuple[str, Any]:
    name, identity, encoded = raw.decode().strip().split("+", 2)
    typed = unbase64(encoded)
    if typed[:1] == b"\x01":
        wanted = hashlib.sha256(name.encode() + b"\n" + typed).hexdigest()[:8]
        public: Any = ed25519.Ed25519PublicKey.from_public_bytes(typed[1:])
    else:
        wanted = hashlib.sha256(typed[1:]).hexdigest()[:8]
        public = serialization.load_der_public_key(typed[1:])
    if wanted != identity or typed[:1] not in (b"\x01", b"\x02"):
        raise ValueError("the id is not that of the key")
    return name, public


@dataclass(frozen=True)
class Signed:
    """A published note: what it says, and the keys whose signatures hold on it."""

    origin: str
    size: int
    root: bytes
    keys: tuple[Key, ...]
    text: str


def read_note(raw: bytes, keys: list[Key]) -> Signed | str:
    """Return the note when it is well formed and signed by a given key, else the code of what is wrong with it."""
    try:
        text, separator, lines = raw.decode().rpartition("\n\n")
        origin, size, root = text.split("\n")
        if not separator or not lines.endswith("\n") or size != str(int(size)) or len(unbase64(root)) != 32:
            return "bad_note"
        signatures = []
        for line in lines[:-1].split("\n"):
            dash, name, encoded = line.split(" ")
            if dash != "\N{EM DASH}":
                return "bad_note"
            signatures.append((name, unbase64(encoded)))
    except (ValueError, binascii.Error):
        return "bad_note"
    holding = []
    for key in keys:
        for name, signature in signatures:
            # A line by a key that nobody gave us says nothing, and is ignored.
            if name == origin and key.name in (None, origin) and signature[:4] == key.id_for(origin):
                if not key.holds((text + "\n").encode(), signature[4:]):
                    return "bad_signature"
                holding.append(key)
    return Signed(origin, int(size), unbase64(root), tuple(holding), text + "\n") if holding else "not_signed"


# --- Files of a log ----------------------------------------------------------------------------------------------


def tile_name(index: int, width: int = WIDTH) -> str:
    """Return a tile's number in groups of three digits, all but the last with an x, and its width unless it is full."""
    groups = [f"{index % 1000:03d}"]
    while index >= 1000:
        index //= 1000
        groups.insert(0, f"x{index % 1000:03d}")
    return "/".join(groups) + ("" if width == WIDTH else f".p/{width}")


@dataclass
class Files:
    """The files of a log by their path below it; what nobody asked for is left over in the end."""

    root: Path
    unread: set[str]

    @classmethod
    def below(cls, root: Path) -> "Files":
        """Return all files below a directory."""
        return cls(root, {path.relative_to(root).as_posix() for path in root.rglob("*") if not path.is_dir()})

    def read(self, path: str) -> bytes | None:
        """Return a file's bytes, or None when it is not there."""
        if path not in self.unread:
            return None
        self.unread.discard(path)
        return (self.root / path).read_bytes()

    def partials(self, path: str) -> list[tuple[int, str]]:
        """Return (width, path) of the unread partial versions of a tile."""
        below = self.root / f"{path}.p"
        found = [each.name for each in below.iterdir()] if below.is_dir() else []
        widths = [int(name) for name in found if name.isascii() and name.isdigit() and name == str(int(name))]
        return [(w, f"{path}.p/{w}") for w in sorted(widths) if 0 < w < WIDTH and f"{path}.p/{w}" in self.unread]


class LogVerifier:
    """Walks one log from its entries up to its notes."""

    def __init__(self, log: Path, keys: list[Key], report: Report, *, is_root: bool) -> None:
        """Take the log's directory; ``is_root`` says that it was named itself, so that its place proves nothing."""
        self.files, self.keys, self.report = Files.below(log), keys, report
        self.name = f"{log.parent.name}/{log.name}"
        self.is_root = is_root
        self.origin = ""
        self.head: Signed | None = None
        self.roots: dict[int, set[tuple[bytes, str]]] = defaultdict(set)
        self.named: dict[str, str] = {}
        self._rows: list[list[bytes]] = []
        self._counts: list[int] = []

    def read_notes(self) -> None:
        """Verify every published note, and take the largest as the head that all else is held against."""
        raw = self.files.read("checkpoint")
        if raw is None:
            self.fault("missing_file", "checkpoint")
        notes = [] if raw is None else [self._note("checkpoint", raw)]
        for path in sorted(path for path in self.files.unread if path.startswith("checkpoints/")):
            copy = self.files.read(path) or b""
            note = self._note(path, copy)
            if note is not None and path != f"checkpoints/{note.size:012d}":
                self.fault("bad_note", path)
            if note is not None and notes and notes[0] is not None and notes[0].size == note.size and copy != raw:
                self.fault("bad_note", path)
            notes.append(note)
        signed = [note for note in notes if note is not None]
        if not signed:
            return
        self.head = max(signed, key=lambda note: note.size)
        self.origin = self.head.origin
        for note in signed:
            if note.origin != self.origin:
                self.fault("wrong_origin", f"a note of {note.origin}")
            # Keys change with the year, so one that signs a log signs all of its notes.
            if not set(self.head.keys) <= set(note.keys):
                self.fault("not_signed", f"not every key of the newest note signed the one of size {note.size}")
            self.roots[note.size].add((note.root, "wrong_root"))
        if not self.is_root and not self.origin.endswith(f"/{self.name}"):
            self.fault("wrong_origin", f"{self.origin} lies in {self.name}")
        newest = notes[0]
        if newest is not None and newest.size < self.head.size:
            self.report.notice("newer_note", self.name, f"{newest.size} < {self.head.size}")
        if newest is not None and not any(note is not None and note.size == newest.size for note in notes[1:]):
            self.fault("missing_file", f"checkpoints/{newest.size:012d}")
        for key in self.keys:
            if key.name in (None, self.origin) and key not in self.head.keys:
                self.report.notice("key_did_not_sign", self.name, key.kind)

    def entries(self) -> Iterator[tuple[int, bytes]]:
        """Yield (number, entry) up to the head's size while checking bundles, tiles, roots, and what is left over."""
        size, tree = (self.head.size if self.head else 0), Tree()
        self._root(tree)
        for index in range((size + WIDTH - 1) // WIDTH):
            wanted = min(WIDTH, size - index * WIDTH)
            entries = self._bundle(index, wanted)
            if len(entries) < wanted:
                self.fault("bad_bundle", f"entries from {index * WIDTH + len(entries)} on are not there")
                return
            for number, entry in enumerate(entries[:wanted], start=index * WIDTH):
                node = leaf(entry)
                tree.append(node)
                self._push(0, node)
                yield number, entry
                self._root(tree)
        for level, row in enumerate(self._rows):
            if row:
                self._compare(level, self._counts[level] // WIDTH, row)
        self._left_over(size)

    def _root(self, tree: Tree) -> None:
        for root, code in self.roots.get(tree.size, ()):
            if tree.root() != root:
                self.fault(code, f"size {tree.size}")

    def _bundle(self, index: int, wanted: int) -> list[bytes]:
        path = f"tile/entries/{tile_name(index)}"
        partials = self.files.partials(path)
        versions = [(WIDTH, path)] if path in self.files.unread else []
        versions = [*partials, *versions]
        exact = path if wanted == WIDTH else f"{path}.p/{wanted}"
        if exact not in [name for _, name in versions]:
            self.fault("missing_file", exact)
        best: list[bytes] = []
        for width, name in versions:
            entries = split_bundle(self.files.read(name) or b"")
            if entries is None or len(entries) != width or entries[: len(best)] != best[: len(entries)]:
                self.fault("bad_bundle", name)
                continue
            if width > wanted:
                self.report.notice("beyond_checkpoint", self.name, name)
            best = entries
        return best

    def _push(self, level: int, node: bytes) -> None:
        if level == len(self._rows):
            self._rows.append([])
            self._counts.append(0)
        row = self._rows[level]
        row.append(node)
        self._counts[level] += 1
        if len(row) == WIDTH:
            self._compare(level, self._counts[level] // WIDTH - 1, row)
            self._push(level + 1, perfect(row))
            row.clear()

    def _compare(self, level: int, index: int, row: list[bytes]) -> None:
        """Hold a tile, in every width that it was ever written in, against the hashes that the entries make."""
        path, expected = f"tile/{level}/{tile_name(index)}", b"".join(row)
        exact = f"tile/{level}/{tile_name(index, len(row))}"
        if exact not in self.files.unread:
            self.fault("missing_file", exact)
        for width, name in [*self.files.partials(path), (WIDTH, path)]:
            raw = self.files.read(name)
            if raw is None:
                continue
            covered = min(width, len(row)) * 32
            if len(raw) != width * 32 or raw[:covered] != expected[:covered]:
                self.fault("wrong_tile", name)
            elif width > len(row):
                self.report.notice("beyond_checkpoint", self.name, name)

    def _left_over(self, size: int) -> None:
        """Judge the files that nothing asked for: tiles beyond the head are waiting, all else belongs to nothing."""
        for path in sorted(self.files.unread):
            if path in self.named:
                if hashlib.sha256(self.files.read(path) or b"").hexdigest() != self.named[path]:
                    self.fault("wrong_content_hash", path)
                continue
            parts = path.split("/")
            level = {"entries": 0}.get(parts[1], -1) if len(parts) > 2 and parts[0] == "tile" else -1
            if level < 0 and len(parts) > 2 and parts[0] == "tile" and parts[1].isdigit() and int(parts[1]) < 8:
                level = int(parts[1])
            numbers, width = parts[2:], "256"
            if len(numbers) > 1 and numbers[-2].endswith(".p"):
                numbers, width = [*numbers[:-2], numbers[-2][:-2]], numbers[-1]
            digits = "".join(number.removeprefix("x") for number in numbers)
            ordinary = level >= 0 and digits.isascii() and digits.isdigit() and width.isascii() and width.isdigit()
            spelled = ordinary and path == f"tile/{parts[1]}/{tile_name(int(digits), int(width))}"
            if spelled and 0 < int(width) <= WIDTH and int(digits) * WIDTH >= size >> 8 * level:
                self.report.notice("beyond_checkpoint", self.name, path)
            else:
                self.fault("extra_file", path)

    def _note(self, path: str, raw: bytes) -> Signed | None:
        note = read_note(raw, self.keys)
        if isinstance(note, str):
            self.fault(note, path)
            return None
        self.report.counts["notes"] += 1
        return note

    def fault(self, code: str, where: str) -> None:
        """Write a fault of this log down."""
        self.report.fault(code, self.name, where)


def split_bundle(raw: bytes) -> list[bytes] | None:
    """Return the entries of a bundle, each after its length in two bytes; None when it ends within one."""
    entries, place = [], 0
    while place < len(raw):
        start = place + 2
        place = start + int.from_bytes(raw[place:start], "big")
        if start > len(raw) or place > len(raw):
            return None
        entries.append(raw[start:place])
    return entries


# --- Events: form, streams, heartbeat ------------------------------------------------------------------------------


def instant(text: str) -> datetime:
    """Return the instant of RFC 3339 text. Raises ValueError when it names no zone."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("an instant needs a zone")
    return at


class Streams:
    """The links of each stream of one tenant, over all of its logs in order of years."""

    def __init__(self, report: Report) -> None:
        """Start without streams."""
        self._report = report
        self._last: dict[str, tuple[int, str]] = {}

    def follow(self, log: str, event: Mapping[str, Any], raw: bytes, *, begun_before: bool) -> None:
        """Check that the event is its stream's next; ``begun_before`` says that the stream may be older than what we have."""
        stream, seq, prev = event["case"], event["case_seq"], event["case_prev"]
        digest = hashlib.sha256(raw).hexdigest()
        if stream in self._last:
            last, link = self._last[stream]
        elif begun_before and seq > 1:
            last, link = seq - 1, prev
        else:
            last, link = 0, None
        if seq != last + 1:
            self._report.fault("stream_gap", log, f"{stream}: {last} is followed by {seq}")
        elif prev != link:
            self._report.fault("stream_link", log, f"{stream}: {seq}")
        self._last[stream] = (seq, digest)
        self._report.counts["streams"] = len(self._last)


def event_of(log: LogVerifier, number: int, entry: bytes) -> tuple[dict[str, Any], bytes] | None:
    """Return (event, its canonical bytes) of an entry, or None after writing down what is wrong with it."""
    head, tail = b'{"event":', b',"log":%b,"seq":%d,"v":1}' % (canonical(log.origin), number)
    raw = entry[len(head) : -len(tail)]
    try:
        if not entry.startswith(head) or not entry.endswith(tail):
            record = parse_canonical(entry)
            wrong = {"log": ("wrong_origin", log.origin), "seq": ("wrong_seq", number)}
            codes = [code for name, (code, right) in wrong.items() if record.get(name, right) != right]
            log.fault((codes or ["bad_record"])[0], f"entry {number}")
            return None
        # Canonical bytes nest: the entry is canonical when its event is.
        event = parse_canonical(raw)
        instant(event["at"])
        actor = event["actor"]
        formed = (
            all(isinstance(event[name], str) for name in ("id", "type", "at", "req", "case"))
            and type(event["case_seq"]) is int
            and (event["case_prev"] is None or isinstance(event["case_prev"], str))
            and isinstance(event["data"], dict)
            and isinstance(event.get("decision", {}), dict)
            and set(actor) == {"kind", "id", "auth"}
        )
    except (ValueError, RecursionError):
        log.fault("not_canonical", f"entry {number}")
        return None
    except (KeyError, TypeError, AttributeError):
        formed = False
    if not formed:
        log.fault("bad_record", f"entry {number}")
        return None
    return event, raw


# --- Sends: every one under its approval ---------------------------------------------------------------------------


@dataclass
class Stop:
    """A person's word, or a hold on them; ``until`` is when the person took it back."""

    at: datetime
    medium: str
    of_person: bool
    until: datetime | None = None


@dataclass
class Ruled:
    """An approval as a ruling carries it."""

    approval: Mapping[str, Any]
    decided_at: datetime
    genuine: bool
    claims: list[datetime] = field(default_factory=list)
    sent: int = 0
    reported: int = 0


class Sends:
    """Everything that was sent or reported as done by one tenant, and what it was done under."""

    def __init__(self, tenant: str, report: Report, approval_key: Key | None) -> None:
        """Start without anything sent."""
        self._tenant, self._report, self._root = tenant, report, approval_key
        self._ruled: dict[str, Ruled] = {}
        self._stops: dict[str, list[Stop]] = defaultdict(list)
        self._replies: set[str] = set()
        self._texts: dict[str, tuple[str, datetime, datetime | None]] = {}
        self._claims: list[tuple[str, str, datetime, Ruled]] = []
        self._certificates: dict[bytes, tuple[Any, datetime, datetime] | None] = {}

    def follow(self, log: str, number: int, event: Mapping[str, Any]) -> None:
        """Take the next event of the log. Malformed data of an event counts as an approval that is not genuine."""
        step = {
            "template.approved": self._text_approved,
            "contact.requested": self._requested,
            "contact.decided": self._decided,
            "contact.claimed": self._claimed,
            "contact.sent": self._sent,
            "contact.reported": self._done,
            "consent.changed": self._stopped,
            "hold.placed": self._stopped,
        }.get(event["type"])
        if step is None:
            return
        try:
            code = step(log, event, event["data"], instant(event["at"]))
        except (KeyError, TypeError, ValueError, AttributeError):
            code = "bad_approval"
        if code is not None:
            self._report.fault(code, log, f"entry {number}")

    def finish(self) -> None:
        """Hold every claim against every stop, once all of them are known. Instants that are equal have no order."""
        for log, where, at, ruled in self._claims:
            approval = ruled.approval
            served = approval["purpose"] in SERVICE_PURPOSES or approval["contact"] in self._replies
            for stop in self._stops.get(approval["person"], ()):
                overtook = ruled.decided_at < stop.at < at
                in_force = stop.of_person and stop.at < at and (stop.until is None or at < stop.until)
                if overtook or (in_force and stop.medium in ("all", approval["channel"]) and not served):
                    self._report.fault("sent_after_stop", log, where)
                    break

    def _text_approved(self, log: str, event: Mapping[str, Any], data: Mapping[str, Any], at: datetime) -> str | None:
        until = data["effective_until"]
        begin = instant(data["effective_from"])
        self._texts[data["template"]] = (
            data["template_sha256"],
            begin,
            None if until is None else instant(until),
        )
        return None

    def _text_fits(self, approval: Mapping[str, Any], at: datetime) -> bool:
        """Tell whether the ruling's text is the one that was approved, in its period. One approved in another year's log,
        which need not be at hand, is not held against it."""
        known = self._texts.get(approval["template"] or "")
        if known is None:
            return True
        digest, begin, until = known
        return approval["template_sha256"] == digest and begin <= at and (until is None or at < until)

    def _requested(self, log: str, event: Mapping[str, Any], data: Mapping[str, Any], at: datetime) -> str | None:
        if data["reply_to"] is not None:
            self._replies.add(data["contact"])
        return None

    def _decided(self, log: str, event: Mapping[str, Any], data: Mapping[str, Any], at: datetime) -> str | None:
        decision, approval = event["decision"], data["approval"]
        self._report.counts["decisions"] += 1
        sealed = base64.urlsafe_b64decode(event["sealed"] + "=" * (-len(event["sealed"]) % 4))
        if hashlib.sha256(sealed).hexdigest() != decision["inputs"]:
            return "inputs_changed"
        if decision["outcome"] != "allow":
            return "bad_approval" if approval is not None else None
        agreed = {
            **{name: data[name] for name in RULED_ON},
            "ruleset": decision["ruleset"],
            "inputs": decision["inputs"],
            "tenant": self._tenant,
            "case": event["case"],
            "not_before": data["not_before"],
            "not_after": data["not_after"],
        }
        fits = all(approval[name] == value for name, value in agreed.items())
        genuine = fits and self._genuine(approval, at) and approval["id"] not in self._ruled
        self._ruled.setdefault(approval["id"], Ruled(approval, at, genuine))
        self._report.counts["approvals"] += 1
        if genuine and not self._text_fits(approval, at):
            return "bad_text"
        return None if genuine else "bad_approval"

    def _claimed(self, log: str, event: Mapping[str, Any], data: Mapping[str, Any], at: datetime) -> str | None:
        ruled = self._ruled_for(event, data)
        if ruled is None:
            return "no_approval"
        ruled.claims.append(at)
        self._claims.append((log, f"{event['case']}: {event['case_seq']}", at, ruled))
        if len(ruled.claims) > 1:
            return "approval_reused"
        if not instant(ruled.approval["not_before"]) <= at < instant(ruled.approval["not_after"]):
            return "outside_window"
        return None if data["content"] == ruled.approval["content"] else "content_changed"

    def _sent(self, log: str, event: Mapping[str, Any], data: Mapping[str, Any], at: datetime) -> str | None:
        self._report.counts["sent"] += 1
        ruled = self._ruled_for(event, data)
        if ruled is None or not ruled.claims:
            return "no_approval"
        ruled.sent += 1
        if ruled.sent > 1:
            return "approval_reused"
        if (data["content"], data["recipient"]) != (ruled.approval["content"], ruled.approval["recipient"]):
            return "content_changed"
        return None if at < instant(ruled.approval["not_after"]) + SETTLING else "outside_window"

    def _done(self, log: str, event: Mapping[str, Any], data: Mapping[str, Any], at: datetime) -> str | None:
        self._report.counts["reported"] += 1
        ruled = self._ruled_for(event, data)
        if ruled is None:
            return "no_approval"
        ruled.reported += 1
        if ruled.reported > 1:
            return "approval_reused"
        begun = instant(data["attempted_at"])
        inside = instant(ruled.approval["not_before"]) <= begun < instant(ruled.approval["not_after"])
        return None if inside or data["outcome"] == "not_made" else "outside_window"

    def _stopped(self, log: str, event: Mapping[str, Any], data: Mapping[str, Any], at: datetime) -> str | None:
        stops = self._stops[data["person"]]
        if event["type"] == "hold.placed":
            # Which holds end which contact is for the rules; that none overtakes an approval is for everybody.
            stops.append(Stop(at, "all", of_person=False))
        elif data["event"] in ("stop_medium", "withdrawn"):
            stops.append(Stop(at, "all" if data.get("scope") == "all" else data["medium"], of_person=True))
        elif data["event"] == "granted":
            for stop in stops:
                if data["medium"] in ("all", stop.medium) and stop.until is None:
                    stop.until = at
        return None

    def _ruled_for(self, event: Mapping[str, Any], data: Mapping[str, Any]) -> Ruled | None:
        ruled = self._ruled.get(data["approval"] or "")
        right = ruled is not None and ruled.genuine and ruled.approval["case"] == event["case"]
        same = right and ruled is not None and ruled.approval["contact"] == data["contact"]
        return ruled if same and ruled is not None and ruled.approval["channel"] == data["channel"] else None

    def _genuine(self, approval: Mapping[str, Any], at: datetime) -> bool:
        """Tell whether the approval's signature and certificate hold, and the ruling fell into the certificate's time."""
        if set(approval) != APPROVAL_FIELDS | {"signature", "certificate"}:
            return False
        certificate = self._certificate(approval["certificate"])
        if certificate is None:
            return False
        public, begins, ends = certificate
        try:
            signed = canonical({name: approval[name] for name in APPROVAL_FIELDS})
            public.verify(unbase64(approval["signature"]), signed)
        except InvalidSignature:
            return False
        return bool(begins <= at < ends)

    def _certificate(self, certificate: Mapping[str, Any]) -> tuple[Any, datetime, datetime] | None:
        """Return (key, begin, end) of a certificate, or None when the approval root has not signed it."""
        raw = canonical(certificate)
        if raw not in self._certificates:
            body = {name: value for name, value in certificate.items() if name != "signature"}
            signature = unbase64(certificate["signature"])
            good = self._root is None or self._root.holds(canonical(body), signature)
            public = ed25519.Ed25519PublicKey.from_public_bytes(unbase64(body["public_key"]))
            times = instant(body["not_before"]), instant(body["not_after"])
            self._certificates[raw] = (public, *times) if good else None
        return self._certificates[raw]


# --- The whole archive ---------------------------------------------------------------------------------------------


def find_logs(folder: Path) -> list[Path]:
    """Return the logs at or below a directory, by tenant and year. Raises Unverifiable when there is none."""
    if not folder.is_dir():
        raise Unverifiable(f"{folder} is no directory")
    marks = [*folder.rglob("checkpoint"), *folder.rglob("checkpoints"), *folder.rglob("tile")]
    logs = {mark.parent for mark in marks if "tile" not in mark.relative_to(folder).parts[:-1]}
    if not logs:
        raise Unverifiable(f"no log lies under {folder}")
    return sorted(logs, key=lambda log: (log.parent.name, log.name))


def verify(
    folder: Path, keys: list[Key], *, earlier: list[bytes], approval_key: Key | None, heartbeat: timedelta
) -> Report:
    """Verify all logs of an archive and return what was found. Raises Unverifiable when there is nothing to verify."""
    report, logs = Report(), find_logs(folder)
    saved = [read_note(raw, keys) for raw in earlier]
    for note in saved:
        if isinstance(note, str):
            raise Unverifiable(f"an earlier note cannot be used: {TEXTS[note][0]}")
    covered: dict[str, str] = {}
    tenants: dict[str, tuple[Streams, Sends]] = {}
    before: dict[str, LogVerifier] = {}
    for path in logs:
        log = LogVerifier(path, keys, report, is_root=path == folder)
        tenant = path.parent.name
        if log.is_root:
            tenant = _tenant_in(path)
        streams, sends = tenants.setdefault(tenant, (Streams(report), Sends(tenant, report, approval_key)))
        log.read_notes()
        notes = [note for note in saved if isinstance(note, Signed) and note.origin == log.origin]
        for note in notes:
            if log.head is not None and note.size > log.head.size:
                report.fault("rolled_back", log.name, f"{note.size} > {log.head.size}")
            log.roots[note.size].add((note.root, "rewritten"))
        if not notes:
            report.notice("no_earlier", log.name)
        _verify_entries(log, streams, sends, before.get(tenant), covered, heartbeat)
        before[tenant] = log
    for note in saved:
        if isinstance(note, Signed) and note.origin not in {log["origin"] for log in report.logs}:
            raise Unverifiable(f"an earlier note is of {note.origin}, which is not in the archive")
    for _, sends in tenants.values():
        sends.finish()
    _verify_beside(folder, logs, covered, report)
    report.notice("no_witness")
    report.notice("sealed")
    report.notice("stream_tails")
    if approval_key is None:
        report.notice("no_approval_key")
    return report


def _tenant_in(log: Path) -> str:
    note = log / "checkpoint"
    first = note.read_bytes().partition(b"\n")[0].decode(errors="replace") if note.is_file() else ""
    return first.split("/")[-2] if first.count("/") >= 2 else log.parent.name


def _verify_entries(
    log: LogVerifier,
    streams: Streams,
    sends: Sends,
    before: LogVerifier | None,
    covered: dict[str, str],
    heartbeat: timedelta,
) -> None:
    own: datetime | None = None
    inherits = False
    for number, entry in log.entries():
        log.report.counts["entries"] += 1
        found = event_of(log, number, entry)
        if found is None:
            continue
        event, raw = found
        if (number == 0) != (event["type"] == "log.genesis"):
            log.fault("no_genesis", f"entry {number}")
        if event["type"] == "log.genesis":
            inherits = _verify_year(log, event["data"], before)
            log.named = _named_in(event["data"])
            covered.update({name: digest for name, digest in log.named.items() if name.startswith("schema/")})
        if event["type"].startswith("log."):
            at = instant(event["at"])
            if own is not None and at - own > heartbeat:
                log.fault("heartbeat_gap", f"entry {number}: {own:%Y-%m-%dT%H:%MZ} to {at:%Y-%m-%dT%H:%MZ}")
            own = at
        streams.follow(log.name, event, raw, begun_before=inherits)
        sends.follow(log.name, number, event)
    log.report.logs.append(
        {
            "log": log.name,
            "origin": log.origin,
            "size": log.head.size if log.head else 0,
            "root": base64.b64encode(log.head.root).decode() if log.head else None,
            "signed_by": [key.kind for key in log.head.keys] if log.head else [],
            "last_heartbeat": own.isoformat() if own else None,
        }
    )


def _verify_year(log: LogVerifier, data: Mapping[str, Any], before: LogVerifier | None) -> bool:
    """Hold the note that the first entry carries against the log before; tell whether streams may be older than we see."""
    previous = data.get("previous")
    if before is None:
        if previous is not None:
            log.report.notice("year_before", log.name)
        return previous is not None
    note = read_note(str((previous or {}).get("note", "")).encode(), log.keys)
    head = before.head
    if (
        isinstance(note, str)
        or head is None
        or (note.origin, note.size, note.root) != (head.origin, head.size, head.root)
    ):
        log.fault("year_link", "entry 0")
    return False


def _named_in(data: Mapping[str, Any]) -> dict[str, str]:
    """Return name -> SHA-256 of the files that a first entry names: the schema, and below the log its public keys."""
    files = data.get("files")
    return dict(files) if isinstance(files, dict) else {}


def _verify_beside(folder: Path, logs: list[Path], covered: Mapping[str, str], report: Report) -> None:
    """Judge the files outside the logs: rule sets by the hash in their name, others by what a first entry says."""
    for path in sorted(path for path in folder.rglob("*") if not path.is_dir()):
        if any(log in path.parents for log in logs):
            continue
        name = path.relative_to(folder).as_posix()
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if name == f"rules/{path.stem}.json" and len(path.stem) == 64:
            expected: str | None = path.stem
        else:
            expected = covered.get(name)
        if expected is None:
            report.fault("extra_file", "", name)
        elif expected != digest:
            report.fault("wrong_content_hash", "", name)


def as_text(report: Report, language: str) -> str:
    """Return the report for people."""
    place, zh = (1, True) if language == "zh" else (0, False)
    lines = []
    for log in report.logs:
        signers = ", ".join(log["signed_by"]) or "-"
        lines.append(f"{'日志' if zh else 'log'} {log['origin'] or log['log']}")
        lines.append(f"  {'条目' if zh else 'entries'} {log['size']}  {'根' if zh else 'root'} {log['root'] or '-'}")
        lines.append(
            f"  {'签名' if zh else 'signed by'} {signers}  {'最后心跳' if zh else 'last heartbeat'} {log['last_heartbeat']}"
        )
    counts = ", ".join(f"{name} {count}" for name, count in sorted(report.counts.items()))
    lines.append(f"{'核验数量' if zh else 'verified'}: {counts}")
    for code, where_log, where in report.faults:
        lines.append(f"{'错误' if zh else 'FAULT'} {code} [{where_log} {where}] {TEXTS[code][place]}")
    for code, where_log, where in report.notices:
        lines.append(f"{'须知' if zh else 'note'} {code} [{where_log} {where}] {NOTICES[code][place]}")
    if report.faults:
        lines.append(f"不通过:{len(report.faults)} 处错误" if zh else f"DOES NOT HOLD: {len(report.faults)} faults")
    else:
        lines.append("通过:以上各项全部成立" if zh else "HOLDS: everything above was verified")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(description="Verify a downloaded audit archive offline.")
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--key", action="append", required=True, metavar="FILE", help="PEM or verifier key line")
    parser.add_argument("--earlier", action="append", default=[], type=Path, metavar="CHECKPOINT")
    parser.add_argument("--approval-key", metavar="FILE", help="root key of approvals (PEM)")
    parser.add_argument("--heartbeat-hours", type=float, default=2.0, metavar="H")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--language", choices=("zh", "en"), default="en")
    asked = parser.parse_args(argv)
    try:
        report = verify(
            asked.folder,
            [Key(path) for path in asked.key],
            earlier=[path.read_bytes() for path in asked.earlier],
            approval_key=Key(asked.approval_key) if asked.approval_key else None,
            heartbeat=timedelta(hours=asked.heartbeat_hours),
        )
    except (Unverifiable, OSError) as error:
        print(f"{'无法核验' if asked.language == 'zh' else 'cannot verify'}: {error}", file=sys.stderr)
        return 2
    if asked.json:
        print(json.dumps(report.as_json(asked.language), ensure_ascii=False, indent=2))
    else:
        print(as_text(report, asked.language))
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
