"""Builds archives as files, from stories that are told event by event; a test names only what deviates."""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from chalicelib.domain.audit import merkle, tiles
from chalicelib.domain.audit.notes import Checkpoint, Note, NoteKey, Signature, SignatureType
from chalicelib.domain.audit.record import record_bytes
from chalicelib.domain.audit.rulesets import digest_of
from chalicelib.domain.events import Actor, Event, EventType
from chalicelib.domain.instants import from_text, to_text
from chalicelib.domain.outreach.approval import ApprovalSigner

TENANT, YEAR = "auto-fin", "2026"
ORIGIN = f"audit.forbear.test/{TENANT}/{YEAR}"
START = datetime(2026, 11, 23, 0, 0, tzinfo=UTC)
ACTOR = Actor("system", "tests", "none")
ED25519 = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
P256 = ec.derive_private_key(123456789, ec.SECP256R1())
APPROVAL_ROOT = ec.derive_private_key(987654321, ec.SECP256R1())


def a_cap(ident: str, params: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Return a rule of shape ``count`` as a compiled pack holds it."""
    return {"id": ident, "shape": "count", "status": "enforced", "params": dict(params), "when": {}, **more}


PACK = json.dumps(
    {
        "id": "CN",
        "zone": "Asia/Shanghai",
        "rules": [
            a_cap(
                "SMS-2",
                {"by": "lender", "cap": 2, "channels": ["sms"], "days": 1},
                when={"channel": ["sms"]},
            ),
            a_cap(
                "TALK-1",
                {"by": "lender", "cap": 1, "channels": ["call"], "days": 1, "unit": "answered"},
                when={"channel": ["call"], "to": ["debtor"]},
            ),
            a_cap(
                "NUMBER-2",
                {"by": "lender", "cap": 2, "channels": ["call"], "days": 1, "same_point": True, "who": "anybody"},
                when={"channel": ["call"]},
            ),
            a_cap("REGION", {"cap": 1, "days": 7}, when={"region": ["US-XX"]}),
            {"id": "HOURS", "shape": "hours", "status": "enforced", "params": {}},
        ],
    }
).encode()
ATLAS = b'{"atlas":1}'
RULE_SET = {
    "atlas": hashlib.sha256(ATLAS).hexdigest(),
    "engine": 1,
    "packs": [["CN", "1", hashlib.sha256(PACK).hexdigest()]],
    "zone_data": "2026f",
}


def spki(key: Any) -> bytes:
    """Return the public half in DER."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return bytes(key.public_key().public_bytes(serialization.Encoding.DER, form))


def pem(key: Any) -> bytes:
    """Return the public half in PEM."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return bytes(key.public_key().public_bytes(serialization.Encoding.PEM, form))


def signature_of(key: Any, text: str, origin: str) -> Signature:
    """Return a signature line by a local key."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        named = NoteKey(origin, SignatureType.ED25519, spki(key))
        return Signature(origin, named.id, key.sign(text.encode()))
    named = NoteKey(origin, SignatureType.ECDSA_P256, spki(key))
    return Signature(origin, named.id, key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))


def signed_checkpoint(origin: str, size: int, root: bytes, keys: Iterable[Any] = (ED25519, P256)) -> bytes:
    """Return a published note."""
    text = Checkpoint(origin, size, root).text()
    return Note(text, tuple(signature_of(key, text, origin) for key in keys)).as_bytes()


TEXT, TEXT_DIGEST = "cn-sms-demand@1", "5e" * 32
"""The text that messages of a made-up archive are from, and its digest."""


