"""Quality checks and plans, and the lists that checks are found by: ids and codes, nothing personal.

- ``T#<lender>#CHK#<id>`` | ``CHECK`` (record table): where a check stands; the use cases write it as a plain record
- ``T#<lender>`` | ``QPLAN#<agency>`` (record table): which share of an agency's contacts people check
- ``T#<lender>#CHECKS`` and ``T#<lender>#CHECKSOF#<agency>`` | ``<status>#<due at>#<id>`` (view table): lists of all and of one
  agency's, which can be rebuilt
"""

import json
from collections.abc import Sequence

from chalicelib.domain import keys
from chalicelib.domain.events import Event
from chalicelib.domain.risk.quality import CheckState, QualityCheck, QualityPlan, Row
from chalicelib.store.repository import ForeignItem, Scope, event_of
from chalicelib.store.tables import Record, View

_BATCH_GET = 100
_LAST = "~"
"""Sorts behind every character of an instant or id."""


class QualityRepository:
    """Implements ``chalicelib.usecases.quality.Checks``."""

    def plan(self, scope: Scope, agency: str) -> QualityPlan | None:
        """Return the plan of an agency by a strongly consistent read, or None."""
        pk, sk = keys.tenant_pk(scope.tenant), keys.quality_plan_sk(agency)
        try:
            item = Record.get(pk, sk, consistent_read=True)
        except Record.DoesNotExist:
            return None
        return QualityPlan.model_validate({**json.loads(item.d), "version": item.v})

    def check(self, scope: Scope, check: str) -> QualityCheck | None:
        """Return the check by a strongly consistent read, or None."""
        pk = keys.quality_pk(scope.tenant, check)
        try:
            return _opened(Record.get(pk, keys.QUALITY_SK, consistent_read=True), scope)
        except Record.DoesNotExist:
            return None

    def many(self, scope: Scope, checks: Sequence[str]) -> list[QualityCheck]:
        """Return those checks that exist, in the order asked for."""
        found: dict[str, QualityCheck] = {}
        for start in range(0, len(checks), _BATCH_GET):
            part = checks[start : start + _BATCH_GET]
            wanted = [(keys.quality_pk(scope.tenant, each), keys.QUALITY_SK) for each in part]
            for record in Record.batch_get(wanted, consistent_read=True):
                check = _opened(record, scope)
                found[check.id] = check
        return [found[each] for each in checks if each in found]

    def index(self, check: QualityCheck) -> None:
        """Bring the lists up to the check as it stands: its rows are put, and every other that it may have had is dropped."""
        with View.batch_write() as batch:
            for agency in (None, check.agency):
                for status in CheckState:
                    row = View(keys.checks_pk(check.tenant, agency), f"{status.value}#{check.due_at}#{check.id}")
                    if status is check.status:
                        batch.save(row)
                    else:
                        batch.delete(row)

    def page(self, scope: Scope, status: str, *, agency: str | None, after: str | None, limit: int) -> list[Row]:
        """Return up to ``limit`` rows of a list by due instant, after a place."""
        first = after + "\0" if after is not None else f"{status}#"
        found = View.query(
            keys.checks_pk(scope.tenant, agency),
            View.sk.between(first, f"{status}#{_LAST}"),
            limit=limit,
            consistent_read=True,
        )
        return [Row(row.sk, row.sk.rsplit("#", 1)[1]) for row in found]

    def words(self, scope: Scope, check: QualityCheck) -> Event | None:
        """Return the event that seals what was written, or None."""
        if check.words is None:
            return None
        pk, sk = keys.case_pk(scope.tenant, check.case), keys.event_sk(check.words)
        found = next(iter(Record.batch_get([(pk, sk)], consistent_read=True)), None)
        return None if found is None else event_of(found.e, tenant=scope.tenant)


def _opened(item: Record, scope: Scope) -> QualityCheck:
    if keys.tenant_of(item.pk) != scope.tenant:
        raise ForeignItem(f"an item of another lender answered a read of {scope.tenant}")
    return QualityCheck.model_validate({**json.loads(item.d), "version": item.v})
