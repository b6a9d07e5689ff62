"""Unmasking: one value in clear, counted against the caller's day and recorded in the same transaction."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from chalicelib.domain import keys
from chalicelib.domain.cases.lifecycle import FINAL
from chalicelib.domain.cases.unmasking import MOST_A_DAY, Target, may_unmask, value_of
from chalicelib.domain.concurrency import retrying
from chalicelib.domain.errors import NotFound, NotPermitted, TooManyRequests
from chalicelib.domain.events import EventType
from chalicelib.domain.instants import local_date
from chalicelib.usecases.case_draft import find_case
from chalicelib.usecases.cases import Caller, Context, lender_of, locked_for, mandate_is_over
from chalicelib.usecases.one_person import person_as_one
from chalicelib.usecases.ports import Scope, Store


@dataclass(frozen=True, slots=True)
class Why:
    """The reason: a code that stands open in the log, and words that are sealed."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Unmasked:
    """The value in clear, and how many more the caller may have today."""

    value: str
    left_today: int


def unmask(
    store: Store,
    scope: Scope,
    case_id: str,
    target: Target,
    why: Why,
    caller: Caller,
    context: Context,
    *,
    role: str,
    client: str,
    unmasking_id: str,
) -> Unmasked:
    """Return one value in clear. ``client`` names the caller over all lenders (``<org>#<subject>``).

    Raises NotPermitted for a field that is not for the role, NotFound where there is no such value or it is erased,
    locked, or beyond the agency's mandate, TooManyRequests when the caller's day is used up.
    """
    if not may_unmask(role, target.field):
        raise NotPermitted("the field is not shown in clear to this role", code="field_not_unmaskable")
    zone = lender_of(store, scope).zone
    today = local_date(context.now, zone)

    def once() -> Unmasked:
        case = find_case(store, scope, case_id, org=caller.org)
        person = person_as_one(store, scope, target.person)
        if case.role_of(target.person) is None or (caller.org is not None and case.state in FINAL):
            raise NotFound("person", target.person)
        hidden = person is not None and locked_for(role, case, {person.id: person})
        value = value_of(target, case, person)
        if person is None or hidden or value is None or mandate_is_over(case, caller.org, today=today):
            raise NotFound("field", target.field)
        used = store.unmasked_today(client, today.isoformat())
        if used >= MOST_A_DAY:
            midnight = datetime.combine(today + timedelta(days=1), time(0), ZoneInfo(zone))
            raise TooManyRequests(int((midnight.astimezone(UTC) - context.now).total_seconds()) + 1)
        unit = store.unit(scope, actor=caller.actor, req=context.req, now=context.now)
        unit.replace(store.unmasking_row(client, today.isoformat(), used + 1, now=context.now), expected=used)
        unit.emit(
            keys.case_pk(scope.tenant, case.id),
            EventType.PERSON_UNMASKED,
            {
                "unmasking": unmasking_id,
                "person": target.person,
                "field": target.field,
                "point": target.point,
                "vehicle": target.vehicle,
                "reason": why.code,
                "org": caller.org or scope.tenant,
                "collector": caller.collector,
                "agency": case.agency,
            },
            subject=target.person,
            secret={"text": why.text},
        )
        unit.commit()
        return Unmasked(value, MOST_A_DAY - used - 1)

    return retrying(once, attempts=20)
