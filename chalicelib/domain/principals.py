"""Who calls, what they may do, and whose data they may touch.

A principal is made from a verified token and from nothing else. Its role gives it scopes (a token may ask for fewer,
never for more), and a ``TenantScope``, which every read and write of a lender's data needs, comes from the principal or
from stored listings. No function here makes a scope from a path, a query or a body.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, NoReturn, Protocol

from pydantic import BaseModel, ConfigDict, Field

from chalicelib.domain.errors import NotPermitted
from chalicelib.domain.ids import ID_PATTERN, is_id


class Role(StrEnum):
    """What kind of caller it is; a token names exactly one."""

    LENDER = "lender"
    AGENCY = "agency"
    COLLECTOR = "collector"
    COMPLIANCE = "compliance"
    COUNSEL = "counsel"
    ADMIN = "admin"


READING = frozenset(
    {
        "cases:read",
        "kpis:read",
        "messages:read",
        "organisations:read",
        "persons:read",
        "portfolios:read",
        "templates:read",
    }
)
"""What lenders, compliance officers and legal counsel may read alike."""

ROLE_SCOPES: dict[Role, frozenset[str]] = {
    Role.LENDER: READING
    | {
        "organisations:write",
        "portfolios:write",
        "cases:write",
        "cases:recall",
        "certificates:write",
        "courses:read",
        "courses:write",
        "collectors:read",
        "collectors:write",
        "payments:write",
        "duties:read",
        "duties:write",
        "holds:write",
        "litigation:read",
        "litigation:write",
        "consents:write",
        "complaints:read",
        "complaints:write",
        "messages:write",
        "persons:merge",
        "persons:write",
        "strategies:read",
        "strategies:write",
        "surveys:write",
        "settlements:read",
        "settlements:write",
        "quality:check",
        "quality:read",
        "risk_events:raise",
        "risk_events:read",
        "risk_events:write",
        "rules:read",
        "rules:comment",
        "rules:write",
        "rulings:read",
        "simulations:read",
        "simulations:write",
        "audit:export",
        "audit:read",
        "training:read",
        "training:write",
        "feedback:handle",
        "feedback:read",
        "outcomes:read",
        "feedback:write",
        "templates:write",
    },
    Role.AGENCY: frozenset(
        {
            "assignments:read",
            "cases:read",
            "cases:work",
            "cases:return",
            "collectors:read",
            "collectors:write",
            "complaints:write",
            "consents:write",
            "duties:read",
            "duties:write",
            "feedback:write",
            "holds:write",
            "kpis:read",
            "litigation:read",
            "messages:read",
            "messages:write",
            "organisations:read",
            "personal_data:unmask",
            "persons:read",
            "persons:write",
            "rules:read",
            "rulings:read",
            "settlements:read",
            "settlements:write",
            "templates:read",
            "training:read",
            "training:write",
        }
    ),
    Role.COLLECTOR: frozenset(
        {
            "assignments:read",
            "cases:read",
            "cases:work",
            "complaints:write",
            "consents:write",
            "exams:take",
            "feedback:write",
            "holds:write",
            "messages:read",
            "messages:write",
            "personal_data:unmask",
            "persons:read",
            "persons:write",
            "rules:read",
            "rulings:read",
            "templates:read",
            "training:attend",
            "training:read",
        }
    ),
    Role.COMPLIANCE: READING
    | {
        "audit:export",
        "audit:read",
        "collectors:read",
        "complaints:read",
        "complaints:write",
        "consents:write",
        "courses:approve",
        "courses:read",
        "courses:write",
        "duties:read",
        "duties:waive",
        "duties:write",
        "erasures:write",
        "feedback:handle",
        "feedback:read",
        "outcomes:read",
        "feedback:write",
        "holds:write",
        "legal_holds:write",
        "litigation:read",
        "litigation:write",
        "messages:review",
        "personal_data:export",
        "personal_data:unmask",
        "persons:merge",
        "persons:write",
        "quality:check",
        "quality:plan",
        "quality:read",
        "risk_events:decide",
        "risk_events:raise",
        "risk_events:read",
        "risk_events:write",
        "reviews:read",
        "rulings:read",
        "rules:approve",
        "rules:comment",
        "rules:read",
        "rules:write",
        "simulations:read",
        "simulations:write",
        "strategies:read",
        "strategies:approve",
        "surveys:approve",
        "templates:approve",
        "templates:write",
        "training:read",
    },
    Role.COUNSEL: READING
    | {
        "audit:read",
        "complaints:read",
        "duties:read",
        "legal_holds:write",
        "litigation:read",
        "litigation:write",
        "quality:read",
        "reviews:read",
        "risk_events:decide",
        "risk_events:raise",
        "risk_events:read",
        "rules:comment",
        "rules:read",
        "rulings:read",
        "templates:approve",
    },
    Role.ADMIN: frozenset({"lenders:write", "organisations:read", "organisations:write", "rules:read"}),
}
"""The closed table role -> scopes. A route that names a scope that stands nowhere here is refused at import."""

SCOPES: frozenset[str] = frozenset().union(*ROLE_SCOPES.values())
"""Every scope there is."""

_Id = Annotated[str, Field(pattern=ID_PATTERN.pattern)]


class Principal(BaseModel):
    """A verified caller. ``subject`` is an opaque id, for a collector the collector's id; ``org`` is whose caller it is.

    ``tenant`` is the lender whose data the caller belongs to: always set for lenders, their officers and counsel, never for
    agencies and collectors. ``expires_at`` is the end of the token in Unix seconds (open). It prints no value.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    subject: _Id
    role: Role
    org: _Id
    tenant: _Id | None = None
    scopes: frozenset[str]
    token_id: _Id
    expires_at: int

    def may(self, scope: str) -> bool:
        """Tell whether the caller's scopes contain this one."""
        return scope in self.scopes

    @property
    def is_agency_side(self) -> bool:
        """Tell whether the caller belongs to an outside agency."""
        return self.role in AGENCY_SIDE

    @property
    def collector(self) -> str | None:
        """Return the collector's id when the caller is one."""
        return self.subject if self.role is Role.COLLECTOR else None

    def __repr__(self) -> str:
        """Return the role only: a principal ends up in messages that people read."""
        return f"Principal({self.role})"

    __str__ = __repr__


