"""The casebook: compliant dossiers to start from, and the vectors beside the packs that say what a change does to them.

A vector is one line of ``chalicelib/rulepacks/<pack>/vectors.jsonl``: ``base`` names a compliant dossier, ``at`` its
instant, ``set`` changes paths (null deletes), ``add`` appends to lists or maps. Times may be relative to ``at``:
``@-3d`` is an instant three days before, ``@-3d#`` that date (UTC), units d, h, m, s. ``each`` gives one path several
values, and the vector is as many vectors. What must come out: ``verdict``, exactly the rules that ``fires``, ``next``,
``missing``, and where a vector says so ``not_after``, the ``duties`` with their due times and, of some rules by their id,
the ``effects``, what was ``observed``, the ``limits`` and ``until`` when. ``shadow`` asks for the ruling with drafts in force.
"""

import copy
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

PACKS = Path(__file__).resolve().parents[2] / "chalicelib" / "rulepacks"
_RELATIVE = re.compile(r"@([+-]\d+)([dhms])(#?)")
_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


def _times(value: Any, at: datetime) -> Any:
    if isinstance(value, dict):
        return {key: _times(item, at) for key, item in value.items()}
    if isinstance(value, list):
        return [_times(item, at) for item in value]
    if isinstance(value, str) and value.startswith("@"):
        found = _RELATIVE.fullmatch(value)
        assert found, value
        then = at + timedelta(seconds=int(found[1]) * _UNITS[found[2]])
        return f"{then:%Y-%m-%d}" if found[3] else f"{then:%Y-%m-%dT%H:%M:%SZ}"
    return value


def _debt(**facts: Any) -> dict[str, Any]:
    return {
        "product": "direct_loan", "creditor": "len1", "creditor_kind": "auto_finance", "status": "open",
        "days_past_due": 45, "placed_from": "@-35d#", "placed_to": "@+180d#", "amount_due_minor": 1264530,
        "amount_as_of": "@-1h", "limitation_expires_on": "@+900d#", "collection_began_on": "@-21d#", **facts,
    }  # fmt: skip


def _dossier(**parts: Any) -> dict[str, Any]:
    return {
        "id": "case", "parties": {}, "points": {}, "debts": {}, "orgs": {}, "collectors": {}, "history": [],
        "consents": [], "holds": [], "notices": [], **parts,
    }  # fmt: skip


_CN_TEXT = [
    "lender",
    "agency",
    "collector",
    "masked_name",
    "contract_tail",
    "amount_due",
    "amount_as_of",
    "days_overdue",
    "pay_to",
    "callback",
    "complaint_line",
    "purpose",
]


