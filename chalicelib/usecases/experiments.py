"""Experiments: drafted, started by somebody else, persons assigned by lot and measured, arms compared, ended.

A person is assigned once, in one transaction with the event of it and the count of the arm, and measured once in the
same way, so that the counts are what the events say however often a worker runs.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from chalicelib.domain import keys
from chalicelib.domain.cases.case import Case
from chalicelib.domain.concurrency import retrying
from chalicelib.domain.errors import FieldError, InvalidInput, NotFound, NotPermitted, StateConflict
from chalicelib.domain.events import Actor, EventType
from chalicelib.domain.experiments.assignment import arm_of
from chalicelib.domain.experiments.design import Arm, ArmRole, Design, design_faults
from chalicelib.domain.experiments.experiment import (
    MOST_EXPERIMENTS,
    Experiment,
    ExperimentState,
    Trial,
    TrialState,
)
from chalicelib.domain.experiments.outcomes import outcome_of
from chalicelib.domain.experiments.results import ArmCounts, Results, results, text_of
from chalicelib.domain.instants import from_text, local_date, to_text
from chalicelib.domain.kpi.scoreboard import Lift
from chalicelib.domain.strategies.facts import RIGHT_PARTY_OUTCOMES
from chalicelib.domain.strategies.plan import Enrolment
from chalicelib.usecases.cases import Caller, Context, lender_of
from chalicelib.usecases.ports import Scope, Store
from chalicelib.usecases.strategies import Enrolments, Strategies

WORKER = Actor("system", "release_due", "role")


class Experiments(Protocol):
    """Experiments, trials and counts. See ``chalicelib.store.experiment_repository``."""

    def experiments(self, scope: Scope) -> list[Experiment]:
        """Return every experiment of the lender."""
        ...

    def experiment(self, scope: Scope, experiment: str) -> Experiment | None:
        """Return an experiment, or None."""
        ...

    def experiment_record(self, scope: Scope, experiment: Experiment) -> Any:
        """Return the record of an experiment."""

    def trying(self, scope: Scope, champion: str) -> str | None:
        """Return the id of the experiment that runs on a version, or None."""
        ...

    def trying_row(self, scope: Scope, champion: str, experiment: str) -> Any:
        """Return the row that says so."""

    def trial(self, scope: Scope, trial: str) -> Trial | None:
        """Return a trial, or None."""
        ...

    def trial_record(self, scope: Scope, trial: Trial) -> Any:
        """Return the record of a trial."""

    def part(self, scope: Scope, trial: Trial) -> tuple[ArmCounts, int]:
        """Return the part of the arm's counts that a trial belongs to, and its version."""
        ...

    def part_record(self, scope: Scope, trial: Trial, counts: ArmCounts, *, version: int) -> Any:
        """Return the record of that part."""

    def counts(self, scope: Scope, experiment: str) -> Mapping[str, ArmCounts]:
        """Return the counts of every arm."""
        ...


@dataclass(frozen=True, slots=True)
class ExperimentPorts:
    """What experiments need."""

    store: Store
    experiments: Experiments
    strategies: Strategies
    plans: Enrolments


def draft_experiment(
    ports: ExperimentPorts, scope: Scope, identity: str, name: str, design: Design, caller: Caller, context: Context
) -> Experiment:
    """Write down an experiment with its design, which never changes; return the one that is there when it comes again.

    Raises InvalidInput with the pointer of each fault, StateConflict for one experiment too many.
    """
    faults = design_faults(design)
    if faults:
        raise InvalidInput.of([FieldError(f"/design{fault.pointer}", fault.code, fault.message) for fault in faults])

    def once() -> Experiment:
        known = ports.experiments.experiment(scope, identity)
        if known is not None:
            return known
        if len(ports.experiments.experiments(scope)) >= MOST_EXPERIMENTS:
            raise StateConflict("too_many_experiments", f"a lender has at most {MOST_EXPERIMENTS} experiments")
        made = Experiment(
            id=identity,
            name=name,
            design=design,
            salt=hashlib.sha256(f"forbear/salt/1\n{scope.tenant}\n{identity}".encode()).hexdigest(),
            author=caller.actor.id,
            drafted_at=to_text(context.now),
        )
        unit = ports.store.unit(scope, actor=caller.actor, req=context.req, now=context.now)
        unit.create(ports.experiments.experiment_record(scope, made))
        unit.emit(keys.experiment_pk(scope.tenant, identity), EventType.EXPERIMENT_DRAFTED, _data(made))
        unit.commit()
        return made

    return retrying(once)


