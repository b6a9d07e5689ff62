"""The archive's keeper: locks follow the last activity, holds go on and off, hidden objects show, and any stop can be gone on from."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import boto3
import pytest

from chalicelib.domain import keys
from chalicelib.domain.audit.keeping import MARGIN, RETENTION, as_instant, folded, kept_until, surely_locked_until
from chalicelib.domain.audit.log import LogName
from chalicelib.domain.events import Event, EventType
from chalicelib.gateways.archive_bucket import S3Archive
from chalicelib.gateways.archive_locks import S3Locks
from chalicelib.store.keep_repository import KeepRepository
from chalicelib.store.repository import Store
from chalicelib.store.tables import View
from chalicelib.usecases import keeping
from chalicelib.usecases.keeping import KeepPorts, KeepReport, keep_archive
from tests.archive_fakes import MemoryLocks
from tests.builders import LENDER, TEST_ACTOR, Scope
from tests.conftest import NAMES

SCOPE = Scope(LENDER)
PUT = datetime(2026, 3, 1, tzinfo=UTC)
PREFIX = f"{LENDER}/2026/"


def at(year: int, month: int = 6, day: int = 15) -> datetime:
    return datetime(year, month, day, 12, tzinfo=UTC)


class World:
    """A lender's log of 2026 with some objects, and cases that live."""

    def __init__(self, store: Store, objects: int = 7) -> None:
        self.store, self.bucket, self.repository = store, MemoryLocks(), KeepRepository()
        self.logs = [LogName(LENDER, "2026")]
        self.places = [self.bucket.put(f"{PREFIX}tile/{n:03d}", PUT, until=PUT + RETENTION) for n in range(objects)]
        self.shared = self.bucket.put("rules/aa.json", PUT, until=PUT + RETENTION)
        self.bucket.put("schema/v1.json", PUT, until=PUT + RETENTION)

    @property
    def ports(self) -> KeepPorts:
        return KeepPorts(self.store, self.repository, self.bucket, lambda: self.logs, lambda tenant: Scope(tenant))

    def lives(self, case: str, *days: datetime) -> None:
        View(f"T#{LENDER}#CASES", case, s="placed", d="{}").save()
        for day in days:
            unit = self.store.unit(SCOPE, actor=TEST_ACTOR, req="req_1", now=day)
            unit.emit(
                keys.case_pk(LENDER, case),
                EventType.CASE_CHANGED,
                {"from": "placed", "to": "placed", "reason": "x", "agency": None},
            )
            unit.commit()

    def run(self, now: datetime, **how: Any) -> KeepReport:
        return keep_archive(self.ports, now=now, **how)

    def until(self, place: tuple[str, str] | None = None) -> datetime:
        found = self.bucket.locks[place or self.places[0]].until
        assert found is not None
        return found

    def told(self) -> list[tuple[str, Any]]:
        events: list[Event] = self.store.events(SCOPE, keys.org_pk(LENDER, LENDER))
        return [(event.type.value, dict(event.data)) for event in events]


@pytest.fixture
def world(aws: None, store: Store) -> World:
    return World(store)


# The rule


def test_a_log_is_kept_three_years_after_the_last_activity_on_any_case_that_it_tells_of() -> None:
    by_year = folded({}, date(2026, 5, 1), date(2028, 2, 29))
    by_year = folded(by_year, date(2026, 7, 1), date(2026, 8, 1))
    assert by_year == {"2026": date(2028, 2, 29), "2027": date(2028, 2, 29), "2028": date(2028, 2, 29)}
    assert kept_until("2026", by_year) == date(2031, 3, 1) + MARGIN
    assert kept_until("2029", by_year) is None
    assert as_instant(date(2031, 12, 31)) == datetime(2032, 1, 1, tzinfo=UTC)
    # Whatever was put into a log in its year is locked at least until then by its own put.
    assert as_instant(surely_locked_until("2026")) == datetime(2026, 1, 1, tzinfo=UTC) + RETENTION


@pytest.mark.parametrize(
    ("last", "longer"), [(at(2027), False), (at(2029, 9), False), (at(2030, 12), True), (at(2033), True)]
)
def test_locks_are_lengthened_when_a_case_of_the_log_lives_on_and_only_then(
    world: World, last: datetime, longer: bool
) -> None:
    world.lives("case_1", at(2026), last)
    world.lives("case_2", at(2026))
    report = world.run(last + timedelta(days=20))
    needed = datetime(last.year + 3, last.month, last.day, tzinfo=UTC) + MARGIN
    assert report.finished and (report.extended >= 7) is longer
    for place in world.places:
        assert world.until(place) == (needed + timedelta(days=1) if longer else PUT + RETENTION)
    assert ("archive.retention_extended" in dict(world.told())) is longer
    # The same month again: nobody asks twice.
    asked = world.bucket.asked
    again = world.run(last + timedelta(days=20, hours=1))
    assert (again.finished, again.extended, world.bucket.asked) == (True, 0, asked)


def test_a_lock_is_never_shortened_and_one_that_is_missing_is_put(world: World) -> None:
    far = datetime(2060, 1, 1, tzinfo=UTC)
    long = world.bucket.put(f"{PREFIX}x/long", PUT, until=far)
    bare = world.bucket.put(f"{PREFIX}x/bare", PUT, until=None)
    world.lives("case_1", at(2026))
    assert world.run(at(2026, 7)).extended == 1 + 2
    assert (world.until(long), world.until(bare)) == (far, PUT + RETENTION)


