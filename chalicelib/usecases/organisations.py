"""Lenders register, list agencies, and agencies name their collectors; each change is an event of the organisation."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar, cast

from pydantic import BaseModel

from chalicelib.domain import keys
from chalicelib.domain.cases.organisations import Agency, Collector, Lender
from chalicelib.domain.concurrency import retrying
from chalicelib.domain.errors import InvalidInput, NotFound, PreconditionFailed, PreconditionRequired
from chalicelib.domain.events import EventType
from chalicelib.domain.instants import to_seconds_text
from chalicelib.domain.residency import require_home
from chalicelib.usecases.cases import Caller, Context
from chalicelib.usecases.feeds import Feeds
from chalicelib.usecases.ports import Scope, Store

_Body = TypeVar("_Body", Lender, Agency, Collector)


@dataclass(frozen=True, slots=True)
class Put:
    """The body as it now stands, and whether it is new."""

    body: Any
    created: bool


def put_lender(
    store: Store, scope: Scope, lender: Lender, caller: Caller, context: Context, *, here: str, expected: int | None
) -> Put:
    """Register a lender, or change it. ``expected`` is the version that the caller read, None when it read none.

    ``here`` is the region of this cell. Raises Misdirected for a lender that is, or shall be, at home in another one,
    PreconditionRequired when the lender exists and no version is given, PreconditionFailed when it moved on.
    """
    known = store.lender(scope)
    for each in filter(None, (known, lender)):
        # A home that moved would leave the data behind, under keys that the new one does not have.
        require_home(each.home_region, here)
    if known is not None and known.zone != lender.zone:
        # Figures are kept by the lender's business day; another zone would make past days mean something else.
        raise InvalidInput("/zone", "fixed", "a lender's zone does not change")
    event = {
        "lender": lender.id,
        "country": lender.country,
        "zone": lender.zone,
        "home_region": lender.home_region,
        "licensed": lender.licensed,
    }
    return retrying(
        lambda: _put(
            store,
            scope,
            store.lender(scope),
            lender,
            caller,
            context,
            expected=expected,
            sk="LENDER",
            stream=scope.tenant,
            event_type=EventType.LENDER_REGISTERED,
            event=event,
            beside=(store.lender_row(scope, version=(expected or 0) + 1),),
        )
    )


def put_agency(
    store: Store, feeds: Feeds, scope: Scope, agency: Agency, caller: Caller, context: Context, *, expected: int | None
) -> Put:
    """List an agency, or change its listing; the row from which its principals get this lender's scope goes with it.

    Raises NotFound when the lender never registered, and as ``put_lender``.
    """
    if store.lender(scope) is None:
        raise NotFound("lender", scope.tenant)
    if agency.id == scope.tenant:
        raise InvalidInput("", "own_id", "an agency has another id than the lender that lists it")
    if agency.listed_from is not None and agency.listed_to is not None and agency.listed_to < agency.listed_from:
        raise InvalidInput("/listed_to", "before_listed_from", "the listing ends before it begins")
    event = {
        "agency": agency.id,
        "listed_from": _iso(agency.listed_from),
        "listed_to": _iso(agency.listed_to),
        "inspected_on": _iso(agency.inspected_on),
        "suspended": agency.suspended,
        "licensed": agency.licensed,
        "share": agency.share,
    }

    def once() -> Put:
        known = store.agency(scope, agency.id)
        version = (known.version if known is not None else 0) + 1
        listing = feeds.listing_record(scope.tenant, agency.model_copy(update={"version": version}))
        return _put(
            store,
            scope,
            known,
            agency,
            caller,
            context,
            expected=expected,
            sk=keys.agency_sk(agency.id),
            stream=agency.id,
            event_type=EventType.AGENCY_LISTED,
            event=event,
            beside=(listing,),
        )

    return retrying(once)


def put_collector(
    store: Store, scope: Scope, collector: Collector, caller: Caller, context: Context, *, expected: int | None
) -> Put:
    """Name a collector of a listed agency, or one of the lender's own staff, or change the entry.

    Where they may act stays as their certificates say, whatever ``collector.certified`` is (``usecases.certificates``).
    Raises NotFound for an agency that the lender does not list, and as ``put_lender``.
    """
    if collector.org != scope.tenant and store.agency(scope, collector.org) is None:
        raise NotFound("agency", collector.org)

    def once() -> Put:
        known = store.collector(scope, collector.org, collector.id)
        certified = known.certified if known is not None else {}
        body = collector.model_copy(update={"certified": certified})
        event = {"collector": body.id, "org": body.org, "left": body.left}
        return _put(
            store,
            scope,
            known,
            body,
            caller,
            context,
            expected=expected,
            sk=keys.collector_sk(body.org, body.id),
            stream=body.org,
            event_type=EventType.COLLECTOR_REGISTERED,
            event=event,
        )

    return retrying(once)


def _put(
    store: Store,
    scope: Scope,
    known: _Body | None,
    body: _Body,
    caller: Caller,
    context: Context,
    *,
    expected: int | None,
    sk: str,
    stream: str,
    event_type: EventType,
    event: dict[str, Any],
    beside: Sequence[Any] = (),
) -> Put:
    version = known.version if known is not None else 0
    if known is not None and expected is None:
        raise PreconditionRequired()
    if expected is not None and expected != version:
        raise PreconditionFailed(version)
    written = body.model_copy(update={"version": version + 1})
    if known is not None and known == body.model_copy(update={"version": version}):
        return Put(known, created=False)
    unit = store.unit(scope, actor=caller.actor, req=context.req, now=context.now)
    record = store.plain_record(keys.tenant_pk(scope.tenant), sk, written, version=written.version)
    unit.replace(record, expected=version)
    for row in beside:
        unit.replace(row, expected=version)
    unit.emit(
        keys.org_pk(scope.tenant, stream),
        event_type,
        {**event, "version": written.version},
        fresh=known is None and not sk.startswith("COLLECTOR#"),
    )
    unit.commit()
    return Put(written, created=known is None)


def confirm_balances(store: Store, scope: Scope, caller: Caller, context: Context, *, confirmed_at: datetime) -> Lender:
    """Record the lender's word that it has posted every payment it received up to that instant; it never goes back.

    Raises NotFound, InvalidInput for an instant in the future.
    """
    if confirmed_at > context.now:
        raise InvalidInput("/confirmed_at", "in_the_future", "payments to come cannot have been posted")
    stamp = to_seconds_text(confirmed_at)

    def once() -> Lender:
        known = get_lender(store, scope)
        if known.balances_confirmed_at is not None and stamp <= known.balances_confirmed_at:
            return known
        body = known.model_copy(update={"balances_confirmed_at": stamp})
        put = _put(
            store,
            scope,
            known,
            body,
            caller,
            context,
            expected=known.version,
            sk="LENDER",
            stream=scope.tenant,
            event_type=EventType.LENDER_REGISTERED,
            event={"lender": known.id, "balances_confirmed_at": stamp},
        )
        return cast(Lender, put.body)

    return retrying(once)


def put_high_risk_threshold(store: Store, scope: Scope, caller: Caller, context: Context, *, permille: int) -> Lender:
    """Set from which chance of rolling into a later bucket an account is high risk; the same again changes nothing.

    Raises NotFound.
    """

    def once() -> Lender:
        known = get_lender(store, scope)
        if known.high_risk_permille == permille:
            return known
        put = _put(
            store,
            scope,
            known,
            known.model_copy(update={"high_risk_permille": permille}),
            caller,
            context,
            expected=known.version,
            sk="LENDER",
            stream=scope.tenant,
            event_type=EventType.LENDER_REGISTERED,
            event={"lender": known.id, "high_risk_permille": permille},
        )
        return cast(Lender, put.body)

    return retrying(once)


def get_lender(store: Store, scope: Scope) -> Lender:
    """Return the lender. Raises NotFound."""
    return _found(store.lender(scope), "lender", scope.tenant)


def get_agency(store: Store, scope: Scope, org: str) -> Agency:
    """Return the agency as this lender lists it. Raises NotFound."""
    return _found(store.agency(scope, org), "agency", org)


def get_collector(store: Store, scope: Scope, org: str, collector: str) -> Collector:
    """Return a collector of an agency. Raises NotFound."""
    return _found(store.collector(scope, org, collector), "collector", collector)


def list_agencies(store: Store, scope: Scope) -> list[Agency]:
    """Return every agency that the lender ever listed, by id."""
    return store.agencies(scope)


def list_collectors(store: Store, scope: Scope, org: str) -> list[Collector]:
    """Return the collectors of a listed agency, by id. Raises NotFound."""
    get_agency(store, scope, org)
    return store.collectors(scope, org)


_Model = TypeVar("_Model", bound=BaseModel)


def _found(body: _Model | None, kind: str, identity: str) -> _Model:
    if body is None:
        raise NotFound(kind, identity)
    return body


def _iso(value: Any) -> str | None:
    return None if value is None else str(value.isoformat())
