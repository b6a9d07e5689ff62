"""Result codes of collection work, as data: what each means, what it counts as, and what it sets off by itself.

``attempt`` counts towards attempts, ``connect`` says that somebody answered, ``right_party`` that it was the person
sought. Vendor lists disagree about those flags, so they are fixed here once and every figure is computed from them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from chalicelib.domain.cases.lifecycle import CaseEvent


@dataclass(frozen=True, slots=True)
class Effect:
    """What a code does without anybody asking.

    ``hold`` is a hold kind, put on the person for every debt of theirs when ``on_person``, otherwise on this debt;
    ``stop_medium`` is the medium that the person no longer wants (``all``, or ``used`` for the one of the activity);
    ``point_status`` is what the contact point is found to be; ``event`` is what happens to the case.
    """

    hold: str | None = None
    on_person: bool = False
    stop_medium: str | None = None
    point_status: str | None = None
    event: CaseEvent | None = None


@dataclass(frozen=True, slots=True)
class ActivityCode:
    """One result code. ``outcome`` is the word of a dossier's history; ``source`` says who may report it."""

    code: str
    zh: str
    en: str
    attempt: bool = False
    connect: bool = False
    right_party: bool = False
    outcome: str | None = None
    channel: str | None = None
    effect: Effect = Effect()
    source: str = "collector"


_NONE = Effect()
_STOP_ALL = Effect(hold="cease", on_person=True, stop_medium="all", event=CaseEvent.HOLD)


def _call(code: str, zh: str, en: str, outcome: str, effect: Effect = _NONE, *, connect: bool = False) -> ActivityCode:
    return ActivityCode(code, zh, en, attempt=True, connect=connect, outcome=outcome, channel="call", effect=effect)


def _talk(code: str, zh: str, en: str, effect: Effect = _NONE) -> ActivityCode:
    return ActivityCode(
        code, zh, en, attempt=True, connect=True, right_party=True, outcome="conversation", effect=effect
    )


def _visit(code: str, zh: str, en: str, outcome: str, *, met: bool = False) -> ActivityCode:
    return ActivityCode(
        f"VISIT-{code}", zh, en, attempt=True, connect=met, right_party=met, outcome=outcome, channel="visit"
    )


def _fact(code: str, zh: str, en: str, effect: Effect = _NONE) -> ActivityCode:
    return ActivityCode(code, zh, en, effect=effect)


def _carrier(code: str, zh: str, en: str) -> ActivityCode:
    return ActivityCode(code, zh, en, attempt=True, source="carrier")


_ALL = (
    _call("NOANS", "无人应答", "no answer", "no_answer"),
    _call("BUSY", "占线", "busy", "busy"),
    _call("POWOFF", "关机", "switched off", "powered_off"),
    _call("SUSP", "停机", "suspended", "not_in_service", Effect(point_status="suspended")),
    _call("BADNUM", "空坏号", "not in service", "not_in_service", Effect(point_status="vacant")),
    _call(
        "WRONG",
        "非本人号码",
        "wrong person's number",
        "wrong_person",
        Effect(point_status="wrong_person"),
        connect=True,
    ),
    _call("VMAIL", "语音信箱", "limited-content voicemail", "voicemail_left"),
    _call("MSG3P", "他人转告", "third party took a message", "third_party_answered", connect=True),
    _call("HANGUP", "核实身份前挂断", "hung up before verified", "connected", connect=True),
    _talk("RPC-PTP", "承诺还款", "promises to pay"),
    _talk("RPC-PLAN", "同意分期", "agrees to a plan", Effect(event=CaseEvent.AGREE_PLAN)),
    _talk("RPC-NEG", "协商跟进", "negotiating"),
    _talk("RPC-REF", "拒绝还款", "refuses to pay"),
    _talk("RPC-PAID", "客户提示已还款", "says it is paid"),
    _talk("RPC-DISP", "提出异议", "disputes the debt", Effect(hold="dispute", event=CaseEvent.DISPUTE)),
    _talk("RPC-HARD", "经济困难", "in hardship", Effect(hold="hardship", event=CaseEvent.HOLD)),
    _talk("RPC-COMPL", "客户投诉", "complains", Effect(hold="complaint", event=CaseEvent.HOLD)),
    _talk("RPC-CEASE", "要求停止联系", "wants no more contact", _STOP_ALL),
    _talk("ATTY", "已委托律师", "has an attorney", Effect(hold="attorney", on_person=True, event=CaseEvent.HOLD)),
    _talk("RPC-CB", "约定回电", "call back at an agreed time"),
    ActivityCode("INB", "来电来函", "inbound contact", right_party=True, outcome="received"),
    _fact("OPTOUT", "退订", "opted out of a medium", Effect(stop_medium="used")),
    _visit("MET", "外访见面", "visit: met the person", "visited_met", met=True),
    _visit("ABSENT", "外访未遇", "visit: absent", "visited_absent"),
    _visit("MOVED", "外访已搬离", "visit: moved away", "visited_absent"),
    _visit("VEHICLE", "外访见车", "visit: vehicle seen", "visited_absent"),
    _fact("SKIP", "失联查找", "skip-trace"),
    _fact("BKY", "破产", "bankruptcy", Effect(hold="bankruptcy", on_person=True, event=CaseEvent.HOLD)),
    _fact("DEC", "死亡", "deceased", Effect(hold="deceased", on_person=True, event=CaseEvent.HOLD)),
    _fact("ILL", "重病", "seriously ill", Effect(hold="serious_illness", on_person=True, event=CaseEvent.HOLD)),
    _fact("IDTHEFT", "身份冒用", "identity theft", Effect(hold="identity_theft", event=CaseEvent.HOLD)),
    _fact("LEGAL-REFERRED", "移交司法", "referred to litigation"),
    _fact("LEGAL-FILED", "已立案", "suit filed"),
    _fact("LEGAL-SERVED", "已送达", "served"),
    _fact("LEGAL-JUDGED", "已判决", "judged"),
    _fact("LEGAL-ENFORCED", "执行中", "enforced"),
    _fact("REPO-ASSIGNED", "收车委派", "repossession assigned"),
    _fact("REPO-SECURED", "车辆已收回", "vehicle secured"),
    _fact("REPO-REDEEMED", "车辆已赎回", "vehicle redeemed"),
    _fact("REPO-SOLD", "车辆已处置", "vehicle sold"),
    _carrier("SENT", "已发送", "sent"),
    _carrier("DELIV", "已送达终端", "delivered"),
    _carrier("OPEN", "已阅读", "opened"),
    _carrier("FAIL", "发送失败", "failed"),
    _carrier("BOUNCE", "退回", "bounced"),
    ActivityCode("PAY", "回款", "payment", source="payments"),
    ActivityCode("REV", "回退", "payment reversed", source="payments"),
)

CODES: Mapping[str, ActivityCode] = MappingProxyType({entry.code: entry for entry in _ALL})
"""Every code by its name. Codes whose ``source`` is carrier or payments are written by the system alone."""


def code_of(name: str) -> ActivityCode | None:
    """Return the code with this name, or None.

    >>> code_of("RPC-DISP").effect.hold
    'dispute'
    """
    return CODES.get(name)
