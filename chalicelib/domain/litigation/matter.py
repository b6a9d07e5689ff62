"""A matter: the suit for one case's claim, with its documents, costs and everything that happened in it."""

from datetime import date

from pydantic import BaseModel, ConfigDict

from chalicelib.domain.litigation.procedure import FINAL, MatterEvent, Stage


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Document(_Value):
    """A document of the matter: its kind, the SHA-256 of its content, and where the lender's own store keeps it."""

    id: str
    kind: str
    sha256: str
    storage: str
    filed_at: str
    dated_on: date | None = None


class Happened(_Value):
    """What happened, on the lender's day ``on``, and the stage after it.

    ``amount_minor`` is what was claimed, judged, settled for, recovered or spent; ``until`` the end of what was preserved or the day by
    which a settlement is to be performed; ``contact`` the letter before action; ``cost_kind`` what was paid for.
    """

    id: str
    event: MatterEvent
    on: date
    stage: Stage
    recorded_at: str
    amount_minor: int | None = None
    until: date | None = None
    contact: str | None = None
    cost_kind: str | None = None


class Matter(_Value):
    """The suit. ``person`` is the debtor, under whose key all of it is sealed; amounts are minor units of ``currency``."""

    id: str
    tenant: str
    case: str
    person: str
    country: str
    stage: Stage = Stage.ASSESSMENT
    currency: str
    claim_minor: int
    opened_at: str
    is_urgent: bool = False
    court: str | None = None
    docket_no: str | None = None
    documents: tuple[Document, ...] = ()
    happened: tuple[Happened, ...] = ()
    version: int = 1

    @property
    def is_over(self) -> bool:
        """Tell whether nothing more can happen."""
        return self.stage in FINAL

    @property
    def costs_minor(self) -> int:
        """Return what was paid for the suit, all kinds together."""
        return self._sum(MatterEvent.PAY_COST)

    @property
    def judged_minor(self) -> int | None:
        """Return what the last judgment awarded, None before one."""
        return next((h.amount_minor for h in reversed(self.happened) if h.event is MatterEvent.JUDGE), None)

    @property
    def settled_minor(self) -> int | None:
        """Return what the last settlement in court is for, None without one."""
        return next((h.amount_minor for h in reversed(self.happened) if h.event is MatterEvent.SETTLE), None)

    def day_of(self, event: MatterEvent) -> date | None:
        """Return the day on which the event last happened, None when it never did."""
        return next((each.on for each in reversed(self.happened) if each.event is event), None)

    def _sum(self, event: MatterEvent) -> int:
        return sum(each.amount_minor or 0 for each in self.happened if each.event is event)