def _cn(channel: str, to: str = "p1") -> dict[str, Any]:
    home = {"country": "CN", "region": "CN-SH", "city": "Shanghai", "postal_code": "200120"}
    zones = ["Asia/Shanghai"]
    roles = {
        "p1": "debtor", "co1": "co_borrower", "g1": "guarantor_joint", "gg1": "guarantor_general", "s1": "spouse",
        "ec1": "emergency_contact", "b1": "employer", "h1": "heir",
    }  # fmt: skip
    parties = {
        ident: {"role": role, "residence": dict(home), "zones": zones, "language": "zh"}
        for ident, role in roles.items()
        if ident in ("p1", to)
    }
    parties["p1"]["lost_contact"] = {"number_vacant": False, "failed_dials": []}
    points: dict[str, Any] = {}
    for ident in parties:
        tail = "" if ident == "p1" else ident
        points[f"m{tail}"] = {"party": ident, "kind": "mobile", "place": "other", "status": "ok", "source": "contract"}
        points[f"w{tail}"] = {"party": ident, "kind": "wechat", "status": "ok", "source": "contract"}
        points[f"e{tail}"] = {"party": ident, "kind": "email", "status": "ok", "source": "contract"}
        points[f"a{tail}"] = {"party": ident, "kind": "address", "place": "home", "status": "ok", "source": "contract"}
    tail = "" if to == "p1" else to
    prefix = {"sms": "m", "call": "m", "push": "m", "wechat": "w", "email": "e", "letter": "a", "visit": "a"}
    point = prefix.get(channel, "a")
    act: dict[str, Any] = {
        "channel": channel, "purpose": "demand", "to": to, "point": f"{point}{tail}", "debts": ["d1"], "org": "ag1",
        "collector": "c1",
    }  # fmt: skip
    third = to in ("s1", "ec1", "b1")
    if channel in ("call", "sms", "wechat", "email", "push"):
        act["from"] = "line"
        points["line"] = {
            "party": "ag1", "kind": "wechat" if channel == "wechat" else "landline", "personal_device": False,
            "registered_line": True, "corporate_account": True,
        }  # fmt: skip
    content: dict[str, Any] = {"language": "zh", "claims": [], "first": False, "template_approved": True}
    if third:
        act["purpose"] = "locate"
        content["disclosures"] = ["collector", "caller_identity", "recording"]
        parties["p1"]["lost_contact"] = {"since": "@-3d", "number_vacant": True, "failed_dials": []}
        points["m"]["status"] = "vacant"
    elif channel in ("call", "visit", "repossession"):
        content["disclosures"] = ["lender", "agency", "collector", "purpose", "caller_identity", "recording"]
    else:
        content |= {"disclosures": list(_CN_TEXT), "amount_minor": 1264530, "amount_as_of": "@-1h"}
    if channel in ("call", "visit", "repossession"):
        act["recorded"] = True
    if channel in ("visit", "repossession"):
        act["visit"] = {
            "staff": 2, "place": "home", "entry_consent": True, "workplace_consent": False, "plan_approved": True,
        }  # fmt: skip
    if channel == "repossession":
        act["vehicle"] = {"surrender_signed": True, "court_order": False, "over_objection": False}
    act["content"] = content
    if channel in ("credit_report", "lawsuit"):
        act = {
            "channel": channel,
            "to": to,
            "point": None,
            "debts": ["d1"],
            "org": "len1",
            "content": {"disclosures": []},
        }
        act["content"]["template_approved"] = True
    return _dossier(
        act=act,
        parties=parties,
        points=points,
        debts={"d1": _debt(product="mortgage_loan", currency="CNY", guarantee_until="@+300d#")},
        orgs={
            "len1": {"role": "creditor", "licensed": True},
            "ag1": {
                "role": "agency",
                "listed_from": "@-300d#",
                "listed_to": "@+300d#",
                "suspended": False,
                "inspected_on": "@-100d#",
            },
        },  # fmt: skip
        collectors={"c1": {"org": "ag1", "certified_to": "@+200d#", "no_contact_with": []}},
        history=[_event("h0", "@-21d", "sms", outcome="delivered", point="m")],
        consents=[
            {"at": "@-20d", "party": to, "point": f"w{tail}", "medium": "wechat", "event": "granted", "direct": True}
        ],
        notices=[
            {"kind": "outsourcing_notice", "at": "@-36d", "medium": "sms", "party": "p1", "debt": "d1"},
            {"kind": "credit_report_notice", "at": "@-36d", "medium": "sms", "party": "p1", "debt": "d1"},
        ],
    )


def _event(ident: str, at: str, channel: str, **facts: Any) -> dict[str, Any]:
    return {
        "id": ident, "at": at, "direction": "out", "channel": channel, "purpose": "demand", "party": "p1",
        "org": "ag1", "collector": "c1", "debts": ["d1"], **facts,
    }  # fmt: skip


