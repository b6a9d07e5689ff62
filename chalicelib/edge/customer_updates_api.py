"""Customer updates by file over HTTP: announce a file, follow it, fetch the rows that were refused."""

from typing import Any

from chalice.app import Blueprint
from pydantic import BaseModel, ConfigDict

from chalicelib import wiring
from chalicelib.domain.errors import NotFound
from chalicelib.domain.intake.portfolio import Kind, Portfolio, UpdatesWish
from chalicelib.domain.intake.rejections import Rejection
from chalicelib.domain.principals import Principal, TenantScope
from chalicelib.edge.callers import actor_of, org_of, scopes_for
from chalicelib.edge.http import Answer, Request, route
from chalicelib.edge.portfolios_api import CSV_AT_ONCE, RejectionQuery, UploadForm, csv_answer
from chalicelib.usecases import portfolios

bp = Blueprint(__name__)


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CustomerUpdatesView(_Model):
    """A file of customer updates: whose, where it stands, how far it has come, and what was found in it.

    ``accepted`` + ``unchanged`` + ``rejected`` = ``rows`` when the state is ``loaded``.
    """

    id: str
    lender: str
    agency: str | None
    state: str
    format: str
    progress: float
    rows: int | None
    accepted: int
    unchanged: int
    rejected: int
    codes: dict[str, int]
    sha256: str | None
    encoding: str | None
    refusal: dict[str, Any] | None
    requested_at: str
    started_at: str | None
    loaded_at: str | None
    upload: UploadForm | None = None


class RefusedUpdateView(_Model):
    """One problem of one row; ``update`` is the masked ``update_id``, and the value is masked, never shown."""

    row: int
    line: int
    update: str
    field: str
    code: str
    zh: str
    en: str
    value: str


class RefusedUpdateList(_Model):
    """Refused rows in file order. ``complete`` is false while chunks are still being loaded."""

    items: list[RefusedUpdateView]
    next_cursor: str | None
    complete: bool


def _view(scope: TenantScope, found: Portfolio, upload: dict[str, Any] | None = None) -> CustomerUpdatesView:
    return CustomerUpdatesView(
        id=found.id,
        lender=scope.tenant,
        agency=None if found.by is None else found.by.org,
        state=found.state.value,
        format=found.format,
        progress=found.progress,
        rows=found.rows,
        accepted=found.accepted,
        unchanged=found.unchanged,
        rejected=found.rejected,
        codes=dict(found.codes),
        sha256=found.sha256,
        encoding=found.encoding,
        refusal=found.refusal,
        requested_at=found.requested_at,
        started_at=found.started_at,
        loaded_at=found.loaded_at,
        upload=None if upload is None else UploadForm(url=upload["url"], fields=upload["fields"]),
    )


def _scope_for(principal: Principal, lender: str | None) -> TenantScope:
    """Return the scope of the lender whose persons are updated. Raises NotFound for one that is not the caller's.

    Who has one lender need not name it; an agency with several names which.
    """
    found = [scope for scope in scopes_for(principal) if lender in (None, scope.tenant)]
    if len(found) != 1:
        raise NotFound("lender", lender or "")
    return found[0]


def _find(principal: Principal, identity: str) -> tuple[TenantScope, Portfolio]:
    """Return an upload of the caller's, and the scope that it is in. Raises NotFound."""
    ports = wiring.portfolio_ports()
    for scope in scopes_for(principal):
        try:
            return scope, portfolios.find_upload(
                ports, scope, identity, kind=Kind.CUSTOMER_UPDATES, org=org_of(principal)
            )
        except NotFound:
            continue
    raise NotFound("portfolio", identity)


@route(
    bp,
    "POST",
    "/v1/customer-updates",
    scope="persons:write",
    body=UpdatesWish,
    response=CustomerUpdatesView,
    status=202,
    max_bytes=5 * 1024**2,
    errors=[NotFound],
    summary="Announce a file of customer updates and get the form to upload it with, or hand over a few rows at once",
)
def request_customer_updates(principal: Principal, request: Request[UpdatesWish, None]) -> Answer:
    """Each row is the single update that it stands for, in the caller's name. A bad row stops no good one.

    An agency updates persons of cases that it holds, of one lender a file.
    """
    scope = _scope_for(principal, request.body.lender)
    asked = portfolios.request_portfolio(
        wiring.portfolio_ports(),
        scope,
        request.body,
        actor=actor_of(principal),
        now=wiring.now(),
        req=request.id,
        org=org_of(principal),
    )
    view = _view(scope, asked.portfolio, asked.upload)
    return Answer(view, location=f"/v1/customer-updates/{asked.portfolio.id}")


@route(
    bp,
    "GET",
    "/v1/customer-updates/{upload_id}",
    scope="persons:read",
    response=CustomerUpdatesView,
    summary="Follow a file of customer updates: status, progress, counts",
)
def read_customer_updates(principal: Principal, request: Request[None, None]) -> Answer:
    """Counts are complete when the state is ``loaded``. An agency finds its own files, the lender's side all of the lender's."""
    scope, found = _find(principal, request.path["upload_id"])
    return Answer(_view(scope, found), version=found.version)


@route(
    bp,
    "GET",
    "/v1/customer-updates/{upload_id}/rejections",
    scope="persons:read",
    query=RejectionQuery,
    response=RefusedUpdateList,
    also_types=("text/csv",),
    summary="List the rows of customer updates that were refused: row, field, code, text in Chinese and English",
)
def list_refused_updates(principal: Principal, request: Request[None, RejectionQuery]) -> Answer:
    """With ``format=csv`` the answer is a CSV file. Values are masked."""
    identity, after = request.path["upload_id"], request.after()
    scope, _ = _find(principal, identity)
    as_csv = request.query.format == "csv"
    page = portfolios.list_rejections(
        wiring.portfolio_ports(),
        scope,
        identity,
        kind=Kind.CUSTOMER_UPDATES,
        org=org_of(principal),
        from_row=int(after["row"]) if after is not None else 1,
        limit=CSV_AT_ONCE if as_csv else request.query.limit,
    )
    items = [view for refused in page.rejections for view in _problems_of(refused)]
    following = request.cursor({"row": page.next_row}) if page.next_row is not None else None
    if as_csv:
        return csv_answer(RefusedUpdateView, items, following)
    return Answer(RefusedUpdateList(items=items, next_cursor=following, complete=page.is_complete))


def _problems_of(refused: Rejection) -> list[RefusedUpdateView]:
    return [
        RefusedUpdateView(
            row=refused.row,
            line=refused.line,
            update=refused.account,
            field=told["field"],
            code=told["code"],
            zh=told["zh"],
            en=told["en"],
            value=told["masked"],
        )
        for told in (problem.as_json() for problem in refused.problems)
    ]
