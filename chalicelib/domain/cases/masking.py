"""Who sees which field of a case, and how much of it. What is not in the table is not shown.

The table names every field by its path; a field that somebody adds to the model stays invisible to everybody until a
line here says otherwise. Masks follow the practice for personal data in collection: name 张*, mobile 138****1234,
identity number first 3 and last 4, plate 沪A***12, VIN last 6.
"""

from collections.abc import Callable, Mapping
from typing import Any

from chalicelib.domain.people.person import masked_name

ROLES = ("lender", "compliance", "counsel", "agency", "collector")
"""The roles that see cases at all."""


def masked_phone(value: str) -> str:
    """Return a telephone number with its middle hidden: 138****1234 for China, country code and last 4 elsewhere.

    >>> masked_phone("+8613812341234")
    '138****1234'
    """
    digits = value.removeprefix("+86") if value.startswith("+86") else value
    if len(digits) < 8:
        return "*" * len(digits)
    return f"{digits[:3]}{'*' * (len(digits) - 7)}{digits[-4:]}"


def masked_email(value: str) -> str:
    """Return the first letter and the domain: ``z***@mail.test``."""
    local, at, domain = value.partition("@")
    return f"{local[:1]}***{at}{domain}" if at else "***"


def masked_identity(value: str) -> str:
    """Return the first 3 and the last 4 characters of an identity number; a short one not at all."""
    return f"{value[:3]}{'*' * (len(value) - 7)}{value[-4:]}" if len(value) >= 12 else "*" * len(value)


def last_4(value: str) -> str:
    """Return asterisks and the last four characters; a short value not at all."""
    return f"{'*' * (len(value) - 4)}{value[-4:]}" if len(value) > 4 else "*" * len(value)


def masked_plate(value: str) -> str:
    """Return the first and last two characters of a number plate."""
    return f"{value[:2]}{'*' * (len(value) - 4)}{value[-2:]}" if len(value) > 4 else "*" * len(value)


def masked_vin(value: str) -> str:
    """Return the last six characters of a vehicle identification number."""
    return f"{'*' * (len(value) - 6)}{value[-6:]}" if len(value) > 6 else "*" * len(value)


def year_of(value: str) -> str:
    """Return the year of a date."""
    return value[:4]


Mask = Callable[[str], str]

_POINT_MASKS: Mapping[str, Mask] = {
    "mobile": masked_phone,
    "landline": masked_phone,
    "email": masked_email,
    "wechat": last_4,
    "address": lambda value: value[:3] + "***",
}

EVERYBODY = frozenset(ROLES)
HOUSE = frozenset({"lender", "compliance", "counsel"})
OFFICE = frozenset({"lender", "compliance"})

CLEAR: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(
        (
            "id",
            "lender",
            "portfolio",
            "state",
            "agency",
            "placement_stage",
            "placement_type",
            "product",
            "creditor_kind",
            "country",
            "region",
            "language",
            "currency",
            "owed",
            "amount_due_minor",
            "amount_as_of",
            "placed_minor",
            "oldest_unpaid_due_on",
            "days_past_due",
            "bucket",
            "business_date",
            "placed_from",
            "placed_to",
            "recall_due_at",
            "version",
            "next_actions",
            "parties[].person",
            "parties[].role",
            "parties[].relation",
            "parties[].erased",
            "parties[].locked",
            "parties[].language",
            "parties[].zones",
            "parties[].points[].id",
            "parties[].points[].kind",
            "parties[].points[].place",
            "parties[].points[].status",
            "parties[].points[].zones",
            "parties[].points[].do_not_use",
            "parties[].points[].preference",
            "parties[].points[].last_verified",
            "vehicles[].make",
            "vehicles[].model",
            "vehicles[].model_year",
            "vehicles[].colour",
            "promises[].id",
            "promises[].person",
            "promises[].amount_minor",
            "promises[].currency",
            "promises[].due_on",
            "promises[].made_at",
            "promises[].state",
            "promises[].paid_minor",
            "payments[].id",
            "payments[].amount_minor",
            "payments[].currency",
            "payments[].received_on",
            "payments[].reversal_of",
            "payments[].commissionable",
            "payments[].split",
            "payments[].stated_split",
            "payments[].posted_at",
            "instalments[].due_on",
            "instalments[].owed",
            "charges",
            "pauses[].id",
            "pauses[].kind",
            "pauses[].paused_from",
            "pauses[].paused_to",
            "pauses[].posted_at",
            "pauses[].cancels",
            "holds[].id",
            "holds[].kind",
            "holds[].from",
            "holds[].until",
            "holds[].released_at",
            "holds[].party",
            "notices[].kind",
            "notices[].at",
            "notices[].medium",
        ),
        EVERYBODY,
    ),
    **dict.fromkeys(
        (
            "account",
            "limitation_expires_on",
            "days_past_due_at_placement",
            "payments[].method",
        ),
        HOUSE,
    ),
    "parties[].birth_date": OFFICE,
    **dict.fromkeys(
        (
            "contract_no",
            "parties[].name",
            "parties[].name_local",
            "parties[].national_id",
            "parties[].points[].value",
            "vehicles[].vin",
            "vehicles[].plate",
        ),
        frozenset({"lender"}),
    ),
}
"""Who sees a field as it is."""

