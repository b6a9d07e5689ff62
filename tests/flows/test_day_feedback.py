"""The sample day's feedback, lived over the edge of the API: what is entered, answered, left waiting, and counted."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib.store.repository import Store
from scripts import day_summary
from scripts.day import Day
from scripts.day_api import Answered
from tests.builders import AGENCY
from tests.flows.test_cases_api import api, body_of
from tests.flows.test_feedback import World, world

__all__ = ["api", "world"]

CALLERS = {"agency": "agency", "lender": "lender", "compliance": "officer"}


class Front:
    """The front door of the day, over the test client."""

    def __init__(self, world: World) -> None:
        self.world = world

    def call(self, method: str, path: str, token: str, body: Any = None, *, key: str = "", expect: Any = (200,)) -> Any:
        told = {"Idempotency_Key": key} if key else {}
        answer = self.world.api.call(token, method, path, body, **told)
        assert answer.status_code in expect, answer.body
        self.world.deliver()
        return Answered(answer.status_code, {}, body_of(answer))


@pytest.fixture
def day(world: World, tmp_path: Path, store: Store) -> Iterator[Day]:
    made = Day(Front(world), SimpleNamespace(), folder=tmp_path, out=tmp_path, seed=1, size=1, say=print)  # type: ignore[arg-type]
    made.token = lambda role, org, subject="": CALLERS[role]  # type: ignore[method-assign]
    made.state["held"] = {AGENCY: {f"case_{number}": {} for number in range(3)}}
    yield made


def test_day_shows_feedback_in_every_list(day: Day, world: World) -> None:
    for number in range(3):
        world.reply("我要投诉你们", number)
    for _ in range(2):
        # A step that was killed is done again.
        day.give_feedback()
    assert day_summary.feedback(day) == {
        "waiting": {"complaint": 3, "survey": 1},
        "escalated": {},
        "answered": {},
        "closed": {"suggestion": 1, "survey": 1},
    }
    day.answer_feedback()
    found = day_summary.feedback(day)
    assert (found["waiting"], found["closed"]["complaint"]) == ({"complaint": 1, "survey": 1}, 2)
    world.tick(hours=37)
    assert day_summary.feedback(day)["escalated"] == {"complaint": 1, "survey": 1}
