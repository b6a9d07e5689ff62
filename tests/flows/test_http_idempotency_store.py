"""The two places where answers are kept behave alike, and the table shows nothing of what it keeps."""

import json

import pytest

from chalicelib import wiring
from chalicelib.domain.answers import Answered, Entry, Slot
from chalicelib.store.idempotency_repository import AnswersInTable
from chalicelib.store.tables import View
from chalicelib.usecases.idempotency import (
    KEPT_MS,
    LEASE_MS,
    AnswersInMemory,
    Done,
    InProgress,
    Reused,
    derived_id,
    once,
)

SLOT = Slot("I#acme#anna", "POST /v1/notes#0123")
NOW = 1_800_000_000_000
ANSWER = Answered(201, '{"phone":"13800138000","name":"王伟"}', {"Location": "/v1/notes/n1"})


@pytest.fixture(params=["memory", "table"])
def answers(request):
    if request.param == "memory":
        return AnswersInMemory()
    request.getfixturevalue("aws")
    return AnswersInTable(lambda: b"k" * 32)


def perform(answers, *, at=NOW, fingerprint="f1", run=lambda: ANSWER):
    return once(answers, SLOT, fingerprint, run, now_ms=lambda: at)


def never():
    raise AssertionError("ran twice")


def test_first_answer_is_kept_and_given_again_to_the_end_of_the_seventh_day(answers):
    assert perform(answers) == Done(ANSWER, is_replay=False)
    for at in (NOW, NOW + LEASE_MS, NOW + KEPT_MS - 1):
        assert perform(answers, at=at, run=never) == Done(ANSWER, is_replay=True)
    other = Answered(200, "{}")
    assert perform(answers, at=NOW + KEPT_MS, run=lambda: other) == Done(other, is_replay=False)
    assert perform(answers, at=NOW + KEPT_MS, run=never) == Done(other, is_replay=True)


def test_other_request_with_the_key_is_told_so_also_while_the_first_runs(answers):
    told = []
    perform(answers, run=lambda: told.append(perform(answers, fingerprint="f2", run=never)) or ANSWER)
    assert told == [Reused()]
    assert perform(answers, fingerprint="f2", run=never) == Reused()


def test_same_request_while_the_first_runs_is_in_progress(answers):
    told = []
    perform(answers, run=lambda: told.append(perform(answers, at=NOW + LEASE_MS - 1, run=never)) or ANSWER)
    assert told == [InProgress()]


def test_fault_frees_the_key_and_goes_on(answers):
    with pytest.raises(ZeroDivisionError):
        perform(answers, run=lambda: 1 // 0)
    assert answers.find(SLOT) is None
    assert perform(answers) == Done(ANSWER, is_replay=False)


def test_answer_that_is_not_final_is_given_and_not_kept(answers):
    passing = Answered(429, "{}", is_final=False)
    assert perform(answers, run=lambda: passing) == Done(passing, is_replay=False)
    assert answers.find(SLOT) is None


def test_lease_that_ended_is_taken_over_by_exactly_one(answers):
    lapsed = Entry("f1", NOW)
    assert answers.claim(SLOT, lapsed, over=None)
    assert answers.claim(SLOT, Entry("f1", NOW + LEASE_MS), over=lapsed)
    assert not answers.claim(SLOT, Entry("f1", NOW + LEASE_MS + 1), over=lapsed)
    assert answers.find(SLOT).until == NOW + LEASE_MS


def test_holder_that_was_overtaken_neither_completes_nor_frees_the_key(answers):
    def slow():
        assert perform(answers, at=NOW + LEASE_MS, run=lambda: ANSWER) == Done(ANSWER, is_replay=False)
        return Answered(500, "late")

    assert perform(answers, run=slow).answer.body == "late"
    assert answers.find(SLOT).answer == ANSWER
    answers.release(SLOT, held_until=NOW + LEASE_MS)
    assert answers.find(SLOT).answer == ANSWER


def test_claim_that_loses_a_race_is_in_progress():
    class Raced(AnswersInMemory):
        def claim(self, slot, entry, *, over):
            if over is not None:
                super().claim(slot, Entry("f1", entry.until + 1), over=over)
            return super().claim(slot, entry, over=over)

    answers = Raced()
    answers.entries[SLOT] = Entry("f1", NOW)
    assert perform(answers, run=never) == InProgress()


def test_key_that_is_freed_between_claim_and_read_is_in_progress():
    class Freed(AnswersInMemory):
        def claim(self, slot, entry, *, over):
            return False

    assert perform(Freed(), run=never) == InProgress()


def test_table_shows_nothing_of_request_or_answer(aws):
    answers = AnswersInTable(lambda: b"k" * 32)
    perform(answers, fingerprint="fingerprint-of-a-phone")
    item = View.get(SLOT.client, SLOT.operation)
    assert item.serialize().keys() == {"pk", "sk", "s", "v", "b", "ttl"}
    shown = json.dumps(item.serialize(), default=str, ensure_ascii=False)
    assert not any(text in shown for text in ("13800138000", "王伟", "fingerprint", "notes/n1"))
    assert item.ttl == (NOW + KEPT_MS) // 1000 + 3_600


def test_entry_moved_to_another_key_does_not_open(aws):
    answers = AnswersInTable(lambda: b"k" * 32)
    perform(answers)
    item = View.get(SLOT.client, SLOT.operation)
    View("I#bank#eve", SLOT.operation, s=item.s, v=item.v, b=item.b).save()
    with pytest.raises(Exception) as refused:
        answers.find(Slot("I#bank#eve", SLOT.operation))
    assert type(refused.value).__name__ == "InvalidTag"


def test_fault_of_the_table_is_not_taken_for_a_lost_race(aws):
    answers = AnswersInTable(lambda: b"k" * 32)
    View.delete_table(wait=True)
    with pytest.raises(Exception, match="ResourceNotFound"):
        answers.claim(SLOT, Entry("f1", NOW), over=None)
    with pytest.raises(Exception, match="ResourceNotFound"):
        answers.release(SLOT, held_until=NOW)


def test_wiring_gives_a_store_and_a_cursor_key_that_last(aws):
    assert perform(wiring.answers()) == Done(ANSWER, is_replay=False)
    assert wiring.cursor_key() == wiring.cursor_key()
    assert len(wiring.cursor_key()) == 32


def test_ids_derived_from_a_key_are_ids_and_differ_by_client_operation_and_prefix():
    slots = [SLOT, Slot("I#acme#bob", SLOT.operation), Slot(SLOT.client, "POST /v1/notes#4567")]
    made = [derived_id(slot, prefix) for slot in slots for prefix in ("msg", "cmp")]
    assert len(set(made)) == 6
    assert all(one.split("_")[0] in ("msg", "cmp") and len(one) == 30 for one in made)
    assert derived_id(SLOT, "msg") == made[0]
