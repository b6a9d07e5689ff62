"""Witnesses: who must have seen a lender's log, set by the operator, and asking them for their lines after each note.

A witness that is silent stops nothing and is counted; one that refuses has seen another log under the same name, or says so.
Their addresses come from the operator's policy only, never from a request of a caller.
"""

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from chalicelib.domain import keys
from chalicelib.domain.audit import merkle
from chalicelib.domain.audit.log import LogName, WitnessUnavailable
from chalicelib.domain.audit.notes import parse_checkpoint, parse_note
from chalicelib.domain.audit.policy import Policy, Witness, WitnessAnswer, parse_policy
from chalicelib.domain.audit.tiles import TileReader
from chalicelib.domain.cases.organisations import WitnessPolicy
from chalicelib.domain.concurrency import retrying
from chalicelib.domain.errors import NotFound
from chalicelib.domain.events import Actor, EventType
from chalicelib.usecases.ports import Scope, Store

MOST_SILENT = 6
"""How many silences one run bears, at some seconds each; who was not asked then is asked first by a later one."""

_MOST_ROUNDS = 3
"""How often a witness is asked for one note: it may tell twice where it stands, when others ask it as well."""

_ACCEPTED, _CONFLICT, _TOO_MANY, _FAULTS = 200, 409, 429, 500
_SIZE_TYPE = "text/x.tlog.size"


Ask = Callable[[str, bytes], WitnessAnswer]
"""Takes a witness's submission prefix and a body for ``add-checkpoint``. Raises WitnessUnavailable."""


class Files(Protocol):
    """What is needed of the archive's bucket."""

    def read(self, path: str) -> bytes | None:
        """Return the object's bytes, or None."""
        ...

    def put_once(self, path: str, body: bytes, *, retain_until: datetime) -> bool:
        """Put an object where there is none."""
        ...


@dataclass
class Cosigned:
    """What asking came to for one note, by the witnesses' names in the policy."""

    size: int = 0
    signed: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    quorum: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "size": self.size,
            "signed": self.signed,
            "silent": self.silent,
            "refused": self.refused,
            "quorum": self.quorum,
        }


# Setting


def set_policy(store: Store, scope: Scope, text: str, *, actor: Actor, now: datetime, req: str) -> WitnessPolicy:
    """Make this the lender's policy from now on; the same text again changes nothing.

    Raises NotFound for a lender that is not registered, Malformed for a text that is no policy.
    """
    policy = parse_policy(text)

    def once() -> WitnessPolicy:
        if store.lender(scope) is None:
            raise NotFound("lender", scope.tenant)
        known = store.witness_policy(scope)
        if known is not None and known.text == text:
            return known
        fresh = WitnessPolicy(text=text, version=(known.version if known is not None else 0) + 1)
        unit = store.unit(scope, actor=actor, req=req, now=now)
        pk, sk = keys.tenant_pk(scope.tenant), keys.WITNESSES_SK
        unit.replace(store.plain_record(pk, sk, fresh, version=fresh.version), expected=fresh.version - 1)
        unit.emit(
            keys.org_pk(scope.tenant, scope.tenant),
            EventType.LENDER_WITNESSES_SET,
            {
                "lender": scope.tenant,
                "policy_sha256": hashlib.sha256(text.encode()).hexdigest(),
                "witnesses": [witness.vkey for witness in policy.witnesses],
                "quorum": policy.quorum,
                "version": fresh.version,
            },
        )
        unit.commit()
        return fresh

    return retrying(once)


def policy_of(store: Store, scope: Scope) -> Policy | None:
    """Return the lender's policy, or None when the operator set none."""
    known = store.witness_policy(scope)
    return None if known is None else parse_policy(known.text)


# Asking


def cosign(
    files: Files, ask: Ask, policy: Policy, log: LogName, *, before: int, now: datetime, retain_until: datetime
) -> Cosigned:
    """Have the log's newest note signed by every witness that has an address and has not signed it yet.

    ``before`` is the size at which the witnesses are believed to stand: that of the note before. Each line is verified before
    it is put under ``cosigs/<size>/<witness>``. A log without a note has nothing to sign.
    """
    note = files.read(f"{log.prefix}checkpoint")
    if note is None:
        return Cosigned()
    text = parse_note(note).text
    size = parse_checkpoint(text).size
    found = Cosigned(size)
    for witness in policy.witnesses:
        path = f"{log.prefix}cosigs/{size:012d}/{witness.name}"
        stored = files.read(path)
        if stored is not None:
            if _own_lines(witness, text, stored, now):
                found.signed.append(witness.name)
            continue
        if witness.url is None:
            continue
        try:
            lines = _asked(files, ask, witness.url, log, note, before=min(before, size), size=size)
        except WitnessUnavailable:
            found.silent.append(witness.name)
            continue
        own = _own_lines(witness, text, lines, now)
        if own:
            files.put_once(path, own, retain_until=retain_until)
            found.signed.append(witness.name)
        elif _newest_size(files, log) == size:
            found.refused.append(witness.name)
        # Else a rival run has shown it a later note meanwhile, which holds for this one as well.
    found.quorum = policy.satisfied(found.signed)
    return found


def _newest_size(files: Files, log: LogName) -> int:
    return parse_checkpoint(parse_note(files.read(f"{log.prefix}checkpoint") or b"").text).size


def _asked(files: Files, ask: Ask, url: str, log: LogName, note: bytes, *, before: int, size: int) -> bytes:
    """Return the lines that the witness answers with, none when it refuses. Raises WitnessUnavailable."""
    for _ in range(_MOST_ROUNDS):
        answer = ask(url, _request(files, log, note, before, size))
        if answer.status == _ACCEPTED:
            return answer.body
        if answer.status >= _FAULTS or answer.status == _TOO_MANY:
            raise WitnessUnavailable(f"status {answer.status}")
        stands = _size_in(answer)
        if stands is None or stands == before or stands > size:
            # A plain refusal, another root at the size where it stands, or a size that this log does not have.
            return b""
        before = stands
    return b""


def _size_in(answer: WitnessAnswer) -> int | None:
    text = answer.body[:21]
    digits = text[:-1]
    if answer.status != _CONFLICT or answer.media_type != _SIZE_TYPE or text[-1:] != b"\n" or not digits.isdigit():
        return None
    return int(digits)


def _request(files: Files, log: LogName, note: bytes, old: int, size: int) -> bytes:
    def fetch(tile: Any) -> bytes:
        raw = files.read(log.prefix + tile.path)
        if raw is None:
            raise LookupError(f"{log.prefix}{tile.path} is gone")
        return raw

    proof = merkle.consistency_proof(old, size, TileReader(size, fetch))
    lines = [f"old {old}", *(base64.b64encode(node).decode() for node in proof), ""]
    return ("\n".join(lines) + "\n").encode() + note


def _own_lines(witness: Witness, text: str, raw: bytes, now: datetime) -> bytes:
    """Return those lines of an answer that are this witness's signature of the text; what others signed is left out."""
    try:
        lines: Sequence[str] = raw.decode().splitlines()
    except UnicodeDecodeError:
        return b""
    return "".join(f"{line}\n" for line in lines if witness.cosigned(text, line, now=now)).encode()