MASKED: Mapping[str, Mask] = {
    "contract_no": last_4,
    "parties[].name": masked_name,
    "parties[].name_local": masked_name,
    "parties[].national_id": masked_identity,
    "parties[].birth_date": year_of,
    "vehicles[].vin": masked_vin,
    "vehicles[].plate": masked_plate,
}
"""How everybody else sees it; contact points are masked by their kind. A field that is in neither table is hidden."""

PERSONAL = frozenset(MASKED) | {"account", "parties[].points[].value"}
"""What is withheld as a whole when data are locked, or the agency's mandate is over."""

_OPEN_MAPS = frozenset({"owed", "charges", "instalments[].owed", "payments[].split", "payments[].stated_split"})
"""Maps whose members are figures of one kind and are shown whole."""


class Sight:
    """What roles see of one kind of record: who sees a field as it is, how it is masked for others, and nothing else."""

    def __init__(
        self, *, clear: Mapping[str, frozenset[str]], masked: Mapping[str, Mask], open_maps: frozenset[str]
    ) -> None:
        """Take the tables. Lists of records (``parties[]``, ``parties[].points[]``) are those that stand in them."""
        self._clear, self._masked, self._open_maps = clear, masked, open_maps
        self._record_lists = frozenset(
            path[: at + 2] for path in (*clear, *masked) for at in range(len(path)) if path.startswith("[]", at)
        )

    def shown(self, value: Mapping[str, Any], role: str, hidden: frozenset[str]) -> dict[str, Any]:
        """Return what a role may see of a value in its outer form, without the paths ``hidden``; an unknown role sees nothing."""
        return self._shown(value, "", role, hidden) if role in EVERYBODY else {}

    def _shown(self, record: Mapping[str, Any], prefix: str, role: str, hidden: frozenset[str]) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        for name, member in record.items():
            path = f"{prefix}{name}"
            if path in hidden:
                continue
            if f"{path}[]" in self._record_lists and isinstance(member, list | tuple):
                shown[name] = [self._shown(entry, f"{path}[].", role, hidden) for entry in member]
            elif isinstance(member, Mapping) and path not in self._open_maps:
                continue
            elif role in self._clear.get(path, frozenset()):
                shown[name] = member
            elif member is not None and (mask := self._mask_of(path, record)) is not None:
                shown[name] = mask(str(member))
        return shown

    def _mask_of(self, path: str, record: Mapping[str, Any]) -> Mask | None:
        if path.endswith("points[].value"):
            return _POINT_MASKS.get(str(record.get("kind")))
        return self._masked.get(path)


_SIGHT = Sight(clear=CLEAR, masked=MASKED, open_maps=_OPEN_MAPS)


def visible(value: Mapping[str, Any], *, role: str, withheld: bool = False) -> dict[str, Any]:
    """Return what a role may see of a case in its outer form; an unknown role sees nothing.

    ``withheld`` leaves out whatever is personal, masked or not.

    >>> visible({"state": "in_work", "shoe_size": 43}, role="collector")
    {'state': 'in_work'}
    """
    return _SIGHT.shown(value, role, PERSONAL if withheld else frozenset())
