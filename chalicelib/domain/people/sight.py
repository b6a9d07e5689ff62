"""What of a whole person a role may see. As with cases, what is not in the table is not shown."""

from collections.abc import Mapping
from typing import Any

from chalicelib.domain.cases.masking import (
    EVERYBODY,
    HOUSE,
    OFFICE,
    Mask,
    Sight,
    masked_identity,
    year_of,
)
from chalicelib.domain.people.person import masked_name

_LENDER = frozenset({"lender"})

CLEAR: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(
        (
            "id",
            "lender",
            "version",
            "asked_for",
            "locked",
            "language",
            "zones",
            "country",
            "region",
            "stop_requested_at",
            "points[].id",
            "points[].kind",
            "points[].place",
            "points[].status",
            "points[].source",
            "points[].zones",
            "points[].do_not_use",
            "points[].preference",
            "points[].first_seen",
            "points[].last_verified",
            "points[].verified_how",
            "points[].retired_at",
            "points[].retired_because",
            "preferences[].channel",
            "preferences[].hours_from",
            "preferences[].hours_to",
            "groups[].group",
            "groups[].complete",
            "groups[].verified_on",
            "groups[].good_until",
            "groups[].current",
            "groups[].counts",
            "consents[].at",
            "consents[].event",
            "consents[].medium",
            "consents[].scope",
            "consents[].point",
            "consents[].expires",
            "consents[].purpose",
            "consents[].place",
            "holds[].id",
            "holds[].kind",
            "holds[].from",
            "holds[].until",
            "holds[].released_at",
            "holds[].debt",
            "cases[].case",
            "cases[].role",
            "cases[].state",
            "cases[].currency",
            "cases[].amount_due_minor",
            "cases[].days_past_due",
            "cases[].paid_minor",
            "cases[].payments",
            "cases[].last_payment_on",
            "promises[].id",
            "promises[].case",
            "promises[].amount_minor",
            "promises[].currency",
            "promises[].due_on",
            "promises[].made_at",
            "promises[].state",
            "promises[].paid_minor",
            "disputes[].hold",
            "disputes[].case",
            "disputes[].from",
            "disputes[].released_at",
            "contacts[].id",
            "contacts[].at",
            "contacts[].direction",
            "contacts[].channel",
            "contacts[].purpose",
            "contacts[].outcome",
            "contacts[].org",
            "contacts[].point",
        ),
        EVERYBODY,
    ),
    **dict.fromkeys(
        (
            "cases[].agency",
            "points[].verified_by",
            "contacts[].collector",
            "records",
            "merges[].id",
            "merges[].person",
            "merges[].into",
            "merges[].at",
            "employment[].income_band",
            "employment[].job",
        ),
        HOUSE,
    ),
    "birth_date": OFFICE,
    **dict.fromkeys(("name", "name_local", "national_id", "points[].value", "employment[].employer"), _LENDER),
}
"""Who sees a field as it is."""

MASKED: Mapping[str, Mask] = {
    "name": masked_name,
    "name_local": masked_name,
    "national_id": masked_identity,
    "birth_date": year_of,
}
"""How everybody else sees it; contact points are masked by their kind."""

PERSONAL = frozenset({*MASKED, "points[].value", *(name for name in CLEAR if name.startswith("employment[]"))})
"""What is withheld as a whole when data are locked."""

_SIGHT = Sight(clear=CLEAR, masked=MASKED, open_maps=frozenset())


def visible_person(value: Mapping[str, Any], *, role: str, withheld: bool = False) -> dict[str, Any]:
    """Return what a role may see of a person in their outer form; an unknown role sees nothing.

    >>> visible_person({"id": "per_1", "name": "张伟", "shoe_size": 43}, role="agency")
    {'id': 'per_1', 'name': '张*'}
    """
    return _SIGHT.shown(value, role, PERSONAL if withheld else frozenset())
