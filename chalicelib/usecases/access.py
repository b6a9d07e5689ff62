"""Who came in: the first use of a client on a day, once for each lender whose data the client may look in."""

from datetime import datetime

from chalicelib.domain import keys
from chalicelib.domain.concurrency import Conflict
from chalicelib.domain.events import Actor, EventType
from chalicelib.usecases.ports import Scope, Store


def admit(store: Store, scope: Scope, *, org: str, role: str, actor: Actor, now: datetime, req: str) -> bool:
    """Record that the client was let in on this day (UTC); False when that is recorded already.

    The stream is named after client and day and takes one event, so that of any number of processes one records it.
    """
    day = now.date().isoformat()
    stream = keys.admission_pk(scope.tenant, store.admission_id(scope, client=f"{org}#{actor.id}", day=day))
    unit = store.unit(scope, actor=actor, req=req, now=now)
    data = {"client": actor.id, "org": org, "role": role, "day": day}
    unit.emit(stream, EventType.CLIENT_ADMITTED, data, fresh=True)
    try:
        unit.commit()
    except Conflict:
        return False
    return True
