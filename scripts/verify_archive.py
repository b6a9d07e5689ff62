#!/usr/bin/env python3
"""Verify a downloaded audit archive, offline, without trusting whoever keeps it.

    python -m scripts.verify_archive PLACE --key FILE [--key FILE2] [--earlier CHECKPOINT] [--approval-key FILE]
                                     [--tsa-ca FILE] [--policy FILE] [--level full|log|tree]
                                     [--heartbeat-hours 2] [--late-hours 24] [--json] [--language zh|en]

PLACE is a directory with one or more logs (``<tenant>/<yyyy>/checkpoint``, ``.../tile/...``), or an export: the ZIP as it was
downloaded, or the directory that it was unpacked to. An export may hold a part of a log, or single events with their proofs;
then what it says of itself is verified, and what a part cannot show is printed. FILE is the log's public key, a PEM file
or a verifier key line, which must come from somewhere else than the archive. CHECKPOINT is a note of the log that was
saved earlier: only against one does a log that was rewritten or cut as a whole show.

Every file, entry and hash is read: signatures over all published notes, each entry's bytes and number, every tile, the
links of each stream of events, the log's own heartbeat, the bracket of time stamps that each entry's time must lie in;
``--level log`` ends there, ``--level tree`` before the links of streams and the time of each entry. The full level goes on to each entry's canonical form, and for everything sent to the signed
approval that it was sent under; and it counts anew the caps of the archived rule packs, as far as the open part of the
entries can count them. Exit status: 0 everything holds, 1 something does not, 2 nothing could be verified. What an archive
by itself cannot show is printed each time. Only the standard library and ``cryptography`` are used, and nothing of the
system.
"""

import argparse
import base64
import binascii
import gc
import json
import os
import re
import sys
import tempfile
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from itertools import groupby
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

WIDTH = 256
"""Hashes in a full tile, and entries in a full bundle."""

SETTLING = 600_000_000
"""Microseconds: how long after an approval's end the carrier's answer may be written down; the claim itself must lie before it."""

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

_RULED_ON = itemgetter(
    *("contact", "person", "channel", "recipient", "content", "template", "template_sha256", "purpose"),
    *("not_before", "not_after"),
)
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
    "over_cap": (
        "more contacts than a rule of the archived packs allows, counted anew",
        "重新计数后,联系次数超过归档规则包所允许的次数",
    ),
    "rules_changed": (
        "the rule set beside the ruling is not the one that it was made and approved under",
        "裁决旁所附的规则集并非作出裁决和批准时所依据的规则集",
    ),
    "sent_after_stop": ("the message was claimed after the person's stop", "在当事人叫停之后仍然发送"),
    "bad_manifest": (
        "the manifest is malformed, not signed by a given key, or not the one that the note names",
        "清单格式不正确、未经给定公钥签名,或与签名所指的不一致",
    ),
    "not_in_manifest": ("the file is not in the manifest, or is another one", "文件不在清单之中,或与清单不符"),
    "bad_anchor": (
        "the time stamp is not the authority's, or not of this note",
        "时间戳并非该机构签发,或并非针对此检查点",
    ),
    "anchor_order": (
        "the time stamp of a longer log is older than that of a shorter one",
        "较长日志的时间戳早于较短日志",
    ),
    "ahead_of_anchor": ("the entry names a time after the stamp that covers it", "条目所称时间晚于覆盖它的时间戳"),
    "behind_anchor": (
        "the entry names a time long before the stamp that it came after",
        "条目所称时间远早于其之前的时间戳",
    ),
    "bad_cosignature": ("the line is not the signature of the witness", "该行不是见证方的签名"),
    "no_quorum": (
        "too few witnesses of the policy have signed the newest note",
        "签署最新检查点的见证方未达到约定数量",
    ),
    "bad_zip": (
        "the ZIP holds something beside its files, a name that leads out of it, or a file twice",
        "ZIP 中有文件之外的内容、越界的名称或重复的文件",
    ),
    "range_cut": (
        "the range is cut too close: entries of its days may stand outside of it",
        "截取的范围过窄:所述日期的条目可能在范围之外",
    ),
    "not_proved": (
        "the proof does not show that the entry is in the log under its signed note",
        "证明不能表明该条目在签名检查点之下的日志中",
    ),
    "wrong_stream": (
        "the events are not those that the export says it holds",
        "事件与导出自身所述的不符",
    ),
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
    "log_level_only": (
        "only the log was verified: not whether each entry is in its canonical form, nor what the entries say was sent",
        "仅核验了日志本身:未核验每个条目的规范形式,亦未核验条目所述的发送",
    ),
    "tree_level_only": (
        "only bytes, hashes and signatures were verified: neither the links of streams nor when entries were made, nor what they say",
        "仅核验了字节、哈希与签名:未核验事件流的衔接、条目形成的时间及条目所述内容",
    ),
    "anchors_unchecked": (
        "there are time stamps, and no authority's certificate was given to check them with",
        "存在时间戳,但未提供时间戳机构的证书,未作核验",
    ),
    "no_anchor": (
        "no time stamp covers the log: that entries were made when they say is the log's own word",
        "日志没有时间戳:条目所称的时间仅为日志自身的说法",
    ),
    "cosignatures_unchecked": (
        "witnesses have signed, and no policy was given to check them with",
        "存在见证方签名,但未提供见证策略,未作核验",
    ),
    "no_manifest": (
        "there is no manifest: that files which the log does not name were left out would not show",
        "没有清单:日志未提及的文件若被遗漏,无法发现",
    ),
    "part_of_log": (
        "entries outside of this range are not here, only their hashes: what they say was not verified",
        "范围之外的条目不在此处,仅有其哈希:其内容未核验",
    ),
    "part_sends": (
        "the range begins within the log: what was sent was not held against its approvals, which may lie before it",
        "范围始于日志中途:批准可能在范围之前,故未核验发送",
    ),
    "proofs_only": (
        "single events with their proofs: what else the log holds, its heartbeat and its other events were not verified",
        "仅有单个事件及其证明:日志的其他内容、心跳和其他事件未核验",
    ),
    "no_person_stream": (
        "a case by itself: what its persons said in other cases or to the lender stands in their own streams, not here",
        "仅为单个案件:当事人在其他案件中或对委托方所说的话在其本人的事件流中,不在此处",
    ),
    "earlier_unused": (
        "the earlier note is of another size, and single proofs cannot be compared with it: that needs an export of a range",
        "先前的检查点大小不同,单个证明无法与之比较:需要时段导出",
    ),
    "no_approval_key": (
        "no approval key was given: approvals were checked against their certificates, the certificates against nothing",
        "未提供批准根公钥:批准已按其证书核验,证书本身未核验",
    ),
    "caps_sealed": (
        "caps of these rules were not counted anew: they depend on what is sealed, or on a person's review",
        "未重新计数下列规则的次数上限:其取决于封存内容或人工复核",
    ),
    "caps_without_rules": (
        "rulings rest on rule packs that are not in the archive: their caps were not counted anew",
        "裁决所依据的规则包不在归档之内:其次数上限未重新计数",
    ),
    "caps_without_zone": (
        "this machine does not know the time zone: caps by its dates were not counted anew",
        "本机没有该时区的数据:按其日期计算的次数上限未重新计数",
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
    caps: Counter[str] = field(default_factory=Counter)

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
            "caps": dict(sorted(self.caps.items())),
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


# What came out of JSON holds no circle, so none is looked for: that halves the time.
_ENCODER = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True, check_circular=False
)
_DECODER = json.JSONDecoder(parse_float=_refuse, parse_int=_integer, parse_constant=_refuse)


def parse_canonical(raw: bytes) -> Any:
    """Return the JSON value of canonical bytes. Raises ValueError when they are not the value's one form.

    A member that stands twice vanishes when the value is written again, so it shows there, like any other deviation.
    """
    # What follows the value is lost here, and so shows as well.
    value, _ = _DECODER.raw_decode(raw.decode())
    if canonical(value) != raw:
        raise ValueError("not canonical")
    return value


def leaf(entry: bytes) -> bytes:
    """Return the RFC 6962 hash of an entry."""
    return sha256(b"\x00" + entry).digest()


def pair(left: bytes, right: bytes) -> bytes:
    """Return the RFC 6962 hash of two subtrees."""
    return sha256(b"\x01" + left + right).digest()


def perfect(level: list[bytes]) -> bytes:
    """Return the root over a full tile."""
    while len(level) > 1:
        level = [sha256(b"\x01" + left + right).digest() for left, right in zip(level[::2], level[1::2], strict=True)]
    return level[0]


class Tree:
    """A growing tree: the roots of the perfect subtrees that it consists of, the largest first."""

    def __init__(self, nodes: Iterable[bytes] = ()) -> None:
        """Start with these nodes, which are all of one height."""
        self.size, self.parts = 0, list[bytes]()
        for node in nodes:
            self.append(node)

    def append(self, node: bytes) -> None:
        """Append a node."""
        carries = self.size
        while carries & 1:
            node, carries = pair(self.parts.pop(), node), carries >> 1
        self.parts.append(node)
        self.size += 1


