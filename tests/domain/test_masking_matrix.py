"""Every personal field to every role: in clear, masked or hidden, as the table says, and nothing that no table names."""

from datetime import date
from typing import Any

import pytest

from chalicelib.domain.cases import masking
from chalicelib.domain.cases.masking import CLEAR, MASKED, PERSONAL, ROLES, visible
from chalicelib.usecases.cases import outer_form
from tests.builders import PERSON, a_case, a_ledger, a_person, a_point

C, M, H = "clear", "masked", "hidden"
TABLE = {
    # path: (lender, compliance, counsel, agency, collector)
    "account": (C, C, C, H, H),
    "contract_no": (C, M, M, M, M),
    "parties[].name": (C, M, M, M, M),
    "parties[].name_local": (C, M, M, M, M),
    "parties[].national_id": (C, M, M, M, M),
    "parties[].birth_date": (C, C, M, M, M),
    "parties[].points[].value": (C, M, M, M, M),
    "vehicles[].vin": (C, M, M, M, M),
    "vehicles[].plate": (C, M, M, M, M),
}
"""What each role sees of each field that is somebody's."""


def values_at(record: Any, path: str) -> list[Any]:
    """Return the values that stand at a path of the outer form."""
    found = [record]
    for part in path.split("."):
        name = part.removesuffix("[]")
        found = [each[name] for each in found if name in each]
        if part.endswith("[]"):
            found = [inner for each in found for inner in each]
    return found


def whole() -> dict[str, Any]:
    """Return a case with every personal field, unmasked."""
    points = (a_point(), a_point(id="pt_2", kind="email", value="zhang.wei@mail.test"))
    person = a_person(name_local="Zhang Wei", points=points)
    persons, ledgers = {PERSON: person}, {PERSON: a_ledger()}
    return outer_form(a_case(), persons, ledgers, today=date(2026, 11, 23), agency=True)


@pytest.mark.parametrize("path", TABLE)
@pytest.mark.parametrize("role", ROLES)
def test_each_role_sees_each_field_as_the_table_says(role: str, path: str) -> None:
    form = whole()
    clear = values_at(form, path)
    shown = values_at(visible(form, role=role), path)
    assert clear and None not in clear
    match TABLE[path][ROLES.index(role)]:
        case "clear":
            assert shown == clear
        case "masked":
            assert len(shown) == len(clear) and not set(shown) & set(clear)
        case _:
            assert shown == []
    assert values_at(visible(form, role=role, withheld=True), path) == []


def test_the_table_is_of_all_that_is_personal_and_of_no_other_field() -> None:
    assert set(TABLE) == PERSONAL
    assert {path for path in CLEAR if CLEAR[path] != masking.EVERYBODY} <= set(TABLE) | HOUSE_ONLY
    assert set(MASKED) <= set(TABLE)


HOUSE_ONLY = {"limitation_expires_on", "days_past_due_at_placement", "payments[].method"}
"""Facts of the debt that the lender's side alone sees."""


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("place", ["", "parties[].", "parties[].points[].", "vehicles[].", "promises[].", "holds[]."])
def test_a_field_that_is_added_anywhere_is_hidden_until_a_table_names_it(role: str, place: str) -> None:
    form = whole()
    form["promises"] = [{"id": "prm_1"}]
    form["holds"] = [{"id": "hold_1"}]
    records = [form] if not place else values_at(form, place.removesuffix("."))
    for record in records:
        record["added_field"] = "SECRET"
    assert "SECRET" not in str(visible(form, role=role))
