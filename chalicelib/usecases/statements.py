"""What an agency earns: terms made by the lender and accepted by the agency, monthly statements, objections to a line.

Statements are reckoned from the events of money by month, so the same events and terms give the same statement. One is made once,
when the lender's month is over; of the month that runs anyone may look at what it would say.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, datetime, timedelta
from typing import Any, Protocol

from chalicelib.domain import keys
from chalicelib.domain.concurrency import retrying
from chalicelib.domain.errors import InvalidInput, NotFound, NotPermitted, StateConflict
from chalicelib.domain.events import Event, EventType
from chalicelib.domain.instants import from_text, local_date, to_text
from chalicelib.domain.kpi.periods import month_span
from chalicelib.domain.money import statement as statements
from chalicelib.domain.money.commission import (
    WHOLE,
    Earned,
    Line,
    Received,
    TakenBack,
    Terms,
    TermsState,
    TermsVersion,
    in_force,
    lines_of,
)
from chalicelib.domain.money.reconciliation import Comparison, Row, compare
from chalicelib.domain.money.statement import Adjustment, Objection, ObjectionEvent, ObjectionState
from chalicelib.domain.state_table import Move, Refuse
from chalicelib.usecases.cases import Caller, Context, lender_of
from chalicelib.usecases.ports import Scope, Store

SETTLING = timedelta(hours=6)
"""How long after a month's end its statement is made: what was booked in it has reached the months by then."""

LONGEST_NOTICE = timedelta(days=400)
OBJECTION_DAYS = 60
"""An agency may object up to so many days after a statement was made (closed)."""

FILES = ("csv", "xlsx", "pdf")
MOST_VERSIONS = 200
DIGITS: Mapping[str, int] = {"JPY": 0, "KRW": 0, "VND": 0, "CLP": 0, "BHD": 3, "KWD": 3, "JOD": 3, "OMR": 3, "TND": 3}
"""Decimals of the currencies that have other than two (ISO 4217)."""


