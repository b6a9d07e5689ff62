"""Archives that are made up, as the files that the system would write, for measurements and campaigns."""

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from chalicelib.domain.audit import merkle, tiles
from chalicelib.domain.audit.notes import Checkpoint, Note, NoteKey, Signature, SignatureType
from chalicelib.domain.instants import to_text
from chalicelib.domain.outreach.approval import ApprovalSigner

TENANT, YEAR = "made-up", "2026"
ORIGIN = f"audit.forbear.test/{TENANT}/{YEAR}"
START = datetime(2026, 11, 23, tzinfo=UTC)
BEAT_EVERY = timedelta(hours=1)
PACE = timedelta(milliseconds=400)
"""Time between one contact and the next."""

_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True)

_CAP = {"by": "lender", "cap": 2, "channels": ["sms"], "days": 1}
_PACK = {
    "id": "CN",
    "zone": "Asia/Shanghai",
    "rules": [
        {"id": "MADE-SMS-DAY", "shape": "count", "status": "enforced", "params": _CAP, "when": {"channel": ["sms"]}}
    ],
}
RULE_DOCUMENTS = (_JSON.encode(_PACK).encode(), b'{"countries":{},"regions":{}}')
"""The pack and the atlas that all made-up rulings rest on."""

RULE_SET = {
    "atlas": hashlib.sha256(RULE_DOCUMENTS[1]).hexdigest(),
    "engine": 1,
    "packs": [["CN", "1", hashlib.sha256(RULE_DOCUMENTS[0]).hexdigest()]],
    "zone_data": "2026f",
}
_RULE_SET_DIGEST = hashlib.sha256(_JSON.encode(RULE_SET).encode()).hexdigest()


class Streams:
    """The events of a made-up year, as the canonical bytes that the system would write."""

    def __init__(self, approval_root: ec.EllipticCurvePrivateKey) -> None:
        """Start with no event in any stream; approvals are signed under this root."""
        self._heads: dict[str, tuple[int, str | None]] = {}

        def sign(message: bytes) -> bytes:
            return approval_root.sign(message, ec.ECDSA(hashes.SHA256()))

        self._signer = ApprovalSigner(sign, root_key_id="root")

    def event(self, stream: str, event_type: str, at: datetime, data: dict[str, Any], **more: Any) -> bytes:
        """Return the next event of a stream."""
        seq, prev = self._heads.get(stream, (0, None))
        actor = {"auth": "role", "id": "dispatch_messages", "kind": "system"}
        body = {
            "id": f"evt_{stream}_{seq + 1:06d}",
            "type": event_type,
            "at": to_text(at),
            "actor": actor,
            "req": "req_1",
        }
        raw = _JSON.encode(
            {**body, "case": stream, "case_seq": seq + 1, "case_prev": prev, "data": data, **more}
        ).encode()
        self._heads[stream] = (seq + 1, hashlib.sha256(raw).hexdigest())
        return raw

    def contact(self, number: int, at: datetime, person: str | None = None) -> Iterator[bytes]:
        """Return the four events of a message that was asked for, allowed, claimed and sent, to anybody or somebody."""
        case, person = f"case_{number % 200_000:024d}", person or f"per_{number % 150_000:024d}"
        content = hashlib.sha256(b"%d" % number).hexdigest()
        sealed = hashlib.shake_256(b"%d" % number).hexdigest(160)
        inputs = hashlib.sha256(_unpadded(sealed)).hexdigest()
        common: dict[str, Any] = {
            "contact": f"msg_{number:024d}",
            "channel": "sms",
            "person": person,
            "org": "agency-a",
            "collector": None,
        }
        common |= {"purpose": "demand", "human": False, "agency": "agency-a"}
        window = {"not_before": to_text(at), "not_after": to_text(at + timedelta(minutes=15))}
        recipient, ruleset = content[:32], _RULE_SET_DIGEST
        wish: dict[str, Any] = {name: common[name] for name in ("contact", "person", "channel", "purpose")}
        wish |= {
            "id": f"apr_{number:024d}",
            "tenant": TENANT,
            "case": case,
            "recipient": recipient,
            "content": content,
        }
        text = {"template": "cn-sms-demand@1", "template_sha256": hashlib.sha256(b"text").hexdigest()}
        approval = self._signer.sign({**wish, **text, "ruleset": ruleset, "inputs": inputs, **window}, now=at)
        asked: dict[str, Any] = {**common, "content": content, "template": "cn-sms-demand@1", "reply_to": None}
        yield self.event(case, "contact.requested", at - timedelta(seconds=2), asked)
        ruled: dict[str, Any] = {
            **common,
            **window,
            "content": content,
            "recipient": recipient,
            "country": "CN",
            "due": None,
        }
        ruled |= {"role": "debtor", "zones": ["Asia/Shanghai"], "approval": approval, "rule_set": RULE_SET, **text}
        decision = {"outcome": "allow", "ruleset": ruleset, "reasons": [], "inputs": inputs}
        yield self.event(case, "contact.decided", at, ruled, decision=decision, key=person, sealed=sealed)
        used: dict[str, Any] = {**common, "approval": wish["id"], "content": content}
        yield self.event(case, "contact.claimed", at + timedelta(seconds=1), used)
        told: dict[str, Any] = {"provider": "sns", "provider_id": f"sns-{number}", "recipient": recipient}
        yield self.event(case, "contact.sent", at + timedelta(seconds=2), used | told)

    def all(self) -> Iterator[bytes]:
        """Return the events of the log without end."""
        yield self.event("log_2026", "log.genesis", START, {"previous": None, "files": {}})
        beat, number = START, 0
        while True:
            at = START + PACE * number
            while at - timedelta(seconds=2) >= beat + BEAT_EVERY:
                beat += BEAT_EVERY
                yield self.event("log_2026", "log.heartbeat", beat, {"pending": 0})
            yield from self.contact(number, at)
            number += 1


