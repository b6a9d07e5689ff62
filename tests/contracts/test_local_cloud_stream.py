"""The mapping of a stream keeps AWS's contract: order, at least once, halving, giving up, and nothing lost in between."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from scripts.cloud.stream import Answer, Pump, Record, Terms, note, sequence


def record(number: int, *, at: float = 0.0, name: str = "INSERT") -> Record:
    """Return a stream record with this place in the stream."""
    return {"eventName": name, "dynamodb": {"SequenceNumber": f"{number:06}", "ApproximateCreationDateTime": at}}


def numbers(records: Sequence[Record]) -> list[int]:
    """Return the places of records."""
    return [int(sequence(one)) for one in records]


@dataclass
class Function:
    """A function that fails at chosen records, by raising or by naming them, for so many calls."""

    raises: dict[int, int] = field(default_factory=dict)
    names: dict[int, int] = field(default_factory=dict)
    calls: list[list[int]] = field(default_factory=list)
    handled: list[int] = field(default_factory=list)

    def __call__(self, records: Sequence[Record]) -> Answer:
        """Handle a batch."""
        got = numbers(records)
        self.calls.append(got)
        for number in got:
            if self.raises.get(number, 0):
                self.raises[number] -= 1
                return Answer(error="boom")
        for place, number in enumerate(got):
            if self.names.get(number, 0):
                self.names[number] -= 1
                self.handled += got[:place]
                return Answer(failed=(sequence(records[place]),))
        self.handled += got
        return Answer()


@dataclass
class Run:
    """A pump with everything that it told the outside."""

    function: Any
    terms: Terms
    now: float = 0.0
    aside: list[tuple[list[int], str]] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)
    pauses: list[int] = field(default_factory=list)

    def over(self, records: Sequence[Record]) -> "Run":
        """Run the pump over records."""
        Pump(
            self.terms,
            wanted=lambda one: one["eventName"] == "INSERT",
            invoke=self.function,
            set_aside=lambda given, condition: self.aside.append((numbers(given), condition)),
            checkpoint=self.marks.append,
            pause=self.pauses.append,
            now=lambda: self.now,
        ).run(records)
        return self


CAREFUL = Terms(batch_size=4, retries=2, halve=True, partial=True)
FOR_EVER = 10_000


def test_records_go_in_order_and_in_batches() -> None:
    run = Run(Function(), CAREFUL).over([record(n) for n in range(10)])
    assert run.function.calls == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert run.marks[-1] == "000009"


def test_records_that_are_not_wanted_are_passed_over_and_counted_as_read() -> None:
    run = Run(Function(), CAREFUL).over([record(0, name="MODIFY"), record(1), record(2, name="REMOVE")])
    assert run.function.calls == [[1]]
    assert run.marks[-1] == "000002"


def test_a_batch_without_wanted_records_calls_nobody() -> None:
    run = Run(Function(), CAREFUL).over([record(0, name="MODIFY")])
    assert (run.function.calls, run.marks) == ([], ["000000"])


def test_a_poison_record_is_found_by_halving_and_set_aside_alone() -> None:
    run = Run(Function(raises={2: FOR_EVER}), CAREFUL).over([record(n) for n in range(4)])
    assert run.aside == [([2], "RetryAttemptsExhausted")]
    assert run.function.handled == [0, 1, 3]


def test_a_record_named_as_failed_comes_again_and_those_before_it_do_not() -> None:
    run = Run(Function(names={2: 1}), CAREFUL).over([record(n) for n in range(4)])
    assert run.function.handled == [0, 1, 2, 3]
    assert run.aside == []


def test_a_record_named_for_ever_is_set_aside_and_those_behind_it_get_through() -> None:
    run = Run(Function(names={1: FOR_EVER}), CAREFUL).over([record(n) for n in range(4)])
    assert run.aside == [([1], "RetryAttemptsExhausted")]
    assert run.function.handled == [0, 2, 3]


def test_a_fault_that_passes_costs_pauses_and_no_record() -> None:
    run = Run(Function(raises={0: 2}), Terms(batch_size=1, retries=2, halve=True)).over([record(0), record(1)])
    assert (run.function.handled, run.aside, run.pauses) == ([0, 1], [], [1, 2])


def test_the_try_after_the_last_retry_is_not_made() -> None:
    run = Run(Function(raises={0: FOR_EVER}), Terms(batch_size=1, retries=2)).over([record(0)])
    assert len(run.function.calls) == 3  # the first and two retries


def test_without_halving_the_whole_batch_is_given_up() -> None:
    run = Run(Function(raises={1: FOR_EVER}), Terms(batch_size=4, retries=0)).over([record(n) for n in range(3)])
    assert run.aside == [([0, 1, 2], "RetryAttemptsExhausted")]


def test_without_a_limit_a_record_is_given_up_by_its_age_only() -> None:
    run = Run(Function(raises={0: FOR_EVER}), Terms(batch_size=1, age_seconds=60))
    run.now = 60.0
    calls_before_age = 5

    def growing_older(tries: int) -> None:
        if tries == calls_before_age:
            run.now = 60.5

    pump_pause = run.pauses.append
    run.pauses = []
    Pump(
        run.terms,
        wanted=lambda _: True,
        invoke=run.function,
        set_aside=lambda given, condition: run.aside.append((numbers(given), condition)),
        checkpoint=run.marks.append,
        pause=lambda tries: (pump_pause(tries), growing_older(tries))[0],
        now=lambda: run.now,
    ).run([record(0, at=0.0)])
    assert run.aside == [([0], "MaximumRecordAgeExceeded")]
    assert len(run.function.calls) == calls_before_age + 1


def test_named_failures_count_only_where_the_mapping_says_so() -> None:
    run = Run(Function(names={1: FOR_EVER}), Terms(batch_size=4, retries=0, partial=False)).over([record(1)])
    assert run.aside == []


def test_a_failure_that_names_no_record_of_the_batch_fails_the_batch() -> None:
    run = Run(lambda _: Answer(failed=("something",)), Terms(batch_size=4, retries=0, partial=True)).over([record(1)])
    assert run.aside == [([1], "RetryAttemptsExhausted")]


@pytest.mark.parametrize("seed", range(30))
def test_whatever_fails_each_record_is_handled_or_set_aside_and_marks_never_go_back(seed: int) -> None:
    chance = random.Random(seed)
    faults = {n: chance.choice([0, 0, 1, 2, FOR_EVER]) for n in range(20)}
    raised = {n: times for n, times in faults.items() if chance.random() < 0.5}
    named = {n: times for n, times in faults.items() if n not in raised}
    terms = Terms(batch_size=chance.randint(1, 8), retries=3, halve=True, partial=True)
    run = Run(Function(raises=dict(raised), names=dict(named)), terms).over([record(n) for n in range(20)])
    aside = [n for given, _ in run.aside for n in given]
    assert Counter(run.function.handled + aside).keys() == set(range(20))
    assert {n for n, times in faults.items() if times == FOR_EVER} <= set(aside)
    assert run.marks == sorted(run.marks)


def test_what_is_set_aside_is_named_and_not_shown() -> None:
    told = note([record(1), record(2)], "RetryAttemptsExhausted", stream="arn:stream", function="arn:function")
    assert told["DDBStreamBatchInfo"]["startSequenceNumber"] == "000001"
    assert told["DDBStreamBatchInfo"]["batchSize"] == 2
    assert "NewImage" not in str(told)
