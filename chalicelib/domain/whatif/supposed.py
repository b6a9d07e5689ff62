"""What is supposed: draft packs, house rules, drafts of the law in force, a strategy; checked, and made into packs.

A supposed pack is a ``PackSet`` of its own kind that says it is no law, so ``rule_set`` refuses it and no approval can
be made under it; and what comes of a supposition is an ``Outcome``, never a ruling.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from chalicelib.domain.compliance import house as house_rules
from chalicelib.domain.compliance.authoring import Fault, MalformedRules, compile_rules, compiled_text
from chalicelib.domain.compliance.engine import rule
from chalicelib.domain.compliance.packs import Pack, PackSet
from chalicelib.domain.whatif.strategy import Strategy

MOST_DAYS = 92
"""Days of recorded traffic that one simulation looks at."""

MOST_DRAFTS = 5

_RuleId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{1,63}$")]
_PackId = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9-]{1,15}$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Draft(_Model):
    """A draft pack. With the id of a shipped pack it stands in its place, with another it stands beside the law.

    ``rules`` are all of its rules; or ``amend`` takes the place of the shipped rules of the same ids (and adds those of
    new ids) and ``remove`` takes some away. What a draft does not say it has from the shipped pack; word lists and
    cities always come from there.
    """

    pack: _PackId
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,40}$")] = "draft"
    countries: tuple[Annotated[str, Field(pattern=r"^[A-Z]{2}$")], ...] | None = None
    currencies: tuple[Annotated[str, Field(pattern=r"^[A-Z]{3}$")], ...] | None = None
    calendars: dict[_PackId | str, dict[str, tuple[str, ...]]] | None = None
    rules: list[dict[str, Any]] | None = None
    amend: list[dict[str, Any]] = []
    remove: tuple[_RuleId, ...] = ()


class HouseDraft(_Model):
    """A draft that takes the place of all of the lender's house rules: rules, and watched rules of the law that bind it.

    The rules are as authored for a set of house rules, and may leave out what those may.
    """

    rules: list[dict[str, Any]] = []
    enforce: tuple[_RuleId, ...] = ()
    zone: Annotated[str, Field(max_length=60)] | None = None


class Wish(_Model):
    """What a simulation is to look at, and under what. ``from`` and ``to`` are UTC dates, both included."""

    from_: Annotated[date, Field(alias="from")]
    to: date
    drafts: Annotated[tuple[Draft, ...], Field(max_length=MOST_DRAFTS)] = ()
    house: HouseDraft | None = None
    shadow: Literal["all"] | tuple[_RuleId, ...] = ()
    strategy: Strategy | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """Return what is supposed: some of drafts, house, shadow, strategy."""
        named = {"drafts": self.drafts, "house": self.house, "shadow": self.shadow, "strategy": self.strategy}
        return tuple(name for name, part in named.items() if part)


class Malformed(ValueError):
    """A wish that cannot be simulated; ``faults`` point into it."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(f"{fault.pointer}: {fault.message}" for fault in faults))
        self.faults = tuple(faults)


class SupposedPacks(PackSet):
    """The shipped packs with drafts in their place or beside them. Never law."""

    def __init__(self, base: PackSet, drafts: Mapping[str, Pack]) -> None:
        """Take the packs of the present and the drafts by id."""
        self._base = base
        self._drafts = drafts
        keys = ("version", "countries", "currencies")
        of_drafts = {
            ident: {"sha256": pack.sha256, **{key: pack.data[key] for key in keys}} for ident, pack in drafts.items()
        }
        self._begin(dict(sorted({**base.index, **of_drafts}.items())), json.loads(base.atlas_text))

    @property
    def is_law(self) -> bool:
        """Return False."""
        return False

    def pack(self, ident: str) -> Pack:
        """Return a draft, or the shipped pack of that id."""
        return self._drafts.get(ident) or self._base.pack(ident)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What would come of an act: the verdict, the ids of the rules that hold it back, and from or until when.

    ``held_until`` is the latest end that a deferring rule names: later facts may hold the act back beyond it.
    """

    verdict: str
    rules: frozenset[str]
    next_allowed_at: str | None
    not_after: str | None
    held_until: str | None = None


def outcome_of(dossier: Mapping[str, Any], packs: PackSet, house: Sequence[Pack]) -> Outcome:
    """Return what would come of the dossier's act. Raises DossierError for a dossier that this engine cannot read."""
    ruling = rule(dossier, packs, house)
    held = frozenset(each["id"] for each in ruling["rules"] if each["effect"] in _HOLDING)
    if ruling["missing"]:
        held |= {"missing facts"}
    ends = [each["until"] for each in ruling["rules"] if each["effect"] == "defer" and each["until"] is not None]
    return Outcome(ruling["verdict"], held, ruling["next_allowed_at"], ruling["not_after"], max(ends, default=None))


_HOLDING = frozenset(("deny", "require", "review", "defer"))


@dataclass(frozen=True)
class Supposition:
    """A wish made ready: the packs and house rules of the present, the supposed ones, and the strategy."""

    present: PackSet
    present_house: tuple[Pack, ...]
    packs: PackSet
    house: tuple[Pack, ...]
    strategy: Strategy | None


