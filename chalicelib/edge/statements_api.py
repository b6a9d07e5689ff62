"""Commission over HTTP: terms, monthly statements and their files, objections to a line, and the accounts of a case."""

from datetime import date
from typing import Annotated, Any, Literal

from chalice.app import Blueprint
from pydantic import BaseModel, ConfigDict, Field

from chalicelib import wiring
from chalicelib.domain.errors import NotFound, StateConflict
from chalicelib.domain.money.commission import Terms, TermsVersion
from chalicelib.domain.money.reconciliation import EXPLANATIONS, Break, Row
from chalicelib.domain.money.statement import Objection
from chalicelib.domain.principals import Principal, TenantScope, scope_of
from chalicelib.edge.callers import caller_of, context_of, org_of, scope_of_case, scopes_for
from chalicelib.edge.http import Answer, Request, route
from chalicelib.usecases import cases, statements

bp = Blueprint(__name__)

Text = Annotated[str, Field(min_length=10, max_length=2_000)]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,80}$")]
MONTH = {"month": r"[12][0-9]{3}-(0[1-9]|1[0-2])"}
NUMBER = {"number": r"[1-9][0-9]{0,4}"}
MONEY = "/v1/lenders/{lender_id}/agencies/{agency_id}"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TermsOffer(_Model):
    """Terms of commission, and the first day of the month from which they bind once the agency accepts."""

    terms: Terms
    effective_from: date


class TermsDecision(_Model):
    """The agency accepts or declines an offer; the lender may withdraw it while it is open."""

    decision: Literal["accept", "decline", "withdraw"]


class TermsView(_Model):
    """A version of the terms and where it stands: offered, accepted, declined or withdrawn."""

    agency: str
    number: int
    terms: Terms
    effective_from: date
    state: Literal["offered", "accepted", "declined", "withdrawn"]
    made_by: str
    made_at: str
    decided_by: str | None
    decided_at: str | None
    version: int


class TermsList(_Model):
    """Every version of the terms with an agency, by number."""

    items: list[TermsView]


class StatementList(_Model):
    """The statements that were made, the newest month first; lines are read month by month."""

    items: list[dict[str, Any]]


class MonthStatements(_Model):
    """The statements of a month, one a currency. ``final`` once the month is over; before, what they would say by now."""

    items: list[dict[str, Any]]


class StatementFile(_Model):
    """Which file of a statement: its currency, language and kind."""

    currency: Currency
    language: Literal["zh", "en"] = "zh"
    kind: Literal["csv", "xlsx", "pdf"] = "pdf"


class LineObjection(_Model):
    """An objection to the line that comes from ``source``, a payment or reversal."""

    currency: Currency
    source: Id
    reason: Text


class ObjectionAnswer(_Model):
    """The lender's answer. What is granted, in minor units, stands on the statement of the month of the answer."""

    decision: Literal["grant", "refuse"]
    answer: Text
    granted_minor: Annotated[int, Field(strict=True, ge=-(10**13), le=10**13)] = 0


class ObjectionView(_Model):
    """An objection and its answer."""

    id: str
    agency: str
    month: str
    currency: str
    source: str
    state: Literal["open", "granted", "refused"]
    reason: str
    made_by: str
    made_at: str
    answer: str | None
    answered_by: str | None
    answered_at: str | None
    granted_minor: int
    adjusted_in: str | None
    version: int


class ObjectionList(_Model):
    """Every objection of an agency, by id."""

    items: list[ObjectionView]


class MoneyRow(_Model):
    """Money as the caller has it, in minor units, below 0 for money taken back.

    ``reference`` is the id of the payment or reversal.
    """

    reference: Annotated[str, Field(min_length=1, max_length=80)]
    case: Id
    amount_minor: Annotated[int, Field(strict=True, ge=-(10**13), le=10**13)]
    currency: Currency
    received_on: date


class MoneyFile(_Model):
    """The caller's record of a month's money on the agency's cases."""

    rows: Annotated[list[MoneyRow], Field(max_length=1_000)]


class MoneyBreak(_Model):
    """What does not agree: the row of each side, its age in days, and what it means in Chinese and English."""

    kind: Literal["missing_here", "missing_there", "amount_differs", "date_differs", "duplicate", "other_reference"]
    row: int | None
    reference: str | None
    our_reference: str | None
    case: str
    currency: str
    their_minor: int | None
    our_minor: int | None
    difference_minor: int
    age_days: int
    age: Literal["0-1", "2-7", "8-30", "31+"]
    explanation: dict[str, str]


class Reconciliation(_Model):
    """How two records of the same money stand to each other; ``unexplained_minor`` is what no break explains: nothing."""

    month: str
    agreed: int
    ours_minor: dict[str, int]
    theirs_minor: dict[str, int]
    unexplained_minor: dict[str, int]
    breaks: list[MoneyBreak]


