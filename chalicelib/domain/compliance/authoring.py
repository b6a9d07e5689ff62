"""Rules as data, looked at before anybody runs them: each departure with its JSON pointer, and the compiled form.

The files of ``rulepacks``, a lender's house rules and the drafts of a what-if run are the same data and pass the same
checks. A rule that passes can be built and asked about any dossier without a fault: every parameter has its kind here.
"""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from chalicelib.domain.compliance import form
from chalicelib.domain.compliance.counts import UNITS
from chalicelib.domain.compliance.lexicon import NO_WORDS
from chalicelib.domain.compliance.packs import KEYS
from chalicelib.domain.compliance.shapes import SHAPES
from chalicelib.domain.compliance.timeline import UnknownZone, zone

RULE_KEYS = frozenset(
    [
        "id",
        "shape",
        "params",
        "when",
        "citation",
        "source",
        "grade",
        "confidence",
        "status",
        "from",
        "to",
        "published",
        "checked",
        "note",
        "doubt",
    ]
)
NEEDED = frozenset(["id", "shape", "citation", "source", "grade", "confidence", "status", "checked", "note"])
GRADES = frozenset(
    [
        "statute",
        "regulation",
        "presumption",
        "standard",
        "self-regulation",
        "guideline",
        "code",
        "platform",
        "house",
        "case-law",
        "draft",
    ]
)
CONFIDENCES = frozenset(("source", "memory", "memory-weak", "infer"))
STATUSES = frozenset(("enforced", "shadow"))
VALUES: Mapping[str, frozenset[str]] = {
    "channel": form.CHANNELS,
    "purpose": form.PURPOSES,
    "dialler": form.DIALLERS,
    "actor": form.ORG_ROLES,
    "to": form.ROLES,
    "product": form.PRODUCTS,
    "creditor_kind": form.CREDITOR_KINDS,
    "creditor_role": form.ORG_ROLES,
    "point_kind": form.POINT_KINDS,
    "point_place": form.PLACES | {"unstated"},
}
"""What each key of ``when`` may list; ``region`` takes any code."""

MOST_RULES = 500
"""Rules that one set may hold."""

MOST_TEXT = 2_000
"""Characters of the longest text in a rule."""

MOST_FAULTS = 50
"""Faults that are told of one set; the rest show after these are mended."""