_PLACES = {
    "us": ("US", "US-OH", "Columbus", "America/New_York", "USD"),
    "us-ma": ("US", "US-MA", "Boston", "America/New_York", "USD"),
    "us-nyc": ("US", "US-NY", "New York", "America/New_York", "USD"),
    "us-ny": ("US", "US-NY", "Albany", "America/New_York", "USD"),
    "us-dc": ("US", "US-DC", "Washington", "America/New_York", "USD"),
    "us-wa": ("US", "US-WA", "Seattle", "America/Los_Angeles", "USD"),
    "us-wv": ("US", "US-WV", "Charleston", "America/New_York", "USD"),
    "us-fl": ("US", "US-FL", "Miami", "America/New_York", "USD"),
    "us-ca": ("US", "US-CA", "Fresno", "America/Los_Angeles", "USD"),
    "us-tx": ("US", "US-TX", "Dallas", "America/Chicago", "USD"),
    "us-or": ("US", "US-OR", "Portland", "America/Los_Angeles", "USD"),
    "us-ct": ("US", "US-CT", "Hartford", "America/New_York", "USD"),
    "uk": ("GB", "GB-ENG", "London", "Europe/London", "GBP"),
    "uk-sct": ("GB", "GB-SCT", "Glasgow", "Europe/London", "GBP"),
    "au": ("AU", "AU-NSW", "Sydney", "Australia/Sydney", "AUD"),
    "in": ("IN", "IN-MH", "Mumbai", "Asia/Kolkata", "INR"),
    "ca-on": ("CA", "CA-ON", "Toronto", "America/Toronto", "CAD"),
    "ca-qc": ("CA", "CA-QC", "Montreal", "America/Toronto", "CAD"),
    "ca-ab": ("CA", "CA-AB", "Calgary", "America/Edmonton", "CAD"),
    "de": ("DE", "DE-BE", "Berlin", "Europe/Berlin", "EUR"),
    "ie": ("IE", "IE-D", "Dublin", "Europe/Dublin", "EUR"),
    "jp": ("JP", "JP-13", "Tokyo", "Asia/Tokyo", "JPY"),
    "kr": ("KR", "KR-11", "Seoul", "Asia/Seoul", "KRW"),
    "th": ("TH", "TH-10", "Bangkok", "Asia/Bangkok", "THB"),
    "vn": ("VN", "VN-SG", "Ho Chi Minh City", "Asia/Ho_Chi_Minh", "VND"),
    "id": ("ID", "ID-JK", "Jakarta", "Asia/Jakarta", "IDR"),
    "ph": ("PH", "PH-00", "Manila", "Asia/Manila", "PHP"),
    "mx": ("MX", "MX-CMX", "Ciudad de México", "America/Mexico_City", "MXN"),
    "br-sp": ("BR", "BR-SP", "São Paulo", "America/Sao_Paulo", "BRL"),
    "br-rj": ("BR", "BR-RJ", "Rio de Janeiro", "America/Sao_Paulo", "BRL"),
    "br-es": ("BR", "BR-ES", "Vitória", "America/Sao_Paulo", "BRL"),
    "br-al": ("BR", "BR-AL", "Maceió", "America/Maceio", "BRL"),
    "br-mg": ("BR", "BR-MG", "Belo Horizonte", "America/Sao_Paulo", "BRL"),
    "hk": ("HK", "HK-HK", "Hong Kong", "Asia/Hong_Kong", "HKD"),
    "sg": ("SG", "SG-01", "Singapore", "Asia/Singapore", "SGD"),
}


