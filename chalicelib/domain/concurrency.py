"""What a command does when somebody else wrote first: it runs again from its reads."""

from collections.abc import Callable
from typing import TypeVar

_Result = TypeVar("_Result")


class Conflict(Exception):
    """Somebody else wrote first; the command must be run again from its reads."""


def retrying(
    command: Callable[[], _Result], *, attempts: int = 8, pause: Callable[[int], None] | None = None
) -> _Result:
    """Run the command until it commits; it must read everything anew each time.

    Raises the last Conflict after ``attempts`` runs. ``pause`` is called with the number of the failed run.
    """
    for attempt in range(1, attempts):
        try:
            return command()
        except Conflict:
            if pause is not None:
                pause(attempt)
    return command()
