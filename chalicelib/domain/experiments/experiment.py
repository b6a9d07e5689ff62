"""An experiment over strategies: its life, and the trial of each person in it."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from chalicelib.domain.experiments.design import Design

MOST_EXPERIMENTS = 200
"""How many experiments one lender may have, ended ones included."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ExperimentState(StrEnum):
    """Where an experiment stands: persons are assigned while it runs, and measured until their horizons are over."""

    DRAFT = "draft"
    RUNNING = "running"
    ENDED = "ended"


class Experiment(_Value):
    """An experiment. The design is fixed with the draft; ``salt`` makes its lots its own."""

    id: str
    name: str
    design: Design
    salt: str
    state: ExperimentState = ExperimentState.DRAFT
    author: str
    drafted_at: str
    started_by: str | None = None
    started_at: str | None = None
    ended_by: str | None = None
    ended_at: str | None = None
    start_reason: str | None = None
    end_reason: str | None = None
    version: int = 1


class TrialState(StrEnum):
    """Where a person's trial stands; ``lost`` is one whose outcome nobody can know any more (the person was erased)."""

    ASSIGNED = "assigned"
    MEASURED = "measured"
    LOST = "lost"


class Trial(_Value):
    """One person in one experiment: the arm, what was owed at assignment (minor units), and later the outcome.

    ``assigned_on`` and ``ends_on`` are local days of the lender; what happens on a day after the first up to the last counts.
    """

    id: str
    experiment: str
    person: str
    arm: str
    case: str
    owed_minor: int
    assigned_at: str
    assigned_on: str
    ends_on: str
    state: TrialState = TrialState.ASSIGNED
    outcome: int | None = None
    due_at: str | None = None
    version: int = 1
