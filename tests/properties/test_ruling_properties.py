"""What must hold of every ruling, whatever the law says: tried on the casebook with random pasts and instants."""

import contextlib
import copy
import json
import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.domain.compliance import DossierError, load_packs, rule
from tests.rules.casebook import dossier_of, vectors

PACKS = load_packs()
BOOK = [dossier_of(vector) for vector in vectors()]
RANK = {"allow": 0, "defer": 1, "review": 2, "deny": 3}
EXAMPLES = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

contacts = st.lists(
    st.tuples(
        st.sampled_from(["call", "sms", "email", "wechat", "visit", "letter"]),
        st.sampled_from(["no_answer", "conversation", "voicemail_left", "delivered", "sent", "busy", "pending"]),
        st.integers(1, 12 * 86_400),
        st.booleans(),
    ),
    max_size=12,
)


def at_of(dossier: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(dossier["at"])


def text_of(instant: datetime) -> str:
    return f"{instant:%Y-%m-%dT%H:%M:%SZ}"


@st.composite
def dossiers(draw: st.DrawFn) -> dict[str, Any]:
    """A dossier of the casebook at another hour, with some more contacts in its past."""
    dossier = copy.deepcopy(draw(st.sampled_from(BOOK)))
    at = at_of(dossier) + timedelta(seconds=draw(st.integers(0, 3 * 86_400)))
    dossier["at"] = text_of(at)
    act = dossier["act"]
    for number, (channel, outcome, age, inbound) in enumerate(draw(contacts)):
        event = {
            "id": f"r{number}",
            "at": text_of(at - timedelta(seconds=age)),
            "direction": "in" if inbound else "out",
            "channel": channel,
            "party": act["to"],
            "org": act["org"],
            "outcome": "received" if inbound and outcome != "conversation" else outcome,
            "debts": list(act.get("debts", [])),
        }
        if act.get("point"):
            event["point"] = act["point"]
        dossier["history"].append(event)
    return dossier


def at(dossier: dict[str, Any], text: str) -> dict[str, Any]:
    return rule({**dossier, "at": text}, PACKS)


@EXAMPLES
@given(dossiers())
def test_what_is_deferred_is_allowed_at_the_next_instant_and_not_a_second_before(dossier: dict[str, Any]) -> None:
    ruling = rule(dossier, PACKS)
    following = ruling["next_allowed_at"]
    if ruling["verdict"] != "defer" or following is None:
        assert ruling["verdict"] == "defer" or following is None
        return
    assert at(dossier, following)["verdict"] == "allow"
    assert at(dossier, text_of(datetime.fromisoformat(following) - timedelta(seconds=1)))["verdict"] != "allow"


@EXAMPLES
@given(dossiers(), st.floats(0, 1))
def test_nothing_is_allowed_between_a_deferral_and_its_end(dossier: dict[str, Any], share: float) -> None:
    following = rule(dossier, PACKS)["next_allowed_at"]
    if following is None:
        return
    start = at_of(dossier)
    moment = start + (datetime.fromisoformat(following) - start) * share
    if text_of(moment) != following:
        assert at(dossier, text_of(moment))["verdict"] != "allow"


@EXAMPLES
@given(dossiers(), st.floats(0, 1))
def test_what_is_allowed_stays_so_until_its_end(dossier: dict[str, Any], share: float) -> None:
    ruling = rule(dossier, PACKS)
    if ruling["verdict"] != "allow":
        return
    start = at_of(dossier)
    end = start + timedelta(days=120) if ruling["not_after"] is None else datetime.fromisoformat(ruling["not_after"])
    moment = start + (end - start) * share
    if moment < end:
        assert at(dossier, text_of(moment))["verdict"] == "allow"
    if ruling["not_after"] is not None:
        assert at(dossier, ruling["not_after"])["verdict"] != "allow"


@EXAMPLES
@given(dossiers(), st.randoms(use_true_random=False))
def test_the_order_of_ledgers_and_of_keys_does_not_matter(dossier: dict[str, Any], shuffle: random.Random) -> None:
    other = copy.deepcopy(dossier)
    for book in ("history", "consents", "holds", "notices"):
        shuffle.shuffle(other[book])
    for book in ("parties", "points", "debts", "orgs", "collectors"):
        entries = list(other[book].items())
        shuffle.shuffle(entries)
        other[book] = dict(entries)
    assert json.dumps(rule(dossier, PACKS)) == json.dumps(rule(other, PACKS))


holds = st.sampled_from(
    [
        "dispute",
        "attorney",
        "cease",
        "bankruptcy",
        "military_service",
        "breathing_space",
        "hardship",
        "debt_adviser",
        "complaint",
        "police_no_contact",
        "serious_illness",
        "detention",
        "disaster",
        "promise_alive",
        "recall",
        "legal_review",
        "identity_theft",
    ]
)


@EXAMPLES
@given(dossiers(), holds, st.booleans())
def test_a_hold_never_loosens(dossier: dict[str, Any], kind: str, written: bool) -> None:
    before = rule(dossier, PACKS)["verdict"]
    held = {"kind": kind, "from": text_of(at_of(dossier) - timedelta(days=1)), "written": written, "chapter": 13}
    after = rule({**dossier, "holds": [*dossier["holds"], held]}, PACKS)["verdict"]
    assert RANK[after] >= RANK[before]


@EXAMPLES
@given(dossiers(), st.sampled_from(["sms", "email", "call", "wechat", "letter", "visit", "all"]))
def test_a_stop_never_loosens(dossier: dict[str, Any], medium: str) -> None:
    before = rule(dossier, PACKS)["verdict"]
    stop = {
        "at": text_of(at_of(dossier) - timedelta(seconds=1)), "party": dossier["act"]["to"], "medium": medium,
        "event": "stop_medium", "scope": "medium", "written": True, "direct": True,
    }  # fmt: skip
    after = rule({**dossier, "consents": [*dossier["consents"], stop]}, PACKS)["verdict"]
    assert RANK[after] >= RANK[before]


@EXAMPLES
@given(dossiers(), st.sampled_from(["lawsuit_filed", "will_sue", "arrest", "blacklist", "vehicle_disable"]))
def test_a_claim_never_loosens(dossier: dict[str, Any], claim: str) -> None:
    before = rule(dossier, PACKS)["verdict"]
    other = copy.deepcopy(dossier)
    content = other["act"].setdefault("content", {})
    content["claims"] = sorted({*content.get("claims", []), claim})
    assert RANK[rule(other, PACKS)["verdict"]] >= RANK[before]


@EXAMPLES
@given(dossiers())
def test_every_ruling_says_why(dossier: dict[str, Any]) -> None:
    ruling = rule(dossier, PACKS)
    effects = {fired["effect"] for fired in ruling["rules"]}
    assert (ruling["verdict"] == "deny") == bool(effects & {"deny", "require"})
    if ruling["verdict"] == "review":
        assert "review" in effects or ruling["missing"]
    if ruling["verdict"] == "defer":
        assert "defer" in effects and "review" not in effects and not ruling["missing"]
    if ruling["verdict"] == "allow":
        assert effects <= {"oblige", "nocount"} and not ruling["missing"]
    assert all(fired["citation"] and fired["because"] for fired in ruling["rules"])


NEEDED = [
    ("call", "act.recorded"), ("call", "act.from"), ("call", "act.point"), ("call", "act.collector"),
    ("call", "points.m.source"), ("call", "points.line.personal_device"), ("call", "points.line.registered_line"),
    ("wechat", "points.line.corporate_account"), ("visit", "act.visit.staff"), ("visit", "act.visit.plan_approved"),
    ("visit", "act.visit.entry_consent"), ("visit", "act.visit"), ("repossession", "act.vehicle.surrender_signed"),
    ("repossession", "act.vehicle.over_objection"), ("repossession", "act.vehicle"),
    ("sms", "act.content.amount_minor"), ("sms", "act.content.amount_as_of"), ("sms", "act.content.disclosures"),
    ("sms", "debts.d1.amount_due_minor"), ("sms", "debts.d1.limitation_expires_on"), ("sms", "debts.d1.status"),
    ("sms", "debts.d1.placed_from"), ("sms", "debts.d1.placed_to"),
    ("sms", "orgs.ag1.suspended"), ("sms", "orgs.ag1.inspected_on"), ("sms", "orgs.len1.licensed"),
    ("sms", "collectors.c1.certified_to"), ("sms", "parties.p1.residence"),
]  # fmt: skip


@pytest.mark.parametrize(("channel", "path"), NEEDED, ids=lambda value: str(value))
def test_a_fact_that_is_not_on_file_never_allows(channel: str, path: str) -> None:
    vector = {"rule": "x", "id": "x", "base": f"cn.{channel}", "at": "2026-06-10T02:00:00Z"}
    assert rule(dossier_of(vector), PACKS)["verdict"] == "allow"
    dossier = dossier_of({**vector, "set": {path: None}})
    if path == "act.content.disclosures":
        del dossier["act"]["content"]["template_approved"]
    ruling = rule(dossier, PACKS)
    assert ruling["verdict"] == "review"
    assert ruling["missing"]


def _restrictions(dossier: dict[str, Any]) -> dict[str, Callable[[dict[str, Any]], Any]]:
    """Facts that make a case no better for whoever wants to act, each as what puts it into a dossier."""
    act = dossier["act"]
    before = text_of(at_of(dossier) - timedelta(hours=3))
    point = act.get("point")

    def content(key: str, value: Any) -> Callable[[dict[str, Any]], Any]:
        return lambda other: other["act"].setdefault("content", {}).update({key: value})

    found: dict[str, Callable[[dict[str, Any]], Any]] = {
        "settled": lambda other: [debt.update(status="settled") for debt in other["debts"].values()],
        "recalled": lambda other: [debt.update(status="recalled") for debt in other["debts"].values()],
        "suspended": lambda other: other["orgs"][act["org"]].update(suspended=True),
        "unlicensed": lambda other: [org.update(licensed=False) for org in other["orgs"].values()],
        "asked to stop": lambda other: other["parties"][act["to"]].update(stop_requested_at=before),
        "an order": lambda other: other["holds"].append(
            {"kind": "police_no_contact", "party": act["to"], "from": before}
        ),
        "on a postcard": content("exposure", "postcard"),
        "in public": content("exposure", "public"),
        "over objection": lambda other: other["act"].setdefault("vehicle", {}).update(over_objection=True),
        "another residence": lambda other: other["parties"][act["to"]].setdefault("residences", []).append(
            {"country": "GB", "region": "GB-ENG"}
        ),
        "no consents": lambda other: other["consents"].clear(),
        "inconvenient times": lambda other: other["consents"].append(
            {"at": before, "party": act["to"], "medium": "all", "event": "inconvenient_time",
             "times": {"from": "00:00", "to": "24:00"}}
        ),
    }  # fmt: skip
    if act.get("collector"):
        found["a lapsed certificate"] = lambda other: other["collectors"][act["collector"]].update(
            certified_to="2001-01-01"
        )
        found["another's collector"] = lambda other: other["collectors"][act["collector"]].update(org="len1")
    if point:
        found["a stranger's number"] = lambda other: other["points"][point].update(status="wrong_person")
        found["seen by others"] = lambda other: other["points"][point].update(third_party_seen=True)
        found["bought data"] = lambda other: other["points"][point].update(source="bought")
    if "first" in act.get("content", {}):
        found["one more call"] = lambda other: other["history"].append(
            {"id": "more", "at": before, "direction": "out", "channel": "call", "party": act["to"], "org": act["org"],
             "outcome": "no_answer", "debts": list(other["debts"]), **({"point": point} if point else {})}
        )  # fmt: skip
    return found


@EXAMPLES
@given(dossiers(), st.data())
def test_a_restricting_fact_never_turns_a_refusal_into_an_allowance(
    dossier: dict[str, Any], data: st.DataObject
) -> None:
    before = rule(dossier, PACKS)["verdict"]
    restrictions = _restrictions(dossier)
    name = data.draw(st.sampled_from(sorted(restrictions)))
    other = copy.deepcopy(dossier)
    restrictions[name](other)
    assert before == "allow" or rule(other, PACKS)["verdict"] != "allow", name


def test_each_restriction_refuses_somewhere() -> None:
    useful = set()
    for dossier in BOOK[::3]:
        if rule(dossier, PACKS)["verdict"] == "allow":
            for name, put in _restrictions(dossier).items():
                if name not in useful:
                    other = copy.deepcopy(dossier)
                    put(other)
                    if rule(other, PACKS)["verdict"] != "allow":
                        useful.add(name)
    assert useful == set(_restrictions(BOOK[0])) | {"seen by others", "one more call"}


def _facts(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    for key, item in value.items():
        yield (*path, key)
        if isinstance(item, dict):
            yield from _facts(item, (*path, key))


# Facts whose absence is no lack: the law, or the contract, speaks only of what is known, stated, or carried by content.
STATED_ONLY = frozenset(
    [
        *(("act", key) for key in (
            "amount_minor", "claims", "collector", "content", "dialler", "disclosures", "exposure", "first", "limited",
            "purpose", "reply_to", "template_approved", "text",
        )),
        *(("parties", key) for key in (
            "attorney", "employer_forbids_work_contact", "residences", "stop_requested_at", "zones",
        )),
        *(("points", key) for key in ("area_zones", "employer_provided", "place", "status", "third_party_seen", "zones")),
        *(("orgs", key) for key in ("listed_from", "listed_to", "suspended")),
        *(("debts", key) for key in ("placed_from", "placed_to", "validation")),
        ("collectors", "certified_to"),
    ]
)  # fmt: skip


@EXAMPLES
@given(dossiers(), st.data())
def test_a_refusing_fact_that_is_forgotten_does_not_allow(dossier: dict[str, Any], data: st.DataObject) -> None:
    if rule(dossier, PACKS)["verdict"] == "allow":
        return
    books = {key: dossier[key] for key in ("act", "points", "debts", "orgs", "collectors", "parties")}
    paths = [path for path in _facts(books) if (path[0], path[-1]) not in STATED_ONLY]
    # Without a whole person nothing is known of that person either.
    paths = [path for path in paths if path[0] != "parties" or len(path) > 2]
    path = data.draw(st.sampled_from(paths))
    other = copy.deepcopy(dossier)
    holder = other
    for key in path[:-1]:
        holder = holder[key]
    del holder[path[-1]]
    # What the form itself needs is an error when it is gone.
    with contextlib.suppress(DossierError):
        assert rule(other, PACKS)["verdict"] != "allow", path


@EXAMPLES
@given(dossiers(), st.data())
def test_an_unknown_key_anywhere_is_an_error(dossier: dict[str, Any], data: st.DataObject) -> None:
    other = copy.deepcopy(dossier)
    books = ("parties", "points", "debts", "orgs", "collectors", "history", "consents", "holds", "notices")
    holders: list[tuple[str, dict[str, Any]]] = [("", other), ("/act", other["act"])]
    if "content" in other["act"]:
        holders.append(("/act/content", other["act"]["content"]))
    for book in books:
        entries = other[book].items() if isinstance(other[book], dict) else enumerate(other[book])
        holders.extend((f"/{book}/{key}", entry) for key, entry in entries)
    pointer, holder = data.draw(st.sampled_from(holders))
    holder["mood"] = "good"
    with pytest.raises(DossierError) as refused:
        rule(other, PACKS)
    assert (refused.value.code, refused.value.pointer) == ("unknown_key", f"{pointer}/mood")
