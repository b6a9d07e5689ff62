"""Plans of cases, the walk that hands them out, and what the day's budgets were used for: ids and codes, nothing personal.

- ``T#<lender>#PLAN#<case>`` | ``PLAN``: where a case stands in its strategy; the due index wakes it
- ``T#<lender>#ENROL#<strategy>-<n>`` | ``ENROL``: how far the walk over the lender's cases has come
- ``T#<lender>#BUDGET#<local day>`` | ``<* or agency>#<channel>`` (view table): messages asked for, v = count + 1
"""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from pynamodb.exceptions import PutError

from chalicelib.domain import keys
from chalicelib.domain.strategies.plan import CasePlan, Enrolment
from chalicelib.store.repository import Scope
from chalicelib.store.tables import Record, View

_BATCH_GET = 100
_KEPT = timedelta(days=40)


class PlanRepository:
    """Implements ``chalicelib.usecases.plans.Plans``."""

    def plan(self, scope: Scope, case: str) -> CasePlan | None:
        """Return the case's plan by a strongly consistent read, or None."""
        try:
            item = Record.get(keys.plan_pk(scope.tenant, case), "PLAN", consistent_read=True)
        except Record.DoesNotExist:
            return None
        return CasePlan.model_validate({**json.loads(item.d), "version": item.v})

    def plans(self, scope: Scope, cases: Sequence[str]) -> dict[str, CasePlan]:
        """Return those plans that exist, by case, in few reads."""
        found: dict[str, CasePlan] = {}
        for start in range(0, len(cases), _BATCH_GET):
            wanted = [(keys.plan_pk(scope.tenant, case), "PLAN") for case in cases[start : start + _BATCH_GET]]
            for item in Record.batch_get(wanted, consistent_read=True):
                plan = CasePlan.model_validate({**json.loads(item.d), "version": item.v})
                found[plan.case] = plan
        return found

    def plan_record(self, scope: Scope, plan: CasePlan) -> Record:
        """Return the record of the plan as ``plan.version``."""
        body = plan.model_dump_json(exclude_defaults=True, exclude={"version"})
        record = Record(keys.plan_pk(scope.tenant, plan.case), "PLAN", v=plan.version, s=plan.standing, d=body)
        if plan.due_at is not None:
            record.due_shard, record.due_at = keys.due_shard(plan.case), plan.due_at
        return record

    def put_plans(self, scope: Scope, plans: Iterable[CasePlan]) -> int:
        """Put each plan over the version before it; return how many, leaving out what somebody else wrote meanwhile."""
        put = 0
        for plan in plans:
            before = Record.pk.does_not_exist() if plan.version == 1 else Record.v == plan.version - 1
            try:
                self.plan_record(scope, plan).save(condition=before)
            except PutError as error:
                if error.cause_response_code != "ConditionalCheckFailedException":
                    raise
                continue
            put += 1
        return put

    def enrolment(self, scope: Scope, name: str) -> Enrolment | None:
        """Return the walk named ``<strategy>-<n>``, or None."""
        strategy, _, number = name.rpartition("-")
        try:
            item = Record.get(keys.enrolment_pk(scope.tenant, strategy, int(number)), "ENROL", consistent_read=True)
        except Record.DoesNotExist:
            return None
        return Enrolment.model_validate({**json.loads(item.d), "version": item.v})

    def enrolment_record(self, scope: Scope, walk: Enrolment) -> Record:
        """Return the record of the walk as ``walk.version``."""
        pk = keys.enrolment_pk(scope.tenant, walk.strategy, walk.number)
        record = Record(pk, "ENROL", v=walk.version, d=walk.model_dump_json(exclude={"version"}))
        if walk.due_at is not None:
            record.due_shard, record.due_at = keys.due_shard(f"{walk.strategy}-{walk.number}"), walk.due_at
        return record

    def used(self, scope: Scope, day: str, of: str, channel: str) -> int:
        """Return how many messages by the channel were asked for on the local day, by a strongly consistent read."""
        try:
            return int(View.get(keys.budget_pk(scope.tenant, day), f"{of}#{channel}", consistent_read=True).v) - 1
        except View.DoesNotExist:
            return 0

    def used_row(self, scope: Scope, day: str, of: str, channel: str, count: int, *, now: datetime) -> View:
        """Return the row that counts so many; its version is the count and one, and the table forgets it."""
        ends = int((now + _KEPT).timestamp())
        return View(keys.budget_pk(scope.tenant, day), f"{of}#{channel}", v=count + 1, ttl=ends)
