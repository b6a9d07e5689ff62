"""Experiments, the trials of persons in them, and the counts of their arms: ids, codes and counts, nothing personal.

- ``T#<lender>`` | ``EXPERIMENT#<id>``: the experiment
- ``T#<lender>#TRYING`` | ``<strategy>@<n>`` (view table): the experiment that runs on a version
- ``T#<lender>#TRIAL#<id>`` | ``TRIAL``: one person's trial; the due index wakes it when the horizon is over
- ``T#<lender>#EXP#<id>`` | ``ARM#<arm>#<shard>``: counts of an arm, in eight parts so that writers seldom meet
"""

import hashlib
import json

from chalicelib.domain import keys
from chalicelib.domain.experiments.experiment import Experiment, Trial
from chalicelib.domain.experiments.results import ArmCounts
from chalicelib.store.repository import Scope
from chalicelib.store.tables import Record, View

ARM_SHARDS = 8


class ExperimentRepository:
    """Implements ``chalicelib.usecases.experiments.Experiments``."""

    def experiments(self, scope: Scope) -> list[Experiment]:
        """Return every experiment of the lender by id."""
        prefix = keys.experiment_sk("")
        found = Record.query(keys.tenant_pk(scope.tenant), Record.sk.startswith(prefix), consistent_read=True)
        return [Experiment.model_validate({**json.loads(item.d), "version": item.v}) for item in found]

    def experiment(self, scope: Scope, experiment: str) -> Experiment | None:
        """Return the experiment by a strongly consistent read, or None."""
        try:
            item = Record.get(keys.tenant_pk(scope.tenant), keys.experiment_sk(experiment), consistent_read=True)
        except Record.DoesNotExist:
            return None
        return Experiment.model_validate({**json.loads(item.d), "version": item.v})

    def experiment_record(self, scope: Scope, experiment: Experiment) -> Record:
        """Return the record of the experiment as ``experiment.version``."""
        body = experiment.model_dump_json(exclude={"version"})
        sk = keys.experiment_sk(experiment.id)
        return Record(keys.tenant_pk(scope.tenant), sk, v=experiment.version, s=experiment.state.value, d=body)

    def trying(self, scope: Scope, champion: str) -> str | None:
        """Return the id of the experiment that runs on a version (``<id>@<n>``), by a strongly consistent read, or None."""
        try:
            return str(View.get(keys.trying_pk(scope.tenant), champion, consistent_read=True).d)
        except View.DoesNotExist:
            return None

    def trying_row(self, scope: Scope, champion: str, experiment: str) -> View:
        """Return the row that says which experiment runs on a version."""
        return View(keys.trying_pk(scope.tenant), champion, d=experiment)

    def trial(self, scope: Scope, trial: str) -> Trial | None:
        """Return the trial by a strongly consistent read, or None."""
        try:
            item = Record.get(keys.trial_pk(scope.tenant, trial), "TRIAL", consistent_read=True)
        except Record.DoesNotExist:
            return None
        return Trial.model_validate({**json.loads(item.d), "version": item.v})

    def trial_record(self, scope: Scope, trial: Trial) -> Record:
        """Return the record of the trial as ``trial.version``."""
        body = trial.model_dump_json(exclude_defaults=True, exclude={"version"})
        record = Record(keys.trial_pk(scope.tenant, trial.id), "TRIAL", v=trial.version, s=trial.state.value, d=body)
        if trial.due_at is not None:
            record.due_shard, record.due_at = keys.due_shard(trial.id), trial.due_at
        return record

    def part(self, scope: Scope, trial: Trial) -> tuple[ArmCounts, int]:
        """Return the part of its arm's counts that the trial belongs to, and its version (0: there is none yet)."""
        try:
            item = Record.get(*_place(scope, trial), consistent_read=True)
        except Record.DoesNotExist:
            return ArmCounts(), 0
        return _counts(item), int(item.v)

    def part_record(self, scope: Scope, trial: Trial, counts: ArmCounts, *, version: int) -> Record:
        """Return the record of that part at a version."""
        pk, sk = _place(scope, trial)
        told = [counts.assigned, counts.measured, counts.nonzero, counts.total, counts.squares]
        return Record(pk, sk, v=version, d=json.dumps(told))

    def counts(self, scope: Scope, experiment: str) -> dict[str, ArmCounts]:
        """Return the counts of every arm of which something was counted."""
        found: dict[str, ArmCounts] = {}
        pk = keys.experiment_pk(scope.tenant, experiment)
        for item in Record.query(pk, Record.sk.startswith("ARM#"), consistent_read=True):
            arm = item.sk.split("#")[1]
            found[arm] = found.get(arm, ArmCounts()).merged(_counts(item))
        return found


def _place(scope: Scope, trial: Trial) -> tuple[str, str]:
    shard = hashlib.sha256(trial.id.encode()).digest()[0] % ARM_SHARDS
    return keys.experiment_pk(scope.tenant, trial.experiment), f"ARM#{trial.arm}#{shard}"


def _counts(item: Record) -> ArmCounts:
    return ArmCounts(*json.loads(item.d))
