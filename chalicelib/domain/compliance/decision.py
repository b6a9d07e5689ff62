"""Decisions on records: which program fits a kind of act, what it says, and the ruling that is told from it.

A program holds the rules that can apply to one kind of act under some packs. The first acts of a kind are asked through
the closures of its rules; a kind that comes back has its rules written out as one function. Both say the same.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from chalicelib.domain.compliance.case import Case, resolve
from chalicelib.domain.compliance.generate import (
    DEFER,
    REVIEW,
    WEIGHT,
    Kind,
    Row,
    Ruled,
    Seen,
    Written,
    look,
    write,
)
from chalicelib.domain.compliance.packs import Pack, PackSet, Rule
from chalicelib.domain.compliance.record import Record
from chalicelib.domain.compliance.scene import Finding, Scene
from chalicelib.domain.compliance.shapes import STIRS
from chalicelib.domain.compliance.timeline import (
    DAY,
    HORIZON_DAYS,
    LAST,
    NEVER,
    ZONE_DATA,
    UnknownZone,
    Zones,
    date_text,
    day_of,
    instant_of,
    instant_text,
    is_instant,
    zone,
)

_MOST_PROGRAMS = 2_048
_MOST_HOUSES = 64
_VERDICT = ("allow", "defer", "review", "review", "deny", "deny", "deny", "deny")
_SEVERITY = {"deny": 0, "require": 1, "review": 2, "defer": 3, "oblige": 4, "nocount": 5}


class NotAhead(Exception):
    """A rule named an end that is not ahead of the instant it was asked about: a fault of its shape, never of a dossier.

    Going on to such an end would ask the same question for ever.
    """


class Program:
    """The rules that can apply to one kind of act, the law's and a lender's own."""

    def __init__(self, record: Record, packs: PackSet, house: Sequence[Pack]) -> None:
        case = record.case
        self.packs: tuple[Pack, ...] = (*packs.chosen(case), *house)
        self.by_city = any(
            city["region"] in {each.get("region") for each in case.residences}
            for pack in self.packs
            for city in pack.cities.values()
        )
        self.kind = Kind(
            case.stirs(),
            case.purpose,
            case.point_id is not None,
            len(case.debts) == 1,
            case.org["role"] not in ("creditor", "affiliate"),
        )
        self._covered, self._atlas = packs.covered, packs.atlas
        self.lacking = bool(self.missing(case))
        enforce = frozenset(ident for pack in house for ident in pack.enforce)
        own: Zones | None = None
        self.ruled: list[Ruled] = []
        self.watched: list[Ruled] = []
        for pack in self.packs:
            if pack.zones is None and own is None:
                own = self._own_zones(case)
            zones = pack.zones or own or ()
            picked = pack.pick(case, zones, STIRS, enforce)
            self.ruled.extend(Ruled(bound, pack, zones) for bound in picked.binding)
            self.watched.extend(Ruled(bound, pack, zones) for bound in picked.watched)
        reaching = {each.bound[4].ident for each in self.ruled}
        self.apart: tuple[Row, ...] = tuple(
            (ident, True, None, None)
            for pack in self.packs
            for ident in dict.fromkeys(law.ident for law in pack.rules)
            if ident not in reaching
        )
        self.zones: dict[str, Any] = {each.name: each for _, _, group in self.ruled for each in group}
        self._awake = [
            (number, each)
            for number, each in enumerate(self.ruled)
            if each.bound[4].woken_by is None or each.bound[4].woken_by in self.kind.stirs
        ]
        self._asked = 0
        self._written_after, self._shared = packs.written_after, packs.shared
        self._written: Written | None = None
        self._begin = -NEVER
        self.source = ""

    def missing(self, case: Case) -> set[str]:
        """Return the facts without which it is not even known which law applies."""
        found: set[str] = set()
        if not case.residences:
            found.add(f"parties.{case.recipient_id}.residence")
        if any("country" not in each for each in case.residences):
            found.add(f"parties.{case.recipient_id}.residence.country")
        if not case.debts:
            found.add("debts")
        found.update(f"rulepack.{country}" for country in case.countries - self._covered)
        if any(pack.zones is None for pack in self.packs):
            names = case.zone_names(self._atlas)
            try:
                if not resolve(names):
                    found.add(f"parties.{case.recipient_id}.zones")
            except UnknownZone as unknown:
                found.add(f"zone_data.{unknown.args[0]}")
        return found

    def _own_zones(self, case: Case) -> Zones:
        """Return the candidate zones of the recipient.

        Where they are unknown rules that no clock governs still speak; the missing fact keeps the ruling from allowing.
        """
        try:
            return resolve(case.zone_names(self._atlas)) or (zone("Etc/UTC"),)
        except UnknownZone:
            return (zone("Etc/UTC"),)

    def write(self, at: int) -> Written:
        """Write the rules out for acts at or after an instant, and return the function."""
        self._written, self.source, self._begin = write(self.ruled, self.kind, at, self.apart, self._shared)
        return self._written

    def seen(self, record: Record, instant: int) -> Seen:
        """Return what all rules say about a record at an instant; rows are left out while the rules are not written."""
        written = self._written
        if written is None:
            self._asked += 1
            if self._asked <= self._written_after:
                return self.asked(record, instant)
            written = self.write(instant)
        if instant < self._begin:
            return self.asked(record, instant)
        return written(record, instant)

    def explained(self, record: Record, instant: int) -> Seen:
        """Return what all rules say about a record at an instant, each with its row."""
        written = self._written
        if written is None or instant < self._begin:
            written = self.write(instant)
        return written(record, instant)

    def asked(self, record: Record, instant: int) -> Seen:
        """Return what the closures of all rules say about a record at an instant, without rows."""
        scenes: dict[str, Scene] = {}
        fired: list[tuple[int, Finding | None]] = []
        weight = until = 0
        for number, (bound, pack, zones) in self._awake:
            scene = scenes.get(pack.sha256)
            if scene is None:
                scene = scenes[pack.sha256] = _scene(record, pack, zones)
            answer = look(bound, scene, instant)
            if isinstance(answer, Finding):
                fired.append((number, answer))
                own = WEIGHT[answer.effect]
                weight |= own
                until = max(until, answer.until) if own else until
        return Seen(weight, (), fired, until)

    def silences(self, record: Record, instant: int, before: Mapping[int, int]) -> dict[int, int] | None:
        """Return by number until when each rule surely holds nothing back, None when one does at an instant.

        ``before`` is what was said at an earlier instant: only a rule whose silence is over by now is asked again.
        """
        found: dict[int, int] = {}
        for number, (bound, pack, zones) in self._awake:
            end = before.get(number, instant)
            if end <= instant:
                answer = look(bound, _scene(record, pack, zones), instant)
                if isinstance(answer, Finding):
                    if WEIGHT[answer.effect]:
                        return None
                    answer = answer.until
                end = answer
            found[number] = end
        return found

    def findings(self, record: Record, seen: Seen) -> list[tuple[Rule, Finding]]:
        """Return each rule that fired at the record's instant, with its finding."""
        found = []
        for number, finding in seen.fired:
            bound, pack, zones = self.ruled[number]
            if finding is None:
                answer = look(bound, _scene(record, pack, zones), record.at)
                assert isinstance(answer, Finding)
                finding = answer
            found.append((bound[4], finding))
        return found

    def not_ahead(self, numbers: Iterable[int], end: int, instant: int) -> NotAhead:
        """Return the fault that some of the rules, by number, lead from an instant to an end that is not after it."""
        idents = ", ".join(sorted({self.ruled[number].bound[4].ident for number in numbers}))
        return NotAhead(f"{idents}: asked at {instant_text(instant)}, answered until {instant_text(end)}")

    def watch(self, record: Record) -> Iterator[tuple[Rule, Finding]]:
        """Yield each shadow rule that would have fired at the record's instant."""
        for bound, pack, zones in self.watched:
            answer = look(bound, _scene(record, pack, zones), record.at)
            if isinstance(answer, Finding):
                yield bound[4], answer


