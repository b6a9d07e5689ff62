#!/usr/bin/env python3
"""Check what the carriers took against the audit archive: nothing unapproved, nothing twice, nothing over a cap.

    python -m scripts.check_day ARCHIVE OUTBOX [--stored COUNTS] [--details]

ARCHIVE is a downloaded archive (``<tenant>/<yyyy>/checkpoint`` and ``tile/entries``), OUTBOX what the carriers wrote
down, one JSON object a line (``at``, ``carrier``, ``channel``, ``provider_id``, ``contact``, ``subject``, ``body``,
``content_sha256``, ``content``). COUNTS is a JSON object of stream -> number of events that the tables hold.

The limits are stated here a second time, in the plainest form, and counted from the open data of the entries; the
engine that ruled is not asked. Only the standard library is used. That the archive is genuine is for its verifier to
say. Printed is one JSON object; exit status: 0 every count is 0, 1 some are not, 2 something cannot be read.

    sent_without_approval  taken by a carrier, but not claimed before under an approval of this very text and channel
    approvals_used_twice   uses of an approval beyond its first
    contacts_over_cap      approved contacts that were more than a person may get
    contacts_out_of_hours  approved contacts outside 08:00 to 22:00 (CN) or 21:00 (US) in a zone the person may be in
    entries_missing        what should be in the archive and is not
"""

import argparse
import hashlib
import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

COUNTS = (
    "sent_without_approval",
    "approvals_used_twice",
    "contacts_over_cap",
    "contacts_out_of_hours",
    "entries_missing",
)

OPENING = time(8)
CLOSING = {"CN": time(22), "US": time(21)}
"""By country, the local time from which nobody is contacted any more; from ``OPENING`` on they may be again."""

TEXTS = frozenset(("sms", "wechat", "email"))
CN_A_DAY = {"sms": 2, "wechat": 2, "email": 1}
CN_TEXTS_A_DAY, CN_SMS_A_WEEK = 3, 5
CN_CONNECTED_A_DAY, CN_DIALS_A_DAY = 3, 6
US_CALLS_A_WEEK = 7
WEEK = 7
"""Local dates: the day of the contact and the six before it; after a visit on D the next may be on D+7."""

SAME_CLOCK = timedelta(minutes=10)
"""A carrier whose time lies further from the claim's runs by another clock, so the claim's time is taken."""


class Unreadable(Exception):
    """The archive, the outbox or the counts are not what they should be."""


# --- Reading -------------------------------------------------------------------------------------------------------


