"""Compares recorded decisions with what would come of them under a supposition."""

from collections.abc import Iterable, Mapping
from typing import Any

from chalicelib.domain.compliance.documents import ENGINE_FORMAT
from chalicelib.domain.compliance.form import DossierError
from chalicelib.domain.compliance.packs import Pack
from chalicelib.domain.compliance.timeline import ZONE_DATA
from chalicelib.domain.events import Event
from chalicelib.domain.whatif.strategy import apply, traits_of
from chalicelib.domain.whatif.supposed import Supposition, outcome_of
from chalicelib.domain.whatif.tally import Tally, result_of


class Compared:
    """Adds up one part of the traffic."""

    def __init__(self, supposition: Supposition) -> None:
        """Start with nothing counted."""
        self._supposed = supposition
        self._tally = Tally()

    def add(self, event: Event, opened: Mapping[str, Any] | str) -> None:
        """Take one recorded decision with its opened payload, or with the reason why it has none."""
        if isinstance(opened, str):
            self._tally.miss(opened)
            return
        supposed, dossier = self._supposed, opened["dossier"]
        try:
            traits = traits_of(dossier, country=event.data["country"])
            before = outcome_of(dossier, supposed.present, supposed.present_house)
            act = apply(supposed.strategy, dossier, traits, supposed.present.atlas)
            after = None if act.dossier is None else outcome_of(act.dossier, supposed.packs, supposed.house)
        except DossierError:
            # Recorded by another engine in a form that this one does not read any more.
            self._tally.miss("not_replayable")
            return
        self._tally.add(
            where={"contact": event.data["contact"], "case": event.stream, "at": dossier["at"]},
            traits=traits,
            recorded=opened["ruling"]["verdict"],
            before=before,
            after=after,
            change=act.change,
        )

    def resume(self, tally: Mapping[str, Any]) -> None:
        """Go on from what was counted before."""
        self._tally.merge(Tally.from_json(tally))

    def tally(self) -> dict[str, Any]:
        """Return what was counted, as plain values."""
        return self._tally.as_json()

    def result(self, tallies: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        """Return the result of all parts, with what it was compared with."""
        supposed = self._supposed
        named: list[Pack] = [supposed.present.pack(ident) for ident in supposed.present.index]
        return result_of(
            map(Tally.from_json, tallies),
            rule_set={
                "packs": sorted([each.ident, each.version, each.sha256] for each in (*named, *supposed.present_house)),
                "zone_data": ZONE_DATA,
                "engine": ENGINE_FORMAT,
            },
        )
