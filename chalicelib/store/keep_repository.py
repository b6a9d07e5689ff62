"""How far the archive's keeper came, in the view table: ``T#<tenant>#KEEP`` | ``ACTIVITY`` and each log's year.

What is lost is found anew by the next pass.
"""

from datetime import datetime

from pynamodb.exceptions import PutError

from chalicelib.domain import keys
from chalicelib.domain.audit.keeping import Activity, Shard
from chalicelib.domain.instants import from_text
from chalicelib.store.feed_repository import lender_cases_pk
from chalicelib.store.repository import event_of
from chalicelib.store.tables import Record, View

_ACTIVITY = "ACTIVITY"


class KeepRepository:
    """Implements ``KeepRepository`` over the tables."""

    def activity(self, tenant: str) -> Activity:
        """Return what the lender's cases said; an empty one when nobody asked yet."""
        item = _read(keys.keep_pk(tenant), _ACTIVITY)
        return Activity() if item is None else Activity.model_validate_json(item.d)

    def put_activity(self, tenant: str, activity: Activity) -> bool:
        """Write it over the version before; False when another run was first."""
        return _put(View(keys.keep_pk(tenant), _ACTIVITY, v=activity.version, d=activity.model_dump_json()))

    def shard(self, tenant: str, name: str) -> Shard:
        """Return where the job stands with a log; an empty one when it never looked."""
        item = _read(keys.keep_pk(tenant), name)
        return Shard() if item is None else Shard.model_validate_json(item.d)

    def shard_record(self, tenant: str, name: str, shard: Shard) -> View:
        """Return the record of where the job stands."""
        return View(keys.keep_pk(tenant), name, v=shard.version, d=shard.model_dump_json())

    def put_shard(self, tenant: str, name: str, shard: Shard) -> bool:
        """Write it over the version before; False when another run was first."""
        return _put(self.shard_record(tenant, name, shard))

    def case_page(self, tenant: str, *, after: str | None, limit: int) -> list[str]:
        """Return up to ``limit`` ids of the lender's cases, ended ones included, after an id."""
        later = View.sk > after if after is not None else None
        found = View.query(lender_cases_pk(tenant), later, limit=limit, attributes_to_get=["pk", "sk"])
        return [item.sk for item in found]

    def lifetime(self, tenant: str, case: str) -> tuple[datetime, datetime] | None:
        """Return the instants of a case's first and last event, or None when it has none."""
        first, last = (_event_at(tenant, case, forward=forward) for forward in (True, False))
        return None if first is None or last is None else (first, last)


def _event_at(tenant: str, case: str, *, forward: bool) -> datetime | None:
    events = Record.sk.startswith(keys.EVENT_PREFIX)
    found = Record.query(keys.case_pk(tenant, case), events, scan_index_forward=forward, limit=1)
    item = next(iter(found), None)
    return None if item is None else from_text(event_of(item.e, tenant=tenant).at)


def _read(pk: str, sk: str) -> View | None:
    try:
        return View.get(pk, sk, consistent_read=True)
    except View.DoesNotExist:
        return None


def _put(view: View) -> bool:
    condition = View.pk.does_not_exist() if view.v == 1 else View.v == view.v - 1
    try:
        view.save(condition=condition)
    except PutError as error:
        if error.cause_response_code != "ConditionalCheckFailedException":
            raise
        return False
    return True