def bundle_path(log: Path, number: int) -> Path:
    """Return where a full bundle lies: 7 is 007, 1234067 is x001/x234/067."""
    digits = f"{number:d}"
    digits = digits.rjust(-(-len(digits) // 3) * 3, "0")
    groups = [digits[place : place + 3] for place in range(0, len(digits), 3)]
    return log.joinpath("tile", "entries", *(f"x{group}" for group in groups[:-1]), groups[-1])


def read_bundle(log: Path, number: int, wanted: int) -> list[bytes]:
    """Return up to ``wanted`` entries of a bundle, from the fullest copy there is."""
    full = bundle_path(log, number)
    below = full.with_name(f"{full.name}.p")
    partials = sorted((path for path in below.glob("*") if path.name.isdigit()), key=lambda path: int(path.name))
    copies = [full] if full.is_file() else partials[-1:]
    raw = copies[0].read_bytes() if copies else b""
    entries, place = [], 0
    while place + 2 <= len(raw):
        length = raw[place] << 8 | raw[place + 1]
        entries.append(raw[place + 2 : place + 2 + length])
        place += 2 + length
    return entries[:wanted]


def read_events(archive: Path, missing: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (tenant, event) of every entry under each log's checkpoint; entries that are not there go to ``missing``."""
    checkpoints = sorted(archive.rglob("checkpoint"))
    if not checkpoints:
        raise Unreadable(f"no log lies under {archive}")
    for checkpoint in checkpoints:
        log = checkpoint.parent
        try:
            origin, size = checkpoint.read_text(encoding="utf-8").split("\n")[:2]
            tenant, total = origin.split("/")[-2], int(size)
        except (ValueError, IndexError) as error:
            raise Unreadable(f"{checkpoint} is no checkpoint") from error
        for number in range(-(-total // 256)):
            wanted = min(256, total - 256 * number)
            entries = read_bundle(log, number, wanted)
            missing += [f"entry {256 * number + place} of {origin}" for place in range(len(entries), wanted)]
            for entry in entries:
                try:
                    yield tenant, json.loads(entry)["event"]
                except (ValueError, KeyError, TypeError) as error:
                    raise Unreadable(f"an entry of {origin} is no record") from error


def read_outbox(path: Path) -> list[dict[str, Any]]:
    """Return what the carriers took, in order."""
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except ValueError as error:
        raise Unreadable(f"{path} is not JSON Lines") from error


def instant(text: str) -> datetime:
    """Return the instant that RFC 3339 text names."""
    return datetime.fromisoformat(text)


# --- What the archive says -----------------------------------------------------------------------------------------


@dataclass
class Approval:
    """A ruling that allowed, and each use that the archive tells of."""

    id: str
    at: datetime
    data: Mapping[str, Any]
    claims: list[datetime] = field(default_factory=list)
    sent: int = 0
    reported: int = 0

    @property
    def ends(self) -> datetime:
        """Return the instant from which the approval may not be used any more."""
        return instant(self.data["not_after"])


@dataclass
class Contact:
    """Everything that the archive says of one attempt."""

    tenant: str
    requested: bool = False
    decided: int = 0
    approvals: list[Approval] = field(default_factory=list)
    left: set[str] = field(default_factory=set)
    provider_ids: set[str] = field(default_factory=set)
    report: Mapping[str, Any] | None = None


@dataclass
class Happened:
    """A contact that took place, as the caps see it."""

    tenant: str
    person: str
    channel: str
    at: datetime
    country: str
    zones: tuple[str, ...]
    recipient: str | None
    connected: bool
    approved: bool
    name: str


class Archive:
    """The archive's open data, gathered by contact and by stream."""

    def __init__(self, events: Iterable[tuple[str, dict[str, Any]]]) -> None:
        """Read all events."""
        self.contacts: dict[str, Contact] = {}
        self.streams: dict[tuple[str, str], set[int]] = defaultdict(set)
        self.inherited: set[str] = set()
        self.uncleared: list[tuple[str, Mapping[str, Any]]] = []
        for tenant, event in events:
            self._take(tenant, event)

    def _take(self, tenant: str, event: Mapping[str, Any]) -> None:
        kind, data = event["type"], event["data"]
        self.streams[tenant, event["case"]].add(event["case_seq"])
        if kind == "log.genesis" and data.get("previous") is not None:
            self.inherited.add(tenant)
        if kind == "activity.recorded" and data.get("attempt") and data.get("contact") is None:
            self.uncleared.append((tenant, data))
        if not kind.startswith("contact."):
            return
        contact = self.contacts.setdefault(data["contact"], Contact(tenant))
        if kind == "contact.requested":
            contact.requested = True
        elif kind == "contact.decided":
            contact.decided += 1
            if event["decision"]["outcome"] == "allow" and data["approval"] is not None:
                contact.approvals.append(Approval(data["approval"]["id"], instant(event["at"]), data))
        for approval in contact.approvals:
            if approval.id == data.get("approval"):
                if kind == "contact.claimed":
                    approval.claims.append(instant(event["at"]))
                approval.sent += kind == "contact.sent"
                approval.reported += kind == "contact.reported"
        if kind in ("contact.sent", "contact.unknown", "contact.delivered", "contact.failed"):
            contact.left.add(kind)
        if kind == "contact.reported":
            contact.report = data
        if data.get("provider_id"):
            contact.provider_ids.add(data["provider_id"])


# --- Checks --------------------------------------------------------------------------------------------------------


def text_digest(item: Mapping[str, Any]) -> str | None:
    """Return the digest of what the person got to read: of the body, after subject and empty line where there is one.

    A body that the carrier did not keep as text (a letter's pages) is known by the digest that was filed with it.
    """
    body = item.get("body")
    if isinstance(body, str):
        subject = item.get("subject")
        return hashlib.sha256((f"{subject}\n\n{body}" if subject else body).encode()).hexdigest()
    return item.get("content") or item.get("content_sha256")


def sends_of(outbox: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return one item for each acceptance; the several recipients of one message are one."""
    sends: list[Mapping[str, Any]] = []
    recipients: dict[tuple[Any, Any], set[Any]] = defaultdict(set)
    for item in outbox:
        known, index = recipients[item["carrier"], item.get("provider_id")], item.get("recipient_index")
        if index is None or not item.get("provider_id") or not known or index in known:
            sends.append(item)
        known.add(index)
    return sends


class Day:
    """The findings; each is a text under the count that it belongs to."""

    def __init__(self, archive: Archive, outbox: list[dict[str, Any]], missing: list[str]) -> None:
        """Check everything."""
        self.found: dict[str, list[str]] = {name: [] for name in COUNTS}
        self.found["entries_missing"] += missing
        self.other_clock = 0
        self._archive = archive
        self._names = {each: name for name, contact in archive.contacts.items() for each in contact.provider_ids}
        happened = self._sent(outbox) + self._reported() + self._uncleared()
        self._twice(outbox)
        self._hours(happened)
        self._caps(happened)
        self._missing()

    def _name(self, item: Mapping[str, Any]) -> str:
        return item.get("contact") or self._names.get(item.get("provider_id") or "", "")

    def _sent(self, outbox: list[dict[str, Any]]) -> list[Happened]:
        """Match every acceptance with its approval, and return those that the archive knows, with what never came."""
        happened, seen = [], set()
        for item in sends_of(outbox):
            name = self._name(item)
            label = f"{item['carrier']} {item.get('provider_id')}"
            contact = self._archive.contacts.get(name)
            if contact is None:
                self.found["sent_without_approval"].append(f"{label}: no such contact")
                self.found["entries_missing"].append(f"{label}: no entry at all")
                continue
            seen.add(name)
            if not contact.decided or not contact.left:
                self.found["entries_missing"].append(f"{label} {name}: {'sent' if contact.decided else 'decided'}")
            approval, at = self._approval(contact, item)
            if approval is None:
                self.found["sent_without_approval"].append(f"{label} {name}")
            for known in [approval] if approval is not None else contact.approvals[-1:]:
                happened.append(_happened(name, contact, known, at))
        for name, contact in self._archive.contacts.items():
            # What may have left without a carrier's word of it counts as well: nobody knows that it did not.
            if name not in seen and contact.left:
                happened += [
                    _happened(name, contact, each, each.claims[0]) for each in contact.approvals if each.claims
                ]
        return happened

    def _approval(self, contact: Contact, item: Mapping[str, Any]) -> tuple[Approval | None, datetime]:
        """Return the approval that covers the item, and when it was sent by the archive's clock."""
        at = instant(item["at"])
        claims = [claim for approval in contact.approvals for claim in approval.claims]
        if claims and min(abs(at - claim) for claim in claims) > SAME_CLOCK:
            self.other_clock += 1
            at = max(claims)
        for approval in contact.approvals:
            agreed = (approval.data["content"], approval.data["channel"]) == (text_digest(item), item["channel"])
            # A carrier's clock may go a little wrong; the claim, by the archive's own, may not.
            claimed = any(
                approval.at <= claim < approval.ends and claim <= at + SAME_CLOCK for claim in approval.claims
            )
            if agreed and claimed:
                return approval, at
        return None, at

    def _reported(self) -> list[Happened]:
        """Return the calls and visits that were made under a clearance."""
        happened = []
        for name, contact in self._archive.contacts.items():
            if contact.report is None or contact.report["outcome"] == "not_made":
                continue
            for approval in contact.approvals[-1:]:
                made = _happened(name, contact, approval, instant(contact.report["attempted_at"]))
                made.connected = bool(contact.report["connected"])
                happened.append(made)
        return happened

    def _uncleared(self) -> list[Happened]:
        """Return contacts that an agency made without asking: they fill the caps of those that were approved."""
        known = {
            (contact.tenant, approval.data["person"]): approval.data
            for contact in self._archive.contacts.values()
            for approval in contact.approvals
        }
        return [
            Happened(
                tenant,
                data["person"],
                data["action"],
                instant(data["at"]),
                known[tenant, data["person"]]["country"],
                tuple(known[tenant, data["person"]]["zones"]),
                None,
                bool(data["connect"]),
                approved=False,
                name=data["activity"],
            )
            for tenant, data in self._archive.uncleared
            if (tenant, data["person"]) in known
        ]

    def _twice(self, outbox: list[dict[str, Any]]) -> None:
        taken: dict[str, int] = defaultdict(int)
        for item in sends_of(outbox):
            taken[self._name(item)] += 1
        for name, contact in self._archive.contacts.items():
            uses = [max(len(each.claims), each.sent, each.reported) for each in contact.approvals]
            told = sum(used - 1 for used in uses if used)
            # What was taken without any approval is counted elsewhere.
            seen = taken[name] - sum(1 for used in uses if used) if any(uses) else 0
            self.found["approvals_used_twice"] += [f"{name}: {max(told, seen) + 1} uses"] * max(told, seen)

    def _hours(self, happened: list[Happened]) -> None:
        for each in happened:
            if not each.approved or each.channel == "letter" or each.country not in CLOSING:
                continue
            zones = each.zones or (("Asia/Shanghai",) if each.country == "CN" else ())
            local = [_local(each.at, zone).time() for zone in zones]
            if not local or not all(OPENING <= moment < CLOSING[each.country] for moment in local):
                self.found["contacts_out_of_hours"].append(f"{each.name} {each.at.isoformat()} {list(zones)}")

    def _caps(self, happened: list[Happened]) -> None:
        persons: dict[tuple[str, str], list[Happened]] = defaultdict(list)
        for each in sorted(happened, key=lambda each: each.at):
            before = persons[each.tenant, each.person]
            over = _over_cn(each, before) if each.country == "CN" else None
            over = _over_us(each, before) if each.country == "US" else over
            before.append(each)
            if over and each.approved:
                self.found["contacts_over_cap"].append(f"{each.name} {each.at.isoformat()} {over}")

    def _missing(self) -> None:
        found = self.found["entries_missing"]
        for (tenant, stream), numbers in self._archive.streams.items():
            # A stream may have begun in a year that was not downloaded.
            first = min(numbers) if tenant in self._archive.inherited else 1
            found += [f"{stream}: event {number}" for number in range(first, max(numbers)) if number not in numbers]
        for name, contact in self._archive.contacts.items():
            if contact.decided and not contact.requested and contact.tenant not in self._archive.inherited:
                found.append(f"{name}: decided, never requested")

    def compare(self, stored: Mapping[str, int]) -> None:
        """Hold the archive against the number of events that the tables hold of each stream."""
        last = {stream: max(numbers) for (_, stream), numbers in self._archive.streams.items()}
        for stream, count in stored.items():
            missing = range(last.get(stream, 0) + 1, count + 1)
            self.found["entries_missing"] += [f"{stream}: event {number} is stored only" for number in missing]


def _happened(name: str, contact: Contact, approval: Approval, at: datetime) -> Happened:
    data = approval.data
    return Happened(
        contact.tenant,
        data["person"],
        data["channel"],
        at,
        data["country"],
        tuple(data["zones"]),
        data["recipient"],
        connected=False,
        approved=True,
        name=name,
    )


def _local(at: datetime, zone: str) -> datetime:
    try:
        return at.astimezone(ZoneInfo(zone))
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise Unreadable(f"{zone} is no zone that this machine knows") from error


def _over_cn(new: Happened, before: list[Happened]) -> str | None:
    """Return which Chinese cap the contact exceeds. Days are Shanghai's, counts are per person over all agencies."""
    today = _local(new.at, "Asia/Shanghai").date()

    def within(days: int, *channels: str) -> list[Happened]:
        first = today - timedelta(days=days - 1)
        return [e for e in before if e.channel in channels and first <= _local(e.at, "Asia/Shanghai").date() <= today]

    if new.channel in CN_A_DAY:
        if len(within(1, new.channel)) + 1 > CN_A_DAY[new.channel]:
            return f"more than {CN_A_DAY[new.channel]} {new.channel} a day"
        if len(within(1, *TEXTS)) + 1 > CN_TEXTS_A_DAY:
            return f"more than {CN_TEXTS_A_DAY} texts a day"
        if new.channel == "sms" and len(within(WEEK, "sms")) + 1 > CN_SMS_A_WEEK:
            return f"more than {CN_SMS_A_WEEK} sms in {WEEK} days"
    if new.channel == "call":
        calls = within(1, "call")
        if new.connected and sum(call.connected for call in calls) + 1 > CN_CONNECTED_A_DAY:
            return f"more than {CN_CONNECTED_A_DAY} connected calls a day"
        if sum(call.recipient in (new.recipient, None) for call in calls) + 1 > CN_DIALS_A_DAY:
            return f"more than {CN_DIALS_A_DAY} dials of a number a day"
    if new.channel == "visit" and within(WEEK, "visit"):
        return f"a visit less than {WEEK} days after another"
    return None


def _over_us(new: Happened, before: list[Happened]) -> str | None:
    """Return which cap of Regulation F the call exceeds, in any zone that the person may be in."""
    if new.channel != "call":
        return None

    def day(each: Happened, zone: str) -> date:
        return _local(each.at, zone).date()

    for zone in new.zones:
        today = day(new, zone)
        first = today - timedelta(days=WEEK - 1)
        if sum(e.channel == "call" and first <= day(e, zone) <= today for e in before) + 1 > US_CALLS_A_WEEK:
            return f"more than {US_CALLS_A_WEEK} calls in {WEEK} days"
    return None


def check(archive: Path, outbox: list[dict[str, Any]], stored: Mapping[str, int] | None = None) -> Day:
    """Return the findings on a downloaded archive and what the carriers took. Raises Unreadable."""
    missing: list[str] = []
    try:
        day = Day(Archive(read_events(archive, missing)), outbox, missing)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Unreadable(f"an entry or an item lacks what is needed: {error!r}") from error
    if stored is not None:
        day.compare(stored)
    return day


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(description="Check the carriers' outbox against the audit archive.")
    parser.add_argument("archive", type=Path)
    parser.add_argument("outbox", type=Path)
    parser.add_argument("--stored", type=Path, help="JSON object of stream -> number of stored events")
    parser.add_argument("--details", action="store_true", help="name every finding")
    asked = parser.parse_args(argv)
    try:
        outbox = read_outbox(asked.outbox)
        stored = json.loads(asked.stored.read_text(encoding="utf-8")) if asked.stored else None
        day = check(asked.archive, outbox, stored)
    except (Unreadable, OSError, ValueError) as error:
        print(f"cannot check: {error}", file=sys.stderr)
        return 2
    answer: dict[str, Any] = {name: len(day.found[name]) for name in COUNTS}
    faulty = any(answer.values())
    answer |= {"outbox": len(outbox), "timed_by_claim": day.other_clock}
    if asked.details:
        answer["details"] = day.found
    print(json.dumps(answer, ensure_ascii=False, indent=2))
    return 1 if faulty else 0


if __name__ == "__main__":
    sys.exit(main())
