"""Legal-risk events and the lists that they are found by: ids and codes, nothing personal.

- ``T#<lender>#RISK#<id>`` | ``RISK`` (record table): where an event stands; the use cases write it as a plain record
- ``T#<lender>#RISKS`` and ``T#<lender>#RISKSOF#<agency>`` | ``<list>#<raised at>#<id>`` (view table): lists of all and of one
  agency's, which can be rebuilt; ``<list>`` is a status, ``undecided`` or ``open``
- ``T#<lender>#DENIED#<case>`` | ``<local day>#<agency>#<contact>`` (view table): which contacts of a case were denied
"""

import json
from collections.abc import Sequence

from chalicelib.domain import keys
from chalicelib.domain.events import Event
from chalicelib.domain.risk.event import UNDECIDED, RiskEvent, RiskState, Row, stream_pk
from chalicelib.store.repository import ForeignItem, Scope, event_of
from chalicelib.store.tables import Record, View

_LISTS = (*(status.value for status in RiskState), "undecided", "open")
_BATCH_GET = 100
_LAST = "~"
"""Sorts behind every character of an instant or id."""


class RiskRepository:
    """Implements ``chalicelib.usecases.risks.Risks``."""

    def risk(self, scope: Scope, risk: str) -> RiskEvent | None:
        """Return the event by a strongly consistent read, or None."""
        try:
            return _opened(Record.get(keys.risk_pk(scope.tenant, risk), keys.RISK_SK, consistent_read=True), scope)
        except Record.DoesNotExist:
            return None

    def many(self, scope: Scope, risks: Sequence[str]) -> list[RiskEvent]:
        """Return those events that exist, in the order asked for."""
        found: dict[str, RiskEvent] = {}
        for start in range(0, len(risks), _BATCH_GET):
            wanted = [(keys.risk_pk(scope.tenant, each), keys.RISK_SK) for each in risks[start : start + _BATCH_GET]]
            for record in Record.batch_get(wanted, consistent_read=True):
                risk = _opened(record, scope)
                found[risk.id] = risk
        return [found[each] for each in risks if each in found]

    def index(self, risk: RiskEvent) -> None:
        """Bring the lists up to the event as it stands: its rows are put, and every other that it may have had is dropped."""
        lists = {risk.status.value}
        if risk.status in UNDECIDED:
            lists.add("undecided")
        if risk.is_open:
            lists.add("open")
        with View.batch_write() as batch:
            for agency in (None,) if risk.agency is None else (None, risk.agency):
                for name in _LISTS:
                    row = View(keys.risks_pk(risk.tenant, agency), f"{name}#{risk.raised_at}#{risk.id}")
                    if name in lists:
                        batch.save(row)
                    else:
                        batch.delete(row)

    def page(self, scope: Scope, name: str, *, agency: str | None, after: str | None, limit: int) -> list[Row]:
        """Return up to ``limit`` rows of a list by the instant at which they were raised, after a place."""
        first = after + "\0" if after is not None else f"{name}#"
        found = View.query(
            keys.risks_pk(scope.tenant, agency),
            View.sk.between(first, f"{name}#{_LAST}"),
            limit=limit,
            consistent_read=True,
        )
        return [Row(row.sk, row.sk.rsplit("#", 1)[1]) for row in found]

    def words(self, scope: Scope, risk: RiskEvent) -> dict[int, Event]:
        """Return the events that seal what was written, by their numbers."""
        numbers = sorted({step.words for step in risk.steps if step.words is not None})
        found = Record.batch_get([(stream_pk(risk), keys.event_sk(number)) for number in numbers], consistent_read=True)
        return {keys.event_seq(record.sk): event_of(record.e, tenant=scope.tenant) for record in found}

    def enter_denied(self, scope: Scope, case: str, *, day: str, agency: str, contact: str, most: int) -> list[str]:
        """Note that a contact was denied; return up to ``most`` of those of the case that were denied to the agency on the day."""
        pk, prefix = keys.denied_pk(scope.tenant, case), f"{day}#{agency}#"
        View(pk, f"{prefix}{contact}").save()
        found = View.query(pk, View.sk.startswith(prefix), limit=most, consistent_read=True)
        return [row.sk.removeprefix(prefix) for row in found]


def _opened(item: Record, scope: Scope) -> RiskEvent:
    if keys.tenant_of(item.pk) != scope.tenant:
        raise ForeignItem(f"an item of another lender answered a read of {scope.tenant}")
    return RiskEvent.model_validate({**json.loads(item.d), "version": item.v})
