"""The archive is kept: locks are lengthened while cases live, legal holds go on and off, hidden objects are told.

A run does a bounded number of steps and writes down how far it came; the next one goes on from there. Each step may be
repeated. A lock is only ever lengthened: the object is asked first, and one that is locked for longer is left as it is.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Protocol

from chalicelib.domain import keys
from chalicelib.domain.audit.keeping import (
    RETENTION,
    Activity,
    Lock,
    Shard,
    Version,
    VersionPage,
    as_instant,
    folded,
    kept_until,
    surely_locked_until,
)
from chalicelib.domain.audit.log import LogName
from chalicelib.domain.concurrency import Conflict
from chalicelib.domain.events import Actor, EventType
from chalicelib.usecases.ports import Scope, Store

KEEPER = Actor("system", "keep_archive", "role")
MOST_STEPS = 4_000
"""How many cases, pages and objects one run looks at; at some ten milliseconds each, it ends long before it is ended."""

CASES_A_PAGE = 200
VERSIONS_A_PAGE = 500
MOST_HIDDEN = 50
"""How many hidden objects of a log are remembered; where there are more, somebody hides the whole of it."""

MOST_TOLD = 20
"""How many of them one pass makes events of; the next day's pass tells more."""

NOBODY = "~"
"""Whose shards those are that belong to all lenders; no id has a tilde."""

_BEGIN = ""
"""The version id of a place that is the beginning of a prefix."""

SHARED = "shared"
SHARED_PREFIXES = ("rules/", "schema/")
"""What the logs of all lenders rest on: locked as long as what is put today."""


class LockedBucket(Protocol):
    """The archive's bucket as the job sees it. See ``chalicelib.gateways.archive_locks``."""

    def versions(self, prefix: str, *, after: tuple[str, str] | None, limit: int) -> VersionPage:
        """Return a page of everything under the prefix, delete markers included."""
        ...

    def lock_of(self, key: str, version_id: str) -> Lock:
        """Return how the version is locked."""
        ...

    def extend(self, key: str, version_id: str, until: datetime) -> bool:
        """Lock the version until then, in compliance mode; False when the service refuses."""
        ...

    def hold(self, key: str, version_id: str, *, on: bool) -> bool:
        """Put a legal hold on the version or take it off; False when the service refuses."""
        ...


class KeepRepository(Protocol):
    """How far the job came. See ``chalicelib.store.keep_repository``."""

    def activity(self, tenant: str) -> Activity:
        """Return what the lender's cases said."""
        ...

    def put_activity(self, tenant: str, activity: Activity) -> bool:
        """Write it over the version before; False when another run was first."""
        ...

    def shard(self, tenant: str, name: str) -> Shard:
        """Return where the job stands with a log, or with what is shared."""
        ...

    def shard_record(self, tenant: str, name: str, shard: Shard) -> Any:
        """Return the record of where the job stands, for a unit that writes it with its events."""
        ...

    def put_shard(self, tenant: str, name: str, shard: Shard) -> bool:
        """Write it over the version before; False when another run was first."""
        ...

    def case_page(self, tenant: str, *, after: str | None, limit: int) -> list[str]:
        """Return ids of the lender's cases, ended ones included, after an id."""
        ...

    def lifetime(self, tenant: str, case: str) -> tuple[datetime, datetime] | None:
        """Return the instants of a case's first and last event, or None when it has none."""
        ...


@dataclass(frozen=True, slots=True)
class KeepPorts:
    """What the job needs."""

    store: Store
    repository: KeepRepository
    bucket: LockedBucket
    logs: Callable[[], list[LogName]]
    scope_for: Callable[[str], Scope]


@dataclass
class KeepReport:
    """What a run came to. ``finished`` says that nothing is left to do today."""

    steps_left: int
    looked_at: int = 0
    extended: int = 0
    holds: int = 0
    failed: int = 0
    hidden: int = 0
    finished: bool = False
    passes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "looked_at": self.looked_at,
            "extended": self.extended,
            "holds": self.holds,
            "failed": self.failed,
            "hidden": self.hidden,
            "finished": self.finished,
            "passes": self.passes,
        }

    def step(self) -> bool:
        """Take a step; False when there are none left."""
        self.steps_left -= 1
        self.looked_at += self.steps_left >= 0
        return self.steps_left >= 0


class _Rival(Exception):
    """Another run is at work on the same; it does what there is to do."""


def keep_archive(ports: KeepPorts, *, now: datetime, most_steps: int = MOST_STEPS) -> KeepReport:
    """Go on with today's look at the archive: what cases say, once a month, then every version of every log."""
    report = KeepReport(most_steps)
    today = now.astimezone(UTC).date()
    logs = sorted(ports.logs(), key=lambda log: (log.tenant, log.year))
    done = True
    for tenant in dict.fromkeys(log.tenant for log in logs):
        try:
            done &= _look_at_cases(ports, tenant, today, report)
        except _Rival:
            done = False
    for log in logs:
        try:
            done &= _keep_log(ports, log, now, report)
        except _Rival:
            done = False
        report.hidden += len(ports.repository.shard(log.tenant, log.year).hidden)
    if logs:
        try:
            done &= _keep_shared(ports, now, report)
        except _Rival:
            done = False
    report.finished = done
    return report


