"""Definitions of the key figures, as data. A figure without one of these versions cannot be published.

A published definition is never changed: a new meaning is a new version beside the old one, so that a figure of last
year still says what it said. The texts name counters of ``chalicelib.domain.kpi.counters``.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from fractions import Fraction
from types import MappingProxyType
from typing import Any

PER_1000, PER_10000 = 1_000, 10_000


class Unit(StrEnum):
    """What a value is: a count, minor units, a ratio, a ratio times 1,000 or 10,000, or hours a year of minutes a day."""

    COUNT = "count"
    MINOR = "minor"
    RATIO = "ratio"
    PER_1000 = "per_1000"
    PER_10000 = "per_10000"
    HOURS_A_YEAR = "hours_a_year"


SCALES: Mapping[Unit, Fraction] = MappingProxyType(
    {
        Unit.PER_1000: Fraction(PER_1000),
        Unit.PER_10000: Fraction(PER_10000),
        # Minutes a day: of an hour 60, of a year 365 days.
        Unit.HOURS_A_YEAR: Fraction(365, 60),
    }
)
"""What a ratio is multiplied by; 1 where the unit is not named."""


class Level(StrEnum):
    """Whom a figure may be about: the lender as a whole, or one agency."""

    LENDER = "lender"
    AGENCY = "agency"


class Period(StrEnum):
    """What a figure covers.

    ``day``: any span of local days, made of sums. The others do not add up: ``week`` and ``month`` are made of the cells
    of that ISO week or month alone, ``each`` of those of one day, week or month.
    """

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    EACH = "each"


IN_SCOPE = "in_scope"
"""The counter that is not kept but made: cases that were open when the span began, or came within it."""


COLLECTOR_DAYS = "collector_days"
"""The counter that is not kept but made: for each local day of the span, the collectors who worked there on it."""

MADE = frozenset({IN_SCOPE, COLLECTOR_DAYS})


USAGE = "usage of the trade; stated here"
"""The source of a formula that many texts give alike."""

_NOTHING: Mapping[str, str] = MappingProxyType({"zh": "无", "en": "nothing"})


@dataclass(frozen=True, slots=True)
class Term:
    """A counter with its sign; ``keyed`` means the member of the counter's family that has the figure's key.

    ``stem`` means the member that has the key's part before ``>``: where a case came from, wherever it went.
    """

    counter: str
    sign: int = 1
    keyed: bool = False
    stem: bool = False

    def name(self, key: str | None) -> str:
        """Return the counter's name for a figure of this key."""
        if not self.keyed:
            return self.counter
        return f"{self.counter}:{str(key).partition('>')[0] if self.stem else key}"


@dataclass(frozen=True, slots=True)
class Definition:
    """One key figure. ``value = numerator / denominator`` (the numerator alone for counts and amounts).

    ``sample`` is what ``n`` counts. ``interval`` says that the figure is a share of ``sample`` like cases, so that a
    Wilson interval is meaningful. ``key`` names what the figure is split by (currency, channel, rule), or is None.
    ``exclusions`` says what is left out on purpose, ``source`` whose formula it is.
    """

    id: str
    version: int
    name: Mapping[str, str]
    formula: Mapping[str, str]
    unit: Unit
    numerator: tuple[Term, ...]
    denominator: tuple[Term, ...] = ()
    sample: tuple[Term, ...] = ()
    key: str | None = None
    levels: frozenset[Level] = frozenset(Level)
    period: Period = Period.DAY
    interval: bool = False
    exclusions: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    source: str = USAGE

    @property
    def needs(self) -> frozenset[str]:
        """Return the counters of the figure that are made of what was counted from the beginning: cases, people."""
        return MADE & {term.counter for term in (*self.numerator, *self.denominator)}

    @property
    def reference(self) -> str:
        """Return ``<id>@<version>``, the name under which a figure is published."""
        return f"{self.id}@{self.version}"

    def as_json(self) -> dict[str, Any]:
        """Return the definition as the API gives it; terms are written as in ``docs/kpis.md``."""
        return {
            "kpi": self.id,
            "version": self.version,
            "name": dict(self.name),
            "formula": dict(self.formula),
            "unit": self.unit.value,
            "numerator": expression(self.numerator, self.key),
            "denominator": expression(self.denominator, self.key) or None,
            "n": expression(self.sample, self.key),
            "key": self.key,
            "period": self.period.value,
            "about": sorted(level.value for level in self.levels),
            "interval": "wilson" if self.interval else None,
            "exclusions": dict(self.exclusions),
            "source": self.source,
        }


def expression(terms: Iterable[Term], key: str | None) -> str:
    """Return terms as a sum over counters, a family's member as ``<family>:<key's name>``; ``""`` for no terms."""
    text = ""
    for term in terms:
        name = f"{term.counter}:<{'from' if term.stem else key}>" if term.keyed else term.counter
        text += f"{'' if not text else ' - ' if term.sign < 0 else ' + '}{name}"
    return text


