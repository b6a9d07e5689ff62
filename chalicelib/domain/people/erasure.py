"""Erasing a person: what may be destroyed now, what must be kept and until when, and why.

Two keys, two answers. The ``ops`` key (profile, contact points, cases) goes as soon as nothing needs it for its purpose;
the ``evidence`` key (what was said, when, why it was allowed) when the last retention duty has run out. Where the law
bars both, data are locked instead of deleted: kept, and shown to the lender's compliance officers only.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from chalicelib.domain.cases.case import Case
from chalicelib.domain.cases.lifecycle import FINAL, CaseState
from chalicelib.domain.litigation.ledger import claim_lives_until
from chalicelib.domain.people.person import ContactLedger, HoldEntry
from chalicelib.domain.people.retention import Kept

COMPLAINT_DAYS = 60
"""A complaint counts as open so long after it came in: the longest time to answer one (CN-CMP-1)."""

_EASTERNMOST = "Pacific/Kiritimati"
"""Where a contact's local day is the latest one, which keeps the data longer."""

LEGAL_HOLDS = frozenset({"legal_review"})
"""Kinds of hold under which nothing of the person may be destroyed."""

COMPLAINT_HOLDS = frozenset({"complaint"})

REASONS: Mapping[str, tuple[str, str]] = {
    "open_case": (
        "该个人仍有未结案件，处理目的尚未实现（个人信息保护法第四十七条第一款）；结案后将自动再次审查",
        "a case of the person has not ended, so its purpose is not met (PIPL art. 47(1), GDPR art. 17(3)(e));"
        " it is looked at again when the case has ended",
    ),
    "open_complaint": (
        "投诉尚未办结，答复期限内须保留相关资料（银行业保险业消费投诉处理管理办法）；期满后将自动再次审查",
        "a complaint is being answered, for which the data are needed; it is looked at again when its time is over",
    ),
    "open_duty": (
        "与该个人或其案件有关的法定义务尚未履行，履行所需资料须予保留；义务履行、豁免或逾期后将自动再次审查",
        "a duty about the person or one of their cases is still to be done, for which the data are needed; it is looked at again"
        " when the duty is done, waived or overdue",
    ),
    "legal_hold": (
        "因诉讼或法律审查须保全证据：仅作存储和保护，停止其他处理（个人信息保护法第四十七条第二款）",
        "evidence is preserved for proceedings: the data are only stored and protected"
        " (PIPL art. 47(2), GDPR art. 17(3)(e) and 18)",
    ),
    "limitation_running": (
        "债权诉讼时效尚未届满：仅作存储和保护，停止其他处理（个人信息保护法第四十七条第二款）",
        "a claim can still be brought: the data are only stored and protected"
        " (PIPL art. 47(2), GDPR art. 17(3)(e) and 18)",
    ),
    "limitation_unknown": (
        "债权诉讼时效届满日未知：仅作存储和保护；委托方声明放弃债权后可再次申请",
        "nobody stated when the claim becomes time-barred: the data are only stored and protected;"
        " ask again when the lender waives the claim",
    ),
    "retention": (
        "沟通记录在法定保存期内仅作存储和保护，期满后自动销毁；个人资料和联系方式已删除",
        "the record of contacts is only stored and protected until its period of retention is over, and is destroyed"
        " then; profile and contact data are gone",
    ),
}
"""Why something is kept, by code: (Chinese, English)."""


class Outcome(StrEnum):
    """What became of a request. ``held`` is erased but for the evidence."""

    POSTPONED = "postponed"
    LOCKED = "locked"
    HELD = "held"
    ERASED = "erased"


@dataclass(frozen=True, slots=True)
class Block:
    """Why something is kept, and the last day on which that holds where it is known."""

    code: str
    until: date | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome, why, and until when the evidence is kept (closed; None: it is not, or nobody knows)."""

    outcome: Outcome
    blocks: tuple[Block, ...]
    evidence_until: date | None
    duties: tuple[Kept, ...]


class StoredBlock(BaseModel):
    """A block as it is stored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    until: date | None = None


