"""The people of the sample day: what agencies try, what borrowers answer. All of it is generated; nobody here exists."""

import hashlib
import random
from dataclasses import dataclass, field
from datetime import date
from typing import Any

LENDER = "len-anxing"
HOUSE_RULES = {
    "house": "HOUSE-VISITS",
    "name": "Visits by daylight",
    "rules": [
        {
            "id": "HOUSE-VISITS-HOURS",
            "shape": "hours",
            "params": {"windows": [{"open": [["09:00", "18:00"]]}]},
            "when": {"channel": ["visit"]},
            "note": {
                "zh": "委托人规定:仅在9:00至18:00上门。",
                "en": "The lender's own rule: visits between 9:00 and 18:00.",
            },
        }
    ],
}
"""What the lender binds itself to beyond the law."""

"""The sample lender: an auto finance company with loans in China and in the United States."""

OTHER_LENDER = "len-boyuan"
"""A second lender without cases, so that isolation has somebody to be isolated from."""

AGENCIES: dict[str, dict[str, Any]] = {
    "agy-chengda": {"zh": "诚达资产服务（示例）", "en": "Chengda Servicing (sample)", "countries": ["CN"], "share": 3},
    "agy-haiyan": {"zh": "海燕信用服务（示例）", "en": "Haiyan Credit (sample)", "countries": ["CN"], "share": 2},
    "agy-lakeside": {"zh": "湖畔催收（示例）", "en": "Lakeside Recovery (sample)", "countries": ["US"], "share": 1},
}
COLLECTORS = {agency: [f"{agency.removeprefix('agy-')}-{n}" for n in range(1, 4)] for agency in AGENCIES}

COMPLIANCE_OFFICER = "officer-1"
COUNSEL = "counsel-1"

TEMPLATES = (
    "cn-sms-demand", "cn-email-demand", "cn-wechat-demand", "cn-letter-demand", "cn-call-demand", "cn-visit-demand",
    "us-sms-first", "us-email-first", "us-letter-validation", "us-call-first",
)  # fmt: skip
"""The texts of the library that the lender's counsel approves before the first day: those that the day uses."""

FIRST_DAY = date(2026, 11, 24)
"""The first day that is lived."""

CN_OPEN, CN_CLOSE = 0, 14
"""Hours of UTC in which it is 08:00 to 22:00 in Shanghai."""

US_OPEN, US_CLOSE = 14, 25
"""Hours of UTC (25 = 01:00 of the next day) in which most of the United States may be called."""


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that an agency or the lender does: at ``hour`` (UTC, from the day's midnight), once."""

    hour: int
    slot: int
    actor: str
    kind: str
    case: str
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Return what names the act, for idempotency keys."""
        return f"{self.hour:02d}-{self.slot:03d}"


def plan(cases: dict[str, list[dict[str, Any]]], *, seed: int, day: int, size: int) -> list[Act]:
    """Return the day's acts in order. ``cases`` holds each agency's cases as its own API shows them.

    ``size`` scales the day: about ``size`` contacts an agency. The same seed, day and cases give the same plan.
    """
    dice = random.Random(f"{seed}|{day}")
    acts: list[Act] = []
    for agency, held in sorted(cases.items()):
        china = AGENCIES[agency]["countries"] == ["CN"]
        hours = range(CN_OPEN, CN_CLOSE) if china else range(US_OPEN, US_CLOSE)
        pool = sorted((case for case in held if case["state"] in ("assigned", "in_work")), key=lambda c: c["id"])
        dice.shuffle(pool)
        for case in pool[:size]:
            kind = dice.choices(
                ("call", "sms", "email", "wechat" if china else "sms", "letter", "visit" if china else "call"),
                weights=(34, 30, 14, 12, 6, 4),
            )[0]
            acts.append(Act(dice.choice(hours), 0, agency, kind, case["id"], {"country": "CN" if china else "US"}))
        if pool:
            acts += _trials(pool, agency, china=china, dice=dice)
    numbered: list[Act] = []
    for slot, act in enumerate(sorted(acts, key=lambda a: (a.hour, a.actor, a.case, a.kind))):
        numbered.append(Act(act.hour, slot, act.actor, act.kind, act.case, act.detail))
    return numbered


def _trials(pool: list[dict[str, Any]], agency: str, *, china: bool, dice: random.Random) -> list[Act]:
    """Return what an overeager agency tries: too often, too late. The gate is there for these."""
    country = {"country": "CN" if china else "US"}
    keen, late = pool[-1]["id"], pool[-2]["id"] if len(pool) > 1 else pool[-1]["id"]
    opening = CN_OPEN + 2 if china else US_OPEN + 2
    acts = [Act(opening + n, 0, agency, "sms" if china else "call", keen, country) for n in range(5)]
    acts.append(Act(CN_CLOSE + 1 if china else US_CLOSE + 2, 0, agency, "sms" if china else "email", late, country))
    dice.random()
    return acts


def call_result(contact: str) -> dict[str, Any]:
    """Return how a call ends, from the attempt's id alone: result code, and the promise if there is one."""
    roll = _roll(contact, "call")
    for limit, code in (
        (0.34, "NOANS"),
        (0.42, "BUSY"),
        (0.47, "POWOFF"),
        (0.50, "WRONG"),
        (0.56, "HANGUP"),
        (0.74, "RPC-PTP"),
        (0.84, "RPC-NEG"),
        (0.91, "RPC-REF"),
        (0.95, "RPC-DISP"),
        (0.98, "RPC-HARD"),
    ):
        if roll < limit:
            return {"result": code}
    return {"result": "RPC-CEASE"}


def visit_result(contact: str) -> dict[str, Any]:
    """Return how a visit ends."""
    return {"result": "VISIT-MET" if _roll(contact, "visit") < 0.4 else "VISIT-ABSENT"}


def carrier_word(contact: str) -> str:
    """Return what the carrier reports about a message: delivered, or bounced."""
    return "bounced" if _roll(contact, "carrier") < 0.04 else "delivered"


def reply(contact: str, country: str) -> str | None:
    """Return what the borrower texts back, or None: an opt-out, a complaint, word of a payment, or a question."""
    roll = _roll(contact, "reply")
    china = country == "CN"
    for limit, zh, en in (
        (0.06, "退订", "STOP"),
        (0.09, "我要投诉你们", "I want to file a complaint"),
        (0.14, "已还款", "I already paid"),
        (0.20, "请问可以分期吗", "Can I pay in instalments?"),
    ):
        if roll < limit:
            return zh if china else en
    return None


def pays_today(promise: str) -> bool:
    """Tell whether the borrower pays on the day of the promise already."""
    return _roll(promise, "pay") < 0.35


def _roll(identity: str, about: str) -> float:
    """Return a number in [0, 1) that is the same for the same id on every run and every machine."""
    return int.from_bytes(hashlib.sha256(f"{about}|{identity}".encode()).digest()[:6], "big") / 2**48