def supposition_of(wish: Wish, present: PackSet, house: Sequence[Pack]) -> Supposition:
    """Return what a wish supposes, beside the present packs and the lender's house rules. Raises Malformed."""
    faults = list(_period(wish))
    if not wish.parts:
        faults.append(Fault("", "missing_key", "suppose at least one of drafts, house, shadow and strategy"))
    drafts: dict[str, Pack] = {}
    for number, draft in enumerate(wish.drafts):
        at = f"/drafts/{number}"
        if draft.pack in drafts:
            faults.append(Fault(f"{at}/pack", "duplicate", "two drafts of one pack"))
            continue
        try:
            drafts[draft.pack] = _pack(draft, present, at)
        except Malformed as refused:
            faults += refused.faults
    # A set of its own also without drafts: what is prepared for supposed house rules goes when the supposition goes.
    packs = SupposedPacks(present, drafts)
    own = tuple(house)
    if wish.house is not None:
        try:
            own = (_house(wish.house, present, today=wish.to.isoformat()),)
        except Malformed as refused:
            faults += refused.faults
    watched = {law.ident for ident in packs.index for law in packs.pack(ident).watched}
    watched |= {law.ident for pack in own for law in pack.watched}
    faults += [
        Fault(f"/shadow/{number}", "unknown_reference", "no watched rule has this id")
        for number, ident in enumerate(wish.shadow if wish.shadow != "all" else ())
        if ident not in watched
    ]
    if faults:
        raise Malformed(faults)
    if wish.shadow:
        enforce = sorted(watched) if wish.shadow == "all" else wish.shadow
        own = (*own, _as_pack(compile_rules([], ident="SUPPOSED", version="1", name="Watched rules", enforce=enforce)))
    return Supposition(present, tuple(house), packs, own, wish.strategy)


def _period(wish: Wish) -> Iterator[Fault]:
    if wish.to < wish.from_:
        yield Fault("/to", "bad_span", "the period ends before it begins")
    elif (wish.to - wish.from_).days >= MOST_DAYS:
        yield Fault("/to", "bad_span", f"at most {MOST_DAYS} days")


def _pack(draft: Draft, present: PackSet, at: str) -> Pack:
    shipped = present.pack(draft.pack).data if draft.pack in present.index else None
    if (draft.rules is None) is not bool(draft.amend or draft.remove):
        raise Malformed([Fault(at, "missing_key", "give either rules, or amend and remove")])
    if shipped is None and draft.rules is None:
        raise Malformed([Fault(f"{at}/pack", "unknown_reference", "there is no pack of this id to amend")])
    if shipped is None and not (draft.countries or draft.currencies):
        raise Malformed([Fault(at, "missing_key", "a new pack needs countries or currencies")])
    base: Mapping[str, Any] = shipped or {
        "name": "draft", "countries": [], "currencies": [], "zone": None, "cities": {}, "lexicon": None, "calendars": {},
    }  # fmt: skip
    calendars = {**base["calendars"], **_calendars(draft, at)}
    kept: list[Any] = []
    if draft.rules is None and shipped is not None:
        known = {each["id"] for each in shipped["rules"]}
        gone = {each.get("id") for each in draft.amend if type(each.get("id")) is str} | set(draft.remove)
        unknown = [number for number, ident in enumerate(draft.remove) if ident not in known]
        if unknown:
            raise Malformed([Fault(f"{at}/remove/{n}", "unknown_reference", "no such rule") for n in unknown])
        kept = [each for each in shipped["rules"] if each["id"] not in gone]
    given = draft.amend if draft.rules is None else draft.rules
    try:
        data = compile_rules(
            [*given, *kept],
            ident=draft.pack,
            version=draft.version,
            name=base["name"],
            countries=base["countries"] if draft.countries is None else draft.countries,
            currencies=base["currencies"] if draft.currencies is None else draft.currencies,
            zone_name=base["zone"],
            cities=base["cities"],
            lexicon=base["lexicon"],
            calendars=calendars,
            patterns=present.patterns,
        )
    except MalformedRules as refused:
        where = "amend" if draft.rules is None else "rules"
        raise Malformed(
            [Fault(f"{at}/{where}{fault.pointer}", fault.code, fault.message) for fault in refused.faults]
        ) from refused
    return _as_pack(data)


def _calendars(draft: Draft, at: str) -> dict[str, dict[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = {}
    for name, years in (draft.calendars or {}).items():
        for year, days in years.items():
            for number, day in enumerate(days):
                if not day.startswith(f"{year}-") or not _is_date(day):
                    raise Malformed(
                        [Fault(f"{at}/calendars/{name}/{year}/{number}", "malformed", "a date of that year")]
                    )
        found[name] = {year: sorted(days) for year, days in sorted(years.items())}
    return found


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _house(draft: HouseDraft, present: PackSet, *, today: str) -> Pack:
    rules = house_rules.authored(draft.rules, today=today)
    faults = [
        Fault(f"/house{fault.pointer}", fault.code, fault.message)
        for fault in house_rules.faults_of(_HOUSE, rules, draft.enforce, present, draft.zone)
        # A draft belongs to no set yet, so its rules may be named as they like.
        if fault.code != "foreign_id"
    ]
    if faults:
        raise Malformed(faults)
    text, sha256 = house_rules.compiled(_HOUSE, 0, "House rules, draft", rules, draft.enforce, present, draft.zone)
    return Pack(json.loads(text), sha256)


_HOUSE = "HOUSE-DRAFT"


def _as_pack(data: Mapping[str, Any]) -> Pack:
    return Pack(data, hashlib.sha256(compiled_text(data).encode()).hexdigest())
