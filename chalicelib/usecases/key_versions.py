"""A new version of a lender's key: an operator's decision, once, and an event of the lender."""

from datetime import datetime

from chalicelib.domain import keys
from chalicelib.domain.errors import NotFound, StateConflict
from chalicelib.domain.events import Actor, EventType
from chalicelib.usecases.ports import Scope, Store


def rotate(store: Store, scope: Scope, *, expected: int, actor: Actor, now: datetime, req: str) -> int:
    """Make the version after ``expected`` of the lender's key and return its number; it wraps the keys of persons to come.

    The command may be repeated: when that version is there already and its event is missing, only the event is written. Raises
    NotFound for a lender that is not registered, StateConflict when another version is the newest.
    """
    if store.lender(scope) is None:
        raise NotFound("lender", scope.tenant)
    stream, newest = keys.org_pk(scope.tenant, scope.tenant), store.key_version(scope)
    told = {
        event.data["key_version"] for event in store.events(scope, stream) if event.type is EventType.LENDER_KEY_MADE
    }
    if newest == expected:
        newest = store.make_key_version(scope)
    if newest != expected + 1 or newest in told:
        raise StateConflict("other_key_version", f"the newest version of the key is {newest}")
    unit = store.unit(scope, actor=actor, req=req, now=now)
    unit.emit(stream, EventType.LENDER_KEY_MADE, {"lender": scope.tenant, "key_version": newest})
    unit.commit()
    return newest
