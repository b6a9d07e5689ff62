"""How a suit goes, by country, as data: stages, what can happen in each, and what must be there before it.

The table of every stage and event is total: what the data do not name is refused, what happened before is no fault.
"""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from chalicelib.domain.cases.case import Case
from chalicelib.domain.litigation.limitation import Limitation, Words
from chalicelib.domain.state_table import Move, Refuse, Reply, StateTable, Stay

PROCEDURES = Path(__file__).resolve().parents[2] / "litigation" / "procedure.toml"


class Stage(StrEnum):
    """Where a matter stands. The last four are final."""

    ASSESSMENT = "assessment"
    PRE_ACTION = "pre_action"
    FILED = "filed"
    ADMITTED = "admitted"
    SERVED = "served"
    HEARING = "hearing"
    JUDGED = "judged"
    APPEALED = "appealed"
    EFFECTIVE = "effective"
    ENFORCEMENT = "enforcement"
    ENFORCEMENT_PAUSED = "enforcement_paused"
    SETTLED_IN_COURT = "settled_in_court"
    SATISFIED = "satisfied"
    WITHDRAWN = "withdrawn"
    DISMISSED = "dismissed"
    DROPPED = "dropped"


FINAL = frozenset({Stage.SATISFIED, Stage.WITHDRAWN, Stage.DISMISSED, Stage.DROPPED})
BEFORE_SUIT = frozenset({Stage.ASSESSMENT, Stage.PRE_ACTION})


class MatterEvent(StrEnum):
    """What can happen to a matter."""

    SEND_LETTER = "send_letter"
    PRESERVE = "preserve"
    FILE = "file"
    ADMIT = "admit"
    SERVE = "serve"
    HEAR = "hear"
    JUDGE = "judge"
    APPEAL = "appeal"
    REMIT = "remit"
    BECOME_FINAL = "become_final"
    APPLY_ENFORCEMENT = "apply_enforcement"
    PAUSE_ENFORCEMENT = "pause_enforcement"
    RESUME_ENFORCEMENT = "resume_enforcement"
    SETTLE = "settle"
    SATISFY = "satisfy"
    WITHDRAW = "withdraw"
    DISMISS = "dismiss"
    DROP = "drop"
    PAY_COST = "pay_cost"


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class StepRule(_Value):
    """From which stages an event leads where; ``same`` leaves the matter where it is."""

    event: MatterEvent
    from_: Annotated[list[Stage], Field(alias="from", min_length=1)]
    to: Stage | Literal["same"]


class EvidenceRule(_Value):
    """What must be on file before an event, for the products and roles named, or always."""

    kind: Annotated[str, Field(pattern=r"^[a-z_]{2,40}$")]
    title: Words
    before: MatterEvent
    products: list[str] = []
    roles: list[str] = []

    def concerns(self, case: Case) -> bool:
        """Tell whether the case needs it."""
        roles = {party.role for party in case.parties}
        return (not self.products or case.product in self.products) and (
            not self.roles or not roles.isdisjoint(self.roles)
        )


class Procedure(_Value):
    """The course of a suit in one country."""

    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    title: Words
    citation: str = Field(min_length=1)
    source: str = Field(min_length=1)
    confidence: Literal["source", "memory", "memory-weak", "infer"]
    checked: date
    margin_days: Annotated[int, Field(ge=0)]
    minimum_minor: dict[str, Annotated[int, Field(ge=0)]]
    blocking_holds: list[str]
    stages: dict[Stage, Words]
    step: list[StepRule]
    evidence: list[EvidenceRule]

    @model_validator(mode="after")
    def _sound(self) -> "Procedure":
        seen: set[tuple[Stage, MatterEvent]] = set()
        for step in self.step:
            named = set(step.from_) if step.to == "same" else {*step.from_, step.to}
            if not named <= self.stages.keys():
                raise ValueError(f"{step.event}: a stage that the procedure does not have")
            if not FINAL.isdisjoint(step.from_):
                raise ValueError(f"{step.event}: nothing follows a final stage")
            for stage in step.from_:
                if (stage, step.event) in seen:
                    raise ValueError(f"{step.event}: two answers at {stage}")
                seen.add((stage, step.event))
        return self

    @cached_property
    def table(self) -> StateTable[Stage, MatterEvent]:
        """Return what every event does at every stage."""
        return StateTable.ruled(Stage, MatterEvent, self._rule)

    def answer(self, stage: Stage, event: MatterEvent) -> Reply[Stage]:
        """Return what the event does to a matter at this stage; every pair has an answer."""
        return self.table.answer(stage, event)

    def _rule(self, stage: Stage, event: MatterEvent) -> Reply[Stage]:
        rules = [step for step in self.step if step.event is event]
        if not rules:
            return Refuse(f"there is no {event} in this country")
        for step in rules:
            if stage in step.from_:
                return Move(stage if step.to == "same" else step.to)
        if stage in FINAL and any(step.to == stage for step in rules):
            return Stay(f"the matter is {stage} already")
        return Refuse(
            f"the matter is {stage}, which is final" if stage in FINAL else f"a matter at {stage} cannot {event}"
        )

    def possible(self, stage: Stage) -> list[MatterEvent]:
        """Return the events that move a matter at this stage, or happen at it."""
        return [event for event in MatterEvent if isinstance(self.answer(stage, event), Move)]

    def missing(self, case: Case, event: MatterEvent, kinds: Iterable[str]) -> list[EvidenceRule]:
        """Return what must be on file before the event and is not."""
        there = set(kinds)
        return [
            rule for rule in self.evidence if rule.before is event and rule.concerns(case) and rule.kind not in there
        ]


@cache
def procedures() -> tuple[Procedure, ...]:
    """Return every procedure. Raises ValueError for malformed data and for two of one country."""
    data = tomllib.loads(PROCEDURES.read_text(encoding="utf-8"))
    found = tuple(Procedure.model_validate(each) for each in data["procedure"])
    if len({each.country for each in found}) != len(found):
        raise ValueError("two procedures of one country")
    return found


def procedure_of(country: str) -> Procedure | None:
    """Return the procedure of a country, None where there is none."""
    return next((each for each in procedures() if each.country == country), None)


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a claim is not sued for now: a code, and a sentence."""

    code: str
    detail: str


def obstacles(
    procedure: Procedure,
    case: Case,
    limitation: Limitation,
    holds: Iterable[str],
    *,
    today: date,
    is_urgent: bool = False,
) -> list[Obstacle]:
    """Return what stands against suing for the case on a local day; nothing means that it may be.

    ``holds`` are the kinds in force on the debt and its parties. An urgent matter needs no margin, but never sues for a
    barred claim, nor for one whose end nobody knows.
    """
    found = []
    left = limitation.days_left(today)
    if left is None:
        found.append(Obstacle("limitation_unknown", "nobody knows until when the claim can be sued for"))
    elif left < 0:
        found.append(Obstacle("limitation_over", "the limitation period is over"))
    elif left < procedure.margin_days and not is_urgent:
        found.append(Obstacle("limitation_near", f"less than {procedure.margin_days} days of the period are left"))
    least = procedure.minimum_minor.get(case.currency)
    if least is None or case.amount_due_minor < least:
        found.append(Obstacle("claim_too_small", "the claim is below the least that is sued for"))
    if not set(procedure.blocking_holds).isdisjoint(holds):
        found.append(Obstacle("claim_on_hold", "a hold is in force under which nobody sues"))
    return found