AGENCY_SIDE = frozenset({Role.AGENCY, Role.COLLECTOR})
_NEEDS_TENANT = frozenset({Role.LENDER, Role.COMPLIANCE, Role.COUNSEL})


def principal_from(
    *,
    subject: str,
    role: str,
    org: str,
    tenant: str | None,
    asked: Iterable[str] | None,
    token_id: str,
    expires_at: int,
) -> Principal:
    """Return the principal that verified claims describe; ``asked`` are the token's scopes, None when it names none.

    Raises ValueError (without any claim in it) for an unknown role, an id of another form, a lender's token without
    a tenant, and an agency's token with one.
    """
    try:
        known = Role(role)
    except ValueError:
        raise ValueError("unknown role") from None
    if not all(is_id(text) for text in (subject, org, token_id)) or (tenant is not None and not is_id(tenant)):
        raise ValueError("a claim has not the form of an id")
    if known in _NEEDS_TENANT and tenant is None:
        raise ValueError("this role needs a tenant")
    if known in AGENCY_SIDE and tenant is not None:
        raise ValueError("an agency's lenders come from listings, not from its token")
    granted = ROLE_SCOPES[known] if asked is None else ROLE_SCOPES[known] & frozenset(asked)
    return Principal(
        subject=subject,
        role=known,
        org=org,
        tenant=tenant,
        scopes=granted,
        token_id=token_id,
        expires_at=expires_at,
    )


_GRANT = object()


