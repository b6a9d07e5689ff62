"""Features: what a history shows at an instant, each by a name, a version and a unit, computed from nothing later.

The meaning of a published version never changes; a new meaning is a new version. Every value is an integer, or None when the
history has nothing to say. Days are those of the lender's zone. Windows end on the business date of the instant and hold
that many days (closed). ``docs/behaviour.md`` lists all of them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from types import MappingProxyType
from typing import Literal
from zoneinfo import ZoneInfo

from chalicelib.domain.behaviour.history import Contact, History
from chalicelib.domain.cases.case import Promise
from chalicelib.domain.cases.repayment import judge
from chalicelib.domain.cases.repayment_ledger import Payment, Standing, rank_of, standing_payments
from chalicelib.domain.instants import from_text, local_date

LOOKS = 12
"""Looks back at thirty-day steps, the present one not counted."""

HOURS = 3
"""Width of a part of the day, in hours: 8 parts."""

LEAST_TRIES = 3
"""Attempts below which a channel or a part of the day is not called the best."""

Features = Mapping[str, int | None]
"""Values by feature id."""


class View:
    """What the features of one instant have in common."""

    def __init__(self, history: History, at: datetime) -> None:
        """Cut the history at the instant and count it once."""
        known = history.known_at(at)
        self.at = at
        self.zone = ZoneInfo(known.zone)
        self.today = local_date(at, known.zone)
        self.instalment_minor = known.instalment_minor
        self.country = known.ledgers[0].country
        self.standings: tuple[Standing, ...] = tuple(ledger.standing(self.today) for ledger in known.ledgers)
        self.settlements = sorted(
            (pair for stands in self.standings for pair in stands.settlements if pair[0] < self.today),
            key=lambda pair: pair[0],
        )
        entries = [payment for ledger in known.ledgers for payment in ledger.payments]
        self.reversals = [payment for payment in entries if payment.reversal_of is not None]
        self.payments: list[Payment] = standing_payments(entries)
        self.dues = [(each.due_on, sum(each.owed.values())) for ledger in known.ledgers for each in ledger.instalments]
        self.promises: Sequence[Promise] = judge(known.promises, self.payments, today=self.today).promises
        self.contacts = sorted(known.contacts, key=lambda contact: contact.at)
        self.hardship = [local_date(from_text(said), known.zone) for said in known.hardship_said_at]
        self.looks = [self.days_past_due(self.today - timedelta(days=30 * back)) for back in range(LOOKS, -1, -1)]
        self.ranks = [rank_of(days, country=self.country) for days in self.looks]

    def days_past_due(self, day: date) -> int:
        """Return the days past due on a day up to the present one."""
        return max(stands.days_past_due_on(day) for stands in self.standings)

    def within(self, day: date, days: int) -> bool:
        """Tell whether a day lies in the window of so many days that ends today (closed)."""
        return self.today - timedelta(days=days) < day <= self.today

    def day_of(self, contact: Contact) -> date:
        """Return the lender's date of a contact."""
        return from_text(contact.at).astimezone(self.zone).date()

    def recent(self, days: int) -> list[Contact]:
        """Return the contacts of the window."""
        return [contact for contact in self.contacts if self.within(self.day_of(contact), days)]

    def judged(self) -> list[Promise]:
        """Return the promises of the last year of which it is known what became of them."""
        return [p for p in self.promises if p.state != "open" and self.within(p.made_on or p.due_on, 365)]


@dataclass(frozen=True, slots=True)
class Feature:
    """One definition. ``use`` says whether scores may take it (score), or only people's routing or a plan of contact.

    ``inputs`` are the parts of the history that it rests on. ``zh`` and ``en`` are its name, which is also the text of a reason.
    """

    id: str
    version: int
    unit: Literal["days", "months", "count", "percent", "channel", "hour"]
    use: Literal["score", "route", "plan"]
    zh: str
    en: str
    inputs: tuple[str, ...]
    value: Callable[[View], int | None]

    @property
    def reference(self) -> str:
        """Return ``id@version``."""
        return f"{self.id}@{self.version}"


def features_of(history: History, at: datetime) -> Features:
    """Return every feature of the history as it was known at an instant; what was told later changes nothing."""
    view = View(history, at)
    return MappingProxyType({feature.id: feature.value(view) for feature in FEATURES.values()})


def _share(part: int, whole: int) -> int | None:
    return 100 * part // whole if whole > 0 else None


