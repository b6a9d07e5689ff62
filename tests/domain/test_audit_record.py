"""The record: one form only, and everything else is refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.audit import record
from chalicelib.domain.audit.record import BadRecord
from chalicelib.domain.events import Actor, Event, EventType

LOG = "audit.forbear.test/auto-fin/2026"
EVENT = Event(
    id="evt_1",
    type=EventType.CASE_PLACED,
    at="2026-11-23T02:00:00.000Z",
    tenant="auto-fin",
    stream="case_1",
    seq=1,
    prev=None,
    actor=Actor("system", "tests", "none"),
    req="req_1",
    data={"placed_minor": 100, "region": "沪"},
)


def test_a_record_is_the_canonical_form_of_its_four_members() -> None:
    entry = record.record_bytes(LOG, 7, EVENT.canonical())
    assert json.loads(entry) == {"v": 1, "log": LOG, "seq": 7, "event": EVENT.as_json()}
    assert record.parse_record(entry) == record.Record(LOG, 7, EVENT.as_json())


def test_an_entry_holds_exactly_65_535_bytes() -> None:
    room = 65_535 - len(record.record_bytes(LOG, 7, b'""')) + 2
    assert len(record.record_bytes(LOG, 7, b'"' + b"x" * (room - 2) + b'"')) == 65_535
    with pytest.raises(BadRecord, match="65535 is the limit"):
        record.record_bytes(LOG, 7, b'"' + b"x" * (room - 1) + b'"')


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b'{"a":1.0}', "floats"),
        (b'{"a":1e2}', "floats"),
        (b'{"a":NaN}', "floats"),
        (b'{"a":9007199254740992}', "2\\*\\*53"),
        (b'{"a":-9007199254740992}', "2\\*\\*53"),
        (b'{"a":1,"a":1}', "twice"),
        (b'{"b":1,"a":1}', "canonical"),
        (b'{"a": 1}', "canonical"),
        (b'{"a":-0}', "canonical"),
        (b'{"a":"\\u0041"}', "canonical"),
        (b'{"a":"\\/"}', "canonical"),
        (b'{"a":"\\ud800"}', "profile"),
        (b'{"a":"\xff"}', "profile"),
        (b'{"a":1}\n', "canonical"),
        ('{"é":1}'.encode(), "printable ASCII"),
        (b"[" * 5_000, "profile"),
        (b"x" * 70_000, "too long"),
    ],
)
def test_bytes_that_are_not_the_one_form_are_refused(raw: bytes, why: str) -> None:
    with pytest.raises(BadRecord, match=why):
        record.canonical_value(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"[]",
        b'{"event":{},"log":"l","seq":1}',
        b'{"event":{},"log":"l","seq":1,"v":2}',
        b'{"event":{},"log":"l","seq":-1,"v":1}',
        b'{"event":{},"log":"l","seq":true,"v":1}',
        b'{"event":[],"log":"l","seq":1,"v":1}',
        b'{"event":{},"log":1,"seq":1,"v":1}',
        b'{"event":{},"extra":1,"log":"l","seq":1,"v":1}',
    ],
)
def test_what_is_not_a_record_is_refused(raw: bytes) -> None:
    with pytest.raises(BadRecord):
        record.parse_record(raw)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(st.characters(codec="utf-8")),
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.text("abcXYZ_~ 0", max_size=5), inner, max_size=4)
        ),
        max_leaves=12,
    )
)
def test_every_value_of_the_profile_has_bytes_that_are_read_back(value: object) -> None:
    raw = record.record_bytes(LOG, 0, record.rfc8785.dumps({"value": value}))
    assert record.parse_record(raw).event == {"value": value}
