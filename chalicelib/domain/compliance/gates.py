"""Shapes that look at records and facts: holds, notices, placements, stated facts, disclosures, claims and words."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from chalicelib.domain.compliance.case import Case, Facts, release_of
from chalicelib.domain.compliance.scene import (
    Answer,
    Check,
    Finding,
    Scene,
    concerns,
    covers,
    is_first,
    missing,
    on_case,
    since,
    stops,
    third_party_actor,
)
from chalicelib.domain.compliance.timeline import (
    NEVER,
    YearMissing,
    Zone,
    date_text,
    day_of,
    ends,
    ends_first,
    instant_of,
    starts,
    starts_last,
    weekday_of,
)

ELECTRONIC = frozenset(("sms", "email", "wechat", "push"))


def reader(path: str) -> Callable[[Case], list[Any]]:
    """Return what reads a fact path: one value for each place it names, None where the key is absent.

    ``debt.`` and ``creditor.`` name one place for each debt of the act.
    """
    head, _, key = path.partition(".")
    if head == "debt":
        return lambda case: [debt.get(key) for debt in case.debts]
    if head == "creditor":
        return lambda case: [case.orgs.get(debt["creditor"], {}).get(key) for debt in case.debts]
    if head in ("visit", "vehicle", "content"):
        return lambda case: [case.act.get(head, {}).get(key)]
    if head == "act":
        return lambda case: [case.act.get(key)]
    if head == "from":
        return lambda case: [case.points.get(case.act.get("from", ""), {}).get(key)]
    if head == "point":
        return lambda case: [None if case.point is None else case.point.get(key)]
    if head == "org":
        return lambda case: [case.org.get(key)]
    if head == "collector":
        return lambda case: [None if case.collector is None else case.collector.get(key)]
    return lambda case: [case.recipient.get(key)]


def names(path: str, case: Case) -> list[str]:
    """Return the places that a fact path names in a case, as ``debts.d1.status``; what is not there stops the path."""
    head, _, key = path.partition(".")
    if head == "debt":
        return [f"debts.{ident}.{key}" for ident in case.debt_ids]
    if head == "creditor":
        return [f"orgs.{debt['creditor']}.{key}" for debt in case.debts]
    if head in ("visit", "vehicle", "content"):
        return [f"act.{path}"]
    if head == "act":
        return [path]
    line: str | None = case.act.get("from")
    found = {
        "from": "act.from" if line is None else f"points.{line}.{key}",
        "point": "act.point" if case.point is None else f"points.{case.point_id}.{key}",
        "org": f"orgs.{case.org_id}.{key}",
        "collector": "act.collector" if case.collector is None else f"collectors.{case.collector_id}.{key}",
    }
    return [found.get(head, f"parties.{case.recipient_id}.{key}")]


def subjects(path: str, case: Case) -> list[tuple[str, Any]]:
    """Return each place that a fact path names with what is there; None where the key is absent."""
    return list(zip(names(path, case), reader(path)(case), strict=True))


def _test(params: Mapping[str, Any]) -> Callable[[Any], bool]:
    if "is" in params:
        wanted = params["is"]
        return lambda value: bool(value == wanted)
    if "any_of" in params:
        values = frozenset(params["any_of"])
        return lambda value: value in values
    if "none_of" in params:
        values = frozenset(params["none_of"])
        return lambda value: value not in values
    low, high, below = params.get("at_least"), params.get("at_most"), params.get("below")
    return lambda value: (
        (low is None or value >= low) and (high is None or value <= high) and (below is None or value < below)
    )


def fact(params: Mapping[str, Any]) -> Check:
    """Compile shape ``fact``: a stated fact must hold; absent it is a review unless ``absent`` is ``pass``."""
    path: str = params["path"]
    test = _test(params)
    effect: str = params.get("effect", "deny")
    absent: str = params.get("absent", "review")
    only_place: str | None = params.get("only_place")
    if_claims = frozenset(params.get("if_claims", ()))
    unless_surrendered: bool = params.get("unless_surrendered", False)
    limit = next(
        (params[key] for key in ("is", "any_of", "none_of", "at_least", "at_most", "below") if key in params), None
    )

    read = reader(path)

    def stated(case: Case) -> Finding | None:
        values = read(case)
        for value in values:
            if value is not None and not test(value):
                name = names(path, case)[values.index(value)]
                return Finding(effect, observed=value, limit=limit, because=f"{name} is {_plain(value)}")
        if absent == "pass" or None not in values:
            return None
        return missing(*(name for name, value in subjects(path, case) if value is None))

    def check(scene: Scene, instant: int) -> Answer:
        case = scene.case
        if if_claims and if_claims.isdisjoint(case.claims):
            return NEVER
        if unless_surrendered and handed_over(case):
            return NEVER
        finding = stated(case)
        if finding is None:
            return NEVER
        if only_place is None:
            return finding
        place = case.act.get("visit", {}).get("place")
        if place is None:
            return missing("act.visit.place", *finding.missing)
        return finding if place == only_place else NEVER

    return check


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def span(params: Mapping[str, Any]) -> Check:
    """Compile shape ``span``: the act must lie between two stated times; a date is its whole local day.

    ``before`` and ``after`` say what happens outside. A key that may be null and is null was never begun, or is over.
    """
    first: str = params.get("from", "")
    last: str = params.get("to", "")
    before: str = params.get("before", "deny")
    after: str = params.get("after", "deny")
    absent: str = params.get("absent", "review")
    absent_end: str = params.get("absent_end", "pass" if first else "review")
    read_first, read_last = reader(first), reader(last)

    def check(scene: Scene, instant: int) -> Answer:
        case = scene.case
        quiet = NEVER
        lacking: list[str] = []
        begins = read_first(case) if first else []
        for index, begin in enumerate(begins):
            if begin is None:
                name = names(first, case)[index]
                if _is_null(first, case):
                    return Finding(before, because=f"{name} is null: it never began")
                if absent == "review":
                    lacking.append(name)
                continue
            start = starts_last(begin, scene.zones)
            if instant < start:
                because = f"{names(first, case)[index]} is {begin}"
                return Finding(before, start if before == "defer" else NEVER, limit=begin, because=because)
        finishes = read_last(case) if last else []
        for index, finish in enumerate(finishes):
            if finish is None:
                name = names(last, case)[index]
                if _is_null(last, case):
                    return Finding(after, because=f"{name} is null: there is none")
                if absent_end == "review":
                    lacking.append(name)
                continue
            end = ends_first(finish, scene.zones)
            if instant >= end:
                return Finding(after, limit=finish, because=f"{names(last, case)[index]} is {finish}")
            quiet = min(quiet, end)
        return missing(*lacking) if lacking else quiet

    return check


def _is_null(path: str, case: Case) -> bool:
    head, _, key = path.partition(".")
    entry = {"org": case.org, "collector": case.collector}.get(head)
    return entry is not None and key in entry and entry[key] is None


def local_day(text: str, zone: Zone) -> int:
    """Return the day number of a date, or of an instant in a zone."""
    return zone.day(starts(text, (zone,)))


def validation_end(case: Case, debt_id: str, scene: Scene, instant: int) -> int | None:
    """Return the last day of the validation period of a debt, None without a notice.

    The stated end stands. Without one receipt is assumed on the fifth day that is neither Saturday, Sunday nor federal
    holiday, and the period is that day and the 30 days after it. Of several notices the last that was not returned
    counts. Raises YearMissing.
    """
    debt = case.other_debts.get(debt_id, {})
    stated = debt.get("validation", {})
    if "end_on" in stated:
        return day_of(stated["end_on"])
    sent: list[int] = []
    if "sent_at" in stated:
        sent.append(instant_of(stated["sent_at"]))
    sent.extend(
        instant_of(notice["at"])
        for notice in case.notices
        if notice["kind"] == "validation" and "returned_at" not in notice and notice.get("debt", debt_id) == debt_id
    )
    sent = [at for at in sent if at <= instant]
    if not sent:
        return None
    day = max(each.day(max(sent)) for each in scene.zones)
    federal = scene.calendars["us-federal"]
    left = 5
    while left:
        day += 1
        if weekday_of(day) < 6 and day not in federal:
            left -= 1
    return day + 30


def hold(params: Mapping[str, Any]) -> Check:
    """Compile shape ``hold``: holds of some kinds keep the act back until they are released.

    ``days`` is a length in dates that the law gives, ``ends_by_until`` lets the hold's own ``until`` end it. With
    ``period = "validation"`` only what was received within the validation period holds, with ``"late"`` only what came
    after it.
    """
    kinds = frozenset(params["kinds"])
    effect: str = params.get("effect", "deny")
    exempt = frozenset(params.get("exempt", ()))
    whose: str = params.get("whose", "case")
    by_until: bool = params.get("ends_by_until", False)
    days: int | None = params.get("days")
    days_after: int = params.get("days_after_release", 0)
    written: bool | None = params.get("written")
    period: str | None = params.get("period")
    chapter: int | None = params.get("chapter")
    answered_by: str | None = params.get("answered_by")
    one_reply: bool = params.get("one_reply", False)
    partial: bool = params.get("partial", False)
    due_days: int | None = params.get("due_days")
    debt_status = frozenset(params.get("debt_status", ()))

    def check(scene: Scene, instant: int) -> Answer:
        try:
            return judged(scene, instant)
        except YearMissing as gap:
            return missing(f"calendar.{gap.calendar}.{gap.year}")

    def judged(scene: Scene, instant: int) -> Answer:
        case = scene.case
        quiet = NEVER
        found: Finding | None = None
        if debt_status and all(debt.get("status") not in debt_status for debt in case.debts):
            return NEVER
        for each in case.holds:
            if each["kind"] not in kinds or not concerns(each, case):
                continue
            party = each.get("party")
            if whose == "recipient" and party not in (None, case.recipient_id):
                continue
            if whose == "case" and not on_case(party, case):
                continue
            if whose == "others" and party == case.recipient_id:
                continue
            if whose == "debtors" and party is not None and party not in case.debtors:
                continue
            if chapter is not None and "chapter" not in each:
                return missing("holds.chapter")
            if chapter is not None and each["chapter"] != chapter:
                continue
            if case.purpose in exempt or case.purpose in each.get("kinds_exempt", ()):
                continue
            begin = starts(each["from"], scene.zones)
            if begin > instant:
                quiet = min(quiet, begin)
                continue
            if written is not None:
                if "written" not in each:
                    return missing("holds.written")
                if each["written"] != written:
                    continue
            if period is not None and not _in_period(scene, each, instant, late=period == "late"):
                continue
            until = release_of(each)
            if days_after and until < NEVER:
                until = max(zone.midnight(zone.day(until) + days_after) for zone in scene.zones)
            if by_until and "until" in each:
                until = min(until, ends(each["until"], scene.zones))
            elif days is not None:
                until = min(until, max(zone.midnight(local_day(each["from"], zone) + days) for zone in scene.zones))
            if answered_by is not None:
                until = min(until, _answered(scene, each, answered_by))
            if until <= instant:
                continue
            if one_reply and answered_once(case, instant) is False:
                continue
            if partial and _undisputed(case, each):
                continue
            known = until < NEVER
            worse = found is None or until > found.until
            if worse:
                found = Finding(
                    "defer" if effect == "deny" and known and (by_until or days is not None or days_after) else effect,
                    until,
                    each["kind"],
                    because=f"{each['kind'].replace('_', ' ')} since {each['from']}",
                )
                if due_days is not None:
                    due = max(zone.midnight(local_day(each["from"], zone) + due_days + 1) for zone in scene.zones)
                    found.duty = {"due": due, "what": [each["kind"]]}
        return quiet if found is None else found

    return check


def _in_period(scene: Scene, each: Facts, instant: int, *, late: bool) -> bool:
    case = scene.case
    debts = [each["debt"]] if "debt" in each else list(case.debt_ids)
    received = min(local_day(each["from"], zone) for zone in scene.zones)
    for ident in debts:
        period = validation_end(case, ident, scene, instant)
        # Before any notice the period has not even begun to run out.
        within = period is None or received <= period
        if within != late:
            return True
    return False


def _answered(scene: Scene, each: Facts, kind: str) -> int:
    """Return when a hold was first answered by a notice of a kind, NEVER when it was not."""
    case, received = scene.case, starts_last(each["from"], scene.zones)
    return min(
        (
            instant_of(notice["at"])
            for notice in case.notices
            if notice["kind"] == kind
            and "returned_at" not in notice
            and instant_of(notice["at"]) >= received
            and ("debt" not in notice or "debt" not in each or notice["debt"] == each["debt"])
        ),
        default=NEVER,
    )


def _undisputed(case: Case, each: Facts) -> bool:
    """Tell whether only part of the debt is disputed and the act asks for no more than the rest."""
    asked, part = case.content.get("amount_minor"), each.get("amount_minor")
    due = case.other_debts.get(each.get("debt", ""), {}).get("amount_due_minor")
    return asked is not None and part is not None and due is not None and asked <= due - part


def answered_once(case: Case, instant: int) -> bool | None:
    """Tell whether the message that the act replies to, in the same medium, was answered; None when it replies to none."""
    ident = case.act.get("reply_to")
    if ident is None:
        return None
    for event in case.history:
        if event.ident == ident:
            break
    else:
        return None
    if not event.inbound or event.at > instant or event.party != case.recipient_id or event.channel != case.channel:
        return None
    return any(
        not later.inbound
        and event.at < later.at <= instant
        and later.party == event.party
        and later.channel == event.channel
        and later.org in (None, case.org_id)
        for later in case.history
    )


def notice(params: Mapping[str, Any]) -> Check:
    """Compile shape ``notice``: a notice must be on record for each debt before the act.

    ``wait_days`` are the dates that must pass after it, ``deadline`` asks that the time it sets has passed,
    ``before_first_touch`` that it came before the organisation's first contact. ``pending`` says what a notice whose time
    has not passed yet makes of the act.
    """
    kinds = frozenset(params["kinds"])
    whose: str = params.get("whose", "debtor")
    wait: int = params.get("wait_days", 0)
    deadline: bool = params.get("deadline", False)
    before_touch: bool = params.get("before_first_touch", False)
    media = frozenset(params.get("media", ()))
    effect: str = params.get("effect", "deny")
    or_event: bool = params.get("or_earlier_demand", False)
    pending: str = params.get("pending", "defer")
    unless_surrendered: bool = params.get("unless_surrendered", False)
    if_claims = frozenset(params.get("if_claims", ()))

    def check(scene: Scene, instant: int) -> Answer:
        case = scene.case
        if if_claims and if_claims.isdisjoint(case.claims):
            return NEVER
        if unless_surrendered and handed_over(case):
            return NEVER
        latest = instant
        people = (
            {case.recipient_id, *case.debtors}
            if whose == "debtor"
            else {case.recipient_id}
            if whose == "recipient"
            else None
        )
        too_late = _first_touch(scene, instant) if before_touch else instant + 1
        for ident in case.debt_ids or ("",):
            best: int | None = None
            for each in case.notices:
                if each["kind"] not in kinds or each.get("debt", ident) != ident or "returned_at" in each:
                    continue
                if people is not None and each.get("party") is not None and each["party"] not in people:
                    continue
                if media and each.get("medium") is not None and each["medium"] not in media:
                    continue
                at = instant_of(each["at"])
                if at >= too_late:
                    continue
                free = at
                if wait:
                    free = max(zone.midnight(zone.day(at) + wait) for zone in scene.zones)
                if deadline:
                    if "deadline" in each:
                        free = max(free, ends(each["deadline"], scene.zones))
                    elif not wait:
                        continue
                # A later notice of the same kind restarts the wait, as a notice said not to have been received does.
                best = free if best is None else max(best, free) if wait else min(best, free)
            if or_event and _earlier_demand(case, ident, instant):
                best = instant
            if best is None:
                return Finding(
                    effect,
                    observed=None,
                    limit="/".join(sorted(kinds)),
                    because=f"no {sorted(kinds)[0].replace('_', ' ')} on record",
                )
            if best > instant and pending != "defer":
                return Finding(pending, because="the time that the notice leaves has not passed")
            latest = max(latest, best)
        if latest > instant:
            return Finding(
                "defer", latest, limit=wait or None, because="the time that the notice leaves has not passed"
            )
        return NEVER

    return check


def handed_over(case: Case) -> bool:
    """Tell whether the vehicle is handed over freely or a court has ordered it."""
    vehicle = case.act.get("vehicle", {})
    return bool(vehicle.get("surrender_signed") or vehicle.get("court_order"))


def _first_touch(scene: Scene, instant: int) -> int:
    case = scene.case
    debts = frozenset(case.debt_ids)
    for event in case.history:
        if (
            not event.inbound
            and event.org == case.org_id
            and (event.debts is None or not event.debts.isdisjoint(debts))
        ):
            return min(event.at, instant)
    return instant


_DEMANDS = frozenset(("demand", "reminder", "remedy_notice"))


def _earlier_demand(case: Case, debt: str, instant: int) -> bool:
    return any(
        not event.inbound
        and event.at < instant
        and event.purpose in (None, *_DEMANDS)
        and event.outcome in ("sent", "delivered", "conversation", "visited_met")
        and (event.debts is None or debt in event.debts)
        for event in case.history
    )


def require(params: Mapping[str, Any]) -> Check:
    """Compile shape ``require``: the content must carry disclosures, all of ``all`` and one of ``one_of``.

    ``first`` narrows the rule to a first or a later communication. Content that cannot be looked at is compliant only
    as an approved template.
    """
    wanted = frozenset(params.get("all", ()))
    one_of = frozenset(params.get("one_of", ()))
    if_third_party = frozenset(params.get("if_third_party", ()))
    first: bool | None = params.get("first")
    limited_free: bool = params.get("limited_free", False)
    limited_only: bool = params.get("limited_only", False)
    nothing_but = frozenset(params.get("nothing_but", ()))
    exempt = frozenset(params.get("exempt", ()))
    unless_on_record = frozenset(params.get("unless_on_record", ()))
    effect: str = params.get("effect", "require")
    due_days: int | None = params.get("due_days")

    def check(scene: Scene, instant: int) -> Answer:
        case = scene.case
        if case.purpose in exempt or (limited_free and case.content.get("limited")):
            return NEVER
        if limited_only and not case.content.get("limited"):
            return NEVER
        if first is not None and is_first(case, instant) != first:
            return NEVER
        if any(
            each["kind"] in unless_on_record
            and instant_of(each["at"]) <= instant
            and "returned_at" not in each
            and concerns(each, case)
            for each in case.notices
        ):
            return NEVER
        needed = wanted | if_third_party if third_party_actor(case) else wanted
        seen = look(case)
        if seen is None:
            return NEVER
        if isinstance(seen, Finding):
            return seen
        if nothing_but and not seen <= nothing_but:
            beyond = sorted(seen - nothing_but)
            return Finding(
                effect, observed=beyond, limit=sorted(nothing_but), because="carries also " + ", ".join(beyond)
            )
        lacks = sorted(needed - seen)
        if not lacks and (not one_of or one_of & seen):
            return NEVER
        lacks = lacks or ["one of " + "/".join(sorted(one_of))]
        if due_days is not None:
            due = max(zone.midnight(zone.day(instant) + due_days + 1) for zone in scene.zones)
            return Finding("oblige", because=f"{', '.join(lacks)} due", duty={"due": due, "what": lacks})
        return Finding(
            effect,
            observed=sorted(seen & (needed | one_of)),
            limit=sorted(needed | one_of),
            because="lacks " + ", ".join(lacks),
        )

    return check


def look(case: Case) -> frozenset[str] | Finding | None:
    """Return the disclosures to look at, None when an approved template stands for them, else what is missing."""
    if case.disclosures:
        return case.disclosures
    if not case.text:
        approved = case.content.get("template_approved")
        if approved:
            return None
        if case.disclosures is None:
            if approved is None:
                return missing("act.content.disclosures", "act.content.template_approved")
            return Finding("require", because="neither text nor disclosures, and the template is not approved")
        return case.disclosures
    return missing("act.content.disclosures") if case.disclosures is None else case.disclosures


def forbid(params: Mapping[str, Any]) -> Check:
    """Compile shape ``forbid``: the act itself is forbidden; which acts is said by the rule's ``when``."""
    effect: str = params.get("effect", "deny")
    because: str = params["because"]
    unless_volunteered: bool = params.get("unless_volunteered", False)
    unless_granted: bool = params.get("unless_granted", False)

    def check(scene: Scene, instant: int) -> Answer:
        if unless_granted and consented(scene, scene.case.channel, instant):
            return NEVER
        if unless_volunteered and scene.case.act.get("third_party_initiated_payment"):
            return NEVER
        return Finding(effect, because=because)

    return check


