"""A rule that leads to an instant that is not ahead is a fault that names it, and no endless asking."""

from typing import Any

import pytest

from chalicelib.domain.compliance import load_packs
from chalicelib.domain.compliance.authoring import compile_rules
from chalicelib.domain.compliance.decision import NotAhead, judge
from chalicelib.domain.compliance.packs import Pack
from chalicelib.domain.compliance.record import Record, prepare
from chalicelib.domain.compliance.scene import Answer, Finding, Scene
from tests.rules.casebook import dossier_of

AT = "2026-06-10T15:00:00Z"
RULE: dict[str, Any] = {
    "id": "HOUSE-STUCK", "shape": "forbid", "params": {"because": "x"}, "citation": "x", "source": "x", "grade": "house",
    "confidence": "source", "status": "enforced", "checked": "2026-11-28", "note": {"en": "x", "zh": "x"},
}  # fmt: skip
ENOUGH = 100


def record_of(at: str) -> Record:
    return prepare(dossier_of({"rule": "x", "id": "x", "base": "us.call", "at": at, "add": {}}))


def house(answers: Any) -> Pack:
    """Return house rules of one rule that answers as told, and that nobody may ask for ever."""
    pack = Pack(compile_rules([RULE], ident="HOUSE", version="1", name="x"), "0" * 64)
    asked = 0

    def check(scene: Scene, instant: int) -> Answer:
        nonlocal asked
        asked += 1
        assert asked < ENOUGH, "asked the same question again and again"
        answer: Answer = answers(instant)
        return answer

    pack.rules[0].check = check
    return pack


@pytest.mark.parametrize("back", [0, 1])
def test_a_silence_that_is_over_when_it_is_told_is_a_fault(back: int) -> None:
    decision = judge(record_of(AT), load_packs(), [house(lambda instant: instant - back)])
    assert decision.verdict == "allow"
    with pytest.raises(NotAhead, match=r"^HOUSE-STUCK: asked at 2026-06-10T15:00:00Z, answered until 2026-06-10T"):
        decision.not_after()


@pytest.mark.parametrize("back", [0, 1])
def test_a_deferral_that_is_over_when_it_is_told_is_a_fault(back: int) -> None:
    decision = judge(record_of(AT), load_packs(), [house(lambda instant: Finding("defer", instant - back))])
    assert decision.verdict == "defer"
    with pytest.raises(NotAhead, match=r"^HOUSE-STUCK: asked at 2026-06-10T15:00:00Z, answered until 2026-06-10T"):
        decision.next_allowed()


def test_a_second_ahead_is_ahead() -> None:
    def once(instant: int) -> Answer:
        return Finding("defer", instant + 1) if instant == begin else instant + 1

    record = record_of(AT)
    begin = record.at
    assert judge(record, load_packs(), [house(once)]).next_allowed() == begin + 1

    def later(instant: int) -> Answer:
        return instant + 1 if instant == begin else Finding("defer", instant + 1)

    assert judge(record, load_packs(), [house(later)]).not_after() == begin + 1
