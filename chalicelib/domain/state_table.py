"""Total state tables: what every event does in every state, as values. A table with a gap cannot be made."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import product
from typing import Generic, TypeVar

State = TypeVar("State", bound=StrEnum)
Event = TypeVar("Event", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Move(Generic[State]):
    """The thing goes to ``to``, which may be where it is."""

    to: State


@dataclass(frozen=True, slots=True)
class Stay:
    """Nothing changes, and that is right: the event is late or repeated."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """The event is not possible in this state; whoever asks is told ``reason``."""

    reason: str


Reply = Move[State] | Stay | Refuse


class StateTable(Generic[State, Event]):
    """The answers of one machine. Raises ValueError when a pair of state and event has none."""

    def __init__(
        self, states: Iterable[State], events: Iterable[Event], replies: Mapping[tuple[State, Event], Reply[State]]
    ) -> None:
        self.states, self.events = tuple(states), tuple(events)
        missing = [
            f"{state}/{event}" for state, event in product(self.states, self.events) if (state, event) not in replies
        ]
        if missing:
            raise ValueError(f"no answer for {', '.join(missing)}")
        self._replies = dict(replies)

    @classmethod
    def ruled(
        cls, states: Iterable[State], events: Iterable[Event], rule: Callable[[State, Event], Reply[State]]
    ) -> "StateTable[State, Event]":
        """Return the table that a rule gives for every pair."""
        told, asked = tuple(states), tuple(events)
        return cls(told, asked, {(state, event): rule(state, event) for state, event in product(told, asked)})

    def answer(self, state: State, event: Event) -> Reply[State]:
        """Return what the event does in this state; there is an answer for every pair."""
        return self._replies[state, event]