def consented(scene: Scene, medium: str, instant: int, *, to_these: bool = False) -> bool:
    """Tell whether consent of the recipient for a medium and the act's address stands.

    With ``to_these`` only consent counts that was given to who acts, to a creditor or to nobody in particular.
    """
    case = scene.case
    standing = False
    for consent in case.consents:
        event = consent["event"]
        if event == "granted":
            if since(consent) > instant or not covers(consent, case, medium):
                continue
            if to_these and "org" in consent and consent["org"] not in (case.org_id, *case.creditors):
                continue
            if "expires" not in consent or ends_first(consent["expires"], scene.zones) > instant:
                standing = True
        elif event in ("withdrawn", "stop_medium") and since(consent) <= instant and stops(consent, case, medium):
            standing = False
    return standing


def consent(params: Mapping[str, Any]) -> Check:
    """Compile shape ``consent``: the person must have consented to this medium before; a mere use is no consent."""
    exempt = frozenset(params.get("exempt", ()))

    def check(scene: Scene, instant: int) -> Answer:
        case = scene.case
        if case.purpose in exempt:
            return NEVER
        if consented(scene, case.channel, instant, to_these=True):
            return NEVER
        return Finding("deny", because=f"no consent to {case.channel} on record")

    return check


def words(params: Mapping[str, Any]) -> Check:
    """Compile shape ``words``: words, patterns, claims or an exposure that content must not have.

    ``unless`` names facts that make a claim true: ``docket`` a court docket number on every debt, ``litigation`` that
    or litigation status, ``law_firm`` that a law firm acts.
    """
    claims = frozenset(params.get("claims", ()))
    exposures = frozenset(params.get("exposures", ()))
    lexicon: str | None = params.get("lexicon")
    raw = "|".join(params["patterns"]) if params.get("patterns") else None
    unless: str | None = params.get("unless")
    effect: str = params.get("effect", "deny")

    def check(scene: Scene, instant: int) -> Answer:
        case = scene.case
        seen = sorted(claims & case.claims)
        if case.content.get("exposure") in exposures:
            seen.append(f"exposure {case.content['exposure']}")
        if raw is not None and (re.search(raw, case.text) or re.search(raw, scene.folded_text)):
            seen.append("a forbidden pattern")
        until = quiet = NEVER
        if lexicon is not None:
            found = scene.words(lexicon, instant)
            # Only words have an end.
            until, quiet = until if seen else found.until, found.quiet
            seen.extend(found.seen)
        if unless is not None and _excused(unless, case):
            return NEVER
        if not seen:
            return quiet
        return Finding(effect, until, observed=seen, because=", ".join(seen))

    return check


