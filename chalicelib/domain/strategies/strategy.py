"""A strategy as data: for which cases, which steps, after which waits, until when. There is no expression language.

A condition names one fact and states what it must be. A case follows the first path whose segment it meets; of its
steps each is taken at most once. What a strategy may say is judged by ``checks``; what becomes of a case is ``plan``.
"""

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from chalicelib.domain.strategies.facts import CaseFacts

FORMAT = 1
STRATEGY_ID = r"^[a-z][a-z0-9-]{1,39}$"
MOST_PATHS = 30
MOST_STEPS = 40

Code = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
Clock = Annotated[str, Field(pattern=r"^(?:[01][0-9]|2[0-3]):[0-5][0-9]$")]
TemplateId = Annotated[str, Field(pattern=r"^[a-z0-9-]{3,60}$")]
MessageChannel = Literal["wechat", "sms", "email", "letter"]
Line = Annotated[str, Field(min_length=1, max_length=200)]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Words(_Value):
    """A line for people, in Chinese and English."""

    zh: Line
    en: Line


class Condition(_Value):
    """What one fact must be: a whole number at least or at most (both closed), one of some codes, or true or false."""

    fact: Annotated[str, Field(min_length=1, max_length=60)]
    at_least: Annotated[int, Field(strict=True, ge=-(10**12), le=10**12)] | None = None
    at_most: Annotated[int, Field(strict=True, ge=-(10**12), le=10**12)] | None = None
    one_of: Annotated[tuple[Annotated[str, Field(max_length=40)], ...], Field(min_length=1, max_length=60)] | None = (
        None
    )
    equals: Annotated[bool, Field(strict=True)] | None = None

    def is_met(self, facts: CaseFacts) -> bool:
        """Tell whether the fact is known and as stated; of several codes at once (``codes``) one has to be listed."""
        value = facts.value(self.fact)
        if value is None:
            return False
        if self.equals is not None:
            return value is self.equals
        if self.one_of is not None:
            return bool(value & set(self.one_of)) if isinstance(value, frozenset) else value in self.one_of
        if not isinstance(value, int):
            return False
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)


class Wait(_Value):
    """When a step is due: so many local days from the due day of the debt, the entry into the path, or the step before."""

    from_: Annotated[Literal["due_day", "entry", "step_before"], Field(alias="from")]
    days: Annotated[int, Field(strict=True, ge=-60, le=3_650)]


class Window(_Value):
    """A span of the recipient's local day, half-open; ``from`` comes before ``to``."""

    from_: Annotated[Clock, Field(alias="from")]
    to: Clock


class MessageAct(_Value):
    """Ask for one message by this channel, with this approved template."""

    kind: Literal["message"]
    channel: MessageChannel
    template: TemplateId


class BestAct(_Value):
    """Ask for one message by whichever of these channels is best for the person then; see ``next_action``."""

    kind: Literal["best"]
    templates: Annotated[dict[MessageChannel, TemplateId], Field(min_length=1)]

    @property
    def texts(self) -> dict[str, str]:
        """Return the template by channel."""
        return {str(channel): template for channel, template in self.templates.items()}


class TaskAct(_Value):
    """Leave a call or visit to a collector, who asks for a clearance when making it."""

    kind: Literal["task"]
    channel: Literal["call", "visit"]


class ReferAct(_Value):
    """Hand the case to somebody on the lender's side."""

    kind: Literal["refer"]
    to: Literal["lender", "compliance", "counsel"]


Act = Annotated[MessageAct | BestAct | TaskAct | ReferAct, Field(discriminator="kind")]


class Step(_Value):
    """One step: due after a wait, taken when every condition is met on its day, within its window of the day."""

    id: Code
    wait: Wait
    act: Act
    when: Annotated[tuple[Condition, ...], Field(max_length=20)] = ()
    window: Window | None = None


class Path(_Value):
    """The steps of one segment. While one of ``stop_while`` is met, no step is taken; one whose day passes is left out."""

    id: Code
    name: Words
    segment: Annotated[tuple[Condition, ...], Field(max_length=20)] = ()
    steps: Annotated[tuple[Step, ...], Field(max_length=MOST_STEPS)] = ()
    stop_while: Annotated[tuple[Condition, ...], Field(max_length=20)] = ()

    def step(self, name: str) -> Step | None:
        """Return the step of that id, or None."""
        return next((step for step in self.steps if step.id == name), None)


class Budget(_Value):
    """How many messages by a channel the strategies may ask for on one local day of the lender: in all, or an agency."""

    channel: MessageChannel
    of: Literal["lender", "agency"]
    a_day: Annotated[int, Field(strict=True, ge=0, le=10_000_000)]


class Strategy(_Value):
    """One version's content. ``hours`` is the part of the local day over which its messages are spread."""

    format: Literal[1] = 1
    id: Annotated[str, Field(pattern=STRATEGY_ID)]
    name: Words
    paths: Annotated[tuple[Path, ...], Field(min_length=1, max_length=MOST_PATHS)]
    hours: Window = Window(**{"from": "09:00", "to": "18:00"})
    budgets: Annotated[tuple[Budget, ...], Field(max_length=8)] = ()

    @property
    def sha256(self) -> str:
        """Return the digest of the content: equal for equal content, different for different one."""
        return hashlib.sha256(canonical_text(self.as_json()).encode()).hexdigest()

    def as_json(self) -> dict[str, Any]:
        """Return the content as it was authored, defaults included."""
        return self.model_dump(mode="json", by_alias=True)

    def path_for(self, facts: CaseFacts) -> Path | None:
        """Return the first path whose segment the facts meet, None when none is for them."""
        return next((path for path in self.paths if all(each.is_met(facts) for each in path.segment)), None)

    def path(self, name: str) -> Path | None:
        """Return the path of that id, or None."""
        return next((path for path in self.paths if path.id == name), None)

    def budget(self, channel: str, of: str) -> int | None:
        """Return how many messages a day the channel may have, None for as many as there are."""
        return next((each.a_day for each in self.budgets if (each.channel, each.of) == (channel, of)), None)


def canonical_text(value: Any) -> str:
    """Return JSON with sorted keys and no blanks."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
