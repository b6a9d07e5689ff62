"""The local cloud's clock: it stands, it runs, it never goes back, not even over a restart."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scripts.cloud.clock import Clock

START = datetime(2026, 11, 24, tzinfo=UTC)


class Seconds:
    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


def test_it_stands_until_somebody_moves_it(tmp_path: Path) -> None:
    real = Seconds()
    clock = Clock(tmp_path / "clock.json", start=START, monotonic=real)
    real.at = 1_000
    assert clock.now() == START
    clock.set(now=START + timedelta(hours=1))
    assert clock.now() == START + timedelta(hours=1)


def test_it_runs_as_fast_as_it_was_told(tmp_path: Path) -> None:
    real = Seconds()
    clock = Clock(tmp_path / "clock.json", start=START, monotonic=real)
    clock.set(speed=60)
    real.at = 10
    assert clock.now() == START + timedelta(minutes=10)


def test_it_never_goes_back(tmp_path: Path) -> None:
    clock = Clock(tmp_path / "clock.json", start=START, monotonic=Seconds())
    with pytest.raises(ValueError, match="never goes back"):
        clock.set(now=START - timedelta(seconds=1))


@pytest.mark.parametrize("speed", [-1, 86_401])
def test_a_speed_out_of_bounds_is_refused(tmp_path: Path, speed: float) -> None:
    with pytest.raises(ValueError, match="speed"):
        Clock(tmp_path / "clock.json", start=START, monotonic=Seconds()).set(speed=speed)


def test_after_a_restart_it_shows_nothing_earlier_than_it_showed(tmp_path: Path) -> None:
    real = Seconds()
    clock = Clock(tmp_path / "clock.json", start=START, monotonic=real)
    clock.set(speed=3_600)
    real.at = 7.5
    shown = clock.now()
    assert Clock(tmp_path / "clock.json", start=START, monotonic=Seconds()).now() >= shown