class Money(Protocol):
    """Terms, objections and money by month. See ``chalicelib.store.money_repository``."""

    def versions(self, scope: Scope, agency: str) -> list[TermsVersion]:
        """Return every version of the terms with an agency."""
        ...

    def objections(self, scope: Scope, agency: str) -> list[Objection]:
        """Return every objection of an agency."""
        ...

    def terms_record(self, scope: Scope, terms: TermsVersion) -> Any:
        """Return the record of a version."""

    def objection_record(self, scope: Scope, objection: Objection) -> Any:
        """Return the record of an objection."""

    def enter(self, tenant: str, month: str, agency: str | None, stream: str, seq: int, row: Mapping[str, Any]) -> None:
        """Put what an event says about money into its month."""

    def booked(self, tenant: str, month: str, agency: str) -> list[dict[str, Any]]:
        """Return the rows of a month and agency."""
        ...

    def earned(self, tenant: str, agency: str, payments: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return what lines of earlier statements earned."""
        ...

    def keep_earned(self, tenant: str, agency: str, earned: Mapping[str, Mapping[str, Any]]) -> None:
        """Keep what lines earned."""

    def statements(self, tenant: str, agency: str) -> list[dict[str, Any]]:
        """Return what is known of every statement."""
        ...

    def keep_statement(self, tenant: str, agency: str, known: Mapping[str, Any]) -> None:
        """Keep what is known of a statement."""

    def stated(self, tenant: str, month: str) -> set[str]:
        """Return the agencies whose statements of a month are all made."""
        ...

    def keep_stated(self, tenant: str, agency: str, month: str) -> None:
        """Keep that every statement of a month with an agency is made."""


class Files(Protocol):
    """Where statements lie. See ``chalicelib.gateways.reports_bucket``."""

    def write(self, path: str, body: bytes, *, content_type: str) -> None:
        """Put a file."""

    def read(self, path: str) -> bytes | None:
        """Return a file, or None."""
        ...


@dataclass(frozen=True, slots=True)
class StatementPorts:
    """What the use cases of this module need.

    ``render`` sets a statement in a language as a file of a kind; ``conduct`` returns an agency's confirmed breaches and outbound contacts
    between two days (both closed).
    """

    store: Store
    money: Money
    files: Files
    render: Callable[[Mapping[str, Any], str, str], bytes]
    conduct: Callable[[Scope, str, date, date], tuple[int, int]]
    scope_for: Callable[[str], Scope]
    zone_of: Callable[[str], str]


# Terms


def offer_terms(
    ports: StatementPorts,
    scope: Scope,
    agency: str,
    terms: Terms,
    caller: Caller,
    context: Context,
    *,
    effective_from: date,
) -> TermsVersion:
    """Offer terms to an agency from the first day of a month on, not before the present one; nothing binds until it accepts.

    Raises NotFound for an agency that the lender does not list, InvalidInput, StateConflict.
    """
    today = local_date(context.now, lender_of(ports.store, scope).zone)
    if ports.store.agency(scope, agency) is None:
        raise NotFound("agency", agency)
    if effective_from.day != 1 or not today.replace(day=1) <= effective_from <= today + LONGEST_NOTICE:
        raise InvalidInput("/effective_from", "out_of_range", "the first day of a month, of the present one or later")

    def once() -> TermsVersion:
        versions = ports.money.versions(scope, agency)
        if len(versions) >= MOST_VERSIONS:
            raise StateConflict("too_many_versions", "the terms have too many versions")
        offered = TermsVersion(
            agency=agency,
            number=len(versions) + 1,
            terms=terms,
            effective_from=effective_from,
            made_by=caller.actor.id,
            made_at=to_text(context.now),
        )
        unit = ports.store.unit(scope, actor=caller.actor, req=context.req, now=context.now)
        unit.create(ports.money.terms_record(scope, offered))
        unit.emit(keys.agreement_pk(scope.tenant, agency), EventType.TERMS_OFFERED, _terms_data(offered))
        unit.commit()
        return offered

    return retrying(once)


def decide_terms(
    ports: StatementPorts, scope: Scope, agency: str, number: int, caller: Caller, context: Context, *, decision: str
) -> TermsVersion:
    """Let the agency accept or decline an offer, or the lender withdraw it; the same decision again changes nothing.

    An offer whose month is over when it is accepted is refused: what a statement was made by does not change. Raises NotFound,
    NotPermitted, StateConflict.
    """
    target = {"accept": TermsState.ACCEPTED, "decline": TermsState.DECLINED, "withdraw": TermsState.WITHDRAWN}[decision]
    if (decision == "withdraw") is (caller.org is not None):
        raise NotPermitted("the agency accepts or declines, the lender withdraws")
    today = local_date(context.now, lender_of(ports.store, scope).zone)

    def once() -> TermsVersion:
        known = next((each for each in ports.money.versions(scope, agency) if each.number == number), None)
        if known is None:
            raise NotFound("terms", f"{agency} {number}")
        if known.state is target:
            return known
        if known.state is not TermsState.OFFERED:
            raise StateConflict("already_decided", f"the offer is {known.state}")
        if target is TermsState.ACCEPTED and known.effective_from < today.replace(day=1):
            raise StateConflict("offer_lapsed", "the month from which it would bind is over")
        told = {"state": target, "decided_by": caller.actor.id, "decided_at": to_text(context.now)}
        decided = known.model_copy(update={**told, "version": known.version + 1})
        unit = ports.store.unit(scope, actor=caller.actor, req=context.req, now=context.now)
        unit.replace(ports.money.terms_record(scope, decided), expected=known.version)
        data = _terms_data(decided) | {"terms_decision": target.value}
        unit.emit(keys.agreement_pk(scope.tenant, agency), EventType.TERMS_DECIDED, data)
        unit.commit()
        return decided

    return retrying(once)


def _terms_data(version: TermsVersion) -> dict[str, Any]:
    text = version.terms.model_dump_json(exclude_defaults=True)
    return {
        "agency": version.agency,
        "number": version.number,
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "binds_from": version.effective_from.isoformat(),
    }


# Money by month

MONEY_TYPES = frozenset({EventType.PAYMENT_POSTED, EventType.PAYMENT_REVERSED})
"""The events that statements are reckoned from."""


def project_money(ports: StatementPorts, events: Sequence[Event]) -> list[str]:
    """Enter each payment and reversal into the lender's month in which it was booked; return the events that failed, none."""
    for event in events:
        if event.type in MONEY_TYPES:
            month = local_date(from_text(event.at), ports.zone_of(event.tenant)).isoformat()[:7]
            row = {"type": event.type.value, "case": event.stream, "at": event.at, **event.data}
            ports.money.enter(event.tenant, month, event.data["agency"], event.stream, event.seq, row)
    return []


def _received(row: Mapping[str, Any]) -> Received:
    return Received(
        payment=row["payment"],
        case=row["case"],
        amount_minor=row["amount_minor"],
        currency=row["currency"],
        received_on=date.fromisoformat(row["received_on"]),
        booked_at=row["at"],
        stage=row["placement_stage"],
        bucket=row["bucket"],
        product=row["product"],
        placed_to=date.fromisoformat(row["placed_to"]),
        left_on=None if row["left_on"] is None else date.fromisoformat(row["left_on"]),
        commissionable=row["commissionable"],
        method=row["method"],
    )


def _taken_back(row: Mapping[str, Any]) -> TakenBack:
    return TakenBack(
        reversal=row["payment"],
        payment=row["reversal_of"],
        case=row["case"],
        amount_minor=row["amount_minor"],
        currency=row["currency"],
        received_on=date.fromisoformat(row["received_on"]),
        booked_at=row["at"],
    )


# Statements


def reckon(ports: StatementPorts, scope: Scope, agency: str, month: str, *, now: datetime) -> list[dict[str, Any]]:
    """Return the statements of a month with an agency, one a currency, as they follow from what is booked by now.

    The currency of the terms comes first. Money of a month without terms in force stands on lines that earn nothing.
    """
    rows = ports.money.booked(scope.tenant, month, agency)
    received = [_received(row) for row in rows if row["type"] == EventType.PAYMENT_POSTED]
    backs = [_taken_back(row) for row in rows if row["type"] == EventType.PAYMENT_REVERSED]
    first, last = (date.fromisoformat(day) for day in month_span(month))
    version = in_force(ports.money.versions(scope, agency), first)
    own = {each.payment for each in received}
    kept = ports.money.earned(scope.tenant, agency, (back.payment for back in backs if back.payment not in own))
    earlier = {
        key: Earned(row["commission_minor"], date.fromisoformat(row["received_on"])) for key, row in kept.items()
    }
    factor = WHOLE
    if version is not None and version.terms.quality:
        factor = version.terms.factor(*ports.conduct(scope, agency, first, last))
    lines = _lines(version, received, backs, earlier, factor)
    granted = [each for each in ports.money.objections(scope, agency) if each.adjusted_in == month]
    currencies = [line.currency for line in lines] + [each.currency for each in granted]
    if version is not None:
        currencies.append(version.terms.currency)
    zone = ports.zone_of(scope.tenant)
    about = {
        "lender": scope.tenant,
        "agency": agency,
        "month": month,
        "terms": None if version is None else version.number,
        "factor": factor,
        "final": local_date(now, zone) > last,
        "made_at": to_text(now),
    }
    found = []
    for currency in sorted(set(currencies), key=lambda each: (version is None or each != version.terms.currency, each)):
        own_lines = [line for line in lines if line.currency == currency]
        adjustments = [
            Adjustment(objection=each.id, month=each.month, source=each.source, amount_minor=each.granted_minor)
            for each in granted
            if each.currency == currency
        ]
        faults = statements.faults_of(
            own_lines,
            [each for each in received if each.currency == currency],
            [each for each in backs if each.currency == currency],
        )
        told = {
            "currency": currency,
            "digits": DIGITS.get(currency, 2),
            "totals": statements.totals_of(own_lines, adjustments).model_dump(),
            "ties": not faults,
            "adjustments": [each.model_dump() for each in adjustments],
            "lines": [_line(line) for line in own_lines],
        }
        found.append(about | told)
    return found


def _lines(
    version: TermsVersion | None,
    received: Sequence[Received],
    backs: Sequence[TakenBack],
    earlier: Mapping[str, Earned],
    factor: int,
) -> tuple[Line, ...]:
    if version is not None:
        return lines_of(version.terms, received, backs, earlier=earlier, factor_basis_points=factor)
    # Whatever the rate, nobody agreed to one: the money is shown, and what earlier terms earned may still be clawed back.
    nothing = Terms.model_validate(
        {
            "currency": "XTS",
            "rates": ({"id": "none", "tiers": ({"above_minor": 0, "rate_basis_points": 0},)},),
            "claw_back_days": 0,
        }
    )
    lines = lines_of(nothing, received, backs, earlier=earlier)
    return tuple(replace(line, why="no_terms") if line.amount_minor > 0 else line for line in lines)


def _line(line: Line) -> dict[str, Any]:
    told = {each.name: getattr(line, each.name) for each in fields(line)}
    return told | {"received_on": line.received_on.isoformat()}


def read_statements(
    ports: StatementPorts, scope: Scope, agency: str, month: str, *, now: datetime
) -> list[dict[str, Any]]:
    """Return the statements of a month: as they were made, or what they would say by now while none was made."""
    made = [known for known in ports.money.statements(scope.tenant, agency) if known["month"] == month]
    if not made:
        return reckon(ports, scope, agency, month, now=now)
    found = []
    for known in made:
        body = ports.files.read(path_of(scope.tenant, agency, month, known["currency"], "statement.json"))
        if body is None:
            raise NotFound("statement", month)
        found.append(dict(json.loads(body)))
    return found


def list_statements(ports: StatementPorts, scope: Scope, agency: str) -> list[dict[str, Any]]:
    """Return what is known of every statement that was made, the newest month first."""
    return ports.money.statements(scope.tenant, agency)


def read_file(
    ports: StatementPorts, scope: Scope, agency: str, month: str, *, currency: str, language: str, kind: str
) -> bytes:
    """Return a file of a statement that was made. Raises NotFound."""
    known = [each for each in ports.money.statements(scope.tenant, agency) if each["month"] == month]
    if not any(each["currency"] == currency for each in known):
        raise NotFound("statement", month)
    body = ports.files.read(path_of(scope.tenant, agency, month, currency, f"{language}.{kind}"))
    if body is None:
        raise NotFound("statement", month)
    return body


def path_of(tenant: str, agency: str, month: str, currency: str, name: str) -> str:
    """Return where a file of a statement lies in the bucket."""
    return f"{tenant}/statements/{agency}/{month}/{currency}/{name}"


CONTENT_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pdf": "application/pdf",
}