def _text(zh: str, en: str) -> Mapping[str, str]:
    return MappingProxyType({"zh": zh, "en": en})


def _plain(*names: str) -> tuple[Term, ...]:
    return tuple(Term(name.lstrip("-"), -1 if name.startswith("-") else 1) for name in names)


def _keyed(*names: str) -> tuple[Term, ...]:
    return tuple(Term(name.lstrip("-"), -1 if name.startswith("-") else 1, keyed=True) for name in names)


_LENDER, _AGENCY = frozenset({Level.LENDER}), frozenset({Level.AGENCY})
_COLLECTED = _keyed("paid_minor", "-reversed_minor")


def _by_rule(outcome: str, zh: str, en: str) -> Definition:
    return Definition(
        id=f"{outcome}_by_rule",
        version=1,
        name=_text(f"按规则{zh}率", f"{en} rate by rule"),
        formula=_text(
            f"结论为{zh}且列出该规则的裁定数 ÷ 裁定总数",
            f"rulings with the outcome {en} that name the rule ÷ all rulings",
        ),
        unit=Unit.RATIO,
        numerator=_keyed(f"{outcome}_by_rule"),
        denominator=_plain("decided"),
        sample=_plain("decided"),
        key="rule",
        interval=True,
    )


def _outcome(outcome: str, zh: str, en: str) -> Definition:
    return Definition(
        id=outcome,
        version=1,
        name=_text(f"{zh}率", f"{en} rate"),
        formula=_text(f"结论为{zh}的裁定数 ÷ 裁定总数", f"rulings with the outcome {en} ÷ all rulings"),
        unit=Unit.RATIO,
        numerator=_plain(outcome),
        denominator=_plain("decided"),
        sample=_plain("decided"),
        interval=True,
    )


def _cure(days: int) -> Definition:
    return Definition(
        id=f"cure_{days}",
        version=1,
        name=_text(f"{days}日结清率", f"cure rate within {days} days"),
        formula=_text(
            f"当期委案且{days}日内（含）结清的案件数 ÷ 当期委案的案件数（静态池）",
            f"cases placed in the period that were settled within {days} days (closed) ÷ cases placed in the period "
            "(a static pool)",
        ),
        unit=Unit.RATIO,
        numerator=_plain(f"settled_in_{days}"),
        denominator=_plain("placed"),
        sample=_plain("placed"),
        levels=_LENDER,
        interval=True,
        exclusions=_text(
            f"无；未满{days}日的案件按目前状态计", f"nothing; cases younger than {days} days count as they stand"
        ),
    )


def _by_channel(each: Definition) -> tuple[Definition, Definition]:
    """Return a figure of surveys, and the same split by the channel of the survey."""
    split = {"numerator": each.numerator, "denominator": each.denominator, "sample": each.sample}
    keyed = {
        name: tuple(Term(f"channel_{term.counter}", keyed=True) for term in terms) for name, terms in split.items()
    }
    zh, en = each.name["zh"], each.name["en"]
    told = {"name": _text(f"{zh}（按渠道）", f"{en}, by channel"), "key": "channel"}
    told["formula"] = _text("同上，按调查的渠道", "the same, by the channel of the survey")
    return each, replace(each, id=f"{each.id}_by_channel", **told, **keyed)  # type: ignore[arg-type]


