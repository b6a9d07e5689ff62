"""What a clock on the wall shows, worked out slowly and apart from the engine: minute by minute, with ``zoneinfo``.

    python -m scripts.clock_oracle       every zone of the pinned data, every clock change of 2024-2030, every window

Shares no code with the engine. Between 2024 and 2030 every offset and every change of the pinned data is a whole number
of minutes, which is asserted, so a minute is as fine as a second.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib import resources
from itertools import pairwise
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from chalicelib.domain.compliance import load_packs, rule
from chalicelib.domain.compliance.case import Case
from chalicelib.domain.compliance.form import check_dossier
from chalicelib.domain.compliance.scene import Finding, Scene
from chalicelib.domain.compliance.shapes import SHAPES
from chalicelib.domain.compliance.timeline import NEVER, zone
from tests.rules.casebook import dossier_of

FIRST, LAST = datetime(2024, 1, 1, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC)
MINUTES = 60
BEFORE, AFTER = 2 * 24 * MINUTES, 5 * 24 * MINUTES
"""Minutes looked at on each side of a change: after it more than the longest time that any window stays shut."""

Changes = tuple[tuple[int, int, int], ...]
"""Each clock change: its instant in minutes, the offsets before and after it in minutes."""


def zone_names() -> list[str]:
    """Return every name that the pinned zone data lists."""
    listed = resources.files("tzdata").joinpath("zones").read_text(encoding="utf-8")
    return sorted(listed.split())


def zone_info(name: str) -> ZoneInfo:
    """Return a zone of the pinned data, whatever the machine has."""
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as stream:
        return ZoneInfo.from_file(stream, key=name)


def _offset(info: ZoneInfo, minute: int) -> int:
    offset = datetime.fromtimestamp(minute * 60, info).utcoffset()
    assert offset is not None and offset % timedelta(minutes=1) == timedelta(0), info.key
    return int(offset / timedelta(minutes=1))


def changes(info: ZoneInfo) -> tuple[int, Changes]:
    """Return the offset at the start of 2024 and every change until the end of 2030, looked for in steps of four days."""
    minute, last = int(FIRST.timestamp()) // 60, int(LAST.timestamp()) // 60
    before = first = _offset(info, minute)
    found = []
    step = 4 * 24 * MINUTES
    while minute < last:
        minute += step
        after = _offset(info, minute)
        if after != before:
            low = minute - step
            while _offset(info, low + MINUTES) == before:
                low += MINUTES
            while _offset(info, low + 1) == before:
                low += 1
            found.append((low + 1, before, _offset(info, low + 1)))
            assert found[-1][2] == after, "two changes within four days"
            just_before = datetime.fromtimestamp((low + 1) * 60 - 1, info).utcoffset()
            assert just_before == timedelta(minutes=before), "a change within a minute"
            before = after
    return first, tuple(found)


def alike() -> dict[tuple[int, Changes], list[str]]:
    """Return the zones by what their clocks did from 2024 to 2030."""
    found: dict[tuple[int, Changes], list[str]] = defaultdict(list)
    read: dict[bytes, tuple[int, Changes]] = {}
    for name in zone_names():
        # Many names are one file under several names.
        data = resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()
        if data not in read:
            read[data] = changes(zone_info(name))
        found[read[data]].append(name)
    return found


class Wall(NamedTuple):
    """Weekday (Monday 1) and minute of the day that a clock shows in each minute from ``start`` on."""

    start: int
    shown: tuple[tuple[int, int], ...]


def wall(info: ZoneInfo, middle: int) -> Wall:
    """Return what a clock shows in the minutes around one."""
    start = middle - BEFORE
    shown = []
    for minute in range(start, middle + AFTER):
        local = datetime.fromtimestamp(minute * 60, info)
        shown.append((local.isoweekday(), local.hour * MINUTES + local.minute))
    return Wall(start, tuple(shown))


def minutes_of(text: str) -> int:
    """Return the minute of the day of ``HH:MM``."""
    hours, _, minutes = text.partition(":")
    return int(hours) * MINUTES + int(minutes)


def is_open(params: Mapping[str, Any], weekday: int, minute: int) -> bool:
    """Tell whether windows as a pack writes them let a minute of a weekday through, both ends as written."""
    for start, end in params.get("closed", []):
        if minutes_of(start) <= minute < minutes_of(end):
            return False
    for window in params.get("windows", [{"open": [["00:00", "24:00"]]}]):
        if weekday in window.get("days", range(1, 8)):
            for start, end in window["open"]:
                if minutes_of(start) <= minute < minutes_of(end):
                    return True
    return False


class Opening(NamedTuple):
    """Whether windows are open in each minute of a wall, and the places at which that changes."""

    start: int
    opened: tuple[bool, ...]
    turns: tuple[int, ...]


@lru_cache(maxsize=64)
def _week(written: str) -> Mapping[tuple[int, int], bool]:
    params = json.loads(written)
    return {(day, minute): is_open(params, day, minute) for day in range(1, 8) for minute in range(24 * MINUTES)}


def opening(params: Mapping[str, Any], seen: Wall) -> Opening:
    """Return when windows are open along a wall."""
    table = _week(json.dumps(params, sort_keys=True))
    opened = [table[shown] for shown in seen.shown]
    turns = [index for index, (one, two) in enumerate(pairwise(opened), 1) if one is not two]
    return Opening(seen.start, tuple(opened), tuple(turns))


def answer(opening: Opening, second: int) -> tuple[bool, int | None]:
    """Return whether it is open at a second, and the second at which that next is otherwise, None past the reach."""
    index = second // 60 - opening.start
    turn = next((each for each in opening.turns if each > index), None)
    return opening.opened[index], None if turn is None else (opening.start + turn) * 60


def windows() -> dict[str, dict[str, Any]]:
    """Return each set of windows that a shipped rule has, once, by the name of a rule that has it."""
    packs = load_packs()
    found: dict[str, dict[str, Any]] = {}
    for ident in packs.index:
        for data in packs.pack(ident).data["rules"]:
            if data["shape"] in ("hours", "hours_by_age"):
                params = {key: data["params"][key] for key in ("windows", "closed") if key in data["params"]}
                if params not in found.values():
                    found[data["id"]] = params
    return found


def moments(params: Mapping[str, Any], seen: Wall, middle: int, days: Sequence[int]) -> Iterator[int]:
    """Yield the seconds around a change and around each edge of the windows on the days next to it."""
    edges = {minutes_of(text) for part in params.get("windows", []) for span in part["open"] for text in span}
    edges |= {minutes_of(text) for span in params.get("closed", []) for text in span}
    wanted = {middle}
    for day in days:
        # Where the clock shows the edge; a skipped edge is not shown, a repeated one twice.
        around = range(middle + (day * 24 - 12) * MINUTES, middle + (day * 24 + 12) * MINUTES)
        wanted.update(minute for minute in around if seen.shown[minute - seen.start][1] in edges)
    for minute in sorted(wanted):
        yield from (minute * 60 - 1, minute * 60, minute * 60 + 1)


def differences(name: str, middle: int, of: Mapping[str, Mapping[str, Any]], days: Sequence[int]) -> Iterator[str]:
    """Yield where the engine's windows and this page's differ around one change of one zone."""
    seen = wall(zone_info(name), middle)
    dossier = dossier_of({"rule": "oracle", "id": "oracle", "base": "us.sms", "at": "2026-06-10T02:00:00Z"})
    scene = Scene(Case(check_dossier(dossier)), (zone(name),), {}, load_packs().pack("US").lexicon)
    for ident, params in of.items():
        check = SHAPES["hours"].build(params)
        along = opening(params, seen)
        for second in moments(params, seen, middle, days):
            opened, until = answer(along, second)
            told = check(scene, second)
            reached = second
            if isinstance(told, Finding):
                engine = (False, None if told.until == NEVER else told.until)
            else:
                # An open window is told as far as it surely reaches; asked again there, it may reach on.
                while not isinstance(told, Finding) and told < second + 2 * 86_400:
                    reached, told = told, check(scene, told)
                engine = (True, reached if isinstance(told, Finding) else None)
            # Past the reach of this page the engine may know more.
            if engine[0] is not opened or (until is not None and engine[1] != until):
                yield f"{name} {ident} at {datetime.fromtimestamp(second, UTC)}: {engine}, the clock says {(opened, until)}"


def ruled(name: str, middle: int) -> Iterator[str]:
    """Yield where whole rulings on a text in a zone differ from the clock around a change: 08:00 to 21:00 under US law."""
    info, packs = zone_info(name), load_packs()
    params = {"windows": [{"open": [["08:00", "21:00"]]}]}
    seen = wall(info, middle)
    along = opening(params, seen)
    for second in moments(params, seen, middle, (0,)):
        text = f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%SZ}"
        vector = {"rule": "oracle", "id": "oracle", "base": "us.sms", "at": text, "set": {"parties.p1.zones": [name]}}
        ruling = rule(dossier_of(vector), packs)
        opened, until = answer(along, second)
        wanted = None if until is None else f"{datetime.fromtimestamp(until, UTC):%Y-%m-%dT%H:%M:%SZ}"
        told = (ruling["verdict"], ruling["not_after" if opened else "next_allowed_at"])
        if told != ("allow" if opened else "defer", wanted):
            yield f"{name} ruled at {text}: {told}, the clock says {opened} until {wanted}"


def main() -> int:
    """Compare every zone around every change; return the exit status."""
    of = windows()
    names = zone_names()
    wrong = asked = 0
    for number, name in enumerate(names, 1):
        _, found = changes(zone_info(name))
        for middle in [minute for minute, _, _ in found] or [int(FIRST.timestamp()) // 60 + 200 * 24 * MINUTES]:
            asked += 1
            for line in (*differences(name, middle, of, (-1, 0, 1)), *ruled(name, middle)):
                wrong += 1
                print(line)
        print(f"\r{number} of {len(names)} zones", end="", file=sys.stderr)
    print(file=sys.stderr)
    print(f"{asked} clock changes in {len(names)} zones, {len(of)} sets of windows: {wrong} differences")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
