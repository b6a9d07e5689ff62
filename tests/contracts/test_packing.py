"""The form in which bodies and events lie in the table: small, whole, and readable for as long as they are kept."""

import hashlib
import json
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.store.packing import NotPacked, pack, unpack

BODY = {"id": "msg_1", "channel": "sms", "person": "per_1", "purpose": "demand", "human": False, "collector": "col-1"}


@given(st.binary(max_size=2_000))
def test_whatever_is_packed_comes_out_the_same(plain: bytes) -> None:
    assert unpack(pack(plain)) == plain


def test_the_words_of_the_first_form_never_change() -> None:
    # What was packed with other words cannot be read any more: a new dictionary is a new form.
    words = resources.files("chalicelib.store").joinpath("packing_words.txt").read_bytes()
    assert hashlib.sha256(words).hexdigest() == "b5000f1dd7fb4887e73ef742b33fc33990b30b0bc647ea61d25d5333d85a8371"
    assert words.isascii()
    assert unpack(bytes.fromhex("01c33c6a0b335801")) == b'{"channel":"sms","purpose":"demand"}'


def test_a_small_body_takes_less_than_half_of_its_bytes() -> None:
    plain = json.dumps(BODY, separators=(",", ":")).encode()
    assert len(pack(plain)) * 2 < len(plain)


@pytest.mark.parametrize(
    "damaged",
    [b"", b"\x02" + pack(b"{}")[1:], pack(b"{}" * 99)[:-2], pack(b"{}") + b"\x00", b"\x01\xff\xff"],
    ids=["nothing", "another form", "cut", "longer", "noise"],
)
def test_what_is_not_whole_is_refused(damaged: bytes) -> None:
    with pytest.raises(NotPacked):
        unpack(damaged)