@dataclass
class Log:
    """A log that is written file by file; ``publish`` signs what it holds so far."""

    folder: Path
    origin: str = ORIGIN
    keys: tuple[Any, ...] = (ED25519, P256)
    leaves: list[bytes] = field(default_factory=list)
    entries: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin with an empty edge."""
        self.edge = tiles.Edge(0, [])
        self.written = 0

    @property
    def path(self) -> Path:
        """Return the log's own directory."""
        tenant, year = self.origin.split("/")[-2:]
        return self.folder / tenant / year

    def append(self, entry: bytes) -> None:
        """Append an entry as it is."""
        self.entries.append(entry)
        self.leaves.append(merkle.leaf_hash(entry))

    def add(self, event: bytes) -> None:
        """Append the record of an event's canonical bytes."""
        self.append(record_bytes(self.origin, len(self.entries), event))

    def write(self) -> None:
        """Write tiles and bundles for every entry so far."""
        for tile, raw in self.edge.append(self.leaves[self.written :]):
            self.put(tile.path, raw)
        for bundle in tiles.bundles_between(self.written, len(self.entries)):
            first = bundle.first_entry
            self.put(bundle.path, tiles.bundle(self.entries[first : first + bundle.width]))
        self.written = len(self.entries)

    def publish(self) -> bytes:
        """Write everything, sign it, and return the note."""
        self.write()
        note = signed_checkpoint(self.origin, self.written, self.edge.frontier().root(), self.keys)
        self.put(f"checkpoints/{self.written:012d}", note)
        self.put("checkpoint", note)
        return note

    def put(self, path: str, raw: bytes) -> None:
        """Write one file of the log."""
        (self.path / path).parent.mkdir(parents=True, exist_ok=True)
        (self.path / path).write_bytes(raw)


class Story:
    """What happened, event by event, in streams that are dense and linked."""

    def __init__(self, tenant: str = TENANT) -> None:
        """Begin with nothing; approvals are signed under the test's own root."""
        self.tenant = tenant
        self.events: list[Event] = []
        self._heads: dict[str, tuple[int, str | None]] = {}
        self._signer = ApprovalSigner(
            lambda message: APPROVAL_ROOT.sign(message, ec.ECDSA(hashes.SHA256())), root_key_id="root"
        )

    def emit(self, stream: str, event_type: EventType, data: Mapping[str, Any], at: datetime, **more: Any) -> Event:
        """Append an event to a stream."""
        seq, prev = self._heads.get(stream, (0, None))
        event = Event(
            id=f"evt_{stream}_{seq + 1:06d}",
            type=event_type,
            at=to_text(at),
            tenant=self.tenant,
            stream=stream,
            seq=seq + 1,
            prev=prev,
            actor=ACTOR,
            req="req_1",
            data=data,
            **more,
        )
        self._heads[stream] = (event.seq, event.digest())
        self.events.append(event)
        return event

    def contact(
        self,
        number: int,
        at: datetime,
        *,
        case: str = "case_1",
        person: str = "per_1",
        channel: str = "sms",
        country: str = "CN",
        zones: tuple[str, ...] = ("Asia/Shanghai",),
        purpose: str = "demand",
        human: bool = False,
        reply_to: str | None = None,
        role: str | None = "debtor",
        rule_set: Mapping[str, Any] = RULE_SET,
        outcome: str = "allow",
        recipient: str = "0" * 32,
        content: str | None = None,
        approval: Mapping[str, Any] | None = None,
        decided: Mapping[str, Any] | None = None,
        claimed: Mapping[str, Any] | None = None,
        sent: Mapping[str, Any] | None = None,
        reported: Mapping[str, Any] | None = None,
        claim_at: datetime | None = None,
        steps: tuple[str, ...] = ("requested", "decided", "claimed", "sent"),
    ) -> str:
        """Tell one attempt from wish to carrier (a message) or report (a call or visit), and return its id.

        ``approval``, ``decided``, ``claimed``, ``sent`` and ``reported`` replace members of what those carry.
        """
        contact = f"msg_{number}"
        content = None if human else content or hashlib.sha256(contact.encode()).hexdigest()
        common: dict[str, Any] = {
            "contact": contact,
            "channel": channel,
            "person": person,
            "org": "agency-a",
            "collector": None,
        }
        common |= {"purpose": purpose, "human": human}
        sealed = hashlib.sha256(f"sealed {number}".encode()).digest()
        inputs = hashlib.sha256(sealed).hexdigest()
        ruleset = digest_of(rule_set)
        window = to_text(at), to_text(at + timedelta(minutes=15))
        wish = {
            "id": f"apr_{number}",
            "tenant": self.tenant,
            "case": case,
            "contact": contact,
            "person": person,
            "channel": channel,
            "purpose": purpose,
            "recipient": recipient,
            "content": content,
            "template": None if human else TEXT,
            "template_sha256": None if human else TEXT_DIGEST,
            "ruleset": ruleset,
            "inputs": inputs,
            "not_before": window[0],
            "not_after": window[1],
        }
        signed = self._signer.sign(wish, now=at) | dict(approval or {})
        for step in steps:
            when = claim_at or at + timedelta(seconds=20)
            if step == "requested":
                data: dict[str, Any] = {
                    **common,
                    "content": content,
                    "template": TEXT,
                    "reply_to": reply_to,
                    "agency": "agency-a",
                }
                self.emit(case, EventType.CONTACT_REQUESTED, data, at - timedelta(seconds=5))
            elif step == "decided":
                ruled = {**common, "content": content, "recipient": recipient, "country": country, "zones": list(zones)}
                ruled |= {name: wish[name] for name in ("template", "template_sha256")}
                ruled |= {"not_before": window[0], "not_after": window[1], "due": None, "approval": signed}
                ruled |= {"agency": "agency-a", "rule_set": rule_set, "role": role}
                if outcome != "allow":
                    ruled |= {"not_before": None, "not_after": None, "approval": None}
                decision = {"outcome": outcome, "ruleset": ruleset, "reasons": [], "inputs": inputs}
                text = base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()
                more = {"decision": decision, "key": person, "sealed": text}
                self.emit(case, EventType.CONTACT_DECIDED, ruled | dict(decided or {}), at, **more)
            elif step == "claimed":
                data = {**common, "approval": signed["id"], "content": content} | dict(claimed or {})
                self.emit(case, EventType.CONTACT_CLAIMED, data, when)
            elif step == "sent":
                data = {**common, "approval": signed["id"], "content": content, "recipient": recipient}
                data |= {"provider": "sns", "provider_id": f"sns-{number}", "agency": "agency-a"} | dict(sent or {})
                self.emit(case, EventType.CONTACT_SENT, data, when + timedelta(seconds=1))
            else:
                data = {**common, "approval": signed["id"], "outcome": "no_answer", "result": "RNA"}
                data |= {"attempted_at": to_text(when), "connected": False, "right_party": False}
                self.emit(case, EventType.CONTACT_REPORTED, data | dict(reported or {}), when + timedelta(minutes=1))
        return contact

    def stop(self, at: datetime, *, person: str = "per_1", medium: str = "sms", scope: str = "medium") -> None:
        """Let the person opt out of a medium."""
        data = {"person": person, "medium": medium, "event": "stop_medium", "scope": scope}
        self.emit(person, EventType.CONSENT_CHANGED, data, at)

    def hold(self, at: datetime, *, person: str = "per_1", case: str = "case_1") -> None:
        """Put a hold on the person."""
        data = {"hold": "hold_1", "kind": "dispute", "person": person, "case": case, "agency": "agency-a"}
        self.emit(case, EventType.HOLD_PLACED, data, at)


