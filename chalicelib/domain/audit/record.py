"""The record: one entry of the log, as the only bytes that it can have.

``{"event":{...},"log":origin,"seq":n,"v":1}`` under RFC 8785 (JCS), with a narrower profile: no floats, integers within
+-(2**53-1), member names of printable ASCII, and at most 65,535 bytes. Because the form is the only one, an entry whose
bytes differ from those that its own content makes is refused.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import rfc8785

from chalicelib.domain.audit.tiles import MOST_ENTRY_BYTES

VERSION = 1
ENVELOPE = 512
"""Room that an event must leave in an entry for origin and number, in bytes."""

MOST_EVENT_BYTES = MOST_ENTRY_BYTES - ENVELOPE
_MOST_INTEGER = 2**53 - 1


class BadRecord(ValueError):
    """The bytes are not a record in its one valid form; the text says why and quotes nothing."""


@dataclass(frozen=True, slots=True)
class Record:
    """One entry: the log's origin, the dense number from 0, and the event object."""

    log: str
    seq: int
    event: Mapping[str, Any]


def record_bytes(log: str, seq: int, event: bytes) -> bytes:
    """Return the entry of an event whose canonical bytes are given. Raises BadRecord when it is too long.

    The four members stand in their canonical order, and canonical bytes nest, so nothing is serialised anew.
    """
    entry = b'{"event":%b,"log":%b,"seq":%d,"v":%d}' % (event, rfc8785.dumps(log), seq, VERSION)
    if len(entry) > MOST_ENTRY_BYTES:
        raise BadRecord(f"the entry has {len(entry)} bytes, {MOST_ENTRY_BYTES} is the limit")
    return entry


def parse_record(entry: bytes) -> Record:
    """Return the record of an entry. Raises BadRecord unless the bytes are its one valid form."""
    found = canonical_value(entry)
    if not isinstance(found, dict) or set(found) != {"event", "log", "seq", "v"}:
        raise BadRecord("a record has the members event, log, seq and v")
    if found["v"] != VERSION or type(found["seq"]) is not int or found["seq"] < 0:
        raise BadRecord("the record has another version, or no number")
    if not isinstance(found["log"], str) or not isinstance(found["event"], dict):
        raise BadRecord("the record has no origin or no event")
    return Record(found["log"], found["seq"], found["event"])


def canonical_value(raw: bytes) -> Any:
    """Return the JSON value of canonical bytes. Raises BadRecord when they are not what the value itself makes."""
    if len(raw) > MOST_ENTRY_BYTES:
        raise BadRecord("the bytes are too long")
    try:
        value = json.loads(raw.decode(), parse_float=_refuse, parse_constant=_refuse, object_pairs_hook=_members)
        for each in _integers(value):
            if abs(each) > _MOST_INTEGER:
                raise BadRecord("an integer is beyond 2**53-1")
        again = rfc8785.dumps(value)
    except BadRecord:
        raise
    except (ValueError, RecursionError) as error:
        raise BadRecord("the bytes are no JSON of this profile") from error
    if again != raw:
        raise BadRecord("the bytes are not in canonical form")
    return value


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise BadRecord("a member stands twice")
    if not all(name.isascii() and name.isprintable() for name in members):
        raise BadRecord("a member's name is not printable ASCII")
    return members


def _refuse(text: str) -> Any:
    raise BadRecord("no floats in a record")


def _integers(value: Any) -> Iterator[int]:
    if isinstance(value, dict):
        for member in value.values():
            yield from _integers(member)
    elif isinstance(value, list):
        for member in value:
            yield from _integers(member)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield value
