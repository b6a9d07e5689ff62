"""The ruling on one dossier: every rule that reaches it, the strictest wins, with the next allowed instant.

Each rule answers at an instant either with a finding that surely stands until some instant, or with the instant until
which it surely stays silent. The earliest allowed instant is then a fix-point: go to the last end of the findings that
stand, look again, and so on. Facts that begin or end later (a hold, a placement, a certificate) are turning points at
which everything is looked at again.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from chalicelib.domain.compliance.case import Case, resolve
from chalicelib.domain.compliance.form import check_dossier
from chalicelib.domain.compliance.packs import Bound, Pack, PackSet, Rule
from chalicelib.domain.compliance.scene import Answer, Finding, Scene
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
    zone,
)

BLOCKING = frozenset(("deny", "require", "review", "defer"))
_SEVERITY = {"deny": 0, "require": 1, "review": 2, "defer": 3, "oblige": 4, "nocount": 5}


def _look(bound: Bound, scene: Scene, instant: int) -> Answer:
    """Return what a rule says at an instant, silent outside its time in force, in doubt where it may not apply."""
    check, start, end, unsure, _ = bound
    if instant < start:
        return start
    if instant >= end:
        return NEVER
    answer = check(scene, instant)
    if unsure and isinstance(answer, Finding):
        answer = _doubt(answer, unsure)
    if end == NEVER:
        return answer
    if isinstance(answer, Finding):
        answer.until = min(answer.until, end)
        return answer
    return min(answer, end)


def _doubt(finding: Finding, unsure: tuple[str, ...]) -> Answer:
    """Return what remains of a finding when it cannot be told that the rule applies: a person decides."""
    if finding.effect not in BLOCKING:
        return NEVER
    because = f"if the rule applies: {finding.because}"
    return Finding("review", finding.until, finding.observed, finding.limit, because, (*unsure, *finding.missing))


class _Play:
    """All rules over one case, looked at from instant to instant."""

    def __init__(
        self, case: Case, packs: PackSet, house: Sequence[Pack] = (), stirs: frozenset[str] | None = None
    ) -> None:
        stirs = case.stirs() if stirs is None else stirs
        self.case = case
        self.missing: set[str] = set()
        self.packs: tuple[Pack, ...] = (*packs.chosen(case), *house)
        self.rules: list[Bound] = []
        self.scenes: list[Scene] = []
        self.watched: list[tuple[Bound, Scene]] = []
        self.answers: list[Answer] = []
        self._turns: list[int] | None = None
        if not case.residences:
            self.missing.add(f"parties.{case.recipient_id}.residence")
        if any("country" not in each for each in case.residences):
            self.missing.add(f"parties.{case.recipient_id}.residence.country")
        if not case.debts:
            self.missing.add("debts")
        self.missing.update(f"rulepack.{country}" for country in case.countries - packs.covered)
        enforce = frozenset(ident for pack in house for ident in pack.enforce)
        own: Zones | None = None
        everywhere: list[Zones] = []
        for pack in self.packs:
            zones = pack.zones
            if zones is None:
                if own is None:
                    own = self._own_zones(packs)
                zones = own
            everywhere.append(zones)
            scene = Scene(case, zones, pack.calendars, pack.lexicon)
            picked = pack.pick(case, zones, stirs, enforce)
            self.rules.extend(picked.binding)
            self.scenes.extend([scene] * len(picked.binding))
            self.watched.extend((bound, scene) for bound in picked.watched)
        self._zones = everywhere

    def _own_zones(self, packs: PackSet) -> Zones:
        names = self.case.zone_names(packs.atlas)
        try:
            if names:
                return resolve(names)
            self.missing.add(f"parties.{self.case.recipient_id}.zones")
        except UnknownZone as unknown:
            self.missing.add(f"zone_data.{unknown.args[0]}")
        # Rules that no clock governs still speak; the missing fact already keeps the ruling from allowing.
        return (zone("Etc/UTC"),)

    def begin(self) -> None:
        """Look at every rule at the instant of the act."""
        at = self.case.at
        self.answers = [_look(bound, scene, at) for bound, scene in zip(self.rules, self.scenes, strict=True)]

    def fired(self) -> list[tuple[Rule, Finding]]:
        """Return each rule that fired at the instant of the act, once ``begin`` was called."""
        return [
            (bound[4], answer)
            for bound, answer in zip(self.rules, self.answers, strict=True)
            if isinstance(answer, Finding)
        ]

    def watch(self) -> Iterator[tuple[Rule, Finding]]:
        """Yield each shadow rule that would have fired at the instant of the act."""
        for bound, scene in self.watched:
            answer = _look(bound, scene, self.case.at)
            if isinstance(answer, Finding):
                yield bound[4], answer

    def look(self, instant: int, *, afresh: bool) -> list[Finding]:
        """Return what holds the act back at an instant; without ``afresh`` only outdated answers are asked for again."""
        blocking = []
        answers = self.answers
        for index, answer in enumerate(answers):
            if afresh or (answer.until if isinstance(answer, Finding) else answer) <= instant:
                answer = answers[index] = _look(self.rules[index], self.scenes[index], instant)
            if isinstance(answer, Finding) and answer.effect in BLOCKING:
                blocking.append(answer)
        return blocking

    def next_turn(self, instant: int) -> int:
        """Return the next instant at which a fact on file begins or ends."""
        if self._turns is None:
            self._turns = sorted(set(self._turning_points()))
        return next((turn for turn in self._turns if turn > instant), NEVER)

    def _turning_points(self) -> Iterator[int]:
        at = self.case.at
        zones = {each.name: each for group in self._zones for each in group}.values()
        # Texts of dates and instants sort as time does, which spares reading those long past.
        past = date_text(at // DAY - 2)
        for text in _times(self.case):
            if text < past:
                continue
            if len(text) > 10:
                begin = instant_of(text)
                yield begin
                yield begin + 1
            else:
                day = day_of(text)
                for each in zones:
                    yield each.midnight(day)
                    yield each.midnight(day + 1)

    def first_allowed(self) -> int | None:
        """Return the first instant after the case's own at which no rule holds the act back, within the horizon."""
        instant = self.case.at
        last = instant + HORIZON_DAYS * DAY
        blocking = [each for each in self.answers if isinstance(each, Finding) and each.effect in BLOCKING]
        while blocking:
            turn = self.next_turn(instant)
            instant = min(max(finding.until for finding in blocking), turn)
            if instant > last:
                return None
            blocking = self.look(instant, afresh=instant == turn)
        return instant

    def last_allowed(self) -> int | None:
        """Return the first instant at which a rule holds the act back, None when none does within the horizon."""
        instant = self.case.at
        last = instant + HORIZON_DAYS * DAY
        while True:
            turn = self.next_turn(instant)
            instant = min((each for each in self.answers if type(each) is int), default=NEVER)
            instant = min(instant, turn)
            if instant > last:
                return None
            if self.look(instant, afresh=instant == turn):
                return instant