def _unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def record(seq: int, event: bytes, origin: str = ORIGIN) -> bytes:
    """Return the entry of an event."""
    return b'{"event":%b,"log":"%b","seq":%d,"v":1}' % (event, origin.encode(), seq)


class MadeLog:
    """A log that is written as files below a directory; it keeps no entries, so it may be of any length."""

    def __init__(self, folder: Path, keys: Iterable[Any], origin: str = ORIGIN) -> None:
        """Take the archive's directory and the private keys that sign."""
        self.folder, self.origin, self._keys = folder, origin, tuple(keys)
        self.path = folder.joinpath(*origin.split("/")[-2:])
        self.size = self.bytes = 0
        self._edge = tiles.Edge(0, [])
        self._loose: list[bytes] = []

    def append(self, entries: list[bytes]) -> None:
        """Append entries and write the tiles and bundles that are due."""
        before, self.size = self.size, self.size + len(entries)
        for tile, raw in self._edge.append([merkle.leaf_hash(entry) for entry in entries]):
            self.put(tile.path, raw)
        kept, base = [*self._loose, *entries], before - len(self._loose)
        for each in tiles.bundles_between(before, self.size):
            start = each.first_entry - base
            self.put(each.path, tiles.bundle(kept[start : start + each.width]))
        self._loose = kept[len(kept) - self.size % tiles.TILE_WIDTH :] if self.size % tiles.TILE_WIDTH else []

    def write_rules(self) -> None:
        """Write the documents that the rulings rest on beside the log."""
        (self.folder / "rules").mkdir(exist_ok=True)
        for raw in (*RULE_DOCUMENTS, _JSON.encode(RULE_SET).encode()):
            (self.folder / f"rules/{hashlib.sha256(raw).hexdigest()}.json").write_bytes(raw)

    def publish(self) -> bytes:
        """Sign what there is so far and return the note."""
        note = signed(self._keys, self.origin, self.size, self._edge.frontier().root())
        self.put(f"checkpoints/{self.size:012d}", note)
        self.put("checkpoint", note)
        return note

    def put(self, path: str, raw: bytes) -> None:
        """Write one file of the log."""
        (self.path / path).parent.mkdir(parents=True, exist_ok=True)
        (self.path / path).write_bytes(raw)
        self.bytes += len(raw)


def signed(keys: Iterable[Any], origin: str, size: int, root: bytes) -> bytes:
    """Return a note over this size and root, with a line by each private key."""
    text = Checkpoint(origin, size, root).text()
    lines = []
    for key in keys:
        spki = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        is_edwards = isinstance(key, ed25519.Ed25519PrivateKey)
        named = NoteKey(origin, SignatureType.ED25519 if is_edwards else SignatureType.ECDSA_P256, spki)
        message = text.encode()
        signature = key.sign(message) if is_edwards else key.sign(message, ec.ECDSA(hashes.SHA256()))
        lines.append(Signature(origin, named.id, signature))
    return Note(text, tuple(lines)).as_bytes()


def pem(key: Any) -> bytes:
    """Return the public half of a private key in PEM."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return bytes(key.public_key().public_bytes(serialization.Encoding.PEM, form))