def start_experiment(
    ports: ExperimentPorts, scope: Scope, identity: str, caller: Caller, context: Context, *, reason: str
) -> Experiment:
    """Let persons be assigned from now on, as somebody else than the author.

    The champion's version must be in force and the others approved; one experiment runs on a champion at a time.
    Raises NotFound, NotPermitted for the author, StateConflict.
    """

    def once() -> Experiment:
        known = get_experiment(ports, scope, identity)
        if known.author == caller.actor.id:
            raise NotPermitted("whoever designed an experiment does not start it", code="own_draft")
        if known.state is not ExperimentState.DRAFT:
            raise StateConflict("already_started", f"the experiment is {known.state}")
        _refuse_unfit(ports, scope, known.design, context.now)
        champion = known.design.champion.strategy or ""
        if ports.experiments.trying(scope, champion) is not None:
            raise StateConflict("already_on_trial", "another experiment runs on that version")
        after = known.model_copy(
            update={
                "state": ExperimentState.RUNNING,
                "started_by": caller.actor.id,
                "started_at": to_text(context.now),
                "start_reason": reason,
                "version": known.version + 1,
            }
        )
        unit = ports.store.unit(scope, actor=caller.actor, req=context.req, now=context.now)
        unit.replace(ports.experiments.experiment_record(scope, after), expected=known.version)
        unit.create(ports.experiments.trying_row(scope, champion, identity))
        unit.emit(keys.experiment_pk(scope.tenant, identity), EventType.EXPERIMENT_STARTED, _data(after))
        unit.commit()
        return after

    return retrying(once)


def _refuse_unfit(ports: ExperimentPorts, scope: Scope, design: Design, now: datetime) -> None:
    for arm in design.arms:
        if arm.strategy is None:
            continue
        name, _, number = arm.strategy.partition("@")
        book = ports.strategies.book(scope, name)
        life = None if book is None else book.numbered(int(number))
        if life is None or not life.is_approved:
            raise StateConflict("arm_not_approved", f"the strategy of the arm {arm.name} is not an approved version")
        if arm.name == design.champion.name and not life.in_force(now):
            raise StateConflict("champion_not_in_force", "the champion's version is not the one that cases follow")


def end_experiment(
    ports: ExperimentPorts, scope: Scope, identity: str, caller: Caller, context: Context, *, reason: str
) -> Experiment:
    """End an experiment: nobody is assigned any more, all follow what is in force, who was assigned is still measured.

    Raises NotFound, StateConflict when it ended before.
    """

    def once() -> Experiment:
        known = get_experiment(ports, scope, identity)
        if known.state is ExperimentState.ENDED:
            raise StateConflict("not_in_use", "the experiment has ended")
        after = known.model_copy(
            update={
                "state": ExperimentState.ENDED,
                "ended_by": caller.actor.id,
                "ended_at": to_text(context.now),
                "end_reason": reason,
                "version": known.version + 1,
            }
        )
        unit = ports.store.unit(scope, actor=caller.actor, req=context.req, now=context.now)
        unit.replace(ports.experiments.experiment_record(scope, after), expected=known.version)
        if known.state is ExperimentState.RUNNING:
            unit.drop(ports.experiments.trying_row(scope, known.design.champion.strategy or "", identity))
        # The plans of the holdout rest and nothing else would wake them.
        walk = Enrolment(strategy=identity, number=1, due_at=to_text(context.now))
        unit.create(ports.plans.enrolment_record(scope, walk))
        unit.emit(keys.experiment_pk(scope.tenant, identity), EventType.EXPERIMENT_ENDED, _data(after))
        unit.commit()
        return after

    return retrying(once)


def get_experiment(ports: ExperimentPorts, scope: Scope, identity: str) -> Experiment:
    """Return an experiment. Raises NotFound."""
    found = ports.experiments.experiment(scope, identity)
    if found is None:
        raise NotFound("experiment", identity)
    return found


def results_of(ports: ExperimentPorts, scope: Scope, experiment: Experiment) -> Results:
    """Return what the experiment says now; looking changes nothing about the rate of false alarms."""
    return results(experiment.design, ports.experiments.counts(scope, experiment.id))


def lifts_of(ports: ExperimentPorts, scope: Scope) -> list[Lift]:
    """Return what every experiment that was started says of each challenger now, in the order in which they started.

    A holdout is no change of strategy, so what it is compared for is left out.
    """
    started = sorted(
        (each for each in ports.experiments.experiments(scope) if each.started_at is not None),
        key=lambda each: (each.started_at or "", each.id),
    )
    return [
        Lift(
            experiment=experiment.id,
            strategy=experiment.design.arm(each.arm).strategy or "",
            metric=experiment.design.metric.value,
            answer=each.answer,
            because=each.because,
            interval=None
            if each.lift is None
            else (text_of(each.lift.estimate), text_of(each.lift.low), text_of(each.lift.high)),
            goal=each.goal,
            n=each.measured,
            planned=each.planned,
        )
        for experiment in started
        for each in results_of(ports, scope, experiment).comparisons
        if each.role is ArmRole.CHALLENGER
    ]


# Assigning and measuring


def experiment_on(ports: ExperimentPorts, scope: Scope, champion: str) -> Experiment | None:
    """Return the running experiment whose champion is the version (``<id>@<n>``), or None."""
    identity = ports.experiments.trying(scope, champion)
    return None if identity is None else ports.experiments.experiment(scope, identity)


def arm_for(experiment: Experiment, person: str) -> Arm:
    """Return the arm that the lot gives a person."""
    return experiment.design.arm(arm_of(experiment.salt, person, experiment.design.shares))


