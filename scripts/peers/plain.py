"""The anchor: the measured case as hand-written plain Python, which names the broken rules and explains nothing."""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

Facts = dict[str, Any]
FEDERAL = frozenset((
    "2026-01-01", "2026-01-19", "2026-02-16", "2026-05-25", "2026-06-19", "2026-07-03", "2026-09-07", "2026-10-12",
    "2026-11-11", "2026-11-26", "2026-12-25",
))  # fmt: skip
STATE = {
    "US-TX": frozenset(("2026-03-02", "2026-04-21")), "US-MA": frozenset(("2026-04-20",)), "US-LA":
    frozenset(("2026-02-17",)),
}  # fmt: skip
OPEN = frozenset(("open", "litigation"))
LANGUAGES = frozenset(("en", "es"))
KINDS = {
    "call": frozenset(("mobile", "landline")),
    "sms": frozenset(("mobile", "landline")),
    "email": frozenset(("email",)),
}

_ZONES: dict[str, ZoneInfo] = {}


def _zone(name: str) -> ZoneInfo:
    found = _ZONES.get(name)
    if found is None:
        found = _ZONES[name] = ZoneInfo(name)
    return found


def _seconds(moment: str) -> int:
    return int(datetime.fromisoformat(moment).timestamp())


def _minutes(clock: str) -> int:
    return int(clock[:2]) * 60 + int(clock[3:])


def flattened(dossier: Facts) -> Facts:
    """Return a dossier as the flat request that a service might keep for these 26 rules: instants as seconds.

    This is preparation, as the engine's record is, and no part of what is measured.
    """
    act, party = dossier["act"], dossier["parties"]["p1"]
    held = {hold["kind"] for hold in dossier["holds"]}
    ledger = dossier["consents"]
    stops = [entry["medium"] for entry in ledger if entry["event"] == "stop_medium"]
    return {
        "now": _seconds(dossier["at"]),
        "channel": act["channel"],
        "tz": party["zones"][0],
        "state": party["residence"]["region"],
        "history": [[_seconds(event["at"]), event["channel"], event["outcome"]] for event in dossier["history"]],
        "inconvenient": [
            [weekday, _minutes(entry["times"]["from"]), _minutes(entry["times"]["to"])]
            for entry in ledger
            if entry["event"] == "inconvenient_time"
            for weekday in entry["times"]["weekdays"]
        ],
        "case": {
            "status": dossier["debts"]["d1"]["status"],
            **{kind: kind in held for kind in ("cease", "attorney", "bankruptcy", "deceased", "dispute")},
        },
        "optouts": stops,
        # Who asks to stop takes a consent back.
        "consent": [
            entry["medium"] for entry in ledger if entry["event"] == "granted" and entry["medium"] not in stops
        ],
        "employer_forbids": party["employer_forbids_work_contact"],
        "point": {key: dossier["points"][act["point"]][key] for key in ("kind", "place")},
        "content": {key: act["content"][key] for key in ("language", "disclosures")},
        "licensed": dossier["orgs"]["ag1"]["licensed"],
        "certified_to": _seconds(dossier["collectors"]["c1"]["certified_to"]),
    }


def facts(request: Facts) -> Facts:
    """Return the local time and the counts of a request, in local dates, as ``datetime`` gives them."""
    zone = _zone(request["tz"])
    now, channel = request["now"], request["channel"]
    local = datetime.fromtimestamp(now, zone)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    day = midnight.timestamp()
    week, month = (midnight - timedelta(days=6)).timestamp(), (midnight - timedelta(days=29)).timestamp()
    calls = talks = same = all_in_month = 0
    for at, by, outcome in request["history"]:
        if at > now:
            continue
        if at >= month:
            all_in_month += 1
        if at >= week:
            if by == "call":
                calls += 1
            if outcome == "conversation":
                talks += 1
        if at >= day and by == channel:
            same += 1
    return {
        "minute": local.hour * 60 + local.minute,
        "weekday": local.isoweekday(),
        "date": local.date().isoformat(),
        "calls": calls,
        "talks": talks,
        "same": same,
        "month": all_in_month,
    }


def decide(request: Facts) -> list[str]:
    """Return the ids of the rules that a flat request breaks."""
    known = facts(request)
    case, channel, point, content = request["case"], request["channel"], request["point"], request["content"]
    minute, weekday = known["minute"], known["weekday"]
    broken = []
    if case["status"] not in OPEN:
        broken.append("S1")
    if case["cease"]:
        broken.append("H1")
    if case["attorney"]:
        broken.append("H2")
    if case["bankruptcy"]:
        broken.append("H3")
    if case["deceased"]:
        broken.append("H4")
    if case["dispute"]:
        broken.append("H5")
    if minute < 480:
        broken.append("W1")
    if minute >= 1260:
        broken.append("W2")
    if weekday == 7 and minute < 780:
        broken.append("W3")
    for day, start, end in request["inconvenient"]:
        if day == weekday and start <= minute < end:
            broken.append("W4")
            break
    if known["date"] in FEDERAL:
        broken.append("D1")
    if known["date"] in STATE.get(request["state"], ()):
        broken.append("D2")
    if channel == "call" and known["calls"] >= 7:
        broken.append("C1")
    if channel == "call" and known["talks"] >= 1:
        broken.append("C2")
    if known["same"] >= 2:
        broken.append("C3")
    if known["month"] >= 30:
        broken.append("C4")
    if channel in request["optouts"]:
        broken.append("O1")
    if request["employer_forbids"]:
        broken.append("O2")
    if channel == "sms" and "sms" not in request["consent"]:
        broken.append("O3")
    if point["place"] == "work":
        broken.append("O4")
    if point["kind"] not in KINDS[channel]:
        broken.append("T1")
    if "debt_collector_identity" not in content["disclosures"]:
        broken.append("T2")
    if channel != "call" and "opt_out" not in content["disclosures"]:
        broken.append("T3")
    if content["language"] not in LANGUAGES:
        broken.append("T4")
    if not request["licensed"]:
        broken.append("K1")
    if request["certified_to"] <= request["now"]:
        broken.append("K2")
    return broken


def decide_dossier(dossier: Facts) -> list[str]:
    """Return the ids of the rules that a dossier breaks: the same, by one who works on the dossier as it is."""
    return decide(flattened(dossier))
