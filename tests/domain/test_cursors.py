"""Cursors open only for the caller, list and filter they were sealed for, and only until they expire."""

import base64
import json

import pytest

from chalicelib.domain.cursors import cursor_key, filter_hash, open_cursor, seal_cursor

KEY = cursor_key(b"k" * 32)
FILTERS = filter_hash({"state": "in_work"})
LAST = {"pk": "A#agency-1", "sk": "CASE#0042"}


def seal(**deviations):
    return seal_cursor(
        **{"key": KEY, "last": LAST, "scope": "agency-1", "filters": FILTERS, "expires_at": 1_000, **deviations}
    )


def opened(cursor, **deviations):
    return open_cursor(
        **{"key": KEY, "cursor": cursor, "scope": "agency-1", "filters": FILTERS, "now": 999, **deviations}
    )


def test_cursor_gives_back_its_last_key():
    position = opened(seal())
    assert position.last == LAST
    assert not position.is_expired


def test_cursor_expires_at_its_second_and_not_before():
    assert not opened(seal(), now=999).is_expired
    assert opened(seal(), now=1_000).is_expired


def test_cursor_of_another_scope_filter_or_key_does_not_open():
    assert opened(seal(), scope="agency-2") is None
    assert opened(seal(), filters=filter_hash({"state": "settled"})) is None
    assert opened(seal(), key=cursor_key(b"x" * 32)) is None
    # Moving a boundary between scope and filter gives another binding.
    assert opened(seal(scope="a", filters="bc"), scope="ab", filters="c") is None


def test_every_flipped_bit_is_noticed():
    raw = base64.urlsafe_b64decode(seal() + "==")
    for bit in range(len(raw) * 8):
        bent = bytearray(raw)
        bent[bit // 8] ^= 1 << bit % 8
        assert opened(base64.urlsafe_b64encode(bytes(bent)).rstrip(b"=").decode()) is None


def test_every_truncation_and_extension_is_noticed():
    cursor = seal()
    assert all(opened(cursor[:length]) is None for length in range(len(cursor)))
    assert all(opened(cursor + extra) is None for extra in ("A", "AA", "AAA", "AAAA", "=", "\n", "!"))


def test_only_one_spelling_of_a_cursor_is_taken():
    cursor = seal()
    assert opened(f" {cursor}") is None
    assert opened(f"{cursor[:5]}!{cursor[5:]}") is None
    assert opened(cursor + "=" * (-len(cursor) % 4 or 4)) is None


@pytest.mark.parametrize("text", ["", "=", "é", "A", "x" * 3_000, "AQ", "\x00", "null", json.dumps(LAST)])
def test_what_is_no_cursor_does_not_open(text):
    assert opened(text) is None


def test_nothing_of_the_key_can_be_read_from_a_cursor_and_no_two_are_alike():
    cursors = {seal() for _ in range(50)}
    assert len(cursors) == 50
    for cursor in cursors:
        raw = base64.urlsafe_b64decode(cursor + "==")
        assert b"agency" not in raw and b"CASE" not in raw


def test_filter_hash_does_not_depend_on_order_but_on_every_value():
    assert filter_hash({"a": 1, "b": 2}) == filter_hash({"b": 2, "a": 1})
    assert filter_hash({"a": 1}) != filter_hash({"a": 2}) != filter_hash({})


def test_last_key_too_large_to_come_back_is_a_fault_when_sealed():
    with pytest.raises(ValueError):
        seal(last={"pk": "x" * 2_000})