def _abroad(place: str, channel: str, to: str = "p1", actor: str = "agency") -> dict[str, Any]:
    country, region, city, zone, currency = _PLACES[place]
    residence = {"country": country, "region": region, "city": city}
    roles = {
        "p1": "debtor", "co1": "co_borrower", "s1": "spouse", "x1": "third_party", "b1": "employer", "h1": "heir",
        "ex1": "executor", "at1": "attorney",
    }  # fmt: skip
    parties = {
        ident: {
            "role": role, "residence": dict(residence), "zones": [zone], "birth_date": "1984-05-17",
            "employer_forbids_work_contact": False,
        }
        for ident, role in roles.items()
        if ident in ("p1", to)
    }  # fmt: skip
    points: dict[str, Any] = {}
    for ident in parties:
        tail = "" if ident == "p1" else ident
        own = {"party": ident, "status": "ok", "source": "contract", "third_party_seen": False}
        points[f"m{tail}"] = {**own, "kind": "mobile", "employer_provided": False}
        points[f"l{tail}"] = {**own, "kind": "landline", "place": "home"}
        points[f"e{tail}"] = {**own, "kind": "email", "employer_provided": False, "public_domain": True}
        points[f"w{tail}"] = {**own, "kind": "wechat"}
        points[f"a{tail}"] = {**own, "kind": "address", "place": "home"}
        points[f"k{tail}"] = {**own, "kind": "landline", "place": "work"}
    org = "ag1" if actor != "creditor" else "len1"
    tail = "" if to == "p1" else to
    prefix = {"sms": "m", "call": "m", "push": "m", "wechat": "w", "email": "e", "letter": "a", "visit": "a"}
    disclosures = ["agency", "lender", "collector", "purpose", "callback", "debt_collector_identity", "complaint_line"]
    if channel in ("sms", "email", "wechat", "push"):
        disclosures.append("opt_out")
    if channel in ("call", "visit"):
        disclosures += ["caller_identity", "recording"]
    act: dict[str, Any] = {
        "channel": channel, "purpose": "demand", "to": to, "debts": ["d1"], "org": org, "collector": "c1",
        "point": f"{prefix[channel]}{tail}" if channel in prefix else None,
        "content": {
            "disclosures": disclosures, "claims": [], "first": False, "template_approved": True, "exposure": "private",
        },
    }  # fmt: skip
    if channel == "visit":
        act["visit"] = {"staff": 1, "place": "home", "entry_consent": True, "workplace_consent": True}
    if channel == "repossession":
        act["vehicle"] = {"surrender_signed": False, "court_order": False, "over_objection": False}
    if to == "x1":
        act["purpose"] = "locate"
        act["content"]["disclosures"] = ["collector", "caller_identity", "opt_out"]
    consents = [
        {"at": "@-20d", "party": to, "point": f"{point}{tail}", "medium": medium, "event": "granted", "direct": True,
         "scope": "address", "org": org, "written": True}
        for point, medium in (("m", "sms"), ("e", "email"), ("w", "wechat"))
    ]  # fmt: skip
    kind = "finance_company"
    return _dossier(
        act=act,
        parties=parties,
        points=points,
        debts={"d1": _debt(currency=currency, creditor_kind=kind, share_paid=0.1, amount_due_minor=2500000)},
        orgs={"len1": {"role": "creditor", "licensed": True}, "ag1": {"role": actor, "licensed": True}},
        collectors={"c1": {"org": org, "certified_to": "@+300d#"}},
        history=[
            _event(
                "h0",
                "@-190d",
                "letter",
                party="p1" if to == "x1" else to,
                org=org,
                point=f"a{tail}",
                outcome="sent",
                purpose="validation_notice",
            )
        ],  # fmt: skip
        consents=consents,
        notices=[
            {"kind": kind, "at": "@-190d", "medium": "letter", "debt": "d1"}
            for kind in ("validation", "outsourcing_notice", "first_written", "rdg_13a", "right_to_cure")
        ]
        + [
            {
                "kind": "default_notice",
                "at": "@-60d",
                "medium": "letter",
                "party": "p1",
                "debt": "d1",
                "deadline": "@-25d#",
            }
        ],
    )


def base(name: str, at: str) -> dict[str, Any]:
    """Return a compliant dossier: ``cn.sms``, ``cn.call.ec1``, ``us-ma.sms``, ``uk.call.p1.creditor`` and so on."""
    place, *rest = name.split(".")
    found = _cn(*rest) if place == "cn" else _abroad(place, *rest)
    found["at"] = at
    return found


def _put(dossier: dict[str, Any], path: str, value: Any) -> None:
    *way, last = path.split(".")
    here: Any = dossier
    for key in way:
        here = here[int(key)] if isinstance(here, list) else here.setdefault(key, {})
    if isinstance(here, list):
        if value is None:
            del here[int(last)]
        else:
            here[int(last)] = value
    elif value is None and path != "orgs.ag1.listed_from":
        del here[last]
    else:
        here[last] = value