def _scene(record: Record, pack: Pack, zones: Zones) -> Scene:
    # A record answers whatever a case would.
    return Scene(record, zones, pack.calendars, pack.lexicon)  # type: ignore[arg-type]


def program_of(record: Record, packs: PackSet, house: Sequence[Pack] = ()) -> Program:
    """Return the program for a record's kind under packs, made when the kind is first seen."""
    programs: dict[str, Program] = packs.programs if not house else _housed(packs, tuple(house))
    program = programs.get(record.kind)
    if program is None:
        program = _made(programs, record.kind, record, packs, house)
    if program.by_city:
        own = f"{record.kind} {record.cities}"
        program = programs.get(own) or _made(programs, own, record, packs, house)
    return program


def _made(programs: dict[str, Program], key: str, record: Record, packs: PackSet, house: Sequence[Pack]) -> Program:
    if len(programs) >= _MOST_PROGRAMS:
        programs.clear()
    program = programs[key] = Program(record, packs, house)
    return program


def _housed(packs: PackSet, house: tuple[Pack, ...]) -> dict[str, Program]:
    if house not in packs.housed and len(packs.housed) >= _MOST_HOUSES:
        packs.housed.clear()
    programs: dict[str, Program] = packs.housed.setdefault(house, {})
    return programs


