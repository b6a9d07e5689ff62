"""Training sessions: planned, started, stopped; who was there, shown by presence checks; minutes counted from that alone.

A running session is cut into slices of twenty minutes from its start. In each slice one presence check opens, at an instant
that the session's seed decides and nobody is told beforehand, for five minutes. A slice counts for a collector exactly when
they confirmed its check, and then for the whole minutes between joining and leaving that lie in it.
"""

import hashlib
from datetime import date, datetime, timedelta
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from chalicelib.domain.instants import from_text, to_text
from chalicelib.domain.state_table import Move, Refuse, Reply, StateTable, Stay
from chalicelib.domain.training.course import Material

SLICE = timedelta(minutes=20)
OPEN = timedelta(minutes=5)
"""How long a presence check is open."""

_EARLIEST, _SPREAD_SECONDS = timedelta(minutes=5), 480
LONGEST = timedelta(hours=8)
"""The longest that a session may be planned for (closed)."""

OVERTIME = timedelta(hours=1)
"""A session that nobody stops is stopped so long after its planned end."""


class Kind(StrEnum):
    """What the session is: training on a course, or the monthly meeting of lender and agency."""

    COURSE = "course"
    PARTNER_MEETING = "partner_meeting"


class SessionState(StrEnum):
    """Where a session stands. The last two are final."""

    PLANNED = "planned"
    RUNNING = "running"
    ENDED = "ended"
    CANCELLED = "cancelled"


class SessionEvent(StrEnum):
    """What can happen to a session; ``lapse`` is that its planned time is over and nobody started it."""

    START = "start"
    STOP = "stop"
    CANCEL = "cancel"
    LAPSE = "lapse"


_S, _E = SessionState, SessionEvent
_REPLIES: dict[tuple[SessionState, SessionEvent], Reply[SessionState]] = {
    (_S.PLANNED, _E.START): Move(_S.RUNNING),
    (_S.PLANNED, _E.STOP): Refuse("it has not begun"),
    (_S.PLANNED, _E.CANCEL): Move(_S.CANCELLED),
    (_S.PLANNED, _E.LAPSE): Move(_S.CANCELLED),
    (_S.RUNNING, _E.START): Stay("it runs already"),
    (_S.RUNNING, _E.STOP): Move(_S.ENDED),
    (_S.RUNNING, _E.CANCEL): Refuse("it has begun: stop it"),
    (_S.RUNNING, _E.LAPSE): Stay("it was started"),
    (_S.ENDED, _E.START): Refuse("it is over"),
    (_S.ENDED, _E.STOP): Stay("it was stopped before"),
    (_S.ENDED, _E.CANCEL): Refuse("it is over"),
    (_S.ENDED, _E.LAPSE): Stay("it is over"),
    (_S.CANCELLED, _E.START): Refuse("it was cancelled"),
    (_S.CANCELLED, _E.STOP): Refuse("it was cancelled"),
    (_S.CANCELLED, _E.CANCEL): Stay("it was cancelled before"),
    (_S.CANCELLED, _E.LAPSE): Stay("it was cancelled"),
}
TABLE = StateTable(SessionState, SessionEvent, _REPLIES)
answer = TABLE.answer


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Session(_Value):
    """A session of one agency. Instants are RFC 3339; ``materials`` are what is used, with their digests.

    ``is_settled`` says that everybody's minutes have been counted. ``seed`` decides the presence checks; it is told when the session
    is over, so that anybody can find them again.
    """

    id: str
    tenant: str
    org: str
    kind: Kind
    course: str | None
    planned_from: str
    planned_to: str
    materials: tuple[Material, ...] = ()
    seed: str
    state: SessionState = SessionState.PLANNED
    started_at: str | None = None
    stopped_at: str | None = None
    is_settled: bool = False
    version: int = 1

    @property
    def due_at(self) -> str | None:
        """Return when the clock looks at it: to cancel what nobody started, stop what nobody stopped, count what is over."""
        match self.state:
            case SessionState.PLANNED:
                return self.planned_to
            case SessionState.RUNNING:
                return to_text(from_text(self.planned_to) + OVERTIME)
            case SessionState.ENDED:
                return None if self.is_settled else self.stopped_at
            case SessionState.CANCELLED:
                return None

    def check_at(self, place: int) -> datetime:
        """Return when the check of a slice (from 0) opens. Raises ValueError for a session that has not begun."""
        if self.started_at is None:
            raise ValueError("a session that has not begun has no checks")
        digest = hashlib.sha256(f"{self.seed}|{place}".encode()).digest()
        offset = timedelta(seconds=int.from_bytes(digest[:8], "big") % _SPREAD_SECONDS)
        return from_text(self.started_at) + place * SLICE + _EARLIEST + offset

    def open_check(self, now: datetime) -> int | None:
        """Return the slice whose check is open now, None when none is."""
        if self.state is not SessionState.RUNNING or self.started_at is None:
            return None
        place = (now - from_text(self.started_at)) // SLICE
        return place if place >= 0 and self.check_at(place) <= now < self.check_at(place) + OPEN else None

    def checks(self) -> int:
        """Return how many checks opened before the session was stopped; 0 while it runs."""
        if self.started_at is None or self.stopped_at is None:
            return 0
        stopped, place = from_text(self.stopped_at), 0
        while self.check_at(place) < stopped:
            place += 1
        return place


class Attendance(_Value):
    """One collector in one session: when they joined and left, which slices they confirmed, and the minutes counted."""

    session: str
    tenant: str
    org: str
    collector: str
    joined_at: str
    left_at: str | None = None
    confirmed: tuple[int, ...] = ()
    minutes: int | None = None
    version: int = 1


def counted_minutes(session: Session, attendance: Attendance) -> int:
    """Return the whole minutes that count: in confirmed slices, between joining and leaving, while the session ran."""
    if session.started_at is None or session.stopped_at is None:
        return 0
    began, stopped = from_text(session.started_at), from_text(session.stopped_at)
    joined = max(began, from_text(attendance.joined_at))
    left = min(stopped, stopped if attendance.left_at is None else from_text(attendance.left_at))
    total = timedelta()
    for place in set(attendance.confirmed):
        first = began + place * SLICE
        total += max(timedelta(), min(left, first + SLICE) - max(joined, first))
    return total // timedelta(minutes=1)


class Credit(_Value):
    """Minutes of training that were counted, by the local day on which the session began."""

    session: str
    kind: Kind
    course: str | None
    on: date
    minutes: int
