"""Witnesses over HTTP (C2SP tlog-witness): one POST of a note, one answer, no way elsewhere."""

import http.client
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from chalicelib.domain.audit.log import WitnessUnavailable
from chalicelib.domain.audit.policy import WitnessAnswer

_MOST_BYTES = 16_384
_TIMEOUT_SECONDS = 5


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows nothing: an address is the operator's word, and no answer may send us elsewhere."""

    def redirect_request(self, *_: Any) -> None:
        """Refuse: the redirection itself is the answer."""
        return None


def ask_witness(url: str, body: bytes) -> WitnessAnswer:
    """Post the body to ``<url>/add-checkpoint`` and return what was answered. Raises WitnessUnavailable.

    Asked is over HTTPS only, or on the loopback; a redirection is an answer like any other and is not followed.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost")):
        raise WitnessUnavailable("a witness is asked over HTTPS")
    asked = urllib.request.Request(
        f"{url.rstrip('/')}/add-checkpoint",
        data=body,
        headers={"Content-Type": "text/plain; charset=utf-8"},
        method="POST",
    )
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        with opener.open(asked, timeout=_TIMEOUT_SECONDS) as answer:
            return _read(answer.status, answer)
    except urllib.error.HTTPError as refused:
        with refused:
            return _read(refused.code, refused)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise WitnessUnavailable(type(error).__name__) from error


def _read(status: int, answer: Any) -> WitnessAnswer:
    try:
        body = answer.read(_MOST_BYTES + 1)
    except (OSError, http.client.HTTPException) as error:
        raise WitnessUnavailable(type(error).__name__) from error
    if len(body) > _MOST_BYTES:
        raise WitnessUnavailable("the answer is too long")
    return WitnessAnswer(status, answer.headers.get_content_type(), body)