def root_over(parts: list[bytes]) -> bytes:
    """Return the root over the perfect subtrees of a tree, the largest first."""
    if not parts:
        return sha256(b"").digest()
    node = parts[-1]
    for left in reversed(parts[:-1]):
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
            return sha256(origin.encode() + b"\n\x01" + self.public.public_bytes_raw()).digest()[:4]
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return sha256(self.public.public_bytes(serialization.Encoding.DER, form)).digest()[:4]

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
        wanted = sha256(name.encode() + b"\n" + typed).hexdigest()[:8]
        public: Any = ed25519.Ed25519PublicKey.from_public_bytes(typed[1:])
    else:
        wanted = sha256(typed[1:]).hexdigest()[:8]
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
    raw: bytes


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
    return Signed(origin, int(size), unbase64(root), tuple(holding), text + "\n", raw) if holding else "not_signed"


# --- Time stamps and witnesses ------------------------------------------------------------------------------------


SIGNED_DATA, TST_INFO = "2a864886f70d010702", "2a864886f70d0109100104"
CONTENT_TYPE, MESSAGE_DIGEST = "2a864886f70d010903", "2a864886f70d010904"
SIGNING_CERTIFICATE = ("2a864886f70d010910022f", "2a864886f70d010910020c")
DIGESTS: Mapping[str, Any] = {
    "608648016503040201": hashes.SHA256(),
    "608648016503040202": hashes.SHA384(),
    "608648016503040203": hashes.SHA512(),
}
"""Object identifiers of RFC 5652 and RFC 3161 (content octets in hex)."""

SKEW = timedelta(seconds=60)
"""How far the clocks of the system and of an authority of time may lie apart."""


NO_STAMP = (
    ValueError,
    TypeError,
    LookupError,
    UnsupportedAlgorithm,
    InvalidSignature,
    x509.ExtensionNotFound,
    x509.InvalidVersion,
)
"""What reading a time stamp raises when it is none."""


def der(raw: bytes) -> list[tuple[int, bytes, bytes]]:
    """Return (tag, content, whole) of each DER element. Raises ValueError."""
    found, place = [], 0
    while place < len(raw):
        begin, tag, length, place = place, raw[place], raw[place + 1] if place + 1 < len(raw) else 0, place + 2
        if length > 127:
            count = length & 127
            length, place = int.from_bytes(raw[place : place + count], "big"), place + count
        if tag & 31 == 31 or place + length > len(raw):
            raise ValueError("this is no DER")
        found.append((tag, raw[place : place + length], raw[begin : place + length]))
        place += length
    return found