def dossier_of(vector: dict[str, Any]) -> dict[str, Any]:
    """Return the dossier that a vector describes."""
    dossier = base(vector["base"], vector["at"])
    for path, value in vector.get("set", {}).items():
        _put(dossier, path, copy.deepcopy(value))
    for book, entries in vector.get("add", {}).items():
        if isinstance(entries, dict):
            dossier[book].update(copy.deepcopy(entries))
        else:
            for entry in entries:
                if book == "history":
                    entry = _event(f"n{len(dossier['history'])}", **entry)
                    entry = {key: value for key, value in entry.items() if value is not None}
                dossier[book].append(copy.deepcopy(entry))
    dossier["id"] = vector.get("id", vector["rule"])
    at = datetime.fromisoformat(vector["at"]).astimezone(UTC)
    resolved: dict[str, Any] = _times(dossier, at)
    return resolved


KEYS = frozenset(
    [
        "rule",
        "note",
        "base",
        "at",
        "set",
        "add",
        "each",
        "verdict",
        "fires",
        "next",
        "not_after",
        "missing",
        "shadow",
        "effects",
        "duties",
        "observed",
        "limits",
        "until",
    ]
)


def spread(vector: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the vectors that a line with ``each`` stands for, the line itself when it has none."""
    if "each" not in vector:
        yield vector
        return
    [(path, values)] = vector["each"].items()
    plain = {key: value for key, value in vector.items() if key != "each"}
    for number, value in enumerate(values):
        own = {**plain, "id": f"{vector['id']}.{number}"}
        if path in ("at", "base"):
            yield {**own, path: value}
        else:
            yield {**own, "set": {**vector.get("set", {}), path: value}}


def asked(vector: dict[str, Any]) -> dict[str, Any]:
    """Return what must come out of a vector, in the form of ``seen``."""
    asked = {"next": None, "missing": [], **{key: vector[key] for key in ASKED if key in vector}}
    if vector["verdict"] == "allow":
        asked["stands_past"] = f"{datetime.fromisoformat(vector['at']).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return {**asked, "fires": sorted(vector["fires"])}


ASKED = ("verdict", "next", "missing", "not_after", "effects", "duties", "observed", "limits", "until")


def seen(ruling: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """Return what a ruling has of what a vector asks.

    What is allowed stands past its own instant: every rule that lets it through says until a later one.
    """
    past, last = wanted.get("stands_past"), ruling["not_after"]
    effects: dict[str, set[str]] = {}
    for fired in ruling["rules"]:
        effects.setdefault(fired["id"], set()).add(fired["effect"])
    # Of a rule of several parts the gravest that fired, which a ruling names first.
    gravest = {fired["id"]: fired for fired in reversed(ruling["rules"])}
    details = {"observed": "observed", "limits": "limit", "until": "until"}
    told = {
        "verdict": ruling["verdict"],
        "fires": sorted(effects),
        "next": ruling["next_allowed_at"],
        "missing": ruling["missing"],
        "not_after": last,
        "stands_past": past if past is None or last is None or last > past else last,
        "effects": {name: sorted(effects.get(name, ())) for name in wanted.get("effects", {})},
        "duties": [[each["rule"], each["due"]] for each in ruling["obligations"]],
        **{
            key: {name: gravest[name][detail] if name in gravest else "silent" for name in wanted.get(key, ())}
            for key, detail in details.items()
        },
    }
    return {key: told[key] for key in wanted}


def vectors() -> Iterator[dict[str, Any]]:
    """Yield every vector beside the packs, with its pack and line under ``id``."""
    for path in sorted(PACKS.glob("*/vectors.jsonl")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            vector = json.loads(line)
            assert vector.keys() <= KEYS, f"{path.parent.name}:{number}"
            yield from spread({**vector, "id": f"{path.parent.name}:{number}"})
