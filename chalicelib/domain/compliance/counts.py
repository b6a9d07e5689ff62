"""Shape ``count``: how many past events of a kind a window may hold, with what the law leaves out of the count.

Windows are local dates: ``days = n`` is the date of the act and the n-1 dates before it, ``month`` the calendar month,
``ever`` the whole history. A cooling-off of n dates after an event is a cap of one in ``days = n``.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from chalicelib.domain.compliance.case import DEBT_SIDE, Case, Event
from chalicelib.domain.compliance.gates import consented
from chalicelib.domain.compliance.scene import Answer, Check, Finding, Scene, missing, since, stops, touches
from chalicelib.domain.compliance.timeline import NEVER, Zone, date_text, ends_first, month_end, month_start, starts

UNITS: Mapping[str, frozenset[str]] = {
    "attempt": frozenset(),
    "connect": frozenset(
        [
            "no_answer",
            "rejected",
            "powered_off",
            "voicemail_left",
            "voicemail_reached",
            "voicemail_full",
            "connected",
            "conversation",
            "third_party_answered",
            "wrong_person",
            "pending",
        ]
    ),
    "answered": frozenset(
        [
            "voicemail_left",
            "voicemail_reached",
            "voicemail_full",
            "connected",
            "conversation",
            "third_party_answered",
            "wrong_person",
            "pending",
        ]
    ),
    "contact": frozenset(
        [
            "voicemail_left",
            "conversation",
            "third_party_answered",
            "sent",
            "delivered",
            "visited_met",
            "connected",
            "pending",
        ]
    ),
    "conversation": frozenset(("conversation",)),
    "talk_or_pending": frozenset(("conversation", "visited_met", "pending")),
}
"""Outcomes that each counted unit takes in; ``attempt`` takes in all."""

UNRELATED = frozenset(("spouse", "emergency_contact", "third_party", "employer"))
CONSUMER = frozenset(("debtor", "co_borrower", "spouse", "guardian", "executor"))

Keep = Callable[[Scene, Event], bool]


def _people(who: str, scene: Scene) -> Callable[[Event], bool]:
    """Return the test whether an event was with the recipient, with the household or with one who is owing."""
    case = scene.case
    if who == "recipient":
        ident = case.recipient_id
        return lambda event: event.party == ident
    if who == "household":
        # The consumer and the spouse share one count.
        wanted = {case.recipient_id, *case.debtors}
        wanted.update(ident for ident, party in case.parties.items() if party["role"] == "spouse")
        return lambda event: event.party in wanted
    return lambda event: event.party in case.parties and case.parties[event.party]["role"] in DEBT_SIDE


def consent_dates(scene: Scene, zone: Zone, instant: int, days: int) -> list[tuple[int, int]]:
    """Return spans of instants in which calls are made on consent given directly to the acting organisation.

    A span lasts ``days`` dates, the date of the consent being the first, and ends early at its stated end, at a
    withdrawal and at the next conversation about the debt.
    """
    case = scene.case
    spans: list[tuple[int, int]] = []
    for consent in case.consents:
        at = since(consent)
        if at > instant:
            break
        if consent["party"] != case.recipient_id:
            continue
        event = consent["event"]
        if event == "granted" and consent.get("medium") in ("call", "all") and consent.get("direct"):
            if consent.get("org", case.org_id) != case.org_id:
                continue
            end = zone.midnight(zone.day(at) + days)
            if "expires" in consent:
                end = min(end, ends_first(consent["expires"], (zone,)))
            for talk in case.history:
                if talk.at > at and talk.outcome == "conversation" and touches(talk, frozenset(case.debt_ids)):
                    end = min(end, talk.at)
                    break
            spans.append((at, end))
        elif event in ("withdrawn", "stop_medium") and stops(consent, case, "call"):
            spans = [(start, min(end, at)) for start, end in spans]
    return spans


def _consented(scene: Scene, zone: Zone, instant: int, days: int) -> Callable[[Event], bool]:
    """Return the test whether an event fell under consent; what the file says of the event itself goes first."""
    spans = consent_dates(scene, zone, instant, days)

    def on_consent(event: Event) -> bool:
        if event.consented is not None:
            return event.consented
        return any(start <= event.at < end for start, end in spans)

    return on_consent


def strangers(case: Case) -> frozenset[str]:
    """Return the contact points that turned out to be somebody else's."""
    found = {ident for ident, point in case.points.items() if point.get("status") == "wrong_person"}
    found.update(event.point for event in case.strangers if event.point is not None)
    return frozenset(found)


