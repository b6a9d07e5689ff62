"""Items of feedback and the lists that they are found by.

``T#<lender>#FB#<id>`` | ``FEEDBACK`` in the main table is the item: ids and codes, nothing personal. Views, which can be rebuilt
from it:

- ``T#<lender>#FEEDBACK`` | ``<list>#<instant>#<id>``: lists by due instant; ``<list>`` is a status, ``waiting`` (open or
  assigned) or ``escalated`` (waiting, and told to compliance)
- ``T#<lender>#FEEDBACKOF#<case or person>`` | id: what is not closed about it
"""

import json
from collections.abc import Sequence

from chalicelib.domain import keys
from chalicelib.domain.events import Event
from chalicelib.domain.feedback.item import FeedbackItem, Row, Status
from chalicelib.store.repository import ForeignItem, Scope, event_of
from chalicelib.store.tables import Record, View

WAITING, ESCALATED = "waiting", "escalated"
_LISTS = (*(status.value for status in Status), WAITING, ESCALATED)
_BATCH_GET = 100
_LAST = "~"
"""Sorts behind every character of an instant or id."""


class FeedbackRepository:
    """Implements ``chalicelib.usecases.feedback.Items``."""

    def item(self, scope: Scope, feedback: str) -> FeedbackItem | None:
        """Return the item by a strongly consistent read, or None."""
        try:
            return _opened(
                Record.get(keys.feedback_pk(scope.tenant, feedback), "FEEDBACK", consistent_read=True), scope
            )
        except Record.DoesNotExist:
            return None

    def many(self, scope: Scope, feedback: Sequence[str]) -> list[FeedbackItem]:
        """Return those items that exist, in the order asked for."""
        found: dict[str, FeedbackItem] = {}
        for start in range(0, len(feedback), _BATCH_GET):
            wanted = [
                (keys.feedback_pk(scope.tenant, each), "FEEDBACK") for each in feedback[start : start + _BATCH_GET]
            ]
            for record in Record.batch_get(wanted, consistent_read=True):
                item = _opened(record, scope)
                found[item.id] = item
        return [found[each] for each in feedback if each in found]

    def record(self, item: FeedbackItem) -> Record:
        """Return the record of the item at its version."""
        body = item.model_dump_json(exclude_defaults=True, exclude={"version"})
        return Record(keys.feedback_pk(item.tenant, item.id), "FEEDBACK", v=item.version, s=item.status.value, d=body)

    def index(self, item: FeedbackItem) -> None:
        """Bring the lists up to the item as it stands: its rows are put, and every other row that it may have had is dropped."""
        pk = keys.feedback_list_pk(item.tenant)
        lists = {item.status.value}
        if item.is_waiting:
            lists |= {WAITING} if item.escalated_at is None else {WAITING, ESCALATED}
        now = {_place(name, item.listed_at, item.id) for name in lists}
        ever = {_place(name, at, item.id) for name in _LISTS for at in (item.listed_at, *item.due_before)}
        with View.batch_write() as batch:
            for place in sorted(now):
                batch.save(View(pk, place))
            for place in sorted(ever - now):
                batch.delete(View(pk, place))
            for subject in sorted({item.person, item.stream}):
                row = View(keys.feedback_about_pk(item.tenant, subject), item.id)
                if item.status is Status.CLOSED:
                    batch.delete(row)
                else:
                    batch.save(row)

    def open_about(self, scope: Scope, subject: str) -> list[str]:
        """Return the ids of the items about a case or person that are not closed."""
        return [row.sk for row in View.query(keys.feedback_about_pk(scope.tenant, subject), consistent_read=True)]

    def page(self, scope: Scope, name: str, *, before: str | None, after: str | None, limit: int) -> list[Row]:
        """Return up to ``limit`` rows of a list by due instant, after a place; ``before`` (exclusive) is an instant."""
        first = after + "\0" if after is not None else f"{name}#"
        last = f"{name}#{before}" if before is not None else f"{name}#{_LAST}"
        if first > last:
            return []
        pk = keys.feedback_list_pk(scope.tenant)
        found = View.query(pk, View.sk.between(first, last), limit=limit, consistent_read=True)
        return [Row(row.sk, row.sk.rsplit("#", 1)[1]) for row in found]

    def words(self, scope: Scope, item: FeedbackItem) -> dict[int, Event]:
        """Return the events that seal the item's words, by their numbers; what a rebuilt table no longer has is left out."""
        numbers = sorted({step.words for step in item.steps if step.words is not None})
        pk = (keys.case_pk if item.case is not None else keys.person_pk)(scope.tenant, item.stream)
        found = Record.batch_get([(pk, keys.event_sk(number)) for number in numbers], consistent_read=True)
        return {keys.event_seq(record.sk): event_of(record.e, tenant=scope.tenant) for record in found}


def _place(name: str, at: str, feedback: str) -> str:
    return f"{name}#{at}#{feedback}"


def _opened(item: Record, scope: Scope) -> FeedbackItem:
    if keys.tenant_of(item.pk) != scope.tenant:
        raise ForeignItem(f"an item of another lender answered a read of {scope.tenant}")
    return FeedbackItem.model_validate({**json.loads(item.d), "version": item.v})