def _excused(unless: str, case: Case) -> bool:
    if unless == "law_firm":
        return bool(case.org["role"] == "law_firm")
    dockets = bool(case.debts) and all(debt.get("docket_no") for debt in case.debts)
    if unless == "docket":
        return dockets
    return dockets or (bool(case.debts) and all(debt.get("status") == "litigation" for debt in case.debts))


def stopped(params: Mapping[str, Any]) -> Check:
    """Compile shape ``stopped``: the person asked for no more, in this medium or altogether.

    ``any_medium`` lets a stop of any medium stop all, ``at_address`` looks only at those that name an address. A later
    grant for the same medium lifts a stop unless ``permanent``. ``withdrawal`` also honours a withdrawn consent.
    ``one_confirmation`` lets one electronic message confirm the stop.
    """
    media = tuple(params.get("media", ()))
    any_medium: bool = params.get("any_medium", False)
    permanent: bool = params.get("permanent", False)
    request: bool = params.get("request", False)
    withdrawal: bool = params.get("withdrawal", False)
    exempt = frozenset(params.get("exempt", ()))
    by_org: bool = params.get("by_org", False)
    replies: bool = params.get("reply_allowed", False)
    one_confirmation: bool = params.get("one_confirmation", False)
    at_address: bool = params.get("at_address", False)

    def check(scene: Scene, instant: int) -> Answer:
        case = scene.case
        if case.purpose in exempt:
            return NEVER
        stop: str | None = None
        if (
            request
            and "stop_requested_at" in case.recipient
            and instant_of(case.recipient["stop_requested_at"]) <= instant
        ):
            stop = case.recipient["stop_requested_at"]
        medium = case.channel
        for consent in case.consents:
            if since(consent) > instant:
                break
            event = consent["event"]
            if consent["party"] != case.recipient_id:
                continue
            if event == "stop_medium" or (withdrawal and event == "withdrawn"):
                if by_org and consent.get("org", case.org_id) != case.org_id:
                    continue
                if at_address and "point" not in consent:
                    continue
                if any_medium or any(stops(consent, case, each) for each in media or (medium,)):
                    stop = consent["at"]
            elif (
                event == "granted"
                and not permanent
                and stop is not None
                # At one instant the stop is read as the later.
                and instant_of(stop) < since(consent)
                and consent.get("medium") in (medium, "all")
                and consent.get("point", case.point_id) == case.point_id
            ):
                stop = None
        if stop is None:
            return NEVER
        if replies and answered_once(case, instant) is False:
            return NEVER
        if (
            one_confirmation
            and case.purpose == "opt_out_confirmation"
            and case.channel in ELECTRONIC
            and not was_confirmed(case, instant_of(stop), instant)
        ):
            return NEVER
        return Finding("deny", observed=stop, because=f"asked to stop at {stop}")

    return check


