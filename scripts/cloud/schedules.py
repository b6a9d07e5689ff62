"""Runs the scheduled functions: on demand, and by the local clock while it runs.

While the clock stands, whoever steps it decides what runs. When it leaps, each function runs once, however many of its
ticks were leapt over: on AWS, too, a tick carries nothing but the time.
"""

import json
import threading
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from scripts.cloud.aws import ACCOUNT, REGION, client

EVERY: Mapping[str, timedelta] = {
    "release_due": timedelta(minutes=1),
    "archive_events": timedelta(minutes=5),
    "compute_kpis": timedelta(hours=1),
    "keep_archive": timedelta(hours=1),
}
"""The scheduled functions and how often each runs, in business time; a test compares it with the template."""

_LOOK_SECONDS = 1.0


class NoSuchSchedule(LookupError):
    """The function is not one that runs by schedule."""


def run(function: str, endpoint: str, *, stage: str, at: datetime) -> Any:
    """Run a scheduled function and return its answer. Raises NoSuchSchedule, or RuntimeError when the function failed."""
    if function not in EVERY:
        raise NoSuchSchedule(function)
    event = {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": ACCOUNT,
        "time": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": REGION,
        "resources": [f"arn:aws:events:{REGION}:{ACCOUNT}:rule/forbear-{stage}-{function}"],
        "detail": {},
    }
    answer = client("lambda", endpoint).invoke(
        FunctionName=f"forbear-{stage}-{function}", Payload=json.dumps(event).encode()
    )
    said = json.loads(answer["Payload"].read() or b"null")
    if answer.get("FunctionError"):
        kind = said.get("errorType") if isinstance(said, dict) else None
        raise RuntimeError(f"{function} failed: {kind}")
    return said


class Ticks:
    """Decides what is due by the clock."""

    def __init__(self, *, now: datetime) -> None:
        """Begin at this instant: the first ticks come one period later."""
        self._last = dict.fromkeys(EVERY, now)

    def due(self, *, now: datetime) -> list[str]:
        """Return the functions whose period is over at ``now`` (closed bound), and count them as run."""
        due = [function for function, every in EVERY.items() if now - self._last[function] >= every]
        self._last.update(dict.fromkeys(due, now))
        return due


def drive(
    run_now: Callable[[str], Any],
    *,
    now: Callable[[], datetime],
    speed: Callable[[], float],
    stopped: threading.Event,
    tell: Callable[[str], None],
) -> None:
    """Run what is due while the clock runs, until ``stopped`` is set. A function that fails is told of and runs again."""
    ticks = Ticks(now=now())
    while not stopped.wait(_LOOK_SECONDS):
        for function in ticks.due(now=now()) if speed() > 0 else ():
            try:
                run_now(function)
            except Exception as error:
                tell(f"The scheduled function {function} failed: {type(error).__name__}")