class AccountEntry(_Model):
    """One entry: its postings by account sum to 0. ``source`` is what was booked."""

    on: date | None
    kind: str
    source: str
    postings: dict[str, int]


class CaseAccounts(_Model):
    """The money of a case in double entry, in minor units, debits above 0; ``faults`` is what does not balance: nothing."""

    case: str
    currency: str
    entries: list[AccountEntry]
    balances: dict[str, int]
    refundable_minor: int
    faults: list[str]


def _place(principal: Principal, request: Request[Any, Any]) -> tuple[TenantScope, str]:
    """Return the scope and the agency of the path, where both are the caller's. Raises NotFound."""
    lender, agency = request.path["lender_id"], request.path["agency_id"]
    if principal.is_agency_side:
        found = [scope for scope in scopes_for(principal) if scope.tenant == lender]
        if not found or principal.org != agency:
            raise NotFound("lender", lender)
        return found[0], agency
    scope = scope_of(principal)
    if scope.tenant != lender:
        raise NotFound("lender", lender)
    return scope, agency


def _terms(version: TermsVersion) -> Answer:
    return Answer(TermsView(**dict(version)), version=version.version)


def _objection(objection: Objection) -> Answer:
    return Answer(ObjectionView(**dict(objection)), version=objection.version)


@route(
    bp,
    "POST",
    f"{MONEY}/commission-terms",
    scope="settlements:write",
    body=TermsOffer,
    response=TermsView,
    status=201,
    errors=[StateConflict],
    summary="Offer terms of commission to an agency; they bind from a month on, once it accepts",
)
def offer_commission_terms(principal: Principal, request: Request[TermsOffer, None]) -> Answer:
    """``docs/money.md`` says how tiers, quality, direct payments and claw-back are reckoned."""
    scope, agency = _place(principal, request)
    if principal.is_agency_side:
        raise NotFound("agency", agency)
    return _terms(
        statements.offer_terms(
            wiring.statement_ports(),
            scope,
            agency,
            request.body.terms,
            caller_of(principal),
            context_of(request),
            effective_from=request.body.effective_from,
        )
    )


@route(
    bp,
    "GET",
    f"{MONEY}/commission-terms",
    scope="settlements:read",
    response=TermsList,
    summary="List every version of the terms with an agency",
)
def list_commission_terms(principal: Principal, request: Request[None, None]) -> TermsList:
    """Of those accepted the one that began last is in force."""
    scope, agency = _place(principal, request)
    found = wiring.statement_ports().money.versions(scope, agency)
    return TermsList(items=[TermsView(**dict(version)) for version in found])


@route(
    bp,
    "POST",
    f"{MONEY}/commission-terms/{{number}}/decision",
    scope="settlements:write",
    body=TermsDecision,
    response=TermsView,
    errors=[StateConflict],
    path_patterns=NUMBER,
    summary="Accept or decline an offer of terms as the agency, or withdraw it as the lender",
)
def decide_commission_terms(principal: Principal, request: Request[TermsDecision, None]) -> Answer:
    """Who made the offer cannot accept it. The same decision again changes nothing."""
    scope, agency = _place(principal, request)
    return _terms(
        statements.decide_terms(
            wiring.statement_ports(),
            scope,
            agency,
            int(request.path["number"]),
            caller_of(principal),
            context_of(request),
            decision=request.body.decision,
        )
    )


@route(
    bp,
    "GET",
    f"{MONEY}/statements",
    scope="settlements:read",
    response=StatementList,
    summary="List the agency's monthly statements with their totals",
)
def list_agency_statements(principal: Principal, request: Request[None, None]) -> StatementList:
    """One a month and currency, made when the lender's month is over."""
    scope, agency = _place(principal, request)
    return StatementList(items=statements.list_statements(wiring.statement_ports(), scope, agency))


@route(
    bp,
    "GET",
    f"{MONEY}/statements/{{month}}",
    scope="settlements:read",
    response=MonthStatements,
    path_patterns=MONTH,
    summary="Read a month's statements line by line; of the month that runs, what they would say by now",
)
def read_agency_statement(principal: Principal, request: Request[None, None]) -> MonthStatements:
    """Every line names the payment that it comes from, and why it earned what it did."""
    scope, agency = _place(principal, request)
    now, month = wiring.now(), request.path["month"]
    return MonthStatements(items=statements.read_statements(wiring.statement_ports(), scope, agency, month, now=now))


@route(
    bp,
    "GET",
    f"{MONEY}/statements/{{month}}/file",
    scope="settlements:read",
    query=StatementFile,
    content_type="application/octet-stream",
    path_patterns=MONTH,
    summary="Download a monthly statement as CSV, XLSX or PDF, in Chinese or English",
)
def read_agency_statement_file(principal: Principal, request: Request[None, StatementFile]) -> Answer:
    """The files of a statement are made with it and never change."""
    scope, agency = _place(principal, request)
    month, asked = request.path["month"], request.query
    body = statements.read_file(
        wiring.statement_ports(),
        scope,
        agency,
        month,
        currency=asked.currency,
        language=asked.language,
        kind=asked.kind,
    )
    name = f"statement-{agency}-{month}-{asked.currency}-{asked.language}.{asked.kind}"
    return Answer(body, headers={"Content-Disposition": f'attachment; filename="{name}"'})