def was_confirmed(case: Case, stop: int, instant: int) -> bool:
    """Tell whether an opt-out was confirmed already in the act's medium."""
    return any(
        not event.inbound
        and stop <= event.at <= instant
        and event.purpose == "opt_out_confirmation"
        and event.party == case.recipient_id
        and event.channel == case.channel
        for event in case.history
    )


def barred(params: Mapping[str, Any]) -> Check:
    """Compile shape ``barred``: limitation has run out; suit and its threat are forbidden, or a notice is required."""
    claims = frozenset(params.get("claims", ()))
    channels = frozenset(params.get("channels", ()))
    disclosure: str | None = params.get("disclosure")
    any_act: bool = params.get("any_act", False)
    after_refusal: bool = params.get("after_refusal", False)
    absent: str = params.get("absent", "review")
    unless_surrendered: bool = params.get("unless_surrendered", False)

    def check(scene: Scene, instant: int) -> Answer:
        case = scene.case
        if unless_surrendered and handed_over(case):
            return NEVER
        forbidden = any_act or case.channel in channels or not claims.isdisjoint(case.claims)
        if not forbidden and disclosure is None:
            return NEVER
        if after_refusal and not any(
            each["kind"] in ("cease", "dispute") and concerns(each, case) and case.in_force(each, instant, scene.zones)
            for each in case.holds
        ):
            return NEVER
        quiet = NEVER
        lacking: list[str] = []
        for name, last in subjects("debt.limitation_expires_on", case):
            if last is None:
                lacking.append(name)
                continue
            end = min(zone.midnight(day_of(last) + 1) for zone in scene.zones)
            if instant < end:
                quiet = min(quiet, end)
                continue
            if disclosure is not None:
                seen = look(case)
                if isinstance(seen, Finding):
                    return seen
                if seen is not None and disclosure not in seen:
                    return Finding(
                        "require",
                        observed=last,
                        limit=disclosure,
                        because=f"time-barred since {last} without {disclosure}",
                    )
            if forbidden:
                return Finding("deny", observed=last, because=f"limitation expired on {last}")
        if lacking and absent == "review":
            return missing(*lacking)
        return quiet

    return check


__all__ = [
    "barred", "date_text", "fact", "forbid", "hold", "look", "notice", "require", "span", "stopped", "subjects",
    "validation_end", "words",
]  # fmt: skip
