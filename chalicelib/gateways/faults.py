"""What a failed call of an AWS service says about the message that it carried."""

from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
    ProxyConnectionError,
)

from chalicelib.domain.outreach.carrying import Ambiguous, Refused

NOTHING_LEFT = (
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
    ProxyConnectionError,
)
"""Faults before the first byte of the request: no connection, no credentials, or a request that cannot be made."""


def judged(provider: str, error: Exception) -> Refused | Ambiguous:
    """Return ``Refused`` when the service certainly took nothing over, else ``Ambiguous``.

    A 4xx answer (throttling among them) is the service's own word that it did not accept. A 5xx answer, a time-out
    while reading, a connection closed in between, and everything not known here may all hide an accepted message. The
    reason is the error's code or class, never its text, which may hold an address.
    """
    if isinstance(error, ClientError):
        code = str(error.response.get("Error", {}).get("Code", "unknown"))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        # 408 and 409 tell of this request's course, not of a refusal; 0 means that no status was seen at all.
        refused = 400 <= status < 500 and status not in (408, 409)
        return Refused(provider, code) if refused else Ambiguous(provider, f"{code} ({status})")
    if isinstance(error, NOTHING_LEFT):
        return Refused(provider, type(error).__name__)
    return Ambiguous(provider, type(error).__name__)