@route(
    bp,
    "POST",
    f"{MONEY}/statements/{{month}}/objections",
    scope="settlements:write",
    body=LineObjection,
    response=ObjectionView,
    status=201,
    errors=[StateConflict],
    path_patterns=MONTH,
    summary="Object to a line of a statement, within 60 days of it",
)
def object_to_line(principal: Principal, request: Request[LineObjection, None]) -> Answer:
    """The same line again is the same objection."""
    scope, agency = _place(principal, request)
    return _objection(
        statements.object_to_line(
            wiring.statement_ports(),
            scope,
            agency,
            request.path["month"],
            caller_of(principal),
            context_of(request),
            currency=request.body.currency,
            source=request.body.source,
            reason=request.body.reason,
        )
    )


@route(
    bp,
    "GET",
    f"{MONEY}/objections",
    scope="settlements:read",
    response=ObjectionList,
    summary="List an agency's objections to statement lines, with their answers",
)
def list_objections(principal: Principal, request: Request[None, None]) -> ObjectionList:
    """Open ones wait for the lender."""
    scope, agency = _place(principal, request)
    found = wiring.statement_ports().money.objections(scope, agency)
    return ObjectionList(items=[ObjectionView(**dict(each)) for each in found])


@route(
    bp,
    "POST",
    f"{MONEY}/objections/{{objection_id}}/answer",
    scope="settlements:write",
    body=ObjectionAnswer,
    response=ObjectionView,
    errors=[StateConflict],
    summary="Grant or refuse an objection to a statement line",
)
def answer_objection(principal: Principal, request: Request[ObjectionAnswer, None]) -> Answer:
    """A statement that was made does not change: what is granted stands on the next one."""
    scope, agency = _place(principal, request)
    return _objection(
        statements.answer_objection(
            wiring.statement_ports(),
            scope,
            agency,
            request.path["objection_id"],
            caller_of(principal),
            context_of(request),
            decision=request.body.decision,
            answer=request.body.answer,
            granted_minor=request.body.granted_minor,
        )
    )


@route(
    bp,
    "POST",
    f"{MONEY}/statements/{{month}}/reconciliations",
    scope="settlements:read",
    body=MoneyFile,
    response=Reconciliation,
    path_patterns=MONTH,
    summary="Compare the caller's record of a month's money with ours: every break, aged and explained",
)
def reconcile_money(principal: Principal, request: Request[MoneyFile, None]) -> Reconciliation:
    """It changes nothing. The lender and the agency each compare their own record with what was booked."""
    scope, agency = _place(principal, request)
    theirs = [
        Row(
            number=number,
            reference=row.reference,
            case=row.case,
            amount_minor=row.amount_minor,
            currency=row.currency,
            on=row.received_on,
        )
        for number, row in enumerate(request.body.rows, 1)
    ]
    month = request.path["month"]
    found = statements.reconcile(wiring.statement_ports(), scope, agency, month, theirs, now=wiring.now())
    return Reconciliation(
        month=month,
        agreed=found.agreed,
        ours_minor=found.ours_minor,
        theirs_minor=found.theirs_minor,
        unexplained_minor=found.unexplained_minor,
        breaks=[_break(each) for each in found.breaks],
    )


def _break(each: Break) -> MoneyBreak:
    theirs, ours = each.theirs, each.ours
    shown = theirs or ours
    if shown is None:
        raise LookupError("a break has a row on one side at least")
    return MoneyBreak(
        kind=each.kind.value,
        row=None if theirs is None else theirs.number,
        reference=None if theirs is None else theirs.reference,
        our_reference=None if ours is None else ours.reference,
        case=shown.case,
        currency=shown.currency,
        their_minor=None if theirs is None else theirs.amount_minor,
        our_minor=None if ours is None else ours.amount_minor,
        difference_minor=each.difference_minor,
        age_days=each.age_days,
        age=each.age,
        explanation=EXPLANATIONS[each.kind],
    )


@route(
    bp,
    "GET",
    "/v1/cases/{case_id}/accounts",
    scope="settlements:read",
    response=CaseAccounts,
    summary="Read the money of a case in double entry: every entry sums to 0",
)
def read_case_accounts(principal: Principal, request: Request[None, None]) -> CaseAccounts:
    """Computed from what was booked, in whatever order it came. An agency reads the cases that it holds."""
    case_id = request.path["case_id"]
    told = cases.accounts_of(wiring.store(), scope_of_case(principal, case_id), case_id, org=org_of(principal))
    return CaseAccounts(**told)
