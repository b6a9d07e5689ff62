"""What a simulation adds up: counts, by whom and by what, delays and examples; parts of it merge in any order."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from chalicelib.domain.whatif.strategy import Traits
from chalicelib.domain.whatif.supposed import Outcome

MOST_EXAMPLES = 20
"""Examples of each kind in a result."""

KIND_OF = {
    "deny": "newly_denied",
    "defer": "newly_deferred",
    "review": "newly_reviewed",
    "allow": "newly_allowed",
}
_RANK = {"allow": 0, "defer": 1, "review": 2, "deny": 3}
_DAY = 1_440

METHOD = (
    "Each recorded wish is ruled on twice on its recorded dossier: under the packs and house rules of today, and as supposed. The counts are differences between these two, so "
    "a change of law since the day itself is not among them (drifted counts those).",
    "Each dossier keeps its own recorded history: a contact that the supposition would have stopped still counts in the caps of later ones, and one that it would have allowed "
    "does not. Effects of pace are therefore understated; the true count of held contacts lies at or above this one where caps bind.",
    "newly_allowed can come from a draft in the place of a shipped pack, or from other house rules: such a supposition is looser than today there.",
    "A delay lasts until nothing holds the act back any more. Where that never comes with the facts on file (deferred_without_end; a balance that goes stale meanwhile does that), it "
    "lasts until the latest end that the deferring rules name, if one does.",
    "What a person decided in review is not supposed anew: a wish that was in review stays so unless the verdict changes.",
    "A strategy changes one act at a time: content and disclosures stay as recorded, a shifted act is rendered anew with a balance as old as it was, and consent to another channel is "
    "what the dossier holds.",
    "Persons whose keys were destroyed are counted as erased and in nothing else.",
)  # fmt: skip
"""How the figures come about, and what they cannot show; part of each answer."""


@dataclass
class Tally:
    """Counts of one part of the traffic; JSON in and out, and merging is adding."""

    counts: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    by: dict[str, dict[str, Counter[str]]] = field(default_factory=dict)
    delays: Counter[int] = field(default_factory=Counter)
    examples: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def add(
        self,
        *,
        where: Mapping[str, str],
        traits: Traits,
        recorded: str,
        before: Outcome,
        after: Outcome | None,
        change: str | None,
    ) -> None:
        """Count one wish. ``after`` is None when a strategy lets nothing happen; ``where`` names contact, case, instant."""
        self.counts["decisions"] += 1
        self.counts["drifted"] += before.verdict != recorded
        self._group(traits, "decisions")
        if change is not None:
            self.counts[change] += 1
            self._group(traits, change)
        if after is None:
            self._example(change or "dropped", where, before.verdict, None, frozenset())
            return
        self.verdicts[f"{before.verdict}>{after.verdict}"] += 1
        if after.verdict == before.verdict:
            same = (after.next_allowed_at, after.not_after) == (before.next_allowed_at, before.not_after)
            self.counts["unchanged" if same else "same_verdict_other_times"] += 1
            return
        kind = KIND_OF[after.verdict]
        tighter = _RANK[after.verdict] > _RANK[before.verdict]
        self.counts[kind] += 1
        self.counts["tightened" if tighter else "loosened"] += 1
        self._group(traits, kind)
        # What tightens are rules that hold now and did not before; what loosens are those that hold no more.
        rules = after.rules - before.rules if tighter else before.rules - after.rules
        for ident in rules:
            self.by.setdefault("rule", {}).setdefault(ident, Counter())[kind] += 1
        if after.verdict == "defer":
            self.counts["deferred_without_end"] += after.next_allowed_at is None
            self._delay(where["at"], after.next_allowed_at or after.held_until)
        self._example(kind, where, before.verdict, after.verdict, rules)

    def miss(self, reason: str) -> None:
        """Count one wish that cannot be ruled on again: ``erased`` or ``not_replayable``."""
        self.counts[reason] += 1

    def _group(self, traits: Traits, kind: str) -> None:
        for dimension in ("agency", "stage", "channel", "purpose"):
            self.by.setdefault(dimension, {}).setdefault(getattr(traits, dimension), Counter())[kind] += 1

    def _delay(self, at: str, until: str | None) -> None:
        if until is None:
            return
        minutes = int((datetime.fromisoformat(until) - datetime.fromisoformat(at)).total_seconds() // 60)
        self.delays[minutes if minutes < _DAY else minutes // 60 * 60] += 1

    def _example(
        self, kind: str, where: Mapping[str, str], before: str, after: str | None, rules: frozenset[str]
    ) -> None:
        listed = self.examples.setdefault(kind, [])
        if len(listed) < MOST_EXAMPLES:
            listed.append({**where, "was": before, "would_be": after, "rules": sorted(rules)})

    def merge(self, other: "Tally") -> None:
        """Add another part."""
        self.counts += other.counts
        self.verdicts += other.verdicts
        self.delays += other.delays
        for dimension, values in other.by.items():
            for value, counted in values.items():
                mine = self.by.setdefault(dimension, {}).setdefault(value, Counter())
                mine += counted
                self.by[dimension][value] = mine
        for kind, listed in other.examples.items():
            both = [*self.examples.get(kind, []), *listed]
            self.examples[kind] = sorted(both, key=lambda each: (each["at"], each["contact"]))[:MOST_EXAMPLES]

    def as_json(self) -> dict[str, Any]:
        """Return plain values that ``from_json`` reads."""
        return {
            "counts": dict(self.counts),
            "verdicts": dict(self.verdicts),
            "by": {name: {value: dict(counted) for value, counted in found.items()} for name, found in self.by.items()},
            "delays": {str(minutes): number for minutes, number in self.delays.items()},
            "examples": self.examples,
        }

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "Tally":
        """Return what ``as_json`` wrote."""
        return cls(
            counts=Counter(told["counts"]),
            verdicts=Counter(told["verdicts"]),
            by={name: {value: Counter(n) for value, n in found.items()} for name, found in told["by"].items()},
            delays=Counter({int(minutes): number for minutes, number in told["delays"].items()}),
            examples={kind: list(listed) for kind, listed in told["examples"].items()},
        )


COUNTED = (
    "decisions",
    "unchanged",
    "same_verdict_other_times",
    "newly_denied",
    "newly_deferred",
    "newly_reviewed",
    "newly_allowed",
    "tightened",
    "loosened",
    "dropped",
    "unreachable",
    "rechannelled",
    "shifted",
    "deferred_without_end",
    "drifted",
    "erased",
    "not_replayable",
)
"""Every count of a result, also those that are 0."""


def result_of(parts: Iterable[Tally], *, rule_set: Mapping[str, Any]) -> dict[str, Any]:
    """Return the result of a simulation from its parts; ``rule_set`` names what it was compared with."""
    whole = Tally()
    for part in parts:
        whole.merge(part)
    return {
        "counts": {name: whole.counts[name] for name in COUNTED},
        "verdicts": dict(sorted(whole.verdicts.items())),
        "by": {
            name: {value: dict(sorted(n.items())) for value, n in sorted(whole.by.get(name, {}).items())}
            for name in ("rule", "agency", "stage", "channel", "purpose")
        },
        "delays": delays_of(whole.delays),
        "examples": {kind: whole.examples[kind] for kind in sorted(whole.examples)},
        "compared_with": dict(rule_set),
        "method": list(METHOD),
    }


def delays_of(delays: Mapping[int, int]) -> dict[str, int | None]:
    """Return count, median, 90th and 99th percentile and the longest of the delays, in minutes (nearest rank).

    Delays of a day and more are counted in whole hours.

    >>> delays_of({30: 3, 600: 1})
    {'count': 4, 'median_minutes': 30, 'p90_minutes': 600, 'p99_minutes': 600, 'longest_minutes': 600}
    """
    total = sum(delays.values())

    def rank(share: int) -> int | None:
        wanted, seen = -(-total * share // 100), 0
        for minutes in sorted(delays):
            seen += delays[minutes]
            if seen >= wanted:
                return minutes
        return None

    return {
        "count": total,
        "median_minutes": rank(50),
        "p90_minutes": rank(90),
        "p99_minutes": rank(99),
        "longest_minutes": max(delays, default=None),
    }
