"""The measured dossiers: half of them break one to three of 26 rules, with any number of contacts in their past."""

import random
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

DAY = 86_400
PLACES = (
    ("America/New_York", "US-MA"), ("America/Chicago", "US-TX"), ("America/Chicago", "US-LA"),
    ("America/Denver", "US-CO"), ("America/Phoenix", "US-AZ"), ("America/Los_Angeles", "US-CA"),
    ("America/Anchorage", "US-AK"), ("Pacific/Honolulu", "US-HI"), ("America/Detroit", "US-MI"),
    ("America/Indiana/Knox", "US-IN"),
)  # fmt: skip
CHANNELS = ("call", "sms", "email")
HOLDS = ("cease", "attorney", "bankruptcy", "deceased", "dispute")


def text(instant: float) -> str:
    """Return RFC 3339 with Z of an instant in seconds."""
    return f"{datetime.fromtimestamp(instant, UTC):%Y-%m-%dT%H:%M:%SZ}"


def dossiers(count: int, contacts: int, seed: int = 7) -> list[dict[str, Any]]:
    """Return so many dossiers, each with so many past contacts; the same for the same arguments."""
    chance = random.Random(seed)
    return [_dossier(chance, number, contacts) for number in range(count)]


def _dossier(chance: random.Random, number: int, contacts: int) -> dict[str, Any]:
    zone, region = chance.choice(PLACES)
    channel = chance.choice(CHANNELS)
    local = datetime(2026, 3, 10 + chance.randrange(5), 9 + chance.randrange(11), chance.randrange(60), tzinfo=ZoneInfo(zone))  # fmt: skip
    at = int(local.timestamp())
    breaks = chance.sample(range(10), chance.randint(1, 3)) if chance.random() < 0.5 else []
    if 5 in breaks:
        at = int(local.replace(hour=6).timestamp())
    elif 6 in breaks:
        at = int(local.replace(hour=22).timestamp())
    # Old contacts, before the longest window, unless a cap is to be broken.
    past = sorted(at - DAY * 31 - chance.randrange(DAY * 300) for _ in range(contacts))
    events = [(then, chance.choice(CHANNELS), chance.choice(("no_answer", "sent", "voicemail_left"))) for then in past]
    if 8 in breaks:
        recent = min(contacts, 8)
        events[contacts - recent :] = [(at - 7200 * (back + 1), channel, "no_answer") for back in range(recent)]
    if 9 in breaks and contacts:
        events[-1] = (at - 7200, "call", "conversation")
    consents: list[dict[str, Any]] = [
        {"at": text(at - 90 * DAY), "party": "p1", "medium": medium, "event": "granted"}
        for medium in (() if 7 in breaks else ("sms", "call"))
    ]
    if chance.random() < 0.3:
        consents += [
            {"at": text(at - 80 * DAY), "party": "p1", "event": "inconvenient_time",
             "times": {"weekdays": [weekday], "from": start, "to": end}}
            for weekday, start, end in ((1, "12:00", "13:00"), (5, "17:00", "18:00"))
        ]  # fmt: skip
    if 1 in breaks:
        consents.append({"at": text(at - 9 * DAY), "party": "p1", "medium": channel, "event": "stop_medium"})
    return {
        "id": f"case-{number}",
        "at": text(at),
        "act": {
            "channel": channel, "to": "p1", "point": "email" if channel == "email" else "mobile", "org": "ag1",
            "collector": "c1",
            "content": {
                "language": "en",
                "disclosures": ["recording"] if 2 in breaks else ["debt_collector_identity", "opt_out", "recording"],
            },
        },
        "parties": {
            "p1": {"role": "debtor", "residence": {"country": "US", "region": region}, "zones": [zone], "language": "en",
                   "employer_forbids_work_contact": False},
        },
        "points": {
            "mobile": {"party": "p1", "kind": "mobile", "place": "other", "status": "ok"},
            "email": {"party": "p1", "kind": "email", "place": "home", "status": "ok"},
        },
        "debts": {
            "d1": {"product": "retail_instalment", "creditor": "len1", "status": "open", "days_past_due": 45,
                   "amount_due_minor": 1_264_530, "currency": "USD", "placed_to": text(at + 170 * DAY)[:10]},
        },
        "orgs": {"len1": {"role": "creditor"}, "ag1": {"role": "agency", "licensed": 3 not in breaks}},
        "collectors": {"c1": {"org": "ag1", "certified_to": text(at - 1 if 4 in breaks else at + 90 * DAY)}},
        "history": [
            {"id": f"e{place}", "at": text(then), "direction": "out", "channel": by, "party": "p1", "outcome": outcome}
            for place, (then, by, outcome) in enumerate(sorted(events))
        ],
        "consents": consents,
        "holds": (
            [{"kind": chance.choice(HOLDS), "party": "p1", "from": text(at - 3 * DAY)}] if 0 in breaks else []
        ),
        "notices": [],
    }  # fmt: skip
