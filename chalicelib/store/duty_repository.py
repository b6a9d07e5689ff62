"""Duties and the lists that they are found by.

``T#<lender>#DUTY#<id>`` | ``DUTY`` in the main table is the duty; the due index wakes it. Views, which can be rebuilt from it:

- ``T#<lender>#DUTIES`` and ``A#<org>#DUTIES`` | ``<state>#<due at>#<id>``: lists by due instant, a lender's and what an
  agency owes (``s`` is the lender)
- ``T#<lender>#DUTYOF#<case or person>`` | id: what may still be discharged about it
"""

import json
from collections.abc import Sequence

from chalicelib.domain import keys
from chalicelib.domain.duties.duty import Duty, DutyState, Row
from chalicelib.store.repository import ForeignItem, Scope
from chalicelib.store.tables import Record, View

_BATCH_GET = 100
_LAST = "~"
"""Sorts behind every character of an instant or id."""


class DutyRepository:
    """Implements ``chalicelib.usecases.duties.Duties``."""

    def duty(self, scope: Scope, duty: str) -> Duty | None:
        """Return the duty by a strongly consistent read, or None."""
        try:
            return _opened(Record.get(keys.duty_pk(scope.tenant, duty), "DUTY", consistent_read=True), scope)
        except Record.DoesNotExist:
            return None

    def many(self, scope: Scope, duties: Sequence[str]) -> list[Duty]:
        """Return those duties that exist, in few reads."""
        found: list[Duty] = []
        for start in range(0, len(duties), _BATCH_GET):
            wanted = [(keys.duty_pk(scope.tenant, duty), "DUTY") for duty in duties[start : start + _BATCH_GET]]
            found += [_opened(item, scope) for item in Record.batch_get(wanted, consistent_read=True)]
        return found

    def record(self, duty: Duty) -> Record:
        """Return the record of the duty at its version: ids and codes only, nothing personal."""
        body = duty.model_dump_json(exclude_defaults=True, exclude={"version"})
        record = Record(keys.duty_pk(duty.tenant, duty.id), "DUTY", v=duty.version, s=duty.state.value, d=body)
        if duty.wakes_at is not None:
            record.due_shard, record.due_at = keys.due_shard(duty.id), duty.wakes_at
        return record

    def index(self, duty: Duty, *, was_due: str | None) -> None:
        """Bring the lists up to the duty; ``was_due`` is its due instant before it was extended.

        Rows of an earlier state are dropped and none of a later one, so that whoever comes late does no harm.
        """
        lists = [keys.duties_pk(duty.tenant)]
        if duty.owner != duty.tenant:
            lists.append(keys.agency_duties_pk(duty.owner))
        about = [keys.duties_about_pk(duty.tenant, each) for each in (duty.case, duty.person) if each is not None]
        gone = {_place(state, due, duty.id) for due in {duty.due_at, was_due} - {None} for state in _BEFORE[duty.state]}
        if was_due is not None and was_due != duty.due_at:
            gone.add(_place(DutyState.OPEN, was_due, duty.id))
        with View.batch_write() as batch:
            for pk in lists:
                batch.save(View(pk, _place(duty.state, duty.due_at, duty.id), s=duty.tenant))
                for place in sorted(gone):
                    batch.delete(View(pk, place))
            for pk in about:
                if duty.state in (DutyState.OPEN, DutyState.LAPSED):
                    batch.save(View(pk, duty.id))
                else:
                    batch.delete(View(pk, duty.id))

    def open_about(self, scope: Scope, subject: str) -> list[str]:
        """Return the ids of the duties about a case or person that may still be discharged."""
        return [item.sk for item in View.query(keys.duties_about_pk(scope.tenant, subject), consistent_read=True)]

    def lender_page(self, scope: Scope, state: str, *, before: str | None, after: str | None, limit: int) -> list[Row]:
        """Return up to ``limit`` rows of the lender's duties in a state by due instant, after a place."""
        return _page(keys.duties_pk(scope.tenant), state, before=before, after=after, limit=limit)

    def agency_page(self, org: str, state: str, *, before: str | None, after: str | None, limit: int) -> list[Row]:
        """Return up to ``limit`` rows of what an agency owes, in a state, by due instant, after a place."""
        return _page(keys.agency_duties_pk(org), state, before=before, after=after, limit=limit)


_BEFORE: dict[DutyState, tuple[DutyState, ...]] = {
    DutyState.OPEN: (),
    DutyState.LAPSED: (DutyState.OPEN,),
    DutyState.FULFILLED: (DutyState.OPEN, DutyState.LAPSED),
    DutyState.WAIVED: (DutyState.OPEN,),
}
"""The states that a duty may have been in before."""


def _place(state: str, due: str | None, duty: str) -> str:
    return f"{state}#{due}#{duty}"


def _page(pk: str, state: str, *, before: str | None, after: str | None, limit: int) -> list[Row]:
    first = after + "\0" if after is not None else f"{state}#"
    last = f"{state}#{before}" if before is not None else f"{state}#{_LAST}"
    if first > last:
        return []
    found = View.query(pk, View.sk.between(first, last), limit=limit, consistent_read=True)
    return [Row(item.sk, item.s, item.sk.rsplit("#", 1)[1]) for item in found]


def _opened(item: Record, scope: Scope) -> Duty:
    if keys.tenant_of(item.pk) != scope.tenant:
        raise ForeignItem(f"an item of another lender answered a read of {scope.tenant}")
    return Duty.model_validate({**json.loads(item.d), "version": item.v})