def stamped_at(raw: bytes, message: bytes, authority: x509.Certificate) -> datetime:
    """Return the time of an RFC 3161 response over the message, whose signer the authority certified.

    Raises one of ``NO_STAMP`` when it is anything else.
    """
    (_, _status, _), (_, token, _) = der(der(raw)[0][1])
    (_, kind, _), (_, signed, _) = der(token)
    _version, _algorithms, content, *rest = der(der(signed)[0][1])
    (_, content_kind, _), (_, wrapped, _) = der(content[1])
    info = der(wrapped)[0][1]
    if (kind.hex(), content_kind.hex()) != (SIGNED_DATA, TST_INFO):
        raise ValueError("this is no time stamp")
    fields = der(der(info)[0][1])
    (_, imprint_kind, _), (_, imprint, _) = der(fields[2][1])
    if digest_of(DIGESTS[der(imprint_kind)[0][1].hex()], message) != imprint:
        raise ValueError("the time stamp is of something else")
    at = datetime.strptime(fields[4][1].decode().rstrip("Z").partition(".")[0], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    certificates = [
        x509.load_der_x509_certificate(each[2]) for tag, part, _ in rest if tag == 0xA0 for each in der(part)
    ]
    (signer,) = der(rest[-1][1])
    parts = der(signer[1])
    algorithm = DIGESTS[der(parts[2][1])[0][1].hex()]
    attributes = {der(each[1])[0][1].hex(): der(each[1])[1][1] for each in der(parts[3][1])}
    if der(attributes[CONTENT_TYPE])[0][1].hex() != TST_INFO:
        raise ValueError("the signature is over another kind of content")
    if der(attributes[MESSAGE_DIGEST])[0][1] != digest_of(algorithm, info):
        raise ValueError("the signature is over another time stamp")
    named = b"".join(attributes.get(kind, b"") for kind in SIGNING_CERTIFICATE)
    prints = [(each, [each.fingerprint(kind) for kind in (hashes.SHA256(), hashes.SHA1())]) for each in certificates]
    (certificate,) = [each for each, known in prints if any(print_ in named for print_ in known)]
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    if x509.ObjectIdentifier("1.3.6.1.5.5.7.3.8") not in usage:
        raise ValueError("the certificate is not one for time stamps")
    public: Any = certificate.public_key()
    # Signed are the attributes as a set, whatever tag they are stored under.
    if isinstance(public, rsa.RSAPublicKey):
        public.verify(parts[5][1], b"\x31" + parts[3][2][1:], padding.PKCS1v15(), algorithm)
    else:
        public.verify(parts[5][1], b"\x31" + parts[3][2][1:], ec.ECDSA(algorithm))
    chain = certificate
    for _ in range(4):
        if chain.issuer == authority.subject:
            chain.verify_directly_issued_by(authority)
            break
        (above,) = [each for each in certificates if each.subject == chain.issuer]
        chain.verify_directly_issued_by(above)
        chain = above
    else:
        raise ValueError("the authority has not certified the signer")
    if not certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc:
        raise ValueError("the certificate was not in force")
    return at


def digest_of(algorithm: Any, message: bytes) -> bytes:
    """Return the digest of a message."""
    digest = hashes.Hash(algorithm)
    digest.update(message)
    return digest.finalize()


def typed_key(vkey: str) -> bytes:
    """Return type and key of a verifier key line. Raises ValueError."""
    name, _, encoded = vkey.split("+", 2)
    if not name or any(letter.isspace() for letter in vkey):
        raise ValueError("no verifier key")
    return unbase64(encoded)


class Policy:
    """Witnesses and how many of them must have signed, from a file in the syntax of tlog-policy.

    It is read as strictly as the service reads it: what the operator could not set proves nothing here either.
    """

    def __init__(self, path: str) -> None:
        """Read the file. Raises Unverifiable."""
        self.witnesses: dict[str, tuple[str, bytes, Any]] = {}
        self._groups: dict[str, tuple[int, list[str]]] = {}
        self._logs: list[bytes] = []
        self._members: set[str] = set()
        self.quorum = ""
        try:
            raw = Path(path).read_bytes()
            if len(raw) > 16_384 or any(byte < 32 and byte not in b"\t\n" for byte in raw):
                raise ValueError("too long, or control characters")
            for line in raw.decode().split("\n"):
                words = [word for word in re.split("[ \t]+", line) if word]
                if words and not words[0].startswith("#"):
                    self._take(words)
            if not self.quorum:
                raise ValueError("no quorum")
        except (OSError, ValueError) as error:
            raise Unverifiable(f"{path} is no witness policy") from error

    def _take(self, words: list[str]) -> None:
        match words:
            case ["log", vkey] | ["log", vkey, _]:
                self._log(vkey)
            case ["witness", name, vkey] | ["witness", name, vkey, _]:
                self._new(name, len(self.witnesses))
                self._witness(name, vkey)
            case ["group", name, least, _, *_]:
                self._new(name, len(self._groups))
                self._group(name, least, words[3:])
            case ["quorum", name] if not self.quorum and name in {"none", *self.witnesses, *self._groups}:
                self.quorum = name
            case _:
                raise ValueError("no line of a policy")

    def _new(self, name: str, count: int) -> None:
        known = name == "none" or name in self.witnesses or name in self._groups
        if known or count >= 32 or not re.fullmatch("[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
            raise ValueError("no new name")

    def _log(self, vkey: str) -> None:
        (name, identity, _), typed = vkey.split("+", 2), typed_key(vkey)
        named = name.encode() + b"\n" + typed
        if typed[:1] == b"\x02":
            named, public = typed[1:], serialization.load_der_public_key(typed[1:])
            if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
                raise ValueError("no key of a log")
        elif typed[:1] != b"\x01" or len(typed) != 33:
            raise ValueError("no key of a log")
        if sha256(named).digest()[:4].hex() != identity or typed in self._logs or len(self._logs) >= 32:
            raise ValueError("no key of another log")
        self._logs.append(typed)

    def _witness(self, name: str, vkey: str) -> None:
        signer, identity, _ = vkey.split("+", 2)
        typed = typed_key(vkey)
        wanted = sha256(signer.encode() + b"\n" + typed).digest()[:4]
        if typed[:1] != b"\x04" or len(typed) != 33 or wanted.hex() != identity:
            raise ValueError("no key of a witness")
        public = ed25519.Ed25519PublicKey.from_public_bytes(typed[1:])
        if public in [known for _, _, known in self.witnesses.values()]:
            raise ValueError("two witnesses of one key")
        self.witnesses[name] = (signer, wanted, public)

    def _group(self, name: str, least: str, members: list[str]) -> None:
        for member in members:
            if member in self._members or member not in {*self.witnesses, *self._groups}:
                raise ValueError("no member")
            self._members.add(member)
        plain = least.isascii() and least.isdigit() and len(least) <= 9
        count = {"all": len(members), "any": 1}.get(least) or (int(least) if plain else 0)
        if not 1 <= count <= len(members):
            raise ValueError("no group")
        self._groups[name] = (count, members)

    def signer(self, line: str, text: str) -> str | None:
        """Return the name of the witness whose cosignature of the note text the line is; None when nobody known made it.

        Raises InvalidSignature or ValueError for a line of a known witness that does not hold.
        """
        dash, signer, encoded = line.split(" ")
        raw = unbase64(encoded)
        for name, (known, identity, public) in self.witnesses.items():
            if (dash, signer, raw[:4]) == ("\N{EM DASH}", known, identity):
                at = int.from_bytes(raw[4:12], "big")
                public.verify(raw[12:], f"cosignature/v1\ntime {at}\n{text}".encode())
                return name
        return None

    def satisfied(self, signed: set[str], name: str | None = None) -> bool:
        """Tell whether the quorum, or a group or witness of this name, is met."""
        name = name or self.quorum
        if name in self._groups:
            least, members = self._groups[name]
            return sum(self.satisfied(signed, member) for member in members) >= least
        return name == "none" or name in signed


# --- Files of a log ----------------------------------------------------------------------------------------------


def tile_name(index: int, width: int = WIDTH) -> str:
    """Return a tile's number in groups of three digits, all but the last with an x, and its width unless it is full."""
    groups = [f"{index % 1000:03d}"]
    while index >= 1000:
        index //= 1000
        groups.insert(0, f"x{index % 1000:03d}")
    return "/".join(groups) + ("" if width == WIDTH else f".p/{width}")


class Files:
    """The files of a log by their path below it; what nobody asked for is left over in the end."""

    def __init__(self, root: Path) -> None:
        """List all files below a directory."""
        self._root = f"{root}/"
        walked = ((folder, name) for folder, _, names in os.walk(root) for name in names)
        self.unread = {f"{folder}/{name}"[len(self._root) :] for folder, name in walked}
        self._partials: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for path in self.unread:
            tile, dot, width = path.rpartition(".p/")
            if dot and width.isascii() and width.isdigit() and width == str(int(width)) and 0 < int(width) < WIDTH:
                self._partials[tile].append((int(width), path))

    def read(self, path: str) -> bytes | None:
        """Return a file's bytes, or None when it is not there."""
        if path not in self.unread:
            return None
        self.unread.discard(path)
        with open(self._root + path, "rb") as file:
            return file.read()

    def peek(self, path: str) -> bytes | None:
        """Return a file's bytes, and leave it to be read."""
        raw = self.read(path)
        if raw is not None:
            self.unread.add(path)
        return raw

    def partials(self, path: str) -> list[tuple[int, str]]:
        """Return (width, path) of the unread partial versions of a tile."""
        return sorted(each for each in self._partials.get(path, ()) if each[1] in self.unread)


class LogVerifier:
    """Walks one log from its entries up to its notes."""

    def __init__(self, log: Path, keys: list[Key], report: Report, *, is_root: bool) -> None:
        """Take the log's directory; ``is_root`` says that it was named itself, so that its place proves nothing."""
        self.files, self.keys, self.report = Files(log), keys, report
        self.name = f"{log.parent.name}/{log.name}"
        self.is_root = is_root
        self.origin = ""
        self.behind = b""
        self.head: Signed | None = None
        self.notes: dict[int, Signed] = {}
        self.stamps: list[tuple[int, datetime]] = []
        self.roots: dict[int, set[tuple[bytes, str]]] = defaultdict(set)
        self.named: dict[str, str] = {}
        self.part: tuple[int, int] | None = None
        self._rows: dict[int, list[bytes]] = defaultdict(list)
        self._tiles: Counter[int] = Counter()

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
        self.behind = b',"log":%b,"seq":' % canonical(self.origin)
        self.notes = {note.size: note for note in signed}
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

    def read_anchors(self, authority: x509.Certificate | None) -> None:
        """Verify every time stamp over a published note; ``stamps`` are then (size, time) by size."""
        for path in sorted(path for path in self.files.unread if path.startswith("anchors/")):
            raw, name = self.files.read(path) or b"", path.removeprefix("anchors/")
            if authority is None:
                self.report.notice("anchors_unchecked", self.name)
                continue
            size = int(name[:12]) if name[:12].isascii() and name[:12].isdigit() else -1
            if size not in self.notes or name != f"{size:012d}.tsr":
                self.fault("bad_anchor", path)
                continue
            try:
                at = stamped_at(raw, self.notes[size].raw, authority)
            except NO_STAMP:
                self.fault("bad_anchor", path)
                continue
            if self.stamps and at < self.stamps[-1][1]:
                self.fault("anchor_order", path)
            self.stamps.append((size, at))
            self.report.counts["time stamps"] += 1
        if authority is not None and not self.stamps:
            self.report.notice("no_anchor", self.name)

    def read_cosignatures(self, policy: Policy | None) -> None:
        """Verify every witness's line, and that the newest note has as many as the policy asks for."""
        signed: dict[int, set[str]] = defaultdict(set)
        for path in sorted(path for path in self.files.unread if path.startswith("cosigs/")):
            raw, parts = self.files.read(path) or b"", path.split("/")
            if policy is None:
                self.report.notice("cosignatures_unchecked", self.name)
                continue
            size = int(parts[1]) if parts[1].isascii() and parts[1].isdigit() else -1
            if size not in self.notes or len(parts) != 3 or parts[1] != f"{size:012d}" or raw[-1:] != b"\n":
                self.fault("bad_cosignature", path)
                continue
            try:
                names = {policy.signer(line, self.notes[size].text) for line in raw[:-1].decode().split("\n")}
            except (ValueError, InvalidSignature):
                self.fault("bad_cosignature", path)
                continue
            signed[size] |= {name for name in names if name is not None}
            self.report.counts["cosignatures"] += len(names - {None})
        if policy is not None and self.head is not None and not policy.satisfied(signed[self.head.size]):
            self.fault("no_quorum", f"size {self.head.size}")

    def entries(self) -> Iterator[tuple[int, list[bytes]]]:
        """Yield (number of the first, entries) bundle by bundle up to the head's size.

        On the way bundles, tiles and roots are checked, and at the end what is left over.
        """
        size, tree = (self.head.size if self.head else 0), Tree()
        due = sorted(self.roots, reverse=True)
        while due and due[-1] == 0:
            self._root(due.pop(), [])
        for index in range((size + WIDTH - 1) // WIDTH):
            first, wanted = index * WIDTH, min(WIDTH, size - index * WIDTH)
            if self.part is not None and not self.part[0] <= first < self.part[1]:
                entries, row = [], self._leaves(index, wanted)
            else:
                entries = self._bundle(index, wanted)[:wanted]
                # ``leaf``, a million times without the call.
                row = [sha256(b"\x00" + entry).digest() for entry in entries]
            if len(row) < wanted:
                self.fault("bad_bundle", f"entries from {first + len(row)} on are not there")
                return
            while due and due[-1] < first + WIDTH:
                self._root(due[-1], [*tree.parts, *Tree(row[: due[-1] - first]).parts])
                due.pop()
            node = self._row(0, row)
            if node is not None:
                tree.append(node)
            if due and due[-1] == first + WIDTH:
                self._root(due.pop(), tree.parts)
            yield first, entries
        for level, row in self._rows.items():
            if row:
                self._compare(level, self._tiles[level], row)
        self._left_over(size)

    def _root(self, size: int, parts: list[bytes]) -> None:
        if self.head is None or size > self.head.size:
            return
        root = root_over(parts)
        for claimed, code in self.roots[size]:
            if claimed != root:
                self.fault(code, f"size {size}")

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

    def _leaves(self, index: int, wanted: int) -> list[bytes]:
        """Return the hashes of entries that are not here, as their tile has them; the roots above show whether they are right."""
        raw = self.files.peek(f"tile/0/{tile_name(index, wanted)}") or b""
        return [raw[place : place + 32] for place in range(0, len(raw), 32)] if len(raw) == 32 * wanted else []

    def _row(self, level: int, row: list[bytes]) -> bytes | None:
        """Check the tile of the level's next hashes and, when it is full, those above; return the full tile's root."""
        self._compare(level, self._tiles[level], row)
        if len(row) < WIDTH:
            return None
        self._tiles[level] += 1
        node, above = perfect(row), self._rows[level + 1]
        above.append(node)
        if len(above) == WIDTH:
            self._rows[level + 1] = []
            self._row(level + 1, above)
        return node

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
                if sha256(self.files.read(path) or b"").hexdigest() != self.named[path]:
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
    entries, place, end = [], 0, len(raw)
    while place + 2 <= end:
        start = place + 2
        place = start + (raw[place] << 8 | raw[place + 1])
        entries.append(raw[start:place])
    return entries if place == end else None


# --- Events: form, streams, heartbeat ------------------------------------------------------------------------------


def instant(text: str) -> datetime:
    """Return the instant of RFC 3339 text. Raises ValueError when it names no zone."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("an instant needs a zone")
    return at


def as_text_of(at: datetime) -> str:
    """Return the instant as events write it, so that the texts sort as the instants do."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


class Streams:
    """The links of each stream of one tenant, over all of its logs in order of years."""

    def __init__(self, report: Report) -> None:
        """Start without streams."""
        self._report = report
        # There may be millions, so each is only its last number in eight bytes, and the hash of its last event.
        self._last: dict[str, bytes] = {}

    def follow(self, log: str, stream: str, seq: int, prev: str | None, digest: bytes, *, begun_before: bool) -> None:
        """Check that an event is its stream's next; ``begun_before`` says that the stream may be older than what we have.

        ``digest`` is the SHA-256 of the event's bytes, ``prev`` what it says about the event before it, in hex.
        """
        last = self._last.get(stream)
        before = 0 if last is None else int.from_bytes(last[:8], "big", signed=True)
        if last is not None:
            right = seq == before + 1 and prev == last[8:].hex()
            if right:
                self._last[stream] = seq.to_bytes(8, "big", signed=True) + digest
                return
        else:
            right = (begun_before and seq > 1) or (seq == 1 and prev is None)
        if not right:
            if seq != before + 1:
                self._report.fault("stream_gap", log, f"{stream}: {before} is followed by {seq}")
            else:
                self._report.fault("stream_link", log, f"{stream}: {seq}")
        self._last[sys.intern(stream)] = seq.to_bytes(8, "big", signed=True) + digest

    def __len__(self) -> int:
        """Return how many streams there are."""
        return len(self._last)


def envelope_pattern(origin: str) -> re.Pattern[bytes]:
    """Return what a canonical entry of the log looks like around its event's data.

    Groups: the event's bytes, ``at``, stream, link, number in the stream, type, number in the log. Members stand in canonical
    order and no string here has an escape, so what matches is read as any JSON reader reads it; what does not is read as JSON.
    """
    word = rb'"[^"\\\x00-\x1f]*"'
    return re.compile(
        rb'\{"event":(\{"actor":\{"auth":' + word + rb',"id":' + word + rb',"kind":' + word + rb"\},"
        rb'"at":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)","case":"([A-Za-z0-9_-]{1,80})",'
        rb'"case_prev":(null|"[0-9a-f]{64}"),"case_seq":([1-9]\d{0,15}),"data":\{.*,"type":"([^"\\\x00-\x1f]*)"\}),'
        rb'"log":' + re.escape(canonical(origin)) + rb',"seq":(0|[1-9]\d{0,15}),"v":1\}',
        re.DOTALL,
    )


_TEXTS_OF = itemgetter("id", "type", "at", "req", "case")


def event_of(log: LogVerifier, number: int, entry: bytes) -> tuple[dict[str, Any], bytes] | None:
    """Return (event, its canonical bytes) of an entry, or None after writing down what is wrong with it."""
    head, tail = b'{"event":', b'%b%d,"v":1}' % (log.behind, number)
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
            set(map(type, _TEXTS_OF(event))) == {str}
            and type(event["case_seq"]) is int
            and (event["case_prev"] is None or isinstance(event["case_prev"], str))
            and isinstance(event["data"], dict)
            and isinstance(event.get("decision", {}), dict)
            and actor.keys() == {"kind", "id", "auth"}
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

EPOCH, MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


def moment(text: str) -> int:
    """Return the instant of RFC 3339 text in microseconds since 1970. Raises ValueError when it names no zone."""
    return (instant(text) - EPOCH) // MICROSECOND


@dataclass
class Stop:
    """A person's word, or a hold on them; ``until`` is when the person took it back."""

    at: int
    medium: str
    of_person: bool
    until: int | None = None


class Kind(NamedTuple):
    """What many contacts have in common; ``ruleset`` is empty for one that nobody ruled on."""

    log: str
    channel: str
    purpose: str
    org: str
    role: str | None
    zones: tuple[str, ...]
    ruleset: str
    reply: bool


@dataclass(slots=True)
class Contact:
    """A ruling that allowed a contact, and what became of it; only what is asked for later, for there may be millions.

    Instants are microseconds since 1970. ``outcome`` is a word of ``OUTCOMES``, None as long as nothing is told.
    """

    approval: str
    case: str
    person: str
    kind: Kind
    recipient: str
    content: str | None
    decided_at: int
    not_before: int
    not_after: int
    genuine: bool
    claims: int = 0
    claimed_at: int = 0
    claimed_seq: int = 0
    done: int = 0
    outcome: str | None = None
    told_at: int = 0

    def tell(self, outcome: str, at: int) -> None:
        """Take down what became of it, and forget what only the first use is held against."""
        self.outcome, self.told_at, self.content = outcome, at, None
        self.not_before = self.not_after = self.decided_at


class Sends:
    """Everything that was sent or reported as done by one tenant, and what it was done under."""

    def __init__(self, tenant: str, report: Report, approval_key: Key | None, caps: "Caps") -> None:
        """Start without anything sent."""
        self._tenant, self._report, self._root, self._caps = tenant, report, approval_key, caps
        self._contacts: dict[str, Contact] = {}
        self._earlier: dict[tuple[str, str], Contact] = {}
        self._uncleared: list[Contact] = []
        self._kinds: dict[Kind, Kind] = {}
        self._stops: dict[str, list[Stop]] = defaultdict(list)
        self._replies: set[str] = set()
        self._texts: dict[str, tuple[str, int, int | None]] = {}
        self._certificates: dict[str, tuple[Mapping[str, Any], Any, int, int] | None] = {}
        self._log = ""
        self._steps: Mapping[str, Callable[[Mapping[str, Any], Mapping[str, Any], int], str | None]] = {
            "template.approved": self._text_approved,
            "contact.requested": self._requested,
            "contact.decided": self._decided,
            "contact.claimed": self._claimed,
            "contact.sent": self._sent,
            "contact.rejected": self._left,
            "contact.failed": self._left,
            "contact.reported": self._reported,
            "activity.recorded": self._recorded,
            "consent.changed": self._stopped,
            "hold.placed": self._stopped,
        }

    def follow(self, log: str, number: int, event: Mapping[str, Any]) -> None:
        """Take the next event of the log. Malformed data of an event counts as an approval that is not genuine."""
        step = self._steps.get(event["type"])
        if step is None:
            return
        self._log = log
        try:
            code = step(event, event["data"], moment(event["at"]))
        except (KeyError, TypeError, ValueError, AttributeError):
            code = "bad_approval"
        if code is not None:
            self._report.fault(code, log, f"entry {number}")

    def finish(self) -> None:
        """Hold every claim against every stop, once all of them are known, and count the caps anew."""
        contacts = [*self._earlier.values(), *self._contacts.values(), *self._uncleared]
        for contact in contacts:
            if contact.claims and self._was_stopped(contact):
                self._report.fault("sent_after_stop", contact.kind.log, f"{contact.case}: {contact.claimed_seq}")
        self._caps.count(contacts)

    def _was_stopped(self, contact: Contact) -> bool:
        """Tell whether a stop fell between ruling and claim, or was in force on the medium when it was claimed. Instants
        that are equal have no order."""
        served = contact.kind.purpose in SERVICE_PURPOSES or contact.kind.reply
        for stop in self._stops.get(contact.person, ()):
            overtook = contact.decided_at < stop.at < contact.claimed_at
            begun = stop.of_person and stop.at < contact.claimed_at
            in_force = begun and (stop.until is None or contact.claimed_at < stop.until)
            if overtook or (in_force and stop.medium in ("all", contact.kind.channel) and not served):
                return True
        return False

    def _text_approved(self, event: Mapping[str, Any], data: Mapping[str, Any], at: int) -> str | None:
        until = data["effective_until"]
        begin = moment(data["effective_from"])
        self._texts[data["template"]] = (data["template_sha256"], begin, None if until is None else moment(until))
        return None

    def _text_fits(self, approval: Mapping[str, Any], at: int) -> bool:
        """Tell whether the ruling's text is the one that was approved, in its period. One approved in another year's log,
        which need not be at hand, is not held against it."""
        known = self._texts.get(approval["template"] or "")
        if known is None:
            return True
        digest, begin, until = known
        return approval["template_sha256"] == digest and begin <= at and (until is None or at < until)

    def _requested(self, event: Mapping[str, Any], data: Mapping[str, Any], at: int) -> str | None:
        if data["reply_to"] is not None:
            self._replies.add(data["contact"])
        return None

    def _decided(self, event: Mapping[str, Any], data: Mapping[str, Any], at: int) -> str | None:
        decision, approval = event["decision"], data["approval"]
        self._report.counts["decisions"] += 1
        sealed = base64.urlsafe_b64decode(event["sealed"] + "=" * (-len(event["sealed"]) % 4))
        if sha256(sealed).hexdigest() != decision["inputs"]:
            return "inputs_changed"
        if decision["outcome"] != "allow":
            return "bad_approval" if approval is not None else None
        self._report.counts["approvals"] += 1
        name = data["contact"]
        last = self._contacts.get(name)
        new = last is None or (last.approval != approval["id"] and (name, approval["id"]) not in self._earlier)
        genuine = new and self._fits(event, data, approval) and self._genuine(approval, at)
        if new:
            if last is not None:
                self._earlier[name, last.approval] = last
            begin = moment(approval["not_before"])
            self._contacts[name] = Contact(
                approval["id"],
                sys.intern(event["case"]),
                sys.intern(data["person"]),
                self._kind(data, decision["ruleset"]),
                data["recipient"],
                data["content"],
                at,
                at if begin == at else begin,
                moment(approval["not_after"]),
                genuine,
            )
        if not genuine:
            return "bad_approval"
        if not self._caps.knows(decision["ruleset"], data["rule_set"]):
            return "rules_changed"
        return None if self._text_fits(approval, at) else "bad_text"

    def _fits(self, event: Mapping[str, Any], data: Mapping[str, Any], approval: Mapping[str, Any]) -> bool:
        """Tell whether an approval is for what the event says."""
        decision = event["decision"]
        return (
            _RULED_ON(approval) == _RULED_ON(data)
            and (approval["ruleset"], approval["inputs"]) == (decision["ruleset"], decision["inputs"])
            and (approval["tenant"], approval["case"]) == (self._tenant, event["case"])
        )

    def _kind(self, data: Mapping[str, Any], ruleset: str) -> Kind:
        kind = Kind(
            self._log,
            data["channel"],
            data.get("purpose", "demand"),
            data["org"],
            data.get("role"),
            tuple(data.get("zones", ())),
            ruleset,
            data.get("contact") in self._replies,
        )
        return self._kinds.setdefault(kind, kind)

    def _claimed(self, event: Mapping[str, Any], data: Mapping[str, Any], at: int) -> str | None:
        contact = self._under(event, data)
        if contact is None:
            return "no_approval"
        contact.claims += 1
        if contact.claims > 1:
            return "approval_reused"
        contact.claimed_at, contact.claimed_seq = at, event["case_seq"]
        if not contact.not_before <= at < contact.not_after:
            return "outside_window"
        return None if data["content"] == contact.content else "content_changed"

    def _sent(self, event: Mapping[str, Any], data: Mapping[str, Any], at: int) -> str | None:
        self._report.counts["sent"] += 1
        contact = self._under(event, data)
        if contact is None or not contact.claims:
            return "no_approval"
        contact.done += 1
        if contact.done > 1:
            return "approval_reused"
        same = (data["content"], data["recipient"]) == (contact.content, contact.recipient)
        in_time = at < contact.not_after + SETTLING
        contact.tell("sent", at)
        if not same:
            return "content_changed"
        return None if in_time else "outside_window"

    def _left(self, event: Mapping[str, Any], data: Mapping[str, Any], at: int) -> str | None:
        """Take down that a message was not taken by the carrier, or came back from it."""
        contact = self._contacts.get(data["contact"])
        if contact is not None and contact.claims:
            contact.outcome, contact.told_at = "rejected" if event["type"] == "contact.rejected" else "bounced", at
        return None

    def _reported(self, event: Mapping[str, Any], data: Mapping[str, Any], at: int) -> str | None:
        self._report.counts["reported"] += 1
        contact = self._under(event, data)
        if contact is None:
            return "no_approval"
        contact.done += 1
        if contact.done > 1:
            return "approval_reused"
        begun = moment(data["attempted_at"])
        inside = contact.not_before <= begun < contact.not_after
        contact.tell(data["outcome"], at)
        return None if inside or data["outcome"] == "not_made" else "outside_window"

    def _recorded(self, event: Mapping[str, Any], data: Mapping[str, Any], at: int) -> str | None:
        """Take down a call or visit that was made without asking: it fills the caps of those that were approved."""
        if data["attempt"] and data["contact"] is None and data["action"] in ("call", "visit"):
            met = "visited_met" if data["action"] == "visit" else "conversation"
            outcome = met if data["right_party"] else "wrong_person" if data["connect"] else "made"
            kind = self._kind({"channel": data["action"], "org": data["org"]}, "")
            made = moment(data["at"])
            case, person = sys.intern(event["case"]), sys.intern(data["person"])
            self._uncleared.append(
                Contact("", case, person, kind, "", None, made, made, made, False, outcome=outcome, told_at=at)
            )
        return None

    def _stopped(self, event: Mapping[str, Any], data: Mapping[str, Any], at: int) -> str | None:
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

    def _under(self, event: Mapping[str, Any], data: Mapping[str, Any]) -> Contact | None:
        """Return the contact whose genuine approval an event says that it used, None when there is none such."""
        name, approval = data["contact"], data["approval"]
        contact = self._contacts.get(name)
        if contact is not None and contact.approval != approval:
            contact = self._earlier.get((name, approval))
        if contact is None or not contact.genuine:
            return None
        return contact if (contact.case, contact.kind.channel) == (event["case"], data["channel"]) else None

    def _genuine(self, approval: Mapping[str, Any], at: int) -> bool:
        """Tell whether the approval's signature and certificate hold, and the ruling fell into the certificate's time."""
        if approval.keys() != APPROVAL_FIELDS | {"signature", "certificate"}:
            return False
        certificate = self._certificate(approval["certificate"])
        if certificate is None:
            return False
        _, public, begins, ends = certificate
        signed = dict(approval)
        del signed["signature"], signed["certificate"]
        try:
            public.verify(unbase64(approval["signature"]), canonical(signed))
        except InvalidSignature:
            return False
        return bool(begins <= at < ends)

    def _certificate(self, certificate: Mapping[str, Any]) -> tuple[Mapping[str, Any], Any, int, int] | None:
        """Return (certificate, key, begin, end), or None when the approval root has not signed it."""
        known = self._certificates.get(certificate["signature"])
        if known is None or known[0] != certificate:
            body = {name: value for name, value in certificate.items() if name != "signature"}
            signature = unbase64(certificate["signature"])
            if self._root is not None and not self._root.holds(canonical(body), signature):
                return None
            public = ed25519.Ed25519PublicKey.from_public_bytes(unbase64(body["public_key"]))
            known = (certificate, public, moment(body["not_before"]), moment(body["not_after"]))
            self._certificates[certificate["signature"]] = known
        return known


# --- Caps: counted anew from what the entries tell openly ----------------------------------------------------------

_ANSWERED = frozenset(
    ("connected", "conversation", "pending", "third_party_answered", "voicemail_full", "voicemail_left")
) | {"voicemail_reached", "wrong_person"}

OUTCOMES: Mapping[str, frozenset[str]] = {
    "attempt": frozenset(),
    "connect": _ANSWERED | {"no_answer", "powered_off", "rejected"},
    "answered": _ANSWERED,
    "contact": frozenset(("connected", "conversation", "delivered", "pending", "sent", "third_party_answered"))
    | {"visited_met", "voicemail_left"},
    "conversation": frozenset(("conversation",)),
    "talk_or_pending": frozenset(("conversation", "pending", "visited_met")),
}
"""What each unit of a cap takes in; an attempt is whatever came of it."""

OPEN_CONDITIONS = frozenset(("channel", "not_channel", "purpose", "not_purpose", "to", "not_to"))
OPEN_PARAMS = frozenset(
    [
        "attempts_review",
        "both_ways",
        "by",
        "cap",
        "channels",
        "days",
        "not_outcomes",
        "not_purposes",
        "outcomes_of",
        "per",
        "purposes",
        "replies",
        "same_point",
        "unit",
        "who",
        "window",
    ]
)
"""Conditions and parameters of a cap that the open part of the entries answers. A cap with any other is not counted."""


class Cap:
    """One rule of shape ``count``, as the open part of the entries can count it: never more than the rule itself would.

    Counted are contacts that were ruled on before, on the date of their ruling, as rulings count them: messages that
    were claimed and not refused by the carrier, calls and visits that were reported as made, and those that an agency
    made without asking. Contacts from before the archive, and what people wrote or rang themselves, are not there.
    """

    def __init__(self, rule: Mapping[str, Any], zone: str | None) -> None:
        """Read a rule of a pack; ``zone`` is the pack's own, None when the person's zones hold."""
        self._params: Mapping[str, Any] = rule["params"]
        self._when: Mapping[str, Any] = rule.get("when", {})
        self.rule, self.limit, self._zone = str(rule["id"]), int(self._params["cap"]), zone
        self._first = date.fromisoformat(rule["from"]) if "from" in rule else date.min
        self._last = date.fromisoformat(rule["to"]) if "to" in rule else date.max
        self._window: Any = self._params.get("days", self._params.get("window"))
        self._unit = OUTCOMES[self._params.get("unit", "attempt")]
        self.by_point = self._params.get("who") == "anybody" and bool(self._params.get("same_point"))
        lacking = {*(self._when.keys() - OPEN_CONDITIONS), *(self._params.keys() - OPEN_PARAMS)}
        if not self.by_point and self._params.get("who", "recipient") != "recipient":
            lacking.add("who")
        self._lacking = frozenset(lacking)

    def binds(self, kind: Kind) -> bool:
        """Tell whether the rule is about such a contact, as far as the open part of its entries tells."""
        told = {"channel": kind.channel, "purpose": kind.purpose, "to": kind.role}
        for name, wanted in self._when.items():
            value = told.get(name.removeprefix("not_"))
            if value is not None and (value in wanted) is name.startswith("not_"):
                return False
        free = kind.reply and not self._params.get("replies", True)
        return not free and kind.purpose not in self._params.get("not_purposes", ())

    def lacks(self, kind: Kind) -> list[str]:
        """Return what the rule asks of such a contact that the open part does not tell; nothing when it can be counted."""
        role = {"to"} if kind.role is None and not self._when.keys().isdisjoint(("to", "not_to")) else set()
        zones = set() if self._zone or kind.zones else {"zones"}
        return sorted(self._lacking | role | zones)

    def exceeded(self, new: Contact, before: Sequence[Contact]) -> int:
        """Return how many of the contacts before a new one, by time, filled the cap that it was held to, 0 when it was
        not full. Raises ZoneInfoNotFoundError."""
        for zone in (self._zone,) if self._zone else new.kind.zones:
            today = local_date(new.decided_at, zone)
            if not self._first <= today <= self._last:
                continue
            start = today.replace(day=1) if self._window == "month" else date.min
            if self._window not in ("month", "ever"):
                start = today - timedelta(days=self._window - 1)
            found = 0
            for other in reversed(before):
                if local_date(other.decided_at, zone) < start:
                    break
                found += other.decided_at < new.decided_at and self._fills(other, new)
            if found >= self.limit:
                return found
        return 0

    def _fills(self, other: Contact, new: Contact) -> bool:
        """Tell whether another contact fills the cap that a new one is held to, wherever in time it lies."""
        params, kind = self._params, other.kind
        if params.get("by", "org") == "org" and kind.org != new.kind.org:
            return False
        if params.get("per") in ("debt", "product") and other.case != new.case:
            return False
        if params.get("same_point") and (not new.recipient or other.recipient != new.recipient):
            return False
        if kind.channel not in params.get("channels", (kind.channel,)):
            return False
        if kind.purpose not in params.get("purposes", (kind.purpose,)):
            return False
        if kind.purpose in params.get("not_purposes", ()):
            return False
        if kind.reply and not params.get("replies", True):
            return False
        known, pending = other.told_at < new.decided_at, self._takes(kind.channel, "pending")
        # What came of it later is held against nobody who could not know, and one that nobody cleared was not pending.
        return self._takes(kind.channel, other.outcome or "pending") and (known or (pending and bool(other.approval)))

    def _takes(self, channel: str, outcome: str) -> bool:
        of_channel: Mapping[str, Any] = self._params.get("outcomes_of", {})
        return (
            (not self._unit or outcome in self._unit)
            and outcome not in self._params.get("not_outcomes", ())
            and (channel not in of_channel or outcome in of_channel[channel])
        )


def local_date(at: int, zone: str) -> date:
    """Return the date at an instant in a zone. Raises ZoneInfoNotFoundError."""
    return (EPOCH + timedelta(microseconds=at)).astimezone(ZoneInfo(zone)).date()


class Caps:
    """The caps of the rule packs in an archive, held against everything that was sent or reported as made."""

    def __init__(self, folder: Path, report: Report) -> None:
        """Take the archive's directory, with ``rules/<sha256>.json`` in it."""
        self._folder, self._report = folder / "rules", report
        self._rule_sets: dict[str, Mapping[str, Any]] = {}
        self._in_packs: dict[str, list[Cap]] = {}
        self._on_kinds: dict[Kind, list[Cap]] = {}

    def knows(self, ruleset: str, stated: Mapping[str, Any]) -> bool:
        """Tell whether the rule set that an event states is the one of this digest, and remember it."""
        known = self._rule_sets.get(ruleset)
        if known is None and sha256(canonical(stated)).hexdigest() == ruleset:
            known = self._rule_sets[ruleset] = stated
        return known is not None and known == stated

    def count(self, contacts: Iterable[Contact]) -> None:
        """Write down each contact that was allowed although those before it had filled a cap."""
        made = [each for each in contacts if each.claims or each.done or not each.approval]
        made = [each for each in made if each.outcome not in ("rejected", "not_made")]
        made.sort(key=lambda each: each.decided_at)
        for by_point, of in ((False, _PERSON), (True, _RECIPIENT)):
            made.sort(key=of)
            for _, group in groupby(made, key=of):
                self._count_among(list(group), by_point=by_point)

    def _count_among(self, contacts: list[Contact], *, by_point: bool) -> None:
        for place, new in enumerate(contacts):
            for cap in self._on(new.kind):
                if cap.by_point is not by_point:
                    continue
                self._report.caps[cap.rule] += 1
                try:
                    found = cap.exceeded(new, contacts[:place]) if place >= cap.limit else 0
                except (ZoneInfoNotFoundError, ValueError) as error:
                    self._report.notice("caps_without_zone", "", f"{cap.rule}: {error}")
                    continue
                if found:
                    where = f"{new.case} {new.approval}: {found} before it, {cap.rule} allows {cap.limit}"
                    self._report.fault("over_cap", new.kind.log, where)

    def _on(self, kind: Kind) -> list[Cap]:
        """Return the caps that such contacts are held to and that can be counted; those that cannot are told."""
        if kind not in self._on_kinds:
            packs = self._rule_sets[kind.ruleset]["packs"] if kind.ruleset in self._rule_sets else []
            caps = [cap for *_, digest in packs for cap in self._in(str(digest)) if cap.binds(kind)]
            for cap in caps:
                if cap.lacks(kind):
                    self._report.notice("caps_sealed", "", f"{cap.rule}: {', '.join(cap.lacks(kind))}")
            self._on_kinds[kind] = [cap for cap in caps if not cap.lacks(kind)]
        return self._on_kinds[kind]

    def _in(self, digest: str) -> list[Cap]:
        """Return the caps in force in a pack of the archive; a pack that is not there is told."""
        if digest not in self._in_packs:
            path = self._folder / f"{digest}.json"
            raw = path.read_bytes() if re.fullmatch("[0-9a-f]{64}", digest) and path.is_file() else b""
            try:
                if sha256(raw).hexdigest() != digest:
                    raise ValueError("another pack")
                pack = json.loads(raw)
                binding = [each for each in pack["rules"] if each["status"] == "enforced"]
                self._in_packs[digest] = [Cap(each, pack["zone"]) for each in binding if each["shape"] == "count"]
            except (ValueError, KeyError, TypeError, AttributeError):
                self._report.notice("caps_without_rules", "", digest)
                self._in_packs[digest] = []
        return self._in_packs[digest]


_PERSON, _RECIPIENT = attrgetter("person"), attrgetter("recipient")


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


@dataclass(frozen=True)
class Asked:
    """What the caller brings along, none of which comes from the archive, and how far the checks go."""

    keys: list[Key]
    earlier: list[bytes] = field(default_factory=list)
    approval_key: Key | None = None
    authority: x509.Certificate | None = None
    policy: Policy | None = None
    heartbeat: timedelta = timedelta(hours=2)
    late: timedelta = timedelta(hours=24)
    full: bool = True
    links: bool = True


def verify(folder: Path, asked: Asked) -> Report:
    """Verify all logs of an archive and return what was found. Raises Unverifiable when there is nothing to verify."""
    report, logs = Report(), find_logs(folder)
    saved = [read_note(raw, asked.keys) for raw in asked.earlier]
    for note in saved:
        if isinstance(note, str):
            raise Unverifiable(f"an earlier note cannot be used: {TEXTS[note][0]}")
    covered, export = _verify_manifest(folder, asked.keys, report)
    caps = Caps(folder, report)
    tenants: dict[str, tuple[Streams, Sends]] = {}
    before: dict[str, LogVerifier] = {}
    for path in logs:
        log = LogVerifier(path, asked.keys, report, is_root=path == folder)
        tenant = path.parent.name
        if log.is_root:
            tenant = _tenant_in(path)
        streams, sends = tenants.setdefault(tenant, (Streams(report), Sends(tenant, report, asked.approval_key, caps)))
        log.read_notes()
        log.read_anchors(asked.authority)
        log.read_cosignatures(asked.policy)
        if export is not None:
            _take_part(log, export, covered)
        notes = [note for note in saved if isinstance(note, Signed) and note.origin == log.origin]
        for note in notes:
            if log.head is not None and note.size > log.head.size:
                report.fault("rolled_back", log.name, f"{note.size} > {log.head.size}")
            log.roots[note.size].add((note.root, "rewritten"))
        if not notes:
            report.notice("no_earlier", log.name)
        if export is not None and export.has_proofs:
            _verify_notes_only(log, notes)
        else:
            _verify_entries(log, streams, sends, before.get(tenant), covered, asked)
        before[tenant] = log
    if export is not None:
        _verify_export(folder, export, list(before.values()), tenants, asked, report)
    for note in saved:
        known = {log["origin"] for log in report.logs}
        # A log whose note nobody signed has no origin; that fault says more than that the earlier note fits nothing.
        if isinstance(note, Signed) and note.origin not in known and not report.faults:
            raise Unverifiable(f"an earlier note is of {note.origin}, which is not in the archive")
    for streams, sends in tenants.values():
        report.counts["streams"] += len(streams)
        sends.finish()
    _verify_beside(folder, logs, covered, report)
    if asked.policy is None or asked.policy.quorum == "none":
        report.notice("no_witness")
    report.notice("sealed")
    report.notice("stream_tails")
    if not asked.links:
        report.notice("tree_level_only")
    elif not asked.full:
        report.notice("log_level_only")
    elif asked.approval_key is None:
        report.notice("no_approval_key")
    return report


def verify_at(place: Path, asked: Asked) -> Report:
    """Verify the archive at a directory, or in a ZIP, and return what was found. Raises Unverifiable."""
    with opened(place) as (folder, wrong):
        if not wrong:
            return verify(folder, asked)
        report = Report()
        for name in wrong:
            report.fault("bad_zip", "", name)
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
    asked: Asked,
) -> None:
    own: datetime | None = None
    inherits = bool(log.part and log.part[0])
    fast = envelope_pattern(log.origin).fullmatch
    stamps = [(size, as_text_of(at + SKEW), as_text_of(at - asked.late)) for size, at in log.stamps]
    earliest = ""
    for first, entries in log.entries():
        log.report.counts["entries"] += len(entries)
        numbered: Iterable[tuple[int, bytes]] = enumerate(entries, start=first)
        if not asked.links:
            # What the log says of itself is read at every level: its beginning, its files, its heartbeat.
            numbered = [(number, entry) for number, entry in numbered if not number or b'"type":"log.' in entry]
        for number, entry in numbered:
            while stamps and stamps[0][0] <= number:
                earliest = stamps.pop(0)[2]
            seen = None if asked.full else fast(entry)
            if seen is not None:
                raw, at_text, of, link_text, seq_text, kind, number_text = seen.groups()
            if seen is not None and int(number_text) == number and not kind.startswith(b"log."):
                at, stream, seq = at_text.decode(), of.decode(), int(seq_text)
                link = None if link_text == b"null" else link_text[1:-1].decode()
            else:
                found = event_of(log, number, entry)
                if found is None:
                    continue
                event, raw = found
                at, stream, seq, link = event["at"], event["case"], event["case_seq"], event["case_prev"]
                if (number == 0) != (event["type"] == "log.genesis"):
                    log.fault("no_genesis", f"entry {number}")
                if event["type"] == "log.genesis":
                    inherits = _verify_year(log, event["data"], before)
                    log.named = _named_in(event["data"])
                    covered |= {name: digest for name, digest in log.named.items() if name.startswith("schema/")}
                if event["type"].startswith("log."):
                    beat = instant(at)
                    if own is not None and beat - own > asked.heartbeat:
                        log.fault("heartbeat_gap", f"entry {number}: {own:%Y-%m-%dT%H:%MZ} to {beat:%Y-%m-%dT%H:%MZ}")
                    own = beat
                if asked.full and not (log.part and log.part[0]):
                    sends.follow(log.name, number, event)
            if not asked.links:
                continue
            if stamps and at > stamps[0][1]:
                log.fault("ahead_of_anchor", f"entry {number}: {at}")
            elif at < earliest:
                log.fault("behind_anchor", f"entry {number}: {at}")
            streams.follow(log.name, stream, seq, link, sha256(raw).digest(), begun_before=inherits)
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


def _verify_manifest(folder: Path, keys: list[Key], report: Report) -> tuple[dict[str, str], "Export | None"]:
    """Hold every file against the manifest, when there is one.

    Returns path -> SHA-256 of what it names, and what it says that the archive is, which only exports say.
    """
    manifest, note = folder / "manifest.json", folder / "manifest.note"
    if not manifest.is_file() and not note.is_file():
        report.notice("no_manifest")
        return {}, None
    export = None
    try:
        raw, signed = manifest.read_bytes(), note.read_bytes()
        stated = parse_canonical(raw)
        origin, digest = _manifest_note(signed, keys)
        files = {each["path"]: (each["size"], each["sha256"]) for each in stated["files"]}
        right = (stated["log"], sha256(raw).hexdigest()) == (origin, digest)
        if "asked" in stated:
            export = Export(stated)
    except (OSError, ValueError, KeyError, TypeError):
        right, files = False, {}
    if not right:
        report.fault("bad_manifest", "", "manifest.json")
        return {}, None
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    for path in sorted(found.symmetric_difference({*files, "manifest.json", "manifest.note"})):
        report.fault("not_in_manifest", "", path)
    for path in sorted(found & files.keys()):
        raw = (folder / path).read_bytes()
        if (len(raw), sha256(raw).hexdigest()) != files[path]:
            report.fault("not_in_manifest", "", path)
    report.counts["files in the manifest"] = len(files)
    listed = {path: digest for path, (_, digest) in files.items()}
    return listed | {
        "manifest.json": sha256(manifest.read_bytes()).hexdigest(),
        "manifest.note": sha256(signed).hexdigest(),
    }, export


def _manifest_note(raw: bytes, keys: list[Key]) -> tuple[str, str]:
    """Return (origin, digest) of a manifest's note. Raises ValueError unless a given key signed it and no given key's line fails."""
    text, _, lines = raw.decode().rpartition("\n\n")
    origin, statement, at = text.split("\n")
    word, digest = statement.split(" ")
    instant(at)
    held = []
    for line in lines.removesuffix("\n").split("\n"):
        dash, name, encoded = line.split(" ")
        signature = unbase64(encoded)
        if dash != "\N{EM DASH}":
            raise ValueError("no signature line")
        mine = [key for key in keys if key.id_for(name) == signature[:4]]
        held += [key.holds(f"{text}\n".encode(), signature[4:]) for key in mine]
    if word != "manifest" or not held or not all(held):
        raise ValueError("no given key has signed the manifest")
    return origin, digest


# --- Exports: a part of a log, or single events -------------------------------------------------------------------


class Export:
    """What a manifest says of the archive that it lies in: what was asked for, what of each log, how many events of a stream."""

    def __init__(self, stated: Mapping[str, Any]) -> None:
        """Read it. Raises KeyError, TypeError or ValueError when it is not in its form."""
        asked = stated["asked"]
        self.kind: str = asked["kind"]
        self.logs = {
            each["origin"]: (each["size"], each["root"], each["first"], each["end"]) for each in stated["logs"]
        }
        self.streams: dict[str, int] = dict(stated["streams"])
        self.begins = instant(f"{asked['from']}T00:00Z") if self.kind == "range" else None
        self.ends = instant(f"{asked['to']}T00:00Z") + timedelta(days=1) if self.kind == "range" else None
        self.subject = None if self.kind == "range" else asked[self.kind]
        if self.kind not in ("range", "case", "person") or not self.logs:
            raise ValueError("no export")

    @property
    def has_proofs(self) -> bool:
        """Tell whether it holds single events instead of a part of a log."""
        return self.kind != "range"


def _take_part(log: LogVerifier, export: Export, covered: Mapping[str, str]) -> None:
    """Let the log know which of its entries the export holds, and that the export's manifest vouches for its keys."""
    head, stated = log.head, export.logs.get(log.origin)
    if head is None:
        return
    if stated is None or stated[:2] != (head.size, base64.b64encode(head.root).decode()):
        log.fault("bad_manifest", "manifest.json")
        return
    size, _, first, end = stated
    log.named = {
        path.removeprefix(f"{log.name}/"): digest
        for path, digest in covered.items()
        if path.startswith(f"{log.name}/keys/")
    }
    if not export.has_proofs and (first, end) != (0, size):
        log.part = (first, end)


def _verify_notes_only(log: LogVerifier, earlier: list[Signed]) -> None:
    """Judge a log of which an export holds the note alone."""
    head = log.head
    for note in earlier:
        if head is not None and note.size == head.size and note.root != head.root:
            log.fault("rewritten", f"size {note.size}")
        elif head is not None and note.size < head.size:
            log.report.notice("earlier_unused", log.name, f"{note.size} < {head.size}")
    for path in sorted(log.files.unread):
        if path not in log.named:
            log.fault("extra_file", path)
    log.report.logs.append(
        {
            "log": log.name,
            "origin": log.origin,
            "size": head.size if head else 0,
            "root": base64.b64encode(head.root).decode() if head else None,
            "signed_by": [key.kind for key in head.keys] if head else [],
            "last_heartbeat": None,
        }
    )


def _verify_export(
    folder: Path,
    export: Export,
    logs: list[LogVerifier],
    tenants: Mapping[str, tuple[Streams, Sends]],
    asked: Asked,
    report: Report,
) -> None:
    """Hold what the archive is against what its manifest says that it is, and say what a part cannot show."""
    missing = set(export.logs) - {log.origin for log in logs}
    for origin in sorted(missing):
        report.fault("bad_manifest", origin, "manifest.json")
    if len(tenants) != 1:
        report.fault("bad_manifest", "", "manifest.json")
    elif export.has_proofs:
        ((streams, sends),) = tenants.values()
        _verify_proofs(folder, export, {log.origin: log for log in logs}, streams, sends, asked, report)
    else:
        for log in logs:
            _verify_edges(folder, export, log)


def _verify_edges(folder: Path, export: Export, log: LogVerifier) -> None:
    """Look whether a range was cut wide enough: entries are numbered as they come, up to a day after their time."""
    if log.part is None or log.head is None or export.begins is None or export.ends is None:
        return
    (first, end), size, late = log.part, log.head.size, timedelta(hours=24) + SKEW
    log.report.notice("part_of_log", log.name, f"{first} to {end - 1} of {size}")
    if first:
        log.report.notice("part_sends", log.name)
    wide = first % WIDTH == 0 and first < end <= size and (end % WIDTH == 0 or end == size)
    if first and (begun := _named_at(folder, log, first)) is not None:
        wide = wide and begun < export.begins - late
    if end < size and (over := _named_at(folder, log, end - WIDTH)) is not None:
        wide = wide and over >= export.ends + late
    if not wide:
        log.fault("range_cut", f"{first} to {end - 1} of {size}")


def _named_at(folder: Path, log: LogVerifier, number: int) -> datetime | None:
    """Return the time that the first entry of a bundle names; None when it was not there, which is a fault already."""
    assert log.head is not None
    width = min(WIDTH, log.head.size - number)
    path = folder / log.name / f"tile/entries/{tile_name(number // WIDTH, width)}"
    entries = split_bundle(path.read_bytes()) if path.is_file() else None
    try:
        return instant(json.loads(entries[0])["event"]["at"]) if entries else None
    except (ValueError, KeyError, TypeError):
        return None


def _verify_proofs(
    folder: Path,
    export: Export,
    logs: Mapping[str, LogVerifier],
    streams: Streams,
    sends: Sends,
    asked: Asked,
    report: Report,
) -> None:
    """Verify each event's proof, that each stream is whole from its beginning, and what was sent in it."""
    found: list[tuple[str, int, dict[str, Any], bytes, LogVerifier]] = []
    for path in sorted(folder.glob("proofs/*/*.json")):
        name, proof = path.relative_to(folder).as_posix(), path.with_suffix(".tlog-proof")
        entry = path.read_bytes()
        proved = _proved(entry, proof.read_bytes() if proof.is_file() else b"", logs)
        if proved is None:
            report.fault("not_proved", "", name)
            continue
        log, number = proved
        told = event_of(log, number, entry)
        if told is None:
            continue
        event, raw = told
        if name != f"proofs/{event['case']}/{event['case_seq']:08d}.json":
            report.fault("wrong_stream", log.name, name)
        found.append((log.name, number, event, raw, log))
    report.counts["entries"] += len(found)
    held: Counter[str] = Counter()
    for log_name, _, event, raw, _ in sorted(found, key=lambda each: (each[2]["case"], each[2]["case_seq"])):
        held[event["case"]] += 1
        digest = sha256(raw).digest()
        streams.follow(log_name, event["case"], event["case_seq"], event["case_prev"], digest, begun_before=False)
    if dict(held) != export.streams or (export.kind == "case" and set(held) != {export.subject}):
        report.fault("wrong_stream", "", "manifest.json")
    if asked.full:
        for log_name, number, event, _, _ in sorted(found, key=lambda each: (each[0], each[1])):
            sends.follow(log_name, number, event)
    report.notice("proofs_only")
    if export.kind == "case":
        report.notice("no_person_stream")


def _proved(entry: bytes, proof: bytes, logs: Mapping[str, LogVerifier]) -> tuple[LogVerifier, int] | None:
    """Return (log, number) of an entry whose proof (tlog-proof) leads to the log's signed note in the archive, else None."""
    head, _, note = proof.partition(b"\n\n")
    try:
        form, index, *encoded = head.decode().split("\n")
        word, number = index.split(" ")
        nodes = [unbase64(line) for line in encoded]
        log = logs[note.partition(b"\n")[0].decode()]
        place = int(number)
    except (ValueError, KeyError):
        return None
    if form != "c2sp.org/tlog-proof@v1" or word != "index" or number != str(place) or any(len(n) != 32 for n in nodes):
        return None
    if (
        log.head is None
        or note != log.head.raw
        or not included(leaf(entry), place, log.head.size, nodes, log.head.root)
    ):
        return None
    return log, place


def included(node: bytes, place: int, size: int, proof: list[bytes], root: bytes) -> bool:
    """Tell whether the proof leads from a leaf's hash at a place to the root of a tree of that size (RFC 9162 2.1.3.2)."""
    if not 0 <= place < size:
        return False
    last = size - 1
    for sibling in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            node = pair(sibling, node)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            node = pair(node, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and node == root


MOST_UNPACKED = 64 * 1024**3
"""Bytes that a ZIP may have unpacked; an export stores its files as they are, so it has no more than the ZIP itself."""


@contextmanager
def opened(place: Path) -> Iterator[tuple[Path, list[str]]]:
    """Give the directory of an archive, a ZIP's unpacked for so long, and what is wrong with the ZIP itself.

    A ZIP of ours holds its files one after another, stored as they are, and nothing beside them. Raises Unverifiable.
    """
    if not place.is_file():
        yield place, []
        return
    try:
        with tempfile.TemporaryDirectory() as temporary, zipfile.ZipFile(place) as zipped:
            wrong = _wrong_with(zipped, place.stat().st_size)
            if not wrong:
                zipped.extractall(temporary)
            yield Path(temporary), wrong
    except zipfile.BadZipFile as error:
        raise Unverifiable(f"{place} is no directory and no ZIP, or a broken one") from error


def _wrong_with(zipped: zipfile.ZipFile, size: int) -> list[str]:
    """Return the names with which a ZIP is not one of ours; without one it can be unpacked safely."""
    members = sorted(zipped.infolist(), key=lambda member: member.header_offset)
    names = [member.filename for member in members]
    wrong = [name for name, count in Counter(names).items() if count > 1]
    wrong += [
        name
        for name in names
        if name.startswith("/") or "\\" in name or not {"", ".", ".."}.isdisjoint(name.split("/"))
    ]
    place = 0
    for member in members:
        # Beyond two gigabytes the directory says in twelve bytes more where a file begins.
        extra = 12 if member.header_offset > zipfile.ZIP64_LIMIT else 0
        stored = member.compress_type == zipfile.ZIP_STORED and len(member.extra) == extra and not member.comment
        if not stored or member.header_offset != place or member.file_size != member.compress_size:
            wrong.append(member.filename)
        place = member.header_offset + 30 + len(member.filename.encode()) + member.compress_size
    # Behind the files comes the directory, 46 bytes and its name for each, and what says where it begins.
    directory = sum(46 + len(name.encode()) for name in names)
    large = sum(12 for member in members if member.header_offset > zipfile.ZIP64_LIMIT)
    if zipped.comment or zipped.start_dir != place or size - place - directory - large not in (22, 22 + 76):
        wrong.append("the directory")
    return wrong if place <= MOST_UNPACKED else [*wrong, "its size"]


def _verify_beside(folder: Path, logs: list[Path], covered: Mapping[str, str], report: Report) -> None:
    """Judge the files outside the logs: rule sets by the hash in their name, others by what a first entry says."""
    for path in sorted(path for path in folder.rglob("*") if not path.is_dir()):
        if any(log in path.parents for log in logs):
            continue
        name = path.relative_to(folder).as_posix()
        digest = sha256(path.read_bytes()).hexdigest()
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
    if report.caps:
        caps = ", ".join(f"{name} {count}" for name, count in sorted(report.caps.items()))
        lines.append(f"{'重新计数的次数上限' if zh else 'caps counted anew, with the contacts held to them'}: {caps}")
    for code, where_log, where in report.faults:
        lines.append(f"{'错误' if zh else 'FAULT'} {code} [{where_log} {where}] {TEXTS[code][place]}")
    for code, where_log, where in report.notices:
        lines.append(f"{'须知' if zh else 'note'} {code} [{where_log} {where}] {NOTICES[code][place]}")
    if report.faults:
        lines.append(f"不通过:{len(report.faults)} 处错误" if zh else f"DOES NOT HOLD: {len(report.faults)} faults")
    else:
        lines.append("通过:以上各项全部成立" if zh else "HOLDS: everything above was verified")
    return "\n".join(lines)


def _certificate_in(path: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(Path(path).read_bytes())
    except ValueError as error:
        raise Unverifiable(f"{path} is no certificate in PEM") from error


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(description="Verify a downloaded audit archive offline.")
    parser.add_argument("place", type=Path, metavar="PLACE", help="directory of an archive, or an export as downloaded")
    parser.add_argument("--key", action="append", required=True, metavar="FILE", help="PEM or verifier key line")
    parser.add_argument("--earlier", action="append", default=[], type=Path, metavar="CHECKPOINT")
    parser.add_argument("--approval-key", metavar="FILE", help="root key of approvals (PEM)")
    parser.add_argument("--tsa-ca", metavar="FILE", help="certificate of the authority of time stamps (PEM)")
    parser.add_argument("--policy", metavar="FILE", help="witnesses and their quorum (tlog-policy)")
    parser.add_argument("--level", choices=("full", "log", "tree"), default="full", help="see above")
    parser.add_argument("--heartbeat-hours", type=float, default=2.0, metavar="H")
    parser.add_argument("--late-hours", type=float, default=24.0, metavar="H", help="how late an event may be entered")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--language", choices=("zh", "en"), default="en")
    asked = parser.parse_args(argv)
    # Millions of objects and no circles among them: looking for some would take a third of the time.
    gc.disable()
    try:
        told = Asked(
            keys=[Key(path) for path in asked.key],
            earlier=[path.read_bytes() for path in asked.earlier],
            approval_key=Key(asked.approval_key) if asked.approval_key else None,
            authority=_certificate_in(asked.tsa_ca) if asked.tsa_ca else None,
            policy=Policy(asked.policy) if asked.policy else None,
            heartbeat=timedelta(hours=asked.heartbeat_hours),
            late=timedelta(hours=asked.late_hours),
            full=asked.level == "full",
            links=asked.level != "tree",
        )
        report = verify_at(asked.place, told)
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
