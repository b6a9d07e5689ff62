"""A dossier's form: each departure is named by code and JSON pointer."""

import copy
from typing import Any

import pytest

from chalicelib.domain.compliance import DossierError, check_dossier
from tests.rules.casebook import dossier_of

GOOD = dossier_of({"rule": "x", "id": "x", "base": "cn.sms", "at": "2026-06-10T02:00:00Z"})


def changed(path: str, value: Any) -> dict[str, Any]:
    dossier = copy.deepcopy(GOOD)
    *way, last = path.split("/")
    here: Any = dossier
    for key in way:
        here = here[int(key)] if isinstance(here, list) else here[key]
    if isinstance(here, list):
        here[int(last)] = value
    else:
        here[last] = value
    return dossier


def test_a_compliant_dossier_has_the_right_form() -> None:
    assert check_dossier(GOOD) is GOOD


@pytest.mark.parametrize(
    ("path", "value", "code", "pointer"),
    [
        ("colour", "red", "unknown_key", "/colour"),
        ("act/mood", "grim", "unknown_key", "/act/mood"),
        ("act/channel", "fax", "unknown_value", "/act/channel"),
        ("act/channel", 7, "wrong_type", "/act/channel"),
        ("act/to", "nobody", "unknown_reference", "/act/to"),
        ("act/org", "nobody", "unknown_reference", "/act/org"),
        ("act/point", "nowhere", "unknown_reference", "/act/point"),
        ("act/debts", ["d9"], "unknown_reference", "/act/debts/0"),
        ("act/debts", ["d1", "d1"], "duplicate", "/act/debts"),
        ("act/recorded", 1, "wrong_type", "/act/recorded"),
        ("act/content/disclosures", ["lender", "horoscope"], "unknown_value", "/act/content/disclosures/1"),
        ("at", "2026-06-10T02:00:00", "malformed", "/at"),
        ("at", "2026-06-10T02:00:00+00:00", "malformed", "/at"),
        ("at", "2026-02-30T02:00:00Z", "malformed", "/at"),
        ("at", "2026-06-10T24:00:00Z", "malformed", "/at"),
        ("parties/p1/birth_date", "1988-02-30", "malformed", "/parties/p1/birth_date"),
        ("parties/p1/residence/country", "China", "malformed", "/parties/p1/residence/country"),
        ("parties/p1/role", "friend", "unknown_value", "/parties/p1/role"),
        ("points/m/kind", "pager", "unknown_value", "/points/m/kind"),
        ("debts/d1/share_paid", 1.5, "out_of_range", "/debts/d1/share_paid"),
        ("debts/d1/amount_due_minor", 1.5, "wrong_type", "/debts/d1/amount_due_minor"),
        ("debts/d1/amount_due_minor", True, "wrong_type", "/debts/d1/amount_due_minor"),
        ("debts/d1/unpaid_periods", -1, "out_of_range", "/debts/d1/unpaid_periods"),
        ("history", {}, "wrong_type", "/history"),
        ("history/0/outcome", "sung", "unknown_value", "/history/0/outcome"),
        ("consents/0/times", {"weekdays": [0]}, "unknown_value", "/consents/0/times/weekdays/0"),
        ("consents/0/times", {"from": "25:00"}, "malformed", "/consents/0/times/from"),
        ("holds", [{"kind": "nap", "from": "2026-06-01"}], "unknown_value", "/holds/0/kind"),
        ("holds", [{"kind": "dispute"}], "missing_key", "/holds/0"),
        ("notices/0/kind", "greeting", "unknown_value", "/notices/0/kind"),
        ("parties/p~1", {"role": "x"}, "unknown_value", "/parties/p~01/role"),
    ],
)
def test_a_departure_is_named(path: str, value: Any, code: str, pointer: str) -> None:
    with pytest.raises(DossierError) as caught:
        check_dossier(changed(path, value))
    assert (caught.value.code, caught.value.pointer) == (code, pointer)


@pytest.mark.parametrize("key", sorted(GOOD))
def test_each_of_the_twelve_keys_is_required(key: str) -> None:
    with pytest.raises(DossierError) as caught:
        check_dossier({name: value for name, value in GOOD.items() if name != key})
    assert (caught.value.code, caught.value.pointer) == ("missing_key", "")
    assert key in caught.value.message


def test_two_events_of_one_id_are_refused() -> None:
    with pytest.raises(DossierError) as caught:
        check_dossier({**GOOD, "history": GOOD["history"] * 2})
    assert (caught.value.code, caught.value.pointer) == ("duplicate", "/history/1/id")


@pytest.mark.parametrize("value", [None, 3, [], "text"])
def test_what_is_no_object_is_refused(value: Any) -> None:
    with pytest.raises(DossierError) as caught:
        check_dossier(value)
    assert caught.value.code == "wrong_type"


def test_the_message_never_carries_what_was_given() -> None:
    with pytest.raises(DossierError) as caught:
        check_dossier(changed("parties/p1/role", "Zhang San 13912345678"))
    assert "13912345678" not in str(caught.value)
