"""The next best action for one person: by which channel, in which part of the day, and why, in words.

A stated preference comes first; then what this person has answered to so far. What is learned is the mean of a Beta
posterior: an answer counts as a success, a contact without one within three days as a failure, on a prior of
one success in five contacts. The part of the day is learned the same way, on a prior worth four contacts at the
channel's own rate. Nothing is drawn at random, so the same record gives the same action and the same words.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from chalicelib.domain.instants import from_text
from chalicelib.domain.people.person import ContactLedger
from chalicelib.domain.strategies.facts import CHANNELS, RIGHT_PARTY_OUTCOMES, CaseFacts, Stage
from chalicelib.domain.strategies.strategy import Window, Words

PRIOR_SUCCESSES, PRIOR_FAILURES = 1, 4
"""What is supposed of a channel before it was tried: one answer in five contacts."""

DAYPART_WEIGHT = 4
"""How many contacts the channel's own rate is worth when a part of the day is judged."""

ANSWERED_WITHIN = timedelta(hours=72)
"""How soon after a contact something from the person counts as an answer to it."""

FEWEST_TRIES = 3
"""Contacts by a channel before a part of the day is preferred for it."""

DAYPARTS: Mapping[str, tuple[int, int]] = {"morning": (8, 12), "afternoon": (12, 17), "evening": (17, 21)}
"""Parts of the local day by hours, half-open."""

REASONS: Mapping[str, Words] = {
    "preferred": Words(zh="本人偏好该渠道", en="The person prefers this channel."),
    "answered_most": Words(zh="本人对该渠道回应最多", en="The person has answered by this channel most."),
    "untried": Words(zh="各渠道均无记录，按默认次序", en="Nothing is known of the person's answers; channels come in their usual order."),
    "only_way": Words(zh="仅该渠道可用", en="It is the only channel that can be used."),
    "best_hours": Words(zh="本人在该时段回应较多", en="The person has answered in these hours most."),
    "stated_hours": Words(zh="策略规定的时段", en="The strategy states these hours."),
    "stated_channel": Words(zh="策略规定的渠道", en="The strategy states this channel."),
    "before_due": Words(zh="尚未到期，仅提醒，由贷款机构自行发送", en="Nothing is overdue: a reminder, which the lender sends itself."),
    "hardship": Words(zh="经济困难，转人工处理", en="The person is in hardship: somebody looks after them."),
    "vulnerable": Words(zh="需特别关照，转人工处理", en="The person is vulnerable: somebody looks after them."),
    "legal": Words(zh="已进入司法程序，由法务处理", en="The case is with the courts: counsel handles it."),
    "stated_referral": Words(zh="策略规定转人工", en="The strategy hands the case to a person."),
    "stated_task": Words(zh="由催收员拨打或上门，须先取得许可", en="A collector calls or visits, with a clearance."),
    "overridden": Words(zh="经办人已改定", en="A person has decided so."),
}  # fmt: skip
"""Every reason in words."""


@dataclass(frozen=True, slots=True)
class Response:
    """How often a person was contacted in some way, and how often they answered."""

    tries: int = 0
    answers: int = 0


@dataclass(frozen=True, slots=True)
class Learned:
    """A person's answers by channel, and by channel and part of the day."""

    channels: Mapping[str, Response] = field(default_factory=dict)
    dayparts: Mapping[tuple[str, str], Response] = field(default_factory=dict)

    def rate(self, channel: str) -> float:
        """Return the posterior mean of an answer by the channel, from 0 to 1 (both open)."""
        seen = self.channels.get(channel, Response())
        return (PRIOR_SUCCESSES + seen.answers) / (PRIOR_SUCCESSES + PRIOR_FAILURES + seen.tries)

    def rate_in(self, channel: str, daypart: str) -> float:
        """Return the posterior mean of an answer by the channel in a part of the day."""
        seen = self.dayparts.get((channel, daypart), Response())
        return (DAYPART_WEIGHT * self.rate(channel) + seen.answers) / (DAYPART_WEIGHT + seen.tries)


@dataclass(frozen=True, slots=True)
class Choice:
    """A channel, with the codes of the reasons for it."""

    channel: str
    reasons: tuple[str, ...]


def learned_from(ledger: ContactLedger, *, zone: str, now: datetime) -> Learned:
    """Return what the person's contacts so far say; contacts whose time to be answered is not over count once answered."""
    inward = sorted(from_text(entry.at) for entry in ledger.history if entry.direction == "in")
    channels: dict[str, Response] = {}
    dayparts: dict[tuple[str, str], Response] = {}
    for entry in ledger.history:
        at = from_text(entry.at)
        if entry.direction != "out" or at > now:
            continue
        is_answered = entry.outcome in RIGHT_PARTY_OUTCOMES or any(at < each <= at + ANSWERED_WITHIN for each in inward)
        if not is_answered and (entry.outcome == "pending" or now < at + ANSWERED_WITHIN):
            continue
        part = daypart_of(at.astimezone(ZoneInfo(zone)).hour)
        channels[entry.channel] = _with(channels.get(entry.channel), answered=is_answered)
        if part is not None:
            key = (entry.channel, part)
            dayparts[key] = _with(dayparts.get(key), answered=is_answered)
    return Learned(channels, dayparts)


def _with(seen: Response | None, *, answered: bool) -> Response:
    before = seen or Response()
    return Response(before.tries + 1, before.answers + answered)


def daypart_of(hour: int) -> str | None:
    """Return the part of the day that a local hour lies in, None at night."""
    return next((name for name, (start, end) in DAYPARTS.items() if start <= hour < end), None)


def best_channel(facts: CaseFacts, learned: Learned, channels: Mapping[str, str]) -> Choice | None:
    """Return the best of these channels that reaches the person, None when none does."""
    fit = [channel for channel in CHANNELS if channel in channels and channel in facts.reachable]
    if not fit:
        return None
    if len(fit) == 1:
        return Choice(fit[0], ("only_way",))
    if facts.channel_preference in fit:
        return Choice(facts.channel_preference, ("preferred",))
    best = max(fit, key=lambda channel: (learned.rate(channel), -CHANNELS.index(channel)))
    is_known = any(learned.channels.get(channel) for channel in fit)
    return Choice(best, ("answered_most" if is_known else "untried",))


def best_window(learned: Learned, channel: str, hours: Window) -> tuple[Window, str]:
    """Return the part of the allowed hours in which the person answers most by the channel, and the reason's code.

    It is all of the hours until the channel was tried often enough.
    """
    if learned.channels.get(channel, Response()).tries < FEWEST_TRIES:
        return hours, "stated_hours"
    best, rate = None, learned.rate(channel)
    for name, (start, end) in DAYPARTS.items():
        low, high = max(hours.from_, f"{start:02d}:00"), min(hours.to, f"{end:02d}:00")
        if low < high and learned.rate_in(channel, name) > rate:
            best, rate = Window(from_=low, to=high), learned.rate_in(channel, name)
    return (hours, "stated_hours") if best is None else (best, "best_hours")


def person_first(facts: CaseFacts) -> tuple[str, str] | None:
    """Return (who looks after the case, reason) where no machine may go on by itself, None where it may."""
    if facts.is_vulnerable:
        return "lender", "vulnerable"
    if facts.is_in_hardship:
        return "lender", "hardship"
    return ("counsel", "legal") if facts.stage == Stage.LEGAL else None
