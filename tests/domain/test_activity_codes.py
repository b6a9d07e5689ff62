"""The table of result codes: complete, consistent, and with the stops that nobody may forget."""

import pytest

from chalicelib.domain.cases.activity_codes import CODES, ActivityCode, code_of
from chalicelib.domain.cases.lifecycle import CaseEvent
from chalicelib.usecases.case_draft import PERSON_HOLDS

HISTORY_OUTCOMES = {
    *("no_answer", "busy", "not_in_service", "powered_off", "rejected", "voicemail_left", "voicemail_reached"),
    *("voicemail_full", "connected", "conversation", "third_party_answered", "wrong_person", "sent", "delivered"),
    *("bounced", "pending", "visited_met", "visited_absent", "received"),
}
"""What a dossier's history knows."""

FLAGS = {
    **dict.fromkeys(("NOANS", "BUSY", "POWOFF", "SUSP", "BADNUM", "VMAIL"), "A"),
    **dict.fromkeys(("WRONG", "MSG3P", "HANGUP"), "AC"),
    **dict.fromkeys(("RPC-PTP", "RPC-PLAN", "RPC-NEG", "RPC-REF", "RPC-PAID", "RPC-DISP", "RPC-HARD"), "ACR"),
    **dict.fromkeys(("RPC-CEASE", "RPC-COMPL", "ATTY", "RPC-CB", "VISIT-MET"), "ACR"),
    **dict.fromkeys(("SENT", "DELIV", "OPEN", "FAIL", "BOUNCE"), "A"),
    **dict.fromkeys(("VISIT-ABSENT", "VISIT-MOVED", "VISIT-VEHICLE"), "A"),
    **dict.fromkeys(("SKIP", "PAY", "REV", "BKY", "DEC", "LEGAL-FILED", "REPO-SECURED", "OPTOUT"), ""),
    "INB": "R",
}


@pytest.mark.parametrize(("name", "flags"), sorted(FLAGS.items()))
def test_each_code_counts_as_what_the_canonical_set_says(name: str, flags: str) -> None:
    code = CODES[name]
    assert (code.attempt, code.connect, code.right_party) == ("A" in flags, "C" in flags, "R" in flags)


@pytest.mark.parametrize("code", CODES.values(), ids=CODES.keys())
def test_each_code_is_whole(code: ActivityCode) -> None:
    assert code.zh
    assert code.en
    assert code.connect <= code.attempt, "nobody answers where nobody tried"
    assert code.outcome is None or code.outcome in HISTORY_OUTCOMES
    if code.attempt and code.source == "collector":
        assert code.outcome is not None, "an attempt enters the ledger as something"


@pytest.mark.parametrize(
    ("name", "hold", "on_person", "event"),
    [
        ("RPC-DISP", "dispute", False, CaseEvent.DISPUTE),
        ("RPC-HARD", "hardship", False, CaseEvent.HOLD),
        ("RPC-COMPL", "complaint", False, CaseEvent.HOLD),
        ("RPC-CEASE", "cease", True, CaseEvent.HOLD),
        ("ATTY", "attorney", True, CaseEvent.HOLD),
        ("BKY", "bankruptcy", True, CaseEvent.HOLD),
        ("DEC", "deceased", True, CaseEvent.HOLD),
    ],
)
def test_the_codes_that_stop_work_stop_it(name: str, hold: str, on_person: bool, event: CaseEvent) -> None:
    effect = CODES[name].effect
    assert (effect.hold, effect.on_person, effect.event) == (hold, on_person, event)


def test_a_code_and_the_hold_it_places_agree_on_whether_it_follows_the_person() -> None:
    for code in CODES.values():
        if code.effect.hold is not None:
            assert (code.effect.hold in PERSON_HOLDS) == code.effect.on_person, code.code


def test_an_unknown_code_is_none() -> None:
    assert code_of("XYZ") is None
