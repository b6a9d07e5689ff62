"""Experiments over HTTP: design, start, look at the results as often as one likes, end."""

from typing import Annotated, Literal

from chalice.app import Blueprint
from pydantic import BaseModel, ConfigDict, Field

from chalicelib import wiring
from chalicelib.domain.errors import StateConflict
from chalicelib.domain.experiments.design import Design, planned_persons
from chalicelib.domain.experiments.experiment import Experiment
from chalicelib.domain.experiments.mismatch import Mismatch
from chalicelib.domain.experiments.results import Comparison, Results, text_of
from chalicelib.domain.experiments.sequential import Interval
from chalicelib.domain.principals import Principal, scope_of
from chalicelib.edge.callers import told_by
from chalicelib.edge.http import Answer, Request, route
from chalicelib.usecases import experiments

bp = Blueprint(__name__)

Line = Annotated[str, Field(min_length=1, max_length=200)]
Reason = Annotated[str, Field(min_length=10, max_length=2_000)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ExperimentDraft(_Model):
    """An experiment: its name, and its design, which never changes. See ``docs/experiments.md``."""

    name: Line
    design: Design


class ExperimentStart(_Model):
    """The start of an experiment by who did not design it."""

    reason: Reason


class ExperimentEnd(_Model):
    """The end of an experiment, for good."""

    reason: Reason


class IntervalView(_Model):
    """An estimate with the interval around it (closed) that holds at all looks at once; decimal texts."""

    estimate: str
    low: str
    high: str


class ComparisonView(_Model):
    """An arm beside the champion. ``lift`` is relative; ``goal`` says whether it reaches the +10 % of the plan."""

    arm: str
    role: Literal["challenger", "holdout"]
    answer: Literal["not_enough_data", "better", "worse", "no_difference_found"]
    because: Literal["sample_ratio_mismatch", "too_few_measured", "plan_not_reached"] | None
    difference: IntervalView | None
    lift: IntervalView | None
    goal: Literal["met", "missed", "open"]
    measured: int
    planned: int


class MismatchView(_Model):
    """Whether the arms have the sizes of the lot: ``p_value`` of chi-square for one look, ``alarm`` for all looks."""

    alarm: bool
    chi_square: str
    p_value: str


class ArmView(_Model):
    """How many persons of an arm are assigned and measured, and the mean of their outcomes, of the greatest outcome."""

    arm: str
    assigned: int
    measured: int
    mean: str | None


class ResultsView(_Model):
    """What the experiment says at this look."""

    arms: list[ArmView]
    comparisons: list[ComparisonView]
    assigned: MismatchView
    measured: MismatchView


class ExperimentView(_Model):
    """An experiment: its design with the digest, how many persons it plans with, where it stands, what it says."""

    id: str
    name: str
    state: Literal["draft", "running", "ended"]
    design: Design
    sha256: str
    planned: int
    author: str
    drafted_at: str
    started_by: str | None
    started_at: str | None
    ended_by: str | None
    ended_at: str | None
    start_reason: str | None
    end_reason: str | None
    results: ResultsView | None = None


class ExperimentList(_Model):
    """The lender's experiments by id, without their results."""

    items: list[ExperimentView]


def _interval(found: Interval | None) -> IntervalView | None:
    if found is None:
        return None
    return IntervalView(estimate=text_of(found.estimate), low=text_of(found.low), high=text_of(found.high))


def _comparison(found: Comparison) -> ComparisonView:
    return ComparisonView.model_validate(
        {
            "arm": found.arm,
            "role": found.role.value,
            "answer": found.answer.value,
            "because": None if found.because is None else found.because.value,
            "difference": _interval(found.difference),
            "lift": _interval(found.lift),
            "goal": found.goal.value,
            "measured": found.measured,
            "planned": found.planned,
        }
    )


def _mismatch(found: Mismatch) -> MismatchView:
    return MismatchView(alarm=found.alarm, chi_square=text_of(found.chi_square), p_value=text_of(found.p_value))


def _results(design: Design, found: Results) -> ResultsView:
    arms = [
        ArmView(
            arm=name,
            assigned=counts.assigned,
            measured=counts.measured,
            mean=text_of(counts.sample.mean / design.metric.most) if counts.measured else None,
        )
        for name, counts in found.arms.items()
    ]
    return ResultsView(
        arms=arms,
        comparisons=[_comparison(each) for each in found.comparisons],
        assigned=_mismatch(found.assigned_mismatch),
        measured=_mismatch(found.measured_mismatch),
    )


def _view(experiment: Experiment, found: Results | None = None) -> ExperimentView:
    return ExperimentView(
        **experiment.model_dump(exclude={"salt", "version", "state", "design"}),
        state=experiment.state.value,
        design=experiment.design,
        sha256=experiment.design.sha256,
        planned=planned_persons(experiment.design),
        results=None if found is None else _results(experiment.design, found),
    )


def _answer(experiment: Experiment) -> Answer:
    place = f"/v1/experiments/{experiment.id}"
    return Answer(_view(experiment), version=experiment.version, location=place)


@route(
    bp,
    "POST",
    "/v1/experiments",
    scope="strategies:write",
    body=ExperimentDraft,
    response=ExperimentView,
    status=201,
    errors=[StateConflict],
    summary="Design an experiment over strategies: metric, horizon and smallest effect are named beforehand",
)
def draft_experiment(principal: Principal, request: Request[ExperimentDraft, None]) -> Answer:
    """``planned`` says how many persons the design needs. Nothing of the design can be changed afterwards."""
    return _answer(
        experiments.draft_experiment(
            wiring.experiment_ports(),
            scope_of(principal),
            request.derived_id("exp"),
            request.body.name,
            request.body.design,
            *told_by(principal, request),
        )
    )


@route(
    bp,
    "GET",
    "/v1/experiments",
    scope="strategies:read",
    response=ExperimentList,
    content_tag=True,
    summary="List the lender's experiments",
)
def list_experiments(principal: Principal, request: Request[None, None]) -> ExperimentList:
    """Results are read one by one."""
    found = wiring.experiment_ports().experiments.experiments(scope_of(principal))
    return ExperimentList(items=[_view(each) for each in found])


@route(
    bp,
    "GET",
    "/v1/experiments/{experiment_id}",
    scope="strategies:read",
    response=ExperimentView,
    content_tag=True,
    summary="Read an experiment and what it says now; looking often does no harm",
)
def read_experiment(principal: Principal, request: Request[None, None]) -> ExperimentView:
    """``not_enough_data`` is an answer. The intervals hold at all looks at once."""
    ports, scope = wiring.experiment_ports(), scope_of(principal)
    experiment = experiments.get_experiment(ports, scope, request.path["experiment_id"])
    return _view(experiment, experiments.results_of(ports, scope, experiment))


@route(
    bp,
    "POST",
    "/v1/experiments/{experiment_id}/start",
    scope="strategies:approve",
    body=ExperimentStart,
    response=ExperimentView,
    errors=[StateConflict],
    summary="Start an experiment, as compliance officer and never as its author",
)
def start_experiment(principal: Principal, request: Request[ExperimentStart, None]) -> Answer:
    """From now on persons are assigned by lot as their plans are looked at."""
    ports, scope = wiring.experiment_ports(), scope_of(principal)
    told = told_by(principal, request)
    reason = request.body.reason
    return _answer(experiments.start_experiment(ports, scope, request.path["experiment_id"], *told, reason=reason))


@route(
    bp,
    "POST",
    "/v1/experiments/{experiment_id}/end",
    scope="strategies:write",
    body=ExperimentEnd,
    response=ExperimentView,
    errors=[StateConflict],
    summary="End an experiment: nobody is assigned any more, and who was is still measured",
)
def end_experiment(principal: Principal, request: Request[ExperimentEnd, None]) -> Answer:
    """From now on every case follows what is in force."""
    ports, scope = wiring.experiment_ports(), scope_of(principal)
    told = told_by(principal, request)
    reason = request.body.reason
    return _answer(experiments.end_experiment(ports, scope, request.path["experiment_id"], *told, reason=reason))
