"""Rule packs at run time: compiled law read as plain JSON, turned into closures for the acts that meet it.

Packs are validated when the package is built (``python -m scripts.packs``); nothing is validated here. A pack is read
when a case first needs it, and the rules that can apply to one kind of act are picked once and kept.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from chalicelib.domain.compliance.case import Atlas, Case, Facts
from chalicelib.domain.compliance.lexicon import Lexicon
from chalicelib.domain.compliance.scene import Check
from chalicelib.domain.compliance.shapes import SHAPES, woken_by
from chalicelib.domain.compliance.timeline import NEVER, Calendar, Zones, day_of, zone

COMPILED = Path(__file__).resolve().parents[2] / "rulepacks" / "compiled"

_MOST_KINDS = 512
"""For how many kinds of act, and of places, what applies is remembered at most."""

Signature = tuple[Any, ...]

KEYS = (
    "channel", "purpose", "dialler", "actor", "to", "product", "creditor_kind", "creditor_role", "region", "point_kind",
    "point_place",
)  # fmt: skip
"""What ``when`` may ask about an act; each also with ``not_`` before it."""

_FACT_OF = {
    "product": "debts.product",
    "creditor_kind": "debts.creditor_kind",
    "creditor_role": "orgs.creditor",
    "region": "parties.residence.region",
    "point_kind": "act.point",
    "point_place": "points.place",
}


class Rule:
    """One compiled rule: where it comes from, when it is in force and its check."""

    __slots__ = ("check", "citation", "data", "first_day", "ident", "last_day", "woken_by")

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.data = data
        self.ident: str = data["id"]
        self.citation: str = data["citation"]
        self.first_day: int | None = day_of(data["from"]) if data.get("from") else None
        self.last_day: int | None = day_of(data["to"]) if data.get("to") else None
        self.woken_by = woken_by(data["shape"], data["params"])
        self.check: Check = SHAPES[data["shape"]].build(data["params"])

    def in_force(self, zones: Zones) -> tuple[int, int]:
        """Return the instants from and until which the rule applies; a date begins where it begins first."""
        start = -NEVER if self.first_day is None else min(each.midnight(self.first_day) for each in zones)
        end = NEVER if self.last_day is None else max(each.midnight(self.last_day + 1) for each in zones)
        return start, end


def _meets(condition: Any, value: Any) -> bool | None:
    """Tell whether a value, or one of several, is among the wanted ones; None when that is not known."""
    if isinstance(value, frozenset):
        if not value.isdisjoint(condition):
            return True
        return None if None in value or not value else False
    if value is None:
        return None
    return value in condition


Bound = tuple[Check, int, int, tuple[str, ...], Rule]
"""A rule that can apply: its check, from and until when it is in force, the facts without which that is unsure."""


class Picked(NamedTuple):
    """The rules that can apply to one kind of act: those that bind, and those that are only watched."""

    binding: tuple[Bound, ...]
    watched: tuple[Bound, ...]


class Pack:
    """The law of one jurisdiction at one version, or the house rules of one lender, which have the same form.

    ``enforce`` of a house pack names shadow rules, its own or the law's, that bind all the same for this lender.
    With ``shadow`` every shadow rule binds: what the ruling would be if they were law.
    """

    def __init__(self, data: Mapping[str, Any], sha256: str, *, shadow: bool = False) -> None:
        self.ident: str = data["id"]
        self.version: str = data["version"]
        self.sha256 = sha256
        self.data = data
        self.zones: Zones | None = (zone(data["zone"]),) if data.get("zone") else None
        self.calendars = {name: Calendar(name, years) for name, years in data["calendars"].items()}
        self.lexicon = Lexicon(data["lexicon"])
        self.cities: Mapping[str, Any] = data.get("cities", {})
        self.enforce = frozenset(data.get("enforce", ()))
        self.rules = tuple(Rule(each) for each in data["rules"] if shadow or each["status"] == "enforced")
        self.watched = tuple(Rule(each) for each in data["rules"] if not shadow and each["status"] == "shadow")
        self._picked: dict[tuple[Signature, Zones, frozenset[str], frozenset[str]], Picked] = {}

    def places(self, case: Case) -> frozenset[str | None]:
        """Return the regions and cities of every residence on file, with None where one is not known."""
        found: set[str | None] = set()
        for residence in case.residences:
            region = residence.get("region")
            found.add(region)
            for code, city in self.cities.items():
                if region == city["region"]:
                    found.add(_city(residence, code, city))
        found.discard("")
        return frozenset(found)

    def signature(self, case: Case) -> Signature:
        """Return what decides which rules can apply to a case, in the order of KEYS."""
        debts = case.debts
        point = case.point
        return (
            case.channel,
            case.purpose,
            case.dialler,
            case.org["role"],
            case.role,
            frozenset(debt.get("product") for debt in debts),
            frozenset(debt.get("creditor_kind") for debt in debts),
            frozenset(case.orgs.get(debt["creditor"], {}).get("role") for debt in debts),
            self.places(case),
            None if point is None else point["kind"],
            None if point is None else point.get("place", "unstated"),
        )

    def pick(self, case: Case, zones: Zones, stirs: frozenset[str], enforce: frozenset[str] = frozenset()) -> Picked:
        """Return the rules that can apply to a case, bound to the instants between which they are in force.

        Rules that have nothing to say without a hold, a ledger entry, a past or a claim are left out where none stirs.
        Shadow rules whose id is in ``enforce`` bind like the others.
        """
        key = (self.signature(case), zones, stirs, enforce)
        picked = self._picked.get(key)
        if picked is None:
            if len(self._picked) >= _MOST_KINDS:
                self._picked.clear()
            values = dict(zip(KEYS, key[0], strict=True))
            binding = [*self.rules, *(rule for rule in self.watched if rule.ident in enforce)]
            watched = [rule for rule in self.watched if rule.ident not in enforce]
            picked = self._picked[key] = Picked(
                *(
                    tuple(
                        (rule.check, *rule.in_force(zones), unsure, rule)
                        for rule, unsure in _reaching(rules, values)
                        if rule.woken_by is None or rule.woken_by in stirs
                    )
                    for rules in (binding, watched)
                )
            )
        return picked

    @cached_property
    def described(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the authored data of each rule by its id, shadow rules included."""
        return {each["id"]: each for each in self.data["rules"]}