def trial_id(experiment: str, person: str) -> str:
    """Return the id of a person's trial: one for each person in an experiment."""
    named = "\n".join(("forbear/trial/1", experiment, person))
    return f"tri_{hashlib.sha256(named.encode()).hexdigest()[:26]}"


def assign(
    ports: ExperimentPorts, scope: Scope, experiment: Experiment, case: Case, *, now: datetime, req: str
) -> Trial:
    """Record a person's arm once, with its event and count, and return the trial; one that is there stays as it is."""

    def once() -> Trial:
        identity = trial_id(experiment.id, case.debtor)
        known = ports.experiments.trial(scope, identity)
        if known is not None:
            return known
        zone = lender_of(ports.store, scope).zone
        on = local_date(now, zone)
        ends = on + timedelta(days=experiment.design.horizon_days)
        cases = _cases_of(ports.store, scope, case.debtor, case)
        trial = Trial(
            id=identity,
            experiment=experiment.id,
            person=case.debtor,
            arm=arm_for(experiment, case.debtor).name,
            case=case.id,
            owed_minor=sum(each.amount_due_minor for each in cases),
            assigned_at=to_text(now),
            assigned_on=on.isoformat(),
            ends_on=ends.isoformat(),
            due_at=to_text(datetime.combine(ends + timedelta(days=1), time(), tzinfo=ZoneInfo(zone))),
        )
        counts, version = ports.experiments.part(scope, trial)
        counted = replace(counts, assigned=counts.assigned + 1)
        unit = ports.store.unit(scope, actor=WORKER, req=req, now=now)
        unit.create(ports.experiments.trial_record(scope, trial))
        unit.replace(ports.experiments.part_record(scope, trial, counted, version=version + 1), expected=version)
        unit.emit(
            keys.trial_pk(scope.tenant, identity),
            EventType.EXPERIMENT_ASSIGNED,
            {
                "trial": identity,
                "experiment": experiment.id,
                "person": trial.person,
                "arm": trial.arm,
                "ends_on": trial.ends_on,
            },
            fresh=True,
        )
        unit.commit()
        return trial

    return retrying(once)


def measure(
    ports: ExperimentPorts, scope: Scope, identity: str, *, now: datetime, req: str = "req_clock"
) -> str | None:
    """Measure a person whose horizon is over, once; return the kind of move, or None when there is nothing to measure."""

    def once() -> str | None:
        trial = ports.experiments.trial(scope, identity)
        if (
            trial is None
            or trial.state is not TrialState.ASSIGNED
            or trial.due_at is None
            or trial.due_at > to_text(now)
        ):
            return None
        experiment = get_experiment(ports, scope, trial.experiment)
        outcome = _outcome(ports, scope, experiment, trial)
        state = TrialState.LOST if outcome is None else TrialState.MEASURED
        told: dict[str, Any] = {"state": state, "outcome": outcome, "due_at": None, "version": trial.version + 1}
        unit = ports.store.unit(scope, actor=WORKER, req=req, now=now)
        unit.replace(ports.experiments.trial_record(scope, trial.model_copy(update=told)), expected=trial.version)
        if outcome is not None:
            counts, version = ports.experiments.part(scope, trial)
            counted = counts.plus(outcome)
            unit.replace(ports.experiments.part_record(scope, trial, counted, version=version + 1), expected=version)
        unit.emit(
            keys.trial_pk(scope.tenant, identity),
            EventType.EXPERIMENT_MEASURED,
            {
                "trial": identity,
                "experiment": trial.experiment,
                "person": trial.person,
                "arm": trial.arm,
                "measured": outcome,
            },
        )
        unit.commit()
        return f"trial_{state.value}"

    return retrying(once)


def _outcome(ports: ExperimentPorts, scope: Scope, experiment: Experiment, trial: Trial) -> int | None:
    person = ports.store.person(scope, trial.person)
    if person is None:
        return None
    zone = lender_of(ports.store, scope).zone
    after, until = date.fromisoformat(trial.assigned_on), date.fromisoformat(trial.ends_on)

    def counts(at: str) -> bool:
        return from_text(trial.assigned_at) < from_text(at) and local_date(from_text(at), zone) <= until

    ledger = ports.store.ledger(scope, trial.person)
    complaints = [
        event
        for event in ports.store.events(scope, keys.person_pk(scope.tenant, trial.person))
        if event.type is EventType.COMPLAINT_RECEIVED and counts(event.at)
    ]
    return outcome_of(
        experiment.design.metric,
        _cases_of(ports.store, scope, trial.person, ports.store.case(scope, trial.case)),
        owed_minor=trial.owed_minor,
        after=after,
        until=until,
        was_reached=any(each.outcome in RIGHT_PARTY_OUTCOMES and counts(each.at) for each in ledger.history),
        has_complained=bool(complaints),
    )


def _cases_of(store: Store, scope: Scope, person: str, known: Case | None) -> list[Case]:
    found = store.cases(scope, store.cases_of(scope, person))
    if known is not None:
        found = {**found, known.id: known}
    return [case for case in found.values() if case.debtor == person]


def _data(experiment: Experiment) -> dict[str, Any]:
    return {"experiment": experiment.id, "sha256": experiment.design.sha256, "metric": experiment.design.metric.value}