class StoredDuty(BaseModel):
    """A duty as it is stored, with its source as it was."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    until: date
    citation: str


class ErasureRequest(BaseModel):
    """One request about one person, without personal data: codes, references and days.

    ``outcome`` is what was decided last; ``due_at`` when it is looked at again. ``years`` are those whose logs tell of the person.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    person: str
    reason: str
    requested_by: str
    identity_check: str
    claims_waived: bool
    requested_at: str
    decided_at: str
    outcome: Outcome
    blocks: tuple[StoredBlock, ...] = ()
    duties: tuple[StoredDuty, ...] = ()
    evidence_until: date | None = None
    due_at: str | None = None
    years: tuple[int, ...] = ()
    version: int = 1

    @property
    def is_over(self) -> bool:
        """Tell whether nothing is left to destroy."""
        return self.outcome is Outcome.ERASED

    def decided(self, decision: Decision, *, at: str, due_at: str | None) -> "ErasureRequest":
        """Return the request with what was decided now."""
        return self.model_copy(
            update={
                "outcome": decision.outcome,
                "blocks": tuple(StoredBlock(code=block.code, until=block.until) for block in decision.blocks),
                "duties": tuple(
                    StoredDuty(id=each.duty.id, until=each.until, citation=each.duty.citation)
                    for each in decision.duties
                ),
                "evidence_until": decision.evidence_until,
                "decided_at": at,
                "due_at": due_at,
            }
        )


def decide(
    cases: Iterable[Case],
    ledger: ContactLedger,
    complaints: Iterable[datetime],
    duties: tuple[Kept, ...],
    *,
    claims_waived: bool,
    now: datetime,
    today: date,
    owed_until: Iterable[date] = (),
    log_held: bool = False,
) -> Decision:
    """Return what may be destroyed now. ``complaints`` are when complaints came in, ``duties`` those that still run.

    ``owed_until`` are the days by which duties about the person or their cases are to be done, those that nobody did yet;
    ``log_held`` says that a log which tells of the person is under legal hold. ``today`` is the lender's. A fact that is missing keeps the data: a claim whose limitation is unknown is taken to live.
    """
    known = tuple(cases)
    holds = [hold for hold in [*ledger.holds, *(hold for case in known for hold in case.holds)] if _runs(hold, today)]
    owed = [Block("open_duty", max(due, default=None))] if (due := tuple(owed_until)) else []
    blocks = [*_open(known, holds, complaints, now, today), *owed]
    blocks += _claims(known, ledger, holds, today, claims_waived, log_held=log_held)
    codes = {block.code for block in blocks}
    if codes & {"open_case", "open_complaint", "open_duty"}:
        return Decision(Outcome.POSTPONED, tuple(blocks), None, duties)
    if blocks:
        return Decision(Outcome.LOCKED, tuple(blocks), None, duties)
    if duties:
        until = max(each.until for each in duties)
        return Decision(Outcome.HELD, (Block("retention", until),), until, duties)
    return Decision(Outcome.ERASED, (), None, ())


def may_destroy_evidence(
    request: ErasureRequest, ledger: ContactLedger, *, today: date, log_held: bool = False
) -> bool:
    """Tell whether the evidence of a person whose profile is gone may be destroyed: its time is over, no legal hold.

    Neither on the person nor on a log that tells of them (``log_held``): their events there would be unreadable.
    """
    over = request.evidence_until is not None and request.evidence_until < today
    return over and not log_held and not any(hold.kind in LEGAL_HOLDS and _runs(hold, today) for hold in ledger.holds)


def _open(
    cases: tuple[Case, ...], holds: list[HoldEntry], complaints: Iterable[datetime], now: datetime, today: date
) -> list[Block]:
    found = [Block("open_case")] if any(case.state not in FINAL for case in cases) else []
    ends = [at + timedelta(days=COMPLAINT_DAYS) for at in complaints]
    living = [end for end in ends if end > now]
    if living:
        found.append(Block("open_complaint", max(living).date()))
    elif any(hold.kind in COMPLAINT_HOLDS for hold in holds):
        found.append(Block("open_complaint"))
    return found


def _claims(
    cases: tuple[Case, ...],
    ledger: ContactLedger,
    holds: list[HoldEntry],
    today: date,
    waived: bool,
    *,
    log_held: bool,
) -> list[Block]:
    found = [Block("legal_hold")] if log_held or any(hold.kind in LEGAL_HOLDS for hold in holds) else []
    owed = [] if waived else [c for c in cases if c.amount_due_minor > 0 and c.state is not CaseState.SETTLED]
    lives = [claim_lives_until(case, ledger.history, zone=_EASTERNMOST, today=today) for case in owed]
    ends = [end for end in lives if end is not None]
    if any(end >= today for end in ends):
        found.append(Block("limitation_running", max(ends)))
    if len(ends) < len(owed):
        found.append(Block("limitation_unknown"))
    return found


def _runs(hold: HoldEntry, today: date) -> bool:
    return hold.released_at is None and (hold.until is None or hold.until[:10] >= today.isoformat())