def _reaching(rules: Iterable[Rule], values: Mapping[str, Any]) -> Iterator[tuple[Rule, tuple[str, ...]]]:
    """Yield the rules whose conditions an act meets, with the facts without which that is unsure."""
    for rule in rules:
        unknown: list[str] = []
        for key, condition in rule.data.get("when", {}).items():
            name = key.removeprefix("not_")
            meets = _meets(condition, values[name])
            if meets is None:
                unknown.append(_FACT_OF.get(name, name))
            elif meets is key.startswith("not_"):
                break
        else:
            yield rule, tuple(sorted(unknown))


def _city(residence: Facts, code: str, city: Mapping[str, Any]) -> str | None:
    """Return the code of a city when the residence lies in it, "" when elsewhere, None when it does not say."""
    name, postal = residence.get("city"), residence.get("postal_code")
    if name is not None and name.strip().lower() in city["names"]:
        return code
    if postal is not None and postal.strip().startswith(tuple(city["postal_prefixes"])):
        return code
    return None if name is None and postal is None else ""


class PackSet:
    """Every pack that was shipped, read when first needed.

    With ``shadow`` drafts and unverified rules fire too: what the ruling would be if they were law. Never for sending.
    """

    written_after = 3
    """How often the rules for one kind of act are asked as closures before they are written out as one function, which
    takes some milliseconds."""

    def __init__(self, folder: Path = COMPILED, *, shadow: bool = False) -> None:
        self._folder = folder
        self._shadow = shadow
        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        self._begin(index["packs"], index["zones"])

    def _begin(self, index: Mapping[str, Mapping[str, Any]], zones: Mapping[str, Any]) -> None:
        self.index = index
        self.atlas = Atlas(zones["countries"], zones["regions"])
        self.atlas_text = atlas_text(zones)
        self._packs: dict[str, Pack] = {}
        self._chosen: dict[tuple[frozenset[str], frozenset[str | None]], tuple[Pack, ...]] = {}
        self.programs: dict[str, Any] = {}
        self.housed: dict[tuple[Pack, ...], dict[str, Any]] = {}
        self.shared: dict[Any, Any] = {}
        self.covered = frozenset(country for entry in self.index.values() for country in entry["countries"])

    @property
    def is_law(self) -> bool:
        """Tell whether these packs are what was shipped and is enforced: only then may anything be sent under them."""
        return not self._shadow

    @cached_property
    def atlas_sha256(self) -> str:
        """Return the SHA-256 (hex) of the atlas of candidate zones."""
        return hashlib.sha256(self.atlas_text.encode()).hexdigest()

    def pack(self, ident: str) -> Pack:
        """Return a pack by its id; raises KeyError when none of that id was shipped."""
        pack = self._packs.get(ident)
        if pack is None:
            entry = self.index[ident]
            data = json.loads((self._folder / entry["file"]).read_text(encoding="utf-8"))
            pack = self._packs[ident] = Pack(data, entry["sha256"], shadow=self._shadow)
        return pack

    @cached_property
    def patterns(self) -> frozenset[str]:
        """Return every regular expression that a shipped rule has: rules from outside may use these and no other."""
        return frozenset(
            pattern
            for ident in self.index
            for rule in self.pack(ident).data["rules"]
            for pattern in rule["params"].get("patterns", ())
        )

    def chosen(self, case: Case) -> tuple[Pack, ...]:
        """Return the packs that reach a case, by residence on file and by the currency of its debts."""
        currencies = frozenset(debt.get("currency") for debt in case.debts)
        key = (case.countries, currencies)
        chosen = self._chosen.get(key)
        if chosen is None:
            chosen = tuple(
                self.pack(ident)
                for ident, entry in self.index.items()
                if not key[0].isdisjoint(entry["countries"]) or not currencies.isdisjoint(entry["currencies"])
            )
            if len(self._chosen) >= _MOST_KINDS:
                self._chosen.clear()
            self._chosen[key] = chosen
        return chosen