DEFINITIONS: tuple[Definition, ...] = (
    Definition(
        id="placed_cases",
        version=1,
        name=_text("委案户数", "cases placed"),
        formula=_text("当期委案的案件数", "cases placed in the period"),
        unit=Unit.COUNT,
        numerator=_plain("placed"),
        sample=_plain("placed"),
        levels=_LENDER,
    ),
    Definition(
        id="placed_amount",
        version=1,
        name=_text("委案金额", "amount placed"),
        formula=_text(
            "当期委案案件的委案金额之和，按币种", "sum of the amounts of the cases placed in the period, by currency"
        ),
        unit=Unit.MINOR,
        numerator=_keyed("placed_minor"),
        sample=_keyed("placed_cases"),
        key="currency",
        levels=_LENDER,
    ),
    Definition(
        id="assigned_cases",
        version=1,
        name=_text("分案户数", "cases assigned"),
        formula=_text(
            "当期分派给机构的次数（同一案件再次分派另计）",
            "assignments of cases to agencies in the period (an assignment to a further agency counts again)",
        ),
        unit=Unit.COUNT,
        numerator=_plain("assigned"),
        sample=_plain("assigned"),
    ),
    Definition(
        id="assigned_amount",
        version=1,
        name=_text("分案金额", "amount assigned"),
        formula=_text(
            "当期分派案件的委案金额之和，按币种", "sum of the amounts of the cases assigned in the period, by currency"
        ),
        unit=Unit.MINOR,
        numerator=_keyed("assigned_minor"),
        sample=_keyed("assigned_cases"),
        key="currency",
    ),
    Definition(
        id="collected",
        version=1,
        name=_text("回款金额", "amount collected"),
        formula=_text(
            "当期入账的回款 − 当期冲正的回款，按币种，按入账日计",
            "payments posted − payments reversed in the period, by currency, on the day of posting",
        ),
        unit=Unit.MINOR,
        numerator=_COLLECTED,
        sample=_keyed("payments"),
        key="currency",
    ),
    Definition(
        id="liquidation",
        version=1,
        name=_text("回收率", "liquidation rate"),
        formula=_text(
            "当期净回款 ÷ 当期委案金额，按币种（期间口径，非批次静态池）",
            "net amount collected in the period ÷ amount placed in the same period, by currency "
            "(a flow over the period, not the curve of one batch)",
        ),
        unit=Unit.RATIO,
        numerator=_COLLECTED,
        denominator=_keyed("placed_minor"),
        sample=_keyed("placed_cases"),
        key="currency",
        levels=_LENDER,
    ),
    Definition(
        id="agency_liquidation",
        version=1,
        name=_text("机构回收率", "liquidation rate of an agency"),
        formula=_text(
            "机构当期净回款 ÷ 当期分派给该机构的金额，按币种（期间口径，非批次静态池）",
            "net amount collected by the agency in the period ÷ amount assigned to it in the same period, by currency "
            "(a flow over the period, not the curve of one batch)",
        ),
        unit=Unit.RATIO,
        numerator=_COLLECTED,
        denominator=_keyed("assigned_minor"),
        sample=_keyed("assigned_cases"),
        key="currency",
        levels=_AGENCY,
    ),
    Definition(
        id="promise_to_pay",
        version=1,
        name=_text("承诺率", "promise-to-pay rate"),
        formula=_text(
            "结果为承诺还款或同意分期的本人接触数 ÷ 本人接触数（电话、外访等人工尝试）",
            "right-party contacts that end in a promise or an agreed plan ÷ right-party contacts "
            "(calls, visits and other attempts that a person made)",
        ),
        unit=Unit.RATIO,
        numerator=_plain("promised_contacts"),
        denominator=_plain("right_party"),
        sample=_plain("right_party"),
        interval=True,
    ),
    Definition(
        id="kept_promise",
        version=1,
        name=_text("承诺兑现率（笔数）", "kept-promise rate, by count"),
        formula=_text(
            "当期认定兑现的承诺数 ÷ 当期认定兑现或违约的承诺数，按认定日计",
            "promises found kept ÷ promises found kept or broken in the period, on the day of the finding",
        ),
        unit=Unit.RATIO,
        numerator=_plain("promises_kept"),
        denominator=_plain("promises_kept", "promises_broken"),
        sample=_plain("promises_kept", "promises_broken"),
        interval=True,
    ),
    Definition(
        id="kept_promise_amount",
        version=1,
        name=_text("承诺兑现率（金额）", "kept-promise rate, by amount"),
        formula=_text(
            "认定兑现的承诺金额 ÷ 认定兑现或违约的承诺金额，按币种（违约承诺的部分还款不计）",
            "promised amount of promises found kept ÷ promised amount of promises found kept or broken, by currency "
            "(what was paid on a broken promise counts as nothing)",
        ),
        unit=Unit.RATIO,
        numerator=_keyed("kept_minor"),
        denominator=_keyed("kept_minor", "broken_minor"),
        sample=_keyed("kept_cases", "broken_cases"),
        key="currency",
    ),
    Definition(
        id="right_party_contact",
        version=1,
        name=_text("本人接触率（按次）", "right-party contact rate, per attempt"),
        formula=_text(
            "接触到本人的人工尝试数（电话、外访等）÷ 全部触达尝试数（各渠道）",
            "calls, visits and other attempts of a person that reached the one sought ÷ attempts in all channels",
        ),
        unit=Unit.RATIO,
        numerator=_plain("right_party"),
        denominator=_plain("attempts"),
        sample=_plain("attempts"),
        interval=True,
    ),
    Definition(
        id="right_party_contact_by_channel",
        version=1,
        name=_text("本人接触率（按渠道）", "right-party contact rate, by channel"),
        formula=_text(
            "该渠道接触到本人的人工尝试数 ÷ 该渠道的人工尝试数",
            "attempts of a person in the channel that reached the one sought ÷ attempts of a person in the channel",
        ),
        unit=Unit.RATIO,
        numerator=_keyed("channel_right_party"),
        denominator=_keyed("channel_human_attempts"),
        sample=_keyed("channel_human_attempts"),
        key="channel",
        interval=True,
    ),
    Definition(
        id="connect_by_channel",
        version=1,
        name=_text("接通率（按渠道）", "connect rate, by channel"),
        formula=_text(
            "该渠道有人应答的人工尝试数 ÷ 该渠道的人工尝试数",
            "attempts of a person in the channel that somebody answered ÷ attempts of a person in the channel",
        ),
        unit=Unit.RATIO,
        numerator=_keyed("channel_connected"),
        denominator=_keyed("channel_human_attempts"),
        sample=_keyed("channel_human_attempts"),
        key="channel",
        interval=True,
    ),
    Definition(
        id="contact_success",
        version=1,
        name=_text("触达成功率", "contact success rate"),
        formula=_text(
            "当月至少尝试一次且至少一次双向接触（本人接听、见面或来信，退订除外）的人数 ÷ 当月至少尝试一次的人数",
            "persons with at least one attempt and at least one two-way contact in the month (spoken to, met, or "
            "answered by message; an opt-out is no answer) ÷ persons with at least one attempt in the month",
        ),
        unit=Unit.RATIO,
        numerator=_plain("persons_reached"),
        denominator=_plain("persons_attempted"),
        sample=_plain("persons_attempted"),
        period=Period.MONTH,
        interval=True,
    ),
    Definition(
        id="attempts",
        version=1,
        name=_text("触达尝试数", "attempts"),
        formula=_text(
            "拨打、外访等人工尝试，及运营商已接收的短信、邮件、微信、信函数",
            "calls, visits and other attempts that a person made, and messages and letters that a carrier took",
        ),
        unit=Unit.COUNT,
        numerator=_plain("attempts"),
        sample=_plain("attempts"),
    ),
    Definition(
        id="attempts_by_channel",
        version=1,
        name=_text("触达尝试数（按渠道）", "attempts by channel"),
        formula=_text("该渠道的触达尝试数", "attempts in the channel"),
        unit=Unit.COUNT,
        numerator=_keyed("channel_attempts"),
        sample=_keyed("channel_attempts"),
        key="channel",
    ),
    _outcome("deferred", "暂缓", "defer"),
    _outcome("reviewed", "转人工复核", "review"),
    _outcome("denied", "拒绝", "deny"),
    _by_rule("deferred", "暂缓", "defer"),
    _by_rule("reviewed", "转人工复核", "review"),
    _by_rule("denied", "拒绝", "deny"),
    Definition(
        id="complaint_rate",
        version=1,
        name=_text("投诉率（每万次触达）", "complaint rate, per 10,000 attempts"),
        formula=_text(
            "当期收到的投诉数 × 10,000 ÷ 当期触达尝试数",
            "complaints received × 10,000 ÷ attempts in the period",
        ),
        unit=Unit.PER_10000,
        numerator=_plain("complaints"),
        denominator=_plain("attempts"),
        sample=_plain("attempts"),
        interval=True,
    ),
    Definition(
        id="risk_event_rate",
        version=1,
        name=_text("法律风险事件率", "legal-risk event rate"),
        formula=_text("当期提出的法律风险事件数 ÷ 当期触达尝试数", "legal-risk events raised ÷ attempts in the period"),
        unit=Unit.RATIO,
        numerator=_plain("risk_events"),
        denominator=_plain("attempts"),
        sample=_plain("attempts"),
        interval=True,
    ),
    Definition(
        id="risk_event_rate",
        version=2,
        name=_text("法律风险事件率", "legal-risk event rate"),
        formula=_text(
            "当期经两人确认的法律风险事件数 ÷ 当期触达尝试数（按确认日计）",
            "legal-risk events that two people confirmed in the period ÷ attempts in the period",
        ),
        unit=Unit.RATIO,
        numerator=_plain("risk_events_confirmed"),
        denominator=_plain("attempts"),
        sample=_plain("attempts"),
        interval=True,
        exclusions=_text(
            "尚未认定的、认定不成立的事件", "events that nobody has decided on yet, and those that were dismissed"
        ),
    ),
    Definition(
        id="conduct_deduction",
        version=1,
        name=_text("合规扣分（每千次触达）", "conduct points taken, per 1,000 attempts"),
        formula=_text(
            "当期确认的法律风险事件按严重程度的扣分之和 × 1,000 ÷ 当期触达尝试数",
            "points that the legal-risk events confirmed in the period take by their severity × 1,000 ÷ attempts in the period",
        ),
        unit=Unit.PER_1000,
        numerator=_plain("risk_points"),
        denominator=_plain("attempts"),
        sample=_plain("attempts"),
        exclusions=_text(
            "尚未认定的、认定不成立的事件", "events that nobody has decided on yet, and those that were dismissed"
        ),
    ),
    Definition(
        id="quality_pass_rate",
        version=1,
        name=_text("质检合格率", "quality checks without fault"),
        formula=_text(
            "当期完成质检且人工与机器均未发现问题的联系数 ÷ 当期完成质检的联系数",
            "contacts checked in the period on which neither people nor machine found a fault ÷ contacts checked in the period",
        ),
        unit=Unit.RATIO,
        numerator=_plain("quality_faultless"),
        denominator=_plain("quality_checked"),
        sample=_plain("quality_checked"),
        interval=True,
        exclusions=_text("尚未质检的、作废的", "those that wait for their check, and those that are void"),
    ),
    Definition(
        id="risk_events_raised",
        version=1,
        name=_text("法律风险事件提出数", "legal-risk events raised"),
        formula=_text(
            "当期提出的法律风险事件数，不论是否成立", "legal-risk events raised in the period, whatever comes of them"
        ),
        unit=Unit.COUNT,
        numerator=_plain("risk_events"),
        sample=_plain("risk_events"),
    ),
    Definition(
        id="kept_promise_amount",
        version=2,
        name=_text("承诺兑现率（金额）", "kept-promise rate, by amount"),
        formula=_text(
            "截至认定日对承诺的还款额（以承诺额为限）之和 ÷ 认定兑现或违约的承诺金额，按币种",
            "what was paid on promises by the day of their finding (at most what was promised) ÷ promised amount of "
            "promises found kept or broken, by currency",
        ),
        unit=Unit.RATIO,
        numerator=_keyed("promise_paid_minor"),
        denominator=_keyed("kept_minor", "broken_minor"),
        sample=_keyed("kept_cases", "broken_cases"),
        key="currency",
        exclusions=_text("尚未到期的承诺", "promises whose day and grace are not over"),
    ),
    Definition(
        id="commissionable_collected",
        version=1,
        name=_text("计佣回款金额", "commission-bearing amount collected"),
        formula=_text(
            "计佣的入账回款 − 计佣的冲正，按币种，按入账日计",
            "payments posted on which a commission is earned − reversals of such payments, by currency, on the day of posting",
        ),
        unit=Unit.MINOR,
        numerator=_keyed("commissionable_minor"),
        sample=_keyed("payments"),
        key="currency",
        exclusions=_text("委托人标明不计佣的回款", "payments that the lender marks as earning no commission"),
    ),
    Definition(
        id="recall_adjusted_placed",
        version=1,
        name=_text("撤案调整后的委案金额", "amount placed, adjusted for early recalls"),
        formula=_text(
            "当期委案金额 − 其中委案后30日内撤回案件的委案金额，按币种",
            "amount placed in the period − the placed amount of those cases that were recalled within 30 days, by currency",
        ),
        unit=Unit.MINOR,
        numerator=_keyed("placed_minor", "-recalled_in_30_minor"),
        sample=_keyed("placed_cases"),
        key="currency",
        levels=_LENDER,
        exclusions=_text("委案后30日内撤回的案件", "cases recalled within 30 days of placement"),
    ),
    Definition(
        id="recall_adjusted_liquidation",
        version=1,
        name=_text("撤案调整后的回收率", "liquidation rate, adjusted for early recalls"),
        formula=_text(
            "当期净回款 ÷ 撤案调整后的当期委案金额，按币种",
            "net amount collected in the period ÷ amount placed in the period less early recalls, by currency",
        ),
        unit=Unit.RATIO,
        numerator=_COLLECTED,
        denominator=_keyed("placed_minor", "-recalled_in_30_minor"),
        sample=_keyed("placed_cases"),
        key="currency",
        levels=_LENDER,
        exclusions=_text("委案后30日内撤回的案件的委案金额", "the placed amount of cases recalled within 30 days"),
    ),
    Definition(
        id="cases_in_scope",
        version=1,
        name=_text("在案户数", "cases in scope"),
        formula=_text(
            "期初未结案件数 + 期内新进案件数",
            "cases open when the period began + cases that came within it",
        ),
        unit=Unit.COUNT,
        numerator=_plain(IN_SCOPE),
        sample=_plain(IN_SCOPE),
    ),
    Definition(
        id="ended_cases",
        version=1,
        name=_text("结案户数（按结果）", "cases ended, by how"),
        formula=_text("当期转入该终结状态的案件数", "cases that came to that final state in the period"),
        unit=Unit.COUNT,
        numerator=_keyed("ended"),
        sample=_keyed("ended"),
        key="state",
    ),
    *(_cure(days) for days in (30, 60, 90)),
    Definition(
        id="self_cure_30",
        version=1,
        name=_text("30日自愈率", "self-cure rate within 30 days"),
        formula=_text(
            "当期委案、30日内结清且结清前未与任何人通话或见面的案件数 ÷ 当期委案的案件数（静态池；需对照组方可作因果解释）",
            "cases placed in the period that were settled within 30 days before anybody had been spoken to ÷ cases placed in "
            "the period (a static pool; it says nothing of causes without a control group)",
        ),
        unit=Unit.RATIO,
        numerator=_plain("self_settled_in_30"),
        denominator=_plain("placed"),
        sample=_plain("placed"),
        levels=_LENDER,
        interval=True,
        exclusions=_text("无；未满30日的案件按目前状态计", "nothing; cases younger than 30 days count as they stand"),
        source="Symend, self-cure: paid without human interaction",
    ),
    Definition(
        id="delivery_by_channel",
        version=1,
        name=_text("送达率（按渠道）", "delivery rate, by channel"),
        formula=_text(
            "运营商报告送达的消息数 ÷ 运营商已接收的消息数（送达不等于已读）",
            "messages that the carrier says arrived ÷ messages that the carrier took (arrived is not read)",
        ),
        unit=Unit.RATIO,
        numerator=_keyed("channel_delivered"),
        denominator=_keyed("channel_attempts", "-channel_human_attempts"),
        sample=_keyed("channel_attempts", "-channel_human_attempts"),
        key="channel",
        interval=True,
        exclusions=_text("人工尝试", "attempts of a person"),
    ),
    Definition(
        id="coverage",
        version=1,
        name=_text("覆盖率", "coverage"),
        formula=_text(
            "当期（日、周或月）至少有一次人工尝试的案件数 ÷ 在案户数",
            "cases with at least one attempt of a person in the day, week or month ÷ cases in scope",
        ),
        unit=Unit.RATIO,
        numerator=_plain("cases_dialled"),
        denominator=_plain(IN_SCOPE),
        sample=_plain(IN_SCOPE),
        period=Period.EACH,
        interval=True,
    ),
    Definition(
        id="intensity",
        version=1,
        name=_text("渗透率（人均拨打）", "intensity"),
        formula=_text("人工尝试数 ÷ 在案户数", "attempts of a person ÷ cases in scope"),
        unit=Unit.RATIO,
        numerator=_plain("human_attempts"),
        denominator=_plain(IN_SCOPE),
        sample=_plain(IN_SCOPE),
    ),
    Definition(
        id="right_party_penetration",
        version=1,
        name=_text("本人接触渗透率（按户）", "right-party contact penetration, per case"),
        formula=_text(
            "当期（日、周或月）至少有一次本人接触的案件数 ÷ 在案户数",
            "cases with at least one right-party contact in the day, week or month ÷ cases in scope",
        ),
        unit=Unit.RATIO,
        numerator=_plain("cases_right_party"),
        denominator=_plain(IN_SCOPE),
        sample=_plain(IN_SCOPE),
        period=Period.EACH,
        interval=True,
    ),
    Definition(
        id="contactable",
        version=1,
        name=_text("可联率", "contactable rate"),
        formula=_text(
            "当期（日、周或月）至少有一条消息送达或一次电话、外访有人应答的案件数 ÷ 在案户数",
            "cases with at least one message that arrived, or one call or visit that somebody answered, in the day, week or "
            "month ÷ cases in scope",
        ),
        unit=Unit.RATIO,
        numerator=_plain("cases_contactable"),
        denominator=_plain(IN_SCOPE),
        sample=_plain(IN_SCOPE),
        period=Period.EACH,
        interval=True,
    ),
    Definition(
        id="uncontactable",
        version=1,
        name=_text("失联率", "uncontactable rate"),
        formula=_text("1 − 可联率", "the complement of the contactable rate"),
        unit=Unit.RATIO,
        numerator=_plain(IN_SCOPE, "-cases_contactable"),
        denominator=_plain(IN_SCOPE),
        sample=_plain(IN_SCOPE),
        period=Period.EACH,
        interval=True,
    ),
    Definition(
        id="paid_after_contact",
        version=1,
        name=_text("接触转回款率", "right-party contact to cash"),
        formula=_text(
            "当月有本人接触且其后7日内有未冲正回款的案件数 ÷ 当月有本人接触的案件数",
            "cases with a right-party contact in the month and a standing payment received within 7 days of it ÷ cases with a "
            "right-party contact in the month",
        ),
        unit=Unit.RATIO,
        numerator=_plain("cases_paid_after_contact"),
        denominator=_plain("cases_right_party"),
        sample=_plain("cases_right_party"),
        period=Period.MONTH,
        interval=True,
        exclusions=_text("已冲正的回款", "payments that were reversed"),
    ),
    Definition(
        id="contact_success_week",
        version=1,
        name=_text("触达成功率（周）", "contact success rate of a week"),
        formula=_text(
            "同触达成功率，按自然周（周一至周日）计",
            "as the contact success rate, over an ISO week (Monday to Sunday)",
        ),
        unit=Unit.RATIO,
        numerator=_plain("persons_reached"),
        denominator=_plain("persons_attempted"),
        sample=_plain("persons_attempted"),
        period=Period.WEEK,
        interval=True,
    ),
    Definition(
        id="complaints_per_case",
        version=1,
        name=_text("投诉率（每千户）", "complaint rate, per 1,000 cases"),
        formula=_text("当期收到的投诉数 × 1,000 ÷ 在案户数", "complaints received × 1,000 ÷ cases in scope"),
        unit=Unit.PER_1000,
        numerator=_plain("complaints"),
        denominator=_plain(IN_SCOPE),
        sample=_plain(IN_SCOPE),
        interval=True,
    ),
    Definition(
        id="dispute_rate",
        version=1,
        name=_text("争议率", "dispute rate"),
        formula=_text("当期提出的争议数 ÷ 在案户数", "disputes raised in the period ÷ cases in scope"),
        unit=Unit.RATIO,
        numerator=_plain("disputes"),
        denominator=_plain(IN_SCOPE),
        sample=_plain(IN_SCOPE),
        interval=True,
    ),
    Definition(
        id="duties_in_time",
        version=1,
        name=_text("义务按期履行率", "duties done in time, by kind"),
        formula=_text(
            "当期按期履行的义务数 ÷ 当期按期履行或逾期的义务数，按义务种类",
            "duties done in time ÷ duties done in time, done late or lapsed in the period, by kind",
        ),
        unit=Unit.RATIO,
        numerator=_keyed("duties_in_time"),
        denominator=_keyed("duties_in_time", "duties_overdue"),
        sample=_keyed("duties_in_time", "duties_overdue"),
        key="duty",
        interval=True,
        exclusions=_text(
            "合规官豁免的义务、尚未到期的义务", "duties waived by a compliance officer, and those not due yet"
        ),
    ),
    Definition(
        id="feedback_in_48h",
        version=1,
        name=_text("反馈48小时处理率", "feedback answered within 48 hours"),
        formula=_text(
            "当期收到、48小时内（含）得到答复的反馈数 ÷ 当期收到的反馈数；反馈为依法须答复的投诉、争议和请求",
            "items received in the period and answered within 48 hours (closed) ÷ items received in the period; an item is a "
            "complaint, dispute or request that a duty obliges somebody to answer",
        ),
        unit=Unit.RATIO,
        numerator=_plain("feedback_in_48h"),
        denominator=_plain("feedback_received"),
        sample=_plain("feedback_received"),
        interval=True,
        exclusions=_text(
            "依当地法律无答复义务的来信；周末不停表",
            "messages that no law on file obliges to answer; the clock does not stop for weekends",
        ),
    ),
    Definition(
        id="feedback_in_48h",
        version=2,
        name=_text("反馈48小时处理率", "feedback answered within 48 hours"),
        formula=_text(
            "当期收到、48小时内（含）得到答复的反馈数 ÷ 当期收到的反馈数；反馈为依法须答复的投诉、争议和请求，以及登记的投诉、建议、质检意见和低分问卷；重新打开另计一件",
            "items received in the period and answered within 48 hours (closed) ÷ items received in the period; an item is what a "
            "law obliges somebody to answer (complaint, dispute, request), or feedback that was entered: a complaint, a suggestion, "
            "the finding of a quality check, a low score; an item that is opened again counts anew",
        ),
        unit=Unit.RATIO,
        numerator=_plain("items_in_48h"),
        denominator=_plain("items_received"),
        sample=_plain("items_received"),
        interval=True,
        exclusions=_text(
            "不要求答复的来信、3分及以上的问卷；周末不停表",
            "messages that ask for no answer, scores of 3 and better; the clock does not stop for weekends",
        ),
    ),
    Definition(
        id="satisfaction",
        version=1,
        name=_text("客户满意度", "customer satisfaction"),
        formula=_text(
            "当期收到的4分和5分问卷答复数 ÷ 当期收到的问卷答复数（5分制）",
            "answers to surveys with 4 or 5 points received in the period ÷ answers to surveys received in the period (of 5 points)",
        ),
        unit=Unit.RATIO,
        numerator=_plain("scores_good"),
        denominator=_plain("scores"),
        sample=_plain("scores"),
        interval=True,
        exclusions=_text("未作答者", "who did not answer"),
    ),
    Definition(
        id="satisfaction_by_channel",
        version=1,
        name=_text("客户满意度（按渠道）", "customer satisfaction, by channel"),
        formula=_text("同上，按答复渠道", "the same, by the channel of the answer"),
        unit=Unit.RATIO,
        numerator=_keyed("channel_scores_good"),
        denominator=_keyed("channel_scores"),
        sample=_keyed("channel_scores"),
        key="channel",
        interval=True,
        exclusions=_text("未注明渠道的答复", "answers without a channel"),
    ),
    Definition(
        id="first_attempt_pass_rate",
        version=1,
        name=_text("考核一次通过率", "first-attempt pass rate"),
        formula=_text(
            "当期评分的首次考核中通过的次数 ÷ 当期评分的首次考核次数；首次指上次通过该课程后的第一次",
            "first attempts marked in the period that passed ÷ first attempts marked in the period; an attempt is the first since "
            "the collector last passed the course",
        ),
        unit=Unit.RATIO,
        numerator=_plain("exams_first_passed"),
        denominator=_plain("exams_first"),
        sample=_plain("exams_first"),
        interval=True,
        exclusions=_text("作废的考核、补考", "exams that were voided, and further attempts"),
    ),
    Definition(
        id="people_passed",
        version=1,
        name=_text("考核人员通过率", "people passed"),
        formula=_text(
            "当期至少通过一次考核的人数 ÷ 当期至少有一次考核评分的人数",
            "collectors with at least one exam passed in the period ÷ collectors with at least one exam marked in the period",
        ),
        unit=Unit.RATIO,
        numerator=_plain("trainees_passed"),
        denominator=_plain("trainees_assessed"),
        sample=_plain("trainees_assessed"),
        period=Period.EACH,
        interval=True,
        exclusions=_text("作废的考核", "exams that were voided"),
    ),
    *_by_channel(
        Definition(
            id="survey_response_rate",
            version=1,
            name=_text("问卷回收率", "response rate of surveys"),
            formula=_text(
                "当期发出且14日内（不含）得到答复的满意度调查数 ÷ 当期发出的满意度调查数（静态池，按发出日计）",
                "surveys sent in the period and answered within 14 days (open) ÷ surveys sent in the period (a static pool, on the "
                "day of sending)",
            ),
            unit=Unit.RATIO,
            numerator=_plain("surveys_answered"),
            denominator=_plain("surveys_sent"),
            sample=_plain("surveys_sent"),
            interval=True,
            exclusions=_text(
                "未能送达的调查、逾期或再次的答复；未满14日的调查按目前状态计",
                "surveys that could not be delivered, answers that came late or again; younger surveys count as they stand",
            ),
        )
    ),
    *_by_channel(
        Definition(
            id="survey_satisfaction",
            version=1,
            name=_text("问卷满意度", "satisfaction of those who were asked"),
            formula=_text(
                "当期发出的满意度调查中4分和5分的答复数 ÷ 当期发出的满意度调查的答复数（5分制，按发出日计）",
                "answers with 4 or 5 points to surveys sent in the period ÷ answers to surveys sent in the period (of 5 points, on the "
                "day of sending)",
            ),
            unit=Unit.RATIO,
            numerator=_plain("surveys_good"),
            denominator=_plain("surveys_answered"),
            sample=_plain("surveys_answered"),
            interval=True,
            exclusions=_text(
                "未作答者（不计为分数）、人工登记的分数、逾期或再次的答复",
                "who did not answer (which is no score), scores that people entered, answers that came late or again",
            ),
        )
    ),
    Definition(
        id="training_hours_per_collector",
        version=1,
        name=_text("人均年培训学时", "training hours per collector and year"),
        formula=_text(
            "当期计入的培训分钟数 ÷ 60 ÷（当期在岗人日数 ÷ 365）：按在岗时间折算为全年",
            "minutes of training that count in the period ÷ 60 ÷ (days on which a collector worked there ÷ 365): pro rata of the "
            "time that each worked there, as for a whole year",
        ),
        unit=Unit.HOURS_A_YEAR,
        numerator=_plain("training_minutes"),
        denominator=_plain(COLLECTOR_DAYS),
        sample=_plain(COLLECTOR_DAYS),
        exclusions=_text(
            "未答在场确认的时段、外部培训", "slices without a confirmed presence check, and training elsewhere"
        ),
    ),
)
"""Every version of every key figure that was ever published."""

_BY_REFERENCE: Mapping[str, Definition] = MappingProxyType({each.reference: each for each in DEFINITIONS})


def definition_of(reference: str) -> Definition | None:
    """Return the definition with this ``<id>@<version>``, or None.

    >>> definition_of("collected@1").unit.value
    'minor'
    """
    return _BY_REFERENCE.get(reference)


def current() -> tuple[Definition, ...]:
    """Return the highest version of each key figure, in the order in which they first stand in ``DEFINITIONS``."""
    newest: dict[str, Definition] = {}
    for each in DEFINITIONS:
        if each.id not in newest or newest[each.id].version < each.version:
            newest[each.id] = each
    return tuple(newest.values())