# Cases


def _look_at_cases(ports: KeepPorts, tenant: str, today: date, report: KeepReport) -> bool:
    """Learn from the lender's cases, once a month, until when its logs are needed; True when that is known."""
    month = f"{today:%Y-%m}"
    activity = ports.repository.activity(tenant)
    if activity.month == month:
        return True
    if activity.looking != month:
        activity = activity.model_copy(update={"fresh": {}, "looking": month, "after": None})
    while True:
        page = ports.repository.case_page(tenant, after=activity.after, limit=CASES_A_PAGE)
        fresh, after = activity.fresh, activity.after
        for case in page:
            if not report.step():
                break
            lived = ports.repository.lifetime(tenant, case)
            if lived is not None:
                fresh = folded(fresh, lived[0].date(), lived[1].date())
            after = case
        over = len(page) < CASES_A_PAGE and (not page or after == page[-1])
        changes: dict[str, Any] = {"fresh": fresh, "after": after, "version": activity.version + 1}
        if over:
            changes |= {"known": fresh, "month": month, "fresh": {}, "looking": "", "after": None}
        activity = activity.model_copy(update=changes)
        if not ports.repository.put_activity(tenant, activity):
            raise _Rival
        if over:
            return True
        if report.steps_left <= 0:
            return False


# Objects


def _keep_log(ports: KeepPorts, log: LogName, now: datetime, report: KeepReport) -> bool:
    scope = ports.scope_for(log.tenant)
    hold = ports.store.log_hold(scope, log.year)
    on = hold is not None and hold.on
    needed = kept_until(log.year, ports.repository.activity(log.tenant).known) or date.min
    needed = max(needed, surely_locked_until(log.year))
    before = ports.repository.shard(log.tenant, log.year)
    after = _pass(ports, log.tenant, log.year, (log.prefix,), before, _Aim(needed, on, now), report)
    if after is None:
        return False
    if after.version != before.version or after != before:
        _end(ports, scope, log, after, on, now)
        report.passes.append(log.prefix)
    return True


def _keep_shared(ports: KeepPorts, now: datetime, report: KeepReport) -> bool:
    """Lock what all logs rest on as long as what is put today, looked at once a month."""
    needed = now.astimezone(UTC).date().replace(day=1) + RETENTION
    before = ports.repository.shard(NOBODY, SHARED)
    after = _pass(ports, NOBODY, SHARED, SHARED_PREFIXES, before, _Aim(needed, False, now), report)
    if after is None:
        return False
    if after != before:
        _written(ports, NOBODY, SHARED, after)
        report.passes.append(SHARED)
    report.hidden += len(after.hidden)
    return True


@dataclass(frozen=True, slots=True)
class _Aim:
    """What a pass is to reach: every version locked until the day (closed), and under legal hold or not."""

    needed: date
    on: bool
    now: datetime

    @property
    def day(self) -> str:
        return f"{self.now.astimezone(UTC):%Y-%m-%d}"

    @property
    def name(self) -> str:
        return f"{self.day} {self.needed} {self.on}"

    def is_reached(self, shard: Shard) -> bool:
        return shard.until is not None and shard.until >= self.needed and shard.held == self.on


def _pass(
    ports: KeepPorts,
    tenant: str,
    name: str,
    prefixes: Sequence[str],
    shard: Shard,
    aim: _Aim,
    report: KeepReport,
) -> Shard | None:
    """Look at every version under the prefixes, from where the last run stopped.

    Returns what is to be written when the pass is whole (the same when it was whole today), None when steps ran out. Objects are asked
    for their locks when the log is needed for longer than it was seen to be locked, and as long as a legal hold is on it or must come
    off; otherwise the listing is enough. A new version in a log that is held is seen to by the next day's pass.
    """
    asking = aim.on or not aim.is_reached(shard)
    if shard.day == aim.day and (aim.is_reached(shard) or shard.failed):
        return shard
    if shard.aim != aim.name:
        fresh = {"aim": aim.name, "key": None, "version_id": None, "extended": 0, "holds": 0, "failed": 0, "hidden": ()}
        shard = shard.model_copy(update=fresh)
    for turn in _pages(ports, prefixes, shard):
        # Where objects are asked, they are the steps; a page must not use up the last one and get nowhere.
        if report.steps_left <= 0 or not (asking or report.step()):
            _written(ports, tenant, name, shard)
            return None
        page = turn.read()
        counts = {"extended": shard.extended, "holds": shard.holds, "failed": shard.failed}
        seen: Version | None = None
        for version in page.versions if asking else ():
            if not report.step():
                break
            for kind in _kept(ports, version, aim, held=shard.held):
                counts[kind] += 1
                setattr(report, kind, getattr(report, kind) + 1)
            seen = version
        whole = not asking or not page.versions or seen == page.versions[-1]
        hidden = (*shard.hidden, *(each for each in page.hidden if each not in shard.hidden))[:MOST_HIDDEN]
        stop = turn.stop if whole else ((seen.key, seen.version_id) if seen is not None else _place(shard))
        changes: dict[str, Any] = {**counts, "hidden": hidden}
        changes |= {"key": stop[0] if stop else None, "version_id": stop[1] if stop else None}
        shard = shard.model_copy(update=changes)
        if not whole:
            _written(ports, tenant, name, shard)
            return None
        if turn.is_last:
            # Steps that ran out just here make no difference: all is seen.
            break
        if asking:
            shard = _written(ports, tenant, name, shard)
    ended: dict[str, Any] = {"day": aim.day, "aim": "", "key": None, "version_id": None}
    if asking and not shard.failed:
        ended |= {"until": max(aim.needed, shard.until or date.min), "held": aim.on}
    return shard.model_copy(update=ended)


