"""What the service says about itself: its API document, and whether it is up."""

import json
from functools import cache

from chalice.app import Blueprint
from pydantic import BaseModel, ConfigDict

from chalicelib import wiring
from chalicelib.domain.instants import to_text
from chalicelib.edge.http import Answer, Request, route
from chalicelib.edge.routes import API

bp = Blueprint(__name__)


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Health(_Model):
    """The service answers; ``now`` is its business clock."""

    status: str
    now: str


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
