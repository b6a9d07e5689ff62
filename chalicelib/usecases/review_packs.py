"""Weekly review packs: gathered from figures and duties, set in Chinese and English, kept as pages and PDFs."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Protocol

from chalicelib.domain.errors import NotFound
from chalicelib.domain.instants import local_date, to_text
from chalicelib.domain.kpi import periods, review
from chalicelib.domain.kpi.definitions import definition_of
from chalicelib.usecases import kpis, scoreboard
from chalicelib.usecases.kpis import KpiPorts, KpiReport
from chalicelib.usecases.ports import Scope

CHANGES = (
    "attempts", "coverage", "right_party_penetration", "contact_success_week", "right_party_contact", "promise_to_pay",
    "kept_promise", "collected", "placed_cases", "complaint_rate", "risk_event_rate", "feedback_in_48h", "dispute_rate",
    "denied", "deferred", "reviewed",
)  # fmt: skip
"""The figures that the pack compares with those of the week before."""

OF_AGENCIES = ("attempts", "right_party_contact", "promise_to_pay", "kept_promise", "complaint_rate", "risk_event_rate")
"""The figures by which agencies stand beside each other."""

MOST_LISTED = 20
"""How many ids a list of the pack holds; beyond that it says how many more there are."""

NEAR_DAYS = 7
"""Duties due within so many days are near their end."""


class PackFiles(Protocol):
    """Where packs lie. See ``chalicelib.gateways.reports_bucket``."""

    def write(self, path: str, body: bytes, *, content_type: str) -> None:
        """Put a file."""

    def read(self, path: str) -> bytes | None:
        """Return a file, or None."""
        ...


class Reviews(Protocol):
    """Which packs there are. See ``chalicelib.store.review_repository``."""

    def of(self, tenant: str, week: str) -> dict[str, Any] | None:
        """Return what is known of a week's pack."""
        ...

    def all(self, tenant: str) -> list[dict[str, Any]]:
        """Return every pack of a lender, the newest week first."""
        ...

    def keep(self, tenant: str, pack: dict[str, Any]) -> None:
        """Keep what is known of a pack."""


class Duties(Protocol):
    """The duties of a lender by due instant. See ``chalicelib.store.duty_repository``."""

    def lender_page(
        self, scope: Scope, state: str, *, before: str | None, after: str | None, limit: int
    ) -> Sequence[Any]:
        """Return rows of duties in a state."""
        ...

    def many(self, scope: Scope, duties: Sequence[str]) -> Sequence[Any]:
        """Return duties."""
        ...


@dataclass(frozen=True, slots=True)
class PackPorts:
    """What the use cases of this module need; ``pdf`` sets a pack in a language."""

    kpis: KpiPorts
    reviews: Reviews
    files: PackFiles
    duties: Duties
    pdf: Callable[[Mapping[str, Any], str], bytes]
    zone_of: Callable[[str], str]
    scope_for: Callable[[str], Scope]
    lifts: scoreboard.Lifts
    coverage: scoreboard.Coverage = scoreboard.no_coverage


def make_due_packs(ports: PackPorts, lenders: Iterable[str], now: datetime) -> int:
    """Make each lender's pack of the week that ended, once, and of the week that runs, once a local day; return how many.

    The pack of a week that runs says that it is not final, and is made over by the next.
    """
    made = 0
    for lender in lenders:
        today = local_date(now, ports.zone_of(lender))
        for day in (today - timedelta(days=7), today):
            week = periods.week_of(day.isoformat())
            known = ports.reviews.of(lender, week)
            is_over = day != today
            if known is not None and (known["final"] if is_over else known["made_on"] == today.isoformat()):
                continue
            if known is None and is_over and not _has_figures(ports, lender, week):
                continue
            make_pack(ports, ports.scope_for(lender), week, now=now)
            made += 1
    return made


def _has_figures(ports: PackPorts, lender: str, week: str) -> bool:
    first, last = periods.span_of(week)
    days = periods.days_between(date.fromisoformat(first), date.fromisoformat(last))
    return any(ports.kpis.repository.counters(lender, day) for day in days)