def _end(ports: KeepPorts, scope: Scope, log: LogName, shard: Shard, on: bool, now: datetime) -> None:
    """Write a whole pass down, together with the events of what it did."""
    unit = ports.store.unit(scope, actor=KEEPER, req="req_clock", now=now)
    stream = keys.org_pk(scope.tenant, scope.tenant)
    if shard.extended:
        unit.emit(
            stream,
            EventType.ARCHIVE_RETENTION_EXTENDED,
            {"year": log.year, "until": shard.until.isoformat() if shard.until else None, "versions": shard.extended},
        )
    if shard.holds:
        data = {"year": log.year, "on": on, "versions": shard.holds, "failed": shard.failed}
        unit.emit(stream, EventType.ARCHIVE_HOLD_APPLIED, data)
    for key, version_id in [each for each in shard.hidden if each not in shard.told][:MOST_TOLD]:
        unit.emit(stream, EventType.ARCHIVE_OBJECT_HIDDEN, {"year": log.year, "object": key, "marker": version_id})
    told = tuple(each for each in shard.hidden if each in shard.told)
    told += tuple(each for each in shard.hidden if each not in shard.told)[:MOST_TOLD]
    written = shard.model_copy(update={"told": told, "version": shard.version + 1, "extended": 0, "holds": 0})
    unit.replace(ports.repository.shard_record(log.tenant, log.year, written), expected=shard.version)
    try:
        unit.commit()
    except Conflict as error:
        raise _Rival from error


class _Turn:
    """A page that is about to be read; ``stop`` is where to go on once all of it was seen."""

    def __init__(self, bucket: LockedBucket, prefix: str, place: tuple[str, str] | None, following: str | None) -> None:
        self._bucket, self._prefix, self._place, self._following = bucket, prefix, place, following
        self.after: tuple[str, str] | None = None

    def read(self) -> VersionPage:
        page = self._bucket.versions(self._prefix, after=self._place, limit=VERSIONS_A_PAGE)
        self.after = page.after
        return page

    @property
    def stop(self) -> tuple[str, str] | None:
        if self.after is None and self._following is not None:
            return self._following, _BEGIN
        return self.after

    @property
    def is_last(self) -> bool:
        return self.stop is None


def _pages(ports: KeepPorts, prefixes: Sequence[str], shard: Shard) -> Iterator[_Turn]:
    """Yield each page that is still to be read; it is read by who takes it."""
    place = _place(shard)
    for prefix, following in zip(prefixes, [*prefixes[1:], None], strict=True):
        if place is not None and not place[0].startswith(prefix):
            # Stopped under a later prefix: this one is done.
            continue
        if place is not None and place[1] == _BEGIN:
            place = None
        more = True
        while more:
            turn = _Turn(ports.bucket, prefix, place, following)
            yield turn
            place = turn.after
            more = place is not None


def _place(shard: Shard) -> tuple[str, str] | None:
    return (shard.key, shard.version_id) if shard.key is not None and shard.version_id is not None else None


def _kept(ports: KeepPorts, version: Version, aim: _Aim, *, held: bool) -> Iterator[str]:
    """Bring one version into order and yield what was done: ``extended``, ``holds``, ``failed``."""
    lock = ports.bucket.lock_of(version.key, version.version_id)
    until = max(as_instant(aim.needed), version.put_at + RETENTION)
    if lock.until is None or lock.until < until:
        yield "extended" if ports.bucket.extend(version.key, version.version_id, until) else "failed"
    # A hold that another hand put on one object is not ours to take off.
    if aim.on != lock.held and (aim.on or held):
        yield "holds" if ports.bucket.hold(version.key, version.version_id, on=aim.on) else "failed"


def _written(ports: KeepPorts, tenant: str, name: str, shard: Shard) -> Shard:
    shard = shard.model_copy(update={"version": shard.version + 1})
    if not ports.repository.put_shard(tenant, name, shard):
        raise _Rival
    return shard