_MOST_DAYS = 3_660
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{1,63}", re.ASCII)
_CLOCK = re.compile(r"(?:(?:[01]\d|2[0-3]):[0-5]\d|24:00)", re.ASCII)
_REGION = re.compile(r"[A-Z]{2}-[A-Z0-9_-]{1,20}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Fault:
    """One departure: a JSON pointer into the set of rules, a stable code, and a sentence that quotes only names."""

    pointer: str
    code: str
    message: str


class MalformedRules(ValueError):
    """A set of rules that may not be compiled; ``faults`` says where and why."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(f"{fault.pointer or '/'}: {fault.message}" for fault in faults))
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class Book:
    """What rules may refer to: calendars and word lists by name.

    ``patterns`` are the regular expressions that may stand in a rule, None for any: what comes from outside the tree
    may use those that were shipped and no other, because a pattern can be made that never ends.
    """

    calendars: frozenset[str] = frozenset()
    words: frozenset[str] = frozenset()
    patterns: frozenset[str] | None = None


Kind = Callable[[Any, str, Book], Iterator[Fault]]
"""Yields the faults of one parameter's value, which stands at a pointer."""


def _wrong(pointer: str, wanted: str) -> Fault:
    return Fault(pointer, "wrong_type", f"expected {wanted}")


def _flag(value: Any, pointer: str, book: Book) -> Iterator[Fault]:
    if type(value) is not bool:
        yield _wrong(pointer, "true or false")


def _whole(low: int, high: int) -> Kind:
    def check(value: Any, pointer: str, book: Book) -> Iterator[Fault]:
        if type(value) is not int:
            yield _wrong(pointer, "an integer")
        elif not low <= value <= high:
            yield Fault(pointer, "out_of_range", f"expected an integer from {low} to {high}")

    return check


def _share(value: Any, pointer: str, book: Book) -> Iterator[Fault]:
    if type(value) not in (int, float):
        yield _wrong(pointer, "a number")
    elif not 0 <= value <= 1:
        yield Fault(pointer, "out_of_range", "expected a share from 0 to 1")


def _text(value: Any, pointer: str, book: Book) -> Iterator[Fault]:
    if type(value) is not str:
        yield _wrong(pointer, "a text")
    elif not value.strip() or len(value) > MOST_TEXT:
        yield Fault(pointer, "out_of_range", f"may not be empty nor longer than {MOST_TEXT} characters")


def _one_of(values: Collection[Any]) -> Kind:
    listed = ", ".join(str(value) for value in sorted(values))

    def check(value: Any, pointer: str, book: Book) -> Iterator[Fault]:
        if type(value) not in (str, int) or value not in values:
            yield Fault(pointer, "unknown_value", f"expected one of {listed}")

    return check


def _list_of(kind: Kind) -> Kind:
    def check(value: Any, pointer: str, book: Book) -> Iterator[Fault]:
        if type(value) is not list or not value:
            yield _wrong(pointer, "a list that is not empty")
            return
        if len(value) > MOST_RULES:
            yield Fault(pointer, "out_of_range", f"at most {MOST_RULES} items")
            return
        for index, item in enumerate(value):
            yield from kind(item, f"{pointer}/{index}", book)

    return check


def _clock_pair(value: Any, pointer: str, book: Book) -> Iterator[Fault]:
    if type(value) is not list or len(value) != 2 or not all(type(text) is str for text in value):
        yield _wrong(pointer, "a pair of local times HH:MM")
    elif not all(_CLOCK.fullmatch(text) for text in value) or value[0] >= value[1]:
        yield Fault(pointer, "malformed", "expected two local times HH:MM, the first before the second")


_spans = _list_of(_clock_pair)
_weekdays = _list_of(_one_of(range(1, 8)))


def _window(value: Any, pointer: str, book: Book) -> Iterator[Fault]:
    if type(value) is not dict or not {"open"} <= value.keys() <= {"days", "open"}:
        yield _wrong(pointer, "an object with open and, if not every day, days")
        return
    yield from _spans(value["open"], f"{pointer}/open", book)
    if "days" in value:
        yield from _weekdays(value["days"], f"{pointer}/days", book)


def _calendar(value: Any, pointer: str, book: Book) -> Iterator[Fault]:
    if type(value) is not str or value not in book.calendars:
        yield Fault(pointer, "unknown_reference", f"no calendar {_quoted(value)}")


def _lexicon(value: Any, pointer: str, book: Book) -> Iterator[Fault]:
    if type(value) is not str or value not in book.words:
        yield Fault(pointer, "unknown_reference", f"no word list {_quoted(value)}")


def _pattern(value: Any, pointer: str, book: Book) -> Iterator[Fault]:
    if type(value) is not str:
        yield _wrong(pointer, "a regular expression")
        return
    if book.patterns is not None and value not in book.patterns:
        yield Fault(pointer, "unknown_reference", "a pattern that no shipped pack has")
        return
    try:
        re.compile(value)
    except re.error:
        yield Fault(pointer, "malformed", "no regular expression")


def _zone(value: Any, pointer: str, book: Book) -> Iterator[Fault]:
    try:
        if type(value) is not str or not re.fullmatch(r"[A-Za-z][\w+/-]*", value):
            raise UnknownZone
        zone(value)
    except UnknownZone:
        yield Fault(pointer, "unknown_reference", f"no zone {_quoted(value)}")


def _by_channel(value: Any, pointer: str, book: Book) -> Iterator[Fault]:
    if type(value) is not dict or not value.keys() <= form.CHANNELS:
        yield _wrong(pointer, "an object of lists by channel")
        return
    for channel, outcomes in value.items():
        yield from _outcomes(outcomes, f"{pointer}/{channel}", book)


def _quoted(value: Any) -> str:
    return repr(value[:64]) if type(value) is str else "that is no text"


_BOOLEAN, _INTEGER, _PART, _NAME = "boolean", "integer", "share", "text"
FACTS: Mapping[str, str | frozenset[str]] = {
    **{f"{head}.{key}": _BOOLEAN for head, keys in {
        "act": ("recorded", "third_party_initiated_payment"),
        "collector": (),
        "content": ("first", "limited", "template_approved"),
        "creditor": ("licensed", "suspended"),
        "debt": ("rescission_clause",),
        "org": ("licensed", "suspended"),
        "recipient": ("employer_forbids_work_contact", "in_xinjiang"),
        "vehicle": ("court_order", "over_objection", "surrender_signed"),
        "visit": ("entry_consent", "plan_approved", "workplace_consent"),
    }.items() for key in keys},
    **{f"{head}.{key}": _BOOLEAN for head in ("from", "point") for key in (
        "corporate_account", "employer_provided", "personal_device", "public_domain", "registered_line",
        "third_party_seen",
    )},
    **{f"{head}.{key}": values for head in ("from", "point") for key, values in (
        ("kind", form.POINT_KINDS), ("place", form.PLACES), ("source", form.SOURCES), ("status", form.POINT_STATES),
    )},
    **{f"debt.{key}": _INTEGER for key in (
        "amount_due_minor", "days_past_due", "payments_before_service", "unpaid_periods",
    )},
    **{f"debt.{key}": _PART for key in ("share_paid", "unpaid_rent_share")},
    "act.channel": form.CHANNELS,
    "act.collector": _NAME,
    "act.dialler": form.DIALLERS,
    "act.from": _NAME,
    "act.point": _NAME,
    "act.purpose": form.PURPOSES,
    "content.amount_minor": _INTEGER,
    "content.exposure": form.EXPOSURES,
    "content.language": _NAME,
    "content.template": _NAME,
    "creditor.role": form.ORG_ROLES,
    "debt.creditor_kind": form.CREDITOR_KINDS,
    "debt.currency": _NAME,
    "debt.docket_no": _NAME,
    "debt.product": form.PRODUCTS,
    "debt.status": form.DEBT_STATES,
    "org.role": form.ORG_ROLES,
    "recipient.language": _NAME,
    "recipient.role": form.ROLES,
    "visit.place": form.PLACES,
    "visit.staff": _INTEGER,
}  # fmt: skip
"""The facts that shape ``fact`` may ask about, with what each is: never one that tells who somebody is."""

TIMES = frozenset(
    f"{head}.{key}"
    for head, keys in {
        "collector": "certified_to",
        "content": "amount_as_of",
        "creditor": "inspected_on listed_from listed_to",
        "debt": "amount_as_of collection_began_on guarantee_until limitation_expires_on placed_from placed_to",
        "org": "inspected_on listed_from listed_to",
    }.items()
    for key in keys.split()
)
"""The times that shape ``span`` may ask about."""

_outcomes = _list_of(_one_of(form.OUTCOMES))
_days = _whole(0, _MOST_DAYS)
_some_days = _whole(1, _MOST_DAYS)
_number = _whole(0, 1_000_000)
_effect = _one_of(("deny", "require", "review", "defer", "oblige", "nocount"))
_purposes = _list_of(_one_of(form.PURPOSES))
_claims = _list_of(_one_of(form.CLAIMS))
_disclosures = _list_of(_one_of(form.DISCLOSURES))
_roles = _list_of(_one_of(form.ROLES))
_media = _list_of(_one_of(form.MEDIA))
_texts = _list_of(_text)
_place = _one_of(form.PLACES)


def _each(names: str, kind: Kind) -> dict[str, Kind]:
    return dict.fromkeys(names.split(), kind)


PARAMS: Mapping[str, Kind] = {
    **_each(
        "after_refusal agreed all_matters any_act any_medium attempts_review before_first_touch both_ways by_org "
        "consent_frees_act court_opens deadline direct ends_by_until first limited_free limited_only one_confirmation "
        "one_reply or_earlier_demand partial permanent proof replies reply_allowed reply_once request same_point "
        "seen_by_others at_address unless_granted unless_surrendered unless_volunteered until_verified withdrawal written",
        _flag,
    ),
    **_each("confirm_days confirm_minutes consent_days days days_after_release due_days notice_days wait_days", _days),
    **_each("cap working_days", _some_days),
    **_each("amount_minor", _whole(0, 2**53 - 1)),
    **_each("connected longest minutes on_one_date periods persons", _number),
    **_each("fresh_hours", _whole(1, 24 * _MOST_DAYS)),
    **_each("months", _whole(1, 120)),
    **_each("free_after review_after years", _whole(0, 150)),
    **_each("share", _share),
    **_each("because", _text),
    **_each("characters what", _texts),
    **_each("effect pending", _effect),
    **_each("exempt neutral_purposes not_purposes other_purposes purposes purposes_on_hold", _purposes),
    **_each("claims if_claims", _claims),
    **_each("all harmless if_third_party nothing_but one_of", _disclosures),
    **_each("agreed_roles roles", _roles),
    **_each("windows", _list_of(_window)),
    **_each("closed holiday_open", _spans),
    **_each("calendar holidays", _calendar),
    "absent": _one_of(("pass", "review")),
    "absent_end": _one_of(("pass", "review")),
    "after": _one_of(("deny", "review")),
    "after_first": _one_of(("conversation",)),
    "answered_by": _one_of(form.NOTICE_KINDS),
    "before": _one_of(("deny", "defer", "review")),
    "by": _one_of(("org", "lender", "all")),
    "channels": _list_of(_one_of(form.CHANNELS)),
    "chapter": _one_of((7, 11, 12, 13)),
    "country": _text,
    "debt_status": _list_of(_one_of(form.DEBT_STATES)),
    "disclosure": _one_of(form.DISCLOSURES),
    "exposures": _list_of(_one_of(form.EXPOSURES)),
    "from": _one_of(TIMES),
    "hold_kinds": _list_of(_one_of(form.HOLD_KINDS)),
    "leave_out": _list_of(_one_of(("unconnected", "consent", "stranger", "asked", "first"))),
    "lexicon": _lexicon,
    "media": _media,
    "medium": _one_of(form.MEDIA),
    "not_outcomes": _outcomes,
    "only": _place,
    "only_place": _place,
    "outcomes_of": _by_channel,
    "path": _one_of(FACTS),
    "patterns": _list_of(_pattern),
    "per": _one_of(("all", "debt", "product", "creditor")),
    "period": _one_of(("validation", "late")),
    "place": _one_of(("work", "elsewhere")),
    "point_kinds": _list_of(_one_of(form.POINT_KINDS)),
    "reasons": _list_of(_one_of(("unconnected", "consent", "stranger", "asked", "first"))),
    "regions_apart": _texts,
    "to": _one_of(TIMES),
    "unit": _one_of(UNITS),
    "unless": _one_of(("docket", "law_firm", "litigation")),
    "unless_on_record": _list_of(_one_of(form.NOTICE_KINDS)),
    "who": _one_of(("recipient", "household", "owing", "anybody")),
    "window": _one_of(("ever", "month")),
    "zones": _list_of(_zone),
    "amount.mode": _one_of(("over",)),
    "concentration.days": _some_days,
    "count.days": _some_days,
    "hold.kinds": _list_of(_one_of(form.HOLD_KINDS)),
    "hold.whose": _one_of(("case", "recipient", "debtors", "others", "anybody")),
    "hours.mode": _one_of(("window", "conflict", "reply_used")),
    "lost_contact.mode": _one_of(("gate", "reopened")),
    "nocount.days": _some_days,
    "notice.kinds": _list_of(_one_of(form.NOTICE_KINDS)),
    "notice.media": _list_of(_one_of(form.CHANNELS)),
    "notice.whose": _one_of(("debtor", "recipient", "anybody")),
    "preference.media": _one_of(("named", "spoken")),
    "preference.mode": _one_of(("window", "conflict", "reply_used")),
}
"""The kind of every parameter by its name, or by shape and name where a shape means something else by it."""

_COMPARISONS = ("is", "any_of", "none_of", "at_least", "at_most", "below")
_ONE_NEEDED: Mapping[str, tuple[str, ...]] = {
    "count": ("days", "window"),
    "nocount": ("days", "window"),
    "concentration": ("days",),
    "fact": _COMPARISONS,
    "span": ("from", "to"),
}
_FEDERAL = "us-federal"


def validate_rules(rules: Any, book: Book) -> list[Fault]:
    """Return what keeps a set of rules from being compiled, at most MOST_FAULTS faults, in the order of the rules."""
    if type(rules) is not list:
        return [_wrong("", "a list of rules")]
    if len(rules) > MOST_RULES:
        return [Fault("", "out_of_range", f"at most {MOST_RULES} rules")]
    found: list[Fault] = []
    for index, rule in enumerate(rules):
        found.extend(_rule(rule, f"/{index}", book))
        if len(found) >= MOST_FAULTS:
            return found[:MOST_FAULTS]
    return found


def _rule(rule: Any, at: str, book: Book) -> Iterator[Fault]:
    if type(rule) is not dict:
        yield _wrong(at, "an object")
        return
    for key in sorted(rule.keys() - RULE_KEYS, key=str):
        yield Fault(f"{at}/{_escaped(key)}", "unknown_key", "unknown keys are refused in a rule")
    lacking = sorted(NEEDED - rule.keys())
    if lacking:
        yield Fault(at, "missing_key", f"lacks {', '.join(lacking)}")
        return
    if type(rule["id"]) is not str or not _ID.fullmatch(rule["id"]):
        yield Fault(f"{at}/id", "malformed", "an id is 2 to 64 letters, digits and hyphens")
    for key in ("citation", "source"):
        yield from _text(rule[key], f"{at}/{key}", book)
    for key, allowed in (("grade", GRADES), ("confidence", CONFIDENCES), ("status", STATUSES)):
        if type(rule[key]) is not str or rule[key] not in allowed:
            yield Fault(f"{at}/{key}", "unknown_value", f"{key} is one of {', '.join(sorted(allowed))}")
    yield from _dates(rule, at)
    yield from _note(rule, at, book)
    yield from _shaped(rule, at, book)
    yield from _conditions(rule.get("when", {}), f"{at}/when")


def _dates(rule: Mapping[str, Any], at: str) -> Iterator[Fault]:
    good = True
    for key in ("from", "to", "published", "checked"):
        if key in rule and not _is_date(rule[key]):
            good = False
            yield Fault(f"{at}/{key}", "malformed", "expected a date YYYY-MM-DD")
    if good and "from" in rule and "to" in rule and rule["from"] > rule["to"]:
        yield Fault(f"{at}/to", "out_of_range", "ends before it begins")


def _is_date(value: Any) -> bool:
    try:
        return type(value) is str and len(value) == 10 and date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def _note(rule: Mapping[str, Any], at: str, book: Book) -> Iterator[Fault]:
    for name in ("note", "doubt"):
        said = rule.get(name)
        if said is None and name == "doubt":
            continue
        if type(said) is not dict or said.keys() != {"en", "zh"}:
            yield Fault(f"{at}/{name}", "malformed", f"a {name} in en and zh is needed")
            return
        for key in ("en", "zh"):
            yield from _text(said[key], f"{at}/{name}/{key}", book)
    note = rule["note"]
    weak = rule["confidence"] == "memory-weak" and rule["status"] == "enforced"
    if weak and type(note["en"]) is str and "reading" not in note["en"]:
        yield Fault(
            f"{at}/note/en",
            "malformed",
            "weakly remembered law may be enforced only where the note says on which reading",
        )


def _shaped(rule: Mapping[str, Any], at: str, book: Book) -> Iterator[Fault]:
    name = rule["shape"]
    shape = SHAPES.get(name) if type(name) is str else None
    if shape is None:
        yield Fault(f"{at}/shape", "unknown_value", f"no shape {_quoted(name)}")
        return
    params = rule.get("params", {})
    if type(params) is not dict:
        yield _wrong(f"{at}/params", "an object")
        return
    for key in sorted(params.keys() - shape.needs - shape.takes, key=str):
        yield Fault(f"{at}/params/{_escaped(key)}", "unknown_key", f"shape {name} takes no such parameter")
    lacking = sorted(shape.needs - params.keys())
    if lacking:
        yield Fault(f"{at}/params", "missing_key", f"shape {name} needs {', '.join(lacking)}")
    one = _ONE_NEEDED.get(name, ())
    if one and params.keys().isdisjoint(one):
        yield Fault(f"{at}/params", "missing_key", f"shape {name} needs one of {', '.join(one)}")
    faults = list(_values(name, params, f"{at}/params", book))
    yield from faults
    if name == "fact" and not faults:
        yield from _compared(params, f"{at}/params")
    if (name == "overshadow" or (name == "hold" and "period" in params)) and _FEDERAL not in book.calendars:
        yield Fault(f"{at}/shape", "unknown_reference", f"it needs the calendar {_FEDERAL}")


def _values(shape: str, params: Mapping[str, Any], at: str, book: Book) -> Iterator[Fault]:
    for key, value in params.items():
        kind = PARAMS.get(f"{shape}.{key}") or PARAMS.get(key)
        if kind is not None:
            yield from kind(value, f"{at}/{_escaped(key)}", book)


def _compared(params: Mapping[str, Any], at: str) -> Iterator[Fault]:
    """Yield the faults of what a fact is compared with, which must be of the fact's own kind."""
    what = FACTS[params["path"]]
    numeric = what in (_INTEGER, _PART)
    for key in _COMPARISONS:
        if key not in params:
            continue
        value, pointer = params[key], f"{at}/{key}"
        if key in ("any_of", "none_of"):
            if type(value) is not list or not value:
                yield _wrong(pointer, "a list that is not empty")
                continue
            for index, item in enumerate(value):
                if not _is_of(what, item):
                    yield Fault(f"{pointer}/{index}", "unknown_value", f"{params['path']} is never that")
        elif key == "is":
            if not _is_of(what, value):
                yield Fault(pointer, "unknown_value", f"{params['path']} is never that")
        elif not numeric or type(value) not in (int, float):
            yield _wrong(pointer, "a number, and a fact that is one")


def _is_of(what: str | frozenset[str], value: Any) -> bool:
    if isinstance(what, frozenset):
        return type(value) is str and value in what
    kinds: Mapping[str, tuple[type, ...]] = {_BOOLEAN: (bool,), _INTEGER: (int,), _PART: (int, float), _NAME: (str,)}
    return type(value) in kinds[what]


def _conditions(when: Any, at: str) -> Iterator[Fault]:
    if type(when) is not dict:
        yield _wrong(at, "an object")
        return
    for key, condition in when.items():
        plain = key.removeprefix("not_")
        pointer = f"{at}/{_escaped(key)}"
        if plain not in KEYS:
            yield Fault(pointer, "unknown_key", f"when.{_quoted(key)[1:-1]} is unknown")
        elif type(condition) is not list or not condition:
            yield _wrong(pointer, f"when.{key} to be a list that is not empty")
        elif plain in VALUES:
            for index, value in enumerate(condition):
                if type(value) is not str or value not in VALUES[plain]:
                    yield Fault(f"{pointer}/{index}", "unknown_value", f"when.{key} does not know it")
        else:
            for index, value in enumerate(condition):
                if type(value) is not str or not _REGION.fullmatch(value):
                    yield Fault(f"{pointer}/{index}", "malformed", f"when.{key} lists ISO 3166-2 codes or cities")


def _escaped(key: Any) -> str:
    return str(key)[:64].replace("~", "~0").replace("/", "~1")


def compile_rules(
    rules: Any,
    *,
    ident: str,
    version: str,
    name: str,
    countries: Sequence[str] = (),
    currencies: Sequence[str] = (),
    zone_name: str | None = None,
    cities: Mapping[str, Any] | None = None,
    lexicon: Mapping[str, Any] | None = None,
    calendars: Mapping[str, Mapping[str, Sequence[str]]] | None = None,
    patterns: frozenset[str] | None = None,
    enforce: Collection[str] = (),
) -> dict[str, Any]:
    """Return a pack in its compiled form: the rules in one order, with the lexicon and calendars that they refer to.

    ``enforce`` names shadow rules that bind wherever this pack, a lender's house rules, is laid beside the law. Raises MalformedRules,
    with every fault's pointer into ``rules``, unless the rules are valid.
    """
    lexicon, calendars = lexicon or NO_WORDS, calendars or {}
    faults = validate_rules(rules, Book(frozenset(calendars), frozenset(lexicon["lists"]), patterns))
    if faults:
        raise MalformedRules(faults)
    ordered = [{**rule, "params": rule.get("params", {})} for rule in rules]
    ordered.sort(key=lambda rule: (rule["id"], rule.get("from", ""), json.dumps(rule, sort_keys=True)))
    return {
        "id": ident,
        "version": version,
        "name": name,
        "countries": list(countries),
        "currencies": list(currencies),
        "zone": zone_name,
        "cities": dict(cities or {}),
        "lexicon": dict(lexicon),
        "calendars": {key: {year: list(days) for year, days in years.items()} for key, years in calendars.items()},
        "rules": ordered,
        **({"enforce": sorted(set(enforce))} if enforce else {}),
    }


def compiled_text(pack: Mapping[str, Any]) -> str:
    """Return the one text that a compiled pack has; the SHA-256 of its UTF-8 bytes is the pack's digest."""
    return json.dumps(pack, ensure_ascii=False, sort_keys=True, separators=(",", ":")) + "\n"
