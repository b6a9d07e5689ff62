"""Signed notes, checkpoints and verifier keys: the published forms, their known answers, and strictness."""

import base64

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.audit import notes
from chalicelib.domain.audit.notes import Checkpoint, Malformed, Note, NoteKey, Signature, SignatureType, Unsigned

ORIGIN = "audit.forbear.test/auto-fin/2026"
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"


def der(key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(encoding, form)


ED25519 = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
P256 = ec.derive_private_key(123456789, ec.SECP256R1())
ED_KEY = NoteKey(ORIGIN, SignatureType.ED25519, der(ED25519))
P256_KEY = NoteKey(ORIGIN, SignatureType.ECDSA_P256, der(P256))
CHECKPOINT = Checkpoint(ORIGIN, 300, bytes(range(32)))


def signed(text: str) -> Note:
    message = text.encode()
    return Note(
        text,
        (
            Signature(ORIGIN, ED_KEY.id, ED25519.sign(message)),
            Signature(ORIGIN, P256_KEY.id, P256.sign(message, ec.ECDSA(hashes.SHA256()))),
        ),
    )


SIGNED = signed(CHECKPOINT.text()).as_bytes()


def test_the_example_of_the_note_format_verifies() -> None:
    raw = (
        "If you think cryptography is the answer to your problem,\n"
        "then you don't know what your problem is.\n\n"
        "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
    ).encode()
    note = notes.parse_note(raw)
    assert note.as_bytes() == raw
    assert [key.name for key in notes.verified(note, [notes.key_from_vkey(PETER)])] == ["PeterNeumann"]


def test_a_verifier_key_is_read_and_written_alike() -> None:
    for key in (ED_KEY, P256_KEY):
        assert notes.key_from_vkey(key.vkey) == key
    assert notes.key_from_vkey(PETER).vkey == PETER
    assert base64.b64decode(P256_KEY.vkey.split("+", 2)[2]) == b"\x02" + P256_KEY.spki


def test_a_checkpoint_is_three_lines() -> None:
    assert CHECKPOINT.text() == f"{ORIGIN}\n300\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
    assert notes.parse_checkpoint(CHECKPOINT.text()) == CHECKPOINT


def test_both_signatures_hold_and_either_alone_suffices() -> None:
    note = notes.parse_note(signed(CHECKPOINT.text()).as_bytes())
    assert notes.verified(note, [ED_KEY, P256_KEY]) == (ED_KEY, P256_KEY)
    assert notes.verified(note, [P256_KEY]) == (P256_KEY,)


def test_a_line_by_an_unknown_key_is_ignored_and_alone_is_nothing() -> None:
    stranger = NoteKey(ORIGIN, SignatureType.ED25519, der(ed25519.Ed25519PrivateKey.generate()))
    note = signed(CHECKPOINT.text())
    assert notes.verified(note, [stranger, ED_KEY]) == (ED_KEY,)
    with pytest.raises(Unsigned, match="no known key"):
        notes.verified(note, [stranger])


def test_one_bad_line_by_a_known_key_spoils_the_note() -> None:
    good = signed(CHECKPOINT.text())
    bad = Signature(ORIGIN, P256_KEY.id, good.signatures[0].signature)
    with pytest.raises(Unsigned, match="does not hold"):
        notes.verified(Note(good.text, (good.signatures[0], bad)), [ED_KEY, P256_KEY])


def test_a_key_under_another_name_is_another_key() -> None:
    other = NoteKey("audit.forbear.test/other/2026", SignatureType.ED25519, ED_KEY.spki)
    assert other.id != ED_KEY.id
    with pytest.raises(Unsigned):
        notes.verified(signed(CHECKPOINT.text()), [other])


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_a_flipped_bit_anywhere_in_a_note_is_noticed(data: st.DataObject) -> None:
    raw = bytearray(SIGNED)
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= 1 << data.draw(st.integers(0, 7))
    # Every line must be whole, the one by a key that one does not hold too: only both keys see both lines.
    try:
        note = notes.parse_note(bytes(raw))
        held = notes.verified(note, [ED_KEY, P256_KEY])
        intact = notes.parse_checkpoint(note.text) == CHECKPOINT and held == (ED_KEY, P256_KEY)
    except (Malformed, Unsigned):
        intact = False
    assert not intact


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"text\n",
        b"text\n\n",
        b"text\n\nno dash\n",
        "text\n\n\u2014 name\n".encode(),
        "text\n\n\u2014 name AAAA\n".encode(),
        "text\n\n\u2014 name !!!!AAAAAAAA\n".encode(),
        "text\n\n\u2014 name AAAAAAB=\n".encode(),
        "text\n\n\u2014 name AAAAAAAAAA==".encode(),
        "te\x00xt\n\n\u2014 name AAAAAAAAAA==\n".encode(),
        b"\xff\n\n",
        b"x" * 70_000,
    ],
)
def test_a_note_in_any_other_form_is_refused(raw: bytes) -> None:
    with pytest.raises(Malformed):
        notes.parse_note(raw)


@pytest.mark.parametrize(
    "text",
    [
        "o\n1\n",
        "o\n01\n" + "A" * 43 + "=\n",
        "o\n-1\n" + "A" * 43 + "=\n",
        "o\n1\nAAAA\n",
        "o\n1\n" + "A" * 43 + "=\nextension\n",
        "\n1\n" + "A" * 43 + "=\n",
        "o\n99999999999999999999\n" + "A" * 43 + "=\n",
        "o\n\u0661\n" + "A" * 43 + "=\n",
    ],
)
def test_a_checkpoint_in_any_other_form_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        notes.parse_checkpoint(text)


@pytest.mark.parametrize(
    "vkey", ["name", "name+00000000+" + base64.b64encode(b"\x01" + bytes(32)).decode(), "n+0+Bw=="]
)
def test_a_verifier_key_whose_id_or_type_is_wrong_is_refused(vkey: str) -> None:
    with pytest.raises(Malformed):
        notes.key_from_vkey(vkey)


def test_a_key_of_another_kind_or_curve_is_refused() -> None:
    p384 = ec.generate_private_key(ec.SECP384R1()).public_key()
    spki = p384.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(Malformed, match="on P-256"):
        NoteKey(ORIGIN, SignatureType.ECDSA_P256, spki)
    with pytest.raises(Malformed, match="another type"):
        NoteKey(ORIGIN, SignatureType.ED25519, P256_KEY.spki)
    with pytest.raises(Malformed, match="no spaces"):
        NoteKey("two words", SignatureType.ED25519, ED_KEY.spki)
    with pytest.raises(Malformed, match="in DER"):
        notes.type_of(b"nothing")
