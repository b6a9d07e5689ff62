"""What the service says about itself: its API document, the message templates, whether it is up."""

import json
from functools import cache

from chalice.app import Blueprint
from pydantic import BaseModel, ConfigDict

from chalicelib import wiring
from chalicelib.domain.instants import to_text
from chalicelib.domain.outreach.templates import current_templates, required_values
from chalicelib.domain.principals import Principal
from chalicelib.edge.http import Answer, Request, route
from chalicelib.edge.routes import API

bp = Blueprint(__name__)


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Health(_Model):
    """The service answers; ``now`` is its business clock."""

    status: str
    now: str


class TemplateView(_Model):
    """One approved template in force today."""

    id: str
    version: int
    channel: str
    purpose: str
    language: str
    country: str
    audience: list[str]
    variant: str
    subject: str | None
    text: str
    disclosures: list[str]
    claims: list[str]
    values: list[str]


class TemplateList(_Model):
    """The approved templates in force today, by id."""

    items: list[TemplateView]


@route(bp, "GET", "/v1/health", scope=None, response=Health, summary="Tell whether the service answers")
def read_health(principal: None, request: Request[None, None]) -> Health:
    """Needs no token and touches no lender's data."""
    return Health(status="up", now=to_text(wiring.now()))


@route(bp, "GET", "/v1/openapi.json", scope=None, summary="The OpenAPI 3.1 document of this API", content_tag=True)
def read_openapi(principal: None, request: Request[None, None]) -> Answer:
    """Made from the models and the route table that serve the API."""
    return Answer(_document(), headers={"Content-Type": "application/json; charset=utf-8"})


@cache
def _document() -> str:
    return json.dumps(API.openapi(server=wiring.public_url()), ensure_ascii=False)


@route(
    bp,
    "GET",
    "/v1/templates",
    scope="templates:read",
    response=TemplateList,
    summary="List the approved message templates in force today",
)
def list_templates(principal: Principal, request: Request[None, None]) -> TemplateList:
    """``values`` are the placeholders; all but ``visit_on`` and ``ticket`` are filled from the records."""
    return TemplateList(
        items=[
            TemplateView(
                id=each.id,
                version=each.version,
                channel=each.channel,
                purpose=each.purpose,
                language=each.language,
                country=each.country,
                audience=list(each.audience),
                variant=each.variant,
                subject=each.subject,
                text=each.text,
                disclosures=list(each.disclosures),
                claims=list(each.claims),
                values=sorted(required_values(each)),
            )
            for each in sorted(current_templates(wiring.now().date()).values(), key=lambda t: t.id)
        ]
    )
