"""From a principal to what use cases need: the actor, the organisation, and the scope of the lender concerned."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chalicelib import wiring
from chalicelib.domain.errors import NotFound
from chalicelib.domain.events import Actor
from chalicelib.domain.principals import AGENCY_SIDE, Principal, TenantScope, agency_scopes, scope_of
from chalicelib.usecases.cases import Caller, Context

if TYPE_CHECKING:
    # A request is asked for its id alone; the module that makes requests asks here for callers.
    from chalicelib.edge.http import Request


@dataclass(frozen=True, slots=True)
class _Listing:
    tenant: str
    org: str


def actor_of(principal: Principal) -> Actor:
    """Return who acts, as events name them; the token's id stands for the credential."""
    kind = "agency" if principal.is_agency_side else "lender" if principal.tenant is not None else "user"
    return Actor(kind, principal.subject, principal.token_id)


def org_of(principal: Principal) -> str | None:
    """Return the agency on whose behalf a call is made, None for the lender's side."""
    return principal.org if principal.role in AGENCY_SIDE else None


def caller_of(principal: Principal) -> Caller:
    """Return who asks, as use cases know them: the actor, the agency on whose behalf, and the collector."""
    return Caller(actor_of(principal), org_of(principal), principal.collector)


def context_of(request: "Request[Any, Any]") -> Context:
    """Return the instant and the id of a request."""
    return Context(wiring.now(), request.id)


def told_by(principal: Principal, request: "Request[Any, Any]") -> tuple[Caller, Context]:
    """Return who asks, and when under which id."""
    return caller_of(principal), context_of(request)


def scopes_for(principal: Principal) -> list[TenantScope]:
    """Return the scope of each lender whose data the caller may look in: their own, or those that list their agency.

    A listing that has ended or is suspended opens nothing: whoever may not act for a lender keeps none of its data
    (PIPL art. 21).
    """
    if not principal.is_agency_side:
        return [wiring.at_home(scope_of(principal))]
    today = wiring.now().date().isoformat()
    rows = [
        row
        for row in wiring.feed_repository().listings(principal.org)
        if not row["suspended"] and (row["listed_to"] is None or row["listed_to"] >= today)
    ]
    found = agency_scopes(principal, [_Listing(row["lender"], principal.org) for row in rows])
    return [wiring.at_home(scope) for scope in found.values()]


def scope_of_case(principal: Principal, case: str) -> TenantScope:
    """Return the scope in which the caller may look for the case. Raises NotFound; an agency's cases come from stored rows."""
    if not principal.is_agency_side:
        return scope_of(principal)
    lender = wiring.feed_repository().lender_of(principal.org, case)
    found = [scope for scope in scopes_for(principal) if scope.tenant == lender]
    if not found:
        raise NotFound("case", case)
    return found[0]
