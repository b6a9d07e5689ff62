"""Portfolios over HTTP: announce an upload, follow it, fetch the rows that were refused."""

import csv
import io
from collections.abc import Sequence
from typing import Any, Literal

from chalice.app import Blueprint
from pydantic import BaseModel, ConfigDict

from chalicelib import wiring
from chalicelib.domain.errors import NotFound
from chalicelib.domain.intake.portfolio import Kind, Portfolio, Wish
from chalicelib.domain.intake.rejections import Rejection
from chalicelib.domain.principals import Principal, scope_of
from chalicelib.edge.callers import actor_of
from chalicelib.edge.http import Answer, Page, Request, route
from chalicelib.usecases import portfolios

bp = Blueprint(__name__)

CSV_AT_ONCE = 1_000
"""Rejected rows in one CSV answer; the ``Link`` header leads on."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class UploadForm(_Model):
    """A form to post the file with: send ``fields`` as multipart fields in order, then the file as ``file``."""

    url: str
    fields: dict[str, str]
    expires_in_seconds: int | None = None


class PortfolioView(_Model):
    """A portfolio: where it stands, how far it has come, and what was found in it."""

    id: str
    state: str
    format: str
    progress: float
    rows: int | None
    accepted: int
    unchanged: int
    rejected: int
    codes: dict[str, int]
    totals: dict[str, dict[str, int]]
    sha256: str | None
    encoding: str | None
    refusal: dict[str, Any] | None
    requested_at: str
    started_at: str | None
    loaded_at: str | None
    upload: UploadForm | None = None


class RejectionView(_Model):
    """One problem of one row; the value is masked, never shown."""

    row: int
    line: int
    account: str
    field: str
    code: str
    zh: str
    en: str
    value: str


class RejectionList(_Model):
    """Refused rows in file order. ``complete`` is false while chunks are still being loaded."""

    items: list[RejectionView]
    next_cursor: str | None
    complete: bool


class RejectionQuery(Page):
    """``format`` chooses JSON pages or one CSV file of up to a thousand rows."""

    format: Literal["json", "csv"] = "json"


def view_of(portfolio: Portfolio, upload: dict[str, Any] | None = None) -> PortfolioView:
    """Return the portfolio as its lender sees it."""
    return PortfolioView(
        id=portfolio.id,
        state=portfolio.state.value,
        format=portfolio.format,
        progress=portfolio.progress,
        rows=portfolio.rows,
        accepted=portfolio.accepted,
        unchanged=portfolio.unchanged,
        rejected=portfolio.rejected,
        codes=dict(portfolio.codes),
        totals={name: dict(sums) for name, sums in portfolio.totals.items()},
        sha256=portfolio.sha256,
        encoding=portfolio.encoding,
        refusal=portfolio.refusal,
        requested_at=portfolio.requested_at,
        started_at=portfolio.started_at,
        loaded_at=portfolio.loaded_at,
        upload=None if upload is None else UploadForm(url=upload["url"], fields=upload["fields"]),
    )


@route(
    bp,
    "POST",
    "/v1/portfolios",
    scope="portfolios:write",
    body=Wish,
    response=PortfolioView,
    status=202,
    max_bytes=5 * 1024**2,
    errors=[NotFound],
    summary="Announce a portfolio and get the form to upload it with, or hand over a few rows at once",
)
def request_portfolio(principal: Principal, request: Request[Wish, None]) -> Answer:
    """Give control totals: a file that does not agree with them is refused before a case exists."""
    asked = portfolios.request_portfolio(
        wiring.portfolio_ports(),
        scope_of(principal),
        request.body,
        actor=actor_of(principal),
        now=wiring.now(),
        req=request.id,
    )
    return Answer(view_of(asked.portfolio, asked.upload), location=f"/v1/portfolios/{asked.portfolio.id}")


@route(
    bp,
    "GET",
    "/v1/portfolios/{portfolio_id}",
    scope="portfolios:read",
    response=PortfolioView,
    summary="Follow a portfolio: status, progress, counts",
)
def read_portfolio(principal: Principal, request: Request[None, None]) -> Answer:
    """Counts are complete when the state is ``loaded``."""
    found = portfolios.find_upload(
        wiring.portfolio_ports(), scope_of(principal), request.path["portfolio_id"], kind=Kind.PORTFOLIO
    )
    return Answer(view_of(found), version=found.version)


@route(
    bp,
    "GET",
    "/v1/portfolios/{portfolio_id}/rejections",
    scope="portfolios:read",
    query=RejectionQuery,
    response=RejectionList,
    also_types=("text/csv",),
    summary="List the rows that were refused: row, field, code, text in Chinese and English, value masked",
)
def list_rejections(principal: Principal, request: Request[None, RejectionQuery]) -> Answer:
    """With ``format=csv`` the answer is a CSV file."""
    after = request.after()
    as_csv = request.query.format == "csv"
    page = portfolios.list_rejections(
        wiring.portfolio_ports(),
        scope_of(principal),
        request.path["portfolio_id"],
        from_row=int(after["row"]) if after is not None else 1,
        limit=CSV_AT_ONCE if as_csv else request.query.limit,
    )
    items = [view for refused in page.rejections for view in problems_of(refused)]
    following = request.cursor({"row": page.next_row}) if page.next_row is not None else None
    if not as_csv:
        return Answer(RejectionList(items=items, next_cursor=following, complete=page.is_complete))
    return csv_answer(RejectionView, items, following)


def problems_of(refused: Rejection) -> list[RejectionView]:
    """Return one line for each problem of a refused row."""
    return [
        RejectionView(
            row=refused.row,
            line=refused.line,
            account=refused.account,
            field=told["field"],
            code=told["code"],
            zh=told["zh"],
            en=told["en"],
            value=told["masked"],
        )
        for told in (problem.as_json() for problem in refused.problems)
    ]


def csv_answer(model: type[BaseModel], items: Sequence[BaseModel], following: str | None) -> Answer:
    """Return rejected rows as a CSV file; the ``Link`` header leads on."""
    headers = {
        "Content-Type": "text/csv; charset=utf-8",
        "Content-Disposition": 'attachment; filename="rejections.csv"',
    }
    if following is not None:
        headers["Link"] = f'<?format=csv&cursor={following}>; rel="next"'
    return Answer(_csv(model, items), headers=headers)


def _csv(model: type[BaseModel], items: Sequence[BaseModel]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(model.model_fields), lineterminator="\r\n")
    writer.writeheader()
    for item in items:
        # A leading quote keeps a spreadsheet from reading a cell as a formula.
        writer.writerow({k: _inert(v) for k, v in item.model_dump().items()})
    return "\ufeff" + text.getvalue()


def _inert(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r\n＝＋－＠" and value else value