class TenantScope:
    """The right to touch one lender's data: every key is rendered from it.

    Only the functions of this module make one. It equals another scope of the same lender, prints nothing of itself,
    and cannot be changed, pickled or subclassed.
    """

    __slots__ = ("_tenant",)
    _tenant: str

    def __init__(self, tenant: str, *, grant: object = None) -> None:
        """Refuse everybody who does not hold this module's grant. Raises TypeError."""
        if grant is not _GRANT:
            raise TypeError("a tenant scope comes from a principal, a stored listing or a queue, never from a value")
        if not is_id(tenant):
            raise TypeError("a tenant has the form of an id")
        object.__setattr__(self, "_tenant", tenant)

    def __init_subclass__(cls) -> NoReturn:
        """Refuse subclasses, which could leave the guard out. Raises TypeError."""
        raise TypeError("a tenant scope has no subclasses")

    def __setattr__(self, name: str, value: object) -> NoReturn:
        """Refuse every change. Raises AttributeError."""
        raise AttributeError("a tenant scope does not change")

    def __delattr__(self, name: str) -> NoReturn:
        """Refuse every change. Raises AttributeError."""
        raise AttributeError("a tenant scope does not change")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Refuse to be pickled or copied: what comes out of bytes was not granted. Raises TypeError."""
        raise TypeError("a tenant scope is not serialised")

    @property
    def tenant(self) -> str:
        """Return the lender's id."""
        return self._tenant

    @property
    def prefix(self) -> str:
        """Return ``T#<tenant>``, with which every partition key of this lender begins."""
        return f"T#{self._tenant}"

    def key(self, *parts: str) -> str:
        """Return ``T#<tenant>#<part>#…``. Raises ValueError for a part that is not an id: it could reach elsewhere."""
        if not all(is_id(part) for part in parts):
            raise ValueError("a part of a key has the form of an id")
        return "#".join((self.prefix, *parts))

    def owns(self, pk: str) -> bool:
        """Tell whether a partition key is this lender's."""
        return pk == self.prefix or pk.startswith(f"{self.prefix}#")

    def __eq__(self, other: object) -> bool:
        """Tell whether both are scopes of the same lender."""
        return isinstance(other, TenantScope) and other._tenant == self._tenant

    def __hash__(self) -> int:
        """Return a hash that equal scopes share."""
        return hash((TenantScope, self._tenant))

    def __repr__(self) -> str:
        """Return no value."""
        return "TenantScope(…)"


class Listing(Protocol):
    """A stored row by which a lender lists an agency."""

    @property
    def tenant(self) -> str:
        """Return the lender that lists."""
        ...

    @property
    def org(self) -> str:
        """Return the agency that is listed."""
        ...


def scope_of(principal: Principal) -> TenantScope:
    """Return the scope of the lender that the principal's token names. Raises NotPermitted when it names none."""
    if principal.tenant is None:
        raise NotPermitted("the credential belongs to no lender", code="no_tenant")
    return TenantScope(principal.tenant, grant=_GRANT)


def agency_scopes(principal: Principal, listings: Iterable[Listing]) -> dict[str, TenantScope]:
    """Return, by lender, the scopes of an agency's caller: one for each stored listing of the agency.

    ``listings`` are rows read from the store under the principal's own organisation; a row of another agency gives
    nothing. Raises NotPermitted for a caller who is not an agency's.
    """
    if not principal.is_agency_side:
        raise NotPermitted("the credential belongs to no agency", code="no_agency")
    return {
        listing.tenant: TenantScope(listing.tenant, grant=_GRANT)
        for listing in listings
        if listing.org == principal.org
    }


def founding_scope(principal: Principal, lender: str) -> TenantScope:
    """Return the scope in which the platform registers a lender and nothing else. Raises NotPermitted for others."""
    if principal.role is not Role.ADMIN or not principal.may("lenders:write"):
        raise NotPermitted("only the platform registers lenders", code="not_platform")
    return TenantScope(lender, grant=_GRANT)


def system_scope(tenant: str) -> TenantScope:
    """Return the scope of a worker whose queue, stream or schedule names the lender.

    Only wiring and the modules that consume queues may import it; a test walks the imports.
    """
    return TenantScope(tenant, grant=_GRANT)