class Decision(msgspec.Struct, gc=False):
    """What the law says about one record: the verdict at once, all else when it is asked for."""

    record: Record
    program: Program
    seen: Seen

    @property
    def verdict(self) -> str:
        """``allow``, ``defer``, ``review`` or ``deny``."""
        return _VERDICT[self.seen.weight | (REVIEW if self.program.lacking else 0)]

    def rows(self) -> tuple[Row, ...]:
        """Return every rule as id, ok, observed and limit: also those that let the act pass, and last those that cannot
        apply to an act of this kind."""
        return self.seen.rows or self.program.explained(self.record, self.record.at).rows

    def next_allowed(self) -> int | None:
        """Return the first instant at which no rule holds a deferred act back, None when none of 120 days has one.

        Raises NotAhead. Where the end of what holds the act back lies past a time on file, everything is looked at again at that time.
        """
        if self.seen.weight != DEFER or self.program.lacking:
            return None
        record, program, seen = self.record, self.program, self.seen
        instant = record.at
        last = instant + HORIZON_DAYS * DAY
        while seen.weight:
            if seen.until <= instant:
                raise program.not_ahead((number for number, _ in seen.fired), seen.until, instant)
            instant = self._no_later(seen.until, instant)
            if instant > last:
                return None
            seen = program.seen(record, instant)
        return instant

    def not_after(self) -> int | None:
        """Return the first instant at which a rule holds an allowed act back, None when none does within 120 days.

        Raises NotAhead.
        """
        if self.verdict != "allow":
            return None
        record, program = self.record, self.program
        instant = record.at
        last = instant + HORIZON_DAYS * DAY
        silences = program.silences(record, instant, {})
        while silences is not None:
            end = min(silences.values(), default=NEVER)
            if end <= instant:
                raise program.not_ahead((number for number, until in silences.items() if until == end), end, instant)
            instant = self._no_later(end, instant)
            if instant > last:
                return None
            # What a rule says holds while no time on file begins or ends.
            silences = program.silences(record, instant, silences if end < record.turn else {})
        return instant

    def _no_later(self, end: int, instant: int) -> int:
        """Return an end, or the next time on file after an instant when that comes first."""
        if end < self.record.turn:
            return end
        return min(end, min((turn for turn in self._turning_points() if turn > instant), default=NEVER))

    def _turning_points(self) -> Iterator[int]:
        # Texts of dates and instants sort as time does, which spares reading those long past.
        past = date_text(self.record.at // DAY - 2)
        for text in self.record.case.times():
            if text < past:
                continue
            if is_instant(text):
                begin = instant_of(text)
                yield begin
                yield begin + 1
            else:
                day = day_of(text)
                for each in self.program.zones.values():
                    yield each.midnight(day)
                    yield each.midnight(day + 1)

    def ruling(self) -> dict[str, Any]:
        """Return the ruling as the outer face has it."""
        record, program = self.record, self.program
        findings = program.findings(record, self.seen)
        lacking = {fact for _, finding in findings for fact in finding.missing}
        if program.lacking:
            lacking |= program.missing(record.case)
        duties = [
            {"rule": law.ident, "due": instant_text(finding.duty["due"]), "what": finding.duty["what"]}
            for law, finding in findings
            if finding.duty is not None
        ]
        following, last = self.next_allowed(), self.not_after()
        return {
            "id": record.id,
            "verdict": self.verdict,
            "next_allowed_at": None if following is None else instant_text(following),
            "not_after": None if last is None else instant_text(last),
            "rules": _in_order(findings),
            "shadow": _in_order(program.watch(record)),
            "obligations": sorted(duties, key=lambda each: (each["due"], each["rule"])),
            "missing": sorted(lacking),
            "packs": [{"id": each.ident, "version": each.version, "sha256": each.sha256} for each in program.packs],
            "zone_data": ZONE_DATA,
        }


def judge(record: Record, packs: PackSet, house: Sequence[Pack] = ()) -> Decision:
    """Return the decision on a record under packs, and under a lender's house packs beside them."""
    program = program_of(record, packs, house)
    return Decision(record, program, program.seen(record, record.at))


def _entry(law: Rule, finding: Finding) -> dict[str, Any]:
    """Return how a ruling tells of one rule that fired."""
    return {
        "id": law.ident,
        "effect": finding.effect,
        "citation": law.citation,
        "grade": law.data["grade"],
        "confidence": law.data["confidence"],
        "observed": finding.observed,
        "limit": finding.limit,
        "until": None if finding.until >= LAST else instant_text(finding.until),
        "because": finding.because,
    }


def _in_order(fired: Iterable[tuple[Rule, Finding]]) -> list[dict[str, Any]]:
    """Return the entries of rules that fired, the gravest first."""
    entries = [_entry(law, finding) for law, finding in fired]
    return sorted(entries, key=lambda each: (_SEVERITY[each["effect"]], each["id"], each["because"]))