def test_what_all_logs_rest_on_is_locked_as_long_as_what_is_put_today(world: World) -> None:
    for year in (2026, 2028, 2031):
        world.run(at(year))
        assert world.until(world.shared) == as_instant(date(year, 6, 1) + RETENTION)
    assert world.until() == PUT + RETENTION


# Stops and rivals


@pytest.mark.parametrize("steps", [1, 3, 8])
def test_a_run_that_stops_anywhere_is_gone_on_from_and_does_nothing_twice(world: World, steps: int) -> None:
    for number in range(5):
        world.lives(f"case_{number}", at(2026), at(2033))
    now, runs = at(2033, 7), []
    for _ in range(400):
        runs.append(world.run(now, most_steps=steps))
        if runs[-1].finished:
            break
    assert runs[-1].finished and len(runs) > 1
    assert sum(report.extended for report in runs) == 9
    (event,) = [data for kind, data in world.told() if kind == "archive.retention_extended"]
    assert (event["versions"], event["year"]) == (7, "2026")
    assert all(report.looked_at <= steps for report in runs)


def test_a_rival_run_leaves_one_event(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.lives("case_1", at(2026), at(2033))
    now, first = at(2033, 7), True
    extend = world.bucket.extend

    def meddled(key: str, version_id: str, until: datetime) -> bool:
        nonlocal first
        if first:
            first = False
            assert world.run(now).finished
        return extend(key, version_id, until)

    monkeypatch.setattr(world.bucket, "extend", meddled)
    assert not world.run(now).finished
    assert world.run(now).finished
    assert [kind for kind, _ in world.told()] == ["archive.retention_extended"]


def test_what_cannot_be_extended_is_counted_each_day_until_it_can(world: World) -> None:
    world.lives("case_1", at(2026), at(2033))
    world.bucket.refusing = {world.places[3][0]}
    for day in (1, 2):
        report = world.run(at(2033, 7, day))
        assert (report.failed, report.finished) == (1, True)
    # Not every hour of the day anew.
    assert world.run(at(2033, 7, 2)).failed == 0
    world.bucket.refusing = set()
    assert world.run(at(2033, 7, 3)).failed == 0
    assert world.until(world.places[3]) == world.until(world.places[4])


# Hidden objects


def test_an_object_behind_a_delete_marker_is_told_once_and_counted_as_long_as_it_lies_there(world: World) -> None:
    world.run(at(2026, 7, 1))
    marker = world.bucket.hide(world.places[2][0], at(2026, 7, 2))
    assert world.run(at(2026, 7, 1)).hidden == 0
    for day in (2, 3):
        assert world.run(at(2026, 7, day)).hidden == 1
    assert [kind_data for kind_data in world.told() if kind_data[0] == "archive.object_hidden"] == [
        ("archive.object_hidden", {"year": "2026", "object": world.places[2][0], "marker": marker[1]})
    ]
    # Put over it by its own name again, it lies open.
    world.bucket.put(world.places[2][0], at(2026, 7, 4), until=at(2034))
    assert world.run(at(2026, 7, 4)).hidden == 0


# Against S3


@pytest.fixture
def real(aws: None, buckets: list[str]) -> Iterator[tuple[S3Archive, S3Locks]]:
    name = NAMES.archive_bucket
    yield S3Archive(name), S3Locks(name)


def test_versions_markers_and_locks_are_read_as_s3_has_them(real: tuple[S3Archive, S3Locks]) -> None:
    archive, locks = real
    until = datetime(2040, 1, 1, tzinfo=UTC)
    for name in ("a", "b", "c"):
        archive.put_once(f"{PREFIX}{name}", name.encode(), retain_until=until)
    archive.put_once("other/2026/a", b"x", retain_until=until)
    tag = (archive.read_tagged(f"{PREFIX}a") or (b"", ""))[1]
    assert archive.replace(f"{PREFIX}a", b"again", tag=tag, retain_until=until)
    boto3.client("s3").delete_object(Bucket=NAMES.archive_bucket, Key=f"{PREFIX}b")
    found, hidden, after = [], [], None
    for _ in range(10):
        page = locks.versions(PREFIX, after=after, limit=2)
        found += [version.key for version in page.versions]
        hidden += [key for key, _ in page.hidden]
        after = page.after
        if after is None:
            break
    assert sorted(found) == [f"{PREFIX}{name}" for name in ("a", "a", "b", "c")]
    assert hidden == [f"{PREFIX}b"]
    (version, *_) = locks.versions(f"{PREFIX}c", after=None, limit=5).versions
    assert locks.lock_of(version.key, version.version_id) == keeping.Lock(until, False)
    assert locks.extend(version.key, version.version_id, until + timedelta(days=1))
    assert locks.hold(version.key, version.version_id, on=True)
    assert locks.lock_of(version.key, version.version_id) == keeping.Lock(until + timedelta(days=1), True)
    assert locks.hold(version.key, version.version_id, on=False)
    assert not locks.lock_of(version.key, version.version_id).held


def test_a_refusal_of_s3_is_a_value(real: tuple[S3Archive, S3Locks]) -> None:
    archive, locks = real
    archive.put_once(f"{PREFIX}a", b"a", retain_until=datetime(2040, 1, 1, tzinfo=UTC))
    (version,) = locks.versions(PREFIX, after=None, limit=5).versions
    # A bucket without Object Lock knows neither.
    unlocked = S3Locks(NAMES.uploads_bucket)
    boto3.client("s3").put_object(Bucket=NAMES.uploads_bucket, Key=version.key, Body=b"a")
    assert not unlocked.extend(version.key, "null", datetime(2040, 1, 1, tzinfo=UTC))
    assert not unlocked.hold(version.key, "null", on=True)
