"""Policies in the form of tlog-policy, and whose line a cosignature is."""

from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.domain.audit.notes import Malformed, NoteKey, SignatureType
from chalicelib.domain.audit.policy import parse_policy
from tests import archives
from tests.archives import ORIGIN
from tests.witnesses import TextWitness

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
LENDER, REGULATOR, AUDITOR = (TextWitness(f"{name}.example/w1") for name in ("lender", "regulator", "auditor"))
LOG = NoteKey(ORIGIN, SignatureType.ED25519, archives.spki(archives.ED25519)).vkey
TEXT = f"{ORIGIN}\n7\n{'A' * 43}=\n"


def policy(*more: str) -> str:
    named = [("lender", LENDER), ("regulator", REGULATOR), ("auditor", AUDITOR)]
    lines = ["# who must have seen it", "", f"log {LOG}", *(f"witness {name} {each.vkey}" for name, each in named)]
    return "\n".join([*lines, *more]) + "\n"


@pytest.mark.parametrize(
    ("lines", "signed", "met"),
    [
        (["quorum none"], [], True),
        (["quorum lender"], [], False),
        (["quorum lender"], ["lender"], True),
        (["quorum lender"], ["regulator"], False),
        (["group two 2 lender regulator auditor", "quorum two"], ["auditor"], False),
        (["group two 2 lender regulator auditor", "quorum two"], ["auditor", "lender"], True),
        (["group each all lender regulator", "quorum each"], ["lender"], False),
        (["group each all lender regulator", "quorum each"], ["lender", "regulator"], True),
        (["group some any lender regulator", "group both all some auditor", "quorum both"], ["auditor"], False),
        (
            ["group some any lender regulator", "group both all some auditor", "quorum both"],
            ["auditor", "lender"],
            True,
        ),
        (["\tgroup  some any\tlender ", " quorum some"], ["lender"], True),
    ],
)
def test_a_quorum_is_counted_through_groups(lines: list[str], signed: list[str], met: bool) -> None:
    read = parse_policy(policy(*lines))
    assert read.satisfied(signed) is met
    assert [witness.vkey for witness in read.witnesses] == [each.vkey for each in (LENDER, REGULATOR, AUDITOR)]
    assert [key.vkey for key in read.logs] == [LOG]


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ([], "what its quorum is"),
        (["quorum none", "quorum none"], "line 8: there is a quorum already"),
        (["quorum somebody"], "nobody above is called somebody"),
        (["quorum two", "group two 2 lender regulator"], "nobody above"),
        (["group two 3 lender regulator", "quorum two"], "asks for 1 to all"),
        (["group two 0 lender regulator", "quorum two"], "asks for 1 to all"),
        (["group two most lender regulator", "quorum two"], "asks for 1 to all"),
        (["group two 2 lender lender", "quorum two"], "is a member already"),
        (["group a any lender", "group b any lender", "quorum a"], "is a member already"),
        (["group a any none", "quorum a"], "not named above"),
        (["group lender any regulator", "quorum none"], "named twice"),
        ([f"witness again {LENDER.vkey}", "quorum none"], "same key"),
        ([f"witness lender {TextWitness('x').vkey}", "quorum none"], "named twice"),
        ([f"witness none {TextWitness('x').vkey}", "quorum none"], "and not none"),
        ([f"witness a/b {TextWitness('x').vkey}", "quorum none"], "a name is"),
        ([f"witness late {LOG}", "quorum none"], "no Ed25519 key of a witness"),
        ([f"witness late {TextWitness('x').vkey.replace('x+', 'y+')}", "quorum none"], "its id is not"),
        ([f"log {LOG}", "quorum none"], "stands twice"),
        (["log x", "quorum none"], "verifier key"),
        (["nobody knows", "quorum none"], "a line is log"),
        (["witness x", "quorum none"], "a line is log"),
        (["quorum none\r"], "control characters"),
    ],
)
def test_what_is_no_policy_is_refused_with_its_line(lines: list[str], why: str) -> None:
    with pytest.raises(Malformed, match=why):
        parse_policy(policy(*lines))


def test_a_line_is_a_witnesss_only_over_this_text_by_this_key_and_not_from_the_future() -> None:
    (lender, *_) = parse_policy(policy("quorum none")).witnesses
    at = int(NOW.timestamp())
    line = LENDER.line(TEXT, at)
    assert lender.cosigned(TEXT, line, now=NOW)
    assert lender.cosigned(TEXT, LENDER.line(TEXT, at + 300), now=NOW)
    assert not lender.cosigned(TEXT, LENDER.line(TEXT, at + 301), now=NOW)
    assert not lender.cosigned(TEXT, LENDER.line(TEXT, 0), now=NOW)
    assert not lender.cosigned(TEXT.replace("\n7\n", "\n8\n"), line, now=NOW)
    assert not lender.cosigned(TEXT, REGULATOR.line(TEXT, at), now=NOW)
    assert not lender.cosigned(TEXT, line.replace("lender", "lander"), now=NOW)
    for place in range(len(line)):
        changed = line[:place] + ("B" if line[place] != "B" else "C") + line[place + 1 :]
        assert not lender.cosigned(TEXT, changed, now=NOW), place
    assert not lender.cosigned(TEXT, "", now=NOW)
    assert lender.cosigned(TEXT, line, now=NOW - timedelta(minutes=5))
    assert not lender.cosigned(TEXT, line, now=NOW - timedelta(minutes=5, seconds=1))


def test_a_line_has_one_spelling() -> None:
    """76 bytes leave four bits of the last letter open; no other letter than the encoder's is taken."""
    (lender, *_) = parse_policy(policy("quorum none")).witnesses
    line = LENDER.line(TEXT, int(NOW.timestamp()))
    assert line.endswith("=") and lender.cosigned(TEXT, line, now=NOW)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = len(line.rstrip("=")) - 1
    for letter in letters.replace(line[last], ""):
        assert not lender.cosigned(TEXT, line[:last] + letter + line[last + 1 :], now=NOW)
