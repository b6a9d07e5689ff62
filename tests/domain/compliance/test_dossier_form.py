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
        ("debts/d1/share_paid", 1.000001, "out_of_range", "/debts/d1/share_paid"),
        ("debts/d1/share_paid", -0.000001, "out_of_range", "/debts/d1/share_paid"),
        ("debts/d1/share_paid", "half", "wrong_type", "/debts/d1/share_paid"),
        ("debts/d1/share_paid", True, "wrong_type", "/debts/d1/share_paid"),
        ("debts/d1/amount_due_minor", "12", "wrong_type", "/debts/d1/amount_due_minor"),
        ("debts/d1/placed_from", "2026-6-1", "malformed", "/debts/d1/placed_from"),
        ("debts/d1/placed_from", 20260601, "wrong_type", "/debts/d1/placed_from"),
        ("orgs/ag1/listed_from", 20260601, "wrong_type", "/orgs/ag1/listed_from"),
        ("act/point", 7, "wrong_type", "/act/point"),
        ("act/from", "nowhere", "unknown_reference", "/act/from"),
        ("act/collector", "nobody", "unknown_reference", "/act/collector"),
        ("act/org", "", "out_of_range", "/act/org"),
        ("act/org", 7, "wrong_type", "/act/org"),
        ("act/content/language", 7, "wrong_type", "/act/content/language"),
        ("holds", [{"kind": "bankruptcy", "from": "2026-06-01", "chapter": "7"}], "wrong_type", "/holds/0/chapter"),
        ("holds", [{"kind": "bankruptcy", "from": "2026-06-01", "chapter": 9}], "unknown_value", "/holds/0/chapter"),
        ("parties/p1/birth_date", "1988-02-03T00:00:00Z", "malformed", "/parties/p1/birth_date"),
        ("parties/p1/birth_date", 19880203, "wrong_type", "/parties/p1/birth_date"),
        ("parties/p1/stop_requested_at", 7, "wrong_type", "/parties/p1/stop_requested_at"),
        ("parties/p1/residence/region", 7, "wrong_type", "/parties/p1/residence/region"),
        ("parties/p1", [], "wrong_type", "/parties/p1"),
        ("parties", [], "wrong_type", "/parties"),
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


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("act/point", None),
        ("act/from", None),
        ("history/0/point", None),
        ("orgs/ag1/listed_from", None),
        ("orgs/ag1/listed_from", "2026-01-01T00:00:00Z"),
        ("debts/d1/share_paid", 0),
        ("debts/d1/share_paid", 0.25),
        ("debts/d1/share_paid", 1),
        ("debts/d1/unpaid_periods", 0),
        ("debts/d1/unpaid_periods", 1),
        ("debts/d1/amount_due_minor", -5),
        ("debts/d1/amount_due_minor", 5.0),
        ("debts/d1/placed_from", "2026-06-01"),
        ("debts/d1/placed_from", "2026-06-01T00:00:00.5Z"),
        ("consents/0/times", {"weekdays": [1, 7], "from": "23:59", "to": "24:00"}),
    ],
)
def test_what_a_dossier_may_hold_is_let_in(path: str, value: Any) -> None:
    dossier = changed(path, value)
    assert check_dossier(dossier) is dossier


def test_a_message_says_where_the_departure_is() -> None:
    with pytest.raises(DossierError, match="expected an object at /$"):
        check_dossier([])
    with pytest.raises(DossierError, match="expected a boolean at /act/recorded$"):
        check_dossier(changed("act/recorded", None))
    with pytest.raises(DossierError, match="expected an integer at /holds/0/chapter$"):
        check_dossier(changed("holds", [{"kind": "bankruptcy", "from": "2026-06-01", "chapter": "7"}]))
    with pytest.raises(DossierError, match="expected a string at /act/channel$"):
        check_dossier(changed("act/channel", 7))
    with pytest.raises(DossierError, match="the key act is required at /$"):
        check_dossier({name: value for name, value in GOOD.items() if name not in ("act", "at")})


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
