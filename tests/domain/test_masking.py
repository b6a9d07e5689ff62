"""Who sees what of a case: the masks, and that nothing is shown which no table names."""

from datetime import date
from typing import Any

import pytest

from chalicelib.domain.cases import masking
from chalicelib.domain.cases.masking import visible
from chalicelib.usecases.cases import outer_form
from tests.builders import PERSON, a_case, a_ledger, a_person, a_point

PERSONAL = ("张伟", "+8613812345678", "13812345678", "310101198804121232", "LSVAU2180C2123456", "沪A12312", "12 Elm")


def form(**deviations: Any) -> dict[str, Any]:
    person = a_person(
        points=(
            a_point(),
            a_point(id="pt_2", kind="email", value="zhang.wei@mail.test"),
            a_point(id="pt_3", kind="address", value="12 Elm Street, Springfield"),
            a_point(id="pt_4", kind="wechat", value="wx_zhangwei88"),
        )
    )
    return outer_form(
        a_case(**deviations), {PERSON: person}, {PERSON: a_ledger()}, today=date(2026, 11, 23), agency=True
    )


def test_the_lender_sees_the_case_in_clear() -> None:
    shown = visible(form(), role="lender")
    party = shown["parties"][0]
    assert (party["name"], party["national_id"]) == ("张伟", "310101198804121232")
    assert party["points"][0]["value"] == "+8613812345678"
    assert shown["vehicles"] == [{"vin": "LSVAU2180C2123456", "plate": "沪A12312"}]


@pytest.mark.parametrize("role", ["agency", "collector", "compliance"])
def test_everybody_else_sees_persons_and_vehicles_masked(role: str) -> None:
    shown = visible(form(), role=role)
    party = shown["parties"][0]
    assert party["name"] == "张*"
    assert party["national_id"] == "310***********1232"
    assert [point["value"] for point in party["points"]] == ["138****5678", "z***@mail.test", "12 ***", "*********ei88"]
    assert shown["vehicles"] == [{"vin": "***********123456", "plate": "沪A***12"}]
    assert not [secret for secret in PERSONAL if secret in str(shown)]


@pytest.mark.parametrize("role", masking.ROLES)
def test_a_field_that_no_table_names_is_shown_to_nobody(role: str) -> None:
    whole = form()
    whole["shoe_size"] = "SECRET-1"
    whole["parties"][0]["salary"] = "SECRET-2"
    whole["parties"][0]["points"][0]["imei"] = "SECRET-3"
    whole["vehicles"][0]["gps"] = {"id": "SECRET-4"}
    whole["children"] = [{"name": "SECRET-5"}]
    whole["parties"][0]["bank"] = ["SECRET-6"]
    shown = visible(whole, role=role)
    assert "SECRET" not in str(shown)
    assert not {"shoe_size", "children"} & set(shown)


def test_an_unknown_role_sees_nothing() -> None:
    assert visible(form(), role="visitor") == {}


def test_everything_the_api_says_of_a_case_is_named_in_a_table() -> None:
    """A field added to the outer form must be decided upon: in clear for somebody, masked, or left out on purpose."""
    left_out = {"days_past_due_at_placement", "collection_began_on", "limitation_entries", "litigation"}
    shown = visible(form(), role="lender")
    assert set(form()) - set(shown) <= left_out


def test_a_contact_point_of_an_unknown_kind_is_hidden() -> None:
    record = {"parties": [{"person": "per_1", "points": [{"id": "p", "kind": "fax", "value": "+8613812345678"}]}]}
    assert visible(record, role="agency") == {"parties": [{"person": "per_1", "points": [{"id": "p", "kind": "fax"}]}]}


@pytest.mark.parametrize(
    ("mask", "value", "masked"),
    [
        (masking.masked_phone, "+8613812341234", "138****1234"),
        (masking.masked_phone, "+14155550123", "+14*****0123"),
        (masking.masked_phone, "12345", "*****"),
        (masking.masked_email, "a@b.test", "a***@b.test"),
        (masking.masked_email, "no address", "***"),
        (masking.masked_identity, "31010119880412123X", "310***********123X"),
        (masking.masked_identity, "123456789", "*********"),
        (masking.masked_plate, "沪A12312", "沪A***12"),
        (masking.masked_plate, "AB12", "****"),
        (masking.masked_vin, "LSVAU2180C2123456", "***********123456"),
        (masking.masked_vin, "123456", "******"),
        (masking.last_4, "AF2024050212345", "***********2345"),
        (masking.last_4, "1234", "****"),
    ],
)
def test_masks_hide_the_middle_and_short_values_altogether(mask: masking.Mask, value: str, masked: str) -> None:
    assert mask(value) == masked


def test_empty_lists_stay_lists() -> None:
    shown = visible({**form(), "holds": [], "payments": []}, role="collector")
    assert (shown["holds"], shown["payments"]) == ([], [])
