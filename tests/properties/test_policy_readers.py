"""The service and the offline verifier read a policy of witnesses alike: the same files are one, and the same signers are a quorum."""

import base64
import hashlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from chalicelib.domain.audit.notes import Malformed, NoteKey, SignatureType
from chalicelib.domain.audit.policy import MOST_POLICY_BYTES, parse_policy
from scripts import verify_archive
from tests import archives
from tests.archives import ORIGIN
from tests.witnesses import TextWitness

SEVERAL = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
NAMES = ("a", "b", "c", "both", "some")
KEYS = [TextWitness(f"{name}.example/w1").vkey for name in "abc"]
LOGS = [
    NoteKey(ORIGIN, SignatureType.ED25519, archives.spki(archives.ED25519)).vkey,
    NoteKey(ORIGIN, SignatureType.ECDSA_P256, archives.spki(archives.P256)).vkey,
]
WHOLE = "\n".join(
    [
        f"log {LOGS[0]}",
        f"log {LOGS[1]} https://log.example",
        *(f"witness {name} {key}" for name, key in zip("abc", KEYS, strict=True)),
        "group some any a b",
        "group both all some c",
        "quorum both",
    ]
)


def _named(kind: int, name: str, key: bytes) -> str:
    typed = bytes([kind]) + key
    identity = hashlib.sha256(name.encode() + b"\n" + typed).hexdigest()[:8]
    return f"{name}+{identity}+{base64.b64encode(typed).decode()}"


WORDS = [
    "log", "witness", "group", "quorum", "none", "all", "any", "0", "1", "2", "02", "9" * 5_000, "#", "# any", "a#b", "x" * 65,
    *NAMES, *KEYS, *LOGS, KEYS[0].upper(), KEYS[0][:-1], f"{KEYS[0]}=", LOGS[0].replace("+", "+0", 1), "https://w.example",
    _named(1, "b", bytes(32)), _named(4, "b", bytes(31)), _named(4, "b\u00a0c", bytes(32)), _named(4, "", bytes(32)),
    _named(1, "b\u2003", bytes(32)), _named(2, "b", b"no key"), f"{LOGS[0]}\u00a0", "\u00a0",
]  # fmt: skip
LINES = st.lists(st.sampled_from(WORDS), max_size=5).flatmap(
    lambda words: st.sampled_from([" ", "\t", "  ", "\u00a0"]).map(lambda between: between.join(words))
)


@st.composite
def changed(draw: st.DrawFn) -> str:
    """A good policy in which some lines were dropped, doubled, moved, replaced or cut, or other characters part them."""
    lines = WHOLE.split("\n")
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, max(0, len(lines) - 1)))
        lines[at : at + draw(st.integers(0, 1))] = draw(
            st.lists(st.one_of(LINES, st.sampled_from(lines or [""])), max_size=2)
        )
    text = draw(st.sampled_from(["\n", "\n", "\n", "\n", "\r\n", "\u2028", "\x0b", "\n\n"])).join(lines)
    at = draw(st.integers(0, len(text)))
    return text[:at] + draw(st.sampled_from(["", "", "", "#", " ", "\x00", "\x7f", "\ufeff", "\n"])) + text[at:]


def both(text: str, folder: Path) -> tuple[object, object]:
    """Return what the service and the verifier read, None for what is no policy."""
    (folder / "policy").write_bytes(text.encode())
    try:
        ours = parse_policy(text)
    except Malformed:
        ours = None
    try:
        theirs = verify_archive.Policy(str(folder / "policy"))
    except verify_archive.Unverifiable:
        theirs = None
    return ours, theirs


@SEVERAL
@given(changed(), st.lists(st.sampled_from("abc"), unique=True))
@example(WHOLE, ["a", "c"])
@example(WHOLE + "\n# " + "x" * MOST_POLICY_BYTES, [])
@example("group a all\nquorum a", [])
@example("quorum none", [])
def test_both_read_the_same_policies_and_find_the_same_quorum(tmp_path: Path, text: str, signed: list[str]) -> None:
    ours, theirs = both(text, tmp_path)
    event("a policy" if ours else "none")
    assert (ours is None) == (theirs is None)
    if ours is not None and theirs is not None:
        assert ours.satisfied(signed) == theirs.satisfied(set(signed))
        assert [each.name for each in ours.witnesses] == list(theirs.witnesses)
        assert ours.quorum == theirs.quorum


@pytest.mark.parametrize(
    "text",
    [
        f"witness a {KEYS[0]} # lender\nquorum a",
        f"witness a {KEYS[0]}\ngroup g 1 b\nwitness b {KEYS[1]}\nquorum g",
        f"witness a {KEYS[0]}\nwitness a {KEYS[1]}\nquorum a",
        f"witness a {KEYS[0]}\nquorum a\nquorum none",
        f"witness a {KEYS[0]}",
        f"witness a {KEYS[0]}\r\nquorum a",
        "log nothing\nquorum none",
        f"witness a {KEYS[0]}\nwitness b {KEYS[0]}\nquorum a",
    ],
    ids=["comment", "later member", "same name", "two quorums", "no quorum", "carriage return", "no key", "same key"],
)
def test_what_only_a_lenient_reader_takes_is_no_policy_for_either(text: str, tmp_path: Path) -> None:
    assert both(text, tmp_path) == (None, None)
