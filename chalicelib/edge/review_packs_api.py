"""Weekly review packs over HTTP: which there are, and each as a page or a PDF in Chinese or English."""

from typing import Any, Literal

from chalice.app import Blueprint
from pydantic import BaseModel, ConfigDict

from chalicelib import wiring
from chalicelib.domain.principals import Principal, scope_of
from chalicelib.edge.http import Answer, Request, route
from chalicelib.usecases import review_packs

bp = Blueprint(__name__)

WEEK = {"week": r"[0-9]{4}-W[0-9]{2}"}


class ReviewPackList(BaseModel):
    """A lender's packs, the newest week first; ``final`` once the week is over."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    items: list[dict[str, Any]]


class PackLanguage(BaseModel):
    """The language of a pack."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    language: Literal["zh", "en"] = "zh"


@route(
    bp, "GET", "/v1/review-packs", scope="kpis:read", response=ReviewPackList, summary="List the weekly review packs"
)
def list_review_packs(principal: Principal, request: Request[None, None]) -> ReviewPackList:
    """One a week, made when the week is over and once a day while it runs."""
    return ReviewPackList(items=review_packs.list_packs(wiring.pack_ports(), scope_of(principal)))


@route(
    bp,
    "GET",
    "/v1/review-packs/{week}/page",
    scope="kpis:read",
    query=PackLanguage,
    content_type="text/html; charset=utf-8",
    path_patterns=WEEK,
    summary="Read a weekly review pack as a page",
)
def read_review_page(principal: Principal, request: Request[None, PackLanguage]) -> Answer:
    """One page that loads nothing and runs nothing."""
    week, language = request.path["week"], request.query.language
    return Answer(review_packs.read_pack(wiring.pack_ports(), scope_of(principal), week, language, "html"))


@route(
    bp,
    "GET",
    "/v1/review-packs/{week}/pdf",
    scope="kpis:read",
    query=PackLanguage,
    content_type="application/pdf",
    path_patterns=WEEK,
    summary="Download a weekly review pack as a PDF",
)
def read_review_pdf(principal: Principal, request: Request[None, PackLanguage]) -> Answer:
    """A4 pages, for a caller that accepts ``application/pdf``: the gateway hands on text to any other."""
    week, language = request.path["week"], request.query.language
    body = review_packs.read_pack(wiring.pack_ports(), scope_of(principal), week, language, "pdf")
    return Answer(body, headers={"Content-Disposition": f'attachment; filename="review-{week}-{language}.pdf"'})