class Count:
    """Which events a rule counts. Built once from the parameters of the rule."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.channels = frozenset(params.get("channels", ()))
        self.outcomes = UNITS[params.get("unit", "attempt")]
        self.not_outcomes = frozenset(params.get("not_outcomes", ()))
        self.not_purposes = frozenset(params.get("not_purposes", ()))
        self.purposes = frozenset(params.get("purposes", ()))
        self.per_channel: Mapping[str, frozenset[str]] = {
            channel: frozenset(outcomes) for channel, outcomes in params.get("outcomes_of", {}).items()
        }
        self.who: str = params.get("who", "recipient")
        self.by: str = params.get("by", "org")
        self.both_ways = bool(params.get("both_ways", False))
        self.same_point = bool(params.get("same_point", False))
        self.point_kinds = frozenset(params.get("point_kinds", ()))
        self.place: str | None = params.get("place")
        self.replies = bool(params.get("replies", True))
        self.window: Any = params.get("days", params.get("window"))
        self.leave_out = frozenset(params.get("leave_out", ()))
        self.consent_days: int = params.get("consent_days", 7)
        self.frees_act = "consent" in self.leave_out or bool(params.get("consent_frees_act", False))

    def _is_of_kind(self, event: Event) -> bool:
        """Tell whether an event is of a counted kind, as far as the event alone says."""
        if event.inbound and not self.both_ways:
            return False
        if self.channels and event.channel not in self.channels:
            return False
        if self.outcomes and event.outcome not in self.outcomes:
            return False
        if event.outcome in self.not_outcomes or event.purpose in self.not_purposes:
            return False
        if event.channel in self.per_channel and event.outcome not in self.per_channel[event.channel]:
            return False
        if self.purposes and event.purpose is not None and event.purpose not in self.purposes:
            return False
        return self.replies or not (event.reply or event.purpose == "reply")

    def tests(self, scene: Scene, debts: frozenset[str] | None) -> Callable[[Event], bool]:
        """Return the test whether an event is of a kind that counts, whenever it was; ``debts`` None means all."""
        case = scene.case
        tests: list[Callable[[Event], bool]] = []
        if self.who != "anybody":
            tests.append(_people(self.who, scene))
        if self.by == "org":
            org = case.org_id
            tests.append(lambda event: event.inbound or event.org is None or event.org == org)
        if debts is not None:
            tests.append(lambda event: touches(event, debts))
        elif self.by == "lender":
            # An event about a debt that the file does not know may have been for this lender.
            others = case.other_debts.keys() - scene.lender_debts
            tests.append(lambda event: event.debts is None or not event.debts <= others)
        if self.same_point:
            point = case.point_id
            tests.append(lambda event: event.point is None or event.point == point)
        if self.point_kinds:
            kinds = self.point_kinds
            points = case.points
            tests.append(lambda event: points.get(event.point or "", {}).get("kind") in (None, *kinds))
        if self.place is not None:
            at_work = self.place == "work"
            points = case.points

            def there(event: Event) -> bool:
                here = event.place or points.get(event.point or "", {}).get("place")
                # Where a contact went is not known at all: it may have been either place.
                return (here is None and event.point is None) or (here == "work") == at_work

            tests.append(there)
        if not tests:
            return self._is_of_kind
        return lambda event: self._is_of_kind(event) and all(test(event) for test in tests)

    def window_start(self, zone: Zone, instant: int) -> int:
        """Return the first instant of the window that an act at an instant falls in."""
        if self.window == "ever":
            return -NEVER
        day = zone.day(instant)
        return zone.midnight(month_start(day) if self.window == "month" else day - self.window + 1)

    def leaves(self, zone: Zone, at: int) -> int:
        """Return the instant at which an event of an instant has left the window."""
        if self.window == "ever":
            return NEVER
        day = zone.day(at)
        return zone.midnight(month_end(day) if self.window == "month" else day + self.window)

    def left_out(self, scene: Scene, zone: Zone, instant: int) -> Callable[[Event], str | None]:
        """Return the reason for which an event is left out of the count, None when it counts."""
        tests: list[tuple[str, Callable[[Event], bool]]] = []
        if "unconnected" in self.leave_out:
            tests.append(("unconnected", lambda event: event.outcome in ("busy", "not_in_service")))
        if "consent" in self.leave_out:
            tests.append(("consent", _consented(scene, zone, instant, self.consent_days)))
        if "stranger" in self.leave_out:
            theirs = strangers(scene.case)
            tests.append(("stranger", lambda event: event.point in theirs))
        if "asked" in self.leave_out:
            tests.append(("asked", lambda event: bool(event.consented)))
        if "first" in self.leave_out:
            opening = _opening(scene)
            tests.append(("first", lambda event: event is opening))
        return lambda event: next((reason for reason, test in tests if test(event)), None)

    def events(self, scene: Scene, zone: Zone, instant: int, debts: frozenset[str] | None) -> list[Event]:
        """Return the counted events of the window, oldest first."""
        return [event for event, reason in self.judged(scene, zone, instant, debts) if reason is None]

    def judged(
        self, scene: Scene, zone: Zone, instant: int, debts: frozenset[str] | None
    ) -> list[tuple[Event, str | None]]:
        """Return each event of the window with the reason for which it is left out, oldest first."""
        start = self.window_start(zone, instant)
        recent = list(_since(scene.case.history, start, instant))
        if not recent:
            return []
        keep = self.tests(scene, debts)
        kept = [event for event in recent if keep(event)]
        if not kept:
            return []
        if not self.leave_out:
            return [(event, None) for event in kept]
        reason = self.left_out(scene, zone, instant)
        return [(event, reason(event)) for event in kept]

    def exempt(self, scene: Scene, zone: Zone, instant: int) -> int | None:
        """Return until when the act itself is left out of the count, None when it counts."""
        if not self.frees_act or not scene.case.consents:
            return None
        spans = consent_dates(scene, zone, instant, self.consent_days)
        return max((end for start, end in spans if start <= instant < end), default=None)


def _opening(scene: Scene) -> Event | None:
    """Return the first contact with the person about the debts, past or to come."""
    case = scene.case
    own = frozenset(case.debt_ids)
    return next(
        (
            event
            for event in case.history
            if not event.inbound and event.party == case.recipient_id and touches(event, own)
        ),
        None,
    )


def _since(history: Sequence[Event], start: int, instant: int) -> Iterator[Event]:
    """Yield events of [start, instant], oldest first, looking only at those."""
    index = len(history)
    while index and history[index - 1].at >= start:
        index -= 1
    for event in history[index:]:
        if event.at > instant:
            return
        yield event


def _sets_of_debts(params: Mapping[str, Any]) -> Callable[[Scene], Sequence[frozenset[str] | None]]:
    kind = params.get("per", "all")

    def per_debt(scene: Scene) -> Sequence[frozenset[str] | None]:
        return [frozenset((ident,)) for ident in scene.case.debt_ids] or [None]

    def per_product(scene: Scene) -> Sequence[frozenset[str] | None]:
        case = scene.case
        result = []
        for ident, debt in zip(case.debt_ids, case.debts, strict=True):
            same = {ident}
            same.update(
                other
                for other, entry in case.other_debts.items()
                if entry["creditor"] == debt["creditor"]
                and entry.get("product") is not None
                and entry.get("product") == debt.get("product")
            )
            result.append(frozenset(same))
        return result or [None]

    def per_creditor(scene: Scene) -> Sequence[frozenset[str] | None]:
        return [scene.lender_debts]

    return {"debt": per_debt, "product": per_product, "creditor": per_creditor}.get(kind, lambda scene: (None,))


def count(params: Mapping[str, Any]) -> Check:
    """Compile a cap: the act is held back while the window holds ``cap`` counted events or more."""
    counter = Count(params)
    cap: int = params["cap"]
    effect: str = params.get("effect", "defer")
    sets_of_debts = _sets_of_debts(params)
    after_first: str | None = params.get("after_first")
    needs_point = counter.same_point
    attempts_review: bool = params.get("attempts_review", False)
    unit = params.get("unit", "attempt")
    reply_free = not counter.replies
    own_purposes_free = counter.not_purposes
    soft = Count({**params, "unit": "attempt"}) if attempts_review else counter
    unless_granted: bool = params.get("unless_granted", False)

    def check(scene: Scene, instant: int) -> Answer:
        case = scene.case
        if not case.history:
            return NEVER
        if needs_point and case.point_id is None:
            return missing("act.point")
        if reply_free and case.purpose == "reply" and case.act.get("reply_to") is not None:
            return NEVER
        if case.purpose in own_purposes_free:
            return NEVER
        if unless_granted and consented(scene, scene.case.channel, instant):
            return NEVER
        found: Finding | None = None
        quiet = NEVER
        for zone in scene.zones:
            exempt = counter.exempt(scene, zone, instant)
            if exempt is not None:
                quiet = min(quiet, exempt)
                continue
            for debts in sets_of_debts(scene):
                events = counter.events(scene, zone, instant, debts)
                if after_first == "conversation":
                    events = _after_conversation(scene, events, instant)
                if len(events) >= cap:
                    last = events[len(events) - cap]
                    found = _later(
                        found,
                        Finding(
                            effect if effect != "defer" or counter.window != "ever" else "deny",
                            counter.leaves(zone, last.at),
                            len(events),
                            cap,
                            f"{len(events)} in the window that ends {date_text(zone.day(instant))}, {cap} allowed",
                        ),
                    )
                elif attempts_review:
                    tried = soft.events(scene, zone, instant, debts)
                    if len(tried) >= cap:
                        found = found or Finding(
                            "review",
                            counter.leaves(zone, tried[len(tried) - cap].at),
                            len(tried),
                            cap,
                            f"{len(events)} {unit}s, but {len(tried)} attempts in the window",
                        )
        return quiet if found is None else found

    return check


def _later(one: Finding | None, other: Finding) -> Finding:
    return other if one is None or one.effect == "review" or other.until > one.until else one


def _after_conversation(scene: Scene, events: list[Event], instant: int) -> list[Event]:
    """Return the events after the first live conversation of this organisation with the person, none without one."""
    case = scene.case
    for talk in case.history:
        if talk.at > instant:
            break
        if talk.outcome == "conversation" and talk.party == case.recipient_id and talk.org in (None, case.org_id):
            return [event for event in events if event.at > talk.at]
    return []


def nocount(params: Mapping[str, Any]) -> Check:
    """Compile shape ``nocount``: fires when events, or the act, are left out of a cap that the act is held to."""
    counter = Count(params)
    reasons = frozenset(params["reasons"])
    sets_of_debts = _sets_of_debts(params)

    def check(scene: Scene, instant: int) -> Answer:
        for zone in scene.zones:
            if "consent" in reasons and counter.exempt(scene, zone, instant) is not None:
                return Finding("nocount", because="the act is made on consent given directly")
            for debts in sets_of_debts(scene):
                spared = sum(reason in reasons for _, reason in counter.judged(scene, zone, instant, debts))
                if spared:
                    return Finding("nocount", observed=spared, because=f"{spared} left out of the count")
        return NEVER

    return check


def concentration(params: Mapping[str, Any]) -> Check:
    """Compile shape ``concentration``: counted events and the act lie too close together, or too many on one date."""
    counter = Count(params)
    apart: int = params["minutes"] * 60
    on_one_date: int = params["on_one_date"]
    sets_of_debts = _sets_of_debts(params)

    def check(scene: Scene, instant: int) -> Answer:
        quiet = NEVER
        for zone in scene.zones:
            exempt = counter.exempt(scene, zone, instant)
            quiet = min(quiet, NEVER if exempt is None else exempt)
            for debts in sets_of_debts(scene):
                past = [event.at for event in counter.events(scene, zone, instant, debts)]
                finding = _too_dense(past, zone, counter.window, apart, on_one_date)
                if finding is None and exempt is None and past:
                    if instant - past[-1] <= apart:
                        finding = Finding(
                            "review", past[-1] + apart + 1, instant - past[-1], apart, "a call minutes after another"
                        )
                    today = zone.day(instant)
                    same = sum(zone.day(at) == today for at in past) + 1
                    if same >= on_one_date:
                        finding = Finding(
                            "review", zone.midnight(today + 1), same, on_one_date, f"{same} calls on {date_text(today)}"
                        )
                if finding is not None:
                    return finding
        return quiet

    return check


def _too_dense(past: list[int], zone: Zone, window: int, apart: int, on_one_date: int) -> Finding | None:
    """Return what past events alone make too dense, until the first of them leaves the window."""
    for before, after in zip(past, past[1:], strict=False):
        if after - before <= apart:
            leaves = zone.midnight(zone.day(before) + window)
            return Finding("review", leaves, after - before, apart, "two calls minutes apart")
    days = [zone.day(at) for at in past]
    for day in dict.fromkeys(days):
        if days.count(day) >= on_one_date:
            leaves = zone.midnight(day + window)
            return Finding(
                "review", leaves, days.count(day), on_one_date, f"{days.count(day)} calls on {date_text(day)}"
            )
    return None


def episode(params: Mapping[str, Any]) -> Check:
    """Compile shape ``episode``: caps on third parties within one spell of lost contact with the debtor."""
    answered: int = params["connected"]
    persons: int = params["persons"]

    def check(scene: Scene, instant: int) -> Answer:
        case = scene.case
        began = -NEVER
        for ident in case.debtors:
            text = case.parties[ident].get("lost_contact", {}).get("since")
            if text is not None:
                began = max(began, starts(text, scene.zones))
        own = scene.lender_debts
        calls = [
            event
            for event in case.history
            if began <= event.at <= instant
            and not event.inbound
            and event.channel == "call"
            and (case.parties.get(event.party, {}).get("role", "third_party") in UNRELATED)
            and touches(event, own)
        ]
        reached = sum(event.party == case.recipient_id and event.outcome in UNITS["answered"] for event in calls)
        if reached >= answered:
            return Finding(
                "deny", observed=reached, limit=answered, because="this person was reached in this spell already"
            )
        others = {event.party for event in calls} - {case.recipient_id}
        if len(others) >= persons:
            return Finding(
                "deny", observed=len(others) + 1, limit=persons, because="enough persons were asked in this spell"
            )
        return NEVER

    return check
