"""Which part of a log a range of days needs: everything that names a time in it, though it was entered up to a day later."""

from datetime import UTC, datetime, timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.audit.export import LATE, SKEW, log_files, numbers_between, statement
from chalicelib.domain.audit.notes import Malformed, parse_checkpoint
from chalicelib.domain.audit.tiles import TILE_WIDTH

START = datetime(2026, 1, 1, tzinfo=UTC)


@given(
    seed=st.integers(0, 2**32),
    size=st.integers(1, 4_000),
    days=st.integers(1, 40),
    begins=st.integers(-5, 45),
    length=st.integers(1, 10),
)
def test_every_event_of_the_range_stands_in_the_part(seed: int, size: int, days: int, begins: int, length: int) -> None:
    chance = Random(seed)
    entered = sorted(START + timedelta(days=days) * chance.random() for _ in range(size))
    named = [at + SKEW - (LATE + SKEW) * chance.random() ** 3 for at in entered]
    begin = START + timedelta(days=begins)
    end = begin + timedelta(days=length)
    first, last = numbers_between(size, named.__getitem__, begin, end)
    assert first % TILE_WIDTH == 0 and (last % TILE_WIDTH == 0 or last == size) and 0 <= first <= last <= size
    missed = [number for number, at in enumerate(named) if begin <= at < end and not first <= number < last]
    assert missed == []


def test_a_range_is_cut_from_a_long_log() -> None:
    named = [START + timedelta(minutes=number) for number in range(100_000)]
    begin = START + timedelta(days=30)
    first, end = numbers_between(len(named), named.__getitem__, begin, begin + timedelta(days=1))
    assert 0 < first < 30 * 1_440 < 31 * 1_440 < end < len(named)
    assert end - first < 5 * 1_440


COSIGNED = [f"cosigs/{size:012d}/lender" for size in (200, 300, 70_000, 80_000)]


def test_a_part_has_every_hash_and_only_its_own_entries() -> None:
    paths = log_files(70_000, 512, 768, [300, 80_000], COSIGNED)
    assert [path for path in paths if path.startswith("tile/entries/")] == ["tile/entries/002"]
    assert sum(path.startswith("tile/0/") for path in paths) == 274
    assert {"checkpoint", "checkpoints/000000070000", "checkpoints/000000000300", "anchors/000000000300.tsr"} <= set(
        paths
    )
    assert not any("80000" in path for path in paths)
    assert [path for path in paths if path.startswith("cosigs/")] == COSIGNED[1:3], "of notes that are there"


def test_what_is_signed_of_an_export_is_no_checkpoint() -> None:
    try:
        parse_checkpoint(statement("audit.forbear.test/auto-fin/2026", "0" * 64, "2026-11-23T02:00:00.000Z"))
    except Malformed:
        return
    raise AssertionError("a statement about a manifest was read as a checkpoint")
