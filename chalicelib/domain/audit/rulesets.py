"""The document of a rule set: everything beside the dossier that a ruling follows from, each part by its digest.

``{"atlas": sha256, "engine": n, "packs": [[id, version, sha256], ...], "zone_data": "2026f"}`` with sorted packs. A pack
holds its rules, calendars and words; the atlas gives the candidate zones of a residence; ``zone_data`` is the version of
the IANA data; ``engine`` rises when the engine itself would rule differently on the same data. The document stands in
the open part of ``contact.decided``, its digest is what approvals and decisions name, and it is archived with the packs.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def document_of(rule_set: Mapping[str, Any]) -> bytes:
    """Return the one form of a rule set's document: compact JSON with sorted keys."""
    return json.dumps(rule_set, sort_keys=True, separators=(",", ":")).encode()


def digest_of(rule_set: Mapping[str, Any]) -> str:
    """Return the SHA-256 (hex) of a rule set's document."""
    return hashlib.sha256(document_of(rule_set)).hexdigest()


def parts_of(rule_set: Mapping[str, Any]) -> frozenset[str]:
    """Return the digests of the documents that a rule set rests on: its packs and its atlas."""
    packs = (str(sha256) for _, _, sha256 in rule_set["packs"])
    return frozenset((rule_set["atlas"], *packs))
