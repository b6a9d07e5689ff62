"""Definitions of the key figures, as data. A figure without one of these versions cannot be published.

A published definition is never changed: a new meaning is a new version beside the old one, so that a figure of last
year still says what it said. The texts name counters of ``chalicelib.domain.kpi.counters``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

PER_10000 = 10_000


class Unit(StrEnum):
    """What a figure's value is: a count, an amount in minor units, a ratio, or a ratio times 10,000."""

    COUNT = "count"
    MINOR = "minor"
    RATIO = "ratio"
    PER_10000 = "per_10000"


class Level(StrEnum):
    """Whom a figure may be about: the lender as a whole, or one agency."""

    LENDER = "lender"
    AGENCY = "agency"


class Period(StrEnum):
    """What a figure covers at least: a local day, which adds up to longer spans, or a local month, which does not."""

    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Term:
    """A counter with its sign; ``keyed`` means the member of the counter's family that has the figure's key."""

    counter: str
    sign: int = 1
    keyed: bool = False


@dataclass(frozen=True, slots=True)
class Definition:
    """One key figure. ``value = numerator / denominator`` (the numerator alone for counts and amounts).

    ``sample`` is what ``n`` counts. ``interval`` says that the figure is a share of ``sample`` like cases, so that a
    Wilson interval is meaningful. ``key`` names what the figure is split by (currency, channel, rule), or is None.
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

    @property
    def reference(self) -> str:
        """Return ``<id>@<version>``, the name under which a figure is published."""
        return f"{self.id}@{self.version}"


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
