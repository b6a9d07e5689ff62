"""The facts by which strategies tell cases apart: a closed list of names, each of one kind, all taken from the records."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from chalicelib.domain.cases.case import Case
from chalicelib.domain.cases.lifecycle import CaseState
from chalicelib.domain.instants import from_text, local_date
from chalicelib.domain.people.person import ContactLedger, HoldEntry, Person

RIGHT_PARTY_OUTCOMES = frozenset({"conversation", "visited_met"})
"""Outcomes of a contact in which a person spoke with the one who was meant."""

HARDSHIP_HOLDS = frozenset({"hardship", "breathing_space", "disaster"})
VULNERABLE_HOLDS = frozenset(
    {"serious_illness", "breathing_space_mental_health", "military_service", "deceased", "detention"}
)
"""Holds that say of a person that a person must look after them."""

CHANNELS = ("wechat", "sms", "email", "letter", "call", "visit")
MESSAGE_CHANNELS = ("wechat", "sms", "email", "letter")
"""Channels by which the system itself can write; calls and visits are made by people."""

POINT_KINDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "wechat": ("wechat",),
        "sms": ("mobile",),
        "email": ("email",),
        "letter": ("address",),
        "call": ("mobile", "landline"),
        "visit": ("address",),
    }
)
"""Kinds of contact point that each channel needs."""


class Stage(StrEnum):
    """Where a debt stands: before its due day or on it, 1-30, 31-90, 91 and more days past due, or with the courts."""

    BEFORE_DUE = "before_due"
    EARLY = "early"
    MIDDLE = "middle"
    LATE = "late"
    LEGAL = "legal"


RISKS = ("low", "medium", "high", "unknown")
"""Bands of the score of the person's behaviour; ``unknown`` while there is none."""

BUCKETS = (
    *(f"M{number}" for number in range(8)),
    "current",
    "1-29",
    "30-59",
    "60-89",
    "90-119",
    "120+",
)


@dataclass(frozen=True, slots=True)
class Fact:
    """One name: ``kind`` is integer, code, codes (several at once) or boolean; ``values`` are the codes that it may have."""

    kind: str
    zh: str
    en: str
    values: tuple[str, ...] = ()


FACTS: Mapping[str, Fact] = MappingProxyType(
    {
        "stage": Fact("code", "阶段", "stage", tuple(Stage)),
        "days_past_due": Fact("integer", "逾期天数（到期前为负）", "days past due (negative before the due day)"),
        "bucket": Fact("code", "账龄段", "bucket of days past due", BUCKETS),
        "risk": Fact("code", "风险等级", "risk band", RISKS),
        "country": Fact("code", "国家", "country of the case"),
        "amount_due_minor": Fact("integer", "应还金额（最小货币单位）", "amount due in the smallest unit"),
        "placement_stage": Fact("integer", "委案手别", "placement number"),
        "channel_preference": Fact("code", "偏好渠道", "preferred channel", (*CHANNELS, "none")),
        "reachable": Fact("codes", "可用渠道", "channels with a usable contact point", CHANNELS),
        "days_since_contact": Fact("integer", "距上次触达天数", "days since the last contact"),
        "contacts_in_7_days": Fact("integer", "近七日触达次数", "contacts in the last 7 days"),
        "was_reached_in_30_days": Fact("boolean", "近三十日接触本人", "right party reached in the last 30 days"),
        "has_open_promise": Fact("boolean", "有未到期承诺", "open promise to pay"),
        "has_broken_promise": Fact("boolean", "有违约承诺", "broken promise"),
        "is_on_plan": Fact("boolean", "分期中", "on an agreed plan"),
        "is_disputed": Fact("boolean", "争议中", "disputed"),
        "is_on_hold": Fact("boolean", "停催中", "under any hold"),
        "is_in_hardship": Fact("boolean", "经济困难", "in hardship"),
        "is_vulnerable": Fact("boolean", "需特别关照", "vulnerable"),
    }
)
"""Every fact, in the order in which it is shown."""

Value = int | str | bool | frozenset[str] | None


@dataclass(frozen=True, slots=True)
class CaseFacts:
    """What is known of one case at an instant, under the names of ``FACTS``; None is not known and meets no condition."""

    stage: str
    days_past_due: int
    bucket: str
    risk: str
    country: str
    amount_due_minor: int
    placement_stage: int
    channel_preference: str
    reachable: frozenset[str]
    days_since_contact: int | None
    contacts_in_7_days: int
    was_reached_in_30_days: bool
    has_open_promise: bool
    has_broken_promise: bool
    is_on_plan: bool
    is_disputed: bool
    is_on_hold: bool
    is_in_hardship: bool
    is_vulnerable: bool

    def value(self, name: str) -> Value:
        """Return the fact of that name. Raises AttributeError for a name that is none."""
        found: Value = getattr(self, name)
        return found


