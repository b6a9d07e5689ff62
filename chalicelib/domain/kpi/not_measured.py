"""Key figures that nobody can make yet, each with the data that are missing: named rather than guessed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class NotMeasured:
    """A figure without data; ``needs`` says what would have to be recorded, in ``zh`` and ``en``."""

    id: str
    name: Mapping[str, str]
    needs: Mapping[str, str]

    def as_json(self) -> dict[str, Any]:
        """Return it as the API gives it."""
        return {"kpi": self.id, "name": dict(self.name), "needs": dict(self.needs)}


def _one(name: str, zh: str, en: str, needs_zh: str, needs_en: str) -> NotMeasured:
    return NotMeasured(name, {"zh": zh, "en": en}, {"zh": needs_zh, "en": needs_en})


_BOOK = (
    "委托人全部在贷资产的月末余额，而非仅委案部分",
    "the lender's whole book at each month's end, not only what it placed",
)
_MONEY = ("佣金与成本的结算记录", "records of commission and cost")

NOT_MEASURED: tuple[NotMeasured, ...] = (
    _one("delinquency_rate", "逾期率（30/60/90）", "delinquency rate (30, 60, 90)", *_BOOK),
    _one("entry_rate", "入催率", "rate of entry into collection", *_BOOK),
    _one("first_payment_default", "首逾率", "first payment default", *_BOOK),
    _one("origination_vintage", "放款账龄曲线", "vintage curve of originations", *_BOOK),
    _one("net_loss", "年化净损失率", "annualised net loss", *_BOOK),
    _one(
        "loss_recovery",
        "核销回收率",
        "recovery rate of charge-offs",
        "核销金额及核销后回款",
        "amounts charged off, and money received after",
    ),
    _one(
        "repossession_rate",
        "收车率",
        "repossession rate",
        "车辆收回、存放、处置的事件",
        "events of vehicles taken, kept, released and sold",
    ),
    _one("net_back", "净回收", "net back", *_MONEY),
    _one("effective_commission", "实际佣金率", "effective commission", *_MONEY),
    _one("cost_income_ratio", "成本收入比", "cost per unit collected", *_MONEY),
    _one(
        "reconciliation_breaks",
        "对账差异率",
        "reconciliation break rate",
        "机构与委托人各自申报的余额",
        "balances as agency and lender each report them",
    ),
    _one("abandonment", "呼损率", "abandonment", "外呼系统逐通记录", "a dialler's record of each call"),
    _one(
        "complaints_upheld",
        "投诉属实率",
        "complaints upheld",
        "投诉的处理结论",
        "what became of each complaint",
    ),
    _one(
        "quality_sampling",
        "质检合格率",
        "sampled records without fault",
        "质检抽样记录",
        "samples that somebody listened to or read",
    ),
    _one(
        "litigation",
        "诉讼指标",
        "litigation figures",
        "立案、判决、执行的事件（转法务的户数见 ended_cases:legal）",
        "suits filed, judgments, enforcement (cases referred are in ended_cases:legal)",
    ),
    _one(
        "feedback_p95",
        "反馈处理时长95分位",
        "95th percentile of the time to an answer",
        "逐项时长的分布；可加的计数器给不出分位数",
        "the distribution of times; counters that add up give no percentile",
    ),
)
"""What the plan and the trade ask for and no recorded event can tell yet."""
