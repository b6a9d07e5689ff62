"""The record of who came in: a client's first request of a day, before it is served."""

from functools import cache

from chalicelib import wiring
from chalicelib.domain.principals import Principal
from chalicelib.edge.callers import actor_of, scopes_for
from chalicelib.usecases import access

MOST_REMEMBERED = 10_000


@cache
def seen() -> set[tuple[str, str, str]]:
    """Return the (organisation, subject, day) that this process has recorded; opaque ids, no lender's data."""
    return set()


def note(principal: Principal, request_id: str) -> None:
    """Record the client's first request of the day in the log of each lender whose data it may look in.

    A fault is the request's fault: who cannot be recorded is not let in. The platform's own callers have no lender, and
    nothing of a lender's persons to see; what they change names them.
    """
    now = wiring.now()
    client = (principal.org, principal.subject, now.date().isoformat())
    if client in seen() or not (principal.is_agency_side or principal.tenant is not None):
        return
    for scope in scopes_for(principal):
        access.admit(
            wiring.store(),
            scope,
            org=principal.org,
            role=principal.role.value,
            actor=actor_of(principal),
            now=now,
            req=request_id,
        )
    if len(seen()) >= MOST_REMEMBERED:
        seen().clear()
    seen().add(client)