def _overdue_to_instalment(view: View) -> int | None:
    overdue = sum(stands.overdue_minor for stands in view.standings)
    return None if not view.instalment_minor else min(9_999, 100 * overdue // view.instalment_minor)


def _months_on_book(view: View) -> int | None:
    first = min((due for due, _ in view.dues), default=None)
    if first is None:
        return None
    months = 12 * (view.today.year - first.year) + view.today.month - first.month
    return max(0, months - (view.today.day < first.day))


def _on_time_share(view: View) -> int | None:
    recent = [pair for pair in view.settlements if view.within(pair[0], 365)]
    return _share(sum(settled is not None and settled <= due for due, settled in recent), len(recent))


def _mean_days_late(view: View) -> int | None:
    last = view.settlements[-6:]
    return sum(max(0, ((settled or view.today) - due).days) for due, settled in last) // len(last) if last else None


def _paid_share(view: View) -> int | None:
    due = sum(minor for on, minor in view.dues if view.within(on, 90))
    paid = sum(each.amount_minor for each in view.payments if view.within(each.received_on, 90))
    share = _share(paid, due)
    return None if share is None else min(999, share)


def _days_since(view: View, days: Sequence[date]) -> int | None:
    return (view.today - max(days)).days if days else None


def _attempts_since_two_way(view: View) -> int:
    count = 0
    for contact in reversed(view.contacts):
        if contact.is_two_way:
            break
        count += 1
    return count


def _answer_share(view: View) -> int | None:
    tried = [contact for contact in view.recent(90) if contact.by_person and not contact.inbound]
    return _share(sum(contact.answered or contact.right_party for contact in tried), len(tried))


CHANNELS = ("call", "visit", "sms", "email", "wechat", "letter", "push")
"""Channels in the order of their numbers in the feature ``best_channel``."""


def _best(tried: Mapping[int, list[bool]]) -> int | None:
    """Return the key with the greatest share of successes among those tried often enough; of equals the least."""
    shares = {
        key: (1_000_000 * sum(found) // len(found), -key) for key, found in tried.items() if len(found) >= LEAST_TRIES
    }
    best = max(shares, key=lambda key: shares[key], default=None)
    return best if best is not None and shares[best][0] else None


def _best_channel(view: View) -> int | None:
    """Return the channel after whose attempts the borrower most often spoke or wrote within two days."""
    return _best(_responses(view, lambda contact: CHANNELS.index(contact.channel)))


def _best_hours(view: View) -> int | None:
    """Return the hour at which the part of the day begins in which attempts most often reached the borrower."""
    best = _best(_responses(view, lambda contact: from_text(contact.at).astimezone(view.zone).hour // HOURS))
    return None if best is None else best * HOURS


_ANSWER_WITHIN = timedelta(days=2)


def _responses(view: View, key: Callable[[Contact], int]) -> dict[int, list[bool]]:
    recent = [contact for contact in view.recent(365) if contact.channel in CHANNELS]
    sought = [from_text(contact.at) for contact in recent if contact.inbound]
    found: dict[int, list[bool]] = {}
    for contact in recent:
        if contact.inbound:
            continue
        at = from_text(contact.at)
        answered = contact.right_party or any(at < other <= at + _ANSWER_WITHIN for other in sought)
        found.setdefault(key(contact), []).append(answered)
    return found


_LEDGERS, _PROMISES, _CONTACTS = ("ledgers",), ("ledgers", "promises"), ("contacts",)

_ALL = (
    Feature("days_past_due", 1, "days", "score", "当前逾期天数", "days past due", _LEDGERS, lambda v: v.looks[-1]),
    Feature(
        "unpaid_periods", 1, "count", "score", "未结清的到期期数", "instalments due and not settled", _LEDGERS,
        lambda v: sum(stands.unpaid_periods for stands in v.standings),
    ),
    Feature(
        "overdue_to_instalment", 1, "percent", "score", "逾期金额与月供之比", "amount overdue as a share of an instalment",
        ("ledgers", "instalment_minor"), _overdue_to_instalment,
    ),
    Feature(
        "months_on_book", 1, "months", "score", "首个还款日以来的月数", "months since the first due date", _LEDGERS,
        _months_on_book,
    ),
    Feature(
        "worst_days_past_due_12m", 1, "days", "score", "近 12 次月度观察的最大逾期天数",
        "most days past due at the last twelve thirty-day looks", _LEDGERS, lambda v: max(v.looks[:-1]),
    ),
    Feature(
        "months_past_due_12m", 1, "count", "score", "近 12 次月度观察中逾期的次数",
        "looks past due of the last twelve thirty-day looks", _LEDGERS, lambda v: sum(days > 0 for days in v.looks[:-1]),
    ),
    Feature(
        "rolls_forward_12m", 1, "count", "score", "近 12 次月度观察中逾期阶段上升的次数",
        "rolls into a later bucket over the last twelve thirty-day steps", _LEDGERS,
        lambda v: sum(later > earlier for earlier, later in zip(v.ranks, v.ranks[1:], strict=False)),
    ),
    Feature(
        "rolls_back_12m", 1, "count", "score", "近 12 次月度观察中逾期阶段下降的次数",
        "rolls back to an earlier bucket over the last twelve thirty-day steps", _LEDGERS,
        lambda v: sum(later < earlier for earlier, later in zip(v.ranks, v.ranks[1:], strict=False)),
    ),
    Feature(
        "on_time_share_12m", 1, "percent", "score", "近一年按期结清的期数占比",
        "share of the last year's instalments that were settled on time", _LEDGERS, _on_time_share,
    ),
    Feature(
        "mean_days_late_6", 1, "days", "score", "最近六期平均迟延天数", "mean days late of the last six instalments",
        _LEDGERS, _mean_days_late,
    ),
    Feature(
        "payments_90d", 1, "count", "score", "近 90 天还款次数", "payments in the last 90 days", _LEDGERS,
        lambda v: sum(v.within(each.received_on, 90) for each in v.payments),
    ),
    Feature(
        "days_since_payment", 1, "days", "score", "距上次还款的天数", "days since the last payment", _LEDGERS,
        lambda v: _days_since(v, [each.received_on for each in v.payments]),
    ),
    Feature(
        "paid_share_90d", 1, "percent", "score", "近 90 天还款额占到期额之比",
        "share paid of what fell due in the last 90 days", _LEDGERS, _paid_share,
    ),
    Feature(
        "reversals_365d", 1, "count", "score", "近一年被冲正的还款次数", "payments taken back in the last year", _LEDGERS,
        lambda v: sum(v.within(each.received_on, 365) for each in v.reversals),
    ),
    Feature(
        "promises_judged_365d", 1, "count", "score", "近一年已有结果的还款承诺数", "promises of the last year that came due",
        _PROMISES, lambda v: len(v.judged()),
    ),
    Feature(
        "kept_share_365d", 1, "percent", "score", "近一年承诺兑现占比", "share of the last year's promises that were kept",
        _PROMISES, lambda v: _share(sum(p.state == "kept" for p in v.judged()), len(v.judged())),
    ),
    Feature(
        "open_promises", 1, "count", "score", "未到期的还款承诺数", "promises that are open", _PROMISES,
        lambda v: sum(promise.state == "open" for promise in v.promises),
    ),
    Feature(
        "days_since_right_party_contact", 1, "days", "score", "距上次与本人双向接触的天数",
        "days since the borrower last spoke or wrote", _CONTACTS,
        lambda v: _days_since(v, [v.day_of(contact) for contact in v.contacts if contact.is_two_way]),
    ),
    Feature(
        "right_party_contacts_90d", 1, "count", "score", "近 90 天与本人双向接触次数",
        "times the borrower spoke or wrote in the last 90 days", _CONTACTS,
        lambda v: sum(contact.is_two_way for contact in v.recent(90)),
    ),
    Feature(
        "attempts_since_right_party_contact", 1, "count", "score", "上次双向接触后未果的尝试次数",
        "attempts since the borrower last spoke or wrote", _CONTACTS, _attempts_since_two_way,
    ),
    Feature(
        "answer_share_90d", 1, "percent", "score", "近 90 天电话与外访有人应答的占比",
        "share of the last 90 days' calls and visits that were answered", _CONTACTS, _answer_share,
    ),
    Feature(
        "inbound_90d", 1, "count", "score", "近 90 天本人主动联系次数", "times the borrower made contact in the last 90 days",
        _CONTACTS, lambda v: sum(contact.inbound for contact in v.recent(90)),
    ),
    Feature("best_channel", 1, "channel", "plan", "回应最多的渠道", "channel answered most", _CONTACTS, _best_channel),
    Feature("best_hours", 1, "hour", "plan", "回应最多的时段", "part of the day answered most", _CONTACTS, _best_hours),
    Feature(
        "days_since_hardship_said", 1, "days", "route", "距上次表示经济困难的天数",
        "days since the borrower last said that they cannot pay", ("hardship_said_at",),
        lambda v: _days_since(v, v.hardship),
    ),
)  # fmt: skip

FEATURES: Mapping[str, Feature] = MappingProxyType({feature.id: feature for feature in _ALL})
"""Every feature by id, in the order in which they are shown."""
