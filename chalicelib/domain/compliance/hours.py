"""Shape ``hours``: local wall-clock windows by weekday and holiday, with what a person agreed to or asked for."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from chalicelib.domain.compliance.gates import answered_once
from chalicelib.domain.compliance.scene import Answer, Check, Finding, Scene, covers, since, stops
from chalicelib.domain.compliance.timeline import (
    DAY,
    HORIZON_DAYS,
    NEVER,
    Span,
    YearMissing,
    Zone,
    clock,
    date_text,
    day_of,
    ends_first,
    instant_of,
    merged,
    weekday_of,
)

Windows = Callable[[Zone, int], tuple[Span, ...]]
"""Open spans of a local date in a zone; raises YearMissing."""

_SEARCH_DAYS = HORIZON_DAYS + 10


def spans_of(texts: list[list[str]]) -> tuple[Span, ...]:
    """Return ordered spans of pairs of ``HH:MM``."""
    return merged((clock(start), clock(end)) for start, end in texts)


def without(open_spans: tuple[Span, ...], closed: tuple[Span, ...]) -> tuple[Span, ...]:
    """Return what is open and not closed."""
    result = list(open_spans)
    for low, high in closed:
        result = [
            piece
            for start, end in result
            for piece in ((start, min(end, low)), (max(start, high), end))
            if piece[0] < piece[1]
        ]
    return tuple(result)


def is_open(windows: Windows, zone: Zone, instant: int) -> bool:
    """Tell whether an instant lies in a window."""
    local = zone.local(instant)
    second = local % DAY
    return any(start <= second < end for start, end in windows(zone, local // DAY))


def next_open(windows: Windows, zone: Zone, instant: int) -> int:
    """Return the first instant after a closed one that lies in a window, NEVER when none does within the horizon."""
    found = _next_start(windows, zone, instant)
    last = instant + _SEARCH_DAYS * DAY
    # A clock that is put back may show an open time again that had passed.
    change = zone.next_change(instant)
    while change < min(found, last):
        if is_open(windows, zone, change):
            return change
        found = min(found, _next_start(windows, zone, change))
        change = zone.next_change(change)
    return found


def _next_start(windows: Windows, zone: Zone, instant: int) -> int:
    local = zone.local(instant)
    today = local // DAY
    for day in range(today, today + _SEARCH_DAYS):
        for start, _ in windows(zone, day):
            if day > today or start > local % DAY:
                return zone.ahead(instant, day * DAY + start - local)
    return NEVER


def closes(windows: Windows, zone: Zone, instant: int) -> int:
    """Return the instant at which the window that holds an instant ends, the instant itself when none holds it."""
    local = zone.local(instant)
    second = local % DAY
    for start, end in windows(zone, local // DAY):
        if start <= second < end:
            return zone.ahead(instant, end - second)
    return instant


def named_spans(consent: Mapping[str, Any], weekday: int, day: int | None = None) -> Iterator[Span]:
    """Yield the spans of a local date, or of any date of that weekday, that the times of a ledger entry name."""
    times = consent.get("times", {})
    if day is not None and "until" in times and day > day_of(times["until"]):
        return
    weekdays = times.get("weekdays") or (1, 2, 3, 4, 5, 6, 7)
    start, end = clock(times.get("from", "00:00")), clock(times.get("to", "24:00"))
    if start < end:
        if weekday in weekdays:
            yield start, end
        return
    # A span past midnight belongs to the weekday it starts on.
    if weekday in weekdays:
        yield start, DAY
    if (weekday + 5) % 7 + 1 in weekdays and end:
        yield 0, end


def agreed(scene: Scene, instant: int, roles: frozenset[str], *, direct: bool) -> list[Mapping[str, Any]]:
    """Return the agreements on other times that stand for this recipient and channel.

    With ``direct`` only what was agreed with the acting organisation itself counts.
    """
    case = scene.case
    if roles and case.role not in roles:
        return []
    standing: list[Mapping[str, Any]] = []
    for consent in case.consents:
        if since(consent) > instant:
            break
        event = consent["event"]
        if event == "agreed_time" and covers(consent, case, case.channel):
            if "expires" in consent and ends_first(consent["expires"], scene.zones) <= instant:
                continue
            if direct and not (consent.get("direct") and consent.get("org", case.org_id) == case.org_id):
                continue
            standing.append(consent)
        elif event in ("withdrawn", "stop_medium") and stops(consent, case, case.channel):
            standing = []
    return standing


def _inbound_at(scene: Scene) -> int:
    ident = scene.case.act.get("reply_to")
    return next(event.at for event in scene.case.history if event.ident == ident)


def week_of(params: Mapping[str, Any]) -> Mapping[int, tuple[Span, ...]]:
    """Return the open spans of each weekday, Monday 1 to Sunday 7, holidays and agreements aside."""
    week: dict[int, tuple[Span, ...]] = dict.fromkeys(range(1, 8), ())
    for window in params.get("windows", [{"open": [["00:00", "24:00"]]}]):
        for weekday in window.get("days", range(1, 8)):
            week[weekday] = merged((*week[weekday], *spans_of(window["open"])))
    closed = spans_of(params.get("closed", []))
    if closed:
        week = {weekday: without(spans, closed) for weekday, spans in week.items()}
    return week


def _base(params: Mapping[str, Any]) -> Callable[[Scene], Windows]:
    week = week_of(params)
    calendar = params.get("holidays")
    on_holiday = spans_of(params.get("holiday_open", []))

    def by_week(zone: Zone, day: int) -> tuple[Span, ...]:
        return week[(day + 3) % 7 + 1]

    def bind(scene: Scene) -> Windows:
        if calendar is None:
            return by_week
        days = scene.calendars[calendar]
        return lambda zone, day: on_holiday if day in days else week[weekday_of(day)]

    return bind


def _clock_text(spans: tuple[Span, ...]) -> str:
    return (
        ", ".join(f"{a // 3600:02d}:{a % 3600 // 60:02d}-{b // 3600:02d}:{b % 3600 // 60:02d}" for a, b in spans)
        or "none"
    )


def hours(params: Mapping[str, Any]) -> Check:
    """Compile a rule that defers to the next opening.

    Every candidate zone must be open. Zones whose windows do not meet within the horizon make it a review.
    """
    bind = _base(params)
    plain = "holidays" not in params
    roles = frozenset(params.get("agreed_roles", ()))
    may_agree = bool(params.get("agreed", False))
    direct = bool(params.get("direct", False))
    reply_once = bool(params.get("reply_once", False))
    mode = params.get("mode", "window")

    def check(scene: Scene, instant: int) -> Answer:
        windows = bind(scene)
        if may_agree and scene.case.consents:
            standing = agreed(scene, instant, roles, direct=direct)
            if standing:
                base = windows

                def windows(zone: Zone, day: int) -> tuple[Span, ...]:
                    extra = [span for consent in standing for span in named_spans(consent, weekday_of(day), day)]
                    return merged((*base(zone, day), *extra))

        return _decide(scene, instant, windows, reply_once=reply_once, mode=mode, plain=plain)

    return check


def _decide(scene: Scene, instant: int, windows: Windows, *, reply_once: bool, mode: str, plain: bool) -> Answer:
    try:
        shut = []
        quiet = NEVER
        for zone in scene.zones:
            end = closes(windows, zone, instant)
            if end == instant:
                shut.append(zone)
            elif end < quiet:
                quiet = end
        if not shut:
            return quiet
        until = max(next_open(windows, zone, instant) for zone in shut)
        if reply_once:
            used = answered_once(scene.case, instant)
            if used is not None and all(_same_slot(windows, zone, _inbound_at(scene), instant) for zone in shut):
                if not used:
                    return NEVER if mode == "reply_used" else until
                if mode == "reply_used":
                    return Finding("defer", until, because="the message was answered once already")
        if mode == "reply_used":
            return min((next_open(windows, zone, instant) for zone in shut), default=NEVER)
        several = len(scene.zones) > 1
        if mode == "conflict" and not several:
            return NEVER
        if several and _never_meet(scene, windows, instant):
            return Finding("review", until, because="the windows of the candidate zones do not meet")
    except YearMissing as gap:
        return Finding(
            "review",
            because=f"no dates of {gap.calendar} for {gap.year}",
            missing=(f"calendar.{gap.calendar}.{gap.year}",),
        )
    zone = shut[0]
    local = zone.local(instant)
    second = local % DAY
    return Finding(
        "defer",
        until,
        f"{second // 3600:02d}:{second % 3600 // 60:02d}:{second % 60:02d}",
        _clock_text(windows(zone, local // DAY)),
        f"closed at {date_text(local // DAY)} {second // 3600:02d}:{second % 3600 // 60:02d}:{second % 60:02d} {zone.name}",
    )


def _same_slot(windows: Windows, zone: Zone, earlier: int, instant: int) -> bool:
    """Tell whether an earlier instant was closed already and no window has opened since."""
    return not is_open(windows, zone, earlier) and next_open(windows, zone, earlier) > instant


def _never_meet(scene: Scene, windows: Windows, instant: int) -> bool:
    last = instant + 15 * DAY
    while instant < last:
        shut = [zone for zone in scene.zones if not is_open(windows, zone, instant)]
        if not shut:
            return False
        instant = max(next_open(windows, zone, instant) for zone in shut)
    return True


def preference(params: Mapping[str, Any]) -> Check:
    """Compile shape ``preference``: times that the person called inconvenient, until lifted by a later agreement."""
    reply_once = bool(params.get("reply_once", False))
    spoken_only = params.get("media", "named") == "spoken"
    mode = params.get("mode", "window")

    def check(scene: Scene, instant: int) -> Answer:
        case = scene.case
        standing: list[tuple[bool, Mapping[str, Any]]] = []
        for consent in case.consents:
            if since(consent) > instant:
                break
            event = consent["event"]
            if "expires" in consent and ends_first(consent["expires"], scene.zones) <= instant:
                continue
            if event == "inconvenient_time" and stops(consent, case, case.channel):
                standing.append((False, consent))
            elif event == "agreed_time" and standing and covers(consent, case, case.channel):
                standing.append((True, consent))
        if not standing or (spoken_only and case.channel not in ("call", "visit")):
            return NEVER

        def windows(zone: Zone, day: int) -> tuple[Span, ...]:
            spans: tuple[Span, ...] = ((0, DAY),)
            weekday = weekday_of(day)
            for opens, consent in standing:
                named = merged(named_spans(consent, weekday, day))
                spans = merged((*spans, *named)) if opens else without(spans, named)
            return spans

        return _decide(scene, instant, windows, reply_once=reply_once, mode=mode, plain=True)

    return check


def dates(params: Mapping[str, Any]) -> Check:
    """Compile shape ``quiet_dates``: the local dates of a calendar are closed, a year without dates is a review."""
    name = params["calendar"]

    def check(scene: Scene, instant: int) -> Answer:
        days = scene.calendars[name]
        until = instant
        try:
            for zone in scene.zones:
                day = zone.day(instant)
                while day in days:
                    day += 1
                    until = max(until, zone.midnight(day))
        except YearMissing as gap:
            return Finding(
                "review", because=f"no dates of {name} for {gap.year}", missing=(f"calendar.{name}.{gap.year}",)
            )
        if until > instant:
            return Finding("defer", until, date_text(scene.zones[0].day(instant)), name, "a quiet date")
        return min(zone.midnight(zone.day(instant) + 1) for zone in scene.zones)

    return check


__all__ = ["agreed", "dates", "hours", "instant_of", "preference"]