def facts_of(case: Case, person: Person, ledger: ContactLedger, *, zone: str, now: datetime, risk: str) -> CaseFacts:
    """Return the facts of a case at an instant; days are whole local days in ``zone``, spans end at ``now`` (closed)."""
    today = local_date(now, zone)
    days = signed_days_past_due(case, today)
    reached = [entry for entry in ledger.history if _within(entry.at, now, timedelta(days=3_650))]
    outward = [entry for entry in reached if entry.direction != "in"]
    last = max((from_text(entry.at) for entry in outward), default=None)
    holds = active_holds(case, ledger, now)
    kinds = {hold.kind for hold in holds}
    return CaseFacts(
        stage=stage_of(case, days).value,
        days_past_due=days,
        bucket=case.bucket(today),
        risk=risk if risk in RISKS else "unknown",
        country=case.country,
        amount_due_minor=case.amount_due_minor,
        placement_stage=case.placement_stage,
        channel_preference=preferred_channel(person, ledger),
        reachable=reachable_channels(person),
        days_since_contact=None if last is None else (now - last).days,
        contacts_in_7_days=sum(_within(entry.at, now, timedelta(days=7)) for entry in outward),
        was_reached_in_30_days=any(
            entry.outcome in RIGHT_PARTY_OUTCOMES and _within(entry.at, now, timedelta(days=30)) for entry in reached
        ),
        has_open_promise=any(promise.state == "open" for promise in case.promises),
        has_broken_promise=any(promise.state == "broken" for promise in case.promises),
        is_on_plan=case.state is CaseState.ON_PLAN,
        is_disputed=case.state is CaseState.DISPUTED or "dispute" in kinds,
        is_on_hold=bool(holds),
        is_in_hardship=bool(kinds & HARDSHIP_HOLDS),
        is_vulnerable=bool(kinds & VULNERABLE_HOLDS),
    )


def signed_days_past_due(case: Case, today: date) -> int:
    """Return whole days past due; negative while the oldest unpaid instalment is still to come, 0 on its day."""
    past = case.days_past_due(today)
    due = case.oldest_unpaid_due_on
    return past if past > 0 or due is None else min(0, (today - due).days)


def stage_of(case: Case, days: int) -> Stage:
    """Return the stage of a case that is so many days past due."""
    if case.state is CaseState.LEGAL or case.placement_type == "legal":
        return Stage.LEGAL
    if days <= 0:
        return Stage.BEFORE_DUE
    return Stage.EARLY if days <= 30 else Stage.MIDDLE if days <= 90 else Stage.LATE


def active_holds(case: Case, ledger: ContactLedger, now: datetime) -> list[HoldEntry]:
    """Return the holds on the case and on its debtor that are in force at the instant: from (closed), until (open)."""
    return [
        hold
        for hold in (*case.holds, *ledger.holds)
        if hold.released_at is None
        and _instant(hold.from_) <= now
        and (hold.until is None or now < _instant(hold.until))
        and hold.debt in (None, case.id)
    ]


def reachable_channels(person: Person) -> frozenset[str]:
    """Return the channels for which the person has a usable contact point."""
    return frozenset(
        channel for channel, kinds in POINT_KINDS.items() if any(person.first_point(kind) is not None for kind in kinds)
    )


def preferred_channel(person: Person, ledger: ContactLedger) -> str:
    """Return the channel that the person asked for, else that of the usable contact point that they rank first; or ``none``."""
    if person.preferences is not None and person.preferences.channel is not None:
        return person.preferences.channel
    ranked = [
        (point.preference, place, channel)
        for channel, kinds in POINT_KINDS.items()
        for place, point in enumerate(person.points)
        if point.preference is not None and point.kind in kinds and point.is_usable
    ]
    return min(ranked, key=lambda each: (each[0], each[1], CHANNELS.index(each[2])))[2] if ranked else "none"


def _within(at: str, now: datetime, span: timedelta) -> bool:
    return now - span < from_text(at) <= now


def _instant(text: str) -> datetime:
    return from_text(text if "T" in text else f"{text}T00:00:00Z")