def make_due_statements(ports: StatementPorts, lenders: Iterable[str], now: datetime) -> int:
    """Make every statement of the month that ended that was not made yet; return how many. An empty month has none.

    A run that stopped between two currencies is finished by the next one: a month is over only by a mark behind its last statement.
    """
    made = 0
    for lender in lenders:
        scope = ports.scope_for(lender)
        today = local_date(now - SETTLING, ports.zone_of(lender))
        month = (today.replace(day=1) - timedelta(days=1)).isoformat()[:7]
        stated = ports.money.stated(lender, month)
        for agency in ports.store.agencies(scope):
            if agency.id in stated:
                continue
            kept = {each["currency"] for each in ports.money.statements(lender, agency.id) if each["month"] == month}
            for statement in reckon(ports, scope, agency.id, month, now=now):
                if statement["currency"] not in kept and (statement["lines"] or statement["adjustments"]):
                    _make(ports, scope, statement)
                    made += 1
            ports.money.keep_stated(lender, agency.id, month)
    return made


def _make(ports: StatementPorts, scope: Scope, statement: dict[str, Any]) -> None:
    agency, month, currency = statement["agency"], statement["month"], statement["currency"]
    files = {}
    bodies = {
        "statement.json": (json.dumps(statement, ensure_ascii=False, sort_keys=True).encode(), "application/json")
    }
    for language in statements.LANGUAGES:
        for kind in FILES:
            body = ports.render(statement, language, kind)
            bodies[f"{language}.{kind}"] = (body, CONTENT_TYPES[kind])
    for name, (body, content_type) in bodies.items():
        ports.files.write(path_of(scope.tenant, agency, month, currency, name), body, content_type=content_type)
        files[name] = {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    earned = {
        line["payment"]: {"commission_minor": line["commission_minor"], "received_on": line["received_on"]}
        for line in statement["lines"]
        if line["amount_minor"] > 0
    }
    ports.money.keep_earned(scope.tenant, agency, earned)
    told = ("lender", "agency", "month", "currency", "terms", "factor", "made_at", "totals", "ties")
    # The last of the writes: a statement that stopped half-way is made whole by the next run.
    ports.money.keep_statement(scope.tenant, agency, {name: statement[name] for name in told} | {"files": files})


# Reconciliation


def reconcile(
    ports: StatementPorts, scope: Scope, agency: str, month: str, theirs: Sequence[Row], *, now: datetime
) -> Comparison:
    """Return how another party's record of a month's money on an agency's cases stands to ours; it changes nothing.

    Ours is what was booked in the month, reversals below 0, by the payment's or reversal's id.
    """
    ours = []
    for number, row in enumerate(ports.money.booked(scope.tenant, month, agency), 1):
        sign = -1 if row["type"] == EventType.PAYMENT_REVERSED else 1
        ours.append(
            Row(
                number=number,
                reference=row["payment"],
                case=row["case"],
                amount_minor=sign * row["amount_minor"],
                currency=row["currency"],
                on=date.fromisoformat(row["received_on"]),
            )
        )
    return compare(ours, theirs, today=local_date(now, ports.zone_of(scope.tenant)))


# Objections


def object_to_line(
    ports: StatementPorts,
    scope: Scope,
    agency: str,
    month: str,
    caller: Caller,
    context: Context,
    *,
    currency: str,
    source: str,
    reason: str,
) -> Objection:
    """Let the agency object to a line of a statement, once a line, within 60 days. Raises NotFound, StateConflict."""
    if caller.org is None:
        raise NotPermitted("the agency objects")
    known = [each for each in ports.money.statements(scope.tenant, agency) if each["month"] == month]
    statement = next((each for each in known if each["currency"] == currency), None)
    if statement is None:
        raise NotFound("statement", month)
    if context.now > from_text(statement["made_at"]) + timedelta(days=OBJECTION_DAYS):
        raise StateConflict("window_over", "the time to object is over")
    whole = read_statements(ports, scope, agency, month, now=context.now)
    lines = [line for each in whole if each["currency"] == currency for line in each["lines"]]
    if not any(line["source"] == source for line in lines):
        raise NotFound("line", source)

    def once() -> Objection:
        identity = "obj_" + hashlib.sha256(f"{agency}|{month}|{currency}|{source}".encode()).hexdigest()[:26]
        before = next((each for each in ports.money.objections(scope, agency) if each.id == identity), None)
        if before is not None:
            return before
        objection = Objection(
            id=identity,
            agency=agency,
            month=month,
            currency=currency,
            source=source,
            reason=reason,
            made_by=caller.actor.id,
            made_at=to_text(context.now),
        )
        unit = ports.store.unit(scope, actor=caller.actor, req=context.req, now=context.now)
        unit.create(ports.money.objection_record(scope, objection))
        unit.emit(
            keys.agreement_pk(scope.tenant, agency), EventType.STATEMENT_OBJECTED, _objection_data(objection, reason)
        )
        unit.commit()
        return objection

    return retrying(once)


def answer_objection(
    ports: StatementPorts,
    scope: Scope,
    agency: str,
    objection_id: str,
    caller: Caller,
    context: Context,
    *,
    decision: str,
    answer: str,
    granted_minor: int = 0,
) -> Objection:
    """Let the lender grant or refuse an objection; what it grants is an adjustment on the statement of the present month.

    The same decision again changes nothing. Raises NotFound, NotPermitted, InvalidInput, StateConflict.
    """
    if caller.org is not None:
        raise NotPermitted("the lender answers")
    event = ObjectionEvent(decision)
    if (event is ObjectionEvent.GRANT) is (granted_minor == 0):
        raise InvalidInput("/granted_minor", "does_not_fit", "an amount is granted, or the objection refused")
    today = local_date(context.now, lender_of(ports.store, scope).zone)

    def once() -> Objection:
        known = next((each for each in ports.money.objections(scope, agency) if each.id == objection_id), None)
        if known is None:
            raise NotFound("objection", objection_id)
        reply = statements.answer(known.state, event)
        if isinstance(reply, Refuse):
            raise StateConflict("already_decided", reply.reason)
        if not isinstance(reply, Move):
            return known
        told: dict[str, Any] = {"state": reply.to, "answer": answer, "answered_by": caller.actor.id}
        told |= {"answered_at": to_text(context.now), "granted_minor": granted_minor, "version": known.version + 1}
        if reply.to is ObjectionState.GRANTED:
            told["adjusted_in"] = today.isoformat()[:7]
        answered = known.model_copy(update=told)
        unit = ports.store.unit(scope, actor=caller.actor, req=context.req, now=context.now)
        unit.replace(ports.money.objection_record(scope, answered), expected=known.version)
        data = _objection_data(answered, answer) | {
            "objection_decision": answered.state.value,
            "granted_minor": answered.granted_minor,
        }
        unit.emit(keys.agreement_pk(scope.tenant, agency), EventType.STATEMENT_ANSWERED, data)
        unit.commit()
        return answered

    return retrying(once)


def _objection_data(objection: Objection, words: str) -> dict[str, Any]:
    return {
        "agency": objection.agency,
        "objection": objection.id,
        "month": objection.month,
        "currency": objection.currency,
        "line_source": objection.source,
        "reason_sha256": hashlib.sha256(words.encode()).hexdigest(),
    }
