"""Prints a bearer token of the local issuer: ``python -m scripts.token --role lender --org acme``.

Works whether or not the issuer runs: it signs with the key in ``.local/issuer/``.
"""

import argparse
import os
import secrets
import sys
import time

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chalicelib.domain.principals import ROLE_SCOPES, Role, principal_from
from chalicelib.gateways.oidc import MAX_LIFETIME_SECONDS
from scripts.issuer import AUDIENCE, issuer_url, public_jwk, signing_key

_OWN_TENANT = (Role.LENDER, Role.COMPLIANCE, Role.COUNSEL)


def make_token(
    *,
    role: str,
    org: str,
    subject: str | None = None,
    tenant: str | None = None,
    scopes: list[str] | None = None,
    ttl: int = 3_600,
    key: Ed25519PrivateKey | None = None,
    issuer: str | None = None,
    audience: str | None = None,
    now: int | None = None,
) -> str:
    """Return a signed token. A lender's and a compliance officer's tenant is their ``org`` unless another is given.

    ``ttl`` is in seconds; ``issuer`` and ``audience`` default to ``FORBEAR_OIDC_ISSUER`` and
    ``FORBEAR_OIDC_AUDIENCE``, else to the local issuer's. Raises ValueError for what the API would refuse.
    """
    if not 0 < ttl <= MAX_LIFETIME_SECONDS:
        raise ValueError(f"a token lives 1 to {MAX_LIFETIME_SECONDS} seconds")
    issued = int(time.time()) if now is None else now
    signer = key or signing_key()
    principal = principal_from(
        subject=subject or f"{role}-{org}",
        role=role,
        org=org,
        tenant=tenant or (org if role in _OWN_TENANT else None),
        asked=scopes,
        token_id=f"tok_{secrets.token_hex(12)}",
        expires_at=issued + ttl,
    )
    claims = {
        "iss": issuer or issuer_url(),
        "aud": audience or os.environ.get("FORBEAR_OIDC_AUDIENCE", AUDIENCE),
        "sub": principal.subject,
        "jti": principal.token_id,
        "iat": issued,
        "nbf": issued,
        "exp": principal.expires_at,
        "role": principal.role.value,
        "org": principal.org,
    }
    if principal.tenant is not None:
        claims["tenant"] = principal.tenant
    if scopes is not None:
        claims["scope"] = " ".join(scopes)
    return jwt.encode(claims, signer, algorithm="EdDSA", headers={"kid": public_jwk(signer)["kid"]})


def main(arguments: list[str] | None = None) -> int:
    """Print the token, or say on stderr what is wrong and return 2."""
    parser = argparse.ArgumentParser(prog="python -m scripts.token", description=__doc__)
    parser.add_argument("--role", required=True, choices=[role.value for role in ROLE_SCOPES])
    parser.add_argument("--org", required=True, help="the organisation's id: lender, agency or platform")
    parser.add_argument("--subject", help="an opaque id of the caller; for a collector the collector's id")
    parser.add_argument("--tenant", help="the lender (default for lender and compliance: the organisation)")
    parser.add_argument("--scope", action="append", help="ask for this scope only; repeatable")
    parser.add_argument("--ttl", type=int, default=3_600, help="seconds (default: %(default)s)")
    given = parser.parse_args(arguments)
    try:
        token = make_token(
            role=given.role,
            org=given.org,
            subject=given.subject,
            tenant=given.tenant,
            scopes=given.scope,
            ttl=given.ttl,
        )
    except ValueError as refusal:
        print(f"no token: {refusal}", file=sys.stderr)
        return 2
    print(token)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
