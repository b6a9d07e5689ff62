"""``authorize``: verifies the bearer token and admits it to the API; what it may touch is decided per route and object.

API Gateway keeps the answer by token and applies it to every route, so it must not depend on the one that was asked
for: it is one policy for all routes of this API and stage. Scopes are checked by the view decorator, objects in code.
"""

import functools
import sys
from typing import NoReturn

from chalice.app import AuthRequest, AuthResponse, Blueprint

from chalicelib.domain.principals import Principal
from chalicelib.edge.observed import logger
from chalicelib.gateways.oidc import IssuerKeys, TokenRefused, Verifier
from chalicelib.settings import settings

bp = Blueprint(__name__)

CACHE_SECONDS = 60
"""How long a gateway may go on admitting a token; the view decorator refuses one that expired in between."""


@functools.cache
def verifier() -> Verifier:
    """Return the process's verifier; its key cache is all that requests share."""
    known = settings()
    return Verifier(known.oidc_issuer, known.oidc_audience, IssuerKeys(known.oidc_jwks_url))


@bp.authorizer(ttl_seconds=CACHE_SECONDS)
def authorize(request: AuthRequest) -> AuthResponse:
    """Admit a verified principal to all routes, or answer 401. A fault (no keys to check with) is a 500, not a 401."""
    kind, _, token = request.token.partition(" ")
    if kind.lower() != "bearer":
        _refuse("scheme")
    try:
        principal = verifier().principal(token.strip(" "))
    except TokenRefused as refusal:
        code = refusal.code
    else:
        return _admit(principal)
    _refuse(code)


def _admit(principal: Principal) -> AuthResponse:
    # "*" becomes <api id>/<stage>/*/*: nothing of the path or method that was asked for.
    return AuthResponse(
        routes=["*"], principal_id=principal.subject, context={"principal": principal.model_dump_json()}
    )


def _refuse(code: str) -> NoReturn:
    logger().warning("token refused", extra={"function": "authorize", "code": code})
    raise unauthorized()


def unauthorized() -> Exception:
    """Return the exception that means 401: API Gateway knows it by its message, Chalice's local gateway by its class.

    The local gateway is in no deployed package; its class is used only where that module already runs.
    """
    local = sys.modules.get("chalice.local")
    if local is None:
        return Exception("Unauthorized")

    class Unauthorized(local.NotAuthorizedError):  # type: ignore[misc, name-defined]
        def __str__(self) -> str:
            return "Unauthorized"

    return Unauthorized({"Content-Type": "application/json"}, b'{"message":"Unauthorized"}')
