"""What one rule looks at: the case, the zones of the pack that the rule is in, and how a rule answers."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from chalicelib.domain.compliance.case import DEBT_SIDE, Case, Event, Facts
from chalicelib.domain.compliance.lexicon import Hit, Lexicon
from chalicelib.domain.compliance.timeline import NEVER, Calendar, Zones, instant_of


class Finding:
    """One rule that fired: its effect, until when it surely fires, and what it saw.

    ``until`` is exclusive and NEVER without a known end. ``missing`` names facts that the rule needs and the file lacks.
    """

    __slots__ = ("because", "duty", "effect", "limit", "missing", "observed", "until")

    def __init__(
        self,
        effect: str,
        until: int = NEVER,
        observed: Any = None,
        limit: Any = None,
        because: str = "",
        missing: tuple[str, ...] = (),
        duty: Mapping[str, Any] | None = None,
    ) -> None:
        self.effect = effect
        self.until = until
        self.observed = observed
        self.limit = limit
        self.because = because
        self.missing = missing
        self.duty = duty


Answer = Finding | int
"""A finding, or the instant until which the rule surely does not fire."""


class Words(NamedTuple):
    """What a list finds: each word with its category and place, until when one of them is forbidden, and if none is
    now, from when one will be."""

    seen: tuple[str, ...]
    until: int
    quiet: int


class Scene:
    """One case under one pack. The zones are the pack's own where the law names one, else the recipient's."""

    __slots__ = ("_lender_debts", "calendars", "case", "lexicon", "zones")

    def __init__(self, case: Case, zones: Zones, calendars: Mapping[str, Calendar], lexicon: Lexicon) -> None:
        self.case = case
        self.zones = zones
        self.calendars = calendars
        self.lexicon = lexicon
        self._lender_debts: frozenset[str] | None = None

    @property
    def folded_text(self) -> str:
        """Text of the content with look-alikes, spaces and punctuation taken away."""
        return self.lexicon.scan(self.case.text)[0].text

    def words(self, name: str, instant: int) -> "Words":
        """Return the words of a list that the text holds and that are forbidden at an instant."""
        hits: list[Hit] = []
        until, quiet = 0, NEVER
        for hit in self.lexicon.hits(name, self.case.text):
            begins = -NEVER if hit.first is None else min(each.midnight(hit.first) for each in self.zones)
            ends = NEVER if hit.last is None else max(each.midnight(hit.last + 1) for each in self.zones)
            if instant < begins:
                quiet = min(quiet, begins)
            elif instant < ends:
                hits.append(hit)
                until = max(until, ends)
        return Words(tuple(f"{name}: {hit.word} at {hit.at}" for hit in hits), until, quiet)

    @property
    def lender_debts(self) -> frozenset[str]:
        """Debts of the lenders that the act is about."""
        if self._lender_debts is None:
            self._lender_debts = self.case.lender_debts()
        return self._lender_debts


Check = Callable[[Scene, int], Answer]
"""A compiled rule: what it says about the case at an instant."""


def missing(*facts: str) -> Finding:
    """Return the review that a rule asks for when facts it needs are not on file."""
    return Finding("review", because="not on file: " + ", ".join(facts), missing=facts)


def third_party_actor(case: Case) -> bool:
    """Tell whether somebody other than the creditor acts."""
    return case.org["role"] not in ("creditor", "affiliate")


def concerns(entry: Facts, case: Case) -> bool:
    """Tell whether a hold or notice is about a debt of the act; one that names no debt is about all."""
    debt = entry.get("debt")
    return debt is None or debt in case.debt_ids


def on_case(party: str | None, case: Case) -> bool:
    """Tell whether a hold on this person covers the whole case: nobody named, the recipient or somebody who owes."""
    if party is None or party == case.recipient_id:
        return True
    holder = case.parties.get(party)
    return holder is None or holder["role"] in DEBT_SIDE


def is_first(case: Case, instant: int) -> bool:
    """Tell whether this would be the actor's first communication with the recipient about the debt."""
    stated = case.content.get("first")
    if stated is not None:
        return bool(stated)
    return not any(
        not event.inbound
        and event.at <= instant
        and event.party == case.recipient_id
        and event.org in (None, case.org_id)
        and (event.debts is None or not event.debts.isdisjoint(case.debt_ids))
        for event in case.history
    )


def touches(event: Event, debts: frozenset[str]) -> bool:
    """Tell whether an event was about one of the debts; one that names none may have been."""
    return event.debts is None or not event.debts.isdisjoint(debts)


def covers(consent: Facts, case: Case, medium: str) -> bool:
    """Tell whether a permission reaches a medium and the act's address: nothing is permitted that it does not name."""
    if consent["party"] != case.recipient_id or consent.get("medium") not in (medium, "all"):
        return False
    if "point" in consent and consent.get("scope", "address") == "address":
        return bool(consent["point"] == case.point_id)
    return True


def stops(consent: Facts, case: Case, medium: str) -> bool:
    """Tell whether a refusal reaches a medium and the act's address: what it does not narrow, it covers."""
    if consent["party"] != case.recipient_id:
        return False
    scope = consent.get("scope")
    if scope == "all":
        return True
    if consent.get("medium", "all") not in (medium, "all"):
        return False
    if "point" in consent and scope in (None, "address"):
        return bool(consent["point"] == case.point_id)
    return True


def since(consent: Facts) -> int:
    """Return the instant of a ledger entry."""
    return instant_of(consent["at"])