def _times(case: Case) -> Iterator[str]:
    """Yield every time on file at which a fact may begin or end."""
    at = case.at
    for event in reversed(case.history):
        if event.at <= at:
            break
        yield instant_text(event.at)
    for consent in case.consents:
        yield consent["at"]
        for key in ("expires", "deadline"):
            if key in consent:
                yield consent[key]
        if "until" in consent.get("times", {}):
            yield consent["times"]["until"]
    for entries, keys in (
        (case.holds, ("from", "until", "released_at")),
        (case.notices, ("at", "deadline", "returned_at")),
        (
            case.debts,
            (
                "placed_from",
                "placed_to",
                "limitation_expires_on",
                "guarantee_until",
                "amount_as_of",
                "collection_began_on",
            ),
        ),
        ((case.org,), ("listed_from", "listed_to", "inspected_on")),
        (() if case.collector is None else (case.collector,), ("certified_to",)),
        (case.parties.values(), ("stop_requested_at", "birth_date")),
    ):
        for entry in entries:
            for key in keys:
                text = entry.get(key)
                if text is not None:
                    yield text
    for debt in case.debts:
        yield from debt.get("validation", {}).values()
    for party in case.parties.values():
        lost = party.get("lost_contact", {})
        if "since" in lost:
            yield lost["since"]
        yield from lost.get("failed_dials", ())
        for key in ("since", "unresponsive_since"):
            if key in party.get("attorney", {}):
                yield party["attorney"][key]


def rule(dossier: Mapping[str, Any], packs: PackSet, house: Sequence[Pack] = ()) -> dict[str, Any]:
    """Return the ruling on a dossier under the given packs, and under a lender's house packs beside them.

    House packs only add findings, so the ruling with them is never looser than without. Pure: it depends on nothing but
    its arguments and the pinned zone data, and not on the order of lists that are ledgers. Raises DossierError when the
    dossier is malformed.
    """
    return decide(Case(check_dossier(dossier)), packs, house)


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


def decide(case: Case, packs: PackSet, house: Sequence[Pack] = ()) -> dict[str, Any]:
    """Return the ruling on a case whose dossier was checked before."""
    play = _Play(case, packs, house)
    play.begin()
    fired = play.fired()
    lacking = play.missing.union(*(finding.missing for _, finding in fired))
    effects = {finding.effect for _, finding in fired}
    duties = [
        {"rule": law.ident, "due": instant_text(finding.duty["due"]), "what": finding.duty["what"]}
        for law, finding in fired
        if finding.duty is not None
    ]
    verdict = (
        "deny"
        if not effects.isdisjoint(("deny", "require"))
        else "review"
        if "review" in effects or lacking
        else "defer"
        if "defer" in effects
        else "allow"
    )
    following = play.first_allowed() if verdict == "defer" else None
    last = play.last_allowed() if verdict == "allow" else None
    return {
        "id": case.id,
        "verdict": verdict,
        "next_allowed_at": None if following is None else instant_text(following),
        "not_after": None if last is None else instant_text(last),
        "rules": _in_order(fired),
        "shadow": _in_order(play.watch()),
        "obligations": sorted(duties, key=lambda each: (each["due"], each["rule"])),
        "missing": sorted(lacking),
        "packs": [{"id": each.ident, "version": each.version, "sha256": each.sha256} for each in play.packs],
        "zone_data": ZONE_DATA,
    }


def played(dossier: Mapping[str, Any], packs: PackSet, house: Sequence[Pack] = ()) -> list[tuple[Rule, Finding | None]]:
    """Return every rule that can apply to a dossier with its finding, None where it stays silent.

    This is the ruling before it is summed up, for counter-checks of packs and for what-if runs.
    """
    play = _Play(Case(check_dossier(dossier)), packs, house, STIRS)
    play.begin()
    return [
        (bound[4], answer if isinstance(answer, Finding) else None)
        for bound, answer in zip(play.rules, play.answers, strict=True)
    ]


def fired(
    dossier: Mapping[str, Any], packs: PackSet, house: Sequence[Pack] = ()
) -> dict[tuple[str, str], Mapping[str, Any]]:
    """Return the authored data of each rule that a ruling names, shadow rules included, by its id and ``because``."""
    play = _Play(Case(check_dossier(dossier)), packs, house)
    play.begin()
    return {(law.ident, finding.because): law.data for law, finding in (*play.fired(), *play.watch())}
