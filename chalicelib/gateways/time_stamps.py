"""An authority of time (RFC 3161) over HTTP: asked with the SHA-256 of a message, it answers with a signed stamp."""

import hashlib
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable

from chalicelib.domain.audit.log import TimeUnavailable

_REQUEST = bytes.fromhex("30390201013031300d060960864801650304020105000420")
"""A TimeStampReq up to its digest: version 1, SHA-256; after the digest follows ``certReq`` TRUE."""

_MOST_BYTES = 65_536
_TIMEOUT_SECONDS = 10


def stamper(url: str) -> Callable[[bytes], bytes]:
    """Return what has a message stamped at this address. Raises ValueError unless it is HTTPS, or on the loopback.

    The stamp is not verified here beyond being one of this message: whoever relies on it verifies it, with a certificate that
    does not come from us.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost")):
        raise ValueError("an authority of time is asked over HTTPS")

    def stamp(message: bytes) -> bytes:
        digest = hashlib.sha256(message).digest()
        headers = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
        asked = urllib.request.Request(url, data=_REQUEST + digest + b"\x01\x01\xff", headers=headers, method="POST")
        try:
            with urllib.request.urlopen(asked, timeout=_TIMEOUT_SECONDS) as answer:
                token: bytes = answer.read(_MOST_BYTES + 1)
        except (OSError, urllib.error.URLError, ValueError) as error:
            raise TimeUnavailable(type(error).__name__) from error
        # A refusal has no stamp in it, and so not the digest.
        if len(token) > _MOST_BYTES or digest not in token:
            raise TimeUnavailable("the answer is no stamp of the message")
        return token

    return stamp
