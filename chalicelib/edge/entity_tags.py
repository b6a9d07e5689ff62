"""Entity tags of representations that depend on more than one version: digits that hold the version and a hash."""

import hashlib
import re
from collections.abc import Mapping

from chalicelib.domain.errors import PreconditionFailed

_BASE = 10**9
_ONE_TAG = re.compile(r'\s*"([0-9]{1,15})"\s*')


def entity_tag(version: int, representation: str) -> str:
    """Return the strong tag of what is shown of a thing at a version, as it stands between the quotes.

    What is shown may depend on the role, the day, and other records as well as on the version.

    >>> entity_tag(7, "{}")[:-9]
    '7'
    """
    digest = hashlib.sha256(representation.encode()).digest()
    return str(version * _BASE + int.from_bytes(digest[:8], "big") % _BASE)


def version_in_if_match(headers: Mapping[str, str]) -> int | None:
    """Return the version in ``If-Match``, or None without that header; a bare version is one, too.

    Raises PreconditionFailed for a tag that is none of ours: it matches nothing.
    """
    given = headers.get("if-match")
    if given is None:
        return None
    tag = _ONE_TAG.fullmatch(given)
    if tag is None:
        raise PreconditionFailed
    digits = int(tag[1])
    return digits if digits < _BASE else digits // _BASE