def make_pack(ports: PackPorts, scope: Scope, week: str, *, now: datetime) -> dict[str, Any]:
    """Gather a week's pack, write its pages and PDFs in both languages, and return what is known of it."""
    pack = gather(ports, scope, week, now=now)
    files = {}
    for language in review.LANGUAGES:
        for kind, content_type, body in (
            ("html", "text/html; charset=utf-8", review.page(pack, language).encode()),
            ("pdf", "application/pdf", ports.pdf(pack, language)),
        ):
            path = path_of(scope.tenant, week, language, kind)
            ports.files.write(path, body, content_type=content_type)
            files[f"{language}.{kind}"] = {"path": path, "bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    known = {name: pack[name] for name in ("lender", "week", "from", "to", "final", "made_at", "made_on")} | {
        "files": files
    }
    ports.reviews.keep(scope.tenant, known)
    return known


def path_of(tenant: str, week: str, language: str, kind: str) -> str:
    """Return where a file of a pack lies in the bucket."""
    return f"{tenant}/{week}/{language}.{kind}"


def list_packs(ports: PackPorts, scope: Scope) -> list[dict[str, Any]]:
    """Return the lender's packs, the newest week first."""
    return ports.reviews.all(scope.tenant)


def read_pack(ports: PackPorts, scope: Scope, week: str, language: str, kind: str) -> bytes:
    """Return a file of a pack. Raises NotFound."""
    known = ports.reviews.of(scope.tenant, week)
    body = None if known is None else ports.files.read(path_of(scope.tenant, week, language, kind))
    if body is None:
        raise NotFound("review pack", week)
    return body


def gather(ports: PackPorts, scope: Scope, week: str, *, now: datetime) -> dict[str, Any]:
    """Return everything that the pack of a week tells, as plain values."""
    ports = replace(ports, kpis=ports.kpis.reading_once())
    first, last = (date.fromisoformat(day) for day in periods.span_of(week))
    today = local_date(now, ports.zone_of(scope.tenant))
    [before, this] = kpis.get_kpi_series(ports.kpis, scope, first - timedelta(days=7), last, by="week")
    shown_to = min(last, today)
    return {
        "lender": scope.tenant,
        "week": week,
        "from": first.isoformat(),
        "to": last.isoformat(),
        "final": today > last,
        "made_at": to_text(now),
        "made_on": today.isoformat(),
        "scoreboard": [
            line.as_json()
            for line in scoreboard.get_scoreboard(
                ports.kpis, scope, shown_to, lifts=ports.lifts, coverage=ports.coverage
            )
        ],
        "figures": _compared(this, before),
        "charts": _charts(ports, scope, first, last),
        "agencies": _agencies(ports, scope, first, last),
        "rules": _rules(this),
        "strategies": [each.as_json() for each in ports.lifts(scope)],
        "duties": _near(ports, scope, now),
        "feedback": _waiting(ports, scope, first, now),
        "risks": _listed(ports, scope, first, last, "risk_event_rate"),
        "complaints": _listed(ports, scope, first, last, "complaint_rate"),
    }


def _named(report: KpiReport) -> dict[tuple[str, str | None], dict[str, Any]]:
    return {(each.figure.definition.id, each.figure.key): each.as_json() for each in report.figures}


def _compared(this: KpiReport, before: KpiReport) -> list[dict[str, Any]]:
    new, old = _named(this), _named(before)
    wanted = sorted(
        {key for key in (*new, *old) if key[0] in CHANGES}, key=lambda key: (CHANGES.index(key[0]), key[1] or "")
    )
    found = []
    for key in wanted:
        one = new.get(key) or old[key]
        definition = definition_of(f"{one['kpi']}@{one['version']}")
        name = dict(definition.name) if definition is not None else {"zh": key[0], "en": key[0]}
        shown = {"this": new.get(key), "before": old.get(key)}
        found.append({"kpi": key[0], "key": key[1], "unit": one["unit"], "name": name, **shown})
    return found