def with_heartbeats(
    events: Iterable[Event], *, tenant: str = TENANT, year: str = YEAR, genesis: Mapping[str, Any] | None = None
) -> list[Event]:
    """Return the events by time, with the log's own first entry and its hourly heartbeats among them."""
    told = sorted(events, key=lambda event: (event.at, event.stream, event.seq))
    # Events of one stream stay in its order, whatever their times say.
    places: dict[str, list[Event]] = {}
    for event in sorted(told, key=lambda event: event.seq):
        places.setdefault(event.stream, []).append(event)
    told = [places[event.stream].pop(0) for event in told]
    log = Story(tenant)
    found: list[Event] = []
    beat = from_text(told[0].at) - timedelta(minutes=1) if told else START
    found.append(log.emit(f"log_{year}", EventType.LOG_GENESIS, genesis or {"previous": None, "files": {}}, beat))
    for event in told:
        while from_text(event.at) >= beat + timedelta(hours=1):
            beat += timedelta(hours=1)
            found.append(log.emit(f"log_{year}", EventType.LOG_HEARTBEAT, {"pending": 0}, beat))
        found.append(event)
    return found


def write_rules(folder: Path, *documents: bytes) -> None:
    """Write the documents of rule sets into an archive, each under its digest."""
    (folder / "rules").mkdir(parents=True, exist_ok=True)
    for raw in documents or (PACK, ATLAS):
        (folder / f"rules/{hashlib.sha256(raw).hexdigest()}.json").write_bytes(raw)


def write_archive(folder: Path, events: Iterable[Event], *, origin: str = ORIGIN, notes: Iterable[int] = ()) -> Log:
    """Write an archive of the events, with published notes at the given sizes and at the end."""
    log = Log(folder, origin)
    wanted = set(notes)
    for event in events:
        log.add(event.canonical())
        if len(log.entries) in wanted:
            log.publish()
    log.publish()
    return log
