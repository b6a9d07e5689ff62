"""Showing one masked field in clear, once, for a reason: which field to which role, and how many a day.

A caller who needs a value that is masked for their role asks for that one value. Telephone numbers, addresses and identity
numbers go to compliance officers only: an agency dials and writes through the system and needs none of them. The
number a day stays well below the 25 items of personal data at which obtaining them in the course of duty becomes a crime
(CN-PI-13).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from chalicelib.domain.cases.case import Case
from chalicelib.domain.people.person import Person

MOST_A_DAY = 20
"""Values that one caller may have unmasked on one day of the lender, over all cases."""

OFFICERS = frozenset({"compliance"})
HANDLERS = frozenset({"compliance", "agency", "collector"})

UNMASKABLE: Mapping[str, tuple[str, frozenset[str]]] = {
    "contract_no": ("contract_no", OFFICERS),
    "name": ("parties[].name", HANDLERS),
    "name_local": ("parties[].name_local", HANDLERS),
    "national_id": ("parties[].national_id", OFFICERS),
    "contact_point": ("parties[].points[].value", OFFICERS),
    "vin": ("vehicles[].vin", OFFICERS),
    "plate": ("vehicles[].plate", HANDLERS),
}
"""Field as it is asked for -> (its path in the masking table, the roles that may have it in clear). No other field."""

REASONS = (
    "identify_right_party",
    "verify_identity",
    "answer_request",
    "investigate_complaint",
    "correct_data",
    "prepare_proceedings",
)
"""Why somebody may need a value in clear."""


@dataclass(frozen=True, slots=True)
class Target:
    """One field of one case: of a person and their contact point, or of the vehicle with this number from 0."""

    field: str
    person: str
    point: str | None = None
    vehicle: int | None = None


def may_unmask(role: str, field: str) -> bool:
    """Tell whether the role may have the field in clear; what stands in no table nobody may have."""
    return field in UNMASKABLE and role in UNMASKABLE[field][1]


def value_of(target: Target, case: Case, person: Person | None) -> str | None:
    """Return the value in clear, or None where the case has none; ``person`` is the target's."""
    if target.field == "contract_no":
        return case.contract_no
    if target.field in ("vin", "plate"):
        at = target.vehicle or 0
        found = case.vehicles[at].get(target.field) if at < len(case.vehicles) else None
        return None if found is None else str(found)
    if person is None:
        return None
    if target.field == "contact_point":
        point = person.point(target.point or "")
        return None if point is None else point.value
    values = {"name": person.name, "name_local": person.name_local, "national_id": person.national_id}
    return values.get(target.field)