class GivenPacks(PackSet):
    """Packs that were read from documents instead of the tree: those of an earlier day. They decide nothing to come."""

    def __init__(self, packs: Sequence[tuple[str, Mapping[str, Any]]], zones: Mapping[str, Any]) -> None:
        """Take (SHA-256, compiled pack) of each, and the atlas."""
        self._shadow = False
        keys = ("version", "countries", "currencies")
        by_id = {data["id"]: (sha256, data) for sha256, data in sorted(packs, key=lambda each: each[1]["id"])}
        index = {
            ident: {"sha256": sha256, **{key: data[key] for key in keys}} for ident, (sha256, data) in by_id.items()
        }
        self._begin(index, zones)
        self._packs.update({ident: Pack(data, sha256) for ident, (sha256, data) in by_id.items()})

    @property
    def is_law(self) -> bool:
        """Return False: what these packs rule is looked at and never acted on."""
        return False


def atlas_text(zones: Mapping[str, Any]) -> str:
    """Return the one text of the atlas: the candidate zones of countries and regions."""
    return json.dumps(zones, sort_keys=True, separators=(",", ":")) + "\n"


@lru_cache(maxsize=1)
def load_packs() -> PackSet:
    """Return the packs that were shipped with this code; the same object at every call."""
    return PackSet()