def _charts(ports: PackPorts, scope: Scope, first: date, last: date) -> dict[str, Any]:
    """Return what is drawn: attempts a day, and what was collected a day in each currency; below 0 is drawn as 0."""
    days = periods.days_between(first, last)
    counts = {day: kpis.counts_of(ports.kpis.repository.counters(scope.tenant, day), None) for day in days}
    labels = [day[5:] for day in days]
    charts = {"attempts_by_day": {"labels": labels, "values": [counts[day].get("attempts", 0) for day in days]}}
    families = sorted({name for each in counts.values() for name in each if name.startswith("paid_minor:")})
    for family in families:
        currency = family.partition(":")[2]
        net = [
            max(0, counts[day].get(family, 0) - counts[day].get(f"reversed_minor:{currency}", 0)) // 100 for day in days
        ]
        charts[f"paid_by_day:{currency}"] = {"labels": labels, "values": net}
    return charts


def _agencies(ports: PackPorts, scope: Scope, first: date, last: date) -> list[dict[str, Any]]:
    found = []
    for report in kpis.get_kpis_of_each(ports.kpis, scope, first, last, "agency"):
        named = _named(report)
        figures = []
        for name in OF_AGENCIES:
            definition = definition_of(f"{name}@1")
            figure = named.get((name, None))
            unit = definition.unit.value if definition is not None else "ratio"
            words = dict(definition.name) if definition is not None else {"zh": name, "en": name}
            figures.append({"kpi": name, "name": words, "unit": unit, "value": figure["value"] if figure else None})
        found.append({"agency": report.who, "figures": figures})
    return found


def _rules(this: KpiReport) -> list[dict[str, Any]]:
    """Return how many rulings each rule held back, the strictest first."""
    found: dict[str, dict[str, Any]] = {}
    for each in this.figures:
        outcome, _, by_rule = each.figure.definition.id.partition("_by_")
        if by_rule == "rule" and each.figure.key is not None:
            entry = found.setdefault(
                each.figure.key, {"rule": each.figure.key, "denied": 0, "deferred": 0, "reviewed": 0}
            )
            entry[outcome] = each.figure.numerator
    return sorted(
        found.values(), key=lambda each: (-each["denied"], -each["deferred"], -each["reviewed"], each["rule"])
    )


def _near(ports: PackPorts, scope: Scope, now: datetime) -> dict[str, Any]:
    before = to_text(now + timedelta(days=NEAR_DAYS))
    rows = ports.duties.lender_page(scope, "open", before=before, after=None, limit=200)
    duties = ports.duties.many(scope, [row.duty for row in rows[:MOST_LISTED]])
    items = [
        {"kind": duty.kind, "due_at": duty.due_at, "owner": duty.owner, "about": duty.case or duty.person or duty.id}
        for duty in sorted(duties, key=lambda duty: (duty.due_at or "", duty.id))
    ]
    return {"items": items, "more": max(0, len(rows) - MOST_LISTED)}


def _waiting(ports: PackPorts, scope: Scope, first: date, now: datetime) -> dict[str, Any]:
    """Return whose feedback waits beyond its 48 hours: received in the four weeks before, and answered by nobody."""
    since = first - timedelta(days=7 * scoreboard.WEEKS)
    until = local_date(now - timedelta(hours=48), ports.zone_of(scope.tenant)) - timedelta(days=1)
    if until < since:
        return {"items": [], "more": 0}
    open_items: dict[str, int] = {}
    for part, sign in (("denominator", 1), ("numerator", -1)):
        for each in _counted(ports, scope, since, until, "feedback_in_48h", part):
            open_items[each.stream] = open_items.get(each.stream, 0) + sign * sum(each.counts.values())
    waiting = sorted(stream for stream, count in open_items.items() if count > 0)
    return {"items": waiting[:MOST_LISTED], "more": max(0, len(waiting) - MOST_LISTED)}


def _listed(ports: PackPorts, scope: Scope, first: date, last: date, name: str) -> dict[str, Any]:
    streams = list(dict.fromkeys(each.stream for each in _counted(ports, scope, first, last, name, "numerator")))
    return {"items": streams[:MOST_LISTED], "more": max(0, len(streams) - MOST_LISTED)}


def _counted(
    ports: PackPorts, scope: Scope, first: date, last: date, name: str, part: str
) -> Iterable[kpis.CountedEvent]:
    after: tuple[str, str] | None = None
    while True:
        found, after = kpis.list_counted(ports.kpis, scope, first, last, name=name, part=part, after=after, limit=200)
        yield from found
        if after is None:
            return
